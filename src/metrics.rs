//! [`Metric`]: what the feature `metrics` records through the facade of the `metrics` crate. Without the feature,
//! nothing is recorded.
//!
//! The SDK's own meter (`aws-smithy-observability`) is not used: its adapter is for OpenTelemetry 0.26, which no
//! Prometheus exporter supports, and it cannot remove a gauge, so each dropped pool would leak one.
//!
//! No label has an unbounded number of values: never a role, a session or a customer.

#![cfg_attr(not(feature = "metrics"), allow(dead_code))]

use std::time::Duration;

use crate::error::Operation;

/// An event that changes a metric.
pub(crate) enum Metric<'a> {
    /// A load of credentials has ended.
    LoadEnded {
        operation: Operation,
        outcome: &'static str,
        took: Duration,
        /// The remaining lifetime of the credentials that are cached after the load.
        valid_for: Duration,
    },
    /// A call to STS has waited for the rate limiter.
    CallWaited { region: &'a str, wait: Duration },
    /// STS has throttled a call.
    CallThrottled { region: &'a str },
    /// A pool was asked for a chain.
    PoolAsked { is_hit: bool },
    /// A pool has dropped chains.
    PoolEvicted { reason: &'static str, chains: u64 },
    /// The number of chains in all pools has changed.
    PoolSizeChanged { by: f64 },
}

impl Metric<'_> {
    pub(crate) fn record(self) {
        #[cfg(feature = "metrics")]
        {
            use ::metrics::{counter, gauge, histogram};

            match self {
                Self::LoadEnded {
                    operation,
                    outcome,
                    took,
                    valid_for,
                } => {
                    let labels = [("operation", operation.name()), ("outcome", outcome)];
                    counter!("aws_role_chain_loads_total", &labels).increment(1);
                    histogram!("aws_role_chain_load_duration_seconds", &labels).record(took);
                    histogram!("aws_role_chain_seconds_until_expiry", &labels).record(valid_for);
                }
                Self::CallWaited { region, wait } => {
                    let region = region.to_owned();
                    histogram!("aws_role_chain_sts_wait_seconds", "region" => region).record(wait);
                }
                Self::CallThrottled { region } => {
                    let region = region.to_owned();
                    counter!("aws_role_chain_sts_throttled_total", "region" => region).increment(1);
                }
                Self::PoolAsked { is_hit } => {
                    let result = if is_hit { "hit" } else { "miss" };
                    counter!("aws_role_chain_pool_gets_total", "result" => result).increment(1);
                }
                Self::PoolEvicted { reason, chains } => {
                    let evictions =
                        counter!("aws_role_chain_pool_evictions_total", "reason" => reason);
                    evictions.increment(chains);
                }
                Self::PoolSizeChanged { by } => gauge!("aws_role_chain_pool_chains").increment(by),
            }
        }
    }
}
