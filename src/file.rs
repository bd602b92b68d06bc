//! [`read`]: reads a file that may be anything, such as that of a token.

use std::io;
use std::path::Path;

/// Rejects what would block whoever opens it, such as a FIFO, or never ends. A missing file is none of that.
pub(crate) fn check_regular(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let text = "it is not a regular file";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        _ => Ok(()),
    }
}

/// Reads a regular file.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    check_regular(path)?;
    std::fs::read_to_string(path)
}
