//! What STS's error codes mean, and the classification of the SDK's errors.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::secrets::Secrets;
use crate::error::{ErrorKind, Meaning, Operation, Refusal};

/// The codes that mean throttling, as in the SDK's own retries.
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

/// The codes of transient failures. A skewed clock is one of them: the SDK's signer learns the server's time, so the
/// next call is signed with it.
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

/// The codes that this module distinguishes.
pub(super) fn codes<'a>() -> impl Iterator<Item = &'a str> {
    let codes = THROTTLED.into_iter().chain(TRANSIENT).chain(BAD_REQUEST);
    codes.chain([
        "ExpiredTokenException",
        "InvalidToken",
        "InvalidClientTokenId",
    ])
}

fn is_throttled(code: &str, status: u16) -> bool {
    status == 429 || THROTTLED.contains(&code)
}

/// Classifies an error response of STS. Messages are compared leniently, because AWS changes their wording.
fn meaning(operation: Operation, code: &str, message: &str, status: u16) -> Meaning {
    match code {
        "ExpiredTokenException" if operation.has_token() => Meaning::ExpiredToken,
        // Transient, because the source of the caller's credentials renews them.
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" => {
            Meaning::InvalidCredentials { transient: true }
        }
        "InvalidClientTokenId" => Meaning::InvalidCredentials { transient: false },
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
            Meaning::ClockSkew
        }
        _ if BAD_REQUEST.contains(&code) => Meaning::BadRequest,
        _ if is_throttled(code, status) => Meaning::Throttled,
        _ if TRANSIENT.contains(&code) => Meaning::Transient,
        _ if status >= 500 || status == 408 => Meaning::Transient,
        _ => Meaning::Denied,
    }
}

/// Keeps the SDK from retrying a throttled call itself, with a back-off that ignores all other calls: instead, the call
/// waits for the region's limiter again.
pub(super) struct ThrottlingIsNotRetried<E>(pub(super) PhantomData<fn() -> E>);

impl<E> ClassifyRetry for ThrottlingIsNotRetried<E>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(|result| result.err());
        let error = error.and_then(OrchestratorError::as_operation_error);
        let error = error.and_then(|error| error.downcast_ref::<E>());
        let status = context
            .response()
            .map_or(0, |response| response.status().as_u16());
        let code = error.and_then(E::code).unwrap_or_default();
        if is_throttled(code, status) {
            return RetryAction::RetryForbidden;
        }
        RetryAction::NoActionIndicated
    }

    fn name(&self) -> &'static str {
        "throttling is not retried"
    }
}

impl<E> fmt::Debug for ThrottlingIsNotRetried<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(stringify!(ThrottlingIsNotRetried))
    }
}

/// What an error may say about the failed call, and what it must not.
pub(super) struct FailedCall {
    pub(super) operation: Operation,
    /// Where the call went, for error messages.
    pub(super) destination: String,
    pub(super) secrets: Secrets,
}

impl FailedCall {
    /// Classifies an error of the SDK. The error is not kept as a source, because it may quote the request: it is
    /// described in other words. Of its text, only the cause of a failed connection is repeated, with secrets masked.
    pub(super) fn classify(&self, error: &SdkError<impl ProvideErrorMetadata>) -> ErrorKind {
        let destination = &self.destination;
        let no_answer = |what| ErrorKind::NoAnswer { what };
        match error {
            // The response of another server, such as a network's login page.
            SdkError::ServiceError(answer) if answer.raw().status().is_success() => {
                ErrorKind::Unusable {
                    what: format!("the server that answered {destination} is not STS"),
                }
            }
            SdkError::ServiceError(answer) => {
                ErrorKind::Refused(self.refusal(answer.err(), answer.raw()))
            }
            SdkError::DispatchFailure(failure) if !failure.is_timeout() => {
                let cause =
                    cause_of(failure).map(|cause| format!(": {}", self.secrets.mask(&cause)));
                let cause = cause.unwrap_or_default();
                no_answer(format!("STS could not be called {destination}{cause}"))
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                no_answer(format!("STS did not answer in time {destination}"))
            }
            SdkError::ResponseError(_) => {
                no_answer(format!("STS's response could not be read {destination}"))
            }
            _ => ErrorKind::NotSent {
                destination: destination.clone(),
            },
        }
    }

    fn refusal(&self, error: &impl ProvideErrorMetadata, answer: &HttpResponse) -> Refusal {
        let status = answer.status().as_u16();
        let code = match error.code() {
            Some(code) => code.to_owned(),
            None => format!("HTTP {status}"),
        };
        let message = error.message();
        Refusal {
            meaning: meaning(self.operation, &code, message.unwrap_or_default(), status),
            code,
            message: message.map(str::to_owned),
            // From the response, because the error has none if the body could not be parsed. Its headers are not masked.
            request_id: answer.request_id().map(|id| self.secrets.mask(id)),
        }
    }
}

/// The reason why no connection was made.
fn cause_of(failure: &DispatchFailure) -> Option<String> {
    let cause = failure.as_connector_error()?.source()?;
    Some(chain_of_causes(cause))
}

/// Formats an error and its causes on one line. A cause that an earlier error repeats is left out.
fn chain_of_causes(error: &(dyn StdError + 'static)) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !causes.iter().any(|earlier| earlier.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    causes.join(": ")
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
                InvalidCredentials { transient: true },
            ),
            (
                AssumeRole,
                "ExpiredTokenException",
                "",
                400,
                InvalidCredentials { transient: true },
            ),
            (
                AssumeRole,
                "InvalidToken",
                "",
                400,
                InvalidCredentials { transient: true },
            ),
            (
                AssumeRole,
                "InvalidClientTokenId",
                "",
                403,
                InvalidCredentials { transient: false },
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
            (AssumeRole, "SignatureDoesNotMatch", expired, 403, ClockSkew),
            (AssumeRole, "SignatureDoesNotMatch", early, 403, ClockSkew),
            (AssumeRole, "Throttling", "", 400, Throttled),
            (AssumeRole, "SlowDown", "", 503, Throttled),
            (AssumeRole, "LimitExceededException", "", 400, Throttled),
            (AssumeRole, "RequestTimeout", "", 400, Transient),
            (AssumeRole, "HTTP 429", "", 429, Throttled),
            (AssumeRole, "ServiceUnavailable", "", 429, Throttled),
            (AssumeRole, "HTTP 500", "", 500, Transient),
            (AssumeRole, "HTTP 408", "", 408, Transient),
            (AssumeRole, "HTTP 302", "", 302, Denied),
        ];
        for (operation, code, message, status, expected) in cases {
            let found = meaning(operation, code, message, status);
            assert_eq!(found, expected, "{operation:?} {code} {message}");
            // A secret with the same text must not change it.
            let mut words = super::super::advice::words().chain(codes());
            let is_kept = words.any(|word| word.contains(code)) || code.starts_with("HTTP");
            assert!(is_kept, "{code}");
        }
    }
}
