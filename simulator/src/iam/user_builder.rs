//! [`UserBuilder`]: creates or changes an IAM user.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;

use super::accounts::SharedAccounts;
use super::directory::UserRecord;
use super::mfa_device::MfaDevice;
use super::permissions::PermissionsSettings;
use super::validation::{IamError, USER_POLICIES_LENGTH, check_arn};
use crate::arn;

/// Creates or changes an IAM user; see [`Simulator::user`](crate::Simulator::user).
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = sts_simulator::Simulator::new();
/// let keys = aws
///     .user("arn:aws:iam::111111111111:user/ada")
///     .policy(
///         r#"{"Version": "2012-10-17", "Statement": {
///             "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#,
///     )
///     .mfa_device("arn:aws:iam::111111111111:mfa/ada", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
///     .create()?;
/// assert!(keys.access_key_id().starts_with("AKIA"));
/// # Ok(())
/// # }
/// ```
#[must_use = "the user is created by create()"]
pub struct UserBuilder {
    accounts: SharedAccounts,
    now: SystemTime,
    arn: String,
    permissions: PermissionsSettings,
    /// Serial numbers and secrets.
    mfa_devices: Vec<(String, String)>,
    /// ID and secret.
    access_key: Option<(String, String)>,
}

impl UserBuilder {
    pub(crate) fn new(accounts: SharedAccounts, arn: String, now: SystemTime) -> Self {
        Self {
            accounts,
            now,
            arn,
            permissions: PermissionsSettings::default(),
            mfa_devices: Vec::new(),
            access_key: None,
        }
    }

    /// Adds an identity policy, as JSON. Default: none.
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.permissions.policies.push(json.into());
        self
    }

    /// Sets the permissions boundary, as JSON, which must also allow everything that the user does. Default: none.
    pub fn permissions_boundary(mut self, json: impl Into<String>) -> Self {
        self.permissions.boundary = Some(json.into());
        self
    }

    /// Adds an IAM tag. It sets the condition key `aws:PrincipalTag/<key>` of the user's requests. Default: none.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.permissions.tags.push((key.into(), value.into()));
        self
    }

    /// Adds a virtual MFA device. `secret` is the base32 text that AWS shows when a device is created. STS accepts each
    /// code once. [`Simulator::mfa_code`](crate::Simulator::mfa_code) returns the current code. Default: no device.
    pub fn mfa_device(mut self, serial: impl Into<String>, secret: impl Into<String>) -> Self {
        self.mfa_devices.push((serial.into(), secret.into()));
        self
    }

    /// Sets the access key, for clients that need to know it before the simulator starts. Another user's key is an
    /// error. Default: a random key.
    pub fn access_key(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.access_key = Some((id.into(), secret.into()));
        self
    }

    /// Creates the user, or replaces the settings of the existing user, and returns a new access key. Earlier keys and
    /// MFA devices remain.
    ///
    /// # Errors
    ///
    /// Fails if the ARN is not a user's, with a name and a path that IAM allows, or its account is in another partition;
    /// if the name is taken, under another path or in another case; if a policy is malformed, too long or has a
    /// condition key that the simulator does not know; if a tag is malformed; if the access key ID is malformed or in
    /// use; or if an MFA device's secret is not base32 text of at least 16 characters.
    pub fn create(self) -> Result<Credentials, IamError> {
        check_arn(&self.arn, "user")?;
        let mut mfa_devices = Vec::new();
        for (serial, secret) in self.mfa_devices {
            let device = MfaDevice::new(&self.arn, &serial, &secret)?;
            mfa_devices.push((serial, device));
        }
        let mut accounts = self.accounts.lock();
        accounts.check_partition(&self.arn)?;
        if let Some((id, _)) = &self.access_key {
            accounts.check_new_key(id, &self.arn)?;
        }
        let (account, name) = (arn::account_of(&self.arn), arn::name_of(&self.arn));
        let mut user = match accounts.directory.users.get(account, name) {
            Some(user) if user.entity.arn != self.arn => {
                return Err(IamError::already_exists(&self.arn, &user.entity.arn));
            }
            Some(user) => user.clone(),
            None => UserRecord::new(&self.arn, accounts.new_id(&self.arn, "AIDA"), self.now),
        };
        self.permissions.set(
            &mut accounts,
            &mut user.entity,
            "user",
            USER_POLICIES_LENGTH,
        )?;
        accounts.directory.users.insert(account, name, user);
        accounts.apply_user(account, name);
        accounts.mfa_devices.extend(mfa_devices);
        Ok(match self.access_key {
            Some((id, secret)) => accounts.add_user_key(&self.arn, id, secret, self.now),
            None => accounts.create_access_key(&self.arn, self.now),
        })
    }
}

impl fmt::Debug for UserBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserBuilder")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
