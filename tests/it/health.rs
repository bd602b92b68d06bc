//! A chain's health before first use, when idle, and in outages.

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Health, Role, RoleChain};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::json;
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
async fn health_and_status_are_json_for_a_page() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    let json = |chain: &RoleChain| {
        (
            serde_json::to_value(chain.health()).unwrap(),
            serde_json::to_value(chain.status()).unwrap(),
        )
    };
    let (health, hops) = json(&tenant);
    assert_eq!(health, json!({ "state": "ready", "error": null }));
    let unused = json!({
        "hop": 1, "role_arn": HUB, "session_arn": null, "access_key_id": null, "expiry": null,
        "is_expired": true, "next_refresh": null, "last_error": null,
    });
    assert_eq!(hops[0], unused);

    let credentials = tenant.provide_credentials().await.unwrap();
    let (_, hops) = json(&tenant);
    let status = &tenant.status()[1];
    let expected = json!({
        "hop": 2, "role_arn": TENANT, "session_arn": status.session_arn,
        "access_key_id": credentials.access_key_id(), "expiry": timestamp(status.expiry),
        "is_expired": false, "next_refresh": timestamp(status.next_refresh), "last_error": null,
    });
    assert_eq!(hops[1], expected);

    let denied = Fault::error(403, "AccessDenied", "no");
    aws.fail(denied.role(TENANT));
    let error = tenant.refresh().await.unwrap_err();
    let (health, hops) = json(&tenant);
    let expected = json!({
        "message": error.to_string().lines().next(), "code": "AccessDenied", "is_transient": false,
        "advice": error.advice(),
    });
    assert!(!error.advice().is_empty());
    assert_eq!(health, json!({ "state": "degraded", "error": expected }));
    assert_eq!(hops[1]["last_error"], expected);

    aws.clock().advance(2 * HOUR).await;
    tenant.refresh().await.unwrap_err();
    let (health, hops) = json(&tenant);
    assert_eq!(
        (&health["state"], &hops[1]["is_expired"]),
        (&json!("failing"), &json!(true))
    );
    let page = format!("{health}{hops}");
    let secrets = [
        Some(credentials.secret_access_key()),
        credentials.session_token(),
    ];
    for secret in secrets.into_iter().flatten() {
        assert!(!page.contains(secret));
    }
}

fn timestamp(time: Option<SystemTime>) -> Option<String> {
    let seconds = DateTime::from_secs(DateTime::from(time?).secs());
    seconds.fmt(Format::DateTime).ok()
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

#[tokio::test(start_paused = true)]
async fn a_tenant_that_nobody_asked_for_is_judged_by_the_hub_that_it_needs() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenant = || hub.assume(Role::new(TENANT)).unwrap();
    assert!(matches!(tenant().health(), Health::Ready));
    hub.refresh().await.unwrap();
    aws.fail(Fault::error(500, "InternalFailure", "down").role(HUB));
    hub.refresh().await.unwrap_err();

    let new = tenant();
    assert!(
        matches!(new.health(), Health::Degraded(_)),
        "{}",
        new.health()
    );
    new.refresh()
        .await
        .expect("the hub's credentials are valid");

    aws.clock().advance(2 * HOUR).await;
    hub.refresh().await.unwrap_err();
    let new = tenant();
    assert!(
        matches!(new.health(), Health::Failing(_)),
        "{}",
        new.health()
    );
    new.refresh().await.unwrap_err();
}
