//! [`RoleBuilder`]: creates or changes an IAM role.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::accounts::SharedAccounts;
use super::directory::{PolicyRecord, RoleRecord};
use super::permissions::PermissionsSettings;
use super::validation::{IamError, ROLE_POLICIES_LENGTH, check_arn, check_managed_policy_length};
use crate::arn;

/// Creates or changes an IAM role; see [`Simulator::role`](crate::Simulator::role).
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let aws = sts_simulator::Simulator::new();
/// aws.role("arn:aws:iam::222222222222:role/FirehoseWriter")
///     .trust(
///         r#"{"Version": "2012-10-17", "Statement": {
///             "Effect": "Allow", "Action": "sts:AssumeRole",
///             "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
///             "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee"}}}}"#,
///     )
///     .policy(
///         r#"{"Version": "2012-10-17", "Statement": {
///             "Effect": "Allow", "Action": "firehose:PutRecord", "Resource": "*"}}"#,
///     )
///     .max_session_duration(Duration::from_secs(12 * 3600))
///     .create()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the role is created by create()"]
pub struct RoleBuilder {
    accounts: SharedAccounts,
    now: SystemTime,
    arn: String,
    trust_policy: Option<String>,
    permissions: PermissionsSettings,
    /// ARNs and documents.
    managed_policies: Vec<(String, String)>,
    max_session_duration: i64,
}

impl RoleBuilder {
    pub(crate) fn new(accounts: SharedAccounts, arn: String, now: SystemTime) -> Self {
        Self {
            accounts,
            now,
            arn,
            trust_policy: None,
            permissions: PermissionsSettings::default(),
            managed_policies: Vec::new(),
            max_session_duration: 3600,
        }
    }

    /// Sets the trust policy, as JSON. The users and roles that it names must exist: IAM stores their unique IDs, so a
    /// user or role that is deleted and created again is no longer trusted. Default: trusts the role's own account.
    pub fn trust(mut self, json: impl Into<String>) -> Self {
        self.trust_policy = Some(json.into());
        self
    }

    /// Adds an identity policy, as JSON. Default: none.
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.permissions.policies.push(json.into());
        self
    }

    /// Sets the permissions boundary, as JSON, which must also allow everything that sessions of the role do. Default:
    /// none.
    pub fn permissions_boundary(mut self, json: impl Into<String>) -> Self {
        self.permissions.boundary = Some(json.into());
        self
    }

    /// Adds an IAM tag. It sets the condition keys `aws:ResourceTag/<key>` and `iam:ResourceTag/<key>` of requests to
    /// assume the role, and `aws:PrincipalTag/<key>` of its sessions, unless a session tag replaces it. Default: none.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.permissions.tags.push((key.into(), value.into()));
        self
    }

    /// Creates a managed policy, whose ARN callers may pass as a session policy. It is not attached to the role.
    pub fn managed_policy(mut self, arn: impl Into<String>, json: impl Into<String>) -> Self {
        self.managed_policies.push((arn.into(), json.into()));
        self
    }

    /// Sets `MaxSessionDuration`, clamped to the range from 3,600 s to 43,200 s. Default: 3,600 s.
    pub fn max_session_duration(mut self, duration: Duration) -> Self {
        self.max_session_duration = duration.as_secs().clamp(3600, 43_200) as i64;
        self
    }

    /// Creates the role, or replaces the settings of the existing role. Existing sessions remain valid, with the new
    /// permissions.
    ///
    /// # Errors
    ///
    /// Fails if the ARN is not a role's, with a name and a path that IAM allows, or its account is in another partition;
    /// if the name is taken, under another path or in another case; if a policy is malformed, too long or has a
    /// condition key that the simulator does not know; if a tag is malformed; or if the trust policy names a user or
    /// role that does not exist.
    pub fn create(self) -> Result<(), IamError> {
        check_arn(&self.arn, "role")?;
        let trust_policy = self.trust_policy.unwrap_or_else(|| {
            format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "{}"}}}}}}"#,
                arn::account_of(&self.arn)
            )
        });
        let mut accounts = self.accounts.lock();
        accounts.check_partition(&self.arn)?;
        let (account, name) = (arn::account_of(&self.arn), arn::name_of(&self.arn));
        let mut role = match accounts.directory.roles.get(account, name) {
            Some(role) if role.entity.arn != self.arn => {
                return Err(IamError::already_exists(&self.arn, &role.entity.arn));
            }
            Some(role) => role.clone(),
            None => RoleRecord::new(&self.arn, accounts.new_id(&self.arn, "AROA"), self.now),
        };
        self.permissions.set(
            &mut accounts,
            &mut role.entity,
            "role",
            ROLE_POLICIES_LENGTH,
        )?;
        role.max_session_duration = self.max_session_duration;
        // Everything is checked before anything is changed.
        let mut managed_policies = Vec::new();
        for (arn, json) in self.managed_policies {
            check_managed_policy_length(&arn, &json)?;
            let document = accounts.read_document(&*arn, json)?;
            managed_policies.push(PolicyRecord::new(&arn, document, self.now));
        }
        accounts.set_role(role, trust_policy)?;
        for policy in managed_policies {
            accounts.set_managed_policy(policy);
        }
        Ok(())
    }
}

impl fmt::Debug for RoleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleBuilder")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
