//! A Lambda function that puts the events that it receives on a Firehose stream in another account.

use aws_config::BehaviorVersion;
use aws_role_chain::{Role, RoleChain};
use aws_sdk_firehose::Client;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Runs once per execution environment. The chain and the client survive while Lambda freezes it between events.
    let base = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let role =
        Role::new(std::env::var("WRITER_ROLE_ARN")?).external_id(std::env::var("EXTERNAL_ID")?);
    let writer = RoleChain::new(&base, role)?;
    // Assumes the role now, so that the first event does not wait, and a role that is denied fails the initialization.
    writer.refresh().await?;
    let firehose = Client::new(&writer.sdk_config());

    lambda_runtime::run(service_fn(|event| handle(&firehose, event))).await
}

async fn handle(firehose: &Client, event: LambdaEvent<Value>) -> Result<(), Error> {
    let data = Blob::new(serde_json::to_vec(&event.payload)?);
    firehose
        .put_record()
        .delivery_stream_name(std::env::var("STREAM")?)
        .record(Record::builder().data(data).build()?)
        .send()
        .await?;
    Ok(())
}
