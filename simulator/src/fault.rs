//! [`Fault`]: what goes wrong with STS on command, for which requests, and how long; [`Latency`].

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::{Map, Value};

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
    effect: Effect,
    role: Option<String>,
    operation: Option<String>,
    times: Option<u32>,
    after: Duration,
    lasting: Option<Duration>,
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
    Truncated,
    Garbage,
    ExpiredCredentials,
    ClockAhead(Duration),
    ClockBehind(Duration),
    Delay(Latency),
}

/// The operations that share the quota of a caller's account in a region.
const WITH_QUOTA: [&str; 6] = [
    "AssumeRole",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetCallerIdentity",
    "GetFederationToken",
    "GetSessionToken",
];

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

    /// The connection is closed without an answer.
    pub fn connection_closed() -> Self {
        Self::new(Effect::ConnectionClosed)
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

    /// Reads a fault from a JSON object. `fault` is the name of one of the constructors; their parameters and
    /// the limits are members, times in seconds:
    ///
    /// | `fault` | members |
    /// |---|---|
    /// | `error` | `status`, `code`, `message` |
    /// | `throttled` | `rate`, `burst` |
    /// | `clock_ahead`, `clock_behind` | `seconds` |
    /// | `delay` | `seconds`; or `min` and `max`; or `median` and `p99` |
    /// | `service_unavailable`, `throttling`, `no_answer`, `connection_closed`, `truncated`, `garbage`, `expired_credentials` | |
    /// | any | `role`, `operation`, `times`, `after`, `lasting` |
    ///
    /// # Examples
    ///
    /// ```
    /// use sts_simulator::Fault;
    ///
    /// let fault = Fault::from_json(
    ///     r#"{"fault": "error", "status": 500, "code": "InternalFailure", "message": "", "times": 3}"#,
    /// )?;
    /// assert_eq!(fault, Fault::error(500, "InternalFailure", "").times(3));
    ///
    /// let error = Fault::from_json(r#"{"fault": "garbage", "time": 3}"#).unwrap_err();
    /// assert_eq!(error.to_string(), r#"fault "garbage": unknown member "time""#);
    /// # Ok::<(), sts_simulator::InvalidFault>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the text is no such object. The error names the member and what it must be.
    pub fn from_json(text: &str) -> Result<Self, InvalidFault> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| InvalidFault(format!("a fault must be a JSON object: {error}")))?;
        let Value::Object(members) = value else {
            return Err(InvalidFault("a fault must be a JSON object".to_owned()));
        };
        let mut members = Members::new(members)?;
        let effect = match &*members.fault {
            "error" => {
                let status = members.whole("status", 100..=999)?;
                Self::error(
                    status as u16,
                    members.text("code")?,
                    members.text("message")?,
                )
            }
            "service_unavailable" => Self::service_unavailable(),
            "throttling" => Self::throttling(),
            "throttled" => Self::throttled(
                members.whole("rate", 0..=u32::MAX)?,
                members.whole("burst", 0..=u32::MAX)?,
            ),
            "no_answer" => Self::no_answer(),
            "connection_closed" => Self::connection_closed(),
            "truncated" => Self::truncated(),
            "garbage" => Self::garbage(),
            "expired_credentials" => Self::expired_credentials(),
            "clock_ahead" => Self::clock_ahead(members.seconds("seconds")?),
            "clock_behind" => Self::clock_behind(members.seconds("seconds")?),
            "delay" if members.has("min") => Self::delay(Latency::between(
                members.seconds("min")?,
                members.seconds("max")?,
            )),
            "delay" if members.has("median") => Self::delay(Latency::with_percentiles(
                members.seconds("median")?,
                members.seconds("p99")?,
            )),
            "delay" => Self::delay(members.seconds("seconds")?),
            _ => return Err(members.error("is unknown")),
        };
        let fault = Self {
            role: members.optional("role", Members::text)?,
            operation: members.optional("operation", Members::text)?,
            times: members.optional("times", |members, name| members.whole(name, 0..=u32::MAX))?,
            after: members
                .optional("after", Members::seconds)?
                .unwrap_or_default(),
            lasting: members.optional("lasting", Members::seconds)?,
            ..effect
        };
        members.finish()?;
        Ok(fault)
    }

    fn fits(&self, request: &Target<'_>) -> bool {
        let fits = |limit: &Option<String>, value: Option<&str>| {
            limit.as_deref().is_none_or(|limit| value == Some(limit))
        };
        fits(&self.role, request.role_arn) && fits(&self.operation, Some(request.operation))
    }

    fn is_specific(&self) -> bool {
        self.role.is_some() || self.operation.is_some()
    }
}

/// The reason why a text is no fault; see [`Fault::from_json`].
#[derive(Clone, Debug)]
pub struct InvalidFault(String);

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidFault {}

/// How long an answer takes: a fixed time, or a random one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sts_simulator::{Latency, Simulator};
///
/// let aws = Simulator::new();
/// aws.set_latency(Duration::from_millis(50));
/// aws.set_latency(Latency::between(Duration::from_millis(20), Duration::from_millis(80)));
/// // Half of the answers within 40 ms, 99 of 100 within 300 ms, and a long tail.
/// aws.set_latency(Latency::with_percentiles(
///     Duration::from_millis(40),
///     Duration::from_millis(300),
/// ));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Latency(Distribution);

#[derive(Clone, Debug, PartialEq)]
enum Distribution {
    Fixed(Duration),
    Uniform { min: Duration, max: Duration },
    LogNormal { median: Duration, p99: Duration },
}

impl From<Duration> for Latency {
    fn from(time: Duration) -> Self {
        Self(Distribution::Fixed(time))
    }
}

impl Default for Latency {
    fn default() -> Self {
        Duration::ZERO.into()
    }
}

impl Latency {
    /// Returns a time between the two, all equally probable.
    pub fn between(min: Duration, max: Duration) -> Self {
        Self(Distribution::Uniform {
            min: min.min(max),
            max: max.max(min),
        })
    }

    /// Returns a time with a log-normal distribution, as services have, by its median and its 99th percentile.
    pub fn with_percentiles(median: Duration, p99: Duration) -> Self {
        Self(Distribution::LogNormal {
            median,
            p99: p99.max(median),
        })
    }

    /// Returns the time of one answer.
    pub(crate) fn sample(&self) -> Duration {
        /// The 99th percentile of the standard normal distribution.
        const Z99: f64 = 2.326_347_874;

        match self.0 {
            Distribution::Fixed(time) => time,
            Distribution::Uniform { min, max } => min + (max - min).mul_f64(fastrand::f64()),
            Distribution::LogNormal { median, .. } if median.is_zero() => median,
            Distribution::LogNormal { median, p99 } => {
                let sigma = p99.div_duration_f64(median).ln() / Z99;
                // Box and Muller. The logarithm's argument is not zero.
                let radius = (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * fastrand::f64()).cos();
                let time = median.as_secs_f64() * (sigma * normal).exp();
                Duration::try_from_secs_f64(time).unwrap_or(p99)
            }
        }
    }
}

/// What a fault can be limited to.
pub(crate) struct Target<'a> {
    pub(crate) operation: &'a str,
    pub(crate) role_arn: Option<&'a str>,
    /// The account of the caller; `None` if the request is not signed with a key that exists.
    pub(crate) account: Option<&'a str>,
    pub(crate) region: &'a str,
}

/// The faults that a test has turned on.
#[derive(Default)]
pub(crate) struct Faults {
    /// From the oldest to the newest.
    active: Vec<ActiveFault>,
    next_id: u64,
}

struct ActiveFault {
    id: u64,
    fault: Fault,
    start: Duration,
    end: Option<Duration>,
    used: u32,
    /// By account and region.
    buckets: HashMap<(String, String), Bucket>,
}

struct Bucket {
    tokens: f64,
    filled_at: Duration,
}

/// A fault that hits a request.
pub(crate) struct Hit {
    pub(crate) id: u64,
    pub(crate) effect: Effect,
    /// When the fault ends by itself.
    pub(crate) end: Option<Duration>,
}

impl Faults {
    /// Adds a fault; `now` is the time since the simulator was created.
    pub(crate) fn add(&mut self, fault: Fault, now: Duration) {
        let start = now.saturating_add(fault.after);
        self.active.push(ActiveFault {
            id: self.next_id,
            start,
            end: fault.lasting.map(|time| start.saturating_add(time)),
            used: 0,
            buckets: HashMap::new(),
            fault,
        });
        self.next_id += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// Returns the sum of the delays of a request.
    pub(crate) fn delay_of(&mut self, request: &Target<'_>, now: Duration) -> Duration {
        let mut sum = Duration::ZERO;
        for active in &mut self.active {
            if let Effect::Delay(latency) = &active.fault.effect
                && active.is_due(request, now)
            {
                sum = sum.saturating_add(latency.sample());
                active.used += 1;
            }
        }
        sum
    }

    /// Returns the fault that hits a request, and counts it. `held` is the fault that has hit it before, and
    /// is not counted again.
    pub(crate) fn hit(
        &mut self,
        request: &Target<'_>,
        now: Duration,
        held: Option<u64>,
    ) -> Option<Hit> {
        for is_specific in [true, false] {
            for active in self.active.iter_mut().rev() {
                let is_held = held == Some(active.id) && active.is_in_window(now);
                let fits = active.fault.is_specific() == is_specific
                    && !matches!(active.fault.effect, Effect::Delay(_))
                    && (is_held || active.is_due(request, now) && active.throttles(request, now));
                if !fits {
                    continue;
                }
                active.used += u32::from(!is_held);
                let effect = match &active.fault.effect {
                    Effect::Throttled { .. } => Fault::throttling().effect,
                    effect => effect.clone(),
                };
                return Some(Hit {
                    id: active.id,
                    effect,
                    end: active.end,
                });
            }
        }
        None
    }
}

impl ActiveFault {
    fn is_in_window(&self, now: Duration) -> bool {
        self.start <= now && self.end.is_none_or(|end| now < end)
    }

    fn is_due(&self, request: &Target<'_>, now: Duration) -> bool {
        self.is_in_window(now)
            && self.fault.times.is_none_or(|times| self.used < times)
            && self.fault.fits(request)
    }

    /// Takes a token from the bucket of the request. Returns whether there was none; `true` for faults of other
    /// kinds.
    fn throttles(&mut self, request: &Target<'_>, now: Duration) -> bool {
        let Effect::Throttled { rate, burst } = self.fault.effect else {
            return true;
        };
        let Some(account) = request
            .account
            .filter(|_| WITH_QUOTA.contains(&request.operation))
        else {
            return false;
        };
        let key = (account.to_owned(), request.region.to_owned());
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            tokens: burst.into(),
            filled_at: now,
        });
        let filled = now.saturating_sub(bucket.filled_at).as_secs_f64() * f64::from(rate);
        bucket.tokens = (bucket.tokens + filled).min(burst.into());
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return true;
        }
        bucket.tokens -= 1.0;
        false
    }
}

/// Returns a body that ends with an error after `start`.
pub(crate) fn truncated_body(start: &[u8]) -> SdkBody {
    SdkBody::from_body_1_x(TruncatedBody(Some(Bytes::copy_from_slice(start))))
}

struct TruncatedBody(Option<Bytes>);

impl Body for TruncatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(start) => Ok(Frame::data(start)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }))
    }
}

/// The members of a fault in JSON that are not read yet.
struct Members {
    fault: String,
    rest: Map<String, Value>,
}

impl Members {
    fn new(mut rest: Map<String, Value>) -> Result<Self, InvalidFault> {
        match rest.remove("fault") {
            Some(Value::String(fault)) => Ok(Self { fault, rest }),
            _ => Err(InvalidFault(
                "the member \"fault\" must be the name of a fault, such as \"throttling\""
                    .to_owned(),
            )),
        }
    }

    fn error(&self, reason: impl fmt::Display) -> InvalidFault {
        InvalidFault(format!("fault {:?}: {reason}", self.fault))
    }

    fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    fn text(&mut self, name: &str) -> Result<String, InvalidFault> {
        match self.rest.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.error(format!("{name:?} must be a string"))),
        }
    }

    fn whole(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, InvalidFault> {
        let number = self.rest.remove(name).as_ref().and_then(Value::as_u64);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (min, max) = (range.start(), range.end());
                self.error(format!(
                    "{name:?} must be a whole number from {min} to {max}"
                ))
            })
    }

    fn seconds(&mut self, name: &str) -> Result<Duration, InvalidFault> {
        let seconds = self.rest.remove(name).as_ref().and_then(Value::as_f64);
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| self.error(format!("{name:?} must be a number of seconds")))
    }

    fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<T, InvalidFault>,
    ) -> Result<Option<T>, InvalidFault> {
        if self.has(name) {
            read(self, name).map(Some)
        } else {
            Ok(None)
        }
    }

    fn finish(self) -> Result<(), InvalidFault> {
        match self.rest.keys().next() {
            Some(unknown) => Err(self.error(format!("unknown member {unknown:?}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn request(role_arn: Option<&'static str>) -> Target<'static> {
        Target {
            operation: "AssumeRole",
            role_arn,
            account: Some("111111111111"),
            region: "eu-west-1",
        }
    }

    fn code(faults: &mut Faults, role: Option<&'static str>, now: Duration) -> Option<String> {
        let hit = faults.hit(&request(role), now, None)?;
        match hit.effect {
            Effect::Error { code, .. } => Some(code),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn the_most_specific_and_then_the_newest_fault_hits_until_its_count_or_its_time_is_over() {
        let mut faults = Faults::default();
        faults.add(Fault::error(400, "Old", ""), Duration::ZERO);
        faults.add(
            Fault::error(400, "OfRole", "").role("a").times(2),
            Duration::ZERO,
        );
        faults.add(
            Fault::error(400, "New", "").after(SECOND).lasting(SECOND),
            Duration::ZERO,
        );
        let mut code = |role, at: f64| code(&mut faults, role, Duration::from_secs_f64(at));
        assert_eq!(code(None, 0.9).as_deref(), Some("Old"));
        assert_eq!(code(None, 1.0).as_deref(), Some("New"));
        assert_eq!(code(Some("b"), 1.9).as_deref(), Some("New"));
        assert_eq!(code(None, 2.0).as_deref(), Some("Old"));
        assert_eq!(code(Some("a"), 2.0).as_deref(), Some("OfRole"));
        assert_eq!(code(Some("a"), 2.0).as_deref(), Some("OfRole"));
        assert_eq!(code(Some("a"), 2.0).as_deref(), Some("Old"), "two times");
    }

    #[test]
    fn a_bucket_of_an_account_and_region_refills_at_its_rate_and_no_further_than_its_burst() {
        let mut faults = Faults::default();
        faults.add(Fault::throttled(2, 3), Duration::ZERO);
        let passed = |faults: &mut Faults, at: f64| {
            let at = Duration::from_secs_f64(at);
            (0..10)
                .take_while(|_| code(faults, None, at).is_none())
                .count()
        };
        assert_eq!(passed(&mut faults, 0.0), 3);
        assert_eq!(passed(&mut faults, 0.4), 0);
        assert_eq!(passed(&mut faults, 1.0), 2);
        assert_eq!(passed(&mut faults, 100.0), 3);
        let elsewhere = Target {
            region: "us-east-1",
            ..request(None)
        };
        assert!(faults.hit(&elsewhere, 100 * SECOND, None).is_none());
        let unsigned = Target {
            operation: "AssumeRoleWithWebIdentity",
            ..request(None)
        };
        assert!(
            faults.hit(&unsigned, 100 * SECOND, None).is_none(),
            "no quota"
        );
    }

    #[test]
    fn delays_add_up_and_a_fault_that_holds_a_request_is_counted_once() {
        let mut faults = Faults::default();
        faults.add(Fault::delay(SECOND), Duration::ZERO);
        faults.add(Fault::delay(2 * SECOND).times(1), Duration::ZERO);
        assert_eq!(faults.delay_of(&request(None), Duration::ZERO), 3 * SECOND);
        assert_eq!(faults.delay_of(&request(None), Duration::ZERO), SECOND);

        faults.add(Fault::no_answer().times(1), Duration::ZERO);
        let held = faults.hit(&request(None), Duration::ZERO, None).unwrap().id;
        assert!(faults.hit(&request(None), SECOND, Some(held)).is_some());
        assert!(
            faults.hit(&request(None), SECOND, None).is_none(),
            "another request"
        );
    }

    #[test]
    fn random_latencies_have_the_distribution_that_was_asked_for() {
        let (low, high) = (Duration::from_millis(20), Duration::from_millis(80));
        let uniform = Latency::between(high, low);
        assert!((0..1000).all(|_| (low..=high).contains(&uniform.sample())));

        let latency = Latency::with_percentiles(low, high);
        let mut samples: Vec<_> = (0..20_000).map(|_| latency.sample()).collect();
        samples.sort_unstable();
        let (median, p99) = (samples[10_000], samples[19_800]);
        assert!((18..=22).contains(&median.as_millis()), "{median:?}");
        assert!((70..=92).contains(&p99.as_millis()), "{p99:?}");
        for extreme in [
            Latency::with_percentiles(Duration::ZERO, SECOND),
            Latency::with_percentiles(Duration::from_nanos(1), Duration::MAX),
            Latency::between(Duration::ZERO, Duration::MAX / 2),
        ] {
            for _ in 0..1000 {
                extreme.sample();
            }
        }
    }

    #[test]
    fn json_that_is_no_fault_is_rejected_with_the_member_and_the_rule() {
        for (json, fault) in [
            (
                r#"{"fault": "throttled", "rate": 600, "burst": 10, "lasting": 0.5}"#,
                Fault::throttled(600, 10).lasting(SECOND / 2),
            ),
            (
                r#"{"fault": "delay", "median": 1, "p99": 2, "operation": "AssumeRole"}"#,
                Fault::delay(Latency::with_percentiles(SECOND, 2 * SECOND)).operation("AssumeRole"),
            ),
            (
                r#"{"fault": "delay", "min": 1, "max": 2, "after": 1, "role": "r"}"#,
                Fault::delay(Latency::between(SECOND, 2 * SECOND))
                    .after(SECOND)
                    .role("r"),
            ),
            (
                r#"{"fault": "clock_behind", "seconds": 1}"#,
                Fault::clock_behind(SECOND),
            ),
        ] {
            assert_eq!(Fault::from_json(json).unwrap(), fault, "{json}");
        }
        for (json, reason) in [
            ("", "a fault must be a JSON object: EOF"),
            ("[]", "a fault must be a JSON object"),
            ("{}", r#"the member "fault" must be the name"#),
            (r#"{"fault": "fire"}"#, r#"fault "fire": is unknown"#),
            (
                r#"{"fault": "error", "code": "c", "message": "m"}"#,
                r#""status" must be a whole number from 100 to 999"#,
            ),
            (
                r#"{"fault": "error", "status": 42, "code": "c", "message": "m"}"#,
                "from 100 to 999",
            ),
            (
                r#"{"fault": "error", "status": 400, "message": "m"}"#,
                r#""code" must be a string"#,
            ),
            (
                r#"{"fault": "delay"}"#,
                r#""seconds" must be a number of seconds"#,
            ),
            (
                r#"{"fault": "delay", "seconds": -1}"#,
                r#""seconds" must be a number of seconds"#,
            ),
            (
                r#"{"fault": "garbage", "times": 1.5}"#,
                r#""times" must be a whole number"#,
            ),
            (
                r#"{"fault": "garbage", "role": 1}"#,
                r#""role" must be a string"#,
            ),
        ] {
            let error = Fault::from_json(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
