//! Percentiles of the durations of calls, and their format.

use std::future::Future;
use std::time::{Duration, Instant};

/// The durations of calls, and how many of them failed.
#[derive(Default)]
pub struct Latencies {
    durations: Vec<Duration>,
    pub failed: usize,
}

impl Latencies {
    pub fn add(&mut self, duration: Duration, is_success: bool) {
        self.durations.push(duration);
        self.failed += usize::from(!is_success);
    }

    /// Converts the durations to those of a clock that ran `speedup` times as fast.
    pub fn scaled(mut self, speedup: u32) -> Self {
        self.durations
            .iter_mut()
            .for_each(|duration| *duration *= speedup);
        self
    }

    pub fn extend(&mut self, others: Self) {
        self.durations.extend(others.durations);
        self.failed += others.failed;
    }

    pub fn len(&self) -> usize {
        self.durations.len()
    }

    /// Returns the median, the 99th percentile and the maximum as cells of a table.
    pub fn percentile_cells(&mut self) -> [String; 3] {
        [0.5, 0.99, 1.0].map(|share| format_duration(self.percentile(share)))
    }

    /// Returns the percentile of a share: 0.5 for the median, 1.0 for the maximum.
    pub fn percentile(&mut self, share: f64) -> Duration {
        self.durations.sort_unstable();
        let last = self.durations.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.durations.get(at).copied().unwrap_or_default()
    }
}

/// Formats a duration with three significant digits.
pub fn format_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos() as f64;
    let (value, unit) = match nanoseconds {
        0.0..1e3 => (nanoseconds, "ns"),
        1e3..1e6 => (nanoseconds / 1e3, "µs"),
        1e6..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// Returns the duration of `work` and its result.
pub async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let result = work.await;
    (started.elapsed(), result)
}
