//! The output of `aws organizations`: service and resource control policies, their targets, and the place of accounts
//! in the organization.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::outcome::{Import, ImportError};
use super::strict;
use crate::iam::{Account, Accounts};
use crate::policy::PolicyKind;

/// The output of `describe-organization`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OrganizationFile {
    organization: Organization,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Organization {
    id: String,
    /// The account ID of the management account.
    master_account_id: String,
}

/// The output of `describe-policy`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyFile {
    policy: PolicyDetail,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDetail {
    policy_summary: Summary,
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    id: String,
    name: String,
    #[serde(rename = "Type")]
    kind: String,
}

/// The output of `list-targets-for-policy`; the file name contains the ID of the policy.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TargetsFile {
    targets: Vec<Target>,
    next_token: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    target_id: String,
}

/// The output of `list-parents`; the file name contains the ID of the child.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ParentsFile {
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parent {
    id: String,
}

/// The files of an organization, collected until all are read.
#[derive(Default)]
pub(super) struct OrganizationFiles {
    organization: Option<Organization>,
    /// By ID.
    policies: BTreeMap<String, (PathBuf, PolicyDetail)>,
    /// The files with the targets of policies, by policy ID.
    targets: BTreeMap<String, PathBuf>,
    /// The IDs of policies, by the ID of the root, organizational unit or account that they are attached to.
    attached: BTreeMap<String, Vec<String>>,
    /// By the ID of the child.
    parents: BTreeMap<String, String>,
    /// One of the files, for errors.
    file: Option<PathBuf>,
}

/// Organizational units are nested at most five levels deep, so a longer path is a cycle.
const MAX_DEPTH: usize = 8;

impl OrganizationFiles {
    pub(super) fn add_organization(&mut self, file: &Path, organization: OrganizationFile) {
        self.organization = Some(organization.organization);
        self.file = Some(file.to_owned());
    }

    pub(super) fn add_policy(&mut self, file: &Path, policy: PolicyFile) {
        let id = policy.policy.policy_summary.id.clone();
        self.policies.insert(id, (file.to_owned(), policy.policy));
        self.file.get_or_insert(file.to_owned());
    }

    pub(super) fn add_targets(
        &mut self,
        file: &Path,
        targets: TargetsFile,
    ) -> Result<(), ImportError> {
        let policy = id_in_name(file, |id| id.starts_with("p-")).ok_or_else(|| {
            ImportError::new(
                file,
                "the name of the file must begin with the ID of the policy: p-….targets.json",
            )
        })?;
        if targets.next_token.is_some_and(|token| !token.is_null()) {
            return Err(ImportError::new(
                file,
                "the export is incomplete: create it without --max-items and --no-paginate",
            ));
        }
        self.targets.insert(policy.clone(), file.to_owned());
        self.file.get_or_insert(file.to_owned());
        for target in targets.targets {
            let attached = self.attached.entry(target.target_id).or_default();
            attached.push(policy.clone());
        }
        Ok(())
    }

    pub(super) fn add_parents(
        &mut self,
        file: &Path,
        parents: ParentsFile,
    ) -> Result<(), ImportError> {
        let is_child = |id: &str| id.starts_with("ou-") || crate::arn::is_account_id(id);
        let child = id_in_name(file, is_child).ok_or_else(|| {
            ImportError::new(
                file,
                "the name of the file must begin with the ID of the account or organizational unit, \
                 such as 111111111111.parents.json",
            )
        })?;
        if let Some(parent) = parents.parents.into_iter().next() {
            self.parents.insert(child, parent.id);
        }
        Ok(())
    }

    pub(super) fn apply(
        self,
        accounts: &mut Accounts,
        import: &mut Import,
    ) -> Result<(), ImportError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let Some(organization) = &self.organization else {
            return Err(ImportError::new(
                file,
                "there are policies of an organization, but no output of \
                 `aws organizations describe-organization`",
            ));
        };
        self.check_policies()?;
        let imported: Vec<String> = import.accounts.iter().cloned().collect();
        for id in imported {
            let path = self.path_to(&id);
            if path.is_none() && (self.parents.contains_key(&id) || self.attached.contains_key(&id))
            {
                return Err(ImportError::new(
                    file,
                    format!(
                        "the account {id} is in the organization, but the parent of {child} is missing: add \
                         {child}.parents.json, the output of `aws organizations list-parents --child-id {child}`",
                        child = self.highest_known(&id)
                    ),
                ));
            }
            let Some(path) = path else {
                let reason = "there is no output of `aws organizations list-parents` for it, so it counts as \
                              outside the organization, and no policy of the organization applies to it";
                import.leave_out(file, format!("account {id}"), reason);
                continue;
            };
            let mut account = Account {
                organization: Some(organization.id.clone()),
                ..Account::default()
            };
            let above = &path[..path.len() - 1];
            account.organization_paths = vec![format!("{}/{}/", organization.id, above.join("/"))];
            // Policies of the organization do not apply to the management account.
            if id != organization.master_account_id {
                self.attach(&path, &mut account, accounts, import)?;
            }
            accounts.set_account(id, account);
        }
        Ok(())
    }

    /// Checks that every policy has its targets and every target its policy: a missing one might deny.
    fn check_policies(&self) -> Result<(), ImportError> {
        const CONTROL: [&str; 2] = ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"];
        for (id, (file, policy)) in &self.policies {
            let is_control = CONTROL.contains(&policy.policy_summary.kind.as_str());
            if is_control && !self.targets.contains_key(id) {
                return Err(ImportError::new(
                    file,
                    format!(
                        "the targets of the policy are missing: add {id}.targets.json, the output of \
                         `aws organizations list-targets-for-policy --policy-id {id}`"
                    ),
                ));
            }
        }
        for (id, file) in &self.targets {
            if !self.policies.contains_key(id) {
                return Err(ImportError::new(
                    file,
                    format!(
                        "the policy {id} is missing: add the output of \
                         `aws organizations describe-policy --policy-id {id}`"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Returns the last known ID on the path from an account to the organization's root, whose parent is unknown.
    fn highest_known<'a>(&'a self, account: &'a str) -> &'a str {
        let above = |id: &&'a str| self.parents.get(*id).map(String::as_str);
        std::iter::successors(Some(account), above)
            .take(MAX_DEPTH)
            .last()
            .unwrap_or(account)
    }

    /// Returns the IDs on the path from the organization's root to an account; `None` if a parent is unknown.
    fn path_to(&self, account: &str) -> Option<Vec<String>> {
        let mut path = vec![account.to_owned()];
        while path.len() < MAX_DEPTH {
            let last = path.last()?;
            if last.starts_with("r-") {
                path.reverse();
                return Some(path);
            }
            path.push(self.parents.get(last)?.clone());
        }
        None
    }

    /// Attaches the policies on the path to an account.
    fn attach(
        &self,
        path: &[String],
        account: &mut Account,
        accounts: &Accounts,
        import: &mut Import,
    ) -> Result<(), ImportError> {
        let is_of = |id: &String, kind: &str| {
            let policy = self.policies.get(id);
            policy.is_some_and(|(_, policy)| policy.policy_summary.kind == kind)
        };
        let has_service_control = self
            .policies
            .keys()
            .any(|id| is_of(id, "SERVICE_CONTROL_POLICY"));
        for place in path {
            let attached = self.attached.get(place).map_or(&[][..], Vec::as_slice);
            let mut level = Vec::new();
            for id in attached {
                let Some((file, policy)) = self.policies.get(id) else {
                    continue;
                };
                let kind = match policy.policy_summary.kind.as_str() {
                    "SERVICE_CONTROL_POLICY" => PolicyKind::ServiceControl,
                    "RESOURCE_CONTROL_POLICY" => PolicyKind::ResourceControl,
                    _ => continue,
                };
                let name = format!("{} ({id}) at {place}", policy.policy_summary.name);
                let read = |json: &str| accounts.read_policy(kind, &*name, json);
                let strict = strict::read(kind, &name, &policy.content, &read);
                let policy = strict.report(import, file, &name);
                if kind == PolicyKind::ServiceControl {
                    level.push(policy);
                } else {
                    account.resource_control.push(policy);
                }
            }
            if has_service_control {
                // AWS requires at least one policy at each level, so the export is incomplete.
                if level.is_empty() {
                    let file = self.file.as_deref().unwrap_or(Path::new(""));
                    return Err(ImportError::new(
                        file,
                        format!(
                            "no service control policy is attached to {place}: export every policy, \
                             including FullAWSAccess, with its targets"
                        ),
                    ));
                }
                account.service_control.push(level);
            }
        }
        Ok(())
    }
}

/// Returns the part of a file name before the first full stop, if it is an ID as required.
fn id_in_name(file: &Path, is_id: impl Fn(&str) -> bool) -> Option<String> {
    let name = file.file_name()?.to_string_lossy();
    let id = name.split('.').next()?;
    is_id(id).then(|| id.to_owned())
}
