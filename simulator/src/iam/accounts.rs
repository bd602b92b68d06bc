//! [`Accounts`]: the store of everything in the accounts.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_async::time::TimeSource;

use super::account::Account;
use super::arrival::Arrival;
use super::caller::Caller;
use super::delayed::Delayed;
use super::directory::Directory;
use super::identity_providers::{OidcProvider, SamlProvider};
use super::mfa_device::MfaDevice;
use super::principal::{Permissions, Role, User};
use super::session::{Session, SessionPrincipal};
use super::settings::Settings;
use super::token_issuer::TokenIssuer;
use super::unique_id::unique_id;
use super::validation::{IamError, is_same_tag_key};
use crate::arn;
use crate::clock::Clock;
use crate::policy::{
    Context, Explanation, Names, Policies, Policy, PolicyKind, Request, Requester, ResourcePolicy,
    authorize,
};

/// The accounts, shared by the simulator and its builders.
#[derive(Clone)]
pub(crate) struct SharedAccounts {
    accounts: Arc<Mutex<Accounts>>,
    clock: Clock,
}

impl SharedAccounts {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            accounts: Arc::default(),
            clock,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Accounts> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, delay) = (self.clock.now(), accounts.settings.iam_delay);
        accounts.users.set_time(now, delay);
        accounts.roles.set_time(now, delay);
        accounts
    }
}

/// Everything in the accounts; maps are keyed by ARN unless noted otherwise.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(super) users: Delayed<User>,
    pub(super) roles: Delayed<Role>,
    /// Users, groups, roles and managed policies as IAM's API shows them.
    pub(crate) directory: Directory,
    /// The unique IDs of users and roles that an imported trust policy names but no export contains, by ARN. They
    /// existed when the account was exported, so a user or role created under the ARN gets the ID.
    reserved_ids: HashMap<String, String>,
    /// The partition of each account that is not empty, by account ID.
    partitions: HashMap<String, String>,
    /// The settings of accounts, by ID. Shared with callers, which outlive a change.
    accounts: Arc<HashMap<String, Account>>,
    /// By access key ID.
    keys: HashMap<String, AccessKey>,
    /// The number of keys that were left when those of old sessions were last removed.
    keys_left: usize,
    /// By serial number.
    pub(crate) mfa_devices: HashMap<String, MfaDevice>,
    pub(crate) oidc_providers: HashMap<String, OidcProvider>,
    pub(crate) saml_providers: HashMap<String, SamlProvider>,
    /// By account ID.
    token_issuers: HashMap<String, TokenIssuer>,
    /// The valid context assertions, with the ARNs of their providers.
    pub(crate) context_assertions: HashSet<(String, String)>,
    pub(crate) settings: Settings,
    /// The condition keys of all requests that the test has set.
    request_keys: Arc<Context>,
    /// The condition keys that the test has added, in lower case.
    added_keys: Arc<HashSet<String>>,
    /// The decisions on the current request.
    decisions: Vec<Explanation>,
}

/// How many keys there may be before those of old sessions are removed, which STS then treats as keys that do not exist.
const MAX_KEYS: usize = 10_000;

/// How long after its expiry a session is old.
const REMEMBERED: Duration = Duration::from_secs(3600);

pub(crate) struct AccessKey {
    pub(crate) secret: String,
    pub(crate) owner: KeyOwner,
    pub(crate) created: SystemTime,
    /// Whether its status is `Active`.
    pub(crate) is_active: bool,
}

/// The owner of an access key.
pub(crate) enum KeyOwner {
    /// A user, by ARN: a long-term key.
    User(String),
    /// A session: a temporary key.
    Session(Box<Session>),
}

impl KeyOwner {
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::User(_) => None,
            Self::Session(session) => Some(session),
        }
    }

    /// Returns the ARN of the user or role.
    pub(crate) fn principal_arn(&self) -> &str {
        match self {
            Self::User(arn) => arn,
            Self::Session(session) => session.principal_arn(),
        }
    }
}

impl Accounts {
    pub(crate) fn key(&self, access_key_id: &str) -> Option<&AccessKey> {
        self.keys.get(access_key_id)
    }

    /// Returns the long-term keys of a user, active or not, with their IDs.
    pub(crate) fn user_keys(&self, user_arn: &str) -> impl Iterator<Item = (&str, &AccessKey)> {
        self.keys
            .iter()
            .filter_map(move |(id, key)| match &key.owner {
                KeyOwner::User(arn) if arn == user_arn => Some((id.as_str(), key)),
                _ => None,
            })
    }

    /// Sets the status of a key. Returns whether the key exists.
    pub(crate) fn set_key_active(&mut self, access_key_id: &str, is_active: bool) -> bool {
        let key = self.keys.get_mut(access_key_id);
        key.map(|key| key.is_active = is_active).is_some()
    }

    /// Deletes a key. Returns whether the key existed.
    pub(crate) fn delete_key(&mut self, access_key_id: &str) -> bool {
        self.keys.remove(access_key_id).is_some()
    }

    /// Deletes a user with their keys and MFA devices.
    pub(crate) fn delete_user(&mut self, arn: &str) {
        self.users.remove(arn);
        let (account, name) = (arn::account_of(arn), arn::name_of(arn));
        self.directory.users.remove(account, name);
        self.keys
            .retain(|_, key| !matches!(&key.owner, KeyOwner::User(owner) if owner == arn));
        self.mfa_devices
            .retain(|_, device| device.user_arn() != arn);
    }

    /// Moves everything of a user to a new ARN. It remains the same user.
    pub(crate) fn rename_user(&mut self, old: &str, new: &str) {
        if let Some(user) = self.users.get(old).cloned() {
            self.users.remove(old);
            self.users.insert(new.to_owned(), user);
        }
        for key in self.keys.values_mut() {
            match &mut key.owner {
                KeyOwner::User(arn) if arn == old => new.clone_into(arn),
                KeyOwner::Session(session) => session.rename_user(old, new),
                KeyOwner::User(_) => {}
            }
        }
        for device in self.mfa_devices.values_mut() {
            device.rename_user(old, new);
        }
    }

    /// Returns the serial numbers of a user's MFA devices.
    pub(crate) fn mfa_devices_of(&self, user_arn: &str) -> impl Iterator<Item = &str> {
        let devices = self.mfa_devices.iter();
        devices
            .filter(move |(_, device)| device.user_arn() == user_arn)
            .map(|(serial, _)| serial.as_str())
    }

    /// Returns the role as STS sees it.
    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.seen_by_sts(arn)
    }

    pub(crate) fn delete_role(&mut self, arn: &str) {
        self.roles.remove(arn);
        let (account, name) = (arn::account_of(arn), arn::name_of(arn));
        self.directory.roles.remove(account, name);
    }

    pub(crate) fn token_issuer(&self, account: &str) -> Option<&TokenIssuer> {
        self.token_issuers.get(account)
    }

    /// Enables an account to issue tokens; returns the URL of its issuer, which never changes.
    pub(crate) fn enable_token_issuer(&mut self, account: &str) -> Result<String, IamError> {
        if let Some(issuer) = self.token_issuers.get_mut(account) {
            issuer.is_enabled = true;
            return Ok(issuer.url.clone());
        }
        let issuer = TokenIssuer::new().ok_or_else(|| {
            IamError::validation(account, "the keys that sign tokens could not be generated")
        })?;
        let url = issuer.url.clone();
        self.token_issuers.insert(account.to_owned(), issuer);
        Ok(url)
    }

    /// Returns whether the account was enabled to issue tokens.
    pub(crate) fn disable_token_issuer(&mut self, account: &str) -> bool {
        let issuer = self.token_issuers.get_mut(account);
        issuer.is_some_and(|issuer| std::mem::take(&mut issuer.is_enabled))
    }

    /// Returns the organization of an account, and the account's paths in it.
    pub(crate) fn organization_of(&self, account: &str) -> Option<(String, Vec<String>)> {
        let account = self.account(account)?;
        let paths = account.organization_paths.clone();
        Some((account.organization.clone()?, paths))
    }

    /// Rejects an ARN whose partition is not that of the account: an account belongs to one partition, so users and
    /// roles can be looked up by account and name.
    pub(crate) fn check_partition(&mut self, arn: &str) -> Result<(), IamError> {
        let (partition, account) = (arn::partition_of(arn), arn::account_of(arn));
        let known = self.partitions.entry(account.to_owned());
        let known = known.or_insert_with(|| partition.to_owned());
        if known == partition {
            return Ok(());
        }
        let rule = format!("the account {account} belongs to the partition {known}");
        Err(IamError::validation(arn, rule))
    }

    /// Reads a policy. `name` is how explanations refer to it.
    pub(crate) fn read_policy(
        &self,
        kind: PolicyKind,
        name: impl Into<String>,
        json: &str,
    ) -> Result<Arc<Policy>, IamError> {
        let resolve = |arn: &str| self.id_of(arn).map(str::to_owned);
        self.read_policy_with(kind, name, json, &resolve)
    }

    /// Reads a policy, with another way to look up users and roles.
    pub(super) fn read_policy_with(
        &self,
        kind: PolicyKind,
        name: impl Into<String>,
        json: &str,
        resolve: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<Policy>, IamError> {
        let name = name.into();
        let missing = RefCell::new(None);
        let resolve = |arn: &str| {
            let id = resolve(arn);
            if id.is_none() {
                missing.replace(Some(arn.to_owned()));
            }
            id
        };
        let names = Names {
            resolve: &resolve,
            keys: &self.added_keys,
        };
        Policy::read(kind, &*name, json, names)
            .map(Arc::new)
            .map_err(|error| {
                let missing = missing.take().filter(|arn| {
                    let resource = arn::split(arn).map(|[.., resource]| resource);
                    resource.is_some_and(|it| it.starts_with("user/") || it.starts_with("role/"))
                });
                let advice = missing.map(|arn| {
                    format!("A policy can only name a user or role that exists: create {arn} first")
                });
                IamError::malformed_policy(&format!("{kind} {name}"), error).with_advice(advice)
            })
    }

    pub(super) fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.get(id)
    }

    pub(crate) fn set_account(&mut self, id: String, account: Account) {
        Arc::make_mut(&mut self.accounts).insert(id, account);
    }

    pub(crate) fn set_request_key(&mut self, key: &str, values: Vec<String>) {
        Arc::make_mut(&mut self.request_keys).set_all(key, values);
    }

    pub(crate) fn add_condition_key(&mut self, key: &str) {
        Arc::make_mut(&mut self.added_keys).insert(key.to_ascii_lowercase());
    }

    /// Returns the condition keys of an unsigned request.
    pub(crate) fn unsigned_context(&self, arrival: &Arrival) -> Context {
        arrival.context(&self.request_keys)
    }

    /// Sets the condition keys of a role as the resource of a request. The transitive tags of the caller's session
    /// replace tags of the role.
    pub(crate) fn set_role_keys<'a>(
        &self,
        context: &mut Context,
        role_arn: &str,
        inherited_tags: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        let account = arn::account_of(role_arn);
        context.set("aws:ResourceAccount", account);
        if let Some(account) = self.account(account) {
            account.set_resource_keys(context);
        }
        let Some(role) = self.role(role_arn) else {
            return;
        };
        let inherited: Vec<(&str, &str)> = inherited_tags.collect();
        for (key, value) in &role.permissions.tags {
            let replaced = inherited
                .iter()
                .find(|(inherited, _)| is_same_tag_key(inherited, key));
            let value = replaced.map_or(value.as_str(), |(_, value)| value);
            context.set(&format!("aws:ResourceTag/{key}"), value);
            context.set(&format!("iam:ResourceTag/{key}"), value);
        }
    }

    /// Decides whether a caller may perform `action` on a role, by the role's trust policy and the caller's policies.
    pub(crate) fn may_on_role(
        &mut self,
        caller: &Caller,
        action: &str,
        role_arn: &str,
        context: &Context,
    ) -> bool {
        // A partition does not know the roles of other partitions.
        let trust = if arn::partition_of(role_arn) == caller.partition() {
            self.trust_of(role_arn)
        } else {
            ResourcePolicy::NoSuchRole
        };
        let account = arn::account_of(role_arn);
        let decision = caller.decide(action, role_arn, account, trust, context);
        self.record(decision)
    }

    /// Decides whether the caller's own policies allow `action`.
    ///
    /// # Errors
    ///
    /// Fails with the end of AWS's message if it is denied.
    pub(crate) fn decide(
        &mut self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), String> {
        let decision = caller.decide(
            action,
            resource,
            caller.account(),
            ResourcePolicy::None,
            context,
        );
        let refusal = decision.refusal();
        if self.record(decision) {
            Ok(())
        } else {
            Err(refusal)
        }
    }

    /// Decides whether a user of an identity provider may perform `action` on a role.
    pub(crate) fn may_federated(
        &mut self,
        provider: &str,
        action: &str,
        role_arn: &str,
        context: &Context,
    ) -> bool {
        let account = self.account(arn::account_of(role_arn));
        let resource_control = account.map(|account| &account.resource_control);
        let policies = Policies {
            resource_control: resource_control
                .into_iter()
                .flatten()
                .map(|p| &**p)
                .collect(),
            resource: self.trust_of(role_arn),
            ..Policies::default()
        };
        let requester = Requester::Federated {
            provider: provider.to_owned(),
        };
        let request = Request {
            action,
            resource: role_arn,
            requester: &requester,
            context,
        };
        let decision = authorize(&policies, request, false, provider);
        self.record(decision)
    }

    fn trust_of(&self, role_arn: &str) -> ResourcePolicy<'_> {
        match self.role(role_arn) {
            Some(role) => ResourcePolicy::Trust(&role.trust_policy),
            None => ResourcePolicy::NoSuchRole,
        }
    }

    fn record(&mut self, decision: Explanation) -> bool {
        let is_allowed = decision.is_allowed();
        self.decisions.push(decision);
        is_allowed
    }

    /// Returns the decisions since the last call, in order.
    pub(crate) fn take_decisions(&mut self) -> Vec<Explanation> {
        std::mem::take(&mut self.decisions)
    }

    /// Returns the owner of a key; `None` if the user or role no longer exists. One that was created again under the
    /// same ARN is another one.
    pub(crate) fn caller(&self, owner: &KeyOwner, arrival: Arrival) -> Option<Caller> {
        let arn = owner.principal_arn();
        let session = owner.session();
        let (id, permissions) = if session.is_some_and(Session::is_of_role) {
            let role = self.role(arn)?;
            (&role.id, &role.permissions)
        } else {
            let user = self.users.seen_by_sts(arn)?;
            (&user.id, &user.permissions)
        };
        if session.is_some_and(|session| session.principal_id() != id) {
            return None;
        }
        Some(Caller {
            arn: session.map_or_else(|| arn.to_owned(), Session::arn),
            principal_arn: arn.to_owned(),
            principal_id: id.to_owned(),
            user_id: session.map_or_else(|| id.to_owned(), Session::user_id),
            session: session.cloned(),
            permissions: permissions.clone(),
            accounts: Arc::clone(&self.accounts),
            request_keys: Arc::clone(&self.request_keys),
            added_keys: Arc::clone(&self.added_keys),
            arrival,
            undecided: Arc::default(),
            refusals: Arc::default(),
        })
    }

    pub(crate) fn check_user(&self, arn: &str) -> Result<(), IamError> {
        if self.users.get(arn).is_some() {
            Ok(())
        } else {
            Err(IamError::no_such_entity(arn, "there is no such user"))
        }
    }

    pub(crate) fn add_user_mfa_device(
        &mut self,
        user_arn: &str,
        serial: &str,
        secret: &str,
    ) -> Result<(), IamError> {
        self.check_user(user_arn)?;
        let device = MfaDevice::new(user_arn, serial, secret)?;
        self.mfa_devices.insert(serial.to_owned(), device);
        Ok(())
    }

    /// Issues credentials for a role without AssumeRole; `None` if the role does not exist.
    pub(crate) fn issue_role_session(
        &mut self,
        role_arn: &str,
        session_name: &str,
        now: SystemTime,
    ) -> Option<Credentials> {
        let id = self.roles.get(role_arn)?.id.clone();
        let principal = SessionPrincipal::Role {
            arn: role_arn.to_owned(),
            id,
            session_name: session_name.to_owned(),
        };
        let expiry = now + Duration::from_secs(3600);
        Some(self.issue(Session::new(principal, now, expiry)))
    }

    /// Issues temporary credentials for a session.
    pub(crate) fn issue(&mut self, session: Session) -> Credentials {
        let (token, expiry) = (session.token.clone(), session.expiry);
        let issued = session.issued;
        if self.keys.len() >= MAX_KEYS.max(2 * self.keys_left) {
            let is_old = |session: &Session| {
                let age = issued.duration_since(session.expiry);
                age.is_ok_and(|age| age >= REMEMBERED)
            };
            self.keys
                .retain(|_, key| !key.owner.session().is_some_and(is_old));
            self.keys_left = self.keys.len();
        }
        let (id, secret) = self.add_key("ASIA", KeyOwner::Session(Box::new(session)), issued);
        Credentials::new(id, secret, Some(token), Some(expiry), "Simulator")
    }

    /// Creates a long-term access key for a user.
    pub(crate) fn create_access_key(&mut self, user_arn: &str, now: SystemTime) -> Credentials {
        let (id, secret) = self.add_key("AKIA", KeyOwner::User(user_arn.to_owned()), now);
        Credentials::new(id, secret, None, None, "Simulator")
    }

    /// Rejects the ID of a key that is in use by another owner, or that is malformed.
    pub(super) fn check_new_key(&self, id: &str, user_arn: &str) -> Result<(), IamError> {
        let is_id = (12..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_id {
            let rule = "an access key ID must be 12 to 128 letters and digits";
            return Err(IamError::validation(format!("{id:?}"), rule));
        }
        match self.keys.get(id).map(|key| &key.owner) {
            Some(KeyOwner::User(arn)) if arn == user_arn => Ok(()),
            None => Ok(()),
            Some(_) => Err(IamError::validation(
                format!("{id:?}"),
                "the access key ID is already in use",
            )),
        }
    }

    /// Gives a user an access key with a known ID and secret.
    pub(super) fn add_user_key(
        &mut self,
        user_arn: &str,
        id: String,
        secret: String,
        now: SystemTime,
    ) -> Credentials {
        let key = AccessKey {
            secret: secret.clone(),
            owner: KeyOwner::User(user_arn.to_owned()),
            created: now,
            is_active: true,
        };
        self.keys.insert(id.clone(), key);
        Credentials::new(id, secret, None, None, "Simulator")
    }

    /// Creates an access key of the root user of an account.
    pub(crate) fn create_root_user(
        &mut self,
        arn: String,
        now: SystemTime,
    ) -> Result<Credentials, IamError> {
        self.add_root_user(&arn)?;
        Ok(self.create_access_key(&arn, now))
    }

    /// Lets the root user of an account sign with a well-known key.
    pub(crate) fn create_known_root_user(
        &mut self,
        account: &str,
        now: SystemTime,
    ) -> Result<Credentials, IamError> {
        if !arn::is_account_id(account) {
            let rule = "an account ID must be 12 digits";
            return Err(IamError::validation(format!("{account:?}"), rule));
        }
        let partition = self.partitions.get(account).map_or("aws", String::as_str);
        let arn = format!("arn:{partition}:iam::{account}:root");
        self.add_root_user(&arn)?;
        Ok(self.add_user_key(&arn, account.to_owned(), "test".to_owned(), now))
    }

    /// Adds a root user, who has no policies: the evaluation of policies treats root users specially.
    fn add_root_user(&mut self, arn: &str) -> Result<(), IamError> {
        match arn::split(arn) {
            Some(["arn", partition, "iam", "", account, "root"])
                if !partition.is_empty() && arn::is_account_id(account) =>
            {
                self.check_partition(arn)?;
                let user = User {
                    id: account.to_owned(),
                    permissions: Permissions::default(),
                };
                self.users.insert(arn.to_owned(), user);
                Ok(())
            }
            _ => Err(IamError::validation(
                format!("{arn:?}"),
                "must be arn:<partition>:iam::<12-digit account id>:root",
            )),
        }
    }

    /// Returns the unique ID for a new user or role, with this prefix.
    pub(crate) fn new_id(&mut self, arn: &str, prefix: &str) -> String {
        let reserved = self.reserved_ids.remove(arn);
        reserved.unwrap_or_else(|| unique_id(prefix, 17))
    }

    /// Returns the ID that is reserved for a user or role that does not exist.
    pub(crate) fn reserved_id(&self, arn: &str) -> Option<&str> {
        self.reserved_ids.get(arn).map(String::as_str)
    }

    /// Reserves an ID for a user or role that does not exist.
    pub(crate) fn reserve_id(&mut self, arn: String, id: String) {
        self.reserved_ids.insert(arn, id);
    }

    /// Removes the reservations of ARNs that an import has meanwhile created with their own IDs, and returns the ARNs.
    pub(crate) fn take_imported_reservations(&mut self) -> Vec<String> {
        let reserved = self.reserved_ids.keys();
        let exists = |arn: &&String| self.directory.id_of(arn).is_some();
        let imported: Vec<String> = reserved.filter(exists).cloned().collect();
        imported
            .iter()
            .for_each(|arn| drop(self.reserved_ids.remove(arn)));
        imported
    }

    fn add_key(&mut self, prefix: &str, owner: KeyOwner, now: SystemTime) -> (String, String) {
        let id = unique_id(prefix, 16);
        let secret: String = (0..40).map(|_| fastrand::alphanumeric()).collect();
        let key = AccessKey {
            secret: secret.clone(),
            owner,
            created: now,
            is_active: true,
        };
        self.keys.insert(id.clone(), key);
        (id, secret)
    }

    /// Returns the unique ID of the user or role with this ARN.
    pub(super) fn id_of(&self, arn: &str) -> Option<&str> {
        let user = self.users.get(arn).map(|user| &*user.id);
        user.or_else(|| self.roles.get(arn).map(|role| &*role.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_old_sessions_are_forgotten_when_there_are_many() {
        let mut accounts = Accounts::default();
        let user = "arn:aws:iam::111111111111:user/ada";
        let hour = Duration::from_secs(3600);
        let mut now = SystemTime::UNIX_EPOCH;
        let permanent = accounts.create_access_key(user, now);
        let mut issued = Vec::new();
        for _ in 0..2 * MAX_KEYS {
            let principal = SessionPrincipal::User {
                arn: user.to_owned(),
                id: "AIDA".to_owned(),
            };
            let session = Session::new(principal, now, now + hour);
            issued.push(accounts.issue(session));
            now += Duration::from_secs(10);
        }
        let count = accounts.keys.len();
        assert!(count <= MAX_KEYS, "{count}");
        assert!(accounts.key(permanent.access_key_id()).is_some());
        // An hour has 360 of these sessions.
        for credentials in &issued[issued.len() - 720..] {
            assert!(accounts.key(credentials.access_key_id()).is_some());
        }
    }
}
