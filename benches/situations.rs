//! The situations that the crate is for, beside aws-config's own provider, in one run:
//! `cargo bench --bench situations`.
//!
//! STS is a stand-in on loopback in the same process, on a thread of its own; its latency is a timer's, so a
//! round trip takes somewhat longer.

mod common;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Role, RoleChain};
use common::{HUB, StandIn, ours, role, sdks};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const LATENCY: Duration = Duration::from_millis(20);

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    // The first connection of a process pays for what the later ones find.
    runtime.block_on(async {
        let sts = StandIn::start(Duration::ZERO);
        let _ = ours(&sts.config(), 1).provide_credentials().await;
        let _ = sdks(&sts.config(), 1).await.provide_credentials().await;
    });
    println!("| situation | provider | wall | STS requests | connections |");
    println!("|---|---|---|---|---|");
    runtime.block_on(async {
        cold_start().await;
        herd().await;
        denied().await;
        impatient().await;
        for tenants in [100, 1_000, 10_000] {
            fork(tenants).await;
        }
    });
}

fn row(situation: &str, provider: &str, wall: Duration, sts: &StandIn) {
    let (requests, connections) = (sts.requests(), sts.connections());
    println!("| {situation} | {provider} | {wall:.1?} | {requests} | {connections} |");
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed(), done)
}

/// The middle of nine.
async fn cold_start() {
    for hops in 1..=4 {
        let situation = format!("cold start, {hops} hops");
        let (mut ours_took, mut sdk_took) = (Vec::new(), Vec::new());
        let (mut ours_sts, mut sdk_sts) = (None, None);
        for _ in 0..9 {
            let sts = StandIn::start(LATENCY);
            let chain = ours(&sts.config(), hops);
            ours_took.push(timed(chain.provide_credentials()).await.0);
            ours_sts = Some(sts);
            let sts = StandIn::start(LATENCY);
            let provider = sdks(&sts.config(), hops).await;
            sdk_took.push(timed(provider.provide_credentials()).await.0);
            sdk_sts = Some(sts);
        }
        for (provider, mut took, sts) in [
            ("aws-role-chain", ours_took, ours_sts),
            ("AssumeRoleProvider", sdk_took, sdk_sts),
        ] {
            took.sort();
            row(&situation, provider, took[4], &sts.expect("nine runs"));
        }
    }
}

async fn all_at_once<P: ProvideCredentials + 'static>(provider: P, callers: usize) -> usize {
    let provider = Arc::new(provider);
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let provider = provider.clone();
        calls.spawn(async move { provider.provide_credentials().await.is_ok() });
    }
    calls
        .join_all()
        .await
        .into_iter()
        .filter(|served| *served)
        .count()
}

async fn herd() {
    let situation = "1,000 callers at once, 2 hops, cold";
    let sts = StandIn::start(LATENCY);
    let (wall, served) = timed(all_at_once(ours(&sts.config(), 2), 1000)).await;
    assert_eq!(served, 1000);
    row(situation, "aws-role-chain", wall, &sts);
    let sts = StandIn::start(LATENCY);
    let (wall, _) = timed(all_at_once(sdks(&sts.config(), 2).await, 1000)).await;
    row(situation, "AssumeRoleProvider", wall, &sts);
}

async fn denied() {
    let situation = "1,000 callers at once, AccessDenied";
    let sts = StandIn::denying(LATENCY);
    let (wall, _) = timed(all_at_once(ours(&sts.config(), 1), 1000)).await;
    row(situation, "aws-role-chain", wall, &sts);
    let sts = StandIn::denying(LATENCY);
    let (wall, _) = timed(all_at_once(sdks(&sts.config(), 1).await, 1000)).await;
    row(situation, "AssumeRoleProvider", wall, &sts);
}

/// Callers that give up before the load ends.
async fn impatient() {
    let patience = LATENCY * 3 / 2;
    let served = async |provider: &dyn ProvideCredentials| {
        let mut served = 0;
        for _ in 0..50 {
            let answer = tokio::time::timeout(patience, provider.provide_credentials()).await;
            served += usize::from(matches!(answer, Ok(Ok(_))));
        }
        served
    };
    let sts = StandIn::start(LATENCY);
    let chain = ours(&sts.config(), 2);
    let (wall, n) = timed(served(&chain)).await;
    row(
        &format!("patience of 1½ round trips, 2 hops: {n} of 50 served"),
        "aws-role-chain",
        wall,
        &sts,
    );
    let sts = StandIn::start(LATENCY);
    let provider = sdks(&sts.config(), 2).await;
    let (wall, n) = timed(served(&provider)).await;
    row(
        &format!("patience of 1½ round trips, 2 hops: {n} of 50 served"),
        "AssumeRoleProvider",
        wall,
        &sts,
    );
}

/// Tenants of one hub, built and used once, 64 at a time; STS at 5 ms.
async fn fork(tenants: usize) {
    let sts = StandIn::start(Duration::from_millis(5));
    let hub = RoleChain::new(&sts.config(), Role::new(HUB)).expect("a role");
    hub.refresh().await.expect("a session");
    let before = resident();
    let (built, chains) = timed(async {
        let chains = (0..tenants).map(|n| hub.assume(Role::new(role(n)).external_id("c0ffee")));
        chains.collect::<Result<Vec<_>, _>>().expect("roles")
    })
    .await;
    let unused = resident();
    let at_once = Arc::new(Semaphore::new(64));
    let (used, ()) = timed(async {
        let mut calls = JoinSet::new();
        for chain in &chains {
            let (chain, at_once) = (chain.clone(), at_once.clone());
            calls.spawn(async move {
                let _permit = at_once.acquire().await;
                chain.provide_credentials().await.map(drop)
            });
        }
        for served in calls.join_all().await {
            served.expect("a session");
        }
    })
    .await;
    let after = resident();
    let each = |bytes: u64| bytes as f64 / 1024.0 / tenants as f64;
    let situation = format!(
        "{tenants} tenants of one hub: {:.1?} to build each, {:.1} KiB each before first use, {:.1} KiB after",
        built / tenants as u32,
        each(unused.saturating_sub(before)),
        each(after.saturating_sub(before)),
    );
    row(&situation, "aws-role-chain", used, &sts);
}

/// Resident memory in bytes; 0 where /proc does not tell.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}
