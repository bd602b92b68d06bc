//! A web service that accepts records for its vendor's customers, and puts them on each customer's Firehose stream, as
//! a role in the customer's account.
//!
//! ```text
//! cargo run --example vendor_service --features metrics,pool -- --customers customers.json \
//!     --hub-arn arn:aws:iam::111111111111:role/Hub --role-path /vendor/
//! curl http://127.0.0.1:8080/customers/acme/records --data-binary @records.ndjson
//! ```
//!
//! The file of customers has the format of the example `tenants`. The service does not authenticate its clients: put it
//! behind a proxy that checks who may send records for which customer.
//!
//! # Responses
//!
//! A request's body is 1 to 500 records, up to 4 MiB: JSON values, one per line. A batch of Firehose has the same
//! limits.
//!
//! | status | meaning |
//! |---|---|
//! | 200 | accepted: all records are on the stream |
//! | 400, 413 | the body is invalid: not JSON, or no records; too many or too large records |
//! | 404, 405 | unknown customer or path; wrong method |
//! | 424 | the customer's role or stream rejects the records; do not retry until the customer has fixed the cause, which the response contains |
//! | 429, 503 | retry later: the queue is full, for this customer or for all; Firehose is busy; STS is unavailable and the customer has no session; the request timed out |
//! | 500 | an internal error; the records may be on the stream |
//!
//! The service accepts records only after Firehose has confirmed them, so neither a shutdown nor a crash can lose an
//! accepted record. Clients must keep their records until the response is 200. If an error has `lines`, only these
//! records are not known to be on the stream. If they are sent again, some may arrive twice: Firehose delivers at least
//! once.
//!
//! After Ctrl-C or SIGTERM the service accepts no more connections, answers the requests in flight, and ends with exit
//! code 0. Requests that take longer than `--shutdown-seconds` are cut off, and the exit code is 1.
//!
//! While STS is unavailable, customers that have a session are still served. Set `--max-chains` to at least the number
//! of active customers. Otherwise, requests for customers without a session evict valid sessions of others during an
//! outage.
//!
//! `/healthz` is for a readiness probe, `/metrics` for Prometheus (`figures.rs` lists the metrics).
//!
//! # Simulation
//!
//! `--local` uses the simulator `sts-simulator`: the program sends requests to itself, prints the results, and ends.
//! With `--outage`, STS is unavailable during a third of the requests. The exit code is 1 if a request got no response,
//! if an accepted record is not on its customer's stream, or if the outage affected a customer that had a session.

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
    let time_limit = Duration::from_secs(options.shutdown_seconds.into());
    if !answers_all(&mut server, time_limit).await? && service.queue.used_kib() > 0 {
        let kib = service.queue.used_kib();
        note(format_args!(
            "cut off: requests with {kib} KiB of records, which were not confirmed but may be on the streams"
        ));
        return Ok(ExitCode::FAILURE);
    }
    let Some(local) = local else {
        return Ok(ExitCode::SUCCESS);
    };
    if let (None, Some(load)) = (&report, load) {
        // The load ends, because its clients cannot connect any more.
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
    Ok(if !is_good {
        ExitCode::FAILURE
    } else if report.is_interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Waits until the requests in flight are answered. Returns `false` after the time limit or a second signal.
async fn answers_all(
    server: &mut JoinHandle<io::Result<()>>,
    time_limit: Duration,
) -> Result<bool, Box<dyn Error>> {
    let mut interrupt = Interrupt::new()?;
    tokio::select! {
        ended = server => {
            ended??;
            Ok(true)
        }
        () = tokio::time::sleep(time_limit) => Ok(false),
        () = interrupt.wait() => Ok(false),
    }
}
