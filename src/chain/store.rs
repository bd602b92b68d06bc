//! [`SessionStore`]: storage for a hop's sessions outside the process, such as the AWS CLI's cache.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::SharedAsyncSleep;

use crate::session::Session;

/// Stores the sessions of one role for other processes. Sessions that cannot be read or written are skipped, and the
/// store logs why.
pub(crate) trait SessionStore: Send + Sync {
    /// Returns the stored session, if it belongs to the role, is valid, and lasts no longer than `max_lifetime`.
    fn read(&self, now: SystemTime, max_lifetime: Duration) -> Option<Session>;

    fn write(&self, session: &Session);

    /// Waits until no other process loads this session; `None` if the store cannot be locked.
    fn lock<'a>(
        &'a self,
        is_interactive: bool,
        sleep: &'a SharedAsyncSleep,
    ) -> Pin<Box<dyn Future<Output = Option<StoreLock>> + Send + 'a>>;
}

/// Holds a store's lock until it is dropped.
pub(crate) type StoreLock = Box<dyn Send>;
