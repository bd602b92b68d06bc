//! `--local`: simulated accounts, with the roles and the stream.

#[path = "stream.rs"]
mod stream;

use std::error::Error;

use aws_types::SdkConfig;
use stream::Stream;
use sts_simulator::Simulator;

/// The defaults of the command line with `--local`.
pub const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";
pub const EXTERNAL_ID: &str = "c0ffee";

const USER_ARN: &str = "arn:aws:iam::111111111111:user/orders";

/// Creates a user in account 111111111111, the roles of `--via`, and the last role with a stream in its account, as in
/// the README.
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
