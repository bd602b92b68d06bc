//! What the benches share: an STS stand-in over loopback HTTP, which counts what it is asked, the
//! contestants behind one trait, and how calls are summed up.

// Each bench uses its own part.
#![allow(dead_code)]

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::{AssumeRoleProvider, AssumeRoleProviderBuilder};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::{
    ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{Context, HttpSend, SignRequest, Signer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub const HUB: &str = "arn:aws:iam::222222222222:role/Hub";

const REGION: &str = "eu-west-1";

/// An IAM user's.
const ACCESS_KEY_ID: &str = "AKIABENCHBENCHBENCH1";
const SECRET_ACCESS_KEY: &str = "secret";

/// Of the stand-in for TLS, for 127.0.0.1, signed by itself. The SDK's HTTP client trusts it where
/// the environment's `SSL_CERT_FILE` names it.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/keys/loopback.pem");
const PRIVATE_KEY: &[u8] = include_bytes!("../keys/loopback-private.pem");

pub fn role(n: usize) -> String {
    format!("arn:aws:iam::333333333333:role/Tenant{n}")
}

/// One way to credentials.
pub trait Contestant: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    /// How much longer sessions must last for it to be refreshed about as often as the others.
    const EARLIER: Duration = Duration::ZERO;

    fn new(config: &SdkConfig, hops: usize) -> impl Future<Output = Self> + Send;

    fn call(&self) -> impl Future<Output = Result<(), BoxError>> + Send;
}

pub trait Tenants: Contestant {
    /// As many roles behind one hub.
    fn tenants(config: &SdkConfig, count: usize) -> impl Future<Output = Vec<Self>> + Send;
}

/// This crate.
pub struct Ours(pub Arc<dyn ProvideCredentials>);

impl Contestant for Ours {
    const NAME: &'static str = "aws-role-chain";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let first = RoleChain::new(config, Role::new(HUB)).expect("a role");
        Self(Arc::new((1..hops).fold(first, |chain, n| {
            chain.assume(Role::new(role(n))).expect("a role")
        })))
    }

    async fn call(&self) -> Result<(), BoxError> {
        Ok(self.0.provide_credentials().await.map(drop)?)
    }
}

impl Tenants for Ours {
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        let hub = RoleChain::new(config, Role::new(HUB)).expect("a role");
        let tenant = |n| {
            hub.assume(Role::new(role(n)).external_id("c0ffee"))
                .expect("a role")
        };
        (1..=count).map(|n| Self(Arc::new(tenant(n)))).collect()
    }
}

/// As many roles that trust the source's own credentials: no hub.
pub async fn without_hub(config: &SdkConfig, count: usize) -> Vec<Ours> {
    let source = RoleChain::from_source(config).expect("a source");
    let tenant = |n| source.assume(Role::new(role(n)).external_id("c0ffee"));
    let tenant = |n| Ours(Arc::new(tenant(n).expect("a role")));
    (1..=count).map(tenant).collect()
}

/// The same, each tenant's chain built by itself.
pub async fn apart(config: &SdkConfig, count: usize) -> Vec<Ours> {
    let tenant = |n| RoleChain::new(config, Role::new(role(n)).external_id("c0ffee"));
    let tenant = |n| Ours(Arc::new(tenant(n).expect("a role")));
    (1..=count).map(tenant).collect()
}

/// aws-config's provider, nested by hand.
pub struct Nested(AssumeRoleProvider);

impl Contestant for Nested {
    const NAME: &'static str = "AssumeRoleProvider, bare";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        Self(nested(config, hops).await)
    }

    async fn call(&self) -> Result<(), BoxError> {
        Ok(self.0.provide_credentials().await.map(drop)?)
    }
}

async fn nested(config: &SdkConfig, hops: usize) -> AssumeRoleProvider {
    let mut provider = of(config, HUB).build().await;
    for n in 1..hops {
        provider = of(config, &role(n)).build_from_provider(provider).await;
    }
    provider
}

pub async fn tenant(config: &SdkConfig, n: usize) -> AssumeRoleProvider {
    let hub = of(config, HUB).build().await;
    let tenant = of(config, &role(n)).external_id("c0ffee");
    tenant.build_from_provider(hub).await
}

fn of(config: &SdkConfig, arn: &str) -> AssumeRoleProviderBuilder {
    AssumeRoleProvider::builder(arn)
        .session_name("bench")
        .configure(config)
}

/// The same behind the SDK's identity cache, as a client has it.
pub struct Cached(pub SdkCache);

impl Contestant for Cached {
    const NAME: &'static str = "AssumeRoleProvider, SDK cache";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        Self(SdkCache::new(config, nested(config, hops).await))
    }

    async fn call(&self) -> Result<(), BoxError> {
        self.0.call().await
    }
}

impl Tenants for Cached {
    /// Each with a cache of its own: one that they share holds 64.
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        let mut all = Vec::with_capacity(count);
        for n in 1..=count {
            all.push(Self(SdkCache::new(config, tenant(config, n).await)));
        }
        all
    }
}

/// A profile with a role that has a source profile, and so on, behind the SDK's identity cache.
pub struct Profiles(SdkCache);

impl Contestant for Profiles {
    const NAME: &'static str = "profile, SDK cache";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let endpoint = config.endpoint_url().expect("the stand-in's");
        let mut file = format!(
            "[profile hop0]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n",
        );
        for hop in 1..=hops {
            let source = hop - 1;
            let arn = match source {
                0 => HUB.to_owned(),
                n => role(n),
            };
            file += &format!(
                "[profile hop{hop}]\nrole_arn = {arn}\nsource_profile = hop{source}\nendpoint_url = {endpoint}\n"
            );
        }
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, file)
            .build();
        let provider_config = ProviderConfig::without_region()
            .with_region(config.region().cloned())
            .with_time_source(config.time_source().expect("a clock"))
            .with_sleep_impl(config.sleep_impl().expect("a sleep"));
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&provider_config)
            .profile_files(files)
            .profile_name(format!("hop{hops}"))
            .build();
        Self(SdkCache::new(config, provider))
    }

    async fn call(&self) -> Result<(), BoxError> {
        self.0.call().await
    }
}

/// reqsign's signer, which keeps credentials to itself: it is asked to sign a request, and what signs
/// it does nothing. Hubs and the HTTP client are shared, as its `Clone` allows.
pub struct Reqsign(Signer<Credential>);

impl Contestant for Reqsign {
    const NAME: &'static str = "reqsign, Signer";

    /// It takes no credentials for good that have less than two minutes left: it refreshes sessions of
    /// 125 s after 5 s, as the others do those of 12 s after 2 to 7½ s.
    const EARLIER: Duration = Duration::from_secs(113);

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let hub = Self::hub(config);
        Self((1..hops).fold(hub.0, |signer, n| {
            Self::assume(&hub.1, signer, role(n), None)
        }))
    }

    async fn call(&self) -> Result<(), BoxError> {
        let (mut request, ()) = Request::new(()).into_parts();
        Ok(self.0.sign(&mut request, None).await?)
    }
}

impl Reqsign {
    fn hub(config: &SdkConfig) -> (Signer<Credential>, Context) {
        let context = Context::new().with_http_send(ToStandIn::of(config));
        let keys = StaticCredentialProvider::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        let user = Signer::new(context.clone(), keys, SignsNothing);
        (Self::assume(&context, user, HUB.to_owned(), None), context)
    }

    fn assume(
        context: &Context,
        caller: Signer<Credential>,
        role_arn: String,
        external_id: Option<&str>,
    ) -> Signer<Credential> {
        let caller = caller.with_request_signer(RequestSigner::new("sts", REGION));
        let mut role = AssumeRoleCredentialProvider::new(role_arn, caller)
            .with_region(REGION.to_owned())
            .with_regional_sts_endpoint();
        if let Some(external_id) = external_id {
            role = role.with_external_id(external_id.to_owned());
        }
        Signer::new(context.clone(), role, SignsNothing)
    }
}

impl Tenants for Reqsign {
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        let (hub, context) = Self::hub(config);
        let tenant = |n| Self::assume(&context, hub.clone(), role(n), Some("c0ffee"));
        (1..=count).map(|n| Self(tenant(n))).collect()
    }
}

#[derive(Debug)]
struct SignsNothing;

impl SignRequest for SignsNothing {
    type Credential = Credential;

    async fn sign_request(
        &self,
        _: &Context,
        _: &mut Parts,
        _: Option<&Credential>,
        _: Option<Duration>,
    ) -> reqsign_core::Result<()> {
        Ok(())
    }
}

/// STS's address is not for its users to set: the HTTP client that they give sends elsewhere.
#[derive(Debug)]
struct ToStandIn {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
}

impl ToStandIn {
    fn of(config: &SdkConfig) -> Self {
        let endpoint = config.endpoint_url().expect("the stand-in's");
        let parts = endpoint.parse::<Uri>().expect("a URL").into_parts();
        let mut http = HttpConnector::new();
        // The SDK's does the same.
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trusting())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Self {
            client: legacy::Client::builder(TokioExecutor::new()).build(connector),
            scheme: parts.scheme.expect("a scheme"),
            authority: parts.authority.expect("an address"),
        }
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts)?;
        let answer = self.client.request(request.map(Full::from)).await?;
        let (head, body) = answer.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}

impl HttpSend for ToStandIn {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let sent = self.send(request).await;
        sent.map_err(|error| reqsign_core::Error::unexpected(error.to_string()))
    }
}

/// A provider behind the SDK's identity cache, asked as the SDK asks it.
pub struct SdkCache {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    bag: ConfigBag,
}

impl SdkCache {
    fn new(config: &SdkConfig, provider: impl ProvideCredentials + 'static) -> Self {
        Self::sharing(IdentityCache::lazy().build(), config, provider)
    }

    /// As the clients made from one `SdkConfig` share its cache.
    pub fn sharing(
        cache: SharedIdentityCache,
        config: &SdkConfig,
        provider: impl ProvideCredentials + 'static,
    ) -> Self {
        let components = RuntimeComponentsBuilder::for_tests()
            .with_time_source(config.time_source())
            .with_sleep_impl(config.sleep_impl())
            .build();
        Self {
            cache,
            resolver: SharedIdentityResolver::new(SharedCredentialsProvider::new(provider)),
            components: components.expect("components"),
            bag: ConfigBag::base(),
        }
    }

    pub async fn call(&self) -> Result<(), BoxError> {
        let (resolver, components) = (self.resolver.clone(), &self.components);
        self.cache
            .resolve_cached_identity(resolver, components, &self.bag)
            .await
            .map(drop)
    }
}

/// STS, on a thread of its own.
#[derive(Clone)]
pub struct StandIn(Arc<Shared>);

struct Shared {
    setup: Setup,
    address: SocketAddr,
    mood: Mutex<Mood>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
}

#[derive(Clone)]
pub struct Setup {
    /// A timer's: a round trip takes somewhat longer.
    pub latency: Duration,
    pub lifetime: Duration,
    pub clock: SharedTimeSource,
    pub tls: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            lifetime: Duration::from_secs(3600),
            clock: SharedTimeSource::new(SystemTimeSource::new()),
            tls: false,
        }
    }
}

/// How STS answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Well,
    Unavailable,
    Throttling,
    Denying,
    Hanging,
    Closing,
}

impl StandIn {
    pub fn start(setup: Setup) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let stand_in = Self(Arc::new(Shared {
            setup,
            address: listener.local_addr().expect("bound"),
            mood: Mutex::new(Mood::Well),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }));
        let serving = stand_in.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime
                .expect("a runtime")
                .block_on(serving.serve(listener));
        });
        stand_in
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).expect("a listener");
        let tls = self.0.setup.tls.then(tls);
        while let Ok((stream, _)) = listener.accept().await {
            self.0.connections.fetch_add(1, Ordering::Relaxed);
            // A client's small writes must not wait for acknowledgements.
            let _ = stream.set_nodelay(true);
            let (this, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => this.serve_connection(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            this.serve_connection(stream).await;
                        }
                    }
                }
            });
        }
    }

    async fn serve_connection(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let answers = service_fn(|request| self.answer(request));
        let connection = hyper::server::conn::http1::Builder::new();
        // A client may go, and closing is an answer, too.
        let _ = connection
            .serve_connection(TokioIo::new(stream), answers)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let _in_flight = InFlight::new(&self.0.in_flight);
        let _ = request.into_body().collect().await;
        tokio::time::sleep(self.0.setup.latency).await;
        let mood = *self.0.mood.lock().expect("no panics");
        let (status, body) = match mood {
            Mood::Well => (200, session(number, &self.0.setup)),
            Mood::Unavailable => (503, refusal("ServiceUnavailable")),
            Mood::Throttling => (400, refusal("Throttling")),
            Mood::Denying => (403, refusal("AccessDenied")),
            Mood::Hanging => std::future::pending().await,
            Mood::Closing => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "text/xml");
        Ok(response.body(Full::from(body)).expect("a response"))
    }

    pub fn set(&self, mood: Mood) {
        *self.0.mood.lock().expect("no panics") = mood;
    }

    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    pub fn is_asked(&self) -> bool {
        self.0.in_flight.load(Ordering::Relaxed) > 0
    }

    /// What as many round trips take, one after another on one open connection, with nothing else to do.
    pub async fn round_trips(&self, count: usize) -> Duration {
        let stream = TcpStream::connect(self.0.address).await;
        let stream = stream.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        if !self.0.setup.tls {
            return Self::round_trips_on(stream, count).await;
        }
        let name = ServerName::from(self.0.address.ip());
        let connector = TlsConnector::from(Arc::new(trusting()));
        let stream = connector.connect(name, stream).await;
        Self::round_trips_on(stream.expect("a trusted certificate"), count).await
    }

    async fn round_trips_on(
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        count: usize,
    ) -> Duration {
        let started = Instant::now();
        for _ in 0..count {
            let request = b"POST / HTTP/1.1\r\nhost: sts\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(request).await.expect("it reads");
            stream.flush().await.expect("it reads");
            let mut answer = Vec::new();
            // The document's end is the answer's.
            while !answer.ends_with(b"</AssumeRoleResponse>") {
                stream.read_buf(&mut answer).await.expect("it answers");
            }
        }
        started.elapsed()
    }

    /// The HTTP client is the SDK's own.
    pub fn config(&self) -> SdkConfig {
        let scheme = if self.0.setup.tls { "https" } else { "http" };
        config(&self.0.setup)
            .into_builder()
            .endpoint_url(format!("{scheme}://{}", self.0.address))
            .build()
    }
}

/// An IAM user's keys.
pub fn config(setup: &Setup) -> SdkConfig {
    let keys = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench");
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(setup.clock.clone())
        .build()
}

struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stand-in, and nobody else.
fn trusting() -> ClientConfig {
    static TRUSTING: LazyLock<ClientConfig> = LazyLock::new(|| {
        let certificate = CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth()
    });
    TRUSTING.clone()
}

fn tls() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.expect("a key for the certificate")))
}

pub fn refusal(code: &str) -> String {
    format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>"#
    )
}

/// As long as AWS's are.
pub fn session(number: usize, setup: &Setup) -> String {
    let until = DateTime::from(setup.clock.now() + setup.lifetime);
    let until = DateTime::from_secs(until.secs())
        .fmt(Format::DateTime)
        .expect("a time");
    let token = "t".repeat(640);
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>arn:aws:sts::222222222222:assumed-role/R/s</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>0123456789012345678901234567890123456789</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#
    )
}

/// How long calls took, and how many brought nothing.
#[derive(Default)]
pub struct Calls {
    took: Vec<Duration>,
    pub failed: usize,
}

impl Calls {
    pub fn add(&mut self, took: Duration, served: bool) {
        self.took.push(took);
        self.failed += usize::from(!served);
    }

    /// By a clock that ran as many times as fast.
    pub fn times(mut self, fast: u32) -> Self {
        self.took.iter_mut().for_each(|took| *took *= fast);
        self
    }

    pub fn extend(&mut self, others: Self) {
        self.took.extend(others.took);
        self.failed += others.failed;
    }

    pub fn len(&self) -> usize {
        self.took.len()
    }

    /// At `share` of the calls in order: 0.5 is the median, 1.0 the longest.
    pub fn percentile(&mut self, share: f64) -> Duration {
        self.took.sort_unstable();
        let last = self.took.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.took.get(at).copied().unwrap_or_default()
    }
}

/// `p50 | p99 | max`.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls = Self {
            took: self.took.clone(),
            failed: self.failed,
        };
        let [median, late, longest] = [0.5, 0.99, 1.0].map(|share| calls.percentile(share));
        write!(f, "{} | {} | {}", show(median), show(late), show(longest))
    }
}

/// Three digits.
pub fn show(took: Duration) -> String {
    let nanoseconds = took.as_nanos() as f64;
    let (value, unit) = match nanoseconds {
        0.0..1e3 => (nanoseconds, "ns"),
        1e3..1e6 => (nanoseconds / 1e3, "µs"),
        1e6..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

pub async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed(), done)
}
