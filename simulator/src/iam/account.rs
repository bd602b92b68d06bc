//! [`Account`]: the settings of an account, without its users and roles.

use std::sync::Arc;

use crate::policy::{Context, Policy};

/// The settings of an account, without its users and roles.
#[derive(Clone, Default)]
pub(crate) struct Account {
    pub(crate) organization: Option<String>,
    pub(crate) organization_paths: Vec<String>,
    /// One list per level: the organization's root, its organizational units, the account.
    pub(crate) service_control: Vec<Vec<Arc<Policy>>>,
    pub(crate) resource_control: Vec<Arc<Policy>>,
    /// `None` means AWS's default quota.
    pub(crate) trust_policy_length: Option<usize>,
}

impl Account {
    /// Sets the condition keys of a caller in the account.
    pub(crate) fn set_principal_keys(&self, context: &mut Context) {
        self.set_keys(context, "aws:PrincipalOrgID", "aws:PrincipalOrgPaths");
    }

    /// Sets the condition keys of a resource in the account.
    pub(crate) fn set_resource_keys(&self, context: &mut Context) {
        self.set_keys(context, "aws:ResourceOrgID", "aws:ResourceOrgPaths");
    }

    fn set_keys(&self, context: &mut Context, id: &str, paths: &str) {
        if let Some(organization) = &self.organization {
            context.set(id, organization);
            context.set_all(paths, self.organization_paths.clone());
        }
    }
}
