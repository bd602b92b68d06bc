//! The JSON elements of a policy document.

use serde_json::{Map, Value};

/// Reads a string, or a list of strings. IAM also takes numbers and Boolean values as strings.
pub(super) fn strings(value: &Value) -> Result<Vec<String>, String> {
    let values = match value {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    };
    values
        .into_iter()
        .map(|value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            _ => Err(format!("{value} must be a string")),
        })
        .collect()
}

/// Rejects an object that has other elements than these.
pub(super) fn reject_unknown(object: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("unknown element {name:?}")),
        None => Ok(()),
    }
}
