//! The program `role-chain`: parses the command line, runs the command, handles Ctrl-C and returns the exit code.

mod base;
mod chain;
mod completions;
mod credential_process;
mod doctor;
mod export;
mod log;
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

use tracing_subscriber::filter::LevelFilter;

const EXIT_CODES: &str = "\
Exit codes: 0 success; 1 failure, or doctor found a role that cannot be \
assumed; 2 invalid usage; 130 interrupted by Ctrl-C. Errors are printed to \
stderr.";

/// Use, diagnose and set up chains of AWS roles across accounts
#[derive(Parser)]
#[command(name = "role-chain", version, max_term_width = 80)]
struct Cli {
    /// Log the library's actions to stderr, such as each role that it assumes, without secrets
    ///
    /// Without this option, only warnings are logged, and credential-process logs nothing, because SDKs
    /// and the AWS CLI show what it prints to stderr.
    #[arg(short, long, global = true, display_order = 100)]
    verbose: bool,

    #[command(subcommand)]
    command: Command,
}

// The help of each command is the doc comment of its `Options`.
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

impl Cli {
    /// SDKs and the AWS CLI show what a credential process prints to stderr, so it prints only errors there.
    fn log_level(&self) -> LevelFilter {
        if self.verbose {
            return LevelFilter::DEBUG;
        }
        match self.command {
            Command::CredentialProcess(_) => LevelFilter::OFF,
            _ => LevelFilter::WARN,
        }
    }
}

impl Command {
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
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    log::start(cli.log_level());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&error.into()),
    };
    let code = runtime.block_on(async {
        tokio::select! {
            // Polled first, so that the handler is installed before the command starts.
            biased;
            Ok(()) = tokio::signal::ctrl_c() => output::interrupted(),
            result = cli.command.run() => result.unwrap_or_else(|error| output::failure(&error)),
        }
    });
    // Does not wait for calls in flight.
    runtime.shutdown_background();
    code
}

/// Returns the definition of the command line, from which parsing, completions and man pages are made.
fn command() -> clap::Command {
    Cli::command()
        .after_help(EXIT_CODES)
        .mut_subcommands(|command| command.after_help(EXIT_CODES))
}
