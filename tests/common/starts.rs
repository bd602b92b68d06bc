//! A chain for each kind of start, whose call sends every secret that it can. The unit tests of `src/chain/mod.rs`
//! check that the list has every operation.

use aws_role_chain::{
    Error, MfaRequest, Role, RoleChain, SamlAssertion, SessionTokenRequest, WebIdentityToken,
};
use aws_types::SdkConfig;

/// The values that the calls send.
#[derive(Clone, Copy)]
pub struct Sent {
    pub role_arn: &'static str,
    pub external_id: &'static str,
    pub context_assertion: &'static str,
    pub mfa_code: &'static str,
    pub web_identity_token: &'static str,
    pub saml_assertion: &'static str,
}

/// Creates the chains. The source of the first one is `first`, which may return temporary credentials.
pub fn starts(
    first: &SdkConfig,
    base: &SdkConfig,
    sent: Sent,
    device: impl Fn(usize) -> String,
) -> Vec<RoleChain> {
    let starts = try_starts(first, base, sent, device).into_iter();
    starts.map(Result::unwrap).collect()
}

/// Like [`starts`], with a base config that may be invalid.
pub fn try_starts(
    first: &SdkConfig,
    base: &SdkConfig,
    sent: Sent,
    device: impl Fn(usize) -> String,
) -> Vec<Result<RoleChain, Error>> {
    const PROVIDER: &str = "arn:aws:iam::222222222222:saml-provider/Company";
    const CONTEXTS: &str = "arn:aws:iam::aws:contextProvider/IdentityCenter";
    let given = |secret: &'static str| move || std::future::ready(ok(secret));
    let code = move |_: MfaRequest| std::future::ready(ok(sent.mfa_code));
    let role = || Role::new(sent.role_arn);
    let full = role()
        .external_id(sent.external_id)
        .provided_context(CONTEXTS, sent.context_assertion);
    let token = SessionTokenRequest::new().mfa(device(1), code);
    let web_identity = WebIdentityToken::from_provider(given(sent.web_identity_token));
    let saml = SamlAssertion::from_provider(given(sent.saml_assertion));
    [
        RoleChain::new(first, full.clone()),
        RoleChain::new(base, full.mfa(device(0), code)),
        RoleChain::from_session_token(base, token),
        RoleChain::from_web_identity(base, role(), web_identity),
        RoleChain::from_saml(base, role(), PROVIDER, saml),
    ]
    .into()
}

fn ok(secret: &str) -> Result<String, std::io::Error> {
    Ok(secret.to_owned())
}
