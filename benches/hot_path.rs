//! What one cached retrieval costs, in time and allocations: `cargo bench --bench hot_path`.
//!
//! All through `dyn ProvideCredentials` and a future that is ready at its first poll, but for the SDK's
//! identity cache, which is asked as the SDK asks it.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::identity::{
    ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use common::{StandIn, ours, sdks};
use divan::{AllocProfiler, Bencher};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static STS: LazyLock<StandIn> = LazyLock::new(|| StandIn::start(Duration::ZERO));

/// An atomic load, a look at the clock, a clone: nothing that caches can do with less.
#[derive(Debug)]
struct Floor {
    current: ArcSwap<Credentials>,
    expiry: SystemTime,
}

impl ProvideCredentials for Floor {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let current = self.current.load();
        assert!(SystemTime::now() < self.expiry);
        future::ProvideCredentials::ready(Ok(Credentials::clone(&current)))
    }
}

static FLOOR: LazyLock<Arc<dyn ProvideCredentials>> = LazyLock::new(|| {
    let expiry = SystemTime::now() + Duration::from_secs(3600);
    let token = Some("t".repeat(640));
    let credentials = Credentials::new("ASIABENCH", "secret", token, Some(expiry), "floor");
    Arc::new(Floor {
        current: ArcSwap::from_pointee(credentials),
        expiry,
    })
});

static OURS: LazyLock<Arc<dyn ProvideCredentials>> = LazyLock::new(|| {
    let chain = ours(&STS.config(), 2);
    RUNTIME
        .block_on(chain.provide_credentials())
        .expect("a session");
    Arc::new(chain)
});

fn ask(provider: &dyn ProvideCredentials) -> Credentials {
    now(provider.provide_credentials()).expect("credentials")
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a cached retrieval waits for nothing"),
    }
}

#[divan::bench(threads = [1, 2], sample_size = 10_000)]
fn floor(bencher: Bencher) {
    let provider = &**FLOOR;
    bencher.bench(|| ask(provider));
}

#[divan::bench(threads = [1, 2], sample_size = 10_000)]
fn role_chain(bencher: Bencher) {
    let provider = &**OURS;
    let _runtime = RUNTIME.enter();
    bencher.bench(|| ask(provider));
}

/// aws-config's provider behind the SDK's identity cache.
struct SdkCache {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    bag: ConfigBag,
}

static SDK: LazyLock<SdkCache> = LazyLock::new(|| {
    let config = STS.config();
    let provider = RUNTIME.block_on(sdks(&config, 2));
    let components = RuntimeComponentsBuilder::for_tests()
        .with_time_source(config.time_source())
        .with_sleep_impl(config.sleep_impl())
        .build()
        .expect("components");
    let sdk = SdkCache {
        cache: aws_sdk_sts::config::IdentityCache::lazy().build(),
        resolver: SharedIdentityResolver::new(SharedCredentialsProvider::new(provider)),
        components,
        bag: ConfigBag::base(),
    };
    RUNTIME.block_on(sdk.resolve()).expect("a session");
    sdk
});

impl SdkCache {
    async fn resolve(
        &self,
    ) -> Result<impl Sized + use<>, aws_smithy_runtime_api::box_error::BoxError> {
        let (resolver, components) = (self.resolver.clone(), &self.components);
        self.cache
            .resolve_cached_identity(resolver, components, &self.bag)
            .await
    }
}

// On one thread: the cache makes a timeout, which needs a runtime, and that is entered for this one.
#[divan::bench(sample_size = 10_000)]
fn sdk_identity_cache(bencher: Bencher) {
    let sdk = &*SDK;
    let _runtime = RUNTIME.enter();
    bencher.bench(|| now(sdk.resolve()).expect("an identity"));
}
