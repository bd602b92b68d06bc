//! The body of a request: newline-delimited JSON, within Firehose's limits.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::Value;

use crate::firehose::{MAX_BYTES, MAX_RECORD_BYTES, MAX_RECORDS};

/// Returns the records with their line numbers. Each ends with a line feed, because Firehose concatenates records in
/// the objects that it writes. Empty lines are skipped.
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
                "line {number}: over 1,000 KiB with its line feed, Firehose's limit for a record"
            ));
        }
        if let Err(error) = serde_json::from_slice::<Value>(line) {
            // The position in serde_json's error counts from the beginning of this line.
            let reason = format!("line {number}: must be a JSON value: {error}");
            return Err((StatusCode::BAD_REQUEST, reason));
        }
        bytes += data.len();
        records.push((number, data));
    }
    if records.is_empty() {
        let reason = "no records: the body must contain JSON values, one per line".to_owned();
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

/// The limits of a request, for error texts.
pub const TOO_MANY: &str = "500 records or 4 MiB, Firehose's limits for a batch";

fn too_large<T>(reason: String) -> Result<T, (StatusCode, String)> {
    Err((StatusCode::PAYLOAD_TOO_LARGE, reason))
}
