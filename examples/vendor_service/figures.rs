//! `/metrics`: the metrics of the service and of its chains, in Prometheus's format.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `vendor_service_requests_total` | counter | `status` | requests to put records, by the status of the response |
//! | `vendor_service_request_duration_seconds` | histogram | | duration of these requests |
//! | `vendor_service_records_total` | counter | `result` | records by outcome: `put`; `refused` by the customer's role or stream; `failed` for another reason |
//! | `vendor_service_retries_total` | counter | | retries of batches |
//! | `vendor_service_queue_kib` | gauge | | size of the queued records |
//! | `vendor_service_hub_seconds_until_expiry` | gauge | | remaining lifetime of the hub's credentials, negative after their expiry; all customers' chains depend on them |
//! | `aws_role_chain_…` | | | see the front page of the library's documentation |
//!
//! No label contains the customer, which would be a series for each of ten thousand. Failing customers are on stderr.

use std::time::{Duration, SystemTime};

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// The content type of Prometheus's text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const DURATIONS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0,
];
/// Up to the lifetime of a session, which role chaining limits to an hour.
const UNTIL_EXPIRY: [f64; 7] = [0.0, 60.0, 300.0, 900.0, 1800.0, 2700.0, 3600.0];

const DRAIN_EVERY: Duration = Duration::from_secs(5);

/// Creates the recorder. Without buckets, the exporter would turn histograms into summaries.
pub fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let until_expiry = Matcher::Suffix("seconds_until_expiry".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS)?
        .set_buckets_for_metric(until_expiry, &UNTIL_EXPIRY)?;
    Ok(builder.build_recorder())
}

/// Aggregates the samples of histograms regularly, which would use more and more memory if `/metrics` is not read.
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
