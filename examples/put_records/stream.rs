//! A Firehose stream, plugged into the simulator.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_firehose::config::http::{HttpRequest, HttpResponse};
use aws_sdk_firehose::primitives::Blob;
use serde_json::{Value, json};
use sts_simulator::Caller;

/// The stream that is not there.
const MISSING: &str = "no-such-stream";

/// Keeps what it is sent. Refuses every hundredth record it is offered, as a busy stream does some,
/// so that sending again can be seen.
#[derive(Clone, Default)]
pub struct Stream(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    /// Each with the account that the stream is in.
    records: Vec<(String, Blob)>,
    offered: usize,
}

impl Stream {
    /// What was kept, each record with the account that its stream is in.
    #[allow(dead_code)] // Only vendor_service looks at it.
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
            "the local stream has {} records, {bytes} bytes (it refuses every hundredth)",
            taken.records.len()
        )
    }
}

fn response(status: u16, body: Value) -> HttpResponse {
    let status = status.try_into().expect("an HTTP status");
    HttpResponse::new(status, body.to_string().into())
}
