//! [`Accounts`]: the store of everything that is in the accounts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_smithy_async::time::TimeSource;

use super::caller::Caller;
use super::delayed::Delayed;
use super::identity_providers::{OidcProvider, SamlProvider};
use super::mfa_device::MfaDevice;
use super::session::{Session, SessionPrincipal};
use super::settings::Settings;
use super::validation::IamError;
use crate::arn;
use crate::clock::Clock;
use crate::policy::Policy;

/// The accounts, as the simulator and its builders share them.
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

/// What is in the accounts; by ARN, unless it says otherwise.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(super) users: Delayed<User>,
    pub(super) roles: Delayed<Role>,
    pub(super) managed_policies: HashMap<String, Policy>,
    /// By access key ID.
    keys: HashMap<String, AccessKey>,
    /// By serial number.
    pub(super) mfa_devices: HashMap<String, MfaDevice>,
    oidc_providers: HashMap<String, OidcProvider>,
    saml_providers: HashMap<String, SamlProvider>,
    /// The context assertions that are valid, with the ARNs of their providers.
    context_assertions: HashSet<(String, String)>,
    pub(crate) settings: Settings,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) policies: Vec<Policy>,
}

#[derive(Clone)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) trust_policy: Policy,
    pub(super) policies: Vec<Policy>,
    /// In seconds.
    pub(crate) max_session_duration: i64,
}

pub(crate) struct AccessKey {
    pub(crate) secret: String,
    pub(crate) owner: KeyOwner,
    /// Whether its status is `Active`.
    pub(crate) is_active: bool,
}

/// Whose an access key is.
pub(crate) enum KeyOwner {
    /// A user, by ARN: a long-term key.
    User(String),
    /// A session: a temporary key.
    Session(Session),
}

impl KeyOwner {
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

    /// Sets the status of a key. Returns whether there is one with this ID.
    pub(crate) fn set_key_active(&mut self, access_key_id: &str, is_active: bool) -> bool {
        let key = self.keys.get_mut(access_key_id);
        key.map(|key| key.is_active = is_active).is_some()
    }

    /// Deletes a key. Returns whether there was one with this ID.
    pub(crate) fn delete_key(&mut self, access_key_id: &str) -> bool {
        self.keys.remove(access_key_id).is_some()
    }

    /// Returns the role as STS sees it.
    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.seen_by_sts(arn)
    }

    pub(crate) fn delete_role(&mut self, arn: &str) {
        self.roles.remove(arn);
    }

    pub(crate) fn managed_policy(&self, arn: &str) -> Option<&Policy> {
        self.managed_policies.get(arn)
    }

    pub(crate) fn mfa_device(&self, serial: &str) -> Option<&MfaDevice> {
        self.mfa_devices.get(serial)
    }

    pub(crate) fn mfa_device_mut(&mut self, serial: &str) -> Option<&mut MfaDevice> {
        self.mfa_devices.get_mut(serial)
    }

    pub(crate) fn oidc_provider(&self, arn: &str) -> Option<&OidcProvider> {
        self.oidc_providers.get(arn)
    }

    pub(crate) fn add_oidc_provider(&mut self, arn: String, provider: OidcProvider) {
        self.oidc_providers.insert(arn, provider);
    }

    pub(crate) fn saml_provider(&self, arn: &str) -> Option<&SamlProvider> {
        self.saml_providers.get(arn)
    }

    pub(crate) fn add_saml_provider(&mut self, arn: String, provider: SamlProvider) {
        self.saml_providers.insert(arn, provider);
    }

    pub(crate) fn add_context_assertion(&mut self, provider_arn: String, assertion: String) {
        self.context_assertions.insert((provider_arn, assertion));
    }

    pub(crate) fn has_context_assertion(&self, provider_and_assertion: &(String, String)) -> bool {
        self.context_assertions.contains(provider_and_assertion)
    }

    /// Returns the owner of a key; `None` if their user or role does not exist any more.
    pub(crate) fn caller(&self, owner: &KeyOwner, now: SystemTime) -> Option<Caller> {
        match owner {
            KeyOwner::User(arn) => self.user_caller(arn, None, now),
            KeyOwner::Session(session) => match &session.principal {
                SessionPrincipal::User { arn } => self.user_caller(arn, Some(session), now),
                SessionPrincipal::FederatedUser { user_arn, .. } => {
                    let user = self.user_caller(user_arn, Some(session), now)?;
                    Some(Caller {
                        arn: session.arn(),
                        principal_id: session.user_id(),
                        user_id: session.user_id(),
                        ..user
                    })
                }
                SessionPrincipal::Role { arn, id, .. } => {
                    let role = self.role(arn).filter(|role| role.id == *id)?;
                    Some(Caller {
                        arn: session.arn(),
                        principal_arn: arn.clone(),
                        principal_id: role.id.clone(),
                        user_id: session.user_id(),
                        session: Some(session.clone()),
                        policies: role.policies.clone(),
                        now,
                    })
                }
            },
        }
    }

    fn user_caller(&self, arn: &str, session: Option<&Session>, now: SystemTime) -> Option<Caller> {
        let user = self.users.seen_by_sts(arn)?;
        Some(Caller {
            arn: arn.to_owned(),
            principal_arn: arn.to_owned(),
            principal_id: user.id.clone(),
            user_id: user.id.clone(),
            session: session.cloned(),
            policies: user.policies.clone(),
            now,
        })
    }

    /// Issues temporary credentials for a session.
    pub(crate) fn issue(&mut self, session: Session) -> Credentials {
        let (token, expiry) = (session.token.clone(), session.expiry);
        let (id, secret) = self.add_key("ASIA", KeyOwner::Session(session));
        Credentials::new(id, secret, Some(token), Some(expiry), "Simulator")
    }

    /// Creates a long-term access key for a user.
    pub(super) fn create_access_key(&mut self, user_arn: &str) -> Credentials {
        let (id, secret) = self.add_key("AKIA", KeyOwner::User(user_arn.to_owned()));
        Credentials::new(id, secret, None, None, "Simulator")
    }

    /// Creates an access key of the root user of an account.
    pub(crate) fn create_root_user(&mut self, arn: String) -> Result<Credentials, IamError> {
        match arn::split(&arn) {
            Some(["arn", partition, "iam", "", account, "root"])
                if !partition.is_empty() && arn::is_account_id(account) =>
            {
                let everything =
                    r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
                let policies = Policy::permission(everything)
                    .map_err(|error| IamError::malformed_policy(&arn, error))?;
                let user = User {
                    id: account.to_owned(),
                    policies: vec![policies],
                };
                self.users.insert(arn.clone(), user);
                Ok(self.create_access_key(&arn))
            }
            _ => Err(IamError::validation(
                format!("{arn:?}"),
                "must be arn:<partition>:iam::<12-digit account id>:root",
            )),
        }
    }

    fn add_key(&mut self, prefix: &str, owner: KeyOwner) -> (String, String) {
        let id = unique_id(prefix, 16);
        let secret: String = (0..40).map(|_| fastrand::alphanumeric()).collect();
        let key = AccessKey {
            secret: secret.clone(),
            owner,
            is_active: true,
        };
        self.keys.insert(id.clone(), key);
        (id, secret)
    }

    /// Returns the unique ID of the user or role with an ARN.
    pub(super) fn id_of(&self, arn: &str) -> Option<&str> {
        let user = self.users.get(arn).map(|user| &*user.id);
        user.or_else(|| self.roles.get(arn).map(|role| &*role.id))
    }
}

/// Returns a random ID as IAM makes them: a prefix for the kind of entity, then base32.
pub(super) fn unique_id(prefix: &str, length: usize) -> String {
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = (0..length).map(|_| char::from(BASE32[fastrand::usize(..BASE32.len())]));
    prefix.chars().chain(random).collect()
}
