//! Source providers that panic, hang, or count their calls.

use std::future::Ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use aws_role_chain::{Error, MfaRequest, SamlAssertion, SessionTokenRequest, WebIdentityToken};

use tracing_subscriber::filter::LevelFilter;

use super::*;
use crate::common::log::Log;

#[derive(Debug)]
struct Source {
    keys: Credentials,
    calls: Arc<AtomicUsize>,
    panics: usize,
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::new(async move {
            assert!(calls >= self.panics, "the provider's own bug");
            Ok::<_, CredentialsError>(self.keys.clone())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_source_provider_is_an_error_for_its_waiters() {
    let (aws, base) = aws();
    let calls = Arc::new(AtomicUsize::new(0));
    let source = Source {
        keys: user(&aws),
        calls: calls.clone(),
        panics: 1,
    };
    let tenant = two_hops(&with_source(&base, source));

    let (first, second) = tokio::join!(tenant.refresh(), tenant.provide_credentials());
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert!(first.to_string().contains("panicked"), "{first}");
    assert!(
        matches!(second, CredentialsError::Unhandled(_)),
        "{second:?}"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1);

    aws.clock().advance(Duration::from_secs(1)).await;
    tenant.provide_credentials().await.unwrap();
    assert_eq!(
        calls.load(Ordering::Relaxed),
        2,
        "the next call tries again"
    );
}

#[derive(Debug)]
struct PanicsAtOnce;

impl ProvideCredentials for PanicsAtOnce {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        panic!("the provider's own bug")
    }
}

/// Panics before it returns a future.
fn panics_at_once<T>(_: T) -> Ready<Result<String, String>> {
    panic!("the provider's own bug")
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_before_it_returns_a_future_is_an_error_too() {
    let (aws, base) = aws();
    let source = with_source(&base, PanicsAtOnce);
    let role = || Role::new(HUB);
    let saml = "arn:aws:iam::222222222222:saml-provider/Company";
    let assertion = || SamlAssertion::from_provider(|| panics_at_once(()));
    let chains = [
        RoleChain::new(&source, role()),
        RoleChain::from_source(&source),
        RoleChain::from_source(&source).and_then(|source| source.assume(role())),
        RoleChain::from_session_token(&source, SessionTokenRequest::new()),
        RoleChain::new(&base, role().mfa(new_device("panics"), panics_at_once)),
        RoleChain::from_web_identity(
            &base,
            role(),
            WebIdentityToken::from_provider(|| panics_at_once(())),
        ),
        RoleChain::from_saml(&base, role(), saml, assertion()),
        RoleChain::from_saml(&base, role(), saml, assertion().non_interactive()),
    ];
    for (i, chain) in chains.into_iter().enumerate() {
        let chain = chain.unwrap();
        let (first, second) = tokio::join!(chain.refresh(), chain.provide_credentials());
        let first = first.unwrap_err();
        let said = "a provider of credentials, codes or tokens, or the HTTP client, panicked";
        assert!(first.to_string().contains(said), "{i}: {first}");
        let second = second.unwrap_err();
        assert!(
            matches!(second, CredentialsError::Unhandled(_)),
            "{i}: {second:?}"
        );
        let error = chain.diagnose().await.error().unwrap().to_string();
        assert!(error.contains("panicked"), "{i}: {error}");
    }
    assert!(
        aws.calls()
            .iter()
            .all(|call| call.action == "GetCallerIdentity")
    );
}

/// The chain that a provider calls, set once the chain exists.
#[derive(Clone, Debug, Default)]
struct OwnChain(Arc<OnceLock<RoleChain>>);

impl OwnChain {
    /// Calls it in every possible way; returns the error of the last one.
    async fn ask(self) -> Result<String, CredentialsError> {
        let chain = self.0.get().unwrap();
        let firehose = aws_sdk_firehose::Client::new(&chain.sdk_config());
        let error = firehose.put_record().send().await.unwrap_err();
        assert!(Error::find(&error).unwrap().to_string().contains(WAITS));
        chain.refresh().await.unwrap_err();
        chain
            .credentials_valid_for(Duration::from_secs(60))
            .await
            .unwrap_err();
        Err(chain.provide_credentials().await.unwrap_err())
    }
}

impl ProvideCredentials for OwnChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { Err(self.clone().ask().await.unwrap_err()) })
    }
}

const WAITS: &str = "requests credentials from a chain that is waiting for it";

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_its_own_chain_gets_an_error_and_does_not_wait_for_itself() {
    let (aws, base) = aws();
    let own = OwnChain::default;
    let device = new_device("own-chain");
    let token = |own: OwnChain| WebIdentityToken::from_provider(move || own.clone().ask());
    let assertion = |own: OwnChain| SamlAssertion::from_provider(move || own.clone().ask());
    let saml = "arn:aws:iam::222222222222:saml-provider/Company";
    let role = || Role::new(HUB);
    let with_code = |own: OwnChain| role().mfa(&device, move |_: MfaRequest| own.clone().ask());
    let start: [&dyn Fn(OwnChain) -> Result<RoleChain, Error>; 6] = [
        &|own| RoleChain::new(&with_source(&base, own), role()),
        &|own| RoleChain::from_source(&with_source(&base, own)),
        &|own| RoleChain::new(&base, with_code(own)),
        &|own| RoleChain::from_web_identity(&base, role(), token(own)),
        &|own| RoleChain::from_saml(&base, role(), saml, assertion(own)),
        &|own| RoleChain::from_saml(&base, role(), saml, assertion(own).non_interactive()),
    ];
    for (i, start) in start.into_iter().enumerate() {
        for asks_last_hop in [false, true] {
            let own = own();
            let first = start(own.clone()).unwrap();
            let last = first.assume(Role::new(TENANT)).unwrap();
            let asked = if asks_last_hop { &last } else { &first };
            own.0.set(asked.clone()).unwrap();
            let loaded = tokio::time::timeout(Duration::from_secs(600), last.refresh());
            let error = loaded
                .await
                .expect("no provider waits for itself")
                .unwrap_err();
            assert!(error.to_string().contains(WAITS), "{i}: {error}");
        }
    }
    assert_eq!(aws.calls().len(), 0);
}

/// Loads a tenant of this hub, once the hub exists.
#[derive(Debug)]
struct LoadsTenant {
    keys: Credentials,
    hub: Arc<OnceLock<RoleChain>>,
}

impl ProvideCredentials for LoadsTenant {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            if let Some(hub) = self.hub.get() {
                let tenant = hub.assume(Role::new(TENANT)).unwrap();
                tenant.provide_credentials().await?;
            }
            Ok(self.keys.clone())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_may_load_a_role_behind_its_own_chain_while_that_has_valid_credentials() {
    let (aws, base) = aws();
    let source = LoadsTenant {
        keys: user(&aws),
        hub: Arc::default(),
    };
    let chain = source.hub.clone();
    let hub = RoleChain::new(&with_source(&base, source), Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    chain.set(hub.clone()).unwrap();

    hub.refresh().await.unwrap();

    assert_eq!((aws.assumed(HUB), aws.assumed(TENANT)), (2, 1));
    aws.clock().advance(Duration::from_secs(3600)).await;
    let error = hub.refresh().await.unwrap_err().to_string();
    assert!(error.contains(WAITS), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_times_out_after_two_minutes() {
    #[derive(Debug)]
    struct Hangs;
    impl ProvideCredentials for Hangs {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }
    let (aws, base) = aws();
    let chain = RoleChain::new(&with_source(&base, Hangs), Role::new(HUB)).unwrap();

    let error = chain.refresh().await.unwrap_err();

    assert!(error.is_source_failure() && error.is_transient(), "{error}");
    assert_eq!(aws.clock().elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_called_once_per_load() {
    let (aws, base) = aws();
    let calls = Arc::new(AtomicUsize::new(0));
    let source = Source {
        keys: user(&aws),
        calls: calls.clone(),
        panics: 0,
    };
    let chain = RoleChain::new(&with_source(&base, source), Role::new(HUB)).unwrap();
    for _ in 0..100 {
        chain.provide_credentials().await.unwrap();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// Returns credentials, and panics when it is dropped after that.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("the provider's own bug")
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_panics_when_it_is_dropped_is_an_error_and_not_an_endless_loop() {
    let (aws, base) = aws();
    let role = Role::new(HUB).mfa(new_device("panics-late"), |_| async {
        let _bug = PanicsWhenDropped;
        Ok::<_, String>("123456".to_owned())
    });
    let chain = RoleChain::new(&base, role).unwrap();
    let error = chain.refresh().await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    assert_eq!(aws.requests(), 0);
}

/// An error that panics when it is formatted, as the log does.
#[derive(Debug)]
struct PanicsWhenFormatted;

impl std::fmt::Display for PanicsWhenFormatted {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("the provider's own bug")
    }
}

impl std::error::Error for PanicsWhenFormatted {}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_its_callers_even_if_it_cannot_be_logged() {
    let (_, base) = aws();
    let device = new_device("panics-when-formatted");
    let role = Role::new(HUB).mfa(device, |_| async { Err(PanicsWhenFormatted) });
    let hub = RoleChain::new(&base, role).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    for chain in [hub, tenant] {
        let (_log, _guard) = Log::at(LevelFilter::DEBUG);
        let load = tokio::spawn(async move { chain.refresh().await.unwrap_err().is_mfa_failure() });
        settle().await;
        assert!(load.is_finished(), "it loads again and again");
        assert!(load.await.unwrap());
    }
}

/// An error whose text takes as long as a caller that has it already needs to go on.
#[derive(Clone, Debug, Default)]
struct SlowToFormat {
    has_caller: Arc<AtomicBool>,
    was_logged: Arc<AtomicBool>,
}

impl std::fmt::Display for SlowToFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for _ in 0..10_000 {
            std::thread::yield_now();
            if self.has_caller.load(Ordering::Relaxed) {
                return f.write_str("too late");
            }
        }
        self.was_logged.store(true, Ordering::Relaxed);
        f.write_str("slow")
    }
}

impl std::error::Error for SlowToFormat {}

/// A program may end when it has the error.
#[test]
fn a_failure_is_logged_before_its_callers_get_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(|| std::mem::forget(Log::at(LevelFilter::DEBUG)))
        .enable_time()
        .build()
        .unwrap();
    let error = SlowToFormat::default();
    let (_, base) = aws();
    let failure = error.clone();
    let role = Role::new(HUB).mfa(new_device("slow-to-format"), move |_| {
        let failure = failure.clone();
        async { Err(failure) }
    });
    let chain = RoleChain::new(&base, role).unwrap();
    runtime.block_on(chain.refresh()).unwrap_err();
    error.has_caller.store(true, Ordering::Relaxed);
    assert!(error.was_logged.load(Ordering::Relaxed));
}
