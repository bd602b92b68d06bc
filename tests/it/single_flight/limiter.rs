//! How many calls to STS run at once, and begin in a second.

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
    // 20 more calls begin in that second, and 100 in the next.
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
