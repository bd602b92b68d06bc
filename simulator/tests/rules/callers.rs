//! Which callers may call which operations.

use super::*;

#[tokio::test]
async fn trust() {
    let (aws, keys) = accounts();
    let user_id = call(&aws, &keys, &[("Action", "GetCallerIdentity")]).await;
    assert!(user_id.element("UserId").starts_with("AIDA"));
    let hub = call(&aws, &keys, &assume(HUB, &[])).await.credentials();
    let hub_arn = "arn:aws:sts::222222222222:assumed-role/Hub/session";

    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("*"))
        .create()
        .unwrap();
    let reply = call(&aws, &hub, &assume(HUB, &[])).await;
    assert_refused(
        "a role must trust itself to assume itself",
        &reply,
        403,
        "AccessDenied",
        &denied(hub_arn, "sts:AssumeRole", HUB),
    );
    aws.role(HUB)
        .trust(trusts(HUB))
        .policy(allow("*"))
        .create()
        .unwrap();
    assert_eq!(call(&aws, &hub, &assume(HUB, &[])).await.status, 200);

    for (row, role) in [
        ("role unknown", "arn:aws:iam::222222222222:role/Missing"),
        (
            "name in another case",
            "arn:aws:iam::222222222222:role/team/writer",
        ),
        ("path left out", "arn:aws:iam::222222222222:role/Writer"),
        ("account unknown", "arn:aws:iam::999999999999:role/Writer"),
        (
            "another partition",
            "arn:aws-cn:iam::222222222222:role/team/Writer",
        ),
        ("principal not trusted", TENANT),
    ] {
        let reply = call(&aws, &keys, &assume(role, &[])).await;
        assert_refused(
            row,
            &reply,
            403,
            "AccessDenied",
            &denied(USER, "sts:AssumeRole", role),
        );
    }
    for (row, principal, advice) in [
        (
            "a wildcard in a principal",
            "arn:aws:iam::111111111111:user/*",
            "",
        ),
        (
            "a principal that does not exist",
            "arn:aws:iam::111111111111:user/nobody",
            ". A policy can only name a user or role that exists: create arn:aws:iam::111111111111:user/nobody first",
        ),
    ] {
        let error = aws
            .role(ROLE)
            .trust(trusts(principal))
            .create()
            .unwrap_err()
            .to_string();
        let reason = format!(
            "MalformedPolicyDocument: Invalid principal in policy: \"AWS\":\"{principal}\"{advice}"
        );
        assert!(error.ends_with(&reason), "{row}: {error}");
    }
    // A live session has the current permissions of its role.
    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    let reply = call(&aws, &hub, &assume(TENANT, &[])).await;
    assert_refused(
        "permissions taken away",
        &reply,
        403,
        "AccessDenied",
        &denied(hub_arn, "sts:AssumeRole", TENANT),
    );
}

#[tokio::test]
async fn each_action_of_a_request_has_condition_keys_of_its_own() {
    let (aws, keys) = accounts();
    let more = [
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "payments"),
        ("TransitiveTagKeys.member.1", "Team"),
        ("SourceIdentity", "ada"),
        ("ExternalId", "c0ffee"),
    ];
    let all = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"];
    let rows = [
        (
            r#"{"StringEquals": {"aws:RequestTag/Team": "payments"}}"#,
            &all[..2],
        ),
        (
            r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}, "Null": {"aws:TagKeys": "false"}}"#,
            &all[..2],
        ),
        (
            r#"{"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": ["Team"]}}"#,
            &all[..2],
        ),
        (
            r#"{"StringEquals": {"sts:RoleSessionName": "session"}}"#,
            &all[..1],
        ),
        (
            r#"{"StringEquals": {"sts:ExternalId": "c0ffee"}}"#,
            &all[..1],
        ),
        (
            r#"{"StringEquals": {"sts:SourceIdentity": "ada"}}"#,
            &["sts:AssumeRole", "sts:SetSourceIdentity"],
        ),
    ];
    for (condition, actions) in rows {
        for action in all {
            // The condition applies to one action; the other actions have none.
            let statements: Vec<_> = all
                .iter()
                .map(|other| {
                    let condition = if *other == action { condition } else { "{}" };
                    format!(
                        r#"{{"Effect": "Allow", "Action": "{other}", "Principal": {{"AWS": "{USER}"}},
                            "Condition": {condition}}}"#
                    )
                })
                .collect();
            let trust = format!(
                r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
                statements.join(",")
            );
            aws.role(ROLE).trust(trust).create().unwrap();
            let reply = call(&aws, &keys, &assume(ROLE, &more)).await;
            if actions.contains(&action) {
                assert_eq!(reply.status, 200, "{condition} on {action}: {}", reply.body);
            } else {
                assert_refused(
                    condition,
                    &reply,
                    403,
                    "AccessDenied",
                    &denied(USER, action, ROLE),
                );
            }
        }
    }
}

#[tokio::test]
async fn who_may_call_what_and_what_the_session_may_do() {
    let (aws, keys) = accounts();
    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    let hub = call(&aws, &keys, &assume(HUB, &[])).await.credentials();
    let session = call(&aws, &keys, &[("Action", "GetSessionToken")])
        .await
        .credentials();
    let federate = [("Action", "GetFederationToken"), ("Name", "ada")];
    let federated = call(&aws, &keys, &federate).await.credentials();
    let hub_arn = "arn:aws:sts::222222222222:assumed-role/Hub/session";
    let federated_arn = "arn:aws:sts::111111111111:federated-user/ada";
    let key_info = [
        ("Action", "GetAccessKeyInfo"),
        ("AccessKeyId", hub.access_key_id()),
    ];

    let cannot = |operation: &str| format!("Cannot call {operation} with session credentials");
    let no_info = |arn: &str| {
        format!(
            "User: {arn} is not authorized to perform: sts:GetAccessKeyInfo because no identity-based policy allows the sts:GetAccessKeyInfo action"
        )
    };
    let get_session = [("Action", "GetSessionToken")];
    let rows: Vec<(_, _, Pairs<'_>, _)> = vec![
        (
            "root calls AssumeRole",
            &root,
            assume(ROLE, &[]),
            "Roles may not be assumed by root accounts.".to_owned(),
        ),
        (
            "a role calls GetSessionToken",
            &hub,
            get_session.to_vec(),
            cannot("GetSessionToken"),
        ),
        (
            "a role calls GetFederationToken",
            &hub,
            federate.to_vec(),
            cannot("GetFederationToken"),
        ),
        (
            "a user's session calls GetSessionToken",
            &session,
            get_session.to_vec(),
            cannot("GetSessionToken"),
        ),
        (
            "a user's session calls GetFederationToken",
            &session,
            federate.to_vec(),
            cannot("GetFederationToken"),
        ),
        (
            "a user's session calls GetAccessKeyInfo",
            &session,
            key_info.to_vec(),
            no_info(USER),
        ),
        (
            "a federated user calls AssumeRole",
            &federated,
            assume(ROLE, &[]),
            denied(federated_arn, "sts:AssumeRole", ROLE),
        ),
        (
            "a federated user calls GetSessionToken",
            &federated,
            get_session.to_vec(),
            cannot("GetSessionToken"),
        ),
        (
            "a federated user calls GetAccessKeyInfo",
            &federated,
            key_info.to_vec(),
            no_info(federated_arn),
        ),
    ];
    for (row, by, parameters, message) in rows {
        let reply = call(&aws, by, &parameters).await;
        assert_refused(row, &reply, 403, "AccessDenied", &message);
    }
    for (row, by, arn) in [
        ("root", &root, "arn:aws:iam::111111111111:root"),
        ("a role", &hub, hub_arn),
        ("a user's session", &session, USER),
        ("a federated user", &federated, federated_arn),
    ] {
        let reply = call(&aws, by, &[("Action", "GetCallerIdentity")]).await;
        assert_eq!(reply.element("Arn"), arn, "GetCallerIdentity by {row}");
    }
    let reply = call(&aws, &federated, &[("Action", "GetCallerIdentity")]).await;
    assert_eq!(reply.element("UserId"), "111111111111:ada");
    for (row, by) in [("a user", &keys), ("a role", &hub), ("root", &root)] {
        let reply = call(&aws, by, &key_info).await;
        assert_eq!(
            reply.element("Account"),
            "222222222222",
            "GetAccessKeyInfo by {row}"
        );
    }
    let reply = call(&aws, &session, &assume(ROLE, &[])).await;
    assert_eq!(reply.status, 200, "a user's session calls AssumeRole");

    aws.user(USER)
        .policy(allow("*").replace("Allow", "Deny"))
        .create()
        .unwrap();
    for action in ["GetCallerIdentity", "GetSessionToken"] {
        let reply = call(&aws, &keys, &[("Action", action)]).await;
        assert_eq!(reply.status, 200, "{action} needs no permission");
    }
    let reply = call(&aws, &keys, &federate).await;
    let expected = denied(USER, "sts:GetFederationToken", federated_arn);
    assert_refused(
        "GetFederationToken needs permission",
        &reply,
        403,
        "AccessDenied",
        &expected,
    );
}

#[tokio::test]
async fn what_a_session_may_not_do_whatever_its_policies_say() {
    let (aws, keys) = accounts();
    aws.user(USER).policy(allow("*")).create().unwrap();
    const ACTIONS: [&str; 5] = [
        "iam:GetUser",
        "sts:AssumeRole",
        "STS:GetAccessKeyInfo",
        "sts:GetCallerIdentity",
        "s3:GetObject",
    ];
    aws.service("s3", |caller, _| {
        let may = ACTIONS.map(|action| u8::from(caller.may(action, "*")).to_string());
        sts_simulator::HttpResponse::new(200.try_into().unwrap(), may.concat().into())
    });
    let code = aws.mfa_code(MFA).unwrap();
    let everything = allow("*");
    for (row, parameters, may) in [
        ("a role", assume(HUB, &[]), "11111"),
        (
            "a user's session",
            vec![("Action", "GetSessionToken")],
            "01011",
        ),
        (
            "a user's session with MFA",
            vec![
                ("Action", "GetSessionToken"),
                ("SerialNumber", MFA),
                ("TokenCode", &code),
            ],
            "11011",
        ),
        (
            "a federated user",
            vec![
                ("Action", "GetFederationToken"),
                ("Name", "ada"),
                ("Policy", &everything),
            ],
            "00011",
        ),
    ] {
        let session = call(&aws, &keys, &parameters).await.credentials();
        let signer = Signer {
            service: "s3",
            ..Signer::new(&aws, &session)
        };
        let get = request(
            "GET",
            "https://s3.eu-west-1.amazonaws.com/bucket/x",
            &[],
            "",
        );
        assert_eq!(send(&aws, signer.sign(get)).await.body, may, "{row}");
    }
}

#[tokio::test]
async fn get_federation_token_and_get_access_key_info() {
    let (aws, keys) = accounts();
    aws.user(USER)
        .policy(allow("sts:*"))
        .policy(allow("s3:*"))
        .create()
        .unwrap();
    aws.service("s3", |caller, _| {
        let may = ["s3:GetObject", "s3:PutObject", "sqs:SendMessage"]
            .map(|action| u8::from(caller.may(action, "arn:aws:s3:::bucket/x")).to_string());
        let tag = caller.session_tag("Team").unwrap_or("-");
        let text = format!("{} {} {tag}", may.concat(), caller.arn());
        sts_simulator::HttpResponse::new(200.try_into().unwrap(), text.into())
    });
    let (get, everything) = (allow("s3:GetObject"), allow("*"));
    for (row, more, permissions) in [
        ("without a session policy it may do nothing", vec![], "000"),
        (
            "a session policy limits the user's own",
            vec![("Policy", get.as_str())],
            "100",
        ),
        (
            "a session policy grants nothing",
            vec![("Policy", everything.as_str())],
            "110",
        ),
    ] {
        let mut parameters = vec![
            ("Action", "GetFederationToken"),
            ("Name", "ada"),
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "payments"),
        ];
        parameters.extend(more);
        let federated = call(&aws, &keys, &parameters).await;
        assert_eq!(
            federated.element("FederatedUserId"),
            "111111111111:ada",
            "{row}"
        );
        let signer = Signer {
            service: "s3",
            ..Signer::new(&aws, &federated.credentials())
        };
        let get = request(
            "GET",
            "https://s3.eu-west-1.amazonaws.com/bucket/x",
            &[],
            "",
        );
        let reply = send(&aws, signer.sign(get)).await;
        let expected =
            format!("{permissions} arn:aws:sts::111111111111:federated-user/ada payments");
        assert_eq!(reply.body, expected, "{row}");
    }
    let reply = call(
        &aws,
        &keys,
        &[("Action", "GetFederationToken"), ("Name", "ada")],
    )
    .await;
    assert_eq!(
        reply.element("PackedPolicySize"),
        "0",
        "also if nothing is packed"
    );

    let long = "x".repeat(33);
    for (row, parameters, message) in [
        (
            "Name missing",
            vec![("Action", "GetFederationToken")],
            violation("null", "name", "not be null"),
        ),
        (
            "Name too short",
            vec![("Action", "GetFederationToken"), ("Name", "x")],
            violation("'x'", "name", "have length greater than or equal to 2"),
        ),
        (
            "Name too long",
            vec![("Action", "GetFederationToken"), ("Name", &long)],
            violation(
                &format!("'{long}'"),
                "name",
                "have length less than or equal to 32",
            ),
        ),
        (
            "duration too long",
            vec![
                ("Action", "GetFederationToken"),
                ("Name", "ada"),
                ("DurationSeconds", "129601"),
            ],
            violation(
                "'129601'",
                "durationSeconds",
                "have value less than or equal to 129600",
            ),
        ),
        (
            "AccessKeyId missing",
            vec![("Action", "GetAccessKeyInfo")],
            violation("null", "accessKeyId", "not be null"),
        ),
        (
            "AccessKeyId too short",
            vec![("Action", "GetAccessKeyInfo"), ("AccessKeyId", "AKIA")],
            violation(
                "'AKIA'",
                "accessKeyId",
                "have length greater than or equal to 16",
            ),
        ),
        (
            "AccessKeyId unknown",
            vec![
                ("Action", "GetAccessKeyInfo"),
                ("AccessKeyId", "AKIAIOSFODNN7EXAMPLE"),
            ],
            "AKIAIOSFODNN7EXAMPLE is not…".to_owned(),
        ),
    ] {
        let reply = call(&aws, &keys, &parameters).await;
        assert_refused(row, &reply, 400, "ValidationError", &message);
    }
}
