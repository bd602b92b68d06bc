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
//! | `ChainPool` | many customers' roles: one chain for each, as many as fit, made at each request |
//! | [`names`] | session names and tag values that STS accepts, made from any text |
//! | [`RoleChain::credentials_valid_for`] | credentials for what outlives the call, such as presigned URLs |
//! | [`RoleChain::limit_sts_calls`] | how much of STS's quota the program may use |
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
//! | `metrics` | figures on the facade of the [`metrics`](https://docs.rs/metrics) crate, see below |
//! | `pool` | `ChainPool`, a bounded pool of chains |
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
//! `tenants` (one role in each of many customers' accounts), `vendor_service` (a web service for such customers, with
//! `ChainPool` and metrics), `health` (a service's health page), `mfa`, `web_identity`, `saml` and `list_bucket`.
//! Its folder `recipes` has short files to copy: a chain's credentials for object_store, OpenDAL, and requests signed
//! with aws-sigv4; presigned URLs; AWS Lambda; session names for CloudTrail.
//! The program `role-chain` (in `cli`) assumes chains on the command line, says what is wrong with one, and
//! sets up the IAM side.
//!
//! # Logs
//!
//! Events of [`tracing`](https://docs.rs/tracing), under the target `aws_role_chain`. Nothing per request, and no
//! secret key, session token or external ID. Names and fields stay the same within a major version; fields may be
//! added.
//!
//! | event | level | when | fields |
//! |---|---|---|---|
//! | `loaded` | debug | a load succeeded | `operation`, `role`, `hop`, `session` (its ARN), `access_key_id`, `expiry`, `from_store` (the AWS CLI's cache), `elapsed` |
//! | `load_failed` | debug | a load failed, and nothing is cached | `error`, `elapsed` |
//! | `refresh_failed` | warn | a load failed, and the cached credentials are still served | `error`, `expiry`, `expired`, `retry_in_seconds`, `elapsed` |
//! | `session_shortened` | warn | the source credentials are those of a role, so that the session lasts an hour | `role`, `requested_seconds` |
//!
//! `elapsed` is in seconds. Warnings about files of profiles and of the CLI's cache have no name.
//!
//! At TRACE the SDK logs its own account of each call. Of this crate's calls to STS it shows no request's body, and what
//! a refusal repeats of the request is masked. Where a tracing subscriber takes that level, the SDK's log of these calls
//! is left out altogether; at DEBUG it is there. Only answers that an HTTP client has in memory, as those of tests
//! do, are shown whole in a program without a subscriber, which reads tracing's events through the `log` crate.
//!
//! # Metrics
//!
//! With the feature `metrics`, for whatever recorder the program installs, such as
//! [`metrics-exporter-prometheus`](https://docs.rs/metrics-exporter-prometheus), before it makes a pool: the gauge
//! counts from then on. Without one they cost next to nothing. No label has values without bound: never a role, a
//! session or a customer; `region` is the base config's, or what the program gives [`Role::region`].
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `aws_role_chain_loads_total` | counter | `operation`, `outcome` | loads of credentials that ended: first loads and refreshes |
//! | `aws_role_chain_load_duration_seconds` | histogram | `operation`, `outcome` | how long they took, waits included |
//! | `aws_role_chain_seconds_until_expiry` | histogram | `operation`, `outcome` | for how long what is cached after them stays valid: after a failure, what is left |
//! | `aws_role_chain_sts_wait_seconds` | histogram | `region` | how long calls waited for their turn |
//! | `aws_role_chain_sts_throttled_total` | counter | `region` | calls that STS throttled |
//! | `aws_role_chain_pool_gets_total` | counter | `result` | calls of `ChainPool::get`: `hit` or `miss` |
//! | `aws_role_chain_pool_evictions_total` | counter | `reason` | chains that a pool dropped: for its `size`, or because they were `idle` |
//! | `aws_role_chain_pool_chains` | gauge | | chains in all pools |
//!
//! `operation` is `AssumeRole`, `AssumeRoleWithWebIdentity`, `AssumeRoleWithSAML`, `GetSessionToken` or `LoadSource`
//! (the base config's provider). `outcome` is `success`, `refused`, `throttled`, `sts_failed`, `no_answer`,
//! `queue_timed_out`, `expired` (what came was expired already), `no_source_credentials`, `no_token`, `no_mfa_code`,
//! `interaction_required` or `other`. A load that panicked is not counted.
//!
//! A gauge of one chain's expiry is the program's own to set, from [`RoleChain::status`]: the example `vendor_service`
//! has one, of its hub.
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
    not(all(
        feature = "cli-cache",
        feature = "policy",
        feature = "pool",
        feature = "totp"
    )),
    allow(dead_code, unused_imports)
)]

// The tests' own modules are written for the crate's users, too.
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
#[cfg(feature = "profile")]
mod profile;
mod request;
mod session;
mod sts;
mod sync;

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

/// Session names and tag values that STS accepts, made from whatever text a program has.
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
