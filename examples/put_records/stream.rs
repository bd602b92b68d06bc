//! A simulated Firehose stream, for the examples' `--local`.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_firehose::config::http::{HttpRequest, HttpResponse};
use aws_sdk_firehose::primitives::Blob;
use serde_json::{Value, json};
use sts_simulator::Caller;

/// The name of a stream that does not exist.
const MISSING: &str = "no-such-stream";

/// Stores the records that it accepts. Rejects every hundredth record that it receives, as a busy stream rejects some,
/// to show the retries.
#[derive(Clone, Default)]
pub struct Stream(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    /// The accepted records, each with the stream's account.
    records: Vec<(String, Blob)>,
    offered: usize,
}

impl Stream {
    /// Returns the accepted records, each with the stream's account.
    #[allow(dead_code)] // Used by vendor_service only.
    pub fn records(&self) -> Vec<(String, Blob)> {
        let taken = self.0.lock().expect("nothing panics under it");
        taken.records.clone()
    }

    pub fn answer(&self, caller: &Caller, request: &HttpRequest) -> HttpResponse {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let asked: Value = match serde_json::from_slice(body) {
            Ok(asked) if target == "Firehose_20150804.PutRecordBatch" => asked,
            _ => return response(400, json!({"__type": "UnknownOperationException"})),
        };
        let stream = asked["DeliveryStreamName"].as_str().unwrap_or_default();
        let account = caller.account();
        // firehose.<region>.amazonaws.com
        let region = request.uri().split('.').nth(1).unwrap_or_default();
        let arn = format!("arn:aws:firehose:{region}:{account}:deliverystream/{stream}");
        if !caller.may("firehose:PutRecordBatch", &arn) {
            let message = format!(
                "User: {} is not authorized to perform: firehose:PutRecordBatch on resource: \
                 {arn} because no identity-based policy allows the firehose:PutRecordBatch action",
                caller.arn()
            );
            let error = json!({"__type": "AccessDeniedException", "message": message});
            return response(400, error);
        }
        if stream == MISSING {
            let message = format!("Firehose {stream} under account {account} not found.");
            let error = json!({"__type": "ResourceNotFoundException", "message": message});
            return response(400, error);
        }
        let mut taken = self.0.lock().expect("nothing panics under it");
        let mut failed = 0;
        let mut entries = Vec::new();
        for record in asked["Records"].as_array().into_iter().flatten() {
            taken.offered += 1;
            if taken.offered.is_multiple_of(100) {
                failed += 1;
                entries.push(json!({
                    "ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."
                }));
                continue;
            }
            let data = record["Data"].as_str().unwrap_or_default();
            let data = aws_smithy_types::base64::decode(data).unwrap_or_default();
            let record = (account.to_owned(), Blob::new(data));
            taken.records.push(record);
            entries.push(json!({"RecordId": taken.records.len().to_string()}));
        }
        response(
            200,
            json!({"FailedPutCount": failed, "RequestResponses": entries}),
        )
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.0.lock().expect("nothing panics under it");
        let bytes: usize = taken
            .records
            .iter()
            .map(|(_, record)| record.as_ref().len())
            .sum();
        write!(
            f,
            "the simulated stream has {} records, {bytes} bytes (it rejects every hundredth record that it receives)",
            taken.records.len()
        )
    }
}

fn response(status: u16, body: Value) -> HttpResponse {
    let status = status.try_into().expect("an HTTP status");
    HttpResponse::new(status, body.to_string().into())
}
