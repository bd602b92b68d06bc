//! A program without a tracing subscriber, whose logger of the `log` crate records every level. This needs a process of
//! its own, because tracing sends its events to that crate only if no subscriber was ever set.

use std::fmt::Write as _;
use std::sync::Mutex;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use sts_simulator::{Server, Simulator};

#[path = "../../tests/common/starts.rs"]
mod starts;

use starts::{Sent, starts};

const WRITER: &str = "arn:aws:iam::222222222222:role/FirehoseWriter";

const EXTERNAL_ID: &str = "marked-external-id:0001";
const TOKEN: &str = "marked.oidc.token-0002";
const ASSERTION: &str = "bWFya2VkLXNhbWwtYXNzZXJ0aW9uLTAwMDM";
const CONTEXT: &str = "marked-context-assertion-0004";
const CODE: &str = "918273";

static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut logged = LOGGED.lock().unwrap();
        writeln!(logged, "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

/// An HTTP client whose errors quote the request.
#[derive(Clone, Debug)]
struct Quotes(fn(String) -> Result<HttpResponse, ConnectorError>);

impl HttpClient for Quotes {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Quotes {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut quoted =
            String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap();
        for (name, value) in request.headers() {
            write!(quoted, "\n{name}: {value}").unwrap();
        }
        HttpConnectorFuture::ready(self.0(quoted))
    }
}

/// Returns a response whose body is not in memory, as if it came from the network.
fn answer(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(status).unwrap();
    let body = SdkBody::from_body_1_x(SdkBody::from(body));
    Ok(HttpResponse::new(status, body))
}

/// Creates a chain for each operation, whose only call fails.
fn chains(base: &SdkConfig, number: usize) -> Vec<RoleChain> {
    let sent = Sent {
        role_arn: WRITER,
        external_id: EXTERNAL_ID,
        context_assertion: CONTEXT,
        mfa_code: CODE,
        web_identity_token: TOKEN,
        saml_assertion: ASSERTION,
    };
    let device = |i| format!("arn:aws:iam::111111111111:mfa/orders-{number}-{i}");
    starts(base, base, sent, device)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_crate_at_its_lowest_level() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let aws = Simulator::new();
    let keys = (aws.user("arn:aws:iam::111111111111:user/orders"))
        .policy(r#"{"Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}"#)
        .create()
        .unwrap();
    aws.role(WRITER)
        .trust(format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetContext"],
                "Principal": {{"AWS": "arn:aws:iam::111111111111:root"}},
                "Condition": {{"StringEquals": {{"sts:ExternalId": "{EXTERNAL_ID}"}}}}}}}}"#
        ))
        .create()
        .unwrap();
    let server = Server::new(&aws).listen("127.0.0.1:0").await.unwrap();
    let base = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(keys.clone()))
        // If enabled, it wraps requests, which hides their contents.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    let base: &SdkConfig = &base;

    let role = || Role::new(WRITER).external_id(EXTERNAL_ID);
    let chain = RoleChain::new(base, role()).unwrap();
    let session = chain.provide_credentials().await.unwrap();
    // A refresh reuses the connection, and the next hop signs with the session.
    chain.refresh().await.unwrap();
    chain.assume(role()).unwrap().refresh().await.unwrap_err();
    for chain in chains(base, 0) {
        let error = chain.refresh().await.unwrap_err();
        assert!(error.code().is_some(), "{error}");
    }
    assert_eq!(aws.requests(), 8, "each was sent, and read as it was");
    server.stop().await;
    let error = chain.refresh().await.unwrap_err();
    assert!(error.is_transient(), "{error}");

    let failures: [fn(String) -> _; 7] = [
        |quoted| Err(ConnectorError::io(quoted.into())),
        |quoted| Err(ConnectorError::timeout(quoted.into())),
        |quoted| Err(ConnectorError::user(quoted.into())),
        |quoted| Err(ConnectorError::other(quoted.into(), None)),
        |quoted| answer(200, quoted),
        |quoted| answer(200, format!("<AssumeRoleResponse>{quoted}")),
        |quoted| {
            answer(
                400,
                format!(
                    "<ErrorResponse><Error><Code>ValidationError</Code><Message>{}</Message></Error></ErrorResponse>",
                    quoted.replace('&', "&amp;")
                ),
            )
        },
    ];
    for (number, failure) in failures.into_iter().enumerate() {
        let base = base.to_builder().http_client(Quotes(failure));
        let base = base.retry_config(RetryConfig::disabled()).build();
        for chain in chains(&base, 1 + number) {
            chain.refresh().await.unwrap_err();
        }
    }

    let logged = LOGGED.lock().unwrap().clone();
    let sent = logged.matches("transmitting request").count();
    assert!(sent > 8, "the SDK's lowest level is in the log");
    let session_token = session.session_token().unwrap();
    for secret in [
        EXTERNAL_ID,
        "marked-external-id%3A0001",
        TOKEN,
        ASSERTION,
        CONTEXT,
        CODE,
        keys.secret_access_key(),
        session.secret_access_key(),
        session_token,
    ] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
