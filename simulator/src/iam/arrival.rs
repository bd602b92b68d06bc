//! [`Arrival`]: when and how a request arrived, whoever sent it.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use crate::clock::timestamp;
use crate::endpoint::host_of;
use crate::policy::Context;

/// The source address of requests unless the test sets `aws:SourceIp`: an address reserved for documentation.
const SOURCE_IP: &str = "203.0.113.10";

/// The address of a client in another process: an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// When and how a request arrived.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) now: SystemTime,
    region: String,
    user_agent: Option<String>,
    referer: Option<String>,
    client: Option<IpAddr>,
}

impl Arrival {
    /// Reads a request. `region` is the signature's region; the region of an unsigned request is that of its host.
    pub(crate) fn of(request: &HttpRequest, region: Option<&str>, now: SystemTime) -> Self {
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        Self {
            now,
            region: region
                .unwrap_or_else(|| region_of(request.uri()))
                .to_owned(),
            user_agent: header("user-agent"),
            referer: header("referer"),
            client: request
                .extension::<ClientAddress>()
                .map(|ClientAddress(address)| *address),
        }
    }

    /// Returns the condition keys. `settings`, the keys that the test has set, take precedence.
    pub(super) fn context(&self, settings: &Context) -> Context {
        let mut context = Context::default();
        context.set("aws:CurrentTime", timestamp(self.now));
        let epoch = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        context.set("aws:EpochTime", epoch.as_secs().to_string());
        context.set("aws:RequestedRegion", &*self.region);
        context.set("aws:SecureTransport", "true");
        context.set("aws:ViaAWSService", "false");
        if let Some(agent) = &self.user_agent {
            context.set("aws:UserAgent", agent);
        }
        if let Some(referer) = &self.referer {
            context.set("aws:Referer", referer);
        }
        // Requests through a VPC endpoint have no public address.
        if !settings.has("aws:SourceVpce") && !settings.has("aws:SourceVpc") {
            let address = self.client.map(|address| address.to_string());
            context.set("aws:SourceIp", address.as_deref().unwrap_or(SOURCE_IP));
        }
        context.extend(settings);
        context
    }
}

/// Returns the region in an endpoint's host, `sts.<region>.amazonaws.com`. Hosts without one, such as the global
/// endpoint, belong to us-east-1.
fn region_of(uri: &str) -> &str {
    let mut labels = host_of(uri).split('.').skip(1);
    match (labels.next(), labels.next()) {
        (Some(region), Some("amazonaws" | "api")) => region,
        _ => "us-east-1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_that_of_the_endpoint() {
        for (uri, region) in [
            ("https://sts.eu-west-1.amazonaws.com/", "eu-west-1"),
            ("https://sts-fips.us-east-2.amazonaws.com", "us-east-2"),
            ("https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
            ("https://sts.eu-west-1.api.aws/", "eu-west-1"),
            ("https://sts.amazonaws.com/", "us-east-1"),
            ("http://localhost:4566/", "us-east-1"),
            ("", "us-east-1"),
        ] {
            assert_eq!(region_of(uri), region, "{uri}");
        }
    }
}
