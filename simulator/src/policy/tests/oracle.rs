//! A second implementation of policy evaluation, written from the IAM guide and independent of the first. It parses the
//! policies' JSON again for each question, does not support unknown keys, and follows the guide as literally as
//! possible. The properties compare both implementations.

use std::collections::BTreeMap;

use serde_json::Value;

/// The request context, by keys in lower case.
pub(super) type Keys = BTreeMap<String, Vec<String>>;

/// A request, with all policies that apply.
pub(super) struct Question<'a> {
    pub(super) action: &'a str,
    pub(super) resource: &'a str,
    pub(super) keys: &'a Keys,
    /// The caller as resource policies name it: by account, by user or role, and by session.
    pub(super) account: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) role: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) is_same_account: bool,
    pub(super) identity: &'a [Value],
    pub(super) boundary: Option<&'a Value>,
    pub(super) sessions: &'a [Value],
    pub(super) service_control: &'a [Vec<Value>],
    pub(super) resource_control: &'a [Value],
    /// The policy of the resource.
    pub(super) of_resource: &'a Value,
    /// Whether `of_resource` is a role's trust policy, which every caller needs.
    pub(super) is_trust: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Allow,
    ExplicitDeny,
    ImplicitDeny,
}

impl Question<'_> {
    /// "Policy evaluation for requests within a single account", and "Cross-account policy evaluation logic".
    pub(super) fn answer(&self) -> Answer {
        let everything = (self.identity.iter())
            .chain(self.boundary)
            .chain(self.sessions)
            .chain(self.service_control.iter().flatten())
            .chain(self.resource_control)
            .chain([self.of_resource]);
        if everything
            .into_iter()
            .any(|policy| self.has("Deny", policy))
        {
            return Answer::ExplicitDeny;
        }
        let allows = |policy: &Value| self.has("Allow", policy);
        let identity = self.identity.iter().any(allows);
        let boundary = self.boundary.is_none_or(allows);
        let sessions = self.sessions.is_empty() || self.sessions.iter().any(allows);
        let mut levels = self.service_control.iter();
        let organization = levels.all(|level| level.iter().any(allows));
        let own_policies = identity && boundary && sessions;
        let trusts = |principal: Option<&str>| {
            statements(self.of_resource).into_iter().any(|statement| {
                statement["Effect"] == "Allow"
                    && principal.is_some_and(|name| names(statement, name))
                    && self.applies_apart_from_principal(self.of_resource, statement)
            })
        };
        let by_account = trusts(Some(self.account));
        let by_role = trusts(self.role);
        let directly = trusts(Some("*")) || trusts(self.user) || trusts(self.session);
        let is_allowed = if self.is_same_account {
            let is_enough = by_account || !self.is_trust;
            directly || (by_role && boundary && sessions) || (is_enough && own_policies)
        } else {
            (directly || by_role || by_account) && own_policies
        };
        if is_allowed && organization {
            Answer::Allow
        } else {
            Answer::ImplicitDeny
        }
    }

    /// Whether a statement with this effect applies.
    fn has(&self, effect: &str, policy: &Value) -> bool {
        statements(policy).into_iter().any(|statement| {
            let callers = [
                Some("*"),
                Some(self.account),
                self.user,
                self.role,
                self.session,
            ];
            let is_caller = match statement.get("NotPrincipal") {
                Some(others) => self.boundary.is_some() || !self.is_excepted(others),
                None => {
                    statement.get("Principal").is_none()
                        || callers
                            .into_iter()
                            .flatten()
                            .any(|name| names(statement, name))
                }
            };
            statement["Effect"] == effect
                && is_caller
                && self.applies_apart_from_principal(policy, statement)
        })
    }

    /// "You must also specify the account ARN of the principal that is not denied." "AWS might first check the
    /// account, then the role, and finally the assumed-role user."
    fn is_excepted(&self, others: &Value) -> bool {
        let others = texts(&others["AWS"]);
        let has = |name: Option<&str>| name.is_none_or(|name| others.iter().any(|o| o == name));
        let is_named =
            has(Some(self.account)) && has(self.user) && has(self.role) && has(self.session);
        is_named || has(Some("*"))
    }

    fn applies_apart_from_principal(&self, policy: &Value, statement: &Value) -> bool {
        let keys = self.keys_of(policy);
        let is_action = |pattern: &str| {
            let pattern = substitute(&pattern.to_lowercase(), None).unwrap();
            like(&pattern, &self.action.to_lowercase())
        };
        let is_resource = |pattern: &str| {
            substitute(pattern, keys).is_some_and(|pattern| like_resource(&pattern, self.resource))
        };
        let listed = |name: &str, test: &dyn Fn(&str) -> bool| {
            let list = statement.get(name)?;
            Some(texts(list).iter().any(|text| test(text)))
        };
        let action = listed("Action", &is_action)
            .or_else(|| Some(!listed("NotAction", &is_action)?))
            .unwrap();
        let resource = listed("Resource", &is_resource)
            .or_else(|| Some(!listed("NotResource", &is_resource)?))
            // Trust policies have no resource.
            .unwrap_or(true);
        let conditions = statement.get("Condition").and_then(Value::as_object);
        let conditions = conditions.into_iter().flatten().all(|(operator, block)| {
            let block = block.as_object().unwrap();
            block.iter().all(|(key, values)| {
                let found = self.keys.get(&key.to_lowercase()).map(Vec::as_slice);
                is_met(operator, found.unwrap_or_default(), &texts(values), keys)
            })
        });
        action && resource && conditions
    }

    /// The values of policy variables, which only version 2012-10-17 supports.
    fn keys_of(&self, policy: &Value) -> Option<&Keys> {
        (policy["Version"] == "2012-10-17").then_some(self.keys)
    }
}

fn statements(policy: &Value) -> Vec<&Value> {
    match &policy["Statement"] {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect(),
        one => vec![one.as_str().unwrap().to_owned()],
    }
}

/// Whether a statement's `Principal` contains this name.
fn names(statement: &Value, name: &str) -> bool {
    let principal = &statement["Principal"];
    principal == name || texts(&principal["AWS"]).iter().any(|aws| aws == name)
}

/// "Condition operators", "Evaluation logic for multiple context keys or values", "Set operators".
fn is_met(operator: &str, found: &[String], wanted: &[String], keys: Option<&Keys>) -> bool {
    let (set, name) = match operator.split_once(':') {
        Some((set, name)) => (set, name),
        None => ("", operator),
    };
    if name == "Null" {
        return wanted
            .iter()
            .any(|wanted| (wanted == "true") == found.is_empty());
    }
    if name.ends_with("IfExists") && found.is_empty() {
        return true;
    }
    let name = name.replace("IfExists", "");
    let is_negated = name.contains("Not");
    let name = name.replace("Not", "");
    let matches = |found: &String| {
        wanted
            .iter()
            .any(|wanted| compare(&name, found, wanted, keys))
    };
    let is_null_set = found.iter().all(|value| value.is_empty());
    match set {
        "ForAllValues" => is_null_set || found.iter().all(|value| matches(value) != is_negated),
        "ForAnyValue" => !is_null_set && found.iter().any(|value| matches(value) != is_negated),
        _ => found.iter().any(matches) != is_negated,
    }
}

fn compare(name: &str, found: &str, wanted: &str, keys: Option<&Keys>) -> bool {
    let Some(pattern) = substitute(wanted, keys) else {
        return false;
    };
    let plain: String = pattern.iter().map(|(c, _)| *c).collect();
    match name {
        // These two operators treat wildcards as literal text.
        "StringEquals" => found == plain,
        "StringEqualsIgnoreCase" => found.to_lowercase() == plain.to_lowercase(),
        "StringLike" => like(&pattern, found),
        "ArnEquals" | "ArnLike" => {
            let (mut parts, mut rest) = (vec![], &pattern[..]);
            while parts.len() < 5
                && let Some(at) = rest.iter().position(|(c, _)| *c == ':')
            {
                parts.push(&rest[..at]);
                rest = &rest[at + 1..];
            }
            parts.push(rest);
            let values: Vec<&str> = found.splitn(6, ':').collect();
            values.len() == 6 && parts.len() == 6 && (0..6).all(|i| like(parts[i], values[i]))
        }
        "Bool" => found.to_lowercase() == wanted.to_lowercase(),
        "IpAddress" => {
            let number = |text: &str| -> Option<u32> {
                let bytes: Option<Vec<u8>> = text.split('.').map(|b| b.parse().ok()).collect();
                let bytes: [u8; 4] = bytes?.try_into().ok()?;
                Some(u32::from_be_bytes(bytes))
            };
            let (network, bits) = wanted.split_once('/').unwrap_or((wanted, "32"));
            let shift = 32 - bits.parse::<u32>().unwrap();
            let upper = |address: u32| u64::from(address) >> shift;
            number(found).is_some_and(|found| upper(found) == upper(number(network).unwrap()))
        }
        _ => {
            let number = |text: &str| {
                if name.starts_with("Date") {
                    seconds(text)
                } else {
                    text.parse::<f64>().ok()
                }
            };
            let (Some(found), Some(wanted)) = (number(found), number(wanted)) else {
                return false;
            };
            match name
                .trim_start_matches("Date")
                .trim_start_matches("Numeric")
            {
                "Equals" => found == wanted,
                "LessThan" => found < wanted,
                "LessThanEquals" => found <= wanted,
                "GreaterThan" => found > wanted,
                "GreaterThanEquals" => found >= wanted,
                other => panic!("{other}"),
            }
        }
    }
}

/// Seconds since 1970, from `2026-01-31`, `2026-01-31T12:00:00Z` or a number.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // The algorithm "days from civil" by Howard Hinnant.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, shifted) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let time = match text.len() {
        10 => 0,
        _ => number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?,
    };
    Some((days * 86_400 + time) as f64)
}

/// A character, and whether it may be a wildcard.
type Pattern = [(char, bool)];

/// Replaces policy variables; `None` if a variable does not have exactly one value.
fn substitute(text: &str, keys: Option<&Keys>) -> Option<Vec<(char, bool)>> {
    let mut pattern = vec![];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let variable = rest
            .strip_prefix("${")
            .and_then(|rest| rest.split_once('}'));
        if let (Some(keys), Some((name, after))) = (keys, variable) {
            let value = match name {
                "*" | "?" | "$" => name,
                _ => {
                    let (name, default) = match name.split_once(", ") {
                        Some((name, default)) => (name, Some(default.trim_matches('\''))),
                        None => (name, None),
                    };
                    match keys.get(&name.to_lowercase()).map(Vec::as_slice) {
                        Some([value]) => value,
                        _ => default?,
                    }
                }
            };
            pattern.extend(value.chars().map(|c| (c, false)));
            rest = after;
        } else {
            pattern.push((c, true));
            rest = &rest[c.len_utf8()..];
        }
    }
    Some(pattern)
}

fn like(pattern: &Pattern, text: &str) -> bool {
    match pattern {
        [] => text.is_empty(),
        [('*', true), rest @ ..] => {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|end| like(rest, &text[end..]))
        }
        [(c, is_special), rest @ ..] => text.chars().next().is_some_and(|first| {
            (first == *c || (*c == '?' && *is_special)) && like(rest, &text[first.len_utf8()..])
        }),
    }
}

/// "If the wildcard is the last character of a resource ARN segment, it can expand to match beyond the colon
/// boundaries"; others match within a segment, the last of which has the rest of the ARN.
fn like_resource(pattern: &Pattern, text: &str) -> bool {
    fn within(pattern: &Pattern, text: &str, colons: usize) -> bool {
        let next = text.chars().next();
        let is_free = |c: char| c != ':' || colons >= 5;
        match pattern {
            [] => text.is_empty(),
            [('*', true), rest @ ..] => {
                let is_last = matches!(rest.first(), None | Some((':', _)));
                within(rest, text, colons)
                    || next.is_some_and(|c| {
                        (is_last || is_free(c)) && within(pattern, &text[c.len_utf8()..], colons)
                    })
            }
            [(c, is_special), rest @ ..] => next.is_some_and(|first| {
                let matches = first == *c || (*c == '?' && *is_special && is_free(first));
                let colons = colons + usize::from(*c == ':');
                matches && within(rest, &text[first.len_utf8()..], colons)
            }),
        }
    }
    within(pattern, text, 0)
}
