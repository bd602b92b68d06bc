//! Measures how long callers wait and how many requests STS receives, in the situations that this crate is made for,
//! for this crate and other providers in one run.
//!
//! ```sh
//! cargo bench --all-features --bench situations                  # everything, in about seven minutes
//! cargo bench --all-features --bench situations -- cold refresh  # only these two
//! ```
//!
//! - `cold`: building a provider and retrieving its first credentials.
//! - `herd`: a thousand concurrent callers of a provider that has not cached anything yet.
//! - `timeouts`: callers whose timeout is shorter than the load.
//! - `refresh`: 200 calls a second while sessions are refreshed.
//! - `outage`: STS fails before and after sessions expire.
//! - `partitions`: more tenants than one of the SDK's identity caches holds.
//!
//! The fake STS is in the same process, on its own thread and a loopback port.

mod common;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_sts::config::IdentityCache;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use common::{
    CERTIFICATE, CachedAssumeRole, CachedProfile, Chain, FakeSts, Latencies, NestedAssumeRole,
    Provider, ReqsignSigner, SdkIdentityCache, StsBehavior, StsSettings, Tenants, format_duration,
    nested_tenant, table, timed,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn main() {
    // The SDK's HTTP client reads the certificates that it trusts from the file that this variable names.
    if std::env::var_os("SSL_CERT_FILE").is_none_or(|file| file != CERTIFICATE) {
        let mut this = Command::new(std::env::current_exe().expect("a path"));
        let args = std::env::args_os().skip(1);
        let status = this.args(args).env("SSL_CERT_FILE", CERTIFICATE).status();
        std::process::exit(status.expect("a process").code().unwrap_or(1));
    }
    let mut situations = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect::<Vec<_>>();
    if situations.is_empty() {
        situations = [
            "cold",
            "herd",
            "timeouts",
            "refresh",
            "outage",
            "partitions",
        ]
        .map(str::to_owned)
        .into();
    }
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // The first connection of a process also initializes state that later ones share.
        let sts = FakeSts::start(StsSettings {
            tls: true,
            ..StsSettings::default()
        });
        let _ = Chain::new(&sts.config(), 1).await.retrieve().await;
        let _ = NestedAssumeRole::new(&sts.config(), 1)
            .await
            .retrieve()
            .await;
        for situation in situations {
            match &*situation {
                "cold" => cold().await,
                "herd" => herd().await,
                "timeouts" => timeouts().await,
                "refresh" => refresh().await,
                "outage" => outage().await,
                "partitions" => partitions().await,
                other => panic!("no such situation: {other}"),
            }
        }
    });
}

/// The first credentials of chains of 1 to 4 hops, over HTTP and HTTPS: the median of 21. Providers are built
/// and called in a task, as in a server.
async fn cold() {
    let mut table = table([
        "hops",
        "provider",
        "build time",
        "HTTP",
        "vs. round trips",
        "HTTPS",
        "vs. round trips",
        "requests",
        "connections",
    ]);
    for hops in 1..=4 {
        table.add_row(cold_start::<Chain>(hops).await);
        table.add_row(cold_start::<NestedAssumeRole>(hops).await);
        table.add_row(cold_start::<CachedProfile>(hops).await);
        table.add_row(cold_start::<ReqsignSigner>(hops).await);
    }
    println!("\n{table}");
}

async fn cold_start<P: Provider>(hops: usize) -> [String; 9] {
    let mut build = Latencies::default();
    let mut durations = [Latencies::default(), Latencies::default()];
    let mut round_trips = [Latencies::default(), Latencies::default()];
    let mut counts = [(0, 0); 2];
    for _ in 0..21 {
        for (n, tls) in [false, true].into_iter().enumerate() {
            let sts = FakeSts::start(StsSettings {
                tls,
                ..StsSettings::default()
            });
            // The fake's first round trip is slower than the others.
            sts.round_trips(1).await;
            let first = (sts.requests(), sts.connections());
            let config = sts.config();
            let cold = tokio::spawn(async move {
                let (built, provider) = timed(P::new(&config, hops)).await;
                let (called, result) = timed(provider.retrieve()).await;
                (built, built + called, result.is_ok())
            });
            let (built, all, is_success) = cold.await.expect("no panics");
            build.add(built, is_success);
            durations[n].add(all, is_success);
            counts[n] = (sts.requests() - first.0, sts.connections() - first.1);
            round_trips[n].add(sts.round_trips(hops).await, true);
        }
    }
    assert_eq!(counts[0], counts[1], "with TLS as without");
    let [http, https] = durations.map(|mut durations| durations.percentile(0.5));
    let [plain, secure] = round_trips.map(|mut took| took.percentile(0.5));
    let over = |all: Duration, least: Duration| {
        format!(
            "{:+.1} %",
            100.0 * (all.as_secs_f64() / least.as_secs_f64() - 1.0)
        )
    };
    let (requests, connections) = counts[0];
    [
        hops.to_string(),
        P::NAME.to_owned(),
        format_duration(build.percentile(0.5)),
        format_duration(http),
        over(http, plain),
        format_duration(https),
        over(https, secure),
        requests.to_string(),
        connections.to_string(),
    ]
}

/// A thousand concurrent callers of a provider that has not cached anything yet, while STS succeeds and while
/// it denies access.
async fn herd() {
    let mut table = table([
        "1,000 concurrent callers, 2 hops",
        "provider",
        "succeeded",
        "p50",
        "p99",
        "max",
        "requests",
        "connections",
    ]);
    for behavior in [StsBehavior::Success, StsBehavior::AccessDenied] {
        table.add_row(herd_of::<Chain>(behavior).await);
        table.add_row(herd_of::<NestedAssumeRole>(behavior).await);
        table.add_row(herd_of::<CachedAssumeRole>(behavior).await);
        table.add_row(herd_of::<CachedProfile>(behavior).await);
        table.add_row(herd_of::<ReqsignSigner>(behavior).await);
    }
    println!("\n{table}");
}

async fn herd_of<P: Provider>(behavior: StsBehavior) -> [String; 8] {
    let sts = FakeSts::start(StsSettings::default());
    sts.set_behavior(behavior);
    let provider = Arc::new(P::new(&sts.config(), 2).await);
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        callers.spawn(call(provider.clone(), None));
    }
    let mut calls = latencies(callers).await;
    let [p50, p99, max] = calls.percentile_cells();
    [
        format!("STS: {behavior:?}"),
        P::NAME.to_owned(),
        (calls.len() - calls.failed).to_string(),
        p50,
        p99,
        max,
        sts.requests().to_string(),
        sts.connections().to_string(),
    ]
}

/// Makes one call and drops it after `timeout`.
async fn call<P: Provider>(provider: Arc<P>, timeout: Option<Duration>) -> (Duration, bool) {
    timed(async {
        match timeout {
            None => provider.retrieve().await.is_ok(),
            Some(timeout) => tokio::time::timeout(timeout, provider.retrieve())
                .await
                .is_ok_and(|result| result.is_ok()),
        }
    })
    .await
}

/// Waits for all calls.
async fn latencies(callers: JoinSet<(Duration, bool)>) -> Latencies {
    let mut calls = Latencies::default();
    for (duration, is_success) in callers.join_all().await {
        calls.add(duration, is_success);
    }
    calls
}

/// Callers that come one after another, with a timeout shorter than the load.
async fn timeouts() {
    let mut table = table([
        "50 callers, each with a timeout of 1½ round trips, 2 hops",
        "succeeded",
        "requests",
        "connections",
    ]);
    table.add_row(timeouts_of::<Chain>().await);
    table.add_row(timeouts_of::<NestedAssumeRole>().await);
    table.add_row(timeouts_of::<CachedAssumeRole>().await);
    table.add_row(timeouts_of::<CachedProfile>().await);
    table.add_row(timeouts_of::<ReqsignSigner>().await);
    println!("\n{table}");
}

async fn timeouts_of<P: Provider>() -> [String; 4] {
    let settings = StsSettings::default();
    let timeout = settings.latency * 3 / 2;
    let sts = FakeSts::start(settings);
    let provider = Arc::new(P::new(&sts.config(), 2).await);
    let mut succeeded = 0;
    for _ in 0..50 {
        succeeded += usize::from(call(provider.clone(), Some(timeout)).await.1);
    }
    [
        P::NAME.to_owned(),
        succeeded.to_string(),
        sts.requests().to_string(),
        sts.connections().to_string(),
    ]
}

/// 200 calls a second to each of 16 instances while sessions are refreshed. Sessions last 12 s: the SDK's cache
/// refreshes them 5 to 10 s before expiry, this crate 4½ to 9 s. (Those of reqsign last 125 s.)
async fn refresh() {
    let mut table = table([
        "16 × 200 calls a second for 40 s, 2 hops",
        "while",
        "calls",
        "failed",
        "p50",
        "p99",
        "max",
        "requests",
    ]);
    table.add_rows(under_load::<Chain>().await);
    table.add_rows(under_load::<CachedAssumeRole>().await);
    table.add_rows(under_load::<CachedProfile>().await);
    table.add_rows(under_load::<ReqsignSigner>().await);
    println!("\n{table}");
}

async fn under_load<P: Provider>() -> [[String; 8]; 2] {
    let mut runs = JoinSet::new();
    for _ in 0..16 {
        runs.spawn(one_under_load::<P>());
    }
    let (mut at_rest, mut refreshing, mut requests) =
        (Latencies::default(), Latencies::default(), 0);
    for run in runs.join_all().await {
        at_rest.extend(run.0);
        refreshing.extend(run.1);
        requests += run.2;
    }
    let row = |what: &str, mut calls: Latencies, requests: String| {
        let [p50, p99, max] = calls.percentile_cells();
        [
            P::NAME.to_owned(),
            what.to_owned(),
            calls.len().to_string(),
            calls.failed.to_string(),
            p50,
            p99,
            max,
            requests,
        ]
    };
    [
        row("no load is in flight", at_rest, String::new()),
        row("a load is in flight", refreshing, requests.to_string()),
    ]
}

async fn one_under_load<P: Provider>() -> (Latencies, Latencies, usize) {
    let sts = FakeSts::start(StsSettings {
        latency: Duration::from_millis(200),
        lifetime: Duration::from_secs(12) + P::EXTRA_LIFETIME,
        ..StsSettings::default()
    });
    let provider = Arc::new(P::new(&sts.config(), 2).await);
    provider.retrieve().await.expect("a session");
    let first = sts.requests();
    let (mut at_rest, mut refreshing) = (JoinSet::new(), JoinSet::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..8000 {
        ticks.tick().await;
        let callers = if sts.has_requests_in_flight() {
            &mut refreshing
        } else {
            &mut at_rest
        };
        callers.spawn(call(provider.clone(), None));
    }
    (
        latencies(at_rest).await,
        latencies(refreshing).await,
        sts.requests() - first,
    )
}

/// STS fails from the 590th second of sessions of 900 s, the shortest that STS allows, until a minute after they
/// expire. The clock and the sleep run 20 times as fast as the machine's.
async fn outage() {
    let mut table = table([
        "STS",
        "timeout",
        "provider",
        "3,090 calls before expiry: failed",
        "p50",
        "p99",
        "max",
        "590 after: failed",
        "p50",
        "p99",
        "max",
        "requests",
    ]);
    let mut rows = JoinSet::new();
    let behaviors = [
        StsBehavior::ServiceUnavailable,
        StsBehavior::Throttling,
        StsBehavior::ConnectionClosed,
        StsBehavior::NoResponse,
        StsBehavior::AccessDenied,
    ];
    for (n, behavior) in behaviors.into_iter().enumerate() {
        for timeout in [None, Some(Duration::from_secs(1))] {
            let place = (n, timeout);
            rows.spawn(async move { (place, 0, outage_at::<Chain>(behavior, timeout).await) });
            rows.spawn(async move {
                (
                    place,
                    1,
                    outage_at::<CachedAssumeRole>(behavior, timeout).await,
                )
            });
        }
    }
    let mut rows = rows.join_all().await;
    rows.sort();
    table.add_rows(rows.into_iter().map(|(_, _, row)| row));
    println!("\n{table}");
}

/// A clock and a sleep that run `SPEEDUP` times as fast as the machine's.
#[derive(Clone, Copy, Debug)]
struct FastClock {
    start: SystemTime,
    started: Instant,
}

const SPEEDUP: u32 = 20;

impl TimeSource for FastClock {
    fn now(&self) -> SystemTime {
        self.start + self.started.elapsed() * SPEEDUP
    }
}

impl AsyncSleep for FastClock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration / SPEEDUP))
    }
}

async fn outage_at<P: Provider>(behavior: StsBehavior, timeout: Option<Duration>) -> [String; 12] {
    let [outage_start, lifetime, outage_end] = [590, 900, 960].map(Duration::from_secs);
    let clock = FastClock {
        start: SystemTime::now(),
        started: Instant::now(),
    };
    let sts = FakeSts::start(StsSettings {
        latency: Duration::from_millis(1),
        lifetime,
        clock: SharedTimeSource::new(clock),
        tls: false,
    });
    let config = sts.config().into_builder();
    let config = config.sleep_impl(SharedAsyncSleep::new(clock)).build();
    let provider = Arc::new(P::new(&config, 2).await);
    provider.retrieve().await.expect("a session");
    let until =
        |passed: Duration| tokio::time::sleep_until((clock.started + passed / SPEEDUP).into());
    until(outage_start).await;
    sts.set_behavior(behavior);
    let before = sts.requests();
    let (mut valid, mut expired) = (JoinSet::new(), JoinSet::new());
    // 10 calls a second by the fast clock.
    let mut ticks = tokio::time::interval(Duration::from_millis(100) / SPEEDUP);
    loop {
        ticks.tick().await;
        let passed = clock.started.elapsed() * SPEEDUP;
        if passed >= outage_end {
            break;
        }
        let callers = match passed.cmp(&lifetime) {
            // Expiries are in whole seconds, so calls within a second of expiry may be on either side.
            _ if passed.abs_diff(lifetime) < Duration::from_secs(1) => continue,
            std::cmp::Ordering::Less => &mut valid,
            _ => &mut expired,
        };
        callers.spawn(call(
            provider.clone(),
            timeout.map(|timeout| timeout / SPEEDUP),
        ));
    }
    let requests = sts.requests() - before;
    sts.set_behavior(StsBehavior::Success);
    let [mut valid, mut expired] =
        [latencies(valid).await, latencies(expired).await].map(|calls| calls.scaled(SPEEDUP));
    let timeout = timeout.map_or("none".to_owned(), format_duration);
    let [valid_p50, valid_p99, valid_max] = valid.percentile_cells();
    let [expired_p50, expired_p99, expired_max] = expired.percentile_cells();
    [
        format!("{behavior:?}"),
        timeout,
        P::NAME.to_owned(),
        valid.failed.to_string(),
        valid_p50,
        valid_p99,
        valid_max,
        expired.failed.to_string(),
        expired_p50,
        expired_p99,
        expired_max,
        requests.to_string(),
    ]
}

/// Tenants of one hub, used in turn through one `SdkConfig`, whose identity cache holds 64 identities.
async fn partitions() {
    let mut table = table([
        "tenants of one hub, used in turn",
        "provider",
        "requests in the first round",
        "in the second",
    ]);
    for tenants in [50, 65, 100, 1000] {
        let sts = FakeSts::start(StsSettings {
            latency: Duration::ZERO,
            ..StsSettings::default()
        });
        let chains = Chain::tenants(&sts.config(), tenants).await;
        table.add_row(rounds(&sts, chains).await);

        let sts = FakeSts::start(StsSettings {
            latency: Duration::ZERO,
            ..StsSettings::default()
        });
        let (config, cache) = (sts.config(), IdentityCache::lazy().build());
        let mut providers = Vec::new();
        for n in 0..tenants {
            let provider = nested_tenant(&config, n).await;
            providers.push(CachedAssumeRole(SdkIdentityCache::sharing(
                cache.clone(),
                &config,
                provider,
            )));
        }
        table.add_row(rounds(&sts, providers).await);
    }
    println!("\n{table}");
}

async fn rounds<P: Provider>(sts: &FakeSts, providers: Vec<P>) -> [String; 4] {
    let mut requests = [0; 2];
    for requests in &mut requests {
        let before = sts.requests();
        for provider in &providers {
            provider.retrieve().await.expect("a session");
        }
        *requests = sts.requests() - before;
    }
    let (tenants, [first, second]) = (providers.len(), requests);
    [
        tenants.to_string(),
        P::NAME.to_owned(),
        first.to_string(),
        second.to_string(),
    ]
}
