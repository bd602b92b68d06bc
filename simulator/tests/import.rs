//! Imports of real accounts: the files in `tests/accounts`, and invalid files.

mod raw;

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

/// Assumes a role; returns STS's error code if that fails.
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

/// Returns the explanation of the last decision.
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

    // Allowed by the default version of the group's managed policy, and by the percent-encoded trust policy.
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

    // The hub's own policies allow it, but the role does not trust the hub.
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

    // The role trusts the stranger, but the resource control policy denies.
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
                "the statement denies regardless of its Condition: ",
                "firehose2099:NewKey",
            ][..],
        ),
        (
            "222222222222.json",
            &[
                "role/data/Orphan",
                "does not contain the document of arn:aws:iam::222222222222:policy/Missing",
            ],
        ),
        (
            "222222222222.json",
            &[
                "role/data/Orphan, trust policy",
                "names arn:aws:iam::999999999999:role/Elsewhere, which is in no imported account; it matches nobody \
                 until the test creates arn:aws:iam::999999999999:role/Elsewhere",
            ],
        ),
        (
            "111111111111.json",
            &[
                "account 111111111111: MaxSessionDuration: the export does not contain it; roles that are in no \
                 imported output of list-roles have the default of one hour",
            ],
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

/// Returns a folder with these files only.
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
        (&[][..], &["no file whose name ends with .json"][..]),
        (&[("a.json", "")], &["a.json", "EOF", "--output json"]),
        (&[("a.json", "Account: 1")], &["a.json", "--output json"]),
        (&[("a.json", "[]")], &["a.json"]),
        (
            &[("a.json", "{}")],
            &["a.json", "get-account-authorization-details", "no members,"],
        ),
        (
            &[("a.json", r#"{"Accounts": [], "x": 1}"#)],
            &["a.json", r#"the members "Accounts", "x""#, "list-parents"],
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
                "each file must describe a single account",
            ],
        ),
        (
            &[("a.json", &whole), ("b.json", &whole)],
            &[
                "b.json: the account 222222222222 is also in ",
                "a.json: each account must be in a single file",
            ],
        ),
        (
            &[("a.json", &incomplete)],
            &["a.json", "incomplete", "--max-items"],
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
        (
            &[(
                "a.json",
                r#"{"roles": [{"arn": "arn:aws:iam::222222222222:role/R", "maxSessionDuration": 60}]}"#,
            )],
            &["a.json", "maxSessionDuration", "from 3600 to 43200"],
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
        text.contains("role/R, trust policy: everything is denied: "),
        "{text}"
    );
}

#[tokio::test]
async fn of_a_policy_that_cannot_be_read_whole_the_rest_remains() {
    let known = r#"{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}"#;
    let new = r#""Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:NewKey": "true"}}"#;
    let allows = format!(r#"{{"Effect": "Allow", {new}}}"#);
    let denies = format!(r#"{{"Effect": "Deny", {new}}}"#);
    let unreadable = r#"{"Effect": "Deny", "Action": 1, "Resource": "*"}"#;
    for (statements, is_allowed) in [
        (vec![known, &allows], true),
        (vec![&allows], false),
        (vec![known, &denies], false),
        (vec![known, unreadable], false),
        // Each statement is valid by itself, but not both together.
        (
            vec![r#"{"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"}"#; 2],
            false,
        ),
    ] {
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
            statements.join(", ")
        );
        let details = format!(
            r#"{{"UserDetailList": [{{"Arn": "arn:aws:iam::111111111111:user/orders", "UserId": "AIDAORDERS",
                "UserPolicyList": [{{"PolicyName": "p", "PolicyDocument": {document}}}]}}],
              "GroupDetailList": [], "RoleDetailList": [], "Policies": []}}"#
        );
        let aws = Simulator::new();
        let files = [("a.json", &*details)];
        let import = aws.import(folder("partly-read", &files)).unwrap();
        let role = "arn:aws:iam::111111111111:role/Writer";
        aws.role(role).create().unwrap();
        let keys = aws
            .access_key("arn:aws:iam::111111111111:user/orders")
            .unwrap();
        let answer = assume(&aws, &keys, role, None).await;
        assert_eq!(answer.is_ok(), is_allowed, "{document}: {answer:?}");
        let said = import.left_out().iter().map(ToString::to_string);
        let said = said.collect::<Vec<_>>().join("\n");
        assert!(
            said.contains("p of arn:aws:iam::111111111111:user/orders"),
            "{document}: {said}"
        );
    }
}

/// Converts a response of IAM to the AWS CLI's output.
fn to_json(element: roxmltree::Node<'_, '_>) -> serde_json::Value {
    let name = element.tag_name().name();
    let children: Vec<_> = element
        .children()
        .filter(|child| child.is_element())
        .collect();
    let is_list =
        name.ends_with("List") || ["Tags", "AttachedManagedPolicies", "Policies"].contains(&name);
    match children.first() {
        None if is_list => serde_json::json!([]),
        None => {
            let text = element.text().unwrap_or_default();
            // The AWS CLI decodes policies.
            let is_policy = name.ends_with("Document");
            let decoded = percent_encoding::percent_decode_str(text)
                .decode_utf8()
                .unwrap();
            match is_policy.then(|| serde_json::from_str(&decoded).unwrap()) {
                Some(policy) => policy,
                None if ["true", "false"].contains(&text) => (text == "true").into(),
                None => text.into(),
            }
        }
        Some(_) if is_list => children.into_iter().map(to_json).collect(),
        Some(_) => {
            let members = children.into_iter();
            let members = members.map(|child| (child.tag_name().name().to_owned(), to_json(child)));
            serde_json::Value::Object(members.collect())
        }
    }
}

/// Exports an account with IAM's API, as `aws iam get-account-authorization-details` does.
async fn export(aws: &Simulator, account: &str, query: &str) -> serde_json::Value {
    let root = aws
        .root_user(format!("arn:aws:iam::{account}:root"))
        .unwrap();
    let mut signer = raw::Signer::new(aws, &root);
    (signer.service, signer.region) = ("iam", "us-east-1");
    let form = format!("Action=GetAccountAuthorizationDetails&Version=2010-05-08{query}");
    let request = raw::post("https://iam.amazonaws.com/", form);
    let reply = raw::send(aws, signer.sign(request)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let document = roxmltree::Document::parse(&reply.body).unwrap();
    let result = document
        .descendants()
        .find(|node| node.tag_name().name() == "GetAccountAuthorizationDetailsResult");
    to_json(result.unwrap())
}

#[tokio::test]
async fn an_account_that_a_test_set_up_is_exported_and_imported_as_it_was() {
    // Without the policies of the organization, which would limit root users, too.
    let files = ["111111111111.json", "222222222222.json"].map(|name| {
        let text = fs::read_to_string(Path::new(ACCOUNTS).join(name));
        (name, text.unwrap())
    });
    let files = files.each_ref().map(|(name, text)| (*name, &**text));
    let first = Simulator::new();
    first.import(folder("to-export", &files)).unwrap();
    // Something that is not in the import: a role with a boundary, tags and a trust policy for its own account.
    first
        .role("arn:aws:iam::222222222222:role/team/Bounded")
        .policy(r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#)
        .permissions_boundary(r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}"#)
        .tag("Team", "red + blue")
        .create()
        .unwrap();
    let mut exports = Vec::new();
    for account in ["111111111111", "222222222222"] {
        exports.push(export(&first, account, "").await);
    }
    assert_eq!(exports[1]["IsTruncated"], false);
    let text = exports.iter().map(ToString::to_string).collect::<Vec<_>>();
    let files = [("a.json", &*text[0]), ("b.json", &*text[1])];
    let second = Simulator::new();
    second.import(folder("exported", &files)).unwrap();
    for (account, exported) in ["111111111111", "222222222222"].into_iter().zip(&exports) {
        assert_eq!(&export(&second, account, "").await, exported);
    }
    // The imported account decides like the original.
    let keys = second.access_key(ORDERS).unwrap();
    assert!(assume(&second, &keys, WRITER, Some("c0ffee")).await.is_ok());
    assert!(assume(&second, &keys, WRITER, Some("wrong")).await.is_err());

    // By kind, and in pages that end within a list.
    let lists = |export: &serde_json::Value| {
        [
            "UserDetailList",
            "GroupDetailList",
            "RoleDetailList",
            "Policies",
        ]
        .map(|list| export[list].as_array().unwrap().len())
    };
    let all = lists(&exports[1]);
    let roles = export(&first, "222222222222", "&Filter.member.1=Role").await;
    assert_eq!(lists(&roles), [0, 0, all[2], 0]);
    let (mut pages, mut marker) = (0, String::new());
    let mut counted = [0; 4];
    loop {
        let page = export(&first, "222222222222", &format!("&MaxItems=2{marker}")).await;
        pages += 1;
        for (counted, of_page) in counted.iter_mut().zip(lists(&page)) {
            *counted += of_page;
        }
        if page["IsTruncated"] == false {
            break;
        }
        marker = format!("&Marker={}", page["Marker"].as_str().unwrap());
    }
    assert_eq!(counted, all);
    assert_eq!(pages, all.iter().sum::<usize>().div_ceil(2));
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

    // The statement allows nothing, unlike a Deny, and the next statement keeps its number.
    let (aws, keys) = import("not_understood", &[&unknown, &known]);
    assert!(assume(&aws, &keys, arn, Some("c0ffee")).await.is_ok());
    assume(&aws, &keys, arn, Some("other")).await.unwrap_err();
    let text = why(&aws);
    let is_said = text.starts_with("denied: sts:AssumeRole\n")
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

    // A Deny applies whatever its condition says.
    let deny = unknown.replace("Allow", "Deny");
    let (aws, keys) = import("not_understood_deny", &[&known, &deny]);
    assume(&aws, &keys, arn, Some("c0ffee")).await.unwrap_err();
    let text = why(&aws);
    let is_said = text.contains("because a statement denies it:\n")
        && text.contains("    statement 2 \"New\" (Deny)\n")
        && text.contains(REASON);
    assert!(is_said, "{text}");

    // A statement that is invalid even without its condition is replaced by one that denies everything. A Sid that IAM
    // rejects does not change the numbers either.
    let bad_sid = known.replace("Known", "not known");
    let unreadable = r#"{"Sid": "Odd", "Effect": "Deny", "Action": 1, "Principal": "*"}"#;
    let (aws, keys) = import("not_understood_at_all", &[&bad_sid, &known, unreadable]);
    assume(&aws, &keys, arn, Some("c0ffee")).await.unwrap_err();
    let text = why(&aws);
    let is_said = text.contains("because a statement denies it:\n")
        && text.contains("    statement 3 \"Odd\" (Deny)\n      not understood: ");
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
    for (name, member, kind) in [
        ("attached", attached, "identity policy"),
        ("boundary", boundary, "permissions boundary"),
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
                && left_out.reason.contains(&format!(
                    "everything is denied, because the export does not contain the document of {POLICY}"
                ))
        });
        assert!(said, "{:?}", import.left_out());

        let session = aws.role_session("arn:aws:iam::222222222222:role/R", "session");
        let session = session.unwrap();
        assume(&aws, &session, WRITER, None).await.unwrap_err();
        let text = why(&aws);
        let is_said = text.contains("because a statement denies it:\n")
            && text.contains(&format!(
                "  {kind} {POLICY}, which the export does not contain\n    statement 1 (Deny)\n"
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

/// Whether a caller is allowed something by policies other than resource policies.
async fn may(aws: &Simulator, keys: &Credentials, action: &'static str) -> bool {
    let decided = std::sync::Arc::new(std::sync::Mutex::new(None));
    let decision = decided.clone();
    aws.service("test", move |caller, _| {
        *decision.lock().unwrap() = Some(caller.may(action, "*"));
        sts_simulator::HttpResponse::new(200.try_into().unwrap(), "".into())
    });
    signed_call(aws, keys, "test").await;
    decided.lock().unwrap().unwrap()
}

fn left_out(import: &Import) -> String {
    let lines = import.left_out().iter().map(|line| format!("{line}\n"));
    lines.collect()
}

/// Returns an export of the account 222222222222 that contains a role with these policies.
fn role(inline: &str, attached: &str) -> String {
    details(&format!(
        r#"{{"Path": "/", "RoleName": "R", "RoleId": "AROA1", "Arn": "arn:aws:iam::222222222222:role/R",
            "AssumeRolePolicyDocument": {{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
                "Principal": {{"AWS": "222222222222"}}, "Action": "sts:AssumeRole"}}]}},
            "RolePolicyList": [{inline}], "AttachedManagedPolicies": [{attached}]}}"#
    ))
}

fn inline(name: &str, statements: &str) -> String {
    format!(
        r#"{{"PolicyName": "{name}", "PolicyDocument": {{"Version": "2012-10-17", "Statement": [{statements}]}}}}"#
    )
}

const ALLOW: &str = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;

#[tokio::test]
async fn a_policy_whose_document_is_missing_may_deny_and_so_it_does() {
    let attached = |arn: &str| format!(r#"{{"PolicyName": "X", "PolicyArn": "{arn}"}}"#);
    for (row, arn, is_allowed) in [
        (
            "filtered",
            "arn:aws:iam::222222222222:policy/Quarantine",
            false,
        ),
        (
            "one of AWS's, filtered",
            "arn:aws:iam::aws:policy/AWSDenyAll",
            false,
        ),
        (
            "one of AWS's that the simulator knows",
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            true,
        ),
    ] {
        let text = role(&inline("all", ALLOW), &attached(arn));
        let aws = Simulator::new();
        let folder = folder("missing_document", &[("a.json", &text)]);
        let import = aws.import(folder).unwrap();
        let keys = aws
            .role_session("arn:aws:iam::222222222222:role/R", "session")
            .unwrap();
        assert_eq!(
            may(&aws, &keys, "sqs:SendMessage").await,
            is_allowed,
            "{row}"
        );
        let is_said = left_out(&import).contains(&format!(
            "role/R: everything is denied, because the export does not contain the document of {arn}"
        ));
        assert_eq!(is_said, !is_allowed, "{row}: {}", left_out(&import));
    }
}

#[tokio::test]
async fn a_group_that_is_missing_may_deny_and_so_it_does() {
    let user = |groups: &str| {
        format!(
            r#"{{"UserDetailList": [{{"Path": "/", "UserName": "u", "UserId": "AIDA1",
                "Arn": "arn:aws:iam::222222222222:user/u", "UserPolicyList": [{}], "GroupList": [{groups}]}}],
                "GroupDetailList": [{{"Path": "/", "GroupName": "Known", "GroupId": "AGPA1",
                    "Arn": "arn:aws:iam::222222222222:group/Known"}}],
                "RoleDetailList": [], "Policies": []}}"#,
            inline("all", ALLOW)
        )
    };
    for (groups, is_allowed) in [(r#""known""#, true), (r#""Known", "Contractors""#, false)] {
        let aws = Simulator::new();
        let folder = folder("missing_group", &[("a.json", &user(groups))]);
        let import = aws.import(folder).unwrap();
        let keys = aws.access_key("arn:aws:iam::222222222222:user/u").unwrap();
        assert_eq!(
            may(&aws, &keys, "sqs:SendMessage").await,
            is_allowed,
            "{groups}"
        );
        let is_said = left_out(&import)
            .contains("user/u: everything is denied, because the export does not contain the group Contractors");
        assert_eq!(is_said, !is_allowed, "{}", left_out(&import));
    }
}

#[tokio::test]
async fn a_statement_that_allows_and_is_not_understood_leaves_the_others_as_they_are() {
    let unknown = r#"{"Effect": "Allow", "Action": "sqs:*", "Resource": "*",
        "Condition": {"StringEquals": {"sqs2099:NewKey": "x"}}}"#;
    let queues = r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#;
    let policies = format!("{}, {}", inline("new", unknown), inline("s3", queues));
    let aws = Simulator::new();
    let folder = folder("unknown_allow", &[("a.json", &role(&policies, ""))]);
    let import = aws.import(folder).unwrap();
    let said =
        "new of arn:aws:iam::222222222222:role/R, statement 1: the statement allows nothing: ";
    assert!(left_out(&import).contains(said), "{}", left_out(&import));
    let keys = aws
        .role_session("arn:aws:iam::222222222222:role/R", "session")
        .unwrap();
    assert!(!may(&aws, &keys, "sqs:SendMessage").await);
    assert!(
        may(&aws, &keys, "s3:GetObject").await,
        "{}",
        left_out(&import)
    );
}

#[test]
fn an_organization_that_is_not_complete_is_refused() {
    const DENY: &str = r#"{"Policy": {"PolicySummary": {"Id": "p-deny1234", "Name": "Deny", "Type": "SERVICE_CONTROL_POLICY"},
        "Content": "{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Deny\", \"Action\": \"*\", \"Resource\": \"*\"}}"}}"#;
    const FULL: &str = r#"{"Policy": {"PolicySummary": {"Id": "p-FullAWSAccess", "Name": "FullAWSAccess", "Type": "SERVICE_CONTROL_POLICY"},
        "Content": "{\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\"}}"}}"#;
    const ROOT_AND_ACCOUNT: &str =
        r#"{"Targets": [{"TargetId": "r-ab12"}, {"TargetId": "222222222222"}]}"#;
    const ACCOUNT: &str = r#"{"Targets": [{"TargetId": "222222222222"}]}"#;
    let truncated = ACCOUNT.replace("]}", r#"], "NextToken": "abc"}"#);
    let text = role("", "");
    let complete = [
        ("a.json", text.as_str()),
        (
            "organization.json",
            r#"{"Organization": {"Id": "o-a1b2c3d4e5", "MasterAccountId": "999999999999"}}"#,
        ),
        ("p-FullAWSAccess.json", FULL),
        ("p-FullAWSAccess.targets.json", ROOT_AND_ACCOUNT),
        ("p-deny1234.json", DENY),
        ("p-deny1234.targets.json", ACCOUNT),
        (
            "222222222222.parents.json",
            r#"{"Parents": [{"Id": "r-ab12"}]}"#,
        ),
    ];
    let without = |name: &str| {
        let mut files = complete.to_vec();
        files.retain(|(file, _)| *file != name);
        files
    };
    let with = |name: &'static str, text| {
        let mut files = without(name);
        files.push((name, text));
        files
    };
    let in_a_unit = r#"{"Parents": [{"Id": "ou-ab12-11111111"}]}"#;
    Simulator::new()
        .import(folder("organization_complete", &complete))
        .unwrap();
    for (row, files, parts) in [
        (
            "a policy without its targets",
            without("p-deny1234.targets.json"),
            &[
                "p-deny1234.json",
                "add p-deny1234.targets.json",
                "list-targets-for-policy --policy-id p-deny1234",
            ][..],
        ),
        (
            "targets without their policy",
            without("p-deny1234.json"),
            &[
                "p-deny1234.targets.json",
                "describe-policy --policy-id p-deny1234",
            ],
        ),
        (
            "a part of the targets",
            with("p-deny1234.targets.json", &truncated),
            &["p-deny1234.targets.json", "incomplete"],
        ),
        (
            "the parents of an account that has a policy",
            without("222222222222.parents.json"),
            &[
                "list-parents --child-id 222222222222",
                "222222222222.parents.json",
            ],
        ),
        (
            "the parents of a unit",
            with("222222222222.parents.json", in_a_unit),
            &[
                "list-parents --child-id ou-ab12-11111111",
                "ou-ab12-11111111.parents.json",
            ],
        ),
    ] {
        let error = error(&files).to_string();
        for part in parts {
            assert!(error.contains(part), "{row}: {part} is not in: {error}");
        }
    }
}

#[tokio::test]
async fn a_resource_control_policy_that_cannot_be_read_denies_in_every_service_that_has_such_policies()
 {
    let policy = |id: &str, name: &str, kind: &str, content: &str| {
        let summary =
            format!(r#""PolicySummary": {{"Id": "{id}", "Name": "{name}", "Type": "{kind}"}}"#);
        format!(r#"{{"Policy": {{{summary}, "Content": {content:?}}}}}"#)
    };
    let control = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": "*", "NewElement": 1}}"#;
    let files = [
        ("a.json", role(&inline("all", ALLOW), "")),
        (
            "organization.json",
            r#"{"Organization": {"Id": "o-a1b2c3d4e5", "MasterAccountId": "999999999999"}}"#
                .to_owned(),
        ),
        (
            "222222222222.parents.json",
            r#"{"Parents": [{"Id": "r-ab12"}]}"#.to_owned(),
        ),
        (
            "p-control1.json",
            policy(
                "p-control1",
                "Control",
                "RESOURCE_CONTROL_POLICY",
                &control.replace('\n', " "),
            ),
        ),
        (
            "p-control1.targets.json",
            r#"{"Targets": [{"TargetId": "r-ab12"}]}"#.to_owned(),
        ),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let aws = Simulator::new();
    let import = aws.import(folder("unreadable_control", &files)).unwrap();
    let keys = aws
        .role_session("arn:aws:iam::222222222222:role/R", "session")
        .unwrap();
    assert!(
        !may(&aws, &keys, "s3:GetObject").await,
        "{}",
        left_out(&import)
    );
    assert!(
        left_out(&import).contains("everything is denied"),
        "{}",
        left_out(&import)
    );
}

/// A principal that a trust policy names and no export contains is the one that the test creates, or imports later.
#[tokio::test]
async fn a_test_may_create_the_principals_that_an_export_names() {
    const ADA: &str = "arn:aws:iam::111111111111:user/ada";
    const EVE: &str = "arn:aws:iam::111111111111:user/eve";
    const OPEN: &str = "arn:aws:iam::222222222222:role/Open";
    let statement = |effect: &str, principal: &str| {
        format!(
            r#"{{"Effect": "{effect}", "Principal": {{"AWS": "{principal}"}}, "Action": "sts:AssumeRole"}}"#
        )
    };
    let role = |name: &str, statements: [String; 2]| {
        format!(
            r#"{{"Path": "/", "RoleName": "{name}", "RoleId": "AROA{name}", "Arn": "arn:aws:iam::222222222222:role/{name}",
                "AssumeRolePolicyDocument": {{"Version": "2012-10-17", "Statement": [{}]}}}}"#,
            statements.join(",")
        )
    };
    let roles = [
        // The statements name Ada, and everybody except Eve.
        role(
            "Named",
            [statement("Allow", ADA), statement("Deny", "999999999999")],
        ),
        role(
            "Open",
            [statement("Allow", "111111111111"), statement("Deny", EVE)],
        ),
    ];
    let account = details(&roles.join(","));
    let user = |arn: &str, id: &str| {
        format!(
            r#"{{"arn": "{arn}", "accessKey": {{"id": "{id}", "secret": "secret"}},
                "policies": [{{"Version": "2012-10-17", "Statement": {ALLOW}}}]}}"#
        )
    };
    let setup = format!(
        r#"{{"users": [{}, {}]}}"#,
        user(ADA, "AKIAADAADAADAADA"),
        user(EVE, "AKIAEVEEVEEVEEVE")
    );
    let exported = |name: &str| {
        let allow = inline("all", ALLOW);
        format!(
            r#"{{"Path": "/", "UserName": "{name}", "UserId": "AIDA{name}",
                "Arn": "arn:aws:iam::111111111111:user/{name}", "UserPolicyList": [{allow}]}}"#
        )
    };
    let callers = format!(
        r#"{{"UserDetailList": [{}, {}], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}}"#,
        exported("ada"),
        exported("eve")
    );
    let known = |id: &str| Credentials::new(id, "secret", None, None, "test");
    let everything = format!(r#"{{"Version": "2012-10-17", "Statement": {ALLOW}}}"#);
    for way in ["the own JSON beside it", "a builder", "a later import"] {
        let aws = Simulator::new();
        let (ada, eve) = match way {
            "the own JSON beside it" => {
                let files = [("a.json", account.as_str()), ("setup.json", &setup)];
                aws.import(folder("created_json", &files)).unwrap();
                (known("AKIAADAADAADAADA"), known("AKIAEVEEVEEVEEVE"))
            }
            "a builder" => {
                aws.import(folder("created_builder", &[("a.json", &account)]))
                    .unwrap();
                let create = |arn| aws.user(arn).policy(&*everything).create().unwrap();
                (create(ADA), create(EVE))
            }
            _ => {
                for (name, text) in [("created_first", &account), ("created_second", &callers)] {
                    aws.import(folder(name, &[("a.json", text)])).unwrap();
                }
                (aws.access_key(ADA).unwrap(), aws.access_key(EVE).unwrap())
            }
        };
        let named = "arn:aws:iam::222222222222:role/Named";
        for (keys, role, is_allowed) in [
            (&ada, named, true),
            (&eve, named, false),
            (&ada, OPEN, true),
            (&eve, OPEN, false),
        ] {
            let answer = assume(&aws, keys, role, None).await;
            assert_eq!(
                answer.is_ok(),
                is_allowed,
                "{way}: {keys:?} {role}: {answer:?}"
            );
        }
    }
}
