//! A policy document as it is sent to IAM and compared with what IAM holds.

use anyhow::{Context, Result, bail};
use aws_role_chain::policy::Document;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub struct PolicyJson {
    /// On several lines, for people.
    pub pretty: String,
    /// On one line.
    pub compact: String,
}

impl PolicyJson {
    /// A document that somebody wrote. IAM judges what it says; here it must be a policy at all.
    pub fn parse(text: &str) -> Result<Self> {
        // Some editors of Windows begin a file with it.
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

    /// Whether both say the same, however they are written.
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
