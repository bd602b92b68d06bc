//! An in-memory simulator of AWS STS and IAM for tests: an HTTP client for the AWS SDK for Rust that answers as STS
//! does.
//!
//! The code under test does not change: the SDK serializes and signs its requests, and parses the responses. The
//! simulator checks signature, session token and expiry, evaluates the role's trust policy and the caller's policies,
//! and answers with STS's codes and messages. An account exists as soon as a user or role is created in it.
//!
//! ```
//! use aws_config::sts::AssumeRoleProvider;
//! use aws_credential_types::provider::ProvideCredentials;
//! use sts_simulator::Simulator;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let aws = Simulator::new();
//! let role = "arn:aws:iam::222222222222:role/FirehoseWriter";
//! let keys = aws
//!     .user("arn:aws:iam::111111111111:user/orders")
//!     .policy(format!(
//!         r#"{{"Version": "2012-10-17", "Statement": {{
//!             "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "{role}"}}}}"#
//!     ))
//!     .create()?;
//! aws.role(role)
//!     .trust(
//!         r#"{"Version": "2012-10-17", "Statement": {
//!             "Effect": "Allow", "Action": "sts:AssumeRole",
//!             "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
//!             "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee"}}}}"#,
//!     )
//!     .create()?;
//!
//! let config = aws.sdk_config(keys);
//! let provider = AssumeRoleProvider::builder(role).external_id("c0ffee").configure(&config);
//! let credentials = provider.build().await.provide_credentials().await?;
//! assert!(credentials.access_key_id().starts_with("ASIA"));
//!
//! let provider = AssumeRoleProvider::builder(role).external_id("wrong").configure(&config);
//! assert!(provider.build().await.provide_credentials().await.is_err());
//! assert_eq!(aws.assumed(role), 2);
//! # Ok(())
//! # }
//! ```
//!
//! [aws-role-chain](https://docs.rs/aws-role-chain), a credentials provider for chains of roles, is tested with this
//! simulator. The simulator does not depend on it.
//!
//! # Time and faults
//!
//! The config returned by [`Simulator::sdk_config`] uses the simulator's [`Clock`], which runs with tokio's. With
//! paused time (`#[tokio::test(start_paused = true)]`, tokio's feature `test-util`), hours pass in milliseconds. A
//! [`Fault`] makes STS fail until [`Simulator::recover`] is called, unless the fault is limited to a time or to certain
//! requests:
//!
//! ```
//! use std::time::Duration;
//!
//! use sts_simulator::{Fault, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let aws = Simulator::new();
//! let keys = aws.user("arn:aws:iam::111111111111:user/orders").create()?;
//! let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys));
//!
//! aws.fail(Fault::service_unavailable());
//! assert!(sts.get_caller_identity().send().await.is_err());
//! assert_eq!(aws.requests(), 3); // the SDK made three attempts
//! aws.recover();
//!
//! aws.fail(Fault::throttling().times(2));
//! sts.get_caller_identity().send().await?; // the third attempt
//!
//! aws.clock().advance(Duration::from_secs(3600)).await;
//! let caller = sts.get_caller_identity().send().await?;
//! assert_eq!(caller.account(), Some("111111111111"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it checks
//!
//! The operations are AssumeRole, AssumeRoleWithWebIdentity, AssumeRoleWithSAML, GetSessionToken, GetFederationToken,
//! GetWebIdentityToken, GetCallerIdentity and GetAccessKeyInfo, by POST, GET or presigned URL, with responses in XML or
//! JSON. The simulator checks:
//!
//! - signatures, clock skew, region and service of the endpoint, partitions; active, inactive and deleted keys;
//!   session tokens, their expiry, and that the user or role of a session still exists;
//! - the limits of parameters;
//! - trust policies, identity policies, permissions boundaries, session policies, service control policies and resource
//!   control policies, within an account and across accounts; an [`Explanation`] names the one that decided;
//! - who may call which operation;
//! - external IDs, session tags and their inheritance, source identity;
//! - MFA codes, each of which is accepted once;
//! - OpenID Connect tokens, and the audience, times, attributes and tags of SAML assertions; with the feature
//!   `saml-signatures`, also their signatures (`Simulator::saml_provider`);
//! - `MaxSessionDuration`, and the one-hour limit if the caller has temporary credentials;
//! - regions in which STS is not active ([`Simulator::set_region_enabled`]);
//! - the packed size of session policies and tags, by an estimate ([`Simulator::set_packed_size_limit`]).
//!
//! Codes and messages are those in AWS's documentation and recorded responses. Where these say nothing, the simulator
//! adds no rule of its own ([`Simulator::set_unconfirmed_rules`]).
//!
//! A test adds other services as handlers with [`Simulator::service`]; [`Firehose`] and [`S3`] are included. IAM's own
//! API is available, too, as far as test suites need it to set accounts up.
//!
//! # Real accounts
//!
//! [`Simulator::import`] reads AWS CLI exports of accounts and of their organization, so that a test decides by the
//! policies that are really deployed.
//!
//! # Over HTTP
//!
//! With the feature `server`, `Server` serves a simulator over HTTP on a loopback address, for boto3, the AWS CLI and
//! every SDK. The feature `program` adds `sts_simulator`, a program that serves one by itself; the README describes its
//! options and its admin endpoint.
//!
//! # What it does not check
//!
//! - Whether the packed size is the one that AWS computes, whose format is not published: the estimate can be a quarter
//!   off.
//! - The signatures of SAML assertions, unless the feature `saml-signatures` is enabled.
//! - AssumeRoot, DecodeAuthorizationMessage, GetDelegatedAccessToken and signatures of version 4A, which are rejected
//!   by name.
//! - The chunk signatures of S3's streaming uploads.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_debug_implementations)]

mod arn;
mod call;
mod clock;
mod endpoint;
mod fault;
mod iam;
mod iam_api;
mod import;
mod policy;
mod protocol;
mod routing;
#[cfg(feature = "server")]
mod server;
mod services;
mod signature;
mod simulator;
mod sts;

pub use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
pub use call::Call;
pub use clock::Clock;
pub use fault::{Fault, FaultError, Latency};
pub use iam::{AccessRequest, AccountBuilder, Caller, IamError, RoleBuilder, UserBuilder};
pub use import::{Import, ImportError, LeftOut};
pub use policy::{
    ConditionTrace, Effect, Explanation, Mismatch, Outcome, PolicyKind, PolicyTrace, Reason,
    StatementTrace,
};
#[cfg(feature = "server")]
pub use server::{RequestLog, RunningServer, Server};
pub use services::{Firehose, S3};
pub use simulator::Simulator;
