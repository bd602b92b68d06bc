//! Where a chain starts: the SDK config of a named profile, of the SDK's default credential sources, or of
//! none.
//!
//! A profile that is named is the one that is used. aws-config alone would prefer the credentials in the
//! environment variables, and would not miss a profile that does not exist.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU32;

use anyhow::{Context, Result, bail};
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

/// The options that win over the profiles and the environment.
#[derive(Args)]
pub struct Overrides {
    /// AWS region, before AWS_REGION and the profile's
    #[arg(long, value_name = "REGION", value_parser = values::region)]
    region: Option<String>,

    /// Endpoint of STS and IAM, such as a local server's, before AWS_ENDPOINT_URL and the profile's. Not
    /// for sign-ins of IAM Identity Center (SSO), which go to AWS
    #[arg(long, value_name = "URL", value_parser = values::url)]
    endpoint_url: Option<String>,
}

impl Overrides {
    pub fn region(&self) -> Option<Region> {
        self.region.clone().map(Region::new)
    }

    /// Loads the config of the SDK's default credential sources.
    pub async fn default_config(&self) -> Result<SdkConfig> {
        check_keys()?;
        let (fs, env, files) = (Fs::default(), Env::default(), EnvConfigFiles::default());
        // What is wrong with the files, the credentials' own error says.
        let profiles = aws_config::profile::load(&fs, &env, &files, None).await;
        check_settings(profiles.ok().as_ref())?;
        Ok(self.config_loader().load().await)
    }

    /// Loads the same config without any profile: the command that a profile's `credential_process` runs
    /// must not read that profile, which would run it again.
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

/// Returns a config that chains can be built on where no call is made: no service accepts its credentials.
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
    /// Credentials of the profile itself: keys, a process, IAM Identity Center, a console sign-in.
    Config(Box<SdkConfig>),
    /// The roles of a profile with a `role_arn`, with its MFA device and durations.
    Chain(RoleChain),
}

impl Base {
    /// Returns a config for calls with the profile's credentials whose result does not depend on the region: IAM has
    /// one endpoint for all regions of a partition, and STS is always active in the region that is chosen where
    /// none is given.
    pub fn sdk_config(&self, partition: &str) -> SdkConfig {
        let config = match self {
            Self::Config(config) => SdkConfig::clone(config),
            Self::Chain(chain) => chain.sdk_config(),
        };
        let fallback = match partition {
            "aws" => "us-east-1",
            "aws-cn" => "cn-north-1",
            "aws-us-gov" => "us-gov-west-1",
            // It must be given: what is built on a config without one is an error that says so.
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
}

/// A profile, and the option that names it. It is displayed as on the command line, which is how errors
/// begin.
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
    /// Loads what the profile provides. With `cli_cache` the sessions of its roles are shared with the AWS
    /// CLI.
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

    /// Loads what the profile provides, with credentials that no call can be made with.
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

    /// Reads the files.
    async fn read(self) -> Result<ProfileSet> {
        let (fs, env, files) = (Fs::default(), Env::default(), EnvConfigFiles::default());
        let selected = Some(Cow::Owned(self.name.to_owned()));
        let profiles = aws_config::profile::load(&fs, &env, &files, selected).await;
        profiles.with_context(|| format!("{self}: reading the profiles"))
    }

    /// A profile that is missing is [`ProfileKind::Role`]: to load its chain is an error that says why.
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

/// Checks that the environment has both keys or none: with one of them, aws-config goes on in silence to other
/// credentials.
fn check_keys() -> Result<()> {
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    let (set, other) = match [id, secret].map(is_set) {
        // aws-config takes this one, too.
        [true, false] if !is_set("SECRET_ACCESS_KEY") => (id, secret),
        [false, true] => (secret, id),
        _ => return Ok(()),
    };
    bail!("{set} is set, but {other} is not")
}

/// Checks the settings that aws-config panics over, or passes over in silence.
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

/// The keys that give a profile without a `role_arn` credentials.
const CREDENTIAL_KEYS: [&str; 7] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "credential_process",
    "login_session",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];
