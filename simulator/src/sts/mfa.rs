//! The MFA parameters of AssumeRole and GetSessionToken: `SerialNumber` and `TokenCode`.

use std::time::SystemTime;

use super::constraints::{MFA_CODE, MFA_SERIAL, Violations};
use crate::iam::{Accounts, Caller, MfaDevice};
use crate::protocol::{ErrorResponse, Parameters};

/// Checks the code, which must come from a device of the caller. Returns whether the request has one.
pub(super) fn check(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<bool, ErrorResponse> {
    let denied = |message| Err(ErrorResponse::access_denied(message));
    let (serial, code) = match (
        parameters.first("SerialNumber"),
        parameters.first("TokenCode"),
    ) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        _ => {
            return denied(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one \
                 time pass code",
            );
        }
    };
    let mut violations = Violations::default();
    violations.check_text("TokenCode", code, 6..=6, Some(&MFA_CODE));
    violations.check_text("SerialNumber", serial, 9..=256, Some(&MFA_SERIAL));
    violations.reject()?;
    let is_own =
        |device: &&mut MfaDevice| caller.session().is_none() && device.user_arn() == caller.arn();
    let Some(device) = accounts.mfa_device_mut(serial).filter(is_own) else {
        return denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
             serial number is valid and associated with this user.",
        );
    };
    if device.accept(code, now) {
        Ok(true)
    } else {
        denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
    }
}
