//! The parts of Amazon Resource Names: `arn:<partition>:<service>:<region>:<account>:<resource>`.

/// Splits an ARN into its six parts, the first of which is `arn`; `None` if there are fewer.
pub(crate) fn split(arn: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    parts.try_into().ok()
}

/// Returns the account ID in an ARN; empty if there is none.
pub(crate) fn account_of(arn: &str) -> &str {
    split(arn).map_or("", |[.., account, _]| account)
}

/// Returns the partition in an ARN, such as `aws` or `aws-cn`; empty if there is none.
pub(crate) fn partition_of(arn: &str) -> &str {
    split(arn).map_or("", |[_, partition, ..]| partition)
}

/// Returns the name of a user or role without its path.
pub(crate) fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// Whether the names of users, roles and sessions may contain a character.
pub(crate) fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

/// Whether `text` is an account ID: twelve digits.
pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
