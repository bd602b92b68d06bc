//! Sessions that STS rejects: the parent is renewed once, and nobody asks again with a rejected key.

mod common;

use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Role, RoleChain};
use common::*;
use sts_simulator::{Fault, Simulator};
use tokio::task::JoinSet;

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

async fn ask_all(tenants: &[RoleChain]) {
    let mut calls = JoinSet::new();
    for tenant in tenants {
        let tenant = tenant.clone();
        calls.spawn(async move { tenant.provide_credentials().await.is_err() });
    }
    for failed in calls.join_all().await {
        assert!(failed);
    }
}

/// A hub whose session is dead, and whose role may not be assumed any more.
async fn dead_hub(aws: &Simulator, base: &aws_types::SdkConfig) -> RoleChain {
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

    ask_all(&tenants).await;

    assert_eq!(aws.assumed(HUB) - before.1, 1);
    assert!(
        aws.requests() - before.0 <= 51,
        "{}",
        aws.requests() - before.0
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_asked_each_second_do_not_ask_sts_again_with_the_rejected_key() {
    let (aws, base) = aws();
    let hub = dead_hub(&aws, &base).await;
    let tenants = tenants(&aws, &hub, 200);
    let before = (aws.requests(), aws.assumed(HUB));

    for _ in 0..60 {
        ask_all(&tenants).await;
        aws.clock().advance(Duration::from_secs(1)).await;
    }

    // The hub's own refusal is remembered for five seconds.
    let of_hub = aws.assumed(HUB) - before.1;
    assert!(of_hub <= 16, "{of_hub}");
    assert_eq!(aws.requests() - before.0 - of_hub, 200, "one each");

    // Once the hub may be assumed again, so may the tenants.
    aws.delete_role(HUB);
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    aws.clock().advance(Duration::from_secs(6)).await;
    for tenant in &tenants {
        tenant.provide_credentials().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_the_hub_is_replaced_is_not_an_answer_for_ever() {
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
    aws.fail_role(HUB, Fault::service_unavailable());
    ask_all(&tenants[1..]).await;
    tenants[0].provide_credentials().await.unwrap();

    aws.recover();
    aws.clock().advance(Duration::from_secs(11)).await;
    for tenant in &tenants {
        tenant.provide_credentials().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn sts_may_name_the_dead_caller_by_any_of_its_codes() {
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
        aws.fail_role(TENANT, Fault::error(400, code, "dead"));
        let error = tenant.refresh().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(aws.assumed(HUB), hubs + 1, "{code}: the hub is tried anew");
        aws.recover();
        tenant.refresh().await.unwrap();
    }
}
