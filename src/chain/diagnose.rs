//! [`RoleChain::diagnose`]: tests a chain with real calls, hop by hop (feature `policy`).
#![cfg(feature = "policy")]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use serde_json::Value;

use super::RoleChain;
use super::hop::{Authentication, Hop, HopCache};
use super::policies::{HopPolicies, Principal};
use crate::cache::{Load, Panicked, catch_unwind};
use crate::error::{Error, ErrorKind, Operation};
use crate::request::{CallerKind, Parameter, RequestSummary};
use crate::session::Session;
use crate::sts::{DenyingPolicy, caller_arn, denying_policy, is_federated_user};

impl RoleChain {
    /// Tests the chain with real calls and reports the outcome of each: who owns the source credentials
    /// (GetCallerIdentity, which needs no permission), then for each hop whether it can be loaded and what its identity
    /// is, up to the first failure. If only GetCallerIdentity is denied, for example by the policy of a VPC endpoint,
    /// it continues. Use it to find out why a chain fails, or whether it will work.
    ///
    /// Each hop is [refreshed](Self::refresh): it needs a new MFA code if it has a device, the chain keeps the new
    /// session, and a hop that is denied keeps its cached credentials. The provider of the source credentials, or of a
    /// web identity token, is called twice.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(chain: aws_role_chain::RoleChain) {
    /// let diagnosis = chain.diagnose().await;
    /// println!("{diagnosis}");
    /// if let Some(policies) = diagnosis.policies() {
    ///     // If the request is right; else change that, not the policy.
    ///     println!("this would allow it:\n{}", policies.trust_policy);
    /// }
    /// # }
    /// ```
    pub async fn diagnose(&self) -> Diagnosis {
        let hops = self.hops();
        let mut diagnosis = Diagnosis {
            chain_len: self.hop().number,
            steps: Vec::new(),
            not_tried: Vec::new(),
            policies: None,
        };
        // A cached source has no region of its own, so the first hop after it makes the call.
        let asking = hops.iter().find(|hop| hop.loader().number > 0);
        let asking = asking.unwrap_or(&hops[0]).loader();
        let mut caller = match source_step(hops[0], asking).await {
            Some(outcome) => diagnosis.add(outcome),
            None => None,
        };
        for hop in hops.into_iter().filter(|hop| hop.loader().number > 0) {
            if diagnosis.can_go_on() {
                caller = diagnosis.add(hop_step(hop, caller.as_ref()).await);
            } else {
                diagnosis.not_tried.push(title(&hop.loader().summary()));
            }
        }
        diagnosis.policies = self.suggest_policies(&diagnosis.steps);
        diagnosis
    }

    /// Returns the policies that the denied hop may lack, or why there are none to show; `None` if policies are not the
    /// reason.
    fn suggest_policies(&self, steps: &[DiagnosisStep]) -> Option<Result<HopPolicies, String>> {
        let (last, before) = steps.split_last()?;
        let error = last.error.as_ref()?;
        let message = error.message().unwrap_or_default();
        let source = before.first().and_then(|step| step.arn.as_deref());
        // The source may have returned other credentials since then.
        let source = caller_arn(message).or(source);
        let is_about_policies = error.is_access_denied()
            && error.role_arn().is_some()
            && !message.contains("MultiFactorAuthentication failed")
            && !message.contains("by root accounts")
            && !source.is_some_and(is_federated_user);
        if !is_about_policies {
            return None;
        }
        if message.contains("explicit deny") {
            let reason = "a policy explicitly denies it, which no other policy can override";
            return Some(Err(reason.to_owned()));
        }
        if let Some(DenyingPolicy::Other(policy)) = denying_policy(message) {
            return Some(Err(format!(
                "the {policy} must allow it; trust and permission policies cannot replace that"
            )));
        }
        let requests = self.role_requests();
        let request = requests.iter().find(|request| request.hop == last.hop)?;
        let principal = match request.caller {
            // The caller is a role of the chain, whatever the principal is.
            CallerKind::Role(_) => None,
            CallerKind::Base => Some(Principal::arn(source?)),
            CallerKind::Saml(_) => Some(Principal::saml()),
            CallerKind::WebIdentity => {
                let claims = last.claims.as_ref()?;
                if !claims.actions.is_empty() {
                    return Some(Err(format!(
                        "the token's claims also require {}, but RoleChain::policies does not know \
                         their values: allow it in addition to sts:AssumeRoleWithWebIdentity",
                        claims.actions.join(" and ")
                    )));
                }
                let [audience] = &claims.audiences[..] else {
                    return Some(Err(format!(
                        "the token has several audiences ({}), and IAM compares the one that is a \
                         client ID of the identity provider: use RoleChain::policies with that one",
                        claims.audiences.join(", ")
                    )));
                };
                Some(Principal::web_identity(
                    &claims.issuer,
                    audience,
                    &claims.subject,
                ))
            }
        };
        let policies = match &principal {
            None => Principal::arn("").policies(request),
            Some(principal) => {
                let checked = principal.check(&requests);
                checked.and_then(|()| principal.policies(request))
            }
        };
        let policies = match policies {
            Ok(policies) => policies,
            Err(violation) => {
                let error = violation.into_error(Operation::WritePolicies);
                return Some(Err(error.to_string()));
            }
        };
        let action = message.split("perform: ").nth(1);
        let action = action.and_then(|rest| rest.split_whitespace().next());
        Some(match action {
            Some(action) if !policies.trust_policy.compact().contains(action) => Err(format!(
                "{action} is for tags or a source identity that the source's session already has, \
                 which this chain does not know: allow it to {} in the trust policy and in its own",
                policies.caller
            )),
            _ => Ok(policies),
        })
    }
}

/// A step and the credentials that it loaded.
type StepOutcome = (DiagnosisStep, Option<Credentials>);

/// Tests the source credentials; `None` if the chain starts with a token.
async fn source_step(first: &HopCache, asking: &Hop) -> Option<StepOutcome> {
    let hop = first.loader();
    let started = asking.now();
    let loaded = match hop.authentication() {
        Some(Authentication::WebIdentity(_) | Authentication::Saml(..)) => return None,
        // The roles are assumed with the credentials that this hop caches.
        None if hop.number == 0 => match first.refresh().await {
            Ok(()) => Ok(first.snapshot().session?.credentials),
            Err(error) => Err(error),
        },
        Some(Authentication::Base | Authentication::Hop(_)) | None => {
            let loaded = catch_unwind(hop.source_credentials()).await;
            loaded.unwrap_or_else(|Panicked| Err(hop.error(ErrorKind::Panicked)))
        }
    };
    let title = "source credentials".to_owned();
    let mut step = DiagnosisStep::new(title, 0, started, asking.now());
    let credentials = loaded.map_err(|error| step.error = Some(error)).ok();
    step.ask_identity(asking, credentials.as_ref()).await;
    Some((step, credentials))
}

async fn hop_step(cache: &HopCache, caller: Option<&Credentials>) -> StepOutcome {
    let hop = cache.loader();
    let started = hop.now();
    let mut refreshed = cache.refresh().await;
    let is_stored = |session: &Session| session.from_store;
    if refreshed.is_ok() && cache.snapshot().session.as_ref().is_some_and(is_stored) {
        // A session from the store proves nothing about a call to STS. The second refresh makes one.
        refreshed = cache.refresh().await;
    }
    let summary = hop.summary();
    let mut step = DiagnosisStep::new(title(&summary), hop.number, started, hop.now());
    step.role_arn = hop.role_arn().map(|arn| arn.to_string());
    step.parameters = shown(&summary, hop.target.parameters());
    let role = summary.role;
    step.sends_external_id = role.is_some_and(|role| role.external_id.is_some());
    step.has_session_policy =
        role.is_some_and(|role| role.policy.is_some() || !role.policy_arns.is_empty());
    step.claims = hop.claims().await;
    if let Some(claims) = &step.claims {
        step.parameters.extend([
            ("token's issuer", claims.issuer.clone()),
            ("token's audience", claims.audiences.join(", ")),
            ("token's subject", claims.subject.clone()),
        ]);
    }
    let is_temporary = caller.is_some_and(|caller| caller.session_token().is_some());
    step.is_chained = is_temporary && step.role_arn.is_some();
    step.duration = hop.properties().duration;
    step.max_lifetime = hop.max_lifetime();
    let refreshed = refreshed.map_err(|error| step.error = Some(error)).ok();
    let session = refreshed.and_then(|()| cache.snapshot().session);
    let credentials = session.map(|session| session.credentials);
    step.ask_identity(hop, credentials.as_ref()).await;
    (step, credentials)
}

fn title(summary: &RequestSummary<'_>) -> String {
    let operation = summary.operation.name();
    match summary.role {
        Some(_) => format!("{operation} {}", summary.role_arn()),
        None => operation.to_owned(),
    }
}

/// Returns the parameters of the request for a report: names and values.
fn shown(summary: &RequestSummary<'_>, parameters: Vec<Parameter>) -> Vec<(&'static str, String)> {
    let mut rows = vec![("region", summary.region.clone())];
    for parameter in parameters {
        let inherited = &summary.inherited;
        match parameter.field {
            // The assertion contains the session name.
            "session_name" if summary.operation == Operation::AssumeRoleWithSaml => continue,
            // The report has a separate line for the requested and the actual duration.
            "duration" => continue,
            "external_id"
                if parameter.shown.is_none() && summary.operation == Operation::AssumeRole =>
            {
                rows.push((parameter.label, "sent: no".to_owned()));
            }
            "source_identity" if parameter.shown.is_none() => {
                let inherited = inherited.source_identity;
                rows.extend(
                    inherited.map(|identity| (parameter.label, format!("{identity} (inherited)"))),
                );
            }
            _ => rows.extend(parameter.shown.map(|shown| (parameter.label, shown))),
        }
        if parameter.field == "tag" && !inherited.transitive_keys.is_empty() {
            rows.push(("inherited tags", inherited.transitive_keys.join(", ")));
        }
    }
    rows
}

/// The outcome of each hop of a chain; see [`RoleChain::diagnose`].
///
/// `Display` is a report for a terminal: for each hop the caller, the request and the result; after a failure the error
/// with its advice, and the two policies that would allow the call. Neither `Display` nor `Debug` contains a secret
/// key, a session token or an MFA code. The external ID appears in the trust policy, and nowhere else.
///
/// # Examples
///
/// ```no_run
/// # async fn example(chain: aws_role_chain::RoleChain) -> Result<(), aws_role_chain::Error> {
/// let diagnosis = chain.diagnose().await;
/// for step in diagnosis.steps() {
///     println!("hop {}: {:?}", step.hop, step.arn);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Diagnosis {
    pub(super) chain_len: usize,
    pub(super) steps: Vec<DiagnosisStep>,
    pub(super) not_tried: Vec<String>,
    pub(super) policies: Option<Result<HopPolicies, String>>,
}

impl Diagnosis {
    /// Returns whether every call succeeded.
    pub fn is_ok(&self) -> bool {
        self.error().is_none()
    }

    /// Returns the error of the last step that failed, with advice: the failure that ended the diagnosis or, if none
    /// did, that of the last GetCallerIdentity that was denied.
    pub fn error(&self) -> Option<&Error> {
        self.steps.iter().rev().find_map(|step| step.error.as_ref())
    }

    /// Returns the steps that were tried, in order: the source credentials, unless the chain starts with a token, and
    /// the hops.
    pub fn steps(&self) -> &[DiagnosisStep] {
        &self.steps
    }

    /// Returns the two policies that allow the denied hop, if policies may be the reason (`AccessDenied`) and STS
    /// reports who starts the chain. If the source is a role's session, the role's path is unknown: see
    /// [`Principal::arn`](crate::policy::Principal::arn).
    ///
    /// For a SAML assertion, they are those of [`Principal::saml`](crate::policy::Principal::saml), for an assertion
    /// without tags and source identity.
    ///
    /// They allow what this chain requested, as far as a [session policy](crate::Role::policy) of the previous hop
    /// allows it. If the request was wrong, for example because the external ID is not the one from the role's owner,
    /// change the request, not the policy.
    pub fn policies(&self) -> Option<&HopPolicies> {
        self.policies.as_ref()?.as_ref().ok()
    }

    /// Whether the next hop has credentials to call STS with, even if GetCallerIdentity was denied.
    fn can_go_on(&self) -> bool {
        self.steps.last().is_none_or(|step| match &step.error {
            Some(error) => step.access_key_id.is_some() && error.is_access_denied(),
            None => true,
        })
    }

    fn add(&mut self, (mut step, credentials): StepOutcome) -> Option<Credentials> {
        let chain_len = self.chain_len;
        step.error = step.error.map(|error| error.with_chain_len(chain_len));
        self.steps.push(step);
        credentials
    }
}

/// One step of a [`Diagnosis`].
///
/// # Examples
///
/// ```no_run
/// # fn example(step: &aws_role_chain::DiagnosisStep) {
/// match (&step.arn, &step.error) {
///     (Some(arn), _) => println!("hop {} is {arn}, after {} ms", step.hop, step.elapsed.as_millis()),
///     (None, Some(error)) => println!("hop {}: {error}", step.hop),
///     (None, None) => {}
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiagnosisStep {
    /// The hop's position in the chain, from 1; 0 for the source credentials.
    pub hop: usize,
    /// The role's ARN; `None` if no role is assumed.
    pub role_arn: Option<String>,
    /// The parameters of the request, as the report shows them: names and values. None is secret.
    pub parameters: Vec<(&'static str, String)>,
    /// The requested duration of the session; `None` for STS's default.
    pub duration: Option<Duration>,
    /// Whether the call is role chaining, because temporary credentials signed it. A session then lasts [an hour at
    /// most](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining).
    pub is_chained: bool,
    /// The access key ID of the loaded credentials.
    pub access_key_id: Option<String>,
    /// When the credentials expire; `None` also for long-term keys.
    pub expiry: Option<SystemTime>,
    /// The identity that GetCallerIdentity returns: `arn:aws:sts::<account>:assumed-role/<role>/<session>` or
    /// `arn:aws:iam::<account>:user/<user>`.
    pub arn: Option<String>,
    /// The account of that identity.
    pub account: Option<String>,
    /// How long it took to load the credentials, by the base config's clock, including waits, such as for a person's
    /// code and, at the first hop, for the source.
    pub elapsed: Duration,
    /// How long GetCallerIdentity took.
    pub identity_elapsed: Option<Duration>,
    /// Why there are no credentials, or why their identity is unknown.
    pub error: Option<Error>,
    pub(super) title: String,
    pub(super) ended: SystemTime,
    pub(super) max_lifetime: Duration,
    pub(super) sends_external_id: bool,
    pub(super) has_session_policy: bool,
    claims: Option<Claims>,
}

impl DiagnosisStep {
    fn new(title: String, hop: usize, started: SystemTime, ended: SystemTime) -> Self {
        Self {
            hop,
            role_arn: None,
            parameters: Vec::new(),
            duration: None,
            is_chained: false,
            access_key_id: None,
            expiry: None,
            arn: None,
            account: None,
            elapsed: since(started, ended),
            identity_elapsed: None,
            error: None,
            title,
            ended,
            max_lifetime: Duration::ZERO,
            sends_external_id: false,
            has_session_policy: false,
            claims: None,
        }
    }

    /// Stores the properties of the credentials, if there are any, and asks STS for their identity.
    async fn ask_identity(&mut self, asking: &Hop, credentials: Option<&Credentials>) {
        let Some(credentials) = credentials else {
            return;
        };
        self.access_key_id = Some(credentials.access_key_id().to_owned());
        self.expiry = credentials.expiry();
        let started = asking.now();
        let summary = RequestSummary {
            operation: Operation::GetCallerIdentity,
            hop: self.hop,
            role: None,
            ..asking.summary()
        };
        let sts = &asking.base.sts;
        match sts.get_caller_identity(&summary, credentials).await {
            Ok((arn, account)) => (self.arn, self.account) = (Some(arn), Some(account)),
            Err(error) => self.error = Some(error),
        }
        self.identity_elapsed = Some(since(started, asking.now()));
    }
}

impl Hop {
    fn now(&self) -> SystemTime {
        self.base.time.now()
    }

    /// Returns the claims of the token that the chain starts with.
    async fn claims(&self) -> Option<Claims> {
        let Authentication::WebIdentity(token) = self.authentication()? else {
            return None;
        };
        let token = self.base.with_provider_timeout(catch_unwind(token.get()));
        Claims::parse(&token.await?.ok()?.ok()?)
    }
}

/// The claims of a web identity token; not verified.
#[derive(Clone, Debug)]
struct Claims {
    issuer: String,
    /// The values of `aud`, and the authorized party (`azp`), which IAM may compare instead; at least one.
    audiences: Vec<String>,
    subject: String,
    /// The actions that must also be allowed because of the token's tags or source identity.
    actions: Vec<&'static str>,
}

impl Claims {
    fn parse(token: &str) -> Option<Self> {
        let mut payload = token.split('.').nth(1)?.replace('-', "+").replace('_', "/");
        payload += &"=".repeat(payload.len().wrapping_neg() % 4);
        let payload = aws_smithy_types::base64::decode(payload).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let names = || {
            claims
                .as_object()
                .into_iter()
                .flat_map(|claims| claims.keys())
        };
        let mut actions = vec![
            ("https://aws.amazon.com/tags", "sts:TagSession"),
            (
                "https://aws.amazon.com/source_identity",
                "sts:SetSourceIdentity",
            ),
        ];
        actions.retain(|(claim, _)| names().any(|name| name.starts_with(claim)));
        let mut audiences: Vec<String> = match &claims["aud"] {
            Value::Array(list) => list.iter().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        };
        audiences.extend(text(&claims["azp"]).filter(|party| !audiences.contains(party)));
        if audiences.is_empty() {
            return None;
        }
        Some(Self {
            issuer: text(&claims["iss"])?,
            audiences,
            subject: text(&claims["sub"])?,
            actions: actions.into_iter().map(|(_, action)| action).collect(),
        })
    }
}

/// Returns the time between two moments; zero if the clock was set back.
pub(super) fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}
