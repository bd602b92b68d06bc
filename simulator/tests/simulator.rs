//! The simulator answers like STS: authentication, limits and authorization.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::SharedCredentialsProvider;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_smithy_async::time::TimeSource;
use sts_simulator::Simulator;

const USER: &str = "arn:aws:iam::111111111111:user/orders";
const SAME_ACCOUNT: &str = "arn:aws:iam::111111111111:role/path/Local";
const HUB: &str = "arn:aws:iam::222222222222:role/Hub";
const MIDDLE: &str = "arn:aws:iam::222222222222:role/Middle";
const TENANT: &str = "arn:aws:iam::333333333333:role/FirehoseWriter";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Returns accounts in which the user may assume the hub, the hub the middle role and the tenant, and the
/// middle role the tenant.
fn aws() -> Simulator {
    let aws = Simulator::new();
    user(&aws);
    let role = |arn: &str, trust: String| {
        let role = aws.role(arn).trust(trust).policy(allow("sts:*"));
        role.create().unwrap();
    };
    role(HUB, trusts(USER));
    role(MIDDLE, trusts("222222222222"));
    role(TENANT, trusts("222222222222"));
    aws
}

/// Returns a new access key of the user.
fn user(aws: &Simulator) -> Credentials {
    aws.user(USER).policy(allow("sts:*")).create().unwrap()
}

/// Returns a policy that allows one action on any resource.
fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
    )
}

/// Returns a trust policy for one principal.
fn trusts(principal: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{
            "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Principal": {{"AWS": "{principal}"}}}}}}"#
    )
}

fn client(aws: &Simulator, keys: &Credentials) -> Client {
    let config = aws
        .sdk_config(keys.clone())
        .into_builder()
        .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled());
    Client::new(&config.build())
}

fn assume(client: &Client, role: &str) -> AssumeRoleFluentBuilder {
    client
        .assume_role()
        .role_arn(role)
        .role_session_name("session")
}

/// STS's response: a session, or status, code and message.
type Answer = Result<Credentials, (u16, String, String)>;

async fn answer(call: AssumeRoleFluentBuilder) -> Answer {
    match call.send().await {
        Ok(output) => {
            let given = output.credentials.unwrap();
            Ok(Credentials::new(
                given.access_key_id,
                given.secret_access_key,
                Some(given.session_token),
                None,
                "test",
            ))
        }
        Err(error) => {
            assert!(error.request_id().is_some());
            let status = error.raw_response().unwrap().status().as_u16();
            let message = error.message().unwrap_or_default().to_owned();
            Err((status, error.code().unwrap().to_owned(), message))
        }
    }
}

#[track_caller]
fn assert_refused(answer: Answer, status: u16, code: &str, message: &str) {
    assert_eq!(
        answer.unwrap_err(),
        (status, code.to_owned(), message.to_owned())
    );
}

fn denied(action: &str, caller: &str, role: &str) -> String {
    format!("User: {caller} is not authorized to perform: {action} on resource: {role}")
}

#[tokio::test]
async fn parameters_outside_the_limits_get_the_texts_of_sts() {
    let aws = aws();
    let sts = client(&aws, &user(&aws));
    let assume = || assume(&sts, HUB);
    let tag = |key: &str| Tag::builder().key(key).value("v").build().unwrap();
    let arn_of_2049 = format!("arn:aws:iam::222222222222:role/{}", "r".repeat(2018));
    let cases = [
        (
            assume().duration_seconds(899),
            "ValidationError",
            "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900".to_owned(),
        ),
        (
            assume().duration_seconds(43201),
            "ValidationError",
            "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200".to_owned(),
        ),
        (
            assume().duration_seconds(3601),
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".to_owned(),
        ),
        (
            sts.assume_role().role_session_name("session"),
            "ValidationError",
            "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null".to_owned(),
        ),
        (
            assume().role_arn("not-an-arn"),
            "ValidationError",
            "1 validation error detected: Value 'not-an-arn' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20".to_owned(),
        ),
        (
            assume().role_arn("arn:a:::something/test-role"),
            "ValidationError",
            "arn:a:::something/test-role is invalid".to_owned(),
        ),
        (
            assume().role_arn(&arn_of_2049),
            "ValidationError",
            format!("1 validation error detected: Value '{arn_of_2049}' at 'roleArn' failed to satisfy constraint: Member must have length less than or equal to 2048"),
        ),
        (
            assume().role_session_name("bad/name"),
            "ValidationError",
            r"1 validation error detected: Value 'bad/name' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*".to_owned(),
        ),
        (
            assume().role_session_name("x").external_id("y"),
            "ValidationError",
            "2 validation errors detected: Value 'x' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2; Value 'y' at 'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2".to_owned(),
        ),
        (
            assume().external_id(""),
            "ValidationError",
            "1 validation error detected: Value '' at 'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2".to_owned(),
        ),
        (
            assume().source_identity("aws:ada"),
            "ValidationError",
            r"1 validation error detected: Value 'aws:ada' at 'sourceIdentity' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*".to_owned(),
        ),
        (
            assume().tags(tag("Team")).tags(tag("team")),
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned(),
        ),
        (
            assume().tags(tag("Team")).transitive_tag_keys("Cost"),
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.".to_owned(),
        ),
    ];
    for (call, code, message) in cases {
        assert_refused(answer(call).await, 400, code, &message);
    }
    let too_many = (0..11).fold(assume(), |call, i| {
        let arn = format!("arn:aws:iam::222222222222:policy/P{i}");
        call.policy_arns(PolicyDescriptorType::builder().arn(arn).build())
    });
    for (call, at) in [
        (assume().tags(tag(&"k".repeat(129))), "'tags.1.member.key'"),
        (assume().tags(tag("a;b")), "'tags.1.member.key'"),
        (too_many, "'policyArns'"),
        (assume().policy("{\"Sid\": \"\u{1F600}\"}"), "'policy'"),
        (
            assume().policy(format!("{{\"a\": \"{}\"}}", "x".repeat(2048))),
            "'policy'",
        ),
    ] {
        let (status, code, message) = answer(call).await.unwrap_err();
        assert_eq!((status, &*code), (400, "ValidationError"));
        assert!(message.contains(at), "{message}");
    }
    let malformed = answer(assume().policy(r#"{"Statement": {"Effect": "Allow"}}"#)).await;
    assert_eq!(malformed.unwrap_err().1, "MalformedPolicyDocument");
    answer(assume().duration_seconds(900)).await.unwrap();
}

#[tokio::test]
async fn across_accounts_both_sides_must_allow() {
    let aws = Simulator::new();
    let may = aws
        .user(USER)
        .policy(allow("sts:AssumeRole"))
        .create()
        .unwrap();
    let other = "arn:aws:iam::111111111111:user/other";
    let may_not = aws.user(other).create().unwrap();
    let forbidden_user = "arn:aws:iam::111111111111:user/forbidden";
    let forbidden = aws
        .user(forbidden_user)
        .policy(allow("*"))
        .policy(allow("sts:AssumeRole").replace("Allow", "Deny"))
        .create()
        .unwrap();
    let nobody_trusts = "arn:aws:iam::222222222222:role/Closed";
    aws.role(nobody_trusts).create().unwrap();
    for principal in ["111111111111", "arn:aws:iam::111111111111:root", "*"] {
        aws.role(HUB).trust(trusts(principal)).create().unwrap();
        let by = |keys| answer(assume(&client(&aws, keys), HUB));
        by(&may).await.unwrap();
        let text = |caller| denied("sts:AssumeRole", caller, HUB);
        assert_refused(by(&may_not).await, 403, "AccessDenied", &text(other));
        assert_refused(
            by(&forbidden).await,
            403,
            "AccessDenied",
            &text(forbidden_user),
        );
    }
    aws.role(HUB).trust(trusts(other)).create().unwrap();
    for (keys, caller) in [(&may, USER), (&may_not, other)] {
        let refused = answer(assume(&client(&aws, keys), HUB)).await;
        assert_refused(
            refused,
            403,
            "AccessDenied",
            &denied("sts:AssumeRole", caller, HUB),
        );
    }
    // The errors for a role that trusts others, one that does not exist and one in different case are the same.
    for role in [
        nobody_trusts,
        "arn:aws:iam::222222222222:role/Missing",
        "arn:aws:iam::222222222222:role/hub",
    ] {
        let refused = answer(assume(&client(&aws, &may), role)).await;
        assert_refused(
            refused,
            403,
            "AccessDenied",
            &denied("sts:AssumeRole", USER, role),
        );
    }
}

#[tokio::test]
async fn within_an_account_a_trust_policy_that_names_the_caller_is_enough() {
    let aws = Simulator::new();
    let keys = aws.user(USER).create().unwrap();
    let by = || answer(assume(&client(&aws, &keys), SAME_ACCOUNT));
    for principal in [USER, "*"] {
        aws.role(SAME_ACCOUNT)
            .trust(trusts(principal))
            .create()
            .unwrap();
        by().await.unwrap();
    }
    // A trust policy that names the account delegates to the user's own policies.
    aws.role(SAME_ACCOUNT)
        .trust(trusts("111111111111"))
        .create()
        .unwrap();
    by().await.unwrap_err();
    aws.user(USER)
        .policy(allow("sts:AssumeRole"))
        .create()
        .unwrap();
    by().await.unwrap();
    aws.user(USER)
        .policy(allow("sts:AssumeRole").replace("Allow", "Deny"))
        .create()
        .unwrap();
    aws.role(SAME_ACCOUNT).trust(trusts(USER)).create().unwrap();
    by().await.unwrap_err();
}

#[tokio::test]
async fn a_role_is_trusted_as_role_or_session_and_a_session_policy_limits_only_the_role() {
    let aws = aws();
    let sts = client(&aws, &user(&aws));
    let target = "arn:aws:iam::222222222222:role/Target";
    let only_s3 = answer(assume(&sts, HUB).policy(allow("s3:*")))
        .await
        .unwrap();
    let free = answer(assume(&sts, HUB)).await.unwrap();
    let by = |keys| answer(assume(&client(&aws, keys), target));

    aws.role(target).trust(trusts(HUB)).create().unwrap();
    by(&free).await.unwrap();
    by(&only_s3).await.unwrap_err();

    let session = "arn:aws:sts::222222222222:assumed-role/Hub/session";
    aws.role(target).trust(trusts(session)).create().unwrap();
    by(&free).await.unwrap();
    by(&only_s3).await.unwrap();

    aws.role(target)
        .trust(trusts("arn:aws:sts::222222222222:assumed-role/Hub/another"))
        .create()
        .unwrap();
    let refused = by(&free).await;
    assert_refused(
        refused,
        403,
        "AccessDenied",
        &denied("sts:AssumeRole", session, target),
    );
}

#[tokio::test]
async fn a_principal_made_again_is_another_and_one_that_is_not_there_is_refused() {
    let aws = aws();
    let unknown = aws
        .role(TENANT)
        .trust(trusts("arn:aws:iam::111111111111:role/Missing"));
    assert_eq!(
        unknown.create().unwrap_err().to_string(),
        "trust policy of arn:aws:iam::333333333333:role/FirehoseWriter: MalformedPolicyDocument: \
         Invalid principal in policy: \"AWS\":\"arn:aws:iam::111111111111:role/Missing\". A policy can only name a \
         user or role that exists: create arn:aws:iam::111111111111:role/Missing first"
    );
    aws.role(TENANT).trust(trusts(HUB)).create().unwrap();
    let sts = client(&aws, &user(&aws));
    let hub = answer(assume(&sts, HUB)).await.unwrap();
    answer(assume(&client(&aws, &hub), TENANT)).await.unwrap();

    aws.delete_role(HUB);
    let dead = answer(assume(&client(&aws, &hub), TENANT)).await;
    let invalid = "The security token included in the request is invalid.";
    assert_refused(dead, 403, "InvalidClientTokenId", invalid);
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    let dead = answer(assume(&client(&aws, &hub), TENANT)).await;
    assert_refused(dead, 403, "InvalidClientTokenId", invalid);
    let new_hub = answer(assume(&sts, HUB)).await.unwrap();
    answer(assume(&client(&aws, &new_hub), TENANT))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_condition_on_the_external_id_and_others_is_evaluated() {
    let aws = Simulator::new();
    let sts = client(&aws, &user(&aws));
    let trust = |condition: &str| {
        aws.role(HUB)
            .trust(format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
                    "Principal": {{"AWS": "111111111111"}}, "Condition": {condition}}}}}"#
            ))
            .create()
            .unwrap();
    };
    let assume = || assume(&sts, HUB);
    for (condition, call, allowed) in [
        (
            r#"{"StringEquals": {"sts:ExternalId": "c0ffee"}}"#,
            assume().external_id("c0ffee"),
            true,
        ),
        (
            r#"{"StringEquals": {"sts:ExternalId": "c0ffee"}}"#,
            assume().external_id("C0FFEE"),
            false,
        ),
        (
            r#"{"StringEquals": {"sts:ExternalId": "c0ffee"}}"#,
            assume(),
            false,
        ),
        (
            r#"{"StringEquals": {"sts:RoleSessionName": "session"}}"#,
            assume(),
            true,
        ),
        (
            r#"{"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}"#,
            assume().role_session_name("orders"),
            true,
        ),
        (
            r#"{"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}"#,
            assume(),
            false,
        ),
        (
            r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:user/*"}}"#,
            assume(),
            true,
        ),
        (
            r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/*"}}"#,
            assume(),
            false,
        ),
        (
            r#"{"Bool": {"aws:MultiFactorAuthPresent": "true"}}"#,
            assume(),
            false,
        ),
        (
            r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}"#,
            assume(),
            true,
        ),
    ] {
        trust(condition);
        assert_eq!(answer(call).await.is_ok(), allowed, "{condition}");
    }
}

#[tokio::test]
async fn temporary_credentials_get_one_hour_and_the_limit_of_the_role_is_checked_first() {
    let aws = aws();
    let sts = client(&aws, &user(&aws));
    let hub = answer(assume(&sts, HUB)).await.unwrap();
    let two_hours = || answer(assume(&client(&aws, &hub), TENANT).duration_seconds(7200));
    assert_refused(
        two_hours().await,
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
    aws.role(TENANT)
        .trust(trusts("222222222222"))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    assert_refused(
        two_hours().await,
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    );
    answer(assume(&client(&aws, &hub), TENANT).duration_seconds(3600))
        .await
        .unwrap();
    aws.role(HUB)
        .trust(trusts(USER))
        .max_session_duration(12 * HOUR)
        .create()
        .unwrap();
    answer(assume(&sts, HUB).duration_seconds(43_200))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_tokens_expiry_signatures_and_clocks_are_checked_in_the_order_of_sts() {
    let aws = aws();
    let keys = user(&aws);
    let session = answer(assume(&client(&aws, &keys), HUB).duration_seconds(900))
        .await
        .unwrap();
    let with = |secret: &str, token: Option<&str>| {
        let keys = Credentials::new(
            session.access_key_id(),
            secret,
            token.map(str::to_owned),
            None,
            "test",
        );
        answer(assume(&client(&aws, &keys), TENANT))
    };
    let (secret, token) = (session.secret_access_key(), session.session_token());
    let invalid = "The security token included in the request is invalid.";
    let expired = "The security token included in the request is expired";
    let unsigned = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

    with(secret, token).await.unwrap();
    assert_refused(
        with(secret, None).await,
        403,
        "InvalidClientTokenId",
        invalid,
    );
    assert_refused(
        with("wrong", Some("foreign")).await,
        403,
        "InvalidClientTokenId",
        invalid,
    );
    assert_refused(
        with("wrong", token).await,
        403,
        "SignatureDoesNotMatch",
        unsigned,
    );
    let unknown = Credentials::new("AKIAUNKNOWN", "wrong", None, None, "test");
    let by_unknown = answer(assume(&client(&aws, &unknown), HUB)).await;
    assert_refused(by_unknown, 403, "InvalidClientTokenId", invalid);

    aws.clock().advance(15 * MINUTE).await;
    assert_refused(with(secret, token).await, 403, "ExpiredToken", expired);
    assert_refused(with("wrong", token).await, 403, "ExpiredToken", expired);
    aws.delete_role(HUB);
    assert_refused(with(secret, token).await, 403, "ExpiredToken", expired);

    #[derive(Debug)]
    struct Behind(sts_simulator::Clock);
    impl TimeSource for Behind {
        fn now(&self) -> std::time::SystemTime {
            self.0.now() - 20 * MINUTE
        }
    }
    let behind = aws
        .sdk_config(keys)
        .into_builder()
        .time_source(Behind(aws.clock()))
        .disable_clock_skew_correction(true)
        .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled());
    let late = answer(assume(&Client::new(&behind.build()), MIDDLE))
        .await
        .unwrap_err();
    assert_eq!((late.0, &*late.1), (403, "SignatureDoesNotMatch"));
    assert!(
        late.2.starts_with("Signature expired: ") && late.2.ends_with(" - 15 min.)"),
        "{}",
        late.2
    );
}

#[tokio::test]
async fn a_session_policy_and_managed_ones_limit_what_the_session_may_do() {
    let aws = aws();
    let managed = "arn:aws:iam::222222222222:policy/OnlyGet";
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("s3:*"))
        .managed_policy(managed, allow("s3:GetObject"))
        .create()
        .unwrap();
    aws.service("s3", |caller, _| {
        let may = ["s3:GetObject", "s3:PutObject", "sqs:SendMessage"]
            .map(|action| u8::from(caller.may(action, "arn:aws:s3:::bucket/x")).to_string());
        HttpResponse::new(200.try_into().unwrap(), may.concat().into())
    });
    let sts = client(&aws, &user(&aws));
    let may = async |call: AssumeRoleFluentBuilder| {
        let session = answer(call).await.unwrap();
        let s3 = aws_sdk_s3::Client::new(&aws.sdk_config(session));
        let object = s3
            .get_object()
            .bucket("bucket")
            .key("x")
            .send()
            .await
            .unwrap();
        String::from_utf8(object.body.collect().await.unwrap().to_vec()).unwrap()
    };
    assert_eq!(may(assume(&sts, HUB)).await, "110");
    assert_eq!(
        may(assume(&sts, HUB).policy(allow("s3:PutObject"))).await,
        "010"
    );
    assert_eq!(may(assume(&sts, HUB).policy(allow("sqs:*"))).await, "000");
    let by_arn = PolicyDescriptorType::builder().arn(managed).build();
    assert_eq!(may(assume(&sts, HUB).policy_arns(by_arn)).await, "100");
}

#[tokio::test]
async fn transitive_tags_are_inherited_need_permission_at_each_hop_and_cannot_be_changed() {
    let aws = aws();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    let sts = client(&aws, &user(&aws));
    let hub = answer(
        assume(&sts, HUB)
            .tags(tag("Team", "a"))
            .tags(tag("Cost", "1"))
            .transitive_tag_keys("Team"),
    )
    .await
    .unwrap();
    let hub = client(&aws, &hub);
    let caller = "arn:aws:sts::222222222222:assumed-role/Hub/session";

    for key in ["Team", "TEAM"] {
        let again = answer(assume(&hub, TENANT).tags(tag(key, "a"))).await;
        assert_refused(
            again,
            400,
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
        );
    }
    let session = answer(assume(&hub, TENANT).tags(tag("Cost", "2")))
        .await
        .unwrap();
    aws.service("firehose", |caller, _| {
        let tags =
            ["team", "Cost", "x"].map(|key| caller.session_tag(key).unwrap_or("-").to_owned());
        HttpResponse::new(
            200.try_into().unwrap(),
            format!(r#"{{"RecordId": "{}"}}"#, tags.concat()).into(),
        )
    });
    let firehose = aws_sdk_firehose::Client::new(&aws.sdk_config(session));
    let record = aws_sdk_firehose::types::Record::builder()
        .data(aws_sdk_firehose::primitives::Blob::new("x"))
        .build()
        .unwrap();
    let put = firehose
        .put_record()
        .delivery_stream_name("s")
        .record(record)
        .send()
        .await
        .unwrap();
    assert_eq!(put.record_id, "a2-");

    let no_tags = trusts("222222222222").replace(r#", "sts:TagSession""#, "");
    aws.role(TENANT).trust(no_tags).create().unwrap();
    let refused = answer(assume(&hub, TENANT)).await;
    assert_refused(
        refused,
        403,
        "AccessDenied",
        &denied("sts:TagSession", caller, TENANT),
    );
}

#[tokio::test]
async fn a_source_identity_is_inherited_needs_permission_and_cannot_be_changed() {
    let aws = aws();
    let sts = client(&aws, &user(&aws));
    let hub = answer(assume(&sts, HUB).source_identity("ada"))
        .await
        .unwrap();
    let hub = client(&aws, &hub);
    let output = assume(&hub, TENANT).send().await.unwrap();
    assert_eq!(output.source_identity(), Some("ada"));
    answer(assume(&hub, TENANT).source_identity("ada"))
        .await
        .unwrap();
    let changed = answer(assume(&hub, TENANT).source_identity("bob")).await;
    assert_refused(
        changed,
        400,
        "ValidationError",
        "The source identity is already set for this assume role session",
    );

    // A condition on a key that an action does not have denies the whole call.
    let one_statement_for_all =
        r#"{"Statement": {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
            "Principal": {"AWS": "222222222222"},
            "Condition": {"StringEquals": {"sts:RoleSessionName": "session"}}}}"#
            .to_string();
    aws.role(TENANT)
        .trust(one_statement_for_all)
        .create()
        .unwrap();
    let caller = "arn:aws:sts::222222222222:assumed-role/Hub/session";
    let refused = answer(assume(&hub, TENANT)).await;
    assert_refused(
        refused,
        403,
        "AccessDenied",
        &denied("sts:SetSourceIdentity", caller, TENANT),
    );
}

#[tokio::test]
async fn get_caller_identity_says_who_signed() {
    let aws = aws();
    let keys = user(&aws);
    let sts = client(&aws, &keys);
    let me = sts.get_caller_identity().send().await.unwrap();
    assert_eq!((me.arn(), me.account()), (Some(USER), Some("111111111111")));
    let hub = answer(assume(&sts, HUB)).await.unwrap();
    let me = client(&aws, &hub)
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(
        me.arn(),
        Some("arn:aws:sts::222222222222:assumed-role/Hub/session")
    );
    assert_eq!(me.account(), Some("222222222222"));
    assert!(
        me.user_id().unwrap().starts_with("AROA") && me.user_id().unwrap().ends_with(":session")
    );
}

#[tokio::test]
async fn services_that_are_not_plugged_in_say_so() {
    let aws = aws();
    let keys = user(&aws);
    let config = aws.sdk_config(keys);
    let firehose = aws_sdk_firehose::Client::new(&config);
    let error = firehose.list_delivery_streams().send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownService"), "{error:?}");
    let message = "the simulator has no service \"firehose\"; add it with Simulator::service";
    assert_eq!(error.message(), Some(message));
    let stranger = Credentials::new("AKIASTRANGER", "secret", None, None, "test");
    let provider = SharedCredentialsProvider::new(stranger);
    let config = config.into_builder().credentials_provider(provider).build();
    let error = aws_sdk_firehose::Client::new(&config)
        .list_delivery_streams()
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.code(),
        Some("UnrecognizedClientException"),
        "services see no strangers"
    );
}

#[test]
fn an_arn_of_no_user_or_role_is_rejected() {
    let aws = Simulator::new();
    for wrong in [
        "",
        "orders",
        "arn:aws:iam::111111111111:role/x",
        "arn:aws:iam::1:user/x",
    ] {
        let error = aws.user(wrong).create().unwrap_err().to_string();
        assert!(
            error.contains(&format!("{wrong:?}: ValidationError")),
            "{error}"
        );
    }
    assert!(
        aws.role("arn:aws:iam::111111111111:user/x")
            .create()
            .is_err()
    );
    let error = aws
        .user(USER)
        .policy("{}")
        .create()
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "identity policy 1 of {USER}: MalformedPolicyDocument: Syntax errors in policy. (Statement is \
             missing)"
        )
    );
}

/// The rules of CreateUser, CreateRole and AssumeRole in the API references.
#[test]
fn names_and_paths_have_the_characters_and_lengths_that_iam_allows() {
    let aws = Simulator::new();
    let of = |kind: &str, name: &str| format!("arn:aws:iam::111111111111:{kind}/{name}");
    let long = |length: usize| "x".repeat(length);
    let path = |length: usize| format!("{}/x", long(length - 2));
    for right in ["+=,.@_-09azAZ", &long(64), "a:b/*/?/y", "a//z", &path(512)] {
        aws.user(of("user", right)).create().unwrap();
        aws.role(of("role", right)).create().unwrap();
    }
    // The last two name the root user, if names may have colons.
    for wrong in [
        &*long(65),
        "a b",
        "a*",
        "é",
        "é/x",
        "a b/x",
        &path(513),
        "x:root",
        "/x:root",
    ] {
        let (user, role) = (of("user", wrong), of("role", wrong));
        for error in [aws.user(user).create().err(), aws.role(role).create().err()] {
            let error = error.expect(wrong).to_string();
            assert!(error.contains("ValidationError: the name"), "{error}");
        }
    }
    let error = aws.role("arn:x:iam::111111111112:role/x").create();
    assert!(error.unwrap_err().to_string().contains("must be arn:"));
    for wrong in ["x", "a b", "a/b", &long(65)] {
        let session = aws.role_session(&of("role", "a//z"), wrong);
        let error = session.expect_err(wrong).to_string();
        assert!(error.contains("ValidationError: a session name"), "{error}");
    }
}

/// The issuer would not be found when a token arrives.
#[test]
fn a_provider_with_another_name_than_its_arn_is_rejected() {
    let aws = Simulator::new();
    let key = include_str!("keys/p256-public.pem");
    for wrong in [
        "https://example.com",
        "arn:aws:iam::111111111111:oidc-provider/",
        "arn:aws:iam::1:oidc-provider/example.com",
        "arn:aws:iam::111111111111:saml-provider/example.com",
    ] {
        let error = aws.oidc_provider(wrong, &["app"], key).unwrap_err();
        assert!(
            error.to_string().contains(":oidc-provider/<issuer>"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_account_is_in_one_partition_whatever_its_names() {
    let aws = Simulator::new();
    let china = "arn:aws-cn:iam::444444444444:user/orders";
    aws.user(china).create().unwrap();
    let rule = "the account 444444444444 belongs to the partition aws-cn";
    for refused in [
        aws.user("arn:aws:iam::444444444444:user/other")
            .create()
            .err(),
        aws.role("arn:aws:iam::444444444444:role/other")
            .create()
            .err(),
        aws.root_user("arn:aws:iam::444444444444:root").err(),
        aws.oidc_provider(
            "arn:aws:iam::444444444444:oidc-provider/example.com",
            &["app"],
            include_str!("keys/p256-public.pem"),
        )
        .err(),
    ] {
        let error = refused.expect("another partition").to_string();
        assert!(error.contains(rule), "{error}");
    }
    // The root user is in the partition of the account.
    for (account, partition) in [("444444444444", "aws-cn"), ("555555555555", "aws")] {
        let keys = aws.root_user_with_known_key(account).unwrap();
        let config = aws.sdk_config(keys).into_builder();
        let config = config.endpoint_url("http://127.0.0.1:4566").build();
        let me = Client::new(&config).get_caller_identity().send().await;
        let arn = format!("arn:{partition}:iam::{account}:root");
        assert_eq!(me.unwrap().arn(), Some(arn.as_str()));
    }
}

#[tokio::test]
async fn no_role_of_another_partition_can_be_assumed_also_by_way_of_a_local_endpoint() {
    let aws = Simulator::new();
    let allow = allow("sts:AssumeRole");
    let create = |user: &str| aws.user(user).policy(&*allow).create().unwrap();
    let orders = create("arn:aws:iam::111111111111:user/orders");
    let china = create("arn:aws-cn:iam::444444444444:user/orders");
    let everybody = trusts("*");
    let role = "arn:aws-cn:iam::444444444444:role/Writer";
    aws.role(role).trust(everybody).create().unwrap();
    for (keys, is_allowed) in [(china, true), (orders, false)] {
        let config = aws.sdk_config(keys).into_builder();
        let config = config.endpoint_url("http://127.0.0.1:4566").build();
        let sts = Client::new(&config);
        let call = sts.assume_role().role_arn(role).role_session_name("orders");
        let answer = call.send().await;
        assert_eq!(answer.is_ok(), is_allowed, "{answer:?}");
    }
    let calls = aws.calls();
    let why = calls[1].decisions()[0].to_string();
    assert!(why.contains("there is no such role"), "{why}");
}

#[tokio::test]
#[should_panic(expected = "time is not frozen")]
async fn the_clock_is_moved_by_hand_only_where_time_is_paused() {
    Simulator::new().clock().advance(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn latency_passes_on_the_clock() {
    let aws = aws();
    aws.set_latency(Duration::from_millis(200));
    answer(assume(&client(&aws, &user(&aws)), HUB))
        .await
        .unwrap();
    assert_eq!(aws.clock().elapsed(), Duration::from_millis(200));
}

#[test]
fn an_mfa_device_needs_a_secret_in_base32_and_the_error_does_not_show_it() {
    let aws = Simulator::new();
    let serial = "arn:aws:iam::111111111111:mfa/ada";
    let error = aws
        .user(USER)
        .mfa_device(serial, "not-base32-1890")
        .create();
    assert_eq!(
        error.unwrap_err().to_string(),
        format!(
            "{serial}: ValidationError: the device's secret must be base32 text of at least 16 characters"
        )
    );
    assert_eq!(aws.mfa_code(serial), None);
}
