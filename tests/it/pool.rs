//! A pool of chains: one for each role and its parameters, limited in number and idle time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{
    AllowedRoles, BoxError, ChainPool, MfaRequest, ProvideMfaCode, Role, RoleChain,
};
use aws_smithy_async::time::TimeSource;
use sts_simulator::Simulator;
use tokio::task::JoinSet;

use crate::common::parameters::PARAMETERS;
use crate::common::*;

fn tenant(i: usize) -> String {
    format!("arn:aws:iam::333333333333:role/Tenant{i}")
}

/// A hub, and this many roles that trust it.
fn hub_of(tenants: usize) -> (Simulator, RoleChain) {
    let (aws, base) = aws();
    for i in 0..tenants {
        let role = aws.role(tenant(i)).trust(trusts("222222222222"));
        role.create().unwrap();
    }
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    (aws, hub)
}

async fn use_once(pool: &ChainPool, role: Role) {
    pool.get(role).unwrap().provide_credentials().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_for_one_customer_make_one_assume_role() {
    let (aws, hub) = hub_of(1);
    aws.set_latency(Duration::from_millis(20));
    let pool = ChainPool::new(hub);
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        let pool = pool.clone();
        requests.spawn(async move { use_once(&pool, Role::new(tenant(0))).await });
    }
    requests.join_all().await;
    use_once(&pool, Role::new(tenant(0))).await;
    assert_eq!((aws.assumed(&tenant(0)), pool.len()), (1, 1));
}

#[test]
fn a_thousand_threads_that_ask_at_once_get_one_chain() {
    let (_aws, hub) = hub_of(1);
    let pool = ChainPool::new(hub);
    let barrier = std::sync::Barrier::new(32);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..100 {
                    pool.get(Role::new(tenant(0))).unwrap();
                }
            });
        }
    });
    assert_eq!(pool.len(), 1);
}

/// A provider that always fails.
struct NoCodes;

impl ProvideMfaCode for NoCodes {
    fn provide_mfa_code(
        &self,
        _: MfaRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        Box::pin(async { Err("none".into()) })
    }
}

/// Sets one parameter of a role to one of two values, 0 or 1.
type Set = fn(Role, usize) -> Role;

/// Returns a setter for each parameter that is sent, and for the region. The provider of codes has its own test.
fn parameters() -> Vec<(&'static str, Set)> {
    let tags: [(&str, Set); 2] = [
        ("tag key", |role, i| role.tag(format!("key-{i}"), "value")),
        ("transitivity", |role, i| match i {
            0 => role.tag("transitivity", "value"),
            _ => role.transitive_tag("transitivity", "value"),
        }),
    ];
    let all = PARAMETERS.map(|parameter| (parameter.setter, parameter.set));
    let without_mfa = all.into_iter().filter(|(setter, _)| *setter != "mfa");
    without_mfa.chain(tags).collect()
}

#[test]
fn whatever_is_changed_alone_gives_another_chain() {
    let (_aws, hub) = hub_of(2);
    let parameters = parameters();
    let role = |arn: &str, choices: &[Option<usize>]| {
        let chosen = parameters.iter().zip(choices);
        chosen.fold(Role::new(arn), |role, ((_, set), choice)| match choice {
            Some(choice) => set(role, *choice),
            None => role,
        })
    };
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let mut choose = || [None, Some(0), Some(1)][random.usize(..3)];
        let choices: Vec<_> = parameters.iter().map(|_| choose()).collect();
        let pool = ChainPool::new(hub.clone());
        pool.get(role(TENANT, &choices)).unwrap();
        pool.get(role(TENANT, &choices)).unwrap();
        assert_eq!(pool.len(), 1, "the same: {choices:?}");
        pool.get(role(&tenant(0), &choices)).unwrap();
        assert_eq!(pool.len(), 2, "another ARN: {choices:?}");
        let mut chains = 2;
        for (i, (parameter, _)) in parameters.iter().enumerate() {
            for choice in [None, Some(0), Some(1)] {
                let mut changed = choices.clone();
                changed[i] = choice;
                chains += usize::from(choice != choices[i]);
                pool.get(role(TENANT, &changed)).unwrap();
                assert_eq!(pool.len(), chains, "{parameter}: {changed:?}");
            }
        }
    }
}

#[test]
fn another_provider_of_mfa_codes_gives_another_chain() {
    let (_aws, base) = aws();
    let pool = ChainPool::new(RoleChain::from_source(&base).unwrap());
    let role = |serial: &str| {
        Role::new(HUB).mfa(format!("arn:aws:iam::111111111111:mfa/{serial}"), NoCodes)
    };
    let ada = role("ada");
    for (role, chains) in [
        (ada.clone(), 1),
        (ada, 1),
        (role("ada"), 2),
        (role("grace"), 3),
    ] {
        pool.get(role).unwrap();
        assert_eq!(pool.len(), chains);
    }
}

#[test]
fn an_allow_list_is_checked_for_chains_in_the_pool_too_and_what_is_rejected_takes_no_place() {
    let (_aws, hub) = hub_of(1);
    let pool = ChainPool::new(hub);
    pool.get(Role::new(tenant(0))).unwrap();
    let allowed = |account: &str| AllowedRoles::new().allow_accounts([account]);
    let of_another = Role::new(tenant(0)).allowed_roles(allowed("444444444444"));
    assert_eq!(pool.get(of_another).unwrap_err().field(), Some("arn"));
    pool.get(Role::new(tenant(0)).allowed_roles(allowed("333333333333")))
        .unwrap();
    assert_eq!(pool.len(), 1, "an allow-list is not sent");
    assert!(pool.get(Role::new("nonsense")).unwrap_err().is_invalid());
    assert!(
        pool.get(Role::new(tenant(0)).duration(2 * HOUR))
            .unwrap_err()
            .is_invalid()
    );
    assert_eq!(pool.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_chains_are_kept_than_there_is_room_for_and_holders_of_others_go_on() {
    let (aws, hub) = hub_of(100);
    let pool = ChainPool::builder(hub).max_chains(10).build();
    let held = pool.get(Role::new(tenant(0))).unwrap();
    held.refresh().await.unwrap();
    for i in 1..100 {
        use_once(&pool, Role::new(tenant(i))).await;
        assert!(pool.len() <= 10, "{}", pool.len());
    }
    held.provide_credentials().await.unwrap();
    assert_eq!(
        aws.assumed(&tenant(0)),
        1,
        "the holder has its credentials still"
    );
    // The most frequently used chain stays.
    for i in 0..1000 {
        use_once(&pool, Role::new(tenant(1))).await;
        use_once(&pool, Role::new(tenant(i % 90 + 10))).await;
    }
    assert!(aws.assumed(&tenant(1)) <= 3, "{}", aws.assumed(&tenant(1)));
}

/// Counts how often it is dropped.
struct CountsDrops(Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl ProvideMfaCode for CountsDrops {
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        NoCodes.provide_mfa_code(request)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_for_lack_of_use_is_dropped_with_all_that_belongs_to_it() {
    let (aws, base) = aws();
    let pool = ChainPool::new(RoleChain::from_source(&base).unwrap());
    let drops = Arc::new(AtomicUsize::new(0));
    let role = Role::new(HUB).mfa(
        "arn:aws:iam::111111111111:mfa/drops",
        CountsDrops(drops.clone()),
    );
    pool.get(role).unwrap();
    aws.clock().advance(59 * MINUTE).await;
    settle().await;
    assert_eq!((pool.len(), drops.load(Ordering::Relaxed)), (1, 0));
    aws.clock().advance(16 * MINUTE).await;
    settle().await;
    assert_eq!((pool.len(), drops.load(Ordering::Relaxed)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_chain_for_which_there_was_no_room_has_no_timer_left_and_one_that_is_held_has() {
    let (aws, hub) = hub_of(100);
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    hub.refresh().await.unwrap();
    let pool = ChainPool::builder(hub).max_chains(10).build();
    let mut held = None;
    for i in 0..100 {
        let chain = pool.get(Role::new(tenant(i))).unwrap();
        chain.provide_credentials().await.unwrap();
        if i == 50 {
            held = Some(chain);
        }
    }
    settle().await;
    let in_pool: Vec<_> = (pool.chains().iter())
        .map(|chain| chain.role_arn().unwrap().to_owned())
        .collect();
    assert!(in_pool.len() == 10 && !in_pool.contains(&tenant(50)));
    // The timers of the pool's chains, of the held chain and of the hub, and the sweeper.
    assert_eq!(tasks(), 13);
    aws.clock().advance(59 * MINUTE).await;
    settle().await;
    for i in 0..100 {
        let is_refreshed = i == 50 || in_pool.contains(&tenant(i));
        assert_eq!(
            aws.assumed(&tenant(i)),
            1 + usize::from(is_refreshed),
            "{i}"
        );
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_chain_in_use_stays_and_one_that_nobody_uses_is_refreshed_no_more() {
    let (aws, hub) = hub_of(3);
    let pool = ChainPool::builder(hub).max_idle(30 * MINUTE).build();
    // Three chains: held, requested from time to time, and unused.
    let held = pool.get(Role::new(tenant(0))).unwrap().sdk_config();
    use_once(&pool, Role::new(tenant(1))).await;
    use_once(&pool, Role::new(tenant(2))).await;
    for _ in 0..12 {
        aws.clock().advance(20 * MINUTE).await;
        settle().await;
        use_once(&pool, Role::new(tenant(1))).await;
    }
    let arns: Vec<_> = pool
        .chains()
        .iter()
        .map(|chain| chain.role_arn().unwrap().to_owned())
        .collect();
    assert_eq!(arns.len(), 2, "{arns:?}");
    assert!(
        arns.contains(&tenant(0)) && arns.contains(&tenant(1)),
        "{arns:?}"
    );
    assert_eq!(aws.assumed(&tenant(2)), 1);
    drop(held);
    aws.clock().advance(HOUR).await;
    settle().await;
    assert!(pool.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_and_one_that_was_dropped_leave_no_task_behind() {
    let (aws, hub) = hub_of(2);
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    hub.refresh().await.unwrap();
    settle().await;
    let before = tasks();
    let pool = ChainPool::new(hub);
    pool.get(Role::new(tenant(0))).unwrap();
    assert_eq!(tasks(), before + 1);
    pool.retain(|_| false);
    aws.clock().advance(20 * MINUTE).await;
    settle().await;
    assert_eq!(tasks(), before, "the pool is empty");

    // The next chain starts the task again.
    pool.get(Role::new(tenant(1))).unwrap();
    assert_eq!(tasks(), before + 1);
    drop(pool);
    settle().await;
    assert_eq!(tasks(), before, "the pool is gone");
}

#[test]
fn a_pool_is_swept_by_the_next_runtime_when_one_was_dropped() {
    let (aws, hub) = hub_of(2);
    let pool = ChainPool::new(hub);
    // Requested without a runtime, and on one that ends.
    pool.get(Role::new(tenant(0))).unwrap();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    runtime().block_on(async { pool.get(Role::new(tenant(1))).unwrap() });
    runtime().block_on(async {
        pool.get(Role::new(TENANT)).unwrap();
        aws.clock().advance(2 * HOUR).await;
        settle().await;
    });
    assert!(pool.is_empty());
}

#[test]
fn retain_may_use_the_pool() {
    let (_aws, hub) = hub_of(2);
    let pool = ChainPool::new(hub);
    for i in 0..2 {
        pool.get(Role::new(tenant(i))).unwrap();
    }
    pool.retain(|chain| {
        pool.get(Role::new(TENANT)).unwrap();
        chain.role_arn() != Some(&tenant(0))
    });
    let mut left: Vec<_> = pool
        .chains()
        .iter()
        .map(|chain| chain.role_arn().unwrap().to_owned())
        .collect();
    left.sort();
    assert_eq!(left, [TENANT.to_owned(), tenant(1)]);
}

#[test]
fn debug_shows_the_bounds_and_no_external_id() {
    let (_aws, hub) = hub_of(1);
    let pool = ChainPool::builder(hub).max_chains(7).build();
    pool.get(Role::new(tenant(0)).external_id("secret-id"))
        .unwrap();
    let shown = format!("{pool:?} {pool:#?}");
    assert!(
        shown.contains("max_chains: 7") && shown.contains("chains: 1"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_chain_used_while_the_clock_was_ahead_is_dropped_like_any_other() {
    #[derive(Clone, Debug)]
    struct Ahead(Arc<AtomicU64>, sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> SystemTime {
            self.1.now() + Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }
    let (aws, base) = aws();
    let ahead = Arc::new(AtomicU64::new(365 * 24 * 3600));
    let clock = Ahead(ahead.clone(), aws.clock());
    let base = base.into_builder().time_source(clock).build();
    let pool = ChainPool::new(RoleChain::from_source(&base).unwrap());
    pool.get(Role::new(HUB)).unwrap();
    // NTP corrects the clock.
    ahead.store(0, Ordering::Relaxed);
    for _ in 0..48 {
        aws.clock().advance(HOUR).await;
        settle().await;
    }
    assert_eq!(pool.len(), 0, "after two days without a use");
}

#[test]
fn a_runtime_that_is_driven_no_more_does_not_end_the_sweeping() {
    let (aws, base) = aws();
    let pool = ChainPool::new(RoleChain::from_source(&base).unwrap());
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let start_up = runtime();
    start_up.block_on(async { pool.get(Role::new(HUB)).unwrap() });
    // The runtime of a program's first `block_on` exists, but is no longer polled.
    runtime().block_on(async {
        pool.get(Role::new(HUB).session_name("other")).unwrap();
        // The next call after that starts another task.
        for role in [HUB, MIDDLE] {
            aws.clock().advance(HOUR).await;
            pool.get(Role::new(role)).unwrap();
        }
        for _ in 0..5 {
            aws.clock().advance(HOUR).await;
            settle().await;
        }
    });
    assert_eq!(pool.len(), 0, "after hours without a use");
    drop(start_up);
}

#[test]
fn pools_of_odd_sizes_hold_what_they_say() {
    let (_aws, base) = aws();
    let hub = RoleChain::from_source(&base).unwrap();
    let mut failed = false;
    for max in [0, 1, 2, 3, 5, 10, 33, 100] {
        let pool = ChainPool::builder(hub.clone()).max_chains(max).build();
        let arn = |i: usize| format!("arn:aws:iam::333333333333:role/Tenant{i}");
        let role = |i: usize| Role::new(arn(i));
        for i in 0..max.max(2) {
            pool.get(role(i)).unwrap();
        }
        assert_eq!(pool.len(), max.max(2));
        let mut lost = 0;
        for i in 0..3 * max + 1 {
            pool.get(role(1000 + i)).unwrap();
            assert!(pool.len() <= max.max(2));
            let chains = pool.chains();
            lost += usize::from(!chains.iter().any(|c| c.role_arn() == Some(&arn(1000 + i))));
        }
        println!(
            "max_chains({max}): of {} new chains {lost} were not there right after get",
            3 * max + 1
        );
        failed |= lost > 0;
    }
    assert!(!failed);
}

/// If all current customers fit, each of them gets one chain, and yesterday's chains are evicted.
#[test]
fn customers_that_fit_make_one_chain_each_whoever_was_there_before() {
    let (_aws, base) = aws();
    let hub = RoleChain::from_source(&base).unwrap();
    let mut failed = false;
    for (max, now) in [(100, 40), (100, 60), (100, 90), (1000, 900), (1000, 600)] {
        let pool = ChainPool::builder(hub.clone()).max_chains(max).build();
        let role =
            |who: &str, i: usize| Role::new(format!("arn:aws:iam::333333333333:role/{who}{i}"));
        for i in 0..max {
            pool.get(role("Yesterday", i)).unwrap();
        }
        let mut misses = Vec::new();
        for _ in 0..10 {
            let mut made = 0;
            for i in 0..now {
                let before: Vec<_> = if max == 100 {
                    pool.chains()
                } else {
                    Vec::new()
                };
                let chain = pool.get(role("Today", i)).unwrap();
                if max == 100 {
                    made += usize::from(!before.iter().any(|c| c.role_arn() == chain.role_arn()));
                }
            }
            misses.push(made);
        }
        let there = pool.chains();
        let today = there
            .iter()
            .filter(|c| c.role_arn().unwrap().contains("Today"))
            .count();
        println!(
            "max_chains({max}), {now} customers in turn: misses by round {misses:?}; at the end {today} of {now} are there"
        );
        failed |= today < now;
    }
    assert!(!failed);
}

#[test]
fn a_pool_without_a_bound_can_be_built() {
    let (_aws, base) = aws();
    let hub = RoleChain::from_source(&base).unwrap();
    let pool = ChainPool::builder(hub)
        .max_chains(usize::MAX)
        .max_idle(Duration::MAX)
        .build();
    pool.get(Role::new(HUB)).unwrap();
    assert_eq!(pool.len(), 1);
}

/// The sweeper is gone with its runtime, and the customers who return create no new chain.
#[test]
fn a_pool_is_swept_after_its_first_runtime_was_dropped_though_nobody_new_comes() {
    let (aws, base) = aws();
    let pool = ChainPool::new(RoleChain::from_source(&base).unwrap());
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    runtime().block_on(async {
        pool.get(Role::new(HUB)).unwrap();
        pool.get(Role::new(HUB).session_name("idle")).unwrap();
    });
    runtime().block_on(async {
        for _ in 0..48 {
            pool.get(Role::new(HUB)).unwrap();
            aws.clock().advance(HOUR / 2).await;
            settle().await;
        }
    });
    assert!(pool.len() < 2, "{} after a day", pool.len());
}
