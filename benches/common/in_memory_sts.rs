//! An STS in memory, under tokio's paused clock, so that the CPU time of hours of refreshes includes no sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_types::SdkConfig;
use tokio::runtime::{self, Runtime};
use tokio::time::Instant;

use super::fake_sts::{
    InProcessHttp, StsBehavior, StsSettings, config, error_document, session_document,
};

/// Creates a runtime whose clock advances only when all tasks wait.
pub fn paused() -> Runtime {
    let mut runtime = runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Tokio's paused clock, which advances to the next timer when all tasks wait.
#[derive(Clone, Copy, Debug)]
struct PausedClock {
    start: SystemTime,
    started: Instant,
}

impl TimeSource for PausedClock {
    fn now(&self) -> SystemTime {
        self.start + self.started.elapsed()
    }
}

/// A token bucket.
#[derive(Clone, Copy)]
pub struct Quota {
    /// Requests a second.
    pub rate: f64,
    /// The capacity of the bucket: the requests served at once when it is full.
    pub burst: f64,
}

impl Quota {
    /// The quota of an account in a region, with a burst of one second's requests.
    pub const STS: Self = Self {
        rate: 600.0,
        burst: 600.0,
    };
    pub const UNLIMITED: Self = Self {
        rate: f64::INFINITY,
        burst: f64::INFINITY,
    };
}

/// A fake STS in memory, under the paused clock.
#[derive(Clone)]
pub struct InMemorySts(Arc<Shared>);

struct Shared {
    settings: StsSettings,
    clock: PausedClock,
    behavior: Mutex<StsBehavior>,
    quota: Quota,
    /// The tokens in the bucket, and when they were counted. Requests without a token are throttled.
    tokens: Mutex<(f64, Instant)>,
    /// The number of requests in each second.
    log: Mutex<HashMap<u64, u32>>,
}

impl InMemorySts {
    pub fn new(quota: Quota) -> Self {
        let clock = PausedClock {
            start: SystemTime::now(),
            started: Instant::now(),
        };
        let settings = StsSettings {
            clock: SharedTimeSource::new(clock),
            ..StsSettings::default()
        };
        Self(Arc::new(Shared {
            settings,
            clock,
            behavior: Mutex::new(StsBehavior::Success),
            quota,
            tokens: Mutex::new((quota.burst, Instant::now())),
            log: Mutex::default(),
        }))
    }

    pub fn set_behavior(&self, behavior: StsBehavior) {
        *self.0.behavior.lock().expect("no panics") = behavior;
    }

    pub fn passed(&self) -> u64 {
        self.0.clock.started.elapsed().as_secs()
    }

    pub async fn until(&self, second: u64) {
        tokio::time::sleep_until(self.0.clock.started + Duration::from_secs(second)).await;
    }

    pub fn config(&self) -> SdkConfig {
        let config = config(&self.0.settings).into_builder();
        let sts = self.clone();
        let http = InProcessHttp::new(move || sts.clone().respond());
        config.http_client(http).build()
    }

    async fn respond(self) -> (u16, String) {
        let number = {
            let mut log = self.0.log.lock().expect("no panics");
            let requests = log.entry(self.passed()).or_default();
            *requests += 1;
            *requests
        };
        let is_served = self.take_token();
        tokio::time::sleep(self.0.settings.latency).await;
        if *self.0.behavior.lock().expect("no panics") != StsBehavior::Success {
            return (503, error_document("ServiceUnavailable"));
        }
        if !is_served {
            return (400, error_document("Throttling"));
        }
        (200, session_document(number as usize, &self.0.settings))
    }

    fn take_token(&self) -> bool {
        let Quota { rate, burst } = self.0.quota;
        let now = Instant::now();
        let mut tokens = self.0.tokens.lock().expect("no panics");
        let (left, at) = *tokens;
        let left = (left + rate * (now - at).as_secs_f64().max(f64::MIN_POSITIVE)).min(burst);
        let is_served = left >= 1.0;
        *tokens = (if is_served { left - 1.0 } else { left }, now);
        is_served
    }

    /// Returns the number of requests since the second `from`, and the number in the busiest second.
    pub fn requests(&self, from: u64) -> (u32, u32) {
        let log = self.0.log.lock().expect("no panics");
        let counts = || {
            log.iter()
                .filter(|(second, _)| **second >= from)
                .map(|(_, count)| *count)
        };
        (counts().sum(), counts().max().unwrap_or(0))
    }
}
