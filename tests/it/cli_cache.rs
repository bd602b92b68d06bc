//! The AWS CLI's cache: which sessions are written to it and read from it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crate::common::log::Log;
use crate::common::*;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{BoxError, MfaRequest, ProfileLoader, RoleChain};
use aws_smithy_async::time::TimeSource;
use aws_types::SdkConfig;
use serde_json::Value;
use sts_simulator::Simulator;
use tokio::sync::Semaphore;
use tracing_subscriber::filter::LevelFilter;

const EXPIRATION: &str = "Expiration";
const WITH_PATH: &str = "arn:aws:iam::222222222222:role/team/payments/Writer";

/// The user, a hub and a tenant, profiles for both roles, and an empty cache.
struct World {
    aws: Simulator,
    base: SdkConfig,
    config: PathBuf,
    cache: PathBuf,
    serial: String,
}

impl World {
    fn new(name: &str) -> Self {
        let aws = Simulator::new();
        let serial = new_device(&format!("cache-{name}"));
        let keys = user_with_device(&aws, &serial);
        for (role, longest) in [(HUB, 2 * HOUR), (TENANT, HOUR), (WITH_PATH, HOUR)] {
            aws.role(role)
                .trust(trusts("*"))
                .policy(allow("sts:*"))
                .max_session_duration(longest)
                .create()
                .unwrap();
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-cache-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("config");
        let profiles = format!(
            "[profile hub]\nrole_arn = {HUB}\nsource_profile = b\n\
             [profile named]\nrole_arn = {HUB}\nsource_profile = b\nrole_session_name = orders\n\
             [profile mfa]\nrole_arn = {HUB}\nsource_profile = b\nmfa_serial = {serial}\n\
             [profile tenant]\nrole_arn = {TENANT}\nsource_profile = hub\n\
             [profile tagged]\nrole_arn = {HUB}\nsource_profile = b\ntransitive_session_tags = team\nsession_tags = team=payments\n\
             [profile behind]\nrole_arn = {TENANT}\nsource_profile = tagged\n\
             [profile identity]\nrole_arn = {HUB}\nsource_profile = b\nsource_identity = ada\n\
             [profile behind-identity]\nrole_arn = {TENANT}\nsource_profile = identity\n\
             [profile path]\nrole_arn = {WITH_PATH}\nsource_profile = b\n\
             [profile long]\nrole_arn = {HUB}\nsource_profile = b\nduration_seconds = 7200\n\
             [profile itself]\nrole_arn = {HUB}\nsource_profile = hub\n\
             [profile back]\nrole_arn = {HUB}\nsource_profile = tenant-first\n\
             [profile tenant-first]\nrole_arn = {TENANT}\nsource_profile = b\n\
             [profile b]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            keys.access_key_id(),
            keys.secret_access_key()
        );
        fs::write(&config, profiles).unwrap();
        let base = aws.sdk_config(keys);
        let cache = folder.join("new").join("cache");
        Self {
            aws,
            base,
            config,
            cache,
            serial,
        }
    }

    fn loader(&self, profile: &str) -> ProfileLoader {
        ProfileLoader::new(profile)
            .base(&self.base)
            .config_file(&self.config)
            .cli_cache_in(&self.cache)
    }

    /// Builds a new chain, as another process would.
    async fn chain(&self, profile: &str) -> RoleChain {
        self.loader(profile).load().await.unwrap()
    }

    async fn credentials(&self, profile: &str) -> Credentials {
        let chain = self.chain(profile).await;
        chain.provide_credentials().await.unwrap()
    }

    /// Returns the files of all entries.
    fn entries(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(&self.cache) else {
            return Vec::new();
        };
        let files = files.map(|file| file.unwrap().path());
        files
            .filter(|file| file.extension().unwrap() != "lock")
            .collect()
    }

    fn entry(&self) -> PathBuf {
        let mut entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }

    /// Edits the only entry.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let entry = self.entry();
        let mut value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
        change(&mut value);
        fs::write(entry, value.to_string()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_session_of_one_process_serves_the_next() {
    let world = World::new("serves");
    let first = world.credentials("tenant").await;
    assert_eq!(world.aws.requests(), 2);
    assert_eq!(world.entries().len(), 2);
    let second = world.credentials("tenant").await;
    assert_eq!(second.access_key_id(), first.access_key_id());
    assert_eq!(second.session_token(), first.session_token());
    assert_eq!(second.account_id(), first.account_id());
    assert_eq!(second.expiry(), first.expiry());
    // The hub's session was cached too.
    world.credentials("hub").await;
    assert_eq!(world.aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_entry_has_the_format_of_the_aws_cli_and_is_private_to_its_owner() {
    let world = World::new("format");
    let session = world.credentials("hub").await;
    // SHA-1 of {"RoleArn": "arn:aws:iam::222222222222:role/Hub"}
    let name = "3015d5772cdff37422cfbe0d6d0a006f5592c799.json";
    let entry = world.entry();
    let written: Value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
    let text = |pointer: &str| written.pointer(pointer).and_then(Value::as_str);
    assert_eq!(
        text("/Credentials/AccessKeyId"),
        Some(session.access_key_id())
    );
    assert_eq!(
        text("/Credentials/SecretAccessKey"),
        Some(session.secret_access_key())
    );
    assert_eq!(text("/Credentials/SessionToken"), session.session_token());
    assert_eq!(text("/Credentials/AccountId"), Some("222222222222"));
    let expiration = text("/Credentials/Expiration").unwrap();
    assert!(
        expiration.len() == 22 && expiration.ends_with("UTC"),
        "{expiration}"
    );
    let arn = text("/AssumedRoleUser/Arn").unwrap();
    assert!(
        arn.starts_with("arn:aws:sts::222222222222:assumed-role/Hub/"),
        "{arn}"
    );
    assert_eq!(entry.file_name().unwrap(), name);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&entry), 0o600);
        assert_eq!(mode(&entry.with_extension("lock")), 0o600);
        assert_eq!(mode(&world.cache), 0o700);
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_fifteen_minutes_left_or_less_is_replaced() {
    let world = World::new("late");
    // An expiry has whole seconds, so the clock is moved to one.
    let since = world.aws.clock().now().duration_since(UNIX_EPOCH).unwrap();
    let to_the_second = Duration::from_nanos(1_000_000_000 - u64::from(since.subsec_nanos()));
    world.aws.clock().advance(to_the_second).await;
    let first = world.credentials("hub").await;
    let left = first
        .expiry()
        .unwrap()
        .duration_since(world.aws.clock().now())
        .unwrap();
    const SECOND: Duration = Duration::from_secs(1);
    world.aws.clock().advance(left - 15 * MINUTE - SECOND).await;
    assert_eq!(
        world.credentials("hub").await.access_key_id(),
        first.access_key_id()
    );
    world.aws.clock().advance(SECOND).await;
    let second = world.credentials("hub").await;
    assert_ne!(second.access_key_id(), first.access_key_id());
    assert_eq!(
        world.credentials("hub").await.access_key_id(),
        second.access_key_id()
    );
    assert_eq!(world.aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_chain_in_use_keeps_the_entry_fresh() {
    let world = World::new("fresh");
    let chain = world.chain("hub").await;
    chain.provide_credentials().await.unwrap();
    world.aws.clock().advance(HOUR - MINUTE).await;
    let refreshed = chain.provide_credentials().await.unwrap();
    assert_eq!(world.aws.requests(), 2);
    let next = world.credentials("hub").await;
    assert_eq!(next.access_key_id(), refreshed.access_key_id());
    assert_eq!(world.aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn expiry_times_of_every_aws_cli_version_are_read() {
    let world = World::new("times");
    let session = world.credentials("hub").await;
    let utc = aws_smithy_types::DateTime::from(session.expiry().unwrap());
    let utc = utc
        .fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap();
    let utc = utc[..19].to_owned();
    for time in [
        format!("{utc}Z"),
        format!("{utc}UTC"),
        format!("{utc}+00:00"),
    ] {
        world.edit(|entry| entry["Credentials"][EXPIRATION] = time.clone().into());
        world.credentials("hub").await;
        assert_eq!(world.aws.requests(), 1, "{time}");
    }
}

#[tokio::test(start_paused = true)]
async fn broken_and_foreign_entries_are_replaced_with_one_warning() {
    type Break = (&'static str, &'static str, fn(&World));
    let breaks: [Break; 11] = [
        ("empty", "incomplete", |world| {
            fs::write(world.entry(), "").unwrap()
        }),
        ("no JSON", "invalid JSON at line 1", |world| {
            fs::write(world.entry(), "secret!").unwrap()
        }),
        ("cut off", "incomplete", |world| {
            let whole = fs::read_to_string(world.entry()).unwrap();
            fs::write(world.entry(), &whole[..whole.len() / 2]).unwrap();
        }),
        ("another role's", "not one of", |world| {
            let arn = "arn:aws:sts::222222222222:assumed-role/Hub2/orders";
            world.edit(|entry| entry["AssumedRoleUser"]["Arn"] = arn.into());
        }),
        ("another account's", "not one of", |world| {
            let arn = "arn:aws:sts::333333333333:assumed-role/Hub/orders";
            world.edit(|entry| entry["AssumedRoleUser"]["Arn"] = arn.into());
        }),
        ("nobody's", "AssumedRoleUser/Arn is missing", |world| {
            world.edit(|entry| entry["AssumedRoleUser"] = Value::Null);
        }),
        (
            "without a secret",
            "Credentials/SecretAccessKey is missing",
            |world| {
                world.edit(|entry| entry["Credentials"]["SecretAccessKey"] = "".into());
            },
        ),
        ("of no time", "Expiration is not a valid time", |world| {
            world.edit(|entry| entry["Credentials"][EXPIRATION] = "tomorrow".into());
        }),
        ("never to end", "too far in the future", |world| {
            world.edit(|entry| entry["Credentials"][EXPIRATION] = "9999-12-31T23:59:59Z".into());
        }),
        (
            "with a line break",
            "contains control characters",
            |world| {
                world.edit(|entry| entry["Credentials"]["SessionToken"] = "token\nX-Amz: 1".into());
            },
        ),
        ("no text", "cannot be read", |world| {
            fs::write(world.entry(), [0xff, 0xfe]).unwrap()
        }),
    ];
    for (i, (what, says, break_it)) in breaks.into_iter().enumerate() {
        let world = World::new(&format!("broken-{i}"));
        let first = world.credentials("hub").await;
        break_it(&world);
        let (log, guard) = Log::at(LevelFilter::WARN);
        let second = world.credentials("hub").await;
        drop(guard);
        assert_ne!(first.access_key_id(), second.access_key_id(), "{what}");
        let log = log.text();
        assert_eq!(log.matches("WARN").count(), 1, "{what}: {log}");
        assert!(log.contains(says), "{what}: {log}");
        for secret in [
            first.secret_access_key(),
            first.session_token().unwrap(),
            "secret!",
        ] {
            assert!(!log.contains(secret), "{what}: {log}");
        }
        assert_eq!(
            world.credentials("hub").await.access_key_id(),
            second.access_key_id()
        );
        assert_eq!(world.aws.requests(), 2, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_another_session_name_is_not_used_where_a_name_is_set() {
    let world = World::new("named");
    let first = world.credentials("named").await;
    world.edit(|entry| {
        let arn = "arn:aws:sts::222222222222:assumed-role/Hub/refunds";
        entry["AssumedRoleUser"]["Arn"] = arn.into();
    });
    assert_ne!(
        world.credentials("named").await.access_key_id(),
        first.access_key_id()
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_with_tags_or_a_source_identity_and_those_behind_them_are_not_shared() {
    for profile in ["behind", "behind-identity"] {
        let world = World::new(profile);
        world.credentials(profile).await;
        world.credentials(profile).await;
        assert_eq!(world.aws.requests(), 4, "{profile}");
        assert!(world.entries().is_empty(), "{profile}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_refresh_reads_the_cache_and_later_ones_call_sts() {
    let world = World::new("refresh");
    let cached = world.credentials("hub").await;
    let chain = world.chain("hub").await;
    chain.refresh().await.unwrap();
    let session = async || chain.provide_credentials().await.unwrap();
    assert_eq!(session().await.access_key_id(), cached.access_key_id());
    chain.refresh().await.unwrap();
    assert_ne!(session().await.access_key_id(), cached.access_key_id());
    let next = world.credentials("hub").await;
    assert_eq!(next.access_key_id(), session().await.access_key_id());
    assert_eq!(world.aws.requests(), 2);

    // A forced refresh does not use a session that another process loaded meanwhile.
    let other = world.chain("hub").await;
    other.refresh().await.unwrap();
    world.aws.clock().advance(MINUTE).await;
    other.refresh().await.unwrap();
    assert_eq!(world.aws.requests(), 3);
    chain.refresh().await.unwrap();
    assert_eq!(world.aws.requests(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_cached_session_that_sts_refuses_is_replaced() {
    let world = World::new("died");
    world.credentials("hub").await;
    world.aws.delete_role(HUB);
    let hub = world.aws.role(HUB).trust(trusts("*"));
    hub.policy(allow("sts:*")).create().unwrap();
    world.credentials("tenant").await;
    assert_eq!(world.aws.assumed(HUB), 2);
    world.credentials("hub").await;
    assert_eq!(world.aws.assumed(HUB), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_replaced_by_another_process_is_used_when_the_old_one_dies() {
    let world = World::new("replaced");
    let chains = [world.chain("tenant").await, world.chain("tenant").await];
    for chain in &chains {
        chain.provide_credentials().await.unwrap();
    }
    world.aws.clock().advance(2 * MINUTE).await;
    world.aws.delete_role(HUB);
    let hub = world.aws.role(HUB).trust(trusts("*"));
    hub.policy(allow("sts:*")).create().unwrap();
    for chain in &chains {
        chain.refresh().await.unwrap();
    }
    assert_eq!(world.aws.assumed(HUB), 2);
}

#[tokio::test(start_paused = true)]
async fn chains_that_lock_the_same_entries_in_opposite_order_do_not_deadlock() {
    let world = World::new("opposite");
    let there = world.chain("tenant").await;
    let back = world.chain("back").await;
    let start = tokio::time::Instant::now();
    let (there, back) = tokio::join!(there.provide_credentials(), back.provide_credentials());
    assert!(there.is_ok() && back.is_ok());
    world.credentials("itself").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_two_hours_is_refreshed_in_its_window() {
    let world = World::new("long");
    let chain = world.chain("long").await;
    let first = chain.provide_credentials().await.unwrap();
    // The window of a session of two hours is its last hour, and its start is spread over half an hour.
    world.aws.clock().advance(HOUR + 30 * MINUTE).await;
    settle().await;
    let second = chain.provide_credentials().await.unwrap();
    assert_ne!(first.access_key_id(), second.access_key_id());
    assert_eq!(world.aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_a_role_with_a_path_is_recognized() {
    let world = World::new("path");
    world.credentials("path").await;
    world.credentials("path").await;
    assert_eq!(world.aws.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_loads_at_once_request_one_code() {
    let world = World::new("two");
    let (prompts, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let mut loads = Vec::new();
    for _ in 0..2 {
        let (prompts, answer) = (prompts.clone(), answer.clone());
        let (aws, serial) = (world.aws.clone(), world.serial.clone());
        let codes = move |_: MfaRequest| {
            prompts.fetch_add(1, Ordering::Relaxed);
            let (answer, aws, serial) = (answer.clone(), aws.clone(), serial.clone());
            async move {
                let _open = answer.acquire().await.unwrap();
                Ok::<_, BoxError>(aws.mfa_code(&serial).unwrap())
            }
        };
        let chain = world.loader("mfa").mfa(codes).load().await.unwrap();
        loads.push(tokio::spawn(async move {
            chain.provide_credentials().await.unwrap()
        }));
    }
    settle().await;
    assert_eq!(prompts.load(Ordering::Relaxed), 1);
    answer.add_permits(1);
    let mut keys = Vec::new();
    for load in loads {
        keys.push(load.await.unwrap().access_key_id().to_owned());
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(prompts.load(Ordering::Relaxed), 1);
    assert_eq!(world.aws.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_awaited_for_20_seconds_and_longer_only_by_interactive_loads() {
    let world = World::new("lock");
    world.credentials("hub").await;
    let lock = world.entry().with_extension("lock");
    fs::remove_file(world.entry()).unwrap();
    // A lock file left by a finished process does not block.
    assert!(lock.exists());
    world.credentials("hub").await;
    fs::remove_file(world.entry()).unwrap();

    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let chain = world.chain("hub").await;
    let start = tokio::time::Instant::now();
    let load = tokio::spawn(async move { chain.provide_credentials().await.unwrap() });
    settle().await;
    assert_eq!(world.aws.requests(), 2);
    load.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(20));
    assert_eq!(world.aws.requests(), 3);

    let prompts = |_: MfaRequest| async { Err::<String, BoxError>("asked".into()) };
    let chain = world.loader("mfa").mfa(prompts).load().await.unwrap();
    assert!(chain.provide_credentials().await.is_err());
    let entry = fs::read_dir(&world.cache)
        .unwrap()
        .map(|file| file.unwrap().path());
    let lock_of_mfa = entry
        .into_iter()
        .find(|file| *file != lock && file.extension().unwrap() == "lock");
    let held = fs::File::open(lock_of_mfa.unwrap()).unwrap();
    held.lock().unwrap();
    world.aws.clock().advance(MINUTE).await;
    let load = tokio::spawn(async move { chain.provide_credentials().await.unwrap_err() });
    world.aws.clock().advance(9 * MINUTE).await;
    assert!(!load.is_finished());
    drop(held);
    load.await.unwrap();
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_cache_that_cannot_be_written_does_not_prevent_a_load() {
    let mut world = World::new("unwritable");
    fs::write(world.cache.parent().unwrap(), "a file, no folder").unwrap();
    let (log, _guard) = Log::at(LevelFilter::WARN);
    world.credentials("hub").await;
    assert_eq!(log.text().matches("WARN").count(), 1, "{}", log.text());
    world.cache = PathBuf::from("/dev/null/cache");
    world.credentials("hub").await;
    assert_eq!(world.aws.requests(), 2);
}

#[tokio::test]
async fn a_diagnosis_calls_sts_whatever_is_cached() {
    let world = World::new("diagnosis");
    world.chain("tenant").await.refresh().await.unwrap();
    let role = world.aws.role(HUB).trust(trusts("444444444444"));
    role.create().unwrap();
    world.chain("tenant").await.refresh().await.unwrap();

    let diagnosis = world.chain("tenant").await.diagnose().await;

    assert_eq!(diagnosis.error().unwrap().hop(), Some(1), "{diagnosis}");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_fifo_in_the_place_of_an_entry_or_its_lock_blocks_nobody() {
    for extension in ["json", "lock"] {
        let world = World::new(&format!("fifo-{extension}"));
        world.credentials("hub").await;
        let file = world.entry().with_extension(extension);
        fs::remove_file(world.entry()).unwrap();
        let _ = fs::remove_file(&file);
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        let (log, guard) = Log::at(LevelFilter::WARN);
        world.credentials("hub").await;
        drop(guard);
        let log = log.text();
        assert!(
            log.contains("it is not a regular file"),
            "{extension}: {log}"
        );
    }
}
