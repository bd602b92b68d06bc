//! [`Clock`]: the simulator's time, for its own use and for the config of the code under test.

use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use tokio::time::Instant;

/// A clock that runs with tokio's.
///
/// In a test under `#[tokio::test(start_paused = true)]` it stands still while there is anything to
/// do, and [`advance`](Self::advance) moves it: an hour of refreshes takes milliseconds, and every
/// timer on the way fires in its turn. Elsewhere it runs as time does.
#[derive(Clone, Debug)]
pub struct Clock {
    start: SystemTime,
    started: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            start: SystemTime::now(),
            started: Instant::now(),
        }
    }

    /// Lets `duration` pass. Returns once everything that was due on the way has run.
    ///
    /// # Panics
    ///
    /// Where tokio's time is not paused: the wait would be real.
    pub async fn advance(&self, duration: Duration) {
        // Panics, with tokio's own words.
        tokio::time::advance(Duration::ZERO).await;
        tokio::time::sleep(duration).await;
    }

    /// How long ago the clock was made.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        self.start + self.elapsed()
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration))
    }
}
