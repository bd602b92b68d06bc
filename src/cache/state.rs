//! [`State`]: what a cache knows: its credentials, the last failure, the load in flight. The cache replaces it as a whole.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;

use super::moment::Moment;
use super::schedule::{ABANDONED_LOAD_TIMEOUT, Cached, Decision, FailedAttempt, Known};
use crate::error::Error;
use crate::session::Session;
use crate::sync::{AbortHandle, Mutex, lock, watch};

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) entry: Option<Entry>,
    /// The last load's failure, if it failed.
    pub(super) failure: Option<Failure>,
    pub(super) in_flight: Option<InFlight>,
    /// The number of loads started so far, and the ID of the latest that succeeded: a late result of an abandoned load
    /// must not replace that of a later load.
    pub(super) loads_started: u64,
    pub(super) latest_success: u64,
}

impl State {
    pub(super) fn known(&self, now: Moment, is_interactive: bool) -> Known {
        Known {
            now,
            cached: self.entry.as_ref().map(|entry| entry.cached),
            failure: self.failure.as_ref().map(|failure| failure.attempt),
            load_started_at: self.load_in_flight(now).map(|load| load.started_at),
            is_interactive,
        }
    }

    /// What a caller gets without waiting, by this decision.
    pub(super) fn answer<T>(
        &self,
        decision: Decision,
        take: impl FnOnce(&Session) -> T,
    ) -> Option<Result<T, Error>> {
        match decision {
            Decision::Serve | Decision::ServeAndRefresh => {
                Some(Ok(take(&self.entry.as_ref()?.session)))
            }
            Decision::Fail => Some(Err(self.failure.as_ref()?.error.clone())),
            Decision::Wait(_) => None,
        }
    }

    /// The load in flight, unless its runtime was dropped or no longer polls it.
    pub(super) fn load_in_flight(&self, now: Moment) -> Option<&InFlight> {
        self.in_flight
            .as_ref()
            // An error means that the sender was dropped, together with the task and its runtime.
            .filter(|load| load.result.has_changed().is_ok() && !load.is_abandoned(now))
    }

    /// The answer to a caller whose credentials were rejected, if no load is needed: newer credentials, or a failure
    /// that is not retried yet.
    pub(super) fn replacement_of(
        &self,
        key: &str,
        now: Moment,
    ) -> Option<Result<Credentials, Error>> {
        let newer = self
            .entry
            .as_ref()
            .filter(|entry| entry.session.access_key_id() != key);
        let newer = newer.map(|entry| Ok(entry.session.credentials.clone()));
        newer.or_else(|| Some(Err(self.failure_in_backoff(now)?.error.clone())))
    }

    /// The last load's failure, until a retry is due.
    pub(super) fn failure_in_backoff(&self, now: Moment) -> Option<&Failure> {
        let failure = self.failure.as_ref();
        failure.filter(|failure| failure.attempt.backoff_left(now).is_some())
    }
}

/// Cached credentials.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) session: Session,
    pub(super) cached: Cached,
    /// Refreshes them in their window. It is started when they are first served, so that an unused cache stops calling
    /// STS.
    pub(super) timer: Option<Arc<Timer>>,
}

impl Entry {
    /// Whether the credentials stay valid for at least `min`, as far as is known.
    pub(super) fn lasts(&self, min: Duration, now: SystemTime) -> bool {
        let is_known = !self.cached.is_invalidated && !self.cached.was_clock_set_back(now);
        is_known && self.session.time_left(now) >= min
    }

    pub(super) fn needs_timer(&self, now: SystemTime) -> bool {
        // `is_finished` is also true for a task that was dropped with its runtime.
        let has_timer = (self.timer.as_ref()).is_some_and(|timer| !timer.0.is_finished());
        !has_timer && now < self.cached.window.expiry
    }
}

/// Aborts its task when the credentials that it refreshes are replaced or dropped.
pub(super) struct Timer(pub(super) AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) attempt: FailedAttempt,
}

#[derive(Clone)]
pub(super) struct InFlight {
    pub(super) id: u64,
    pub(super) started_at: Moment,
    /// Whether it may ask a person.
    pub(super) is_interactive: bool,
    /// When its runtime last polled it.
    pub(super) alive_at: Arc<Mutex<Moment>>,
    pub(super) result: watch::Receiver<Option<Outcome>>,
}

impl InFlight {
    pub(super) fn is_abandoned(&self, now: Moment) -> bool {
        let alive_at = *lock(&self.alive_at);
        // Suspending the machine breaks the connections of a load, but not a prompt that waits for a person.
        let silent_for = if self.is_interactive {
            now.run_since(alive_at)
        } else {
            now.since(alive_at)
        };
        silent_for >= ABANDONED_LOAD_TIMEOUT
    }
}

/// The outcome of a load. `None` if it failed after its process or runtime had been suspended, so that the failure says
/// nothing about the present, or if another load had replaced it: its waiters start another.
pub(super) type Outcome = Option<Result<(), Error>>;
