//! What one cached retrieval costs, in time and allocations: `cargo bench --bench hot_path`.
//!
//! All through `dyn ProvideCredentials` and a future that is ready at its first poll, but for the SDK's
//! identity cache, which is asked as the SDK asks it, and reqsign. divan counts allocations; the table at
//! the end takes turns, so that its ratios hold on a machine that does other things too.

mod common;

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_types::SdkConfig;
use common::{Cached, Contestant, Ours, Profiles, Reqsign, Setup, StandIn, show};
use divan::{AllocProfiler, Bencher};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Calls in a turn, and turns.
const CALLS: u32 = 16_000;
const TURNS: usize = 200;
const TASKS: u32 = 64;

fn main() {
    let args = std::env::args().collect::<Vec<_>>();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // For benches/profile.sh.
        [_, "profile", "floor"] => profile::<Floor>(),
        [_, "profile", "ours"] => profile::<Ours>(),
        _ => divan::main(),
    }
    // Under `cargo test --benches` the contestants need only work.
    if args.iter().any(|arg| arg == "--bench") {
        take_turns();
    }
}

fn profile<C: Contestant>() {
    let contestant = warm::<C>();
    let _runtime = RUNTIME.enter();
    (0..100_000).for_each(|_| profiled(&*contestant));
}

/// What callgrind looks at.
#[inline(never)]
fn profiled(contestant: &impl Contestant) {
    ask(contestant);
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// With its first call made.
fn warm<C: Contestant>() -> Arc<C> {
    RUNTIME.block_on(async {
        let sts = StandIn::start(Setup {
            latency: Duration::ZERO,
            ..Setup::default()
        });
        let contestant = C::new(&sts.config(), 2).await;
        contestant.call().await.expect("a session");
        Arc::new(contestant)
    })
}

/// An atomic load, a look at the clock, a clone: nothing that caches can do with less.
struct Floor(Arc<dyn ProvideCredentials>);

#[derive(Debug)]
struct Current {
    credentials: ArcSwap<Credentials>,
    expiry: SystemTime,
}

impl ProvideCredentials for Current {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let current = self.credentials.load();
        assert!(SystemTime::now() < self.expiry);
        future::ProvideCredentials::ready(Ok(Credentials::clone(&current)))
    }
}

impl Contestant for Floor {
    const NAME: &'static str = "floor";

    async fn new(_: &SdkConfig, _: usize) -> Self {
        let expiry = SystemTime::now() + Duration::from_secs(3600);
        let token = Some("t".repeat(640));
        let credentials = Credentials::new("ASIABENCH", "secret", token, Some(expiry), "floor");
        Self(Arc::new(Current {
            credentials: ArcSwap::from_pointee(credentials),
            expiry,
        }))
    }

    async fn call(&self) -> Result<(), BoxError> {
        Ok(self.0.provide_credentials().await.map(drop)?)
    }
}

fn ask(contestant: &impl Contestant) {
    match pin!(contestant.call()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(served) => served.expect("credentials"),
        Poll::Pending => panic!("a cached retrieval waits for nothing"),
    }
}

#[divan::bench(types = [Floor, Ours, Cached, Profiles, Reqsign], sample_size = 1000)]
fn one_thread<C: Contestant>(bencher: Bencher) {
    let contestant = warm::<C>();
    // The SDK's cache makes a timeout, which needs a runtime.
    let _runtime = RUNTIME.enter();
    bencher.bench_local(|| ask(&*contestant));
}

/// One contestant's times for a call, by the wall clock: in one task, and in 64 on two threads.
type Turn = Box<dyn FnMut() -> [Duration; 2]>;

fn turn<C: Contestant>() -> (&'static str, Turn) {
    let contestant = warm::<C>();
    let take_turn = move || {
        let alone = {
            let _runtime = RUNTIME.enter();
            let started = Instant::now();
            (0..CALLS).for_each(|_| ask(&*contestant));
            started.elapsed() / CALLS
        };
        let started = Instant::now();
        RUNTIME.block_on(async {
            let tasks = (0..TASKS).map(|_| {
                let contestant = contestant.clone();
                RUNTIME.spawn(async move {
                    for _ in 0..CALLS / TASKS {
                        contestant.call().await.expect("credentials");
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.expect("no panics");
            }
        });
        [alone, started.elapsed() / CALLS]
    };
    (C::NAME, Box::new(take_turn))
}

fn take_turns() {
    let mut contestants = [
        turn::<Floor>(),
        turn::<Ours>(),
        turn::<Cached>(),
        turn::<Profiles>(),
        turn::<Reqsign>(),
    ];
    let mut took = contestants.each_ref().map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..TURNS {
        for ((_, take_turn), [alone, shared]) in contestants.iter_mut().zip(&mut took) {
            let turn = take_turn();
            alone.push(turn[0]);
            shared.push(turn[1]);
        }
    }
    // The lower quartile: with others on the machine, the turns that they disturbed the least.
    let quartiles = took.map(|times| {
        times.map(|mut times| {
            times.sort_unstable();
            times[TURNS / 4]
        })
    });
    println!("| | 1 task | × the floor | 64 tasks, 2 threads | × the floor | × 1 task |");
    println!("|---|---|---|---|---|---|");
    let floor = quartiles[0];
    let times = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    for ((name, _), [alone, shared]) in contestants.iter().zip(quartiles) {
        println!(
            "| {name} | {} | {:.2} | {} | {:.2} | {:.2} |",
            show(alone),
            times(alone, floor[0]),
            show(shared),
            times(shared, floor[1]),
            times(shared, alone),
        );
    }
}
