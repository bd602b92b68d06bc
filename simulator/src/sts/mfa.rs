//! The MFA parameters of AssumeRole and GetSessionToken: `SerialNumber` and `TokenCode`.

use std::time::SystemTime;

use super::constraints::{MFA_CODE, MFA_SERIAL, Reader};
use crate::iam::{Accounts, Caller, MfaDevice};
use crate::protocol::ErrorResponse;

/// The MFA parameters of a request.
pub(super) struct Mfa<'a> {
    serial: Option<&'a str>,
    code: Option<&'a str>,
}

/// Reads the parameters.
pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Mfa<'a> {
    Mfa {
        serial: reader.optional("SerialNumber", &MFA_SERIAL),
        code: reader.optional("TokenCode", &MFA_CODE),
    }
}

impl Mfa<'_> {
    /// Checks the code, which must come from one of the caller's devices. Returns whether the request has a code.
    pub(super) fn check(
        &self,
        accounts: &mut Accounts,
        caller: &Caller,
        now: SystemTime,
    ) -> Result<bool, ErrorResponse> {
        let denied = |message| Err(ErrorResponse::access_denied(message));
        let (serial, code) = match (self.serial, self.code) {
            (None, None) => return Ok(false),
            (Some(serial), Some(code)) => (serial, code),
            _ => {
                return denied(
                    "MultiFactorAuthentication failed, must provide both MFA serial number and one \
                     time pass code",
                );
            }
        };
        let is_own = |device: &&mut MfaDevice| {
            caller.session().is_none() && device.user_arn() == caller.arn()
        };
        let Some(device) = accounts.mfa_devices.get_mut(serial).filter(is_own) else {
            return denied(
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your \
                 MFA serial number is valid and associated with this user.",
            );
        };
        if device.accept(code, now) {
            Ok(true)
        } else {
            denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
        }
    }
}
