//! Sessions that STS rejects: the parent is renewed once, and a rejected key is not used again.

use aws_types::SdkConfig;
use tokio::task::JoinSet;

use super::*;

fn tenants(aws: &Simulator, hub: &RoleChain, count: usize) -> Vec<RoleChain> {
    let tenant = |i| {
        let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
        aws.role(&arn)
            .trust(trusts("222222222222"))
            .create()
            .unwrap();
        hub.assume(Role::new(arn)).unwrap()
    };
    (0..count).map(tenant).collect()
}

/// Calls all tenants at once. All calls must fail.
async fn fail_all(tenants: &[RoleChain]) {
    let mut calls = JoinSet::new();
    for tenant in tenants {
        let tenant = tenant.clone();
        calls.spawn(async move { tenant.provide_credentials().await.is_err() });
    }
    for failed in calls.join_all().await {
        assert!(failed);
    }
}

/// A hub whose session is invalid and whose role can no longer be assumed.
async fn dead_hub(aws: &Simulator, base: &SdkConfig) -> RoleChain {
    let hub = RoleChain::new(base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;
    aws.delete_role(HUB);
    aws.role(HUB)
        .trust(trusts("999999999999"))
        .create()
        .unwrap();
    hub
}

#[tokio::test(start_paused = true)]
async fn a_dead_hub_is_loaded_once_however_many_tenants_complain() {
    let (aws, base) = aws();
    let hub = dead_hub(&aws, &base).await;
    let tenants = tenants(&aws, &hub, 50);
    let before = (aws.requests(), aws.assumed(HUB));

    fail_all(&tenants).await;

    assert_eq!(aws.assumed(HUB) - before.1, 1);
    assert!(
        aws.requests() - before.0 <= 51,
        "{}",
        aws.requests() - before.0
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_called_every_second_do_not_call_sts_again_with_the_rejected_key() {
    let (aws, base) = aws();
    let hub = dead_hub(&aws, &base).await;
    let tenants = tenants(&aws, &hub, 200);
    let before = (aws.requests(), aws.assumed(HUB));

    for _ in 0..60 {
        fail_all(&tenants).await;
        aws.clock().advance(SECOND).await;
    }

    // The hub's own failure is cached for five seconds.
    let of_hub = aws.assumed(HUB) - before.1;
    assert!(of_hub <= 16, "{of_hub}");
    assert_eq!(aws.requests() - before.0 - of_hub, 200, "one each");

    // Once the hub can be assumed again, so can the tenants.
    aws.delete_role(HUB);
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    aws.clock().advance(6 * SECOND).await;
    for tenant in &tenants {
        tenant.provide_credentials().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_the_hub_is_replaced_does_not_last_beyond_its_end() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenants = tenants(&aws, &hub, 3);
    tenants[0].refresh().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;
    aws.delete_role(HUB);
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    aws.fail(Fault::service_unavailable().role(HUB));
    fail_all(&tenants[1..]).await;
    tenants[0].provide_credentials().await.unwrap();

    aws.recover();
    aws.clock().advance(11 * SECOND).await;
    for tenant in &tenants {
        tenant.provide_credentials().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn every_code_of_sts_for_a_dead_caller_renews_the_hub() {
    for code in [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "InvalidClientTokenId",
    ] {
        let (aws, base) = aws();
        let tenant = two_hops(&base);
        tenant.refresh().await.unwrap();
        aws.clock().advance(2 * MINUTE).await;
        let hubs = aws.assumed(HUB);
        aws.fail(Fault::error(400, code, "dead").role(TENANT));
        let error = tenant.refresh().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(aws.assumed(HUB), hubs + 1, "{code}: the hub is tried anew");
        aws.recover();
        tenant.refresh().await.unwrap();
    }
}
