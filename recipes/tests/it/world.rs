//! The accounts of the workspace's README: B (111111111111) has the caller, A (222222222222) the role and the bucket.

use std::error::Error as StdError;

use aws_role_chain::{Error, Role, RoleChain};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use sts_simulator::Simulator;
use tokio::net::TcpListener;

use crate::documents::{EXTERNAL_ID, allow, trusts_with_external_id};
use crate::ministack::Ministack;

pub const A: &str = "222222222222";
pub const B: &str = "111111111111";
pub const WRITER: &str = "arn:aws:iam::222222222222:role/Writer";
pub const BUCKET: &str = "a-reports";

/// ministack, with B's user and A's role and bucket.
pub struct World {
    pub server: Ministack,
    base: SdkConfig,
}

impl World {
    /// Returns `None` if Python is not installed.
    pub async fn new() -> Option<Self> {
        let server = Ministack::start()?;
        let keys = server.make_user(B, "orders", &allow("sts:*")).await;
        let base = server.config(keys).await;
        let trust = trusts_with_external_id(B);
        server.make_role(A, "Writer", &trust, &allow("s3:*")).await;
        let s3 = server.s3(A).await;
        s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        Some(Self { server, base })
    }

    pub fn writer(&self) -> RoleChain {
        self.chain(EXTERNAL_ID)
    }

    /// Returns a chain with a wrong external ID.
    pub fn refused(&self) -> RoleChain {
        self.chain("another")
    }

    fn chain(&self, external_id: &str) -> RoleChain {
        RoleChain::new(&self.base, Role::new(WRITER).external_id(external_id)).unwrap()
    }
}

/// The same accounts in the simulator.
pub fn simulated() -> (Simulator, SdkConfig) {
    let aws = Simulator::new();
    let user = aws.user("arn:aws:iam::111111111111:user/orders");
    let keys = user.policy(allow("sts:*")).create().unwrap();
    let role = aws.role(WRITER).trust(trusts_with_external_id(B));
    role.policy(allow("*")).create().unwrap();
    let base = aws.sdk_config(keys);
    (aws, base)
}

pub fn writer() -> Role {
    Role::new(WRITER).external_id(EXTERNAL_ID)
}

/// Serves the simulator over HTTP, for clients other than the SDK's. Returns its URL.
pub async fn serve(aws: &Simulator) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (aws, origin) = (aws.clone(), url.clone());
    let answer = move |request: Request| answer(aws.clone(), origin.clone(), request);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

async fn answer(aws: Simulator, origin: String, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    head.uri = format!("{origin}{}", head.uri).parse().unwrap();
    let request = HttpRequest::try_from(Request::from_parts(head, SdkBody::from(body))).unwrap();
    let answer = aws.call(request).await.unwrap().try_into_http1x().unwrap();
    answer.map(|body| Body::from(body.bytes().unwrap().to_vec()))
}

/// Returns the chain's error, which must be among the sources.
pub fn found<'a>(error: &'a (dyn StdError + 'static)) -> &'a Error {
    Error::find(error).unwrap_or_else(|| panic!("no error of a chain's: {error:?}"))
}
