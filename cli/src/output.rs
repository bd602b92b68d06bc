//! Prints results to stdout, and errors with their causes to stderr. Does not panic on a closed pipe or a full disk.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Prints a result to stdout.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    printed_to_stdout(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Ignores a closed pipe: its reader has read all that it needs.
fn printed_to_stdout(printed: io::Result<()>) -> Result<()> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to stdout")
        }
        _ => Ok(()),
    }
}

/// Prints a line for the user to stderr. A failure is ignored, because there is nowhere else to report it.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error with its causes and returns exit code 1.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {}", describe(error.as_ref())));
    ExitCode::FAILURE
}

/// Prints clap's output: help to stdout with exit code 0, or a usage error to stderr with exit code 2.
pub fn usage(answer: &clap::Error) -> ExitCode {
    let printed = answer.print().and_then(|()| io::stdout().flush());
    if answer.use_stderr() {
        return ExitCode::from(2);
    }
    match printed_to_stdout(printed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Reports that Ctrl-C interrupted the program, and returns the exit code that shells use for it.
pub fn interrupted() -> ExitCode {
    note("\ninterrupted");
    ExitCode::from(130)
}

/// Returns an error with its causes on one line, then each piece of its advice on a line. A text that another one
/// contains is left out, because many errors repeat their source.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = headline(error);
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.retain(|part| !text.contains(part.as_str()));
            parts.push(text);
        }
        cause = error.source();
    }
    let advice = aws_role_chain::Error::find(error).map(|error| error.advice());
    let advice = advice.unwrap_or_default().iter();
    let advice = advice.map(|line| format!("\n  - {line}"));
    parts.join(": ") + &advice.collect::<String>()
}

/// Returns why a call of an SDK client failed: the service's code and message, the HTTP status if another server
/// responded, or else the error with its causes.
pub fn describe_call<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match (error.code(), error) {
        (Some(code), _) => format!("{code}: {}", error.message().unwrap_or_default()),
        (None, SdkError::ServiceError(answer)) => format!(
            "HTTP {} without an AWS error code: a proxy, a gateway or another server may have answered",
            answer.raw().status()
        ),
        (None, _) => describe(error),
    }
}

/// The number of characters after which an error's text is cut.
const MAX_CHARS: usize = 2_000;

/// Returns an error's own text on one line, without the advice at the end of a chain's error.
fn headline(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    if let Some(error) = error.downcast_ref::<aws_role_chain::Error>()
        && let Some(first) = error.advice().first()
        && let Some(end) = text.find(&format!("\n  - {first}"))
    {
        text.truncate(end);
    }
    // Some providers' errors have several lines. The library joins them, too.
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    // The error of a credential process contains all that it printed to stderr.
    let line = match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    };
    line.trim_end_matches([':', '.']).to_owned()
}

/// Returns a time in the format of AWS, in whole seconds.
pub fn timestamp(time: std::time::SystemTime) -> Option<String> {
    let whole_seconds = DateTime::from_secs(DateTime::from(time).secs());
    whole_seconds.fmt(Format::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{MAX_CHARS, describe};

    #[test]
    fn a_long_text_is_cut() {
        let error = anyhow!("é".repeat(MAX_CHARS + 1));
        let expected = format!("{}…", "é".repeat(MAX_CHARS));
        assert_eq!(describe(error.as_ref()), expected);
    }

    #[test]
    fn a_cause_that_is_repeated_is_said_once() {
        for (error, expected) in [
            (anyhow!("b").context("a"), "a: b"),
            (anyhow!("a").context("a"), "a"),
            (
                anyhow!("NotFound: x").context("NotFound: x: no such x"),
                "NotFound: x: no such x",
            ),
            (
                anyhow!("service error: x is gone").context("service error"),
                "service error: x is gone",
            ),
            (anyhow!("one\n  two\n").context("a:"), "a: one two"),
            (anyhow!("b  c").context("a: b c"), "a: b c"),
        ] {
            assert_eq!(describe(error.as_ref()), expected);
        }
    }
}
