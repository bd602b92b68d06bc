//! AssumeRole and GetCallerIdentity, as STS does them: who signs, which limits hold, who allows it.
//!
//! Codes and texts are AWS's own, recorded from live answers where there were any.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;

use super::policy::{Context, Policy, Principal, Verdict};
use super::world::{Caller, Owner, Role, Session, SessionTag, World, account_of, random};
use crate::error::timestamp;

/// How far a signature's time may be off.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

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

    fn invalid(message: impl Into<String>) -> Self {
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
        let body = serde_json::json!({"__type": self.code, "message": self.message});
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
    let policies = session_policies(world, &asked)?;

    let role = world.role(&asked.role_arn).cloned();
    let mut actions = Vec::new();
    if source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    if !asked.tags.is_empty() || !inherited.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    actions.push("sts:AssumeRole");
    for action in actions {
        let context = context(caller, &asked, source_identity.as_deref(), action, now);
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

    // STS looks at the role's own limit first.
    if asked.duration > role.max_session_duration {
        return Err(Refusal::invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if caller.session.is_some() && asked.duration > CHAINED_LIMIT {
        return Err(Refusal::invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }

    // What is inherited cannot be replaced, so it comes first.
    let mut tags = inherited.tags;
    tags.extend(asked.tags);
    // STS's times have no fractions.
    let expiry = whole_seconds(now) + Duration::from_secs(asked.duration.unsigned_abs());
    let session = Session {
        role_arn: asked.role_arn,
        role_id: role.id,
        name: asked.session_name,
        token: random(640),
        issued: now,
        expiry,
        policies,
        tags,
        source_identity,
    };
    let mut result = format!(
        "    <AssumedRoleUser>\n      <AssumedRoleId>{}:{}</AssumedRoleId>\n      \
         <Arn>{}</Arn>\n    </AssumedRoleUser>\n",
        session.role_id,
        session.name,
        session.arn()
    );
    let token = session.token.clone();
    let identity = session.source_identity.clone();
    let (access_key_id, secret) = world.issue(session);
    // Writing to a string does not fail.
    let _ = write!(
        result,
        "    <Credentials>\n      <AccessKeyId>{access_key_id}</AccessKeyId>\n      \
         <SecretAccessKey>{secret}</SecretAccessKey>\n      \
         <SessionToken>{token}</SessionToken>\n      <Expiration>{}</Expiration>\n    \
         </Credentials>\n",
        timestamp(expiry)
    );
    if let Some(identity) = identity {
        let _ = writeln!(result, "    <SourceIdentity>{identity}</SourceIdentity>");
    }
    Ok(result)
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

        let duration = match parameters.first("DurationSeconds") {
            None => 3600,
            Some(text) => text
                .parse::<i32>()
                .map_err(|_| Refusal::new(400, "MalformedInput", ""))?,
        };
        for (wrong, rule) in [
            (duration < 900, "greater than or equal to 900"),
            (duration > 43_200, "less than or equal to 43200"),
        ] {
            if wrong {
                let rule = format!("Member must have value {rule}");
                let value = duration.to_string();
                broken.push(violation(Some(&value), "DurationSeconds", &rule));
            }
        }
        let transitive = parameters.list("TransitiveTagKeys.member");
        let tags: Vec<_> = parameters.pairs("Tags.member", "Key", "Value");
        if tags.len() > 50 {
            let rule = "Member must have length less than or equal to 50";
            broken.push(violation(Some("[…]"), "Tags", rule));
        }
        match broken.len() {
            0 => {}
            1 => {
                return Err(Refusal::invalid(format!(
                    "1 validation error detected: {}",
                    broken[0]
                )));
            }
            n => {
                return Err(Refusal::invalid(format!(
                    "{n} validation errors detected: {}",
                    broken.join("; ")
                )));
            }
        }
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
            duration: duration.into(),
            policy,
            policy_arns: parameters.list("PolicyArns.member"),
            tags: tags
                .into_iter()
                .map(|(key, value)| SessionTag {
                    transitive: is_transitive(&key),
                    key,
                    value,
                })
                .collect(),
            source_identity,
        })
    }
}

/// A regular expression of the API model's, and what it allows.
type Pattern<'a> = (&'a str, &'a dyn Fn(char) -> bool);

fn violations(
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

fn violation(value: Option<&str>, parameter: &str, rule: &str) -> String {
    let value = value.map_or("null".to_owned(), |value| format!("'{value}'"));
    let (first, rest) = parameter.split_at(1);
    let member = first.to_ascii_lowercase() + rest;
    format!("Value {value} at '{member}' failed to satisfy constraint: {rule}")
}

fn is_role_arn(arn: &str) -> bool {
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

fn session_policies(world: &World, asked: &Asked) -> Result<Vec<Policy>, Refusal> {
    let malformed = |why: String| Refusal::new(400, "MalformedPolicyDocument", why);
    let mut policies = Vec::new();
    if let Some(json) = &asked.policy {
        policies.push(Policy::permission(json).map_err(malformed)?);
    }
    for arn in &asked.policy_arns {
        let policy = world.managed_policy(arn).cloned();
        policies.push(policy.ok_or_else(|| {
            Refusal::invalid(format!("Requested Policy ARN {arn} is not a known policy"))
        })?);
    }
    Ok(policies)
}

/// Keys belong to actions, not to requests: a condition on a key that its action lacks is not met.
fn context(
    caller: &Caller,
    asked: &Asked,
    source_identity: Option<&str>,
    action: &str,
    now: SystemTime,
) -> Context {
    let mut context = caller.context();
    context.set("aws:CurrentTime", timestamp(now));
    let epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    context.set("aws:EpochTime", epoch.as_secs().to_string());
    context.set("aws:ResourceAccount", account_of(&asked.role_arn));
    if let Some(identity) = source_identity.filter(|_| action != "sts:TagSession") {
        context.set("sts:SourceIdentity", identity);
    }
    if action == "sts:SetSourceIdentity" {
        return context;
    }
    for tag in &asked.tags {
        context.set(&format!("aws:RequestTag/{}", tag.key), &*tag.value);
    }
    let keys = |tags: &mut dyn Iterator<Item = &SessionTag>| -> Vec<String> {
        tags.map(|tag| tag.key.clone()).collect()
    };
    let all = keys(&mut asked.tags.iter());
    if !all.is_empty() {
        context.set_all("aws:TagKeys", all);
    }
    let transitive = keys(&mut asked.tags.iter().filter(|tag| tag.transitive));
    if !transitive.is_empty() {
        context.set_all("sts:TransitiveTagKeys", transitive);
    }
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
        Some(_) => {
            principals.push((own_id, Verdict::AllowedRole));
            let session = Principal::Session(caller.arn().to_owned());
            principals.push((session, Verdict::Allowed));
        }
        None => principals.push((own_id, Verdict::Allowed)),
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

/// Who signed: scope, key, token, expiry, role and signature, in STS's order.
pub(super) fn authenticate(
    world: &World,
    request: &HttpRequest,
    now: SystemTime,
) -> Result<Caller, Refusal> {
    let signed = Signed::read(request).ok_or_else(|| {
        Refusal::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    if !signed.is_for(request) {
        return Err(Refusal::new(
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region. ",
        ));
    }
    let invalid = || {
        Refusal::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    };
    let key = world.key(&signed.access_key_id).ok_or_else(invalid)?;
    let token = request.headers().get("x-amz-security-token");
    let wanted = match &key.owner {
        Owner::User(_) => None,
        Owner::Session(session) => Some(session),
    };
    if token != wanted.map(|session| session.token.as_str()) {
        return Err(invalid());
    }
    if wanted.is_some_and(|session| session.expiry <= now) {
        return Err(Refusal::new(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ));
    }
    let caller = world.caller(&key.owner).ok_or_else(invalid)?;
    signed.check(request, &key.secret, token, now)?;
    Ok(caller)
}

/// What the `Authorization` header says.
pub(super) struct Signed {
    pub(super) access_key_id: String,
    pub(super) region: String,
    pub(super) service: String,
    headers: Vec<String>,
    signature: String,
}

impl Signed {
    /// None where the request is not signed with SigV4.
    pub(super) fn read(request: &HttpRequest) -> Option<Self> {
        let header = request.headers().get("authorization")?;
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let mut scope = field("Credential")?.split('/');
        Some(Self {
            access_key_id: scope.next()?.to_owned(),
            // After the date.
            region: scope.nth(1)?.to_owned(),
            service: scope.next()?.to_owned(),
            headers: field("SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: field("Signature")?.to_owned(),
        })
    }

    /// Whether the scope's region is that of the endpoint, as far as its name tells one.
    fn is_for(&self, request: &HttpRequest) -> bool {
        let host = request.uri().split('/').nth(2).unwrap_or_default();
        let Some(rest) = host
            .strip_prefix("sts.")
            .or_else(|| host.strip_prefix("sts-fips."))
        else {
            return true;
        };
        match rest.split('.').next() {
            Some("amazonaws") => self.region == "us-east-1",
            Some(region) => self.region == region,
            None => true,
        }
    }

    fn check(
        &self,
        request: &HttpRequest,
        secret: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let wrong = |message: String| Refusal::new(403, "SignatureDoesNotMatch", message);
        let unsigned = || {
            wrong(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details."
                    .to_owned(),
            )
        };
        let date = request.headers().get("x-amz-date").unwrap_or_default();
        let signed_at = amz_date(date).ok_or_else(unsigned)?;
        if now
            .duration_since(signed_at)
            .is_ok_and(|late| late > CLOCK_SKEW)
        {
            let (earliest, now) = (to_amz_date(now - CLOCK_SKEW), to_amz_date(now));
            return Err(wrong(format!(
                "Signature expired: {date} is now earlier than {earliest} ({now} - 15 min.)"
            )));
        }
        if signed_at
            .duration_since(now)
            .is_ok_and(|early| early > CLOCK_SKEW)
        {
            let (latest, now) = (to_amz_date(now + CLOCK_SKEW), to_amz_date(now));
            return Err(wrong(format!(
                "Signature not yet current: {date} is still later than {latest} ({now} + 15 min.)"
            )));
        }
        match self.calculated(request, secret, token, signed_at) {
            Some(signature) if signature == self.signature => Ok(()),
            _ => Err(unsigned()),
        }
    }

    /// The signature that the holder of `secret` makes; none where the request cannot be signed.
    fn calculated(
        &self,
        request: &HttpRequest,
        secret: &str,
        token: Option<&str>,
        signed_at: SystemTime,
    ) -> Option<String> {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let hashed = request.headers().get("x-amz-content-sha256");
        let body = match hashed {
            None => SignableBody::Bytes(request.body().bytes()?),
            Some("UNSIGNED-PAYLOAD") => SignableBody::UnsignedPayload,
            Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => {
                SignableBody::StreamingUnsignedPayloadTrailer
            }
            Some(_) => SignableBody::Bytes(request.body().bytes()?),
        };
        if hashed.is_some() {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity: Identity = Credentials::new(
            &*self.access_key_id,
            secret,
            token.map(str::to_owned),
            None,
            "Simulator",
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(signed_at)
            .settings(settings)
            .build()
            .ok()?
            .into();
        // Those that the signer adds itself are not given to it again.
        const ADDED: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
        let headers = request.headers().iter().filter(|(name, _)| {
            self.headers.iter().any(|signed| signed == name) && !ADDED.contains(name)
        });
        let signable = SignableRequest::new(request.method(), request.uri(), headers, body).ok()?;
        let (_, signature) = sign(signable, &parameters).ok()?.into_parts();
        Some(signature)
    }
}

/// `20261122T120000Z`.
fn amz_date(text: &str) -> Option<SystemTime> {
    let part = |range| text.get(range);
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    );
    let date = DateTime::from_str(&iso, Format::DateTime).ok()?;
    SystemTime::try_from(date).ok()
}

fn to_amz_date(time: SystemTime) -> String {
    timestamp(time).replace(['-', ':'], "")
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// A form's parameters. Of a scalar that is given twice, the first counts.
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
    fn list(&self, prefix: &str) -> Vec<String> {
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

fn escaped(text: &str) -> String {
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
