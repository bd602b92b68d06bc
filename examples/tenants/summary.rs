//! The outcome for each customer, and the summary.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_firehose::error::ProvideErrorMetadata;

use crate::program::explain;
use crate::sender::{Sender, Stop};

/// How many of a customer's records were put, and why not all.
pub struct Outcome {
    name: String,
    put: u64,
    failed: u64,
    pub took: Duration,
    /// Set if any record failed.
    pub reason: Option<Reason>,
    /// The number of records in the dead-letter file.
    kept: u64,
    dead_letters: PathBuf,
}

impl Outcome {
    pub fn of(name: &str, records: usize, sender: &Sender, dead_letters: PathBuf) -> Self {
        let not_accepted = sender.not_accepted.clone();
        let reason = match &sender.stop {
            Some(Stop::Interrupted) => Some(Reason {
                text: not_accepted.unwrap_or_default(),
                ..Reason::interrupted()
            }),
            Some(Stop::Rejected(error)) => Some(match (error.code(), error.message()) {
                (Some(code), message) => Reason {
                    result: code.to_owned(),
                    text: format!("{code}: {}", message.unwrap_or_default()),
                },
                _ => Reason::failed(error),
            }),
            None if sender.kept + sender.lost > 0 => Some(Reason {
                result: "not accepted".to_owned(),
                text: not_accepted.unwrap_or_default(),
            }),
            None => None,
        };
        Self {
            name: name.to_owned(),
            put: sender.sent,
            failed: records as u64 - sender.sent,
            took: Duration::ZERO,
            reason,
            kept: sender.kept,
            dead_letters,
        }
    }

    pub fn unsent(name: &str, records: usize, reason: Reason) -> Self {
        Self {
            name: name.to_owned(),
            put: 0,
            failed: records as u64,
            took: Duration::ZERO,
            reason: Some(reason),
            kept: 0,
            dead_letters: PathBuf::new(),
        }
    }
}

/// Why a customer's records were not put.
pub struct Reason {
    /// For the table: the error code of STS or Firehose, or a few words.
    result: String,
    /// One line.
    text: String,
}

impl Reason {
    pub fn interrupted() -> Self {
        let text = String::new();
        let result = "interrupted".to_owned();
        Self { result, text }
    }

    pub fn invalid_row(text: String) -> Self {
        let result = "invalid row".to_owned();
        Self { result, text }
    }

    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        let found = aws_role_chain::Error::find(error);
        let result = match found.map(|error| (error.code(), error.field())) {
            Some((Some(code), _)) => code.to_owned(),
            Some((None, Some(field))) => format!("invalid {field}"),
            _ => "failed".to_owned(),
        };
        // Omits the advice on the other lines, to keep the summary short. `role-chain doctor` prints it in more detail.
        let text = explain(error).lines().next().unwrap_or_default().to_owned();
        Self { result, text }
    }

    pub fn is_interrupted(&self) -> bool {
        self.result == "interrupted"
    }
}

/// Widths of the table's first and last column, in characters. With the numbers between them, the table fits a terminal
/// of 80 columns.
const NAME_WIDTH: usize = 24;
const RESULT_WIDTH: usize = 25;

/// Formats a row of the table. Text that is too long for its column continues on the next line.
fn row(width: usize, name: &str, [put, failed, seconds]: [&str; 3], result: &str) -> String {
    let pieces = |text: &str, width: usize| -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        chars.chunks(width).map(String::from_iter).collect()
    };
    let (names, results) = (pieces(name, width), pieces(result, RESULT_WIDTH));
    let mut numbers = format!("{put:>8}  {failed:>8}  {seconds:>7}");
    let mut text = String::new();
    for i in 0..names.len().max(results.len()) {
        let piece = |of: &[String]| of.get(i).cloned().unwrap_or_default();
        let (name, result) = (piece(&names), piece(&results));
        let line = format!("{name:width$}  {numbers:27}  {result}");
        text += line.trim_end();
        text += "\n";
        numbers.clear();
    }
    text
}

/// Returns a table with totals, then why customers failed, then where the records are that were not confirmed.
pub fn summary(outcomes: &[Outcome], input: &str) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.chars().count());
    let width = width.chain([8]).max().unwrap_or_default().min(NAME_WIDTH);
    let line = |name: &str, put: u64, failed: u64, took: Duration, result: &str| {
        let seconds = format!("{:.1}", took.as_secs_f64());
        let numbers = [&*put.to_string(), &*failed.to_string(), &*seconds];
        row(width, name, numbers, result)
    };
    let mut text = row(width, "customer", ["put", "failed", "seconds"], "result");
    for it in outcomes {
        let result = it.reason.as_ref().map_or("ok", |reason| &reason.result);
        text += &line(&it.name, it.put, it.failed, it.took, result);
    }
    let put = outcomes.iter().map(|it| it.put).sum();
    let failed = outcomes.iter().map(|it| it.failed).sum();
    let longest = outcomes.iter().map(|it| it.took).max().unwrap_or_default();
    let ok = outcomes.iter().filter(|it| it.reason.is_none()).count();
    let result = format!("{ok} of {} ok", outcomes.len());
    text += &line("total", put, failed, longest, &result);

    let reasons = outcomes
        .iter()
        .filter_map(|it| Some((it, it.reason.as_ref()?)));
    let mut reasons = reasons
        .filter(|(_, reason)| !reason.text.is_empty())
        .peekable();
    if reasons.peek().is_some() {
        text += "\n";
    }
    for (it, reason) in reasons {
        text += &format!("{}: {}\n", it.name, reason.text);
    }

    if failed > 0 {
        text += "\nrecords not confirmed by Firehose:\n";
    }
    for it in outcomes.iter().filter(|it| it.kept > 0) {
        let path = it.dead_letters.display();
        text += &format!("  in {path}: {}\n", it.kept);
    }
    let unread = outcomes.iter().map(|it| it.failed - it.kept);
    let customers = unread.clone().filter(|unread| *unread > 0).count();
    if customers > 0 {
        let unread: u64 = unread.sum();
        text += &format!("  only in {input}: {unread}, of {customers} customer(s)\n");
    }
    text
}
