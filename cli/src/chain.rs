//! The options that describe a chain of roles, shared by all commands, and the chain that is built from them.

use std::time::Duration;

use anyhow::{Result, bail};
use aws_role_chain::{ProvideMfaCode, Role, RoleChain, TerminalPrompt};
use aws_types::SdkConfig;
use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, FromArgMatches};

use crate::base::{Base, Overrides, ProfileOption, offline_config, with_region};
use crate::values;

#[derive(Args)]
#[command(group(ArgGroup::new("roles").args(["profile", "role_arn"]).required(true).multiple(true)))]
#[command(group(ArgGroup::new("named_profile").args(["profile", "source_profile"])))]
pub struct ChainOptions {
    /// Profile whose chain of roles to assume; with --role-arn, the profile whose credentials assume the
    /// first of those roles. Takes precedence over credentials in the environment
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    profile: Option<String>,

    /// Synonym of --profile, for use with --role-arn
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    #[arg(requires = "role_arn", conflicts_with = "profile")]
    source_profile: Option<String>,

    #[command(flatten)]
    roles: Roles,

    /// MFA device for the first --role-arn: its ARN, or the serial number of a hardware device. Prompts
    /// for the code on the terminal
    #[arg(long, value_name = "SERIAL", requires = "role_arn", value_parser = values::non_empty)]
    mfa: Option<String>,

    /// Share the sessions of the profile's roles with the AWS CLI, in ~/.aws/cli/cache
    #[arg(long, requires = "named_profile")]
    cli_cache: bool,

    #[command(flatten)]
    overrides: Overrides,
}

/// Which of the SDK's default credential sources may assume the first role if no profile is given.
#[derive(Clone, Copy)]
pub enum DefaultSources {
    All,
    /// The environment, the container and the instance, but no profile.
    WithoutProfiles,
}

impl ChainOptions {
    /// Builds the chain that the options describe. Makes no call to STS yet.
    pub async fn load(&self, sources: DefaultSources) -> Result<RoleChain> {
        let overrides = &self.overrides;
        let base = match (self.named_profile(), sources) {
            (Some(profile), _) => profile.load(overrides, self.cli_cache).await?,
            (None, DefaultSources::All) => {
                Base::Config(Box::new(overrides.default_config().await?))
            }
            (None, DefaultSources::WithoutProfiles) => {
                Base::Config(Box::new(overrides.default_config_without_profiles().await?))
            }
        };
        let has_region = matches!(&base, Base::Config(config) if config.region().is_some());
        self.assume_from(base, TerminalPrompt::new())
            .map_err(|error| {
                let cause = aws_role_chain::Error::find(error.as_ref());
                match cause.and_then(|cause| cause.field()) {
                    Some("region") if !has_region => {
                        error.context("no AWS region is configured: set one with --region")
                    }
                    _ => error,
                }
            })
    }

    /// Builds the same chain without loading credentials, for commands that make no calls.
    pub async fn load_offline(&self) -> Result<RoleChain> {
        let base = match self.named_profile() {
            Some(profile) => profile.load_offline(&self.overrides).await?,
            None => Base::Config(Box::new(offline_config())),
        };
        self.assume_from(base, TerminalPrompt::new())
    }

    /// Builds the chain of the roles given with `--role-arn` on `config`: its credentials assume the first role, and
    /// its HTTP client sends the requests. The region is that of the option or of the environment, or else one of the
    /// partition. `codes` provides the codes of the MFA device.
    pub async fn load_on(
        &self,
        config: SdkConfig,
        partition: &str,
        codes: impl ProvideMfaCode + 'static,
    ) -> Result<RoleChain> {
        let region = self.overrides.region().await;
        let config = with_region(config.into_builder().region(region).build(), partition);
        self.assume_from(Base::Config(Box::new(config)), codes)
    }

    /// Returns the roles given with `--role-arn`.
    pub fn roles(&self) -> &[Role] {
        &self.roles.0
    }

    pub fn has_mfa(&self) -> bool {
        self.mfa.is_some()
    }

    pub fn has_profile(&self) -> bool {
        self.named_profile().is_some()
    }

    fn named_profile(&self) -> Option<ProfileOption<'_>> {
        let (option, name) = match (&self.profile, &self.source_profile) {
            (Some(name), _) => ("--profile", name),
            (None, Some(name)) => ("--source-profile", name),
            (None, None) => return None,
        };
        Some(ProfileOption { option, name })
    }

    fn assume_from(&self, base: Base, codes: impl ProvideMfaCode + 'static) -> Result<RoleChain> {
        let mut roles = self.roles.0.iter().cloned();
        let first = roles.next().map(|role| match &self.mfa {
            Some(serial) => role.mfa(serial, codes),
            None => role,
        });
        let mut chain = match (base, first) {
            (Base::Chain(chain), None) => chain,
            (Base::Chain(chain), Some(role)) => chain.assume(role)?,
            (Base::Config(_), Some(_)) if self.cli_cache => bail!(
                "--cli-cache shares the sessions of a profile's roles: use a --profile that has a role_arn, \
                 or omit --cli-cache"
            ),
            (Base::Config(config), Some(role)) => RoleChain::new(&config, role)?,
            (Base::Config(_), None) => {
                let name = self.profile.as_deref().unwrap_or_default();
                bail!(
                    "--profile {name}: there is no role to assume: the profile has no role_arn. Use \
                     --role-arn to assume a role with the profile's credentials"
                )
            }
        };
        for role in roles {
            chain = chain.assume(role)?;
        }
        Ok(chain)
    }
}

/// The roles given with `--role-arn`, each with the options that follow it.
#[derive(Clone)]
struct Roles(Vec<Role>);

/// The value of an option, to be set on the role that precedes it.
#[derive(Clone)]
enum Setting {
    ExternalId(String),
    SessionName(String),
    Duration(Duration),
    Tag(String, String),
    TransitiveTag(String, String),
    SourceIdentity(String),
}

impl Setting {
    fn apply(self, role: Role) -> Role {
        match self {
            Self::ExternalId(id) => role.external_id(id),
            Self::SessionName(name) => role.session_name(name),
            Self::Duration(duration) => role.duration(duration),
            Self::Tag(key, value) => role.tag(key, value),
            Self::TransitiveTag(key, value) => role.transitive_tag(key, value),
            Self::SourceIdentity(identity) => role.source_identity(identity),
        }
    }
}

/// An option that applies to the role that precedes it.
struct RoleOption {
    name: &'static str,
    value_name: &'static str,
    help: &'static str,
    parse: fn(&str) -> Result<Setting, String>,
}

/// In the order of the help.
const ROLE_OPTIONS: [RoleOption; 6] = [
    RoleOption {
        name: "external-id",
        value_name: "ID",
        help: "External ID that the role's trust policy requires",
        parse: |value| values::non_empty(value).map(Setting::ExternalId),
    },
    RoleOption {
        name: "session-name",
        value_name: "NAME",
        help: "Name of the role session, as shown in CloudTrail",
        parse: |value| values::non_empty(value).map(Setting::SessionName),
    },
    RoleOption {
        name: "duration",
        value_name: "SECONDS",
        help: "Duration of the session, 900 to 43200; at most 3600 from the second role of the chain on",
        parse: |value| values::seconds(value).map(Setting::Duration),
    },
    RoleOption {
        name: "tag",
        value_name: "KEY=VALUE",
        help: "Session tag; repeatable",
        parse: |tag| values::key_value(tag).map(|(key, value)| Setting::Tag(key, value)),
    },
    RoleOption {
        name: "transitive-tag",
        value_name: "KEY=VALUE",
        help: "Session tag that later roles inherit; repeatable",
        parse: |tag| values::key_value(tag).map(|(key, value)| Setting::TransitiveTag(key, value)),
    },
    RoleOption {
        name: "source-identity",
        value_name: "IDENTITY",
        help: "Source identity, which later roles inherit",
        parse: |value| values::non_empty(value).map(Setting::SourceIdentity),
    },
];

impl From<RoleOption> for Arg {
    fn from(option: RoleOption) -> Self {
        Arg::new(option.name)
            .long(option.name)
            .value_name(option.value_name)
            .help(option.help)
            .action(ArgAction::Append)
            .value_parser(ValueParser::new(option.parse))
    }
}

impl Args for Roles {
    fn augment_args(command: Command) -> Command {
        let role_arn = Arg::new("role_arn")
            .long("role-arn")
            .value_name("ARN")
            .help(format!(
                "Role to assume; repeatable, in order. The next {} options apply to the --role-arn that \
                 precedes them",
                ROLE_OPTIONS.len()
            ))
            .action(ArgAction::Append)
            .value_parser(ValueParser::new(values::non_empty));
        command.arg(role_arn).args(ROLE_OPTIONS)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Roles {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let arns = matches.get_many::<String>("role_arn");
        let mut roles: Vec<Role> = arns.into_iter().flatten().map(Role::new).collect();
        let starts: Vec<usize> = matches
            .indices_of("role_arn")
            .into_iter()
            .flatten()
            .collect();
        for RoleOption { name, .. } in ROLE_OPTIONS {
            let settings = matches.get_many::<Setting>(name).into_iter().flatten();
            let indices = matches.indices_of(name).into_iter().flatten();
            for (setting, index) in settings.zip(indices) {
                let before = starts.partition_point(|start| *start < index);
                let Some(role) = before.checked_sub(1).map(|last| &mut roles[last]) else {
                    let text = format!("--{name} must follow the --role-arn that it applies to");
                    return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
                };
                *role = setting.clone().apply(role.clone());
            }
        }
        Ok(Self(roles))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
