//! The IAM documents that a chain needs: loaded into the simulator, they let this chain through, and
//! nothing else.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_role_chain::policy::{Document, HopPolicies, Source, TRUST_POLICY_LIMIT};
use aws_role_chain::test_util::Simulator;
use aws_role_chain::{
    Error, GetSessionToken, MfaRequest, Role, RoleChain, SamlAssertion, Totp, WebIdentityToken,
};
use aws_types::SdkConfig;
use common::log::Log;
use common::tokens::{Claims, GOOD, SAML_PROVIDER, assertion, web_identity_token};
use common::*;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

const HOME: &str = "111111111111";
const OTHER_USER: &str = "arn:aws:iam::111111111111:user/refunds";
const STRANGER: &str = "arn:aws:iam::444444444444:user/orders";
/// A role to start from, with a path, as an instance's.
const SERVICE: &str = "arn:aws:iam::111111111111:role/services/eu/Orders";
const OTHER_SERVICE: &str = "arn:aws:iam::111111111111:role/Orders";
const HOME_ROLE: &str = "arn:aws:iam::111111111111:role/teams/Writer";
/// The last hop's, in an account of its own and in that of the role before.
const LAST: &str = TENANT;
const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD";
const OIDC_PROVIDER: &str =
    "arn:aws:iam::222222222222:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABCD";
const SUBJECT: &str = "system:serviceaccount:orders:writer";

/// What a chain asks for, from where: all that can be asked for otherwise.
#[derive(Clone, Debug, PartialEq)]
struct Asks {
    start: Start,
    roles: Vec<RoleAsks>,
}

#[derive(Clone, Debug, PartialEq)]
enum Start {
    /// A user's keys, or a role's session.
    Caller {
        arn: &'static str,
        mfa: Mfa,
    },
    WebIdentity {
        audience: &'static str,
        subject: &'static str,
    },
    Saml {
        recipient: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mfa {
    None,
    Code,
    /// A session token with a code, used so many minutes later.
    Session(u32),
    /// A session token without.
    Unproved,
}

#[derive(Clone, Debug, PartialEq)]
struct RoleAsks {
    arn: String,
    external_id: Option<&'static str>,
    tags: Vec<(&'static str, &'static str, bool)>,
    source_identity: Option<&'static str>,
    context: Option<&'static str>,
}

impl RoleAsks {
    fn new(arn: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            external_id: None,
            tags: Vec::new(),
            source_identity: None,
            context: None,
        }
    }

    fn role(&self) -> Role {
        let mut role = Role::new(&*self.arn).session_name("orders");
        if let Some(id) = self.external_id {
            role = role.external_id(id);
        }
        for (key, value, transitive) in &self.tags {
            role = match transitive {
                true => role.transitive_tag(*key, *value),
                false => role.tag(*key, *value),
            };
        }
        if let Some(identity) = self.source_identity {
            role = role.source_identity(identity);
        }
        if let Some(provider) = self.context {
            role = role.provided_context(provider, "assertion");
        }
        role
    }
}

/// Accounts with all who might ask; each may do anything at all, unless documents say what.
struct World {
    aws: Simulator,
    keys: Vec<(&'static str, Credentials)>,
    device: String,
}

impl World {
    /// With the documents, if there are any; the caller may do then what they say only.
    fn new(caller: Option<&str>, hops: &[HopPolicies]) -> Self {
        static DEVICES: AtomicUsize = AtomicUsize::new(0);
        let aws = Simulator::new();
        // A code is good once in a process, so each world has a device of its own.
        let n = DEVICES.fetch_add(1, Ordering::Relaxed);
        let device = format!("arn:aws:iam::{HOME}:mfa/orders-{n}");
        let of = |caller: &str| -> Option<&Document> {
            let hop = hops.iter().find(|hop| hop.caller == caller)?;
            hop.permission_policy.as_ref()
        };
        let boot = "arn:aws:iam::111111111111:user/boot";
        let keys = [USER, OTHER_USER, STRANGER, boot].map(|arn| {
            let mut user = aws.user(arn);
            if arn == USER {
                let secret = Totp::from_secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
                user = user.mfa_device(&*device, secret);
            }
            match (caller == Some(arn), of(arn)) {
                (false, _) => user = user.policy(allow("sts:*")),
                (true, Some(document)) => user = user.policy(document.to_string()),
                (true, None) => {}
            }
            (arn, user.create().unwrap())
        });
        for arn in [SERVICE, OTHER_SERVICE] {
            let mut role = aws.role(arn);
            match (caller == Some(arn), of(arn)) {
                (false, _) => role = role.policy(allow("sts:*")),
                (true, Some(document)) => role = role.policy(document.compact()),
                (true, None) => {}
            }
            role.create().unwrap();
        }
        let key = include_str!("keys/oidc-public.pem");
        aws.oidc_provider(OIDC_PROVIDER, &["sts.amazonaws.com", "other"], key)
            .unwrap();
        aws.saml_provider(SAML_PROVIDER);
        for hop in hops {
            let mut role = aws.role(&*hop.role_arn).trust(hop.trust_policy.to_string());
            if let Some(document) = of(&hop.role_arn) {
                role = role.policy(document.to_string());
            }
            role.create().unwrap();
            // Beside each role another that trusts the account, which may not be assumed.
            let account = hop.caller.split(':').nth(4).unwrap();
            aws.role(format!("{}2", hop.role_arn))
                .trust(trusts(account))
                .create()
                .unwrap();
        }
        let keys = keys.into_iter().collect();
        Self { aws, keys, device }
    }

    fn base(&self, arn: &str) -> SdkConfig {
        let keys = |arn: &str| {
            let keys = self.keys.iter().find(|(user, _)| *user == arn);
            self.aws.sdk_config(keys.unwrap().1.clone())
        };
        match arn.contains(":role/") {
            false => keys(arn),
            true => {
                let boot = keys("arn:aws:iam::111111111111:user/boot");
                let session = RoleChain::new(&boot, Role::new(arn)).unwrap();
                let config = self.aws.sdk_config(self.keys[0].1.clone()).into_builder();
                let provider = SharedCredentialsProvider::new(session);
                config.credentials_provider(provider).build()
            }
        }
    }

    /// The chain, with what must be loaded first and how long before.
    fn chain(&self, asks: &Asks) -> Result<(RoleChain, Option<(RoleChain, u32)>), Error> {
        let (first, others) = asks.roles.split_first().unwrap();
        let mut early = None;
        let mut chain = match &asks.start {
            Start::Caller { arn, mfa } => {
                let aws = self.aws.clone();
                let code = move |request: MfaRequest| {
                    let code = aws.mfa_code(&request.serial);
                    async move { code.ok_or("no device") }
                };
                let base = self.base(arn);
                let session = |request| RoleChain::from_session_token(&base, request);
                let request = GetSessionToken::new();
                match mfa {
                    Mfa::None => RoleChain::new(&base, first.role())?,
                    Mfa::Code => RoleChain::new(&base, first.role().mfa(&*self.device, code))?,
                    Mfa::Unproved => session(request)?.assume(first.role())?,
                    Mfa::Session(minutes) => {
                        let session = session(request.mfa(&*self.device, code))?;
                        early = Some((session.clone(), *minutes));
                        session.assume(first.role())?
                    }
                }
            }
            Start::WebIdentity { audience, subject } => {
                let claims = json!({"iss": ISSUER, "sub": subject, "aud": audience});
                let token = web_identity_token(&self.aws, claims);
                let token = WebIdentityToken::from_provider(move || {
                    let token = token.clone();
                    async { Ok::<_, Error>(token) }
                });
                let base = self.base(USER);
                RoleChain::from_web_identity(&base, Role::new(&*first.arn), token)?
            }
            Start::Saml { recipient } => {
                let claims = Claims { recipient, ..GOOD };
                let assertion = assertion(&self.aws, &claims);
                let assertion = SamlAssertion::from_provider(move || {
                    let assertion = assertion.clone();
                    async { Ok::<_, Error>(assertion) }
                });
                let role = Role::new(&*first.arn);
                RoleChain::from_saml(&self.base(USER), role, SAML_PROVIDER, assertion)?
            }
        };
        for role in others {
            chain = chain.assume(role.role())?;
        }
        Ok((chain, early))
    }

    /// Whether IAM lets the chain through. Chains that this crate itself refuses are not let through.
    async fn lets_through(&self, asks: &Asks) -> bool {
        // To the next code.
        self.aws.clock().advance(MINUTE).await;
        let (chain, early) = match self.chain(asks) {
            Ok(chain) => chain,
            Err(error) => {
                assert!(error.is_invalid(), "{error}");
                return false;
            }
        };
        if let Some((session, minutes)) = early {
            session.refresh().await.unwrap();
            self.aws.clock().advance(MINUTE * minutes).await;
        }
        match chain.refresh().await {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_access_denied(), "{asks:?}: {error}");
                false
            }
        }
    }
}

/// A chain with its documents' options.
#[derive(Clone, Debug)]
struct Case {
    asks: Asks,
    source: Source,
}

impl Case {
    fn caller(&self) -> Option<&'static str> {
        match &self.asks.start {
            Start::Caller { arn, .. } => Some(arn),
            _ => None,
        }
    }

    fn documents(&self) -> Vec<HopPolicies> {
        let (chain, _) = World::new(None, &[]).chain(&self.asks).unwrap();
        chain.policies(self.source.clone()).unwrap()
    }
}

/// Every combination.
fn cases(exact: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let callers = [
        (USER, HUB),
        (USER, HOME_ROLE),
        (SERVICE, HUB),
        (SERVICE, HOME_ROLE),
    ];
    let plain = ("cost-centre", "7", false);
    let transitive = ("team", "payments", true);
    let tags = [
        vec![],
        vec![plain],
        vec![transitive],
        vec![plain, transitive],
    ];
    let starts = callers.into_iter().flat_map(|(arn, role)| {
        let all = [Mfa::None, Mfa::Code, Mfa::Session(0), Mfa::Session(50)];
        let possible = if arn == USER { &all[..] } else { &all[..1] };
        let start = move |mfa: &Mfa| (Start::Caller { arn, mfa: *mfa }, role);
        possible.iter().map(start).collect::<Vec<_>>()
    });
    for (start, role) in starts {
        for external_id in [None, Some("c0ffee")] {
            for tags in &tags {
                for source_identity in [None, Some("ada")] {
                    let first = RoleAsks {
                        external_id,
                        tags: tags.clone(),
                        source_identity,
                        ..RoleAsks::new(role)
                    };
                    let Start::Caller { arn, mfa } = start else {
                        unreachable!()
                    };
                    let mut source = Source::arn(arn);
                    if mfa == Mfa::Session(50) {
                        source = source.mfa_max_age(HOUR);
                    }
                    cases.extend(with_second_hop(start.clone(), first, source, exact));
                }
            }
        }
    }
    let federated = [
        (
            Start::WebIdentity {
                audience: "sts.amazonaws.com",
                subject: SUBJECT,
            },
            Source::eks(ISSUER, "orders", "writer"),
        ),
        (
            Start::Saml {
                recipient: GOOD.recipient,
            },
            Source::saml(),
        ),
    ];
    for (start, source) in federated {
        let first = RoleAsks::new(HUB);
        cases.extend(with_second_hop(start, first, source, exact));
    }
    cases
}

/// The first hop alone, and with a second one: in its account or another, that asks for nothing or for
/// everything.
fn with_second_hop(start: Start, first: RoleAsks, source: Source, exact: bool) -> Vec<Case> {
    let source = if exact { source.exact() } else { source };
    let near = first.arn.replace("role/", "role/near/");
    let mut roles = vec![vec![first.clone()]];
    for arn in [LAST, &near] {
        let second = RoleAsks::new(arn);
        let eager = RoleAsks {
            external_id: Some("second-id"),
            tags: vec![("Region", "eu", false), ("stage", "live", true)],
            source_identity: first.source_identity.or(Some("grace")),
            context: Some("arn:aws:iam::aws:contextProvider/IdentityCenter"),
            ..second.clone()
        };
        roles.extend([second, eager].map(|second| vec![first.clone(), second]));
    }
    let case = |roles| Case {
        asks: Asks {
            start: start.clone(),
            roles,
        },
        source: source.clone(),
    };
    roles.into_iter().map(case).collect()
}

/// The same with any one thing changed.
fn changed(asks: &Asks) -> Vec<Asks> {
    let mut all = Vec::new();
    let mut start = |start: Start| {
        all.push(Asks {
            start,
            roles: asks.roles.clone(),
        });
    };
    match &asks.start {
        Start::Caller { arn, mfa } => {
            let others: &[&'static str] = match *arn {
                USER => &[OTHER_USER, STRANGER, SERVICE],
                _ => &[OTHER_SERVICE, USER, STRANGER],
            };
            for arn in others {
                // Another has no device of the user's.
                let mfa = Mfa::None;
                start(Start::Caller { arn, mfa });
            }
            let less: &[Mfa] = match mfa {
                Mfa::Session(50) => &[Mfa::None, Mfa::Unproved, Mfa::Session(61)],
                Mfa::Code | Mfa::Session(_) => &[Mfa::None, Mfa::Unproved],
                _ => &[],
            };
            for mfa in less {
                start(Start::Caller { arn, mfa: *mfa });
            }
        }
        Start::WebIdentity { audience, subject } => {
            start(Start::WebIdentity {
                audience: "other",
                subject,
            });
            start(Start::WebIdentity {
                audience,
                subject: "system:serviceaccount:orders:other",
            });
        }
        Start::Saml { .. } => start(Start::Saml {
            recipient: "https://eu-west-1.signin.aws.amazon.com/saml",
        }),
    }
    let federated = !matches!(asks.start, Start::Caller { .. });
    for (hop, role) in asks.roles.iter().enumerate() {
        let mut change = |change: &dyn Fn(&mut RoleAsks)| {
            let mut changed = asks.clone();
            change(&mut changed.roles[hop]);
            all.push(changed);
        };
        if federated && hop == 0 {
            // An assertion names its role, and a token's role has nothing else to change.
            continue;
        }
        change(&|role| role.arn += "2");
        if role.external_id.is_some() {
            change(&|role| role.external_id = None);
            change(&|role| role.external_id = Some("tea"));
        }
        for n in 0..role.tags.len() {
            change(&|role| drop(role.tags.remove(n)));
            change(&|role| role.tags[n].1 = "other");
            if !role.tags[n].2 {
                change(&|role| role.tags[n].2 = true);
            }
        }
        change(&|role| role.tags.push(("extra", "x", false)));
        change(&|role| role.tags.push(("extra", "x", true)));
        let inherited = hop > 0 && asks.roles[0].source_identity.is_some();
        change(&|role| role.source_identity = Some("mallory"));
        // One that is inherited need not be passed.
        if role.source_identity.is_some() && !inherited {
            change(&|role| role.source_identity = None);
        }
        change(&|role| role.context = Some("arn:aws:iam::aws:contextProvider/Other"));
    }
    if asks.roles.len() > 1 {
        let mut without_first = asks.clone();
        without_first.roles.remove(0);
        if !federated {
            all.push(without_first);
        }
    }
    all
}

/// All cases whose principals are named so. What was tried with the same documents is not tried again: a
/// second hop's are the same behind most first ones.
async fn try_all(exact: bool) {
    let (mut tried, mut refused) = (0, 0);
    let mut seen = HashSet::new();
    for case in cases(exact) {
        let documents = case.documents();
        let world = World::new(case.caller(), &documents);
        assert!(world.lets_through(&case.asks).await, "{case:?}");
        tried += 1;
        let hop = documents.last().unwrap();
        let asks = match hop.hop {
            1 | 2 if documents.len() == 1 => format!("{:?}", case.asks),
            _ => String::new(),
        };
        let permission = hop.permission_policy.as_ref().map(Document::compact);
        if !seen.insert((hop.trust_policy.compact(), permission, asks)) {
            continue;
        }
        for changed in changed(&case.asks) {
            assert_ne!(changed, case.asks);
            let through = world.lets_through(&changed).await;
            assert!(!through, "{case:?} let through {changed:?}");
            refused += 1;
        }
    }
    println!("{tried} chains let through, {refused} changes refused");
    assert!(tried > 500 && refused > 1000, "{tried}, {refused}");
}

#[tokio::test(start_paused = true)]
async fn documents_for_accounts_let_a_chain_through_and_nothing_else() {
    try_all(false).await;
}

#[tokio::test(start_paused = true)]
async fn documents_for_exact_principals_let_a_chain_through_and_nothing_else() {
    try_all(true).await;
}
