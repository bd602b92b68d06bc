//! Shared by the tests of arbitrary requests and the fuzz targets: accounts, requests and policies from arbitrary
//! bytes, and the requirements on every response.

#![allow(dead_code)] // Each uses its part.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_sts::config::http::HttpRequest;
use sts_simulator::{Firehose, S3, Simulator};

use crate::raw::*;

pub const USER: &str = "arn:aws:iam::111111111111:user/orders";
pub const ROLE: &str = "arn:aws:iam::111111111111:role/Writer";
pub const OIDC: &str = "arn:aws:iam::111111111111:oidc-provider/token.example.com";
pub const SAML: &str = "arn:aws:iam::111111111111:saml-provider/Company";

/// The maximum time for a response, on a machine that is busy with other work.
const SLOW: Duration = Duration::from_secs(60);

pub struct World {
    pub aws: Simulator,
    pub keys: Credentials,
    pub session: Credentials,
    pub rng: fastrand::Rng,
}

impl World {
    pub async fn new() -> Self {
        let aws = Simulator::new();
        let allow = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
        let keys = aws.user(USER).policy(allow).create().unwrap();
        let trust = r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Principal": {"AWS": "*"}},
            {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": "arn:aws:iam::111111111111:oidc-provider/token.example.com"}}]}"#;
        aws.role(ROLE).trust(trust).create().unwrap();
        let key = include_str!("../keys/p256-public.pem");
        aws.oidc_provider(OIDC, &["sts.amazonaws.com"], key)
            .unwrap();
        #[cfg(feature = "saml-signatures")]
        aws.saml_provider(SAML, include_str!("../saml/metadata.xml"))
            .unwrap();
        #[cfg(not(feature = "saml-signatures"))]
        aws.saml_provider_without_signatures(SAML);
        Firehose::plug_into(&aws)
            .create_stream("arn:aws:firehose:eu-west-1:111111111111:deliverystream/events");
        let s3 = S3::plug_into(&aws);
        s3.create_bucket("111111111111", "reports");
        s3.put("reports", "a/b", "content");
        let assume = [
            ("Action", "AssumeRole"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "session"),
        ];
        let session = call(&aws, &keys, &assume).await.credentials();
        Self {
            aws,
            keys,
            session,
            rng: fastrand::Rng::new(),
        }
    }

    /// Reads a request: one byte that selects method, service, credentials and signature, then the target, header
    /// lines, an empty line and the body. Also returns the service that the request is signed for.
    pub fn read_request(&self, bytes: &[u8]) -> Option<(&'static str, HttpRequest)> {
        let (how, rest) = bytes.split_first()?;
        let end = rest.windows(2).position(|end| end == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&rest[..end], &rest[end + 2..]),
            None => (rest, &[][..]),
        };
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let target = uri_safe(lines.next()?);
        let method = ["POST", "GET", "PUT", "DELETE"][usize::from(how & 3)];
        let (service, host) = [
            ("sts", "sts.eu-west-1.amazonaws.com"),
            ("iam", "iam.amazonaws.com"),
            ("s3", "s3.eu-west-1.amazonaws.com"),
            ("firehose", "127.0.0.1:4566"),
        ][usize::from(how >> 2 & 3)];
        let headers: Vec<(&str, &str)> = lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, value)| {
                let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                // Remove headers that HTTP does not allow.
                let is_value = |b: u8| (b' '..=b'~').contains(&b);
                !name.is_empty() && name.bytes().all(is_name) && value.bytes().all(is_value)
            })
            .collect();
        let url = format!("https://{host}/{target}");
        let request = request(method, &url, &headers, body.to_vec());
        let keys = if how & 16 == 0 {
            &self.keys
        } else {
            &self.session
        };
        let signer = Signer {
            service,
            ..Signer::new(&self.aws, keys)
        };
        let request = match how >> 5 & 3 {
            0 => request,
            1 => signer.presign(request),
            _ => signer.sign(request),
        };
        Some((service, request))
    }

    /// Uses a text as a policy of every kind, and evaluates those that are accepted.
    pub async fn try_policy(&self, text: &str) {
        let role = "arn:aws:iam::111111111111:role/Fuzzed";
        let is_trust = self.aws.role(role).trust(text).create().is_ok();
        if !is_trust {
            self.aws.role(role).create().unwrap();
        }
        let user = self.aws.user("arn:aws:iam::111111111111:user/fuzzed");
        let keys = user.policy(text).create().ok();
        let keys = keys
            .or_else(|| {
                let user = self.aws.user("arn:aws:iam::111111111111:user/bounded");
                user.permissions_boundary(text).create().ok()
            })
            .unwrap_or_else(|| self.keys.clone());
        let account = || self.aws.account("111111111111");
        if account().service_control_policies([text]).create().is_err()
            && account()
                .resource_control_policies([text])
                .create()
                .is_err()
        {
            account().create().unwrap();
        }
        let parameters = [
            ("Action", "AssumeRole"),
            ("RoleArn", role),
            ("RoleSessionName", "session"),
            ("Policy", text),
            ("ExternalId", "c0ffee-secret"),
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "a"),
        ];
        let parameters = if text.is_empty() {
            &parameters[..3]
        } else {
            &parameters[..]
        };
        let request = Signer::new(&self.aws, &keys).sign(post(STS, form(parameters)));
        check(self, request, &mut BTreeMap::new()).await;
        let calls = self.aws.calls();
        for decision in calls.last().into_iter().flat_map(|call| call.decisions()) {
            assert!(
                !decision.to_string().contains("c0ffee-secret"),
                "{decision}"
            );
        }
        account().create().unwrap();
    }
}

/// Removes characters that a URL cannot contain, and limits the length to what the signer can encode.
pub fn uri_safe(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-._~%&=+;:@!$'()*,/?".contains(*c);
    text.chars().filter(allowed).take(20_000).collect()
}

/// Sends a request to STS, and checks that the response is well-formed and not slow.
pub async fn check(world: &World, request: HttpRequest, seen: &mut BTreeMap<(u16, String), usize>) {
    let is_json = request.headers().get("accept") == Some("application/json");
    let started = Instant::now();
    let reply = send(&world.aws, request).await;
    assert!(
        started.elapsed() < SLOW,
        "an answer took {:?}",
        started.elapsed()
    );
    let code = if [302, 413].contains(&reply.status) {
        assert_eq!(reply.body, "");
        String::new()
    } else if is_json {
        let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        json["Error"]["Code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    } else {
        roxmltree::Document::parse(&reply.body)
            .unwrap_or_else(|error| panic!("{error}: {}", reply.body));
        reply.element("Code").to_owned()
    };
    assert!(reply.status < 500 || reply.status == 501, "{}", reply.body);
    *seen.entry((reply.status, code)).or_default() += 1;
}

/// Sends a request to any service, and checks that a response arrives in time, without a server error.
pub async fn check_of(service: &str, world: &World, request: HttpRequest) {
    if service == "sts" {
        return check(world, request, &mut BTreeMap::new()).await;
    }
    let started = Instant::now();
    let reply = send(&world.aws, request).await;
    assert!(started.elapsed() < SLOW, "{:?}", started.elapsed());
    assert!(reply.status < 500 || reply.status == 501, "{}", reply.body);
}
