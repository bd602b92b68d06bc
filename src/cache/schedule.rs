//! Decides when cached credentials are refreshed, who waits for a refresh, and how long failures are cached. Pure
//! functions, and every number of the cache.
//!
//! The rules follow AWS's cross-SDK refresh behaviour of 2026; the crate's front page lists the differences.

use std::time::{Duration, SystemTime};

use super::moment::Moment;

/// How long before expiry credentials with this lifetime are due for a refresh.
fn advisory_window(lifetime: Duration) -> Duration {
    match lifetime {
        _ if lifetime <= minutes(20) => minutes(5),
        _ if lifetime < minutes(90) => minutes(15),
        _ => minutes(60),
    }
}

/// How long before expiry callers start to wait for that refresh.
const MANDATORY_WINDOW: Duration = minutes(1);

/// The limits of the wait after a failed refresh, which is a quarter of the remaining lifetime.
const SHORTEST_RETRY: Duration = Duration::from_secs(10);
const LONGEST_RETRY: Duration = minutes(5);
/// The last retry before expiry is made this long before it, even if the wait would be longer.
const LAST_RETRY: Duration = Duration::from_secs(1);
/// The wait after a failure if nothing is cached, so that callers in a loop do not flood STS.
pub(super) const COLD_RETRY: Duration = Duration::from_secs(1);
/// How long a failure that is not transient is cached. Also the time for which the source is not called again after it
/// returned credentials that do not last long enough.
pub(super) const NEGATIVE_CACHE_TTL: Duration = Duration::from_secs(5);

/// The wait after expiry is half of the time since then, up to this: in a long outage, a thousand expired chains make
/// some twenty calls a second.
const LONGEST_RETRY_AFTER_EXPIRY: Duration = minutes(1);

/// How long callers wait for a load while valid or expired credentials are cached. Counted from the start of the load,
/// even for callers that join it later.
const MAX_WAIT_WITH_VALID: Duration = Duration::from_secs(1);
const MAX_WAIT_WITH_EXPIRED: Duration = Duration::from_secs(5);

/// How often a load records that its runtime still polls it, and after what time without such a record it counts as
/// abandoned. Each part of a load has a timeout of its own, except those that ask a person, so a load that is polled
/// ends.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
pub(super) const ABANDONED_LOAD_TIMEOUT: Duration = minutes(1);

/// How far the clock may be set back before credentials count as due: beyond that, their expiry was computed with a
/// clock that was wrong.
const CLOCK_TOLERANCE: Duration = minutes(1);

/// The timer's longest sleep between two checks: meanwhile the clock may be set, the machine suspended, or the
/// credentials invalidated.
pub(super) const LONGEST_TIMER_SLEEP: Duration = minutes(1);

/// Credentials newer than this are not invalidated: a new session would be rejected, too.
const MIN_AGE_TO_INVALIDATE: Duration = minutes(1);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// When to refresh one set of credentials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// From here on, one refresh runs in the background.
    pub(super) advisory: SystemTime,
    /// From here on, callers wait for that refresh.
    pub(super) mandatory: SystemTime,
    pub(super) expiry: SystemTime,
}

impl Window {
    /// Computes the window. A `jitter` in 0..1 spreads its start over the first half of the window, so that a fleet, or
    /// the tenants of one hub, do not refresh at the same time.
    pub(super) fn new(now: SystemTime, expiry: SystemTime, jitter: f64) -> Self {
        let lifetime = expiry.duration_since(now).unwrap_or_default();
        // STS's sessions last 900 s or more, but those of other servers may last seconds: never refresh at once.
        let advisory = advisory_window(lifetime).min(lifetime / 4 * 3);
        let mandatory = MANDATORY_WINDOW.min(lifetime / 4);
        Self {
            advisory: expiry - advisory.mul_f64(1.0 - jitter / 2.0),
            mandatory: expiry - mandatory,
            expiry,
        }
    }
}

/// What is known when a caller asks for credentials.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) now: Moment,
    pub(super) cached: Option<Cached>,
    /// The last load's failure.
    pub(super) failure: Option<FailedAttempt>,
    /// When the load in flight started. Ignores an abandoned load.
    pub(super) load_started_at: Option<Moment>,
    /// Whether a load would ask a person, which is done only while a caller waits.
    pub(super) is_interactive: bool,
}

impl Known {
    /// When the cached credentials are due for a refresh. Before that, the timer starts no load, and a caller starts
    /// one only if it asks for new or longer-lasting credentials.
    pub(super) fn due(&self) -> Option<SystemTime> {
        let (cached, now) = (self.cached?, self.now.time);
        let window = cached.window;
        let due = if cached.is_invalidated {
            now
        } else if self.is_interactive {
            window.mandatory
        } else if cached.was_clock_set_back(now) {
            now
        } else {
            window.advisory
        };
        Some(self.backoff_left().map_or(due, |left| due.max(now + left)))
    }

    fn backoff_left(&self) -> Option<Duration> {
        self.failure?.backoff_left(self.now)
    }
}

/// What is known of cached credentials.
#[derive(Clone, Copy)]
pub(super) struct Cached {
    pub(super) window: Window,
    pub(super) loaded_at: Moment,
    /// STS or another service has rejected the credentials.
    pub(super) is_invalidated: bool,
}

impl Cached {
    /// Whether these credentials are served without a refresh, whatever else is known.
    #[inline]
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        !self.is_invalidated && now < self.window.advisory && !self.was_clock_set_back(now)
    }

    /// Whether the clock was set back after they were loaded, so that their expiry cannot be compared with it.
    #[inline]
    pub(super) fn was_clock_set_back(&self, now: SystemTime) -> bool {
        // Every call evaluates this; the first comparison is enough for nearly all.
        self.loaded_at.time > now && self.loaded_at.time > now + CLOCK_TOLERANCE
    }

    /// Whether these credentials are served without waiting for a load.
    pub(super) fn is_usable(&self, now: SystemTime) -> bool {
        now < self.window.mandatory && !self.is_invalidated
    }
}

/// A failed load, and the back-off after it.
#[derive(Clone, Copy)]
pub(super) struct FailedAttempt {
    pub(super) is_transient: bool,
    /// When the load failed.
    pub(super) at: Moment,
    /// How long after the failure a retry is due.
    pub(super) retry_after: Duration,
}

impl FailedAttempt {
    /// Whether a caller that needs longer-lasting credentials than the cached ones gets this failure.
    pub(super) fn is_recent(&self, now: Moment) -> bool {
        now.since(self.at) < cold_wait(self.is_transient)
    }

    /// The time until a retry is due; `None` if one is due now.
    pub(super) fn backoff_left(&self, now: Moment) -> Option<Duration> {
        let left = self.retry_after.checked_sub(now.since(self.at));
        left.filter(|left| !left.is_zero())
    }
}

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decision {
    /// The cached credentials.
    Serve,
    /// The cached credentials, while one refresh is started in the background.
    ServeAndRefresh,
    /// The result of the load in flight, or of a new one; after this timeout, the cached credentials.
    Wait(Option<Duration>),
    /// The last load's failure.
    Fail,
}

/// Decides what a caller gets.
pub(super) fn decide(known: Known) -> Decision {
    let now = known.now.time;
    let (Some(cached), Some(due)) = (known.cached, known.due()) else {
        return match known.backoff_left() {
            Some(_) => Decision::Fail,
            None => Decision::Wait(None),
        };
    };
    let window = cached.window;
    let is_expired = now >= window.expiry;
    if now < due {
        // After expiry the cached credentials are still served, and the service may accept or reject them; unless STS
        // has denied new ones.
        let is_denied = known.failure.is_some_and(|failure| !failure.is_transient);
        return if is_expired && is_denied {
            Decision::Fail
        } else {
            Decision::Serve
        };
    }
    let must_wait = cached.is_invalidated || is_expired || known.is_interactive;
    // After a failed refresh, the next one is likely to fail too: do not make callers wait for it.
    if !must_wait && (now < window.mandatory || known.failure.is_some()) {
        return match known.load_started_at {
            Some(_) => Decision::Serve,
            None => Decision::ServeAndRefresh,
        };
    }
    wait(known, is_expired)
}

/// Waits until the load has reached a certain age: while credentials are cached, callers do not wait for a slow load,
/// no matter when they join it.
fn wait(known: Known, is_expired: bool) -> Decision {
    if known.is_interactive && is_expired {
        // A load that asks a person has no time limit.
        return Decision::Wait(None);
    }
    // Rejected credentials are as useless as expired ones.
    let is_invalidated = known.cached.is_some_and(|cached| cached.is_invalidated);
    let max_wait = if is_expired || is_invalidated {
        MAX_WAIT_WITH_EXPIRED
    } else {
        MAX_WAIT_WITH_VALID
    };
    let started_at = known.load_started_at.unwrap_or(known.now);
    match max_wait.checked_sub(known.now.since(started_at)) {
        Some(left) if !left.is_zero() => Decision::Wait(Some(left)),
        _ => Decision::Serve,
    }
}

/// How long after a failed load a retry is due; `cached` is what is cached, if anything. A `jitter` in 0..1 spreads
/// retries over the last fifth of the wait.
pub(super) fn retry_wait(
    cached: Option<&Cached>,
    is_transient: bool,
    now: SystemTime,
    jitter: f64,
) -> Duration {
    let spread = 1.0 - jitter / 5.0;
    let Some(cached) = cached else {
        return cold_wait(is_transient).mul_f64(spread);
    };
    let wait = match cached.window.expiry.duration_since(now) {
        Ok(left) if !cached.is_invalidated => {
            let wait = (left / 4).clamp(SHORTEST_RETRY, LONGEST_RETRY);
            match left.checked_sub(LAST_RETRY) {
                // One last attempt: STS may be available again by then.
                Some(last) if wait > last && last > Duration::ZERO => return last,
                // A denial must not be cached longer after expiry than one that is received then.
                _ if !is_transient => wait.min(left + NEGATIVE_CACHE_TTL),
                _ => wait,
            }
        }
        _ if !is_transient => NEGATIVE_CACHE_TTL,
        Ok(_) => SHORTEST_RETRY,
        Err(expired) => (expired.duration() / 2).clamp(SHORTEST_RETRY, LONGEST_RETRY_AFTER_EXPIRY),
    };
    wait.mul_f64(spread)
}

/// How long later calls get a failure if nothing is cached.
fn cold_wait(is_transient: bool) -> Duration {
    if is_transient {
        COLD_RETRY
    } else {
        NEGATIVE_CACHE_TTL
    }
}

/// Whether credentials of this age are old enough to be the cause when STS rejects them.
pub(super) fn may_invalidate(age: Duration) -> bool {
    age >= MIN_AGE_TO_INVALIDATE
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn moment(seconds: u64) -> Moment {
        moment_at(at(seconds))
    }

    /// By the monotonic clock, all moments are the same.
    fn moment_at(time: SystemTime) -> Moment {
        static NOW: LazyLock<Moment> = LazyLock::new(|| Moment::now(at(0)));
        let mut moment = *NOW;
        moment.time = time;
        moment
    }

    /// A failure, with the seconds at which it happened and at which a retry is due.
    #[derive(Clone, Copy)]
    struct Failed {
        is_transient: bool,
        at: u64,
        retry_at: u64,
    }

    fn failure(is_transient: bool, at: u64, retry_at: u64) -> Option<Failed> {
        Some(Failed {
            is_transient,
            at,
            retry_at,
        })
    }

    impl Failed {
        fn attempt(self) -> FailedAttempt {
            FailedAttempt {
                is_transient: self.is_transient,
                at: moment(self.at),
                retry_after: SECOND * (self.retry_at - self.at) as u32,
            }
        }
    }

    fn cached(window: Window) -> Cached {
        Cached {
            window,
            loaded_at: moment(0),
            is_invalidated: false,
        }
    }

    fn known(window: Option<Window>, failure: Option<Failed>, now: u64) -> Known {
        Known {
            now: moment(now),
            cached: window.map(cached),
            failure: failure.map(Failed::attempt),
            load_started_at: None,
            is_interactive: false,
        }
    }

    const WAIT: Decision = Decision::Wait(Some(MAX_WAIT_WITH_VALID));
    const WAIT_LONGER: Decision = Decision::Wait(Some(MAX_WAIT_WITH_EXPIRED));
    const WAIT_FOR_THE_RESULT: Decision = Decision::Wait(None);

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
            // Nothing cached.
            (None, None, 0, WAIT_FOR_THE_RESULT),
            (None, failure(denied, 0, 5), 4, Fail),
            (None, failure(denied, 0, 5), 5, WAIT_FOR_THE_RESULT),
            (None, failure(down, 0, 0), 0, WAIT_FOR_THE_RESULT),
            // Fresh.
            (window, None, 2699, Serve),
            (window, failure(denied, 100, 400), 500, Serve),
            // Advisory.
            (window, None, 2700, ServeAndRefresh),
            (window, failure(down, 2700, 2925), 2924, Serve),
            (window, failure(denied, 2700, 2925), 2924, Serve),
            (window, failure(down, 2700, 2925), 2925, ServeAndRefresh),
            // Mandatory: wait, unless a refresh has failed.
            (window, None, 3540, WAIT),
            (window, None, 3599, WAIT),
            (window, failure(down, 3530, 3545), 3540, Serve),
            (window, failure(down, 3530, 3545), 3545, ServeAndRefresh),
            (window, failure(denied, 3530, 3545), 3545, ServeAndRefresh),
            // Expired.
            (window, None, 3600, WAIT_LONGER),
            (window, failure(down, 3600, 3610), 3609, Serve),
            (window, failure(down, 3600, 3610), 3610, WAIT_LONGER),
            (window, failure(denied, 3600, 3605), 3604, Fail),
            (window, failure(denied, 3600, 3605), 3605, WAIT_LONGER),
            // The clock was set back past the failure.
            (window, failure(down, 3590, 3605), 2800, ServeAndRefresh),
            (None, failure(denied, 3590, 3605), 2800, WAIT_FOR_THE_RESULT),
        ];
        for (i, (window, failure, now, expected)) in cases.into_iter().enumerate() {
            let decision = decide(known(window, failure, now));
            assert_eq!(decision, expected, "case {i}, at {now}");
        }
    }

    #[test]
    fn a_person_is_asked_only_while_a_caller_waits() {
        let window = Window {
            advisory: at(2700),
            mandatory: at(3540),
            expiry: at(3600),
        };
        let down = failure(true, 2700, 2925);
        for (failure, now, expected) in [
            (None, 2700, Decision::Serve),
            (down, 2925, Decision::Serve),
            (None, 3540, WAIT),
            (down, 3540, WAIT),
            (None, 3600, WAIT_FOR_THE_RESULT),
        ] {
            let known = Known {
                is_interactive: true,
                ..known(Some(window), failure, now)
            };
            assert_eq!(decide(known), expected, "at {now}");
        }
    }

    #[test]
    fn callers_wait_for_a_load_by_its_age_and_then_go_on_with_what_is_cached() {
        let window = Some(Window::new(at(0), at(3600), 0.0));
        let cases = [
            // Advisory: the refresh is already running.
            (2800, 0, Decision::Serve),
            (3599, 0, WAIT),
            (3599, 400, Decision::Wait(Some(Duration::from_millis(600)))),
            (3599, 1000, Decision::Serve),
            (3700, 0, WAIT_LONGER),
            (3700, 2000, Decision::Wait(Some(3 * SECOND))),
            (3700, 5000, Decision::Serve),
            (3700, 3_600_000, Decision::Serve),
        ];
        for (now, age, expected) in cases {
            let known = Known {
                load_started_at: Some(moment_at(at(now) - Duration::from_millis(age))),
                ..known(window, None, now)
            };
            assert_eq!(decide(known), expected, "age {age} ms, at {now}");
        }
        let cold = Known {
            load_started_at: Some(moment(0)),
            ..known(None, None, 3600)
        };
        assert_eq!(decide(cold), WAIT_FOR_THE_RESULT);
    }

    #[test]
    fn invalidated_credentials_are_loaded_anew_and_served_while_that_fails() {
        let of = |failure: Option<Failed>| {
            let cached = Cached {
                is_invalidated: true,
                ..cached(Window::new(at(0), at(3600), 0.0))
            };
            decide(Known {
                cached: Some(cached),
                ..known(None, failure, 10)
            })
        };
        assert_eq!(of(None), WAIT_LONGER);
        assert_eq!(of(failure(true, 5, 20)), Decision::Serve);
        assert_eq!(of(failure(true, 5, 10)), WAIT_LONGER);
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
            // No AWS service returns these lifetimes; even so, credentials are never due at once.
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
        let cached = cached(Window::new(at(0), at(3600), 0.0));
        let wait = |is_transient, left: u64, jitter| {
            retry_wait(Some(&cached), is_transient, at(3600 - left), jitter)
        };
        // Seconds left; seconds to wait after a transient failure, and after another.
        for (left, curable, other) in [
            (3600, 300, 300),
            (900, 225, 225),
            (100, 25, 25),
            (40, 10, 10),
            (12, 10, 10),
            // The last retry is one second before expiry.
            (11, 10, 10),
            (10, 9, 9),
            (2, 1, 1),
            (1, 10, 6),
            (0, 10, 5),
        ] {
            assert_eq!(wait(true, left, 0.0), curable * SECOND, "{left} s left");
            assert_eq!(wait(false, left, 0.0), other * SECOND, "{left} s left");
        }
        assert_eq!(wait(true, 100, 1.0), 20 * SECOND);
        let after = |seconds: u64, is_transient| {
            retry_wait(Some(&cached), is_transient, at(3600 + seconds), 0.0)
        };
        for (expired_for, seconds) in [(0, 10), (20, 10), (60, 30), (120, 60), (86_400, 60)] {
            assert_eq!(after(expired_for, true), seconds * SECOND, "{expired_for}");
        }
        assert_eq!(after(400, false), NEGATIVE_CACHE_TTL);
        let invalidated = Cached {
            is_invalidated: true,
            ..cached
        };
        assert_eq!(
            retry_wait(Some(&invalidated), true, at(10), 0.0),
            SHORTEST_RETRY
        );
        assert_eq!(
            retry_wait(Some(&invalidated), false, at(10), 0.0),
            NEGATIVE_CACHE_TTL
        );
        assert_eq!(retry_wait(None, false, at(0), 0.0), NEGATIVE_CACHE_TTL);
        assert_eq!(retry_wait(None, true, at(0), 0.0), COLD_RETRY);
    }

    #[test]
    fn what_is_due_is_loaded_and_nothing_before() {
        let window = Window::new(at(0), at(3600), 0.0);
        let failures = [
            None,
            failure(true, 0, 5),
            failure(true, 2800, 2990),
            failure(false, 3590, 3595),
            failure(true, 3700, 3760),
        ];
        let flags = [(false, false), (false, true), (true, false), (true, true)];
        for (failure, (is_invalidated, is_interactive)) in failures
            .into_iter()
            .flat_map(|failure| flags.map(|flags| (failure, flags)))
        {
            for now in 0..4000 {
                let mut known = known(Some(window), failure, now);
                known.cached.as_mut().unwrap().is_invalidated = is_invalidated;
                known.is_interactive = is_interactive;
                let is_due = known.due().unwrap() <= at(now);
                let loads = match decide(known) {
                    Decision::Serve | Decision::Fail => false,
                    Decision::ServeAndRefresh => {
                        assert!(!is_interactive, "at {now}");
                        true
                    }
                    Decision::Wait(_) => true,
                };
                let flags = format!("invalidated: {is_invalidated}, interactive: {is_interactive}");
                assert_eq!(loads, is_due, "at {now}, {flags}");
            }
        }
    }

    #[test]
    fn credentials_loaded_in_the_future_are_due() {
        let window = Window::new(at(10_000), at(13_600), 0.0);
        let decision = |now| {
            decide(Known {
                cached: Some(Cached {
                    loaded_at: moment(10_000),
                    ..cached(window)
                }),
                ..known(None, None, now)
            })
        };
        assert_eq!(decision(10_000), Decision::Serve);
        assert_eq!(
            decision(10_000 - 59),
            Decision::Serve,
            "clocks are adjusted"
        );
        assert_eq!(decision(10_000 - 61), Decision::ServeAndRefresh);
    }

    #[test]
    fn the_numbers_in_the_docs_of_the_chain_are_these() {
        let docs: String = include_str!("../chain/mod.rs")
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("///"))
            .flat_map(|line| line.split_whitespace().map(|word| format!("{word} ")))
            .collect();
        let seconds = |duration: Duration| format!("{} s", duration.as_secs());
        let minutes = |duration: Duration| format!("{} min", duration.as_secs() / 60);
        for said in [
            format!("waits at most {} for a load", seconds(MAX_WAIT_WITH_VALID)),
            format!(
                "while expired credentials are cached, at most {}",
                seconds(MAX_WAIT_WITH_EXPIRED)
            ),
            format!(
                "({} to {}, with jitter)",
                seconds(SHORTEST_RETRY),
                minutes(LONGEST_RETRY)
            ),
            format!(
                "({} to {})",
                seconds(SHORTEST_RETRY),
                minutes(LONGEST_RETRY_AFTER_EXPIRY)
            ),
            format!("which is cached for {}", seconds(NEGATIVE_CACHE_TTL)),
            format!(
                "A failure is cached for {}, and a denial for {}",
                seconds(COLD_RETRY),
                seconds(NEGATIVE_CACHE_TTL)
            ),
            format!("once more {} before expiry", seconds(LAST_RETRY)),
        ] {
            assert!(docs.contains(&said), "{said:?} is not in the docs");
        }
        for (said, duration, seconds) in [
            (
                "In the last minute before expiry, callers wait",
                MANDATORY_WINDOW,
                60,
            ),
            ("checks the clock every minute", LONGEST_TIMER_SLEEP, 60),
        ] {
            assert!(docs.contains(said), "{said:?} is not in the docs");
            assert_eq!(duration, SECOND * seconds, "{said}");
        }

        // The table of windows, computed from the function: each lifetime at which it changes, and half of each window.
        let window = |seconds| advisory_window(Duration::from_secs(seconds)).as_secs() / 60;
        let mut table =
            "| session | refreshed in the last | the start is spread over | |---|---|---| "
                .to_owned();
        for seconds in 1..=36 * 3600 {
            if window(seconds) == window(seconds + 1) && seconds < 36 * 3600 {
                continue;
            }
            let lifetime = match (seconds / 60, seconds % 60) {
                (minutes, 0) if minutes < 36 * 60 => format!("up to {minutes} minutes"),
                (minutes, 59) => format!("below {} minutes", minutes + 1),
                _ => "longer".to_owned(),
            };
            let minutes = window(seconds);
            let half = format!("{}{}", minutes / 2, if minutes % 2 == 1 { "½" } else { "" });
            table += &format!("| {lifetime} | {minutes} minutes | {half} minutes | ");
        }
        assert!(docs.contains(&table), "{table}");
    }
}
