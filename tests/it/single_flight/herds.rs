//! Many concurrent callers: with nothing cached, in the refresh window, and while STS denies.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

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
async fn ten_configs_with_ten_clients_each_share_three_requests() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let middle = hub.assume(Role::new(MIDDLE)).unwrap();
    let tenant = middle.assume(Role::new(TENANT)).unwrap();

    let mut calls = JoinSet::new();
    for i in 0..10 {
        // Half of the configs have the SDK's own identity cache, and each of these calls the chain itself.
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

#[tokio::test(start_paused = true)]
async fn more_tenants_than_the_sdk_identity_cache_holds_cost_no_extra_request() {
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
            // All are built on one config, whose identity cache holds 64 identities.
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
    // Without a caller there is no timer, so the herd itself finds the window open.
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
async fn calls_created_before_a_load_and_awaited_after_it_share_its_result() {
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
async fn herds_on_many_threads_make_one_request_per_hop() {
    for _ in 0..20 {
        let (aws, base) = aws();
        let tenant = two_hops(&base);
        assert_eq!(herd(std::iter::repeat_n(tenant, 1000)).await, 1000);
        assert_eq!(aws.requests(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_loop_do_not_flood_sts_while_it_is_down() {
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
        while aws.clock().elapsed() < MINUTE {
            chain.provide_credentials().await.unwrap_err();
            aws.clock().advance(Duration::from_millis(100)).await;
        }
        // There is at most one load per second, with at most three attempts. A throttled load waits for the rate limit,
        // which allows one call per second.
        let seconds = aws.clock().elapsed().as_secs() as usize;
        assert!(
            aws.requests() <= 3 * seconds,
            "{fault:?}: {}",
            aws.requests()
        );
    }
}

#[test]
fn reading_the_status_never_blocks_a_refresh() {
    let (aws, base) = in_runtime(aws);
    let tenant = two_hops(&base);
    let done = AtomicBool::new(false);
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
async fn a_failing_herd_makes_one_request_and_all_get_the_same_error() {
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
        // The failure is cached during this interval.
        tenant.provide_credentials().await.unwrap_err();
        assert_eq!(aws.assumed(TENANT), round);
        aws.clock().advance(Duration::from_secs(5)).await;
    }
    assert_eq!(aws.assumed(HUB), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_joins_the_load_in_flight() {
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
