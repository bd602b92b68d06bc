//! Shared by the fuzz targets; CONTRIBUTING.md has the commands.

#[path = "../../tests/arbitrary/mod.rs"]
mod arbitrary;
#[path = "../../tests/raw/mod.rs"]
mod raw;

use std::cell::RefCell;

use arbitrary::{World, check_of};

/// The simulator stores every call and every object, so it is replaced after this many inputs.
const INPUTS_PER_WORLD: usize = 500;

thread_local! {
    static STATE: RefCell<Option<(usize, World)>> = const { RefCell::new(None) };
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
}

/// Sends a request that is read from these bytes.
pub fn request(bytes: &[u8]) {
    with_world(async |world| {
        if let Some((service, request)) = world.read_request(bytes) {
            check_of(service, world, request).await;
        }
    });
}

/// Uses these bytes as a policy of every kind.
pub fn policy(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        with_world(async |world| world.try_policy(text).await);
    }
}

/// Runs a target on the files named in the program's arguments, such as crashes found by cargo-fuzz.
pub fn run_on_files(target: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}

fn with_world(use_it: impl AsyncFnOnce(&World)) {
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let state = STATE.take();
            let (count, world) = match state {
                Some((count, world)) if count < INPUTS_PER_WORLD => (count, world),
                _ => (0, World::new().await),
            };
            use_it(&world).await;
            STATE.replace(Some((count + 1, world)));
        });
    });
}
