//! [`Fault`]: what goes wrong, for which requests, and how long.

use std::fmt;
use std::time::Duration;

use super::latency::Latency;

/// What a test makes go wrong with STS; see [`Simulator::fail`](crate::Simulator::fail).
///
/// A fault hits every request to STS until [`Simulator::recover`](crate::Simulator::recover), unless it is limited
/// to a [`role`](Self::role), to an [`operation`](Self::operation), to a number of [`times`](Self::times), or to
/// a window of time ([`after`](Self::after), [`lasting`](Self::lasting)). A request that several faults fit gets
/// the sum of their [delays](Self::delay), and of the others one: those of a role or an operation come first,
/// and the newer one before the older.
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

    /// STS answers with an error that has this HTTP status, code and message.
    pub fn error(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Effect::Error {
            status,
            code: code.into(),
            message: message.into(),
        })
    }

    /// STS answers with the error `ServiceUnavailable`, HTTP status 503.
    pub fn service_unavailable() -> Self {
        Self::error(503, "ServiceUnavailable", "Service is unavailable")
    }

    /// STS answers with the error `Throttling`, HTTP status 400, whatever the rate of requests.
    pub fn throttling() -> Self {
        Self::error(400, "Throttling", "Rate exceeded")
    }

    /// STS throttles by a token bucket for each account and region: `rate` requests per second, and `burst` at
    /// once. As at AWS, the bucket is that of the caller's account, and AssumeRoleWithWebIdentity and
    /// AssumeRoleWithSAML have none. AWS's own quota is 600 requests per second.
    pub fn throttled(rate: u32, burst: u32) -> Self {
        Self::new(Effect::Throttled { rate, burst })
    }

    /// STS receives the request, and does not answer it until the fault ends.
    pub fn no_answer() -> Self {
        Self::new(Effect::NoAnswer)
    }

    /// The connection is closed without an answer. Over HTTP, that is an orderly end of the connection.
    pub fn connection_closed() -> Self {
        Self::new(Effect::ConnectionClosed)
    }

    /// The connection is reset without an answer: clients get the error "connection reset by peer".
    pub fn connection_reset() -> Self {
        Self::new(Effect::ConnectionReset)
    }

    /// STS does what it was asked to, but the connection is closed after the first half of its answer. The header
    /// `Content-Length` says how long it should have been.
    pub fn truncated() -> Self {
        Self::new(Effect::Truncated)
    }

    /// STS does what it was asked to, but the answer has a body that is neither XML nor JSON, as from a proxy.
    pub fn garbage() -> Self {
        Self::new(Effect::Garbage)
    }

    /// The credentials in the answer expired a second ago.
    pub fn expired_credentials() -> Self {
        Self::new(Effect::ExpiredCredentials)
    }

    /// The clock of STS is ahead: in the header `Date`, in the check of signatures and sessions, and in the
    /// expiry of new ones.
    pub fn clock_ahead(by: Duration) -> Self {
        Self::new(Effect::ClockAhead(by))
    }

    /// The clock of STS is behind; see [`clock_ahead`](Self::clock_ahead).
    pub fn clock_behind(by: Duration) -> Self {
        Self::new(Effect::ClockBehind(by))
    }

    /// The answer takes longer, in addition to [`Simulator::set_latency`](crate::Simulator::set_latency).
    pub fn delay(by: impl Into<Latency>) -> Self {
        Self::new(Effect::Delay(by.into()))
    }

    /// Limits the fault to requests for a role, by its ARN.
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

    /// Lets the fault begin later, by the simulator's clock. Default: at once.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Lets the fault end by itself, this long after it began. Default: it ends with
    /// [`Simulator::recover`](crate::Simulator::recover).
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasting = Some(time);
        self
    }
}

/// The reason why a text is no fault; see [`Fault::from_json`].
#[derive(Clone, Debug)]
pub struct InvalidFault(pub(super) String);

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidFault {}
