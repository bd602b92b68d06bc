//! Loads on one runtime, callers on another, and callers on none.

use aws_credential_types::provider::error::CredentialsError;
use aws_role_chain::Error;

use super::*;

#[test]
fn a_runtime_that_is_no_longer_polled_does_not_block_callers_on_another() {
    let paused = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::no_answer());
    // This runtime stays alive with the load in it, and is not polled any more.
    let first = paused();
    first.block_on(async {
        let mut call = Box::pin(chain.provide_credentials());
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
    });
    aws.recover();

    paused()
        .block_on(async { chain.provide_credentials().await.map(drop) })
        .unwrap();
    assert_eq!(aws.requests(), 2);
    // The first load completes after all, and does not replace the newer credentials.
    let newer = chain.status()[0].access_key_id.clone();
    first.block_on(settle());
    assert_eq!(chain.status()[0].access_key_id, newer);
}

#[test]
fn a_load_dropped_with_its_runtime_is_started_again_by_the_next_caller() {
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::no_answer());

    let first = runtime();
    first.block_on(async {
        let mut call = Box::pin(chain.provide_credentials());
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
    });
    assert_eq!(aws.requests(), 1, "the load has begun");
    drop(first);
    aws.recover();

    for _ in 0..2 {
        runtime()
            .block_on(async { chain.provide_credentials().await.map(drop) })
            .unwrap();
    }
    assert_eq!(
        aws.requests(),
        2,
        "the next runtime loads again, the one after has it in hand"
    );
}

#[test]
fn a_waiter_on_another_runtime_loads_again_when_the_loading_runtime_is_dropped() {
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::no_answer());

    let (first, second) = (runtime(), runtime());
    let mut context = Context::from_waker(Waker::noop());
    first.block_on(async {
        let mut call = Box::pin(chain.provide_credentials());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
    });
    let mut waiter = Box::pin(chain.provide_credentials());
    second.block_on(async {
        assert!(waiter.as_mut().poll(&mut context).is_pending());
    });
    drop(first);
    aws.recover();

    second.block_on(waiter).unwrap();
    assert_eq!(aws.requests(), 2);
}

#[test]
fn a_timer_dropped_with_its_runtime_is_started_again_on_the_next() {
    let (aws, base) = in_runtime(aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    runtime()
        .block_on(async { chain.provide_credentials().await.map(drop) })
        .unwrap();
    assert_eq!(aws.requests(), 1);

    // The time of this runtime is paused, so that an hour passes at once.
    let second = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    second.block_on(async {
        chain.provide_credentials().await.unwrap();
        aws.clock().advance(HOUR - MINUTE).await;
    });

    assert_eq!(
        aws.requests(),
        2,
        "refreshed in its window, though nobody asked"
    );
}

#[test]
fn without_a_runtime_loading_fails_and_cached_credentials_are_served() {
    let (aws, base) = in_runtime(aws);
    let tenant = two_hops(&base);

    let error = block_on(tenant.refresh()).unwrap_err();
    assert!(
        error.to_string().contains("no runtime is running"),
        "{error}"
    );
    assert!(!error.is_transient());
    let error = block_on(tenant.provide_credentials()).unwrap_err();
    assert!(
        matches!(error, CredentialsError::InvalidConfiguration(_)),
        "{error:?}"
    );
    assert_eq!(aws.requests(), 0);

    let loaded = runtime().block_on(tenant.provide_credentials()).unwrap();
    assert_eq!(block_on(tenant.provide_credentials()).unwrap(), loaded);
}

#[test]
fn on_a_runtime_that_is_shutting_down_loading_fails() {
    let (aws, base) = in_runtime(aws);
    for is_multi_threaded in [false, true] {
        let runtime = if is_multi_threaded {
            tokio::runtime::Runtime::new().unwrap()
        } else {
            runtime()
        };
        let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        for error in [
            handle.block_on(chain.refresh()).unwrap_err(),
            Error::find(&handle.block_on(chain.provide_credentials()).unwrap_err())
                .unwrap()
                .clone(),
        ] {
            let text = error.to_string();
            assert!(text.contains("no runtime is running"), "{text}");
        }
    }
    assert_eq!(aws.requests(), 0);
}
