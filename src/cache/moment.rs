//! [`Moment`]: when something happened, by a clock that may be set and by one that may not.

use std::time::{Duration, SystemTime};

use crate::sync::Instant;

/// A moment by the base config's clock and by one that is never set. The time since is the longer of both: the
/// first goes on while the machine is suspended, and the second knows that time has passed where the first was
/// set back. A clock that was set makes it too long, never too short, so that nothing old is taken for new.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// By the base config's clock.
    pub(crate) time: SystemTime,
    instant: Instant,
}

impl Moment {
    /// The present, in which the base config's clock shows `time`.
    pub(crate) fn now(time: SystemTime) -> Self {
        Self {
            time,
            instant: Instant::now(),
        }
    }

    /// The time since an earlier moment.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let by_clock = match self.time.duration_since(earlier.time) {
            Ok(time) => time,
            Err(set_back) => set_back.duration(),
        };
        by_clock.max(self.run_since(earlier))
    }

    /// How long the machine has run since an earlier moment: without the time in which it was suspended.
    pub(crate) fn run_since(self, earlier: Self) -> Duration {
        self.instant.saturating_duration_since(earlier.instant)
    }
}
