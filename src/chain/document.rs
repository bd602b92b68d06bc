//! [`Document`]: an IAM policy, with its statements and their JSON (feature `policy`).
#![cfg(feature = "policy")]

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::arn::{Arn, is_account_id};
use crate::error::{Error, Operation, Violation};
use crate::json::escape_non_ascii;
use crate::request::limits::check_region;

/// An IAM policy. `Display` is indented JSON, and deterministic: the same chain always gives the same text. `Debug`
/// shows only the size, because a trust policy may contain an external ID.
///
/// # Examples
///
/// ```
/// use aws_role_chain::policy::Document;
///
/// let stream = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
/// let document = Document::firehose_put(stream)?;
/// assert!(document.compact().starts_with(r#"{"Version":"2012-10-17","Statement":["#));
/// # Ok::<(), aws_role_chain::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Vec<Statement>);

impl Document {
    /// Creates the permission policy of a role that puts records on this Firehose stream,
    /// `arn:<partition>:firehose:<region>:<account>:deliverystream/<name>`.
    ///
    /// # Errors
    ///
    /// An ARN that is not a stream's is [invalid](Error::is_invalid).
    pub fn firehose_put(stream_arn: &str) -> Result<Self, Error> {
        let is_stream = |parts: &Arn<'_>| {
            let name = parts.resource.strip_prefix("deliverystream/");
            parts.service == "firehose"
                && check_region(parts.region).is_ok()
                && is_account_id(parts.account)
                && name.is_some_and(|name| {
                    let is_accepted = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                    (1..=64).contains(&name.len()) && name.chars().all(is_accepted)
                })
        };
        if !Arn::parse(stream_arn).is_some_and(|parts| is_stream(&parts)) {
            let rule = "must be arn:<partition>:firehose:<region>:<account>:deliverystream/<name>";
            return Err(Violation::new("stream_arn", rule, Some(stream_arn))
                .into_error(Operation::WriteDocument));
        }
        let put = |sid: &'static str, action: &str| Statement {
            resource: vec![stream_arn.to_owned()],
            ..Statement::allow(sid, action)
        };
        Ok(Self(vec![
            put("PutRecord", "firehose:PutRecord"),
            put("PutRecordBatch", "firehose:PutRecordBatch"),
        ]))
    }

    /// Creates the permission policy of a role that lists and reads the objects in a bucket
    /// (`arn:<partition>:s3:::<bucket>`) under `prefix`, such as `2026/`. An empty prefix stands for the whole bucket.
    ///
    /// # Errors
    ///
    /// An ARN that is not a bucket's, or a prefix with `*`, `?` or `$`, is [invalid](Error::is_invalid).
    pub fn s3_read(bucket_arn: &str, prefix: &str) -> Result<Self, Error> {
        let is_bucket = |parts: &Arn<'_>| {
            // Buckets that were created before March 2018 may have longer names, with capital letters and underscores.
            let is_accepted = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            parts.service == "s3"
                && parts.region.is_empty()
                && parts.account.is_empty()
                && (3..=255).contains(&parts.resource.len())
                && parts.resource.chars().all(is_accepted)
        };
        if !Arn::parse(bucket_arn).is_some_and(|parts| is_bucket(&parts)) {
            let rule = "must be arn:<partition>:s3:::<bucket>";
            return Err(Violation::new("bucket_arn", rule, Some(bucket_arn))
                .into_error(Operation::WriteDocument));
        }
        if is_pattern(prefix) {
            let rule = "must not contain *, ? or $: policies treat them as patterns";
            return Err(
                Violation::new("prefix", rule, Some(prefix)).into_error(Operation::WriteDocument)
            );
        }
        let mut list = Statement::allow("ListBucket", "s3:ListBucket");
        list.resource = vec![bucket_arn.to_owned()];
        if !prefix.is_empty() {
            let below = format!("{prefix}*");
            list.conditions.one("StringLike", "s3:prefix", &below);
        }
        let get = Statement {
            resource: vec![format!("{bucket_arn}/{prefix}*")],
            ..Statement::allow("GetObject", "s3:GetObject")
        };
        Ok(Self(vec![list, get]))
    }

    pub(super) fn new(statements: Vec<Statement>) -> Self {
        Self(statements)
    }

    /// Returns the JSON on one line, without white space between its tokens.
    pub fn compact(&self) -> String {
        escape_non_ascii(&serde_json::to_string(self).unwrap_or_default())
    }

    /// Returns the number of characters, as IAM counts them: without white space between tokens.
    pub fn size(&self) -> usize {
        self.compact().chars().count()
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Strings and maps of strings always serialize.
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        f.write_str(&escape_non_ascii(&json))
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} characters)", self.size())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(Some(2))?;
        document.serialize_entry("Version", "2012-10-17")?;
        document.serialize_entry("Statement", &self.0)?;
        document.end()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sid: &'static str,
    /// The kind (`AWS`, `Federated`) and the ARN.
    pub(super) principal: Option<(&'static str, String)>,
    pub(super) action: String,
    pub(super) resource: Vec<String>,
    pub(super) conditions: Conditions,
}

impl Statement {
    pub(super) fn allow(sid: &'static str, action: &str) -> Self {
        Self {
            sid,
            principal: None,
            action: action.to_owned(),
            resource: Vec::new(),
            conditions: Conditions::default(),
        }
    }
}

impl Serialize for Statement {
    /// The fields are in the order of AWS's examples.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut statement = serializer.serialize_map(None)?;
        statement.serialize_entry("Sid", self.sid)?;
        statement.serialize_entry("Effect", "Allow")?;
        if let Some((kind, arn)) = &self.principal {
            statement.serialize_entry("Principal", &Entries(&[(*kind, arn)]))?;
        }
        statement.serialize_entry("Action", &self.action)?;
        if !self.resource.is_empty() {
            statement.serialize_entry("Resource", &OneOrMore(&self.resource))?;
        }
        if !self.conditions.0.is_empty() {
            statement.serialize_entry("Condition", &self.conditions)?;
        }
        statement.end()
    }
}

/// The operator, key and values of each condition.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions(Vec<(&'static str, String, Vec<String>)>);

impl Conditions {
    pub(super) fn one(&mut self, operator: &'static str, key: &str, value: &str) {
        self.all(operator, key, vec![value.to_owned()]);
    }

    pub(super) fn all(&mut self, operator: &'static str, key: &str, values: Vec<String>) {
        self.0.push((operator, key.to_owned(), values));
    }

    pub(super) fn extend(&mut self, more: &Self) {
        self.0.extend(more.0.iter().cloned());
    }
}

impl Serialize for Conditions {
    /// Groups the conditions by operator, because each operator may appear only once.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut operators: Vec<(&str, Vec<(&str, OneOrMore<'_>)>)> = Vec::new();
        for (operator, key, values) in &self.0 {
            let test = (key.as_str(), OneOrMore(values));
            match operators.iter_mut().find(|(name, _)| name == operator) {
                Some((_, tests)) => tests.push(test),
                None => operators.push((operator, vec![test])),
            }
        }
        let entries = operators
            .iter()
            .map(|(operator, tests)| (operator, Entries(tests)));
        serializer.collect_map(entries)
    }
}

/// A map that preserves the order of its entries.
struct Entries<'a, V>(&'a [(&'a str, V)]);

impl<V: Serialize> Serialize for Entries<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// One value or a list. A single value is not wrapped in a list, as IAM writes it.
struct OneOrMore<'a>(&'a [String]);

impl Serialize for OneOrMore<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => one.serialize(serializer),
            more => more.serialize(serializer),
        }
    }
}

/// Returns whether a policy would not treat the text literally: wildcards and variables.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '$'])
}
