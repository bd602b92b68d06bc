//! [`RegionLimiter`]: how many calls to one region's STS run at once, and begin within a second.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The most calls at once to one region: a thousand tenants used at once need a thousand calls, not a
/// thousand sockets.
pub(crate) const CONCURRENT_CALLS: usize = 32;

/// The most calls begun within a second, however fast STS answers. [STS
/// allows](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) an account 600 in a
/// region, and other programs of the account call it, too.
pub(crate) const CALLS_PER_SECOND: usize = 500;
const SECOND: Duration = Duration::from_secs(1);

/// How long a call waits for its permits.
pub(crate) const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// The permits of one region. Time is counted by the sleep alone, so that a clock that is set neither opens
/// nor blocks it.
pub(super) struct RegionLimiter {
    concurrent: Arc<Semaphore>,
    /// A permit comes back a second after its call began.
    per_second: Arc<Semaphore>,
}

impl Default for RegionLimiter {
    fn default() -> Self {
        Self {
            concurrent: Arc::new(Semaphore::new(CONCURRENT_CALLS)),
            per_second: Arc::new(Semaphore::new(CALLS_PER_SECOND)),
        }
    }
}

/// No permit came in time.
pub(super) struct QueueTimedOut;

impl RegionLimiter {
    /// Waits for the permission to begin a call, which ends when the permit is dropped.
    pub(super) async fn acquire(
        &self,
        sleep: &SharedAsyncSleep,
    ) -> Result<OwnedSemaphorePermit, QueueTimedOut> {
        let permits = async {
            let concurrent = self.concurrent.clone().acquire_owned().await?;
            let begun = self.per_second.clone().acquire_owned().await?;
            Ok::<_, AcquireError>((concurrent, begun))
        };
        // The semaphores are never closed, so the only failure is the timeout.
        let Ok(Ok((concurrent, begun))) = Timeout::new(permits, sleep.sleep(QUEUE_TIMEOUT)).await
        else {
            return Err(QueueTimedOut);
        };
        let second = sleep.sleep(SECOND);
        // Loads run in tasks, so there is a runtime. If it is dropped, so is the permit: given back.
        tokio::spawn(async move {
            second.await;
            drop(begun);
        });
        Ok(concurrent)
    }

    /// Whether it has no call to remember.
    pub(super) fn is_idle(&self) -> bool {
        self.concurrent.available_permits() == CONCURRENT_CALLS
            && self.per_second.available_permits() == CALLS_PER_SECOND
    }
}
