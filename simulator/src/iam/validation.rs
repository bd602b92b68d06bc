//! IAM's checks when a user, role or identity provider is created: [`IamError`], quotas, tags.

use std::fmt;

use crate::arn;

/// The maximum length of a role's trust policy, in characters without white space, unless AWS has increased the quota.
const TRUST_POLICY_LENGTH: usize = 2048;

/// The maximum length of a managed policy, in characters without white space.
const MANAGED_POLICY_LENGTH: usize = 6144;

/// The maximum total length of a user's or role's inline policies, in characters without white space.
pub(super) const USER_POLICIES_LENGTH: usize = 2048;
pub(super) const ROLE_POLICIES_LENGTH: usize = 10_240;

/// An error of IAM: the subject, IAM's code and a message.
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
    advice: Option<String>,
}

impl IamError {
    /// Returns IAM's code, such as `MalformedPolicyDocument`.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the message, without the subject.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn new(code: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            code,
            message: message.into(),
            advice: None,
        }
    }

    pub(crate) fn validation(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("ValidationError", subject, message)
    }

    pub(crate) fn no_such_entity(subject: &str, message: &str) -> Self {
        Self::new("NoSuchEntity", subject, message)
    }

    pub(crate) fn access_denied(subject: &str, message: &str) -> Self {
        Self::new("AccessDenied", subject, message)
    }

    /// Creates an `EntityAlreadyExists`: names are unique within an account, regardless of path and case.
    pub(super) fn already_exists(subject: &str, existing: &str) -> Self {
        let message = format!("the name is already used by {existing}");
        Self::new("EntityAlreadyExists", subject, message)
    }

    pub(crate) fn malformed_policy(subject: &str, message: String) -> Self {
        Self::new("MalformedPolicyDocument", subject, message)
    }

    /// Adds advice, which is not part of IAM's message.
    pub(super) fn with_advice(mut self, advice: Option<String>) -> Self {
        self.advice = advice;
        self
    }
}

impl fmt::Display for IamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.code, self.message)?;
        match &self.advice {
            Some(advice) => write!(f, ". {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for IamError {}

/// Checks the ARN of a user or a role: `arn:<partition>:iam::<account>:<kind>/<path><name>`.
pub(super) fn check_arn(arn: &str, kind: &str) -> Result<(), IamError> {
    let resource = check_arn_format(arn, kind, "<path><name>")?;
    let name = arn::name_of(resource);
    let path_length = resource.len() - name.len() + 1;
    let is_valid = (1..=64).contains(&name.len())
        && name.chars().all(arn::is_name_character)
        && path_length <= 512
        && resource.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid {
        return Ok(());
    }
    let rule = "the name must consist of 1 to 64 letters, digits and _+=,.@-, and the path of at most 512 \
                printable ASCII characters";
    Err(IamError::validation(format!("{arn:?}"), rule))
}

/// Checks the format of the ARN of something that has a name, and returns what follows its kind. `name` is the format
/// of the name.
pub(crate) fn check_arn_format<'a>(
    arn: &'a str,
    kind: &str,
    name: &str,
) -> Result<&'a str, IamError> {
    let named = match arn::split(arn) {
        Some(["arn", partition, "iam", "", account, resource])
            if partition.starts_with("aws") && arn::is_account_id(account) =>
        {
            resource
                .strip_prefix(kind)
                .and_then(|rest| rest.strip_prefix('/'))
        }
        _ => None,
    };
    named.filter(|name| !name.is_empty()).ok_or_else(|| {
        let rule = format!("must be arn:<partition>:iam::<12-digit account id>:{kind}/{name}");
        IamError::validation(format!("{arn:?}"), rule)
    })
}

/// Checks the length of a trust policy. `limit` is the account's own quota, if it has one.
pub(crate) fn check_trust_policy_length(
    arn: &str,
    json: &str,
    limit: Option<usize>,
) -> Result<(), IamError> {
    let limit = limit.unwrap_or(TRUST_POLICY_LENGTH);
    if length(json) <= limit {
        return Ok(());
    }
    let message = format!("Cannot exceed quota for ACLSizePerRole: {limit}");
    Err(IamError::new("LimitExceeded", arn, message))
}

/// Checks the length of a managed policy.
pub(crate) fn check_managed_policy_length(arn: &str, json: &str) -> Result<(), IamError> {
    if length(json) <= MANAGED_POLICY_LENGTH {
        return Ok(());
    }
    let message = format!("Cannot exceed quota for PolicySize: {MANAGED_POLICY_LENGTH}");
    Err(IamError::new("LimitExceeded", arn, message))
}

/// Checks the total length of all inline policies of a user or role, as `kind` says.
pub(crate) fn check_inline_policies_length(
    arn: &str,
    kind: &str,
    policies: &[String],
    limit: usize,
) -> Result<(), IamError> {
    if policies.iter().map(|json| length(json)).sum::<usize>() <= limit {
        return Ok(());
    }
    let name = arn::name_of(arn);
    let message = format!("Maximum policy size of {limit} bytes exceeded for {kind} {name}");
    Err(IamError::new("LimitExceeded", arn, message))
}

/// Returns the length of a policy as IAM's quotas count it, without white space.
fn length(json: &str) -> usize {
    json.chars().filter(|c| !c.is_whitespace()).count()
}

/// Whether two keys of tags are the same. Keys are case-insensitive.
pub(crate) fn is_same_tag_key(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// Checks the tags of a user or role.
pub(crate) fn check_tags(arn: &str, tags: &[(String, String)]) -> Result<(), IamError> {
    let is_allowed = |c: char| {
        c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
    };
    let invalid = |message: String| Err(IamError::new("InvalidInput", arn, message));
    if tags.len() > 50 {
        let message = format!(
            "Cannot exceed quota for TagsPerResource: 50 (it has {})",
            tags.len()
        );
        return Err(IamError::new("LimitExceeded", arn, message));
    }
    for (i, (key, value)) in tags.iter().enumerate() {
        if !(1..=128).contains(&key.chars().count()) || !key.chars().all(is_allowed) {
            return invalid(format!(
                "the tag key {key:?} must consist of 1 to 128 letters, digits, spaces and _.:/=+-@"
            ));
        }
        if value.chars().count() > 256 || !value.chars().all(is_allowed) {
            return invalid(format!(
                "the value of the tag {key:?} must consist of at most 256 letters, digits, spaces and _.:/=+-@"
            ));
        }
        if key
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
        {
            return invalid(format!(
                "aws: prefixed tag key names are not allowed for external use. ({key:?})"
            ));
        }
        if tags[..i]
            .iter()
            .any(|(earlier, _)| is_same_tag_key(earlier, key))
        {
            return invalid(format!(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive. ({key:?})"
            ));
        }
    }
    Ok(())
}
