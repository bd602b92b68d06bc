//! [`AllowedRoles`]: an allow-list for role ARNs from untrusted input.

use super::limits::{MAX_PATH_LENGTH, is_role_name};
use crate::arn::{Arn, is_account_id};
use crate::error::Violation;

/// An allow-list for role ARNs from untrusted input, such as those that a vendor's customers enter.
/// [`Role::allowed_roles`](crate::Role::allowed_roles) checks it before any call.
///
/// A program that assumes any role it is given can be made to act on behalf of someone else ([the confused
/// deputy](https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html)):
///
/// - The ARN may belong to another customer. [`require_external_id`](Self::require_external_id), with an ID that the
///   vendor generates for each customer, lets that customer's trust policy deny the call. Allowing only the account
///   that the customer signed up with ([`allow_accounts`](Self::allow_accounts)) avoids the call.
/// - The ARN may name a role in the vendor's own account that trusts the vendor's programs without an external ID. Deny
///   that account with [`deny_accounts`](Self::deny_accounts).
///
/// Rules of different kinds must all hold. Among several values of one kind, one match is enough. Values are compared
/// literally and case-sensitively; there are no patterns. Setters only store their values: a malformed value, or a list
/// that allows no role or every role, is an error when the role is added to a chain.
///
/// # Examples
///
/// ```
/// use aws_role_chain::{AllowedRoles, Role};
///
/// # let (signed_up, role_arn, external_id) = ("222222222222", "arn:aws:iam::222222222222:role/vendor/Writer", "c0ffee");
/// let allowed = AllowedRoles::new()
///     .allow_accounts([signed_up])
///     .deny_accounts(["111111111111"]) // ours
///     .allow_paths(["/vendor/"])
///     .require_external_id();
/// let role = Role::new(role_arn).external_id(external_id).allowed_roles(allowed);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use = "an allow-list restricts nothing until a role is given it"]
pub struct AllowedRoles {
    accounts: Option<Vec<String>>,
    denied_accounts: Option<Vec<String>>,
    names: Option<Vec<String>>,
    paths: Option<Vec<String>>,
    external_id_required: bool,
}

impl AllowedRoles {
    /// Creates an empty allow-list. A chain rejects it until a rule is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows only roles in these accounts, each given by its 12 digits.
    pub fn allow_accounts(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        extend(&mut self.accounts, ids);
        self
    }

    /// Denies all roles in these accounts, such as your own, each given by its 12 digits.
    pub fn deny_accounts(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        extend(&mut self.denied_accounts, ids);
        self
    }

    /// Allows only roles with these names, without the path: 1 to 64 ASCII letters, digits and `_+=,.@-`.
    pub fn allow_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        extend(&mut self.names, names);
        self
    }

    /// Allows only roles with one of these
    /// [paths](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-friendly-names).
    /// Each is the full path with its leading and trailing slash, such as `/vendor/`. A role without a path has the
    /// path `/`.
    pub fn allow_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        extend(&mut self.paths, paths);
        self
    }

    /// Requires an external ID.
    pub fn require_external_id(mut self) -> Self {
        self.external_id_required = true;
        self
    }

    /// Checks that the list allows a well-formed role ARN.
    pub(super) fn check(&self, text: &str, has_external_id: bool) -> Result<(), Violation> {
        self.check_rules()?;
        let denied = |rule| Err(Violation::new("arn", rule, Some(text)));
        let arn = Arn::parse(text).unwrap_or_default();
        let (path, name) = arn.role().unwrap_or_default();
        let denied_accounts = self.denied_accounts.as_deref().unwrap_or_default();
        if denied_accounts.iter().any(|id| id == arn.account) {
            return denied(format!("must not be a role of account {}", arn.account));
        }
        for (allowed, part, value) in [
            (&self.accounts, "account", arn.account),
            (&self.names, "name", name),
            (&self.paths, "path", path),
        ] {
            let Some(allowed) = allowed else { continue };
            if !allowed.iter().any(|allowed| allowed == value) {
                return denied(match &**allowed {
                    [only] => format!("must have the {part} {only}, the only one allowed"),
                    // A customer may see this error, and must not learn the accounts of other customers.
                    many if part == "account" => {
                        format!("must be in one of the {} allowed accounts", many.len())
                    }
                    many => format!("must have one of the allowed {part}s: {}", many.join(", ")),
                });
            }
        }
        if self.external_id_required && !has_external_id {
            let rule = "must be set: this role is allowed only with an external ID";
            return Err(Violation::new("external_id", rule, None));
        }
        Ok(())
    }

    /// Checks the list itself.
    fn check_rules(&self) -> Result<(), Violation> {
        let violation = |rule: &str, value| Err(Violation::new("allowed_roles", rule, value));
        type IsWellFormed = fn(&str) -> bool;
        const ACCOUNT: &str = "must list 12-digit account IDs";
        let kinds: [(_, IsWellFormed, _); 4] = [
            (&self.accounts, is_account_id, ACCOUNT),
            (&self.denied_accounts, is_account_id, ACCOUNT),
            (
                &self.names,
                is_role_name,
                "must list complete role names, without patterns: 1 to 64 ASCII letters, digits and \
                 _+=,.@-",
            ),
            (
                &self.paths,
                is_path,
                "must list complete paths, without patterns: at most 512 printable ASCII \
                 characters, beginning and ending with /",
            ),
        ];
        for (values, is_well_formed, rule) in kinds {
            let Some(values) = values else { continue };
            if values.is_empty() {
                return violation(&format!("{rule}; the list is empty"), None);
            }
            if let Some(value) = values.iter().find(|value| !is_well_formed(value)) {
                return violation(rule, Some(value));
            }
        }
        if kinds.iter().all(|(values, ..)| values.is_none()) && !self.external_id_required {
            return violation(
                "must restrict accounts, names or paths, or require an external ID; it currently \
                 allows any role",
                None,
            );
        }
        if let (Some(allowed), Some(denied)) = (&self.accounts, &self.denied_accounts)
            && allowed.iter().all(|id| denied.contains(id))
        {
            let rule = "must allow an account: all allowed accounts are also denied";
            return violation(rule, None);
        }
        Ok(())
    }
}

fn is_path(path: &str) -> bool {
    path == "/"
        || (3..=MAX_PATH_LENGTH).contains(&path.len())
            && path.starts_with('/')
            && path.ends_with('/')
            // IAM allows `*` in a path, but here it is probably meant as a pattern, which is not supported.
            && path.chars().all(|c| c.is_ascii_graphic() && c != '*')
}

fn extend(values: &mut Option<Vec<String>>, more: impl IntoIterator<Item = impl Into<String>>) {
    values
        .get_or_insert_default()
        .extend(more.into_iter().map(Into::into));
}
