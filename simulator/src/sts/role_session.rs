//! What AssumeRole, AssumeRoleWithWebIdentity and AssumeRoleWithSAML have in common: the limits on a session,
//! its policies, the condition keys of session tags, and the response.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;

use super::constraints::Violations;
use crate::clock::timestamp;
use crate::iam::{Accounts, Arrival, Role, Session, SessionTag};
use crate::policy::{Context, Policy, PolicyKind};
use crate::protocol::{Element, ErrorResponse};

/// The limit of a session in seconds if the caller signs with temporary credentials ("role chaining").
const CHAINED_LIMIT: i64 = 3600;

/// Checks a duration in seconds against the role's own limit and, after it, that of role chaining.
pub(super) fn check_duration(
    duration: i64,
    role: &Role,
    is_chained: bool,
) -> Result<(), ErrorResponse> {
    if duration > role.max_session_duration {
        return Err(ErrorResponse::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if is_chained && duration > CHAINED_LIMIT {
        return Err(ErrorResponse::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    Ok(())
}

/// Returns the end of a session. STS gives whole seconds.
pub(super) fn expiry(now: SystemTime, duration: i64) -> SystemTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs() + duration.unsigned_abs())
}

/// Reads the session policies: the parameter `Policy` and the managed policies of `PolicyArns`.
pub(super) fn session_policies(
    accounts: &Accounts,
    policy: Option<&str>,
    arns: &[String],
) -> Result<Vec<Arc<Policy>>, ErrorResponse> {
    let length = policy.map_or(0, |policy| policy.chars().count())
        + arns.iter().map(String::len).sum::<usize>();
    if policy.is_some() && length > 2048 {
        let mut violations = Violations::default();
        let rule = "Member must have length less than or equal to 2048";
        violations.add("Policy", policy, rule);
        violations.reject()?;
    }
    let mut policies = Vec::new();
    if let Some(json) = policy {
        let policy = accounts.read_policy(PolicyKind::Session, "in the request", json);
        let policy = policy
            .map_err(|error| ErrorResponse::new(400, "MalformedPolicyDocument", error.message()))?;
        policies.push(policy);
    }
    for arn in arns {
        let policy = accounts.managed_policy(arn);
        policies.push(policy.ok_or_else(|| {
            ErrorResponse::validation(format!("Requested Policy ARN {arn} is not a known policy"))
        })?);
    }
    Ok(policies)
}

/// Returns the role if its trust policy allows a federated caller all of the actions, the first of which is
/// the operation. The error is the same for a role that does not exist, and names no caller.
pub(super) fn federated_role(
    accounts: &mut Accounts,
    role_arn: &str,
    provider_arn: &str,
    actions: &[&str],
    arrival: &Arrival,
    context: &dyn Fn(&str) -> Context,
) -> Result<Role, ErrorResponse> {
    let is_allowed = actions.iter().all(|action| {
        let mut keys = accounts.unsigned_context(arrival);
        accounts.set_role_keys(&mut keys, role_arn, std::iter::empty());
        keys.extend(&context(action));
        accounts.may_federated(provider_arn, action, role_arn, &keys)
    });
    let role = accounts.role(role_arn).filter(|_| is_allowed).cloned();
    role.ok_or_else(|| {
        ErrorResponse::access_denied(format!("Not authorized to perform {}", actions[0]))
    })
}

/// Sets the condition keys that the request of a federated caller has for an action.
pub(super) fn set_federated_keys(
    context: &mut Context,
    action: &str,
    session_name: &str,
    tags: &[SessionTag],
    source_identity: Option<&str>,
) {
    if let Some(identity) = source_identity.filter(|_| action != "sts:TagSession") {
        context.set("sts:SourceIdentity", identity);
    }
    if action == "sts:SetSourceIdentity" {
        return;
    }
    set_tag_keys(context, tags);
    if action != "sts:TagSession" {
        context.set("sts:RoleSessionName", session_name);
    }
}

/// Sets the condition keys of the session tags in a request.
pub(super) fn set_tag_keys(context: &mut Context, tags: &[SessionTag]) {
    for tag in tags {
        context.set(&format!("aws:RequestTag/{}", tag.key), &*tag.value);
    }
    let all: Vec<_> = tags.iter().map(|tag| tag.key.clone()).collect();
    if !all.is_empty() {
        context.set_all("aws:TagKeys", all);
    }
    let transitive = tags.iter().filter(|tag| tag.transitive);
    let transitive: Vec<_> = transitive.map(|tag| tag.key.clone()).collect();
    if !transitive.is_empty() {
        context.set_all("sts:TransitiveTagKeys", transitive);
    }
}

/// Issues the session and returns the response: what all three operations answer, and `additional` elements.
pub(super) fn respond(
    accounts: &mut Accounts,
    session: Session,
    additional: Vec<Element>,
) -> Vec<Element> {
    let mut response = vec![Element::parent(
        "AssumedRoleUser",
        vec![
            Element::text("AssumedRoleId", session.user_id()),
            Element::text("Arn", session.arn()),
        ],
    )];
    response.extend(additional);
    let source_identity = session.source_identity.clone();
    response.push(credentials_element(&accounts.issue(session)));
    response.extend(source_identity.map(|identity| Element::text("SourceIdentity", identity)));
    response
}

/// Returns the element `Credentials` of a response.
pub(super) fn credentials_element(credentials: &Credentials) -> Element {
    let token = credentials.session_token().unwrap_or_default();
    let expiry = credentials.expiry().map(timestamp).unwrap_or_default();
    Element::parent(
        "Credentials",
        vec![
            Element::text("AccessKeyId", credentials.access_key_id()),
            Element::text("SecretAccessKey", credentials.secret_access_key()),
            Element::text("SessionToken", token),
            Element::text("Expiration", expiry),
        ],
    )
}
