//! An estimate of the packed size of a session's policies and tags.
//!
//! AWS does not publish the format. What is known are percentages in answers, and this is fitted to them: nine
//! tags with a key of 2 and a value of 250 times the same letter take 498 %, so tags are not compressed, and the
//! whole is less than half a kilobyte; the six tags of EKS Pod Identity take about 74 %; policies with one
//! statement take 5 % and 16 %; one with 18 actions in 736 characters, and three tags, 82 %. Policies are
//! compressed, therefore, and with a dictionary: without one, deflate alone needs more for the smallest. The
//! policies themselves are not on record, only their lengths, so a quarter more or less than AWS's figure is what
//! to expect.

use miniz_oxide::deflate::compress_to_vec;
use serde_json::Value;

use crate::iam::SessionTag;
use crate::protocol::ErrorResponse;

/// The bytes that AWS allots, by the estimate.
pub(crate) const ALLOTTED: usize = 473;

/// The bytes of a tag in addition to its key and value.
const TAG: usize = 10;

/// The bytes of a managed policy in addition to its path and name.
const POLICY_ARN: usize = 8;

/// What nearly every policy consists of; it costs nearly nothing.
const DICTIONARY: &str = r#"{"Statement":[{"Action":["s3:GetObject","s3:PutObject","s3:ListBucket","s3:*"],"Condition":{"StringEquals":{"aws:ResourceTag/":"","aws:RequestTag/":""}},"Effect":"Deny","Resource":"arn:aws:s3:::","Sid":""},{"Action":"*","Effect":"Allow","Resource":["*"]}],"Version":"2012-10-17"}"#;

/// Returns how many percent of the allotted space the policies and tags of a session take; `None` if there are
/// none.
///
/// # Errors
///
/// Fails if they take more than all.
pub(super) fn packed_size(
    allotted: usize,
    policy: Option<&str>,
    policy_arns: &[String],
    tags: &[SessionTag],
) -> Result<Option<u64>, ErrorResponse> {
    if policy.is_none() && policy_arns.is_empty() && tags.is_empty() {
        return Ok(None);
    }
    let of_tags: usize = tags
        .iter()
        .map(|tag| tag.key.len() + tag.value.len() + TAG)
        .sum();
    let of_arns: usize = policy_arns
        .iter()
        .map(|arn| {
            arn.split_once(":policy/")
                .map_or(arn.len(), |(_, name)| name.len())
                + POLICY_ARN
        })
        .sum();
    let percent = |bytes: usize| (bytes * 100 / allotted.max(1)) as u64;
    let total = percent(of_tags + of_arns + policy.map_or(0, compressed));
    if total <= 100 {
        return Ok(Some(total));
    }
    let has_policies = policy.is_some() || !policy_arns.is_empty();
    let message = if has_policies && percent(of_tags) <= 100 {
        format!("Packed policy consumes {total}% of allotted space, please use smaller policy.")
    } else {
        format!("Packed size of session tags consumes {total}% of allotted space.")
    };
    Err(ErrorResponse::new(400, "PackedPolicyTooLarge", message))
}

/// Returns the bytes that a policy adds to the dictionary when both are compressed.
fn compressed(policy: &str) -> usize {
    const LEVEL: u8 = 9;

    // Without the spaces, and with the elements in the dictionary's order.
    let compact =
        serde_json::from_str::<Value>(policy).map_or(policy.to_owned(), |json| json.to_string());
    let with_policy = compress_to_vec(format!("{DICTIONARY}{compact}").as_bytes(), LEVEL);
    let without = compress_to_vec(DICTIONARY.as_bytes(), LEVEL);
    // AWS's compression is not as good, by the policy with 18 actions.
    with_policy.len().saturating_sub(without.len()) * 3 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> SessionTag {
        SessionTag {
            key: key.to_owned(),
            value: value.to_owned(),
            transitive: false,
        }
    }

    fn percent(policy: Option<&str>, tags: &[SessionTag]) -> u64 {
        match packed_size(ALLOTTED, policy, &[], tags) {
            Ok(size) => size.unwrap_or_default(),
            Err(error) => {
                let text = format!("{error:?}");
                let (before, _) = text.split_once("% of allotted space").unwrap();
                before.rsplit(' ').next().unwrap().parse().unwrap()
            }
        }
    }

    /// What AWS answered, and the estimate.
    #[test]
    fn the_estimate_is_near_the_percentages_that_aws_answered() {
        let long: Vec<_> = (1..=9)
            .map(|n| tag(&format!("T{n}"), &"a".repeat(250)))
            .collect();
        let pod_identity = [
            tag(
                "eks-cluster-arn",
                "arn:aws:eks:us-west-2:111111111111:cluster/production",
            ),
            tag("eks-cluster-name", "production"),
            tag("kubernetes-namespace", "payments"),
            tag("kubernetes-service-account", "orders-writer"),
            tag("kubernetes-pod-name", "orders-writer-7d9c5b6f4d-x2x9k"),
            tag("kubernetes-pod-uid", "3f0c8b1e-5a52-4d8e-9a6e-0f2c1b7d9e11"),
        ];
        let three_tags = [
            tag("poppy:connection", "c-1234567890abcdef"),
            tag("poppy:name", "vm-poppy"),
            tag("poppy:session", "s-1234567890abcdef"),
        ];
        let small = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "Stmt1", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
        let actions = |names: &[&str]| {
            let names = names.iter().map(|name| format!(r#""ec2:{name}""#));
            names.collect::<Vec<_>>().join(",")
        };
        let statement = |names: &[&str], condition: &str| {
            format!(
                r#"{{"Effect":"Allow","Action":[{}],"Resource":"*"{condition}}}"#,
                actions(names)
            )
        };
        let with_18_actions = format!(
            r#"{{"Version":"2012-10-17","Statement":[{},{},{}]}}"#,
            statement(
                &[
                    "DescribeInstances",
                    "DescribeImages",
                    "DescribeSecurityGroups",
                    "DescribeKeyPairs",
                    "DescribeInstanceTypes",
                    "DescribeVpcs",
                    "DescribeSubnets"
                ],
                ""
            ),
            statement(
                &[
                    "RunInstances",
                    "CreateTags",
                    "CreateSecurityGroup",
                    "CreateKeyPair"
                ],
                r#","Condition":{"StringEquals":{"aws:RequestTag/poppy:connection":"c-1"}}"#
            ),
            statement(
                &[
                    "TerminateInstances",
                    "StopInstances",
                    "StartInstances",
                    "AuthorizeSecurityGroupIngress",
                    "DeleteSecurityGroup",
                    "DeleteKeyPair",
                    "GetConsoleOutput"
                ],
                r#","Condition":{"StringEquals":{"aws:ResourceTag/poppy:connection":"c-1"}}"#
            )
        );
        for (answered, policy, tags, name) in [
            (498, None, &long[..], "nine long tags"),
            (74, None, &pod_identity, "the tags of EKS Pod Identity"),
            (5, Some(small), &[], "a policy that allows S3"),
            (
                82,
                Some(with_18_actions.as_str()),
                &three_tags,
                "18 actions and three tags",
            ),
        ] {
            let estimate = percent(policy, tags);
            let off = estimate.abs_diff(answered);
            assert!(
                off <= answered / 4,
                "{name}: {estimate} % is not near {answered} %"
            );
        }
    }

    #[test]
    fn what_is_too_large_is_said_to_be_the_tags_or_the_policies() {
        let long: Vec<_> = (1..=9)
            .map(|n| tag(&format!("T{n}"), &"a".repeat(250)))
            .collect();
        let message = |policy, tags: &[SessionTag]| {
            format!(
                "{:?}",
                packed_size(ALLOTTED, policy, &[], tags).unwrap_err()
            )
        };
        assert!(
            message(None, &long)
                .contains("Packed size of session tags consumes 498% of allotted space.")
        );
        let random = (0..2000)
            .map(|_| fastrand::alphanumeric())
            .collect::<String>();
        assert!(message(Some(&random), &[]).contains("please use smaller policy."));
        assert_eq!(packed_size(ALLOTTED, None, &[], &[]).unwrap(), None);
        assert!(packed_size(0, Some("{\"Id\": \"x\"}"), &[], &[]).is_err());
    }
}
