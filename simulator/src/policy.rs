//! IAM policies: read as IAM reads them, and evaluated statement by statement.
//!
//! Written here because the evaluators on crates.io, read for the cases that this simulator exists for,
//! lack some: iam-rs 0.8 takes one kind of principal a statement, `ArnEquals` without wildcards, and a
//! federated principal whose name merely begins like the one named; scratchstack-aspen 0.3 has no
//! `ForAllValues` and `ForAnyValue`; neither tells an account, which only delegates, from its users.

use std::collections::HashMap;
use std::net::IpAddr;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Map, Value};

/// A policy of any kind: identity, session or trust.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allow: bool,
    principals: Option<Matching<Principal>>,
    actions: Matching<String>,
    /// None in a trust policy: the role is the resource.
    resources: Option<Matching<String>>,
    conditions: Vec<Condition>,
    /// Versions before 2012-10-17, and none, know no `${…}`.
    variables: bool,
}

/// A list, or in its `Not…` form all but the list.
#[derive(Clone, Debug)]
struct Matching<T> {
    not: bool,
    list: Vec<T>,
}

impl<T> Matching<T> {
    fn matches(&self, test: impl FnMut(&T) -> bool) -> bool {
        self.list.iter().any(test) != self.not
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Principal {
    Any,
    /// The account, which only delegates to its own policies.
    Account(String),
    /// A user or role as it was when the policy was saved: its unique id.
    Id(String),
    /// One session of a role, by its ARN.
    Session(String),
    /// A service or an identity provider.
    Other(String),
}

/// Turns a user's or role's ARN into its unique id, if it is there.
type Resolve<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the policy decides, before it is set against other policies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// An explicit deny: nothing outweighs it.
    Denied,
    /// Nothing applies.
    Silent,
    /// Allowed to the caller's account, whose own policies decide.
    Delegated,
    /// Allowed to the caller's role, whatever its session; a session policy still limits it.
    AllowedRole,
    /// Allowed.
    Allowed,
}

/// One request's context keys; keys without regard to case.
#[derive(Clone, Debug, Default)]
pub(super) struct Context(HashMap<String, Vec<String>>);

impl Context {
    pub(super) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, vec![value.into()]);
    }

    pub(super) fn set_all(&mut self, key: &str, values: Vec<String>) {
        self.0.insert(key.to_ascii_lowercase(), values);
    }

    fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

impl Policy {
    /// Reads an identity, session or managed policy.
    pub(super) fn permission(json: &str) -> Result<Self, String> {
        Self::read(json, None)
    }

    /// Reads a trust policy; `resolve` turns a user's or role's ARN into its unique id.
    pub(super) fn trust(json: &str, resolve: Resolve<'_>) -> Result<Self, String> {
        Self::read(json, Some(resolve))
    }

    fn read(json: &str, resolve: Option<Resolve<'_>>) -> Result<Self, String> {
        let document: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let document = document.as_object().ok_or("the policy must be an object")?;
        known(document, &["Version", "Id", "Statement"])?;
        let variables = match document.get("Version").map(|version| version.as_str()) {
            Some(Some("2012-10-17")) => true,
            None | Some(Some("2008-10-17")) => false,
            Some(_) => return Err("unknown Version".to_owned()),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement) => vec![statement],
            None => return Err("Statement is missing".to_owned()),
        };
        let statements = statements
            .into_iter()
            .map(|statement| Statement::read(statement, resolve, variables))
            .collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// Whether an identity, session or managed policy allows `action` on `resource`.
    pub(super) fn permits(&self, action: &str, resource: &str, context: &Context) -> Verdict {
        self.evaluate(context, |statement| {
            let resources = statement.resources.as_ref()?;
            let applies = statement.covers(action)
                && resources.matches(|pattern| {
                    let context = statement.variables.then_some(context);
                    Pattern::parse(pattern, context, true).matches(resource)
                });
            applies.then_some(Verdict::Allowed)
        })
    }

    /// Whether a trust policy allows `action` to the caller, who is all of `principals`.
    pub(super) fn trusts(
        &self,
        action: &str,
        principals: &[(Principal, Verdict)],
        context: &Context,
    ) -> Verdict {
        self.evaluate(context, |statement| {
            let named = statement.principals.as_ref()?;
            if !statement.covers(action) {
                return None;
            }
            let is_named = |principal: &Principal| named.list.contains(principal);
            if named.not {
                let excluded = principals.iter().any(|(principal, _)| is_named(principal));
                return (!excluded).then_some(Verdict::Allowed);
            }
            let matched = principals
                .iter()
                .filter(|(principal, _)| is_named(principal));
            matched
                .map(|(_, verdict)| *verdict)
                .reduce(Verdict::stronger)
        })
    }

    fn evaluate(
        &self,
        context: &Context,
        applies: impl Fn(&Statement) -> Option<Verdict>,
    ) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            let Some(allowed) = applies(statement) else {
                continue;
            };
            if !statement
                .conditions
                .iter()
                .all(|condition| condition.holds(context, statement.variables))
            {
                continue;
            }
            if !statement.allow {
                return Verdict::Denied;
            }
            verdict = verdict.stronger(allowed);
        }
        verdict
    }
}

impl Verdict {
    fn stronger(self, other: Self) -> Self {
        let rank = |verdict| match verdict {
            Self::Silent => 0,
            Self::Delegated => 1,
            Self::AllowedRole => 2,
            Self::Allowed => 3,
            Self::Denied => 4,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }

    /// Of several policies of one kind.
    pub(super) fn of(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().fold(Self::Silent, Self::stronger)
    }
}

impl Statement {
    fn read(
        statement: &Value,
        resolve: Option<Resolve<'_>>,
        variables: bool,
    ) -> Result<Self, String> {
        let statement = statement
            .as_object()
            .ok_or("a Statement must be an object")?;
        known(
            statement,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let allow = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("Effect must be Allow or Deny".to_owned()),
        };
        let actions = either(statement, "Action", "NotAction", strings)?
            .ok_or("Action or NotAction is missing")?;
        if let Some(wrong) = actions.list.iter().find(|a| *a != "*" && !a.contains(':')) {
            return Err(format!("Action {wrong:?} has no service"));
        }
        let resources = either(statement, "Resource", "NotResource", strings)?;
        let principals = either(statement, "Principal", "NotPrincipal", |value| {
            let resolve = resolve.ok_or("only a trust policy has a Principal")?;
            read_principals(value, resolve)
        })?;
        match resolve {
            Some(_) if principals.is_none() => return Err("Principal is missing".to_owned()),
            Some(_) if resources.is_some() => {
                return Err("a trust policy has no Resource".to_owned());
            }
            None if resources.is_none() => return Err("Resource is missing".to_owned()),
            _ => {}
        }
        let conditions = match statement.get("Condition") {
            Some(Value::Object(block)) => read_conditions(block)?,
            Some(_) => return Err("Condition must be an object".to_owned()),
            None => Vec::new(),
        };
        Ok(Self {
            allow,
            principals,
            actions,
            resources,
            conditions,
            variables,
        })
    }

    fn covers(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.matches(|pattern| {
            Pattern::parse(&pattern.to_ascii_lowercase(), None, true).matches(&action)
        })
    }
}

fn known(object: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("unknown element {name:?}")),
        None => Ok(()),
    }
}

fn either<T>(
    object: &Map<String, Value>,
    name: &str,
    not_name: &str,
    read: impl Fn(&Value) -> Result<Vec<T>, String>,
) -> Result<Option<Matching<T>>, String> {
    let (not, value) = match (object.get(name), object.get(not_name)) {
        (Some(_), Some(_)) => return Err(format!("both {name} and {not_name}")),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        (None, None) => return Ok(None),
    };
    let list = read(value)?;
    if list.is_empty() {
        return Err(format!("{name} is empty"));
    }
    Ok(Some(Matching { not, list }))
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
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

fn read_principals(value: &Value, resolve: Resolve<'_>) -> Result<Vec<Principal>, String> {
    if value == "*" {
        return Ok(vec![Principal::Any]);
    }
    let kinds = value
        .as_object()
        .ok_or("Principal must be \"*\" or an object")?;
    known(kinds, &["AWS", "Federated", "Service", "CanonicalUser"])?;
    let mut principals = Vec::new();
    for (kind, names) in kinds {
        for name in strings(names)? {
            principals.push(match kind.as_str() {
                "AWS" => read_aws_principal(&name, resolve)?,
                _ => Principal::Other(name),
            });
        }
    }
    Ok(principals)
}

fn read_aws_principal(name: &str, resolve: Resolve<'_>) -> Result<Principal, String> {
    let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    if name == "*" {
        return Ok(Principal::Any);
    }
    if is_account(name) {
        return Ok(Principal::Account(name.to_owned()));
    }
    let invalid = || format!("Invalid principal in policy: \"AWS\":\"{name}\"");
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", _, service, "", account, resource] = parts[..] else {
        return Err(invalid());
    };
    if !is_account(account) || name.contains(['*', '?']) {
        return Err(invalid());
    }
    match (service, resource) {
        ("iam", "root") => Ok(Principal::Account(account.to_owned())),
        ("iam", _) => resolve(name).map(Principal::Id).ok_or_else(invalid),
        ("sts", _) if resource.starts_with("assumed-role/") => {
            Ok(Principal::Session(name.to_owned()))
        }
        _ => Err(invalid()),
    }
}

#[derive(Clone, Debug)]
struct Condition {
    set: Set,
    test: Test,
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Set {
    One,
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Test {
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

impl Order {
    fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

fn read_conditions(block: &Map<String, Value>) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (operator, keys) in block {
        let (set, rest) = match operator.split_once(':') {
            Some(("ForAllValues", rest)) => (Set::ForAllValues, rest),
            Some(("ForAnyValue", rest)) => (Set::ForAnyValue, rest),
            Some(_) => return Err(format!("unknown condition operator {operator:?}")),
            None => (Set::One, operator.as_str()),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let (test, negated) =
            read_test(name).ok_or_else(|| format!("unknown condition operator {operator:?}"))?;
        let keys = keys
            .as_object()
            .ok_or_else(|| format!("{operator} must be an object"))?;
        for (key, values) in keys {
            conditions.push(Condition {
                set,
                test,
                negated,
                if_exists,
                key: key.clone(),
                values: strings(values)?,
            });
        }
    }
    Ok(conditions)
}

fn read_test(name: &str) -> Option<(Test, bool)> {
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
        return Some((Test::Numeric(order(rest)?), rest == "NotEquals"));
    }
    if let Some(rest) = name.strip_prefix("Date") {
        return Some((Test::Date(order(rest)?), rest == "NotEquals"));
    }
    Some(match name {
        "StringEquals" => (Test::String, false),
        "StringNotEquals" => (Test::String, true),
        "StringEqualsIgnoreCase" => (Test::StringIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Test::StringIgnoreCase, true),
        "StringLike" => (Test::StringLike, false),
        "StringNotLike" => (Test::StringLike, true),
        // For AWS these two are one.
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Bool" => (Test::Bool, false),
        "Null" => (Test::Null, false),
        "IpAddress" => (Test::Ip, false),
        "NotIpAddress" => (Test::Ip, true),
        "BinaryEquals" => (Test::Binary, false),
        _ => return None,
    })
}

impl Condition {
    fn holds(&self, context: &Context, variables: bool) -> bool {
        let found = context.get(&self.key);
        let variables = variables.then_some(context);
        if self.test == Test::Null {
            let absent = found.is_none().to_string();
            return self
                .values
                .iter()
                .any(|value| value.eq_ignore_ascii_case(&absent));
        }
        let found = match found {
            Some(found) if !found.is_empty() => found,
            // With the key absent, a negated operator holds and another does not.
            _ => {
                return self.if_exists
                    || match self.set {
                        Set::One => self.negated,
                        Set::ForAllValues => true,
                        Set::ForAnyValue => false,
                    };
            }
        };
        let one = |value: &String| {
            let matched = self
                .values
                .iter()
                .any(|wanted| self.test.matches(value, wanted, variables));
            matched != self.negated
        };
        match self.set {
            Set::ForAllValues => found.iter().all(one),
            Set::One | Set::ForAnyValue => found.iter().any(one),
        }
    }
}

impl Test {
    fn matches(self, value: &str, wanted: &str, variables: Option<&Context>) -> bool {
        match self {
            Self::String => Pattern::parse(wanted, variables, false).matches(value),
            Self::StringIgnoreCase => Pattern::parse(&wanted.to_lowercase(), variables, false)
                .matches(&value.to_lowercase()),
            Self::StringLike => Pattern::parse(wanted, variables, true).matches(value),
            Self::Arn => {
                let (values, wanted): (Vec<_>, Vec<_>) = (
                    value.splitn(6, ':').collect(),
                    wanted.splitn(6, ':').collect(),
                );
                values.len() == wanted.len()
                    && values.iter().zip(&wanted).all(|(value, wanted)| {
                        Pattern::parse(wanted, variables, true).matches(value)
                    })
            }
            Self::Bool => value.eq_ignore_ascii_case(wanted),
            Self::Binary => value == wanted,
            Self::Numeric(order) => match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(value), Ok(wanted)) => order.holds(value, wanted),
                _ => false,
            },
            Self::Date(order) => match (seconds(value), seconds(wanted)) {
                (Some(value), Some(wanted)) => order.holds(value, wanted),
                _ => false,
            },
            Self::Ip => in_network(value, wanted).unwrap_or(false),
            Self::Null => false,
        }
    }
}

fn seconds(date: &str) -> Option<f64> {
    match date.parse() {
        Ok(epoch) => Some(epoch),
        Err(_) => DateTime::from_str(date, Format::DateTimeWithOffset)
            .ok()
            .map(|date| date.as_secs_f64()),
    }
}

fn in_network(address: &str, network: &str) -> Option<bool> {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base, Some(bits.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let same = |a: u128, b: u128, width: u32| {
        let bits = bits.unwrap_or(width).min(width);
        a.checked_shr(width - bits).unwrap_or(0) == b.checked_shr(width - bits).unwrap_or(0)
    };
    Some(match (address.parse().ok()?, base.parse().ok()?) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    })
}

/// A text with `*`, `?` and policy variables such as `${aws:username}`.
struct Pattern(Vec<Glob>);

#[derive(Clone, Copy, PartialEq)]
enum Glob {
    Char(char),
    AnyChar,
    AnyChars,
    /// A variable without a value: matches nothing.
    Never,
}

impl Pattern {
    fn parse(text: &str, context: Option<&Context>, wildcards: bool) -> Self {
        let mut globs = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let variable = context.and_then(|context| {
                let (name, after) = rest.strip_prefix("${")?.split_once('}')?;
                Some((variable(name, context), after))
            });
            if let Some((value, after)) = variable {
                match value {
                    Some(value) => globs.extend(value.chars().map(Glob::Char)),
                    None => globs.push(Glob::Never),
                }
                rest = after;
                continue;
            }
            globs.push(match c {
                '*' if wildcards => Glob::AnyChars,
                '?' if wildcards => Glob::AnyChar,
                c => Glob::Char(c),
            });
            rest = &rest[c.len_utf8()..];
        }
        Self(globs)
    }

    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut glob) = (0, 0);
        // Where to go on from when a later part fails: the last `*`, one character further.
        let mut back: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(glob) {
                Some(Glob::AnyChars) => {
                    back = Some((glob, at));
                    glob += 1;
                }
                Some(Glob::AnyChar) => (at, glob) = (at + 1, glob + 1),
                Some(Glob::Char(c)) if *c == text[at] => (at, glob) = (at + 1, glob + 1),
                _ => {
                    let Some((star, from)) = back else {
                        return false;
                    };
                    back = Some((star, from + 1));
                    (at, glob) = (from + 1, star + 1);
                }
            }
        }
        self.0[glob..].iter().all(|glob| *glob == Glob::AnyChars)
    }
}

/// `${*}`, `${?}` and `${$}` are the characters; `${key, 'default'}` has a default.
fn variable(name: &str, context: &Context) -> Option<String> {
    if let "*" | "?" | "$" = name {
        return Some(name.to_owned());
    }
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (name, None),
    };
    match context.get(key) {
        Some([value]) => Some(value.clone()),
        _ => default.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let mut context = Context::default();
        context.set("sts:ExternalId", "Example987");
        context.set(
            "aws:PrincipalArn",
            "arn:aws:iam::111111111111:role/path/Caller",
        );
        context.set("aws:MultiFactorAuthAge", "120");
        context.set("aws:SourceIp", "10.1.2.3");
        context.set("aws:username", "ada*");
        context.set("aws:CurrentTime", "2026-11-22T12:00:00Z");
        context.set("aws:MultiFactorAuthPresent", "false");
        context.set_all("aws:TagKeys", vec!["Team".to_owned(), "Cost".to_owned()]);
        context
    }

    #[test]
    fn a_condition_holds_as_iam_says() {
        let cases = [
            (
                r#"{"StringEquals": {"sts:ExternalId": "Example987"}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"STS:externalid": ["other", "Example987"]}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"sts:ExternalId": "example987"}}"#,
                false,
            ),
            (r#"{"StringEquals": {"sts:ExternalId": "Example*"}}"#, false),
            (
                r#"{"StringEqualsIgnoreCase": {"sts:ExternalId": "EXAMPLE987"}}"#,
                true,
            ),
            (r#"{"StringLike": {"sts:ExternalId": "Ex?mple*"}}"#, true),
            (r#"{"StringLike": {"sts:ExternalId": "*98"}}"#, false),
            (
                r#"{"StringNotEquals": {"sts:ExternalId": ["a", "Example987"]}}"#,
                false,
            ),
            (
                r#"{"StringNotEquals": {"sts:ExternalId": ["a", "b"]}}"#,
                true,
            ),
            (r#"{"StringNotEquals": {"absent": "a"}}"#, true),
            (r#"{"StringEquals": {"absent": "a"}}"#, false),
            (r#"{"StringEqualsIfExists": {"absent": "a"}}"#, true),
            (
                r#"{"StringEqualsIfExists": {"sts:ExternalId": "a"}}"#,
                false,
            ),
            (r#"{"Null": {"absent": "true"}}"#, true),
            (r#"{"Null": {"sts:ExternalId": true}}"#, false),
            (
                r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/*"}}"#,
                true,
            ),
            (
                r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/path/Caller"}}"#,
                true,
            ),
            (
                r#"{"ArnLike": {"aws:PrincipalArn": "arn:*:role/path/Caller"}}"#,
                false,
            ),
            (
                r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::222222222222:*"}}"#,
                true,
            ),
            (r#"{"Bool": {"aws:MultiFactorAuthPresent": "true"}}"#, false),
            (r#"{"Bool": {"aws:MultiFactorAuthPresent": false}}"#, true),
            (r#"{"BoolIfExists": {"absent": "true"}}"#, true),
            (
                r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}"#,
                true,
            ),
            (
                r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": 120}}"#,
                false,
            ),
            (
                r#"{"NumericGreaterThanEquals": {"aws:MultiFactorAuthAge": 120}}"#,
                true,
            ),
            (r#"{"NumericLessThan": {"absent": 120}}"#, false),
            (
                r#"{"DateLessThan": {"aws:CurrentTime": "2026-11-22T13:00:00Z"}}"#,
                true,
            ),
            (
                r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-11-22T12:30:00+01:00"}}"#,
                true,
            ),
            (r#"{"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}"#, true),
            (
                r#"{"IpAddress": {"aws:SourceIp": ["10.2.0.0/16", "10.1.2.4"]}}"#,
                false,
            ),
            (r#"{"NotIpAddress": {"aws:SourceIp": "0.0.0.0/0"}}"#, false),
            (
                r#"{"StringEquals": {"aws:username": "${aws:username}"}}"#,
                true,
            ),
            (r#"{"StringLike": {"aws:username": "ada${*}"}}"#, true),
            (r#"{"StringLike": {"sts:ExternalId": "${absent}*"}}"#, false),
            (
                r#"{"StringLike": {"sts:ExternalId": "${absent, 'Example'}*"}}"#,
                true,
            ),
            (
                r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Cost", "x"]}}"#,
                true,
            ),
            (
                r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}}"#,
                false,
            ),
            (
                r#"{"ForAllValues:StringEquals": {"absent": ["Team"]}}"#,
                true,
            ),
            (
                r#"{"ForAnyValue:StringEquals": {"aws:TagKeys": ["Team"]}}"#,
                true,
            ),
            (r#"{"ForAnyValue:StringLike": {"aws:TagKeys": "C*"}}"#, true),
            (
                r#"{"ForAnyValue:StringEquals": {"absent": ["Team"]}}"#,
                false,
            ),
            (
                r#"{"StringEquals": {"sts:ExternalId": "Example987"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}}"#,
                false,
            ),
        ];
        for (condition, expected) in cases {
            let json = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:*",
                    "Resource": "*", "Condition": {condition}}}}}"#
            );
            let policy = Policy::permission(&json).unwrap();
            let verdict = policy.permits("sts:AssumeRole", "arn:x", &context());
            let expected = if expected {
                Verdict::Allowed
            } else {
                Verdict::Silent
            };
            assert_eq!(verdict, expected, "{condition}");
        }
    }

    #[test]
    fn an_action_and_a_resource_match_by_wildcard_and_a_deny_outweighs() {
        let policy = Policy::permission(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["firehose:Put*"], "Resource": "arn:aws:firehose:*:2:deliverystream/events"},
                {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::${aws:username}/*"},
                {"Effect": "Deny", "Action": "FIREHOSE:putrecord", "Resource": "*"}]}"#,
        )
        .unwrap();
        let stream = "arn:aws:firehose:eu-west-1:2:deliverystream/events";
        let verdict = |action, resource| policy.permits(action, resource, &context());
        assert_eq!(verdict("firehose:PutRecordBatch", stream), Verdict::Allowed);
        assert_eq!(verdict("firehose:PutRecord", stream), Verdict::Denied);
        assert_eq!(
            verdict("firehose:PutRecordBatch", "arn:other"),
            Verdict::Silent
        );
        assert_eq!(
            verdict("s3:GetObject", "arn:aws:s3:::ada*/x"),
            Verdict::Allowed
        );
        assert_eq!(
            verdict("s3:GetObject", "arn:aws:s3:::adam/x"),
            Verdict::Silent
        );
        assert_eq!(
            verdict("iam:GetUser", "arn:aws:s3:::ada*/x"),
            Verdict::Silent
        );
    }

    #[test]
    fn variables_are_text_before_version_2012() {
        for (version, expected) in [
            (r#""Version": "2012-10-17","#, Verdict::Allowed),
            (r#""Version": "2008-10-17","#, Verdict::Silent),
            ("", Verdict::Silent),
        ] {
            let json = format!(
                r#"{{{version} "Statement": {{"Effect": "Allow", "Action": "*", "Resource": "${{aws:username}}"}}}}"#
            );
            let policy = Policy::permission(&json).unwrap();
            assert_eq!(
                policy.permits("a:b", "ada*", &context()),
                expected,
                "{json}"
            );
        }
    }

    #[test]
    fn a_document_that_is_no_policy_is_refused_with_the_reason() {
        let cases = [
            ("[]", "must be an object"),
            (r#"{"Statement": {"Effect": "allow"}}"#, "Effect"),
            (
                r#"{"Statement": {"Effect": "Allow", "Resource": "*"}}"#,
                "Action",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "sts:*"}}"#,
                "Resource",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Prinzipal": 1}}"#,
                "Prinzipal",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringIs": {"a": "b"}}}}"#,
                "StringIs",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}}"#,
                "Principal",
            ),
        ];
        for (json, reason) in cases {
            let error = Policy::permission(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
        let nobody = |_: &str| None;
        let trust = |principal: &str| {
            let json = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}}}}}"#
            );
            Policy::trust(&json, &nobody).map(|_| ())
        };
        assert!(trust(r#"{"AWS": "111111111111", "Service": "ec2.amazonaws.com"}"#).is_ok());
        for wrong in [
            "arn:aws:iam::111111111111:user/nobody",
            "arn:aws:iam::111111111111:role/*",
            "me",
        ] {
            let error = trust(&format!(r#"{{"AWS": "{wrong}"}}"#)).unwrap_err();
            assert_eq!(
                error,
                format!("Invalid principal in policy: \"AWS\":\"{wrong}\"")
            );
        }
    }
}
