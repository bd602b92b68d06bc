//! `whoami`: assumes a chain and prints the identity of its session.

use anyhow::{Result, anyhow};
use clap::Args;

use crate::chain::{ChainOptions, DefaultSources};
use crate::{output, session};

/// Assume the chain and print the session's ARN, account and expiry
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,
}

pub async fn run(options: &Options) -> Result<()> {
    let chain = options.chain.load(DefaultSources::All).await?;
    let credentials = session::credentials(&chain).await?;
    let sts = aws_sdk_sts::Client::new(&chain.sdk_config());
    let identity = sts.get_caller_identity().send().await;
    let identity = identity
        .map_err(|error| anyhow!("GetCallerIdentity: {}", output::describe_call(&error)))?;
    let expiry = credentials.expiry().and_then(output::timestamp);
    output::print(&format!(
        "arn      {}\naccount  {}\nexpires  {}\n",
        identity.arn().unwrap_or_default(),
        identity.account().unwrap_or_default(),
        expiry.as_deref().unwrap_or("never"),
    ))
}
