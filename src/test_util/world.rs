//! What IAM holds: users, roles and the sessions that STS gave out.

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;

use super::Simulator;
use super::policy::{Context, Policy, Verdict};

#[derive(Default)]
pub(super) struct World {
    users: HashMap<String, User>,
    roles: HashMap<String, Role>,
    /// By access key id.
    keys: HashMap<String, Key>,
    managed: HashMap<String, Policy>,
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

/// A role session.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) role_arn: String,
    /// The role as it was: one made again under the same ARN is another.
    pub(super) role_id: String,
    pub(super) name: String,
    pub(super) token: String,
    pub(super) issued: SystemTime,
    pub(super) expiry: SystemTime,
    /// Session policies: an action needs one of them, if there are any.
    pub(super) policies: Vec<Policy>,
    pub(super) tags: Vec<SessionTag>,
    pub(super) source_identity: Option<String>,
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
        context.set("aws:PrincipalArn", &*self.principal_arn);
        context.set("aws:PrincipalAccount", &*self.account);
        context.set("aws:userid", &*self.user_id);
        context.set("aws:SecureTransport", "true");
        match &self.session {
            Some(session) => {
                context.set("aws:PrincipalType", "AssumedRole");
                context.set("aws:MultiFactorAuthPresent", "false");
                context.set(
                    "aws:TokenIssueTime",
                    crate::error::timestamp(session.issued),
                );
                if let Some(identity) = &session.source_identity {
                    context.set("aws:SourceIdentity", identity);
                }
                for tag in &session.tags {
                    context.set(&format!("aws:PrincipalTag/{}", tag.key), &*tag.value);
                }
            }
            None => {
                context.set("aws:PrincipalType", "User");
                context.set("aws:username", last_part(&self.arn));
            }
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

    /// The owner of a key; none where its role is gone.
    pub(super) fn caller(&self, owner: &Owner) -> Option<Caller> {
        match owner {
            Owner::User(arn) => {
                let user = self.users.get(arn)?;
                Some(Caller {
                    account: account_of(arn),
                    arn: arn.clone(),
                    principal_arn: arn.clone(),
                    user_id: user.id.clone(),
                    principal_id: user.id.clone(),
                    session: None,
                    policies: user.policies.clone(),
                })
            }
            Owner::Session(session) => {
                let role = self.roles.get(&session.role_arn)?;
                (role.id == session.role_id).then(|| Caller {
                    account: account_of(&session.role_arn),
                    arn: session.arn(),
                    principal_arn: session.role_arn.clone(),
                    user_id: format!("{}:{}", role.id, session.name),
                    principal_id: role.id.clone(),
                    session: Some(session.clone()),
                    policies: role.policies.clone(),
                })
            }
        }
    }

    /// Gives out a session's keys: id and secret.
    pub(super) fn issue(&mut self, session: Session) -> (String, String) {
        let id = unique("ASIA", 16);
        let secret = random(40);
        let key = Key {
            secret: secret.clone(),
            owner: Owner::Session(session),
        };
        self.keys.insert(id.clone(), key);
        (id, secret)
    }

    fn unique_id(&self, arn: &str) -> Option<String> {
        let user = self.users.get(arn).map(|user| &user.id);
        user.or_else(|| self.roles.get(arn).map(|role| &role.id))
            .cloned()
    }
}

impl Session {
    /// The session's own ARN, which leaves out the role's path.
    pub(super) fn arn(&self) -> String {
        let partition = self.role_arn.split(':').nth(1).unwrap_or_default();
        let account = account_of(&self.role_arn);
        let role = last_part(&self.role_arn);
        format!(
            "arn:{partition}:sts::{account}:assumed-role/{role}/{}",
            self.name
        )
    }
}

/// A document that IAM does not take, with IAM's code.
#[derive(Clone, Debug)]
pub struct MalformedPolicy(String);

impl fmt::Display for MalformedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MalformedPolicyDocument: {}", self.0)
    }
}

impl std::error::Error for MalformedPolicy {}

/// Makes an IAM user; see [`Simulator::user`].
#[must_use = "nothing is made before create()"]
pub struct UserBuilder {
    simulator: Simulator,
    arn: String,
    policies: Vec<String>,
}

impl UserBuilder {
    pub(super) fn new(simulator: Simulator, arn: String) -> Self {
        Self {
            simulator,
            arn,
            policies: Vec::new(),
        }
    }

    /// Adds an identity policy, as JSON.
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policies.push(json.into());
        self
    }

    /// Makes the user, or changes the policies of the one there is, and gives a new access key.
    ///
    /// # Errors
    ///
    /// A document that IAM does not take.
    pub fn create(self) -> Result<Credentials, MalformedPolicy> {
        let policies = read_all(&self.policies)?;
        let mut state = self.simulator.state();
        let world = &mut state.world;
        let id = match world.users.get(&self.arn) {
            Some(user) => user.id.clone(),
            None => unique("AIDA", 17),
        };
        world.users.insert(self.arn.clone(), User { id, policies });
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

    /// `MaxSessionDuration`, 3,600 to 43,200 s. Default: 3,600 s.
    pub fn max_session_duration(mut self, duration: std::time::Duration) -> Self {
        self.max_session_duration = duration.as_secs().clamp(3600, 43_200) as i64;
        self
    }

    /// Makes the role, or changes the one there is. Sessions that are out stay good, with the new
    /// permissions.
    ///
    /// # Errors
    ///
    /// A document that IAM does not take, or a principal that is not there.
    pub fn create(self) -> Result<(), MalformedPolicy> {
        let policies = read_all(&self.policies)?;
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
        let trust = Policy::trust(&trust, &resolve).map_err(MalformedPolicy)?;
        for (arn, json) in &self.managed {
            let policy = Policy::permission(json).map_err(MalformedPolicy)?;
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

fn read_all(policies: &[String]) -> Result<Vec<Policy>, MalformedPolicy> {
    let read = policies.iter().map(|json| Policy::permission(json));
    read.collect::<Result<_, _>>().map_err(MalformedPolicy)
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
