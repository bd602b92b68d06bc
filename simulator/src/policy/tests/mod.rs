//! Tests of policy evaluation: tables, and properties that compare it with a second implementation.

mod conditions;
mod evaluation;
mod oracle;
mod properties;
mod refused;

use std::collections::HashSet;

use super::{Context, Names, Policy, PolicyKind};

/// Reads a policy. The users and roles of the account 111111111111 exist; their IDs are their names.
fn read(kind: PolicyKind, json: &str) -> Result<Policy, String> {
    let resolve = |arn: &str| {
        let name = arn.strip_prefix("arn:aws:iam::")?;
        let name = name.rsplit_once('/')?.1;
        (name != "nobody").then(|| name.to_owned())
    };
    let names = Names {
        resolve: &resolve,
        keys: &HashSet::from(["test:key".to_owned()]),
    };
    Policy::read(kind, "test", json, names)
}

/// Returns a context with these keys.
fn context(keys: &[(&str, &[&str])]) -> Context {
    let mut context = Context::default();
    for (key, values) in keys {
        context.set_all(key, values.iter().map(|&value| value.to_owned()).collect());
    }
    context
}
