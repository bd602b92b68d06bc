//! When a chain refreshes on its own, and when it stops.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_unused_chain_stops_calling_sts() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.provide_credentials().await.unwrap();

    aws.clock().advance(24 * HOUR).await;

    // The tenant is refreshed once, in the window of the credentials that were served. That may require one more load
    // of the hub.
    assert_eq!(aws.assumed(TENANT), 2);
    assert!(aws.assumed(HUB) <= 3, "{}", aws.assumed(HUB));
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_only_warmed_up_never_refreshes_itself() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    aws.clock().advance(24 * HOUR).await;
    assert_eq!(aws.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unused_chain_whose_refreshes_fail_stops_at_expiry() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.provide_credentials().await.unwrap();
    aws.fail(Fault::service_unavailable());
    aws.clock().advance(HOUR + MINUTE).await;
    let at_expiry = aws.requests();
    aws.clock().advance(24 * HOUR).await;
    assert_eq!(aws.requests(), at_expiry);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_chain_leaves_no_task_behind() {
    let (aws, base) = aws();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    for tenant in [hub.assume(Role::new(TENANT)), hub.assume(Role::new(MIDDLE))] {
        tenant.unwrap().provide_credentials().await.unwrap();
    }
    settle().await;
    assert_eq!(tasks(), before + 1, "the hub's timer; the tenants are gone");
    drop(hub);
    settle().await;
    assert_eq!(tasks(), before);
    aws.clock().advance(24 * HOUR).await;
    assert_eq!(aws.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_replaces_the_timer_together_with_the_credentials() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    for _ in 0..10 {
        chain.provide_credentials().await.unwrap();
        chain.refresh().await.unwrap();
        chain.provide_credentials().await.unwrap();
    }
    settle().await;
    assert_eq!(tasks(), 1);
    assert_eq!(aws.requests(), 11);
}
