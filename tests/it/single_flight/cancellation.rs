//! Callers that give up before the load ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_load_that_outlasts_every_caller_completes_once() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(200));
    let tenant = two_hops(&base);
    let caller_timeout = Duration::from_millis(300);

    let mut timed_out = 0;
    for _ in 0..20 {
        match tokio::time::timeout(caller_timeout, tenant.provide_credentials()).await {
            Err(_) => timed_out += 1,
            Ok(result) => drop(result.unwrap()),
        }
    }

    assert_eq!(timed_out, 1, "the second caller finds the first one's load");
    assert_eq!(aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_sdk_client_with_a_timeout_shorter_than_the_load_succeeds_at_the_next_call() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(200));
    let tenant = two_hops(&base);
    // The client's own call takes 200 ms, too.
    let timeouts = aws_sdk_sts::config::timeout::TimeoutConfig::builder()
        .operation_timeout(Duration::from_millis(300))
        .build();
    let config = base
        .to_builder()
        .credentials_provider(shared(&tenant))
        .timeout_config(timeouts);
    let client = aws_sdk_sts::Client::new(&config.build());

    let first = client.get_caller_identity().send().await;
    let second = client.get_caller_identity().send().await;
    let third = client.get_caller_identity().send().await;

    assert!(first.is_err());
    assert!(second.is_ok() || third.is_ok(), "{second:?} {third:?}");
    assert_eq!([aws.assumed(HUB), aws.assumed(TENANT)], [1, 1]);
}

#[tokio::test]
async fn a_dropped_leader_leaves_its_load_to_the_followers() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::no_answer());

    let mut leader = Box::pin(chain.provide_credentials());
    let mut follower = Box::pin(chain.provide_credentials());
    let mut context = Context::from_waker(Waker::noop());
    assert!(leader.as_mut().poll(&mut context).is_pending());
    assert!(follower.as_mut().poll(&mut context).is_pending());
    settle().await;
    assert_eq!(aws.requests(), 1, "the load has begun");
    drop(leader);
    settle().await;
    aws.recover();

    follower.await.unwrap();
    assert_eq!(aws.requests(), 1);
}
