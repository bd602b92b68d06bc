//! [`Import`]: real accounts, from AWS CLI exports.

mod account;
mod organization;
mod outcome;
mod setup;
mod strict;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use account::AccountFiles;
use organization::OrganizationFiles;

pub use outcome::{Import, ImportError, LeftOut};

use crate::simulator::Simulator;

impl Simulator {
    /// Imports real accounts: users, groups, roles, their policies, permissions boundaries and tags, and the policies
    /// of the organization. `path` is a file, or a folder that is read with its subfolders, up to three levels deep.
    /// The content of a file tells which of these it is:
    ///
    /// | output of | file name |
    /// |---|---|
    /// | `aws iam get-account-authorization-details`, one file for an account | any |
    /// | `aws iam list-roles`, for `MaxSessionDuration`, which the former does not have | any |
    /// | `aws organizations describe-organization` | any |
    /// | `aws organizations describe-policy --policy-id p-…`, service and resource control policies | any |
    /// | `aws organizations list-targets-for-policy --policy-id p-…` | `p-….targets.json` |
    /// | `aws organizations list-parents --child-id …`, for each account and everything above it | `….parents.json` |
    /// | the simulator's own JSON format, see the README | any |
    ///
    /// File names end with `.json`. Principals keep their unique IDs, so trust policies work as at AWS: a trust policy
    /// that names a user who was deleted and created again does not trust the new user. If a trust policy names a user
    /// or role that is in no export, it means the user or role that the test creates under that ARN, or imports later.
    ///
    /// [`Import::left_out`] lists what the exports do not contain or the simulator cannot evaluate. A statement with an
    /// unknown condition key or operator allows nothing; if it is a `Deny`, it denies regardless of its `Condition`. A
    /// managed policy or a group that an export refers to but does not contain denies everything. An import therefore
    /// never allows what AWS denies, as far as the exports go. An account that the organization's files do not mention
    /// counts as outside the organization. Instance profiles, password policies, resource policies other than trust
    /// policies, and tag and backup policies are ignored silently.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, is none of these, or is incomplete (`--max-items`); if two files describe the
    /// same account; or if a policy of the organization, its targets or the parents of an account in it are missing.
    /// The error names the file, and the line and column if the JSON is invalid.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = sts_simulator::Simulator::new();
    /// let import = aws.import("tests/accounts")?;
    /// for left_out in import.left_out() {
    ///     println!("{left_out}");
    /// }
    /// // An imported user as the caller:
    /// let keys = aws.access_key("arn:aws:iam::111111111111:user/orders")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn import(&self, path: impl AsRef<Path>) -> Result<Import, ImportError> {
        let mut import = Import::default();
        let mut account_files = AccountFiles::default();
        let mut organization_files = OrganizationFiles::default();
        let mut setups = Vec::new();
        for file in text::files(path.as_ref())? {
            match parse(&file, &text::read(&file)?)? {
                File::Details(details) => account_files.add(&file, details)?,
                File::Roles(roles) => account_files.add_durations(roles),
                File::Organization(organization) => {
                    organization_files.add_organization(&file, organization);
                }
                File::Policy(policy) => organization_files.add_policy(&file, policy),
                File::Targets(targets) => organization_files.add_targets(&file, targets)?,
                File::Parents(parents) => organization_files.add_parents(&file, parents)?,
                File::Setup(setup) => setups.push((file, setup)),
            }
        }
        let mut accounts = self.accounts();
        account_files.apply(&mut accounts, &mut import)?;
        organization_files.apply(&mut accounts, &mut import)?;
        drop(accounts);
        for (file, setup) in setups {
            setup.apply(&file, self, &mut import)?;
        }
        Ok(import)
    }
}

/// A file, identified by its content.
enum File {
    Details(account::Details),
    Roles(account::Roles),
    Organization(organization::OrganizationFile),
    Policy(organization::PolicyFile),
    Targets(organization::TargetsFile),
    Parents(organization::ParentsFile),
    Setup(setup::Setup),
}

fn parse(file: &Path, text: &str) -> Result<File, ImportError> {
    // Only the names of the members are needed to identify the file.
    let members: BTreeMap<&str, &RawValue> = serde_json::from_str(text).map_err(|error| {
        let advice = if text.trim_start().starts_with('{') {
            ""
        } else {
            ": the AWS CLI writes JSON with --output json"
        };
        ImportError::new(file, format!("{error}{advice}"))
    })?;
    let has = |name: &str| members.contains_key(name);
    let read = if has("RoleDetailList") || has("UserDetailList") {
        serde_json::from_str(text).map(File::Details)
    } else if has("Roles") {
        serde_json::from_str(text).map(File::Roles)
    } else if has("Organization") {
        serde_json::from_str(text).map(File::Organization)
    } else if has("Policy") {
        serde_json::from_str(text).map(File::Policy)
    } else if has("Targets") {
        serde_json::from_str(text).map(File::Targets)
    } else if has("Parents") {
        serde_json::from_str(text).map(File::Parents)
    } else if has("users") || has("roles") || has("oidcProviders") {
        serde_json::from_str(text).map(File::Setup)
    } else {
        let names: Vec<String> = members.keys().map(|name| format!("{name:?}")).collect();
        let has = match &names[..] {
            [] => "no members".to_owned(),
            names => format!("the members {}", names[..names.len().min(5)].join(", ")),
        };
        return Err(ImportError::new(
            file,
            format!(
                "the file has {has}, so it is not the output of a supported command. Supported are \
                 get-account-authorization-details and list-roles of `aws iam`, and describe-organization, \
                 describe-policy, list-targets-for-policy and list-parents of `aws organizations`. Move other files \
                 out of the folder"
            ),
        ));
    };
    read.map_err(|error| ImportError::new(file, error))
}
