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

// All public types can be cloned, shown, and shared between threads and tasks. All futures can be sent.
const _: fn() = || {
    fn is<T: Clone + Send + Sync + Unpin + std::fmt::Debug>() {}
    is::<aws_role_chain::AllowedRoles>();
    is::<aws_role_chain::ChainPool>();
    is::<aws_role_chain::ChainPoolBuilder>();
    is::<aws_role_chain::Diagnosis>();
    is::<aws_role_chain::DiagnosisStep>();
    is::<aws_role_chain::Error>();
    is::<aws_role_chain::Health>();
    is::<aws_role_chain::HopStatus>();
    is::<aws_role_chain::MfaReason>();
    is::<aws_role_chain::MfaRequest>();
    is::<aws_role_chain::ProfileLoader>();
    is::<aws_role_chain::Role>();
    is::<aws_role_chain::SamlAssertion>();
    is::<aws_role_chain::SessionRenewal>();
    is::<aws_role_chain::SessionTokenRequest>();
    is::<aws_role_chain::TerminalPrompt>();
    is::<aws_role_chain::Totp>();
    is::<aws_role_chain::TotpError>();
    is::<aws_role_chain::WebIdentityToken>();
    is::<aws_role_chain::policy::Document>();
    is::<aws_role_chain::policy::HopPolicies>();
    is::<aws_role_chain::policy::Principal>();
    is::<RoleChain>();
    is::<Simulator>();
};

const _: fn(&RoleChain, aws_role_chain::ProfileLoader) = |chain, loader| {
    fn is_send(_: impl Send) {}
    is_send(chain.refresh());
    is_send(chain.credentials_valid_for(Duration::ZERO));
    is_send(chain.diagnose());
    is_send(loader.load());
};
