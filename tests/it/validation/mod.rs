//! What is rejected before any call, and how the error describes it: field, rule, value.

mod allowed_roles;
mod chains;
mod differential;
mod roles;

use aws_role_chain::{Error, Role, RoleChain};
use aws_types::SdkConfig;

use crate::common::*;

fn add(role: Role) -> Result<RoleChain, Error> {
    let (_, base) = aws();
    RoleChain::new(&base, role)
}

/// Builds a chain with a role that must be rejected.
#[track_caller]
fn refused(role: Role) -> Error {
    let (aws, base) = aws();
    let error = RoleChain::new(&base, role).unwrap_err();
    assert!(error.is_invalid(), "{error}");
    assert!(!error.is_transient());
    assert_eq!((error.hop(), error.chain_len()), (Some(1), 1));
    assert_eq!(aws.requests(), 0);
    error
}

#[track_caller]
fn assert_says(error: &Error, field: &str, parts: &[&str]) {
    assert_eq!(error.field(), Some(field), "{error}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn role() -> Role {
    Role::new(HUB)
}
