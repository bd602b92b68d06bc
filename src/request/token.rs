//! [`WebIdentityToken`] and [`SamlAssertion`]: sources of the tokens that authenticate a call in place of a signature.

use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use super::limits::{SAML_ASSERTION_LENGTH, WEB_IDENTITY_TOKEN_LENGTH, span};
use crate::error::BoxError;
use crate::file;

/// The source of a web identity token (an OpenID Connect token); see
/// [`RoleChain::from_web_identity`](crate::RoleChain::from_web_identity).
///
/// # Examples
///
/// ```
/// use aws_role_chain::WebIdentityToken;
///
/// let on_eks = WebIdentityToken::from_file("/var/run/secrets/eks.amazonaws.com/serviceaccount/token");
/// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
/// let elsewhere = WebIdentityToken::from_provider(|| async { fetch_token().await });
/// ```
#[derive(Clone)]
pub struct WebIdentityToken(TokenSource);

#[derive(Clone)]
enum TokenSource {
    File(PathBuf),
    Provider(Arc<dyn ProvideToken>),
}

impl WebIdentityToken {
    /// Creates a source that reads the token from a file at each load, because platforms such as EKS replace the file
    /// before the token expires. Loads fail if it is not a regular file but, for example, a pipe.
    pub fn from_file(path: impl AsRef<Path>) -> Self {
        Self(TokenSource::File(path.as_ref().to_owned()))
    }

    /// Creates a source that calls a function for a token at each load, for tokens that are valid for minutes only,
    /// such as those of GitHub Actions. The call times out after two minutes.
    pub fn from_provider<F, Fut, E>(provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(TokenSource::Provider(Arc::new(provider)))
    }

    /// Returns a current token.
    pub(crate) async fn get(&self) -> Result<String, BoxError> {
        let token = match &self.0 {
            TokenSource::File(path) => file::read(path).map_err(|error| {
                let with_path = format!("{}: {error}", path.display());
                std::io::Error::new(error.kind(), with_path)
            })?,
            TokenSource::Provider(provider) => provider.provide_token().await?,
        };
        check_length(&token, "web identity token", WEB_IDENTITY_TOKEN_LENGTH)
    }
}

impl fmt::Debug for WebIdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            TokenSource::File(path) => f.debug_tuple("WebIdentityToken").field(path).finish(),
            TokenSource::Provider(_) => f.write_str("WebIdentityToken(..)"),
        }
    }
}

/// The source of SAML assertions; see [`RoleChain::from_saml`](crate::RoleChain::from_saml).
///
/// # Examples
///
/// ```
/// use aws_role_chain::SamlAssertion;
///
/// # async fn sign_in_with_browser() -> Result<String, std::io::Error> { Ok(String::new()) }
/// let assertion = SamlAssertion::from_provider(|| async { sign_in_with_browser().await });
/// ```
#[derive(Clone)]
pub struct SamlAssertion {
    provider: Arc<dyn ProvideToken>,
    is_interactive: bool,
}

impl SamlAssertion {
    /// Creates a source that calls a function for an assertion at each load, because STS accepts an assertion only for
    /// minutes after it was issued. The assertion is in base64, as identity providers post it.
    ///
    /// The function is assumed to ask a person to sign in: the chain does not refresh on its own, and calls the
    /// function only while a caller waits for credentials. If the function asks no person, declare that with
    /// [`non_interactive`](Self::non_interactive).
    pub fn from_provider<F, Fut, E>(provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self {
            provider: Arc::new(provider),
            is_interactive: true,
        }
    }

    /// Declares that the function asks no person, so that the chain may call it at any time. The call then times out
    /// after two minutes.
    #[must_use]
    pub fn non_interactive(mut self) -> Self {
        self.is_interactive = false;
        self
    }

    pub(crate) fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Returns a current assertion.
    pub(crate) async fn get(&self) -> Result<String, BoxError> {
        let assertion = self.provider.provide_token().await?;
        check_length(&assertion, "SAML assertion", SAML_ASSERTION_LENGTH)
    }
}

impl fmt::Debug for SamlAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamlAssertion")
            .field("is_interactive", &self.is_interactive)
            .finish_non_exhaustive()
    }
}

trait ProvideToken: Send + Sync {
    fn provide_token(&self) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>>;
}

impl<F, Fut, E> ProvideToken for F
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<String, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn provide_token(&self) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        let token = self();
        Box::pin(async { token.await.map_err(Into::into) })
    }
}

fn check_length(
    token: &str,
    what: &str,
    length: RangeInclusive<usize>,
) -> Result<String, BoxError> {
    let token = token.trim();
    if length.contains(&token.len()) {
        return Ok(token.to_owned());
    }
    let (length, given) = (span(&length), token.len());
    Err(format!("the {what} must have {length} characters, but has {given}").into())
}
