//! [`Settings`]: behavior that varies between AWS accounts or is not known for certain.

use std::collections::HashSet;
use std::time::Duration;

/// The settings of the simulator that STS reads.
#[derive(Default)]
pub(crate) struct Settings {
    /// Whether a role session inherits the MFA context of the session that assumed the role.
    pub(crate) mfa_context_inherited: bool,
    /// Whether to apply rules for which there is no documentation and no recorded response.
    pub(crate) unconfirmed_rules: bool,
    /// The maximum packed size of policies and tags, in bytes; `None` for the estimate of AWS's limit.
    pub(crate) packed_size_limit: Option<usize>,
    /// The accounts and regions in which STS is not active.
    pub(crate) disabled_regions: HashSet<(String, String)>,
    /// How long changes of users and roles take until STS sees them.
    pub(crate) iam_delay: Duration,
}
