//! [`ChainIdentityCache`]: the identity cache of clients that use [`sdk_config`](super::RoleChain::sdk_config).

use std::fmt;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::{
    IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityCache,
    SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use super::hop::HopCache;
use crate::session::Session;

/// An identity cache that relies on the chain's cache, because the SDK's own holds 64 providers, and calls a provider
/// again only seconds before expiry.
pub(super) struct ChainIdentityCache {
    chain: HopCache,
    /// The chain as a provider.
    provider: SharedCredentialsProvider,
    /// The cache for other providers, which a client or an operation may set: the configured one, or the SDK's default.
    others: SharedIdentityCache,
}

impl ChainIdentityCache {
    pub(super) fn new(
        chain: HopCache,
        provider: SharedCredentialsProvider,
        configured: Option<SharedIdentityCache>,
    ) -> Self {
        Self {
            chain,
            provider,
            others: configured.unwrap_or_else(|| IdentityCache::lazy().build()),
        }
    }
}

impl ResolveCachedIdentity for ChainIdentityCache {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        runtime_components: &'a RuntimeComponents,
        config_bag: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        // By its partition the SDK tells a provider apart.
        if Some(resolver.cache_partition()) != self.provider.cache_partition() {
            return self
                .others
                .resolve_cached_identity(resolver, runtime_components, config_bag);
        }
        if let Some(Ok(identity)) = self.chain.lookup(Session::identity) {
            return IdentityFuture::ready(Ok(identity));
        }
        let credentials = self.provider.provide_credentials();
        IdentityFuture::new(async { Ok(credentials.await?.into()) })
    }

    fn validate_base_client_config(
        &self,
        runtime_components: &RuntimeComponentsBuilder,
        config_bag: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.others
            .validate_base_client_config(runtime_components, config_bag)
    }

    fn validate_final_config(
        &self,
        runtime_components: &RuntimeComponents,
        config_bag: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.others
            .validate_final_config(runtime_components, config_bag)
    }
}

impl fmt::Debug for ChainIdentityCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainIdentityCache").finish_non_exhaustive()
    }
}
