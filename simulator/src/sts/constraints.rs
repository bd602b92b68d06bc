//! The constraints of STS's API model on parameters: lengths, characters, ranges.

use std::ops::RangeInclusive;

use crate::arn;
use crate::protocol::{ErrorResponse, Parameters};

/// A set of characters, with the regular expression by which the API model names it.
pub(super) struct Charset {
    regex: &'static str,
    contains: fn(char) -> bool,
}

/// Of session names and source identities.
pub(super) const NAME: Charset = Charset {
    regex: r"[\w+=,.@-]*",
    contains: |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c),
};

pub(super) const EXTERNAL_ID: Charset = Charset {
    regex: r"[\w+=,.@:\/-]*",
    contains: |c| (NAME.contains)(c) || "/:".contains(c),
};

pub(super) const MFA_SERIAL: Charset = Charset {
    regex: r"[\w+=/:,.@-]*",
    contains: |c| (NAME.contains)(c) || "/:".contains(c),
};

pub(super) const MFA_CODE: Charset = Charset {
    regex: r"[\d]*",
    contains: |c| c.is_ascii_digit(),
};

/// Of the keys and values of session tags.
pub(super) const TAG: Charset = Charset {
    regex: r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+",
    contains: |c| {
        c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
    },
};

/// Of session policies.
pub(super) const POLICY: Charset = Charset {
    regex: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    contains: |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
};

impl Charset {
    /// Whether every character of `text` is in the set.
    pub(super) fn contains_all(&self, text: &str) -> bool {
        text.chars().all(self.contains)
    }
}

/// The constraints that a request violates; STS reports them all at once.
#[derive(Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    /// Checks the length of a text, in characters, and its characters.
    pub(super) fn check_text(
        &mut self,
        parameter: &str,
        value: &str,
        length: RangeInclusive<usize>,
        charset: Option<&Charset>,
    ) {
        let chars = value.chars().count();
        if chars < *length.start() {
            let rule = format!(
                "Member must have length greater than or equal to {}",
                length.start()
            );
            self.add(parameter, Some(value), &rule);
        }
        if chars > *length.end() {
            let rule = format!(
                "Member must have length less than or equal to {}",
                length.end()
            );
            self.add(parameter, Some(value), &rule);
        }
        if let Some(charset) = charset
            && !charset.contains_all(value)
        {
            let rule = format!(
                "Member must satisfy regular expression pattern: {}",
                charset.regex
            );
            self.add(parameter, Some(value), &rule);
        }
    }

    /// Checks the length of a list.
    pub(super) fn check_list(&mut self, parameter: &str, length: usize, max: usize) {
        if length > max {
            let rule = format!("Member must have length less than or equal to {max}");
            self.0.push(violation(parameter, "'[…]'", &rule));
        }
    }

    /// Reads `DurationSeconds` and checks its range.
    ///
    /// # Errors
    ///
    /// Fails at once if it is not a number.
    pub(super) fn read_duration(
        &mut self,
        parameters: &Parameters,
        default: i64,
        max: i64,
    ) -> Result<i64, ErrorResponse> {
        let Some(text) = parameters.first("DurationSeconds") else {
            return Ok(default);
        };
        let duration: i64 = text
            .parse::<i32>()
            .map_err(|_| ErrorResponse::new(400, "MalformedInput", ""))?
            .into();
        let value = duration.to_string();
        if duration < 900 {
            let rule = "Member must have value greater than or equal to 900";
            self.add("DurationSeconds", Some(&value), rule);
        }
        if duration > max {
            let rule = format!("Member must have value less than or equal to {max}");
            self.add("DurationSeconds", Some(&value), &rule);
        }
        Ok(duration)
    }

    /// Adds a violation; `value` is `None` if the parameter is missing.
    pub(super) fn add(&mut self, parameter: &str, value: Option<&str>, rule: &str) {
        let value = value.map_or("null".to_owned(), |value| format!("'{value}'"));
        self.0.push(violation(parameter, &value, rule));
    }

    /// Fails with all violations, if there are any.
    pub(super) fn reject(self) -> Result<(), ErrorResponse> {
        let all = self.0;
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

fn violation(parameter: &str, value: &str, rule: &str) -> String {
    let (first, rest) = parameter.split_at(1);
    let member = first.to_ascii_lowercase() + rest;
    format!("Value {value} at '{member}' failed to satisfy constraint: {rule}")
}

/// Whether a text has the form of a role's ARN.
pub(super) fn is_role_arn(text: &str) -> bool {
    matches!(
        arn::split(text),
        Some(["arn", partition, "iam", "", account, resource])
            if partition.starts_with("aws")
                && arn::is_account_id(account)
                && resource.starts_with("role/")
    )
}
