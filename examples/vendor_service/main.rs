//! A web service that takes records for its vendor's customers, and puts each on its customer's Firehose stream,
//! as the role that the customer gave.
//!
//! ```text
//! cargo run --example vendor_service --features metrics,pool -- --customers customers.json \
//!     --hub-arn arn:aws:iam::111111111111:role/Hub --role-path /vendor/
//! curl http://127.0.0.1:8080/customers/acme/records --data-binary @records.ndjson
//! ```
//!
//! The file of customers is that of the example `tenants`. Who may send records for which customer is not checked
//! here: put it behind something that does.
//!
//! # What is answered
//!
//! A request's body is one to 500 records, up to 4 MiB: JSON values, one a line.
//!
//! | status | |
//! |---|---|
//! | 200 | accepted: Firehose has all of the records |
//! | 400, 413 | not JSON, no records; too many, too large |
//! | 404, 405 | no such customer or path; another method |
//! | 424 | the customer's role or stream refuses, and why; until that is changed, sending again is no use |
//! | 429, 503 | send again later: the queue is full, for this customer or for all; Firehose is busy, or STS is away and the customer has no session |
//!
//! No record is accepted before Firehose has it, so none that was accepted can be lost: not by a shutdown, and not by
//! a crash either. Until it has a 200 the client keeps the records. `lines` in an error are those that are not on
//! the stream; sent again, a record may arrive twice, as anywhere with Firehose.
//!
//! After Ctrl-C or SIGTERM no connections are accepted, and the requests in flight are answered; the exit code is
//! then 0. What takes more than `--shutdown-seconds` is cut off, and the exit code is 1.
//!
//! While STS is unavailable, customers with a session go on. Choose `--max-chains` so that there is room for all that
//! are active: with less, those who come without a session meanwhile push out others' that are still valid.
//!
//! `/healthz` is for a readiness probe, `/metrics` for Prometheus (`figures.rs` has the list).
//!
//! # On the simulator
//!
//! `--local` runs on the simulator `sts-simulator`: it sends requests to itself, prints what became of them, and ends.
//! With `--outage`, STS is unavailable for a third of them. The exit code is 1 if an accepted record is not on its
//! customer's stream, or if a customer who had a session noticed the outage.

#[path = "../common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
mod customers;
mod delivery;
mod figures;
#[path = "../common/firehose.rs"]
mod firehose;
mod load;
mod local;
mod options;
#[path = "../common/program.rs"]
#[allow(dead_code)]
mod program;
mod queue;
mod records;
mod routes;
#[path = "../tenants/customer.rs"]
mod row;
mod service;
mod table;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::{self, IntoFuture};
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use load::{Load, Report};
use local::Local;
use options::Options;
use program::{INTERRUPTED, Interrupt, note, print};
use service::Service;

fn main() -> ExitCode {
    program::run_to_end(run(Options::parse()))
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let mut interrupt = Interrupt::new()?;
    let recorder = figures::recorder()?;
    let figures = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    tokio::spawn(figures::drain(figures.clone()));

    let (base, customers, local) = match &options.customers {
        Some(path) => {
            let named = |error| format!("{}: {error}", path.display());
            let customers = std::fs::read(path).map_err(named)?;
            (
                options.base.load(options.profile.as_deref()).await?,
                customers,
                None,
            )
        }
        None => {
            let latency = Duration::from_millis(options.load.latency_ms.into());
            let hub_arn = options.hub_arn.as_deref().unwrap_or_default();
            let local = Local::start(hub_arn, options.load.local_customers, latency)?;
            (local.base.clone(), local.rows(), Some(Arc::new(local)))
        }
    };
    let service = Arc::new(Service::new(&options, &base, &customers, figures)?);

    let listener = TcpListener::bind(&options.listen).await;
    let listener = listener.map_err(|error| format!("--listen {}: {error}", options.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    print(&format!("listening: {url}\n"))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes::router(service.clone()))
        .with_graceful_shutdown(async { drop(stopped.await) });
    let mut server = tokio::spawn(server.into_future());

    let load = local.clone().filter(|_| options.load.requests > 0);
    let mut load = load.map(|local| {
        let load = Load::new(&options.load, url, service.clone(), local);
        tokio::spawn(load.run())
    });
    let load_ended = async {
        match &mut load {
            Some(load) => load.await,
            None => future::pending().await,
        }
    };
    let mut report = tokio::select! {
        report = load_ended => Some(report?),
        () = interrupt.wait() => None,
    };

    drop(stop);
    let patience = Duration::from_secs(options.shutdown_seconds.into());
    if !answers_all(&mut server, patience).await? && service.queue.used_kib() > 0 {
        let kib = service.queue.used_kib();
        note(format_args!(
            "cut off: requests with {kib} KiB of records, which were not accepted, and may be on the streams"
        ));
        return Ok(ExitCode::FAILURE);
    }
    let Some(local) = local else {
        return Ok(ExitCode::SUCCESS);
    };
    if let (None, Some(load)) = (&report, load) {
        // Its clients found nobody to connect to.
        let report_so_far = load.await?;
        report = Some(Report {
            is_interrupted: true,
            ..report_so_far
        });
    }
    let Some(report) = report else {
        let records = local.check([]).records;
        print(&format!("records on the streams: {records}\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let (table, is_good) = table::table(&report, &local, service.pool.len());
    print(&table)?;
    Ok(match is_good {
        false => ExitCode::FAILURE,
        true if report.is_interrupted => ExitCode::from(INTERRUPTED),
        true => ExitCode::SUCCESS,
    })
}

/// Waits until the requests in flight are answered; not for ever, and not after a second Ctrl-C.
async fn answers_all(
    server: &mut JoinHandle<io::Result<()>>,
    patience: Duration,
) -> Result<bool, Box<dyn Error>> {
    let mut interrupt = Interrupt::new()?;
    tokio::select! {
        ended = server => {
            ended??;
            Ok(true)
        }
        () = tokio::time::sleep(patience) => Ok(false),
        () = interrupt.wait() => Ok(false),
    }
}
