//! What each start promises whose request is not that of a role: a row for each, which `tests/it/starts.rs` tests. The
//! unit tests of `src/chain/mod.rs` check that no operation is missing.

use std::time::Duration;

use aws_role_chain::{Error, MfaRequest, RoleChain, SessionTokenRequest};
use aws_types::SdkConfig;

type Start = fn(&SdkConfig) -> Result<RoleChain, Error>;

pub struct Contract {
    pub operation: &'static str,
    /// A start with every parameter set, the region to eu-central-1, and this MFA device if it has one.
    pub full: fn(&SdkConfig, &str) -> Result<RoleChain, Error>,
    /// What STS receives then; `{device}` is the device.
    pub sent: &'static [(&'static str, &'static str)],
    /// What a diagnosis shows, in addition to the region and the duration.
    pub reported: &'static [(&'static str, &'static str)],
    /// Starts without MFA, and how long their credentials last.
    pub lifetimes: [(Start, Duration); 2],
    /// The ARN of the session, if STS returns one.
    pub session_arn: Option<&'static str>,
    /// Starts that are rejected, and the parameter that is invalid.
    pub invalid: &'static [(Start, &'static str)],
    /// Whether STS accepts the call from an IAM user only.
    pub needs_long_term_keys: bool,
}

pub const CONTRACTS: [Contract; 1] = [Contract {
    operation: "GetSessionToken",
    full: |base, device| {
        let code = |_: MfaRequest| async { Ok::<_, std::io::Error>("123456".to_owned()) };
        let request = SessionTokenRequest::new()
            .mfa(device, code)
            .duration(Duration::from_secs(1800))
            .region("eu-central-1");
        RoleChain::from_session_token(base, request)
    },
    sent: &[
        ("SerialNumber", "{device}"),
        ("TokenCode", "123456"),
        ("DurationSeconds", "1800"),
    ],
    reported: &[("MFA device", "{device}")],
    lifetimes: [
        (
            |base| RoleChain::from_session_token(base, SessionTokenRequest::new()),
            Duration::from_secs(43_200),
        ),
        (
            |base| {
                let request = SessionTokenRequest::new().duration(Duration::from_secs(900));
                RoleChain::from_session_token(base, request)
            },
            Duration::from_secs(900),
        ),
    ],
    session_arn: None,
    invalid: &[
        (
            |base| {
                let request = SessionTokenRequest::new().duration(Duration::from_secs(899));
                RoleChain::from_session_token(base, request)
            },
            "duration",
        ),
        (
            |base| {
                let request = SessionTokenRequest::new().region("eu central");
                RoleChain::from_session_token(base, request)
            },
            "region",
        ),
        (
            |base| {
                let code = |_: MfaRequest| async { Ok::<_, std::io::Error>("123456".to_owned()) };
                let request = SessionTokenRequest::new().mfa("a device", code);
                RoleChain::from_session_token(base, request)
            },
            "mfa",
        ),
    ],
    needs_long_term_keys: true,
}];
