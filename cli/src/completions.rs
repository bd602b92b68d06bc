//! `completions`: prints a completion script for a shell.

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::output;

/// Print a completion script for a shell
///
///   role-chain completions bash \
///       > ~/.local/share/bash-completion/completions/role-chain
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Shell that the script is for
    shell: Shell,
}

pub fn run(options: &Options, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "role-chain", &mut script);
    // clap_complete 4.6 encodes the hyphen of the program's name in two ways in bash's script, so nothing is completed
    // after a command (<https://github.com/clap-rs/clap/issues/6421>).
    let script = String::from_utf8(script)?.replace("role__subcmd__chain", "role__chain");
    output::print(&script)
}
