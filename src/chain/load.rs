//! How a hop loads its credentials: from the source, with a token, or by AssumeRole with the credentials of the hop
//! before it, with its MFA code, its one-hour limit and its parent's renewal.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::AsyncSleep;
use tokio::time::Instant;

use super::base::PROVIDER_TIMEOUT;
use super::hop::{Authentication, Hop, HopCache, SOURCE_TTL, Target};
use super::store::SessionStore;
use crate::cache::{Load, LoadReason, Moment};
use crate::error::{BoxError, Error, ErrorInner, ErrorKind, Meaning};
use crate::metrics::Metric;
use crate::mfa::CodeContext;
use crate::request::limits::{CHAINED_LIMIT, seconds};
use crate::request::{Checked, Role, SessionTokenRequest};
use crate::session::Session;
use crate::sts::CallOptions;
use crate::timestamp::timestamp;

/// The minimum time for which source credentials are cached, even if they expire sooner or have expired. Some sources
/// renew credentials only at expiry; others return expired ones while they cannot renew them.
const SOURCE_MIN_TTL: Duration = Duration::from_secs(10);

/// The number of attempts with a token if STS cannot get its issuer's keys, and the wait before the second attempt.
const TOKEN_ATTEMPTS: u32 = 3;
const TOKEN_RETRY: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The address of the hop that the current task is loading.
    static LOADING: usize;
}

impl Load for Hop {
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(async move {
            let began = Instant::now();
            let loaded = async {
                match &self.store {
                    Some(store) => self.load_via_store(&**store, reason).await,
                    None => self.fetch(reason).await,
                }
            };
            let loaded = LOADING.scope(self.address(), loaded).await;
            self.record_load(&loaded, began.elapsed(), reason);
            loaded
        })
    }

    fn is_interactive(&self) -> bool {
        let mfa = self.properties().mfa;
        mfa.is_some_and(|mfa| mfa.codes.is_interactive())
            || match self.authentication() {
                // A parent with usable credentials does not load, and so asks no person.
                Some(Authentication::Hop(parent)) => {
                    parent.loader().is_interactive() && !parent.is_usable()
                }
                Some(Authentication::Saml(_, assertion)) => assertion.is_interactive(),
                Some(Authentication::Base | Authentication::WebIdentity(_)) | None => false,
            }
    }

    fn is_loading_in_this_task(&self) -> bool {
        let is_own = |address: &usize| self.address() == *address;
        LOADING.try_with(is_own).unwrap_or(false)
            || self.parent().is_some_and(|parent| {
                // A parent with usable credentials serves them while it loads.
                !parent.is_usable() && parent.loader().is_loading_in_this_task()
            })
    }

    fn error(&self, kind: ErrorKind) -> Error {
        self.step().failed(kind).into()
    }

    fn is_own(&self, error: &Error) -> bool {
        error.is_of_hop(self.number)
    }
}

impl Hop {
    /// Returns a value that identifies this hop while it exists.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Records the metrics of a load, and logs a success; the cache logs failures.
    fn record_load(&self, loaded: &Result<Session, Error>, took: Duration, reason: LoadReason) {
        let now = self.base.time.now();
        let operation = self.operation();
        let left = |until: SystemTime| until.duration_since(now).unwrap_or_default();
        let cached = reason.cached_until.map_or(Duration::ZERO, left);
        let (outcome, valid_for) = match loaded {
            Ok(session) if session.expiry > now => ("success", left(session.expiry)),
            // The cache turns this into an error.
            Ok(_) => ("expired", cached),
            Err(error) => (error.outcome(), cached),
        };
        Metric::LoadEnded {
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

    /// Takes a session from the store, or fetches one while no other process does.
    async fn load_via_store(
        &self,
        store: &dyn SessionStore,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let stored = || {
            let session = store.read(self.base.time.now(), self.max_lifetime())?;
            // A forced renewal needs a new session from STS, and the cached session is already known.
            let is_newer = reason
                .cached_until
                .is_none_or(|until| session.expiry > until);
            let is_wanted = is_newer && !(reason.force && reason.is_renewal());
            is_wanted.then_some(session)
        };
        if let Some(session) = stored() {
            return Ok(session);
        }
        // Load the parent first, so that no lock is held while waiting for another: two chains may share entries in
        // opposite order.
        if let Some(parent) = self.parent()
            && parent.loader().ancestors().any(|hop| hop.store.is_some())
        {
            ask_parent(parent, reason).await?;
        }
        // Another process may be loading the session, or asking the same person.
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
        let session = match &self.target {
            Target::Source => return self.load_source().await,
            Target::SessionToken(request) => self.get_session_token(request, reason).await,
            Target::Role(request, Authentication::Base) => {
                let signer = self.source_credentials().await?;
                self.assume_role(request, &signer, reason).await
            }
            Target::Role(request, Authentication::Hop(parent)) => {
                self.assume_role_of_parent(parent, request, reason).await
            }
            Target::Role(request, Authentication::WebIdentity(token)) => {
                let (sts, summary) = (&self.base.sts, &self.summary());
                let options = &call_options(reason, None);
                let call = |token: String| async move {
                    sts.assume_role_with_web_identity(request, summary, options, &token)
                        .await
                };
                self.with_token(|| token.get(), call).await
            }
            Target::Role(request, Authentication::Saml(provider_arn, assertion)) => {
                let (sts, summary) = (&self.base.sts, &self.summary());
                let options = &call_options(reason, None);
                let call = |assertion: String| async move {
                    sts.assume_role_with_saml(request, summary, options, provider_arn, &assertion)
                        .await
                };
                self.with_token(|| assertion.get(), call).await
            }
        };
        session.map(|session| self.clamp_expiry(session))
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
        request: &Checked<SessionTokenRequest>,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let signer = self.source_credentials().await?;
        if signer.session_token().is_some() {
            let access_key_id = signer.access_key_id().to_owned();
            return Err(self.error(ErrorKind::TemporarySource { access_key_id }));
        }
        let (sts, summary, signer) = (&self.base.sts, &self.summary(), &signer);
        let call = |options: CallOptions| async move {
            sts.get_session_token(request, summary, &options, signer)
                .await
        };
        self.with_code(reason, call).await
    }

    /// Assumes the role with the parent's credentials; if STS rejects them as expired or unknown, tries once more with
    /// new ones.
    async fn assume_role_of_parent(
        &self,
        parent: &HopCache,
        request: &Checked<Role>,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let mut signer = ask_parent(parent, reason).await?;
        // If STS rejects a new session too, the session is not the cause, and must remain for the parent's other
        // children.
        let mut is_ruled_out = self.rejection.is_of_new_session();
        loop {
            let key = signer.access_key_id();
            // STS is not called again with a key that it has just rejected.
            let error = match self.rejection.of_key(key, self.moment()) {
                Some(error) if !reason.force => error,
                _ => match self.assume_role(request, &signer, reason).await {
                    Err(error) if is_credentials_rejection(&error) => {
                        self.rejection.set(key, &error, is_ruled_out, self.moment());
                        error
                    }
                    result => {
                        self.rejection.clear();
                        return result;
                    }
                },
            };
            if is_ruled_out {
                return Err(error);
            }
            // A session can become invalid before it expires, for example when its role was deleted and created again.
            let Some(renewed) = parent.replace(key, reason.requester).await else {
                return Err(error);
            };
            signer = renewed?;
            is_ruled_out = true;
        }
    }

    /// Calls AssumeRole with these credentials, and with an MFA code if a device is set. Requests one hour if STS does
    /// not let this signer have more.
    async fn assume_role(
        &self,
        request: &Checked<Role>,
        signer: &Credentials,
        reason: LoadReason,
    ) -> Result<Session, Error> {
        let (sts, summary) = (&self.base.sts, &self.summary());
        let one_hour = i32::try_from(CHAINED_LIMIT.as_secs()).ok();
        let requested = request.duration.map(seconds);
        // The limit does not apply to long-term credentials, and a source may change between the two.
        let may_exceed = signer.session_token().is_some() && requested > one_hour;
        let call = |options: CallOptions| async move {
            let options = &options;
            let is_limited = may_exceed && self.is_limited_to_one_hour.load(Ordering::Relaxed);
            let duration = if is_limited { one_hour } else { requested };
            let result = sts
                .assume_role(request, summary, duration, options, signer)
                .await;
            let is_limit = |error: &Error| error.meaning() == Some(Meaning::RoleChainingLimit);
            if !may_exceed || is_limited || !result.as_ref().is_err_and(is_limit) {
                return result;
            }
            self.is_limited_to_one_hour.store(true, Ordering::Relaxed);
            tracing::warn!(
                name: "session_shortened",
                target: "aws_role_chain",
                role = %request.arn,
                requested_seconds = requested,
                "the source credentials belong to a role, so sessions last one hour (role chaining) \
                 instead of the requested duration"
            );
            if options.mfa_code.is_some() {
                // The code cannot be used again. The next load requests an hour.
                return result;
            }
            sts.assume_role(request, summary, one_hour, options, signer)
                .await
        };
        self.with_code(reason, call).await
    }

    /// Makes a call that a token authenticates. Repeats both, if another attempt may help.
    async fn with_token<Provided, Called>(
        &self,
        provide: impl Fn() -> Provided,
        call: impl Fn(String) -> Called,
    ) -> Result<Session, Error>
    where
        Provided: Future<Output = Result<String, BoxError>>,
        Called: Future<Output = Result<Session, Error>>,
    {
        let mut was_expired = false;
        let mut attempt = 1;
        loop {
            let called = async { call(self.token(provide()).await?).await };
            let error = match called.await {
                Ok(session) => return Ok(session),
                // A person is asked only once per load.
                Err(error) if self.is_interactive() => return Err(error),
                Err(error) => error,
            };
            match error.meaning() {
                // The token may have been renewed in the meantime.
                Some(Meaning::ExpiredToken) if !was_expired => was_expired = true,
                Some(Meaning::IdentityProviderUnreachable) if attempt < TOKEN_ATTEMPTS => {
                    self.base.sleep.sleep(TOKEN_RETRY * attempt).await;
                    attempt += 1;
                }
                _ => return Err(error),
            }
        }
    }

    /// Makes a call with an MFA code, if a device is set.
    async fn with_code<Fut>(
        &self,
        reason: LoadReason,
        call: impl Fn(CallOptions) -> Fut,
    ) -> Result<Session, Error>
    where
        Fut: Future<Output = Result<Session, Error>>,
    {
        let options = |mfa_code| call_options(reason, mfa_code);
        let Some(mfa) = self.properties().mfa else {
            return call(options(None)).await;
        };
        let context = CodeContext {
            step: self.step(),
            is_renewal: reason.is_renewal(),
            timeout: PROVIDER_TIMEOUT,
            time: &self.base.time,
            sleep: &self.base.sleep,
        };
        mfa.with_code(context, |code| call(options(Some(code))))
            .await
    }

    pub(super) async fn source_credentials(&self) -> Result<Credentials, Error> {
        self.base.source_credentials(self.step()).await
    }

    /// Waits for a token. Its provider times out, unless it asks a person.
    async fn token(
        &self,
        provided: impl Future<Output = Result<String, BoxError>>,
    ) -> Result<String, Error> {
        let token = if self.is_interactive() {
            provided.await
        } else {
            let seconds = PROVIDER_TIMEOUT.as_secs();
            let late = || Err(format!("the provider timed out after {seconds} s").into());
            let token = self.base.with_provider_timeout(provided).await;
            token.unwrap_or_else(late)
        };
        token.map_err(|error| {
            ErrorInner {
                source: Some(error),
                ..self.step().failed(ErrorKind::NoToken)
            }
            .into()
        })
    }

    /// Limits the expiry of a new session to the requested duration from now, by this machine's clock: if that clock is
    /// behind STS's, the expiry that STS returns would come too late.
    fn clamp_expiry(&self, mut session: Session) -> Session {
        let latest = self.base.time.now() + self.max_lifetime();
        if session.expiry > latest {
            session.expiry = latest;
            *session.credentials.expiry_mut() = Some(latest);
        }
        session
    }

    fn moment(&self) -> Moment {
        Moment::now(self.base.time.now())
    }
}

/// Returns the options of the calls of a load.
fn call_options(reason: LoadReason, mfa_code: Option<String>) -> CallOptions {
    CallOptions {
        mfa_code,
        no_retries: reason.is_retry,
        has_waiter: reason.has_waiter(),
    }
}

/// Gets the credentials of a parent. A forced load ignores its cached failure, and a background load asks no person.
async fn ask_parent(parent: &HopCache, reason: LoadReason) -> Result<Credentials, Error> {
    match parent.lookup(|session| session.credentials.clone()) {
        Some(Err(_)) if reason.force => parent.get_reloaded(reason.requester).await,
        Some(result) => result,
        None if !reason.has_waiter() && parent.loader().is_interactive() => {
            Err(parent.loader().error(ErrorKind::InteractionRequired))
        }
        None => parent.get_or_load(reason.requester).await,
    }
}

fn is_credentials_rejection(error: &Error) -> bool {
    matches!(error.meaning(), Some(Meaning::InvalidCredentials { .. }))
}
