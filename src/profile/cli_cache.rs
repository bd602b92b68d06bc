//! [`Entry`]: a session store in the AWS CLI's cache of assumed roles, `~/.aws/cli/cache` (feature `cli-cache`). The
//! CLI and the program use each other's sessions.
#![cfg(feature = "cli-cache")]

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tempfile::NamedTempFile;

use crate::arn::Arn;
use crate::chain::{SessionStore, StoreLock};
use crate::file;
use crate::json::escape_non_ascii;
use crate::session::Session;
use crate::timestamp::timestamp;

/// The CLI does not use an entry with less remaining lifetime.
const MIN_REMAINING_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How much longer than requested a stored session may appear to last, because clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The interval and timeouts of attempts to lock an entry while another process calls STS or asks a person.
const LOCK_RETRY: Duration = Duration::from_millis(100);
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);
const INTERACTIVE_LOCK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Returns the folder of the CLI's cache; `None` if the home directory is unknown.
pub(super) fn default_folder() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".aws").join("cli").join("cache"))
}

/// The parameters of a profile's request that determine the name of the CLI's file.
pub(super) struct CacheKey<'a> {
    pub(super) role_arn: &'a str,
    pub(super) session_name: Option<&'a str>,
    pub(super) external_id: Option<&'a str>,
    pub(super) serial: Option<&'a str>,
    pub(super) duration_seconds: Option<u64>,
}

impl CacheKey<'_> {
    /// The SHA-1 of Python's `json.dumps(request, sort_keys=True)`.
    fn hash(&self) -> String {
        let text = |name: &str, value: Option<&str>| {
            value.map(|value| format!("{}: {}", python_string(name), python_string(value)))
        };
        // Sorted by name.
        let members = [
            self.duration_seconds
                .map(|seconds| format!("\"DurationSeconds\": {seconds}")),
            text("ExternalId", self.external_id),
            text("RoleArn", Some(self.role_arn)),
            text("RoleSessionName", self.session_name),
            text("SerialNumber", self.serial),
        ];
        let members: Vec<_> = members.into_iter().flatten().collect();
        let request = format!("{{{}}}", members.join(", "));
        let digest = Sha1::digest(request.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Formats a string as Python's `json.dumps` does, which escapes everything except printable ASCII.
fn python_string(text: &str) -> String {
    escape_non_ascii(&Value::from(text).to_string())
}

/// The cache entry of one role.
pub(super) struct Entry {
    file: PathBuf,
    /// `arn:<partition>:sts::<account>:assumed-role/<name>/`, and the session name if the profile sets one.
    session_arn: (String, Option<String>),
    /// A warning is logged only once.
    warned: AtomicBool,
}

impl Entry {
    /// Returns `None` if the ARN is not a role's, which the check of the role reports.
    pub(super) fn new(folder: &Path, key: &CacheKey<'_>) -> Option<Self> {
        let arn = Arn::parse(key.role_arn)?;
        // A session's ARN leaves out the role's path.
        let (_, name) = arn.role()?;
        let Arn {
            partition, account, ..
        } = arn;
        let session = format!("arn:{partition}:sts::{account}:assumed-role/{name}/");
        Some(Self {
            file: folder.join(format!("{}.json", key.hash())),
            session_arn: (session, key.session_name.map(str::to_owned)),
            warned: AtomicBool::default(),
        })
    }

    /// Parses the file. The error contains nothing from it except the ARN of the session and the names of fields.
    fn parse(&self, text: &str) -> Result<Session, String> {
        let entry: Value = serde_json::from_str(text).map_err(|error| {
            if error.is_eof() {
                return "it is empty or incomplete".to_owned();
            }
            format!(
                "invalid JSON at line {}, column {}",
                error.line(),
                error.column()
            )
        })?;
        let text = |pointer: &str| {
            let value = entry.pointer(pointer).and_then(Value::as_str);
            let value = value.filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("{} is missing", &pointer[1..]))?;
            // Such a value cannot be sent in an HTTP header.
            if value.chars().any(char::is_control) {
                return Err(format!("its {} contains control characters", &pointer[1..]));
            }
            Ok(value)
        };
        let arn = text("/AssumedRoleUser/Arn")?;
        let (role, session_name) = &self.session_arn;
        let found = arn.strip_prefix(role.as_str());
        if found.is_none_or(|found| session_name.as_ref().is_some_and(|name| name != found)) {
            return Err(format!("it contains session {arn}, not one of {role}…"));
        }
        let expiration = text("/Credentials/Expiration")?;
        // The CLI writes Python's name of the time zone, `UTC`.
        let expiry = match expiration.strip_suffix("UTC") {
            Some(time) => DateTime::from_str(&format!("{time}Z"), Format::DateTime),
            None => DateTime::from_str(expiration, Format::DateTimeWithOffset),
        };
        let expiry = expiry.ok().and_then(|time| SystemTime::try_from(time).ok());
        let account = Arn::parse(arn).map(|arn| arn.account);
        let mut session = Session::new(
            text("/Credentials/AccessKeyId")?,
            text("/Credentials/SecretAccessKey")?,
            text("/Credentials/SessionToken")?,
            expiry.ok_or("its Expiration is not a valid time")?,
            account,
            Some(arn.into()),
        );
        session.from_store = true;
        Ok(session)
    }

    fn try_write(&self, session: &Session) -> io::Result<()> {
        let expiration = timestamp(session.expiry);
        let keys = &session.credentials;
        let entry = json!({
            "Credentials": {
                "AccessKeyId": keys.access_key_id(),
                "SecretAccessKey": keys.secret_access_key(),
                "SessionToken": keys.session_token(),
                "Expiration": format!("{}UTC", expiration.trim_end_matches('Z')),
                "AccountId": keys.account_id().map(|id| id.as_str()),
            },
            "AssumedRoleUser": {"Arn": session.arn.as_deref()},
        });
        // Created with mode 0600, and deleted unless it is persisted.
        let mut file = NamedTempFile::new_in(self.folder()?)?;
        file.write_all(entry.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.file)?;
        Ok(())
    }

    fn open_lock(&self) -> io::Result<File> {
        self.folder()?;
        let file = self.file.with_extension("lock");
        file::check_regular(&file)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(file)
    }

    /// Returns the folder, after creating it if it is missing.
    fn folder(&self) -> io::Result<&Path> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
        Ok(folder)
    }

    fn warn(&self, what: &str, why: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "aws_role_chain",
                file = %self.file.display(),
                why,
                "the AWS CLI's cache entry {what}"
            );
        }
    }
}

impl SessionStore for Entry {
    fn read(&self, now: SystemTime, max_lifetime: Duration) -> Option<Session> {
        let text = match file::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.warn("cannot be read", &error.to_string());
                return None;
            }
        };
        match self.parse(&text) {
            Ok(session) if session.expiry > now + max_lifetime + CLOCK_SKEW => {
                self.warn("cannot be used", "its Expiration is too far in the future");
                None
            }
            Ok(session) => {
                Some(session).filter(|session| session.expiry > now + MIN_REMAINING_LIFETIME)
            }
            Err(reason) => {
                self.warn("cannot be used", &reason);
                None
            }
        }
    }

    /// A failure is only logged, because the session itself is valid.
    fn write(&self, session: &Session) {
        if let Err(error) = self.try_write(session) {
            self.warn("cannot be written", &error.to_string());
        }
    }

    /// Uses a lock of the operating system, which is released when the process that holds it ends.
    fn lock<'a>(
        &'a self,
        is_interactive: bool,
        sleep: &'a SharedAsyncSleep,
    ) -> Pin<Box<dyn Future<Output = Option<StoreLock>> + Send + 'a>> {
        Box::pin(async move {
            let file = match self.open_lock() {
                Ok(file) => file,
                Err(error) => {
                    self.warn("cannot be locked", &error.to_string());
                    return None;
                }
            };
            let timeout = if is_interactive {
                INTERACTIVE_LOCK_TIMEOUT
            } else {
                LOCK_TIMEOUT
            };
            let mut waited = Duration::ZERO;
            loop {
                match file.try_lock() {
                    Ok(()) => return Some(Box::new(file) as StoreLock),
                    Err(TryLockError::WouldBlock) if waited < timeout => {
                        sleep.sleep(LOCK_RETRY).await;
                        waited += LOCK_RETRY;
                    }
                    Err(error) => {
                        self.warn("cannot be locked", &error.to_string());
                        return None;
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_that_of_the_cli() {
        let role_arn = "arn:aws:iam::222222222222:role/R";
        let bare = CacheKey {
            role_arn,
            session_name: None,
            external_id: None,
            serial: None,
            duration_seconds: None,
        };
        let full = CacheKey {
            role_arn,
            session_name: Some("s"),
            external_id: Some("ext"),
            serial: Some("arn:aws:iam::111111111111:mfa/u"),
            duration_seconds: Some(3600),
        };
        assert_eq!(bare.hash(), "0c788b0dd5f46424edd2bd3998d91459fbeced05");
        assert_eq!(full.hash(), "3c40d7a56e64717e96741ea22bc5674ceeabe07b");
    }

    #[test]
    fn a_string_is_escaped_as_python_does() {
        // json.dumps("é\u007f\n\"\\\U0001f600/")
        let python = r#""\u00e9\u007f\n\"\\\ud83d\ude00/""#;
        assert_eq!(python_string("é\u{7f}\n\"\\\u{1f600}/"), python);
    }
}
