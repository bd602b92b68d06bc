//! Reads policies that the simulator may not fully understand. What it does not understand allows nothing, or denies
//! everything, so that an import never allows what AWS denies.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::outcome::Import;
use crate::iam::IamError;
use crate::policy::{Effect, Policy, PolicyKind};

/// A policy, with what was left out of it.
pub(super) struct StrictPolicy {
    policy: Arc<Policy>,
    /// Statements within the policy, with the reasons.
    left_out: Vec<(String, String)>,
}

impl StrictPolicy {
    /// Reports what was left out to the import, and returns the policy.
    pub(super) fn report(self, import: &mut Import, file: &Path, subject: &str) -> Arc<Policy> {
        for (place, reason) in self.left_out {
            import.leave_out(file, format!("{subject}{place}"), reason);
        }
        self.policy
    }
}

/// Reads a policy with `read`: as a whole if possible, else statement by statement. Statements keep their numbers.
/// Explanations refer to the policy by `name`.
pub(super) fn read(
    kind: PolicyKind,
    name: &str,
    text: &str,
    read: &dyn Fn(&str) -> Result<Arc<Policy>, IamError>,
) -> StrictPolicy {
    let whole = match read(text) {
        Ok(policy) => {
            let left_out = Vec::new();
            return StrictPolicy { policy, left_out };
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
            "the statement allows nothing"
        } else if let Ok(one) = read_with(vec![unconditional]) {
            policy.append(&Policy::clone(&one).not_understood(reason));
            "the statement denies regardless of its Condition"
        } else {
            policy.add_not_understood(Effect::Deny, sid, reason);
            "everything is denied"
        };
        let place = match sid {
            Some(sid) => format!(", statement {n} ({sid})"),
            None => format!(", statement {n}"),
        };
        left_out.push((place, format!("{what}: {reason}")));
    }
    // The document may have no statements at all, or statements that are valid only one by one.
    let is_refused = if understood.is_empty() {
        left_out.is_empty()
    } else {
        read_with(understood).is_err()
    };
    if is_refused {
        let reason = whole.message();
        policy = Policy::that_denies_everything(kind, name).not_understood(reason);
        left_out.push((String::new(), format!("everything is denied: {reason}")));
    }
    StrictPolicy {
        policy: Arc::new(policy),
        left_out,
    }
}
