//! One load at a time, shared by all who wait; a caller that gives up cancels nothing.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_role_chain::{Role, RoleChain};
use common::*;
use sts_simulator::{Fault, Simulator};
use tokio::task::JoinSet;

fn shared(chain: &RoleChain) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(chain.clone())
}

/// `n` callers at once, each in a task of its own; all must get credentials.
async fn herd(chains: impl IntoIterator<Item = RoleChain>) -> usize {
    let mut callers = JoinSet::new();
    for chain in chains {
        callers.spawn(async move { chain.provide_credentials().await.map(drop) });
    }
    let results = callers.join_all().await;
    for result in &results {
        assert!(result.is_ok(), "{result:?}");
    }
    results.len()
}

#[tokio::test(start_paused = true)]
async fn a_cold_herd_on_three_hops_makes_three_requests() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let middle = hub.assume(Role::new(MIDDLE)).unwrap();
    let tenant = middle.assume(Role::new(TENANT)).unwrap();

    let served = herd(std::iter::repeat_n(tenant.clone(), 10_000)).await;

    assert_eq!(served, 10_000);
    assert_eq!(aws.requests(), 3);
    assert_eq!(
        aws.clock().elapsed().as_millis() / 20,
        3,
        "three round trips"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_configs_and_ten_clients_share_the_chain_s_three_requests() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let middle = hub.assume(Role::new(MIDDLE)).unwrap();
    let tenant = middle.assume(Role::new(TENANT)).unwrap();

    let mut calls = JoinSet::new();
    for i in 0..10 {
        // Half with the SDK's own identity cache, each of which asks for itself.
        let config = match i % 2 {
            0 => tenant.sdk_config(),
            _ => {
                let mut config = base.to_builder();
                config.set_credentials_provider(Some(shared(&tenant)));
                config.build()
            }
        };
        for _ in 0..10 {
            let client = aws_sdk_sts::Client::new(&config);
            calls.spawn(async move { client.get_caller_identity().send().await.map(drop) });
        }
    }
    for result in calls.join_all().await {
        assert!(result.is_ok(), "{result:?}");
    }

    let assumed = [HUB, MIDDLE, TENANT].map(|role| aws.assumed(role));
    assert_eq!(assumed, [1, 1, 1]);
}

fn tenants_of(aws: &Simulator, hub: &RoleChain, count: usize) -> Vec<RoleChain> {
    let tenant = |i| {
        let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
        aws.role(&arn)
            .trust(trusts("222222222222"))
            .create()
            .unwrap();
        hub.assume(Role::new(arn)).unwrap()
    };
    (0..count).map(tenant).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_tenants_used_at_once_assume_their_hub_once() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenants = tenants_of(&aws, &hub, 1000);

    assert_eq!(herd(tenants.clone()).await, 1000);

    assert_eq!(aws.requests(), 1 + 1000);
    assert_eq!(aws.assumed(HUB), 1);
    assert!(
        aws.most_in_flight() <= 32,
        "{} at once",
        aws.most_in_flight()
    );
    let took = aws.clock().elapsed();
    assert!(
        took >= Duration::from_millis(1980),
        "500 a second: {took:?}"
    );

    herd(tenants).await;
    assert_eq!(aws.requests(), 1 + 1000, "the second round costs nothing");
}

#[tokio::test(start_paused = true)]
async fn hundreds_used_at_once_wait_for_their_places_only_and_then_for_the_second_to_pass() {
    let (aws, base) = aws();
    let latency = Duration::from_millis(20);
    aws.set_latency(latency);
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    aws.clock().advance(MINUTE).await;
    let tenants = tenants_of(&aws, &hub, 600);
    let mut took = Vec::new();
    for some in [&tenants[..480], &tenants[480..]] {
        let before = aws.clock().elapsed();
        assert_eq!(herd(some.iter().cloned()).await, some.len());
        took.push(aws.clock().elapsed() - before);
    }

    assert_eq!(took[0], latency * 480 / 32);
    // 20 more of that second's, and 100 of the next.
    let all = took[0] + took[1];
    let second = Duration::from_secs(1);
    assert!(all > second && all < second + latency * 10, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn tenants_beyond_the_sdk_s_identity_cache_cost_no_request() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let clients: Vec<_> = (0..200)
        .map(|i| {
            let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
            aws.role(&arn)
                .trust(trusts("222222222222"))
                .create()
                .unwrap();
            let tenant = hub.assume(Role::new(arn)).unwrap();
            // All on one config, whose identity cache holds 64.
            let config = base
                .to_builder()
                .credentials_provider(shared(&tenant))
                .build();
            aws_sdk_sts::Client::new(&config)
        })
        .collect();
    for _ in 0..3 {
        for client in &clients {
            client.get_caller_identity().send().await.unwrap();
        }
    }
    let assume_role = aws
        .calls()
        .iter()
        .filter(|call| call.action == "AssumeRole")
        .count();
    assert_eq!(assume_role, 1 + 200);
}

#[tokio::test(start_paused = true)]
async fn a_stale_herd_makes_one_request_and_nobody_waits() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    // Never served, so there is no timer: the herd itself finds the window open.
    chain.refresh().await.unwrap();
    aws.clock().advance(HOUR - 2 * MINUTE).await;
    assert_eq!(aws.requests(), 1);

    aws.set_latency(Duration::from_millis(20));
    let now = aws.clock().elapsed();
    assert_eq!(herd(std::iter::repeat_n(chain.clone(), 1000)).await, 1000);
    assert_eq!(aws.clock().elapsed(), now, "nobody waits");
    aws.clock().advance(MINUTE / 2).await;
    herd(std::iter::repeat_n(chain.clone(), 1000)).await;
    assert_eq!(aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn in_the_last_minute_a_herd_waits_for_one_refresh_and_is_served_if_that_fails() {
    for fault in [
        None,
        Some(Fault::service_unavailable()),
        Some(Fault::NoAnswer),
    ] {
        let (aws, base) = aws();
        let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
        // Never served, so there is no timer that would refresh it before.
        chain.refresh().await.unwrap();
        let first = chain.status()[0].access_key_id.clone().unwrap();
        aws.clock().advance(HOUR - Duration::from_secs(30)).await;
        aws.set_latency(Duration::from_millis(20));
        let hangs = matches!(fault, Some(Fault::NoAnswer));
        if let Some(fault) = &fault {
            aws.fail(fault.clone());
        }

        let mut callers = JoinSet::new();
        for _ in 0..1000 {
            let chain = chain.clone();
            callers.spawn(async move { chain.provide_credentials().await.unwrap() });
        }
        if hangs {
            settle().await;
            aws.recover();
        }
        for credentials in callers.join_all().await {
            let renewed = credentials.access_key_id() != first;
            assert_eq!(renewed, fault.is_none() || hangs, "{fault:?}");
        }
        // The SDK tries a call three times, also after its callers were served.
        aws.clock().advance(3 * Duration::from_secs(1)).await;
        let attempts = if matches!(fault, Some(Fault::Error { .. })) {
            3
        } else {
            1
        };
        assert_eq!(aws.requests(), 1 + attempts, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_credentials_in_hand_nobody_waits_longer_than_five_seconds() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.refresh().await.unwrap();
    aws.fail(Fault::NoAnswer);
    // Never handed out, so no timer has tried: before expiry, and long after it.
    for wait in [HOUR - Duration::from_secs(30), 10 * MINUTE, 10 * MINUTE] {
        aws.clock().advance(wait).await;
        let asked = aws.clock().elapsed();
        tenant.provide_credentials().await.unwrap();
        let waited = aws.clock().elapsed() - asked;
        assert!(waited <= Duration::from_secs(5), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_begun_before_a_load_and_awaited_after_it_share_it() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let calls: Vec<_> = (0..20).map(|_| chain.provide_credentials()).collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(aws.requests(), 1);

    aws.role(MIDDLE)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    let denied = RoleChain::new(&base, Role::new(MIDDLE)).unwrap();
    let calls: Vec<_> = (0..20).map(|_| denied.provide_credentials()).collect();
    for call in calls {
        call.await.unwrap_err();
    }
    assert_eq!(aws.assumed(MIDDLE), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn herds_on_many_threads_make_one_request_a_hop() {
    for _ in 0..20 {
        let (aws, base) = aws();
        let tenant = two_hops(&base);
        assert_eq!(herd(std::iter::repeat_n(tenant, 1000)).await, 1000);
        assert_eq!(aws.requests(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_loop_while_sts_is_down_do_not_hammer_it() {
    for fault in [
        Fault::throttling(),
        Fault::error(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ),
        Fault::error(403, "AccessDenied", "no"),
    ] {
        let (aws, base) = aws();
        let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
        aws.fail(fault.clone());
        for _ in 0..600 {
            chain.provide_credentials().await.unwrap_err();
            aws.clock().advance(Duration::from_millis(100)).await;
        }
        // Three attempts a load at the most, a load a second.
        assert!(aws.requests() <= 200, "{fault:?}: {}", aws.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_calls_are_refused_for_their_credentials_leaves_its_hub_alone() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let good = hub.assume(Role::new(MIDDLE)).unwrap();
    let bad = hub.assume(Role::new(TENANT).region("ap-east-1")).unwrap();
    good.provide_credentials().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;
    // As where a region is not enabled in the caller's account.
    let invalid = "The security token included in the request is invalid.";
    aws.fail_role(TENANT, Fault::error(403, "InvalidClientTokenId", invalid));
    for _ in 0..30 {
        bad.provide_credentials().await.unwrap_err();
        aws.clock().advance(Duration::from_secs(10)).await;
    }
    assert_eq!(aws.assumed(HUB), 2, "it is tried once with a new session");
    aws.fail_role(HUB, Fault::service_unavailable());
    bad.provide_credentials().await.unwrap_err();
    hub.provide_credentials().await.unwrap();
    good.provide_credentials().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_tenants_whose_calls_are_refused_leave_their_hub_alone_too() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.provide_credentials().await.unwrap();
    let bad: Vec<RoleChain> = (0..20)
        .map(|i| {
            let arn = format!("arn:aws:iam::333333333333:role/Bad{i}");
            aws.fail_role(&arn, Fault::error(403, "InvalidClientTokenId", "invalid"));
            hub.assume(Role::new(arn)).unwrap()
        })
        .collect();
    for _ in 0..20 {
        for chain in &bad {
            chain.provide_credentials().await.unwrap_err();
        }
        aws.clock().advance(Duration::from_secs(10)).await;
    }
    // In 200 s, one a minute at the most.
    assert!(aws.assumed(HUB) <= 1 + 3, "{}", aws.assumed(HUB));
}

#[test]
fn asking_for_the_status_never_gets_in_the_way_of_a_refresh() {
    let (aws, base) = in_runtime(aws);
    let tenant = two_hops(&base);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let shown = format!("{:?} {:?}", tenant.status(), tenant);
                    assert!(shown.contains(TENANT));
                }
            });
        }
        runtime().block_on(async {
            for _ in 0..300 {
                tenant.refresh().await.unwrap();
            }
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(aws.assumed(TENANT), 300);
}

#[tokio::test(start_paused = true)]
async fn once_a_caller_has_waited_in_vain_the_others_do_not_wait_for_that_load() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    aws.clock().advance(2 * HOUR).await;
    aws.fail(Fault::NoAnswer);
    let mut waited = Duration::ZERO;
    for _ in 0..18 {
        let before = aws.clock().elapsed();
        chain.provide_credentials().await.unwrap();
        waited += aws.clock().elapsed() - before;
        aws.clock().advance(Duration::from_secs(1)).await;
    }
    assert!(waited <= Duration::from_secs(10), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_hangs_does_not_hold_up_another() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    let mut hanging = JoinSet::new();
    for i in 0..100 {
        let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
        aws.fail_role(&arn, Fault::NoAnswer);
        let tenant = hub.assume(Role::new(arn).region("ap-east-1")).unwrap();
        hanging.spawn(async move { tenant.refresh().await });
    }
    settle().await;
    let now = aws.clock().elapsed();
    hub.assume(Role::new(TENANT))
        .unwrap()
        .refresh()
        .await
        .unwrap();
    assert_eq!(aws.clock().elapsed(), now);
}

#[test]
fn a_runtime_that_is_driven_no_more_does_not_hold_up_another() {
    let paused = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::NoAnswer);
    // It lives on, with the load in it, and nobody polls it again.
    let first = paused();
    first.block_on(async {
        let mut call = Box::pin(chain.provide_credentials());
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
    });
    aws.recover();

    paused()
        .block_on(async { chain.provide_credentials().await.map(drop) })
        .unwrap();
    assert_eq!(aws.requests(), 2);
    // The first load lands after all, and is not taken for the newer.
    let newer = chain.status()[0].access_key_id.clone();
    first.block_on(settle());
    assert_eq!(chain.status()[0].access_key_id, newer);
}

#[tokio::test(start_paused = true)]
async fn a_failing_herd_makes_one_request_and_all_fail_alike() {
    let (aws, base) = aws();
    aws.role(TENANT)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    aws.set_latency(Duration::from_millis(20));
    let tenant = two_hops(&base);

    for round in 1..=3 {
        let mut callers = JoinSet::new();
        for _ in 0..1000 {
            let tenant = tenant.clone();
            callers.spawn(async move { tenant.provide_credentials().await });
        }
        let started = aws.clock().elapsed();
        for result in callers.join_all().await {
            let error = result.unwrap_err();
            let text = aws_role_chain::Error::find(&error).unwrap().to_string();
            for part in [
                "(hop 2 of 2): AccessDenied",
                TENANT,
                "request id",
                "external_id",
            ] {
                assert!(text.contains(part), "{text}");
            }
        }
        let took = aws.clock().elapsed() - started;
        assert!(
            took <= Duration::from_millis(50),
            "all fail promptly, after {took:?}"
        );
        assert_eq!(
            aws.assumed(TENANT),
            round,
            "one request a remembered interval"
        );
        // Within the interval the answer is remembered.
        tenant.provide_credentials().await.unwrap_err();
        assert_eq!(aws.assumed(TENANT), round);
        aws.clock().advance(Duration::from_secs(5)).await;
    }
    assert_eq!(aws.assumed(HUB), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_longer_than_every_caller_s_patience_completes_once() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(200));
    let tenant = two_hops(&base);
    let patience = Duration::from_millis(300);

    let mut gave_up = 0;
    for _ in 0..20 {
        match tokio::time::timeout(patience, tenant.provide_credentials()).await {
            Err(_) => gave_up += 1,
            Ok(result) => drop(result.unwrap()),
        }
    }

    assert_eq!(gave_up, 1, "the second caller finds the first one's load");
    assert_eq!(aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_sdk_client_with_a_timeout_shorter_than_the_load_succeeds_at_the_next_call() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(200));
    let tenant = two_hops(&base);
    // The client's own answers take 200 ms too.
    let timeouts = aws_sdk_sts::config::timeout::TimeoutConfig::builder()
        .operation_timeout(Duration::from_millis(300))
        .build();
    let config = base
        .to_builder()
        .credentials_provider(shared(&tenant))
        .timeout_config(timeouts);
    let client = aws_sdk_sts::Client::new(&config.build());

    let first = client.get_caller_identity().send().await;
    let second = client.get_caller_identity().send().await;
    let third = client.get_caller_identity().send().await;

    assert!(first.is_err());
    assert!(second.is_ok() || third.is_ok(), "{second:?} {third:?}");
    assert_eq!([aws.assumed(HUB), aws.assumed(TENANT)], [1, 1]);
}

#[tokio::test]
async fn a_leader_that_is_dropped_leaves_its_load_to_the_others() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::NoAnswer);

    let mut leader = Box::pin(chain.provide_credentials());
    let mut follower = Box::pin(chain.provide_credentials());
    let mut context = Context::from_waker(Waker::noop());
    assert!(leader.as_mut().poll(&mut context).is_pending());
    assert!(follower.as_mut().poll(&mut context).is_pending());
    settle().await;
    assert_eq!(aws.requests(), 1, "the load has begun");
    drop(leader);
    settle().await;
    aws.recover();

    follower.await.unwrap();
    assert_eq!(aws.requests(), 1);
}

#[tokio::test]
async fn a_slow_parent_is_loaded_once_for_all_its_children() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let first = hub.assume(Role::new(TENANT)).unwrap();
    let second = hub.assume(Role::new(MIDDLE)).unwrap();
    aws.fail_role(HUB, Fault::NoAnswer);

    let callers = [first, second]
        .map(|chain| tokio::spawn(async move { chain.provide_credentials().await.map(drop) }));
    settle().await;
    assert_eq!(aws.requests(), 1, "the children wait for their parent");
    aws.recover();

    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(aws.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_joins_the_load_under_way() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();

    let (a, b, c) = tokio::join!(
        chain.refresh(),
        chain.refresh(),
        chain.provide_credentials()
    );

    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(aws.requests(), 1);
    chain.refresh().await.unwrap();
    assert_eq!(aws.requests(), 2, "a later one loads anew");
}

#[test]
fn a_runtime_dropped_with_a_load_in_flight_leaves_nothing_stuck() {
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::NoAnswer);

    let first = runtime();
    first.block_on(async {
        let mut call = Box::pin(chain.provide_credentials());
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
    });
    assert_eq!(aws.requests(), 1, "the load has begun");
    drop(first);
    aws.recover();

    for _ in 0..2 {
        runtime()
            .block_on(async { chain.provide_credentials().await.map(drop) })
            .unwrap();
    }
    assert_eq!(
        aws.requests(),
        2,
        "the next runtime loads again, the one after has it in hand"
    );
}

#[test]
fn a_waiter_in_another_runtime_takes_over_a_load_whose_runtime_is_dropped() {
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::NoAnswer);

    let (first, second) = (runtime(), runtime());
    let mut context = Context::from_waker(Waker::noop());
    first.block_on(async {
        let mut call = Box::pin(chain.provide_credentials());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
    });
    let mut waiter = Box::pin(chain.provide_credentials());
    second.block_on(async {
        assert!(waiter.as_mut().poll(&mut context).is_pending());
    });
    drop(first);
    aws.recover();

    second.block_on(waiter).unwrap();
    assert_eq!(aws.requests(), 2);
}

#[test]
fn a_timer_that_died_with_its_runtime_is_set_again_by_the_next() {
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    runtime()
        .block_on(async { chain.provide_credentials().await.map(drop) })
        .unwrap();
    assert_eq!(aws.requests(), 1);

    // Paused from the start, so that the hour passes in no time.
    let second = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    second.block_on(async {
        chain.provide_credentials().await.unwrap();
        aws.clock().advance(HOUR - MINUTE).await;
    });

    assert_eq!(
        aws.requests(),
        2,
        "refreshed in its window, though nobody asked"
    );
}

#[test]
fn without_a_runtime_a_load_is_an_error_that_says_so_and_cached_credentials_are_served() {
    let (aws, base) = in_runtime(aws);
    let tenant = two_hops(&base);

    let error = block_on(tenant.refresh()).unwrap_err();
    assert!(
        error.to_string().contains("no running tokio runtime"),
        "{error}"
    );
    assert!(!error.is_transient());
    let error = block_on(tenant.provide_credentials()).unwrap_err();
    assert!(
        matches!(error, CredentialsError::InvalidConfiguration(_)),
        "{error:?}"
    );
    assert_eq!(aws.requests(), 0);

    let loaded = runtime().block_on(tenant.provide_credentials()).unwrap();
    assert_eq!(block_on(tenant.provide_credentials()).unwrap(), loaded);
}

#[derive(Debug)]
struct Source {
    keys: Credentials,
    asked: Arc<AtomicUsize>,
    panics: usize,
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::new(async move {
            assert!(asked >= self.panics, "the provider's own bug");
            Ok::<_, CredentialsError>(self.keys.clone())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_source_provider_is_an_error_for_its_waiters() {
    let (aws, base) = aws();
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Source {
        keys: user(&aws),
        asked: asked.clone(),
        panics: 1,
    };
    let tenant = two_hops(&with_source(&base, source));

    let (first, second) = tokio::join!(tenant.refresh(), tenant.provide_credentials());
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert!(first.to_string().contains("panicked"), "{first}");
    assert!(
        matches!(second, CredentialsError::Unhandled(_)),
        "{second:?}"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    aws.clock().advance(Duration::from_secs(1)).await;
    tenant.provide_credentials().await.unwrap();
    assert_eq!(
        asked.load(Ordering::Relaxed),
        2,
        "the next call tries again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_and_asked_again() {
    #[derive(Debug)]
    struct Hangs;
    impl ProvideCredentials for Hangs {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }
    let (aws, base) = aws();
    let chain = RoleChain::new(&with_source(&base, Hangs), Role::new(HUB)).unwrap();

    let error = chain.refresh().await.unwrap_err();

    assert!(error.is_source_failure() && error.is_transient(), "{error}");
    assert_eq!(aws.clock().elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_asked_once_a_load_and_its_new_keys_are_used() {
    let (aws, base) = aws();
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Source {
        keys: user(&aws),
        asked: asked.clone(),
        panics: 0,
    };
    let chain = RoleChain::new(&with_source(&base, source), Role::new(HUB)).unwrap();
    for _ in 0..100 {
        chain.provide_credentials().await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn in_runtime<T>(make: impl FnOnce() -> T) -> T {
    runtime().block_on(async { make() })
}

/// An executor that is not tokio's.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

// Handles go between threads and tasks.
const _: fn() = || {
    fn is<T: Clone + Send + Sync + std::fmt::Debug>() {}
    is::<RoleChain>();
    is::<Simulator>();
    is::<aws_role_chain::Error>();
};
