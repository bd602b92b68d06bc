//! Chains that start with the source's own credentials: cached, and shared by all roles assumed with them.

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::common::*;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_role_chain::{Role, RoleChain, SessionTokenRequest};
use aws_smithy_async::time::TimeSource;
use aws_types::SdkConfig;
use sts_simulator::{Fault, Simulator};
use tokio::task::JoinSet;

const LATENCY: Duration = Duration::from_millis(20);

type Answer = Result<Credentials, CredentialsError>;

/// A source that counts its calls, and whose answers the test sets.
#[derive(Clone)]
struct Source {
    answers: Arc<Mutex<Box<dyn FnMut() -> Answer + Send>>>,
    calls: Arc<AtomicUsize>,
}

impl Source {
    fn new(answers: impl FnMut() -> Answer + Send + 'static) -> Self {
        Self {
            answers: Arc::new(Mutex::new(Box::new(answers))),
            calls: Arc::default(),
        }
    }

    fn now(&self, answers: impl FnMut() -> Answer + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = (self.answers.lock().unwrap())();
        future::ProvideCredentials::new(async move {
            // Like a real provider, does not answer at once.
            tokio::task::yield_now().await;
            answer
        })
    }
}

/// A base config whose source returns the user's keys, without an expiry.
fn aws_with_source() -> (Simulator, Source, SdkConfig) {
    let (aws, base) = aws();
    let keys = user(&aws);
    let source = Source::new(move || Ok(keys.clone()));
    let base = with_source(&base, source.clone());
    (aws, source, base)
}

/// Creates customers' roles that trust the user.
fn customers(aws: &Simulator, count: usize) -> Vec<Role> {
    let role = |i| {
        let arn = format!("arn:aws:iam::333333333333:role/Customer{i}");
        aws.role(&arn).trust(trusts(USER)).create().unwrap();
        Role::new(arn)
    };
    (0..count).map(role).collect()
}

/// Calls all chains at once, and returns how many of them were served.
async fn herd(chains: impl IntoIterator<Item = RoleChain>) -> usize {
    let mut callers = JoinSet::new();
    for chain in chains {
        callers.spawn(async move { chain.provide_credentials().await.is_ok() });
    }
    let served = callers.join_all().await;
    served.into_iter().filter(|served| *served).count()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_roles_used_at_once_call_their_source_once_and_queue_for_sts() {
    let (aws, source, base) = aws_with_source();
    aws.set_latency(LATENCY);
    let us = RoleChain::from_source(&base).unwrap();
    let tenants = customers(&aws, 1000)
        .into_iter()
        .map(|role| us.assume(role).unwrap());
    assert_eq!(source.calls(), 0, "no call is made yet");

    assert_eq!(herd(tenants).await, 1000);

    assert_eq!((source.calls(), aws.requests()), (1, 1000));
    assert!(aws.most_in_flight() <= 32, "{}", aws.most_in_flight());
}

#[tokio::test(start_paused = true)]
async fn separate_chains_share_nothing() {
    let (aws, source, base) = aws_with_source();
    aws.set_latency(LATENCY);
    let tenants = customers(&aws, 100)
        .into_iter()
        .map(|role| RoleChain::new(&base, role).unwrap());

    assert_eq!(herd(tenants.collect::<Vec<_>>()).await, 100);

    assert_eq!((source.calls(), aws.most_in_flight()), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn credentials_without_an_expiry_are_loaded_again_after_15_minutes() {
    let (aws, source, base) = aws_with_source();
    let us = RoleChain::from_source(&base).unwrap();
    let given = us.provide_credentials().await.unwrap();
    assert_eq!(given.expiry(), None, "they are handed on as they are");
    let [first, second] = customers(&aws, 2).try_into().unwrap_or_else(|_| panic!());
    us.assume(first).unwrap().refresh().await.unwrap();
    assert_eq!(source.calls(), 1);

    let new = user(&aws);
    let keys = new.clone();
    source.now(move || Ok(keys.clone()));
    aws.clock().advance(15 * MINUTE).await;
    us.assume(second).unwrap().refresh().await.unwrap();

    assert_eq!(us.provide_credentials().await.unwrap(), new);
    // Once by the timer in the earlier window, and then for the role.
    assert!((2..=3).contains(&source.calls()), "{}", source.calls());
}

#[tokio::test(start_paused = true)]
async fn credentials_with_an_expiry_are_renewed_before_it_and_served_through_an_outage() {
    let (aws, source, base) = aws_with_source();
    let keys = user(&aws);
    let clock = aws.clock();
    let of_an_hour = move || {
        let mut credentials = keys.clone();
        *credentials.expiry_mut() = Some(clock.now() + HOUR);
        Ok(credentials)
    };
    source.now(of_an_hour.clone());
    let us = RoleChain::from_source(&base).unwrap();
    let roles = customers(&aws, 4);
    let tenant = |n: usize| us.assume(roles[n].clone()).unwrap();
    tenant(0).refresh().await.unwrap();
    // The window of 15 minutes has opened, and the timer has refreshed them.
    aws.clock().advance(53 * MINUTE).await;
    settle().await;
    assert_eq!(source.calls(), 2);

    us.provide_credentials().await.unwrap();
    source.now(|| Err(CredentialsError::provider_error("IMDS is away")));
    aws.clock().advance(55 * MINUTE).await;
    tenant(1).refresh().await.unwrap();
    aws.clock().advance(HOUR).await;
    let calls = source.calls();
    assert!(calls > 2, "it was tried meanwhile");
    // STS does not know when the source's credentials expire.
    tenant(2).refresh().await.unwrap();

    source.now(of_an_hour);
    aws.clock().advance(MINUTE).await;
    tenant(3).refresh().await.unwrap();
    assert_eq!(
        us.status()[0].last_error.as_ref().map(ToString::to_string),
        None
    );
    let expiry = us.status()[0].expiry.unwrap();
    assert!(expiry > aws.clock().now() + 59 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_called_once_for_all_roles_and_its_error_names_none() {
    let (aws, source, base) = aws_with_source();
    source.now(|| Err(CredentialsError::not_loaded("no keys")));
    let us = RoleChain::from_source(&base).unwrap();
    let tenants = customers(&aws, 50)
        .into_iter()
        .map(|role| us.assume(role).unwrap());
    let tenants = tenants.collect::<Vec<_>>();

    assert_eq!(herd(tenants.clone()).await, 0);

    assert_eq!((source.calls(), aws.requests()), (1, 0));
    let error = tenants[0].provide_credentials().await.unwrap_err();
    assert!(
        matches!(error, CredentialsError::CredentialsNotLoaded(_)),
        "{error:?}"
    );
    let error = aws_role_chain::Error::find(&error).unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("loading the source credentials failed: "),
        "{text}"
    );
    assert!(text.ends_with("no keys"), "{text}");
    assert!(error.is_source_failure() && !error.is_transient() && !error.is_invalid());
    assert_eq!(
        (error.hop(), error.chain_len(), error.role_arn()),
        (None, 1, None)
    );
    assert!(error.source().unwrap().is::<CredentialsError>());
    let status = tenants[0].status();
    let lines = status.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(
        lines[0].starts_with("source credentials: no credentials yet, last load failed: loading the source credentials failed: "),
        "{lines:?}"
    );
    assert_eq!(source.calls(), 1, "it is remembered");
}

#[tokio::test(start_paused = true)]
async fn keys_that_sts_refuses_are_loaded_again_at_once() {
    let (aws, source, base) = aws_with_source();
    let us = RoleChain::from_source(&base).unwrap();
    let [tenant] = customers(&aws, 1).try_into().unwrap_or_else(|_| panic!());
    let arn = "arn:aws:iam::333333333333:role/Customer0";
    let tenant = us.assume(tenant).unwrap();
    tenant.refresh().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;

    let token = "The security token included in the request is invalid";
    aws.fail(Fault::error(403, "InvalidClientTokenId", token).role(arn));
    tenant.refresh().await.unwrap_err();
    assert_eq!(source.calls(), 2);

    aws.recover();
    tenant.refresh().await.unwrap();
    assert_eq!(source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_role_assumed_with_source_credentials_is_the_first_hop() {
    let (aws, _, base) = aws_with_source();
    let us = RoleChain::from_source(&base).unwrap();
    assert_eq!((us.role_arn(), us.status()[0].hop), (None, 0));
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("sts:*"))
        .max_session_duration(2 * HOUR)
        .create()
        .unwrap();
    let hub = us.assume(Role::new(HUB).duration(2 * HOUR)).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();

    tenant.refresh().await.unwrap();

    let status = tenant.status();
    let hops = status.iter().map(|hop| (hop.hop, hop.role_arn.as_deref()));
    let expected = [(0, None), (1, Some(HUB)), (2, Some(TENANT))];
    assert_eq!(hops.collect::<Vec<_>>(), expected);
    let until = status[1].expiry.unwrap();
    assert!(until > aws.clock().now() + HOUR, "no role chaining");
    let refused = hub
        .assume(Role::new(TENANT).duration(2 * HOUR))
        .unwrap_err();
    assert!(refused.to_string().contains("(hop 2 of 2)"), "{refused}");
}

#[tokio::test]
async fn a_base_config_without_credentials_is_refused() {
    let (_, base) = aws();
    let mut none = base.to_builder();
    none.set_credentials_provider(None);
    let error = RoleChain::from_source(&none.build()).unwrap_err();
    assert_eq!(error.field(), Some("credentials_provider"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn keys_replaced_a_minute_after_the_old_ones_expired_are_found() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, Role::new(HUB).duration(15 * MINUTE)).unwrap();
    let without_expiry = async || {
        hub.refresh().await.unwrap();
        let mut keys = hub.provide_credentials().await.unwrap();
        *keys.expiry_mut() = None;
        keys
    };
    let old = without_expiry().await;
    let source = Source::new(move || Ok(old.clone()));
    let us = RoleChain::from_source(&with_source(&base, source.clone())).unwrap();
    let tenant = us.assume(Role::new(TENANT)).unwrap();
    tenant.refresh().await.unwrap();
    aws.clock().advance(16 * MINUTE).await;
    tenant.refresh().await.unwrap_err();

    let new = without_expiry().await;
    source.now(move || Ok(new.clone()));
    aws.clock().advance(MINUTE).await;
    tenant.refresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_without_an_expiry_are_never_shown_as_expired() {
    let (aws, _, base) = aws_with_source();
    let us = RoleChain::from_source(&base).unwrap();
    let [role] = customers(&aws, 1).try_into().unwrap_or_else(|_| panic!());
    let tenant = us.assume(role).unwrap();
    for minute in 0..120 {
        tenant.provide_credentials().await.unwrap();
        settle().await;
        let status = &tenant.status()[0];
        assert!(!status.is_expired && status.expiry.is_none(), "{minute}");
        let line = status.to_string();
        assert!(
            line.starts_with("source credentials: without an expiry"),
            "{line}"
        );
        aws.clock().advance(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn source_credentials_are_tried_whatever_their_expiry() {
    let (aws, source, base) = aws_with_source();
    let now = aws.clock().now();
    let until = [0, 1_000_000_000, i64::MAX as u64 / 2, i64::MAX as u64];
    // Not every system has all of these times.
    let until = until
        .into_iter()
        .filter_map(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    for (role, until) in customers(&aws, 5).into_iter().zip(until.chain([now])) {
        let mut keys = user(&aws);
        *keys.expiry_mut() = Some(until);
        let given = keys.clone();
        source.now(move || Ok(given.clone()));
        let us = RoleChain::from_source(&base).unwrap();
        us.assume(role).unwrap().refresh().await.unwrap();
        assert_eq!(us.provide_credentials().await.unwrap(), keys, "{until:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_renews_only_at_expiry_is_not_called_ever_more_often() {
    let (aws, source, base) = aws_with_source();
    let (keys, clock) = (user(&aws), aws.clock());
    let first = clock.now() + HOUR;
    source.now(move || {
        let mut keys = keys.clone();
        let now = clock.now();
        *keys.expiry_mut() = Some(if now < first { first } else { now + HOUR });
        Ok(keys)
    });
    let us = RoleChain::from_source(&base).unwrap();
    for _ in 0..2 * 3610 {
        us.provide_credentials().await.unwrap();
        for _ in 0..6 {
            tokio::task::yield_now().await;
        }
        aws.clock().advance(Duration::from_millis(500)).await;
    }
    assert!(source.calls() <= 16, "{}", source.calls());
}

/// A key from a file or a variable may end with a line break. The SDK's signer panics at one in the access key ID.
#[tokio::test(start_paused = true)]
async fn keys_with_a_line_break_are_an_error_that_says_so() {
    let (aws, source, base) = aws_with_source();
    let keys = user(&aws);
    for (suffix, token) in [("\n", None), ("", Some("token\r\n".to_owned()))] {
        let key = keys.access_key_id().to_owned() + suffix;
        let given = Credentials::new(key, keys.secret_access_key(), token, None, "test");
        source.now(move || Ok(given.clone()));
        let us = RoleChain::from_source(&base).unwrap();
        let role = || Role::new(HUB);
        for chain in [
            us.assume(role()).unwrap(),
            us,
            RoleChain::new(&base, role()).unwrap(),
            RoleChain::from_session_token(&base, SessionTokenRequest::new()).unwrap(),
        ] {
            let error = chain.refresh().await.unwrap_err();
            assert!(error.is_source_failure() && !error.is_transient());
            assert!(
                error.to_string().contains("contains a line break"),
                "{error}"
            );
            let error = chain.provide_credentials().await.unwrap_err();
            let is_config = matches!(error, CredentialsError::InvalidConfiguration(_));
            assert!(is_config, "{error:?}");
        }
    }
    assert_eq!(aws.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_source_is_a_source_failure() {
    let (_, source, base) = aws_with_source();
    source.now(|| panic!("the provider's own bug"));
    let us = RoleChain::from_source(&base).unwrap();
    let error = us
        .assume(Role::new(HUB))
        .unwrap()
        .refresh()
        .await
        .unwrap_err();
    assert!(error.is_source_failure() && error.is_transient(), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("loading the source credentials: "),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_region_is_the_same_whether_a_role_or_the_base_config_names_it() {
    let (aws, _, base) = aws_with_source();
    aws.set_latency(LATENCY);
    let region = base.region().unwrap().to_string();
    let us = RoleChain::from_source(&base).unwrap();
    let tenants = customers(&aws, 100).into_iter().enumerate();
    let tenants = tenants.map(|(n, role)| match n % 2 {
        0 => us.assume(role.region(region.clone())).unwrap(),
        _ => us.assume(role).unwrap(),
    });
    assert_eq!(herd(tenants.collect::<Vec<_>>()).await, 100);
    assert!(aws.most_in_flight() <= 32, "{}", aws.most_in_flight());

    let without = base.to_builder().region(None).build();
    let us = RoleChain::from_source(&without).unwrap();
    let missing = us.assume(Role::new(HUB)).unwrap_err();
    assert_eq!(missing.field(), Some("region"));
    let hub = us.assume(Role::new(HUB).region(region)).unwrap();
    hub.refresh().await.unwrap();
    {
        let diagnosis = hub.diagnose().await;
        assert!(diagnosis.is_ok(), "{diagnosis}");
    }
}
