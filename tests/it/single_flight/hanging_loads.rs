//! Loads that hang: which callers wait for them, for how long, and what happens to them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::future;
use aws_smithy_async::time::TimeSource;
use aws_types::SdkConfig;
use sts_simulator::Clock;
use tokio::runtime::Runtime;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A source that returns sessions of 20 s, or hangs.
#[derive(Debug, Clone)]
struct ShortSessions {
    clock: Clock,
    hangs: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for ShortSessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::new(async move {
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let expiry = self.clock.now() + 20 * SECOND;
            let token = Some("token".to_owned());
            Ok(Credentials::new(
                format!("ASIA{number}"),
                "secret",
                token,
                Some(expiry),
                "test",
            ))
        })
    }
}

/// Makes a hundred calls a second with a deadline of one second for as long as the session is valid, and
/// returns how many of them failed.
async fn failed_calls(hang_after: Duration) -> usize {
    let aws = Simulator::new();
    let source = ShortSessions {
        clock: aws.clock().clone(),
        hangs: Arc::default(),
        calls: Arc::default(),
    };
    let base = with_source(&aws.sdk_config(user(&aws)), source.clone());
    let chain = RoleChain::from_source(&base).unwrap();
    let first = chain.provide_credentials().await.unwrap();
    let valid_until = first.expiry().unwrap();
    aws.clock().advance(hang_after).await;
    source.hangs.store(true, Ordering::Relaxed);
    let valid_until = match chain.status()[0].expiry {
        Some(expiry) => expiry.max(valid_until),
        None => valid_until,
    };
    let mut calls = Vec::new();
    while aws.clock().now() + SECOND < valid_until {
        let chain = chain.clone();
        calls.push(tokio::spawn(async move {
            let call = chain.provide_credentials();
            tokio::time::timeout(SECOND, call).await
        }));
        aws.clock().advance(SECOND / 100).await;
    }
    let mut failed = 0;
    for call in calls {
        failed += usize::from(!matches!(call.await.unwrap(), Ok(Ok(_))));
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn while_the_session_is_valid_no_call_with_a_deadline_of_a_second_fails() {
    for hang_after in [0, 4, 8, 12, 14] {
        let failed = failed_calls(hang_after * SECOND).await;
        assert_eq!(failed, 0, "hangs after {hang_after} s");
    }
    // In the last quarter of the session callers wait, so the callers of one second wait for the load that hangs.
    for hang_after in [16, 18] {
        let failed = failed_calls(hang_after * SECOND).await;
        assert!(failed <= 100, "{failed} failed, hangs after {hang_after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_early_do_not_prolong_the_wait_of_the_next() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    // Without a caller there is no timer, so the load begins here, in the last minute.
    aws.clock().advance(HOUR - 30 * SECOND).await;
    aws.fail(Fault::no_answer());
    let begun = aws.clock().elapsed();
    for _ in 0..20 {
        let call = chain.provide_credentials();
        if tokio::time::timeout(SECOND / 10, call).await.is_ok() {
            break;
        }
    }
    let waited = aws.clock().elapsed() - begun;
    assert_eq!(waited, SECOND, "counted from the beginning of the load");
    chain.provide_credentials().await.unwrap();
    assert_eq!(
        aws.clock().elapsed() - begun,
        waited,
        "nobody waits for it any more"
    );
}

#[tokio::test(start_paused = true)]
async fn after_expiry_callers_wait_five_seconds_from_the_beginning_of_the_load() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    aws.clock().advance(2 * HOUR).await;
    aws.fail(Fault::no_answer());
    let begun = aws.clock().elapsed();
    let early = tokio::spawn({
        let chain = chain.clone();
        async move { chain.provide_credentials().await }
    });
    aws.clock().advance(3 * SECOND).await;
    chain.provide_credentials().await.unwrap();
    assert_eq!(aws.clock().elapsed() - begun, 5 * SECOND);
    early.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_expired_chains_would_make_twenty_calls_a_second_and_recover_within_a_minute() {
    for fault in [Fault::service_unavailable(), Fault::no_answer()] {
        let (aws, base) = aws();
        let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
        hub.refresh().await.unwrap();
        let chains: Vec<RoleChain> = (0..50)
            .map(|i| {
                let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
                let role = aws.role(&arn).trust(trusts("222222222222"));
                role.create().unwrap();
                hub.assume(Role::new(arn)).unwrap()
            })
            .collect();
        for chain in &chains {
            chain.refresh().await.unwrap();
        }
        aws.clock().advance(HOUR + MINUTE).await;
        hub.refresh().await.unwrap();
        aws.fail(fault.clone());
        // Each chain is called every second. In the first minutes the waits grow.
        let call_all = async |seconds: u64| {
            for _ in 0..seconds {
                for chain in &chains {
                    let chain = chain.clone();
                    tokio::spawn(async move { drop(chain.provide_credentials().await) });
                }
                aws.clock().advance(SECOND).await;
            }
        };
        call_all(200).await;
        let before = aws.requests();
        call_all(300).await;
        // These are 50 chains, a twentieth of a thousand.
        let rate = (aws.requests() - before) as f64 / 300.0;
        assert!(
            rate <= 20.0 / 20.0,
            "{fault:?}: {rate} calls a second of 50 chains"
        );

        aws.recover();
        call_all(62).await;
        for chain in &chains {
            assert!(
                !chain.status()[1].is_expired,
                "{fault:?}: {:?}",
                chain.status()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_refreshed_recovers_at_once() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    aws.fail(Fault::service_unavailable());
    aws.clock().advance(3 * HOUR).await;
    chain.provide_credentials().await.unwrap();
    aws.clock().advance(5 * SECOND).await;
    aws.recover();
    chain.refresh().await.unwrap();
    assert!(!chain.status()[0].is_expired);
}

fn paused() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// The machine's clock, set by hand. The paused clock of each runtime is independent of it.
#[derive(Debug, Clone, Default)]
struct SetClock(Arc<Mutex<Duration>>);

impl SetClock {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl TimeSource for SetClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR * 480_000 + *self.0.lock().unwrap()
    }
}

/// A source that counts its calls, and hangs when told to.
#[derive(Debug, Clone)]
struct Source {
    clock: SetClock,
    hangs: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::new(async move {
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let expiry = Some(self.clock.now() + HOUR);
            let token = Some("token".to_owned());
            Ok(Credentials::new(
                format!("ASIA{number}"),
                "secret",
                token,
                expiry,
                "test",
            ))
        })
    }
}

fn source_chain() -> (Source, RoleChain) {
    let clock = SetClock::default();
    let source = Source {
        clock: clock.clone(),
        hangs: Arc::default(),
        calls: Arc::default(),
    };
    let base = SdkConfig::builder()
        .credentials_provider(SharedCredentialsProvider::new(source.clone()))
        .time_source(clock)
        .build();
    (source, RoleChain::from_source(&base).unwrap())
}

#[test]
fn a_load_on_a_runtime_that_is_no_longer_polled_is_replaced_by_the_next_caller() {
    let (source, chain) = source_chain();
    let (first, second) = (paused(), paused());
    first.block_on(chain.refresh()).unwrap();
    source.clock.pass(2 * HOUR);
    source.hangs.store(true, Ordering::Relaxed);
    // A caller starts the load on a runtime that is not polled any more.
    first.block_on(async {
        let call = chain.provide_credentials();
        tokio::time::timeout(SECOND, call).await.unwrap_err();
    });
    assert_eq!(source.calls.load(Ordering::Relaxed), 2);
    source.hangs.store(false, Ordering::Relaxed);

    source.clock.pass(30 * SECOND);
    let early = second.block_on(chain.provide_credentials()).unwrap();
    assert_eq!(early.access_key_id(), "ASIA0", "the load may still end");
    source.clock.pass(31 * SECOND);
    let late = second.block_on(chain.provide_credentials()).unwrap();
    assert_eq!(late.access_key_id(), "ASIA2");
    assert!(!chain.status()[0].is_expired);
    drop(first);
}

#[test]
fn a_failure_from_before_the_process_was_suspended_is_not_an_answer() {
    let (source, chain) = source_chain();
    let runtime = paused();
    runtime.block_on(chain.refresh()).unwrap();
    source.clock.pass(2 * HOUR);
    source.hangs.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        let call = chain.provide_credentials();
        tokio::time::timeout(SECOND, call).await.unwrap_err();
    });
    source.hangs.store(false, Ordering::Relaxed);
    // The process is suspended for half an hour. The timeout of the load is over when it resumes.
    source.clock.pass(HOUR / 2);
    let credentials = runtime.block_on(async {
        tokio::time::advance(HOUR / 2).await;
        chain.provide_credentials().await.unwrap()
    });
    assert_eq!(credentials.access_key_id(), "ASIA2");
    assert!(chain.status()[0].last_error.is_none());
}
