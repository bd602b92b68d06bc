//! The situations that the crate is for, beside aws-config's own providers, in one run:
//! `cargo bench --bench situations`. Names of situations after `--` leave out the others.
//!
//! STS is a stand-in on loopback in the same process, on a thread of its own.

mod common;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_sts::config::IdentityCache;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use common::{
    CERTIFICATE, Cached, Calls, Contestant, Mood, Nested, Ours, Profiles, Reqsign, SdkCache, Setup,
    StandIn, Tenants, show, tenant, timed,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn main() {
    // The SDK's HTTP client reads its trusted certificates from where this says.
    if std::env::var_os("SSL_CERT_FILE").is_none_or(|file| file != CERTIFICATE) {
        let mut this = Command::new(std::env::current_exe().expect("a path"));
        let args = std::env::args_os().skip(1);
        let status = this.args(args).env("SSL_CERT_FILE", CERTIFICATE).status();
        std::process::exit(status.expect("a process").code().unwrap_or(1));
    }
    let mut asked = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect::<Vec<_>>();
    if asked.is_empty() {
        asked = [
            "cold",
            "herd",
            "impatient",
            "refresh",
            "outage",
            "partitions",
        ]
        .map(str::to_owned)
        .into();
    }
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // The first connection of a process pays for what the later ones find.
        let sts = StandIn::start(Setup {
            tls: true,
            ..Setup::default()
        });
        let _ = Ours::new(&sts.config(), 1).await.call().await;
        let _ = Nested::new(&sts.config(), 1).await.call().await;
        for situation in asked {
            match &*situation {
                "cold" => cold().await,
                "herd" => herd().await,
                "impatient" => impatient().await,
                "refresh" => refresh().await,
                "outage" => outage().await,
                "partitions" => partitions().await,
                other => panic!("no such situation: {other}"),
            }
        }
    });
}

/// 1 to 4 hops, with TLS and without; the middle of 21. The contestants are built and called, as by a
/// server, in a task.
async fn cold() {
    println!(
        "\n| cold start | provider | to build | HTTP | over n round trips | HTTPS | over n | requests | connections |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for hops in 1..=4 {
        cold_start::<Ours>(hops).await;
        cold_start::<Nested>(hops).await;
        cold_start::<Profiles>(hops).await;
        cold_start::<Reqsign>(hops).await;
    }
}

async fn cold_start<C: Contestant>(hops: usize) {
    let mut build = Calls::default();
    let mut took = [Calls::default(), Calls::default()];
    let mut round_trips = [Calls::default(), Calls::default()];
    let mut counts = [(0, 0); 2];
    for _ in 0..21 {
        for (n, tls) in [false, true].into_iter().enumerate() {
            let sts = StandIn::start(Setup {
                tls,
                ..Setup::default()
            });
            // The stand-in's own first round trip is slower than the others.
            sts.round_trips(1).await;
            let first = (sts.requests(), sts.connections());
            let config = sts.config();
            let cold = tokio::spawn(async move {
                let (built, contestant) = timed(C::new(&config, hops)).await;
                let (called, served) = timed(contestant.call()).await;
                (built, built + called, served.is_ok())
            });
            let (built, all, served) = cold.await.expect("no panics");
            build.add(built, served);
            took[n].add(all, served);
            counts[n] = (sts.requests() - first.0, sts.connections() - first.1);
            round_trips[n].add(sts.round_trips(hops).await, true);
        }
    }
    assert_eq!(counts[0], counts[1], "with TLS as without");
    let [http, https] = took.map(|mut took| took.percentile(0.5));
    let [plain, secure] = round_trips.map(|mut took| took.percentile(0.5));
    let over =
        |all: Duration, least: Duration| 100.0 * (all.as_secs_f64() / least.as_secs_f64() - 1.0);
    let (requests, connections) = counts[0];
    println!(
        "| {hops} hops | {} | {} | {} | {:+.1} % | {} | {:+.1} % | {requests} | {connections} |",
        C::NAME,
        show(build.percentile(0.5)),
        show(http),
        over(http, plain),
        show(https),
        over(https, secure),
    );
}

/// A thousand callers at once with nothing in hand, STS well and STS refusing.
async fn herd() {
    println!(
        "\n| 1,000 callers at once, 2 hops | provider | served | p50 | p99 | max | requests | connections |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for mood in [Mood::Well, Mood::Denying] {
        herd_of::<Ours>(mood).await;
        herd_of::<Nested>(mood).await;
        herd_of::<Cached>(mood).await;
        herd_of::<Profiles>(mood).await;
        herd_of::<Reqsign>(mood).await;
    }
}

async fn herd_of<C: Contestant>(mood: Mood) {
    let sts = StandIn::start(Setup::default());
    sts.set(mood);
    let contestant = Arc::new(C::new(&sts.config(), 2).await);
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        callers.spawn(call(contestant.clone(), None));
    }
    let calls = all(callers).await;
    println!(
        "| STS is {mood:?} | {} | {} | {calls} | {} | {} |",
        C::NAME,
        calls.len() - calls.failed,
        sts.requests(),
        sts.connections(),
    );
}

/// One call; after `deadline` its caller gives up.
async fn call<C: Contestant>(contestant: Arc<C>, deadline: Option<Duration>) -> (Duration, bool) {
    timed(async {
        match deadline {
            None => contestant.call().await.is_ok(),
            Some(deadline) => tokio::time::timeout(deadline, contestant.call())
                .await
                .is_ok_and(|served| served.is_ok()),
        }
    })
    .await
}

async fn all(callers: JoinSet<(Duration, bool)>) -> Calls {
    let mut calls = Calls::default();
    for (took, served) in callers.join_all().await {
        calls.add(took, served);
    }
    calls
}

/// Callers that give up, one after another, before the load can end.
async fn impatient() {
    println!(
        "\n| 50 callers, each with 1½ round trips of patience, 2 hops | served | requests | connections |"
    );
    println!("|---|---|---|---|");
    impatient_at::<Ours>().await;
    impatient_at::<Nested>().await;
    impatient_at::<Cached>().await;
    impatient_at::<Profiles>().await;
    impatient_at::<Reqsign>().await;
}

async fn impatient_at<C: Contestant>() {
    let setup = Setup::default();
    let patience = setup.latency * 3 / 2;
    let sts = StandIn::start(setup);
    let contestant = Arc::new(C::new(&sts.config(), 2).await);
    let mut served = 0;
    for _ in 0..50 {
        served += usize::from(call(contestant.clone(), Some(patience)).await.1);
    }
    println!(
        "| {} | {served} | {} | {} |",
        C::NAME,
        sts.requests(),
        sts.connections()
    );
}

/// 200 calls a second over refreshes, 16 times over. Sessions of 12 s: the SDK's cache refreshes them 5 to
/// 10 s before expiry, this crate 4½ to 9 s. (reqsign's last two minutes longer.)
async fn refresh() {
    println!(
        "\n| 16 × 200 calls a second for 40 s, 2 hops | while | calls | failed | p50 | p99 | max | requests |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    under_load::<Ours>().await;
    under_load::<Cached>().await;
    under_load::<Profiles>().await;
    under_load::<Reqsign>().await;
}

async fn under_load<C: Contestant>() {
    let mut runs = JoinSet::new();
    for _ in 0..16 {
        runs.spawn(one_under_load::<C>());
    }
    let (mut at_rest, mut asked, mut requests) = (Calls::default(), Calls::default(), 0);
    for run in runs.join_all().await {
        at_rest.extend(run.0);
        asked.extend(run.1);
        requests += run.2;
    }
    let name = C::NAME;
    let row = |calls: &Calls| format!("{} | {} | {calls}", calls.len(), calls.failed);
    println!("| {name} | STS is not asked | {} | |", row(&at_rest));
    println!("| {name} | STS is asked | {} | {requests} |", row(&asked));
}

async fn one_under_load<C: Contestant>() -> (Calls, Calls, usize) {
    let sts = StandIn::start(Setup {
        latency: Duration::from_millis(200),
        lifetime: Duration::from_secs(12) + C::EARLIER,
        ..Setup::default()
    });
    let contestant = Arc::new(C::new(&sts.config(), 2).await);
    contestant.call().await.expect("a session");
    let first = sts.requests();
    let (mut at_rest, mut asked) = (JoinSet::new(), JoinSet::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..8000 {
        ticks.tick().await;
        let callers = match sts.is_asked() {
            true => &mut asked,
            false => &mut at_rest,
        };
        callers.spawn(call(contestant.clone(), None));
    }
    (all(at_rest).await, all(asked).await, sts.requests() - first)
}

/// STS is away from the 590th second of a session of 900 s, the shortest that STS gives, until a minute after
/// its end. By a clock and a sleep that run 20 times as fast.
async fn outage() {
    println!(
        "\n| STS is | deadline | provider | 3,090 calls before expiry: failed | p50 | p99 | max | 590 after: failed | p50 | p99 | max | requests |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut rows = JoinSet::new();
    let moods = [
        Mood::Unavailable,
        Mood::Throttling,
        Mood::Closing,
        Mood::Hanging,
        Mood::Denying,
    ];
    for (n, mood) in moods.into_iter().enumerate() {
        for deadline in [None, Some(Duration::from_secs(1))] {
            let place = (n, deadline);
            rows.spawn(async move { (place, 0, outage_at::<Ours>(mood, deadline).await) });
            rows.spawn(async move { (place, 1, outage_at::<Cached>(mood, deadline).await) });
        }
    }
    let mut rows = rows.join_all().await;
    rows.sort();
    for (_, _, row) in rows {
        println!("{row}");
    }
}

/// A clock and a sleep that run `FAST` times as fast as they should.
#[derive(Clone, Copy, Debug)]
struct Fast {
    start: SystemTime,
    started: Instant,
}

const FAST: u32 = 20;

impl TimeSource for Fast {
    fn now(&self) -> SystemTime {
        self.start + self.started.elapsed() * FAST
    }
}

impl AsyncSleep for Fast {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration / FAST))
    }
}

async fn outage_at<C: Contestant>(mood: Mood, deadline: Option<Duration>) -> String {
    let [away, lifetime, back] = [590, 900, 960].map(Duration::from_secs);
    let clock = Fast {
        start: SystemTime::now(),
        started: Instant::now(),
    };
    let sts = StandIn::start(Setup {
        latency: Duration::from_millis(1),
        lifetime,
        clock: SharedTimeSource::new(clock),
        tls: false,
    });
    let config = sts.config().into_builder();
    let config = config.sleep_impl(SharedAsyncSleep::new(clock)).build();
    let contestant = Arc::new(C::new(&config, 2).await);
    contestant.call().await.expect("a session");
    let until = |passed: Duration| tokio::time::sleep_until((clock.started + passed / FAST).into());
    until(away).await;
    sts.set(mood);
    let before = sts.requests();
    let (mut valid, mut expired) = (JoinSet::new(), JoinSet::new());
    // 10 a second, by that clock.
    let mut ticks = tokio::time::interval(Duration::from_millis(100) / FAST);
    loop {
        ticks.tick().await;
        let passed = clock.started.elapsed() * FAST;
        if passed >= back {
            break;
        }
        let callers = match passed.cmp(&lifetime) {
            // STS gives whole seconds.
            _ if passed.abs_diff(lifetime) < Duration::from_secs(1) => continue,
            std::cmp::Ordering::Less => &mut valid,
            _ => &mut expired,
        };
        callers.spawn(call(
            contestant.clone(),
            deadline.map(|deadline| deadline / FAST),
        ));
    }
    let requests = sts.requests() - before;
    sts.set(Mood::Well);
    let [valid, expired] = [all(valid).await, all(expired).await].map(|calls| calls.times(FAST));
    let deadline = deadline.map_or("none".to_owned(), show);
    format!(
        "| {mood:?} | {deadline} | {} | {} | {valid} | {} | {expired} | {requests} |",
        C::NAME,
        valid.failed,
        expired.failed,
    )
}

/// Tenants of one hub, used in turn through one SDK configuration, whose identity cache holds 64.
async fn partitions() {
    println!(
        "\n| tenants of one hub, used in turn | provider | requests in the first round | in the second |"
    );
    println!("|---|---|---|---|");
    for tenants in [50, 65, 100, 1000] {
        let sts = StandIn::start(Setup {
            latency: Duration::ZERO,
            ..Setup::default()
        });
        let chains = Ours::tenants(&sts.config(), tenants).await;
        rounds(&sts, chains).await;

        let sts = StandIn::start(Setup {
            latency: Duration::ZERO,
            ..Setup::default()
        });
        let (config, cache) = (sts.config(), IdentityCache::lazy().build());
        let mut providers = Vec::new();
        for n in 0..tenants {
            let provider = tenant(&config, n).await;
            providers.push(Cached(SdkCache::sharing(cache.clone(), &config, provider)));
        }
        rounds(&sts, providers).await;
    }
}

async fn rounds<C: Contestant>(sts: &StandIn, contestants: Vec<C>) {
    let mut requests = [0; 2];
    for requests in &mut requests {
        let before = sts.requests();
        for contestant in &contestants {
            contestant.call().await.expect("a session");
        }
        *requests = sts.requests() - before;
    }
    let (tenants, [first, second]) = (contestants.len(), requests);
    println!("| {tenants} | {} | {first} | {second} |", C::NAME);
}
