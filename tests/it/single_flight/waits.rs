//! How long a caller waits for a load while credentials are cached.

use super::*;

#[tokio::test(start_paused = true)]
async fn in_the_last_minute_a_herd_waits_for_one_refresh_and_is_served_even_if_it_fails() {
    for fault in [
        None,
        Some(Fault::service_unavailable()),
        Some(Fault::no_answer()),
    ] {
        let (aws, base) = aws();
        let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
        // Without a caller there is no timer that would refresh the chain before.
        chain.refresh().await.unwrap();
        let first = chain.status()[0].access_key_id.clone().unwrap();
        aws.clock().advance(HOUR - Duration::from_secs(30)).await;
        aws.set_latency(Duration::from_millis(20));
        let hangs = fault == Some(Fault::no_answer());
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
        // The SDK makes three attempts, even after the callers were served.
        aws.clock().advance(3 * Duration::from_secs(1)).await;
        let attempts = if fault == Some(Fault::service_unavailable()) {
            3
        } else {
            1
        };
        assert_eq!(aws.requests(), 1 + attempts, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_cached_credentials_nobody_waits_longer_than_five_seconds() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.refresh().await.unwrap();
    aws.fail(Fault::no_answer());
    // Without a caller there is no timer, so the load begins here: before expiry, and long after it.
    for wait in [HOUR - Duration::from_secs(30), 10 * MINUTE, 10 * MINUTE] {
        aws.clock().advance(wait).await;
        let started = aws.clock().elapsed();
        tenant.provide_credentials().await.unwrap();
        let waited = aws.clock().elapsed() - started;
        assert!(waited <= Duration::from_secs(5), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_one_caller_has_waited_in_vain_the_others_do_not_wait_for_that_load() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    aws.clock().advance(2 * HOUR).await;
    aws.fail(Fault::no_answer());
    let mut waited = Duration::ZERO;
    for _ in 0..18 {
        let before = aws.clock().elapsed();
        chain.provide_credentials().await.unwrap();
        waited += aws.clock().elapsed() - before;
        aws.clock().advance(Duration::from_secs(1)).await;
    }
    assert!(waited <= Duration::from_secs(10), "{waited:?}");
}
