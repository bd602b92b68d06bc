//! The credentials of a chain for object_store, and so for DataFusion, delta-rs and Lance, which use it.

use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Error, RoleChain};
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};

/// Provides the credentials of a chain. object_store calls it before each request, and the chain returns them from its
/// cache.
#[derive(Debug)]
pub struct RoleChainCredentials(pub RoleChain);

#[async_trait]
impl CredentialProvider for RoleChainCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let provided = self.0.provide_credentials().await;
        let credentials = provided.map_err(|error| object_store::Error::Generic {
            store: "S3",
            // The chain's own error, whose text contains the advice.
            source: match Error::find(&error) {
                Some(error) => error.clone().into(),
                None => error.into(),
            },
        })?;
        Ok(Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        }))
    }
}

/// Creates the store. `s3` contains the other settings, such as region and bucket.
pub fn store(chain: RoleChain, s3: AmazonS3Builder) -> object_store::Result<AmazonS3> {
    s3.with_credentials(Arc::new(RoleChainCredentials(chain)))
        .build()
}
