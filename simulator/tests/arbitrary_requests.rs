//! Every request gets a response, whatever it contains: no panic, no hang, and valid XML or JSON.
//!
//! Runs a fixed number of rounds. For longer runs: `ROUNDS=1000000 cargo test --release --test arbitrary_requests --
//! --nocapture`. `SEED=…` repeats a failed round.

mod arbitrary;
mod raw;

use std::collections::BTreeMap;
use std::time::Instant;

use aws_sdk_sts::config::http::HttpRequest;

use arbitrary::*;
use raw::*;

/// The size of large requests, at which an algorithm with quadratic run time would take minutes.
const LARGE: usize = 2_000_000;

impl World {
    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let length = self.rng.usize(..=max);
        (0..length).map(|_| self.rng.u8(..)).collect()
    }

    /// Returns text that often contains characters with a meaning in URLs, forms, ARNs, XML, JSON or policies.
    fn text(&mut self, max: usize) -> String {
        const PIECES: [&str; 40] = [
            "%",
            "%4",
            "%00",
            "%ff%fe",
            "%C3%28",
            "%F0%9F%98%80",
            "+",
            "&",
            "=",
            ";",
            "?",
            "#",
            "/",
            "//",
            "..",
            ":",
            "::",
            "arn:aws:iam::111111111111:role/Writer",
            "AKIA",
            "\u{0}",
            "\u{1}",
            "\u{feff}",
            "\u{fffe}",
            "\u{1F600}",
            "é",
            "\u{130}",
            "<",
            "]]>",
            "&amp;",
            "\"",
            "'",
            "\\u0000",
            "{\"Version\":\"2012-10-17\",\"Statement\":[",
            "[[[[",
            "{\"a\":",
            "${aws:username}",
            "-1",
            "99999999999999999999",
            "1e999",
            " ",
        ];
        let count = self.rng.usize(..=max);
        (0..count)
            .map(|_| PIECES[self.rng.usize(..PIECES.len())])
            .collect()
    }

    fn parameters(&mut self) -> Vec<(String, String)> {
        let token = {
            let claims = serde_json::json!({"iss": "https://token.example.com", "aud": "sts.amazonaws.com", "sub": "ada", "exp": 4_102_444_800_u64, "iat": 1,
                "https://aws.amazon.com/tags": {"principal_tags": {"Team": ["a"]}, "transitive_tag_keys": ["Team"]}});
            let key =
                jsonwebtoken::EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")).unwrap();
            jsonwebtoken::encode(
                &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256),
                &claims,
                &key,
            )
            .unwrap()
        };
        let assertion = include_str!("saml/signed-assertion.b64").trim();
        let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringLike": {"aws:PrincipalArn": "*"}}}}"#;
        let valid: &[&[(&str, &str)]] = &[
            &[
                ("Action", "AssumeRole"),
                ("RoleArn", ROLE),
                ("RoleSessionName", "session"),
                ("DurationSeconds", "900"),
                ("Policy", policy),
                ("Tags.member.1.Key", "Team"),
                ("Tags.member.1.Value", "a"),
                ("TransitiveTagKeys.member.1", "Team"),
                ("ExternalId", "c0ffee"),
                ("SerialNumber", "arn:aws:iam::111111111111:mfa/x"),
                ("TokenCode", "123456"),
                ("SourceIdentity", "ada"),
                (
                    "PolicyArns.member.1.arn",
                    "arn:aws:iam::111111111111:policy/P",
                ),
                (
                    "ProvidedContexts.member.1.ProviderArn",
                    "arn:aws:iam::aws:contextProvider/IdentityCenter",
                ),
                ("ProvidedContexts.member.1.ContextAssertion", "context"),
            ],
            &[
                ("Action", "AssumeRole"),
                ("RoleArn", ROLE),
                ("RoleSessionName", "session"),
                ("Policy", policy),
            ],
            &[
                ("Action", "AssumeRoleWithWebIdentity"),
                ("RoleArn", ROLE),
                ("RoleSessionName", "session"),
                ("WebIdentityToken", &token),
            ],
            &[
                ("Action", "AssumeRoleWithSAML"),
                ("RoleArn", ROLE),
                ("PrincipalArn", SAML),
                ("SAMLAssertion", assertion),
            ],
            &[("Action", "GetSessionToken"), ("DurationSeconds", "900")],
            &[
                ("Action", "GetFederationToken"),
                ("Name", "ada"),
                ("Policy", policy),
            ],
            &[("Action", "GetCallerIdentity")],
            &[
                ("Action", "GetWebIdentityToken"),
                ("Audience.member.1", "https://api.example.com"),
                ("SigningAlgorithm", "ES384"),
                ("DurationSeconds", "300"),
                ("Tags.member.1.Key", "Team"),
                ("Tags.member.1.Value", "a"),
            ],
            &[
                ("Action", "GetAccessKeyInfo"),
                ("AccessKeyId", "AKIAIOSFODNN7EXAMPLE"),
            ],
        ];
        let valid = valid[self.rng.usize(..valid.len())];
        let mut parameters: Vec<_> = valid
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        parameters.push(("Version".to_owned(), "2011-06-15".to_owned()));
        for _ in 0..self.rng.usize(..4) {
            if parameters.is_empty() {
                break;
            }
            let i = self.rng.usize(..parameters.len());
            match self.rng.u8(..8) {
                0 => drop(parameters.remove(i)),
                1 => parameters.push(parameters[i].clone()),
                2 => parameters[i].1 = self.text(6),
                3 => parameters[i].0 = self.text(3),
                4 => {
                    let times = self
                        .rng
                        .usize(1..300)
                        .min(1 + 1_000_000 / (1 + parameters[i].1.len()));
                    parameters[i].1 = parameters[i].1.repeat(times);
                }
                5 => parameters[i].1 = String::from_utf8_lossy(&self.bytes(200)).into_owned(),
                6 => parameters[i].1 = mutated(&mut self.rng, &parameters[i].1),
                _ => {
                    // A deeply nested document, in JSON or in base64-encoded XML.
                    let depth = self.rng.usize(..20_000);
                    let name = parameters[i].0.clone();
                    parameters[i].1 = if name == "SAMLAssertion" {
                        aws_smithy_types::base64::encode("<Assertion>".repeat(depth.min(6000)))
                    } else {
                        "[".repeat(depth)
                    };
                }
            }
        }
        parameters
    }

    fn request(&mut self) -> HttpRequest {
        let parameters = self.parameters();
        let mut body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&parameters)
            .finish();
        if self.rng.u8(..4) == 0 {
            body = mutated(&mut self.rng, &body);
        }
        let request = match self.rng.u8(..8) {
            0 => request("GET", &format!("{STS}?{}", uri_safe(&body)), &[], ""),
            1 => post(STS, self.bytes(2000)),
            2 => post(STS, self.text(200)),
            3 => {
                let query = uri_safe(&self.text(20));
                request(
                    "GET",
                    &format!("{STS}{query}?{query}"),
                    &[("accept", "application/json")],
                    "",
                )
            }
            _ => post(STS, body),
        };
        let keys = if self.rng.bool() {
            &self.keys
        } else {
            &self.session
        };
        let signer = Signer::new(&self.aws, keys);
        let mut request = match self.rng.u8(..10) {
            0 => request,
            1 => signer.presign(request),
            _ => signer.sign(request),
        };
        if self.rng.u8(..5) == 0 {
            self.damage_signature(&mut request);
        }
        request
    }

    fn damage_signature(&mut self, request: &mut HttpRequest) {
        let names = [
            "authorization",
            "x-amz-date",
            "x-amz-security-token",
            "host",
            "content-type",
            "x-amz-content-sha256",
            "date",
        ];
        let name = names[self.rng.usize(..names.len())];
        let old = request
            .headers()
            .get(name)
            .unwrap_or("20261126T120000Z")
            .to_owned();
        let text: String = match self.rng.u8(..3) {
            0 => String::new(),
            1 => self.text(5),
            _ => mutated(&mut self.rng, &old),
        };
        // Remove characters that HTTP does not allow in headers.
        let text: String = text
            .chars()
            .filter(|c| c.is_ascii() && !c.is_ascii_control())
            .collect();
        request.headers_mut().remove(name);
        if self.rng.u8(..4) > 0 {
            request.headers_mut().insert(name, text.clone());
        }
        if self.rng.bool() {
            let url = format!(
                "{}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}",
                request.uri(),
                uri_safe(&text)
            );
            let _ = request.set_uri(url);
        }
    }
}

/// Changes, removes or repeats a part of a text.
fn mutated(rng: &mut fastrand::Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..rng.usize(1..4) {
        if chars.is_empty() {
            break;
        }
        let i = rng.usize(..chars.len());
        match rng.u8(..4) {
            0 => drop(chars.remove(i)),
            1 => chars[i] = char::from(rng.u8(..128)),
            2 => chars.truncate(i),
            _ => {
                let end = rng.usize(i..chars.len()).min(i + 50);
                let part = chars[i..end].to_vec();
                chars.splice(i..i, part);
            }
        }
    }
    chars.into_iter().collect()
}

#[tokio::test]
async fn every_request_gets_an_answer_that_can_be_read() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds: u64 = number("ROUNDS").unwrap_or(2000);
    let (first, rounds) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (fastrand::u64(..), rounds),
    };
    let mut seen = BTreeMap::new();
    let mut world = World::new().await;
    for round in 0..rounds {
        // The simulator stores every call, so it is replaced from time to time.
        if round % 5000 == 4999 {
            world = World::new().await;
            println!("{round} rounds");
        }
        let seed = first.wrapping_add(round);
        world.rng = fastrand::Rng::with_seed(seed);
        let request = world.request();
        let on_panic = OnPanic(seed);
        check(&world, request, &mut seen).await;
        std::mem::forget(on_panic);
    }
    for ((status, code), count) in &seen {
        println!("{count:>9}  {status} {code}");
    }
    assert!(
        rounds < 1000 || seen.len() >= 8,
        "too little variety: {seen:?}"
    );
}

#[tokio::test]
async fn every_request_to_every_service_gets_an_answer() {
    let seeds: [&[u8]; 6] = [
        b"\x40\ncontent-type: application/x-www-form-urlencoded\n\nAction=GetCallerIdentity&Version=2011-06-15",
        b"\x44\ncontent-type: application/x-www-form-urlencoded\n\nAction=ListRoles&Version=2010-05-08&MaxItems=1",
        b"\x49reports?list-type=2&prefix=a/&delimiter=/&max-keys=1&start-after=a",
        b"\x4areports/key\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n\n5\r\nhello\r\n0\r\n\r\n",
        b"\x49reports/a/b\nrange: bytes=1-3",
        b"\x4c\nx-amz-target: Firehose_20150804.PutRecord\n\n{\"DeliveryStreamName\": \"events\", \"Record\": {\"Data\": \"eA==\"}}",
    ];
    let mut world = World::new().await;
    for seed in seeds {
        let (service, request) = world.read_request(seed).unwrap();
        let reply = send(&world.aws, request).await;
        assert!(reply.status < 300, "{service}: {}", reply.body);
    }
    for _ in 0..1000 {
        let mut bytes = seeds[world.rng.usize(..seeds.len())].to_vec();
        for _ in 0..world.rng.usize(1..6) {
            let at = world.rng.usize(..bytes.len());
            bytes[at] = world.rng.u8(..);
        }
        if let Some((service, request)) = world.read_request(&bytes) {
            check_of(service, &world, request).await;
        }
    }
}

/// Prints the seed of a round that panicked.
struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        eprintln!("repeat with SEED={}", self.0);
    }
}

#[tokio::test]
async fn an_assertion_that_is_nested_deeply_is_refused() {
    let world = World::new().await;
    let signed = include_str!("saml/signed-assertion.b64").trim();
    let signed = String::from_utf8(aws_smithy_types::base64::decode(signed).unwrap()).unwrap();
    for depth in [100, 1000, 9000] {
        let nested = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        for around in [
            // Next to the signed element, inside it, and inside the signature.
            signed.replace("<saml:Assertion ", &format!("{nested}<saml:Assertion ")),
            signed.replace("<saml:Subject>", &format!("{nested}<saml:Subject>")),
            signed.replace("<ds:SignedInfo>", &format!("{nested}<ds:SignedInfo>")),
            signed.replace("<ds:Reference ", &format!("{nested}<ds:Reference ")),
            format!("{}{signed}{}", "<a>".repeat(depth), "</a>".repeat(depth)),
        ] {
            let assertion = aws_smithy_types::base64::encode(around);
            let parameters = [
                ("Action", "AssumeRoleWithSAML"),
                ("RoleArn", ROLE),
                ("PrincipalArn", SAML),
                ("SAMLAssertion", &assertion),
            ];
            let reply = call_unsigned(&world.aws, &parameters).await;
            // The request fails even if signatures are not checked, because the assertion is for another role.
            assert!([400, 403].contains(&reply.status), "{}", reply.body);
        }
    }
}

#[tokio::test]
async fn large_requests_are_answered_soon() {
    let world = World::new().await;
    let repeat = |text: &dyn Fn(usize) -> String, limit: usize| {
        let mut body = form(&[
            ("Action", "AssumeRole"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "session"),
        ]);
        let mut n = 0;
        while body.len() < limit - 100 {
            n += 1;
            body += &text(n);
        }
        body
    };
    let nested = format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=session&Policy={}",
        "[".repeat(2048)
    );
    for (row, body) in [
        (
            "a hundred thousand tags",
            repeat(&|n| format!("&Tags.member.{n}.Key=k"), LARGE),
        ),
        (
            "as many policy ARNs",
            repeat(&|n| format!("&PolicyArns.member.{n}.arn=x"), LARGE),
        ),
        (
            "the same parameter again and again",
            repeat(&|_| "&RoleArn=x".to_owned(), LARGE),
        ),
        (
            "nothing but separators",
            repeat(&|_| "&=&=&=&=".to_owned(), LARGE),
        ),
        (
            "one name of two million characters",
            repeat(&|_| format!("&{}", "x".repeat(LARGE - 300)), LARGE),
        ),
        (
            "one value of many characters",
            format!(
                "{}&ExternalId={}",
                form(&[("Action", "AssumeRole")]),
                "%41".repeat(LARGE / 3)
            ),
        ),
        ("a policy that is nested deeply", nested),
        ("more than the limit", "x".repeat(50_000_000)),
    ] {
        let request = Signer::new(&world.aws, &world.keys).sign(post(STS, body));
        let mut seen = BTreeMap::new();
        let started = Instant::now();
        check(&world, request, &mut seen).await;
        println!("{row}: {:?}, {seen:?}", started.elapsed());
    }
}
