//! One load at a time, shared by all waiting callers; a caller that gives up cancels nothing.

mod cancellation;
mod hanging_loads;
mod herds;
mod limiter;
mod parents;
mod providers;
mod runtimes;
mod waits;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain};
use sts_simulator::{Fault, Simulator};
use tokio::task::JoinSet;

use crate::common::*;

fn shared(chain: &RoleChain) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(chain.clone())
}

/// Calls all chains concurrently, each in its own task, and returns their number. All calls must succeed.
async fn herd(chains: impl IntoIterator<Item = RoleChain>) -> usize {
    let mut callers = JoinSet::new();
    for chain in chains {
        callers.spawn(async move { chain.provide_credentials().await.map(drop) });
    }
    let results = callers.join_all().await;
    for result in &results {
        assert!(result.is_ok(), "{result:?}");
    }
    results.len()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn in_runtime<T>(make: impl FnOnce() -> T) -> T {
    runtime().block_on(async { make() })
}

/// Runs a future outside of tokio.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

// Handles can be sent and shared between threads and tasks.
const _: fn() = || {
    fn is<T: Clone + Send + Sync + std::fmt::Debug>() {}
    is::<RoleChain>();
    is::<Simulator>();
    is::<aws_role_chain::Error>();
};
