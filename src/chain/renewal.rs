//! [`SessionRenewal`]: renews the chain's session when a service rejects it, so that the client's own retry succeeds.

use std::fmt;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut, InterceptorContext,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::retry::ErrorKind;

use super::hop::HopCache;

/// The error codes with which services reject a session that is expired, revoked or unknown.
const REJECTED_SESSION: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
];

/// The interceptor adds this header to the response to tell the classifier that a new session will be loaded.
const RENEWED: &str = "x-aws-role-chain-renewed";

/// An interceptor and retry classifier that renews the chain's session when a service rejects it; see
/// [`RoleChain::session_renewal`](crate::RoleChain::session_renewal).
///
/// # Examples
///
/// ```no_run
/// # fn example(chain: aws_role_chain::RoleChain) {
/// let renewal = chain.session_renewal();
/// let config = aws_sdk_firehose::config::Builder::from(&chain.sdk_config())
///     .interceptor(renewal.clone()).retry_classifier(renewal)
///     .build();
/// let firehose = aws_sdk_firehose::Client::from_conf(config);
/// # }
/// ```
#[derive(Clone)]
pub struct SessionRenewal(pub(super) HopCache);

/// The access key ID that signed an attempt, if it belongs to the chain.
#[derive(Debug)]
struct SignedBy(String);

impl Storable for SignedBy {
    type Storer = StoreReplace<Self>;
}

impl Intercept for SessionRenewal {
    fn name(&self) -> &'static str {
        "session renewal of a role chain"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let authorization = context.request().headers().get("authorization");
        let credential = authorization.and_then(|text| text.split_once("Credential="));
        let key = credential.and_then(|(_, credential)| credential.split('/').next());
        // The operation may have another provider. A new session of the chain would then not help.
        if let Some(key) = key
            && self.0.is_cached(key)
        {
            config
                .interceptor_state()
                .store_put(SignedBy(key.to_owned()));
        }
        Ok(())
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // `invalidate` returns `false` for a session that STS has just issued: the service would reject another one
        // too.
        if let Some(response) = context.response_mut()
            && is_session_rejected(response)
            && let Some(SignedBy(key)) = config.load::<SignedBy>()
            && self.0.invalidate(key)
        {
            response.headers_mut().insert(RENEWED, "true");
        }
        Ok(())
    }
}

impl ClassifyRetry for SessionRenewal {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let response = context.response();
        if response.is_some_and(|response| response.headers().contains_key(RENEWED)) {
            return RetryAction::retryable_error(ErrorKind::TransientError);
        }
        RetryAction::NoActionIndicated
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

/// Returns whether a response rejects the session, by its error code: in a header or `__type` for the JSON protocols,
/// in `__type` for CBOR, in `<Code>` for XML.
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
    if let Some(code) = cbor_code(body) {
        return is_code(code);
    }
    let Ok(body) = std::str::from_utf8(body) else {
        return false;
    };
    let between = |begin, end| Some(body.split_once(begin)?.1.split_once(end)?.0);
    let json = || body.split_once("\"__type\"")?.1.split('"').nth(1);
    between("<Code>", "</Code>")
        .or_else(json)
        .is_some_and(is_code)
}

/// Returns the text after the key `__type` in CBOR, which encodes each text's length before it.
fn cbor_code(body: &[u8]) -> Option<&str> {
    let key = b"\x66__type";
    let at = body.windows(key.len()).position(|part| part == key)?;
    let (len, text) = match &body[at + key.len()..] {
        [short @ 0x60..=0x77, text @ ..] => (short - 0x60, text),
        [0x78, len, text @ ..] => (*len, text),
        _ => return None,
    };
    std::str::from_utf8(text.get(..len.into())?).ok()
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

    /// CloudWatch's format: a map of texts.
    #[test]
    fn a_rejected_session_is_known_in_cbor_too() {
        let text = |text: &str| match text.len() {
            len @ 0..24 => [&[0x60 + len as u8], text.as_bytes()].concat(),
            len => [&[0x78, len as u8], text.as_bytes()].concat(),
        };
        for (code, expected) in [
            ("ExpiredToken", true),
            ("com.amazon.coral.service#ExpiredTokenException", true),
            ("com.amazonaws.cloudwatch#ResourceNotFoundException", false),
        ] {
            let parts = ["message", "é ExpiredToken", "__type", code]
                .map(text)
                .concat();
            let body = [&[0xbf], &*parts, &[0xff]].concat();
            for len in 0..body.len() {
                let status = StatusCode::try_from(400).unwrap();
                let is_rejected = |body: &[u8]| {
                    is_session_rejected(&HttpResponse::new(status, SdkBody::from(body)))
                };
                assert_eq!(is_rejected(&body), expected, "{code}");
                assert!(
                    !is_rejected(&body[..len]) || len == body.len() - 1,
                    "{code}: {len}"
                );
            }
        }
    }
}
