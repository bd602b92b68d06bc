//! Sessions that become invalid before they expire.

use super::*;

#[tokio::test(start_paused = true)]
async fn when_a_hub_is_recreated_the_next_load_renews_its_dead_session() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.provide_credentials().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;

    recreate(&aws, HUB);
    tenant.refresh().await.unwrap();

    assert_eq!([aws.assumed(HUB), aws.assumed(TENANT)], [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_recreated_in_the_first_minute_of_its_session_is_renewed_after_that_minute() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    aws.clock().advance(30 * SECOND).await;
    recreate(&aws, HUB);
    tenant.refresh().await.unwrap_err();

    aws.clock().advance(MINUTE).await;
    tenant.refresh().await.unwrap();
}
