//! `--local`: simulated accounts, with the hub and any number of customers with their roles and streams.

#[path = "../put_records/stream.rs"]
mod stream;

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use aws_types::SdkConfig;
use serde_json::{Value, json};
use stream::Stream;
use sts_simulator::Simulator;

/// The defaults of the command line with `--local`.
pub const HUB_ARN: &str = "arn:aws:iam::111111111111:role/Hub";
pub const ROLE_PATH: &str = "/vendor/";

const USER_ARN: &str = "arn:aws:iam::111111111111:user/vendor";
const MAY_ASSUME: &str = r#"{"Version": "2012-10-17", "Statement": {
    "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
const MAY_PUT: &str = r#"{"Version": "2012-10-17", "Statement": {
    "Effect": "Allow", "Action": "firehose:PutRecordBatch", "Resource": "*"}}"#;

pub struct Local {
    pub aws: Simulator,
    pub base: SdkConfig,
    pub customers: Vec<LocalCustomer>,
    stream: Stream,
}

pub struct LocalCustomer {
    pub id: String,
    pub role_arn: String,
    account: String,
    external_id: String,
    stream: &'static str,
    mistake: Mistake,
}

/// What is wrong with a customer's set-up.
#[derive(Clone, Copy)]
enum Mistake {
    Nothing,
    /// The role's trust policy requires another external ID.
    OtherExternalId,
    NoStream,
    RoleOfVendor,
}

impl Mistake {
    /// If there are four or more customers, the last three fail.
    fn of(i: u32, customers: u32) -> Self {
        match customers - i {
            _ if customers < 4 => Self::Nothing,
            3 => Self::OtherExternalId,
            2 => Self::NoStream,
            1 => Self::RoleOfVendor,
            _ => Self::Nothing,
        }
    }
}

/// The records on the streams, compared with the responses that the clients received.
pub struct Delivered {
    pub records: usize,
    /// Accepted requests whose record is on no stream.
    pub lost: usize,
    /// Records on another customer's stream.
    pub misplaced: usize,
}

impl Local {
    pub fn start(hub_arn: &str, customers: u32, latency: Duration) -> Result<Self, Box<dyn Error>> {
        let aws = Simulator::new();
        let keys = aws.user(USER_ARN).policy(MAY_ASSUME).create()?;
        let role = |arn: &str, trusts: &str, condition: &Value, policy: &str| {
            let trust = json!({"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"AWS": trusts}, "Condition": condition}});
            aws.role(arn)
                .trust(trust.to_string())
                .policy(policy)
                .create()
        };
        role(hub_arn, USER_ARN, &json!({}), MAY_ASSUME)?;
        let customers: Vec<_> = (0..customers)
            .map(|i| LocalCustomer::new(i, Mistake::of(i, customers)))
            .collect();
        for customer in &customers {
            let external_id = match customer.mistake {
                Mistake::OtherExternalId => "written-by-hand",
                _ => &customer.external_id,
            };
            let condition = json!({"StringEquals": {"sts:ExternalId": external_id}});
            role(&customer.role_arn, hub_arn, &condition, MAY_PUT)?;
        }
        let stream = Stream::default();
        let taking = stream.clone();
        aws.service("firehose", move |caller, request| {
            taking.answer(caller, request)
        });
        aws.set_latency(latency);
        let base = aws.sdk_config(keys);
        Ok(Self {
            aws,
            base,
            customers,
            stream,
        })
    }

    /// Returns the customers in the format of the file.
    pub fn rows(&self) -> Vec<u8> {
        let rows = self.customers.iter().map(|customer| {
            json!({
                "name": customer.id, "role_arn": customer.role_arn,
                "external_id": customer.external_id, "stream": customer.stream,
                "region": "eu-west-1",
            })
        });
        Value::from_iter(rows).to_string().into_bytes()
    }

    /// Looks for the record of each accepted request, which is [`LocalCustomer::record`], on the streams.
    pub fn check(&self, accepted: impl IntoIterator<Item = u64>) -> Delivered {
        let records = self.stream.records();
        let mut found = HashSet::new();
        let mut misplaced = 0;
        for (account, record) in &records {
            let record: Value = serde_json::from_slice(record.as_ref()).unwrap_or_default();
            misplaced += usize::from(record["account"] != **account);
            found.extend(record["request"].as_u64());
        }
        let lost = accepted
            .into_iter()
            .filter(|request| !found.contains(request));
        Delivered {
            records: records.len(),
            lost: lost.count(),
            misplaced,
        }
    }
}

impl LocalCustomer {
    fn new(i: u32, mistake: Mistake) -> Self {
        let account = match mistake {
            Mistake::RoleOfVendor => HUB_ARN.split(':').nth(4).unwrap_or_default().to_owned(),
            _ => format!("{}", 200_000_000_000 + u64::from(i)),
        };
        Self {
            id: format!("customer-{:05}", i + 1),
            role_arn: format!("arn:aws:iam::{account}:role{ROLE_PATH}RecordsWriter"),
            external_id: format!("{:016x}", fastrand::Rng::with_seed(u64::from(i)).u64(..)),
            stream: match mistake {
                Mistake::NoStream => "no-such-stream",
                _ => "events",
            },
            account,
            mistake,
        }
    }

    pub fn record(&self, request: u64) -> String {
        json!({"account": self.account, "request": request}).to_string()
    }
}
