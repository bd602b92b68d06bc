//! Where a chain can start, other than at the base config's own credentials: a session token, a web
//! identity, a SAML assertion.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "policy")]
use aws_smithy_json::deserialize::{Token, json_token_iter};

use crate::mfa::{BoxError, Mfa, ProvideMfaCode};
use crate::role::{Broken, check_mfa, check_region};

/// A session token for the base config's user: the parameters of
/// [GetSessionToken](https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html).
///
/// With [`mfa`](Self::mfa), one code proves MFA to every role behind it, in place of a code for each.
/// The price: the calls are then signed with temporary credentials, so sessions of the roles last an
/// hour at most (role chaining).
#[derive(Clone, Default)]
#[must_use = "a request does nothing until a chain starts with it"]
pub struct GetSessionToken {
    mfa: Option<Mfa>,
    duration: Option<Duration>,
    region: Option<String>,
}

impl GetSessionToken {
    /// Without MFA, for 12 hours, STS's default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The user's MFA device and who gives its codes; as for [`Role::mfa`](crate::Role::mfa).
    pub fn mfa(mut self, serial: impl Into<String>, codes: impl ProvideMfaCode + 'static) -> Self {
        self.mfa = Some(Mfa::new(serial.into(), codes));
        self
    }

    #[cfg(feature = "profile")]
    pub(crate) fn with_mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = Some(mfa);
        self
    }

    /// How long the token lasts: 900 to 129,600 whole seconds (36 hours). Default: STS's, 12 hours.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// The region of the STS endpoint. Default: the base config's.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    pub(crate) fn check(self) -> Result<SessionToken, Broken> {
        if let Some(mfa) = &self.mfa {
            check_mfa(mfa)?;
        }
        let duration_seconds = self.duration.map(check_duration).transpose()?;
        Ok(SessionToken {
            mfa: self.mfa,
            duration_seconds,
            region: self.region.map(check_region).transpose()?,
        })
    }
}

impl fmt::Debug for GetSessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetSessionToken")
            .field("mfa", &self.mfa.as_ref().map(|mfa| &mfa.serial))
            .field("duration", &self.duration)
            .field("region", &self.region)
            .finish()
    }
}

fn check_duration(duration: Duration) -> Result<i32, Broken> {
    let seconds = duration.as_secs();
    if !(900..=129_600).contains(&seconds) || duration.subsec_nanos() != 0 {
        let shown = format!("{} s", duration.as_secs_f64());
        return Err(Broken::new(
            "duration",
            "must be 900 to 129600 whole seconds",
            Some(&shown),
        ));
    }
    // Bounded just above.
    Ok(seconds as i32)
}

/// A [`GetSessionToken`] that broke no rule.
pub(crate) struct SessionToken {
    pub(crate) mfa: Option<Mfa>,
    pub(crate) duration_seconds: Option<i32>,
    pub(crate) region: Option<aws_types::region::Region>,
}

/// Where the token of a web identity comes from: see
/// [`RoleChain::from_web_identity`](crate::RoleChain::from_web_identity).
#[derive(Clone)]
pub struct WebIdentityToken(TokenSource);

#[derive(Clone)]
enum TokenSource {
    File(PathBuf),
    Provider(Arc<dyn ProvideToken>),
}

type Tokens<'a> = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + 'a>>;

trait ProvideToken: Send + Sync {
    fn provide(&self) -> Tokens<'_>;
}

impl<F, Answer, E> ProvideToken for F
where
    F: Fn() -> Answer + Send + Sync,
    Answer: Future<Output = Result<String, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn provide(&self) -> Tokens<'_> {
        let answer = self();
        Box::pin(async { answer.await.map_err(Into::into) })
    }
}

impl WebIdentityToken {
    /// A file that holds the token and is read again at each load: EKS and others replace it before
    /// the token expires.
    pub fn from_file(path: impl AsRef<Path>) -> Self {
        Self(TokenSource::File(path.as_ref().to_owned()))
    }

    /// A function that gives a token, called at each load: GitHub Actions' tokens, for one, last
    /// minutes.
    pub fn from_provider<F, Answer, E>(provider: F) -> Self
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(TokenSource::Provider(Arc::new(provider)))
    }

    /// The token of the moment.
    pub(crate) async fn get(&self) -> Result<String, BoxError> {
        let token = match &self.0 {
            TokenSource::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let named = format!("{}: {error}", path.display());
                std::io::Error::new(error.kind(), named)
            })?,
            TokenSource::Provider(provider) => provider.provide().await?,
        };
        of_length(&token, "web identity token", 20_000)
    }
}

/// What a web identity token says of itself; nobody has checked it.
#[cfg(feature = "policy")]
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) subject: String,
}

#[cfg(feature = "policy")]
impl WebIdentityToken {
    pub(crate) async fn claims(&self) -> Option<Claims> {
        Claims::read(&self.get().await.ok()?)
    }
}

#[cfg(feature = "policy")]
impl Claims {
    fn read(token: &str) -> Option<Self> {
        let mut payload = token.split('.').nth(1)?.replace('-', "+").replace('_', "/");
        payload += &"=".repeat(payload.len().wrapping_neg() % 4);
        let json = aws_smithy_types::base64::decode(payload).ok()?;
        let [mut issuer, mut audience, mut subject] = [None, None, None];
        let (mut depth, mut name) = (0, String::new());
        for token in json_token_iter(&json) {
            match token.ok()? {
                Token::StartObject { .. } | Token::StartArray { .. } => depth += 1,
                Token::EndObject { .. } | Token::EndArray { .. } => depth -= 1,
                Token::ObjectKey { key, .. } if depth == 1 => {
                    name = key.to_unescaped().ok()?.into_owned();
                }
                Token::ValueString { value, .. } => {
                    let claim = match &*name {
                        "iss" => &mut issuer,
                        // One, or a list.
                        "aud" => &mut audience,
                        "sub" => &mut subject,
                        _ => continue,
                    };
                    if claim.is_none() {
                        *claim = Some(value.to_unescaped().ok()?.into_owned());
                    }
                }
                _ => {}
            }
        }
        Some(Self {
            issuer: issuer?,
            audience: audience?,
            subject: subject?,
        })
    }
}

fn of_length(token: &str, what: &str, most: usize) -> Result<String, BoxError> {
    let token = token.trim();
    match token.len() {
        length if (4..=most).contains(&length) => Ok(token.to_owned()),
        length => Err(format!("a {what} has 4 to {most} characters, this one has {length}").into()),
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

/// Where a SAML assertion comes from: see [`RoleChain::from_saml`](crate::RoleChain::from_saml).
#[derive(Clone)]
pub struct SamlAssertion {
    provider: Arc<dyn ProvideToken>,
    interactive: bool,
}

impl SamlAssertion {
    /// A function that gives an assertion, in base64 as identity providers post it, called at each
    /// load: STS takes one only for minutes after it was issued.
    ///
    /// It is taken to ask a person to sign in: the chain never refreshes by itself, and calls it only
    /// while somebody waits for credentials. If it asks nobody, say so with
    /// [`unattended`](Self::unattended).
    pub fn from_provider<F, Answer, E>(provider: F) -> Self
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self {
            provider: Arc::new(provider),
            interactive: true,
        }
    }

    /// The function asks nobody, so that it may be called at any time.
    pub fn unattended(mut self) -> Self {
        self.interactive = false;
        self
    }

    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// The assertion of the moment.
    pub(crate) async fn get(&self) -> Result<String, BoxError> {
        of_length(&self.provider.provide().await?, "SAML assertion", 100_000)
    }
}

impl fmt::Debug for SamlAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamlAssertion")
            .field("interactive", &self.interactive)
            .finish_non_exhaustive()
    }
}
