//! Reads files whose paths users set, such as that of a token: only regular files, because others may block for ever.

use std::io;
use std::path::Path;

/// Rejects files that may block or never end, such as a FIFO. A missing file is accepted.
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
