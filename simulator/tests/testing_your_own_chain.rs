//! The example in the README's section "Testing your own chain", which is this file from the first `use` on.

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_firehose::{primitives::Blob, types::Record};
use sts_simulator::{Firehose, Simulator};

const WRITER: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";
const STREAM: &str = "arn:aws:firehose:eu-west-1:222222222222:deliverystream/events";

/// The service under test: puts orders on a stream in another account.
async fn put_orders(base: &SdkConfig, external_id: &str, orders: &[&str]) -> Result<(), String> {
    let provider = AssumeRoleProvider::builder(WRITER)
        .external_id(external_id)
        .session_name("orders")
        .configure(base)
        .build()
        .await;
    let config = base.clone().into_builder();
    let config = config
        .credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(provider),
        )
        .build();
    let firehose = aws_sdk_firehose::Client::new(&config);
    let mut waiting: Vec<&str> = orders.to_vec();
    while !waiting.is_empty() {
        let records = waiting
            .iter()
            .map(|order| Record::builder().data(Blob::new(*order)).build());
        let records = records
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let batch = firehose.put_record_batch().delivery_stream_name("events");
        let answer = batch.set_records(Some(records)).send().await;
        let answer = answer.map_err(|error| format!("{:?}", error.into_source()))?;
        // The call can succeed although some records of the batch failed.
        let answers = waiting.iter().zip(answer.request_responses());
        waiting = answers
            .filter(|(_, answer)| answer.error_code().is_some())
            .map(|(order, _)| *order)
            .collect();
    }
    Ok(())
}

/// The accounts, with the policies that are deployed.
fn deployed(aws: &Simulator) -> Result<SdkConfig, Box<dyn std::error::Error>> {
    // The service's own role, which may assume the writer role.
    let service = "arn:aws:iam::111111111111:role/orders-service";
    aws.role(service)
        .policy(format!(
            r#"{{"Version": "2012-10-17", "Statement": {{
                "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "{WRITER}"}}}}"#
        ))
        .create()?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deployed/");
    aws.role(WRITER)
        .trust(std::fs::read_to_string(format!(
            "{folder}writer-trust.json"
        ))?)
        .policy(std::fs::read_to_string(format!(
            "{folder}writer-permissions.json"
        ))?)
        .create()?;
    Ok(aws.sdk_config(aws.role_session(service, "task-1")?))
}

#[tokio::test]
async fn orders_get_to_the_stream_also_if_some_fail_at_first()
-> Result<(), Box<dyn std::error::Error>> {
    let aws = Simulator::new();
    let base = deployed(&aws)?;
    let firehose = Firehose::plug_into(&aws);
    firehose.create_stream(STREAM);
    firehose.fail_records(2);
    put_orders(&base, "c0ffee", &["1", "2", "3"]).await?;
    let records = firehose.records(STREAM);
    assert_eq!(records.len(), 3, "each order once: {records:?}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_external_id_is_refused_and_the_simulator_says_why()
-> Result<(), Box<dyn std::error::Error>> {
    let aws = Simulator::new();
    let base = deployed(&aws)?;
    Firehose::plug_into(&aws).create_stream(STREAM);
    assert!(put_orders(&base, "wrong", &["1"]).await.is_err());
    let why = aws.refusals()[0].to_string();
    assert!(why.contains("StringEquals sts:ExternalId"), "{why}");
    Ok(())
}

#[test]
fn the_readme_shows_this_file() {
    let readme = include_str!("../README.md");
    let here = include_str!("testing_your_own_chain.rs");
    let from = here.find("use aws_config").expect("the first use");
    let to = here.find("\n#[test]\n").expect("this test");
    assert!(readme.contains(&here[from..to]), "copy it into the README");
}
