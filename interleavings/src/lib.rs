//! Searches the interleavings of aws-role-chain's credentials cache.
//!
//! The cache is `src/cache` itself, not a copy: it takes its locks, its runtime and its channel from
//! `crate::sync`, and here that is a module of [shuttle]'s primitives, under which a scheduler chooses at each
//! of them who goes on. A scenario is run under thousands of schedules, half of them random and half PCT's; its
//! callers, loads, runtimes and drops meet in other orders each time, and what must hold is asserted of each.
//! Time is a clock of the test's, which moves when nobody can run: who was woken by a timeout and not by what
//! it waited for is seen by the time that passed.
//!
//! ```text
//! cargo test -p interleavings                       4,000 schedules of each scenario, the same ones each time
//! INTERLEAVINGS=1000000 cargo test -p interleavings --release -- --nocapture
//!                                                   a million of each; SHUTTLE_RANDOM_SEED=2 for others
//! REPLAY=<schedule> cargo test -p interleavings <scenario>
//!                                                   the schedule that a failure printed
//! interleavings/mutations.sh                        breaks the cache in ways of which each must be found
//! ```
//!
//! What the model leaves out: weak memory orders (all is sequentially consistent), and the steps inside
//! `ArcSwap`, `watch` and tokio itself, which it replaces.
//!
//! [shuttle]: https://docs.rs/shuttle

#[allow(dead_code, reason = "the chain uses the rest")]
#[path = "../../src/cache/mod.rs"]
mod cache;
#[allow(dead_code, reason = "the chain uses the rest")]
#[path = "../../src/error.rs"]
mod error;
#[allow(dead_code, reason = "the chain uses the rest")]
#[path = "../../src/session.rs"]
mod session;

mod clock;
mod search;
mod sync;
mod world;

pub use clock::Clock;
pub use error::Error;
pub use search::search;
pub use sync::{AbortHandle, Handle, JoinHandle};
pub use world::{ADVISORY, Cache, Gives, Key, LIFETIME, Loader, MANDATORY, Plan};
