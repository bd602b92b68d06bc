//! [`CredentialsCache`] keeps one set of credentials fresh. [`schedule`] decides what a lookup gets, and when credentials
//! are refreshed. Requests for new or longer-lasting credentials are decided here.
//!
//! Each load runs in a task of its own, one at a time per cache (*single flight*), and all waiting callers share the
//! result. No lock is held across an await.

mod moment;
mod schedule;
mod state;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;

use crate::error::{Error, ErrorKind};
use crate::session::Session;
use crate::sync::{ArcSwap, Guard, Handle, Mutex, lock, watch, yield_now};
use crate::timestamp::timestamp;

use schedule::{
    ABANDONED_LOAD_TIMEOUT, COLD_RETRY, Cached, Decision, FailedAttempt, HEARTBEAT,
    LONGEST_TIMER_SLEEP, NEGATIVE_CACHE_TTL, Window, decide, may_invalidate, retry_wait,
};

use state::{Entry, Failure, InFlight, Outcome, State, Timer};

pub(crate) use moment::Moment;

/// Loads the credentials of a cache.
pub(crate) trait Load: Send + Sync + 'static {
    /// Loads new credentials. Each load runs in a task of its own, one at a time.
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>>;

    /// Whether a load now would ask a person. The cache never starts such a load in the background: it serves the
    /// cached credentials until a caller waits for new ones. While this is false, a load must not fail with
    /// `InteractionRequired`: that failure is not cached, and every lookup would start another load.
    fn is_interactive(&self) -> bool;

    /// Whether the current task runs a load of this loader, or of one that a load of this loader would wait for. Code
    /// called by that load, such as a provider of MFA codes, would wait for itself if it waited for this cache.
    fn is_loading_in_this_task(&self) -> bool;

    /// Creates this loader's error.
    fn error(&self, kind: ErrorKind) -> Error;

    /// Whether the error is from this loader, and not from one that it depends on.
    fn is_own(&self, error: &Error) -> bool;
}

/// Who asks for a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requester {
    /// A caller, who waits for the result.
    Caller,
    /// A refresh in the background. Its loads ask no person.
    Background,
}

impl Requester {
    fn waits(self) -> bool {
        self == Self::Caller
    }
}

/// Why a load is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadReason {
    pub(crate) requester: Requester,
    /// Whether a caller asked for new credentials. If so, cached failures are ignored.
    pub(crate) force: bool,
    /// When the cached credentials expire; `None` if nothing is cached.
    pub(crate) cached_until: Option<SystemTime>,
    /// Whether the last load failed and the cached credentials have expired: one attempt is enough, because the
    /// next load is the retry.
    pub(crate) is_retry: bool,
}

impl LoadReason {
    pub(crate) fn has_waiter(self) -> bool {
        self.requester.waits()
    }

    pub(crate) fn is_renewal(self) -> bool {
        self.cached_until.is_some()
    }
}

/// A cache of one set of credentials. Clones are cheap and share the cache; dropping the last one stops the refresh
/// timer.
pub(crate) struct CredentialsCache<L>(Arc<Inner<L>>);

struct Inner<L> {
    loader: L,
    time: SharedTimeSource,
    sleep: SharedAsyncSleep,
    /// Replaced as a whole, so that callers on many threads can read it without a lock.
    state: ArcSwap<State>,
    /// Held while the state is replaced.
    write_lock: Mutex<()>,
}

/// The state of a cache, for health and status reports.
pub(crate) struct Snapshot {
    pub(crate) session: Option<Session>,
    pub(crate) next_refresh: Option<SystemTime>,
    pub(crate) is_expired: bool,
    pub(crate) last_error: Option<Error>,
}

impl<L: Load> CredentialsCache<L> {
    pub(crate) fn new(loader: L, time: SharedTimeSource, sleep: SharedAsyncSleep) -> Self {
        Self(Arc::new(Inner {
            loader,
            time,
            sleep,
            state: ArcSwap::default(),
            write_lock: Mutex::default(),
        }))
    }

    pub(crate) fn loader(&self) -> &L {
        &self.0.loader
    }

    /// The number of handles to this cache, including this one.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The fast path: one atomic load, one clock read, and whatever `take` clones. `None` if the caller must wait, in
    /// [`get_or_load`](Self::get_or_load).
    pub(crate) fn lookup<T>(&self, take: impl FnOnce(&Session) -> T) -> Option<Result<T, Error>> {
        let now = self.0.time.now();
        let state = self.0.read();
        let decision = self.0.decide(&state, now);
        let (Decision::Serve | Decision::ServeAndRefresh, Some(entry)) = (decision, &state.entry)
        else {
            return state.answer(decision, take);
        };
        if entry.needs_timer(now) {
            self.start_timer();
        }
        if decision == Decision::ServeAndRefresh
            && let Ok(runtime) = Handle::try_current()
        {
            self.join_or_start(&runtime, Requester::Background, Need::Credentials);
        }
        Some(Ok(take(&entry.session)))
    }

    /// Waits for the load in flight, or for a new one. If it takes too long or fails, returns the cached credentials,
    /// unless they have expired and the failure is not transient.
    pub(crate) async fn get_or_load(&self, requester: Requester) -> Result<Credentials, Error> {
        self.get(requester, Need::Credentials).await
    }

    /// The same, but loads new credentials even if valid ones are cached.
    pub(crate) async fn get_reloaded(&self, requester: Requester) -> Result<Credentials, Error> {
        self.get(requester, Need::Load).await
    }

    async fn get(&self, requester: Requester, need: Need<'_>) -> Result<Credentials, Error> {
        let result = self.obtain(requester, need).await.or_else(|error| {
            let now = self.0.time.now();
            let cached = self.0.read_entry(|entry| {
                let may_be_good = error.is_transient() || now < entry.cached.window.expiry;
                may_be_good.then(|| entry.session.credentials.clone())
            });
            cached.flatten().ok_or(error)
        });
        result.inspect(|_| self.start_timer())
    }

    /// Loads new credentials even if valid ones are cached; joins the load in flight if there is one.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        self.obtain(Requester::Caller, Need::Load).await.map(drop)
    }

    /// Waits for credentials that stay valid for at least `min`: the cached ones, or new ones.
    pub(crate) async fn get_valid_for(&self, min: Duration) -> Result<Credentials, Error> {
        // Even a minimum of zero must not return expired credentials.
        let min = min.max(Duration::from_nanos(1));
        // Cached credentials can be returned outside a runtime.
        let found = self.0.valid_for(&self.0.read(), min, self.0.now());
        let result = match found {
            Some(result) => result,
            None => self.obtain(Requester::Caller, Need::ValidFor(min)).await,
        };
        result.inspect(|_| self.start_timer())
    }

    /// Waits for credentials that replace these, which STS or another service has rejected: those of the load in
    /// flight, or of a new one, shared by all callers. Returns `None` if the rejected credentials are too new to be the
    /// cause, or if the loader returns the same ones again.
    pub(crate) async fn replace(
        &self,
        access_key_id: &str,
        requester: Requester,
    ) -> Option<Result<Credentials, Error>> {
        if !self.invalidate(access_key_id) {
            return None;
        }
        let result = if !requester.waits() && self.0.loader.is_interactive() {
            let found = self.0.read().replacement_of(access_key_id, self.0.now());
            let nobody_asked = || Err(self.0.loader.error(ErrorKind::InteractionRequired));
            found.unwrap_or_else(nobody_asked)
        } else {
            self.obtain(requester, Need::OtherThan(access_key_id)).await
        };
        let is_same = |new: &Credentials| new.access_key_id() == access_key_id;
        if result.as_ref().is_ok_and(is_same) {
            return None;
        }
        Some(result.inspect(|_| self.start_timer()))
    }

    /// Returns what `need` asks for: from the cache, from the load in flight, or from a new load.
    async fn obtain(&self, requester: Requester, need: Need<'_>) -> Result<Credentials, Error> {
        let no_runtime = || self.0.loader.error(ErrorKind::NoRuntime);
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        if self.0.loader.is_loading_in_this_task() {
            return Err(self.0.loader.error(ErrorKind::ReentrantLoad));
        }
        loop {
            let (load, max_wait) = match self.join_or_start(&runtime, requester, need) {
                Admission::Served(result) => return result,
                Admission::NoRuntime => return Err(no_runtime()),
                Admission::Joined { load, max_wait } => (self.await_load(load), max_wait),
            };
            let loaded = match max_wait {
                None => load.await,
                Some(max_wait) => {
                    let timeout = self.0.sleep.sleep(max_wait);
                    match (Timeout::new(load, timeout).await, self.cached()) {
                        (Ok(loaded), _) => loaded,
                        (Err(_), Some(credentials)) => return Ok(credentials),
                        (Err(_), None) => None,
                    }
                }
            };
            let result = match loaded {
                // The joined load was a background one and may not ask a person. This caller may: start another.
                Some(Err(error)) if error.is_interaction_required() && requester.waits() => None,
                Some(loaded) => self.0.after_load(need, loaded),
                None => None,
            };
            if let Some(result) = result {
                return result;
            }
        }
    }

    /// Whether a call made now is certain to be served without waiting for a load.
    pub(crate) fn is_usable(&self) -> bool {
        let now = self.0.time.now();
        let is_usable = self.0.read_entry(|entry| entry.cached.is_usable(now));
        is_usable.unwrap_or(false)
    }

    /// Whether the cached credentials have this access key ID.
    pub(crate) fn is_cached(&self, key: &str) -> bool {
        let is_same = self
            .0
            .read_entry(|entry| entry.session.access_key_id() == key);
        is_same.unwrap_or(false)
    }

    /// The cached credentials, even if they have expired.
    pub(crate) fn cached(&self) -> Option<Credentials> {
        self.0.read_entry(|entry| entry.session.credentials.clone())
    }

    /// Marks credentials that STS or another service has rejected, so that a load replaces them; they are served until
    /// it succeeds. Returns false if they are too new to be the cause of the rejection; those from a store may be of
    /// any age.
    pub(crate) fn invalidate(&self, access_key_id: &str) -> bool {
        let now = self.0.now();
        self.0.update(|state| {
            let rejected = (state.entry.as_mut())
                .filter(|entry| entry.session.access_key_id() == access_key_id);
            let Some(entry) = rejected else {
                // They have already been replaced.
                return true;
            };
            if !may_invalidate(now.since(entry.cached.loaded_at)) && !entry.session.from_store {
                return false;
            }
            // They stay invalidated until a load succeeds. Invalidating them again must not cut the back-off
            // after a failed load short.
            if !entry.cached.is_invalidated {
                entry.cached.is_invalidated = true;
                state.failure = None;
            }
            true
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.0.now();
        let state = self.0.read();
        let is_interactive = self.0.loader.is_interactive();
        Snapshot {
            session: state.entry.as_ref().map(|entry| entry.session.clone()),
            next_refresh: state.known(now, is_interactive).due(),
            is_expired: state
                .entry
                .as_ref()
                .is_none_or(|entry| now.time >= entry.cached.window.expiry),
            last_error: state.failure.as_ref().map(|failure| failure.error.clone()),
        }
    }

    /// Joins the load in flight, or starts one. Does neither if the state under the lock shows that no load is needed,
    /// or if the runtime is shutting down.
    fn join_or_start(&self, runtime: &Handle, requester: Requester, need: Need<'_>) -> Admission {
        let now = self.0.now();
        let inner = self.0.clone();
        // Called before taking the lock, because this runs user code.
        let is_interactive = inner.loader.is_interactive();
        let (admission, started) =
            (self.0).update(|state| inner.admit(state, requester, need, now, is_interactive));
        let (Some((sender, reason)), Admission::Joined { load, .. }) = (started, &admission) else {
            return admission;
        };
        let (id, started_at, alive_at) = (load.id, load.started_at, load.alive_at.clone());
        // In a task of its own, so that a caller that gives up does not cancel the load for others.
        runtime.spawn(async move {
            let loaded = catch_unwind(inner.load(id, reason, &alive_at)).await;
            let panicked = |Panicked| Some(Err(inner.loader.error(ErrorKind::Panicked)));
            let outcome = inner.complete(id, started_at, loaded.unwrap_or_else(panicked));
            sender.send_replace(Some(outcome));
        });
        if load.result.has_changed().is_err() && load.result.borrow().is_none() {
            // The runtime has dropped the task, and with it the sender.
            return Admission::NoRuntime;
        }
        admission
    }

    /// Waits for a load's result. Returns `None` if the load was discarded, or if its runtime was dropped or no longer
    /// polls it.
    async fn await_load(&self, mut load: InFlight) -> Option<Result<(), Error>> {
        loop {
            let result = async { load.result.wait_for(Option::is_some).await.ok()?.clone() };
            // The runtime that polls the load may stop, so check again after a while.
            let timeout = self.0.sleep.sleep(ABANDONED_LOAD_TIMEOUT);
            let result = Timeout::new(result, timeout).await;
            yield_now().await;
            match result {
                Ok(outcome) => return outcome.flatten(),
                Err(_) if load.is_abandoned(self.0.now()) => return None,
                Err(_) => {}
            }
        }
    }

    /// Refreshes for the timer. Returns whether the timer is done.
    async fn refresh_for_timer(&self) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            return true;
        };
        match self.join_or_start(&runtime, Requester::Background, Need::Credentials) {
            // Another task has just made the refresh that was due, or it has just failed.
            Admission::Served(_) => {
                self.0.sleep.sleep(COLD_RETRY).await;
                false
            }
            Admission::NoRuntime => true,
            Admission::Joined { load, .. } => match self.await_load(load).await {
                Some(Ok(())) => true,
                Some(Err(error)) => error.is_interaction_required(),
                None => false,
            },
        }
    }

    /// Starts the task that refreshes the cached credentials in their window, unless it is running. Called when
    /// credentials are returned.
    fn start_timer(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.0.loader.is_interactive() {
            return;
        }
        let now = self.0.time.now();
        // Every caller that waited for a load comes here, but only the first needs the lock.
        if !(self.0.read().entry.as_ref()).is_some_and(|entry| entry.needs_timer(now)) {
            return;
        }
        self.0.update(|state| {
            if let Some(entry) = &mut state.entry
                && entry.needs_timer(now)
            {
                let task = refresh_loop(Arc::downgrade(&self.0), self.0.sleep.clone());
                entry.timer = Some(Arc::new(Timer(runtime.spawn(task).abort_handle())));
            }
        });
    }
}

impl<L> Clone for CredentialsCache<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What a caller needs.
#[derive(Clone, Copy)]
enum Need<'a> {
    /// Credentials, by the rules of [`schedule`].
    Credentials,
    /// A load, even if valid credentials are cached.
    Load,
    /// Credentials with another access key ID than this.
    OtherThan(&'a str),
    /// Credentials that stay valid for at least this long.
    ValidFor(Duration),
}

/// Whether a caller joined a load.
enum Admission {
    /// No load is needed.
    Served(Result<Credentials, Error>),
    Joined {
        load: InFlight,
        max_wait: Option<Duration>,
    },
    /// The runtime is shutting down, and drops new tasks.
    NoRuntime,
}

/// Where a load's outcome is sent, and why the load is started.
type NewLoad = (watch::Sender<Option<Outcome>>, LoadReason);

impl<L: Load> Inner<L> {
    fn decide(&self, state: &State, now: SystemTime) -> Decision {
        // Fast path for nearly every call.
        if (state.entry.as_ref()).is_some_and(|entry| entry.cached.is_fresh(now)) {
            return Decision::Serve;
        }
        self.decide_slow(state, now)
    }

    /// Decides by all that is known. A separate function, to keep the fast path short.
    #[cold]
    fn decide_slow(&self, state: &State, now: SystemTime) -> Decision {
        // `is_interactive` makes no difference if nothing is cached.
        let is_interactive = state.entry.is_some() && self.loader.is_interactive();
        decide(state.known(Moment::now(now), is_interactive))
    }

    fn now(&self) -> Moment {
        Moment::now(self.time.now())
    }

    /// Serves a caller from the state, or has it join a load. If that load is new, also returns what is needed to start
    /// it.
    fn admit(
        &self,
        state: &mut State,
        requester: Requester,
        need: Need<'_>,
        now: Moment,
        is_interactive: bool,
    ) -> (Admission, Option<NewLoad>) {
        let mut max_wait = None;
        let in_flight = state.load_in_flight(now).cloned();
        let served = match need {
            Need::Load => None,
            Need::OtherThan(key) => state.replacement_of(key, now),
            Need::ValidFor(min) => self.valid_for(state, min, now),
            // A background refresh joins the load in flight however old that is: it has no caller to serve.
            Need::Credentials if !requester.waits() && in_flight.is_some() => None,
            Need::Credentials => match decide(state.known(now, is_interactive)) {
                // A caller is served instead: the next lookup starts the refresh that is due.
                Decision::ServeAndRefresh if !requester.waits() => None,
                Decision::Wait(wait) => {
                    max_wait = wait;
                    None
                }
                decision => state.answer(decision, |session| session.credentials.clone()),
            },
        };
        if let Some(result) = served {
            return (Admission::Served(result), None);
        }
        if let Some(load) = in_flight {
            return (Admission::Joined { load, max_wait }, None);
        }
        let (sender, result) = watch::channel(None);
        state.loads_started += 1;
        let load = InFlight {
            id: state.loads_started,
            started_at: now,
            is_interactive: is_interactive && requester.waits(),
            alive_at: Arc::new(Mutex::new(now)),
            result,
        };
        state.in_flight = Some(load.clone());
        let cached_until = state.entry.as_ref().map(|entry| entry.cached.window.expiry);
        let reason = LoadReason {
            requester,
            force: matches!(need, Need::Load),
            cached_until,
            is_retry: state.failure.is_some()
                && cached_until.is_some_and(|until| now.time >= until),
        };
        (Admission::Joined { load, max_wait }, Some((sender, reason)))
    }

    /// The answer to a caller that needs credentials valid for at least `min`, if it is known without a load: they are
    /// cached, or a load would not return such credentials.
    fn valid_for(
        &self,
        state: &State,
        min: Duration,
        now: Moment,
    ) -> Option<Result<Credentials, Error>> {
        let Some(entry) = &state.entry else {
            let failure = state.failure_in_backoff(now);
            return failure.map(|failure| Err(failure.error.clone()));
        };
        // Not `failure_in_backoff`: the back-off may be minutes, and is meant for callers whose cached credentials
        // are sufficient.
        let failure = (state.failure.as_ref()).filter(|failure| failure.attempt.is_recent(now));
        // Credentials without an expiry of their own are loaded again at the expiry of the window.
        let is_due = now.time >= entry.cached.window.expiry;
        let may_stay = !is_due || failure.is_some_and(|failure| failure.error.is_transient());
        if entry.lasts(min, now.time) && may_stay {
            return Some(Ok(entry.session.credentials.clone()));
        }
        let cause = failure.map(|failure| failure.error.clone());
        let is_longest = if entry.session.of_source {
            // The source may have newer credentials by now, but must not be called in a loop.
            !entry.cached.is_invalidated && now.since(entry.cached.loaded_at) < NEGATIVE_CACHE_TTL
        } else {
            // A new session would last no longer.
            entry.cached.is_fresh(now.time)
                && !entry.session.from_store
                && entry.session.time_left(entry.cached.loaded_at.time) < min
        };
        (cause.is_some() || is_longest).then(|| Err(self.too_short(entry, min, cause, now.time)))
    }

    /// The answer to a caller that waited for a load; `None` if another load is needed.
    fn after_load(
        &self,
        need: Need<'_>,
        loaded: Result<(), Error>,
    ) -> Option<Result<Credentials, Error>> {
        let (state, now) = (self.read(), self.time.now());
        let Some(entry) = &state.entry else {
            return loaded.err().map(Err);
        };
        Some(match (need, loaded) {
            (Need::ValidFor(min), Err(error)) if entry.lasts(min, now) && error.is_transient() => {
                Ok(entry.session.credentials.clone())
            }
            (Need::ValidFor(min), Err(error)) => Err(self.too_short(entry, min, Some(error), now)),
            (_, Err(error)) => Err(error),
            (Need::ValidFor(min), Ok(())) if entry.session.time_left(now) < min => {
                // A session from a store may be of any age. A new session of STS's would last no longer.
                if entry.session.from_store {
                    return None;
                }
                Err(self.too_short(entry, min, None, now))
            }
            (_, Ok(())) => Ok(entry.session.credentials.clone()),
        })
    }

    /// The error if the cached credentials do not last long enough; if they would, but are unusable for another
    /// reason, the cause alone.
    fn too_short(
        &self,
        entry: &Entry,
        required: Duration,
        cause: Option<Error>,
        now: SystemTime,
    ) -> Error {
        let left = entry.session.time_left(now);
        match cause {
            Some(cause) if left >= required => cause,
            cause => self.loader.error(ErrorKind::TooShort {
                left,
                required,
                cause,
            }),
        }
    }

    /// Runs a load, and records regularly that its runtime still polls it. Returns `None` if the result must be
    /// discarded.
    async fn load(
        &self,
        id: u64,
        reason: LoadReason,
        alive_at: &Mutex<Moment>,
    ) -> Option<Result<Session, Error>> {
        // Being suspended before this first poll has done no harm to this load, but another load may have replaced it.
        *lock(alive_at) = self.now();
        if (self.read().in_flight.as_ref()).is_none_or(|load| load.id != id) {
            return None;
        }
        let mut load = self.loader.load(reason);
        let mut was_frozen = false;
        loop {
            let loaded = Timeout::new(load.as_mut(), self.sleep.sleep(HEARTBEAT)).await;
            let now = self.now();
            let last = {
                let mut alive_at = lock(alive_at);
                std::mem::replace(&mut *alive_at, now)
            };
            was_frozen |= now.since(last) >= ABANDONED_LOAD_TIMEOUT;
            match loaded {
                Ok(Err(_)) if was_frozen => return None,
                Ok(loaded) => return Some(loaded),
                Err(_) => yield_now().await,
            }
        }
    }

    /// Stores a load's result.
    fn complete(
        &self,
        id: u64,
        started_at: Moment,
        loaded: Option<Result<Session, Error>>,
    ) -> Outcome {
        let now = self.now();
        let loaded = loaded.map(|loaded| {
            let session = loaded?;
            if session.expiry > now.time {
                return Ok(session);
            }
            Err(self
                .loader
                .error(ErrorKind::already_expired(session.expiry, now.time)))
        });
        let mut recorded = None;
        let outcome = self.update(|state| {
            state.in_flight.take_if(|load| load.id == id);
            let loaded = loaded?;
            if id < state.latest_success {
                return Some(loaded.map(drop));
            }
            Some(match loaded {
                Ok(session) => {
                    state.latest_success = id;
                    state.failure = None;
                    let cached = Cached {
                        window: Window::new(now.time, session.expiry, fastrand::f64()),
                        loaded_at: now,
                        is_invalidated: false,
                    };
                    state.entry = Some(Entry {
                        session,
                        cached,
                        timer: None,
                    });
                    Ok(())
                }
                Err(error) => {
                    // Nothing was attempted if a person would have had to be asked; a waiting caller will try.
                    if !error.is_interaction_required() {
                        let failure = self.failure(state, &error, now);
                        let window = state.entry.as_ref().map(|entry| entry.cached.window);
                        recorded = Some((failure.clone(), window));
                        state.failure = Some(failure);
                    }
                    Err(error)
                }
            })
        });
        // Outside the lock: a `tracing` subscriber is user code, and may need credentials itself. It may also panic, and
        // those who wait for the outcome must get it nevertheless. They get it later than the log, because the program
        // may end then.
        if let Some((failure, window)) = recorded {
            let log = || log_failure(&failure, window, now.since(started_at));
            let _ = std::panic::catch_unwind(AssertUnwindSafe(log));
        }
        outcome
    }

    /// A failure, and how long it is cached.
    fn failure(&self, state: &State, error: &Error, now: Moment) -> Failure {
        let (is_transient, jitter) = (error.is_transient(), fastrand::f64());
        let retry_after = match &state.entry {
            // The parent hop caches its own failures; don't cache them again here.
            None if !self.loader.is_own(error) => Duration::ZERO,
            entry => {
                let cached = entry.as_ref().map(|entry| &entry.cached);
                retry_wait(cached, is_transient, now.time, jitter)
            }
        };
        Failure {
            error: error.clone(),
            attempt: FailedAttempt {
                is_transient,
                at: now,
                retry_after,
            },
        }
    }

    /// Time until the timer's next refresh. `None` if only callers start it: once the credentials have expired, and if
    /// a person would be asked.
    fn due_in(&self) -> Option<Duration> {
        let now = self.now();
        let state = self.read();
        if now.time >= state.entry.as_ref()?.cached.window.expiry || self.loader.is_interactive() {
            return None;
        }
        let known = state.known(now, false);
        let due = known.due()?.duration_since(now.time);
        Some(due.unwrap_or_default())
    }

    /// Reads the cached entry, if there is one.
    fn read_entry<T>(&self, at: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.read().entry.as_ref().map(at)
    }

    fn read(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Changes a copy of the state under the write lock, and replaces the current state with it.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No user code runs under the lock, and a panic in `change` leaves the current state as it was.
        let lock = lock(&self.write_lock);
        let mut state = State::clone(&self.state.load());
        let result = change(&mut state);
        let replaced = self.state.swap(Arc::new(state));
        drop(lock);
        // Outside the lock: this may drop the last reference to a timer or an error.
        drop(replaced);
        result
    }
}

fn log_failure(failure: &Failure, window: Option<Window>, elapsed: Duration) {
    let Failure { error, attempt } = failure;
    let elapsed = elapsed.as_secs_f64();
    match window {
        Some(window) => tracing::warn!(
            name: "refresh_failed",
            target: "aws_role_chain",
            elapsed,
            error = %error.first_line(),
            expiry = %timestamp(window.expiry),
            expired = attempt.at.time >= window.expiry,
            retry_in_seconds = attempt.retry_after.as_secs(),
            "refresh failed; the cached credentials are still served"
        ),
        None => tracing::debug!(
            name: "load_failed",
            target: "aws_role_chain",
            elapsed,
            error = %error.first_line(),
            "no credentials"
        ),
    }
}

/// The refresh timer: refreshes the cached credentials in their window. Ends when a refresh succeeds (the new
/// credentials get a timer of their own when they are first served), when the credentials expire, or when the cache is
/// dropped.
async fn refresh_loop<L: Load>(cache: Weak<Inner<L>>, sleep: SharedAsyncSleep) {
    loop {
        let Some(inner) = cache.upgrade() else { return };
        match inner.due_in() {
            None => return,
            Some(Duration::ZERO) => {
                if CredentialsCache(inner).refresh_for_timer().await {
                    return;
                }
            }
            Some(wait) => {
                drop(inner);
                sleep.sleep(wait.min(LONGEST_TIMER_SLEEP)).await;
            }
        }
        yield_now().await;
    }
}

pub(crate) struct Panicked;

/// Turns a panic in a user's provider into an error, so that waiting callers get an answer.
pub(crate) async fn catch_unwind<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        // The future is never polled again after a panic, so broken invariants in it are never observed.
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
#[path = "../../tests/unit/cache.rs"]
mod tests;
