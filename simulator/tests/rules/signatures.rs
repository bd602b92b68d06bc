//! Signatures: the signer, the scope and the time.

use super::*;

#[tokio::test(start_paused = true)]
async fn credentials_are_checked_in_the_order_of_sts() {
    let (aws, keys) = accounts();
    let session = call(&aws, &keys, &assume(HUB, &[("DurationSeconds", "900")]))
        .await
        .credentials();
    let me = |keys: &Credentials, change: &dyn Fn(Signer) -> Signer| {
        let signer = change(Signer::new(&aws, keys));
        signer.sign(post(STS, form(&[("Action", "GetCallerIdentity")])))
    };
    let with = |secret: &'static str, token: Option<&str>| {
        let id = session.access_key_id();
        Credentials::new(id, secret, token.map(str::to_owned), None, "test")
    };
    let wrong_secret = with("wrong", session.session_token());
    let region = "Credential should be scoped to a valid region. ";
    let service = "Credential should be scoped to correct service: 'sts'. ";
    let invalid = "The security token included in the request is invalid.";
    let mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
    let same = |signer: Signer| signer;
    let elsewhere = |signer: Signer| Signer {
        region: "us-east-1",
        ..signer
    };
    let s3 = |signer: Signer| Signer {
        service: "s3",
        ..signer
    };
    let both = |signer: Signer| Signer {
        region: "us-east-1",
        service: "s3",
        ..signer
    };
    let early = |signer: Signer| Signer {
        time: signer.time + 16 * MINUTE,
        ..signer
    };
    let late = |signer: Signer| Signer {
        time: signer.time - 16 * MINUTE,
        ..signer
    };
    let unknown = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let inactive = aws.user(USER).policy(allow("sts:*")).create().unwrap();
    aws.set_access_key_active(inactive.access_key_id(), false)
        .unwrap();
    let deleted = aws.user(USER).policy(allow("sts:*")).create().unwrap();
    aws.delete_access_key(deleted.access_key_id()).unwrap();
    type Change<'a> = &'a dyn Fn(Signer) -> Signer;
    let rows: [(&str, &Credentials, Change<'_>, &str, &str); 14] = [
        (
            "wrong region, before the key is looked up",
            &unknown,
            &elsewhere,
            "SignatureDoesNotMatch",
            region,
        ),
        (
            "wrong service",
            &unknown,
            &s3,
            "SignatureDoesNotMatch",
            service,
        ),
        (
            "wrong region and service",
            &unknown,
            &both,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'sts'. ",
        ),
        (
            "unknown key",
            &unknown,
            &same,
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "inactive key",
            &inactive,
            &same,
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "deleted key",
            &deleted,
            &same,
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "missing token",
            &with("wrong", None),
            &same,
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "foreign token",
            &with("wrong", Some("foreign")),
            &same,
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "a token with a long-term key",
            &Credentials::new(
                keys.access_key_id(),
                keys.secret_access_key(),
                Some("token".to_owned()),
                None,
                "test",
            ),
            &same,
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "bad signature",
            &wrong_secret,
            &same,
            "SignatureDoesNotMatch",
            mismatch,
        ),
        (
            "signed 16 minutes ago",
            &keys,
            &late,
            "SignatureDoesNotMatch",
            "Signature expired: … - 15 min.)",
        ),
        (
            "signed in 16 minutes",
            &keys,
            &early,
            "SignatureDoesNotMatch",
            "Signature not yet current: … + 15 min.)",
        ),
        (
            "signed 14 minutes ago",
            &keys,
            &|signer: Signer| Signer {
                time: signer.time - 14 * MINUTE,
                ..signer
            },
            "",
            "",
        ),
        (
            "signed in 14 minutes",
            &keys,
            &|signer: Signer| Signer {
                time: signer.time + 14 * MINUTE,
                ..signer
            },
            "",
            "",
        ),
    ];
    for (row, keys, change, code, message) in rows {
        let reply = send(&aws, me(keys, change)).await;
        if code.is_empty() {
            assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        } else {
            assert_refused(row, &reply, 403, code, message);
        }
    }
    aws.set_access_key_active(inactive.access_key_id(), true)
        .unwrap();
    assert_eq!(
        send(&aws, me(&inactive, &same)).await.status,
        200,
        "active again"
    );
    assert_eq!(
        aws.delete_access_key("AKIAIOSFODNN7EXAMPLE")
            .unwrap_err()
            .to_string(),
        "AKIAIOSFODNN7EXAMPLE: NoSuchEntity: there is no access key with this ID"
    );

    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    assert_eq!(
        send(&aws, me(&session, &same)).await.status,
        200,
        "a change of the role does not revoke"
    );
    aws.delete_role(HUB);
    let reply = send(&aws, me(&wrong_secret, &same)).await;
    assert_refused(
        "a deleted role beats a bad signature",
        &reply,
        403,
        "InvalidClientTokenId",
        invalid,
    );
    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    let reply = send(&aws, me(&session, &same)).await;
    assert_refused(
        "also if it was created again",
        &reply,
        403,
        "InvalidClientTokenId",
        invalid,
    );
    aws.clock().advance(15 * MINUTE).await;
    let expired = "The security token included in the request is expired";
    for keys in [&session, &wrong_secret] {
        let reply = send(&aws, me(keys, &same)).await;
        assert_refused(
            "expiry beats the deleted role and the signature",
            &reply,
            403,
            "ExpiredToken",
            expired,
        );
    }
    let reply = call_unsigned(&aws, &[("Action", "GetCallerIdentity")]).await;
    assert_refused(
        "unsigned",
        &reply,
        403,
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
    );
}

#[tokio::test]
async fn what_is_signed_must_be_what_was_sent() {
    let (aws, keys) = accounts();
    let signer = Signer::new(&aws, &keys);
    let body = form(&[("Action", "GetCallerIdentity")]);
    let signed = || signer.sign(post(STS, body.clone()));
    let authorization = |request: &aws_sdk_sts::config::http::HttpRequest| {
        request.headers().get("authorization").unwrap().to_owned()
    };
    let replaced = |from: &str, to: &str| {
        let mut request = signed();
        let header = authorization(&request).replace(from, to);
        request.headers_mut().insert("authorization", header);
        request
    };
    let mismatch = "The request signature we calculated does not match…";
    let date = {
        let request = signed();
        request.headers().get("x-amz-date").unwrap()[..8].to_owned()
    };
    let mut other_body = signed();
    *other_body.body_mut() = format!("{body}&X=1").into();
    let mut other_path = signed();
    other_path.set_uri(format!("{STS}path")).unwrap();
    let mut no_date = signed();
    no_date.headers_mut().remove("x-amz-date");
    let mut odd_date = signed();
    odd_date.headers_mut().insert("x-amz-date", "yesterday");
    let mut no_header = signed();
    no_header.headers_mut().remove("content-type");
    no_header
        .headers_mut()
        .insert("content-type", "application/x-www-form-urlencoded");
    for (row, request, status, code, message) in [
        (
            "changed body",
            other_body,
            403,
            "SignatureDoesNotMatch",
            mismatch,
        ),
        (
            "changed path",
            other_path,
            403,
            "SignatureDoesNotMatch",
            mismatch,
        ),
        (
            "changed header",
            no_header,
            403,
            "SignatureDoesNotMatch",
            mismatch,
        ),
        (
            "date of another form",
            odd_date,
            403,
            "SignatureDoesNotMatch",
            mismatch,
        ),
        (
            "scope of another date",
            replaced(&date, "20200101"),
            403,
            "SignatureDoesNotMatch",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200101' != …",
        ),
        (
            "host not signed",
            replaced(";host;", ";"),
            403,
            "SignatureDoesNotMatch",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            "no date",
            no_date,
            400,
            "IncompleteSignature",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        ),
        (
            "no signature",
            replaced(", Signature=", ", Other="),
            400,
            "IncompleteSignature",
            "Authorization header requires 'Signature' parameter. ",
        ),
        (
            "no credential",
            replaced("Credential=", "Other="),
            400,
            "IncompleteSignature",
            "Authorization header requires 'Credential' parameter. ",
        ),
        (
            "another algorithm",
            replaced("AWS4-HMAC-SHA256", "Bearer"),
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ),
    ] {
        let reply = send(&aws, request).await;
        assert_refused(row, &reply, status, code, message);
    }
    // The example in the API reference signs the user agent, which the SDK's signer excludes by default.
    let mut settings = aws_sigv4::http_request::SigningSettings::default();
    settings.excluded_headers = None;
    let mut with_agent = post(STS, body.clone());
    with_agent
        .headers_mut()
        .insert("user-agent", "aws-cli/1.10.0  Python/2.7.3");
    let signed_agent = signer.sign_with(with_agent, settings);
    assert!(authorization(&signed_agent).contains("user-agent"));
    assert_eq!(send(&aws, signed_agent).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn get_and_presigned_requests() {
    let (aws, keys) = accounts();
    let session = call(&aws, &keys, &assume(HUB, &[])).await.credentials();
    let url = format!("{STS}?{}", form(&[("Action", "GetCallerIdentity")]));
    let get = |url: &str| request("GET", url, &[], "");
    for keys in [&keys, &session] {
        let signer = Signer::new(&aws, keys);
        for (row, request) in [
            ("signed", signer.sign(get(&url))),
            ("presigned", signer.presign(get(&url))),
        ] {
            let reply = send(&aws, request).await;
            assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        }
    }
    // The request of aws-iam-authenticator, with a signed header that names the cluster.
    let cluster = request("GET", &url, &[("x-k8s-aws-id", "production")], "");
    let presigned = Signer::new(&aws, &keys).presign(cluster);
    assert!(
        presigned.uri().contains("x-k8s-aws-id"),
        "{}",
        presigned.uri()
    );
    let mut other_cluster = presigned.try_clone().unwrap();
    other_cluster
        .headers_mut()
        .insert("x-k8s-aws-id", "staging");
    let mut without = presigned.try_clone().unwrap();
    without.headers_mut().remove("x-k8s-aws-id");
    let mismatch = "The request signature we calculated does not match…";
    for wrong in [other_cluster, without] {
        assert_refused(
            "another header",
            &send(&aws, wrong).await,
            403,
            "SignatureDoesNotMatch",
            mismatch,
        );
    }
    let uri = presigned.uri().to_owned();
    let by_uri = async |uri: &str| {
        send(
            &aws,
            request("GET", uri, &[("x-k8s-aws-id", "production")], ""),
        )
        .await
    };
    let reply = by_uri(&uri).await;
    assert_eq!(reply.element("Arn"), USER);
    let reply = by_uri(&uri.replace("GetCallerIdentity", "GetSessionToken")).await;
    assert_refused(
        "another action",
        &reply,
        403,
        "SignatureDoesNotMatch",
        mismatch,
    );
    let (before, _) = uri.split_once("&X-Amz-Signature").unwrap();
    let reply = by_uri(before).await;
    assert_refused(
        "no signature",
        &reply,
        400,
        "IncompleteSignature",
        "AWS query-string parameters must include 'X-Amz-Signature'. ",
    );

    // STS ignores X-Amz-Expires, which is one minute here.
    aws.clock().advance(14 * MINUTE).await;
    assert_eq!(by_uri(&uri).await.status, 200, "14 minutes");
    aws.clock().advance(2 * MINUTE).await;
    let reply = by_uri(&uri).await;
    assert_refused(
        "16 minutes",
        &reply,
        403,
        "SignatureDoesNotMatch",
        "Signature expired: … - 15 min.)",
    );

    // A GET with the parameters in the query is equivalent to a POST.
    let url = format!(
        "{STS}?{}",
        form(&assume(ROLE, &[("ExternalId", "a+b=c@d:e/f")]))
    );
    let reply = send(&aws, Signer::new(&aws, &keys).sign(get(&url))).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(
        aws.calls().last().unwrap().parameter("ExternalId"),
        Some("a+b=c@d:e/f")
    );
}

#[tokio::test]
async fn endpoints_regions_and_partitions() {
    let (aws, keys) = accounts();
    let china = aws
        .user("arn:aws-cn:iam::444444444444:user/orders")
        .create()
        .unwrap();
    let gov = aws
        .user("arn:aws-us-gov:iam::555555555555:user/orders")
        .create()
        .unwrap();
    let invalid = "The security token included in the request is invalid.";
    let region = "Credential should be scoped to a valid region. ";
    let at = async |keys: &Credentials, host: &str, region: &'static str| {
        let signer = Signer {
            region,
            ..Signer::new(&aws, keys)
        };
        let request = post(
            &format!("https://{host}/"),
            form(&[("Action", "GetCallerIdentity")]),
        );
        send(&aws, signer.sign(request)).await
    };
    for (host, keys, region) in [
        ("sts.amazonaws.com", &keys, "us-east-1"),
        ("sts.eu-west-1.amazonaws.com", &keys, "eu-west-1"),
        ("sts-fips.us-east-2.amazonaws.com", &keys, "us-east-2"),
        ("sts.eu-west-1.api.aws", &keys, "eu-west-1"),
        (
            "vpce-0a1b-2c3d.sts.eu-west-1.vpce.amazonaws.com",
            &keys,
            "eu-west-1",
        ),
        ("sts.cn-north-1.amazonaws.com.cn", &china, "cn-north-1"),
        ("sts.us-gov-west-1.amazonaws.com", &gov, "us-gov-west-1"),
        ("localhost:4566", &keys, "mars-north-1"),
    ] {
        let reply = at(keys, host, region).await;
        assert_eq!(reply.status, 200, "{host}: {}", reply.body);
    }
    for (row, host, keys, scope, code, message) in [
        (
            "global endpoint, other region",
            "sts.amazonaws.com",
            &keys,
            "eu-west-1",
            "SignatureDoesNotMatch",
            region,
        ),
        (
            "VPC endpoint, other region",
            "vpce-0a1b-2c3d.sts.eu-west-1.vpce.amazonaws.com",
            &keys,
            "us-east-1",
            "SignatureDoesNotMatch",
            region,
        ),
        (
            "commercial keys in China",
            "sts.cn-north-1.amazonaws.com.cn",
            &keys,
            "cn-north-1",
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "commercial keys in GovCloud",
            "sts.us-gov-west-1.amazonaws.com",
            &keys,
            "us-gov-west-1",
            "InvalidClientTokenId",
            invalid,
        ),
        (
            "Chinese keys elsewhere",
            "sts.eu-west-1.amazonaws.com",
            &china,
            "eu-west-1",
            "InvalidClientTokenId",
            invalid,
        ),
    ] {
        assert_refused(row, &at(keys, host, scope).await, 403, code, message);
    }

    let assume_at = async |keys: &Credentials, host: &str, region: &'static str| {
        let signer = Signer {
            region,
            ..Signer::new(&aws, keys)
        };
        send(
            &aws,
            signer.sign(post(&format!("https://{host}/"), form(&assume(ROLE, &[])))),
        )
        .await
    };
    let disabled = |account: &str| {
        format!(
            "STS is not activated in this region for account:{account}. Your account administrator can activate STS in this region using the IAM Console."
        )
    };
    aws.set_region_enabled("111111111111", "eu-west-1", false);
    for parameters in [
        vec![("Action", "GetSessionToken")],
        vec![("Action", "GetFederationToken"), ("Name", "ada")],
    ] {
        let reply = call(&aws, &keys, &parameters).await;
        let message = disabled("111111111111");
        assert_refused(
            "a user's session",
            &reply,
            403,
            "RegionDisabledException",
            &message,
        );
    }
    aws.set_region_enabled("111111111111", "eu-west-1", true);
    for (row, account, region, refused) in [
        (
            "the role's account, default region",
            "222222222222",
            "eu-west-1",
            true,
        ),
        (
            "the caller's account, default region",
            "111111111111",
            "eu-west-1",
            false,
        ),
        (
            "the role's account, opt-in region",
            "222222222222",
            "me-south-1",
            true,
        ),
        (
            "the caller's account, opt-in region",
            "111111111111",
            "me-south-1",
            true,
        ),
    ] {
        aws.set_region_enabled(account, region, false);
        let reply = assume_at(&keys, &format!("sts.{region}.amazonaws.com"), region).await;
        if refused {
            assert_refused(
                row,
                &reply,
                403,
                "RegionDisabledException",
                &disabled(account),
            );
        } else {
            assert_eq!(reply.status, 200, "{row}");
        }
        aws.set_region_enabled(account, region, true);
    }
    assert_eq!(
        assume_at(&keys, "sts.me-south-1.amazonaws.com", "me-south-1")
            .await
            .status,
        200
    );

    let global = assume_at(&keys, "sts.amazonaws.com", "us-east-1")
        .await
        .credentials();
    let regional = assume_at(&keys, "sts.eu-west-1.amazonaws.com", "eu-west-1")
        .await
        .credentials();
    assert_eq!(
        at(&global, "sts.eu-west-1.amazonaws.com", "eu-west-1")
            .await
            .status,
        200
    );
    assert_eq!(
        at(&regional, "sts.me-south-1.amazonaws.com", "me-south-1")
            .await
            .status,
        200
    );
    let reply = at(&global, "sts.me-south-1.amazonaws.com", "me-south-1").await;
    assert_refused(
        "a token of the global endpoint in an opt-in region",
        &reply,
        403,
        "InvalidClientTokenId",
        invalid,
    );
}

#[tokio::test]
async fn s3_has_an_error_of_its_own_for_a_wrong_clock() {
    let (aws, keys) = accounts();
    sts_simulator::S3::plug_into(&aws).create_bucket("111111111111", "reports");
    aws.user(USER).policy(allow("*")).create().unwrap();
    let signer = Signer {
        service: "s3",
        ..Signer::new(&aws, &keys)
    };
    let sent_at = async |time| {
        let signer = Signer {
            time,
            ..signer.clone()
        };
        let list = request("GET", "https://s3.eu-west-1.amazonaws.com/reports", &[], "");
        send(&aws, signer.sign(list)).await
    };
    for time in [signer.time - 14 * MINUTE, signer.time + 14 * MINUTE] {
        assert_eq!(sent_at(time).await.status, 200);
    }
    for time in [signer.time - 16 * MINUTE, signer.time + 16 * MINUTE] {
        assert_refused(
            "16 minutes",
            &sent_at(time).await,
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        );
    }
}
