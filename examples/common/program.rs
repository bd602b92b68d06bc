//! Runs an example and returns its exit code: 0 for success, 1 for a failure, 130 if Ctrl-C ended it.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code that shells report for a program that Ctrl-C ended: 128 plus the number of SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Runs an example until it ends or Ctrl-C is pressed. Its error is printed to stderr.
pub fn run(example: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    run_to_end(async {
        tokio::select! {
            // Polls the signal first, so that its handler is installed before the example starts.
            biased;
            Ok(()) = tokio::signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
            result = example => result,
        }
    })
}

/// Runs an example that handles Ctrl-C itself.
pub fn run_to_end(example: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error),
    };
    let result = runtime.block_on(example);
    // Does not wait for blocking tasks, such as a prompt on the terminal or a read of stdin.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failure(&*error))
}

/// Listens for Ctrl-C and, on Unix, for SIGTERM, with which container runtimes stop a program. A signal that arrives
/// between two calls of `wait` is not lost.
pub struct Interrupt {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
    seen: bool,
}

impl Interrupt {
    pub fn new() -> io::Result<Self> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ],
            #[cfg(windows)]
            ctrl_c: tokio::signal::windows::ctrl_c()?,
            seen: false,
        })
    }

    /// Waits for the signal. Returns immediately if it has already arrived.
    pub async fn wait(&mut self) {
        if self.seen {
            return;
        }
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(windows)]
        self.ctrl_c.recv().await;
        self.seen = true;
    }
}

/// Prints to stdout. A closed pipe is not an error: its reader, such as `head`, has read enough.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a line to stderr. Ignores failures, because there is no other place to report them.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn failure(error: &(dyn Error + 'static)) -> ExitCode {
    match error.downcast_ref::<io::Error>() {
        // Only a write to stdout returns this error as it is; errors of connections are wrapped in others.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => {
            note(format_args!("error: {}", explain(error)));
            ExitCode::FAILURE
        }
    }
}

/// Returns an error with its causes on one line, followed by the advice of a chain's error, one item per line. A cause
/// that another error's text already contains is omitted.
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The text of a chain's error includes its advice, which is appended below.
        let text = error.to_string();
        let text = text.split("\n  - ").next().unwrap_or_default().trim_end();
        // The SDK's "service error" adds nothing to the service's own error, which is its cause.
        if text != "service error" && !parts.iter().any(|part| part.contains(text)) {
            parts.retain(|part| !text.contains(part.as_str()));
            parts.push(text.to_owned());
        }
        cause = error.source();
    }
    let advice = aws_role_chain::Error::find(error).map_or(&[][..], |error| error.advice());
    let advice = advice.iter().map(|line| format!("\n  - {line}"));
    parts.join(": ") + &advice.collect::<String>()
}
