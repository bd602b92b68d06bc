//! Advice on what to check after STS has rejected a call, or if it could not be called, based on what the hop requested.
//!
//! STS seldom says which policy denied the call, so each line is something to check, most likely first.

use aws_credential_types::Credentials;
use aws_types::SdkConfig;

use crate::arn::Arn;
use crate::error::Refusal;
use crate::request::limits::seconds;
use crate::request::{CallerKind, RequestSummary, SessionAction};

/// A call that STS rejected; with no signer, perhaps one that did not reach it.
#[derive(Clone, Copy)]
struct RejectedCall<'a> {
    summary: &'a RequestSummary<'a>,
    signer: Option<&'a Credentials>,
}

impl<'a> RejectedCall<'a> {
    /// The access key ID that signed the call.
    fn signer(self) -> &'a str {
        self.signer.map_or("", Credentials::access_key_id)
    }

    /// Whether temporary credentials signed the call.
    fn is_chained(self) -> bool {
        self.signer
            .is_some_and(|signer| signer.session_token().is_some())
    }

    /// Replaces the placeholders of a rule with the call's values.
    fn fill(self, line: &str) -> String {
        line.replace("{operation}", self.summary.operation.name())
            .replace("{signer}", self.signer())
            .replace("{role}", self.summary.role_arn())
            .replace("{account}", self.summary.account())
            .replace("{region}", &self.summary.region)
    }

    /// Returns the advice of the first rule that matches.
    fn advice_of_rule(self, code: &str, message: &str) -> Option<Vec<String>> {
        let operation = self.summary.operation.name();
        let mut lines = RULES.lines();
        lines.find(|line| applies(line, operation, code, message))?;
        let advice = lines.take_while(|line| line.starts_with(' '));
        Some(advice.map(|line| self.fill(line.trim_start())).collect())
    }
}

/// The table of advice by operation, code and message; the code is `NoAnswer` if no connection was made.
const RULES: &str = include_str!("advice.txt");

/// The words in STS's error responses, and in the reasons why no connection was made, that this module looks for. They
/// are never masked.
pub(super) fn words<'a>() -> impl Iterator<Item = &'a str> {
    let rules = RULES.lines().filter(|line| !line.starts_with([' ', '#']));
    let policies = DENYING_POLICIES.into_iter().map(|(said, _)| said);
    rules.chain(policies).chain([
        "User: arn:aws:iam:: :user/ is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam:: :role/",
        "User: arn:aws:sts:: :assumed-role/ sts:TagSession sts:SetSourceIdentity sts:SetContext",
        "with an explicit deny in a",
        "exceeds the MaxSessionDuration set for this role. roles assumed by role chaining.",
        " is invalid",
        UNRESOLVED[0],
        UNRESOLVED[1],
    ])
}

/// How HTTP clients say that a host does not resolve.
const UNRESOLVED: [&str; 2] = ["dns error", "failed to lookup address information"];

/// Returns what to check after STS has rejected a call, most likely first.
pub(super) fn advice(
    refusal: &Refusal,
    summary: &RequestSummary<'_>,
    signer: Option<&Credentials>,
) -> Vec<String> {
    let call = RejectedCall { summary, signer };
    let code = refusal.code.as_str();
    let message = refusal.message.as_deref().unwrap_or_default();
    let operation = summary.operation;
    match (code, denying_policy(message)) {
        ("AccessDenied", Some(DenyingPolicy::Other(policy))) if operation.has_token() => {
            let action = format!("sts:{}", operation.name());
            let is_denied = message.contains("explicit deny");
            return vec![denied_elsewhere(
                policy,
                &action,
                summary.role_arn(),
                is_denied,
            )];
        }
        ("ValidationError", _)
            if message.contains("MaxSessionDuration") || message.contains("role chaining") =>
        {
            return too_long(call);
        }
        ("ValidationError", _) if message.trim_end().ends_with(" is invalid") => {
            return vec![format!(
                "the role's partition must match region {}: arn:aws-cn for cn-…, arn:aws-us-gov for \
                 us-gov-…, arn:aws for most others",
                summary.region
            )];
        }
        _ => {}
    }
    call.advice_of_rule(code, message)
        .unwrap_or_else(|| match code {
            "AccessDenied" => access_denied(message, call),
            _ => Vec::new(),
        })
}

/// Returns what to check if this is why no connection was made. HTTP clients tell the reasons apart only in their texts.
pub(super) fn no_connection(
    cause: &str,
    summary: &RequestSummary<'_>,
    config: &SdkConfig,
    has_own_endpoint: bool,
) -> Vec<String> {
    let call = RejectedCall {
        summary,
        signer: None,
    };
    if let Some(advice) = call.advice_of_rule("NoAnswer", cause) {
        return advice;
    }
    let is_unresolved = UNRESOLVED.iter().any(|text| cause.contains(text));
    if is_unresolved && !has_own_endpoint {
        return unresolved(summary, config);
    }
    Vec::new()
}

/// Returns what to check if an error response does not have the form of STS's.
pub(super) fn no_code(destination: &str) -> String {
    format!(
        "the response has no STS error code: a proxy, a gateway or another server may have answered \
         {destination}"
    )
}

/// Returns what to check if the host that AWS's rules derive from the region does not resolve. Only AWS knows which
/// regions exist.
fn unresolved(summary: &RequestSummary<'_>, config: &SdkConfig) -> Vec<String> {
    let region = &summary.region;
    let mut lines = vec![format!(
        "region {region} may not exist or may be misspelled: the host of its STS endpoint does not \
         resolve"
    )];
    for (kind, is_set) in [
        ("FIPS", config.use_fips()),
        ("dual-stack", config.use_dual_stack()),
    ] {
        if is_set == Some(true) {
            lines.push(format!(
                "STS may have no {kind} endpoint in region {region}: not every region has one"
            ));
        }
    }
    lines.push("if the endpoint exists, check this machine's DNS, network and proxy".to_owned());
    lines
}

/// Whether a line of [`RULES`] starts a rule that matches this error.
fn applies(line: &str, operation: &str, code: &str, message: &str) -> bool {
    let (rule, part) = line.split_once(": ").unwrap_or((line, ""));
    let is_for_code = match rule.split_once(' ') {
        Some((rule_operation, rule_code)) => rule_operation == operation && rule_code == code,
        None => rule == code,
    };
    is_for_code && message.contains(part)
}

fn too_long(call: RejectedCall<'_>) -> Vec<String> {
    let requested = call
        .summary
        .role
        .and_then(|role| role.duration.map(seconds))
        .unwrap_or(3600);
    if call.is_chained() && requested > 3600 {
        return vec![
            "request 3600 s or less: the call is signed with temporary credentials (role chaining), \
             so this is the maximum, regardless of the role's own limit"
                .to_owned(),
        ];
    }
    vec![format!(
        "request less than {requested} s, or raise the role's limit: aws iam update-role \
         --role-name {} --max-session-duration {requested}",
        name_of(call.summary.role_arn())
    )]
}

fn access_denied(message: &str, call: RejectedCall<'_>) -> Vec<String> {
    let role = call.summary.role_arn();
    let session_action = SessionAction::ALL
        .into_iter()
        .find(|action| message.contains(&format!("sts:{}", action.name())));
    let action = format!(
        "sts:{}",
        session_action.map_or("AssumeRole", SessionAction::name)
    );
    let action = action.as_str();
    let caller = caller_arn(message);
    if let Some(caller) = caller.filter(|caller| is_federated_user(caller)) {
        return vec![format!(
            "{caller} is a federated user, and credentials from GetFederationToken cannot assume \
             roles: use those of an IAM user or a role"
        )];
    }
    let named = caller.unwrap_or("the caller");
    let (role_of_caller, origin) = match call.summary.caller {
        CallerKind::Role(arn) => (Some(format!("role {arn}")), "previous role"),
        _ => (caller.and_then(role_of_session), "source credentials"),
    };
    let trusted = match role_of_caller {
        Some(role) => format!("{role} (or its account; not the session's ARN)"),
        None => format!("{named} (or its account)"),
    };
    let mut lines = vec![match caller {
        Some(arn) => format!("is {arn} the intended caller? If not, check the {origin}"),
        None => format!("is {} the intended access key?", call.signer()),
    }];
    let denies = message.contains("explicit deny");
    match denying_policy(message) {
        Some(DenyingPolicy::Identity) if !denies => lines.push(format!(
            "AWS's message names the policy: a policy of {named} must allow {action} on {role}, \
             including its path (IAM changes take up to a minute){}",
            if caller.and_then(account_of) == Some(call.summary.account()) {
                "; or, within one account, the role's trust policy must name the caller itself"
            } else {
                ""
            }
        )),
        Some(DenyingPolicy::Trust) if denies => {
            lines.push(format!(
                "AWS's message names the policy: a Deny in the trust policy of {role} applies and \
                 overrides every Allow: check its conditions"
            ));
            lines.extend(trust_conditions(session_action, caller, call));
        }
        Some(DenyingPolicy::Trust) => {
            lines.push(format!(
                "AWS's message names the policy: the trust policy of {role} must allow {action} to \
                 {trusted}; IAM changes take up to a minute"
            ));
            lines.extend(trust_conditions(session_action, caller, call));
        }
        Some(DenyingPolicy::Identity) => {
            lines.push(format!(
                "AWS's message names the policy: a Deny in a policy of {named} applies and \
                 overrides every Allow"
            ));
            if !call.summary.proves_mfa && caller.is_some_and(is_user) {
                lines.push(
                    "usually this is a Deny for callers without MFA: send a code (mfa), or start \
                     with a session token that was obtained with one"
                        .to_owned(),
                );
            }
        }
        Some(DenyingPolicy::Other(policy)) => {
            lines.push(denied_elsewhere(policy, action, role, denies))
        }
        None => {
            lines.push(format!(
                "the trust policy of {role} must allow {action} to {trusted}; a user or role that \
                 was deleted and recreated must be added to it again"
            ));
            lines.extend(trust_conditions(session_action, caller, call));
            lines.push(format!(
                "a policy of {named} must allow {action} on {role}, including its path; required if \
                 the accounts differ, and within one account if the trust policy names only the \
                 account"
            ));
            lines.push(format!(
                "the role must exist in account {} with exactly this path and name (case-sensitive)",
                call.summary.account()
            ));
            lines.push(
                "a Deny in any of these policies overrides every Allow, and permissions boundaries, \
                 session policies, SCPs, RCPs and VPC endpoint policies can also deny the call; IAM \
                 changes take up to a minute"
                    .to_owned(),
            );
        }
    }
    lines
}

/// The advice if the denying policy is neither the caller's identity-based policy nor the role's trust policy.
fn denied_elsewhere(policy: &str, action: &str, role: &str, denies: bool) -> String {
    if denies {
        format!(
            "AWS's message names the policy: a Deny in the {policy} applies and overrides every Allow"
        )
    } else {
        format!("AWS's message names the policy: the {policy} must also allow {action} on {role}")
    }
}

/// What the conditions of the trust policy may require of the request.
fn trust_conditions(
    action: Option<SessionAction>,
    caller: Option<&str>,
    call: RejectedCall<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    match action {
        Some(SessionAction::TagSession) if !call.summary.sends_tags() => lines.push(
            "this hop passes no tags itself, but inherits transitive ones (EKS Pod Identity sets \
             some, unless the association has disableSessionTags): sts:TagSession is required at \
             every hop that inherits tags"
                .to_owned(),
        ),
        Some(SessionAction::TagSession) => lines.push(
            "allow sts:TagSession in a separate statement: a condition for sts:AssumeRole, such as \
             sts:ExternalId, denies it"
                .to_owned(),
        ),
        Some(SessionAction::SetContext) => lines.push(
            "allow sts:SetContext in a separate statement; if it has a condition on \
             sts:RequestContextProviders, that must name the provider"
                .to_owned(),
        ),
        Some(SessionAction::SetSourceIdentity) => lines.push(format!(
            "a source identity is {} here: allow sts:SetSourceIdentity in a separate statement: a \
             condition for sts:AssumeRole, such as sts:ExternalId, denies it",
            if call.summary.sets_source_identity() { "set" } else { "inherited" }
        )),
        None => {
            lines.push(if call.summary.sends_external_id() {
                "the external ID must exactly match the trust policy's sts:ExternalId condition"
                    .to_owned()
            } else {
                "no external ID was sent: if the trust policy has an sts:ExternalId condition, set \
                 external_id"
                    .to_owned()
            });
            lines.push(format!(
                "the session name was {}: the trust policy may require another \
                 (sts:RoleSessionName)",
                call.summary.role.map_or("", |role| role.checked_session_name())
            ));
            lines.extend(call.summary.session_actions().map(|action| {
                let action = action.name();
                format!("this request also requires sts:{action}, in the trust policy and in the caller's")
            }));
        }
    }
    lines.push(
        "the trust policy may have other conditions, such as on session tags (aws:RequestTag/…, \
         aws:TagKeys, sts:TransitiveTagKeys), the source identity (sts:SourceIdentity), the \
         organization (aws:PrincipalOrgID) or the network (aws:SourceIp)"
            .to_owned(),
    );
    if call.summary.mfa_serial.is_none() {
        let proof = if call.summary.proves_mfa {
            "the session token proves it, but may be too old (aws:MultiFactorAuthAge)"
        } else if !call.is_chained() {
            "no MFA code was sent, but one is required (mfa)"
        } else if caller.is_some_and(is_user) {
            "a session token proves MFA only if it was obtained with a code \
             (SessionTokenRequest::mfa)"
        } else {
            "it denies role sessions, which do not have it"
        };
        lines.push(format!(
            "if the trust policy requires MFA (aws:MultiFactorAuthPresent): {proof}"
        ));
    }
    lines
}

/// The caller's ARN, if the message contains it: `User: <arn> is not authorized to perform: …`.
pub(crate) fn caller_arn(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("User: ")?;
    rest.split(' ').next().filter(|arn| arn.starts_with("arn:"))
}

fn is_user(arn: &str) -> bool {
    arn.contains(":user/")
}

fn account_of(arn: &str) -> Option<&str> {
    Arn::parse(arn).map(|arn| arn.account)
}

/// Describes a session's role as a trust policy names it. The path is unknown, because the session's ARN omits it.
fn role_of_session(arn: &str) -> Option<String> {
    let arn = Arn::parse(arn)?;
    let (name, _) = arn.assumed_role()?;
    let Arn {
        partition, account, ..
    } = arn;
    Some(if name.starts_with("AWSReservedSSO_") {
        format!(
            "role arn:{partition}:iam::{account}:role/aws-reserved/sso.amazonaws.com/…/{name}, in \
             full as shown by IAM"
        )
    } else {
        format!("role arn:{partition}:iam::{account}:role/{name}, with its path if it has one")
    })
}

/// Whether the caller's credentials come from GetFederationToken.
pub(crate) fn is_federated_user(arn: &str) -> bool {
    Arn::parse(arn).is_some_and(|arn| arn.resource.starts_with("federated-user/"))
}

/// The kind of policy that denied a call.
#[derive(Clone, Copy)]
pub(crate) enum DenyingPolicy {
    /// An identity-based policy of the caller.
    Identity,
    /// The trust policy of the role.
    Trust,
    Other(&'static str),
}

/// How AWS's messages name the kind of policy that denied a call. Most of STS's messages name none.
const DENYING_POLICIES: [(&str, DenyingPolicy); 9] = [
    ("identity-based policy", DenyingPolicy::Identity),
    ("resource-based policy", DenyingPolicy::Trust),
    ("role trust policy", DenyingPolicy::Trust),
    // AWS's documentation spells it both ways.
    ("session policy", SESSION_POLICY),
    ("sessions policy", SESSION_POLICY),
    (
        "permissions boundary",
        DenyingPolicy::Other("permissions boundary of the caller"),
    ),
    (
        "service control policy",
        DenyingPolicy::Other("service control policies (SCP) of the caller's account"),
    ),
    (
        "resource control policy",
        DenyingPolicy::Other("resource control policies (RCP) of the role's account"),
    ),
    (
        "VPC endpoint policy",
        DenyingPolicy::Other("VPC endpoint's policy"),
    ),
];

/// Finds the kind of policy that a message names.
pub(crate) fn denying_policy(message: &str) -> Option<DenyingPolicy> {
    let mut policies = DENYING_POLICIES.into_iter();
    policies.find_map(|(said, side)| message.contains(said).then_some(side))
}

const SESSION_POLICY: DenyingPolicy =
    DenyingPolicy::Other("session policy of the caller's own session");

fn name_of(role_arn: &str) -> &str {
    let role = Arn::parse(role_arn).and_then(|arn| arn.role());
    role.map_or(role_arn, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::{Meaning, Operation};
    use crate::request::{Checked, Inherited, Role};
    use crate::sts::secrets::Secrets;

    /// A request with an external ID; with `all`, also a duration, a tag and a source identity.
    fn request(account: &str, all: bool) -> Checked<Role> {
        let mut role = Role::new(format!("arn:aws:iam::{account}:role/R"))
            .session_name("orders")
            .external_id("c0ffee");
        if all {
            role = role
                .duration(Duration::from_secs(7200))
                .tag("team", "payments")
                .source_identity("ada");
        }
        role.check(&Inherited::nothing(), Operation::AssumeRole)
            .unwrap_or_else(|violation| panic!("{violation:?}"))
    }

    fn summary(request: &Checked<Role>) -> RequestSummary<'_> {
        RequestSummary {
            operation: Operation::AssumeRole,
            hop: 1,
            role: Some(request),
            inherited: Inherited::nothing(),
            caller: CallerKind::Base,
            region: "eu-west-1".to_owned(),
            mfa_serial: None,
            proves_mfa: false,
        }
    }

    /// AWS's error responses, as recorded or documented, and what the advice for each must contain.
    #[test]
    fn every_refusal_of_sts_has_advice() {
        use Operation::*;
        let user = "User: arn:aws:iam::111111111111:user/ada is not authorized to perform: ";
        let session =
            "User: arn:aws:sts::111111111111:assumed-role/Hub/s is not authorized to perform: ";
        let cases: &[(Operation, &str, &str, &str)] = &[
            (
                AssumeRole,
                "AccessDenied",
                &format!("{user}sts:AssumeRole on resource: R"),
                "trust policy",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!("{session}sts:AssumeRole on resource: R"),
                "role arn:aws:iam::111111111111:role/Hub",
            ),
            (
                AssumeRole,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRole",
                "trust policy",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!(
                    "{user}sts:AssumeRole because no role trust policy allows the sts:AssumeRole action"
                ),
                "names the policy: the trust policy of arn:aws:iam::222222222222:role/R must allow",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!("{user}sts:AssumeRole with an explicit deny in a service control policy"),
                "SCP",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!("{user}sts:TagSession on resource: R"),
                "must allow sts:TagSession",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!("{user}sts:SetSourceIdentity on resource: R"),
                "must allow sts:SetSourceIdentity",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!("{user}sts:SetContext on resource: R"),
                "must allow sts:SetContext",
            ),
            (
                AssumeRole,
                "AccessDenied",
                "Roles may not be assumed by root accounts.",
                "IAM user or a role",
            ),
            (
                AssumeRole,
                "AccessDenied",
                "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
                "valid once",
            ),
            (
                GetSessionToken,
                "AccessDenied",
                "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
                "valid once",
            ),
            (
                AssumeRole,
                "AccessDenied",
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
                "the device's own",
            ),
            (
                AssumeRole,
                "AccessDenied",
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code",
                "sent together",
            ),
            (
                GetSessionToken,
                "AccessDenied",
                "Cannot call GetSessionToken with session credentials",
                "GetSessionToken requires an IAM user's long-term keys",
            ),
            (
                AssumeRole,
                "ValidationError",
                "The source identity is already set for this assume role session",
                "cannot be changed",
            ),
            (
                AssumeRole,
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                "3600 s or less",
            ),
            (
                AssumeRole,
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
                "3600 s or less",
            ),
            (
                AssumeRole,
                "InvalidParameterValue",
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
                "omit that key",
            ),
            (
                AssumeRole,
                "InvalidParameterValue",
                "The specified transitive tag key must be included in the requested tags.",
                "one of the tags",
            ),
            (
                AssumeRole,
                "InvalidParameterValue",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                "once",
            ),
            (
                AssumeRole,
                "InvalidParameterValue",
                "aws: prefixed tag key names are not allowed for external use.",
                "rename",
            ),
            (
                AssumeRole,
                "PackedPolicyTooLarge",
                "Packed size of session tags consumes 112% of allotted space.",
                "Pod Identity",
            ),
            (
                AssumeRole,
                "MalformedPolicyDocument",
                "This policy contains invalid Json",
                "not a valid IAM policy: it needs Statements",
            ),
            (
                AssumeRole,
                "RegionDisabledException",
                "STS is not activated in this region for account:222222222222.",
                "eu-west-1",
            ),
            (
                AssumeRole,
                "ExpiredToken",
                "The security token included in the request is expired",
                "renews",
            ),
            (
                AssumeRole,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
                "deleted",
            ),
            (
                AssumeRole,
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region. ",
                "region",
            ),
            (
                AssumeRole,
                "SignatureDoesNotMatch",
                "Signature expired: A is now earlier than B (C - 15 min.)",
                "clock",
            ),
            (
                AssumeRole,
                "SignatureDoesNotMatch",
                "Signature not yet current: A is still later than B (C + 15 min.)",
                "NTP",
            ),
            (
                AssumeRole,
                "ValidationError",
                "arn:aws:iam::222222222222:role/R is invalid",
                "partition",
            ),
            (
                AssumeRole,
                "AccessDenied",
                "User: arn:aws:sts::111111111111:assumed-role/AWSReservedSSO_Dev_ab12/ada is not authorized to perform: sts:AssumeRole on resource: R",
                "role/aws-reserved/sso.amazonaws.com/…/AWSReservedSSO_Dev_ab12",
            ),
            (
                AssumeRole,
                "AccessDenied",
                &format!("{user}sts:AssumeRole on resource: R"),
                "only if it was obtained with a code",
            ),
            (
                GetSessionToken,
                "AccessDenied",
                &format!(
                    "{user}sts:GetSessionToken because no VPC endpoint policy allows the sts:GetSessionToken action"
                ),
                "needs no permission",
            ),
            (
                GetSessionToken,
                "RegionDisabledException",
                "STS is not activated in this region for account:111111111111.",
                "in the user's account",
            ),
            (
                AssumeRoleWithWebIdentity,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithWebIdentity with an explicit deny in a resource control policy",
                "(RCP) of the role's account applies",
            ),
            (
                AssumeRoleWithSaml,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithSAML",
                "aws:PrincipalOrgID",
            ),
            (
                AssumeRoleWithSaml,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithSAML",
                "SAML:sub",
            ),
            (
                AssumeRoleWithSaml,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithSAML",
                "a Deny in the trust policy",
            ),
            (
                AssumeRoleWithWebIdentity,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithWebIdentity",
                "sts:RoleSessionName",
            ),
            (
                AssumeRoleWithWebIdentity,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithWebIdentity",
                "a Deny in the trust policy",
            ),
            (AssumeRole, "Throttling", "Rate exceeded", "600 requests"),
            (
                AssumeRoleWithWebIdentity,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithWebIdentity",
                "decode the token",
            ),
            (
                AssumeRoleWithWebIdentity,
                "ExpiredTokenException",
                "Token expired: current date/time 1740387458 must be before the expiration date/time 1740319004",
                "renewed",
            ),
            (
                AssumeRoleWithWebIdentity,
                "InvalidIdentityToken",
                "No OpenIDConnect provider found in your account for https://x",
                "identity provider",
            ),
            (
                AssumeRoleWithWebIdentity,
                "InvalidIdentityToken",
                "Incorrect token audience",
                "client ids",
            ),
            (
                AssumeRoleWithWebIdentity,
                "InvalidIdentityToken",
                "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
                "jwks_uri",
            ),
            (
                AssumeRoleWithWebIdentity,
                "InvalidIdentityToken",
                "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
                "thumbprint",
            ),
            (
                AssumeRoleWithWebIdentity,
                "IDPCommunicationError",
                "",
                "jwks_uri",
            ),
            (
                AssumeRoleWithWebIdentity,
                "IDPRejectedClaim",
                "",
                "get a new one",
            ),
            (
                AssumeRoleWithSaml,
                "AccessDenied",
                "Not authorized to perform sts:AssumeRoleWithSAML",
                "SAML:aud",
            ),
            (
                AssumeRoleWithSaml,
                "ExpiredTokenException",
                "Token must be redeemed within 5 minutes of issuance",
                "sign in again",
            ),
            (
                AssumeRoleWithSaml,
                "InvalidIdentityToken",
                "RoleSessionName is required in AuthnResponse",
                "attribute",
            ),
            (
                AssumeRoleWithSaml,
                "InvalidIdentityToken",
                "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
                "attribute",
            ),
            (
                AssumeRoleWithSaml,
                "InvalidIdentityToken",
                "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\"",
                "attribute",
            ),
            (
                AssumeRoleWithSaml,
                "InvalidIdentityToken",
                "Response signature invalid",
                "certificate",
            ),
            (
                AssumeRoleWithSaml,
                "InvalidIdentityToken",
                "Specified provider doesn't exist.",
                "principal_arn",
            ),
            (
                AssumeRoleWithSaml,
                "InvalidIdentityToken",
                "Response does not contain the required audience.",
                "audience",
            ),
            (AssumeRoleWithSaml, "IDPRejectedClaim", "", "get a new one"),
        ];
        for (call, code, message, part) in cases {
            let request = request("222222222222", true);
            let summary = RequestSummary {
                operation: *call,
                ..summary(&request)
            };
            let signer =
                Credentials::new("ASIAEXAMPLE", "", Some("token".to_owned()), None, "test");
            let advice = |message: &str| {
                let refusal = Refusal {
                    code: (*code).to_owned(),
                    message: Some(message.to_owned()),
                    request_id: None,
                    meaning: Meaning::Denied,
                };
                advice(&refusal, &summary, Some(&signer)).join("\n")
            };
            let lines = advice(message);
            assert!(
                lines.contains(part),
                "{code}: {message}: {part:?} is not in {lines:?}"
            );
            // The advice must not change if a secret is part of STS's words, as a short external ID may be.
            let values = ["111111111111", "Hub", "AWSReservedSSO_Dev_ab12"];
            for word in message.split(|c: char| !c.is_ascii_alphanumeric()) {
                let signs: Vec<char> = word.chars().collect();
                let parts = (2..=4).flat_map(|len| signs.windows(len).map(String::from_iter));
                for secret in parts.chain([word.to_owned()]) {
                    if values.iter().all(|value| !value.contains(&secret)) {
                        let masked = Secrets::new([&*secret], words()).mask(message);
                        assert!(advice(&masked).contains(part), "{code}: {masked}");
                    }
                }
            }
        }
    }

    #[test]
    fn where_aws_names_the_side_the_other_is_not_to_blame() {
        let user = "User: arn:aws:iam::111111111111:user/ada is not authorized to perform: ";
        let (trust, own) = (
            "trust policy of",
            "policy of arn:aws:iam::111111111111:user/ada",
        );
        // The end of the message, the role's account, what the lines contain in order, and what no line contains.
        let cases: &[(&str, &str, &[&str], &[&str])] = &[
            (
                "because no identity-based policy allows the sts:AssumeRole action",
                "222222222222",
                &[
                    "the intended caller",
                    "a policy of arn:aws:iam::111111111111:user/ada must allow",
                ],
                &[trust, "external ID", "within one account", "must exist"],
            ),
            (
                "because no identity-based policy allows the sts:AssumeRole action",
                "111111111111",
                &["the intended caller", "within one account"],
                &["external ID", "must exist"],
            ),
            (
                "with an explicit deny in an identity-based policy",
                "222222222222",
                &[
                    "the intended caller",
                    "a Deny in a policy of",
                    "callers without MFA",
                ],
                &[trust, "must allow"],
            ),
            (
                "because no role trust policy allows the sts:AssumeRole action",
                "222222222222",
                &[
                    "the intended caller",
                    "must allow sts:AssumeRole to",
                    "external ID",
                    "name was orders",
                    "other conditions",
                    "aws:MultiFactorAuthPresent",
                ],
                &[own, "must exist", "SCP"],
            ),
            (
                "with an explicit deny in the role trust policy",
                "222222222222",
                &[
                    "the intended caller",
                    "a Deny in the trust policy",
                    "external ID",
                    "name was orders",
                    "other conditions",
                    "aws:MultiFactorAuthPresent",
                ],
                &[own, "must allow"],
            ),
            (
                "because no resource-based policy allows the sts:AssumeRole action",
                "222222222222",
                &[
                    "the intended caller",
                    "must allow sts:AssumeRole to",
                    "external ID",
                    "name was orders",
                    "other conditions",
                    "aws:MultiFactorAuthPresent",
                ],
                &[own],
            ),
            (
                "with an explicit deny in a sessions policy",
                "222222222222",
                &["the intended caller", "a Deny in the session policy"],
                &[trust, own],
            ),
            (
                "because no permissions boundary allows the sts:AssumeRole action",
                "222222222222",
                &[
                    "the intended caller",
                    "the permissions boundary of the caller must also allow",
                ],
                &[trust, own],
            ),
            (
                "with an explicit deny in a resource control policy",
                "222222222222",
                &["the intended caller", "(RCP) of the role's account applies"],
                &[trust, own],
            ),
        ];
        for (end, account, expected, absent) in cases {
            let message = format!("{user}sts:AssumeRole on resource: R {end}");
            let request = request(account, false);
            let signer = Credentials::new("AKIAEXAMPLE", "", None, None, "test");
            let call = RejectedCall {
                summary: &summary(&request),
                signer: Some(&signer),
            };
            let lines = access_denied(&message, call);
            assert_eq!(lines.len(), expected.len(), "{end}: {lines:#?}");
            for (line, part) in lines.iter().zip(*expected) {
                assert!(line.contains(part), "{end}: {part:?} is not in {line:?}");
            }
            for part in *absent {
                assert!(
                    !lines.concat().contains(part),
                    "{end}: {part:?} is in {lines:#?}"
                );
            }
        }
    }

    #[test]
    fn advice_on_a_call_without_a_role_names_none() {
        let request = request("222222222222", false);
        for operation in Operation::all().filter(|operation| operation.is_call()) {
            let assumes_role = operation.name().starts_with("AssumeRole");
            let summary = RequestSummary {
                operation,
                role: assumes_role.then_some(&request),
                ..summary(&request)
            };
            for code in ["AccessDenied", "RegionDisabledException"] {
                let refusal = Refusal {
                    code: code.to_owned(),
                    message: None,
                    request_id: None,
                    meaning: Meaning::Denied,
                };
                let signer = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
                let lines = advice(&refusal, &summary, Some(&signer));
                assert!(!lines.is_empty(), "{operation:?} {code}");
                for line in lines {
                    let has_gap = line.contains("  ") || line.contains(" ,") || line.ends_with(' ');
                    assert!(!has_gap, "{operation:?} {code}: {line}");
                }
            }
        }
    }

    #[test]
    fn the_reason_why_no_connection_was_made_has_advice() {
        let request = request("222222222222", false);
        let config = SdkConfig::builder().build();
        for (cause, has_own_endpoint, part) in [
            (
                "client error (Connect): tunnel error: unsuccessful",
                false,
                "HTTPS_PROXY",
            ),
            (
                "TLS handshake failed: invalid peer certificate: UnknownIssuer",
                true,
                "ca-certificates",
            ),
            (
                "TLS handshake failed: invalid peer certificate: certificate not valid for name \
                 \"sts.example\"; certificate is only valid for DnsName(\"proxy.example\")",
                true,
                "for another host",
            ),
            (
                "dns error: failed to lookup address information",
                false,
                "region eu-west-1",
            ),
            ("dns error: failed to lookup address information", true, ""),
            ("Connection refused (os error 111)", false, ""),
        ] {
            let advice = no_connection(cause, &summary(&request), &config, has_own_endpoint);
            let advice = advice.join("\n");
            assert!(
                advice.contains(part) && advice.is_empty() == part.is_empty(),
                "{cause}: {advice}"
            );
            let is_untrusted = cause.contains("UnknownIssuer");
            assert_eq!(advice.contains("root certificate"), is_untrusted, "{cause}");
        }
    }

    #[test]
    fn every_action_that_a_request_requires_is_named_and_found_in_a_denial() {
        let role = Role::new("arn:aws:iam::222222222222:role/R")
            .tag("team", "payments")
            .source_identity("ada")
            .provided_context(
                "arn:aws:iam::aws:contextProvider/IdentityCenter",
                "assertion",
            );
        let request = role
            .check(&Inherited::nothing(), Operation::AssumeRole)
            .unwrap_or_else(|violation| panic!("{violation:?}"));
        let advice = |message: &str| {
            let refusal = Refusal {
                code: "AccessDenied".to_owned(),
                message: Some(message.to_owned()),
                request_id: None,
                meaning: Meaning::Denied,
            };
            advice(&refusal, &summary(&request), None).join("\n")
        };
        let unspecific = advice("Access denied");
        for action in SessionAction::ALL {
            let action = format!("sts:{}", action.name());
            assert!(
                unspecific.contains(&format!("also requires {action}")),
                "{unspecific}"
            );
            let denied = advice(&format!("User: X is not authorized to perform: {action}"));
            assert!(denied.contains(&format!("must allow {action}")), "{denied}");
            assert!(
                words().any(|word| word.contains(&action)),
                "{action} could be masked"
            );
        }
    }

    #[test]
    fn every_line_of_the_table_is_a_rule_with_advice_or_a_comment() {
        let calls = Operation::all().filter(|operation| operation.is_call());
        let operations: Vec<&str> = calls.map(Operation::name).collect();
        let mut lines = RULES
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .peekable();
        while let Some(rule) = lines.next() {
            let (head, _) = rule.split_once(": ").unwrap_or((rule, ""));
            let code = match head.split_once(' ') {
                Some((operation, code)) => {
                    assert!(operations.contains(&operation), "{rule}");
                    code
                }
                None => head,
            };
            assert!(code.chars().all(|c| c.is_ascii_alphanumeric()), "{rule}");
            let mut advice = 0;
            while let Some(line) = lines.next_if(|line| line.starts_with("  ")) {
                let names = ["{operation}", "{signer}", "{role}", "{account}", "{region}"];
                let filled = names
                    .iter()
                    .fold(line.to_owned(), |line, name| line.replace(name, ""));
                assert!(!filled.contains(['{', '}']), "{line}");
                advice += 1;
            }
            assert!(advice > 0, "{rule} has no advice");
        }
    }
}
