//! reqwest requests that are signed with the credentials of a chain, for services without a client in the SDK, such as
//! OpenSearch or your own API behind API Gateway.

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::RoleChain;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use reqwest::Request;
use reqwest::header::{HeaderName, HeaderValue};

/// Signs a request to a service: `execute-api` for API Gateway, `es` or `aoss` for OpenSearch. The request must not be
/// changed afterwards. Sign again before each retry, because a signature is valid for five minutes only.
pub async fn sign_request(
    request: &mut Request,
    chain: &RoleChain,
    region: &str,
    service: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let identity = chain.provide_credentials().await?.into();
    let mut settings = SigningSettings::default();
    // Also sends the body's hash as a header, which OpenSearch Serverless requires and other services accept.
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()?
        .into();

    let body = match request.body() {
        Some(body) => body
            .as_bytes()
            .ok_or("the body is a stream, which cannot be hashed")?,
        None => &[],
    };
    let mut headers = Vec::new();
    for (name, value) in request.headers() {
        headers.push((name.as_str(), value.to_str()?));
    }
    let (method, url) = (request.method().as_str(), request.url().as_str());
    let signable =
        SignableRequest::new(method, url, headers.into_iter(), SignableBody::Bytes(body))?;
    let (signed, _) = sign(signable, &params)?.into_parts();

    for (name, value) in signed.headers() {
        let mut value = HeaderValue::from_str(value)?;
        value.set_sensitive(true);
        request
            .headers_mut()
            .insert(HeaderName::try_from(name)?, value);
    }
    Ok(())
}
