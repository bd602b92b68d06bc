//! The rules of STS, as documented by AWS and shown by recorded responses. Requests are sent in their wire format; each
//! row is named after its rule.

mod callers;
mod parameters;
#[path = "../raw/mod.rs"]
mod raw;
mod sessions;
mod signatures;
mod web_identity_tokens;
mod wire;

use std::time::Duration;

use aws_credential_types::Credentials;
use sts_simulator::{Fault, Simulator};

use raw::*;

const USER: &str = "arn:aws:iam::111111111111:user/orders";
const ROLE: &str = "arn:aws:iam::222222222222:role/team/Writer";
const HUB: &str = "arn:aws:iam::222222222222:role/Hub";
const TENANT: &str = "arn:aws:iam::333333333333:role/Tenant";
const MFA: &str = "arn:aws:iam::111111111111:mfa/orders";
const MFA_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
    )
}

fn trusts(principal: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext"],
            "Principal": {{"AWS": "{principal}"}}}}}}"#
    )
}

/// A user who may assume the roles `ROLE` and `HUB`; the hub may assume `TENANT`.
fn accounts() -> (Simulator, Credentials) {
    let aws = Simulator::new();
    let user = aws.user(USER).policy(allow("sts:*"));
    let keys = user.mfa_device(MFA, MFA_SECRET).create().unwrap();
    for (role, principal) in [(ROLE, USER), (HUB, USER), (TENANT, "222222222222")] {
        let role = aws.role(role).trust(trusts(principal)).policy(allow("*"));
        role.max_session_duration(12 * HOUR).create().unwrap();
    }
    (aws, keys)
}

/// Parameters of a request.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Returns the parameters of AssumeRole. `more` replaces parameters of the same name.
fn assume<'a>(role: &'a str, more: &[(&'a str, &'a str)]) -> Pairs<'a> {
    let mut parameters = vec![
        ("Action", "AssumeRole"),
        ("RoleArn", role),
        ("RoleSessionName", "session"),
    ];
    for (name, value) in more {
        parameters.retain(|(other, _)| other != name);
        parameters.push((name, value));
    }
    parameters
}

fn denied(caller: &str, action: &str, role: &str) -> String {
    format!("User: {caller} is not authorized to perform: {action} on resource: {role}")
}

fn violation(value: &str, member: &str, rule: &str) -> String {
    format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: Member must {rule}"
    )
}
