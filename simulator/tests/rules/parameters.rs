//! The constraints on parameters.

use super::*;

#[tokio::test]
async fn parameters_of_assume_role() {
    let (aws, keys) = accounts();
    let at_least = |n: usize| format!("have length greater than or equal to {n}");
    let at_most = |n: usize| format!("have length less than or equal to {n}");
    let long = |n: usize| "x".repeat(n);
    let arn_of = |length: usize| format!("arn:aws:iam::222222222222:role/{}", long(length - 31));
    let name_pattern = r"satisfy regular expression pattern: [\w+=,.@-]*";
    let tag_pattern = r"satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+";
    let arn_pattern = r"satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+";
    let policy_pattern = r"satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+";
    let quoted = |text: &str| format!("'{text}'");

    // A parameter, an invalid value, and the violation: the member's name and AWS's message.
    let beyond_bmp = format!("{ROLE}\u{1F600}");
    let rows = [
        ("RoleArn", "short-arn".to_owned(), "roleArn", at_least(20)),
        ("RoleArn", arn_of(2049), "roleArn", at_most(2048)),
        ("RoleArn", beyond_bmp, "roleArn", arn_pattern.to_owned()),
        ("RoleSessionName", long(1), "roleSessionName", at_least(2)),
        ("RoleSessionName", long(65), "roleSessionName", at_most(64)),
        (
            "RoleSessionName",
            "bad/name".to_owned(),
            "roleSessionName",
            name_pattern.to_owned(),
        ),
        (
            "DurationSeconds",
            "899".to_owned(),
            "durationSeconds",
            "have value greater than or equal to 900".to_owned(),
        ),
        (
            "DurationSeconds",
            "43201".to_owned(),
            "durationSeconds",
            "have value less than or equal to 43200".to_owned(),
        ),
        (
            "DurationSeconds",
            "-1".to_owned(),
            "durationSeconds",
            "have value greater than or equal to 900".to_owned(),
        ),
        ("Policy", String::new(), "policy", at_least(1)),
        (
            "Policy",
            format!("{{\"Sid\": \"{}\"}}", long(2048)),
            "policy",
            at_most(2048),
        ),
        (
            "Policy",
            "{\"Id\": \"\u{100}\"}".to_owned(),
            "policy",
            policy_pattern.to_owned(),
        ),
        ("ExternalId", String::new(), "externalId", at_least(2)),
        ("ExternalId", long(1225), "externalId", at_most(1224)),
        (
            "ExternalId",
            "a b".to_owned(),
            "externalId",
            r"satisfy regular expression pattern: [\w+=,.@:\/-]*".to_owned(),
        ),
        (
            "ExternalId",
            "ünicode".to_owned(),
            "externalId",
            r"satisfy regular expression pattern: [\w+=,.@:\/-]*".to_owned(),
        ),
        ("SourceIdentity", long(1), "sourceIdentity", at_least(2)),
        ("SourceIdentity", long(257), "sourceIdentity", at_most(256)),
        (
            "SourceIdentity",
            "aws:x".to_owned(),
            "sourceIdentity",
            name_pattern.to_owned(),
        ),
        ("TokenCode", "12345".to_owned(), "tokenCode", at_least(6)),
        ("TokenCode", "1234567".to_owned(), "tokenCode", at_most(6)),
        (
            "TokenCode",
            "12345x".to_owned(),
            "tokenCode",
            r"satisfy regular expression pattern: [\d]*".to_owned(),
        ),
        (
            "SerialNumber",
            "short".to_owned(),
            "serialNumber",
            at_least(9),
        ),
        ("SerialNumber", long(257), "serialNumber", at_most(256)),
        (
            "SerialNumber",
            "no spaces here".to_owned(),
            "serialNumber",
            r"satisfy regular expression pattern: [\w+=/:,.@-]*".to_owned(),
        ),
        (
            "Tags.member.1.Key",
            String::new(),
            "tags.1.member.key",
            at_least(1),
        ),
        (
            "Tags.member.1.Key",
            long(129),
            "tags.1.member.key",
            at_most(128),
        ),
        (
            "Tags.member.1.Key",
            "a;b".to_owned(),
            "tags.1.member.key",
            tag_pattern.to_owned(),
        ),
        (
            "PolicyArns.member.1.arn",
            "arn".to_owned(),
            "policyArns.1.member.arn",
            at_least(20),
        ),
        (
            "TransitiveTagKeys.member.1",
            "a;b".to_owned(),
            "transitiveTagKeys.1.member",
            tag_pattern.to_owned(),
        ),
    ];
    for (parameter, value, member, rule) in &rows {
        let mut more = vec![(*parameter, value.as_str())];
        if *parameter == "Tags.member.1.Key" {
            more.push(("Tags.member.1.Value", "v"));
        }
        let reply = call(&aws, &keys, &assume(ROLE, &more)).await;
        // Lengths are counted in characters, not in bytes.
        let expected = violation(&quoted(value), member, rule);
        let name = format!("{parameter}={value:.20}");
        assert_refused(&name, &reply, 400, "ValidationError", &expected);
    }

    // The API model requires both members of a tag.
    for (parameter, missing) in [
        ("Tags.member.1.Key", "tags.1.member.value"),
        ("Tags.member.1.Value", "tags.1.member.key"),
    ] {
        let reply = call(&aws, &keys, &assume(ROLE, &[(parameter, "Team")])).await;
        let expected = violation("null", missing, "not be null");
        assert_refused(parameter, &reply, 400, "ValidationError", &expected);
    }

    let whole = |n: usize, name: &str, value: &str| -> Vec<(String, String)> {
        (1..=n)
            .map(|i| {
                (
                    name.replace('#', &i.to_string()),
                    value.replace('#', &i.to_string()),
                )
            })
            .collect()
    };
    for (row, list, member, max) in [
        (
            "more than 50 tags",
            whole(51, "Tags.member.#.Key", "k#"),
            "tags",
            50,
        ),
        (
            "more than 10 policy ARNs",
            whole(
                11,
                "PolicyArns.member.#.arn",
                "arn:aws:iam::222222222222:policy/P#",
            ),
            "policyArns",
            10,
        ),
        (
            "more than 5 contexts",
            whole(
                6,
                "ProvidedContexts.member.#.ProviderArn",
                "arn:aws:iam::aws:contextProvider/#",
            ),
            "providedContexts",
            5,
        ),
    ] {
        let list: Vec<_> = list
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let reply = call(&aws, &keys, &assume(ROLE, &list)).await;
        let (status, code, message) = reply.error();
        assert_eq!((status, &*code), (400, "ValidationError"), "{row}");
        let rule = format!(
            "at '{member}' failed to satisfy constraint: Member must {}",
            at_most(max)
        );
        assert!(message.contains(&rule), "{row}: {message}");
    }

    // Values that are at the limit, or only look invalid.
    let longest_id = long(1224);
    let longest_name = long(64);
    let longest_identity = long(256);
    for (row, more) in [
        (
            "the longest session name",
            vec![("RoleSessionName", longest_name.as_str())],
        ),
        (
            "an external ID of 1,224 characters",
            vec![("ExternalId", longest_id.as_str())],
        ),
        (
            "a source identity of 256 characters, which the model has at 64",
            vec![("SourceIdentity", longest_identity.as_str())],
        ),
        ("a duration with a sign", vec![("DurationSeconds", "+900")]),
        (
            "a duration with leading zeros",
            vec![("DurationSeconds", "0900")],
        ),
        ("the longest duration", vec![("DurationSeconds", "43200")]),
        (
            "a parameter that STS does not have",
            vec![("Colour", "blue")],
        ),
        (
            "an empty tag value",
            vec![("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "")],
        ),
        (
            "tags in other scripts",
            vec![
                ("Tags.member.1.Key", "Команда"),
                ("Tags.member.1.Value", "支付 ١"),
            ],
        ),
    ] {
        let reply = call(&aws, &keys, &assume(ROLE, &more)).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
    }
}

#[tokio::test]
async fn requests_that_are_refused_before_the_trust_policy_is_looked_at() {
    let (aws, keys) = accounts();
    let null = |member: &str| violation("null", member, "not be null");
    let no_tags = trusts(USER).replace(r#""sts:TagSession", "#, "");
    aws.role(HUB).trust(no_tags).create().unwrap();
    let malformed_arns = [
        "arn:a:::something/test-role",
        "arn:aws:iam::222222222222:user/Writer",
        "arn:aws:iam::22222222222:role/Writer",
        "arn:aws:sts::222222222222:role/Writer",
        "arn:aws:iam::222222222222:role/",
        "nothing-valid-in-here",
    ];
    for arn in malformed_arns {
        let reply = call(&aws, &keys, &assume(arn, &[])).await;
        let expected = format!("{arn} is invalid");
        assert_refused(
            "RoleArn malformed, length fine",
            &reply,
            400,
            "ValidationError",
            &expected,
        );
    }
    let tag = |n: usize, key: &'static str| {
        [
            (["", "Tags.member.1.Key", "Tags.member.2.Key"][n], key),
            (["", "Tags.member.1.Value", "Tags.member.2.Value"][n], "v"),
        ]
    };
    let (team, other_case) = (tag(1, "Team"), tag(2, "tEAM"));
    let rows: Vec<(_, Pairs<'_>, _, _)> = vec![
        ("RoleArn missing", vec![("Action", "AssumeRole"), ("RoleSessionName", "session")], "ValidationError", null("roleArn")),
        ("RoleSessionName missing", vec![("Action", "AssumeRole"), ("RoleArn", ROLE)], "ValidationError", null("roleSessionName")),
        ("duration not an i32", assume(ROLE, &[("DurationSeconds", "1h")]), "MalformedInput", String::new()),
        ("duration beyond an i32", assume(ROLE, &[("DurationSeconds", "2147483648")]), "MalformedInput", String::new()),
        ("duration empty", assume(ROLE, &[("DurationSeconds", "")]), "MalformedInput", "missing value for decimal type".to_owned()),
        (
            "several violations in one message",
            assume(ROLE, &[("RoleSessionName", "x"), ("ExternalId", "y"), ("TokenCode", "1")]),
            "ValidationError",
            "3 validation errors detected: Value 'x' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2; Value 'y' at 'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2; Value '1' at 'tokenCode' failed to satisfy constraint: Member must have length greater than or equal to 6".to_owned(),
        ),
        ("duplicate tag keys", assume(ROLE, &[team[0], team[1], other_case[0], other_case[1]]), "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned()),
        ("transitive key not in tags", assume(ROLE, &[("TransitiveTagKeys.member.1", "Team")]), "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.".to_owned()),
        ("aws: tag prefix", assume(ROLE, &tag(1, "aws:team")), "InvalidParameterValue", "aws: prefixed tag key names are not allowed for external use.".to_owned()),
        ("malformed session policy", assume(ROLE, &[("Policy", "{")]), "MalformedPolicyDocument", "…".to_owned()),
        ("session policy with a Principal", assume(ROLE, &[("Policy", r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}"#)]), "MalformedPolicyDocument", "…".to_owned()),
        ("context assertion that nobody issued", assume(ROLE, &[("ProvidedContexts.member.1.ProviderArn", "arn:aws:iam::aws:contextProvider/IdentityCenter"), ("ProvidedContexts.member.1.ContextAssertion", "made-up")]), "ValidationError", "The context assertion of arn:aws:iam::aws:contextProvider/IdentityCenter was not…".to_owned()),
    ];
    for (row, parameters, code, message) in rows {
        let reply = call(&aws, &keys, &parameters).await;
        assert_refused(row, &reply, 400, code, &message);
        let has_message = reply.body.contains("<Message>");
        assert_eq!(has_message, !message.is_empty(), "{row}: {}", reply.body);
    }

    // A policy that is too long is an error even for a role that does not exist; other errors require an existing role.
    let (long, missing) = ("x".repeat(2049), "arn:aws:iam::222222222222:role/Missing");
    let reply = call(&aws, &keys, &assume(missing, &[("Policy", &long)])).await;
    let expected = violation(
        &format!("'{long}'"),
        "policy",
        "have length less than or equal to 2048",
    );
    assert_refused(
        "inline policy > 2048",
        &reply,
        400,
        "ValidationError",
        &expected,
    );

    aws.context_assertion("arn:aws:iam::aws:contextProvider/IdentityCenter", "issued");
    let context = [
        (
            "ProvidedContexts.member.1.ProviderArn",
            "arn:aws:iam::aws:contextProvider/IdentityCenter",
        ),
        ("ProvidedContexts.member.1.ContextAssertion", "issued"),
    ];
    let reply = call(&aws, &keys, &assume(ROLE, &context)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn the_first_of_two_values_counts_and_an_empty_one_is_a_value() {
    let (aws, keys) = accounts();
    let trust = trusts(USER).replace(
        r#""Principal""#,
        r#""Condition": {"StringEquals": {"sts:ExternalId": "c0ffee"}}, "Principal""#,
    );
    aws.role(ROLE).trust(trust).create().unwrap();
    let with = async |ids: &[&'static str]| {
        let mut parameters = assume(ROLE, &[]);
        parameters.extend(ids.iter().map(|id| ("ExternalId", *id)));
        call(&aws, &keys, &parameters).await.status
    };
    assert_eq!(with(&["c0ffee", "other"]).await, 200);
    assert_eq!(with(&["other", "c0ffee"]).await, 403);
    assert_eq!(with(&["", "c0ffee"]).await, 400);
}
