//! The primitives that the cache is built on, and nothing else of it uses: the package `interleavings`
//! compiles the cache with a scheduler's in their stead, and searches the orders in which they may run.

pub(crate) use std::sync::Mutex;

pub(crate) use arc_swap::{ArcSwap, Guard};
pub(crate) use tokio::runtime::Handle;
pub(crate) use tokio::sync::watch;
pub(crate) use tokio::task::{AbortHandle, yield_now};
pub(crate) use tokio::time::Instant;
