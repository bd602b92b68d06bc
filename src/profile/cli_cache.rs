//! [`Entry`]: a session store in the AWS CLI's own cache of assumed roles, `~/.aws/cli/cache` (feature
//! `cli-cache`). A session that the CLI loaded serves the program, and the other way round.

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
use crate::session::{Session, timestamp};

/// The CLI uses no entry that has less left.
const MIN_TIME_LEFT: Duration = Duration::from_secs(15 * 60);

/// How much longer than asked for a session may seem to last: clocks differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// How often a lock is tried that another process holds, and for how long: it asks STS, or a person first.
const LOCK_RETRY: Duration = Duration::from_millis(100);
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);
const INTERACTIVE_LOCK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Returns the folder of the CLI's cache; `None` without a home.
pub(super) fn default_folder() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".aws").join("cli").join("cache"))
}

/// What a profile asks for, as the CLI has it in the names of its files.
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
        // In the order of their names.
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

/// Python escapes all but printable ASCII.
fn python_string(text: &str) -> String {
    escape_non_ascii(&Value::from(text).to_string())
}

/// One role's place in the cache.
pub(super) struct Entry {
    file: PathBuf,
    /// `arn:<partition>:sts::<account>:assumed-role/<name>/`, and the session's name where one is asked for.
    session_arn: (String, Option<String>),
    /// One warning is enough.
    warned: AtomicBool,
}

impl Entry {
    /// Returns `None` where the ARN is not a role's; the check of the role says so.
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

    /// Says no more of what is in the file than whose session it is.
    fn parse(&self, text: &str) -> Result<Session, String> {
        let entry: Value = serde_json::from_str(text).map_err(|error| {
            if error.is_eof() {
                return "it is empty, or ends too early".to_owned();
            }
            format!(
                "no JSON at line {}, column {}",
                error.line(),
                error.column()
            )
        })?;
        let text = |pointer: &str| {
            let value = entry.pointer(pointer).and_then(Value::as_str);
            let value = value.filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("there is no {}", &pointer[1..]))?;
            // No header could carry it.
            if value.chars().any(char::is_control) {
                return Err(format!("its {} has control characters", &pointer[1..]));
            }
            Ok(value)
        };
        let arn = text("/AssumedRoleUser/Arn")?;
        let (role, session_name) = &self.session_arn;
        let found = arn.strip_prefix(role.as_str());
        if found.is_none_or(|found| session_name.as_ref().is_some_and(|name| name != found)) {
            return Err(format!("it is the session {arn}, not one of {role}…"));
        }
        let expiration = text("/Credentials/Expiration")?;
        // Python writes its own name for UTC.
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
            expiry.ok_or("its Expiration is no time")?,
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
        // 0600, and gone if it is not kept.
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
            Ok(session) if session.expiry > now + max_lifetime + SKEW => {
                self.warn("cannot be used", "its Expiration is too far in the future");
                None
            }
            Ok(session) => Some(session).filter(|session| session.expiry > now + MIN_TIME_LEFT),
            Err(reason) => {
                self.warn("cannot be used", &reason);
                None
            }
        }
    }

    /// A failure only logs a warning: the session is good.
    fn write(&self, session: &Session) {
        if let Err(error) = self.try_write(session) {
            self.warn("cannot be written", &error.to_string());
        }
    }

    /// The lock is the operating system's: it goes with the process that holds it.
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
