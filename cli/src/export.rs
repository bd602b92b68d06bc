//! `export`: prints credentials as commands that a shell evaluates.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::chain::{ChainOptions, DefaultSources};
use crate::{output, session};

/// Print credentials as environment variables, for a shell to evaluate
///
///   eval "$(role-chain export --profile writer)"
///   role-chain export --profile writer --shell powershell | Invoke-Expression
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    #[command(flatten)]
    chain: ChainOptions,

    /// Shell that evaluates the output
    #[arg(long, default_value = "sh")]
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Sh,
    Powershell,
}

pub async fn run(options: &Options) -> Result<()> {
    let chain = options.chain.load(DefaultSources::All).await?;
    let credentials = session::credentials(&chain).await?;
    let expiration = credentials.expiry().and_then(output::timestamp);
    let variables = [
        ("AWS_ACCESS_KEY_ID", Some(credentials.access_key_id())),
        (
            "AWS_SECRET_ACCESS_KEY",
            Some(credentials.secret_access_key()),
        ),
        ("AWS_SESSION_TOKEN", credentials.session_token()),
        ("AWS_CREDENTIAL_EXPIRATION", expiration.as_deref()),
    ];
    let lines = variables.into_iter().filter_map(|(name, value)| {
        let value = value?;
        Some(match options.shell {
            Shell::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Shell::Powershell => format!("$Env:{name} = '{}'\n", value.replace('\'', "''")),
        })
    });
    output::print(&lines.collect::<String>())
}
