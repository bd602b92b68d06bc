//! What callers get while STS is unavailable or denies their calls.

use tracing_subscriber::filter::LevelFilter;

use super::*;
use crate::common::log::Log;

#[tokio::test(start_paused = true)]
async fn an_outage_from_the_window_to_a_second_before_expiry_goes_unnoticed() {
    // Each retry waits for a quarter of the remaining time: about thirty loads of three attempts, for two hops. A
    // throttled load calls once or twice a second, for two minutes.
    let faults = [
        (Fault::service_unavailable(), 200),
        (Fault::throttling(), 2 * 16 * 60),
        (Fault::no_answer(), 200),
        (Fault::connection_closed(), 200),
        (Fault::error(403, "AccessDenied", "not today"), 200),
    ];
    for (fault, most) in faults {
        let (aws, base) = aws();
        let tenant = two_hops(&base);
        tenant.provide_credentials().await.unwrap();
        aws.set_latency(LATENCY);
        aws.clock().advance(44 * MINUTE).await;

        aws.fail(fault.clone());
        // Until one second before expiry; STS's expiry has no fractions of a second.
        for _ in 0..16 * 60 - 2 {
            call_at_once(&aws, &tenant).await;
            aws.clock().advance(SECOND).await;
        }
        let failed = aws.requests() - 2;
        aws.recover();
        for _ in 0..60 {
            let credentials = call_at_once(&aws, &tenant).await;
            assert!(valid(&aws, &credentials), "{fault:?}");
            aws.clock().advance(SECOND).await;
        }
        assert!((5..most).contains(&failed), "{fault:?}: {failed} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_past_expiry_serves_the_last_credentials_until_sts_recovers() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    let first = tenant.provide_credentials().await.unwrap();
    aws.clock().advance(44 * MINUTE).await;
    aws.fail(Fault::service_unavailable());

    let mut served_after_expiry = 0;
    for _ in 0..30 * 6 {
        let credentials = tenant.provide_credentials().await.unwrap();
        assert_eq!(credentials, first);
        served_after_expiry += usize::from(!valid(&aws, &credentials));
        aws.clock().advance(10 * SECOND).await;
    }
    assert!(served_after_expiry > 50, "{served_after_expiry}");
    let down_at = aws.requests();
    assert!(tenant.status().iter().all(|hop| hop.last_error.is_some()));

    aws.recover();
    let back = aws.clock().elapsed();
    loop {
        let credentials = tenant.provide_credentials().await.unwrap();
        if valid(&aws, &credentials) {
            break;
        }
        aws.clock().advance(SECOND).await;
    }
    let took = aws.clock().elapsed() - back;
    assert!(took <= MINUTE, "recovered after {took:?}");
    assert!(aws.requests() - down_at <= 4, "and gently");
    assert!(tenant.status().iter().all(|hop| hop.last_error.is_none()));
}

#[tokio::test(start_paused = true)]
async fn each_failed_refresh_logs_one_warning_however_many_callers_there_are() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.provide_credentials().await.unwrap();
    aws.clock().advance(44 * MINUTE).await;
    aws.fail(Fault::error(403, "AccessDenied", "not today"));
    let (log, _guard) = Log::at(LevelFilter::WARN);
    for _ in 0..15 * 60 {
        call_at_once(&aws, &chain).await;
        aws.clock().advance(SECOND).await;
    }
    let warnings = log.text();
    assert_eq!(warnings.lines().count(), aws.requests() - 1);
    assert!((2..40).contains(&warnings.lines().count()), "{warnings}");
    for line in warnings.lines() {
        let parts = [
            "aws_role_chain",
            HUB,
            "AccessDenied: not today",
            "are still served",
        ];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_expiry_a_permanent_refusal_reaches_the_caller() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.provide_credentials().await.unwrap();
    aws.fail(Fault::error(403, "AccessDenied", "not any more"));

    aws.clock().advance(HOUR - 2 * SECOND).await;
    call_at_once(&aws, &chain).await;
    aws.clock().advance(MINUTE).await;

    let error = chain.refresh().await.unwrap_err();
    assert!(error.is_access_denied());
    let requests = aws.requests();
    chain.provide_credentials().await.unwrap_err();
    assert_eq!(aws.requests(), requests, "remembered");
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_ignores_a_cached_failure() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    aws.fail(Fault::error(403, "AccessDenied", "not yet"));
    tenant.refresh().await.unwrap_err();
    aws.recover();
    tenant.provide_credentials().await.unwrap_err();
    tenant.refresh().await.unwrap();
    tenant.provide_credentials().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_caller_falls_back_to_the_cached_credentials() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    assert!(chain.fallback_on_interrupt().is_none());
    let credentials = chain.provide_credentials().await.unwrap();
    aws.fail(Fault::no_answer());
    aws.clock().advance(2 * HOUR).await;
    assert_eq!(chain.fallback_on_interrupt(), Some(credentials));
}
