//! Shared by the program's tests: modules of the library's tests, and a home folder with profiles.

// Each test binary uses only some of it.
#![allow(dead_code, unused_imports)]

#[path = "../../../tests/common/documents.rs"]
pub mod documents;
#[path = "../../../tests/common/example.rs"]
pub mod example;
#[path = "../../../tests/common/ministack.rs"]
pub mod ministack;
#[path = "../../../tests/common/proxy.rs"]
pub mod proxy;
#[path = "../../../tests/common/pypi.rs"]
pub mod pypi;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use documents::{EXTERNAL_ID, allow, trusts, trusts_with_external_id};
use example::{Said, without_settings};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_role-chain");

pub const USER: &str = "arn:aws:iam::111111111111:user/orders";
pub const HUB: &str = "arn:aws:iam::333333333333:role/Hub";
pub const WRITER: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";

/// A home folder with `~/.aws/config`. It is removed when dropped.
pub struct Home(PathBuf);

impl Home {
    pub fn new(test: &str, config: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let home = Self(folder.join(format!("home-{test}-{}", std::process::id())));
        std::fs::create_dir_all(home.0.join(".aws")).unwrap();
        home.write(".aws/config", config);
        home
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }

    /// Returns the command for the program in this home, without AWS environment variables.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut program = without_settings(PROGRAM);
        program
            .env("HOME", &self.0)
            .env("USERPROFILE", &self.0)
            .args(arguments)
            .stdin(Stdio::null());
        program
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        self.program(arguments).output().unwrap().into()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A failure is ignored: the folder is in Cargo's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
