//! The simulator's time: its [`Clock`], and AWS's format for times.

use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use tokio::time::Instant;

/// A clock that runs with tokio's, for the simulator and the code under test.
///
/// It implements [`TimeSource`] and [`AsyncSleep`] of the SDK, and is part of the config that
/// [`Simulator::sdk_config`](crate::Simulator::sdk_config) returns. In a test with `#[tokio::test(start_paused =
/// true)]`, time passes only while every task waits, or when the test calls [`advance`](Self::advance): an hour then
/// takes milliseconds, and every timer that becomes due fires in order. Without paused time, the clock runs in real
/// time.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
///
/// let clock = sts_simulator::Simulator::new().clock();
/// clock.advance(Duration::from_secs(3600)).await;
/// assert_eq!(clock.elapsed(), Duration::from_secs(3600));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    start: SystemTime,
    started: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: SystemTime::now(),
            started: Instant::now(),
        }
    }

    /// Moves the time forward by `duration`. Returns after every timer that became due has fired.
    ///
    /// # Panics
    ///
    /// Panics if tokio's time is not paused, because the call would really wait.
    pub async fn advance(&self, duration: Duration) {
        // Panics with tokio's own message unless time is paused.
        tokio::time::advance(Duration::ZERO).await;
        tokio::time::sleep(duration).await;
    }

    /// Returns the time since the simulator was created.
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

/// Formats a time as AWS does, to the second: `2026-11-22T12:00:00Z`.
pub(crate) fn timestamp(time: SystemTime) -> String {
    DateTime::from_secs(DateTime::from(time).secs())
        .fmt(Format::DateTime)
        .unwrap_or_else(|_| format!("{time:?}"))
}
