//! `man`: prints man pages of the program and of each command.

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_mangen::Man;

use crate::output;

/// Print a man page of the program or of one of its commands
///
///   role-chain man > role-chain.1
///   role-chain man doctor > role-chain-doctor.1
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Command to describe; if omitted, the program itself
    command: Option<String>,
}

pub fn run(options: &Options, mut program: Command) -> Result<()> {
    program.build();
    let command = match &options.command {
        None => program,
        Some(name) => {
            let command = program.find_subcommand(name).with_context(|| {
                let names = program.get_subcommands().map(Command::get_name);
                let names: Vec<_> = names.filter(|name| *name != "help").collect();
                format!(
                    "there is no command {name}: use one of {}",
                    names.join(", ")
                )
            })?;
            command.clone().name(format!("role-chain-{name}"))
        }
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    output::print(&String::from_utf8(page)?)
}
