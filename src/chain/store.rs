//! [`SessionStore`]: a place outside the process where a hop's sessions are kept, such as the AWS CLI's
//! cache.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::SharedAsyncSleep;

use crate::session::Session;

/// Keeps the sessions of one role for other processes. What cannot be read or written is passed over: the
/// store logs it.
pub(crate) trait SessionStore: Send + Sync {
    /// Returns the stored session, if it is the role's and good, and lasts no longer than the role's
    /// sessions do.
    fn read(&self, now: SystemTime, max_lifetime: Duration) -> Option<Session>;

    fn write(&self, session: &Session);

    /// Waits until no other process loads this session; `None` where the store cannot be locked.
    fn lock<'a>(
        &'a self,
        is_interactive: bool,
        sleep: &'a SharedAsyncSleep,
    ) -> Pin<Box<dyn Future<Output = Option<StoreLock>> + Send + 'a>>;
}

/// Holds a store's lock until it is dropped.
pub(crate) type StoreLock = Box<dyn Send>;
