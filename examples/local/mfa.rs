//! `mfa --local`: a simulated user with an MFA device, a role whose trust policy requires MFA, and a bucket.

use std::error::Error;
use std::io::{self, Write};

use aws_types::SdkConfig;
use sts_simulator::{HttpResponse, Simulator};

pub const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/Reader";
pub const SERIAL: &str = "arn:aws:iam::111111111111:mfa/ada";

pub fn start(role_arn: &str, serial: &str) -> Result<SdkConfig, Box<dyn Error>> {
    let aws = Simulator::new();
    let keys = aws
        .user("arn:aws:iam::111111111111:user/ada")
        .policy(
            r#"{"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#,
        )
        .mfa_device(serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
        .create()?;
    aws.role(role_arn)
        .trust(
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"AWS": "111111111111"},
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}}"#,
        )
        .policy(
            r#"{"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::*"}}"#,
        )
        .create()?;
    aws.service("s3", |caller, _| {
        let (status, body) = if caller.may("s3:ListBucket", "arn:aws:s3:::reports") {
            (200, LISTING)
        } else {
            (403, "<Error><Code>AccessDenied</Code></Error>")
        };
        HttpResponse::new(status.try_into().expect("an HTTP status"), body.into())
    });
    if let Some(code) = aws.mfa_code(serial) {
        writeln!(io::stdout(), "code of the simulated MFA device: {code}")?;
    }
    Ok(aws.sdk_config(keys))
}

const LISTING: &str = r#"<?xml version="1.0"?>
    <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>reports</Name>
    <Contents><Key>2026/11/orders.ndjson</Key><Size>19496</Size></Contents>
    <Contents><Key>2026/11/refunds.ndjson</Key><Size>1377</Size></Contents>
    <IsTruncated>false</IsTruncated></ListBucketResult>"#;
