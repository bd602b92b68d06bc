//! [`RoleChain::from_profile`]: the chain that a profile of `~/.aws/config` describes. A pure resolve says
//! what that is, a loader builds it; reading the files and every kind of base profile is aws-config's.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::SdkConfig;
use aws_types::origin::Origin;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use aws_types::sdk_config::Builder as SdkConfigBuilder;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::chain::{Base, Parent, RoleChain};
use crate::error::{Error, Kind};
use crate::mfa::{BoxError, Mfa, ProvideMfaCode};
use crate::role::{CHAINED_LIMIT, Role};
use crate::start::{GetSessionToken, WebIdentityToken};

/// The keys that say which STS to call. What a source profile leaves open is as in the profile that
/// names it.
const ENDPOINT: &[&str] = &[
    "endpoint_url",
    "services",
    "ignore_configured_endpoint_urls",
];
/// The keys that give a profile credentials of a kind that aws-config knows.
const CREDENTIALS_OF_A_PROFILE: &[&str] = &[
    "credential_process",
    "login_session",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
];
const FIPS: &[&str] = &["use_fips_endpoint"];
const DUAL_STACK: &[&str] = &["use_dualstack_endpoint"];

/// What to load a profile's chain with; see [`RoleChain::from_profile`].
#[must_use = "nothing is read before load()"]
pub struct ProfileLoader {
    profile: String,
    base: Option<SdkConfig>,
    codes: Option<Arc<dyn ProvideMfaCode>>,
    config_file: Option<PathBuf>,
    credentials_file: Option<PathBuf>,
    #[cfg(feature = "cli-cache")]
    cli_cache: Option<PathBuf>,
}

impl RoleChain {
    /// The chain that a profile of the AWS configuration files describes: its `role_arn`, with what its
    /// `source_profile` or `credential_source` gives, to any depth.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), aws_role_chain::Error> {
    /// use aws_role_chain::{RoleChain, TerminalPrompt};
    ///
    /// let chain = RoleChain::from_profile("firehose-writer")
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
    /// # What is read
    ///
    /// | key | |
    /// |---|---|
    /// | `role_arn` | the role |
    /// | `source_profile`, `credential_source` | what assumes it: one of the two. `Environment`, `Ec2InstanceMetadata`, `EcsContainer` |
    /// | `external_id`, `role_session_name` | as [`Role::external_id`], [`Role::session_name`] |
    /// | `duration_seconds` | as [`Role::duration`] |
    /// | `mfa_serial` | the user's device, as [`Role::mfa`]; the codes come from [`mfa`](ProfileLoader::mfa) |
    /// | `web_identity_token_file` | with `role_arn`, as [`RoleChain::from_web_identity`] |
    /// | `region` | of that profile's STS and, for the chain's own profile, of its [`sdk_config`](RoleChain::sdk_config) |
    /// | `endpoint_url`, `services`, `use_fips_endpoint`, `use_dualstack_endpoint` | of that profile's STS, and so on |
    /// | `session_tags` (`team=payments,cost=42`), `transitive_session_tags` (`team`), `source_identity` | as aws-vault has them; the AWS CLI ignores them |
    ///
    /// What a source profile leaves open of region and endpoint is as in the profile that names it. A profile
    /// without a region has, as by aws-config, that of its sources. The files and the environment variables
    /// (`AWS_CONFIG_FILE`, `AWS_REGION`, …) are read as aws-config reads them, which takes no notice of
    /// `sts_regional_endpoints`: STS is always called in the region ([keys](https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html)).
    ///
    /// What a source profile without a `role_arn` is (keys, a process, IAM Identity Center, a console
    /// sign-in) is aws-config's business; some kinds need a feature of it (`sso`, `credentials-process`,
    /// `credentials-login`). As in the AWS CLI, static keys in a source profile end the chain, and a profile
    /// can be its own source only with static keys in it.
    ///
    /// The same device on several hops takes one code: the chain then starts with a
    /// [session token](RoleChain::from_session_token), whose roles last an hour at most.
    pub fn from_profile(name: impl Into<String>) -> ProfileLoader {
        ProfileLoader {
            profile: name.into(),
            base: None,
            codes: None,
            config_file: None,
            credentials_file: None,
            #[cfg(feature = "cli-cache")]
            cli_cache: None,
        }
    }
}

impl ProfileLoader {
    /// Where the HTTP client, retries, timeouts, clock and sleep come from, and the region and endpoint
    /// that the profiles leave open. Its credentials are not used. Default: a config of the profile's own.
    pub fn base(mut self, config: &SdkConfig) -> Self {
        self.base = Some(config.clone());
        self
    }

    /// Who gives the codes of the device that a profile's `mfa_serial` names: as for [`Role::mfa`].
    pub fn mfa(mut self, codes: impl ProvideMfaCode + 'static) -> Self {
        self.codes = Some(Arc::new(codes));
        self
    }

    /// Reads this file in place of `~/.aws/config` or `AWS_CONFIG_FILE`'s; it must be there.
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Self {
        self.config_file = Some(path.as_ref().to_owned());
        self
    }

    /// Reads this file in place of `~/.aws/credentials` or `AWS_SHARED_CREDENTIALS_FILE`'s; it must be
    /// there.
    pub fn credentials_file(mut self, path: impl AsRef<Path>) -> Self {
        self.credentials_file = Some(path.as_ref().to_owned());
        self
    }

    /// Shares the roles' sessions with the AWS CLI, in its own cache `~/.aws/cli/cache`: one MFA code serves
    /// the CLI and the program. Without a home there is no cache.
    ///
    /// A session kept there is used while it has more than 15 minutes left, as by the CLI, and only if it is
    /// the role's (and has its `role_session_name`); otherwise STS is asked and the file replaced, readable
    /// by its owner alone. Processes take turns for one entry, so that a person is asked for one code: for up
    /// to ten minutes where a code is needed, and else 20 s. What cannot be read or written is passed over,
    /// with one warning.
    ///
    /// **The CLI's key leaves out who asks**: two profiles that reach the same role from different sources,
    /// with all other keys alike, share one entry. The session is the role's in either case, but the one who
    /// asked may not be who CloudTrail names, and somebody who may no longer assume the role goes on with
    /// the kept session until it ends. [`refresh`](RoleChain::refresh) on a chain with credentials in hand
    /// asks STS, and replaces the entry. Roles with session tags or a source identity, or behind one with these,
    /// are left out: the CLI's sessions lack them. So are session tokens and web identities.
    #[cfg(feature = "cli-cache")]
    pub fn cli_cache(mut self) -> Self {
        self.cli_cache = crate::cli_cache::default_folder();
        self
    }

    /// As [`cli_cache`](Self::cli_cache), in another folder, such as that of botocore's `JSONFileCache`. A `~`
    /// is a name like any other.
    #[cfg(feature = "cli-cache")]
    pub fn cli_cache_in(mut self, folder: impl AsRef<Path>) -> Self {
        self.cli_cache = Some(folder.as_ref().to_owned());
        self
    }

    /// Reads the files and builds the chain. No call to STS is made yet. Where nothing says the region, EC2's
    /// instance metadata is asked, as by aws-config.
    ///
    /// # Errors
    ///
    /// An [invalid](Error::is_invalid) profile: [`field`](Error::field) is the key at fault, and the message
    /// names the profile and the file.
    pub async fn load(self) -> Result<RoleChain, Error> {
        let profiles = self.read(&[CONFIG, CREDENTIALS]).await?;
        match self.build(&profiles).await {
            Ok(chain) => Ok(chain),
            Err(broken) => Err(self.explained(broken).await),
        }
    }

    async fn build(&self, profiles: &ProfileSet) -> Result<RoleChain, Broken> {
        let Resolved {
            start,
            device,
            roles,
        } = resolve(profiles, &self.profile)?;
        let mut mfa = match (&device, &self.codes) {
            (None, _) => None,
            (Some(device), Some(codes)) => Some(Mfa {
                serial: device.serial.to_owned(),
                codes: codes.clone(),
            }),
            (Some(device), None) => {
                let rule = "needs somebody who gives the device's codes: \
                            RoleChain::from_profile(..).mfa(TerminalPrompt::new()), for one";
                return Err(Broken::new(device.profile, "mfa_serial", rule));
            }
        };
        let hops = self.hops(&start, &roles).await?;
        let mut parent = match start {
            Start::WebIdentity { token_file } => {
                Parent::WebIdentity(WebIdentityToken::from_file(token_file))
            }
            _ => Parent::Source,
        };
        if let (Some(device), Some((base, region))) = (device, hops.first())
            && let Some(mfa) = mfa.take_if(|_| !device.first_role_only)
        {
            let mut token = GetSessionToken::new().with_mfa(mfa);
            if let Some(region) = region {
                token = token.region(region.to_string());
            }
            let token = RoleChain::session_token(base.clone(), token);
            let token = token.map_err(|error| Broken::of_role(device.profile, error))?;
            parent = Parent::Chain(token);
        }
        for (profile, (base, region)) in roles.into_iter().zip(hops) {
            let by_token = matches!(parent, Parent::WebIdentity(_));
            let mut role = role(profile)?;
            if let (Some(id), false) = (profile.get("external_id"), by_token) {
                role = role.external_id(id);
            }
            if let Some(region) = region {
                role = role.region(region.to_string());
            }
            if let Some(mfa) = mfa.take() {
                role = role.with_mfa(mfa);
            }
            #[cfg(feature = "cli-cache")]
            if let (Some(folder), false) = (&self.cli_cache, by_token)
                && let Some(entry) = crate::cli_cache::Entry::new(folder, &asked(profile))
            {
                role = role.with_cli_cache(entry);
            }
            let chain = RoleChain::assume_from(parent, base, role);
            parent = Parent::Chain(chain.map_err(|error| Broken::of_role(profile.name(), error))?);
        }
        match parent {
            Parent::Chain(chain) => Ok(chain),
            // `resolve` finds a role, or says what is wrong.
            _ => Err(Broken::new(&self.profile, "role_arn", "is missing")),
        }
    }

    /// With which settings, and in which region where that is another than the settings', each role is
    /// assumed. Profiles that do not say which STS they mean share one client.
    async fn hops(
        &self,
        start: &Start<'_>,
        roles: &[&Profile],
    ) -> Result<Vec<(Arc<Base>, Option<Region>)>, Broken> {
        // A base has read the environment already.
        let from_environment = match self.base {
            None => EnvironmentVariableRegionProvider::new().region().await,
            Some(_) => None,
        };
        let region_of = |profile: &Profile| {
            let region = profile.get("region").map(str::to_owned);
            from_environment.clone().or(region.map(Region::new))
        };
        let base_of = |profile: &Profile, config: SdkConfigBuilder| {
            let needs_source = !matches!(start, Start::WebIdentity { .. });
            let base = Base::new(&config.build(), needs_source);
            let base = base.map_err(|error| Broken::of_role(profile.name(), error));
            base.map(Arc::new)
        };
        let Some(own) = roles.last() else {
            return Ok(Vec::new());
        };
        let config = match &self.base {
            None => self.settings(own).load().await,
            Some(base) => {
                let region = region_of(own).or(base.region().cloned());
                self.endpoint(own, base).await.region(region).build()
            }
        };
        let source_region = match start {
            Start::Profile(profile) => region_of(profile),
            _ => None,
        };
        let source_region = source_region.or(config.region().cloned());
        let source = self.source(start, &config, source_region)?;
        let mut config = config.to_builder();
        config.set_credentials_provider(source);
        let mut base = base_of(own, config)?;
        let mut region = base.config.region().cloned();
        let mut hops = Vec::new();
        // From the chain's own profile down to its source: who says nothing takes what the one above has.
        for (i, profile) in roles.iter().rev().enumerate() {
            region = region_of(profile).or(region);
            if i > 0 && says_endpoint(profile) {
                let config = self.endpoint(profile, &base.config).await;
                base = base_of(profile, config.region(region.clone()))?;
            }
            let other_region = region.clone();
            let other_region = other_region.filter(|own| Some(own) != base.config.region());
            hops.push((base.clone(), other_region));
        }
        hops.reverse();
        Ok(hops)
    }

    /// What aws-config reads for a profile.
    fn settings(&self, profile: &Profile) -> ConfigLoader {
        aws_config::defaults(BehaviorVersion::latest())
            .profile_files(self.files(&[CONFIG, CREDENTIALS]))
            .profile_name(profile.name())
            .no_credentials()
    }

    /// What a profile says of the endpoint, over all the settings of an outer config.
    async fn endpoint(&self, profile: &Profile, outer: &SdkConfig) -> SdkConfigBuilder {
        let mut config = outer.to_builder();
        if !says_endpoint(profile) {
            return config;
        }
        // With a region, so that nobody is asked for one.
        let own = self.settings(profile).region(outer.region().cloned());
        let own = own.load().await;
        if says(profile, FIPS) {
            config.set_use_fips(own.use_fips());
        }
        if says(profile, DUAL_STACK) {
            config.set_use_dual_stack(own.use_dual_stack());
        }
        if says(profile, &["endpoint_url"]) {
            config.set_endpoint_url(own.endpoint_url().map(str::to_owned));
        }
        if says(profile, ENDPOINT) {
            // A service's own endpoint comes before one for all that a file gives.
            config.insert_origin("endpoint_url", Origin::shared_profile_file());
            config.set_service_config(Some(ServicesOf(own)));
        }
        config
    }

    /// The provider of the credentials that the first role is assumed with; none where a token takes their
    /// place.
    fn source(
        &self,
        start: &Start<'_>,
        config: &SdkConfig,
        region: Option<Region>,
    ) -> Result<Option<SharedCredentialsProvider>, Broken> {
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
        Ok(Some(match start {
            Start::WebIdentity { .. } => return Ok(None),
            Start::Keys(keys) => SharedCredentialsProvider::new(keys.clone()),
            Start::Profile(profile) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&provider_config)
                    .profile_files(self.files(&[CONFIG, CREDENTIALS]))
                    .profile_name(profile.name())
                    .build(),
            ),
            Start::Source(CredentialSource::Environment, _) => {
                SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
            }
            Start::Source(CredentialSource::Ec2InstanceMetadata, profile) => {
                SharedCredentialsProvider::new(
                    ImdsCredentialsProvider::builder()
                        .configure(&provider_config)
                        .imds_client(imds(profile, &provider_config)?)
                        .build(),
                )
            }
            Start::Source(CredentialSource::EcsContainer, _) => SharedCredentialsProvider::new(
                EcsCredentialsProvider::builder()
                    .configure(&provider_config)
                    .build(),
            ),
        }))
    }

    async fn read(&self, which: &[File]) -> Result<ProfileSet, Error> {
        let name = Some(Cow::Owned(self.profile.clone()));
        let (fs, env, files) = (Fs::default(), Env::default(), self.files(which));
        let read = aws_config::profile::load(&fs, &env, &files, name).await;
        read.map_err(|error| {
            let kind = Kind::Invalid {
                field: "profile",
                rule: "the files cannot be read".to_owned(),
                value: None,
                profile: Some(format!("profile {}", self.profile)),
            };
            Error::new(kind, None, 0, Vec::new(), Some(error.into()))
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

    /// Says which file it is in: the parser has merged the two.
    async fn explained(&self, broken: Broken) -> Error {
        let mut file = None;
        for which in [CREDENTIALS, CONFIG] {
            // It was read a moment ago.
            let Ok(profiles) = self.read(&[which]).await else {
                continue;
            };
            if let Some(profile) = profiles.get_profile(&broken.profile) {
                let has_key = profile.get(broken.key).is_some();
                if has_key || file.is_none() {
                    file = Some(which.path(self));
                }
                if has_key {
                    break;
                }
            }
        }
        let mut rule = broken.rule;
        if broken.missing {
            rule += &format!(
                ", neither in {} nor in {}",
                CONFIG.path(self),
                CREDENTIALS.path(self)
            );
        }
        let name = broken.profile;
        let kind = Kind::Invalid {
            field: broken.key,
            rule,
            value: broken.value,
            profile: Some(match file {
                Some(file) => format!("profile {name} in {file}"),
                None => format!("profile {name}"),
            }),
        };
        Error::new(kind, None, 0, Vec::new(), None)
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

/// The instance's metadata, where the profile says it is. aws-config reads these keys of the profile in use,
/// and that may be another.
fn imds(profile: &Profile, config: &ProviderConfig) -> Result<imds::Client, Broken> {
    const ENDPOINT: &str = "ec2_metadata_service_endpoint";
    const MODE: &str = "ec2_metadata_service_endpoint_mode";
    let broken =
        |key, error: BoxError| Broken::new(profile.name(), key, format!("is wrong: {error}"));
    let mut client = imds::Client::builder().configure(config);
    if let Some(url) = profile.get(ENDPOINT) {
        client = client
            .endpoint(url)
            .map_err(|error| broken(ENDPOINT, error))?;
    }
    if let Some(mode) = profile.get(MODE) {
        let mode: EndpointMode = mode
            .parse()
            .map_err(|error: InvalidEndpointMode| broken(MODE, error.into()))?;
        client = client.endpoint_mode(mode);
    }
    Ok(client.build())
}

/// A config's endpoints by service.
#[derive(Debug)]
struct ServicesOf(SdkConfig);

impl LoadServiceConfig for ServicesOf {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        self.0.service_config()?.load_config(key)
    }
}

/// One of the two files.
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

impl File {
    fn own(self, loader: &ProfileLoader) -> Option<&Path> {
        match self.kind {
            EnvConfigFileKind::Config => loader.config_file.as_deref(),
            EnvConfigFileKind::Credentials => loader.credentials_file.as_deref(),
        }
    }

    /// As people know it.
    fn path(self, loader: &ProfileLoader) -> String {
        match self.own(loader) {
            Some(path) => path.display().to_string(),
            None => std::env::var(self.variable).unwrap_or_else(|_| self.default.to_owned()),
        }
    }
}

/// What is wrong with a profile, before it is known in which file.
#[derive(Debug)]
struct Broken {
    profile: String,
    key: &'static str,
    rule: String,
    value: Option<String>,
    /// The files lack something.
    missing: bool,
}

impl Broken {
    fn new(profile: &str, key: &'static str, rule: impl Into<String>) -> Self {
        Self {
            profile: profile.to_owned(),
            key,
            rule: rule.into(),
            value: None,
            missing: false,
        }
    }

    fn missing(mut self) -> Self {
        self.missing = true;
        self
    }

    /// The check of a role knows its settings by other names.
    fn of_role(profile: &str, error: Error) -> Self {
        let key = match error.field() {
            Some("arn") => "role_arn",
            Some("session_name") => "role_session_name",
            Some("duration") => "duration_seconds",
            Some("mfa") => "mfa_serial",
            Some("tag") => "session_tags",
            Some(field) => field,
            None => "profile",
        };
        let (mut rule, value) = error.into_rule();
        if key == "region" && value.is_none() {
            rule = "is missing, in its source profiles and in AWS_REGION too".to_owned();
        }
        Self {
            value,
            ..Self::new(profile, key, rule)
        }
    }
}

/// What a profile comes to.
struct Resolved<'a> {
    start: Start<'a>,
    device: Option<Device<'a>>,
    /// The profiles of the roles that are assumed from there, in that order; at least one.
    roles: Vec<&'a Profile>,
}

enum Start<'a> {
    Keys(Credentials),
    Profile(&'a Profile),
    Source(CredentialSource, &'a Profile),
    WebIdentity { token_file: &'a str },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CredentialSource {
    Environment,
    Ec2InstanceMetadata,
    EcsContainer,
}

/// The one device of a chain.
struct Device<'a> {
    profile: &'a str,
    serial: &'a str,
    /// Only the first role asks for a code. Otherwise a session token takes it for all.
    first_role_only: bool,
}

fn resolve<'a>(profiles: &'a ProfileSet, name: &'a str) -> Result<Resolved<'a>, Broken> {
    let mut visited: Vec<&str> = Vec::new();
    let mut roles = Vec::new();
    let mut next = name;
    let start = loop {
        let profile = profiles
            .get_profile(next)
            .ok_or_else(|| match visited.last() {
                None => Broken::new(next, "profile", "there is no such profile").missing(),
                Some(from) => {
                    let rule = format!("names the profile `{next}`, and there is none");
                    Broken::new(from, "source_profile", rule).missing()
                }
            })?;
        if visited.contains(&next) {
            let from = visited.last().copied().unwrap_or(next);
            let round = [&visited[..], &[next]].concat().join(" → ");
            let rule = format!("leads back to where it came from: {round}");
            return Err(Broken::new(from, "source_profile", rule));
        }
        visited.push(next);
        let is_source = visited.len() > 1;
        if is_source && let Some(keys) = static_keys(profile)? {
            break Start::Keys(keys);
        }
        let role_arn = profile.get("role_arn");
        let named_source = profile
            .get("credential_source")
            .map(|source| credential_source(profile, source))
            .transpose()?;
        match (role_arn, profile.get("web_identity_token_file")) {
            (Some(_), Some(token_file)) => {
                roles.push(profile);
                break Start::WebIdentity { token_file };
            }
            (None, Some(_)) => {
                let rule =
                    "is missing: the profile has a web_identity_token_file, but no role for it";
                return Err(Broken::new(next, "role_arn", rule));
            }
            (None, None) if is_source => match named_source {
                Some(source) => break Start::Source(source, profile),
                None if says(profile, CREDENTIALS_OF_A_PROFILE) => break Start::Profile(profile),
                None => {
                    let rule = "is missing, and so is all else that gives a source profile \
                                    credentials: credential_process, sso_session, login_session, role_arn";
                    return Err(Broken::new(next, "aws_access_key_id", rule));
                }
            },
            (None, None) => {
                let rule = "is missing: there is no role to assume. For the profile's own credentials, \
                            use aws_config::defaults(..).profile_name(..)";
                return Err(Broken::new(next, "role_arn", rule));
            }
            (Some(_), None) => roles.push(profile),
        }
        match (profile.get("source_profile"), named_source) {
            (Some(_), Some(_)) => {
                let rule = "can only be there without source_profile: one of them gives the credentials \
                            that assume the role";
                return Err(Broken::new(next, "credential_source", rule));
            }
            (None, None) => {
                let rule = "is missing, and so is credential_source: one of them must give the \
                            credentials that assume the role";
                return Err(Broken::new(next, "source_profile", rule));
            }
            (None, Some(source)) => break Start::Source(source, profile),
            (Some(source), None) if source == next => {
                break Start::Keys(static_keys(profile)?.ok_or_else(|| {
                    let rule = "names its own profile, which works only with aws_access_key_id and \
                                aws_secret_access_key in it";
                    Broken::new(next, "source_profile", rule)
                })?);
            }
            (Some(source), None) => next = source,
        }
    };
    roles.reverse();
    let device = device(&start, &roles)?;
    Ok(Resolved {
        start,
        device,
        roles,
    })
}

fn static_keys(profile: &Profile) -> Result<Option<Credentials>, Broken> {
    let get = |key| profile.get(key).filter(|value| !value.is_empty());
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    const TOKEN: &str = "aws_session_token";
    let missing = |key, other: &str| {
        let rule = format!("is missing, and there is an {other}");
        Err(Broken::new(profile.name(), key, rule))
    };
    match (get(ID), get(SECRET), get(TOKEN)) {
        // A token alone is nothing.
        (None, None, _) => Ok(None),
        (None, Some(_), _) => missing(ID, SECRET),
        (Some(_), None, _) => missing(SECRET, ID),
        (Some(id), Some(secret), token) => {
            let mut keys = Credentials::builder()
                .access_key_id(id)
                .secret_access_key(secret)
                .provider_name("profile");
            keys.set_session_token(token.map(str::to_owned));
            keys.set_account_id(get("aws_account_id").map(Into::into));
            Ok(Some(keys.build()))
        }
    }
}

fn credential_source(profile: &Profile, source: &str) -> Result<CredentialSource, Broken> {
    let known = [
        ("Environment", CredentialSource::Environment),
        ("Ec2InstanceMetadata", CredentialSource::Ec2InstanceMetadata),
        ("EcsContainer", CredentialSource::EcsContainer),
    ];
    let found = known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(source));
    found.map(|(_, source)| *source).ok_or_else(|| {
        let rule = format!(
            "must be Environment, Ec2InstanceMetadata or EcsContainer, but it is {source:?}"
        );
        Broken::new(profile.name(), "credential_source", rule)
    })
}

/// The device of the user whose keys start the chain, if a role asks for it. From the second role on, MFA
/// can only be proved by a session token.
fn device<'a>(start: &Start<'_>, roles: &[&'a Profile]) -> Result<Option<Device<'a>>, Broken> {
    let serial = |profile: &&'a Profile| Some((profile.name(), profile.get("mfa_serial")?));
    let roles = match start {
        // The CLI, too, takes no notice of a device beside a token.
        Start::WebIdentity { .. } => &roles[1..],
        _ => roles,
    };
    let mut named = roles.iter().filter_map(serial);
    let Some((profile, device)) = named.next() else {
        return Ok(None);
    };
    if let Some((other, _)) = named.find(|(_, serial)| *serial != device) {
        let rule = format!(
            "is another than that of the profile `{profile}`: a chain has one user, whose device proves \
             MFA for all its roles"
        );
        return Err(Broken::new(other, "mfa_serial", rule));
    }
    let whose = match start {
        Start::WebIdentity { .. } => Some("a web identity"),
        Start::Source(CredentialSource::Ec2InstanceMetadata, _) => Some("an instance's role"),
        Start::Source(CredentialSource::EcsContainer, _) => Some("a container's role"),
        _ => None,
    };
    if let Some(whose) = whose {
        let rule = format!("is an IAM user's device, and this chain starts with {whose}");
        return Err(Broken::new(profile, "mfa_serial", rule));
    }
    let first_role_only = roles[1..].iter().filter_map(serial).next().is_none();
    if !first_role_only {
        let longest = CHAINED_LIMIT.as_secs();
        let is_long = |profile: &&&Profile| {
            let asked = profile.get("duration_seconds");
            asked
                .and_then(|asked| asked.parse::<u64>().ok())
                .is_some_and(|asked| asked > longest)
        };
        if let Some(long) = roles.iter().find(is_long) {
            let rule = format!(
                "can be at most {longest} here: a later role asks for MFA too, which only a session token \
                 proves to all of them, and sessions behind one last an hour at most"
            );
            return Err(Broken::new(long.name(), "duration_seconds", rule));
        }
    }
    Ok(Some(Device {
        profile,
        serial: device,
        first_role_only,
    }))
}

fn says_endpoint(profile: &Profile) -> bool {
    [ENDPOINT, FIPS, DUAL_STACK]
        .iter()
        .any(|keys| says(profile, keys))
}

fn says(profile: &Profile, keys: &[&str]) -> bool {
    keys.iter().any(|key| profile.get(key).is_some())
}

/// All but the external ID, which the CLI, too, takes no notice of beside a token.
fn role(profile: &Profile) -> Result<Role, Broken> {
    let mut role = Role::new(profile.get("role_arn").unwrap_or_default());
    if let Some(name) = profile.get("role_session_name") {
        role = role.session_name(name);
    }
    if let Some(seconds) = profile.get("duration_seconds") {
        let seconds = seconds.parse().map_err(|_| {
            let rule = format!("must be 900 to 43200 whole seconds, but it is {seconds:?}");
            Broken::new(profile.name(), "duration_seconds", rule)
        })?;
        role = role.duration(Duration::from_secs(seconds));
    }
    if let Some(identity) = profile.get("source_identity") {
        role = role.source_identity(identity);
    }
    with_tags(role, profile)
}

/// The same, as the CLI sends it: the device goes with each role that names it.
#[cfg(feature = "cli-cache")]
fn asked(profile: &Profile) -> crate::cli_cache::Asked<'_> {
    crate::cli_cache::Asked {
        role_arn: profile.get("role_arn").unwrap_or_default(),
        session_name: profile.get("role_session_name"),
        external_id: profile.get("external_id"),
        serial: profile.get("mfa_serial"),
        duration_seconds: profile
            .get("duration_seconds")
            .and_then(|seconds| seconds.parse().ok()),
    }
}

fn with_tags(mut role: Role, profile: &Profile) -> Result<Role, Broken> {
    let listed = |key| {
        let list = profile.get(key).unwrap_or_default().split(',');
        list.map(str::trim).filter(|item| !item.is_empty())
    };
    let mut transitive: Vec<&str> = listed("transitive_session_tags").collect();
    for tag in listed("session_tags") {
        let (key, value) = tag.split_once('=').ok_or_else(|| {
            let rule =
                format!("must be a list such as team=payments,cost=42, but {tag:?} has no =");
            Broken::new(profile.name(), "session_tags", rule)
        })?;
        let (key, value) = (key.trim(), value.trim());
        let tags = transitive.len();
        transitive.retain(|transitive| *transitive != key);
        role = match transitive.len() == tags {
            true => role.tag(key, value),
            false => role.transitive_tag(key, value),
        };
    }
    match transitive.first() {
        None => Ok(role),
        Some(key) => {
            let rule = format!("names {key:?}, which is not among the session_tags");
            Err(Broken::new(profile.name(), "transitive_session_tags", rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    async fn profiles(config: &str, credentials: &str) -> ProfileSet {
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, config)
            .with_contents(EnvConfigFileKind::Credentials, credentials)
            .build();
        let read = aws_config::profile::load(&Fs::default(), &Env::default(), &files, None).await;
        read.unwrap()
    }

    #[tokio::test]
    async fn a_profile_resolves_to_a_start_and_roles_or_says_what_is_wrong() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../tests/profiles.json")).unwrap();
        for case in cases {
            let text = |key: &str| case[key].as_str();
            let config = text("config").unwrap();
            let profiles = profiles(config, text("credentials").unwrap_or_default()).await;
            let it = text("it").unwrap();
            match resolve(&profiles, text("profile").unwrap_or("app")) {
                Ok(resolved) => {
                    assert_eq!(case.get("error"), None, "{it}");
                    let roles: Vec<_> = resolved.roles.iter().map(|role| role.name()).collect();
                    assert_eq!(Value::from(roles), case["roles"], "{it}");
                    assert_eq!(text("start"), Some(&*start(&resolved.start)), "{it}");
                    let device = resolved.device.map(|device| match device.first_role_only {
                        true => format!("{} for the first role", device.serial),
                        false => format!("{} for all", device.serial),
                    });
                    assert_eq!(text("device"), device.as_deref(), "{it}");
                }
                Err(broken) => {
                    let expected = |at: usize| case["error"][at].as_str();
                    assert_eq!(expected(0), Some(&*broken.profile), "{it}: {broken:?}");
                    assert_eq!(expected(1), Some(broken.key), "{it}: {broken:?}");
                    let says = expected(2).unwrap();
                    assert!(broken.rule.contains(says), "{it}: {broken:?}");
                }
            }
        }
    }

    fn start(start: &Start<'_>) -> String {
        match start {
            Start::Keys(keys) => {
                let token = keys.session_token().map_or("", |_| " with token");
                format!("keys {}{token}", keys.access_key_id())
            }
            Start::Profile(profile) => format!("profile {}", profile.name()),
            Start::Source(source, _) => format!("{source:?}"),
            Start::WebIdentity { token_file } => format!("web identity {token_file}"),
        }
    }
}
