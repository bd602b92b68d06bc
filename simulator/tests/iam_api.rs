//! IAM's API for a caller with limited permissions.

mod raw;

use aws_credential_types::Credentials;
use sts_simulator::Simulator;

use raw::*;

const ADMIN: &str = "arn:aws:iam::111111111111:user/admin";

/// Calls IAM's API with these parameters.
async fn iam(aws: &Simulator, keys: &Credentials, parameters: &[(&str, &str)]) -> Reply {
    let mut parameters = parameters.to_vec();
    parameters.push(("Version", "2010-05-08"));
    let signer = Signer {
        service: "iam",
        region: "us-east-1",
        ..Signer::new(aws, keys)
    };
    let request = post("https://iam.amazonaws.com/", form(&parameters));
    send(aws, signer.sign(request)).await
}

/// Creates a caller with these statements.
fn admin(aws: &Simulator, statements: &str) -> Credentials {
    let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    aws.user(ADMIN).policy(policy).create().unwrap()
}

#[tokio::test]
async fn who_creates_something_with_tags_must_be_allowed_to_tag_it() {
    const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "111111111111"}}}"#;
    const DOCUMENT: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
    let tags = [
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "red"),
    ];
    for (create, tag, resource, parameters) in [
        (
            "CreateUser",
            "iam:TagUser",
            "user/x",
            vec![("UserName", "x")],
        ),
        (
            "CreateRole",
            "iam:TagRole",
            "role/x",
            vec![("RoleName", "x"), ("AssumeRolePolicyDocument", TRUST)],
        ),
        (
            "CreatePolicy",
            "iam:TagPolicy",
            "policy/x",
            vec![("PolicyName", "x"), ("PolicyDocument", DOCUMENT)],
        ),
    ] {
        let mut parameters = parameters;
        parameters.push(("Action", create));
        let with_tags = [&parameters[..], &tags].concat();
        let only_create =
            format!(r#"{{"Effect": "Allow", "Action": "iam:{create}", "Resource": "*"}}"#);

        let aws = Simulator::new();
        let keys = admin(&aws, &only_create);
        let expected = format!(
            "User: {ADMIN} is not authorized to perform: {tag} on resource: \
             arn:aws:iam::111111111111:{resource} because no identity-based policy allows the {tag} action"
        );
        let reply = iam(&aws, &keys, &with_tags).await;
        assert_refused(create, &reply, 403, "AccessDenied", &expected);
        // The denied call created nothing.
        let reply = iam(&aws, &keys, &parameters).await;
        assert_eq!(reply.status, 200, "{create} without tags: {}", reply.body);

        let aws = Simulator::new();
        let and_tag = format!(
            r#"{only_create}, {{"Effect": "Allow", "Action": "{tag}", "Resource": "*",
                "Condition": {{"StringEquals": {{"aws:RequestTag/team": "red"}}}}}}"#
        );
        let keys = admin(&aws, &and_tag);
        let reply = iam(&aws, &keys, &with_tags).await;
        assert_eq!(reply.status, 200, "{create} with tags: {}", reply.body);
    }
}

#[tokio::test]
async fn a_new_name_of_a_user_must_be_allowed_as_the_old_one() {
    let statement = |resource: &str| {
        format!(
            r#"{{"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::111111111111:user/{resource}"}}"#
        )
    };
    let rename = |name: &'static str, path: &'static str| {
        [
            ("Action", "UpdateUser"),
            ("UserName", "ada"),
            ("NewUserName", name),
            ("NewPath", path),
        ]
    };
    let aws = Simulator::new();
    let keys = admin(&aws, &statement("team/*"));
    aws.user("arn:aws:iam::111111111111:user/team/ada")
        .create()
        .unwrap();
    for (row, name, path, status, code) in [
        (
            "a path that may not be used",
            "ada",
            "/admins/",
            403,
            "AccessDenied",
        ),
        ("no path", "ada", "team", 400, "ValidationError"),
        ("no name", "a b", "/team/", 400, "ValidationError"),
        ("a name and a path that may", "eve", "/team/", 200, ""),
    ] {
        let reply = iam(&aws, &keys, &rename(name, path)).await;
        assert_eq!(
            (reply.status, reply.element("Code")),
            (status, code),
            "{row}: {}",
            reply.body
        );
    }
    let rename = [
        ("Action", "UpdateUser"),
        ("UserName", "eve"),
        ("NewUserName", "Eve"),
    ];
    let reply = iam(&aws, &keys, &rename).await;
    assert_eq!(reply.status, 200, "the path stays: {}", reply.body);
    let get = [("Action", "GetUser"), ("UserName", "Eve")];
    let arn = "arn:aws:iam::111111111111:user/team/Eve";
    assert_eq!(iam(&aws, &keys, &get).await.element("Arn"), arn);
}

#[tokio::test]
async fn the_keys_of_boundaries_and_policies_are_those_of_some_actions_only() {
    const POLICY: &str = "arn:aws:iam::111111111111:policy/x";
    const DOCUMENT: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    for parameters in [
        vec![
            ("Action", "CreatePolicy"),
            ("PolicyName", "x"),
            ("PolicyDocument", DOCUMENT),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "red"),
        ],
        vec![
            ("Action", "CreateUser"),
            ("UserName", "ada"),
            ("PermissionsBoundary", POLICY),
        ],
    ] {
        let reply = iam(&aws, &root, &parameters).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let condition = |operator: &str, key: &str, value: &str| {
        let condition = format!(r#"{{"{operator}": {{"{key}": "{value}"}}}}"#);
        format!(
            r#"{{"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Condition": {condition}}}"#
        )
    };
    let bounded = condition("StringEquals", "iam:PermissionsBoundary", POLICY);
    let attached = condition("ArnEquals", "iam:PolicyARN", POLICY);
    let tagged = condition("StringEquals", "aws:ResourceTag/team", "red");
    let user = ("UserName", "ada");
    for (row, statement, parameters, status) in [
        (
            "an action that has the boundary's key",
            &bounded,
            vec![("Action", "AttachUserPolicy"), user, ("PolicyArn", POLICY)],
            200,
        ),
        (
            "an action that does not",
            &bounded,
            vec![("Action", "TagUser"), user],
            403,
        ),
        (
            "another one",
            &bounded,
            vec![("Action", "CreateAccessKey"), user],
            403,
        ),
        (
            "an action that has the policy's key",
            &attached,
            vec![("Action", "DetachUserPolicy"), user, ("PolicyArn", POLICY)],
            200,
        ),
        (
            "an action on the policy itself",
            &attached,
            vec![("Action", "GetPolicy"), ("PolicyArn", POLICY)],
            403,
        ),
        (
            "the tags of a policy",
            &tagged,
            vec![("Action", "GetPolicy"), ("PolicyArn", POLICY)],
            200,
        ),
    ] {
        let keys = admin(&aws, statement);
        let reply = iam(&aws, &keys, &parameters).await;
        assert_eq!(reply.status, status, "{row}: {}", reply.body);
    }
}
