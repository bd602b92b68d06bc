//! Raw requests, signed by the SDK's signer, and raw responses.

#![allow(dead_code)] // Each test binary uses its part.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use sts_simulator::Simulator;

pub const STS: &str = "https://sts.eu-west-1.amazonaws.com/";

/// A response: status, headers and body.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub response: HttpResponse,
    pub body: String,
}

impl Reply {
    /// Returns the text of the first XML element with this name; empty if there is none.
    pub fn element(&self, name: &str) -> &str {
        let text = || {
            let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
        };
        text().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)
    }

    /// Returns status, code and message.
    pub fn error(&self) -> (u16, String, String) {
        let message = self
            .element("Message")
            .replace("&apos;", "'")
            .replace("&#x27;", "'")
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        (self.status, self.element("Code").to_owned(), message)
    }

    /// Returns the credentials that STS issued.
    pub fn credentials(&self) -> Credentials {
        assert_eq!(self.status, 200, "{}", self.body);
        Credentials::new(
            self.element("AccessKeyId"),
            self.element("SecretAccessKey"),
            Some(self.element("SessionToken").to_owned()),
            None,
            "test",
        )
    }
}

/// Encodes parameters. Adds the version unless it is given.
pub fn form(parameters: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters);
    if !parameters.iter().any(|(name, _)| *name == "Version") {
        form.append_pair("Version", "2011-06-15");
    }
    form.finish()
}

/// Returns an unsigned request.
pub fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<SdkBody>,
) -> HttpRequest {
    let mut request = HttpRequest::new(body.into());
    request.set_method(method).unwrap();
    request.set_uri(url).unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append((*name).to_owned(), (*value).to_owned());
    }
    request
}

/// Returns an unsigned POST of a form.
pub fn post(url: &str, body: impl Into<SdkBody>) -> HttpRequest {
    let form = (
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    request("POST", url, &[form], body)
}

/// Signs requests with these credentials, scope and time.
#[derive(Clone)]
pub struct Signer {
    pub keys: Credentials,
    pub region: &'static str,
    pub service: &'static str,
    pub time: SystemTime,
}

impl Signer {
    pub fn new(aws: &Simulator, keys: &Credentials) -> Self {
        Self {
            keys: keys.clone(),
            region: "eu-west-1",
            service: "sts",
            time: aws.clock().now(),
        }
    }

    pub fn sign(&self, request: HttpRequest) -> HttpRequest {
        self.sign_with(request, SigningSettings::default())
    }

    /// Signs in the query of the URL.
    pub fn presign(&self, request: HttpRequest) -> HttpRequest {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(std::time::Duration::from_secs(60));
        self.sign_with(request, settings)
    }

    pub fn sign_with(&self, mut request: HttpRequest, settings: SigningSettings) -> HttpRequest {
        let identity = self.keys.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let signable = SignableRequest::new(
            request.method(),
            request.uri(),
            request.headers().iter(),
            match request.headers().get("x-amz-content-sha256") {
                Some(hash) => SignableBody::Precomputed(hash.to_owned()),
                None => SignableBody::Bytes(request.body().bytes().unwrap()),
            },
        )
        .unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let (headers, query) = instructions.into_parts();
        for header in headers {
            request
                .headers_mut()
                .insert(header.name().to_owned(), header.value().to_owned());
        }
        if !query.is_empty() {
            let query = query.iter().fold(String::new(), |query, (name, value)| {
                let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                format!("{query}&{name}={value}")
            });
            let url = request.uri().to_owned();
            let separator = if url.contains('?') { "" } else { "?" };
            request.set_uri(format!("{url}{separator}{query}")).unwrap();
        }
        request
    }
}

/// Sends a request unchanged.
pub async fn try_send(aws: &Simulator, request: HttpRequest) -> Result<Reply, ConnectorError> {
    let response = aws.call(request).await?;
    Ok(Reply {
        status: response.status().as_u16(),
        // A truncated body has no bytes.
        body: String::from_utf8_lossy(response.body().bytes().unwrap_or_default()).into_owned(),
        response,
    })
}

pub async fn send(aws: &Simulator, request: HttpRequest) -> Reply {
    try_send(aws, request).await.unwrap()
}

/// Calls STS with these parameters, signed.
pub async fn call(aws: &Simulator, keys: &Credentials, parameters: &[(&str, &str)]) -> Reply {
    let request = post(STS, form(parameters));
    send(aws, Signer::new(aws, keys).sign(request)).await
}

/// Calls STS with these parameters, not signed.
pub async fn call_unsigned(aws: &Simulator, parameters: &[(&str, &str)]) -> Reply {
    send(aws, post(STS, form(parameters))).await
}

#[track_caller]
pub fn assert_refused(row: &str, reply: &Reply, status: u16, code: &str, message: &str) {
    let (found_status, found_code, found) = reply.error();
    assert_eq!(
        (found_status, &*found_code),
        (status, code),
        "{row}: {found}"
    );
    // An ellipsis stands for a variable part of the message.
    match message.split_once('…') {
        None => assert_eq!(found, message, "{row}"),
        Some((start, end)) => assert!(
            found.starts_with(start) && found.ends_with(end),
            "{row}: {found}"
        ),
    }
}
