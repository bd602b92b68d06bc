//! The request context: condition keys and their values.

use std::collections::BTreeMap;

use super::keys::{self, Source};

/// The condition keys of a request. Keys are case-insensitive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// By key, in lower case.
    values: BTreeMap<String, Vec<String>>,
    /// The service that the request is for, if only the test knows which keys its requests have.
    service: Option<String>,
}

/// The result of looking up a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lookup<'a> {
    Present(&'a [String]),
    Absent,
    /// The test has not declared whether the request has the key.
    Unknown,
}

impl Context {
    /// Sets a key with one value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, vec![value.into()]);
    }

    /// Sets a multivalued key. Without values, the key is absent from the request.
    pub(crate) fn set_all(&mut self, key: &str, values: Vec<String>) {
        self.values.insert(key.to_lowercase(), values);
    }

    /// Sets all keys that `other` has.
    pub(crate) fn extend(&mut self, other: &Self) {
        let values = other.values.iter();
        self.values
            .extend(values.map(|(key, values)| (key.clone(), values.clone())));
    }

    /// Marks the context as that of a request to a service other than STS: keys of the operation, the resource and the
    /// service are unknown unless they are set.
    pub(crate) fn leave_open(&mut self, service: &str) {
        self.service = Some(service.to_ascii_lowercase());
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(self.lookup(key), Lookup::Present(_))
    }

    pub(super) fn lookup(&self, key: &str) -> Lookup<'_> {
        let key = key.to_lowercase();
        match self.values.get(&key) {
            Some(values) if !values.is_empty() => Lookup::Present(values),
            Some(_) => Lookup::Absent,
            None if self.is_open(&key) => Lookup::Unknown,
            None => Lookup::Absent,
        }
    }

    /// Whether a key that is not set is one that only the test can know.
    fn is_open(&self, key: &str) -> bool {
        let Some(service) = &self.service else {
            return false;
        };
        let prefix = key.split_once(':').map_or("", |(prefix, _)| prefix);
        match keys::source(key) {
            // A key that the test added (`None`) is not in the table.
            Some(Source::Operation | Source::Service) | None => {
                prefix == "aws" || prefix == service
            }
            Some(_) => false,
        }
    }
}
