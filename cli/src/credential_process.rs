//! `credential-process`: prints credentials as JSON, in the format that the AWS CLI and every SDK read
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
/// Without --profile or --source-profile, the source credentials are those
/// of the environment, the container or the instance. No profile is read
/// then, because it may be the one that runs this program.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,
}

/// How deep runs of this program, by the `credential_process` of a source profile, may be nested. The AWS CLI has such
/// a limit, too.
const MAX_DEPTH: u32 = 4;

/// `<depth>:<process ID>`. By the process ID, the program recognizes its own restart; a nested run has another one.
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
                "credential-process does not read AWS_PROFILE or the default profile: name a profile with --profile",
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

/// Ends the infinite recursion of a profile whose `credential_process` runs this program for the same profile.
fn limit_depth() -> Result<()> {
    let above = std::env::var(DEPTH).ok();
    let above = above.as_deref().and_then(|above| above.split_once(':'));
    let depth = match above.and_then(|(depth, process)| Some((depth.parse::<u32>().ok()?, process)))
    {
        Some((_, process)) if process == std::process::id().to_string() => return Ok(()),
        Some((depth, _)) if depth >= MAX_DEPTH => bail!(
            "credential-process has called itself {MAX_DEPTH} times: the credential_process of a source profile \
             leads back to that profile. Configure other credentials for the source profile"
        ),
        Some((depth, _)) => depth + 1,
        None => 0,
    };
    restart(depth);
    Ok(())
}

/// Replaces the process with a new run of the program that has the depth in its environment, which nested runs inherit.
/// If that fails, the program continues without a limit.
#[cfg(unix)]
fn restart(depth: u32) {
    use std::os::unix::process::CommandExt;

    let mut arguments = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) {
        let process = std::process::id();
        let mut again = std::process::Command::new(program);
        again.arg0(name).args(arguments);
        // `exec` returns only if it fails.
        let _ = again.env(DEPTH, format!("{depth}:{process}")).exec();
    }
}

/// Other systems cannot replace a process, so the depth is not limited there.
#[cfg(not(unix))]
fn restart(_: u32) {}
