//! [`Base`]: what all hops and forks of a chain share from the base config.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_types::SdkConfig;

use crate::error::{
    BoxError, Error, ErrorInner, ErrorKind, Operation, SourceFailure, Step, Violation,
};
use crate::session::is_sendable;
use crate::sts::Sts;

/// The timeout of the base config's provider, and of providers of tokens and MFA codes that ask no person. The SDK's own
/// cache gives a provider about 20 s, but a sign-in in a browser takes longer.
pub(super) const PROVIDER_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct Base {
    pub(crate) config: SdkConfig,
    pub(super) time: SharedTimeSource,
    pub(super) sleep: SharedAsyncSleep,
    pub(super) sts: Sts,
}

impl Base {
    /// Creates the base of a chain that starts with the config's credentials.
    pub(crate) fn with_source(config: &SdkConfig) -> Result<Self, Error> {
        if config.credentials_provider().is_none() {
            let rule = "must be set, for example by aws_config::load_defaults: its credentials \
                        assume the first role";
            let violation = Violation::new("credentials_provider", rule, None);
            return Err(violation.into_error(Operation::CheckBase));
        }
        Self::without_source(config)
    }

    /// Creates the base of a chain that starts with a token.
    pub(crate) fn without_source(config: &SdkConfig) -> Result<Self, Error> {
        let tokio = || SharedAsyncSleep::new(TokioSleep::new());
        let sleep = config.sleep_impl().unwrap_or_else(tokio);
        let sts = Sts::new(config.clone(), sleep.clone())
            .map_err(|violation| violation.into_error(Operation::CheckBase))?;
        Ok(Self {
            time: config.time_source().unwrap_or_default(),
            sts,
            sleep,
            config: config.clone(),
        })
    }

    /// Loads credentials from the config's provider; `step` is what they are needed for.
    pub(super) async fn source_credentials(&self, step: Step) -> Result<Credentials, Error> {
        let failed = |failure, source: Option<BoxError>| {
            let advice = source.as_deref().and_then(sign_in);
            let error = ErrorInner {
                advice: advice.into_iter().collect(),
                source,
                ..step.failed(ErrorKind::Source(failure))
            };
            Err(error.into())
        };
        let Some(source) = self.config.credentials_provider() else {
            // Only a chain that starts with a token has no source, and it never loads source credentials.
            return failed(SourceFailure::NotLoaded, None);
        };
        let loaded = source.provide_credentials();
        match self.with_provider_timeout(loaded).await {
            Some(Ok(credentials)) if is_sendable(&credentials) => Ok(credentials),
            Some(Ok(_)) => {
                let what = "the access key ID or the session token contains a line break or another \
                            control character: remove it where they are configured";
                failed(SourceFailure::InvalidConfiguration, Some(what.into()))
            }
            Some(Err(error)) => failed(SourceFailure::from(&error), Some(error.into())),
            None => failed(SourceFailure::TimedOut(PROVIDER_TIMEOUT), None),
        }
    }

    /// Waits for a provider that is passed in; `None` if it times out.
    pub(super) async fn with_provider_timeout<F: Future>(&self, provider: F) -> Option<F::Output> {
        let timeout = self.sleep.sleep(PROVIDER_TIMEOUT);
        Timeout::new(provider, timeout).await.ok()
    }
}

/// Returns what a person must do if a sign-in with the AWS CLI has expired. aws-config reports that in its text only.
fn sign_in(source: &(dyn StdError + Send + Sync + 'static)) -> Option<String> {
    let text = DisplayErrorContext(source).to_string();
    let (_, command) = [("SSO token", "aws sso login"), ("Login token", "aws login")]
        .into_iter()
        .find(|(token, _)| text.contains(token))?;
    Some(format!(
        "sign in again: {command}, with the profile of the source credentials"
    ))
}
