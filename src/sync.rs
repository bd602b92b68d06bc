//! The synchronization, task and time primitives that the cache is built on. The package `interleavings` compiles the
//! cache with a scheduler's primitives in their place, and searches the orders in which its tasks may run.

pub(crate) use std::sync::Mutex;

pub(crate) use arc_swap::{ArcSwap, Guard};
pub(crate) use tokio::runtime::Handle;
pub(crate) use tokio::sync::watch;
pub(crate) use tokio::task::{AbortHandle, yield_now};
pub(crate) use tokio::time::Instant;
