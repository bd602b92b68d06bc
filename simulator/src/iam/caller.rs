//! [`Caller`]: who signed a request, and what their policies allow.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::session::Session;
use crate::arn;
use crate::clock::timestamp;
use crate::policy::{Context, Decision, Policy};

/// The user or session that signed a request; the handler of a [service](crate::Simulator::service) gets it.
///
/// # Examples
///
/// ```
/// use sts_simulator::{HttpResponse, Simulator};
///
/// let aws = Simulator::new();
/// aws.service("s3", |caller, _request| {
///     let status = if caller.may("s3:GetObject", "arn:aws:s3:::reports/orders.ndjson") {
///         200
///     } else {
///         403
///     };
///     HttpResponse::new(status.try_into().unwrap(), caller.arn().to_owned().into())
/// });
/// ```
#[derive(Clone)]
pub struct Caller {
    pub(super) arn: String,
    /// The ARN of the user or role.
    pub(super) principal_arn: String,
    /// The unique ID of the user or role.
    pub(super) principal_id: String,
    /// The unique ID of the user; of a role session, `<unique ID of the role>:<session name>`.
    pub(super) user_id: String,
    pub(super) session: Option<Session>,
    /// The identity policies of the user or role.
    pub(super) policies: Vec<Policy>,
    /// The time of the request.
    pub(super) now: SystemTime,
}

impl Caller {
    /// Returns the ID of the account that the user or role is in.
    pub fn account(&self) -> &str {
        arn::account_of(&self.principal_arn)
    }

    /// Returns `arn:aws:iam::<account>:user/<path><name>` or
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session name>`.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Returns the value of a session tag, inherited or not. The case of the key does not matter.
    pub fn session_tag(&self, key: &str) -> Option<&str> {
        let tags = &self.session.as_ref()?.tags;
        tags.iter()
            .find(|tag| tag.key.eq_ignore_ascii_case(key))
            .map(|tag| tag.value.as_str())
    }

    /// Returns whether the caller's identity and session policies allow `action`, such as
    /// `firehose:PutRecord`, on the resource with this ARN.
    pub fn may(&self, action: &str, resource_arn: &str) -> bool {
        !self.is_barred_from(action)
            && self.permits(action, resource_arn, &self.context()) == Decision::Allowed
    }

    /// Returns the session of the caller; `None` if the caller signed with long-term keys.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether this is the root user of the account.
    pub(crate) fn is_root(&self) -> bool {
        self.arn.ends_with(":root")
    }

    /// Whether the caller's kind of session may not call `action`, whatever the policies say: that of a user has
    /// only AssumeRole and GetCallerIdentity of STS, and IAM only with MFA; a federated user has only
    /// GetCallerIdentity, and nothing of IAM.
    pub(crate) fn is_barred_from(&self, action: &str) -> bool {
        const OF_ASSUME_ROLE: [&str; 4] = [
            "assumerole",
            "setcontext",
            "setsourceidentity",
            "tagsession",
        ];
        let Some(session) = self
            .session
            .as_ref()
            .filter(|session| !session.is_of_role())
        else {
            return false;
        };
        let action = action.to_ascii_lowercase();
        let is_federated = session.is_of_federated_user();
        match action.split_once(':') {
            Some(("iam", _)) => is_federated || session.mfa.is_none(),
            Some(("sts", "getcalleridentity")) => false,
            Some(("sts", name)) => is_federated || !OF_ASSUME_ROLE.contains(&name),
            _ => false,
        }
    }

    /// Returns the unique ID of the user or role.
    pub(crate) fn principal_id(&self) -> &str {
        &self.principal_id
    }

    /// Returns the `UserId` of GetCallerIdentity.
    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Decides on `action` by the caller's identity policies and session policies.
    pub(crate) fn permits(&self, action: &str, resource: &str, context: &Context) -> Decision {
        let policies = self.policies.iter();
        let identity =
            Decision::combine(policies.map(|policy| policy.permits(action, resource, context)));
        let session = self.session_permits(action, resource, context);
        match (identity, session) {
            (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
            (Decision::Allowed, Decision::Allowed) => Decision::Allowed,
            _ => Decision::ImplicitDeny,
        }
    }

    /// Decides on `action` by the session policies only; `Allowed` if there are none.
    pub(crate) fn session_permits(
        &self,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Decision {
        match &self.session {
            // A federated user without session policies has no permissions.
            Some(session) if !session.policies.is_empty() || session.is_of_federated_user() => {
                let policies = session.policies.iter();
                Decision::combine(policies.map(|policy| policy.permits(action, resource, context)))
            }
            _ => Decision::Allowed,
        }
    }

    /// Returns the global condition keys of the caller's requests.
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::default();
        context.set("aws:CurrentTime", timestamp(self.now));
        let epoch = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        context.set("aws:EpochTime", epoch.as_secs().to_string());
        context.set("aws:PrincipalArn", &*self.principal_arn);
        context.set("aws:PrincipalAccount", self.account());
        context.set("aws:userid", &*self.user_id);
        context.set("aws:SecureTransport", "true");
        match &self.session {
            Some(session) if session.is_of_role() => {
                context.set("aws:PrincipalType", "AssumedRole");
            }
            Some(session) if session.is_of_federated_user() => {
                context.set("aws:PrincipalType", "FederatedUser");
            }
            _ if self.is_root() => context.set("aws:PrincipalType", "Account"),
            _ => {
                context.set("aws:PrincipalType", "User");
                context.set("aws:username", arn::name_of(&self.arn));
            }
        }
        // Requests that are signed with long-term keys have none of the following keys.
        let Some(session) = &self.session else {
            return context;
        };
        context.set("aws:TokenIssueTime", timestamp(session.issued));
        let mfa = session.mfa.is_some().to_string();
        context.set("aws:MultiFactorAuthPresent", mfa);
        if let Some(at) = session.mfa {
            let age = self.now.duration_since(at).unwrap_or_default();
            context.set("aws:MultiFactorAuthAge", age.as_secs().to_string());
        }
        if let Some(identity) = &session.source_identity {
            context.set("aws:SourceIdentity", identity);
        }
        for tag in &session.tags {
            context.set(&format!("aws:PrincipalTag/{}", tag.key), &*tag.value);
        }
        context
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
