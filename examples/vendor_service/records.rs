//! The body of a request: newline-delimited JSON, within Firehose's limits.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::Value;

use crate::firehose::{MAX_BYTES, MAX_RECORD_BYTES, MAX_RECORDS};

/// Returns the records with their line numbers. Each ends in a line feed, so that the objects that Firehose writes
/// are newline-delimited too; empty lines are left out.
pub fn parse(body: &Bytes) -> Result<Vec<(usize, Bytes)>, (StatusCode, String)> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for (number, line) in (1..).zip(body.split_inclusive(|byte| *byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let data = match line.last() {
            Some(b'\n') => body.slice_ref(line),
            _ => Bytes::from([line, b"\n"].concat()),
        };
        if data.len() > MAX_RECORD_BYTES {
            return too_large(format!(
                "line {number}: over 1,000 KiB with its line feed, the most that Firehose takes in a record"
            ));
        }
        if let Err(error) = serde_json::from_slice::<Value>(line) {
            // Its position is that in the line.
            let reason = format!("line {number}: must be a JSON value: {error}");
            return Err((StatusCode::BAD_REQUEST, reason));
        }
        bytes += data.len();
        records.push((number, data));
    }
    if records.is_empty() {
        let reason = "no records: the body must be JSON values, one a line".to_owned();
        return Err((StatusCode::BAD_REQUEST, reason));
    }
    if records.len() > MAX_RECORDS || bytes > MAX_BYTES {
        return too_large(format!(
            "{} records, {bytes} bytes with their line feeds: over {TOO_MANY}",
            records.len()
        ));
    }
    Ok(records)
}

/// What a request may have.
pub const TOO_MANY: &str = "500 records or 4 MiB, the most that Firehose takes in a batch";

fn too_large<T>(reason: String) -> Result<T, (StatusCode, String)> {
    Err((StatusCode::PAYLOAD_TOO_LARGE, reason))
}
