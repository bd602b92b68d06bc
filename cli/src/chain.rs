//! The options that describe a chain of roles, the same for every command, and the chain they describe.

use std::time::Duration;

use anyhow::{Result, bail};
use aws_role_chain::{Role, RoleChain, TerminalPrompt};
use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, FromArgMatches};

use crate::base::{self, Base, Overrides};
use crate::values;

#[derive(Args)]
#[command(group(ArgGroup::new("roles").args(["profile", "role_arn"]).required(true).multiple(true)))]
pub struct ChainOptions {
    /// Profile whose chain of roles to assume; with --role-arn, the profile whose credentials assume the
    /// first of those roles. It comes before all credentials in the environment
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    profile: Option<String>,

    /// The same as --profile, where there is a --role-arn
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    #[arg(requires = "role_arn", conflicts_with = "profile")]
    source_profile: Option<String>,

    #[command(flatten)]
    roles: Roles,

    /// MFA device, for the first --role-arn: its ARN, or a hardware device's serial number. The code is
    /// asked for on the terminal
    #[arg(long, value_name = "SERIAL", requires = "role_arn", value_parser = values::non_empty)]
    mfa: Option<String>,

    /// Share the sessions of the profile's roles with the AWS CLI, in ~/.aws/cli/cache
    #[arg(long)]
    cli_cache: bool,

    #[command(flatten)]
    pub overrides: Overrides,
}

/// Which credentials assume the first role where no profile is named.
#[derive(Clone, Copy, PartialEq)]
pub enum Unnamed {
    /// The SDK's default sources.
    DefaultSources,
    /// The same, but no profile.
    NoProfile,
}

impl ChainOptions {
    /// The chain that they describe. Makes no call to STS yet.
    pub async fn load(&self, unnamed: Unnamed) -> Result<RoleChain> {
        let base = match (self.named_profile(), unnamed) {
            (Some((option, name)), _) => base::profile(option, name, self.cli_cache).await?,
            (None, Unnamed::DefaultSources) => {
                Base::Config(Box::new(base::default_sources().await))
            }
            (None, Unnamed::NoProfile) => {
                Base::Config(Box::new(base::default_sources_without_profiles().await))
            }
        };
        self.assume_from(base).map_err(|error| {
            let cause = aws_role_chain::Error::find(error.as_ref());
            match cause.and_then(|cause| cause.field()) {
                Some("region") => error.context("no AWS region is known: give one with --region"),
                _ => error,
            }
        })
    }

    /// The same chain, for what makes no call: nobody is asked for credentials.
    pub async fn load_offline(&self) -> Result<RoleChain> {
        let base = match self.named_profile() {
            Some((option, name)) => base::offline_profile(option, name).await?,
            None => Base::Config(Box::new(base::offline())),
        };
        self.assume_from(base)
    }

    /// The roles given one by one.
    pub fn roles(&self) -> &[Role] {
        &self.roles.0
    }

    pub fn has_mfa(&self) -> bool {
        self.mfa.is_some()
    }

    pub fn has_profile(&self) -> bool {
        self.named_profile().is_some()
    }

    fn named_profile(&self) -> Option<(&'static str, &str)> {
        let profile = self.profile.as_deref().map(|name| ("--profile", name));
        let source = self.source_profile.as_deref();
        profile.or(source.map(|name| ("--source-profile", name)))
    }

    fn assume_from(&self, base: Base) -> Result<RoleChain> {
        let mut roles = self.roles.0.iter().cloned();
        let first = roles.next().map(|role| match &self.mfa {
            Some(serial) => role.mfa(serial, TerminalPrompt::new()),
            None => role,
        });
        let mut chain = match (base, first) {
            (Base::Chain(chain), None) => chain,
            (Base::Chain(chain), Some(role)) => chain.assume(role)?,
            (Base::Config(_), Some(_)) if self.cli_cache => bail!(
                "--cli-cache shares the sessions of a profile's own roles: name a --profile that has a \
                 role_arn, or leave it out"
            ),
            (Base::Config(config), Some(role)) => RoleChain::new(&config, role)?,
            (Base::Config(_), None) => {
                let name = self.profile.as_deref().unwrap_or_default();
                bail!(
                    "--profile {name}: there is no role to assume: the profile has no role_arn. Give a \
                     --role-arn that it is to assume"
                )
            }
        };
        for role in roles {
            chain = chain.assume(role)?;
        }
        Ok(chain)
    }
}

/// The roles given one by one, each with the options that follow it.
#[derive(Clone)]
struct Roles(Vec<Role>);

/// What an option says of the role before it.
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
    /// The options, in the order of the help.
    const OPTIONS: [&str; 6] = [
        "external_id",
        "session_name",
        "duration",
        "tag",
        "transitive_tag",
        "source_identity",
    ];

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

    fn option(name: &'static str) -> Arg {
        type Parse = fn(&str) -> Result<Setting, String>;
        let (value_name, help, parse): (&str, &str, Parse) = match name {
            "external_id" => (
                "ID",
                "External ID that the role's trust policy asks for",
                |value| values::non_empty(value).map(Self::ExternalId),
            ),
            "session_name" => (
                "NAME",
                "Name of the role session, as CloudTrail shows it",
                |value| values::non_empty(value).map(Self::SessionName),
            ),
            "duration" => (
                "SECONDS",
                "How long the session lasts, 900 to 43200; an hour at most from the second role on",
                |value| values::seconds(value).map(Self::Duration),
            ),
            "tag" => ("KEY=VALUE", "Session tag; repeatable", |value| {
                values::key_value(value).map(|(key, value)| Self::Tag(key, value))
            }),
            "transitive_tag" => (
                "KEY=VALUE",
                "Session tag that later roles inherit; repeatable",
                |value| {
                    values::key_value(value).map(|(key, value)| Self::TransitiveTag(key, value))
                },
            ),
            _ => (
                "IDENTITY",
                "Source identity, which later roles inherit",
                |value| values::non_empty(value).map(Self::SourceIdentity),
            ),
        };
        Arg::new(name)
            .long(name.replace('_', "-"))
            .value_name(value_name)
            .help(help)
            .action(ArgAction::Append)
            .value_parser(ValueParser::new(parse))
    }
}

impl Args for Roles {
    fn augment_args(command: Command) -> Command {
        let role_arn = Arg::new("role_arn")
            .long("role-arn")
            .value_name("ARN")
            .help("Role to assume; repeatable, in order. The next six options follow the role they are for")
            .action(ArgAction::Append)
            .value_parser(ValueParser::new(values::non_empty));
        command
            .arg(role_arn)
            .args(Setting::OPTIONS.map(Setting::option))
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
        for option in Setting::OPTIONS {
            let settings = matches.get_many::<Setting>(option).into_iter().flatten();
            let indices = matches.indices_of(option).into_iter().flatten();
            for (setting, index) in settings.zip(indices) {
                let before = starts.partition_point(|start| *start < index);
                let Some(role) = before.checked_sub(1).map(|last| &mut roles[last]) else {
                    let option = option.replace('_', "-");
                    let text = format!("--{option} must follow the --role-arn that it is for");
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
