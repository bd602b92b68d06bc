//! [`SessionTokenRequest`]: the parameters of GetSessionToken, and their check.

use std::time::Duration;

use super::checked::Checked;
use super::limits::{SESSION_TOKEN_DURATION, check_duration, check_region};
use super::parameter::Parameter;
use super::rules::check_mfa;
use crate::error::Violation;
use crate::mfa::{Mfa, ProvideMfaCode};

/// A request for a session token of the base config's IAM user: the parameters of
/// [GetSessionToken](https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html).
///
/// With [`mfa`](Self::mfa), one code proves MFA to every role that is assumed with the token; otherwise each role needs
/// a code of its own. The drawback: roles are then assumed with temporary credentials, so their sessions last an hour
/// at most (role chaining).
///
/// Two requests are equal under the same conditions as two [`Role`](crate::Role)s.
///
/// # Examples
///
/// ```
/// use aws_role_chain::{SessionTokenRequest, TerminalPrompt};
///
/// let request = SessionTokenRequest::new()
///     .mfa("arn:aws:iam::111111111111:mfa/ada", TerminalPrompt::new());
/// ```
///
/// Pass it to [`RoleChain::from_session_token`](crate::RoleChain::from_session_token).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use = "a request does nothing until a chain starts with it"]
pub struct SessionTokenRequest {
    pub(crate) mfa: Option<Mfa>,
    pub(crate) duration: Option<Duration>,
    pub(crate) region: Option<String>,
}

impl SessionTokenRequest {
    /// Creates a request without MFA and with STS's default duration of 12 hours.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the user's MFA device and the provider of its codes, as [`Role::mfa`](crate::Role::mfa) does.
    pub fn mfa(mut self, serial: impl Into<String>, codes: impl ProvideMfaCode + 'static) -> Self {
        self.mfa = Some(Mfa::new(serial.into(), codes));
        self
    }
    pub(crate) fn with_mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = Some(mfa);
        self
    }

    /// Sets the token's duration: 900 to 129,600 whole seconds (36 hours). Default: STS's, 12 hours.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Sets the region of the STS endpoint. Default: the base config's region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    pub(crate) fn check(self) -> Result<Checked<Self>, Violation> {
        let Self {
            mfa,
            duration,
            region,
        } = &self;
        if let Some(mfa) = mfa {
            check_mfa(mfa)?;
        }
        if let Some(duration) = duration {
            check_duration(*duration, SESSION_TOKEN_DURATION)?;
        }
        if let Some(region) = region {
            check_region(region)?;
        }
        Ok(Checked(self))
    }

    /// Lists every parameter, for reports, which show the duration separately.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        let Self {
            mfa,
            duration: _,
            region: _,
        } = self;
        vec![Parameter::of_mfa(mfa.as_ref())]
    }
}
