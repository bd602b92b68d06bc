//! What becomes of a policy that the simulator cannot evaluate: a statement that it does not understand allows nothing,
//! and denies whatever it may deny, so that it never allows what AWS refuses.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Import;
use crate::iam::IamError;
use crate::policy::PolicyKind;

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

/// Reads a policy with `read`, whole or statement by statement.
pub(super) fn read<T>(
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
            ("it allows nothing", None)
        } else if read(&with(vec![unconditional.clone()])).is_ok() {
            ("it denies whatever its Condition says", Some(unconditional))
        } else {
            ("everything is denied", Some(deny_everything(kind)))
        };
        left_out.push((place, format!("{what}, because: {}", error.message())));
        kept.extend(replacement);
    }
    if left_out.is_empty() {
        // It is no policy, or its statements do not go together.
        left_out.push((
            String::new(),
            format!("everything is denied, because: {reason}"),
        ));
        kept = vec![deny_everything(kind)];
    } else if kept.is_empty() {
        kept.push(nothing(kind));
    }
    let policy = read(&with(kept)).or_else(|_| {
        // What is wrong is not in a statement.
        left_out.push((
            String::new(),
            format!("everything is denied, because: {reason}"),
        ));
        read(&deny_document(kind))
    });
    Strict {
        // A policy that only denies can always be read.
        policy: policy.unwrap_or_else(|error| unreachable!("{error}")),
        left_out,
    }
}

fn deny_document(kind: PolicyKind) -> String {
    json!({"Version": "2012-10-17", "Statement": [deny_everything(kind)]}).to_string()
}

/// Returns a statement that never applies, because a policy must have one.
fn nothing(kind: PolicyKind) -> Value {
    match kind {
        PolicyKind::Trust => {
            json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "NotAction": "sts:*"})
        }
        // The only one that allows; and that means nothing, because these policies only deny.
        PolicyKind::ResourceControl => {
            json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
        }
        _ => json!({"Effect": "Allow", "NotAction": "*", "Resource": "*"}),
    }
}

fn deny_everything(kind: PolicyKind) -> Value {
    match kind {
        PolicyKind::Trust => {
            json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": [
                "sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"]})
        }
        PolicyKind::ResourceControl => {
            // Those of every service that AWS applies such policies to; it has no wildcard for all.
            json!({"Effect": "Deny", "Principal": "*", "Resource": "*", "Action": [
                "aoss:*", "cognito-identity:*", "cognito-idp:*", "dynamodb:*", "ecr:*", "kms:*", "logs:*", "s3:*",
                "secretsmanager:*", "sqs:*", "sts:*"]})
        }
        _ => json!({"Effect": "Deny", "Action": "*", "Resource": "*"}),
    }
}
