//! IAM's evaluation of a request: which policies must allow it, and in which order they are evaluated.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html>

use std::collections::BTreeSet;

use super::document::{Applies, Kind, Policy, Request};
use super::explanation::{Effect, Explanation, Outcome, PolicyTrace, Reason};
use super::principal::{Grant, Requester};

/// The policies that apply to a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies<'a> {
    /// Those of the resource's account.
    pub(crate) resource_control: Vec<&'a Policy>,
    /// Those of the caller's account, one list per level: the organization's root, each organizational unit on the
    /// path, and the account. Each level must allow the request.
    pub(crate) service_control: Vec<Vec<&'a Policy>>,
    pub(crate) resource: ResourcePolicy<'a>,
    pub(crate) identity: Vec<&'a Policy>,
    pub(crate) boundary: Option<&'a Policy>,
    /// If there are any, at least one of them must allow the request.
    pub(crate) session: Vec<&'a Policy>,
    /// Whether a session policy must allow the request even if there is none, as for federated users.
    pub(crate) needs_session_policy: bool,
}

/// The policy of the resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum ResourcePolicy<'a> {
    /// The resource has no policy. Callers in its own account need none.
    #[default]
    None,
    Policy(&'a Policy),
    /// A KMS key's policy, which must allow every caller.
    Key(&'a Policy),
    /// A role's trust policy, which must allow every caller.
    Trust(&'a Policy),
    NoSuchRole,
}

/// Decides on a request. `is_same_account` says whether the caller is in the resource's account.
pub(crate) fn authorize(
    policies: &Policies<'_>,
    request: Request<'_>,
    is_same_account: bool,
    principal: &str,
) -> Explanation {
    let comparison = Comparison::evaluate(policies, request);
    let decide =
        |assumption| comparison.decide(policies, request.requester, is_same_account, assumption);
    let (refusing, allowing) = (decide(Assumption::Refusing), decide(Assumption::Allowing));
    let is_allowed = |reason: &Decided| reason.0 == Outcome::Allowed;
    let (outcome, reason) = if is_allowed(&refusing) == is_allowed(&allowing) {
        // If both deny, the reason that is certain is better: the one in favor of allowing.
        if is_allowed(&refusing) {
            refusing
        } else {
            allowing
        }
    } else {
        (
            Outcome::Undecided,
            Reason::UnknownKeys(comparison.unknown_keys.into_iter().collect()),
        )
    };
    Explanation {
        principal: principal.to_owned(),
        action: request.action.to_owned(),
        resource: request.resource.to_owned(),
        reason,
        policies: comparison.traces,
        outcome,
    }
}

type Decided = (Outcome, Reason);

/// How statements that depend on unknown keys are treated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Assumption {
    /// Those that deny apply; those that allow do not.
    Refusing,
    /// Those that allow apply; those that deny do not.
    Allowing,
}

/// The result of comparing the policies with a request.
#[derive(Default)]
struct Comparison {
    traces: Vec<PolicyTrace>,
    /// The statements that apply or may apply.
    applicable: Vec<Applicable>,
    unknown_keys: BTreeSet<String>,
}

struct Applicable {
    kind: Kind,
    /// The level of a service control policy, as an index.
    level: usize,
    effect: Effect,
    grant: Grant,
    is_certain: bool,
    reason: Reason,
}

impl Comparison {
    fn evaluate(policies: &Policies<'_>, request: Request<'_>) -> Self {
        let mut this = Self::default();
        let has_boundary = policies.boundary.is_some();
        let mut compare =
            |policy: &Policy, level: usize| this.compare(policy, level, request, has_boundary);
        for policy in &policies.resource_control {
            compare(policy, 0);
        }
        for (level, of_level) in policies.service_control.iter().enumerate() {
            of_level.iter().for_each(|policy| compare(policy, level));
        }
        match policies.resource {
            ResourcePolicy::Policy(policy)
            | ResourcePolicy::Key(policy)
            | ResourcePolicy::Trust(policy) => compare(policy, 0),
            ResourcePolicy::None | ResourcePolicy::NoSuchRole => {}
        }
        let others = policies.identity.iter().chain(&policies.boundary);
        others
            .chain(&policies.session)
            .for_each(|policy| compare(policy, 0));
        this
    }

    fn compare(&mut self, policy: &Policy, level: usize, request: Request<'_>, has_boundary: bool) {
        let place = self.traces.len();
        let mut traces = Vec::with_capacity(policy.statements.len());
        for (i, statement) in policy.statements.iter().enumerate() {
            let (applies, trace) = statement.evaluate(i + 1, request, has_boundary);
            traces.push(trace);
            let (grant, is_certain) = match applies {
                Applies::Yes(grant) => (grant, true),
                Applies::Unknown(grant) => (grant, false),
                Applies::No => continue,
            };
            if !is_certain {
                self.unknown_keys
                    .extend(statement.unknown_keys(request.context));
            }
            self.applicable.push(Applicable {
                kind: policy.kind,
                level,
                effect: statement.effect,
                grant,
                is_certain,
                reason: Reason::Statement {
                    policy: place,
                    statement: i,
                },
            });
        }
        self.traces.push(PolicyTrace {
            kind: policy.kind,
            name: policy.name.clone(),
            statements: traces,
        });
    }

    fn decide(
        &self,
        policies: &Policies<'_>,
        requester: &Requester,
        is_same_account: bool,
        assumption: Assumption,
    ) -> Decided {
        let applicable = || {
            self.applicable.iter().filter(move |statement| {
                statement.is_certain
                    || (statement.effect == Effect::Deny) == (assumption == Assumption::Refusing)
            })
        };
        let allows = |kind: Kind| {
            applicable()
                .find(move |statement| statement.kind == kind && statement.effect == Effect::Allow)
        };
        let missing = |kind| (Outcome::ImplicitDeny, Reason::NoStatement(kind));

        // A deny in any policy overrides everything else.
        if let Some(deny) = applicable().find(|statement| statement.effect == Effect::Deny) {
            return (Outcome::ExplicitDeny, deny.reason.clone());
        }
        // Resource control policies can only deny: `RCPFullAWSAccess`, which allows everything, cannot be detached.
        // Service control policies limit only the principals of their account.
        let is_allowed_at = |level: usize| {
            applicable().any(|statement| {
                statement.kind == Kind::ServiceControl
                    && statement.effect == Effect::Allow
                    && statement.level == level
            })
        };
        if !(0..policies.service_control.len()).all(is_allowed_at) {
            return missing(Kind::ServiceControl);
        }
        let resource_kind = match policies.resource {
            ResourcePolicy::NoSuchRole => return (Outcome::ImplicitDeny, Reason::NoSuchRole),
            ResourcePolicy::Trust(_) => Kind::Trust,
            ResourcePolicy::Policy(_) | ResourcePolicy::Key(_) | ResourcePolicy::None => {
                Kind::Resource
            }
        };
        let granted = applicable()
            .filter(|statement| {
                statement.kind == resource_kind && statement.effect == Effect::Allow
            })
            .max_by_key(|statement| statement.grant);
        let must_grant = !is_same_account
            || matches!(
                policies.resource,
                ResourcePolicy::Trust(_) | ResourcePolicy::Key(_)
            );
        if granted.is_none() && must_grant {
            return missing(resource_kind);
        }
        // Within an account, a resource policy that names the caller is sufficient. If it names the caller's role, or
        // the user who called GetFederationToken, boundary and session policies still limit the session; if it names a
        // user or a session, they do not. If it names the account, the account's own policies decide.
        let grant = granted.map(|statement| statement.grant);
        let allowed = |statement: &Applicable| (Outcome::Allowed, statement.reason.clone());
        let is_federated = matches!(requester, Requester::Federated { .. });
        let grant = if is_same_account || is_federated {
            grant
        } else {
            None
        };
        if let (Some(granted), Some(Grant::Direct)) = (granted, grant) {
            return allowed(granted);
        }
        let identity = match (grant, granted) {
            (Some(Grant::SessionIssuer), Some(granted)) => allowed(granted),
            _ => match allows(Kind::Identity) {
                Some(statement) => allowed(statement),
                None if requester.is_root() => (Outcome::Allowed, Reason::RootUser),
                None => return missing(Kind::Identity),
            },
        };
        if policies.boundary.is_some() && allows(Kind::Boundary).is_none() {
            return missing(Kind::Boundary);
        }
        let is_limited = policies.needs_session_policy || !policies.session.is_empty();
        if is_limited && allows(Kind::Session).is_none() {
            return missing(Kind::Session);
        }
        identity
    }
}
