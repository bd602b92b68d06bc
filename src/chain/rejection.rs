//! [`LastRejection`]: which access key of a parent's STS has rejected last. STS is not called with it again for a while.

use std::sync::Mutex;
use std::time::Duration;

use crate::cache::Moment;
use crate::error::Error;
use crate::sync::lock;

/// How long a rejected access key is not used again.
const REJECTED_KEY_TTL: Duration = Duration::from_secs(2 * 60);

/// STS's last rejection of the parent's session as expired or unknown, if there was no success since.
#[derive(Default)]
pub(super) struct LastRejection(Mutex<Option<Rejection>>);

struct Rejection {
    access_key_id: Box<str>,
    at: Moment,
    error: Error,
    /// Whether the session was new, so that loading another one would not help.
    is_of_new_session: bool,
}

impl LastRejection {
    /// Returns the error of a recent rejection of this key.
    pub(super) fn of_key(&self, access_key_id: &str, now: Moment) -> Option<Error> {
        let last = lock(&self.0);
        let last = last.as_ref()?;
        let is_recent = now.since(last.at) < REJECTED_KEY_TTL;
        (is_recent && *last.access_key_id == *access_key_id).then(|| last.error.clone())
    }

    pub(super) fn is_of_new_session(&self) -> bool {
        lock(&self.0)
            .as_ref()
            .is_some_and(|last| last.is_of_new_session)
    }

    pub(super) fn set(
        &self,
        access_key_id: &str,
        error: &Error,
        is_of_new_session: bool,
        at: Moment,
    ) {
        *lock(&self.0) = Some(Rejection {
            access_key_id: access_key_id.into(),
            at,
            error: error.clone(),
            is_of_new_session,
        });
    }

    pub(super) fn clear(&self) {
        *lock(&self.0) = None;
    }
}
