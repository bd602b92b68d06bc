//! IAM policies: read as IAM reads them, and evaluated against a request.
//!
//! Written here because the evaluators on crates.io lack cases that this simulator needs: iam-rs 0.8 takes
//! one kind of principal per statement, has `ArnEquals` without wildcards, and matches a federated principal
//! by prefix; scratchstack-aspen 0.3 has no `ForAllValues` and `ForAnyValue`; neither distinguishes an
//! account, which only delegates to its policies, from its users.

mod condition;
mod context;
mod document;
mod element;
mod pattern;

pub(crate) use context::Context;
pub(crate) use document::{Decision, Policy, Principal};
