//! Parses the JSON of policy documents as IAM does, which rejects an object that has the same element twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses a document.
pub(super) fn parse(json: &str) -> Result<Value, String> {
    serde_json::from_str::<Unique>(json)
        .map(|document| document.0)
        .map_err(|error| {
            // CloudFormation templates are mostly YAML.
            if json
                .trim_start()
                .starts_with(|c: char| c.is_alphabetic() || "-#".contains(c))
            {
                format!("{error}; it is not JSON: convert YAML to JSON first")
            } else {
                error.to_string()
            }
        })
}

/// Reads a string or a list of strings. Like IAM, accepts numbers and Booleans as strings.
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
            Value::Null => Err("expected a string, found null".to_owned()),
            Value::Array(_) => Err("expected a string, found a list".to_owned()),
            Value::Object(object) => Err(match object.keys().next() {
                Some(name) if name == "Ref" || name.starts_with("Fn::") => {
                    format!("replace CloudFormation's {name:?} with its value first")
                }
                _ => "expected a string, found an object".to_owned(),
            }),
        })
        .collect()
}

/// Rejects an object that has elements other than these.
pub(super) fn reject_unknown(object: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("unknown element {name:?}")),
        None => Ok(()),
    }
}

/// A JSON value without duplicate elements. serde_json's own `Value` silently keeps the last one.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = entries.next_entry::<String, Unique>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("element {name:?} is given twice")));
            }
            object.insert(name, value);
        }
        Ok(Unique(Value::Object(object)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Unique(Value::Array(list)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Unique, E> {
        Ok(Unique(text.into()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }
}
