//! [`Latency`]: how long a response takes.

use std::time::Duration;

/// How long a response takes: a fixed or a random time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sts_simulator::{Latency, Simulator};
///
/// let aws = Simulator::new();
/// aws.set_latency(Duration::from_millis(50));
/// aws.set_latency(Latency::between(Duration::from_millis(20), Duration::from_millis(80)));
/// // Half of the responses take up to 40 ms, 99 of 100 up to 300 ms, with a long tail.
/// aws.set_latency(Latency::with_percentiles(
///     Duration::from_millis(40),
///     Duration::from_millis(300),
/// ));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Latency(Distribution);

#[derive(Clone, Debug, PartialEq)]
enum Distribution {
    Fixed(Duration),
    Uniform { min: Duration, max: Duration },
    LogNormal { median: Duration, p99: Duration },
}

impl From<Duration> for Latency {
    fn from(time: Duration) -> Self {
        Self(Distribution::Fixed(time))
    }
}

impl Default for Latency {
    fn default() -> Self {
        Duration::ZERO.into()
    }
}

impl Latency {
    /// Creates a latency that is uniformly distributed between two times.
    pub fn between(min: Duration, max: Duration) -> Self {
        Self(Distribution::Uniform {
            min: min.min(max),
            max: max.max(min),
        })
    }

    /// Creates a latency with a log-normal distribution, as is typical of services, from its median and 99th
    /// percentile.
    pub fn with_percentiles(median: Duration, p99: Duration) -> Self {
        Self(Distribution::LogNormal {
            median,
            p99: p99.max(median),
        })
    }

    /// Returns the latency of one response.
    pub(crate) fn sample(&self) -> Duration {
        /// The 99th percentile of the standard normal distribution.
        const Z99: f64 = 2.326_347_874;

        match self.0 {
            Distribution::Fixed(time) => time,
            Distribution::Uniform { min, max } => min + (max - min).mul_f64(fastrand::f64()),
            Distribution::LogNormal { median, .. } if median.is_zero() => median,
            Distribution::LogNormal { median, p99 } => {
                let sigma = p99.div_duration_f64(median).ln() / Z99;
                // The Box-Muller transform. The argument of the logarithm is never zero.
                let radius = (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * fastrand::f64()).cos();
                let time = median.as_secs_f64() * (sigma * normal).exp();
                Duration::try_from_secs_f64(time).unwrap_or(p99)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn random_latencies_have_the_distribution_that_was_asked_for() {
        let (low, high) = (Duration::from_millis(20), Duration::from_millis(80));
        let uniform = Latency::between(high, low);
        assert!((0..1000).all(|_| (low..=high).contains(&uniform.sample())));

        let latency = Latency::with_percentiles(low, high);
        let mut samples: Vec<_> = (0..20_000).map(|_| latency.sample()).collect();
        samples.sort_unstable();
        let (median, p99) = (samples[10_000], samples[19_800]);
        assert!((18..=22).contains(&median.as_millis()), "{median:?}");
        assert!((70..=92).contains(&p99.as_millis()), "{p99:?}");
        for extreme in [
            Latency::with_percentiles(Duration::ZERO, SECOND),
            Latency::with_percentiles(Duration::from_nanos(1), Duration::MAX),
            Latency::between(Duration::ZERO, Duration::MAX / 2),
        ] {
            for _ in 0..1000 {
                extreme.sample();
            }
        }
    }
}
