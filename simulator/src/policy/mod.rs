//! IAM policies: parsing and evaluation as in IAM.
//!
//! Everything here is pure: policies and a request context in, an [`Explanation`] out. A `Policy` is a parsed document
//! (`document`, `principal`, `condition`, `pattern`); `authorize` combines policies (`evaluate`); `keys` lists the
//! condition keys and the sources of their values.
//!
//! Existing crates do not pass the tables in `tests`. Of the 1,092 rows on operators, iam-rs 0.8.0 gets 743 wrong: it
//! cannot read most set operators, `ArnEquals` has no wildcards, and dates must have a time. scratchstack-aspen 0.3.1
//! gets 966 wrong: it has no set operators and no multivalued keys, negated operators are false if the key is absent,
//! and it stops at the first statement that allows, so a later `Deny` is ignored. Neither distinguishes an account,
//! which delegates to its own policies, from its users, and neither supports permissions boundaries or the policies of
//! AWS Organizations. Cedar is a different language.

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
