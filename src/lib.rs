//! A credentials provider for the AWS SDK for Rust that assumes IAM roles in other accounts: through as many
//! roles as it takes, cached, shared, and refreshed before callers have to wait.
//!
//! ```no_run
//! # async fn example() -> Result<(), aws_role_chain::Error> {
//! use aws_config::BehaviorVersion;
//! use aws_role_chain::{Role, RoleChain};
//!
//! // Source credentials, region and HTTP client.
//! let base = aws_config::load_defaults(BehaviorVersion::latest()).await;
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
//! Each role of a chain is a *hop*: the first is assumed with the source credentials, each further one with the
//! credentials of the hop before.
//!
//! # Where to find what
//!
//! | | |
//! |---|---|
//! | [`RoleChain`] | the provider: from a base config on through one role or more; when it refreshes, and what callers get meanwhile |
//! | [`Role`] | what to ask AssumeRole for: external ID, session name, duration, session policies and tags, source identity |
//! | [`AllowedRoles`] | which role ARNs to accept from others, such as a vendor's customers |
//! | [`RoleChain::from_source`] | many roles assumed with the base config's own credentials |
//! | [`SessionTokenRequest`], [`WebIdentityToken`], [`SamlAssertion`] | other starts: a session token, an OpenID Connect token, a SAML assertion |
//! | [`Role::mfa`] | MFA codes from a person ([`TerminalPrompt`]), a closure, or a secret (`Totp`) |
//! | `ProfileLoader` | the chain that a profile of `~/.aws/config` describes |
//! | `RoleChain::policies`, `RoleChain::diagnose` | the IAM policies that a chain needs; what is wrong, hop by hop |
//! | [`RoleChain::health`], [`RoleChain::status`] | whether the chain can provide credentials; what is known of each hop |
//! | [`RoleChain::session_renewal`] | a client's retry when a service rejects the session |
//! | [`Error`] | the hop, the role, STS's own code, message and request ID, and what to check |
//!
//! # Features
//!
//! None is on by default. A feature adds API, and changes no behaviour.
//!
//! | feature | adds |
//! |---|---|
//! | `profile` | `ProfileLoader`: chains from the profiles of `~/.aws/config` |
//! | `cli-cache` | `ProfileLoader::cli_cache`: their sessions shared with the AWS CLI |
//! | `policy` | the module `policy`, `RoleChain::policies` and `RoleChain::diagnose` |
//! | `serde` | `Serialize` for `Health`, `HopStatus` and `Error`: a health page in JSON |
//! | `totp` | `Totp`: MFA codes from a virtual device's secret |
//!
//! # Errors
//!
//! A call of an SDK client that fails for its credentials has the chain's [`Error`] among its sources:
//! [`Error::find`] takes it out. It says at which hop which role could not be assumed, in STS's own words, and
//! what to check; it tells failures that pass ([`is_transient`](Error::is_transient)) from those that do not.
//!
//! # Testing
//!
//! The crate [`sts-simulator`](https://docs.rs/sts-simulator) is an HTTP client that answers as STS does, and
//! a clock: hours of refreshes run in milliseconds, and faults come on command. A chain needs nothing for it
//! but a base config from `Simulator::sdk_config`.
//!
//! # Examples
//!
//! The repository's `examples` folder has `put_records` (records on a Firehose stream in another account),
//! `tenants` (one role in each of many customers' accounts), `health` (a service's health page), `mfa`,
//! `web_identity`, `saml` and `list_bucket`.
//! The program `role-chain` (in `cli`) assumes chains on the command line, says what is wrong with one, and
//! sets up the IAM side.
//!
//! # Logs
//!
//! Events of [`tracing`](https://docs.rs/tracing), under the target `aws_role_chain`: a debug event for each
//! role assumed or refused, a warning for each refresh that failed while the cached credentials are still
//! served. Nothing per request, and no secret key, session token or external ID.
//!
//! The SDK's own log of a call contains all of these at TRACE. Where that level is on, its log of this crate's
//! calls to STS is left out, at all levels; at DEBUG it is there. This needs a tracing subscriber: a program
//! that reads tracing's events through the `log` crate must keep `aws_smithy_runtime` and `aws_sdk_sts` below
//! TRACE.
//!
//! # Where this crate differs from AWS's own refresh rules
//!
//! AWS's SDKs are about to agree on when credentials are refreshed; the windows here are theirs. Four things
//! differ: callers do not wait for an early refresh; a chain in use refreshes without being asked (the SDK asks
//! a provider only seconds before expiry); a failed refresh is retried after a quarter of the time left, with a
//! last retry before expiry; and callers stop waiting for a load that takes long while credentials are cached,
//! even expired ones. [`RoleChain`] has the numbers.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Some items serve optional features only. With all features, dead code is a warning, and so an error in CI.
#![cfg_attr(
    not(all(feature = "cli-cache", feature = "policy", feature = "totp")),
    allow(dead_code, unused_imports)
)]

mod arn;
mod cache;
mod chain;
mod error;
mod json;
mod mfa;
#[cfg(feature = "profile")]
mod profile;
mod request;
mod session;
mod sts;
mod sync;

#[cfg(feature = "policy")]
pub use chain::diagnose::{Diagnosis, DiagnosisStep};
pub use chain::{Health, HopStatus, RoleChain, SessionRenewal};
pub use error::{BoxError, Error};
pub use mfa::terminal::TerminalPrompt;
#[cfg(feature = "totp")]
pub use mfa::totp::{Totp, TotpError};
pub use mfa::{MfaReason, MfaRequest, ProvideMfaCode};
#[cfg(feature = "profile")]
pub use profile::ProfileLoader;
pub use request::{AllowedRoles, Role, SamlAssertion, SessionTokenRequest, WebIdentityToken};

/// The IAM policies that a chain needs: for each hop the trust policy of its role and the permission policy of
/// its caller, generated from what the chain asks for.
///
/// # Examples
///
/// ```no_run
/// # fn example(base: aws_types::SdkConfig) -> Result<(), aws_role_chain::Error> {
/// use aws_role_chain::{Role, RoleChain};
///
/// let writer = RoleChain::new(
///     &base,
///     Role::new("arn:aws:iam::222222222222:role/FirehoseWriter").external_id("c0ffee"),
/// )?;
/// for hop in writer.policies("arn:aws:iam::111111111111:user/orders")? {
///     println!("trust policy of {}:\n{}", hop.role_arn, hop.trust_policy);
///     if let Some(permission) = hop.permission_policy {
///         println!("policy of {}:\n{permission}", hop.caller);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What the documents say
///
/// - Each action is a statement of its own, because STS authorizes each by itself, and each has condition
///   keys of its own: `sts:AssumeRole`; `sts:TagSession` where tags are passed or inherited;
///   `sts:SetSourceIdentity` where a source identity is set or inherited; `sts:SetContext`
///   ([the keys](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html)).
/// - The trust policy allows what the chain asks for, and nothing else: this caller, with this external ID,
///   these tags and no others, this source identity, with MFA where the chain proves it. It does not restrict
///   the session's name, duration and session policies.
/// - Roles are named by their ARNs, never by `*`.
/// - What the source's session brings along (the tags of an EKS pod identity, the claims of a token) is not
///   known to the chain, and not in its documents.
///
/// The documents contain the external ID, as IAM requires. Their `Debug` does not.
#[cfg(feature = "policy")]
pub mod policy {
    pub use crate::chain::document::Document;
    pub use crate::chain::policies::{HopPolicies, Principal, TRUST_POLICY_LIMIT};
}
