//! Firehose's limits, one attempt to put a batch, and what its failure means.

use std::time::Duration;

use aws_sdk_firehose::config::timeout::TimeoutConfig;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::operation::put_record_batch::PutRecordBatchError;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_sdk_firehose::{Client, Config};

/// Firehose's limit on a record, before base64: 1,000 KiB.
pub const MAX_RECORD_BYTES: usize = 1000 * 1024;

/// Firehose's limits on a batch.
pub const MAX_RECORDS: usize = 500;
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How often a record is tried before it is given up.
pub const ATTEMPTS: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(10);

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

pub type PutError = SdkError<PutRecordBatchError>;

pub fn record(data: &[u8]) -> Record {
    let record = Record::builder().data(Blob::new(data));
    record.build().expect("data is all that a record needs")
}

/// Puts a batch. Returns the places in it that failed.
pub async fn put(
    firehose: &Client,
    stream: &str,
    batch: Vec<Record>,
) -> Result<Vec<usize>, PutError> {
    let places = 0..batch.len();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT);
    let answer = firehose
        .put_record_batch()
        .delivery_stream_name(stream)
        .set_records(Some(batch))
        .customize()
        .config_override(Config::builder().timeout_config(timeouts.build()))
        .send()
        .await?;
    // Sent is what has a record id; an answer that says nothing of a record says no.
    let entries = answer.request_responses();
    let is_sent = |place: &usize| {
        let entry = entries.get(*place);
        entry.is_some_and(|entry| entry.error_code().is_none() && entry.record_id().is_some())
    };
    Ok(places.filter(|place| !is_sent(place)).collect())
}

/// Whether the same batch may be taken later. The SDK has tried a few times itself.
pub fn is_transient(error: &PutError) -> bool {
    match error {
        SdkError::ServiceError(answer) => {
            answer.raw().status().as_u16() >= 500
                || matches!(
                    answer.err().code(),
                    Some(
                        "ServiceUnavailableException"
                            | "ThrottlingException"
                            | "ExpiredTokenException"
                            | "ExpiredToken"
                    )
                )
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        // No connection; or no credentials, and then the chain knows.
        SdkError::DispatchFailure(failure) => {
            failure.is_io()
                || failure.is_timeout()
                || aws_role_chain::Error::find(error).is_some_and(|error| error.is_transient())
        }
        _ => false,
    }
}

/// Doubles, and is spread over its second half, so that many senders do not come back together.
pub fn wait_before(attempt: u32) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(1 << attempt.min(16))
        .min(MAX_WAIT);
    longest.mul_f64(fastrand::f64() / 2.0 + 0.5)
}
