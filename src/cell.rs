//! The cell: cached credentials, and the only place with refresh numbers.
//!
//! [`decide`] says, from what is in hand and the time, what a caller gets; everything else here
//! carries that out. The rules are AWS's cross-SDK refresh behaviour of 2026; the crate's front page
//! says where they differ.
//!
//! Loads run in tasks of their own, one at a time a cell; waiters share the result. No lock is
//! held across an await.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use aws_credential_types::Credentials;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;
use tokio::runtime::{self, Handle};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::{Error, Kind, timestamp};

/// How long before expiry credentials that live this long are due for a refresh.
fn advisory_window(lifetime: Duration) -> Duration {
    match lifetime {
        _ if lifetime <= minutes(20) => minutes(5),
        _ if lifetime < minutes(90) => minutes(15),
        _ => minutes(60),
    }
}

/// How long before expiry callers wait for that refresh.
const MANDATORY_WINDOW: Duration = minutes(1);
/// The wait after a failed refresh: a quarter of the time left, within these.
const SHORTEST_RETRY: Duration = Duration::from_secs(10);
const LONGEST_RETRY: Duration = minutes(5);
/// However short the time, one try is made this long before expiry.
const LAST_RETRY: Duration = Duration::from_secs(1);
/// The wait with nothing in hand: callers that loop must not hammer STS.
const COLD_RETRY: Duration = Duration::from_secs(1);
/// How long an answer that a retry cannot cure stands in for the next one.
const REMEMBERED: Duration = Duration::from_secs(5);

/// How long a caller waits for new credentials while there are others in hand.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a load may take that runs on another runtime, which may be driven no more: longer than a
/// source, a place among the calls and STS may take together, and than a person does.
const STUCK: Duration = Duration::from_secs(210);
const STUCK_WITH_A_PERSON: Duration = minutes(10);
/// Credentials this new are not refused for their age: whatever STS holds against them, it would hold
/// against others.
const YOUNG: Duration = minutes(1);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// What a cell keeps fresh.
pub(crate) trait Load: Send + Sync + 'static {
    /// Fetches credentials anew. Runs in a task of its own, one at a time.
    fn load(&self, why: Why) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>>;

    /// Whether a load now would ask a person something. The cell never does that by itself: it
    /// keeps what is in hand until somebody waits for credentials.
    fn asks_a_person(&self) -> bool;

    /// What went wrong, said of this loader.
    fn error(&self, kind: Kind) -> Error;

    /// Whether an error is this loader's, and not that of another that it asked.
    fn is_own(&self, error: &Error) -> bool;
}

/// What a load is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Why {
    /// There are credentials in hand, or were.
    pub(crate) renewal: bool,
    /// Somebody waits for it: a person may be asked.
    pub(crate) attended: bool,
    /// Somebody asked for a refresh: remembered failures do not count.
    pub(crate) insists: bool,
    /// When what is in hand expires.
    #[cfg_attr(not(feature = "cli-cache"), allow(dead_code))] // for sessions kept elsewhere
    pub(crate) in_hand_until: Option<SystemTime>,
}

impl Why {
    /// A caller needs credentials.
    pub(crate) const NEEDED: Self = Self {
        renewal: false,
        attended: true,
        insists: false,
        in_hand_until: None,
    };
    /// They are due, and nobody waits.
    const DUE: Self = Self {
        attended: false,
        ..Self::NEEDED
    };
    /// A caller asks for new ones.
    pub(crate) const ASKED: Self = Self {
        insists: true,
        ..Self::NEEDED
    };
}

/// Fetched credentials.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) credentials: Credentials,
    pub(crate) expiry: SystemTime,
    /// The session's own ARN, as STS gave it.
    pub(crate) arn: Option<Arc<str>>,
    /// It was kept somewhere, for who knows how long.
    pub(crate) kept: bool,
}

/// What is known of a cell from outside.
pub(crate) struct Snapshot {
    pub(crate) session: Option<Session>,
    pub(crate) next_refresh: Option<SystemTime>,
    pub(crate) is_expired: bool,
    pub(crate) last_error: Option<Error>,
}

/// A cheap-clone handle; the last one to go takes the timer with it.
pub(crate) struct Cell<L>(Arc<Inner<L>>);

struct Inner<L> {
    loader: L,
    time: SharedTimeSource,
    sleep: Option<SharedAsyncSleep>,
    /// Replaced as a whole, so that callers on many threads read it without a lock.
    state: ArcSwap<State>,
    /// Held by whoever replaces it.
    turn: Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    entry: Option<Entry>,
    /// The last load, if it failed.
    failure: Option<Failure>,
    /// The load under way.
    flight: Option<Flight>,
    /// Loads begun so far, and the last of them that brought credentials: a load that was given up for
    /// stuck, and lands after all, must not replace a later one's.
    flights: u64,
    brought: u64,
}

impl State {
    fn under_way(&self) -> Option<&Flight> {
        // An error means that the sender is gone: the load's task was dropped with its runtime.
        self.flight
            .as_ref()
            .filter(|flight| flight.landed.has_changed().is_ok())
    }

    /// No caller joins this flight any more.
    fn forget(&mut self, number: u64) {
        self.flight.take_if(|flight| flight.number == number);
    }

    /// When the credentials in hand are to be refreshed.
    fn due(&self) -> Option<SystemTime> {
        let advisory = self.entry.as_ref()?.window.advisory;
        let retry_at = self.failure.as_ref().map(|failure| failure.retry_at);
        Some(retry_at.map_or(advisory, |at| at.max(advisory)))
    }
}

/// A change of the state: made to a copy, and seen by all when this is dropped.
struct Change<'a> {
    // Dropped first, and so never held while what was replaced is dropped.
    _turn: MutexGuard<'a, ()>,
    current: &'a ArcSwap<State>,
    state: Arc<State>,
}

impl Deref for Change<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut State {
        Arc::make_mut(&mut self.state)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.state = self.current.swap(self.state.clone());
    }
}

type Outcome = Result<(), Error>;

/// A load under way.
#[derive(Clone)]
struct Flight {
    number: u64,
    landed: watch::Receiver<Option<Outcome>>,
    /// The runtime that drives it; none where a caller does.
    runtime: Option<runtime::Id>,
    /// It has outlasted a caller's patience: with credentials in hand, nobody waits for it any more.
    outlasted: Arc<AtomicBool>,
}

/// Whoever started a flight runs this.
type Pilot = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Boarding {
    /// No flight is needed (any more).
    Ready(Result<Credentials, Error>),
    On(Flight, Option<Pilot>),
}

/// Credentials in hand.
#[derive(Clone)]
struct Entry {
    session: Session,
    window: Window,
    landed: SystemTime,
    /// STS refused them once; load anew.
    suspect: bool,
    /// Refreshes these credentials in their advisory window; set when they are first handed out,
    /// so that a cell nobody uses stops calling STS.
    timer: Option<Arc<Timer>>,
}

impl Entry {
    fn is_timed(&self) -> bool {
        // A timer that was dropped with its runtime counts as finished.
        self.timer
            .as_ref()
            .is_some_and(|timer| !timer.0.is_finished())
    }
}

/// Ends with the credentials that it refreshes.
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Failure {
    error: Error,
    at: SystemTime,
    retry_at: SystemTime,
}

/// When to refresh one set of credentials.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    advisory: SystemTime,
    mandatory: SystemTime,
    expiry: SystemTime,
}

impl Window {
    /// `jitter` in 0..1 spreads the start over the first half of the advisory window, so that a
    /// fleet, or the tenants of one hub, do not refresh together.
    fn new(now: SystemTime, expiry: SystemTime, jitter: f64) -> Self {
        let lifetime = expiry.duration_since(now).unwrap_or_default();
        // STS gives 900 s or more; other servers give seconds. Never refresh at once.
        let advisory = advisory_window(lifetime).min(lifetime / 4 * 3);
        let mandatory = MANDATORY_WINDOW.min(lifetime / 4);
        Self {
            advisory: expiry - advisory.mul_f64(1.0 - jitter / 2.0),
            mandatory: expiry - mandatory,
            expiry,
        }
    }
}

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Decision {
    /// The credentials in hand.
    Serve,
    /// The credentials in hand; one refresh runs meanwhile.
    ServeAndRefresh,
    /// The result of the load under way, or of a new one.
    Wait,
    /// The remembered failure.
    Fail,
}

fn decide(
    window: Option<&Window>,
    suspect: bool,
    failure: Option<&Failure>,
    now: SystemTime,
) -> Decision {
    // A failure from the future is one from before the clock was set back.
    let resting = failure.is_some_and(|failure| (failure.at..failure.retry_at).contains(&now));
    match window {
        None if resting => Decision::Fail,
        None => Decision::Wait,
        Some(_) if suspect && !resting => Decision::Wait,
        Some(window) if now < window.advisory => Decision::Serve,
        Some(window) if now < window.expiry => {
            if resting {
                Decision::Serve
            } else if now < window.mandatory || failure.is_some() {
                // With a refresh that failed already, waiting for the next is likely in vain.
                Decision::ServeAndRefresh
            } else {
                Decision::Wait
            }
        }
        // Expired by this clock. The service decides, unless STS itself has said no.
        Some(_) if !resting => Decision::Wait,
        Some(_) if failure.is_some_and(|failure| !failure.error.is_transient()) => Decision::Fail,
        Some(_) => Decision::Serve,
    }
}

/// `jitter` in 0..1 spreads retries over the last fifth of the wait.
fn retry_in(window: Option<&Window>, transient: bool, now: SystemTime, jitter: f64) -> Duration {
    let left = window.and_then(|window| window.expiry.duration_since(now).ok());
    let wait = match left {
        Some(left) => {
            let wait = (left / 4).clamp(SHORTEST_RETRY, LONGEST_RETRY);
            // A last try while the credentials are good: STS may have come back.
            match left.checked_sub(LAST_RETRY) {
                Some(last) if wait > last && last > Duration::ZERO => return last,
                _ => wait,
            }
        }
        None if !transient => REMEMBERED,
        None if window.is_some() => SHORTEST_RETRY,
        None => COLD_RETRY,
    };
    wait.mul_f64(1.0 - jitter / 5.0)
}

/// What [`Cell::take`] found.
pub(crate) enum Taken {
    Ready(Result<Credentials, Error>),
    /// Call [`Cell::wait`].
    Wait,
}

impl<L: Load> Cell<L> {
    pub(crate) fn new(loader: L, time: SharedTimeSource, sleep: Option<SharedAsyncSleep>) -> Self {
        Self(Arc::new(Inner {
            loader,
            time,
            sleep,
            state: ArcSwap::default(),
            turn: Mutex::default(),
        }))
    }

    pub(crate) fn loader(&self) -> &L {
        &self.0.loader
    }

    /// The path of nearly every call: an atomic load, a look at the clock, a clone.
    pub(crate) fn take(&self) -> Taken {
        let now = self.0.time.now();
        let state = self.0.read();
        match (self.0.decision(&state, now), &state.entry) {
            (decision @ (Decision::Serve | Decision::ServeAndRefresh), Some(entry)) => {
                if !entry.is_timed() && now < entry.window.expiry {
                    self.start_timer();
                }
                if decision == Decision::ServeAndRefresh && state.under_way().is_none() {
                    let Ok(runtime) = Handle::try_current() else {
                        // Nothing to spawn on: this caller refreshes inline.
                        return Taken::Wait;
                    };
                    if let Boarding::On(_, Some(pilot)) = self.board(Why::DUE) {
                        runtime.spawn(pilot);
                    }
                }
                Taken::Ready(Ok(entry.session.credentials.clone()))
            }
            (Decision::Fail, _) => match &state.failure {
                Some(failure) => Taken::Ready(Err(failure.error.clone())),
                // `decide` says so only of a failure.
                None => Taken::Wait,
            },
            _ => Taken::Wait,
        }
    }

    /// Waits for the load under way, or for a new one. What is in hand is given where that fails or
    /// takes long, if it may still be good.
    pub(crate) async fn wait(&self, why: Why) -> Result<Credentials, Error> {
        let mut inline = Handle::try_current().is_err();
        loop {
            let (flight, pilot) = match self.board(why) {
                Boarding::Ready(result) => return self.hand_out(result),
                Boarding::On(flight, pilot) => (flight, pilot),
            };
            // A load that this caller drives is waited for; so is a person's answer, once there is
            // nothing good in hand.
            let waits = inline || self.0.loader.asks_a_person() && !self.is_unexpired();
            let outlasted = flight.outlasted.clone();
            let in_hand = self.in_hand().filter(|_| !waits);
            if let (Some(credentials), true) = (&in_hand, outlasted.load(Ordering::Relaxed)) {
                return self.hand_out(Ok(credentials.clone()));
            }
            let ride = self.ride(flight, pilot, &mut inline);
            let outcome = match (in_hand, &self.0.sleep) {
                (Some(credentials), Some(sleep)) => {
                    match Timeout::new(ride, sleep.sleep(PATIENCE)).await {
                        Ok(outcome) => outcome,
                        Err(_) => {
                            outlasted.store(true, Ordering::Relaxed);
                            return self.hand_out(Ok(credentials));
                        }
                    }
                }
                _ => ride.await,
            };
            match (outcome, self.in_hand()) {
                (Some(Ok(())), Some(credentials)) => return self.hand_out(Ok(credentials)),
                // Here is somebody who waits.
                (Some(Err(error)), _) if error.is_unattended() && why.attended => {}
                (Some(Err(error)), Some(credentials))
                    if error.is_transient() || self.is_unexpired() =>
                {
                    return self.hand_out(Ok(credentials));
                }
                (Some(Err(error)), _) => return Err(error),
                // The load was lost with its runtime: again.
                _ => {}
            }
        }
    }

    /// Loads now, whatever is in hand; joins the load under way if there is one.
    pub(crate) async fn refresh(&self) -> Outcome {
        let mut inline = Handle::try_current().is_err();
        loop {
            // One who insists is never told that nothing is to be done.
            if let Boarding::On(flight, pilot) = self.board(Why::ASKED)
                && let Some(outcome) = self.ride(flight, pilot, &mut inline).await
                && !outcome.as_ref().is_err_and(Error::is_unattended)
            {
                return outcome;
            }
        }
    }

    /// A refresh that nobody asked for; whether there is no more to do for a timer.
    async fn renew(&self) -> bool {
        let mut inline = false;
        match self.board(Why::DUE) {
            Boarding::Ready(_) => false,
            Boarding::On(flight, pilot) => match self.ride(flight, pilot, &mut inline).await {
                Some(Ok(())) => true,
                Some(Err(error)) => error.is_unattended(),
                None => false,
            },
        }
    }

    /// The load's outcome; none where it was lost with its runtime. Then the next is driven `inline`,
    /// by the caller.
    async fn ride(
        &self,
        mut flight: Flight,
        pilot: Option<Pilot>,
        inline: &mut bool,
    ) -> Option<Outcome> {
        let here = Handle::try_current().ok();
        match (pilot, &here) {
            // A caller that gives up must not take the load with it.
            (Some(pilot), Some(runtime)) if !*inline => drop(runtime.spawn(pilot)),
            // No runtime, or one that drops its tasks.
            (Some(pilot), _) => pilot.await,
            (None, _) => {}
        }
        let elsewhere = flight.runtime != here.as_ref().map(Handle::id);
        let landed = flight.landed.wait_for(Option::is_some);
        let landed = match &self.0.sleep {
            // Without a runtime here there may be no sleep either.
            Some(sleep) if elsewhere && here.is_some() => {
                let stuck = match self.0.loader.asks_a_person() {
                    true => STUCK_WITH_A_PERSON,
                    false => STUCK,
                };
                match Timeout::new(landed, sleep.sleep(stuck)).await {
                    Ok(landed) => landed,
                    Err(_) => {
                        self.0.give_up(flight.number);
                        return None;
                    }
                }
            }
            _ => landed.await,
        };
        match landed {
            Ok(outcome) => (*outcome).clone(),
            Err(_) => {
                *inline = true;
                None
            }
        }
    }

    /// What was waited for goes out like anything else.
    fn hand_out(&self, result: Result<Credentials, Error>) -> Result<Credentials, Error> {
        if result.is_ok() {
            self.start_timer();
        }
        result
    }

    /// Whether what is in hand will do for a call that is made now.
    pub(crate) fn is_good(&self) -> bool {
        let now = self.0.time.now();
        let state = self.0.read();
        let entry = state.entry.as_ref();
        entry.is_some_and(|entry| now < entry.window.mandatory && !entry.suspect)
    }

    /// What is in hand, valid or not.
    pub(crate) fn in_hand(&self) -> Option<Credentials> {
        let state = self.0.read();
        Some(state.entry.as_ref()?.session.credentials.clone())
    }

    fn is_unexpired(&self) -> bool {
        let now = self.0.time.now();
        let state = self.0.read();
        let entry = state.entry.as_ref();
        entry.is_some_and(|entry| now < entry.window.expiry)
    }

    /// STS refused these credentials: whether they are old enough to blame. Then the next who needs
    /// some waits for others; they stay in hand until those are there.
    pub(crate) fn reject(&self, access_key_id: &str) -> bool {
        let now = self.0.time.now();
        let mut state = self.0.write();
        let state = &mut *state;
        match &mut state.entry {
            Some(entry) if entry.session.credentials.access_key_id() != access_key_id => true,
            // One that landed later than now is from before the clock was set back.
            Some(entry)
                if (entry.landed..entry.landed + YOUNG).contains(&now) && !entry.session.kept =>
            {
                false
            }
            Some(entry) => {
                entry.suspect = true;
                state.failure = None;
                true
            }
            None => true,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.0.time.now();
        let state = self.0.read();
        Snapshot {
            session: state.entry.as_ref().map(|entry| entry.session.clone()),
            next_refresh: state.due(),
            is_expired: state
                .entry
                .as_ref()
                .is_none_or(|entry| now >= entry.window.expiry),
            last_error: state.failure.as_ref().map(|failure| failure.error.clone()),
        }
    }

    /// The load under way, or a new one; unless, seen under the lock, none is needed any more.
    fn board(&self, why: Why) -> Boarding {
        let now = self.0.time.now();
        let mut state = self.0.write();
        if !why.insists {
            match (self.0.decision(&state, now), &state.entry, &state.failure) {
                (Decision::Fail, _, Some(failure)) => {
                    return Boarding::Ready(Err(failure.error.clone()));
                }
                (Decision::Serve, Some(entry), _) => {
                    return Boarding::Ready(Ok(entry.session.credentials.clone()));
                }
                // The refresh is somebody else's: a task's, where there is a runtime for one.
                (Decision::ServeAndRefresh, Some(entry), _)
                    if why.attended && Handle::try_current().is_ok() =>
                {
                    return Boarding::Ready(Ok(entry.session.credentials.clone()));
                }
                _ => {}
            }
        }
        if let Some(flight) = state.under_way() {
            return Boarding::On(flight.clone(), None);
        }
        state.flights += 1;
        let (done, landed) = watch::channel(None);
        let flight = Flight {
            number: state.flights,
            landed,
            runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
            outlasted: Arc::default(),
        };
        state.flight = Some(flight.clone());
        let why = Why {
            renewal: state.entry.is_some(),
            in_hand_until: state.entry.as_ref().map(|entry| entry.window.expiry),
            ..why
        };
        let (inner, number) = (self.0.clone(), flight.number);
        let pilot = Box::pin(async move {
            let loaded = catch_unwind(inner.loader.load(why)).await;
            let loaded = loaded.unwrap_or_else(|Panicked| Err(inner.loader.error(Kind::Panicked)));
            let outcome = inner.land(number, loaded);
            done.send_replace(Some(outcome));
        });
        Boarding::On(flight, Some(pilot))
    }

    /// Sees to it that the credentials in hand are refreshed in their window, asked for or not.
    fn start_timer(&self) {
        let (Ok(runtime), Some(sleep)) = (Handle::try_current(), &self.0.sleep) else {
            return;
        };
        if self.0.loader.asks_a_person() {
            return;
        }
        let now = self.0.time.now();
        let mut state = self.0.write();
        if let Some(entry) = &mut state.entry
            && !entry.is_timed()
            && now < entry.window.expiry
        {
            let timer = runtime.spawn(keep_fresh(Arc::downgrade(&self.0), sleep.clone()));
            entry.timer = Some(Arc::new(Timer(timer.abort_handle())));
        }
    }
}

impl<L> Clone for Cell<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Load> Inner<L> {
    fn decision(&self, state: &State, now: SystemTime) -> Decision {
        let window = state.entry.as_ref().map(|entry| &entry.window);
        let suspect = state.entry.as_ref().is_some_and(|entry| entry.suspect);
        match (decide(window, suspect, state.failure.as_ref(), now), window) {
            // Nobody may be asked in the background.
            (Decision::ServeAndRefresh, Some(window)) if self.loader.asks_a_person() => {
                match now < window.mandatory {
                    true => Decision::Serve,
                    false => Decision::Wait,
                }
            }
            (decision, _) => decision,
        }
    }

    /// Takes a load for stuck; the next caller starts another.
    fn give_up(&self, number: u64) {
        self.write().forget(number);
    }

    /// Puts a load's result where callers find it.
    fn land(&self, number: u64, loaded: Result<Session, Error>) -> Outcome {
        let now = self.time.now();
        let loaded = loaded.and_then(|session| match session.expiry > now {
            true => Ok(session),
            false => Err(self
                .loader
                .error(Kind::already_expired(session.expiry, now))),
        });
        let mut state = self.write();
        state.forget(number);
        if number < state.brought {
            return loaded.map(drop);
        }
        match loaded {
            Ok(session) => {
                state.brought = number;
                state.entry = Some(Entry {
                    window: Window::new(now, session.expiry, fastrand::f64()),
                    session,
                    landed: now,
                    suspect: false,
                    timer: None,
                });
                state.failure = None;
                Ok(())
            }
            // Nothing was tried: whoever waits tries.
            Err(error) if error.is_unattended() => Err(error),
            Err(error) => {
                let window = state.entry.as_ref().map(|entry| entry.window);
                let wait = match window {
                    // Whoever's error it is remembers it.
                    None if !self.loader.is_own(&error) => Duration::ZERO,
                    _ => retry_in(window.as_ref(), error.is_transient(), now, fastrand::f64()),
                };
                state.failure = Some(Failure {
                    error: error.clone(),
                    at: now,
                    retry_at: now + wait,
                });
                drop(state);
                match window {
                    Some(window) => tracing::warn!(
                        target: "aws_role_chain",
                        error = %error.with_causes(),
                        expiry = %timestamp(window.expiry),
                        expired = now >= window.expiry,
                        retry_in_seconds = wait.as_secs(),
                        "refresh failed, the credentials in hand go on being served"
                    ),
                    None => tracing::debug!(
                        target: "aws_role_chain",
                        error = %error.with_causes(),
                        "no credentials"
                    ),
                }
                Err(error)
            }
        }
    }

    /// How long until these credentials are due; none when that is no business of a timer's.
    fn due_in(&self) -> Option<Duration> {
        let now = self.time.now();
        let state = self.read();
        if now >= state.entry.as_ref()?.window.expiry {
            // From here on, callers ask.
            return None;
        }
        Some(state.due()?.duration_since(now).unwrap_or_default())
    }

    fn read(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    fn write(&self) -> Change<'_> {
        // Nothing in a turn can panic half-way, so a poisoned one leaves a good state.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Change {
            _turn: turn,
            current: &self.state,
            state: self.state.load_full(),
        }
    }
}

/// Refreshes what is in hand in its window. Ends with success (the new credentials get a timer
/// when they are handed out), with expiry, or with the cell.
async fn keep_fresh<L: Load>(cell: Weak<Inner<L>>, sleep: SharedAsyncSleep) {
    loop {
        let Some(inner) = cell.upgrade() else { return };
        match inner.due_in() {
            None => return,
            Some(_) if inner.loader.asks_a_person() => return,
            Some(Duration::ZERO) => {
                // A success replaces the entry, and with it ends this task.
                if Cell(inner).renew().await {
                    return;
                }
            }
            Some(wait) => {
                drop(inner);
                sleep.sleep(wait).await;
            }
        }
    }
}

pub(crate) struct Panicked;

/// A panic in somebody else's provider must reach its waiters as an error, not as a hang.
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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    /// Failed at `at` seconds, to be tried again at `retry_at`.
    fn failure(transient: bool, failed: u64, retry_at: u64) -> Option<Failure> {
        let kind = match transient {
            true => Kind::NoAnswer { what: "down" },
            false => Kind::Invalid {
                field: "arn",
                rule: String::new(),
                value: None,
                profile: None,
            },
        };
        Some(Failure {
            error: Error::new(kind, None, 0, Vec::new(), None),
            at: at(failed),
            retry_at: at(retry_at),
        })
    }

    #[test]
    fn what_a_caller_gets_depends_on_the_window_the_last_failure_and_the_time() {
        use Decision::*;
        let window = Some(Window {
            advisory: at(2700),
            mandatory: at(3540),
            expiry: at(3600),
        });
        let (down, denied) = (true, false);
        let cases = [
            // Nothing in hand.
            (None, None, 0, Wait),
            (None, failure(denied, 0, 5), 4, Fail),
            (None, failure(denied, 0, 5), 5, Wait),
            (None, failure(down, 0, 0), 0, Wait),
            // Fresh.
            (window, None, 2699, Serve),
            (window, failure(denied, 100, 400), 500, Serve),
            // Advisory.
            (window, None, 2700, ServeAndRefresh),
            (window, failure(down, 2700, 2925), 2924, Serve),
            (window, failure(denied, 2700, 2925), 2924, Serve),
            (window, failure(down, 2700, 2925), 2925, ServeAndRefresh),
            // Mandatory: wait, unless that was tried in vain.
            (window, None, 3540, Wait),
            (window, None, 3599, Wait),
            (window, failure(down, 3530, 3545), 3540, Serve),
            (window, failure(down, 3530, 3545), 3545, ServeAndRefresh),
            (window, failure(denied, 3530, 3545), 3545, ServeAndRefresh),
            // Expired.
            (window, None, 3600, Wait),
            (window, failure(down, 3600, 3610), 3609, Serve),
            (window, failure(down, 3600, 3610), 3610, Wait),
            (window, failure(denied, 3600, 3605), 3604, Fail),
            (window, failure(denied, 3600, 3605), 3605, Wait),
            // The clock was set back past the failure.
            (window, failure(down, 3590, 3605), 2800, ServeAndRefresh),
            (None, failure(denied, 3590, 3605), 2800, Wait),
        ];
        for (i, (window, failure, now, expected)) in cases.into_iter().enumerate() {
            let decision = decide(window.as_ref(), false, failure.as_ref(), at(now));
            assert_eq!(decision, expected, "case {i}, at {now}");
        }
    }

    #[test]
    fn what_sts_refused_is_loaded_anew_and_served_while_that_fails() {
        let window = Window::new(at(0), at(3600), 0.0);
        let of = |failure: Option<Failure>| decide(Some(&window), true, failure.as_ref(), at(10));
        assert_eq!(of(None), Decision::Wait);
        assert_eq!(of(failure(true, 5, 20)), Decision::Serve);
        assert_eq!(of(failure(true, 5, 10)), Decision::Wait);
    }

    #[test]
    fn a_window_opens_by_lifetime_and_jitter() {
        // Lifetime; jitter; seconds before expiry of the advisory and the mandatory window.
        let cases = [
            (900, 0.0, 300, 60),
            (900, 1.0, 150, 60),
            (1200, 0.0, 300, 60),
            (1201, 0.0, 900, 60),
            (3600, 0.0, 900, 60),
            (3600, 0.5, 675, 60),
            (5399, 0.0, 900, 60),
            (5400, 0.0, 3600, 60),
            (43_200, 1.0, 1800, 60),
            // No service's, but never due at once.
            (100, 0.0, 75, 25),
            (4, 0.0, 3, 1),
        ];
        for (lifetime, jitter, advisory, mandatory) in cases {
            let expiry = at(lifetime);
            let expected = Window {
                advisory: expiry - advisory * SECOND,
                mandatory: expiry - mandatory * SECOND,
                expiry,
            };
            assert_eq!(Window::new(at(0), expiry, jitter), expected, "{lifetime}");
        }
    }

    #[test]
    fn the_wait_after_a_failure_shrinks_as_expiry_nears() {
        let window = Window::new(at(0), at(3600), 0.0);
        let wait = |left: u64, jitter| retry_in(Some(&window), true, at(3600 - left), jitter);
        for (left, seconds) in [
            (3600, 300),
            (900, 225),
            (100, 25),
            (40, 10),
            (12, 10),
            // The last try, a second before expiry.
            (11, 10),
            (10, 9),
            (2, 1),
            (1, 10),
            (0, 10),
        ] {
            assert_eq!(wait(left, 0.0), seconds * SECOND, "{left} s left");
        }
        assert_eq!(wait(100, 1.0), 20 * SECOND);
        let expired = at(4000);
        assert_eq!(retry_in(Some(&window), true, expired, 0.0), SHORTEST_RETRY);
        assert_eq!(retry_in(Some(&window), false, expired, 0.0), REMEMBERED);
        assert_eq!(retry_in(None, false, expired, 0.0), REMEMBERED);
        assert_eq!(retry_in(None, true, expired, 0.0), COLD_RETRY);
    }
}
