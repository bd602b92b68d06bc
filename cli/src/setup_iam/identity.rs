//! The identity of a profile, as returned by GetCallerIdentity.

use anyhow::{Result, anyhow, bail};
use aws_types::SdkConfig;

use crate::base::ProfileOption;
use crate::output;

pub struct Identity<'a> {
    pub profile: ProfileOption<'a>,
    pub config: SdkConfig,
    pub arn: String,
}

impl<'a> Identity<'a> {
    /// Looks up the identity of a profile by a call with its config.
    pub async fn look_up(profile: ProfileOption<'a>, config: SdkConfig) -> Result<Self> {
        let sts = aws_sdk_sts::Client::new(&config);
        let identity = sts.get_caller_identity().send().await;
        let identity = identity.map_err(|error| {
            let why = output::describe_call(&error);
            anyhow!("{profile}: looking up its identity (GetCallerIdentity): {why}")
        })?;
        Ok(Self {
            profile,
            config,
            arn: identity.arn.unwrap_or_default(),
        })
    }

    /// Returns an error unless the identity is in the same account as `arn`.
    pub fn check_account(&self, arn: &str) -> Result<()> {
        let (has, needs) = (account(&self.arn), account(arn));
        if has != needs {
            let Self {
                profile, arn: is, ..
            } = self;
            bail!(
                "{profile} is {is}, in account {has}, but {arn} is in account {needs}: nothing was changed"
            );
        }
        Ok(())
    }

    /// Returns whether the identity is this user, or a session of this role.
    pub fn is_session_of(&self, arn: &str) -> bool {
        let assumed = self.arn.split_once(":assumed-role/");
        let of_role = |((account, assumed), (role_account, role)): ((&str, &str), (&str, &str))| {
            account.replace(":sts:", ":iam:") == role_account
                && assumed.split('/').next() == role.rsplit('/').next()
        };
        self.arn == arn || assumed.zip(arn.split_once(":role/")).is_some_and(of_role)
    }
}

fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}
