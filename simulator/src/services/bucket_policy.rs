//! S3's rules for bucket policies.

use std::sync::Arc;

use serde_json::Value;

use crate::iam::{Accounts, IamError};
use crate::policy::{Policy, PolicyKind};

/// The maximum size of a policy in bytes.
const MAX_LENGTH: usize = 20 * 1024;

/// Reads a bucket policy, and rejects what S3 rejects.
pub(super) fn read(accounts: &Accounts, bucket: &str, json: &str) -> Result<Arc<Policy>, IamError> {
    let malformed = |message: &str| IamError::malformed_policy(bucket, message.to_owned());
    if !json.trim_start().starts_with('{') {
        return Err(malformed(
            "Policies must be valid JSON and the first byte must be '{'",
        ));
    }
    if json.len() > MAX_LENGTH {
        return Err(malformed(
            "The policy exceeds the maximum size of 20480 bytes",
        ));
    }
    let policy = accounts.read_policy(PolicyKind::Resource, format!("of bucket {bucket}"), json)?;
    // The policy has been parsed, so its form is valid.
    let document: Value = serde_json::from_str(json).unwrap_or_default();
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        statement => vec![statement],
    };
    for statement in statements {
        if texts(statement, &["Action", "NotAction"]).any(|action| !is_of_s3(action)) {
            return Err(malformed("Policy has invalid action"));
        }
        if texts(statement, &["Resource", "NotResource"]).any(|arn| !is_in_bucket(arn, bucket)) {
            return Err(malformed("Policy has invalid resource"));
        }
        let principal = &statement["Principal"];
        let is_everybody = principal == "*" || texts(principal, &["AWS"]).any(|p| p == "*");
        if statement["Effect"] == "Allow" && is_everybody && statement.get("Condition").is_none() {
            return Err(IamError::access_denied(
                bucket,
                "because public policies are prevented by the BlockPublicPolicy setting in S3 Block \
                 Public Access.",
            ));
        }
    }
    Ok(policy)
}

/// Returns the strings of an element, which is a string or a list.
fn texts<'a>(object: &'a Value, names: &[&str]) -> impl Iterator<Item = &'a str> {
    let element = names.iter().find_map(|name| object.get(*name));
    let list = match element {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}

fn is_of_s3(action: &str) -> bool {
    let service = action.split_once(':').map(|(service, _)| service);
    action == "*" || service.is_some_and(|service| service.eq_ignore_ascii_case("s3"))
}

/// Whether an ARN pattern can match the bucket or objects in it.
fn is_in_bucket(arn: &str, bucket: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let resource = parts.nth(5).unwrap_or_default();
    let name = resource.split('/').next().unwrap_or_default();
    let fixed = name.split(['*', '?', '$']).next().unwrap_or_default();
    arn.split(':').nth(2) == Some("s3")
        && if fixed.len() == name.len() {
            name == bucket
        } else {
            bucket.starts_with(fixed)
        }
}
