//! [`AccountBuilder`]: an account's membership in AWS Organizations, with the organization's policies.

use std::fmt;

use super::account::Account;
use super::accounts::SharedAccounts;
use super::validation::IamError;
use crate::arn;
use crate::policy::PolicyKind;

/// Makes an account a member of an organization in AWS Organizations, with the policies that apply to it; see
/// [`Simulator::account`](crate::Simulator::account).
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sts_simulator::{AccountBuilder, Simulator};
///
/// let aws = Simulator::new();
/// aws.account("222222222222")
///     .organization("o-a1b2c3d4e5")
///     .organization_path("o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/")
///     // The policies of the organization's root …
///     .service_control_policies([AccountBuilder::FULL_AWS_ACCESS])
///     // … and of the account.
///     .service_control_policies([
///         AccountBuilder::FULL_AWS_ACCESS,
///         r#"{"Version": "2012-10-17", "Statement": {
///             "Effect": "Deny", "Action": "*", "Resource": "*",
///             "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}}"#,
///     ])
///     .resource_control_policies([r#"{"Version": "2012-10-17", "Statement": {
///         "Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*",
///         "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}}}"#])
///     .create()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the account is changed by create()"]
pub struct AccountBuilder {
    accounts: SharedAccounts,
    id: String,
    organization: Option<String>,
    organization_paths: Vec<String>,
    service_control: Vec<Vec<String>>,
    resource_control: Vec<String>,
    trust_policy_length: Option<usize>,
}

impl AccountBuilder {
    /// The service control policy `FullAWSAccess`, which AWS attaches to every root, organizational unit and account
    /// until it is detached.
    pub const FULL_AWS_ACCESS: &'static str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

    pub(crate) fn new(accounts: SharedAccounts, id: String) -> Self {
        Self {
            accounts,
            id,
            organization: None,
            organization_paths: Vec::new(),
            service_control: Vec::new(),
            resource_control: Vec::new(),
            trust_policy_length: None,
        }
    }

    /// Sets the ID of the organization, `o-…`. It is the value of the condition keys `aws:PrincipalOrgID` of the
    /// account's users and roles, and `aws:ResourceOrgID` of its resources. Default: the account is in no organization,
    /// and requests do not have these keys.
    pub fn organization(mut self, id: impl Into<String>) -> Self {
        self.organization = Some(id.into());
        self
    }

    /// Adds a path in the organization, `o-…/r-…/ou-…/`, to the condition keys `aws:PrincipalOrgPaths` and
    /// `aws:ResourceOrgPaths`. Requires an [organization](Self::organization). Default: none.
    pub fn organization_path(mut self, path: impl Into<String>) -> Self {
        self.organization_paths.push(path.into());
        self
    }

    /// Adds the service control policies of one level, as JSON: of the organization's root, an organizational unit, or
    /// the account. Every level must allow what the account's users and roles do, and none may deny it. Service control
    /// policies do not apply to an organization's management account: add none for it. Default: no level, which allows
    /// everything.
    pub fn service_control_policies<T: Into<String>>(
        mut self,
        of_one_level: impl IntoIterator<Item = T>,
    ) -> Self {
        let policies = of_one_level.into_iter().map(Into::into);
        self.service_control.push(policies.collect());
        self
    }

    /// Adds resource control policies of any level, as JSON. They limit who may use the account's resources. They can
    /// only deny; `RCPFullAWSAccess`, which allows everything, is always attached. They do not apply to resources in an
    /// organization's management account: add none for it. Default: none.
    pub fn resource_control_policies<T: Into<String>>(
        mut self,
        policies: impl IntoIterator<Item = T>,
    ) -> Self {
        self.resource_control
            .extend(policies.into_iter().map(Into::into));
        self
    }

    /// Sets the quota "Role trust policy length", in characters without white space, which AWS increases on request.
    /// Default: 2,048.
    pub fn role_trust_policy_length(mut self, characters: usize) -> Self {
        self.trust_policy_length = Some(characters);
        self
    }

    /// Changes the account, replacing all earlier settings.
    ///
    /// # Errors
    ///
    /// Fails if the ID of the account or the organization, a path, or a policy is malformed.
    pub fn create(self) -> Result<(), IamError> {
        if !arn::is_account_id(&self.id) {
            let subject = format!("{:?}", self.id);
            return Err(IamError::validation(
                subject,
                "an account ID must be 12 digits",
            ));
        }
        if let Some(id) = &self.organization
            && !is_organization_id(id)
        {
            let rule = "the ID of an organization must match o-[a-z0-9]{10,32}";
            return Err(IamError::validation(format!("{id:?}"), rule));
        }
        for path in &self.organization_paths {
            let root = self.organization.as_ref().map(|id| format!("{id}/r-"));
            if !root.is_some_and(|root| path.starts_with(&root) && path.ends_with('/')) {
                let rule = "must begin with the IDs of the organization and its root, o-…/r-…/, and end with \"/\"";
                return Err(IamError::validation(format!("{path:?}"), rule));
            }
        }
        let mut accounts = self.accounts.lock();
        let id = &self.id;
        let read = |kind, n: usize, json: &String| {
            accounts.read_policy(kind, format!("{n} of account {id}"), json)
        };
        let mut account = Account {
            organization: self.organization,
            organization_paths: self.organization_paths,
            trust_policy_length: self.trust_policy_length,
            ..Account::default()
        };
        let mut numbers = 1..;
        for level in &self.service_control {
            let policies = level.iter().zip(&mut numbers);
            let policies = policies.map(|(json, n)| read(PolicyKind::ServiceControl, n, json));
            account
                .service_control
                .push(policies.collect::<Result<_, _>>()?);
        }
        for (json, n) in self.resource_control.iter().zip(1..) {
            let policy = read(PolicyKind::ResourceControl, n, json)?;
            account.resource_control.push(policy);
        }
        accounts.set_account(self.id, account);
        Ok(())
    }
}

impl fmt::Debug for AccountBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountBuilder")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn is_organization_id(id: &str) -> bool {
    id.strip_prefix("o-").is_some_and(|rest| {
        (10..=32).contains(&rest.len())
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}
