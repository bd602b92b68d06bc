//! [`Fault`]: what goes wrong with STS on command.

/// A failure of STS that a test turns on; see [`Simulator::fail`](crate::Simulator::fail).
///
/// # Examples
///
/// ```
/// use sts_simulator::{Fault, Simulator};
///
/// let aws = Simulator::new();
/// aws.fail(Fault::service_unavailable()); // for every call of STS
/// aws.fail_role("arn:aws:iam::222222222222:role/Writer", Fault::NoAnswer);
/// // …
/// aws.recover();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// STS answers with this error.
    Error {
        /// The HTTP status.
        status: u16,
        /// The error code, such as `Throttling`.
        code: String,
        /// The error message.
        message: String,
    },
    /// STS receives the request, and does not answer it until the fault ends.
    NoAnswer,
    /// The connection is closed without an answer.
    ConnectionClosed,
}

impl Fault {
    /// Returns the error `ServiceUnavailable`, with HTTP status 503.
    pub fn service_unavailable() -> Self {
        Self::error(503, "ServiceUnavailable", "Service is unavailable")
    }

    /// Returns the error `Throttling`, with HTTP status 400.
    pub fn throttling() -> Self {
        Self::error(400, "Throttling", "Rate exceeded")
    }

    /// Returns an error with this HTTP status, code and message.
    pub fn error(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error {
            status,
            code: code.into(),
            message: message.into(),
        }
    }
}
