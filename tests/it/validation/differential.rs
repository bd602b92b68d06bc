//! Random parameters of random chains: what is rejected before a call is what STS rejects.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::types::Tag;
use fastrand::Rng;
use sts_simulator::Simulator;

use super::*;

const NAME: &str = "aZ9_+=,.@-";

/// Characters that are near the ones that STS accepts.
const OTHERS: &str =
    "é漢٣½İſK\u{301}\u{a0}\u{2003}\u{2028}\u{200b}\u{85}\u{ff}\u{100}😀 \t\n\0\u{7f}:/*?$\"\\%";

#[derive(Debug, Default)]
struct Spec {
    session_name: Option<String>,
    external_id: Option<String>,
    seconds: Option<u64>,
    policy: Option<String>,
    tags: Vec<(String, String, bool)>,
    source_identity: Option<String>,
}

impl Spec {
    /// Most parameters are not set, so that each can be the only one that is wrong.
    fn new(random: &mut Rng) -> Self {
        let mut spec = Self::default();
        for _ in 0..random.usize(1..4) {
            match random.u8(..6) {
                0 => spec.session_name = Some(text(random, NAME, 2..=64)),
                1 => spec.external_id = Some(text(random, "aZ9_+=,.@:/-", 2..=1224)),
                2 => {
                    let of = [899, 900, 3600, 3601, 43_200, 43_201];
                    spec.seconds = random.choice(of);
                }
                3 => {
                    // It denies no action of STS.
                    let frame = r#"{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"},
                        {"Effect": "Deny", "Action": "s3:*", "Resource": "*",
                            "Condition": {"StringEquals": {"aws:PrincipalTag/team": ""}}}]}"#;
                    let inner = text(random, "a/é", 1..=2048 - frame.len());
                    spec.policy = Some(frame.replace("\"\"", &format!("\"{inner}\"")));
                }
                4 => {
                    let known = ["team", "ßa", "ẞa", "Aws:x"];
                    let keys = [0; 2].map(|_| match random.u8(..5) {
                        0 => text(random, "é漢9 _.:/=+-@", 1..=128),
                        _ => random.choice(known).unwrap().to_owned(),
                    });
                    let value = match random.u8(..3) {
                        0 => text(random, "é漢9 _.:/=+-@", 0..=256),
                        _ => String::new(),
                    };
                    let count = if random.u8(..8) == 0 { 49 } else { 0 };
                    let more = (0..count).map(|n| (format!("key{n}"), String::new(), false));
                    spec.tags.extend(more);
                    let keys = keys.into_iter().take(random.usize(1..3));
                    let tags = keys.map(|key| (key, value.clone(), random.bool()));
                    spec.tags.extend(tags);
                }
                _ => {
                    let any = text(random, NAME, 2..=256);
                    spec.source_identity = random.choice(["ada".to_owned(), any]);
                }
            }
        }
        spec
    }

    fn role(&self, arn: &str) -> Role {
        let mut role = Role::new(arn);
        if let Some(name) = &self.session_name {
            role = role.session_name(name);
        }
        if let Some(id) = &self.external_id {
            role = role.external_id(id);
        }
        if let Some(seconds) = self.seconds {
            role = role.duration(Duration::from_secs(seconds));
        }
        if let Some(policy) = &self.policy {
            role = role.policy(policy);
        }
        for (key, value, transitive) in &self.tags {
            role = if *transitive {
                role.transitive_tag(key, value)
            } else {
                role.tag(key, value)
            };
        }
        if let Some(identity) = &self.source_identity {
            role = role.source_identity(identity);
        }
        role
    }

    /// Assumes the role with the SDK's own client.
    async fn assume(&self, arn: &str, base: &SdkConfig) -> Result<Credentials, String> {
        let name = self.session_name.as_deref().unwrap_or("orders");
        let transitive = self.tags.iter().filter(|(.., transitive)| *transitive);
        let transitive: Vec<_> = transitive.map(|(key, ..)| key.clone()).collect();
        let tags = self.tags.iter().map(|(key, value, _)| {
            let tag = Tag::builder().key(key).value(value);
            tag.build().unwrap()
        });
        let call = aws_sdk_sts::Client::new(base)
            .assume_role()
            .role_arn(arn)
            .role_session_name(name)
            .set_external_id(self.external_id.clone())
            .set_duration_seconds(self.seconds.map(|seconds| seconds as i32))
            .set_policy(self.policy.clone())
            .set_source_identity(self.source_identity.clone())
            .set_tags(Some(tags.collect()))
            .set_transitive_tag_keys(Some(transitive));
        let answer = call.send().await.map_err(|error| {
            let code = error.code().unwrap_or_default();
            let is_about_parameters = ["ValidationError", "InvalidParameterValue"].contains(&code);
            // STS alone reads session policies; here, one has an invalid character or escape.
            assert!(is_about_parameters || self.policy.is_some(), "{error:?}");
            format!("{:?}", error.message())
        })?;
        let keys = answer.credentials.unwrap();
        let (id, secret) = (keys.access_key_id, keys.secret_access_key);
        Ok(Credentials::new(
            id,
            secret,
            Some(keys.session_token),
            None,
            "sts",
        ))
    }
}

/// Text of a length within the limits or just outside, in which one character may be another.
fn text(random: &mut Rng, accepted: &str, length: RangeInclusive<usize>) -> String {
    let (min, max) = (*length.start(), *length.end());
    let any = random.usize(min..=min + 10);
    let of = [min.saturating_sub(1), min, max, max + 1, any, any, any, any];
    let count = random.choice(of).unwrap();
    let mut text: Vec<char> = (0..count).map(|_| character(random, accepted)).collect();
    if !text.is_empty() && random.u8(..4) == 0 {
        let at = random.usize(..text.len());
        text[at] = character(random, OTHERS);
    }
    text.into_iter().collect()
}

fn character(random: &mut Rng, of: &str) -> char {
    let of: Vec<char> = of.chars().collect();
    random.choice(of).unwrap()
}

#[tokio::test(start_paused = true)]
async fn random_parameters_are_rejected_before_the_call_exactly_if_sts_rejects_them() {
    let aws = Simulator::new();
    aws.set_packed_size_limit(1 << 20);
    let keys = user(&aws);
    let base = aws.sdk_config(keys);
    for arn in [HUB, MIDDLE, TENANT] {
        let role = aws.role(arn).trust(trusts("*")).policy(allow("sts:*"));
        role.max_session_duration(12 * HOUR).create().unwrap();
    }
    let (mut accepted, mut rejected) = (0, 0);
    for seed in 0..400 {
        let random = &mut Rng::with_seed(seed);
        let mut previous: Option<(RoleChain, SdkConfig)> = None;
        for arn in [HUB, MIDDLE, TENANT] {
            let spec = Spec::new(random);
            let (checked, answer) = match &previous {
                None => (
                    RoleChain::new(&base, spec.role(arn)),
                    spec.assume(arn, &base).await,
                ),
                Some((chain, base)) => (chain.assume(spec.role(arn)), spec.assume(arn, base).await),
            };
            match (checked, answer) {
                (Ok(chain), Ok(session)) => {
                    accepted += 1;
                    previous = Some((chain, aws.sdk_config(session)));
                }
                (Err(error), Err(_)) => {
                    assert!(error.is_invalid(), "{error}");
                    rejected += 1;
                    break;
                }
                (Ok(_), Err(said)) => panic!("seed {seed}: only STS rejects it: {said} {spec:?}"),
                (Err(error), Ok(_)) => panic!("seed {seed}: STS accepts it: {error} {spec:?}"),
            }
        }
    }
    println!("{accepted} accepted, {rejected} rejected");
    assert!(accepted > 150 && rejected > 150, "{accepted}, {rejected}");
}
