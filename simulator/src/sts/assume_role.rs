//! AssumeRole: the trust policy and the caller's own policies, within an account and across; what a session
//! inherits from the session that assumed the role.

use std::time::SystemTime;

use super::constraints::{EXTERNAL_ID, NAME, POLICY, TAG, Violations, is_role_arn};
use super::mfa;
use super::role_session::{check_duration, expiry, respond, session_policies, set_tag_keys};
use crate::iam::{Accounts, Caller, Session, SessionPrincipal, SessionTag, new_session_token};
use crate::policy::Context;
use crate::protocol::{Element, ErrorResponse, Parameters};

pub(super) fn assume_role(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<Vec<Element>, ErrorResponse> {
    let request = AssumeRoleRequest::read(parameters)?;
    let has_mfa = mfa::check(accounts, caller, parameters, now)?;
    let inherited = Inherited::from(caller);
    check_tags(&request, &inherited)?;
    let source_identity = match (&request.source_identity, &inherited.source_identity) {
        (Some(requested), Some(inherited)) if requested != inherited => {
            return Err(ErrorResponse::validation(
                "The source identity is already set for this assume role session",
            ));
        }
        (requested, inherited) => requested.clone().or_else(|| inherited.clone()),
    };
    let policies = session_policies(accounts, request.policy.as_deref(), &request.policy_arns)?;

    let mut actions = Vec::new();
    if source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    if !request.tags.is_empty() || !inherited.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if !request.context_providers.is_empty() {
        actions.push("sts:SetContext");
    }
    actions.push("sts:AssumeRole");
    let inherited_tags = || inherited.tags.iter().map(|tag| (&*tag.key, &*tag.value));
    for action in &actions {
        let mut context = context(caller, &request, source_identity.as_deref(), action);
        accounts.set_role_keys(&mut context, &request.role_arn, inherited_tags());
        if has_mfa {
            context.set("aws:MultiFactorAuthPresent", "true");
            context.set("aws:MultiFactorAuthAge", "0");
        }
        // The error for a role that does not exist is that of one that does not trust the caller.
        if !accounts.may_on_role(caller, action, &request.role_arn, &context) {
            return Err(denied(caller, action, &request.role_arn));
        }
    }
    let Some(role) = accounts.role(&request.role_arn).cloned() else {
        return Err(denied(caller, "sts:AssumeRole", &request.role_arn));
    };

    check_duration(request.duration, &role, caller.session().is_some())?;
    // Inherited tags come first, because they cannot be replaced.
    let mut tags = inherited.tags;
    tags.extend(request.tags);
    let session = Session {
        principal: SessionPrincipal::Role {
            arn: request.role_arn,
            id: role.id,
            session_name: request.session_name,
        },
        token: new_session_token(),
        issued: now,
        expiry: expiry(now, request.duration),
        policies,
        tags,
        source_identity,
        // Only the session that the identity provider vouched for has it.
        federation: Context::default(),
        mfa: caller
            .session()
            .filter(|_| accounts.mfa_context_inherited)
            .and_then(|session| session.mfa),
    };
    Ok(respond(accounts, session, Vec::new()))
}

/// The parameters of AssumeRole, within the constraints of the API model.
struct AssumeRoleRequest {
    role_arn: String,
    session_name: String,
    external_id: Option<String>,
    /// In seconds.
    duration: i64,
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
    /// The provider ARNs of `ProvidedContexts`.
    context_providers: Vec<String>,
}

impl AssumeRoleRequest {
    fn read(parameters: &Parameters) -> Result<Self, ErrorResponse> {
        let text = |name: &str| parameters.first(name).map(str::to_owned);
        let role_arn = text("RoleArn");
        let session_name = text("RoleSessionName");
        let external_id = text("ExternalId");
        let source_identity = text("SourceIdentity");
        let policy = text("Policy");
        let policy_arns = parameters.list("PolicyArns.member");
        let tags = parameters.pairs("Tags.member", "Key", "Value");
        let transitive_keys = parameters.list("TransitiveTagKeys.member");

        // In the order in which STS reports violations.
        let mut violations = Violations::default();
        for (parameter, value, length, charset, is_required) in [
            ("RoleArn", &role_arn, 20..=2048, None, true),
            ("RoleSessionName", &session_name, 2..=64, Some(&NAME), true),
            (
                "ExternalId",
                &external_id,
                2..=1224,
                Some(&EXTERNAL_ID),
                false,
            ),
            (
                "SourceIdentity",
                &source_identity,
                2..=256,
                Some(&NAME),
                false,
            ),
            ("Policy", &policy, 1..=2048, None, false),
        ] {
            match value {
                Some(value) => violations.check_text(parameter, value, length, charset),
                None if is_required => violations.add(parameter, None, "Member must not be null"),
                None => {}
            }
        }
        let duration = violations.read_duration(parameters, 3600, 43_200)?;
        violations.check_list("Tags", tags.len(), 50);
        violations.check_list("PolicyArns", policy_arns.len(), 10);
        for (n, (key, value)) in (1..).zip(&tags) {
            violations.check_text(&format!("Tags.{n}.member.key"), key, 1..=128, Some(&TAG));
            violations.check_text(
                &format!("Tags.{n}.member.value"),
                value,
                0..=256,
                Some(&TAG),
            );
        }
        if let Some(policy) = &policy {
            violations.check_text("Policy", policy, 1..=usize::MAX, Some(&POLICY));
        }
        violations.reject()?;

        // Both are present, or a violation was reported.
        let role_arn = role_arn.unwrap_or_default();
        let session_name = session_name.unwrap_or_default();
        if !is_role_arn(&role_arn) {
            return Err(ErrorResponse::validation(format!("{role_arn} is invalid")));
        }
        let is_tag = |key: &String| tags.iter().any(|(tag, _)| tag.eq_ignore_ascii_case(key));
        if !transitive_keys.iter().all(is_tag) {
            return Err(ErrorResponse::new(
                400,
                "InvalidParameterValue",
                "The specified transitive tag key must be included in the requested tags.",
            ));
        }
        let is_transitive = |key: &str| {
            transitive_keys
                .iter()
                .any(|transitive| transitive.eq_ignore_ascii_case(key))
        };
        Ok(Self {
            role_arn,
            session_name,
            external_id,
            duration,
            policy,
            policy_arns,
            tags: tags
                .into_iter()
                .map(|(key, value)| SessionTag {
                    transitive: is_transitive(&key),
                    key,
                    value,
                })
                .collect(),
            source_identity,
            context_providers: parameters
                .pairs("ProvidedContexts.member", "ProviderArn", "ContextAssertion")
                .into_iter()
                .map(|(provider, _)| provider)
                .collect(),
        })
    }
}

/// What the new session inherits from the session of the caller.
#[derive(Default)]
struct Inherited {
    /// The transitive tags.
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Inherited {
    fn from(caller: &Caller) -> Self {
        let Some(session) = caller.session() else {
            return Self::default();
        };
        let transitive = session.tags.iter().filter(|tag| tag.transitive);
        Self {
            tags: transitive.cloned().collect(),
            source_identity: session.source_identity.clone(),
        }
    }
}

fn check_tags(request: &AssumeRoleRequest, inherited: &Inherited) -> Result<(), ErrorResponse> {
    let invalid = |message| Err(ErrorResponse::new(400, "InvalidParameterValue", message));
    let is_same = |a: &SessionTag, b: &SessionTag| a.key.eq_ignore_ascii_case(&b.key);
    for (i, tag) in request.tags.iter().enumerate() {
        let prefix = tag.key.get(..4);
        if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
            // No answer of AWS to this is recorded; the message is IAM's for tags of users and roles.
            return invalid("aws: prefixed tag key names are not allowed for external use.");
        }
        if request.tags[..i]
            .iter()
            .any(|earlier| is_same(earlier, tag))
        {
            return invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            );
        }
        if inherited
            .tags
            .iter()
            .any(|inherited| is_same(inherited, tag))
        {
            return invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a \
                 transitive tag key from the calling session.",
            );
        }
    }
    Ok(())
}

/// Returns the condition keys of a request for one of its actions. Each action has keys of its own: a
/// condition on a key that the action does not have is not met.
fn context(
    caller: &Caller,
    request: &AssumeRoleRequest,
    source_identity: Option<&str>,
    action: &str,
) -> Context {
    let mut context = caller.context();
    if action == "sts:SetContext" {
        let providers = request.context_providers.clone();
        context.set_all("sts:RequestContextProviders", providers);
        return context;
    }
    if let Some(identity) = source_identity.filter(|_| action != "sts:TagSession") {
        context.set("sts:SourceIdentity", identity);
    }
    if action == "sts:SetSourceIdentity" {
        return context;
    }
    set_tag_keys(&mut context, &request.tags);
    if action == "sts:AssumeRole" {
        context.set("sts:RoleSessionName", &*request.session_name);
        if let Some(id) = &request.external_id {
            context.set("sts:ExternalId", &**id);
        }
    }
    context
}

fn denied(caller: &Caller, action: &str, role_arn: &str) -> ErrorResponse {
    ErrorResponse::access_denied(format!(
        "User: {} is not authorized to perform: {action} on resource: {role_arn}",
        caller.arn(),
    ))
}
