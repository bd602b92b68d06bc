//! Firehose's limits, one call of [PutRecordBatch], and which of its errors are worth a retry.
//!
//! [PutRecordBatch]: https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html

use std::time::Duration;

use aws_role_chain::RoleChain;
use aws_sdk_firehose::config::Builder;
use aws_sdk_firehose::config::timeout::TimeoutConfig;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::operation::put_record_batch::PutRecordBatchError;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_sdk_firehose::{Client, Config};

/// Firehose's limit for the data of a record, before base64: 1,000 KiB.
pub const MAX_RECORD_BYTES: usize = 1000 * 1024;

/// Firehose's limits for a batch, which cannot be raised: 500 records, and 4 MiB of data in total.
pub const MAX_RECORDS: usize = 500;
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How often a record is sent before it counts as failed.
pub const ATTEMPTS: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Timeout of each attempt of a call. The SDK sets none by default.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

pub type PutError = SdkError<PutRecordBatchError>;

/// Creates the config of a client that uses the chain's credentials. With `session_renewal`, the client repeats a call
/// with a new session if Firehose rejects the old one, for example because it was revoked.
pub fn config(chain: &RoleChain) -> Builder {
    let renewal = chain.session_renewal();
    Builder::from(&chain.sdk_config())
        .interceptor(renewal.clone())
        .retry_classifier(renewal)
}

pub fn record(data: &[u8]) -> Record {
    let record = Record::builder().data(Blob::new(data));
    record.build().expect("data is the only required field")
}

/// Puts a batch on the stream. Returns the positions of the records that Firehose did not accept.
///
/// A call can succeed although some of its records failed, for example because the stream's throughput limit was
/// exceeded. Retry only those: the others are on the stream, and would be delivered twice.
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
    // Firehose confirms a record with a record ID. A record without an entry in the response counts as failed.
    let entries = answer.request_responses();
    let is_sent = |place: &usize| {
        let entry = entries.get(*place);
        entry.is_some_and(|entry| entry.error_code().is_none() && entry.record_id().is_some())
    };
    Ok(places.filter(|place| !is_sent(place)).collect())
}

/// Returns whether the same batch may succeed later. The SDK has already retried the call a few times.
///
/// `ExpiredToken` is one of these errors: while STS is unavailable, the chain serves credentials beyond their expiry
/// and keeps trying to renew them.
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
        // Either there was no connection, or no credentials, and then the chain's error tells whether to retry.
        SdkError::DispatchFailure(failure) => {
            failure.is_io()
                || failure.is_timeout()
                || aws_role_chain::Error::find(error).is_some_and(|error| error.is_transient())
        }
        _ => false,
    }
}

/// Returns the wait before a retry: exponential back-off, with jitter over its second half so that many senders do not
/// retry at the same moment.
pub fn wait_before(attempt: u32) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(1 << attempt.min(16))
        .min(MAX_WAIT);
    longest.mul_f64(fastrand::f64() / 2.0 + 0.5)
}
