//! Measures memory, first use, CPU time and STS requests of 1 to 10,000 tenants, and the cold start of 1 to 4 hops.
//!
//! ```sh
//! cargo bench --all-features --bench scale
//! cargo bench --all-features --bench scale -- --plot benches/scale.svg  # also draws the plot
//! ```
//!
//! Memory and first use of each number of tenants are measured in a separate process, over loopback HTTP. Hours
//! of refreshes are measured under tokio's paused clock with an STS in memory, so that their CPU time includes no
//! sockets.

mod common;
mod plot;

use std::alloc::System;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{ChainPool, Role};
use aws_types::SdkConfig;
use cap::Cap;
use comfy_table::Table;
use common::{
    CachedAssumeRole, Chain, FakeSts, InMemorySts, Latencies, NestedAssumeRole, Provider, Quota,
    ReqsignSigner, StsBehavior, StsSettings, Tenants, format_duration, paused, table,
    tenants_with_separate_chains, tenants_without_hub, timed,
};
use cpu_time::ProcessTime;
use plot::{Panel, Series};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// The latency of STS when first use is measured.
const LATENCY: Duration = Duration::from_millis(5);

fn main() {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The arguments of the separate processes.
        ["chain", tenants] => first_use(Chain::tenants, tenants),
        ["sdk", tenants] => first_use(CachedAssumeRole::tenants, tenants),
        ["reqsign", tenants] => first_use(ReqsignSigner::tenants, tenants),
        ["without-hub", tenants] => first_use(tenants_without_hub, tenants),
        ["pool", max_chains] => used_through_a_pool(max_chains),
        ["separate", tenants] => first_use(tenants_with_separate_chains, tenants),
        ["--plot", file, ..] => {
            std::fs::write(file, measure()).expect("a file that can be written")
        }
        _ => drop(measure()),
    }
}

/// Prints all tables and returns the plot.
fn measure() -> String {
    let [memory, first_use] = tenants();
    pool();
    let steady = steady();
    under_quota();
    let cold = cold();
    plot::svg(&[memory, first_use, steady, cold]).expect("strings can be written")
}

/// What a separate process measured.
struct FirstUse {
    build: Duration,
    /// Bytes allocated, and bytes resident: after building the providers, and after first use.
    built: [usize; 2],
    used: [usize; 2],
    wall: Duration,
    requests: usize,
    connections: usize,
}

/// Builds tenants with `make`, retrieves the credentials of each once, 64 at a time, and prints the measurements for
/// the parent process.
fn first_use<P: Provider>(make: impl AsyncFnOnce(&SdkConfig, usize) -> Vec<P>, tenants: &str) {
    let tenants = tenants.parse().expect("a number");
    Runtime::new().expect("a runtime").block_on(async {
        let sts = FakeSts::start(StsSettings {
            latency: LATENCY,
            ..StsSettings::default()
        });
        // The first call of a process also initializes state that later ones share.
        P::new(&sts.config(), 1)
            .await
            .retrieve()
            .await
            .expect("a session");
        let first = (sts.requests(), sts.connections());
        let before = memory();
        let grown = || std::array::from_fn(|n| memory()[n].saturating_sub(before[n]));
        let (build, tenants) = timed(make(&sts.config(), tenants)).await;
        let built: [usize; 2] = grown();
        let concurrency = Arc::new(Semaphore::new(64));
        let tenants = into_shared(tenants);
        let (wall, ()) = timed(async {
            let mut calls = JoinSet::new();
            for tenant in &tenants {
                let (tenant, concurrency) = (tenant.clone(), concurrency.clone());
                calls.spawn(async move {
                    let _permit = concurrency.acquire().await;
                    tenant.retrieve().await
                });
            }
            for result in calls.join_all().await {
                result.expect("a session");
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

/// Returns the allocated and the resident bytes of the whole process, including the fake STS. The resident bytes are
/// 0 without /proc.
fn memory() -> [usize; 2] {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    [ALLOCATOR.allocated(), pages.unwrap_or(0_usize) * 4096]
}

fn in_separate_process(provider: &str, tenants: usize) -> FirstUse {
    let this = std::env::current_exe().expect("a path");
    let output = Command::new(this)
        .args([provider, &tenants.to_string()])
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
    let mut table = table([
        "tenants",
        "provider",
        "build time of each",
        "live KiB each before, after first use",
        "resident KiB each before, after",
        "first use of all",
        "requests",
        "connections",
    ]);
    let mut measured = |provider, name, tenants| {
        let found = in_separate_process(provider, tenants);
        table.add_row(found.row(name, tenants));
        found
    };
    let mut memory = panel("live memory after first use", "tenants", "MiB");
    let mut wall = panel("first use of all, STS at 5 ms", "tenants", "s");
    for (provider, name, most) in [
        ("chain", Chain::NAME, 10_000),
        ("sdk", CachedAssumeRole::NAME, 1_000),
        ("reqsign", ReqsignSigner::NAME, 10_000),
    ] {
        let (mut bytes, mut seconds) = (series(name), series(name));
        // Each of the SDK's providers has two HTTP clients: 10,000 need more sockets than a process may open.
        for tenants in COUNTS.into_iter().filter(|tenants| *tenants <= most) {
            let found = measured(provider, name, tenants);
            let mebibytes = found.used[0] as f64 / 1_048_576.0;
            bytes.points.push((tenants as f64, mebibytes));
            let wall = found.wall.as_secs_f64();
            seconds.points.push((tenants as f64, wall));
        }
        memory.series.push(bytes);
        wall.series.push(seconds);
    }
    measured("without-hub", "aws-role-chain, from_source", 1_000);
    measured("separate", "aws-role-chain, each from new", 1_000);
    println!("\n{table}");
    [memory, wall]
}

impl FirstUse {
    fn row(&self, name: &str, tenants: usize) -> [String; 8] {
        let each = |bytes: usize| bytes as f64 / 1024.0 / tenants as f64;
        let both = |n: usize| format!("{:.2}, {:.2}", each(self.built[n]), each(self.used[n]));
        [
            tenants.to_string(),
            name.to_owned(),
            format_duration(self.build / tenants as u32),
            both(0),
            both(1),
            format_duration(self.wall),
            self.requests.to_string(),
            self.connections.to_string(),
        ]
    }
}

fn panel(title: &'static str, x: &'static str, y: &'static str) -> Panel {
    Panel {
        title,
        x,
        y,
        is_linear: false,
        series: Vec::new(),
    }
}

fn series(name: &'static str) -> Series {
    Series {
        name,
        points: Vec::new(),
    }
}

/// The number of requests to a pool, and of the customers, whose frequencies are Zipf-distributed.
const POOL_REQUESTS: usize = 100_000;
const POOL_CUSTOMERS: usize = 20_000;

/// Memory and STS requests of pools of 1,000, 10,000 and 20,000 chains, after 100,000 requests for 20,000 customers.
fn pool() {
    let mut table = table([
        "100,000 requests of 20,000 customers",
        "chains at the end",
        "AssumeRole calls",
        "live MiB",
        "resident MiB",
        "live KiB per chain",
    ]);
    for max_chains in [1_000, 10_000, POOL_CUSTOMERS] {
        let this = std::env::current_exe().expect("a path");
        let args = ["pool".to_owned(), max_chains.to_string()];
        let output = Command::new(this).args(args).output().expect("a process");
        let output = String::from_utf8(output.stdout).expect("numbers");
        let mut row = vec![format!("pool of {max_chains}")];
        row.extend(output.split_whitespace().map(str::to_owned));
        table.add_row(row);
    }
    println!("\n{table}");
}

fn used_through_a_pool(max_chains: &str) {
    let max_chains = max_chains.parse().expect("a number");
    paused().block_on(async {
        let sts = InMemorySts::new(Quota::UNLIMITED);
        let hub = Chain::of(&sts.config(), 1);
        hub.refresh().await.expect("a session");
        let before = memory();
        let pool = ChainPool::builder(hub).max_chains(max_chains).build();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..POOL_REQUESTS {
            // A Zipf distribution with exponent 1: the logarithm is uniformly distributed.
            let customer = (POOL_CUSTOMERS as f64).powf(random.f64()) as usize;
            let arn = format!("arn:aws:iam::333333333333:role/Tenant{customer}");
            let role = Role::new(arn).external_id(format!("customer-{customer}"));
            let chain = pool.get(role).expect("a role");
            chain.provide_credentials().await.expect("a session");
            assert!(pool.len() <= max_chains);
        }
        let after = memory();
        let grown: [usize; 2] = std::array::from_fn(|n| after[n].saturating_sub(before[n]));
        let mebibytes = |bytes: usize| bytes as f64 / 1_048_576.0;
        println!(
            "{} {} {:.1} {:.1} {:.2}",
            pool.len(),
            sts.requests(0).0 - 1,
            mebibytes(grown[0]),
            mebibytes(grown[1]),
            grown[0] as f64 / 1024.0 / pool.len() as f64,
        );
    });
}

/// Retrieves the credentials of all tenants at once, then once a minute for three hours, without a quota.
fn steady() -> Panel {
    let mut table = table([
        "tenants, retrieved once a minute for 3 h",
        "provider",
        "CPU (of one core)",
        "STS requests",
        "in the busiest second",
    ]);
    let mut panel = panel("CPU of a steady state, of one core", "tenants", "%");
    panel.series = vec![
        steady_of::<Chain>(10_000, &mut table),
        steady_of::<CachedAssumeRole>(1_000, &mut table),
    ];
    println!("\n{table}");
    panel
}

fn steady_of<P: Tenants>(most: usize, table: &mut Table) -> Series {
    let mut line = series(P::NAME);
    for count in COUNTS.into_iter().filter(|count| *count <= most) {
        paused().block_on(async {
            let sts = InMemorySts::new(Quota::UNLIMITED);
            let tenants = into_shared(P::tenants(&sts.config(), count).await);
            retrieve_all(&tenants).await;
            let from = sts.passed() + 1;
            sts.until(from).await;
            let (started, cpu) = (Instant::now(), ProcessTime::now());
            for minute in 1..=180 {
                sts.until(from + 60 * minute).await;
                assert_eq!(retrieve_all(&tenants).await, count);
            }
            let share = 100.0 * cpu.elapsed().as_secs_f64() / started.elapsed().as_secs_f64();
            let (requests, busiest) = sts.requests(from);
            table.add_row([
                count.to_string(),
                P::NAME.to_owned(),
                format!("{share:.4} %"),
                requests.to_string(),
                busiest.to_string(),
            ]);
            line.points.push((count as f64, share));
        });
    }
    line
}

/// 10,000 tenants of an account with STS's quota, beyond which requests are throttled.
fn under_quota() {
    let mut table = table([
        "10,000 tenants, STS allows 600 a second",
        "provider",
        "failed",
        "duration",
        "STS requests",
        "in the busiest second",
    ]);
    table.add_row(first_use_under_quota::<Chain>());
    table.add_row(first_use_under_quota::<CachedAssumeRole>());
    table.add_rows(recovery());
    println!("\n{table}");
}

fn first_use_under_quota<P: Tenants>() -> [String; 6] {
    paused().block_on(async {
        let sts = InMemorySts::new(Quota::STS);
        let tenants = into_shared(P::tenants(&sts.config(), 10_000).await);
        let failed = tenants.len() - retrieve_all(&tenants).await;
        row::<P>("first use at once", failed, &sts, 0)
    })
}

/// Retrieves once a minute during an outage of 14 minutes, which begins when the first refreshes are due and ends a
/// minute before the sessions expire, and then for an hour with STS available.
fn recovery() -> Vec<[String; 6]> {
    paused().block_on(async {
        let sts = InMemorySts::new(Quota::STS);
        let tenants = into_shared(Chain::tenants(&sts.config(), 10_000).await);
        retrieve_all(&tenants).await;
        let mut rows = Vec::new();
        for (what, behavior, from, until) in [
            (
                "STS unavailable for 14 minutes, all due",
                StsBehavior::ServiceUnavailable,
                2_700,
                3_540,
            ),
            ("STS available again", StsBehavior::Success, 3_541, 7_200),
        ] {
            sts.until(from).await;
            sts.set_behavior(behavior);
            let mut failed = 0;
            for second in (from..until).step_by(60) {
                sts.until(second).await;
                failed += tenants.len() - retrieve_all(&tenants).await;
            }
            rows.push(row::<Chain>(what, failed, &sts, from));
        }
        rows
    })
}

fn row<P: Provider>(what: &str, failed: usize, sts: &InMemorySts, from: u64) -> [String; 6] {
    let (requests, busiest) = sts.requests(from);
    let seconds = sts.passed() - from;
    [
        what.to_owned(),
        P::NAME.to_owned(),
        failed.to_string(),
        format!("{seconds} s"),
        requests.to_string(),
        busiest.to_string(),
    ]
}

fn into_shared<P>(tenants: Vec<P>) -> Vec<Arc<P>> {
    tenants.into_iter().map(Arc::new).collect()
}

/// Retrieves the credentials of all tenants at once, and returns how many calls succeeded.
async fn retrieve_all<P: Provider>(tenants: &[Arc<P>]) -> usize {
    let (mut succeeded, mut pending) = (0, JoinSet::new());
    for tenant in tenants {
        let tenant = tenant.clone();
        let mut call = Box::pin(async move { tenant.retrieve().await.is_ok() });
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(is_success) => succeeded += usize::from(is_success),
            Poll::Pending => drop(pending.spawn(call)),
        }
    }
    let results = pending.join_all().await;
    succeeded + results.into_iter().filter(|is_success| *is_success).count()
}

/// Builds chains of 1 to 4 hops and retrieves their first credentials, with STS at 20 ms: the median of nine.
fn cold() -> Panel {
    let mut panel = panel("cold start, STS at 20 ms", "hops", "ms");
    panel.is_linear = true;
    let runtime = Runtime::new().expect("a runtime");
    panel.series = runtime.block_on(async {
        vec![
            cold_of::<Chain>().await,
            cold_of::<NestedAssumeRole>().await,
            cold_of::<ReqsignSigner>().await,
        ]
    });
    panel
}

async fn cold_of<P: Provider>() -> Series {
    let mut line = series(P::NAME);
    for hops in 1..=4 {
        let mut calls = Latencies::default();
        for _ in 0..9 {
            let sts = FakeSts::start(StsSettings::default());
            sts.round_trips(1).await;
            let config = sts.config();
            let (duration, result) =
                timed(async { P::new(&config, hops).await.retrieve().await }).await;
            calls.add(duration, result.is_ok());
        }
        let median = calls.percentile(0.5).as_secs_f64() * 1e3;
        line.points.push((hops as f64, median));
    }
    line
}
