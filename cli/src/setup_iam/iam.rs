//! Users and roles in IAM: reads their state, makes the plan's changes, and formats these as AWS CLI commands.

use std::error::Error;

use anyhow::{Result, anyhow, bail};
use aws_sdk_iam::Client;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::types::Tag;
use percent_encoding::percent_decode_str;

use super::identity::Identity;
use super::plan::{Change, RoleState, Side, State};
use crate::output;

/// The tag of roles that this program created.
const MARK: (&str, &str) = ("made-by", "role-chain setup-iam");

/// The role and its caller, in their accounts.
pub struct Iam {
    pub role: Entity,
    pub caller: Entity,
    /// The name of the inline policies of role and caller.
    pub policy_name: String,
}

/// A user or role, with the client and the profile of its administrator.
pub struct Entity {
    client: Client,
    profile: String,
    arn: String,
    is_user: bool,
    /// Begins and ends with a slash.
    path: String,
    name: String,
}

impl Iam {
    /// Reads what `setup-iam` may change. Managed policies are read only if some are to be attached, because listing
    /// them requires a permission.
    pub async fn read_to_set_up(&self, with_attached: bool) -> Result<State> {
        let mut role = self.role.role().await?;
        if let Some(role) = &mut role {
            role.policy = self.role.policy(&self.policy_name).await?;
            if with_attached {
                role.attached = self.role.attached().await?;
            }
        }
        Ok(State {
            role,
            caller_exists: self.caller.exists().await?,
            caller_policy: self.caller.policy(&self.policy_name).await?,
        })
    }

    /// Reads what `setup-iam --undo` may remove, and what prevents that.
    pub async fn read_to_undo(&self) -> Result<State> {
        let mut role = self.role.role().await?;
        if let Some(role) = &mut role {
            role.policy = self.role.policy(&self.policy_name).await?;
            role.attached = self.role.attached().await?;
            if role.is_ours {
                role.inline = self.role.inline().await?;
                role.instance_profiles = self.role.instance_profiles().await?;
            }
        }
        Ok(State {
            role,
            // An undo does not use it.
            caller_exists: true,
            caller_policy: self.caller.policy(&self.policy_name).await?,
        })
    }

    /// Makes a change. Removing what does not exist is a success: an earlier attempt of the same call may have removed
    /// it, if its response was lost and the SDK retried.
    pub async fn apply(&self, change: &Change) -> Result<()> {
        let entity = self.entity(change);
        let (iam, name, policy) = (&entity.client, entity.name.as_str(), &self.policy_name);
        let verb = self.verb(change);
        match change {
            Change::CreateRole { trust } => {
                let mark = Tag::builder().key(MARK.0).value(MARK.1).build()?;
                let create = iam.create_role().role_name(name).path(&entity.path);
                let create = create.assume_role_policy_document(&trust.pretty);
                let made = create.tags(mark).send().await;
                entity.made(verb, made)?;
            }
            Change::UpdateTrust { trust } => {
                let update = iam.update_assume_role_policy().role_name(name);
                let made = update.policy_document(&trust.pretty).send().await;
                entity.made(verb, made)?;
            }
            Change::PutPolicy(_, document) if entity.is_user => {
                let put = iam.put_user_policy().user_name(name).policy_name(policy);
                let made = put.policy_document(&document.pretty).send().await;
                entity.made(verb, made)?;
            }
            Change::PutPolicy(_, document) => {
                let put = iam.put_role_policy().role_name(name).policy_name(policy);
                let made = put.policy_document(&document.pretty).send().await;
                entity.made(verb, made)?;
            }
            Change::DeletePolicy(_) if entity.is_user => {
                let delete = iam.delete_user_policy().user_name(name);
                let deleted = delete.policy_name(policy).send().await;
                entity.found(verb, deleted)?;
            }
            Change::DeletePolicy(_) => {
                let delete = iam.delete_role_policy().role_name(name);
                let deleted = delete.policy_name(policy).send().await;
                entity.found(verb, deleted)?;
            }
            Change::AttachPolicy(arn) => {
                let attach = iam.attach_role_policy().role_name(name);
                let made = attach.policy_arn(arn).send().await;
                entity.made(verb, made)?;
            }
            Change::DetachPolicy(arn) => {
                let detach = iam.detach_role_policy().role_name(name);
                let detached = detach.policy_arn(arn).send().await;
                entity.found(verb, detached)?;
            }
            Change::DeleteRole => {
                let deleted = iam.delete_role().role_name(name).send().await;
                entity.found(verb, deleted)?;
            }
        }
        Ok(())
    }

    /// Describes a completed change in one line.
    pub fn done(&self, change: &Change) -> String {
        let (verb, arn) = (self.verb(change), &self.entity(change).arn);
        match change {
            Change::AttachPolicy(policy) | Change::DetachPolicy(policy) => {
                format!("{verb} {arn} {policy}")
            }
            _ => format!("{verb} {arn}"),
        }
    }

    /// Returns the AWS CLI command for a change, quoted for a POSIX shell.
    pub fn command(&self, change: &Change) -> String {
        let entity = self.entity(change);
        let kind = if entity.is_user { "user" } else { "role" };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let mut command = format!(
            "aws iam {} --profile {} --{kind}-name {}",
            self.verb(change),
            quoted(&entity.profile),
            quoted(&entity.name)
        );
        let mut add = |option: &str, value: &str| {
            command += &format!(" --{option} {}", quoted(value));
        };
        match change {
            Change::CreateRole { trust } => {
                add("path", &entity.path);
                add("assume-role-policy-document", &trust.compact);
                add("tags", &format!("Key={},Value={}", MARK.0, MARK.1));
            }
            Change::UpdateTrust { trust } => add("policy-document", &trust.compact),
            Change::PutPolicy(_, document) => {
                add("policy-name", &self.policy_name);
                add("policy-document", &document.compact);
            }
            Change::DeletePolicy(_) => add("policy-name", &self.policy_name),
            Change::AttachPolicy(arn) | Change::DetachPolicy(arn) => add("policy-arn", arn),
            Change::DeleteRole => {}
        }
        command
    }

    fn entity(&self, change: &Change) -> &Entity {
        match change {
            Change::PutPolicy(Side::Caller, _) | Change::DeletePolicy(Side::Caller) => &self.caller,
            _ => &self.role,
        }
    }

    /// Returns the AWS CLI's name of a change.
    fn verb(&self, change: &Change) -> &'static str {
        match (change, self.entity(change).is_user) {
            (Change::CreateRole { .. }, _) => "create-role",
            (Change::UpdateTrust { .. }, _) => "update-assume-role-policy",
            (Change::PutPolicy(..), true) => "put-user-policy",
            (Change::PutPolicy(..), false) => "put-role-policy",
            (Change::DeletePolicy(_), true) => "delete-user-policy",
            (Change::DeletePolicy(_), false) => "delete-role-policy",
            (Change::AttachPolicy(_), _) => "attach-role-policy",
            (Change::DetachPolicy(_), _) => "detach-role-policy",
            (Change::DeleteRole, _) => "delete-role",
        }
    }
}

impl Entity {
    /// Expects the ARN of a user or role, which the library has checked.
    pub fn new(administrator: &Identity<'_>, arn: &str) -> Self {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let (kind, path_and_name) = resource.split_once('/').unwrap_or_default();
        let (path, name) = match path_and_name.rsplit_once('/') {
            Some((path, name)) => (format!("/{path}/"), name),
            None => ("/".to_owned(), path_and_name),
        };
        Self {
            client: Client::new(&administrator.config),
            profile: administrator.profile.name.to_owned(),
            arn: arn.to_owned(),
            is_user: kind == "user",
            path,
            name: name.to_owned(),
        }
    }

    /// Reads the role without its permission policies. Returns `None` if it does not exist.
    async fn role(&self) -> Result<Option<RoleState>> {
        let answer = self.client.get_role().role_name(&self.name).send().await;
        let answer = self.found("GetRole", answer)?;
        let Some(role) = answer.and_then(|answer| answer.role) else {
            return Ok(None);
        };
        if role.arn != self.arn {
            // Names are unique in an account, regardless of the path.
            bail!("a role named {} already exists: {}", self.name, role.arn);
        }
        let is_mark = |tag: &Tag| (tag.key.as_str(), tag.value.as_str()) == MARK;
        Ok(Some(RoleState {
            is_ours: role.tags().iter().any(is_mark),
            trust: decoded(role.assume_role_policy_document().unwrap_or_default()),
            ..RoleState::default()
        }))
    }

    async fn exists(&self) -> Result<bool> {
        let arn = if self.is_user {
            let answer = self.client.get_user().user_name(&self.name).send().await;
            let user = self.found("GetUser", answer)?.and_then(|found| found.user);
            user.map(|user| user.arn)
        } else {
            let answer = self.client.get_role().role_name(&self.name).send().await;
            let role = self.found("GetRole", answer)?.and_then(|found| found.role);
            role.map(|role| role.arn)
        };
        // Names are unique in an account, regardless of the path.
        Ok(arn.as_ref() == Some(&self.arn))
    }

    /// Reads an inline policy. Returns `None` if it does not exist.
    async fn policy(&self, policy: &str) -> Result<Option<String>> {
        let name = self.name.as_str();
        let document = if self.is_user {
            let get = self.client.get_user_policy().user_name(name);
            let answer = get.policy_name(policy).send().await;
            let found = self.found("GetUserPolicy", answer)?;
            found.map(|found| found.policy_document)
        } else {
            let get = self.client.get_role_policy().role_name(name);
            let answer = get.policy_name(policy).send().await;
            let found = self.found("GetRolePolicy", answer)?;
            found.map(|found| found.policy_document)
        };
        Ok(document.map(|document| decoded(&document)))
    }

    /// Returns the names of the role's inline policies.
    async fn inline(&self) -> Result<Vec<String>> {
        let list = self.client.list_role_policies().role_name(&self.name);
        let listed = list.into_paginator().items().send().try_collect().await;
        listed.map_err(|error| self.failed("ListRolePolicies", error))
    }

    /// Returns the ARNs of the role's managed policies.
    async fn attached(&self) -> Result<Vec<String>> {
        let list = self.client.list_attached_role_policies();
        let list = list.role_name(&self.name).into_paginator().items().send();
        let listed = list.try_collect().await;
        let listed: Vec<_> =
            listed.map_err(|error| self.failed("ListAttachedRolePolicies", error))?;
        let arns = listed.into_iter().filter_map(|policy| policy.policy_arn);
        Ok(arns.collect())
    }

    /// Returns the names of the instance profiles that contain the role.
    async fn instance_profiles(&self) -> Result<Vec<String>> {
        let list = self.client.list_instance_profiles_for_role();
        let list = list.role_name(&self.name).into_paginator().items().send();
        let listed = list.try_collect().await;
        let listed: Vec<_> =
            listed.map_err(|error| self.failed("ListInstanceProfilesForRole", error))?;
        let names = listed
            .into_iter()
            .map(|profile| profile.instance_profile_name);
        Ok(names.collect())
    }

    /// Checks that a change was made.
    fn made<T, E>(&self, action: &str, answer: Result<T, SdkError<E>>) -> Result<()>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        answer.map_err(|error| self.failed(action, error))?;
        Ok(())
    }

    /// Returns the response, or `None` if IAM has no such entity.
    fn found<T, E>(&self, action: &str, answer: Result<T, SdkError<E>>) -> Result<Option<T>>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(None),
            Err(error) => Err(self.failed(action, error)),
        }
    }

    fn failed<E>(&self, action: &str, error: SdkError<E>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (arn, profile, why) = (&self.arn, &self.profile, output::describe_call(&error));
        anyhow!("{action} for {arn}, with profile {profile}: {why}")
    }
}

/// Decodes a policy document: IAM returns documents percent-encoded.
fn decoded(document: &str) -> String {
    percent_decode_str(document)
        .decode_utf8_lossy()
        .into_owned()
}
