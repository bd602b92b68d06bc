//! Assumes a role with a SAML assertion, and prints the session's ARN and expiry.
//!
//! ```text
//! cargo run --example saml -- --role-arn arn:aws:iam::111111111111:role/Developer \
//!     --principal-arn arn:aws:iam::111111111111:saml-provider/Company --sign-in ./company-login
//! ```
//!
//! `--sign-in` is a program that signs in with the company's identity provider and prints the assertion in base64, as
//! the provider posts it. It runs for each new session, because an assertion is valid for a few minutes only.
//!
//! `--local` runs with the simulator `sts-simulator`.

#[path = "common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
#[path = "local/saml.rs"]
mod local;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use aws_role_chain::{Role, RoleChain, SamlAssertion};
use base::BaseOptions;
use clap::Parser;
use tokio::process::Command;

/// Assume a role with a SAML assertion, and print the session's ARN and expiry.
#[derive(Parser)]
struct Options {
    /// Role that trusts the SAML provider
    #[arg(long, required_unless_present = "local", conflicts_with = "local")]
    role_arn: Option<String>,

    /// ARN of the SAML provider, in the role's account
    #[arg(long, required_unless_present = "local", conflicts_with = "local")]
    principal_arn: Option<String>,

    /// Program that signs in and prints the assertion in base64
    #[arg(
        long,
        value_name = "PROGRAM",
        required_unless_present = "local",
        conflicts_with = "local"
    )]
    sign_in: Option<PathBuf>,

    #[command(flatten)]
    base: BaseOptions,
}

fn main() -> ExitCode {
    program::run(who_am_i(Options::parse()))
}

async fn who_am_i(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let chain = match (options.role_arn, options.principal_arn, options.sign_in) {
        (Some(role_arn), Some(principal_arn), Some(program)) => {
            let base = options.base.load_without_credentials().await;
            let assertion = SamlAssertion::from_provider(move || sign_in(program.clone()));
            RoleChain::from_saml(&base, Role::new(role_arn), principal_arn, assertion)?
        }
        // clap requires all three, or --local.
        _ => local::start()?,
    };
    // Assumes the role now, to get the chain's own error with its advice. A client would wrap that error.
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

/// Runs the sign-in program and returns its stdout, which is the assertion. It may prompt on stderr or on the terminal.
async fn sign_in(program: PathBuf) -> io::Result<String> {
    let failed = |why: String| io::Error::other(format!("{}: {why}", program.display()));
    let running = Command::new(&program).stdout(Stdio::piped()).spawn();
    let running = running.map_err(|error| failed(error.to_string()))?;
    let output = running.wait_with_output().await?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("its output is not base64".into()))
}
