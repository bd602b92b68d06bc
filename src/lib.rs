//! Credentials of a role in another account, for the AWS SDK for Rust.

mod advice;
mod cell;
mod chain;
mod error;
mod role;
mod sts;
#[cfg(feature = "test-util")]
pub mod test_util;

pub use chain::{HopStatus, RoleChain};
pub use error::Error;
pub use role::Role;
