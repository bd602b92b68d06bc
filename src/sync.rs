//! The synchronization, task and time primitives that the cache is built on. The package `interleavings` compiles the
//! cache with a scheduler's primitives in their place, and searches the orders in which its tasks may run.

pub(crate) use std::sync::Mutex;
use std::sync::{MutexGuard, PoisonError};

pub(crate) use arc_swap::{ArcSwap, Guard};
pub(crate) use tokio::runtime::Handle;
pub(crate) use tokio::sync::watch;
pub(crate) use tokio::task::AbortHandle;
/// For loops that sleep: without it, a sleep implementation that returns at once would make them block the thread.
pub(crate) use tokio::task::yield_now;
pub(crate) use tokio::time::Instant;

/// Locks a mutex, even if a thread has panicked while it held the lock: nothing in this crate leaves the data invalid in
/// between.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
