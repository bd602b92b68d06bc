//! A web service whose readiness check reports whether the service has valid credentials.
//!
//! ```text
//! cargo run --example health --features serde -- --role-arn arn:aws:iam::222222222222:role/FirehoseWriter
//! curl --include http://127.0.0.1:8080/healthz
//! ```
//!
//! `/healthz` responds with 200 while the chain is ready or degraded, and with 503 when it is failing. The JSON
//! contains the state with its reason and, for each hop, the expiry of the credentials and the last error. Use it for a
//! readiness probe, not for a liveness probe: a restart does not help. ARNs and access key IDs are not secret, but do
//! not publish them.
//!
//! `--local` runs with the simulator `sts-simulator`. `--local --external-id wrong` shows a role that cannot be
//! assumed.

#[path = "common/base.rs"]
#[allow(dead_code)] // No example needs all of it.
mod base;
#[path = "local/health.rs"]
mod local;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Role, RoleChain};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router, routing};
use base::BaseOptions;
use clap::Parser;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Run a web service with a readiness check for its credentials.
#[derive(Parser)]
struct Options {
    /// Role that the service assumes
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", local::ROLE_ARN)
    )]
    role_arn: Option<String>,

    /// External ID that the role's trust policy requires
    #[arg(long, default_value_if("local", "true", "c0ffee"))]
    external_id: Option<String>,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,

    /// Profile with the source credentials [default: the SDK's default credentials]
    #[arg(long, conflicts_with = "local")]
    profile: Option<String>,

    #[command(flatten)]
    base: BaseOptions,
}

fn main() -> ExitCode {
    program::run(serve(Options::parse()))
}

async fn serve(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let role_arn = options.role_arn.unwrap_or_default(); // clap requires it, or sets a default with --local
    let base = if options.base.local {
        local::start(&role_arn)?
    } else {
        options.base.load(options.profile.as_deref()).await?
    };
    let mut role = Role::new(role_arn);
    if let Some(id) = options.external_id {
        role = role.external_id(id);
    }
    // One chain for the whole service, so that all clients, created with chain.sdk_config(), share one session.
    let chain = RoleChain::new(&base, role)?;

    let listen = &options.listen;
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|error| format!("--listen {listen}: {error}"))?;
    let address = listener.local_addr()?;
    program::print(&format!("listening: http://{address}/healthz\n"))?;
    let router = Router::new()
        .route("/healthz", routing::get(healthz))
        .with_state(chain);
    axum::serve(listener, router).await?;
    Ok(ExitCode::SUCCESS)
}

async fn healthz(State(chain): State<RoleChain>) -> (StatusCode, Json<Value>) {
    // health() makes no call, and a service that is not ready receives no requests, which would load credentials. So
    // request them here: while they are cached, this costs nothing. After a second the check stops waiting, but the
    // load continues.
    let load = chain.provide_credentials();
    let _ = tokio::time::timeout(Duration::from_secs(1), load).await;

    let health = chain.health();
    let code = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let page = json!({ "health": health, "hops": chain.status() });
    (code, Json(page))
}
