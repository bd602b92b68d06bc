//! What a chain's health is before first use, when idle, and in outages.

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Health, Role, RoleChain};
use sts_simulator::Fault;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn health_is_judged_by_what_calls_can_expect() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    assert!(matches!(tenant.health(), Health::Ready), "before first use");
    assert_eq!(tenant.health().to_string(), "ready");

    tenant.refresh().await.unwrap();
    assert!(matches!(tenant.health(), Health::Ready));
    aws.clock().advance(2 * HOUR).await;
    assert!(tenant.status()[1].is_expired);
    assert!(
        matches!(tenant.health(), Health::Ready),
        "idle for two hours"
    );

    tenant.provide_credentials().await.unwrap();
    aws.fail(Fault::service_unavailable());
    aws.clock().advance(55 * MINUTE).await;
    let health = tenant.health();
    assert!(
        matches!(health, Health::Degraded(_)) && health.is_ready(),
        "{health}"
    );
    assert!(
        health.to_string().starts_with("degraded: assuming "),
        "{health}"
    );
    assert!(health.error().unwrap().is_transient());

    aws.clock().advance(HOUR).await;
    tenant.provide_credentials().await.unwrap();
    aws.clock().advance(MINUTE).await;
    let health = tenant.health();
    assert!(
        matches!(health, Health::Failing(_)) && !health.is_ready(),
        "{health}"
    );

    aws.recover();
    tenant.refresh().await.unwrap();
    assert!(matches!(tenant.health(), Health::Ready));
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_never_had_credentials_is_failing_once_a_load_failed() {
    let (aws, base) = aws();
    aws.fail(Fault::error(403, "AccessDenied", "no").role(TENANT));
    let tenant = two_hops(&base);
    tenant.refresh().await.unwrap_err();
    let health = tenant.health();
    assert!(
        health.error().unwrap().is_access_denied() && !health.is_ready(),
        "{health}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_cannot_be_refreshed_degrades_its_tenants() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    tenant.provide_credentials().await.unwrap();
    aws.fail(Fault::error(403, "AccessDenied", "no").role(HUB));
    hub.refresh().await.unwrap_err();
    assert!(matches!(tenant.health(), Health::Degraded(_)));
}
