//! Puts a customer's queued records on the customer's stream.

use std::sync::{Arc, PoisonError};

use aws_role_chain::{ChainPool, Error};
use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::ProvideErrorMetadata;
use metrics::counter;

use crate::customers::Customer;
use crate::firehose::{self, ATTEMPTS, PutError, is_transient, wait_before};
use crate::program::{explain, note};
use crate::queue::Waiting;

/// Why records were not put on the stream.
#[derive(Clone, Debug)]
pub struct NotPut {
    /// Whether the customer's role or stream rejects the records. Retries are useless until the customer fixes the
    /// cause.
    pub is_refusal: bool,
    /// The error code of STS or Firehose, or a few words.
    pub code: String,
    /// One line, without secrets.
    pub reason: String,
    /// The lines of the request that are not known to be on the stream.
    pub lines: Vec<usize>,
}

/// Puts a customer's queued requests on the stream as one batch, and answers them.
///
/// Call this once per request. The requests that arrive while a batch is in flight become the next batch, and calls
/// that find the queue empty return. So a busy customer needs few calls to Firehose, and a single request does not wait
/// for more.
pub async fn deliver(pool: ChainPool, customer: Arc<Customer>) {
    let _lock = customer.queue.lock_delivery().await;
    let mut batch = customer.queue.take_batch();
    if batch.is_empty() {
        return;
    }
    let result = put(&pool, &customer, &mut batch).await;
    match &result {
        Ok(()) => note_change(&customer, None),
        Err(why) if why.is_refusal => note_change(&customer, Some(why)),
        // Transient, and often the same for many customers: /healthz and the metrics report it.
        Err(_) => {}
    }
    if let Err(why) = result {
        let result = if why.is_refusal { "refused" } else { "failed" };
        for request in batch {
            count(result, request.records.len());
            let lines = request.records.iter().map(|(line, _)| *line).collect();
            // An error means that the client has disconnected. It was not told that its records were accepted.
            let _ = request.answer.send(Err(NotPut {
                lines,
                ..why.clone()
            }));
        }
    }
}

/// Puts a batch on the stream, with retries. Answers each request when all of its records are on the stream, and
/// removes it from the batch. After an error, the batch contains the remaining requests.
async fn put(
    pool: &ChainPool,
    customer: &Customer,
    batch: &mut Vec<Waiting>,
) -> Result<(), NotPut> {
    let firehose = client(pool, customer).map_err(|error| NotPut::for_role(&error))?;
    let mut why = NotPut::later(
        "ServiceUnavailableException",
        "Firehose did not accept the records",
    );
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            counter!("vendor_service_retries_total").increment(1);
            tokio::time::sleep(wait_before(attempt)).await;
            // Drops requests whose clients have disconnected: those will send the records again.
            batch.retain(Waiting::is_awaited);
            if batch.is_empty() {
                break;
            }
        }
        let records = batch.iter().flat_map(|request| &request.records);
        let records = records.map(|(_, data)| firehose::record(data)).collect();
        match firehose::put(&firehose, &customer.stream, records).await {
            Ok(failed) => answer_put(batch, &failed),
            Err(error) => {
                why = NotPut::by_firehose(&error);
                // The chain has already retried before it returns an error.
                if Error::find(&error).is_some() || why.is_refusal {
                    break;
                }
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
    }
    Err(why)
}

/// Creates a client with the customer's role. One per batch is cheap, because the pool caches the session and all
/// clients share the connections.
fn client(pool: &ChainPool, customer: &Customer) -> Result<Client, Error> {
    let chain = pool.get(customer.role.clone())?;
    let config = firehose::config(&chain).region(customer.region.clone());
    Ok(Client::from_conf(config.build()))
}

/// Removes all records from the batch except those at the `failed` positions, which are in ascending order. Answers the
/// requests that have no records left.
fn answer_put(batch: &mut Vec<Waiting>, failed: &[usize]) {
    let mut failed = failed.iter().peekable();
    let mut places = 0..;
    for request in &mut *batch {
        let before = request.records.len();
        request.records.retain(|_| {
            let place = places.next();
            failed.next_if(|failed| Some(**failed) == place).is_some()
        });
        count("put", before - request.records.len());
    }
    for request in batch.extract_if(.., |request| request.records.is_empty()) {
        let _ = request.answer.send(Ok(()));
    }
}

fn count(result: &'static str, records: usize) {
    counter!("vendor_service_records_total", "result" => result).increment(records as u64);
}

/// Reports on stderr when a customer's role or stream begins to reject records, for which reason, and when delivery
/// resumes, but not for each request. A metric with a label for each customer would be ten thousand series.
fn note_change(customer: &Customer, why: Option<&NotPut>) {
    let code = why.map(|why| why.code.clone());
    let mut rejected_with = customer
        .rejected_with
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if *rejected_with == code {
        return;
    }
    *rejected_with = code;
    match why {
        Some(why) if why.reason.contains(&why.code) => {
            note(format_args!("customer {}: {}", customer.id, why.reason));
        }
        Some(why) => note(format_args!(
            "customer {}: {}: {}",
            customer.id, why.code, why.reason
        )),
        None => note(format_args!(
            "customer {}: delivery has resumed",
            customer.id
        )),
    }
}

impl NotPut {
    fn later(code: &str, reason: &str) -> Self {
        Self {
            is_refusal: false,
            code: code.to_owned(),
            reason: reason.to_owned(),
            lines: Vec::new(),
        }
    }

    fn for_role(error: &Error) -> Self {
        // A failure of the source credentials or of the hub is the vendor's. Customers must not see its details.
        let is_ours = error.is_source_failure() || error.hop() < Some(error.chain_len());
        if is_ours && !error.is_invalid() {
            return Self::later("NoCredentials", "the service currently has no credentials");
        }
        let code = match (error.code(), error.field()) {
            (Some(code), _) => code.to_owned(),
            (None, Some(field)) => format!("invalid {field}"),
            (None, None) => "NoCredentials".to_owned(),
        };
        Self {
            is_refusal: !error.is_transient(),
            code,
            reason: first_line(error),
            lines: Vec::new(),
        }
    }

    fn by_firehose(error: &PutError) -> Self {
        if let Some(error) = Error::find(error) {
            return Self::for_role(error);
        }
        let is_refusal = !is_transient(error);
        let without_code = if is_refusal { "Failed" } else { "NoAnswer" };
        Self {
            is_refusal,
            code: error.code().unwrap_or(without_code).to_owned(),
            reason: first_line(error),
            lines: Vec::new(),
        }
    }
}

/// Returns the error without its advice, which is for the operator, who can run `role-chain doctor`.
fn first_line(error: &(dyn std::error::Error + 'static)) -> String {
    explain(error).lines().next().unwrap_or_default().to_owned()
}
