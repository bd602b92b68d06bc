//! `credential-process`: credentials as JSON, in the format that the AWS CLI and every SDK read
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>).

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use crate::chain::{ChainOptions, DefaultSources};
use crate::{output, session};

/// Print credentials as JSON, for credential_process in ~/.aws/config
///
///   [profile writer]
///   credential_process = role-chain credential-process --profile writer-chain
///
/// Where no profile is named, the source credentials are those of the
/// environment, the container or the instance. No other profile is read,
/// because it may be the one that runs this program.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,
}

/// How many calls of this program deep a profile's credentials may be. The AWS CLI has such a limit too.
const MAX_DEPTH: u32 = 4;

/// `<depth>:<process>`. The process tells a call by itself from one by the `credential_process` that it runs.
const DEPTH: &str = "ROLE_CHAIN_CREDENTIAL_PROCESS_DEPTH";

pub async fn run(options: &Options) -> Result<()> {
    if options.chain.has_profile() {
        limit_depth()?;
    }
    let chain = options.chain.load(DefaultSources::WithoutProfiles).await?;
    let credentials = session::credentials(&chain).await.map_err(|error| {
        let cause = aws_role_chain::Error::find(error.as_ref());
        let is_source_failure = cause.is_some_and(|cause| cause.is_source_failure());
        if is_source_failure && !options.chain.has_profile() {
            error.context(
                "credential-process reads no profile that is not named; name one with --profile",
            )
        } else {
            error
        }
    })?;
    let document = json!({
        "Version": 1,
        "AccessKeyId": credentials.access_key_id(),
        "SecretAccessKey": credentials.secret_access_key(),
        "SessionToken": credentials.session_token(),
        "Expiration": credentials.expiry().and_then(output::timestamp),
        "AccountId": credentials.account_id().map(|id| id.as_str()),
    });
    output::print(&format!("{document}\n"))
}

/// Ends the endless calls of a profile whose `credential_process` runs this program for the same profile.
fn limit_depth() -> Result<()> {
    let above = std::env::var(DEPTH).ok();
    let above = above.as_deref().and_then(|above| above.split_once(':'));
    let depth = match above.and_then(|(depth, process)| Some((depth.parse::<u32>().ok()?, process)))
    {
        Some((_, process)) if process == std::process::id().to_string() => return Ok(()),
        Some((depth, _)) if depth >= MAX_DEPTH => bail!(
            "credential-process has called itself {MAX_DEPTH} times: a source profile's credential_process \
             leads back to where it came from. Give the source profile credentials of its own"
        ),
        Some((depth, _)) => depth + 1,
        None => 0,
    };
    start_again(depth);
    Ok(())
}

/// Starts the program again in its own place, with the depth in the environment, which is what a process below
/// inherits. If that fails, the program goes on without.
#[cfg(unix)]
fn start_again(depth: u32) {
    use std::os::unix::process::CommandExt;

    let mut arguments = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) {
        let process = std::process::id();
        let mut again = std::process::Command::new(program);
        again.arg0(name).args(arguments);
        // It returns only if it fails.
        let _ = again.env(DEPTH, format!("{depth}:{process}")).exec();
    }
}

/// There is no such start on other systems.
#[cfg(not(unix))]
fn start_again(_: u32) {}
