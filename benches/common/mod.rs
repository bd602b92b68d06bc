//! An STS stand-in over loopback HTTP, which counts requests and connections, and the contestants.

// Each bench uses its own part.
#![allow(dead_code)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_role_chain::{Role, RoleChain};
use aws_sdk_sts::config::SharedAsyncSleep;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub const HUB: &str = "arn:aws:iam::222222222222:role/Hub";

/// STS on a runtime of its own.
#[derive(Clone)]
pub struct StandIn(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    latency: Duration,
    denies: bool,
    requests: AtomicUsize,
    connections: AtomicUsize,
}

impl StandIn {
    pub fn start(latency: Duration) -> Self {
        Self::new(latency, false)
    }

    /// Answers every request with AccessDenied.
    pub fn denying(latency: Duration) -> Self {
        Self::new(latency, true)
    }

    fn new(latency: Duration, denies: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let stand_in = Self(Arc::new(Shared {
            address: listener.local_addr().expect("bound"),
            latency,
            denies,
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        }));
        let serving = stand_in.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime
                .expect("a runtime")
                .block_on(serving.serve(listener));
        });
        stand_in
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).expect("a listener");
        while let Ok((stream, _)) = listener.accept().await {
            self.0.connections.fetch_add(1, Ordering::Relaxed);
            // A client's small writes must not wait for acknowledgements.
            let _ = stream.set_nodelay(true);
            let this = self.clone();
            tokio::spawn(async move {
                let answers = service_fn(move |request| this.clone().answer(request));
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection
                    .serve_connection(TokioIo::new(stream), answers)
                    .await;
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let _ = request.into_body().collect().await;
        tokio::time::sleep(self.0.latency).await;
        let (status, body) = match self.0.denies {
            true => (403, DENIED.to_owned()),
            false => (200, session(number)),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "text/xml");
        Ok(response.body(Full::from(body)).expect("a response"))
    }

    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// An IAM user's keys; the HTTP client is the SDK's own.
    pub fn config(&self) -> SdkConfig {
        let keys = Credentials::new("AKIABENCH", "secret", None, None, "bench");
        SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(format!("http://{}", self.0.address))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .sleep_impl(SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .time_source(aws_smithy_async::time::SystemTimeSource::new())
            .build()
    }
}

const DENIED: &str = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>"#;

/// As long as AWS's are.
fn session(number: usize) -> String {
    let until = DateTime::from(SystemTime::now() + Duration::from_secs(3600));
    let until = DateTime::from_secs(until.secs())
        .fmt(Format::DateTime)
        .expect("a time");
    let token = "t".repeat(640);
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>arn:aws:sts::222222222222:assumed-role/R/s</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>0123456789012345678901234567890123456789</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#
    )
}

pub fn role(n: usize) -> String {
    format!("arn:aws:iam::333333333333:role/Tenant{n}")
}

/// This crate, `hops` roles long.
pub fn ours(config: &SdkConfig, hops: usize) -> RoleChain {
    let first = RoleChain::new(config, Role::new(HUB)).expect("a role");
    (1..hops).fold(first, |chain, n| {
        chain.assume(Role::new(role(n))).expect("a role")
    })
}

/// aws-config's provider, nested by hand.
pub async fn sdks(config: &SdkConfig, hops: usize) -> AssumeRoleProvider {
    let of = |arn: &str| {
        AssumeRoleProvider::builder(arn)
            .session_name("bench")
            .configure(config)
    };
    let mut provider = of(HUB).build().await;
    for n in 1..hops {
        provider = of(&role(n)).build_from_provider(provider).await;
    }
    provider
}
