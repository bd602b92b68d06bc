//! Finds and reads the files of an import, regardless of their encoding.

use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outcome::ImportError;

/// Returns the JSON files at a path, sorted by name: the file itself, or the files of a folder and its subfolders.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let metadata = fs::metadata(path).map_err(|error| ImportError::new(path, error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found, 0)?;
    if found.is_empty() {
        return Err(ImportError::new(
            path,
            "the folder contains no file whose name ends with .json",
        ));
    }
    found.sort();
    Ok(found)
}

/// How many levels of subfolders are followed. Cycles of symbolic links end there.
const MAX_DEPTH: usize = 3;

fn collect(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) -> Result<(), ImportError> {
    let failed = |error| ImportError::new(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Hidden files, such as `._111111111111.json` in archives made on macOS.
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                collect(&path, found, depth + 1)?;
            }
        } else if name.to_ascii_lowercase().ends_with(".json") {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads a file in UTF-8 or UTF-16 (which Windows PowerShell's `>` writes), with or without a byte order mark.
pub(super) fn read(file: &Path) -> Result<String, ImportError> {
    let bytes = fs::read(file).map_err(|error| ImportError::new(file, error))?;
    decode(&bytes).map_err(|reason| ImportError::new(file, reason))
}

fn decode(bytes: &[u8]) -> Result<String, String> {
    let utf_16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [first, second] => read([*first, *second]),
            // An incomplete code unit. A lone surrogate makes decoding fail.
            _ => 0xdfff,
        });
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map_err(|_| {
            "the file is damaged: it has a byte order mark of UTF-16, but is not valid UTF-16"
                .to_owned()
        })
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let text = std::str::from_utf8(bytes).map_err(|error| {
                format!(
                    "the file is not valid UTF-8 at byte {}",
                    error.valid_up_to()
                )
            })?;
            Ok(text.to_owned())
        }
    }
}

/// A policy in an export: an object or, from older versions of the AWS CLI, percent-encoded text.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct PolicyText(Box<RawValue>);

impl PolicyText {
    /// Returns the policy as JSON.
    pub(super) fn json(&self) -> String {
        let raw = self.0.get();
        match serde_json::from_str::<String>(raw) {
            Err(_) => raw.to_owned(),
            Ok(text) if text.trim_start().starts_with('{') => text,
            Ok(text) => percent_decode_str(&text).decode_utf8_lossy().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_whatever_wrote_it() {
        let little: Vec<u8> = "\u{feff}{é}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let big: Vec<u8> = "\u{feff}{é}"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        for bytes in ["{é}".as_bytes(), "\u{feff}{é}".as_bytes(), &little, &big] {
            assert_eq!(decode(bytes).as_deref(), Ok("{é}"), "{bytes:x?}");
        }
        for bytes in [&b"{\xff}"[..], &little[..little.len() - 1]] {
            assert!(decode(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn a_policy_is_an_object_or_percent_encoded_text() {
        for json in [
            r#"{"Version": "2012-10-17"}"#,
            r#""{\"Version\": \"2012-10-17\"}""#,
            r#""%7B%22Version%22%3A%20%222012-10-17%22%7D""#,
        ] {
            let policy: PolicyText = serde_json::from_str(json).unwrap();
            assert_eq!(policy.json(), r#"{"Version": "2012-10-17"}"#, "{json}");
        }
    }
}
