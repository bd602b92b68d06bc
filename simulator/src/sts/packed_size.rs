//! An estimate of the packed size of a session's policies and tags.
//!
//! AWS does not publish the format. What is known are percentages in AWS's responses and in CloudTrail events. The
//! estimate is fitted to those for which the tags or the policy are known, too; `published` in the tests lists them.
//! Tags are not compressed: two, three and six short tags, and nine with values of 250 letters, all agree with three
//! bytes per tag in addition to its text, and 460 bytes in total. Policies are compressed with a dictionary: without
//! one, deflate needs more bytes for the smallest policies. Expect the estimate to be off by up to a quarter for
//! policies, and less for tags; tags from identity providers take up to a sixth more at AWS.

use miniz_oxide::deflate::compress_to_vec;
use serde_json::Value;

use crate::iam::SessionTag;
use crate::protocol::ErrorResponse;

/// The total size that AWS allows, in bytes, by the estimate.
pub(crate) const ALLOTTED: usize = 460;

/// The overhead of a tag in bytes, in addition to its key and value.
const TAG: usize = 3;

/// The size of a managed policy in bytes, in addition to its path and name.
const POLICY_ARN: usize = 8;

/// Text that nearly every policy consists of, so that it adds hardly anything to the packed size.
const DICTIONARY: &str = r#"{"Statement":[{"Action":["s3:GetObject","s3:PutObject","s3:ListBucket","s3:*"],"Condition":{"StringEquals":{"aws:ResourceTag/":"","aws:RequestTag/":""}},"Effect":"Deny","Resource":"arn:aws:s3:::","Sid":""},{"Action":"*","Effect":"Allow","Resource":["*"]}],"Version":"2012-10-17"}"#;

/// Returns the packed size of a session's policies and tags, as a percentage of `allotted`; `None` if there are
/// neither.
///
/// # Errors
///
/// Fails if it exceeds 100 %.
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

/// Returns the size of a policy when it is compressed with the dictionary.
fn compressed(policy: &str) -> usize {
    const LEVEL: u8 = 9;

    // Without white space, and with elements in the dictionary's order.
    let compact =
        serde_json::from_str::<Value>(policy).map_or(policy.to_owned(), |json| json.to_string());
    let with_policy = compress_to_vec(format!("{DICTIONARY}{compact}").as_bytes(), LEVEL);
    let without = compress_to_vec(DICTIONARY.as_bytes(), LEVEL);
    // AWS's compression is worse, judging by the policy with 18 actions.
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

    /// A description, policies, tags, and the percentage that AWS returned for them.
    type Published<'a> = (&'a str, Option<&'a str>, Vec<SessionTag>, u64);

    fn published() -> [Published<'static>; 9] {
        let tags = |tags: &[(&str, &str)]| tags.iter().map(|(k, v)| tag(k, v)).collect();
        let letters = "a".repeat(250);
        [
            (
                "three tags of one letter each",
                None,
                tags(&[("b", "b"), ("c", "b"), ("d", "b")]),
                3,
            ),
            ("two tags", None, tags(&[("c", "c"), ("b", "c")]), 2),
            (
                "the tags of EKS Pod Identity",
                None,
                tags(&[
                    (
                        "eks-cluster-arn",
                        "arn:aws:eks:us-west-2:111111111111:cluster/eksworkshop-eksctl",
                    ),
                    ("eks-cluster-name", "eksworkshop-eksctl"),
                    ("kubernetes-namespace", "ns-a"),
                    ("kubernetes-service-account", "sa1"),
                    ("kubernetes-pod-name", "app1"),
                    ("kubernetes-pod-uid", "0cda7f85-c1f9-4dee-b6e9-a0b50c8f3012"),
                ]),
                56,
            ),
            (
                "nine long tags",
                None,
                (1..=9).map(|n| tag(&format!("T{n}"), &letters)).collect(),
                498,
            ),
            // From AssumeRoleWithWebIdentity, with the claims of GitHub Actions via Cognito.
            (
                "the tags of a GitHub Actions token",
                None,
                tags(&[
                    ("actor", "aidansteele"),
                    ("ref", "refs/heads/main"),
                    ("run_id", "6634485805"),
                    ("event", "workflow_dispatch"),
                    ("repository", "ak2-au/oidc-token-fetcher"),
                    ("sha", "65e4b17a18e0f86c7b608703ec4a8340c3461d01"),
                ]),
                43,
            ),
            (
                "a policy that allows everything",
                Some(
                    r#"{"Version": "2012-10-17", "Statement": [{"Sid": "Stmt1", "Effect": "Allow", "Action": "*", "Resource": "*"}]}"#,
                ),
                vec![],
                4,
            ),
            (
                "a policy with one action",
                Some(
                    r#"{ "Version": "2012-10-17", "Statement" : [ { "Effect": "Allow", "Action": ["ec2:DescribeVpcEndpoints"], "Resource": ["*"] } ] }"#,
                ),
                vec![],
                9,
            ),
            (
                "a policy with one object of S3",
                Some(
                    r#"{"Statement":[{"Sid":"Stmt1S3UploadAssets","Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::hellome-training-photos-production/next-s3-uploads/300d4429-93cf-4374-a785-56cf2f520c4f/00003-1444181492.png"]}]}"#,
                ),
                vec![],
                35,
            ),
            (
                "a policy with four statements",
                Some(
                    r#"{"Version": "2012-10-17", "Statement": [
                        {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
                        {"Effect": "Allow", "Action": "elasticloadbalancing:Describe*", "Resource": "*"},
                        {"Effect": "Allow", "Action": ["cloudwatch:ListMetrics", "cloudwatch:GetMetricStatistics", "cloudwatch:Describe*"], "Resource": "*"},
                        {"Effect": "Allow", "Action": "autoscaling:Describe*", "Resource": "*"}]}"#,
                ),
                vec![],
                36,
            ),
        ]
    }

    #[test]
    fn the_estimate_is_near_the_percentages_that_aws_answered() {
        for (name, policy, tags, answered) in published() {
            let estimate = percent(policy, &tags);
            let off = estimate.abs_diff(answered);
            // Responses have a resolution of one percent.
            assert!(
                off <= (answered / 4).max(1),
                "{name}: {estimate} % is not near {answered} %"
            );
        }
    }

    /// For these policies, only their subject and length are recorded.
    #[test]
    fn what_aws_accepted_is_accepted_and_what_it_refused_as_far_too_large_is_refused() {
        let tags = [
            tag("poppy:connection", "c-1234567890abcdef"),
            tag("poppy:name", "vm-poppy"),
            tag("poppy:session", "s-1234567890abcdef"),
        ];
        let statement = |names: &[&str], condition: &str| {
            let names = names.iter().map(|name| format!(r#""{name}""#));
            let names = names.collect::<Vec<_>>().join(",");
            format!(r#"{{"Effect":"Allow","Action":[{names}],"Resource":"*"{condition}}}"#)
        };
        let reads = [
            "ec2:DescribeInstances",
            "ec2:DescribeImages",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeKeyPairs",
            "ec2:DescribeInstanceTypes",
        ];
        let creates = [
            "ec2:RunInstances",
            "ec2:CreateTags",
            "ec2:CreateSecurityGroup",
            "ec2:CreateKeyPair",
        ];
        let changes = [
            "ec2:TerminateInstances",
            "ec2:StopInstances",
            "ec2:StartInstances",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteKeyPair",
            "ec2:GetConsoleOutput",
            "ec2:GetPasswordData",
        ];
        let condition =
            r#","Condition":{"StringEquals":{"aws:ResourceTag/poppy:connection":"c-1234567890"}}"#;
        let policy = |statements: &[String]| {
            let statements = statements.join(",");
            format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
        };
        let with_18_actions = [
            statement(&reads, ""),
            statement(&creates, ""),
            statement(&changes, condition),
        ];
        let estimate = percent(Some(&policy(&with_18_actions)), &tags);
        assert!(estimate.abs_diff(82) <= 82 / 4, "{estimate} %");
        assert!(estimate <= 100, "{estimate} %");

        let more = [
            "ec2:CreateVolume",
            "ec2:DescribeVolumes",
            "ec2:ModifyInstanceAttribute",
            "ec2:ImportKeyPair",
            "ec2:DescribeVpcs",
            "ec2:DescribeSubnets",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeInstanceStatus",
            "ec2:RebootInstances",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
        ];
        let volumes = ["ec2:AttachVolume", "ec2:DetachVolume", "ec2:DeleteVolume"];
        let mut with_32_actions = with_18_actions.to_vec();
        with_32_actions.extend([statement(&more, ""), statement(&volumes, condition)]);
        let estimate = percent(Some(&policy(&with_32_actions)), &tags);
        assert!(
            estimate > 100 && estimate.abs_diff(118) <= 118 / 4,
            "{estimate} %"
        );
    }

    #[test]
    fn the_fifty_tags_that_a_session_may_have_fit_if_they_are_short() {
        let tags: Vec<_> = (0..50).map(|n| tag(&format!("k{n}"), "abc")).collect();
        assert!(percent(None, &tags) <= 100);
        let tags: Vec<_> = (0..50).map(|n| tag(&format!("key{n}"), "abcdef")).collect();
        assert!(percent(None, &tags) > 100);
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
