//! [`Role`]: the parameters of AssumeRole, and the one step that checks them against STS's rules.
//!
//! A new parameter needs a field and a setter here, its limits, a check in [`Role::check`], an entry in
//! [`Role::parameters`], an argument of the call in `sts`, and a row in `tests/common/parameters.rs`, which tests them
//! all.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_json::deserialize::{Token, json_token_iter};

use super::allowlist::AllowedRoles;
use super::checked::Checked;
use super::limits::*;
use crate::arn::{Arn, is_account_id};
use crate::error::{Operation, Violation};
use crate::mfa::{Mfa, ProvideMfaCode};

/// A role to assume, with the parameters of
/// [AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
///
/// Setters only store their values. All are checked once, before any call, when
/// [`RoleChain::new`](crate::RoleChain::new) or [`assume`](crate::RoleChain::assume) adds the role to a chain. A role
/// that is assumed with a web identity token or a SAML assertion accepts fewer parameters; see
/// [`RoleChain::from_web_identity`](crate::RoleChain::from_web_identity) and
/// [`RoleChain::from_saml`](crate::RoleChain::from_saml).
///
/// Two roles are equal if all parameters are equal and their MFA codes come from the same call of [`mfa`](Self::mfa),
/// as in clones.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use aws_role_chain::Role;
///
/// let role = Role::new("arn:aws:iam::222222222222:role/FirehoseWriter")
///     .session_name("orders")
///     .external_id("c0ffee")
///     .duration(Duration::from_secs(900))
///     .tag("team", "payments");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use = "a role does nothing until a chain assumes it"]
pub struct Role {
    pub(crate) arn: Arc<str>,
    pub(crate) session_name: Option<String>,
    pub(crate) external_id: Option<Secret>,
    pub(crate) duration: Option<Duration>,
    pub(crate) policy: Option<String>,
    pub(crate) policy_arns: Vec<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) source_identity: Option<String>,
    pub(crate) provided_contexts: Vec<ProvidedContext>,
    pub(crate) mfa: Option<Mfa>,
    pub(crate) region: Option<String>,
    pub(crate) allowed_roles: Option<Arc<AllowedRoles>>,
}

impl Role {
    /// Creates a role from its ARN, `arn:<partition>:iam::<12-digit account>:role/<path><name>`, of 20 to 2048
    /// characters. Role names and paths are case-sensitive.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into().into(),
            ..Self::default()
        }
    }

    /// Sets the session name, which is the last part of the session's ARN and appears in CloudTrail: 2 to 64 ASCII
    /// letters, digits and `_+=,.@-`. A trust policy may require a specific name (`sts:RoleSessionName`).
    ///
    /// Default: the session name of the previous role. For the first role it is the program's name and process ID, such
    /// as `put_records-4242`, which stays the same across refreshes.
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// Sets the external ID that the role's owner requires in its trust policy
    /// ([why](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html)): 2 to 1224
    /// ASCII letters, digits and `_+=,.@:/-`. This crate never logs or shows it.
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(Secret(id.into()));
        self
    }

    /// Sets the duration of each session: 900 to 43,200 whole seconds, and at most the role's `MaxSessionDuration`.
    /// From the second hop on, the limit is 3,600 s (role chaining). On the first hop that limit applies if the source
    /// credentials are those of a role, which only STS can tell: when STS reports it, one hour is requested instead,
    /// and a warning is logged.
    ///
    /// Default: STS's, one hour.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Sets a session policy: the session may do only what both this policy and the role's own policies allow. It must
    /// be a JSON object of at most 2,048 characters, including the [`policy_arn`](Self::policy_arn)s. STS also packs
    /// session policies and tags into a format with a size limit of its own, which only STS can check
    /// (`PackedPolicyTooLarge`).
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policy = Some(json.into());
        self
    }

    /// Adds a managed policy as a session policy; at most 10. The policy must belong to the role's account or be one of
    /// AWS's in the role's partition (`arn:aws:iam::aws:policy/…`).
    pub fn policy_arn(mut self, arn: impl Into<String>) -> Self {
        self.policy_arns.push(arn.into());
        self
    }

    /// Adds a [session tag](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html); at most 50. Keys
    /// have 1 to 128 and values 0 to 256 letters, digits, spaces and `_.:/=+-@`. A key must not begin with `aws:`, and
    /// two keys must not differ only in case. The role's trust policy must allow `sts:TagSession`.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag {
            key: key.into(),
            value: value.into(),
            transitive: false,
        });
        self
    }

    /// Adds a session tag that every later hop inherits and cannot change
    /// ([transitive](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining)).
    /// The trust policies of all later roles must allow `sts:TagSession` too, even if no tags are passed to them.
    pub fn transitive_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag {
            key: key.into(),
            value: value.into(),
            transitive: true,
        });
        self
    }

    /// Sets the [source
    /// identity](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html),
    /// which tells CloudTrail who is behind the sessions of this hop and all later ones: 2 to 256 ASCII letters, digits
    /// and `_+=,.@-`. AWS documents 64 in places, so more than 64 characters cause a logged warning. A later hop may
    /// repeat the value but not change it. The trust policies of this role and all later ones must allow
    /// `sts:SetSourceIdentity`.
    pub fn source_identity(mut self, identity: impl Into<String>) -> Self {
        self.source_identity = Some(identity.into());
        self
    }

    /// Adds a trusted context assertion
    /// ([ProvidedContext](https://docs.aws.amazon.com/STS/latest/APIReference/API_ProvidedContext.html)), such as one
    /// of IAM Identity Center; at most 5. It consists of the provider's ARN and a signed assertion of 4 to 2,048
    /// characters, which is a secret and never shown. The role's trust policy must allow `sts:SetContext`.
    pub fn provided_context(
        mut self,
        provider_arn: impl Into<String>,
        assertion: impl Into<String>,
    ) -> Self {
        self.provided_contexts.push(ProvidedContext {
            provider_arn: provider_arn.into(),
            assertion: Secret(assertion.into()),
        });
        self
    }

    /// Sets the MFA device of the IAM user whose keys the chain starts from, and the provider of its codes, for roles
    /// whose trust policy requires `aws:MultiFactorAuthPresent`.
    ///
    /// `serial` is the ARN of a virtual device (`arn:aws:iam::<account>:mfa/<name>`) or the serial number of a hardware
    /// device, 9 to 256 characters. Passkeys and security keys cannot be used, because they have no codes. Set it only
    /// on the first hop, because roles have no MFA devices. The code proves MFA to this role only; for one code that
    /// serves several roles, start with [a session token](crate::RoleChain::from_session_token).
    pub fn mfa(mut self, serial: impl Into<String>, codes: impl ProvideMfaCode + 'static) -> Self {
        self.mfa = Some(Mfa::new(serial.into(), codes));
        self
    }
    pub(crate) fn with_mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = Some(mfa);
        self
    }

    /// Sets the region of the STS endpoint for this hop. Default: the base config's region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Restricts the role's ARN to `roles`. Use it for ARNs from untrusted input. Many roles can share one
    /// `Arc<AllowedRoles>`.
    pub fn allowed_roles(mut self, roles: impl Into<Arc<AllowedRoles>>) -> Self {
        self.allowed_roles = Some(roles.into());
        self
    }

    /// Describes every parameter, for checks, reports, policies and the session store.
    pub(crate) fn parameters(&self) -> [Parameter; 9] {
        let Self {
            arn: _,
            session_name,
            external_id,
            duration,
            policy,
            policy_arns,
            tags,
            source_identity,
            provided_contexts,
            mfa,
            // Not sent: one selects the endpoint, the other rejects ARNs.
            region: _,
            allowed_roles: _,
        } = self;
        let policy_length = |json: &String| format!("{} characters", json.chars().count());
        let providers = |context: &ProvidedContext| context.provider_arn.clone();
        [
            Parameter::new("session_name", "session name", session_name.clone())
                .accepted_by(AcceptedBy::AllButSaml)
                .known_to_cli(),
            Parameter::new(
                "external_id",
                "external ID",
                external_id.as_ref().map(|_| "sent: yes".to_owned()),
            )
            .known_to_cli(),
            Parameter::new(
                "duration",
                "duration",
                duration.map(|duration| format!("{} s", duration.as_secs())),
            )
            .accepted_by(AcceptedBy::All)
            .known_to_cli(),
            Parameter::new("tag", "session tags", list(tags, |tag| format!("{tag:?}")))
                .authorized_as(SessionAction::TagSession),
            Parameter::new(
                "source_identity",
                "source identity",
                source_identity.clone(),
            )
            .authorized_as(SessionAction::SetSourceIdentity),
            Parameter::new(
                "policy",
                "session policy",
                policy.as_ref().map(policy_length),
            )
            .accepted_by(AcceptedBy::All),
            Parameter::new(
                "policy_arn",
                "policy ARNs",
                list(policy_arns, String::clone),
            )
            .accepted_by(AcceptedBy::All),
            Parameter::new(
                "provided_context",
                "contexts of",
                list(provided_contexts, providers),
            )
            .authorized_as(SessionAction::SetContext),
            Parameter::of_mfa(mfa.as_ref()).known_to_cli(),
        ]
    }

    /// Checks every rule that can be checked without a call.
    pub(crate) fn check(
        mut self,
        inherited: &Inherited<'_>,
        operation: Operation,
    ) -> Result<Checked<Self>, Violation> {
        check_accepted(&self, operation)?;
        let Self {
            arn,
            session_name,
            external_id,
            duration,
            policy,
            policy_arns,
            tags,
            source_identity,
            provided_contexts,
            mfa,
            region,
            allowed_roles,
        } = &self;
        let arn = check_role_arn(arn)?;
        check_assumable(arn, &self.arn, inherited)?;
        if let Some(allowed) = allowed_roles {
            allowed.check(&self.arn, external_id.is_some())?;
        }
        if let Some(name) = session_name {
            let shown = Redaction::ShowValue;
            check_chars("session_name", name, SESSION_NAME_LENGTH, NAME, shown)?;
        }
        if let Some(Secret(id)) = external_id {
            let hidden = Redaction::HideValue;
            check_chars("external_id", id, EXTERNAL_ID_LENGTH, EXTERNAL_ID, hidden)?;
        }
        if let Some(duration) = duration {
            check_role_duration(*duration, inherited)?;
        }
        check_policies(policy.as_deref(), policy_arns, arn)?;
        check_tags(tags, inherited)?;
        check_source_identity(source_identity.as_deref(), inherited)?;
        check_provided_contexts(provided_contexts)?;
        if let Some(mfa) = mfa {
            check_mfa(mfa)?;
            if inherited.hop > 1 {
                return Err(Violation::new("mfa", MFA_ON_LATER_HOP, None));
            }
        }
        if let Some(region) = region {
            check_region(region)?;
        }
        if self.session_name.is_none() {
            let name = inherited.session_name.unwrap_or(default_session_name());
            self.session_name = Some(name.to_owned());
        }
        // The allow-list has been checked, and may be large.
        self.allowed_roles = None;
        Ok(Checked(self))
    }
}

const MFA_ON_LATER_HOP: &str = "is for the first hop only: an MFA device belongs to an IAM user, \
                                but this role is assumed by a session. Set it on the first role, or \
                                start the chain with RoleChain::from_session_token and set it \
                                there: the session token proves MFA to every role assumed with it";

/// Has a session name, and no allow-list. Two are equal if they send STS the same parameters in the same region, with codes
/// from the same provider.
impl Checked<Role> {
    pub(crate) fn parsed_arn(&self) -> Arn<'_> {
        // `Role::check` has checked the ARN.
        Arn::parse(&self.arn).unwrap_or(Arn::EMPTY)
    }

    pub(crate) fn checked_session_name(&self) -> &str {
        self.session_name.as_deref().unwrap_or_default()
    }
}

/// A parameter of a role, as all code except the call itself sees it.
pub(crate) struct Parameter {
    /// The name of the setter, for errors.
    pub(crate) field: &'static str,
    /// The label in a report.
    pub(crate) label: &'static str,
    /// The value in a report, never a secret; `None` if the parameter is not set.
    pub(crate) shown: Option<String>,
    /// The operations that accept it.
    accepted_by: AcceptedBy,
    /// The action that STS authorizes in addition to `sts:AssumeRole` if the parameter is set.
    pub(crate) action: Option<SessionAction>,
    /// Whether the AWS CLI can send it too, so that it is part of the CLI's cache key.
    pub(crate) is_in_cli_cache_key: bool,
}

impl Parameter {
    /// A parameter that only AssumeRole accepts, that the CLI does not know, and that needs no action of its own.
    fn new(field: &'static str, label: &'static str, shown: Option<String>) -> Self {
        Self {
            field,
            label,
            shown,
            accepted_by: AcceptedBy::AssumeRole,
            action: None,
            is_in_cli_cache_key: false,
        }
    }

    pub(super) fn of_mfa(mfa: Option<&Mfa>) -> Self {
        Self::new("mfa", "MFA device", mfa.map(|mfa| mfa.serial.clone()))
    }

    fn accepted_by(mut self, accepted_by: AcceptedBy) -> Self {
        self.accepted_by = accepted_by;
        self
    }

    fn authorized_as(mut self, action: SessionAction) -> Self {
        self.action = Some(action);
        self
    }

    fn known_to_cli(mut self) -> Self {
        self.is_in_cli_cache_key = true;
        self
    }
}

/// An action that STS authorizes separately from `sts:AssumeRole`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SessionAction {
    TagSession,
    SetSourceIdentity,
    SetContext,
}

impl SessionAction {
    pub(crate) const ALL: [Self; 3] = [Self::TagSession, Self::SetSourceIdentity, Self::SetContext];

    /// IAM's name, without `sts:`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TagSession => "TagSession",
            Self::SetSourceIdentity => "SetSourceIdentity",
            Self::SetContext => "SetContext",
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum AcceptedBy {
    AssumeRole,
    AllButSaml,
    All,
}

/// What a role inherits from earlier hops: the input of rules that only a chain can check.
pub(crate) struct Inherited<'a> {
    /// The new role's position in the chain, from 1.
    pub(crate) hop: usize,
    pub(crate) session_name: Option<&'a str>,
    /// The partition of the previous role.
    pub(crate) partition: Option<&'a str>,
    pub(crate) source_identity: Option<&'a str>,
    pub(crate) transitive_keys: Vec<&'a str>,
}

impl Inherited<'_> {
    /// What the first role of a chain inherits.
    pub(crate) fn nothing() -> Self {
        Self {
            hop: 1,
            session_name: None,
            partition: None,
            source_identity: None,
            transitive_keys: Vec::new(),
        }
    }
}

/// A session tag. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) transitive: bool,
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        f.write_str(if self.transitive { " (transitive)" } else { "" })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProvidedContext {
    pub(crate) provider_arn: String,
    pub(crate) assertion: Secret,
}

/// Text that is sent to STS but never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("** redacted **")
    }
}

/// Rejects parameters that the operation does not accept.
fn check_accepted(role: &Role, operation: Operation) -> Result<(), Violation> {
    let (rejected, rule): (&[AcceptedBy], _) = match operation {
        Operation::AssumeRoleWithWebIdentity => (
            &[AcceptedBy::AssumeRole],
            "is not accepted by AssumeRoleWithWebIdentity: session tags and source identity are \
             claims of the token",
        ),
        Operation::AssumeRoleWithSaml => (
            &[AcceptedBy::AssumeRole, AcceptedBy::AllButSaml],
            "is not accepted by AssumeRoleWithSAML: session name, session tags and source identity \
             are attributes of the assertion",
        ),
        _ => return Ok(()),
    };
    let parameters = role.parameters().into_iter();
    let mut given = parameters.filter(|parameter| parameter.shown.is_some());
    match given.find(|parameter| rejected.contains(&parameter.accepted_by)) {
        Some(parameter) => Err(Violation::new(parameter.field, rule, None)),
        None => Ok(()),
    }
}

/// Checks the shape of a role's ARN.
fn check_role_arn(text: &str) -> Result<Arn<'_>, Violation> {
    let violation = |rule: &str| Violation::new("arn", rule, Some(text));
    const SHAPE: &str =
        "must be a role's ARN, arn:<partition>:iam::<12-digit account id>:role/<path><name>";
    if !ARN_LENGTH.contains(&text.chars().count()) {
        let rule = format!("{SHAPE}, of {} characters", span(&ARN_LENGTH));
        return Err(violation(&rule));
    }
    let arn = Arn::parse(text).ok_or_else(|| violation(SHAPE))?;
    if arn.assumed_role().is_some() {
        return Err(violation(
            "must be the role's ARN (arn:…:iam::…:role/<path><name>), not that of one of its sessions",
        ));
    }
    let (path, name) = arn.role().ok_or_else(|| violation(SHAPE))?;
    if !is_account_id(arn.account) {
        return Err(violation("must contain the 12-digit account ID"));
    }
    if path.starts_with("//") {
        return Err(violation(SHAPE));
    }
    if !is_role_name(name) {
        return Err(violation(
            "must end in a role name of 1 to 64 ASCII letters, digits and _+=,.@-",
        ));
    }
    if path.len() > MAX_PATH_LENGTH || !path.chars().all(|c| c.is_ascii_graphic()) {
        let rule = format!(
            "must have a role path of at most {MAX_PATH_LENGTH} printable ASCII characters"
        );
        return Err(violation(&rule));
    }
    Ok(arn)
}

/// Rejects roles that can never be assumed: service-linked roles, other partitions.
fn check_assumable(arn: Arn<'_>, text: &str, inherited: &Inherited<'_>) -> Result<(), Violation> {
    let violation = |rule: &str| Err(Violation::new("arn", rule, Some(text)));
    let (path, _) = arn.role().unwrap_or_default();
    if path.starts_with("/aws-service-role/") {
        return violation("must not be a service-linked role, which only its service can assume");
    }
    match inherited.partition {
        Some(partition) if partition != arn.partition => violation(&format!(
            "must be in partition {partition}, like the previous role: credentials are not valid in \
             other partitions"
        )),
        _ => Ok(()),
    }
}

fn check_role_duration(duration: Duration, inherited: &Inherited<'_>) -> Result<(), Violation> {
    check_duration(duration, ROLE_DURATION)?;
    if inherited.hop > 1 && duration > CHAINED_LIMIT {
        let rule = format!(
            "must be at most {} s for a role that another role assumes (role chaining), regardless \
             of the role's MaxSessionDuration",
            CHAINED_LIMIT.as_secs()
        );
        let value = format!("{} s", duration.as_secs_f64());
        return Err(Violation::new("duration", rule, Some(&value)));
    }
    Ok(())
}

fn check_policies(
    policy: Option<&str>,
    policy_arns: &[String],
    role: Arn<'_>,
) -> Result<(), Violation> {
    check_count(
        "policy_arn",
        policy_arns,
        MAX_POLICY_ARNS,
        "managed policies",
    )?;
    for arn in policy_arns {
        check_policy_arn(arn, role)?;
    }
    if let Some(policy) = policy {
        check_policy(policy)?;
    }
    let length = policy.map_or(0, |policy| policy.chars().count())
        + policy_arns.iter().map(String::len).sum::<usize>();
    if length > POLICIES_LENGTH {
        let rule = format!(
            "must have at most {POLICIES_LENGTH} characters together with the policy ARNs, not {length}"
        );
        return Err(Violation::new("policy", rule, None));
    }
    Ok(())
}

fn check_policy(policy: &str) -> Result<(), Violation> {
    let is_accepted = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if let Some(at) = policy.chars().position(|c| !is_accepted(c)) {
        let rule = format!(
            "must contain only characters up to U+00FF (character {} is not allowed; write it as \
             \\u….)",
            at + 1
        );
        return Err(Violation::new("policy", rule, Some(policy)));
    }
    check_json_object(policy).map_err(|reason| {
        let rule = format!("must be a JSON object: {reason}");
        let shown = Some(policy).filter(|policy| !policy.is_empty());
        Violation::new("policy", rule, shown)
    })
}

fn check_json_object(json: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut is_complete = false;
    for token in json_token_iter(json.as_bytes()) {
        let token = token.map_err(|error| error.to_string())?;
        if is_complete {
            return Err("it is followed by something else".to_owned());
        }
        match token {
            Token::StartArray { .. } if depth == 0 => return Err("it is an array".to_owned()),
            Token::StartObject { .. } | Token::StartArray { .. } => depth += 1,
            Token::EndObject { .. } | Token::EndArray { .. } => depth -= 1,
            _ if depth == 0 => return Err("it is a single value".to_owned()),
            // The tokenizer does not validate escapes; unescaping does.
            Token::ObjectKey { key: text, .. } | Token::ValueString { value: text, .. } => {
                text.to_unescaped().map_err(|error| error.to_string())?;
            }
            _ => {}
        }
        is_complete = depth == 0;
    }
    match (is_complete, depth) {
        (true, _) => Ok(()),
        (false, 0) => Err("it is empty".to_owned()),
        (false, _) => Err("it is incomplete".to_owned()),
    }
}

fn check_policy_arn(text: &str, role: Arn<'_>) -> Result<(), Violation> {
    let violation = |rule: &str| Err(Violation::new("policy_arn", rule, Some(text)));
    let is_policy = |arn: &Arn<'_>| {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
        arn.iam("policy/").is_some_and(is_name)
    };
    match Arn::parse(text).filter(is_policy) {
        Some(arn) if ARN_LENGTH.contains(&text.len()) => {
            let Arn {
                partition, account, ..
            } = role;
            if arn.partition != partition {
                return violation(&format!("must be in partition {partition}, like the role"));
            }
            if arn.account == account || arn.account == "aws" {
                return Ok(());
            }
            violation(&format!(
                "must be a policy of the role's account ({account}) or of AWS"
            ))
        }
        _ => violation(
            "must be a managed policy's ARN, arn:<partition>:iam::<account id or aws>:policy/<path><name>",
        ),
    }
}

fn check_tags(tags: &[Tag], inherited: &Inherited<'_>) -> Result<(), Violation> {
    check_count("tag", tags, MAX_TAGS, "session tags")?;
    let is_same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    for (i, Tag { key, value, .. }) in tags.iter().enumerate() {
        let shown = Redaction::ShowValue;
        check_chars("tag", key, TAG_KEY_LENGTH, TAG, shown)
            .map_err(|violation| violation.of_part("key"))?;
        check_chars("tag", value, TAG_VALUE_LENGTH, TAG, shown)
            .map_err(|violation| violation.of_part("value"))?;
        let violation = |rule: &str| Err(Violation::new("tag", rule, Some(key)).of_part("key"));
        let prefix = key.get(..4).unwrap_or_default();
        if prefix.eq_ignore_ascii_case("aws:") {
            return violation("must not begin with aws:, which is reserved for AWS");
        }
        if let Some(earlier) = tags[..i].iter().find(|earlier| is_same(&earlier.key, key)) {
            return violation(&format!(
                "must not repeat {:?} (tag keys are case-insensitive)",
                earlier.key
            ));
        }
        if inherited
            .transitive_keys
            .iter()
            .any(|inherited| is_same(inherited, key))
        {
            return violation(
                "must not be set again: an earlier hop set it as a transitive tag, which later \
                 hops inherit and cannot change",
            );
        }
    }
    Ok(())
}

fn check_source_identity(
    identity: Option<&str>,
    inherited: &Inherited<'_>,
) -> Result<(), Violation> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let (field, shown) = ("source_identity", Redaction::ShowValue);
    check_chars(field, identity, SOURCE_IDENTITY_LENGTH, NAME, shown)?;
    match inherited.source_identity {
        Some(earlier) if earlier != identity => {
            let rule = format!(
                "must be {earlier:?}, which an earlier hop set: STS does not allow changing it"
            );
            return Err(Violation::new(field, rule, Some(identity)));
        }
        _ => {}
    }
    if identity.chars().count() > DOCUMENTED_SOURCE_IDENTITY_LENGTH {
        tracing::warn!(
            target: "aws_role_chain",
            identity,
            "the source identity is longer than {DOCUMENTED_SOURCE_IDENTITY_LENGTH} characters: STS \
             currently accepts up to {}, but AWS documents {DOCUMENTED_SOURCE_IDENTITY_LENGTH}",
            SOURCE_IDENTITY_LENGTH.end()
        );
    }
    Ok(())
}

fn check_provided_contexts(contexts: &[ProvidedContext]) -> Result<(), Violation> {
    let field = "provided_context";
    check_count(field, contexts, MAX_CONTEXTS, "context assertions")?;
    for ProvidedContext {
        provider_arn,
        assertion,
    } in contexts
    {
        let is_arn = Arn::parse(provider_arn).is_some();
        if !is_arn || !ARN_LENGTH.contains(&provider_arn.chars().count()) {
            let length = span(&ARN_LENGTH);
            let rule = format!("the provider must be an ARN of {length} characters");
            return Err(Violation::new(field, rule, Some(provider_arn)));
        }
        if !CONTEXT_ASSERTION_LENGTH.contains(&assertion.0.chars().count()) {
            let length = span(&CONTEXT_ASSERTION_LENGTH);
            let rule = format!("the assertion must have {length} characters");
            return Err(Violation::new(field, rule, None));
        }
    }
    Ok(())
}

/// Checks a device's serial number.
pub(super) fn check_mfa(mfa: &Mfa) -> Result<(), Violation> {
    let serial = &mfa.serial;
    check_chars("mfa", serial, SERIAL_LENGTH, SERIAL, Redaction::ShowValue)?;
    let violation = |rule| Err(Violation::new("mfa", rule, Some(serial)));
    let Some(arn) = Arn::parse(serial) else {
        return Ok(());
    };
    if arn.resource.starts_with("u2f/") {
        return violation(
            "must be a device that generates codes: passkeys and security keys cannot be used here",
        );
    }
    if !arn.resource.starts_with("mfa/") {
        return violation(
            "must be the device's serial number or ARN, arn:<partition>:iam::<account>:mfa/<name>",
        );
    }
    Ok(())
}

fn list<T>(items: &[T], shown: impl Fn(&T) -> String) -> Option<String> {
    let shown: Vec<String> = items.iter().map(shown).collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

/// `<program>-<process id>`: stable within the process, and readable in CloudTrail.
fn default_session_name() -> &'static str {
    static DEFAULT_NAME: OnceLock<String> = OnceLock::new();
    DEFAULT_NAME.get_or_init(|| {
        let program = std::env::current_exe().ok();
        let stem = program
            .as_deref()
            .and_then(|path| path.file_stem()?.to_str());
        session_name_for(stem.unwrap_or_default(), std::process::id())
    })
}

/// Makes a session name that STS accepts from any program name.
fn session_name_for(program: &str, pid: u32) -> String {
    let pid = pid.to_string();
    let room = SESSION_NAME_LENGTH.end() - 1 - pid.len();
    let (is_accepted, _) = NAME;
    let program: String = program
        .chars()
        .map(|c| if is_accepted(c) { c } else { '_' })
        .take(room)
        .collect();
    match program.as_str() {
        "" => format!("aws-role-chain-{pid}"),
        program => format!("{program}-{pid}"),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/role.rs"]
mod tests;
