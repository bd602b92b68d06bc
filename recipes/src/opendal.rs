//! The credentials of a chain for OpenDAL and reqsign.

use std::time::UNIX_EPOCH;

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::RoleChain;
use opendal::Operator;
use opendal::services::S3;
use reqsign_aws_v4::Credential;
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, ProvideCredential, ProvideCredentialChain};

/// Provides the credentials of a chain.
#[derive(Debug)]
pub struct RoleChainCredentials(pub RoleChain);

impl ProvideCredential for RoleChainCredentials {
    type Credential = Credential;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credential>> {
        let provided = self.0.provide_credentials().await;
        let credentials = provided.map_err(|error| {
            reqsign_core::Error::credential_invalid("no credentials").with_source(error)
        })?;
        // reqsign caches the credentials until two minutes before this time, and for ever if it is `None`.
        let expires_in = match credentials.expiry() {
            Some(expiry) => {
                let since_epoch = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(Timestamp::from_second(since_epoch.as_secs() as i64)?)
            }
            None => None,
        };
        Ok(Some(Credential {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().map(str::to_owned),
            expires_in,
        }))
    }
}

/// Creates the operator. `s3` contains the other settings, such as region and bucket.
pub fn operator(chain: RoleChain, s3: S3) -> opendal::Result<Operator> {
    let credentials = ProvideCredentialChain::new().push(RoleChainCredentials(chain));
    Operator::new(s3.credential_provider_chain(credentials))
}
