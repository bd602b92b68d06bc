//! The AWS Query protocol, which STS uses: parameters in a form or query, responses in XML, or in JSON if the client
//! accepts it. Errors also in the formats of other services.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_xml::encode::{ScopeWriter, XmlWriter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::timestamp;

/// The namespace of STS's responses.
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The namespace of the response to an unknown action.
const FAULT: &str = "http://webservices.amazon.com/AWSFault/2005-15-09";

/// The maximum size of a request body in bytes.
const BODY_LIMIT: usize = 10_000_000;

/// The parameters of a request. If a parameter occurs twice, STS uses the first value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Arc<HashMap<String, String>>);

impl Parameters {
    /// Reads the query of the URL and, for a POST, the body, unless it is too large.
    pub(crate) fn read(request: &HttpRequest) -> Self {
        let body = match request.body().bytes() {
            Some(body) if request.method() == "POST" && body.len() <= BODY_LIMIT => body,
            _ => &[],
        };
        let mut parameters = HashMap::new();
        for source in [query_of(request).as_bytes(), body] {
            for (name, value) in form_urlencoded::parse(source) {
                parameters
                    .entry(name.into_owned())
                    .or_insert_with(|| value.into_owned());
            }
        }
        Self(Arc::new(parameters))
    }

    /// Returns the value of a parameter.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns a list of strings, sent as `<prefix>.1`, or of structures with an ARN, sent as `<prefix>.1.arn`.
    pub(crate) fn list(&self, prefix: &str) -> Vec<String> {
        let item = |n: usize| {
            let name = format!("{prefix}.{n}");
            self.first(&name)
                .or_else(|| self.first(&format!("{name}.arn")))
        };
        (1..).map_while(item).map(str::to_owned).collect()
    }

    /// Returns a list of structures with two fields, sent as `<prefix>.1.<key>` and `<prefix>.1.<value>`. A missing
    /// field is empty.
    pub(crate) fn pairs(&self, prefix: &str, key: &str, value: &str) -> Vec<(String, String)> {
        let pair = |n: usize| {
            let [key, value] = [key, value].map(|name| self.first(&format!("{prefix}.{n}.{name}")));
            key.or(value)?;
            let [key, value] = [key, value].map(|field| field.unwrap_or_default().to_owned());
            Some((key, value))
        };
        (1..).map_while(pair).collect()
    }
}

/// Returns a parameter's name as in error messages, where it starts with a lower-case letter.
pub(crate) fn lower_first(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_ascii_lowercase() + rest
}

/// Returns the query of a request's URL, without the question mark.
pub(crate) fn query_of(request: &HttpRequest) -> &str {
    let url = request.uri().split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// Returns the response to a request that reaches no operation, because it is too large, is not a form, or names no
/// action.
pub(crate) fn refuse_before_routing(
    request: &HttpRequest,
    parameters: &Parameters,
) -> Option<HttpResponse> {
    if request
        .body()
        .bytes()
        .is_some_and(|body| body.len() > BODY_LIMIT)
    {
        return Some(empty(413));
    }
    if request.method() == "POST" && !is_form(request) || parameters.first("Action").is_none() {
        let mut response = empty(302);
        let headers = response.headers_mut();
        headers.insert("location", "https://aws.amazon.com/iam");
        return Some(response);
    }
    None
}

/// Whether the body of a request is a form, as in the Query protocol.
pub(crate) fn is_form(request: &HttpRequest) -> bool {
    let content_type = request.headers().get("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn empty(status: u16) -> HttpResponse {
    HttpResponse::new(status_of(status), SdkBody::empty())
}

/// The format of STS's responses.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Xml,
    Json,
}

impl Format {
    /// Returns the format that the header `Accept` asks for.
    pub(crate) fn accepted_by(request: &HttpRequest) -> Self {
        let accept = request.headers().get("accept").unwrap_or_default();
        if accept.to_ascii_lowercase().contains("application/json") {
            Self::Json
        } else {
            Self::Xml
        }
    }
}

/// An element of a response.
pub(crate) struct Element {
    name: &'static str,
    content: Content,
}

enum Content {
    /// Text outside of any element of its own.
    Bare(String),
    Text(String),
    Number(u64),
    Time(SystemTime),
    Elements(Vec<Element>),
}

impl Element {
    /// Creates an element that holds text.
    pub(crate) fn text(name: &'static str, text: impl Into<String>) -> Self {
        let content = Content::Text(text.into());
        Self { name, content }
    }

    /// Creates text outside of any element of its own.
    pub(crate) fn bare(text: impl Into<String>) -> Self {
        let content = Content::Bare(text.into());
        Self { name: "", content }
    }

    /// Creates an element that holds a number.
    pub(crate) fn number(name: &'static str, number: u64) -> Self {
        let content = Content::Number(number);
        Self { name, content }
    }

    /// Creates an element that holds a time, to the second.
    pub(crate) fn time(name: &'static str, time: SystemTime) -> Self {
        let content = Content::Time(time);
        Self { name, content }
    }

    /// Creates an element that holds elements.
    pub(crate) fn parent(name: &'static str, children: Vec<Self>) -> Self {
        let content = Content::Elements(children);
        Self { name, content }
    }
}

/// Returns the response of an operation that succeeded with `result`.
pub(crate) fn success(action: &str, result: Vec<Element>, format: Format) -> HttpResponse {
    of_sts(match format {
        Format::Xml => query_success(STS, action, Some(result)),
        Format::Json => {
            let id = Uuid::new_v4().to_string();
            let body = json!({format!("{action}Response"): {
                format!("{action}Result"): to_json(&result),
                "ResponseMetadata": {"RequestId": id},
            }});
            response_with_id(id, 200, "application/json", body.to_string())
        }
    })
}

/// Returns the successful response of a service with the Query protocol. Without a result, it contains only
/// metadata.
pub(crate) fn query_success(
    namespace: &str,
    action: &str,
    result: Option<Vec<Element>>,
) -> HttpResponse {
    let id = Uuid::new_v4().to_string();
    let metadata = vec![Element::text("RequestId", id.as_str())];
    let (response_name, result_name) = (format!("{action}Response"), format!("{action}Result"));
    let body = document(Some(namespace), &response_name, |root| {
        let result = result.map(|result| (&*result_name, result));
        for (name, elements) in result.into_iter().chain([("ResponseMetadata", metadata)]) {
            let mut element = root.start_el(name).finish();
            write(&mut element, &elements);
            element.finish();
        }
    });
    response_with_id(id, 200, "text/xml", body)
}

/// An error response.
#[derive(Clone, Debug)]
pub(crate) struct ErrorResponse {
    status: u16,
    code: String,
    /// Empty if the response has no message.
    message: String,
}

impl ErrorResponse {
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// Creates a `ValidationError`.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// Creates an `InvalidParameterValue`.
    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameterValue", message)
    }

    /// Creates an `AccessDenied`.
    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// Creates an `InvalidIdentityToken`.
    pub(crate) fn invalid_identity_token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidIdentityToken", message)
    }

    /// Returns the error as STS sends it.
    pub(crate) fn into_response(self, format: Format) -> HttpResponse {
        of_sts(self.into_query_response(STS, format))
    }

    /// Returns the error as the service with this namespace sends it.
    pub(crate) fn into_query_response(self, namespace: &str, format: Format) -> HttpResponse {
        let id = Uuid::new_v4().to_string();
        let namespace = match self.code.as_str() {
            "InvalidAction" => FAULT,
            _ => namespace,
        };
        let side = if self.status < 500 {
            "Sender"
        } else {
            "Receiver"
        };
        let mut error = vec![
            Element::text("Type", side),
            Element::text("Code", self.code),
        ];
        if !self.message.is_empty() {
            error.push(Element::text("Message", self.message));
        }
        let elements = [
            Element::parent("Error", error),
            Element::text("RequestId", id.as_str()),
        ];
        let (content_type, body) = match format {
            Format::Xml => {
                let body = document(Some(namespace), "ErrorResponse", |root| {
                    write(root, &elements)
                });
                ("text/xml", body)
            }
            Format::Json => ("application/json", to_json(&elements).to_string()),
        };
        response_with_id(id, self.status, content_type, body)
    }

    /// Returns the error in the format of `service`: XML for S3 and services with the Query protocol, JSON for others.
    pub(crate) fn into_service_response(
        self,
        service: &str,
        request: &HttpRequest,
    ) -> HttpResponse {
        if service == "s3" {
            return self.into_s3_response(request);
        }
        if is_form(request) {
            return self.into_response(Format::Xml);
        }
        let code = match self.code.as_str() {
            "ExpiredToken" => "ExpiredTokenException",
            "IncompleteSignature" => "IncompleteSignatureException",
            "InvalidClientTokenId" => "UnrecognizedClientException",
            "MissingAuthenticationToken" => "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch" => "InvalidSignatureException",
            code => code,
        };
        // Services with the AWS JSON protocol answer 400; REST services answer 403.
        let content_type = request.headers().get("content-type").unwrap_or_default();
        let status = match self.status {
            403 if content_type.starts_with("application/x-amz-json") => 400,
            status => status,
        };
        let body = json!({"__type": code, "message": self.message}).to_string();
        let mut response = response(status, "application/x-amz-json-1.1", body);
        let headers = response.headers_mut();
        headers.insert("x-amzn-errortype", code.to_owned());
        response
    }

    fn into_s3_response(self, request: &HttpRequest) -> HttpResponse {
        let authorization = request.headers().get("authorization");
        let (status, code, message) = match self.code.as_str() {
            "ExpiredToken" => (400, "ExpiredToken", "The provided token has expired."),
            "InvalidClientTokenId" => (
                403,
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
            ),
            "SignatureDoesNotMatch" if self.message.starts_with("Signature ") => (
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            "SignatureDoesNotMatch" => (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check \
                 your key and signing method.",
            ),
            "MissingAuthenticationToken" if is_signed_with_2(request) => (
                400,
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use \
                 AWS4-HMAC-SHA256.",
            ),
            "MissingAuthenticationToken" => match authorization {
                None => (403, "AccessDenied", "Access Denied"),
                Some(_) => (400, "InvalidArgument", "Unsupported Authorization Type"),
            },
            "IncompleteSignature" if authorization.is_some() => (
                400,
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the authorization header requires three \
                 components: Credential, SignedHeaders, and Signature.",
            ),
            "IncompleteSignature" => (
                400,
                "AuthorizationQueryParametersError",
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            ),
            _ => (self.status, &*self.code, &*self.message),
        };
        let id = Uuid::new_v4().to_string();
        let body = xml(
            None,
            "Error",
            &[
                Element::text("Code", code),
                Element::text("Message", message),
                Element::text("RequestId", id.as_str()),
            ],
        );
        response_with_id(id, status, "application/xml", body)
    }
}

/// Whether a request has a Version 2 signature (`AWS <id>:<signature>`), which S3 no longer accepts in most regions.
fn is_signed_with_2(request: &HttpRequest) -> bool {
    let header = request.headers().get("authorization");
    let query: Vec<_> = form_urlencoded::parse(query_of(request).as_bytes()).collect();
    let has = |name: &str| query.iter().any(|(key, _)| key == name);
    header.is_some_and(|header| header.starts_with("AWS "))
        || has("AWSAccessKeyId") && has("Signature") && has("Expires")
}

/// Returns an XML document with these elements in its root element.
pub(crate) fn xml(namespace: Option<&str>, root: &str, elements: &[Element]) -> String {
    document(namespace, root, |root| write(root, elements))
}

fn document(
    namespace: Option<&str>,
    root: &str,
    fill: impl FnOnce(&mut ScopeWriter<'_, '_>),
) -> String {
    let mut xml = String::new();
    let mut writer = XmlWriter::new(&mut xml);
    let mut element = writer.start_el(root);
    if let Some(namespace) = namespace {
        element = element.write_ns(namespace, None);
    }
    let mut element = element.finish();
    fill(&mut element);
    element.finish();
    xml
}

fn write(parent: &mut ScopeWriter<'_, '_>, elements: &[Element]) {
    for element in elements {
        if let Content::Bare(text) = &element.content {
            parent.data(text);
            continue;
        }
        let mut child = parent.start_el(element.name).finish();
        match &element.content {
            Content::Bare(_) => {}
            // XML cannot contain most control characters, even escaped.
            Content::Text(text) => child.data(&text.replace(is_not_xml, "\u{fffd}")),
            Content::Number(number) => child.data(&number.to_string()),
            Content::Time(time) => child.data(&timestamp(*time)),
            Content::Elements(children) => write(&mut child, children),
        }
        child.finish();
    }
}

fn is_not_xml(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Returns elements in STS's JSON format, in which times are numbers of seconds.
fn to_json(elements: &[Element]) -> Value {
    let members = elements.iter().map(|element| {
        let value = match &element.content {
            Content::Bare(text) | Content::Text(text) => text.as_str().into(),
            Content::Number(number) => (*number).into(),
            Content::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                since.as_secs().into()
            }
            Content::Elements(children) => to_json(children),
        };
        (element.name.to_owned(), value)
    });
    Value::Object(members.collect())
}

/// Returns a response with a random request ID in its header.
pub(crate) fn response(status: u16, content_type: &'static str, body: String) -> HttpResponse {
    response_with_id(Uuid::new_v4().to_string(), status, content_type, body)
}

fn response_with_id(
    id: String,
    status: u16,
    content_type: &'static str,
    body: String,
) -> HttpResponse {
    let mut response = HttpResponse::new(status_of(status), SdkBody::from(body));
    response.headers_mut().insert("content-type", content_type);
    response.headers_mut().insert("x-amzn-requestid", id);
    response
}

/// Adds a second request ID, which only STS sends.
fn of_sts(mut response: HttpResponse) -> HttpResponse {
    let id = Uuid::new_v4().simple().to_string();
    response
        .headers_mut()
        .insert("x-amz-sts-extended-request-id", id);
    response
}

fn status_of(status: u16) -> StatusCode {
    // A fault may have a status that is invalid in HTTP; it is replaced by 500, which is valid.
    StatusCode::try_from(status).unwrap_or_else(|_| 500.try_into().expect("a status"))
}
