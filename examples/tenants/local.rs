//! `--local`: simulated accounts, with the hub, the sample customers' roles and their streams.

#[path = "../put_records/stream.rs"]
mod stream;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_types::SdkConfig;
use stream::Stream;
use sts_simulator::Simulator;

/// The default of the command line with `--local`.
pub const HUB_ARN: &str = "arn:aws:iam::111111111111:role/Hub";

const MAY_ASSUME: &str = r#"{"Version": "2012-10-17", "Statement": {
    "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;

/// Creates the vendor's user and hub in account 111111111111, and in each customer's account a role that trusts the hub
/// and requires an external ID.
pub fn start(hub_arn: &str) -> Result<(SdkConfig, Local), Box<dyn Error>> {
    let aws = Simulator::new();
    let user = "arn:aws:iam::111111111111:user/vendor";
    let keys = aws.user(user).policy(MAY_ASSUME).create()?;
    let role = |arn: &str, trusts: &str, external_id: &str, policy: &str| {
        let condition = match external_id {
            "" => "{}".to_owned(),
            id => format!(r#"{{"StringEquals": {{"sts:ExternalId": "{id}"}}}}"#),
        };
        let trust = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
                "Action": "sts:AssumeRole", "Principal": {{"AWS": "{trusts}"}},
                "Condition": {condition}}}}}"#
        );
        aws.role(arn).trust(trust).policy(policy).create()
    };
    role(hub_arn, user, "", MAY_ASSUME)?;
    // The row of cedar names this role, which is the vendor's own.
    role(
        "arn:aws:iam::111111111111:role/vendor/Admin",
        hub_arn,
        "",
        MAY_ASSUME,
    )?;
    for (account, external_id) in [
        ("222222222222", "9b1c6f4e-acme"),
        ("333333333333", "birch-wrote-another"),
        ("444444444444", "1e8f90aa-dune"),
        ("555555555555", "5d21bc3c-elm"),
    ] {
        let arn = format!("arn:aws:iam::{account}:role/vendor/RecordsWriter");
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{
                "Effect": "Allow", "Action": "firehose:PutRecordBatch",
                "Resource": "arn:aws:firehose:*:{account}:deliverystream/*"}}}}"#
        );
        role(&arn, hub_arn, external_id, &policy)?;
    }
    let stream = Stream::default();
    aws.service("firehose", move |caller, request| {
        stream.answer(caller, request)
    });
    // Long enough for concurrent calls to overlap.
    aws.set_latency(Duration::from_millis(50));
    let hub_arn = hub_arn.to_owned();
    Ok((aws.sdk_config(keys), Local { aws, hub_arn }))
}

/// The simulator, which reports the calls that it received.
pub struct Local {
    aws: Simulator,
    hub_arn: String,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "simulated STS: requests for the hub: {}, most concurrent requests: {}",
            self.aws.assumed(&self.hub_arn),
            self.aws.most_in_flight()
        )
    }
}
