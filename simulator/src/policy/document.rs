//! A policy document: parsing as in IAM, and comparison with a request.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::condition::{Condition, Truth};
use super::context::Context;
use super::explanation::{Effect, Element, Elements, Mismatch, StatementTrace};
use super::json::{self, reject_unknown, strings};
use super::keys;
use super::pattern::{Match, Pattern};
use super::principal::{self, Grant, Principal, Requester, Resolve};

pub(crate) use super::explanation::PolicyKind as Kind;

/// A policy. Explanations refer to it by its name.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) statements: Vec<Statement>,
}

/// What the parser needs to know about the accounts.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// Returns the unique ID of the user or role with an ARN.
    pub(crate) resolve: Resolve<'a>,
    /// The condition keys that the test added, in lower case.
    pub(crate) keys: &'a HashSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    principals: Option<Matching<Principal>>,
    actions: Matching<Pattern>,
    /// `None` in a trust policy: the role is the resource.
    resources: Option<Matching<Pattern>>,
    conditions: Vec<Condition>,
    elements: Arc<Elements>,
    /// Why the simulator does not understand the statement. The statement then allows nothing, or denies more than it
    /// says.
    not_understood: Option<Arc<str>>,
}

/// The list of an element such as `Action`, or of its `Not…` form, which matches everything except the list.
#[derive(Clone, Debug)]
struct Matching<T> {
    not: bool,
    list: Vec<T>,
}

/// A request to be compared with policies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) action: &'a str,
    /// The ARN of the resource.
    pub(crate) resource: &'a str,
    pub(crate) requester: &'a Requester,
    pub(crate) context: &'a Context,
}

/// Whether a statement applies to a request.
pub(super) enum Applies {
    /// It applies. In a resource policy, the grant says how the requester is named.
    Yes(Grant),
    /// It depends on keys whose values are unknown.
    Unknown(Grant),
    No,
}

impl Policy {
    /// Reads a document.
    pub(crate) fn read(
        kind: Kind,
        name: impl Into<String>,
        json: &str,
        names: Names<'_>,
    ) -> Result<Self, String> {
        let syntax = |error: String| format!("Syntax errors in policy. ({error})");
        let document = json::parse(json).map_err(syntax)?;
        let document = document
            .as_object()
            .ok_or_else(|| syntax("the policy must be an object".to_owned()))?;
        reject_unknown(document, &["Version", "Id", "Statement"]).map_err(syntax)?;
        let version = document.get("Version").map(|version| version.as_str());
        let has_variables = match version {
            Some(Some("2012-10-17")) => true,
            None | Some(Some("2008-10-17")) if kind != Kind::ResourceControl => false,
            _ => return Err(syntax("Version must be \"2012-10-17\"".to_owned())),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement) => vec![statement],
            None => return Err(syntax("Statement is missing".to_owned())),
        };
        if statements.is_empty() {
            return Err(syntax("Statement is empty".to_owned()));
        }
        let statements: Vec<Statement> = (1..)
            .zip(statements)
            .map(|(n, statement)| {
                Statement::read(kind, statement, has_variables, names)
                    .map_err(|error| error.in_statement(n))
            })
            .collect::<Result<_, _>>()?;
        let mut sids = HashSet::new();
        for sid in statements
            .iter()
            .filter_map(|statement| statement.sid.as_ref())
        {
            if !sids.insert(sid) {
                return Err(format!(
                    "Statement IDs (SID) in a single policy must be unique. ({sid:?} is given twice)"
                ));
            }
        }
        Ok(Self {
            kind,
            name: name.into(),
            statements,
        })
    }

    /// Returns a policy without statements.
    pub(crate) fn empty(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            statements: Vec::new(),
        }
    }

    /// Returns a policy that denies everybody everything.
    pub(crate) fn that_denies_everything(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            statements: vec![Statement::about_everything(Effect::Deny)],
            ..Self::empty(kind, name)
        }
    }

    /// Returns the policy as one of another kind with the same grammar, such as an identity policy used as a
    /// permissions boundary.
    pub(crate) fn used_as(&self, kind: Kind, name: impl Into<String>) -> Self {
        Self {
            statements: self.statements.clone(),
            ..Self::empty(kind, name)
        }
    }

    /// Adds the statements of another policy.
    pub(crate) fn append(&mut self, other: &Self) {
        self.statements.extend_from_slice(&other.statements);
    }

    /// Adds a statement in place of one that is not understood: an `Allow` allows nothing, a `Deny` denies everything.
    pub(crate) fn add_not_understood(&mut self, effect: Effect, sid: Option<&str>, reason: &str) {
        self.statements.push(Statement {
            sid: sid.map(str::to_owned),
            not_understood: Some(reason.into()),
            ..Statement::about_everything(effect)
        });
    }

    /// Marks all statements as not understood, so that they allow nothing.
    pub(crate) fn not_understood(mut self, reason: &str) -> Self {
        for statement in &mut self.statements {
            statement.not_understood = Some(reason.into());
        }
        self
    }
}

/// Why a statement cannot be read, in IAM's words where those are known.
enum StatementError {
    /// IAM only reports a syntax error.
    Syntax(String),
    Iam(String),
}

impl StatementError {
    fn in_statement(self, n: usize) -> String {
        match self {
            Self::Syntax(reason) => format!("Syntax errors in policy. (statement {n}: {reason})"),
            Self::Iam(message) => message,
        }
    }
}

/// Most errors are syntax errors.
impl From<String> for StatementError {
    fn from(reason: String) -> Self {
        Self::Syntax(reason)
    }
}

impl From<&str> for StatementError {
    fn from(reason: &str) -> Self {
        Self::Syntax(reason.to_owned())
    }
}

fn iam<T>(message: impl Into<String>) -> Result<T, StatementError> {
    Err(StatementError::Iam(message.into()))
}

impl Statement {
    /// Returns a statement about every action and principal.
    fn about_everything(effect: Effect) -> Self {
        Self {
            sid: None,
            effect,
            principals: None,
            actions: Matching {
                not: true,
                list: Vec::new(),
            },
            resources: None,
            conditions: Vec::new(),
            elements: Arc::new(Elements {
                principals: None,
                actions: Element {
                    name: "NotAction",
                    values: Vec::new(),
                },
                resources: None,
            }),
            not_understood: None,
        }
    }

    fn read(
        kind: Kind,
        statement: &Value,
        has_variables: bool,
        names: Names<'_>,
    ) -> Result<Self, StatementError> {
        let statement = statement.as_object().ok_or("it must be an object")?;
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
        let has = |name: &str| statement.contains_key(name);
        let sid = match statement.get("Sid") {
            None => None,
            Some(Value::String(sid)) if sid.is_empty() => None,
            Some(Value::String(sid)) => Some(sid.clone()),
            Some(_) => return Err("Sid must be a string".into()),
        };
        let is_iam = !matches!(
            kind,
            Kind::Resource | Kind::ServiceControl | Kind::ResourceControl
        );
        if let Some(sid) = &sid
            && is_iam
            && !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return iam(format!(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular \
                 expression [0-9A-Za-z]* ({sid:?})"
            ));
        }
        let effect = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err("Effect must be \"Allow\" or \"Deny\"".into()),
        };

        let actions = either(statement, "Action", "NotAction", strings)?;
        let Some(actions) = actions.filter(|actions| !actions.list.is_empty()) else {
            return iam("Policy statement must contain actions.");
        };
        for action in &actions.list {
            check_action(kind, effect, action)?;
        }
        let resources = either(statement, "Resource", "NotResource", strings)?;
        let not_principal = has("NotPrincipal") && kind == Kind::Resource;
        let principal = if not_principal {
            "NotPrincipal"
        } else {
            "Principal"
        };
        let principals = statement.get(principal);
        let elements = Elements {
            principals: principals.map(|value| principal::element(principal, value)),
            actions: actions.element("Action", "NotAction"),
            resources: resources
                .as_ref()
                .map(|resources| resources.element("Resource", "NotResource")),
        };
        let actions = actions.try_map(|action| Pattern::wildcards(&action, false))?;

        let principals = match principals {
            Some(value) if kind.has_principals() => Some(Matching {
                not: not_principal,
                list: principal::read(kind, value, names.resolve).map_err(StatementError::Iam)?,
            }),
            _ => None,
        };
        match kind {
            Kind::Trust if resources.is_some() => return iam("Has prohibited field Resource"),
            Kind::Trust if has("NotPrincipal") => return iam("Has prohibited field NotPrincipal"),
            Kind::Trust if principals.is_none() => return iam("Missing required field Principal"),
            _ if !kind.has_principals() && (has("Principal") || has("NotPrincipal")) => {
                return iam("Policy document should not specify a principal.");
            }
            Kind::ResourceControl if has("NotPrincipal") => {
                return Err("a resource control policy must not have NotPrincipal".into());
            }
            _ if not_principal && has("Principal") => {
                return Err("it has both Principal and NotPrincipal".into());
            }
            _ if not_principal && effect == Effect::Allow => {
                return Err("NotPrincipal is allowed only with Deny".into());
            }
            _ if kind.has_principals() && principals.is_none() => {
                return iam("Missing required field Principal");
            }
            Kind::Trust => {}
            _ if resources.as_ref().is_none_or(|list| list.list.is_empty()) => {
                return iam("Policy statement must contain resources.");
            }
            _ => {}
        }
        if kind == Kind::ResourceControl && !is_full_access(statement) {
            if effect == Effect::Allow {
                return Err("a resource control policy must have the effect Deny".into());
            }
            if actions.not {
                return Err("a resource control policy must not have NotAction".into());
            }
        }
        let resources = resources.map(|resources| {
            resources.try_map(|text| {
                let pattern = Pattern::wildcards(&text, has_variables)
                    .map_err(|rule| format!("Resource {text} {rule}"))?;
                let is_arn = text.starts_with("arn:") || text.starts_with("${");
                if text == "*" || is_arn {
                    Ok(pattern)
                } else {
                    Err(format!("Resource {text} must be in ARN format or \"*\"."))
                }
            })
        });
        let resources = resources.transpose().map_err(StatementError::Iam)?;

        let conditions = match statement.get("Condition") {
            Some(Value::Object(block)) => Condition::read_all(block, has_variables)?,
            Some(_) => return Err("Condition must be an object".into()),
            None => Vec::new(),
        };
        let in_conditions = conditions.iter().flat_map(Condition::keys);
        let in_resources = resources.iter().flat_map(|resources| &resources.list);
        let in_resources = in_resources.flat_map(Pattern::variables);
        for key in in_conditions.chain(in_resources) {
            check_key(key, names)?;
        }
        Ok(Self {
            sid,
            effect,
            principals,
            actions,
            resources,
            conditions,
            elements: Arc::new(elements),
            not_understood: None,
        })
    }

    /// Compares the statement with a request. `number` is its position in the policy, starting from 1; `has_boundary`
    /// says whether the requester has a permissions boundary.
    pub(super) fn evaluate(
        &self,
        number: usize,
        request: Request<'_>,
        has_boundary: bool,
    ) -> (Applies, StatementTrace) {
        let grant = match &self.principals {
            None => Some(Grant::Direct),
            // `NotPrincipal` denies everybody who has a permissions boundary, even those that it names.
            Some(Matching { not: true, list }) => {
                let is_excepted = !has_boundary && request.requester.is_excepted(list);
                (!is_excepted).then_some(Grant::Direct)
            }
            Some(Matching { not: false, list }) => {
                let grants = list
                    .iter()
                    .map(|principal| request.requester.grant(principal));
                grants.flatten().max()
            }
        };
        let trace = |mismatch| StatementTrace {
            number,
            sid: self.sid.clone(),
            effect: self.effect,
            mismatch,
            not_understood: self.not_understood.as_deref().map(str::to_owned),
            met: Vec::new(),
            elements: self.elements.clone(),
        };
        if self.not_understood.is_some() && self.effect == Effect::Allow {
            return (Applies::No, trace(Some(Mismatch::NotUnderstood)));
        }
        let Some(grant) = grant else {
            let mismatch = match &self.principals {
                Some(Matching { not: true, .. }) => Mismatch::NotPrincipal,
                _ => Mismatch::Principal,
            };
            return (Applies::No, trace(Some(mismatch)));
        };
        let is_action =
            |pattern: &Pattern| pattern.matches_any_case(request.action, request.context);
        if self.actions.matches(is_action) == Truth::False {
            return (Applies::No, trace(Some(Mismatch::Action)));
        }
        let is_resource =
            |pattern: &Pattern| pattern.matches_resource(request.resource, request.context);
        let resource = match &self.resources {
            Some(resources) => resources.matches(is_resource),
            None => Truth::True,
        };
        if resource == Truth::False {
            return (Applies::No, trace(Some(Mismatch::Resource)));
        }
        let truths: Vec<(&Condition, Truth)> = self
            .conditions
            .iter()
            .map(|condition| (condition, condition.evaluate(request.context)))
            .collect();
        let all = Truth::all(truths.iter().map(|(_, truth)| *truth));
        let traces = |is_met: bool| {
            let conditions = truths
                .iter()
                .filter(move |(_, truth)| (*truth == Truth::True) == is_met);
            conditions.map(|(condition, truth)| condition.trace(*truth, request.context))
        };
        let mismatch = match (all, resource) {
            (Truth::True, Truth::True) => None,
            (Truth::True, _) => Some(Mismatch::Resource),
            _ => Some(Mismatch::Conditions(traces(false).collect())),
        };
        let applies = match Truth::all([all, resource]) {
            Truth::True => Applies::Yes(grant),
            Truth::Unknown => Applies::Unknown(grant),
            Truth::False => Applies::No,
        };
        // Explanations show the conditions that are met only for a `Deny`.
        let met = if self.effect == Effect::Deny && mismatch.is_none() {
            traces(true).collect()
        } else {
            Vec::new()
        };
        let trace = StatementTrace {
            met,
            ..trace(mismatch)
        };
        (applies, trace)
    }

    /// Returns the keys that the statement refers to and that are unknown in the request.
    pub(super) fn unknown_keys(&self, context: &Context) -> Vec<String> {
        let in_resources = self.resources.iter().flat_map(|resources| &resources.list);
        let keys = in_resources
            .flat_map(Pattern::variables)
            .chain(self.conditions.iter().flat_map(Condition::keys));
        keys.filter(|key| context.lookup(key) == super::context::Lookup::Unknown)
            .map(str::to_owned)
            .collect()
    }
}

impl Matching<String> {
    fn element(&self, name: &'static str, not_name: &'static str) -> Element {
        Element {
            name: if self.not { not_name } else { name },
            values: self.list.clone(),
        }
    }
}

impl<T> Matching<T> {
    fn matches(&self, test: impl Fn(&T) -> Match) -> Truth {
        let matches: Vec<Match> = self.list.iter().map(test).collect();
        if matches.contains(&Match::Yes) {
            (!self.not).into()
        } else if matches.contains(&Match::Unknown) {
            Truth::Unknown
        } else {
            self.not.into()
        }
    }

    fn try_map<U, E>(self, read: impl Fn(T) -> Result<U, E>) -> Result<Matching<U>, E> {
        Ok(Matching {
            not: self.not,
            list: self.list.into_iter().map(read).collect::<Result<_, _>>()?,
        })
    }
}

/// Reads an element that has a `Not…` form; `None` if neither is present.
fn either<T>(
    object: &Map<String, Value>,
    name: &str,
    not_name: &str,
    read: impl Fn(&Value) -> Result<Vec<T>, String>,
) -> Result<Option<Matching<T>>, String> {
    let (not, value) = match (object.get(name), object.get(not_name)) {
        (Some(_), Some(_)) => return Err(format!("it has both {name} and {not_name}")),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        (None, None) => return Ok(None),
    };
    let list = read(value).map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(Matching { not, list }))
}

/// Checks an action pattern: `*`, or `<service>:<name>`.
fn check_action(kind: Kind, effect: Effect, action: &str) -> Result<(), StatementError> {
    if kind == Kind::Trust {
        let service = action.split_once(':').map(|(service, _)| service);
        if service.is_none_or(|service| !service.eq_ignore_ascii_case("sts")) {
            return iam(format!(
                "AssumeRole policy may only specify STS AssumeRole actions. ({action:?})"
            ));
        }
    }
    if action == "*" {
        return match (kind, effect) {
            (Kind::ResourceControl, Effect::Deny) => {
                Err("a resource control policy must name the service of an action".into())
            }
            _ => Ok(()),
        };
    }
    let Some((service, name)) = action.split_once(':') else {
        return iam(format!(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. ({action:?})"
        ));
    };
    if name.contains(':') {
        return iam(format!(
            "Actions/Condition can contain only one colon. ({action:?})"
        ));
    }
    let is_service = !service.is_empty()
        && service
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_service {
        return iam(format!("Vendor {service} is not valid"));
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"*?-_".contains(&b);
    if name.is_empty() || !name.bytes().all(is_name) {
        return iam(format!("Action {action} is not valid"));
    }
    Ok(())
}

/// Checks that the simulator knows a condition key.
fn check_key(key: &str, names: Names<'_>) -> Result<(), StatementError> {
    if keys::source(key).is_some() || names.keys.contains(&key.to_ascii_lowercase()) {
        return Ok(());
    }
    // Neither message is IAM's, which accepts unknown keys.
    if !key.is_empty() && (!key.contains(':') || key.contains("::")) {
        return iam(format!(
            "{key:?} is not a condition key. If ${{{key}}} is a reference of Terraform or CloudFormation, replace it \
             with its value first"
        ));
    }
    iam(format!(
        "the simulator does not know the condition key {key:?}; if AWS has it, add it with \
         Simulator::add_condition_key"
    ))
}

/// Whether a statement is that of `RCPFullAWSAccess`, which is attached everywhere.
fn is_full_access(statement: &Map<String, Value>) -> bool {
    let is_any = |name: &str| statement.get(name).is_some_and(|value| value == "*");
    statement
        .get("Effect")
        .is_some_and(|effect| effect == "Allow")
        && ["Principal", "Action", "Resource"].into_iter().all(is_any)
        && !statement.contains_key("Condition")
}
