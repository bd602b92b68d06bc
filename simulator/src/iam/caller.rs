//! [`Caller`]: the user or session that signed a request, and its policies.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::account::Account;
use super::arrival::Arrival;
use super::principal::Permissions;
use super::session::Session;
use super::validation::is_same_tag_key;
use crate::arn;
use crate::clock::timestamp;
use crate::policy::{
    Context, Explanation, Policies, Policy, Request, Requester, ResourcePolicy, authorize,
};

/// The user or session that signed a request, as passed to the handler of a [service](crate::Simulator::service).
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
    /// The condition key `aws:userid`; see [`Session::user_id`].
    pub(super) user_id: String,
    pub(super) session: Option<Session>,
    pub(super) permissions: Permissions,
    /// The settings of accounts, by ID.
    pub(super) accounts: Arc<HashMap<String, Account>>,
    /// The condition keys of all requests that the test has set.
    pub(super) request_keys: Arc<Context>,
    /// The condition keys that the test has added, in lower case.
    pub(super) added_keys: Arc<HashSet<String>>,
    pub(super) arrival: Arrival,
    /// Why [`may`](Self::may) could not decide.
    pub(super) undecided: Arc<OnceLock<String>>,
    /// What [`may`](Self::may) denied.
    pub(super) refusals: Arc<Mutex<Vec<Explanation>>>,
}

impl Caller {
    /// Returns the ID of the user's or role's account.
    pub fn account(&self) -> &str {
        arn::account_of(&self.principal_arn)
    }

    pub(crate) fn partition(&self) -> &str {
        arn::partition_of(&self.principal_arn)
    }

    /// Returns `arn:aws:iam::<account>:user/<path><name>`, `arn:aws:sts::<account>:assumed-role/<role>/<session name>`,
    /// `arn:aws:sts::<account>:federated-user/<name>` or `arn:aws:iam::<account>:root`.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Returns the value of a session tag, including inherited ones. Keys are case-insensitive.
    pub fn session_tag(&self, key: &str) -> Option<&str> {
        let tags = &self.session.as_ref()?.tags;
        tags.iter()
            .find(|tag| is_same_tag_key(&tag.key, key))
            .map(|tag| tag.value.as_str())
    }

    /// Returns the reason if [`may`](Self::may) could not decide.
    pub(crate) fn undecided(&self) -> Option<&str> {
        self.undecided.get().map(String::as_str)
    }

    pub(super) fn refuse(&self, refusal: Explanation) {
        self.refusals().push(refusal);
    }

    /// Returns what policies have denied since the last call, in order.
    pub(crate) fn take_refusals(&self) -> Vec<Explanation> {
        std::mem::take(&mut *self.refusals())
    }

    fn refusals(&self) -> MutexGuard<'_, Vec<Explanation>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the caller's session; `None` if the caller signed with long-term keys.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Returns the ARN of the user or role.
    pub(crate) fn principal_arn(&self) -> &str {
        &self.principal_arn
    }

    /// Returns the tags of the user or role and of the session. Session tags take precedence.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let session = self.session.iter().flat_map(|session| &session.tags);
        let mut tags: Vec<_> = session
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect();
        for (key, value) in &self.permissions.tags {
            if !tags.iter().any(|(other, _)| is_same_tag_key(other, key)) {
                tags.push((key.clone(), value.clone()));
            }
        }
        tags
    }

    /// Returns the unique ID of the user or role.
    pub(crate) fn principal_id(&self) -> &str {
        &self.principal_id
    }

    /// Returns the `UserId` of GetCallerIdentity.
    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns the caller as policies identify it.
    fn requester(&self) -> Requester {
        let account = self.account().to_owned();
        if self.session.as_ref().is_some_and(Session::is_of_role) {
            Requester::RoleSession {
                arn: self.arn.clone(),
                role_id: self.principal_id.clone(),
                account,
            }
        } else if self.is_federated_user() {
            Requester::FederatedUser {
                arn: self.arn.clone(),
                user_id: self.principal_id.clone(),
                account,
                is_of_root: is_root_user(&self.principal_arn),
            }
        } else if self.is_root() {
            Requester::Root { account }
        } else {
            Requester::User {
                id: self.principal_id.clone(),
                account,
            }
        }
    }

    /// Whether the caller is the account's root user.
    pub(crate) fn is_root(&self) -> bool {
        is_root_user(&self.arn)
    }

    /// Whether the caller is a federated user, with a session from GetFederationToken.
    fn is_federated_user(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(Session::is_of_federated_user)
    }

    /// Whether sessions of the caller's kind may not perform `action`, whatever the policies say. A session from
    /// GetSessionToken may call only AssumeRole and GetCallerIdentity of STS, and IAM only with MFA; a session from
    /// GetFederationToken may call only GetCallerIdentity of STS, and nothing of IAM.
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

    /// Decides on a request for a resource in `account` that has this policy.
    pub(super) fn decide(
        &self,
        action: &str,
        resource: &str,
        account: &str,
        policy: ResourcePolicy<'_>,
        context: &Context,
    ) -> Explanation {
        let policies = Policies {
            resource: policy,
            ..self.policies_on(account)
        };
        let request = Request {
            action,
            resource,
            requester: &self.requester(),
            context,
        };
        let is_same_account = account == self.account();
        let mut decision = authorize(&policies, request, is_same_account, &self.arn);
        if self.is_barred_from(action) {
            decision.refuse_kind_of_session();
        }
        decision
    }

    /// Returns the policies, other than the resource's own, that apply to a resource in `account`.
    fn policies_on(&self, account: &str) -> Policies<'_> {
        fn all(policies: &[Arc<Policy>]) -> Vec<&Policy> {
            policies.iter().map(|policy| &**policy).collect()
        }
        let own = self.accounts.get(self.account());
        let levels = own.map(|account| &account.service_control);
        let session = self.session.as_ref();
        let resource_control = self.accounts.get(account);
        Policies {
            resource_control: resource_control
                .map(|account| all(&account.resource_control))
                .unwrap_or_default(),
            service_control: levels
                .into_iter()
                .flatten()
                .map(|level| all(level))
                .collect(),
            identity: all(&self.permissions.policies),
            boundary: self.permissions.boundary.as_deref(),
            session: session
                .map(|session| all(&session.policies))
                .unwrap_or_default(),
            needs_session_policy: self.is_federated_user(),
            ..Policies::default()
        }
    }

    /// Returns the global condition keys of the caller's requests.
    pub(crate) fn context(&self) -> Context {
        let mut context = self.arrival.context(&self.request_keys);
        context.set("aws:PrincipalIsAWSService", "false");
        // The role's ARN for a role session, but a federated user's own ARN.
        let principal_arn = if self.is_federated_user() {
            &self.arn
        } else {
            &self.principal_arn
        };
        context.set("aws:PrincipalArn", &**principal_arn);
        context.set("aws:PrincipalAccount", self.account());
        context.set("aws:userid", &*self.user_id);
        if let Some(account) = self.accounts.get(self.account()) {
            account.set_principal_keys(&mut context);
        }
        for (key, value) in &self.permissions.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value);
        }
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
        // Requests signed with long-term keys have none of the following keys.
        let Some(session) = &self.session else {
            return context;
        };
        context.set("aws:TokenIssueTime", timestamp(session.issued));
        let mfa = session.mfa.is_some().to_string();
        context.set("aws:MultiFactorAuthPresent", mfa);
        if let Some(at) = session.mfa {
            let age = self.arrival.now.duration_since(at).unwrap_or_default();
            context.set("aws:MultiFactorAuthAge", age.as_secs().to_string());
        }
        if let Some(identity) = &session.source_identity {
            context.set("aws:SourceIdentity", identity);
        }
        context.extend(&session.federation);
        for tag in &session.tags {
            context.set(&format!("aws:PrincipalTag/{}", tag.key), &*tag.value);
        }
        context
    }
}

fn is_root_user(arn: &str) -> bool {
    arn.ends_with(":root")
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
