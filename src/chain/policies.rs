//! [`RoleChain::policies`]: the IAM policies that a chain needs, and the [`Principal`] that starts it (feature
//! `policy`).
#![cfg(feature = "policy")]

use std::time::Duration;

use super::RoleChain;
use super::document::{Conditions, Document, Statement, is_pattern};
use crate::arn::{Arn, is_account_id};
use crate::error::{Error, Operation, Violation};
use crate::request::limits::ARN_LENGTH;
use crate::request::{CallerKind, RequestSummary, SessionAction};

/// The maximum number of characters of a role's trust policy, not counting white space, unless AWS raised the
/// [quota](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
pub const TRUST_POLICY_LIMIT: usize = 2048;

impl RoleChain {
    /// Returns the policies for each role of the chain, starting with the first, if the chain is started by
    /// `principal`: the ARN of a user or role, or another [`Principal`]. Makes no call. If a trust policy exceeds nine
    /// tenths of [the limit](TRUST_POLICY_LIMIT), a warning is logged.
    ///
    /// A role that the chain assumes twice has two entries: the statements of both belong into its policies.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(chain: aws_role_chain::RoleChain) -> Result<(), aws_role_chain::Error> {
    /// for hop in chain.policies("arn:aws:iam::111111111111:user/orders")? {
    ///     println!("trust policy of {}:\n{}", hop.role_arn, hop.trust_policy);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) principal, or one that cannot start this chain.
    pub fn policies(&self, principal: impl Into<Principal>) -> Result<Vec<HopPolicies>, Error> {
        let principal = principal.into();
        let requests = self.role_requests();
        let into_error = |violation: Violation| violation.into_error(Operation::WritePolicies);
        principal.check(&requests).map_err(into_error)?;
        let hops = requests.iter().map(|request| principal.policies(request));
        let hops: Vec<HopPolicies> = hops.collect::<Result<_, _>>().map_err(into_error)?;
        for hop in &hops {
            if let Some(warning) = hop.size_warning() {
                tracing::warn!(target: "aws_role_chain", role = %hop.role_arn, "{warning}");
            }
        }
        Ok(hops)
    }

    /// Returns a summary of the request for each role, starting with the first.
    pub(super) fn role_requests(&self) -> Vec<RequestSummary<'_>> {
        let hops = self.hops().into_iter().map(|hop| hop.loader().summary());
        hops.filter(|request| request.role.is_some()).collect()
    }
}

/// The two policies of one hop; see [`RoleChain::policies`].
///
/// # Examples
///
/// ```no_run
/// # fn example(chain: aws_role_chain::RoleChain) -> Result<(), aws_role_chain::Error> {
/// for hop in chain.policies("arn:aws:iam::111111111111:user/orders")? {
///     println!("in account {}, for {}:\n{}", hop.account, hop.role_arn, hop.trust_policy);
///     if let Some(permission) = hop.permission_policy {
///         println!("for {}:\n{permission}", hop.caller);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HopPolicies {
    /// Position in the chain, from 1. A session token counts as a hop, but has no entry here, because it needs no
    /// policies.
    pub hop: usize,
    /// The ARN of the role that is assumed.
    pub role_arn: String,
    /// The role's account, which the trust policy belongs to.
    pub account: String,
    /// The caller, which the permission policy belongs to: the ARN of a user or role, or of the identity provider.
    pub caller: String,
    /// The role's trust policy.
    pub trust_policy: Document,
    /// The caller's permission policy; `None` if the caller needs no permission, because it has a token or assertion,
    /// or because the role is in the caller's account and its trust policy names the caller [as the
    /// principal](Principal::exact).
    pub permission_policy: Option<Document>,
}

impl HopPolicies {
    /// Returns a warning about the trust policy's size, if it exceeds nine tenths of [the limit](TRUST_POLICY_LIMIT).
    pub fn size_warning(&self) -> Option<String> {
        let size = self.trust_policy.size();
        let fits = match size {
            0..=TRUST_POLICY_LIMIT => "near the limit",
            _ => "over the limit: IAM rejects it unless AWS raised the quota",
        };
        (size * 10 > TRUST_POLICY_LIMIT * 9).then(|| {
            format!(
                "the trust policy of {} has {size} of {TRUST_POLICY_LIMIT} characters, {fits}",
                self.role_arn
            )
        })
    }
}

/// The principal that starts a chain, and how the policies name it; see [`RoleChain::policies`].
///
/// # Examples
///
/// ```
/// use aws_role_chain::policy::Principal;
///
/// let user = Principal::arn("arn:aws:iam::111111111111:user/orders"); // or "…".into()
/// let pod = Principal::eks("https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD", "orders", "writer");
/// let workflow = Principal::github_actions("octo-org/octo-repo", "ref:refs/heads/main");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a principal does nothing until RoleChain::policies takes it"]
pub struct Principal {
    kind: PrincipalKind,
    exact: bool,
    mfa_max_age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PrincipalKind {
    Arn(String),
    WebIdentity {
        issuer: String,
        audience: String,
        subject: String,
    },
    Saml {
        audience: Option<String>,
    },
}

/// Issuers that AWS supports without a provider in IAM.
const BUILT_IN: [&str; 4] = [
    "accounts.google.com",
    "graph.facebook.com",
    "www.amazon.com",
    "cognito-identity.amazonaws.com",
];

impl Principal {
    /// Creates the principal of the IAM user or role whose credentials the base config provides:
    /// `arn:<partition>:iam::<account>:user/<path><name>` or `…:role/<path><name>`.
    ///
    /// The ARN of a role's session, as GetCallerIdentity returns it
    /// (`arn:<partition>:sts::<account>:assumed-role/<name>/<session>`), is accepted too, and stands for the role. It
    /// does not contain the role's path: if the role has one, pass the role's own ARN. Sessions of IAM Identity
    /// Center's roles (`AWSReservedSSO_…`) are rejected, because these roles always have a path.
    pub fn arn(arn: impl Into<String>) -> Self {
        Self::new(PrincipalKind::Arn(arn.into()))
    }

    /// Creates the principal of a web identity: issuer, audience and subject, exactly as in the token's claims `iss`,
    /// `aud` and `sub`. The issuer's `https://` may be omitted, as in the ARN of an OpenID Connect provider. The
    /// provider is that of the issuer in the role's own account.
    pub fn web_identity(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        Self::new(PrincipalKind::WebIdentity {
            issuer: issuer.into(),
            audience: audience.into(),
            subject: subject.into(),
        })
    }

    /// Creates the principal of a service account on EKS
    /// ([IRSA](https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html)). `issuer` is the
    /// cluster's, such as `https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD`.
    pub fn eks(issuer: impl Into<String>, namespace: &str, service_account: &str) -> Self {
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        Self::web_identity(issuer, "sts.amazonaws.com", subject)
    }

    /// Creates the principal of a [workflow on
    /// GitHub](https://docs.github.com/en/actions/concepts/security/openid-connect): `repository` is `<owner>/<name>`,
    /// and `context` is the rest of the token's subject, such as `ref:refs/heads/main` or `environment:production`. If
    /// the audience differs, or a repository's tokens have another format of subject (GitHub lets owners change it, and
    /// adds IDs for newer repositories), pass both as they are to [`web_identity`](Self::web_identity).
    pub fn github_actions(repository: &str, context: &str) -> Self {
        Self::web_identity(
            "https://token.actions.githubusercontent.com",
            "sts.amazonaws.com",
            format!("repo:{repository}:{context}"),
        )
    }

    /// Creates the principal of a SAML assertion from the provider that the chain names, posted to AWS's sign-in page
    /// for the role's partition (`https://signin.aws.amazon.com/saml`).
    pub fn saml() -> Self {
        Self::new(PrincipalKind::Saml { audience: None })
    }

    /// Creates a principal as [`saml`](Self::saml) does, for an assertion that is posted to another page. `audience` is
    /// the assertion's `Recipient`
    /// ([`SAML:aud`](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#ck_aud)),
    /// such as a region's `https://eu-west-1.signin.aws.amazon.com/saml`.
    pub fn saml_with_audience(audience: impl Into<String>) -> Self {
        let audience = Some(audience.into());
        Self::new(PrincipalKind::Saml { audience })
    }

    fn new(kind: PrincipalKind) -> Self {
        Self {
            kind,
            exact: false,
            mfa_max_age: None,
        }
    }

    /// Names each caller by its own ARN as the principal, at every hop.
    ///
    /// IAM then stores the caller's unique ID: the caller must exist before the trust policy, and is no longer trusted
    /// if it is deleted and created again. In the caller's own account, the role needs no permission policy.
    ///
    /// Default: the principal is the caller's account, and the condition `aws:PrincipalArn` restricts it to the caller.
    /// This works whether the caller is created before or after the policy, or created again
    /// ([principals](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html)).
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Limits the age of the MFA proof (`aws:MultiFactorAuthAge`) at the hop that requires MFA: at least one second,
    /// rounded down to whole seconds. It is useful after a session token; a code that is passed to AssumeRole is always
    /// new. Default: no limit.
    pub fn mfa_max_age(mut self, age: Duration) -> Self {
        self.mfa_max_age = Some(age);
        self
    }

    /// Checks that the principal is well-formed and can start this chain.
    pub(super) fn check(&self, requests: &[RequestSummary<'_>]) -> Result<(), Violation> {
        let violation = |rule, value| Err(Violation::new("principal", rule, value));
        let Some(first) = requests.first() else {
            return violation("is not needed: the chain assumes no role", None);
        };
        match (&self.kind, first.caller) {
            (PrincipalKind::Arn(arn), CallerKind::Base) => {
                caller_arn(arn)?;
                let partition = |arn| Arn::parse(arn).unwrap_or_default().partition;
                let of_role = partition(first.role_arn());
                if partition(arn) != of_role {
                    let rule = format!(
                        "must be in partition {of_role}, like the role: credentials are not valid \
                         in other partitions"
                    );
                    return violation(&rule, Some(arn));
                }
            }
            (
                PrincipalKind::WebIdentity {
                    issuer,
                    audience,
                    subject,
                },
                CallerKind::WebIdentity,
            ) => check_web_identity(issuer, audience, subject)?,
            (PrincipalKind::Saml { audience }, CallerKind::Saml(_)) => {
                let is_wrong = |text: &String| text.is_empty() || is_pattern(text);
                if audience.as_ref().is_some_and(is_wrong) {
                    return violation("must have a non-empty audience without *, ? or $", None);
                }
            }
            (_, CallerKind::WebIdentity) => {
                let rule = "must be a web identity (Principal::web_identity, eks, github_actions): this \
                            chain starts with one";
                return violation(rule, None);
            }
            (_, CallerKind::Saml(_)) => {
                let rule = "must be Principal::saml(): this chain starts with an assertion";
                return violation(rule, None);
            }
            (_, CallerKind::Base | CallerKind::Role(_)) => {
                let rule =
                    "must be the ARN of a user or role: this chain starts with its credentials";
                return violation(rule, None);
            }
        }
        if let Some(age) = self.mfa_max_age {
            let violation = |rule| Err(Violation::new("mfa_max_age", rule, None));
            if age.as_secs() == 0 {
                return violation("must be at least one second");
            }
            if !requests.iter().any(|request| request.proves_mfa) {
                return violation("has no effect: the chain proves no MFA");
            }
        }
        Ok(())
    }

    /// Generates the policies of one hop.
    pub(super) fn policies(&self, request: &RequestSummary<'_>) -> Result<HopPolicies, Violation> {
        let role_arn = request.role_arn();
        check_no_pattern("arn", "its path", role_arn)?;
        if let CallerKind::Role(caller) = request.caller {
            check_no_pattern("arn", "the path of the previous role", caller)?;
        }
        let contexts = request.role.map(|role| &role.provided_contexts);
        for context in contexts.into_iter().flatten() {
            check_no_pattern("provided_context", "its provider", &context.provider_arn)?;
        }
        // The ARN was checked when the role was added.
        let Arn {
            partition, account, ..
        } = Arn::parse(role_arn).unwrap_or_default();
        let (caller, trust) = match (request.caller, &self.kind) {
            (
                CallerKind::WebIdentity,
                PrincipalKind::WebIdentity {
                    issuer,
                    audience,
                    subject,
                },
            ) => {
                let issuer = issuer.strip_prefix("https://").unwrap_or(issuer);
                let mut conditions = Conditions::default();
                conditions.one("StringEquals", &format!("{issuer}:aud"), audience);
                conditions.one("StringEquals", &format!("{issuer}:sub"), subject);
                let provider = format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}");
                let trust = federated("AssumeRoleWithWebIdentity", &provider, conditions);
                (provider, trust)
            }
            (CallerKind::Saml(provider), PrincipalKind::Saml { audience }) => {
                let audience = audience.as_deref().unwrap_or(sign_in_page(partition));
                let mut conditions = Conditions::default();
                conditions.one("StringEquals", "SAML:aud", audience);
                let trust = federated("AssumeRoleWithSAML", provider, conditions);
                (provider.to_owned(), trust)
            }
            (CallerKind::Role(role), _) => (role.to_owned(), self.trust_policy(role, request)),
            (_, PrincipalKind::Arn(arn)) => {
                let caller = caller_arn(arn)?;
                let trust = self.trust_policy(&caller, request);
                (caller, trust)
            }
            // `check` has compared the two.
            _ => {
                let rule = "must match the start of the chain";
                return Err(Violation::new("principal", rule, None));
            }
        };
        let is_federated = matches!(
            request.caller,
            CallerKind::WebIdentity | CallerKind::Saml(_)
        );
        let caller_account = Arn::parse(&caller).map(|arn| arn.account);
        let is_named_in_own_account = self.exact && caller_account == Some(account);
        let permission = (!is_federated && !is_named_in_own_account).then(|| {
            let actions = request.session_actions().map(SessionAction::name);
            let statements = std::iter::once("AssumeRole")
                .chain(actions)
                .map(|action| Statement {
                    resource: vec![role_arn.to_owned()],
                    ..Statement::allow(action, &format!("sts:{action}"))
                });
            Document::new(statements.collect())
        });
        Ok(HopPolicies {
            hop: request.hop,
            role_arn: role_arn.to_owned(),
            account: account.to_owned(),
            caller,
            trust_policy: trust,
            permission_policy: permission,
        })
    }

    /// Generates the trust policy for a user or role.
    fn trust_policy(&self, caller: &str, request: &RequestSummary<'_>) -> Document {
        let mut who = Conditions::default();
        let principal = if self.exact {
            caller.to_owned()
        } else {
            who.one("ArnEquals", "aws:PrincipalArn", caller);
            let Arn {
                partition, account, ..
            } = Arn::parse(caller).unwrap_or_default();
            format!("arn:{partition}:iam::{account}:root")
        };
        let statement = |action: &'static str, mut conditions: Conditions| {
            conditions.extend(&who);
            Statement {
                principal: Some(("AWS", principal.clone())),
                conditions,
                ..Statement::allow(action, &format!("sts:{action}"))
            }
        };
        let assume_role = statement("AssumeRole", self.assume_role_conditions(request));
        let others = request.session_actions().map(|action| {
            let conditions = match action {
                SessionAction::TagSession => tag_session_conditions(request),
                SessionAction::SetSourceIdentity => source_identity_conditions(request),
                SessionAction::SetContext => set_context_conditions(request),
            };
            statement(action.name(), conditions)
        });
        Document::new(std::iter::once(assume_role).chain(others).collect())
    }

    fn assume_role_conditions(&self, request: &RequestSummary<'_>) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(id) = request.role.and_then(|role| role.external_id.as_ref()) {
            conditions.one("StringEquals", "sts:ExternalId", &id.0);
        }
        // Also here, because STS does not evaluate TagSession for a request without tags.
        conditions.extend(&tag_conditions(request));
        conditions.extend(&source_identity_conditions(request));
        if request.proves_mfa {
            conditions.one("Bool", "aws:MultiFactorAuthPresent", "true");
            if let Some(age) = self.mfa_max_age {
                let age = age.as_secs().to_string();
                conditions.one("NumericLessThan", "aws:MultiFactorAuthAge", &age);
            }
        }
        conditions
    }
}

impl From<&str> for Principal {
    /// Takes the ARN of a user or role, as [`Principal::arn`] does.
    fn from(arn: &str) -> Self {
        Self::arn(arn)
    }
}

impl From<String> for Principal {
    /// Takes the ARN of a user or role, as [`Principal::arn`] does.
    fn from(arn: String) -> Self {
        Self::arn(arn)
    }
}

/// Returns the page that identity providers post assertions to by default.
pub(super) fn sign_in_page(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "https://signin.amazonaws.cn/saml",
        "aws-us-gov" => "https://signin.amazonaws-us-gov.com/saml",
        _ => "https://signin.aws.amazon.com/saml",
    }
}

fn tag_conditions(request: &RequestSummary<'_>) -> Conditions {
    let mut conditions = Conditions::default();
    for tag in request.tags() {
        let key = format!("aws:RequestTag/{}", tag.key);
        conditions.one("StringEquals", &key, &tag.value);
    }
    conditions
}

/// Allows these tags and no others, including inherited ones: it is not documented whether STS counts those as tags of
/// the request.
fn tag_session_conditions(request: &RequestSummary<'_>) -> Conditions {
    let mut conditions = tag_conditions(request);
    let inherited = || {
        let keys = request.inherited.transitive_keys.iter();
        keys.map(|key| (*key).to_owned())
    };
    let own = |only_transitive: bool| {
        let tags = request.tags().iter();
        tags.filter(move |tag| tag.transitive || !only_transitive)
            .map(|tag| tag.key.clone())
    };
    let keys = inherited().chain(own(false)).collect();
    conditions.all("ForAllValues:StringEquals", "aws:TagKeys", keys);
    let key = "sts:TransitiveTagKeys";
    let transitive: Vec<_> = inherited().chain(own(true)).collect();
    if transitive.is_empty() {
        conditions.one("Null", key, "true");
    } else {
        conditions.all("ForAllValues:StringEquals", key, transitive);
    }
    conditions
}

/// `sts:SourceIdentity` is the identity in the request, `aws:SourceIdentity` the one that the caller already has.
fn source_identity_conditions(request: &RequestSummary<'_>) -> Conditions {
    let mut conditions = Conditions::default();
    let own = request
        .role
        .and_then(|role| role.source_identity.as_deref());
    match (own, request.inherited.source_identity) {
        (Some(identity), _) => conditions.one("StringEquals", "sts:SourceIdentity", identity),
        (None, Some(identity)) => {
            conditions.one("StringEquals", "aws:SourceIdentity", identity);
        }
        (None, None) => {}
    }
    conditions
}

fn set_context_conditions(request: &RequestSummary<'_>) -> Conditions {
    let contexts = request.role.map(|role| &role.provided_contexts);
    let contexts = contexts.into_iter().flatten();
    let providers = contexts.map(|context| context.provider_arn.clone());
    let mut conditions = Conditions::default();
    let key = "sts:RequestContextProviders";
    conditions.all("ForAllValues:ArnEquals", key, providers.collect());
    conditions
}

fn check_web_identity(issuer: &str, audience: &str, subject: &str) -> Result<(), Violation> {
    // GitHub's environments and workflows may have spaces in their names.
    let is_printable = |c: char| c.is_ascii_graphic() || c == ' ';
    let is_wrong =
        |claim: &str| claim.is_empty() || is_pattern(claim) || !claim.chars().all(is_printable);
    if [issuer, audience, subject].into_iter().any(is_wrong) {
        let rule = "must have a complete issuer, audience and subject, of printable ASCII \
                    characters other than *, ? and $";
        return Err(Violation::new("principal", rule, None));
    }
    let host = issuer.strip_prefix("https://").unwrap_or(issuer);
    if host.is_empty() || host.contains("://") || host.starts_with("arn:") {
        let rule = "must have the issuer's URL, https://<host><path>, as in the token's iss claim";
        return Err(Violation::new("principal", rule, Some(issuer)));
    }
    if BUILT_IN.contains(&host) {
        let rule = "must be an issuer with its own provider in IAM: this one is built into AWS, and \
                    trust policies name it differently \
                    (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc.html)";
        return Err(Violation::new("principal", rule, Some(issuer)));
    }
    Ok(())
}

/// Returns the ARN of the user or role that an ARN stands for.
fn caller_arn(text: &str) -> Result<String, Violation> {
    const SHAPE: &str = "must be the ARN of a user or role, arn:<partition>:iam::<account>:user/<path><name> \
                         or …:role/<path><name>";
    let violation = |rule: &str| Err(Violation::new("principal", rule, Some(text)));
    let arn = match Arn::parse(text) {
        Some(arn) if is_account_id(arn.account) && arn.region.is_empty() => arn,
        _ => return violation(SHAPE),
    };
    if !text.chars().all(|c| c.is_ascii_graphic()) || is_pattern(text) {
        return violation("must contain only printable ASCII characters other than *, ? and $");
    }
    if !ARN_LENGTH.contains(&text.len()) {
        let most = ARN_LENGTH.end();
        return violation(&format!("must have at most {most} characters"));
    }
    let names: Vec<&str> = arn.resource.split('/').collect();
    if names.iter().any(|name| name.is_empty()) {
        return violation(SHAPE);
    }
    match (arn.service, &names[..]) {
        ("iam", ["user" | "role", _, ..]) => Ok(text.to_owned()),
        ("sts", ["assumed-role", role, _]) if role.starts_with("AWSReservedSSO_") => violation(
            "must be the role's ARN, including its path (role/aws-reserved/sso.amazonaws.com/…): a \
             session's ARN omits the path",
        ),
        ("sts", ["assumed-role", role, _]) => {
            let Arn {
                partition, account, ..
            } = arn;
            Ok(format!("arn:{partition}:iam::{account}:role/{role}"))
        }
        ("iam", ["root"]) => violation("must be a user or role: root users cannot assume roles"),
        _ => violation(SHAPE),
    }
}

fn check_no_pattern(field: &'static str, part: &str, text: &str) -> Result<(), Violation> {
    if !is_pattern(text) {
        return Ok(());
    }
    let rule = format!("must not contain *, ? or $ in {part}: policies treat them as patterns");
    Err(Violation::new(field, rule, Some(text)))
}

fn federated(action: &'static str, provider: &str, conditions: Conditions) -> Document {
    Document::new(vec![Statement {
        principal: Some(("Federated", provider.to_owned())),
        conditions,
        ..Statement::allow(action, &format!("sts:{action}"))
    }])
}
