//! Lists another account's bucket through a profile: a quick check that a set-up works.
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
//! If the profile has an `mfa_serial`, the code is asked for on the terminal.

#[path = "common/program.rs"]
#[allow(dead_code)] // No example needs all of it.
mod program;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use aws_role_chain::{ProfileLoader, TerminalPrompt};
use clap::Parser;

/// List another account's bucket through a profile.
#[derive(Parser)]
struct Options {
    /// Profile with a role_arn
    #[arg(long)]
    profile: String,

    /// Bucket to list
    #[arg(long)]
    bucket: String,

    /// List only keys that begin with this
    #[arg(long)]
    prefix: Option<String>,

    /// AWS region, instead of the environment's or the profile's
    #[arg(long)]
    region: Option<String>,

    /// One endpoint for all services, such as a local server
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
}

fn main() -> ExitCode {
    program::run(list(Options::parse()))
}

async fn list(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    // Local servers have no subdomain for each bucket.
    let path_style = options.endpoint_url.is_some();
    let mut profile = ProfileLoader::new(options.profile).mfa(TerminalPrompt::new());
    if let Some(region) = options.region {
        profile = profile.region(region);
    }
    if let Some(url) = options.endpoint_url {
        profile = profile.endpoint_url(url);
    }
    let chain = profile.load().await?;
    // Asks for an MFA code now, for as long as it takes. A client's call would time out.
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
