//! Faults: what goes wrong with STS, for which requests, and for how long.

mod active;
mod body;
mod definition;
mod json;
mod latency;

pub(crate) use active::{Faults, Target};
pub(crate) use body::truncated_body;
pub(crate) use definition::Effect;
pub use definition::{Fault, FaultError};
pub use latency::Latency;
