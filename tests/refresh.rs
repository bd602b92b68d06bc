//! When credentials are refreshed, and what callers get while STS is down; on a clock moved by hand.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain};
use aws_smithy_async::time::TimeSource;
use common::log::Log;
use common::*;
use sts_simulator::{Fault, Simulator};
use tracing_subscriber::filter::LevelFilter;

const SECOND: Duration = Duration::from_secs(1);
/// What every answer of STS's takes, so that a caller that waits can be told from one that does not.
const LATENCY: Duration = Duration::from_millis(50);

/// Calls, and fails if the call took any time.
async fn call_at_once(aws: &Simulator, chain: &RoleChain) -> Credentials {
    let before = aws.clock().elapsed();
    let credentials = chain.provide_credentials().await.unwrap();
    let waited = aws.clock().elapsed() - before;
    assert_eq!(waited, Duration::ZERO, "a caller waited at {before:?}");
    credentials
}

fn valid(aws: &Simulator, credentials: &Credentials) -> bool {
    credentials.expiry().unwrap() > aws.clock().now()
}

/// How often a chain is assumed in a day, if its sessions last an hour: each is renewed 45 to 52.5
/// minutes after the one before.
const A_DAY_S_LOADS: std::ops::RangeInclusive<usize> = 27..=32;

#[tokio::test(start_paused = true)]
async fn in_a_day_of_calls_nobody_waits_after_the_first_load() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.refresh().await.unwrap();
    aws.set_latency(LATENCY);

    for _ in 0..24 * 60 {
        let credentials = call_at_once(&aws, &tenant).await;
        assert!(valid(&aws, &credentials));
        aws.clock().advance(MINUTE).await;
    }

    for role in [HUB, TENANT] {
        assert!(
            A_DAY_S_LOADS.contains(&aws.assumed(role)),
            "{role}: {}",
            aws.assumed(role)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_day_behind_the_sdk_s_own_cache_nobody_waits_after_the_first_load() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    // A config of the application's own, with the default identity cache.
    let answered = Arc::new(AtomicUsize::new(0));
    let counted = answered.clone();
    aws.service("firehose", move |caller, _| {
        assert_eq!(caller.account(), "333333333333");
        counted.fetch_add(1, Ordering::Relaxed);
        let body = r#"{"RecordId": "1"}"#;
        aws_sdk_sts::config::http::HttpResponse::new(200.try_into().unwrap(), body.into())
    });
    let provider = SharedCredentialsProvider::new(tenant);
    let config = base.to_builder().credentials_provider(provider).build();
    let firehose = aws_sdk_firehose::Client::new(&config);
    let record = aws_sdk_firehose::types::Record::builder()
        .data(aws_sdk_firehose::primitives::Blob::new("x"))
        .build()
        .unwrap();
    let put = || {
        firehose
            .put_record()
            .delivery_stream_name("events")
            .record(record.clone())
            .send()
    };
    put().await.unwrap();
    aws.set_latency(LATENCY);

    for _ in 0..24 * 60 * 6 {
        let before = aws.clock().elapsed();
        put().await.unwrap();
        // Firehose's own answer, and nothing else.
        let took = aws.clock().elapsed() - before;
        assert_eq!(took, LATENCY, "a call waited at {before:?}");
        aws.clock().advance(10 * SECOND).await;
    }

    assert_eq!(answered.load(Ordering::Relaxed), 1 + 24 * 60 * 6);
    for role in [HUB, TENANT] {
        assert!(
            A_DAY_S_LOADS.contains(&aws.assumed(role)),
            "{role}: {}",
            aws.assumed(role)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn while_sts_is_down_from_the_window_to_a_second_before_expiry_nobody_notices() {
    let faults = [
        Fault::service_unavailable(),
        Fault::throttling(),
        Fault::NoAnswer,
        Fault::ConnectionClosed,
        Fault::error(403, "AccessDenied", "not today"),
    ];
    for fault in faults {
        let (aws, base) = aws();
        let tenant = two_hops(&base);
        tenant.provide_credentials().await.unwrap();
        aws.set_latency(LATENCY);
        aws.clock().advance(44 * MINUTE).await;

        aws.fail(fault.clone());
        // To one second before the session's expiry, which has no fractions of a second.
        for _ in 0..16 * 60 - 2 {
            call_at_once(&aws, &tenant).await;
            aws.clock().advance(SECOND).await;
        }
        let refused = aws.requests() - 2;
        aws.recover();
        for _ in 0..60 {
            let credentials = call_at_once(&aws, &tenant).await;
            assert!(valid(&aws, &credentials), "{fault:?}");
            aws.clock().advance(SECOND).await;
        }
        // A quarter of what remains each time: some thirty tries of three attempts, for two hops.
        assert!((5..200).contains(&refused), "{fault:?}: {refused} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn while_sts_is_down_past_expiry_the_last_credentials_are_served_until_it_recovers() {
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
async fn each_refresh_that_fails_is_warned_of_once_whoever_calls_meanwhile() {
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
async fn after_expiry_a_refusal_that_no_retry_cures_reaches_the_caller() {
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
async fn a_chain_nobody_uses_stops_calling_sts() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.provide_credentials().await.unwrap();

    aws.clock().advance(24 * HOUR).await;

    // Once in the window of what was handed out; the hub also to serve that.
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
async fn a_refresh_asked_for_replaces_the_timer_with_the_credentials() {
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

#[tokio::test(start_paused = true)]
async fn a_window_opens_as_late_as_the_lifetime_allows_and_not_for_all_at_once() {
    // Lifetime and the earliest and latest moment of its refresh, in minutes.
    let cases = [
        (15, 10.0, 12.5),
        (20, 15.0, 17.5),
        (21, 6.0, 13.5),
        (60, 45.0, 52.5),
        (91, 31.0, 61.0),
        (720, 660.0, 690.0),
    ];
    for (lifetime, earliest, latest) in cases {
        let aws = Simulator::new();
        let base = aws.sdk_config(user(&aws));
        aws.role(HUB)
            .trust(trusts(USER))
            .max_session_duration(12 * HOUR)
            .create()
            .unwrap();
        let mut due = Vec::new();
        for _ in 0..50 {
            let role = Role::new(HUB).duration(lifetime * MINUTE);
            let chain = RoleChain::new(&base, role).unwrap();
            chain.refresh().await.unwrap();
            let next = chain.status()[0].next_refresh.unwrap();
            due.push(
                next.duration_since(aws.clock().now())
                    .unwrap()
                    .as_secs_f64()
                    / 60.0,
            );
        }
        let (first, last) = due
            .iter()
            .fold((f64::MAX, 0.0_f64), |(a, b), &t| (a.min(t), b.max(t)));
        // STS's expiry has no fractions of a second.
        assert!(
            first > earliest - 0.02 && last <= latest,
            "{lifetime}: {first} to {last}"
        );
        assert!(
            last - first > (latest - earliest) / 2.0,
            "{lifetime}: {first} to {last} is no spread"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_already_expired_is_a_failure() {
    let (aws, base) = aws();
    // A machine whose clock is two hours ahead. The SDK corrects its signatures, and only them.
    #[derive(Debug)]
    struct Ahead(sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> std::time::SystemTime {
            self.0.now() + 2 * HOUR
        }
    }
    let base = base.into_builder().time_source(Ahead(aws.clock())).build();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();

    let error = chain.refresh().await.unwrap_err();

    assert!(
        error.to_string().contains("came back expired at"),
        "{error}"
    );
    assert!(
        error.to_string().contains("this machine's clock"),
        "{error}"
    );
    assert_eq!(error.code(), None);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_behind_does_not_make_sessions_longer() {
    #[derive(Debug)]
    struct Behind(sts_simulator::Clock);
    impl TimeSource for Behind {
        fn now(&self) -> std::time::SystemTime {
            self.0.now() - 30 * MINUTE
        }
    }
    let (aws, base) = aws();
    let behind = Behind(aws.clock());
    let base = base.into_builder().time_source(Behind(aws.clock())).build();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let credentials = chain.provide_credentials().await.unwrap();
    let left = credentials
        .expiry()
        .unwrap()
        .duration_since(behind.now())
        .unwrap();
    assert!(left <= HOUR, "{left:?}");
    assert_eq!(chain.status()[0].expiry, credentials.expiry());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asked_for_does_not_take_a_remembered_refusal_for_an_answer() {
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
async fn status_tells_each_hop_as_the_chain_sees_it() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    let lines = || -> Vec<String> { tenant.status().iter().map(|hop| hop.to_string()).collect() };
    assert_eq!(
        lines(),
        [
            format!("{HUB}: no credentials yet"),
            format!("{TENANT}: no credentials yet")
        ]
    );

    aws.fail(Fault::ConnectionClosed);
    tenant.refresh().await.unwrap_err();
    let status = tenant.status();
    assert!(
        status
            .iter()
            .all(|hop| hop.is_expired && hop.next_refresh.is_none())
    );
    for line in lines() {
        assert!(line.contains("last load failed: assuming"), "{line}");
        assert!(
            line.contains("(hop 1 of 2): STS could not be called"),
            "{line}"
        );
        assert!(
            line.contains("connection closed"),
            "the cause is told: {line}"
        );
    }

    aws.recover();
    tenant.refresh().await.unwrap();
    assert!(
        tenant
            .status()
            .iter()
            .all(|hop| !hop.is_expired && hop.last_error.is_none())
    );
    aws.clock().advance(2 * HOUR).await;
    assert!(lines()[1].contains(": expired at 20"), "{:?}", lines());
    assert!(tenant.status()[1].is_expired);
}

#[tokio::test(start_paused = true)]
async fn a_role_made_again_kills_the_hub_s_session_and_the_next_load_renews_it() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.provide_credentials().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;

    make_again(&aws, HUB);
    tenant.refresh().await.unwrap();

    assert_eq!([aws.assumed(HUB), aws.assumed(TENANT)], [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_made_again_in_its_session_s_first_minute_is_found_out_when_that_is_over() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    aws.clock().advance(30 * SECOND).await;
    make_again(&aws, HUB);
    tenant.refresh().await.unwrap_err();

    aws.clock().advance(MINUTE).await;
    tenant.refresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_make_a_hub_s_session_young() {
    #[derive(Clone, Debug)]
    struct Ahead(Arc<AtomicUsize>, sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> std::time::SystemTime {
            self.1.now() + MINUTE * self.0.load(Ordering::Relaxed) as u32
        }
    }
    let (aws, base) = aws();
    let minutes = Arc::new(AtomicUsize::new(4));
    let clock = Ahead(minutes.clone(), aws.clock());
    let hub = RoleChain::new(
        &base.to_builder().time_source(clock).build(),
        Role::new(HUB),
    );
    let hub = hub.unwrap();
    hub.refresh().await.unwrap();
    minutes.store(0, Ordering::Relaxed);
    aws.clock().advance(2 * MINUTE).await;
    make_again(&aws, HUB);

    hub.assume(Role::new(TENANT))
        .unwrap()
        .refresh()
        .await
        .unwrap();
}

/// Its sessions die.
fn make_again(aws: &Simulator, role: &str) {
    aws.delete_role(role);
    aws.role(role)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_long_session_from_a_user_s_keys_is_asked_for_as_it_is() {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    aws.role(HUB)
        .trust(trusts(USER))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    let chain = RoleChain::new(&base, Role::new(HUB).duration(12 * HOUR)).unwrap();

    chain.refresh().await.unwrap();

    assert_eq!(asked(&aws), ["43200"]);
    let expiry = chain.status()[0].expiry.unwrap();
    assert!(expiry > aws.clock().now() + 11 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_long_session_from_a_role_s_own_credentials_becomes_one_hour_and_that_is_remembered() {
    let (aws, base) = aws();
    aws.role(TENANT)
        .trust(trusts("222222222222"))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    // As on an EC2 instance: the source is a role session already.
    let instance = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let session = instance.provide_credentials().await.unwrap();
    let source = SharedCredentialsProvider::new(session);
    let on_instance = base.to_builder().credentials_provider(source).build();
    let chain = RoleChain::new(&on_instance, Role::new(TENANT).duration(2 * HOUR)).unwrap();

    let (log, _guard) = Log::at(LevelFilter::WARN);
    chain.refresh().await.unwrap();
    chain.refresh().await.unwrap();

    assert_eq!(asked(&aws)[1..], ["7200", "3600", "3600"]);
    let warnings = log.text();
    assert_eq!(warnings.lines().count(), 1, "{warnings}");
    assert!(
        warnings.contains("role chaining") && warnings.contains(TENANT),
        "{warnings}"
    );
}

fn asked(aws: &Simulator) -> Vec<String> {
    let calls = aws.calls().into_iter();
    calls
        .map(|call| call.duration_seconds.unwrap_or_default())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_last_credentials_are_there_for_a_caller_that_is_interrupted() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    assert!(chain.fallback_on_interrupt().is_none());
    let credentials = chain.provide_credentials().await.unwrap();
    aws.fail(Fault::NoAnswer);
    aws.clock().advance(2 * HOUR).await;
    assert_eq!(chain.fallback_on_interrupt(), Some(credentials));
}
