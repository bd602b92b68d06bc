//! [`User`] and [`Role`]: what STS knows of them, their [`Permissions`] above all.

use std::sync::Arc;

use crate::policy::Policy;

#[derive(Clone)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) permissions: Permissions,
}

#[derive(Clone)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) trust_policy: Arc<Policy>,
    pub(super) permissions: Permissions,
    /// In seconds.
    pub(crate) max_session_duration: i64,
}

/// What a user or role may do, and its tags.
#[derive(Clone, Default)]
pub(super) struct Permissions {
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) boundary: Option<Arc<Policy>>,
    /// Keys with values.
    pub(super) tags: Vec<(String, String)>,
}
