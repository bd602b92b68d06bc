//! No secret is in an error, in the SDK's error around it, in a diagnosis, or in the log.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain, WebIdentityToken};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tracing_subscriber::filter::LevelFilter;

use crate::common::log::Log;
use crate::common::starts::{Sent, starts, try_starts};
use crate::common::*;

const SECRET_KEY: &str = "marked/secret+key==0001";
const SESSION_TOKEN: &str = "marked/session+token==0002";
const EXTERNAL: &str = "marked-external-id:0003";
const CODE: &str = "918273";
const OIDC_TOKEN: &str = "marked.oidc/token+0005";
const ASSERTION: &str = "marked+saml/assertion==0006";
const CONTEXT: &str = "marked context/assertion==0007";
const SENT: Sent = Sent {
    role_arn: HUB,
    external_id: EXTERNAL,
    context_assertion: CONTEXT,
    mfa_code: CODE,
    web_identity_token: OIDC_TOKEN,
    saml_assertion: ASSERTION,
};
const SECRETS: [&str; 7] = [
    SECRET_KEY,
    SESSION_TOKEN,
    EXTERNAL,
    CODE,
    OIDC_TOKEN,
    ASSERTION,
    CONTEXT,
];

/// How a call fails. The failure quotes the whole request if possible.
#[derive(Clone, Copy, Debug)]
enum Fails {
    Io,
    Timeout,
    User,
    Other,
    BodyBreaksOff,
    NotSts,
    Refused,
    Hangs,
}

#[derive(Clone, Debug)]
struct Quotes(Fails);

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
        let mut quoted = String::new();
        for (name, value) in request.headers() {
            writeln!(quoted, "{name}: {value}").unwrap();
        }
        let body = request.body().bytes().unwrap_or_default();
        quoted += std::str::from_utf8(body).unwrap();
        // The decoded parameters are quoted too.
        quoted += &percent_decoded(&quoted);
        let request_id = quoted.replace('\n', " ");
        let text = move || quoted.clone().into();
        let answer = |status: u16, body: String| {
            let status = StatusCode::try_from(status).unwrap();
            let mut answer = HttpResponse::new(status, SdkBody::from(body));
            answer.headers_mut().insert("x-amzn-requestid", request_id);
            Ok(answer)
        };
        let escaped = |text: String| text.replace('&', "&amp;").replace('<', "&lt;");
        HttpConnectorFuture::ready(match self.0 {
            Fails::Io => Err(ConnectorError::io(text())),
            Fails::Timeout => Err(ConnectorError::timeout(text())),
            Fails::User => Err(ConnectorError::user(text())),
            Fails::Other => Err(ConnectorError::other(text(), None)),
            Fails::BodyBreaksOff => answer(200, format!("<AssumeRoleResponse>{}", body_of(text()))),
            Fails::NotSts => answer(200, body_of(text())),
            Fails::Refused => answer(
                400,
                format!(
                    "<ErrorResponse><Error><Code>ValidationError</Code><Message>{}</Message></Error>\
                     <RequestId>r</RequestId></ErrorResponse>",
                    escaped(body_of(text()))
                ),
            ),
            Fails::Hangs => return HttpConnectorFuture::new(std::future::pending()),
        })
    }
}

fn body_of(error: aws_role_chain::BoxError) -> String {
    error.to_string()
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let hex: String = bytes.by_ref().take(2).map(char::from).collect();
        decoded.push(u8::from_str_radix(&hex, 16).unwrap_or(b'%'));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn base(fails: Fails, is_temporary: bool) -> SdkConfig {
    let token = is_temporary.then(|| SESSION_TOKEN.to_owned());
    let keys = Credentials::new("AKIAEXAMPLE", SECRET_KEY, token, None, "test");
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .http_client(SharedHttpClient::new(Quotes(fails)))
        .build()
}

/// Returns a chain for each operation, which is the chain's last call.
fn chains(fails: Fails, device: &str) -> Vec<RoleChain> {
    let device = |i| new_device(&format!("{device}-{i}"));
    starts(&base(fails, true), &base(fails, false), SENT, device)
}

fn shown(error: &(dyn std::error::Error + 'static)) -> String {
    let mut shown = format!(
        "{error}\n{error:?}\n{error:#?}\n{}",
        DisplayErrorContext(error)
    );
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(shown, "\n{error}\n{error:?}\n{error:#?}").unwrap();
        cause = error.source();
    }
    shown
}

fn assert_no_secret(text: &str, what: &str) {
    for secret in SECRETS {
        let encoded: String = secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        for form in [secret, &encoded] {
            let at = text.find(form);
            let near = at.map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                &text[from..text.ceil_char_boundary((at + 100).min(text.len()))]
            });
            assert_eq!(near, None, "{what}: {form} is in it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_an_error_whatever_fails_at_whatever_operation() {
    let (log, _guard) = Log::at(LevelFilter::TRACE);
    let kinds = [
        Fails::Io,
        Fails::Timeout,
        Fails::User,
        Fails::Other,
        Fails::BodyBreaksOff,
        Fails::NotSts,
        Fails::Refused,
        Fails::Hangs,
    ];
    for (number, fails) in kinds.into_iter().enumerate() {
        for (operation, chain) in chains(fails, &format!("leaks-{number}")).iter().enumerate() {
            let what = format!("{fails:?}, operation {operation}");
            let error = chain.refresh().await.unwrap_err();
            assert!(
                error.to_string().contains("(hop 1 of 1): "),
                "{what}: {error}"
            );
            let mut text = shown(&error);
            tokio::time::advance(Duration::from_secs(700)).await;

            let error = chain.provide_credentials().await.unwrap_err();
            text += &shown(&error);
            let client = aws_sdk_sts::Client::new(&chain.sdk_config());
            tokio::time::advance(Duration::from_secs(700)).await;
            let error = client.get_caller_identity().send().await.unwrap_err();
            text += &shown(&error);
            write!(text, "{chain:?} {chain:#?}").unwrap();
            for hop in chain.status() {
                write!(text, "{hop} {hop:?}").unwrap();
            }
            {
                tokio::time::advance(Duration::from_secs(700)).await;
                let diagnosis = chain.diagnose().await;
                write!(text, "{diagnosis} {diagnosis:?} {diagnosis:#?}").unwrap();
            }
            assert_no_secret(&text, &what);
        }
    }
    let logged = log.text();
    assert!(
        logged.contains("no credentials"),
        "this crate's events are in it"
    );
    // The clients above log their own calls, none of which contains a secret of a chain.
    assert_no_secret(&logged, "the log");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_refused_when_the_chain_is_built() {
    for url in [
        "localhost:4567",
        "sts.eu-west-1.amazonaws.com",
        "",
        "http://",
        "http://:4566",
        "ftp://x",
        "https:// x",
    ] {
        let config = base(Fails::Io, true)
            .into_builder()
            .endpoint_url(url)
            .build();
        let device = |i| format!("arn:aws:iam::111111111111:mfa/unused-{i}");
        let mut starts = try_starts(&config, &config, SENT, device);
        starts.push(RoleChain::from_source(&config));
        for start in starts {
            let error = start.unwrap_err();
            assert_eq!(error.field(), Some("endpoint_url"), "{error}");
            assert!(error.is_invalid() && !error.is_transient() && !error.is_source_failure());
            assert!(error.to_string().contains("must be a URL"), "{error}");
            assert!(
                error
                    .to_string()
                    .contains(&format!("but the value is {url:?}")),
                "{error}"
            );
        }
    }
    let with_password = base(Fails::Io, true)
        .into_builder()
        .endpoint_url("localhost://user:hunter2@host")
        .build();
    let error = RoleChain::from_source(&with_password).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    for url in [
        "http://localhost:4566",
        "https://sts.example.com/path",
        "HTTPS://sts.example.com",
        "http://[::1]:4566",
    ] {
        let config = base(Fails::Io, true)
            .into_builder()
            .endpoint_url(url)
            .build();
        let chain = RoleChain::new(&config, Role::new(HUB)).unwrap();
        let error = chain.refresh().await.unwrap_err();
        assert!(error.source().is_none());
        let destination = format!("STS could not be called at {url} (region eu-west-1): ");
        assert!(error.to_string().contains(&destination), "{error}");
    }
}

#[test]
fn fips_and_dual_stack_beside_an_endpoint_of_ones_own_are_refused_when_the_chain_is_built() {
    let url = "https://user:hunter2@sts.example.com";
    let with = |fips, dual_stack, url: Option<&str>| {
        let mut config = base(Fails::Io, true).into_builder();
        config.set_use_fips(fips).set_use_dual_stack(dual_stack);
        config.set_endpoint_url(url.map(str::to_owned));
        let config = config.build();
        let token = || WebIdentityToken::from_file("token");
        [
            RoleChain::new(&config, Role::new(HUB)),
            RoleChain::from_source(&config),
            RoleChain::from_web_identity(&config, Role::new(HUB), token()),
        ]
    };
    for (fips, dual_stack, field, variable) in [
        (Some(true), None, "use_fips", "AWS_USE_FIPS_ENDPOINT"),
        (
            None,
            Some(true),
            "use_dual_stack",
            "AWS_USE_DUALSTACK_ENDPOINT",
        ),
        (Some(true), Some(true), "use_fips", "AWS_USE_FIPS_ENDPOINT"),
    ] {
        for chain in with(fips, dual_stack, Some(url)) {
            let error = chain.unwrap_err();
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.is_invalid() && !error.is_transient(), "{error}");
            for part in [variable, "sts.example.com", "must not be set"] {
                assert!(error.to_string().contains(part), "{error}");
            }
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for chain in with(fips, dual_stack, None) {
            chain.unwrap();
        }
    }
    for chain in with(Some(false), Some(false), Some(url)) {
        chain.unwrap();
    }
}
