//! [`User`] and [`Role`] as STS sees them, mainly their [`Permissions`].

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

/// The policies and tags of a user or role.
#[derive(Clone, Default)]
pub(super) struct Permissions {
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) boundary: Option<Arc<Policy>>,
    /// Keys and values.
    pub(super) tags: Vec<(String, String)>,
}
