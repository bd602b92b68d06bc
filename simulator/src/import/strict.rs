//! What becomes of a policy that the simulator cannot evaluate: of what it does not understand, it allows nothing
//! and denies everything, so that it never allows what AWS refuses.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::outcome::Import;
use crate::iam::IamError;
use crate::policy::{Effect, Policy, PolicyKind};

/// A policy, and what was left out of it.
pub(super) struct Strict {
    policy: Arc<Policy>,
    /// The place of a statement, with the reason.
    left_out: Vec<(String, String)>,
}

impl Strict {
    /// Adds to the import what was left out.
    pub(super) fn report(self, import: &mut Import, file: &Path, subject: &str) -> Arc<Policy> {
        for (place, reason) in self.left_out {
            import.leave_out(file, format!("{subject}{place}"), reason);
        }
        self.policy
    }
}

/// Reads a policy with `read`, whole or statement by statement, each of which keeps its place. `name` is how
/// explanations refer to it.
pub(super) fn read(
    kind: PolicyKind,
    name: &str,
    text: &str,
    read: &dyn Fn(&str) -> Result<Arc<Policy>, IamError>,
) -> Strict {
    let whole = match read(text) {
        Ok(policy) => {
            let left_out = Vec::new();
            return Strict { policy, left_out };
        }
        Err(error) => error,
    };
    let document: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    };
    let read_with = |statements: Vec<Value>| {
        let mut document = document.clone();
        document.insert("Statement".to_owned(), statements.into());
        read(&Value::from(document).to_string())
    };
    let mut policy = Policy::empty(kind, name);
    let mut understood = Vec::new();
    let mut left_out = Vec::new();
    for (n, statement) in (1..).zip(statements) {
        let error = match read_with(vec![statement.clone()]) {
            Ok(one) => {
                policy.append(&one);
                understood.push(statement);
                continue;
            }
            Err(error) => error,
        };
        let reason = error.message();
        let sid = statement["Sid"].as_str();
        let mut unconditional = statement.clone();
        if let Some(statement) = unconditional.as_object_mut() {
            statement.remove("Condition");
        }
        let what = if statement["Effect"] != "Deny" {
            policy.add_not_understood(Effect::Allow, sid, reason);
            "it allows nothing"
        } else if let Ok(one) = read_with(vec![unconditional]) {
            policy.append(&Policy::clone(&one).not_understood(reason));
            "it denies whatever its Condition says"
        } else {
            policy.add_not_understood(Effect::Deny, sid, reason);
            "everything is denied"
        };
        let place = match sid {
            Some(sid) => format!(", statement {n} ({sid})"),
            None => format!(", statement {n}"),
        };
        left_out.push((place, format!("{what}, because: {reason}")));
    }
    // It may be no policy, or its statements do not go together.
    let is_refused = if understood.is_empty() {
        left_out.is_empty()
    } else {
        read_with(understood).is_err()
    };
    if is_refused {
        let reason = whole.message();
        policy = Policy::that_denies_everything(kind, name).not_understood(reason);
        left_out.push((
            String::new(),
            format!("everything is denied, because: {reason}"),
        ));
    }
    Strict {
        policy: Arc::new(policy),
        left_out,
    }
}
