//! How policies identify the caller of a request.

mod raw;

use aws_credential_types::Credentials;
use sts_simulator::{AccessRequest, Caller, HttpResponse, Outcome, Reason, Simulator};

use raw::*;

const USER: &str = "arn:aws:iam::111111111111:user/team/orders";
const FEDERATED: &str = "arn:aws:sts::111111111111:federated-user/ada";
const OBJECT: &str = "arn:aws:s3:::reports/x";

fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
    )
}

/// Returns the credentials of the federated user `ada`.
async fn federated(aws: &Simulator, keys: &Credentials, policy: Option<&str>) -> Credentials {
    let mut parameters = vec![("Action", "GetFederationToken"), ("Name", "ada")];
    parameters.extend(policy.map(|policy| ("Policy", policy)));
    call(aws, keys, &parameters).await.credentials()
}

/// Adds a service, and returns the result of `question` for the caller of a request to it.
async fn ask<T: Send + 'static>(
    aws: &Simulator,
    keys: &Credentials,
    question: impl Fn(&Caller) -> T + Send + Sync + 'static,
) -> T {
    let (send_answer, mut answers) = tokio::sync::mpsc::unbounded_channel();
    aws.service("s3", move |caller, _| {
        send_answer.send(question(caller)).ok();
        HttpResponse::new(200.try_into().unwrap(), "".into())
    });
    let signer = Signer {
        service: "s3",
        ..Signer::new(aws, keys)
    };
    let get = request("GET", "https://s3.eu-west-1.amazonaws.com/x", &[], "");
    let reply = send(aws, signer.sign(get)).await;
    answers.try_recv().unwrap_or_else(|_| panic!("{reply:?}"))
}

fn outcome(request: AccessRequest) -> Outcome {
    request.complete().explain().unwrap().outcome()
}

#[tokio::test]
async fn the_policy_of_a_resource_may_name_a_federated_user() {
    let everything = allow("*");
    let statement = |effect: &str, principal: &str| {
        format!(
            r#"{{"Effect": "{effect}", "Action": "*", "Resource": "*", "Principal": {{"AWS": "{principal}"}}}}"#
        )
    };
    let eve = FEDERATED.replace("ada", "eve");
    for (row, session_policy, statements, expected) in [
        (
            "named, which is enough",
            None,
            statement("Allow", FEDERATED),
            Outcome::Allowed,
        ),
        (
            "another one is named",
            None,
            statement("Allow", &eve),
            Outcome::ImplicitDeny,
        ),
        (
            "the user is named, and the session may do nothing",
            None,
            statement("Allow", USER),
            Outcome::ImplicitDeny,
        ),
        (
            "the user is named, and the session may do it",
            Some(everything.as_str()),
            statement("Allow", USER),
            Outcome::Allowed,
        ),
        (
            "the account is named, and the user may do nothing",
            Some(&everything),
            statement("Allow", "111111111111"),
            Outcome::ImplicitDeny,
        ),
        (
            "denied by name",
            Some(&everything),
            [statement("Allow", USER), statement("Deny", FEDERATED)].join(","),
            Outcome::ExplicitDeny,
        ),
        (
            "denied by the name of the user",
            Some(&everything),
            [statement("Allow", FEDERATED), statement("Deny", USER)].join(","),
            Outcome::ExplicitDeny,
        ),
        (
            "another one is denied",
            Some(&everything),
            [statement("Allow", USER), statement("Deny", &eve)].join(","),
            Outcome::Allowed,
        ),
    ] {
        let aws = Simulator::new();
        let user = aws.user(USER).policy(allow("sts:GetFederationToken"));
        let keys = federated(&aws, &user.create().unwrap(), session_policy).await;
        let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
        let found = ask(&aws, &keys, move |caller| {
            outcome(
                caller
                    .request("s3:GetObject", OBJECT)
                    .resource_policy(&*policy),
            )
        });
        assert_eq!(found.await, expected, "{row}");
    }
}

#[tokio::test]
async fn the_principal_arn_of_a_federated_user_is_their_own() {
    for (arn, expected) in [(FEDERATED, Outcome::ExplicitDeny), (USER, Outcome::Allowed)] {
        let aws = Simulator::new();
        let deny = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", "Action": "s3:*", "Resource": "*",
                "Condition": {{"ArnEquals": {{"aws:PrincipalArn": "{arn}"}}}}}}}}"#
        );
        let user = aws.user(USER).policy(allow("*")).policy(deny);
        let keys = federated(&aws, &user.create().unwrap(), Some(&allow("*"))).await;
        let found = ask(&aws, &keys, |caller| {
            outcome(caller.request("s3:GetObject", OBJECT))
        });
        assert_eq!(found.await, expected, "{arn}");
    }
}

#[tokio::test]
async fn a_federated_user_of_the_root_user_may_do_what_the_session_policy_says() {
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    for (policy, expected) in [
        (Some(allow("s3:*")), Outcome::Allowed),
        (Some(allow("sqs:*")), Outcome::ImplicitDeny),
        (None, Outcome::ImplicitDeny),
    ] {
        let keys = federated(&aws, &root, policy.as_deref()).await;
        let found = ask(&aws, &keys, |caller| {
            outcome(caller.request("s3:GetObject", OBJECT))
        });
        assert_eq!(found.await, expected, "{policy:?}");
    }
}

#[tokio::test]
async fn what_a_session_may_not_call_is_explained_as_such() {
    let aws = Simulator::new();
    let keys = aws.user(USER).policy(allow("*")).create().unwrap();
    let session = call(&aws, &keys, &[("Action", "GetSessionToken")])
        .await
        .credentials();
    let found = ask(&aws, &session, |caller| {
        caller.request("iam:GetUser", USER).complete().explain()
    });
    let explanation = found.await.unwrap();
    assert_eq!(explanation.outcome(), Outcome::ImplicitDeny);
    assert_eq!(explanation.reason, Reason::KindOfSession);
    assert!(
        explanation.to_string().contains("GetSessionToken"),
        "{explanation}"
    );

    // STS rejects the call, so the explanation must not say that a statement allowed it.
    let role = "arn:aws:iam::111111111111:role/Reader";
    aws.role(role).create().unwrap();
    let keys = federated(&aws, &keys, Some(&allow("*"))).await;
    let parameters = [
        ("Action", "AssumeRole"),
        ("RoleArn", role),
        ("RoleSessionName", "session"),
    ];
    assert_eq!(call(&aws, &keys, &parameters).await.status, 403);
    let calls = aws.calls();
    let why = calls.last().unwrap().decisions().last().unwrap();
    assert!(!why.is_allowed(), "{why}");
    assert_eq!(why.reason, Reason::KindOfSession);

    // IAM does not say why either.
    let mut signer = Signer::new(&aws, &session);
    (signer.service, signer.region) = ("iam", "us-east-1");
    let form = "Action=ListUsers&Version=2010-05-08".to_owned();
    let reply = send(&aws, signer.sign(post("https://iam.amazonaws.com/", form))).await;
    assert!(
        reply.body.contains("InvalidClientTokenId"),
        "{}",
        reply.body
    );
    let refusals = aws.refusals();
    let reasons: Vec<_> = refusals
        .iter()
        .map(|it| (&*it.action, &it.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            ("sts:AssumeRole", &Reason::KindOfSession),
            ("iam:ListUsers", &Reason::KindOfSession)
        ]
    );
}

#[tokio::test]
async fn an_explanation_shows_whom_not_principal_excepts() {
    let aws = Simulator::new();
    let keys = aws.user(USER).policy(allow("*")).create().unwrap();
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", "Action": "*", "Resource": "*",
            "NotPrincipal": {{"AWS": ["111111111111", "{USER}"]}}}}}}"#
    );
    let found = ask(&aws, &keys, move |caller| {
        let request = caller.request("s3:GetObject", OBJECT).complete();
        let request = request.resource_account("222222222222");
        request.resource_policy(&*policy).explain()
    });
    let text = found.await.unwrap().to_string();
    assert!(
        text.contains(&format!(
            "    statement 1 (Deny) exempts the caller:\n      NotPrincipal: 111111111111 | {USER}\n"
        )),
        "{text}"
    );
}

#[tokio::test]
async fn the_policy_of_a_kms_key_must_allow_every_caller() {
    const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let key_policy = |principal: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "kms:*", "Resource": "*",
                "Principal": {{"AWS": "{principal}"}}}}}}"#
        )
    };
    let (account, user, other) = (
        key_policy("111111111111"),
        key_policy(USER),
        key_policy("arn:aws:iam::111111111111:role/Other"),
    );
    for (row, identity, policy, expected) in [
        (
            "nothing is said of the key's policy",
            "kms:*",
            None,
            Outcome::Allowed,
        ),
        (
            "the account is named",
            "kms:*",
            Some(&account),
            Outcome::Allowed,
        ),
        (
            "and the user may not",
            "s3:*",
            Some(&account),
            Outcome::ImplicitDeny,
        ),
        ("the user is named", "s3:*", Some(&user), Outcome::Allowed),
        (
            "somebody else is named",
            "kms:*",
            Some(&other),
            Outcome::ImplicitDeny,
        ),
    ] {
        let aws = Simulator::new();
        let keys = aws.user(USER).policy(allow(identity)).create().unwrap();
        let policy = policy.cloned();
        let found = ask(&aws, &keys, move |caller| {
            let request = caller.request("kms:Decrypt", KEY);
            outcome(match &policy {
                Some(policy) => request.resource_policy(&**policy),
                None => request,
            })
        });
        assert_eq!(found.await, expected, "{row}");
    }
}

/// Calls IAM's API.
async fn iam(aws: &Simulator, keys: &Credentials, query: &str) -> Reply {
    let signer = Signer {
        service: "iam",
        region: "us-east-1",
        ..Signer::new(aws, keys)
    };
    let url = format!("https://iam.amazonaws.com/?Version=2010-05-08&{query}");
    send(aws, signer.sign(request("GET", &url, &[], ""))).await
}

#[tokio::test]
async fn a_user_who_is_created_again_does_not_get_the_sessions_of_the_one_who_was_deleted() {
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    let keys = aws.user(USER).create().unwrap();
    let session = call(&aws, &keys, &[("Action", "GetSessionToken")])
        .await
        .credentials();
    let who = [("Action", "GetCallerIdentity")];
    assert_eq!(call(&aws, &session, &who).await.status, 200);
    let delete_key = format!(
        "Action=DeleteAccessKey&UserName=orders&AccessKeyId={}",
        keys.access_key_id()
    );
    for query in [
        &*delete_key,
        "Action=DeleteUser&UserName=orders",
        "Action=CreateUser&UserName=orders&Path=/team/",
    ] {
        let reply = iam(&aws, &root, query).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    assert_refused(
        "a session of the user of the same name",
        &call(&aws, &session, &who).await,
        403,
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    );
}

#[tokio::test]
async fn sessions_outlive_a_new_name_of_their_user() {
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    let keys = aws.user(USER).policy(allow("*")).create().unwrap();
    let session = call(&aws, &keys, &[("Action", "GetSessionToken")]).await;
    let federated = federated(&aws, &keys, None).await;
    let rename = "Action=UpdateUser&UserName=orders&NewUserName=orders2";
    assert_eq!(iam(&aws, &root, rename).await.status, 200);
    let who = [("Action", "GetCallerIdentity")];
    for (keys, arn) in [
        (
            session.credentials(),
            "arn:aws:iam::111111111111:user/team/orders2",
        ),
        (federated, FEDERATED),
    ] {
        let reply = call(&aws, &keys, &who).await;
        assert_eq!(reply.element("Arn"), arn, "{}", reply.body);
    }
}

#[tokio::test]
async fn of_a_principal_that_does_not_exist_only_rusts_error_says_what_to_do() {
    const NOBODY: &str = "arn:aws:iam::111111111111:user/nobody";
    const ROLE: &str = "arn:aws:iam::111111111111:role/Reader";
    const MESSAGE: &str = "MalformedPolicyDocument: Invalid principal in policy: \"AWS\":";
    let aws = Simulator::new();
    let trust = |name: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {{"AWS": "{name}"}}}}}}"#
        )
    };
    let error = |name: &str| {
        let created = aws.role(ROLE).trust(trust(name)).create();
        created.unwrap_err().to_string()
    };
    assert_eq!(
        error(NOBODY),
        format!(
            "trust policy of {ROLE}: {MESSAGE}\"{NOBODY}\". A policy can only name a user or role that exists: \
             create {NOBODY} first"
        )
    );
    // Names under which no user or role can be created.
    for name in ["me", "arn:aws:iam::111111111111:group/readers"] {
        assert!(error(name).ends_with(&format!("{MESSAGE}\"{name}\"")));
    }
    aws.user(NOBODY).create().unwrap();
    aws.role(ROLE).trust(trust(NOBODY)).create().unwrap();

    let root = aws.root_user("arn:aws:iam::111111111111:root").unwrap();
    let mut signer = Signer::new(&aws, &root);
    (signer.service, signer.region) = ("iam", "us-east-1");
    let document = trust(&NOBODY.replace("nobody", "somebody"));
    let document =
        percent_encoding::utf8_percent_encode(&document, percent_encoding::NON_ALPHANUMERIC);
    let form = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName=Writer&AssumeRolePolicyDocument={document}"
    );
    let reply = send(&aws, signer.sign(post("https://iam.amazonaws.com/", form))).await;
    assert!(reply.body.contains("user/somebody"), "{}", reply.body);
    assert!(!reply.body.contains("first"), "{}", reply.body);
}
