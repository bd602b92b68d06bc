//! [`HopStatus`]: what is known of one hop, for a health page.

use std::fmt;
use std::time::SystemTime;

use super::hop::HopCache;
use crate::error::Error;
use crate::session::timestamp;

/// What is known of one hop of a chain, for a health page; see
/// [`RoleChain::status`](crate::RoleChain::status). `Display` is one line.
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
    /// Place in the chain, from 1; 0 for source credentials, where the chain
    /// [caches](crate::RoleChain::from_source) them.
    pub hop: usize,
    /// The role's ARN; `None` for a session token and the source.
    pub role_arn: Option<String>,
    /// The cached session, as CloudTrail and trust policies name it:
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session name>`.
    pub session_arn: Option<String>,
    /// The cached access key ID; not a secret.
    pub access_key_id: Option<String>,
    /// When the cached credentials expire; `None` before the first load, and for source credentials
    /// that do not.
    pub expiry: Option<SystemTime>,
    /// Whether no credentials are cached that are valid by the base config's clock.
    pub is_expired: bool,
    /// When the next refresh is due, if the chain is still used then; `None` before the first load.
    pub next_refresh: Option<SystemTime>,
    /// Why the last load failed; `None` after a success.
    pub last_error: Option<Error>,
}

impl HopStatus {
    /// Reads a hop's cache, as a chain of `chain_len` hops reports it.
    pub(super) fn of(cache: &HopCache, chain_len: usize) -> Self {
        let hop = cache.loader();
        let known = cache.snapshot();
        let session = known.session.as_ref();
        // The source's keys may be valid for ever, however long they are cached here.
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
        }
    }
}

impl fmt::Display for HopStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.role_arn {
            Some(role_arn) => role_arn,
            None if self.hop == 0 => "source credentials",
            None => "session token",
        })?;
        match self.expiry {
            Some(expiry) if self.is_expired && self.last_error.is_none() => {
                // No caller has asked since.
                let expiry = timestamp(expiry);
                return write!(f, ": expired at {expiry}, loaded anew when next asked for");
            }
            Some(expiry) if self.is_expired => {
                write!(f, ": expired at {}, and still served", timestamp(expiry))?;
            }
            Some(expiry) => write!(f, ": until {}", timestamp(expiry))?,
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
