//! [`CredentialsCache`]: keeps one set of credentials fresh. A caller looks them up; what it gets, by the
//! time and by what is known, [`schedule`] decides; everything else here carries that out.
//!
//! Loads run in tasks of their own, one at a time a cache (*single flight*), and all who wait share the
//! result. No lock is held across an await.

mod moment;
mod schedule;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;

use crate::error::{Error, ErrorKind};
use crate::session::{Session, timestamp};
use crate::sync::{AbortHandle, ArcSwap, Guard, Handle, Mutex, watch, yield_now};

use schedule::{
    ABANDONED_LOAD_TIMEOUT, COLD_RETRY, Cached, Decision, FailedAttempt, HEARTBEAT, Known,
    LONGEST_TIMER_SLEEP, NEGATIVE_CACHE_TTL, Window, decide, may_invalidate, retry_wait,
};

pub(crate) use moment::Moment;

/// What a cache loads.
pub(crate) trait Load: Send + Sync + 'static {
    /// Loads credentials anew. Runs in a task of its own, one at a time.
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>>;

    /// Whether a load now would ask a person something. The cache never does that by itself: it serves
    /// what is cached until a caller waits for credentials. Where it says no, a load never fails for the lack of a
    /// person: such a failure is not remembered, and every lookup would start another.
    fn is_interactive(&self) -> bool;

    /// Whether the current task is such a load, or one of a loader that this one asks. Code that such a load calls, such
    /// as a provider of MFA codes, would wait for itself here.
    fn is_loading_in_this_task(&self) -> bool;

    /// Creates this loader's error.
    fn error(&self, kind: ErrorKind) -> Error;

    /// Whether an error is this loader's, and not that of another that it asked.
    fn is_own(&self, error: &Error) -> bool;
}

/// What a load is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadReason {
    /// Whether a caller waits for it: then a person may be asked.
    pub(crate) has_waiter: bool,
    /// Whether a caller asked for new credentials: remembered failures do not count.
    pub(crate) force: bool,
    /// When the cached credentials expire; `None` where nothing is cached.
    pub(crate) cached_until: Option<SystemTime>,
    /// Whether the last load failed, after expiry: one attempt is enough, the next load is the retry.
    pub(crate) is_retry: bool,
}

impl LoadReason {
    /// A caller needs credentials.
    pub(crate) const ON_DEMAND: Self = Self {
        has_waiter: true,
        force: false,
        cached_until: None,
        is_retry: false,
    };
    /// They are due, and no caller waits.
    const BACKGROUND: Self = Self {
        has_waiter: false,
        ..Self::ON_DEMAND
    };

    pub(crate) fn is_renewal(self) -> bool {
        self.cached_until.is_some()
    }

    pub(crate) fn unforced(self) -> Self {
        Self {
            force: false,
            ..self
        }
    }
}

/// A cheap-clone handle; dropping the last one ends the refresh timer.
pub(crate) struct CredentialsCache<L>(Arc<Inner<L>>);

struct Inner<L> {
    loader: L,
    time: SharedTimeSource,
    sleep: SharedAsyncSleep,
    /// Replaced as a whole, so that callers on many threads read it without a lock.
    state: ArcSwap<State>,
    /// Held while the state is replaced.
    write_lock: Mutex<()>,
}

/// What [`CredentialsCache::lookup`] found.
pub(crate) enum Lookup<T> {
    Ready(Result<T, Error>),
    /// Call [`CredentialsCache::get_or_load`].
    Miss,
}

/// What is known of a cache from outside.
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

    /// How many handles of this cache there are, this one included.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The path of nearly every call: an atomic load, a look at the clock, and what `take` clones.
    pub(crate) fn lookup<T>(&self, take: impl FnOnce(&Session) -> T) -> Lookup<T> {
        let now = self.0.time.now();
        let state = self.0.read();
        match (self.0.decide(&state, now), &state.entry) {
            (decision @ (Decision::Serve | Decision::ServeAndRefresh), Some(entry)) => {
                if entry.needs_timer(now) {
                    self.start_timer();
                }
                if decision == Decision::ServeAndRefresh {
                    self.refresh_in_background();
                }
                Lookup::Ready(Ok(take(&entry.session)))
            }
            (Decision::Fail, _) => match &state.failure {
                Some(failure) => Lookup::Ready(Err(failure.error.clone())),
                // Only a failure makes the decision to fail.
                None => Lookup::Miss,
            },
            _ => Lookup::Miss,
        }
    }

    /// Waits for the load in flight, or for a new one. Where that fails or takes long, the cached
    /// credentials are returned, if they may still be good.
    pub(crate) async fn get_or_load(&self, reason: LoadReason) -> Result<Credentials, Error> {
        let need = if reason.force {
            Need::Load
        } else {
            Need::Credentials
        };
        let result = match self.obtain(reason, need).await {
            Err(error) => {
                let now = self.0.time.now();
                let cached = self.0.read_entry(|entry| {
                    let may_be_good = error.is_transient() || now < entry.window.expiry;
                    may_be_good.then(|| entry.session.credentials.clone())
                });
                cached.flatten().ok_or(error)
            }
            result => result,
        };
        self.serve(result)
    }

    /// Loads now, whatever is cached; joins the load in flight if there is one.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let reason = LoadReason::ON_DEMAND;
        self.obtain(reason, Need::Load).await.map(drop)
    }

    /// Waits for credentials that stay valid for so long: the cached ones, or new ones.
    pub(crate) async fn get_valid_for(&self, min: Duration) -> Result<Credentials, Error> {
        // Expired ones are never meant.
        let min = min.max(Duration::from_nanos(1));
        // Valid credentials need no runtime.
        let found = self.0.valid_for(&self.0.read(), min, self.0.now());
        self.serve(match found {
            Some(result) => result,
            None => {
                self.obtain(LoadReason::ON_DEMAND, Need::ValidFor(min))
                    .await
            }
        })
    }

    /// Waits for credentials other than these, which STS has rejected: a load that is in flight, or one that
    /// is started now, however many ask. `None` where they are too new to be blamed, or the loader gives no
    /// others.
    pub(crate) async fn replace(
        &self,
        access_key_id: &str,
        reason: LoadReason,
    ) -> Option<Result<Credentials, Error>> {
        if !self.invalidate(access_key_id) {
            return None;
        }
        let need = Need::OtherThan(access_key_id);
        let result = if !reason.has_waiter && self.0.loader.is_interactive() {
            let found = self.0.read().replacement_of(access_key_id, self.0.now());
            let nobody_asked = || Err(self.0.loader.error(ErrorKind::InteractionRequired));
            found.unwrap_or_else(nobody_asked)
        } else {
            self.obtain(reason, need).await
        };
        let is_same = |new: &Credentials| new.access_key_id() == access_key_id;
        if result.as_ref().is_ok_and(is_same) {
            return None;
        }
        Some(self.serve(result))
    }

    /// Waits for what is needed: what is cached, what the load in flight brings, or a new load.
    async fn obtain(&self, reason: LoadReason, need: Need<'_>) -> Result<Credentials, Error> {
        let no_runtime = || self.0.loader.error(ErrorKind::NoRuntime);
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        if self.0.loader.is_loading_in_this_task() {
            return Err(self.0.loader.error(ErrorKind::ReentrantLoad));
        }
        loop {
            let (load, max_wait) = match self.join_or_start(&runtime, reason, need) {
                Admission::Served(result) => return result,
                Admission::NoRuntime => return Err(no_runtime()),
                Admission::Joined { load, max_wait } => (load, max_wait),
            };
            let loaded = match max_wait {
                Some(max_wait) => {
                    let timeout = self.0.sleep.sleep(max_wait);
                    let loaded = Timeout::new(self.await_load(load), timeout).await;
                    match (loaded, self.cached()) {
                        (Ok(loaded), _) => loaded,
                        (Err(_), Some(credentials)) => return Ok(credentials),
                        (Err(_), None) => None,
                    }
                }
                None => self.await_load(load).await,
            };
            let result = match loaded {
                // It was one in the background, which asks nobody; for this caller a person may be asked.
                Some(Err(error)) if error.is_interaction_required() && reason.has_waiter => None,
                Some(loaded) => self.0.after_load(need, loaded),
                None => None,
            };
            if let Some(result) = result {
                return result;
            }
        }
    }

    /// Whether a call that is made now need not wait for a load.
    pub(crate) fn is_usable(&self) -> bool {
        let now = self.0.time.now();
        let is_usable = self.0.read_entry(|entry| entry.cached().is_usable(now));
        is_usable.unwrap_or(false)
    }

    /// Whether the cached credentials are those of this access key ID.
    pub(crate) fn is_cached(&self, key: &str) -> bool {
        let is_same = self
            .0
            .read_entry(|entry| entry.session.access_key_id() == key);
        is_same.unwrap_or(false)
    }

    /// The cached credentials, valid or not.
    pub(crate) fn cached(&self) -> Option<Credentials> {
        self.0.read_entry(|entry| entry.session.credentials.clone())
    }

    /// Marks credentials that STS has rejected; they are served until others are there. Returns whether they
    /// may be to blame: not those that are new.
    pub(crate) fn invalidate(&self, access_key_id: &str) -> bool {
        let now = self.0.now();
        self.0.update(|state| {
            let rejected = (state.entry.as_mut())
                .filter(|entry| entry.session.access_key_id() == access_key_id);
            let Some(entry) = rejected else {
                // They were replaced already.
                return true;
            };
            if !may_invalidate(now.since(entry.loaded_at)) && !entry.session.from_store {
                return false;
            }
            // They stay invalidated until a load succeeds: further complaints change nothing, and the wait
            // after a load that failed goes on.
            if !entry.is_invalidated {
                entry.is_invalidated = true;
                state.failure = None;
            }
            true
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.0.now();
        let state = self.0.read();
        Snapshot {
            session: state.entry.as_ref().map(|entry| entry.session.clone()),
            next_refresh: state.known(now).due(now.time),
            is_expired: state
                .entry
                .as_ref()
                .is_none_or(|entry| now.time >= entry.window.expiry),
            last_error: state.failure.as_ref().map(|failure| failure.error.clone()),
        }
    }

    /// Joins the load in flight, or starts one. Neither where, seen under the lock, none is needed, or where the
    /// runtime takes none.
    fn join_or_start(&self, runtime: &Handle, reason: LoadReason, need: Need<'_>) -> Admission {
        let now = self.0.now();
        let inner = self.0.clone();
        // Asked here, not under the lock.
        let is_interactive = inner.loader.is_interactive();
        let (admission, started) =
            (self.0).update(|state| inner.admit(state, reason, need, now, is_interactive));
        let (Some((sender, reason)), Admission::Joined { load, .. }) = (started, &admission) else {
            return admission;
        };
        let (id, started_at, alive_at) = (load.id, load.started_at, load.alive_at.clone());
        // In a task: a caller that gives up must not cancel the load of others.
        runtime.spawn(async move {
            let loaded = catch_unwind(inner.load(id, reason, &alive_at)).await;
            let panicked = |Panicked| Some(Err(inner.loader.error(ErrorKind::Panicked)));
            let outcome = inner.complete(id, started_at, loaded.unwrap_or_else(panicked));
            sender.send_replace(Some(outcome));
        });
        if load.result.has_changed().is_err() && load.result.borrow().is_none() {
            // Dropped at once.
            return Admission::NoRuntime;
        }
        admission
    }

    /// Waits for a load's result; `None` where it came to nothing, or its runtime was dropped, or drives it no
    /// more.
    async fn await_load(&self, mut load: InFlight) -> Option<Result<(), Error>> {
        loop {
            let result = async { load.result.wait_for(Option::is_some).await.ok()?.clone() };
            // The runtime that drives the load may stop: look again whether it does.
            let timeout = self.0.sleep.sleep(ABANDONED_LOAD_TIMEOUT);
            let result = Timeout::new(result, timeout).await;
            // A sleep that returns at once must not keep the thread.
            yield_now().await;
            match result {
                Ok(outcome) => return outcome.flatten(),
                Err(_) if load.is_abandoned(self.0.now()) => return None,
                Err(_) => {}
            }
        }
    }

    /// Starts the refresh timer when credentials are returned.
    fn serve(&self, result: Result<Credentials, Error>) -> Result<Credentials, Error> {
        if result.is_ok() {
            self.start_timer();
        }
        result
    }

    fn refresh_in_background(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.join_or_start(&runtime, LoadReason::BACKGROUND, Need::Credentials);
        }
    }

    /// Refreshes for the timer. Returns whether the timer has nothing more to do.
    async fn refresh_for_timer(&self) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            return true;
        };
        match self.join_or_start(&runtime, LoadReason::BACKGROUND, Need::Credentials) {
            // Another has made the refresh that was due, or it failed a moment ago.
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

    /// Starts the task that refreshes the cached credentials in their window, unless it runs.
    fn start_timer(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.0.loader.is_interactive() {
            return;
        }
        let now = self.0.time.now();
        // All who waited for one load come here: only the first needs the lock.
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

/// What a caller needs of a load.
#[derive(Clone, Copy)]
enum Need<'a> {
    /// Credentials, by the rules of the schedule.
    Credentials,
    /// A load, whatever is cached.
    Load,
    /// Credentials other than those of this access key ID.
    OtherThan(&'a str),
    /// Credentials that stay valid for so long.
    ValidFor(Duration),
}

/// How a caller takes part in a load.
enum Admission {
    /// Not at all: none is needed.
    Served(Result<Credentials, Error>),
    Joined {
        load: InFlight,
        max_wait: Option<Duration>,
    },
    /// The runtime is shutting down: it drops what it is given.
    NoRuntime,
}

/// Where a load's outcome is sent, and what the load is for.
type NewLoad = (watch::Sender<Option<Outcome>>, LoadReason);

/// What came of a load; `None` where it failed after its process or its runtime had stood still, which says
/// nothing about now: its waiters start another.
type Outcome = Option<Result<(), Error>>;

impl<L: Load> Inner<L> {
    fn decide(&self, state: &State, now: SystemTime) -> Decision {
        let cached = state.entry.as_ref().map(Entry::cached);
        // Nearly every call: the rest need not be looked at.
        if cached.is_some_and(|cached| cached.is_fresh(now)) {
            return Decision::Serve;
        }
        self.decide_slow(state, now)
    }

    /// By all that is known. Apart, so that the path of nearly every call is short.
    #[cold]
    fn decide_slow(&self, state: &State, now: SystemTime) -> Decision {
        // Makes no difference where nothing is cached.
        let is_interactive = state.entry.is_some() && self.loader.is_interactive();
        decide(state.known(Moment::now(now)), is_interactive, now)
    }

    fn now(&self) -> Moment {
        Moment::now(self.time.now())
    }

    /// Decides how a caller takes part; where a load is to be started, also what it needs.
    fn admit(
        &self,
        state: &mut State,
        reason: LoadReason,
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
            // A load in the background joins another, however long that takes: it has no caller to serve.
            Need::Credentials if !reason.has_waiter && in_flight.is_some() => None,
            Need::Credentials => match (
                decide(state.known(now), is_interactive, now.time),
                &state.entry,
                &state.failure,
            ) {
                (Decision::Fail, _, Some(failure)) => Some(Err(failure.error.clone())),
                (Decision::Serve, Some(entry), _) => Some(Ok(entry.session.credentials.clone())),
                // The refresh that is due is left to whoever looks the credentials up next.
                (Decision::ServeAndRefresh, Some(entry), _) if reason.has_waiter => {
                    Some(Ok(entry.session.credentials.clone()))
                }
                (Decision::Wait(wait), ..) => {
                    max_wait = wait;
                    None
                }
                _ => None,
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
            is_interactive: is_interactive && reason.has_waiter,
            alive_at: Arc::new(Mutex::new(now)),
            result,
        };
        state.in_flight = Some(load.clone());
        let cached_until = state.entry.as_ref().map(|entry| entry.window.expiry);
        let reason = LoadReason {
            force: matches!(need, Need::Load),
            cached_until,
            is_retry: state.failure.is_some()
                && cached_until.is_some_and(|until| now.time >= until),
            ..reason
        };
        (Admission::Joined { load, max_wait }, Some((sender, reason)))
    }

    /// What is known without a load of credentials that stay valid for so long: they are cached, or a load would
    /// not bring them.
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
        // The wait until the next refresh may be minutes, for those who have what they need.
        let failure = (state.failure.as_ref()).filter(|failure| failure.attempt(now).is_recent());
        // Credentials without an expiry of their own are cached until then.
        let is_due = now.time >= entry.window.expiry;
        let may_stay = !is_due || failure.is_some_and(|failure| failure.error.is_transient());
        if entry.lasts(min, now.time) && may_stay {
            return Some(Ok(entry.session.credentials.clone()));
        }
        let cause = failure.map(|failure| failure.error.clone());
        let is_longest = if entry.session.of_source {
            // The source may have others by now; it is not asked in a loop.
            !entry.is_invalidated && now.since(entry.loaded_at) < NEGATIVE_CACHE_TTL
        } else {
            // The next session would last no longer.
            entry.cached().is_fresh(now.time)
                && !entry.session.from_store
                && entry.session.time_left(entry.loaded_at.time) < min
        };
        (cause.is_some() || is_longest).then(|| Err(self.too_short(entry, min, cause, now.time)))
    }

    /// What a load brings that was waited for; `None` where another is needed.
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
                // One from a store may have been there for any time; otherwise STS gives no more.
                if entry.session.from_store {
                    return None;
                }
                Err(self.too_short(entry, min, None, now))
            }
            (_, Ok(())) => Ok(entry.session.credentials.clone()),
        })
    }

    /// The error where the cached credentials will not do; the cause alone where that is not for their expiry.
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

    /// Loads, and shows while it does that its runtime drives it. `None` where what came of it is no answer.
    async fn load(
        &self,
        id: u64,
        reason: LoadReason,
        alive_at: &Mutex<Moment>,
    ) -> Option<Result<Session, Error>> {
        // Where the process stood still before this first poll, that has hurt nothing; but another load may have
        // been started in the stead of this one.
        *alive_at.lock().unwrap_or_else(PoisonError::into_inner) = self.now();
        if (self.read().in_flight.as_ref()).is_none_or(|load| load.id != id) {
            return None;
        }
        let mut load = self.loader.load(reason);
        let mut was_frozen = false;
        loop {
            let loaded = Timeout::new(load.as_mut(), self.sleep.sleep(HEARTBEAT)).await;
            let now = self.now();
            let last = {
                let mut alive_at = alive_at.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *alive_at, now)
            };
            was_frozen |= now.since(last) >= ABANDONED_LOAD_TIMEOUT;
            match loaded {
                Ok(Err(_)) if was_frozen => return None,
                Ok(loaded) => return Some(loaded),
                // A sleep that returns at once must not keep the thread.
                Err(_) => yield_now().await,
            }
        }
    }

    /// Puts a load's result where callers find it.
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
                    state.entry = Some(Entry {
                        window: Window::new(now.time, session.expiry, fastrand::f64()),
                        session,
                        loaded_at: now,
                        is_invalidated: false,
                        timer: None,
                    });
                    Ok(())
                }
                Err(error) => {
                    // Where a person would have had to be asked, nothing was tried; a caller that waits will.
                    if !error.is_interaction_required() {
                        recorded = Some(self.record(state, &error, now));
                    }
                    Err(error)
                }
            })
        });
        // Not under the lock: a log may need credentials itself.
        if let (Some((window, wait)), Some(Err(error))) = (recorded, &outcome) {
            log_failure(error, window, now.time, now.since(started_at), wait);
        }
        outcome
    }

    /// Remembers a failure until the next load is due; returns the window of what is cached, and the wait.
    fn record(&self, state: &mut State, error: &Error, now: Moment) -> (Option<Window>, Duration) {
        let cached = state.entry.as_ref().map(Entry::cached);
        let wait = match &cached {
            // The parent hop caches its own failures; don't cache them again here.
            None if !self.loader.is_own(error) => Duration::ZERO,
            cached => retry_wait(
                cached.as_ref(),
                error.is_transient(),
                now.time,
                fastrand::f64(),
            ),
        };
        state.failure = Some(Failure {
            error: error.clone(),
            at: now,
            retry_after: wait,
        });
        (cached.map(|cached| cached.window), wait)
    }

    /// Time until the next refresh; `None` once expired, when callers trigger it.
    fn due_in(&self) -> Option<Duration> {
        let now = self.now();
        let state = self.read();
        if now.time >= state.entry.as_ref()?.window.expiry {
            return None;
        }
        let due = state.known(now).due(now.time)?.duration_since(now.time);
        Some(due.unwrap_or_default())
    }

    /// Looks at what is cached, if anything is.
    fn read_entry<T>(&self, at: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.read().entry.as_ref().map(at)
    }

    fn read(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Changes a copy of the state, under the write lock, and puts it in the place of the current one.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No code of a program's runs under the lock, and a panic would leave the state as it was: a poisoned lock
        // guards a good one.
        let lock = self
            .write_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = State::clone(&self.state.load());
        let result = change(&mut state);
        let replaced = self.state.swap(Arc::new(state));
        drop(lock);
        // Not under the lock: it may hold the last reference to a timer or an error.
        drop(replaced);
        result
    }
}

fn log_failure(
    error: &Error,
    window: Option<Window>,
    now: SystemTime,
    elapsed: Duration,
    wait: Duration,
) {
    let elapsed = elapsed.as_secs_f64();
    match window {
        Some(window) => tracing::warn!(
            name: "refresh_failed",
            target: "aws_role_chain",
            elapsed,
            error = %error.first_line(),
            expiry = %timestamp(window.expiry),
            expired = now >= window.expiry,
            retry_in_seconds = wait.as_secs(),
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

#[derive(Clone, Default)]
struct State {
    entry: Option<Entry>,
    /// The last load's failure, if it failed.
    failure: Option<Failure>,
    in_flight: Option<InFlight>,
    /// The loads started so far, and the last of them that succeeded: the late result of an
    /// abandoned load must not replace that of a later one.
    loads_started: u64,
    latest_success: u64,
}

impl State {
    fn known(&self, now: Moment) -> Known {
        let load = self.load_in_flight(now);
        Known {
            cached: self.entry.as_ref().map(Entry::cached),
            failure: self.failure.as_ref().map(|failure| failure.attempt(now)),
            load_age: load.map(|load| now.since(load.started_at)),
        }
    }

    /// The load in flight, unless its runtime was dropped, or is driven no more.
    fn load_in_flight(&self, now: Moment) -> Option<&InFlight> {
        self.in_flight
            .as_ref()
            // An error means that the sender is gone: the task was dropped with its runtime.
            .filter(|load| load.result.has_changed().is_ok() && !load.is_abandoned(now))
    }

    /// What stands in the place of rejected credentials without a load: newer ones, or a failure that is not
    /// retried yet.
    fn replacement_of(&self, key: &str, now: Moment) -> Option<Result<Credentials, Error>> {
        let newer = self
            .entry
            .as_ref()
            .filter(|entry| entry.session.access_key_id() != key);
        match (newer, self.failure_in_backoff(now)) {
            (Some(entry), _) => Some(Ok(entry.session.credentials.clone())),
            (None, Some(failure)) => Some(Err(failure.error.clone())),
            (None, None) => None,
        }
    }

    /// The last load's failure, while no retry is due.
    fn failure_in_backoff(&self, now: Moment) -> Option<&Failure> {
        let failure = self.failure.as_ref();
        failure.filter(|failure| failure.attempt(now).backoff_left().is_some())
    }
}

/// Cached credentials.
#[derive(Clone)]
struct Entry {
    session: Session,
    window: Window,
    loaded_at: Moment,
    /// STS has rejected them.
    is_invalidated: bool,
    /// Refreshes them in their window; started when they are first served, so that a cache nobody uses
    /// stops calling STS.
    timer: Option<Arc<Timer>>,
}

impl Entry {
    fn cached(&self) -> Cached {
        Cached {
            window: self.window,
            loaded_at: self.loaded_at.time,
            is_invalidated: self.is_invalidated,
        }
    }

    /// Whether the credentials stay valid for so long, as far as is known.
    fn lasts(&self, min: Duration, now: SystemTime) -> bool {
        let is_known = !self.is_invalidated && !self.cached().was_clock_set_back(now);
        is_known && self.session.time_left(now) >= min
    }

    fn needs_timer(&self, now: SystemTime) -> bool {
        // A timer that was dropped with its runtime counts as finished.
        let has_timer = (self.timer.as_ref()).is_some_and(|timer| !timer.0.is_finished());
        !has_timer && now < self.window.expiry
    }
}

/// Aborts its task when the credentials that it refreshes are replaced or dropped.
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Failure {
    error: Error,
    at: Moment,
    retry_after: Duration,
}

impl Failure {
    /// What it is now.
    fn attempt(&self, now: Moment) -> FailedAttempt {
        FailedAttempt {
            is_transient: self.error.is_transient(),
            age: now.since(self.at),
            retry_after: self.retry_after,
        }
    }
}

#[derive(Clone)]
struct InFlight {
    id: u64,
    started_at: Moment,
    /// Whether it may ask a person.
    is_interactive: bool,
    /// When its runtime last drove it.
    alive_at: Arc<Mutex<Moment>>,
    result: watch::Receiver<Option<Outcome>>,
}

impl InFlight {
    fn is_abandoned(&self, now: Moment) -> bool {
        let alive_at = *self.alive_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A machine that was suspended has lost the connections of its loads, and not the question on its screen.
        let silent_for = if self.is_interactive {
            now.run_since(alive_at)
        } else {
            now.since(alive_at)
        };
        silent_for >= ABANDONED_LOAD_TIMEOUT
    }
}

/// Refreshes the cached credentials in their window. Ends with success (the new credentials get a timer of
/// their own when they are served), with expiry, or with the cache.
async fn refresh_loop<L: Load>(cache: Weak<Inner<L>>, sleep: SharedAsyncSleep) {
    loop {
        let Some(inner) = cache.upgrade() else { return };
        match inner.due_in() {
            None => return,
            Some(_) if inner.loader.is_interactive() => return,
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
        // A sleep that returns at once must not keep the thread.
        yield_now().await;
    }
}

pub(crate) struct Panicked;

/// Turns a panic in somebody else's provider into an error: its waiters must not hang.
pub(crate) async fn catch_unwind<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        // The future is never polled again after a panic, so what it leaves broken is not seen.
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
