//! [`RoleChain`]: a node is its parent, what to ask STS for, and its own cached credentials.

use std::env::VarError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, default_async_sleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::runtime::Handle;

use crate::advice::{Asked, Call, advice};
#[cfg(feature = "policy")]
use crate::cell::catch_unwind;
use crate::cell::{Cell, Load, Session, Taken, Why};
use crate::error::{Error, Kind, SourceFailure, timestamp};
use crate::mfa::{Clock, Mfa};
#[cfg(feature = "policy")]
use crate::policy;
use crate::role::{Before, CHAINED_LIMIT, Request, Role, check_region, check_saml_provider};
#[cfg(feature = "policy")]
use crate::start::Claims;
use crate::start::{GetSessionToken, SamlAssertion, SessionToken, WebIdentityToken};
use crate::sts::{self, Sts};

/// How long the base config's provider may take, or a web identity's token. The SDK's own cache gives a
/// provider some twenty seconds; a sign-in in a browser takes longer, and a provider that hangs must not
/// hang for ever.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long source credentials without an expiry are kept, before their source is asked again: as long as
/// the SDK's own cache keeps such.
const SOURCE_KEPT: Duration = Duration::from_secs(15 * 60);

/// Those that have less left, or nothing, by what the source says, are kept so long: some sources renew at
/// expiry only, and others give what they have while they cannot.
const SOURCE_KEPT_AT_LEAST: Duration = Duration::from_secs(10);

/// What STS gives where no duration is asked for.
const DEFAULT_DURATION: Duration = Duration::from_secs(3600);
const DEFAULT_TOKEN_DURATION: Duration = Duration::from_secs(43_200);

/// How often a token is tried whose issuer STS cannot ask for its keys, and the first wait between.
const TOKEN_ATTEMPTS: u32 = 3;
const TOKEN_RETRY: Duration = Duration::from_secs(1);

/// Credentials of a role in another account, or of one reached through several.
///
/// A chain starts from a base [`SdkConfig`], whose credentials assume the first role;
/// [`assume`](Self::assume) goes on from there. Each hop caches its own credentials, so chains
/// *fork*: a thousand tenants built on one hub assume the hub once.
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
/// # What the base config gives
///
/// The source credentials (the default chain, a profile, any provider), the region, endpoint, FIPS
/// and dual-stack settings of STS, the HTTP client, retries, timeouts, the clock and the sleep.
/// Where it sets no operation timeouts, a call to STS gets 6 s an attempt and 20 s in all. All hops
/// and forks of one chain share one STS client. Chains built separately share nothing, though on one
/// base: begin those with [`from_source`](Self::from_source), or set an `http_client` on the base.
///
/// # When credentials are refreshed
///
/// | session | refreshed in the last | the start is spread over |
/// |---|---|---|
/// | up to 20 minutes | 5 minutes | 2½ minutes |
/// | below 90 minutes | 15 minutes | 7½ minutes |
/// | longer | 60 minutes | 30 minutes |
///
/// - In that window callers go on with the credentials in hand. A chain whose credentials were handed
///   out refreshes itself, asked or not; one that nobody asks any more stops.
/// - In the last minute callers wait for the refresh, 5 s at the most, and get the credentials in hand
///   when it fails or takes longer. Once one has waited so long, the others do not wait for that load.
/// - One load runs at a time, in a task of its own, for all who wait; a caller that gives up cancels
///   nothing.
/// - A failed refresh is tried again after a quarter of the time left (10 s to 5 min, spread), and a second
///   before expiry.
/// - After expiry the last credentials are still served while STS cannot be reached or is busy: services
///   will refuse them, but a clock may be wrong. Every 10 s there is another try, for which callers wait
///   as in the last minute. A refusal that a retry cannot cure is an error then, remembered for 5 s.
/// - Without credentials in hand callers wait for the load: 20 s a hop at the most, and up to 60 s for a
///   place among the 32 calls that one region gets at once, and 500 within a second
///   ([STS allows](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)
///   an account 600 in a region); as long as it takes where a person is asked. A failure is remembered
///   for a second, a refusal for 5.
/// - The base config's provider, and whoever gives a web identity's token, have two minutes.
///
/// Tasks run on the tokio runtime of the caller. Without one, the caller loads inline, and nothing
/// refreshes by itself; the base config needs a sleep that works there, or none.
///
/// # Errors
///
/// As a provider it returns a `CredentialsError` with an [`Error`] as its source.
#[derive(Clone)]
pub struct RoleChain(Cell<Hop>);

impl RoleChain {
    /// The first role, assumed with the base config's credentials. No call is made yet.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, or a base config without a credentials provider or
    /// (where the role sets none either) a region.
    pub fn new(base: &SdkConfig, role: Role) -> Result<Self, Error> {
        let base = Arc::new(Base::new(base, true)?);
        Self::assume_from(Parent::Source, base, role)
    }

    /// A chain that starts with the base config's own credentials, kept and shared by all roles assumed
    /// from it: for a program that assumes many with them, such as a role in each customer's account.
    /// No call is made yet.
    ///
    /// They are refreshed as the sessions of roles are; those without an expiry are asked for again
    /// after 15 minutes. Roles behind it share its STS client. As a provider it gives the
    /// credentials themselves.
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
        let base = Arc::new(Base::new(base, true)?);
        Ok(Self::node(Parent::Source, base, Ask::Source, 0))
    }

    /// A chain that starts with a session token for the base config's user: with MFA, one code
    /// serves every role behind it. No call is made yet.
    ///
    /// The base config must provide an IAM user's long-term keys; STS gives no session tokens to
    /// roles. Roles behind it get sessions of an hour at most.
    ///
    /// ```no_run
    /// # async fn example(base: aws_types::SdkConfig) -> Result<(), aws_role_chain::Error> {
    /// use aws_role_chain::{GetSessionToken, Role, RoleChain, TerminalPrompt};
    ///
    /// let me = RoleChain::from_session_token(
    ///     &base,
    ///     GetSessionToken::new().mfa("arn:aws:iam::111111111111:mfa/ada", TerminalPrompt::new()),
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
    pub fn from_session_token(base: &SdkConfig, request: GetSessionToken) -> Result<Self, Error> {
        Self::session_token(Arc::new(Base::new(base, true)?), request)
    }

    /// A chain that starts with a role assumed by a web identity: on EKS (IRSA), in GitHub Actions,
    /// anywhere with an OpenID Connect token. The base config needs no credentials: the token takes
    /// their place. No call is made yet.
    ///
    /// Of the role's settings, AssumeRoleWithWebIdentity takes session name, duration (up to 12
    /// hours; it is not role chaining), session policies and region. An identity provider that
    /// cannot be asked for its keys just then is tried three times; an expired token is read once
    /// more.
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
        let base = Arc::new(Base::new(base, false)?);
        Self::assume_from(Parent::WebIdentity(token), base, role)
    }

    /// A chain that starts with a role assumed by a SAML assertion, after a sign-in with a company's
    /// identity provider. The base config needs no credentials. No call is made yet.
    ///
    /// `principal_arn` is the SAML provider in the role's account,
    /// `arn:<partition>:iam::<account>:saml-provider/<name>`. Of the role's settings,
    /// AssumeRoleWithSAML takes duration (up to 12 hours; the assertion may end the session earlier),
    /// session policies and region; session name and tags come in the assertion. Not for the roles
    /// that IAM Identity Center makes (`AWSReservedSSO_…`).
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
        let principal_arn = principal_arn.into();
        check_saml_provider(&principal_arn).map_err(|broken| broken.into_error(None, 1))?;
        let base = Arc::new(Base::new(base, false)?);
        let parent = Parent::Saml {
            principal_arn,
            assertion,
        };
        Self::assume_from(parent, base, role)
    }

    /// As [`from_web_identity`](Self::from_web_identity), from the environment variables that EKS and
    /// other platforms set: `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN` and, if it is there,
    /// `AWS_ROLE_SESSION_NAME`.
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
        let needed = |name: &'static str| {
            var(name).map_err(|error| {
                let rule = format!("{error}: it says which role a web identity assumes");
                Error::invalid_base(name, &rule)
            })
        };
        let file = needed("AWS_WEB_IDENTITY_TOKEN_FILE")?;
        let mut role = Role::new(needed("AWS_ROLE_ARN")?);
        if let Ok(name) = var("AWS_ROLE_SESSION_NAME") {
            role = role.session_name(name);
        }
        Self::from_web_identity(base, role, WebIdentityToken::from_file(file))
    }

    /// A chain that goes on from this one: `role` is assumed with this chain's credentials. Chains
    /// made from one parent share it, and its credentials. No call is made yet.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, also for what only a chain can know: a duration over one
    /// hour, an inherited transitive tag set again, a source identity changed. A region, where neither
    /// the role nor the base config has one.
    pub fn assume(&self, role: Role) -> Result<Self, Error> {
        let base = self.hop().base.clone();
        Self::assume_from(Parent::Chain(self.clone()), base, role)
    }

    /// The role whose credentials this chain provides; `None` for a session token's user and for the
    /// source.
    pub fn role_arn(&self) -> Option<&str> {
        self.hop().role().map(|role| &*role.role_arn)
    }

    /// The base config with this chain as its credentials provider: the shortest way to a client.
    ///
    /// A client in another region than the base's: `sdk_config().into_builder().region(..).build()`.
    ///
    /// The SDK's identity cache is off in it, because the chain caches: more tenants than that
    /// cache holds (64) cost nothing, and [`refresh`](Self::refresh) takes effect with the next call.
    pub fn sdk_config(&self) -> SdkConfig {
        let base = self.hop().base.config.to_builder();
        base.credentials_provider(SharedCredentialsProvider::new(self.clone()))
            .identity_cache(IdentityCache::no_cache())
            .build()
    }

    /// Assumes the role now, whatever is in hand: to warm up, or after its sessions were revoked. (With
    /// nothing in hand yet, a session kept in the AWS CLI's cache will do, where a profile's chain has that.)
    /// Joins a load that is under way. The hops before it are asked as for any load: to renew
    /// them too, refresh them first. When it fails, the credentials in hand stay.
    ///
    /// An SDK client that caches identities itself (any but those from
    /// [`sdk_config`](Self::sdk_config)) goes on with what it has until shortly before expiry.
    ///
    /// # Errors
    ///
    /// Why the role, or one before it, could not be assumed.
    pub async fn refresh(&self) -> Result<(), Error> {
        let refreshed = self.0.refresh().await;
        refreshed.map_err(|error| error.seen_from(self.hop().number))
    }

    /// What is known of each hop, the first one first. Makes no call.
    pub fn status(&self) -> Vec<HopStatus> {
        let length = self.hop().number;
        let hops = self.hops().into_iter();
        hops.map(|hop| hop.hop_status(length)).collect()
    }

    pub(crate) fn session_token(base: Arc<Base>, request: GetSessionToken) -> Result<Self, Error> {
        let request = request
            .check()
            .map_err(|broken| broken.into_error(None, 1))?;
        Self::add(Parent::Source, base, Ask::SessionToken(request), 1)
    }

    pub(crate) fn assume_from(parent: Parent, base: Arc<Base>, role: Role) -> Result<Self, Error> {
        match &parent {
            Parent::WebIdentity(_) => role.check_for_token(false)?,
            Parent::Saml { .. } => role.check_for_token(true)?,
            Parent::Source | Parent::Chain(_) => {}
        }
        let before = parent.inherited();
        let number = before.hop;
        let request = role.check(&before)?;
        Self::add(parent, base, Ask::Role(request), number)
    }

    fn add(parent: Parent, base: Arc<Base>, ask: Ask, number: usize) -> Result<Self, Error> {
        match (ask.region(), base.config.region()) {
            (Some(_), _) => {}
            (None, Some(region)) => {
                check_region(region.to_string()).map_err(|broken| broken.into_error(None, 0))?;
            }
            (None, None) => {
                return Err(Error::invalid_base(
                    "region",
                    "must be set, on the base config (AWS_REGION, say) or on the role: it says which \
                     STS to call",
                ));
            }
        }
        Ok(Self::node(parent, base, ask, number))
    }

    fn node(parent: Parent, base: Arc<Base>, ask: Ask, number: usize) -> Self {
        let (time, sleep) = (base.time.clone(), base.sleep.clone());
        let hop = Hop {
            parent,
            base,
            ask,
            number,
            limited_to_one_hour: AtomicBool::new(false),
            parent_is_innocent: AtomicBool::new(false),
        };
        Self(Cell::new(hop, time, sleep))
    }

    pub(crate) fn hop(&self) -> &Hop {
        self.0.loader()
    }

    /// This hop and those before it, the last one first.
    fn upwards(&self) -> impl Iterator<Item = &RoleChain> {
        std::iter::successors(Some(self), |chain| match &chain.hop().parent {
            Parent::Chain(parent) => Some(parent),
            _ => None,
        })
    }

    /// The same, the first one first.
    pub(crate) fn hops(&self) -> Vec<&RoleChain> {
        let mut hops: Vec<_> = self.upwards().collect();
        hops.reverse();
        hops
    }

    fn roles_upwards(&self) -> impl Iterator<Item = &Request> {
        self.upwards().filter_map(|chain| chain.hop().role())
    }

    /// What a role added to this chain inherits.
    fn inherited(&self) -> Before<'_> {
        Before {
            hop: self.hop().number + 1,
            session_name: self.hop().role().map(|role| &*role.session_name),
            partition: self
                .roles_upwards()
                .find_map(|role| role.role_arn.split(':').nth(1)),
            source_identity: self
                .roles_upwards()
                .find_map(|role| role.source_identity.as_deref()),
            transitive_keys: self
                .roles_upwards()
                .flat_map(|role| &role.tags)
                .filter(|tag| tag.transitive)
                .map(|tag| tag.key.as_str())
                .collect(),
        }
    }

    /// For each role, the first one first: what is asked for, and by whom.
    #[cfg(feature = "policy")]
    pub(crate) fn asked(&self) -> Vec<policy::Asked<'_>> {
        self.hops()
            .into_iter()
            .filter_map(|chain| {
                let hop = chain.hop();
                let (by, proved) = match &hop.parent {
                    Parent::Source => (policy::By::Source, false),
                    Parent::WebIdentity(_) => (policy::By::WebIdentity, false),
                    Parent::Saml { principal_arn, .. } => (policy::By::Saml(principal_arn), false),
                    Parent::Chain(parent) => match parent.role_arn() {
                        Some(role) => (policy::By::Role(role), false),
                        None => (policy::By::Source, parent.hop().ask.mfa().is_some()),
                    },
                };
                Some(policy::Asked {
                    hop: hop.number,
                    role: hop.role()?,
                    inherited: hop.parent.inherited(),
                    by,
                    mfa: proved || hop.ask.mfa().is_some(),
                })
            })
            .collect()
    }

    #[cfg(feature = "policy")]
    pub(crate) fn session(&self) -> Option<Session> {
        self.0.snapshot().session
    }

    #[cfg(feature = "policy")]
    pub(crate) fn now(&self) -> SystemTime {
        self.hop().base.time.now()
    }

    fn hop_status(&self, length: usize) -> HopStatus {
        let known = self.0.snapshot();
        // A source's keys may be good for ever, however long they are kept here.
        let lasts = |session: &Session| session.credentials.expiry().is_none();
        let lasts = known.session.as_ref().is_some_and(lasts);
        HopStatus {
            hop: self.hop().number,
            role_arn: self.role_arn().map(str::to_owned),
            session_arn: known
                .session
                .as_ref()
                .and_then(|session| session.arn.as_deref().map(str::to_owned)),
            access_key_id: known
                .session
                .as_ref()
                .map(|session| session.credentials.access_key_id().to_owned()),
            expiry: known
                .session
                .filter(|_| !lasts)
                .map(|session| session.expiry),
            is_expired: known.is_expired && !lasts,
            next_refresh: known.next_refresh,
            last_error: known.last_error.map(|error| error.seen_from(length)),
        }
    }

    /// For a role behind this chain.
    async fn credentials(&self, why: Why) -> Result<Credentials, Error> {
        match self.0.take() {
            Taken::Ready(Err(_)) if why.insists => self.0.wait(why).await,
            Taken::Ready(result) => result,
            Taken::Wait if !why.attended && self.hop().asks_a_person() => {
                Err(self.hop().error(Kind::Unattended))
            }
            Taken::Wait => {
                let why = Why {
                    insists: false,
                    ..why
                };
                self.0.wait(why).await
            }
        }
    }
}

impl ProvideCredentials for RoleChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let seen_from_here = |error: Error| error.seen_from(self.hop().number).into();
        match self.0.take() {
            Taken::Ready(result) => {
                future::ProvideCredentials::ready(result.map_err(seen_from_here))
            }
            Taken::Wait => future::ProvideCredentials::new(async move {
                self.0.wait(Why::NEEDED).await.map_err(seen_from_here)
            }),
        }
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.0.in_hand()
    }
}

impl fmt::Debug for RoleChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleChain")
            .field("hops", &self.status())
            .finish()
    }
}

/// What is known of one hop of a chain, for a health page; see [`RoleChain::status`].
///
/// `Display` is one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HopStatus {
    /// Place in the chain, from 1; 0 for source credentials, where the chain
    /// [keeps](RoleChain::from_source) them.
    pub hop: usize,
    /// The role; `None` for a session token and the source.
    pub role_arn: Option<String>,
    /// The session in hand, as CloudTrail and trust policies name it:
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session name>`.
    pub session_arn: Option<String>,
    /// The access key id in hand; not a secret.
    pub access_key_id: Option<String>,
    /// When the credentials in hand expire; `None` before the first load, and for source credentials
    /// that do not.
    pub expiry: Option<SystemTime>,
    /// Whether there are no credentials in hand that are good by the base config's clock.
    pub is_expired: bool,
    /// When the next refresh is due, if the chain is still used then; `None` before the first load.
    pub next_refresh: Option<SystemTime>,
    /// Why the last load failed; `None` after a success.
    pub last_error: Option<Error>,
}

impl fmt::Display for HopStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.role_arn {
            Some(role_arn) => role_arn,
            None if self.hop == 0 => "source credentials",
            None => "session token",
        })?;
        match self.expiry {
            Some(expiry) if self.is_expired && self.last_error.is_none() => {
                // Nobody has asked since.
                let expiry = timestamp(expiry);
                return write!(f, ": expired at {expiry}, fetched anew when next asked for");
            }
            Some(expiry) if self.is_expired => {
                write!(f, ": expired at {}, and still served", timestamp(expiry))?;
            }
            Some(expiry) => write!(f, ": until {}", timestamp(expiry))?,
            None if self.access_key_id.is_some() => f.write_str(": without an expiry")?,
            None => f.write_str(": no credentials yet")?,
        }
        if let Some(next) = self.next_refresh {
            write!(f, ", next refresh at {}", timestamp(next))?;
        }
        match &self.last_error {
            Some(error) => write!(f, ", last load failed: {}", error.with_causes()),
            None => Ok(()),
        }
    }
}

/// What all hops and forks of a chain share.
pub(crate) struct Base {
    pub(crate) config: SdkConfig,
    /// None only where a chain starts without credentials.
    source: Option<SharedCredentialsProvider>,
    time: SharedTimeSource,
    sleep: Option<SharedAsyncSleep>,
    sts: Sts,
}

impl Base {
    pub(crate) fn new(config: &SdkConfig, needs_source: bool) -> Result<Self, Error> {
        let source = config.credentials_provider();
        if needs_source && source.is_none() {
            return Err(Error::invalid_base(
                "credentials_provider",
                "must be set, as aws_config::load_defaults does: its credentials assume the first role",
            ));
        }
        // Tokio's needs tokio.
        let in_tokio = || {
            Handle::try_current()
                .ok()
                .and_then(|_| default_async_sleep())
        };
        let sleep = config.sleep_impl().or_else(in_tokio);
        Ok(Self {
            source,
            time: config.time_source().unwrap_or_default(),
            sts: Sts::new(config.clone(), sleep.clone()),
            sleep,
            config: config.clone(),
        })
    }
}

/// Who asks STS.
pub(crate) enum Parent {
    /// The base config's provider.
    Source,
    Chain(RoleChain),
    /// Nobody signs: the token says who asks.
    WebIdentity(WebIdentityToken),
    /// Nor here.
    Saml {
        principal_arn: String,
        assertion: SamlAssertion,
    },
}

impl Parent {
    /// What a role that it assumes inherits.
    pub(crate) fn inherited(&self) -> Before<'_> {
        match self {
            Self::Chain(parent) => parent.inherited(),
            _ => Before::default(),
        }
    }
}

/// What a node fetches.
pub(crate) enum Ask {
    /// The base config's own credentials: STS is not asked.
    Source,
    Role(Request),
    SessionToken(SessionToken),
}

impl Ask {
    fn region(&self) -> Option<&Region> {
        match self {
            Self::Source => None,
            Self::Role(role) => role.region.as_ref(),
            Self::SessionToken(token) => token.region.as_ref(),
        }
    }

    /// How long the session is asked to last; none for STS's default.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Source => None,
            Self::Role(role) => role.duration_seconds,
            Self::SessionToken(token) => token.duration_seconds,
        };
        // Checked to be 900 and more.
        seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into()))
    }

    /// How long the session lasts at the most.
    pub(crate) fn longest(&self) -> Duration {
        self.duration().unwrap_or(match self {
            Self::Source => SOURCE_KEPT,
            Self::Role(_) => DEFAULT_DURATION,
            Self::SessionToken(_) => DEFAULT_TOKEN_DURATION,
        })
    }

    pub(crate) fn mfa(&self) -> Option<&Mfa> {
        match self {
            Self::Source => None,
            Self::Role(role) => role.mfa.as_ref(),
            Self::SessionToken(token) => token.mfa.as_ref(),
        }
    }
}

pub(crate) struct Hop {
    pub(crate) parent: Parent,
    base: Arc<Base>,
    pub(crate) ask: Ask,
    /// Place in the chain, from 1; 0 for the source.
    pub(crate) number: usize,
    /// STS has said that the source's credentials are a role's, so that one hour is the most.
    limited_to_one_hour: AtomicBool,
    /// STS refuses here even a new session of the parent's.
    parent_is_innocent: AtomicBool,
}

impl Load for Hop {
    fn load(&self, why: Why) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(async move {
            #[cfg(feature = "cli-cache")]
            if let Some(entry) = self.role().and_then(|role| role.cli_cache.as_ref()) {
                return self.load_through(entry, why).await;
            }
            self.fetch(why).await
        })
    }

    fn asks_a_person(&self) -> bool {
        if self.ask.mfa().is_some_and(|mfa| mfa.codes.is_interactive()) {
            return true;
        }
        match &self.parent {
            // With credentials in hand it needs to ask nobody.
            Parent::Chain(parent) => parent.hop().asks_a_person() && !parent.0.is_good(),
            Parent::Saml { assertion, .. } => assertion.is_interactive(),
            Parent::Source | Parent::WebIdentity(_) => false,
        }
    }

    fn error(&self, kind: Kind) -> Error {
        self.failed(kind, Vec::new(), None)
    }

    fn is_own(&self, error: &Error) -> bool {
        error.is_of_hop(self.number)
    }
}

impl Hop {
    /// From STS, or from the source.
    async fn fetch(&self, why: Why) -> Result<Session, Error> {
        match (&self.parent, &self.ask) {
            (_, Ask::Source) => self.load_source().await,
            (Parent::Source | Parent::Chain(_), _) | (_, Ask::SessionToken(_)) => {
                self.assume(why).await
            }
            (_, Ask::Role(role)) => self.assume_with_token(role).await,
        }
    }

    async fn load_source(&self) -> Result<Session, Error> {
        let credentials = self.source_credentials().await?;
        let (now, until) = (self.base.time.now(), credentials.expiry());
        let session = Session {
            expiry: match until {
                Some(until) => until.max(now + SOURCE_KEPT_AT_LEAST),
                None => now + SOURCE_KEPT,
            },
            credentials,
            arn: None,
            kept: false,
        };
        tracing::debug!(
            target: "aws_role_chain",
            access_key_id = session.credentials.access_key_id(),
            expiry = until.map(|until| timestamp(until).to_string()),
            "loaded the source credentials"
        );
        Ok(session)
    }

    /// From the CLI's cache or, one process at a time, from STS.
    #[cfg(feature = "cli-cache")]
    async fn load_through(
        &self,
        entry: &crate::cli_cache::Entry,
        why: Why,
    ) -> Result<Session, Error> {
        let kept = || {
            let session = entry.read(self.base.time.now(), self.ask.longest())?;
            // Who insists wants one of STS's, and what is in hand needs no second look.
            let is_newer = why.in_hand_until.is_none_or(|until| session.expiry > until);
            let taken = is_newer && !(why.insists && why.renewal);
            taken.then(|| {
                tracing::debug!(
                    target: "aws_role_chain",
                    role = self.role().map(|role| &*role.role_arn),
                    hop = self.number,
                    session = session.arn.as_deref(),
                    access_key_id = session.credentials.access_key_id(),
                    expiry = %timestamp(session.expiry),
                    "took a session from the AWS CLI's cache"
                );
                session
            })
        };
        if let Some(session) = kept() {
            return Ok(session);
        }
        // No lock is held while another is waited for: two chains may meet each other's.
        if let Parent::Chain(parent) = &self.parent
            && parent.roles_upwards().any(|role| role.cli_cache.is_some())
        {
            parent.credentials(why).await?;
        }
        let asks_a_person = self.asks_a_person();
        let _lock = entry.lock(asks_a_person, self.base.sleep.as_ref()).await;
        if let Some(session) = kept() {
            return Ok(session);
        }
        let session = self.fetch(why).await?;
        entry.write(&session);
        Ok(session)
    }

    /// The parent is asked first, then the call is signed with what it gave.
    async fn assume(&self, why: Why) -> Result<Session, Error> {
        let mut caller = self.caller(why).await?;
        let mut answer = self.call_sts(&caller, why).await;
        if let (Err(failure), Parent::Chain(parent)) = (&answer, &self.parent)
            && sts::is_bad_caller(failure)
            && !self.parent_is_innocent.load(Ordering::Relaxed)
        {
            // The hop before may hold a session that died early: its role was deleted and made
            // again, say.
            if parent.0.reject(caller.access_key_id()) {
                let refused = caller.access_key_id().to_owned();
                caller = self.caller(why).await?;
                answer = self.call_sts(&caller, why).await;
                // If a new session does no better, it is not the session: its siblings need it.
                let no_better = answer.as_ref().is_err_and(sts::is_bad_caller);
                let is_new = caller.access_key_id() != refused;
                self.parent_is_innocent
                    .store(no_better && is_new, Ordering::Relaxed);
            }
        }
        if answer.is_ok() {
            self.parent_is_innocent.store(false, Ordering::Relaxed);
        }
        let session = answer.map_err(|failure| self.refused(failure, Some(&caller)))?;
        Ok(self.taken(session, Some(&caller)))
    }

    /// A new session lasts as long as was asked for, by this machine's clock too: where that is
    /// behind STS's, the expiry that STS gives would come too late.
    fn taken(&self, mut session: Session, caller: Option<&Credentials>) -> Session {
        let longest = self.base.time.now() + self.ask.longest();
        if session.expiry > longest {
            session.expiry = longest;
            *session.credentials.expiry_mut() = Some(longest);
        }
        self.log(&session, caller);
        session
    }

    async fn caller(&self, why: Why) -> Result<Credentials, Error> {
        let caller = match &self.parent {
            Parent::Chain(parent) => parent.credentials(why).await?,
            _ => self.source_credentials().await?,
        };
        match &self.ask {
            Ask::SessionToken(_) if caller.session_token().is_some() => {
                let access_key_id = caller.access_key_id().to_owned();
                Err(self.error(Kind::TemporarySource { access_key_id }))
            }
            _ => Ok(caller),
        }
    }

    /// The base config's own credentials, where the chain starts with them.
    #[cfg(feature = "policy")]
    pub(crate) async fn source(&self) -> Option<Result<Credentials, Error>> {
        match &self.parent {
            Parent::Source => {
                let loaded = catch_unwind(self.source_credentials()).await;
                Some(loaded.unwrap_or_else(|_| Err(self.error(Kind::Panicked))))
            }
            _ => None,
        }
    }

    /// What the token says of itself that the chain starts with.
    #[cfg(feature = "policy")]
    pub(crate) async fn claims(&self) -> Option<Claims> {
        let Parent::WebIdentity(token) = &self.parent else {
            return None;
        };
        self.in_time(catch_unwind(token.claims())).await?.ok()?
    }

    /// Who `credentials` belong to, by ARN and account. They are this hop's, or the source's.
    #[cfg(feature = "policy")]
    pub(crate) async fn identity(
        &self,
        credentials: Credentials,
        are_source: bool,
    ) -> Result<(String, String), Error> {
        let asking = self
            .base
            .sts
            .get_caller_identity(self.ask.region(), credentials.clone());
        asking.await.map_err(|failure| {
            let advice = match &failure.kind {
                Kind::Refused(refusal) => {
                    let mut asked = self.asked(Some(&credentials));
                    asked.call = Call::GetCallerIdentity;
                    advice(refusal, &asked)
                }
                _ => Vec::new(),
            };
            let hop = if are_source { 0 } else { self.number };
            Error::of_identity(failure.kind, hop, advice, failure.source)
        })
    }

    /// None where somebody else's provider takes too long.
    async fn in_time<F: Future>(&self, providing: F) -> Option<F::Output> {
        match &self.base.sleep {
            Some(sleep) => Timeout::new(providing, sleep.sleep(SOURCE_TIMEOUT))
                .await
                .ok(),
            None => Some(providing.await),
        }
    }

    async fn source_credentials(&self) -> Result<Credentials, Error> {
        let Some(source) = &self.base.source else {
            // A chain without a source has no hop that asks for one.
            return Err(self.error(Kind::Source(SourceFailure::NotLoaded)));
        };
        let loaded = self.in_time(source.provide_credentials()).await;
        let timed_out = Kind::Source(SourceFailure::TimedOut(SOURCE_TIMEOUT));
        loaded
            .ok_or_else(|| self.error(timed_out))?
            .map_err(|error| {
                let kind = Kind::Source(SourceFailure::from(&error));
                self.failed(kind, Vec::new(), Some(error.into()))
            })
    }

    async fn call_sts(&self, caller: &Credentials, why: Why) -> Result<Session, sts::Failure> {
        let Some(mfa) = self.ask.mfa() else {
            return self.call_sts_with(caller, None).await;
        };
        let clock = Clock {
            time: self.base.time.clone(),
            sleep: self.base.sleep.clone(),
        };
        let role_arn = self.role().map(|role| &*role.role_arn);
        let send = |code: String| async move {
            self.call_sts_with(caller, Some((&mfa.serial, &code))).await
        };
        mfa.with_code(role_arn, self.number, why.renewal, clock, send)
            .await
    }

    async fn call_sts_with(
        &self,
        caller: &Credentials,
        mfa: Option<(&str, &str)>,
    ) -> Result<Session, sts::Failure> {
        let sts = &self.base.sts;
        let role = match &self.ask {
            Ask::Role(role) => role,
            Ask::SessionToken(request) => {
                return sts.get_session_token(request, mfa, caller.clone()).await;
            }
            // Is not fetched from STS.
            Ask::Source => {
                return Err(sts::Failure {
                    kind: Kind::NotSent,
                    source: None,
                });
            }
        };
        let one_hour = CHAINED_LIMIT.as_secs() as i32;
        let asked = role.duration_seconds;
        // Long-term credentials are under no such limit; a source may change from one to the other.
        let temporary = caller.session_token().is_some();
        let too_long = temporary && asked.is_some_and(|seconds| seconds > one_hour);
        let limited = too_long && self.limited_to_one_hour.load(Ordering::Relaxed);
        let duration = if limited { Some(one_hour) } else { asked };
        let answer = sts.assume_role(role, duration, mfa, caller.clone()).await;
        match answer {
            // Not with a code, which is good once: the next load asks for an hour.
            Err(failure) if too_long && !limited && sts::is_chaining_limit(&failure) => {
                self.limited_to_one_hour.store(true, Ordering::Relaxed);
                tracing::warn!(
                    target: "aws_role_chain",
                    role = %role.role_arn,
                    asked_seconds = asked,
                    "the source credentials are a role's own, so sessions last one hour (role \
                     chaining), not as long as asked"
                );
                match mfa {
                    Some(_) => Err(failure),
                    None => {
                        sts.assume_role(role, Some(one_hour), None, caller.clone())
                            .await
                    }
                }
            }
            answer => answer,
        }
    }

    /// A token takes the place of a caller.
    async fn assume_with_token(&self, role: &Request) -> Result<Session, Error> {
        let mut read_again = false;
        let mut attempt = 1;
        loop {
            match self.call_sts_with_token(role).await? {
                Ok(session) => return Ok(self.taken(session, None)),
                // A person is not asked twice for one load.
                Err(failure) if self.asks_a_person() => return Err(self.refused(failure, None)),
                Err(failure) if sts::is_expired_token(&failure) && !read_again => {
                    read_again = true;
                }
                Err(failure)
                    if sts::lacks_verification_key(&failure) && attempt < TOKEN_ATTEMPTS =>
                {
                    if let Some(sleep) = &self.base.sleep {
                        sleep.sleep(TOKEN_RETRY * attempt).await;
                    }
                    attempt += 1;
                }
                Err(failure) => return Err(self.refused(failure, None)),
            }
        }
    }

    /// The outer error: there is no token.
    async fn call_sts_with_token(
        &self,
        role: &Request,
    ) -> Result<Result<Session, sts::Failure>, Error> {
        let none = |what| move |error| self.failed(Kind::NoToken { what }, Vec::new(), Some(error));
        let sts = &self.base.sts;
        match &self.parent {
            Parent::Saml {
                principal_arn,
                assertion,
            } => {
                let assertion = assertion.get().await.map_err(none("SAML assertion"))?;
                Ok(sts
                    .assume_role_with_saml(role, principal_arn, assertion)
                    .await)
            }
            Parent::WebIdentity(token) => {
                // Nobody is asked for it.
                let token = self.in_time(token.get()).await;
                let late = || Err(format!("none came in {} s", SOURCE_TIMEOUT.as_secs()).into());
                let token = token.unwrap_or_else(late);
                let token = token.map_err(none("web identity token"))?;
                Ok(sts.assume_role_with_web_identity(role, token).await)
            }
            // These have a caller.
            Parent::Source | Parent::Chain(_) => Err(self.error(Kind::NoToken { what: "token" })),
        }
    }

    pub(crate) fn role(&self) -> Option<&Request> {
        match &self.ask {
            Ask::Role(role) => Some(role),
            Ask::Source | Ask::SessionToken(_) => None,
        }
    }

    fn log(&self, session: &Session, caller: Option<&Credentials>) {
        tracing::debug!(
            target: "aws_role_chain",
            role = self.role().map(|role| &*role.role_arn),
            hop = self.number,
            session = session.arn.as_deref(),
            caller = caller.map(Credentials::access_key_id),
            access_key_id = session.credentials.access_key_id(),
            expiry = %timestamp(session.expiry),
            "assumed role"
        );
    }

    fn refused(&self, failure: sts::Failure, caller: Option<&Credentials>) -> Error {
        let advice = match &failure.kind {
            Kind::Refused(refusal) => advice(refusal, &self.asked(caller)),
            _ => Vec::new(),
        };
        self.failed(failure.kind, advice, failure.source)
    }

    pub(crate) fn asked<'a>(&'a self, caller: Option<&'a Credentials>) -> Asked<'a> {
        let role = self.role();
        let inherited = self.parent.inherited();
        let region = self.ask.region().or(self.base.config.region());
        Asked {
            call: match (&self.ask, &self.parent) {
                // All that STS is ever asked with these alone.
                (Ask::Source, _) => Call::GetCallerIdentity,
                (Ask::SessionToken(_), _) => Call::GetSessionToken,
                (Ask::Role(_), Parent::WebIdentity(_)) => Call::AssumeRoleWithWebIdentity,
                (Ask::Role(_), Parent::Saml { .. }) => Call::AssumeRoleWithSaml,
                (Ask::Role(_), _) => Call::AssumeRole,
            },
            role_arn: role.map_or("", |role| &role.role_arn),
            account: role.map_or("", |role| &role.account),
            // Checked when the hop was added.
            region: region.map_or("", |region| region.as_ref()),
            session_name: role.map_or("", |role| &role.session_name),
            external_id: role.is_some_and(|role| role.external_id.is_some()),
            mfa: self.ask.mfa().is_some(),
            tags: role.is_some_and(|role| !role.tags.is_empty()),
            inherited_tags: !inherited.transitive_keys.is_empty(),
            source_identity: role.is_some_and(|role| role.source_identity.is_some()),
            inherited_source_identity: inherited.source_identity.is_some(),
            duration_seconds: role.and_then(|role| role.duration_seconds),
            chained: caller.is_some_and(|caller| caller.session_token().is_some()),
            caller: caller.map_or("", Credentials::access_key_id),
        }
    }

    fn failed(
        &self,
        kind: Kind,
        advice: Vec<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let role_arn = self.role().map(|role| role.role_arn.clone());
        Error::new(kind, role_arn, self.number, advice, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_identity_s_role_is_read_from_the_environment() {
        let base = SdkConfig::builder()
            .region(Region::new("eu-west-1"))
            .build();
        let arn = "arn:aws:iam::111111111111:role/Pod";
        let with = |names: &'static [&'static str]| {
            RoleChain::from_web_identity_vars(&base, move |name| match names.contains(&name) {
                true if name == "AWS_ROLE_ARN" => Ok(arn.to_owned()),
                true => Ok("/token-or-name".replace('/', "")),
                false => Err(VarError::NotPresent),
            })
        };
        const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
        let chain = with(&[FILE, "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"]).unwrap();
        assert_eq!(chain.role_arn(), Some(arn));
        assert_eq!(&*chain.hop().role().unwrap().session_name, "token-or-name");
        with(&[FILE, "AWS_ROLE_ARN"]).unwrap();
        for (given, missing) in [(&[FILE][..], "AWS_ROLE_ARN"), (&["AWS_ROLE_ARN"][..], FILE)] {
            let error = with(given).unwrap_err();
            assert_eq!(error.field(), Some(missing), "{error}");
            assert!(
                error.to_string().contains("environment variable not found"),
                "{error}"
            );
        }
    }
}
