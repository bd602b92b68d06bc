//! [`Fault`]: what goes wrong, for which requests, and for how long.

use std::fmt;
use std::time::Duration;

use super::latency::Latency;

/// A fault of STS that a test injects; see [`Simulator::fail`](crate::Simulator::fail).
///
/// A fault applies to every request to STS until [`Simulator::recover`](crate::Simulator::recover), unless it is
/// limited to a [`role`](Self::role), an [`operation`](Self::operation), a number of [requests](Self::times), or a time
/// window ([`after`](Self::after), [`lasting`](Self::lasting)). If several faults apply to a request, it gets the sum
/// of their [delays](Self::delay), and one of the others: a fault that is limited to a role or an operation takes
/// precedence over one that is not, and a newer fault over an older one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sts_simulator::{Fault, Simulator};
///
/// let aws = Simulator::new();
/// aws.fail(Fault::service_unavailable()); // every call of STS
/// aws.fail(Fault::no_answer().role("arn:aws:iam::222222222222:role/Writer"));
/// aws.fail(Fault::throttling().operation("AssumeRole").times(2)); // the next two calls
/// aws.fail(
///     Fault::connection_closed()
///         .after(Duration::from_secs(600))
///         .lasting(Duration::from_secs(30)),
/// );
/// // …
/// aws.recover();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "Simulator::fail() injects it"]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) role: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) times: Option<u32>,
    pub(super) after: Duration,
    pub(super) lasting: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    Error {
        status: u16,
        code: String,
        message: String,
    },
    Throttled {
        rate: u32,
        burst: u32,
    },
    NoAnswer,
    ConnectionClosed,
    ConnectionReset,
    Truncated,
    Garbage,
    ExpiredCredentials,
    ClockAhead(Duration),
    ClockBehind(Duration),
    Delay(Latency),
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self {
            effect,
            role: None,
            operation: None,
            times: None,
            after: Duration::ZERO,
            lasting: None,
        }
    }

    /// Makes STS return an error with this HTTP status, code and message.
    pub fn error(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Effect::Error {
            status,
            code: code.into(),
            message: message.into(),
        })
    }

    /// Makes STS return the error `ServiceUnavailable`, HTTP status 503.
    pub fn service_unavailable() -> Self {
        Self::error(503, "ServiceUnavailable", "Service is unavailable")
    }

    /// Makes STS return the error `Throttling`, HTTP status 400, whatever the rate of requests.
    pub fn throttling() -> Self {
        Self::error(400, "Throttling", "Rate exceeded")
    }

    /// Makes STS throttle by a token bucket for each account and region: `rate` requests per second, with bursts of up
    /// to `burst`. As at AWS, the bucket belongs to the caller's account, and AssumeRoleWithWebIdentity and
    /// AssumeRoleWithSAML are not limited. AWS's own quota is 600 requests per second.
    pub fn throttled(rate: u32, burst: u32) -> Self {
        Self::new(Effect::Throttled { rate, burst })
    }

    /// Makes STS receive the request but not answer it until the fault ends.
    pub fn no_answer() -> Self {
        Self::new(Effect::NoAnswer)
    }

    /// Closes the connection without a response. Over HTTP, the connection is closed in an orderly way.
    pub fn connection_closed() -> Self {
        Self::new(Effect::ConnectionClosed)
    }

    /// Resets the connection without a response: clients get the error "connection reset by peer".
    pub fn connection_reset() -> Self {
        Self::new(Effect::ConnectionReset)
    }

    /// Closes the connection after the first half of the response. STS performs the operation; the header
    /// `Content-Length` has the length of the whole body.
    pub fn truncated() -> Self {
        Self::new(Effect::Truncated)
    }

    /// Replaces the response body with one that is neither XML nor JSON, like a proxy's. STS performs the operation.
    pub fn garbage() -> Self {
        Self::new(Effect::Garbage)
    }

    /// Makes STS issue credentials that expired a second ago.
    pub fn expired_credentials() -> Self {
        Self::new(Effect::ExpiredCredentials)
    }

    /// Sets the clock of STS ahead. This affects the header `Date`, the checks of signatures and sessions, and the
    /// expiry of new sessions.
    pub fn clock_ahead(by: Duration) -> Self {
        Self::new(Effect::ClockAhead(by))
    }

    /// Sets the clock of STS back; see [`clock_ahead`](Self::clock_ahead).
    pub fn clock_behind(by: Duration) -> Self {
        Self::new(Effect::ClockBehind(by))
    }

    /// Delays the response, in addition to [`Simulator::set_latency`](crate::Simulator::set_latency).
    pub fn delay(by: impl Into<Latency>) -> Self {
        Self::new(Effect::Delay(by.into()))
    }

    /// Limits the fault to requests for a role, by the role's ARN.
    pub fn role(mut self, arn: impl Into<String>) -> Self {
        self.role = Some(arn.into());
        self
    }

    /// Limits the fault to an operation, such as `AssumeRole`.
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// Limits the fault to a number of requests.
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    /// Starts the fault after this time, by the simulator's clock. Default: immediately.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Ends the fault this long after its start. Default: it ends with
    /// [`Simulator::recover`](crate::Simulator::recover).
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasting = Some(time);
        self
    }
}

/// The error for JSON that is not a valid fault; see [`Fault::from_json`].
#[derive(Clone, Debug)]
pub struct FaultError(pub(super) String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}
