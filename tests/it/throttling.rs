//! Calls that STS throttles, and calls that wait for the rate limit.

use crate::common::*;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{BoxError, MfaRequest, ProvideMfaCode, Role, RoleChain};
use aws_sdk_sts::config::retry::RetryConfig;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use sts_simulator::{Fault, Simulator};
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_single_call_does_not_hammer_sts_that_throttles() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(10));
    aws.fail(Fault::throttling());
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let call = tokio::spawn(async move { hub.refresh().await });
    let mut seen = Vec::new();
    for _ in 0..5 {
        aws.clock().advance(SECOND).await;
        seen.push(aws.requests());
    }
    call.abort();
    // The waits are at least 50, 100, 200, 400 and 800 ms, and then a second each. The SDK's standard mode would make 3
    // attempts.
    let at_most = [5, 6, 7, 8, 9];
    for (seen, at_most) in seen.iter().zip(at_most) {
        assert!(
            *seen <= at_most,
            "{seen} requests of one caller, of at most {at_most}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_turned_retries_off_gets_one_attempt() {
    let (aws, base) = aws();
    aws.fail(Fault::throttling());
    let base = base
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .build();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap_err();
    assert_eq!(aws.requests(), 1, "after {:?}", aws.clock().elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_429_with_a_transient_code_is_retried_by_somebody() {
    for code in ["ServiceUnavailable", "RequestTimeout", "InternalFailure"] {
        for status in [503, 429] {
            let (aws, base) = aws();
            aws.fail(Fault::error(status, code, "busy"));
            let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
            let error = hub.refresh().await.unwrap_err();
            println!(
                "{status} {code}: {} requests, throttled: {}",
                aws.requests(),
                error.is_throttled()
            );
            assert!(aws.requests() > 1, "{status} {code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lowered_takes_effect_at_once() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.limit_sts_calls(const { NonZeroU32::new(100).unwrap() });
    hub.refresh().await.unwrap();
    let mut calls = JoinSet::new();
    for tenant in tenants_of(&aws, &hub, 1000) {
        calls.spawn(async move { tenant.refresh().await });
    }
    settle().await;
    hub.limit_sts_calls(const { NonZeroU32::new(5).unwrap() });
    let before = aws.requests();
    aws.clock().advance(5 * SECOND).await;
    settle().await;
    let made = aws.requests() - before;
    assert!(made <= 50, "{made} calls in 5 s with a limit of 5");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_raised_takes_effect_at_once() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.limit_sts_calls(NonZeroU32::MIN);
    hub.refresh().await.unwrap();
    let mut calls = JoinSet::new();
    for tenant in tenants_of(&aws, &hub, 200) {
        calls.spawn(async move { tenant.refresh().await });
    }
    settle().await;
    hub.limit_sts_calls(const { NonZeroU32::new(500).unwrap() });
    let before = aws.clock().elapsed();
    let results = calls.join_all().await;
    let failed: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    let took = aws.clock().elapsed() - before;
    assert!(
        failed.is_empty() && took < 5 * SECOND,
        "{} failed, {took:?}: {:?}",
        failed.len(),
        failed.first()
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_not_stuck_because_sleeps_return_at_once() {
    #[derive(Clone, Debug)]
    struct AtOnce(Arc<AtomicUsize>);
    impl AsyncSleep for AtOnce {
        fn sleep(&self, _: Duration) -> Sleep {
            self.0.fetch_add(1, Ordering::Relaxed);
            Sleep::new(async {})
        }
    }
    let (aws, base) = aws();
    aws.fail(Fault::throttling());
    let base = base
        .into_builder()
        .sleep_impl(AtOnce(Arc::default()))
        .build();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    assert!(hub.refresh().await.unwrap_err().is_throttled());
}

/// A caller whose runtime is no longer polled while it waits for the rate limit.
#[test]
fn a_waiting_call_on_a_runtime_that_is_driven_no_more_fails_no_other_caller() {
    let (aws, base) = aws();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let mut all = tenants_of(&aws, &hub, 2);
    let other = runtime();
    let (victim, dead) = (all.pop().unwrap(), all.pop().unwrap());
    let still = runtime();
    still.block_on(async {
        hub.limit_sts_calls(NonZeroU32::MIN);
        hub.refresh().await.unwrap();
        // Waits for the next second, as the first in the queue.
        tokio::spawn(async move { dead.refresh().await });
        settle().await;
    });
    hub.limit_sts_calls(const { NonZeroU32::new(500).unwrap() });
    let result = other.block_on(victim.refresh());
    drop(still);
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

/// If the code were requested before the wait for the rate limit, it would be too old after it.
#[tokio::test(start_paused = true)]
async fn a_person_is_not_asked_for_a_code_that_is_stale_when_the_call_has_its_turn() {
    struct Person(Arc<std::sync::Mutex<Vec<String>>>, Simulator);
    impl ProvideMfaCode for Person {
        fn provide_mfa_code(
            &self,
            request: MfaRequest,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
            self.0.lock().unwrap().push(format!("{:?}", request.reason));
            Box::pin(async move { Ok(self.1.mfa_code(&request.serial).unwrap()) })
        }
    }
    let aws = Simulator::new();
    let serial = new_device("stale-in-the-queue");
    let base = aws.sdk_config(user_with_device(&aws, &serial));
    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    let source = RoleChain::from_source(&base).unwrap();
    source.limit_sts_calls(NonZeroU32::MIN);
    let mut calls = JoinSet::new();
    for i in 0..100 {
        let role = Role::new(HUB).session_name(format!("name-{i}"));
        let chain = source.assume(role).unwrap();
        calls.spawn(async move { chain.refresh().await });
    }
    settle().await;
    let asked = Arc::default();
    let person = Person(Arc::clone(&asked), aws.clone());
    let role = Role::new(HUB).mfa(&serial, person);
    let result = source.assume(role).unwrap().refresh().await;
    println!("{result:?}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "{asked:?}");
}

/// Two thousand background refreshes are queued before the first load of a new customer.
#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_is_served_before_refreshes_that_nobody_waits_for() {
    let (aws, base) = aws();
    let source = RoleChain::from_source(&base).unwrap();
    let mut chains = Vec::new();
    for i in 0..2000 {
        let role = Role::new(HUB).session_name(format!("name-{i}"));
        let chain = source.assume(role).unwrap();
        chain.provide_credentials().await.unwrap();
        chains.push(chain);
    }
    source.limit_sts_calls(NonZeroU32::MIN);
    // All are due within 7.5 minutes, and still valid for ten: no caller waits.
    aws.clock().advance(50 * MINUTE).await;
    for chain in &chains {
        chain.provide_credentials().await.unwrap();
    }
    let before = aws.clock().elapsed();
    let new = source.assume(Role::new(HUB).session_name("new")).unwrap();
    let result = new.provide_credentials().await;
    let took = aws.clock().elapsed() - before;
    assert!(
        took < 10 * SECOND,
        "{took:?}, {:?}",
        result.err().map(|e| e.to_string())
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_finds_no_session_waits_out_ten_seconds_of_throttling() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::throttling().role(HUB));
    let client = aws_sdk_sts::Client::new(&hub.sdk_config());
    let call = tokio::spawn(async move { client.get_caller_identity().send().await });
    aws.clock().advance(10 * SECOND).await;
    aws.recover();
    let result = call.await.unwrap();
    assert!(
        result.is_ok(),
        "{:?}",
        aws_smithy_types::error::display::DisplayErrorContext(result.unwrap_err()).to_string()
    );
}

/// Background refreshes are queued behind many calls with waiting callers. The queue is long, but moves.
#[tokio::test(start_paused = true)]
async fn a_queue_that_moves_is_not_taken_for_stuck_by_refreshes_that_nobody_waits_for() {
    let (aws, base) = aws();
    let source = RoleChain::from_source(&base).unwrap();
    let chain = |name: String| {
        let role = Role::new(HUB).session_name(name);
        source.assume(role).unwrap()
    };
    let mut due = Vec::new();
    for i in 0..400 {
        let chain = chain(format!("due-{i}"));
        chain.provide_credentials().await.unwrap();
        due.push(chain);
    }
    // Their windows open within 7.5 minutes.
    aws.clock().advance(46 * MINUTE).await;
    source.limit_sts_calls(NonZeroU32::MIN);
    let mut calls = JoinSet::new();
    for i in 0..110 {
        let chain = chain(format!("new-{i}"));
        calls.spawn(async move { chain.refresh().await });
    }
    settle().await;
    for second in 0..110 {
        let before = aws.requests();
        aws.clock().advance(SECOND).await;
        let made = aws.requests() - before;
        assert!(made <= 1, "{made} calls after {second} s");
    }
}
