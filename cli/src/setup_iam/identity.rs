//! Who a profile is, and whether it may speak for an account or a caller.

use anyhow::{Result, anyhow, bail};
use aws_types::SdkConfig;

use crate::output;

/// Who a profile is, as GetCallerIdentity says it.
pub async fn of(config: &SdkConfig, option: &str, profile: &str) -> Result<String> {
    let sts = aws_sdk_sts::Client::new(config);
    let identity = sts.get_caller_identity().send().await;
    let identity = identity.map_err(|error| {
        let why = output::describe_call(&error);
        anyhow!("{option} {profile}: asking who it is (GetCallerIdentity): {why}")
    })?;
    Ok(identity.arn.unwrap_or_default())
}

/// An error where `identity` is of another account than `arn`.
pub fn check_account(identity: &str, option: &str, profile: &str, arn: &str) -> Result<()> {
    let (has, needs) = (account(identity), account(arn));
    if has != needs {
        bail!(
            "{option} {profile} is {identity}, of account {has}, but {arn} is of account {needs}: \
             nothing was changed"
        );
    }
    Ok(())
}

/// Whether credentials of this ARN are the user's or role's.
pub fn is_session_of(session: &str, arn: &str) -> bool {
    let assumed = session.split_once(":assumed-role/");
    let of_role = |((account, assumed), (role_account, role)): ((&str, &str), (&str, &str))| {
        account.replace(":sts:", ":iam:") == role_account
            && assumed.split('/').next() == role.rsplit('/').next()
    };
    session == arn || assumed.zip(arn.split_once(":role/")).is_some_and(of_role)
}

fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}
