//! What all examples have in common: a named profile takes precedence, a closed output causes no panic, and Ctrl-C ends
//! a program that waits.
#![cfg(unix)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::common::example::example;
use crate::common::{HUB, TENANT};

/// An example, and what it needs to reach its first call, besides a region and an endpoint.
struct Example {
    name: &'static str,
    arguments: &'static [&'static str],
    /// The profile that it is started with; `None` if it starts with a token.
    profile: Option<&'static str>,
    has_local: bool,
}

const EXAMPLES: [Example; 7] = [
    Example {
        name: "health",
        arguments: &["--role-arn", HUB],
        profile: Some("own"),
        has_local: true,
    },
    Example {
        name: "list_bucket",
        arguments: &["--bucket", "reports"],
        profile: Some("role"),
        has_local: false,
    },
    Example {
        name: "mfa",
        arguments: &[
            "--role-arn",
            HUB,
            "--bucket",
            "reports",
            "--serial",
            "GAHT12345678",
        ],
        profile: Some("own"),
        has_local: true,
    },
    Example {
        name: "put_records",
        arguments: &["--role-arn", HUB, "--stream", "events"],
        profile: Some("own"),
        has_local: true,
    },
    Example {
        name: "saml",
        arguments: &[
            "--role-arn",
            HUB,
            "--principal-arn",
            "arn:aws:iam::222222222222:saml-provider/Company",
            "--sign-in",
            "./sign-in",
        ],
        profile: None,
        has_local: true,
    },
    Example {
        name: "tenants",
        arguments: &["--hub-arn", HUB, "--customers", "customers.json", "records"],
        profile: Some("own"),
        has_local: true,
    },
    Example {
        name: "web_identity",
        arguments: &["--role-arn", HUB, "--token-file", "token"],
        profile: None,
        has_local: true,
    },
];

/// Makes the service listen on any free port.
const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// The access key in the environment, which no profile has.
const ENVIRONMENT_KEY: &str = "AKIAENVIRONMENT00000";
const PROFILE_KEY: &str = "AKIAPROFILE000000000";

#[test]
fn every_example_is_tried_here() {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let programs = paths.filter(|path| path.is_file() || path.join("main.rs").is_file());
    let mut names: Vec<_> = programs
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    // It behaves differently when interrupted; its tests are in `vendor_service.rs`.
    names.retain(|name| name != "vendor_service");
    assert_eq!(names, EXAMPLES.map(|example| example.name));
}

/// Cargo leaves a dependency without a version out of what it publishes, and the examples are published.
#[test]
fn what_the_published_examples_use_is_published_with_them() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[lints]\n").unwrap();
    let by_path = dependencies.lines().filter(|line| line.contains("path = "));
    let without_version: Vec<_> = by_path
        .filter(|line| !line.contains("version = "))
        .collect();
    assert_eq!(without_version, [""; 0]);
}

#[test]
fn a_named_profile_comes_before_the_keys_in_the_environment() {
    for example in EXAMPLES {
        let Some(profile) = example.profile else {
            continue;
        };
        let place = Place::new(example.name, "profile");
        let server = Server::start(|_| refusal());
        let (code, said) = place.run_to_end(&example, &["--profile", profile], &server);
        let name = example.name;
        assert_ne!(code, Some(0), "{name}: {said}");
        assert!(place.0.join("asked").exists(), "{name}: {said}");
        let signers = server.signers();
        // `mfa` prompts for a code before its first call.
        assert_eq!(signers.is_empty(), name == "mfa", "{name}: {said}");
        assert!(
            signers.iter().all(|key| key == PROFILE_KEY),
            "{name}: {signers:?}"
        );
    }
}

#[test]
fn a_profile_that_is_not_there_is_an_error_by_name_before_any_call() {
    for example in EXAMPLES {
        if example.profile.is_none() {
            continue;
        }
        let place = Place::new(example.name, "missing");
        let server = Server::start(|_| refusal());
        let mut program = place.program(&example, &["--profile", "not-there"], server.port);
        if example.name == "health" {
            // If it ignored the profile, it would run for ever.
            program.args(["--listen", "nowhere"]);
        }
        let output = program.output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {said}", example.name);
        assert!(said.contains("not-there"), "{}: {said}", example.name);
        assert!(output.stdout.is_empty(), "{}: {said}", example.name);
        assert_eq!(server.signers(), [""; 0], "{}", example.name);
    }
}

#[test]
fn nothing_panics_where_nobody_reads_or_the_disk_is_full() {
    for example in EXAMPLES {
        let place = Place::new(example.name, "closed");
        let server = Server::start(serves_a_bucket);
        let program = || {
            if example.has_local {
                let mut program = place.local(example.name);
                if example.name == "health" {
                    program.args(ANY_PORT);
                }
                program
            } else {
                let profile = example.profile.unwrap();
                place.program(&example, &["--profile", profile], server.port)
            }
        };
        // The output of a service is not essential, and some of the customers of `tenants` are meant to fail.
        let expected = match example.name {
            "health" => None,
            "tenants" => Some(1),
            _ => Some(0),
        };
        if expected.is_some() {
            let (reader, stdout) = std::io::pipe().unwrap();
            drop(reader);
            let (reader, stderr) = std::io::pipe().unwrap();
            drop(reader);
            let ended = program().stdout(stdout).stderr(stderr).status().unwrap();
            assert_eq!(ended.code(), expected, "{}", example.name);
        }
        if !cfg!(target_os = "linux") {
            continue;
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = program().stdout(full).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {said}", example.name);
        assert!(said.contains("No space left"), "{}: {said}", example.name);
        assert!(!said.contains("panicked"), "{}: {said}", example.name);
    }
}

#[test]
fn an_interrupt_ends_what_waits_with_130() {
    for example in EXAMPLES {
        // It waits for a terminal. The test of the prompt interrupts it there.
        if example.name == "mfa" {
            continue;
        }
        let place = Place::new(example.name, "interrupt");
        // This STS never answers.
        let sts = TcpListener::bind("127.0.0.1:0").unwrap();
        sts.set_nonblocking(true).unwrap();
        let profile = example.profile.map(|name| ["--profile", name]);
        let profile = profile.as_ref().map_or(&[][..], |arguments| arguments);
        let port = sts.local_addr().unwrap().port();
        let mut program = place.program(&example, profile, port);
        if example.name == "health" {
            program.args(ANY_PORT);
        }
        let mut program = program
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(program.stdout.take().unwrap());
        let mut connection = None;
        if example.name == "health" {
            out.read_line(&mut String::new()).unwrap();
        } else {
            while connection.is_none() && program.try_wait().unwrap().is_none() {
                connection = sts.accept().ok();
                std::thread::yield_now();
            }
        }
        interrupt(&program);
        let output = program.wait_with_output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(130), "{}: {said}", example.name);
        assert!(!said.contains("panicked"), "{}: {said}", example.name);
    }
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let service = ["--hub-arn", HUB, "--customers", "customers.json"];
    for (name, fitting, ignored) in [
        (
            "web_identity",
            &["--local"][..],
            &["--token-file", "token"][..],
        ),
        ("vendor_service", &service, &["--outage"]),
        ("vendor_service", &service, &["--requests", "1"]),
        ("vendor_service", &service, &["--clients", "1"]),
        ("vendor_service", &service, &["--latency-ms", "1"]),
        ("vendor_service", &service, &["--local-customers", "1"]),
    ] {
        let output = example(name).args(fitting).args(ignored).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{name} {ignored:?}: {said}");
        assert!(said.contains(ignored[0]), "{name} {ignored:?}: {said}");
    }
}

#[test]
fn an_interrupt_of_what_is_tried_again_says_why_it_was_not_taken() {
    // The SDK sends each call up to three times. One request more shows that the example has received an error and
    // retries the batch. `tenants` reaches four streams, so it needs 13 requests.
    for (name, arguments, tries) in [("put_records", &["records"][..], 4), ("tenants", &[], 13)] {
        let example = EXAMPLES.iter().find(|example| example.name == name);
        let place = Place::new(name, "busy");
        let server = Server::start(|request| {
            if request.contains("PutRecordBatch") {
                let error = r#"{"__type": "ServiceUnavailableException", "message": "Slow down."}"#;
                (503, error.to_owned())
            } else {
                serves_a_bucket(request)
            }
        });
        let mut program = place.program(example.unwrap(), arguments, server.port);
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = program.spawn().unwrap();
        while server.count("PutRecordBatch") < tries && program.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        interrupt(&program);
        let output = program.wait_with_output().unwrap();
        let (said, printed) = (said(&output), String::from_utf8(output.stdout).unwrap());
        assert_eq!(output.status.code(), Some(130), "{name}: {said}");
        let why = "lines 1 to 1: 1 record(s) not accepted so far: ServiceUnavailableException: Slow down.\n";
        if name == "tenants" {
            // In the summary, which names the customer.
            assert!(printed.contains(&format!(": {why}")), "{printed}");
            assert_eq!(said, "");
            continue;
        }
        assert!(said.contains(why), "{said}");
        // The response to the last attempt is not known.
        let kept = "records not confirmed by Firehose, appended to put_records.dead-letter: 1";
        assert!(said.contains(kept), "{said}");
    }
}

fn interrupt(program: &Child) {
    let pid = program.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.unwrap().success());
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with profiles and the files that the examples read; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.join(format!("{name}-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let place = Self(folder);
        let keys = format!(
            r#"{{"Version": 1, "AccessKeyId": "{PROFILE_KEY}", "SecretAccessKey": "secret"}}"#
        );
        place.write_program(
            "keys",
            &format!("echo > {}\necho '{keys}'", place.path("asked")),
        );
        place.write_program("sign-in", "echo PHNhbWw+");
        let config = format!(
            "[profile own]\ncredential_process = {}\n\
             [profile role]\nrole_arn = {TENANT}\nsource_profile = own\n",
            place.path("keys")
        );
        for (file, text) in [
            ("config", &*config),
            ("credentials", ""),
            ("token", "the token"),
            ("records", "one\n"),
            (
                "customers.json",
                include_str!("../../examples/tenants/customers.json"),
            ),
        ] {
            std::fs::write(place.0.join(file), text).unwrap();
        }
        place
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }

    fn write_program(&self, file: &str, commands: &str) {
        let path = self.0.join(file);
        std::fs::write(&path, format!("#!/bin/sh\n{commands}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// The command of an example in this folder, with its services at this port and keys in the environment.
    fn program(&self, of: &Example, arguments: &[&str], port: u16) -> Command {
        let mut program = example(of.name);
        program
            .env("AWS_CONFIG_FILE", self.0.join("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.0.join("credentials"))
            .env("AWS_ACCESS_KEY_ID", ENVIRONMENT_KEY)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .args(of.arguments)
            .args(arguments)
            .args(["--region", "eu-west-1"])
            .arg(format!("--endpoint-url=http://127.0.0.1:{port}"))
            .current_dir(&self.0)
            .stdin(Stdio::null());
        program
    }

    fn local(&self, name: &str) -> Command {
        let mut program = example(name);
        program.arg("--local").current_dir(&self.0);
        program.stdin(Stdio::null());
        program
    }

    /// Runs an example until it ends, or the service until it has loaded its credentials.
    fn run_to_end(
        &self,
        of: &Example,
        arguments: &[&str],
        server: &Server,
    ) -> (Option<i32>, String) {
        let mut program = self.program(of, arguments, server.port);
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = match of.name {
            "health" => program.args(ANY_PORT).spawn().unwrap(),
            // Without a terminal it cannot prompt.
            "mfa" => without_terminal(&program).spawn().unwrap(),
            _ => program.spawn().unwrap(),
        };
        let mut page = String::new();
        if of.name == "health" {
            let mut line = String::new();
            let mut out = BufReader::new(program.stdout.take().unwrap());
            out.read_line(&mut line).unwrap();
            let address = line.split('/').nth(2).expect("an address");
            let mut connection = TcpStream::connect(address).unwrap();
            let request = "GET /healthz HTTP/1.1\r\nhost: health\r\nconnection: close\r\n\r\n";
            connection.write_all(request.as_bytes()).unwrap();
            connection.read_to_string(&mut page).unwrap();
            assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
            assert!(page.contains(r#""state":"failing""#), "{page}");
            assert!(page.contains(r#""code":"AccessDenied""#), "{page}");
            interrupt(&program);
        }
        let output = program.wait_with_output().unwrap();
        (output.status.code(), said(&output) + &page)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A leftover does no harm in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The same command in a session of its own, without a terminal.
fn without_terminal(program: &Command) -> Command {
    let mut alone = Command::new("setsid");
    alone.arg("--wait").arg(program.get_program());
    alone.args(program.get_args());
    alone.current_dir(program.get_current_dir().unwrap());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    alone.stdin(Stdio::null()).stdout(Stdio::piped());
    alone.stderr(Stdio::piped());
    alone
}

type Answer = (u16, String);

/// A server that uses one function for all requests, until the process ends.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: fn(&str) -> Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = requests.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let all = all.clone();
                std::thread::spawn(move || serve(connection.unwrap(), answer, &all));
            }
        });
        Self { port, requests }
    }

    /// How many requests contain this.
    fn count(&self, text: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| request.contains(text))
            .count()
    }

    /// The access key IDs that signed requests.
    fn signers(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let signers = requests.iter().map(|request| {
            let (_, scope) = request.split_once("Credential=").unwrap_or_default();
            scope.split('/').next().unwrap_or_default().to_owned()
        });
        signers.collect()
    }
}

fn serve(
    connection: TcpStream,
    answer: fn(&str) -> Answer,
    all: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut request = String::new();
    let mut length = 0;
    while !request.ends_with("\r\n\r\n") {
        let start = request.len();
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
        let line = request[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request += &String::from_utf8_lossy(&body);
    let (status, body) = answer(&request);
    all.lock().unwrap().push(request);
    let head = format!("HTTP/1.1 {status} status\r\ncontent-length: {}", body.len());
    let answer = format!("{head}\r\nconnection: close\r\n\r\n{body}");
    reader.into_inner().write_all(answer.as_bytes()).ok()
}

fn refusal() -> Answer {
    let error = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    (403, format!("<ErrorResponse>{error}</ErrorResponse>"))
}

/// Answers AssumeRole with a session, and other requests with a list of many objects.
fn serves_a_bucket(request: &str) -> Answer {
    if request.starts_with("POST ") {
        let answer = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
            <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
            <SessionToken>token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
            </Credentials></AssumeRoleResult></AssumeRoleResponse>";
        return (200, answer.to_owned());
    }
    let objects = (0..1000)
        .map(|i| format!("<Contents><Key>2026/11/{i}.ndjson</Key><Size>{i}</Size></Contents>"));
    let objects: String = objects.collect();
    (
        200,
        format!("<ListBucketResult>{objects}<IsTruncated>false</IsTruncated></ListBucketResult>"),
    )
}
