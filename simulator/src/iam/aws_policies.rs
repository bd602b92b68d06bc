//! The AWS managed policies that the simulator knows. Exports of accounts contain the others that the accounts use.

use std::time::UNIX_EPOCH;

use super::accounts::Accounts;
use super::directory::PolicyRecord;
use crate::arn;

/// By name.
pub(crate) const AWS_POLICIES: [(&str, &str); 4] = [
    (
        "AdministratorAccess",
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#,
    ),
    (
        "AmazonKinesisFirehoseFullAccess",
        r#"{"Version": "2012-10-17", "Statement": [{"Action": ["firehose:*"], "Effect": "Allow", "Resource": "*"}]}"#,
    ),
    (
        "AmazonS3FullAccess",
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "s3-object-lambda:*"], "Resource": "*"}]}"#,
    ),
    (
        "AmazonS3ReadOnlyAccess",
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*"], "Resource": "*"}]}"#,
    ),
];

impl Accounts {
    /// Adds an AWS managed policy, by its ARN, if it is missing and the simulator knows it.
    pub(crate) fn add_aws_policy(&mut self, arn: &str) {
        if arn::account_of(arn) != "aws" || self.directory.policies.contains_key(arn) {
            return;
        }
        let known = AWS_POLICIES
            .iter()
            .find(|(name, _)| *name == arn::name_of(arn));
        let document = known.and_then(|(_, text)| self.read_document(arn, *text).ok());
        if let Some(document) = document {
            self.set_managed_policy(PolicyRecord::new(arn, document, UNIX_EPOCH));
        }
    }
}
