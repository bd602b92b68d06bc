//! The service's routes and responses.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use axum::body::{self, Body, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::delivery::{NotPut, deliver};
use crate::figures;
use crate::firehose::MAX_BYTES;
use crate::queue::{Full, Waiting};
use crate::records::{self, TOO_MANY};
use crate::service::Service;

/// Timeout of a request, including the time to receive its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/customers/{id}/records", routing::post(take_records))
        .route("/healthz", routing::get(healthz))
        .route("/metrics", routing::get(metrics))
        .fallback(async || {
            let reason =
                "the paths are POST /customers/<id>/records, GET /healthz and GET /metrics";
            Problem::new(StatusCode::NOT_FOUND, "UnknownPath", reason)
        })
        .method_not_allowed_fallback(async || {
            let reason =
                "this path does not support the method; the header Allow lists those that it does";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "UnknownMethod", reason)
        })
        .with_state(service)
}

async fn take_records(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Response {
    let started = Instant::now();
    // An ID that is empty or not UTF-8 belongs to no customer.
    let id = id.as_ref().map_or("", |Path(id)| id);
    let result = timeout(REQUEST_TIMEOUT, put_records(&service, id, body)).await;
    let response = match result {
        Ok(Ok(records)) => json_response(StatusCode::OK, &json!({"records": records})),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => {
            let reason = "the request timed out; its records may be on the stream, or be put later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TimedOut", reason).into_response()
        }
    };
    figures::request_answered(response.status().as_str(), started.elapsed());
    response
}

/// Puts the records on the stream, and returns their number when all have been confirmed.
async fn put_records(service: &Service, id: &str, body: Body) -> Result<usize, Problem> {
    let Some(customer) = service.customers.get(id) else {
        let reason = "the customer does not exist";
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "UnknownCustomer",
            reason,
        ));
    };
    // Reserves room before reading the body, so that bodies cannot use more memory than the queue has.
    let bytes = body.size_hint().upper().unwrap_or(MAX_BYTES as u64);
    if bytes > MAX_BYTES as u64 {
        return Err(Problem::too_large());
    }
    let reservation = service.queue.reserve(&customer.queue, bytes as usize)?;
    let body = body::to_bytes(body, MAX_BYTES).await;
    // Either a body without a length is too large, or the connection was cut off.
    let body = body.map_err(|_| Problem::too_large())?;
    let records = records::parse(&body)
        .map_err(|(status, reason)| Problem::new(status, "InvalidRecords", reason))?;
    let count = records.len();
    let (answer, answered) = oneshot::channel();
    customer.queue.push(Waiting {
        records,
        answer,
        _reservation: reservation,
    });
    // Runs in its own task: the batch may contain records of other clients, so a client that disconnects must not
    // cancel it.
    tokio::spawn(deliver(service.pool.clone(), customer.clone()));
    match answered.await {
        Ok(Ok(())) => Ok(count),
        Ok(Err(not_put)) => Err(not_put.into()),
        Err(_) => {
            let reason = "internal error; the records may be on the stream";
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Failed",
                reason,
            ))
        }
    }
}

async fn healthz(State(service): State<Arc<Service>>) -> Response {
    // As in the example `health`: a service that is not ready receives no requests, which would load credentials.
    let load = service.hub.provide_credentials();
    let _ = timeout(Duration::from_secs(1), load).await;

    let health = service.hub.health();
    let status = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let hops = service.hub.status();
    let hops: Vec<_> = hops.iter().map(ToString::to_string).collect();
    let answer = json!({
        "health": health.to_string(),
        "hub": hops,
        "customers": service.customers.len(),
        "chains": service.pool.len(),
        "queue_kib": service.queue.used_kib(),
    });
    json_response(status, &answer)
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    figures::queue_used(service.queue.used_kib());
    if let Some(at) = service.hub.status().last().and_then(|hub| hub.expiry) {
        figures::hub_expires(at);
    }
    let text = service.figures.render();
    ([(header::CONTENT_TYPE, figures::CONTENT_TYPE)], text).into_response()
}

/// An error response.
struct Problem {
    status: StatusCode,
    code: String,
    reason: String,
    lines: Vec<usize>,
}

impl Problem {
    fn new(status: StatusCode, code: &str, reason: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            reason: reason.into(),
            lines: Vec::new(),
        }
    }

    fn too_large() -> Self {
        let reason = format!("the body was cut off, or is over {TOO_MANY}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "InvalidRecords", reason)
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        match full {
            Full::Service => {
                let reason = "the queue of the service is full";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "QueueFull", reason)
            }
            Full::Customer => {
                let reason = "the queue of this customer is full";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRecords", reason)
            }
        }
    }
}

impl From<NotPut> for Problem {
    fn from(not_put: NotPut) -> Self {
        // Not 502: load balancers would take the whole service out of rotation for one customer's mistake.
        let status = if not_put.is_refusal {
            StatusCode::FAILED_DEPENDENCY
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        Self {
            status,
            code: not_put.code,
            reason: not_put.reason,
            lines: not_put.lines,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = json!({"error": self.code, "reason": self.reason});
        if !self.lines.is_empty() {
            answer["lines"] = self.lines.into();
        }
        let mut response = json_response(self.status, &answer);
        if [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]
        .contains(&self.status)
        {
            let seconds = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

fn json_response(status: StatusCode, json: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, format!("{json}\n")).into_response()
}
