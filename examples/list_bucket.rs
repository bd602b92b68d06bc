//! Lists another account's bucket through a profile: the check that a set-up works.
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
//! An MFA code, where the profile has an `mfa_serial`, is asked for on the terminal.

use std::error::Error;
use std::process::ExitCode;

use aws_role_chain::{ProfileLoader, TerminalPrompt};
use clap::Parser;

/// List another account's bucket.
#[derive(Parser)]
struct Options {
    /// Profile with a role_arn
    #[arg(long)]
    profile: String,

    /// Bucket to list
    #[arg(long)]
    bucket: String,

    /// Only keys that begin so
    #[arg(long)]
    prefix: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let listed = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(list(&options)),
        Err(error) => Err(error.into()),
    };
    match listed {
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

async fn list(options: &Options) -> Result<(), Box<dyn Error>> {
    let chain = ProfileLoader::new(&options.profile)
        .mfa(TerminalPrompt::new())
        .load()
        .await?;
    // Asks for a code now, for as long as it takes; a client's own call would be given up after a while.
    chain.refresh().await?;

    let s3 = aws_sdk_s3::Client::new(&chain.sdk_config());
    let mut pages = s3
        .list_objects_v2()
        .bucket(&options.bucket)
        .set_prefix(options.prefix.clone())
        .into_paginator()
        .send();
    let (mut objects, mut bytes) = (0, 0);
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            let size = object.size().unwrap_or_default();
            println!("{size:>12}  {}", object.key().unwrap_or_default());
            objects += 1;
            bytes += size;
        }
    }
    eprintln!("objects: {objects}, bytes: {bytes}");
    if let Some(session) = chain.status().pop().and_then(|hop| hop.session_arn) {
        eprintln!("caller: {session}");
    }
    Ok(())
}
