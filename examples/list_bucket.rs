//! Lists a bucket in another account, with the role of a profile: a quick test of a set-up.
//!
//! ```text
//! cargo run --example list_bucket --features profile -- --profile reports --bucket company-reports
//! ```
//!
//! ```ini
//! [profile reports]
//! role_arn = arn:aws:iam::222222222222:role/Reader
//! source_profile = account-b
//! external_id = c0ffee
//! region = eu-west-1
//! ```
//!
//! If the profile has an `mfa_serial`, the program prompts for the code on the terminal.

#[path = "common/program.rs"]
#[allow(dead_code)] // No example needs all of it.
mod program;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use aws_role_chain::{ProfileLoader, TerminalPrompt};
use clap::Parser;

/// List a bucket in another account, with the role of a profile.
#[derive(Parser)]
struct Options {
    /// Profile that has a role_arn
    #[arg(long)]
    profile: String,

    /// Bucket to list
    #[arg(long)]
    bucket: String,

    /// List only keys that begin with this prefix
    #[arg(long)]
    prefix: Option<String>,

    /// AWS region [default: from the environment or the profile]
    #[arg(long)]
    region: Option<String>,

    /// Endpoint of all services, for example a local server
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
}

fn main() -> ExitCode {
    program::run(list(Options::parse()))
}

async fn list(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    // Local servers usually have no subdomain per bucket, so the bucket goes into the path.
    let path_style = options.endpoint_url.is_some();
    let mut profile = ProfileLoader::new(options.profile).mfa(TerminalPrompt::new());
    if let Some(region) = options.region {
        profile = profile.region(region);
    }
    if let Some(url) = options.endpoint_url {
        profile = profile.endpoint_url(url);
    }
    let chain = profile.load().await?;
    // Prompts for an MFA code, if one is required. Doing so before the first call keeps the prompt out of the call's
    // timeouts, and returns the chain's own error, with its advice.
    chain.refresh().await?;

    let config = aws_sdk_s3::config::Builder::from(&chain.sdk_config());
    let s3 = aws_sdk_s3::Client::from_conf(config.force_path_style(path_style).build());
    let pages = s3
        .list_objects_v2()
        .bucket(options.bucket)
        .set_prefix(options.prefix);
    let mut pages = pages.into_paginator().send();
    let mut out = io::stdout();
    let (mut objects, mut bytes) = (0, 0);
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            let size = object.size().unwrap_or_default();
            writeln!(out, "{size:>12}  {}", object.key().unwrap_or_default())?;
            objects += 1;
            bytes += size;
        }
    }
    let caller = chain.status().pop().and_then(|hop| hop.session_arn);
    let caller = caller.unwrap_or_default();
    program::note(format_args!(
        "objects: {objects}, bytes: {bytes}, caller: {caller}"
    ));
    Ok(ExitCode::SUCCESS)
}
