//! [`Hop`]: one node of a chain. Where its credentials come from, and how they are loaded.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::AsyncSleep;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_types::region::Region;
use tokio::time::Instant;

use super::base::{Base, SOURCE_TIMEOUT};
use super::store::SessionStore;
use crate::cache::{CredentialsCache, Load, LoadReason, Lookup, Moment};
use crate::error::{BoxError, Error, ErrorInner, ErrorKind, Meaning, Operation};
use crate::metrics::Figure;
use crate::mfa::{CodeUse, Mfa};
use crate::request::limits::{
    CHAINED_LIMIT, DEFAULT_ROLE_DURATION, DEFAULT_SESSION_TOKEN_DURATION,
};
use crate::request::{
    AssumeRoleRequest, CallerKind, GetSessionTokenRequest, Inherited, Parameter, RequestSummary,
    Role, SamlAssertion, WebIdentityToken,
};
use crate::session::{Session, timestamp};
use crate::sts::Attempt;

/// How long source credentials without an expiry are cached before their source is asked again: as long as
/// the SDK's own cache keeps such.
const SOURCE_TTL: Duration = Duration::from_secs(15 * 60);

/// Source credentials that have less left, or nothing, are cached for this long: some sources renew theirs
/// only at expiry, and others give what they have while they cannot.
const SOURCE_MIN_TTL: Duration = Duration::from_secs(10);

/// How long STS is not asked again with a key that it has rejected as expired or unknown.
const REJECTED_KEY_TTL: Duration = Duration::from_secs(2 * 60);

/// How often a token is tried whose issuer STS cannot ask for its keys, and the first wait between.
const TOKEN_ATTEMPTS: u32 = 3;
const TOKEN_RETRY: Duration = Duration::from_secs(1);

/// A hop's cache, which is how other hops hold it.
pub(crate) type HopCache = CredentialsCache<Hop>;

pub(crate) struct Hop {
    pub(super) base: Arc<Base>,
    pub(super) target: Target,
    /// Place in the chain, from 1; 0 for the source.
    pub(super) number: usize,
    store: Option<Arc<dyn SessionStore>>,
    /// STS has said that the source's credentials are those of a role, so that one hour is the most.
    is_limited_to_one_hour: AtomicBool,
    /// STS's last rejection of the parent's session.
    rejection: Mutex<Option<Rejection>>,
}

/// STS has rejected a key of the parent's as expired or unknown.
struct Rejection {
    access_key_id: Box<str>,
    at: Moment,
    error: Error,
    /// Whether the session was new, and so is not at fault.
    is_of_new_session: bool,
}

/// Where a hop's credentials come from.
pub(crate) enum Target {
    /// The base config's own credentials; STS is not asked.
    Source,
    /// GetSessionToken, signed with the base config's credentials.
    SessionToken(GetSessionTokenRequest),
    /// A role.
    Role(Arc<AssumeRoleRequest>, Authentication),
}

/// What authenticates the call that assumes a role.
pub(crate) enum Authentication {
    /// AssumeRole: a signature with the caller's credentials.
    Caller(Caller),
    /// AssumeRoleWithWebIdentity: a token.
    WebIdentity(WebIdentityToken),
    /// AssumeRoleWithSAML: an assertion of this provider's.
    Saml {
        provider_arn: String,
        assertion: SamlAssertion,
    },
}

/// Whose credentials sign AssumeRole.
#[derive(Clone)]
pub(crate) enum Caller {
    /// The base config's provider.
    Base,
    Hop(HopCache),
}

impl Caller {
    /// What a role that it assumes inherits.
    pub(crate) fn inherited(&self) -> Inherited<'_> {
        match self {
            Self::Base => Inherited::nothing(),
            Self::Hop(parent) => parent.loader().passes_on(),
        }
    }

    /// Checks what the caller is to assume.
    pub(super) fn check(&self, role: Role) -> Result<Arc<AssumeRoleRequest>, Error> {
        check_role(role, &self.inherited(), Operation::AssumeRole)
    }
}

/// Checks a role for the operation that is to assume it.
pub(super) fn check_role(
    role: Role,
    inherited: &Inherited<'_>,
    operation: Operation,
) -> Result<Arc<AssumeRoleRequest>, Error> {
    let arn = role.arn.clone();
    let checked = role.check(inherited, operation);
    checked
        .map(Arc::new)
        .map_err(|violation| violation.into_hop_error(operation, Some(&arn), inherited.hop))
}

impl Target {
    /// What is known without a call. A new target answers every question here.
    pub(super) fn properties(&self) -> Properties<'_> {
        match self {
            Self::Source => Properties {
                operation: Operation::LoadSource,
                noun: "source credentials",
                role: None,
                region: None,
                duration: None,
                default_duration: SOURCE_TTL,
                mfa: None,
            },
            Self::SessionToken(request) => Properties {
                operation: Operation::GetSessionToken,
                noun: "session token",
                role: None,
                region: request.region(),
                duration: request.duration(),
                default_duration: DEFAULT_SESSION_TOKEN_DURATION,
                mfa: request.mfa(),
            },
            Self::Role(request, authentication) => Properties {
                operation: match authentication {
                    Authentication::Caller(_) => Operation::AssumeRole,
                    Authentication::WebIdentity(_) => Operation::AssumeRoleWithWebIdentity,
                    Authentication::Saml { .. } => Operation::AssumeRoleWithSaml,
                },
                noun: "role",
                role: Some(request),
                region: request.region(),
                duration: request.role().duration,
                default_duration: DEFAULT_ROLE_DURATION,
                mfa: request.role().mfa.as_ref(),
            },
        }
    }

    /// What it asks for, as a report shows it.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Source => Vec::new(),
            Self::SessionToken(request) => request.parameters().into(),
            Self::Role(request, _) => request.role().parameters().into(),
        }
    }
}

pub(super) struct Properties<'a> {
    operation: Operation,
    /// What it brings, for people.
    pub(super) noun: &'static str,
    /// The role that is assumed, if one is.
    role: Option<&'a AssumeRoleRequest>,
    /// The region whose STS is called, where the request sets one.
    region: Option<&'a str>,
    /// How long the session is asked to last, and how long one lasts that is not.
    duration: Option<Duration>,
    default_duration: Duration,
    /// The device whose code is sent.
    mfa: Option<&'a Mfa>,
}

impl Load for Hop {
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(async move {
            let began = Instant::now();
            let loaded = match &self.store {
                Some(store) => self.load_via_store(&**store, reason).await,
                None => self.fetch(reason).await,
            };
            self.note(&loaded, began.elapsed(), reason);
            loaded
        })
    }

    fn is_interactive(&self) -> bool {
        let mfa = self.properties().mfa;
        mfa.is_some_and(|mfa| mfa.codes.is_interactive())
            || match self.authentication() {
                // A parent with usable credentials needs to ask nobody.
                Some(Authentication::Caller(Caller::Hop(parent))) => {
                    parent.loader().is_interactive() && !parent.is_usable()
                }
                Some(Authentication::Saml { assertion, .. }) => assertion.is_interactive(),
                Some(Authentication::Caller(Caller::Base) | Authentication::WebIdentity(_))
                | None => false,
            }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        self.error_from(kind, None)
    }

    fn is_own(&self, error: &Error) -> bool {
        error.is_of_hop(self.number)
    }
}

impl Hop {
    pub(super) fn new(
        base: Arc<Base>,
        target: Target,
        number: usize,
        store: Option<Arc<dyn SessionStore>>,
    ) -> Self {
        Self {
            base,
            target,
            number,
            store,
            is_limited_to_one_hour: AtomicBool::new(false),
            rejection: Mutex::default(),
        }
    }

    fn properties(&self) -> Properties<'_> {
        self.target.properties()
    }

    /// The request of the role that the hop assumes, if it assumes one.
    pub(super) fn request(&self) -> Option<&AssumeRoleRequest> {
        self.properties().role
    }

    pub(super) fn role_arn(&self) -> Option<&Arc<str>> {
        self.request().map(|request| &request.role().arn)
    }

    /// What authenticates the call that assumes the role, if one is assumed.
    pub(super) fn authentication(&self) -> Option<&Authentication> {
        if let Target::Role(_, authentication) = &self.target {
            Some(authentication)
        } else {
            None
        }
    }

    pub(super) fn parent(&self) -> Option<&HopCache> {
        match self.authentication()? {
            Authentication::Caller(Caller::Hop(parent)) => Some(parent),
            Authentication::Caller(Caller::Base)
            | Authentication::WebIdentity(_)
            | Authentication::Saml { .. } => None,
        }
    }

    /// This hop and those before it, the last one first.
    fn ancestors(&self) -> impl Iterator<Item = &Hop> {
        std::iter::successors(Some(self), |hop| Some(hop.parent()?.loader()))
    }

    /// What a role that is assumed with this hop's credentials inherits.
    fn passes_on(&self) -> Inherited<'_> {
        let roles = || self.ancestors().filter_map(|hop| hop.request());
        let tags = roles().flat_map(|request| &request.role().tags);
        Inherited {
            hop: self.number + 1,
            session_name: self.request().map(|request| request.session_name()),
            partition: roles().map(|request| request.arn().partition).next(),
            source_identity: roles().find_map(|request| request.role().source_identity.as_deref()),
            transitive_keys: tags
                .filter(|tag| tag.transitive)
                .map(|tag| &*tag.key)
                .collect(),
        }
    }

    /// What this hop asks STS for.
    pub(super) fn summary(&self) -> RequestSummary<'_> {
        let parent = self.parent().map(|parent| parent.loader());
        let caller = match self.authentication() {
            Some(Authentication::WebIdentity(_)) => CallerKind::WebIdentity,
            Some(Authentication::Saml { provider_arn, .. }) => CallerKind::Saml(provider_arn),
            Some(Authentication::Caller(_)) | None => match parent.and_then(Hop::role_arn) {
                Some(role_arn) => CallerKind::Role(role_arn),
                // Behind a session token, too: it is the user's own.
                None => CallerKind::Base,
            },
        };
        let Properties {
            operation,
            role,
            mfa,
            ..
        } = self.properties();
        // A role's session does not inherit the proof; a session token is one.
        let is_proof =
            |parent: &Hop| parent.request().is_none() && parent.properties().mfa.is_some();
        RequestSummary {
            operation,
            hop: self.number,
            role,
            inherited: parent.map_or_else(Inherited::nothing, Hop::passes_on),
            caller,
            region: self
                .region()
                .map_or(String::new(), |region| region.to_string()),
            mfa_serial: mfa.map(|mfa| mfa.serial.as_str()),
            proves_mfa: mfa.is_some() || parent.is_some_and(is_proof),
        }
    }

    pub(super) fn operation(&self) -> Operation {
        self.properties().operation
    }

    /// The region whose STS is called: the request's own or the base config's.
    pub(super) fn region(&self) -> Option<Region> {
        let own = self.properties().region;
        let own = own.map(|region| Region::new(region.to_owned()));
        own.or_else(|| self.base.config.region().cloned())
    }

    /// How long the session is asked to last; `None` for STS's default.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.properties().duration
    }

    /// How long the session lasts at most.
    pub(super) fn max_lifetime(&self) -> Duration {
        let properties = self.properties();
        properties.duration.unwrap_or(properties.default_duration)
    }

    /// Logs and counts a load; the cache logs a failure.
    fn note(&self, loaded: &Result<Session, Error>, took: Duration, reason: LoadReason) {
        let now = self.base.time.now();
        let operation = self.operation();
        let left = |until: SystemTime| until.duration_since(now).unwrap_or_default();
        let cached = reason.cached_until.map_or(Duration::ZERO, left);
        let (outcome, valid_for) = match loaded {
            Ok(session) if session.expiry > now => ("success", left(session.expiry)),
            // The cache makes an error of it.
            Ok(_) => ("expired", cached),
            Err(error) => (error.outcome(), cached),
        };
        Figure::LoadEnded {
            operation,
            outcome,
            took,
            valid_for,
        }
        .record();
        let Ok(session) = loaded else { return };
        tracing::debug!(
            name: "loaded",
            target: "aws_role_chain",
            operation = operation.name(),
            role = self.role_arn().map(|arn| &**arn),
            hop = self.number,
            session = session.arn.as_deref(),
            access_key_id = session.access_key_id(),
            expiry = session.credentials.expiry().map(timestamp),
            from_store = session.from_store,
            elapsed = took.as_secs_f64(),
            "loaded credentials"
        );
    }

    /// Takes a session from the store or, one process at a time, fetches it.
    async fn load_via_store(
        &self,
        store: &dyn SessionStore,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let stored = || {
            let session = store.read(self.base.time.now(), self.max_lifetime())?;
            // A forced renewal wants one of STS's, and the cached one needs no second look.
            let is_newer = reason
                .cached_until
                .is_none_or(|until| session.expiry > until);
            let is_wanted = is_newer && !(reason.force && reason.is_renewal());
            is_wanted.then_some(session)
        };
        if let Some(session) = stored() {
            return Ok(session);
        }
        // No lock is held while another is waited for: two chains may meet in each other's entries.
        if let Some(parent) = self.parent()
            && parent.loader().ancestors().any(|hop| hop.store.is_some())
        {
            ask_parent(parent, reason).await?;
        }
        // Another process may be about to store a session, or to ask the same person.
        let _lock = store.lock(self.is_interactive(), &self.base.sleep).await;
        if let Some(session) = stored() {
            return Ok(session);
        }
        let session = self.fetch(reason).await?;
        store.write(&session);
        Ok(session)
    }

    /// Fetches credentials from the source or from STS.
    async fn fetch(&self, reason: LoadReason) -> Result<Session, Error> {
        let summary = self.summary();
        let attempt = &attempt(reason, None);
        let session = match &self.target {
            Target::Source => return self.load_source().await,
            Target::SessionToken(request) => {
                self.get_session_token(request, &summary, reason).await?
            }
            Target::Role(request, authentication) => match authentication {
                Authentication::Caller(caller) => {
                    self.assume_role(caller, request, &summary, reason).await?
                }
                Authentication::WebIdentity(token) => {
                    self.with_token_retries(|| async {
                        let token = self.base.with_source_timeout(token.get()).await;
                        let token = self.timely_token(token)?;
                        let sts = &self.base.sts;
                        sts.assume_role_with_web_identity(request, &summary, attempt, &token)
                            .await
                    })
                    .await?
                }
                Authentication::Saml {
                    provider_arn: provider,
                    assertion,
                } => {
                    self.with_token_retries(|| async {
                        let assertion = if assertion.is_interactive() {
                            Some(assertion.get().await)
                        } else {
                            self.base.with_source_timeout(assertion.get()).await
                        };
                        let assertion = self.timely_token(assertion)?;
                        let sts = &self.base.sts;
                        sts.assume_role_with_saml(request, &summary, attempt, provider, &assertion)
                            .await
                    })
                    .await?
                }
            },
        };
        Ok(self.clamp_expiry(session))
    }

    async fn load_source(&self) -> Result<Session, Error> {
        let credentials = self.source_credentials().await?;
        let (now, until) = (self.base.time.now(), credentials.expiry());
        let expiry = match until {
            Some(until) => until.max(now + SOURCE_MIN_TTL),
            None => now + SOURCE_TTL,
        };
        Ok(Session::of_source(credentials, expiry))
    }

    async fn get_session_token(
        &self,
        request: &GetSessionTokenRequest,
        summary: &RequestSummary<'_>,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let signer = self.source_credentials().await?;
        if signer.session_token().is_some() {
            let access_key_id = signer.access_key_id().to_owned();
            return Err(self.error(ErrorKind::TemporarySource { access_key_id }));
        }
        let (sts, signer) = (&self.base.sts, &signer);
        self.with_code(reason, |attempt| async move {
            sts.get_session_token(request, summary, &attempt, signer)
                .await
        })
        .await
    }

    /// Assumes the role; where STS says that the parent's session is dead, once more with a new one.
    async fn assume_role(
        &self,
        caller: &Caller,
        request: &AssumeRoleRequest,
        summary: &RequestSummary<'_>,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let signer = self.signer(caller, reason).await?;
        let Caller::Hop(parent) = caller else {
            return self
                .call_assume_role(request, summary, &signer, reason)
                .await;
        };
        let key = signer.access_key_id();
        let is_ruled_out = self
            .rejection()
            .as_ref()
            .is_some_and(|last| last.is_of_new_session);
        // STS is not asked again with a key that it has just rejected.
        let error = match self.rejection_of(key) {
            Some(error) if !reason.force => error,
            _ => match self
                .call_assume_role(request, summary, &signer, reason)
                .await
            {
                Err(error) if is_dead_caller(&error) => {
                    self.reject(key, &error, is_ruled_out);
                    error
                }
                result => {
                    *self.rejection() = None;
                    return result;
                }
            },
        };
        if is_ruled_out {
            return Err(error);
        }
        // The session may have died early: its role was deleted and created again, say.
        let Some(renewed) = parent.replace(key, reason).await else {
            return Err(error);
        };
        let renewed = renewed?;
        let result = self
            .call_assume_role(request, summary, &renewed, reason)
            .await;
        match &result {
            // If a new session does no better, the session is not at fault: the parent's other children
            // need it.
            Err(error) if is_dead_caller(error) => {
                self.reject(renewed.access_key_id(), error, true)
            }
            _ => *self.rejection() = None,
        }
        result
    }

    /// The error of STS's recent rejection of this key.
    fn rejection_of(&self, access_key_id: &str) -> Option<Error> {
        let now = Moment::now(self.base.time.now());
        let rejection = self.rejection();
        let rejection = rejection.as_ref()?;
        let is_recent = now.since(rejection.at) < REJECTED_KEY_TTL;
        let is_same = *rejection.access_key_id == *access_key_id;
        (is_recent && is_same).then(|| rejection.error.clone())
    }

    fn reject(&self, access_key_id: &str, error: &Error, is_of_new_session: bool) {
        *self.rejection() = Some(Rejection {
            access_key_id: access_key_id.into(),
            at: Moment::now(self.base.time.now()),
            error: error.clone(),
            is_of_new_session,
        });
    }

    fn rejection(&self) -> MutexGuard<'_, Option<Rejection>> {
        self.rejection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One AssumeRole with these credentials: with an MFA code where there is a device, and for an hour where STS
    /// does not let this signer have more.
    async fn call_assume_role(
        &self,
        request: &AssumeRoleRequest,
        summary: &RequestSummary<'_>,
        signer: &Credentials,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let sts = &self.base.sts;
        let one_hour = i32::try_from(CHAINED_LIMIT.as_secs()).ok();
        let requested = request.duration_seconds();
        // Long-term credentials are under no such limit; a source may change from one to the other.
        let may_exceed = signer.session_token().is_some() && requested > one_hour;
        self.with_code(reason, |attempt| async move {
            let attempt = &attempt;
            let is_limited = may_exceed && self.is_limited_to_one_hour.load(Ordering::Relaxed);
            let duration = if is_limited { one_hour } else { requested };
            let result = sts
                .assume_role(request, summary, duration, attempt, signer)
                .await;
            let is_limit = |error: &Error| error.meaning() == Some(Meaning::RoleChainingLimit);
            if !may_exceed || is_limited || !result.as_ref().is_err_and(is_limit) {
                return result;
            }
            self.is_limited_to_one_hour.store(true, Ordering::Relaxed);
            tracing::warn!(
                name: "session_shortened",
                target: "aws_role_chain",
                role = %request.role().arn,
                requested_seconds = requested,
                "the source credentials are those of a role, so sessions last one hour (role chaining), \
                 not as long as requested"
            );
            if attempt.mfa_code.is_some() {
                // A code is good once: the next load asks for an hour.
                return result;
            }
            sts.assume_role(request, summary, one_hour, attempt, signer)
                .await
        })
        .await
    }

    /// Repeats a call that a token authenticates, where another attempt may help.
    async fn with_token_retries<Fut>(&self, call: impl Fn() -> Fut) -> Result<Session, Error>
    where
        Fut: Future<Output = Result<Session, Error>>,
    {
        let mut was_expired = false;
        let mut attempt = 1;
        loop {
            let error = match call().await {
                Ok(session) => return Ok(session),
                // A person is not asked twice for one load.
                Err(error) if self.is_interactive() => return Err(error),
                Err(error) => error,
            };
            match error.meaning() {
                // Whoever renews it may have done so in the meantime.
                Some(Meaning::ExpiredToken) if !was_expired => was_expired = true,
                Some(Meaning::IdentityProviderUnreachable) if attempt < TOKEN_ATTEMPTS => {
                    self.base.sleep.sleep(TOKEN_RETRY * attempt).await;
                    attempt += 1;
                }
                _ => return Err(error),
            }
        }
    }

    /// Calls with an MFA code, if there is a device.
    async fn with_code<Fut>(
        &self,
        reason: LoadReason,
        call: impl Fn(Attempt) -> Fut,
    ) -> Result<Session, Error>
    where
        Fut: Future<Output = Result<Session, Error>>,
    {
        let attempt = |mfa_code| attempt(reason, mfa_code);
        let Some(mfa) = self.properties().mfa else {
            return call(attempt(None)).await;
        };
        let code_use = CodeUse {
            operation: self.operation(),
            role_arn: self.role_arn(),
            hop: self.number,
            is_renewal: reason.is_renewal(),
            time: &self.base.time,
            sleep: &self.base.sleep,
        };
        mfa.with_code(code_use, |code| call(attempt(Some(code))))
            .await
    }

    /// The credentials that sign.
    async fn signer(&self, caller: &Caller, reason: LoadReason) -> Result<Credentials, Error> {
        match caller {
            Caller::Base => self.source_credentials().await,
            Caller::Hop(parent) => ask_parent(parent, reason).await,
        }
    }

    pub(super) async fn source_credentials(&self) -> Result<Credentials, Error> {
        let loaded = self.base.source_credentials().await;
        loaded.map_err(|(kind, source)| self.error_from(kind, source))
    }

    fn timely_token(&self, token: Option<Result<String, BoxError>>) -> Result<String, Error> {
        let late = || Err(format!("none came in {} s", SOURCE_TIMEOUT.as_secs()).into());
        let token = token.unwrap_or_else(late);
        token.map_err(|error| self.error_from(ErrorKind::NoToken, Some(error)))
    }

    /// Limits a new session to what was asked for, by this machine's clock: where that is behind STS's, the
    /// expiry that STS gives would come too late.
    fn clamp_expiry(&self, mut session: Session) -> Session {
        let latest = self.base.time.now() + self.max_lifetime();
        if session.expiry > latest {
            session.expiry = latest;
            *session.credentials.expiry_mut() = Some(latest);
        }
        session
    }

    fn error_from(&self, kind: ErrorKind, source: Option<BoxError>) -> Error {
        ErrorInner {
            role_arn: self.role_arn().cloned(),
            hop: self.number,
            advice: source.as_deref().and_then(sign_in).into_iter().collect(),
            source,
            ..ErrorInner::new(self.operation(), kind)
        }
        .into()
    }
}

/// What a person must do where a sign-in with the AWS CLI has ended. aws-config says so in its text alone.
fn sign_in(source: &(dyn StdError + Send + Sync + 'static)) -> Option<String> {
    let text = DisplayErrorContext(source).to_string();
    let (_, command) = [("SSO token", "aws sso login"), ("Login token", "aws login")]
        .into_iter()
        .find(|(token, _)| text.contains(token))?;
    Some(format!(
        "sign in again: {command}, with the profile of the source credentials"
    ))
}

/// How the calls of a load are made.
fn attempt(reason: LoadReason, mfa_code: Option<String>) -> Attempt {
    Attempt {
        mfa_code,
        is_only: reason.is_retry,
        is_background: !reason.has_waiter,
    }
}

/// Asks a parent for its credentials, as any caller does.
async fn ask_parent(parent: &HopCache, reason: LoadReason) -> Result<Credentials, Error> {
    match parent.lookup(|session| session.credentials.clone()) {
        Lookup::Ready(Err(_)) if reason.force => parent.get_or_load(reason).await,
        Lookup::Ready(result) => result,
        Lookup::Miss if !reason.has_waiter && parent.loader().is_interactive() => {
            Err(parent.loader().error(ErrorKind::InteractionRequired))
        }
        Lookup::Miss => parent.get_or_load(reason.unforced()).await,
    }
}

fn is_dead_caller(error: &Error) -> bool {
    matches!(error.meaning(), Some(Meaning::DeadCaller { .. }))
}
