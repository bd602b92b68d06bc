//! `credential-process`: credentials as JSON, in the format that the AWS CLI and every SDK read
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>).

use anyhow::Result;
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

pub async fn run(options: &Options) -> Result<()> {
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
