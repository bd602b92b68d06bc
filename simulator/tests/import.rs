//! Imports of real accounts: `tests/accounts`, and what is wrong with files.

use std::fs;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use sts_simulator::{Import, ImportError, Simulator};

const ACCOUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/accounts");
const ORDERS: &str = "arn:aws:iam::111111111111:user/services/orders";
const HUB: &str = "arn:aws:iam::111111111111:role/Hub";
const WRITER: &str = "arn:aws:iam::222222222222:role/data/FirehoseWriter";

fn imported() -> (Simulator, Import) {
    let aws = Simulator::new();
    let import = aws.import(ACCOUNTS).unwrap();
    (aws, import)
}

/// Assumes a role; returns the code of STS if that is refused.
async fn assume(
    aws: &Simulator,
    keys: &Credentials,
    role: &str,
    external_id: Option<&str>,
) -> Result<Credentials, String> {
    let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys.clone()));
    let call = sts.assume_role().role_arn(role).role_session_name("orders");
    let answer = call
        .set_external_id(external_id.map(str::to_owned))
        .send()
        .await;
    match answer {
        Ok(answer) => {
            let keys = answer.credentials().unwrap();
            Ok(Credentials::new(
                keys.access_key_id(),
                keys.secret_access_key(),
                Some(keys.session_token().to_owned()),
                None,
                "test",
            ))
        }
        Err(error) => Err(error
            .into_service_error()
            .meta()
            .code()
            .unwrap_or_default()
            .to_owned()),
    }
}

/// Why the last decision was what it was.
fn why(aws: &Simulator) -> String {
    let calls = aws.calls();
    calls
        .last()
        .unwrap()
        .decisions()
        .last()
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn a_chain_is_decided_by_what_is_deployed() {
    let (aws, import) = imported();
    assert_eq!(
        import.accounts().collect::<Vec<_>>(),
        ["111111111111", "222222222222"]
    );
    let keys = aws.access_key(ORDERS).unwrap();

    // By the group's managed policy, in its default version, and the percent-encoded trust policy.
    assert!(assume(&aws, &keys, WRITER, Some("c0ffee")).await.is_ok());
    assert_eq!(
        assume(&aws, &keys, WRITER, Some("wrong"))
            .await
            .unwrap_err(),
        "AccessDenied"
    );
    assert!(
        why(&aws).contains(r#"statement 1 "Orders" (Allow) does not apply:"#),
        "{}",
        why(&aws)
    );

    // The hub may assume the role, which does not trust it.
    let hub = assume(&aws, &keys, HUB, None).await.unwrap();
    assert_eq!(
        assume(&aws, &hub, WRITER, Some("c0ffee"))
            .await
            .unwrap_err(),
        "AccessDenied"
    );
    assert!(
        why(&aws).contains("does not name the caller"),
        "{}",
        why(&aws)
    );
}

#[tokio::test]
async fn the_policies_of_the_organization_take_part() {
    let (aws, _) = imported();
    let keys = aws.access_key(ORDERS).unwrap();
    let config = aws.sdk_config(keys).into_builder();
    let config = config
        .region(aws_types::region::Region::new("us-east-1"))
        .build();
    let sts = aws_sdk_sts::Client::new(&config);
    let call = sts.assume_role().role_arn(HUB).role_session_name("orders");
    assert!(call.send().await.is_err());
    let why = why(&aws);
    assert!(
        why.contains("service control policy OnlyIreland (p-regions12) at ou-ab12-11111111"),
        "{why}"
    );

    // A stranger whom a role trusts is kept out by the resource control policy.
    let stranger = "arn:aws:iam::333333333333:user/stranger";
    let allow = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let keys = aws.user(stranger).policy(allow).create().unwrap();
    let role = "arn:aws:iam::222222222222:role/Open";
    let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}}"#;
    aws.role(role).trust(trust).create().unwrap();
    assert_eq!(
        assume(&aws, &keys, role, None).await.unwrap_err(),
        "AccessDenied"
    );
    let why = self::why(&aws);
    assert!(
        why.contains("resource control policy OnlyOrganization"),
        "{why}"
    );
}

#[tokio::test]
async fn boundaries_limit_a_role_and_what_is_not_understood_denies() {
    let (aws, _) = imported();
    let keys = aws.access_key(ORDERS).unwrap();
    let writer = assume(&aws, &keys, WRITER, Some("c0ffee")).await.unwrap();
    let decided = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = decided.clone();
    aws.service("test", move |caller, _| {
        for action in [
            "firehose:PutRecord",
            "firehose:DeleteDeliveryStream",
            "kinesis:PutRecord",
        ] {
            log.lock().unwrap().push(caller.may(
                action,
                "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events",
            ));
        }
        sts_simulator::HttpResponse::new(200.try_into().unwrap(), "".into())
    });
    signed_call(&aws, &writer, "test").await;
    assert_eq!(*decided.lock().unwrap(), [true, false, false]);
}

/// Sends a signed request to a service.
async fn signed_call(aws: &Simulator, keys: &Credentials, service: &str) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;
    use aws_smithy_async::time::TimeSource;
    use aws_smithy_runtime_api::client::http::HttpConnector;

    let identity = keys.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(aws.clock().now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let url = "https://service.local/";
    let signable =
        SignableRequest::new("GET", url, [].into_iter(), SignableBody::Bytes(b"")).unwrap();
    let (signed, _) = sign(signable, &parameters).unwrap().into_parts();
    let mut request = sts_simulator::HttpRequest::get(url).unwrap();
    for (name, value) in signed.headers() {
        request
            .headers_mut()
            .insert(name.to_owned(), value.to_owned());
    }
    let response = aws.call(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{response:?}");
}

#[test]
fn what_is_left_out_is_said_with_file_and_statement() {
    let (_, import) = imported();
    let left_out: Vec<String> = import.left_out().iter().map(ToString::to_string).collect();
    let text = left_out.join("\n");
    for (file, parts) in [
        (
            "222222222222.json",
            &[
                "write of arn:aws:iam::222222222222:role/data/FirehoseWriter, statement 2 (NewKey)",
                "it denies whatever its Condition says",
                "firehose2099:NewKey",
            ][..],
        ),
        (
            "222222222222.json",
            &[
                "role/data/Orphan",
                "no document of arn:aws:iam::222222222222:policy/Missing",
            ],
        ),
        (
            "222222222222.json",
            &[
                "role/data/Orphan, trust policy",
                "names arn:aws:iam::999999999999:role/Elsewhere, which is in no imported account",
            ],
        ),
        (
            "111111111111.json",
            &["account 111111111111: MaxSessionDuration"],
        ),
        (
            "111111111111.json",
            &["access keys, MFA devices and identity providers"],
        ),
    ] {
        let is_said = left_out
            .iter()
            .any(|line| line.contains(file) && parts.iter().all(|part| line.contains(part)));
        assert!(is_said, "{parts:?} in\n{text}");
    }
    assert!(
        !text.contains("account 222222222222: MaxSessionDuration"),
        "{text}"
    );
    assert!(!text.contains("c0ffee"), "external IDs are secrets: {text}");
}

#[tokio::test]
async fn durations_come_from_list_roles() {
    let (aws, _) = imported();
    let sts = aws_sdk_sts::Client::new(&aws.sdk_config(aws.access_key(ORDERS).unwrap()));
    let call = |seconds| {
        let call = sts
            .assume_role()
            .role_arn(WRITER)
            .role_session_name("orders");
        call.external_id("c0ffee").duration_seconds(seconds).send()
    };
    assert!(call(7200).await.is_ok());
    assert!(call(7201).await.is_err());
}

/// A folder with these files; it is empty before.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    for (file, text) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn error(files: &[(&str, &str)]) -> ImportError {
    let name = std::thread::current()
        .name()
        .unwrap_or_default()
        .replace(':', "_");
    Simulator::new().import(folder(&name, files)).unwrap_err()
}

const ROLE: &str = r#"{"Path": "/", "RoleName": "R", "RoleId": "AROA1", "Arn": "arn:aws:iam::222222222222:role/R",
    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}"#;

const ORGANIZATION: &str =
    r#"{"Organization": {"Id": "o-a1b2c3d4e5", "MasterAccountId": "999999999999"}}"#;
const POLICY: &str = r#"{"Policy": {"Content": "{}", "PolicySummary":
    {"Id": "p-deny1234", "Name": "Deny", "Type": "SERVICE_CONTROL_POLICY"}}}"#;

fn details(roles: &str) -> String {
    format!(
        r#"{{"UserDetailList": [], "GroupDetailList": [], "Policies": [], "RoleDetailList": [{roles}]}}"#
    )
}

#[test]
fn a_wrong_file_is_named_with_what_is_wrong() {
    let whole = details(ROLE);
    let truncated = &whole[..whole.len() - 10];
    let other_account = details(&format!(
        "{ROLE}, {}",
        ROLE.replace("222222222222", "333333333333")
    ));
    let incomplete = whole.replace("}]}", r#"}], "NextToken": "abc"}"#);
    let without_id = details(&ROLE.replace("RoleId", "Id"));
    for (files, parts) in [
        (&[][..], &["no file that ends with .json"][..]),
        (&[("a.json", "")], &["a.json", "EOF", "--output json"]),
        (&[("a.json", "Account: 1")], &["a.json", "--output json"]),
        (&[("a.json", "[]")], &["a.json"]),
        (
            &[("a.json", "{}")],
            &["a.json", "get-account-authorization-details", "no member"],
        ),
        (
            &[("a.json", r#"{"Accounts": [], "x": 1}"#)],
            &["a.json", r#"the members "Accounts", "x""#, "list-parents"],
        ),
        (
            &[
                ("a.json", &whole),
                ("o.json", ORGANIZATION),
                ("p.json", POLICY),
            ],
            &[
                "p.json",
                "add p-deny1234.targets.json",
                "list-targets-for-policy --policy-id p-deny1234",
            ],
        ),
        (
            &[
                ("a.json", &whole),
                ("o.json", ORGANIZATION),
                ("p-deny1234.targets.json", r#"{"Targets": []}"#),
            ],
            &[
                "p-deny1234.targets.json",
                "describe-policy --policy-id p-deny1234",
            ],
        ),
        (&[("a.json", truncated)], &["a.json", "EOF", "line 2"]),
        (
            &[("a.json", &details(""))],
            &["a.json", "no user, group, role or policy"],
        ),
        (
            &[("a.json", &other_account)],
            &[
                "a.json",
                "222222222222 and 333333333333",
                "one file is one account",
            ],
        ),
        (
            &[("a.json", &whole), ("b.json", &whole)],
            &["b.json", "222222222222", "a.json"],
        ),
        (
            &[("a.json", &incomplete)],
            &["a.json", "not complete", "--max-items"],
        ),
        (
            &[("a.json", &without_id)],
            &["a.json", "missing field `RoleId`", "line 2 column"],
        ),
        (
            &[("a.json", r#"{"Targets": []}"#)],
            &["a.json", "p-….targets.json"],
        ),
        (
            &[("a.json", r#"{"Parents": []}"#)],
            &["a.json", "111111111111.parents.json"],
        ),
        (
            &[("a.json", r#"{"users": [{"arn": "x", "pollicies": []}]}"#)],
            &["a.json", "unknown field `pollicies`", "line 1 column 35"],
        ),
        (
            &[("a.json", r#"{"roles": [{"arn": "x"}]}"#)],
            &["a.json", "must be arn:<partition>:iam::"],
        ),
    ] {
        let error = error(files).to_string();
        for part in parts {
            assert!(error.contains(part), "{files:?}: {part} is not in: {error}");
        }
    }
    let missing = Simulator::new().import("/none/such").unwrap_err();
    assert_eq!(missing.file(), Path::new("/none/such"));
}

#[test]
fn a_policy_that_cannot_be_read_denies_everything_and_is_said() {
    let files = [("a.json", &*details(ROLE))];
    let aws = Simulator::new();
    let import = aws.import(folder("unreadable", &files)).unwrap();
    let text = import
        .left_out()
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        text.contains("role/R, trust policy: everything is denied, because:"),
        "{text}"
    );
}

#[tokio::test]
async fn a_statement_that_is_not_understood_is_explained_as_it_is_in_the_file() {
    let allow = |sid: &str, condition: &str| {
        format!(
            r#"{{"Sid": "{sid}", "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {{"AWS": "111111111111"}}, "Condition": {condition}}}"#
        )
    };
    let unknown = allow("New", r#"{"StringEquals": {"sts:NewKey": "x"}}"#);
    let condition = |id: &str| format!(r#"{{"StringEquals": {{"sts:ExternalId": "{id}"}}}}"#);
    let known = allow("Known", &condition("c0ffee"));
    let role = |statements: &[&str]| {
        let statements = format!(r#""Statement": [{}]"#, statements.join(","));
        details(&ROLE.replace(r#""Statement": []"#, &statements))
    };
    let arn = "arn:aws:iam::222222222222:role/R";
    let allowed = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let import = |name: &str, statements: &[&str]| {
        let aws = Simulator::new();
        let file = role(statements);
        aws.import(folder(name, &[("a.json", &*file)])).unwrap();
        let user = aws.user("arn:aws:iam::111111111111:user/orders");
        let keys = user.policy(allowed).create().unwrap();
        (aws, keys)
    };
    const REASON: &str =
        "      not understood: the simulator does not know the condition key \"sts:NewKey\"";

    // It allows nothing, which is not the same as a Deny, and the next statement keeps its number.
    let (aws, keys) = import("not_understood", &[&unknown, &known]);
    assert!(assume(&aws, &keys, arn, Some("c0ffee")).await.is_ok());
    assume(&aws, &keys, arn, Some("other")).await.unwrap_err();
    let text = why(&aws);
    let is_said = text.starts_with("refused: sts:AssumeRole\n")
        && text.contains("because the role's trust policy does not allow it:\n")
        && text.contains("    statement 1 \"New\" (Allow) allows nothing here:\n")
        && text.contains(REASON)
        && text.contains("    statement 2 \"Known\" (Allow) does not apply:\n");
    assert!(is_said, "{text}");

    let (aws, keys) = import("not_understood_alone", &[&unknown]);
    assume(&aws, &keys, arn, None).await.unwrap_err();
    let text = why(&aws);
    assert!(text.contains("trust policy does not allow it"), "{text}");
    assert!(
        text.contains("\"New\" (Allow) allows nothing here"),
        "{text}"
    );

    // A Deny denies whatever its condition says.
    let deny = unknown.replace("Allow", "Deny");
    let (aws, keys) = import("not_understood_deny", &[&known, &deny]);
    assume(&aws, &keys, arn, Some("c0ffee")).await.unwrap_err();
    let text = why(&aws);
    let is_said = text.contains("because a statement denies it:\n")
        && text.contains("    statement 2 \"New\" (Deny)\n")
        && text.contains(REASON);
    assert!(is_said, "{text}");
}

#[tokio::test]
async fn a_policy_that_the_export_does_not_have_denies_and_is_named() {
    const POLICY: &str = "arn:aws:iam::222222222222:policy/P";
    let all = r#"{"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "*", "Resource": "*"}}}"#;
    let attached =
        format!(r#""AttachedManagedPolicies": [{{"PolicyName": "P", "PolicyArn": "{POLICY}"}}]"#);
    let boundary = format!(
        r#""PermissionsBoundary": {{"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": "{POLICY}"}}"#
    );
    for (name, member, is, place) in [
        (
            "attached",
            attached,
            "which is attached to it",
            "identity policy arn:aws:iam::222222222222:policy/P\n",
        ),
        (
            "boundary",
            boundary,
            "its permissions boundary",
            "permissions boundary of arn:aws:iam::222222222222:role/R\n",
        ),
    ] {
        let role = ROLE.replace(
            r#""Path": "/","#,
            &format!(r#""Path": "/", "RolePolicyList": [{all}], {member},"#),
        );
        let aws = Simulator::new();
        let file = details(&role);
        let import = aws.import(folder(name, &[("a.json", &*file)])).unwrap();
        let said = import.left_out().iter().any(|left_out| {
            left_out.subject == "arn:aws:iam::222222222222:role/R"
                && left_out
                    .reason
                    .contains(&format!("{POLICY}, {is}: everything is denied"))
        });
        assert!(said, "{:?}", import.left_out());

        let session = aws.role_session("arn:aws:iam::222222222222:role/R", "session");
        let session = session.unwrap();
        assume(&aws, &session, WRITER, None).await.unwrap_err();
        let text = why(&aws);
        let is_said = text.contains("because a statement denies it:\n")
            && text.contains(place)
            && text.contains(&format!(
                "not understood: the export has no document of {POLICY}"
            ));
        assert!(is_said, "{text}");
    }
}

#[tokio::test]
async fn the_simulators_own_json_brings_keys_that_a_test_knows() {
    let setup = r#"{
        "users": [{
            "arn": "arn:aws:iam::111111111111:user/orders",
            "accessKey": {"id": "AKIAIOSFODNN7EXAMPLE", "secret": "secret"},
            "policies": [{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}],
            "mfaDevice": {"serial": "arn:aws:iam::111111111111:mfa/orders", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"},
            "tags": {"team": "red"}
        }],
        "roles": [{
            "arn": "arn:aws:iam::222222222222:role/Writer",
            "trust": {"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"AWS": "arn:aws:iam::111111111111:user/orders"},
                "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}},
            "maxSessionDuration": 7200
        }]
    }"#;
    let aws = Simulator::new();
    aws.import(folder("setup", &[("setup.json", setup)]).join("setup.json"))
        .unwrap();
    let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    assert!(
        assume(&aws, &keys, "arn:aws:iam::222222222222:role/Writer", None)
            .await
            .is_ok()
    );
    assert!(
        aws.mfa_code("arn:aws:iam::111111111111:mfa/orders")
            .is_some()
    );
}
