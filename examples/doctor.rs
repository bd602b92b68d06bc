//! Says of a chain of roles, hop by hop, who asks for what, what comes of it, and why not: of the chain
//! that a profile describes, or of roles given by hand.
//!
//! ```text
//! cargo run --example doctor --features policy,profile -- --profile firehose-writer
//! cargo run --example doctor --features policy,profile -- --profile orders \
//!     --role-arn arn:aws:iam::111111111111:role/Hub --session-name orders \
//!     --role-arn arn:aws:iam::222222222222:role/FirehoseWriter --external-id c0ffee
//! ```
//!
//! Roles are assumed in order; the options of a role follow it. The calls are real. On a refusal it
//! prints what to check and the two policies that would allow it, external ID and all. The exit code is
//! 0 only if every hop is well.
//!
//! `--local` runs it without AWS, on the simulator `sts-simulator`.

#[path = "put_records/local.rs"]
mod local;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_role_chain::{Diagnosis, Role, RoleChain, TerminalPrompt};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::{ArgGroup, ArgMatches, CommandFactory, FromArgMatches, Parser};

/// Find out why a role cannot be assumed, or that it can.
#[derive(Parser)]
#[command(group(ArgGroup::new("chain").args(["profile", "role_arn", "local"]).required(true).multiple(true)))]
struct Options {
    /// Role to assume; repeatable, in order. The next six belong to the role before them
    #[arg(long)]
    role_arn: Vec<String>,

    /// External ID that the role's trust policy asks for
    #[arg(long)]
    external_id: Vec<String>,

    /// Name of the role session; later roles take it on
    #[arg(long)]
    session_name: Vec<String>,

    /// How long a session lasts, 900 to 43200
    #[arg(long, value_name = "SECONDS")]
    duration: Vec<String>,

    /// Session tag; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,

    /// Session tag that later roles inherit; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    transitive_tag: Vec<String>,

    /// Source identity; later roles inherit it
    #[arg(long)]
    source_identity: Vec<String>,

    /// MFA device, for the first role; its code is asked for on the terminal
    #[arg(long, value_name = "SERIAL", requires = "role_arn")]
    mfa: Option<String>,

    /// Profile whose roles to assume; with --role-arn, the one to start from, instead of the default one
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    /// AWS region, instead of the profile's
    #[arg(long, conflicts_with = "local", requires = "role_arn")]
    region: Option<String>,

    /// One endpoint for all services, such as a local server
    #[arg(long, conflicts_with = "local", requires = "role_arn")]
    endpoint_url: Option<String>,

    /// Run on the built-in simulator, without AWS. Roles are made as named; the last one asks for
    /// external ID c0ffee
    #[arg(long)]
    local: bool,
}

fn main() -> ExitCode {
    let matches = Options::command().get_matches();
    let diagnosed = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(diagnose(&matches)),
        Err(error) => Err(error.into()),
    };
    match diagnosed {
        Ok(diagnosis) => {
            let mut out = io::stdout().lock();
            match write!(out, "{diagnosis}").and_then(|()| out.flush()) {
                // Whoever closed the pipe has read enough.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    eprintln!("error: {error}");
                    ExitCode::FAILURE
                }
                _ if diagnosis.is_ok() => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn diagnose(matches: &ArgMatches) -> Result<Diagnosis, Box<dyn Error>> {
    let options = Options::from_arg_matches(matches)?;
    let mut roles = roles(matches, &options)?;
    let mut arns = options.role_arn.clone();
    if let (Some(profile), []) = (&options.profile, &arns[..]) {
        let chain = RoleChain::from_profile(profile).mfa(TerminalPrompt::new());
        return Ok(chain.load().await?.diagnose().await);
    }
    if arns.is_empty() {
        arns.push(local::ROLE_ARN.to_owned());
        roles.push(Role::new(local::ROLE_ARN).external_id(local::EXTERNAL_ID));
    }
    let base = match (options.local, arns.split_last()) {
        (true, Some((last, via))) => local::start(last, via)?.0,
        _ => base_config(&options).await,
    };
    let mut chain: Option<RoleChain> = None;
    for role in roles {
        chain = Some(match (chain, &options.mfa) {
            (Some(chain), _) => chain.assume(role)?,
            (None, Some(serial)) => RoleChain::new(&base, role.mfa(serial, TerminalPrompt::new()))?,
            (None, None) => RoleChain::new(&base, role)?,
        });
    }
    let chain = chain.expect("there is a role, or one was added");
    Ok(chain.diagnose().await)
}

type Set = fn(Role, &str) -> Result<Role, Box<dyn Error>>;

/// The roles, each with the options that follow it.
fn roles(matches: &ArgMatches, options: &Options) -> Result<Vec<Role>, Box<dyn Error>> {
    let mut roles: Vec<Role> = options.role_arn.iter().map(Role::new).collect();
    let places: Vec<usize> = matches
        .indices_of("role_arn")
        .into_iter()
        .flatten()
        .collect();
    let of_a_role: [(&str, Set); 6] = [
        ("external_id", |role, id| Ok(role.external_id(id))),
        ("session_name", |role, name| Ok(role.session_name(name))),
        ("duration", |role, seconds| {
            let seconds = seconds
                .parse()
                .map_err(|error| format!("--duration {seconds}: {error}"))?;
            Ok(role.duration(Duration::from_secs(seconds)))
        }),
        ("tag", |role, tag| {
            let (key, value) = key_and_value(tag)?;
            Ok(role.tag(key, value))
        }),
        ("transitive_tag", |role, tag| {
            let (key, value) = key_and_value(tag)?;
            Ok(role.transitive_tag(key, value))
        }),
        ("source_identity", |role, id| Ok(role.source_identity(id))),
    ];
    for (option, set) in of_a_role {
        let values = matches.get_many::<String>(option).into_iter().flatten();
        for (value, place) in values.zip(matches.indices_of(option).into_iter().flatten()) {
            let before = places.partition_point(|role| *role < place);
            let Some(role) = before.checked_sub(1).map(|last| &mut roles[last]) else {
                let option = option.replace('_', "-");
                return Err(format!("--{option} must follow the --role-arn that it is for").into());
            };
            *role = set(role.clone(), value)?;
        }
    }
    Ok(roles)
}

fn key_and_value(tag: &str) -> Result<(&str, &str), String> {
    tag.split_once('=')
        .ok_or_else(|| format!("a tag is KEY=VALUE, not {tag:?}"))
}

async fn base_config(options: &Options) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}
