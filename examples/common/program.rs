//! How the examples end: exit code 0 for success, 1 for a failure, 130 after Ctrl-C.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code that shells use for a program that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// Runs an example until it ends or Ctrl-C is pressed. Its error is printed to stderr.
pub fn run(example: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    run_to_end(async {
        tokio::select! {
            // First: from the example's beginning on.
            biased;
            Ok(()) = tokio::signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
            result = example => result,
        }
    })
}

/// Runs an example that ends by itself after Ctrl-C.
pub fn run_to_end(example: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error),
    };
    let result = runtime.block_on(example);
    // A question on the terminal or a read of stdin must not keep the program from ending.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failure(&*error))
}

/// Ctrl-C, or a container's end; noticed also while nobody waits for it.
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

    /// Waits for it; at once if it has come.
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

/// Prints to stdout. Whoever closes the pipe, such as `head`, has read enough: that is no error.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a line to stderr. Where that fails, there is nobody left to tell.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn failure(error: &(dyn Error + 'static)) -> ExitCode {
    match error.downcast_ref::<io::Error>() {
        // A closed stdout. The errors of connections come wrapped in others.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => {
            note(format_args!("error: {}", explain(error)));
            ExitCode::FAILURE
        }
    }
}

/// Returns an error and its causes on one line, then what to check, each on a line of its own. Many errors
/// repeat their cause; that is left out.
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The advice of a chain's error comes last.
        let text = error.to_string();
        let text = text.split("\n  - ").next().unwrap_or_default().trim_end();
        // The SDK's "service error" says nothing that the service's own error does not.
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
