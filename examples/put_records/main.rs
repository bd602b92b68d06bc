//! Puts records on an Amazon Data Firehose stream in another account.
//!
//! ```text
//! cargo run --example put_records -- --stream events \
//!     --role-arn arn:aws:iam::222222222222:role/FirehoseWriter --external-id c0ffee orders.ndjson
//! ```
//!
//! Reads newline-delimited records from a file or stdin. Each line is one record and keeps its line
//! feed, so that the objects that Firehose writes are newline-delimited too; empty lines are left
//! out. Records that cannot be sent go to the dead-letter file, and the exit code is 1.
//!
//! `--local` runs it all without AWS, on the simulator `sts-simulator`.

mod input;
mod local;
mod sender;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use aws_config::BehaviorVersion;
use aws_role_chain::{Role, RoleChain};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use same_file::Handle;

use input::{Input, Line};
use sender::{Batch, DeadLetters, Interrupt, Sender, Stop};

/// Put newline-delimited records on a Firehose stream in another account.
#[derive(Parser)]
struct Options {
    /// Delivery stream, in the last role's account
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", "events")
    )]
    stream: Option<String>,

    /// Role to put the records as
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", local::ROLE_ARN)
    )]
    role_arn: Option<String>,

    /// External ID that the role's trust policy asks for
    #[arg(long, default_value_if("local", "true", local::EXTERNAL_ID))]
    external_id: Option<String>,

    /// Name of the role session, as CloudTrail shows it
    #[arg(long)]
    session_name: Option<String>,

    /// Role to assume on the way to the last one; repeatable, in order
    #[arg(long, value_name = "ROLE_ARN")]
    via: Vec<String>,

    /// Profile to start from, instead of the default one
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    /// AWS region, instead of the profile's
    #[arg(long, conflicts_with = "local")]
    region: Option<String>,

    /// One endpoint for all services, such as a local server
    #[arg(long, conflicts_with = "local")]
    endpoint_url: Option<String>,

    /// File that records that could not be sent are added to
    #[arg(long, value_name = "FILE", default_value = "put_records.dead-letter")]
    dead_letter: PathBuf,

    /// Run on the built-in simulator, without AWS; with no FILE, on sample records. Roles are made as
    /// named; the last one asks for external ID c0ffee, as sent by default
    #[arg(long)]
    local: bool,

    /// Records, one a line, empty lines left out; - or none for stdin
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let sent = runtime.block_on(run(&options));
    // A read of stdin that still waits must not keep the program from ending.
    runtime.shutdown_background();
    match sent {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", explained(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Whether every record was sent.
async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let started = Instant::now();
    // clap gives both, or stops.
    let role_arn = options.role_arn.as_deref().unwrap_or_default();
    let stream = options.stream.clone().unwrap_or_default();
    let (base, local_stream) = if options.local {
        let (base, stream) = local::start(role_arn, &options.via)?;
        (base, Some(stream))
    } else {
        (base_config(options).await, None)
    };
    let chain = chain(&base, role_arn, options)?;
    let file = options
        .file
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    let sample = options.local && options.file.is_none();
    if !sample && is_dead_letter_file(file, &options.dead_letter) {
        let path = options.dead_letter.display();
        let why =
            format!("the input is the dead-letter file too: rename {path}, or set --dead-letter");
        return Err(why.into());
    }
    let mut input = match file {
        _ if sample => Input::sample(),
        None => Input::stdin(),
        Some(path) => Input::file(path).await?,
    };
    // Before anything is read: no record is taken that there is no way to send.
    chain.refresh().await?;

    let firehose = aws_sdk_firehose::Client::new(&chain.sdk_config());
    let progress = progress(input.size());
    let mut sender = Sender::new(firehose, stream, DeadLetters::new(&options.dead_letter));
    let read = send_all(&mut input, &mut sender, &progress).await;
    progress.finish_and_clear();

    match &sender.stop {
        Some(Stop::Refused(error)) => eprintln!("error: {}", explained(error)),
        Some(Stop::Interrupted) => eprintln!("error: interrupted"),
        None => {}
    }
    if sender.kept > 0 {
        let (kept, file) = (sender.kept, options.dead_letter.display());
        eprintln!("records not sent, and kept in {file}: {kept}");
    }
    let failures = sender.kept + sender.lost;
    let session = chain.status().pop().and_then(|hop| hop.session_arn);
    let mut out = std::io::stdout().lock();
    if let Some(stream) = local_stream {
        writeln!(out, "{stream}")?;
    }
    writeln!(
        out,
        "records: {}, batches: {}, retries: {}, failures: {failures}, seconds: {:.1}, caller: {}",
        sender.sent,
        sender.batches,
        sender.retries,
        started.elapsed().as_secs_f64(),
        session.as_deref().unwrap_or("nobody"),
    )?;
    read?;
    Ok(failures == 0)
}

/// Sends until the input ends, or somebody ends it. Whatever was read is sent, kept or named.
async fn send_all(
    input: &mut Input,
    sender: &mut Sender,
    progress: &ProgressBar,
) -> Result<(), Box<dyn Error>> {
    let mut interrupt = Interrupt::new()?;
    let mut batch = Batch::default();
    let end: Result<(), Box<dyn Error>> = loop {
        let line = tokio::select! {
            line = input.next_line() => line,
            // The parts of a long line stay together in the dead-letter file.
            () = batch.is_due(), if !input.is_in_long_line() => {
                sender.send(std::mem::take(&mut batch), &mut interrupt).await;
                continue;
            }
            () = interrupt.wait() => {
                let next = input.next_number();
                break Err(format!("interrupted: line {next} and what follows was not sent").into());
            }
        };
        progress.set_position(input.position());
        match line {
            Ok(Some(Line::Record { number, data })) => {
                if !batch.has_room_for(&data) {
                    sender
                        .send(std::mem::take(&mut batch), &mut interrupt)
                        .await;
                    progress.set_message(format!("{} sent", sender.sent));
                }
                batch.push(number, data);
            }
            Ok(Some(Line::TooLong {
                number,
                data,
                first,
            })) => {
                if first {
                    sender
                        .send(std::mem::take(&mut batch), &mut interrupt)
                        .await;
                    progress.suspend(|| {
                        eprintln!(
                            "line {number}: over 1,000 KiB with its line feed, the most that \
                             Firehose takes in a record"
                        );
                    });
                }
                sender.give_up_part(number, &data, first);
            }
            Ok(None) => break Ok(()),
            Err(error) => {
                let next = input.next_number();
                break Err(format!("line {next} could not be read: {error}").into());
            }
        }
    };
    if input.is_in_long_line() {
        sender.give_up_part(input.next_number(), b"\n", false);
    }
    // What was read before an interrupt is still sent, unless a second one comes.
    let mut interrupt = Interrupt::new()?;
    sender.send(batch, &mut interrupt).await;
    end
}

/// Whether what is read (stdin, if no file) is what is written to: it would never end.
fn is_dead_letter_file(input: Option<&Path>, dead_letters: &Path) -> bool {
    let input = match input {
        Some(path) => Handle::from_path(path),
        None => Handle::stdin(),
    };
    match (input, Handle::from_path(dead_letters)) {
        (Ok(input), Ok(dead_letters)) => input == dead_letters,
        // One of them is not there.
        _ => false,
    }
}

async fn base_config(options: &Options) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

/// The roles on the way, then the one that may put records.
fn chain(
    base: &SdkConfig,
    role_arn: &str,
    options: &Options,
) -> Result<RoleChain, aws_role_chain::Error> {
    let named = |arn: &str| match &options.session_name {
        Some(name) => Role::new(arn).session_name(name),
        None => Role::new(arn),
    };
    let mut last = named(role_arn);
    if let Some(id) = &options.external_id {
        last = last.external_id(id);
    }
    let mut chain: Option<RoleChain> = None;
    for role in options.via.iter().map(|arn| named(arn)).chain([last]) {
        chain = Some(match chain {
            None => RoleChain::new(base, role)?,
            Some(chain) => chain.assume(role)?,
        });
    }
    Ok(chain.expect("the last role is always there"))
}

/// A bar on a terminal, nothing elsewhere.
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

/// An error with all its causes.
fn explained(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
