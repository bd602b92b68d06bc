//! [`Firehose`]: delivery streams that keep their records in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::base64;
use serde_json::{Map, Value, json};

use crate::iam::Caller;
use crate::protocol::{ErrorResponse, response};
use crate::signature::Authorization;
use crate::simulator::Simulator;

/// The prefix of operation names in `x-amz-target`.
const TARGET: &str = "Firehose_20150804.";
/// The maximum size of a record in bytes, before base64.
const MAX_RECORD: usize = 1000 * 1024;
/// The maximum total size of a call's records in bytes.
const MAX_BATCH: usize = 4 * 1024 * 1024;

/// An in-memory Amazon Data Firehose: PutRecord, PutRecordBatch with partial failures, CreateDeliveryStream,
/// DescribeDeliveryStream, ListDeliveryStreams and DeleteDeliveryStream.
///
/// Callers need the permission for the operation, and can use only streams in their own account. Records are kept, but
/// not delivered.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sts_simulator::{Firehose, Simulator};
///
/// let aws = Simulator::new();
/// let firehose = Firehose::plug_into(&aws);
/// let stream = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";
/// firehose.create_stream(stream);
///
/// firehose.fail_records(2); // of the next batch or batches
/// // … the code under test puts its records, and must send two of them again …
/// assert_eq!(firehose.records(stream), Vec::<Vec<u8>>::new());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Firehose(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The records of each stream, by the stream's ARN.
    streams: BTreeMap<String, Vec<Vec<u8>>>,
    /// How many records of the next batches fail.
    failures: usize,
}

impl Firehose {
    /// Creates a Firehose without streams and adds it to `simulator` as the service `firehose`.
    pub fn plug_into(simulator: &Simulator) -> Self {
        let firehose = Self::default();
        let service = firehose.clone();
        simulator.service("firehose", move |caller, request| {
            match service.perform(caller, request) {
                Ok(output) => response(200, "application/x-amz-json-1.1", output.to_string()),
                Err(error) => error.into_service_response("firehose", request),
            }
        });
        firehose
    }

    /// Creates a stream unless it exists. `arn` is `arn:aws:firehose:<region>:<account>:deliverystream/<name>`.
    pub fn create_stream(&self, arn: impl Into<String>) {
        self.state().streams.entry(arn.into()).or_default();
    }

    /// Returns the records of a stream in order of arrival.
    pub fn records(&self, arn: &str) -> Vec<Vec<u8>> {
        self.state().streams.get(arn).cloned().unwrap_or_default()
    }

    /// Makes the next `count` records of PutRecordBatch fail with `ServiceUnavailableException` while the call
    /// succeeds, as AWS does for streams above their quota.
    pub fn fail_records(&self, count: usize) {
        self.state().failures = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, caller: &Caller, request: &HttpRequest) -> Result<Value, ErrorResponse> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.strip_prefix(TARGET).ok_or_else(|| {
            ErrorResponse::new(
                400,
                "UnknownOperationException",
                format!("unknown operation {target:?}"),
            )
        })?;
        let body = request.body().bytes().unwrap_or_default();
        let input: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            ErrorResponse::new(400, "SerializationException", error.to_string())
        })?;
        let call = Call {
            firehose: self,
            caller,
            region: Authorization::read(request).map_or_else(String::new, |a| a.region),
            operation,
            input,
        };
        match operation {
            "PutRecord" => call.put_record(),
            "PutRecordBatch" => call.put_record_batch(),
            "CreateDeliveryStream" => call.create(),
            "DescribeDeliveryStream" => call.describe(),
            "DeleteDeliveryStream" => call.delete(),
            "ListDeliveryStreams" => call.list(),
            other => Err(ErrorResponse::new(
                400,
                "UnknownOperationException",
                format!("the simulator's Firehose does not support {other}"),
            )),
        }
    }
}

impl fmt::Debug for Firehose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Firehose").finish_non_exhaustive()
    }
}

/// One call of an operation.
struct Call<'a> {
    firehose: &'a Firehose,
    caller: &'a Caller,
    region: String,
    operation: &'a str,
    input: Map<String, Value>,
}

impl Call<'_> {
    fn put_record(&self) -> Result<Value, ErrorResponse> {
        let stream = self.authorize_stream()?;
        let record = self.input.get("Record").unwrap_or(&Value::Null);
        let data = data(record, "record")?;
        self.with_stream(&stream, |records, _| records.push(data))?;
        Ok(json!({"RecordId": record_id(), "Encrypted": false}))
    }

    fn put_record_batch(&self) -> Result<Value, ErrorResponse> {
        let stream = self.authorize_stream()?;
        let records = self.input.get("Records").and_then(Value::as_array);
        let records = records.map_or(&[][..], Vec::as_slice);
        if !(1..=500).contains(&records.len()) {
            let rule = if records.is_empty() {
                "greater than or equal to 1"
            } else {
                "less than or equal to 500"
            };
            return Err(ErrorResponse::new(
                400,
                "ValidationException",
                format!(
                    "1 validation error detected: Value at 'records' failed to satisfy constraint: Member \
                     must have length {rule}"
                ),
            ));
        }
        let mut batch = Vec::new();
        for (n, record) in (1..).zip(records) {
            batch.push(data(record, &format!("records.{n}.member"))?);
        }
        if batch.iter().map(Vec::len).sum::<usize>() > MAX_BATCH {
            let message = "Records size exceeds 4 MB limit";
            return Err(ErrorResponse::new(400, "InvalidArgumentException", message));
        }
        self.with_stream(&stream, |kept, failures| {
            let mut failed = 0;
            let responses: Vec<Value> = batch
                .into_iter()
                .map(|data| {
                    if *failures > 0 {
                        *failures -= 1;
                        failed += 1;
                        json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."})
                    } else {
                        kept.push(data);
                        json!({"RecordId": record_id()})
                    }
                })
                .collect();
            json!({"FailedPutCount": failed, "Encrypted": false, "RequestResponses": responses})
        })
    }

    fn create(&self) -> Result<Value, ErrorResponse> {
        let stream = self.authorize_stream()?;
        let mut state = self.firehose.state();
        if state.streams.contains_key(&stream) {
            return Err(ErrorResponse::new(
                400,
                "ResourceInUseException",
                format!(
                    "Firehose {} under accountId {} already exists",
                    self.name()?,
                    self.caller.account()
                ),
            ));
        }
        state.streams.insert(stream.clone(), Vec::new());
        Ok(json!({"DeliveryStreamARN": stream}))
    }

    fn describe(&self) -> Result<Value, ErrorResponse> {
        let stream = self.authorize_stream()?;
        self.with_stream(&stream, |_, _| {})?;
        Ok(json!({"DeliveryStreamDescription": {
            "DeliveryStreamName": self.name()?,
            "DeliveryStreamARN": stream,
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": "DirectPut",
            "VersionId": "1",
            "Destinations": [],
            "HasMoreDestinations": false,
        }}))
    }

    fn delete(&self) -> Result<Value, ErrorResponse> {
        let stream = self.authorize_stream()?;
        self.with_stream(&stream, |_, _| {})?;
        self.firehose.state().streams.remove(&stream);
        Ok(json!({}))
    }

    fn list(&self) -> Result<Value, ErrorResponse> {
        self.authorize("*")?;
        let prefix = self.arn("");
        let after = self.input.get("ExclusiveStartDeliveryStreamName");
        let after = after.and_then(Value::as_str).unwrap_or_default();
        let limit = self
            .input
            .get("Limit")
            .and_then(Value::as_u64)
            .unwrap_or(10);
        let state = self.firehose.state();
        let mut names = state
            .streams
            .keys()
            .filter_map(|arn| arn.strip_prefix(&prefix))
            .filter(|name| *name > after);
        let listed: Vec<&str> = names.by_ref().take(limit as usize).collect();
        let more = names.next().is_some();
        Ok(json!({"DeliveryStreamNames": listed, "HasMoreDeliveryStreams": more}))
    }

    /// Calls `change` with the records of a stream and the number of records that are to fail.
    fn with_stream<T>(
        &self,
        arn: &str,
        change: impl FnOnce(&mut Vec<Vec<u8>>, &mut usize) -> T,
    ) -> Result<T, ErrorResponse> {
        let State { streams, failures } = &mut *self.firehose.state();
        match streams.get_mut(arn) {
            Some(records) => Ok(change(records, failures)),
            None => Err(ErrorResponse::new(
                400,
                "ResourceNotFoundException",
                format!(
                    "Firehose {} under account {} not found.",
                    self.name()?,
                    self.caller.account()
                ),
            )),
        }
    }

    /// Returns the ARN of the stream that the call names, if the caller may perform the operation on it.
    fn authorize_stream(&self) -> Result<String, ErrorResponse> {
        let arn = self.arn(self.name()?);
        self.authorize(&arn)?;
        Ok(arn)
    }

    fn authorize(&self, resource: &str) -> Result<(), ErrorResponse> {
        let action = format!("firehose:{}", self.operation);
        let request = self.caller.request(&*action, resource).complete();
        if request.is_allowed() {
            Ok(())
        } else {
            Err(ErrorResponse::new(
                400,
                "AccessDeniedException",
                request.refusal(),
            ))
        }
    }

    fn name(&self) -> Result<&str, ErrorResponse> {
        let name = self.input.get("DeliveryStreamName").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if (1..=64).contains(&name.len()) && name.chars().all(is_name) {
            return Ok(name);
        }
        Err(ErrorResponse::new(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value '{name}' at 'deliveryStreamName' failed to satisfy \
                 constraint: Member must have length between 1 and 64 and satisfy regular expression \
                 pattern: [a-zA-Z0-9_.-]+"
            ),
        ))
    }

    fn arn(&self, name: &str) -> String {
        let (region, account) = (&self.region, self.caller.account());
        let partition = self.caller.partition();
        format!("arn:{partition}:firehose:{region}:{account}:deliverystream/{name}")
    }
}

/// Reads the data of a record. `name` is the record's name in error messages.
fn data(record: &Value, name: &str) -> Result<Vec<u8>, ErrorResponse> {
    let text = record.get("Data").and_then(Value::as_str).ok_or_else(|| {
        ErrorResponse::new(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value null at '{name}.data' failed to satisfy constraint: \
                 Member must not be null"
            ),
        )
    })?;
    let data = base64::decode(text).map_err(|_| {
        ErrorResponse::new(
            400,
            "SerializationException",
            format!("'{name}.data' is not base64"),
        )
    })?;
    if data.len() > MAX_RECORD {
        return Err(ErrorResponse::new(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value at '{name}.data' failed to satisfy constraint: Member \
                 must have length less than or equal to {MAX_RECORD}"
            ),
        ));
    }
    Ok(data)
}

/// Returns a random record ID, with the length of AWS's IDs.
fn record_id() -> String {
    (0..152).map(|_| fastrand::alphanumeric()).collect()
}
