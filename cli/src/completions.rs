//! `completions`: a shell's completion script.

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::output;

/// Print a completion script for a shell
///
///   role-chain completions bash > ~/.local/share/bash-completion/completions/role-chain
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Which shell
    shell: Shell,
}

pub fn run(options: &Options, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "role-chain", &mut script);
    output::print(&String::from_utf8(script)?)
}
