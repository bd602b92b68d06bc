//! From a user's keys in account B to records in account A's bucket, on an independent emulator.
//!
//! The accounts are those of the README: B (111111111111) calls, A (222222222222) has the stream, C (333333333333) is a
//! third one. The administrators' keys are only for the setup.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::example::{Said, example};
use crate::common::ministack::{Ministack, REGION};
use crate::common::{EXTERNAL_ID, allow, trusts, trusts_with_external_id};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Role, RoleChain};
use aws_sdk_firehose::error::ProvideErrorMetadata;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_types::SdkConfig;

const A: &str = "222222222222";
const B: &str = "111111111111";
const C: &str = "333333333333";
const WRITER: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";
const STREAM: &str = "events";
const BUCKET: &str = "a-events";

/// The server with B's user, A's stream that delivers to A's bucket, and A's role that B may assume.
struct World {
    server: Ministack,
    /// The keys of the user in account B.
    keys: Credentials,
    base: SdkConfig,
}

impl World {
    async fn new() -> Option<Self> {
        let server = Ministack::start()?;
        let keys = server.make_user(B, "orders", &allow("sts:*")).await;
        let base = server.config(keys.clone()).await;
        let world = Self { server, keys, base };
        world.server.make_stream(A, STREAM, BUCKET).await;
        let may_put = allow("firehose:PutRecordBatch");
        world
            .server
            .make_role(A, "FirehoseWriter", &trusts_with_external_id(B), &may_put)
            .await;
        Some(world)
    }

    /// The objects in A's bucket.
    async fn delivered(&self) -> BTreeSet<Vec<u8>> {
        let s3 = self.server.s3(A).await;
        let mut objects = BTreeSet::new();
        let mut pages = s3.list_objects_v2().bucket(BUCKET).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let key = object.key().unwrap();
                let body = s3
                    .get_object()
                    .bucket(BUCKET)
                    .key(key)
                    .send()
                    .await
                    .unwrap()
                    .body;
                objects.insert(body.collect().await.unwrap().to_vec());
            }
        }
        objects
    }

    fn chain(&self, role: Role) -> RoleChain {
        RoleChain::new(&self.base, role).unwrap()
    }
}

/// Puts records. The error is the service's error code.
async fn put(config: &SdkConfig, records: &[&[u8]]) -> Result<(), String> {
    let records = records
        .iter()
        .map(|data| Record::builder().data(Blob::new(*data)).build().unwrap());
    let answer = aws_sdk_firehose::Client::new(config)
        .put_record_batch()
        .delivery_stream_name(STREAM)
        .set_records(Some(records.collect()))
        .send()
        .await;
    match answer {
        Ok(answer) => {
            assert_eq!(answer.failed_put_count(), 0);
            Ok(())
        }
        Err(error) => Err(error.code().unwrap_or("no code").to_owned()),
    }
}

#[tokio::test]
async fn records_from_account_b_reach_the_bucket_of_account_a_byte_for_byte() {
    let Some(world) = World::new().await else {
        return;
    };
    let chain = world.chain(
        Role::new(WRITER)
            .external_id(EXTERNAL_ID)
            .session_name("orders"),
    );
    let records: [&[u8]; 4] = [
        b"one\n",
        b"",
        b"\x00\xff\xfe binary \r\n",
        "größe 日本\n".as_bytes(),
    ];

    put(&chain.sdk_config(), &records).await.unwrap();

    let sent: BTreeSet<Vec<u8>> = records.iter().map(|record| record.to_vec()).collect();
    assert_eq!(world.delivered().await, sent);
    let me = aws_sdk_sts::Client::new(&chain.sdk_config())
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(
        me.arn(),
        Some("arn:aws:sts::222222222222:assumed-role/FirehoseWriter/orders")
    );
    assert_eq!(chain.status()[0].session_arn.as_deref(), me.arn());
}

#[tokio::test]
async fn a_wrong_or_missing_external_id_is_refused() {
    let Some(world) = World::new().await else {
        return;
    };
    for role in [Role::new(WRITER).external_id("wrong"), Role::new(WRITER)] {
        let error = world.chain(role).refresh().await.unwrap_err();
        assert!(error.is_access_denied(), "{error}");
        assert!(error.request_id().is_some());
        assert!(error.to_string().contains("external ID"), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[tokio::test]
async fn credentials_of_account_b_do_not_see_the_stream() {
    let Some(world) = World::new().await else {
        return;
    };
    let refused = put(&world.base, &[b"x"]).await.unwrap_err();
    assert!(
        ["AccessDeniedException", "ResourceNotFoundException"].contains(&&*refused),
        "{refused}"
    );
    // Not even every permission in B makes it visible.
    let all = world.server.make_user(B, "powerful", &allow("*")).await;
    let refused = put(&world.server.config(all).await, &[b"x"])
        .await
        .unwrap_err();
    assert_eq!(refused, "ResourceNotFoundException");
    assert!(world.delivered().await.is_empty());
}

#[tokio::test]
async fn a_chain_through_a_third_account_works_and_skipping_it_does_not() {
    let Some(world) = World::new().await else {
        return;
    };
    world
        .server
        .make_role(C, "Gate", &trusts(B), &allow("sts:AssumeRole"))
        .await;
    world
        .server
        .make_role(A, "BehindGate", &trusts(C), &allow("firehose:*"))
        .await;
    let behind = || Role::new("arn:aws:iam::222222222222:role/BehindGate");

    let gate = world.chain(Role::new("arn:aws:iam::333333333333:role/Gate"));
    let chain = gate.assume(behind()).unwrap();
    put(&chain.sdk_config(), &[b"by way of C\n"]).await.unwrap();
    assert_eq!(
        world.delivered().await,
        BTreeSet::from([b"by way of C\n".to_vec()])
    );
    assert!(
        put(&gate.sdk_config(), &[b"x"]).await.is_err(),
        "the gate itself may not put"
    );

    let error = world.chain(behind()).refresh().await.unwrap_err();
    assert!(error.is_access_denied(), "{error}");
}

#[tokio::test]
async fn a_session_policy_restricts_permissions() {
    let Some(world) = World::new().await else {
        return;
    };
    let role = || Role::new(WRITER).external_id(EXTERNAL_ID);
    let forbids = world.chain(role().policy(allow("s3:*")));
    assert_eq!(
        put(&forbids.sdk_config(), &[b"x"]).await.unwrap_err(),
        "AccessDeniedException"
    );
    let allows = world.chain(role().policy(allow("firehose:*")));
    put(&allows.sdk_config(), &[b"x"]).await.unwrap();
}

#[tokio::test]
async fn a_session_tag_satisfies_a_condition_on_principal_tags() {
    let Some(world) = World::new().await else {
        return;
    };
    let only_payments = allow("firehose:PutRecordBatch").replace(
        r#""Resource""#,
        r#""Condition": {"StringEquals": {"aws:PrincipalTag/team": "payments"}}, "Resource""#,
    );
    world
        .server
        .make_role(A, "ByTag", &trusts(B), &only_payments)
        .await;
    let role = || Role::new("arn:aws:iam::222222222222:role/ByTag");
    for role in [role(), role().tag("team", "refunds")] {
        let refused = put(&world.chain(role).sdk_config(), &[b"x"])
            .await
            .unwrap_err();
        assert_eq!(refused, "AccessDeniedException");
    }
    put(
        &world.chain(role().tag("team", "payments")).sdk_config(),
        &[b"x"],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn expired_source_credentials_are_an_expired_token() {
    let Some(world) = World::new().await else {
        return;
    };
    world
        .server
        .make_role(C, "Gate", &trusts(B), &allow("*"))
        .await;
    // This server allows sessions of one second; the crate does not, so an SDK client requests one.
    let sts = aws_sdk_sts::Client::new(&world.base);
    let gate = sts
        .assume_role()
        .role_arn("arn:aws:iam::333333333333:role/Gate")
        .role_session_name("short");
    let given = gate
        .duration_seconds(1)
        .send()
        .await
        .unwrap()
        .credentials
        .unwrap();
    let (id, secret) = (given.access_key_id, given.secret_access_key);
    let short = Credentials::new(id, secret, Some(given.session_token), None, "short");
    let base = world.server.config(short).await;
    world
        .server
        .make_role(A, "Open", &trusts(C), &allow("firehose:*"))
        .await;
    let chain = RoleChain::new(&base, Role::new("arn:aws:iam::222222222222:role/Open")).unwrap();

    chain.refresh().await.unwrap();
    let sts = aws_sdk_sts::Client::new(&base);
    let deadline = Instant::now() + Duration::from_secs(30);
    while sts.get_caller_identity().send().await.is_ok() {
        assert!(Instant::now() < deadline, "the session never expires");
    }
    let error = chain.refresh().await.unwrap_err();
    assert_eq!(error.code(), Some("ExpiredToken"), "{error}");
    assert!(error.is_transient(), "the source may renew them");
    assert_eq!(
        put(&base, &[b"x"]).await.unwrap_err(),
        "ExpiredTokenException"
    );
    // The session that was assumed before is still valid.
    chain.provide_credentials().await.unwrap();
    put(&chain.sdk_config(), &[b"x"]).await.unwrap();
}

/// A chain must outlive the runtime on which its connections were opened.
#[test]
fn a_chain_used_from_one_runtime_after_another_keeps_working() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let Some(world) = runtime().block_on(World::new()) else {
        return;
    };
    let chain = world.chain(Role::new(WRITER).external_id(EXTERNAL_ID));
    for _ in 0..3 {
        runtime().block_on(chain.refresh()).unwrap();
    }
}

#[tokio::test]
async fn the_put_records_example_puts_its_records_and_prints_its_caller() {
    let Some(world) = World::new().await else {
        return;
    };
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("put-records-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("records.ndjson");
    let lines: Vec<String> = (0..1234)
        .map(|i| format!("{{\"order\": {i}, \"item\": \"größe {i}\"}}\n"))
        .collect();
    std::fs::write(&file, lines.concat()).unwrap();
    let dead_letters = folder.join("dead");
    let run = |arguments: &[&str]| -> Said {
        let output = as_user(&world, "put_records")
            .args(["--role-arn", WRITER])
            .arg("--dead-letter")
            .arg(&dead_letters)
            .args(arguments)
            .arg(&file)
            .output()
            .unwrap();
        output.into()
    };

    let refused = run(&["--stream", STREAM, "--external-id", "wrong"]);
    assert!(
        !refused.ok && refused.err.contains("AccessDenied"),
        "{refused:?}"
    );
    assert!(
        !dead_letters.exists() && world.delivered().await.is_empty(),
        "nothing was read"
    );

    let nowhere = run(&["--stream", "missing", "--external-id", EXTERNAL_ID]);
    assert!(
        !nowhere.ok && nowhere.err.contains("missing"),
        "{nowhere:?}"
    );
    assert!(
        nowhere.out.contains("records: 0,") && nowhere.out.contains("failures: 1234,"),
        "{nowhere:?}"
    );
    assert_eq!(
        std::fs::read_to_string(&dead_letters).unwrap(),
        lines.concat(),
        "nothing is lost"
    );

    let sent = run(&[
        "--stream",
        STREAM,
        "--external-id",
        EXTERNAL_ID,
        "--session-name",
        "example",
    ]);
    assert!(sent.ok, "{sent:?}");
    let summary = "records: 1234, batches: 3, retries: 0, failures: 0, seconds: ";
    assert!(sent.out.starts_with(summary), "{sent:?}");
    let caller = "caller: arn:aws:sts::222222222222:assumed-role/FirehoseWriter/example\n";
    assert!(sent.out.ends_with(caller), "{sent:?}");
    let lines: BTreeSet<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
    assert_eq!(world.delivered().await, lines);
    std::fs::remove_dir_all(folder).unwrap();
}

/// An example that runs with the keys of the user in account B.
fn as_user(world: &World, name: &str) -> Command {
    let mut program = example(name);
    program
        .env("AWS_ACCESS_KEY_ID", world.keys.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", world.keys.secret_access_key())
        .args(["--region", REGION, "--endpoint-url", &world.server.url()]);
    program
}

#[tokio::test]
async fn the_records_of_each_tenant_reach_its_stream_or_are_reported_as_failed() {
    let Some(world) = World::new().await else {
        return;
    };
    let server = &world.server;
    server
        .make_role(B, "Hub", &trusts(B), &allow("sts:*"))
        .await;
    let may_put = allow("firehose:PutRecordBatch");
    let trust = trusts_with_external_id(B);
    server.make_role(C, "Writer", &trust, &may_put).await;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("tenants-e2e-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("records.ndjson"), "one\ntwo\n").unwrap();
    let customer = |name: &str, role: &str, external_id: &str| {
        serde_json::json!({
            "name": name, "role_arn": role, "external_id": external_id, "stream": STREAM,
            "region": REGION,
        })
    };
    let in_c = format!("arn:aws:iam::{C}:role/Writer");
    let customers = serde_json::json!([
        customer("good", WRITER, EXTERNAL_ID),
        customer("streamless", &in_c, EXTERNAL_ID),
        customer("stranger", WRITER, "wrong"),
        customer("ours", &format!("arn:aws:iam::{B}:role/Hub"), EXTERNAL_ID),
    ]);
    std::fs::write(folder.join("customers.json"), customers.to_string()).unwrap();
    // Once through a hub, and once with the user's own keys.
    for hub in [Some(format!("--hub-arn=arn:aws:iam::{B}:role/Hub")), None] {
        let output = as_user(&world, "tenants")
            .args(hub)
            .args(["--customers", "customers.json", "records.ndjson"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = Said::from(output);
        assert!(!said.ok && !said.out.contains(EXTERNAL_ID), "{said:?}");
        for (line, (counts, result)) in said.out.lines().skip(1).zip([
            ("good               2         0  ", "ok"),
            (
                "streamless         0         2  ",
                "ResourceNotFoundException",
            ),
            ("stranger           0         2  ", "AccessDenied"),
            ("ours               0         2  ", "invalid arn"),
            ("total              2         6  ", "1 of 4 ok"),
        ]) {
            assert!(
                line.starts_with(counts) && line.ends_with(result),
                "{line:?}"
            );
        }
        assert!(said.out.contains("must not be a role of account"));
        let [.., kept, unread] = said.out.lines().collect::<Vec<_>>()[..] else {
            panic!("{said:?}");
        };
        assert_eq!(kept, "  in ./streamless.dead-letter: 2");
        assert_eq!(unread, "  only in records.ndjson: 4, of 2 customer(s)");
    }
    let delivered = world.delivered().await;
    assert_eq!(
        delivered,
        BTreeSet::from([b"one\n".to_vec(), b"two\n".to_vec()])
    );
    std::fs::remove_dir_all(folder).unwrap();
}
