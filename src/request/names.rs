//! Session names and tag values that STS accepts, made from arbitrary text; and the default session name.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::limits::{NAME, SESSION_NAME_LENGTH, TAG_VALUE_LENGTH};

/// Separates the fields of a session name.
const SEPARATOR: char = ',';
/// Precedes the digest of text that was changed.
const DIGEST_MARK: char = '=';
/// In hexadecimal digits: 64 bits, because a session name has at most 64 characters, and 128 for tag values, because
/// policies may compare them.
const SESSION_NAME_DIGEST: usize = 16;
const TAG_VALUE_DIGEST: usize = 32;

/// Creates a session name from fields such as a customer's ID and a user's ID: 2 to 64 characters that STS accepts. The
/// result is also valid for [`Role::source_identity`](crate::Role::source_identity).
///
/// CloudTrail shows the session name, and in the data events of S3 it is the only information about the session's
/// context. If STS accepts the fields and they are short enough, the name consists of the fields, separated by commas.
/// Otherwise, characters that STS does not accept are replaced by `_`, the end is cut off, and `=` and 64 bits of the
/// fields' SHA-256 are appended, so that different fields get different names. The same fields give the same name in
/// every process and version. Everyone who may read CloudTrail can read the name: put no secrets into it.
///
/// In a `ChainPool` (feature `pool`), each name needs a chain of its own, with its own calls of AssumeRole: use the
/// customer's name, not an ID of the request.
///
/// # Examples
///
/// ```
/// use aws_role_chain::Role;
/// use aws_role_chain::names::session_name;
///
/// assert_eq!(session_name(["orders", "ada@example.com"]), "orders,ada@example.com");
/// assert_eq!(session_name(["orders", "Grace Hopper"]), "orders,Grace_Hopper=9b7eb8cb02f420d2");
///
/// let role = Role::new("arn:aws:iam::222222222222:role/FirehoseWriter")
///     .session_name(session_name(["orders", "ada@example.com"]));
/// ```
pub fn session_name<S: AsRef<str>>(fields: impl IntoIterator<Item = S>) -> String {
    let (is_accepted, _) = NAME;
    let mut digest = Sha256::new();
    let mut name = String::new();
    let mut is_changed = false;
    for (i, field) in fields.into_iter().enumerate() {
        let field = field.as_ref();
        // The length is hashed too, so that the same text split into other fields gives another digest.
        digest.update((field.len() as u64).to_be_bytes());
        digest.update(field);
        if i > 0 {
            name.push(SEPARATOR);
        }
        is_changed |= push_accepted(&mut name, field, |c| c != SEPARATOR && is_accepted(c));
    }
    let is_changed = is_changed || !SESSION_NAME_LENGTH.contains(&name.len());
    let most = *SESSION_NAME_LENGTH.end();
    with_digest(name, is_changed, most, digest, SESSION_NAME_DIGEST)
}

/// Creates the value of a session tag from arbitrary text: at most 256 characters that STS accepts.
///
/// If the text contains only ASCII letters, digits, spaces and `_.:/=+-@`, and is short enough, it is returned
/// unchanged. Otherwise, other characters are replaced by `_`, the end is cut off, and `=` and 128 bits of the text's
/// SHA-256 are appended. Policies may compare the value, so it must be infeasible to find two texts with the same one.
/// The same text gives the same value in every process and version.
///
/// # Examples
///
/// ```
/// use aws_role_chain::Role;
/// use aws_role_chain::names::tag_value;
///
/// assert_eq!(tag_value("Payments & Invoices"), "Payments _ Invoices=73049ffd670b808e4ac95dd7f62600b4");
///
/// let role = Role::new("arn:aws:iam::222222222222:role/FirehoseWriter")
///     .tag("team", tag_value("Payments & Invoices"));
/// ```
pub fn tag_value(text: &str) -> String {
    let mut value = String::new();
    // STS accepts other letters too, but not all that Unicode classifies as letters.
    let is_accepted = |c: char| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c);
    let is_changed = push_accepted(&mut value, text, is_accepted);
    let is_changed = is_changed || !TAG_VALUE_LENGTH.contains(&value.len());
    let digest = Sha256::new().chain_update(text);
    let most = *TAG_VALUE_LENGTH.end();
    with_digest(value, is_changed, most, digest, TAG_VALUE_DIGEST)
}

/// Appends `text` with `_` in place of characters that are not accepted; returns whether it replaced any.
fn push_accepted(to: &mut String, text: &str, is_accepted: impl Fn(char) -> bool) -> bool {
    let mut is_changed = false;
    to.extend(text.chars().map(|c| {
        if is_accepted(c) {
            return c;
        }
        is_changed = true;
        '_'
    }));
    is_changed
}

/// Appends the digest if the text was changed, or if it already looks as if it ended with one.
fn with_digest(
    mut text: String,
    is_changed: bool,
    most: usize,
    digest: Sha256,
    digits: usize,
) -> String {
    if !is_changed && !ends_with_digest(&text, digits) {
        return text;
    }
    // The text is all ASCII here.
    text.truncate(most - 1 - digits);
    text.push(DIGEST_MARK);
    for byte in &digest.finalize()[..digits / 2] {
        text += &format!("{byte:02x}");
    }
    text
}

fn ends_with_digest(text: &str, digits: usize) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let last = text.rsplit_once(DIGEST_MARK).map(|(_, digest)| digest);
    last.is_some_and(|digest| digest.len() == digits && digest.chars().all(is_digit))
}

/// The name of sessions if the program sets none: `<program>-<process ID>`, stable within the process, and readable in
/// CloudTrail.
pub(super) fn default_session_name() -> &'static str {
    static DEFAULT_NAME: OnceLock<String> = OnceLock::new();
    DEFAULT_NAME.get_or_init(|| {
        let program = std::env::current_exe().ok();
        let stem = program
            .as_deref()
            .and_then(|path| path.file_stem()?.to_str());
        session_name_for(stem.unwrap_or_default(), process_id())
    })
}

/// WebAssembly has no processes, and std panics there: a random number tells instances apart instead.
fn process_id() -> u32 {
    if cfg!(target_family = "wasm") {
        fastrand::u32(..)
    } else {
        std::process::id()
    }
}

fn session_name_for(program: &str, pid: u32) -> String {
    let pid = pid.to_string();
    let mut name = String::new();
    push_accepted(&mut name, program, NAME.0);
    // The name is all ASCII here.
    name.truncate(SESSION_NAME_LENGTH.end() - 1 - pid.len());
    match name.as_str() {
        "" => format!("aws-role-chain-{pid}"),
        program => format!("{program}-{pid}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::limits::{Redaction, TAG, check_chars};
    use super::*;

    #[test]
    fn what_sts_accepts_is_left_as_it_is() {
        let longest = "x".repeat(64);
        let cases: [(&[&str], &str); 6] = [
            (&["orders"], "orders"),
            (
                &["orders", "ada@example.com", "eu-west-1"],
                "orders,ada@example.com,eu-west-1",
            ),
            (&["a=b", "c+d"], "a=b,c+d"),
            // These do not look as if they ended with a digest.
            (&["a=0123"], "a=0123"),
            (&["a=0123456789abcdeg"], "a=0123456789abcdeg"),
            (&[&longest], &longest),
        ];
        for (fields, expected) in cases {
            assert_eq!(session_name(fields), expected);
        }
        for text in ["", "team a", "a=b:/c", &"x".repeat(256)] {
            assert_eq!(tag_value(text), text);
        }
    }

    #[test]
    fn names_are_legal_and_differ_whatever_the_fields_are() {
        let long = "x".repeat(65);
        let longer = "x".repeat(70_000);
        let fields: [&[&str]; 16] = [
            &[],
            &[""],
            &["", ""],
            &["a"],
            &["a,b"],
            &["a", "b"],
            &["a_b"],
            &["a b"],
            &["a\tb"],
            &["日本"],
            &["日米"],
            &["{\"user\": 1}"],
            &[&long],
            &[&longer],
            &[&long, "a"],
            &["arn:aws:iam::222222222222:role/R"],
        ];
        let mut names: Vec<_> = fields.iter().map(|fields| session_name(*fields)).collect();
        assert_eq!(
            session_name([&long]).len(),
            64,
            "no more is cut than must be"
        );
        // Fields that equal the names of other fields.
        let changed: Vec<_> = names.iter().filter(|name| name.contains('=')).collect();
        let copied: Vec<_> = changed
            .into_iter()
            .map(|name| session_name([name]))
            .collect();
        names.extend(copied);
        for name in &names {
            check_chars(
                "session_name",
                name,
                SESSION_NAME_LENGTH,
                NAME,
                Redaction::ShowValue,
            )
            .unwrap();
        }
        assert_eq!(
            HashSet::<_>::from_iter(&names).len(),
            names.len(),
            "{names:?}"
        );
    }

    #[test]
    fn tag_values_are_legal_and_differ_whatever_the_text_is() {
        let long = "x".repeat(257);
        let texts = [
            "a&b",
            "a_b",
            "a\nb",
            "Müller",
            "M_ller",
            &long,
            "\u{301}",
            "a&b=0123456789abcdef0123456789abcdef",
        ];
        let mut values: Vec<_> = texts.iter().map(|text| tag_value(text)).collect();
        let changed: Vec<_> = values.iter().filter(|value| value.contains('=')).collect();
        let copied: Vec<_> = changed.into_iter().map(|value| tag_value(value)).collect();
        values.extend(copied);
        for value in &values {
            check_chars("tag", value, TAG_VALUE_LENGTH, TAG, Redaction::ShowValue).unwrap();
        }
        assert_eq!(
            HashSet::<_>::from_iter(&values).len(),
            values.len(),
            "{values:?}"
        );
    }

    #[test]
    fn the_default_session_name_is_valid_whatever_the_program_is_called() {
        let long = "x".repeat(300);
        let cases = [
            ("put_records", "put_records-4242"),
            ("", "aws-role-chain-4242"),
            ("Mes données (1)", "Mes_donn_es__1_-4242"),
            ("日本", "__-4242"),
        ];
        for (program, expected) in cases {
            assert_eq!(session_name_for(program, 4242), expected);
        }
        let name = session_name_for(&long, u32::MAX);
        assert_eq!(name.len(), 64);
        assert!(name.ends_with("-4294967295"), "{name}");
        assert_eq!(default_session_name(), default_session_name());
    }
}
