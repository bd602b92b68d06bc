//! [`Import`] and [`ImportError`]: the result of an import.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The result of [`Simulator::import`](crate::Simulator::import): the imported accounts, and what was left out.
#[derive(Clone, Debug, Default)]
pub struct Import {
    pub(super) accounts: BTreeSet<String>,
    left_out: Vec<LeftOut>,
}

impl Import {
    /// Returns the IDs of the accounts that were imported.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.accounts.iter().map(String::as_str)
    }

    /// Returns what was left out, because the exports do not contain it or the simulator cannot evaluate it. A decision
    /// that depends on it may differ from AWS's.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    pub(super) fn leave_out(
        &mut self,
        file: &Path,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) {
        self.left_out.push(LeftOut {
            file: file.to_owned(),
            subject: subject.into(),
            reason: reason.into(),
        });
    }
}

/// Something that an import left out. `Display` writes it as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The file that the omission is about.
    pub file: PathBuf,
    /// The ARN of what was left out, with the policy and statement if there is one.
    pub subject: String,
    /// Why it was left out, and what that means for decisions.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.file.display(),
            self.subject,
            self.reason
        )
    }
}

/// The error of a failed import: the file, and the reason.
#[derive(Clone, Debug)]
pub struct ImportError {
    file: PathBuf,
    reason: String,
}

impl ImportError {
    pub(super) fn new(file: &Path, reason: impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Returns the file or folder that the error is about.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for ImportError {}
