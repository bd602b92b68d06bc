//! [`Directory`]: the records of users, groups, roles and managed policies as IAM's API and account exports show them:
//! names, dates and documents. [`super::apply`] compiles the permissions of users and roles from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::unique_id::unique_id;
use crate::arn;
use crate::policy::Policy;

/// The records of all accounts, by account and name. IAM's names are unique within an account and case-insensitive.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    pub(crate) users: Named<UserRecord>,
    pub(crate) groups: Named<Entity>,
    pub(crate) roles: Named<RoleRecord>,
    /// By ARN.
    pub(crate) policies: BTreeMap<String, PolicyRecord>,
    /// The virtual MFA devices that IAM's API created, by serial number.
    pub(crate) mfa_devices: BTreeMap<String, MfaRecord>,
    /// The SAML providers that IAM's API created, by ARN.
    pub(crate) saml_providers: BTreeMap<String, SamlRecord>,
}

impl Directory {
    /// Returns the unique ID of the user or role with an ARN.
    pub(crate) fn id_of(&self, arn: &str) -> Option<&str> {
        let (account, name) = (arn::account_of(arn), arn::name_of(arn));
        let user = self.users.get(account, name).map(|user| &user.entity);
        let role = self.roles.get(account, name).map(|role| &role.entity);
        let mut entities = user.into_iter().chain(role);
        let found = entities.find(|entity| entity.arn == arn)?;
        Some(&found.id)
    }

    /// Returns the users, groups and roles of an account.
    pub(crate) fn entities<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Entity> {
        let users = self.users.of(account).map(|user| &user.entity);
        let roles = self.roles.of(account).map(|role| &role.entity);
        users.chain(roles).chain(self.groups.of(account))
    }
}

/// A virtual MFA device. It belongs to a user once it is enabled.
#[derive(Clone)]
pub(crate) struct MfaRecord {
    /// In base32. Secret.
    pub(crate) seed: String,
    pub(crate) enabled: Option<SystemTime>,
}

#[derive(Clone)]
pub(crate) struct SamlRecord {
    pub(crate) metadata: String,
    pub(crate) created: SystemTime,
}

/// The properties that users, groups and roles have in common.
#[derive(Clone)]
pub(crate) struct Entity {
    pub(crate) arn: String,
    pub(crate) id: String,
    pub(crate) created: SystemTime,
    /// By name.
    pub(crate) inline: BTreeMap<String, Document>,
    /// The ARNs of the managed policies.
    pub(crate) attached: Vec<String>,
    /// The ARN of the permissions boundary. Groups have none.
    pub(crate) boundary: Option<String>,
    /// Groups have none.
    pub(crate) tags: Vec<(String, String)>,
}

impl Entity {
    pub(crate) fn new(arn: impl Into<String>, id: String, created: SystemTime) -> Self {
        Self {
            arn: arn.into(),
            id,
            created,
            inline: BTreeMap::new(),
            attached: Vec::new(),
            boundary: None,
            tags: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        arn::name_of(&self.arn)
    }

    /// Returns the path, which starts and ends with a slash.
    pub(crate) fn path(&self) -> &str {
        path_of(&self.arn)
    }
}

#[derive(Clone)]
pub(crate) struct UserRecord {
    pub(crate) entity: Entity,
    /// The names of the user's groups.
    pub(crate) groups: Vec<String>,
}

impl UserRecord {
    pub(crate) fn new(arn: &str, id: String, created: SystemTime) -> Self {
        Self {
            entity: Entity::new(arn, id, created),
            groups: Vec::new(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct RoleRecord {
    pub(crate) entity: Entity,
    pub(crate) trust_policy: String,
    pub(crate) description: Option<String>,
    /// In seconds.
    pub(crate) max_session_duration: i64,
}

impl RoleRecord {
    pub(crate) fn new(arn: &str, id: String, created: SystemTime) -> Self {
        Self {
            entity: Entity::new(arn, id, created),
            trust_policy: String::new(),
            description: None,
            max_session_duration: 3600,
        }
    }
}

/// A managed policy.
#[derive(Clone)]
pub(crate) struct PolicyRecord {
    pub(crate) arn: String,
    pub(crate) id: String,
    pub(crate) description: Option<String>,
    pub(crate) created: SystemTime,
    pub(crate) updated: SystemTime,
    /// By number; never empty.
    pub(crate) versions: BTreeMap<u32, PolicyVersion>,
    pub(crate) default_version: u32,
    /// The highest version number so far, including deleted versions.
    pub(crate) latest_version: u32,
    pub(crate) tags: Vec<(String, String)>,
}

#[derive(Clone)]
pub(crate) struct PolicyVersion {
    pub(crate) document: Document,
    pub(crate) created: SystemTime,
}

impl PolicyRecord {
    /// Creates a policy with one version.
    pub(crate) fn new(arn: &str, document: Document, created: SystemTime) -> Self {
        Self {
            arn: arn.to_owned(),
            id: unique_id("ANPA", 17),
            description: None,
            created,
            updated: created,
            versions: BTreeMap::from([(1, PolicyVersion { document, created })]),
            default_version: 1,
            latest_version: 1,
            tags: Vec::new(),
        }
    }

    /// Returns the document of the default version.
    pub(crate) fn document(&self) -> Option<&Document> {
        let version = self.versions.get(&self.default_version)?;
        Some(&version.document)
    }
}

/// A policy, as text and as it is evaluated.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) policy: Arc<Policy>,
}

/// Entities by account and name.
#[derive(Clone)]
pub(crate) struct Named<T>(BTreeMap<(String, String), T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Named<T> {
    pub(crate) fn get(&self, account: &str, name: &str) -> Option<&T> {
        self.0.get(&key(account, name))
    }

    pub(crate) fn get_mut(&mut self, account: &str, name: &str) -> Option<&mut T> {
        self.0.get_mut(&key(account, name))
    }

    pub(crate) fn insert(&mut self, account: &str, name: &str, value: T) {
        self.0.insert(key(account, name), value);
    }

    pub(crate) fn remove(&mut self, account: &str, name: &str) -> Option<T> {
        self.0.remove(&key(account, name))
    }

    /// Returns the entities of all accounts.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }

    /// Returns the entities of an account, by name.
    pub(crate) fn of<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a T> {
        let entries = self.0.range((account.to_owned(), String::new())..);
        entries
            .take_while(move |((of, _), _)| of == account)
            .map(|(_, value)| value)
    }
}

fn key(account: &str, name: &str) -> (String, String) {
    (account.to_owned(), name.to_lowercase())
}

/// Returns the path in the ARN of a user, group, role or managed policy.
pub(crate) fn path_of(arn: &str) -> &str {
    let resource = arn::split(arn).map_or("", |[.., resource]| resource);
    match (resource.find('/'), resource.rfind('/')) {
        (Some(first), Some(last)) => &resource[first..=last],
        _ => "/",
    }
}
