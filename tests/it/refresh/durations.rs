//! Sessions of more than an hour, assumed with long-term keys and with a role's session.

use aws_credential_types::provider::SharedCredentialsProvider;
use tracing_subscriber::filter::LevelFilter;

use super::*;
use crate::common::log::Log;

#[tokio::test(start_paused = true)]
async fn long_term_keys_request_the_full_duration() {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    aws.role(HUB)
        .trust(trusts(USER))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    let chain = RoleChain::new(&base, Role::new(HUB).duration(12 * HOUR)).unwrap();

    chain.refresh().await.unwrap();

    assert_eq!(requested_durations(&aws), ["43200"]);
    let expiry = chain.status()[0].expiry.unwrap();
    assert!(expiry > aws.clock().now() + 11 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn role_credentials_fall_back_to_one_hour_and_the_chain_remembers_it() {
    let (aws, base) = aws();
    aws.role(TENANT)
        .trust(trusts("222222222222"))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    // The source is a role session already, as on an EC2 instance.
    let instance = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let session = instance.provide_credentials().await.unwrap();
    let source = SharedCredentialsProvider::new(session);
    let on_instance = base.to_builder().credentials_provider(source).build();
    let chain = RoleChain::new(&on_instance, Role::new(TENANT).duration(2 * HOUR)).unwrap();

    let (log, _guard) = Log::at(LevelFilter::WARN);
    chain.refresh().await.unwrap();
    chain.refresh().await.unwrap();

    assert_eq!(requested_durations(&aws)[1..], ["7200", "3600", "3600"]);
    let warnings = log.text();
    assert_eq!(warnings.lines().count(), 1, "{warnings}");
    assert!(
        warnings.contains("role chaining") && warnings.contains(TENANT),
        "{warnings}"
    );
}

fn requested_durations(aws: &Simulator) -> Vec<String> {
    let calls = aws.calls().into_iter();
    calls
        .map(|call| call.duration_seconds.unwrap_or_default())
        .collect()
}
