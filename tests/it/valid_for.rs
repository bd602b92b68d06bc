//! Credentials with a minimum remaining lifetime.

use std::error::Error as _;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_role_chain::{Error, Role, RoleChain};
use aws_smithy_async::time::TimeSource;
use sts_simulator::{Fault, Simulator};
use tokio::task::JoinSet;

use crate::common::*;

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_secs(30 * 60);

async fn left(aws: &Simulator, chain: &RoleChain, min: Duration) -> Result<Duration, Error> {
    let credentials = chain.credentials_valid_for(min).await?;
    let expiry = credentials.expiry().expect("a session expires");
    Ok(expiry.duration_since(aws.clock().now()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn cached_credentials_that_last_long_enough_are_returned_and_others_are_replaced() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    assert!(left(&aws, &hub, HALF).await.unwrap() > HALF);
    aws.clock().advance(29 * MINUTE).await;
    assert!(left(&aws, &hub, HALF).await.unwrap() > HALF);
    assert_eq!(aws.assumed(HUB), 1);

    aws.clock().advance(2 * MINUTE).await;
    assert!(left(&aws, &hub, HALF).await.unwrap() > HOUR - MINUTE);
    assert_eq!(aws.assumed(HUB), 2);
    let cached = hub.provide_credentials().await.unwrap();
    assert!(cached.expiry().unwrap() > aws.clock().now() + HOUR - MINUTE);
    assert_eq!(aws.assumed(HUB), 2, "the new session is everybody's");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_the_new_session() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    tenant.refresh().await.unwrap();
    aws.clock().advance(31 * MINUTE).await;
    aws.set_latency(Duration::from_millis(20));
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let tenant = tenant.clone();
        callers.spawn(async move { tenant.credentials_valid_for(HALF).await });
    }
    for result in callers.join_all().await {
        result.unwrap();
    }
    assert_eq!((aws.assumed(HUB), aws.assumed(TENANT)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn more_than_sts_gives_is_an_error_that_says_how_much_there_is_and_asks_sts_once() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    // STS's expiry has no fractions of a second.
    for _ in 0..3 {
        let error = left(&aws, &hub, 2 * HOUR).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("stay valid for 3599 s, but 7200 s are required"),
            "{text}"
        );
        assert!(!error.is_transient() && error.source().is_none());
        assert_eq!(error.role_arn(), Some(HUB));
    }
    assert_eq!(aws.assumed(HUB), 1);
    hub.provide_credentials().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn during_an_outage_the_error_says_what_is_left_and_why_and_is_not_asked_for_in_a_loop() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    aws.clock().advance(40 * MINUTE).await;
    aws.fail(Fault::service_unavailable());
    let mut requests = Vec::new();
    for _ in 0..3 {
        let error = left(&aws, &hub, HALF).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(" s, but 1800 s are required"), "{text}");
        assert!(text.contains("ServiceUnavailable"), "{text}");
        assert!(error.is_transient());
        assert!(Error::find(error.source().unwrap()).is_some());
        requests.push(aws.requests());
    }
    assert_eq!(requests[0], requests[2], "a failure is remembered");
    // Callers that need less get credentials.
    left(&aws, &hub, MINUTE).await.unwrap();
    hub.provide_credentials().await.unwrap();

    aws.recover();
    aws.clock().advance(5 * MINUTE).await;
    assert!(left(&aws, &hub, HALF).await.unwrap() > HALF);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_cached_the_error_is_the_reason_itself() {
    let (aws, base) = aws();
    aws.fail(Fault::error(403, "AccessDenied", "no"));
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let error = left(&aws, &hub, MINUTE).await.unwrap_err();
    assert!(error.is_access_denied(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn source_credentials_without_an_expiry_are_valid_for_any_time() {
    let (_aws, base) = aws();
    let source = RoleChain::from_source(&base).unwrap();
    let credentials = source.credentials_valid_for(100 * HOUR).await.unwrap();
    assert_eq!(credentials.expiry(), None);
}

/// Returns the same session until it is replaced.
#[derive(Clone, Debug)]
struct Renewed {
    until: Arc<Mutex<SystemTime>>,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (until, token) = (*self.until.lock().unwrap(), Some("token".to_owned()));
        let credentials = Credentials::new("AKIAEXAMPLE", "secret", token, Some(until), "Renewed");
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

/// As the credentials of a container or an instance, which are renewed there and not on request.
#[tokio::test(start_paused = true)]
async fn a_source_is_asked_again_for_what_it_may_have_got_meanwhile_and_not_in_a_loop() {
    let (aws, base) = aws();
    let now = || aws.clock().now();
    let renewed = Renewed {
        until: Arc::new(Mutex::new(now() + 20 * MINUTE)),
        calls: Arc::default(),
    };
    let source = RoleChain::from_source(&with_source(&base, renewed.clone())).unwrap();
    for _ in 0..100 {
        let error = left(&aws, &source, HALF).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("stay valid for 1200 s, but 1800 s are required"),
            "{text}"
        );
    }
    assert_eq!(renewed.calls.load(Ordering::Relaxed), 1);
    aws.clock().advance(5 * MINUTE).await;
    *renewed.until.lock().unwrap() = now() + HOUR;
    assert_eq!(left(&aws, &source, HALF).await.unwrap(), HOUR);
    assert_eq!(renewed.calls.load(Ordering::Relaxed), 2);
}

/// Returns a user's keys, which are rotated from time to time.
#[derive(Clone, Debug, Default)]
struct Rotated {
    keys: Arc<AtomicUsize>,
    is_away: Arc<AtomicBool>,
}

impl ProvideCredentials for Rotated {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if self.is_away.load(Ordering::Relaxed) {
            let error = CredentialsError::provider_error("away");
            return future::ProvideCredentials::ready(Err(error));
        }
        let key = format!("AKIA{}", self.keys.load(Ordering::Relaxed));
        let credentials = Credentials::new(key, "secret", None, None, "Rotated");
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

#[tokio::test(start_paused = true)]
async fn keys_without_an_expiry_are_asked_for_again_as_by_other_calls() {
    let (aws, base) = aws();
    let rotated = Rotated::default();
    let source = RoleChain::from_source(&with_source(&base, rotated.clone())).unwrap();
    let key = async || {
        let credentials = source.credentials_valid_for(HOUR).await.unwrap();
        credentials.access_key_id().to_owned()
    };
    assert_eq!(key().await, "AKIA0");
    // The chain is unused for an hour.
    aws.clock().advance(HOUR).await;
    rotated.keys.store(1, Ordering::Relaxed);
    assert_eq!(key().await, "AKIA1");

    aws.clock().advance(HOUR).await;
    rotated.keys.store(2, Ordering::Relaxed);
    rotated.is_away.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(key().await, "AKIA1", "it is away, and they may be good");
    }
    rotated.is_away.store(false, Ordering::Relaxed);
    aws.clock().advance(MINUTE).await;
    assert_eq!(key().await, "AKIA2");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_makes_no_session_longer() {
    #[derive(Clone, Debug)]
    struct Behind(Arc<AtomicUsize>, sts_simulator::Clock);
    impl TimeSource for Behind {
        fn now(&self) -> SystemTime {
            self.1.now() - SECOND * self.0.load(Ordering::Relaxed) as u32
        }
    }
    let (aws, base) = aws();
    let behind = Arc::new(AtomicUsize::new(0));
    let clock = Behind(behind.clone(), aws.clock());
    let base = base.into_builder().time_source(clock).build();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.credentials_valid_for(HALF).await.unwrap();
    behind.store(7200, Ordering::Relaxed);
    // By that clock, the credentials remain valid for three hours.
    let error = hub.credentials_valid_for(2 * HOUR).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("stay valid for 3600 s, but 7200 s are required"),
        "{text}"
    );
    // Signed by the wrong clock, and again by the right one.
    assert_eq!(aws.assumed(HUB), 3);
}

#[test]
fn without_a_runtime_cached_credentials_will_do_and_a_load_is_an_error() {
    let (_aws, base) = aws();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    runtime.block_on(hub.refresh()).unwrap();
    let poll = |chain: &RoleChain| {
        let mut call = pin!(chain.credentials_valid_for(HALF));
        call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    assert!(matches!(poll(&hub), Poll::Ready(Ok(_))));
    let cold = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let Poll::Ready(Err(error)) = poll(&cold) else {
        panic!("there is nothing to wait for");
    };
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn credentials_valid_for_no_time_are_not_expired_ones() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    // The chain is unused for two hours.
    aws.fail(Fault::service_unavailable());
    aws.clock().advance(2 * HOUR).await;
    aws.recover();
    aws.clock().advance(10 * MINUTE).await;
    let got = hub.credentials_valid_for(Duration::ZERO).await.unwrap();
    assert!(
        got.expiry().unwrap() > aws.clock().now(),
        "expired {:?} ago",
        aws.clock().now().duration_since(got.expiry().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn one_failed_load_does_not_refuse_presigning_for_minutes() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();
    aws.clock().advance(10 * MINUTE).await;
    aws.fail(Fault::service_unavailable());
    let min = 55 * MINUTE;
    hub.credentials_valid_for(min).await.unwrap_err();
    aws.recover();
    println!("health: {}", hub.health());
    let before = aws.clock().elapsed();
    while let Err(error) = hub.credentials_valid_for(min).await {
        if aws.clock().elapsed() == before {
            println!("{error}");
        }
        aws.clock().advance(SECOND).await;
    }
    let took = aws.clock().elapsed() - before;
    assert!(took <= 10 * SECOND, "STS is well, and refused for {took:?}");
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_are_not_said_to_be_too_short() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    hub.refresh().await.unwrap();
    aws.clock().advance(5 * MINUTE).await;
    // STS rejects the hub's session and is then unavailable for a new one.
    aws.fail(Fault::error(403, "ExpiredToken", "revoked").role(TENANT));
    aws.fail(Fault::service_unavailable().role(HUB));
    println!("{}", tenant.refresh().await.unwrap_err());
    let result = hub.credentials_valid_for(15 * MINUTE).await;
    let text = result.map(|_| "served").map_err(|error| error.to_string());
    println!("{text:?}");
    assert!(
        !format!("{text:?}").contains("but 900 s are required"),
        "{text:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn asking_in_a_loop_for_credentials_that_last_does_not_flood_sts_with_refused_calls() {
    let (aws, base) = aws();
    aws.fail(Fault::error(403, "AccessDenied", "no").role(HUB));
    let tenant = two_hops(&base);
    for _ in 0..100 {
        tenant.provide_credentials().await.unwrap_err();
    }
    println!("provide_credentials: {} requests", aws.requests());
    let before = aws.requests();
    for _ in 0..100 {
        tenant.credentials_valid_for(MINUTE).await.unwrap_err();
    }
    let made = aws.requests() - before;
    assert!(made <= 1, "{made} requests at one moment");
}
