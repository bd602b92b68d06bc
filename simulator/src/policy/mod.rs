//! IAM policies: read as IAM reads them, and evaluated against a request.
//!
//! Everything here is pure: policies and a request context in, an [`Explanation`] out. A `Policy` is what was read
//! of a document (`document`, `principal`, `condition`, `pattern`); `authorize` combines policies (`evaluate`);
//! `keys` says which condition keys exist and who knows their values.

mod condition;
mod context;
mod document;
mod evaluate;
mod explanation;
mod json;
pub(crate) mod keys;
mod pattern;
mod principal;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use context::Context;
pub(crate) use document::{Names, Policy, Request};
pub(crate) use evaluate::{Policies, ResourcePolicy, authorize};
pub use explanation::{
    ConditionTrace, Effect, Explanation, Mismatch, Outcome, PolicyKind, PolicyTrace, Reason,
    StatementTrace,
};
pub(crate) use principal::Requester;
