//! ASCII-only JSON (features `policy` and `cli-cache`).
#![cfg(any(feature = "policy", feature = "cli-cache"))]

/// Escapes everything but printable ASCII and line feeds; in valid JSON only strings contain such characters. IAM
/// accepts no characters above U+00FF, and the AWS CLI's Python writes only ASCII.
pub(crate) fn escape_non_ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~' | '\n') {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped += &format!("\\u{unit:04x}");
        }
    }
    escaped
}
