//! [`ChainPool`]: a bounded pool of chains, one for each requested role (feature `pool`).
//!
//! It uses quick_cache, which never exceeds its capacity, and drops an evicted chain within the call that inserts its
//! successor. moka supports idle times, but evicts later, and only while the cache is used: secrets would remain in
//! memory.
#![cfg(feature = "pool")]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use aws_smithy_async::rt::sleep::AsyncSleep;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::RoleChain;
use super::hop::{Hop, Target};
use crate::error::Error;
use crate::metrics::Metric;
use crate::request::{Checked, Role};
use crate::sync::{lock, yield_now};

const DEFAULT_MAX_CHAINS: usize = 10_000;
const DEFAULT_MAX_IDLE: Duration = Duration::from_secs(60 * 60);

/// A bounded pool of chains that all start from one parent. [`get`](Self::get) returns the existing chain for a role,
/// or creates one.
///
/// Use it in services that learn with each request which customer it is for. Without a pool, a chain that is created
/// for each request calls AssumeRole for each request, and a map of chains grows without limit. Clones are cheap and
/// share everything.
///
/// Two calls get the same chain, and so share a session, only if all parameters of the [`Role`] are equal, including
/// the order of tags and the provider of MFA codes. The provider is the same only if it comes from the same call of
/// [`Role::mfa`], as in clones of a role. [`Role::allowed_roles`] is checked at each call.
///
/// # Eviction
///
/// - A chain is dropped if it was not requested within the last hour ([`max_idle`](ChainPoolBuilder::max_idle)), unless
///   the program still holds it, or a client that was created from it.
/// - Above 10,000 chains ([`max_chains`](ChainPoolBuilder::max_chains)), a chain is dropped that was requested only
///   once, or longest ago, even if the program still holds it.
///
/// Choose a capacity that is enough for all active chains: a new chain displaces another before it has credentials, and
/// even if it never gets any because STS is unavailable.
///
/// A program that holds a dropped chain can continue to use it; the next call of `get` creates another. When the last
/// handle of a chain is dropped, its credentials are dropped and its refreshes end.
///
/// # Examples
///
/// ```no_run
/// # struct Customer { role_arn: String, external_id: String }
/// # fn example(hub: aws_role_chain::RoleChain) {
/// use aws_role_chain::{ChainPool, Error, Role};
///
/// let pool = ChainPool::new(hub);
///
/// // In each request:
/// let client_for = |customer: &Customer| -> Result<_, Error> {
///     let role = Role::new(&customer.role_arn).external_id(&customer.external_id);
///     Ok(aws_sdk_firehose::Client::new(&pool.get(role)?.sdk_config()))
/// };
/// # }
/// ```
#[derive(Clone)]
pub struct ChainPool(Arc<Inner>);

struct Inner {
    parent: RoleChain,
    chains: Cache<Arc<Checked<Role>>, Arc<Pooled>, UnitWeighter, DefaultHashBuilder, Evictions>,
    max_idle: Duration,
    /// The start of idle times, by a clock that is never set.
    created_at: Instant,
    sweeper: Mutex<Sweeper>,
}

/// The task that drops idle chains. It runs while the pool is not empty.
struct Sweeper {
    task: Option<AbortHandle>,
    swept_at: Instant,
}

struct Pooled {
    chain: RoleChain,
    /// When the chain was last requested, in milliseconds since the pool was created.
    used_at: AtomicU64,
}

impl ChainPool {
    /// Creates a pool of up to 10,000 chains that start from `parent`. Each is dropped after it was idle for an hour.
    pub fn new(parent: RoleChain) -> Self {
        Self::builder(parent).build()
    }

    /// Returns a builder, for a pool with other limits.
    pub fn builder(parent: RoleChain) -> ChainPoolBuilder {
        ChainPoolBuilder {
            parent,
            max_chains: DEFAULT_MAX_CHAINS,
            max_idle: DEFAULT_MAX_IDLE,
        }
    }

    /// Returns the chain that assumes `role` with the parent's credentials: the one in the pool whose parameters are
    /// all equal, or a new one. No call is made yet, and the method does not wait.
    ///
    /// Call it for each request, and drop the chain after the request: that tells the pool which chains are in use.
    ///
    /// # Errors
    ///
    /// The errors of [`RoleChain::assume`]. A rejected role takes no space in the pool.
    pub fn get(&self, role: Role) -> Result<RoleChain, Error> {
        let Inner { parent, chains, .. } = &*self.0;
        let authentication = parent.clone().into_authentication();
        let request = authentication.check(role)?;
        let now = self.0.age();
        let mut is_hit = true;
        let pooled = chains.get_or_insert_with(&request, || {
            is_hit = false;
            let target = Target::Role(request.clone(), authentication);
            let chain = RoleChain::checked(Hop::new(parent.hop().base.clone(), target, None))?;
            let used_at = AtomicU64::new(now);
            Ok::<_, Error>(Arc::new(Pooled { chain, used_at }))
        })?;
        Metric::PoolAsked { is_hit }.record();
        if is_hit {
            pooled.used_at.store(now, Ordering::Relaxed);
        } else {
            Metric::PoolSizeChanged { by: 1.0 }.record();
        }
        self.start_sweeper(is_hit);
        Ok(pooled.chain.clone())
    }

    /// Returns the number of chains in the pool.
    pub fn len(&self) -> usize {
        self.0.chains.len()
    }

    /// Returns whether the pool has no chains.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the chains in the pool, in arbitrary order, for a page that shows their [health](RoleChain::health). The
    /// pool considers them in use until they are dropped.
    pub fn chains(&self) -> Vec<RoleChain> {
        let chains = self.0.chains.iter();
        chains.map(|(_, pooled)| pooled.chain.clone()).collect()
    }

    /// Drops the chains for which `keep` returns `false`, such as those of a customer who has left.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(pool: aws_role_chain::ChainPool) {
    /// let left = "arn:aws:iam::222222222222:role/FirehoseWriter";
    /// pool.retain(|chain| chain.role_arn() != Some(left));
    /// # }
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&RoleChain) -> bool) {
        // Called without the pool's lock, because `keep` may use the pool.
        let all: Vec<_> = self.0.chains.iter().collect();
        for (request, pooled) in all {
            if !keep(&pooled.chain) {
                self.0.remove(&request, |_| true);
            }
        }
    }

    /// Starts the task that drops idle chains, unless it runs. Without a runtime, the next call tries again.
    fn start_sweeper(&self, is_hit: bool) {
        let mut sweeper = match self.0.sweeper.try_lock() {
            Ok(sweeper) => sweeper,
            // The holder of the lock starts the task if necessary.
            Err(_) if is_hit => return,
            // The task may have just found the pool empty, and be about to end.
            Err(_) => self.0.sweeper(),
        };
        // The task's runtime may have been dropped, or may no longer be polled.
        let is_late = sweeper.swept_at.elapsed() > 2 * self.0.sweep_interval();
        let is_running = (sweeper.task.as_ref()).is_some_and(|task| !task.is_finished());
        if is_running && !is_late {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let task = runtime.spawn(sweep_loop(Arc::downgrade(&self.0)));
            sweeper.swept_at = Instant::now();
            if let Some(late) = sweeper.task.replace(task.abort_handle()) {
                late.abort();
            }
        }
    }
}

impl fmt::Debug for ChainPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainPool")
            .field("parent", &self.0.parent)
            .field("chains", &self.len())
            .field("max_chains", &self.0.chains.capacity())
            .field("max_idle", &self.0.max_idle)
            .finish()
    }
}

/// Sets the bounds of a [`ChainPool`].
///
/// # Examples
///
/// ```no_run
/// # fn example(hub: aws_role_chain::RoleChain) {
/// use std::time::Duration;
/// use aws_role_chain::ChainPool;
///
/// let pool = ChainPool::builder(hub)
///     .max_chains(1_000)
///     .max_idle(Duration::from_secs(10 * 60))
///     .build();
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until its pool is built"]
pub struct ChainPoolBuilder {
    parent: RoleChain,
    max_chains: usize,
    max_idle: Duration,
}

impl ChainPoolBuilder {
    /// Sets the maximum number of chains in the pool, at least 2. Default: 10,000, which need about 30 MiB once all
    /// have credentials.
    pub fn max_chains(mut self, chains: usize) -> Self {
        self.max_chains = chains;
        self
    }

    /// Sets how long an unused chain stays in the pool, accurate to a quarter of that time. A chain is unused if it was
    /// not requested and the program does not hold it. Default: one hour.
    pub fn max_idle(mut self, time: Duration) -> Self {
        self.max_idle = time;
        self
    }

    /// Creates the pool. It is empty, and makes no call.
    pub fn build(self) -> ChainPool {
        // With a capacity of one, quick_cache would keep the first chain for ever.
        let max_chains = self.max_chains.max(2);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max_chains)
            .weight_capacity(max_chains as u64)
            // Prefers recently used chains over chains that were used often but long ago.
            .hot_allocation(0.5)
            .ghost_allocation(1.0)
            // With several shards, each would have only a part of the capacity.
            .shards(1)
            .build()
            // `build` requires only the two capacities, and both are set.
            .expect("complete options");
        let (weighter, hasher) = (UnitWeighter, DefaultHashBuilder::default());
        let chains = Cache::with_options(options, weighter, hasher, Evictions);
        ChainPool(Arc::new(Inner {
            parent: self.parent,
            chains,
            max_idle: self.max_idle,
            created_at: Instant::now(),
            sweeper: Mutex::new(Sweeper {
                task: None,
                swept_at: Instant::now(),
            }),
        }))
    }
}

impl Inner {
    /// Returns the time since the pool was created, in milliseconds.
    fn age(&self) -> u64 {
        millis(self.created_at.elapsed())
    }

    fn sweep_interval(&self) -> Duration {
        (self.max_idle / 4).max(Duration::from_secs(1))
    }

    /// Drops the chains that were not requested for `max_idle` and are not held.
    fn sweep(&self) {
        let (now, max_idle) = (self.age(), millis(self.max_idle));
        let is_idle = |pooled: &Pooled| {
            now.saturating_sub(pooled.used_at.load(Ordering::Relaxed)) >= max_idle
                && !pooled.chain.is_held()
        };
        let chains = self.chains.iter();
        let idle: Vec<_> = chains
            .filter(|(_, pooled)| is_idle(pooled))
            .map(|(request, _)| request)
            .collect();
        let removed = idle.iter().filter(|request| self.remove(request, is_idle));
        let (reason, chains) = ("idle", removed.count() as u64);
        Metric::PoolEvicted { reason, chains }.record();
    }

    /// Removes a chain if `should` still returns `true` for it; returns whether it was removed.
    fn remove(&self, request: &Arc<Checked<Role>>, should: impl Fn(&Pooled) -> bool) -> bool {
        // The chain is dropped here, after the pool's lock is released.
        let removed = self.chains.remove_if(request, |pooled| should(pooled));
        if removed.is_some() {
            Metric::PoolSizeChanged { by: -1.0 }.record();
        }
        removed.is_some()
    }

    fn sweeper(&self) -> MutexGuard<'_, Sweeper> {
        lock(&self.sweeper)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let by = -(self.chains.len() as f64);
        Metric::PoolSizeChanged { by }.record();
        if let Some(task) = self.sweeper().task.take() {
            task.abort();
        }
    }
}

/// Drops idle chains, four times per idle time. Ends when the pool is dropped or empty.
async fn sweep_loop(pool: Weak<Inner>) {
    loop {
        let Some(inner) = pool.upgrade() else { return };
        inner.sweep();
        {
            // Checked under the lock, so that a caller that adds a chain now starts another task.
            let mut sweeper = inner.sweeper();
            sweeper.swept_at = Instant::now();
            if inner.chains.is_empty() {
                sweeper.task = None;
                return;
            }
        }
        let every = inner.sweep_interval();
        let sleep = inner.parent.hop().base.sleep.clone();
        drop(inner);
        sleep.sleep(every).await;
        yield_now().await;
    }
}

/// Collects the chains that are evicted because the pool is full.
#[derive(Clone)]
struct Evictions;

impl Lifecycle<Arc<Checked<Role>>, Arc<Pooled>> for Evictions {
    type RequestState = Evicted;

    fn on_evict(&self, evicted: &mut Evicted, _: Arc<Checked<Role>>, pooled: Arc<Pooled>) {
        evicted.0.push(pooled);
    }
}

/// Counts and drops the evicted chains after the pool's lock is released, because a metrics recorder may use the pool.
#[derive(Default)]
struct Evicted(Vec<Arc<Pooled>>);

impl Drop for Evicted {
    fn drop(&mut self) {
        let (reason, chains) = ("size", self.0.len() as u64);
        Metric::PoolEvicted { reason, chains }.record();
        let by = -(chains as f64);
        Metric::PoolSizeChanged { by }.record();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_types::SdkConfig;
    use aws_types::region::Region;

    use super::*;

    #[tokio::test]
    async fn a_chain_that_comes_while_the_sweeper_ends_gets_another() {
        let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
        let base = SdkConfig::builder()
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .region(Region::new("eu-west-1"))
            .build();
        let pool = ChainPool::new(RoleChain::from_source(&base).unwrap());
        let runtime = Handle::current();
        // The task has found the pool empty.
        let mut sweeper = pool.0.sweeper();
        std::thread::scope(|scope| {
            let adds = scope.spawn(|| {
                let _runtime = runtime.enter();
                let role = Role::new("arn:aws:iam::222222222222:role/FirehoseWriter");
                pool.get(role).unwrap();
            });
            while pool.is_empty() {
                std::thread::yield_now();
            }
            for _ in 0..10_000 {
                std::thread::yield_now();
            }
            sweeper.task = None;
            drop(sweeper);
            adds.join().unwrap();
        });
        assert!(pool.0.sweeper().task.is_some());
    }
}
