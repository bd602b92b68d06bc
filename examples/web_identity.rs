//! Says who it is, after coming in by a web identity: in a pod on EKS, in GitHub Actions, anywhere
//! with an OpenID Connect token; and, with `--then`, after assuming further roles.
//!
//! ```text
//! cargo run --example web_identity -- --then arn:aws:iam::222222222222:role/FirehoseWriter
//! ```
//!
//! Reads `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, as EKS sets them, or `--token-file` and
//! `--role-arn`. `--local` runs it without AWS, on the simulator `sts-simulator`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use aws_config::BehaviorVersion;
use aws_role_chain::{Role, RoleChain, WebIdentityToken};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser;

/// Say who a web identity is to AWS.
#[derive(Parser)]
struct Options {
    /// Role that trusts the token's issuer, instead of AWS_ROLE_ARN
    #[arg(long, requires = "token_file")]
    role_arn: Option<String>,

    /// File with the token, instead of AWS_WEB_IDENTITY_TOKEN_FILE
    #[arg(long, requires = "role_arn")]
    token_file: Option<PathBuf>,

    /// Role to assume from there; repeatable, in order
    #[arg(long, value_name = "ROLE_ARN", conflicts_with = "local")]
    then: Vec<String>,

    /// AWS region, instead of the environment's
    #[arg(long, conflicts_with = "local")]
    region: Option<String>,

    /// Run on the built-in simulator, without AWS
    #[arg(long, conflicts_with = "role_arn")]
    local: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut chain = if options.local {
        local::start()?
    } else {
        let base = base_config(options).await;
        match (&options.role_arn, &options.token_file) {
            (Some(role), Some(file)) => RoleChain::from_web_identity(
                &base,
                Role::new(role),
                WebIdentityToken::from_file(file),
            )?,
            _ => RoleChain::from_web_identity_env(&base)?,
        }
    };
    for role in &options.then {
        chain = chain.assume(Role::new(role))?;
    }
    // What went wrong, with what to check, rather than the client's words for it.
    chain.refresh().await?;

    let me = aws_sdk_sts::Client::new(&chain.sdk_config())
        .get_caller_identity()
        .send()
        .await?;
    println!("{}", me.arn().unwrap_or_default());
    for hop in chain.status() {
        println!("{hop}");
    }
    Ok(())
}

/// No credentials: the token takes their place.
async fn base_config(options: &Options) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).no_credentials();
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader.load().await
}

mod local {
    use std::time::{SystemTime, UNIX_EPOCH};

    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::json;
    use sts_simulator::Simulator;

    use super::*;

    const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/Pod";

    /// A role that trusts an issuer, whose tokens are made here.
    pub fn start() -> Result<RoleChain, Box<dyn Error>> {
        let aws = Simulator::new();
        let provider = "arn:aws:iam::222222222222:oidc-provider/token.example.com";
        let public_key = include_str!("../tests/keys/oidc-public.pem");
        aws.oidc_provider(provider, &["sts.amazonaws.com"], public_key)
            .map_err(|error| error.to_string())?;
        aws.role(ROLE_ARN)
            .trust(format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
                    "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {{"Federated": "{provider}"}},
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
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let claims = json!({
            "iss": "https://token.example.com",
            "sub": "system:serviceaccount:shop:orders",
            "aud": "sts.amazonaws.com",
            "iat": now,
            "exp": now + 600,
        });
        let key = EncodingKey::from_ec_pem(include_bytes!("../tests/keys/oidc-private.pem"))?;
        encode(&Header::new(Algorithm::ES256), &claims, &key)
    }
}
