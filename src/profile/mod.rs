//! [`ProfileLoader`]: builds the chain that a profile in `~/.aws/config` describes (feature `profile`). [`resolve`]
//! decides what the profile describes; aws-config reads the files, and loads every kind of base profile.
#![cfg(feature = "profile")]

mod cli_cache;
mod resolve;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::imds;
use aws_config::imds::client::{EndpointMode, error::InvalidEndpointMode};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{Profile, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_types::retry::RetryMode;
use aws_types::SdkConfig;
use aws_types::origin::Origin;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use aws_types::sdk_config::Builder as SdkConfigBuilder;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::chain::{Authentication, Base, RoleChain, SessionStore};
use crate::error::{BoxError, Error, ErrorInner, ErrorKind, Operation, Step, Violation};
use crate::file;
use crate::mfa::{Mfa, ProvideMfaCode};
use crate::request::{Inherited, Role, SessionTokenRequest, WebIdentityToken};

use resolve::{BaseProvider, CredentialSource, Resolved, has_any, resolve, role, violation};

/// The keys that determine the STS endpoint. A source profile without them inherits those of the profile that names it.
const ENDPOINT: &[&str] = &[
    "endpoint_url",
    "services",
    "ignore_configured_endpoint_urls",
];
const FIPS: &[&str] = &["use_fips_endpoint"];
const DUAL_STACK: &[&str] = &["use_dualstack_endpoint"];

/// Loads the chain that a profile in the AWS configuration files describes: its `role_arn`, assumed with the
/// credentials of its `source_profile` or `credential_source`, to any depth.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), aws_role_chain::Error> {
/// use aws_role_chain::{ProfileLoader, TerminalPrompt};
///
/// let chain = ProfileLoader::new("firehose-writer")
///     .mfa(TerminalPrompt::new()) // where a profile has an mfa_serial
///     .load()
///     .await?;
/// let firehose = aws_sdk_firehose::Client::new(&chain.sdk_config());
/// # Ok(())
/// # }
/// ```
///
/// ```ini
/// [profile firehose-writer]
/// role_arn = arn:aws:iam::222222222222:role/FirehoseWriter
/// source_profile = account-b
/// external_id = c0ffee
/// region = eu-west-1
///
/// [profile account-b]
/// sso_session = company
/// sso_account_id = 111111111111
/// sso_role_name = Developer
/// ```
///
/// # Supported keys
///
/// | key | |
/// |---|---|
/// | `role_arn` | the role |
/// | `source_profile`, `credential_source` | what the role is assumed with: one of the two. `credential_source` is `Environment`, `Ec2InstanceMetadata` or `EcsContainer` |
/// | `external_id`, `role_session_name` | see [`Role::external_id`], [`Role::session_name`] |
/// | `duration_seconds` | see [`Role::duration`] |
/// | `mfa_serial` | the user's device, see [`Role::mfa`]; the codes come from [`mfa`](Self::mfa) |
/// | `web_identity_token_file` | with `role_arn`, see [`RoleChain::from_web_identity`] |
/// | `region` | the region of STS for this profile's role and, in the chain's own profile, of its [`sdk_config`](RoleChain::sdk_config) |
/// | `endpoint_url`, `services`, `use_fips_endpoint`, `use_dualstack_endpoint` | the endpoint, in the same way |
/// | `session_tags` (`team=payments,cost=42`), `transitive_session_tags` (`team`), `source_identity` | as in aws-vault; the AWS CLI ignores them |
///
/// A source profile without a region or endpoint inherits that of the profile that names it. If the chain's own profile
/// has no region, and no [`base`](Self::base) config is set, it uses that of its sources, as in aws-config. The files
/// and the environment variables (`AWS_CONFIG_FILE`, `AWS_REGION`, …) are read by aws-config, which ignores
/// `sts_regional_endpoints`: STS is always called in the region
/// ([keys](https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html)).
///
/// aws-config loads the credentials of a source profile without a `role_arn` (keys, a process, IAM Identity Center, a
/// console sign-in). Some kinds need one of aws-config's features (`sso`, `credentials-process`, `credentials-login`).
/// As in the AWS CLI, a chain ends at a source profile with static keys, and a profile can be its own source only if it
/// has static keys.
///
/// If a role other than the first has an `mfa_serial`, the chain starts with a [session
/// token](RoleChain::from_session_token): one code then proves MFA to all roles, whose sessions last an hour at most.
/// All roles must name the same device.
#[derive(Clone)]
#[must_use = "nothing is read before load()"]
pub struct ProfileLoader {
    profile: String,
    base: Option<SdkConfig>,
    codes: Option<Arc<dyn ProvideMfaCode>>,
    region: Option<String>,
    endpoint_url: Option<String>,
    config_file: Option<PathBuf>,
    credentials_file: Option<PathBuf>,
    #[cfg(feature = "cli-cache")]
    cli_cache: Option<PathBuf>,
}

impl ProfileLoader {
    /// Creates a loader for the profile with this name.
    pub fn new(profile: impl Into<String>) -> Self {
        Self {
            profile: profile.into(),
            base: None,
            codes: None,
            region: None,
            endpoint_url: None,
            config_file: None,
            credentials_file: None,
            #[cfg(feature = "cli-cache")]
            cli_cache: None,
        }
    }

    /// Sets the config that provides the HTTP client, retries, timeouts, time source and sleep implementation, and the
    /// region and endpoint if the profiles set none. Its credentials are not used. Default: a config that is loaded for
    /// the profile.
    pub fn base(mut self, config: &SdkConfig) -> Self {
        self.base = Some(config.clone());
        self
    }

    /// Sets the provider of codes for the device that a profile's `mfa_serial` names; see [`Role::mfa`].
    pub fn mfa(mut self, codes: impl ProvideMfaCode + 'static) -> Self {
        self.codes = Some(Arc::new(codes));
        self
    }

    /// Sets the region of every hop and of the chain's [`sdk_config`](RoleChain::sdk_config). Takes precedence over the
    /// profiles and the environment.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets one endpoint for all services, such as a local server. Takes precedence over the profiles and the
    /// environment.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Reads this file instead of `~/.aws/config` or the file in `AWS_CONFIG_FILE`. It must exist.
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Self {
        self.config_file = Some(path.as_ref().to_owned());
        self
    }

    /// Reads this file instead of `~/.aws/credentials` or the file in `AWS_SHARED_CREDENTIALS_FILE`. It must exist.
    pub fn credentials_file(mut self, path: impl AsRef<Path>) -> Self {
        self.credentials_file = Some(path.as_ref().to_owned());
        self
    }

    /// Shares the roles' sessions with the AWS CLI, in the CLI's cache `~/.aws/cli/cache`, so that one MFA code serves
    /// both the CLI and the program. If the home directory is unknown, no cache is used.
    ///
    /// As in the CLI, a stored session is used if it remains valid for more than 15 minutes, and only if it belongs to
    /// the role (and has its `role_session_name`). Otherwise STS is called, and the file is replaced by one that only
    /// its owner can read. Processes lock an entry while they load it, so that a person is asked for only one code. A
    /// process waits for the lock for up to ten minutes if a person must be asked, and otherwise for 20 s. Entries that
    /// cannot be read or written are skipped, with one warning for each entry.
    ///
    /// **The CLI's cache key does not contain the caller**: two profiles that assume the same role from different
    /// sources, with all other keys equal, share one entry. The session is the role's in either case, but CloudTrail
    /// may name another caller, and a caller that may no longer assume the role can use the stored session until it
    /// expires. [`refresh`](RoleChain::refresh) on a chain that has cached credentials calls STS and replaces the
    /// entry. Roles with session tags or a source identity, their own or inherited, do not use the cache, because the
    /// CLI's sessions lack these. Nor do session tokens and web identities.
    #[cfg(feature = "cli-cache")]
    pub fn cli_cache(mut self) -> Self {
        self.cli_cache = cli_cache::default_folder();
        self
    }

    /// Shares sessions as [`cli_cache`](Self::cli_cache) does, in another folder, such as that of botocore's
    /// `JSONFileCache`. A `~` is not expanded.
    #[cfg(feature = "cli-cache")]
    pub fn cli_cache_in(mut self, folder: impl AsRef<Path>) -> Self {
        self.cli_cache = Some(folder.as_ref().to_owned());
        self
    }

    /// Reads the files and builds the chain. No call to STS is made yet. If the region is not configured anywhere,
    /// aws-config asks EC2's instance metadata.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) profile. [`field`](Error::field) is the invalid key, and the message names the
    /// profile and the file; for an invalid environment variable, `field` is the variable. Invalid settings for
    /// retries, FIPS and dual stack, on which aws-config panics or which it ignores, are errors too. If the profile
    /// does not exist, the message says which file cannot be read, or what the section's heading must be.
    pub async fn load(self) -> Result<RoleChain, Error> {
        let profiles = self.read(&[CONFIG, CREDENTIALS]).await?;
        match self.build(&profiles).await {
            Ok(chain) => Ok(chain),
            Err(mut violation) => {
                if let Some(name) = missing_profile(&profiles, &violation) {
                    violation.rule += &self.why_missing(name).await;
                }
                let violation = self.with_origin(violation).await;
                Err(violation.into_error(Operation::LoadProfile))
            }
        }
    }

    async fn build(&self, profiles: &ProfileSet) -> Result<RoleChain, Violation> {
        let files = format!("{} or {}", CONFIG.path(self), CREDENTIALS.path(self));
        let Resolved {
            base,
            device,
            roles,
        } = resolve(profiles, &self.profile, &files)?;
        let mut mfa = match (&device, &self.codes) {
            (None, _) => None,
            (Some(device), Some(codes)) => Some(Mfa {
                serial: device.serial.to_owned(),
                codes: codes.clone(),
            }),
            (Some(device), None) => {
                let rule = "requires an MFA code provider, such as \
                            ProfileLoader::new(..).mfa(TerminalPrompt::new())";
                return Err(violation(device.profile, "mfa_serial", rule));
            }
        };
        let settings = self.settings_of_hops(&base, &roles).await?;
        let mut chain = None;
        if let (Some(device), Some((base, region))) = (device, settings.first())
            && let Some(mfa) = mfa.take_if(|_| !device.first_role_only)
        {
            let mut request = SessionTokenRequest::new().with_mfa(mfa);
            if let Some(region) = region {
                request = request.region(region.to_string());
            }
            let token = RoleChain::session_token(base.clone(), request);
            chain = Some(token.map_err(|error| in_profile(device.profile, &error))?);
        }
        for (profile, (settings, region)) in roles.into_iter().zip(settings) {
            let mut role = role(profile)?;
            if let Some(region) = region {
                role = role.region(region.to_string());
            }
            let added = match (&base, chain) {
                (BaseProvider::WebIdentity { token_file }, None) => {
                    let token = WebIdentityToken::from_file(token_file);
                    let authentication = Authentication::WebIdentity(token);
                    RoleChain::assume_with(settings, authentication, role, None)
                }
                (_, before) => {
                    if let Some(id) = profile.get("external_id") {
                        role = role.external_id(id);
                    }
                    if let Some(mfa) = mfa.take() {
                        role = role.with_mfa(mfa);
                    }
                    let authentication =
                        before.map_or(Authentication::Base, RoleChain::into_authentication);
                    let store = self.session_store(profile, &role, &authentication.inherited());
                    RoleChain::assume_with(settings, authentication, role, store)
                }
            };
            chain = Some(added.map_err(|error| in_profile(profile.name(), &error))?);
        }
        // `resolve` returns at least one role, or an error.
        chain.ok_or_else(|| violation(&self.profile, "role_arn", "is missing"))
    }

    #[cfg(feature = "cli-cache")]
    fn session_store(
        &self,
        profile: &Profile,
        role: &Role,
        inherited: &Inherited<'_>,
    ) -> Option<Arc<dyn SessionStore>> {
        // Sessions that the CLI stored lack parameters that it does not know.
        let is_shareable = inherited.transitive_keys.is_empty()
            && inherited.source_identity.is_none()
            && role
                .parameters()
                .iter()
                .all(|parameter| parameter.shown.is_none() || parameter.is_in_cli_cache_key);
        let folder = self.cli_cache.as_deref().filter(|_| is_shareable)?;
        Some(Arc::new(cli_cache::Entry::new(
            folder,
            &cache_key(profile),
        )?))
    }

    #[cfg(not(feature = "cli-cache"))]
    fn session_store(
        &self,
        _: &Profile,
        _: &Role,
        _: &Inherited<'_>,
    ) -> Option<Arc<dyn SessionStore>> {
        None
    }

    /// Loads the settings that each role is assumed with, and its region if that differs from theirs. Profiles without
    /// endpoint settings share one client.
    async fn settings_of_hops(
        &self,
        base: &BaseProvider<'_>,
        roles: &[&Profile],
    ) -> Result<Vec<(Arc<Base>, Option<Region>)>, Violation> {
        // The base config has already read the environment.
        let from_environment = match self.base {
            None => EnvironmentVariableRegionProvider::new().region().await,
            Some(_) => None,
        };
        let region_of = |profile: &Profile| {
            let own = || profile.get("region").map(str::to_owned).map(Region::new);
            let forced = self.region.clone().map(Region::new);
            forced.or_else(|| from_environment.clone()).or_else(own)
        };
        let base_of = |profile: &Profile, mut config: SdkConfigBuilder| {
            if let Some(url) = &self.endpoint_url {
                config.set_endpoint_url(Some(url.clone()));
                // Takes precedence over a service-specific endpoint in the environment or a file.
                config.insert_origin("endpoint_url", Origin::shared_config());
            }
            let config = config.build();
            let base = match base {
                BaseProvider::WebIdentity { .. } => Base::without_source(&config),
                _ => Base::with_source(&config),
            };
            let base = base.map_err(|error| in_profile(profile.name(), &error))?;
            Ok(Arc::new(base))
        };
        let Some(own) = roles.last() else {
            return Ok(Vec::new());
        };
        let config = match &self.base {
            None => {
                let settings = self.settings(own)?;
                match &self.region {
                    Some(region) => settings.region(Region::new(region.clone())).load().await,
                    None => settings.load().await,
                }
            }
            Some(base) => {
                let region = region_of(own).or(base.region().cloned());
                self.endpoint(own, base).await?.region(region).build()
            }
        };
        let source_region = match base {
            BaseProvider::Profile(profile) => region_of(profile),
            _ => None,
        };
        let source_region = source_region.or(config.region().cloned());
        let source = self.source(base, &config, source_region)?;
        let mut config = config.to_builder();
        config.set_credentials_provider(source);
        let mut base = base_of(own, config)?;
        let mut region = base.config.region().cloned();
        let mut hops = Vec::new();
        // From the chain's own profile to its source: a profile without a setting inherits it from the one that names
        // it.
        for (i, profile) in roles.iter().rev().enumerate() {
            region = region_of(profile).or(region);
            if i > 0 && has_endpoint(profile) {
                let config = self.endpoint(profile, &base.config).await?;
                base = base_of(profile, config.region(region.clone()))?;
            }
            let other_region = region.clone();
            let other_region = other_region.filter(|own| Some(own) != base.config.region());
            hops.push((base.clone(), other_region));
        }
        hops.reverse();
        Ok(hops)
    }

    /// Returns a loader for aws-config's settings of a profile.
    fn settings(&self, profile: &Profile) -> Result<ConfigLoader, Violation> {
        check_settings(profile)?;
        self.check_services(profile)?;
        Ok(aws_config::defaults(BehaviorVersion::latest())
            .profile_files(self.files(&[CONFIG, CREDENTIALS]))
            .profile_name(profile.name())
            .no_credentials())
    }

    /// Checks that the section with a profile's endpoints exists: without it, aws-config would silently use AWS's.
    fn check_services(&self, profile: &Profile) -> Result<(), Violation> {
        let Some(name) = profile.get("services") else {
            return Ok(());
        };
        // `ProfileSet` does not tell whether it exists. An indented line is not a heading, but part of a value.
        let is_heading = |line: &str| {
            let heading = line.strip_prefix('[');
            let heading = heading.and_then(|rest| rest.split_once(']'));
            heading.is_some_and(|(heading, _)| heading.split_whitespace().eq(["services", name]))
        };
        match CONFIG.contents(self) {
            Ok(Some(text)) if text.lines().any(is_heading) => Ok(()),
            _ => {
                let rule = format!("the section [services {name}] does not exist");
                Err(Violation::new("services", rule, None).in_profile(profile.name()))
            }
        }
    }

    /// Returns the outer config with the endpoint settings of a profile.
    async fn endpoint(
        &self,
        profile: &Profile,
        outer: &SdkConfig,
    ) -> Result<SdkConfigBuilder, Violation> {
        let mut config = outer.to_builder();
        if !has_endpoint(profile) {
            return Ok(config);
        }
        // The region is set so that the instance metadata is not asked for one.
        let own = self.settings(profile)?.region(outer.region().cloned());
        let own = own.load().await;
        if has_any(profile, FIPS) {
            config.set_use_fips(own.use_fips());
        }
        if has_any(profile, DUAL_STACK) {
            config.set_use_dual_stack(own.use_dual_stack());
        }
        if has_any(profile, &["endpoint_url"]) {
            config.set_endpoint_url(own.endpoint_url().map(str::to_owned));
        }
        if has_any(profile, ENDPOINT) {
            // A service-specific endpoint takes precedence over a file's endpoint for all services.
            config.insert_origin("endpoint_url", Origin::shared_profile_file());
            config.set_service_config(Some(ServicesOf(own)));
        }
        Ok(config)
    }

    /// Returns the provider of the credentials that the first role is assumed with; `None` if a token takes their
    /// place.
    fn source(
        &self,
        base: &BaseProvider<'_>,
        config: &SdkConfig,
        region: Option<Region>,
    ) -> Result<Option<SharedCredentialsProvider>, Violation> {
        let mut provider_config = ProviderConfig::without_region().with_region(region);
        if let Some(client) = config.http_client() {
            provider_config = provider_config.with_http_client(client);
        }
        if let Some(time) = config.time_source() {
            provider_config = provider_config.with_time_source(time);
        }
        if let Some(sleep) = config.sleep_impl() {
            provider_config = provider_config.with_sleep_impl(sleep);
        }
        Ok(Some(match base {
            BaseProvider::WebIdentity { .. } => return Ok(None),
            BaseProvider::Keys(keys) => SharedCredentialsProvider::new(keys.clone()),
            BaseProvider::Profile(profile) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&provider_config)
                    .profile_files(self.files(&[CONFIG, CREDENTIALS]))
                    .profile_name(profile.name())
                    .build(),
            ),
            BaseProvider::CredentialSource(CredentialSource::Environment, _) => {
                SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
            }
            BaseProvider::CredentialSource(CredentialSource::Ec2InstanceMetadata, profile) => {
                SharedCredentialsProvider::new(
                    ImdsCredentialsProvider::builder()
                        .configure(&provider_config)
                        .imds_client(imds(profile, &provider_config)?)
                        .build(),
                )
            }
            BaseProvider::CredentialSource(CredentialSource::EcsContainer, _) => {
                SharedCredentialsProvider::new(
                    EcsCredentialsProvider::builder()
                        .configure(&provider_config)
                        .build(),
                )
            }
        }))
    }

    async fn read(&self, which: &[File]) -> Result<ProfileSet, Error> {
        let name = Some(Cow::Owned(self.profile.clone()));
        let (fs, env, files) = (Fs::default(), Env::default(), self.files(which));
        let read = aws_config::profile::load(&fs, &env, &files, name).await;
        read.map_err(|error| {
            let rule = "the files cannot be read";
            let violation = Violation::new("profile", rule, None)
                .in_profile(format!("profile {}", self.profile));
            let kind = ErrorKind::Invalid(violation);
            Error::from(ErrorInner {
                source: Some(error.into()),
                ..Step::from(Operation::LoadProfile).failed(kind)
            })
        })
    }

    fn files(&self, which: &[File]) -> EnvConfigFiles {
        let mut files = EnvConfigFiles::builder();
        for file in which {
            files = match (file.kind, file.own(self)) {
                (kind, Some(path)) => files.with_file(kind, path),
                (EnvConfigFileKind::Config, None) => files.include_default_config_file(true),
                (EnvConfigFileKind::Credentials, None) => {
                    files.include_default_credentials_file(true)
                }
            };
        }
        files.build()
    }

    /// Explains why a profile may be missing: aws-config skips files that it cannot read and sections that it does not
    /// accept.
    async fn why_missing(&self, name: &str) -> String {
        let mut reasons = String::new();
        for (file, other_kind, should_be) in [
            (CONFIG, CREDENTIALS.kind, format!("[profile {name}]")),
            (CREDENTIALS, CONFIG.kind, format!("[{name}]")),
        ] {
            let shown = file.path(self);
            let reason = match file.contents(self) {
                Ok(None) => continue,
                Ok(Some(text)) => {
                    let files = EnvConfigFiles::builder().with_contents(other_kind, text);
                    let (fs, env) = (Fs::default(), Env::default());
                    match aws_config::profile::load(&fs, &env, &files.build(), None).await {
                        Ok(profiles) if profiles.get_profile(name).is_some() => {
                            format!("the section in {shown} must be {should_be}")
                        }
                        _ => continue,
                    }
                }
                Err(error) => format!("{shown} cannot be read: {error}"),
            };
            reasons = format!("{reasons}; {reason}");
        }
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c);
        if !name.chars().all(is_allowed) {
            reasons += "; profile names may contain only ASCII letters, digits and _-/.%@:+";
        }
        reasons
    }

    /// Adds the origin of the invalid value: a setter, an environment variable, or a profile's file, in order of
    /// precedence.
    async fn with_origin(&self, violation: Violation) -> Violation {
        let (setter, variables) = match violation.field {
            field if field.starts_with("AWS_") => return violation.in_profile("environment"),
            "region" => (&self.region, ["AWS_REGION", "AWS_DEFAULT_REGION"]),
            "endpoint_url" => (
                &self.endpoint_url,
                ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"],
            ),
            _ => return self.with_file(violation).await,
        };
        let is_value = |value: &String| violation.value.as_ref() == Some(value);
        if setter.as_ref().is_some_and(is_value) {
            return violation.in_profile("setting");
        }
        let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| is_value(&value));
        match variables.into_iter().find(is_set) {
            // The base config has already read the environment.
            Some(field) if self.base.is_none() => {
                Violation { field, ..violation }.in_profile("environment")
            }
            _ => self.with_file(violation).await,
        }
    }

    /// Adds the file to a violation in a profile. aws-config has merged the two files, so each is read again by itself.
    async fn with_file(&self, violation: Violation) -> Violation {
        let name = violation.profile.clone().unwrap_or_default();
        let mut file = None;
        for which in [CREDENTIALS, CONFIG] {
            // Unlikely to fail: the file was just read.
            let Ok(profiles) = self.read(&[which]).await else {
                continue;
            };
            if let Some(profile) = profiles.get_profile(&name) {
                let has_key = profile.get(violation.field).is_some();
                if has_key || file.is_none() {
                    file = Some(which.path(self));
                }
                if has_key {
                    break;
                }
            }
        }
        violation.in_profile(match file {
            Some(file) => format!("profile {name} in {file}"),
            None => format!("profile {name}"),
        })
    }
}

impl fmt::Debug for ProfileLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileLoader")
            .field("profile", &self.profile)
            .field("mfa", &self.codes.is_some())
            .field("config_file", &self.config_file)
            .field("credentials_file", &self.credentials_file)
            .finish_non_exhaustive()
    }
}

/// Creates the client of the instance metadata, with the settings of this profile. aws-config would read them from the
/// profile in use, which may be another one.
fn imds(profile: &Profile, config: &ProviderConfig) -> Result<imds::Client, Violation> {
    const ENDPOINT: &str = "ec2_metadata_service_endpoint";
    const MODE: &str = "ec2_metadata_service_endpoint_mode";
    let wrong =
        |key, error: BoxError| violation(profile.name(), key, format!("is invalid: {error}"));
    let mut client = imds::Client::builder().configure(config);
    if let Some(url) = profile.get(ENDPOINT) {
        client = client
            .endpoint(url)
            .map_err(|error| wrong(ENDPOINT, error))?;
    }
    if let Some(mode) = profile.get(MODE) {
        let mode: EndpointMode = mode
            .parse()
            .map_err(|error: InvalidEndpointMode| wrong(MODE, error.into()))?;
        client = client.endpoint_mode(mode);
    }
    Ok(client.build())
}

/// The service-specific endpoints of a config.
#[derive(Debug)]
struct ServicesOf(SdkConfig);

impl LoadServiceConfig for ServicesOf {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        self.0.service_config()?.load_config(key)
    }
}

/// One of the two configuration files.
#[derive(Clone, Copy)]
struct File {
    kind: EnvConfigFileKind,
    variable: &'static str,
    default: &'static str,
}

const CONFIG: File = File {
    kind: EnvConfigFileKind::Config,
    variable: "AWS_CONFIG_FILE",
    default: "~/.aws/config",
};

const CREDENTIALS: File = File {
    kind: EnvConfigFileKind::Credentials,
    variable: "AWS_SHARED_CREDENTIALS_FILE",
    default: "~/.aws/credentials",
};

/// The environment variable that `~` expands to.
const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

impl File {
    fn own(self, loader: &ProfileLoader) -> Option<&Path> {
        match self.kind {
            EnvConfigFileKind::Config => loader.config_file.as_deref(),
            EnvConfigFileKind::Credentials => loader.credentials_file.as_deref(),
        }
    }

    /// The path for error messages.
    fn path(self, loader: &ProfileLoader) -> String {
        match self.own(loader) {
            Some(path) => path.display().to_string(),
            None => std::env::var(self.variable).unwrap_or_else(|_| self.default.to_owned()),
        }
    }

    /// Reads the file; `None` if it is missing at the default path, where it is optional.
    fn contents(self, loader: &ProfileLoader) -> io::Result<Option<String>> {
        let path = self.path(loader);
        let path = match path
            .strip_prefix("~/")
            .filter(|_| self.own(loader).is_none())
        {
            None => PathBuf::from(path),
            // Like aws-config, which uses only the environment.
            Some(rest) => match std::env::var_os(HOME).filter(|home| !home.is_empty()) {
                Some(home) => Path::new(&home).join(rest),
                None => return Err(io::Error::other(format!("{HOME} is not set"))),
            },
        };
        let is_default = self.own(loader).is_none() && std::env::var_os(self.variable).is_none();
        if path.as_os_str().is_empty() {
            return Err(io::Error::other(format!("{} is empty", self.variable)));
        }
        match file::read(&path) {
            Err(error) if is_default && error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

/// Returns the name of the profile that does not exist, if that is the violation.
fn missing_profile<'a>(profiles: &'a ProfileSet, violation: &'a Violation) -> Option<&'a str> {
    let name = violation.profile.as_deref()?;
    let missing = match profiles.get_profile(name) {
        None => name,
        Some(profile) if violation.field == "source_profile" => profile.get("source_profile")?,
        Some(_) => return None,
    };
    Some(missing).filter(|name| profiles.get_profile(name).is_none())
}

/// Converts an error about a role's setting to one about the profile's key.
fn in_profile(profile: &str, error: &Error) -> Violation {
    let Some(role) = error.violation() else {
        return violation(profile, "profile", error.first_line().to_string());
    };
    let mut violation = role.clone().in_profile(profile);
    violation.field = match role.field {
        "arn" => "role_arn",
        "session_name" => "role_session_name",
        "duration" => "duration_seconds",
        "mfa" => "mfa_serial",
        "tag" => "session_tags",
        field => field,
    };
    if violation.field == "region" && violation.value.is_none() {
        violation.rule = "is not set in the profile, its source profiles or AWS_REGION".to_owned();
    }
    violation
}

/// A setting whose invalid values cause a panic or only a log in aws-config. A program that asks for a FIPS endpoint
/// must not get another one.
struct CheckedSetting {
    /// Takes precedence over the key.
    variable: &'static str,
    key: &'static str,
    rule: &'static str,
    is_valid: fn(&str) -> bool,
}

const CHECKED_SETTINGS: [CheckedSetting; 4] = [
    CheckedSetting {
        variable: "AWS_MAX_ATTEMPTS",
        key: "max_attempts",
        rule: "must be a whole number of at least 1",
        is_valid: |value| value.parse::<NonZeroU32>().is_ok(),
    },
    CheckedSetting {
        variable: "AWS_RETRY_MODE",
        key: "retry_mode",
        rule: "must be standard or adaptive",
        is_valid: |value| value.parse::<RetryMode>().is_ok(),
    },
    CheckedSetting {
        variable: "AWS_USE_FIPS_ENDPOINT",
        key: "use_fips_endpoint",
        rule: "must be true or false",
        is_valid: is_bool,
    },
    CheckedSetting {
        variable: "AWS_USE_DUALSTACK_ENDPOINT",
        key: "use_dualstack_endpoint",
        rule: "must be true or false",
        is_valid: is_bool,
    },
];

fn is_bool(value: &str) -> bool {
    ["true", "false", ""]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
}

fn check_settings(profile: &Profile) -> Result<(), Violation> {
    for setting in CHECKED_SETTINGS {
        let broken = |field, value: &str| Violation::new(field, setting.rule, Some(value));
        match (std::env::var(setting.variable), profile.get(setting.key)) {
            (Ok(value), _) if !(setting.is_valid)(&value) => {
                return Err(broken(setting.variable, &value));
            }
            (Err(_), Some(value)) if !(setting.is_valid)(value) => {
                return Err(broken(setting.key, value).in_profile(profile.name()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn has_endpoint(profile: &Profile) -> bool {
    [ENDPOINT, FIPS, DUAL_STACK]
        .iter()
        .any(|keys| has_any(profile, keys))
}

/// The parameters of the CLI's cache key. The CLI sends the device with each role whose profile names it.
#[cfg(feature = "cli-cache")]
fn cache_key(profile: &Profile) -> cli_cache::CacheKey<'_> {
    let duration = profile.get("duration_seconds");
    cli_cache::CacheKey {
        role_arn: profile.get("role_arn").unwrap_or_default(),
        session_name: profile.get("role_session_name"),
        external_id: profile.get("external_id"),
        serial: profile.get("mfa_serial"),
        duration_seconds: duration.and_then(|seconds| seconds.parse().ok()),
    }
}
