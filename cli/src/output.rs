//! Printing: results to stdout, errors with their causes to stderr. Nothing here panics on a closed pipe
//! or a full disk.

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

/// A closed pipe is no error: its reader has read enough.
fn printed_to_stdout(printed: io::Result<()>) -> Result<()> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to stdout")
        }
        _ => Ok(()),
    }
}

/// Prints a line to stderr, where a person reads it. A failure is ignored: there is nowhere else to
/// report it.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error with its causes; returns exit code 1.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {}", describe(error.as_ref())));
    ExitCode::FAILURE
}

/// Prints what clap answers: help to stdout, with exit code 0, or what is wrong with the usage to stderr,
/// with 2.
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

/// Says that Ctrl-C ended the program; returns the exit code that shells use for it.
pub fn interrupted() -> ExitCode {
    note("\ninterrupted");
    ExitCode::from(130)
}

/// Returns an error with its causes on one line, then its advice, each piece on a line of its own. A text
/// that another one contains is left out: many errors repeat their source.
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

/// Returns why a call of an SDK client failed: the service's code and message, or the status of another
/// server's answer, or the error with its causes.
pub fn describe_call<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match (error.code(), error) {
        (Some(code), _) => format!("{code}: {}", error.message().unwrap_or_default()),
        (None, SdkError::ServiceError(answer)) => format!(
            "HTTP {}, and no answer of AWS's: a proxy, a gateway or another server may have answered",
            answer.raw().status()
        ),
        (None, _) => describe(error),
    }
}

/// How many characters of an error's text are shown.
const LONGEST: usize = 2_000;

/// Returns an error's own text on one line, without the advice that a chain's error ends with.
fn headline(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    if let Some(error) = error.downcast_ref::<aws_role_chain::Error>()
        && let Some(first) = error.advice().first()
        && let Some(end) = text.find(&format!("\n  - {first}"))
    {
        text.truncate(end);
    }
    // Some providers' errors are lists. The library writes them on one line, too.
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    // A credential process's stderr is in its error, however much it wrote.
    let line = match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    };
    line.trim_end_matches([':', '.']).to_owned()
}

/// Returns a time as AWS prints it, to the second.
pub fn timestamp(time: std::time::SystemTime) -> Option<String> {
    let whole_seconds = DateTime::from_secs(DateTime::from(time).secs());
    whole_seconds.fmt(Format::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{LONGEST, describe};

    #[test]
    fn a_long_text_is_cut() {
        let error = anyhow!("é".repeat(LONGEST + 1));
        let expected = format!("{}…", "é".repeat(LONGEST));
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
