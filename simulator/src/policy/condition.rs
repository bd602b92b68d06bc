//! The `Condition` element of a statement: operators, compared with the request context.

use std::net::IpAddr;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use ipnet::IpNet;
use serde_json::{Map, Value};

use super::context::Context;
use super::element::strings;
use super::pattern::Pattern;

/// One operator with one condition key, and the values in the policy.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    quantifier: Quantifier,
    operator: Operator,
    /// Whether the operator is a negated one, such as `StringNotEquals`.
    negated: bool,
    /// Whether the operator ends with `IfExists`: then it is true if the key is absent.
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

/// Which values of a multivalued key must match.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantifier {
    None,
    ForAllValues,
    ForAnyValue,
}

/// The comparison, without its negation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    String,
    StringIgnoreCase,
    StringLike,
    Arn,
    Bool,
    Null,
    Numeric(Order),
    Date(Order),
    Ip,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Reads a `Condition` element.
    pub(super) fn read_all(block: &Map<String, Value>) -> Result<Vec<Self>, String> {
        let mut conditions = Vec::new();
        for (name, keys) in block {
            let unknown = || format!("unknown condition operator {name:?}");
            let (quantifier, rest) = match name.split_once(':') {
                Some(("ForAllValues", rest)) => (Quantifier::ForAllValues, rest),
                Some(("ForAnyValue", rest)) => (Quantifier::ForAnyValue, rest),
                Some(_) => return Err(unknown()),
                None => (Quantifier::None, name.as_str()),
            };
            let (rest, if_exists) = match rest.strip_suffix("IfExists") {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            let (operator, negated) = Operator::read(rest).ok_or_else(unknown)?;
            let keys = keys
                .as_object()
                .ok_or_else(|| format!("{name} must be an object"))?;
            for (key, values) in keys {
                conditions.push(Self {
                    quantifier,
                    operator,
                    negated,
                    if_exists,
                    key: key.clone(),
                    values: strings(values)?,
                });
            }
        }
        Ok(conditions)
    }

    /// Whether the condition is true for a request. `has_variables` tells whether the policy's version has
    /// policy variables.
    pub(super) fn is_true(&self, context: &Context, has_variables: bool) -> bool {
        let found = context.get(&self.key);
        if self.operator == Operator::Null {
            let absent = found.is_none().to_string();
            return self
                .values
                .iter()
                .any(|value| value.eq_ignore_ascii_case(&absent));
        }
        let found = match found {
            Some(found) if !found.is_empty() => found,
            // If the key is absent, a negated operator is true and another one is not.
            _ => {
                return self.if_exists
                    || match self.quantifier {
                        Quantifier::None => self.negated,
                        Quantifier::ForAllValues => true,
                        Quantifier::ForAnyValue => false,
                    };
            }
        };
        let variables = has_variables.then_some(context);
        let is_true_for = |value: &String| {
            let matched = self
                .values
                .iter()
                .any(|wanted| self.operator.matches(value, wanted, variables));
            matched != self.negated
        };
        match self.quantifier {
            Quantifier::ForAllValues => found.iter().all(is_true_for),
            Quantifier::None | Quantifier::ForAnyValue => found.iter().any(is_true_for),
        }
    }
}

impl Operator {
    /// Reads an operator's name; the flag tells whether it is negated.
    fn read(name: &str) -> Option<(Self, bool)> {
        let order = |rest: &str| {
            Some(match rest {
                "Equals" | "NotEquals" => Order::Equal,
                "LessThan" => Order::Less,
                "LessThanEquals" => Order::LessOrEqual,
                "GreaterThan" => Order::Greater,
                "GreaterThanEquals" => Order::GreaterOrEqual,
                _ => return None,
            })
        };
        if let Some(rest) = name.strip_prefix("Numeric") {
            return Some((Self::Numeric(order(rest)?), rest == "NotEquals"));
        }
        if let Some(rest) = name.strip_prefix("Date") {
            return Some((Self::Date(order(rest)?), rest == "NotEquals"));
        }
        Some(match name {
            "StringEquals" => (Self::String, false),
            "StringNotEquals" => (Self::String, true),
            "StringEqualsIgnoreCase" => (Self::StringIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Self::StringIgnoreCase, true),
            "StringLike" => (Self::StringLike, false),
            "StringNotLike" => (Self::StringLike, true),
            // AWS documents that these two behave identically.
            "ArnEquals" | "ArnLike" => (Self::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Self::Arn, true),
            "Bool" => (Self::Bool, false),
            "Null" => (Self::Null, false),
            "IpAddress" => (Self::Ip, false),
            "NotIpAddress" => (Self::Ip, true),
            "BinaryEquals" => (Self::Binary, false),
            _ => return None,
        })
    }

    /// Compares a value of the request context with a value of the policy.
    fn matches(self, value: &str, wanted: &str, variables: Option<&Context>) -> bool {
        match self {
            Self::String => Pattern::literal(wanted, variables).matches(value),
            Self::StringIgnoreCase => {
                Pattern::literal(&wanted.to_lowercase(), variables).matches(&value.to_lowercase())
            }
            Self::StringLike => Pattern::wildcards(wanted, variables).matches(value),
            // Each part is compared for itself: a wildcard does not match across a colon.
            Self::Arn => {
                let values: Vec<_> = value.splitn(6, ':').collect();
                let wanted: Vec<_> = wanted.splitn(6, ':').collect();
                values.len() == wanted.len()
                    && values
                        .iter()
                        .zip(&wanted)
                        .all(|(value, wanted)| Pattern::wildcards(wanted, variables).matches(value))
            }
            Self::Bool => value.eq_ignore_ascii_case(wanted),
            Self::Binary => value == wanted,
            Self::Numeric(order) => match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(value), Ok(wanted)) => order.is_true(value, wanted),
                _ => false,
            },
            Self::Date(order) => match (epoch_seconds(value), epoch_seconds(wanted)) {
                (Some(value), Some(wanted)) => order.is_true(value, wanted),
                _ => false,
            },
            Self::Ip => is_in_network(value, wanted),
            // Only asks whether the key is there; see `Condition::is_true`.
            Self::Null => false,
        }
    }
}

impl Order {
    fn is_true(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

/// Reads a date: seconds since 1970, or ISO 8601.
fn epoch_seconds(date: &str) -> Option<f64> {
    date.parse().ok().or_else(|| {
        let date = DateTime::from_str(date, Format::DateTimeWithOffset).ok()?;
        Some(date.as_secs_f64())
    })
}

/// Whether an address is in a network (`10.0.0.0/8`), or is the address given in its place.
fn is_in_network(address: &str, network: &str) -> bool {
    let network = network
        .parse::<IpNet>()
        .or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
    match (address.parse::<IpAddr>(), network) {
        (Ok(address), Ok(network)) => network.contains(&address),
        _ => false,
    }
}
