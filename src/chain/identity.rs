//! [`ChainIdentityCache`]: the identity cache of clients that use [`sdk_config`](super::RoleChain::sdk_config).

use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityCachePartition, IdentityFuture, ResolveCachedIdentity, SharedIdentityCache,
    SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use super::hop::HopCache;
use crate::cache::{Lookup, Requester};
use crate::error::Error;
use crate::session::Session;

/// An identity cache that relies on the chain's cache, because the SDK's own holds 64 providers, and calls a provider
/// again only seconds before expiry.
pub(super) struct ChainIdentityCache {
    chain: HopCache,
    /// The partition of the chain as a provider.
    partition: IdentityCachePartition,
    /// The cache for other providers, which a client or an operation may set: the configured one, or the SDK's default.
    others: SharedIdentityCache,
}

impl ChainIdentityCache {
    pub(super) fn new(
        chain: HopCache,
        partition: IdentityCachePartition,
        configured: Option<SharedIdentityCache>,
    ) -> Self {
        Self {
            chain,
            partition,
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
        if resolver.cache_partition() != self.partition {
            return self
                .others
                .resolve_cached_identity(resolver, runtime_components, config_bag);
        }
        let into_box_error = |error: Error| -> BoxError {
            let error = error.with_chain_len(self.chain.loader().number);
            CredentialsError::from(error).into()
        };
        match self.chain.lookup(Session::identity) {
            Lookup::Ready(result) => IdentityFuture::ready(result.map_err(into_box_error)),
            Lookup::Miss => IdentityFuture::new(async move {
                let loaded = self.chain.get_or_load(Requester::Caller).await;
                loaded.map(Identity::from).map_err(into_box_error)
            }),
        }
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
