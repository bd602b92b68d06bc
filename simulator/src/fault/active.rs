//! [`Faults`]: which faults are active, and which of them applies to a request.

use std::collections::HashMap;
use std::time::Duration;

use super::definition::{Effect, Fault};

/// The operations that count against the quota of a caller's account in a region.
const WITH_QUOTA: [&str; 6] = [
    "AssumeRole",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetCallerIdentity",
    "GetFederationToken",
    "GetSessionToken",
];

/// The properties of a request that a fault can be limited to.
pub(crate) struct Target<'a> {
    pub(crate) operation: &'a str,
    pub(crate) role_arn: Option<&'a str>,
    /// The account of the caller; `None` if the request is not signed with a key that exists.
    pub(crate) account: Option<&'a str>,
    pub(crate) region: &'a str,
}

/// The active faults.
#[derive(Default)]
pub(crate) struct Faults {
    /// In the order in which they were added.
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

/// A fault that applies to a request.
pub(crate) struct Hit {
    pub(crate) id: u64,
    pub(crate) effect: Effect,
    /// When the fault ends by itself; `None` if it does not.
    pub(crate) end: Option<Duration>,
}

impl Faults {
    /// Adds a fault; `now` is the time since the simulator was created.
    pub(crate) fn add(&mut self, fault: Fault, now: Duration) {
        self.active.retain(|active| !active.is_over(now));
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

    /// Returns the sum of the delays that apply to a request.
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

    /// Returns the fault that applies to a request, and counts the request. `held` is the fault that holds the request
    /// already; it is not counted again.
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
    /// Whether the fault applies to no request any more. One that holds requests does so until it ends.
    fn is_over(&self, now: Duration) -> bool {
        let is_used_up = self.fault.times.is_some_and(|times| self.used >= times);
        self.end.is_some_and(|end| end <= now)
            || is_used_up && self.fault.effect != Effect::NoAnswer
    }

    fn is_in_window(&self, now: Duration) -> bool {
        self.start <= now && self.end.is_none_or(|end| now < end)
    }

    fn is_due(&self, request: &Target<'_>, now: Duration) -> bool {
        self.is_in_window(now)
            && self.fault.times.is_none_or(|times| self.used < times)
            && self.fault.fits(request)
    }

    /// Takes a token from the bucket of the request and returns whether there was none; returns `true` for faults other
    /// than throttling.
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

impl Fault {
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
    fn faults_that_are_over_are_forgotten_except_one_that_may_hold_a_request() {
        let mut faults = Faults::default();
        faults.add(Fault::no_answer().times(1), Duration::ZERO);
        let held = faults.hit(&request(None), Duration::ZERO, None).unwrap().id;
        for _ in 0..100 {
            faults.add(Fault::throttling().times(1), Duration::ZERO);
            assert!(code(&mut faults, None, Duration::ZERO).is_some());
            faults.add(
                Fault::throttling().role("a").lasting(SECOND),
                Duration::ZERO,
            );
            faults.add(Fault::garbage().after(SECOND).times(1), SECOND);
        }
        faults.add(Fault::throttling().after(9 * SECOND), 2 * SECOND);
        // The first, those that have not started, and the latest.
        assert_eq!(faults.active.len(), 102);
        assert!(faults.hit(&request(None), SECOND, Some(held)).is_some());
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
}
