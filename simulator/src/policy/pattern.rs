//! Text with wildcards (`*`, `?`) and policy variables (`${aws:username}`).

use regex_lite::Regex;

use super::context::Context;

/// A pattern of a policy, with its variables replaced by the values of one request.
pub(super) struct Pattern(
    /// `None` matches nothing: a variable has no value.
    Option<Regex>,
);

impl Pattern {
    /// Reads a pattern in which `*` stands for any text and `?` for any character.
    pub(super) fn wildcards(text: &str, variables: Option<&Context>) -> Self {
        Self::read(text, variables, true)
    }

    /// Reads a pattern in which only variables are special.
    pub(super) fn literal(text: &str, variables: Option<&Context>) -> Self {
        Self::read(text, variables, false)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    fn read(text: &str, variables: Option<&Context>, wildcards: bool) -> Self {
        Self(to_regex(text, variables, wildcards).and_then(|regex| Regex::new(&regex).ok()))
    }
}

/// Translates a pattern; `None` if it has a variable without a value.
fn to_regex(text: &str, variables: Option<&Context>, wildcards: bool) -> Option<String> {
    // `s`: a wildcard matches line breaks, too.
    let mut regex = "(?s)^".to_owned();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(context) = variables
            && let Some((name, after)) = rest.strip_prefix("${").and_then(|r| r.split_once('}'))
        {
            regex += &regex_lite::escape(&value_of(name, context)?);
            rest = after;
            continue;
        }
        match c {
            '*' if wildcards => regex += ".*",
            '?' if wildcards => regex += ".",
            c => regex += &regex_lite::escape(c.encode_utf8(&mut [0; 4])),
        }
        rest = &rest[c.len_utf8()..];
    }
    Some(regex + "$")
}

/// Returns the value of a variable. `${*}`, `${?}` and `${$}` are these characters, and
/// `${key, 'default'}` has a default.
fn value_of(name: &str, context: &Context) -> Option<String> {
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
