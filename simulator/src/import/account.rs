//! The output of `aws iam get-account-authorization-details` and `aws iam list-roles`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::{Import, ImportError};
use super::strict;
use super::text::PolicyText;
use crate::arn;
use crate::iam::{
    Accounts, Document, Entity, PolicyRecord, PolicyVersion, RoleRecord, UserRecord, unique_id,
};
use crate::policy::PolicyKind;

/// An account in the output of `get-account-authorization-details`. Members that the simulator does not need are
/// ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Details {
    user_detail_list: Vec<UserDetail>,
    group_detail_list: Vec<GroupDetail>,
    role_detail_list: Vec<RoleDetail>,
    policies: Vec<PolicyDetail>,
    #[serde(default)]
    is_truncated: bool,
    next_token: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserDetail {
    arn: String,
    user_id: String,
    create_date: Option<Value>,
    #[serde(default)]
    user_policy_list: Vec<InlinePolicy>,
    #[serde(default)]
    group_list: Vec<String>,
    #[serde(default)]
    attached_managed_policies: Vec<Attached>,
    permissions_boundary: Option<Boundary>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupDetail {
    arn: String,
    group_id: String,
    create_date: Option<Value>,
    #[serde(default)]
    group_policy_list: Vec<InlinePolicy>,
    #[serde(default)]
    attached_managed_policies: Vec<Attached>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleDetail {
    arn: String,
    role_id: String,
    create_date: Option<Value>,
    assume_role_policy_document: PolicyText,
    #[serde(default)]
    role_policy_list: Vec<InlinePolicy>,
    #[serde(default)]
    attached_managed_policies: Vec<Attached>,
    permissions_boundary: Option<Boundary>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InlinePolicy {
    policy_name: String,
    policy_document: PolicyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    policy_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Boundary {
    permissions_boundary_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDetail {
    arn: String,
    policy_id: String,
    create_date: Option<Value>,
    update_date: Option<Value>,
    default_version_id: String,
    policy_version_list: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    document: PolicyText,
    version_id: String,
    create_date: Option<Value>,
}

/// The output of `list-roles`. Only the durations are read, because `get-account-authorization-details` does not have
/// them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Roles {
    roles: Vec<RoleDuration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleDuration {
    arn: String,
    max_session_duration: Option<i64>,
}

impl Details {
    /// Returns the ARNs of everything in the account, without those of AWS managed policies.
    fn arns(&self) -> impl Iterator<Item = &str> {
        let users = self.user_detail_list.iter().map(|user| &user.arn);
        let groups = self.group_detail_list.iter().map(|group| &group.arn);
        let roles = self.role_detail_list.iter().map(|role| &role.arn);
        let policies = self.policies.iter().map(|policy| &policy.arn);
        let all = users.chain(groups).chain(roles).chain(policies);
        all.map(String::as_str)
            .filter(|arn| arn::account_of(arn) != "aws")
    }

    /// Returns the ID of the account that the file describes.
    pub(super) fn account(&self, file: &Path) -> Result<String, ImportError> {
        if self.is_truncated
            || self
                .next_token
                .as_ref()
                .is_some_and(|token| !token.is_null())
        {
            return Err(ImportError::new(
                file,
                "the export is incomplete: create it without --max-items and --no-paginate",
            ));
        }
        let mut account: Option<&str> = None;
        for arn in self.arns() {
            let of = arn::account_of(arn);
            match account {
                _ if !arn::is_account_id(of) => {
                    return Err(ImportError::new(file, format!("{arn:?} is not an IAM ARN")));
                }
                Some(account) if account != of => {
                    return Err(ImportError::new(
                        file,
                        format!(
                            "it has ARNs of the accounts {account} and {of}: each file must describe a single account"
                        ),
                    ));
                }
                _ => account = Some(of),
            }
        }
        match account {
            Some(account) => Ok(account.to_owned()),
            None => Err(ImportError::new(
                file,
                "it has no user, group, role or policy of an account",
            )),
        }
    }
}

/// The accounts of an import, collected until all files are read: trust policies may name users and roles of other
/// accounts.
#[derive(Default)]
pub(super) struct AccountFiles {
    /// By account ID.
    details: BTreeMap<String, (PathBuf, Details)>,
    /// By the ARN of the role.
    durations: BTreeMap<String, i64>,
}

impl AccountFiles {
    pub(super) fn add(&mut self, file: &Path, details: Details) -> Result<(), ImportError> {
        let account = details.account(file)?;
        if let Some((other, _)) = self.details.get(&account) {
            let other = other.display();
            return Err(ImportError::new(
                file,
                format!(
                    "the account {account} is also in {other}: each account must be in a single file"
                ),
            ));
        }
        self.details.insert(account, (file.to_owned(), details));
        Ok(())
    }

    pub(super) fn add_durations(&mut self, roles: Roles) {
        let durations = roles.roles.into_iter();
        self.durations
            .extend(durations.filter_map(|role| Some((role.arn, role.max_session_duration?))));
    }

    pub(super) fn apply(
        self,
        accounts: &mut Accounts,
        import: &mut Import,
    ) -> Result<(), ImportError> {
        let mut roles = Vec::new();
        for (account, (file, details)) in self.details {
            for arn in details.arns() {
                let checked = accounts.check_partition(arn);
                checked.map_err(|error| ImportError::new(&file, error))?;
            }
            let mut reader = Reader {
                file: &file,
                import,
                accounts,
            };
            let without_duration = details
                .role_detail_list
                .iter()
                .any(|role| !self.durations.contains_key(&role.arn));
            reader.policies(details.policies);
            // Groups are read first, because users refer to them.
            reader.groups(&account, details.group_detail_list);
            reader.users(&account, details.user_detail_list);
            for role in details.role_detail_list {
                let trust_policy = role.assume_role_policy_document.json();
                let duration = self.durations.get(&role.arn).copied();
                roles.push((file.clone(), reader.role(role, duration), trust_policy));
            }
            for (subject, reason) in [
                (
                    "MaxSessionDuration",
                    "the export does not contain it; roles that are in no imported output of list-roles have the \
                     default of one hour",
                ),
                (
                    "access keys, MFA devices and identity providers",
                    "the export does not contain them; add those that the test needs",
                ),
            ] {
                if subject != "MaxSessionDuration" || without_duration {
                    import.leave_out(
                        &file,
                        format!("account {account}"),
                        format!("{subject}: {reason}"),
                    );
                }
            }
            import.accounts.insert(account);
        }
        // All roles must be known before the trust policies that may name them are read.
        for (_, role, _) in &roles {
            let (account, name) = (arn::account_of(&role.entity.arn), role.entity.name());
            accounts.directory.roles.insert(account, name, role.clone());
        }
        for (file, role, trust_policy) in roles {
            set_trust_policy(accounts, import, &file, role, &trust_policy);
        }
        read_trust_policies_again(accounts);
        let imported: Vec<String> = import.accounts.iter().cloned().collect();
        for account in imported {
            accounts.apply_account(&account);
        }
        Ok(())
    }
}

/// Reads the policies, groups, users and roles of one file.
struct Reader<'a> {
    file: &'a Path,
    import: &'a mut Import,
    accounts: &'a mut Accounts,
}

impl Reader<'_> {
    fn policies(&mut self, policies: Vec<PolicyDetail>) {
        for policy in policies {
            let mut versions = BTreeMap::new();
            let mut default_version = 0;
            for version in &policy.policy_version_list {
                let number = version.version_id.strip_prefix('v');
                let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) else {
                    continue;
                };
                let is_default = version.version_id == policy.default_version_id;
                if is_default {
                    default_version = number;
                }
                // Other versions do not affect decisions, so errors in them are ignored.
                let document = if is_default {
                    Some(self.document(&policy.arn, &version.document))
                } else {
                    let json = version.document.json();
                    self.accounts.read_document(&*policy.arn, json).ok()
                };
                if let Some(document) = document {
                    let created = date(version.create_date.as_ref());
                    versions.insert(number, PolicyVersion { document, created });
                }
            }
            let created = date(policy.create_date.as_ref());
            let record = PolicyRecord {
                id: policy.policy_id,
                description: None,
                created,
                updated: date(policy.update_date.as_ref()),
                latest_version: versions.keys().copied().max().unwrap_or(0),
                versions,
                default_version,
                tags: Vec::new(),
                arn: policy.arn,
            };
            self.accounts.set_managed_policy(record);
        }
    }

    fn users(&mut self, account: &str, users: Vec<UserDetail>) {
        for user in users {
            for group in &user.group_list {
                if self.accounts.directory.groups.get(account, group).is_none() {
                    self.report_missing(&user.arn, &format!("group {group}"));
                }
            }
            let entity = self.entity(
                &user.arn,
                user.user_id,
                user.create_date.as_ref(),
                &user.user_policy_list,
                user.attached_managed_policies,
            );
            let record = UserRecord {
                entity: Entity {
                    boundary: self.boundary(&user.arn, user.permissions_boundary),
                    tags: tags(user.tags),
                    ..entity
                },
                groups: user.group_list,
            };
            let name = arn::name_of(&user.arn);
            self.accounts.directory.users.insert(account, name, record);
        }
    }

    fn groups(&mut self, account: &str, groups: Vec<GroupDetail>) {
        for group in groups {
            let entity = self.entity(
                &group.arn,
                group.group_id,
                group.create_date.as_ref(),
                &group.group_policy_list,
                group.attached_managed_policies,
            );
            let name = arn::name_of(&group.arn);
            self.accounts.directory.groups.insert(account, name, entity);
        }
    }

    /// Returns a role. Its trust policy is read later, when all roles are known.
    fn role(&mut self, role: RoleDetail, max_session_duration: Option<i64>) -> RoleRecord {
        let entity = self.entity(
            &role.arn,
            role.role_id,
            role.create_date.as_ref(),
            &role.role_policy_list,
            role.attached_managed_policies,
        );
        RoleRecord {
            entity: Entity {
                boundary: self.boundary(&role.arn, role.permissions_boundary),
                tags: tags(role.tags),
                ..entity
            },
            trust_policy: String::new(),
            description: None,
            max_session_duration: max_session_duration.unwrap_or(3600),
        }
    }

    fn entity(
        &mut self,
        arn: &str,
        id: String,
        created: Option<&Value>,
        inline: &[InlinePolicy],
        attached: Vec<Attached>,
    ) -> Entity {
        let inline = inline
            .iter()
            .map(|policy| {
                let subject = format!("{} of {arn}", policy.policy_name);
                let document = self.document(&subject, &policy.policy_document);
                (policy.policy_name.clone(), document)
            })
            .collect();
        let attached: Vec<String> = attached
            .into_iter()
            .map(|policy| policy.policy_arn)
            .collect();
        for policy in &attached {
            self.check_is_known(arn, policy);
        }
        Entity {
            inline,
            attached,
            ..Entity::new(arn, id, date(created))
        }
    }

    fn boundary(&mut self, arn: &str, boundary: Option<Boundary>) -> Option<String> {
        let policy = boundary?.permissions_boundary_arn;
        self.check_is_known(arn, &policy);
        Some(policy)
    }

    fn check_is_known(&mut self, arn: &str, policy: &str) {
        self.accounts.add_aws_policy(policy);
        if self.accounts.document_of(policy).is_none() {
            let what = format!("document of {policy}");
            self.report_missing(arn, &what);
        }
    }

    /// Reports that a user or role refers to something whose content the export does not have.
    fn report_missing(&mut self, arn: &str, what: &str) {
        let reason = format!(
            "everything is denied, because the export does not contain the {what}: create it without --filter"
        );
        self.import.leave_out(self.file, arn, reason);
    }

    /// Reads a policy. Explanations refer to it by `subject`.
    fn document(&mut self, subject: &str, policy: &PolicyText) -> Document {
        let accounts = &*self.accounts;
        let read = |json: &str| accounts.read_policy(PolicyKind::Identity, subject, json);
        let text = policy.json();
        let strict = strict::read(PolicyKind::Identity, subject, &text, &read);
        Document {
            policy: strict.report(self.import, self.file, subject),
            text,
        }
    }
}

/// Reads the trust policy of a role, after all users and roles are known.
fn set_trust_policy(
    accounts: &mut Accounts,
    import: &mut Import,
    file: &Path,
    role: RoleRecord,
    trust_policy: &str,
) {
    let arn = role.entity.arn.clone();
    // Users and roles that do not exist, with the IDs that are reserved for them.
    let unknown = RefCell::new(BTreeMap::new());
    let resolve = |named: &str| {
        // IAM replaces a deleted user or role by its unique ID.
        if !named.starts_with("arn:") {
            return Some(named.to_owned());
        }
        if let Some(id) = accounts.directory.id_of(named) {
            return Some(id.to_owned());
        }
        let mut unknown = unknown.borrow_mut();
        let id = unknown.entry(named.to_owned()).or_insert_with(|| {
            let reserved = accounts.reserved_id(named).map(str::to_owned);
            let prefix = if named.contains(":user/") {
                "AIDA"
            } else {
                "AROA"
            };
            reserved.unwrap_or_else(|| unique_id(prefix, 17))
        });
        Some(id.clone())
    };
    let read = |json: &str| accounts.read_trust_policy(&role, json, &resolve);
    let subject = format!("{arn}, trust policy");
    let strict = strict::read(PolicyKind::Trust, &format!("of {arn}"), trust_policy, &read);
    let compiled = strict.report(import, file, &subject);
    for (named, id) in unknown.into_inner() {
        let reason = format!(
            "it names {named}, which is in no imported account; it matches nobody until the test creates {named}"
        );
        import.leave_out(file, &*subject, reason);
        accounts.reserve_id(named, id);
    }
    accounts.insert_role(role, trust_policy.to_owned(), compiled);
}

/// Reads those trust policies of earlier imports again that name users or roles that this import created.
fn read_trust_policies_again(accounts: &mut Accounts) {
    let created = accounts.take_imported_reservations();
    let names_one = |role: &&RoleRecord| created.iter().any(|arn| role.trust_policy.contains(arn));
    let roles = accounts.directory.roles.all().filter(names_one);
    let roles: Vec<RoleRecord> = roles.cloned().collect();
    for role in roles {
        let trust_policy = role.trust_policy.clone();
        // The earlier import has reported what was left out.
        let mut ignored = Import::default();
        set_trust_policy(accounts, &mut ignored, Path::new(""), role, &trust_policy);
    }
}

fn tags(tags: Vec<Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Reads a date in the AWS CLI's format. Without a valid date, the time is irrelevant and set to 1970.
fn date(value: Option<&Value>) -> SystemTime {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let date = DateTime::from_str(text, Format::DateTimeWithOffset).ok();
    date.and_then(|date| SystemTime::try_from(date).ok())
        .unwrap_or(UNIX_EPOCH)
}
