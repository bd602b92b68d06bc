//! Reads records line by line, in bounded memory.

use std::io;
use std::path::Path;
use std::pin::Pin;

use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::firehose::MAX_RECORD_BYTES;

pub enum Line {
    Record {
        number: u64,
        data: Vec<u8>,
    },
    /// A part of a line that is too long for a record. The last part ends with a line feed.
    TooLong {
        number: u64,
        data: Vec<u8>,
        first: bool,
    },
}

pub struct Input {
    reader: Pin<Box<dyn AsyncBufRead>>,
    size: Option<u64>,
    position: u64,
    lines: u64,
    /// The part of the current line that has been read.
    part: Vec<u8>,
    in_long_line: bool,
}

impl Input {
    pub fn stdin() -> Self {
        Self::new(BufReader::new(tokio::io::stdin()), None)
    }

    /// The sample records of this example.
    pub fn sample() -> Self {
        let records = include_bytes!("records.ndjson");
        Self::new(&records[..], Some(records.len() as u64))
    }

    pub async fn file(path: &Path) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).await.map_err(named)?;
        let about = file.metadata().await.map_err(named)?;
        if about.is_dir() {
            return Err(named(io::ErrorKind::IsADirectory.into()));
        }
        let size = about.is_file().then_some(about.len());
        Ok(Self::new(BufReader::new(file), size))
    }

    fn new(reader: impl AsyncBufRead + 'static, size: Option<u64>) -> Self {
        Self {
            reader: Box::pin(reader),
            size,
            position: 0,
            lines: 0,
            part: Vec::new(),
            in_long_line: false,
        }
    }

    pub fn size(&self) -> Option<u64> {
        self.size
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the number of the first line that was not returned completely.
    pub fn next_number(&self) -> u64 {
        self.lines + u64::from(!self.in_long_line)
    }

    /// Returns whether only a part of a long line has been returned so far.
    pub fn is_in_long_line(&self) -> bool {
        self.in_long_line
    }

    /// Returns the next line that is not empty. Every record ends with a line feed. The future is safe to cancel: the
    /// next call continues with what was already read.
    pub async fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let complete = self.read_part().await?;
            let mut data = std::mem::take(&mut self.part);
            let first = !self.in_long_line;
            if first && data.is_empty() {
                return Ok(None);
            }
            self.lines += u64::from(first);
            let number = self.lines;
            if complete && data.last() != Some(&b'\n') {
                data.push(b'\n');
            }
            if self.in_long_line || !complete || data.len() > MAX_RECORD_BYTES {
                self.in_long_line = !complete;
                return Ok(Some(Line::TooLong {
                    number,
                    data,
                    first,
                }));
            }
            if data != b"\n" && data != b"\r\n" {
                return Ok(Some(Line::Record { number, data }));
            }
        }
    }

    /// Reads up to a line feed, the end of the input, or one byte more than the limit for a record. Returns whether the
    /// line is complete.
    async fn read_part(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.reader.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(true);
            }
            let room = MAX_RECORD_BYTES + 1 - self.part.len();
            let available = &buffer[..buffer.len().min(room)];
            let (taken, complete) = match available.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (available.len(), false),
            };
            self.part.extend_from_slice(&available[..taken]);
            self.reader.as_mut().consume(taken);
            self.position += taken as u64;
            if complete || self.part.len() > MAX_RECORD_BYTES {
                return Ok(complete);
            }
        }
    }
}
