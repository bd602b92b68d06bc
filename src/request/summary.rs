//! [`RequestSummary`]: a hop's request, its caller, and what it inherits. Advice, policies and reports are derived from
//! it.

use super::checked::Checked;
use super::parameter::{SessionAction, Tag};
use super::role::Role;
use super::rules::Inherited;
use crate::error::{Operation, Step};

/// The request that a hop sends to STS.
pub(crate) struct RequestSummary<'a> {
    pub(crate) operation: Operation,
    /// Position in the chain, from 1; 0 for the source.
    pub(crate) hop: usize,
    /// `None` if no role is assumed.
    pub(crate) role: Option<&'a Checked<Role>>,
    pub(crate) inherited: Inherited<'a>,
    pub(crate) caller: CallerKind<'a>,
    /// The region of the STS endpoint.
    pub(crate) region: String,
    /// The device whose code is sent with the call.
    pub(crate) mfa_serial: Option<&'a str>,
    /// Whether the call proves MFA: with a code, or with a session token that was issued for one.
    pub(crate) proves_mfa: bool,
}

/// Who calls STS.
#[derive(Clone, Copy)]
pub(crate) enum CallerKind<'a> {
    /// The base config's user or role, directly or with a session token.
    Base,
    /// A role of this chain, by its ARN.
    Role(&'a str),
    WebIdentity,
    /// The SAML provider's ARN.
    Saml(&'a str),
}

impl RequestSummary<'_> {
    /// What the call does, for errors.
    pub(crate) fn step(&self) -> Step {
        Step {
            operation: self.operation,
            role_arn: self.role.map(|role| role.arn.clone()),
            hop: self.hop,
        }
    }

    pub(crate) fn role_arn(&self) -> &str {
        self.role.map_or("", |role| &role.arn)
    }

    pub(crate) fn account(&self) -> &str {
        self.role.map_or("", |role| role.parsed_arn().account)
    }

    pub(crate) fn sends_external_id(&self) -> bool {
        self.role.is_some_and(|role| role.external_id.is_some())
    }

    pub(crate) fn tags(&self) -> &[Tag] {
        self.role.map_or(&[], |role| &role.tags)
    }

    pub(crate) fn sends_tags(&self) -> bool {
        !self.tags().is_empty()
    }

    pub(crate) fn sets_source_identity(&self) -> bool {
        self.role.is_some_and(|role| role.source_identity.is_some())
    }

    /// The actions that STS authorizes for this request in addition to `sts:AssumeRole`.
    pub(crate) fn session_actions(&self) -> impl Iterator<Item = SessionAction> {
        let parameters = self.role.map(|role| role.parameters());
        parameters.into_iter().flatten().filter_map(|parameter| {
            let action = parameter.action?;
            let is_inherited = match action {
                SessionAction::TagSession => !self.inherited.transitive_keys.is_empty(),
                SessionAction::SetSourceIdentity => self.inherited.source_identity.is_some(),
                SessionAction::SetContext => false,
            };
            (parameter.shown.is_some() || is_inherited).then_some(action)
        })
    }
}
