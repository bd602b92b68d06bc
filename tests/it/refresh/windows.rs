//! Refreshes happen in their window, and no caller waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::provider::SharedCredentialsProvider;

use super::*;

/// How often a role with sessions of an hour is assumed in a day: 45 to 52.5 minutes after each session, the next one
/// is loaded.
const LOADS_PER_DAY: std::ops::RangeInclusive<usize> = 27..=32;

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
            LOADS_PER_DAY.contains(&aws.assumed(role)),
            "{role}: {}",
            aws.assumed(role)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_day_behind_the_sdk_identity_cache_nobody_waits_after_the_first_load() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    // The application's own config, with the SDK's default identity cache.
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
        // The call takes as long as Firehose takes to answer, and no longer.
        let took = aws.clock().elapsed() - before;
        assert_eq!(took, LATENCY, "a call waited at {before:?}");
        aws.clock().advance(10 * SECOND).await;
    }

    assert_eq!(answered.load(Ordering::Relaxed), 1 + 24 * 60 * 6);
    for role in [HUB, TENANT] {
        assert!(
            LOADS_PER_DAY.contains(&aws.assumed(role)),
            "{role}: {}",
            aws.assumed(role)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_refresh_window_depends_on_the_lifetime_and_its_start_is_spread() {
    // The lifetime, and the earliest and latest time of the refresh, in minutes.
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
