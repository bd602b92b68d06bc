//! A session of a chain: its credentials, fetched now, for as long as a person takes to give an MFA code.

use anyhow::{Context, Result, anyhow};
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

/// As [`credentials`], for a command that reads no profile unless it is named.
pub async fn credentials_without_default_profile(
    chain: &RoleChain,
    has_profile: bool,
) -> Result<Credentials> {
    credentials(chain).await.or_else(|error| {
        let is_source =
            aws_role_chain::Error::find(error.as_ref()).is_some_and(|error| error.is_source());
        match is_source && !has_profile {
            true => Err(error).context(
                "credential-process reads no profile that is not named; name one with --profile",
            ),
            false => Err(error),
        }
    })
}
