//! What becomes of a policy that the simulator cannot evaluate: of what it does not understand, it allows nothing
//! and denies everything, so that it never allows what AWS refuses.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Import;
use crate::iam::{Document, IamError};
use crate::policy::{Policy, PolicyKind};

/// A policy, and what was left out of it.
pub(super) struct Strict<T> {
    policy: T,
    /// The place of a statement, with the reason.
    left_out: Vec<(String, String)>,
}

impl<T> Strict<T> {
    /// Adds to the import what was left out.
    pub(super) fn report(self, import: &mut Import, file: &Path, subject: &str) -> T {
        for (place, reason) in self.left_out {
            import.leave_out(file, format!("{subject}{place}"), reason);
        }
        self.policy
    }
}

/// What a policy is read as.
pub(super) trait Compiled {
    fn policy(&mut self) -> &mut Policy;
}

impl Compiled for Arc<Policy> {
    fn policy(&mut self) -> &mut Policy {
        Arc::make_mut(self)
    }
}

impl Compiled for Document {
    fn policy(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.policy)
    }
}

/// Reads a policy with `read`, whole or statement by statement.
pub(super) fn read<T: Compiled>(
    kind: PolicyKind,
    text: &str,
    read: &dyn Fn(&str) -> Result<T, IamError>,
) -> Strict<T> {
    let reason = match read(text) {
        Ok(policy) => {
            return Strict {
                policy,
                left_out: Vec::new(),
            };
        }
        Err(error) => error.message().to_owned(),
    };
    let document: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    };
    let with = |statements: Vec<Value>| {
        let mut document = document.clone();
        document.insert("Statement".to_owned(), statements.into());
        Value::from(document).to_string()
    };
    let mut kept = Vec::new();
    let mut left_out = Vec::new();
    // By the place in `kept`, from 1: explanations count the statements as the file does.
    let mut marks = Vec::new();
    for (n, statement) in (1..).zip(statements) {
        let Err(error) = read(&with(vec![statement.clone()])) else {
            kept.push(statement);
            continue;
        };
        let sid = statement["Sid"].as_str();
        let place = match sid {
            Some(sid) => format!(", statement {n} ({sid})"),
            None => format!(", statement {n}"),
        };
        let mut unconditional = statement.clone();
        if let Some(statement) = unconditional.as_object_mut() {
            statement.remove("Condition");
        }
        let (what, replacement) = if statement["Effect"] != "Deny" {
            let inert = inert(kind, sid);
            let is_read = read(&with(vec![inert.clone()])).is_ok();
            ("it allows nothing", is_read.then_some(inert))
        } else if read(&with(vec![unconditional.clone()])).is_ok() {
            ("it denies whatever its Condition says", Some(unconditional))
        } else {
            ("everything is denied", Some(deny_everything(kind)))
        };
        left_out.push((place, format!("{what}, because: {}", error.message())));
        if let Some(replacement) = replacement {
            kept.push(replacement);
            marks.push((kept.len(), error.message().to_owned()));
        }
    }
    if left_out.is_empty() {
        // It is no policy, or its statements do not go together.
        left_out.push((
            String::new(),
            format!("everything is denied, because: {reason}"),
        ));
        kept.clear();
    }
    if kept.is_empty() {
        kept.push(deny_everything(kind));
        marks = vec![(1, reason.clone())];
    }
    let policy = read(&with(kept)).or_else(|_| {
        marks = vec![(1, reason)];
        read(&deny_document(kind))
    });
    // A policy that only denies can always be read.
    let mut policy = policy.unwrap_or_else(|error| unreachable!("{error}"));
    for (number, reason) in marks {
        policy.policy().mark_not_understood(number, &reason);
    }
    Strict { policy, left_out }
}

/// Returns a statement that never applies, in the place of one that is not understood.
fn inert(kind: PolicyKind, sid: Option<&str>) -> Value {
    let mut statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole",
        "Condition": {"Null": {"aws:CurrentTime": "true"}}});
    if let Some(sid) = sid {
        statement["Sid"] = json!(sid);
    }
    if kind == PolicyKind::Trust {
        statement["Principal"] = json!({"AWS": "*"});
    } else {
        statement["Resource"] = json!("*");
    }
    statement
}

fn deny_document(kind: PolicyKind) -> String {
    json!({"Version": "2012-10-17", "Statement": [deny_everything(kind)]}).to_string()
}

fn deny_everything(kind: PolicyKind) -> Value {
    match kind {
        PolicyKind::Trust => {
            json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": [
                "sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"]})
        }
        PolicyKind::ResourceControl => {
            json!({"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*"})
        }
        _ => json!({"Effect": "Deny", "Action": "*", "Resource": "*"}),
    }
}
