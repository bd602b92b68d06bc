//! Parsers of option values. Each error says what the value must be.

use std::time::Duration;

pub fn non_empty(value: &str) -> Result<String, String> {
    match value.trim() {
        "" => Err("must not be empty".to_owned()),
        _ => Ok(value.to_owned()),
    }
}

pub fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().map(Duration::from_secs);
    seconds.map_err(|_| "must be a whole number of seconds, such as 3600".to_owned())
}

pub fn key_value(value: &str) -> Result<(String, String), String> {
    match value.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE, such as team=payments".to_owned()),
    }
}

pub fn region(value: &str) -> Result<String, String> {
    let is_sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if value.is_empty() || !value.chars().all(is_sign) {
        return Err("must be a region code, such as eu-west-1".to_owned());
    }
    Ok(value.to_owned())
}

pub fn url(value: &str) -> Result<String, String> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| value.strip_prefix(scheme));
    let is_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':', '?']);
    match rest {
        Some(rest) if is_host(rest) && !value.contains(char::is_whitespace) => Ok(value.to_owned()),
        _ => Err("must be a URL with a scheme, such as http://localhost:4566".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for good in ["http://localhost:4566", "https://sts.example.com/x"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost:4566",
            "http://",
            "https:///x",
            "ftp://x",
            "http://a b",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tag_has_a_key_and_may_have_an_empty_value() {
        assert_eq!(key_value("b=c=d"), Ok(("b".to_owned(), "c=d".to_owned())));
        assert_eq!(key_value("b="), Ok(("b".to_owned(), String::new())));
        assert!(key_value("b").is_err() && key_value("=c").is_err() && key_value("").is_err());
    }
}
