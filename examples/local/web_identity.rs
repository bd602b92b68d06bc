//! `web_identity --local`: a simulated OpenID Connect provider, and a role that trusts it.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_role_chain::{Role, RoleChain, WebIdentityToken};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use sts_simulator::Simulator;

const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/Pod";
const PROVIDER_ARN: &str = "arn:aws:iam::222222222222:oidc-provider/token.example.com";

pub fn start() -> Result<RoleChain, Box<dyn Error>> {
    let aws = Simulator::new();
    let public_key = include_str!("../../tests/keys/oidc-public.pem");
    aws.oidc_provider(PROVIDER_ARN, &["sts.amazonaws.com"], public_key)
        .map_err(|error| error.to_string())?;
    aws.role(ROLE_ARN)
        .trust(format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {{"Federated": "{PROVIDER_ARN}"}},
                "Condition": {{"StringEquals": {{
                    "token.example.com:aud": "sts.amazonaws.com",
                    "token.example.com:sub": "system:serviceaccount:shop:orders"}}}}}}}}"#
        ))
        .create()?;
    let user = aws.user("arn:aws:iam::222222222222:user/nobody").create()?;
    let mut base = aws.sdk_config(user).into_builder();
    base.set_credentials_provider(None);
    let token = WebIdentityToken::from_provider(|| async { token() });
    Ok(RoleChain::from_web_identity(
        &base.build(),
        Role::new(ROLE_ARN),
        token,
    )?)
}

fn token() -> Result<String, jsonwebtoken::errors::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let claims = json!({
        "iss": "https://token.example.com",
        "sub": "system:serviceaccount:shop:orders",
        "aud": "sts.amazonaws.com",
        "iat": now,
        "exp": now + 600,
    });
    let key = EncodingKey::from_ec_pem(include_bytes!("../../tests/keys/oidc-private.pem"))?;
    encode(&Header::new(Algorithm::ES256), &claims, &key)
}
