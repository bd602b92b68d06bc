//! The metrics of the feature `metrics`, and the events of `tracing`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_role_chain::{
    ChainPool, MfaRequest, Role, RoleChain, SamlAssertion, SessionTokenRequest, WebIdentityToken,
};
use aws_sdk_sts::config::retry::RetryConfig;
use aws_smithy_async::time::TimeSource;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sts_simulator::Fault;

use tokio::task::JoinSet;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::common::log::Log;
use crate::common::*;

/// Each metric with its labels and values.
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

/// Runs a program with paused time, and returns what it records.
fn record(program: impl Future<Output = ()>) -> Snapshotter {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(program));
    snapshotter
}

#[test]
fn loads_waits_and_pools_are_counted_with_labels_of_few_values() {
    let snapshotter = record(async {
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
    // The lifetime of the new credentials and, after a failure, of the cached ones.
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
    #[derive(Debug)]
    struct Ahead(sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> SystemTime {
            self.0.now() + 2 * HOUR
        }
    }
    let snapshotter = record(async {
        let (aws, base) = aws();
        let base = base.into_builder().time_source(Ahead(aws.clock())).build();
        let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
        hub.refresh().await.unwrap_err();
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

/// The longest waits: calls that never passed the rate limit.
#[test]
fn waits_that_ended_without_a_turn_are_counted_too() {
    let snapshotter = record(async {
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

/// A program's recorder may run any code, such as calls to the pool.
#[test]
fn a_recorder_may_use_the_pool() {
    struct Looks(OnceLock<ChainPool>);
    impl Looks {
        fn look(&self) {
            let Some(pool) = self.0.get().cloned() else {
                return;
            };
            let (sent, received) = mpsc::channel();
            std::thread::spawn(move || sent.send(pool.len()));
            let chains = received.recv_timeout(Duration::from_secs(60));
            chains.expect("the pool is not locked");
        }
    }
    impl Recorder for Looks {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            self.look();
            Counter::noop()
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            self.look();
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            self.look();
            Histogram::noop()
        }
    }
    let (_aws, base) = aws();
    let source = RoleChain::from_source(&base).unwrap();
    let recorder = Looks(OnceLock::new());
    metrics::with_local_recorder(&recorder, || {
        let pool = ChainPool::builder(source).max_chains(2).build();
        let _ = recorder.0.set(pool.clone());
        for role in [HUB, MIDDLE, TENANT, TENANT] {
            pool.get(Role::new(role)).unwrap();
        }
        pool.retain(|_| false);
    });
}

#[test]
fn chains_that_are_removed_or_idle_are_no_longer_counted() {
    let snapshotter = record(async {
        let (aws, base) = aws();
        let pool = ChainPool::builder(RoleChain::from_source(&base).unwrap()).build();
        for role in [HUB, MIDDLE, TENANT] {
            pool.get(Role::new(role)).unwrap();
        }
        pool.retain(|chain| chain.role_arn() != Some(HUB));
        aws.clock().advance(2 * HOUR).await;
        assert!(pool.is_empty());
    });
    let figures = figures(&snapshotter);
    for (name, value) in [
        ("pool_chains ", 0.0),
        ("pool_evictions_total reason=idle", 2.0),
    ] {
        let found = figures.iter().find(|(_, figure, _)| figure == name);
        assert_eq!(found.unwrap().2, [value], "{name}: {figures:#?}");
    }
}

/// Returns the rows of the front page's table under this heading, split into cells.
fn documented(heading: &str) -> Vec<Vec<&'static str>> {
    let docs = include_str!("../../src/lib.rs").lines();
    let section = docs.skip_while(|line| *line != format!("//! # {heading}"));
    let lines = section
        .skip(1)
        .take_while(|line| !line.starts_with("//! #"));
    let rows = lines.filter(|line| line.starts_with("//! | `"));
    rows.map(|row| row.split('|').skip(1).map(str::trim).collect())
        .collect()
}

/// Returns the words between backticks.
fn code<T: FromIterator<String>>(text: &str) -> T {
    let words = text.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// Returns the words between backticks in the paragraph that lists the values of labels.
fn documented_values() -> BTreeSet<String> {
    let docs = include_str!("../../src/lib.rs");
    let from = docs.find("//! `operation` is").unwrap();
    code(docs[from..].split("//!\n").next().unwrap())
}

#[test]
fn the_figures_are_those_of_the_documentation_with_those_labels_and_values() {
    let snapshotter = record(every_outcome());

    let mut figures = BTreeSet::new();
    let mut values = BTreeSet::new();
    for (key, ..) in snapshotter.snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        let labels: Vec<_> = key.labels().map(|label| label.key().to_owned()).collect();
        let kind = format!("{kind:?}").to_lowercase();
        figures.insert((key.name().to_owned(), kind, labels));
        let of_few = key.labels().filter(|label| label.key() != "region");
        values.extend(of_few.map(|label| label.value().to_owned()));
    }
    let rows = documented("Metrics").into_iter();
    let rows = rows.map(|row| {
        (
            row[0].trim_matches('`').to_owned(),
            row[1].to_owned(),
            code(row[2]),
        )
    });
    assert_eq!(figures, rows.collect());

    let mut expected = documented_values();
    expected.remove("operation");
    expected.remove("outcome");
    // Needs two concurrent loads.
    expected.remove("interaction_required");
    // Values of the pool's labels, which are in the table.
    expected.extend(["hit", "miss", "size", "idle"].map(str::to_owned));
    assert_eq!(values, expected);
}

/// Runs loads with every outcome, and every operation of pools.
async fn every_outcome() {
    async fn load(fault: Option<Fault>) {
        let (aws, base) = aws();
        fault.into_iter().for_each(|fault| aws.fail(fault));
        let retries = RetryConfig::disabled();
        let base = base.into_builder().retry_config(retries).build();
        let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
        let _ = hub.refresh().await;
    }
    load(None).await;
    for fault in [
        Fault::error(403, "AccessDenied", "no"),
        Fault::throttling(),
        Fault::service_unavailable(),
        Fault::connection_closed(),
        Fault::expired_credentials(),
        Fault::garbage(),
    ] {
        load(Some(fault)).await;
    }

    let (aws, base) = aws();
    let fails = |chain: Result<RoleChain, _>| async {
        let chain: RoleChain = chain.unwrap();
        chain.refresh().await.unwrap_err();
    };
    let no_keys = with_source(&base, NoKeys);
    fails(RoleChain::from_source(&no_keys)).await;
    let no_file = WebIdentityToken::from_file("/there/is/no/such/file");
    fails(RoleChain::from_web_identity(&base, Role::new(HUB), no_file)).await;
    let no_assertion = SamlAssertion::from_provider(|| async { Err::<String, _>(NoCode) });
    fails(RoleChain::from_saml(
        &base,
        Role::new(HUB),
        "arn:aws:iam::222222222222:saml-provider/Company",
        no_assertion,
    ))
    .await;
    let no_code = |_: MfaRequest| async { Err::<String, _>(NoCode) };
    let device = "arn:aws:iam::111111111111:mfa/without-a-code";
    let request = SessionTokenRequest::new().mfa(device, no_code);
    fails(RoleChain::from_session_token(&base, request)).await;

    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.limit_sts_calls(NonZeroU32::MIN);
    let mut calls = JoinSet::new();
    for tenant in tenants_of(&aws, &hub, 200) {
        calls.spawn(async move { tenant.refresh().await });
    }
    calls.join_all().await;

    let pool = ChainPool::builder(hub).max_chains(2).build();
    for role in [MIDDLE, MIDDLE, TENANT, HUB] {
        pool.get(Role::new(role)).unwrap();
    }
    aws.clock().advance(2 * HOUR).await;
    settle().await;
    assert!(pool.is_empty());
}

#[derive(Debug)]
struct NoCode;

impl std::fmt::Display for NoCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is none")
    }
}

impl std::error::Error for NoCode {}

#[derive(Debug)]
struct NoKeys;

impl ProvideCredentials for NoKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = CredentialsError::not_loaded("there are none");
        future::ProvideCredentials::ready(Err(error))
    }
}

/// The level and the fields of an event.
type Shape = (String, BTreeSet<String>);

/// The library's events, by name.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<BTreeMap<String, Shape>>>);

impl<S: tracing::Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let event = event.metadata();
        if event.target() != "aws_role_chain" {
            return;
        }
        let level = event.level().as_str().to_lowercase();
        let fields = event.fields().iter().map(|field| field.name().to_owned());
        let fields = fields.filter(|field| field != "message").collect();
        let mut events = self.0.lock().unwrap();
        events.insert(event.name().to_owned(), (level, fields));
    }
}

#[test]
fn the_log_events_are_those_of_the_documentation_with_those_fields() {
    let events = Events::default();
    let (_log, _keep) = Log::at(LevelFilter::OFF);
    let subscriber = tracing_subscriber::registry().with(events.clone());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let (aws, base) = aws();
            let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
            aws.fail(Fault::service_unavailable());
            hub.refresh().await.unwrap_err();
            aws.recover();
            hub.refresh().await.unwrap();
            // The source of the next chain is a role's session.
            aws.role("arn:aws:iam::333333333333:role/Long")
                .trust(trusts("222222222222"))
                .max_session_duration(2 * HOUR)
                .create()
                .unwrap();
            let long = Role::new("arn:aws:iam::333333333333:role/Long").duration(2 * HOUR);
            let chain = RoleChain::new(&hub.sdk_config(), long).unwrap();
            chain.refresh().await.unwrap();
            aws.fail(Fault::service_unavailable());
            chain.refresh().await.unwrap_err();
        });
    });
    let rows = documented("Logs").into_iter();
    let rows = rows.map(|row| {
        let name = row[0].trim_matches('`').to_owned();
        (name, (row[1].to_owned(), code(row[3])))
    });
    assert_eq!(*events.0.lock().unwrap(), rows.collect());
}
