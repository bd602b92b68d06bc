//! IAM's evaluation order: which policies must allow, which may deny, and which statement decides.

use super::super::{
    Explanation, Mismatch, Outcome, Policies, Reason, Request, Requester, ResourcePolicy, authorize,
};
use super::*;

const ROLE: &str = "arn:aws:iam::111111111111:role/Target";

const ALLOW: &str =
    r#"{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
const OTHER: &str = r#"{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
const DENY: &str = r#"{"Statement": {"Effect": "Deny", "Action": "sts:*", "Resource": "*"}}"#;
const DENY_RCP: &str = r#"{"Version": "2012-10-17", "Statement": {
    "Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*"}}"#;

#[test]
fn policies_decide_in_the_order_that_iam_documents() {
    let lines = include_str!("evaluation.txt").lines();
    let mut rows = 0;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, request, expected] = columns[..] else {
            panic!("{line}");
        };
        assert_eq!(
            outcome(&Row::read(request).decide()),
            expected,
            "{name}: {request}"
        );
        rows += 1;
    }
    assert!(rows > 50, "{rows} rows were read");
}

#[test]
fn the_statement_that_decided_is_named_and_why_others_do_not_apply() {
    const THREE: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "Elsewhere", "Effect": "Allow", "Action": "sts:*", "Resource": "arn:aws:iam::2:role/*"},
        {"Sid": "Never", "Effect": "Deny", "Action": "*", "Resource": "*",
         "Condition": {"Null": {"aws:username": "false"}}},
        {"Effect": "Allow", "NotAction": "s3:*", "NotResource": "arn:aws:iam::2:*"}]}"#;
    let mut row = Row::read("user within trusts:account identity:other");
    row.identity.push(THREE);
    let explanation = row.decide();
    let (policy, statement) = explanation.statement().unwrap();
    assert_eq!((policy.kind, statement.number), (PolicyKind::Identity, 3));
    let others = &policy.statements;
    assert_eq!(others[0].sid.as_deref(), Some("Elsewhere"));
    assert!(matches!(others[0].mismatch, Some(Mismatch::Resource)));
    let Some(Mismatch::Conditions(conditions)) = &others[1].mismatch else {
        panic!("{others:?}");
    };
    assert_eq!(
        (&*conditions[0].operator, &*conditions[0].key),
        ("Null", "aws:username")
    );
    assert!(others[2].mismatch.is_none());
    let of_other = &explanation.policies[1].statements[0];
    assert!(matches!(of_other.mismatch, Some(Mismatch::Action)));
    let untrusted = Row::read("user within trusts:nobody identity:allow").decide();
    let of_trust = &untrusted.policies[0].statements[0];
    assert!(matches!(of_trust.mismatch, Some(Mismatch::Principal)));
}

#[test]
fn a_refusal_that_is_certain_is_not_blamed_on_what_is_unknown() {
    const MAYBE: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*",
        "Resource": "*", "Condition": {"Bool": {"test:key": "true"}}}}"#;
    let mut row = Row::read("user within trusts:account identity:none");
    row.identity.push(MAYBE);
    row.is_open = true;
    assert_eq!(outcome(&row.decide()), "missing Identity");
    row.identity.push(ALLOW);
    let undecided = row.decide();
    assert_eq!(
        undecided.reason,
        Reason::UnknownKeys(vec!["test:key".to_owned()])
    );
    assert_eq!(
        undecided.to_string(),
        "\
cannot be decided: sts:AssumeRole
  by caller
  on arn:aws:iam::111111111111:role/Target
because it depends on condition keys whose presence in the request the test has not
declared:
  test:key
Of these policies:
  identity policy test
    statement 1 (Deny) may apply:
      Bool test:key
        policy:  true
        request: (unknown)
"
    );
}

#[test]
fn no_text_of_a_request_or_a_policy_breaks_the_lines_of_an_explanation() {
    let json = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/a\nb": ["c\u001b[2J", " d", "${aws:PrincipalTag/e\nf}"]}}}}"#;
    let mut policy = read(PolicyKind::Identity, json).unwrap();
    policy.name = "g\nh".to_owned();
    let requester = Requester::User {
        id: "ada".to_owned(),
        account: "111111111111".to_owned(),
    };
    let request = Request {
        action: "i\nj",
        resource: "k\nl",
        requester: &requester,
        context: &context(&[("aws:RequestTag/a\nb", &[""])]),
    };
    let policies = Policies {
        identity: vec![&policy],
        ..Policies::default()
    };
    let text = authorize(&policies, request, true, "m\r\nn").to_string();
    assert_eq!(
        text,
        r#"denied: "i\nj"
  by "m\r\nn"
  on "k\nl"
because no identity policy allows it:
  identity policy "g\nh"
    statement 1 (Allow) does not apply:
      StringEquals "aws:RequestTag/a\nb"
        policy:  "c\u{1b}[2J" | " d" | "${aws:PrincipalTag/e\nf}"
        request: ""
        where ${"aws:PrincipalTag/e\nf"} is (absent)
"#
    );
}

#[test]
fn a_role_that_does_not_exist_is_named_as_the_reason() {
    let mut row = Row::read("user within trusts:account identity:allow");
    row.is_missing = true;
    assert_eq!(row.decide().reason, Reason::NoSuchRole);
    let mut row = Row::read("user within trusts:account identity:deny");
    row.is_missing = true;
    assert_eq!(outcome(&row.decide()), "denied Identity");
}

#[test]
fn actions_and_resources_match_by_wildcard_whatever_the_case_of_an_action() {
    let applies = |statement: &str, action: &str, resource: &str| {
        let json = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", {statement}}}}}"#
        );
        let policy = read(PolicyKind::Identity, &json).unwrap();
        let requester = Requester::Root {
            account: "1".to_owned(),
        };
        let request = Request {
            action,
            resource,
            requester: &requester,
            context: &context(&[("aws:username", &["ada*"])]),
        };
        let policies = Policies {
            identity: vec![&policy],
            ..Policies::default()
        };
        matches!(
            authorize(&policies, request, true, "").reason,
            Reason::Statement { .. }
        )
    };
    for (statement, action, resource, expected) in [
        (
            r#""Action": "firehose:Put*", "Resource": "*""#,
            "firehose:PutRecord",
            "x",
            true,
        ),
        (
            r#""Action": "FIREHOSE:putrecord", "Resource": "*""#,
            "firehose:PutRecord",
            "x",
            true,
        ),
        (
            r#""Action": "firehose:Put", "Resource": "*""#,
            "firehose:PutRecord",
            "x",
            false,
        ),
        (
            r#""Action": "firehose:Put??????", "Resource": "*""#,
            "firehose:PutRecord",
            "x",
            true,
        ),
        (
            r#""Action": ["s3:*", "sts:*"], "Resource": "*""#,
            "sts:AssumeRole",
            "x",
            true,
        ),
        (
            r#""Action": "*", "Resource": "*""#,
            "sts:AssumeRole",
            "x",
            true,
        ),
        (
            r#""NotAction": "iam:*", "Resource": "*""#,
            "sts:AssumeRole",
            "x",
            true,
        ),
        (
            r#""NotAction": ["iam:*", "sts:*"], "Resource": "*""#,
            "sts:AssumeRole",
            "x",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:s3:::a/*""#,
            "s3:x",
            "arn:aws:s3:::a/b/c:d",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:s3:::a/*""#,
            "s3:x",
            "arn:aws:s3:::A/b",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:s3:::a*z""#,
            "s3:x",
            "arn:aws:s3:::ab:cz",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:iam::*:role/x""#,
            "s3:x",
            "arn:aws:iam::1:role/x",
            true,
        ),
        // A `*` at the end of a part also matches beyond the colon; other wildcards do not.
        (
            r#""Action": "*", "Resource": "arn:aws:*""#,
            "s3:x",
            "arn:aws:iam::1:role/x",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:*:role/x""#,
            "s3:x",
            "arn:aws:iam::1:role/x",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:i*m::1:role/x""#,
            "s3:x",
            "arn:aws:iam::1:role/x",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:a*1:role/x""#,
            "s3:x",
            "arn:aws:iam::1:role/x",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:iam:?1:role/x""#,
            "s3:x",
            "arn:aws:iam::1:role/x",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:s3:::${aws:username}/*""#,
            "s3:x",
            "arn:aws:s3:::ada*/x",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:s3:::${aws:username}/*""#,
            "s3:x",
            "arn:aws:s3:::adam/x",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:s3:::${aws:userid}/*""#,
            "s3:x",
            "arn:aws:s3:::/x",
            false,
        ),
        (
            r#""Action": "*", "NotResource": "arn:aws:s3:::${aws:userid}/*""#,
            "s3:x",
            "arn:aws:s3:::/x",
            true,
        ),
        (
            r#""Action": "*", "NotResource": ["arn:aws:s3:::a", "arn:aws:s3:::b"]"#,
            "s3:x",
            "arn:aws:s3:::b",
            false,
        ),
        (
            r#""Action": "*", "NotResource": ["arn:aws:s3:::a", "arn:aws:s3:::b"]"#,
            "s3:x",
            "arn:aws:s3:::c",
            true,
        ),
    ] {
        assert_eq!(
            applies(statement, action, resource),
            expected,
            "{statement} {action} {resource}"
        );
    }
}

/// A request of `evaluation.txt`.
#[derive(Default)]
struct Row<'a> {
    by: &'a str,
    is_same_account: bool,
    /// The principal that the resource policy names.
    named: &'a str,
    /// The principals that a deny in the resource policy excepts. If there are any, the policy also allows everybody.
    excepted: Vec<&'a str>,
    /// Whether the resource is a role.
    is_role: bool,
    /// Whether the role does not exist.
    is_missing: bool,
    /// Whether keys of the service `test` are unknown.
    is_open: bool,
    identity: Vec<&'static str>,
    boundary: Option<&'static str>,
    session: Vec<&'static str>,
    service_control: Vec<Vec<&'static str>>,
    resource_control: Vec<&'static str>,
}

impl<'a> Row<'a> {
    fn read(request: &'a str) -> Self {
        let mut row = Self::default();
        let policies = |list: &str| -> Vec<&'static str> {
            let names = list.split(',').filter(|name| *name != "none");
            let policy = |name| match name {
                "allow" => ALLOW,
                "other" => OTHER,
                "deny" => DENY,
                _ => panic!("{request}"),
            };
            names.map(policy).collect()
        };
        for word in request.split_whitespace() {
            match word.split_once(':') {
                None if word == "within" => row.is_same_account = true,
                None if word == "across" => row.is_same_account = false,
                None => row.by = word,
                Some(("trusts", named)) => (row.named, row.is_role) = (named, true),
                Some(("policy", named)) => row.named = named,
                Some(("except", names)) => row.excepted = names.split(',').collect(),
                Some(("identity", list)) => row.identity = policies(list),
                Some(("boundary", list)) => row.boundary = policies(list).pop(),
                Some(("session", list)) => row.session = policies(list),
                Some(("scp", levels)) => {
                    row.service_control = levels.split('/').map(policies).collect();
                }
                Some(("rcp", "deny")) => row.resource_control = vec![DENY_RCP],
                Some(_) => panic!("{request}"),
            }
        }
        row
    }

    fn decide(&self) -> Explanation {
        let all = |kind, policies: &[&str]| -> Vec<Policy> {
            let policies = policies.iter();
            policies.map(|json| read(kind, json).unwrap()).collect()
        };
        let identity = all(PolicyKind::Identity, &self.identity);
        let boundary = self
            .boundary
            .map(|json| read(PolicyKind::Boundary, json).unwrap());
        let session = all(PolicyKind::Session, &self.session);
        let levels = self.service_control.iter();
        let levels: Vec<Vec<Policy>> = levels
            .map(|level| all(PolicyKind::ServiceControl, level))
            .collect();
        let resource_control = all(PolicyKind::ResourceControl, &self.resource_control);
        let resource = self.resource_policy();
        let account = "111111111111".to_owned();
        let requester = match self.by {
            "user" => Requester::User {
                id: "Caller".to_owned(),
                account,
            },
            "root" => Requester::Root { account },
            "session" => Requester::RoleSession {
                arn: "arn:aws:sts::111111111111:assumed-role/Caller/session".to_owned(),
                role_id: "Caller".to_owned(),
                account,
            },
            other => panic!("{other:?}"),
        };
        let policies = Policies {
            resource_control: resource_control.iter().collect(),
            service_control: levels.iter().map(|level| level.iter().collect()).collect(),
            resource: match &resource {
                _ if self.is_missing => ResourcePolicy::NoSuchRole,
                Some(policy) if self.is_role => ResourcePolicy::Trust(policy),
                Some(policy) => ResourcePolicy::Policy(policy),
                None => ResourcePolicy::None,
            },
            identity: identity.iter().collect(),
            boundary: boundary.as_ref(),
            session: session.iter().collect(),
            needs_session_policy: false,
        };
        let mut context = Context::default();
        if self.is_open {
            context.leave_open("test");
        }
        let request = Request {
            action: "sts:AssumeRole",
            resource: ROLE,
            requester: &requester,
            context: &context,
        };
        authorize(&policies, request, self.is_same_account, "caller")
    }

    fn resource_policy(&self) -> Option<Policy> {
        let kind = if self.by == "session" { "role" } else { "user" };
        let arn = |name: &str| match name {
            "account" | "denied" => "111111111111".to_owned(),
            "identity" => format!("arn:aws:iam::111111111111:{kind}/Caller"),
            "session" => "arn:aws:sts::111111111111:assumed-role/Caller/session".to_owned(),
            "everybody" => "*".to_owned(),
            "nobody" => "999999999999".to_owned(),
            other => panic!("{other:?}"),
        };
        if !self.excepted.is_empty() {
            let excepted: Vec<String> = self.excepted.iter().map(|name| arn(name)).collect();
            let json = format!(
                r#"{{"Statement": [
                    {{"Effect": "Allow", "Action": "*", "Principal": "*", "Resource": "*"}},
                    {{"Effect": "Deny", "Action": "*", "NotPrincipal": {{"AWS": {excepted:?}}}, "Resource": "*"}}]}}"#
            );
            return Some(read(PolicyKind::Resource, &json).unwrap());
        }
        if self.named == "nobody" && !self.is_role {
            return None;
        }
        let named = arn(self.named);
        let (kind, resource) = if self.is_role {
            (PolicyKind::Trust, "")
        } else {
            (PolicyKind::Resource, r#", "Resource": "*""#)
        };
        let statement = |effect: &str| {
            format!(
                r#"{{"Effect": "{effect}", "Action": "sts:AssumeRole",
                    "Principal": {{"AWS": "{named}"}}{resource}}}"#
            )
        };
        let mut statements = vec![statement("Allow")];
        if self.named == "denied" {
            statements.push(statement("Deny"));
        }
        let json = format!(r#"{{"Statement": [{}]}}"#, statements.join(","));
        Some(read(kind, &json).unwrap())
    }
}

/// The outcome in the notation of the table.
fn outcome(explanation: &Explanation) -> String {
    let outcome = match explanation.outcome() {
        Outcome::Allowed => "allowed",
        Outcome::ExplicitDeny => "denied",
        Outcome::ImplicitDeny => "missing",
        other => panic!("{other:?}"),
    };
    match &explanation.reason {
        Reason::Statement { policy, .. } => {
            format!("{outcome} {:?}", explanation.policies[*policy].kind)
        }
        Reason::NoStatement(kind) => format!("{outcome} {kind:?}"),
        Reason::RootUser => format!("{outcome} Root"),
        other => panic!("{other:?}"),
    }
}
