//! A clock and its sleeps. As in tokio's paused runtimes, time passes only when no task can run, so the elapsed time
//! reveals a caller that was woken only by a timeout.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;

use crate::sync::{Plain, locked, yield_now};

/// Longer than anything that the scenarios wait for.
const END_OF_TIME: Duration = Duration::from_secs(4 * 60 * 60);

/// The clock of a scenario, and its sleeps.
#[derive(Clone, Default)]
pub struct Clock(Arc<Plain<Time>>);

#[derive(Default)]
struct Time {
    elapsed: Duration,
    sleepers: Vec<Sleeper>,
    last_id: u64,
}

struct Sleeper {
    id: u64,
    until: Duration,
    waker: Waker,
}

impl Clock {
    /// The time since the scenario began.
    pub fn elapsed(&self) -> Duration {
        locked(&self.0).elapsed
    }

    /// Advances the clock while tasks may run, as if the machine had been suspended.
    pub fn jump(&self, by: Duration) {
        let mut time = locked(&self.0);
        let now = time.elapsed + by;
        time.pass_until(now);
    }

    /// Advances the clock to the next wake-up each time that it runs. The scheduler runs it only when no other task can
    /// run.
    pub(crate) async fn run(self) {
        loop {
            {
                let mut time = locked(&self.0);
                let next = time.sleepers.iter().map(|sleeper| sleeper.until).min();
                let next = next.expect("somebody waits, and nothing will wake them");
                assert!(next < END_OF_TIME, "somebody waits for ever");
                time.pass_until(next);
            }
            yield_now().await;
        }
    }
}

impl Time {
    fn pass_until(&mut self, now: Duration) {
        self.elapsed = now;
        for sleeper in self.sleepers.extract_if(.., |sleeper| sleeper.until <= now) {
            sleeper.waker.wake();
        }
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.elapsed()
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let mut time = locked(&self.0);
        time.last_id += 1;
        Sleep::new(Sleeping {
            clock: self.clone(),
            id: time.last_id,
            until: time.elapsed + duration,
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

struct Sleeping {
    clock: Clock,
    id: u64,
    until: Duration,
}

impl Future for Sleeping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = locked(&self.clock.0);
        time.sleepers.retain(|sleeper| sleeper.id != self.id);
        if time.elapsed >= self.until {
            return Poll::Ready(());
        }
        time.sleepers.push(Sleeper {
            id: self.id,
            until: self.until,
            waker: context.waker().clone(),
        });
        Poll::Pending
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        let mut time = locked(&self.clock.0);
        time.sleepers.retain(|sleeper| sleeper.id != self.id);
    }
}
