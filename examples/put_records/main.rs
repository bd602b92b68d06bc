//! Puts records on an Amazon Data Firehose stream in another account.
//!
//! ```text
//! cargo run --example put_records -- --stream events \
//!     --role-arn arn:aws:iam::222222222222:role/FirehoseWriter --external-id c0ffee orders.ndjson
//! ```
//!
//! Reads newline-delimited records from a file or stdin. Each line is one record. It keeps its line feed, because
//! Firehose concatenates records in the objects that it writes. Empty lines are skipped.
//!
//! Records that could not be sent are appended to the dead-letter file, and the exit code is 1. After Ctrl-C or SIGTERM
//! the exit code is 130, and the records in flight are appended, too, although they may be on the stream: if they are
//! sent again, they may arrive twice. Firehose delivers every record at least once, so consumers must expect duplicates
//! anyway.
//!
//! `--local` runs with the simulator `sts-simulator`, which has the roles of the command line. The external ID is
//! `c0ffee`. Without a file, sample records are sent.

#[path = "../common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
#[path = "../common/firehose.rs"]
mod firehose;
mod input;
mod local;
#[path = "../common/program.rs"]
#[allow(dead_code)]
mod program;
mod sender;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use aws_role_chain::{Role, RoleChain};
use aws_sdk_firehose::Client;
use aws_types::SdkConfig;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use same_file::Handle;

use base::BaseOptions;
use input::{Input, Line};
use program::{INTERRUPTED, Interrupt, explain, note, print};
use sender::{Batch, DeadLetters, Sender, Stop};

/// Put newline-delimited records on a Firehose stream in another account.
#[derive(Parser)]
struct Options {
    /// Firehose stream, in the account of --role-arn
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", "events")
    )]
    stream: Option<String>,

    /// Role that may put records on the stream
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", local::ROLE_ARN)
    )]
    role_arn: Option<String>,

    /// External ID that the role's trust policy requires
    #[arg(long, default_value_if("local", "true", local::EXTERNAL_ID))]
    external_id: Option<String>,

    /// Session name, by which CloudTrail identifies the caller
    #[arg(long)]
    session_name: Option<String>,

    /// Role to assume before --role-arn; can be repeated, in order
    #[arg(long, value_name = "ROLE_ARN")]
    via: Vec<String>,

    /// Profile with the source credentials [default: the SDK's default credentials]
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    /// File to which records that could not be sent are appended
    #[arg(long, value_name = "FILE", default_value = "put_records.dead-letter")]
    dead_letter: PathBuf,

    /// File with one record per line, or - for stdin [default: stdin; with --local, sample records]
    file: Option<PathBuf>,

    #[command(flatten)]
    base: BaseOptions,
}

fn main() -> ExitCode {
    program::run_to_end(run(Options::parse()))
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let started = Instant::now();
    let mut interrupt = Interrupt::new()?;
    // clap requires both, or sets defaults with --local.
    let role_arn = options.role_arn.as_deref().unwrap_or_default();
    let stream = options.stream.clone().unwrap_or_default();
    let (base, local_stream) = if options.base.local {
        let (base, stream) = local::start(role_arn, &options.via)?;
        (base, Some(stream))
    } else {
        (options.base.load(options.profile.as_deref()).await?, None)
    };
    let chain = chain(&base, role_arn, &options)?;
    let mut input = open_input(&options).await?;
    // Assumes the roles before reading any record, so that a role that cannot be assumed loses no input from a pipe.
    tokio::select! {
        refreshed = chain.refresh() => refreshed?,
        () = interrupt.wait() => return Ok(ExitCode::from(INTERRUPTED)),
    }

    let firehose = Client::from_conf(firehose::config(&chain).build());
    let progress = progress(input.size());
    let mut sender = Sender::new(firehose, stream, DeadLetters::new(&options.dead_letter));
    let end = send_all(&mut input, &mut sender, &progress, &mut interrupt).await;
    progress.finish_and_clear();

    let is_interrupted = matches!(sender.stop, Some(Stop::Interrupted));
    match &end {
        End::Complete if is_interrupted => note("interrupted"),
        End::Complete => {}
        End::Unreadable { line, error } => {
            note(format_args!(
                "error: line {line} could not be read: {error}"
            ));
        }
        End::Interrupted { line } => note(format_args!(
            "interrupted: line {line} and all later lines were not read"
        )),
    }
    if sender.kept > 0 {
        let (kept, file) = (sender.kept, options.dead_letter.display());
        note(format_args!(
            "records not confirmed by Firehose, appended to {file}: {kept}"
        ));
    }
    let failures = sender.kept + sender.lost;
    let mut summary = match local_stream {
        Some(stream) => format!("{stream}\n"),
        None => String::new(),
    };
    summary += &format!(
        "records: {}, batches: {}, retries: {}, failures: {failures}, seconds: {:.1}\n",
        sender.sent,
        sender.batches,
        sender.retries,
        started.elapsed().as_secs_f64(),
    );
    if let Some(caller) = chain.status().pop().and_then(|hop| hop.session_arn) {
        summary += &format!("caller: {caller}\n");
    }
    print(&summary)?;

    Ok(match end {
        End::Interrupted { .. } => ExitCode::from(INTERRUPTED),
        _ if is_interrupted => ExitCode::from(INTERRUPTED),
        End::Complete if failures == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Builds the chain: the roles of `--via`, then the one that puts the records. Only the last one gets the external ID.
/// An account's owner requires one in the trust policy of a role that a third party uses. Without it, that party could
/// be tricked into using the role [for somebody else].
///
/// [for somebody else]: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
fn chain(base: &SdkConfig, role_arn: &str, options: &Options) -> Result<RoleChain, Box<dyn Error>> {
    let named = |arn: &str| match &options.session_name {
        Some(name) => Role::new(arn).session_name(name),
        None => Role::new(arn),
    };
    let mut last = named(role_arn);
    if let Some(id) = &options.external_id {
        last = last.external_id(id);
    }
    let Some((first, others)) = options.via.split_first() else {
        return Ok(RoleChain::new(base, last)?);
    };
    let mut chain = RoleChain::new(base, named(first))?;
    for arn in others {
        chain = chain.assume(named(arn))?;
    }
    Ok(chain.assume(last)?)
}

async fn open_input(options: &Options) -> Result<Input, Box<dyn Error>> {
    let file = options.file.as_deref();
    if options.base.local && file.is_none() {
        return Ok(Input::sample());
    }
    let file = file.filter(|path| path.as_os_str() != "-");
    if is_dead_letter_file(file, &options.dead_letter) {
        let path = options.dead_letter.display();
        let why =
            format!("the input is also the dead-letter file: rename {path}, or set --dead-letter");
        return Err(why.into());
    }
    Ok(match file {
        None => Input::stdin(),
        Some(path) => Input::file(path).await?,
    })
}

/// Why reading ended.
enum End {
    Complete,
    Unreadable { line: u64, error: io::Error },
    Interrupted { line: u64 },
}

/// Sends records until the input ends or a signal arrives. Every record that was read is sent, appended to the
/// dead-letter file, or reported by its line number.
async fn send_all(
    input: &mut Input,
    sender: &mut Sender,
    progress: &ProgressBar,
    interrupt: &mut Interrupt,
) -> End {
    let mut batch = Batch::default();
    let end = loop {
        let line = tokio::select! {
            line = input.next_line() => line,
            // Not within a long line: its parts must be contiguous in the dead-letter file.
            () = batch.is_due(), if !input.is_in_long_line() => {
                send(sender, std::mem::take(&mut batch), progress, interrupt).await;
                continue;
            }
            () = interrupt.wait() => break End::Interrupted { line: input.next_number() },
        };
        progress.set_position(input.position());
        match line {
            Ok(Some(Line::Record { number, data })) => {
                if !batch.has_room_for(&data) {
                    send(sender, std::mem::take(&mut batch), progress, interrupt).await;
                }
                batch.push(number, data);
            }
            Ok(Some(Line::TooLong {
                number,
                data,
                first,
            })) => {
                if first {
                    send(sender, std::mem::take(&mut batch), progress, interrupt).await;
                    let why = "over 1,000 KiB with its line feed, Firehose's limit for a record";
                    progress.suspend(|| note(format_args!("line {number}: {why}")));
                }
                sender.give_up_part(number, &data, first);
            }
            Ok(None) => break End::Complete,
            Err(error) => {
                break End::Unreadable {
                    line: input.next_number(),
                    error,
                };
            }
        }
    };
    if input.is_in_long_line() {
        sender.give_up_part(input.next_number(), b"\n", false);
    }
    if let End::Interrupted { .. } = end
        && let Ok(second) = Interrupt::new()
    {
        // Sends the records that were already read, unless a second signal arrives.
        *interrupt = second;
    }
    send(sender, batch, progress, interrupt).await;
    end
}

/// Sends a batch, and reports a failure immediately instead of at the end of the input, which may be days away.
async fn send(
    sender: &mut Sender,
    batch: Batch,
    progress: &ProgressBar,
    interrupt: &mut Interrupt,
) {
    let was_stopped = sender.stop.is_some();
    sender.send(batch, interrupt).await;
    progress.set_message(format!("{} sent", sender.sent));
    if let Some(lines) = sender.not_accepted.take() {
        progress.suspend(|| note(lines));
    }
    if let (false, Some(Stop::Rejected(error))) = (was_stopped, &sender.stop) {
        progress.suspend(|| note(format_args!("error: {}", explain(error))));
    }
}

/// Returns whether the input (stdin, if there is no file) is the dead-letter file. Reading it would never end.
fn is_dead_letter_file(input: Option<&Path>, dead_letters: &Path) -> bool {
    let input = match input {
        Some(path) => Handle::from_path(path),
        None => Handle::stdin(),
    };
    match (input, Handle::from_path(dead_letters)) {
        (Ok(input), Ok(dead_letters)) => input == dead_letters,
        // One of them does not exist.
        _ => false,
    }
}

/// Creates a progress bar, which is shown only on a terminal.
fn progress(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:40} {bytes}/{total_bytes} {msg} {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
