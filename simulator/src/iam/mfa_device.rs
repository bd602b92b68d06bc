//! Virtual MFA devices: their codes, each of which STS accepts once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::validation::IamError;

/// How long a device shows a code, in seconds.
const STEP: u64 = 30;

/// A virtual MFA device of a user.
pub(crate) struct MfaDevice {
    user_arn: String,
    totp: totp_rs::Totp,
    /// The number of the latest 30-second step whose code was accepted.
    last_step: u64,
}

impl MfaDevice {
    /// Creates a device from its base32 secret. `serial` is only for the error.
    pub(super) fn new(user_arn: &str, serial: &str, base32: &str) -> Result<Self, IamError> {
        Self::from_secret(user_arn, base32).ok_or_else(|| {
            let rule = "the device's secret must be base32 text of at least 16 characters";
            IamError::validation(serial, rule)
        })
    }

    /// Creates a device from its base32 secret; `None` if the secret is invalid. As in the AWS CLI and authenticator
    /// apps, spaces, dashes and case are ignored.
    pub(crate) fn from_secret(user_arn: &str, base32: &str) -> Option<Self> {
        let base32: String = base32
            .chars()
            .filter(|c| !c.is_whitespace() && !"-=".contains(*c))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let secret = totp_rs::Secret::try_from_base32(&*base32).ok()?;
        if secret.as_bytes().len() < 10 {
            return None;
        }
        Some(Self {
            user_arn: user_arn.to_owned(),
            // "Noncompliant" allows secrets of fewer than 16 bytes, which some device makers issue.
            totp: totp_rs::Builder::new()
                .with_secret(secret)
                .build_noncompliant(),
            last_step: 0,
        })
    }

    /// Returns the ARN of the device's user.
    pub(crate) fn user_arn(&self) -> &str {
        &self.user_arn
    }

    pub(super) fn rename_user(&mut self, old: &str, new: &str) {
        if self.user_arn == old {
            new.clone_into(&mut self.user_arn);
        }
    }

    /// Returns the code that the device shows at `time`.
    pub(crate) fn code_at(&self, time: SystemTime) -> String {
        self.code_of(step_at(time))
    }

    /// Accepts the code of the current step or an adjacent one, unless that step is not later than the last accepted
    /// one: STS accepts each code once.
    pub(crate) fn accept(&mut self, code: &str, now: SystemTime) -> bool {
        let step = step_at(now);
        let matching = (step.saturating_sub(1)..=step + 1)
            .find(|step| *step > self.last_step && self.code_of(*step) == code);
        if let Some(step) = matching {
            self.last_step = step;
        }
        matching.is_some()
    }

    fn code_of(&self, step: u64) -> String {
        self.totp.generate(step * STEP).to_string()
    }
}

fn step_at(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
        / STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238's secret, `12345678901234567890`.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn codes_are_the_last_six_digits_of_the_test_vectors_in_rfc_6238() {
        let device = MfaDevice::from_secret("ada", SECRET).unwrap();
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804")] {
            assert_eq!(device.code_at(at(seconds)), code);
        }
    }

    #[test]
    fn a_code_is_accepted_once_and_only_within_a_step_of_its_own() {
        let mut device = MfaDevice::from_secret("ada", SECRET).unwrap();
        let code = device.code_at(at(600));
        assert!(!device.accept(&code, at(660)));
        assert!(device.accept(&code, at(630)));
        assert!(!device.accept(&code, at(630)));
        assert!(!device.accept(&device.code_at(at(570)), at(600)));
        assert!(device.accept(&device.code_at(at(630)), at(600)));
    }

    #[test]
    fn spaces_and_case_of_a_secret_do_not_matter_and_other_text_is_none() {
        let spaced = "gezd gnbv gy3t qojq-gezd gnbv gy3t qojq";
        let device = MfaDevice::from_secret("ada", spaced).unwrap();
        assert_eq!(device.code_at(at(59)), "287082");
        for wrong in ["", "GEZDGNB1", "GEZDGNBVGY3T"] {
            assert!(MfaDevice::from_secret("ada", wrong).is_none());
        }
    }
}
