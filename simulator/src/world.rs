//! What IAM holds: users, roles and the sessions that STS gave out.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;

use super::Simulator;
use super::mfa_device::MfaDevice;
use super::policy::{Context, Policy, Verdict};
use super::timestamp;

#[derive(Default)]
pub(super) struct World {
    users: HashMap<String, User>,
    roles: HashMap<String, Role>,
    /// By access key id.
    keys: HashMap<String, Key>,
    managed: HashMap<String, Policy>,
    /// By serial number.
    devices: HashMap<String, MfaDevice>,
    /// By ARN.
    oidc_providers: HashMap<String, OidcProvider>,
    saml_providers: HashSet<String>,
    /// Whether a role session made with MFA-proved credentials counts as proved: AWS's guide says
    /// no, users say yes.
    pub(super) mfa_travels: bool,
}

pub(super) struct User {
    id: String,
    policies: Vec<Policy>,
}

#[derive(Clone)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) trust: Policy,
    policies: Vec<Policy>,
    pub(super) max_session_duration: i64,
}

pub(super) struct Key {
    pub(super) secret: String,
    pub(super) owner: Owner,
}

pub(super) enum Owner {
    User(String),
    Session(Session),
}

/// Temporary credentials.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) holder: Holder,
    pub(super) token: String,
    pub(super) issued: SystemTime,
    pub(super) expiry: SystemTime,
    /// Session policies: an action needs one of them, if there are any.
    pub(super) policies: Vec<Policy>,
    pub(super) tags: Vec<SessionTag>,
    pub(super) source_identity: Option<String>,
    /// When MFA was proved.
    pub(super) mfa: Option<SystemTime>,
}

/// Whose a session is.
#[derive(Clone)]
pub(super) enum Holder {
    /// The role as it was: one made again under the same ARN has another id.
    Role {
        arn: String,
        id: String,
        session_name: String,
    },
    /// A user, by GetSessionToken.
    User { arn: String },
}

/// An OpenID Connect identity provider of an account.
pub(super) struct OidcProvider {
    pub(super) client_ids: Vec<String>,
    pub(super) key: jsonwebtoken::DecodingKey,
    pub(super) algorithm: jsonwebtoken::Algorithm,
}

#[derive(Clone)]
pub(super) struct SessionTag {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) transitive: bool,
}

/// Who signed a request.
#[derive(Clone)]
pub struct Caller {
    account: String,
    arn: String,
    pub(super) principal_arn: String,
    /// Unique id; a session's is `<role's unique id>:<session name>`.
    pub(super) user_id: String,
    /// The user's or role's unique id.
    pub(super) principal_id: String,
    pub(super) session: Option<Session>,
    policies: Vec<Policy>,
    now: SystemTime,
}

impl Caller {
    /// The account of the user or role.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// `arn:aws:iam::…:user/…` or `arn:aws:sts::…:assumed-role/<role>/<session name>`.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The value of a session tag, inherited or not; keys without regard to case.
    pub fn session_tag(&self, key: &str) -> Option<&str> {
        let tags = &self.session.as_ref()?.tags;
        tags.iter()
            .find(|tag| tag.key.eq_ignore_ascii_case(key))
            .map(|tag| tag.value.as_str())
    }

    /// Whether the caller's identity and session policies allow `action` (`firehose:PutRecord`) on
    /// the resource with this ARN.
    pub fn may(&self, action: &str, resource_arn: &str) -> bool {
        self.permitted(action, resource_arn, &self.context()) == Verdict::Allowed
    }

    /// What the caller's own policies say, session policies included.
    pub(super) fn permitted(&self, action: &str, resource: &str, context: &Context) -> Verdict {
        let says = |policies: &[Policy]| {
            Verdict::of(
                policies
                    .iter()
                    .map(|policy| policy.permits(action, resource, context)),
            )
        };
        let own = says(&self.policies);
        let limit = self.session_limit(action, resource, context);
        match (own, limit) {
            (Verdict::Denied, _) | (_, Verdict::Denied) => Verdict::Denied,
            (Verdict::Allowed, Verdict::Allowed) => Verdict::Allowed,
            _ => Verdict::Silent,
        }
    }

    /// What the session policies say; `Allowed` where there are none.
    pub(super) fn session_limit(&self, action: &str, resource: &str, context: &Context) -> Verdict {
        match &self.session {
            Some(session) if !session.policies.is_empty() => Verdict::of(
                session
                    .policies
                    .iter()
                    .map(|policy| policy.permits(action, resource, context)),
            ),
            _ => Verdict::Allowed,
        }
    }

    /// The condition keys that any request of this caller's has.
    pub(super) fn context(&self) -> Context {
        let mut context = Context::default();
        context.set("aws:CurrentTime", timestamp(self.now));
        let epoch = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        context.set("aws:EpochTime", epoch.as_secs().to_string());
        context.set("aws:PrincipalArn", &*self.principal_arn);
        context.set("aws:PrincipalAccount", &*self.account);
        context.set("aws:userid", &*self.user_id);
        context.set("aws:SecureTransport", "true");
        match &self.session {
            Some(session) if session.is_of_role() => {
                context.set("aws:PrincipalType", "AssumedRole");
            }
            _ => {
                context.set("aws:PrincipalType", "User");
                context.set("aws:username", last_part(&self.arn));
            }
        }
        // Long-term keys have none of the following.
        let Some(session) = &self.session else {
            return context;
        };
        context.set("aws:TokenIssueTime", timestamp(session.issued));
        let mfa = session.mfa.is_some().to_string();
        context.set("aws:MultiFactorAuthPresent", mfa);
        if let Some(at) = session.mfa {
            let age = self.now.duration_since(at).unwrap_or_default();
            context.set("aws:MultiFactorAuthAge", age.as_secs().to_string());
        }
        if let Some(identity) = &session.source_identity {
            context.set("aws:SourceIdentity", identity);
        }
        for tag in &session.tags {
            context.set(&format!("aws:PrincipalTag/{}", tag.key), &*tag.value);
        }
        context
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

impl World {
    pub(super) fn key(&self, access_key_id: &str) -> Option<&Key> {
        self.keys.get(access_key_id)
    }

    pub(super) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(arn)
    }

    pub(super) fn managed_policy(&self, arn: &str) -> Option<&Policy> {
        self.managed.get(arn)
    }

    pub(super) fn delete_role(&mut self, arn: &str) {
        self.roles.remove(arn);
    }

    pub(super) fn device(&mut self, serial: &str) -> Option<&mut MfaDevice> {
        self.devices.get_mut(serial)
    }

    pub(super) fn oidc_provider(&self, arn: &str) -> Option<&OidcProvider> {
        self.oidc_providers.get(arn)
    }

    pub(super) fn add_oidc_provider(&mut self, arn: String, provider: OidcProvider) {
        self.oidc_providers.insert(arn, provider);
    }

    pub(super) fn has_saml_provider(&self, arn: &str) -> bool {
        self.saml_providers.contains(arn)
    }

    pub(super) fn add_saml_provider(&mut self, arn: String) {
        self.saml_providers.insert(arn);
    }

    /// The code that a device shows.
    pub(super) fn code(&self, serial: &str, now: SystemTime) -> Option<String> {
        Some(self.devices.get(serial)?.code_at(now))
    }

    /// The owner of a key; none where its user or role is gone.
    pub(super) fn caller(&self, owner: &Owner, now: SystemTime) -> Option<Caller> {
        let session = match owner {
            Owner::User(_) => None,
            Owner::Session(session) => Some(session),
        };
        match (owner, session.map(|session| &session.holder)) {
            (Owner::User(arn), _) | (_, Some(Holder::User { arn })) => {
                let user = self.users.get(arn)?;
                Some(Caller {
                    account: account_of(arn),
                    arn: arn.clone(),
                    principal_arn: arn.clone(),
                    user_id: user.id.clone(),
                    principal_id: user.id.clone(),
                    session: session.cloned(),
                    policies: user.policies.clone(),
                    now,
                })
            }
            (Owner::Session(session), Some(Holder::Role { arn, id, .. })) => {
                let role = self.roles.get(arn)?;
                (role.id == *id).then(|| Caller {
                    account: account_of(arn),
                    arn: session.arn(),
                    principal_arn: arn.clone(),
                    user_id: session.user_id(),
                    principal_id: role.id.clone(),
                    session: Some(session.clone()),
                    policies: role.policies.clone(),
                    now,
                })
            }
            (Owner::Session(_), None) => None,
        }
    }

    /// Gives out a session's keys, as an answer's `Credentials`.
    pub(super) fn issue(&mut self, session: Session) -> String {
        let id = unique("ASIA", 16);
        let secret = random(40);
        let answer = format!(
            "    <Credentials>\n      <AccessKeyId>{id}</AccessKeyId>\n      \
             <SecretAccessKey>{secret}</SecretAccessKey>\n      \
             <SessionToken>{}</SessionToken>\n      <Expiration>{}</Expiration>\n    \
             </Credentials>\n",
            session.token,
            timestamp(session.expiry)
        );
        let owner = Owner::Session(session);
        self.keys.insert(id, Key { secret, owner });
        answer
    }

    fn unique_id(&self, arn: &str) -> Option<String> {
        let user = self.users.get(arn).map(|user| &user.id);
        user.or_else(|| self.roles.get(arn).map(|role| &role.id))
            .cloned()
    }
}

impl Session {
    pub(super) fn is_of_role(&self) -> bool {
        matches!(self.holder, Holder::Role { .. })
    }

    /// The session's own ARN: a role session's leaves out the role's path, a user's is the user's.
    pub(super) fn arn(&self) -> String {
        match &self.holder {
            Holder::User { arn } => arn.clone(),
            Holder::Role {
                arn, session_name, ..
            } => {
                let partition = arn.split(':').nth(1).unwrap_or_default();
                let account = account_of(arn);
                let role = last_part(arn);
                format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session_name}")
            }
        }
    }

    /// `<role's unique id>:<session name>`.
    pub(super) fn user_id(&self) -> String {
        match &self.holder {
            Holder::User { arn } => arn.clone(),
            Holder::Role {
                id, session_name, ..
            } => format!("{id}:{session_name}"),
        }
    }
}

/// What IAM does not take: its code, and what is wrong, with the user or role that it is about.
#[derive(Clone, Debug)]
pub struct IamError {
    arn: String,
    code: &'static str,
    message: String,
}

impl IamError {
    fn malformed_policy(arn: &str, message: String) -> Self {
        Self {
            arn: arn.to_owned(),
            code: "MalformedPolicyDocument",
            message,
        }
    }

    fn no_mfa_secret(serial: String) -> Self {
        Self {
            arn: serial,
            code: "ValidationError",
            message: "the device's secret must be base32 text of at least 16 characters".to_owned(),
        }
    }
}

impl fmt::Display for IamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.arn, self.code, self.message)
    }
}

impl std::error::Error for IamError {}

/// `arn:<partition>:iam::<account>:<kind>/<path><name>`.
fn check_arn(arn: &str, kind: &str) -> Result<(), IamError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let named = |resource: &str| {
        let name = resource
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
    };
    let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        ["arn", partition, "iam", "", account, resource]
            if !partition.is_empty() && is_account(account) && named(resource) =>
        {
            Ok(())
        }
        _ => Err(IamError {
            arn: format!("{arn:?}"),
            code: "ValidationError",
            message: format!(
                "must be arn:<partition>:iam::<12-digit account id>:{kind}/<path><name>"
            ),
        }),
    }
}

/// Makes an IAM user; see [`Simulator::user`].
#[must_use = "nothing is made before create()"]
pub struct UserBuilder {
    simulator: Simulator,
    arn: String,
    policies: Vec<String>,
    devices: Vec<(String, String)>,
}

impl UserBuilder {
    pub(super) fn new(simulator: Simulator, arn: String) -> Self {
        Self {
            simulator,
            arn,
            policies: Vec::new(),
            devices: Vec::new(),
        }
    }

    /// Adds an identity policy, as JSON.
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policies.push(json.into());
        self
    }

    /// Adds a virtual MFA device, whose codes are this secret's. It takes each code once.
    pub fn mfa_device(mut self, serial: impl Into<String>, secret: impl Into<String>) -> Self {
        self.devices.push((serial.into(), secret.into()));
        self
    }

    /// Makes the user, or changes the policies of the one there is, and gives a new access key.
    ///
    /// # Errors
    ///
    /// What is no user's ARN, or no policy.
    pub fn create(self) -> Result<Credentials, IamError> {
        check_arn(&self.arn, "user")?;
        let policies = read_all(&self.arn, &self.policies)?;
        let devices = self
            .devices
            .into_iter()
            .map(|(serial, secret)| {
                let device = MfaDevice::from_secret(&self.arn, &secret);
                Ok((
                    serial.clone(),
                    device.ok_or_else(|| IamError::no_mfa_secret(serial))?,
                ))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut state = self.simulator.state();
        let world = &mut state.world;
        let id = match world.users.get(&self.arn) {
            Some(user) => user.id.clone(),
            None => unique("AIDA", 17),
        };
        world.users.insert(self.arn.clone(), User { id, policies });
        world.devices.extend(devices);
        let (access_key_id, secret) = (unique("AKIA", 16), random(40));
        let key = Key {
            secret: secret.clone(),
            owner: Owner::User(self.arn),
        };
        world.keys.insert(access_key_id.clone(), key);
        Ok(Credentials::new(
            access_key_id,
            secret,
            None,
            None,
            "Simulator",
        ))
    }
}

/// Makes an IAM role; see [`Simulator::role`].
#[must_use = "nothing is made before create()"]
pub struct RoleBuilder {
    simulator: Simulator,
    arn: String,
    trust: Option<String>,
    policies: Vec<String>,
    managed: Vec<(String, String)>,
    max_session_duration: i64,
}

impl RoleBuilder {
    pub(super) fn new(simulator: Simulator, arn: String) -> Self {
        Self {
            simulator,
            arn,
            trust: None,
            policies: Vec::new(),
            managed: Vec::new(),
            max_session_duration: 3600,
        }
    }

    /// The trust policy, as JSON. Users and roles that it names must be there: IAM keeps their
    /// unique ids, so that one made again under the same name is not trusted.
    ///
    /// Default: the role's own account.
    pub fn trust(mut self, json: impl Into<String>) -> Self {
        self.trust = Some(json.into());
        self
    }

    /// Adds an identity policy, as JSON.
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policies.push(json.into());
        self
    }

    /// Makes a managed policy known, which may be passed as a session policy by its ARN.
    pub fn managed_policy(mut self, arn: impl Into<String>, json: impl Into<String>) -> Self {
        self.managed.push((arn.into(), json.into()));
        self
    }

    /// `MaxSessionDuration`; less than 3,600 s is 3,600 s, more than 43,200 s is that. Default:
    /// 3,600 s.
    pub fn max_session_duration(mut self, duration: Duration) -> Self {
        self.max_session_duration = duration.as_secs().clamp(3600, 43_200) as i64;
        self
    }

    /// Makes the role, or changes the one there is. Sessions that are out stay good, with the new
    /// permissions.
    ///
    /// # Errors
    ///
    /// What is no role's ARN or no policy, or a principal that is not there.
    pub fn create(self) -> Result<(), IamError> {
        check_arn(&self.arn, "role")?;
        let policies = read_all(&self.arn, &self.policies)?;
        let mut state = self.simulator.state();
        let world = &mut state.world;
        let trust = self.trust.unwrap_or_else(|| {
            format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "{}"}}}}}}"#,
                account_of(&self.arn)
            )
        });
        let own_id = match world.roles.get(&self.arn) {
            Some(role) => role.id.clone(),
            None => unique("AROA", 17),
        };
        // A role may name itself.
        let resolve = |arn: &str| match arn == self.arn {
            true => Some(own_id.clone()),
            false => world.unique_id(arn),
        };
        let trust = Policy::trust(&trust, &resolve)
            .map_err(|error| IamError::malformed_policy(&self.arn, error))?;
        for (arn, json) in &self.managed {
            let policy =
                Policy::permission(json).map_err(|error| IamError::malformed_policy(arn, error))?;
            world.managed.insert(arn.clone(), policy);
        }
        let role = Role {
            id: own_id,
            trust,
            policies,
            max_session_duration: self.max_session_duration,
        };
        world.roles.insert(self.arn, role);
        Ok(())
    }
}

fn read_all(arn: &str, policies: &[String]) -> Result<Vec<Policy>, IamError> {
    let read = policies.iter().map(|json| Policy::permission(json));
    read.collect::<Result<_, _>>()
        .map_err(|error| IamError::malformed_policy(arn, error))
}

pub(super) fn account_of(arn: &str) -> String {
    arn.split(':').nth(4).unwrap_or_default().to_owned()
}

fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// An id as IAM makes them: a prefix that tells the kind, then base-32.
fn unique(prefix: &str, length: usize) -> String {
    const BASE_32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let rest = (0..length).map(|_| char::from(BASE_32[fastrand::usize(..BASE_32.len())]));
    prefix.chars().chain(rest).collect()
}

/// Secrets and tokens.
pub(super) fn random(length: usize) -> String {
    (0..length).map(|_| fastrand::alphanumeric()).collect()
}
