//! Credentials of a role in another account, for the AWS SDK for Rust: assumed through as many roles
//! as it takes, cached, shared, and refreshed before anybody has to wait.
//!
//! ```no_run
//! # async fn example() -> Result<(), aws_role_chain::Error> {
//! use aws_config::BehaviorVersion;
//! use aws_role_chain::{Role, RoleChain};
//!
//! let base = aws_config::load_defaults(BehaviorVersion::latest()).await; // source credentials, region
//! let writer = RoleChain::new(
//!     &base,
//!     Role::new("arn:aws:iam::222222222222:role/FirehoseWriter").external_id("c0ffee"),
//! )?;
//!
//! let firehose = aws_sdk_firehose::Client::new(&writer.sdk_config());
//! # Ok(())
//! # }
//! ```
//!
//! - [`Role`] is what to ask STS for: external ID, session name, duration, session policies and tags,
//!   source identity. It is checked against STS's rules when a chain takes it.
//! - [`RoleChain`] is the provider: from a base config with [`RoleChain::new`], on to further roles with
//!   [`RoleChain::assume`]. It says when credentials are refreshed and what callers get meanwhile.
//! - [`Error`] names the hop, the role, STS's own code, message and request id, and what to check.
#![cfg_attr(
    feature = "test-util",
    doc = "- [`test_util::Simulator`] answers as STS does, for tests."
)]
#![cfg_attr(
    not(feature = "test-util"),
    doc = "- The feature `test-util` adds an STS simulator, for tests."
)]
//!
//! # Logs
//!
//! Through [`tracing`](https://docs.rs/tracing): a debug event for each role assumed, a warning for each
//! refresh that failed while its old credentials go on being served. Nothing per request, and no secret
//! key, session token or external ID. The SDK's own log of a call has all of these at TRACE, so at that
//! level it is left out for this crate's calls to STS.

mod advice;
mod cell;
mod chain;
mod error;
mod mfa;
mod role;
mod start;
mod sts;
#[cfg(feature = "test-util")]
pub mod test_util;

pub use chain::{HopStatus, RoleChain};
pub use error::Error;
pub use mfa::{BoxError, MfaReason, MfaRequest, ProvideMfaCode, TerminalPrompt};
#[cfg(feature = "totp")]
pub use mfa::{Totp, TotpError};
pub use role::Role;
pub use start::{GetSessionToken, SamlAssertion, WebIdentityToken};
