//! The wire format of requests and responses.

use super::*;

#[tokio::test]
async fn answers_on_the_wire() {
    let (aws, keys) = accounts();
    let signer = Signer::new(&aws, &keys);
    let body = form(&[("Action", "GetCallerIdentity")]);
    let reply = call(
        &aws,
        &keys,
        &assume(
            ROLE,
            &[
                ("SourceIdentity", "ada"),
                ("Tags.member.1.Key", "k"),
                ("Tags.member.1.Value", "v"),
            ],
        ),
    )
    .await;
    assert_eq!(reply.header("content-type"), Some("text/xml"));
    assert!(
        reply.header("x-amzn-requestid").is_some()
            && reply.header("x-amz-sts-extended-request-id").is_some()
    );
    let order = [
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">",
        "<AssumeRoleResult>",
        "<AssumedRoleUser>",
        "<AssumedRoleId>",
        "<Arn>",
        "<Credentials>",
        "<AccessKeyId>",
        "<SecretAccessKey>",
        "<SessionToken>",
        "<Expiration>",
        "<SourceIdentity>",
        "<PackedPolicySize>",
        "<ResponseMetadata>",
        "<RequestId>",
    ];
    let places: Vec<_> = order
        .iter()
        .map(|element| reply.body.find(element).expect(element))
        .collect();
    assert!(places.is_sorted(), "{}", reply.body);
    let issued = reply.credentials();
    assert!(issued.access_key_id().starts_with("ASIA") && issued.access_key_id().len() == 20);
    assert_eq!(issued.secret_access_key().len(), 40);
    assert!(issued.session_token().unwrap().len() < 4096);
    assert_eq!(
        reply.element("Arn"),
        "arn:aws:sts::222222222222:assumed-role/Writer/session",
        "without the path"
    );
    let id = reply.element("AssumedRoleId");
    assert!(
        id.starts_with("AROA") && id.len() == 21 + ":session".len(),
        "{id}"
    );

    for (row, action, version, message) in [
        (
            "unknown action",
            "Fly",
            "2011-06-15",
            "Could not find operation Fly for version 2011-06-15",
        ),
        (
            "unknown version",
            "AssumeRole",
            "2012-01-01",
            "Could not find operation AssumeRole for version 2012-01-01",
        ),
    ] {
        let reply = call_unsigned(&aws, &[("Action", action), ("Version", version)]).await;
        assert_refused(row, &reply, 400, "InvalidAction", message);
        assert!(
            reply
                .body
                .contains("xmlns=\"http://webservices.amazon.com/AWSFault/2005-15-09\""),
            "{}",
            reply.body
        );
    }
    let reply = send(&aws, post(STS, "Action=AssumeRole")).await;
    assert_refused(
        "no version",
        &reply,
        400,
        "InvalidAction",
        "Could not find operation AssumeRole for version NO_VERSION_SPECIFIED",
    );
    for action in [
        "AssumeRoot",
        "DecodeAuthorizationMessage",
        "GetDelegatedAccessToken",
    ] {
        let reply = call(&aws, &keys, &[("Action", action)]).await;
        let message = format!("the simulator does not support the STS operation {action}");
        assert_refused(
            "operations that are left out",
            &reply,
            501,
            "NotSimulated",
            &message,
        );
    }

    let json = ("content-type", "application/json");
    for (row, request) in [
        ("no action", signer.sign(post(STS, "Version=2011-06-15"))),
        (
            "POST of JSON",
            signer.sign(request("POST", STS, &[json], "{}")),
        ),
        (
            "POST without a content type",
            signer.sign(request("POST", STS, &[], body.clone())),
        ),
        ("GET without a query", request("GET", STS, &[], "")),
    ] {
        let reply = send(&aws, request).await;
        assert_eq!((reply.status, &*reply.body), (302, ""), "{row}");
        assert_eq!(
            reply.header("location"),
            Some("https://aws.amazon.com/iam"),
            "{row}"
        );
    }
    let padded = |length: usize| format!("{body}&X={}", "x".repeat(length - body.len() - 3));
    for (length, status) in [(10_000_000, 200), (10_000_001, 413)] {
        let reply = send(&aws, signer.sign(post(STS, padded(length)))).await;
        assert_eq!(reply.status, status, "{length} bytes");
        assert_eq!(reply.body.is_empty(), status == 413);
    }

    // A rejected value with a control character: the response is still valid XML.
    let reply = call(
        &aws,
        &keys,
        &assume(ROLE, &[("ExternalId", "a\u{1}b<&>\u{ffff}")]),
    )
    .await;
    roxmltree::Document::parse(&reply.body).expect("well-formed");
    assert!(
        reply.error().2.contains("'a\u{fffd}b<&>\u{fffd}'"),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn json_for_those_who_accept_it() {
    let (aws, keys) = accounts();
    let signer = Signer::new(&aws, &keys);
    let json = async |parameters: &[(&str, &str)]| {
        let mut request = post(STS, form(parameters));
        request.headers_mut().insert("accept", "application/json");
        let reply = send(&aws, signer.sign(request)).await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
        serde_json::from_str::<serde_json::Value>(&reply.body).unwrap()
    };
    let me = json(&[("Action", "GetCallerIdentity")]).await;
    let result = &me["GetCallerIdentityResponse"]["GetCallerIdentityResult"];
    assert_eq!(
        (&result["Arn"], &result["Account"]),
        (&USER.into(), &"111111111111".into())
    );
    assert!(me["GetCallerIdentityResponse"]["ResponseMetadata"]["RequestId"].is_string());
    let session = json(&assume(ROLE, &[])).await;
    let credentials = &session["AssumeRoleResponse"]["AssumeRoleResult"]["Credentials"];
    assert!(credentials["Expiration"].is_u64(), "{credentials}");
    let error = json(&assume("arn:aws:iam::222222222222:role/Missing", &[])).await;
    assert_eq!(error["Error"]["Code"], "AccessDenied");
    assert_eq!(error["Error"]["Type"], "Sender");
    assert!(error["RequestId"].is_string());
    aws.fail(Fault::service_unavailable());
    let error = json(&[("Action", "GetCallerIdentity")]).await;
    assert_eq!(error["Error"]["Type"], "Receiver", "faults, too");
}

#[tokio::test]
async fn requests_for_other_services() {
    let (aws, keys) = accounts();
    for service in ["firehose", "s3", "iam"] {
        aws.service(service, |caller, _| {
            sts_simulator::HttpResponse::new(
                200.try_into().unwrap(),
                caller.arn().to_owned().into(),
            )
        });
    }
    let stranger = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let json = [("content-type", "application/x-amz-json-1.1")];
    let query = [("content-type", "application/x-www-form-urlencoded")];
    let firehose = || {
        request(
            "POST",
            "https://firehose.eu-west-1.amazonaws.com/",
            &json,
            "{}",
        )
    };
    let iam = || {
        request(
            "POST",
            "https://iam.amazonaws.com/",
            &query,
            "Action=ListUsers",
        )
    };
    let object = || {
        request(
            "GET",
            "https://reports.s3.eu-west-1.amazonaws.com/a%20b/c",
            &[],
            "",
        )
    };
    let signer = |keys: &Credentials, service| Signer {
        service,
        ..Signer::new(&aws, keys)
    };

    let expired = Fault::expired_credentials().times(1);
    aws.fail(expired);
    let expired = call(&aws, &keys, &assume(ROLE, &[])).await.credentials();
    for (row, request, status, part) in [
        (
            "Firehose, unsigned",
            firehose(),
            400,
            r#""__type":"MissingAuthenticationTokenException""#,
        ),
        (
            "Firehose, a stranger",
            signer(&stranger, "firehose").sign(firehose()),
            400,
            r#""__type":"UnrecognizedClientException""#,
        ),
        (
            "Firehose, expired",
            signer(&expired, "firehose").sign(firehose()),
            400,
            r#""__type":"ExpiredTokenException""#,
        ),
        (
            "S3, unsigned",
            object(),
            403,
            "<Error><Code>AccessDenied</Code>",
        ),
        (
            "S3, a stranger",
            signer(&stranger, "s3").sign(object()),
            403,
            "<Error><Code>InvalidAccessKeyId</Code>",
        ),
        (
            "S3, expired",
            signer(&expired, "s3").sign(object()),
            400,
            "<Error><Code>ExpiredToken</Code>",
        ),
        (
            "IAM, unsigned",
            iam(),
            403,
            "<Code>MissingAuthenticationToken</Code>",
        ),
        (
            "IAM, a stranger",
            signer(&stranger, "iam").sign(iam()),
            403,
            "<Code>InvalidClientTokenId</Code>",
        ),
    ] {
        let reply = send(&aws, request).await;
        assert_eq!(reply.status, status, "{row}: {}", reply.body);
        assert!(reply.body.contains(part), "{row}: {}", reply.body);
    }
    let mut s3 = aws_sigv4::http_request::SigningSettings::default();
    s3.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Single;
    s3.uri_path_normalization_mode = aws_sigv4::http_request::UriPathNormalizationMode::Disabled;
    let reply = send(&aws, signer(&keys, "s3").sign_with(object(), s3)).await;
    assert_eq!(reply.body, USER, "S3, signed");
    assert_eq!(aws.requests(), 1, "only STS's own requests are counted");

    // Signed for another service, but sent to STS.
    let reply = send(
        &aws,
        signer(&keys, "firehose").sign(post(STS, form(&[("Action", "GetCallerIdentity")]))),
    )
    .await;
    assert_refused(
        "service of another name at STS's host",
        &reply,
        403,
        "SignatureDoesNotMatch",
        "Credential should be scoped to correct service: 'sts'. ",
    );
}
