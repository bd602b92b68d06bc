//! Assumes a role with an OpenID Connect token, for example in a pod on EKS or in GitHub Actions, and prints the
//! session's ARN and expiry. `--then` assumes further roles with that session.
//!
//! ```text
//! cargo run --example web_identity -- --then arn:aws:iam::222222222222:role/FirehoseWriter
//! ```
//!
//! The token and the role come from `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, which EKS sets, or from
//! `--token-file` and `--role-arn`. The program needs no other credentials: the token authenticates the first call.
//!
//! `--local` runs with the simulator `sts-simulator`.

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

/// Assume a role with an OpenID Connect token, and print the session's ARN and expiry.
#[derive(Parser)]
struct Options {
    /// Role that trusts the token's issuer [default: AWS_ROLE_ARN]
    #[arg(long, requires = "token_file", conflicts_with = "local")]
    role_arn: Option<String>,

    /// File that contains the token [default: AWS_WEB_IDENTITY_TOKEN_FILE]
    #[arg(long, requires = "role_arn", conflicts_with = "local")]
    token_file: Option<PathBuf>,

    /// Further role to assume; can be repeated, in order
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
    // Assumes the roles now, to get the chain's own error with its advice. A client would wrap that error.
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
