//! [`RoleChain`]: the credentials provider. Each hop of a chain is a [`Hop`](hop::Hop) with its own cache.

mod base;
pub(crate) mod diagnose;
pub(crate) mod document;
mod hop;
mod identity;
mod load;
pub(crate) mod policies;
pub(crate) mod pool;
mod rejection;
mod renewal;
mod report;
mod serialize;
mod status;
mod store;

use std::env::VarError;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_types::SdkConfig;

use crate::cache::{CredentialsCache, Requester};
use crate::error::{Error, Operation, Violation};
use crate::request::limits::check_region;
use crate::request::{
    Role, SamlAssertion, SessionTokenRequest, WebIdentityToken, check_saml_provider,
};

use hop::{Hop, HopCache, Target};
use identity::ChainIdentityCache;

pub(crate) use base::Base;
pub(crate) use hop::Authentication;
pub use renewal::SessionRenewal;
pub use status::{Health, HopStatus};
pub(crate) use store::{SessionStore, StoreLock};

/// A credentials provider that assumes a role in another account, directly or through other roles.
///
/// A chain starts from a base [`SdkConfig`], whose credentials assume the first role. [`assume`](Self::assume) adds
/// another role. Each hop caches its own credentials, so chains can *fork*: a thousand chains that start from one hub
/// role assume the hub once. Clones are cheap and share their credentials.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), aws_role_chain::Error> {
/// use aws_config::BehaviorVersion;
/// use aws_role_chain::{Role, RoleChain};
///
/// let base = aws_config::load_defaults(BehaviorVersion::latest()).await;
/// let hub = RoleChain::new(&base, Role::new("arn:aws:iam::111111111111:role/Hub"))?;
/// let tenant = hub.assume(
///     Role::new("arn:aws:iam::222222222222:role/FirehoseWriter").external_id("c0ffee"),
/// )?;
///
/// let firehose = aws_sdk_firehose::Client::new(&tenant.sdk_config());
/// # Ok(())
/// # }
/// ```
///
/// # The base config
///
/// The base config provides the source credentials (from the default chain, a profile, or any other provider), the
/// settings of the STS endpoint (region, URL, FIPS, dual stack), the HTTP client, retries, timeouts, the time source
/// and the sleep implementation. FIPS and dual stack cannot be combined with an endpoint URL. If the config sets no
/// operation timeouts, a call to STS times out after 20 s, and each of its attempts after 6 s.
///
/// All hops and forks of a chain share one STS client. Chains that are built separately share nothing, even if they
/// have the same base config. To share the client, start them from one [`from_source`](Self::from_source) chain or set
/// an `http_client` on the base config.
///
/// # When credentials are refreshed
///
/// | session | refreshed in the last | the start is spread over |
/// |---|---|---|
/// | up to 20 minutes | 5 minutes | 2½ minutes |
/// | below 90 minutes | 15 minutes | 7½ minutes |
/// | longer | 60 minutes | 30 minutes |
///
/// - In this window, callers get the cached credentials while one refresh runs in the background. A chain that is no
///   longer used stops refreshing.
/// - In the last minute before expiry, callers wait for the refresh. If it fails, they get the cached credentials.
/// - While valid credentials are cached, a caller waits at most 1 s for a load; while expired credentials are cached,
///   at most 5 s. Both are counted from the start of the load.
/// - Only one load runs at a time. It runs in its own task, and all waiting callers share its result. A caller that
///   stops waiting does not cancel it.
/// - A failed refresh is retried after a quarter of the remaining time (10 s to 5 min, with jitter), and once more 1 s
///   before expiry.
/// - After expiry, the last credentials are still returned while STS is unreachable or busy: services will reject
///   them, unless this machine's clock is wrong. The load is retried after half the time since expiry (10 s to 1 min),
///   with one attempt instead of the SDK's three. After a failure that is not transient, such as a denial,
///   callers get the error, which is cached for 5 s.
/// - With nothing cached, callers wait for the load: at most 20 s for each hop, plus up to two minutes for the rate
///   limit described below. A load that asks a person has no time limit. A failure is cached for 1 s, and a denial for
///   5 s.
/// - At most 32 calls to STS run at once in a region, and at most 500 start within a second
///   ([STS allows](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) an account 600 a second
///   in a region); see [`limit_sts_calls`](Self::limit_sts_calls). When STS throttles a call, the rate falls by 20 % and
///   then grows by 40 % a second. The throttled call is repeated when the rate permits and after a back-off of up to
///   2 s, unless the base config disables retries. Background refreshes use at most half of the 32. Calls with an MFA
///   code are exempt.
/// - If STS reports that the session of the previous hop is expired or unknown, that hop is loaded again once, however
///   many later hops are affected, and STS is not called with the rejected key for 2 minutes.
/// - The base config's provider times out after two minutes. So do providers of tokens, assertions and MFA codes that
///   ask no person.
/// - If the clock is set back by more than a minute, the cached credentials are refreshed. If it is set forward by a
///   minute or more while a load runs, a second load may start. The refresh timer checks the clock every minute, also
///   after the machine was suspended.
///
/// Loads run on the caller's tokio runtime. Without a runtime, a load is an error that says so. If a runtime is dropped
/// during a load, or does not run it for a minute, callers on other runtimes start another load. The SDK's HTTP client
/// keeps a connection on the runtime that opened it: if that runtime exists but is not running, a call from another one
/// may wait for the timeout of its first attempt (6 s) before it is retried on a new connection.
///
/// # Errors
///
/// As a provider, it returns a `CredentialsError` whose source is an [`Error`].
#[derive(Clone)]
pub struct RoleChain(HopCache);

impl RoleChain {
    /// Creates a chain of one role, assumed with the base config's credentials. No call is made yet.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, or a base config without a credentials provider. Also if
    /// neither the role nor the base config has a region.
    pub fn new(base: &SdkConfig, role: Role) -> Result<Self, Error> {
        let base = Arc::new(Base::with_source(base)?);
        Self::assume_with(base, Authentication::Base, role, None)
    }

    /// Creates a chain that provides the base config's own credentials, to assume several roles with them, such as a
    /// role in each customer's account. No call is made yet.
    ///
    /// The credentials are cached, and shared by all roles that are assumed from this chain; so is the STS client. They
    /// are refreshed like the sessions of roles. Credentials without an expiry are loaded again after 15 minutes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(base: aws_types::SdkConfig, customers: Vec<(String, String)>) -> Result<(), aws_role_chain::Error> {
    /// use aws_role_chain::{Role, RoleChain};
    ///
    /// let source = RoleChain::from_source(&base)?;
    /// for (role, external_id) in customers {
    ///     let tenant = source.assume(Role::new(role).external_id(external_id))?;
    ///     // …
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A base config without a credentials provider.
    pub fn from_source(base: &SdkConfig) -> Result<Self, Error> {
        let base = Arc::new(Base::with_source(base)?);
        Ok(Self::node(Hop::new(base, Target::Source, None)))
    }

    /// Creates a chain that starts with a session token for the base config's IAM user. With MFA, one code is enough for
    /// all roles that are assumed from it. No call is made yet.
    ///
    /// The base config must provide the long-term keys of an IAM user: STS issues no session tokens to roles. The
    /// sessions of roles that are assumed from it last one hour at most (role chaining).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(base: aws_types::SdkConfig) -> Result<(), aws_role_chain::Error> {
    /// use aws_role_chain::{Role, RoleChain, SessionTokenRequest, TerminalPrompt};
    ///
    /// let me = RoleChain::from_session_token(
    ///     &base,
    ///     SessionTokenRequest::new().mfa("arn:aws:iam::111111111111:mfa/ada", TerminalPrompt::new()),
    /// )?;
    /// let reader = me.assume(Role::new("arn:aws:iam::222222222222:role/Reader"))?;
    /// let writer = me.assume(Role::new("arn:aws:iam::333333333333:role/Writer"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) request, or a base config without a credentials provider or
    /// a region.
    pub fn from_session_token(
        base: &SdkConfig,
        request: SessionTokenRequest,
    ) -> Result<Self, Error> {
        Self::session_token(Arc::new(Base::with_source(base)?), request)
    }

    /// Creates a chain that starts with a role assumed by a web identity: on EKS (IRSA), in GitHub Actions, or wherever
    /// the program gets an OpenID Connect token. The base config needs no credentials, because the token authenticates
    /// the call. No call is made yet.
    ///
    /// AssumeRoleWithWebIdentity accepts these settings of [`Role`]: session name, duration (up to 12 hours; this is not
    /// role chaining), session policies and region. If STS cannot get the keys of the identity provider, the call is
    /// made up to three times. If the token has expired, it is read once more.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(base: aws_types::SdkConfig) -> Result<(), aws_role_chain::Error> {
    /// use aws_role_chain::{Role, RoleChain, WebIdentityToken};
    ///
    /// let pod = RoleChain::from_web_identity(
    ///     &base,
    ///     Role::new("arn:aws:iam::111111111111:role/Pod"),
    ///     WebIdentityToken::from_file("/var/run/secrets/eks.amazonaws.com/serviceaccount/token"),
    /// )?;
    /// let writer = pod.assume(Role::new("arn:aws:iam::222222222222:role/FirehoseWriter"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, or a base config without a region.
    pub fn from_web_identity(
        base: &SdkConfig,
        role: Role,
        token: WebIdentityToken,
    ) -> Result<Self, Error> {
        let base = Arc::new(Base::without_source(base)?);
        Self::assume_with(base, Authentication::WebIdentity(token), role, None)
    }

    /// Creates a chain that starts with a role assumed with a SAML assertion, which a company's identity provider issues
    /// when a person signs in. The base config needs no credentials. No call is made yet.
    ///
    /// `principal_arn` is the ARN of the SAML provider in the role's account,
    /// `arn:<partition>:iam::<account>:saml-provider/<name>`. AssumeRoleWithSAML accepts these settings of [`Role`]:
    /// duration (up to 12 hours; the assertion may end the session earlier), session policies and region. Session name
    /// and session tags are in the assertion. The roles that IAM Identity Center creates (`AWSReservedSSO_…`) cannot be
    /// assumed this way.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn sign_in() -> std::io::Result<String> { unimplemented!() }
    /// # fn example(base: aws_types::SdkConfig) -> Result<(), aws_role_chain::Error> {
    /// use aws_role_chain::{Role, RoleChain, SamlAssertion};
    ///
    /// let me = RoleChain::from_saml(
    ///     &base,
    ///     Role::new("arn:aws:iam::111111111111:role/Developer"),
    ///     "arn:aws:iam::111111111111:saml-provider/Company",
    ///     SamlAssertion::from_provider(sign_in), // asks the person, and returns base64
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role or principal, or a base config without a region.
    pub fn from_saml(
        base: &SdkConfig,
        role: Role,
        principal_arn: impl Into<String>,
        assertion: SamlAssertion,
    ) -> Result<Self, Error> {
        let operation = Operation::AssumeRoleWithSaml;
        let provider_arn = principal_arn.into();
        check_saml_provider(&provider_arn)
            .map_err(|violation| violation.into_hop_error(operation, Some(&role.arn), 1))?;
        let authentication = Authentication::Saml(provider_arn, assertion);
        let base = Arc::new(Base::without_source(base)?);
        Self::assume_with(base, authentication, role, None)
    }

    /// Creates a chain like [`from_web_identity`](Self::from_web_identity), from the environment variables that EKS and
    /// other platforms set: `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN` and, optionally, `AWS_ROLE_SESSION_NAME`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), aws_role_chain::Error> {
    /// use aws_config::BehaviorVersion;
    /// use aws_role_chain::{Role, RoleChain};
    ///
    /// let base = aws_config::defaults(BehaviorVersion::latest()).no_credentials().load().await;
    /// let writer = RoleChain::from_web_identity_env(&base)?
    ///     .assume(Role::new("arn:aws:iam::222222222222:role/FirehoseWriter"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A variable that is missing or not valid Unicode, or an [invalid](Error::is_invalid) role.
    pub fn from_web_identity_env(base: &SdkConfig) -> Result<Self, Error> {
        Self::from_web_identity_vars(base, std::env::var)
    }

    fn from_web_identity_vars(
        base: &SdkConfig,
        var: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, Error> {
        let required = |name: &'static str| {
            var(name).map_err(|error| {
                let rule = format!("{error}: it configures the web identity");
                Violation::new(name, rule, None).into_error(Operation::CheckBase)
            })
        };
        let file = required("AWS_WEB_IDENTITY_TOKEN_FILE")?;
        let mut role = Role::new(required("AWS_ROLE_ARN")?);
        const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
        if var(SESSION_NAME) != Err(VarError::NotPresent) {
            role = role.session_name(required(SESSION_NAME)?);
        }
        Self::from_web_identity(base, role, WebIdentityToken::from_file(file))
    }

    /// Creates a chain with one more hop: `role` is assumed with this chain's credentials. Chains that are created from
    /// the same chain share its credentials. No call is made yet.
    ///
    /// Call it once per role, not once per request: the new chain has an empty cache, which is dropped with the chain's
    /// last clone.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role. This includes rules that depend on the earlier hops: a duration over one
    /// hour, a transitive tag that an earlier hop has set, a different source identity. Also if neither the role nor
    /// the base config has a region.
    pub fn assume(&self, role: Role) -> Result<Self, Error> {
        let base = self.hop().base.clone();
        Self::assume_with(base, Authentication::Hop(self.0.clone()), role, None)
    }

    /// Returns the ARN of the role whose credentials this chain provides, or `None` if they are the source credentials
    /// or those of a session token.
    pub fn role_arn(&self) -> Option<&str> {
        self.hop().role_arn().map(|arn| &**arn)
    }

    /// Returns the base config with this chain as its credentials provider, to create clients from.
    ///
    /// For a client in another region, use `sdk_config().into_builder().region(..).build()`.
    ///
    /// The returned config replaces the SDK's identity cache by one that relies on the chain's cache. The SDK's own holds
    /// 64 providers only, keeps credentials until shortly before they expire, and stops waiting for a provider after
    /// about 20 s. With this one, any number of chains stays cached, [`refresh`](Self::refresh) takes effect with the
    /// next call, and a person who is asked for an MFA code has unlimited time. Other providers that are set on a client
    /// or an operation are cached as the SDK does.
    pub fn sdk_config(&self) -> SdkConfig {
        let config = &self.hop().base.config;
        let provider = SharedCredentialsProvider::new(self.clone());
        let others = config.identity_cache();
        let cache = ChainIdentityCache::new(self.0.clone(), provider.clone(), others);
        let builder = config.to_builder().identity_cache(cache);
        builder.credentials_provider(provider).build()
    }

    /// Returns an interceptor and retry classifier for a client's config. When the service rejects the session
    /// (`ExpiredToken`, `InvalidToken` and similar codes), because it was revoked or because the clock was set back, the
    /// chain loads a new one, and the client retries the call with it. If the rejected session is less than a minute
    /// old, a new one would not help, and the error is returned.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(chain: aws_role_chain::RoleChain) {
    /// let renewal = chain.session_renewal();
    /// let config = aws_sdk_firehose::config::Builder::from(&chain.sdk_config())
    ///     .interceptor(renewal.clone()).retry_classifier(renewal)
    ///     .build();
    /// let firehose = aws_sdk_firehose::Client::from_conf(config);
    /// # }
    /// ```
    pub fn session_renewal(&self) -> SessionRenewal {
        SessionRenewal(self.0.clone())
    }

    /// Loads new credentials now, even if the cached ones are valid: to warm up the cache, or after sessions were
    /// revoked. Joins a load that is in flight. If the load fails, the cached credentials remain.
    ///
    /// Only this chain's last hop is loaded; earlier hops are loaded if their credentials are due. If nothing is cached
    /// yet and the chain comes from a profile that shares the AWS CLI's cache, a session from there is used.
    ///
    /// SDK clients with an identity cache of their own, which are all that do not use
    /// [`sdk_config`](Self::sdk_config), keep the old credentials until shortly before they expire.
    ///
    /// # Errors
    ///
    /// The reason why this role, or one before it, could not be assumed.
    pub async fn refresh(&self) -> Result<(), Error> {
        let refreshed = self.0.refresh().await;
        refreshed.map_err(|error| error.with_chain_len(self.hop().number))
    }

    /// Returns credentials that remain valid for at least `duration`: the cached ones if they do, or else new ones. Use it
    /// for presigned URLs and the like: a presigned URL stops working when the credentials that signed it expire.
    ///
    /// If the role is assumed with another role's credentials, its sessions last one hour at most ([role
    /// chaining](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining)). Otherwise they
    /// last as long as [`Role::duration`] says. Ask for clearly less than that: if `duration` is close to the lifetime
    /// of a session, nearly every call needs a new one.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(chain: aws_role_chain::RoleChain) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use aws_sdk_s3::presigning::PresigningConfig;
    ///
    /// const VALID_FOR: Duration = Duration::from_secs(15 * 60);
    /// let s3 = aws_sdk_s3::Client::new(&chain.sdk_config());
    ///
    /// let credentials = chain.credentials_valid_for(VALID_FOR).await?;
    /// let url = s3.get_object().bucket("reports").key("2026.pdf")
    ///     .customize()
    ///     .config_override(aws_sdk_s3::config::Builder::new().credentials_provider(credentials))
    ///     .presigned(PresigningConfig::expires_in(VALID_FOR)?)
    ///     .await?;
    /// println!("{}", url.uri());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The reason why this role, or one before it, could not be assumed. If the cached or the new credentials do not last
    /// long enough, the error says how long they remain valid, and its [`source`](std::error::Error::source) is the
    /// error of the failed load, if a load failed.
    pub async fn credentials_valid_for(&self, duration: Duration) -> Result<Credentials, Error> {
        let valid = self.0.get_valid_for(duration).await;
        valid.map_err(|error| error.with_chain_len(self.hop().number))
    }

    /// Sets how many calls to STS may start within a second in each region. Default: 500. Takes effect immediately, for
    /// all chains that start from the same chain as this one.
    ///
    /// STS has a quota for each account and region, [600 calls a
    /// second](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html), which all programs of the
    /// account share. A process that is throttled slows down automatically. Set a lower limit to leave part of the quota
    /// to other programs from the start.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(hub: aws_role_chain::RoleChain) {
    /// use std::num::NonZeroU32;
    ///
    /// const FOR_THIS_PROGRAM: NonZeroU32 = NonZeroU32::new(100).unwrap();
    /// hub.limit_sts_calls(FOR_THIS_PROGRAM);
    /// # }
    /// ```
    pub fn limit_sts_calls(&self, per_second: NonZeroU32) {
        self.hop().base.sts.limit_calls(per_second);
    }

    /// Returns the state of each hop, starting with the first. Makes no call.
    pub fn status(&self) -> Vec<HopStatus> {
        let chain_len = self.hop().number;
        let hops = self.hops().into_iter();
        hops.map(|hop| HopStatus::of(hop, chain_len)).collect()
    }

    /// Returns whether this chain can provide credentials, according to its last loads. Makes no call.
    ///
    /// Use it for a readiness probe: a program whose chain is [failing](Health::Failing) should get no requests. The
    /// probe should also ask the chain for credentials, as the example `health` does, because a program without
    /// requests makes no calls that would load them again. Do not use it for a liveness probe: a restart does not help,
    /// and loses the cached credentials. To find out before the first request, call [`refresh`](Self::refresh) at
    /// start-up.
    ///
    /// To be alerted before calls fail, alert on [degraded](Health::Degraded). A chain is degraded as soon as a refresh
    /// fails, which is later than the start of an outage, because nothing calls STS before the refresh is due.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(chain: aws_role_chain::RoleChain) -> Result<(), aws_role_chain::Error> {
    /// chain.refresh().await?; // at start-up: fail early
    /// // …
    /// println!("{}", chain.health());
    /// # Ok(())
    /// # }
    /// ```
    pub fn health(&self) -> Health {
        Health::of(&self.status())
    }

    /// Creates a chain whose last hop is assumed this way and keeps its sessions in `store`.
    pub(crate) fn assume_with(
        base: Arc<Base>,
        authentication: Authentication,
        role: Role,
        store: Option<Arc<dyn SessionStore>>,
    ) -> Result<Self, Error> {
        let target = Target::Role(authentication.check(role)?, authentication);
        Self::checked(Hop::new(base, target, store))
    }

    pub(crate) fn session_token(
        base: Arc<Base>,
        request: SessionTokenRequest,
    ) -> Result<Self, Error> {
        let request = request
            .check()
            .map_err(|violation| violation.into_hop_error(Operation::GetSessionToken, None, 1))?;
        Self::checked(Hop::new(base, Target::SessionToken(request), None))
    }

    /// Checks that the region of the STS endpoint is set and valid.
    fn checked(hop: Hop) -> Result<Self, Error> {
        let checked = match hop.region() {
            Some(region) => check_region(region),
            None => {
                let rule = "must be set on the base config (for example by AWS_REGION) or on the \
                            role: it selects the STS endpoint";
                Err(Violation::new("region", rule, None))
            }
        };
        checked.map_err(|violation| violation.into_error(Operation::CheckBase))?;
        Ok(Self::node(hop))
    }

    fn node(hop: Hop) -> Self {
        let (time, sleep) = (hop.base.time.clone(), hop.base.sleep.clone());
        Self(CredentialsCache::new(hop, time, sleep))
    }

    pub(crate) fn into_authentication(self) -> Authentication {
        Authentication::Hop(self.0)
    }

    /// Returns whether anything else refers to the chain: a clone, a client, a later hop, or a running load.
    fn is_held(&self) -> bool {
        self.0.handles() > 1
    }

    fn hop(&self) -> &Hop {
        self.0.loader()
    }

    /// Returns the caches of all hops, starting with the first.
    fn hops(&self) -> Vec<&HopCache> {
        let ancestors = std::iter::successors(Some(&self.0), |cache| cache.loader().parent());
        let mut hops: Vec<_> = ancestors.collect();
        hops.reverse();
        hops
    }
}

impl ProvideCredentials for RoleChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let into_sdk_error = |error: Error| error.with_chain_len(self.hop().number).into();
        match self.0.lookup(|session| session.credentials.clone()) {
            Some(result) => future::ProvideCredentials::ready(result.map_err(into_sdk_error)),
            None => future::ProvideCredentials::new(async move {
                let loaded = self.0.get_or_load(Requester::Caller).await;
                loaded.map_err(into_sdk_error)
            }),
        }
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.0.cached()
    }
}

impl fmt::Debug for RoleChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleChain")
            .field("hops", &self.status())
            .finish()
    }
}

#[cfg(test)]
#[path = "../../tests/unit/chain.rs"]
mod tests;
