//! Measures the first use of many tenants by processes that share one account's quota and know nothing of each other.
//!
//! ```sh
//! cargo bench --all-features --bench quota
//! ```
//!
//! STS is a token bucket in memory, under tokio's paused clock. Each process is simulated by a base config of its own,
//! so processes share nothing but STS. All start at the same moment, with 1,000 tenants each or with one. A caller that
//! gets an error tries again a second later.

mod common;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::config::retry::{RetryConfig, RetryPartition};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_types::SdkConfig;
use common::{CachedAssumeRole, Chain, InMemorySts, Provider, Quota, Tenants, paused, table};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The number of processes, and of the tenants of each.
const CASES: [(usize, usize); 6] = [
    (1, 1_000),
    (2, 1_000),
    (5, 1_000),
    (10, 1_000),
    (50, 1_000),
    (1_000, 1),
];

/// STS's quota with a smaller burst.
const SMALL_BURST: Quota = Quota {
    burst: 60.0,
    ..Quota::STS
};

fn main() {
    let mut table = table([
        "STS allows 600 calls a second",
        "burst",
        "processes × tenants",
        "failed first calls",
        "STS requests, × minimum",
        "all served after, × minimum",
    ]);
    for case in CASES {
        table.add_row(measure::<Chain>(case, Quota::STS));
        table.add_row(measure::<Chain>(case, SMALL_BURST));
        table.add_row(measure::<AdaptiveClient>(case, Quota::STS));
        // Each provider retries on its own: more processes take hours of CPU time.
        let (processes, _) = case;
        if processes <= 5 {
            table.add_row(measure::<CachedAssumeRole>(case, Quota::STS));
        }
    }
    println!("\n{table}");
}

fn measure<P: Tenants>((processes, tenants): (usize, usize), quota: Quota) -> [String; 6] {
    paused().block_on(async {
        let sts = InMemorySts::new(quota);
        let mut all = Vec::new();
        for _ in 0..processes {
            all.extend(P::tenants(&sts.config(), tenants).await);
        }
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for tenant in all {
            calls.spawn(async move {
                let is_served_at_once = tenant.retrieve().await.is_ok();
                let mut is_served = is_served_at_once;
                while !is_served {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    is_served = tenant.retrieve().await.is_ok();
                }
                is_served_at_once
            });
        }
        let first = calls.join_all().await;
        let took = began.elapsed().as_secs_f64();
        let not_served = first.iter().filter(|is_served| !**is_served).count();
        let (requests, _) = sts.requests(0);
        // One session for each tenant, and one for the hub of each process.
        let least = processes * (tenants + 1);
        let least_seconds = least as f64 / quota.rate;
        [
            P::NAME.to_owned(),
            quota.burst.to_string(),
            format!("{processes} × {tenants}"),
            format!("{:.1} %", 100.0 * not_served as f64 / first.len() as f64),
            format!("{requests}, {:.2} ×", f64::from(requests) / least as f64),
            format!("{took:.1} s, {:.2} ×", took / least_seconds),
        ]
    })
}

/// The SDK's own client, with its adaptive retry mode as the limiter. The tenants of a process share one.
struct AdaptiveClient {
    client: aws_sdk_sts::Client,
    concurrency: Arc<Semaphore>,
}

impl Provider for AdaptiveClient {
    const NAME: &'static str = "STS client, adaptive retries, 32 concurrent calls";

    async fn new(config: &SdkConfig, _: usize) -> Self {
        let tenants = Self::tenants(config, 1).await;
        tenants.into_iter().next().expect("one")
    }

    async fn retrieve(&self) -> Result<(), BoxError> {
        let _permit = self.concurrency.acquire().await?;
        let role = self.client.assume_role().role_arn(common::HUB);
        Ok(role.role_session_name("bench").send().await.map(drop)?)
    }
}

impl Tenants for AdaptiveClient {
    async fn tenants(config: &SdkConfig, count: usize) -> Vec<Self> {
        // Clients of one partition share the state of their limiter; those of different processes must not.
        static PARTITIONS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = PARTITIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let config = aws_sdk_sts::config::Builder::from(config)
            .retry_config(RetryConfig::adaptive().with_max_attempts(100))
            .retry_partition(RetryPartition::new(format!("process {number}")))
            .build();
        let client = aws_sdk_sts::Client::from_conf(config);
        // The hub's session.
        client
            .assume_role()
            .role_arn(common::HUB)
            .role_session_name("bench")
            .send()
            .await
            .ok();
        let concurrency = Arc::new(Semaphore::new(32));
        let tenant = || Self {
            client: client.clone(),
            concurrency: concurrency.clone(),
        };
        std::iter::repeat_with(tenant).take(count).collect()
    }
}
