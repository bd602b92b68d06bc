//! A policy document: its statements, and what they decide on a request.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::context::Context;
use super::element::{reject_unknown, strings};
use super::pattern::Pattern;
use crate::arn;

/// An identity policy, a session policy or a trust policy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allow: bool,
    principals: Option<Matching<Principal>>,
    actions: Matching<String>,
    /// `None` in a trust policy: the role is the resource.
    resources: Option<Matching<String>>,
    conditions: Vec<Condition>,
    /// Whether the policy's version, 2012-10-17, has policy variables.
    has_variables: bool,
}

/// The list of an element, such as `Action`; of its `Not…` form, everything but the list.
#[derive(Clone, Debug)]
struct Matching<T> {
    not: bool,
    list: Vec<T>,
}

impl<T> Matching<T> {
    fn matches(&self, test: impl FnMut(&T) -> bool) -> bool {
        self.list.iter().any(test) != self.not
    }
}

/// A principal of a trust policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Principal {
    /// `*`.
    Any,
    /// An account, whose own policies decide.
    Account(String),
    /// A user or role, by the unique ID that it had when the policy was saved.
    Id(String),
    /// One session of a role, by its ARN.
    Session(String),
    /// A service or an identity provider.
    Other(String),
}

/// Turns the ARN of a user or role into its unique ID; `None` if it does not exist.
type Resolve<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a policy decides on a request, before it is combined with other policies. A later decision outweighs
/// an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    /// No statement applies.
    ImplicitDeny,
    /// Allowed to the account of the caller, whose own policies decide.
    AccountAllowed,
    /// Allowed to the role of the caller; a session policy still limits the session.
    RoleAllowed,
    /// Allowed.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
}

impl Decision {
    /// Combines policies of one kind, such as the identity policies of a user.
    pub(crate) fn combine(decisions: impl IntoIterator<Item = Self>) -> Self {
        decisions.into_iter().max().unwrap_or(Self::ImplicitDeny)
    }
}

impl Policy {
    /// Reads an identity policy, a session policy or a managed policy.
    pub(crate) fn permission(json: &str) -> Result<Self, String> {
        Self::read(json, None)
    }

    /// Reads a trust policy. `resolve` turns the ARN of a user or role into its unique ID.
    pub(crate) fn trust(json: &str, resolve: Resolve<'_>) -> Result<Self, String> {
        Self::read(json, Some(resolve))
    }

    fn read(json: &str, resolve: Option<Resolve<'_>>) -> Result<Self, String> {
        let document: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let document = document.as_object().ok_or("the policy must be an object")?;
        reject_unknown(document, &["Version", "Id", "Statement"])?;
        let has_variables = match document.get("Version").map(|version| version.as_str()) {
            Some(Some("2012-10-17")) => true,
            None | Some(Some("2008-10-17")) => false,
            Some(_) => return Err("unknown Version".to_owned()),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement) => vec![statement],
            None => return Err("Statement is missing".to_owned()),
        };
        let statements = statements
            .into_iter()
            .map(|statement| Statement::read(statement, resolve, has_variables))
            .collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// Decides whether an identity, session or managed policy allows `action` on `resource`.
    pub(crate) fn permits(&self, action: &str, resource: &str, context: &Context) -> Decision {
        self.evaluate(context, |statement| {
            let resources = statement.resources.as_ref()?;
            let variables = statement.has_variables.then_some(context);
            let applies = statement.covers(action)
                && resources
                    .matches(|pattern| Pattern::wildcards(pattern, variables).matches(resource));
            applies.then_some(Decision::Allowed)
        })
    }

    /// Decides whether a trust policy allows `action` to a caller who is all of `principals`; each comes with
    /// the decision if a statement names it.
    pub(crate) fn trusts(
        &self,
        action: &str,
        principals: &[(Principal, Decision)],
        context: &Context,
    ) -> Decision {
        self.evaluate(context, |statement| {
            let named = statement.principals.as_ref()?;
            if !statement.covers(action) {
                return None;
            }
            let is_named = |principal: &Principal| named.list.contains(principal);
            if named.not {
                let excluded = principals.iter().any(|(principal, _)| is_named(principal));
                return (!excluded).then_some(Decision::Allowed);
            }
            principals
                .iter()
                .filter(|(principal, _)| is_named(principal))
                .map(|(_, decision)| *decision)
                .max()
        })
    }

    /// Combines the statements that apply and whose conditions are true. `applies` returns the decision of a
    /// statement that allows.
    fn evaluate(
        &self,
        context: &Context,
        applies: impl Fn(&Statement) -> Option<Decision>,
    ) -> Decision {
        Decision::combine(self.statements.iter().filter_map(|statement| {
            let allowed = applies(statement)?;
            let is_true =
                |condition: &Condition| condition.is_true(context, statement.has_variables);
            if !statement.conditions.iter().all(is_true) {
                None
            } else if statement.allow {
                Some(allowed)
            } else {
                Some(Decision::ExplicitDeny)
            }
        }))
    }
}

impl Statement {
    fn read(
        statement: &Value,
        resolve: Option<Resolve<'_>>,
        has_variables: bool,
    ) -> Result<Self, String> {
        let statement = statement
            .as_object()
            .ok_or("a Statement must be an object")?;
        reject_unknown(
            statement,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let allow = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("Effect must be Allow or Deny".to_owned()),
        };
        let actions = either(statement, "Action", "NotAction", strings)?
            .ok_or("Action or NotAction is missing")?;
        if let Some(wrong) = actions.list.iter().find(|a| *a != "*" && !a.contains(':')) {
            return Err(format!("Action {wrong:?} has no service"));
        }
        let resources = either(statement, "Resource", "NotResource", strings)?;
        let principals = either(statement, "Principal", "NotPrincipal", |value| {
            let resolve = resolve.ok_or("only a trust policy has a Principal")?;
            read_principals(value, resolve)
        })?;
        match resolve {
            Some(_) if principals.is_none() => return Err("Principal is missing".to_owned()),
            Some(_) if resources.is_some() => {
                return Err("a trust policy has no Resource".to_owned());
            }
            None if resources.is_none() => return Err("Resource is missing".to_owned()),
            _ => {}
        }
        let conditions = match statement.get("Condition") {
            Some(Value::Object(block)) => Condition::read_all(block)?,
            Some(_) => return Err("Condition must be an object".to_owned()),
            None => Vec::new(),
        };
        Ok(Self {
            allow,
            principals,
            actions,
            resources,
            conditions,
            has_variables,
        })
    }

    fn covers(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.matches(|pattern| {
            Pattern::wildcards(&pattern.to_ascii_lowercase(), None).matches(&action)
        })
    }
}

/// Reads an element that has a `Not…` form; `None` if it is absent.
fn either<T>(
    object: &Map<String, Value>,
    name: &str,
    not_name: &str,
    read: impl Fn(&Value) -> Result<Vec<T>, String>,
) -> Result<Option<Matching<T>>, String> {
    let (not, value) = match (object.get(name), object.get(not_name)) {
        (Some(_), Some(_)) => return Err(format!("both {name} and {not_name}")),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        (None, None) => return Ok(None),
    };
    let list = read(value)?;
    if list.is_empty() {
        return Err(format!("{name} is empty"));
    }
    Ok(Some(Matching { not, list }))
}

fn read_principals(value: &Value, resolve: Resolve<'_>) -> Result<Vec<Principal>, String> {
    if value == "*" {
        return Ok(vec![Principal::Any]);
    }
    let kinds = value
        .as_object()
        .ok_or("Principal must be \"*\" or an object")?;
    reject_unknown(kinds, &["AWS", "Federated", "Service", "CanonicalUser"])?;
    let mut principals = Vec::new();
    for (kind, names) in kinds {
        for name in strings(names)? {
            principals.push(match kind.as_str() {
                "AWS" => read_aws_principal(&name, resolve)?,
                _ => Principal::Other(name),
            });
        }
    }
    Ok(principals)
}

fn read_aws_principal(name: &str, resolve: Resolve<'_>) -> Result<Principal, String> {
    if name == "*" {
        return Ok(Principal::Any);
    }
    if arn::is_account_id(name) {
        return Ok(Principal::Account(name.to_owned()));
    }
    let invalid = || format!("Invalid principal in policy: \"AWS\":\"{name}\"");
    let Some(["arn", _, service, "", account, resource]) = arn::split(name) else {
        return Err(invalid());
    };
    if !arn::is_account_id(account) || name.contains(['*', '?']) {
        return Err(invalid());
    }
    match (service, resource) {
        ("iam", "root") => Ok(Principal::Account(account.to_owned())),
        ("iam", _) => resolve(name).map(Principal::Id).ok_or_else(invalid),
        ("sts", _) if resource.starts_with("assumed-role/") => {
            Ok(Principal::Session(name.to_owned()))
        }
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let mut context = Context::default();
        context.set("sts:ExternalId", "Example987");
        context.set(
            "aws:PrincipalArn",
            "arn:aws:iam::111111111111:role/path/Caller",
        );
        context.set("aws:MultiFactorAuthAge", "120");
        context.set("aws:SourceIp", "10.1.2.3");
        context.set("aws:username", "ada*");
        context.set("aws:CurrentTime", "2026-11-22T12:00:00Z");
        context.set("aws:MultiFactorAuthPresent", "false");
        context.set_all("aws:TagKeys", vec!["Team".to_owned(), "Cost".to_owned()]);
        context
    }

    #[test]
    fn a_condition_is_evaluated_as_iam_documents() {
        let cases = [
            (
                r#"{"StringEquals": {"sts:ExternalId": "Example987"}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"STS:externalid": ["other", "Example987"]}}"#,
                true,
            ),
            (
                r#"{"StringEquals": {"sts:ExternalId": "example987"}}"#,
                false,
            ),
            (r#"{"StringEquals": {"sts:ExternalId": "Example*"}}"#, false),
            (
                r#"{"StringEqualsIgnoreCase": {"sts:ExternalId": "EXAMPLE987"}}"#,
                true,
            ),
            (r#"{"StringLike": {"sts:ExternalId": "Ex?mple*"}}"#, true),
            (r#"{"StringLike": {"sts:ExternalId": "*98"}}"#, false),
            (
                r#"{"StringNotEquals": {"sts:ExternalId": ["a", "Example987"]}}"#,
                false,
            ),
            (
                r#"{"StringNotEquals": {"sts:ExternalId": ["a", "b"]}}"#,
                true,
            ),
            (r#"{"StringNotEquals": {"absent": "a"}}"#, true),
            (r#"{"StringEquals": {"absent": "a"}}"#, false),
            (r#"{"StringEqualsIfExists": {"absent": "a"}}"#, true),
            (
                r#"{"StringEqualsIfExists": {"sts:ExternalId": "a"}}"#,
                false,
            ),
            (r#"{"Null": {"absent": "true"}}"#, true),
            (r#"{"Null": {"sts:ExternalId": true}}"#, false),
            (
                r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/*"}}"#,
                true,
            ),
            (
                r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/path/Caller"}}"#,
                true,
            ),
            (
                r#"{"ArnLike": {"aws:PrincipalArn": "arn:*:role/path/Caller"}}"#,
                false,
            ),
            (
                r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::222222222222:*"}}"#,
                true,
            ),
            (r#"{"Bool": {"aws:MultiFactorAuthPresent": "true"}}"#, false),
            (r#"{"Bool": {"aws:MultiFactorAuthPresent": false}}"#, true),
            (r#"{"BoolIfExists": {"absent": "true"}}"#, true),
            (
                r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}"#,
                true,
            ),
            (
                r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": 120}}"#,
                false,
            ),
            (
                r#"{"NumericGreaterThanEquals": {"aws:MultiFactorAuthAge": 120}}"#,
                true,
            ),
            (r#"{"NumericLessThan": {"absent": 120}}"#, false),
            (
                r#"{"DateLessThan": {"aws:CurrentTime": "2026-11-22T13:00:00Z"}}"#,
                true,
            ),
            (
                r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-11-22T12:30:00+01:00"}}"#,
                true,
            ),
            (r#"{"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}"#, true),
            (
                r#"{"IpAddress": {"aws:SourceIp": ["10.2.0.0/16", "10.1.2.4"]}}"#,
                false,
            ),
            (r#"{"NotIpAddress": {"aws:SourceIp": "0.0.0.0/0"}}"#, false),
            (
                r#"{"StringEquals": {"aws:username": "${aws:username}"}}"#,
                true,
            ),
            (r#"{"StringLike": {"aws:username": "ada${*}"}}"#, true),
            (r#"{"StringLike": {"sts:ExternalId": "${absent}*"}}"#, false),
            (
                r#"{"StringLike": {"sts:ExternalId": "${absent, 'Example'}*"}}"#,
                true,
            ),
            (
                r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Cost", "x"]}}"#,
                true,
            ),
            (
                r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}}"#,
                false,
            ),
            (
                r#"{"ForAllValues:StringEquals": {"absent": ["Team"]}}"#,
                true,
            ),
            (
                r#"{"ForAnyValue:StringEquals": {"aws:TagKeys": ["Team"]}}"#,
                true,
            ),
            (r#"{"ForAnyValue:StringLike": {"aws:TagKeys": "C*"}}"#, true),
            (
                r#"{"ForAnyValue:StringEquals": {"absent": ["Team"]}}"#,
                false,
            ),
            (
                r#"{"StringEquals": {"sts:ExternalId": "Example987"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}}"#,
                false,
            ),
        ];
        for (condition, expected) in cases {
            let json = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:*",
                    "Resource": "*", "Condition": {condition}}}}}"#
            );
            let policy = Policy::permission(&json).unwrap();
            let decision = policy.permits("sts:AssumeRole", "arn:x", &context());
            let expected = if expected {
                Decision::Allowed
            } else {
                Decision::ImplicitDeny
            };
            assert_eq!(decision, expected, "{condition}");
        }
    }

    #[test]
    fn an_action_and_a_resource_match_by_wildcard_and_a_deny_outweighs() {
        let policy = Policy::permission(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["firehose:Put*"], "Resource": "arn:aws:firehose:*:2:deliverystream/events"},
                {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::${aws:username}/*"},
                {"Effect": "Deny", "Action": "FIREHOSE:putrecord", "Resource": "*"}]}"#,
        )
        .unwrap();
        let stream = "arn:aws:firehose:eu-west-1:2:deliverystream/events";
        let decision = |action, resource| policy.permits(action, resource, &context());
        assert_eq!(
            decision("firehose:PutRecordBatch", stream),
            Decision::Allowed
        );
        assert_eq!(
            decision("firehose:PutRecord", stream),
            Decision::ExplicitDeny
        );
        assert_eq!(
            decision("firehose:PutRecordBatch", "arn:other"),
            Decision::ImplicitDeny
        );
        assert_eq!(
            decision("s3:GetObject", "arn:aws:s3:::ada*/x"),
            Decision::Allowed
        );
        assert_eq!(
            decision("s3:GetObject", "arn:aws:s3:::adam/x"),
            Decision::ImplicitDeny
        );
        assert_eq!(
            decision("iam:GetUser", "arn:aws:s3:::ada*/x"),
            Decision::ImplicitDeny
        );
    }

    #[test]
    fn variables_are_text_before_version_2012() {
        for (version, expected) in [
            (r#""Version": "2012-10-17","#, Decision::Allowed),
            (r#""Version": "2008-10-17","#, Decision::ImplicitDeny),
            ("", Decision::ImplicitDeny),
        ] {
            let json = format!(
                r#"{{{version} "Statement": {{"Effect": "Allow", "Action": "*", "Resource": "${{aws:username}}"}}}}"#
            );
            let policy = Policy::permission(&json).unwrap();
            assert_eq!(
                policy.permits("a:b", "ada*", &context()),
                expected,
                "{json}"
            );
        }
    }

    #[test]
    fn a_malformed_policy_is_rejected_with_the_reason() {
        let cases = [
            ("[]", "must be an object"),
            (r#"{"Statement": {"Effect": "allow"}}"#, "Effect"),
            (
                r#"{"Statement": {"Effect": "Allow", "Resource": "*"}}"#,
                "Action",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "sts:*"}}"#,
                "Resource",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Prinzipal": 1}}"#,
                "Prinzipal",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringIs": {"a": "b"}}}}"#,
                "StringIs",
            ),
            (
                r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}}"#,
                "Principal",
            ),
        ];
        for (json, reason) in cases {
            let error = Policy::permission(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
        let nobody = |_: &str| None;
        let trust = |principal: &str| {
            let json = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}}}}}"#
            );
            Policy::trust(&json, &nobody).map(|_| ())
        };
        assert!(trust(r#"{"AWS": "111111111111", "Service": "ec2.amazonaws.com"}"#).is_ok());
        for wrong in [
            "arn:aws:iam::111111111111:user/nobody",
            "arn:aws:iam::111111111111:role/*",
            "me",
        ] {
            let error = trust(&format!(r#"{{"AWS": "{wrong}"}}"#)).unwrap_err();
            assert_eq!(
                error,
                format!("Invalid principal in policy: \"AWS\":\"{wrong}\"")
            );
        }
    }
}
