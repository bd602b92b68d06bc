//! The properties of a session: duration, MFA, tags, source identity and policies.

use super::*;

#[tokio::test(start_paused = true)]
async fn durations_and_role_chaining() {
    let (aws, keys) = accounts();
    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    let expiry_after = |reply: &raw::Reply| {
        let text = reply.element("Expiration");
        let time = aws_smithy_types::DateTime::from_str(
            text,
            aws_smithy_types::date_time::Format::DateTime,
        );
        time.unwrap().secs()
            - aws_smithy_types::DateTime::from(aws_smithy_async::time::TimeSource::now(
                &aws.clock(),
            ))
            .secs()
    };
    for (row, by, parameters, seconds) in [
        ("AssumeRole, default", &keys, assume(ROLE, &[]), 3600),
        (
            "AssumeRole by a user, up to MaxSessionDuration",
            &keys,
            assume(ROLE, &[("DurationSeconds", "43200")]),
            43_200,
        ),
        (
            "GetSessionToken, default",
            &keys,
            vec![("Action", "GetSessionToken")],
            43_200,
        ),
        (
            "GetSessionToken, longest",
            &keys,
            vec![("Action", "GetSessionToken"), ("DurationSeconds", "129600")],
            129_600,
        ),
        (
            "GetSessionToken by root",
            &root,
            vec![("Action", "GetSessionToken"), ("DurationSeconds", "129600")],
            3600,
        ),
        (
            "GetFederationToken by root",
            &root,
            vec![("Action", "GetFederationToken"), ("Name", "ada")],
            3600,
        ),
    ] {
        let reply = call(&aws, by, &parameters).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        assert_eq!(expiry_after(&reply), seconds, "{row}");
    }

    let code = aws.mfa_code(MFA).unwrap();
    let with_mfa = [
        ("Action", "GetSessionToken"),
        ("SerialNumber", MFA),
        ("TokenCode", &code),
    ];
    let hub = call(&aws, &keys, &assume(HUB, &[])).await.credentials();
    let session = call(&aws, &keys, &[("Action", "GetSessionToken")])
        .await
        .credentials();
    let mfa_session = call(&aws, &keys, &with_mfa).await.credentials();
    let chained = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    let over_max =
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    for (row, by, role) in [
        ("AssumeRole session", &hub, TENANT),
        ("GetSessionToken", &session, ROLE),
        ("GetSessionToken with MFA", &mfa_session, ROLE),
    ] {
        let reply = call(&aws, by, &assume(role, &[("DurationSeconds", "3601")])).await;
        assert_refused(row, &reply, 400, "ValidationError", chained);
        let reply = call(&aws, by, &assume(role, &[("DurationSeconds", "3600")])).await;
        assert_eq!(reply.status, 200, "{row}: one hour");
    }
    aws.role(TENANT)
        .trust(trusts("222222222222"))
        .create()
        .unwrap();
    let reply = call(&aws, &hub, &assume(TENANT, &[("DurationSeconds", "7200")])).await;
    assert_refused(
        "MaxSessionDuration before chaining",
        &reply,
        400,
        "ValidationError",
        over_max,
    );
    let reply = call(&aws, &hub, &assume(TENANT, &[("DurationSeconds", "43201")])).await;
    let range = violation(
        "'43201'",
        "durationSeconds",
        "have value less than or equal to 43200",
    );
    assert_refused(
        "the fixed range before both",
        &reply,
        400,
        "ValidationError",
        &range,
    );
    aws.role(ROLE).trust(trusts(USER)).create().unwrap();
    let reply = call(&aws, &keys, &assume(ROLE, &[("DurationSeconds", "3601")])).await;
    assert_refused(
        "over MaxSessionDuration",
        &reply,
        400,
        "ValidationError",
        over_max,
    );
}

#[tokio::test(start_paused = true)]
async fn mfa() {
    let (aws, keys) = accounts();
    let other_device = "arn:aws:iam::111111111111:mfa/other";
    let other = aws.user("arn:aws:iam::111111111111:user/other");
    other.mfa_device(other_device, MFA_SECRET).create().unwrap();
    let trust = trusts(USER).replace(
        r#""Principal""#,
        r#""Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}, "Principal""#,
    );
    aws.role(ROLE).trust(trust).create().unwrap();
    let with = async |serial: &str, code: &str| {
        let mfa = [("SerialNumber", serial), ("TokenCode", code)];
        call(&aws, &keys, &assume(ROLE, &mfa)).await
    };
    let wrong = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
    let unknown = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.";
    let both = "…provide both MFA serial number and one time pass code";

    let reply = call(&aws, &keys, &assume(ROLE, &[])).await;
    assert_refused(
        "MFA missing",
        &reply,
        403,
        "AccessDenied",
        &denied(USER, "sts:AssumeRole", ROLE),
    );
    let code = aws.mfa_code(MFA).unwrap();
    assert_eq!(with(MFA, &code).await.status, 200);
    assert_refused(
        "code used twice",
        &with(MFA, &code).await,
        403,
        "AccessDenied",
        wrong,
    );
    aws.clock().advance(Duration::from_secs(90)).await;
    assert_refused(
        "wrong code",
        &with(MFA, &code).await,
        403,
        "AccessDenied",
        wrong,
    );
    let code = aws.mfa_code(MFA).unwrap();
    for (row, serial) in [
        ("unknown serial", "arn:aws:iam::111111111111:mfa/nobody"),
        ("another user's device", other_device),
        ("the user's ARN for the device's", USER),
    ] {
        assert_refused(
            row,
            &with(serial, &code).await,
            403,
            "AccessDenied",
            unknown,
        );
    }
    for (row, parameter) in [
        ("only a serial", ("SerialNumber", MFA)),
        ("only a code", ("TokenCode", "123456")),
    ] {
        let reply = call(&aws, &keys, &assume(ROLE, &[parameter])).await;
        assert_refused(row, &reply, 403, "AccessDenied", both);
    }

    // MFA in AssumeRole counts only for that role; MFA in GetSessionToken counts for all roles that are assumed with
    // its session.
    let session = with(MFA, &code).await.credentials();
    aws.role(TENANT)
        .trust(trusts("222222222222").replace(
            r#""Principal""#,
            r#""Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}, "Principal""#,
        ))
        .create()
        .unwrap();
    let caller = "arn:aws:sts::222222222222:assumed-role/Writer/session";
    let reply = call(&aws, &session, &assume(TENANT, &[])).await;
    assert_refused(
        "a role session has no MFA",
        &reply,
        403,
        "AccessDenied",
        &denied(caller, "sts:AssumeRole", TENANT),
    );
    let mfa = [("SerialNumber", MFA), ("TokenCode", "123456")];
    let reply = call(&aws, &session, &assume(TENANT, &mfa)).await;
    assert_refused("a role has no device", &reply, 403, "AccessDenied", unknown);

    aws.clock().advance(MINUTE).await;
    let code = aws.mfa_code(MFA).unwrap();
    let get_session = [
        ("Action", "GetSessionToken"),
        ("SerialNumber", MFA),
        ("TokenCode", &code),
    ];
    let session = call(&aws, &keys, &get_session).await.credentials();
    let reply = call(&aws, &session, &assume(ROLE, &[])).await;
    assert_eq!(
        reply.status, 200,
        "GetSessionToken with MFA, then AssumeRole"
    );
}

#[tokio::test]
async fn session_tags_and_source_identity_across_roles() {
    let (aws, keys) = accounts();
    let hub_arn = "arn:aws:sts::222222222222:assumed-role/Hub/session";
    let tag = |key: &'static str| [("Tags.member.1.Key", key), ("Tags.member.1.Value", "v")];
    let transitive = [
        ("TransitiveTagKeys.member.1", "TEAM"),
        ("SourceIdentity", "ada"),
    ];
    let hub = [&tag("Team")[..], &transitive].concat();
    let hub = call(&aws, &keys, &assume(HUB, &hub)).await;
    assert_eq!(hub.element("SourceIdentity"), "ada");
    let hub = hub.credentials();

    for (row, more) in [
        ("inherited tags and source identity", vec![]),
        ("the same source identity", vec![("SourceIdentity", "ada")]),
        ("a new tag on a chained role", tag("Cost").to_vec()),
    ] {
        let reply = call(&aws, &hub, &assume(TENANT, &more)).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        assert_eq!(reply.element("SourceIdentity"), "ada", "{row}");
    }
    let conflict = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.";
    for key in ["Team", "tEaM"] {
        let reply = call(&aws, &hub, &assume(TENANT, &tag(key))).await;
        assert_refused(
            "transitive tag overridden",
            &reply,
            400,
            "InvalidParameterValue",
            conflict,
        );
    }
    let reply = call(&aws, &hub, &assume(TENANT, &[("SourceIdentity", "bob")])).await;
    let fixed = "The source identity is already set for this assume role session";
    assert_refused(
        "source identity changed",
        &reply,
        400,
        "ValidationError",
        fixed,
    );

    let without = |action: &str| trusts("222222222222").replace(&format!(r#""{action}", "#), "");
    for (row, action) in [
        (
            "TagSession denied, although the request has no tags",
            "sts:TagSession",
        ),
        (
            "SetSourceIdentity denied, although the request has none",
            "sts:SetSourceIdentity",
        ),
    ] {
        aws.role(TENANT).trust(without(action)).create().unwrap();
        let reply = call(&aws, &hub, &assume(TENANT, &[])).await;
        assert_refused(
            row,
            &reply,
            403,
            "AccessDenied",
            &denied(hub_arn, action, TENANT),
        );
    }
    aws.role(TENANT)
        .trust(trusts("222222222222"))
        .create()
        .unwrap();
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:AssumeRole"))
        .create()
        .unwrap();
    let reply = call(&aws, &hub, &assume(TENANT, &[])).await;
    let expected = denied(hub_arn, "sts:SetSourceIdentity", TENANT);
    assert_refused(
        "across accounts, the caller needs it, too",
        &reply,
        403,
        "AccessDenied",
        &expected,
    );
}

#[tokio::test]
async fn session_policies_belong_to_the_account_of_the_role_and_have_a_packed_size() {
    let (aws, keys) = accounts();
    let managed = "arn:aws:iam::222222222222:policy/OnlyGet";
    let foreign = "arn:aws:iam::111111111111:policy/OnlyGet";
    let of_aws = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let role = [managed, foreign, of_aws]
        .iter()
        .fold(aws.role(ROLE).trust(trusts(USER)), |role, arn| {
            role.managed_policy(*arn, allow("s3:GetObject"))
        });
    role.create().unwrap();
    let policy = allow("s3:GetObject");
    for (row, more, has_size) in [
        ("nothing packed", vec![], false),
        ("an inline policy", vec![("Policy", policy.as_str())], true),
        (
            "a managed policy of the role's account",
            vec![("PolicyArns.member.1.arn", managed)],
            true,
        ),
        (
            "a managed policy of AWS",
            vec![("PolicyArns.member.1.arn", of_aws)],
            true,
        ),
        (
            "a managed policy of AWS that nobody attached before",
            vec![(
                "PolicyArns.member.1.arn",
                "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            )],
            true,
        ),
        (
            "a tag",
            vec![
                ("Tags.member.1.Key", "Team"),
                ("Tags.member.1.Value", "payments"),
            ],
            true,
        ),
    ] {
        let reply = call(&aws, &keys, &assume(ROLE, &more)).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        let size = reply.element("PackedPolicySize");
        assert_eq!(
            size.parse::<u32>()
                .is_ok_and(|size| (1..50).contains(&size)),
            has_size,
            "{row}: {size}"
        );
    }
    for (row, arn) in [
        ("a managed policy of another account", foreign),
        (
            "a managed policy that is not there",
            "arn:aws:iam::222222222222:policy/Missing",
        ),
    ] {
        let reply = call(
            &aws,
            &keys,
            &assume(ROLE, &[("PolicyArns.member.1.arn", arn)]),
        )
        .await;
        assert_refused(
            row,
            &reply,
            400,
            "ValidationError",
            &format!("Policy ARN {arn} names neither a managed policy in account 222222222222…"),
        );
    }
    // The limit of 2,048 characters applies to the inline policy and the ARNs together.
    let almost = format!("{:2000}", policy);
    let reply = call(&aws, &keys, &assume(ROLE, &[("Policy", &almost)])).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let both = [
        ("Policy", almost.as_str()),
        ("PolicyArns.member.1.arn", managed),
        ("PolicyArns.member.2.arn", of_aws),
    ];
    let reply = call(&aws, &keys, &assume(ROLE, &both)).await;
    assert_refused(
        "inline and managed together",
        &reply,
        400,
        "ValidationError",
        "…Member must have length less than or equal to 2048",
    );

    let long = "x".repeat(250);
    let names: Vec<_> = (1..=50)
        .map(|n| {
            (
                format!("Tags.member.{n}.Key"),
                format!("Tags.member.{n}.Value"),
                format!("T{n}"),
            )
        })
        .collect();
    let tags = |count: usize| -> Vec<(&str, &str)> {
        names[..count]
            .iter()
            .flat_map(|(key, value, name)| [(&**key, &**name), (&**value, &*long)])
            .collect()
    };
    for count in [9, 50] {
        let reply = call(&aws, &keys, &assume(ROLE, &tags(count))).await;
        let message = if count == 9 {
            "Packed size of session tags consumes 498% of allotted space."
        } else {
            "Packed size of session tags consumes…"
        };
        assert_refused(
            "packed too large (tags)",
            &reply,
            400,
            "PackedPolicyTooLarge",
            message,
        );
    }
    let hub = [&tags(1)[..], &[("TransitiveTagKeys.member.1", "T1")]].concat();
    let hub = call(&aws, &keys, &assume(HUB, &hub)).await;
    let alone: u32 = hub.element("PackedPolicySize").parse().unwrap();
    let reply = call(&aws, &hub.credentials(), &assume(TENANT, &[])).await;
    assert_eq!(
        reply.element("PackedPolicySize"),
        alone.to_string(),
        "inherited tags count"
    );

    aws.set_packed_size_limit(10);
    let reply = call(&aws, &keys, &assume(ROLE, &[("Policy", &policy)])).await;
    assert_refused(
        "packed too large (policy)",
        &reply,
        400,
        "PackedPolicyTooLarge",
        "Packed policy consumes …% of allotted space, please use smaller policy.",
    );
}
