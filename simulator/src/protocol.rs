//! The AWS Query protocol, which STS speaks: parameters of a form in, XML out. Errors also as the JSON
//! protocols send them, for the services that a test adds.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_xml::encode::{ScopeWriter, XmlWriter};
use uuid::Uuid;

/// The namespace of STS's answers.
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The parameters of a request. If one is given twice, STS uses the first.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the body of a request.
    pub(crate) fn read(request: &HttpRequest) -> Self {
        let body = request.body().bytes().unwrap_or_default();
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// Returns the value of a parameter.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(n, _)| n == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// Returns a list of scalars, sent as `<prefix>.1`, or of structures with an ARN, sent as `<prefix>.1.arn`.
    pub(crate) fn list(&self, prefix: &str) -> Vec<String> {
        let item = |n: usize| {
            let name = format!("{prefix}.{n}");
            self.first(&name)
                .or_else(|| self.first(&format!("{name}.arn")))
        };
        (1..).map_while(item).map(str::to_owned).collect()
    }

    /// Returns a list of structures with two fields, sent as `<prefix>.1.<key>` and `<prefix>.1.<value>`.
    pub(crate) fn pairs(&self, prefix: &str, key: &str, value: &str) -> Vec<(String, String)> {
        let pair = |n: usize| {
            let key = self.first(&format!("{prefix}.{n}.{key}"))?;
            let value = self
                .first(&format!("{prefix}.{n}.{value}"))
                .unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        (1..).map_while(pair).collect()
    }
}

/// An XML element of a response.
pub(crate) struct Element {
    name: &'static str,
    content: Content,
}

enum Content {
    /// Text without an element around it.
    Bare(String),
    Text(String),
    Elements(Vec<Element>),
}

impl Element {
    /// Creates an element that holds text.
    pub(crate) fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            content: Content::Text(text.into()),
        }
    }

    /// Creates text that is in no element of its own.
    pub(crate) fn bare(text: impl Into<String>) -> Self {
        Self {
            name: "",
            content: Content::Bare(text.into()),
        }
    }

    /// Creates an element that holds elements.
    pub(crate) fn parent(name: &'static str, children: Vec<Self>) -> Self {
        Self {
            name,
            content: Content::Elements(children),
        }
    }
}

/// Returns the response of an operation that succeeded with `result`.
pub(crate) fn success(action: &str, result: &[Element]) -> HttpResponse {
    success_in(STS, action, Some(result))
}

/// Returns the response of an operation of the service with this namespace. Without a result, it has metadata
/// only.
pub(crate) fn success_in(
    namespace: &str,
    action: &str,
    result: Option<&[Element]>,
) -> HttpResponse {
    let id = Uuid::new_v4().to_string();
    let metadata = Element::parent(
        "ResponseMetadata",
        vec![Element::text("RequestId", id.as_str())],
    );
    let (response_name, result_name) = (format!("{action}Response"), format!("{action}Result"));
    let body = document(Some(namespace), &response_name, |root| {
        if let Some(result) = result {
            let mut element = root.start_el(&result_name).finish();
            write(&mut element, result);
            element.finish();
        }
        write(root, &[metadata]);
    });
    response(200, "text/xml", id, body)
}

/// An error of STS.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
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

    /// Creates an `AccessDenied`.
    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// Creates an `InvalidIdentityToken`.
    pub(crate) fn invalid_identity_token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidIdentityToken", message)
    }

    /// Returns the error in XML, as STS sends it.
    pub(crate) fn into_response(self) -> HttpResponse {
        self.into_response_in(STS)
    }

    /// Returns the error in XML, as the service with this namespace sends it.
    pub(crate) fn into_response_in(self, namespace: &str) -> HttpResponse {
        let id = Uuid::new_v4().to_string();
        let elements = [
            Element::parent(
                "Error",
                vec![
                    Element::text("Type", "Sender"),
                    Element::text("Code", self.code),
                    Element::text("Message", self.message),
                ],
            ),
            Element::text("RequestId", id.as_str()),
        ];
        let body = xml(Some(namespace), "ErrorResponse", &elements);
        response(self.status, "text/xml", id, body)
    }

    /// Returns the error in JSON, with the codes that services with a JSON protocol use.
    pub(crate) fn into_json_response(self) -> HttpResponse {
        let code = match self.code.as_str() {
            "ExpiredToken" => "ExpiredTokenException",
            "InvalidClientTokenId" => "UnrecognizedClientException",
            "SignatureDoesNotMatch" => "InvalidSignatureException",
            code => code,
        };
        let body = serde_json::json!({"__type": code, "message": self.message});
        response(
            self.status,
            "application/x-amz-json-1.1",
            Uuid::new_v4().to_string(),
            body.to_string(),
        )
    }
}

/// Returns an XML document with these elements in its root.
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
            Content::Text(text) => child.data(text),
            Content::Elements(children) => write(&mut child, children),
        }
        child.finish();
    }
}

pub(crate) fn response(
    status: u16,
    content_type: &'static str,
    id: String,
    body: String,
) -> HttpResponse {
    // A fault may have a status that HTTP does not have; then 500, which is one, takes its place.
    let status = StatusCode::try_from(status).unwrap_or_else(|_| 500.try_into().expect("a status"));
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", content_type);
    response.headers_mut().insert("x-amzn-requestid", id);
    response
}
