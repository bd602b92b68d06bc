//! [`RoleChain`]: the provider. Each hop of a chain is a [`Hop`](hop::Hop) in a cache of its own.

mod base;
pub(crate) mod diagnose;
pub(crate) mod document;
mod hop;
mod identity;
pub(crate) mod policies;
pub(crate) mod pool;
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
use aws_smithy_runtime_api::client::identity::{ResolveIdentity, SharedIdentityCache};
use aws_types::SdkConfig;

use crate::cache::{CredentialsCache, LoadReason, Lookup};
use crate::error::{Error, Operation, Violation};
use crate::request::limits::check_region;
use crate::request::{
    AssumeRoleRequest, Inherited, Role, SamlAssertion, SessionTokenRequest, WebIdentityToken,
    check_saml_provider,
};

use hop::{Authentication, Hop, HopCache, Target, check_role};
use identity::ChainIdentityCache;

pub(crate) use base::Base;
pub(crate) use hop::Caller;
pub use renewal::SessionRenewal;
pub use status::{Health, HopStatus};
pub(crate) use store::{SessionStore, StoreLock};

/// A credentials provider for a role in another account, or for one that is reached through several.
///
/// A chain starts from a base [`SdkConfig`], whose credentials assume the first role;
/// [`assume`](Self::assume) goes on from there. Each hop caches its own credentials, so chains
/// *fork*: a thousand tenants built on one hub assume the hub once. Clones are cheap, and share
/// everything.
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
/// # What the base config provides
///
/// The source credentials (the default chain, a profile, any provider), the region, endpoint, FIPS and
/// dual-stack settings of STS (not beside an endpoint URL), the HTTP client, retries, timeouts, the clock and
/// the sleep. Where it sets no operation timeouts, a call to STS gets 6 s an attempt and 20 s in all. All hops
/// and forks of one chain share one STS client. Chains built separately share nothing, even on one base: begin
/// those with [`from_source`](Self::from_source), or set an `http_client` on the base.
///
/// # When credentials are refreshed
///
/// | session | refreshed in the last | the start is spread over |
/// |---|---|---|
/// | up to 20 minutes | 5 minutes | 2½ minutes |
/// | below 90 minutes | 15 minutes | 7½ minutes |
/// | longer | 60 minutes | 30 minutes |
///
/// - In that window callers get the cached credentials while one background refresh runs. A chain that
///   nobody uses stops refreshing.
/// - In the last minute callers wait for the refresh, and get the cached credentials when it fails. Nobody
///   waits longer than 1 s for a load while valid credentials are cached, nor than 5 s while expired ones are,
///   both counted from the beginning of the load.
/// - One load runs at a time, in a task of its own, for all who wait; a caller that gives up cancels
///   nothing.
/// - A failed refresh is retried after a quarter of the time left (10 s to 5 min, spread), and a second
///   before expiry.
/// - After expiry the last credentials are still served while STS cannot be reached or is busy: services
///   will reject them, but a clock may be wrong. The next try is due after half the time since expiry (10 s to
///   1 min), with one attempt instead of the SDK's three. A rejection that a retry cannot cure is then an
///   error, remembered for 5 s.
/// - With nothing cached callers wait for the load: 20 s a hop at most, and up to two minutes for its turn (see
///   below); as long as it takes where a person is asked. A failure is remembered for a second, a rejection
///   for 5.
/// - One region gets 32 calls at once, and 500 within a second
///   ([STS allows](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) an account 600 in
///   a region); [`limit_sts_calls`](Self::limit_sts_calls) sets another number. When STS throttles a call, the
///   rate falls by a fifth, and grows by 40 % a second from there; the call waits for its turn again, after up
///   to 2 s more, unless the base config turns retries off. Refreshes that nobody waits for get half of the 32.
///   Calls with an MFA code do not queue.
/// - Where STS says that the session of the hop before is expired or unknown, that hop is loaded once,
///   however many of its children complain, and STS is not asked again with the rejected key for 2 minutes.
/// - The base config's provider has two minutes, and so have the providers of tokens, assertions and codes
///   that ask no person.
/// - A clock that is set back by more than a minute makes the cached credentials due. One that is set forward by
///   a minute or more looks like a process that stood still: a load in flight may get a second one beside it. The
///   timer looks at the clock every minute, also after the machine was suspended.
///
/// Loads run in tasks on the tokio runtime of the caller; without one, a load is an error that says so. A
/// runtime that is dropped, or driven no more for a minute, holds up no caller elsewhere: the next one
/// loads again.
///
/// # Errors
///
/// As a provider it returns a `CredentialsError` with an [`Error`] as its source.
#[derive(Clone)]
pub struct RoleChain(HopCache);

impl RoleChain {
    /// Creates a chain of one role, assumed with the base config's credentials. No call is made yet.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, or a base config without a credentials provider or
    /// (where the role sets none either) a region.
    pub fn new(base: &SdkConfig, role: Role) -> Result<Self, Error> {
        let base = Arc::new(Base::with_source(base)?);
        Self::assume_with(base, Caller::Base, role, None)
    }

    /// Creates a chain that starts with the base config's own credentials, cached and shared by all roles
    /// assumed from it: for a program that assumes many with them, such as a role in each customer's
    /// account. No call is made yet.
    ///
    /// They are refreshed as the sessions of roles are; those without an expiry are asked for again after
    /// 15 minutes. Roles behind it share its STS client. As a provider it gives the credentials
    /// themselves.
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
        Ok(Self::node(Hop::new(base, Target::Source, 0, None)))
    }

    /// Creates a chain that starts with a session token for the base config's user: with MFA, one code
    /// serves every role behind it. No call is made yet.
    ///
    /// The base config must provide an IAM user's long-term keys; STS gives no session tokens to
    /// roles. Roles behind it get sessions of an hour at most.
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

    /// Creates a chain that starts with a role assumed by a web identity: on EKS (IRSA), in GitHub
    /// Actions, anywhere with an OpenID Connect token. The base config needs no credentials: the token
    /// authenticates. No call is made yet.
    ///
    /// Of the role's settings, AssumeRoleWithWebIdentity takes session name, duration (up to 12 hours; it is
    /// not role chaining), session policies and region. An identity provider that STS cannot ask for its
    /// keys is tried three times; an expired token is read once more.
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
        Self::web_identity(Arc::new(Base::without_source(base)?), role, token)
    }

    /// Creates a chain that starts with a role assumed by a SAML assertion, after a sign-in with a
    /// company's identity provider. The base config needs no credentials. No call is made yet.
    ///
    /// `principal_arn` is the SAML provider in the role's account,
    /// `arn:<partition>:iam::<account>:saml-provider/<name>`. Of the role's settings,
    /// AssumeRoleWithSAML takes duration (up to 12 hours; the assertion may end the session earlier),
    /// session policies and region; session name and tags come in the assertion. Not for the roles
    /// that IAM Identity Center makes (`AWSReservedSSO_…`).
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
    ///     SamlAssertion::from_provider(sign_in), // asks the person, gives base64
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
        let request = check_role(role, &Inherited::nothing(), operation)?;
        let authentication = Authentication::Saml {
            provider_arn,
            assertion,
        };
        let base = Arc::new(Base::without_source(base)?);
        Self::first_hop(base, Target::Role(request, authentication))
    }

    /// Creates a chain as [`from_web_identity`](Self::from_web_identity) does, from the environment
    /// variables that EKS and other platforms set: `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN` and, if
    /// it is there, `AWS_ROLE_SESSION_NAME`.
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
    /// A variable that is not there or not Unicode, or holds an [invalid](Error::is_invalid) role.
    pub fn from_web_identity_env(base: &SdkConfig) -> Result<Self, Error> {
        Self::from_web_identity_vars(base, std::env::var)
    }

    fn from_web_identity_vars(
        base: &SdkConfig,
        var: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, Error> {
        let required = |name: &'static str| {
            var(name).map_err(|error| {
                let rule = format!("{error}: it says which role a web identity assumes");
                Violation::new(name, rule, None).into_error(Operation::CheckBase)
            })
        };
        let file = required("AWS_WEB_IDENTITY_TOKEN_FILE")?;
        let mut role = Role::new(required("AWS_ROLE_ARN")?);
        if let Ok(name) = var("AWS_ROLE_SESSION_NAME") {
            role = role.session_name(name);
        }
        Self::from_web_identity(base, role, WebIdentityToken::from_file(file))
    }

    /// Creates a chain that goes on from this one: `role` is assumed with this chain's credentials. Chains
    /// made from one parent share it, and its credentials. No call is made yet.
    ///
    /// Call it once for each role, not once for each request: a chain that is dropped takes its cached
    /// credentials along.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, also for what only a chain can know: a duration over one
    /// hour, an inherited transitive tag set again, a source identity changed. A region, where neither
    /// the role nor the base config has one.
    pub fn assume(&self, role: Role) -> Result<Self, Error> {
        let base = self.hop().base.clone();
        Self::assume_with(base, Caller::Hop(self.0.clone()), role, None)
    }

    /// Returns the ARN of the role whose credentials this chain provides; `None` where it is no role: for a
    /// session token, and for the source.
    pub fn role_arn(&self) -> Option<&str> {
        self.hop().role_arn().map(|arn| &**arn)
    }

    /// Returns the base config with this chain as its credentials provider: the shortest way to a client.
    ///
    /// For a client in another region than the base's: `sdk_config().into_builder().region(..).build()`.
    ///
    /// The config has an identity cache that leaves the caching to the chain: more tenants than the SDK's own
    /// holds (64) cost nothing, [`refresh`](Self::refresh) takes effect with the next call, and a person who is
    /// asked for a code has all the time; the SDK's own gives up waiting after some 20 s, and the next call finds
    /// what came of it. Another provider that is set on a client or an operation is cached as the SDK does it.
    pub fn sdk_config(&self) -> SdkConfig {
        let config = &self.hop().base.config;
        let provider = SharedCredentialsProvider::new(self.clone());
        let mut builder = config.to_builder();
        // A provider has one: the SDK tells providers apart by it.
        if let Some(partition) = provider.cache_partition() {
            let others = config.identity_cache();
            let cache = ChainIdentityCache::new(self.0.clone(), partition, others);
            builder.set_identity_cache(Some(SharedIdentityCache::new(cache)));
        }
        builder.credentials_provider(provider).build()
    }

    /// Returns an interceptor and retry classifier for a client's config: when the service rejects the session
    /// (`ExpiredToken`, `InvalidToken` and the like, because it was revoked, or because the clock was set
    /// back), the chain is renewed, and the client's own retry succeeds. A service that rejects a session of
    /// less than a minute is believed.
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

    /// Assumes the role now, whatever is cached: to warm up, or after its sessions were revoked. With
    /// nothing cached yet, a session stored in the AWS CLI's cache will do, where a profile's chain has
    /// that. Joins a load that is in flight. The hops before it are asked as for any load: to renew them
    /// too, refresh them first. When it fails, the cached credentials stay.
    ///
    /// An SDK client that caches identities itself (any but those from
    /// [`sdk_config`](Self::sdk_config)) goes on with what it has until shortly before expiry.
    ///
    /// # Errors
    ///
    /// The reason why the role, or one before it, could not be assumed.
    pub async fn refresh(&self) -> Result<(), Error> {
        let refreshed = self.0.refresh().await;
        refreshed.map_err(|error| error.with_chain_len(self.hop().number))
    }

    /// Returns credentials that stay valid for at least `duration`: the cached ones, or new ones, for which it waits.
    /// For what outlives the call, such as a presigned URL, which is good for no longer than the credentials that
    /// signed it.
    ///
    /// A role that is assumed with another role's credentials gets one hour ([role
    /// chaining](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining)), so
    /// nothing that is signed with them is good for longer. Other roles give what [`Role::duration`] asks for. Ask
    /// for less than the whole: each call within what is left of that needs a new session.
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
    /// The reason why the role, or one before it, could not be assumed. Where credentials are cached, or STS gives
    /// none that last so long, the error says how long they stay valid, and a reason for which a load failed is
    /// its [`source`](std::error::Error::source).
    pub async fn credentials_valid_for(&self, duration: Duration) -> Result<Credentials, Error> {
        let valid = self.0.get_valid_for(duration).await;
        valid.map_err(|error| error.with_chain_len(self.hop().number))
    }

    /// Sets how many calls to one region's STS may begin within a second: 500 where nothing is set. Takes effect at
    /// once, for all chains that share this one's base.
    ///
    /// STS's quota is the account's: [600 calls a
    /// second](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) in a region, of all its
    /// programs together. A process that is throttled slows down by itself, and its calls wait for their turn
    /// again; set less to leave some of the quota to others from the start.
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

    /// Returns what is known of each hop, the first one first. Makes no call.
    pub fn status(&self) -> Vec<HopStatus> {
        let chain_len = self.hop().number;
        let hops = self.hops().into_iter();
        hops.map(|hop| HopStatus::of(hop, chain_len)).collect()
    }

    /// Returns whether this chain can provide credentials, judged by what is known. Makes no call.
    ///
    /// For a readiness probe: a program whose chain is [failing](Health::Failing) should get no work. Ask for
    /// credentials in the probe, too, as the example `health` does: a program without work makes no calls that
    /// would load them. Not for a liveness probe: a restart cures nothing, and loses the cached credentials. To
    /// know before the first call, [`refresh`](Self::refresh) once at start-up.
    ///
    /// To be told before calls fail, alert on [degraded](Health::Degraded). A chain is that from the first refresh that
    /// fails, and not from the beginning of an outage: until then nobody asks STS.
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

    /// Creates a chain that goes on from `caller`; its last hop's sessions are kept in `store`.
    pub(crate) fn assume_with(
        base: Arc<Base>,
        caller: Caller,
        role: Role,
        store: Option<Arc<dyn SessionStore>>,
    ) -> Result<Self, Error> {
        let request = caller.check(role)?;
        Self::assume_checked(base, caller, request, store)
    }

    /// Creates a chain that goes on from the `caller` that has checked the request.
    fn assume_checked(
        base: Arc<Base>,
        caller: Caller,
        request: Arc<AssumeRoleRequest>,
        store: Option<Arc<dyn SessionStore>>,
    ) -> Result<Self, Error> {
        let number = caller.inherited().hop;
        let target = Target::Role(request, Authentication::Caller(caller));
        Self::checked(Hop::new(base, target, number, store))
    }

    pub(crate) fn session_token(
        base: Arc<Base>,
        request: SessionTokenRequest,
    ) -> Result<Self, Error> {
        let request = request
            .check()
            .map_err(|violation| violation.into_hop_error(Operation::GetSessionToken, None, 1))?;
        Self::first_hop(base, Target::SessionToken(request))
    }

    pub(crate) fn web_identity(
        base: Arc<Base>,
        role: Role,
        token: WebIdentityToken,
    ) -> Result<Self, Error> {
        let operation = Operation::AssumeRoleWithWebIdentity;
        let request = check_role(role, &Inherited::nothing(), operation)?;
        Self::first_hop(
            base,
            Target::Role(request, Authentication::WebIdentity(token)),
        )
    }

    fn first_hop(base: Arc<Base>, target: Target) -> Result<Self, Error> {
        Self::checked(Hop::new(base, target, 1, None))
    }

    /// Checks that it is known which STS to call.
    fn checked(hop: Hop) -> Result<Self, Error> {
        let violation = match hop.region() {
            Some(region) => check_region(region.as_ref()).err(),
            None => {
                let rule = "must be set, on the base config (AWS_REGION, say) or on the role: it says \
                            which STS to call";
                Some(Violation::new("region", rule, None))
            }
        };
        match violation {
            Some(violation) => Err(violation.into_error(Operation::CheckBase)),
            None => Ok(Self::node(hop)),
        }
    }

    fn node(hop: Hop) -> Self {
        let (time, sleep) = (hop.base.time.clone(), hop.base.sleep.clone());
        Self(CredentialsCache::new(hop, time, sleep))
    }
    pub(crate) fn into_caller(self) -> Caller {
        Caller::Hop(self.0)
    }

    /// Whether somebody but its caller has this chain: another handle, a client, a chain that goes on from it, or a
    /// load that runs.
    fn is_held(&self) -> bool {
        self.0.handles() > 1
    }

    fn hop(&self) -> &Hop {
        self.0.loader()
    }

    /// The caches of all hops, the first one first.
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
            Lookup::Ready(result) => {
                future::ProvideCredentials::ready(result.map_err(into_sdk_error))
            }
            Lookup::Miss => future::ProvideCredentials::new(async move {
                let loaded = self.0.get_or_load(LoadReason::ON_DEMAND).await;
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
