//! [`Explanation`]: why a request is allowed or denied.

use std::fmt;
use std::sync::Arc;

use super::keys;
use crate::arn;

/// Why a request is allowed or denied: the policies that were evaluated, and the statement that decided.
///
/// [`Simulator::refusals`](crate::Simulator::refusals) returns the explanations of all requests that policies denied,
/// [`Call::decisions`](crate::Call::decisions) those of a call of STS, allowed or denied, and
/// [`AccessRequest::explain`](crate::AccessRequest::explain) that of a request to a service. `Display` writes a text
/// for terminals. It omits external IDs, because those of imported accounts are secrets;
/// [`with_secrets`](Self::with_secrets) shows them.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = sts_simulator::Simulator::new();
/// let keys = aws.user("arn:aws:iam::111111111111:user/orders").create()?;
/// aws.role("arn:aws:iam::111111111111:role/Reader")
///     .trust(
///         r#"{"Version": "2012-10-17", "Statement": {
///             "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111111111111"},
///             "Condition": {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}}}"#,
///     )
///     .create()?;
/// let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys));
/// let call = sts.assume_role().role_arn("arn:aws:iam::111111111111:role/Reader");
/// assert!(call.role_session_name("session").send().await.is_err());
///
/// let calls = aws.calls();
/// let decision = calls[0].decisions().last().unwrap();
/// assert!(!decision.is_allowed());
/// assert_eq!(
///     decision.to_string(),
///     "\
/// denied: sts:AssumeRole
///   by arn:aws:iam::111111111111:user/orders
///   on arn:aws:iam::111111111111:role/Reader
/// because the role's trust policy does not allow it:
///   trust policy of arn:aws:iam::111111111111:role/Reader
///     statement 1 (Allow) does not apply:
///       StringEquals sts:RoleSessionName
///         policy:  ${aws:username}
///         request: session
///         where ${aws:username} is orders
/// "
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The ARN of the user or session that made the request; for a federated caller, the ARN of the identity provider.
    pub principal: String,
    /// The action, such as `sts:AssumeRole`.
    pub action: String,
    /// The ARN of the resource.
    pub resource: String,
    /// The reason for the decision.
    pub reason: Reason,
    /// The policies that were evaluated, in IAM's order.
    pub policies: Vec<PolicyTrace>,
    pub(super) outcome: Outcome,
}

/// Whether a request is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The request is allowed.
    Allowed,
    /// A statement denies the request.
    ExplicitDeny,
    /// No statement allows the request.
    ImplicitDeny,
    /// The decision depends on condition keys of which the test has not declared whether the request has them.
    Undecided,
}

/// The reason for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The statement `policies[policy].statements[statement]` allows or denies the request.
    Statement {
        /// An index into [`Explanation::policies`].
        policy: usize,
        /// An index into [`PolicyTrace::statements`].
        statement: usize,
    },
    /// No statement of a policy of this kind allows the request.
    NoStatement(PolicyKind),
    /// The role does not exist. STS does not say so: it answers as for a role that does not trust the caller.
    NoSuchRole,
    /// The caller is the root user of the account, who needs no policy.
    RootUser,
    /// Sessions of this kind may not call the operation, whatever their policies say. A session from GetSessionToken
    /// may call only AssumeRole and GetCallerIdentity of STS, and IAM only with MFA. A session from GetFederationToken
    /// may call only GetCallerIdentity of STS, and nothing of IAM.
    KindOfSession,
    /// The test has not declared whether the request has these condition keys.
    UnknownKeys(Vec<String>),
}

/// The kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyKind {
    /// A resource control policy of AWS Organizations.
    ResourceControl,
    /// A service control policy of AWS Organizations.
    ServiceControl,
    /// The trust policy of a role.
    Trust,
    /// The policy of another resource, such as a bucket.
    Resource,
    /// An identity policy of a user or role: inline, managed, or of a group.
    Identity,
    /// A permissions boundary.
    Boundary,
    /// A session policy.
    Session,
}

/// A policy that was evaluated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PolicyTrace {
    /// The kind of policy.
    pub kind: PolicyKind,
    /// The owner of the policy, or the policy's own name.
    pub name: String,
    /// Its statements, in order.
    pub statements: Vec<StatementTrace>,
}

/// A statement that was evaluated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatementTrace {
    /// The position in the policy, starting from 1.
    pub number: usize,
    /// The `Sid`, if the statement has one.
    pub sid: Option<String>,
    /// Whether the statement allows or denies.
    pub effect: Effect,
    /// Why the statement does not apply; `None` if it does.
    pub mismatch: Option<Mismatch>,
    /// What the simulator does not understand in the statement, if an [import](crate::Simulator::import) has replaced
    /// it by one that allows nothing or denies more.
    pub not_understood: Option<String>,
    /// The conditions of a `Deny`, if all are met.
    pub(super) met: Vec<ConditionTrace>,
    pub(super) elements: Arc<Elements>,
}

/// The principals, actions and resources of a statement, as written in the policy.
#[derive(Debug)]
pub(super) struct Elements {
    /// `None` in policies that have no principals.
    pub(super) principals: Option<Element>,
    pub(super) actions: Element,
    /// `None` in a trust policy.
    pub(super) resources: Option<Element>,
}

/// An element of a statement: `Action`, `NotAction`, ….
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: &'static str,
    pub(super) values: Vec<String>,
}

/// The `Effect` of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The statement allows what it applies to.
    Allow,
    /// The statement denies what it applies to.
    Deny,
}

/// Why a statement does not apply.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Mismatch {
    /// The statement does not name the caller.
    Principal,
    /// The statement's `NotPrincipal` exempts the caller.
    NotPrincipal,
    /// The statement is about other actions.
    Action,
    /// The statement is about other resources.
    Resource,
    /// These conditions of the statement are not met, or cannot be decided.
    Conditions(Vec<ConditionTrace>),
    /// The simulator does not understand the statement, so it allows nothing.
    NotUnderstood,
}

/// A condition of a statement, compared with the request.
///
/// `Debug` omits the values of `sts:ExternalId`.
#[derive(Clone)]
#[non_exhaustive]
pub struct ConditionTrace {
    /// The operator, such as `ForAllValues:StringEquals`.
    pub operator: String,
    /// The condition key, such as `aws:PrincipalTag/Team`.
    pub key: String,
    /// Whether the condition cannot be decided, because the test has not declared whether the request has a key.
    pub is_unknown: bool,
    pub(super) policy_values: Vec<String>,
    pub(super) request_values: Option<Vec<String>>,
    /// The policy variables in the policy's values, with their values in the request.
    pub(super) variables: Vec<(String, Option<Vec<String>>)>,
}

impl Explanation {
    /// Returns whether the request is allowed.
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allowed
    }

    /// Returns the outcome, which distinguishes the kinds of denial.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the policy and the statement that decided; `None` if the reason is not a statement.
    pub fn statement(&self) -> Option<(&PolicyTrace, &StatementTrace)> {
        let Reason::Statement { policy, statement } = self.reason else {
            return None;
        };
        let policy = self.policies.get(policy)?;
        Some((policy, policy.statements.get(statement)?))
    }

    /// Returns the reason in one line.
    pub(crate) fn cause(&self) -> String {
        // The text may have several lines.
        let cause = self.because().replace('\n', " ");
        match self.statement() {
            Some((policy, statement)) => format!(
                "{cause}: {} {}, {}",
                policy.kind,
                printable(&policy.name),
                heading(statement)
            ),
            None => cause,
        }
    }

    /// Returns the end of AWS's message for a denial, which names the kind of policy that decided. STS's message for
    /// AssumeRole does not have it.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
    pub(crate) fn refusal(&self) -> String {
        let name = |kind: PolicyKind| match kind {
            PolicyKind::ResourceControl => "resource control policy",
            PolicyKind::ServiceControl => "service control policy",
            PolicyKind::Trust | PolicyKind::Resource => "resource-based policy",
            PolicyKind::Identity => "identity-based policy",
            PolicyKind::Boundary => "permissions boundary",
            PolicyKind::Session => "session policy",
        };
        match (self.statement(), &self.reason) {
            (Some((policy, _)), _) => {
                let article = match policy.kind {
                    PolicyKind::Identity => "an",
                    _ => "a",
                };
                format!("with an explicit deny in {article} {}", name(policy.kind))
            }
            (None, reason) => {
                let kind = match reason {
                    Reason::NoStatement(kind) => *kind,
                    _ => PolicyKind::Identity,
                };
                format!(
                    "because no {} allows the {} action",
                    name(kind),
                    self.action
                )
            }
        }
    }

    /// Returns the reason without the statement.
    fn because(&self) -> String {
        match &self.reason {
            Reason::Statement { .. } => match self.statement() {
                Some((_, statement)) if statement.effect == Effect::Deny => {
                    "a statement denies it".to_owned()
                }
                _ => "a statement allows it".to_owned(),
            },
            Reason::NoStatement(kind) => {
                let has_one = self.policies.iter().any(|policy| policy.kind == *kind);
                match kind {
                    PolicyKind::Trust => "the role's trust policy does not allow it".to_owned(),
                    PolicyKind::Resource if !has_one => {
                        "the resource, which is in another account, has no policy".to_owned()
                    }
                    PolicyKind::Identity if !has_one => {
                        "the caller has no identity policy".to_owned()
                    }
                    _ if !has_one => format!("there is no {kind}"),
                    _ => format!("no {kind} allows it"),
                }
            }
            Reason::NoSuchRole => "there is no such role".to_owned(),
            Reason::RootUser => "the root user needs no policy".to_owned(),
            Reason::KindOfSession => {
                "sessions from GetSessionToken and GetFederationToken may not call it, regardless of\n\
                 their policies"
                    .to_owned()
            }
            Reason::UnknownKeys(_) => {
                "it depends on condition keys whose presence in the request the test has not\n\
                 declared"
                    .to_owned()
            }
        }
    }

    /// Turns the decision into a denial, because sessions of the caller's kind may not call the operation.
    pub(crate) fn refuse_kind_of_session(&mut self) {
        if self.outcome != Outcome::ExplicitDeny {
            (self.outcome, self.reason) = (Outcome::ImplicitDeny, Reason::KindOfSession);
        }
    }

    /// Returns the text of the explanation, including external IDs.
    pub fn with_secrets(&self) -> impl fmt::Display + '_ {
        Text {
            explanation: self,
            secrets: true,
        }
    }
}

impl ConditionTrace {
    /// Returns the values in the policy, as written there. The values of `sts:ExternalId` are secret.
    pub fn policy_values(&self) -> &[String] {
        &self.policy_values
    }

    /// Returns the values in the request; `None` if it does not have the key. The values of `sts:ExternalId` are
    /// secret.
    pub fn request_values(&self) -> Option<&[String]> {
        self.request_values.as_deref()
    }

    /// Returns the policy variables in the policy's values, with their values in the request.
    pub fn variables(&self) -> impl Iterator<Item = (&str, Option<&[String]>)> {
        let variables = self.variables.iter();
        variables.map(|(key, values)| (key.as_str(), values.as_deref()))
    }
}

impl PolicyKind {
    /// Whether the statements of such a policy have a `Principal`.
    pub(super) fn has_principals(self) -> bool {
        matches!(self, Self::Trust | Self::Resource | Self::ResourceControl)
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResourceControl => "resource control policy",
            Self::ServiceControl => "service control policy",
            Self::Trust => "trust policy",
            Self::Resource => "policy of the resource",
            Self::Identity => "identity policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Text {
            explanation: self,
            secrets: false,
        };
        fmt::Display::fmt(&text, f)
    }
}

impl fmt::Debug for ConditionTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ConditionText {
            condition: self,
            secrets: false,
        };
        f.debug_struct("ConditionTrace")
            .field("operator", &self.operator)
            .field("key", &self.key)
            .field("policy_values", &text.policy_values())
            .field("request_values", &text.request_values())
            .finish_non_exhaustive()
    }
}

/// The text of an explanation, with or without secrets.
struct Text<'a> {
    explanation: &'a Explanation,
    secrets: bool,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explanation = self.explanation;
        let outcome = match explanation.outcome {
            Outcome::Allowed => "allowed",
            Outcome::ExplicitDeny | Outcome::ImplicitDeny => "denied",
            Outcome::Undecided => "cannot be decided",
        };
        writeln!(f, "{outcome}: {}", printable(&explanation.action))?;
        writeln!(f, "  by {}", printable(&explanation.principal))?;
        writeln!(f, "  on {}", printable(&explanation.resource))?;
        self.write_reason(f)
    }
}

impl Text<'_> {
    /// Writes the reason, and the policies that the reader should look at.
    fn write_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explanation = self.explanation;
        let policies = &explanation.policies;
        let because = explanation.because();
        match &explanation.reason {
            Reason::Statement { .. } => {
                writeln!(f, "because {because}:")?;
                let Some((policy, statement)) = explanation.statement() else {
                    return Ok(());
                };
                writeln!(f, "  {} {}", policy.kind, printable(&policy.name))?;
                let met = &statement.met;
                let end = match met.len() {
                    0 => "",
                    1 => ", whose condition is met:",
                    _ => ", whose conditions are met:",
                };
                writeln!(f, "    {}{end}", heading(statement))?;
                self.write_not_understood(f, statement)?;
                self.write_conditions(f, met)
            }
            Reason::NoStatement(kind) => {
                let of_kind: Vec<_> = policies.iter().filter(|p| p.kind == *kind).collect();
                let end = if of_kind.is_empty() { '.' } else { ':' };
                writeln!(f, "because {because}{end}")?;
                of_kind
                    .into_iter()
                    .try_for_each(|policy| self.write_policy(f, policy))
            }
            Reason::NoSuchRole | Reason::RootUser | Reason::KindOfSession => {
                writeln!(f, "because {because}.")
            }
            Reason::UnknownKeys(keys) => {
                writeln!(f, "because {because}:")?;
                for key in keys {
                    writeln!(f, "  {}", printable(key))?;
                }
                writeln!(f, "Of these policies:")?;
                let unknown = |policy: &&PolicyTrace| {
                    policy
                        .statements
                        .iter()
                        .any(|statement| match &statement.mismatch {
                            Some(Mismatch::Conditions(conditions)) => {
                                conditions.iter().any(|condition| condition.is_unknown)
                            }
                            _ => false,
                        })
                };
                let mut policies = policies.iter().filter(unknown);
                policies.try_for_each(|policy| self.write_policy(f, policy))
            }
        }
    }

    /// Writes a policy, and why its statements do not apply.
    fn write_policy(&self, f: &mut fmt::Formatter<'_>, policy: &PolicyTrace) -> fmt::Result {
        writeln!(f, "  {} {}", policy.kind, printable(&policy.name))?;
        let is_other =
            |statement: &&StatementTrace| matches!(statement.mismatch, Some(Mismatch::Action));
        // Real accounts have many such statements, and they are rarely the one that was meant.
        let others = policy.statements.iter().filter(is_other).count();
        for statement in &policy.statements {
            let elements = &statement.elements;
            let (reason, element) = match &statement.mismatch {
                Some(Mismatch::Action) if others > MAX_OTHERS => continue,
                Some(Mismatch::Action) => ("is about other actions:", Some(&elements.actions)),
                None => ("applies", None),
                Some(Mismatch::Principal) => {
                    ("does not name the caller:", elements.principals.as_ref())
                }
                Some(Mismatch::NotPrincipal) => {
                    ("exempts the caller:", elements.principals.as_ref())
                }
                Some(Mismatch::Resource) => {
                    ("is about other resources:", elements.resources.as_ref())
                }
                Some(Mismatch::Conditions(conditions))
                    if conditions.iter().all(|condition| condition.is_unknown) =>
                {
                    ("may apply:", None)
                }
                Some(Mismatch::Conditions(_)) => ("does not apply:", None),
                Some(Mismatch::NotUnderstood) => ("allows nothing here:", None),
            };
            writeln!(f, "    {} {reason}", heading(statement))?;
            if let None | Some(Mismatch::NotUnderstood) = &statement.mismatch {
                self.write_not_understood(f, statement)?;
            }
            if let Some(element) = element {
                self.write_element(f, element)?;
            }
            if let Some(Mismatch::Conditions(conditions)) = &statement.mismatch {
                self.write_conditions(f, conditions)?;
            }
        }
        if others > MAX_OTHERS {
            writeln!(f, "    {others} statements are about other actions")?;
        }
        Ok(())
    }

    fn write_not_understood(
        &self,
        f: &mut fmt::Formatter<'_>,
        statement: &StatementTrace,
    ) -> fmt::Result {
        match &statement.not_understood {
            Some(reason) => writeln!(f, "      not understood: {}", printable(reason)),
            None => Ok(()),
        }
    }

    /// Writes the principals, actions or resources of a statement.
    fn write_element(&self, f: &mut fmt::Formatter<'_>, element: &Element) -> fmt::Result {
        let shown = element.values.iter().take(MAX_VALUES);
        let mut values: Vec<String> = shown
            .map(|value| {
                let note = match element.name {
                    "Principal" => self.note_on_principal(value),
                    _ => "",
                };
                format!("{}{note}", printable(value))
            })
            .collect();
        let more = element.values.len().saturating_sub(MAX_VALUES);
        if more > 0 {
            values.push(format!("{more} more"));
        }
        write_values(f, 6, &format!("{}: ", element.name), &values)
    }

    /// Returns a note on a principal that may look like the caller but is another one.
    fn note_on_principal(&self, name: &str) -> &'static str {
        let caller = &self.explanation.principal;
        let is_id = ["AIDA", "AROA"].iter().any(|kind| name.starts_with(kind));
        let is_callers_role = || {
            let role = caller.split(':').nth(5)?.strip_prefix("assumed-role/")?;
            let role = role.split('/').next()?;
            let is_role = name.contains(":role/") && arn::name_of(name) == role;
            (is_role && arn::account_of(name) == arn::account_of(caller)).then_some(())
        };
        if is_id {
            " (a user or role that was deleted, or is in no account of the simulator)"
        } else if name == caller {
            " (an earlier user or role of this name, which was deleted)"
        } else if is_callers_role().is_some() {
            " (a role of this name with another path, or a deleted one)"
        } else {
            ""
        }
    }

    fn write_conditions(
        &self,
        f: &mut fmt::Formatter<'_>,
        conditions: &[ConditionTrace],
    ) -> fmt::Result {
        conditions.iter().try_for_each(|condition| {
            let text = ConditionText {
                condition,
                secrets: self.secrets,
            };
            write!(f, "{text}")
        })
    }
}

/// The maximum number of statements about other actions that are shown per policy, and of values per element.
const MAX_OTHERS: usize = 3;
const MAX_VALUES: usize = 5;

fn heading(statement: &StatementTrace) -> String {
    let sid = statement.sid.as_ref().map(|sid| format!(" {sid:?}"));
    format!(
        "statement {}{} ({})",
        statement.number,
        sid.unwrap_or_default(),
        statement.effect
    )
}

/// The text of a condition.
struct ConditionText<'a> {
    condition: &'a ConditionTrace,
    secrets: bool,
}

impl ConditionText<'_> {
    fn policy_values(&self) -> Vec<String> {
        self.show(&self.condition.key, &self.condition.policy_values)
    }

    fn request_values(&self) -> Vec<String> {
        match &self.condition.request_values {
            Some(values) if self.hides(&self.condition.key) => {
                vec![format!("(secret{})", self.difference(values))]
            }
            Some(values) => self.show(&self.condition.key, values),
            None if self.condition.is_unknown => vec!["(unknown)".to_owned()],
            None => vec!["(absent)".to_owned()],
        }
    }

    /// Returns how secret values differ from those in the policy, without showing them.
    fn difference(&self, values: &[String]) -> &'static str {
        let is_in_policy = |is_same: fn(&str, &str) -> bool| {
            let policy = &self.condition.policy_values;
            let mut pairs = policy
                .iter()
                .flat_map(|p| values.iter().map(move |v| (p, v)));
            pairs.any(|(policy, value)| is_same(policy, value))
        };
        if is_in_policy(|policy, value| policy == value) {
            ""
        } else if is_in_policy(|policy, value| policy.trim().eq_ignore_ascii_case(value.trim())) {
            ", different only in case or surrounding white space"
        } else {
            ", different"
        }
    }

    fn hides(&self, key: &str) -> bool {
        keys::is_secret(key) && !self.secrets
    }

    fn show(&self, key: &str, values: &[String]) -> Vec<String> {
        if self.hides(key) {
            return vec!["(secret)".to_owned()];
        }
        values.iter().map(|value| printable(value)).collect()
    }
}

impl fmt::Display for ConditionText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = self.condition;
        writeln!(
            f,
            "      {} {}",
            condition.operator,
            printable(&condition.key)
        )?;
        write_values(f, 8, "policy:  ", &self.policy_values())?;
        write_values(f, 8, "request: ", &self.request_values())?;
        for (key, values) in &condition.variables {
            let values = match values {
                Some(values) => self.show(key, values),
                None => vec!["(absent)".to_owned()],
            };
            let label = format!("where ${{{}}} is ", printable(key));
            write_values(f, 8, &label, &values)?;
        }
        Ok(())
    }
}

/// Writes values on one line or, if the line would be too long for a terminal, on a line each.
fn write_values(
    f: &mut fmt::Formatter<'_>,
    indent: usize,
    label: &str,
    values: &[String],
) -> fmt::Result {
    let line = values.join(" | ");
    if indent + label.chars().count() + line.chars().count() <= 80 {
        return writeln!(f, "{:indent$}{label}{line}", "");
    }
    let separator = format!("\n{:1$}", "", indent + label.chars().count());
    writeln!(f, "{:indent$}{label}{}", "", values.join(&separator))
}

/// Returns a value in a form that fits on one line of a terminal: quoted and escaped if it is empty, has white space at
/// an end, or contains control characters.
fn printable(value: &str) -> String {
    if value.is_empty() || value.trim() != value || value.contains(char::is_control) {
        format!("{value:?}")
    } else {
        value.to_owned()
    }
}
