//! Sends batches, sends again what failed of them, and keeps what cannot be sent.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::operation::put_record_batch::PutRecordBatchError;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use tokio::time::Instant;

/// Firehose's limits on a batch.
const MOST_RECORDS: usize = 500;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How often a record is tried before it is given up.
const ATTEMPTS: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

type PutError = SdkError<PutRecordBatchError>;

/// How long a record waits for others to fill its batch.
const LONGEST_LINGER: Duration = Duration::from_secs(1);

/// Records with their line numbers.
#[derive(Default)]
pub struct Batch {
    records: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    due: Option<Instant>,
}

impl Batch {
    pub fn has_room_for(&self, data: &[u8]) -> bool {
        self.records.len() < MOST_RECORDS && self.bytes + data.len() <= MOST_BYTES
    }

    pub fn push(&mut self, line: u64, data: Vec<u8>) {
        self.bytes += data.len();
        self.records.push((line, data));
        self.due
            .get_or_insert_with(|| Instant::now() + LONGEST_LINGER);
    }

    /// When the first record has waited long enough; never for an empty batch.
    pub async fn is_due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

pub struct Sender {
    firehose: Client,
    stream: String,
    dead_letters: DeadLetters,
    /// The error after which nothing more is sent.
    pub stopped_by: Option<PutError>,
    pub sent: u64,
    pub batches: u64,
    pub retries: u64,
    pub failed: u64,
}

impl Sender {
    pub fn new(firehose: Client, stream: String, dead_letters: DeadLetters) -> Self {
        Self {
            firehose,
            stream,
            dead_letters,
            stopped_by: None,
            sent: 0,
            batches: 0,
            retries: 0,
            failed: 0,
        }
    }

    /// Sends a batch; what cannot be sent goes to the dead letters, and is counted. An error is one
    /// of the dead-letter file's.
    pub async fn send(&mut self, batch: Batch) -> io::Result<()> {
        let mut left = batch.records;
        if left.is_empty() {
            return Ok(());
        }
        if self.stopped_by.is_some() {
            return self.give_up(left);
        }
        self.batches += 1;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.retries += 1;
                tokio::time::sleep(wait_before(attempt)).await;
            }
            match self.put(&left).await {
                Ok(failed) => {
                    self.sent += (left.len() - failed.len()) as u64;
                    // A batch is answered entry by entry, in order: keep those that failed.
                    let mut failed = failed.into_iter().peekable();
                    let mut at = 0;
                    left.retain(|_| {
                        at += 1;
                        failed.next_if(|failed| *failed == at - 1).is_some()
                    });
                }
                // Some of it may have arrived all the same: Firehose delivers at least once.
                Err(error) if may_pass(&error) => {}
                Err(error) => {
                    self.stopped_by = Some(error);
                    break;
                }
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        self.give_up(left)
    }

    /// The first part of a line that is too long.
    pub fn give_up_part(&mut self, data: &[u8]) -> io::Result<()> {
        self.failed += 1;
        self.dead_letters.write(data)
    }

    /// The following parts of it.
    pub fn give_up_rest(&mut self, data: &[u8], last: bool) -> io::Result<()> {
        self.dead_letters.write(data)?;
        if last && !data.ends_with(b"\n") {
            self.dead_letters.write(b"\n")?;
        }
        Ok(())
    }

    fn give_up(&mut self, records: Vec<(u64, Vec<u8>)>) -> io::Result<()> {
        self.failed += records.len() as u64;
        let (Some((first, _)), Some((last, _))) = (records.first(), records.last()) else {
            return Ok(());
        };
        if self.stopped_by.is_none() {
            let n = records.len();
            eprintln!("lines {first} to {last}: {n} records given up after {ATTEMPTS} attempts");
        }
        for (line, data) in &records {
            self.dead_letters.write(data).map_err(|error| {
                let lost = format!("lines {line} to {last} were neither sent nor kept: {error}");
                io::Error::new(error.kind(), lost)
            })?;
        }
        Ok(())
    }

    /// The places in the batch that failed.
    async fn put(&self, records: &[(u64, Vec<u8>)]) -> Result<Vec<usize>, PutError> {
        let records = records.iter().map(|(_, data)| {
            let record = Record::builder().data(Blob::new(data.as_slice()));
            record.build().expect("data is all that a record needs")
        });
        let answer = self
            .firehose
            .put_record_batch()
            .delivery_stream_name(&self.stream)
            .set_records(Some(records.collect()))
            .send()
            .await?;
        let entries = answer.request_responses().iter().enumerate();
        let failed = entries.filter(|(_, entry)| entry.error_code().is_some());
        Ok(failed.map(|(place, _)| place).collect())
    }
}

/// Whether the same batch may be taken later. The SDK has tried a few times itself.
fn may_pass(error: &PutError) -> bool {
    match error {
        SdkError::ServiceError(answer) => {
            answer.raw().status().as_u16() >= 500
                || matches!(
                    answer.err().code(),
                    Some(
                        "ServiceUnavailableException"
                            | "ThrottlingException"
                            | "ExpiredTokenException"
                    )
                )
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        _ => false,
    }
}

/// Doubles, and is spread over its second half, so that many senders do not come back together.
fn wait_before(attempt: u32) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(1 << attempt.min(16))
        .min(LONGEST_WAIT);
    longest.mul_f64(fastrand::f64() / 2.0 + 0.5)
}

/// A file that is made when it is first needed; one that is there already is added to.
pub struct DeadLetters {
    path: PathBuf,
    file: Option<File>,
}

impl DeadLetters {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let named = |error: io::Error| {
            let path = self.path.display();
            io::Error::new(error.kind(), format!("dead-letter file {path}: {error}"))
        };
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options
                    .create(true)
                    .append(true)
                    .open(&self.path)
                    .map_err(named)?
            }
        };
        file.write_all(data).map_err(named)?;
        self.file = Some(file);
        Ok(())
    }
}
