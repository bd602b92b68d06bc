//! The credentials of a chain, for the commands that print or use them.

use anyhow::{Result, anyhow};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::RoleChain;

/// Assumes the roles of the chain and returns the credentials of the last one.
pub async fn credentials(chain: &RoleChain) -> Result<Credentials> {
    let provided = chain.provide_credentials().await;
    // The SDK's error around the chain's error adds no information.
    provided.map_err(|error| match aws_role_chain::Error::find(&error) {
        Some(error) => anyhow!(error.clone()),
        None => error.into(),
    })
}
