//! Conditional requests of S3 (`If-Match` and similar headers).
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>

use std::time::SystemTime;

use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Why a conditional request is not performed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unmet {
    /// The object that the condition requires does not exist.
    NoObject,
    Failed,
    /// The client has the current version of the object already.
    NotModified,
}

/// Checks the headers of a request against the object's ETag and modification time; `object` is `None` if there is
/// none.
pub(super) fn check(
    headers: &Headers,
    object: Option<(&str, SystemTime)>,
    is_read: bool,
) -> Result<(), Unmet> {
    let names = |header: &str, etag: &str| {
        let bare = |text: &str| text.trim().trim_matches('"').to_owned();
        let mut named = header.split(',').map(bare);
        named.any(|named| named == "*" || named == bare(etag))
    };
    // HTTP requires that invalid dates be ignored.
    let since = |name: &str| {
        let date = DateTime::from_str(headers.get(name)?, Format::HttpDate).ok()?;
        let (_, modified) = object?;
        // HTTP dates have a resolution of seconds.
        Some(DateTime::from(modified).secs() > date.secs())
    };
    match (headers.get("if-match"), object) {
        (Some(_), None) => return Err(Unmet::NoObject),
        (Some(header), Some((etag, _))) if !names(header, etag) => return Err(Unmet::Failed),
        (None, _) if since("if-unmodified-since") == Some(true) => return Err(Unmet::Failed),
        _ => {}
    }
    match (headers.get("if-none-match"), object) {
        (Some(header), Some((etag, _))) if names(header, etag) => Err(if is_read {
            Unmet::NotModified
        } else {
            Unmet::Failed
        }),
        (None, _) if is_read && since("if-modified-since") == Some(false) => {
            Err(Unmet::NotModified)
        }
        _ => Ok(()),
    }
}
