//! Searches the interleavings of aws-role-chain's credentials cache.
//!
//! The cache is `src/cache` itself, not a copy. It takes its locks, its runtime and its channel from `crate::sync`,
//! which in this package is built on [shuttle]'s primitives: at each operation on one of them, a scheduler chooses the
//! task that runs next. Each scenario runs under thousands of schedules, half of them random and half by the PCT
//! scheduler. Its callers, loads, runtimes and drops interleave differently each time, and its assertions must hold in
//! each. Time is a test clock that advances only when no task can run, so the elapsed time reveals a caller that was
//! woken by a timeout instead of by what it waited for.
//!
//! ```text
//! cargo test -p interleavings                       4,000 schedules of each scenario, the same ones each time
//! INTERLEAVINGS=1000000 cargo test -p interleavings --release -- --nocapture
//!                                                   a million of each; SHUTTLE_RANDOM_SEED=2 for different ones
//! REPLAY=<schedule> cargo test -p interleavings <scenario>
//!                                                   the schedule that a failure printed
//! interleavings/mutations.sh                        breaks the cache in many ways, each of which must be found
//! ```
//!
//! The model does not cover weak memory orderings (everything is sequentially consistent), nor the steps inside
//! `ArcSwap`, `watch` and tokio, which it replaces.
//!
//! [shuttle]: https://docs.rs/shuttle

#[allow(dead_code, reason = "the chain uses the rest")]
#[path = "../../src/cache/mod.rs"]
mod cache;
#[allow(dead_code, reason = "the chain uses the rest")]
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "its documentation links to items of aws-role-chain"
)]
#[path = "../../src/error.rs"]
mod error;
#[allow(dead_code, reason = "the chain uses the rest")]
#[path = "../../src/session.rs"]
mod session;
#[path = "../../src/timestamp.rs"]
mod timestamp;

mod clock;
mod search;
mod sync;
mod world;

pub use clock::Clock;
pub use error::Error;
pub use search::search;
pub use sync::{AbortHandle, Handle, JoinHandle};
pub use world::{ADVISORY, Cache, Gives, Key, LIFETIME, Loader, MANDATORY, Plan};
