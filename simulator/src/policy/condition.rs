//! The `Condition` element of a statement: operators and their evaluation.

use std::net::IpAddr;
use std::ops::Not;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::context::{Context, Lookup};
use super::explanation::ConditionTrace;
use super::json::strings;
use super::keys;
use super::pattern::{Match, Pattern};
use super::value::{Decimal, bytes, epoch_nanos};

/// One operator with one condition key and the policy's values.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// As written in the policy, such as `ForAllValues:StringNotEqualsIfExists`.
    name: String,
    quantifier: Quantifier,
    /// Whether the operator is negated, such as `StringNotEquals`.
    negated: bool,
    /// Whether the operator ends with `IfExists`, so that it is true if the key is absent.
    if_exists: bool,
    key: String,
    /// The values as written in the policy.
    texts: Vec<String>,
    values: Values,
}

/// Which values of a multivalued key must match.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantifier {
    None,
    ForAllValues,
    ForAnyValue,
}

/// The policy's values, parsed for the operator.
#[derive(Clone, Debug)]
enum Values {
    String(Vec<Pattern>),
    StringIgnoreCase(Vec<Pattern>),
    Arn(Vec<Pattern>),
    Bool(Vec<bool>),
    /// Whether the key must be absent.
    Null(Vec<bool>),
    Numeric(Order, Vec<Decimal>),
    /// In nanoseconds since 1970.
    Date(Order, Vec<i128>),
    Ip(Vec<IpNet>),
    Binary(Vec<Vec<u8>>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Whether a condition, or all conditions of a statement, are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// Depends on a key of which the test has not declared whether the request has it.
    Unknown,
}

impl From<bool> for Truth {
    fn from(is_true: bool) -> Self {
        if is_true { Self::True } else { Self::False }
    }
}

impl Condition {
    /// Reads a `Condition` element. `has_variables` says whether the policy's version supports policy variables.
    pub(super) fn read_all(
        block: &Map<String, Value>,
        has_variables: bool,
    ) -> Result<Vec<Self>, String> {
        let mut conditions = Vec::new();
        for (name, keys) in block {
            let keys = keys
                .as_object()
                .ok_or_else(|| format!("{name} must be an object"))?;
            for (key, values) in keys {
                let texts = strings(values)?;
                if texts.is_empty() {
                    return Err(format!("{name} {key} has no values"));
                }
                conditions.push(Self::read(name, key, texts, has_variables)?);
            }
            if keys.is_empty() {
                // No key is compared, but the operator must be valid.
                Self::read(name, "", Vec::new(), has_variables)?;
            }
        }
        Ok(conditions)
    }

    fn read(
        name: &str,
        key: &str,
        texts: Vec<String>,
        has_variables: bool,
    ) -> Result<Self, String> {
        let unknown = || format!("unknown condition operator {name:?}");
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::ForAllValues, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAnyValue, rest),
            Some(_) => return Err(unknown()),
            None => (Quantifier::None, name),
        };
        let (operator, if_exists) = match rest.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (rest, false),
        };
        // `Null` checks whether the key exists, and has neither `IfExists` nor a set form.
        if operator == "Null" && operator != name {
            return Err(unknown());
        }
        if quantifier == Quantifier::None && operator != "Null" && keys::is_multivalued(key) {
            return Err(format!(
                "{key} is multivalued: use ForAllValues:{name} or ForAnyValue:{name}"
            ));
        }
        let (values, negated) =
            Values::read(operator, &texts, has_variables).map_err(|reason| {
                match (reason, keys::is_secret(key)) {
                    (ReadError::Operator, _) => unknown(),
                    (ReadError::Value(rule, _), true) => format!("{name} {key}: a value {rule}"),
                    (ReadError::Value(rule, text), false) => {
                        format!("{name} {key}: {text:?} {rule}")
                    }
                }
            })?;
        Ok(Self {
            name: name.to_owned(),
            quantifier,
            negated,
            if_exists,
            key: key.to_owned(),
            texts,
            values,
        })
    }

    /// Returns the keys that the condition refers to: its own, and those of policy variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let patterns: &[Pattern] = match &self.values {
            Values::String(patterns)
            | Values::StringIgnoreCase(patterns)
            | Values::Arn(patterns) => patterns,
            _ => &[],
        };
        let variables = patterns.iter().flat_map(Pattern::variables);
        std::iter::once(self.key.as_str()).chain(variables)
    }

    /// Evaluates the condition for a request.
    pub(super) fn evaluate(&self, context: &Context) -> Truth {
        let found = context.lookup(&self.key);
        if found == Lookup::Unknown {
            return Truth::Unknown;
        }
        if let Values::Null(wanted) = &self.values {
            return wanted.contains(&(found == Lookup::Absent)).into();
        }
        let Lookup::Present(found) = found else {
            return self.is_true_if_absent().into();
        };
        // Set operators treat an empty string as no value.
        if self.quantifier != Quantifier::None && found.iter().all(String::is_empty) {
            return (self.quantifier == Quantifier::ForAllValues).into();
        }
        let matches = found
            .iter()
            .map(|value| match self.values.match_any(value, context) {
                Match::Yes => Truth::True,
                Match::No => Truth::False,
                Match::Unknown => Truth::Unknown,
            });
        match (self.quantifier, self.negated) {
            (Quantifier::None | Quantifier::ForAnyValue, false) => Truth::any(matches),
            (Quantifier::None, true) => !Truth::any(matches),
            (Quantifier::ForAnyValue, true) => Truth::any(matches.map(|truth| !truth)),
            (Quantifier::ForAllValues, false) => Truth::all(matches),
            (Quantifier::ForAllValues, true) => Truth::all(matches.map(|truth| !truth)),
        }
    }

    /// Whether the condition is true if the key is absent. Without a quantifier, that is the case for negated
    /// operators; with one, `ForAllValues` is true of no values and `ForAnyValue` is false.
    fn is_true_if_absent(&self) -> bool {
        self.if_exists
            || match self.quantifier {
                Quantifier::None => self.negated,
                Quantifier::ForAllValues => true,
                Quantifier::ForAnyValue => false,
            }
    }

    /// Returns the compared values, for explanations.
    pub(super) fn trace(&self, truth: Truth, context: &Context) -> ConditionTrace {
        let values_of = |key: &str| match context.lookup(key) {
            Lookup::Present(values) => Some(values.to_vec()),
            Lookup::Absent | Lookup::Unknown => None,
        };
        let variables = self.keys().skip(1);
        ConditionTrace {
            operator: self.name.clone(),
            key: self.key.clone(),
            is_unknown: truth == Truth::Unknown,
            policy_values: self.texts.clone(),
            request_values: values_of(&self.key),
            variables: variables
                .map(|key| (key.to_owned(), values_of(key)))
                .collect(),
        }
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl Truth {
    pub(super) fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::True;
        for truth in truths {
            match truth {
                Self::False => return Self::False,
                Self::Unknown => all = Self::Unknown,
                Self::True => {}
            }
        }
        all
    }

    fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Self::False;
        for truth in truths {
            match truth {
                Self::True => return Self::True,
                Self::Unknown => any = Self::Unknown,
                Self::False => {}
            }
        }
        any
    }
}

/// Why an operator's values cannot be read.
enum ReadError {
    Operator,
    /// The rule, and the value.
    Value(String, String),
}

impl Values {
    /// Reads the values of an operator. The flag says whether the operator is negated.
    fn read(
        operator: &str,
        texts: &[String],
        has_variables: bool,
    ) -> Result<(Self, bool), ReadError> {
        fn each<T>(
            texts: &[String],
            read: impl Fn(&str) -> Result<T, String>,
        ) -> Result<Vec<T>, ReadError> {
            let values = texts
                .iter()
                .map(|text| read(text).map_err(|rule| ReadError::Value(rule, text.clone())));
            values.collect()
        }
        let rule = |rule: &str| rule.to_owned();
        let order = |rest: &str| {
            Ok(match rest {
                "Equals" | "NotEquals" => Order::Equal,
                "LessThan" => Order::Less,
                "LessThanEquals" => Order::LessOrEqual,
                "GreaterThan" => Order::Greater,
                "GreaterThanEquals" => Order::GreaterOrEqual,
                _ => return Err(ReadError::Operator),
            })
        };
        if let Some(rest) = operator.strip_prefix("Numeric") {
            let numbers = each(texts, |text| {
                Decimal::read(text).ok_or_else(|| rule("must be a number"))
            });
            return Ok((Self::Numeric(order(rest)?, numbers?), rest == "NotEquals"));
        }
        if let Some(rest) = operator.strip_prefix("Date") {
            let dates = each(texts, |text| {
                epoch_nanos(text).ok_or_else(|| {
                    rule("must be a date such as 2026-01-31 or 2026-01-31T12:00:00Z, or seconds since 1970")
                })
            });
            return Ok((Self::Date(order(rest)?, dates?), rest == "NotEquals"));
        }
        let literal = || each(texts, |text| Pattern::literal(text, has_variables));
        let wildcards = || each(texts, |text| Pattern::wildcards(text, has_variables));
        let flags = || {
            each(texts, |text| match text {
                _ if text.eq_ignore_ascii_case("true") => Ok(true),
                _ if text.eq_ignore_ascii_case("false") => Ok(false),
                _ => Err(rule("must be true or false")),
            })
        };
        let arns = || {
            each(texts, |text| {
                let pattern = Pattern::wildcards(text, has_variables)?;
                if pattern.has_arn_format() || pattern.variables().next().is_some() {
                    Ok(pattern)
                } else {
                    Err(rule("must have the six parts of an ARN, between colons"))
                }
            })
        };
        let networks = || {
            each(texts, |text| {
                let network = text.parse::<IpNet>();
                network
                    .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| rule("must be an IP address, or a range such as 10.0.0.0/8"))
            })
        };
        Ok(match operator {
            "StringEquals" => (Self::String(literal()?), false),
            "StringNotEquals" => (Self::String(literal()?), true),
            "StringEqualsIgnoreCase" => (Self::StringIgnoreCase(literal()?), false),
            "StringNotEqualsIgnoreCase" => (Self::StringIgnoreCase(literal()?), true),
            "StringLike" => (Self::String(wildcards()?), false),
            "StringNotLike" => (Self::String(wildcards()?), true),
            // AWS documents that these two behave identically.
            "ArnEquals" | "ArnLike" => (Self::Arn(arns()?), false),
            "ArnNotEquals" | "ArnNotLike" => (Self::Arn(arns()?), true),
            "Bool" => (Self::Bool(flags()?), false),
            "Null" => (Self::Null(flags()?), false),
            "IpAddress" => (Self::Ip(networks()?), false),
            "NotIpAddress" => (Self::Ip(networks()?), true),
            "BinaryEquals" => {
                let values = each(texts, |text| {
                    bytes(text).ok_or_else(|| rule("must be base64"))
                });
                (Self::Binary(values?), false)
            }
            _ => return Err(ReadError::Operator),
        })
    }

    /// Whether any of the policy's values matches a value of the request.
    fn match_any(&self, value: &str, context: &Context) -> Match {
        let any = |patterns: &[Pattern], test: &dyn Fn(&Pattern) -> Match| {
            let matches: Vec<Match> = patterns.iter().map(test).collect();
            if matches.contains(&Match::Yes) {
                Match::Yes
            } else if matches.contains(&Match::Unknown) {
                Match::Unknown
            } else {
                Match::No
            }
        };
        match self {
            Self::String(patterns) => any(patterns, &|pattern| pattern.matches(value, context)),
            Self::StringIgnoreCase(patterns) => any(patterns, &|pattern| {
                pattern.matches_any_case(value, context)
            }),
            Self::Arn(patterns) => any(patterns, &|pattern| pattern.matches_arn(value, context)),
            Self::Bool(wanted) => wanted
                .iter()
                .any(|wanted| value.eq_ignore_ascii_case(&wanted.to_string()))
                .into(),
            Self::Numeric(order, wanted) => {
                let value = Decimal::read(value);
                let is_true = |wanted: &Decimal| {
                    value
                        .as_ref()
                        .is_some_and(|value| order.is_true(value, wanted))
                };
                wanted.iter().any(is_true).into()
            }
            Self::Date(order, wanted) => {
                let value = epoch_nanos(value);
                let is_true = |wanted: &i128| {
                    value
                        .as_ref()
                        .is_some_and(|value| order.is_true(value, wanted))
                };
                wanted.iter().any(is_true).into()
            }
            Self::Ip(networks) => {
                let address = value.parse::<IpAddr>().ok();
                let is_in =
                    |network: &IpNet| address.is_some_and(|address| network.contains(&address));
                networks.iter().any(is_in).into()
            }
            Self::Binary(wanted) => bytes(value)
                .is_some_and(|value| wanted.contains(&value))
                .into(),
            // `Condition::evaluate` handles `Null`.
            Self::Null(_) => Match::No,
        }
    }
}

impl Order {
    fn is_true<T: Ord>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}
