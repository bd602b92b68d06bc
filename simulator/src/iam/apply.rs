//! Compiles the [`Directory`](super::directory::Directory)'s policies into the permissions of users and roles.

use std::sync::Arc;

use super::accounts::Accounts;
use super::directory::{Document, Entity, PolicyRecord, RoleRecord};
use super::principal::{Permissions, Role, User};
use super::validation::{IamError, check_trust_policy_length};
use crate::arn;
use crate::policy::{Policy, PolicyKind};

impl Accounts {
    /// Updates the permissions of every user and role in an account.
    pub(crate) fn apply_account(&mut self, account: &str) {
        let users = self.directory.users.of(account);
        let users: Vec<String> = users.map(|user| user.entity.name().to_owned()).collect();
        for name in users {
            self.apply_user(account, &name);
        }
        let roles = self.directory.roles.of(account);
        let roles: Vec<String> = roles.map(|role| role.entity.name().to_owned()).collect();
        for name in roles {
            self.apply_role(account, &name);
        }
    }

    /// Updates the permissions of a user: the user's own policies and those of their groups.
    pub(crate) fn apply_user(&mut self, account: &str, name: &str) {
        let Some(user) = self.directory.users.get(account, name) else {
            return;
        };
        let mut permissions = self.permissions_of(&user.entity);
        for name in &user.groups {
            match self.directory.groups.get(account, name) {
                Some(group) => permissions.policies.extend(self.policies_of(group)),
                None => {
                    let policy = unknown_policy(PolicyKind::Identity, &format!("group {name}"));
                    permissions.policies.push(policy);
                }
            }
        }
        let id = user.entity.id.clone();
        let arn = user.entity.arn.clone();
        self.users.insert(arn, User { id, permissions });
    }

    /// Creates or changes a role with this trust policy. The users and roles that the policy names must exist.
    pub(crate) fn set_role(
        &mut self,
        role: RoleRecord,
        trust_policy: String,
    ) -> Result<(), IamError> {
        let arn = &role.entity.arn;
        let limit = self
            .account(arn::account_of(arn))
            .and_then(|account| account.trust_policy_length);
        check_trust_policy_length(arn, &trust_policy, limit)?;
        let resolve = |named: &str| self.id_of(named).map(str::to_owned);
        let compiled = self.read_trust_policy(&role, &trust_policy, &resolve)?;
        self.insert_role(role, trust_policy, compiled);
        Ok(())
    }

    /// Reads the trust policy of a role. `resolve` looks up the other users and roles that it names.
    pub(crate) fn read_trust_policy(
        &self,
        role: &RoleRecord,
        trust_policy: &str,
        resolve: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<Policy>, IamError> {
        let Entity { arn, id, .. } = &role.entity;
        // A role may trust itself, even while it is being created.
        let resolve = |named: &str| {
            if named == arn {
                Some(id.clone())
            } else {
                resolve(named)
            }
        };
        self.read_policy_with(
            PolicyKind::Trust,
            format!("of {arn}"),
            trust_policy,
            &resolve,
        )
    }

    /// Creates or changes a role whose trust policy has been read.
    pub(crate) fn insert_role(
        &mut self,
        mut role: RoleRecord,
        trust_policy: String,
        compiled: Arc<Policy>,
    ) {
        let arn = role.entity.arn.clone();
        let compiled = Role {
            trust_policy: compiled,
            id: role.entity.id.clone(),
            permissions: Permissions::default(),
            max_session_duration: role.max_session_duration,
        };
        role.trust_policy = trust_policy;
        self.roles.insert(arn.clone(), compiled);
        let (account, name) = (arn::account_of(&arn), arn::name_of(&arn));
        self.directory.roles.insert(account, name, role);
        self.apply_role(account, name);
    }

    /// Updates the permissions of an existing role.
    pub(crate) fn apply_role(&mut self, account: &str, name: &str) {
        let Some(role) = self.directory.roles.get(account, name) else {
            return;
        };
        let permissions = self.permissions_of(&role.entity);
        let (arn, max_session_duration) = (&role.entity.arn, role.max_session_duration);
        if let Some(compiled) = self.roles.get(arn) {
            let changed = Role {
                permissions,
                max_session_duration,
                ..compiled.clone()
            };
            self.roles.insert(arn.clone(), changed);
        }
    }

    fn permissions_of(&self, entity: &Entity) -> Permissions {
        let boundary = entity.boundary.as_ref().map(|arn| {
            let Some(document) = self.document_of(arn) else {
                return unknown_policy(PolicyKind::Boundary, arn);
            };
            let name = format!("of {}", entity.arn);
            Arc::new(document.policy.used_as(PolicyKind::Boundary, name))
        });
        Permissions {
            policies: self.policies_of(entity).collect(),
            boundary,
            tags: entity.tags.clone(),
        }
    }

    /// Returns the inline and attached policies of a user, group or role, without those of groups.
    fn policies_of<'a>(&'a self, entity: &'a Entity) -> impl Iterator<Item = Arc<Policy>> + 'a {
        let attached = entity.attached.iter().map(|arn| {
            let document = self.document_of(arn);
            document.map_or_else(
                || unknown_policy(PolicyKind::Identity, arn),
                |document| Arc::clone(&document.policy),
            )
        });
        let inline = entity.inline.values();
        inline
            .map(|document| Arc::clone(&document.policy))
            .chain(attached)
    }

    /// Returns the document of a managed policy's default version.
    pub(crate) fn document_of(&self, arn: &str) -> Option<&Document> {
        self.directory.policies.get(arn)?.document()
    }

    /// Reads an identity policy. `name` is how explanations refer to it.
    pub(crate) fn read_document(
        &self,
        name: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<Document, IamError> {
        let text = text.into();
        let policy = self.read_policy(PolicyKind::Identity, name, &text)?;
        Ok(Document { text, policy })
    }

    /// Creates or changes a managed policy.
    pub(crate) fn set_managed_policy(&mut self, policy: PolicyRecord) {
        self.directory.policies.insert(policy.arn.clone(), policy);
    }

    /// Returns a managed policy as a session policy.
    pub(crate) fn managed_policy(&self, arn: &str) -> Option<Arc<Policy>> {
        let document = self.document_of(arn)?;
        let policy = document.policy.used_as(PolicyKind::Session, arn);
        Some(Arc::new(policy))
    }
}

/// Returns a stand-in for a policy that an export refers to but does not contain. The policy may deny anything, so the
/// stand-in denies everything.
fn unknown_policy(kind: PolicyKind, name: &str) -> Arc<Policy> {
    let name = format!("{name}, which the export does not contain");
    Arc::new(Policy::that_denies_everything(kind, name))
}
