//! `--local`: the accounts, the roles and the stream, on the simulator.

use std::error::Error;

use aws_types::SdkConfig;

/// What the command line has by default under `--local`.
pub const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";
pub const EXTERNAL_ID: &str = "c0ffee";

#[cfg(not(feature = "test-util"))]
pub fn start(_: &str, _: &[String]) -> Result<(SdkConfig, String), Box<dyn Error>> {
    Err("--local needs the simulator: build with --features test-util".into())
}

#[cfg(feature = "test-util")]
pub use simulated::start;

#[cfg(feature = "test-util")]
mod simulated {
    use std::fmt;
    use std::sync::{Arc, Mutex};

    use aws_role_chain::test_util::{Caller, Simulator};
    use aws_sdk_firehose::config::http::{HttpRequest, HttpResponse};
    use aws_sdk_firehose::primitives::Blob;
    use serde_json::{Value, json};

    use super::*;

    const USER_ARN: &str = "arn:aws:iam::111111111111:user/orders";

    /// A user in account 111111111111, the roles on the way, and the last one with a stream in its
    /// account: the set-up of the README.
    pub fn start(role_arn: &str, via: &[String]) -> Result<(SdkConfig, Stream), Box<dyn Error>> {
        let aws = Simulator::new();
        let may_assume = r#"{"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
        let keys = aws.user(USER_ARN).policy(may_assume).create()?;
        let mut caller = USER_ARN;
        for role in via {
            aws.role(role)
                .trust(trust(caller, "{}"))
                .policy(may_assume)
                .create()
                .map_err(|error| format!("--via {role}: {error}"))?;
            caller = role;
        }
        let external_id = format!(r#"{{"StringEquals": {{"sts:ExternalId": "{EXTERNAL_ID}"}}}}"#);
        aws.role(role_arn)
            .trust(trust(caller, &external_id))
            .policy(
                r#"{"Version": "2012-10-17", "Statement": {
                    "Effect": "Allow", "Action": ["firehose:PutRecord", "firehose:PutRecordBatch"],
                    "Resource": "arn:aws:firehose:*:*:deliverystream/*"}}"#,
            )
            .create()
            .map_err(|error| format!("--role-arn {role_arn}: {error}"))?;
        let stream = Stream::default();
        let taking = stream.clone();
        aws.service("firehose", move |caller, request| {
            taking.answer(caller, request)
        });
        Ok((aws.sdk_config(keys), stream))
    }

    fn trust(principal: &str, condition: &str) -> String {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {{"AWS": "{principal}"}}, "Condition": {condition}}}}}"#
        )
    }

    /// Keeps what it is sent. Refuses every hundredth record it is offered, as a busy stream does some,
    /// so that sending again can be seen.
    #[derive(Clone, Default)]
    pub struct Stream(Arc<Mutex<Taken>>);

    #[derive(Default)]
    struct Taken {
        records: Vec<Blob>,
        offered: usize,
    }

    impl Stream {
        fn answer(&self, caller: &Caller, request: &HttpRequest) -> HttpResponse {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let body = request.body().bytes().unwrap_or_default();
            let asked: Value = match serde_json::from_slice(body) {
                Ok(asked) if target == "Firehose_20150804.PutRecordBatch" => asked,
                _ => return response(400, json!({"__type": "UnknownOperationException"})),
            };
            let stream = asked["DeliveryStreamName"].as_str().unwrap_or_default();
            let account = caller.account();
            let arn = format!("arn:aws:firehose:eu-west-1:{account}:deliverystream/{stream}");
            if !caller.may("firehose:PutRecordBatch", &arn) {
                let message = format!(
                    "User: {} is not authorized to perform: firehose:PutRecordBatch on resource: \
                     {arn} because no identity-based policy allows the firehose:PutRecordBatch action",
                    caller.arn()
                );
                let error = json!({"__type": "AccessDeniedException", "message": message});
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
                taken.records.push(Blob::new(data));
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
                .map(|record| record.as_ref().len())
                .sum();
            write!(
                f,
                "the local stream has {} records, {bytes} bytes (it refuses every hundredth it is offered)",
                taken.records.len()
            )
        }
    }

    fn response(status: u16, body: Value) -> HttpResponse {
        let status = status.try_into().expect("an HTTP status");
        HttpResponse::new(status, body.to_string().into())
    }
}
