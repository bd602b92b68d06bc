//! The IAM documents that a chain needs (feature `policy`): for each hop the trust policy of its role and
//! the permission policy of whoever assumes it, from what the chain asks for.
//!
//! ```no_run
//! # fn example(base: aws_types::SdkConfig) -> Result<(), aws_role_chain::Error> {
//! use aws_role_chain::{Role, RoleChain};
//!
//! let writer = RoleChain::new(
//!     &base,
//!     Role::new("arn:aws:iam::222222222222:role/FirehoseWriter").external_id("c0ffee"),
//! )?;
//! for hop in writer.policies("arn:aws:iam::111111111111:user/orders")? {
//!     println!("trust policy of {}:\n{}", hop.role_arn, hop.trust_policy);
//!     if let Some(permission) = hop.permission_policy {
//!         println!("policy of {}:\n{permission}", hop.caller);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What the documents say
//!
//! - Each action is a statement of its own, because STS authorises each by itself, and each has condition
//!   keys of its own: `sts:AssumeRole`; `sts:TagSession` where tags are passed or inherited;
//!   `sts:SetSourceIdentity` where a source identity is set or inherited; `sts:SetContext`
//!   ([the keys](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html)).
//! - The trust policy lets in what the chain asks for, and nothing else: this caller, with this external
//!   ID, these tags and no others, this source identity, with MFA where the chain proves it. It says
//!   nothing of the session's name, duration and session policies.
//! - Roles are named by their ARNs, never by `*`.
//! - What a source's credentials bring along (the tags of an EKS pod identity, the claims of a token) is
//!   not known to the chain, and not in its documents.
//!
//! The documents hold the external ID, as IAM wants it. Their `Debug` does not.

use std::fmt;
use std::time::Duration;

use aws_smithy_json::serialize::JsonValueWriter;

use crate::chain::RoleChain;
use crate::error::Error;
use crate::json::in_ascii;
use crate::role::{ArnParts, Before, Broken, Request, is_account_id};

/// The most characters that a role's trust policy may have, unless AWS raised the
/// [quota](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html); white space does
/// not count.
pub const TRUST_POLICY_LIMIT: usize = 2048;

impl RoleChain {
    /// The documents for each role of the chain, the first one first, if it starts from `source`: an
    /// ARN, or another [`Source`]. Makes no call. A trust policy that is near
    /// [its limit](TRUST_POLICY_LIMIT) or over is warned of in the log.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) source, or one from which this chain does not start.
    pub fn policies(&self, source: impl Into<Source>) -> Result<Vec<HopPolicies>, Error> {
        let source = source.into();
        let asked = self.asked();
        source
            .check(&asked)
            .map_err(|broken| broken.into_error(None, 0))?;
        let hops = asked.iter().map(|asked| source.policies(asked));
        let hops: Vec<HopPolicies> = hops
            .collect::<Result<_, Broken>>()
            .map_err(|broken| broken.into_error(None, 0))?;
        for hop in &hops {
            if let Some(warning) = hop.size_warning() {
                tracing::warn!(target: "aws_role_chain", role = %hop.role_arn, "{warning}");
            }
        }
        Ok(hops)
    }
}

/// What IAM must hold for one hop; see [`RoleChain::policies`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HopPolicies {
    /// Place in the chain, from 1. A session token is a hop without policies: it needs none.
    pub hop: usize,
    /// The role that is assumed.
    pub role_arn: String,
    /// Its account, where the trust policy belongs.
    pub account: String,
    /// Who assumes it, where the permission policy belongs: the ARN of a user or role, or of the
    /// identity provider.
    pub caller: String,
    /// The role's trust policy.
    pub trust_policy: Document,
    /// What the caller must be allowed. None where it needs no permission: a token or assertion is
    /// enough, or the trust policy of a role in the caller's own account names it
    /// [by itself](Source::exact).
    pub permission_policy: Option<Document>,
}

impl HopPolicies {
    /// What to know of the trust policy's size, if it has over nine tenths of
    /// [the limit](TRUST_POLICY_LIMIT).
    pub fn size_warning(&self) -> Option<String> {
        let size = self.trust_policy.size();
        let fits = match size {
            0..=TRUST_POLICY_LIMIT => "near the limit",
            _ => "over the limit: IAM refuses it, unless AWS raised the quota",
        };
        (size * 10 > TRUST_POLICY_LIMIT * 9).then(|| {
            format!(
                "the trust policy of {} has {size} characters of {TRUST_POLICY_LIMIT}, {fits}",
                self.role_arn
            )
        })
    }
}

/// Who starts a chain, and how the documents name whoever assumes a role.
///
/// From an ARN (`"arn:aws:iam::111111111111:user/orders".into()`) or one of the constructors.
#[derive(Clone, Debug)]
#[must_use = "a source does nothing until RoleChain::policies takes it"]
pub struct Source {
    start: Start,
    exact: bool,
    mfa_max_age: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Start {
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

/// Issuers that need no provider in IAM.
const BUILT_IN: [&str; 4] = [
    "accounts.google.com",
    "graph.facebook.com",
    "www.amazon.com",
    "cognito-identity.amazonaws.com",
];

impl Source {
    /// The IAM user or role whose credentials the base config provides:
    /// `arn:<partition>:iam::<account>:user/<path><name>` or `…:role/<path><name>`.
    ///
    /// The ARN that GetCallerIdentity tells of a role's session
    /// (`arn:<partition>:sts::<account>:assumed-role/<name>/<session>`) stands for the role. It leaves
    /// out the role's path: for a role that has one, give the role's own ARN. The roles of IAM Identity
    /// Center (`AWSReservedSSO_…`) always have one, so their sessions are refused.
    pub fn arn(arn: impl Into<String>) -> Self {
        Self::new(Start::Arn(arn.into()))
    }

    /// A web identity: the token's issuer (`https://…`, or without that as the provider's ARN has it),
    /// audience and subject, each as it stands in the token's claims `iss`, `aud` and `sub`. The
    /// OpenID Connect provider is the issuer's in the role's own account.
    pub fn web_identity(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        Self::new(Start::WebIdentity {
            issuer: issuer.into(),
            audience: audience.into(),
            subject: subject.into(),
        })
    }

    /// A service account on EKS
    /// ([IRSA](https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html)).
    /// `issuer` is the cluster's, such as `https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD`.
    pub fn eks(issuer: impl Into<String>, namespace: &str, service_account: &str) -> Self {
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        Self::web_identity(issuer, "sts.amazonaws.com", subject)
    }

    /// A [workflow on GitHub](https://docs.github.com/en/actions/concepts/security/openid-connect):
    /// `repository` is `<owner>/<name>`, and `context` the rest of the token's subject, such as
    /// `ref:refs/heads/main` or `environment:production`. Where a repository's tokens have another
    /// subject (GitHub lets owners change it, and adds ids for newer ones), or the audience is another,
    /// give both as they are with [`web_identity`](Self::web_identity).
    pub fn github_actions(repository: &str, context: &str) -> Self {
        Self::web_identity(
            "https://token.actions.githubusercontent.com",
            "sts.amazonaws.com",
            format!("repo:{repository}:{context}"),
        )
    }

    /// A SAML assertion of the provider that the chain names, posted to AWS's sign-in page of the
    /// role's partition (`https://signin.aws.amazon.com/saml`).
    pub fn saml() -> Self {
        Self::new(Start::Saml { audience: None })
    }

    /// As [`saml`](Self::saml), posted elsewhere: `audience` is the assertion's `Recipient`
    /// ([`SAML:aud`](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#ck_aud)),
    /// such as a region's `https://eu-west-1.signin.aws.amazon.com/saml`.
    pub fn saml_for(audience: impl Into<String>) -> Self {
        let audience = Some(audience.into());
        Self::new(Start::Saml { audience })
    }

    fn new(start: Start) -> Self {
        Self {
            start,
            exact: false,
            mfa_max_age: None,
        }
    }

    /// Names callers as principals by their own ARNs, at every hop.
    ///
    /// IAM then keeps the caller's unique id: the caller must be there before the trust policy, and one
    /// deleted and made again is trusted no more. In the caller's own account the role then needs no
    /// permission policy.
    ///
    /// Default: the principal is the caller's account, and the condition `aws:PrincipalArn` narrows it to
    /// the caller, which works whether the caller is made before, after or anew
    /// ([principals](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html)).
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// How long ago MFA may have been proved, at the hop that the chain proves it to: at least a
    /// second, counted in whole ones (`aws:MultiFactorAuthAge`). Of use behind a session token; a code
    /// passed with AssumeRole itself is always new. Default: any time.
    pub fn mfa_max_age(mut self, age: Duration) -> Self {
        self.mfa_max_age = Some(age);
        self
    }

    fn check(&self, asked: &[Asked<'_>]) -> Result<(), Broken> {
        let by = asked.first().map(|asked| &asked.by);
        let broken = |rule, value| Err(Broken::new("source", rule, value));
        match (&self.start, by) {
            (_, None) => {
                return broken(
                    "is of no use: a chain that assumes no role needs no policy",
                    None,
                );
            }
            (Start::Arn(arn), Some(By::Source)) => drop(caller(arn)?),
            (
                Start::WebIdentity {
                    issuer,
                    audience,
                    subject,
                },
                Some(By::WebIdentity),
            ) => {
                // GitHub's environments and workflows may have spaces in their names.
                let is_printable = |c: char| c.is_ascii_graphic() || c == ' ';
                let is_wrong = |claim: &&String| {
                    claim.is_empty() || is_pattern(claim) || !claim.chars().all(is_printable)
                };
                if [issuer, audience, subject].iter().any(is_wrong) {
                    return broken(
                        "must have one issuer, audience and subject, each in full: printable ASCII \
                         characters other than *, ? and $",
                        None,
                    );
                }
                let host = issuer.strip_prefix("https://").unwrap_or(issuer);
                if BUILT_IN.contains(&host) {
                    let rule = "must be an issuer with a provider of its own in IAM: AWS knows this one \
                                itself, and trust policies name it otherwise \
                                (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc.html)";
                    return broken(rule, Some(issuer));
                }
            }
            (Start::Saml { audience }, Some(By::Saml(provider))) => {
                let texts = [Some(*provider), audience.as_deref()];
                let is_wrong = |text: &str| text.is_empty() || is_pattern(text);
                if texts.into_iter().flatten().any(is_wrong) {
                    let rule = "must have a provider and an audience without *, ? and $";
                    return broken(rule, None);
                }
            }
            (_, Some(by)) => {
                let rule = match by {
                    By::WebIdentity => {
                        "must be a web identity (Source::web_identity, eks, github_actions): this \
                         chain starts with one"
                    }
                    By::Saml(_) => "must be Source::saml(): this chain starts with an assertion",
                    _ => {
                        "must be the ARN of a user or role: this chain starts with its credentials"
                    }
                };
                return broken(rule, None);
            }
        }
        if let Some(age) = self.mfa_max_age {
            let broken = |rule| Err(Broken::new("mfa_max_age", rule, None));
            if age.as_secs() == 0 {
                return broken("must be at least a second");
            }
            if !asked.iter().any(|asked| asked.mfa) {
                return broken("is of no use: the chain proves no MFA");
            }
        }
        Ok(())
    }

    pub(crate) fn policies(&self, asked: &Asked<'_>) -> Result<HopPolicies, Broken> {
        let role_arn = &*asked.role.role_arn;
        if is_pattern(role_arn) {
            return Err(Broken::new(
                "arn",
                "must have no *, ? or $ in its path: a policy would take it for a pattern",
                Some(role_arn),
            ));
        }
        let contexts = &asked.role.provided_contexts;
        if let Some((provider, _)) = contexts.iter().find(|(arn, _)| is_pattern(arn)) {
            return Err(Broken::new(
                "provided_context",
                "must have no *, ? or $ in its provider: a policy would take it for a pattern",
                Some(provider),
            ));
        }
        // Checked when the role was added.
        let partition = role_arn.split(':').nth(1).unwrap_or("aws");
        let account = &*asked.role.account;
        let (caller, trust) = match (&asked.by, &self.start) {
            (
                By::WebIdentity,
                Start::WebIdentity {
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
            (By::Saml(provider), Start::Saml { audience }) => {
                let audience = audience.as_deref().unwrap_or(match partition {
                    "aws-cn" => "https://signin.amazonaws.cn/saml",
                    "aws-us-gov" => "https://signin.amazonaws-us-gov.com/saml",
                    _ => "https://signin.aws.amazon.com/saml",
                });
                let mut conditions = Conditions::default();
                conditions.one("StringEquals", "SAML:aud", audience);
                let trust = federated("AssumeRoleWithSAML", provider, conditions);
                ((*provider).to_owned(), trust)
            }
            (By::Role(role), _) => ((*role).to_owned(), self.trust(role, asked)),
            (_, Start::Arn(arn)) => {
                let caller = caller(arn)?;
                let trust = self.trust(&caller, asked);
                (caller, trust)
            }
            // Compared before.
            _ => {
                return Err(Broken::new(
                    "source",
                    "must be what the chain starts from",
                    None,
                ));
            }
        };
        let is_federated = matches!(asked.by, By::WebIdentity | By::Saml(_));
        let named_at_home = self.exact && caller.split(':').nth(4) == Some(account);
        let permission = (!is_federated && !named_at_home).then(|| {
            let actions = asked.actions();
            let statements = actions.into_iter().map(|action| Statement {
                resource: vec![role_arn.to_owned()],
                ..Statement::allow(action, &format!("sts:{action}"))
            });
            Document(statements.collect())
        });
        Ok(HopPolicies {
            hop: asked.hop,
            role_arn: role_arn.to_owned(),
            account: account.to_owned(),
            caller,
            trust_policy: trust,
            permission_policy: permission,
        })
    }

    /// The trust policy for a user or role.
    fn trust(&self, caller: &str, asked: &Asked<'_>) -> Document {
        let role = asked.role;
        let mut who = Conditions::default();
        let principal = match self.exact {
            true => caller.to_owned(),
            false => {
                who.one("ArnEquals", "aws:PrincipalArn", caller);
                let account = caller.splitn(6, ':').take(5).collect::<Vec<_>>().join(":");
                format!("{account}:root")
            }
        };
        let statement = |action: &'static str| {
            let mut conditions = Conditions::default();
            match action {
                "AssumeRole" => {
                    if let Some(id) = &role.external_id {
                        conditions.one("StringEquals", "sts:ExternalId", id);
                    }
                    asked.require_tags(&mut conditions);
                    asked.require_source_identity(&mut conditions);
                    if asked.mfa {
                        conditions.one("Bool", "aws:MultiFactorAuthPresent", "true");
                        if let Some(age) = self.mfa_max_age {
                            let age = age.as_secs().to_string();
                            conditions.one("NumericLessThan", "aws:MultiFactorAuthAge", &age);
                        }
                    }
                }
                "TagSession" => {
                    asked.require_tags(&mut conditions);
                    asked.allow_no_other_tags(&mut conditions);
                }
                "SetSourceIdentity" => asked.require_source_identity(&mut conditions),
                _ => {
                    let providers = role.provided_contexts.iter().map(|(arn, _)| arn.clone());
                    let providers = providers.collect();
                    let key = "sts:RequestContextProviders";
                    conditions.all("ForAllValues:ArnEquals", key, providers);
                }
            }
            conditions.0.extend(who.0.iter().cloned());
            Statement {
                principal: Some(("AWS", principal.clone())),
                conditions,
                ..Statement::allow(action, &format!("sts:{action}"))
            }
        };
        Document(asked.actions().into_iter().map(statement).collect())
    }
}

impl<T: Into<String>> From<T> for Source {
    /// The ARN of a user or role, as for [`Source::arn`].
    fn from(arn: T) -> Self {
        Self::arn(arn)
    }
}

/// The ARN of the user or role that an ARN stands for.
fn caller(arn: &str) -> Result<String, Broken> {
    const SHAPE: &str = "must be the ARN of a user or role, arn:<partition>:iam::<account>:user/<path><name> \
                         or …:role/<path><name>";
    let broken = |rule: &str| Err(Broken::new("source", rule, Some(arn)));
    let parts = match ArnParts::parse(arn) {
        Some(parts) if is_account_id(parts.account) && parts.region.is_empty() => parts,
        _ => return broken(SHAPE),
    };
    if arn.len() > 2048 || !arn.chars().all(|c| c.is_ascii_graphic()) || is_pattern(arn) {
        return broken("must have printable ASCII characters other than *, ? and $");
    }
    let names: Vec<&str> = parts.resource.split('/').collect();
    if names.iter().any(|name| name.is_empty()) {
        return broken(SHAPE);
    }
    match (parts.service, &names[..]) {
        ("iam", ["user" | "role", _, ..]) => Ok(arn.to_owned()),
        ("sts", ["assumed-role", role, _]) if role.starts_with("AWSReservedSSO_") => broken(
            "must be the role's own ARN, with its path (role/aws-reserved/sso.amazonaws.com/…): a \
             session's leaves it out",
        ),
        ("sts", ["assumed-role", role, _]) => {
            // Parsed above.
            let partition = arn.split(':').nth(1).unwrap_or_default();
            let account = parts.account;
            Ok(format!("arn:{partition}:iam::{account}:role/{role}"))
        }
        ("iam", ["root"]) => broken("must be a user or role: an account's root assumes no roles"),
        _ => broken(SHAPE),
    }
}

/// Whether a policy would not take this for itself: wildcards, and variables.
fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '$'])
}

/// What one hop asks for, as far as policies care.
pub(crate) struct Asked<'a> {
    pub(crate) hop: usize,
    pub(crate) role: &'a Request,
    pub(crate) inherited: Before<'a>,
    pub(crate) by: By<'a>,
    /// Whether the call proves MFA: with a code, or as a session that was given for one.
    pub(crate) mfa: bool,
}

/// Who asks.
pub(crate) enum By<'a> {
    /// The base config's user or role, itself or by a session token.
    Source,
    Role(&'a str),
    WebIdentity,
    /// The provider's ARN.
    Saml(&'a str),
}

impl Asked<'_> {
    /// The actions that STS authorises AssumeRole as.
    fn actions(&self) -> Vec<&'static str> {
        let role = self.role;
        let tags = !role.tags.is_empty() || !self.inherited.transitive_keys.is_empty();
        let identity = role.source_identity.is_some() || self.inherited.source_identity.is_some();
        let needed = [
            ("AssumeRole", true),
            ("TagSession", tags),
            ("SetSourceIdentity", identity),
            ("SetContext", !role.provided_contexts.is_empty()),
        ];
        let needed = needed.into_iter().filter(|(_, needed)| *needed);
        needed.map(|(action, _)| action).collect()
    }

    /// On AssumeRole too: without tags in a request STS does not look at TagSession.
    fn require_tags(&self, conditions: &mut Conditions) {
        for tag in &self.role.tags {
            let key = format!("aws:RequestTag/{}", tag.key);
            conditions.one("StringEquals", &key, &tag.value);
        }
    }

    /// Whether STS counts inherited tags among a request's is not documented: they may be there.
    fn allow_no_other_tags(&self, conditions: &mut Conditions) {
        let inherited = || {
            self.inherited
                .transitive_keys
                .iter()
                .map(|key| (*key).to_owned())
        };
        let own = |transitive: bool| {
            let tags = self.role.tags.iter();
            tags.filter(move |tag| tag.transitive || !transitive)
                .map(|tag| tag.key.clone())
        };
        let keys = inherited().chain(own(false)).collect();
        conditions.all("ForAllValues:StringEquals", "aws:TagKeys", keys);
        let key = "sts:TransitiveTagKeys";
        let transitive: Vec<_> = inherited().chain(own(true)).collect();
        match transitive.is_empty() {
            true => conditions.one("Null", key, "true"),
            false => conditions.all("ForAllValues:StringEquals", key, transitive),
        }
    }

    /// `sts:SourceIdentity` is what a request passes, `aws:SourceIdentity` what its caller has already.
    fn require_source_identity(&self, conditions: &mut Conditions) {
        match (&self.role.source_identity, self.inherited.source_identity) {
            (Some(identity), _) => conditions.one("StringEquals", "sts:SourceIdentity", identity),
            (None, Some(identity)) => {
                conditions.one("StringEquals", "aws:SourceIdentity", identity);
            }
            (None, None) => {}
        }
    }
}

fn federated(action: &'static str, provider: &str, conditions: Conditions) -> Document {
    Document(vec![Statement {
        principal: Some(("Federated", provider.to_owned())),
        conditions,
        ..Statement::allow(action, &format!("sts:{action}"))
    }])
}

/// An IAM policy.
///
/// `Display` is JSON for people, always the same for the same chain; `Debug` tells the size only, because
/// a trust policy may hold an external ID.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Vec<Statement>);

impl Document {
    /// For a role that puts records on this Firehose stream,
    /// `arn:<partition>:firehose:<region>:<account>:deliverystream/<name>`.
    ///
    /// # Errors
    ///
    /// What is no stream's ARN is [invalid](Error::is_invalid).
    pub fn firehose_put(stream_arn: &str) -> Result<Self, Error> {
        let is_stream = |parts: &ArnParts<'_>| {
            let name = parts.resource.strip_prefix("deliverystream/");
            parts.service == "firehose"
                && !parts.region.is_empty()
                && is_account_id(parts.account)
                && name.is_some_and(|name| {
                    let signs = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                    (1..=64).contains(&name.len()) && name.chars().all(signs)
                })
        };
        if !ArnParts::parse(stream_arn).is_some_and(|parts| is_stream(&parts)) {
            let rule = "must be arn:<partition>:firehose:<region>:<account>:deliverystream/<name>";
            return Err(Broken::new("stream_arn", rule, Some(stream_arn)).into_error(None, 0));
        }
        let put = |sid: &'static str, action: &str| Statement {
            resource: vec![stream_arn.to_owned()],
            ..Statement::allow(sid, action)
        };
        Ok(Self(vec![
            put("PutRecord", "firehose:PutRecord"),
            put("PutRecordBatch", "firehose:PutRecordBatch"),
        ]))
    }

    /// For a role that lists and reads what is in a bucket (`arn:<partition>:s3:::<bucket>`) under
    /// `prefix`, such as `2026/`; an empty one is the whole bucket.
    ///
    /// # Errors
    ///
    /// What is no bucket's ARN, or a prefix with `*`, `?` or `$`, is [invalid](Error::is_invalid).
    pub fn s3_read(bucket_arn: &str, prefix: &str) -> Result<Self, Error> {
        let is_bucket = |parts: &ArnParts<'_>| {
            let signs = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
            parts.service == "s3"
                && parts.region.is_empty()
                && parts.account.is_empty()
                && (3..=63).contains(&parts.resource.len())
                && parts.resource.chars().all(signs)
        };
        if !ArnParts::parse(bucket_arn).is_some_and(|parts| is_bucket(&parts)) {
            let rule = "must be arn:<partition>:s3:::<bucket>";
            return Err(Broken::new("bucket_arn", rule, Some(bucket_arn)).into_error(None, 0));
        }
        if is_pattern(prefix) {
            let rule = "must have no *, ? or $: a policy would take it for a pattern";
            return Err(Broken::new("prefix", rule, Some(prefix)).into_error(None, 0));
        }
        let mut list = Statement::allow("ListBucket", "s3:ListBucket");
        list.resource = vec![bucket_arn.to_owned()];
        if !prefix.is_empty() {
            let below = format!("{prefix}*");
            list.conditions.one("StringLike", "s3:prefix", &below);
        }
        let get = Statement {
            resource: vec![format!("{bucket_arn}/{prefix}*")],
            ..Statement::allow("GetObject", "s3:GetObject")
        };
        Ok(Self(vec![list, get]))
    }

    /// The JSON on one line, without white space between its parts.
    pub fn compact(&self) -> String {
        self.json(None)
    }

    /// Its characters, as IAM counts them: without white space between the parts.
    pub fn size(&self) -> usize {
        self.compact().chars().count()
    }

    /// With `indent` over several lines.
    fn json(&self, indent: Option<usize>) -> String {
        let statements = self.0.iter().map(Statement::json).collect();
        let document = Json::Object(vec![
            ("Version".to_owned(), Json::Text("2012-10-17".to_owned())),
            ("Statement".to_owned(), Json::Array(statements)),
        ]);
        let mut out = String::new();
        document.write(&mut out, indent);
        // IAM takes no characters above U+00FF.
        in_ascii(&out)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json(Some(0)))
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} characters)", self.size())
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Statement {
    sid: &'static str,
    principal: Option<(&'static str, String)>,
    action: String,
    resource: Vec<String>,
    conditions: Conditions,
}

impl Statement {
    fn allow(sid: &'static str, action: &str) -> Self {
        Self {
            sid,
            principal: None,
            action: action.to_owned(),
            resource: Vec::new(),
            conditions: Conditions::default(),
        }
    }

    /// In the order of AWS's own examples.
    fn json(&self) -> Json {
        let text = |text: &str| Json::Text(text.to_owned());
        let mut members = vec![
            ("Sid".to_owned(), text(self.sid)),
            ("Effect".to_owned(), text("Allow")),
        ];
        if let Some((kind, name)) = &self.principal {
            let named = vec![((*kind).to_owned(), text(name))];
            members.push(("Principal".to_owned(), Json::Object(named)));
        }
        members.push(("Action".to_owned(), text(&self.action)));
        if !self.resource.is_empty() {
            members.push(("Resource".to_owned(), Json::one_or_more(&self.resource)));
        }
        if !self.conditions.0.is_empty() {
            members.push(("Condition".to_owned(), self.conditions.json()));
        }
        Json::Object(members)
    }
}

/// Operator, key, values.
#[derive(Clone, Default, PartialEq, Eq)]
struct Conditions(Vec<(&'static str, String, Vec<String>)>);

impl Conditions {
    fn one(&mut self, operator: &'static str, key: &str, value: &str) {
        self.all(operator, key, vec![value.to_owned()]);
    }

    fn all(&mut self, operator: &'static str, key: &str, values: Vec<String>) {
        self.0.push((operator, key.to_owned(), values));
    }

    /// An operator stands once, with all its keys.
    fn json(&self) -> Json {
        let mut operators: Vec<(String, Json)> = Vec::new();
        for (operator, key, values) in &self.0 {
            let test = (key.clone(), Json::one_or_more(values));
            match operators.iter_mut().find(|(name, _)| name == operator) {
                Some((_, Json::Object(tests))) => tests.push(test),
                _ => operators.push(((*operator).to_owned(), Json::Object(vec![test]))),
            }
        }
        Json::Object(operators)
    }
}

/// JSON whose members stay in order.
enum Json {
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn one_or_more(values: &[String]) -> Self {
        match values {
            [one] => Self::Text(one.clone()),
            _ => Self::Array(values.iter().cloned().map(Self::Text).collect()),
        }
    }

    fn write(&self, out: &mut String, indent: Option<usize>) {
        let (open, close, parts): (_, _, Vec<(Option<&String>, &Self)>) = match self {
            Self::Text(text) => return JsonValueWriter::new(out).string(text),
            Self::Array(parts) => ('[', ']', parts.iter().map(|part| (None, part)).collect()),
            Self::Object(parts) => {
                let parts = parts.iter().map(|(key, part)| (Some(key), part));
                ('{', '}', parts.collect())
            }
        };
        let deeper = indent.map(|indent| indent + 2);
        let line = |out: &mut String, indent: Option<usize>| {
            if let Some(indent) = indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
            }
        };
        out.push(open);
        for (n, (key, part)) in parts.into_iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            line(out, deeper);
            if let Some(key) = key {
                JsonValueWriter::new(out).string(key);
                out.push_str(if deeper.is_some() { ": " } else { ":" });
            }
            part.write(out, deeper);
        }
        line(out, indent);
        out.push(close);
    }
}
