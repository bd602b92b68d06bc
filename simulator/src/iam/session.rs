//! [`Session`]: the session that temporary credentials belong to.

use std::sync::Arc;
use std::time::SystemTime;

use crate::arn;
use crate::policy::{Context, Policy};

/// A session that STS issued.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) principal: SessionPrincipal,
    pub(crate) token: String,
    pub(crate) issued: SystemTime,
    pub(crate) expiry: SystemTime,
    /// Whether the global endpoint issued it: such tokens are not valid in all regions.
    pub(crate) is_from_global_endpoint: bool,
    /// The session policies. If there are any, at least one of them must allow an action.
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) tags: Vec<SessionTag>,
    pub(crate) source_identity: Option<String>,
    /// The condition keys that a session from an identity provider keeps. Sessions of later hops have none.
    pub(crate) federation: Context,
    /// The time of the MFA authentication that the session was obtained with.
    pub(crate) mfa: Option<SystemTime>,
}

/// The user or role that a session belongs to.
#[derive(Clone)]
pub(crate) enum SessionPrincipal {
    /// A role, with its unique ID at that time: a role created again under the same ARN has another ID.
    Role {
        arn: String,
        id: String,
        session_name: String,
    },
    /// A user, from GetSessionToken, with the user's unique ID at that time.
    User { arn: String, id: String },
    /// A federated user, from GetFederationToken, with the user who called it.
    FederatedUser {
        user_arn: String,
        user_id: String,
        name: String,
    },
}

#[derive(Clone)]
pub(crate) struct SessionTag {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) transitive: bool,
}

impl Session {
    /// Creates a session without policies, tags and MFA.
    pub(crate) fn new(principal: SessionPrincipal, issued: SystemTime, expiry: SystemTime) -> Self {
        Self {
            principal,
            // With a length that AWS's tokens have.
            token: (0..640).map(|_| fastrand::alphanumeric()).collect(),
            issued,
            expiry,
            is_from_global_endpoint: false,
            policies: Vec::new(),
            tags: Vec::new(),
            source_identity: None,
            federation: Context::default(),
            mfa: None,
        }
    }

    pub(super) fn rename_user(&mut self, old: &str, new: &str) {
        match &mut self.principal {
            SessionPrincipal::User { arn, .. }
            | SessionPrincipal::FederatedUser { user_arn: arn, .. }
                if arn == old =>
            {
                new.clone_into(arn);
            }
            _ => {}
        }
    }

    pub(crate) fn is_of_role(&self) -> bool {
        matches!(self.principal, SessionPrincipal::Role { .. })
    }

    pub(crate) fn is_of_federated_user(&self) -> bool {
        matches!(self.principal, SessionPrincipal::FederatedUser { .. })
    }

    /// Returns the ARN of the user or role.
    pub(crate) fn principal_arn(&self) -> &str {
        match &self.principal {
            SessionPrincipal::Role { arn, .. } | SessionPrincipal::User { arn, .. } => arn,
            SessionPrincipal::FederatedUser { user_arn, .. } => user_arn,
        }
    }

    /// Returns the unique ID that the user or role had when the session was issued.
    pub(super) fn principal_id(&self) -> &str {
        match &self.principal {
            SessionPrincipal::Role { id, .. } | SessionPrincipal::User { id, .. } => id,
            SessionPrincipal::FederatedUser { user_id, .. } => user_id,
        }
    }

    /// Returns the ARN of the session. For a role session, it omits the role's path; for a session from
    /// GetSessionToken, it is the user's ARN.
    pub(crate) fn arn(&self) -> String {
        match &self.principal {
            SessionPrincipal::User { arn, .. } => arn.clone(),
            SessionPrincipal::FederatedUser { user_arn, name, .. } => format!(
                "arn:{}:sts::{}:federated-user/{name}",
                arn::partition_of(user_arn),
                arn::account_of(user_arn)
            ),
            SessionPrincipal::Role {
                arn, session_name, ..
            } => format!(
                "arn:{}:sts::{}:assumed-role/{}/{session_name}",
                arn::partition_of(arn),
                arn::account_of(arn),
                arn::name_of(arn)
            ),
        }
    }

    /// Returns `<unique ID of the role>:<session name>` for a role session, `<account>:<name>` for a federated user,
    /// and the unique ID for a user.
    pub(crate) fn user_id(&self) -> String {
        match &self.principal {
            SessionPrincipal::User { id, .. } => id.clone(),
            SessionPrincipal::FederatedUser { user_arn, name, .. } => {
                format!("{}:{name}", arn::account_of(user_arn))
            }
            SessionPrincipal::Role {
                id, session_name, ..
            } => format!("{id}:{session_name}"),
        }
    }
}
