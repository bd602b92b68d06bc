//! Runs examples as programs, as a user would.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::pypi::target_dir;

pub fn put_records() -> Command {
    example("put_records")
}

/// Returns the command for a built example, without the AWS settings of the user who runs the tests.
pub fn example(name: &str) -> Command {
    let mut command = without_settings(built(name));
    command
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    command
}

/// Returns a command without the AWS environment variables.
pub fn without_settings(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Builds all examples with all features, and returns the program of one.
pub fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package=aws-role-chain",
                "--all-features",
                "--examples",
                "--target-dir",
            ])
            .arg(target_dir())
            .status()
            .unwrap();
        assert!(built.success());
    });
    let name = format!("debug/examples/{name}{}", std::env::consts::EXE_SUFFIX);
    target_dir().join(name)
}

/// What a program printed, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            ok: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
