//! When credentials are refreshed and what callers get meanwhile, with a clock that tests control.

mod clock_steps;
mod durations;
mod invalidation;
mod outages;
mod rejected_sessions;
mod timers;
mod windows;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Role, RoleChain};
use aws_smithy_async::time::TimeSource;
use sts_simulator::{Fault, Simulator};

use crate::common::*;

const SECOND: Duration = Duration::from_secs(1);
/// STS's latency, which distinguishes callers that wait from those that do not.
const LATENCY: Duration = Duration::from_millis(50);

/// Calls the chain, and fails if the caller had to wait.
async fn call_at_once(aws: &Simulator, chain: &RoleChain) -> Credentials {
    let before = aws.clock().elapsed();
    let credentials = chain.provide_credentials().await.unwrap();
    let waited = aws.clock().elapsed() - before;
    assert_eq!(waited, Duration::ZERO, "a caller waited at {before:?}");
    credentials
}

fn valid(aws: &Simulator, credentials: &Credentials) -> bool {
    credentials.expiry().unwrap() > aws.clock().now()
}

/// Deletes a role and creates it again: its sessions are no longer valid.
fn recreate(aws: &Simulator, role: &str) {
    aws.delete_role(role);
    aws.role(role)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
}
