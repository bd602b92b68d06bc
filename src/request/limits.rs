//! STS's limits: every number and character set that requests are checked against, from the [API
//! reference](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::Violation;

/// The longest session of a chained role
/// ([role chaining](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining)).
pub(crate) const CHAINED_LIMIT: Duration = Duration::from_secs(3600);

// In seconds.

pub(super) const ROLE_DURATION: RangeInclusive<u64> = 900..=43_200;
pub(super) const SESSION_TOKEN_DURATION: RangeInclusive<u64> = 900..=129_600;

// The durations that STS uses if the request sets none.

pub(crate) const DEFAULT_ROLE_DURATION: Duration = Duration::from_secs(3600);
pub(crate) const DEFAULT_SESSION_TOKEN_DURATION: Duration = Duration::from_secs(43_200);

// In characters.

pub(crate) const ARN_LENGTH: RangeInclusive<usize> = 20..=2048;
pub(super) const SESSION_NAME_LENGTH: RangeInclusive<usize> = 2..=64;
pub(super) const EXTERNAL_ID_LENGTH: RangeInclusive<usize> = 2..=1224;
pub(super) const SERIAL_LENGTH: RangeInclusive<usize> = 9..=256;
pub(super) const TAG_KEY_LENGTH: RangeInclusive<usize> = 1..=128;
pub(super) const TAG_VALUE_LENGTH: RangeInclusive<usize> = 0..=256;
pub(super) const CONTEXT_ASSERTION_LENGTH: RangeInclusive<usize> = 4..=2048;
pub(super) const WEB_IDENTITY_TOKEN_LENGTH: RangeInclusive<usize> = 4..=20_000;
pub(super) const SAML_ASSERTION_LENGTH: RangeInclusive<usize> = 4..=100_000;
/// STS accepts up to 256; AWS documents 64 in places.
pub(super) const SOURCE_IDENTITY_LENGTH: RangeInclusive<usize> = 2..=256;
pub(super) const DOCUMENTED_SOURCE_IDENTITY_LENGTH: usize = 64;
/// The session policy and the ARNs of the managed policies together.
pub(super) const POLICIES_LENGTH: usize = 2048;
/// Including the leading and the trailing slash.
pub(super) const MAX_PATH_LENGTH: usize = 512;
const ROLE_NAME_LENGTH: RangeInclusive<usize> = 1..=64;
const REGION_LENGTH: RangeInclusive<usize> = 2..=63;

// Counts.

pub(super) const MAX_TAGS: usize = 50;
pub(super) const MAX_POLICY_ARNS: usize = 10;
pub(super) const MAX_CONTEXTS: usize = 5;

/// A character set from STS's patterns: a predicate, and the description for error messages.
pub(super) type Chars = (fn(char) -> bool, &'static str);

pub(crate) const NAME: Chars = (
    |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c),
    "ASCII letters, digits and _+=,.@-",
);
pub(super) const EXTERNAL_ID: Chars = (
    |c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c),
    "ASCII letters, digits and _+=,.@:/-",
);
pub(super) const SERIAL: Chars = (
    |c| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c),
    "ASCII letters, digits and _+=/:,.@-",
);
pub(super) const TAG: Chars = (
    // STS accepts `\p{L}\p{Z}\p{N}_.:/=+\-@`. `char` has no exact equivalent: a few combining marks pass here, and STS
    // rejects them.
    |c| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c),
    "letters, digits, spaces and _.:/=+-@",
);
const REGION: Chars = (
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "lower-case letters, digits and -",
);

/// Whether an error may repeat the offending value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Redaction {
    ShowValue,
    HideValue,
}

/// Formats a range for error messages.
pub(super) fn span(range: &RangeInclusive<impl fmt::Display>) -> String {
    format!("{} to {}", range.start(), range.end())
}

/// Checks the number of items.
pub(super) fn check_count<T>(
    field: &'static str,
    given: &[T],
    most: usize,
    what: &str,
) -> Result<(), Violation> {
    if given.len() <= most {
        return Ok(());
    }
    let rule = format!("at most {most} {what} are allowed, not {}", given.len());
    Err(Violation::new(field, rule, None))
}

pub(super) fn is_role_name(text: &str) -> bool {
    ROLE_NAME_LENGTH.contains(&text.len()) && text.chars().all(NAME.0)
}

/// Checks length and characters. Like STS, counts Unicode scalar values.
pub(super) fn check_chars(
    field: &'static str,
    value: &str,
    length: RangeInclusive<usize>,
    (is_allowed, allowed): Chars,
    redaction: Redaction,
) -> Result<(), Violation> {
    let shown = (redaction == Redaction::ShowValue).then_some(value);
    let chars = value.chars().count();
    if !length.contains(&chars) {
        let rule = format!("must have {} characters, not {chars}", span(&length));
        return Err(Violation::new(field, rule, shown));
    }
    let Some((at, c)) = value.chars().enumerate().find(|(_, c)| !is_allowed(*c)) else {
        return Ok(());
    };
    let which = match redaction {
        Redaction::ShowValue => format!(": {c:?}"),
        Redaction::HideValue => String::new(),
    };
    let rule = format!(
        "must contain only {allowed} (character {} is not allowed{which})",
        at + 1
    );
    Err(Violation::new(field, rule, shown))
}

pub(super) fn check_duration(
    duration: Duration,
    seconds: RangeInclusive<u64>,
) -> Result<(), Violation> {
    if seconds.contains(&duration.as_secs()) && duration.subsec_nanos() == 0 {
        return Ok(());
    }
    let rule = format!("must be {} whole seconds", span(&seconds));
    let value = format!("{} s", duration.as_secs_f64());
    Err(Violation::new("duration", rule, Some(&value)))
}

/// Converts a checked duration to the type of the SDK's parameters.
pub(crate) fn seconds(duration: Duration) -> i32 {
    // Checked durations are far below the limit of `i32`.
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

pub(crate) fn check_region(region: &str) -> Result<(), Violation> {
    check_chars(
        "region",
        region,
        REGION_LENGTH,
        REGION,
        Redaction::ShowValue,
    )
}
