//! `doctor`: assumes the roles of a chain one by one, and reports for each whether it can be assumed and why not. It
//! calls AWS, or evaluates exports of the accounts.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use aws_credential_types::Credentials;
use aws_role_chain::{Error, MfaRequest};
use clap::Args;
use sts_simulator::{Call, Explanation, IamError, Import, Reason, Simulator};

use crate::base::partition_and_account;
use crate::chain::{ChainOptions, DefaultSources};
use crate::{output, values};

/// Diagnose why a chain of roles cannot be assumed.
///
/// Assumes the roles one by one, with real calls, until one is denied. For each role, prints the caller,
/// the request and the response of STS. For a denied role, also prints what to check and the two policies
/// that would allow the request, including the external ID. The exit code is 0 only if every role can be
/// assumed.
///
/// With --accounts, makes no calls, and reports what STS does not: which policy and which statement
/// decided, and which condition failed with which value.
#[derive(Args)]
#[command(
    override_usage = "role-chain doctor [OPTIONS] <--profile <NAME>|--role-arn <ARN>>\n       \
                            role-chain doctor --accounts <DIR> --caller <ARN> --role-arn <ARN>"
)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,

    /// Evaluate exports of the accounts instead of calling AWS: a folder with the output of
    /// "aws iam get-account-authorization-details" for each account and, for the policies of AWS
    /// Organizations, of "aws organizations" commands. Requires --role-arn. If neither --region nor
    /// AWS_REGION is set, the region is us-east-1, or one of the caller's partition
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

/// Assumes the roles in a simulator of the exported accounts, and prints its decisions.
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
    let (partition, _) = partition_and_account(caller);
    let chain = chain
        .load_on(aws.sdk_config(credentials), partition, codes)
        .await?;
    let result = chain.refresh().await;

    let mut text = String::new();
    let calls = aws.calls();
    let decisions: Vec<&Explanation> = calls.iter().flat_map(Call::decisions).collect();
    for decision in &decisions {
        writeln!(text, "{decision}")?;
    }
    match (&result, decisions.last()) {
        (Ok(()), _) => writeln!(text, "Every role can be assumed, according to the exports.")?,
        (Err(error), Some(denial)) if !denial.is_allowed() => {
            write_denial(&mut text, error, denial, &import)?;
        }
        // The cause is not a policy: for example, the session is too long.
        (Err(error), _) => writeln!(text, "{error}")?,
    }
    let hops = chain.status();
    let roles = hops.iter().filter_map(|hop| hop.role_arn.as_deref());
    write_left_out(
        &mut text,
        &import,
        &roles.chain([caller]).collect::<Vec<_>>(),
    )?;
    output::print(&text)?;
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// Writes at which role the chain is denied. STS's message and the advice are left out, because the policies are known.
fn write_denial(
    text: &mut String,
    error: &Error,
    denial: &Explanation,
    import: &Import,
) -> std::fmt::Result {
    let (hop, len) = (error.hop().unwrap_or_default(), error.chain_len());
    writeln!(
        text,
        "Denied at hop {hop} of {len}, according to the exports."
    )?;
    if denial.reason == Reason::NoSuchRole {
        let account = denial.resource.split(':').nth(4).unwrap_or_default();
        if import.accounts().any(|imported| imported == account) {
            writeln!(
                text,
                "The export of account {account} has no role with this path and name (case-sensitive)."
            )?;
        } else {
            let accounts = accounts_of(import);
            writeln!(
                text,
                "There is no export of account {account}; the exports are of {accounts}."
            )?;
        }
    }
    Ok(())
}

/// Returns credentials of a user or role in the exports.
fn credentials_of(aws: &Simulator, import: &Import, caller: &str) -> Result<Credentials> {
    let parts: Vec<&str> = caller.splitn(6, ':').collect();
    let found = match parts[..] {
        ["arn", _, "iam", "", _, resource] if resource.starts_with("role/") => {
            aws.role_session(caller, "role-chain")
        }
        ["arn", _, "iam", "", _, resource] if resource.starts_with("user/") => {
            aws.access_key(caller)
        }
        ["arn", partition, "sts", "", account, resource]
            if resource.starts_with("assumed-role/") =>
        {
            let role = resource.split('/').nth(1).unwrap_or_default();
            bail!(
                "--caller {caller} is a session: use the ARN of its role, \
                 arn:{partition}:iam::{account}:role/{role}, including the path if it has one"
            )
        }
        _ => bail!(
            "--caller {caller} must be the ARN of a user or role: arn:aws:iam::<account>:user/<path><name>"
        ),
    };
    found.or_else(|_| {
        let accounts = accounts_of(import);
        bail!("--caller {caller}: the exports contain no such user or role; they are of {accounts}")
    })
}

fn accounts_of(import: &Import) -> String {
    let accounts: Vec<&str> = import.accounts().collect();
    match accounts[..] {
        [account] => format!("the account {account}"),
        _ => format!("the accounts {}", accounts.join(", ")),
    }
}

/// Returns a code of the MFA device. The exports need not contain the device: the caller is assumed to have it.
fn mfa_code(aws: &Simulator, user_arn: &str, serial: &str) -> Result<String, IamError> {
    if aws.mfa_code(serial).is_none() {
        aws.mfa_device(user_arn, serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")?;
    }
    Ok(aws.mfa_code(serial).unwrap_or_default())
}

/// Writes what the exports do not contain and the chain may depend on.
fn write_left_out(text: &mut String, import: &Import, chain: &[&str]) -> std::fmt::Result {
    // Access keys are irrelevant: the caller's are created here, and roles have none.
    let left_out = import
        .left_out()
        .iter()
        .filter(|left_out| !left_out.reason.starts_with("access keys"));
    let (of_chain, of_others): (Vec<_>, Vec<_>) =
        left_out.partition(|left_out| concerns(&left_out.subject, chain));
    if of_chain.is_empty() && of_others.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nNot known from the exports:")?;
    for left_out in of_chain {
        writeln!(text, "  {left_out}")?;
    }
    match of_others.len() {
        0 => Ok(()),
        1 => writeln!(
            text,
            "  (1 more, of a user or role that is not in the chain)"
        ),
        n => writeln!(
            text,
            "  ({n} more, of users and roles that are not in the chain)"
        ),
    }
}

/// Returns whether a missing part may affect a chain of these users and roles. Groups and managed policies may belong
/// to any of them.
fn concerns(subject: &str, chain: &[&str]) -> bool {
    let Some(at) = subject.find("arn:") else {
        return true;
    };
    let arn = subject[at..].split(',').next().unwrap_or_default();
    let is_user_or_role = arn.contains(":user/") || arn.contains(":role/");
    !is_user_or_role || chain.contains(&arn)
}
