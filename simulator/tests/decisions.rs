//! Which policies decide on calls of STS and requests to other services, with which condition keys, and how the
//! simulator explains it. Each condition is tested with `Allow` and with `Deny`: with an absent key, an `Allow` fails
//! but a `Deny` silently passes.

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::types::Tag;
use aws_smithy_async::time::TimeSource;
use serde_json::json;
use sts_simulator::{
    AccountBuilder, Caller, Explanation, IamError, Outcome, PolicyKind, Reason, Simulator,
};

const USER: &str = "arn:aws:iam::111111111111:user/team/Orders";
const ROLE: &str = "arn:aws:iam::222222222222:role/path/Target";
const OTHER: &str = "arn:aws:iam::222222222222:role/Other";
const ISSUER: &str = "https://login.example.com/realm";
const OIDC: &str = "arn:aws:iam::222222222222:oidc-provider/login.example.com/realm";
const SAML: &str = "arn:aws:iam::222222222222:saml-provider/Company";
const BUCKET: &str = "arn:aws:s3:::reports";
const OBJECT: &str = "arn:aws:s3:::reports/x";

const EVERYTHING: &str = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

fn policy(effect: &str, action: &str, condition: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "{effect}", "Action": "{action}", "Resource": "*", "Condition": {condition}}}]}}"#
    )
}

/// Returns a trust policy with a condition. If the statement denies, another one allows.
fn trust(effect: &str, condition: &str) -> String {
    let principal = format!(r#"{{"AWS": "*", "Federated": ["{OIDC}", "{SAML}"]}}"#);
    let mut statements = vec![format!(
        r#"{{"Effect": "{effect}", "Action": "sts:*", "Principal": {principal}, "Condition": {condition}}}"#
    )];
    if effect == "Deny" {
        statements.push(format!(
            r#"{{"Effect": "Allow", "Action": "sts:*", "Principal": {principal}}}"#
        ));
    }
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
        statements.join(",")
    )
}

fn user(aws: &Simulator) -> Credentials {
    aws.user(USER).policy(EVERYTHING).create().unwrap()
}

fn client(aws: &Simulator, keys: &Credentials) -> Client {
    Client::new(&aws.sdk_config(keys.clone()))
}

/// The credentials in a response.
fn keys_of(issued: Option<aws_sdk_sts::types::Credentials>) -> Credentials {
    let issued = issued.unwrap();
    let (id, secret) = (issued.access_key_id, issued.secret_access_key);
    Credentials::new(id, secret, Some(issued.session_token), None, "test")
}

async fn assume(aws: &Simulator, keys: &Credentials, role: &str) -> Result<Credentials, String> {
    let call = client(aws, keys)
        .assume_role()
        .role_arn(role)
        .role_session_name("session");
    match call.send().await {
        Ok(output) => Ok(keys_of(output.credentials)),
        Err(error) => {
            assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");
            Err(error.message().unwrap_or_default().to_owned())
        }
    }
}

async fn by_web_identity(aws: &Simulator) -> Option<Credentials> {
    let now = aws
        .clock()
        .now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({"iss": ISSUER, "sub": "ada", "aud": "sts.amazonaws.com", "azp": "app",
        "iat": now, "exp": now + 600});
    let key = jsonwebtoken::EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")).unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    let nobody = Credentials::new("AKIA", "none", None, None, "test");
    let call = client(aws, &nobody).assume_role_with_web_identity();
    let call = call
        .role_arn(ROLE)
        .role_session_name("session")
        .web_identity_token(token);
    match call.send().await {
        Ok(output) => Some(keys_of(output.credentials)),
        Err(error) => {
            assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");
            None
        }
    }
}

async fn by_saml(aws: &Simulator) -> bool {
    let until =
        aws_smithy_types::DateTime::from(aws.clock().now() + std::time::Duration::from_secs(300));
    let until = until
        .fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap();
    let attribute = |name: &str, value: &str| {
        format!(
            r#"<Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}"><AttributeValue>{value}</AttributeValue></Attribute>"#
        )
    };
    let (role, name) = (
        attribute("Role", &format!("{ROLE},{SAML}")),
        attribute("RoleSessionName", "ada"),
    );
    let xml = format!(
        r#"<Response><Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"><Issuer>https://idp.example.com</Issuer>
            <Subject><NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">ada</NameID>
            <SubjectConfirmation><SubjectConfirmationData Recipient="https://signin.aws.amazon.com/saml"/></SubjectConfirmation></Subject>
            <Conditions NotOnOrAfter="{until}"><AudienceRestriction><Audience>urn:amazon:webservices</Audience></AudienceRestriction></Conditions>
            <AttributeStatement>{role}{name}</AttributeStatement></Assertion></Response>"#
    );
    let nobody = Credentials::new("AKIA", "none", None, None, "test");
    let call = client(aws, &nobody).assume_role_with_saml();
    let call = call.role_arn(ROLE).principal_arn(SAML);
    let call = call.saml_assertion(aws_smithy_types::base64::encode(xml));
    let result = call.send().await;
    if let Err(error) = &result {
        assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");
    }
    result.is_ok()
}

/// Adds a service, and returns the result of `question` for the caller of a request to it.
async fn ask<T: Send + 'static>(
    aws: &Simulator,
    keys: &Credentials,
    question: impl Fn(&Caller) -> T + Send + Sync + 'static,
) -> T {
    let (send, mut answers) = tokio::sync::mpsc::unbounded_channel();
    aws.service("s3", move |caller, _| {
        send.send(question(caller)).ok();
        HttpResponse::new(200.try_into().unwrap(), "".into())
    });
    let s3 = aws_sdk_s3::Client::new(&aws.sdk_config(keys.clone()));
    s3.get_object().bucket("reports").key("x").send().await.ok();
    answers.recv().await.unwrap()
}

/// The operations that policies decide on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    /// AssumeRole, by the trust policy.
    Trust,
    /// AssumeRole, by the caller's policy.
    Identity,
    WebIdentity,
    Saml,
    /// [`Caller::may`].
    May,
}

use Operation::{Identity, May, Saml, Trust, WebIdentity};

const ALL: [Operation; 5] = [Trust, Identity, WebIdentity, Saml, May];
const SIGNED: [Operation; 3] = [Trust, Identity, May];
const UNSIGNED: [Operation; 2] = [WebIdentity, Saml];

/// Whether an operation is allowed if a statement with this effect has this condition.
async fn is_allowed(operation: Operation, effect: &str, condition: &str) -> bool {
    let aws = Simulator::new();
    aws.oidc_provider(OIDC, &["app"], include_str!("keys/p256-public.pem"))
        .unwrap();
    aws.saml_provider_without_signatures(SAML);
    let own = match operation {
        Identity | May => policy(effect, "*", condition),
        _ => EVERYTHING.to_owned(),
    };
    let mut user = aws.user(USER).policy(own);
    if effect == "Deny" && matches!(operation, Identity | May) {
        user = user.policy(EVERYTHING);
    }
    let keys = user.tag("Team", "payments").create().unwrap();
    let trust = match operation {
        Identity | May => trust("Allow", "{}"),
        _ => trust(effect, condition),
    };
    aws.role(ROLE)
        .trust(trust)
        .tag("Env", "prod")
        .create()
        .unwrap();
    match operation {
        Trust | Identity => assume(&aws, &keys, ROLE).await.is_ok(),
        WebIdentity => by_web_identity(&aws).await.is_some(),
        Saml => by_saml(&aws).await,
        May => ask(&aws, &keys, |caller| caller.may("s3:GetObject", OBJECT)).await,
    }
}

/// Checks that a condition is met or not, in statements that allow and in those that deny.
async fn check(operations: &[Operation], condition: &str, is_true: bool) {
    for operation in operations {
        let by_allow = is_allowed(*operation, "Allow", condition).await;
        assert_eq!(by_allow, is_true, "{operation:?} Allow {condition}");
        let by_deny = is_allowed(*operation, "Deny", condition).await;
        assert_eq!(by_deny, !is_true, "{operation:?} Deny {condition}");
    }
}

#[tokio::test]
async fn the_keys_that_aws_always_sends_are_there_for_every_operation() {
    for (condition, is_true) in [
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#, true),
        (
            r#"{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#,
            false,
        ),
        (
            r#"{"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}"#,
            true,
        ),
        (
            r#"{"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}"#,
            false,
        ),
        (
            r#"{"StringLike": {"aws:UserAgent": "aws-sdk-rust/*"}}"#,
            true,
        ),
        (r#"{"Bool": {"aws:ViaAWSService": "false"}}"#, true),
        (r#"{"Bool": {"aws:SecureTransport": "false"}}"#, false),
        (
            r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}}"#,
            true,
        ),
        (
            r#"{"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00Z"}}"#,
            false,
        ),
        (
            r#"{"NumericGreaterThan": {"aws:EpochTime": "1767225600"}}"#,
            true,
        ),
        (
            r#"{"DateGreaterThan": {"aws:EpochTime": "1767225600"}}"#,
            true,
        ),
        // Keys that such requests do not have.
        (
            r#"{"Null": {"aws:SourceVpce": "true", "aws:CalledViaFirst": "true", "aws:SourceArn": "true"}}"#,
            true,
        ),
    ] {
        check(&ALL, condition, is_true).await;
    }
    // Only signed requests have these keys.
    let own = r#"{"Bool": {"aws:PrincipalIsAWSService": "false"}}"#;
    check(&SIGNED, own, true).await;
    check(&UNSIGNED, own, false).await;
    check(&SIGNED, r#"{"Null": {"aws:PrincipalArn": "false"}}"#, true).await;
    check(
        &UNSIGNED,
        r#"{"Null": {"aws:PrincipalArn": "false"}}"#,
        false,
    )
    .await;
}

#[tokio::test]
async fn the_keys_of_the_caller_the_role_and_the_token_are_there() {
    // A variable in an ARN, and a variable whose value has upper-case letters.
    check(
        &SIGNED,
        r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::${aws:PrincipalAccount}:user/*"}}"#,
        true,
    )
    .await;
    check(
        &SIGNED,
        r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::${aws:PrincipalAccount}:user/*"}}"#,
        false,
    )
    .await;
    check(
        &SIGNED,
        r#"{"StringEqualsIgnoreCase": {"aws:username": "${aws:username}"}}"#,
        true,
    )
    .await;
    check(
        &SIGNED,
        r#"{"StringEquals": {"aws:PrincipalTag/team": "payments"}}"#,
        true,
    )
    .await;
    check(
        &SIGNED,
        r#"{"StringEquals": {"aws:PrincipalType": "User"}}"#,
        true,
    )
    .await;
    let on_role = [Trust, Identity, WebIdentity, Saml];
    check(
        &on_role,
        r#"{"StringEquals": {"aws:ResourceTag/Env": "prod", "iam:ResourceTag/env": "prod"}}"#,
        true,
    )
    .await;
    check(
        &on_role,
        r#"{"StringEquals": {"aws:ResourceAccount": "222222222222"}}"#,
        true,
    )
    .await;
    check(&[WebIdentity], r#"{"StringEquals": {"login.example.com/realm:sub": "ada", "login.example.com/realm:azp": "app"}}"#, true).await;
    check(
        &[WebIdentity],
        r#"{"Null": {"login.example.com/realm:email": "true"}}"#,
        true,
    )
    .await;
    check(
        &[Saml],
        r#"{"StringEquals": {"saml:sub_type": "persistent", "SAML:doc": "222222222222/Company"}}"#,
        true,
    )
    .await;
}

/// IAM matches the keys of tags case-insensitively, as does the check for duplicate keys.
#[tokio::test]
async fn a_session_tag_replaces_the_tag_of_the_role_whatever_its_case() {
    let aws = Simulator::new();
    let keys = user(&aws);
    let role = aws.role(ROLE).trust(trust("Allow", "{}"));
    let role = role.tag("GRÖSSE", "role").policy(EVERYTHING);
    role.create().unwrap();
    let tag = Tag::builder().key("grösse").value("session").build();
    let call = client(&aws, &keys).assume_role().role_arn(ROLE);
    let call = call.role_session_name("session").tags(tag.unwrap());
    let session = keys_of(call.send().await.unwrap().credentials);
    for key in ["grösse", "GRÖSSE"] {
        let condition = format!(r#"{{"StringEquals": {{"aws:PrincipalTag/{key}": "session"}}}}"#);
        let role = aws.role(OTHER).trust(trust("Allow", &condition));
        role.create().unwrap();
        assume(&aws, &session, OTHER).await.expect(key);
    }
}

#[tokio::test]
async fn the_session_by_an_identity_provider_says_which_and_those_behind_it_do_not() {
    let aws = Simulator::new();
    aws.oidc_provider(OIDC, &["app"], include_str!("keys/p256-public.pem"))
        .unwrap();
    let by_provider = r#"{"StringEquals": {"aws:FederatedProvider": "login.example.com/realm"}}"#;
    let by_none = r#"{"Null": {"aws:FederatedProvider": "true"}}"#;
    let role = |arn: &str, condition: &str| {
        let role = aws.role(arn).trust(trust("Allow", condition));
        role.policy(EVERYTHING).create().unwrap();
    };
    role(ROLE, by_provider);
    let session = by_web_identity(&aws).await.unwrap();
    role(OTHER, by_none);
    assume(&aws, &session, OTHER).await.unwrap_err();
    role(OTHER, by_provider);
    let behind = assume(&aws, &session, OTHER).await.unwrap();
    assume(&aws, &behind, ROLE).await.unwrap_err();
    role(ROLE, by_none);
    assume(&aws, &behind, ROLE).await.unwrap();
}

#[tokio::test]
async fn the_test_says_how_requests_arrive_and_which_organization_an_account_is_in() {
    let aws = Simulator::new();
    let keys = user(&aws);
    let tries = async |condition: &str| {
        aws.role(ROLE)
            .trust(trust("Allow", condition))
            .create()
            .unwrap();
        assume(&aws, &keys, ROLE).await.is_ok()
    };
    let home = r#"{"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}"#;
    assert!(!tries(home).await);
    aws.set_request_key("aws:SourceIp", ["198.51.100.7"])
        .unwrap();
    assert!(tries(home).await);
    aws.set_request_key("aws:SourceIp", [""; 0]).unwrap();
    assert!(!tries(r#"{"Null": {"aws:SourceIp": "false"}}"#).await);

    let aws = Simulator::new();
    let keys = user(&aws);
    // Requests through a VPC endpoint have no public address.
    aws.set_request_key("aws:SourceVpce", ["vpce-1"]).unwrap();
    let endpoint =
        r#"{"StringEquals": {"aws:SourceVpce": "vpce-1"}, "Null": {"aws:SourceIp": "true"}}"#;
    aws.role(ROLE)
        .trust(trust("Allow", endpoint))
        .create()
        .unwrap();
    assert!(assume(&aws, &keys, ROLE).await.is_ok());

    let ours = r#"{"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"},
        "ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/ou-ab12-*"}}"#;
    aws.role(ROLE).trust(trust("Allow", ours)).create().unwrap();
    assert!(assume(&aws, &keys, ROLE).await.is_err());
    aws.account("111111111111")
        .organization("o-a1b2c3d4e5")
        .organization_path("o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/")
        .create()
        .unwrap();
    assert!(assume(&aws, &keys, ROLE).await.is_ok());

    for (key, value) in [
        ("aws:username", "ada"),
        ("aws:CurrentTime", "0"),
        ("s3:prefix", "x"),
        ("aws:Nothing", "x"),
    ] {
        let error = aws.set_request_key(key, [value]).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[tokio::test]
async fn session_tags_replace_those_of_the_role_and_inherited_ones_those_of_the_resource() {
    let aws = Simulator::new();
    let keys = user(&aws);
    aws.role(OTHER)
        .trust(trust("Allow", "{}"))
        .policy(EVERYTHING)
        .tag("Team", "role")
        .tag("Env", "prod")
        .create()
        .unwrap();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    let sts = client(&aws, &keys);
    let session = sts
        .assume_role()
        .role_arn(OTHER)
        .role_session_name("session")
        .tags(tag("TEAM", "session"))
        .transitive_tag_keys("TEAM")
        .send()
        .await
        .unwrap();
    let session = keys_of(session.credentials);
    for (condition, is_true) in [
        (
            r#"{"StringEquals": {"aws:PrincipalTag/Team": "session", "aws:PrincipalTag/env": "prod"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:PrincipalTag/Team": "role"}}"#,
            false,
        ),
        (
            r#"{"StringEquals": {"aws:ResourceTag/team": "session", "aws:ResourceTag/Cost": "1"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:ResourceTag/team": "target"}}"#,
            false,
        ),
    ] {
        aws.role(ROLE)
            .trust(trust("Allow", condition))
            .tag("team", "target")
            .tag("Cost", "1")
            .create()
            .unwrap();
        assert_eq!(
            assume(&aws, &session, ROLE).await.is_ok(),
            is_true,
            "{condition}"
        );
    }
}

#[tokio::test]
async fn boundaries_and_the_policies_of_organizations_take_part_in_sts_and_elsewhere() {
    let only_s3 = r#"{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
    let only_sts = r#"{"Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}"#;
    let deny_sts = r#"{"Version": "2012-10-17", "Statement": {
        "Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*"}}"#;
    let world = || {
        let aws = Simulator::new();
        let keys = user(&aws);
        aws.role(ROLE)
            .trust(trust("Allow", "{}"))
            .policy(EVERYTHING)
            .create()
            .unwrap();
        (aws, keys)
    };
    // Whether the user may assume the role, and whether the user may read an object.
    let may = async |aws: &Simulator, keys: &Credentials| {
        let assumed = assume(aws, keys, ROLE).await.is_ok();
        (
            assumed,
            ask(aws, keys, |caller| caller.may("s3:GetObject", OBJECT)).await,
        )
    };
    let (aws, keys) = world();
    assert_eq!(may(&aws, &keys).await, (true, true));
    for (boundary, expected) in [(only_s3, (false, true)), (only_sts, (true, false))] {
        aws.user(USER)
            .policy(EVERYTHING)
            .permissions_boundary(boundary)
            .create()
            .unwrap();
        assert_eq!(may(&aws, &keys).await, expected, "{boundary}");
    }
    let (aws, keys) = world();
    for (levels, expected) in [
        (vec![only_s3], (false, true)),
        (
            vec![AccountBuilder::FULL_AWS_ACCESS, only_sts],
            (true, false),
        ),
        (vec![only_s3, only_sts], (false, false)),
    ] {
        let mut account = aws.account("111111111111");
        for level in &levels {
            account = account.service_control_policies([*level]);
        }
        account.create().unwrap();
        assert_eq!(may(&aws, &keys).await, expected, "{levels:?}");
    }
    // Service control policies of the role's account do not limit the caller.
    let (aws, keys) = world();
    aws.account("222222222222")
        .service_control_policies([only_s3])
        .create()
        .unwrap();
    assert_eq!(may(&aws, &keys).await, (true, true));
    aws.account("222222222222")
        .resource_control_policies([deny_sts])
        .create()
        .unwrap();
    assert_eq!(may(&aws, &keys).await, (false, true));
    // A federated caller belongs to no account, but the role does.
    for (account, is_allowed) in [("111111111111", true), ("222222222222", false)] {
        let aws = Simulator::new();
        aws.oidc_provider(OIDC, &["app"], include_str!("keys/p256-public.pem"))
            .unwrap();
        aws.role(ROLE).trust(trust("Allow", "{}")).create().unwrap();
        aws.account(account)
            .service_control_policies([only_s3])
            .resource_control_policies([deny_sts])
            .create()
            .unwrap();
        assert_eq!(
            by_web_identity(&aws).await.is_some(),
            is_allowed,
            "{account}"
        );
    }
    // A role's boundary limits the role's sessions, and changes take effect immediately.
    let (aws, keys) = world();
    let session = assume(&aws, &keys, ROLE).await.unwrap();
    let may_read = || ask(&aws, &session, |caller| caller.may("s3:GetObject", OBJECT));
    assert!(may_read().await);
    aws.role(ROLE)
        .trust(trust("Allow", "{}"))
        .policy(EVERYTHING)
        .permissions_boundary(only_sts)
        .create()
        .unwrap();
    assert!(!may_read().await);
}

#[tokio::test]
async fn a_request_to_a_service_has_the_keys_and_the_policy_that_the_test_says() {
    let aws = Simulator::new();
    let keys = aws
        .user(USER)
        .policy(policy(
            "Allow",
            "s3:ListBucket",
            r#"{"StringLike": {"s3:prefix": "home/${aws:username}/*"}}"#,
        ))
        .create()
        .unwrap();
    let outcome = async |question: fn(&Caller) -> Result<Explanation, IamError>| {
        ask(&aws, &keys, question)
            .await
            .map(|explanation| explanation.outcome())
    };
    assert_eq!(
        outcome(|caller| caller
            .request("s3:ListBucket", BUCKET)
            .key("s3:prefix", "home/Orders/a")
            .explain())
        .await
        .unwrap(),
        Outcome::Allowed
    );
    assert_eq!(
        outcome(|caller| caller
            .request("s3:ListBucket", BUCKET)
            .key("S3:Prefix", "home/ada/a")
            .explain())
        .await
        .unwrap(),
        Outcome::ImplicitDeny
    );
    assert_eq!(
        outcome(|caller| caller
            .request("s3:ListBucket", BUCKET)
            .absent("s3:prefix")
            .explain())
        .await
        .unwrap(),
        Outcome::ImplicitDeny
    );
    assert_eq!(
        outcome(|caller| caller.request("s3:ListBucket", BUCKET).explain())
            .await
            .unwrap(),
        Outcome::Undecided
    );
    // A bucket policy, within the account and from another account.
    const BUCKET_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*",
        "Principal": {"AWS": "arn:aws:iam::111111111111:user/team/Orders"}}}"#;
    assert_eq!(
        outcome(|caller| caller
            .request("s3:GetObject", OBJECT)
            .resource_policy(BUCKET_POLICY)
            .explain())
        .await
        .unwrap(),
        Outcome::Allowed
    );
    assert_eq!(
        outcome(|caller| caller
            .request("s3:GetObject", OBJECT)
            .resource_policy(BUCKET_POLICY)
            .resource_account("222222222222")
            .explain())
        .await
        .unwrap(),
        Outcome::ImplicitDeny
    );
    assert_eq!(
        outcome(|caller| caller
            .request(
                "firehose:PutRecord",
                "arn:aws:firehose:eu-west-1:222222222222:deliverystream/x"
            )
            .explain())
        .await
        .unwrap(),
        Outcome::ImplicitDeny
    );
    for (key, reason) in [
        ("aws:username", "the user, the role or the session"),
        ("aws:PrincipalOrgID", "Simulator::account"),
        ("aws:CurrentTime", "the simulator sets it"),
    ] {
        let error = ask(&aws, &keys, move |caller| {
            caller
                .request("s3:GetObject", OBJECT)
                .key(key, "x")
                .explain()
        })
        .await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(reason), "{error}");
    }
    let error = outcome(|caller| {
        caller
            .request("s3:GetObject", OBJECT)
            .resource_policy("{}")
            .explain()
    })
    .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("Statement is missing")
    );
}

#[tokio::test]
async fn an_answer_that_depends_on_what_the_test_has_not_said_is_an_error_that_names_it() {
    let aws = Simulator::new();
    let keys = aws
        .user(USER)
        .policy(EVERYTHING)
        .policy(policy(
            "Deny",
            "s3:*",
            r#"{"StringEquals": {"s3:ExistingObjectTag/Secret": "yes"}}"#,
        ))
        .create()
        .unwrap();
    aws.service("firehose", |caller, _| {
        let status = if caller.may("s3:GetObject", OBJECT) {
            200
        } else {
            403
        };
        HttpResponse::new(status.try_into().unwrap(), "{}".into())
    });
    let firehose = aws_sdk_firehose::Client::new(&aws.sdk_config(keys));
    let error = firehose.list_delivery_streams().send().await.unwrap_err();
    assert_eq!(error.code(), Some("Undecided"));
    assert!(
        error
            .message()
            .unwrap()
            .contains("s3:ExistingObjectTag/Secret"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_call_says_which_statement_refused_it_and_keeps_external_ids_to_itself() {
    let aws = Simulator::new();
    let keys = user(&aws);
    let condition = r#"{"StringEquals": {"sts:ExternalId": "c0ffee-expected"},
        "Bool": {"aws:SecureTransport": "true"}}"#;
    aws.role(ROLE)
        .trust(trust("Allow", condition))
        .create()
        .unwrap();
    let call = client(&aws, &keys)
        .assume_role()
        .role_arn(ROLE)
        .role_session_name("session");
    call.external_id("c0ffee-given").send().await.unwrap_err();

    let calls = aws.calls();
    let decision = calls[0].decisions().last().unwrap();
    assert_eq!(decision.outcome(), Outcome::ImplicitDeny);
    assert_eq!(decision.reason, Reason::NoStatement(PolicyKind::Trust));
    let text = decision.to_string();
    assert_eq!(
        text,
        "\
denied: sts:AssumeRole
  by arn:aws:iam::111111111111:user/team/Orders
  on arn:aws:iam::222222222222:role/path/Target
because the role's trust policy does not allow it:
  trust policy of arn:aws:iam::222222222222:role/path/Target
    statement 1 (Allow) does not apply:
      StringEquals sts:ExternalId
        policy:  (secret)
        request: (secret, different)
"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    for text in [
        format!("{decision:?}"),
        format!("{:?}", calls[0]),
        format!("{:#?}", decision.policies),
    ] {
        assert!(!text.contains("c0ffee"), "{text}");
    }
    let shown = decision.with_secrets().to_string();
    assert!(
        shown.contains("policy:  c0ffee-expected") && shown.contains("request: c0ffee-given"),
        "{shown}"
    );
}

#[tokio::test]
async fn every_kind_of_refusal_names_its_policy() {
    let decide = async |aws: &Simulator, keys: &Credentials, role: &str| {
        let _ = assume(aws, keys, role).await;
        aws.calls()
            .last()
            .unwrap()
            .decisions()
            .last()
            .unwrap()
            .clone()
    };
    let aws = Simulator::new();
    let keys = user(&aws);
    aws.role(ROLE).trust(trust("Allow", "{}")).create().unwrap();
    let allowed = decide(&aws, &keys, ROLE).await;
    assert!(allowed.is_allowed());
    let (policy, statement) = allowed.statement().unwrap();
    assert_eq!((policy.kind, statement.number), (PolicyKind::Identity, 1));
    assert!(
        allowed.to_string().starts_with("allowed: sts:AssumeRole\n"),
        "{allowed}"
    );

    let missing = decide(&aws, &keys, OTHER).await;
    assert_eq!(missing.reason, Reason::NoSuchRole);
    assert!(
        missing.to_string().contains("there is no such role"),
        "{missing}"
    );

    aws.account("222222222222")
        .resource_control_policies([r#"{"Version": "2012-10-17", "Statement": {
            "Sid": "OnlyOurs", "Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*",
            "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}}}"#])
        .create()
        .unwrap();
    let denied = decide(&aws, &keys, ROLE).await;
    assert_eq!(denied.outcome(), Outcome::ExplicitDeny);
    let text = denied.to_string();
    assert!(
        text.ends_with(
            "\
because a statement denies it:
  resource control policy 1 of account 222222222222
    statement 1 \"OnlyOurs\" (Deny), whose condition is met:
      StringNotEqualsIfExists aws:PrincipalOrgID
        policy:  o-a1b2c3d4e5
        request: (absent)
"
        ),
        "{text}"
    );

    // A caller without permission, and an operation that needs none.
    let nobody = aws
        .user("arn:aws:iam::222222222222:user/nobody")
        .create()
        .unwrap();
    aws.account("222222222222").create().unwrap();
    aws.role(ROLE).create().unwrap();
    let without = decide(&aws, &nobody, ROLE).await;
    assert_eq!(without.reason, Reason::NoStatement(PolicyKind::Identity));
    assert!(
        without
            .to_string()
            .ends_with("because the caller has no identity policy.\n"),
        "{without}"
    );
    client(&aws, &nobody)
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert!(aws.calls().last().unwrap().decisions().is_empty());
}

#[tokio::test]
async fn an_explanation_shows_what_the_statements_are_about() {
    const HUB: &str = "arn:aws:iam::111111111111:role/Hub";
    let aws = Simulator::new();
    let statement = |element: &str| {
        format!(r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", {element}}}}}"#)
    };
    let may_assume = |resource: &str| {
        statement(&format!(
            r#""Action": "sts:AssumeRole", "Resource": {resource}"#
        ))
    };
    let trusts = |principal: &str| {
        statement(&format!(
            r#""Action": "sts:AssumeRole", "Principal": {principal}"#
        ))
    };
    let hub = || aws.role(HUB).policy(may_assume("\"*\""));
    hub().create().unwrap();
    let why = async || {
        let session = aws.role_session(HUB, "hub").unwrap();
        assume(&aws, &session, ROLE).await.unwrap_err();
        let text = aws.refusals().last().unwrap().to_string();
        text.split_once("\nbecause ").unwrap().1.to_owned()
    };
    let refused_by_trust = |element: &str| {
        format!(
            "the role's trust policy does not allow it:\n  trust policy of {ROLE}\n    \
             statement 1 (Allow) does not name the caller:\n      Principal: {element}\n"
        )
    };

    // Principals: of another account, of a service, and a deleted role of the same name by its unique ID.
    aws.role(ROLE).create().unwrap();
    assert_eq!(why().await, refused_by_trust("222222222222"));
    let service = trusts(r#"{"Service": "ec2.amazonaws.com"}"#);
    aws.role(ROLE).trust(service).create().unwrap();
    assert_eq!(why().await, refused_by_trust("Service ec2.amazonaws.com"));
    let names_hub = trusts(&format!(r#"{{"AWS": "{HUB}"}}"#));
    aws.role(ROLE).trust(names_hub).create().unwrap();
    aws.delete_role(HUB);
    hub().create().unwrap();
    assert_eq!(
        why().await,
        refused_by_trust(&format!(
            "{HUB} (a role of this name with another path, or a deleted one)"
        ))
    );

    // Resources, limited to as many as fit on a terminal.
    aws.role(ROLE)
        .trust(trusts(r#"{"AWS": "111111111111"}"#))
        .create()
        .unwrap();
    let resources: Vec<String> = (1..=7)
        .map(|n| format!(r#""arn:aws:iam::222222222222:role/Writer{n}""#))
        .collect();
    let resources = may_assume(&format!("[{}]", resources.join(",")));
    aws.role(HUB).policy(resources).create().unwrap();
    let text = why().await;
    assert!(
        text.starts_with("no identity policy allows it:\n")
            && text.contains("statement 1 (Allow) is about other resources:\n      Resource: arn:aws:iam::222222222222:role/Writer1\n")
            && text.ends_with("role/Writer5\n                2 more\n"),
        "{text}"
    );

    // Actions, unless many statements are about other actions.
    let other = statement(r#""NotAction": ["sts:AssumeRole", "s3:*"], "Resource": "*""#);
    aws.role(HUB).policy(&*other).create().unwrap();
    let text = why().await;
    assert!(
        text.ends_with(
            "    statement 1 (Allow) is about other actions:\n      NotAction: sts:AssumeRole | s3:*\n"
        ),
        "{text}"
    );
    let many = r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#;
    let many = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
        [many; 4].join(",")
    );
    aws.role(HUB).policy(many).create().unwrap();
    let text = why().await;
    assert!(
        text.ends_with("    4 statements are about other actions\n"),
        "{text}"
    );
}

#[tokio::test]
async fn an_external_id_is_not_shown_but_how_it_differs_is() {
    let aws = Simulator::new();
    let keys = user(&aws);
    let condition = r#"{"StringEquals": {"sts:ExternalId": "c0ffee-1"}}"#;
    aws.role(ROLE)
        .trust(trust("Allow", condition))
        .create()
        .unwrap();
    for (given, shown) in [
        (Some("c0ffee-2"), "(secret, different)"),
        (
            Some("C0FFEE-1"),
            "(secret, different only in case or surrounding white space)",
        ),
        (None, "(absent)"),
    ] {
        let call = client(&aws, &keys)
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session");
        call.set_external_id(given.map(str::to_owned))
            .send()
            .await
            .unwrap_err();
        let text = aws.refusals().last().unwrap().to_string();
        assert!(
            text.ends_with(&format!("        request: {shown}\n")),
            "{text}"
        );
        assert!(!text.to_ascii_lowercase().contains("c0ffee"), "{text}");
    }
}

#[test]
fn what_iam_refuses_is_refused_and_nothing_is_changed() {
    let aws = Simulator::new();
    let error = |result: Result<(), IamError>| result.unwrap_err().to_string();
    let long = |n: usize| {
        format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "*"}},
                "Condition": {{"StringEquals": {{"sts:ExternalId": "{}"}}}}}}}}"#,
            "x".repeat(n)
        )
    };
    assert_eq!(
        error(aws.role(ROLE).trust(long(5000)).create()),
        format!("{ROLE}: LimitExceeded: Cannot exceed quota for ACLSizePerRole: 2048")
    );
    // White space does not count, and the quota can be increased.
    let spaces = long(100).replace(' ', &" ".repeat(1000));
    aws.role(ROLE).trust(spaces).create().unwrap();
    aws.account("222222222222")
        .role_trust_policy_length(8192)
        .create()
        .unwrap();
    aws.role(ROLE).trust(long(5000)).create().unwrap();

    let many = |n: usize| {
        let resources = vec![r#""arn:aws:s3:::bucket""#; n].join(",");
        format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "s3:*", "Resource": [{resources}]}}}}"#
        )
    };
    for (result, message) in [
        (
            aws.user(USER)
                .policy(many(60))
                .policy(many(60))
                .create()
                .map(drop),
            "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user Orders",
        ),
        (
            aws.role(ROLE).policy(many(500)).create(),
            "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role Target",
        ),
        (
            aws.user(USER)
                .permissions_boundary(many(300))
                .create()
                .map(drop),
            "LimitExceeded: Cannot exceed quota for PolicySize: 6144",
        ),
        (
            aws.user(USER).tag("aws:x", "1").create().map(drop),
            "aws: prefixed tag key names are not allowed for external use.",
        ),
        (
            aws.user(USER)
                .tag("Team", "1")
                .tag("team", "2")
                .create()
                .map(drop),
            "Duplicate tag keys found.",
        ),
        (
            aws.user(USER).tag("", "1").create().map(drop),
            "the tag key \"\" must consist of 1 to 128",
        ),
        (
            aws.user(USER)
                .tag("Team", "x".repeat(257))
                .create()
                .map(drop),
            "at most 256",
        ),
        (
            aws.role(ROLE).tag("Te*m", "1").create(),
            "the tag key \"Te*m\"",
        ),
        (aws.account("1").create(), "an account ID must be 12 digits"),
        (
            aws.account("111111111111")
                .organization("a1b2c3d4e5")
                .create(),
            "o-[a-z0-9]{10,32}",
        ),
        (
            aws.account("111111111111")
                .organization_path("o-a1b2c3d4e5/r-ab12/")
                .create(),
            "must begin with the IDs of the organization and its root, o-…/r-…/",
        ),
        (
            aws.account("111111111111")
                .service_control_policies(["{}"])
                .create(),
            "service control policy 1 of account 111111111111: MalformedPolicyDocument",
        ),
        (
            aws.user(USER)
                .policy(policy(
                    "Allow",
                    "*",
                    r#"{"StringEquals": {"transfer:HomeBucket": "x"}}"#,
                ))
                .create()
                .map(drop),
            "does not know the condition key \"transfer:HomeBucket\"",
        ),
    ] {
        let error = error(result);
        assert!(error.contains(message), "{error}");
    }
    // A key that is newer than the simulator can be added.
    aws.add_condition_key("transfer:HomeBucket");
    aws.user(USER)
        .policy(policy(
            "Allow",
            "*",
            r#"{"StringEquals": {"transfer:HomeBucket": "x"}}"#,
        ))
        .create()
        .unwrap();
}
