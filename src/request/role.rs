//! [`Role`]: the parameters of AssumeRole, and the one step that checks them against STS's rules.
//!
//! A new parameter needs a field and a setter here, its limits, a check in [`Role::check`] (the rules are in
//! `rules.rs`), an entry in [`Role::parameters`], an argument of the call in `sts`, and a row in
//! `tests/common/parameters.rs`, which tests them all.

use std::sync::Arc;
use std::time::Duration;

use super::allowlist::AllowedRoles;
use super::checked::Checked;
use super::limits::*;
use super::names::default_session_name;
use super::parameter::{AcceptedBy, Parameter, ProvidedContext, Secret, SessionAction, Tag};
use super::rules::*;
use crate::arn::Arn;
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
    /// as `put_records-4242`, which stays the same across refreshes. On WebAssembly a random number takes the place of
    /// the process ID.
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
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
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
        let external_id = external_id.as_ref().map(|_| "sent: yes".to_owned());
        let duration = duration.map(|duration| format!("{} s", duration.as_secs()));
        let tags = list(tags, |tag| format!("{tag:?}"));
        let length = |json: &String| format!("{} characters", json.chars().count());
        let policy = policy.as_ref().map(length);
        let policy_arns = list(policy_arns, String::clone);
        let providers = list(provided_contexts, |context| context.provider_arn.clone());
        vec![
            Parameter::new("session_name", "session name", session_name.clone())
                .accepted_by(AcceptedBy::AllButSaml)
                .known_to_cli(),
            Parameter::new("external_id", "external ID", external_id).known_to_cli(),
            Parameter::new("duration", "duration", duration)
                .accepted_by(AcceptedBy::All)
                .known_to_cli(),
            Parameter::new("tag", "session tags", tags).authorized_as(SessionAction::TagSession),
            Parameter::new(
                "source_identity",
                "source identity",
                source_identity.clone(),
            )
            .authorized_as(SessionAction::SetSourceIdentity),
            Parameter::new("policy", "session policy", policy).accepted_by(AcceptedBy::All),
            Parameter::new("policy_arn", "policy ARNs", policy_arns).accepted_by(AcceptedBy::All),
            Parameter::new("provided_context", "contexts of", providers)
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
        Arn::parse(&self.arn).unwrap_or_default()
    }

    pub(crate) fn checked_session_name(&self) -> &str {
        self.session_name.as_deref().unwrap_or_default()
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

fn list<T>(items: &[T], shown: impl Fn(&T) -> String) -> Option<String> {
    let shown: Vec<String> = items.iter().map(shown).collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

#[cfg(test)]
#[path = "../../tests/unit/role.rs"]
mod tests;
