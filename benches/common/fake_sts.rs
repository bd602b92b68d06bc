//! A fake STS over loopback HTTP or HTTPS, and an HTTP client with responses from within the process.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::{HttpClient, RuntimeComponents};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub const REGION: &str = "eu-west-1";

/// The access key of an IAM user.
pub const ACCESS_KEY_ID: &str = "AKIABENCHBENCHBENCH1";
pub const SECRET_ACCESS_KEY: &str = "secret";

/// The fake's self-signed certificate for 127.0.0.1. The SDK's HTTP client trusts it if the environment variable
/// `SSL_CERT_FILE` names it.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/keys/loopback.pem");
const PRIVATE_KEY: &[u8] = include_bytes!("../keys/loopback-private.pem");

/// A fake STS on a loopback port, served by its own thread. It counts requests and connections.
#[derive(Clone)]
pub struct FakeSts(Arc<Shared>);

struct Shared {
    settings: StsSettings,
    address: SocketAddr,
    behavior: Mutex<StsBehavior>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
}

#[derive(Clone)]
pub struct StsSettings {
    /// The delay of each response by a timer. A round trip takes a little longer.
    pub latency: Duration,
    pub lifetime: Duration,
    pub clock: SharedTimeSource,
    pub tls: bool,
}

impl Default for StsSettings {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            lifetime: Duration::from_secs(3600),
            clock: SharedTimeSource::new(SystemTimeSource::new()),
            tls: false,
        }
    }
}

/// The response of the fake STS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StsBehavior {
    Success,
    ServiceUnavailable,
    Throttling,
    AccessDenied,
    NoResponse,
    ConnectionClosed,
}

impl FakeSts {
    pub fn start(settings: StsSettings) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let fake = Self(Arc::new(Shared {
            settings,
            address: listener.local_addr().expect("bound"),
            behavior: Mutex::new(StsBehavior::Success),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }));
        let serving = fake.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime
                .expect("a runtime")
                .block_on(serving.serve(listener));
        });
        fake
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).expect("a listener");
        let tls = self.0.settings.tls.then(server_tls);
        while let Ok((stream, _)) = listener.accept().await {
            self.0.connections.fetch_add(1, Ordering::Relaxed);
            // Without it, small writes wait for acknowledgements (Nagle's algorithm).
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
        let responses = service_fn(|request| self.respond(request));
        let connection = hyper::server::conn::http1::Builder::new();
        // Errors are expected: clients disconnect, and a closed connection is one of the behaviors.
        let _ = connection
            .serve_connection(TokioIo::new(stream), responses)
            .await;
    }

    async fn respond(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let _in_flight = CountInFlight::new(&self.0.in_flight);
        let _ = request.into_body().collect().await;
        tokio::time::sleep(self.0.settings.latency).await;
        let behavior = *self.0.behavior.lock().expect("no panics");
        let (status, body) = match behavior {
            StsBehavior::Success => (200, session_document(number, &self.0.settings)),
            StsBehavior::ServiceUnavailable => (503, error_document("ServiceUnavailable")),
            StsBehavior::Throttling => (400, error_document("Throttling")),
            StsBehavior::AccessDenied => (403, error_document("AccessDenied")),
            StsBehavior::NoResponse => std::future::pending().await,
            StsBehavior::ConnectionClosed => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "text/xml");
        Ok(response.body(Full::from(body)).expect("a response"))
    }

    pub fn set_behavior(&self, behavior: StsBehavior) {
        *self.0.behavior.lock().expect("no panics") = behavior;
    }

    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    pub fn has_requests_in_flight(&self) -> bool {
        self.0.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Returns the duration of `count` bare requests, one after another on one open connection.
    pub async fn round_trips(&self, count: usize) -> Duration {
        let stream = TcpStream::connect(self.0.address).await;
        let stream = stream.expect("the fake STS listens");
        stream.set_nodelay(true).expect("a socket");
        if !self.0.settings.tls {
            return Self::round_trips_on(stream, count).await;
        }
        let name = ServerName::from(self.0.address.ip());
        let connector = TlsConnector::from(Arc::new(client_tls()));
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
            stream.write_all(request).await.expect("the fake STS reads");
            stream.flush().await.expect("the fake STS reads");
            let mut response = Vec::new();
            // The document is the end of the response.
            while !response.ends_with(b"</AssumeRoleResponse>") {
                stream
                    .read_buf(&mut response)
                    .await
                    .expect("the fake STS answers");
            }
        }
        started.elapsed()
    }

    /// Returns a config for calls to this STS, with the SDK's own HTTP client.
    pub fn config(&self) -> SdkConfig {
        let scheme = if self.0.settings.tls { "https" } else { "http" };
        config(&self.0.settings)
            .into_builder()
            .endpoint_url(format!("{scheme}://{}", self.0.address))
            .build()
    }
}

/// Returns a config with an IAM user's access key, and without an endpoint.
pub fn config(settings: &StsSettings) -> SdkConfig {
    let keys = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench");
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(settings.clock.clone())
        .build()
}

struct CountInFlight<'a>(&'a AtomicUsize);

impl<'a> CountInFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for CountInFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns a TLS config that trusts only the fake STS's certificate.
pub fn client_tls() -> ClientConfig {
    static CONFIG: LazyLock<ClientConfig> = LazyLock::new(|| {
        let certificate = CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth()
    });
    CONFIG.clone()
}

fn server_tls() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.expect("a key for the certificate")))
}

/// Returns an error response of STS.
pub fn error_document(code: &str) -> String {
    format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>"#
    )
}

/// Returns an AssumeRole response that is as long as AWS's.
pub fn session_document(number: usize, settings: &StsSettings) -> String {
    let until = DateTime::from(settings.clock.now() + settings.lifetime);
    let until = DateTime::from_secs(until.secs())
        .fmt(Format::DateTime)
        .expect("a time");
    let token = "t".repeat(640);
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>arn:aws:sts::222222222222:assumed-role/R/s</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>0123456789012345678901234567890123456789</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#
    )
}

/// An SDK HTTP client with responses from within the process, without a socket.
pub struct InProcessHttp<F>(Arc<F>);

impl<F> InProcessHttp<F> {
    pub fn new(respond: F) -> Self {
        Self(Arc::new(respond))
    }
}

impl<F> Clone for InProcessHttp<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for InProcessHttp<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcessHttp")
    }
}

impl<F, Fut> HttpConnector for InProcessHttp<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = (u16, String)> + Send + 'static,
{
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let response = (self.0)();
        HttpConnectorFuture::new(async move {
            let (status, body) = response.await;
            let status = status.try_into().expect("a status");
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

impl<F, Fut> HttpClient for InProcessHttp<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = (u16, String)> + Send + 'static,
{
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
