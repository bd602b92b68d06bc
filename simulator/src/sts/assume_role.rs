//! AssumeRole: decisions by the trust policy and the caller's own policies, within and across accounts, and what a
//! session inherits from the caller's session.

use super::constraints::{
    ARN, EXTERNAL_ID, POLICY, Reader, SESSION_NAME, SOURCE_IDENTITY, is_role_arn,
};
use super::environment::Environment;
use super::mfa::{self, Mfa};
use super::role_session::{
    SessionPolicies, check_duration, denied, new_session, respond, session_tags, set_tag_keys,
};
use crate::arn;
use crate::iam::{Accounts, Caller, Session, SessionPrincipal, SessionTag};
use crate::policy::Context;
use crate::protocol::{Element, ErrorResponse, Parameters};

pub(super) fn assume_role(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    let inherited = Inherited::from(caller);
    let request = AssumeRoleRequest::read(parameters, &inherited)?;
    let role_account = arn::account_of(request.role_arn);
    if caller.is_root() {
        let message = "Roles may not be assumed by root accounts.";
        return Err(ErrorResponse::access_denied(message));
    }
    environment.check_region(accounts, role_account, Some(caller.account()))?;
    let has_mfa = request.mfa.check(accounts, caller, environment.now)?;
    let inherited_identity = inherited.source_identity.as_deref();
    let source_identity = match (request.source_identity, inherited_identity) {
        (Some(requested), Some(inherited)) if requested != inherited => {
            return Err(ErrorResponse::validation(
                "The source identity is already set for this assume role session",
            ));
        }
        (requested, inherited) => requested.or(inherited).map(str::to_owned),
    };
    if let Some((provider, _)) = request
        .contexts
        .iter()
        .find(|context| !accounts.context_assertions.contains(context))
    {
        // No response of AWS in this case is recorded.
        return Err(ErrorResponse::validation(format!(
            "The context assertion of {provider} was not added with Simulator::context_assertion"
        )));
    }
    let policies = SessionPolicies::read(
        accounts,
        request.policy,
        request.policy_arns.clone(),
        role_account,
    )?;

    let mut actions = Vec::new();
    if source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    if !request.tags.is_empty() || !inherited.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if !request.contexts.is_empty() {
        actions.push("sts:SetContext");
    }
    actions.push("sts:AssumeRole");
    let inherited_tags = || inherited.tags.iter().map(|tag| (&*tag.key, &*tag.value));
    for action in &actions {
        let mut context = context(caller, &request, source_identity.as_deref(), action);
        if has_mfa {
            context.set("aws:MultiFactorAuthPresent", "true");
            context.set("aws:MultiFactorAuthAge", "0");
        }
        accounts.set_role_keys(&mut context, request.role_arn, inherited_tags());
        // A role that does not exist causes the same error as one that does not trust the caller.
        if !accounts.may_on_role(caller, action, request.role_arn, &context) {
            return Err(denied(caller, action, request.role_arn));
        }
    }
    let Some(role) = accounts.role(request.role_arn).cloned() else {
        return Err(denied(caller, "sts:AssumeRole", request.role_arn));
    };

    check_duration(request.duration, &role, caller.session().is_some())?;
    // Inherited tags come first, because they cannot be replaced.
    let mut tags = inherited.tags;
    tags.extend(request.tags);
    let packed_size = policies.packed_size(accounts, &tags)?;
    let principal = SessionPrincipal::Role {
        arn: request.role_arn.to_owned(),
        id: role.id,
        session_name: request.session_name.to_owned(),
    };
    let session = Session {
        policies: policies.documents,
        tags,
        source_identity,
        mfa: caller
            .session()
            .filter(|_| accounts.settings.mfa_context_inherited)
            .and_then(|session| session.mfa),
        ..new_session(principal, environment, request.duration)
    };
    Ok(respond(accounts, session, packed_size, Vec::new()))
}

/// The parameters of AssumeRole, validated against the API model.
struct AssumeRoleRequest<'a> {
    role_arn: &'a str,
    session_name: &'a str,
    external_id: Option<&'a str>,
    /// In seconds.
    duration: i64,
    policy: Option<&'a str>,
    policy_arns: Vec<String>,
    tags: Vec<SessionTag>,
    source_identity: Option<&'a str>,
    /// `ProvidedContexts`: provider ARNs and assertions.
    contexts: Vec<(String, String)>,
    mfa: Mfa<'a>,
}

impl<'a> AssumeRoleRequest<'a> {
    fn read(parameters: &'a Parameters, inherited: &Inherited) -> Result<Self, ErrorResponse> {
        let mut reader = Reader::new(parameters);
        // In the order in which STS reports violations.
        let role_arn = reader.required("RoleArn", &ARN);
        let session_name = reader.required("RoleSessionName", &SESSION_NAME);
        let external_id = reader.optional("ExternalId", &EXTERNAL_ID);
        let source_identity = reader.optional("SourceIdentity", &SOURCE_IDENTITY);
        let policy = reader.optional("Policy", &POLICY);
        let duration = reader.duration(3600, 43_200)?;
        let tags = reader.tags();
        let transitive_keys = reader.transitive_tag_keys();
        let policy_arns = reader.policy_arns();
        let contexts = reader.provided_contexts();
        let mfa = mfa::read(&mut reader);
        reader.finish()?;
        if !is_role_arn(role_arn) {
            return Err(ErrorResponse::validation(format!("{role_arn} is invalid")));
        }
        Ok(Self {
            role_arn,
            session_name,
            external_id,
            duration,
            policy,
            policy_arns,
            tags: session_tags(tags, &transitive_keys, &inherited.tags)?,
            source_identity,
            contexts,
            mfa,
        })
    }
}

/// What the new session inherits from the session of the caller.
#[derive(Default)]
struct Inherited {
    /// The transitive session tags.
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

/// Returns the condition keys for one of the actions that a request needs. Each action has its own keys: a condition on
/// a key that the action does not have is not met.
fn context(
    caller: &Caller,
    request: &AssumeRoleRequest<'_>,
    source_identity: Option<&str>,
    action: &str,
) -> Context {
    let mut context = caller.context();
    if action == "sts:SetContext" {
        let providers = request
            .contexts
            .iter()
            .map(|(provider, _)| provider.clone());
        context.set_all("sts:RequestContextProviders", providers.collect());
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
        context.set("sts:RoleSessionName", request.session_name);
        if let Some(id) = &request.external_id {
            context.set("sts:ExternalId", *id);
        }
    }
    context
}
