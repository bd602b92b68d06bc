//! Measures the time and the allocations of retrieving cached credentials.
//!
//! ```sh
//! cargo bench --all-features --bench hot_path              # everything
//! cargo bench --all-features --bench hot_path -- identity  # only divan's benches of this name
//! ```
//!
//! - `one_thread`: one retrieval of credentials, through `dyn ProvideCredentials` and a future that is ready at
//!   its first poll. Providers behind the SDK's identity cache are called as the SDK calls that cache, and
//!   reqsign signs a request.
//! - `identity`: how an SDK client gets its identity in each request: `ResolveCachedIdentity` with the runtime
//!   components of a real client, whose provider is a chain.
//! - `whole_call`: GetCallerIdentity with such a client, whose HTTP client responds at once, in the process.
//!
//! divan prints times and allocations. The tables at the end measure all providers in alternating rounds, so that the
//! ratios are valid even on a machine that is not idle.

mod common;

use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_role_chain::RoleChain;
use aws_sdk_sts::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, IdentityCache, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId};
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityFuture, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_types::SdkConfig;
use common::{
    CachedAssumeRole, CachedProfile, Chain, FakeSts, InProcessHttp, Provider, ReqsignSigner,
    StsSettings, format_duration, table,
};
use divan::{AllocProfiler, Bencher};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// The number of rounds in which each provider is measured.
const ROUNDS: usize = 200;
/// The number of retrievals of credentials or identities in a round, and of whole calls.
const RETRIEVALS: u32 = 16_000;
const WHOLE_CALLS: u32 = 320;
const TASKS: u32 = 64;

fn main() {
    let args = std::env::args().collect::<Vec<_>>();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // `benches/profile.sh` runs these under callgrind.
        [_, "profile", "floor"] => return profile::<Floor>(),
        [_, "profile", "chain"] => return profile::<Chain>(),
        _ => divan::main(),
    }
    // `cargo test --benches` passes no `--bench`, and only checks that the providers work.
    if args.iter().any(|arg| arg == "--bench") {
        print_tables();
    }
}

fn profile<P: Provider>() {
    let provider = warmed_up::<P>();
    let _runtime = RUNTIME.enter();
    (0..100_000).for_each(|_| profiled(&*provider));
}

/// The function whose instructions callgrind counts.
#[inline(never)]
fn profiled(provider: &impl Provider) {
    retrieve_ready(provider);
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// Creates a provider that has retrieved credentials once.
fn warmed_up<P: Provider>() -> Arc<P> {
    RUNTIME.block_on(async {
        let sts = FakeSts::start(StsSettings {
            latency: Duration::ZERO,
            ..StsSettings::default()
        });
        let provider = P::new(&sts.config(), 2).await;
        provider.retrieve().await.expect("a session");
        Arc::new(provider)
    })
}

/// The least that a cache must do: an atomic load, a clock read and a clone.
struct Floor(Arc<dyn ProvideCredentials>);

#[derive(Debug)]
struct CredentialsFloor {
    credentials: ArcSwap<Credentials>,
    expiry: SystemTime,
}

impl ProvideCredentials for CredentialsFloor {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let credentials = self.credentials.load();
        assert!(SystemTime::now() < self.expiry);
        future::ProvideCredentials::ready(Ok(Credentials::clone(&credentials)))
    }
}

impl Provider for Floor {
    const NAME: &'static str = "floor";

    async fn new(_: &SdkConfig, _: usize) -> Self {
        let expiry = SystemTime::now() + Duration::from_secs(3600);
        let token = Some("t".repeat(640));
        let credentials = Credentials::new("ASIABENCH", "secret", token, Some(expiry), "floor");
        Self(Arc::new(CredentialsFloor {
            credentials: ArcSwap::from_pointee(credentials),
            expiry,
        }))
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        Ok(self.0.provide_credentials().await.map(drop)?)
    }
}

/// The identity cache of a client whose provider is a chain.
trait ClientIdentityCache: Send + Sync + 'static {
    const NAME: &'static str;

    /// Returns the chain's config, with this identity cache.
    fn config(chain: &RoleChain) -> SdkConfig;
}

/// `chain.sdk_config()` as it is.
struct ChainConfig;

impl ClientIdentityCache for ChainConfig {
    const NAME: &'static str = "chain.sdk_config()";

    fn config(chain: &RoleChain) -> SdkConfig {
        chain.sdk_config()
    }
}

/// The SDK's own identity cache.
struct LazyCache;

impl ClientIdentityCache for LazyCache {
    const NAME: &'static str = "chain, SDK cache";

    fn config(chain: &RoleChain) -> SdkConfig {
        let cache = IdentityCache::lazy().build();
        let config = chain.sdk_config().into_builder();
        config.identity_cache(cache).build()
    }
}

/// The least that an identity cache must do: an atomic load of the converted identity, a clock read and a clone.
#[derive(Debug, Default)]
struct IdentityFloor(Arc<ArcSwap<Option<Identity>>>);

impl ClientIdentityCache for IdentityFloor {
    const NAME: &'static str = "floor";

    fn config(chain: &RoleChain) -> SdkConfig {
        let config = chain.sdk_config().into_builder();
        config.identity_cache(Self::default()).build()
    }
}

impl ResolveCachedIdentity for IdentityFloor {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        bag: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        if let Some(identity) = &**self.0.load()
            && identity
                .expiration()
                .is_some_and(|expiry| SystemTime::now() < expiry)
        {
            return IdentityFuture::ready(Ok(identity.clone()));
        }
        IdentityFuture::new(async move {
            let no_cache = IdentityCache::no_cache();
            let loaded = no_cache.resolve_cached_identity(resolver, components, bag);
            let identity = loaded.await?;
            self.0.store(Arc::new(Some(identity.clone())));
            Ok(identity)
        })
    }
}

/// GetCallerIdentity, with an immediate response from within the process.
struct WholeCall<C> {
    client: aws_sdk_sts::Client,
    captured: CaptureComponents,
    cache: PhantomData<C>,
}

impl<C: ClientIdentityCache> Provider for WholeCall<C> {
    const NAME: &'static str = C::NAME;

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let chain = Chain::of(config, hops);
        // Only the chain calls the fake STS.
        chain.refresh().await.expect("a session");
        let response = async || {
            let document = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn</Arn>\
                            </GetCallerIdentityResult></GetCallerIdentityResponse>";
            (200, document.to_owned())
        };
        let captured = CaptureComponents::default();
        let config = aws_sdk_sts::config::Builder::from(&C::config(&chain))
            .http_client(InProcessHttp::new(response))
            .interceptor(captured.clone())
            .build();
        Self {
            client: aws_sdk_sts::Client::from_conf(config),
            captured,
            cache: PhantomData,
        }
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        Ok(self.client.get_caller_identity().send().await.map(drop)?)
    }
}

/// The identity cache of a client alone, called as the SDK's orchestrator calls it in every request.
struct IdentityResolution<C> {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    bag: ConfigBag,
    variant: PhantomData<C>,
}

impl<C: ClientIdentityCache> Provider for IdentityResolution<C> {
    const NAME: &'static str = C::NAME;

    async fn new(config: &SdkConfig, hops: usize) -> Self {
        let call = WholeCall::<C>::new(config, hops).await;
        call.retrieve().await.expect("an identity");
        let components = call.captured.0.lock().expect("no panics").take();
        let components = components.expect("the call captured them");
        let scheme = components.auth_scheme(AuthSchemeId::from("sigv4"));
        let scheme = scheme.expect("STS uses SigV4");
        Self {
            cache: components.identity_cache(),
            resolver: scheme
                .identity_resolver(&components)
                .expect("the chain is the provider"),
            components,
            bag: ConfigBag::base(),
            variant: PhantomData,
        }
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        let (resolver, components) = (self.resolver.clone(), &self.components);
        self.cache
            .resolve_cached_identity(resolver, components, &self.bag)
            .await
            .map(drop)
    }
}

/// Stores the runtime components of the first call.
#[derive(Clone, Debug, Default)]
struct CaptureComponents(Arc<Mutex<Option<RuntimeComponents>>>);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for CaptureComponents {
    fn name(&self) -> &'static str {
        "CaptureComponents"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut captured = self.0.lock().expect("no panics");
        captured.get_or_insert_with(|| components.clone());
        Ok(())
    }
}

/// Retrieves credentials with one poll.
fn retrieve_ready(provider: &impl Provider) {
    match pin!(provider.retrieve()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.expect("credentials"),
        Poll::Pending => panic!("a cached retrieval must not wait"),
    }
}

#[divan::bench(types = [Floor, Chain, CachedAssumeRole, CachedProfile, ReqsignSigner], sample_size = 1000)]
fn one_thread<P: Provider>(bencher: Bencher) {
    bench::<P>(bencher);
}

#[divan::bench(types = [IdentityFloor, ChainConfig, LazyCache], sample_size = 1000)]
fn identity<C: ClientIdentityCache>(bencher: Bencher) {
    bench::<IdentityResolution<C>>(bencher);
}

#[divan::bench(types = [IdentityFloor, ChainConfig, LazyCache], sample_size = 100)]
fn whole_call<C: ClientIdentityCache>(bencher: Bencher) {
    bench::<WholeCall<C>>(bencher);
}

fn bench<P: Provider>(bencher: Bencher) {
    let provider = warmed_up::<P>();
    // The SDK's cache creates a timeout, which needs a runtime.
    let _runtime = RUNTIME.enter();
    bencher.bench_local(|| retrieve_ready(&*provider));
}

/// Runs one round of a provider, and returns the wall time per call: in one task, and in 64 tasks on two threads.
type Round = Box<dyn FnMut() -> [Duration; 2]>;

fn round<P: Provider>(calls: u32) -> (&'static str, Round) {
    let provider = warmed_up::<P>();
    let run = move || {
        let one_task = {
            let _runtime = RUNTIME.enter();
            let started = Instant::now();
            (0..calls).for_each(|_| retrieve_ready(&*provider));
            started.elapsed() / calls
        };
        let started = Instant::now();
        RUNTIME.block_on(async {
            let tasks = (0..TASKS).map(|_| {
                let provider = provider.clone();
                RUNTIME.spawn(async move {
                    for _ in 0..calls / TASKS {
                        provider.retrieve().await.expect("credentials");
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.expect("no panics");
            }
        });
        [one_task, started.elapsed() / calls]
    };
    (P::NAME, Box::new(run))
}

fn print_tables() {
    print_table(
        "one retrieval",
        [
            round::<Floor>(RETRIEVALS),
            round::<Chain>(RETRIEVALS),
            round::<CachedAssumeRole>(RETRIEVALS),
            round::<CachedProfile>(RETRIEVALS),
            round::<ReqsignSigner>(RETRIEVALS),
        ],
    );
    print_table(
        "identity of one request",
        [
            round::<IdentityResolution<IdentityFloor>>(RETRIEVALS),
            round::<IdentityResolution<ChainConfig>>(RETRIEVALS),
            round::<IdentityResolution<LazyCache>>(RETRIEVALS),
        ],
    );
    print_table(
        "whole call",
        [
            round::<WholeCall<IdentityFloor>>(WHOLE_CALLS),
            round::<WholeCall<ChainConfig>>(WHOLE_CALLS),
            round::<WholeCall<LazyCache>>(WHOLE_CALLS),
        ],
    );
}

/// Runs the rounds of all providers in turn, and compares their times with the first provider's.
fn print_table<const N: usize>(what: &str, mut providers: [(&'static str, Round); N]) {
    let mut times = providers.each_ref().map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for ((_, run), [one_task, two_threads]) in providers.iter_mut().zip(&mut times) {
            let round = run();
            one_task.push(round[0]);
            two_threads.push(round[1]);
        }
    }
    // The lower quartile leaves out rounds that other processes disturbed.
    let quartiles = times.map(|times| {
        times.map(|mut times| {
            times.sort_unstable();
            times[ROUNDS / 4]
        })
    });
    let mut table = table([
        what,
        "1 task",
        "× the floor",
        "64 tasks, 2 threads",
        "× the floor",
        "× 1 task",
    ]);
    let floor = quartiles[0];
    let ratio = |a: Duration, b: Duration| format!("{:.2}", a.as_secs_f64() / b.as_secs_f64());
    for ((name, _), [one_task, two_threads]) in providers.iter().zip(quartiles) {
        table.add_row([
            (*name).to_owned(),
            format_duration(one_task),
            ratio(one_task, floor[0]),
            format_duration(two_threads),
            ratio(two_threads, floor[1]),
            ratio(two_threads, one_task),
        ]);
    }
    println!("\n{table}");
}
