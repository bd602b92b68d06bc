//! The constraints of STS's API model on parameters: lengths, characters and ranges.

use std::ops::RangeInclusive;

use crate::arn;
use crate::protocol::{ErrorResponse, Parameters, lower_first};

/// The constraints on a string parameter.
pub(super) struct Rule {
    /// In characters.
    length: RangeInclusive<usize>,
    charset: Option<&'static Charset>,
    /// Whether errors omit the value.
    is_sensitive: bool,
}

/// The maximum number of session tags.
const MAX_TAGS: usize = 50;

/// A set of characters, with its regular expression in the API model.
pub(super) struct Charset {
    regex: &'static str,
    contains: fn(char) -> bool,
}

const fn rule(length: RangeInclusive<usize>, charset: &'static Charset) -> Rule {
    Rule {
        length,
        charset: Some(charset),
        is_sensitive: false,
    }
}

const fn any_characters(length: RangeInclusive<usize>) -> Rule {
    Rule {
        length,
        charset: None,
        is_sensitive: false,
    }
}

const fn sensitive(length: RangeInclusive<usize>) -> Rule {
    Rule {
        length,
        charset: None,
        is_sensitive: true,
    }
}

pub(super) const ACCESS_KEY_ID: Rule = rule(16..=128, &WORD);
pub(super) const ARN: Rule = rule(20..=2048, &ARN_CHARACTERS);
pub(super) const EXTERNAL_ID: Rule = rule(2..=1224, &EXTERNAL_ID_CHARACTERS);
pub(super) const FEDERATED_USER_NAME: Rule = rule(2..=32, &NAME);
pub(super) const MFA_CODE: Rule = rule(6..=6, &DIGITS);
pub(super) const MFA_SERIAL: Rule = rule(9..=256, &MFA_SERIAL_CHARACTERS);
/// The API model has no maximum for AssumeRole, but STS applies the same one to all operations.
pub(super) const POLICY: Rule = rule(1..=2048, &POLICY_CHARACTERS);
pub(super) const SESSION_NAME: Rule = rule(2..=64, &NAME);
/// The API model says 64, but STS accepts 256.
pub(super) const SOURCE_IDENTITY: Rule = rule(2..=256, &NAME);
pub(super) const TAG_KEY: Rule = rule(1..=128, &TAG_CHARACTERS);
pub(super) const TAG_VALUE: Rule = rule(0..=256, &TAG_CHARACTERS);

pub(super) const AUDIENCE: Rule = any_characters(1..=1000);
pub(super) const SIGNING_ALGORITHM: Rule = any_characters(5..=5);
pub(super) const CONTEXT_ASSERTION: Rule = any_characters(4..=2048);
pub(super) const PROVIDER_ID: Rule = CONTEXT_ASSERTION;
pub(super) const SAML_ASSERTION: Rule = sensitive(4..=100_000);
pub(super) const WEB_IDENTITY_TOKEN: Rule = sensitive(4..=20_000);

/// For session names and source identities.
pub(super) const NAME: Charset = Charset {
    regex: r"[\w+=,.@-]*",
    contains: arn::is_name_character,
};

const EXTERNAL_ID_CHARACTERS: Charset = Charset {
    regex: r"[\w+=,.@:\/-]*",
    contains: |c| (NAME.contains)(c) || "/:".contains(c),
};

const MFA_SERIAL_CHARACTERS: Charset = Charset {
    regex: r"[\w+=/:,.@-]*",
    contains: |c| (NAME.contains)(c) || "/:".contains(c),
};

const DIGITS: Charset = Charset {
    regex: r"[\d]*",
    contains: |c| c.is_ascii_digit(),
};

const WORD: Charset = Charset {
    regex: r"[\w]*",
    contains: |c| c.is_ascii_alphanumeric() || c == '_',
};

const ARN_CHARACTERS: Charset = Charset {
    regex: r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
    // STS rejects characters beyond U+FFFF, although the expression allows them.
    contains: |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}'),
};

/// For the keys and values of session tags.
const TAG_CHARACTERS: Charset = Charset {
    regex: r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+",
    contains: |c| {
        c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
    },
};

const POLICY_CHARACTERS: Charset = Charset {
    regex: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    contains: |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
};

impl Charset {
    /// Whether every character of `text` is in the set.
    pub(super) fn contains_all(&self, text: &str) -> bool {
        text.chars().all(self.contains)
    }
}

/// Reads the parameters of a request, and collects violations of constraints, which STS reports all at once.
pub(super) struct Reader<'a> {
    parameters: &'a Parameters,
    violations: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(parameters: &'a Parameters) -> Self {
        Self {
            parameters,
            violations: Vec::new(),
        }
    }

    /// Returns a parameter. If it is missing, returns an empty string and records a violation.
    pub(super) fn required(&mut self, name: &str, rule: &Rule) -> &'a str {
        let value = self.optional(name, rule);
        if value.is_none() {
            self.add(name, "Value null", "Member must not be null");
        }
        value.unwrap_or_default()
    }

    /// Returns a parameter if it was sent, even if it is empty.
    pub(super) fn optional(&mut self, name: &str, rule: &Rule) -> Option<&'a str> {
        let value = self.parameters.first(name)?;
        self.check(name, value, rule);
        Some(value)
    }

    /// Returns `DurationSeconds`, in seconds.
    ///
    /// # Errors
    ///
    /// Fails immediately if it is not a number.
    pub(super) fn duration(&mut self, default: i64, max: i64) -> Result<i64, ErrorResponse> {
        self.duration_within(default, 900..=max)
    }

    /// Returns `DurationSeconds` like [`duration`](Self::duration), but with a range other than that of sessions.
    pub(super) fn duration_within(
        &mut self,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ErrorResponse> {
        let (min, max) = (*range.start(), *range.end());
        let Some(text) = self.parameters.first("DurationSeconds") else {
            return Ok(default);
        };
        let duration: i64 = text
            .parse::<i32>()
            .map_err(|_| {
                let message = match text {
                    "" => "missing value for decimal type",
                    _ => "",
                };
                ErrorResponse::new(400, "MalformedInput", message)
            })?
            .into();
        let value = format!("Value '{duration}'");
        if duration < min {
            let rule = format!("Member must have value greater than or equal to {min}");
            self.add("DurationSeconds", &value, &rule);
        }
        if duration > max {
            let rule = format!("Member must have value less than or equal to {max}");
            self.add("DurationSeconds", &value, &rule);
        }
        Ok(duration)
    }

    /// Returns a list of strings. An empty list or more than `max` items are a violation.
    pub(super) fn required_list(&mut self, name: &str, max: usize, rule: &Rule) -> Vec<String> {
        let texts = self.parameters.list(&format!("{name}.member"));
        if texts.is_empty() {
            self.add(name, "Value null", "Member must not be null");
        } else if self.check_count(name, texts.len(), max) {
            for (n, text) in (1..).zip(&texts) {
                self.check(&format!("{name}.{n}.member"), text, rule);
            }
        }
        texts
    }

    /// Returns `PolicyArns`.
    pub(super) fn policy_arns(&mut self) -> Vec<String> {
        let arns = self.parameters.list("PolicyArns.member");
        if self.check_count("PolicyArns", arns.len(), 10) {
            for (n, arn) in (1..).zip(&arns) {
                self.check(&format!("PolicyArns.{n}.member.arn"), arn, &ARN);
            }
        }
        arns
    }

    /// Returns `Tags`, as keys and values.
    pub(super) fn tags(&mut self) -> Vec<(String, String)> {
        let tags = self.parameters.pairs("Tags.member", "Key", "Value");
        let fields = (1..=tags.len()).flat_map(|n| [(n, "Key"), (n, "Value")]);
        // A list that is too long is only one violation.
        let missing: Vec<_> = fields
            .filter(|_| tags.len() <= MAX_TAGS)
            .filter(|(n, field)| {
                let name = format!("Tags.member.{n}.{field}");
                self.parameters.first(&name).is_none()
            })
            .collect();
        for (n, field) in &missing {
            let name = format!("Tags.{n}.member.{}", lower_first(field));
            self.add(&name, "Value null", "Member must not be null");
        }
        if missing.is_empty() {
            self.check_tags(&tags);
        }
        tags
    }

    pub(super) fn check_tags(&mut self, tags: &[(String, String)]) {
        if self.check_count("Tags", tags.len(), MAX_TAGS) {
            for (n, (key, value)) in (1..).zip(tags) {
                self.check(&format!("Tags.{n}.member.key"), key, &TAG_KEY);
                self.check(&format!("Tags.{n}.member.value"), value, &TAG_VALUE);
            }
        }
    }

    /// Returns `TransitiveTagKeys`.
    pub(super) fn transitive_tag_keys(&mut self) -> Vec<String> {
        let keys = self.parameters.list("TransitiveTagKeys.member");
        if self.check_count("TransitiveTagKeys", keys.len(), MAX_TAGS) {
            for (n, key) in (1..).zip(&keys) {
                self.check(&format!("TransitiveTagKeys.{n}.member"), key, &TAG_KEY);
            }
        }
        keys
    }

    /// Returns `ProvidedContexts`, as provider ARNs and assertions.
    pub(super) fn provided_contexts(&mut self) -> Vec<(String, String)> {
        let contexts =
            self.parameters
                .pairs("ProvidedContexts.member", "ProviderArn", "ContextAssertion");
        if self.check_count("ProvidedContexts", contexts.len(), 5) {
            for (n, (provider, assertion)) in (1..).zip(&contexts) {
                let name = |field: &str| format!("ProvidedContexts.{n}.member.{field}");
                self.check(&name("providerArn"), provider, &ARN);
                self.check(&name("contextAssertion"), assertion, &CONTEXT_ASSERTION);
            }
        }
        contexts
    }

    /// Checks the length of a string, in characters, and its characters.
    pub(super) fn check(&mut self, name: &str, value: &str, rule: &Rule) {
        let quoted = if rule.is_sensitive {
            "Value".to_owned()
        } else {
            format!("Value '{value}'")
        };
        let length = value.chars().count();
        let (min, max) = (*rule.length.start(), *rule.length.end());
        if length < min {
            let rule = format!("Member must have length greater than or equal to {min}");
            self.add(name, &quoted, &rule);
        }
        if length > max {
            let rule = format!("Member must have length less than or equal to {max}");
            self.add(name, &quoted, &rule);
        }
        if let Some(charset) = rule.charset
            && !charset.contains_all(value)
        {
            let rule = format!(
                "Member must satisfy regular expression pattern: {}",
                charset.regex
            );
            self.add(name, &quoted, &rule);
        }
    }

    /// Checks the length of a list. Returns whether to check its items, too: the response for a list that is too long
    /// would become very long.
    fn check_count(&mut self, name: &str, count: usize, max: usize) -> bool {
        if count > max {
            let rule = format!("Member must have length less than or equal to {max}");
            // How AWS writes the list is not known.
            self.add(name, "Value '[…]'", &rule);
        }
        count <= max
    }

    fn add(&mut self, name: &str, value: &str, rule: &str) {
        let member = lower_first(name);
        self.violations.push(format!(
            "{value} at '{member}' failed to satisfy constraint: {rule}"
        ));
    }

    /// Fails with all recorded violations, if there are any.
    pub(super) fn finish(self) -> Result<(), ErrorResponse> {
        let all = self.violations;
        match all.len() {
            0 => Ok(()),
            1 => Err(ErrorResponse::validation(format!(
                "1 validation error detected: {}",
                all[0]
            ))),
            count => Err(ErrorResponse::validation(format!(
                "{count} validation errors detected: {}",
                all.join("; ")
            ))),
        }
    }
}

/// Whether a string has the form of a role ARN.
pub(super) fn is_role_arn(text: &str) -> bool {
    matches!(
        arn::split(text),
        Some(["arn", partition, "iam", "", account, resource])
            if partition.starts_with("aws")
                && arn::is_account_id(account)
                && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
    )
}
