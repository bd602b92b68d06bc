//! Settings that the builders of users and roles have in common: policies, permissions boundary and tags.

use std::collections::BTreeMap;

use super::accounts::Accounts;
use super::directory::{Entity, PolicyRecord};
use super::validation::{
    IamError, check_inline_policies_length, check_managed_policy_length, check_tags,
};
use crate::arn;

/// Policies, boundary and tags; [`set`](Self::set) checks them.
#[derive(Default)]
pub(super) struct PermissionsSettings {
    /// Inline policies.
    pub(super) policies: Vec<String>,
    pub(super) boundary: Option<String>,
    /// Keys and values.
    pub(super) tags: Vec<(String, String)>,
}

impl PermissionsSettings {
    /// Replaces the policies, the boundary and the tags of a user or role, as `kind` says. `limit` is the maximum total
    /// length of the inline policies. The boundary becomes a managed policy.
    pub(super) fn set(
        self,
        accounts: &mut Accounts,
        entity: &mut Entity,
        kind: &str,
        limit: usize,
    ) -> Result<(), IamError> {
        let arn = entity.arn.clone();
        check_tags(&arn, &self.tags)?;
        check_inline_policies_length(&arn, kind, &self.policies, limit)?;
        let mut inline = BTreeMap::new();
        for (n, json) in (1..).zip(self.policies) {
            let document = accounts.read_document(format!("{n} of {arn}"), json)?;
            inline.insert(format!("policy-{n}"), document);
        }
        let boundary = match self.boundary {
            None => None,
            Some(json) => {
                check_managed_policy_length(&arn, &json)?;
                let (partition, account) = (arn::partition_of(&arn), arn::account_of(&arn));
                let name = format!("{kind}-{}-boundary", arn::name_of(&arn));
                let policy_arn = format!("arn:{partition}:iam::{account}:policy/{name}");
                let document = accounts.read_document(format!("of {arn}"), json)?;
                let policy = PolicyRecord::new(&policy_arn, document, entity.created);
                accounts.set_managed_policy(policy);
                Some(policy_arn)
            }
        };
        entity.attached.clear();
        entity.inline = inline;
        entity.boundary = boundary;
        entity.tags = self.tags;
        Ok(())
    }
}
