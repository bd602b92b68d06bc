//! [`SessionTokenRequest`]: what to ask GetSessionToken for, and its check.

use std::time::Duration;

use super::limits::{SESSION_TOKEN_DURATION, check_duration, check_region, seconds};
use super::role::{Parameter, check_mfa};
use crate::error::Violation;
use crate::mfa::{Mfa, ProvideMfaCode};

/// A session token for the base config's user: the parameters of
/// [GetSessionToken](https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html).
///
/// With [`mfa`](Self::mfa), one code proves MFA to every role behind the token, in place of a code for
/// each. The price: the calls are then signed with temporary credentials, so sessions of the roles last
/// an hour at most (role chaining).
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
/// [`RoleChain::from_session_token`](crate::RoleChain::from_session_token) takes it.
#[derive(Clone, Debug, Default)]
#[must_use = "a request does nothing until a chain starts with it"]
pub struct SessionTokenRequest {
    mfa: Option<Mfa>,
    duration: Option<Duration>,
    region: Option<String>,
}

impl SessionTokenRequest {
    /// Creates a request without MFA, for STS's default of 12 hours.
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

    /// Sets how long the token lasts: 900 to 129,600 whole seconds (36 hours). Default: STS's, 12 hours.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Sets the region of the STS endpoint. Default: the base config's.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    pub(crate) fn check(self) -> Result<GetSessionTokenRequest, Violation> {
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
        Ok(GetSessionTokenRequest(self))
    }
}

/// A [`SessionTokenRequest`] that broke no rule.
pub(crate) struct GetSessionTokenRequest(SessionTokenRequest);

impl GetSessionTokenRequest {
    pub(crate) fn mfa(&self) -> Option<&Mfa> {
        self.0.mfa.as_ref()
    }

    /// Lists every parameter, as reports see it; they have a line of their own for the duration.
    pub(crate) fn parameters(&self) -> [Parameter; 1] {
        let SessionTokenRequest {
            mfa,
            duration: _,
            region: _,
        } = &self.0;
        [Parameter::of_mfa(mfa.as_ref())]
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        self.0.duration
    }

    pub(crate) fn duration_seconds(&self) -> Option<i32> {
        self.0.duration.map(seconds)
    }

    pub(crate) fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }
}
