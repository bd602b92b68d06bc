//! Every operator, in every form, with a key that is absent, empty, or has one or several values.

use super::super::{Outcome, Policies, Request, Requester, authorize};
use super::*;

/// Returns the outcome of a policy with a condition.
fn decide(effect: &str, version: &str, condition: &str, context: &Context) -> Outcome {
    let json = format!(
        r#"{{"Version": "{version}", "Statement": [
            {{"Effect": "{effect}", "Action": "s3:GetObject", "Resource": "*", "Condition": {condition}}}]}}"#
    );
    let policy =
        read(PolicyKind::Identity, &json).unwrap_or_else(|error| panic!("{condition}: {error}"));
    let everything = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let everything = read(PolicyKind::Identity, everything).unwrap();
    let mut identity = vec![&policy];
    // A policy that only denies needs another one that allows.
    if effect == "Deny" {
        identity.push(&everything);
    }
    let policies = Policies {
        identity,
        ..Policies::default()
    };
    let requester = Requester::User {
        id: "ada".to_owned(),
        account: "111111111111".to_owned(),
    };
    let request = Request {
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/x",
        requester: &requester,
        context,
    };
    authorize(&policies, request, true, "ada").outcome()
}

/// Whether a condition is met. The policies with Allow and with Deny must agree.
fn is_true(condition: &str, context: &Context) -> bool {
    is_true_in("2012-10-17", condition, context)
}

fn is_true_in(version: &str, condition: &str, context: &Context) -> bool {
    let allow = decide("Allow", version, condition, context);
    let deny = decide("Deny", version, condition, context);
    match (allow, deny) {
        (Outcome::Allowed, Outcome::ExplicitDeny) => true,
        (Outcome::ImplicitDeny, Outcome::Allowed) => false,
        other => panic!("{condition}: {other:?}"),
    }
}

/// An operator with a policy value, and request values that match it or do not.
struct Case {
    operator: &'static str,
    policy: &'static str,
    matching: [&'static str; 2],
    other: [&'static str; 2],
}

const fn case(
    operator: &'static str,
    policy: &'static str,
    matching: [&'static str; 2],
    other: [&'static str; 2],
) -> Case {
    Case {
        operator,
        policy,
        matching,
        other,
    }
}

const POSITIVE: &[Case] = &[
    case("StringEquals", "red*", ["red*", "red*"], ["red", "RED*"]),
    case(
        "StringEqualsIgnoreCase",
        "Red",
        ["rED", "red"],
        ["re", "redd"],
    ),
    case("StringLike", "r?d*", ["red", "rid/x:y"], ["rd", "Red"]),
    case(
        "ArnEquals",
        "arn:aws:iam::1:role/*",
        ["arn:aws:iam::1:role/a", "arn:aws:iam::1:role/a:b"],
        ["arn:aws:iam::2:role/a", "arn:aws:iam::1:user/a"],
    ),
    case(
        "ArnLike",
        "arn:*:iam::?:role/*",
        ["arn:aws-cn:iam::1:role/a", "arn:aws:iam::2:role/"],
        ["arn:aws:iam::11:role/a", "role/a"],
    ),
    case("Bool", "true", ["true", "TRUE"], ["false", "1"]),
    case("NumericEquals", "10", ["10", "10.0"], ["9", "ten"]),
    case("NumericLessThan", "10", ["9", "-11"], ["10", "11"]),
    case(
        "NumericLessThanEquals",
        "10",
        ["10", "9.99"],
        ["10.01", "x"],
    ),
    case("NumericGreaterThan", "9", ["10", "9.1"], ["9", "-10"]),
    case("NumericGreaterThanEquals", "10", ["10", "11"], ["9", "x"]),
    case(
        "DateEquals",
        "2026-01-01",
        ["2026-01-01T00:00:00Z", "1767225600"],
        ["2026-01-01T00:00:01Z", "x"],
    ),
    case(
        "DateLessThan",
        "2026-01-01T00:00Z",
        ["2025-12-31T23:59:59Z", "0"],
        ["2026-01-01T00:00:00Z", "x"],
    ),
    case(
        "DateLessThanEquals",
        "1767225600",
        ["2026-01-01T00:00:00Z", "2025-01-01"],
        ["2026-01-01T00:00:01Z", "x"],
    ),
    case(
        "DateGreaterThan",
        "2026-01",
        ["2026-01-01T00:00:01Z", "2026-02-01"],
        ["2026-01-01T00:00:00Z", "x"],
    ),
    case(
        "DateGreaterThanEquals",
        "2026-01-01T01:00:00+01:00",
        ["2026-01-01T00:00:00Z", "2026-01-02"],
        ["2025-12-31T23:59:59Z", "x"],
    ),
    case(
        "IpAddress",
        "10.0.0.0/8",
        ["10.1.2.3", "10.255.255.255"],
        ["11.0.0.0", "::1"],
    ),
    case("BinaryEquals", "AAE=", ["AAE=", "AAE="], ["AAI=", "!"]),
];

/// Like `POSITIVE`; `matching` are the values that the operator without its negation matches.
const NEGATED: &[Case] = &[
    case("StringNotEquals", "red", ["red", "red"], ["Red", "re"]),
    case(
        "StringNotEqualsIgnoreCase",
        "Red",
        ["rED", "RED"],
        ["re", "green"],
    ),
    case("StringNotLike", "r?d*", ["red", "rid/x"], ["rd", "Red"]),
    case(
        "ArnNotEquals",
        "arn:aws:iam::1:role/*",
        ["arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"],
        ["arn:aws:iam::2:role/a", "role/a"],
    ),
    case(
        "ArnNotLike",
        "arn:aws:iam::1:role/?",
        ["arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"],
        ["arn:aws:iam::1:role/ab", "role/a"],
    ),
    case("NumericNotEquals", "10", ["10", "10.00"], ["9", "x"]),
    case(
        "DateNotEquals",
        "2026-01-01",
        ["2026-01-01T00:00:00Z", "1767225600"],
        ["2026-01-02", "x"],
    ),
    case(
        "NotIpAddress",
        "10.0.0.0/8",
        ["10.1.2.3", "10.0.0.0"],
        ["11.0.0.0", "x"],
    ),
];

/// The forms of an operator, in the order of the columns below.
const FORMS: [(&str, &str); 6] = [
    ("", ""),
    ("", "IfExists"),
    ("ForAllValues:", ""),
    ("ForAllValues:", "IfExists"),
    ("ForAnyValue:", ""),
    ("ForAnyValue:", "IfExists"),
];

/// The values of the key in the request.
#[derive(Clone, Copy, Debug)]
enum Key {
    Missing,
    Empty,
    Matching,
    Other,
    AllMatching,
    Mixed,
    NoneMatching,
}

#[test]
fn every_operator_in_every_form_with_no_one_and_many_values_for_allow_and_deny() {
    const T: bool = true;
    const F: bool = false;
    // The columns are in the order of FORMS.
    let positive = [
        (Key::Missing, [F, T, T, T, F, T]),
        (Key::Empty, [F, T, T, T, F, T]),
        (Key::Matching, [T, T, T, T, T, T]),
        (Key::Other, [F, F, F, F, F, F]),
        (Key::AllMatching, [T, T, T, T, T, T]),
        (Key::Mixed, [T, T, F, F, T, T]),
        (Key::NoneMatching, [F, F, F, F, F, F]),
    ];
    let negated = [
        (Key::Missing, [T, T, T, T, F, T]),
        (Key::Empty, [T, T, T, T, F, T]),
        (Key::Matching, [F, F, F, F, F, F]),
        (Key::Other, [T, T, T, T, T, T]),
        (Key::AllMatching, [F, F, F, F, F, F]),
        (Key::Mixed, [F, F, F, F, T, T]),
        (Key::NoneMatching, [T, T, T, T, T, T]),
    ];
    for (cases, table) in [(POSITIVE, positive), (NEGATED, negated)] {
        for case in cases {
            for (key, expected) in table {
                for ((quantifier, if_exists), expected) in FORMS.into_iter().zip(expected) {
                    let values: Option<Vec<&str>> = match key {
                        Key::Missing => None,
                        Key::Empty => Some(vec![]),
                        Key::Matching => Some(vec![case.matching[0]]),
                        Key::Other => Some(vec![case.other[0]]),
                        Key::AllMatching => Some(case.matching.to_vec()),
                        Key::Mixed => Some(vec![case.other[1], case.matching[1]]),
                        Key::NoneMatching => Some(case.other.to_vec()),
                    };
                    let context = match &values {
                        Some(values) => context(&[("test:key", values)]),
                        None => Context::default(),
                    };
                    let Case {
                        operator, policy, ..
                    } = case;
                    let condition = format!(
                        r#"{{"{quantifier}{operator}{if_exists}": {{"Test:Key": "{policy}"}}}}"#
                    );
                    assert_eq!(
                        is_true(&condition, &context),
                        expected,
                        "{condition} {values:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_empty_text_is_no_value_to_the_operators_for_sets() {
    let empty = context(&[("test:key", &[""])]);
    for (condition, expected) in [
        (r#"{"StringEquals": {"test:key": "a"}}"#, false),
        (r#"{"StringEquals": {"test:key": ""}}"#, true),
        (r#"{"StringNotEquals": {"test:key": "a"}}"#, true),
        (r#"{"ForAllValues:StringEquals": {"test:key": "a"}}"#, true),
        (
            r#"{"ForAllValues:StringNotEquals": {"test:key": ""}}"#,
            true,
        ),
        (r#"{"ForAnyValue:StringEquals": {"test:key": ""}}"#, false),
        (
            r#"{"ForAnyValue:StringNotEquals": {"test:key": "a"}}"#,
            false,
        ),
        (r#"{"Null": {"test:key": "true"}}"#, false),
    ] {
        assert_eq!(is_true(condition, &empty), expected, "{condition}");
    }
}

#[test]
fn null_asks_whether_the_key_is_there() {
    let present = context(&[("test:key", &["x"])]);
    for (value, absent, there) in [
        (r#""true""#, true, false),
        (r#""false""#, false, true),
        ("true", true, false),
        (r#""FALSE""#, false, true),
        (r#"["true", "false"]"#, true, true),
    ] {
        let condition = format!(r#"{{"Null": {{"test:key": {value}}}}}"#);
        assert_eq!(
            is_true(&condition, &Context::default()),
            absent,
            "{condition}"
        );
        let empty = context(&[("test:key", &[])]);
        assert_eq!(is_true(&condition, &empty), absent, "{condition} empty");
        assert_eq!(is_true(&condition, &present), there, "{condition}");
    }
}

#[test]
fn several_values_keys_and_operators_combine_as_documented() {
    let context = context(&[
        ("aws:username", &["ada"]),
        ("aws:TagKeys", &["Team", "Cost"]),
        ("aws:SourceIp", &["2001:db8::1"]),
    ]);
    for (name, condition, expected) in [
        (
            "values of one key: or",
            r#"{"StringEquals": {"aws:username": ["bob", "ada"]}}"#,
            true,
        ),
        (
            "values of a negated operator: nor",
            r#"{"StringNotEquals": {"aws:username": ["bob", "ada"]}}"#,
            false,
        ),
        (
            "keys of one operator: and",
            r#"{"StringEquals": {"aws:username": "ada", "aws:userid": "x"}}"#,
            false,
        ),
        (
            "operators: and",
            r#"{"StringEquals": {"aws:username": "ada"}, "Null": {"aws:userid": "false"}}"#,
            false,
        ),
        (
            "operators: and, both true",
            r#"{"StringEquals": {"aws:username": "ada"}, "Null": {"aws:userid": "true"}}"#,
            true,
        ),
        ("no condition", "{}", true),
        ("an operator without keys", r#"{"StringEquals": {}}"#, true),
        (
            "every key of the request is among those of the policy",
            r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Cost", "x"]}}"#,
            true,
        ),
        (
            "one key of the request is not",
            r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "cost"]}}"#,
            false,
        ),
        (
            "IPv6",
            r#"{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}"#,
            true,
        ),
        (
            "an address is a range of one",
            r#"{"NotIpAddress": {"aws:SourceIp": "2001:db8::2"}}"#,
            true,
        ),
        (
            "numbers and Boolean values of JSON are text",
            r#"{"StringEquals": {"aws:username": [1, true, "ada"]}}"#,
            true,
        ),
    ] {
        assert_eq!(
            is_true(condition, &context),
            expected,
            "{name}: {condition}"
        );
    }
}

#[test]
fn variables_have_the_values_of_the_request_and_no_wildcards() {
    let context = context(&[
        ("aws:username", &["Ada*"]),
        ("aws:PrincipalAccount", &["111111111111"]),
        (
            "aws:PrincipalArn",
            &["arn:aws:iam::111111111111:user/caller"],
        ),
        ("aws:userid", &["AROA:session"]),
        ("aws:TagKeys", &["a", "b"]),
        ("test:key", &["ada*"]),
        ("sts:RoleSessionName", &["ada"]),
        ("aws:RequestTag/Dollar", &["${aws:username}"]),
        ("aws:RequestTag/Star", &["*?$"]),
        ("aws:RequestTag/Pair", &["AROA:session/x"]),
        ("aws:RequestTag/Arn", &["arn:aws:s3:::b/AROA:session"]),
    ]);
    for (condition, expected) in [
        (
            r#"{"StringEquals": {"aws:username": "${aws:username}"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${AWS:USERNAME}"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"test:key": "${aws:username}"}}"#,
            false,
        ),
        // The value of a variable is compared case-insensitively, too.
        (
            r#"{"StringEqualsIgnoreCase": {"test:key": "${aws:username}"}}"#,
            true,
        ),
        (
            r#"{"StringNotEqualsIgnoreCase": {"test:key": "${aws:username}"}}"#,
            false,
        ),
        // A `*` in the value of a variable is not a wildcard.
        (
            r#"{"StringLike": {"sts:RoleSessionName": "${aws:username}"}}"#,
            false,
        ),
        (r#"{"StringLike": {"aws:username": "A${*}"}}"#, false),
        (r#"{"StringLike": {"aws:username": "Ada${*}"}}"#, true),
        (
            r#"{"StringEquals": {"aws:RequestTag/Star": "${*}${?}${$}"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:RequestTag/Dollar": "${$}{aws:username}"}}"#,
            true,
        ),
        // A variable in an ARN, and a variable whose value contains a colon.
        (
            r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::${aws:PrincipalAccount}:user/caller"}}"#,
            true,
        ),
        (
            r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::${aws:PrincipalAccount}:user/caller"}}"#,
            false,
        ),
        (
            r#"{"ArnEquals": {"aws:PrincipalArn": "${aws:PrincipalArn}"}}"#,
            true,
        ),
        (
            r#"{"ArnLike": {"aws:RequestTag/Arn": "arn:aws:s3:::b/${aws:userid}"}}"#,
            true,
        ),
        (
            r#"{"ArnLike": {"aws:RequestTag/Arn": "arn:aws:s3:*:*:b/*:session"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:RequestTag/Pair": "${aws:userid}/x"}}"#,
            true,
        ),
        // A variable without a value matches nothing, so a negated operator is true.
        (
            r#"{"StringEquals": {"aws:username": "${aws:SourceIdentity}"}}"#,
            false,
        ),
        (
            r#"{"StringLike": {"aws:username": "*${aws:SourceIdentity}"}}"#,
            false,
        ),
        (
            r#"{"StringNotEquals": {"aws:username": "${aws:SourceIdentity}"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:SourceIdentity, 'Ada*'}"}}"#,
            true,
        ),
        (
            r#"{"StringLike": {"sts:RoleSessionName": "${aws:SourceIdentity, 'a*'}"}}"#,
            false,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:username,'x'}"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:SourceIdentity, ''}Ada*"}}"#,
            true,
        ),
        // A multivalued key cannot be used as a variable.
        (r#"{"StringEquals": {"test:key": "${aws:TagKeys}"}}"#, false),
        // A single dollar sign is literal text.
        (r#"{"StringLike": {"aws:RequestTag/Dollar": "$*{*"}}"#, true),
    ] {
        assert_eq!(is_true(condition, &context), expected, "{condition}");
    }
    // Version 2008-10-17 has no variables.
    let condition = r#"{"StringEquals": {"aws:username": "${aws:username}"}}"#;
    assert!(!is_true_in("2008-10-17", condition, &context));
    let condition = r#"{"StringEquals": {"aws:RequestTag/Dollar": "${aws:username}"}}"#;
    assert!(is_true_in("2008-10-17", condition, &context));
}

#[test]
fn a_condition_on_what_the_test_has_not_said_decides_nothing() {
    let mut open = context(&[("aws:username", &["ada"])]);
    open.leave_open("s3");
    let unknown = r#"{"StringEquals": {"s3:prefix": "home/"}}"#;
    let absent = r#"{"StringEquals": {"kms:ViaService": "x"}}"#;
    for (name, effect, condition, expected) in [
        (
            "a key of the service",
            "Allow",
            unknown.to_owned(),
            Outcome::Undecided,
        ),
        (
            "a key of the service",
            "Deny",
            unknown.to_owned(),
            Outcome::Undecided,
        ),
        (
            "whether it is there",
            "Deny",
            r#"{"Null": {"s3:prefix": "true"}}"#.to_owned(),
            Outcome::Undecided,
        ),
        (
            "IfExists",
            "Allow",
            unknown.replace("Equals", "EqualsIfExists"),
            Outcome::Undecided,
        ),
        (
            "tags of the resource",
            "Allow",
            r#"{"StringEquals": {"aws:ResourceTag/x": "y"}}"#.to_owned(),
            Outcome::Undecided,
        ),
        (
            "a variable",
            "Allow",
            r#"{"StringEquals": {"aws:username": "${s3:prefix}"}}"#.to_owned(),
            Outcome::Undecided,
        ),
        // Another condition is false, whatever the value of the unknown key.
        (
            "and something false",
            "Allow",
            r#"{"StringEquals": {"s3:prefix": "home/", "aws:username": "bob"}}"#.to_owned(),
            Outcome::ImplicitDeny,
        ),
        // Another value matches, whatever the value of the variable.
        (
            "or something true",
            "Allow",
            r#"{"StringEquals": {"aws:username": ["${s3:prefix}", "ada"]}}"#.to_owned(),
            Outcome::Allowed,
        ),
        (
            "a key of another service",
            "Allow",
            absent.to_owned(),
            Outcome::ImplicitDeny,
        ),
        (
            "a key of another service",
            "Deny",
            absent.to_owned(),
            Outcome::Allowed,
        ),
        (
            "a key of callers",
            "Allow",
            r#"{"StringEquals": {"aws:userid": "x"}}"#.to_owned(),
            Outcome::ImplicitDeny,
        ),
    ] {
        let outcome = decide(effect, "2012-10-17", &condition, &open);
        assert_eq!(outcome, expected, "{name}: {effect} {condition}");
    }
    // A key that the test has declared is no longer unknown.
    open.set("s3:prefix", "home/");
    assert_eq!(
        decide("Allow", "2012-10-17", unknown, &open),
        Outcome::Allowed
    );
    open.set_all("s3:prefix", Vec::new());
    assert_eq!(
        decide("Allow", "2012-10-17", unknown, &open),
        Outcome::ImplicitDeny
    );
}

#[test]
fn a_text_is_itself_whatever_its_case_and_alphabet() {
    // Σ has a second lower-case form at the end of a word, and the lower case of İ is two characters.
    for (in_policy, in_request) in [
        ("ΟΔΟΣ", "ΟΔΟΣ"),
        ("ΟΔΟΣ", "οδος"),
        ("İzmir", "İZMIR"),
        ("Straße", "STRAßE"),
    ] {
        let context = context(&[("test:key", &[in_request])]);
        let condition = format!(r#"{{"StringEqualsIgnoreCase": {{"test:key": "{in_policy}"}}}}"#);
        assert!(is_true(&condition, &context), "{condition} {in_request}");
        let negated = condition.replace("StringEquals", "StringNotEquals");
        assert!(!is_true(&negated, &context), "{negated} {in_request}");
    }
}
