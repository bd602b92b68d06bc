//! Two services that most tests of a chain of roles end in, in memory: [`Firehose`] and [`S3`].

mod chunked;
mod firehose;
mod s3;

pub use firehose::Firehose;
pub use s3::S3;
pub(crate) use s3::bucket_of_host;

use crate::iam::Caller;

/// Returns the message with which services refuse what a caller may not do.
fn not_authorized(caller: &Caller, action: &str, resource: &str) -> String {
    format!(
        "User: {} is not authorized to perform: {action} on resource: {resource} because no identity-based \
         policy allows the {action} action",
        caller.arn()
    )
}
