//! What the builders of users and roles have in common: policies, boundary and tags, as they are set.

use super::accounts::{Accounts, Permissions};
use super::validation::{
    IamError, check_inline_policies_length, check_managed_policy_length, check_tags,
};
use crate::policy::PolicyKind;

/// Policies, boundary and tags as they are set; [`read`](Self::read) checks them.
#[derive(Default)]
pub(super) struct PermissionsSettings {
    /// Inline policies.
    pub(super) policies: Vec<String>,
    pub(super) boundary: Option<String>,
    /// Keys with values.
    pub(super) tags: Vec<(String, String)>,
}

impl PermissionsSettings {
    /// Reads the policies of the user or role `arn`; `kind` says which of the two it is. `limit` is the greatest
    /// length of all inline policies.
    pub(super) fn read(
        self,
        accounts: &Accounts,
        arn: &str,
        kind: &str,
        limit: usize,
    ) -> Result<Permissions, IamError> {
        check_tags(arn, &self.tags)?;
        let policies = self.policies.iter().zip(1..);
        let policies = policies.map(|(json, n)| {
            accounts.read_policy(PolicyKind::Identity, format!("{n} of {arn}"), json)
        });
        let policies = policies.collect::<Result<_, _>>()?;
        check_inline_policies_length(arn, kind, &self.policies, limit)?;
        let boundary = self.boundary.map(|json| {
            check_managed_policy_length(arn, &json)?;
            accounts.read_policy(PolicyKind::Boundary, format!("of {arn}"), &json)
        });
        Ok(Permissions {
            policies,
            boundary: boundary.transpose()?,
            tags: self.tags,
        })
    }
}
