//! `role-chain setup-iam`, run as a user would, against ministack: the role works, a second run changes nothing, other
//! roles are left alone, and `--undo` removes everything.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_credential_types::Credentials;
use aws_sdk_iam::Client;
use common::example::{Said, put_records, without_settings};
use common::ministack::{Ministack, REGION};
use common::{EXTERNAL_ID, PROGRAM, USER, allow};

const ROLE: &str = "arn:aws:iam::222222222222:role/streams/FirehoseWriter";
const STREAM: &str = "arn:aws:firehose:us-east-1:222222222222:deliverystream/events";

struct World {
    server: Ministack,
    /// The endpoint that the program calls: the server, or a proxy in front of it.
    url: String,
    folder: PathBuf,
}

impl World {
    /// Creates the profiles `a` and `b` of the accounts' administrators, `a-reads` and `b-reads` of users that may only
    /// read IAM, and `orders` of the caller.
    async fn new(test: &str) -> Option<Self> {
        let server = Ministack::start()?;
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("setup-iam-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let url = server.url();
        let world = Self {
            server,
            url,
            folder,
        };
        let mut profiles = String::new();
        let mut add = |name: &str, keys: &Credentials| {
            let (id, secret) = (keys.access_key_id(), keys.secret_access_key());
            profiles += &format!(
                "[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\nregion = {REGION}\n"
            );
        };
        let reads = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Action": ["iam:Get*", "iam:List*"], "Resource": "*"}}"#;
        for (profile, account) in [("a", "222222222222"), ("b", "111111111111")] {
            let administrator = Credentials::new(account, "test", None, None, "administrator");
            add(profile, &administrator);
            let reader = world.user(account, "reader", Some(reads)).await;
            add(&format!("{profile}-reads"), &reader);
        }
        add("orders", &world.user("111111111111", "orders", None).await);
        std::fs::write(world.folder.join("credentials"), profiles).unwrap();
        Some(world)
    }

    async fn iam(&self, account: &str) -> Client {
        Client::new(&self.server.administrator(account).await)
    }

    async fn user(&self, account: &str, name: &str, policy: Option<&str>) -> Credentials {
        let iam = self.iam(account).await;
        iam.create_user().user_name(name).send().await.unwrap();
        if let Some(policy) = policy {
            let put = iam.put_user_policy().user_name(name).policy_name("own");
            put.policy_document(policy).send().await.unwrap();
        }
        let key = iam.create_access_key().user_name(name).send().await;
        let key = key.unwrap().access_key.unwrap();
        Credentials::new(key.access_key_id, key.secret_access_key, None, None, "user")
    }

    /// Runs the program for `ROLE` and `USER`, with these administrators' profiles.
    fn run(&self, (role, caller): (&str, &str), more: &[&str]) -> Said {
        self.run_for(ROLE, role, &[&["--caller-profile", caller], more].concat())
    }

    fn run_for(&self, role_arn: &str, role_profile: &str, more: &[&str]) -> Said {
        self.run_as(USER, role_arn, role_profile, more)
    }

    fn run_as(&self, caller: &str, role_arn: &str, role_profile: &str, more: &[&str]) -> Said {
        let mut program = self.program(caller, role_arn, role_profile, more);
        program.output().unwrap().into()
    }

    fn program(&self, caller: &str, role_arn: &str, role_profile: &str, more: &[&str]) -> Command {
        // Add a stream unless an option excludes or replaces it.
        let account = role_arn.split(':').nth(4).unwrap_or("222222222222");
        let names = |option| more.contains(&option);
        let others = [
            "--undo",
            "--trust-only",
            "--stream",
            "--bucket",
            "--permissions-file",
        ];
        let stream: &[_] = if others.into_iter().any(names) {
            &[]
        } else {
            &["--stream", &STREAM.replace("222222222222", account)]
        };
        let mut program = without_settings(PROGRAM);
        program
            .arg("setup-iam")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env(
                "AWS_SHARED_CREDENTIALS_FILE",
                self.folder.join("credentials"),
            )
            .args(["--role-arn", role_arn, "--caller", caller])
            .args(["--role-profile", role_profile, "--external-id", EXTERNAL_ID])
            .args(["--endpoint-url", &self.url])
            .args(stream)
            .args(more);
        program
    }

    /// Lists everything in IAM that the program might change.
    async fn held(&self) -> Vec<String> {
        let mut held = Vec::new();
        for account in ["111111111111", "222222222222"] {
            let iam = self.iam(account).await;
            for role in iam.list_roles().send().await.unwrap().roles {
                let trust = role.assume_role_policy_document().unwrap_or_default();
                held.push(format!("{} {trust}", role.arn));
                let policies = iam.list_role_policies().role_name(role.role_name());
                for policy in policies.send().await.unwrap().policy_names {
                    held.push(format!("{} {policy}", role.arn));
                }
            }
            for user in iam.list_users().send().await.unwrap().users {
                let policies = iam.list_user_policies().user_name(user.user_name());
                for policy in policies.send().await.unwrap().policy_names {
                    held.push(format!("{} {policy}", user.arn));
                }
            }
        }
        held
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A failure is ignored: the folder is in Cargo's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn it_sets_up_once_changes_nothing_twice_and_leaves_nothing() {
    let Some(world) = World::new("whole").await else {
        return;
    };
    let before = world.held().await;

    // Readers cannot change IAM, so their dry run proves that it makes no such call.
    let dry = world.run(("a-reads", "b-reads"), &["--dry-run"]);
    assert!(dry.ok, "{dry:?}");
    for part in [
        "aws iam create-role --profile 'a-reads' --role-name 'FirehoseWriter' --path '/streams/' \
         --assume-role-policy-document '{\"Version\":\"2012-10-17\",",
        "aws iam put-role-policy --profile 'a-reads' --role-name 'FirehoseWriter'",
        "aws iam put-user-policy --profile 'b-reads' --user-name 'orders'",
        "to be changed: 3",
        "\"sts:ExternalId\": \"c0ffee-external-id\"",
    ] {
        assert!(dry.out.contains(part), "{part}: {dry:?}");
    }
    assert_eq!(world.held().await, before);
    let refused = world.run(("a-reads", "b-reads"), &[]);
    assert!(
        !refused.ok
            && refused.err.contains("create-role for")
            && refused.err.contains("AccessDenied"),
        "{refused:?}"
    );

    let made = world.run(("a", "b"), &["--try-profile", "orders"]);
    assert!(made.ok, "{made:?}");
    assert!(
        made.out.contains("changed: 3\n") && made.out.contains("works: assumed 3 times in a row"),
        "{made:?}"
    );
    assert!(
        made.out
            .ends_with(&format!("role: {ROLE}\ncaller: {USER}\n")),
        "{made:?}"
    );

    let again = world.run(("a-reads", "b-reads"), &["--try-profile", "orders"]);
    assert!(
        again.ok && again.out.contains("\nno change\nworks: "),
        "{again:?}"
    );

    // Only the differences are changed.
    let other = world.run(("a", "b"), &["--tag", "team=payments"]);
    assert!(other.ok && other.out.contains("changed: 2\n"), "{other:?}");
    let back = world.run(("a", "b"), &[]);
    assert!(back.ok && back.out.contains("changed: 2\n"), "{back:?}");

    put_what_it_made_to_use(&world).await;

    let undone = world.run(("a", "b"), &["--undo"]);
    assert!(
        undone.ok && undone.out.ends_with("changed: 3\n"),
        "{undone:?}"
    );
    assert_eq!(world.held().await, before);
    let again = world.run(("a-reads", "b-reads"), &["--undo"]);
    assert!(
        again.ok && again.out.ends_with("\nno change\n"),
        "{again:?}"
    );
}

/// Runs the example `put_records` as the caller.
async fn put_what_it_made_to_use(world: &World) {
    let administrator = world.server.administrator("222222222222").await;
    let s3 = aws_sdk_s3::config::Builder::from(&administrator).force_path_style(true);
    let s3 = aws_sdk_s3::Client::from_conf(s3.build());
    s3.create_bucket().bucket("a-events").send().await.unwrap();
    let destination = aws_sdk_firehose::types::ExtendedS3DestinationConfiguration::builder()
        .role_arn("arn:aws:iam::222222222222:role/Delivery")
        .bucket_arn("arn:aws:s3:::a-events")
        .build()
        .unwrap();
    aws_sdk_firehose::Client::new(&administrator)
        .create_delivery_stream()
        .delivery_stream_name("events")
        .extended_s3_destination_configuration(destination)
        .send()
        .await
        .unwrap();
    let records = world.folder.join("records");
    std::fs::write(&records, "one\ntwo\n").unwrap();
    let said = Said::from(
        put_records()
            .env(
                "AWS_SHARED_CREDENTIALS_FILE",
                world.folder.join("credentials"),
            )
            .args([
                "--profile",
                "orders",
                "--stream",
                "events",
                "--role-arn",
                ROLE,
            ])
            .args([
                "--external-id",
                EXTERNAL_ID,
                "--endpoint-url",
                &world.server.url(),
            ])
            .arg("--dead-letter")
            .arg(world.folder.join("dead"))
            .arg(records)
            .output()
            .unwrap(),
    );
    assert!(
        said.ok && said.out.contains("records: 2, batches: 1,"),
        "{said:?}"
    );
    let listed = s3
        .list_objects_v2()
        .bucket("a-events")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.contents().len(), 2);
}

#[tokio::test]
async fn a_role_that_it_did_not_make_is_left_alone() {
    let Some(world) = World::new("foreign").await else {
        return;
    };
    let iam = world.iam("222222222222").await;
    let create = iam
        .create_role()
        .role_name("FirehoseWriter")
        .path("/streams/");
    create
        .assume_role_policy_document(common::trusts("222222222222"))
        .send()
        .await
        .unwrap();
    let before = world.held().await;
    for more in [&[][..], &["--dry-run"]] {
        let refused = world.run(("a", "b"), more);
        assert!(
            !refused.ok && refused.err.contains("this program did not create it"),
            "{refused:?}"
        );
        assert_eq!(world.held().await, before);
    }
    let taken = world.run(("a", "b"), &["--take-over", "--try-profile", "orders"]);
    assert!(taken.ok && taken.out.contains("changed: 3\n"), "{taken:?}");
    let replaced = format!(
        "the trust policy of {ROLE} is replaced. It was:\n{}\n",
        common::trusts("222222222222")
    );
    assert!(taken.err.contains(&replaced), "{taken:?}");
    let again = world.run(("a-reads", "b-reads"), &[]);
    assert!(again.ok && again.out.contains("\nno change\n"), "{again:?}");
    // Its inline policies are deleted, but not the role, and the owner must replace the trust policy.
    let undone = world.run(("a", "b"), &["--undo"]);
    assert!(
        !undone.ok && undone.out.ends_with("changed: 2\n"),
        "{undone:?}"
    );
    assert!(
        undone.err.contains(&format!("{ROLE} is not deleted: "))
            && undone
                .err
                .contains(&format!("still lets {USER} assume the role")),
        "{undone:?}"
    );
    let update = iam.update_assume_role_policy().role_name("FirehoseWriter");
    let update = update.policy_document(common::trusts("222222222222"));
    update.send().await.unwrap();
    let undone = world.run(("a", "b"), &["--undo"]);
    assert!(
        undone.ok && undone.out.ends_with("\nno change\n"),
        "{undone:?}"
    );
    assert_eq!(world.held().await, before);
}

#[tokio::test]
async fn a_role_made_for_one_caller_is_not_taken_by_another() {
    let Some(world) = World::new("two").await else {
        return;
    };
    const SECOND: &str = "arn:aws:iam::111111111111:user/refunds";
    world.user("111111111111", "refunds", None).await;
    let before = world.held().await;
    let second = |more: &[&str]| {
        let more = [&["--caller-profile", "b"], more].concat();
        world.run_as(SECOND, ROLE, "a", &more)
    };
    // The principal is the account with a condition, or the caller.
    for how in [&[][..], &["--exact"]] {
        let made = world.run(("a", "b"), how);
        assert!(made.ok && made.err.is_empty(), "{made:?}");
        let held = world.held().await;
        for (more, why) in [
            (how, "to change it anyway, use --take-over"),
            (&["--dry-run"], "to change it anyway, use --take-over"),
            (&["--undo"], "use the --caller that it is for"),
        ] {
            let refused = second(more);
            assert!(!refused.ok && refused.err.contains(why), "{refused:?}");
            assert!(refused.err.contains(SECOND), "{refused:?}");
            assert_eq!(world.held().await, held);
        }
        let undone = world.run(("a", "b"), &["--undo"]);
        assert!(undone.ok, "{undone:?}");
        assert_eq!(world.held().await, before);
    }
    assert!(world.run(("a", "b"), &[]).ok);
    let taken = second(&["--take-over"]);
    assert!(taken.ok && taken.out.contains("changed: 2\n"), "{taken:?}");
    let (_, replaced) = taken.err.split_once(" is replaced. It was:\n").unwrap();
    assert!(
        replaced.contains(USER) && !replaced.contains(SECOND),
        "{taken:?}"
    );
}

#[tokio::test]
async fn a_role_in_an_instance_profile_is_left_whole() {
    let Some(world) = World::new("instance").await else {
        return;
    };
    assert!(world.run(("a", "b"), &[]).ok);
    let iam = world.iam("222222222222").await;
    let create = iam.create_instance_profile().instance_profile_name("web");
    create.send().await.unwrap();
    let add = iam
        .add_role_to_instance_profile()
        .instance_profile_name("web");
    add.role_name("FirehoseWriter").send().await.unwrap();
    let before = world.held().await;
    let refused = world.run(("a", "b"), &["--undo"]);
    assert!(
        !refused.ok && refused.err.contains("is in instance profiles: web"),
        "{refused:?}"
    );
    assert_eq!(world.held().await, before);
    let remove = iam
        .remove_role_from_instance_profile()
        .instance_profile_name("web");
    remove.role_name("FirehoseWriter").send().await.unwrap();
    assert!(world.run(("a", "b"), &["--undo"]).ok);
}

#[tokio::test]
async fn a_bucket_may_be_given_by_its_name() {
    let Some(world) = World::new("bucket").await else {
        return;
    };
    let by_name = world.run(("a", "b"), &["--bucket", "reports"]);
    assert!(by_name.ok, "{by_name:?}");
    let by_arn = world.run(("a", "b"), &["--bucket", "arn:aws:s3:::reports"]);
    assert!(by_arn.out.contains("\nno change\n"), "{by_arn:?}");
}

#[tokio::test]
async fn namesakes_of_the_caller_are_not_the_caller() {
    let Some(world) = World::new("namesake").await else {
        return;
    };
    // A user of the same name in the role's account, and a session of a role of the same name.
    let keys = world.user("222222222222", "orders", None).await;
    let iam = world.iam("111111111111").await;
    let create = iam.create_role().role_name("orders");
    let create = create.assume_role_policy_document(common::trusts("111111111111"));
    create.send().await.unwrap();
    let administrator = world.server.administrator("111111111111").await;
    let assume = aws_sdk_sts::Client::new(&administrator).assume_role();
    let assume = assume.role_arn("arn:aws:iam::111111111111:role/orders");
    let session = assume.role_session_name("s").send().await.unwrap();
    let session = session.credentials.unwrap();
    let profiles = std::fs::read_to_string(world.folder.join("credentials")).unwrap();
    let profile = |name: &str, id: &str, secret: &str, token: &str| {
        format!(
            "[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n{token}region = {REGION}\n"
        )
    };
    let namesake = profile(
        "namesake",
        keys.access_key_id(),
        keys.secret_access_key(),
        "",
    );
    let token = format!("aws_session_token = {}\n", session.session_token);
    let session = profile(
        "session",
        &session.access_key_id,
        &session.secret_access_key,
        &token,
    );
    std::fs::write(
        world.folder.join("credentials"),
        profiles + &namesake + &session,
    )
    .unwrap();
    let before = world.held().await;
    for (name, is) in [
        ("namesake", "arn:aws:iam::222222222222:user/orders"),
        ("session", "arn:aws:sts::111111111111:assumed-role/orders/s"),
    ] {
        let refused = world.run(("a", "b"), &["--try-profile", name]);
        let why = format!("--try-profile {name} is {is}, not {USER}");
        assert!(
            !refused.ok && refused.err.contains(&why),
            "{why}: {refused:?}"
        );
    }
    assert_eq!(world.held().await, before);
    // For the role as the caller, its session is the caller.
    let role = "arn:aws:iam::111111111111:role/orders";
    let more = ["--caller-profile", "b", "--try-profile", "session"];
    let dry = world.run_as(role, ROLE, "a", &[&more[..], &["--dry-run"]].concat());
    assert!(dry.ok, "{dry:?}");
}

#[tokio::test]
async fn a_role_with_more_policies_than_it_made_is_not_deleted() {
    let Some(world) = World::new("more").await else {
        return;
    };
    assert!(world.run(("a", "b"), &[]).ok);
    let iam = world.iam("222222222222").await;
    let put = iam
        .put_role_policy()
        .role_name("FirehoseWriter")
        .policy_name("theirs");
    put.policy_document(allow("s3:*")).send().await.unwrap();
    let before = world.held().await;
    let refused = world.run(("a", "b"), &["--undo"]);
    assert!(
        !refused.ok && refused.err.contains("did not create: theirs"),
        "{refused:?}"
    );
    assert_eq!(world.held().await, before);
}

#[tokio::test]
async fn a_switch_of_roles_within_an_account_is_set_up_too() {
    let Some(world) = World::new("switch").await else {
        return;
    };
    let role = "arn:aws:iam::111111111111:role/Elevated";
    let made = world.run_for(role, "b", &["--try-profile", "orders"]);
    assert!(made.ok && made.out.contains("changed: 3\n"), "{made:?}");
    assert!(made.out.contains("works"), "{made:?}");
    // A caller that is the principal in its own account needs no permission policy: the existing one is deleted.
    let exact = world.run_for(role, "b", &["--exact", "--dry-run"]);
    assert!(
        exact.ok
            && exact.out.contains("delete-user-policy")
            && exact.out.contains("to be changed: 2"),
        "{exact:?}"
    );
    let undone = world.run_for(role, "b", &["--undo"]);
    assert!(
        undone.ok && undone.out.ends_with("changed: 3\n"),
        "{undone:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_is_said_before_anything_is_changed() {
    let Some(world) = World::new("wrong").await else {
        return;
    };
    let before = world.held().await;
    for (said, reason) in [
        (
            world.run(("b", "a"), &[]),
            "--role-profile b is arn:aws:iam::111111111111:root, in account 111111111111, but \
             arn:aws:iam::222222222222:role/streams/FirehoseWriter is in account 222222222222",
        ),
        (
            world.run(("a", "a"), &[]),
            "--caller-profile a is arn:aws:iam::222222222222:root, in account 222222222222, but \
             arn:aws:iam::111111111111:user/orders is in account 111111111111",
        ),
        (
            world.run(("a", "nobody"), &[]),
            "--caller-profile nobody: invalid profile nobody: profile: the profile does not exist",
        ),
        (
            world.run(("a", "b"), &["--tag", "team"]),
            "invalid value 'team' for '--tag <KEY=VALUE>': must be KEY=VALUE",
        ),
        (world.run(("a", "b"), &["--tag", "aws:team=x"]), "aws:"),
        (
            world.run_for(ROLE, "a", &[]),
            "use --caller-profile for an administrator of the caller's account",
        ),
        (
            world.run_as(ROLE, ROLE, "a", &[]),
            "--caller must not be --role-arn itself",
        ),
        (
            world.run(
                ("a", "b"),
                &["--stream", &STREAM.replace("222222222222", "111111111111")],
            ),
            "deliverystream/events: must be in the role's account",
        ),
        (
            world.run(
                ("a", "b"),
                &["--stream", &STREAM.replace("arn:aws:", "arn:aws-cn:")],
            ),
            "deliverystream/events: must be in the role's account",
        ),
        (
            world.run(("a", "b"), &["--bucket", "re ports"]),
            "--bucket or --prefix: ",
        ),
        (
            world.run(("a", "b"), &["--bucket", "arn:aws-cn:s3:::reports"]),
            "--bucket arn:aws-cn:s3:::reports: must be in the role's partition",
        ),
        (
            world.run(
                ("a", "b"),
                &["--attach-policy-arn", "arn:aws:iam::111111111111:policy/X"],
            ),
            "policy/X: must be an AWS managed policy, or one of the role's account",
        ),
        (
            world.run(
                ("a", "b"),
                &["--attach-policy-arn", "arn:aws-cn:iam::aws:policy/X"],
            ),
            "policy/X: must be an AWS managed policy, or one of the role's account",
        ),
        (
            world.run(("a", "b"), &["--try-profile", "b-reads"]),
            "--try-profile b-reads is arn:aws:iam::111111111111:user/reader, not",
        ),
        (
            world.run_for("FirehoseWriter", "a", &["--caller-profile", "b"]),
            "must be a role's ARN",
        ),
    ] {
        assert!(!said.ok && said.err.contains(reason), "{reason}: {said:?}");
    }
    assert_eq!(world.held().await, before);
}

#[tokio::test]
async fn a_caller_at_another_path_is_not_there() {
    let Some(world) = World::new("path").await else {
        return;
    };
    let iam = world.iam("111111111111").await;
    let create = iam.create_role().role_name("app").path("/team/");
    let create = create.assume_role_policy_document(common::trusts("111111111111"));
    create.send().await.unwrap();
    let before = world.held().await;
    for caller in [
        "arn:aws:iam::111111111111:role/app",
        "arn:aws:iam::111111111111:user/team/orders",
    ] {
        let refused = world.run_as(caller, ROLE, "a", &["--caller-profile", "b"]);
        let why =
            format!("error: --caller {caller}: there is no user or role with this path and name");
        assert!(
            !refused.ok && refused.err.contains(&why),
            "{why}: {refused:?}"
        );
    }
    assert_eq!(world.held().await, before);
    let found = "arn:aws:iam::111111111111:role/team/app";
    let dry = world.run_as(found, ROLE, "a", &["--caller-profile", "b", "--dry-run"]);
    assert!(dry.ok, "{dry:?}");
}

#[tokio::test]
async fn what_was_removed_by_a_call_whose_answer_was_lost_is_removed() {
    let Some(mut world) = World::new("lost").await else {
        return;
    };
    for action in ["DeleteUserPolicy", "DeleteRolePolicy", "DeleteRole"] {
        assert!(world.run(("a", "b"), &[]).ok);
        world.url = loses_an_answer(world.server.port(), action);
        let undone = world.run(("a", "b"), &["--undo"]);
        assert!(
            undone.ok && undone.out.ends_with("changed: 3\n"),
            "{action}: {undone:?}"
        );
    }
}

/// Starts a proxy in front of a server that loses the first response to an action of IAM. Returns its URL.
fn loses_an_answer(port: u16, action: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, is_lost) = (
        format!("Action={action}&"),
        Arc::new(AtomicBool::new(false)),
    );
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, asked, is_lost) = (client.unwrap(), asked.clone(), is_lost.clone());
            std::thread::spawn(move || {
                let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let mut answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let loses = Arc::new(AtomicBool::new(false));
                let is_next_lost = loses.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 * 1024];
                    while let Ok(read @ 1..) = answers.0.read(&mut buffer) {
                        let is_lost = is_next_lost.load(Ordering::SeqCst);
                        if is_lost || answers.1.write_all(&buffer[..read]).is_err() {
                            break;
                        }
                    }
                    let _ = answers.1.shutdown(Shutdown::Both);
                });
                let mut buffer = [0; 16 * 1024];
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    if text.contains(&asked) && !is_lost.swap(true, Ordering::SeqCst) {
                        loses.store(true, Ordering::SeqCst);
                    }
                    if server.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    url
}

#[tokio::test]
async fn it_says_who_it_is_on_both_sides_and_environment_variables_do_not_change_that() {
    let Some(world) = World::new("identity").await else {
        return;
    };
    let keys = world.user("222222222222", "someone-else", None).await;
    let output = world
        .program(
            USER,
            ROLE,
            "a-reads",
            &["--caller-profile", "b-reads", "--dry-run"],
        )
        .env("AWS_ACCESS_KEY_ID", keys.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", keys.secret_access_key())
        .env("AWS_PROFILE", "a")
        .output();
    let said = Said::from(output.unwrap());
    assert!(said.ok, "{said:?}");
    let both = "identity for the role's account: arn:aws:iam::222222222222:user/reader\n\
                identity for the caller's account: arn:aws:iam::111111111111:user/reader\n";
    assert!(said.out.starts_with(both), "{said:?}");
}

#[tokio::test]
async fn trust_may_be_set_up_alone() {
    let Some(world) = World::new("trust").await else {
        return;
    };
    let before = world.held().await;
    let made = world.run(("a", "b"), &["--trust-only", "--try-profile", "orders"]);
    assert!(
        made.ok && made.out.contains("changed: 2\n") && made.out.contains("works"),
        "{made:?}"
    );
    // --trust-only did not set up the role's permissions.
    assert!(world.run(("a", "b"), &[]).out.contains("changed: 1\n"));
    let again = world.run(("a-reads", "b-reads"), &["--trust-only"]);
    assert!(again.ok && again.out.contains("\nno change\n"), "{again:?}");
    let undone = world.run(("a", "b"), &["--undo"]);
    assert!(undone.ok, "{undone:?}");
    assert_eq!(world.held().await, before);
}

#[tokio::test]
async fn managed_policies_and_a_document_of_ones_own_are_set_up_and_undone() {
    let Some(world) = World::new("own").await else {
        return;
    };
    let before = world.held().await;
    let iam = world.iam("222222222222").await;
    let create = iam.create_policy().policy_name("Managed");
    let create = create.policy_document(allow("s3:*")).send().await.unwrap();
    let managed = create.policy.unwrap().arn.unwrap();
    let file = world.folder.join("permissions.json");
    // With a byte order mark, as some editors on Windows save it.
    std::fs::write(&file, format!("\u{feff}{}", allow("firehose:*"))).unwrap();
    let file = file.to_str().unwrap();
    let own = ["--permissions-file", file, "--attach-policy-arn", &managed];

    let dry = world.run(("a-reads", "b-reads"), &[&own[..], &["--dry-run"]].concat());
    let command = format!(
        "aws iam attach-role-policy --profile 'a-reads' --role-name 'FirehoseWriter' --policy-arn '{managed}'"
    );
    assert!(dry.ok && dry.out.contains(&command), "{dry:?}");
    let made = world.run(("a", "b"), &own);
    assert!(made.ok && made.out.contains("changed: 4\n"), "{made:?}");
    let list = iam
        .list_attached_role_policies()
        .role_name("FirehoseWriter");
    let attached = list.send().await.unwrap();
    assert_eq!(
        attached.attached_policies()[0].policy_arn(),
        Some(&*managed)
    );
    let again = world.run(("a-reads", "b-reads"), &own);
    assert!(again.ok && again.out.contains("\nno change\n"), "{again:?}");

    let held = world.held().await;
    let refused = world.run(("a", "b"), &["--undo"]);
    assert!(
        !refused.ok
            && refused
                .err
                .contains(&format!("that is to be detached: {managed}")),
        "{refused:?}"
    );
    assert_eq!(world.held().await, held);
    let undone = world.run(("a", "b"), &["--undo", "--attach-policy-arn", &managed]);
    assert!(
        undone.ok && undone.out.ends_with("changed: 4\n"),
        "{undone:?}"
    );
    assert_eq!(world.held().await, before);

    for (text, why) in [
        ("{", "permissions.json: must be JSON"),
        ("[]", "permissions.json: must be a policy"),
    ] {
        std::fs::write(file, text).unwrap();
        let said = world.run(("a", "b"), &["--permissions-file", file]);
        assert!(!said.ok && said.err.contains(why), "{said:?}");
    }
    let said = world.run(
        ("a", "b"),
        &["--trust-only", "--attach-policy-arn", "ReadOnlyAccess"],
    );
    assert!(
        !said.ok && said.err.contains("must be the ARN of a managed policy"),
        "{said:?}"
    );
    assert_eq!(world.held().await, before);
}
