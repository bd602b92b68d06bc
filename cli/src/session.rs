//! A session of a chain: its credentials, fetched now, for as long as a person takes to give an MFA code.

use anyhow::{Result, anyhow};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::RoleChain;

/// The credentials of the chain's last role.
pub async fn credentials(chain: &RoleChain) -> Result<Credentials> {
    let provided = chain.provide_credentials().await;
    // What the SDK wraps the chain's error in says nothing more.
    provided.map_err(|error| match aws_role_chain::Error::find(&error) {
        Some(error) => anyhow!(error.clone()),
        None => error.into(),
    })
}
