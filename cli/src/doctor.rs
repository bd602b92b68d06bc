//! `doctor`: assumes the roles of a chain one by one, and says of each whether that works and why not.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::chain::{ChainOptions, DefaultSources};
use crate::output;

/// Find out why a role cannot be assumed, or that it can.
///
/// Assumes the roles one by one, with real calls, up to the first refusal, and says who asked for what
/// and what came back. On a refusal it prints what to check and the two policies that would allow it,
/// external ID and all. The exit code is 0 only if every role could be assumed.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,
}

pub async fn run(options: &Options) -> Result<ExitCode> {
    let chain = options.chain.load(DefaultSources::All).await?;
    let diagnosis = chain.diagnose().await;
    output::print(&diagnosis.to_string())?;
    Ok(if diagnosis.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
