//! What the feature `metrics` counts, on the facade of the `metrics` crate. Without the feature these functions do
//! nothing.
//!
//! No label has values without bound: never a role, a session or a customer.

#![cfg_attr(not(feature = "metrics"), allow(unused_variables))]

use std::time::Duration;

use crate::error::{Error, Operation};

/// A load of credentials has ended: how, after what time, and for how long what is cached now stays valid.
pub(crate) fn load_ended(
    operation: Operation,
    failure: Option<&Error>,
    took: Duration,
    valid_for: Duration,
) {
    #[cfg(feature = "metrics")]
    {
        let outcome = failure.map_or("success", Error::outcome);
        let labels = [("operation", operation.name()), ("outcome", outcome)];
        ::metrics::counter!("aws_role_chain_loads_total", &labels).increment(1);
        ::metrics::histogram!("aws_role_chain_load_duration_seconds", &labels).record(took);
        ::metrics::histogram!("aws_role_chain_seconds_until_expiry", &labels).record(valid_for);
    }
}

/// A call to STS has waited so long for its turn.
pub(crate) fn call_waited(region: &str, wait: Duration) {
    #[cfg(feature = "metrics")]
    ::metrics::histogram!("aws_role_chain_sts_wait_seconds", "region" => region.to_owned())
        .record(wait);
}

/// STS has throttled a call.
pub(crate) fn call_throttled(region: &str) {
    #[cfg(feature = "metrics")]
    ::metrics::counter!("aws_role_chain_sts_throttled_total", "region" => region.to_owned())
        .increment(1);
}

/// A pool was asked for a chain.
pub(crate) fn pool_asked(is_hit: bool) {
    #[cfg(feature = "metrics")]
    {
        let result = if is_hit { "hit" } else { "miss" };
        ::metrics::counter!("aws_role_chain_pool_gets_total", "result" => result).increment(1);
    }
}

/// A pool's size has changed.
pub(crate) fn pool_size_changed(by: f64) {
    #[cfg(feature = "metrics")]
    ::metrics::gauge!("aws_role_chain_pool_chains").increment(by);
}

/// A pool has dropped chains, for this reason.
pub(crate) fn pool_evicted(reason: &'static str, chains: u64) {
    #[cfg(feature = "metrics")]
    ::metrics::counter!("aws_role_chain_pool_evictions_total", "reason" => reason)
        .increment(chains);
}
