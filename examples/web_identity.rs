//! Prints who a web identity is to AWS: in a pod on EKS, in GitHub Actions, anywhere with an OpenID Connect
//! token; with `--then`, after assuming further roles.
//!
//! ```text
//! cargo run --example web_identity -- --then arn:aws:iam::222222222222:role/FirehoseWriter
//! ```
//!
//! Reads `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, as EKS sets them, or `--token-file` and
//! `--role-arn`. `--local` runs on the simulator `sts-simulator`.

#[path = "common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
#[path = "local/web_identity.rs"]
mod local;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use aws_role_chain::{Role, RoleChain, WebIdentityToken};
use base::BaseOptions;
use clap::Parser;

/// Print who a web identity is to AWS.
#[derive(Parser)]
struct Options {
    /// Role that trusts the token's issuer, instead of AWS_ROLE_ARN
    #[arg(long, requires = "token_file", conflicts_with = "local")]
    role_arn: Option<String>,

    /// File with the token, instead of AWS_WEB_IDENTITY_TOKEN_FILE
    #[arg(long, requires = "role_arn", conflicts_with = "local")]
    token_file: Option<PathBuf>,

    /// Role to assume from there; repeatable, in order
    #[arg(long, value_name = "ROLE_ARN", conflicts_with = "local")]
    then: Vec<String>,

    #[command(flatten)]
    base: BaseOptions,
}

fn main() -> ExitCode {
    program::run(who_am_i(Options::parse()))
}

async fn who_am_i(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let mut chain = if options.base.local {
        local::start()?
    } else {
        let base = options.base.load_without_credentials().await;
        match (options.role_arn, options.token_file) {
            (Some(role_arn), Some(file)) => {
                let token = WebIdentityToken::from_file(file);
                RoleChain::from_web_identity(&base, Role::new(role_arn), token)?
            }
            _ => RoleChain::from_web_identity_env(&base)?,
        }
    };
    for role_arn in options.then {
        chain = chain.assume(Role::new(role_arn))?;
    }
    // Fails with the chain's own error, which says what to check; a client would wrap it.
    chain.refresh().await?;

    let sts = aws_sdk_sts::Client::new(&chain.sdk_config());
    let me = sts.get_caller_identity().send().await?;
    let mut out = io::stdout();
    writeln!(out, "{}", me.arn().unwrap_or_default())?;
    for hop in chain.status() {
        writeln!(out, "{hop}")?;
    }
    Ok(ExitCode::SUCCESS)
}
