//! What grows with hops and tenants, and a plot of it: `cargo bench --bench scale -- --plot benches/scale.svg`.
//!
//! Each number of tenants is measured in a process of its own, over loopback HTTP; what is refreshed for
//! hours is measured under a virtual clock, with answers made in memory: its CPU time is without sockets.

mod common;
mod plot;

use std::alloc::System;
use std::collections::HashMap;
use std::fmt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_sdk_sts::config::{HttpClient, RuntimeComponents};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use cap::Cap;
use common::{
    Cached, Contestant, Mood, Nested, Ours, Reqsign, Setup, StandIn, Tenants, apart, refusal,
    session, show, timed, without_hub,
};
use cpu_time::ProcessTime;
use plot::{Panel, Series};
use tokio::runtime::{self, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// Of the stand-in, where first use is measured.
const LATENCY: Duration = Duration::from_millis(5);

fn main() {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // In a process of its own.
        ["ours", tenants] => first_use(Ours::tenants, tenants),
        ["sdk", tenants] => first_use(Cached::tenants, tenants),
        ["reqsign", tenants] => first_use(Reqsign::tenants, tenants),
        ["no-hub", tenants] => first_use(without_hub, tenants),
        ["apart", tenants] => first_use(apart, tenants),
        ["--plot", file, ..] => {
            std::fs::write(file, measure()).expect("a file that can be written")
        }
        _ => drop(measure()),
    }
}

/// All tables; the plot.
fn measure() -> String {
    let [memory, first_use] = tenants();
    let steady = steady();
    let cold = cold();
    plot::svg(&[memory, first_use, steady, cold])
}

/// What a child process found.
struct FirstUse {
    build: Duration,
    /// Bytes, of what the allocator gave and of what is resident.
    built: [usize; 2],
    used: [usize; 2],
    wall: Duration,
    requests: usize,
    connections: usize,
}

/// Tenants of one hub, built and then used once, 64 at a time; printed for the parent process.
fn first_use<C: Contestant>(make: impl AsyncFnOnce(&SdkConfig, usize) -> Vec<C>, tenants: &str) {
    let tenants = tenants.parse().expect("a number");
    Runtime::new().expect("a runtime").block_on(async {
        let sts = StandIn::start(Setup {
            latency: LATENCY,
            ..Setup::default()
        });
        // A process's first call and connection cost what the later ones find.
        C::new(&sts.config(), 1)
            .await
            .call()
            .await
            .expect("a session");
        let first = (sts.requests(), sts.connections());
        let before = memory();
        let grown = || std::array::from_fn(|n| memory()[n].saturating_sub(before[n]));
        let (build, tenants) = timed(make(&sts.config(), tenants)).await;
        let built: [usize; 2] = grown();
        let at_once = Arc::new(Semaphore::new(64));
        let tenants = shared(tenants);
        let (wall, ()) = timed(async {
            let mut calls = JoinSet::new();
            for tenant in &tenants {
                let (tenant, at_once) = (tenant.clone(), at_once.clone());
                calls.spawn(async move {
                    let _permit = at_once.acquire().await;
                    tenant.call().await
                });
            }
            for served in calls.join_all().await {
                served.expect("a session");
            }
        })
        .await;
        let used: [usize; 2] = grown();
        println!(
            "{} {} {} {} {} {} {} {}",
            build.as_nanos(),
            built[0],
            built[1],
            used[0],
            used[1],
            wall.as_nanos(),
            sts.requests() - first.0,
            sts.connections() - first.1,
        );
    });
}

/// What the allocator has given, and what is resident (0 where /proc does not tell): of the whole
/// process, the stand-in too.
fn memory() -> [usize; 2] {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    [ALLOCATOR.allocated(), pages.unwrap_or(0_usize) * 4096]
}

fn in_a_process(contestant: &str, tenants: usize) -> FirstUse {
    let this = std::env::current_exe().expect("a path");
    let output = Command::new(this)
        .args([contestant, &tenants.to_string()])
        .output();
    let output = String::from_utf8(output.expect("a process").stdout).expect("numbers");
    let numbers = output
        .split_whitespace()
        .map(|n| n.parse().expect("a number"));
    let numbers: [u64; 8] = numbers
        .collect::<Vec<_>>()
        .try_into()
        .expect("eight numbers");
    let [
        build,
        built,
        built_rss,
        used,
        used_rss,
        wall,
        requests,
        connections,
    ] = numbers;
    FirstUse {
        build: Duration::from_nanos(build),
        built: [built as usize, built_rss as usize],
        used: [used as usize, used_rss as usize],
        wall: Duration::from_nanos(wall),
        requests: requests as usize,
        connections: connections as usize,
    }
}

fn tenants() -> [Panel; 2] {
    println!(
        "\n| tenants | provider | to build each | live KiB each before first use, after | resident KiB each before, after | first use of all | requests | connections |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut memory = Panel::new("live memory after first use", "tenants", "MiB");
    let mut wall = Panel::new("first use of all, STS at 5 ms", "tenants", "s");
    for (contestant, name, most) in [
        ("ours", Ours::NAME, 10_000),
        ("sdk", Cached::NAME, 1_000),
        ("reqsign", Reqsign::NAME, 10_000),
    ] {
        let (mut bytes, mut seconds) = (Series::new(name), Series::new(name));
        // More of the SDK's, each with two HTTP clients, take more sockets than a process may have.
        for tenants in COUNTS.into_iter().filter(|tenants| *tenants <= most) {
            let found = measured(contestant, name, tenants);
            bytes.add(tenants as f64, found.used[0] as f64 / 1_048_576.0);
            seconds.add(tenants as f64, found.wall.as_secs_f64());
        }
        memory.series.push(bytes);
        wall.series.push(seconds);
    }
    measured("no-hub", "aws-role-chain, from_source", 1_000);
    measured("apart", "aws-role-chain, each from new", 1_000);
    [memory, wall]
}

/// A row of the table.
fn measured(contestant: &str, name: &str, tenants: usize) -> FirstUse {
    let found = in_a_process(contestant, tenants);
    let each = |bytes: usize| bytes as f64 / 1024.0 / tenants as f64;
    println!(
        "| {tenants} | {name} | {} | {:.2}, {:.2} | {:.2}, {:.2} | {} | {} | {} |",
        show(found.build / tenants as u32),
        each(found.built[0]),
        each(found.used[0]),
        each(found.built[1]),
        each(found.used[1]),
        show(found.wall),
        found.requests,
        found.connections,
    );
    found
}

/// Tokio's, which stands still while there is anything to do.
#[derive(Clone, Copy, Debug)]
struct Virtual {
    start: SystemTime,
    started: Instant,
}

impl TimeSource for Virtual {
    fn now(&self) -> SystemTime {
        self.start + self.started.elapsed()
    }
}

/// What STS allows an account in a region in a second.
const QUOTA: u32 = 600;

/// STS in memory, under a virtual clock.
#[derive(Clone)]
struct InMemory(Arc<Shared>);

struct Shared {
    setup: Setup,
    clock: Virtual,
    mood: Mutex<Mood>,
    /// Requests that it answers in one second; more are throttled.
    quota: u32,
    /// Requests in each second.
    log: Mutex<HashMap<u64, u32>>,
}

impl InMemory {
    fn new(quota: u32) -> Self {
        let clock = Virtual {
            start: SystemTime::now(),
            started: Instant::now(),
        };
        let setup = Setup {
            clock: SharedTimeSource::new(clock),
            ..Setup::default()
        };
        Self(Arc::new(Shared {
            setup,
            clock,
            mood: Mutex::new(Mood::Well),
            quota,
            log: Mutex::default(),
        }))
    }

    fn set(&self, mood: Mood) {
        *self.0.mood.lock().expect("no panics") = mood;
    }

    fn passed(&self) -> u64 {
        self.0.clock.started.elapsed().as_secs()
    }

    async fn until(&self, second: u64) {
        tokio::time::sleep_until(self.0.clock.started + Duration::from_secs(second)).await;
    }

    fn config(&self) -> SdkConfig {
        let config = common::config(&self.0.setup).into_builder();
        config.http_client(self.clone()).build()
    }

    async fn answer(&self) -> HttpResponse {
        let number = {
            let mut log = self.0.log.lock().expect("no panics");
            let requests = log.entry(self.passed()).or_default();
            *requests += 1;
            *requests
        };
        tokio::time::sleep(self.0.setup.latency).await;
        let is_well = *self.0.mood.lock().expect("no panics") == Mood::Well;
        let (status, body) = match (is_well, number > self.0.quota) {
            (false, _) => (503, refusal("ServiceUnavailable")),
            (true, true) => (400, refusal("Throttling")),
            (true, false) => (200, session(number as usize, &self.0.setup)),
        };
        HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body))
    }

    /// Since the second `from`: all requests, and those of the busiest second.
    fn requests(&self, from: u64) -> (u32, u32) {
        let log = self.0.log.lock().expect("no panics");
        let counts = || {
            log.iter()
                .filter(|(second, _)| **second >= from)
                .map(|(_, count)| *count)
        };
        (counts().sum(), counts().max().unwrap_or(0))
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}

impl HttpConnector for InMemory {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move { Ok(this.answer().await) })
    }
}

impl HttpClient for InMemory {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Everything used at once, then asked once a minute for three hours, with no quota.
fn steady() -> Panel {
    println!(
        "\n| tenants, asked once a minute for 3 h | provider | CPU, of one core | STS requests | in the busiest second |"
    );
    println!("|---|---|---|---|---|");
    let mut panel = Panel::new("CPU of a steady state, of one core", "tenants", "%");
    panel.series = vec![steady_of::<Ours>(10_000), steady_of::<Cached>(1_000)];
    println!(
        "\n| 10,000 tenants, STS allows 600 a second | provider | not served | for | STS requests | in the busiest second |"
    );
    println!("|---|---|---|---|---|");
    first_use_under_quota::<Ours>();
    first_use_under_quota::<Cached>();
    storm();
    panel
}

fn paused() -> Runtime {
    let mut runtime = runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

fn steady_of<C: Tenants>(most: usize) -> Series {
    let mut series = Series::new(C::NAME);
    for count in COUNTS.into_iter().filter(|count| *count <= most) {
        paused().block_on(async {
            let sts = InMemory::new(u32::MAX);
            let tenants = shared(C::tenants(&sts.config(), count).await);
            use_all(&tenants).await;
            let from = sts.passed() + 1;
            sts.until(from).await;
            let (started, cpu) = (Instant::now(), ProcessTime::now());
            for minute in 1..=180 {
                sts.until(from + 60 * minute).await;
                assert_eq!(use_all(&tenants).await, count);
            }
            let share = 100.0 * cpu.elapsed().as_secs_f64() / started.elapsed().as_secs_f64();
            let (requests, busiest) = sts.requests(from);
            println!(
                "| {count} | {} | {share:.4} % | {requests} | {busiest} |",
                C::NAME
            );
            series.add(count as f64, share);
        });
    }
    series
}

fn first_use_under_quota<C: Tenants>() {
    paused().block_on(async {
        let sts = InMemory::new(QUOTA);
        let tenants = shared(C::tenants(&sts.config(), 10_000).await);
        let failed = tenants.len() - use_all(&tenants).await;
        row::<C>("first used at once", failed, &sts, 0);
    });
}

/// This crate's, asked once a minute through 14 minutes without STS, from when the first is due to a
/// minute before their sessions of an hour expire; then with STS again.
fn storm() {
    paused().block_on(async {
        let sts = InMemory::new(QUOTA);
        let tenants = shared(Ours::tenants(&sts.config(), 10_000).await);
        use_all(&tenants).await;
        for (what, mood, from, until) in [
            (
                "STS away for 14 minutes, all due",
                Mood::Unavailable,
                2_700,
                3_540,
            ),
            ("STS back", Mood::Well, 3_541, 7_200),
        ] {
            sts.until(from).await;
            sts.set(mood);
            let mut failed = 0;
            for second in (from..until).step_by(60) {
                sts.until(second).await;
                failed += tenants.len() - use_all(&tenants).await;
            }
            row::<Ours>(what, failed, &sts, from);
        }
    });
}

fn row<C: Contestant>(what: &str, failed: usize, sts: &InMemory, from: u64) {
    let (requests, busiest) = sts.requests(from);
    let seconds = sts.passed() - from;
    println!(
        "| {what} | {} | {failed} | {seconds} s | {requests} | {busiest} |",
        C::NAME
    );
}

fn shared<C>(tenants: Vec<C>) -> Vec<Arc<C>> {
    tenants.into_iter().map(Arc::new).collect()
}

/// At once; how many were served.
async fn use_all<C: Contestant>(tenants: &[Arc<C>]) -> usize {
    let (mut served, mut waiting) = (0, JoinSet::new());
    for tenant in tenants {
        let tenant = tenant.clone();
        let mut call = Box::pin(async move { tenant.call().await.is_ok() });
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(is_served) => served += usize::from(is_served),
            Poll::Pending => drop(waiting.spawn(call)),
        }
    }
    let waited = waiting.join_all().await;
    served + waited.into_iter().filter(|is_served| *is_served).count()
}

/// From nothing in hand, STS at 20 ms; the middle of nine.
fn cold() -> Panel {
    let mut panel = Panel::new("cold start, STS at 20 ms", "hops", "ms");
    panel.is_linear = true;
    let runtime = Runtime::new().expect("a runtime");
    panel.series = runtime.block_on(async {
        vec![
            cold_of::<Ours>().await,
            cold_of::<Nested>().await,
            cold_of::<Reqsign>().await,
        ]
    });
    panel
}

async fn cold_of<C: Contestant>() -> Series {
    let mut series = Series::new(C::NAME);
    for hops in 1..=4 {
        let mut calls = common::Calls::default();
        for _ in 0..9 {
            let sts = StandIn::start(Setup::default());
            sts.round_trips(1).await;
            let config = sts.config();
            let (took, served) = timed(async { C::new(&config, hops).await.call().await }).await;
            calls.add(took, served.is_ok());
        }
        series.add(hops as f64, calls.percentile(0.5).as_secs_f64() * 1e3);
    }
    series
}
