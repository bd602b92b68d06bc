//! Puts records on a Firehose stream of each customer's, as a role that the customer gave: one hub, and
//! one hop from it to every customer. Without `--hub-arn` the customers' roles are assumed with the source
//! credentials, such as those of an EC2 instance.
//!
//! ```text
//! cargo run --example tenants -- --hub-arn arn:aws:iam::111111111111:role/Hub --role-path /vendor/ \
//!     --customers customers.json records.ndjson
//! ```
//!
//! The customers are a JSON array of objects: `name`, `role_arn`, `external_id` (of the vendor's making),
//! `stream` and `region`, all of them strings; no two have the same name. A role of the vendor's own account,
//! or without the path that customers are told to use, is refused before any call. What goes wrong with one
//! customer stops no other: the summary tells it, and the exit code is 1. Records that Firehose did not take
//! are added to `<name>.dead-letter`.
//!
//! `--local` runs it without AWS, on the simulator `sts-simulator`, with
//! customers of whom some refuse.

mod local;
#[path = "../put_records/sender.rs"]
#[allow(dead_code)] // put_records reads as it sends; here all records are there.
mod sender;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_role_chain::{AllowedRoles, Role, RoleChain};
use aws_sdk_firehose::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser;
use serde_json::Value;
use tokio::task::JoinSet;

use sender::{Batch, DeadLetters, Interrupt, Sender, Stop};

/// Firehose's limit on a record, before base64: 1,000 KiB.
const MOST_BYTES_IN_RECORD: usize = 1000 * 1024;

/// Put records on a Firehose stream of each customer's.
#[derive(Parser)]
struct Options {
    /// The vendor's role that the customers' roles trust, where that is not the one it runs as
    #[arg(long, default_value_if("local", "true", local::HUB_ARN))]
    hub_arn: Option<String>,

    /// JSON file of customers
    #[arg(long, value_name = "FILE", required_unless_present = "local")]
    customers: Option<PathBuf>,

    /// IAM path that every customer's role must have
    #[arg(
        long,
        value_name = "PATH",
        default_value_if("local", "true", "/vendor/")
    )]
    role_path: Option<String>,

    /// Customers served at once, at the most
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Folder for the dead-letter files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dead_letters: PathBuf,

    /// Profile to start from, instead of the default one
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    /// AWS region of STS, instead of the profile's
    #[arg(long, conflicts_with = "local")]
    region: Option<String>,

    /// One endpoint for all services, such as a local server
    #[arg(long, conflicts_with = "local")]
    endpoint_url: Option<String>,

    /// Run on the built-in simulator, without AWS; on sample customers and records if none are given
    #[arg(long)]
    local: bool,

    /// Records, one a line, empty lines left out; every customer gets them all
    #[arg(required_unless_present = "local")]
    records: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let served = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(&options)),
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every record was put.
async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let rows = match &options.customers {
        Some(path) => rows(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?,
        None => rows(include_bytes!("customers.json"))?,
    };
    let records = match &options.records {
        Some(path) => records(&read(path)?)?,
        None => records(include_bytes!("../put_records/records.ndjson"))?,
    };
    let (base, local) = if options.local {
        // clap gives it.
        let hub_arn = options.hub_arn.as_deref().unwrap_or_default();
        let (base, local) = local::start(hub_arn)?;
        (base, Some(local))
    } else {
        (base_config(options).await, None)
    };
    let us = match &options.hub_arn {
        Some(hub_arn) => RoleChain::new(&base, Role::new(hub_arn))?,
        None => RoleChain::from_source(&base)?,
    };
    // Whatever role customers enter, it is none of ours, and their trust policy can tell them apart.
    let own_account = match &options.hub_arn {
        Some(hub_arn) => hub_arn.split(':').nth(4).unwrap_or_default().to_owned(),
        None => account(&us).await?,
    };
    let mut allowed = AllowedRoles::new()
        .deny_accounts([own_account])
        .require_external_id();
    if let Some(path) = &options.role_path {
        allowed = allowed.allow_paths([path]);
    }
    let vendor = Arc::new(Vendor {
        us,
        allowed: Arc::new(allowed),
        records,
        dead_letters: options.dead_letters.clone(),
    });

    let outcomes = serve_all(&vendor, rows, options.concurrency.into()).await?;

    let mut out = io::stdout().lock();
    print_summary(&mut out, &outcomes)?;
    if let Some(local) = local {
        writeln!(out, "{local}")?;
        if options.customers.is_none() {
            writeln!(out, "birch, cedar, dune and fir are meant to fail")?;
        }
    }
    Ok(outcomes
        .iter()
        .all(|outcome| outcome.failed == 0 && outcome.why.is_none()))
}

/// What all customers share.
struct Vendor {
    us: RoleChain,
    allowed: Arc<AllowedRoles>,
    records: Vec<Vec<u8>>,
    dead_letters: PathBuf,
}

struct Customer {
    name: String,
    role_arn: String,
    external_id: String,
    stream: String,
    region: String,
}

/// What became of a customer's records.
struct Outcome {
    name: String,
    put: u64,
    failed: u64,
    took: Duration,
    why: Option<String>,
    /// Where some are.
    kept_in: Option<PathBuf>,
}

impl Outcome {
    fn nothing_put(name: &str, records: usize, why: impl ToString) -> Self {
        Self {
            name: name.to_owned(),
            put: 0,
            failed: records as u64,
            took: Duration::ZERO,
            why: Some(why.to_string()),
            kept_in: None,
        }
    }
}

/// Serves so many at once, until none is left or somebody ends it. In the customers' order.
async fn serve_all(
    vendor: &Arc<Vendor>,
    rows: Vec<Value>,
    at_once: usize,
) -> io::Result<Vec<Outcome>> {
    let mut interrupt = Interrupt::new()?;
    // A name that cannot be one is not shown: it may be more than a line.
    let name = |(i, row): (usize, &Value)| match Customer::name(row) {
        Ok(name) => name,
        Err(_) => format!("row {}", i + 1),
    };
    let names: Vec<String> = rows.iter().enumerate().map(name).collect();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (i, name) in names.iter().enumerate() {
        // There are file systems to which Acme is acme.
        first.entry(name.to_lowercase()).or_insert(i);
    }
    let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
    let mut left = rows.into_iter().enumerate();
    let mut serving = JoinSet::new();
    loop {
        while serving.len() < at_once
            && let Some((i, row)) = left.next()
        {
            let (vendor, name) = (vendor.clone(), names[i].clone());
            let first = first[&name.to_lowercase()];
            if first != i {
                // Their dead letters would be one file.
                let why = format!("name is that of row {} too", first + 1);
                outcomes[i] = Some(Outcome::nothing_put(&name, vendor.records.len(), why));
                continue;
            }
            serving.spawn(async move { (i, vendor.serve(&name, &row).await) });
        }
        tokio::select! {
            // A customer's that ends for the same signal must not make place for another.
            biased;
            // Those under way end by themselves.
            () = interrupt.wait(), if left.len() > 0 => left = Vec::new().into_iter().enumerate(),
            served = serving.join_next() => match served {
                Some(Ok((i, outcome))) => outcomes[i] = Some(outcome),
                // It panicked: the others go on.
                Some(Err(_)) => {}
                None => break,
            },
        }
    }
    let ended = |(outcome, name): (Option<Outcome>, String)| {
        let not_begun = || Outcome::nothing_put(&name, vendor.records.len(), "interrupted");
        outcome.unwrap_or_else(not_begun)
    };
    Ok(outcomes.into_iter().zip(names).map(ended).collect())
}

impl Vendor {
    async fn serve(&self, name: &str, row: &Value) -> Outcome {
        let started = Instant::now();
        let mut outcome = match self.put(row).await {
            Ok(sender) => Outcome {
                name: name.to_owned(),
                put: sender.sent,
                failed: self.records.len() as u64 - sender.sent,
                took: Duration::ZERO,
                why: why(&sender),
                kept_in: (sender.kept > 0).then(|| self.dead_letters_of(name)),
            },
            Err(error) => Outcome::nothing_put(name, self.records.len(), error),
        };
        outcome.took = started.elapsed();
        outcome
    }

    fn dead_letters_of(&self, name: &str) -> PathBuf {
        self.dead_letters.join(format!("{name}.dead-letter"))
    }

    async fn put(&self, row: &Value) -> Result<Sender, Box<dyn Error + Send + Sync>> {
        // Before the first wait, so that no signal is missed.
        let mut interrupt = Interrupt::new()?;
        let customer = Customer::read(row)?;
        let role = Role::new(customer.role_arn)
            .external_id(customer.external_id)
            .allowed_roles(self.allowed.clone());
        let tenant = self.us.assume(role)?;
        tokio::select! {
            assumed = tenant.refresh() => assumed?,
            () = interrupt.wait() => return Err("interrupted".into()),
        }
        let config = tenant.sdk_config().into_builder();
        let config = config.region(Region::new(customer.region)).build();
        let firehose = aws_sdk_firehose::Client::new(&config);
        let dead_letters = DeadLetters::new(&self.dead_letters_of(&customer.name));
        let mut sender = Sender::new(firehose, customer.stream, dead_letters);
        let mut batch = Batch::default();
        for (line, record) in (1..).zip(&self.records) {
            if !batch.has_room_for(record) {
                sender
                    .send(std::mem::take(&mut batch), &mut interrupt)
                    .await;
            }
            batch.push(line, record.clone());
        }
        sender.send(batch, &mut interrupt).await;
        Ok(sender)
    }
}

/// Why not all records were put.
fn why(sender: &Sender) -> Option<String> {
    match &sender.stop {
        Some(Stop::Interrupted) => Some("interrupted".to_owned()),
        Some(Stop::Refused(error)) => Some(match aws_role_chain::Error::find(error) {
            Some(error) => error.to_string(),
            None => match (error.code(), error.message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                _ => DisplayErrorContext(error).to_string(),
            },
        }),
        None if sender.kept + sender.lost > 0 => {
            Some("Firehose did not take some records however often they were sent".to_owned())
        }
        None => None,
    }
}

impl Customer {
    /// The error names no value: one of them is the external ID.
    fn read(row: &Value) -> Result<Self, String> {
        Ok(Self {
            name: Self::name(row)?,
            role_arn: text(row, "role_arn")?,
            external_id: text(row, "external_id")?,
            stream: text(row, "stream")?,
            region: text(row, "region")?,
        })
    }

    fn name(row: &Value) -> Result<String, String> {
        let name = text(row, "name")?;
        // It names a file.
        let of_file = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        match !name.is_empty() && name.chars().all(of_file) {
            true => Ok(name),
            false => Err("name may have only ASCII letters, digits, _ and -".to_owned()),
        }
    }
}

fn text(row: &Value, key: &str) -> Result<String, String> {
    let text = row[key].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("{key} is missing, or not a string"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn rows(json: &[u8]) -> Result<Vec<Value>, Box<dyn Error>> {
    match serde_json::from_slice(json)? {
        Value::Array(rows) => Ok(rows),
        _ => Err("must be a JSON array of customers".into()),
    }
}

/// Each keeps its line feed.
fn records(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut records = Vec::new();
    for (line, record) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if record.len() >= MOST_BYTES_IN_RECORD {
            return Err(format!("line {line}: over 1,000 KiB with its line feed"));
        }
        if !record.is_empty() && record != b"\r" {
            records.push([record, b"\n"].concat());
        }
    }
    Ok(records)
}

fn print_summary(out: &mut impl Write, outcomes: &[Outcome]) -> io::Result<()> {
    let width = outcomes.iter().map(|outcome| outcome.name.chars().count());
    let width = width.chain([8]).max().unwrap_or_default();
    writeln!(
        out,
        "{:width$}  {:>8}  {:>8}  {:>7}  why",
        "customer", "put", "failed", "seconds"
    )?;
    for Outcome {
        name,
        put,
        failed,
        took,
        why,
        ..
    } in outcomes
    {
        // An error's first line says what failed; the others what to do, and doctor has more.
        let why = why
            .as_deref()
            .and_then(|why| why.lines().next())
            .unwrap_or("-");
        let seconds = took.as_secs_f64();
        writeln!(
            out,
            "{name:width$}  {put:>8}  {failed:>8}  {seconds:>7.1}  {why}"
        )?;
    }
    for path in outcomes.iter().filter_map(|it| it.kept_in.as_ref()) {
        writeln!(out, "records kept in {}", path.display())?;
    }
    Ok(())
}

async fn account(us: &RoleChain) -> Result<String, Box<dyn Error>> {
    let sts = aws_sdk_sts::Client::new(&us.sdk_config());
    let caller = sts.get_caller_identity().send().await;
    let caller = caller.map_err(|error| match aws_role_chain::Error::find(&error) {
        Some(error) => error.to_string(),
        None => DisplayErrorContext(&error).to_string(),
    })?;
    Ok(caller
        .account
        .ok_or("STS does not say whose the source credentials are")?)
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
