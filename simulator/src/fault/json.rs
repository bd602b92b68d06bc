//! Faults in JSON; see [`Fault::from_json`].

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::definition::{Fault, FaultError};
use super::latency::Latency;
use crate::arn;

impl Fault {
    /// Reads a fault from a JSON object. `fault` is the name of a constructor; the other members are the constructor's
    /// parameters and the limits, with times in seconds:
    ///
    /// | `fault` | members |
    /// |---|---|
    /// | `error` | `status`, `code`, `message` |
    /// | `throttled` | `rate`, `burst` |
    /// | `clock_ahead`, `clock_behind` | `seconds` |
    /// | `delay` | `seconds`; or `min` and `max`; or `median` and `p99` |
    /// | `service_unavailable`, `throttling`, `no_answer`, `connection_closed`, `connection_reset`, `truncated`, `garbage`, `expired_credentials` | |
    /// | any | `role` (an ARN), `operation` (of STS), `times`, `after`, `lasting` |
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
    /// # Ok::<(), sts_simulator::FaultError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the text is not such an object. The error names the member and the rule for it.
    pub fn from_json(text: &str) -> Result<Self, FaultError> {
        read(text)
    }
}

type Read = fn(&mut Members) -> Result<Fault, FaultError>;

/// The names of all faults, each with the function that reads the members for its constructor.
const FAULTS: &[(&str, Read)] = &[
    ("error", |members| {
        let status = members.whole("status", 100..=999)?;
        Ok(Fault::error(
            status as u16,
            members.text("code")?,
            members.text("message")?,
        ))
    }),
    ("service_unavailable", |_| Ok(Fault::service_unavailable())),
    ("throttling", |_| Ok(Fault::throttling())),
    ("throttled", |members| {
        let rate = members.whole("rate", 0..=u32::MAX)?;
        Ok(Fault::throttled(
            rate,
            members.whole("burst", 0..=u32::MAX)?,
        ))
    }),
    ("no_answer", |_| Ok(Fault::no_answer())),
    ("connection_closed", |_| Ok(Fault::connection_closed())),
    ("connection_reset", |_| Ok(Fault::connection_reset())),
    ("truncated", |_| Ok(Fault::truncated())),
    ("garbage", |_| Ok(Fault::garbage())),
    ("expired_credentials", |_| Ok(Fault::expired_credentials())),
    ("clock_ahead", |members| {
        Ok(Fault::clock_ahead(members.seconds("seconds")?))
    }),
    ("clock_behind", |members| {
        Ok(Fault::clock_behind(members.seconds("seconds")?))
    }),
    ("delay", |members| {
        let latency = if members.has("min") {
            Latency::between(members.seconds("min")?, members.seconds("max")?)
        } else if members.has("median") {
            Latency::with_percentiles(members.seconds("median")?, members.seconds("p99")?)
        } else {
            members.seconds("seconds")?.into()
        };
        Ok(Fault::delay(latency))
    }),
];

fn read(text: &str) -> Result<Fault, FaultError> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| FaultError(format!("a fault must be a JSON object: {error}")))?;
    let Value::Object(members) = value else {
        return Err(FaultError("a fault must be a JSON object".to_owned()));
    };
    let mut members = Members::new(members)?;
    let Some((_, read)) = FAULTS.iter().find(|(name, _)| *name == members.fault) else {
        let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
        return Err(FaultError(format!(
            "unknown fault {:?}; supported: {}",
            members.fault,
            names.join(", ")
        )));
    };
    let effect = read(&mut members)?;
    let fault = Fault {
        role: members.optional("role", Members::role)?,
        operation: members.optional("operation", Members::operation)?,
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

/// The members of a fault that have not been read yet.
struct Members {
    fault: String,
    rest: Map<String, Value>,
}

impl Members {
    fn new(mut rest: Map<String, Value>) -> Result<Self, FaultError> {
        match rest.remove("fault") {
            Some(Value::String(fault)) => Ok(Self { fault, rest }),
            _ => Err(FaultError(
                "the member \"fault\" must be the name of a fault, such as \"throttling\""
                    .to_owned(),
            )),
        }
    }

    fn error(&self, reason: impl fmt::Display) -> FaultError {
        FaultError(format!("fault {:?}: {reason}", self.fault))
    }

    fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    fn text(&mut self, name: &str) -> Result<String, FaultError> {
        match self.rest.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.error(format!("{name:?} must be a string"))),
        }
    }

    fn role(&mut self, name: &str) -> Result<String, FaultError> {
        let role = self.text(name)?;
        match arn::split(&role) {
            Some(["arn", _, "iam", "", _, resource]) if resource.starts_with("role/") => Ok(role),
            _ => Err(self.error(format!("{name:?} must be the ARN of a role"))),
        }
    }

    fn operation(&mut self, name: &str) -> Result<String, FaultError> {
        const OF_STS: [&str; 11] = [
            "AssumeRole",
            "AssumeRoleWithSAML",
            "AssumeRoleWithWebIdentity",
            "AssumeRoot",
            "DecodeAuthorizationMessage",
            "GetAccessKeyInfo",
            "GetCallerIdentity",
            "GetDelegatedAccessToken",
            "GetFederationToken",
            "GetSessionToken",
            "GetWebIdentityToken",
        ];
        let operation = self.text(name)?;
        if OF_STS.contains(&&*operation) {
            return Ok(operation);
        }
        let rule = format!("{name:?} must be an operation of STS, such as \"AssumeRole\"");
        Err(self.error(rule))
    }

    fn whole(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, FaultError> {
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

    fn seconds(&mut self, name: &str) -> Result<Duration, FaultError> {
        let seconds = self.rest.remove(name).as_ref().and_then(Value::as_f64);
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| self.error(format!("{name:?} must be a number of seconds")))
    }

    fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<T, FaultError>,
    ) -> Result<Option<T>, FaultError> {
        if self.has(name) {
            read(self, name).map(Some)
        } else {
            Ok(None)
        }
    }

    fn finish(self) -> Result<(), FaultError> {
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

    #[test]
    fn the_error_for_an_unknown_fault_lists_every_documented_fault() {
        let error = Fault::from_json(r#"{"fault": "fire"}"#).unwrap_err();
        let error = error.to_string();
        let (_, names) = error.split_once("; supported: ").unwrap();
        let mut listed: Vec<&str> = names.split(", ").collect();
        listed.sort_unstable();

        // The first column of the table in the documentation of `Fault::from_json`.
        let rows = include_str!("json.rs").lines();
        let rows = rows.filter_map(|line| line.trim().strip_prefix("/// | `")?.split(" | ").next());
        let names = rows.flat_map(|names| names.split(", "));
        let mut documented: Vec<&str> = names.map(|name| name.trim_matches('`')).collect();
        documented.retain(|name| *name != "fault"); // the heading
        documented.sort_unstable();
        assert_eq!(listed, documented);
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
                r#"{"fault": "delay", "min": 1, "max": 2, "after": 1, "role": "arn:aws:iam::111111111111:role/r"}"#,
                Fault::delay(Latency::between(SECOND, 2 * SECOND))
                    .after(SECOND)
                    .role("arn:aws:iam::111111111111:role/r"),
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
            (
                r#"{"fault": "fire"}"#,
                r#"unknown fault "fire"; supported: error, "#,
            ),
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
            // A fault with these limits would never apply, and a test of its effects would pass.
            (
                r#"{"fault": "garbage", "role": "Writer"}"#,
                r#""role" must be the ARN of a role"#,
            ),
            (
                r#"{"fault": "garbage", "operation": "assumeRole"}"#,
                r#""operation" must be an operation of STS, such as "AssumeRole""#,
            ),
        ] {
            let error = Fault::from_json(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
