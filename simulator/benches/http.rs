//! Measures the requests per second of `sts_simulator`, moto and ministack, one after the other in one run:
//!
//! ```sh
//! cargo bench -p sts-simulator --features program --bench http
//! ```
//!
//! `STS_SIMULATOR` selects another build of the program.
//!
//! Eight connections send the same signed request as fast as it is answered. The simulator and ministack check the
//! signature and the policies of both sides; moto checks nothing by default. The Python servers are installed into
//! `target/`, and skipped if python3 is missing.

#[path = "../../tests/common/pypi.rs"]
mod pypi;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const CONNECTIONS: usize = 8;
const TIME: Duration = Duration::from_secs(4);
const ACCOUNT: &str = "111111111111";

type Http = Client<HttpConnector, Full<Bytes>>;

/// Returns the command that starts a server on a port.
type StartOnPort = Box<dyn FnOnce(&str) -> Command>;

/// A server in its own process. Dropping this stops it.
struct Server {
    name: &'static str,
    process: Child,
    endpoint: String,
    http: Http,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Starts a program on a free port with `command`, and waits until it responds.
    async fn start(name: &'static str, command: impl FnOnce(&str) -> Command) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut command = command(&port);
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            command.env_remove(name);
        }
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            name,
            process,
            endpoint: format!("http://127.0.0.1:{port}/"),
            http: Client::builder(TokioExecutor::new()).build_http(),
        };
        let started = Instant::now();
        let root = Credentials::new(ACCOUNT, "test", None, None, "bench");
        while server
            .call(&root, "sts", "Action=GetCallerIdentity&Version=2011-06-15")
            .await
            .is_none()
        {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{name} does not answer"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    fn request(
        &self,
        credentials: &Credentials,
        service: &str,
        body: &str,
    ) -> Request<Full<Bytes>> {
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let content_type = (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        let body_to_sign = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(
            "POST",
            &*self.endpoint,
            [content_type].into_iter(),
            body_to_sign,
        );
        let (signed, _) = sign(signable.unwrap(), &parameters).unwrap().into_parts();
        let mut request = Request::post(&self.endpoint).header(content_type.0, content_type.1);
        for (name, value) in signed.headers() {
            request = request.header(name, value);
        }
        request.body(Full::new(body.to_owned().into())).unwrap()
    }

    /// Returns the body of a successful response; `None` otherwise.
    async fn call(&self, credentials: &Credentials, service: &str, body: &str) -> Option<String> {
        let response = self
            .http
            .request(self.request(credentials, service, body))
            .await
            .ok()?;
        let is_success = response.status().is_success();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        is_success.then(|| String::from_utf8_lossy(&body).into_owned())
    }

    /// Creates a user who may assume a role; returns the user's keys.
    async fn set_up(&self) -> Credentials {
        let root = Credentials::new(ACCOUNT, "test", None, None, "bench");
        let iam = async |parameters: &[(&str, &str)]| {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.append_pair("Version", "2010-05-08")
                .extend_pairs(parameters);
            let answer = self.call(&root, "iam", &body.finish()).await;
            answer.unwrap_or_else(|| panic!("{}: {parameters:?}", self.name))
        };
        let allow = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}"#;
        let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
            "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee"}}}]}"#;
        iam(&[("Action", "CreateUser"), ("UserName", "orders")]).await;
        iam(&[
            ("Action", "PutUserPolicy"),
            ("UserName", "orders"),
            ("PolicyName", "p"),
            ("PolicyDocument", allow),
        ])
        .await;
        iam(&[
            ("Action", "CreateRole"),
            ("RoleName", "Writer"),
            ("AssumeRolePolicyDocument", trust),
        ])
        .await;
        let key = iam(&[("Action", "CreateAccessKey"), ("UserName", "orders")]).await;
        let element = |name: &str| {
            let (_, rest) = key.split_once(&format!("<{name}>")).unwrap();
            rest.split('<').next().unwrap().to_owned()
        };
        Credentials::new(
            element("AccessKeyId"),
            element("SecretAccessKey"),
            None,
            None,
            "bench",
        )
    }

    async fn measure(&self, credentials: &Credentials, operation: &str, body: &str) {
        let request = self.request(credentials, "sts", body);
        let end = Instant::now() + TIME;
        let mut tasks = Vec::new();
        for _ in 0..CONNECTIONS {
            let (http, request) = (self.http.clone(), request.clone());
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let sent = Instant::now();
                    let response = http.request(request.clone()).await.unwrap();
                    assert!(response.status().is_success(), "{response:?}");
                    response.into_body().collect().await.unwrap();
                    times.push(sent.elapsed());
                }
                times
            }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times.sort_unstable();
        let rate = times.len() as f64 / TIME.as_secs_f64();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!(
            "| {:<14} | {operation:<17} | {rate:>8.0} | {:>7.2} | {:>7.2} |",
            self.name,
            at(0.5),
            at(0.99)
        );
    }
}

fn main() {
    // Cargo's arguments, such as --bench, are ignored.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    println!(
        "| {:<14} | {:<17} | requests/s | median ms | 99 % ms |",
        "server", "operation"
    );
    println!("|---|---|---|---|---|");
    let mut servers: Vec<(&'static str, StartOnPort)> = Vec::new();
    let built = || env!("CARGO_BIN_EXE_sts_simulator").into();
    let program: PathBuf = std::env::var_os("STS_SIMULATOR").map_or_else(built, PathBuf::from);
    servers.push((
        "sts_simulator",
        Box::new(move |port| {
            let mut command = Command::new(program);
            command.args(["--port", port, "--root", ACCOUNT, "--quiet"]);
            command
        }),
    ));
    if let Some(ministack) = pypi::program("ministack", "1.5.33") {
        servers.push((
            "ministack",
            Box::new(move |port| {
                let mut command = Command::new(ministack);
                command
                    .env("AUTH", "true")
                    .env("LOG_LEVEL", "WARNING")
                    .env("BIND_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", port);
                command
            }),
        ));
    }
    if let Some(moto) = pypi::program_of("moto_server", &[("moto[server]", "5.2.1")]) {
        servers.push((
            "moto",
            Box::new(move |port| {
                let mut command = Command::new(moto);
                command.args(["-H", "127.0.0.1", "-p", port]);
                command
            }),
        ));
    }
    for (name, command) in servers {
        let server = Server::start(name, command).await;
        let keys = server.set_up().await;
        let assume = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=orders&ExternalId=c0ffee\
                      &RoleArn=arn%3Aaws%3Aiam%3A%3A111111111111%3Arole%2FWriter";
        let identity = "Action=GetCallerIdentity&Version=2011-06-15";
        server.measure(&keys, "GetCallerIdentity", identity).await;
        server.measure(&keys, "AssumeRole", assume).await;
    }
}
