//! The simulator over HTTP: boto3's cases, and robustness of the server.

#[path = "../../tests/common/pypi.rs"]
mod pypi;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use sts_simulator::{Fault, Firehose, RunningServer, S3, Server, Simulator};

const ACCOUNTS: [&str; 3] = ["111111111111", "222222222222", "333333333333"];

/// Serves a simulator on a free port.
async fn serve(aws: &Simulator) -> RunningServer {
    Server::new(aws).listen("127.0.0.1:0").await.unwrap()
}

/// Sends raw HTTP, and returns everything that is received until the connection is closed.
async fn send(address: SocketAddr, request: impl Into<Vec<u8>>) -> String {
    let request = request.into();
    let sent = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        // The server may respond and close before it has read everything.
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    sent.await.unwrap()
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// Returns the headers that sign a request to STS.
fn signature(keys: &Credentials, body: &str) -> String {
    let identity = keys.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("sts")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let content_type = ("content-type", "application/x-www-form-urlencoded");
    let body = SignableBody::Bytes(body.as_bytes());
    let headers = [content_type].into_iter();
    let request = SignableRequest::new("POST", "http://localhost/", headers, body);
    let (signed, _) = sign(request.unwrap(), &parameters).unwrap().into_parts();
    let signed = signed.headers().chain([content_type]);
    signed
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_gets_what_aws_answers() {
    let Some(python) = pypi::program_of("python", &[("boto3", "1.43.11")]) else {
        return;
    };
    let aws = Simulator::new();
    for account in ACCOUNTS {
        aws.root_user_with_known_key(account).unwrap();
    }
    Firehose::plug_into(&aws);
    S3::plug_into(&aws);
    let server = serve(&aws).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3/cases.py");
    let url = server.url();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .arg("-B")
            .arg(script)
            .arg(url)
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{}", text.lines().last().unwrap_or_default());
    assert!(output.status.success(), "{text}{errors}");
    server.stop().await;
}

#[tokio::test]
async fn clients_that_send_nothing_or_half_a_request_keep_nobody_waiting() {
    let aws = Simulator::new();
    let server = serve(&aws).await;
    let address = server.address();
    let mut clients = Vec::new();
    for text in [
        "",
        "POST / HT",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nAction=",
    ] {
        for _ in 0..50 {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            AsyncWriteExt::write_all(&mut stream, text.as_bytes())
                .await
                .unwrap();
            clients.push(stream);
        }
    }
    let answer = send(
        address,
        post(
            "/",
            "content-type: application/x-www-form-urlencoded\r\n",
            "Action=GetCallerIdentity&Version=2011-06-15",
        ),
    )
    .await;
    assert_eq!(status(&answer), "403", "{answer}");
    assert!(answer.contains("MissingAuthenticationToken"), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_and_what_is_too_large_is_refused_and_the_server_goes_on() {
    let aws = Simulator::new();
    let server = serve(&aws).await;
    let address = server.address();
    let long_header = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    for request in ["\x16\x03\x01\x02\x00 TLS", "GET\r\n\r\n", &long_header] {
        let answer = send(address, request).await;
        assert!(!answer.contains("200 OK"), "{request:.20}: {answer}");
    }
    // With a declared length, and in endless chunks.
    let announced = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10000001\r\n\r\n";
    assert_eq!(status(&send(address, announced).await), "413");
    let huge = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n";
    assert_eq!(status(&send(address, huge).await), "400");
    let mut chunks = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..11 {
        chunks += &format!("{:x}\r\n{}\r\n", 1_000_000, "x".repeat(1_000_000));
    }
    assert_eq!(status(&send(address, chunks).await), "413");
    assert!(
        send(address, get("/_simulator/health"))
            .await
            .contains(r#"{"status":"ok"}"#)
    );
}

#[tokio::test]
async fn a_request_in_flight_is_answered_when_the_server_stops_and_later_ones_are_not() {
    let aws = Simulator::new();
    aws.set_latency(Duration::from_millis(300));
    let server = serve(&aws).await;
    let address = server.address();
    let waiting = tokio::spawn(send(
        address,
        get("/?Action=GetCallerIdentity&Version=2011-06-15"),
    ));
    while aws.requests() == 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await;
    assert_eq!(status(&waiting.await.unwrap()), "403");
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_held_request_does_not_hold_the_server() {
    let aws = Simulator::new();
    aws.fail(Fault::no_answer());
    let server = serve(&aws).await;
    let waiting = tokio::spawn(send(
        server.address(),
        get("/?Action=GetCallerIdentity&Version=2011-06-15"),
    ));
    while aws.requests() == 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(waiting.await.unwrap(), "", "no answer");
}

#[tokio::test]
async fn the_admin_endpoint_sets_faults_and_ends_them() {
    let aws = Simulator::new();
    let server = serve(&aws).await;
    let address = server.address();
    let call = || {
        send(
            address,
            get("/?Action=GetCallerIdentity&Version=2011-06-15"),
        )
    };
    let admin = |body: &str| send(address, post("/_simulator/faults", "", body));

    assert_eq!(
        status(&admin(r#"{"fault": "throttling", "times": 1}"#).await),
        "200"
    );
    assert!(call().await.contains("<Code>Throttling</Code>"));
    assert!(
        call()
            .await
            .contains("<Code>MissingAuthenticationToken</Code>")
    );

    admin(r#"{"fault": "connection_closed"}"#).await;
    assert_eq!(call().await, "");
    let answer = send(
        address,
        "DELETE /_simulator/faults HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(status(&answer), "200");
    assert_eq!(status(&call().await), "403");

    for (body, reason) in [
        ("", "a fault must be a JSON object"),
        (r#"{"fault": "rain"}"#, "rain"),
    ] {
        let answer = admin(body).await;
        assert_eq!(status(&answer), "400");
        assert!(answer.contains(reason), "{answer}");
    }
    assert!(
        send(address, get("/_simulator/calls"))
            .await
            .contains(r#""action":"GetCallerIdentity""#)
    );
    for path in ["/_simulator/none", "/_simulator/", "/_simulator"] {
        let answer = send(address, get(path)).await;
        assert_eq!(status(&answer), "404");
        assert!(answer.contains("supported: GET health"), "{answer}");
    }

    let serial = "arn:aws:iam::111111111111:mfa/orders";
    let user = aws.user("arn:aws:iam::111111111111:user/orders");
    let user = user.mfa_device(serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    user.create().unwrap();
    let answer = send(
        address,
        get(&format!("/_simulator/mfa-code?serial={serial}")),
    )
    .await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let codes: serde_json::Value = serde_json::from_str(body).unwrap();
    let [code, previous] = ["code", "previous"].map(|name| codes[name].as_str().unwrap());
    assert!(
        code.len() == 6 && previous.len() == 6 && code != previous,
        "{codes}"
    );
}

#[tokio::test]
async fn a_closed_connection_ends_and_a_reset_one_fails_also_if_it_was_used_before() {
    for (fault, expected) in [
        (Fault::connection_closed(), Ok(0)),
        (
            Fault::connection_reset(),
            Err(std::io::ErrorKind::ConnectionReset),
        ),
    ] {
        let aws = Simulator::new();
        let server = serve(&aws).await;
        let mut stream = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();
        let request =
            "GET /?Action=GetCallerIdentity&Version=2011-06-15 HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"</ErrorResponse>") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        aws.fail(fault);
        stream.write_all(request.as_bytes()).await.unwrap();
        let end = stream.read(&mut [0]).await;
        assert_eq!(end.map_err(|error| error.kind()), expected);
    }
}

#[tokio::test]
async fn a_truncated_answer_is_shorter_than_it_says() {
    let aws = Simulator::new();
    aws.fail(Fault::truncated());
    let server = serve(&aws).await;
    let answer = send(
        server.address(),
        get("/?Action=GetCallerIdentity&Version=2011-06-15"),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    assert!(length.parse::<usize>().unwrap() > body.len(), "{answer}");
}

#[tokio::test]
async fn the_admin_endpoint_is_closed_to_web_pages_and_to_other_machines() {
    let aws = Simulator::new();
    let server = serve(&aws).await;
    let fault = r#"{"fault": "throttling"}"#;
    let of_a_page = post(
        "/_simulator/faults",
        "origin: http://example.com\r\n",
        fault,
    );
    assert_eq!(status(&send(server.address(), of_a_page).await), "403");
    // A page whose host name resolves to this machine ("DNS rebinding") sends no Origin with a GET.
    for (host, expected) in [
        ("example.com", "403"),
        ("localhost.example.com:80", "403"),
        ("localhost:80", "200"),
        ("127.0.0.1", "200"),
        ("[::1]:80", "200"),
    ] {
        let health = get("/_simulator/health").replace("host: localhost", &format!("host: {host}"));
        assert!(health.contains(host), "{health}");
        let answer = send(server.address(), health).await;
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }

    for (server, expected) in [
        (Server::new(&aws), "404"),
        (Server::new(&aws).admin(true), "200"),
    ] {
        // All addresses of this machine.
        let server = server.listen("0.0.0.0:0").await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
        let answer = send(address, get("/_simulator/health")).await;
        let is_open = answer.contains(r#""status":"ok""#);
        assert_eq!(is_open, expected == "200", "{answer}");
    }
}

#[tokio::test]
async fn the_log_has_no_secrets_and_cannot_be_forged() {
    let aws = Simulator::new();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let server = Server::new(&aws)
        .on_request(move |request| log.lock().unwrap().push(format!("{request} {request:?}")))
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let secrets = [
        "EXTERNAL-ID",
        "TOKEN-CODE",
        "WEB-TOKEN",
        "SESSION-TOKEN",
        "SIGNATURE",
        "SECRET-KEY",
        "TAG-VALUE",
    ];
    let body = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::222222222222:role/x%0Aforged&ExternalId=EXTERNAL-ID\
                &TokenCode=TOKEN-CODE&WebIdentityToken=WEB-TOKEN&Tags.member.1.Value=TAG-VALUE&Secret=SECRET-KEY";
    let headers = "content-type: application/x-www-form-urlencoded\r\nx-amz-security-token: SESSION-TOKEN\r\nx-amz-date: 20260101T000000Z\r\n\
                   authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/sts/aws4_request, SignedHeaders=host, Signature=SIGNATURE\r\n";
    send(server.address(), post("/", headers, body)).await;
    let query = "/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Feu-west-1%2Fs3%2Faws4_request\
                 &X-Amz-Signature=SIGNATURE&X-Amz-Security-Token=SESSION-TOKEN&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host";
    send(server.address(), get(query)).await;
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    for line in &*lines {
        assert!(!line.contains('\n'), "{line}");
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    let expected = r"127.0.0.1 sts AssumeRole arn:aws:iam::222222222222:role/x\nforged by AKIAIOSFODNN7EXAMPLE: 403 InvalidClientTokenId, ";
    assert!(lines[0].starts_with(expected), "{}", lines[0]);
}

#[tokio::test]
async fn a_bad_authorization_is_refused_as_the_service_does_that_the_request_is_for() {
    let aws = Simulator::new();
    Firehose::plug_into(&aws);
    S3::plug_into(&aws);
    let server = serve(&aws).await;
    let cut = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101";
    let of_two = "AWS AKIAIOSFODNN7EXAMPLE:bm90IGEgc2lnbmF0dXJl";
    let of_4a = "AWS4-ECDSA-P256-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/s3/aws4_request";
    for (authorization, code_of_s3, code_of_firehose) in [
        ("", "AccessDenied", "MissingAuthenticationTokenException"),
        (
            "Bearer x",
            "InvalidArgument",
            "MissingAuthenticationTokenException",
        ),
        (
            of_two,
            "InvalidRequest",
            "MissingAuthenticationTokenException",
        ),
        (
            cut,
            "AuthorizationHeaderMalformed",
            "IncompleteSignatureException",
        ),
        (of_4a, "NotSimulated", "NotSimulated"),
    ] {
        let header = match authorization {
            "" => String::new(),
            text => format!("authorization: {text}\r\n"),
        };
        let get = format!(
            "GET /reports/key HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n"
        );
        let answer = send(server.address(), get).await;
        let expected = format!("<Code>{code_of_s3}</Code>");
        assert!(answer.contains(&expected), "{authorization}: {answer}");
        let headers = format!(
            "content-type: application/x-amz-json-1.1\r\nx-amz-target: Firehose_20150804.PutRecord\r\n{header}"
        );
        let answer = send(server.address(), post("/", &headers, "{}")).await;
        let expected = format!(r#""__type":"{code_of_firehose}""#);
        assert!(answer.contains(&expected), "{authorization}: {answer}");
    }
    assert_eq!(aws.requests(), 0, "none is a call of STS");
    let presigned = "/reports/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60";
    let answer = send(server.address(), get(presigned)).await;
    assert!(
        answer.contains("AuthorizationQueryParametersError"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_log_and_the_admin_endpoint_say_why_a_call_was_refused() {
    let aws = Simulator::new();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let server = Server::new(&aws)
        .on_request(move |request| log.lock().unwrap().push(request.to_string()))
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let keys = aws.user("arn:aws:iam::111111111111:user/orders");
    let keys = keys.create().unwrap();
    let role = "arn:aws:iam::222222222222:role/FirehoseWriter";
    let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "111111111111"},
        "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee-expected"}}}}"#;
    aws.role(role).trust(trust).create().unwrap();
    let body = format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName=orders&ExternalId=c0ffee-given"
    );
    let headers = signature(&keys, &body);
    let answer = send(server.address(), post("/", &headers, &body)).await;
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");

    let lines = lines.lock().unwrap().clone();
    assert!(
        lines[0].contains(": 403 AccessDenied because the role's trust policy does not allow it, "),
        "{lines:?}"
    );
    let refusals = send(server.address(), get("/_simulator/refusals")).await;
    assert_eq!(status(&refusals), "200");
    for part in [
        r#""action":"sts:AssumeRole""#,
        role,
        "StringEquals sts:ExternalId",
    ] {
        assert!(refusals.contains(part), "{part} in {refusals}");
    }
    assert!(!refusals.contains("c0ffee"), "{refusals}");
}

/// The running program. Dropping this stops it.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_sts_simulator"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Waits until the program is ready; returns its URL.
    fn endpoint(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.0.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        json["endpoint"].as_str().unwrap().to_owned()
    }

    /// Waits for the program to exit; returns whether it succeeded, and stderr.
    fn end(mut self) -> (bool, String) {
        let mut errors = String::new();
        let stderr = self.0.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (self.0.wait().unwrap().success(), errors)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_is_up_at_once_and_stops_when_it_is_asked_to() {
    let started = Instant::now();
    let mut program = Program::start(&["--port", "0"]);
    let endpoint = program.endpoint();
    let up = started.elapsed();
    assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
    // It takes tens of milliseconds, but other tests run at the same time.
    assert!(up < Duration::from_secs(2), "{up:?}");
    let kill = Command::new("kill")
        .args(["-TERM", &program.0.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let (success, errors) = program.end();
    assert!(success, "{errors}");
}

#[tokio::test]
async fn the_log_says_how_the_root_user_of_another_account_may_sign() {
    let mut program = Program::start(&["--port", "0", "--root", "222222222222"]);
    let endpoint = program.endpoint();
    let address: SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    for (account, secret, expected) in [
        ("222222222222", "test", "200"),
        ("222222222222", "wrong", "403"),
        ("333333333333", "test", "403"),
    ] {
        let keys = Credentials::new(account, secret, None, None, "test");
        let answer = send(address, post("/", &signature(&keys, body), body)).await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
    program.0.kill().unwrap();
    let (_, errors) = program.end();
    let hint = "the root user of 333333333333 may not sign: start with --root 333333333333\n";
    assert!(errors.contains(hint), "{errors}");
    assert_eq!(errors.matches("may not sign").count(), 1, "{errors}");
}

#[test]
fn the_program_says_what_is_wrong_with_its_options() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let folder = pypi::target_dir().join("http-test-exports");
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let malformed = file("malformed.json", "{\"users\": [\n  {\"arn\": 1}]}");
    let other = file("other.json", "{\"name\": \"package\"}");
    let user = file(
        "user.json",
        r#"{"users": [{"arn": "arn:aws:iam::111111111111:group/x"}]}"#,
    );
    for (arguments, parts) in [
        (
            vec!["--port", &port],
            vec!["cannot listen on 127.0.0.1:", &port, "--port 0"],
        ),
        (vec!["/none/such"], vec!["/none/such: No such file"]),
        (vec![&malformed], vec!["malformed.json", "line 2 column 11"]),
        (
            vec![&other],
            vec!["other.json", "get-account-authorization-details"],
        ),
        (
            vec![&user],
            vec![
                "user.json",
                "must be arn:<partition>:iam::<12-digit account id>:user/",
            ],
        ),
        (vec!["--root", "12"], vec!["--root", "\"12\"", "12 digits"]),
    ] {
        let (success, errors) = Program::start(&arguments).end();
        assert!(!success, "{arguments:?}");
        for part in parts {
            assert!(
                errors.contains(part),
                "{arguments:?}: {part} is not in {errors}"
            );
        }
    }
}
