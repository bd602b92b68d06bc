//! [`Totp`]: codes that are computed from the secret of a virtual MFA device (feature `totp`).
#![cfg(feature = "totp")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_async::rt::sleep::AsyncSleep;

use super::{MfaReason, MfaRequest, ProvideMfaCode};
use crate::error::BoxError;

/// A provider that computes codes from the secret of a virtual MFA device, for unattended programs: RFC 6238 with AWS's
/// parameters, which are SHA-1, six digits and 30 seconds.
///
/// A code can be used only once. If a chain of this program has already sent the current code, or STS rejects it, the
/// provider waits for the next 30-second step, by the base config's clock. Roles that each need a code therefore wait
/// for each other; [a session token](crate::RoleChain::from_session_token) needs one code for all.
///
/// The secret is the second factor. It is wiped from memory when dropped, and never shown.
///
/// # Examples
///
/// ```
/// use aws_role_chain::{Role, Totp};
///
/// # fn example(secret: &str) -> Result<(), aws_role_chain::TotpError> {
/// let role = Role::new("arn:aws:iam::222222222222:role/Operator")
///     .mfa("arn:aws:iam::111111111111:mfa/robot", Totp::from_secret(secret)?);
/// # Ok(())
/// # }
/// # example("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
/// ```
#[derive(Clone)]
pub struct Totp(Arc<totp_rs::Totp>);

/// The reason why a secret was rejected. It contains no part of the secret.
///
/// # Examples
///
/// ```
/// let error = aws_role_chain::Totp::from_secret("not base32!").unwrap_err();
/// assert!(error.to_string().contains("must be base32"));
/// ```
#[derive(Clone, Debug)]
pub struct TotpError(String);

impl fmt::Display for TotpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid TOTP secret: {}", self.0)
    }
}

impl std::error::Error for TotpError {}

impl Totp {
    /// Creates a provider from the base32 secret that AWS shows when a virtual device is created. Spaces, dashes and
    /// case are ignored.
    ///
    /// # Errors
    ///
    /// A text that is not base32, or that encodes less than 10 bytes.
    pub fn from_secret(base32: &str) -> Result<Self, TotpError> {
        // Allocated once, because growing would leave copies of the secret in memory.
        let mut normalized = zeroize::Zeroizing::new(String::with_capacity(base32.len()));
        let letters = base32
            .chars()
            .filter(|c| !c.is_whitespace() && !"-=".contains(*c));
        normalized.extend(letters.map(|c| c.to_ascii_uppercase()));
        let secret = totp_rs::Secret::try_from_base32(&*normalized)
            .map_err(|_| TotpError("it must be base32: letters and the digits 2 to 7".into()))?;
        if secret.as_bytes().len() < 10 {
            return Err(TotpError(
                "it must have at least 16 base32 characters".into(),
            ));
        }
        // Secrets that are shorter than RFC 6238 requires are accepted, because some devices use them.
        let totp = totp_rs::Builder::new()
            .with_secret(secret)
            .build_noncompliant();
        Ok(Self(Arc::new(totp)))
    }

    /// Creates a provider from an `otpauth://totp/…` URL, the content of a QR code.
    ///
    /// # Errors
    ///
    /// A URL of another kind, or one with parameters other than AWS's: SHA-1, six digits, 30 seconds.
    pub fn from_url(url: &str) -> Result<Self, TotpError> {
        let totp = totp_rs::Totp::from_url_unchecked(url).map_err(|_| {
            TotpError("it must be an otpauth://totp/ URL with a base32 secret".into())
        })?;
        let is_supported =
            totp.digits() == 6 && totp.step() == 30 && totp.algorithm() == totp_rs::Algorithm::SHA1;
        if !is_supported {
            return Err(TotpError(
                "it must specify six digits, 30 seconds and SHA-1, as AWS does".into(),
            ));
        }
        Ok(Self(Arc::new(totp)))
    }

    /// Returns the code at this time.
    pub(crate) fn code_at(&self, time: SystemTime) -> String {
        self.0.generate(seconds(time)).to_string()
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Totp").field(&"** redacted **").finish()
    }
}

impl ProvideMfaCode for Totp {
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        Box::pin(async move {
            let now = request.time.now();
            if let MfaReason::Refused(_) | MfaReason::AlreadyUsed = request.reason {
                let next = UNIX_EPOCH + Duration::from_secs(self.0.next_step(seconds(now)));
                let wait = next.duration_since(now).unwrap_or_default();
                request.sleep.sleep(wait).await;
                return Ok(self.code_at(next));
            }
            Ok(self.code_at(now))
        })
    }

    fn is_interactive(&self) -> bool {
        false
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238's secret, `12345678901234567890`.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_the_last_six_digits_of_the_test_vectors_in_rfc_6238() {
        let totp = Totp::from_secret(SECRET).unwrap();
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(totp.code_at(UNIX_EPOCH + Duration::from_secs(time)), code);
        }
    }

    #[test]
    fn a_secret_is_taken_as_people_have_it_and_never_shown() {
        let at = UNIX_EPOCH + Duration::from_secs(59);
        let url = format!("otpauth://totp/AWS:ada@111111111111?secret={SECRET}&issuer=AWS");
        let spaced = "gezd gnbv gy3t qojq-gezd gnbv gy3t qojq====";
        for totp in [Totp::from_secret(spaced), Totp::from_url(&url)] {
            let totp = totp.unwrap();
            assert_eq!(totp.code_at(at), "287082");
            assert_eq!(format!("{totp:?}"), "Totp(\"** redacted **\")");
        }
        Totp::from_secret(&SECRET[..16]).unwrap();
        for wrong in ["", "GEZDGNB1", "GEZDGNBVGY3T", "ключ"] {
            let error = Totp::from_secret(wrong).unwrap_err();
            assert!(wrong.is_empty() || !format!("{error} {error:?}").contains(wrong));
        }
        for wrong in [
            "https://example.com",
            "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            "otpauth://totp/x",
            &format!("{url}&digits=8"),
            &format!("{url}&period=60"),
            &format!("{url}&algorithm=SHA256"),
        ] {
            let error = Totp::from_url(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET));
        }
    }
}
