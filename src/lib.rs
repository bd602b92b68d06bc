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
//! - [`AllowedRoles`] says which roles may come from others, such as a vendor's customers.
//! - [`RoleChain`] is the provider: from a base config with [`RoleChain::new`], on to further roles with
//!   [`RoleChain::assume`]. It says when credentials are refreshed and what callers get meanwhile.
//! - Many roles assumed with the base config's own credentials share these from [`RoleChain::from_source`].
//! - Chains start elsewhere too: with a session token ([`RoleChain::from_session_token`]), a web identity
//!   ([`RoleChain::from_web_identity`]) or a SAML assertion ([`RoleChain::from_saml`]).
#![cfg_attr(
    feature = "profile",
    doc = "- [`RoleChain::from_profile`] builds the chain that a profile of `~/.aws/config` describes."
)]
#![cfg_attr(
    not(feature = "profile"),
    doc = "- With the feature `profile`, a chain is built as a profile of `~/.aws/config` describes it."
)]
//! - [`Role::mfa`] takes whoever gives the codes: a person ([`TerminalPrompt`]), a closure, or a secret
//!   (`Totp`, feature `totp`).
#![cfg_attr(
    feature = "policy",
    doc = "- [`RoleChain::policies`] gives the IAM documents that a chain needs, on both sides; see [`policy`]."
)]
#![cfg_attr(
    feature = "policy",
    doc = "- [`RoleChain::diagnose`] walks a chain with real calls and says what came of each hop."
)]
//! - [`Error`] names the hop, the role, STS's own code, message and request id, and what to check.
//! - The crate [`sts-simulator`](https://docs.rs/sts-simulator) answers as STS does, for tests.
//!
//! # Logs
//!
//! Through [`tracing`](https://docs.rs/tracing), under the target `aws_role_chain`: a debug event for each role
//! assumed or refused, a warning for each refresh that failed while its old credentials go on being
//! served. Nothing per request, and no secret key, session token or external ID.
//!
//! The SDK's own log of a call has all of these at TRACE. Where that level is on, its log of this crate's
//! calls to STS is left out, at all levels; at DEBUG it is there. This needs a tracing subscriber: a
//! program that reads tracing's events through the `log` crate must keep `aws_smithy_runtime` and
//! `aws_sdk_sts` below TRACE.
//!
//! # Where this crate differs from AWS's own refresh rules
//!
//! AWS's SDKs are about to agree on when credentials are refreshed; the windows here are theirs. Four
//! things are not: nobody waits for an early refresh, a chain in use refreshes without being asked (the
//! SDK asks a provider only seconds before expiry), a failed refresh is tried again after a quarter of the
//! time left, with a last try a second before expiry, and no caller waits longer than five seconds while
//! there are credentials in hand, even expired ones.

mod advice;
mod allowed;
mod cell;
mod chain;
#[cfg(feature = "cli-cache")]
mod cli_cache;
#[cfg(feature = "policy")]
mod diagnose;
mod error;
#[cfg(any(feature = "cli-cache", feature = "policy"))]
mod json;
mod mfa;
#[cfg(feature = "policy")]
pub mod policy;
#[cfg(feature = "profile")]
mod profile;
mod role;
mod start;
mod sts;

pub use allowed::AllowedRoles;
pub use chain::{HopStatus, RoleChain};
#[cfg(feature = "policy")]
pub use diagnose::{Diagnosis, DiagnosisStep};
pub use error::Error;
pub use mfa::{BoxError, MfaReason, MfaRequest, ProvideMfaCode, TerminalPrompt};
#[cfg(feature = "totp")]
pub use mfa::{Totp, TotpError};
#[cfg(feature = "profile")]
pub use profile::ProfileLoader;
pub use role::Role;
pub use start::{GetSessionToken, SamlAssertion, WebIdentityToken};
