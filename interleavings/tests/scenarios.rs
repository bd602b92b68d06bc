//! The rules that must hold in every interleaving.

use std::time::Duration;

use aws_smithy_async::rt::sleep::AsyncSleep;
use interleavings::{
    ADVISORY, Cache, Clock, Error, Gives, Handle, JoinHandle, Key, LIFETIME, MANDATORY, search,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicBool, Ordering};

const SECOND: Duration = Duration::from_secs(1);

/// A load counts as abandoned if its runtime has not polled it for this long.
const ABANDONED: Duration = Duration::from_secs(60);

type Call = JoinHandle<Result<Key, Error>>;

fn calls(cache: &Cache, runtime: &Handle, count: usize) -> Vec<Call> {
    let call = || runtime.spawn(cache.clone().call());
    std::iter::repeat_with(call).take(count).collect()
}

async fn key(call: Call) -> Key {
    let result = call.join().await.expect("the caller is not dropped");
    result.expect("the caller gets credentials")
}

async fn error(call: Call) -> Error {
    let result = call.join().await.expect("the caller is not dropped");
    result.expect_err("the caller gets an error")
}

/// Waits for a random number of scheduling points, so that the test continues at any step of the other tasks.
fn at_any_point() {
    let most = 1 << thread_rng().gen_range(0..8);
    let point = AtomicBool::new(false);
    for _ in 0..thread_rng().gen_range(0..most) {
        point.load(Ordering::SeqCst);
    }
}

/// Waits until no other task can run.
async fn settle(clock: &Clock) {
    clock.sleep(Duration::from_millis(1)).await;
}

/// Drops the cache after all callers have returned, and checks that its timer ends at once.
async fn end(clock: &Clock, cache: Cache, runtimes: &[&Handle]) {
    settle(clock).await;
    let loader = cache.loader();
    let loads = loader.loads();
    assert_eq!(cache.fresh(), loader.newest());
    drop(cache);
    settle(clock).await;
    for runtime in runtimes {
        assert_eq!(runtime.tasks(), 0, "tasks outlive the cache");
    }
    assert_eq!(loader.loads(), loads, "loads after the end");
}

#[test]
fn a_cold_herd_shares_one_load() {
    search("cold herd", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        for call in calls(&cache, &runtime, 3) {
            assert_eq!(key(call).await, 1);
        }
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        settle(&clock).await;
        assert_eq!(cache.loader().loads(), 1);
        assert_eq!(runtime.tasks(), 1, "one timer");
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_herd_whose_load_fails_shares_the_error_and_the_next_call_loads() {
    search("failing herd", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |id| match id {
            1 => Gives::AccessDenied.at_once(),
            _ => Gives::Session.at_once(),
        });
        for call in calls(&cache, &runtime, 3) {
            assert!(error(call).await.is_access_denied());
        }
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 1);
        clock.sleep(5 * SECOND).await;
        for call in calls(&cache, &runtime, 2) {
            assert_eq!(key(call).await, 2);
        }
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_load_that_panics_is_an_error_of_all_its_callers() {
    search("panic", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Panic.at_once());
        for call in calls(&cache, &runtime, 3) {
            assert!(error(call).await.is_transient());
        }
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 1);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn forced_refreshes_and_calls_share_loads_that_run_one_after_another() {
    search("forced refreshes", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let refreshes = [(); 2].map(|()| runtime.spawn(cache.clone().refresh()));
        for call in calls(&cache, &runtime, 2) {
            key(call).await;
        }
        for refresh in refreshes {
            refresh.join().await.unwrap().unwrap();
        }
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        assert!(cache.loader().loads() <= 3);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn callers_that_need_a_longer_session_share_one_load_and_others_do_not_wait_for_it() {
    search("longer sessions", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |_| Gives::Session.after(SECOND)).await;
        let warm = clock.elapsed();
        clock.jump(LIFETIME / 2);
        let needing = |min| runtime.spawn(cache.clone().valid_for(min));
        let longer = [(); 3].map(|()| needing(LIFETIME * 3 / 4));
        assert!(key(needing(LIFETIME / 4)).await <= 2);
        assert_eq!(clock.elapsed() - warm, LIFETIME / 2, "nobody else waits");
        for call in longer {
            assert_eq!(key(call).await, 2);
        }
        assert!(
            clock.elapsed() - warm <= LIFETIME / 2 + SECOND,
            "woken by a timeout"
        );
        assert_eq!(cache.loader().loads(), 2);
        // A new session would not last longer, so STS is not called again.
        let most = [(); 2].map(|()| needing(LIFETIME * 2));
        for call in most {
            error(call).await;
        }
        assert_eq!(cache.loader().loads(), 2);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_due_session_is_refreshed_by_one_load_in_the_background() {
    search("advisory window", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |_| Gives::Session.at_once()).await;
        clock.jump(ADVISORY);
        for call in calls(&cache, &runtime, 3) {
            key(call).await;
        }
        assert_eq!(clock.elapsed(), ADVISORY, "nobody waits");
        settle(&clock).await;
        assert_eq!(cache.loader().loads(), 2);
        assert_eq!(cache.lookup().unwrap().unwrap(), 2);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn callers_share_the_refresh_of_a_session_that_is_about_to_expire() {
    search("mandatory window", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |_| Gives::Session.at_once()).await;
        clock.jump(MANDATORY);
        for call in calls(&cache, &runtime, 3) {
            assert_eq!(key(call).await, 2);
        }
        assert_eq!(clock.elapsed(), MANDATORY, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 2);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn callers_go_on_with_a_valid_session_after_a_second_and_a_slow_load_is_not_given_up() {
    search("slow load", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |id| match id {
            1 => Gives::Session.at_once(),
            _ => Gives::Session.after(300 * SECOND),
        })
        .await;
        clock.jump(MANDATORY);
        for call in calls(&cache, &runtime, 3) {
            assert_eq!(key(call).await, 1);
        }
        assert_eq!(clock.elapsed(), MANDATORY + SECOND);
        clock.sleep(200 * SECOND).await;
        let asked = clock.elapsed();
        for call in calls(&cache, &runtime, 2) {
            assert_eq!(key(call).await, 1);
        }
        assert_eq!(
            clock.elapsed(),
            asked,
            "the load has taken too long already"
        );
        clock.sleep(100 * SECOND).await;
        assert_eq!(cache.loader().loads(), 2);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn callers_without_credentials_wait_for_a_slow_load_however_long_it_takes() {
    search("slow cold load", |clock| async move {
        let [one, other] = [Handle::default(), Handle::default()];
        let cache = Cache::new(&clock, |_| Gives::Session.after(600 * SECOND));
        let mut waiting = calls(&cache, &one, 1);
        waiting.extend(calls(&cache, &other, 2));
        for call in waiting {
            assert_eq!(key(call).await, 1);
        }
        assert_eq!(clock.elapsed(), 600 * SECOND);
        end(&clock, cache, &[&one, &other]).await;
    });
}

#[test]
fn a_load_survives_its_callers() {
    search("dropped callers", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let dropped = calls(&cache, &runtime, 2);
        let waiting = calls(&cache, &runtime, 1);
        for call in &dropped {
            at_any_point();
            call.abort_handle().abort();
        }
        for call in waiting {
            assert_eq!(key(call).await, 1);
        }
        for call in dropped {
            call.join().await;
        }
        for call in calls(&cache, &runtime, 1) {
            assert_eq!(key(call).await, 1);
        }
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 1);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_chain_dropped_at_any_point_leaves_no_task() {
    search("dropped chain", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let loader = cache.loader();
        let waiting = calls(&cache, &runtime, 2);
        let dropped = calls(&cache, &runtime, 1);
        at_any_point();
        drop(cache);
        for call in dropped {
            call.abort_handle().abort();
            call.join().await;
        }
        for call in waiting {
            assert_eq!(key(call).await, 1);
        }
        runtime.idle().await;
        assert_eq!(
            clock.elapsed(),
            Duration::ZERO,
            "the timer outlives the cache"
        );
        assert_eq!(loader.loads(), 1);
    });
}

#[test]
fn a_chain_dropped_while_its_timer_refreshes_leaves_no_task() {
    search("chain dropped at a refresh", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let loader = cache.loader();
        for call in calls(&cache, &runtime, 1) {
            key(call).await;
        }
        let due = cache.due_in(&clock).unwrap();
        clock.sleep(due).await;
        at_any_point();
        drop(cache);
        runtime.idle().await;
        assert_eq!(clock.elapsed(), due, "the timer outlives the cache");
        assert!(loader.loads() <= 2);
    });
}

#[test]
fn a_timer_refreshes_a_chain_in_use_and_stops_with_its_use() {
    search("timer", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        for (id, count) in [(1, 2), (2, 2)] {
            for call in calls(&cache, &runtime, count) {
                assert_eq!(key(call).await, id);
            }
            let asked = clock.elapsed();
            settle(&clock).await;
            assert_eq!(runtime.tasks(), 1, "one timer");
            clock.sleep(ADVISORY).await;
            assert_eq!(cache.loader().loads(), id + 1);
            assert!(clock.elapsed() < asked + MANDATORY);
        }
        clock.sleep(LIFETIME / 2).await;
        assert_eq!(runtime.tasks(), 0, "nobody uses the chain");
        assert_eq!(cache.loader().loads(), 3);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_runtime_shut_down_at_any_point_leaves_no_caller_of_another_waiting() {
    search("runtime shut down", |clock| async move {
        let [lost, other] = [Handle::default(), Handle::default()];
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let dropped = calls(&cache, &lost, 1);
        let thread = lost.spawn_thread(cache.clone().call());
        let waiting = calls(&cache, &other, 2);
        at_any_point();
        lost.shut_down();
        for call in waiting {
            key(call).await;
        }
        for call in dropped {
            call.join().await;
        }
        // The result may be an error, because its own runtime was shut down.
        let _ = thread.await.unwrap();
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        assert!(cache.loader().loads() <= 2);
        // Until its task is dropped, the timer of that runtime counts as running.
        lost.idle().await;
        for call in calls(&cache, &other, 1) {
            key(call).await;
        }
        settle(&clock).await;
        assert_eq!(
            other.tasks(),
            1,
            "the timer is that of a runtime that lives"
        );
        end(&clock, cache, &[&other]).await;
    });
}

#[test]
fn callers_whose_own_runtime_is_shut_down_do_not_wait_for_another() {
    search("own runtime shut down", |clock| async move {
        let lost = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let threads = [(); 2].map(|()| lost.spawn_thread(cache.clone().call()));
        at_any_point();
        lost.shut_down();
        for thread in threads {
            // Credentials if a load has ended before, otherwise an error.
            let _ = thread.await.unwrap();
        }
        lost.idle().await;
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        end(&clock, cache, &[&lost]).await;
    });
}

#[test]
fn a_refresh_lost_with_its_runtime_is_made_by_the_next_caller() {
    search("refresh lost with its runtime", |clock| async move {
        let [lost, other] = [Handle::default(), Handle::default()];
        let cache = Cache::warm(&clock, &other, |_| Gives::Session.at_once()).await;
        clock.jump(ADVISORY);
        let dropped = calls(&cache, &lost, 2);
        at_any_point();
        lost.shut_down();
        for call in dropped {
            call.join().await;
        }
        settle(&clock).await;
        for call in calls(&cache, &other, 2) {
            key(call).await;
        }
        settle(&clock).await;
        assert!(cache.fresh() > Some(1));
        assert!(cache.loader().loads() <= 3);
        end(&clock, cache, &[&other]).await;
    });
}

#[test]
fn a_load_on_a_stalled_runtime_is_abandoned_and_may_complete_late() {
    search("stalled runtime", |clock| async move {
        let [stalled, other] = [Handle::default(), Handle::default()];
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let frozen = calls(&cache, &stalled, 2);
        let waiting = calls(&cache, &other, 2);
        at_any_point();
        stalled.stall();
        for call in waiting {
            key(call).await;
        }
        assert!(clock.elapsed() <= ABANDONED);
        assert!(cache.loader().loads() <= 2);
        stalled.resume();
        for call in frozen {
            key(call).await;
        }
        assert!(cache.loader().loads() <= 2);
        end(&clock, cache, &[&stalled, &other]).await;
    });
}

#[test]
fn a_load_that_has_not_started_when_another_replaces_it_is_never_made() {
    search("late start", |clock| async move {
        let [stalled, other] = [Handle::default(), Handle::default()];
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let frozen = calls(&cache, &stalled, 2);
        at_any_point();
        stalled.stall();
        // A task that is being polled continues until it waits.
        clock.sleep(SECOND).await;
        let begun = cache.loader().loads();
        for call in calls(&cache, &other, 2) {
            key(call).await;
        }
        stalled.resume();
        for call in frozen {
            key(call).await;
        }
        assert!(cache.loader().loads() <= begun + 1);
        let loader = cache.loader();
        end(&clock, cache, &[&stalled, &other]).await;
        assert!(loader.loads() <= begun + 1);
    });
}

#[test]
fn a_late_result_replaces_no_newer_session_and_ends_no_newer_load() {
    search("late result", |clock| async move {
        let [stalled, other] = [Handle::default(), Handle::default()];
        let cache = Cache::new(&clock, |id| match id {
            3.. => Gives::Session.after(10 * SECOND),
            _ => Gives::Session.at_once(),
        });
        let frozen = calls(&cache, &stalled, 1);
        at_any_point();
        stalled.stall();
        for call in calls(&cache, &other, 1) {
            key(call).await;
        }
        let early = other.spawn(cache.clone().refresh());
        at_any_point();
        stalled.resume();
        clock.sleep(SECOND).await;
        let late = other.spawn(cache.clone().refresh());
        for refresh in [early, late] {
            refresh.join().await.unwrap().unwrap();
        }
        for call in frozen {
            key(call).await;
        }
        end(&clock, cache, &[&stalled, &other]).await;
    });
}

#[test]
fn a_load_that_failed_while_its_machine_was_suspended_is_made_again() {
    search("suspended machine", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |id| match id {
            1 => Gives::AccessDenied.after(30 * SECOND),
            _ => Gives::Session.at_once(),
        });
        let waiting = calls(&cache, &runtime, 3);
        clock.sleep(10 * SECOND).await;
        cache.loader().may_overlap();
        clock.jump(90 * SECOND);
        for call in waiting {
            assert_eq!(key(call).await, 2);
        }
        assert_eq!(clock.elapsed(), 100 * SECOND, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 2);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_session_invalidated_while_a_load_completes_is_not_served_after_it() {
    search("invalidate against complete", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |_| Gives::Session.at_once()).await;
        clock.jump(100 * SECOND);
        let refresh = runtime.spawn(cache.clone().refresh());
        let replaced = [(); 2].map(|()| runtime.spawn(cache.clone().replace(1)));
        let invalidated = runtime.spawn({
            let cache = cache.clone();
            async move {
                assert!(cache.invalidate(1));
                cache.call().await
            }
        });
        assert!(key(invalidated).await > 1);
        for replaced in replaced {
            let replaced = replaced.join().await.unwrap();
            assert!(replaced.expect("it is old enough").unwrap() > 1);
        }
        refresh.join().await.unwrap().unwrap();
        assert_eq!(clock.elapsed(), 100 * SECOND, "woken by a timeout");
        assert!(cache.fresh() > Some(1));
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_session_that_many_complain_of_is_replaced_by_one_load() {
    search("complaints", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |_| Gives::Session.at_once()).await;
        clock.jump(100 * SECOND);
        let replaced = [(); 3].map(|()| runtime.spawn(cache.clone().replace(1)));
        for replaced in replaced {
            let replaced = replaced.join().await.unwrap();
            assert_eq!(replaced.expect("it is old enough").unwrap(), 2);
        }
        assert_eq!(clock.elapsed(), 100 * SECOND, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 2);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn complaints_share_the_failure_of_the_load_that_they_wait_for() {
    search("complaints in an outage", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |id| match id {
            2 => Gives::Outage.at_once(),
            _ => Gives::Session.at_once(),
        })
        .await;
        clock.jump(100 * SECOND);
        let replaced = [(); 3].map(|()| runtime.spawn(cache.clone().replace(1)));
        for replaced in replaced {
            let replaced = replaced.join().await.unwrap();
            assert!(replaced.expect("it is old enough").is_err());
        }
        assert_eq!(clock.elapsed(), 100 * SECOND, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 2);
        assert_eq!(cache.lookup().unwrap().unwrap(), 1);
        drop(cache);
        runtime.idle().await;
        assert_eq!(
            clock.elapsed(),
            100 * SECOND,
            "the timer outlives the cache"
        );
    });
}

#[test]
fn a_person_is_asked_once_by_all_who_wait() {
    search("a person asked", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.after(90 * SECOND));
        cache.set_interactive(true);
        for call in calls(&cache, &runtime, 3) {
            assert_eq!(key(call).await, 1);
        }
        assert_eq!(clock.elapsed(), 90 * SECOND);
        assert_eq!(cache.loader().prompts(), 1);
        settle(&clock).await;
        assert_eq!(runtime.tasks(), 0, "no timer asks a person");
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_caller_who_joins_a_load_that_may_ask_nobody_asks_itself() {
    search("a person asked by who joined", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::warm(&clock, &runtime, |_| Gives::Session.at_once()).await;
        clock.jump(LIFETIME - 60 * SECOND - SECOND / 2);
        let background = calls(&cache, &runtime, 1);
        at_any_point();
        cache.set_interactive(true);
        at_any_point();
        clock.jump(SECOND / 2);
        let now = clock.elapsed();
        for call in calls(&cache, &runtime, 2) {
            assert!(key(call).await > 1);
        }
        for call in background {
            key(call).await;
        }
        assert_eq!(clock.elapsed(), now, "woken by a timeout");
        assert!(cache.loader().prompts() <= 1);
        end(&clock, cache, &[&runtime]).await;
    });
}

#[test]
fn a_caller_without_a_runtime_holds_up_nobody() {
    search("no runtime", |clock| async move {
        let runtime = Handle::default();
        let cache = Cache::new(&clock, |_| Gives::Session.at_once());
        let without = shuttle::future::spawn(cache.clone().call());
        for call in calls(&cache, &runtime, 2) {
            assert_eq!(key(call).await, 1);
        }
        // An error, unless a session has already been cached.
        let _ = without.await.unwrap();
        assert_eq!(clock.elapsed(), Duration::ZERO, "woken by a timeout");
        assert_eq!(cache.loader().loads(), 1);
        end(&clock, cache, &[&runtime]).await;
    });
}
