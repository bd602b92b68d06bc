//! [`Health`] and [`HopStatus`]: the state of a chain and of its hops, for a health page.

use std::fmt;
use std::time::SystemTime;

use super::hop::HopCache;
use crate::error::Error;
use crate::timestamp::timestamp;

/// Whether a chain can provide credentials; see [`RoleChain::health`](crate::RoleChain::health). `Display` is one line.
/// With the feature `serde` it is serialized as `{"state": "failing", "error": {…}}`.
///
/// | state of a hop | health |
/// |---|---|
/// | before the first load, or expired because no caller has asked since | that of the previous hop, or `Ready` if there is none; the next call loads credentials |
/// | valid credentials | `Ready` |
/// | valid credentials, and the last refresh of this or a previous hop failed | `Degraded` |
/// | no valid credentials, and the last load failed | `Failing` |
///
/// # Examples
///
/// ```
/// use aws_role_chain::Health;
///
/// fn status_code(chain: &aws_role_chain::RoleChain) -> u16 {
///     match chain.health() {
///         Health::Failing(error) => {
///             eprintln!("{error}"); // with what to check
///             503
///         }
///         Health::Ready | Health::Degraded(_) => 200,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub enum Health {
    /// No failure is known.
    Ready,
    /// The cached credentials are valid, but those of this hop or of a previous one could not be refreshed, for this
    /// reason.
    Degraded(Error),
    /// There are no valid credentials, for this reason.
    Failing(Error),
}

impl Health {
    /// Derives the health from the status of all hops, starting with the first.
    pub(super) fn of(hops: &[HopStatus]) -> Self {
        let Some((hop, before)) = hops.split_last() else {
            return Self::Ready;
        };
        match (&hop.last_error, hop.is_expired) {
            (Some(error), true) => Self::Failing(error.clone()),
            (Some(error), false) => Self::Degraded(error.clone()),
            // The next call loads this hop, if the previous hop can provide credentials.
            (None, true) => Self::of(before),
            (None, false) => match Self::of(before) {
                Self::Failing(error) => Self::Degraded(error),
                health => health,
            },
        }
    }

    /// Returns whether calls are expected to succeed: `true` unless the chain is [`Failing`](Self::Failing).
    pub fn is_ready(&self) -> bool {
        !matches!(self, Self::Failing(_))
    }

    /// Returns the reason why the chain is degraded or failing.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Ready => None,
            Self::Degraded(error) | Self::Failing(error) => Some(error),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Degraded(error) => write!(f, "degraded: {}", error.first_line()),
            Self::Failing(error) => write!(f, "failing: {}", error.first_line()),
        }
    }
}

/// The state of one hop of a chain, for a health page; see [`RoleChain::status`](crate::RoleChain::status). `Display`
/// is one line. With the feature `serde` it is serialized by the names of its fields, with times such as
/// `2026-11-26T08:00:00Z`.
///
/// # Examples
///
/// ```
/// # fn example(chain: aws_role_chain::RoleChain) {
/// for hop in chain.status() {
///     println!("{hop}");
///     if hop.is_expired {
///         println!("  no valid credentials, because of {:?}", hop.last_error);
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HopStatus {
    /// Position in the chain, from 1; 0 for source credentials that the chain [caches](crate::RoleChain::from_source).
    pub hop: usize,
    /// The role's ARN; `None` if no role is assumed.
    pub role_arn: Option<String>,
    /// The ARN of the cached session, as CloudTrail and trust policies name it:
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session name>`.
    pub session_arn: Option<String>,
    /// The cached access key ID. It is not a secret.
    pub access_key_id: Option<String>,
    /// When the cached credentials expire; `None` before the first load, and for source credentials without an expiry.
    pub expiry: Option<SystemTime>,
    /// Whether no valid credentials are cached, by the base config's clock.
    pub is_expired: bool,
    /// When the next refresh is due, if the chain is still in use then; `None` before the first load. If a person has to
    /// be asked, this is one minute before expiry, and the refresh starts when a caller asks for credentials.
    pub next_refresh: Option<SystemTime>,
    /// Why the last load failed; `None` if it succeeded.
    pub last_error: Option<Error>,
    /// What the hop loads, if it assumes no role.
    what: &'static str,
}

impl HopStatus {
    /// Reads the state of a hop's cache, for a chain of `chain_len` hops.
    pub(super) fn of(cache: &HopCache, chain_len: usize) -> Self {
        let hop = cache.loader();
        let known = cache.snapshot();
        let session = known.session.as_ref();
        // The source's keys may have no expiry; the session's is then only that of the cache.
        let has_expiry = session.is_none_or(|session| session.credentials.expiry().is_some());
        Self {
            hop: hop.number,
            role_arn: hop.role_arn().map(|arn| arn.to_string()),
            session_arn: session.and_then(|session| session.arn.as_deref().map(str::to_owned)),
            access_key_id: session.map(|session| session.access_key_id().to_owned()),
            expiry: session.filter(|_| has_expiry).map(|session| session.expiry),
            is_expired: known.is_expired && has_expiry,
            next_refresh: known.next_refresh,
            last_error: known
                .last_error
                .map(|error| error.with_chain_len(chain_len)),
            what: hop.target.properties().noun,
        }
    }
}

impl fmt::Display for HopStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.role_arn.as_deref().unwrap_or(self.what))?;
        match self.expiry {
            Some(expiry) if self.is_expired && self.last_error.is_none() => {
                // No caller has asked for credentials since.
                let expiry = timestamp(expiry);
                return write!(f, ": expired at {expiry}, the next call loads new ones");
            }
            Some(expiry) if self.is_expired => {
                write!(f, ": expired at {}, but still served", timestamp(expiry))?;
            }
            Some(expiry) => write!(f, ": valid until {}", timestamp(expiry))?,
            None if self.access_key_id.is_some() => f.write_str(": without an expiry")?,
            None => f.write_str(": no credentials yet")?,
        }
        if let Some(next) = self.next_refresh {
            write!(f, ", next refresh at {}", timestamp(next))?;
        }
        match &self.last_error {
            Some(error) => write!(f, ", last load failed: {}", error.first_line()),
            None => Ok(()),
        }
    }
}
