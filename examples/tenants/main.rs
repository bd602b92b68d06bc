//! Puts records on each customer's Firehose stream, as a role in the customer's account. The program assumes the
//! vendor's hub role once and, with its session, every customer's role. Without `--hub-arn`, it assumes the customers'
//! roles directly with the source credentials, for example those of an EC2 instance.
//!
//! ```text
//! cargo run --example tenants -- --hub-arn arn:aws:iam::111111111111:role/Hub --role-path /vendor/ \
//!     --customers customers.json records.ndjson
//! ```
//!
//! The customers are a JSON array of objects with the strings `name` (unique), `role_arn`, `external_id`, `stream` and
//! `region`. The vendor generates a different external ID for each customer, and the customer's trust policy requires
//! it. Otherwise customers could enter the role of another customer, which trusts the same hub (the [confused deputy]).
//! A role in the vendor's own account, or without the path of `--role-path`, is rejected before any call.
//!
//! If a customer's role or stream fails, the others continue. The summary says why, and the exit code is 1. Records
//! that Firehose did not confirm are appended to `<name>.dead-letter`. Some of them may be on the stream, for example
//! after Ctrl-C or SIGTERM; if they are sent again, they arrive twice.
//!
//! `--local` runs with the simulator `sts-simulator`, with sample customers of which some fail.
//!
//! [confused deputy]: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html

#[path = "../common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
mod customer;
#[path = "../common/firehose.rs"]
mod firehose;
mod local;
#[path = "../common/program.rs"]
#[allow(dead_code)]
mod program;
#[path = "../put_records/sender.rs"]
#[allow(dead_code)] // Only put_records sends while it reads.
mod sender;
mod summary;

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use aws_role_chain::{AllowedRoles, Role, RoleChain};
use aws_sdk_firehose::Client;
use aws_types::region::Region;
use clap::Parser;
use serde_json::Value;
use tokio::task::JoinSet;

use base::BaseOptions;
use customer::Customer;
use firehose::MAX_RECORD_BYTES;
use program::{INTERRUPTED, Interrupt, print};
use sender::{Batch, DeadLetters, Sender};
use summary::{Outcome, Reason, summary};

/// Put records on each customer's Firehose stream.
#[derive(Parser)]
struct Options {
    /// Vendor's role that the customers' roles trust; without it, they must trust the source credentials
    #[arg(long, default_value_if("local", "true", local::HUB_ARN))]
    hub_arn: Option<String>,

    /// JSON file with the customers
    #[arg(long, value_name = "FILE", required_unless_present = "local")]
    customers: Option<PathBuf>,

    /// IAM path that every customer's role must have
    #[arg(
        long,
        value_name = "PATH",
        default_value_if("local", "true", "/vendor/")
    )]
    role_path: Option<String>,

    /// Maximum number of customers served concurrently
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Folder for the dead-letter files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dead_letters: PathBuf,

    /// Profile with the source credentials [default: the SDK's default credentials]
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    /// File with one record per line, all of which are sent to every customer
    #[arg(required_unless_present = "local")]
    records: Option<PathBuf>,

    #[command(flatten)]
    base: BaseOptions,
}

fn main() -> ExitCode {
    program::run_to_end(run(Options::parse()))
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let mut interrupt = Interrupt::new()?;
    // Checked first: once records have failed, it is too late to find out that the folder does not exist.
    check_writable(&options.dead_letters)?;
    let rows = match &options.customers {
        Some(path) => rows(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?,
        None => rows(include_bytes!("customers.json"))?,
    };
    let (records, input) = match &options.records {
        Some(path) => (records(&read(path)?)?, path.display().to_string()),
        None => {
            let sample = include_bytes!("../put_records/records.ndjson");
            (records(sample)?, "the sample records".to_owned())
        }
    };
    let (base, local) = if options.base.local {
        // clap sets a default with --local.
        let hub_arn = options.hub_arn.as_deref().unwrap_or_default();
        let (base, local) = local::start(hub_arn)?;
        (base, Some(local))
    } else {
        (options.base.load(options.profile.as_deref()).await?, None)
    };
    let us = match &options.hub_arn {
        Some(hub_arn) => RoleChain::new(&base, Role::new(hub_arn))?,
        None => RoleChain::from_source(&base)?,
    };
    let own_account = match &options.hub_arn {
        Some(hub_arn) => hub_arn.split(':').nth(4).unwrap_or_default().to_owned(),
        None => tokio::select! {
            account = account(&us) => account?,
            () = interrupt.wait() => return Ok(ExitCode::from(INTERRUPTED)),
        },
    };
    // Customers enter the role ARNs. They must not be able to use the vendor's own roles, which may trust the hub, nor,
    // thanks to the external IDs, the roles of other customers.
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
        dead_letters: options.dead_letters,
    });

    let outcomes = serve_all(&vendor, rows, options.concurrency.into(), interrupt).await?;

    let mut text = summary(&outcomes, &input);
    if let Some(local) = local {
        text += &format!("\n{local}\n");
        if options.customers.is_none() {
            text += "birch, cedar, dune and fir are meant to fail\n";
        }
    }
    print(&text)?;
    let reasons = || {
        outcomes
            .iter()
            .filter_map(|outcome| outcome.reason.as_ref())
    };
    Ok(if reasons().any(Reason::is_interrupted) {
        ExitCode::from(INTERRUPTED)
    } else if reasons().next().is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What all customers share.
struct Vendor {
    us: RoleChain,
    allowed: Arc<AllowedRoles>,
    records: Vec<Vec<u8>>,
    dead_letters: PathBuf,
}

/// Serves up to `at_once` customers concurrently until all are served or a signal arrives. The outcomes are in the
/// order of the customers.
async fn serve_all(
    vendor: &Arc<Vendor>,
    rows: Vec<Value>,
    at_once: usize,
    mut interrupt: Interrupt,
) -> io::Result<Vec<Outcome>> {
    let names: Vec<String> = rows.iter().enumerate().map(customer::name_or_row).collect();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (i, name) in names.iter().enumerate() {
        // Some file systems ignore case, so that Acme and acme would share a dead-letter file.
        first.entry(name.to_lowercase()).or_insert(i);
    }
    let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
    let mut waiting = rows.into_iter().enumerate();
    let mut serving = JoinSet::new();
    loop {
        while serving.len() < at_once
            && let Some((i, row)) = waiting.next()
        {
            let (vendor, name) = (vendor.clone(), names[i].clone());
            let first = first[&name.to_lowercase()];
            if first != i {
                let reason = Reason::invalid_row(format!(
                    "the name is the same as that of row {}",
                    first + 1
                ));
                outcomes[i] = Some(Outcome::unsent(&name, vendor.records.len(), reason));
                continue;
            }
            serving.spawn(async move { (i, vendor.serve(&name, &row).await) });
        }
        tokio::select! {
            // Polls the signal first: a customer that this signal ended must not be replaced by another.
            biased;
            // Customers that are being served handle the signal themselves.
            () = interrupt.wait(), if waiting.len() > 0 => waiting = Vec::new().into_iter().enumerate(),
            served = serving.join_next() => match served {
                Some(Ok((i, outcome))) => outcomes[i] = Some(outcome),
                // The task panicked. The others continue.
                Some(Err(_)) => {}
                None => break,
            },
        }
    }
    let ended = |(outcome, name): (Option<Outcome>, String)| {
        let not_served = || Outcome::unsent(&name, vendor.records.len(), Reason::interrupted());
        outcome.unwrap_or_else(not_served)
    };
    Ok(outcomes.into_iter().zip(names).map(ended).collect())
}

impl Vendor {
    async fn serve(&self, name: &str, row: &Value) -> Outcome {
        let started = Instant::now();
        let mut outcome = match self.put(row).await {
            Ok(sender) => Outcome::of(
                name,
                self.records.len(),
                &sender,
                self.dead_letters_of(name),
            ),
            Err(reason) => Outcome::unsent(name, self.records.len(), reason),
        };
        outcome.took = started.elapsed();
        outcome
    }

    fn dead_letters_of(&self, name: &str) -> PathBuf {
        self.dead_letters.join(format!("{name}.dead-letter"))
    }

    async fn put(&self, row: &Value) -> Result<Sender, Reason> {
        // Listens before the first await, so that no signal is missed.
        let mut interrupt = Interrupt::new().map_err(|error| Reason::failed(&error))?;
        let customer = Customer::read(row).map_err(Reason::invalid_row)?;
        let role = Role::new(customer.role_arn)
            .external_id(customer.external_id)
            .allowed_roles(self.allowed.clone());
        let tenant = self
            .us
            .assume(role)
            .map_err(|error| Reason::failed(&error))?;
        tokio::select! {
            assumed = tenant.refresh() => assumed.map_err(|error| Reason::failed(&error))?,
            () = interrupt.wait() => return Err(Reason::interrupted()),
        }
        let config = firehose::config(&tenant).region(Region::new(customer.region));
        let firehose = Client::from_conf(config.build());
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

/// Checks that files can be created in the folder.
fn check_writable(folder: &Path) -> Result<(), String> {
    let probe = folder.join(format!(".tenants-{}", std::process::id()));
    File::create_new(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|error| format!("--dead-letters {}: {error}", folder.display()))
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

/// Splits the text into records. Each keeps its line feed, because Firehose concatenates records.
fn records(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut records = Vec::new();
    for (line, record) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if record.len() >= MAX_RECORD_BYTES {
            return Err(format!("line {line}: over 1,000 KiB with its line feed"));
        }
        if !record.is_empty() && record != b"\r" {
            records.push([record, b"\n"].concat());
        }
    }
    Ok(records)
}

/// Returns the account of the source credentials.
async fn account(us: &RoleChain) -> Result<String, Box<dyn Error>> {
    let sts = aws_sdk_sts::Client::new(&us.sdk_config());
    let caller = sts.get_caller_identity().send().await?;
    let account = caller.account;
    Ok(account.ok_or("GetCallerIdentity returned no account")?)
}
