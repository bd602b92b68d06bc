//! [`RoleChain`]: a node is its parent, what to ask STS for, and its own cached credentials.

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

use crate::advice::{Asked, advice};
use crate::cell::{Cell, Load, Session, Taken};
use crate::error::{Error, Kind, SourceFailure, timestamp};
use crate::role::{Before, CHAINED_LIMIT, Request, Role};
use crate::sts::{self, Sts};

/// How long the base config's provider may take. The SDK's own cache gives a provider some twenty
/// seconds; a sign-in in a browser takes longer, and a provider that hangs must not hang for ever.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(120);

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
/// and forks of one chain share one STS client; to share connections between chains with separate
/// bases, set an `http_client` on the bases.
///
/// # When credentials are refreshed
///
/// In a window before expiry, while callers go on with the credentials in hand: 5 minutes for
/// sessions of up to 20 minutes, 15 below 90 minutes, else 60; its start is spread over the first
/// half. In the last minute callers wait for the refresh, and still get the credentials in hand
/// when it fails. A chain whose credentials were handed out refreshes itself in the window, asked or
/// not; one that nobody asks any more stops. One load runs at a time, in a task of its own, for all
/// who wait; a caller that gives up cancels nothing.
///
/// A failed refresh is retried after a quarter of the time left (10 s to 5 min, spread). After expiry
/// the last credentials are still served while STS cannot be reached or is busy. A refusal that a
/// retry cannot cure is an error then, remembered for 5 s.
///
/// Tasks run on the tokio runtime of the caller. Without one, the caller loads inline, and nothing
/// refreshes by itself.
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
        let base = Arc::new(Base::new(base)?);
        Self::add(Parent::Source, base, role)
    }

    /// A chain that goes on from this one: `role` is assumed with this chain's credentials. Chains
    /// made from one parent share it, and its credentials. No call is made yet.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) role, also for what only a chain can know: a duration over one
    /// hour, an inherited transitive tag set again, a source identity changed.
    pub fn assume(&self, role: Role) -> Result<Self, Error> {
        Self::add(Parent::Chain(self.clone()), self.hop().base.clone(), role)
    }

    /// The role whose credentials this chain provides.
    pub fn role_arn(&self) -> &str {
        &self.hop().request.role_arn
    }

    /// The base config with this chain as its credentials provider: the shortest way to a client.
    ///
    /// The SDK's identity cache is off in it, because the chain caches: more tenants than that
    /// cache holds (64) cost nothing, and [`refresh`](Self::refresh) takes effect with the next call.
    pub fn sdk_config(&self) -> SdkConfig {
        let base = self.hop().base.config.to_builder();
        base.credentials_provider(SharedCredentialsProvider::new(self.clone()))
            .identity_cache(IdentityCache::no_cache())
            .build()
    }

    /// Assumes the role now, whatever is in hand: to warm up, or after its sessions were revoked.
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
        let mut hops: Vec<_> = self.upwards().map(Self::hop_status).collect();
        hops.reverse();
        hops
    }

    fn add(parent: Parent, base: Arc<Base>, role: Role) -> Result<Self, Error> {
        let before = match &parent {
            Parent::Source => Before {
                hop: 1,
                session_name: None,
                source_identity: None,
                transitive_keys: Vec::new(),
            },
            Parent::Chain(parent) => parent.inherited(),
        };
        let number = before.hop;
        let request = role.check(&before)?;
        if request.region.is_none() && base.config.region().is_none() {
            return Err(Error::invalid_base(
                "region",
                "must be set, on the base config or on the role: it says which STS to call",
            ));
        }
        let (time, sleep) = (base.time.clone(), base.sleep.clone());
        let hop = Hop {
            parent,
            base,
            request,
            number,
            limited_to_one_hour: AtomicBool::new(false),
        };
        Ok(Self(Cell::new(hop, time, sleep)))
    }

    fn hop(&self) -> &Hop {
        self.0.loader()
    }

    /// This hop and those before it, the last one first.
    fn upwards(&self) -> impl Iterator<Item = &RoleChain> {
        std::iter::successors(Some(self), |chain| match &chain.hop().parent {
            Parent::Chain(parent) => Some(parent),
            Parent::Source => None,
        })
    }

    /// What a role added to this chain inherits.
    fn inherited(&self) -> Before<'_> {
        Before {
            hop: self.hop().number + 1,
            session_name: Some(&self.hop().request.session_name),
            source_identity: self
                .upwards()
                .find_map(|chain| chain.hop().request.source_identity.as_deref()),
            transitive_keys: self
                .upwards()
                .flat_map(|chain| &chain.hop().request.tags)
                .filter(|tag| tag.transitive)
                .map(|tag| tag.key.as_str())
                .collect(),
        }
    }

    fn hop_status(&self) -> HopStatus {
        let hop = self.hop();
        let known = self.0.snapshot();
        HopStatus {
            role_arn: hop.request.role_arn.to_string(),
            session_arn: known
                .session
                .as_ref()
                .and_then(|session| session.arn.as_deref().map(str::to_owned)),
            access_key_id: known
                .session
                .as_ref()
                .map(|session| session.credentials.access_key_id().to_owned()),
            expiry: known.session.map(|session| session.expiry),
            next_refresh: known.next_refresh,
            last_error: known.last_error,
        }
    }

    async fn credentials(&self) -> Result<Credentials, Error> {
        match self.0.take() {
            Taken::Ready(result) => result,
            Taken::Wait => self.0.wait().await,
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
                self.0.wait().await.map_err(seen_from_here)
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
    /// The role.
    pub role_arn: String,
    /// The session in hand, as CloudTrail and trust policies name it:
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session name>`.
    pub session_arn: Option<String>,
    /// The access key id in hand; not a secret.
    pub access_key_id: Option<String>,
    /// When the credentials in hand expire; `None` before the first load.
    pub expiry: Option<SystemTime>,
    /// When the next refresh is due, if the chain is still used then.
    pub next_refresh: Option<SystemTime>,
    /// Why the last load failed; `None` after a success.
    pub last_error: Option<Error>,
}

impl fmt::Display for HopStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.role_arn)?;
        match self.expiry {
            Some(expiry) => write!(f, ": until {}", timestamp(expiry))?,
            None => f.write_str(": no credentials yet")?,
        }
        if let Some(next) = self.next_refresh {
            write!(f, ", next refresh at {}", timestamp(next))?;
        }
        match &self.last_error {
            Some(error) => write!(f, ", last load failed: {}", error.headline()),
            None => Ok(()),
        }
    }
}

/// What all hops and forks of a chain share.
struct Base {
    config: SdkConfig,
    source: SharedCredentialsProvider,
    time: SharedTimeSource,
    sleep: Option<SharedAsyncSleep>,
    sts: Sts,
}

impl Base {
    fn new(config: &SdkConfig) -> Result<Self, Error> {
        let source = config.credentials_provider().ok_or_else(|| {
            Error::invalid_base(
                "credentials_provider",
                "must be set: its credentials assume the first role",
            )
        })?;
        let sleep = config.sleep_impl().or_else(default_async_sleep);
        Ok(Self {
            source,
            time: config.time_source().unwrap_or_default(),
            sts: Sts::new(config.clone(), sleep.clone()),
            sleep,
            config: config.clone(),
        })
    }
}

enum Parent {
    /// The base config's provider.
    Source,
    Chain(RoleChain),
}

struct Hop {
    parent: Parent,
    base: Arc<Base>,
    request: Request,
    /// Place in the chain, from 1.
    number: usize,
    /// STS has said that the source's credentials are a role's, so that one hour is the most.
    limited_to_one_hour: AtomicBool,
}

impl Load for Hop {
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(self.assume())
    }

    fn error(&self, kind: Kind) -> Error {
        self.failed(kind, Vec::new(), None)
    }
}

impl Hop {
    /// The parent is asked first, then the call is signed with what it gave.
    async fn assume(&self) -> Result<Session, Error> {
        let mut caller = self.caller().await?;
        let mut answer = self.call_sts(&caller).await;
        if let (Err(failure), Parent::Chain(parent)) = (&answer, &self.parent)
            && sts::is_bad_caller(failure)
        {
            // The hop before holds a session that died early: its role was deleted and made
            // again, say.
            parent.0.reject(caller.access_key_id());
            caller = self.caller().await?;
            answer = self.call_sts(&caller).await;
        }
        let session = answer.map_err(|failure| self.refused(failure, &caller))?;
        tracing::debug!(
            role = %self.request.role_arn,
            hop = self.number,
            session = session.arn.as_deref(),
            caller = caller.access_key_id(),
            access_key_id = session.credentials.access_key_id(),
            expiry = %timestamp(session.expiry),
            "assumed role"
        );
        Ok(session)
    }

    async fn caller(&self) -> Result<Credentials, Error> {
        match &self.parent {
            Parent::Chain(parent) => parent.credentials().await,
            Parent::Source => self.source_credentials().await,
        }
    }

    async fn source_credentials(&self) -> Result<Credentials, Error> {
        let loading = self.base.source.provide_credentials();
        let loaded = match &self.base.sleep {
            Some(sleep) => Timeout::new(loading, sleep.sleep(SOURCE_TIMEOUT))
                .await
                .map_err(|_| {
                    let kind = Kind::Source(SourceFailure::TimedOut(SOURCE_TIMEOUT));
                    self.error(kind)
                })?,
            None => loading.await,
        };
        loaded.map_err(|error| {
            let kind = Kind::Source(SourceFailure::from(&error));
            self.failed(kind, Vec::new(), Some(error.into()))
        })
    }

    async fn call_sts(&self, caller: &Credentials) -> Result<Session, sts::Failure> {
        let one_hour = CHAINED_LIMIT.as_secs() as i32;
        let asked = self.request.duration_seconds;
        // Long-term credentials are under no such limit; a source may change from one to the other.
        let temporary = caller.session_token().is_some();
        let too_long = temporary && asked.is_some_and(|seconds| seconds > one_hour);
        let limited = too_long && self.limited_to_one_hour.load(Ordering::Relaxed);
        let duration = if limited { Some(one_hour) } else { asked };
        let answer = self
            .base
            .sts
            .assume_role(&self.request, duration, caller.clone())
            .await;
        match answer {
            Err(failure) if too_long && !limited && sts::is_chaining_limit(&failure) => {
                self.limited_to_one_hour.store(true, Ordering::Relaxed);
                tracing::warn!(
                    role = %self.request.role_arn,
                    asked_seconds = asked,
                    "the source credentials are a role's own, so sessions last one hour (role \
                     chaining), not as long as asked"
                );
                self.base
                    .sts
                    .assume_role(&self.request, Some(one_hour), caller.clone())
                    .await
            }
            answer => answer,
        }
    }

    fn refused(&self, failure: sts::Failure, caller: &Credentials) -> Error {
        let advice = match &failure.kind {
            Kind::Refused(refusal) => advice(refusal, &self.asked(caller)),
            _ => Vec::new(),
        };
        self.failed(failure.kind, advice, failure.source)
    }

    fn asked<'a>(&'a self, caller: &'a Credentials) -> Asked<'a> {
        let request = &self.request;
        let inherited = match &self.parent {
            Parent::Chain(parent) => Some(parent.inherited()),
            Parent::Source => None,
        };
        let region = request.region.as_ref().or(self.base.config.region());
        Asked {
            role_arn: &request.role_arn,
            account: &request.account,
            // Checked when the hop was added.
            region: region.map_or("", |region| region.as_ref()),
            external_id: request.external_id.is_some(),
            tags: !request.tags.is_empty(),
            inherited_tags: inherited
                .as_ref()
                .is_some_and(|inherited| !inherited.transitive_keys.is_empty()),
            source_identity: request.source_identity.is_some(),
            inherited_source_identity: inherited
                .as_ref()
                .is_some_and(|inherited| inherited.source_identity.is_some()),
            duration_seconds: request.duration_seconds,
            chained: caller.session_token().is_some(),
            caller: caller.access_key_id(),
        }
    }

    fn failed(
        &self,
        kind: Kind,
        advice: Vec<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let role_arn = Some(self.request.role_arn.clone());
        Error::new(kind, role_arn, self.number, advice, source)
    }
}
