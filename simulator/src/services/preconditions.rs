//! Conditional requests of S3: `If-Match` and the like.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>

use std::time::SystemTime;

use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Why a request must not be performed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unmet {
    /// There is no object that the condition could be about.
    NoObject,
    Failed,
    /// The client, who wants to read the object, has it.
    NotModified,
}

/// Compares the headers of a request with the object: its ETag, and when it was written; `None` if there is none.
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
    // A date that cannot be read is passed over, as HTTP demands.
    let since = |name: &str| {
        let date = DateTime::from_str(headers.get(name)?, Format::HttpDate).ok()?;
        let (_, modified) = object?;
        // HTTP's dates are in seconds.
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
