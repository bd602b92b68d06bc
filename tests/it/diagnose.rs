//! What a diagnosis finds, and what it prints.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::tokens::{Claims, GOOD, SAML_PROVIDER, assertion, web_identity_token};
use crate::common::*;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_role_chain::{
    Diagnosis, Role, RoleChain, SamlAssertion, SessionTokenRequest, WebIdentityToken,
};
use aws_types::SdkConfig;
use serde_json::{Value, json};
use sts_simulator::{Fault, Simulator};

/// The hub with every setting that a hop can have, and the tenant after it.
fn chain_with_everything(base: &SdkConfig) -> RoleChain {
    let hub = Role::new(HUB)
        .session_name("orders")
        .transitive_tag("team", "payments")
        .tag("shift", "late")
        .source_identity("ada")
        .duration(Duration::from_secs(7200))
        .policy(allow("sts:*"));
    let tenant = Role::new(TENANT)
        .external_id(EXTERNAL_ID)
        .duration(Duration::from_secs(900));
    RoleChain::new(base, hub).unwrap().assume(tenant).unwrap()
}

fn aws_for_two_hours() -> (Simulator, SdkConfig) {
    let (aws, base) = aws();
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .max_session_duration(2 * HOUR)
        .create()
        .unwrap();
    (aws, base)
}

#[track_caller]
fn assert_prints(diagnosis: &Diagnosis, lines: &[&str]) {
    let text = diagnosis.to_string();
    for line in lines {
        assert!(
            text.lines().any(|printed| printed == *line),
            "{line:?} is not a line of:\n{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_successful_diagnosis_reports_each_request_and_its_session() {
    let (aws, base) = aws_for_two_hours();
    aws.set_latency(Duration::from_millis(20));
    let chain = chain_with_everything(&base);

    let diagnosis = chain.diagnose().await;

    assert!(diagnosis.is_ok(), "{diagnosis}");
    assert!(diagnosis.error().is_none() && diagnosis.policies().is_none());
    let [source, hub, tenant] = diagnosis.steps() else {
        panic!("{diagnosis}")
    };
    assert_eq!((source.hop, hub.hop, tenant.hop), (0, 1, 2));
    assert_eq!(source.arn.as_deref(), Some(USER));
    assert_eq!(source.expiry, None);
    assert_eq!(hub.role_arn.as_deref(), Some(HUB));
    assert_eq!(hub.account.as_deref(), Some("222222222222"));
    assert_eq!((hub.is_chained, tenant.is_chained), (false, true));
    assert_eq!(tenant.elapsed, Duration::from_millis(20));
    assert_eq!(tenant.identity_elapsed, Some(Duration::from_millis(20)));
    let status = chain.status();
    assert_eq!(status[1].session_arn, tenant.arn);
    assert_eq!(status[1].access_key_id, tenant.access_key_id);
    assert_eq!(status[1].expiry, tenant.expiry);
    assert_eq!(aws.requests(), 5, "two AssumeRole, three GetCallerIdentity");
    let mut report = String::new();
    for line in diagnosis.to_string().lines() {
        let is_time = |c: char| c.is_ascii_digit() || "-:TZ".contains(c);
        match line.split_once(", until ") {
            Some((line, time)) if time.chars().all(is_time) => report += line,
            Some(_) => panic!("{diagnosis}"),
            None => report += line,
        }
        report.push('\n');
    }
    for step in diagnosis.steps() {
        report = report.replace(step.access_key_id.as_deref().unwrap(), "KEY");
    }
    let expected = "\
source credentials
  access key       KEY
  identity         arn:aws:iam::111111111111:user/orders
  account          111111111111
  took             0 ms, GetCallerIdentity 20 ms

hop 1 of 2: AssumeRole arn:aws:iam::222222222222:role/Hub
  caller           arn:aws:iam::111111111111:user/orders
  region           eu-west-1
  session name     orders
  external ID      sent: no
  session tags     team (transitive), shift
  source identity  ada
  session policy   95 characters
  role chaining    no
  duration         requested 7200 s, got 7200 s
  access key       KEY
  identity         arn:aws:sts::222222222222:assumed-role/Hub/orders
  account          222222222222
  took             20 ms, GetCallerIdentity 20 ms

hop 2 of 2: AssumeRole arn:aws:iam::333333333333:role/FirehoseWriter
  caller           arn:aws:sts::222222222222:assumed-role/Hub/orders
  region           eu-west-1
  session name     orders
  external ID      sent: yes
  inherited tags   team
  source identity  ada (inherited)
  role chaining    yes: at most one hour
  duration         requested 900 s, got 900 s
  access key       KEY
  identity         arn:aws:sts::333333333333:assumed-role/FirehoseWriter/orders
  account          333333333333
  took             20 ms, GetCallerIdentity 20 ms

success: this chain's identity is
         arn:aws:sts::333333333333:assumed-role/FirehoseWriter/orders
";
    assert_eq!(report, expected);
}

#[tokio::test(start_paused = true)]
async fn cached_source_credentials_are_the_step_before_the_first_hop() {
    let (aws, base) = aws();
    let source = RoleChain::from_source(&base).unwrap();
    let hub = source.assume(Role::new(HUB)).unwrap();
    let cached = hub.provide_credentials().await.unwrap();

    let diagnosis = hub.diagnose().await;

    assert!(diagnosis.is_ok(), "{diagnosis}");
    let hops = diagnosis.steps().iter().map(|step| step.hop);
    assert_eq!(hops.collect::<Vec<_>>(), [0, 1]);
    assert_prints(
        &diagnosis,
        &[
            "source credentials",
            "  identity         arn:aws:iam::111111111111:user/orders",
            "hop 1 of 1: AssumeRole arn:aws:iam::222222222222:role/Hub",
            "  caller           arn:aws:iam::111111111111:user/orders",
        ],
    );
    assert_ne!(hub.provide_credentials().await.unwrap(), cached);
    assert!(source.diagnose().await.is_ok());

    // The step tests the credentials that the roles are assumed with.
    let other = aws.user("arn:aws:iam::111111111111:user/other");
    let keys = [user(&aws), other.create().unwrap()];
    let base = with_source(&base, Alternating(keys, AtomicUsize::new(0)));
    let source = RoleChain::from_source(&base).unwrap();
    let tested = source.assume(Role::new(HUB)).unwrap().diagnose().await;
    let used = source.status()[0].access_key_id.clone();
    assert_eq!(tested.steps()[0].access_key_id, used);

    aws.role(HUB).trust(trusts(TENANT)).create().unwrap();
    let refused = hub.diagnose().await;
    let policies = refused.policies().expect("what would allow it");
    assert_eq!((policies.hop, &*policies.caller), (1, USER));
    assert!(refused.to_string().contains("(hop 1 of 1)"), "{refused}");
}

/// The documents in IAM: the user's policy, the hub's trust policy, the hub's own, the tenant's trust policy.
type Documents = [Option<String>; 4];

fn chain_with(documents: &Documents) -> RoleChain {
    let aws = Simulator::new();
    let [user_policy, hub_trust, hub_policy, tenant_trust] = documents;
    let or_useless = |policy: &Option<String>| policy.clone().unwrap_or_else(|| allow("s3:*"));
    let user = aws.user(USER).policy(or_useless(user_policy));
    let keys = user.create().unwrap();
    for (arn, trust, policy) in [(HUB, hub_trust, hub_policy), (TENANT, tenant_trust, &None)] {
        let role = aws.role(arn).policy(or_useless(policy));
        let role = match trust {
            Some(trust) => role.trust(trust),
            None => role,
        };
        role.max_session_duration(2 * HOUR).create().unwrap();
    }
    chain_with_everything(&aws.sdk_config(keys))
}

/// Finds the JSON document that is printed below a heading.
#[track_caller]
fn printed_below(heading: &str, text: &str) -> Option<String> {
    let (_, below) = text.split_once(heading).expect(heading);
    let json = &below[below.find('{')?..];
    let mut documents = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
    Some(documents.next()?.unwrap().to_string())
}

#[tokio::test]
async fn the_two_printed_policies_admit_the_refused_hop_and_one_alone_does_not() {
    let mut iam = Documents::default();
    for hop in [1, 2] {
        let diagnosis = chain_with(&iam).diagnose().await;
        let error = diagnosis.error().expect("refused");
        assert_eq!(
            (error.hop(), error.chain_len()),
            (Some(hop), 2),
            "{diagnosis}"
        );
        assert_eq!(diagnosis.steps().len(), 1 + hop);
        let text = diagnosis.to_string();
        assert!(text.contains("  - the trust policy of arn:aws:iam::"));
        assert_eq!(text.contains(TENANT_NOT_TRIED), hop == 1, "{text}");
        let (permission, trust) = (2 * hop - 2, 2 * hop - 1);
        for (place, heading) in [
            (permission, "\nPermission policy of "),
            (trust, "\nTrust policy of "),
        ] {
            let mut one = iam.clone();
            one[place] = printed_below(heading, &text);
            let again = chain_with(&one).diagnose().await;
            assert_eq!(again.error().unwrap().hop(), Some(hop), "{heading}");
        }
        iam[permission] = printed_below("\nPermission policy of ", &text);
        iam[trust] = printed_below("\nTrust policy of ", &text);
    }
    let diagnosis = chain_with(&iam).diagnose().await;
    assert!(diagnosis.is_ok(), "{diagnosis}");
}

const TENANT_NOT_TRIED: &str =
    "hop 2 of 2: AssumeRole arn:aws:iam::333333333333:role/FirehoseWriter\n  not tried\n";

/// The report as one line.
fn unwrapped(diagnosis: &Diagnosis) -> String {
    let text = diagnosis.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The report without its policies, which are not wrapped because they are copied. Asserts that every line fits a
/// terminal.
#[track_caller]
fn report_of(diagnosis: &Diagnosis) -> String {
    let text = diagnosis.to_string();
    let (report, _) = text.split_once("\nTrust policy of").unwrap_or((&text, ""));
    for line in report.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(line.trim_end(), line);
    }
    report.to_owned()
}

#[tokio::test]
async fn the_report_fits_a_terminal_however_long_the_arns_are_and_loses_nothing_of_them() {
    let user = format!("arn:aws:iam::111111111111:user/company/{}", "u".repeat(30));
    let hub = format!(
        "arn:aws:iam::222222222222:role/aws-reserved/sso.amazonaws.com/eu-central-1/{}",
        "AWSReservedSSO_AdministratorAccess_0123456789abcdef"
    );
    // The longest that IAM allows: a path of 512 characters, one part of which is longer than a line.
    let path = format!("{}/{}", "p/".repeat(200), "q".repeat(109));
    let tenant = format!("arn:aws:iam::333333333333:role/{path}/{}", "t".repeat(64));
    let session = "ada.lovelace-and-charles.babbage@analytical-engines.example.org";
    let aws = Simulator::new();
    let keys = aws.user(&*user).policy(allow("sts:*")).create().unwrap();
    for (arn, trust) in [(&hub, trusts(&user)), (&tenant, trusts("222222222222"))] {
        let role = aws.role(&**arn).trust(trust).policy(allow("sts:*"));
        role.create().unwrap();
    }
    let base = aws.sdk_config(keys);
    let hub_chain = RoleChain::new(&base, Role::new(&*hub).session_name(session)).unwrap();
    let chain = hub_chain
        .assume(Role::new(&*tenant).session_name(session))
        .unwrap();

    let diagnosis = chain.diagnose().await;
    assert!(diagnosis.is_ok(), "{diagnosis}");
    let report = report_of(&diagnosis);
    // An ARN that fits on a line is not broken.
    let whole = [
        format!("    {user}"),
        "  region           eu-west-1".to_owned(),
    ];
    for line in &whole {
        assert!(report.lines().any(|printed| printed == line), "{report}");
    }
    let joined: String = report.split_whitespace().collect();
    let steps = diagnosis.steps();
    let sessions = steps.iter().filter_map(|step| step.arn.as_deref());
    for arn in sessions.chain([&*hub, &*tenant]) {
        assert!(joined.contains(arn), "{arn} is not in {report}");
    }

    // The first line of the error and its advice, and a chain that stops before its last hop.
    for (trust_of_hub, trust_of_tenant) in [
        (trusts("444444444444"), trusts("222222222222")),
        (trusts(&user), trusts("444444444444")),
    ] {
        for (arn, trust) in [(&hub, trust_of_hub), (&tenant, trust_of_tenant)] {
            aws.role(&**arn).trust(trust).create().unwrap();
        }
        let diagnosis = chain.diagnose().await;
        assert!(diagnosis.policies().is_some(), "{diagnosis}");
        report_of(&diagnosis);
        for heading in ["Trust policy of", "Permission policy of"] {
            let text = diagnosis.to_string();
            let (_, below) = text.split_once(heading).unwrap();
            let (heading, _) = below.split_once("\n{").unwrap();
            assert!(heading.lines().all(|line| line.len() <= 80), "{heading}");
        }
    }
}

#[tokio::test]
async fn a_short_report_fits_a_terminal_too() {
    report_of(&chain_with(&Documents::default()).diagnose().await);
}

#[tokio::test]
async fn a_refusal_that_no_policy_can_cure_prints_none() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    // This duration is over the role's own limit.
    let long = RoleChain::new(&base, Role::new(HUB).duration(12 * HOUR)).unwrap();
    let diagnosis = long.diagnose().await;
    assert_eq!(diagnosis.error().unwrap().code(), Some("ValidationError"));
    assert!(diagnosis.policies().is_none(), "{diagnosis}");
    assert!(
        diagnosis
            .to_string()
            .contains("  - request less than 43200 s")
    );

    // The device of another user is an AccessDenied too.
    let device = &*new_device("of-another-user");
    let role = Role::new(HUB).mfa(device, totp());
    let mfa = RoleChain::new(&base, role).unwrap();
    let diagnosis = mfa.diagnose().await;
    assert!(diagnosis.error().unwrap().is_access_denied(), "{diagnosis}");
    assert!(diagnosis.policies().is_none(), "{diagnosis}");
    assert_prints(&diagnosis, &[&format!("  MFA device       {device}")]);

    aws.fail(Fault::service_unavailable().role(TENANT));
    let diagnosis = hub.assume(Role::new(TENANT)).unwrap().diagnose().await;
    assert!(diagnosis.error().unwrap().is_transient());
    assert!(diagnosis.policies().is_none(), "{diagnosis}");
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let why = "no keys in the environment";
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(why)))
    }
}

#[tokio::test]
async fn bad_source_credentials_are_reported_with_advice_before_any_role_is_tried() {
    let (aws, base) = aws();
    let keys = user(&aws);
    let bad_key = Credentials::new("AKIANOBODYKNOWSTHAT", "secret", None, None, "test");
    let bad_secret = Credentials::new(keys.access_key_id(), "not-its-secret", None, None, "test");
    for (source, code, parts) in [
        (
            bad_key,
            "InvalidClientTokenId",
            ["AKIANOBODYKNOWSTHAT", "are unknown, inactive"],
        ),
        (
            bad_secret,
            "SignatureDoesNotMatch",
            [keys.access_key_id(), "check that the secret access key"],
        ),
    ] {
        let diagnosis = two_hops(&with_source(&base, source)).diagnose().await;
        let error = diagnosis.error().unwrap();
        assert_eq!(error.code(), Some(code), "{diagnosis}");
        assert_eq!((error.hop(), error.role_arn()), (None, None));
        let text = diagnosis.to_string();
        let headline = format!("calling GetCallerIdentity with the source credentials: {code}: ");
        assert!(unwrapped(&diagnosis).contains(&headline), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert_eq!(diagnosis.steps().len(), 1);
        assert!(text.contains(TENANT_NOT_TRIED), "{text}");
    }

    let none = two_hops(&with_source(&base, NoCredentials));
    let diagnosis = none.diagnose().await;
    assert!(
        diagnosis.error().unwrap().is_source_failure(),
        "{diagnosis}"
    );
    let text = unwrapped(&diagnosis);
    assert!(text.contains("no keys in the environment"), "{text}");
    assert!(text.contains("(hop 1 of 2)"), "{text}");
    assert_eq!(aws.assumed(HUB), 0);
}

#[tokio::test(start_paused = true)]
async fn a_longer_duration_behind_a_role_is_reported_as_one_hour() {
    let (aws, base) = aws();
    aws.role(MIDDLE)
        .trust(trusts("222222222222"))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    // The source is a role session, as on EC2.
    let on_a_role = with_source(&base, hub);
    let chain = RoleChain::new(&on_a_role, Role::new(MIDDLE).duration(12 * HOUR)).unwrap();
    let diagnosis = chain.diagnose().await;
    assert!(diagnosis.is_ok(), "{diagnosis}");
    assert!(diagnosis.steps()[1].is_chained);
    let text = diagnosis.to_string();
    assert!(
        text.contains("requested 43200 s, got 3600 s, until "),
        "{text}"
    );

    // STS omits the path of the caller's role, which the policies must contain.
    let hint = "If the caller's role has a path, add it";
    aws.role(MIDDLE)
        .trust(trusts("999999999999"))
        .create()
        .unwrap();
    let refused = chain.diagnose().await;
    assert!(unwrapped(&refused).contains(hint), "{refused}");
    let from_user = RoleChain::new(&base, Role::new(MIDDLE)).unwrap();
    let refused = from_user.diagnose().await;
    assert!(!unwrapped(&refused).contains(hint), "{refused}");
}

#[tokio::test]
async fn chains_with_other_starts_are_diagnosed_too() {
    let (aws, base) = aws();
    aws.role(HUB)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    let device = &*new_device("diagnosed");
    let keys = user_with_device(&aws, device);
    let start = SessionTokenRequest::new().mfa(device, totp());
    let base_with_device = aws.sdk_config(keys);
    let token = RoleChain::from_session_token(&base_with_device, start).unwrap();
    let diagnosis = token.assume(Role::new(HUB)).unwrap().diagnose().await;
    assert_prints(
        &diagnosis,
        &[
            "hop 1 of 2: GetSessionToken",
            &format!("  MFA device       {device}"),
            "hop 2 of 2: AssumeRole arn:aws:iam::222222222222:role/Hub",
        ],
    );
    assert_eq!(diagnosis.steps()[1].arn.as_deref(), Some(USER));
    let text = diagnosis.to_string();
    assert!(
        text.contains("STS's default, got 43200 s, until 20"),
        "{text}"
    );
    assert!(diagnosis.steps()[2].is_chained);
    let policies = diagnosis.policies().unwrap();
    assert_eq!(policies.caller, USER);
    let trust = policies.trust_policy.to_string();
    assert!(trust.contains("aws:MultiFactorAuthPresent"), "{trust}");

    let pod = RoleChain::from_web_identity(
        &base,
        Role::new(HUB),
        WebIdentityToken::from_file("/nonexistent/token"),
    );
    let diagnosis = pod.unwrap().diagnose().await;
    assert_eq!(diagnosis.steps().len(), 1, "there is no source");
    assert_prints(
        &diagnosis,
        &["hop 1 of 1: AssumeRoleWithWebIdentity arn:aws:iam::222222222222:role/Hub"],
    );
    // It cannot be sent.
    assert!(!diagnosis.to_string().contains("external ID"));
    let missing = std::fs::read("/nonexistent/token").unwrap_err();
    assert!(unwrapped(&diagnosis).contains(&format!("/nonexistent/token: {missing}")));

    let company = "arn:aws:iam::222222222222:saml-provider/Company";
    let assertion = SamlAssertion::from_provider(async || Err::<String, _>("signed out"));
    let saml = RoleChain::from_saml(&base, Role::new(HUB), company, assertion);
    let diagnosis = saml.unwrap().diagnose().await;
    assert!(
        unwrapped(&diagnosis).contains("no SAML assertion: signed out"),
        "{diagnosis}"
    );
    assert!(!diagnosis.to_string().contains("session name"));
}

#[tokio::test]
async fn a_failed_diagnosis_leaves_the_cached_credentials_in_use() {
    let (aws, base) = aws();
    let chain = two_hops(&base);
    let before = chain.provide_credentials().await.unwrap();
    aws.role(TENANT)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();

    let diagnosis = chain.diagnose().await;

    assert_eq!(diagnosis.error().unwrap().hop(), Some(2));
    let after = chain.provide_credentials().await.unwrap();
    assert_eq!(after.access_key_id(), before.access_key_id());
    let calls = aws.requests();
    chain.provide_credentials().await.unwrap();
    assert_eq!(aws.requests(), calls);
}

#[tokio::test]
async fn the_external_id_in_the_trust_policy_is_the_only_secret_shown() {
    let (aws, base) = aws_for_two_hours();
    let keys = base.credentials_provider().unwrap();
    let keys = keys.provide_credentials().await.unwrap();
    let chain = chain_with_everything(&base);
    let well = chain.diagnose().await;
    assert!(well.is_ok(), "{well}");
    let sessions = chain.provide_credentials().await.unwrap();
    aws.role(TENANT)
        .trust(trusts_with_external_id("999999999999"))
        .create()
        .unwrap();
    let refused = chain.diagnose().await;
    assert_eq!(refused.policies().unwrap().hop, 2);

    let printed = refused.to_string();
    let (report, documents) = printed.split_once("\nTrust policy of ").unwrap();
    assert!(documents.contains(EXTERNAL_ID));
    let shown = format!("{well} {well:?} {report} {refused:?} {:?}", refused.steps());
    for secret in [
        EXTERNAL_ID,
        keys.secret_access_key(),
        sessions.secret_access_key(),
        sessions.session_token().unwrap(),
    ] {
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}

/// The hub trusts the user's account for AssumeRole, and for neither TagSession nor SetSourceIdentity.
fn hub_without_tag_session() -> (Simulator, SdkConfig) {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    let all = r#"["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]"#;
    let only_assume = trusts("111111111111").replace(all, r#""sts:AssumeRole""#);
    aws.role(HUB).trust(only_assume).create().unwrap();
    (aws, base)
}

fn role_at_home(aws: &Simulator, path_and_name: &str) -> String {
    let arn = format!("arn:aws:iam::111111111111:role/{path_and_name}");
    let role = aws.role(&*arn).trust(trusts(USER)).policy(allow("sts:*"));
    role.create().unwrap();
    arn
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_printed_where_policies_of_this_chain_would_not_help() {
    let (aws, base) = hub_without_tag_session();
    let pod = role_at_home(&aws, "Pod");
    let pod = Role::new(pod).transitive_tag("eks-cluster", "x");
    let source = RoleChain::new(&base, pod).unwrap().sdk_config();
    let chain = RoleChain::new(&source, Role::new(HUB)).unwrap();
    let diagnosis = chain.diagnose().await;
    assert!(diagnosis.policies().is_none());
    let text = diagnosis.to_string();
    assert!(
        text.contains("No policies to show: sts:TagSession is for tags"),
        "{text}"
    );

    let boundary = "User: x is not authorized to perform: sts:AssumeRole on resource: y because no \
                    permissions boundary allows the sts:AssumeRole action";
    aws.fail(Fault::error(403, "AccessDenied", boundary).role(HUB));
    let bounded = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let text = bounded.diagnose().await.to_string();
    let why = "No policies to show: the permissions boundary of the caller must allow it";
    assert!(text.contains(why), "{text}");
    aws.recover();

    let sso = "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0123456789abcdef";
    let sso = role_at_home(&aws, sso);
    let source = RoleChain::new(&base, Role::new(sso)).unwrap().sdk_config();
    aws.role(HUB)
        .trust(trusts("999999999999"))
        .create()
        .unwrap();
    let chain = RoleChain::new(&source, Role::new(HUB)).unwrap();
    let text = chain.diagnose().await.to_string();
    assert!(text.contains("No policies to show: "), "{text}");
    let why = "must be the role's ARN, including its path";
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.join(" ").contains(why), "{text}");

    let denied = "User: x is not authorized to perform: sts:AssumeRole on resource: y with an explicit \
                  deny in a service control policy";
    aws.fail(Fault::error(403, "AccessDenied", denied).role(HUB));
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let diagnosis = chain.diagnose().await;
    assert!(diagnosis.policies().is_none());
    let text = diagnosis.to_string();
    assert!(
        text.contains("No policies to show: a policy explicitly denies it"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn printed_policies_come_with_a_caution_about_the_external_id() {
    let (aws, base) = hub_without_tag_session();
    let trust = trusts_with_external_id("111111111111");
    aws.role(HUB).trust(trust).create().unwrap();
    let of = async |role: Role| {
        let chain = RoleChain::new(&base, role).unwrap();
        chain.diagnose().await.to_string()
    };
    let wrong = of(Role::new(HUB).external_id("coffee")).await;
    let caution = "If the request, especially the external ID, is correct, add these policies";
    assert!(wrong.contains(caution), "{wrong}");
    assert!(!wrong.contains("No external ID was sent"), "{wrong}");
    let none = of(Role::new(HUB)).await;
    let caution = "No external ID was sent. If the role's owner gave you one";
    assert!(none.contains(caution), "{none}");
}

#[tokio::test(start_paused = true)]
async fn the_advice_of_a_chain_used_as_a_source_is_printed_once() {
    let (aws, base) = hub_without_tag_session();
    aws.role(HUB)
        .trust(trusts("999999999999"))
        .create()
        .unwrap();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let chain = RoleChain::new(&hub.sdk_config(), Role::new(TENANT)).unwrap();
    let text = chain.diagnose().await.to_string();
    let once = "no external ID was sent";
    assert_eq!(text.matches(once).count(), 1, "{text}");
    assert_eq!(chain.status()[0].to_string().lines().count(), 1);
}

#[derive(Debug)]
struct Panics;

impl ProvideCredentials for Panics {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { panic!("a provider of somebody's") })
    }
}

#[tokio::test(start_paused = true)]
async fn providers_that_panic_or_never_answer_are_reported_as_errors() {
    let (aws, base) = aws();
    let panics = SharedCredentialsProvider::new(Panics);
    let panics = base.to_builder().credentials_provider(panics).build();
    let chain = RoleChain::new(&panics, Role::new(HUB)).unwrap();
    let text = chain.diagnose().await.to_string();
    assert!(text.contains("panicked while loading"), "{text}");

    let never = || std::future::pending::<Result<String, std::io::Error>>();
    let never = WebIdentityToken::from_provider(never);
    let base = aws.sdk_config(user(&aws));
    let pod = RoleChain::from_web_identity(&base, Role::new(HUB), never).unwrap();
    let start = tokio::time::Instant::now();
    let text = pod.diagnose().await.to_string();
    let late = "no web identity token: the provider timed out after 120 s";
    assert!(text.replace('\n', " ").contains(late), "{text}");
    assert_eq!(start.elapsed(), Duration::from_secs(240), "asked twice");
}

#[tokio::test(start_paused = true)]
async fn no_policy_is_printed_that_would_trust_other_roles_by_a_pattern() {
    let (aws, base) = aws();
    let starred = "arn:aws:iam::222222222222:role/*/Starred";
    let role = aws.role(starred).trust(trusts(USER)).policy(allow("sts:*"));
    role.create().unwrap();
    let untrusting = aws.role(TENANT).trust(trusts("999999999999"));
    untrusting.create().unwrap();
    let hub = RoleChain::new(&base, Role::new(starred)).unwrap();
    let chain = hub.assume(Role::new(TENANT)).unwrap();

    let diagnosis = chain.diagnose().await;

    assert_eq!(diagnosis.error().unwrap().hop(), Some(2));
    assert!(diagnosis.policies().is_none(), "{diagnosis}");
    let text = unwrapped(&diagnosis);
    let why = "No policies to show: ";
    assert!(text.contains(why) && text.contains("as patterns"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_report_says_that_a_trust_policy_is_over_its_limit() {
    let aws = Simulator::new();
    let base = aws.sdk_config(user(&aws));
    let untrusting = aws.role(HUB).trust(trusts("999999999999"));
    untrusting.create().unwrap();
    let tag = |role: Role, n| role.tag(format!("tag{n}"), "x".repeat(200));
    let chain = RoleChain::new(&base, (0..4).fold(Role::new(HUB), tag)).unwrap();

    let diagnosis = chain.diagnose().await;

    let warning = diagnosis.policies().unwrap().size_warning().unwrap();
    assert!(warning.contains("over the limit"), "{warning}");
    let text = unwrapped(&diagnosis);
    assert!(text.contains(&format!("Note: {warning}")), "{text}");
}

const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD";

/// Diagnoses a token that its provider accepts and the hub's trust policy does not. Returns the diagnosis and, if it
/// suggests policies, whether the hub can be assumed once they are stored.
async fn diagnosis_of_token(mut claims: Value) -> (Diagnosis, Option<bool>) {
    let (aws, base) = aws();
    let provider = ISSUER.replace("https://", "arn:aws:iam::222222222222:oidc-provider/");
    let key = include_str!("../keys/oidc-public.pem");
    aws.oidc_provider(provider, &["sts.amazonaws.com"], key)
        .unwrap();
    claims["iss"] = ISSUER.into();
    claims["sub"] = "orders".into();
    let token = web_identity_token(&aws, claims);
    let token = WebIdentityToken::from_provider(move || {
        let token = token.clone();
        async { Ok::<_, std::io::Error>(token) }
    });
    let chain = RoleChain::from_web_identity(&base, Role::new(HUB), token).unwrap();
    let diagnosis = chain.diagnose().await;
    assert!(diagnosis.error().unwrap().is_access_denied(), "{diagnosis}");
    let Some(policies) = diagnosis.policies() else {
        return (diagnosis, None);
    };
    let hub = aws.role(HUB).trust(policies.trust_policy.to_string());
    hub.create().unwrap();
    let is_ok = chain.refresh().await.is_ok();
    (diagnosis, Some(is_ok))
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_printed_for_a_token_with_one_audience_and_none_where_it_would_be_guessed() {
    for one in [
        json!({"aud": "sts.amazonaws.com"}),
        json!({"aud": ["sts.amazonaws.com"]}),
        json!({"aud": "sts.amazonaws.com", "azp": "sts.amazonaws.com"}),
    ] {
        let (diagnosis, works) = diagnosis_of_token(one).await;
        assert_eq!(works, Some(true), "{diagnosis}");
        assert_prints(&diagnosis, &["  token's audience sts.amazonaws.com"]);
    }
    for (several, listed) in [
        (
            json!({"aud": ["https://kubernetes.default.svc", "sts.amazonaws.com"]}),
            "https://kubernetes.default.svc, sts.amazonaws.com",
        ),
        (
            json!({"aud": "orders-api", "azp": "sts.amazonaws.com"}),
            "orders-api, sts.amazonaws.com",
        ),
    ] {
        let (diagnosis, works) = diagnosis_of_token(several).await;
        assert_eq!(works, None, "{diagnosis}");
        let text = unwrapped(&diagnosis);
        let why = format!("No policies to show: the token has several audiences ({listed})");
        assert!(text.contains(&why), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_policy_is_printed_for_a_token_that_brings_more_than_an_identity() {
    for (claim, value, action) in [
        (
            "https://aws.amazon.com/tags",
            json!({"principal_tags": {"team": ["payments"]}}),
            "sts:TagSession",
        ),
        (
            "https://aws.amazon.com/tags/principal_tags/team",
            json!("payments"),
            "sts:TagSession",
        ),
        (
            "https://aws.amazon.com/source_identity",
            json!("ada"),
            "sts:SetSourceIdentity",
        ),
    ] {
        let claims = json!({"aud": "sts.amazonaws.com", claim: value});
        let (diagnosis, works) = diagnosis_of_token(claims).await;
        assert_eq!(works, None, "{diagnosis}");
        let text = unwrapped(&diagnosis);
        let why = format!("No policies to show: the token's claims also require {action},");
        assert!(text.contains(&why), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn printed_policies_come_with_a_caution_about_the_session_policy_of_the_hop_before() {
    let (aws, base) = aws();
    let caution = "Hop 1 passes a session policy, which must allow this call as well.";
    let untrusting = aws.role(TENANT).trust(trusts("999999999999"));
    untrusting.create().unwrap();
    for (hub, is_cautious) in [
        (Role::new(HUB), false),
        (Role::new(HUB).policy(allow("s3:*")), true),
        (
            Role::new(HUB).policy_arn("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"),
            true,
        ),
    ] {
        let hub = RoleChain::new(&base, hub).unwrap();
        let tenant = Role::new(TENANT).policy(allow("s3:*"));
        let diagnosis = hub.assume(tenant).unwrap().diagnose().await;
        assert!(diagnosis.policies().is_some(), "{diagnosis}");
        let text = unwrapped(&diagnosis);
        assert_eq!(text.contains(caution), is_cautious, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_federated_user_is_told_that_it_assumes_no_roles() {
    let (aws, base) = aws();
    let sts = aws_sdk_sts::Client::new(&base);
    let call = sts
        .get_federation_token()
        .name("ada")
        .policy(allow("sts:*"));
    let keys = call.send().await.unwrap().credentials.unwrap();
    let (id, secret) = (keys.access_key_id, keys.secret_access_key);
    let keys = Credentials::new(id, secret, Some(keys.session_token), None, "federated");
    let chain = RoleChain::new(&aws.sdk_config(keys), Role::new(HUB)).unwrap();

    let diagnosis = chain.diagnose().await;

    let error = diagnosis.error().unwrap();
    assert_eq!(
        error.advice(),
        [
            "arn:aws:sts::111111111111:federated-user/ada is a federated user, and credentials from \
             GetFederationToken cannot assume roles: use those of an IAM user or a role"
        ]
    );
    assert!(diagnosis.policies().is_none(), "{diagnosis}");
    let text = unwrapped(&diagnosis);
    assert!(!text.contains("policies"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_policy_for_an_assertion_says_for_which_it_is() {
    let (aws, base) = aws();
    aws.saml_provider_without_signatures(SAML_PROVIDER);
    let untrusting = || {
        aws.role(HUB)
            .trust(trusts("999999999999"))
            .create()
            .unwrap()
    };
    let elsewhere = Claims {
        recipient: "https://eu-west-1.signin.aws.amazon.com/saml",
        ..GOOD
    };
    let tagged = Claims {
        more: r#"<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/PrincipalTag:team">
            <saml:AttributeValue>payments</saml:AttributeValue></saml:Attribute>"#,
        ..GOOD
    };
    for (claims, is_enough) in [(GOOD, true), (elsewhere, false), (tagged, false)] {
        untrusting();
        let assertion = assertion(&aws, &claims);
        let assertion = SamlAssertion::from_provider(move || {
            let assertion = assertion.clone();
            async { Ok::<_, std::io::Error>(assertion) }
        });
        let chain = RoleChain::from_saml(&base, Role::new(HUB), SAML_PROVIDER, assertion).unwrap();
        let diagnosis = chain.diagnose().await;
        let policies = diagnosis.policies().unwrap();
        let hub = aws.role(HUB).trust(policies.trust_policy.to_string());
        hub.create().unwrap();
        assert_eq!(chain.refresh().await.is_ok(), is_enough);
        let text = unwrapped(&diagnosis);
        let which = "This policy is for an assertion that was posted to AWS's sign-in page \
                     (https://signin.aws.amazon.com/saml) and has no PrincipalTag or SourceIdentity \
                     attributes.";
        assert!(text.contains(which), "{text}");
    }
}

/// A provider that gives other credentials each time.
#[derive(Debug)]
struct Alternating([Credentials; 2], AtomicUsize);

impl ProvideCredentials for Alternating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let calls = self.1.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::ready(Ok(self.0[calls % 2].clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn the_policies_are_for_whom_sts_refused_even_if_the_source_has_changed() {
    let (aws, base) = aws();
    let untrusting = aws.role(HUB).trust(trusts("999999999999"));
    untrusting.create().unwrap();
    let other = "arn:aws:iam::111111111111:user/other";
    let keys = [user(&aws), aws.user(other).create().unwrap()];
    let base = with_source(&base, Alternating(keys, AtomicUsize::new(0)));
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();

    let diagnosis = chain.diagnose().await;

    assert_eq!(diagnosis.steps()[0].arn.as_deref(), Some(USER));
    assert_eq!(diagnosis.policies().unwrap().caller, other);
}

#[tokio::test(start_paused = true)]
async fn where_only_get_caller_identity_is_denied_the_hops_are_tried_all_the_same() {
    let (aws, base) = aws();
    let chain = two_hops(&base);
    let denied = "User: arn:aws:iam::111111111111:user/orders is not authorized to perform: \
                  sts:GetCallerIdentity because no VPC endpoint policy allows the sts:GetCallerIdentity action";
    let by_endpoint = || Fault::error(403, "AccessDenied", denied).operation("GetCallerIdentity");
    aws.fail(by_endpoint());

    let diagnosis = chain.diagnose().await;

    assert_eq!(diagnosis.steps().len(), 3, "{diagnosis}");
    let keys = |step: &aws_role_chain::DiagnosisStep| step.access_key_id.is_some();
    assert!(diagnosis.steps().iter().all(keys), "{diagnosis}");
    assert!(!diagnosis.is_ok(), "who it is, nobody knows");
    let error = diagnosis.error().unwrap();
    assert!(error.to_string().contains("GetCallerIdentity"), "{error}");
    assert!(diagnosis.policies().is_none());
    assert!(!unwrapped(&diagnosis).contains("success: "), "{diagnosis}");

    // A denied role is the failure to report; STS's message says which caller it denies.
    aws.role(HUB)
        .trust(trusts("999999999999"))
        .create()
        .unwrap();
    let diagnosis = chain.diagnose().await;
    let error = diagnosis.error().unwrap();
    assert_eq!((error.hop(), error.role_arn()), (Some(1), Some(HUB)));
    assert_eq!(diagnosis.policies().unwrap().caller, USER);
    assert!(
        unwrapped(&diagnosis).contains("FirehoseWriter not tried"),
        "{diagnosis}"
    );
}
