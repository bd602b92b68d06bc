//! Lists a bucket in another account, through a role whose trust policy asks for MFA.
//!
//! ```text
//! cargo run --example mfa -- --role-arn arn:aws:iam::222222222222:role/Reader \
//!     --serial arn:aws:iam::111111111111:mfa/ada --bucket reports
//! ```
//!
//! The code is asked for on the terminal, so that stdin and stdout stay the program's. With
//! `--session-token` the code proves MFA once for any number of roles. `--local` runs it without AWS,
//! on the simulator `sts-simulator`, and says what its device shows.

use std::error::Error;
use std::process::ExitCode;

use aws_config::BehaviorVersion;
use aws_role_chain::{Role, RoleChain, SessionTokenRequest, TerminalPrompt};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser;

/// List a bucket in another account, behind MFA.
#[derive(Parser)]
struct Options {
    /// Role that may list the bucket
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", "arn:aws:iam::222222222222:role/Reader")
    )]
    role_arn: Option<String>,

    /// Your MFA device: its ARN, or a hardware device's serial number
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", "arn:aws:iam::111111111111:mfa/ada")
    )]
    serial: Option<String>,

    /// Bucket to list
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", "reports")
    )]
    bucket: Option<String>,

    /// External ID that the role's trust policy asks for
    #[arg(long)]
    external_id: Option<String>,

    /// Start with a session token: one code for any number of roles
    #[arg(long)]
    session_token: bool,

    /// Profile to start from, instead of the default one
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    /// AWS region, instead of the profile's
    #[arg(long, conflicts_with = "local")]
    region: Option<String>,

    /// Run on the built-in simulator, without AWS
    #[arg(long)]
    local: bool,
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
    // clap gives all three, or stops.
    let given = |option: &Option<String>| option.clone().unwrap_or_default();
    let (role_arn, serial) = (given(&options.role_arn), given(&options.serial));
    let base = match options.local {
        true => local::start(&role_arn, &serial)?,
        false => base_config(options).await,
    };
    let mut role = Role::new(role_arn);
    if let Some(id) = &options.external_id {
        role = role.external_id(id);
    }
    let chain = if options.session_token {
        let request = SessionTokenRequest::new().mfa(serial, TerminalPrompt::new());
        RoleChain::from_session_token(&base, request)?.assume(role)?
    } else {
        RoleChain::new(&base, role.mfa(serial, TerminalPrompt::new()))?
    };
    // Asks now, for as long as it takes; a client's own call would be given up after a while.
    chain.refresh().await?;

    let config = aws_sdk_s3::config::Builder::from(&chain.sdk_config());
    let s3 = aws_sdk_s3::Client::from_conf(config.force_path_style(options.local).build());
    let mut pages = s3
        .list_objects_v2()
        .bucket(given(&options.bucket))
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            println!(
                "{:>12}  {}",
                object.size().unwrap_or_default(),
                object.key().unwrap_or_default()
            );
        }
    }
    Ok(())
}

async fn base_config(options: &Options) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader.load().await
}

mod local {
    use sts_simulator::{HttpResponse, Simulator};

    use super::*;

    /// Ada in account 111111111111 with her device, and the role with a bucket.
    pub fn start(role_arn: &str, serial: &str) -> Result<SdkConfig, Box<dyn Error>> {
        let aws = Simulator::new();
        let keys = aws
            .user("arn:aws:iam::111111111111:user/ada")
            .policy(
                r#"{"Version": "2012-10-17", "Statement": {
                    "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#,
            )
            .mfa_device(serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
            .create()?;
        aws.role(role_arn)
            .trust(
                r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                    "Principal": {"AWS": "111111111111"},
                    "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}}"#,
            )
            .policy(
                r#"{"Version": "2012-10-17", "Statement": {
                    "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::*"}}"#,
            )
            .create()?;
        aws.service("s3", |caller, _| {
            let (status, body) = match caller.may("s3:ListBucket", "arn:aws:s3:::reports") {
                true => (200, LISTING),
                false => (403, "<Error><Code>AccessDenied</Code></Error>"),
            };
            HttpResponse::new(status.try_into().expect("an HTTP status"), body.into())
        });
        if let Some(code) = aws.mfa_code(serial) {
            println!("the simulated device shows {code}");
        }
        Ok(aws.sdk_config(keys))
    }

    const LISTING: &str = r#"<?xml version="1.0"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>reports</Name>
        <Contents><Key>2026/11/orders.ndjson</Key><Size>19496</Size></Contents>
        <Contents><Key>2026/11/refunds.ndjson</Key><Size>1377</Size></Contents>
        <IsTruncated>false</IsTruncated></ListBucketResult>"#;
}
