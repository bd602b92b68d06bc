//! The request context: condition keys and their values.

use std::collections::HashMap;

/// The condition keys of a request; their case does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context(HashMap<String, Vec<String>>);

impl Context {
    /// Sets a key with one value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, vec![value.into()]);
    }

    /// Sets a multivalued key.
    pub(crate) fn set_all(&mut self, key: &str, values: Vec<String>) {
        self.0.insert(key.to_ascii_lowercase(), values);
    }

    /// Returns the values of a key; `None` if it is not in the request context.
    pub(super) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}
