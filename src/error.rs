//! [`Error`]: what failed, for which role, at which hop, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Why a chain could not be built, or could not get credentials.
///
/// `Display` is one line that says what failed, for which role and at which hop, with STS's own
/// code, message and request id; then, where there is something to be done about it, one line of
/// advice for each thing to check. `Debug` is the first line, in `aws_role_chain::Error(…)`. Neither ever holds a secret key, a
/// session token, an MFA code or an external ID; ARNs and access key ids are there, because people
/// debug with them. As everywhere, the cause of a failed source or connection is the
/// [`source`](StdError::source).
///
/// An SDK client wraps it in errors of its own; [`Error::find`] takes it out again:
///
/// ```
/// # fn example(failed: &(dyn std::error::Error + 'static)) {
/// if let Some(error) = aws_role_chain::Error::find(failed) {
///     if error.is_access_denied() {
///         eprintln!("{error}"); // with what to check
///     } else if error.is_transient() {
///         eprintln!("try again: {error:?}");
///     }
/// }
/// # }
/// ```
///
/// The error is cheap to clone: every caller who waited for the same load gets the same one.
///
/// ```text
/// assuming arn:aws:iam::222222222222:role/FirehoseWriter (hop 2 of 2): AccessDenied: User: … is
/// not authorized to perform: sts:AssumeRole on resource: … (request id 5e3d…)
/// ```
#[derive(Clone)]
pub struct Error {
    what: Arc<What>,
    /// Roles in the chain that was asked. The failing hop may be shared by chains of any length,
    /// so the length belongs to the answer, not to the failure.
    hops: usize,
}

struct What {
    kind: Kind,
    /// The role being assumed; none when the base config itself, or its provider, is at fault.
    role_arn: Option<Arc<str>>,
    /// Place of that role in its chain, from 1; 0 where there is none.
    hop: usize,
    /// GetCallerIdentity failed, with the credentials of that hop; 0 for the source's.
    asked_who: bool,
    advice: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

pub(crate) enum Kind {
    /// A value that no call could make good; found before the network.
    Invalid {
        field: &'static str,
        rule: String,
        value: Option<String>,
        /// The profile that says so, and its file, where one does.
        profile: Option<String>,
    },
    /// The base config's provider gave no credentials.
    Source(SourceFailure),
    /// GetSessionToken needs long-term keys, and the source gave others.
    TemporarySource { access_key_id: String },
    /// The code provider gave no MFA code.
    NoMfaCode { serial: String },
    /// The token provider gave none.
    NoToken { what: &'static str },
    /// A person would have to be asked, and nobody waits for the answer.
    Unattended,
    /// STS answered, and said no.
    Refused(Refusal),
    /// STS was not reached, or did not answer in time.
    NoAnswer { what: &'static str },
    /// The SDK could not make the request: an endpoint that is no URL, say.
    NotSent,
    /// STS answered with something that cannot be used.
    Unusable { what: String },
    /// Code of the caller's that runs inside a load panicked.
    Panicked,
}

/// What kind of failure the source's `CredentialsError` was: kept because errors are cloned and
/// `CredentialsError` is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceFailure {
    NotLoaded,
    TimedOut(Duration),
    InvalidConfiguration,
    Provider,
    Unhandled,
}

/// STS's answer, in its own words.
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) status: u16,
}

impl Error {
    /// This crate's error among an error's sources, such as those of a failed call of an SDK client.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
        match error.downcast_ref() {
            Some(found) => Some(found),
            None => Self::find(error.source()?),
        }
    }

    /// Whether the request was refused before any call: a value breaks one of STS's rules, or the
    /// base config or a profile lacks something. [`field`](Self::field) names it.
    pub fn is_invalid(&self) -> bool {
        matches!(self.what.kind, Kind::Invalid { .. })
    }

    /// Whether STS answered `AccessDenied`. STS seldom says which side refused;
    /// [`advice`](Self::advice) lists what to check, on that side where it does.
    pub fn is_access_denied(&self) -> bool {
        self.code() == Some("AccessDenied")
    }

    /// Whether the credentials to start from could not be had: the failure is the base config's
    /// provider's, and [`source`](StdError::source) is its error.
    pub fn is_source(&self) -> bool {
        let is_kept_source = self.what.hop == 0 && !self.is_invalid() && !self.what.asked_who;
        is_kept_source || matches!(self.what.kind, Kind::Source(_))
    }

    /// Whether the same request may succeed later unchanged: STS was not reached or was busy, or
    /// the source failed for now. Requests that STS refused for what they are (`AccessDenied`,
    /// a malformed policy, a disabled region) are not.
    pub fn is_transient(&self) -> bool {
        match &self.what.kind {
            Kind::Invalid { .. }
            | Kind::TemporarySource { .. }
            | Kind::NoMfaCode { .. }
            | Kind::NotSent => false,
            Kind::NoToken { .. } | Kind::Unattended => true,
            Kind::Source(failure) => match self.inner() {
                Some(inner) => inner.is_transient(),
                None => !matches!(
                    failure,
                    SourceFailure::NotLoaded | SourceFailure::InvalidConfiguration
                ),
            },
            Kind::Refused(refusal) => refusal.is_transient(),
            Kind::NoAnswer { .. } | Kind::Unusable { .. } | Kind::Panicked => true,
        }
    }

    /// STS's error code, such as `AccessDenied`, `ExpiredToken` or `PackedPolicyTooLarge`
    /// ([common](https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html),
    /// [AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors)).
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    /// STS's message, word for word. AWS changes its wording: branch on [`code`](Self::code).
    pub fn message(&self) -> Option<&str> {
        self.refusal()?.message.as_deref()
    }

    /// The id AWS gave the refused request; AWS support and CloudTrail know it.
    pub fn request_id(&self) -> Option<&str> {
        self.refusal()?.request_id.as_deref()
    }

    /// The role that was being assumed, or would have been.
    pub fn role_arn(&self) -> Option<&str> {
        self.what.role_arn.as_deref()
    }

    /// The place of [`role_arn`](Self::role_arn) in the chain, from 1; `None` when the base config
    /// itself is at fault.
    pub fn hop(&self) -> Option<usize> {
        (self.what.hop > 0).then_some(self.what.hop)
    }

    /// The length of the chain that was asked for credentials; 0 when the base config is at fault.
    pub fn hops(&self) -> usize {
        self.hops
    }

    /// The offending setting, named as its setter is (`external_id`, `duration`, …) or, in a profile, as
    /// its key is (`role_arn`, `duration_seconds`, …), where [`is_invalid`](Self::is_invalid).
    pub fn field(&self) -> Option<&'static str> {
        match self.what.kind {
            Kind::Invalid { field, .. } => Some(field),
            _ => None,
        }
    }

    /// What to check, most likely first, made from what this hop asked for.
    pub fn advice(&self) -> &[String] {
        match self.inner() {
            Some(inner) => inner.advice(),
            None => &self.what.advice,
        }
    }

    pub(crate) fn new(
        kind: Kind,
        role_arn: Option<Arc<str>>,
        hop: usize,
        advice: Vec<String>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let what = What {
            kind,
            role_arn,
            hop,
            asked_who: false,
            advice,
            source,
        };
        Self {
            what: Arc::new(what),
            hops: hop,
        }
    }

    /// STS does not say whose the credentials of this hop are.
    #[cfg(feature = "policy")]
    pub(crate) fn of_identity(
        kind: Kind,
        hop: usize,
        advice: Vec<String>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(kind, None, hop, advice, source);
        // Nobody shares it yet.
        if let Some(what) = Arc::get_mut(&mut error.what) {
            what.asked_who = true;
        }
        error
    }

    /// The base config lacks something.
    pub(crate) fn invalid_base(field: &'static str, rule: &str) -> Self {
        let kind = Kind::Invalid {
            field,
            rule: rule.to_owned(),
            value: None,
            profile: None,
        };
        Self::new(kind, None, 0, Vec::new(), None)
    }

    /// What rule was broken, by which value.
    #[cfg(feature = "profile")]
    pub(crate) fn into_rule(self) -> (String, Option<String>) {
        match &self.what.kind {
            Kind::Invalid { rule, value, .. } => (rule.clone(), value.clone()),
            _ => (self.headline().to_string(), None),
        }
    }

    /// Whether it is that hop's, and not one's that it asked.
    pub(crate) fn is_of_hop(&self, hop: usize) -> bool {
        self.what.hop == hop
    }

    /// Whether a person would have had to be asked, in the background.
    pub(crate) fn is_unattended(&self) -> bool {
        matches!(self.what.kind, Kind::Unattended)
    }

    /// The same failure, seen from a chain of `hops` roles.
    pub(crate) fn seen_from(&self, hops: usize) -> Self {
        Self {
            what: self.what.clone(),
            hops,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.what.kind {
            Kind::Refused(refusal) => Some(refusal),
            _ => self.inner()?.refusal(),
        }
    }

    /// Where the source is a chain itself, its error: that one knows better.
    fn inner(&self) -> Option<&Error> {
        Self::find(self.source()?)
    }

    /// `Display` without the advice: what a log line holds.
    pub(crate) fn headline(&self) -> impl fmt::Display + '_ {
        Headline(self)
    }

    /// The same, with what caused it.
    pub(crate) fn with_causes(&self) -> impl fmt::Display + '_ {
        WithCauses(self)
    }

    fn write_headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match &self.what.kind {
            Kind::Invalid { .. } => "invalid role",
            Kind::Source(_) => "loading the source credentials for",
            _ => "assuming",
        };
        let profile = match &self.what.kind {
            Kind::Invalid { profile, .. } => profile.as_deref(),
            _ => None,
        };
        match (&self.what.role_arn, self.what.hop) {
            (_, 0) if self.what.asked_who => {
                f.write_str("asking whose the source credentials are")?;
            }
            (_, hop) if self.what.asked_who => {
                let hops = self.hops;
                write!(f, "asking whose the credentials of hop {hop} of {hops} are")?;
            }
            (None, 0) => match (&self.what.kind, profile) {
                (_, Some(profile)) => write!(f, "invalid {profile}")?,
                (Kind::Invalid { .. }, None) => f.write_str("invalid base config")?,
                // Kept for many roles.
                _ => f.write_str("loading the source credentials")?,
            },
            (None, hop) => write!(f, "getting a session token (hop {hop} of {})", self.hops)?,
            (Some(role), 0) => write!(f, "{doing} {role}")?,
            (Some(role), hop) => write!(f, "{doing} {role} (hop {hop} of {})", self.hops)?,
        }
        match &self.what.kind {
            Kind::Invalid {
                field, rule, value, ..
            } => {
                write!(f, ": {field}: {rule}")?;
                match value {
                    Some(value) => write!(f, ", but it is {value:?}"),
                    None => Ok(()),
                }
            }
            Kind::Source(SourceFailure::TimedOut(after)) if self.what.source.is_none() => {
                write!(f, " took longer than {} s", after.as_secs())
            }
            Kind::Source(_) => f.write_str(" failed"),
            Kind::Refused(refusal) => {
                write!(f, ": {}", refusal.code)?;
                if let Some(message) = &refusal.message {
                    write!(f, ": {}", message.trim_end())?;
                }
                match &refusal.request_id {
                    Some(id) => write!(f, " (request id {id})"),
                    None => Ok(()),
                }
            }
            Kind::TemporarySource { access_key_id } => write!(
                f,
                ": needs an IAM user's long-term keys, and the source gave temporary credentials \
                 ({access_key_id})"
            ),
            Kind::NoMfaCode { serial } => write!(f, ": no MFA code of {serial}"),
            Kind::NoToken { what } => write!(f, ": no {what}"),
            Kind::Unattended => {
                f.write_str(": a person would have to be asked, and nobody waits for the answer")
            }
            Kind::NoAnswer { what } => write!(f, ": {what}"),
            Kind::NotSent => f.write_str(": the call to STS could not be made"),
            Kind::Unusable { what } => write!(f, ": {what}"),
            Kind::Panicked => {
                f.write_str(": a credentials provider, or the HTTP client, panicked while loading")
            }
        }
    }
}

struct Headline<'a>(&'a Error);

struct WithCauses<'a>(&'a Error);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_headline(f)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            match error.downcast_ref::<Error>() {
                // Its advice is this one's.
                Some(inner) => write!(f, ": {}", inner.headline())?,
                None => {
                    // Some providers' errors are lists.
                    let said = error.to_string();
                    let lines = said.lines().map(str::trim);
                    write!(f, ": {}", lines.collect::<Vec<_>>().join(" "))?;
                }
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Display for Headline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_headline(f)
    }
}

impl Kind {
    pub(crate) fn already_expired(expiry: SystemTime, now: SystemTime) -> Self {
        let what = format!(
            "the credentials that came back expired at {}, and it is {} by this machine's clock",
            timestamp(expiry),
            timestamp(now)
        );
        Self::Unusable { what }
    }
}

impl Refusal {
    /// Whether STS could not get the identity provider's keys, which often passes.
    pub(crate) fn lacks_verification_key(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        self.code == "InvalidIdentityToken" && message.contains("retrieve verification key")
    }

    /// Whether the service may answer the same request better later.
    fn is_transient(&self) -> bool {
        // The caller's credentials are renewed by whoever gave them, and the SDK's signer learns
        // the server's clock: neither is this request's fault.
        const RENEWED: [&str; 3] = ["ExpiredToken", "RequestExpired", "RequestTimeTooSkewed"];
        const BUSY: [&str; 8] = [
            "IDPCommunicationError",
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "ServiceUnavailable",
            "InternalFailure",
            "RequestTimeout",
        ];
        self.status >= 500
            || matches!(self.status, 408 | 429)
            || self.lacks_verification_key()
            || RENEWED.contains(&self.code.as_str())
            || BUSY.contains(&self.code.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(f)?;
        for line in &self.what.advice {
            write!(f, "\n  - {line}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aws_role_chain::Error({})", self.headline())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.what
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// By meaning: what the SDK does with an error (try the next provider of a chain, for one) depends
/// on which of these it is.
impl From<Error> for CredentialsError {
    fn from(error: Error) -> Self {
        let make: fn(Failed) -> Self = match &error.what.kind {
            Kind::Invalid { .. } | Kind::TemporarySource { .. } => Self::invalid_configuration,
            Kind::Source(SourceFailure::NotLoaded) => Self::not_loaded,
            Kind::Source(SourceFailure::InvalidConfiguration) | Kind::NotSent => {
                Self::invalid_configuration
            }
            Kind::Refused(refusal)
                if matches!(
                    refusal.code.as_str(),
                    "MalformedPolicyDocument" | "PackedPolicyTooLarge" | "RegionDisabledException"
                ) =>
            {
                Self::invalid_configuration
            }
            Kind::Unusable { .. } | Kind::Panicked | Kind::Source(SourceFailure::Unhandled) => {
                Self::unhandled
            }
            Kind::Source(_)
            | Kind::NoMfaCode { .. }
            | Kind::NoToken { .. }
            | Kind::Unattended
            | Kind::Refused(_)
            | Kind::NoAnswer { .. } => Self::provider_error,
        };
        make(Failed(error))
    }
}

/// What the SDK carries: the error is its source. `DisplayErrorContext` prints every source's
/// `Display`, and then the `Debug` of the outermost, which holds this one's: with an empty one,
/// nothing is said twice.
struct Failed(Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the role chain has none")
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoleChain")
    }
}

impl StdError for Failed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl From<&CredentialsError> for SourceFailure {
    fn from(error: &CredentialsError) -> Self {
        match error {
            CredentialsError::CredentialsNotLoaded(_) => Self::NotLoaded,
            CredentialsError::ProviderTimedOut(details) => {
                Self::TimedOut(details.timeout_duration())
            }
            CredentialsError::InvalidConfiguration(_) => Self::InvalidConfiguration,
            CredentialsError::Unhandled(_) => Self::Unhandled,
            _ => Self::Provider,
        }
    }
}

/// As AWS prints times, to the second.
pub(crate) fn timestamp(time: SystemTime) -> String {
    DateTime::from_secs(DateTime::from(time).secs())
        .fmt(Format::DateTime)
        .unwrap_or_else(|_| format!("{time:?}"))
}
