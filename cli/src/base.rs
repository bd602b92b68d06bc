//! The start of a chain: a named profile, the SDK's default credential sources, or a config for chains that make no
//! calls.
//!
//! A named profile is always used. aws-config alone would prefer credentials in environment variables, and would not
//! report a profile that does not exist.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU32;

use anyhow::{Context, Result, bail};
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_role_chain::{ProfileLoader, RoleChain, TerminalPrompt};
use aws_runtime::env_config::EnvConfigValue;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_types::retry::RetryMode;
use aws_types::SdkConfig;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use clap::Args;

use crate::values;

/// The options that override the profiles and the environment.
#[derive(Args)]
pub struct Overrides {
    /// AWS region; overrides AWS_REGION and the profile's region
    #[arg(long, value_name = "REGION", value_parser = values::region)]
    region: Option<String>,

    /// Endpoint of STS and IAM, for example of a local server; overrides AWS_ENDPOINT_URL and the
    /// profile's endpoint. Sign-ins with IAM Identity Center (SSO) still go to AWS
    #[arg(long, value_name = "URL", value_parser = values::url)]
    endpoint_url: Option<String>,
}

impl Overrides {
    /// Returns the region of the option or of the environment.
    pub async fn region(&self) -> Option<Region> {
        let option = RegionProviderChain::first_try(self.region.clone().map(Region::new));
        option
            .or_else(EnvironmentVariableRegionProvider::new())
            .region()
            .await
    }

    /// Loads the config with the SDK's default credential sources.
    pub async fn default_config(&self) -> Result<SdkConfig> {
        check_keys()?;
        let (fs, env, files) = (Fs::default(), Env::default(), EnvConfigFiles::default());
        // Invalid files are ignored here: loading the credentials returns an error that describes them.
        let profiles = aws_config::profile::load(&fs, &env, &files, None).await;
        check_settings(profiles.ok().as_ref())?;
        Ok(self.config_loader().load().await)
    }

    /// Loads the same config without reading any profile: a profile's `credential_process` may run this program, and
    /// reading that profile would run it again.
    pub async fn default_config_without_profiles(&self) -> Result<SdkConfig> {
        check_keys()?;
        check_settings(None)?;
        let no_profiles = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "");
        let loader = self.config_loader().profile_files(no_profiles.build());
        Ok(loader.load().await)
    }

    fn config_loader(&self) -> ConfigLoader {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader
    }

    fn profile_loader(&self, profile: &str) -> ProfileLoader {
        let mut loader = ProfileLoader::new(profile).mfa(TerminalPrompt::new());
        if let Some(region) = &self.region {
            loader = loader.region(region);
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader
    }
}

/// Returns a config for chains that make no calls. No service accepts its credentials.
pub fn offline_config() -> SdkConfig {
    let keys = Credentials::new("offline", "offline", None, None, "offline");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build()
}

/// What a profile provides.
pub enum Base {
    /// Credentials of the profile itself: keys, a process, IAM Identity Center, or a console sign-in.
    Config(Box<SdkConfig>),
    /// The roles of a profile with a `role_arn`, with its MFA device and durations.
    Chain(RoleChain),
}

impl Base {
    /// Returns a config for calls with the profile's credentials whose result does not depend on the region. If the
    /// profile has no region, one is chosen in which STS is always active; IAM has one endpoint for all regions of a
    /// partition.
    pub fn sdk_config(&self, partition: &str) -> SdkConfig {
        let config = match self {
            Self::Config(config) => SdkConfig::clone(config),
            Self::Chain(chain) => chain.sdk_config(),
        };
        with_region(config, partition)
    }
}

/// Returns the config with a region: its own, or one of the partition in which STS is always active.
pub fn with_region(config: SdkConfig, partition: &str) -> SdkConfig {
    let fallback = match partition {
        "aws" => "us-east-1",
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        // The region must be set: a chain that is built on a config without one is an error that says so.
        _ => return config,
    };
    match config.region() {
        Some(_) => config,
        None => {
            let region = Region::from_static(fallback);
            config.into_builder().region(region).build()
        }
    }
}

/// Returns the partition and the account of an ARN.
pub fn partition_and_account(arn: &str) -> (&str, &str) {
    let mut parts = arn.split(':').skip(1);
    let partition = parts.next().unwrap_or_default();
    (partition, parts.nth(2).unwrap_or_default())
}

/// A profile and the option that names it. Displayed as on the command line, at the start of errors.
#[derive(Clone, Copy)]
pub struct ProfileOption<'a> {
    pub option: &'static str,
    pub name: &'a str,
}

impl fmt::Display for ProfileOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.name)
    }
}

impl ProfileOption<'_> {
    /// Loads what the profile provides. With `cli_cache`, the sessions of its roles are shared with the AWS CLI.
    pub async fn load(self, overrides: &Overrides, cli_cache: bool) -> Result<Base> {
        let profiles = self.read().await?;
        match self.kind(&profiles) {
            ProfileKind::Role => {
                let mut loader = overrides.profile_loader(self.name);
                if cli_cache {
                    loader = loader.cli_cache();
                }
                self.load_chain(loader).await
            }
            ProfileKind::Credentials => {
                check_settings(Some(&profiles)).with_context(|| self.to_string())?;
                Ok(self.load_credentials(overrides).await)
            }
            ProfileKind::NoCredentials => bail!(
                "{self}: the profile has no credentials: no aws_access_key_id, credential_process, \
                 sso_session, login_session or role_arn"
            ),
        }
    }

    /// Loads what the profile provides, with the credentials of [`offline_config`].
    pub async fn load_offline(self, overrides: &Overrides) -> Result<Base> {
        let config = offline_config();
        if self.kind(&self.read().await?) != ProfileKind::Role {
            return Ok(Base::Config(Box::new(config)));
        }
        let loader = overrides.profile_loader(self.name).base(&config);
        self.load_chain(loader).await
    }

    async fn load_chain(self, loader: ProfileLoader) -> Result<Base> {
        let chain = loader.load().await;
        Ok(Base::Chain(chain.with_context(|| self.to_string())?))
    }

    async fn load_credentials(self, overrides: &Overrides) -> Base {
        let loader = overrides.config_loader().profile_name(self.name);
        let config = loader.no_credentials().load().await;
        let mut provider = ProviderConfig::without_region().with_region(config.region().cloned());
        if let Some(client) = config.http_client() {
            provider = provider.with_http_client(client);
        }
        let credentials = ProfileFileCredentialsProvider::builder()
            .configure(&provider)
            .profile_name(self.name)
            .build();
        let credentials = SharedCredentialsProvider::new(credentials);
        let config = config.into_builder().credentials_provider(credentials);
        Base::Config(Box::new(config.build()))
    }

    /// Reads the profile files.
    async fn read(self) -> Result<ProfileSet> {
        let (fs, env, files) = (Fs::default(), Env::default(), EnvConfigFiles::default());
        let selected = Some(Cow::Owned(self.name.to_owned()));
        let profiles = aws_config::profile::load(&fs, &env, &files, selected).await;
        profiles.with_context(|| format!("{self}: reading the profiles"))
    }

    /// Returns [`ProfileKind::Role`] for a missing profile, because loading its chain returns an error that says so.
    fn kind(self, profiles: &ProfileSet) -> ProfileKind {
        let Some(profile) = profiles.get_profile(self.name) else {
            return ProfileKind::Role;
        };
        let has = |key: &str| profile.get(key).is_some();
        if has("role_arn") {
            ProfileKind::Role
        } else if CREDENTIAL_KEYS.into_iter().any(has) {
            ProfileKind::Credentials
        } else {
            ProfileKind::NoCredentials
        }
    }
}

/// Checks that the environment has both keys or neither: with only one, aws-config silently uses other credentials.
fn check_keys() -> Result<()> {
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    let (set, other) = match [id, secret].map(is_set) {
        // aws-config also accepts this name.
        [true, false] if !is_set("SECRET_ACCESS_KEY") => (id, secret),
        [false, true] => (secret, id),
        _ => return Ok(()),
    };
    bail!("{set} is set, but {other} is not")
}

/// Checks the settings whose invalid values make aws-config panic, or are silently ignored by it.
fn check_settings(profiles: Option<&ProfileSet>) -> Result<()> {
    let check = |variable, key, rule: &str, is_valid: fn(&str) -> bool| {
        let setting = EnvConfigValue::new().env(variable).profile(key);
        setting.validate(&Env::default(), profiles, |value| {
            let text = || format!("{key} {rule}, but the value is {value:?}");
            is_valid(value)
                .then_some(())
                .ok_or_else(|| io::Error::other(text()))
        })
    };
    let (attempts, mode, flag) = (
        "must be a whole number of at least 1",
        "must be standard or adaptive",
        "must be true or false",
    );
    check("AWS_MAX_ATTEMPTS", "max_attempts", attempts, |value| {
        value.parse::<NonZeroU32>().is_ok()
    })?;
    check("AWS_RETRY_MODE", "retry_mode", mode, |value| {
        value.parse::<RetryMode>().is_ok()
    })?;
    for (variable, key) in [
        ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
    ] {
        check(variable, key, flag, |value| {
            ["true", "false", ""].contains(&value.to_ascii_lowercase().as_str())
        })?;
    }
    Ok(())
}

#[derive(PartialEq)]
enum ProfileKind {
    Role,
    Credentials,
    NoCredentials,
}

/// The keys by which a profile without a `role_arn` provides credentials.
const CREDENTIAL_KEYS: [&str; 7] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "credential_process",
    "login_session",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];
