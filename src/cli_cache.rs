//! The AWS CLI's own cache of assumed roles, `~/.aws/cli/cache`: a session that the CLI fetched serves the
//! program, and the other way round.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tempfile::NamedTempFile;

use crate::cell::Session;
use crate::error::timestamp;
use crate::json::in_ascii;
use crate::role::ArnParts;
use crate::sts;

/// The CLI takes no entry that has less left.
const LEAST_LEFT: Duration = Duration::from_secs(15 * 60);

/// How much longer than asked for a session may seem to last: clocks differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// How often a lock is tried that another process holds, and for how long: it asks STS, or a person first.
const LOCK_RETRY: Duration = Duration::from_millis(100);
const LOCK_PATIENCE: Duration = Duration::from_secs(20);
const LOCK_PATIENCE_WITH_A_PERSON: Duration = Duration::from_secs(10 * 60);

/// Where the CLI keeps its cache; none without a home.
pub(crate) fn default_folder() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".aws").join("cli").join("cache"))
}

/// What a profile asks for, as the CLI sees it.
pub(crate) struct Asked<'a> {
    pub(crate) role_arn: &'a str,
    pub(crate) session_name: Option<&'a str>,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) serial: Option<&'a str>,
    pub(crate) duration_seconds: Option<u64>,
}

impl Asked<'_> {
    /// The SHA-1 of Python's `json.dumps(request, sort_keys=True)`.
    fn key(&self) -> String {
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

fn python_string(text: &str) -> String {
    in_ascii(&Value::from(text).to_string())
}

/// One role's place in the cache.
pub(crate) struct Entry {
    file: PathBuf,
    /// `arn:<partition>:sts::<account>:assumed-role/<name>/`, and the session's name where one is asked for.
    session_arn: (String, Option<String>),
    /// One warning is enough.
    warned: AtomicBool,
}

impl Entry {
    /// None where the ARN is no role's; the check of the role says so.
    pub(crate) fn new(folder: &Path, asked: &Asked<'_>) -> Option<Self> {
        let arn = ArnParts::parse(asked.role_arn)?;
        // A session's ARN leaves out the role's path.
        let name = arn.resource.strip_prefix("role/")?.rsplit('/').next()?;
        let partition = asked.role_arn.split(':').nth(1)?;
        let session = format!("arn:{partition}:sts::{}:assumed-role/{name}/", arn.account);
        Some(Self {
            file: folder.join(format!("{}.json", asked.key())),
            session_arn: (session, asked.session_name.map(str::to_owned)),
            warned: AtomicBool::default(),
        })
    }

    /// The session kept here, if it is the role's and has more than 15 minutes left, but no more than a
    /// session lasts.
    pub(crate) fn read(&self, now: SystemTime, longest: Duration) -> Option<Session> {
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.warn("cannot be read", &error.to_string());
                return None;
            }
        };
        match self.parse(&text) {
            Ok(session) if session.expiry > now + longest + SKEW => {
                self.warn("cannot be used", "its Expiration is too far in the future");
                None
            }
            Ok(session) => Some(session).filter(|session| session.expiry > now + LEAST_LEFT),
            Err(why) => {
                self.warn("cannot be used", &why);
                None
            }
        }
    }

    /// Says no more of what is in the file than whose session it is.
    fn parse(&self, text: &str) -> Result<Session, String> {
        let entry: Value = serde_json::from_str(text).map_err(|error| match error.is_eof() {
            true => "it is empty, or ends too early".to_owned(),
            false => format!(
                "no JSON at line {}, column {}",
                error.line(),
                error.column()
            ),
        })?;
        let text = |pointer: &str| {
            let value = entry.pointer(pointer).and_then(Value::as_str);
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("there is no {}", &pointer[1..]))
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
        let account = arn.split(':').nth(4);
        let mut session = sts::session_of(
            text("/Credentials/AccessKeyId")?,
            text("/Credentials/SecretAccessKey")?,
            text("/Credentials/SessionToken")?,
            expiry.ok_or("its Expiration is no time")?,
            account,
            Some(arn.into()),
        );
        session.kept = true;
        Ok(session)
    }

    /// Keeps a session for the next process. A failure only warns: the session is good.
    pub(crate) fn write(&self, session: &Session) {
        if let Err(error) = self.try_write(session) {
            self.warn("cannot be written", &error.to_string());
        }
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

    /// Waits until no other process fetches this entry, so that a person is asked for one code. The lock is
    /// the operating system's: it goes with the process that holds it. Without one the session is fetched
    /// all the same.
    pub(crate) async fn lock(
        &self,
        asks_a_person: bool,
        sleep: Option<&SharedAsyncSleep>,
    ) -> Option<File> {
        let opened = self.folder().and_then(|_| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(self.file.with_extension("lock"))
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                self.warn("cannot be locked", &error.to_string());
                return None;
            }
        };
        let patience = match asks_a_person {
            true => LOCK_PATIENCE_WITH_A_PERSON,
            false => LOCK_PATIENCE,
        };
        let mut waited = Duration::ZERO;
        loop {
            match (file.try_lock(), sleep) {
                (Ok(()), _) => return Some(file),
                (Err(TryLockError::WouldBlock), Some(sleep)) if waited < patience => {
                    sleep.sleep(LOCK_RETRY).await;
                    waited += LOCK_RETRY;
                }
                (Err(error), _) => {
                    self.warn("cannot be locked", &error.to_string());
                    return None;
                }
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_cli_s() {
        let role_arn = "arn:aws:iam::222222222222:role/R";
        let bare = Asked {
            role_arn,
            session_name: None,
            external_id: None,
            serial: None,
            duration_seconds: None,
        };
        let full = Asked {
            role_arn,
            session_name: Some("s"),
            external_id: Some("ext"),
            serial: Some("arn:aws:iam::111111111111:mfa/u"),
            duration_seconds: Some(3600),
        };
        assert_eq!(bare.key(), "0c788b0dd5f46424edd2bd3998d91459fbeced05");
        assert_eq!(full.key(), "3c40d7a56e64717e96741ea22bc5674ceeabe07b");
    }

    #[test]
    fn a_string_is_escaped_as_python_does() {
        // json.dumps("é\u007f\n\"\\\U0001f600/")
        let python = r#""\u00e9\u007f\n\"\\\ud83d\ude00/""#;
        assert_eq!(python_string("é\u{7f}\n\"\\\u{1f600}/"), python);
    }
}
