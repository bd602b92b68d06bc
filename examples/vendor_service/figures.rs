//! `/metrics`: the figures of the service and of its chains, as Prometheus reads them.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `vendor_service_requests_total` | counter | `status` | requests for records that were answered |
//! | `vendor_service_request_duration_seconds` | histogram | | how long they took |
//! | `vendor_service_records_total` | counter | `result`: `put`, `refused`, `failed` | records by what became of them |
//! | `vendor_service_retries_total` | counter | | batches that were sent again |
//! | `vendor_service_queue_kib` | gauge | | what waits to be put on streams |
//! | `vendor_service_hub_seconds_until_expiry` | gauge | | how long the hub's credentials stay valid, negative when they have expired: of all chains the one that the others need |
//! | `aws_role_chain_…` | | | see the front page of the library's documentation |
//!
//! No label is a customer: that would be a series for each of ten thousand. Which customers fail is on stderr.

use std::time::{Duration, SystemTime};

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// What Prometheus asks for.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const DURATIONS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0,
];
/// Sessions last an hour.
const UNTIL_EXPIRY: [f64; 7] = [0.0, 60.0, 300.0, 900.0, 1800.0, 2700.0, 3600.0];

const DRAIN_EVERY: Duration = Duration::from_secs(5);

/// Creates the recorder; without buckets a histogram would be a summary.
pub fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let until_expiry = Matcher::Suffix("seconds_until_expiry".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS)?
        .set_buckets_for_metric(until_expiry, &UNTIL_EXPIRY)?;
    Ok(builder.build_recorder())
}

/// Keeps the samples of histograms from piling up while nobody reads `/metrics`.
pub async fn drain(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(DRAIN_EVERY).await;
        handle.run_upkeep();
    }
}

pub fn request_answered(status: &str, took: Duration) {
    counter!("vendor_service_requests_total", "status" => status.to_owned()).increment(1);
    histogram!("vendor_service_request_duration_seconds").record(took);
}

pub fn hub_expires(at: SystemTime) {
    let left = match at.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(expired) => -expired.duration().as_secs_f64(),
    };
    gauge!("vendor_service_hub_seconds_until_expiry").set(left);
}

pub fn queue_used(kib: u32) {
    gauge!("vendor_service_queue_kib").set(kib);
}
