//! [`Hop`]: one hop of a chain, and where its credentials come from. How they are loaded is in `load.rs`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::base::Base;
use super::rejection::LastRejection;
use super::store::SessionStore;
use crate::cache::CredentialsCache;
use crate::error::{Error, Operation, Step};
use crate::mfa::Mfa;
use crate::request::limits::{DEFAULT_ROLE_DURATION, DEFAULT_SESSION_TOKEN_DURATION};
use crate::request::{
    CallerKind, Checked, Inherited, Parameter, RequestSummary, Role, SamlAssertion,
    SessionTokenRequest, WebIdentityToken,
};

/// How long source credentials without an expiry are cached before their provider is called again: the same as in the
/// SDK's identity cache.
pub(super) const SOURCE_TTL: Duration = Duration::from_secs(15 * 60);

/// A hop in its cache. Other hops refer to it in this form.
pub(crate) type HopCache = CredentialsCache<Hop>;

pub(crate) struct Hop {
    pub(super) base: Arc<Base>,
    pub(super) target: Target,
    /// Position in the chain, from 1; 0 for the source.
    pub(super) number: usize,
    pub(super) store: Option<Arc<dyn SessionStore>>,
    /// Set when STS has reported that the source credentials are those of a role, so that sessions last at most one
    /// hour.
    pub(super) is_limited_to_one_hour: AtomicBool,
    /// STS's last rejection of the parent's session.
    pub(super) rejection: LastRejection,
}

/// Where a hop's credentials come from.
pub(crate) enum Target {
    /// The base config's own credentials, without a call to STS.
    Source,
    /// GetSessionToken, signed with the base config's credentials.
    SessionToken(Checked<SessionTokenRequest>),
    /// A role.
    Role(Arc<Checked<Role>>, Authentication),
}

/// How the call that assumes a role is authenticated.
pub(crate) enum Authentication {
    /// AssumeRole, signed with the base config's credentials.
    Base,
    /// AssumeRole, signed with the credentials of another hop.
    Hop(HopCache),
    /// AssumeRoleWithWebIdentity, with a token.
    WebIdentity(WebIdentityToken),
    /// AssumeRoleWithSAML, with the provider's ARN and its assertion.
    Saml(String, SamlAssertion),
}

impl Authentication {
    fn operation(&self) -> Operation {
        match self {
            Self::Base | Self::Hop(_) => Operation::AssumeRole,
            Self::WebIdentity(_) => Operation::AssumeRoleWithWebIdentity,
            Self::Saml(..) => Operation::AssumeRoleWithSaml,
        }
    }

    fn parent(&self) -> Option<&HopCache> {
        match self {
            Self::Hop(parent) => Some(parent),
            Self::Base | Self::WebIdentity(_) | Self::Saml(..) => None,
        }
    }

    /// Returns what a role that is assumed this way inherits.
    pub(crate) fn inherited(&self) -> Inherited<'_> {
        self.parent().map_or_else(Inherited::nothing, |parent| {
            parent.loader().inherited_by_next()
        })
    }

    /// Checks a role that is assumed this way.
    pub(super) fn check(&self, role: Role) -> Result<Arc<Checked<Role>>, Error> {
        let (inherited, operation) = (self.inherited(), self.operation());
        let arn = role.arn.clone();
        let checked = role.check(&inherited, operation);
        checked
            .map(Arc::new)
            .map_err(|violation| violation.into_hop_error(operation, Some(&arn), inherited.hop))
    }
}

impl Target {
    /// Returns the properties that are known without a call. No other code derives them from the target's variant.
    pub(super) fn properties(&self) -> Properties<'_> {
        match self {
            Self::Source => Properties {
                operation: Operation::LoadSource,
                noun: "source credentials",
                role: None,
                region: None,
                duration: None,
                default_duration: SOURCE_TTL,
                mfa: None,
            },
            Self::SessionToken(request) => Properties {
                operation: Operation::GetSessionToken,
                noun: "session token",
                role: None,
                region: request.region.as_deref(),
                duration: request.duration,
                default_duration: DEFAULT_SESSION_TOKEN_DURATION,
                mfa: request.mfa.as_ref(),
            },
            Self::Role(request, authentication) => Properties {
                operation: authentication.operation(),
                noun: "role",
                role: Some(request),
                region: request.region.as_deref(),
                duration: request.duration,
                default_duration: DEFAULT_ROLE_DURATION,
                mfa: request.mfa.as_ref(),
            },
        }
    }

    /// Returns the parameters of the request, for a report.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Source => Vec::new(),
            Self::SessionToken(request) => request.parameters(),
            Self::Role(request, _) => request.parameters(),
        }
    }
}

pub(super) struct Properties<'a> {
    operation: Operation,
    /// The name of what is loaded, for people.
    pub(super) noun: &'static str,
    /// The role that is assumed, if one is.
    role: Option<&'a Checked<Role>>,
    /// The region of the STS endpoint, if the request sets one.
    region: Option<&'a str>,
    /// The requested duration of the session, and the duration if none is requested.
    pub(super) duration: Option<Duration>,
    default_duration: Duration,
    /// The MFA device whose code is sent.
    pub(super) mfa: Option<&'a Mfa>,
}

impl Hop {
    pub(super) fn new(
        base: Arc<Base>,
        target: Target,
        store: Option<Arc<dyn SessionStore>>,
    ) -> Self {
        let number = match &target {
            Target::Source => 0,
            Target::SessionToken(_) => 1,
            Target::Role(_, authentication) => authentication.inherited().hop,
        };
        Self {
            base,
            target,
            number,
            store,
            is_limited_to_one_hour: AtomicBool::new(false),
            rejection: LastRejection::default(),
        }
    }

    pub(super) fn properties(&self) -> Properties<'_> {
        self.target.properties()
    }

    /// Returns the request of the role that the hop assumes, if it assumes one.
    pub(super) fn request(&self) -> Option<&Checked<Role>> {
        self.properties().role
    }

    pub(super) fn role_arn(&self) -> Option<&Arc<str>> {
        self.request().map(|request| &request.arn)
    }

    /// Returns how the call that assumes the role is authenticated, if a role is assumed.
    pub(super) fn authentication(&self) -> Option<&Authentication> {
        match &self.target {
            Target::Role(_, authentication) => Some(authentication),
            Target::Source | Target::SessionToken(_) => None,
        }
    }

    /// Returns the hop whose credentials sign the call; `None` if they are the base config's, or if a token
    /// authenticates it.
    pub(super) fn parent(&self) -> Option<&HopCache> {
        self.authentication()?.parent()
    }

    /// Iterates over this hop and the previous ones, starting with this hop.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &Hop> {
        std::iter::successors(Some(self), |hop| Some(hop.parent()?.loader()))
    }

    /// Returns what a role that is assumed with this hop's credentials inherits.
    fn inherited_by_next(&self) -> Inherited<'_> {
        let roles = || self.ancestors().filter_map(|hop| hop.request());
        let tags = roles().flat_map(|request| &request.tags);
        Inherited {
            hop: self.number + 1,
            session_name: self.request().map(|request| request.checked_session_name()),
            partition: roles().map(|request| request.parsed_arn().partition).next(),
            source_identity: roles().find_map(|request| request.source_identity.as_deref()),
            transitive_keys: tags
                .filter(|tag| tag.transitive)
                .map(|tag| &*tag.key)
                .collect(),
        }
    }

    /// Returns a summary of the request that this hop sends to STS.
    pub(super) fn summary(&self) -> RequestSummary<'_> {
        let parent = self.parent().map(|parent| parent.loader());
        let caller = match self.authentication() {
            Some(Authentication::WebIdentity(_)) => CallerKind::WebIdentity,
            Some(Authentication::Saml(provider_arn, _)) => CallerKind::Saml(provider_arn),
            Some(Authentication::Base | Authentication::Hop(_)) | None => {
                match parent.and_then(Hop::role_arn) {
                    Some(role_arn) => CallerKind::Role(role_arn),
                    // Also after a session token, which belongs to the base config's user.
                    None => CallerKind::Base,
                }
            }
        };
        let Properties {
            operation,
            role,
            mfa,
            ..
        } = self.properties();
        // A role's session does not inherit the proof of MFA, but a session token contains it.
        let is_proof =
            |parent: &Hop| parent.request().is_none() && parent.properties().mfa.is_some();
        RequestSummary {
            operation,
            hop: self.number,
            role,
            inherited: self
                .authentication()
                .map_or_else(Inherited::nothing, Authentication::inherited),
            caller,
            region: self.region().unwrap_or_default().to_owned(),
            mfa_serial: mfa.map(|mfa| mfa.serial.as_str()),
            proves_mfa: mfa.is_some() || parent.is_some_and(is_proof),
        }
    }

    /// Returns what the hop does when it loads its credentials, for errors.
    pub(super) fn step(&self) -> Step {
        Step {
            operation: self.operation(),
            role_arn: self.role_arn().cloned(),
            hop: self.number,
        }
    }

    pub(super) fn operation(&self) -> Operation {
        self.properties().operation
    }

    /// Returns the region of the STS endpoint: the request's own, or else the base config's.
    pub(super) fn region(&self) -> Option<&str> {
        let own = self.properties().region;
        own.or_else(|| Some(self.base.config.region()?.as_ref()))
    }

    /// Returns the maximum lifetime of the session.
    pub(super) fn max_lifetime(&self) -> Duration {
        let properties = self.properties();
        properties.duration.unwrap_or(properties.default_duration)
    }
}
