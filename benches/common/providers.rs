//! The providers that are measured, behind one trait.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::{AssumeRoleProvider, AssumeRoleProviderBuilder};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::{
    ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SdkConfig;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{Context, HttpSend, SignRequest, Signer};

use super::fake_sts::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, client_tls};

pub const HUB: &str = "arn:aws:iam::222222222222:role/Hub";

fn role(n: usize) -> String {
    format!("arn:aws:iam::333333333333:role/Tenant{n}")
}

/// A provider that is measured.
pub trait Provider: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    /// The additional lifetime that sessions need for this provider to refresh about as often as the others.
    const EXTRA_LIFETIME: Duration = Duration::ZERO;

    /// Creates a provider for a chain of `hops` roles.
    fn new(config: &SdkConfig, hops: usize) -> impl Future<Output = Self> + Send;

    /// Retrieves credentials once.
    fn retrieve(&self) -> impl Future<Output = Result<(), BoxError>> + Send;
}

pub trait Tenants: Provider {
    /// Creates providers for `count` roles that are assumed from one hub.
    fn tenants(config: &SdkConfig, count: usize) -> impl Future<Output = Vec<Self>> + Send;
}

/// A chain of this crate, without another cache.
pub struct Chain(pub Arc<dyn ProvideCredentials>);

impl Chain {
    pub fn of(config: &SdkConfig, hops: usize) -> RoleChain {
        let first = RoleChain::new(config, Role::new(HUB)).expect("a role");
        (1..hops).fold(first, |chain, n| {
            chain.assume(Role::new(role(n))).expect("a role")
        })
    }
}

impl Provider for Chain {
    const NAME: &'static str = "aws-role-chain";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        Self(Arc::new(Self::of(config, hops)))
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        Ok(self.0.provide_credentials().await.map(drop)?)
    }
}

impl Tenants for Chain {
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        let hub = RoleChain::new(config, Role::new(HUB)).expect("a role");
        let tenant = |n| {
            hub.assume(Role::new(role(n)).external_id("c0ffee"))
                .expect("a role")
        };
        (1..=count).map(|n| Self(Arc::new(tenant(n)))).collect()
    }
}

/// Creates chains for `count` roles that are assumed with the source credentials, from one `RoleChain::from_source`.
pub async fn tenants_without_hub(config: &SdkConfig, count: usize) -> Vec<Chain> {
    let source = RoleChain::from_source(config).expect("a source");
    let tenant = |n| source.assume(Role::new(role(n)).external_id("c0ffee"));
    let tenant = |n| Chain(Arc::new(tenant(n).expect("a role")));
    (1..=count).map(tenant).collect()
}

/// Creates the same chains, each with its own `RoleChain::new` and therefore its own STS client.
pub async fn tenants_with_separate_chains(config: &SdkConfig, count: usize) -> Vec<Chain> {
    let tenant = |n| RoleChain::new(config, Role::new(role(n)).external_id("c0ffee"));
    let tenant = |n| Chain(Arc::new(tenant(n).expect("a role")));
    (1..=count).map(tenant).collect()
}

/// Nested `AssumeRoleProvider`s of aws-config: each is the source of the next. They do not cache.
pub struct NestedAssumeRole(AssumeRoleProvider);

impl Provider for NestedAssumeRole {
    const NAME: &'static str = "AssumeRoleProvider, bare";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        Self(nest(config, hops).await)
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        Ok(self.0.provide_credentials().await.map(drop)?)
    }
}

async fn nest(config: &SdkConfig, hops: usize) -> AssumeRoleProvider {
    let mut provider = assume_role(config, HUB).build().await;
    for n in 1..hops {
        provider = assume_role(config, &role(n))
            .build_from_provider(provider)
            .await;
    }
    provider
}

/// Creates a provider for one role, with its own provider for the hub.
pub async fn nested_tenant(config: &SdkConfig, n: usize) -> AssumeRoleProvider {
    let hub = assume_role(config, HUB).build().await;
    let tenant = assume_role(config, &role(n)).external_id("c0ffee");
    tenant.build_from_provider(hub).await
}

fn assume_role(config: &SdkConfig, arn: &str) -> AssumeRoleProviderBuilder {
    AssumeRoleProvider::builder(arn)
        .session_name("bench")
        .configure(config)
}

/// The same providers behind the SDK's identity cache, as in a client.
pub struct CachedAssumeRole(pub SdkIdentityCache);

impl Provider for CachedAssumeRole {
    const NAME: &'static str = "AssumeRoleProvider, SDK cache";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        Self(SdkIdentityCache::new(config, nest(config, hops).await))
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        self.0.retrieve().await
    }
}

impl Tenants for CachedAssumeRole {
    /// Each provider has its own identity cache, because a shared one would hold only 64 identities.
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        let mut all = Vec::with_capacity(count);
        for n in 1..=count {
            all.push(Self(SdkIdentityCache::new(
                config,
                nested_tenant(config, n).await,
            )));
        }
        all
    }
}

/// A profile with `role_arn` and `source_profile`, to any depth, behind the SDK's identity cache.
pub struct CachedProfile(SdkIdentityCache);

impl Provider for CachedProfile {
    const NAME: &'static str = "profile, SDK cache";

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let endpoint = config.endpoint_url().expect("the fake's");
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
        Self(SdkIdentityCache::new(config, provider))
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        self.0.retrieve().await
    }
}

/// reqsign's `Signer`. It does not return credentials, so it signs a request with a request signer that does
/// nothing. Tenants share the hub's signer and the HTTP client.
pub struct ReqsignSigner(Signer<Credential>);

impl Provider for ReqsignSigner {
    const NAME: &'static str = "reqsign, Signer";

    /// reqsign refreshes two minutes before expiry: sessions of 125 s after 5 s. The others refresh sessions of 12 s
    /// after 2 to 7½ s.
    const EXTRA_LIFETIME: Duration = Duration::from_secs(113);

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let hub = Self::hub(config);
        Self((1..hops).fold(hub.0, |signer, n| {
            Self::assume(&hub.1, signer, role(n), None)
        }))
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        let (mut request, ()) = Request::new(()).into_parts();
        Ok(self.0.sign(&mut request, None).await?)
    }
}

impl ReqsignSigner {
    fn hub(config: &SdkConfig) -> (Signer<Credential>, Context) {
        let context = Context::new().with_http_send(ToFakeSts::of(config));
        let keys = StaticCredentialProvider::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        let user = Signer::new(context.clone(), keys, NoOpSigner);
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
        Signer::new(context.clone(), role, NoOpSigner)
    }
}

impl Tenants for ReqsignSigner {
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        let (hub, context) = Self::hub(config);
        let tenant = |n| Self::assume(&context, hub.clone(), role(n), Some("c0ffee"));
        (1..=count).map(|n| Self(tenant(n))).collect()
    }
}

#[derive(Debug)]
struct NoOpSigner;

impl SignRequest for NoOpSigner {
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

/// Sends requests to the fake STS, because reqsign has no setting for the endpoint.
#[derive(Debug)]
struct ToFakeSts {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
}

impl ToFakeSts {
    fn of(config: &SdkConfig) -> Self {
        let endpoint = config.endpoint_url().expect("the fake's");
        let parts = endpoint.parse::<Uri>().expect("a URL").into_parts();
        let mut http = HttpConnector::new();
        // Same as the SDK's HTTP client.
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client_tls())
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

impl HttpSend for ToFakeSts {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let sent = self.send(request).await;
        sent.map_err(|error| reqsign_core::Error::unexpected(error.to_string()))
    }
}

/// A provider behind the SDK's identity cache. The cache is called in the same way as by the SDK's orchestrator.
pub struct SdkIdentityCache {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    bag: ConfigBag,
}

impl SdkIdentityCache {
    /// Puts a provider behind a cache of its own.
    fn new(config: &SdkConfig, provider: impl ProvideCredentials + 'static) -> Self {
        Self::sharing(IdentityCache::lazy().build(), config, provider)
    }

    /// Puts a provider behind a shared cache, like that of all clients made from one `SdkConfig`.
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

    pub async fn retrieve(&self) -> Result<(), BoxError> {
        let (resolver, components) = (self.resolver.clone(), &self.components);
        self.cache
            .resolve_cached_identity(resolver, components, &self.bag)
            .await
            .map(drop)
    }
}
