//! `health --local`: a simulated user, and a role in another account.

use std::error::Error;

use aws_types::SdkConfig;
use sts_simulator::Simulator;

pub const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";

/// The role's trust policy requires the external ID `c0ffee`.
pub fn start(role_arn: &str) -> Result<SdkConfig, Box<dyn Error>> {
    let aws = Simulator::new();
    let keys = aws
        .user("arn:aws:iam::111111111111:user/orders")
        .policy(
            r#"{"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#,
        )
        .create()?;
    aws.role(role_arn)
        .trust(
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"AWS": "111111111111"},
                "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee"}}}}"#,
        )
        .create()?;
    Ok(aws.sdk_config(keys))
}
