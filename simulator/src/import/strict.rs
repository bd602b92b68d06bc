//! What becomes of a policy that the simulator cannot evaluate: of what it does not understand, it allows nothing
//! and denies everything, so that it never allows what AWS refuses.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Import;
use crate::iam::IamError;
use crate::policy::{Policy, PolicyKind};

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

/// Reads a policy with `read`, whole or statement by statement. `name` is how explanations refer to it.
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
    let mut kept = Vec::new();
    let mut left_out = Vec::new();
    let mut denies_everything = false;
    for (n, statement) in (1..).zip(statements) {
        let Err(error) = read_with(vec![statement.clone()]) else {
            kept.push(statement);
            continue;
        };
        let place = match statement["Sid"].as_str() {
            Some(sid) => format!(", statement {n} ({sid})"),
            None => format!(", statement {n}"),
        };
        let mut unconditional = statement.clone();
        if let Some(statement) = unconditional.as_object_mut() {
            statement.remove("Condition");
        }
        let what = if statement["Effect"] != "Deny" {
            "it allows nothing"
        } else if read_with(vec![unconditional.clone()]).is_ok() {
            kept.push(unconditional);
            "it denies whatever its Condition says"
        } else {
            denies_everything = true;
            "everything is denied"
        };
        left_out.push((place, format!("{what}, because: {}", error.message())));
    }
    let policy = if denies_everything {
        None
    } else if kept.is_empty() && !left_out.is_empty() {
        Some(Arc::new(Policy::that_allows_nothing(kind, name)))
    } else {
        // If it is no policy, or its statements do not go together, they cannot be read.
        let policy = read_with(kept);
        if policy.is_err() {
            let reason = format!("everything is denied, because: {}", whole.message());
            left_out.push((String::new(), reason));
        }
        policy.ok()
    };
    Strict {
        policy: policy.unwrap_or_else(|| Arc::new(Policy::that_denies_everything(kind, name))),
        left_out,
    }
}
