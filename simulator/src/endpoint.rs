//! AWS's endpoints: what a host reveals about service, region and partition.

/// The domains of AWS, with their partitions.
const DOMAINS: [(&str, &str); 7] = [
    (".amazonaws.com.cn", "aws-cn"),
    (".api.amazonwebservices.com.cn", "aws-cn"),
    (".amazonaws.com", "aws"),
    (".api.aws", "aws"),
    (".amazonaws.eu", "aws-eusc"),
    (".c2s.ic.gov", "aws-iso"),
    (".sc2s.sgov.gov", "aws-iso-b"),
];

/// The regions that are enabled in every account. An account must opt in to all others.
const DEFAULT_REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// An endpoint of STS.
#[derive(Debug, PartialEq)]
pub(crate) struct StsEndpoint {
    /// The region that signatures must be scoped to.
    pub(crate) region: String,
    pub(crate) partition: &'static str,
    /// Whether this is the global endpoint, `sts.amazonaws.com`.
    pub(crate) is_global: bool,
}

impl StsEndpoint {
    /// Returns the STS endpoint with this host; `None` for other hosts, such as that of a local server.
    pub(crate) fn at(host: &str) -> Option<Self> {
        let (labels, partition) = aws_labels(host)?;
        let place = labels.iter().position(|label| is_service(label, "sts"))?;
        // Before the service: the ID of a VPC endpoint. After it: the region, then `vpce`.
        let (region, is_global) = match &labels[place + 1..] {
            [] if partition == "aws" => ("us-east-1", true),
            [region] => (*region, false),
            [region, "vpce"] => (*region, false),
            _ => return None,
        };
        let partition = match partition {
            "aws" if region.starts_with("us-gov-") => "aws-us-gov",
            partition => partition,
        };
        Some(Self {
            region: region.to_owned(),
            partition,
            is_global,
        })
    }
}

/// Whether `host` is an AWS endpoint of a service, such as `firehose` or `s3`.
pub(crate) fn is_endpoint_of(host: &str, service: &str) -> bool {
    aws_labels(host)
        .is_some_and(|(labels, _)| labels.iter().any(|label| is_service(label, service)))
}

/// Returns the bucket in a virtual-hosted-style host: `<bucket>.s3.<region>.amazonaws.com`, or
/// `<bucket>.localhost:<port>`.
pub(crate) fn bucket_of_host(host: &str) -> Option<&str> {
    let host = host.split(':').next().unwrap_or_default();
    if let Some(bucket) = host.strip_suffix(".localhost") {
        let bucket = bucket.strip_suffix(".s3").unwrap_or(bucket);
        // `s3.localhost` is an endpoint for path-style requests; bucket names have at least three characters.
        return (bucket != "s3").then_some(bucket);
    }
    if !host.ends_with(".amazonaws.com") && !host.ends_with(".amazonaws.com.cn") {
        return None;
    }
    let at = host.rfind(".s3.").or_else(|| host.rfind(".s3-"))?;
    Some(&host[..at])
}

/// Whether an account must opt in to a region.
pub(crate) fn is_opt_in(region: &str) -> bool {
    let is_commercial = !["cn-", "us-gov-", "us-iso", "eusc-"]
        .iter()
        .any(|prefix| region.starts_with(prefix));
    is_commercial && !DEFAULT_REGIONS.contains(&region)
}

/// Returns the host in a URL, with its port.
pub(crate) fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    &authority[..end]
}

/// Returns the path in a URL, without the query; at least `/`.
pub(crate) fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').map_or("/", |start| &rest[start..])
}

/// Returns the labels of a host before AWS's domain, and the domain's partition.
fn aws_labels(host: &str) -> Option<(Vec<&str>, &'static str)> {
    let host = host.split(':').next()?;
    DOMAINS.iter().find_map(|(domain, partition)| {
        Some((host.strip_suffix(domain)?.split('.').collect(), *partition))
    })
}

fn is_service(label: &str, service: &str) -> bool {
    label.strip_suffix("-fips").unwrap_or(label) == service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_and_the_partition_of_an_endpoint_of_sts_are_in_its_host() {
        for (host, expected) in [
            ("sts.amazonaws.com", Some(("us-east-1", "aws", true))),
            (
                "sts.eu-west-1.amazonaws.com",
                Some(("eu-west-1", "aws", false)),
            ),
            (
                "sts.eu-west-1.amazonaws.com:443",
                Some(("eu-west-1", "aws", false)),
            ),
            (
                "sts-fips.us-east-2.amazonaws.com",
                Some(("us-east-2", "aws", false)),
            ),
            ("sts.eu-west-1.api.aws", Some(("eu-west-1", "aws", false))),
            (
                "sts.us-gov-west-1.amazonaws.com",
                Some(("us-gov-west-1", "aws-us-gov", false)),
            ),
            (
                "sts.cn-north-1.amazonaws.com.cn",
                Some(("cn-north-1", "aws-cn", false)),
            ),
            (
                "vpce-0a1b-2c3d.sts.eu-west-1.vpce.amazonaws.com",
                Some(("eu-west-1", "aws", false)),
            ),
            ("firehose.eu-west-1.amazonaws.com", None),
            ("sts.eu-west-1.example.com", None),
            ("sts.a.b.c.amazonaws.com", None),
            ("127.0.0.1:4566", None),
            ("", None),
        ] {
            let endpoint = StsEndpoint::at(host);
            let found = endpoint
                .as_ref()
                .map(|e| (&*e.region, e.partition, e.is_global));
            assert_eq!(found, expected, "{host}");
        }
    }

    #[test]
    fn a_host_ends_where_the_path_the_query_or_the_fragment_begins() {
        for url in [
            "https://sts.amazonaws.com",
            "https://sts.amazonaws.com/",
            "https://sts.amazonaws.com?a=b/c",
        ] {
            assert_eq!(host_of(url), "sts.amazonaws.com");
        }
        assert_eq!(host_of("/only/a/path"), "");
        assert_eq!(host_of(""), "");
    }

    #[test]
    fn a_bucket_in_the_host_is_still_an_endpoint_of_s3() {
        assert!(is_endpoint_of("reports.s3.eu-west-1.amazonaws.com", "s3"));
        assert!(!is_endpoint_of("s3.example.com", "s3"));
        assert!(is_opt_in("me-south-1") && !is_opt_in("eu-west-1") && !is_opt_in("cn-north-1"));
    }
}
