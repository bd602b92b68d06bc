//! [`RegionLimiter`]: how many calls to one region's STS run at once, and begin within a second.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The most calls at once to one region: a thousand tenants used at once need a thousand calls, not a
/// thousand sockets.
const CONCURRENT_CALLS: usize = 32;

/// The most calls begun within a second, however fast STS answers. [STS
/// allows](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) an account 600 in a
/// region, and other programs of the account call it, too.
const CALLS_PER_SECOND: usize = 500;
const SECOND: Duration = Duration::from_secs(1);

/// How long a call waits for its permit.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// The permits of one region.
pub(super) struct RegionLimiter {
    permits: Semaphore,
    /// How many permits were given.
    given: AtomicU64,
    /// When the last so many calls began, or will, the oldest first: on a clock that is never set.
    begun: Mutex<VecDeque<Instant>>,
}

impl Default for RegionLimiter {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(CONCURRENT_CALLS),
            given: AtomicU64::new(0),
            begun: Mutex::default(),
        }
    }
}

/// No permit came in time.
pub(super) struct QueueTimedOut {
    /// Whether none was given to another call either: those that hold them run on runtimes that are driven
    /// no more.
    pub(super) is_stuck: bool,
}

impl RegionLimiter {
    /// Waits for the permission to begin a call, which ends when the permit is dropped.
    pub(super) async fn acquire(
        &self,
        sleep: &SharedAsyncSleep,
    ) -> Result<SemaphorePermit<'_>, QueueTimedOut> {
        let before = self.given.load(Ordering::Relaxed);
        let timeout = sleep.sleep(QUEUE_TIMEOUT);
        // The semaphore is never closed, so the only failure is the timeout.
        let Ok(Ok(permit)) = Timeout::new(self.permits.acquire(), timeout).await else {
            let is_stuck = self.given.load(Ordering::Relaxed) == before;
            return Err(QueueTimedOut { is_stuck });
        };
        self.given.fetch_add(1, Ordering::Relaxed);
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            sleep.sleep(wait).await;
        }
        Ok(permit)
    }

    /// Notes a call, and returns how long it must wait before it begins.
    fn reserve(&self, now: Instant) -> Duration {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = match begun.front() {
            Some(oldest) if begun.len() == CALLS_PER_SECOND => {
                (*oldest + SECOND).saturating_duration_since(now)
            }
            _ => Duration::ZERO,
        };
        if begun.len() == CALLS_PER_SECOND {
            begun.pop_front();
        }
        begun.push_back(now + wait);
        wait
    }

    /// Whether it has no call to remember.
    pub(super) fn is_idle(&self) -> bool {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = begun.back();
        self.permits.available_permits() == CONCURRENT_CALLS
            && newest.is_none_or(|newest| newest.elapsed() > SECOND)
    }
}
