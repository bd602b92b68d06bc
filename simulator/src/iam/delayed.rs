//! [`Delayed`]: users and roles whose changes STS sees later than IAM does.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A map by ARN. IAM reads the latest value; STS reads the value before a change until the delay is over.
pub(super) struct Delayed<T> {
    latest: HashMap<String, T>,
    /// From the oldest change to the newest.
    changes: Vec<Change<T>>,
    now: SystemTime,
    delay: Duration,
}

struct Change<T> {
    arn: String,
    /// The value before the change; `None` if the change created the entry.
    before: Option<T>,
    visible_from: SystemTime,
}

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Self {
            latest: HashMap::new(),
            changes: Vec::new(),
            now: UNIX_EPOCH,
            delay: Duration::ZERO,
        }
    }
}

impl<T: Clone> Delayed<T> {
    /// Sets the current time, and the delay of changes from now on.
    pub(super) fn set_time(&mut self, now: SystemTime, delay: Duration) {
        (self.now, self.delay) = (now, delay);
        self.changes.retain(|change| change.visible_from > now);
    }

    /// Returns the value that IAM reads.
    pub(super) fn get(&self, arn: &str) -> Option<&T> {
        self.latest.get(arn)
    }

    /// Returns the value that STS reads.
    pub(super) fn seen_by_sts(&self, arn: &str) -> Option<&T> {
        match self.changes.iter().find(|change| change.arn == arn) {
            Some(first_unseen) => first_unseen.before.as_ref(),
            None => self.get(arn),
        }
    }

    pub(super) fn insert(&mut self, arn: String, value: T) {
        let before = self.latest.insert(arn.clone(), value);
        self.record(arn, before);
    }

    pub(super) fn remove(&mut self, arn: &str) {
        let before = self.latest.remove(arn);
        self.record(arn.to_owned(), before);
    }

    fn record(&mut self, arn: String, before: Option<T>) {
        if !self.delay.is_zero() {
            self.changes.push(Change {
                arn,
                before,
                visible_from: self.now + self.delay,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_seen_after_its_own_delay() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut map = Delayed::default();
        map.insert("a".to_owned(), 1);
        assert_eq!(map.seen_by_sts("a"), Some(&1), "without a delay");
        let delay = Duration::from_secs(10);
        map.set_time(at(0), delay);
        map.insert("a".to_owned(), 2);
        map.set_time(at(5), delay);
        map.remove("a");
        map.insert("b".to_owned(), 3);
        for (seconds, a, b) in [
            (5, Some(&1), None),
            (10, Some(&2), None),
            (15, None, Some(&3)),
        ] {
            map.set_time(at(seconds), delay);
            assert_eq!(
                (map.seen_by_sts("a"), map.seen_by_sts("b")),
                (a, b),
                "at {seconds} s"
            );
            assert_eq!((map.get("a"), map.get("b")), (None, Some(&3)));
        }
    }
}
