//! Puts what waits for a customer on the customer's stream.

use std::sync::{Arc, PoisonError};

use aws_role_chain::{ChainPool, Error};
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::Builder;
use aws_sdk_firehose::error::ProvideErrorMetadata;
use metrics::counter;

use crate::customers::Customer;
use crate::firehose::{self, ATTEMPTS, PutError, is_transient, wait_before};
use crate::program::{explain, note};
use crate::queue::Waiting;

/// Why records are not on the stream.
#[derive(Clone, Debug)]
pub struct NotPut {
    /// Whether the customer's role or stream says no: sending the records again is no use until that is changed.
    pub is_refusal: bool,
    /// STS's code or Firehose's, or a few words.
    pub code: String,
    /// One line, without secrets.
    pub reason: String,
    /// The lines of the request that are not on the stream.
    pub lines: Vec<usize>,
}

/// Puts the requests that wait for a customer on the stream, as one batch, and answers them.
///
/// To be called once for each request. While a batch is on its way the requests that arrive wait; together they
/// are the next batch, and the calls that then find nothing are done. So a customer with many requests costs few
/// calls of Firehose's, and a request that comes alone does not wait for others.
pub async fn deliver(pool: ChainPool, customer: Arc<Customer>) {
    let _turn = customer.lane.turn().await;
    let mut batch = customer.lane.take_batch();
    if batch.is_empty() {
        return;
    }
    let result = put(&pool, &customer, &mut batch).await;
    match &result {
        Ok(()) => note_change(&customer, None),
        Err(why) if why.is_refusal => note_change(&customer, Some(why)),
        // It passes, and is the same for many customers: /healthz and the metrics say so once.
        Err(_) => {}
    }
    if let Err(why) = result {
        let result = if why.is_refusal { "refused" } else { "failed" };
        for request in batch {
            count(result, request.records.len());
            let lines = request.records.iter().map(|(line, _)| *line).collect();
            // Whoever has gone meanwhile was told nothing.
            let _ = request.answer.send(Err(NotPut {
                lines,
                ..why.clone()
            }));
        }
    }
}

/// Answers the requests whose records are all on the stream; those that are left in the batch are not.
async fn put(
    pool: &ChainPool,
    customer: &Customer,
    batch: &mut Vec<Waiting>,
) -> Result<(), NotPut> {
    let firehose = client(pool, customer).map_err(|error| NotPut::for_role(&error))?;
    let mut why = NotPut::later("ServiceUnavailableException", "Firehose did not take it");
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            counter!("vendor_service_retries_total").increment(1);
            tokio::time::sleep(wait_before(attempt)).await;
            // Clients that gave up will send the records again.
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
                // The chain has tried several times before it says that it has no credentials.
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

/// A client that works as the customer's role, made anew for each batch: the pool has the session, and all clients
/// share the connections.
fn client(pool: &ChainPool, customer: &Customer) -> Result<Client, Error> {
    let chain = pool.get(customer.role.clone())?;
    let renewal = chain.session_renewal();
    let config = Builder::from(&chain.sdk_config())
        .region(customer.region.clone())
        .interceptor(renewal.clone())
        .retry_classifier(renewal);
    Ok(Client::from_conf(config.build()))
}

/// Leaves the records at these places, which are in order.
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

/// Says on stderr that a customer's role or stream refuses, and when it does no more: once, not for each request. A
/// metric with a label for each customer would be ten thousand series.
fn note_change(customer: &Customer, why: Option<&NotPut>) {
    let code = why.map(|why| why.code.clone());
    let mut trouble = customer
        .trouble
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if *trouble == code {
        return;
    }
    *trouble = code;
    match why {
        Some(why) if why.reason.contains(&why.code) => {
            note(format_args!("customer {}: {}", customer.id, why.reason));
        }
        Some(why) => note(format_args!(
            "customer {}: {}: {}",
            customer.id, why.code, why.reason
        )),
        None => note(format_args!(
            "customer {}: records are put again",
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
        // The hub's failure is no customer's business.
        let is_ours = error.is_source_failure() || error.hop() < Some(error.chain_len());
        if is_ours && !error.is_invalid() {
            return Self::later(
                "NoCredentials",
                "the service has no credentials at the moment",
            );
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

/// What to check is for the operator, who has `role-chain doctor`.
fn first_line(error: &(dyn std::error::Error + 'static)) -> String {
    explain(error).lines().next().unwrap_or_default().to_owned()
}
