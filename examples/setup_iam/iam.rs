//! Users and roles in IAM: what they hold, and the changes to it.

use std::error::Error;
use std::fmt::Debug;

use aws_role_chain::policy::Document;
use aws_sdk_iam::Client;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::types::Tag;
use aws_types::SdkConfig;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The tag of roles that this program made.
const MARK: (&str, &str) = ("made-by", "aws-role-chain setup_iam");

/// A user or role, and the administrator that looks after it.
pub struct Entity {
    iam: Client,
    profile: String,
    arn: String,
    is_user: bool,
    /// With slashes around it.
    path: String,
    name: String,
}

/// What is known of a role.
pub struct RoleThere {
    pub trust: String,
    pub is_ours: bool,
}

impl Entity {
    /// `arn` is a user's or a role's, checked.
    pub fn new(config: &SdkConfig, profile: &str, arn: &str) -> Self {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let (kind, path_and_name) = resource.split_once('/').unwrap_or_default();
        let (path, name) = match path_and_name.rsplit_once('/') {
            Some((path, name)) => (format!("/{path}/"), name),
            None => ("/".to_owned(), path_and_name),
        };
        Self {
            iam: Client::new(config),
            profile: profile.to_owned(),
            arn: arn.to_owned(),
            is_user: kind == "user",
            path,
            name: name.to_owned(),
        }
    }

    /// The role, if it is there.
    pub async fn role(&self) -> Result<Option<RoleThere>, Box<dyn Error>> {
        let answer = self.iam.get_role().role_name(&self.name).send().await;
        let Some(role) = self
            .found("GetRole", answer)?
            .and_then(|answer| answer.role)
        else {
            return Ok(None);
        };
        if role.arn != self.arn {
            // Names are one account's, whatever the path.
            let why = format!("{} is there already, at {}", self.name, role.arn);
            return Err(why.into());
        }
        let is_mark = |tag: &Tag| (tag.key.as_str(), tag.value.as_str()) == MARK;
        Ok(Some(RoleThere {
            is_ours: role.tags().iter().any(is_mark),
            trust: decoded(role.assume_role_policy_document().unwrap_or_default()),
        }))
    }

    pub async fn must_be_there(&self) -> Result<(), Box<dyn Error>> {
        let name = self.name.as_str();
        let there = match self.is_user {
            true => {
                let answer = self.iam.get_user().user_name(name).send().await;
                let user = self.found("GetUser", answer)?.and_then(|user| user.user);
                user.is_some_and(|user| user.arn == self.arn)
            }
            false => self.role().await?.is_some(),
        };
        match there {
            true => Ok(()),
            false => Err(format!("{}: there is no such user or role", self.arn).into()),
        }
    }

    /// An inline policy, if it is there.
    pub async fn policy(&self, policy: &str) -> Result<Option<String>, Box<dyn Error>> {
        let name = self.name.as_str();
        let document = match self.is_user {
            true => {
                let get = self.iam.get_user_policy().user_name(name);
                let answer = get.policy_name(policy).send().await;
                let found = self.found("GetUserPolicy", answer)?;
                found.map(|found| found.policy_document)
            }
            false => {
                let get = self.iam.get_role_policy().role_name(name);
                let answer = get.policy_name(policy).send().await;
                let found = self.found("GetRolePolicy", answer)?;
                found.map(|found| found.policy_document)
            }
        };
        Ok(document.map(|document| decoded(&document)))
    }

    /// The names of all policies of a role.
    pub async fn policies(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let name = self.name.as_str();
        let inline = self.iam.list_role_policies().role_name(name);
        let inline = inline.into_paginator().items().send();
        let inline = inline.try_collect().await;
        let inline: Vec<String> = inline.map_err(|error| self.failed("ListRolePolicies", error))?;
        let attached = self.iam.list_attached_role_policies().role_name(name);
        let attached = attached.into_paginator().items().send();
        let attached = attached.try_collect().await;
        let attached: Vec<_> =
            attached.map_err(|error| self.failed("ListAttachedRolePolicies", error))?;
        let attached = attached.into_iter().filter_map(|policy| policy.policy_name);
        Ok(inline.into_iter().chain(attached).collect())
    }

    /// The names of the instance profiles that a role is in; it cannot be deleted while it is in one.
    pub async fn instance_profiles(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let list = self.iam.list_instance_profiles_for_role();
        let listed = list.role_name(&self.name).into_paginator().items().send();
        let listed = listed.try_collect().await;
        let listed: Vec<_> =
            listed.map_err(|error| self.failed("ListInstanceProfilesForRole", error))?;
        let names = listed
            .into_iter()
            .map(|profile| profile.instance_profile_name);
        Ok(names.collect())
    }

    /// What an answer holds; none where IAM knows no such thing.
    fn found<T, E, R>(
        &self,
        action: &str,
        answer: Result<T, SdkError<E, R>>,
    ) -> Result<Option<T>, Box<dyn Error>>
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(None),
            Err(error) => Err(self.failed(action, error)),
        }
    }

    fn failed<E>(&self, action: &str, error: E) -> Box<dyn Error>
    where
        E: ProvideErrorMetadata + Error,
    {
        let (arn, profile, why) = (&self.arn, &self.profile, told(&error));
        format!("{action} for {arn}, with profile {profile}: {why}").into()
    }
}

/// One call that changes something.
pub enum Change<'a> {
    CreateRole(&'a Entity, &'a Document),
    UpdateTrust(&'a Entity, &'a Document),
    PutPolicy(&'a Entity, String, &'a Document),
    DeletePolicy(&'a Entity, String),
    DeleteRole(&'a Entity),
}

impl Change<'_> {
    fn entity(&self) -> &Entity {
        match self {
            Self::CreateRole(entity, _)
            | Self::UpdateTrust(entity, _)
            | Self::PutPolicy(entity, ..)
            | Self::DeletePolicy(entity, _)
            | Self::DeleteRole(entity) => entity,
        }
    }

    /// As the AWS CLI calls it.
    fn verb(&self) -> &'static str {
        match (self, self.entity().is_user) {
            (Self::CreateRole(..), _) => "create-role",
            (Self::UpdateTrust(..), _) => "update-assume-role-policy",
            (Self::PutPolicy(..), true) => "put-user-policy",
            (Self::PutPolicy(..), false) => "put-role-policy",
            (Self::DeletePolicy(..), true) => "delete-user-policy",
            (Self::DeletePolicy(..), false) => "delete-role-policy",
            (Self::DeleteRole(..), _) => "delete-role",
        }
    }

    /// The AWS CLI's command for it, for a POSIX shell.
    pub fn command(&self) -> String {
        let entity = self.entity();
        let kind = if entity.is_user { "user" } else { "role" };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let mut command = format!(
            "aws iam {} --profile {} --{kind}-name {}",
            self.verb(),
            quoted(&entity.profile),
            quoted(&entity.name)
        );
        let mut add = |option: &str, value: &str| {
            command += &format!(" --{option} {}", quoted(value));
        };
        match self {
            Self::CreateRole(_, trust) => {
                add("path", &entity.path);
                add("assume-role-policy-document", &trust.compact());
                add("tags", &format!("Key={},Value={}", MARK.0, MARK.1));
            }
            Self::UpdateTrust(_, trust) => add("policy-document", &trust.compact()),
            Self::PutPolicy(_, name, document) => {
                add("policy-name", name);
                add("policy-document", &document.compact());
            }
            Self::DeletePolicy(_, name) => add("policy-name", name),
            Self::DeleteRole(_) => {}
        }
        command
    }

    /// What was done, in a line.
    pub fn done(&self) -> String {
        format!("{} {}", self.verb(), self.entity().arn)
    }

    pub async fn make(&self) -> Result<(), Box<dyn Error>> {
        let entity = self.entity();
        let (iam, name) = (&entity.iam, entity.name.as_str());
        let verb = self.verb();
        match self {
            Self::CreateRole(_, trust) => {
                let mark = Tag::builder().key(MARK.0).value(MARK.1).build()?;
                let create = iam.create_role().role_name(name).path(&entity.path);
                let create = create.assume_role_policy_document(trust.to_string());
                let made = create.tags(mark).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
            Self::UpdateTrust(_, trust) => {
                let update = iam.update_assume_role_policy().role_name(name);
                let made = update.policy_document(trust.to_string()).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
            Self::PutPolicy(_, policy, document) if entity.is_user => {
                let put = iam.put_user_policy().user_name(name).policy_name(policy);
                let made = put.policy_document(document.to_string()).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
            Self::PutPolicy(_, policy, document) => {
                let put = iam.put_role_policy().role_name(name).policy_name(policy);
                let made = put.policy_document(document.to_string()).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
            Self::DeletePolicy(_, policy) if entity.is_user => {
                let delete = iam.delete_user_policy().user_name(name);
                let made = delete.policy_name(policy).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
            Self::DeletePolicy(_, policy) => {
                let delete = iam.delete_role_policy().role_name(name);
                let made = delete.policy_name(policy).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
            Self::DeleteRole(_) => {
                let made = iam.delete_role().role_name(name).send().await;
                made.map_err(|error| entity.failed(verb, error))?;
            }
        }
        Ok(())
    }
}

/// STS's or IAM's own words, or why there are none.
fn told(error: &(impl ProvideErrorMetadata + Error)) -> String {
    match error.code() {
        Some(code) => format!("{code}: {}", error.message().unwrap_or_default()),
        None => explained(error),
    }
}

/// An error with all its causes.
pub fn explained(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Who a profile is.
pub async fn identity(config: &SdkConfig, profile: &str) -> Result<String, Box<dyn Error>> {
    let sts = aws_sdk_sts::Client::new(config);
    let me = sts.get_caller_identity().send().await;
    let me = me.map_err(|error| format!("profile {profile}: {}", told(&error)))?;
    Ok(me.arn.unwrap_or_default())
}

/// Who a profile is, if its account is that of `arn`.
pub async fn administrator(
    config: &SdkConfig,
    profile: &str,
    arn: &str,
) -> Result<String, Box<dyn Error>> {
    same_account(&identity(config, profile).await?, profile, arn)
}

/// `administrator`, if it is of the account of `arn`.
pub fn same_account(
    administrator: &str,
    profile: &str,
    arn: &str,
) -> Result<String, Box<dyn Error>> {
    let account = |arn: &str| arn.split(':').nth(4).unwrap_or_default().to_owned();
    let (has, needs) = (account(administrator), account(arn));
    match has == needs {
        true => Ok(administrator.to_owned()),
        false => Err(format!("profile {profile} is of account {has}, and {arn} is not").into()),
    }
}

/// Whether credentials of this ARN are the user's or role's.
pub fn is_session_of(session: &str, arn: &str) -> bool {
    let assumed = session.split_once(":assumed-role/");
    let of_role = |((account, assumed), (role_account, role)): ((&str, &str), (&str, &str))| {
        account.replace(":sts:", ":iam:") == role_account
            && assumed.split('/').next() == role.rsplit('/').next()
    };
    session == arn || assumed.zip(arn.split_once(":role/")).is_some_and(of_role)
}

/// IAM gives documents back percent-encoded.
fn decoded(document: &str) -> String {
    percent_decode_str(document)
        .decode_utf8_lossy()
        .into_owned()
}

/// Whether two documents say the same, however they are written.
pub fn same(held: &str, wanted: &Document) -> bool {
    let read = |json: &str| serde_json::from_str::<Value>(json).ok();
    read(held).is_some_and(|held| Some(held) == read(&wanted.compact()))
}

/// Whether a trust policy is for this user or role and nobody else, as this program writes it: its
/// principal is the caller, or the caller's account with a condition.
pub fn is_for(trust: &str, caller: &str) -> bool {
    let account = caller.splitn(6, ':').take(5).collect::<Vec<_>>().join(":");
    let [itself, account] = [caller, &format!("{account}:root")].map(|arn| json!({"AWS": arn}));
    let names_it = |statement: &Value| {
        let condition = &statement["Condition"]["ArnEquals"]["aws:PrincipalArn"];
        let principal = &statement["Principal"];
        *principal == itself || *principal == account && condition == caller
    };
    let trust: Value = serde_json::from_str(trust).unwrap_or_default();
    let statements = trust["Statement"].as_array();
    statements.is_some_and(|statements| !statements.is_empty() && statements.iter().all(names_it))
}
