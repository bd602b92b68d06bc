//! `policies`: prints the trust and permission policies that a chain needs, without a call.

use std::time::Duration;

use anyhow::{Result, bail};
use aws_role_chain::policy::Principal;
use aws_role_chain::{Role, RoleChain, SamlAssertion, WebIdentityToken};
use clap::{ArgGroup, Args};

use crate::base::offline_config;
use crate::chain::ChainOptions;
use crate::{output, values};

/// Print the IAM policies that a chain needs, without calling AWS.
///
/// For each role, prints the trust policy, for the role's account, and the permission policy of its
/// caller. They allow the requests that the options describe (external ID, tags, MFA, …) and nothing else.
#[derive(Args)]
#[command(group(ArgGroup::new("principal").required(true)
    .args(["caller", "eks", "github", "web_identity", "saml"])))]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,

    /// User or role that assumes the first role
    #[arg(long, value_name = "ARN", value_parser = values::non_empty)]
    caller: Option<String>,

    /// Kubernetes service account on EKS; the issuer is the cluster's OpenID Connect URL
    #[arg(long, num_args = 3, value_names = ["ISSUER", "NAMESPACE", "SERVICE_ACCOUNT"])]
    #[arg(value_parser = values::non_empty)]
    eks: Option<Vec<String>>,

    /// GitHub Actions workflow; the context is, for example, ref:refs/heads/main
    #[arg(long, num_args = 2, value_names = ["OWNER/REPOSITORY", "CONTEXT"])]
    #[arg(value_parser = values::non_empty)]
    github: Option<Vec<String>>,

    /// Any other OpenID Connect token, by its iss, aud and sub claims
    #[arg(long, num_args = 3, value_names = ["ISSUER", "AUDIENCE", "SUBJECT"])]
    #[arg(value_parser = values::non_empty)]
    web_identity: Option<Vec<String>>,

    /// SAML identity provider in the first role's account
    #[arg(long, value_name = "PROVIDER_ARN", value_parser = values::non_empty)]
    saml: Option<String>,

    /// URL that the assertion is posted to (SAML:aud), if it is not AWS's sign-in page
    #[arg(long, value_name = "URL", requires = "saml", value_parser = values::url)]
    saml_audience: Option<String>,

    /// Use the ARN of each caller as the principal, instead of its account and a condition
    #[arg(long)]
    exact: bool,

    /// Maximum age of the MFA authentication
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    mfa_max_age: Option<Duration>,
}

pub async fn run(options: &Options) -> Result<()> {
    let mut principal = options.principal();
    if options.exact {
        principal = principal.exact();
    }
    if let Some(age) = options.mfa_max_age {
        principal = principal.mfa_max_age(age);
    }
    let mut text = String::new();
    for hop in options.chain().await?.policies(principal)? {
        text += &format!(
            "Trust policy of {}:\n{}\n\n",
            hop.role_arn, hop.trust_policy
        );
        text += &match hop.permission_policy {
            Some(policy) => format!("Permission policy of {}:\n{policy}\n\n", hop.caller),
            None => format!("{} needs no permission policy.\n\n", hop.caller),
        };
    }
    output::print(&format!("{}\n", text.trim_end()))
}

impl Options {
    fn principal(&self) -> Principal {
        // clap checks that there are as many values as `num_args` says.
        if let Some([issuer, namespace, account]) = self.eks.as_deref() {
            return Principal::eks(issuer, namespace, account);
        }
        if let Some([repository, context]) = self.github.as_deref() {
            return Principal::github_actions(repository, context);
        }
        if let Some([issuer, audience, subject]) = self.web_identity.as_deref() {
            return Principal::web_identity(issuer, audience, subject);
        }
        match (&self.saml, &self.saml_audience) {
            (Some(_), Some(audience)) => Principal::saml_with_audience(audience),
            (Some(_), None) => Principal::saml(),
            (None, _) => Principal::arn(self.caller.as_deref().unwrap_or_default()),
        }
    }

    /// Builds the chain. The principal determines what it starts with: credentials, a token or an assertion.
    async fn chain(&self) -> Result<RoleChain> {
        let has_token = self.eks.is_some() || self.github.is_some() || self.web_identity.is_some();
        let (first, others) = match self.chain.roles().split_first() {
            // A profile defines what its chain starts with.
            Some(first) if !self.chain.has_profile() => first,
            _ => return self.chain.load_offline().await,
        };
        let mut chain = match &self.saml {
            Some(provider) => {
                let none = || async { Err::<String, _>("no call is made") };
                let assertion = SamlAssertion::from_provider(none);
                self.start(first, |role| {
                    RoleChain::from_saml(&offline_config(), role, provider, assertion)
                })?
            }
            None if has_token => self.start(first, |role| {
                RoleChain::from_web_identity(
                    &offline_config(),
                    role,
                    WebIdentityToken::from_file("token"),
                )
            })?,
            None => return self.chain.load_offline().await,
        };
        for role in others {
            chain = chain.assume(role.clone())?;
        }
        Ok(chain)
    }

    fn start(
        &self,
        role: &Role,
        start: impl FnOnce(Role) -> Result<RoleChain, aws_role_chain::Error>,
    ) -> Result<RoleChain> {
        if self.chain.has_mfa() {
            bail!(
                "--mfa requires a user's credentials: it cannot be used with a token or an assertion"
            );
        }
        Ok(start(role.clone())?)
    }
}
