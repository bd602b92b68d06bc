//! STS's operations, as STS does them: which limits hold, who allows it.
//!
//! Codes and texts are AWS's own, recorded from live answers where there were any.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use super::policy::{Context, Policy, Principal, Verdict};
use super::signature::authenticate;
use super::world::{Caller, Holder, Role, Session, SessionTag, World, account_of, random};
use super::{saml, web_identity};

/// The limit on sessions that temporary credentials ask for.
const CHAINED_LIMIT: i64 = 3600;

/// STS's no.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: String,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    fn denied(caller: &Caller, action: &str, resource: &str) -> Self {
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {resource}",
            caller.arn()
        );
        Self::new(403, "AccessDenied", message)
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let id = request_id();
        let body = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\">\n  <Error>\n    <Type>Sender</Type>\n    \
             <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
             <RequestId>{id}</RequestId>\n</ErrorResponse>\n",
            self.code,
            escaped(&self.message)
        );
        response(self.status, "text/xml", id, body)
    }

    /// As the JSON services say it.
    pub(super) fn into_json_response(self) -> HttpResponse {
        let code = match self.code.as_str() {
            "ExpiredToken" => "ExpiredTokenException",
            "InvalidClientTokenId" => "UnrecognizedClientException",
            "SignatureDoesNotMatch" => "InvalidSignatureException",
            code => code,
        };
        let body = serde_json::json!({"__type": code, "message": self.message});
        response(
            self.status,
            "application/x-amz-json-1.1",
            request_id(),
            body.to_string(),
        )
    }
}

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) fn answer(
    world: &mut World,
    request: &HttpRequest,
    parameters: &Parameters,
    now: SystemTime,
) -> HttpResponse {
    let action = parameters.first("Action").unwrap_or_default();
    let answered = match (action, parameters.first("Version")) {
        ("AssumeRole", Some("2011-06-15")) => authenticate(world, request, now)
            .and_then(|caller| assume_role(world, &caller, parameters, now)),
        ("AssumeRoleWithWebIdentity", Some("2011-06-15")) => {
            web_identity::assume_role(world, parameters, now)
        }
        ("AssumeRoleWithSAML", Some("2011-06-15")) => saml::assume_role(world, parameters, now),
        ("GetSessionToken", Some("2011-06-15")) => authenticate(world, request, now)
            .and_then(|caller| get_session_token(world, &caller, parameters, now)),
        ("GetCallerIdentity", Some("2011-06-15")) => {
            authenticate(world, request, now).map(|caller| get_caller_identity(&caller))
        }
        (_, version) => {
            let version = version.unwrap_or("NO_VERSION_SPECIFIED");
            let message = format!("Could not find operation {action} for version {version}");
            Err(Refusal::new(400, "InvalidAction", message))
        }
    };
    match answered {
        Ok(result) => {
            let id = request_id();
            let body = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\">\n  <{action}Result>\n{result}  \
                 </{action}Result>\n  <ResponseMetadata>\n    <RequestId>{id}</RequestId>\n  \
                 </ResponseMetadata>\n</{action}Response>\n"
            );
            response(200, "text/xml", id, body)
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn get_caller_identity(caller: &Caller) -> String {
    format!(
        "    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{}</Account>\n",
        caller.arn(),
        caller.user_id,
        caller.account()
    )
}

fn assume_role(
    world: &mut World,
    caller: &Caller,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<String, Refusal> {
    let asked = Asked::read(parameters)?;
    // A code that is right shows in this call's conditions.
    let proved = check_mfa(world, caller, parameters, now)?;
    let inherited = Inherited::of(caller);
    check_tags(&asked, &inherited)?;
    let source_identity = match (&asked.source_identity, &inherited.source_identity) {
        (Some(asked), Some(inherited)) if asked != inherited => {
            return Err(Refusal::invalid(
                "The source identity is already set for this assume role session",
            ));
        }
        (asked, inherited) => asked.clone().or_else(|| inherited.clone()),
    };
    let policies = session_policies(world, asked.policy.as_deref(), &asked.policy_arns)?;

    let role = world.role(&asked.role_arn).cloned();
    let mut actions = Vec::new();
    if source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    if !asked.tags.is_empty() || !inherited.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if !asked.contexts.is_empty() {
        actions.push("sts:SetContext");
    }
    actions.push("sts:AssumeRole");
    for action in actions {
        let mut context = context(caller, &asked, source_identity.as_deref(), action);
        if proved {
            context.set("aws:MultiFactorAuthPresent", "true");
            context.set("aws:MultiFactorAuthAge", "0");
        }
        let allowed = role
            .as_ref()
            .is_some_and(|role| is_allowed(caller, role, &asked.role_arn, action, &context));
        if !allowed {
            return Err(Refusal::denied(caller, action, &asked.role_arn));
        }
    }
    // An unknown role is denied above, like one that trusts others.
    let Some(role) = role else {
        return Err(Refusal::denied(caller, "sts:AssumeRole", &asked.role_arn));
    };

    check_duration(asked.duration, &role, caller.session.is_some())?;
    // What is inherited cannot be replaced, so it comes first.
    let mut tags = inherited.tags;
    tags.extend(asked.tags);
    let session = Session {
        holder: Holder::Role {
            arn: asked.role_arn,
            id: role.id,
            session_name: asked.session_name,
        },
        token: random(640),
        issued: now,
        expiry: expiry(now, asked.duration),
        policies,
        tags,
        source_identity,
        mfa: match &caller.session {
            Some(session) if world.mfa_travels => session.mfa,
            _ => None,
        },
    };
    let identity = self::source_identity(&session);
    Ok(assumed(&session) + &world.issue(session) + &identity)
}

/// The answer's part on the source identity, if there is one.
pub(super) fn source_identity(session: &Session) -> String {
    let identity = session.source_identity.as_deref();
    identity.map_or_else(String::new, |identity| {
        format!(
            "    <SourceIdentity>{}</SourceIdentity>\n",
            escaped(identity)
        )
    })
}

fn get_session_token(
    world: &mut World,
    caller: &Caller,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<String, Refusal> {
    if caller.session.is_some() {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(Refusal::new(403, "AccessDenied", message));
    }
    let (duration, broken) = read_duration(parameters, 43_200, 129_600)?;
    all_within_limits(&broken)?;
    let proved = check_mfa(world, caller, parameters, now)?;
    let session = Session {
        holder: Holder::User {
            arn: caller.arn().to_owned(),
        },
        token: random(640),
        issued: now,
        expiry: expiry(now, duration),
        policies: Vec::new(),
        tags: Vec::new(),
        source_identity: None,
        mfa: proved.then_some(now),
    };
    Ok(world.issue(session))
}

/// Whether the request proves MFA: with a code of a device of the caller's own, good once.
fn check_mfa(
    world: &mut World,
    caller: &Caller,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<bool, Refusal> {
    let denied = |message| Err(Refusal::new(403, "AccessDenied", message));
    let (serial, code) = match (
        parameters.first("SerialNumber"),
        parameters.first("TokenCode"),
    ) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        _ => {
            return denied(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one \
                 time pass code",
            );
        }
    };
    let digits = |c: char| c.is_ascii_digit();
    let serials = |c: char| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c);
    let mut broken = violations("TokenCode", code, 6, 6, Some((r"[\d]*", &digits)));
    let serial_pattern: Pattern<'_> = (r"[\w+=/:,.@-]*", &serials);
    broken.extend(violations(
        "SerialNumber",
        serial,
        9,
        256,
        Some(serial_pattern),
    ));
    all_within_limits(&broken)?;
    let own = |device: &&mut super::mfa_device::MfaDevice| {
        caller.session.is_none() && device.user_arn() == caller.arn()
    };
    let Some(device) = world.device(serial).filter(own) else {
        return denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
             serial number is valid and associated with this user.",
        );
    };
    if device.accept(code, now) {
        Ok(true)
    } else {
        denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
    }
}

/// STS looks at the role's own limit first.
pub(super) fn check_duration(duration: i64, role: &Role, chained: bool) -> Result<(), Refusal> {
    if duration > role.max_session_duration {
        return Err(Refusal::invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if chained && duration > CHAINED_LIMIT {
        return Err(Refusal::invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    Ok(())
}

/// The answer's part on a role session.
pub(super) fn assumed(session: &Session) -> String {
    format!(
        "    <AssumedRoleUser>\n      <AssumedRoleId>{}</AssumedRoleId>\n      \
         <Arn>{}</Arn>\n    </AssumedRoleUser>\n",
        session.user_id(),
        session.arn()
    )
}

/// STS's times have no fractions.
pub(super) fn expiry(now: SystemTime, duration: i64) -> SystemTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs() + duration.unsigned_abs())
}

/// The parameters of AssumeRole, within STS's limits.
struct Asked {
    role_arn: String,
    session_name: String,
    external_id: Option<String>,
    duration: i64,
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
    /// The providers of the context assertions.
    contexts: Vec<String>,
}

impl Asked {
    fn read(parameters: &Parameters) -> Result<Self, Refusal> {
        let mut broken = Vec::new();
        let name = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        let external = |c: char| name(c) || "/:".contains(c);
        let mut text = |parameter: &str, least, most, pattern: Option<Pattern<'_>>, required| {
            let value = parameters.first(parameter);
            match value {
                None if required => {
                    broken.push(violation(None, parameter, "Member must not be null"))
                }
                None => {}
                Some(value) => broken.extend(violations(parameter, value, least, most, pattern)),
            }
            value.map(str::to_owned)
        };
        const NAME: &str = r"[\w+=,.@-]*";
        let role_arn = text("RoleArn", 20, 2048, None, true);
        let session_name = text("RoleSessionName", 2, 64, Some((NAME, &name)), true);
        let external_id = text(
            "ExternalId",
            2,
            1224,
            Some((r"[\w+=,.@:\/-]*", &external)),
            false,
        );
        let source_identity = text("SourceIdentity", 2, 256, Some((NAME, &name)), false);
        let policy = text("Policy", 1, 2048, None, false);

        let (duration, too_long) = read_duration(parameters, 3600, 43_200)?;
        broken.extend(too_long);
        let transitive = parameters.list("TransitiveTagKeys.member");
        let tags: Vec<_> = parameters.pairs("Tags.member", "Key", "Value");
        let policy_arns = parameters.list("PolicyArns.member");
        for (list, most, parameter) in [
            (tags.len(), 50, "Tags"),
            (policy_arns.len(), 10, "PolicyArns"),
        ] {
            if list > most {
                let rule = format!("Member must have length less than or equal to {most}");
                broken.push(violation(Some("[…]"), parameter, &rule));
            }
        }
        let signs = |c: char| {
            c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
        };
        let tag: Pattern<'_> = (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", &signs);
        for (n, (key, value)) in (1..).zip(&tags) {
            let member = |part| format!("Tags.{n}.member.{part}");
            broken.extend(violations(&member("key"), key, 1, 128, Some(tag)));
            broken.extend(violations(&member("value"), value, 0, 256, Some(tag)));
        }
        if let Some(policy) = &policy {
            let signs = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
            let pattern: Pattern<'_> = (r"[\u0009\u000A\u000D\u0020-\u00FF]+", &signs);
            broken.extend(violations("Policy", policy, 1, usize::MAX, Some(pattern)));
        }
        all_within_limits(&broken)?;
        // Given, or the violation above was returned.
        let role_arn = role_arn.unwrap_or_default();
        if !is_role_arn(&role_arn) {
            return Err(Refusal::invalid(format!("{role_arn} is invalid")));
        }
        let is_transitive = |key: &str| {
            transitive
                .iter()
                .any(|transitive| transitive.eq_ignore_ascii_case(key))
        };
        let is_tag = |key: &String| tags.iter().any(|(tag, _)| tag.eq_ignore_ascii_case(key));
        if !transitive.iter().all(is_tag) {
            return Err(Refusal::new(
                400,
                "InvalidParameterValue",
                "The specified transitive tag key must be included in the requested tags.",
            ));
        }
        Ok(Self {
            role_arn,
            session_name: session_name.unwrap_or_default(),
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
            contexts: parameters
                .pairs("ProvidedContexts.member", "ProviderArn", "ContextAssertion")
                .into_iter()
                .map(|(provider, _)| provider)
                .collect(),
        })
    }
}

/// The duration, with what is wrong with it.
pub(super) fn read_duration(
    parameters: &Parameters,
    default: i64,
    most: i64,
) -> Result<(i64, Vec<String>), Refusal> {
    let Some(text) = parameters.first("DurationSeconds") else {
        return Ok((default, Vec::new()));
    };
    let duration: i64 = text
        .parse::<i32>()
        .map_err(|_| Refusal::new(400, "MalformedInput", ""))?
        .into();
    let broken = [
        (duration < 900, "greater than or equal to 900".to_owned()),
        (duration > most, format!("less than or equal to {most}")),
    ];
    let broken = broken
        .into_iter()
        .filter(|(wrong, _)| *wrong)
        .map(|(_, rule)| {
            let rule = format!("Member must have value {rule}");
            violation(Some(&duration.to_string()), "DurationSeconds", &rule)
        });
    Ok((duration, broken.collect()))
}

/// STS tells all violations at once.
pub(super) fn all_within_limits(broken: &[String]) -> Result<(), Refusal> {
    match broken {
        [] => Ok(()),
        [one] => Err(Refusal::invalid(format!(
            "1 validation error detected: {one}"
        ))),
        all => Err(Refusal::invalid(format!(
            "{} validation errors detected: {}",
            all.len(),
            all.join("; ")
        ))),
    }
}

/// A regular expression of the API model's, and what it allows.
pub(super) type Pattern<'a> = (&'a str, &'a dyn Fn(char) -> bool);

pub(super) fn violations(
    parameter: &str,
    value: &str,
    least: usize,
    most: usize,
    pattern: Option<Pattern<'_>>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let chars = value.chars().count();
    if chars < least {
        let rule = format!("Member must have length greater than or equal to {least}");
        broken.push(violation(Some(value), parameter, &rule));
    }
    if chars > most {
        let rule = format!("Member must have length less than or equal to {most}");
        broken.push(violation(Some(value), parameter, &rule));
    }
    if let Some((pattern, allowed)) = pattern
        && !value.chars().all(allowed)
    {
        let rule = format!("Member must satisfy regular expression pattern: {pattern}");
        broken.push(violation(Some(value), parameter, &rule));
    }
    broken
}

pub(super) fn violation(value: Option<&str>, parameter: &str, rule: &str) -> String {
    let value = value.map_or("null".to_owned(), |value| format!("'{value}'"));
    let (first, rest) = parameter.split_at(1);
    let member = first.to_ascii_lowercase() + rest;
    format!("Value {value} at '{member}' failed to satisfy constraint: {rule}")
}

pub(super) fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return false;
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    partition.starts_with("aws") && is_account && resource.starts_with("role/")
}

/// What the calling session passes on.
struct Inherited {
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Inherited {
    fn of(caller: &Caller) -> Self {
        match &caller.session {
            Some(session) => Self {
                tags: session
                    .tags
                    .iter()
                    .filter(|tag| tag.transitive)
                    .cloned()
                    .collect(),
                source_identity: session.source_identity.clone(),
            },
            None => Self {
                tags: Vec::new(),
                source_identity: None,
            },
        }
    }
}

fn check_tags(asked: &Asked, inherited: &Inherited) -> Result<(), Refusal> {
    let invalid = |message| Err(Refusal::new(400, "InvalidParameterValue", message));
    let same = |a: &SessionTag, b: &SessionTag| a.key.eq_ignore_ascii_case(&b.key);
    for (i, tag) in asked.tags.iter().enumerate() {
        if tag
            .key
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
        {
            // STS's own text is not known.
            return invalid("aws: prefixed tag key names are not allowed for external use.");
        }
        if asked.tags[..i].iter().any(|earlier| same(earlier, tag)) {
            return invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            );
        }
        if inherited.tags.iter().any(|inherited| same(inherited, tag)) {
            return invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a \
                 transitive tag key from the calling session.",
            );
        }
    }
    Ok(())
}

pub(super) fn session_policies(
    world: &World,
    policy: Option<&str>,
    arns: &[String],
) -> Result<Vec<Policy>, Refusal> {
    let characters = policy.map_or(0, |policy| policy.chars().count())
        + arns.iter().map(String::len).sum::<usize>();
    if policy.is_some() && characters > 2048 {
        let rule = "Member must have length less than or equal to 2048";
        let broken = violation(policy, "Policy", rule);
        return all_within_limits(&[broken]).map(|()| Vec::new());
    }
    let malformed = |why: String| Refusal::new(400, "MalformedPolicyDocument", why);
    let mut policies = Vec::new();
    if let Some(json) = policy {
        policies.push(Policy::permission(json).map_err(malformed)?);
    }
    for arn in arns {
        let policy = world.managed_policy(arn).cloned();
        policies.push(policy.ok_or_else(|| {
            Refusal::invalid(format!("Requested Policy ARN {arn} is not a known policy"))
        })?);
    }
    Ok(policies)
}

/// Keys belong to actions, not to requests: a condition on a key that its action lacks is not met.
fn context(caller: &Caller, asked: &Asked, source_identity: Option<&str>, action: &str) -> Context {
    let mut context = caller.context();
    context.set("aws:ResourceAccount", account_of(&asked.role_arn));
    if action == "sts:SetContext" {
        context.set_all("sts:RequestContextProviders", asked.contexts.clone());
        return context;
    }
    if let Some(identity) = source_identity.filter(|_| action != "sts:TagSession") {
        context.set("sts:SourceIdentity", identity);
    }
    if action == "sts:SetSourceIdentity" {
        return context;
    }
    set_tag_keys(&mut context, &asked.tags);
    if action == "sts:AssumeRole" {
        context.set("sts:RoleSessionName", &*asked.session_name);
        if let Some(id) = &asked.external_id {
            context.set("sts:ExternalId", &**id);
        }
    }
    context
}

/// Trust policy and identity policy, within an account and across.
fn is_allowed(
    caller: &Caller,
    role: &Role,
    role_arn: &str,
    action: &str,
    context: &Context,
) -> bool {
    let own_id = Principal::Id(caller.principal_id.clone());
    let mut principals = vec![
        (Principal::Any, Verdict::Allowed),
        (
            Principal::Account(caller.account().to_owned()),
            Verdict::Delegated,
        ),
    ];
    match &caller.session {
        Some(session) if session.is_of_role() => {
            principals.push((own_id, Verdict::AllowedRole));
            let session = Principal::Session(caller.arn().to_owned());
            principals.push((session, Verdict::Allowed));
        }
        _ => principals.push((own_id, Verdict::Allowed)),
    }
    let trust = role.trust.trusts(action, &principals, context);
    let identity = caller.permitted(action, role_arn, context);
    if identity == Verdict::Denied {
        return false;
    }
    let by_itself = account_of(role_arn) == caller.account();
    match trust {
        Verdict::Denied | Verdict::Silent => false,
        // Named itself, in its own account: the caller's policies need not allow it too. A session
        // policy limits a role, but not a session or a user, that the trust policy names.
        Verdict::Allowed if by_itself => true,
        Verdict::AllowedRole if by_itself => {
            caller.session_limit(action, role_arn, context) == Verdict::Allowed
        }
        Verdict::Delegated | Verdict::Allowed | Verdict::AllowedRole => {
            identity == Verdict::Allowed
        }
    }
}

/// The keys that a federated caller's request has for an action.
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

fn set_tag_keys(context: &mut Context, tags: &[SessionTag]) {
    for tag in tags {
        context.set(&format!("aws:RequestTag/{}", tag.key), &*tag.value);
    }
    let keys = |tags: &mut dyn Iterator<Item = &SessionTag>| -> Vec<String> {
        tags.map(|tag| tag.key.clone()).collect()
    };
    let all = keys(&mut tags.iter());
    if !all.is_empty() {
        context.set_all("aws:TagKeys", all);
    }
    let transitive = keys(&mut tags.iter().filter(|tag| tag.transitive));
    if !transitive.is_empty() {
        context.set_all("sts:TransitiveTagKeys", transitive);
    }
}

/// The role, if its trust policy allows a federated caller all of the actions. No caller to name: one
/// text for all that is not allowed, an unknown role too.
pub(super) fn federated_role(
    world: &World,
    role_arn: &str,
    provider: &str,
    actions: &[&str],
    context: &dyn Fn(&str) -> Context,
) -> Result<Role, Refusal> {
    let principals = [
        (Principal::Any, Verdict::Allowed),
        (Principal::Other(provider.to_owned()), Verdict::Allowed),
    ];
    let trusts = |role: &&Role| {
        let mut verdicts = actions
            .iter()
            .map(|action| role.trust.trusts(action, &principals, &context(action)));
        verdicts.all(|verdict| verdict == Verdict::Allowed)
    };
    world.role(role_arn).filter(trusts).cloned().ok_or_else(|| {
        let message = format!("Not authorized to perform {}", actions[0]);
        Refusal::new(403, "AccessDenied", message)
    })
}

/// A form's parameters. Of a scalar that is given twice, the first counts.
#[derive(Clone, Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(request: &HttpRequest) -> Self {
        let body = request.body().bytes().unwrap_or_default();
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(n, _)| n == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// `<prefix>.1` or `<prefix>.1.arn`, and so on.
    pub(super) fn list(&self, prefix: &str) -> Vec<String> {
        let item = |n: usize| {
            let name = format!("{prefix}.{n}");
            self.first(&name)
                .or_else(|| self.first(&format!("{name}.arn")))
        };
        (1..).map_while(item).map(str::to_owned).collect()
    }

    /// `<prefix>.1.<key>` with `<prefix>.1.<value>`, and so on.
    fn pairs(&self, prefix: &str, key: &str, value: &str) -> Vec<(String, String)> {
        let pair = |n: usize| {
            let key = self.first(&format!("{prefix}.{n}.{key}"))?;
            let value = self
                .first(&format!("{prefix}.{n}.{value}"))
                .unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        (1..).map_while(pair).collect()
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn request_id() -> String {
    let part = |digits: usize| -> String {
        let hex = (0..digits).map(|_| fastrand::digit(16));
        hex.collect()
    };
    format!(
        "{}-{}-{}-{}-{}",
        part(8),
        part(4),
        part(4),
        part(4),
        part(12)
    )
}

fn response(status: u16, content_type: &'static str, id: String, body: String) -> HttpResponse {
    // Every status here is one, or a fault's, and then 500 is as good.
    let status = StatusCode::try_from(status).unwrap_or_else(|_| 500.try_into().expect("a status"));
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", content_type);
    response.headers_mut().insert("x-amzn-requestid", id);
    response
}
