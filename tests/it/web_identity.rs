//! Chains that start with a web identity: tokens from files and callbacks, renewed, rejected, retried.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::log::Log;
use crate::common::tokens::web_identity_token;
use crate::common::*;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Error, Role, RoleChain, WebIdentityToken};
use aws_smithy_async::time::TimeSource;
use aws_types::SdkConfig;
use serde_json::{Value, json};
use sts_simulator::{Fault, Simulator};
use tracing_subscriber::filter::LevelFilter;

const ISSUER: &str = "https://token.example.com/pool";
const PROVIDER: &str = "arn:aws:iam::222222222222:oidc-provider/token.example.com/pool";
const SUBJECT: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

struct World {
    aws: Simulator,
    /// Has no credentials: the token replaces them.
    base: SdkConfig,
}

impl World {
    fn new() -> Self {
        let aws = Simulator::new();
        let key = include_str!("../keys/oidc-public.pem");
        aws.oidc_provider(PROVIDER, &["sts.amazonaws.com"], key)
            .unwrap();
        aws.role(HUB)
            .trust(trust("sts:AssumeRoleWithWebIdentity", SUBJECT))
            .policy(allow("sts:*"))
            .max_session_duration(12 * HOUR)
            .create()
            .unwrap();
        aws.role(TENANT)
            .trust(trusts("222222222222"))
            .create()
            .unwrap();
        let mut base = aws.sdk_config(user(&aws)).into_builder();
        base.set_credentials_provider(None);
        Self {
            base: base.build(),
            aws,
        }
    }

    fn chain(&self, token: WebIdentityToken) -> RoleChain {
        RoleChain::from_web_identity(&self.base, Role::new(HUB), token).unwrap()
    }

    /// Signs a token that is valid for ten minutes, with these claims changed.
    fn token(&self, changed: Value) -> String {
        sign(&self.aws, changed)
    }

    /// Returns tokens that are signed at each call of their provider, and the number of these calls.
    fn tokens(&self) -> (WebIdentityToken, Arc<AtomicUsize>) {
        let (aws, calls) = (self.aws.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        let tokens = WebIdentityToken::from_provider(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let token = sign(&aws, json!({}));
            async { Ok::<_, Error>(token) }
        });
        (tokens, calls)
    }
}

fn sign(aws: &Simulator, changed: Value) -> String {
    let mut claims = json!({"iss": ISSUER, "sub": SUBJECT, "aud": "sts.amazonaws.com"});
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    web_identity_token(aws, claims)
}

fn trust(action: &str, subject: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}",
            "Principal": {{"Federated": "{PROVIDER}"}}, "Condition": {{"StringEquals": {{
                "token.example.com/pool:aud": "sts.amazonaws.com",
                "token.example.com/pool:sub": "{subject}"}}}}}}}}"#
    )
}

/// A provider that always returns this token.
fn fixed(token: String) -> WebIdentityToken {
    WebIdentityToken::from_provider(move || {
        let token = token.clone();
        async { Ok::<_, Error>(token) }
    })
}

fn file(name: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("role-chain-{name}-{}", std::process::id()))
}

#[tokio::test]
async fn a_token_replaces_credentials_and_roles_chain_on_from_it() {
    let world = World::new();
    let (tokens, _) = world.tokens();
    let pod = world.chain(tokens);
    let tenant = pod.assume(Role::new(TENANT)).unwrap();

    let credentials = tenant.provide_credentials().await.unwrap();

    assert_eq!(credentials.account_id().unwrap().as_str(), "333333333333");
    let session = pod.status()[0].session_arn.clone().unwrap();
    assert!(
        session.starts_with("arn:aws:sts::222222222222:assumed-role/Hub/it-"),
        "{session}"
    );
    let calls = world.aws.calls();
    assert_eq!(calls[0].action, "AssumeRoleWithWebIdentity");
    assert_eq!(calls[0].access_key_id, None, "nobody signs");
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_session_from_a_token_may_last_twelve_hours_and_the_next_hop_one() {
    let world = World::new();
    let (tokens, _) = world.tokens();
    let role = Role::new(HUB).duration(12 * HOUR);
    let pod = RoleChain::from_web_identity(&world.base, role, tokens).unwrap();
    pod.refresh().await.unwrap();
    assert!(pod.status()[0].expiry.unwrap() > world.aws.clock().now() + 11 * HOUR);
    let error = pod
        .assume(Role::new(TENANT).duration(2 * HOUR))
        .unwrap_err();
    assert_eq!(error.field(), Some("duration"));
}

#[tokio::test(start_paused = true)]
async fn the_token_file_is_read_again_at_each_load() {
    let world = World::new();
    let path = file("rotated");
    std::fs::write(&path, world.token(json!({})) + "\n").unwrap();
    let pod = world.chain(WebIdentityToken::from_file(&path));
    pod.provide_credentials().await.unwrap();

    // The old token expired long before the window opens.
    world.aws.clock().advance(40 * MINUTE).await;
    std::fs::write(&path, world.token(json!({"exp": u32::MAX}))).unwrap();
    world.aws.clock().advance(19 * MINUTE).await;
    assert_eq!(world.aws.requests(), 2, "it refreshed itself");
    assert!(pod.status()[0].last_error.is_none());
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_token_file_that_is_unreadable_or_empty_is_named() {
    let world = World::new();
    let path = file("empty");
    for (written, why) in [
        (None, "No such file"),
        (Some(""), "4 to 20000 characters, but has 0"),
    ] {
        match written {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => drop(std::fs::remove_file(&path)),
        }
        let pod = world.chain(WebIdentityToken::from_file(&path));
        let error = pod.refresh().await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("(hop 1 of 1): no web identity token: "),
            "{error}"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        if cfg!(unix) {
            assert!(cause.contains(why), "{cause}");
        }
    }
    assert_eq!(world.aws.requests(), 0);
    let _ = std::fs::remove_file(path);
}

/// Kubernetes puts each token into a new folder, and a link to that in the place of the one before.
#[cfg(unix)]
#[tokio::test]
async fn a_token_file_that_is_a_link_to_another_each_time_is_followed() {
    use std::os::unix::fs::symlink;
    let world = World::new();
    let folder = file("links");
    let rotate = |name: &str| {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("token"), world.token(json!({}))).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    rotate("first");
    symlink("..data/token", folder.join("token")).unwrap();
    let pod = world.chain(WebIdentityToken::from_file(folder.join("token")));
    pod.refresh().await.unwrap();
    rotate("second");
    std::fs::remove_dir_all(folder.join("first")).unwrap();
    pod.refresh().await.unwrap();
    assert_eq!(world.aws.requests(), 2);
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_fifo_or_an_endless_file_in_the_place_of_a_token_file_blocks_nobody() {
    let world = World::new();
    let fifo = file("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for path in [fifo.as_path(), std::path::Path::new("/dev/zero")] {
        let pod = world.chain(WebIdentityToken::from_file(path));
        let error = pod.refresh().await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        let expected = format!("{}: it is not a regular file", path.display());
        assert_eq!(cause, expected);
    }
    std::fs::remove_file(fifo).unwrap();
}

#[tokio::test]
async fn an_expired_token_is_read_once_more() {
    let world = World::new();
    let (aws, calls) = (world.aws.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let pod = world.chain(WebIdentityToken::from_provider(move || {
        let expired = counted.fetch_add(1, Ordering::Relaxed) == 0;
        let token = sign(
            &aws,
            if expired {
                json!({"exp": 1})
            } else {
                json!({})
            },
        );
        async { Ok::<_, Error>(token) }
    }));
    pod.refresh().await.unwrap();
    assert_eq!(
        (calls.load(Ordering::Relaxed), world.aws.requests()),
        (2, 2)
    );

    let dead = world.chain(fixed(world.token(json!({"exp": 1}))));
    let error = dead.refresh().await.unwrap_err();
    assert_eq!(error.code(), Some("ExpiredTokenException"));
    assert!(error.to_string().contains("it was read twice"), "{error}");
    assert_eq!(world.aws.requests(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_sts_cannot_reach_is_tried_three_times() {
    let message = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";
    let world = World::new();
    world
        .aws
        .fail(Fault::error(400, "InvalidIdentityToken", message));
    let (tokens, _) = world.tokens();
    let pod = world.chain(tokens);
    let error = pod.refresh().await.unwrap_err();
    assert_eq!(world.aws.requests(), 3);
    assert_eq!(world.aws.clock().elapsed(), Duration::from_secs(3));
    assert!(error.to_string().contains("jwks_uri"), "{error}");
    assert!(error.is_transient(), "this is often temporary");

    // The SDK itself retries this code.
    let world = World::new();
    let message =
        "Your request cannot be completed because the identity provider could not be reached";
    world
        .aws
        .fail(Fault::error(400, "IDPCommunicationError", message));
    let (tokens, _) = world.tokens();
    let error = world.chain(tokens).refresh().await.unwrap_err();
    assert_eq!(world.aws.requests(), 3);
    assert!(
        error.is_transient() && error.to_string().contains("over the internet"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_keeps_the_message_of_sts_and_adds_advice() {
    let (log, _guard) = Log::at(LevelFilter::TRACE);
    let world = World::new();
    let cases = [
        (
            json!({"sub": "repo:other"}),
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "decode the token and compare",
        ),
        (
            json!({"aud": "other"}),
            "InvalidIdentityToken",
            "Incorrect token audience",
            "client ids",
        ),
        (
            json!({"iss": "https://other.example.com"}),
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://other.example.com",
            "account 222222222222",
        ),
        (
            json!({"https://aws.amazon.com/tags": {"principal_tags": {"team": ["x"]}}}),
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "sts:TagSession",
        ),
    ];
    for (claims, code, message, advice) in cases {
        let error = world
            .chain(fixed(world.token(claims)))
            .refresh()
            .await
            .unwrap_err();
        assert_eq!((error.code(), error.message()), (Some(code), Some(message)));
        assert!(error.advice().join("\n").contains(advice), "{error}");
    }
    let mut forged = world.token(json!({}));
    forged.replace_range(forged.len() - 4.., "AAAA");
    let error = world
        .chain(fixed(forged.clone()))
        .refresh()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("InvalidIdentityToken"));
    let repeats = format!("Value '{forged}' at 'webIdentityToken' is wrong");
    world
        .aws
        .fail(Fault::error(400, "ValidationError", repeats));
    let error = world
        .chain(fixed(forged.clone()))
        .refresh()
        .await
        .unwrap_err();
    assert!(error.message().unwrap().contains("****"));
    let shown = format!("{error} {error:?} {:?} {}", world.aws.calls(), log.text());
    assert!(!shown.contains(&forged), "a token is a secret");
}

#[tokio::test]
async fn a_source_identity_of_a_token_needs_permission_and_is_kept() {
    let world = World::new();
    let claims = json!({"https://aws.amazon.com/source_identity": "ada", "sub": SUBJECT});
    let refused = world
        .chain(fixed(world.token(claims.clone())))
        .refresh()
        .await;
    assert!(refused.unwrap_err().is_access_denied());
    world
        .aws
        .role(HUB)
        .trust(trust("sts:*", SUBJECT))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    let pod = world.chain(fixed(world.token(claims)));
    pod.refresh().await.unwrap();
    let changed = pod
        .assume(Role::new(TENANT).source_identity("bob"))
        .unwrap();
    let error = changed.refresh().await.unwrap_err();
    let text = "The source identity is already set for this assume role session";
    assert_eq!(error.message(), Some(text));
}

#[tokio::test]
async fn tags_of_a_token_are_inherited_and_need_permission_at_the_next_hop() {
    let world = World::new();
    let with_tags = trust(r#"sts:*"#, SUBJECT);
    world
        .aws
        .role(HUB)
        .trust(with_tags)
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    let claims = json!({"https://aws.amazon.com/tags": {
        "principal_tags": {"team": ["payments"]}, "transitive_tag_keys": ["team"]}});
    let pod = world.chain(fixed(world.token(claims)));
    pod.assume(Role::new(TENANT))
        .unwrap()
        .refresh()
        .await
        .unwrap();

    let error = pod
        .assume(Role::new(TENANT).tag("Team", "x"))
        .unwrap()
        .refresh()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    assert!(error.to_string().contains("omit that key"), "{error}");

    let no_tags = trusts("222222222222").replace(r#", "sts:TagSession""#, "");
    world.aws.role(TENANT).trust(no_tags).create().unwrap();
    let error = pod
        .assume(Role::new(TENANT))
        .unwrap()
        .refresh()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("passes no tags itself, but inherits transitive ones"),
        "{error}"
    );
}

#[tokio::test]
async fn a_diagnosis_reads_the_token_and_prints_the_policy_that_admits_it() {
    let world = World::new();
    let token = || {
        let aud = ["sts.amazonaws.com"];
        fixed(world.token(json!({"sub": "system:serviceaccount:a:b", "aud": aud})))
    };
    let diagnosis = world.chain(token()).diagnose().await;
    assert!(diagnosis.error().unwrap().is_access_denied(), "{diagnosis}");
    let text = diagnosis.to_string();
    for line in [
        "  token's issuer   https://token.example.com/pool\n",
        "  token's audience sts.amazonaws.com\n",
        "  token's subject  system:serviceaccount:a:b\n",
    ] {
        assert!(text.contains(line), "{line:?} {text}");
    }
    let policies = diagnosis.policies().unwrap();
    assert!(policies.permission_policy.is_none(), "a token needs none");
    let role = world.aws.role(HUB).trust(policies.trust_policy.compact());
    role.create().unwrap();
    let well = world.chain(token()).diagnose().await;
    assert!(well.is_ok(), "{well}");

    let no_token = fixed("nonsense".to_owned());
    let diagnosis = world.chain(no_token).diagnose().await;
    assert!(
        !diagnosis.is_ok() && diagnosis.policies().is_none(),
        "{diagnosis}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_profile_with_a_web_identity_applies_supported_keys_and_refuses_others() {
    let world = World::new();
    let folder = file("profile");
    std::fs::create_dir_all(&folder).unwrap();
    let (config, token) = (folder.join("config"), folder.join("token"));
    std::fs::write(&token, world.token(json!({}))).unwrap();
    let pod = format!(
        "role_arn = {HUB}\nweb_identity_token_file = {}\n",
        token.display()
    );
    let profiles = format!(
        "[profile app]\nrole_arn = {TENANT}\nsource_profile = pod\n\
         [profile pod]\n{pod}role_session_name = orders\nduration_seconds = 7200\nexternal_id = ignored\nregion = us-east-2\n\
         [profile tagged]\n{pod}session_tags = team=payments\n\
         [profile named]\n{pod}source_identity = ada\n"
    );
    std::fs::write(&config, profiles).unwrap();
    let cache = folder.join("cache");
    let loader = |name: &str| {
        let loader = aws_role_chain::ProfileLoader::new(name).base(&world.base);
        loader.config_file(&config).cli_cache_in(&cache)
    };
    loader("app").load().await.unwrap().refresh().await.unwrap();
    let calls = world.aws.calls();
    let pod = &calls[0];
    assert_eq!(pod.action, "AssumeRoleWithWebIdentity");
    assert_eq!(pod.session_name.as_deref(), Some("orders"));
    assert_eq!(pod.duration_seconds.as_deref(), Some("7200"));
    assert_eq!(pod.host, "sts.us-east-2.amazonaws.com");
    assert_eq!(calls[1].action, "AssumeRole");
    // The tenant's session is in the cache, and the pod's is not.
    loader("pod").load().await.unwrap().refresh().await.unwrap();
    assert_eq!(world.aws.assumed(HUB), 2);
    let entries = std::fs::read_dir(&cache).unwrap();
    let entries = entries.filter(|file| {
        let file = file.as_ref().unwrap().path();
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    assert_eq!(entries.count(), 1);

    for (profile, key) in [("tagged", "session_tags"), ("named", "source_identity")] {
        let error = loader(profile).load().await.unwrap_err();
        assert_eq!(error.field(), Some(key), "{error}");
        assert!(
            error.to_string().contains("AssumeRoleWithWebIdentity"),
            "{error}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}
