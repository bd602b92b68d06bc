//! A policy document that is sent to IAM, and compared with the one that IAM has.

use anyhow::{Context, Result, bail};
use aws_role_chain::policy::Document;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub struct PolicyJson {
    /// On several lines, for readers.
    pub pretty: String,
    /// On one line.
    pub compact: String,
}

impl PolicyJson {
    /// Parses a document that the user wrote. It must look like a policy; its contents are checked by IAM.
    pub fn parse(text: &str) -> Result<Self> {
        // Some editors on Windows write a byte order mark at the start of a file.
        let text = text.trim_start_matches('\u{feff}');
        let value: Value = serde_json::from_str(text).context("must be JSON")?;
        if value.get("Statement").is_none() {
            bail!("must be a policy: a JSON object with a Statement");
        }
        Ok(Self {
            pretty: text.trim().to_owned(),
            compact: value.to_string(),
        })
    }

    /// Returns whether both are the same JSON, regardless of formatting.
    pub fn is_same_as(&self, held: &str) -> bool {
        let read = |json: &str| serde_json::from_str::<Value>(json).ok();
        read(held).is_some_and(|held| Some(held) == read(&self.compact))
    }
}

impl From<&Document> for PolicyJson {
    fn from(document: &Document) -> Self {
        Self {
            pretty: document.to_string(),
            compact: document.compact(),
        }
    }
}
