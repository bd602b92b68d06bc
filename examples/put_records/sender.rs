//! Sends batches, retries the records that failed, and saves those that cannot be sent to the dead-letter file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_firehose::Client;
use tokio::time::Instant;

use crate::firehose::{
    self, ATTEMPTS, MAX_BYTES, MAX_RECORDS, PutError, is_transient, wait_before,
};
use crate::program::{Interrupt, explain, note};

/// How long a record waits for more records before its batch is sent.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// Records with their line numbers.
#[derive(Default)]
pub struct Batch {
    records: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    due: Option<Instant>,
}

impl Batch {
    pub fn has_room_for(&self, data: &[u8]) -> bool {
        self.records.len() < MAX_RECORDS && self.bytes + data.len() <= MAX_BYTES
    }

    pub fn push(&mut self, line: u64, data: Vec<u8>) {
        self.bytes += data.len();
        self.records.push((line, data));
        self.due.get_or_insert_with(|| Instant::now() + MAX_LINGER);
    }

    /// Waits until the first record has waited for `MAX_LINGER`. Never returns for an empty batch.
    pub async fn is_due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

/// Why sending ended.
pub enum Stop {
    /// An error that retries cannot fix, from Firehose or from the credentials.
    Rejected(Box<PutError>),
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

pub struct Sender {
    firehose: Client,
    stream: String,
    dead_letters: DeadLetters,
    pub stop: Option<Stop>,
    /// Why the last call for the current batch failed, if it did.
    failure: Option<String>,
    /// Which lines Firehose did not accept, and why, since the caller last took this to print it.
    pub not_accepted: Option<String>,
    pub sent: u64,
    pub batches: u64,
    pub retries: u64,
    /// Records that are in the dead-letter file.
    pub kept: u64,
    /// Records that could be neither sent nor written to that file.
    pub lost: u64,
}

impl Sender {
    pub fn new(firehose: Client, stream: String, dead_letters: DeadLetters) -> Self {
        Self {
            firehose,
            stream,
            dead_letters,
            stop: None,
            failure: None,
            not_accepted: None,
            sent: 0,
            batches: 0,
            retries: 0,
            kept: 0,
            lost: 0,
        }
    }

    /// Sends a batch. Records that cannot be sent are saved to the dead-letter file or, if that fails, reported.
    pub async fn send(&mut self, batch: Batch, interrupt: &mut Interrupt) {
        let mut left = batch.records;
        if left.is_empty() {
            return;
        }
        if self.stop.is_some() {
            return self.give_up(left);
        }
        self.batches += 1;
        for attempt in 0..ATTEMPTS {
            let answer = tokio::select! {
                answer = self.attempt(attempt, &left) => answer,
                () = interrupt.wait() => {
                    // Without the response, it is unknown which records arrived. They are saved, although they may be
                    // duplicates.
                    self.stop = Some(Stop::Interrupted);
                    break;
                }
            };
            self.retries += u64::from(attempt > 0);
            match answer {
                Ok(failed) => {
                    self.failure = None;
                    self.sent += (left.len() - failed.len()) as u64;
                    // The positions are in ascending order. Only the failed records stay in the batch.
                    let mut failed = failed.into_iter().peekable();
                    let mut at = 0;
                    left.retain(|_| {
                        at += 1;
                        failed.next_if(|failed| *failed == at - 1).is_some()
                    });
                }
                Err(error) if is_transient(&error) => self.failure = Some(explain(&error)),
                Err(error) => {
                    self.stop = Some(Stop::Rejected(Box::new(error)));
                    break;
                }
            }
            if left.is_empty() {
                return;
            }
        }
        self.give_up(left);
    }

    /// Saves a record, or a part of a line that is too long; only the first part counts as a record.
    pub fn give_up_part(&mut self, line: u64, data: &[u8], first: bool) {
        match self.dead_letters.write(data) {
            Ok(()) => self.kept += u64::from(first),
            Err(error) => {
                self.lost += u64::from(first);
                note(format_args!(
                    "line {line} was neither sent nor saved: {error}"
                ));
            }
        }
    }

    fn give_up(&mut self, records: Vec<(u64, Vec<u8>)>) {
        let why = match (&self.stop, self.failure.take()) {
            (None, Some(why)) => Some(format!("not accepted in {ATTEMPTS} attempts: {why}")),
            (None, None) => Some(format!("not accepted in {ATTEMPTS} attempts")),
            (Some(Stop::Interrupted), Some(why)) => Some(format!("not accepted so far: {why}")),
            (Some(_), _) => None,
        };
        if let (Some(why), Some((first, _)), Some((last, _))) =
            (why, records.first(), records.last())
        {
            let count = records.len();
            let lines = format!("lines {first} to {last}: {count} record(s) {why}");
            let earlier = self.not_accepted.take().map(|earlier| earlier + "; ");
            self.not_accepted = Some(earlier.unwrap_or_default() + &lines);
        }
        for (line, data) in records {
            self.give_up_part(line, &data, true);
        }
    }

    async fn attempt(
        &self,
        attempt: u32,
        records: &[(u64, Vec<u8>)],
    ) -> Result<Vec<usize>, PutError> {
        if attempt > 0 {
            tokio::time::sleep(wait_before(attempt)).await;
        }
        let batch = records.iter().map(|(_, data)| firehose::record(data));
        firehose::put(&self.firehose, &self.stream, batch.collect()).await
    }
}

/// A file that is created when the first record is written. An existing file is appended to.
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
            None => self.open().map_err(named)?,
        };
        let about = file.metadata().map_err(named)?;
        if let Err(error) = file.write_all(data) {
            if about.is_file() {
                // Removes a partly written record, so that the next one starts on a line of its own. If this fails,
                // too, `open` adds a line feed.
                let _ = file.set_len(about.len());
            }
            return Err(named(error));
        }
        self.file = Some(file);
        Ok(())
    }

    /// Opens the file. Adds a line feed if its last record is incomplete, for example because an earlier run was
    /// killed.
    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(&self.path)?;
        if file.metadata()?.is_file() {
            let mut written = File::open(&self.path)?;
            let mut last = [b'\n'];
            if written.seek(SeekFrom::End(-1)).is_ok() {
                written.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }
}
