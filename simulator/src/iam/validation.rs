//! What IAM rejects when a user, a role or an identity provider is created: [`IamError`].

use std::fmt;

use crate::arn;
use crate::policy::Policy;

/// An error of IAM: its code, its message, and what it is about.
///
/// # Examples
///
/// ```
/// let aws = sts_simulator::Simulator::new();
/// let error = aws.user("orders").create().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#""orders": ValidationError: must be arn:<partition>:iam::<12-digit account id>:user/<path><name>"#
/// );
/// ```
#[derive(Clone, Debug)]
pub struct IamError {
    subject: String,
    code: &'static str,
    message: String,
}

impl IamError {
    pub(crate) fn validation(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            code: "ValidationError",
            message: message.into(),
        }
    }

    pub(crate) fn no_such_entity(subject: &str, message: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            code: "NoSuchEntity",
            message: message.to_owned(),
        }
    }

    pub(super) fn malformed_policy(subject: &str, message: String) -> Self {
        Self {
            subject: subject.to_owned(),
            code: "MalformedPolicyDocument",
            message,
        }
    }
}

impl fmt::Display for IamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.code, self.message)
    }
}

impl std::error::Error for IamError {}

/// Checks the ARN of a user or a role: `arn:<partition>:iam::<account>:<kind>/<path><name>`.
pub(super) fn check_arn(arn: &str, kind: &str) -> Result<(), IamError> {
    let is_named = |resource: &str| {
        let path = resource
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('/'));
        path.is_some_and(|path| !path.is_empty() && !path.ends_with('/'))
    };
    match arn::split(arn) {
        Some(["arn", partition, "iam", "", account, resource])
            if !partition.is_empty() && arn::is_account_id(account) && is_named(resource) =>
        {
            Ok(())
        }
        _ => Err(IamError::validation(
            format!("{arn:?}"),
            format!("must be arn:<partition>:iam::<12-digit account id>:{kind}/<path><name>"),
        )),
    }
}

/// Reads the identity policies of a user or a role.
pub(super) fn read_policies(arn: &str, policies: &[String]) -> Result<Vec<Policy>, IamError> {
    let policies = policies.iter().map(|json| Policy::permission(json));
    policies
        .collect::<Result<_, _>>()
        .map_err(|error| IamError::malformed_policy(arn, error))
}
