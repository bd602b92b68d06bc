//! The simulator's own JSON format: users, roles and identity providers, with keys that a test knows in advance.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::outcome::{Import, ImportError};
use super::text::PolicyText;
use crate::arn;
use crate::simulator::Simulator;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Setup {
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    oidc_providers: Vec<OidcProvider>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct User {
    arn: String,
    #[serde(default)]
    policies: Vec<PolicyText>,
    access_key: Option<AccessKey>,
    mfa_device: Option<MfaDevice>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccessKey {
    id: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MfaDevice {
    serial: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Role {
    arn: String,
    trust: Option<PolicyText>,
    #[serde(default)]
    policies: Vec<PolicyText>,
    max_session_duration: Option<u64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OidcProvider {
    arn: String,
    client_ids: Vec<String>,
    keys: String,
}

impl Setup {
    /// Creates the users first, because trust policies may name them, and the roles in the order of the file.
    pub(super) fn apply(
        self,
        file: &Path,
        simulator: &Simulator,
        import: &mut Import,
    ) -> Result<(), ImportError> {
        let failed = |error| ImportError::new(file, error);
        for user in self.users {
            import
                .accounts
                .insert(arn::account_of(&user.arn).to_owned());
            let mut builder = simulator.user(user.arn);
            for policy in &user.policies {
                builder = builder.policy(policy.json());
            }
            for (key, value) in user.tags {
                builder = builder.tag(key, value);
            }
            if let Some(device) = user.mfa_device {
                builder = builder.mfa_device(device.serial, device.secret);
            }
            if let Some(key) = user.access_key {
                builder = builder.access_key(key.id, key.secret);
            }
            builder.create().map_err(failed)?;
        }
        for role in self.roles {
            import
                .accounts
                .insert(arn::account_of(&role.arn).to_owned());
            let mut builder = simulator.role(role.arn);
            if let Some(trust) = &role.trust {
                builder = builder.trust(trust.json());
            }
            for policy in &role.policies {
                builder = builder.policy(policy.json());
            }
            for (key, value) in role.tags {
                builder = builder.tag(key, value);
            }
            if let Some(seconds) = role.max_session_duration {
                if !(3600..=43_200).contains(&seconds) {
                    let rule = "maxSessionDuration must be a number of seconds from 3600 to 43200";
                    return Err(ImportError::new(file, rule));
                }
                builder = builder.max_session_duration(Duration::from_secs(seconds));
            }
            builder.create().map_err(failed)?;
        }
        for provider in self.oidc_providers {
            let ids: Vec<&str> = provider.client_ids.iter().map(String::as_str).collect();
            simulator
                .oidc_provider(provider.arn, &ids, &provider.keys)
                .map_err(failed)?;
        }
        Ok(())
    }
}
