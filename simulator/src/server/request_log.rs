//! [`RequestLog`]: the log entry of a request, which contains no secrets.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use crate::endpoint::path_of;
use crate::protocol::Parameters;
use crate::signature::Authorization;
use crate::simulator::{RefusalCause, Simulator};

/// The maximum length, in characters, of a field whose content the client chooses.
const MAX_FIELD: usize = 200;

/// A request that was answered, for a log; [`Display`](fmt::Display) writes one line.
///
/// It contains no external IDs, tokens, codes, keys, signatures or bodies.
///
/// ```text
/// 127.0.0.1 sts AssumeRole arn:aws:iam::222222222222:role/Writer by AKIAIOSFODNN7EXAMPLE: 403 AccessDenied because
/// the role's trust policy does not allow it, 0.4 ms
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestLog {
    /// The address of the client.
    pub peer: SocketAddr,
    /// The service that the request is for, by its host, its signature or its form.
    pub service: String,
    /// The operation; the HTTP method for services whose requests do not name it.
    pub operation: String,
    /// The role, user, group, policy, bucket or object that the request is about.
    pub resource: Option<String>,
    /// The access key ID; `None` if the request is not signed.
    pub access_key_id: Option<String>,
    /// The HTTP status; `None` if the connection was closed without an answer.
    pub status: Option<u16>,
    /// The code of the error, if the response is one.
    pub error_code: Option<String>,
    /// Why policies denied the request, which the response may not say; see
    /// [`Simulator::refusals`](crate::Simulator::refusals).
    pub refused_because: Option<String>,
    /// How long the response took.
    pub duration: Duration,
}

impl RequestLog {
    pub(super) fn of(simulator: &Simulator, request: &HttpRequest, peer: SocketAddr) -> Self {
        let authorization = Authorization::read(request);
        let service = simulator.service_of(request, authorization.as_ref());
        let service = service.as_deref().unwrap_or("sts");
        let target = request.headers().get("x-amz-target");
        let target = target.and_then(|target| target.rsplit('.').next());
        let (operation, resource) = if matches!(service, "sts" | "iam") {
            let parameters = Parameters::read(request);
            let names = ["RoleArn", "RoleName", "UserName", "GroupName", "PolicyArn"];
            let resource = names.into_iter().find_map(|name| parameters.first(name));
            let action = parameters.first("Action").unwrap_or_default();
            (action.to_owned(), resource.map(str::to_owned))
        } else if let Some(target) = target {
            (target.to_owned(), None)
        } else {
            // Without the query, because a presigned URL has its signature there.
            let path = path_of(request.uri()).to_owned();
            (request.method().to_owned(), Some(path))
        };
        Self {
            peer,
            service: printable(service),
            operation: printable(&operation),
            resource: resource.map(|resource| printable(&resource)),
            access_key_id: authorization.map(|a| printable(&a.access_key_id)),
            status: None,
            error_code: None,
            refused_because: None,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn answered(&mut self, response: &HttpResponse) {
        self.status = Some(response.status().as_u16());
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() {
            self.error_code = error_code(&String::from_utf8_lossy(body));
            let cause = response.extension::<RefusalCause>();
            self.refused_because = cause.map(ToString::to_string);
        }
    }
}

/// Returns the code in an error response, in XML or JSON.
fn error_code(body: &str) -> Option<String> {
    if let Some((_, rest)) = body.split_once("<Code>") {
        return Some(printable(rest.split('<').next()?));
    }
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(printable(json.get("__type")?.as_str()?))
}

/// Escapes and shortens a text so that it cannot forge lines, move a terminal's cursor, or fill the disk.
fn printable(text: &str) -> String {
    let short: String = text.chars().take(MAX_FIELD).collect();
    short.escape_debug().to_string()
}

impl fmt::Display for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.peer.ip(), self.service, self.operation)?;
        if let Some(resource) = &self.resource {
            write!(f, " {resource}")?;
        }
        if let Some(id) = &self.access_key_id {
            write!(f, " by {id}")?;
        }
        match self.status {
            Some(status) => write!(f, ": {status}")?,
            None => f.write_str(": no answer")?,
        }
        if let Some(code) = &self.error_code {
            write!(f, " {code}")?;
        }
        if let Some(cause) = &self.refused_because {
            write!(f, " because {cause}")?;
        }
        write!(f, ", {:.1} ms", self.duration.as_secs_f64() * 1000.0)
    }
}
