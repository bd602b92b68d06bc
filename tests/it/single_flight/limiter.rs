//! How many calls to STS run at once and start within a second.

use std::num::NonZeroU32;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_tenants_used_at_once_assume_their_hub_once() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenants = tenants_of(&aws, &hub, 1000);

    assert_eq!(herd(tenants.clone()).await, 1000);

    assert_eq!(aws.requests(), 1 + 1000);
    assert_eq!(aws.assumed(HUB), 1);
    assert!(
        aws.most_in_flight() <= 32,
        "{} at once",
        aws.most_in_flight()
    );
    let took = aws.clock().elapsed();
    assert!(
        took >= Duration::from_millis(1980),
        "500 a second: {took:?}"
    );

    herd(tenants).await;
    assert_eq!(aws.requests(), 1 + 1000, "the second round costs nothing");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_calls_wait_for_a_permit_and_beyond_500_for_the_next_second() {
    let (aws, base) = aws();
    let latency = Duration::from_millis(20);
    aws.set_latency(latency);
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    aws.clock().advance(MINUTE).await;
    let tenants = tenants_of(&aws, &hub, 600);
    let mut took = Vec::new();
    for some in [&tenants[..480], &tenants[480..]] {
        let before = aws.clock().elapsed();
        assert_eq!(herd(some.iter().cloned()).await, some.len());
        took.push(aws.clock().elapsed() - before);
    }

    assert_eq!(took[0], latency * 480 / 32);
    // 20 more calls start in that second, and 100 in the next.
    let all = took[0] + took[1];
    let second = Duration::from_secs(1);
    assert!(all > second && all < second + latency * 10, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_hangs_does_not_hold_up_another() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    let mut hanging = JoinSet::new();
    for i in 0..100 {
        let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
        aws.fail(Fault::no_answer().role(&arn));
        let tenant = hub.assume(Role::new(arn).region("ap-east-1")).unwrap();
        hanging.spawn(async move { tenant.refresh().await });
    }
    settle().await;
    let now = aws.clock().elapsed();
    hub.assume(Role::new(TENANT))
        .unwrap()
        .refresh()
        .await
        .unwrap();
    assert_eq!(aws.clock().elapsed(), now);
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_wait_for_their_turn_again_and_nobody_fails() {
    let (aws, base) = aws();
    aws.set_latency(Duration::from_millis(20));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    let tenants = tenants_of(&aws, &hub, 100);
    aws.fail(Fault::throttling());
    let calls = tokio::spawn(herd(tenants));
    aws.clock().advance(30 * Duration::from_secs(1)).await;
    let during = aws.requests();
    // 32 at once, as many again while the rate falls, and then one or two a second.
    assert!(during < 200, "{during} requests in 30 s of throttling");
    aws.recover();
    assert_eq!(calls.await.unwrap(), 100);
    assert!(aws.clock().elapsed() < Duration::from_secs(50));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_throttled_for_two_minutes_fails_as_throttled() {
    let (aws, base) = aws();
    aws.fail(Fault::throttling());
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let error = hub.refresh().await.unwrap_err();
    assert!(error.is_throttled() && error.is_transient(), "{error}");
    let took = aws.clock().elapsed();
    assert!(
        took >= 2 * MINUTE && took < 2 * MINUTE + Duration::from_secs(2),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_mfa_code_is_not_sent_again_after_throttling() {
    let aws = Simulator::new();
    let serial = new_device("throttled");
    let keys = user_with_device(&aws, &serial);
    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    aws.fail(Fault::throttling());
    let role = Role::new(HUB).mfa(&serial, totp());
    let hub = RoleChain::new(&aws.sdk_config(keys), role).unwrap();
    assert!(hub.refresh().await.unwrap_err().is_throttled());
    assert_eq!(aws.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_program_can_set_how_many_calls_begin_in_a_second() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.limit_sts_calls(const { NonZeroU32::new(10).unwrap() });
    herd(tenants_of(&aws, &hub, 39)).await;
    // The hub's call and nine more in the first second.
    let took = aws.clock().elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(4),
        "{took:?}"
    );
}
