//! Where a chain can start, other than at the base config's own credentials: a session token, a web
//! identity.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

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
pub struct WebIdentityToken(Token);

#[derive(Clone)]
enum Token {
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
        Self(Token::File(path.as_ref().to_owned()))
    }

    /// A function that gives a token, called at each load: GitHub Actions' tokens, for one, last
    /// minutes.
    pub fn from_provider<F, Answer, E>(provider: F) -> Self
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Token::Provider(Arc::new(provider)))
    }

    /// The token of the moment.
    pub(crate) async fn get(&self) -> Result<String, BoxError> {
        let token = match &self.0 {
            Token::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let named = format!("{}: {error}", path.display());
                std::io::Error::new(error.kind(), named)
            })?,
            Token::Provider(provider) => provider.provide().await?,
        };
        let token = token.trim();
        match token.len() {
            4..=20_000 => Ok(token.to_owned()),
            length => Err(format!(
                "a web identity token has 4 to 20000 characters, this one has {length}"
            )
            .into()),
        }
    }
}

impl fmt::Debug for WebIdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Token::File(path) => f.debug_tuple("WebIdentityToken").field(path).finish(),
            Token::Provider(_) => f.write_str("WebIdentityToken(..)"),
        }
    }
}
