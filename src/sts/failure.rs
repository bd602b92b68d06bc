//! What STS's error codes mean: the one table of codes, and the classification of the SDK's errors.

use std::error::Error as StdError;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;

use crate::error::{BoxError, ErrorKind, Meaning, Operation, Refusal};

/// Rejections of too many calls: the codes of the SDK's own retries.
const THROTTLED: [&str; 14] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Failures that pass. The SDK's signer learns the server's clock, so a skewed clock is cured by the next
/// call.
const TRANSIENT: [&str; 7] = [
    "IDPCommunicationError",
    "InternalFailure",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
];

const BAD_REQUEST: [&str; 3] = [
    "MalformedPolicyDocument",
    "PackedPolicyTooLarge",
    "RegionDisabledException",
];

/// What an error answer of STS's means. Messages are compared leniently: AWS changes their wording.
fn meaning(operation: Operation, code: &str, message: &str, status: u16) -> Meaning {
    let has_token = matches!(
        operation,
        Operation::AssumeRoleWithWebIdentity | Operation::AssumeRoleWithSaml
    );
    match code {
        "ExpiredTokenException" if has_token => Meaning::ExpiredToken,
        // The caller's credentials are renewed by their own source.
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" => {
            Meaning::DeadCaller { transient: true }
        }
        "InvalidClientTokenId" => Meaning::DeadCaller { transient: false },
        "InvalidIdentityToken" if message.contains("retrieve verification key") => {
            Meaning::IdentityProviderUnreachable
        }
        "AccessDenied" if message.contains("invalid MFA one time pass code") => {
            Meaning::WrongMfaCode
        }
        "ValidationError" if message.contains("role chaining") => Meaning::RoleChainingLimit,
        "SignatureDoesNotMatch"
            if message.contains("Signature expired") || message.contains("not yet current") =>
        {
            Meaning::Transient
        }
        _ if BAD_REQUEST.contains(&code) => Meaning::BadRequest,
        _ if THROTTLED.contains(&code) => Meaning::Throttled,
        _ if TRANSIENT.contains(&code) => Meaning::Transient,
        _ if status == 429 => Meaning::Throttled,
        _ if status >= 500 || status == 408 => Meaning::Transient,
        _ => Meaning::Denied,
    }
}

/// Classifies an error of the SDK's. The secrets are taken out of STS's message, which repeats values that
/// break a rule.
pub(super) fn classify<'a, E>(
    operation: Operation,
    error: SdkError<E>,
    secrets: impl IntoIterator<Item = &'a str>,
) -> (ErrorKind, Option<BoxError>)
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let no_answer = |what| ErrorKind::NoAnswer { what };
    let kind = match &error {
        // That of another server, such as the login page of a network.
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => {
            ErrorKind::Unusable {
                what: "what answered does not speak STS".to_owned(),
            }
        }
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let refused = refusal(operation, answer.err(), status, secrets);
            // The SDK's error says no more than that.
            return (ErrorKind::Refused(refused), None);
        }
        SdkError::TimeoutError(_) => no_answer("STS did not answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            no_answer("STS did not answer in time")
        }
        SdkError::DispatchFailure(_) => no_answer("STS could not be called"),
        SdkError::ResponseError(_) => no_answer("STS's answer could not be read"),
        _ => ErrorKind::NotSent,
    };
    (kind, error.into_source().ok())
}

fn refusal<'a>(
    operation: Operation,
    error: &impl ProvideErrorMetadata,
    status: u16,
    secrets: impl IntoIterator<Item = &'a str>,
) -> Refusal {
    let code = match error.code() {
        Some(code) => code.to_owned(),
        None => format!("HTTP {status}"),
    };
    let message = error.message().unwrap_or_default();
    let meaning = meaning(operation, &code, message, status);
    let mut message = error.message().map(str::to_owned);
    if let Some(message) = &mut message {
        for secret in secrets {
            *message = message.replace(secret, "** redacted **");
        }
    }
    Refusal {
        code,
        message,
        request_id: error.meta().request_id().map(str::to_owned),
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_the_same_wherever_they_are_met() {
        use Meaning::*;
        use Operation::{AssumeRole, AssumeRoleWithSaml, AssumeRoleWithWebIdentity};
        let expired = "Signature expired: A is now earlier than B (C - 15 min.)";
        let early = "Signature not yet current: A is still later than B (C + 15 min.)";
        let chaining = "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                        assumed by role chaining.";
        let mfa = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
        let keys = "Couldn't retrieve verification key from your identity provider,  please";
        let cases = [
            (AssumeRole, "AccessDenied", "", 403, Denied),
            (AssumeRole, "AccessDenied", mfa, 403, WrongMfaCode),
            (AssumeRole, "ValidationError", "", 400, Denied),
            (
                AssumeRole,
                "ValidationError",
                chaining,
                400,
                RoleChainingLimit,
            ),
            (
                AssumeRole,
                "ExpiredToken",
                "",
                403,
                DeadCaller { transient: true },
            ),
            (
                AssumeRole,
                "ExpiredTokenException",
                "",
                400,
                DeadCaller { transient: true },
            ),
            (
                AssumeRole,
                "InvalidToken",
                "",
                400,
                DeadCaller { transient: true },
            ),
            (
                AssumeRole,
                "InvalidClientTokenId",
                "",
                403,
                DeadCaller { transient: false },
            ),
            (
                AssumeRoleWithWebIdentity,
                "ExpiredTokenException",
                "",
                400,
                ExpiredToken,
            ),
            (
                AssumeRoleWithSaml,
                "ExpiredTokenException",
                "",
                400,
                ExpiredToken,
            ),
            (
                AssumeRoleWithWebIdentity,
                "InvalidIdentityToken",
                "",
                400,
                Denied,
            ),
            (
                AssumeRoleWithWebIdentity,
                "InvalidIdentityToken",
                keys,
                400,
                IdentityProviderUnreachable,
            ),
            (
                AssumeRoleWithWebIdentity,
                "IDPCommunicationError",
                "",
                400,
                Transient,
            ),
            (AssumeRole, "MalformedPolicyDocument", "", 400, BadRequest),
            (AssumeRole, "PackedPolicyTooLarge", "", 400, BadRequest),
            (AssumeRole, "RegionDisabledException", "", 403, BadRequest),
            (AssumeRole, "SignatureDoesNotMatch", "", 403, Denied),
            (AssumeRole, "SignatureDoesNotMatch", expired, 403, Transient),
            (AssumeRole, "SignatureDoesNotMatch", early, 403, Transient),
            (AssumeRole, "Throttling", "", 400, Throttled),
            (AssumeRole, "SlowDown", "", 503, Throttled),
            (AssumeRole, "LimitExceededException", "", 400, Throttled),
            (AssumeRole, "RequestTimeout", "", 400, Transient),
            (AssumeRole, "HTTP 429", "", 429, Throttled),
            (AssumeRole, "HTTP 500", "", 500, Transient),
            (AssumeRole, "HTTP 408", "", 408, Transient),
            (AssumeRole, "HTTP 302", "", 302, Denied),
        ];
        for (operation, code, message, status, expected) in cases {
            let found = meaning(operation, code, message, status);
            assert_eq!(found, expected, "{operation:?} {code} {message}");
        }
    }
}
