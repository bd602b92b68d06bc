//! Lists a bucket in another account, through a role whose trust policy requires MFA.
//!
//! ```text
//! cargo run --example mfa -- --role-arn arn:aws:iam::222222222222:role/Reader \
//!     --serial arn:aws:iam::111111111111:mfa/ada --bucket reports
//! ```
//!
//! The prompt for the code uses the terminal itself, so stdin and stdout remain free for the program. A code is valid
//! for one call only. With `--session-token` that call is GetSessionToken, and its session, which AWS treats as
//! authenticated with MFA, can assume any number of roles.
//!
//! `--local` runs with the simulator `sts-simulator`, and prints the code of the simulated MFA device.

#[path = "common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
#[path = "local/mfa.rs"]
mod local;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use aws_role_chain::{Role, RoleChain, SessionTokenRequest, TerminalPrompt};
use base::BaseOptions;
use clap::Parser;

/// List a bucket in another account, through a role that requires MFA.
#[derive(Parser)]
struct Options {
    /// Role that may list the bucket
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", local::ROLE_ARN)
    )]
    role_arn: Option<String>,

    /// Your MFA device: its ARN, or the serial number of a hardware device
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", local::SERIAL)
    )]
    serial: Option<String>,

    /// Bucket to list
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", "reports")
    )]
    bucket: Option<String>,

    /// External ID that the role's trust policy requires
    #[arg(long)]
    external_id: Option<String>,

    /// Start with GetSessionToken: one code is enough for any number of roles
    #[arg(long)]
    session_token: bool,

    /// Profile of the user who owns the device [default: the SDK's default credentials]
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    #[command(flatten)]
    base: BaseOptions,
}

fn main() -> ExitCode {
    program::run(list(Options::parse()))
}

async fn list(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    // clap requires all three, or sets defaults with --local.
    let role_arn = options.role_arn.unwrap_or_default();
    let serial = options.serial.unwrap_or_default();
    let bucket = options.bucket.unwrap_or_default();

    let base = if options.base.local {
        local::start(&role_arn, &serial)?
    } else {
        options.base.load(options.profile.as_deref()).await?
    };
    let mut role = Role::new(role_arn);
    if let Some(id) = options.external_id {
        role = role.external_id(id);
    }
    let chain = if options.session_token {
        let request = SessionTokenRequest::new().mfa(serial, TerminalPrompt::new());
        RoleChain::from_session_token(&base, request)?.assume(role)?
    } else {
        RoleChain::new(&base, role.mfa(serial, TerminalPrompt::new()))?
    };
    // Prompts for the code. Doing so before the first call keeps the prompt out of the call's timeouts, and returns the
    // chain's own error, with its advice.
    chain.refresh().await?;

    // Local servers usually have no subdomain per bucket, so the bucket goes into the path.
    let path_style = options.base.is_local_server();
    let config = aws_sdk_s3::config::Builder::from(&chain.sdk_config());
    let s3 = aws_sdk_s3::Client::from_conf(config.force_path_style(path_style).build());
    let mut pages = s3.list_objects_v2().bucket(bucket).into_paginator().send();
    let mut out = io::stdout();
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            let (size, key) = (object.size(), object.key());
            let (size, key) = (size.unwrap_or_default(), key.unwrap_or_default());
            writeln!(out, "{size:>12}  {key}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
