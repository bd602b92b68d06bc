//! [`RegionLimiter`] limits how many calls to one region's STS run at once, and how many start within a second. STS's
//! quota is per account and shared with other processes, so the rate falls when STS throttles, and then grows again.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::sync::{lock, yield_now};

/// The maximum number of concurrent calls to one region: a thousand tenants used at once need a thousand calls, but not
/// a thousand sockets.
const CONCURRENT_CALLS: usize = 32;

/// The default for the maximum number of calls started within a second, however fast STS answers. [STS
/// allows](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) an account 600 per second in
/// each region, and other programs in the account call it, too.
const CALLS_PER_SECOND: u32 = 500;
const SECOND: Duration = Duration::from_secs(1);

/// The factors by which the rate is multiplied when STS throttles a call, and for each second after that. Chosen with a
/// model of STS's quota shared by 1 to 1,000 processes (`cargo bench --bench quota`).
const DECREASE: f64 = 0.8;
const GROWTH: f64 = 1.4;
const SLOWEST_RATE: f64 = 1.0;

/// How long a call waits in the queue in total, including the times that it queues again.
pub(super) const QUEUE_TIMEOUT: Duration = Duration::from_secs(120);
/// The queue is stuck if no call has started for this long.
const STUCK_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for the call that waits for the rate limit, which takes a second at most.
const PACING_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of retries of a throttled call, in case the clock stands still and its deadline never comes.
pub(super) const MAX_RETRIES: u32 = 200;

/// The first and the longest back-off of a throttled call before it queues again; it doubles each time. The rate limit
/// does not slow down processes that make few calls: the back-off keeps these from retrying at once.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Returns the back-off of a call that was retried this many times. A `jitter` in 0..1 spreads it over its second
/// half, so that no call retries too early, and not all retry at the same time.
pub(super) fn backoff(retries: u32, jitter: f64) -> Duration {
    let doubled = SHORTEST_BACKOFF * 2_u32.saturating_pow(retries);
    doubled.min(LONGEST_BACKOFF).mul_f64((1.0 + jitter) / 2.0)
}

/// The limiters of all regions, so that a region whose STS hangs does not delay the others.
pub(super) struct RegionLimiters {
    by_region: Mutex<HashMap<String, Arc<RegionLimiter>>>,
    /// The most calls that start within a second, in each region.
    pub(super) ceiling: AtomicU32,
}

impl Default for RegionLimiters {
    fn default() -> Self {
        Self {
            by_region: Mutex::default(),
            ceiling: AtomicU32::new(CALLS_PER_SECOND),
        }
    }
}

impl RegionLimiters {
    pub(super) fn get(&self, region: &str) -> Arc<RegionLimiter> {
        let mut by_region = lock(&self.by_region);
        let ceiling = self.ceiling.load(Ordering::Relaxed) as usize;
        by_region.retain(|_, limiter| Arc::strong_count(limiter) > 1 || !limiter.is_idle(ceiling));
        by_region.entry(region.to_owned()).or_default().clone()
    }

    /// Replaces a stuck limiter, whose permits will never be returned, unless another call has already done so.
    pub(super) fn replace(&self, region: &str, stuck: &Arc<RegionLimiter>) {
        let mut by_region = lock(&self.by_region);
        let current = by_region.get_mut(region);
        if let Some(current) = current.filter(|current| Arc::ptr_eq(current, stuck)) {
            // It starts with the same rate.
            *current = Arc::new(RegionLimiter::new(stuck.pace().clone()));
        }
    }
}

/// Limits the calls to one region's STS.
pub(super) struct RegionLimiter {
    /// Additional permits for background calls: half of all, so that they cannot block calls that a caller waits for.
    background: Semaphore,
    permits: Semaphore,
    /// Held by the call that waits for the rate limit.
    pacing: Semaphore,
    /// The number of calls started. It stops growing if the calls that hold permits belong to runtimes that no longer
    /// poll them.
    begun: AtomicU64,
    /// The same for background calls. These may wait for `permits` for a long time, so each of them also counts at
    /// intervals while it waits and its runtime polls it.
    alive_in_background: AtomicU64,
    pace: Mutex<Pace>,
}

impl Default for RegionLimiter {
    fn default() -> Self {
        Self::new(Pace::default())
    }
}

/// How a call waits in the queue.
#[derive(Clone, Copy)]
pub(super) struct Queued<'a> {
    /// The maximum number of calls started within a second.
    pub(super) ceiling: &'a AtomicU32,
    /// Whether a caller waits for it.
    pub(super) has_waiter: bool,
    pub(super) deadline: Instant,
    pub(super) sleep: &'a SharedAsyncSleep,
}

/// Permission to make a call. Drop it when the call has ended.
pub(super) struct Permit<'a> {
    limiter: &'a RegionLimiter,
    ceiling: usize,
    begun_at: Instant,
    _permits: (SemaphorePermit<'a>, Option<SemaphorePermit<'a>>),
}

impl Permit<'_> {
    /// Records that STS has throttled the call, which lowers the rate of later calls.
    pub(super) fn throttled(self) {
        let mut pace = self.limiter.pace();
        pace.slow_down(self.begun_at, Instant::now(), self.ceiling);
    }
}

/// Why a call got no permit.
pub(super) enum AcquireError {
    /// The call waited until its deadline.
    TimedOut,
    /// No other call got one either: the calls ahead belong to runtimes that no longer poll them.
    Stuck,
}

impl RegionLimiter {
    fn new(pace: Pace) -> Self {
        Self {
            background: Semaphore::new(CONCURRENT_CALLS / 2),
            permits: Semaphore::new(CONCURRENT_CALLS),
            pacing: Semaphore::new(1),
            begun: AtomicU64::new(0),
            alive_in_background: AtomicU64::new(0),
            pace: Mutex::new(pace),
        }
    }

    /// Waits until fewer than [`CONCURRENT_CALLS`] others run, fewer than the ceiling have started within a second, and
    /// the rate that STS was seen to allow permits another.
    pub(super) async fn acquire(&self, queued: Queued<'_>) -> Result<Permit<'_>, AcquireError> {
        let mut background = None;
        let mut alive = None;
        if !queued.has_waiter {
            let progress = &self.alive_in_background;
            background =
                Some(wait_for(&self.background, progress, STUCK_TIMEOUT, None, queued).await?);
            alive = Some(progress);
        }
        let permit = wait_for(&self.permits, &self.begun, STUCK_TIMEOUT, alive, queued).await?;
        let _pacing = wait_for(&self.pacing, &self.begun, PACING_TIMEOUT, alive, queued).await?;
        let mut slept = Duration::ZERO;
        loop {
            let now = Instant::now();
            let ceiling = queued.ceiling.load(Ordering::Relaxed) as usize;
            let wait = self.pace().begin(now, ceiling);
            let Some(wait) = wait else {
                self.begun.fetch_add(1, Ordering::Relaxed);
                if let Some(alive) = alive {
                    alive.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(Permit {
                    limiter: self,
                    ceiling,
                    begun_at: now,
                    _permits: (permit, background),
                });
            };
            queued.sleep.sleep(wait).await;
            // A sleep that returns at once must not make this loop run for ever, either.
            yield_now().await;
            slept += wait;
            if slept >= QUEUE_TIMEOUT {
                return Err(AcquireError::TimedOut);
            }
        }
    }

    /// Whether it holds no state: no call runs or has started within a second, and the rate is not lowered.
    fn is_idle(&self, ceiling: usize) -> bool {
        self.permits.available_permits() == CONCURRENT_CALLS
            && self.pace().is_idle(Instant::now(), ceiling)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        lock(&self.pace)
    }
}

/// Waits for one of these permits as long as `progress` grows, and counts in `alive` while it waits.
async fn wait_for<'a>(
    permits: &'a Semaphore,
    progress: &AtomicU64,
    stuck_timeout: Duration,
    alive: Option<&AtomicU64>,
    queued: Queued<'_>,
) -> Result<SemaphorePermit<'a>, AcquireError> {
    let mut permit = pin!(permits.acquire());
    let mut slept = Duration::ZERO;
    let mut last_progress = (progress.load(Ordering::Relaxed), Instant::now());
    loop {
        let left = queued.deadline.saturating_duration_since(Instant::now());
        // Half of the timeout: `alive` grows before another call that watches it gives up.
        let wait = (stuck_timeout / 2).min(left);
        let timeout = queued.sleep.sleep(wait);
        // No semaphore is ever closed, so the only failure is the timeout.
        if let Ok(Ok(permit)) = Timeout::new(permit.as_mut(), timeout).await {
            return Ok(permit);
        }
        // A sleep that returned at once is no sign of a timeout.
        yield_now().await;
        slept += wait;
        if let Some(alive) = alive {
            alive.fetch_add(1, Ordering::Relaxed);
        }
        let (count, now) = (progress.load(Ordering::Relaxed), Instant::now());
        if count != last_progress.0 {
            last_progress = (count, now);
        }
        if now >= queued.deadline || slept > QUEUE_TIMEOUT {
            return Err(AcquireError::TimedOut);
        }
        if now.duration_since(last_progress.1) >= stuck_timeout {
            return Err(AcquireError::Stuck);
        }
    }
}

/// Decides when calls start, by a monotonic clock.
#[derive(Clone, Default)]
struct Pace {
    /// The start times of the latest call and of those within a second before it, oldest first.
    begun: VecDeque<Instant>,
    /// When the rate was last cut, and the calls per second after that cut.
    slowed: Option<(Instant, f64)>,
}

impl Pace {
    /// Records a call that starts now, or returns how long it must wait.
    fn begin(&mut self, now: Instant, ceiling: usize) -> Option<Duration> {
        let nth_last = self.begun.len().checked_sub(ceiling);
        let window = nth_last.map(|nth| self.begun[nth] + SECOND);
        let rate = self.rate(now, ceiling);
        let pace = rate.and_then(|rate| Some(*self.begun.back()? + SECOND.div_f64(rate)));
        let begins = window.max(pace).unwrap_or(now);
        let wait = begins.saturating_duration_since(now);
        if !wait.is_zero() {
            return Some(wait);
        }
        self.begun.push_back(now);
        while self.begun[0] + SECOND < now || self.begun.len() > ceiling {
            self.begun.pop_front();
        }
        None
    }

    /// The calls per second that STS was seen to allow; `None` if that is not below the ceiling.
    fn rate(&self, now: Instant, ceiling: usize) -> Option<f64> {
        let (at, rate) = self.slowed?;
        let rate = rate * GROWTH.powf(now.saturating_duration_since(at).as_secs_f64());
        (rate < ceiling as f64).then_some(rate)
    }

    /// Cuts the rate as it was when the throttled call started, once for all calls that were in flight together.
    /// Growth since then is discarded, because no response has confirmed it: a response may take longer than the rate
    /// takes to grow back.
    fn slow_down(&mut self, begun_at: Instant, now: Instant, ceiling: usize) {
        if self.slowed.is_some_and(|(cut, _)| begun_at <= cut) {
            return;
        }
        let rate = self.rate(begun_at, ceiling).unwrap_or(ceiling as f64);
        self.slowed = Some((now, (rate * DECREASE).max(SLOWEST_RATE)));
    }

    fn is_idle(&self, now: Instant, ceiling: usize) -> bool {
        let newest = self.begun.back();
        newest.is_none_or(|newest| now.saturating_duration_since(*newest) > SECOND)
            && self.rate(now, ceiling).is_none()
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_async::rt::sleep::TokioSleep;

    use super::*;

    const CEILING: usize = 500;

    /// Returns the start times of calls that all arrive at `now`.
    fn begin(pace: &mut Pace, now: Instant, calls: usize) -> Vec<Instant> {
        let mut time = now;
        let begin = |_| {
            while let Some(wait) = pace.begin(time, CEILING) {
                time += wait;
            }
            time
        };
        (0..calls).map(begin).collect()
    }

    #[test]
    fn calls_begin_at_once_up_to_the_ceiling_and_then_a_second_after_those() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let begun = begin(&mut pace, now, 2 * CEILING + 1);
        assert!(begun[..CEILING].iter().all(|begun| *begun == now));
        let second = &begun[CEILING..2 * CEILING];
        assert!(second.iter().all(|begun| *begun == now + SECOND));
        assert_eq!(begun[2 * CEILING], now + 2 * SECOND);
        assert_eq!(pace.begun.len(), CEILING);
    }

    #[test]
    fn a_throttled_call_slows_down_later_ones_which_then_begin_one_by_one() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        begin(&mut pace, now, 1);
        pace.slow_down(now, now, CEILING);
        let begun = begin(&mut pace, now, 2);
        let gap = SECOND.div_f64(CEILING as f64 * DECREASE);
        assert_eq!(begun[0], now + gap);
        // The rate has grown a little.
        assert!(begun[1] > begun[0] + gap.mul_f64(0.99) && begun[1] < begun[0] + gap);
    }

    #[test]
    fn calls_that_were_under_way_together_slow_down_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let later = now + SECOND / 50;
        pace.slow_down(now, later, CEILING);
        let once = pace.rate(later, CEILING);
        for begun_at in [now, later] {
            pace.slow_down(begun_at, later + SECOND / 50, CEILING);
        }
        assert_eq!(pace.rate(later, CEILING), once);
        pace.slow_down(later + SECOND / 100, later + SECOND / 50, CEILING);
        assert!(pace.rate(later, CEILING) < once);
    }

    #[test]
    fn the_rate_falls_however_slowly_sts_answers() {
        for latency in [SECOND / 50, SECOND, 5 * SECOND] {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            for _ in 0..40 {
                // The first call after a cut is throttled, too.
                let begun_at = begin(&mut pace, now + SECOND / 1000, 1)[0];
                now = begun_at + latency;
                pace.slow_down(begun_at, now, CEILING);
            }
            let rate = pace.rate(now, CEILING).unwrap();
            assert!(rate < 2.0, "{rate} with {latency:?}");
        }
    }

    #[test]
    fn the_rate_grows_back_and_never_falls_below_a_call_a_second() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..100 {
            pace.slow_down(now + SECOND / 100, now + SECOND / 50, CEILING);
            now += SECOND / 50;
        }
        assert_eq!(pace.rate(now, CEILING), Some(SLOWEST_RATE));
        assert!(!pace.is_idle(now + 2 * SECOND, CEILING));
        // ln 500 ÷ ln 1.4
        assert_eq!(pace.rate(now + 26 * SECOND, CEILING), None);
        assert!(pace.is_idle(now + 26 * SECOND, CEILING));
    }

    #[test]
    fn the_back_off_doubles_and_is_spread_over_its_second_half() {
        for (retries, least, most) in [
            (0, 50, 100),
            (1, 100, 200),
            (4, 800, 1600),
            (5, 1000, 2000),
            (MAX_RETRIES, 1000, 2000),
        ] {
            let spread = [0.0, 1.0].map(|jitter| backoff(retries, jitter).as_millis());
            assert_eq!(spread, [least, most]);
        }
    }

    #[test]
    fn a_ceiling_that_is_lowered_counts_from_the_next_call_on() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        begin(&mut pace, now, CEILING);
        assert_eq!(pace.begin(now, 10), Some(SECOND));
        assert_eq!(pace.begin(now + SECOND, 10), None);
        assert_eq!(pace.begun.len(), 10);
    }

    #[test]
    fn the_numbers_in_the_documentation_are_those_of_the_code() {
        let docs = include_str!("../chain/mod.rs").replace("///", "");
        let docs = docs.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(QUEUE_TIMEOUT, 2 * Duration::from_secs(60));
        for sentence in [
            "up to two minutes for the rate limit".to_owned(),
            format!("At most {CONCURRENT_CALLS} calls to STS run at once"),
            format!("at most {CALLS_PER_SECOND} start within a second"),
            format!("at most half of the {CONCURRENT_CALLS}"),
            format!(
                "falls by {:.0} % and then grows by {:.0} % a second",
                (1.0 - DECREASE) * 100.0,
                (GROWTH - 1.0) * 100.0
            ),
            format!("back-off of up to {} s", LONGEST_BACKOFF.as_secs()),
            format!("Default: {CALLS_PER_SECOND}."),
        ] {
            assert!(docs.contains(&sentence), "{sentence}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_map_of_regions_does_not_grow_for_ever() {
        let sleep = SharedAsyncSleep::new(TokioSleep::new());
        let limiters = RegionLimiters::default();
        let queued = Queued {
            ceiling: &limiters.ceiling,
            has_waiter: true,
            deadline: Instant::now() + QUEUE_TIMEOUT,
            sleep: &sleep,
        };
        let known = || limiters.by_region.lock().unwrap().len();
        let in_use = limiters.get("in use");
        let _permit = in_use.acquire(queued).await.ok().unwrap();
        for i in 0..100 {
            let limiter = limiters.get(&format!("region-{i}"));
            drop(limiter.acquire(queued).await);
        }
        assert_eq!(known(), 101, "all have made a call within the last second");

        tokio::time::advance(Duration::from_secs(2)).await;
        limiters.get("another");
        assert_eq!(known(), 2, "the one in use, and the new one");
        for i in 0..100 {
            limiters.get(&format!("unused-{i}"));
        }
        assert_eq!(known(), 2, "one that makes no call gives way to the next");
        assert!(Arc::ptr_eq(&limiters.get("in use"), &in_use));
    }
}
