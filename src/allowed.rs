//! [`AllowedRoles`]: which roles may come from somebody else.

use crate::role::{Broken, NAME, RoleParts, is_account_id};

/// Which roles a program takes from others, such as the role ARNs that a vendor's customers enter:
/// checked by [`Role::allowed`](crate::Role::allowed) before any call.
///
/// A program that assumes whatever role it is given can be made to act on another's behalf
/// ([the confused deputy](https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html)):
///
/// - The ARN may be another customer's. [`external_id_required`](Self::external_id_required), with an
///   ID of the vendor's own making for each customer, lets that customer's trust policy refuse; naming
///   the one account that the customer signed up with ([`accounts`](Self::accounts)) does not even ask.
/// - The ARN may be that of a role in the vendor's own account, which trusts the vendor's programs
///   without an external ID: [`not_accounts`](Self::not_accounts).
///
/// ```
/// use aws_role_chain::{AllowedRoles, Role};
///
/// # let (signed_up, role_arn, external_id) = ("222222222222", "arn:aws:iam::222222222222:role/vendor/Writer", "c0ffee");
/// let allowed = AllowedRoles::new()
///     .accounts([signed_up])
///     .not_accounts(["111111111111"]) // ours
///     .paths(["/vendor/"])
///     .external_id_required();
/// let role = Role::new(role_arn).external_id(external_id).allowed(allowed);
/// ```
///
/// Each kind that is given restricts, those that are not do not; of several entries of one kind any
/// will do. All are compared as they are: case counts, and nothing is a pattern. Like a role's, the
/// setters only store; what is malformed, or allows nothing or everything, is an error when the role
/// is added to a chain.
#[derive(Clone, Debug, Default)]
#[must_use = "it restricts nothing until a role is given it"]
pub struct AllowedRoles {
    accounts: Option<Vec<String>>,
    not_accounts: Option<Vec<String>>,
    names: Option<Vec<String>>,
    paths: Option<Vec<String>>,
    external_id_required: bool,
}

impl AllowedRoles {
    /// With nothing named yet, which a chain refuses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only roles of these accounts, each by its 12 digits.
    pub fn accounts(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        add(&mut self.accounts, ids);
        self
    }

    /// No role of these accounts, each by its 12 digits: your own.
    pub fn not_accounts(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        add(&mut self.not_accounts, ids);
        self
    }

    /// Only roles of these names, without the path: 1 to 64 ASCII letters, digits and `_+=,.@-`.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        add(&mut self.names, names);
        self
    }

    /// Only roles with one of these
    /// [paths](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-friendly-names),
    /// each in full and with both its slashes, such as `/vendor/`; `/` is that of a role without one.
    pub fn paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        add(&mut self.paths, paths);
        self
    }

    /// Only with an external ID.
    pub fn external_id_required(mut self) -> Self {
        self.external_id_required = true;
        self
    }

    /// The role's account, name and path are among those allowed, or the error says which are.
    pub(crate) fn check(
        &self,
        arn: &str,
        role: &RoleParts<'_>,
        external_id: bool,
    ) -> Result<(), Broken> {
        self.check_itself()?;
        let refused = |rule| Err(Broken::new("arn", rule, Some(arn)));
        let excluded = self.not_accounts.as_deref().unwrap_or_default();
        if excluded.iter().any(|id| id == role.account) {
            return refused(format!("must not be a role of account {}", role.account));
        }
        for (allowed, part, value) in [
            (&self.accounts, "account", role.account),
            (&self.names, "name", role.name),
            (&self.paths, "path", &*role.path),
        ] {
            let Some(allowed) = allowed else { continue };
            if !allowed.iter().any(|allowed| allowed == value) {
                let rule = match &**allowed {
                    [only] => format!("must have the {part} {only}, the only one allowed"),
                    // Customers read errors, and must not read of each other.
                    many if part == "account" => {
                        format!("must be of one of the {} accounts allowed", many.len())
                    }
                    many => format!("must have a {part} allowed, one of {}", many.join(", ")),
                };
                return refused(rule);
            }
        }
        match self.external_id_required && !external_id {
            true => Err(Broken::new(
                "external_id",
                "must be set: this role is allowed only with one",
                None,
            )),
            false => Ok(()),
        }
    }

    fn check_itself(&self) -> Result<(), Broken> {
        let broken = |rule: &str, value| Err(Broken::new("allowed", rule, value));
        let is_name = |name: &str| (1..=64).contains(&name.len()) && name.chars().all(NAME.0);
        // A star is an IAM path's character, but whoever writes one here means a pattern.
        let is_path = |path: &str| {
            path == "/"
                || (3..=512).contains(&path.len())
                    && path.starts_with('/')
                    && path.ends_with('/')
                    && path.chars().all(|c| c.is_ascii_graphic() && c != '*')
        };
        type Is<'a> = &'a dyn Fn(&str) -> bool;
        const ACCOUNT: &str = "must name accounts by their 12 digits";
        let kinds: [(_, Is<'_>, _); 4] = [
            (&self.accounts, &is_account_id, ACCOUNT),
            (&self.not_accounts, &is_account_id, ACCOUNT),
            (
                &self.names,
                &is_name,
                "must have role names as they are, 1 to 64 ASCII letters, digits and _+=,.@-",
            ),
            (
                &self.paths,
                &is_path,
                "must have paths as they are, of at most 512 printable ASCII characters, beginning \
                 and ending with /",
            ),
        ];
        for (entries, is_well_formed, rule) in kinds {
            let Some(entries) = entries else { continue };
            if entries.is_empty() {
                return broken(&format!("{rule}, and at least one"), None);
            }
            if let Some(entry) = entries.iter().find(|entry| !is_well_formed(entry)) {
                return broken(rule, Some(entry));
            }
        }
        if kinds.iter().all(|(entries, ..)| entries.is_none()) && !self.external_id_required {
            return broken(
                "must name accounts (allowed or not), names or paths, or require an external ID: so it allows any role",
                None,
            );
        }
        if let (Some(allowed), Some(excluded)) = (&self.accounts, &self.not_accounts)
            && allowed.iter().all(|id| excluded.contains(id))
        {
            return broken(
                "must allow an account: all those in accounts are in not_accounts too",
                None,
            );
        }
        Ok(())
    }
}

fn add(entries: &mut Option<Vec<String>>, more: impl IntoIterator<Item = impl Into<String>>) {
    entries
        .get_or_insert_default()
        .extend(more.into_iter().map(Into::into));
}
