//! Where a chain starts: the SDK config of a named profile, of the SDK's default sources, or of none.
//!
//! A profile that is named is the one that is used. aws-config alone would prefer the credentials in the
//! environment variables, and would not miss a profile that does not exist.

use std::borrow::Cow;

use anyhow::{Context, Result, bail};
use aws_config::BehaviorVersion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_role_chain::{ProfileLoader, RoleChain, TerminalPrompt};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::SdkConfig;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use clap::Args;

use crate::values;

/// Used where a region decides nothing: IAM is the same in all, and STS is in this one for sure.
const ANY_REGION: Region = Region::from_static("us-east-1");

/// What comes before the profiles and the environment.
#[derive(Args)]
pub struct Overrides {
    /// AWS region, before AWS_REGION and the profile's
    #[arg(long, value_name = "REGION", value_parser = values::region)]
    region: Option<String>,

    /// One endpoint for all services, such as a local server's, before AWS_ENDPOINT_URL and the profile's
    #[arg(long, value_name = "URL", value_parser = values::url)]
    endpoint_url: Option<String>,
}

impl Overrides {
    /// Puts them into the environment of this process. That is where every loader looks first, a profile's
    /// too, which takes no region or endpoint that comes before those in the files.
    ///
    /// No other thread may run yet.
    #[allow(unsafe_code)]
    pub fn set_environment(&self) {
        let set = |name: &str, value: &str| {
            // SAFETY: main calls this before it starts the runtime, so that this is the only thread.
            unsafe { std::env::set_var(name, value) }
        };
        if let Some(region) = &self.region {
            set("AWS_REGION", region);
        }
        if let Some(url) = &self.endpoint_url {
            for (name, _) in std::env::vars_os() {
                // One service's own endpoint would come before that for all.
                if name.to_string_lossy().starts_with("AWS_ENDPOINT_URL_") {
                    // SAFETY: as above.
                    unsafe { std::env::remove_var(name) }
                }
            }
            set("AWS_ENDPOINT_URL", url);
            set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
        }
    }
}

/// What a profile provides.
pub enum Base {
    /// Credentials that are no role's of the profile: keys, a process, IAM Identity Center, a sign-in.
    Config(Box<SdkConfig>),
    /// The roles of a profile with a `role_arn`, with its MFA device and durations.
    Chain(RoleChain),
}

impl Base {
    /// A config for calls as this profile.
    pub fn sdk_config(&self) -> SdkConfig {
        let config = match self {
            Self::Config(config) => SdkConfig::clone(config),
            Self::Chain(chain) => chain.sdk_config(),
        };
        match config.region() {
            Some(_) => config,
            None => config.into_builder().region(ANY_REGION).build(),
        }
    }
}

/// The profile that an option names. `cli_cache` shares its roles' sessions with the AWS CLI.
pub async fn profile(option: &str, name: &str, cli_cache: bool) -> Result<Base> {
    let kind = kind(option, name).await?;
    if kind == Kind::Role {
        let mut loader = loader(name);
        if cli_cache {
            loader = loader.cli_cache();
        }
        let chain = loader.load().await;
        return Ok(Base::Chain(
            chain.with_context(|| format!("{option} {name}"))?,
        ));
    }
    if kind == Kind::NoCredentials {
        bail!(
            "{option} {name}: the profile has no credentials: no aws_access_key_id, credential_process, \
             sso_session, login_session or role_arn"
        );
    }
    let config = aws_config::defaults(BehaviorVersion::latest())
        .profile_name(name)
        .no_credentials()
        .load()
        .await;
    let mut provider = ProviderConfig::without_region().with_region(config.region().cloned());
    if let Some(client) = config.http_client() {
        provider = provider.with_http_client(client);
    }
    let credentials = ProfileFileCredentialsProvider::builder()
        .configure(&provider)
        .profile_name(name)
        .build();
    let credentials = SharedCredentialsProvider::new(credentials);
    let config = config.into_builder().credentials_provider(credentials);
    Ok(Base::Config(Box::new(config.build())))
}

/// Where no profile is named: the SDK's default sources.
pub async fn default_sources() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}

/// As [`default_sources`], but without any profile: what a profile's `credential_process` starts would start
/// itself again.
pub async fn default_sources_without_profiles() -> SdkConfig {
    let none = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "");
    let loader = aws_config::defaults(BehaviorVersion::latest()).profile_files(none.build());
    loader.load().await
}

/// A config that chains can be built on, for what needs no call: its credentials are good for none.
pub fn offline() -> SdkConfig {
    let keys = Credentials::new("offline", "offline", None, None, "offline");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(ANY_REGION)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build()
}

/// As [`profile`], for what needs no call.
pub async fn offline_profile(option: &str, name: &str) -> Result<Base> {
    if kind(option, name).await? != Kind::Role {
        return Ok(Base::Config(Box::new(offline())));
    }
    let chain = loader(name).base(&offline()).load().await;
    Ok(Base::Chain(
        chain.with_context(|| format!("{option} {name}"))?,
    ))
}

fn loader(name: &str) -> ProfileLoader {
    ProfileLoader::new(name).mfa(TerminalPrompt::new())
}

/// What a profile has.
#[derive(PartialEq)]
enum Kind {
    Role,
    Credentials,
    NoCredentials,
}

/// The keys that give a profile without a `role_arn` credentials.
const CREDENTIALS: [&str; 7] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "credential_process",
    "login_session",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// Reads the files; an error where there is no such profile.
async fn kind(option: &str, name: &str) -> Result<Kind> {
    let (fs, env, files) = (Fs::default(), Env::default(), EnvConfigFiles::default());
    let selected = Some(Cow::Owned(name.to_owned()));
    let profiles = aws_config::profile::load(&fs, &env, &files, selected).await;
    let profiles = profiles.context("reading the profiles")?;
    let Some(profile) = profiles.get_profile(name) else {
        let file = |variable: &str, default: &str| {
            std::env::var(variable).unwrap_or_else(|_| default.to_owned())
        };
        bail!(
            "{option} {name}: there is no such profile, neither in {} nor in {}",
            file("AWS_CONFIG_FILE", "~/.aws/config"),
            file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
        )
    };
    Ok(if profile.get("role_arn").is_some() {
        Kind::Role
    } else if CREDENTIALS.iter().any(|key| profile.get(key).is_some()) {
        Kind::Credentials
    } else {
        Kind::NoCredentials
    })
}
