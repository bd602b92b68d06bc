//! Firehose and S3, in process, with the SDK's clients.

use std::time::Duration;

use aws_sdk_firehose::error::ProvideErrorMetadata;
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

    // The SDK adds a trailing checksum, and puts the bucket into the host name.
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
    // Within a page, objects come before common prefixes.
    seen.sort();
    let mut expected: Vec<String> = (0..10).map(|n| format!("{n:02}/")).collect();
    expected.extend((0..25).map(|n| format!("x{n:02}")));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_list_begins_after_a_key_and_a_folder_goes_on_where_a_page_ended() {
    let aws = Simulator::new();
    let s3 = S3::plug_into(&aws);
    s3.create_bucket("222222222222", "reports");
    for key in ["a/1", "a/2", "b", "c/1", "c/2"] {
        s3.put("reports", key, "");
    }
    let user = aws
        .user("arn:aws:iam::222222222222:user/reports")
        .policy(ALLOW);
    let client = aws_sdk_s3::Client::new(&aws.sdk_config(user.create().unwrap()));
    let listed = |keys: &[aws_sdk_s3::types::Object],
                  prefixes: &[aws_sdk_s3::types::CommonPrefix]| {
        let keys = keys.iter().filter_map(|object| object.key());
        let prefixes = prefixes.iter().filter_map(|prefix| prefix.prefix());
        let mut names: Vec<String> = keys.chain(prefixes).map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    for (start_after, expected) in [
        ("", "a/ b c/"),
        // The folder contains a later key.
        ("a/1", "a/ b c/"),
        ("a/", "a/ b c/"),
        ("a/2", "b c/"),
        ("a0", "b c/"),
        ("c/1", "c/"),
        ("c/2", ""),
    ] {
        let list = client.list_objects_v2().bucket("reports").delimiter("/");
        let page = list.start_after(start_after).send().await.unwrap();
        let names = listed(page.contents(), page.common_prefixes());
        assert_eq!(names, expected, "after {start_after:?}");
        assert_eq!(page.start_after(), Some(start_after));
    }
    // The older operation has no `start-after`, and its marker for the next page may be a folder.
    for (marker, expected) in [("a/1", "a/ b c/"), ("a/", "b c/"), ("b", "c/"), ("c/", "")] {
        let list = client.list_objects().bucket("reports").delimiter("/");
        let page = list.marker(marker).send().await.unwrap();
        let names = listed(page.contents(), page.common_prefixes());
        assert_eq!(names, expected, "after {marker:?}");
    }
}

#[tokio::test]
async fn the_policy_of_a_bucket_decides_with_those_of_the_caller() {
    const READER: &str = "arn:aws:iam::111111111111:role/Reader";
    const OWNER: &str = "arn:aws:iam::222222222222:user/owner";
    let aws = Simulator::new();
    let s3 = S3::plug_into(&aws);
    s3.create_bucket("222222222222", "reports");
    s3.put("reports", "a", "content");
    let get = async |keys: &aws_credential_types::Credentials| {
        let client = aws_sdk_s3::Client::new(&aws.sdk_config(keys.clone()));
        match client.get_object().bucket("reports").key("a").send().await {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                let error = error.into_service_error();
                let meta = error.meta();
                assert_eq!(meta.code(), Some("AccessDenied"));
                meta.message().unwrap_or_default().to_owned()
            }
        }
    };
    let policy = |effect: &str, principal: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}",
                "Principal": {{"AWS": "{principal}"}}, "Action": "s3:*",
                "Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"]}}}}"#
        )
    };
    aws.role(READER).policy(ALLOW).create().unwrap();
    let reader = aws.role_session(READER, "session").unwrap();
    let nobody = aws.user(OWNER).create().unwrap();

    // Without a bucket policy, another account has no access, whatever the caller's own policies say.
    assert_eq!(get(&reader).await, "Access Denied");
    s3.put_policy("reports", &policy("Allow", READER)).unwrap();
    assert_eq!(get(&reader).await, "ok");
    // The caller's own policies must allow it, too.
    aws.role(READER).create().unwrap();
    assert_eq!(get(&reader).await, "Access Denied");
    aws.role(READER).policy(ALLOW).create().unwrap();
    // The policy names this role, not one that is created later under the same name.
    aws.delete_role(READER);
    aws.role(READER).policy(ALLOW).create().unwrap();
    let again = aws.role_session(READER, "session").unwrap();
    assert_eq!(get(&again).await, "Access Denied");

    // Within the account, the bucket policy is sufficient, and a deny overrides everything.
    let reason = "because no identity-based policy allows the s3:GetObject action";
    assert!(get(&nobody).await.ends_with(reason));
    s3.put_policy("reports", &policy("Allow", OWNER)).unwrap();
    assert_eq!(get(&nobody).await, "ok");
    s3.put_policy("reports", &policy("Deny", OWNER)).unwrap();
    let reason = "with an explicit deny in a resource-based policy";
    assert!(get(&nobody).await.ends_with(reason));
}

#[tokio::test]
async fn a_bucket_policy_that_s3_refuses_is_refused_and_only_the_owner_manages_it() {
    let aws = Simulator::new();
    let s3 = S3::plug_into(&aws);
    s3.create_bucket("222222222222", "reports");
    let root = aws.root_user("arn:aws:iam::222222222222:root").unwrap();
    let client = |keys| aws_sdk_s3::Client::new(&aws.sdk_config(keys));
    let owner = client(root);
    let put = async |client: &aws_sdk_s3::Client, policy: &str| {
        let put = client.put_bucket_policy().bucket("reports").policy(policy);
        match put.send().await {
            Ok(_) => (200, String::new()),
            Err(error) => {
                let status = error.raw_response().unwrap().status().as_u16();
                let error = error.into_service_error();
                let (code, message) = (error.meta().code(), error.meta().message());
                (status, format!("{}: {}", code.unwrap(), message.unwrap()))
            }
        }
    };
    let statement = |effect: &str, principal: &str, action: &str, resource: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "{effect}", "Principal": {principal},
                "Action": "{action}", "Resource": "{resource}"}}]}}"#
        )
    };
    let everybody = r#"{"AWS": "*"}"#;
    let account = r#"{"AWS": "111111111111"}"#;
    let objects = "arn:aws:s3:::reports/*";
    for (policy, status, message) in [
        (
            String::new(),
            400,
            "MalformedPolicy: Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            "{".to_owned(),
            400,
            "MalformedPolicy: Syntax errors in policy.",
        ),
        (
            statement(
                "Allow",
                r#"{"AWS": "arn:aws:iam::111111111111:role/None"}"#,
                "s3:*",
                objects,
            ),
            400,
            "MalformedPolicy: Invalid principal in policy",
        ),
        (
            statement("Allow", account, "sqs:*", objects),
            400,
            "MalformedPolicy: Policy has invalid action",
        ),
        (
            statement("Allow", account, "s3:*", "arn:aws:s3:::other/*"),
            400,
            "MalformedPolicy: Policy has invalid resource",
        ),
        (
            statement("Allow", account, "s3:*", "arn:aws:sqs:::reports"),
            400,
            "MalformedPolicy: Policy has invalid resource",
        ),
        (
            statement("Allow", everybody, "s3:GetObject", objects),
            403,
            "AccessDenied: User: arn:aws:iam::222222222222:root is not authorized to perform: s3:PutBucketPolicy on resource: arn:aws:s3:::reports because public policies",
        ),
        (
            statement("Allow", "\"*\"", "s3:GetObject", objects),
            403,
            "AccessDenied: User:",
        ),
        (
            statement("Deny", everybody, "s3:*", "arn:aws:s3:::rep*"),
            200,
            "",
        ),
    ] {
        let (found, text) = put(&owner, &policy).await;
        assert_eq!(found, status, "{policy}: {text}");
        assert!(text.starts_with(message), "{policy}: {text}");
    }
    // The policy denies everything to everybody, but the root user can replace it.
    let denied = aws
        .user("arn:aws:iam::222222222222:user/admin")
        .policy(ALLOW)
        .create()
        .unwrap();
    let of_reports = statement("Allow", account, "s3:*", "arn:aws:s3:::reports");
    assert_eq!(put(&client(denied), &of_reports).await.0, 403);
    assert_eq!(put(&owner, &of_reports).await.0, 200);
    let got = owner.get_bucket_policy().bucket("reports").send().await;
    assert_eq!(got.unwrap().policy(), Some(of_reports.as_str()));
    let other = aws
        .user("arn:aws:iam::111111111111:user/other")
        .policy(ALLOW)
        .create()
        .unwrap();
    let (status, text) = put(&client(other), &of_reports).await;
    assert_eq!((status, text.starts_with("MethodNotAllowed")), (405, true));
    let delete = owner.delete_bucket_policy().bucket("reports");
    delete.send().await.unwrap();
    let none = owner.get_bucket_policy().bucket("reports").send().await;
    let code = none.unwrap_err().into_service_error();
    assert_eq!(code.meta().code(), Some("NoSuchBucketPolicy"));
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
    // The name is taken, regardless of path and case.
    let error = aws
        .role("arn:aws:iam::222222222222:role/writer")
        .create()
        .unwrap_err();
    let message = format!("EntityAlreadyExists: the name is already used by {role}");
    assert!(error.to_string().ends_with(&message), "{error}");
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
async fn a_refusal_names_the_kind_of_policy_that_decided() {
    const USER: &str = "arn:aws:iam::222222222222:user/orders";
    const STREAM: &str = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
    let statement = |effect: &str, action: &str| {
        let sid = if effect == "Deny" { "No" } else { "" };
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Sid": "{sid}", "Effect": "{effect}", "Action": "{action}", "Resource": "*"}}}}"#
        )
    };
    let (allow, other, deny) = (
        statement("Allow", "*"),
        statement("Allow", "sqs:*"),
        statement("Deny", "*"),
    );
    let full = AccountBuilder::FULL_AWS_ACCESS;
    for (row, policies, boundary, organization, expected, why) in [
        (
            "no policy",
            vec![],
            None,
            None,
            "because no identity-based policy allows the ACTION action",
            "the caller has no identity policy",
        ),
        (
            "nothing allows it",
            vec![&other],
            None,
            None,
            "because no identity-based policy allows the ACTION action",
            "no identity policy allows it",
        ),
        (
            "an identity policy denies it",
            vec![&allow, &deny],
            None,
            None,
            "with an explicit deny in an identity-based policy",
            "identity policy 2 of arn:aws:iam::222222222222:user/orders\n    statement 1 \"No\" (Deny)",
        ),
        (
            "the boundary does not allow it",
            vec![&allow],
            Some(&other),
            None,
            "because no permissions boundary allows the ACTION action",
            "no permissions boundary allows it",
        ),
        (
            "the boundary denies it",
            vec![&allow],
            Some(&deny),
            None,
            "with an explicit deny in a permissions boundary",
            "statement 1 \"No\" (Deny)",
        ),
        (
            "the organization does not allow it",
            vec![&allow],
            None,
            Some(vec![other.as_str()]),
            "because no service control policy allows the ACTION action",
            "no service control policy allows it",
        ),
        (
            "the organization denies it",
            vec![&allow],
            None,
            Some(vec![full, &deny]),
            "with an explicit deny in a service control policy",
            "statement 1 \"No\" (Deny)",
        ),
    ] {
        let aws = Simulator::new();
        Firehose::plug_into(&aws).create_stream(STREAM);
        S3::plug_into(&aws).create_bucket("222222222222", "reports");
        let user = policies
            .into_iter()
            .fold(aws.user(USER), |user, policy| user.policy(policy));
        let user = match boundary {
            Some(boundary) => user.permissions_boundary(boundary),
            None => user,
        };
        let keys = user.create().unwrap();
        if let Some(policies) = organization {
            let account = aws.account("222222222222");
            account.service_control_policies(policies).create().unwrap();
        }
        let message = |action: &str, resource: &str| {
            let reason = expected.replace("ACTION", action);
            format!(
                "User: {USER} is not authorized to perform: {action} on resource: {resource} {reason}"
            )
        };
        let config = aws.sdk_config(keys.clone());
        let firehose = aws_sdk_firehose::Client::new(&config);
        let put = firehose.put_record().delivery_stream_name("events");
        let record = Record::builder().data(aws_sdk_firehose::primitives::Blob::new("x"));
        let put = put.record(record.build().unwrap());
        let error = put.send().await.unwrap_err();
        let expected = message("firehose:PutRecord", STREAM);
        assert_eq!(error.message(), Some(&*expected), "{row}");
        let refusals = aws.refusals();
        let [refusal] = &refusals[..] else {
            panic!("one call, one refusal: {refusals:?}");
        };
        assert_eq!(refusal.action, "firehose:PutRecord", "{row}");
        let outcome = if expected.contains("explicit deny") {
            Outcome::ExplicitDeny
        } else {
            Outcome::ImplicitDeny
        };
        assert_eq!(refusal.outcome(), outcome, "{row}");
        assert!(refusal.to_string().contains(why), "{row}: {refusal}");

        let s3 = aws_sdk_s3::Client::new(&config);
        let error = s3.list_objects_v2().bucket("reports").send().await;
        let expected = message("s3:ListBucket", "arn:aws:s3:::reports");
        assert_eq!(error.unwrap_err().message(), Some(&*expected), "{row}");

        let answer = iam(&aws, &keys, "Action=GetUser").await;
        let expected = message("iam:GetUser", USER);
        assert!(answer.contains(&expected), "{row}: {answer}");

        let sts = aws_sdk_sts::Client::new(&config);
        let info = sts
            .get_access_key_info()
            .access_key_id("AKIAIOSFODNN7EXAMPLE");
        let error = info.send().await.unwrap_err();
        let expected = message("sts:GetAccessKeyInfo", "").replace(" on resource: ", "");
        assert_eq!(error.message(), Some(&*expected), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_presigned_url_of_s3_is_valid_for_as_long_as_it_says() {
    use aws_sdk_s3::presigning::PresigningConfig;
    use aws_smithy_runtime_api::client::http::HttpConnector;

    const MINUTE: Duration = Duration::from_secs(60);
    const TOO_LONG: &str = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
                            must be less than 604800 seconds";
    let aws = Simulator::new();
    let user = aws.user("arn:aws:iam::222222222222:user/orders");
    let keys = user.policy(ALLOW).create().unwrap();
    let s3 = S3::plug_into(&aws);
    s3.create_bucket("222222222222", "reports");
    s3.put("reports", "x", "content");
    let client = aws_sdk_s3::Client::new(&aws.sdk_config(keys));
    let presigned = async |time| {
        let get = client.get_object().bucket("reports").key("x");
        let get = get.presigned(PresigningConfig::expires_in(time).unwrap());
        get.await.unwrap().uri().to_owned()
    };
    let get = async |url: &str| {
        let request = sts_simulator::HttpRequest::get(url).unwrap();
        let response = aws.call(request).await.unwrap();
        let body = response.body().bytes().unwrap().to_vec();
        (response.status().as_u16(), String::from_utf8(body).unwrap())
    };
    let (short, long) = (presigned(MINUTE).await, presigned(120 * MINUTE).await);
    assert!(long.contains("X-Amz-Expires=7200"), "{long}");
    for (url, expires, message) in [
        (&long, "604801", TOO_LONG),
        (&long, "-1", "X-Amz-Expires must be non-negative"),
        (&long, "soon", "X-Amz-Expires should be a number"),
    ] {
        let url = url.replace("X-Amz-Expires=7200", &format!("X-Amz-Expires={expires}"));
        let (status, body) = get(&url).await;
        assert_eq!(status, 400, "{body}");
        let code = "<Code>AuthorizationQueryParametersError</Code>";
        assert!(body.contains(code) && body.contains(message), "{body}");
    }
    let longer = long.replace("X-Amz-Expires=7200", "X-Amz-Expires=7201");
    assert_eq!(get(&longer).await.0, 403, "the time is signed");

    aws.clock().advance(MINUTE - Duration::from_secs(2)).await;
    assert_eq!(get(&short).await, (200, "content".to_owned()));
    aws.clock().advance(Duration::from_secs(4)).await;
    let (status, body) = get(&short).await;
    assert_eq!(status, 403, "{body}");
    for part in ["<Code>AccessDenied</Code>", "Request has expired"] {
        assert!(body.contains(part), "{body}");
    }
    assert_eq!(get(&long).await.0, 200);
    aws.clock().advance(118 * MINUTE).await;
    assert_eq!(get(&long).await.0, 200, "119 minutes");
    aws.clock().advance(MINUTE).await;
    assert_eq!(get(&long).await.0, 403, "120 minutes");
}

/// Creates a bucket `reports` in the account 222222222222 with the object `x`, and an S3 client of a user in it.
fn bucket(policy: &str) -> (Simulator, aws_sdk_s3::Client) {
    let aws = Simulator::new();
    let user = aws.user("arn:aws:iam::222222222222:user/orders");
    let keys = user.policy(policy).create().unwrap();
    let s3 = S3::plug_into(&aws);
    s3.create_bucket("222222222222", "reports");
    s3.put("reports", "x", "content");
    let client = aws_sdk_s3::Client::new(&aws.sdk_config(keys));
    (aws, client)
}

#[tokio::test]
async fn a_request_with_a_precondition_that_is_not_met_does_nothing() {
    use aws_sdk_s3::primitives::{ByteStream, DateTime};

    let (_aws, s3) = bucket(ALLOW);
    let get = || s3.get_object().bucket("reports").key("x");
    let put = |key: &str| {
        let put = s3.put_object().bucket("reports").key(key);
        put.body(ByteStream::from_static(b"new"))
    };
    let etag = get().send().await.unwrap().e_tag.unwrap();
    let (old, future) = (DateTime::from_secs(0), DateTime::from_secs(4_000_000_000));
    assert!(get().if_match(&etag).send().await.is_ok());
    assert!(get().if_match("*").send().await.is_ok());
    assert!(get().if_none_match("\"other\"").send().await.is_ok());
    assert!(get().if_modified_since(old).send().await.is_ok());
    assert!(get().if_unmodified_since(future).send().await.is_ok());
    for (row, unmet, status) in [
        ("If-Match", get().if_match("\"other\""), 412),
        ("If-None-Match", get().if_none_match(&etag), 304),
        ("If-Modified-Since", get().if_modified_since(future), 304),
        ("If-Unmodified-Since", get().if_unmodified_since(old), 412),
    ] {
        let error = unmet.send().await.unwrap_err();
        let response = error.raw_response().unwrap();
        assert_eq!(response.status().as_u16(), status, "{row}: {error:?}");
    }

    for (row, key, unmet, code) in [
        (
            "there is an object",
            "x",
            put("x").if_none_match("*"),
            "PreconditionFailed",
        ),
        (
            "another object",
            "x",
            put("x").if_match("\"other\""),
            "PreconditionFailed",
        ),
        (
            "there is no object",
            "y",
            put("y").if_match(&etag),
            "NoSuchKey",
        ),
    ] {
        let error = unmet.send().await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{row} {key}: {error:?}");
    }
    let read = get().send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(read.into_bytes(), "content", "nothing was put");
    assert!(put("y").if_none_match("*").send().await.is_ok());
    assert!(put("x").if_match(&etag).send().await.is_ok());
    let delete = s3.delete_object().bucket("reports").key("x");
    let error = delete.if_match(&etag).send().await.unwrap_err();
    assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}");
}

#[tokio::test]
async fn what_a_request_of_s3_asks_for_beside_its_operation_is_not_passed_over() {
    use aws_sdk_s3::types::ObjectCannedAcl;

    let put_only = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "*"}}"#;
    let (_aws, s3) = bucket(put_only);
    let put = || s3.put_object().bucket("reports").key("x");
    assert!(put().send().await.is_ok());
    let acl = ObjectCannedAcl::BucketOwnerFullControl;
    for (row, request, action) in [
        ("an ACL", put().acl(acl.clone()), "s3:PutObjectAcl"),
        ("tags", put().tagging("team=red"), "s3:PutObjectTagging"),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(error.code(), Some("AccessDenied"), "{row}: {error:?}");
        let message = error.message().unwrap_or_default();
        assert!(
            message.contains(&format!("perform: {action} on")),
            "{row}: {message}"
        );
    }
    let (_aws, s3) = bucket(ALLOW);
    let put = || s3.put_object().bucket("reports").key("x");
    let get = || s3.get_object().bucket("reports").key("x");
    assert!(put().acl(acl).tagging("team=red").send().await.is_ok());
    // ACLs are disabled in new buckets.
    let public = put().acl(ObjectCannedAcl::PublicRead).send().await;
    let error = public.unwrap_err();
    assert_eq!(
        error.code(),
        Some("AccessControlListNotSupported"),
        "{error:?}"
    );

    let owner = |id: &str| get().expected_bucket_owner(id).send();
    assert!(owner("222222222222").await.is_ok());
    let error = owner("111111111111").await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");

    let error = get().version_id("1").send().await.unwrap_err();
    assert_eq!(error.code(), Some("NotImplemented"), "{error:?}");
}

#[tokio::test]
async fn a_signature_of_version_2_is_refused_as_such() {
    use aws_smithy_runtime_api::client::http::HttpConnector;

    let (aws, _) = bucket(ALLOW);
    // boto3 presigns URLs like this by default.
    let url = "https://s3.eu-west-1.amazonaws.com/reports/x?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=abc%3D&Expires=4000000000";
    let presigned = sts_simulator::HttpRequest::get(url).unwrap();
    let mut signed =
        sts_simulator::HttpRequest::get("https://s3.eu-west-1.amazonaws.com/reports/x").unwrap();
    let headers = signed.headers_mut();
    headers.insert("authorization", "AWS AKIAIOSFODNN7EXAMPLE:abc=");
    for request in [presigned, signed] {
        let response = aws.call(request).await.unwrap();
        let body = String::from_utf8_lossy(response.body().bytes().unwrap()).into_owned();
        assert_eq!(response.status().as_u16(), 400, "{body}");
        for part in [
            "<Code>InvalidRequest</Code>",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ] {
            assert!(body.contains(part), "{body}");
        }
    }
}

#[tokio::test]
async fn a_header_of_s3_that_is_not_signed_is_refused() {
    use aws_sdk_s3::presigning::PresigningConfig;
    use aws_smithy_runtime_api::client::http::HttpConnector;

    let (aws, s3) = bucket(ALLOW);
    let expires = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let put = s3.put_object().bucket("reports").key("x");
    let url = put.presigned(expires).await.unwrap().uri().to_owned();
    let put = async |header: Option<(&'static str, &'static str)>| {
        let mut request = sts_simulator::HttpRequest::get(&*url).unwrap();
        request.set_method("PUT").unwrap();
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value);
        }
        let response = aws.call(request).await.unwrap();
        let body = String::from_utf8_lossy(response.body().bytes().unwrap()).into_owned();
        (response.status().as_u16(), body)
    };
    assert_eq!(put(None).await.0, 200);
    assert_eq!(put(Some(("content-language", "de"))).await.0, 200);
    for header in [("x-amz-meta-team", "red"), ("X-Amz-Acl", "public-read")] {
        let (status, body) = put(Some(header)).await;
        assert_eq!(status, 403, "{header:?}: {body}");
        for part in [
            "<Code>AccessDenied</Code>",
            "There were headers present in the request which were not signed",
        ] {
            assert!(body.contains(part), "{header:?}: {body}");
        }
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
