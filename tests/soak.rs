//! The soak test: hours of virtual time, many tenants behind two hubs, and random faults at random moments: STS
//! unavailable, slow or not responding, clocks that are set, roles that are deleted and created again, trust that is
//! withdrawn, a suspended process, callers that give up, and runtimes that are stopped or dropped.
//!
//! Every call is checked against what STS would have said about the session that was cached when the call began. Every
//! request to STS must have a reason, such as a session that is due for a refresh, or a retry whose wait is over.
//!
//! ```text
//! cargo test --test soak                                                  # a short run
//! SOAK_HOURS=24 SOAK_TENANTS=1000 SOAK_SEED=1 cargo test --release --test soak
//! SOAK_SEED=17 cargo test --test soak                                     # repeats a failed run
//! ```
//!
//! A seed determines everything except the order in which tokio wakes tasks that wait for the same event; with
//! `RUSTFLAGS="--cfg tokio_unstable"` it determines that, too. `SOAK_TRACE=1` prints every event.

// For `cfg(tokio_unstable)`.
#![allow(unexpected_cfgs)]

#[path = "common/documents.rs"]
#[allow(dead_code)]
mod documents;

use std::alloc::System;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_role_chain::{Role, RoleChain};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use cap::Cap;
use documents::{allow, trusts};
use sts_simulator::{Clock, Fault, Simulator};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const USER: &str = "arn:aws:iam::111111111111:user/orders";
const HUBS: [&str; 2] = [
    "arn:aws:iam::222222222222:role/Hub",
    "arn:aws:iam::444444444444:role/Hub",
];

/// The longest waits of callers with a cached session, as documented by the crate.
const MAX_WAIT_WITH_VALID: Duration = SECOND;
const MAX_WAIT_WITH_EXPIRED: Duration = Duration::from_secs(5);
/// The tolerance for timers: tokio's are late by up to a millisecond, and a wait consists of several.
const TIMER_TOLERANCE: Duration = Duration::from_millis(5);

/// The longest wait of any caller: 2 minutes in the queue of the rate limiter and 20 s for a call, at each of two hops,
/// and all of it twice if STS has rejected a session and a new one is needed.
const LONGEST_CALL: Duration = Duration::from_secs(2 * 2 * 140);

/// How long a call may be queued and retried while STS throttles it.
const LONGEST_QUEUE: Duration = Duration::from_secs(2 * 60 + 3);
/// The most retries of throttled calls of all roles in a minute: about 100 are sent until the rate has fallen to one or
/// two a second. If the latency of STS is `NOTICEABLE_LATENCY` or more, the rate falls only once for each round of 32
/// calls, so that about 550 are sent.
const THROTTLED_IN_A_MINUTE: usize = 300;
const THROTTLED_WITH_LATENCY_IN_A_MINUTE: usize = 800;
const NOTICEABLE_LATENCY: Duration = Duration::from_millis(100);

/// How long after its end a trouble still explains failures: STS is not called with a rejected access key for two
/// minutes, and after expiry retries are a minute apart.
const AFTERMATH: Duration = Duration::from_secs(3 * 60);

/// Sessions last an hour, and are refreshed in its last quarter at the earliest.
const ADVISORY_WINDOW: Duration = Duration::from_secs(15 * 60);

/// The most failed calls to replace one valid session. Retries wait for a quarter of the remaining lifetime, shortened
/// by at most a fifth: 14 from a quarter of an hour down to 40 s, then five with waits of 8 s, and a last one.
const RETRIES_IN_WINDOW: u64 = 20;
const SHORTEST_RETRY: Duration = Duration::from_secs(8);

/// The most attempts that the SDK makes for one call.
const ATTEMPTS: u32 = 3;

/// The bytes that may remain allocated when everything is dropped: thread locals and the SDK's statics.
const MAX_LEFT_ALLOCATED: usize = 128 * 1024;

fn main() {
    if std::env::var_os("SOAK_TRACE").is_some() {
        let of_library = tracing_subscriber::filter::Targets::new()
            .with_target("aws_role_chain", tracing::Level::DEBUG);
        let events = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::DEBUG)
            .without_time()
            .with_ansi(false);
        events.finish().with(of_library).init();
    }
    // There is only this test; a filter that does not match its name skips it.
    let filters: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let is_listing = std::env::args().any(|arg| arg == "--list");
    if is_listing || (!filters.is_empty() && !filters.iter().any(|name| "soak".contains(&**name))) {
        return;
    }
    let variable = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let hours: f64 = variable("SOAK_HOURS").unwrap_or(2.0);
    let tenants = variable("SOAK_TENANTS").map_or(60, |tenants| tenants as usize);
    let seeds = match variable("SOAK_SEED") {
        Some(seed) => vec![seed as u64],
        None => vec![1, 2, 3, 4],
    };
    // Allocates what is allocated once per process, before the memory is measured.
    soak(0, 0.5, 10);
    for seed in seeds {
        let before = ALLOCATOR.allocated();
        let begun = std::time::Instant::now();
        let run = catch_unwind(AssertUnwindSafe(|| soak(seed, hours, tenants)));
        let Ok(figures) = run else {
            eprintln!("to repeat: SOAK_SEED={seed} SOAK_HOURS={hours} SOAK_TENANTS={tenants}");
            std::process::exit(101);
        };
        println!(
            "seed {seed}: {hours} h × {tenants} tenants: {figures}, {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        let left = ALLOCATOR.allocated().saturating_sub(before);
        assert!(
            left <= MAX_LEFT_ALLOCATED,
            "seed {seed}: {left} bytes are still allocated"
        );
    }
}

/// Runs one soak test. Panics with the seed and the last events if a rule is violated.
fn soak(seed: u64, hours: f64, tenants: usize) -> Figures {
    // Determines the jitter of the library and of the SDK.
    fastrand::seed(seed);
    let runtime = paused(seed);
    let end = HOUR.mul_f64(hours);
    let (world, mut agenda) = runtime.block_on(async { World::create(seed, tenants).await });
    let mut sides = Vec::new();
    while let Pause::Side = runtime.block_on(world.drive(&mut agenda, end)) {
        world.use_side_runtime(&mut sides);
    }
    drop(sides);
    runtime.block_on(world.end_all_troubles(&mut agenda));
    let quiet = runtime.block_on(world.drive(&mut agenda, end + 2 * MINUTE));
    assert!(matches!(quiet, Pause::End), "no troubles are left");
    runtime.block_on(world.check_the_end(hours));
    drop(agenda);
    let figures = std::mem::take(&mut world.state().figures);
    drop(runtime);
    assert_eq!(
        Arc::strong_count(&world),
        1,
        "seed {seed}: something still refers to the world"
    );
    figures
}

fn paused(_seed: u64) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&_seed.to_le_bytes()));
    builder.enable_all().start_paused(true).build().unwrap()
}

/// Why the main runtime stops.
enum Pause {
    End,
    /// To drive another runtime.
    Side,
}

/// The planned events, ordered by milliseconds since the beginning, then by insertion.
#[derive(Default)]
struct Agenda {
    events: BTreeMap<(u64, u64), Event>,
    inserted: u64,
}

impl Agenda {
    fn add(&mut self, at: Duration, event: Event) {
        self.inserted += 1;
        self.events
            .insert((at.as_millis() as u64, self.inserted), event);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Call(usize),
    FaultOfAll,
    FaultOfAllEnds,
    FaultOfRole,
    FaultOfRoleEnds(usize),
    Latency,
    ClockStep,
    ClockStepBack,
    Revocation,
    Creation(usize),
    Distrust,
    DistrustEnds(usize),
    Refresh,
    /// A call in the last minute of a session that nobody has used, and that no timer refreshes.
    LateCall(usize),
    Freeze,
    SideRuntime,
}

impl Event {
    /// The troubles, each with the mean time between two in minutes.
    const TROUBLES: [(Self, f64); 9] = [
        (Self::FaultOfAll, 100.0),
        (Self::FaultOfRole, 15.0),
        (Self::Latency, 20.0),
        (Self::ClockStep, 70.0),
        (Self::Revocation, 25.0),
        (Self::Distrust, 25.0),
        (Self::Refresh, 5.0),
        (Self::Freeze, 60.0),
        (Self::SideRuntime, 25.0),
    ];
}

/// The chains' clock: the simulator's clock in whole milliseconds, plus an offset while it is set wrong. The
/// simulator's clock is always right.
#[derive(Clone, Debug)]
struct ChainClock {
    right: Clock,
    /// A whole second of `right`, and its elapsed time then.
    start: SystemTime,
    started: Duration,
    /// In milliseconds.
    offset: Arc<AtomicI64>,
}

impl TimeSource for ChainClock {
    fn now(&self) -> SystemTime {
        let elapsed = self.right.elapsed() - self.started;
        let right = self.start + Duration::from_millis(elapsed.as_millis() as u64);
        let offset = self.offset.load(Ordering::Relaxed);
        let by = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 { right - by } else { right + by }
    }
}

/// Sleeps whole milliseconds, as tokio's timers do. Otherwise jitter would add fractions of a millisecond to those of a
/// side runtime's clock, which the seed does not determine, and the sum is rounded.
#[derive(Clone, Debug)]
struct WholeMs;

impl AsyncSleep for WholeMs {
    fn sleep(&self, duration: Duration) -> Sleep {
        let ms = duration.as_nanos().div_ceil(1_000_000) as u64;
        Sleep::new(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

/// A condition that explains failures while it lasts, and for `AFTERMATH` after its end.
#[derive(Default)]
struct Trouble {
    active: u32,
    until: Duration,
}

impl Trouble {
    fn begin(&mut self) {
        self.active += 1;
    }

    fn end(&mut self, now: Duration) {
        self.active -= 1;
        self.until = self.until.max(now + AFTERMATH);
    }

    fn is_on(&self, now: Duration) -> bool {
        self.active > 0 || now < self.until
    }
}

struct Target {
    arn: String,
    /// The index of its hub; `None` for a hub.
    hub: Option<usize>,
    /// Incremented when the role is deleted, which revokes its sessions.
    generation: u32,
    exists: bool,
    is_trusted: bool,
    fault: Option<Fault>,
    trouble: Trouble,
    was_used: bool,
    /// When `refresh` was called last, and the total time of freezes before it.
    forced_at: Option<(Duration, Duration)>,
    last: Option<Operation>,
    /// The access key ID of its newest session.
    newest: Option<String>,
}

/// A call of the SDK to STS, which may make several attempts.
struct Operation {
    invocation_id: String,
    attempts: u32,
    begun: Duration,
    /// When the first of the throttled calls that it repeats began; otherwise `begun`.
    queued: Duration,
    /// When its last attempt was answered or abandoned.
    ended: Option<Duration>,
    /// Whether it repeats a call whose signature had a wrong time.
    is_skew_retry: bool,
    /// Whether it runs on a side runtime, where it may stop at any time.
    is_on_side: bool,
    /// The total time of freezes before it.
    frozen_before: Duration,
    outcome: Outcome,
}

enum Outcome {
    InFlight,
    /// No retry is allowed before `retry_at`, unless the clock was set again, so that `steps` has changed.
    Failed {
        retry_at: Duration,
        steps: u32,
        cause: Cause,
    },
    Session(String),
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    /// STS rejected the session that signed the call.
    Caller,
    Throttled,
    /// STS rejected the time of the signature.
    Skew,
    Other,
}

/// A session that STS has issued.
#[derive(Clone)]
struct Session {
    target: usize,
    generation: u32,
    /// By the right clock.
    expiry: SystemTime,
    /// By the chains' clock, like `chain_expiry`.
    loaded_at: SystemTime,
    /// The expiry that the chain uses.
    chain_expiry: SystemTime,
}

#[derive(Default)]
struct Figures {
    calls: u64,
    served: u64,
    undisturbed: u64,
    failed_calls: u64,
    given_up: u64,
    lost: u64,
    /// Calls that got a session which STS does not accept.
    served_dead: u64,
    by_client: u64,
    max_wait: Duration,
    /// Waits and failures with a valid session that is expired by the chain's clock.
    max_wait_by_clock: Duration,
    failed_by_clock: u64,
    /// Failures because STS rejected the time of the signature, with nothing cached to serve.
    failed_by_skew: u64,
    longest: Duration,
    requests: u64,
    operations: u64,
    sessions: u64,
    bound: u64,
    most_in_flight: usize,
    tasks: usize,
    digest: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls ({} undisturbed, {} by clients), {} served ({} with a dead session), {} failed as \
             expected ({} because of their signature's time), {} given up, {} lost with their runtime; longest wait \
             {:?} with a valid session, {:?} (and {} failed) with one expired by the chain's clock, {:?} with none; \
             {} STS requests in {} operations for {} sessions, bound {}, at most {} in flight; {} timers at the end; \
             digest {:016x}",
            self.calls,
            self.undisturbed,
            self.by_client,
            self.served,
            self.served_dead,
            self.failed_calls,
            self.failed_by_skew,
            self.given_up,
            self.lost,
            self.max_wait,
            self.max_wait_by_clock,
            self.failed_by_clock,
            self.longest,
            self.requests,
            self.operations,
            self.sessions,
            self.bound,
            self.most_in_flight,
            self.tasks,
            self.digest,
        )
    }
}

struct State {
    rng: fastrand::Rng,
    /// The hubs, then the tenants.
    targets: Vec<Target>,
    by_arn: HashMap<String, usize>,
    sessions: HashMap<String, Session>,
    fault_of_all: Option<Fault>,
    /// The troubles of STS as a whole and of this process: the clock, freezes and side runtimes.
    trouble: Trouble,
    /// The latency of STS is a second or more.
    slowness: Trouble,
    is_slow: bool,
    /// The latency of STS is `NOTICEABLE_LATENCY` or more.
    latency_trouble: Trouble,
    has_latency: bool,
    is_skewed: bool,
    /// How often the clock was set, and when it was set last.
    steps: u32,
    set_at: Option<Duration>,
    /// The total time of freezes.
    frozen: Duration,
    /// When the last freeze of a minute or more ended: loads that began before it count as abandoned.
    resumed_at: Option<Duration>,
    is_on_side: bool,
    /// Whether a stopped side runtime is driven again, so that its old loads continue.
    is_old_side: bool,
    /// The time of the runtime that was driven last. The others catch up with it.
    now: Option<Instant>,
    /// When a fault of all roles (`fault`), or a clock that STS does not accept (`clock`), began.
    episode: HashMap<&'static str, Duration>,
    pending: usize,
    violation: Option<String>,
    events: VecDeque<String>,
    /// The retries of throttled calls in the last minute.
    throttled: VecDeque<Duration>,
    figures: Figures,
}

/// The simulated accounts, the chains, and what the test knows about them.
struct World {
    seed: u64,
    aws: Simulator,
    clock: ChainClock,
    /// Cleared at the end, because they own the HTTP client, which owns this world.
    chains: Mutex<Vec<RoleChain>>,
    /// The clients of some tenants.
    clients: Mutex<HashMap<usize, aws_sdk_firehose::Client>>,
    state: Mutex<State>,
}

impl World {
    async fn create(seed: u64, tenants: usize) -> (Arc<Self>, Agenda) {
        let aws = Simulator::new();
        // Advances to a whole second, so that the lifetimes of sessions depend only on the seed.
        let since = aws.clock().now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = since.unwrap().subsec_millis();
        aws.clock()
            .advance(SECOND - Duration::from_millis(ms.into()))
            .await;
        let keys = aws.user(USER).policy(allow("*")).create().unwrap();
        aws.service("firehose", |_, _| {
            let status = StatusCode::try_from(200).unwrap();
            HttpResponse::new(status, SdkBody::from(r#"{"RecordId":"1"}"#))
        });
        let now = aws.clock().now();
        let of_ms = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .subsec_nanos()
            % 1_000_000;
        let clock = ChainClock {
            right: aws.clock(),
            start: now - Duration::from_nanos(of_ms.into()),
            started: aws.clock().elapsed(),
            offset: Arc::default(),
        };
        let hub_of = |tenant: usize| tenant % HUBS.len();
        let hubs = HUBS.iter().map(|arn| ((*arn).to_owned(), None));
        let others = (0..tenants).map(|i| {
            let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
            (arn, Some(hub_of(i)))
        });
        let targets: Vec<_> = hubs
            .chain(others)
            .map(|(arn, hub)| Target {
                arn,
                hub,
                generation: 0,
                exists: true,
                is_trusted: true,
                fault: None,
                trouble: Trouble::default(),
                was_used: false,
                forced_at: None,
                last: None,
                newest: None,
            })
            .collect();
        let arns = targets.iter().enumerate();
        let state = State {
            rng: fastrand::Rng::with_seed(seed),
            by_arn: arns.map(|(i, target)| (target.arn.clone(), i)).collect(),
            targets,
            sessions: HashMap::new(),
            fault_of_all: None,
            trouble: Trouble::default(),
            slowness: Trouble::default(),
            is_slow: false,
            latency_trouble: Trouble::default(),
            has_latency: false,
            is_skewed: false,
            steps: 0,
            set_at: None,
            frozen: Duration::ZERO,
            resumed_at: None,
            is_on_side: false,
            is_old_side: false,
            now: None,
            episode: HashMap::new(),
            pending: 0,
            violation: None,
            events: VecDeque::new(),
            throttled: VecDeque::new(),
            figures: Figures::default(),
        };
        let world = Arc::new(Self {
            seed,
            aws: aws.clone(),
            clock: clock.clone(),
            chains: Mutex::default(),
            clients: Mutex::default(),
            state: Mutex::new(state),
        });
        let base = aws.sdk_config(keys).into_builder();
        let base = base
            .time_source(clock)
            .sleep_impl(SharedAsyncSleep::new(WholeMs))
            .http_client(Witness(world.clone()))
            .build();
        let hubs = HUBS.map(|arn| RoleChain::new(&base, Role::new(arn)).unwrap());
        let mut chains = hubs.to_vec();
        let count = world.state().targets.len();
        for i in 0..count {
            world.set_role(i);
        }
        for i in HUBS.len()..count {
            let arn = world.state().targets[i].arn.clone();
            chains.push(hubs[hub_of(i - HUBS.len())].assume(Role::new(arn)).unwrap());
        }
        let clients = (HUBS.len()..count)
            .step_by(7)
            .map(|i| (i, world.client(&chains[i])));
        *world.clients.lock().unwrap() = clients.collect();
        *world.chains.lock().unwrap() = chains;

        let mut agenda = Agenda::default();
        let mut state = world.state();
        let now = world.elapsed();
        for i in HUBS.len()..count {
            let at = now + state.rng_time(mean_between_calls(i) / 2.0);
            agenda.add(at, Event::Call(i));
        }
        for (event, minutes) in Event::TROUBLES {
            // Not in the first quarter of an hour; after it, the virtual time is ahead of the machine's.
            let at = now + 15 * MINUTE + state.rng_time(minutes * 60.0);
            agenda.add(at, event);
        }
        drop(state);
        (world, agenda)
    }

    /// Creates a client that renews the chain's sessions, and whose clock is right.
    fn client(&self, chain: &RoleChain) -> aws_sdk_firehose::Client {
        let config = chain.sdk_config().into_builder();
        let config = config.time_source(self.clock.right.clone()).build();
        let renewal = chain.session_renewal();
        let config = aws_sdk_firehose::config::Builder::from(&config)
            .interceptor(renewal.clone())
            .retry_classifier(renewal);
        aws_sdk_firehose::Client::from_conf(config.build())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn chain(&self, target: usize) -> RoleChain {
        self.chains.lock().unwrap()[target].clone()
    }

    /// Returns the time since the beginning by the right clock, in whole milliseconds.
    fn elapsed(&self) -> Duration {
        let elapsed = self.clock.right.elapsed() - self.clock.started;
        Duration::from_millis(elapsed.as_millis() as u64)
    }

    fn set_role(&self, target: usize) {
        let state = self.state();
        let Target {
            arn,
            hub,
            is_trusted,
            ..
        } = &state.targets[target];
        let principal = match hub {
            _ if !is_trusted => "999999999999",
            None => USER,
            Some(hub) => HUBS[*hub].split(':').nth(4).unwrap(),
        };
        let role = self.aws.role(arn).trust(trusts(principal));
        role.policy(allow("*")).create().unwrap();
    }

    fn set_faults(&self, state: &State) {
        self.aws.recover();
        if let Some(fault) = &state.fault_of_all {
            self.aws.fail(fault.clone());
        }
        for target in &state.targets {
            if let Some(fault) = &target.fault {
                self.aws.fail(fault.clone().role(&target.arn));
            }
        }
    }

    /// Applies the events until `end`, or until a side runtime is to be driven.
    async fn drive(self: &Arc<Self>, agenda: &mut Agenda, end: Duration) -> Pause {
        self.catch_up().await;
        let pause = loop {
            let next = agenda.events.first_key_value();
            let at = next.map_or(end, |((at, _), _)| Duration::from_millis(*at));
            let now = self.elapsed();
            if at.min(end) > now {
                tokio::time::sleep(at.min(end) - now).await;
            }
            self.panic_on_violation();
            if at >= end {
                break Pause::End;
            }
            let Some((_, event)) = agenda.events.pop_first() else {
                continue;
            };
            if let Event::SideRuntime = event {
                self.plan_next(agenda, &event);
                break Pause::Side;
            }
            if let Event::Freeze = event {
                self.plan_next(agenda, &event);
                self.freeze().await;
            } else {
                self.apply(agenda, event);
            }
        };
        self.state().now = Some(Instant::now());
        pause
    }

    /// Advances the clock of this runtime, which was stopped, to that of the runtime driven last.
    async fn catch_up(&self) {
        let now = self.state().now;
        let behind = now.map(|now| now.saturating_duration_since(Instant::now()));
        if let Some(behind) = behind
            && !behind.is_zero()
        {
            // The main runtime's clock stays at whole milliseconds, so that the seed determines the events. The clock
            // of a side runtime starts at that of the machine, with fractions of a millisecond.
            let is_on_side = self.state().is_on_side;
            if !is_on_side {
                let behind = Duration::from_millis(behind.as_millis() as u64);
                self.state().frozen += behind;
                tokio::time::advance(behind).await;
            } else {
                tokio::time::advance(behind).await;
            }
        }
    }

    fn plan_next(&self, agenda: &mut Agenda, event: &Event) {
        let trouble = Event::TROUBLES
            .into_iter()
            .find(|(trouble, _)| std::mem::discriminant(trouble) == std::mem::discriminant(event));
        let mut state = self.state();
        if let Some((trouble, minutes)) = trouble {
            let at = self.elapsed() + state.rng_time(minutes * 60.0);
            agenda.add(at, trouble);
        } else if let Event::Call(target) = event {
            let at = self.elapsed() + state.rng_time(mean_between_calls(*target));
            agenda.add(at, Event::Call(*target));
        }
    }

    fn apply(self: &Arc<Self>, agenda: &mut Agenda, event: Event) {
        self.plan_next(agenda, &event);
        if let Event::Call(target) | Event::LateCall(target) = event {
            return self.call(target);
        }
        let now = self.elapsed();
        let mut guard = self.state();
        let state = &mut *guard;
        let target = state.any_target();
        match event {
            Event::FaultOfAll if state.fault_of_all.is_none() => {
                let (fault, lasts) = (state.any_fault(), state.log_uniform(5.0, 2400.0));
                state.log(now, format!("all: {fault:?} for {lasts:?}"));
                state.fault_of_all = Some(fault);
                state.trouble.begin();
                state.episode.insert("fault", now);
                self.set_faults(state);
                agenda.add(now + lasts, Event::FaultOfAllEnds);
            }
            Event::FaultOfAllEnds => {
                state.log(now, "all: recovered".into());
                state.fault_of_all = None;
                state.trouble.end(now);
                self.set_faults(state);
                self.allow_retries(state, "fault");
            }
            Event::FaultOfRole if state.targets[target].fault.is_none() => {
                let (fault, lasts) = (state.any_fault(), state.log_uniform(5.0, 2400.0));
                state.log(now, format!("role {target}: {fault:?} for {lasts:?}"));
                state.targets[target].fault = Some(fault);
                state.targets[target].trouble.begin();
                self.set_faults(state);
                agenda.add(now + lasts, Event::FaultOfRoleEnds(target));
                state.figures.bound += RETRIES_IN_WINDOW * u64::from(ATTEMPTS);
            }
            Event::FaultOfRoleEnds(target) => {
                state.log(now, format!("role {target}: recovered"));
                state.targets[target].fault = None;
                state.targets[target].trouble.end(now);
                self.set_faults(state);
            }
            Event::Latency => {
                let latency = match state.rng.u8(..20) {
                    0..10 => 0,
                    10..17 => state.rng.u64(..300),
                    _ => state.rng.u64(..3000),
                };
                let latency = Duration::from_millis(latency);
                state.log(now, format!("latency {latency:?}"));
                self.set_latency(state, latency);
            }
            Event::ClockStep if self.clock.offset.load(Ordering::Relaxed) == 0 => {
                let (step, lasts) = (
                    state.log_uniform(1.0, 3600.0),
                    state.log_uniform(10.0, 900.0),
                );
                let ahead = state.rng.bool();
                let sign = if ahead { "+" } else { "-" };
                state.log(now, format!("clock {sign}{step:?} for {lasts:?}"));
                let step = step.as_millis() as i64;
                self.set_clock(state, if ahead { step } else { -step });
                agenda.add(now + lasts, Event::ClockStepBack);
            }
            Event::ClockStepBack => {
                state.log(now, "clock right".into());
                self.set_clock(state, 0);
            }
            Event::Revocation if state.targets[target].exists => {
                let gap = if state.rng.bool() {
                    Duration::ZERO
                } else {
                    state.log_uniform(1.0, 180.0)
                };
                state.log(now, format!("role {target}: deleted for {gap:?}"));
                self.aws.delete_role(&state.targets[target].arn);
                state.targets[target].generation += 1;
                state.targets[target].exists = false;
                state.targets[target].trouble.begin();
                // One new session for the role. If it is a hub, each request of its tenants that is signed with the old
                // session is rejected, and repeated once.
                state.figures.bound += 2 + match state.targets[target].hub {
                    None => 2 * state.targets.len() as u64,
                    Some(_) => RETRIES_IN_WINDOW,
                };
                agenda.add(now + gap, Event::Creation(target));
            }
            Event::Creation(target) => {
                state.log(now, format!("role {target}: created"));
                state.targets[target].exists = true;
                state.targets[target].trouble.end(now);
                drop(guard);
                self.set_role(target);
            }
            Event::Distrust if state.targets[target].is_trusted && state.targets[target].exists => {
                let lasts = state.log_uniform(60.0, 600.0);
                state.log(now, format!("role {target}: trust withdrawn for {lasts:?}"));
                state.targets[target].is_trusted = false;
                state.targets[target].trouble.begin();
                state.figures.bound += RETRIES_IN_WINDOW;
                agenda.add(now + lasts, Event::DistrustEnds(target));
                drop(guard);
                self.set_role(target);
            }
            Event::DistrustEnds(target) => {
                state.log(now, format!("role {target}: trust restored"));
                state.targets[target].is_trusted = true;
                state.targets[target].trouble.end(now);
                let exists = state.targets[target].exists;
                drop(guard);
                if exists {
                    self.set_role(target);
                }
            }
            Event::Refresh => {
                let count = state.targets.len();
                let cold = (target.max(HUBS.len()) / 10 * 10) + 7 + state.rng.usize(..3);
                let target = if cold < count { cold } else { count - 1 };
                state.log(now, format!("role {target}: refresh()"));
                let before_expiry = Duration::from_millis(state.rng.u64(..60_000));
                agenda.add(now + HOUR - before_expiry, Event::LateCall(target));
                let hub = state.targets[target].hub;
                for target in hub.into_iter().chain([target]) {
                    state.targets[target].forced_at = Some((now, state.frozen));
                    state.targets[target].was_used = true;
                }
                state.figures.bound += 2 * u64::from(ATTEMPTS);
                state.pending += 1;
                let (world, chain) = (self.clone(), self.chain(target));
                tokio::spawn(async move {
                    drop(chain.refresh().await);
                    drop(chain);
                    world.state().pending -= 1;
                });
            }
            // The trouble exists already.
            _ => {}
        }
    }

    /// Advances the clocks while nothing runs, as when the process is suspended.
    async fn freeze(&self) {
        let lasts = {
            let mut state = self.state();
            let lasts = state.log_uniform(1.0, 2400.0);
            state.log(self.elapsed(), format!("frozen for {lasts:?}"));
            state.trouble.begin();
            state.frozen += lasts;
            if lasts >= MINUTE {
                state.resumed_at = Some(self.elapsed() + lasts);
            }
            lasts
        };
        // Tasks run before this returns.
        tokio::time::advance(lasts).await;
        let now = self.elapsed();
        self.state().trouble.end(now);
    }

    fn set_latency(&self, state: &mut State, latency: Duration) {
        self.aws.set_latency(latency);
        let now = self.elapsed();
        for (trouble, was_on, is_on) in [
            (&mut state.slowness, &mut state.is_slow, latency >= SECOND),
            (
                &mut state.latency_trouble,
                &mut state.has_latency,
                latency >= NOTICEABLE_LATENCY,
            ),
        ] {
            match (*was_on, is_on) {
                (false, true) => trouble.begin(),
                (true, false) => trouble.end(now),
                _ => {}
            }
            *was_on = is_on;
        }
    }

    fn set_clock(&self, state: &mut State, offset: i64) {
        let now = self.elapsed();
        self.clock.offset.store(offset, Ordering::Relaxed);
        state.steps += 1;
        state.set_at = Some(now);
        state.trouble.begin();
        state.trouble.end(now);
        // Sessions that are expired or due by the new clock are loaded once. Those that were loaded while the clock was
        // wrong are loaded once more.
        let used = state.targets.iter().filter(|target| target.was_used);
        state.figures.bound += used.count() as u64;
        // STS accepts signatures that are up to a quarter of an hour wrong. By a clock an hour ahead, its sessions are
        // expired at once.
        let is_skewed = offset.unsigned_abs() > 14 * 60_000;
        match (state.is_skewed, is_skewed) {
            (false, true) => {
                state.trouble.begin();
                state.episode.insert("clock", now);
            }
            (true, false) => {
                state.trouble.end(now);
                self.allow_retries(state, "clock");
            }
            _ => {}
        }
        state.is_skewed = is_skewed;
    }

    /// Adds the retries that a trouble of all roles allows to the bound: those of sessions in their refresh window.
    fn allow_retries(&self, state: &mut State, episode: &'static str) {
        let now = self.elapsed();
        let Some(begun) = state.episode.remove(episode) else {
            return;
        };
        let lasted = now - begun;
        let now = self.aws.clock().now();
        for target in &state.targets {
            let Some(newest) = state.newest_session(target) else {
                continue;
            };
            let left = newest.chain_expiry.duration_since(now).ok();
            let in_window = ADVISORY_WINDOW.saturating_sub(left.unwrap_or_default());
            let failing = lasted.min(in_window).as_secs() / SHORTEST_RETRY.as_secs();
            if !in_window.is_zero() {
                state.figures.bound += u64::from(ATTEMPTS) * (failing + 1).min(RETRIES_IN_WINDOW);
            }
        }
    }

    /// Requests credentials from a tenant's chain, or makes a call with its client.
    fn call(self: &Arc<Self>, target: usize) {
        let chain = self.chain(target);
        let mut state = self.state();
        let gives_up = state.rng.u8(..10) == 0;
        let timeout = Duration::from_millis(state.rng.u64(1..3000));
        let is_by_client = state.rng.u8(..5) == 0;
        let client = self.clients.lock().unwrap().get(&target).cloned();
        let client = client.filter(|_| is_by_client);
        drop(state);
        let call = Call::begin(self.clone(), &chain, target);
        if let Some(client) = client {
            tokio::spawn(async move { call.end_of_client(put(&client).await) });
            return;
        }
        let mut credentials = Box::pin(async move { chain.provide_credentials().await });
        // Nearly all calls are answered at once.
        let ready = credentials
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        match ready {
            Poll::Ready(result) => call.end(result),
            Poll::Pending => drop(tokio::spawn(async move {
                if gives_up {
                    match tokio::time::timeout(timeout, credentials).await {
                        Ok(result) => call.end(result),
                        Err(_) => call.give_up(),
                    }
                } else {
                    call.end(credentials.await);
                }
            })),
        }
    }

    /// Drives a side runtime for a short time, with its own callers, and then stops or drops it.
    fn use_side_runtime(self: &Arc<Self>, sides: &mut Vec<Runtime>) {
        let (callers, drive_for, choice) = {
            let mut state = self.state();
            let callers = state.rng.usize(1..60);
            let callers: Vec<_> = (0..callers).map(|_| state.any_tenant()).collect();
            let drive_for = if state.rng.bool() {
                Duration::ZERO
            } else {
                Duration::from_millis(state.rng.u64(1..5000))
            };
            state.is_on_side = true;
            (callers, drive_for, state.rng.u8(..10))
        };
        let old = match choice {
            // Drives a stopped runtime again.
            0..3 => sides.pop(),
            3..5 => {
                sides.pop();
                None
            }
            _ => None,
        };
        self.state().is_old_side = old.is_some();
        let side = old.unwrap_or_else(|| paused(self.seed));
        let count = callers.len();
        side.block_on(async {
            self.catch_up().await;
            self.begin_side(count, drive_for);
            for target in callers {
                self.call(target);
            }
            // Lets tasks start, without time passing.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            if !drive_for.is_zero() {
                tokio::time::sleep(drive_for).await;
            }
            let now = self.elapsed();
            let mut state = self.state();
            state.trouble.end(now);
            state.now = Some(Instant::now());
        });
        if choice % 2 == 0 {
            sides.push(side);
        } else {
            drop(side);
        }
        let mut state = self.state();
        (state.is_on_side, state.is_old_side) = (false, false);
    }

    fn begin_side(&self, callers: usize, drive_for: Duration) {
        let now = self.elapsed();
        let mut state = self.state();
        let event = format!("another runtime, {callers} callers, for {drive_for:?}");
        state.log(now, event);
        state.trouble.begin();
        // For lost loads that are repeated.
        state.figures.bound += u64::from(ATTEMPTS) * 2 * callers as u64;
    }

    async fn end_all_troubles(&self, agenda: &mut Agenda) {
        let is_call = |event: &mut Event| matches!(event, Event::Call(_) | Event::LateCall(_));
        agenda.events.retain(|_, event| is_call(event));
        let now = self.elapsed();
        let mut guard = self.state();
        let state = &mut *guard;
        state.log(now, "all troubles end".into());
        if state.fault_of_all.take().is_some() {
            state.trouble.end(now);
            self.allow_retries(state, "fault");
        }
        if self.clock.offset.load(Ordering::Relaxed) != 0 {
            self.set_clock(state, 0);
        }
        self.set_latency(state, Duration::ZERO);
        for target in &mut state.targets {
            let troubles = [target.fault.is_some(), !target.exists, !target.is_trusted];
            for _ in troubles.iter().filter(|trouble| **trouble) {
                target.trouble.end(now);
            }
            (target.fault, target.exists, target.is_trusted) = (None, true, true);
        }
        self.set_faults(state);
        let count = state.targets.len();
        drop(guard);
        for target in 0..count {
            self.set_role(target);
        }
    }

    /// Checks the state two minutes after the last trouble: every role is served, and nothing is left over.
    async fn check_the_end(&self, hours: f64) {
        let count = self.state().targets.len();
        for target in HUBS.len()..count {
            let chain = self.chain(target);
            self.state().targets[target].was_used = true;
            // A revoked session is detected only when it is used.
            if let Err(error) = put(&self.client(&chain)).await {
                self.violate(format!("role {target} at the end: {error}"));
            }
            let served = chain.provide_credentials().await;
            let is_accepted = served
                .as_ref()
                .is_ok_and(|credentials| self.accepts(credentials.access_key_id(), Duration::ZERO));
            if !is_accepted {
                self.violate(format!("role {target} at the end has {served:?}"));
            }
            self.panic_on_violation();
        }
        // Lets earlier calls end.
        tokio::time::sleep(MINUTE).await;
        self.panic_on_violation();
        let metrics = tokio::runtime::Handle::current().metrics();
        let timers = metrics.num_alive_tasks();
        assert!(timers <= count, "seed {}: {timers} tasks", self.seed);
        assert_eq!(
            self.state().pending,
            0,
            "seed {}: calls have not ended",
            self.seed
        );
        self.clients.lock().unwrap().clear();
        self.chains.lock().unwrap().clear();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let left = metrics.num_alive_tasks();
        assert_eq!(left, 0, "seed {}: tasks are left behind", self.seed);

        let mut state = self.state();
        let used = state.targets.iter().filter(|target| target.was_used);
        let lifetimes = (hours * 3600.0 / (HOUR - ADVISORY_WINDOW).as_secs_f64()).ceil() as u64;
        state.figures.bound += used.count() as u64 * (lifetimes + 1);
        state.figures.tasks = timers;
        state.figures.most_in_flight = self.aws.most_in_flight();
        assert_eq!(state.figures.requests, self.aws.requests() as u64);
        let (requests, bound) = (state.figures.requests, state.figures.bound);
        assert!(
            requests <= bound,
            "seed {}: {requests} STS requests, more than {bound}",
            self.seed
        );
    }

    /// Whether STS accepts a session now and after `for_another`, if nothing changes.
    fn accepts(&self, access_key_id: &str, for_another: Duration) -> bool {
        let state = self.state();
        let session = state.sessions.get(access_key_id);
        let until = self.aws.clock().now() + for_another;
        session.is_some_and(|session| state.is_alive(session, until))
    }

    fn violate(&self, what: String) {
        let now = self.elapsed();
        let mut state = self.state();
        state.log(now, format!("VIOLATION: {what}"));
        state.violation.get_or_insert(what);
    }

    fn panic_on_violation(&self) {
        let state = self.state();
        if let Some(what) = &state.violation {
            let events: Vec<_> = state.events.iter().map(String::as_str).collect();
            let (seed, events) = (self.seed, events.join("\n"));
            let what = what.clone();
            drop(state);
            panic!("seed {seed}: {what}\nthe last events:\n{events}");
        }
    }

    /// Records an attempt of a call to STS, and checks that the call has a reason.
    fn begin_attempt(&self, target: usize, invocation_id: &str) {
        let now = self.elapsed();
        let chain_now = self.clock.now();
        let right = self.aws.clock().now();
        let mut guard = self.state();
        let state = &mut *guard;
        state.figures.requests += 1;
        let mixed = state.figures.digest ^ (now.as_millis() as u64) << 16 ^ target as u64;
        state.figures.digest = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        let role = &state.targets[target];
        let is_same = |last: &&Operation| last.invocation_id == invocation_id;
        if let Some(last) = role.last.as_ref().filter(is_same) {
            let attempts = last.attempts + 1;
            let last = state.targets[target].last.as_mut().unwrap();
            last.attempts = attempts;
            last.outcome = Outcome::InFlight;
            if attempts > ATTEMPTS {
                drop(guard);
                self.violate(format!("role {target}: attempt {attempts} of one call"));
            }
            return;
        }
        let reason = state.reason_for(role, now, chain_now, right);
        state.log(now, format!("role {target}: STS is called: {reason:?}"));
        state.figures.operations += 1;
        let frozen_before = state.frozen;
        let is_on_side = state.is_on_side;
        let mut queued = now;
        let mut is_flood = false;
        if reason == Ok(THROTTLED_RETRY) {
            queued = state.targets[target]
                .last
                .as_ref()
                .map_or(now, |last| last.queued);
            state.figures.bound += 1;
            state.throttled.retain(|at| *at + MINUTE > now);
            state.throttled.push_back(now);
            let most = if state.latency_trouble.is_on(now) {
                THROTTLED_WITH_LATENCY_IN_A_MINUTE
            } else {
                THROTTLED_IN_A_MINUTE
            };
            is_flood = state.throttled.len() > most;
        }
        state.targets[target].last = Some(Operation {
            invocation_id: invocation_id.to_owned(),
            attempts: 1,
            begun: now,
            queued,
            ended: None,
            is_skew_retry: reason == Ok(SKEW_RETRY),
            is_on_side,
            frozen_before,
            outcome: Outcome::InFlight,
        });
        drop(guard);
        if let Err(why) = reason {
            self.violate(format!(
                "role {target}: STS is called without a reason: {why}"
            ));
        }
        if is_flood {
            self.violate("STS is flooded while it throttles".to_owned());
        }
    }

    fn end_attempt(&self, target: usize, invocation_id: &str, answer: Answer) {
        let now = self.elapsed();
        let (chain_now, right) = (self.clock.now(), self.aws.clock().now());
        let mut guard = self.state();
        let state = &mut *guard;
        let steps = state.steps;
        let failed = |after, cause| Outcome::Failed {
            retry_at: now + after,
            steps,
            cause,
        };
        let outcome = match answer {
            Answer::Session(key) => {
                state.figures.sessions += 1;
                let since = right.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()) + HOUR;
                let session = Session {
                    target,
                    generation: state.targets[target].generation,
                    expiry,
                    loaded_at: chain_now,
                    // The chain takes the requested duration as the longest lifetime by its clock.
                    chain_expiry: expiry.min(chain_now + HOUR),
                };
                let is_expired = session.chain_expiry <= chain_now;
                state.sessions.insert(key.clone(), session);
                if is_expired {
                    // The chain takes this for a failure.
                    failed(SECOND * 4 / 5, Cause::Other)
                } else {
                    // The result of a load on an old runtime may come too late to be cached.
                    if !state.is_old_side {
                        state.targets[target].newest = Some(key.clone());
                    }
                    Outcome::Session(key)
                }
            }
            Answer::Failure(cause) => {
                let session = state.newest_session(&state.targets[target]);
                let after = match session {
                    None => SECOND * 4 / 5,
                    Some(session) => match session.chain_expiry.duration_since(chain_now) {
                        Ok(left) if left > 11 * SECOND && state.is_alive(session, right) => {
                            (left / 4).clamp(10 * SECOND, 5 * MINUTE) * 4 / 5
                        }
                        // The last retry is a second before expiry. After it, and if STS has rejected the session,
                        // the shortest wait is that after a denial: five seconds, less a fifth for jitter.
                        Ok(left) if left <= 11 * SECOND => {
                            left.min(4 * SECOND).saturating_sub(SECOND)
                        }
                        _ => 4 * SECOND,
                    },
                };
                failed(after, cause)
            }
        };
        let last = &mut state.targets[target].last;
        if let Some(last) = last
            .as_mut()
            .filter(|last| last.invocation_id == invocation_id)
        {
            last.outcome = outcome;
            last.ended = Some(now);
        }
    }
}

const THROTTLED_RETRY: &str = "a retry of a throttled call";
const SKEW_RETRY: &str = "a retry with the time that STS reported";

impl State {
    /// Returns a random time between independent events (exponentially distributed), with this mean in seconds.
    fn rng_time(&mut self, mean: f64) -> Duration {
        let seconds = -(1.0 - self.rng.f64()).ln() * mean;
        Duration::from_millis((seconds * 1000.0) as u64 + 1)
    }

    fn log_uniform(&mut self, from: f64, to: f64) -> Duration {
        let seconds = from * (to / from).powf(self.rng.f64());
        Duration::from_millis((seconds * 1000.0) as u64)
    }

    /// Returns a random role: in one of eight cases a hub, otherwise a tenant.
    fn any_target(&mut self) -> usize {
        if self.rng.u8(..8) == 0 {
            return self.rng.usize(..HUBS.len());
        }
        self.any_tenant()
    }

    fn any_tenant(&mut self) -> usize {
        self.rng.usize(HUBS.len()..self.targets.len())
    }

    fn any_fault(&mut self) -> Fault {
        match self.rng.u8(..4) {
            0 => Fault::service_unavailable(),
            1 => Fault::throttling(),
            2 => Fault::no_answer(),
            _ => Fault::connection_closed(),
        }
    }

    fn log(&mut self, now: Duration, event: String) {
        if std::env::var_os("SOAK_TRACE").is_some() {
            eprintln!("{:>12.3} s  {event}", now.as_secs_f64());
        }
        if self.events.len() == 30 {
            self.events.pop_front();
        }
        self.events
            .push_back(format!("{:>12.3} s  {event}", now.as_secs_f64()));
    }

    fn is_alive(&self, session: &Session, at: SystemTime) -> bool {
        let role = &self.targets[session.target];
        session.generation == role.generation && role.exists && at < session.expiry
    }

    /// Returns the session that STS issued last for a role.
    fn newest_session(&self, role: &Target) -> Option<&Session> {
        self.sessions.get(role.newest.as_ref()?)
    }

    /// Whether a trouble explains failures of this role.
    fn is_disturbed(&self, target: usize, now: Duration) -> bool {
        let role = &self.targets[target];
        self.trouble.is_on(now)
            || self.slowness.is_on(now)
            || role.trouble.is_on(now)
            || role
                .hub
                .is_some_and(|hub| self.targets[hub].trouble.is_on(now))
    }

    /// Returns why STS may be called for this role, or as an error why not.
    fn reason_for(
        &self,
        role: &Target,
        now: Duration,
        chain_now: SystemTime,
        right: SystemTime,
    ) -> Result<&'static str, String> {
        let Some(last) = &role.last else {
            return Ok("for the first time");
        };
        // A refresh that was requested before a freeze continues after it.
        let is_recent = |(at, frozen_before): (Duration, Duration)| {
            now - at < LONGEST_CALL + (self.frozen - frozen_before)
        };
        if role.forced_at.is_some_and(is_recent) {
            return Ok("refresh()");
        }
        // A load that ran when the process was suspended may be lost, or continue beside the load that replaces it once
        // the rate limiter admits it: earlier calls in the queue may belong to a runtime that is not driven any more.
        let is_unfinished = !matches!(last.outcome, Outcome::Session(_));
        let froze = self.frozen - last.frozen_before >= MINUTE;
        let just_after = |at: Duration| {
            last.begun < at + LONGEST_QUEUE && last.ended.is_none_or(|ended| ended >= at)
        };
        if last.is_on_side
            || self.is_old_side
            || (is_unfinished && froze)
            || self.resumed_at.is_some_and(just_after)
        {
            return Ok("the last load may be lost");
        }
        // The load may have begun before the clock was set. A load in flight when the clock leaps seems abandoned:
        // callers ignore its failure, and another begins at once. During a fault a load may be queued for long.
        let hub = role.hub.map(|hub| &self.targets[hub]);
        let is_faulty = self.fault_of_all.is_some()
            || role.fault.is_some()
            || hub.is_some_and(|hub| hub.fault.is_some());
        let longest = if is_faulty { LONGEST_QUEUE } else { MINUTE };
        if self.set_at.is_some_and(|at| now < at + longest) {
            return Ok("the clock was set");
        }
        match &last.outcome {
            Outcome::InFlight => Err(format!("one is in flight since {:?}", last.begun)),
            Outcome::Failed {
                cause: Cause::Caller,
                ..
            } => Ok("with a new session of the hub"),
            // Once: the skew that the SDK used may have been unknown or out of date.
            Outcome::Failed {
                cause: Cause::Skew, ..
            } if !last.is_skew_retry => Ok(SKEW_RETRY),
            Outcome::Failed { steps, .. } if *steps != self.steps => Ok("the clock was set"),
            // A retry is a new load with its full time in the queue, however long the call before it was queued.
            Outcome::Failed { retry_at, .. } if now + TIMER_TOLERANCE >= *retry_at => Ok("a retry"),
            Outcome::Failed {
                cause: Cause::Throttled,
                ..
            } if now < last.queued + LONGEST_QUEUE + TIMER_TOLERANCE => Ok(THROTTLED_RETRY),
            Outcome::Failed { retry_at, .. } => match self.newest_session(role) {
                Some(session) if !self.is_alive(session, right) => Ok("the session is dead"),
                _ => Err(format!("a retry before {retry_at:?}")),
            },
            Outcome::Session(key) => {
                let session = &self.sessions[key];
                if chain_now + ADVISORY_WINDOW >= session.chain_expiry {
                    Ok("the session is due")
                } else if chain_now + MINUTE < session.loaded_at {
                    Ok("the session is from the future")
                } else if !self.is_alive(session, right) {
                    Ok("the session was revoked")
                } else {
                    Err("the session is good".into())
                }
            }
        }
    }
}

/// Returns the mean time between calls of a role in seconds: a tenth of the tenants are hot, three tenths cold.
fn mean_between_calls(target: usize) -> f64 {
    match target % 10 {
        0 => 8.0,
        1..7 => 300.0,
        _ => 3.0 * 3600.0,
    }
}

async fn put(client: &aws_sdk_firehose::Client) -> Result<(), String> {
    let record = Record::builder().data(Blob::new("record")).build().unwrap();
    let call = client.put_record().delivery_stream_name("events");
    let result = call.record(record).send().await;
    result.map(drop).map_err(|error| format!("{error:?}"))
}

/// A call, and the state when it began.
struct Call {
    world: Arc<World>,
    target: usize,
    begun: Duration,
    frozen: Duration,
    steps: u32,
    /// The access key ID of the cached session, if STS accepts it for another second.
    valid: Option<String>,
    /// Whether it was expired by the chain's clock.
    is_expired: bool,
    is_on_side: bool,
    has_ended: bool,
}

impl Call {
    fn begin(world: Arc<World>, chain: &RoleChain, target: usize) -> Self {
        let cached = chain.fallback_on_interrupt();
        let is_expired = |cached: &Credentials| {
            let expiry = cached.expiry();
            expiry.is_some_and(|expiry| expiry <= world.clock.now())
        };
        let is_expired = cached.as_ref().is_some_and(is_expired);
        let key = cached.map(|cached| cached.access_key_id().to_owned());
        let valid = key.filter(|key| world.accepts(key, SECOND));
        let begun = world.elapsed();
        let mut state = world.state();
        state.pending += 1;
        state.figures.calls += 1;
        if valid.is_none() || is_expired {
            // A call without a session to serve may start a load, and repeat it with a new session of the hub.
            state.figures.bound += u64::from(ATTEMPTS);
        }
        let hub = state.targets[target].hub;
        for target in hub.into_iter().chain([target]) {
            state.targets[target].was_used = true;
        }
        let (frozen, steps, is_on_side) = (state.frozen, state.steps, state.is_on_side);
        drop(state);
        Self {
            world,
            target,
            begun,
            frozen,
            steps,
            valid,
            is_expired,
            is_on_side,
            has_ended: false,
        }
    }

    /// Returns how long the call has waited, without freezes.
    fn waited(&self) -> Duration {
        let frozen = self.world.state().frozen - self.frozen;
        (self.world.elapsed() - self.begun).saturating_sub(frozen)
    }

    fn was_frozen(&self) -> bool {
        self.world.state().frozen != self.frozen
    }

    fn could_be_served(&self) -> bool {
        let key = self.valid.as_deref();
        key.is_some_and(|key| self.world.accepts(key, Duration::ZERO))
    }

    fn judge_wait(&self) {
        let waited = self.waited();
        // A session may expire while the process is suspended.
        let is_valid = self.valid.is_some() && (!self.was_frozen() || self.could_be_served());
        let mut state = self.world.state();
        let figures = &mut state.figures;
        let (limit, longest) = match (is_valid, self.is_expired) {
            // A side runtime may stop at any time.
            _ if self.is_on_side => return,
            (true, false) => (MAX_WAIT_WITH_VALID, &mut figures.max_wait),
            (true, true) => (MAX_WAIT_WITH_EXPIRED, &mut figures.max_wait_by_clock),
            (false, _) => (LONGEST_CALL, &mut figures.longest),
        };
        *longest = waited.max(*longest);
        drop(state);
        if waited > limit + TIMER_TOLERANCE {
            let (target, valid) = (self.target, &self.valid);
            let what = format!("a call of role {target} waited {waited:?}, cached {valid:?}");
            self.world.violate(what);
        }
    }

    fn end(mut self, result: Result<Credentials, CredentialsError>) {
        self.has_ended = true;
        self.judge_wait();
        let now = self.world.elapsed();
        let chain_now = self.world.clock.now();
        let could_be_served = self.could_be_served();
        let mut state = self.world.state();
        let is_disturbed = state.is_disturbed(self.target, now);
        state.figures.undisturbed += u64::from(!is_disturbed);
        let target = self.target;
        let violation = match result {
            Ok(credentials) => {
                state.figures.served += 1;
                let session = state.sessions.get(credentials.access_key_id()).cloned();
                let right = self.world.aws.clock().now();
                match session {
                    Some(session) if session.target != target => Some(format!(
                        "role {target} got the session of {}",
                        session.target
                    )),
                    None => Some(format!("role {target} got a session that STS never gave")),
                    Some(session) => {
                        let is_alive = state.is_alive(&session, right);
                        state.figures.served_dead += u64::from(!is_alive);
                        // Whether the session is expired by the chain's clock.
                        let is_known = chain_now >= session.chain_expiry;
                        (!is_alive && is_known && !is_disturbed)
                            .then(|| format!("role {target} got an expired session, undisturbed"))
                    }
                }
            }
            Err(error) => {
                state.figures.failed_calls += 1;
                let error =
                    aws_smithy_types::error::display::DisplayErrorContext(error).to_string();
                let line = error.lines().next().unwrap_or_default();
                state.log(now, format!("role {target}: a call failed: {line}"));
                if could_be_served && self.is_expired {
                    state.figures.failed_by_clock += 1;
                    None
                } else if could_be_served && self.steps == state.steps {
                    let key = self.valid.as_deref();
                    Some(format!("role {target} failed, {key:?} is valid: {error}"))
                } else if error.contains("SignatureDoesNotMatch") {
                    // The SDK signs with the last clock skew that it learned, until a response corrects it.
                    state.figures.failed_by_skew += 1;
                    None
                } else {
                    (!is_disturbed).then(|| format!("role {target}, undisturbed, failed: {error}"))
                }
            }
        };
        drop(state);
        if let Some(what) = violation {
            self.world.violate(what);
        }
    }

    fn end_of_client(mut self, result: Result<(), String>) {
        self.has_ended = true;
        let now = self.world.elapsed();
        let could_be_served = self.could_be_served() && !self.is_expired;
        let mut state = self.world.state();
        let is_disturbed = state.is_disturbed(self.target, now);
        state.figures.by_client += 1;
        state.figures.undisturbed += u64::from(!is_disturbed);
        let (target, steps) = (self.target, self.steps);
        let Err(error) = result else {
            state.figures.served += 1;
            return;
        };
        state.figures.failed_calls += 1;
        // A session that was valid throughout the call leaves no excuse, because the service has no faults.
        let is_judged = steps == state.steps && !self.is_on_side && self.frozen == state.frozen;
        let is_excused = is_disturbed && !(could_be_served && is_judged);
        drop(state);
        if !is_excused {
            let what = format!("a client of role {target}, valid {:?}: {error}", self.valid);
            self.world.violate(what);
        }
    }

    fn give_up(mut self) {
        self.has_ended = true;
        self.world.state().figures.given_up += 1;
        self.judge_wait();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.pending -= 1;
        state.figures.lost += u64::from(!self.has_ended);
    }
}

/// Passes requests to the simulator, and records those that assume a role.
#[derive(Clone)]
struct Witness(Arc<World>);

enum Answer {
    Session(String),
    Failure(Cause),
}

impl Answer {
    fn read(response: &HttpResponse) -> Self {
        let body = response.body().bytes().unwrap_or_default();
        let text = std::str::from_utf8(body).unwrap_or_default();
        let key = text.split_once("<AccessKeyId>");
        if let Some((key, _)) = key.and_then(|(_, rest)| rest.split_once("</AccessKeyId>")) {
            return Self::Session(key.to_owned());
        }
        let code = text
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"));
        Self::Failure(match code.map(|(code, _)| code) {
            Some("ExpiredToken" | "InvalidClientTokenId") => Cause::Caller,
            Some("Throttling") => Cause::Throttled,
            Some("SignatureDoesNotMatch") => Cause::Skew,
            _ => Cause::Other,
        })
    }
}

/// An attempt in flight. If it is dropped, it has failed.
struct Attempt {
    world: Arc<World>,
    target: usize,
    invocation_id: String,
    answer: Option<Answer>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Dropped together with its runtime, it has no clock, and nothing to record: loads there may be lost.
        if tokio::runtime::Handle::try_current().is_ok() {
            let answer = self.answer.take();
            let answer = answer.unwrap_or(Answer::Failure(Cause::Other));
            self.world
                .end_attempt(self.target, &self.invocation_id, answer);
        }
    }
}

impl HttpConnector for Witness {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = self.0.clone();
        HttpConnectorFuture::new(async move {
            let body = request.body().bytes().unwrap_or_default();
            let text = std::str::from_utf8(body).unwrap_or_default();
            let arn = text.split_once("&RoleArn=");
            let arn = arn.and_then(|(_, rest)| rest.split('&').next());
            let arn = arn.map(|arn| arn.replace("%3A", ":").replace("%2F", "/"));
            let id = request.headers().get("amz-sdk-invocation-id");
            let invocation_id = id.unwrap_or_default().to_owned();
            let target = arn.and_then(|arn| world.state().by_arn.get(&arn).copied());
            let simulator = world.aws.clone();
            let Some(target) = target else {
                return HttpConnector::call(&simulator, request).await;
            };
            world.begin_attempt(target, &invocation_id);
            let mut attempt = Attempt {
                world,
                target,
                invocation_id,
                answer: None,
            };
            let response = HttpConnector::call(&simulator, request).await;
            attempt.answer = response.as_ref().ok().map(Answer::read);
            response
        })
    }
}

impl HttpClient for Witness {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}
