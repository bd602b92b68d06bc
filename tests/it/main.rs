//! The library's tests; each module covers one behaviour.
//!
//! All tests share a process. A test must not depend on state of the process: environment variables, the current
//! directory, a global tracing subscriber, the names of MFA devices.

#[path = "../common/mod.rs"]
mod common;

mod cli_cache;
mod diagnose;
mod e2e_ministack;
mod errors;
mod example_conventions;
mod examples;
mod health;
mod leaks;
mod metrics;
mod mfa;
mod parameters;
mod policies;
mod pool;
mod profile;
mod refresh;
mod requests;
mod saml;
mod sdk_clients;
mod single_flight;
mod source;
mod starts;
mod status;
mod throttling;
mod valid_for;
mod validation;
#[cfg(unix)] // It sends signals.
mod vendor_service;
mod web_identity;
