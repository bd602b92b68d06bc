//! The policies that a chain needs: in the simulator, they allow this chain and nothing else.

use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::example::Said;
use crate::common::log::Log;
use crate::common::ministack::Ministack;
use crate::common::tokens::{Claims, GOOD, SAML_PROVIDER, assertion, web_identity_token};
use crate::common::*;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_role_chain::policy::{Document, HopPolicies, Principal, TRUST_POLICY_LIMIT};
use aws_role_chain::{
    Error, MfaRequest, Role, RoleChain, SamlAssertion, SessionTokenRequest, WebIdentityToken,
};
use aws_types::SdkConfig;
use serde_json::{Value, json};
use sts_simulator::Simulator;
use tracing_subscriber::filter::LevelFilter;

const OTHER_USER: &str = "arn:aws:iam::111111111111:user/refunds";
const STRANGER: &str = "arn:aws:iam::444444444444:user/orders";
/// A role with a path, as the source of a chain, such as an instance's role.
const SERVICE: &str = "arn:aws:iam::111111111111:role/services/eu/Orders";
const OTHER_SERVICE: &str = "arn:aws:iam::111111111111:role/Refunds";
const HOME_ROLE: &str = "arn:aws:iam::111111111111:role/teams/Writer";
/// The role of the last hop, in another account than the previous role.
const LAST: &str = TENANT;
const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD";
const OIDC_PROVIDER: &str =
    "arn:aws:iam::222222222222:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABCD";
const SUBJECT: &str = "system:serviceaccount:orders:writer";

/// Where a chain starts and what its hops request: everything that the documents can restrict.
#[derive(Clone, Debug, PartialEq)]
struct ChainSpec {
    start: Start,
    roles: Vec<RoleSpec>,
}

#[derive(Clone, Debug, PartialEq)]
enum Start {
    /// The keys of a user, or a session of a role.
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
    /// A session token that was requested with a code, used this many minutes later.
    Session(u32),
    /// A session token without a code.
    Unproved,
}

#[derive(Clone, Debug, PartialEq)]
struct RoleSpec {
    arn: String,
    external_id: Option<&'static str>,
    tags: Vec<(&'static str, &'static str, bool)>,
    source_identity: Option<&'static str>,
    context: Option<&'static str>,
}

impl RoleSpec {
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
            role = if *transitive {
                role.transitive_tag(*key, *value)
            } else {
                role.tag(*key, *value)
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

/// The accounts with all callers. A caller has all permissions, unless documents restrict it.
struct World {
    aws: Simulator,
    keys: Vec<(&'static str, Credentials)>,
    device: String,
}

impl World {
    /// Creates the roles of the documents, if there are any. The caller then has only the permissions in the documents.
    fn new(caller: Option<&str>, hops: &[HopPolicies]) -> Self {
        static DEVICES: AtomicUsize = AtomicUsize::new(0);
        let aws = Simulator::new();
        // A code is sent only once per process, so each world has a device of its own.
        let n = DEVICES.fetch_add(1, Ordering::Relaxed);
        let device = new_device(&format!("orders-{n}"));
        let of = |caller: &str| -> Option<&Document> {
            let hop = hops.iter().find(|hop| hop.caller == caller)?;
            hop.permission_policy.as_ref()
        };
        let boot = "arn:aws:iam::111111111111:user/boot";
        let keys = [USER, OTHER_USER, STRANGER, boot].map(|arn| {
            let mut user = aws.user(arn);
            if arn == USER {
                user = user.mfa_device(&*device, MFA_SECRET);
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
        let key = include_str!("../keys/oidc-public.pem");
        aws.oidc_provider(OIDC_PROVIDER, &["sts.amazonaws.com", "other"], key)
            .unwrap();
        aws.saml_provider_without_signatures(SAML_PROVIDER);
        for provider in ["IdentityCenter", "Other"] {
            let provider = format!("arn:aws:iam::aws:contextProvider/{provider}");
            aws.context_assertion(provider, "assertion");
        }
        for hop in hops {
            let mut role = aws.role(&*hop.role_arn).trust(hop.trust_policy.to_string());
            if let Some(document) = of(&hop.role_arn) {
                role = role.policy(document.to_string());
            }
            role.create().unwrap();
            // For each role there is another one that trusts the account. The chain must not be allowed to assume it.
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
        if arn.contains(":role/") {
            let boot = keys("arn:aws:iam::111111111111:user/boot");
            let session = RoleChain::new(&boot, Role::new(arn)).unwrap();
            let config = self.aws.sdk_config(self.keys[0].1.clone()).into_builder();
            let provider = SharedCredentialsProvider::new(session);
            config.credentials_provider(provider).build()
        } else {
            keys(arn)
        }
    }

    /// Builds the chain. Also returns a chain that must be loaded first, and how many minutes earlier.
    fn chain(&self, spec: &ChainSpec) -> Result<(RoleChain, Option<(RoleChain, u32)>), Error> {
        let (first, others) = spec.roles.split_first().unwrap();
        let mut early = None;
        let mut chain = match &spec.start {
            Start::Caller { arn, mfa } => {
                let aws = self.aws.clone();
                let code = move |request: MfaRequest| {
                    let code = aws.mfa_code(&request.serial);
                    async move { code.ok_or("no device") }
                };
                let base = self.base(arn);
                let session = |request| RoleChain::from_session_token(&base, request);
                let request = SessionTokenRequest::new();
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

    /// Returns whether IAM allows the chain. A chain that this crate itself rejects counts as not allowed.
    async fn admits(&self, spec: &ChainSpec) -> bool {
        // Moves the clock to the next code of the device.
        self.aws.clock().advance(MINUTE).await;
        let (chain, early) = match self.chain(spec) {
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
                assert!(error.is_access_denied(), "{spec:?}: {error}");
                false
            }
        }
    }
}

/// A chain, and the principal that its documents are for.
#[derive(Clone, Debug)]
struct Case {
    spec: ChainSpec,
    source: Principal,
}

impl Case {
    fn caller(&self) -> Option<&'static str> {
        match &self.spec.start {
            Start::Caller { arn, .. } => Some(arn),
            _ => None,
        }
    }

    fn documents(&self) -> Vec<HopPolicies> {
        let (chain, _) = World::new(None, &[]).chain(&self.spec).unwrap();
        chain.policies(self.source.clone()).unwrap()
    }
}

/// All combinations of starts and settings.
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
        let all = [Mfa::None, Mfa::Code, Mfa::Session(50)];
        let possible = if arn == USER { &all[..] } else { &all[..1] };
        let start = move |mfa: &Mfa| (Start::Caller { arn, mfa: *mfa }, role);
        possible.iter().map(start).collect::<Vec<_>>()
    });
    for (start, role) in starts {
        for external_id in [None, Some("c0ffee")] {
            for tags in &tags {
                for source_identity in [None, Some("ada")] {
                    let first = RoleSpec {
                        external_id,
                        tags: tags.clone(),
                        source_identity,
                        ..RoleSpec::new(role)
                    };
                    let Start::Caller { arn, mfa } = start else {
                        unreachable!()
                    };
                    let mut source = Principal::arn(arn);
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
            Principal::eks(ISSUER, "orders", "writer"),
        ),
        (
            Start::Saml {
                recipient: GOOD.recipient,
            },
            Principal::saml(),
        ),
    ];
    for (start, source) in federated {
        let first = RoleSpec::new(HUB);
        cases.extend(with_second_hop(start, first, source, exact));
    }
    cases
}

/// Returns cases with the first hop alone and with a second hop, in the same account or another, with no settings or
/// all.
fn with_second_hop(start: Start, first: RoleSpec, source: Principal, exact: bool) -> Vec<Case> {
    let source = if exact { source.exact() } else { source };
    let near = first.arn.replace("role/", "role/near/") + "Near";
    let mut roles = vec![vec![first.clone()]];
    for arn in [LAST, &near] {
        let second = RoleSpec::new(arn);
        let eager = RoleSpec {
            external_id: Some("second-id"),
            tags: vec![("Region", "eu", false), ("stage", "live", true)],
            source_identity: first.source_identity.or(Some("grace")),
            context: Some("arn:aws:iam::aws:contextProvider/IdentityCenter"),
            ..second.clone()
        };
        roles.extend([second, eager].map(|second| vec![first.clone(), second]));
    }
    let case = |roles| Case {
        spec: ChainSpec {
            start: start.clone(),
            roles,
        },
        source: source.clone(),
    };
    roles.into_iter().map(case).collect()
}

/// Returns the chains that differ from this one in a single setting.
fn changed(spec: &ChainSpec) -> Vec<ChainSpec> {
    let mut all = Vec::new();
    let mut start = |start: Start| {
        all.push(ChainSpec {
            start,
            roles: spec.roles.clone(),
        });
    };
    match &spec.start {
        Start::Caller { arn, mfa } => {
            let others: &[&'static str] = match *arn {
                USER => &[OTHER_USER, STRANGER, SERVICE],
                _ => &[OTHER_SERVICE, USER, STRANGER],
            };
            for arn in others {
                // Another caller does not have the user's device.
                let mfa = Mfa::None;
                start(Start::Caller { arn, mfa });
            }
            let less: &[Mfa] = match mfa {
                Mfa::Session(50) => &[Mfa::None, Mfa::Unproved, Mfa::Session(61)],
                Mfa::Code => &[Mfa::None, Mfa::Unproved],
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
    let federated = !matches!(spec.start, Start::Caller { .. });
    for (hop, role) in spec.roles.iter().enumerate() {
        let mut change = |change: &dyn Fn(&mut RoleSpec)| {
            let mut changed = spec.clone();
            change(&mut changed.roles[hop]);
            all.push(changed);
        };
        if federated && hop == 0 {
            // An assertion names its role, and the role of a token has no other settings.
            continue;
        }
        change(&|role| role.arn += "2");
        if role.external_id.is_some() {
            change(&|role| role.external_id = None);
            change(&|role| role.external_id = Some("tea"));
        }
        for n in 0..role.tags.len() {
            change(&|role| {
                role.tags.remove(n);
            });
            change(&|role| role.tags[n].1 = "other");
            if !role.tags[n].2 {
                change(&|role| role.tags[n].2 = true);
            }
        }
        change(&|role| role.tags.push(("extra", "x", false)));
        change(&|role| role.tags.push(("extra", "x", true)));
        let inherited = hop > 0 && spec.roles[0].source_identity.is_some();
        change(&|role| role.source_identity = Some("mallory"));
        // An inherited source identity need not be sent.
        if role.source_identity.is_some() && !inherited {
            change(&|role| role.source_identity = None);
        }
        change(&|role| role.context = Some("arn:aws:iam::aws:contextProvider/Other"));
    }
    if spec.roles.len() > 1 {
        let mut without_first = spec.clone();
        without_first.roles.remove(0);
        if !federated {
            all.push(without_first);
        }
    }
    all
}

/// Tests all cases. The changes of a case are skipped if its documents were seen before: those of a second hop are the
/// same after most first hops.
async fn try_all(exact: bool) {
    let (mut tried, mut refused) = (0, 0);
    let mut seen = HashSet::new();
    for case in cases(exact) {
        let documents = case.documents();
        let world = World::new(case.caller(), &documents);
        assert!(world.admits(&case.spec).await, "{case:?}");
        tried += 1;
        let hop = documents.last().unwrap();
        let spec = (documents.len() == 1).then(|| format!("{:?}", case.spec));
        let permission = hop.permission_policy.as_ref().map(Document::compact);
        if !seen.insert((hop.trust_policy.compact(), permission, spec)) {
            continue;
        }
        for changed in changed(&case.spec) {
            assert_ne!(changed, case.spec);
            let through = world.admits(&changed).await;
            assert!(!through, "{case:?} let through {changed:?}");
            refused += 1;
        }
    }
    println!("{tried} chains let through, {refused} changes refused");
    assert!(tried > 500 && refused > 1000, "{tried}, {refused}");
}

#[tokio::test(start_paused = true)]
async fn documents_that_trust_accounts_admit_the_chain_and_nothing_else() {
    try_all(false).await;
}

#[tokio::test(start_paused = true)]
async fn documents_that_trust_exact_principals_admit_the_chain_and_nothing_else() {
    try_all(true).await;
}

#[tokio::test(start_paused = true)]
async fn an_inherited_source_identity_is_required_whatever_the_previous_role_admits() {
    let spec = |source_identity| {
        let first = RoleSpec {
            source_identity,
            ..RoleSpec::new(HUB)
        };
        let start = Start::Caller {
            arn: USER,
            mfa: Mfa::None,
        };
        ChainSpec {
            start,
            roles: vec![first, RoleSpec::new(LAST)],
        }
    };
    let case = Case {
        spec: spec(Some("ada")),
        source: USER.into(),
    };
    let documents = case.documents();
    let world = World::new(None, &documents);
    let permission = documents[1].permission_policy.as_ref().unwrap();
    let hub = world.aws.role(HUB).trust(trusts(USER));
    hub.policy(permission.compact()).create().unwrap();
    assert!(world.admits(&case.spec).await);
    for other in [None, Some("mallory")] {
        assert!(!world.admits(&spec(other)).await, "{other:?}");
    }
}

#[test]
fn the_documents_read_like_the_examples_of_iam() {
    let role = RoleSpec {
        external_id: Some("c0ffee"),
        tags: vec![("team", "payments", true), ("cost centre", "7", false)],
        source_identity: Some("ada"),
        ..RoleSpec::new(HUB)
    };
    let start = Start::Caller {
        arn: USER,
        mfa: Mfa::Session(0),
    };
    let second = RoleSpec::new(TENANT);
    let spec = ChainSpec {
        start,
        roles: vec![role, second],
    };
    let source = Principal::arn(USER).mfa_max_age(HOUR);
    let hops = Case { spec, source }.documents();
    let [first, second] = &hops[..] else {
        panic!("{hops:?}")
    };
    assert_eq!(
        (first.hop, &*first.role_arn, &*first.account, &*first.caller),
        (2, HUB, "222222222222", USER),
        "the session token is the first hop"
    );
    assert_eq!(
        (
            second.hop,
            &*second.role_arn,
            &*second.account,
            &*second.caller
        ),
        (3, TENANT, "333333333333", HUB)
    );
    let user = r#"{"AWS":"arn:aws:iam::111111111111:root"}"#;
    let hub = r#"{"AWS":"arn:aws:iam::222222222222:root"}"#;
    let trust = |statements: &[(&str, &str, &str)]| -> String {
        let statements: Vec<_> = statements.iter().map(|(action, principal, condition)| {
            format!(r#"{{"Sid":"{action}","Effect":"Allow","Principal":{principal},"Action":"sts:{action}","Condition":{{{condition}}}}}"#)
        }).collect();
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            statements.join(",")
        )
    };
    assert_eq!(
        first.trust_policy.compact(),
        trust(&[
            (
                "AssumeRole",
                user,
                r#""StringEquals":{"sts:ExternalId":"c0ffee","aws:RequestTag/team":"payments","aws:RequestTag/cost centre":"7","sts:SourceIdentity":"ada"},"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/orders"}"#
            ),
            (
                "TagSession",
                user,
                r#""StringEquals":{"aws:RequestTag/team":"payments","aws:RequestTag/cost centre":"7"},"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost centre"],"sts:TransitiveTagKeys":"team"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/orders"}"#
            ),
            (
                "SetSourceIdentity",
                user,
                r#""StringEquals":{"sts:SourceIdentity":"ada"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/orders"}"#
            ),
        ])
    );
    assert_eq!(
        second.trust_policy.compact(),
        trust(&[
            (
                "AssumeRole",
                hub,
                r#""StringEquals":{"aws:SourceIdentity":"ada"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::222222222222:role/Hub"}"#
            ),
            (
                "TagSession",
                hub,
                r#""ForAllValues:StringEquals":{"aws:TagKeys":"team","sts:TransitiveTagKeys":"team"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::222222222222:role/Hub"}"#
            ),
            (
                "SetSourceIdentity",
                hub,
                r#""StringEquals":{"aws:SourceIdentity":"ada"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::222222222222:role/Hub"}"#
            ),
        ])
    );
    assert!(
        second
            .permission_policy
            .as_ref()
            .unwrap()
            .to_string()
            .starts_with(
                r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "AssumeRole",
      "Effect": "Allow",
      "Action": "sts:AssumeRole",
      "Resource": "arn:aws:iam::333333333333:role/FirehoseWriter"
    },
"#
            )
    );
    let debug = format!("{hops:?}");
    assert!(!debug.contains("c0ffee"), "{debug}");
}

fn only_trust(chain: &RoleChain, source: Principal) -> Value {
    let hops = chain.policies(source).unwrap();
    serde_json::from_str(&hops[0].trust_policy.compact()).unwrap()
}

#[test]
fn trust_policies_name_the_identity_provider_audience_and_subject() {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    let token = WebIdentityToken::from_file("unread");
    let pod = RoleChain::from_web_identity(&base, Role::new(HUB), token).unwrap();
    let workflow = Principal::github_actions("octo-org/octo-repo", "ref:refs/heads/main");
    let trust = &only_trust(&pod, workflow)["Statement"][0];
    assert_eq!(
        trust["Principal"],
        json!({"Federated": "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com"})
    );
    assert_eq!(
        trust["Condition"],
        json!({"StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:octo-org/octo-repo:ref:refs/heads/main"}})
    );
    let signs_in = || SamlAssertion::from_provider(async || Ok::<_, Error>("unread".to_owned()));
    for (partition, audience) in [
        ("aws", "https://signin.aws.amazon.com/saml"),
        ("aws-cn", "https://signin.amazonaws.cn/saml"),
        ("aws-us-gov", "https://signin.amazonaws-us-gov.com/saml"),
    ] {
        let of = |arn: &str| arn.replace("arn:aws:", &format!("arn:{partition}:"));
        let role = Role::new(of(HUB));
        let chain = RoleChain::from_saml(&base, role, of(SAML_PROVIDER), signs_in()).unwrap();
        let trust = &only_trust(&chain, Principal::saml())["Statement"][0];
        assert_eq!(trust["Principal"], json!({"Federated": of(SAML_PROVIDER)}));
        assert_eq!(
            trust["Condition"],
            json!({"StringEquals": {"SAML:aud": audience}})
        );
        let elsewhere = only_trust(&chain, Principal::saml_with_audience("https://x/saml"));
        assert_eq!(
            elsewhere["Statement"][0]["Condition"]["StringEquals"]["SAML:aud"],
            "https://x/saml"
        );
    }
}

#[test]
fn the_principal_is_checked() {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let caller = |source: &str| chain.policies(source).map(|hops| hops[0].caller.clone());
    for (source, taken) in [
        (USER, USER),
        (
            "arn:aws:iam::111111111111:role/a/b/C",
            "arn:aws:iam::111111111111:role/a/b/C",
        ),
        (
            "arn:aws:sts::111111111111:assumed-role/Refunds/i-0abc",
            OTHER_SERVICE,
        ),
        (
            "arn:aws:sts::111111111111:assumed-role/Orders/x@y",
            "arn:aws:iam::111111111111:role/Orders",
        ),
    ] {
        assert_eq!(caller(source).unwrap(), taken);
    }
    for (source, reason) in [
        ("", "must be the ARN of a user or role"),
        ("111111111111", "must be the ARN of a user or role"),
        (
            "arn:aws:iam::1:user/orders",
            "must be the ARN of a user or role",
        ),
        (
            "arn:aws:iam::111111111111:group/orders",
            "must be the ARN of a user or role",
        ),
        (
            "arn:aws:iam::111111111111:user/",
            "must be the ARN of a user or role",
        ),
        (
            "arn:aws:sts::111111111111:federated-user/ada",
            "must be the ARN of a user or role",
        ),
        (
            "arn:aws:iam::111111111111:root",
            "root users cannot assume roles",
        ),
        (
            "arn:aws-cn:iam::111111111111:user/orders",
            "in partition aws, like the role",
        ),
        ("arn:aws:iam::111111111111:role/*", "*, ? and $"),
        (
            "arn:aws:iam::111111111111:user/ada lovelace",
            "printable ASCII",
        ),
        (
            "arn:aws:sts::111111111111:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ada",
            "including its path",
        ),
    ] {
        let error = caller(source).unwrap_err();
        assert!(
            error.is_invalid() && error.field() == Some("principal"),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{source}: {error}");
    }
    let session = RoleChain::from_session_token(&base, SessionTokenRequest::new()).unwrap();
    let token = WebIdentityToken::from_file("unread");
    let pod = RoleChain::from_web_identity(&base, Role::new(HUB), token).unwrap();
    let next = pod.assume(Role::new(TENANT)).unwrap();
    let starred = RoleChain::new(&base, Role::new("arn:aws:iam::222222222222:role/*/A")).unwrap();
    let old = |age| Principal::arn(USER).mfa_max_age(age);
    for (chain, source, field, reason) in [
        (&session, USER.into(), "principal", "assumes no role"),
        (
            &chain,
            Principal::saml(),
            "principal",
            "starts with its credentials",
        ),
        (&chain, old(HOUR), "mfa_max_age", "proves no MFA"),
        (
            &chain,
            old(HOUR / 7200),
            "mfa_max_age",
            "at least one second",
        ),
        (&next, USER.into(), "principal", "web identity"),
        (&pod, Principal::eks("", "a", "b"), "principal", "issuer"),
        (&starred, USER.into(), "arn", "pattern"),
    ] {
        let error = chain.policies(source).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_trust_policy_near_its_size_limit_logs_a_warning() {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    let with_id_of = |length| {
        let id = "x".repeat(length);
        let role = Role::new(HUB).external_id(id);
        let chain = RoleChain::new(&base, role).unwrap();
        let (log, _guard) = Log::at(LevelFilter::WARN);
        let hop = chain.policies(USER).unwrap().remove(0);
        (hop.trust_policy.size(), hop.size_warning(), log.text())
    };
    let (size, warning, log) = with_id_of(1000);
    assert!(size < TRUST_POLICY_LIMIT * 9 / 10, "{size}");
    assert_eq!((warning, &*log), (None, ""));
    // An external ID can have at most 1,224 characters, which is too few to reach the limit.
    let tagged = |tags: usize| {
        let tag = |role: Role, n| role.tag(format!("tag{n}"), "x".repeat(200));
        let role = (0..tags).fold(Role::new(HUB), tag);
        let chain = RoleChain::new(&base, role).unwrap();
        let (log, _guard) = Log::at(LevelFilter::WARN);
        let hop = chain.policies(USER).unwrap().remove(0);
        (
            hop.trust_policy.size(),
            hop.size_warning().unwrap(),
            log.text(),
        )
    };
    for (tags, expected) in [(3, "near the limit"), (4, "over the limit")] {
        let (size, warning, log) = tagged(tags);
        assert!(
            warning.contains(&format!("{size} of 2048 characters, {expected}")),
            "{warning}"
        );
        assert!(
            log.contains(&warning) && log.matches("WARN").count() == 1,
            "{log}"
        );
    }
}

#[test]
fn permission_documents_cover_one_stream_or_one_prefix() {
    let stream = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
    assert_eq!(
        Document::firehose_put(stream).unwrap().compact(),
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"PutRecord","Effect":"Allow","Action":"firehose:PutRecord","Resource":"{stream}"}},{{"Sid":"PutRecordBatch","Effect":"Allow","Action":"firehose:PutRecordBatch","Resource":"{stream}"}}]}}"#
        )
    );
    let read = |prefix: &str| -> Value {
        let document = Document::s3_read("arn:aws:s3:::reports", prefix).unwrap();
        serde_json::from_str(&document.compact()).unwrap()
    };
    let [list, get] = [0, 1].map(|n| read("2026/")["Statement"][n].clone());
    assert_eq!(list["Resource"], "arn:aws:s3:::reports");
    assert_eq!(
        list["Condition"],
        json!({"StringLike": {"s3:prefix": "2026/*"}})
    );
    assert_eq!(get["Resource"], "arn:aws:s3:::reports/2026/*");
    assert_eq!(read("")["Statement"][0].get("Condition"), None);
    let named = |name: &str| stream.replace("events", name);
    for name in ["e", "raw_events.v2-a", &"e".repeat(64)] {
        Document::firehose_put(&named(name)).unwrap();
    }
    for wrong in [
        "",
        "events",
        "arn:aws:firehose:eu-west-1:222222222222:deliverystream/*",
        "arn:aws:kinesis:eu-west-1:222222222222:deliverystream/events",
        "arn:aws:firehose:eu-west-1:*:deliverystream/events",
        &named(""),
        &named(&"e".repeat(65)),
        // A pattern in the region would match the streams of every region.
        "arn:aws:firehose:*:222222222222:deliverystream/events",
        "arn:aws:firehose:eu-west-?:222222222222:deliverystream/events",
        "arn:aws:firehose:eu west-1:222222222222:deliverystream/events",
        HUB,
    ] {
        let error = Document::firehose_put(wrong).unwrap_err();
        assert_eq!(error.field(), Some("stream_arn"), "{wrong}");
    }
    // Names of buckets in us-east-1 that are older than the current rules.
    for old in ["Quarterly_Reports", "abc", &"x".repeat(255)] {
        Document::s3_read(&format!("arn:aws:s3:::{old}"), "").unwrap();
    }
    for (bucket, prefix, field) in [
        ("reports", "", "bucket_arn"),
        ("arn:aws:s3:::reports/2026", "", "bucket_arn"),
        ("arn:aws:s3:::*", "", "bucket_arn"),
        ("arn:aws:s3:::ab", "", "bucket_arn"),
        (
            &format!("arn:aws:s3:::{}", "x".repeat(256)),
            "",
            "bucket_arn",
        ),
        ("arn:aws:s3:eu-west-1::reports", "", "bucket_arn"),
        ("arn:aws:s3::222222222222:reports", "", "bucket_arn"),
        ("arn:aws:sqs:::reports", "", "bucket_arn"),
        ("arn:aws:s3:::reports", "20*", "prefix"),
    ] {
        let error = Document::s3_read(bucket, prefix).unwrap_err();
        assert_eq!(error.field(), Some(field), "{bucket} {prefix}");
    }
}

/// Returns the findings of `parliament` for these documents, given with their names.
fn findings(documents: &[(String, Value)]) -> Option<Vec<Value>> {
    let program = pypi::program("parliament", "1.6.4")?;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("policies-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, document) in documents {
        std::fs::write(folder.join(format!("{name}.json")), document.to_string()).unwrap();
    }
    let mut command = Command::new(program);
    command.args([
        "--json",
        "--include_policy_extension",
        "json",
        "--directory",
    ]);
    let said = Said::from(command.arg(&folder).output().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(!said.err.contains("Traceback"), "{said:?}");
    let lines = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    Some(lines.collect())
}

#[test]
fn parliament_has_no_findings_on_the_documents() {
    let read = |document: &Document| serde_json::from_str(&document.compact()).unwrap();
    let mut documents: HashSet<Value> = HashSet::new();
    for case in [cases(false), cases(true)].concat() {
        for hop in case.documents() {
            let mut trust: Value = read(&hop.trust_policy);
            for statement in trust["Statement"].as_array_mut().unwrap() {
                // parliament rejects policies without a resource. The resource of a trust policy is its role.
                statement["Resource"] = hop.role_arn.clone().into();
                // parliament crashes on this condition, because its list of keys lacks the type of this one.
                if statement["Sid"] == "SetContext" {
                    statement["Condition"]
                        .as_object_mut()
                        .unwrap()
                        .remove("ForAllValues:ArnEquals");
                }
            }
            documents.insert(trust);
            documents.extend(hop.permission_policy.as_ref().map(read));
        }
    }
    let stream = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
    documents.insert(read(&Document::firehose_put(stream).unwrap()));
    documents.insert(read(
        &Document::s3_read("arn:aws:s3:::reports", "").unwrap(),
    ));
    documents.insert(read(
        &Document::s3_read("arn:aws:s3:::reports", "2026/").unwrap(),
    ));
    let mut named: Vec<_> = documents
        .into_iter()
        .enumerate()
        .map(|(n, document)| (n.to_string(), document))
        .collect();
    let mut wrong = named[0].1.clone();
    wrong["Statement"][0]["Action"] = "sts:AsumeRole".into();
    named.push(("wrong".to_owned(), wrong));

    let Some(findings) = findings(&named) else {
        return;
    };
    let (wrong, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| {
        let path = finding["location"]["filepath"].as_str();
        path.is_some_and(|path| path.ends_with("wrong.json"))
    });
    assert!(!wrong.is_empty(), "it finds what is wrong");
    // parliament knows only the four oldest OpenID Connect providers.
    let unknown: Vec<_> = others
        .iter()
        .filter(|finding| {
            let detail = finding["detail"].as_str().unwrap_or_default();
            let issuer = ISSUER.trim_start_matches("https://");
            let provider =
                finding["issue"] == "UNKNOWN_FEDERATION_SOURCE" && detail == OIDC_PROVIDER;
            let key = [":aud", ":sub"].map(|key| {
                format!("Unknown condition {issuer}{key} for action sts:AssumeRoleWithWebIdentity")
            });
            !provider && !key.iter().any(|key| detail == key)
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    println!(
        "{} documents, {} findings on OpenID Connect",
        named.len() - 1,
        others.len()
    );
}

/// A ministack server that holds the documents of one case.
struct Emulated {
    server: Ministack,
    users: Vec<(&'static str, SdkConfig)>,
}

impl Emulated {
    async fn start() -> Option<Self> {
        let server = Ministack::start()?;
        let mut users = Vec::new();
        for arn in [USER, OTHER_USER, STRANGER] {
            let (account, name) = account_and_name(arn);
            let iam = iam(&server, account).await;
            iam.create_user().user_name(name).send().await.unwrap();
            let key = iam.create_access_key().user_name(name).send().await;
            let key = key.unwrap().access_key.unwrap();
            let (id, secret) = (key.access_key_id, key.secret_access_key);
            let keys = Credentials::new(id, secret, None, None, "user");
            users.push((arn, server.config(keys).await));
        }
        Some(Self { server, users })
    }

    /// Stores the documents. Only the caller has the permissions of its document; other users may do anything.
    async fn put(&self, hops: &[HopPolicies]) {
        for (arn, _) in &self.users {
            let hop = hops.iter().find(|hop| hop.caller == *arn);
            let permission = match hop {
                Some(hop) => hop.permission_policy.as_ref().map(Document::to_string),
                None => Some(allow("sts:*")),
            };
            let (account, name) = account_and_name(arn);
            let iam = iam(&self.server, account).await;
            match permission {
                Some(document) => {
                    let put = iam.put_user_policy().user_name(name).policy_name("p");
                    put.policy_document(document).send().await.unwrap();
                }
                None => {
                    let delete = iam.delete_user_policy().user_name(name).policy_name("p");
                    // There may be no policy to delete.
                    let _ = delete.send().await;
                }
            }
        }
        for hop in hops {
            let (_, path_and_name) = hop.role_arn.split_once(":role/").unwrap();
            let (path, name) = path_and_name
                .rsplit_once('/')
                .unwrap_or(("", path_and_name));
            let iam = iam(&self.server, &hop.account).await;
            let _ = iam
                .delete_role_policy()
                .role_name(name)
                .policy_name("p")
                .send()
                .await;
            let _ = iam.delete_role().role_name(name).send().await;
            iam.create_role()
                .role_name(name)
                .path(format!("/{path}/").replace("//", "/"))
                .assume_role_policy_document(hop.trust_policy.to_string())
                .send()
                .await
                .unwrap();
            let next = hops.iter().find(|next| next.caller == hop.role_arn);
            if let Some(document) = next.and_then(|next| next.permission_policy.as_ref()) {
                let put = iam.put_role_policy().role_name(name).policy_name("p");
                put.policy_document(document.compact())
                    .send()
                    .await
                    .unwrap();
            }
        }
    }

    async fn admits(&self, spec: &ChainSpec) -> bool {
        let Start::Caller { arn, .. } = spec.start else {
            return false;
        };
        let (_, base) = self.users.iter().find(|(user, _)| *user == arn).unwrap();
        let mut chain: Option<RoleChain> = None;
        for role in &spec.roles {
            let next = match chain {
                None => RoleChain::new(base, role.role()),
                Some(chain) => chain.assume(role.role()),
            };
            chain = match next {
                Ok(chain) => Some(chain),
                Err(_) => return false,
            };
        }
        match chain.unwrap().refresh().await {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_access_denied(), "{spec:?}: {error}");
                false
            }
        }
    }
}

fn account_and_name(arn: &str) -> (&str, &str) {
    let account = arn.split(':').nth(4).unwrap();
    (account, arn.rsplit('/').next().unwrap())
}

async fn iam(server: &Ministack, account: &str) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&server.administrator(account).await)
}

fn all_transitive(spec: &ChainSpec) -> ChainSpec {
    let mut spec = spec.clone();
    let tags = spec.roles.iter_mut().flat_map(|role| &mut role.tags);
    tags.for_each(|tag| tag.2 = true);
    spec
}

/// ministack does not support MFA, source identities, contexts and transitive tags. It requires a permission of the
/// caller even if a trust policy in the caller's account names the caller, and compares `aws:PrincipalArn` with the ARN
/// of the session.
#[tokio::test]
async fn ministack_accepts_the_documents_and_enforces_them() {
    let Some(aws) = Emulated::start().await else {
        return;
    };
    let knows = |spec: &ChainSpec| {
        let role = |role: &RoleSpec| role.source_identity.is_none() && role.context.is_none();
        let mfa = Mfa::None;
        let user = |arn| spec.start == Start::Caller { arn, mfa };
        [USER, OTHER_USER, STRANGER].into_iter().any(user) && spec.roles.iter().all(role)
    };
    let first_only = cases(false)
        .into_iter()
        .filter(|case| case.spec.roles.len() == 1);
    let by_name = cases(true)
        .into_iter()
        .filter(|case| match &case.spec.roles[..] {
            [first] => first.arn == HUB,
            [first, second, ..] => first.arn == HUB && second.arn == LAST,
            [] => false,
        });
    let (mut tried, mut refused) = (0, 0);
    for case in first_only.chain(by_name) {
        if !knows(&case.spec) {
            continue;
        }
        aws.put(&case.documents()).await;
        assert!(aws.admits(&case.spec).await, "{case:?}");
        tried += 1;
        for changed in changed(&case.spec) {
            if !knows(&changed) || all_transitive(&changed) == all_transitive(&case.spec) {
                continue;
            }
            let through = aws.admits(&changed).await;
            assert!(!through, "{case:?} let through {changed:?}");
            refused += 1;
        }
    }
    println!("{tried} chains let through, {refused} changes refused");
    assert!(tried > 20 && refused > 200, "{tried}, {refused}");
}

#[test]
fn a_document_has_only_characters_that_iam_accepts() {
    let aws = Simulator::new();
    let keys = aws.user(USER).create().unwrap();
    let role = Role::new(HUB).tag("équipe", "日本");
    let chain = RoleChain::new(&aws.sdk_config(keys), role).unwrap();
    let hop = chain.policies(USER).unwrap().remove(0);
    let read = Document::s3_read("arn:aws:s3:::reports", "日本😀/").unwrap();
    for document in [&hop.trust_policy, &read] {
        for text in [document.to_string(), document.compact()] {
            assert!(
                text.chars().all(|c| matches!(c, '\n' | ' '..='~')),
                "{text}"
            );
        }
    }
    let read_back: serde_json::Value = serde_json::from_str(&hop.trust_policy.compact()).unwrap();
    let condition = &read_back["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(condition["aws:RequestTag/équipe"], "日本");
}

#[test]
fn values_that_a_policy_would_read_as_a_pattern_or_another_provider_are_refused() {
    let aws = Simulator::new();
    let base = aws.sdk_config(aws.user(USER).create().unwrap());
    for name in ["*", "${aws:username}"] {
        let provider = format!("arn:aws:iam::aws:contextProvider/{name}");
        let role = Role::new(HUB).provided_context(provider, "assertion");
        let chain = RoleChain::new(&base, role).unwrap();
        let refused = chain.policies(USER).unwrap_err();
        assert_eq!(refused.field(), Some("provided_context"), "{refused}");
    }
    let none = || async { Ok::<_, std::io::Error>(String::new()) };
    let assertion = aws_role_chain::SamlAssertion::from_provider(none);
    let provider = "arn:aws:iam::222222222222:saml-provider/Company";
    let saml = RoleChain::from_saml(&base, Role::new(HUB), provider, assertion).unwrap();
    for audience in ["", "${saml:sub}", "https://*"] {
        let refused = saml.policies(Principal::saml_with_audience(audience));
        assert!(refused.is_err(), "{audience}");
    }
    let token = aws_role_chain::WebIdentityToken::from_file("/token");
    let pod = RoleChain::from_web_identity(&base, Role::new(HUB), token).unwrap();
    for (issuer, subject) in [
        ("https://accounts.google.com", "1234"),
        ("cognito-identity.amazonaws.com", "1234"),
        ("https://token.example.com", "${aws:username}"),
        // IAM supports no providers with these issuers.
        ("https://", "1234"),
        ("http://token.example.com", "1234"),
        (
            "arn:aws:iam::222222222222:oidc-provider/token.example.com",
            "1234",
        ),
        // StringEquals treats the asterisk literally, so the condition would never match.
        ("https://token.example.com", "repo:octo-org/octo-repo:*"),
    ] {
        let source = Principal::web_identity(issuer, "sts.amazonaws.com", subject);
        assert!(pod.policies(source).is_err(), "{issuer}");
    }
    for subject in ["sub", "repo:octo-org/octo-repo:environment:blue green"] {
        let good = Principal::web_identity("https://token.example.com", "aud", subject);
        pod.policies(good).unwrap();
    }
    for issuer in [
        "https://example.auth0.com/",
        "https://token.example.com:8443/a",
    ] {
        let good = Principal::web_identity(issuer, "aud", "sub");
        let hop = pod.policies(good).unwrap().remove(0);
        assert_eq!(
            hop.caller,
            issuer.replace("https://", "arn:aws:iam::222222222222:oidc-provider/")
        );
    }
}
