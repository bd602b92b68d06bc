//! The rules of single flight, refresh and invalidation, with a loader whose loads end when the test decides.
//! Time moves only when the test moves it: [`Clock`] and, if it matters, tokio's clock, which is monotonic.

use std::task::{Context, Waker};

use aws_smithy_async::rt::sleep::{Sleep, TokioSleep};
use aws_smithy_async::time::TimeSource;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::*;
use crate::error::{Meaning, Operation, Refusal, Step};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Ages of a session that lasts an hour: before the refresh window, in it, and in the last minute.
const FRESH: Duration = Duration::from_secs(44 * 60);
const ADVISORY: Duration = Duration::from_secs(53 * 60);
const MANDATORY: Duration = Duration::from_secs(59 * 60 + 30);

/// How long a caller waits for a load while the cached credentials are valid, and if they have expired or are
/// invalidated.
const MAX_WAIT_WITH_VALID: Duration = SECOND;
const MAX_WAIT_WITH_EXPIRED: Duration = Duration::from_secs(5);
/// How long a failure that is not transient is cached.
const NEGATIVE_CACHE_TTL: Duration = Duration::from_secs(5);
/// The minimum age at which credentials can be invalidated.
const MIN_AGE_TO_INVALIDATE: Duration = MINUTE;

#[tokio::test(start_paused = true)]
async fn a_cold_herd_shares_one_load() {
    let (cache, _) = cache();
    let mut herd: Vec<_> = (0..100).map(|_| Caller::of(&cache)).collect();
    for caller in &mut herd {
        caller.assert_waits().await;
    }
    assert_eq!(cache.loader().loads(), 1);

    cache.loader().succeed(0, "first");
    for caller in &mut herd {
        assert_eq!(caller.key().await, "first");
    }
    assert_eq!(served(&cache), "first");
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_herd_is_served_at_once_while_one_load_runs() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(FRESH);
    assert_eq!(served(&cache), "first");
    settle().await;
    assert_eq!(cache.loader().loads(), 1, "the window is not open yet");

    clock.advance(ADVISORY - FRESH);
    for _ in 0..100 {
        assert_eq!(served(&cache), "first");
    }
    settle().await;
    assert_eq!(cache.loader().loads(), 2);
    assert!(!cache.loader().reason(1).has_waiter());
    assert!(cache.loader().reason(1).is_renewal());

    cache.loader().succeed(1, "second");
    settle().await;
    assert_eq!(served(&cache), "second");
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_herd_shares_one_failure() {
    let (cache, _) = cache();
    let mut herd: Vec<_> = (0..100).map(|_| Caller::of(&cache)).collect();
    for caller in &mut herd {
        caller.assert_waits().await;
    }
    cache.loader().fail(0, denied(OWN_HOP));
    for caller in &mut herd {
        assert!(caller.error().await.is_access_denied());
    }
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_cached_for_five_seconds() {
    let (cache, clock) = cache();
    fail_cold(&cache, denied(OWN_HOP)).await;
    // Jitter shortens the wait by up to a fifth.
    clock.advance(NEGATIVE_CACHE_TTL * 4 / 5 - SECOND / 10);
    assert!(Caller::of(&cache).error().await.is_access_denied());
    assert_eq!(cache.loader().loads(), 1);

    clock.advance(NEGATIVE_CACHE_TTL);
    Caller::of(&cache).assert_waits().await;
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_cached_for_one_second() {
    let (cache, clock) = cache();
    fail_cold(&cache, unreachable(OWN_HOP)).await;
    clock.advance(SECOND * 7 / 10);
    assert!(Caller::of(&cache).error().await.is_transient());
    assert_eq!(cache.loader().loads(), 1);

    clock.advance(SECOND);
    Caller::of(&cache).assert_waits().await;
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_parent_is_not_cached_here() {
    let (cache, _) = cache();
    fail_cold(&cache, denied(OWN_HOP - 1)).await;
    Caller::of(&cache).assert_waits().await;
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_leaves_its_load_to_the_followers() {
    let (cache, _) = cache();
    let mut leader = Caller::of(&cache);
    let mut follower = Caller::of(&cache);
    leader.assert_waits().await;
    follower.assert_waits().await;
    drop(leader);
    settle().await;
    cache.loader().succeed(0, "first");
    assert_eq!(follower.key().await, "first");
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_every_caller_has_given_up_serves_the_next_one() {
    let (cache, _) = cache();
    let mut only = Caller::of(&cache);
    only.assert_waits().await;
    drop(only);
    cache.loader().succeed(0, "first");
    settle().await;
    assert_eq!(served(&cache), "first");
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_dropped_before_its_first_poll_starts_no_load() {
    let (cache, _) = cache();
    drop(Caller::of(&cache));
    settle().await;
    assert_eq!(cache.loader().loads(), 0);
}

#[test]
fn a_load_that_is_dropped_with_its_runtime_is_started_again_by_its_waiters() {
    let (first, second) = (runtime(), runtime());
    let (cache, _) = cache();
    first.block_on(Caller::of(&cache).assert_waits());
    let mut waiter = Caller::of(&cache);
    second.block_on(waiter.assert_waits());
    assert_eq!(cache.loader().loads(), 1, "the waiter joined it");

    drop(first);
    second.block_on(waiter.assert_waits());
    assert_eq!(cache.loader().loads(), 2);
    cache.loader().succeed(1, "second");
    assert_eq!(second.block_on(waiter.key()), "second");
}

/// Returns a caller whose load was dropped with the caller's runtime.
fn caller_on_a_dropped_runtime(cache: &CredentialsCache<Loader>) -> Caller {
    let runtime = runtime();
    let mut caller = Caller::of(cache);
    runtime.block_on(caller.assert_waits());
    drop(runtime);
    caller
}

#[test]
fn a_caller_whose_own_runtime_shuts_down_gets_an_error() {
    let (cache, _) = cache();
    let mut caller = caller_on_a_dropped_runtime(&cache);
    let error = runtime().block_on(caller.error());
    let text = error.to_string();
    assert!(text.contains("no runtime is running"), "{text}");
}

#[test]
fn a_caller_whose_own_runtime_shuts_down_is_served_unexpired_credentials() {
    let (cache, clock) = cache();
    runtime().block_on(load_unserved(&cache, "first"));
    clock.advance(MANDATORY);
    let mut caller = caller_on_a_dropped_runtime(&cache);
    assert_eq!(runtime().block_on(caller.key()), "first");
}

#[test]
fn an_abandoned_load_is_replaced_after_a_minute() {
    let (first, second) = (runtime(), runtime());
    let (cache, clock) = cache();
    // This runtime is not polled after this.
    first.block_on(Caller::of(&cache).assert_waits());

    second.block_on(async {
        let mut waiter = Caller::of(&cache);
        clock.advance(ABANDONED_LOAD_TIMEOUT - SECOND);
        waiter.assert_waits().await;
        assert_eq!(cache.loader().loads(), 1, "it may be alive");

        clock.advance(SECOND);
        let mut late = Caller::of(&cache);
        late.assert_waits().await;
        assert_eq!(cache.loader().loads(), 2, "a new caller does not join it");
        // The caller that did join checks again after it has waited as long itself.
        clock.advance_in_steps(ABANDONED_LOAD_TIMEOUT).await;
        cache.loader().succeed(1, "second");
        assert_eq!(late.key().await, "second");
        assert_eq!(waiter.key().await, "second");
        assert_eq!(cache.loader().loads(), 2);
    });
}

#[tokio::test(start_paused = true)]
async fn a_long_load_whose_runtime_is_polled_is_never_replaced() {
    let (cache, clock) = cache();
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    for _ in 0..40 {
        clock.advance_in_steps(HEARTBEAT).await;
        caller.assert_waits().await;
        Caller::of(&cache).assert_waits().await;
    }
    assert_eq!(cache.loader().loads(), 1);
    cache.loader().succeed(0, "first");
    assert_eq!(caller.key().await, "first");
}

#[test]
fn the_late_result_of_an_abandoned_load_does_not_replace_a_newer_session() {
    for late_fails in [false, true] {
        let (first, second) = (runtime(), runtime());
        let (cache, clock) = cache();
        first.block_on(Caller::of(&cache).assert_waits());
        clock.advance(ABANDONED_LOAD_TIMEOUT);
        second.block_on(async {
            Caller::of(&cache).assert_waits().await;
            cache.loader().succeed(1, "second");
            settle().await;
        });

        if late_fails {
            cache.loader().fail(0, denied(OWN_HOP));
        } else {
            cache.loader().succeed(0, "late");
        }
        first.block_on(settle());
        assert_eq!(served(&cache), "second");
        assert!(cache.snapshot().last_error.is_none());
    }
}

#[test]
fn the_late_result_of_an_abandoned_load_is_used_if_the_newer_load_failed() {
    let (first, second) = (runtime(), runtime());
    let (cache, clock) = cache();
    first.block_on(Caller::of(&cache).assert_waits());
    clock.advance(ABANDONED_LOAD_TIMEOUT);
    second.block_on(async {
        Caller::of(&cache).assert_waits().await;
        cache.loader().fail(1, denied(OWN_HOP));
        settle().await;
        assert!(Caller::of(&cache).error().await.is_access_denied());
    });

    cache.loader().succeed(0, "late");
    first.block_on(settle());
    assert_eq!(served(&cache), "late");
}

#[test]
fn an_abandoned_load_that_ends_does_not_end_the_newer_one() {
    for late_fails in [true, false] {
        let (first, second) = (runtime(), runtime());
        let (cache, clock) = cache();
        first.block_on(Caller::of(&cache).assert_waits());
        clock.advance(ABANDONED_LOAD_TIMEOUT);
        second.block_on(Caller::of(&cache).assert_waits());
        assert_eq!(cache.loader().loads(), 2);

        if late_fails {
            cache.loader().fail(0, denied(OWN_HOP));
        } else {
            cache.loader().succeed(0, "late");
        }
        first.block_on(settle());
        second.block_on(async {
            let mut refresh = Refresh::of(&cache);
            assert!(refresh.result().await.is_none(), "it waits");
            assert_eq!(
                cache.loader().loads(),
                2,
                "the newer load is still in flight"
            );
        });
    }
}

#[tokio::test(start_paused = true)]
async fn old_credentials_are_invalidated_and_young_ones_are_not() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(MIN_AGE_TO_INVALIDATE - SECOND);
    assert!(!cache.invalidate("first"));
    assert!(cache.is_usable());
    assert_eq!(served(&cache), "first");

    clock.advance(SECOND);
    assert!(cache.invalidate("first"));
    assert!(!cache.is_usable());
    let mut herd: Vec<_> = (0..10).map(|_| Caller::of(&cache)).collect();
    for caller in &mut herd {
        caller.assert_waits().await;
    }
    assert!(cache.invalidate("first"), "another child complains, too");
    assert_eq!(cache.loader().loads(), 2);
    cache.loader().succeed(1, "second");
    for caller in &mut herd {
        assert_eq!(caller.key().await, "second");
    }
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_from_a_store_are_invalidated_at_any_age() {
    let (cache, clock) = cache();
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    let mut stored = cache.loader().session("stored", HOUR);
    stored.from_store = true;
    cache.loader().end(0, Outcome::Result(Ok(stored)));
    assert_eq!(caller.key().await, "stored");
    clock.advance(SECOND);
    assert!(cache.invalidate("stored"));
    Caller::of(&cache).assert_waits().await;
}

#[tokio::test(start_paused = true)]
async fn invalidating_credentials_that_were_replaced_changes_nothing() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(2 * MIN_AGE_TO_INVALIDATE);
    assert!(cache.invalidate("an older key"));
    assert!(cache.is_usable());
    assert_eq!(served(&cache), "first");
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn invalidated_credentials_are_served_while_their_replacement_fails() {
    for failure in [unreachable(OWN_HOP), denied(OWN_HOP)] {
        let (cache, clock) = cache();
        load_unserved(&cache, "first").await;
        clock.advance(2 * MIN_AGE_TO_INVALIDATE);
        assert!(cache.invalidate("first"));
        let mut caller = Caller::of(&cache);
        caller.assert_waits().await;
        cache.loader().fail(1, failure);
        assert_eq!(caller.key().await, "first");
        assert_eq!(served(&cache), "first");
    }
}

#[tokio::test(start_paused = true)]
async fn further_complaints_neither_end_the_wait_after_a_failure_nor_the_invalidation() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(2 * MIN_AGE_TO_INVALIDATE);
    assert!(cache.invalidate("first"));
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    cache.loader().fail(1, unreachable(OWN_HOP));
    assert_eq!(caller.key().await, "first");
    for _ in 0..3 {
        assert!(cache.invalidate("first"));
        assert_eq!(served(&cache), "first");
    }
    settle().await;
    assert_eq!(cache.loader().loads(), 2, "the failure is cached");

    clock.advance(10 * SECOND);
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    assert_eq!(cache.loader().loads(), 3);
    cache.loader().succeed(2, "third");
    assert_eq!(caller.key().await, "third");
    assert!(cache.is_usable());
}

#[tokio::test(start_paused = true)]
async fn many_children_replace_rejected_credentials_with_one_load() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(2 * MIN_AGE_TO_INVALIDATE);
    let mut children: Vec<_> = (0..50).map(|_| Replace::of(&cache, "first")).collect();
    for child in &mut children {
        assert!(child.result().await.is_none(), "it waits");
    }
    assert_eq!(cache.loader().loads(), 2);
    cache.loader().succeed(1, "second");
    for child in &mut children {
        assert_eq!(child.key().await, "second");
    }
    assert_eq!(Replace::of(&cache, "first").key().await, "second");
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_too_new_or_given_again_are_not_replaced() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    let replaced = Replace::of(&cache, "first").result().await;
    assert!(replaced.expect("it does not wait").is_none());
    assert_eq!(cache.loader().loads(), 1);

    clock.advance(2 * MIN_AGE_TO_INVALIDATE);
    let mut child = Replace::of(&cache, "first");
    assert!(child.result().await.is_none(), "it waits");
    cache.loader().succeed(1, "first");
    let replaced = child.result().await;
    assert!(replaced.expect("the load has ended").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_fails_is_the_same_error_for_all_children_until_its_retry() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(2 * MIN_AGE_TO_INVALIDATE);
    let mut children: Vec<_> = (0..50).map(|_| Replace::of(&cache, "first")).collect();
    for child in &mut children {
        assert!(child.result().await.is_none(), "it waits");
    }
    cache.loader().fail(1, denied(OWN_HOP));
    for child in &mut children {
        assert!(child.error().await.is_access_denied());
    }
    assert!(
        Replace::of(&cache, "first")
            .error()
            .await
            .is_access_denied()
    );
    assert_eq!(cache.loader().loads(), 2);

    clock.advance(NEGATIVE_CACHE_TTL);
    let mut child = Replace::of(&cache, "first");
    assert!(child.result().await.is_none(), "it waits");
    cache.loader().succeed(2, "third");
    assert_eq!(child.key().await, "third");
}

#[tokio::test(start_paused = true)]
async fn in_the_background_an_interactive_loader_replaces_nothing() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    cache.loader().set_interactive(true);
    clock.advance(2 * MIN_AGE_TO_INVALIDATE);
    let mut in_background = Replace::with(&cache, "first", Requester::Background);
    assert!(in_background.error().await.is_interaction_required());
    assert_eq!(cache.loader().loads(), 1);

    let mut child = Replace::of(&cache, "first");
    assert!(child.result().await.is_none(), "it waits");
    assert!(cache.loader().reason(1).has_waiter());
}

#[tokio::test(start_paused = true)]
async fn after_expiry_a_transient_failure_serves_the_cached_credentials_and_a_permanent_one_does_not()
 {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(HOUR);
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    cache.loader().fail(1, unreachable(OWN_HOP));
    assert_eq!(caller.key().await, "first");

    clock.advance(MINUTE);
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    cache.loader().fail(2, denied(OWN_HOP));
    assert!(caller.error().await.is_access_denied());
    assert!(
        Caller::of(&cache).error().await.is_access_denied(),
        "cached"
    );
    assert_eq!(cache.loader().loads(), 3);
}

#[tokio::test(start_paused = true)]
async fn with_cached_credentials_callers_wait_by_the_age_of_the_load() {
    for (age, is_invalidated, max_wait) in [
        (MANDATORY, false, MAX_WAIT_WITH_VALID),
        (FRESH, true, MAX_WAIT_WITH_EXPIRED),
        (HOUR + MINUTE, false, MAX_WAIT_WITH_EXPIRED),
    ] {
        let (cache, clock) = cache();
        load_unserved(&cache, "first").await;
        clock.advance(age);
        if is_invalidated {
            assert!(cache.invalidate("first"));
        }
        let mut first = Caller::of(&cache);
        first.assert_waits().await;
        clock.advance(max_wait / 2);
        let mut second = Caller::of(&cache);
        first.assert_waits().await;
        second.assert_waits().await;

        clock.advance(max_wait / 2);
        assert_eq!(first.key().await, "first");
        assert_eq!(second.key().await, "first", "it joined half-way");
        assert_eq!(Caller::of(&cache).key().await, "first", "it does not wait");
        assert_eq!(cache.loader().loads(), 2);
        cache.loader().succeed(1, "second");
        settle().await;
        assert_eq!(served(&cache), "second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_ends_within_the_wait_serves_its_waiters() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(MANDATORY);
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    clock.advance(MAX_WAIT_WITH_VALID - SECOND / 10);
    caller.assert_waits().await;
    cache.loader().succeed(1, "second");
    assert_eq!(caller.key().await, "second");
}

#[tokio::test(start_paused = true)]
async fn with_nothing_cached_a_caller_waits_for_as_long_as_the_load_takes() {
    let (cache, clock) = cache();
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    clock.advance_in_steps(HOUR).await;
    caller.assert_waits().await;
    cache.loader().succeed(0, "first");
    assert_eq!(caller.key().await, "first");
}

#[tokio::test(start_paused = true)]
async fn the_timer_refreshes_in_the_window_without_a_caller() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(MINUTE);
    assert_eq!(served(&cache), "first");
    settle().await;
    clock.advance(FRESH - MINUTE);
    settle().await;
    assert_eq!(cache.loader().loads(), 1);
    clock.advance(ADVISORY - FRESH);
    settle().await;
    assert_eq!(cache.loader().loads(), 2);
    assert!(!cache.loader().reason(1).has_waiter());
    cache.loader().succeed(1, "second");
    settle().await;
    assert_eq!(tasks(), 0, "what nobody was served has no timer");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_nobody_was_served_are_not_refreshed() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(HOUR);
    settle().await;
    assert_eq!(cache.loader().loads(), 1);
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_timer_ends_with_the_cache() {
    let (cache, _) = cache();
    load_unserved(&cache, "first").await;
    let other = cache.clone();
    served(&cache);
    served(&cache);
    settle().await;
    assert_eq!(tasks(), 1, "there is one timer");
    drop(cache);
    settle().await;
    assert_eq!(tasks(), 1, "there is another handle");
    drop(other);
    settle().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_timer_ends_with_the_credentials() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    served(&cache);
    settle().await;
    assert_eq!(tasks(), 1);
    refresh_to(&cache, 1, "second").await;
    assert_eq!(tasks(), 0, "they were replaced");

    served(&cache);
    clock.advance(HOUR);
    settle().await;
    assert_eq!(tasks(), 0, "they have expired");
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_timer_tries_again_until_the_credentials_expire() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    served(&cache);
    settle().await;
    clock.advance(ADVISORY);
    settle().await;
    for load in 1..3 {
        assert_eq!(cache.loader().loads(), load + 1);
        cache.loader().fail(load, unreachable(OWN_HOP));
        settle().await;
        clock.advance(SECOND);
        settle().await;
        assert_eq!(cache.loader().loads(), load + 1, "the failure is cached");
        // A quarter of the remaining lifetime.
        clock.advance(7 * MINUTE / 4);
        settle().await;
    }
    assert_eq!(cache.loader().loads(), 4);
    cache.loader().fail(3, unreachable(OWN_HOP));
    clock.advance(HOUR);
    settle().await;
    assert_eq!(tasks(), 0);
    assert_eq!(cache.loader().loads(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_loader_is_an_error_for_all_waiters_and_the_next_load_works() {
    let (cache, clock) = cache();
    let (mut first, mut second) = (Caller::of(&cache), Caller::of(&cache));
    first.assert_waits().await;
    second.assert_waits().await;
    cache.loader().end(0, Outcome::Panic);
    for caller in [&mut first, &mut second] {
        let error = caller.error().await;
        assert!(error.to_string().contains("panicked"), "{error}");
    }
    clock.advance(SECOND);
    let mut next = Caller::of(&cache);
    next.assert_waits().await;
    cache.loader().succeed(1, "second");
    assert_eq!(next.key().await, "second");
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_before_there_is_a_future_is_an_error_too() {
    let (cache, clock) = cache();
    cache.loader().set_panics(true);
    let (mut first, mut second) = (Caller::of(&cache), Caller::of(&cache));
    assert!(first.poll().is_none() && second.poll().is_none());
    for caller in [&mut first, &mut second] {
        let error = caller.error().await;
        assert!(error.to_string().contains("panicked"), "{error}");
    }
    assert_eq!(cache.loader().loads(), 1);

    clock.advance(SECOND);
    cache.loader().set_panics(false);
    let mut next = Caller::of(&cache);
    next.assert_waits().await;
    cache.loader().succeed(1, "second");
    assert_eq!(next.key().await, "second");
}

#[tokio::test(start_paused = true)]
async fn an_interactive_loader_never_loads_in_the_background() {
    let (cache, clock) = cache();
    cache.loader().set_interactive(true);
    let mut first = Caller::of(&cache);
    first.assert_waits().await;
    assert!(cache.loader().reason(0).has_waiter());
    cache.loader().succeed(0, "first");
    assert_eq!(first.key().await, "first");
    assert_eq!(tasks(), 0, "there is no timer");

    clock.advance(ADVISORY);
    for _ in 0..10 {
        assert_eq!(served(&cache), "first");
        settle().await;
    }
    assert_eq!(cache.loader().loads(), 1);

    clock.advance(MANDATORY - ADVISORY);
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    assert!(cache.loader().reason(1).has_waiter());
    clock.advance(MAX_WAIT_WITH_VALID);
    assert_eq!(caller.key().await, "first", "while they are valid");
    clock.advance(MINUTE / 2);
    let mut caller = Caller::of(&cache);
    clock.advance_in_steps(10 * MINUTE).await;
    caller.assert_waits().await;
    cache.loader().succeed(1, "second");
    assert_eq!(caller.key().await, "second", "a person may take any time");
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_timer_ends_when_its_loader_has_become_interactive() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    served(&cache);
    settle().await;
    cache.loader().set_interactive(true);
    clock.advance(ADVISORY);
    settle().await;
    assert_eq!(tasks(), 0);
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_starts_a_load_that_may_prompt_after_a_background_load_that_may_not() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    // The background load starts just before the last minute, and the waiter joins it in that minute.
    clock.advance(HOUR - MINUTE - SECOND / 10);
    assert_eq!(served(&cache), "first");
    settle().await;
    assert!(!cache.loader().reason(1).has_waiter());
    clock.advance(SECOND / 5);
    let (mut waiter, mut refresh) = (Caller::of(&cache), Refresh::of(&cache));
    waiter.assert_waits().await;
    assert!(refresh.result().await.is_none(), "it waits");
    assert_eq!(cache.loader().loads(), 2);

    cache.loader().fail(1, interaction_required());
    waiter.assert_waits().await;
    assert!(refresh.result().await.is_none(), "it waits");
    assert_eq!(cache.loader().loads(), 3);
    assert!(cache.loader().reason(2).has_waiter());
    cache.loader().succeed(2, "third");
    assert_eq!(waiter.key().await, "third");
    refresh.result().await.expect("it has ended").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_may_prompt_after_a_background_load_that_may_not() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(ADVISORY);
    assert_eq!(served(&cache), "first");
    settle().await;
    let mut refresh = Refresh::of(&cache);
    assert!(refresh.result().await.is_none(), "it waits");
    cache.loader().fail(1, interaction_required());
    assert!(refresh.result().await.is_none(), "it waits");
    assert!(cache.loader().reason(2).has_waiter());
    cache.loader().succeed(2, "third");
    refresh.result().await.expect("it has ended").unwrap();
    assert_eq!(served(&cache), "third");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_may_prompt_after_a_background_load_that_may_not() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(ADVISORY);
    assert_eq!(served(&cache), "first");
    settle().await;
    let mut child = Replace::of(&cache, "first");
    assert!(child.result().await.is_none(), "it waits");
    cache.loader().fail(1, interaction_required());
    assert!(child.result().await.is_none(), "it waits");
    assert!(cache.loader().reason(2).has_waiter());
    cache.loader().succeed(2, "third");
    assert_eq!(child.key().await, "third");
}

#[tokio::test(start_paused = true)]
async fn a_background_load_that_may_not_prompt_leaves_no_failure_behind() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(ADVISORY);
    assert_eq!(served(&cache), "first");
    settle().await;
    cache.loader().fail(1, interaction_required());
    settle().await;
    assert!(cache.snapshot().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_joins_the_load_in_flight_and_otherwise_starts_one() {
    let (cache, _) = cache();
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    let mut refresh = Refresh::of(&cache);
    assert!(refresh.result().await.is_none(), "it waits");
    assert_eq!(cache.loader().loads(), 1);
    assert!(!cache.loader().reason(0).force);
    cache.loader().succeed(0, "first");
    refresh.result().await.expect("it has ended").unwrap();
    assert_eq!(caller.key().await, "first");

    refresh_to(&cache, 1, "second").await;
    assert!(cache.loader().reason(1).force);
    assert_eq!(served(&cache), "second");
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_ignores_a_cached_failure() {
    let (cache, _) = cache();
    fail_cold(&cache, denied(OWN_HOP)).await;
    refresh_to(&cache, 1, "second").await;
    assert_eq!(served(&cache), "second");
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_that_fails_is_an_error_and_keeps_what_is_cached() {
    let (cache, _) = cache();
    load_unserved(&cache, "first").await;
    let mut refresh = Refresh::of(&cache);
    assert!(refresh.result().await.is_none(), "it waits");
    cache.loader().fail(1, unreachable(OWN_HOP));
    let result = refresh.result().await.expect("it has ended");
    assert!(result.unwrap_err().is_transient());
    assert_eq!(served(&cache), "first");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_already_expired_is_a_failure() {
    let (cache, _) = cache();
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    let expired = cache.loader().session("expired", Duration::ZERO);
    cache.loader().end(0, Outcome::Result(Ok(expired)));
    let error = caller.error().await;
    assert!(
        error.to_string().contains("returned credentials expired"),
        "{error}"
    );
    assert!(cache.cached().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_process_stood_still_is_not_an_answer_and_a_success_is() {
    for fails in [true, false] {
        let (cache, clock) = cache();
        let mut caller = Caller::of(&cache);
        caller.assert_waits().await;
        // No task runs meanwhile, as if the process were suspended.
        clock.advance(ABANDONED_LOAD_TIMEOUT);
        if fails {
            cache.loader().fail(0, unreachable(OWN_HOP));
            caller.assert_waits().await;
            assert_eq!(cache.loader().loads(), 2);
            assert!(cache.snapshot().last_error.is_none());
            cache.loader().succeed(1, "second");
            assert_eq!(caller.key().await, "second");
        } else {
            cache.loader().succeed(0, "first");
            assert_eq!(caller.key().await, "first");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_first_polled_after_the_process_stood_still_is_joined_and_its_failure_believed()
 {
    let (cache, clock) = cache();
    let mut caller = Caller::of(&cache);
    assert!(caller.poll().is_none(), "it waits");
    assert_eq!(cache.loader().loads(), 0, "its task was not polled yet");
    clock.advance(HOUR);
    settle().await;
    let mut late = Caller::of(&cache);
    late.assert_waits().await;
    assert_eq!(cache.loader().loads(), 1);

    cache.loader().fail(0, denied(OWN_HOP));
    assert!(caller.error().await.is_access_denied());
    assert!(late.error().await.is_access_denied());
    assert_eq!(cache.loader().loads(), 1);
}

#[test]
fn a_load_that_is_first_polled_after_another_took_its_place_is_not_made() {
    let (first, second) = (runtime(), runtime());
    let (cache, clock) = cache();
    let mut early = Caller::of(&cache);
    first.block_on(async { assert!(early.poll().is_none(), "it waits") });
    clock.advance(ABANDONED_LOAD_TIMEOUT);
    let mut late = Caller::of(&cache);
    second.block_on(late.assert_waits());
    assert_eq!(cache.loader().loads(), 1);

    first.block_on(early.assert_waits());
    assert_eq!(cache.loader().loads(), 1, "both wait for the second");
    cache.loader().succeed(0, "second");
    assert_eq!(second.block_on(late.key()), "second");
    assert_eq!(first.block_on(early.key()), "second");
    assert_eq!(cache.loader().loads(), 1);
}

/// This cannot be distinguished from a process that was suspended, whose loads must be replaced.
#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_by_a_minute_costs_one_load_more_and_the_first_success_counts() {
    let (cache, clock) = cache();
    let mut first = Caller::of(&cache);
    first.assert_waits().await;
    clock.advance(MINUTE);
    let mut herd: Vec<_> = (0..100).map(|_| Caller::of(&cache)).collect();
    for caller in &mut herd {
        assert!(caller.poll().is_none(), "it waits");
    }
    first.assert_waits().await;
    herd.push(Caller::of(&cache));
    for caller in &mut herd {
        caller.assert_waits().await;
    }
    assert_eq!(cache.loader().loads(), 2);

    cache.loader().succeed(0, "first");
    assert_eq!(first.key().await, "first");
    assert_eq!(served(&cache), "first");
    cache.loader().fail(1, unreachable(OWN_HOP));
    for caller in &mut herd {
        assert_eq!(caller.key().await, "first");
    }
    assert_eq!(cache.loader().loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_from_before_the_clock_was_set_back_are_refreshed() {
    let (cache, clock) = cache();
    clock.advance(HOUR);
    load_unserved(&cache, "first").await;
    clock.set(HOUR - MINUTE);
    assert_eq!(served(&cache), "first");
    settle().await;
    assert_eq!(cache.loader().loads(), 1, "clocks are adjusted");

    clock.set(HOUR - MINUTE - SECOND);
    assert_eq!(served(&cache), "first");
    settle().await;
    assert_eq!(cache.loader().loads(), 2);
}

/// By the clock alone the load would seem new again when the clock reaches the time of its start; the monotonic clock
/// shows its age.
#[test]
fn an_abandoned_load_from_before_the_clock_was_set_back_is_never_joined() {
    let (first, second) = (paused_runtime(), paused_runtime());
    let (cache, clock) = cache();
    first.block_on(async {
        load_unserved(&cache, "first").await;
        clock.set(2 * HOUR + 20 * MINUTE);
        Caller::of(&cache).assert_waits().await;
    });
    // The first runtime is not polled any more.
    assert_eq!(cache.loader().loads(), 2);

    second.block_on(async {
        clock.set(2 * HOUR);
        pass(&clock, 20 * MINUTE).await;
        let mut caller = Caller::of(&cache);
        caller.assert_waits().await;
        assert_eq!(cache.loader().loads(), 3);
        cache.loader().succeed(2, "third");
        assert_eq!(caller.key().await, "third");
    });
}

#[tokio::test(start_paused = true)]
async fn a_failure_from_before_the_clock_was_set_back_is_never_an_answer_again() {
    for error in [denied(OWN_HOP), unreachable(OWN_HOP)] {
        let (cache, clock) = cache();
        load_unserved(&cache, "first").await;
        clock.set(2 * HOUR + 20 * MINUTE);
        let mut caller = Caller::of(&cache);
        caller.assert_waits().await;
        cache.loader().fail(1, error.clone());
        settle().await;
        assert!(caller.result().await.is_some());
        let mut again = Caller::of(&cache);
        assert!(again.result().await.is_some(), "it answers for a while");

        clock.set(2 * HOUR);
        pass(&clock, 20 * MINUTE).await;
        assert!(
            cache
                .0
                .valid_for(&cache.0.read(), HOUR, cache.0.now())
                .is_none()
        );
        Caller::of(&cache).assert_waits().await;
        assert_eq!(cache.loader().loads(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_a_little_does_not_lengthen_the_wait_after_a_failure() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(ADVISORY);
    let mut refresh = Refresh::of(&cache);
    assert!(refresh.result().await.is_none());
    cache.loader().fail(1, unreachable(OWN_HOP));
    refresh.result().await.unwrap().unwrap_err();

    // A quarter of the remaining seven minutes, less jitter.
    let due_in = |cache: &CredentialsCache<Loader>| cache.0.due_in().unwrap();
    let wait = due_in(&cache);
    assert!((84 * SECOND..=105 * SECOND).contains(&wait), "{wait:?}");
    clock.set(ADVISORY - 30 * SECOND);
    assert!(due_in(&cache) <= wait);
    pass(&clock, wait).await;
    assert_eq!(due_in(&cache), Duration::ZERO);
}

/// User code, such as a provider of MFA codes, may panic, or use the cache itself.
#[tokio::test(start_paused = true)]
async fn no_code_of_the_loader_runs_under_the_lock() {
    let (cache, clock) = cache();
    let asked = Arc::new(Mutex::new((0, 0)));
    let count = {
        let (asked, cache) = (asked.clone(), Arc::downgrade(&cache.0));
        move || {
            let is_locked = cache.upgrade().unwrap().write_lock.try_lock().is_err();
            let (times, under_the_lock) = &mut *asked.lock().unwrap();
            *times += 1;
            *under_the_lock += usize::from(is_locked);
        }
    };
    *cache.loader().on_asked.lock().unwrap() = Some(Box::new(count));
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
    cache.loader().succeed(0, "first");
    caller.key().await;
    for (load, time) in [ADVISORY, HOUR + MANDATORY, 3 * HOUR]
        .into_iter()
        .enumerate()
    {
        clock.set(time);
        let mut caller = Caller::of(&cache);
        let _ = caller.result().await;
        let mut others = (
            Refresh::of(&cache),
            Replace::of(&cache, "first"),
            Call(Box::pin({
                let cache = cache.clone();
                async move { cache.get_valid_for(HOUR).await }
            })),
        );
        let _ = (others.0.result().await, others.1.result().await);
        let _ = others.2.result().await;
        cache.loader().succeed(load + 1, "next");
        settle().await;
    }
    let (times, under_the_lock) = *asked.lock().unwrap();
    assert!(times > 10, "{times}");
    assert_eq!(under_the_lock, 0, "of {times}");
}

#[tokio::test(start_paused = true)]
async fn a_load_after_a_failed_one_is_a_retry_only_after_expiry() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(MANDATORY);
    Caller::of(&cache).assert_waits().await;
    cache.loader().fail(1, unreachable(OWN_HOP));
    settle().await;
    clock.advance(20 * SECOND);
    assert_eq!(served(&cache), "first");
    settle().await;
    assert!(!cache.loader().reason(2).is_retry, "they are valid");
    cache.loader().fail(2, unreachable(OWN_HOP));
    settle().await;

    clock.advance(MINUTE);
    Caller::of(&cache).assert_waits().await;
    assert!(cache.loader().reason(3).is_retry);
}

#[test]
fn without_a_runtime_only_unexpired_credentials_are_served() {
    let (cache, clock) = cache();
    let assert_no_runtime = |error: Error| {
        let text = error.to_string();
        assert!(text.contains("no runtime is running"), "{text}");
        assert!(!error.is_transient());
    };
    for _ in 0..2 {
        assert_no_runtime(Caller::of(&cache).poll().unwrap().unwrap_err());
        assert_no_runtime(Refresh::of(&cache).poll().unwrap().unwrap_err());
    }
    assert_eq!(cache.loader().loads(), 0);

    let runtime = runtime();
    runtime.block_on(load_unserved(&cache, "first"));
    drop(runtime);
    for age in [MINUTE, ADVISORY, MANDATORY] {
        clock.set(age);
        let credentials = Caller::of(&cache).poll().unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), "first", "at {age:?}");
    }
    clock.set(HOUR);
    assert_no_runtime(Caller::of(&cache).poll().unwrap().unwrap_err());
    assert_eq!(cache.loader().loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timer_notices_that_the_credentials_were_rejected_while_it_slept() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    served(&cache);
    settle().await;
    clock.advance(2 * MINUTE);
    settle().await;
    let mut child = Replace::of(&cache, "first");
    assert!(child.result().await.is_none(), "it waits");
    cache.loader().fail(1, unreachable(OWN_HOP));
    settle().await;
    let due = cache.snapshot().next_refresh.unwrap();
    assert!(due <= clock.now() + 10 * SECOND, "status says: in 10 s");
    clock.advance_in_steps(20 * MINUTE).await;
    assert_eq!(cache.loader().loads(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_timer_notices_that_the_clock_was_set_back_while_it_slept() {
    let clock = Clock::default();
    let cache = cache_of(&clock, SharedAsyncSleep::new(TokioSleep::new()));
    clock.advance(HOUR);
    load_unserved(&cache, "first").await;
    served(&cache);
    settle().await;
    clock.set(HOUR - 10 * MINUTE);
    settle().await;
    assert_eq!(cache.snapshot().next_refresh, Some(clock.now()));
    pass(&clock, 5 * MINUTE).await;
    settle().await;
    assert_eq!(cache.loader().loads(), 2, "due since then");
}

#[tokio::test(start_paused = true)]
async fn a_denial_in_the_last_second_is_an_error_for_five_seconds_after_expiry() {
    let (cache, clock) = cache();
    load_unserved(&cache, "first").await;
    clock.advance(HOUR - SECOND / 2);
    let mut refresh = Refresh::of(&cache);
    assert!(refresh.result().await.is_none());
    cache.loader().fail(1, denied(OWN_HOP));
    settle().await;
    clock.advance(SECOND * 13 / 2);
    let mut caller = Caller::of(&cache);
    caller.assert_waits().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_does_not_sleep_through_the_window_of_a_machine_that_was_suspended() {
    let clock = Clock::default();
    let cache = cache_of(&clock, SharedAsyncSleep::new(TokioSleep::new()));
    load_unserved(&cache, "first").await;
    served(&cache);
    settle().await;
    clock.advance(ADVISORY - 3 * MINUTE); // suspended
    for _ in 0..9 {
        pass(&clock, MINUTE).await;
        settle().await;
    }
    assert_eq!(
        cache.loader().loads(),
        2,
        "in the window for minutes, {:?} after the load",
        clock.elapsed()
    );
}

/// Creates an empty cache, and the clock that it uses.
fn cache() -> (CredentialsCache<Loader>, Clock) {
    let clock = Clock::default();
    let cache = cache_of(&clock, SharedAsyncSleep::new(clock.clone()));
    (cache, clock)
}

fn cache_of(clock: &Clock, sleep: SharedAsyncSleep) -> CredentialsCache<Loader> {
    let loader = Loader {
        clock: clock.clone(),
        started: Mutex::default(),
        is_interactive: Mutex::new(false),
        on_asked: Mutex::default(),
        panics: Mutex::new(false),
    };
    CredentialsCache::new(loader, SharedTimeSource::new(clock.clone()), sleep)
}

/// Loads credentials that last an hour and serves them to no caller, so that there is no timer.
async fn load_unserved(cache: &CredentialsCache<Loader>, key: &str) {
    refresh_to(cache, 0, key).await;
}

/// Forces a refresh, which is the load with this number, and lets it succeed.
async fn refresh_to(cache: &CredentialsCache<Loader>, load: usize, key: &str) {
    let mut refresh = Refresh::of(cache);
    assert!(refresh.result().await.is_none(), "it waits");
    cache.loader().succeed(load, key);
    refresh.result().await.expect("it has ended").unwrap();
}

/// Lets the first load fail.
async fn fail_cold(cache: &CredentialsCache<Loader>, error: Error) {
    let mut caller = Caller::of(cache);
    caller.assert_waits().await;
    cache.loader().fail(0, error);
    caller.error().await;
}

/// Returns the access key ID that a caller is served without waiting.
#[track_caller]
fn served(cache: &CredentialsCache<Loader>) -> String {
    match cache.lookup(|session| session.credentials.clone()) {
        Some(result) => result.unwrap().access_key_id().to_owned(),
        None => panic!("a caller would have to wait"),
    }
}

/// Lets every task of this runtime run until it waits for something.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Returns the number of tasks of this runtime: loads and timers.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// Creates another runtime with tokio's clock paused, like that of these tests.
fn paused_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Lets time pass on both clocks.
async fn pass(clock: &Clock, time: Duration) {
    tokio::time::advance(time).await;
    let elapsed = clock.elapsed();
    clock.set(elapsed + time);
}

type Polled<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A call to the cache that is polled by hand.
struct Call<T>(Polled<T>);

/// A caller that needs credentials.
type Caller = Call<Result<Credentials, Error>>;
/// A forced refresh.
type Refresh = Call<Result<(), Error>>;
/// The next hop, when STS has rejected its signing credentials.
type Replace = Call<Option<Result<Credentials, Error>>>;

impl<T> Call<T> {
    fn poll(&mut self) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        match self.0.as_mut().poll(&mut context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Polls until nothing changes: a call whose load was lost starts another, and must be polled again.
    async fn result(&mut self) -> Option<T> {
        for _ in 0..3 {
            settle().await;
            if let Some(result) = self.poll() {
                return Some(result);
            }
        }
        settle().await;
        None
    }
}

impl Caller {
    fn of(cache: &CredentialsCache<Loader>) -> Self {
        let cache = cache.clone();
        Self(Box::pin(async move {
            match cache.lookup(|session| session.credentials.clone()) {
                Some(result) => result,
                None => cache.get_or_load(Requester::Caller).await,
            }
        }))
    }

    async fn assert_waits(&mut self) {
        let result = self.result().await;
        assert!(result.is_none(), "it does not wait: {result:?}");
    }

    /// Returns the access key ID that the caller is served.
    async fn key(&mut self) -> String {
        let credentials = self.result().await.expect("it waits").unwrap();
        credentials.access_key_id().to_owned()
    }

    async fn error(&mut self) -> Error {
        self.result().await.expect("it waits").unwrap_err()
    }
}

impl Refresh {
    fn of(cache: &CredentialsCache<Loader>) -> Self {
        let cache = cache.clone();
        Self(Box::pin(async move { cache.refresh().await }))
    }
}

impl Replace {
    fn of(cache: &CredentialsCache<Loader>, rejected: &'static str) -> Self {
        Self::with(cache, rejected, Requester::Caller)
    }

    fn with(
        cache: &CredentialsCache<Loader>,
        rejected: &'static str,
        requester: Requester,
    ) -> Self {
        let cache = cache.clone();
        Self(Box::pin(
            async move { cache.replace(rejected, requester).await },
        ))
    }

    async fn key(&mut self) -> String {
        let replaced = self.result().await.expect("it waits");
        let credentials = replaced.expect("there are others").unwrap();
        credentials.access_key_id().to_owned()
    }

    async fn error(&mut self) -> Error {
        let replaced = self.result().await.expect("it waits");
        replaced.expect("a load was tried").unwrap_err()
    }
}

/// The number of the loader's hop.
const OWN_HOP: usize = 2;

/// A loader whose loads wait until the test ends them.
struct Loader {
    clock: Clock,
    started: Mutex<Vec<Started>>,
    is_interactive: Mutex<bool>,
    /// Called by `is_interactive`.
    on_asked: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// Whether `load` panics instead of returning a future.
    panics: Mutex<bool>,
}

struct Started {
    reason: LoadReason,
    gate: Option<oneshot::Sender<Outcome>>,
}

enum Outcome {
    Result(Result<Session, Error>),
    Panic,
}

impl Load for Loader {
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        let (gate, opened) = oneshot::channel();
        self.started.lock().unwrap().push(Started {
            reason,
            gate: Some(gate),
        });
        let panics = *self.panics.lock().unwrap();
        assert!(!panics, "the loader's own bug");
        Box::pin(async {
            match opened.await.expect("the test keeps the gate") {
                Outcome::Result(result) => result,
                Outcome::Panic => panic!("the loader's own bug"),
            }
        })
    }

    fn is_interactive(&self) -> bool {
        if let Some(do_it) = &*self.on_asked.lock().unwrap() {
            do_it();
        }
        *self.is_interactive.lock().unwrap()
    }

    fn is_loading_in_this_task(&self) -> bool {
        false
    }

    fn error(&self, kind: ErrorKind) -> Error {
        error(OWN_HOP, kind)
    }

    fn is_own(&self, error: &Error) -> bool {
        error.is_of_hop(OWN_HOP)
    }
}

impl Loader {
    /// Returns the number of loads that were started.
    fn loads(&self) -> usize {
        self.started.lock().unwrap().len()
    }

    fn reason(&self, load: usize) -> LoadReason {
        self.started.lock().unwrap()[load].reason
    }

    fn set_interactive(&self, is_interactive: bool) {
        *self.is_interactive.lock().unwrap() = is_interactive;
    }

    fn set_panics(&self, panics: bool) {
        *self.panics.lock().unwrap() = panics;
    }

    fn session(&self, key: &str, lifetime: Duration) -> Session {
        let expiry = self.clock.now() + lifetime;
        Session::new(key, "secret", "token", expiry, None, None)
    }

    /// Ends a load with credentials that last an hour.
    #[track_caller]
    fn succeed(&self, load: usize, key: &str) {
        self.end(load, Outcome::Result(Ok(self.session(key, HOUR))));
    }

    #[track_caller]
    fn fail(&self, load: usize, error: Error) {
        self.end(load, Outcome::Result(Err(error)));
    }

    #[track_caller]
    fn end(&self, load: usize, outcome: Outcome) {
        let gate = self.started.lock().unwrap()[load].gate.take();
        let sent = gate.expect("it has not ended").send(outcome);
        assert!(sent.is_ok(), "the load was dropped");
    }
}

fn error(hop: usize, kind: ErrorKind) -> Error {
    let step = Step {
        hop,
        ..Step::from(Operation::AssumeRole)
    };
    step.failed(kind).into()
}

/// A failure that is not transient.
fn denied(hop: usize) -> Error {
    let refusal = Refusal {
        code: "AccessDenied".to_owned(),
        message: None,
        request_id: None,
        meaning: Meaning::Denied,
    };
    error(hop, ErrorKind::Refused(refusal))
}

/// A transient failure.
fn unreachable(hop: usize) -> Error {
    let what = "STS could not be called".to_owned();
    error(hop, ErrorKind::NoAnswer { what })
}

fn interaction_required() -> Error {
    error(OWN_HOP, ErrorKind::InteractionRequired)
}

/// A clock that stands still until the test moves it, and the sleeps that wait for it.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Times>>);

#[derive(Debug, Default)]
struct Times {
    elapsed: Duration,
    sleeps: Vec<(Duration, oneshot::Sender<()>)>,
}

impl Clock {
    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().elapsed
    }

    fn advance(&self, time: Duration) {
        self.set(self.elapsed() + time);
    }

    /// Sets the time since the start, and wakes the sleeps that have ended.
    fn set(&self, elapsed: Duration) {
        let mut times = self.0.lock().unwrap();
        times.elapsed = elapsed;
        let (over, left) = std::mem::take(&mut times.sleeps)
            .into_iter()
            .partition(|(until, _)| *until <= elapsed);
        times.sleeps = left;
        drop(times);
        for (_, wake) in over {
            // The sleep may have been dropped.
            let _ = wake.send(());
        }
    }

    /// Advances in steps, so that the loads on this runtime record their heartbeats.
    async fn advance_in_steps(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(HEARTBEAT);
            self.advance(step);
            settle().await;
            left -= step;
        }
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let start = SystemTime::UNIX_EPOCH + 1_000_000 * SECOND;
        start + self.0.lock().unwrap().elapsed
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let (wake, woken) = oneshot::channel();
        let mut times = self.0.lock().unwrap();
        let until = times.elapsed + duration;
        times.sleeps.push((until, wake));
        Sleep::new(async move {
            // Never an error: the clock outlives its sleeps.
            let _ = woken.await;
        })
    }
}
