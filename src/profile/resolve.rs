//! Resolves a profile: profiles in; base provider, MFA device and roles out. Pure.

use std::time::Duration;

use aws_config::profile::{Profile, ProfileSet};
use aws_credential_types::Credentials;

use crate::error::Violation;
use crate::request::Role;
use crate::request::limits::CHAINED_LIMIT;

/// The keys of the credentials that aws-config can load from a profile.
const CREDENTIALS_OF_A_PROFILE: &[&str] = &[
    "credential_process",
    "login_session",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
];

/// The chain that a profile describes.
pub(super) struct Resolved<'a> {
    pub(super) base: BaseProvider<'a>,
    pub(super) device: Option<Device<'a>>,
    /// The profiles of the roles, in the order in which they are assumed; at least one.
    pub(super) roles: Vec<&'a Profile>,
}

pub(super) enum BaseProvider<'a> {
    Keys(Credentials),
    Profile(&'a Profile),
    CredentialSource(CredentialSource, &'a Profile),
    WebIdentity { token_file: &'a str },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CredentialSource {
    Environment,
    Ec2InstanceMetadata,
    EcsContainer,
}

/// The MFA device of a chain; there is at most one.
pub(super) struct Device<'a> {
    pub(super) profile: &'a str,
    pub(super) serial: &'a str,
    /// Whether only the first role needs MFA. Otherwise the chain starts with a session token that proves it to all
    /// roles.
    pub(super) first_role_only: bool,
}

/// Resolves a profile. `files` names the files for the error if the profile does not exist.
pub(super) fn resolve<'a>(
    profiles: &'a ProfileSet,
    name: &'a str,
    files: &str,
) -> Result<Resolved<'a>, Violation> {
    let mut visited: Vec<&str> = Vec::new();
    let mut roles = Vec::new();
    let mut next = name;
    let base = loop {
        let profile = profiles
            .get_profile(next)
            .ok_or_else(|| match visited.last() {
                None => {
                    let rule = format!("the profile does not exist in {files}");
                    violation(next, "profile", rule)
                }
                Some(from) => {
                    let rule =
                        format!("names the profile `{next}`, which does not exist in {files}");
                    violation(from, "source_profile", rule)
                }
            })?;
        if visited.contains(&next) {
            let from = visited.last().copied().unwrap_or(next);
            let round = [&visited[..], &[next]].concat().join(" → ");
            let rule = format!("is circular: {round}");
            return Err(violation(from, "source_profile", rule));
        }
        visited.push(next);
        let is_source = visited.len() > 1;
        if is_source && let Some(keys) = static_keys(profile)? {
            break BaseProvider::Keys(keys);
        }
        let role_arn = profile.get("role_arn");
        let named_source = profile
            .get("credential_source")
            .map(|source| credential_source(profile, source))
            .transpose()?;
        match (role_arn, profile.get("web_identity_token_file")) {
            (Some(_), Some(token_file)) => {
                roles.push(profile);
                break BaseProvider::WebIdentity { token_file };
            }
            (None, Some(_)) => {
                let rule =
                    "is missing: the profile has a web_identity_token_file, but no role for it";
                return Err(violation(next, "role_arn", rule));
            }
            (None, None) if is_source => match named_source {
                Some(source) => break BaseProvider::CredentialSource(source, profile),
                None if has_any(profile, CREDENTIALS_OF_A_PROFILE) => {
                    break BaseProvider::Profile(profile);
                }
                None => {
                    let rule = "is missing, as is every other setting that gives a source profile \
                                credentials: credential_process, sso_session, login_session, \
                                role_arn";
                    return Err(violation(next, "aws_access_key_id", rule));
                }
            },
            (None, None) => {
                let rule = "is missing: there is no role to assume. For the profile's own credentials, \
                            use aws_config::defaults(..).profile_name(..)";
                return Err(violation(next, "role_arn", rule));
            }
            (Some(_), None) => roles.push(profile),
        }
        match (profile.get("source_profile"), named_source) {
            (Some(_), Some(_)) => {
                let rule = "cannot be combined with source_profile: only one of them can give the \
                            credentials that assume the role";
                return Err(violation(next, "credential_source", rule));
            }
            (None, None) => {
                let rule = "is missing, as is credential_source: one of them must give the \
                            credentials that assume the role";
                return Err(violation(next, "source_profile", rule));
            }
            (None, Some(source)) => break BaseProvider::CredentialSource(source, profile),
            (Some(source), None) if source == next => {
                break BaseProvider::Keys(static_keys(profile)?.ok_or_else(|| {
                    let rule = "names its own profile, which then must contain aws_access_key_id \
                                and aws_secret_access_key";
                    violation(next, "source_profile", rule)
                })?);
            }
            (Some(source), None) => next = source,
        }
    };
    roles.reverse();
    let device = device(&base, &roles)?;
    Ok(Resolved {
        base,
        device,
        roles,
    })
}

fn static_keys(profile: &Profile) -> Result<Option<Credentials>, Violation> {
    let get = |key| profile.get(key).filter(|value| !value.is_empty());
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    const TOKEN: &str = "aws_session_token";
    let missing = |key, other: &str| {
        let rule = format!("is missing, but {other} is set");
        Err(violation(profile.name(), key, rule))
    };
    match (get(ID), get(SECRET), get(TOKEN)) {
        // A session token without keys is ignored.
        (None, None, _) => Ok(None),
        (None, Some(_), _) => missing(ID, SECRET),
        (Some(_), None, _) => missing(SECRET, ID),
        (Some(id), Some(secret), token) => {
            let mut keys = Credentials::builder()
                .access_key_id(id)
                .secret_access_key(secret)
                .provider_name("profile");
            keys.set_session_token(token.map(str::to_owned));
            Ok(Some(keys.build()))
        }
    }
}

fn credential_source(profile: &Profile, source: &str) -> Result<CredentialSource, Violation> {
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
            "must be Environment, Ec2InstanceMetadata or EcsContainer, but the value is {source:?}"
        );
        violation(profile.name(), "credential_source", rule)
    })
}

/// Returns the device of the user whose keys start the chain, if a role needs one. From the second role on, only a
/// session token can prove MFA.
fn device<'a>(
    base: &BaseProvider<'_>,
    roles: &[&'a Profile],
) -> Result<Option<Device<'a>>, Violation> {
    let serial = |profile: &&'a Profile| Some((profile.name(), profile.get("mfa_serial")?));
    let roles = match base {
        // Like the CLI, ignores the device of a role with a token.
        BaseProvider::WebIdentity { .. } => &roles[1..],
        _ => roles,
    };
    let mut named = roles.iter().filter_map(serial);
    let Some((profile, device)) = named.next() else {
        return Ok(None);
    };
    if let Some((other, _)) = named.find(|(_, serial)| *serial != device) {
        let rule = format!(
            "differs from that of the profile `{profile}`: a chain has one user, whose device \
             proves MFA for all its roles"
        );
        return Err(violation(other, "mfa_serial", rule));
    }
    let whose = match base {
        BaseProvider::WebIdentity { .. } => Some("a web identity"),
        BaseProvider::CredentialSource(CredentialSource::Ec2InstanceMetadata, _) => {
            Some("an instance's role")
        }
        BaseProvider::CredentialSource(CredentialSource::EcsContainer, _) => {
            Some("a container's role")
        }
        _ => None,
    };
    if let Some(whose) = whose {
        let rule = format!("is an IAM user's device, but this chain starts with {whose}");
        return Err(violation(profile, "mfa_serial", rule));
    }
    let first_role_only = roles[1..].iter().filter_map(serial).next().is_none();
    if !first_role_only {
        let longest = CHAINED_LIMIT.as_secs();
        let is_long = |profile: &&&Profile| {
            let seconds = profile.get("duration_seconds");
            let seconds = seconds.and_then(|seconds| seconds.parse::<u64>().ok());
            seconds.is_some_and(|seconds| seconds > longest)
        };
        if let Some(long) = roles.iter().find(is_long) {
            let rule = format!(
                "must be at most {longest}: a later role also has an mfa_serial, so the chain \
                 starts with a session token, and the sessions of roles assumed with it last at \
                 most one hour"
            );
            return Err(violation(long.name(), "duration_seconds", rule));
        }
    }
    Ok(Some(Device {
        profile,
        serial: device,
        first_role_only,
    }))
}

/// Reads all settings except the external ID, which the CLI too ignores for a role with a token.
pub(super) fn role(profile: &Profile) -> Result<Role, Violation> {
    let mut role = Role::new(profile.get("role_arn").unwrap_or_default());
    if let Some(name) = profile.get("role_session_name") {
        role = role.session_name(name);
    }
    if let Some(seconds) = profile.get("duration_seconds") {
        let seconds = seconds.parse().map_err(|_| {
            let rule = format!("must be 900 to 43200 whole seconds, but the value is {seconds:?}");
            violation(profile.name(), "duration_seconds", rule)
        })?;
        role = role.duration(Duration::from_secs(seconds));
    }
    if let Some(identity) = profile.get("source_identity") {
        role = role.source_identity(identity);
    }
    with_tags(role, profile)
}

fn with_tags(mut role: Role, profile: &Profile) -> Result<Role, Violation> {
    let listed = |key| {
        let list = profile.get(key).unwrap_or_default().split(',');
        list.map(str::trim).filter(|item| !item.is_empty())
    };
    let mut transitive: Vec<&str> = listed("transitive_session_tags").collect();
    for tag in listed("session_tags") {
        let (key, value) = tag.split_once('=').ok_or_else(|| {
            let rule =
                format!("must be a list such as team=payments,cost=42, but {tag:?} has no =");
            violation(profile.name(), "session_tags", rule)
        })?;
        let (key, value) = (key.trim(), value.trim());
        let tags = transitive.len();
        transitive.retain(|transitive| *transitive != key);
        role = if transitive.len() == tags {
            role.tag(key, value)
        } else {
            role.transitive_tag(key, value)
        };
    }
    match transitive.first() {
        None => Ok(role),
        Some(key) => {
            let rule = format!("names {key:?}, which is not one of the session_tags");
            Err(violation(profile.name(), "transitive_session_tags", rule))
        }
    }
}

/// Returns whether the profile has one of these keys.
pub(super) fn has_any(profile: &Profile, keys: &[&str]) -> bool {
    keys.iter().any(|key| profile.get(key).is_some())
}

pub(super) fn violation(profile: &str, key: &'static str, rule: impl Into<String>) -> Violation {
    Violation::new(key, rule, None).in_profile(profile)
}

#[cfg(test)]
mod tests {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
    use aws_types::os_shim_internal::{Env, Fs};
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
            serde_json::from_str(include_str!("../../tests/profiles.json")).unwrap();
        for case in cases {
            let text = |key: &str| case[key].as_str();
            let config = text("config").unwrap();
            let profiles = profiles(config, text("credentials").unwrap_or_default()).await;
            let it = text("it").unwrap();
            match resolve(&profiles, text("profile").unwrap_or("app"), "file or file") {
                Ok(resolved) => {
                    assert_eq!(case.get("error"), None, "{it}");
                    let roles: Vec<_> = resolved.roles.iter().map(|role| role.name()).collect();
                    assert_eq!(Value::from(roles), case["roles"], "{it}");
                    assert_eq!(text("start"), Some(&*start(&resolved.base)), "{it}");
                    let device = resolved.device.map(|device| {
                        let roles = if device.first_role_only {
                            "the first role"
                        } else {
                            "all"
                        };
                        format!("{} for {roles}", device.serial)
                    });
                    assert_eq!(text("device"), device.as_deref(), "{it}");
                }
                Err(violation) => {
                    let expected = |at: usize| case["error"][at].as_str();
                    assert_eq!(
                        expected(0),
                        violation.profile.as_deref(),
                        "{it}: {violation:?}"
                    );
                    assert_eq!(expected(1), Some(violation.field), "{it}: {violation:?}");
                    let says = expected(2).unwrap();
                    assert!(violation.rule.contains(says), "{it}: {violation:?}");
                }
            }
        }
    }

    fn start(start: &BaseProvider<'_>) -> String {
        match start {
            BaseProvider::Keys(keys) => {
                let token = keys.session_token().map_or("", |_| " with token");
                format!("keys {}{token}", keys.access_key_id())
            }
            BaseProvider::Profile(profile) => format!("profile {}", profile.name()),
            BaseProvider::CredentialSource(source, _) => format!("{source:?}"),
            BaseProvider::WebIdentity { token_file } => format!("web identity {token_file}"),
        }
    }
}
