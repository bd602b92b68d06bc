//! `doctor`: assumes the roles of a chain one by one, and says of each whether that works and why not; at AWS, or by
//! the exports of accounts.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use aws_credential_types::Credentials;
use aws_role_chain::MfaRequest;
use clap::Args;
use sts_simulator::{IamError, Import, Simulator};

use crate::chain::{ChainOptions, DefaultSources};
use crate::{output, values};

/// Find out why a role cannot be assumed, or that it can.
///
/// Assumes the roles one by one, with real calls, up to the first refusal, and says who asked for what
/// and what came back. On a refusal it prints what to check and the two policies that would allow it,
/// external ID and all. The exit code is 0 only if every role could be assumed.
///
/// With --accounts it makes no call, and says what STS does not: whose policy decided, which statement,
/// and which condition failed with which value.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,

    /// Decide by exports of the accounts, and not by AWS: a folder with the output of
    /// "aws iam get-account-authorization-details" for each account and, for the policies of AWS
    /// Organizations, that of "aws organizations". The roles are given with --role-arn
    #[arg(long, value_name = "DIR", requires = "caller")]
    #[arg(conflicts_with_all = ["profile", "source_profile", "endpoint_url"])]
    accounts: Option<PathBuf>,

    /// With --accounts: the user or role whose credentials assume the first role
    #[arg(long, value_name = "ARN", requires = "accounts", value_parser = values::non_empty)]
    caller: Option<String>,
}

pub async fn run(options: &Options) -> Result<ExitCode> {
    if let (Some(folder), Some(caller)) = (&options.accounts, &options.caller) {
        return explain(&options.chain, folder, caller).await;
    }
    let chain = options.chain.load(DefaultSources::All).await?;
    let diagnosis = chain.diagnose().await;
    output::print(&diagnosis.to_string())?;
    Ok(if diagnosis.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Assumes the roles in a simulator of the exported accounts, and prints what it decided.
async fn explain(chain: &ChainOptions, folder: &Path, caller: &str) -> Result<ExitCode> {
    let aws = Simulator::new();
    let import = aws.import(folder)?;
    let credentials = credentials_of(&aws, &import, caller)?;
    let codes = {
        let (aws, caller) = (aws.clone(), Arc::<str>::from(caller));
        move |request: MfaRequest| {
            let code = mfa_code(&aws, &caller, &request.serial);
            async move { code }
        }
    };
    let chain = chain.load_on(aws.sdk_config(credentials), codes)?;
    let result = chain.refresh().await;

    let mut text = String::new();
    let calls = aws.calls();
    for call in &calls {
        for decision in call.decisions() {
            writeln!(text, "{decision}")?;
        }
    }
    match &result {
        Ok(()) => writeln!(text, "Every role can be assumed, by these exports.")?,
        Err(error) => writeln!(text, "{error}")?,
    }
    write_left_out(&mut text, &import)?;
    output::print(&text)?;
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// Returns credentials of a user or role of the exports.
fn credentials_of(aws: &Simulator, import: &Import, caller: &str) -> Result<Credentials> {
    let resource = caller.splitn(6, ':').nth(5).unwrap_or_default();
    let found = if resource.starts_with("role/") {
        aws.role_session(caller, "role-chain")
    } else {
        aws.access_key(caller)
    };
    found.or_else(|_| {
        let accounts: Vec<&str> = import.accounts().collect();
        bail!(
            "--caller {caller}: the exports have no such user or role; they are of the accounts {}",
            accounts.join(", ")
        )
    })
}

/// Returns the code of a device that the exports do not have: that the person has it is taken for granted.
fn mfa_code(aws: &Simulator, user_arn: &str, serial: &str) -> Result<String, IamError> {
    if aws.mfa_code(serial).is_none() {
        aws.mfa_device(user_arn, serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")?;
    }
    Ok(aws.mfa_code(serial).unwrap_or_default())
}

/// Says what the exports do not have.
fn write_left_out(text: &mut String, import: &Import) -> std::fmt::Result {
    if import.left_out().is_empty() {
        return Ok(());
    }
    writeln!(text, "\nNot known from the exports:")?;
    for left_out in import.left_out() {
        writeln!(text, "  {left_out}")?;
    }
    Ok(())
}
