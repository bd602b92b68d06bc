//! Gives a role chain's credentials to the AWS CLI, to every AWS SDK, and to the shell.
//!
//! As a `credential_process`
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>):
//!
//! ```ini
//! [profile writer]
//! credential_process = /usr/local/bin/credential_process --profile writer-chain --cli-cache
//! region = eu-west-1
//!
//! [profile writer-chain]
//! role_arn = arn:aws:iam::222222222222:role/FirehoseWriter
//! source_profile = account-b
//! mfa_serial = arn:aws:iam::111111111111:mfa/ada
//! ```
//!
//! In a shell, to try a role out:
//!
//! ```text
//! eval "$(credential_process --role-arn arn:aws:iam::222222222222:role/Reader --export)"
//! credential_process --profile writer-chain --export --shell powershell | Invoke-Expression
//! ```
//!
//! Without a profile the source credentials are the environment's, the container's or the instance's. No other
//! profile is looked at, since it may be the one that runs this program.
//!
//! An MFA code is asked for on the terminal. Errors go to stderr, with exit code 1.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Role, RoleChain, TerminalPrompt};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_types::region::Region;
use clap::{Parser, ValueEnum};
use serde_json::json;

/// Print credentials of a role chain.
#[derive(Parser)]
#[command(group(clap::ArgGroup::new("chain").required(true).args(["profile", "role_arn"])))]
struct Options {
    /// Profile with a role_arn
    #[arg(long)]
    profile: Option<String>,

    /// Share sessions with the AWS CLI, in ~/.aws/cli/cache
    #[arg(long, conflicts_with = "role_arn")]
    cli_cache: bool,

    /// Role to assume; repeatable, in order. External ID and duration are the last one's
    #[arg(long)]
    role_arn: Vec<String>,

    /// Profile whose credentials assume the first role, instead of the environment's or the instance's
    #[arg(long, value_name = "PROFILE", conflicts_with = "profile")]
    source_profile: Option<String>,

    /// External ID that the role's trust policy asks for
    #[arg(long, conflicts_with = "profile")]
    external_id: Option<String>,

    /// Name of the role session, as CloudTrail shows it
    #[arg(long, conflicts_with = "profile")]
    session_name: Option<String>,

    /// How long the session lasts, 900 to 43200 seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "profile")]
    duration: Option<u64>,

    /// Your MFA device, which the first role asks for: its ARN, or a hardware device's serial number
    #[arg(long, value_name = "SERIAL", conflicts_with = "profile")]
    mfa: Option<String>,

    /// AWS region, instead of the profile's
    #[arg(long, conflicts_with = "profile")]
    region: Option<String>,

    /// Print what a shell evaluates, instead of JSON
    #[arg(long)]
    export: bool,

    /// Which shell
    #[arg(long, requires = "export", default_value = "sh")]
    shell: Shell,
}

#[derive(Clone, ValueEnum)]
enum Shell {
    Sh,
    Powershell,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(credentials(&options)) {
        Ok(credentials) => {
            println!("{}", printed(&credentials, &options));
            ExitCode::SUCCESS
        }
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

async fn credentials(options: &Options) -> Result<Credentials, Box<dyn Error>> {
    let chain = match &options.profile {
        Some(profile) => {
            let mut loader = RoleChain::from_profile(profile).mfa(TerminalPrompt::new());
            if options.cli_cache {
                loader = loader.cli_cache();
            }
            loader.load().await?
        }
        None => chain_of_arguments(options).await?,
    };
    // Waits for as long as a person takes.
    Ok(chain.provide_credentials().await?)
}

async fn chain_of_arguments(options: &Options) -> Result<RoleChain, Box<dyn Error>> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    loader = match &options.source_profile {
        Some(profile) => loader.profile_name(profile),
        None => {
            let none = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "");
            loader.profile_files(none.build())
        }
    };
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let base = loader.load().await;
    let mut chain: Option<RoleChain> = None;
    let mut arns = options.role_arn.iter().peekable();
    while let Some(arn) = arns.next() {
        let mut role = Role::new(arn);
        if let (None, Some(serial)) = (&chain, &options.mfa) {
            role = role.mfa(serial, TerminalPrompt::new());
        }
        if let Some(name) = &options.session_name {
            role = role.session_name(name);
        }
        if arns.peek().is_none() {
            if let Some(id) = &options.external_id {
                role = role.external_id(id);
            }
            if let Some(seconds) = options.duration {
                role = role.duration(Duration::from_secs(seconds));
            }
        }
        chain = Some(match chain {
            None => RoleChain::new(&base, role)?,
            Some(chain) => chain.assume(role)?,
        });
    }
    chain.ok_or_else(|| "give a --profile or a --role-arn".into())
}

fn printed(credentials: &Credentials, options: &Options) -> String {
    let expiration = credentials.expiry().and_then(|expiry| {
        let whole_seconds = DateTime::from_secs(DateTime::from(expiry).secs());
        whole_seconds.fmt(Format::DateTime).ok()
    });
    if !options.export {
        let document = json!({
            "Version": 1,
            "AccessKeyId": credentials.access_key_id(),
            "SecretAccessKey": credentials.secret_access_key(),
            "SessionToken": credentials.session_token(),
            "Expiration": expiration,
            "AccountId": credentials.account_id().map(|id| id.as_str()),
        });
        return document.to_string();
    }
    let variables = [
        ("AWS_ACCESS_KEY_ID", Some(credentials.access_key_id())),
        (
            "AWS_SECRET_ACCESS_KEY",
            Some(credentials.secret_access_key()),
        ),
        ("AWS_SESSION_TOKEN", credentials.session_token()),
        ("AWS_CREDENTIAL_EXPIRATION", expiration.as_deref()),
    ];
    let lines: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let value = value?;
            Some(match options.shell {
                Shell::Sh => format!("export {name}='{}'", value.replace('\'', r"'\''")),
                Shell::Powershell => format!("$Env:{name} = '{}'", value.replace('\'', "''")),
            })
        })
        .collect();
    lines.join("\n")
}
