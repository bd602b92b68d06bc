//! Text with wildcards (`*`, `?`) and policy variables (`${aws:username}`).

use super::context::{Context, Lookup};

/// A text of a policy with wildcards and variables.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Token(Token),
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// An element of a pattern after its variables have been replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Char(char),
    /// `?`: any character.
    One,
    /// `*`: any text.
    Many,
}

/// Whether a pattern matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Match {
    Yes,
    No,
    /// The value of a variable in the pattern is unknown.
    Unknown,
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

impl Pattern {
    /// Reads a text in which `*` matches any text and `?` any character.
    pub(super) fn wildcards(text: &str, has_variables: bool) -> Result<Self, String> {
        Self::read(text, has_variables, true)
    }

    /// Reads a text in which only variables are special.
    pub(super) fn literal(text: &str, has_variables: bool) -> Result<Self, String> {
        Self::read(text, has_variables, false)
    }

    fn read(text: &str, has_variables: bool, wildcards: bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if has_variables && let Some(after) = rest.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or("has \"${\" without \"}\"")?;
                parts.push(read_variable(name)?);
                rest = after;
                continue;
            }
            parts.push(Part::Token(match c {
                '*' if wildcards => Token::Many,
                '?' if wildcards => Token::One,
                c => Token::Char(c),
            }));
            rest = &rest[c.len_utf8()..];
        }
        Ok(Self(parts))
    }

    /// Returns the keys of the variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(key.as_str()),
            Part::Token(_) => None,
        })
    }

    /// Compares with a text.
    pub(super) fn matches(&self, text: &str, context: &Context) -> Match {
        self.compare(context, |tokens| matches(tokens, text, |_| true))
    }

    /// Compares with a text, ignoring case.
    pub(super) fn matches_any_case(&self, text: &str, context: &Context) -> Match {
        self.compare(context, |tokens| {
            let tokens: Vec<Token> = tokens.iter().flat_map(|token| lower_case(*token)).collect();
            matches(
                &tokens,
                &text.chars().flat_map(fold).collect::<String>(),
                |_| true,
            )
        })
    }

    /// Compares with an ARN as the ARN operators do, each of the six parts separately.
    pub(super) fn matches_arn(&self, arn: &str, context: &Context) -> Match {
        self.compare(context, |tokens| {
            let parts: Vec<&[Token]> = tokens
                .splitn(6, |token| *token == Token::Char(':'))
                .collect();
            let values: Vec<&str> = arn.splitn(6, ':').collect();
            let pairs = parts.iter().zip(&values);
            parts.len() == 6
                && values.len() == 6
                && pairs
                    .into_iter()
                    .all(|(tokens, value)| matches(tokens, value, |_| true))
        })
    }

    /// Compares with a resource ARN. A `*` at the end of a part also matches beyond the colon; other wildcards do not.
    pub(super) fn matches_resource(&self, arn: &str, context: &Context) -> Match {
        self.compare(context, |tokens| {
            let colon = |token: &&Token| **token == Token::Char(':');
            matches(tokens, arn, |i| {
                let is_in_last_part = tokens[..i].iter().filter(colon).count() >= 5;
                let is_at_end = tokens.get(i + 1).is_none_or(|token| colon(&token));
                is_in_last_part || tokens[i] == Token::Many && is_at_end
            })
        })
    }

    /// Whether the pattern has the format of an ARN: at least six parts between colons.
    pub(super) fn has_arn_format(&self) -> bool {
        let colons = self
            .0
            .iter()
            .filter(|part| matches!(part, Part::Token(Token::Char(':'))));
        colons.count() >= 5
    }

    fn compare(&self, context: &Context, test: impl FnOnce(&[Token]) -> bool) -> Match {
        match self.fill(context) {
            Ok(tokens) => test(&tokens).into(),
            Err(unmatched) => unmatched,
        }
    }

    /// Replaces the variables. A pattern with a variable that has no value matches nothing.
    fn fill(&self, context: &Context) -> Result<Vec<Token>, Match> {
        let mut tokens = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = match (context.lookup(key), default) {
                        // A multivalued key cannot be used as a variable.
                        (Lookup::Present([value]), _) => value,
                        (Lookup::Unknown, _) => return Err(Match::Unknown),
                        (_, Some(default)) => default,
                        (_, None) => return Err(Match::No),
                    };
                    tokens.extend(value.chars().map(Token::Char));
                }
            }
        }
        Ok(tokens)
    }
}

/// Reads the text between `${` and `}`. `${*}`, `${?}` and `${$}` stand for these characters; `${key, 'default'}` has a
/// default value.
fn read_variable(name: &str) -> Result<Part, String> {
    if let ("*" | "?" | "$", Some(c)) = (name, name.chars().next()) {
        return Ok(Part::Token(Token::Char(c)));
    }
    let Some((key, default)) = name.split_once(',') else {
        return Ok(Part::Variable {
            key: name.to_owned(),
            default: None,
        });
    };
    let default = default.trim().strip_prefix('\'');
    let default = default
        .and_then(|default| default.strip_suffix('\''))
        .ok_or("has a policy variable whose default is not in single quotes")?;
    Ok(Part::Variable {
        key: key.trim().to_owned(),
        default: Some(default.to_owned()),
    })
}

/// Returns a character folded for case-insensitive comparison: in lower case, with both lower-case forms of Σ the same.
fn fold(c: char) -> impl Iterator<Item = char> {
    let c = if c == 'ς' { 'σ' } else { c };
    c.to_lowercase()
}

fn lower_case(token: Token) -> Vec<Token> {
    match token {
        Token::Char(c) => fold(c).map(Token::Char).collect(),
        token => vec![token],
    }
}

/// Compares tokens with a text. `crosses` says whether the wildcard at a position matches a colon.
///
/// Tracks the set of pattern positions that the text so far can lead to, so that the time is bounded by the product of
/// the lengths, whatever the wildcards.
fn matches(tokens: &[Token], text: &str, crosses: impl Fn(usize) -> bool) -> bool {
    if !tokens.contains(&Token::Many) {
        let mut text = text.chars();
        return tokens.iter().enumerate().all(|(i, token)| {
            text.next()
                .is_some_and(|c| *token == Token::Char(c) || is_wild(*token, c, || crosses(i)))
        }) && text.next().is_none();
    }
    let crosses: Vec<bool> = (0..tokens.len()).map(crosses).collect();
    let mut reached = vec![false; tokens.len() + 1];
    let mut next = reached.clone();
    reached[0] = true;
    skip_stars(tokens, &mut reached);
    for c in text.chars() {
        next.fill(false);
        for (i, token) in tokens.iter().enumerate().filter(|(i, _)| reached[*i]) {
            if *token == Token::Char(c) {
                next[i + 1] = true;
            } else if is_wild(*token, c, || crosses[i]) {
                next[if *token == Token::Many { i } else { i + 1 }] = true;
            }
        }
        skip_stars(tokens, &mut next);
        std::mem::swap(&mut reached, &mut next);
    }
    reached[tokens.len()]
}

/// Whether a wildcard matches a character.
fn is_wild(token: Token, c: char, crosses: impl FnOnce() -> bool) -> bool {
    matches!(token, Token::One | Token::Many) && (c != ':' || crosses())
}

/// Adds the positions that are reachable without another character.
fn skip_stars(tokens: &[Token], reached: &mut [bool]) {
    for (i, token) in tokens.iter().enumerate() {
        if reached[i] && *token == Token::Many {
            reached[i + 1] = true;
        }
    }
}
