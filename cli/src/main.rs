//! The program `role-chain`: its commands, and what they share: one runtime, Ctrl-C, exit codes.

mod base;
mod chain;
mod completions;
mod credential_process;
mod doctor;
mod export;
mod man;
mod output;
mod policies;
mod session;
mod setup_iam;
mod values;
mod whoami;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use base::Overrides;

const EXIT_CODES: &str = "\
Exit codes: 0 success; 1 failure, or doctor found one; 2 wrong usage; \
130 interrupted by Ctrl-C. Errors go to stderr.";

/// Use, diagnose and set up chains of AWS roles across accounts
#[derive(Parser)]
#[command(name = "role-chain", version, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// Each command is described where its options are.
#[derive(Subcommand)]
enum Command {
    CredentialProcess(credential_process::Options),
    Export(export::Options),
    Doctor(doctor::Options),
    Whoami(whoami::Options),
    Policies(policies::Options),
    SetupIam(setup_iam::Options),
    Completions(completions::Options),
    Man(man::Options),
}

impl Command {
    fn overrides(&self) -> Option<&Overrides> {
        match self {
            Self::CredentialProcess(options) => Some(&options.chain.overrides),
            Self::Export(options) => Some(&options.chain.overrides),
            Self::Doctor(options) => Some(&options.chain.overrides),
            Self::Whoami(options) => Some(&options.chain.overrides),
            Self::Policies(options) => Some(&options.chain.overrides),
            Self::SetupIam(options) => Some(&options.overrides),
            Self::Completions(_) | Self::Man(_) => None,
        }
    }

    async fn run(self) -> Result<ExitCode> {
        match self {
            Self::CredentialProcess(options) => credential_process::run(&options).await?,
            Self::Export(options) => export::run(&options).await?,
            Self::Doctor(options) => return doctor::run(&options).await,
            Self::Whoami(options) => whoami::run(&options).await?,
            Self::Policies(options) => policies::run(&options).await?,
            Self::SetupIam(options) => setup_iam::run(&options).await?,
            Self::Completions(options) => completions::run(&options, command())?,
            Self::Man(options) => man::run(&options, command())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    let parsed = command().try_get_matches();
    let parsed = parsed.and_then(|matches| {
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
    });
    let command = match parsed {
        Ok(cli) => cli.command,
        Err(error) => return output::usage(&error),
    };
    if let Some(overrides) = command.overrides() {
        // Before the runtime: no other thread may run while the environment changes.
        overrides.set_environment();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&error.into()),
    };
    let code = runtime.block_on(async {
        tokio::select! {
            result = command.run() => result.unwrap_or_else(|error| output::failure(&error)),
            Ok(()) = tokio::signal::ctrl_c() => output::interrupted(),
        }
    });
    // Calls that are still running are not worth waiting for.
    runtime.shutdown_background();
    code
}

/// The whole command line, as parsed, completed and described in man pages.
fn command() -> clap::Command {
    Cli::command()
        .after_help(EXIT_CODES)
        .mut_subcommands(|command| command.after_help(EXIT_CODES))
}
