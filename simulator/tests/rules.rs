//! The rules of STS, one by one, as AWS documents them and as its recorded answers show them. The requests are
//! those on the wire; each row has the name of its rule.

mod raw;

use std::time::Duration;

use aws_credential_types::Credentials;
use sts_simulator::{Fault, Simulator};

use raw::*;

const USER: &str = "arn:aws:iam::111111111111:user/orders";
const ROLE: &str = "arn:aws:iam::222222222222:role/team/Writer";
const HUB: &str = "arn:aws:iam::222222222222:role/Hub";
const TENANT: &str = "arn:aws:iam::333333333333:role/Tenant";
const MFA: &str = "arn:aws:iam::111111111111:mfa/orders";
const MFA_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
    )
}

fn trusts(principal: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext"],
            "Principal": {{"AWS": "{principal}"}}}}}}"#
    )
}

/// A user who may assume the roles `ROLE` and `HUB`; the hub may assume `TENANT`.
fn accounts() -> (Simulator, Credentials) {
    let aws = Simulator::new();
    let user = aws.user(USER).policy(allow("sts:*"));
    let keys = user.mfa_device(MFA, MFA_SECRET).create().unwrap();
    for (role, principal) in [(ROLE, USER), (HUB, USER), (TENANT, "222222222222")] {
        let role = aws.role(role).trust(trusts(principal)).policy(allow("*"));
        role.max_session_duration(12 * HOUR).create().unwrap();
    }
    (aws, keys)
}

/// Parameters of a request.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Returns the parameters of AssumeRole. A later parameter of the same name takes the place of an earlier one.
fn assume<'a>(role: &'a str, more: &[(&'a str, &'a str)]) -> Pairs<'a> {
    let mut parameters = vec![
        ("Action", "AssumeRole"),
        ("RoleArn", role),
        ("RoleSessionName", "session"),
    ];
    for (name, value) in more {
        parameters.retain(|(other, _)| other != name);
        parameters.push((name, value));
    }
    parameters
}

fn denied(caller: &str, action: &str, role: &str) -> String {
    format!("User: {caller} is not authorized to perform: {action} on resource: {role}")
}

fn violation(value: &str, member: &str, rule: &str) -> String {
    format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: Member must {rule}"
    )
}

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

    // A parameter, its value, and the violation with the member's name and AWS's words.
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
        let reply = call(&aws, &keys, &assume(ROLE, &[(parameter, value)])).await;
        // The same parameters, with their length in characters and not in bytes.
        let expected = violation(&quoted(value), member, rule);
        let name = format!("{parameter}={value:.20}");
        assert_refused(&name, &reply, 400, "ValidationError", &expected);
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

    // What is at the limit, or only looks wrong.
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
        ("context assertion that nobody issued", assume(ROLE, &[("ProvidedContexts.member.1.ProviderArn", "arn:aws:iam::aws:contextProvider/IdentityCenter"), ("ProvidedContexts.member.1.ContextAssertion", "made-up")]), "ValidationError", "The context assertion of arn:aws:iam::aws:contextProvider/IdentityCenter is not…".to_owned()),
    ];
    for (row, parameters, code, message) in rows {
        let reply = call(&aws, &keys, &parameters).await;
        assert_refused(row, &reply, 400, code, &message);
        let has_message = reply.body.contains("<Message>");
        assert_eq!(has_message, !message.is_empty(), "{row}: {}", reply.body);
    }

    // The policy's length is an error even for a role that does not exist; the rest is said of an existing one.
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

    // AssumeRole with a code proves MFA to that role only; GetSessionToken to all that are assumed with its
    // session.
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
            // The condition is on one action; the others have none.
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
async fn session_policies_are_of_the_role_s_account_and_have_a_packed_size() {
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
            &format!("Policy ARN {arn} is not…"),
        );
    }
    // 2,048 characters are for the inline policy and the ARNs together.
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
    // The example in the API reference signs the user agent, which the SDK's signer leaves out by itself.
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
    // As aws-iam-authenticator sends it: with a header that names the cluster, signed.
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

    // A GET with an assertion of parameters in the query is AssumeRole like any other.
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
async fn answers_on_the_wire() {
    let (aws, keys) = accounts();
    let signer = Signer::new(&aws, &keys);
    let body = form(&[("Action", "GetCallerIdentity")]);
    let reply = call(
        &aws,
        &keys,
        &assume(
            ROLE,
            &[("SourceIdentity", "ada"), ("Tags.member.1.Key", "k")],
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
        "GetWebIdentityToken",
    ] {
        let reply = call(&aws, &keys, &[("Action", action)]).await;
        let message = format!("STS has the operation {action}, but this simulator does not");
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

    // A control character in what is refused: the answer is still XML.
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
    for (row, principal) in [
        (
            "a wildcard in a principal",
            "arn:aws:iam::111111111111:user/*",
        ),
        (
            "a principal that does not exist",
            "arn:aws:iam::111111111111:user/nobody",
        ),
    ] {
        let error = aws
            .role(ROLE)
            .trust(trusts(principal))
            .create()
            .unwrap_err()
            .to_string();
        let reason = format!(
            "MalformedPolicyDocument: Invalid principal in policy: \"AWS\":\"{principal}\""
        );
        assert!(error.ends_with(&reason), "{row}: {error}");
    }
    // The permissions of a live session are those of its role now.
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
