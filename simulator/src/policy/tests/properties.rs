//! Random policies and requests: both implementations of policy evaluation agree, and no text causes a panic or a hang.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::super::{Explanation, Outcome, Policies, Request, Requester, ResourcePolicy, authorize};
use super::oracle::{Answer, Keys, Question};
use super::*;

const ACCOUNT: &str = "111111111111";
const USER: &str = "arn:aws:iam::111111111111:user/ada";
const ROLE: &str = "arn:aws:iam::111111111111:role/Caller";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/Caller/session";
const SECRET: &str = "c0ffee-secret";

const KINDS: [PolicyKind; 7] = [
    PolicyKind::Identity,
    PolicyKind::Boundary,
    PolicyKind::Session,
    PolicyKind::ServiceControl,
    PolicyKind::ResourceControl,
    PolicyKind::Trust,
    PolicyKind::Resource,
];

/// The values of each type, used in policies and in requests.
const TEXT_VALUES: [&str; 8] = [
    "ada",
    "Ada",
    "a*",
    "?da",
    "",
    "${aws:username}",
    "${aws:userid, 'ada'}",
    "${*}d${?}",
];
const ARN_VALUES: [&str; 5] = [
    "arn:aws:iam::111111111111:user/ada",
    "arn:aws:iam::*:user/*",
    "arn:aws:iam::111111111111:role/?aller",
    "arn:*:iam::${aws:PrincipalAccount}:user/${aws:username}",
    "arn:aws:*:role/x:y:z:a",
];
const NUMBERS: [&str; 5] = ["0", "10", "-3", "9.5", "1767225600"];
const DATES: [&str; 4] = [
    "2026-01-01",
    "2025-12-31T23:59:59Z",
    "2026-01-01T00:00:00Z",
    "1767225600",
];
const ADDRESSES: [&str; 4] = ["10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "192.168.1.0/24"];
const FLAGS: [&str; 3] = ["true", "false", "TRUE"];

fn operator() -> impl Strategy<Value = (String, Vec<&'static str>)> {
    let base = prop_oneof![
        (
            select(vec![
                "StringEquals",
                "StringNotEquals",
                "StringEqualsIgnoreCase",
                "StringNotEqualsIgnoreCase",
                "StringLike",
                "StringNotLike",
            ]),
            Just(&TEXT_VALUES[..])
        ),
        (
            select(vec!["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"]),
            Just(&ARN_VALUES[..])
        ),
        (
            select(vec![
                "NumericEquals",
                "NumericNotEquals",
                "NumericLessThan",
                "NumericLessThanEquals",
                "NumericGreaterThan",
                "NumericGreaterThanEquals",
            ]),
            Just(&NUMBERS[..])
        ),
        (
            select(vec![
                "DateEquals",
                "DateNotEquals",
                "DateLessThan",
                "DateLessThanEquals",
                "DateGreaterThan",
                "DateGreaterThanEquals",
            ]),
            Just(&DATES[..])
        ),
        (
            select(vec!["IpAddress", "NotIpAddress"]),
            Just(&ADDRESSES[..])
        ),
        (Just("Bool"), Just(&FLAGS[..])),
    ];
    let set = select(vec!["", "ForAllValues:", "ForAnyValue:"]);
    let compared = (set, base, any::<bool>()).prop_map(|(set, (name, values), if_exists)| {
        let if_exists = if if_exists { "IfExists" } else { "" };
        (format!("{set}{name}{if_exists}"), values)
    });
    let null = Just(("Null".to_owned(), &FLAGS[..2]));
    prop_oneof![9 => compared, 1 => null].prop_flat_map(|(name, values)| {
        let some = subsequence(values.to_vec(), 1..=2);
        (Just(name), some)
    })
}

/// The keys that conditions use. Requests may have values of any type for each.
const KEYS: [&str; 4] = [
    "test:key",
    "aws:username",
    "aws:PrincipalTag/x",
    "aws:SourceIp",
];

fn conditions() -> impl Strategy<Value = Value> {
    let one = (operator(), select(KEYS.to_vec()));
    prop::collection::vec(one, 0..3).prop_map(|conditions| {
        let mut block = serde_json::Map::new();
        for ((operator, values), key) in conditions {
            block.insert(operator, json!({ key: values }));
        }
        Value::Object(block)
    })
}

fn context_keys() -> impl Strategy<Value = Keys> {
    let values = select(vec![
        "ada",
        "ADA",
        "a*",
        "",
        "bob",
        USER,
        ROLE,
        "10",
        "9.5",
        "-3",
        "x",
        "true",
        "False",
        "10.1.2.3",
        "192.168.1.7",
        "2026-01-01T00:00:00Z",
        "2026-01-02",
        "1767225600",
    ]);
    let some = || prop::collection::vec(values.clone().prop_map(str::to_owned), 0..3);
    let account = select(vec![Vec::new(), vec![ACCOUNT.to_owned()]]);
    (some(), some(), some(), some(), account).prop_map(|(a, b, c, d, account)| {
        let values = [a, b, c, d, account];
        let names = KEYS.into_iter().chain(["aws:PrincipalAccount"]);
        names.map(str::to_lowercase).zip(values).collect()
    })
}

fn statement(kind: PolicyKind) -> impl Strategy<Value = Value> {
    let actions = match kind {
        PolicyKind::Trust => vec![
            "sts:AssumeRole",
            "sts:*",
            "STS:assume????",
            "sts:TagSession",
        ],
        _ => vec![
            "sts:AssumeRole",
            "sts:*",
            "sts:Assume*e",
            "s3:*",
            "*",
            "sts:?ssumerole",
        ],
    };
    let resources = vec![
        "*",
        "arn:aws:iam::111111111111:role/Target",
        "arn:aws:iam::*:role/T*",
        "arn:aws:iam::*rget",
        "arn:aws:i*::111111111111:role/?arget",
        "arn:aws:*:role/Target",
        "arn:aws:i*n:role/${test:key}",
        "arn:aws:iam::111111111111:role/${test:key, 'Target'}",
        "arn:aws:s3:::*",
    ];
    let principals = vec![
        json!({"AWS": "*"}),
        json!({"AWS": ACCOUNT}),
        json!({"AWS": USER}),
        json!({"AWS": [ROLE, "222222222222"]}),
        json!({"AWS": SESSION}),
        json!({"AWS": "222222222222"}),
    ];
    let named = vec![ACCOUNT, USER, ROLE, SESSION, "222222222222", "*"];
    let parts = (
        prop::bool::weighted(0.8),
        subsequence(actions, 1..=2),
        prop::bool::weighted(0.2),
        subsequence(resources, 1..=2),
        prop::bool::weighted(0.2),
        select(principals),
        prop::option::weighted(0.5, subsequence(named, 1..=4)),
        conditions(),
    );
    parts.prop_map(
        move |(
            allow,
            actions,
            not_action,
            resources,
            not_resource,
            principal,
            others,
            conditions,
        )| {
            let mut statement = json!({
                "Effect": if allow { "Allow" } else { "Deny" },
                if not_action { "NotAction" } else { "Action" }: actions,
                "Condition": conditions,
            });
            match (kind, others) {
                (PolicyKind::Resource, Some(others)) if !allow => {
                    statement["NotPrincipal"] = json!({"AWS": others});
                }
                (PolicyKind::Resource | PolicyKind::Trust, _) => statement["Principal"] = principal,
                _ => {}
            }
            if kind != PolicyKind::Trust {
                statement[if not_resource {
                    "NotResource"
                } else {
                    "Resource"
                }] = json!(resources);
            }
            statement
        },
    )
}

fn policy(kind: PolicyKind) -> impl Strategy<Value = Value> {
    let version = select(vec!["2012-10-17", "2012-10-17", "2008-10-17"]);
    (version, prop::collection::vec(statement(kind), 1..3))
        .prop_map(|(version, statements)| json!({"Version": version, "Statement": statements}))
}

fn resource_control() -> impl Strategy<Value = Value> {
    conditions().prop_map(|conditions| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*",
            "Action": "sts:*", "Resource": "*", "Condition": conditions}})
    })
}

/// All policies that apply to a request.
#[derive(Clone, Debug)]
struct Documents {
    identity: Vec<Value>,
    boundary: Option<Value>,
    sessions: Vec<Value>,
    service_control: Vec<Vec<Value>>,
    resource_control: Vec<Value>,
    of_resource: Value,
    /// Whether the resource is a role.
    is_trust: bool,
}

fn documents() -> impl Strategy<Value = Documents> {
    let some = |kind, n| prop::collection::vec(policy(kind), 0..n);
    (
        some(PolicyKind::Identity, 3),
        prop::option::weighted(0.3, policy(PolicyKind::Boundary)),
        some(PolicyKind::Session, 2),
        prop::collection::vec(
            prop::collection::vec(policy(PolicyKind::ServiceControl), 1..3),
            0..2,
        ),
        prop::collection::vec(resource_control(), 0..2),
        prop_oneof![
            (policy(PolicyKind::Trust), Just(true)),
            (policy(PolicyKind::Resource), Just(false)),
        ],
    )
        .prop_map(
            |(identity, boundary, sessions, service_control, resource_control, of_resource)| {
                Documents {
                    identity,
                    boundary,
                    sessions,
                    service_control,
                    resource_control,
                    of_resource: of_resource.0,
                    is_trust: of_resource.1,
                }
            },
        )
}

/// Evaluates the request with the simulator.
fn decide(
    documents: &Documents,
    is_session: bool,
    is_same_account: bool,
    context: &Context,
) -> Explanation {
    let resolve = |arn: &str| Some(arn.to_owned());
    let added = HashSet::from(["test:key".to_owned()]);
    let names = Names {
        resolve: &resolve,
        keys: &added,
    };
    let read = |kind, document: &Value| {
        let json = document.to_string();
        Policy::read(kind, "p", &json, names).unwrap_or_else(|error| panic!("{json}: {error}"))
    };
    let all = |kind, documents: &[Value]| -> Vec<Policy> {
        documents
            .iter()
            .map(|document| read(kind, document))
            .collect()
    };
    let identity = all(PolicyKind::Identity, &documents.identity);
    let boundary = documents
        .boundary
        .as_ref()
        .map(|document| read(PolicyKind::Boundary, document));
    let sessions = all(PolicyKind::Session, &documents.sessions);
    let levels = documents.service_control.iter();
    let levels: Vec<Vec<Policy>> = levels
        .map(|level| all(PolicyKind::ServiceControl, level))
        .collect();
    let resource_control = all(PolicyKind::ResourceControl, &documents.resource_control);
    let of_resource = if documents.is_trust {
        read(PolicyKind::Trust, &documents.of_resource)
    } else {
        read(PolicyKind::Resource, &documents.of_resource)
    };
    let account = ACCOUNT.to_owned();
    let requester = if is_session {
        Requester::RoleSession {
            arn: SESSION.to_owned(),
            role_id: ROLE.to_owned(),
            account,
        }
    } else {
        Requester::User {
            id: USER.to_owned(),
            account,
        }
    };
    let policies = Policies {
        resource_control: resource_control.iter().collect(),
        service_control: levels.iter().map(|level| level.iter().collect()).collect(),
        resource: if documents.is_trust {
            ResourcePolicy::Trust(&of_resource)
        } else {
            ResourcePolicy::Policy(&of_resource)
        },
        identity: identity.iter().collect(),
        boundary: boundary.as_ref(),
        session: sessions.iter().collect(),
        needs_session_policy: false,
    };
    let request = Request {
        action: "sts:AssumeRole",
        resource: "arn:aws:iam::111111111111:role/Target",
        requester: &requester,
        context,
    };
    authorize(&policies, request, is_same_account, "caller")
}

fn to_context(keys: &Keys) -> Context {
    let mut context = Context::default();
    for (key, values) in keys {
        context.set_all(key, values.clone());
    }
    context
}

/// Runs 400 cases of each property, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|cases| cases.parse().ok()).unwrap_or(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_evaluators_decide_alike(
        documents in documents(),
        is_session: bool,
        is_same_account: bool,
        keys in context_keys(),
    ) {
        let question = Question {
            action: "sts:AssumeRole",
            resource: "arn:aws:iam::111111111111:role/Target",
            keys: &keys,
            account: ACCOUNT,
            user: (!is_session).then_some(USER),
            role: is_session.then_some(ROLE),
            session: is_session.then_some(SESSION),
            is_same_account,
            identity: &documents.identity,
            boundary: documents.boundary.as_ref(),
            sessions: &documents.sessions,
            service_control: &documents.service_control,
            resource_control: &documents.resource_control,
            of_resource: &documents.of_resource,
            is_trust: documents.is_trust,
        };
        let expected = match question.answer() {
            Answer::Allow => Outcome::Allowed,
            Answer::ExplicitDeny => Outcome::ExplicitDeny,
            Answer::ImplicitDeny => Outcome::ImplicitDeny,
        };
        let explanation = decide(&documents, is_session, is_same_account, &to_context(&keys));
        prop_assert_eq!(explanation.outcome(), expected, "{}", explanation);
    }

    #[test]
    fn what_is_decided_without_a_key_holds_whatever_the_key_is(
        documents in documents(),
        is_session: bool,
        keys in context_keys(),
        others in prop::collection::vec(context_keys(), 4),
    ) {
        let mut open = to_context(&keys.iter().filter(|(key, _)| *key != "test:key")
            .map(|(key, values)| (key.clone(), values.clone())).collect());
        open.leave_open("test");
        let decided = decide(&documents, is_session, true, &open);
        for other in others {
            let mut closed = to_context(&keys);
            closed.set_all("test:key", other["test:key"].clone());
            let certain = decide(&documents, is_session, true, &closed);
            if decided.outcome() != Outcome::Undecided {
                prop_assert_eq!(decided.is_allowed(), certain.is_allowed(), "{}\n{}", decided, certain);
            }
        }
    }

    #[test]
    fn a_statement_more_that_denies_never_allows(
        mut documents in documents(),
        more in statement(PolicyKind::Identity),
        is_session: bool,
        is_same_account: bool,
        keys in context_keys(),
    ) {
        let context = to_context(&keys);
        let before = decide(&documents, is_session, is_same_account, &context);
        let mut denies = more;
        denies["Effect"] = json!("Deny");
        documents.identity.push(json!({"Version": "2012-10-17", "Statement": denies}));
        let after = decide(&documents, is_session, is_same_account, &context);
        prop_assert!(before.is_allowed() || !after.is_allowed(), "{after}");
    }

    #[test]
    fn no_json_makes_it_panic(document in json_like_a_policy()) {
        try_everything(&document.to_string());
    }

    #[test]
    fn no_text_makes_it_panic(
        document in policy(PolicyKind::Trust),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "\\PC{0,3}|[\\[\\]{}:,\"*$?]{1,3}"), 1..4),
    ) {
        let mut text: Vec<char> = document.to_string().chars().collect();
        for (place, replacement) in cuts {
            let place = place.index(text.len());
            let end = (place + replacement.chars().count() / 2).min(text.len());
            text.splice(place..end, replacement.chars());
        }
        try_everything(&text.into_iter().collect::<String>());
    }
}

/// JSON made of words from policies, in any order and at any depth.
fn json_like_a_policy() -> impl Strategy<Value = Value> {
    let word = select(vec![
        "Version",
        "2012-10-17",
        "Statement",
        "Sid",
        "Effect",
        "Allow",
        "Deny",
        "Principal",
        "NotPrincipal",
        "AWS",
        "Federated",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "StringEquals",
        "ForAllValues:StringLike",
        "NumericLessThan",
        "DateLessThan",
        "IpAddress",
        "Null",
        "BinaryEquals",
        "aws:username",
        "sts:ExternalId",
        "sts:AssumeRole",
        "*",
        "sts:*",
        "${aws:username}",
        "${",
        "}",
        "${*}",
        "arn:aws:iam::111111111111:role/x",
        "é",
        "\u{0}",
        ":",
        "",
        "ForAllValues:",
        "IfExists",
        SECRET,
    ]);
    let leaf = prop_oneof![
        8 => word.clone().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => ".{0,8}".prop_map(Value::from),
    ];
    let any_json = leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(word.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    // A valid statement with one wrong element gets further through the parser.
    let broken =
        (statement(PolicyKind::Identity), any_json.clone()).prop_flat_map(|(statement, part)| {
            let names = vec![
                "Effect",
                "Action",
                "Resource",
                "Condition",
                "Principal",
                "Sid",
            ];
            select(names).prop_map(move |name| {
                let mut statement = statement.clone();
                statement[name] = part.clone();
                json!({"Version": "2012-10-17", "Statement": [statement]})
            })
        });
    prop_oneof![any_json, broken]
}

/// Reads a text as a policy of every kind. If that succeeds, evaluates it for a request, and formats the explanation.
fn try_everything(text: &str) {
    for kind in KINDS {
        let Ok(policy) = read(kind, text) else {
            continue;
        };
        let requester = Requester::User {
            id: "ada".to_owned(),
            account: ACCOUNT.to_owned(),
        };
        let mut context = context(&[("sts:ExternalId", &[SECRET]), ("aws:username", &["ada"])]);
        for is_open in [false, true] {
            if is_open {
                context.leave_open("sts");
            }
            let policies = Policies {
                identity: vec![&policy],
                ..Policies::default()
            };
            let request = Request {
                action: "sts:AssumeRole",
                resource: "arn:aws:iam::111111111111:role/Target",
                requester: &requester,
                context: &context,
            };
            let explanation = authorize(&policies, request, true, "caller");
            let _ = (
                explanation.to_string(),
                explanation.with_secrets().to_string(),
            );
        }
    }
}

#[test]
fn many_wildcards_take_no_longer_than_the_lengths_say() {
    let stars = "a*".repeat(500);
    let text = "a".repeat(3000);
    let json = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "s3:{stars}b",
            "Resource": "arn:aws:s3:::{stars}b", "Condition": {{"StringLike": {{"test:key": "{stars}b"}}}}}}}}"#
    );
    let policy = read(PolicyKind::Identity, &json).unwrap();
    let context = context(&[("test:key", &[&text])]);
    let requester = Requester::Root {
        account: ACCOUNT.to_owned(),
    };
    let policies = Policies {
        identity: vec![&policy],
        ..Policies::default()
    };
    let started = Instant::now();
    let (action, resource) = (format!("s3:{text}b"), format!("arn:aws:s3:::{text}b"));
    let request = Request {
        action: &action,
        resource: &resource,
        requester: &requester,
        context: &context,
    };
    authorize(&policies, request, true, "caller");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}
