//! The region and session name of a request, and the properties of the credentials.

use aws_role_chain::{Role, RoleChain};
use aws_types::SdkConfig;
use sts_simulator::Simulator;

use crate::common::*;

#[tokio::test]
async fn a_role_with_a_region_is_assumed_in_that_region() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenant = hub.assume(Role::new(TENANT).region("us-west-2")).unwrap();
    tenant.refresh().await.unwrap();
    let regions: Vec<_> = aws
        .calls()
        .into_iter()
        .map(|call| call.region.unwrap())
        .collect();
    assert_eq!(regions, ["eu-west-1", "us-west-2"]);
}

#[tokio::test]
async fn a_session_takes_its_name_from_the_role_the_previous_hop_or_the_program() {
    let (aws, base) = aws();
    let names = || -> Vec<String> {
        let calls = aws.calls().into_iter();
        calls.map(|call| call.session_name.unwrap()).collect()
    };
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    hub.refresh().await.unwrap();
    let program = format!("-{}", std::process::id());
    assert!(
        names()[0].starts_with("it-") && names()[0].ends_with(&program),
        "{names:?}",
        names = names()
    );
    assert_eq!(names()[0], names()[1], "the same at each refresh");

    let hub = RoleChain::new(&base, Role::new(HUB).session_name("orders")).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    let named = hub
        .assume(Role::new(TENANT).session_name("refunds"))
        .unwrap();
    tenant.refresh().await.unwrap();
    named.refresh().await.unwrap();
    assert_eq!(names()[2..], ["orders", "orders", "refunds"]);
}

#[tokio::test]
async fn credentials_carry_their_expiry_account_and_provider_name() {
    use aws_credential_types::provider::ProvideCredentials;
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    let credentials = tenant.provide_credentials().await.unwrap();
    assert_eq!(credentials.account_id().unwrap().as_str(), "333333333333");
    assert_eq!(credentials.expiry(), tenant.status()[1].expiry);
    assert!(format!("{credentials:?}").contains("RoleChain"));
    assert_eq!(tenant.role_arn(), Some(TENANT));

    let status = tenant.status();
    assert_eq!(status.len(), 2);
    assert_eq!(status[0].role_arn.as_deref(), Some(HUB));
    let session = status[1].session_arn.as_deref().unwrap();
    assert!(session.starts_with("arn:aws:sts::333333333333:assumed-role/FirehoseWriter/it-"));
    assert_eq!(
        status[1].access_key_id.as_deref(),
        Some(credentials.access_key_id())
    );
    let line = status[1].to_string();
    assert!(
        line.contains(": valid until 20") && line.contains("next refresh at 20"),
        "{line}"
    );
    drop(aws);
}

#[tokio::test]
async fn a_bare_base_config_without_behavior_version_retries_or_sleep_works() {
    let aws = Simulator::new();
    let keys = user(&aws);
    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    let bare = SdkConfig::builder()
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(keys))
        .http_client(aws.clone())
        .region(aws_types::region::Region::new("eu-west-1"))
        .build();
    RoleChain::new(&bare, Role::new(HUB))
        .unwrap()
        .refresh()
        .await
        .unwrap();
}
