//! What AssumeRoleWithWebIdentity and AssumeRoleWithSAML have in common: the decision by the trust policy, and the
//! session.

use std::time::SystemTime;

use super::environment::Environment;
use super::role_session::{SessionPolicies, check_duration, new_session, respond, set_tag_keys};
use crate::iam::{Accounts, Session, SessionPrincipal, SessionTag};
use crate::policy::Context;
use crate::protocol::{Element, ErrorResponse};

/// A request to assume a role by a user whom an identity provider has authenticated.
pub(super) struct FederatedRequest<'a> {
    /// The action of the operation, such as `sts:AssumeRoleWithSAML`.
    pub(super) action: &'static str,
    pub(super) role_arn: &'a str,
    /// Whether the provider lets the user assume the role.
    pub(super) is_role_offered: bool,
    /// In seconds.
    pub(super) duration: i64,
    pub(super) policies: SessionPolicies<'a>,
    /// The ARN of the identity provider.
    pub(super) provider: &'a str,
    pub(super) session_name: String,
    /// The time at which the session ends at the latest, if the provider says so.
    pub(super) session_end: Option<SystemTime>,
    pub(super) tags: Vec<SessionTag>,
    pub(super) source_identity: Option<String>,
    /// The condition keys with what the provider says about the user.
    pub(super) keys: Context,
    /// The condition keys that the session keeps.
    pub(super) session_keys: Context,
}

impl FederatedRequest<'_> {
    /// Returns the response: the elements of all operations that assume a role, and those about the user.
    pub(super) fn assume_role(
        self,
        accounts: &mut Accounts,
        environment: &Environment,
        about_user: Vec<Element>,
    ) -> Result<Vec<Element>, ErrorResponse> {
        let mut actions = vec![self.action];
        if !self.tags.is_empty() {
            actions.push("sts:TagSession");
        }
        if self.source_identity.is_some() {
            actions.push("sts:SetSourceIdentity");
        }
        let is_allowed = actions.iter().all(|action| {
            let context = self.context(accounts, environment, action);
            accounts.may_federated(self.provider, action, self.role_arn, &context)
        }) && self.is_role_offered;
        // The error is the same for a role that does not exist, and does not name the caller.
        let role = accounts.role(self.role_arn).filter(|_| is_allowed).cloned();
        let role = role.ok_or_else(|| {
            ErrorResponse::access_denied(format!("Not authorized to perform {}", self.action))
        })?;
        check_duration(self.duration, &role, false)?;
        let packed_size = self.policies.packed_size(accounts, &self.tags)?;
        let principal = SessionPrincipal::Role {
            arn: self.role_arn.to_owned(),
            id: role.id,
            session_name: self.session_name,
        };
        let session = new_session(principal, environment, self.duration);
        let session = Session {
            expiry: self
                .session_end
                .unwrap_or(session.expiry)
                .min(session.expiry),
            policies: self.policies.documents,
            tags: self.tags,
            source_identity: self.source_identity,
            federation: self.session_keys,
            ..session
        };
        Ok(respond(accounts, session, packed_size, about_user))
    }

    /// Returns the condition keys for one of the actions that the request needs.
    fn context(&self, accounts: &Accounts, environment: &Environment, action: &str) -> Context {
        let mut context = accounts.unsigned_context(&environment.arrival);
        accounts.set_role_keys(&mut context, self.role_arn, std::iter::empty());
        context.extend(&self.keys);
        if action != "sts:SetSourceIdentity" {
            set_tag_keys(&mut context, &self.tags);
        }
        if let Some(identity) = self
            .source_identity
            .as_ref()
            .filter(|_| action != "sts:TagSession")
        {
            context.set("sts:SourceIdentity", identity);
        }
        if action == self.action {
            context.set("sts:RoleSessionName", &*self.session_name);
        }
        context
    }
}
