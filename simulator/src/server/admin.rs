//! The admin endpoint, with which tests in other languages control the simulator, on paths that no AWS client uses.

use std::net::IpAddr;

use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use hyper::body::Incoming;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::Shared;
use super::body::{self, AnswerBody};
use crate::fault::Fault;

const PREFIX: &str = "/_simulator/";

pub(super) fn is_path(path: &str) -> bool {
    path.starts_with(PREFIX) || path == PREFIX.trim_end_matches('/')
}

/// A rejected request, with the reason.
struct Refused(StatusCode, String);

impl Refused {
    fn bad_request(reason: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, reason.into())
    }
}

pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<AnswerBody> {
    let (status, body) = match perform(shared, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(Refused(status, reason)) => (status, json!({"error": reason})),
    };
    let mut response = Response::new(SdkBody::from(body.to_string()).into());
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn perform(shared: &Shared, request: Request<Incoming>) -> Result<Value, Refused> {
    // Rejects web pages that a browser on this machine shows.
    if request.headers().contains_key(header::ORIGIN) {
        let reason =
            "web pages must not use the admin endpoint; send the request without the header Origin";
        return Err(Refused(StatusCode::FORBIDDEN, reason.to_owned()));
    }
    // Rejects DNS rebinding: a browser treats a page whose own host name resolves to this machine as same-origin.
    let host = request.headers().get(header::HOST);
    if !shared.is_admin_explicit && !host.is_none_or(|host| is_of_this_machine(host.as_bytes())) {
        let reason = "the admin endpoint must be called by IP address or as localhost; --admin or \
                      Server::admin(true) allows other host names";
        return Err(Refused(StatusCode::FORBIDDEN, reason.to_owned()));
    }
    let (parts, incoming) = request.into_parts();
    let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let found = pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()));
        found.ok_or_else(|| Refused::bad_request(format!("the parameter {name} is missing")))
    };
    let body = body::read(&parts, incoming)
        .await
        .map_err(|refused| Refused(refused.0, "the body cannot be read".to_owned()))?;
    let text =
        std::str::from_utf8(&body).map_err(|_| Refused::bad_request("the body is not UTF-8"))?;
    let simulator = &shared.simulator;
    match (&parts.method, path) {
        (&Method::GET, "health") => Ok(json!({"status": "ok"})),
        (&Method::POST, "faults") => {
            let fault =
                Fault::from_json(text).map_err(|error| Refused::bad_request(error.to_string()))?;
            simulator.fail(fault);
            Ok(json!({}))
        }
        (&Method::DELETE, "faults") => {
            simulator.recover();
            Ok(json!({}))
        }
        (&Method::GET, "calls") => {
            let calls = simulator.calls();
            let calls = calls.iter().map(|call| {
                json!({
                    "action": call.action,
                    "roleArn": call.role_arn,
                    "sessionName": call.session_name,
                    "durationSeconds": call.duration_seconds,
                    "host": call.host,
                    "region": call.region,
                    "accessKeyId": call.access_key_id,
                    "seconds": call.at.as_secs_f64(),
                })
            });
            Ok(calls.collect())
        }
        (&Method::GET, "refusals") => {
            let refusals = simulator.refusals();
            let refusals = refusals.iter().map(|refusal| {
                json!({
                    "action": refusal.action,
                    "principal": refusal.principal,
                    "resource": refusal.resource,
                    "why": refusal.to_string(),
                })
            });
            Ok(refusals.collect())
        }
        (&Method::GET, "mfa-code") => {
            let serial = parameter("serial")?;
            let [previous, code] = simulator.mfa_codes(&serial).ok_or_else(|| {
                not_found(format!("no MFA device has the serial number {serial:?}"))
            })?;
            // EnableMFADevice needs two consecutive codes.
            Ok(json!({"code": code, "previous": previous}))
        }
        (&Method::GET, "web-identity-token-keys") => {
            let account = parameter("account")?;
            let keys = simulator.web_identity_token_keys(&account);
            let keys = keys.and_then(|keys| serde_json::from_str(&keys).ok());
            keys.ok_or_else(|| {
                not_found(format!(
                    "outbound web identity federation was never enabled for the account {account:?}"
                ))
            })
        }
        (&Method::GET, "records") => {
            let records = firehose(shared)?.records(&parameter("stream")?);
            Ok(records.iter().map(base64::encode).collect())
        }
        (&Method::POST, "firehose-failures") => {
            let members = object(text, &["records"])?;
            let count = members.get("records").and_then(Value::as_u64);
            let count = count.and_then(|count| usize::try_from(count).ok());
            let count =
                count.ok_or_else(|| Refused::bad_request("records must be a whole number"))?;
            firehose(shared)?.fail_records(count);
            Ok(json!({}))
        }
        (&Method::POST, "oidc-providers") => {
            let members = object(text, &["arn", "clientIds", "keys"])?;
            let text = |name: &str| {
                let value = members.get(name).and_then(Value::as_str);
                value.ok_or_else(|| Refused::bad_request(format!("{name} must be a string")))
            };
            let ids = members.get("clientIds").and_then(Value::as_array);
            let ids = ids.ok_or_else(|| Refused::bad_request("clientIds must be a list"))?;
            let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
            simulator
                .oidc_provider(text("arn")?, &ids, text("keys")?)
                .map_err(|error| Refused::bad_request(error.to_string()))?;
            Ok(json!({}))
        }
        (method, path) => Err(not_found(format!(
            "unknown request {method} {PREFIX}{path}; supported: GET health, POST and DELETE faults, GET calls, \
             GET refusals, GET mfa-code, GET records, GET web-identity-token-keys, POST firehose-failures and \
             POST oidc-providers"
        ))),
    }
}

/// Whether the header `Host` is an address, or a name that always means this machine.
fn is_of_this_machine(host: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(host)
        .unwrap_or_default()
        .parse::<Authority>()
    else {
        return false;
    };
    let name = authority
        .host()
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn not_found(reason: String) -> Refused {
    Refused(StatusCode::NOT_FOUND, reason)
}

fn firehose(shared: &Shared) -> Result<&crate::Firehose, Refused> {
    let firehose = shared.firehose.as_ref();
    firehose.ok_or_else(|| not_found("this simulator has no Firehose".to_owned()))
}

/// Reads a JSON object that has no members other than these.
fn object(text: &str, names: &[&str]) -> Result<Map<String, Value>, Refused> {
    let members: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| Refused::bad_request(error.to_string()))?;
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(Refused::bad_request(format!(
            "unknown member {name:?}; supported: {}",
            names.join(", ")
        ))),
        None => Ok(members),
    }
}
