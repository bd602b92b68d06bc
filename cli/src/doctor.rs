//! `doctor`: assumes the roles of a chain one by one, and says of each whether that works and why not; at AWS, or by
//! the exports of accounts.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use aws_credential_types::Credentials;
use aws_role_chain::{Error, MfaRequest};
use clap::Args;
use sts_simulator::{Call, Explanation, IamError, Import, Reason, Simulator};

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
#[command(
    override_usage = "role-chain doctor [OPTIONS] <--profile <NAME>|--role-arn <ARN>>\n       \
                            role-chain doctor --accounts <DIR> --caller <ARN> --role-arn <ARN>"
)]
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
    let decisions: Vec<&Explanation> = calls.iter().flat_map(Call::decisions).collect();
    for decision in &decisions {
        writeln!(text, "{decision}")?;
    }
    match (&result, decisions.last()) {
        (Ok(()), _) => writeln!(text, "Every role can be assumed, by these exports.")?,
        (Err(error), Some(refusal)) if !refusal.is_allowed() => {
            write_refusal(&mut text, error, refusal, &import)?;
        }
        // Not the policies: a session that is too long, say.
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

/// Says at which role the chain ends. STS's message and what to check are left out: the policies are known.
fn write_refusal(
    text: &mut String,
    error: &Error,
    refusal: &Explanation,
    import: &Import,
) -> std::fmt::Result {
    let (hop, len) = (error.hop().unwrap_or_default(), error.chain_len());
    writeln!(text, "Refused at hop {hop} of {len}, by these exports.")?;
    if refusal.reason == Reason::NoSuchRole {
        let account = refusal.resource.split(':').nth(4).unwrap_or_default();
        if import.accounts().any(|imported| imported == account) {
            writeln!(
                text,
                "The export of account {account} has no role with this path and name; their case counts."
            )?;
        } else {
            let accounts = accounts_of(import);
            writeln!(
                text,
                "There is no export of account {account}: they are of {accounts}."
            )?;
        }
    }
    Ok(())
}

/// Returns credentials of a user or role of the exports.
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
                "--caller {caller} is a session: give the role, arn:{partition}:iam::{account}:role/{role}, \
                 with its path if it has one"
            )
        }
        _ => bail!(
            "--caller {caller} must be the ARN of a user or role: arn:aws:iam::<account>:user/<path><name>"
        ),
    };
    found.or_else(|_| {
        let accounts = accounts_of(import);
        bail!("--caller {caller}: the exports have no such user or role; they are of {accounts}")
    })
}

fn accounts_of(import: &Import) -> String {
    let accounts: Vec<&str> = import.accounts().collect();
    match accounts[..] {
        [account] => format!("the account {account}"),
        _ => format!("the accounts {}", accounts.join(", ")),
    }
}

/// Returns the code of a device that the exports do not have: that the person has it is taken for granted.
fn mfa_code(aws: &Simulator, user_arn: &str, serial: &str) -> Result<String, IamError> {
    if aws.mfa_code(serial).is_none() {
        aws.mfa_device(user_arn, serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")?;
    }
    Ok(aws.mfa_code(serial).unwrap_or_default())
}

/// Says what the exports do not have and the chain may depend on.
fn write_left_out(text: &mut String, import: &Import, chain: &[&str]) -> std::fmt::Result {
    // The credentials to start with are made here, and the roles need no others.
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

/// Whether what was left out may matter to a chain of these users and roles. Groups and managed policies may be those
/// of any.
fn concerns(subject: &str, chain: &[&str]) -> bool {
    let Some(at) = subject.find("arn:") else {
        return true;
    };
    let arn = subject[at..].split(',').next().unwrap_or_default();
    let is_user_or_role = arn.contains(":user/") || arn.contains(":role/");
    !is_user_or_role || chain.contains(&arn)
}
