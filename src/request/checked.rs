//! [`Checked`]: the parameters of a request after their check.

use std::ops::Deref;

/// Parameters that break no rule that can be checked before a call. Only the `check` methods of the builders create it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Checked<T>(pub(super) T);

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
