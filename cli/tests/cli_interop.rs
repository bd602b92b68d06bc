//! The real AWS CLI and boto3 beside this crate, against a third-party server: they share the configuration and the
//! cache, and pass credentials to each other.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use aws_credential_types::Credentials;
use common::example::{Said, built, without_settings};
use common::ministack::{Ministack, REGION};
use common::proxy::Proxy;
use common::{EXTERNAL_ID, PROGRAM, pypi, trusts_with_external_id};
use serde_json::Value;

const A: &str = "222222222222";
const B: &str = "111111111111";
const READER: &str = "arn:aws:iam::222222222222:role/Reader";
const BUCKET: &str = "a-reports";
const STREAM: &str = "events";
const SERIAL: &str = "arn:aws:iam::111111111111:mfa/ada";

/// Versions of the AWS CLI and boto3 that were released together.
const AWSCLI: [(&str, &str); 2] = [("awscli", "1.45.11"), ("boto3", "1.43.11")];

fn cli() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| pypi::program_of("aws", &AWSCLI))
        .clone()
}

/// Account A's bucket and stream, its role that may read and put there, account B's user who may assume that role, and
/// a home folder with profiles.
struct World {
    server: Ministack,
    proxy: Proxy,
    cli: PathBuf,
    home: PathBuf,
    keys: Credentials,
}

impl World {
    async fn new(name: &str) -> Option<Self> {
        let cli = cli()?;
        let server = Ministack::start()?;
        let may_assume = r#"{"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
        let keys = server.make_user(B, "orders", may_assume).await;
        let may = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Action": ["s3:ListBucket", "firehose:PutRecord"], "Resource": "*"}}"#;
        let trust = trusts_with_external_id(B);
        server.make_role(A, "Reader", &trust, may).await;
        server.make_stream(A, STREAM, "a-events").await;
        let s3 = server.s3(A).await;
        s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        let body = aws_sdk_s3::primitives::ByteStream::from_static(b"11 bytes...");
        let put = s3.put_object().bucket(BUCKET).key("2026/orders.csv");
        put.body(body).send().await.unwrap();

        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{name}"));
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(home.join(".aws")).unwrap();
        let role = format!(
            "role_arn = {READER}\nsource_profile = b\nexternal_id = {EXTERNAL_ID}\nregion = {REGION}\n"
        );
        let keys_json = home.join("keys.json");
        let printed = serde_json::json!({
            "Version": 1,
            "AccessKeyId": keys.access_key_id(),
            "SecretAccessKey": keys.secret_access_key(),
        });
        std::fs::write(&keys_json, printed.to_string()).unwrap();
        let print = if cfg!(windows) { "cmd /c type" } else { "cat" };
        let keys_process = format!("{print} {}", keys_json.display());
        let process = format!("{PROGRAM} credential-process");
        let config = format!(
            "[profile reader]\n{role}\
             [profile full]\n{role}role_session_name = orders\nduration_seconds = 1800\nmfa_serial = {SERIAL}\n\
             [profile process]\ncredential_process = {process} --profile reader --cli-cache\nregion = {REGION}\n\
             [profile environment]\nrole_arn = {READER}\ncredential_source = Environment\nexternal_id = {EXTERNAL_ID}\nregion = {REGION}\n\
             [profile container]\nrole_arn = {READER}\ncredential_source = EcsContainer\nexternal_id = {EXTERNAL_ID}\nregion = {REGION}\n\
             [profile itself]\ncredential_process = {process} --role-arn {READER} --external-id {EXTERNAL_ID}\n\
             [profile wrong]\nrole_arn = {READER}\nsource_profile = b\nregion = {REGION}\n\
             [profile by-process]\nrole_arn = {READER}\nsource_profile = keys\nexternal_id = {EXTERNAL_ID}\nregion = {REGION}\n\
             [profile keys]\ncredential_process = {keys_process}\n"
        );
        std::fs::write(home.join(".aws/config"), config).unwrap();
        let credentials = format!(
            "[b]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            keys.access_key_id(),
            keys.secret_access_key()
        );
        std::fs::write(home.join(".aws/credentials"), credentials).unwrap();
        let proxy = Proxy::to(server.port());
        Some(Self {
            server,
            proxy,
            cli,
            home,
            keys,
        })
    }

    /// Returns a command in this home, without AWS environment variables except the endpoint.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = without_settings(program);
        command
            .env("HOME", &self.home)
            .env("USERPROFILE", &self.home)
            .env("AWS_ENDPOINT_URL", self.proxy.url())
            .stdin(Stdio::null());
        command
    }

    fn aws(&self, arguments: &[&str]) -> Said {
        self.command(&self.cli)
            .args(arguments)
            .output()
            .unwrap()
            .into()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.command(PROGRAM)
            .args(arguments)
            .output()
            .unwrap()
            .into()
    }

    /// Returns how often a role was assumed.
    fn assumed(&self) -> usize {
        self.proxy.calls("AssumeRole")
    }
}

fn json(said: &Said) -> Value {
    assert!(said.ok, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[tokio::test]
async fn what_the_cli_fetched_serves_the_program() {
    let Some(world) = World::new("cli-first").await else {
        return;
    };
    let who = json(&world.aws(&["sts", "get-caller-identity", "--profile", "reader"]));
    assert!(
        who["Arn"]
            .as_str()
            .unwrap()
            .contains("assumed-role/Reader/botocore-session-")
    );
    assert_eq!(world.assumed(), 1);
    let given = json(&world.run(&["credential-process", "--profile", "reader", "--cli-cache"]));
    assert_eq!(world.assumed(), 1);
    let cache = world.home.join(".aws/cli/cache");
    let entry = std::fs::read_dir(cache).unwrap().find_map(|file| {
        let file = file.unwrap().path();
        (file.extension()? == "json").then(|| std::fs::read(file).unwrap())
    });
    let entry: Value = serde_json::from_slice(&entry.unwrap()).unwrap();
    assert_eq!(given["AccessKeyId"], entry["Credentials"]["AccessKeyId"]);
    // Without --cli-cache, the program assumes the role itself.
    let own = json(&world.run(&["credential-process", "--profile", "reader"]));
    assert_ne!(own["AccessKeyId"], given["AccessKeyId"]);
    assert_eq!(world.assumed(), 2);
}

#[tokio::test]
async fn what_the_program_fetched_serves_the_cli() {
    let Some(world) = World::new("program-first").await else {
        return;
    };
    let process = ["credential-process", "--profile", "reader", "--cli-cache"];
    json(&world.run(&process));
    assert_eq!(world.assumed(), 1);
    let who = json(&world.aws(&["sts", "get-caller-identity", "--profile", "reader"]));
    assert!(
        who["Arn"].as_str().unwrap().contains("/role-chain-"),
        "{who}"
    );
    assert_eq!(world.assumed(), 1);
}

#[tokio::test]
async fn one_code_serves_the_cli_and_the_program() {
    let Some(world) = World::new("code").await else {
        return;
    };
    let mut cli = world
        .command(&world.cli)
        .args(["sts", "get-caller-identity", "--profile", "full"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The server accepts any code; without a terminal, the CLI reads it from stdin.
    cli.stdin.take().unwrap().write_all(b"123456\n").unwrap();
    let said = Said::from(cli.wait_with_output().unwrap());
    assert!(said.ok && said.err.contains(SERIAL), "{said:?}");
    assert_eq!(world.assumed(), 1);
    // Without a terminal, no code can be asked for, and none is needed.
    json(&world.run(&["credential-process", "--profile", "full", "--cli-cache"]));
    assert_eq!(world.assumed(), 1);
    let said = world.run(&["credential-process", "--profile", "full"]);
    assert!(!said.ok && said.err.contains("no MFA code"), "{said:?}");
}

#[tokio::test]
async fn the_cli_and_boto3_use_the_program_as_a_credential_process() {
    let Some(world) = World::new("process").await else {
        return;
    };
    let bucket = format!("s3://{BUCKET}");
    let said = world.aws(&["s3", "ls", &bucket, "--recursive", "--profile", "process"]);
    assert!(said.ok && said.out.contains("2026/orders.csv"), "{said:?}");
    assert_eq!(world.assumed(), 1);

    let script = format!(
        "import boto3\n\
         firehose = boto3.Session(profile_name='process').client('firehose')\n\
         firehose.put_record(DeliveryStreamName='{STREAM}', Record={{'Data': b'from boto3'}})\n"
    );
    let python = world.cli.with_file_name(if cfg!(windows) {
        "python.exe"
    } else {
        "python"
    });
    let said = Said::from(
        world
            .command(python)
            .args(["-c", &script])
            .output()
            .unwrap(),
    );
    assert!(said.ok, "{said:?}");
    assert_eq!(world.assumed(), 1, "the same session, from the cache");
    let s3 = world.server.s3(A).await;
    let delivered = s3
        .list_objects_v2()
        .bucket("a-events")
        .send()
        .await
        .unwrap();
    let key = delivered.contents()[0].key().unwrap();
    let object = s3
        .get_object()
        .bucket("a-events")
        .key(key)
        .send()
        .await
        .unwrap();
    let bytes = object.body.collect().await.unwrap().to_vec();
    assert_eq!(bytes, b"from boto3");
}

#[cfg(unix)]
#[tokio::test]
async fn a_shell_evaluates_what_is_exported() {
    let Some(world) = World::new("export").await else {
        return;
    };
    let script = format!(
        "eval \"$({PROGRAM} export --profile reader)\" && {} sts get-caller-identity --region {REGION}",
        world.cli.display()
    );
    let who = json(&Said::from(
        world.command("sh").args(["-c", &script]).output().unwrap(),
    ));
    assert!(
        who["Arn"]
            .as_str()
            .unwrap()
            .contains("assumed-role/Reader/")
    );

    let said = world.run(&["export", "--profile", "reader", "--shell", "powershell"]);
    let names: Vec<_> = said
        .out
        .lines()
        .map(|line| line.split(" = '").next().unwrap())
        .collect();
    let expected = [
        "$Env:AWS_ACCESS_KEY_ID",
        "$Env:AWS_SECRET_ACCESS_KEY",
        "$Env:AWS_SESSION_TOKEN",
        "$Env:AWS_CREDENTIAL_EXPIRATION",
    ];
    assert_eq!(names, expected);
    assert!(said.out.lines().all(|line| line.ends_with('\'')));
}

#[tokio::test]
async fn chains_come_from_arguments_too() {
    let Some(world) = World::new("arguments").await else {
        return;
    };
    let arguments = [
        "credential-process",
        "--role-arn",
        READER,
        "--source-profile",
        "b",
        "--external-id",
        EXTERNAL_ID,
        "--session-name",
        "me",
        "--duration",
        "900",
        "--region",
        REGION,
    ];
    let given = json(&world.run(&arguments));
    assert_eq!(given["Version"], 1);
    assert_eq!(given["AccountId"], A);
    assert!(given["Expiration"].as_str().unwrap().ends_with('Z'));

    // A program that a profile's credential_process runs does not read that profile.
    let alone = [
        "credential-process",
        "--role-arn",
        READER,
        "--external-id",
        EXTERNAL_ID,
    ];
    let run = |keys: &[(&str, &str)]| -> Said {
        let mut command = world.command(PROGRAM);
        command.env("AWS_PROFILE", "itself").args(alone);
        let keys = keys.iter().copied();
        command
            .env("AWS_REGION", REGION)
            .envs(keys)
            .output()
            .unwrap()
            .into()
    };
    json(&run(&[
        ("AWS_ACCESS_KEY_ID", world.keys.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", world.keys.secret_access_key()),
    ]));
    let said = run(&[]);
    assert!(
        !said.ok && said.err.contains("no credentials found in chain"),
        "{said:?}"
    );
}

#[tokio::test]
async fn the_region_of_the_environment_comes_before_that_of_the_profile() {
    let Some(world) = World::new("region").await else {
        return;
    };
    let mut command = world.command(PROGRAM);
    command
        .env("AWS_REGION", "eu-west-3")
        .args(["credential-process", "--profile", "reader"]);
    json(&Said::from(command.output().unwrap()));
    assert_eq!(world.proxy.seen("/eu-west-3/sts/aws4_request"), 1);
    json(&world.run(&["credential-process", "--profile", "reader"]));
    assert_eq!(world.proxy.seen(&format!("/{REGION}/sts/aws4_request")), 1);
}

#[tokio::test]
async fn an_error_goes_to_stderr_with_an_exit_code_and_no_output() {
    let Some(world) = World::new("errors").await else {
        return;
    };
    for (profile, says) in [
        ("wrong", "AccessDenied"),
        ("nobody", "the profile does not exist"),
        ("b", "there is no role to assume"),
    ] {
        let said = world.run(&["credential-process", "--profile", profile, "--cli-cache"]);
        assert!(!said.ok && said.out.is_empty(), "{said:?}");
        assert!(said.err.contains(says), "{said:?}");
    }
    let said = world.run(&["credential-process"]);
    assert!(
        !said.ok && said.out.is_empty() && said.err.contains("--profile"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_profiles_source_may_be_anything_that_aws_config_knows() {
    let Some(world) = World::new("sources").await else {
        return;
    };
    let list = |profile: &str, variables: &[(&str, &str)]| {
        let mut command = world.command(built("list_bucket"));
        let arguments = ["--profile", profile, "--bucket", BUCKET];
        let variables = variables.iter().copied();
        Said::from(command.args(arguments).envs(variables).output().unwrap())
    };
    let keys = [
        ("AWS_ACCESS_KEY_ID", world.keys.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", world.keys.secret_access_key()),
    ];
    let token = json(&world.aws(&[
        "sts",
        "get-session-token",
        "--profile",
        "b",
        "--region",
        REGION,
    ]));
    let container = container(token["Credentials"].clone());
    let listed = "          11  2026/orders.csv\n";
    for (profile, variables) in [
        ("reader", &[][..]),
        ("environment", &keys[..]),
        ("by-process", &[][..]),
        (
            "container",
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container)][..],
        ),
    ] {
        let said = list(profile, variables);
        assert!(said.ok && said.out == listed, "{profile}: {said:?}");
        let caller = "caller: arn:aws:sts::222222222222:assumed-role/Reader/list_bucket-";
        assert!(said.err.contains(caller), "{profile}: {said:?}");
    }
    let said = list("environment", &[]);
    assert!(
        !said.ok && said.err.contains("environment variable not set"),
        "{said:?}"
    );
    let said = list("wrong", &[]);
    assert!(
        !said.ok && said.err.contains("(hop 1 of 1): AccessDenied"),
        "{said:?}"
    );
}

/// Starts a server that serves credentials as a container's agent does. Returns its URL.
fn container(mut credentials: Value) -> String {
    credentials["Token"] = credentials["SessionToken"].take();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/credentials", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        let body = credentials.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).unwrap();
    });
    url
}

#[tokio::test]
async fn processes_at_once_fetch_one_session() {
    let Some(world) = World::new("at-once").await else {
        return;
    };
    let processes: Vec<_> = (0..8)
        .map(|_| {
            world
                .command(PROGRAM)
                .args(["credential-process", "--profile", "reader", "--cli-cache"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut keys: Vec<_> = processes
        .into_iter()
        .map(|process| {
            json(&Said::from(process.wait_with_output().unwrap()))["AccessKeyId"].clone()
        })
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), 1);
    assert_eq!(world.assumed(), 1);
}
