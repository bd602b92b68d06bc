//! The figures of the feature `metrics`.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{ChainPool, Role, RoleChain};
use aws_smithy_async::time::TimeSource;
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sts_simulator::Fault;

use tokio::task::JoinSet;

use crate::common::*;

/// Each figure with its labels, and its values.
fn figures(snapshotter: &Snapshotter) -> Vec<(MetricKind, String, Vec<f64>)> {
    let mut figures: Vec<_> = (snapshotter.snapshot().into_vec().into_iter())
        .map(|(key, _, _, value)| {
            let (kind, key) = key.into_parts();
            let labels: Vec<_> = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let name = key.name().trim_start_matches("aws_role_chain_");
            let values = match value {
                DebugValue::Counter(n) => vec![n as f64],
                DebugValue::Gauge(n) => vec![n.into_inner()],
                DebugValue::Histogram(all) => all.into_iter().map(|n| n.into_inner()).collect(),
            };
            (kind, format!("{name} {}", labels.join(" ")), values)
        })
        .collect();
    figures.sort_by(|a, b| a.1.cmp(&b.1));
    figures
}

#[test]
fn loads_waits_and_pools_are_counted_with_labels_of_few_values() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (aws, base) = aws();
            aws.set_latency(Duration::from_millis(20));
            let pool = ChainPool::builder(RoleChain::new(&base, Role::new(HUB)).unwrap())
                .max_chains(2)
                .build();
            let tenant = pool.get(Role::new(TENANT)).unwrap();
            pool.get(Role::new(TENANT)).unwrap();
            tenant.provide_credentials().await.unwrap();
            aws.fail(Fault::error(403, "AccessDenied", "no").role(TENANT));
            aws.clock().advance(40 * MINUTE).await;
            tenant.refresh().await.unwrap_err();
            for i in 0..2 {
                pool.get(Role::new(MIDDLE).session_name(format!("name-{i}")))
                    .unwrap();
            }
            drop(pool);
        });
    });
    let figures = figures(&snapshotter);
    let value = |name: &str| {
        let found = figures.iter().find(|(_, figure, _)| figure == name);
        found
            .unwrap_or_else(|| panic!("{name}: {figures:#?}"))
            .2
            .clone()
    };
    let loads = "operation=AssumeRole outcome";
    assert_eq!(value(&format!("loads_total {loads}=success")), [2.0]);
    assert_eq!(value(&format!("loads_total {loads}=refused")), [1.0]);
    let took = value(&format!("load_duration_seconds {loads}=success"));
    assert!(
        took.iter().all(|took| (0.02..0.05).contains(took)),
        "{took:?}"
    );
    // Of the new credentials, and of those still cached.
    let left = value(&format!("seconds_until_expiry {loads}=success"));
    assert!(
        left.iter().all(|left| (3599.0..=3600.0).contains(left)),
        "{left:?}"
    );
    let left = value(&format!("seconds_until_expiry {loads}=refused"));
    assert!(
        left.iter().all(|left| (1198.0..=1200.0).contains(left)),
        "{left:?}"
    );
    assert_eq!(value("sts_wait_seconds region=eu-west-1"), [0.0; 3]);
    assert_eq!(value("pool_gets_total result=hit"), [1.0]);
    assert_eq!(value("pool_gets_total result=miss"), [3.0]);
    assert_eq!(value("pool_evictions_total reason=size"), [1.0]);
    assert_eq!(value("pool_chains "), [0.0]);
    let shown = format!("{figures:?}");
    assert!(
        !shown.contains("arn:") && !shown.contains("Tenant"),
        "{shown}"
    );
}

#[test]
fn a_session_that_came_back_expired_is_no_success() {
    use metrics_util::debugging::DebuggingRecorder;
    #[derive(Debug)]
    struct Ahead(sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> SystemTime {
            self.0.now() + 2 * HOUR
        }
    }
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (aws, base) = aws();
            let base = base.into_builder().time_source(Ahead(aws.clock())).build();
            let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
            hub.refresh().await.unwrap_err();
        });
    });
    let all = snapshotter.snapshot().into_vec();
    let loads: Vec<_> = all
        .iter()
        .filter(|(key, ..)| key.key().name() == "aws_role_chain_loads_total")
        .map(|(key, _, _, value)| format!("{:?} {value:?}", key.key().labels().collect::<Vec<_>>()))
        .collect();
    assert!(
        !loads.iter().any(|load| load.contains("success")),
        "{loads:?}"
    );
}

/// The worst waits: those of calls that never had their turn.
#[test]
fn waits_that_ended_without_a_turn_are_counted_too() {
    use metrics_util::debugging::DebuggingRecorder;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (aws, base) = aws();
            let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
            hub.limit_sts_calls(NonZeroU32::MIN);
            hub.refresh().await.unwrap();
            let mut calls = JoinSet::new();
            for tenant in tenants_of(&aws, &hub, 200) {
                calls.spawn(async move { tenant.refresh().await });
            }
            calls.join_all().await;
        });
    });
    let mut shown = Vec::new();
    let mut waits = 0;
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        let labels: Vec<_> = key.key().labels().map(|l| l.value().to_owned()).collect();
        match value {
            metrics_util::debugging::DebugValue::Histogram(all) => {
                if name.ends_with("sts_wait_seconds") {
                    waits = all.len();
                }
                shown.push(format!("{name} {labels:?}: {} values", all.len()));
            }
            other => shown.push(format!("{name} {labels:?}: {other:?}")),
        }
    }
    assert_eq!(waits, 201, "{shown:#?}");
}
