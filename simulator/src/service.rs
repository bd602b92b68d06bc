//! [`Service`]: how a service other than STS and IAM is plugged into a simulator.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use crate::iam::Caller;
use crate::protocol::ErrorResponse;

/// A service that a simulator answers for; see [`Simulator::plug_in`](crate::Simulator::plug_in).
///
/// # Examples
///
/// ```
/// use sts_simulator::{Caller, HttpRequest, HttpResponse, Service, ServiceError, Simulator};
///
/// /// Answers every request to SQS that the caller's policies allow.
/// struct Sqs;
///
/// impl Service for Sqs {
///     fn answer(&self, caller: &Caller, _request: &HttpRequest) -> HttpResponse {
///         let queue = format!("arn:aws:sqs:eu-west-1:{}:orders", caller.account());
///         if !caller.may("sqs:SendMessage", &queue) {
///             return ServiceError::access_denied(caller, "sqs:SendMessage", &queue).to_json();
///         }
///         HttpResponse::new(200.try_into().unwrap(), r#"{"MessageId": "1"}"#.into())
///     }
/// }
///
/// Simulator::new().plug_in("sqs", Sqs);
/// ```
pub trait Service: Send + Sync {
    /// Answers a request whose signature is valid, and whose caller exists.
    fn answer(&self, caller: &Caller, request: &HttpRequest) -> HttpResponse;

    /// Answers a request that is refused before it gets to the service: its key is unknown, its session is
    /// expired, its signature is wrong. Services with an XML protocol override this. Default:
    /// [`ServiceError::to_json`].
    fn refuse(&self, error: &ServiceError) -> HttpResponse {
        error.to_json()
    }
}

/// A service that is a function.
pub(crate) struct Handler<F>(pub(crate) F);

impl<F: Fn(&Caller, &HttpRequest) -> HttpResponse + Send + Sync> Service for Handler<F> {
    fn answer(&self, caller: &Caller, request: &HttpRequest) -> HttpResponse {
        (self.0)(caller, request)
    }
}

/// An error that a [`Service`] answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    status: u16,
    code: String,
    message: String,
}

impl ServiceError {
    /// Creates an error with this HTTP status, code and message.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// Creates the error with which the services that speak JSON refuse what `caller` may not do:
    /// `AccessDeniedException`, with HTTP status 400.
    pub fn access_denied(caller: &Caller, action: &str, resource_arn: &str) -> Self {
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {resource_arn} because no \
             identity-based policy allows the {action} action",
            caller.arn()
        );
        Self::new(400, "AccessDeniedException", message)
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the code, such as `ExpiredToken`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the error as the services with a JSON protocol send it. Where their codes differ from those of
    /// STS, they are replaced: `ExpiredToken` becomes `ExpiredTokenException`.
    pub fn to_json(&self) -> HttpResponse {
        ErrorResponse::new(self.status, &*self.code, &*self.message).into_json_response()
    }
}

impl From<ErrorResponse> for ServiceError {
    fn from(error: ErrorResponse) -> Self {
        Self::new(error.status, error.code, error.message)
    }
}
