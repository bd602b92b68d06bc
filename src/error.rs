//! [`Error`]: what failed, for which role, at which hop, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;

use crate::timestamp::timestamp;

/// An error of any type, from code that the program passes in, such as an MFA code provider. It becomes the
/// [`source`](std::error::Error::source) of the [`Error`] that callers get.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The reason why a chain could not be built, or could not get credentials.
///
/// `Display` is one line that says what failed, for which role and at which hop, with STS's code, message and request
/// ID. Advice on this failure follows on further lines, one for each thing to check; advice on an error among the
/// sources is only returned by [`advice`](Self::advice). `Debug` is the first line, in `aws_role_chain::Error(…)`.
/// Neither contains a secret key, a session token, an MFA code or an external ID; ARNs and access key IDs are included,
/// because they are needed for debugging. If code that the program passed in failed, its error is the
/// [`source`](StdError::source), and its text is in the first line. With the feature `serde` the error is serialized as
/// `message` (the first line), `code`, `is_transient` and `advice`.
///
/// The error is cheap to clone: all callers that wait for the same load get the same error.
///
/// # Examples
///
/// An SDK client wraps this error in its own errors; [`Error::find`] returns it:
///
/// ```
/// # fn example(failed: &(dyn std::error::Error + 'static)) {
/// if let Some(error) = aws_role_chain::Error::find(failed) {
///     if error.is_access_denied() {
///         eprintln!("{error}"); // with advice
///     } else if error.is_transient() {
///         eprintln!("try again: {error:?}");
///     }
/// }
/// # }
/// ```
///
/// ```text
/// assuming arn:aws:iam::222222222222:role/FirehoseWriter (hop 2 of 2): AccessDenied: User: … is
/// not authorized to perform: sts:AssumeRole on resource: … (request id 5e3d…)
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<ErrorInner>,
    /// The number of hops of the chain that the caller used. It is not part of `inner`, because chains of different
    /// lengths share hops, and so their failures.
    chain_len: usize,
}

impl Error {
    /// Returns the first error of this crate in the chain of sources of `error`, which may itself be one; for example in
    /// the error of an SDK client's call.
    ///
    /// Also returns `None` if the service rejected the credentials that the chain returned. While STS is unavailable,
    /// these may have expired: the service's error is then `ExpiredToken`, and
    /// [`RoleChain::health`](crate::RoleChain::health) has the reason.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
        match error.downcast_ref() {
            Some(found) => Some(found),
            None => Self::find(error.source()?),
        }
    }

    /// Returns whether the configuration was rejected before any call: a value breaks one of STS's rules, or something
    /// is missing from the base config or a profile. [`field`](Self::field) returns the setting's name.
    pub fn is_invalid(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Invalid(_))
    }

    /// Returns whether STS answered `AccessDenied`. STS seldom says which policy denied the call;
    /// [`advice`](Self::advice) lists what to check, and is limited to that policy if STS names it.
    pub fn is_access_denied(&self) -> bool {
        self.code() == Some("AccessDenied")
    }

    /// Returns whether the source credentials could not be loaded. If the base config's provider returned an error, it
    /// is the [`source`](StdError::source).
    pub fn is_source_failure(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Source(_))
            || self.inner.step.operation == Operation::LoadSource && !self.is_invalid()
    }

    /// Returns whether the same request may succeed later: STS was not reached or was overloaded, or the source failed
    /// temporarily. Errors with which STS rejects the request itself (`AccessDenied`, a malformed policy, a disabled
    /// region) are not transient.
    pub fn is_transient(&self) -> bool {
        match (&self.inner.kind, self.inner_chain_error()) {
            (ErrorKind::Source(_) | ErrorKind::TooShort { .. }, Some(cause)) => {
                cause.is_transient()
            }
            (kind, _) => {
                let (is_transient, ..) = kind.class();
                is_transient
            }
        }
    }

    /// Returns whether STS throttled the call. [STS's
    /// quota](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) applies to the whole account.
    pub fn is_throttled(&self) -> bool {
        self.meaning() == Some(Meaning::Throttled)
    }

    /// Returns whether no MFA code was provided, or STS did not accept the one that was sent.
    pub fn is_mfa_failure(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::NoMfaCode { .. })
            || self.meaning() == Some(Meaning::WrongMfaCode)
    }

    /// Returns STS's error code, such as `AccessDenied`, `ExpiredToken` or `PackedPolicyTooLarge`
    /// ([common](https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html),
    /// [AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors)).
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    /// Returns STS's message, verbatim except that secrets which it repeats are replaced with stars. AWS changes the
    /// wording, so branch on [`code`](Self::code) instead.
    pub fn message(&self) -> Option<&str> {
        self.refusal()?.message.as_deref()
    }

    /// Returns the request ID of the rejected call, for AWS Support and for searching CloudTrail.
    pub fn request_id(&self) -> Option<&str> {
        self.refusal()?.request_id.as_deref()
    }

    /// Returns the ARN of the role that was to be assumed.
    pub fn role_arn(&self) -> Option<&str> {
        self.inner.step.role_arn.as_deref()
    }

    /// Returns the number of the hop that failed, from 1; `None` if the base config is invalid, or if the source
    /// credentials of [`RoleChain::from_source`](crate::RoleChain::from_source) could not be loaded. Other chains load
    /// them at hop 1.
    pub fn hop(&self) -> Option<usize> {
        (self.inner.step.hop > 0).then_some(self.inner.step.hop)
    }

    /// Returns the number of hops of the chain that was used; 0 if the base config is invalid.
    pub fn chain_len(&self) -> usize {
        self.chain_len
    }

    /// Returns the invalid setting if [`is_invalid`](Self::is_invalid): the name of its setter (`external_id`,
    /// `duration`, …) or, for a profile, its key (`role_arn`, `duration_seconds`, …) or the environment variable that
    /// overrides it (`AWS_REGION`, …).
    pub fn field(&self) -> Option<&'static str> {
        self.violation().map(|violation| violation.field)
    }

    /// Returns what to check, most likely first, based on what this hop requested.
    pub fn advice(&self) -> &[String] {
        match self.inner_chain_error() {
            Some(error) => error.advice(),
            None => &self.inner.advice,
        }
    }

    pub(crate) fn violation(&self) -> Option<&Violation> {
        match &self.inner.kind {
            ErrorKind::Invalid(violation) => Some(violation),
            _ => None,
        }
    }

    /// Whether this hop failed, and not a previous one.
    pub(crate) fn is_of_hop(&self, hop: usize) -> bool {
        self.inner.step.hop == hop
    }

    /// Whether a background load failed because it would have had to ask a person.
    pub(crate) fn is_interaction_required(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::InteractionRequired)
    }

    /// What STS's error response means; `None` if there was none.
    pub(crate) fn meaning(&self) -> Option<Meaning> {
        self.refusal().map(|refusal| refusal.meaning)
    }

    /// The kind of failure as a metrics label: one of a few fixed words.
    pub(crate) fn outcome(&self) -> &'static str {
        let (_, outcome, _) = self.inner.kind.class();
        outcome
    }

    /// Returns the same failure as reported by a chain of this many hops.
    pub(crate) fn with_chain_len(&self, chain_len: usize) -> Self {
        Self {
            inner: self.inner.clone(),
            chain_len,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.inner.kind {
            ErrorKind::Refused(refusal) => Some(refusal),
            _ => self.inner_chain_error()?.refusal(),
        }
    }

    /// The error of another chain that provides the source credentials, if they come from one: it has the cause.
    fn inner_chain_error(&self) -> Option<&Error> {
        Self::find(self.source()?)
    }

    /// `Display` without the advice, for log events.
    pub(crate) fn first_line(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| self.write_first_line(f))
    }

    fn write_first_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_operation(f)?;
        match &self.inner.kind {
            ErrorKind::Invalid(Violation {
                field, rule, value, ..
            }) => {
                write!(f, ": {field}: {rule}")?;
                match value {
                    Some(value) => write!(f, ", but the value is {value:?}"),
                    None => Ok(()),
                }
            }
            ErrorKind::Source(SourceFailure::TimedOut(after)) => {
                write!(f, " timed out after {} s", after.as_secs())
            }
            ErrorKind::Source(_) => {
                f.write_str(" failed")?;
                self.write_causes(f)
            }
            ErrorKind::Refused(refusal) => {
                write!(f, ": {}", refusal.code)?;
                if let Some(message) = &refusal.message {
                    // It may quote values of the request, such as a policy, which span several lines.
                    write!(f, ": {}", one_line(message))?;
                }
                match &refusal.request_id {
                    Some(id) => write!(f, " (request id {id})"),
                    None => Ok(()),
                }
            }
            ErrorKind::TemporarySource { access_key_id } => write!(
                f,
                ": requires an IAM user's long-term keys, but the source returned temporary \
                 credentials ({access_key_id})"
            ),
            ErrorKind::NoMfaCode { serial } => {
                write!(f, ": no MFA code for {serial}")?;
                self.write_causes(f)
            }
            ErrorKind::NoToken => {
                f.write_str(match self.inner.step.operation {
                    Operation::AssumeRoleWithSaml => ": no SAML assertion",
                    _ => ": no web identity token",
                })?;
                self.write_causes(f)
            }
            ErrorKind::InteractionRequired => {
                f.write_str(": needs input from a person, but no caller is waiting")
            }
            ErrorKind::QueueTimedOut { after } => {
                let after = after.as_secs();
                write!(f, ": timed out after {after} s in the queue of calls to STS")
            }
            ErrorKind::TooShort { left, required, .. } => {
                let (left, required) = (left.as_secs(), required.as_secs_f64());
                write!(
                    f,
                    ": the credentials stay valid for {left} s, but {required} s are required"
                )?;
                self.write_causes(f)
            }
            ErrorKind::NotSent { destination } => {
                write!(f, ": the SDK could not build the request to STS {destination}")
            }
            ErrorKind::NoAnswer { what } | ErrorKind::Unusable { what } => write!(f, ": {what}"),
            ErrorKind::Panicked => f.write_str(
                ": a provider of credentials, codes or tokens, or the HTTP client, panicked while loading",
            ),
            ErrorKind::ReentrantLoad => f.write_str(
                ": a provider of credentials, codes or tokens requests credentials from a chain \
                 that is waiting for it: use other credentials there",
            ),
            ErrorKind::NoRuntime => f.write_str(
                ": credentials are loaded in a tokio task, but no runtime is running: call from \
                 within a tokio runtime",
            ),
        }
    }

    /// Writes the errors of providers that the program passed in, because only they say why the provider failed.
    fn write_causes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = String::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = match error.downcast_ref::<Error>() {
                // `advice` returns its advice as that of this error.
                Some(chain_error) => chain_error.first_line().to_string(),
                // Some providers' errors span several lines.
                None => one_line(&error.to_string()),
            };
            // Some errors repeat their cause.
            if !written.contains(&text) {
                write!(f, ": {text}")?;
                written += &text;
            }
            cause = error.source();
        }
        Ok(())
    }

    /// Writes what was being done, for which role, at which hop.
    fn write_operation(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, chain_len } = self;
        let kind = &inner.kind;
        let Step {
            operation,
            role_arn,
            hop,
        } = &inner.step;
        if let (Operation::GetCallerIdentity, 1..) = (operation, *hop) {
            return write!(
                f,
                "calling GetCallerIdentity with the credentials of hop {hop} of {chain_len}"
            );
        }
        let [_, gerund, subject] = operation.words();
        match (kind, role_arn) {
            (
                ErrorKind::Invalid(Violation {
                    profile: Some(profile),
                    ..
                }),
                _,
            ) => write!(f, "invalid {profile}")?,
            (ErrorKind::Invalid(_), _) => write!(f, "invalid {subject}")?,
            (ErrorKind::Source(_), Some(_)) => f.write_str("loading the source credentials for")?,
            _ => f.write_str(gerund)?,
        }
        if let Some(role_arn) = role_arn {
            write!(f, " {role_arn}")?;
        }
        match hop {
            0 => Ok(()),
            hop => write!(f, " (hop {hop} of {chain_len})"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_first_line(f)?;
        for line in &self.inner.advice {
            write!(f, "\n  - {line}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aws_role_chain::Error({})", self.first_line())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if let ErrorKind::TooShort { cause, .. } = &self.inner.kind {
            return cause.as_ref().map(|cause| cause as _);
        }
        self.inner.source.as_deref().map(|source| source as _)
    }
}

impl From<ErrorInner> for Error {
    fn from(inner: ErrorInner) -> Self {
        Self {
            chain_len: inner.step.hop,
            inner: Arc::new(inner),
        }
    }
}

/// Converts to the kind of `CredentialsError` that has the same meaning, because what the SDK does next, such as trying
/// the next provider, depends on the kind.
impl From<Error> for CredentialsError {
    fn from(error: Error) -> Self {
        let (.., convert) = error.inner.kind.class();
        convert(ProviderError(error))
    }
}

/// The error that the SDK gets; the chain's error is its source. `unwrap`, or a `main` that returns the error of a
/// failed call, prints its `Debug`.
struct ProviderError(Error);

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("role chain failed to provide credentials")
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoleChain({})", self.0.first_line())
    }
}

impl StdError for ProviderError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reading the base config, or environment variables.
    CheckBase,
    /// Reading a profile of the AWS configuration files.
    LoadProfile,
    /// Generating the trust and permission policies of a chain.
    WritePolicies,
    /// Generating an IAM policy for a resource.
    WriteDocument,
    /// Loading credentials from the base config's provider.
    LoadSource,
    AssumeRole,
    AssumeRoleWithWebIdentity,
    AssumeRoleWithSaml,
    GetSessionToken,
    GetCallerIdentity,
}

impl Operation {
    /// The name in logs and metrics: AWS's name if it is an AWS operation.
    pub(crate) fn name(self) -> &'static str {
        let [name, ..] = self.words();
        name
    }

    /// Whether a token or an assertion authenticates the call, in place of a signature.
    pub(crate) fn has_token(self) -> bool {
        matches!(
            self,
            Self::AssumeRoleWithWebIdentity | Self::AssumeRoleWithSaml
        )
    }

    /// The name; what is being done, in words that the role may follow; what is invalid, if a value is.
    #[rustfmt::skip] // A table.
    fn words(self) -> [&'static str; 3] {
        match self {
            Self::CheckBase => ["CheckBase", "reading the base config", "base config"],
            Self::LoadProfile => ["LoadProfile", "reading the profile", "profile"],
            Self::WritePolicies => ["WritePolicies", "writing the policies", "request for policies"],
            Self::WriteDocument => ["WriteDocument", "writing the policies", "request for a policy document"],
            Self::LoadSource => ["LoadSource", "loading the source credentials", "base config"],
            Self::AssumeRole => ["AssumeRole", "assuming", "role"],
            Self::AssumeRoleWithWebIdentity => ["AssumeRoleWithWebIdentity", "assuming", "role"],
            Self::AssumeRoleWithSaml => ["AssumeRoleWithSAML", "assuming", "role"],
            Self::GetSessionToken => ["GetSessionToken", "getting a session token", "session token request"],
            Self::GetCallerIdentity =>
                ["GetCallerIdentity", "calling GetCallerIdentity with the source credentials", "base config"],
        }
    }
}

/// What was being done, for which role, at which hop.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    /// The role to be assumed; `None` if the operation assumes none, or if the base config is invalid.
    pub(crate) role_arn: Option<Arc<str>>,
    /// The number of the hop in its chain, from 1; 0 for the source and the base config.
    pub(crate) hop: usize,
}

impl Step {
    pub(crate) fn failed(self, kind: ErrorKind) -> ErrorInner {
        ErrorInner {
            step: self,
            kind,
            advice: Vec::new(),
            source: None,
        }
    }
}

/// A step that concerns no hop.
impl From<Operation> for Step {
    fn from(operation: Operation) -> Self {
        Self {
            operation,
            role_arn: None,
            hop: 0,
        }
    }
}

/// The failure, shared by all callers that get the error.
pub(crate) struct ErrorInner {
    pub(crate) step: Step,
    pub(crate) kind: ErrorKind,
    pub(crate) advice: Vec<String>,
    pub(crate) source: Option<BoxError>,
}

/// The kind of failure.
pub(crate) enum ErrorKind {
    /// An invalid value, found before any call.
    Invalid(Violation),
    /// The base config's provider returned no credentials.
    Source(SourceFailure),
    /// GetSessionToken needs long-term keys, but the source returned temporary credentials.
    TemporarySource { access_key_id: String },
    /// The MFA code provider returned no code.
    NoMfaCode { serial: String },
    /// The token or assertion provider returned none.
    NoToken,
    /// A person would have to be asked, and no caller waits for the answer.
    InteractionRequired,
    /// STS answered with an error.
    Refused(Refusal),
    /// STS was not reached, or did not answer in time.
    NoAnswer { what: String },
    /// The credentials do not stay valid for as long as the caller needs; `cause` is the failure of a load of new
    /// ones, if there was one.
    TooShort {
        left: Duration,
        required: Duration,
        cause: Option<Error>,
    },
    /// The SDK could not build the request.
    NotSent { destination: String },
    /// The call was still in the queue, behind too many others, when its timeout was reached.
    QueueTimedOut { after: Duration },
    /// STS answered with something that cannot be used.
    Unusable { what: String },
    /// User code that runs inside a load panicked.
    Panicked,
    /// User code that runs inside a load asked for the credentials that are being loaded.
    ReentrantLoad,
    /// There is no tokio runtime to load on, or it is shutting down.
    NoRuntime,
}

/// What follows from the kind of a failure: whether the same request may succeed later, the label in metrics, and the
/// `CredentialsError` that has the same meaning.
type Class = (bool, &'static str, fn(ProviderError) -> CredentialsError);

impl ErrorKind {
    fn class(&self) -> Class {
        use CredentialsError as Sdk;
        match self {
            Self::Invalid(_)
            | Self::TemporarySource { .. }
            | Self::NotSent { .. }
            | Self::ReentrantLoad
            | Self::NoRuntime => (false, "other", Sdk::invalid_configuration),
            Self::Source(failure) => failure.class(),
            Self::NoMfaCode { .. } => (false, "no_mfa_code", Sdk::provider_error),
            Self::NoToken => (true, "no_token", Sdk::provider_error),
            Self::InteractionRequired => (true, "interaction_required", Sdk::provider_error),
            Self::Refused(refusal) => refusal.meaning.class(),
            Self::NoAnswer { .. } => (true, "no_answer", Sdk::provider_error),
            Self::TooShort { .. } => (false, "other", Sdk::provider_error),
            Self::QueueTimedOut { .. } => (true, "queue_timed_out", Sdk::provider_error),
            Self::Unusable { .. } | Self::Panicked => (true, "other", Sdk::unhandled),
        }
    }

    pub(crate) fn already_expired(expiry: SystemTime, now: SystemTime) -> Self {
        Self::Unusable {
            what: format!(
                "the returned credentials expired at {}; this machine's clock shows {}",
                timestamp(expiry),
                timestamp(now)
            ),
        }
    }
}

/// A rule that a value breaks.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// The name of the setting's setter or key.
    pub(crate) field: &'static str,
    pub(crate) rule: String,
    /// The offending value, unless it is secret.
    pub(crate) value: Option<String>,
    /// The profile that contains the value, and its file if known.
    pub(crate) profile: Option<String>,
}

impl Violation {
    pub(crate) fn new(field: &'static str, rule: impl Into<String>, value: Option<&str>) -> Self {
        Self {
            field,
            rule: rule.into(),
            value: value.map(shortened),
            profile: None,
        }
    }

    /// Applies the rule to a part of the field.
    pub(crate) fn of_part(mut self, part: &str) -> Self {
        self.rule = format!("the {part} {}", self.rule);
        self
    }
    pub(crate) fn in_profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Creates the error of an operation without a role or hop.
    pub(crate) fn into_error(self, operation: Operation) -> Error {
        self.into_hop_error(operation, None, 0)
    }

    /// Creates the error of a hop; `role_arn` is shown even if it is malformed.
    pub(crate) fn into_hop_error(
        self,
        operation: Operation,
        role_arn: Option<&str>,
        hop: usize,
    ) -> Error {
        let shown = role_arn.map(|arn| shortened(arn).escape_debug().to_string());
        let step = Step {
            operation,
            role_arn: shown.map(Arc::from),
            hop,
        };
        step.failed(ErrorKind::Invalid(self)).into()
    }
}

/// Returns the text with each run of white space and control characters as one space.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The start of a value, long enough to recognize it.
fn shortened(value: &str) -> String {
    const SHOWN: usize = 100;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// The kind of the source's `CredentialsError`, which is the source of the chain's error, or the chain's own timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceFailure {
    NotLoaded,
    TimedOut(Duration),
    InvalidConfiguration,
    Provider,
    Unhandled,
}

impl From<&CredentialsError> for SourceFailure {
    fn from(error: &CredentialsError) -> Self {
        match error {
            CredentialsError::CredentialsNotLoaded(_) => Self::NotLoaded,
            CredentialsError::InvalidConfiguration(_) => Self::InvalidConfiguration,
            CredentialsError::Unhandled(_) => Self::Unhandled,
            _ => Self::Provider,
        }
    }
}

impl SourceFailure {
    fn class(self) -> Class {
        use CredentialsError as Sdk;
        let outcome = "no_source_credentials";
        match self {
            Self::NotLoaded => (false, outcome, Sdk::not_loaded),
            Self::InvalidConfiguration => (false, outcome, Sdk::invalid_configuration),
            Self::TimedOut(_) | Self::Provider => (true, outcome, Sdk::provider_error),
            Self::Unhandled => (true, outcome, Sdk::unhandled),
        }
    }
}

/// STS's error response.
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) meaning: Meaning,
}

/// What an error response means for the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same call would be rejected again.
    Denied,
    /// The request itself is at fault: a policy, its size, a disabled region.
    BadRequest,
    /// The caller's credentials are expired, revoked or unknown.
    InvalidCredentials { transient: bool },
    /// The web identity token or SAML assertion has expired.
    ExpiredToken,
    /// STS could not get the identity provider's keys; this is often temporary.
    IdentityProviderUnreachable,
    /// The MFA code is wrong, or was used before.
    WrongMfaCode,
    /// Temporary credentials cannot get a session of this length.
    RoleChainingLimit,
    /// The clocks differ; the SDK has learnt by how much, so the next call is signed with the right time.
    ClockSkew,
    /// Too many calls.
    Throttled,
    /// The service failed: the same call may succeed later.
    Transient,
}

impl Meaning {
    fn class(self) -> Class {
        use CredentialsError as Sdk;
        match self {
            Self::Denied | Self::ExpiredToken | Self::WrongMfaCode | Self::RoleChainingLimit => {
                (false, "refused", Sdk::provider_error)
            }
            Self::BadRequest => (false, "refused", Sdk::invalid_configuration),
            Self::InvalidCredentials { transient } => (transient, "refused", Sdk::provider_error),
            Self::IdentityProviderUnreachable | Self::ClockSkew | Self::Transient => {
                (true, "sts_failed", Sdk::provider_error)
            }
            Self::Throttled => (true, "throttled", Sdk::provider_error),
        }
    }
}

#[cfg(test)]
#[path = "../tests/unit/error.rs"]
mod tests;
