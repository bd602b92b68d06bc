//! [`Moment`]: a point in time by the wall clock, which may be set, and by the monotonic clock, which may not.

use std::time::{Duration, SystemTime};

use crate::sync::Instant;

/// A point in time by the base config's clock and by a monotonic clock. The elapsed time is the longer of the two: the
/// first keeps running while the machine is suspended, and the second still advances if the first is set back. Setting
/// the clock can make the elapsed time too long, never too short, so nothing old is mistaken for new.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// By the base config's clock.
    pub(crate) time: SystemTime,
    instant: Instant,
}

impl Moment {
    /// Creates the present moment; `time` is what the base config's clock shows now.
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

    /// The time since an earlier moment, excluding time in which the machine was suspended.
    pub(crate) fn run_since(self, earlier: Self) -> Duration {
        self.instant.saturating_duration_since(earlier.instant)
    }
}
