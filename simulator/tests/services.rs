//! Firehose and S3 with the SDK's own clients, in process.

use std::time::Duration;

use aws_sdk_firehose::types::Record;
use sts_simulator::{AccountBuilder, Firehose, Outcome, S3, Simulator};

const ALLOW: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

#[tokio::test]
async fn an_object_that_the_sdk_sends_in_chunks_comes_back_as_it_was() {
    let aws = Simulator::new();
    let s3 = S3::plug_into(&aws);
    let user = aws
        .user("arn:aws:iam::222222222222:user/reports")
        .policy(ALLOW);
    let config = aws.sdk_config(user.create().unwrap());
    let client = aws_sdk_s3::Client::new(&config);
    let region = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuWest1)
        .build();
    let create = client.create_bucket().bucket("reports");
    create
        .create_bucket_configuration(region)
        .send()
        .await
        .unwrap();

    // The SDK adds a checksum behind the body, and names the bucket in the host.
    let put = client.put_object().bucket("reports").key("2026/a b+ü.txt");
    put.body(b"content".to_vec().into()).send().await.unwrap();
    assert_eq!(
        s3.object("reports", "2026/a b+ü.txt").as_deref(),
        Some(&b"content"[..])
    );
    let get = client.get_object().bucket("reports").key("2026/a b+ü.txt");
    let got = get.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(got.to_vec(), b"content");

    let list = client.list_objects_v2().bucket("reports").prefix("2026/");
    let listed = list.send().await.unwrap();
    assert_eq!(listed.contents()[0].key(), Some("2026/a b+ü.txt"));
    let none = client
        .get_object()
        .bucket("reports")
        .key("none")
        .send()
        .await;
    assert!(none.unwrap_err().into_service_error().is_no_such_key());
}

#[tokio::test]
async fn pages_of_a_list_have_every_key_and_every_folder_once() {
    let aws = Simulator::new();
    let s3 = S3::plug_into(&aws);
    s3.create_bucket("222222222222", "reports");
    for n in 0..25 {
        s3.put("reports", format!("{:02}/file", n % 10), "");
        s3.put("reports", format!("x{n:02}"), "");
    }
    let user = aws
        .user("arn:aws:iam::222222222222:user/reports")
        .policy(ALLOW);
    let client = aws_sdk_s3::Client::new(&aws.sdk_config(user.create().unwrap()));
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let list = client
            .list_objects_v2()
            .bucket("reports")
            .delimiter("/")
            .max_keys(3);
        let page = list.set_continuation_token(token).send().await.unwrap();
        seen.extend(
            page.contents()
                .iter()
                .filter_map(|o| o.key().map(str::to_owned)),
        );
        seen.extend(
            page.common_prefixes()
                .iter()
                .filter_map(|p| p.prefix().map(str::to_owned)),
        );
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // Within a page, objects come before folders.
    seen.sort();
    let mut expected: Vec<String> = (0..10).map(|n| format!("{n:02}/")).collect();
    expected.extend((0..25).map(|n| format!("x{n:02}")));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_batch_fails_in_the_parts_that_the_test_says_and_only_then() {
    let aws = Simulator::new();
    let firehose = Firehose::plug_into(&aws);
    let stream = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
    firehose.create_stream(stream);
    firehose.fail_records(3);
    let user = aws
        .user("arn:aws:iam::222222222222:user/events")
        .policy(ALLOW);
    let client = aws_sdk_firehose::Client::new(&aws.sdk_config(user.create().unwrap()));
    let record = |text: &str| {
        let data = aws_sdk_firehose::primitives::Blob::new(text);
        Record::builder().data(data).build().unwrap()
    };
    let mut failed = Vec::new();
    for _ in 0..3 {
        let batch = client.put_record_batch().delivery_stream_name("events");
        let records = vec![record("a"), record("b")];
        let answer = batch.set_records(Some(records)).send().await.unwrap();
        failed.push(answer.failed_put_count());
    }
    assert_eq!(failed, [2, 1, 0]);
    assert_eq!(
        firehose.records(stream),
        [b"b".to_vec(), b"a".to_vec(), b"b".to_vec()]
    );

    let stranger = aws
        .user("arn:aws:iam::222222222222:user/stranger")
        .create()
        .unwrap();
    let client = aws_sdk_firehose::Client::new(&aws.sdk_config(stranger));
    let put = client
        .put_record()
        .delivery_stream_name("events")
        .record(record("x"));
    let refused = put.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("AccessDeniedException"));
}

#[tokio::test]
async fn what_a_builder_creates_is_what_iams_api_shows() {
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::222222222222:root").unwrap();
    let role = "arn:aws:iam::222222222222:role/data/Writer";
    aws.role(role)
        .policy(ALLOW)
        .tag("team", "red")
        .create()
        .unwrap();
    // The name is taken, whatever the path and the case.
    let error = aws
        .role("arn:aws:iam::222222222222:role/writer")
        .create()
        .unwrap_err();
    assert!(error.to_string().contains("EntityAlreadyExists"), "{error}");
    let answer = iam(&aws, &root, "Action=GetRole&RoleName=Writer").await;
    for part in [
        role,
        "<Key>team</Key>",
        "<Path>/data/</Path>",
        "<MaxSessionDuration>3600<",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    aws.delete_role(role);
    assert!(
        iam(&aws, &root, "Action=GetRole&RoleName=Writer")
            .await
            .contains("<Code>NoSuchEntity</Code>")
    );
}

#[tokio::test(start_paused = true)]
async fn a_device_shows_codes_before_it_is_a_users_so_that_it_can_be_enabled() {
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::222222222222:root").unwrap();
    let serial = "arn:aws:iam::222222222222:mfa/orders";
    assert_eq!(aws.mfa_code(serial), None);
    iam(&aws, &root, "Action=CreateUser&UserName=orders").await;
    let create = "Action=CreateVirtualMFADevice&VirtualMFADeviceName=orders";
    iam(&aws, &root, create).await;
    let first = aws.mfa_code(serial).unwrap();
    aws.clock().advance(Duration::from_secs(30)).await;
    let second = aws.mfa_code(serial).unwrap();
    let enable = async |second: &str| {
        let query = format!(
            "Action=EnableMFADevice&UserName=orders&SerialNumber={serial}&AuthenticationCode1={first}\
             &AuthenticationCode2={second}"
        );
        iam(&aws, &root, &query).await
    };
    assert!(enable(&first).await.contains("InvalidAuthenticationCode"));
    let enabled = enable(&second).await;
    assert!(enabled.contains("EnableMFADeviceResponse"), "{enabled}");
    assert_eq!(aws.mfa_code(serial), Some(second));
}

/// Calls IAM's API.
async fn iam(aws: &Simulator, keys: &aws_credential_types::Credentials, query: &str) -> String {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;
    use aws_smithy_async::time::TimeSource;
    use aws_smithy_runtime_api::client::http::HttpConnector;

    let identity = keys.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("iam")
        .time(aws.clock().now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let url = format!("https://iam.amazonaws.com/?Version=2010-05-08&{query}");
    let signable =
        SignableRequest::new("GET", &*url, [].into_iter(), SignableBody::Bytes(b"")).unwrap();
    let (signed, _) = sign(signable, &parameters).unwrap().into_parts();
    let mut request = sts_simulator::HttpRequest::get(&url).unwrap();
    for (name, value) in signed.headers() {
        request
            .headers_mut()
            .insert(name.to_owned(), value.to_owned());
    }
    let response = aws.call(request).await.unwrap();
    String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_service_says_which_kind_of_policy_refused_and_the_simulator_says_why() {
    const ROLE: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";
    const STREAM: &str = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
    const S3_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
    const DENY: &str = r#"{"Version": "2012-10-17", "Statement": {"Sid": "NoFirehose", "Effect": "Deny",
        "Action": "firehose:*", "Resource": "*"}}"#;
    type Setup = fn(&Simulator);
    let rows: [(Setup, &str, &str, Outcome); 6] = [
        (
            |aws| aws.role(ROLE).create().unwrap(),
            "because no identity-based policy allows the firehose:PutRecord action",
            "the caller has no identity policy",
            Outcome::ImplicitDeny,
        ),
        (
            |aws| {
                let role = aws.role(ROLE).policy(ALLOW);
                role.permissions_boundary(S3_ONLY).create().unwrap();
            },
            "because no permissions boundary allows the firehose:PutRecord action",
            "no permissions boundary allows it",
            Outcome::ImplicitDeny,
        ),
        (
            |aws| {
                aws.role(ROLE).policy(ALLOW).create().unwrap();
                let account = aws.account("222222222222");
                account
                    .service_control_policies([S3_ONLY])
                    .create()
                    .unwrap();
            },
            "because no service control policy allows the firehose:PutRecord action",
            "no service control policy allows it",
            Outcome::ImplicitDeny,
        ),
        (
            |aws| {
                aws.role(ROLE).policy(ALLOW).create().unwrap();
                let account = aws.account("222222222222");
                let policies = [AccountBuilder::FULL_AWS_ACCESS, DENY];
                account.service_control_policies(policies).create().unwrap();
            },
            "with an explicit deny in a service control policy",
            "\"NoFirehose\" (Deny)",
            Outcome::ExplicitDeny,
        ),
        (
            |aws| aws.role(ROLE).policy(ALLOW).policy(DENY).create().unwrap(),
            "with an explicit deny in an identity-based policy",
            "\"NoFirehose\" (Deny)",
            Outcome::ExplicitDeny,
        ),
        (
            |aws| {
                let role = aws.role(ROLE).policy(ALLOW);
                role.permissions_boundary(DENY).create().unwrap();
            },
            "with an explicit deny in a permissions boundary",
            "\"NoFirehose\" (Deny)",
            Outcome::ExplicitDeny,
        ),
    ];
    for (set_up, message, why, outcome) in rows {
        let aws = Simulator::new();
        Firehose::plug_into(&aws).create_stream(STREAM);
        set_up(&aws);
        let session = aws.role_session(ROLE, "orders").unwrap();
        let client = aws_sdk_firehose::Client::new(&aws.sdk_config(session));
        let data = aws_sdk_firehose::primitives::Blob::new("x");
        let record = Record::builder().data(data).build().unwrap();
        let put = client.put_record().delivery_stream_name("events");
        let refused = put.record(record).send().await.unwrap_err();
        let refused = refused.into_service_error();
        let user = "arn:aws:sts::222222222222:assumed-role/FirehoseWriter/orders";
        assert_eq!(
            refused.meta().message().unwrap(),
            format!(
                "User: {user} is not authorized to perform: firehose:PutRecord on resource: {STREAM} {message}"
            )
        );
        let refusals = aws.refusals();
        let [refusal] = &refusals[..] else {
            panic!("one call, one refusal: {refusals:?}");
        };
        assert_eq!(refusal.action, "firehose:PutRecord");
        assert_eq!(refusal.outcome(), outcome);
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
}

#[tokio::test]
async fn refusals_of_every_service_are_in_order_and_the_oldest_are_forgotten() {
    let aws = Simulator::new();
    let keys = aws.user("arn:aws:iam::111111111111:user/orders");
    let config = aws.sdk_config(keys.create().unwrap());
    aws.service("s3", |caller, _| {
        for n in 0..1000 {
            assert!(!caller.may("s3:GetObject", &format!("arn:aws:s3:::reports/{n}")));
        }
        sts_simulator::HttpResponse::new(403.try_into().unwrap(), "".into())
    });
    let assume = aws_sdk_sts::Client::new(&config)
        .assume_role()
        .role_arn("arn:aws:iam::222222222222:role/Missing")
        .role_session_name("orders");
    assume.send().await.unwrap_err();
    assert_eq!(aws.refusals()[0].action, "sts:AssumeRole");
    let get = aws_sdk_s3::Client::new(&config).get_object();
    get.bucket("reports").key("x").send().await.unwrap_err();
    let refusals = aws.refusals();
    assert_eq!(refusals.len(), 1000);
    assert_eq!(refusals[0].resource, "arn:aws:s3:::reports/0");
    assert_eq!(refusals[999].resource, "arn:aws:s3:::reports/999");
}
