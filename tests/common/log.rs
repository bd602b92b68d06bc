//! Records tracing events.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records the events of this thread at this level and above, until the guard is dropped.
    pub fn at(level: LevelFilter) -> (Self, DefaultGuard) {
        keep_second_dispatch();
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Keeps a second subscriber alive, which records nothing.
///
/// While there is only one subscriber in the process, tracing decides whether a callsite is enabled by the subscriber
/// of the thread that reaches it first. If that is the thread of another test, which has no subscriber, the event is
/// disabled for the test that records it. With two subscribers, tracing asks both.
fn keep_second_dispatch() {
    static DISPATCH: OnceLock<Dispatch> = OnceLock::new();
    DISPATCH.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::OFF);
        Dispatch::new(subscriber.finish())
    });
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
