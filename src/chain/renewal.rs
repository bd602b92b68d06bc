//! [`SessionRenewal`]: renews the chain when a service rejects its session, so that the client's own retry
//! succeeds.

use std::fmt;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_types::retry::ErrorKind;

use super::hop::HopCache;

/// The codes by which services say that a session is expired, revoked or unknown.
const REJECTED_SESSION: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
];

/// A retry classifier that renews the chain when a service rejects its session; see
/// [`RoleChain::session_renewal`](crate::RoleChain::session_renewal).
///
/// # Examples
///
/// ```no_run
/// # fn example(chain: aws_role_chain::RoleChain) {
/// let config = aws_sdk_firehose::config::Builder::from(&chain.sdk_config())
///     .retry_classifier(chain.session_renewal())
///     .build();
/// let firehose = aws_sdk_firehose::Client::from_conf(config);
/// # }
/// ```
#[derive(Clone)]
pub struct SessionRenewal(pub(super) HopCache);

impl ClassifyRetry for SessionRenewal {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let is_rejected = context.response().is_some_and(is_session_rejected);
        let access_key_id = context.request().and_then(|request| {
            let authorization = request.headers().get("authorization")?;
            let credential = authorization.split_once("Credential=")?.1;
            credential.split('/').next()
        });
        match access_key_id {
            // A service that rejects a new session, too, is believed.
            Some(id) if is_rejected && self.0.invalidate(id) => {
                RetryAction::retryable_error(ErrorKind::TransientError)
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "session renewal of a role chain"
    }
}

impl fmt::Debug for SessionRenewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionRenewal").finish()
    }
}

/// Reads the error code of a response: from a header or `__type` with the JSON protocols, from `<Code>` with
/// XML.
fn is_session_rejected(response: &HttpResponse) -> bool {
    if response.status().is_success() {
        return false;
    }
    let is_code = |code: &str| {
        let code = code.rsplit('#').next().unwrap_or(code);
        let code = code.split(':').next().unwrap_or(code);
        REJECTED_SESSION.contains(&code)
    };
    if let Some(code) = response.headers().get("x-amzn-errortype") {
        return is_code(code);
    }
    let body = response.body().bytes().unwrap_or_default();
    let Ok(body) = std::str::from_utf8(body) else {
        return false;
    };
    let between = |begin, end| Some(body.split_once(begin)?.1.split_once(end)?.0);
    let json = || body.split_once("\"__type\"")?.1.split('"').nth(1);
    between("<Code>", "</Code>")
        .or_else(json)
        .is_some_and(is_code)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn a_rejected_session_is_known_by_its_code_in_every_protocol() {
        let cases = [
            (
                400,
                None,
                r#"{"__type":"ExpiredTokenException","message":"…"}"#,
                true,
            ),
            (
                400,
                None,
                r#"{ "__type" : "com.amazon#ExpiredTokenException" }"#,
                true,
            ),
            (
                400,
                None,
                r#"{"__type":"com.amazon#UnrecognizedClientException"}"#,
                true,
            ),
            (400, None, "<Error><Code>ExpiredToken</Code></Error>", true),
            (403, None, "<Code>InvalidToken</Code>", true),
            (403, Some("ExpiredTokenException:http://x/"), "", true),
            (403, Some("AccessDeniedException"), "ExpiredToken", false),
            (
                400,
                None,
                r#"{"__type":"ResourceNotFoundException","message":"ExpiredToken"}"#,
                false,
            ),
            (200, None, "<Code>ExpiredToken</Code>", false),
            (400, None, "", false),
            (400, None, r#"{"__type"#, false),
        ];
        for (status, header, body, expected) in cases {
            let status = StatusCode::try_from(status).unwrap();
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            if let Some(header) = header {
                response.headers_mut().insert("x-amzn-errortype", header);
            }
            assert_eq!(
                is_session_rejected(&response),
                expected,
                "{header:?} {body}"
            );
        }
    }
}
