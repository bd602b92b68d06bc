//! Hops that share a parent.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_credentials_are_refused_renews_its_hub_only_once() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let good = hub.assume(Role::new(MIDDLE)).unwrap();
    let bad = hub.assume(Role::new(TENANT).region("ap-east-1")).unwrap();
    good.provide_credentials().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;
    // STS answers like this in a region that is not enabled in the caller's account.
    let invalid = "The security token included in the request is invalid.";
    aws.fail(Fault::error(403, "InvalidClientTokenId", invalid).role(TENANT));
    for _ in 0..30 {
        bad.provide_credentials().await.unwrap_err();
        aws.clock().advance(Duration::from_secs(10)).await;
    }
    assert_eq!(aws.assumed(HUB), 2, "it is tried once with a new session");
    aws.fail(Fault::service_unavailable().role(HUB));
    bad.provide_credentials().await.unwrap_err();
    hub.provide_credentials().await.unwrap();
    good.provide_credentials().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_tenants_whose_credentials_are_refused_renew_their_hub_at_most_once_a_minute() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.provide_credentials().await.unwrap();
    let bad: Vec<RoleChain> = (0..20)
        .map(|i| {
            let arn = format!("arn:aws:iam::333333333333:role/Bad{i}");
            aws.fail(Fault::error(403, "InvalidClientTokenId", "invalid").role(&arn));
            hub.assume(Role::new(arn)).unwrap()
        })
        .collect();
    for _ in 0..20 {
        for chain in &bad {
            chain.provide_credentials().await.unwrap_err();
        }
        aws.clock().advance(Duration::from_secs(10)).await;
    }
    // In 200 s the hub is renewed at most once a minute.
    assert!(aws.assumed(HUB) <= 1 + 3, "{}", aws.assumed(HUB));
}

#[tokio::test]
async fn a_slow_parent_is_loaded_once_for_all_its_children() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let first = hub.assume(Role::new(TENANT)).unwrap();
    let second = hub.assume(Role::new(MIDDLE)).unwrap();
    aws.fail(Fault::no_answer().role(HUB));

    let callers = [first, second]
        .map(|chain| tokio::spawn(async move { chain.provide_credentials().await.map(drop) }));
    settle().await;
    assert_eq!(aws.requests(), 1, "the children wait for their parent");
    aws.recover();

    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(aws.requests(), 3);
}
