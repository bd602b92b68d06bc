//! Prints the library's log events to stderr. They contain no secret key, session token or external ID.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Prints the library's events up to `level` from now on. The SDK's events are left out, because those at TRACE contain
/// secrets.
pub fn start(level: LevelFilter) {
    let library = Targets::new().with_target("aws_role_chain", level);
    let lines = fmt::layer()
        .with_ansi(false)
        .with_writer(io::stderr)
        .with_target(false)
        .without_time()
        // Otherwise a closed stderr would cause a panic.
        .log_internal_errors(false)
        .with_filter(library);
    tracing_subscriber::registry().with(lines).init();
}
