//! What AssumeRole, AssumeRoleWithWebIdentity and AssumeRoleWithSAML have in common: the limits on a session, its
//! policies, the condition keys of session tags, and the response.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;

use super::environment::Environment;
use super::packed_size::{ALLOTTED, packed_size};
use crate::arn;
use crate::iam::{Accounts, Caller, Role, Session, SessionPrincipal, SessionTag, is_same_tag_key};
use crate::policy::{Context, Policy, PolicyKind};
use crate::protocol::{Element, ErrorResponse};

/// The limit for a session in seconds if the caller uses temporary credentials ("role chaining").
const CHAINED_LIMIT: i64 = 3600;

/// Checks a duration in seconds against the role's own limit, then against that of role chaining.
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

/// Returns the expiry of a session, in whole seconds like STS's.
pub(super) fn expiry(environment: &Environment, duration: i64) -> SystemTime {
    let since = environment
        .now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = if environment.issues_expired {
        since.as_secs().saturating_sub(1)
    } else {
        since.as_secs() + duration.unsigned_abs()
    };
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Returns a session of this duration, in seconds, without policies, tags and source identity.
pub(super) fn new_session(
    principal: SessionPrincipal,
    environment: &Environment,
    duration: i64,
) -> Session {
    Session {
        is_from_global_endpoint: environment.is_global_endpoint(),
        ..Session::new(principal, environment.now, expiry(environment, duration))
    }
}

/// The session policies of a request.
pub(super) struct SessionPolicies<'a> {
    pub(super) documents: Vec<Arc<Policy>>,
    policy: Option<&'a str>,
    policy_arns: Vec<String>,
}

impl<'a> SessionPolicies<'a> {
    /// Reads the parameter `Policy` and the managed policies in `PolicyArns`, which must be AWS managed policies or in
    /// the account of the session.
    pub(super) fn read(
        accounts: &mut Accounts,
        policy: Option<&'a str>,
        policy_arns: Vec<String>,
        account: &str,
    ) -> Result<Self, ErrorResponse> {
        let length = policy.map_or(0, |policy| policy.chars().count())
            + policy_arns.iter().map(String::len).sum::<usize>();
        if let Some(policy) = policy.filter(|_| length > 2048) {
            return Err(ErrorResponse::validation(format!(
                "1 validation error detected: Value '{policy}' at 'policy' failed to satisfy \
                 constraint: Member must have length less than or equal to 2048"
            )));
        }
        let mut documents = Vec::new();
        if let Some(json) = policy {
            let policy = accounts.read_policy(PolicyKind::Session, "in the request", json);
            documents.push(policy.map_err(|error| {
                ErrorResponse::new(400, "MalformedPolicyDocument", error.message())
            })?);
        }
        for arn in &policy_arns {
            let is_usable = [account, "aws"].contains(&arn::account_of(arn));
            accounts.add_aws_policy(arn);
            let policy = accounts.managed_policy(arn).filter(|_| is_usable);
            documents.push(policy.ok_or_else(|| {
                // No response of AWS in this case is recorded.
                ErrorResponse::validation(format!(
                    "Policy ARN {arn} names neither a managed policy in account {account} nor an AWS managed \
                     policy that the simulator knows or that was added with RoleBuilder::managed_policy"
                ))
            })?);
        }
        Ok(Self {
            documents,
            policy,
            policy_arns,
        })
    }

    /// Returns the packed size of the policies and the session's tags in percent; `None` if there are neither.
    ///
    /// # Errors
    ///
    /// Fails if it exceeds 100 %.
    pub(super) fn packed_size(
        &self,
        accounts: &Accounts,
        tags: &[SessionTag],
    ) -> Result<Option<u64>, ErrorResponse> {
        let allotted = accounts.settings.packed_size_limit.unwrap_or(ALLOTTED);
        packed_size(allotted, self.policy, &self.policy_arns, tags)
    }
}

/// Checks session tags. Their keys must differ from each other and from the transitive tags that the session inherits.
pub(super) fn session_tags(
    tags: Vec<(String, String)>,
    transitive_keys: &[String],
    inherited: &[SessionTag],
) -> Result<Vec<SessionTag>, ErrorResponse> {
    let invalid = |message| Err(ErrorResponse::invalid_parameter(message));
    let is_tag = |key: &String| tags.iter().any(|(tag, _)| is_same_tag_key(tag, key));
    if !transitive_keys.iter().all(is_tag) {
        return invalid("The specified transitive tag key must be included in the requested tags.");
    }
    for (i, (key, _)) in tags.iter().enumerate() {
        let prefix = key.get(..4);
        if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
            // No response of AWS in this case is recorded. The message is IAM's for tags of users and roles.
            return invalid("aws: prefixed tag key names are not allowed for external use.");
        }
        if tags[..i]
            .iter()
            .any(|(earlier, _)| is_same_tag_key(earlier, key))
        {
            return invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            );
        }
        if inherited.iter().any(|tag| is_same_tag_key(&tag.key, key)) {
            return invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a \
                 transitive tag key from the calling session.",
            );
        }
    }
    let tags = tags.into_iter().map(|(key, value)| SessionTag {
        transitive: transitive_keys
            .iter()
            .any(|transitive| is_same_tag_key(transitive, &key)),
        key,
        value,
    });
    Ok(tags.collect())
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

/// Returns the error for an action that policies deny a caller.
pub(super) fn denied(caller: &Caller, action: &str, resource: &str) -> ErrorResponse {
    ErrorResponse::access_denied(format!(
        "User: {} is not authorized to perform: {action} on resource: {resource}",
        caller.arn(),
    ))
}

/// Issues the session and returns the response: the elements that all three operations return, and `additional` ones.
pub(super) fn respond(
    accounts: &mut Accounts,
    session: Session,
    packed_size: Option<u64>,
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
    response.extend(packed_size.map(|size| Element::number("PackedPolicySize", size)));
    response
}

/// Returns the element `Credentials` of a response.
pub(super) fn credentials_element(credentials: &Credentials) -> Element {
    let token = credentials.session_token().unwrap_or_default();
    Element::parent(
        "Credentials",
        vec![
            Element::text("AccessKeyId", credentials.access_key_id()),
            Element::text("SecretAccessKey", credentials.secret_access_key()),
            Element::text("SessionToken", token),
            Element::time("Expiration", credentials.expiry().unwrap_or(UNIX_EPOCH)),
        ],
    )
}
