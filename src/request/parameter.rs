//! [`Parameter`]: a parameter of a request, as reports, policies and checks see it; and the types of parameters' values.

use std::fmt;

use crate::mfa::Mfa;

/// A parameter of a role, as all code except the call itself sees it.
pub(crate) struct Parameter {
    /// The name of the setter, for errors.
    pub(crate) field: &'static str,
    /// The label in a report.
    pub(crate) label: &'static str,
    /// The value in a report, never a secret; `None` if the parameter is not set.
    pub(crate) shown: Option<String>,
    /// The operations that accept it.
    pub(super) accepted_by: AcceptedBy,
    /// The action that STS authorizes in addition to `sts:AssumeRole` if the parameter is set.
    pub(crate) action: Option<SessionAction>,
    /// Whether the AWS CLI can send it too, so that it is part of the CLI's cache key.
    pub(crate) is_in_cli_cache_key: bool,
}

impl Parameter {
    /// A parameter that only AssumeRole accepts, that the CLI does not know, and that needs no action of its own.
    pub(super) fn new(field: &'static str, label: &'static str, shown: Option<String>) -> Self {
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

    pub(super) fn accepted_by(mut self, accepted_by: AcceptedBy) -> Self {
        self.accepted_by = accepted_by;
        self
    }

    pub(super) fn authorized_as(mut self, action: SessionAction) -> Self {
        self.action = Some(action);
        self
    }

    pub(super) fn known_to_cli(mut self) -> Self {
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

/// The operations that accept a parameter.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum AcceptedBy {
    AssumeRole,
    AllButSaml,
    All,
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
