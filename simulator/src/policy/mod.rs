//! IAM policies: read as IAM reads them, and evaluated against a request.
//!
//! Everything here is pure: policies and a request context in, an [`Explanation`] out. A `Policy` is what was read
//! of a document (`document`, `principal`, `condition`, `pattern`); `authorize` combines policies (`evaluate`);
//! `keys` says which condition keys exist and who knows their values.
//!
//! Written here because no crate passes the tables in `tests`. Of the 1,092 rows on operators, iam-rs 0.8.0 differs in
//! 743 (it cannot read most operators for sets, `ArnEquals` has no wildcards, dates must have a time), and
//! scratchstack-aspen 0.3.1 in 966 (no operators for sets, no key with several values, negated operators are false if
//! the key is absent; and it stops at the first statement that allows, so that a `Deny` after it is lost). Neither
//! distinguishes an account, which only delegates to its policies, from its users, or has boundaries and the policies
//! of AWS Organizations. Cedar is another language.

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
pub(crate) use explanation::no_policy_allows;
pub use explanation::{
    ConditionTrace, Effect, Explanation, Mismatch, Outcome, PolicyKind, PolicyTrace, Reason,
    StatementTrace,
};
pub(crate) use principal::Requester;
