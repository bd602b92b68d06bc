//! In-memory implementations of the two services that most tests of a role chain end with: [`Firehose`] and [`S3`].

mod bucket_policy;
mod chunked;
mod firehose;
mod preconditions;
mod s3;

pub use firehose::Firehose;
pub use s3::S3;
