//! Clocks that are wrong or are set back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_session_that_has_already_expired_is_a_failure() {
    let (aws, base) = aws();
    // The machine's clock is two hours ahead. The SDK corrects only its signatures for that.
    #[derive(Debug)]
    struct Ahead(sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> std::time::SystemTime {
            self.0.now() + 2 * HOUR
        }
    }
    let base = base.into_builder().time_source(Ahead(aws.clock())).build();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();

    let error = chain.refresh().await.unwrap_err();

    assert!(
        error
            .to_string()
            .contains("returned credentials expired at"),
        "{error}"
    );
    assert!(
        error.to_string().contains("this machine's clock"),
        "{error}"
    );
    assert_eq!(error.code(), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_clock_does_not_prolong_sessions() {
    #[derive(Debug)]
    struct Behind(sts_simulator::Clock);
    impl TimeSource for Behind {
        fn now(&self) -> std::time::SystemTime {
            self.0.now() - 30 * MINUTE
        }
    }
    let (aws, base) = aws();
    let behind = Behind(aws.clock());
    let base = base.into_builder().time_source(Behind(aws.clock())).build();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let credentials = chain.provide_credentials().await.unwrap();
    let left = credentials
        .expiry()
        .unwrap()
        .duration_since(behind.now())
        .unwrap();
    assert!(left <= HOUR, "{left:?}");
    assert_eq!(chain.status()[0].expiry, credentials.expiry());
}

#[tokio::test(start_paused = true)]
async fn a_session_loaded_before_the_clock_was_set_back_can_be_invalidated() {
    #[derive(Clone, Debug)]
    struct Ahead(Arc<AtomicUsize>, sts_simulator::Clock);
    impl TimeSource for Ahead {
        fn now(&self) -> std::time::SystemTime {
            self.1.now() + MINUTE * self.0.load(Ordering::Relaxed) as u32
        }
    }
    let (aws, base) = aws();
    let minutes = Arc::new(AtomicUsize::new(4));
    let clock = Ahead(minutes.clone(), aws.clock());
    let hub = RoleChain::new(
        &base.to_builder().time_source(clock).build(),
        Role::new(HUB),
    );
    let hub = hub.unwrap();
    hub.refresh().await.unwrap();
    minutes.store(0, Ordering::Relaxed);
    aws.clock().advance(2 * MINUTE).await;
    recreate(&aws, HUB);

    hub.assume(Role::new(TENANT))
        .unwrap()
        .refresh()
        .await
        .unwrap();
}
