//! A credentials provider for the AWS SDK for Rust that assumes IAM roles in other accounts, directly or through a
//! chain of roles. It caches each role's credentials, refreshes them in the background before they expire, and keeps
//! serving them while STS is unavailable.
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
//! Each role in a chain is called a *hop*. The first hop is assumed with the source credentials, and each later hop
//! with the credentials of the hop before it.
//!
//! # Overview
//!
//! | item | purpose |
//! |---|---|
//! | [`RoleChain`] | the credentials provider; its page says when credentials are refreshed and what callers get meanwhile |
//! | [`Role`] | the parameters of AssumeRole: external ID, session name, duration, session policies and tags, source identity |
//! | [`AllowedRoles`] | an allow-list for role ARNs from untrusted input, such as a vendor's customers |
//! | `ChainPool` | a bounded pool of chains, for services that learn with each request which customer it is for |
//! | [`names`] | valid session names and tag values, made from arbitrary text |
//! | [`RoleChain::credentials_valid_for`] | credentials with a minimum remaining lifetime, for example for presigned URLs |
//! | [`RoleChain::limit_sts_calls`] | limits the rate of calls to STS |
//! | [`RoleChain::from_source`] | the start for several roles that are all assumed with the source credentials |
//! | [`SessionTokenRequest`], [`WebIdentityToken`], [`SamlAssertion`] | other starts: a session token, an OpenID Connect token, a SAML assertion |
//! | [`Role::mfa`] | MFA codes from a person ([`TerminalPrompt`]), a closure, or a TOTP secret (`Totp`) |
//! | `ProfileLoader` | the chain that a profile in `~/.aws/config` describes |
//! | `RoleChain::policies`, `RoleChain::diagnose` | the IAM policies that a chain needs; a diagnosis of each hop |
//! | [`RoleChain::health`], [`RoleChain::status`] | readiness of the chain; the state of each hop |
//! | [`RoleChain::session_renewal`] | retries a client's call with a new session when the service rejects the old one |
//! | [`Error`] | the hop and role that failed, STS's code, message and request ID, and advice |
//!
//! # Features
//!
//! No feature is enabled by default. A feature adds API or metrics, and changes no other behaviour.
//!
//! | feature | adds |
//! |---|---|
//! | `profile` | `ProfileLoader`: chains from the profiles in `~/.aws/config` |
//! | `cli-cache` | `ProfileLoader::cli_cache`: shares sessions with the AWS CLI |
//! | `metrics` | [metrics](#metrics), recorded through the facade of the [`metrics`](https://docs.rs/metrics) crate |
//! | `pool` | `ChainPool`: a bounded pool of chains |
//! | `policy` | the module `policy`, `RoleChain::policies` and `RoleChain::diagnose` |
//! | `serde` | `Serialize` for `Health`, `HopStatus` and `Error`, for health pages in JSON |
//! | `totp` | `Totp`: MFA codes from a virtual device's secret |
//!
//! Without `profile` and `cli-cache`, the crate also runs on WebAssembly (`wasm32-wasip2`), with an HTTP client that the
//! program provides.
//!
//! # Errors
//!
//! When an SDK client's call fails because of its credentials, the chain's [`Error`] is one of the error's sources, and
//! [`Error::find`] returns it. It names the hop and the role, contains STS's code and message, and lists what to check.
//! [`Error::is_transient`] tells whether the same call may succeed later.
//!
//! # Testing
//!
//! The crate [`sts-simulator`](https://docs.rs/sts-simulator) provides an HTTP client that answers as STS does, with
//! a clock that tests control: hours of refreshes run in milliseconds, and faults can be injected. Pass the config from
//! `Simulator::sdk_config` to the chain; nothing else changes.
//!
//! # Examples
//!
//! The repository's folder `examples` has `put_records` (puts records on a Firehose stream in another account),
//! `tenants` (assumes one role in each of many customers' accounts), `vendor_service` (a web service for many customers,
//! with `ChainPool` and metrics), `health` (a service with a health page), `mfa`, `web_identity`, `saml` and
//! `list_bucket`. The folder `recipes` has short files to copy: credentials for object_store, OpenDAL and requests
//! signed with aws-sigv4; presigned URLs; AWS Lambda; session names for CloudTrail. The program `role-chain`, in the
//! folder `cli`, assumes chains on the command line, diagnoses them, and sets up the IAM roles and policies.
//!
//! # Logs
//!
//! The crate emits [`tracing`](https://docs.rs/tracing) events with the target `aws_role_chain`: none per request, and
//! none with a secret key, session token or external ID. Names and fields do not change within a major version, but
//! fields may be added.
//!
//! | event | level | when | fields |
//! |---|---|---|---|
//! | `loaded` | debug | a load succeeded | `operation`, `role`, `hop`, `session` (its ARN), `access_key_id`, `expiry`, `from_store` (the AWS CLI's cache), `elapsed` |
//! | `load_failed` | debug | a load failed, and nothing is cached | `error`, `elapsed` |
//! | `refresh_failed` | warn | a load failed, and the cached credentials are still served | `error`, `expiry`, `expired`, `retry_in_seconds`, `elapsed` |
//! | `session_shortened` | warn | the source credentials are those of a role, so that the session lasts an hour | `role`, `requested_seconds` |
//!
//! `elapsed` is in seconds. Warnings about the files of profiles and of the CLI's cache have no event name.
//!
//! At TRACE the SDK logs each of its calls itself. For this crate's calls to STS, that log contains no request body, and
//! secrets that an error response repeats are masked. If a `tracing` subscriber is enabled at TRACE, the SDK's log of
//! these calls is suppressed entirely; at DEBUG it remains. One exception: in a program without a `tracing` subscriber
//! that receives the events through the `log` crate, responses that an HTTP client holds in memory, as test clients
//! do, are logged as they are.
//!
//! # Metrics
//!
//! With the feature `metrics`, the crate records the metrics below with the recorder that the program installs, such as
//! [`metrics-exporter-prometheus`](https://docs.rs/metrics-exporter-prometheus). Install it before creating a
//! `ChainPool`: the gauge counts from then on. Without a recorder the cost is negligible. The labels have few values,
//! never a role, a session or a customer; `region` is the base config's region or that of [`Role::region`].
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `aws_role_chain_loads_total` | counter | `operation`, `outcome` | loads of credentials that ended: first loads and refreshes |
//! | `aws_role_chain_load_duration_seconds` | histogram | `operation`, `outcome` | duration of a load, including time spent waiting |
//! | `aws_role_chain_seconds_until_expiry` | histogram | `operation`, `outcome` | remaining lifetime of the cached credentials after a load, successful or not |
//! | `aws_role_chain_sts_wait_seconds` | histogram | `region` | time that a call to STS spent waiting for the rate limiter |
//! | `aws_role_chain_sts_throttled_total` | counter | `region` | calls that STS throttled |
//! | `aws_role_chain_pool_gets_total` | counter | `result` | calls of `ChainPool::get`: `hit` or `miss` |
//! | `aws_role_chain_pool_evictions_total` | counter | `reason` | chains that a pool dropped because of its `size`, or because they were `idle` |
//! | `aws_role_chain_pool_chains` | gauge | | chains in all pools |
//!
//! `operation` is `AssumeRole`, `AssumeRoleWithWebIdentity`, `AssumeRoleWithSAML`, `GetSessionToken` or `LoadSource`
//! (the base config's provider). `outcome` is `success`, `refused`, `throttled`, `sts_failed`, `no_answer`,
//! `queue_timed_out`, `expired` (the loaded credentials had already expired), `no_source_credentials`, `no_token`,
//! `no_mfa_code`, `interaction_required` or `other`. A load that panicked is not counted.
//!
//! For a gauge of one chain's expiry, set your own from [`RoleChain::status`]; the example `vendor_service` does so for
//! its hub.
//!
//! # Differences from AWS's refresh rules
//!
//! The refresh windows are those that AWS is introducing in all its SDKs. The rules differ in four points:
//!
//! - Callers do not wait for a refresh that starts early.
//! - A chain in use refreshes on its own. The SDK asks a provider again only seconds before expiry.
//! - A failed refresh is retried after a quarter of the remaining time, and once more just before expiry.
//! - While credentials are cached, even expired ones, callers stop waiting for a slow load.
//!
//! The numbers are in the documentation of [`RoleChain`].

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_debug_implementations)]
// Some items serve optional features only. With all features, dead code is a warning, and so an error in CI.
#![cfg_attr(
    not(all(
        feature = "cli-cache",
        feature = "policy",
        feature = "pool",
        feature = "totp"
    )),
    allow(dead_code, unused_imports)
)]

// Test modules shared with tests/it name the crate as its users do.
#[cfg(test)]
extern crate self as aws_role_chain;

mod arn;
mod cache;
mod chain;
mod error;
mod file;
mod json;
mod metrics;
mod mfa;
mod profile;
mod request;
mod session;
mod sts;
mod sync;
mod timestamp;

#[cfg(feature = "policy")]
pub use chain::diagnose::{Diagnosis, DiagnosisStep};
#[cfg(feature = "pool")]
pub use chain::pool::{ChainPool, ChainPoolBuilder};
pub use chain::{Health, HopStatus, RoleChain, SessionRenewal};
pub use error::{BoxError, Error};
pub use mfa::terminal::TerminalPrompt;
#[cfg(feature = "totp")]
pub use mfa::totp::{Totp, TotpError};
pub use mfa::{MfaReason, MfaRequest, ProvideMfaCode};
#[cfg(feature = "profile")]
pub use profile::ProfileLoader;
pub use request::{AllowedRoles, Role, SamlAssertion, SessionTokenRequest, WebIdentityToken};

/// Session names and tag values that STS accepts, made from arbitrary text.
pub mod names {
    pub use crate::request::names::{session_name, tag_value};
}

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
/// # Contents of the policies
///
/// - Each action has its own statement, because STS authorizes each action separately, with [condition
///   keys](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html) of its
///   own: `sts:AssumeRole`, `sts:TagSession` if tags are passed or inherited, `sts:SetSourceIdentity` if a source
///   identity is set or inherited, and `sts:SetContext`.
/// - The trust policy allows exactly what the chain requests: this caller, this external ID, these tags and no
///   others, this source identity, and MFA if the chain proves it. It does not restrict the session's name, duration
///   or session policies.
/// - Roles are named by their ARNs, never by `*`.
/// - Attributes that the source's session already has, such as the tags of EKS Pod Identity or the claims of a token,
///   are unknown to the chain and therefore not in its policies.
///
/// The policies contain the external ID, as IAM requires. Their `Debug` output does not.
#[cfg(feature = "policy")]
pub mod policy {
    pub use crate::chain::document::Document;
    pub use crate::chain::policies::{HopPolicies, Principal, TRUST_POLICY_LIMIT};
}
