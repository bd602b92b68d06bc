//! The function in a process that fetches its events from the Runtime API, as on Lambda; and a chain in a process that
//! is frozen.

use std::collections::VecDeque;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_role_chain::RoleChain;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sts_simulator::{Fault, HttpResponse, Simulator};
use tokio::net::TcpListener;

use crate::documents::EXTERNAL_ID;
use crate::world::{WRITER, serve, simulated, writer};

/// Adds Firehose, and returns the list of the records that sessions of the role put.
fn add_firehose(aws: &Simulator) -> Arc<Mutex<Vec<String>>> {
    let records = Arc::new(Mutex::new(Vec::new()));
    let kept = records.clone();
    aws.service("firehose", move |caller, request| {
        assert!(caller.arn().contains(":assumed-role/Writer/"));
        let body = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
        kept.lock().unwrap().push(body);
        let answer = r#"{"RecordId": "1"}"#;
        HttpResponse::new(200.try_into().unwrap(), answer.into())
    });
    records
}

/// Serves Lambda's Runtime API: returns the events, and then an invalid response, at which the process ends.
async fn runtime_api(events: usize) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let results = Arc::new(Mutex::new(Vec::new()));
    let events: VecDeque<_> = (1..=events).collect();
    let events = Arc::new(Mutex::new(events));
    let next = move || {
        let event = events.lock().unwrap().pop_front();
        async move { event.map_or(StatusCode::GONE.into_response(), event_response) }
    };
    let kept = results.clone();
    let result = move |Path((id, kind)): Path<(String, String)>, body: String| {
        kept.lock().unwrap().push(format!("{id} {kind} {body}"));
        async { StatusCode::ACCEPTED }
    };
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(result));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, results)
}

fn event_response(number: usize) -> Response {
    let headers = [
        ("lambda-runtime-aws-request-id", number.to_string()),
        ("lambda-runtime-deadline-ms", "32503680000000".to_owned()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-west-1:111111111111:function:orders".to_owned(),
        ),
    ];
    (headers, format!(r#"{{"order": {number}}}"#)).into_response()
}

async fn run(aws: &Simulator, base: &aws_types::SdkConfig, api: &str, external_id: &str) -> Output {
    use aws_credential_types::provider::ProvideCredentials;
    let keys = base.credentials_provider().unwrap();
    let keys = keys.provide_credentials().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lambda"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "orders")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "log")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "log")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", keys.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", keys.secret_access_key())
        .env("AWS_ENDPOINT_URL", serve(aws).await)
        .env("WRITER_ROLE_ARN", WRITER)
        .env("EXTERNAL_ID", external_id)
        .env("STREAM", "events")
        .stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    ended.await.unwrap().unwrap()
}

#[tokio::test]
async fn all_events_of_an_execution_environment_share_one_session() {
    let (aws, base) = simulated();
    let records = add_firehose(&aws);
    let (api, results) = runtime_api(3).await;
    let output = run(&aws, &base, &api, EXTERNAL_ID).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = ["1 response null", "2 response null", "3 response null"];
    assert_eq!(*results.lock().unwrap(), expected, "{text}");
    assert_eq!(records.lock().unwrap().len(), 3);
    assert_eq!(aws.assumed(WRITER), 1);
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_fails_the_initialization() {
    let (aws, base) = simulated();
    let (api, results) = runtime_api(1).await;
    let output = run(&aws, &base, &api, "another").await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        text.contains(WRITER) && text.contains("AccessDenied"),
        "{text}"
    );
    assert!(results.lock().unwrap().is_empty());
}

/// Simulates a frozen process: no task runs, and all timers are late when it continues.
async fn freeze(duration: Duration) {
    tokio::time::advance(duration).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_freeze_one_call_is_made_if_the_session_is_over_and_none_if_it_is_not() {
    const MINUTE: Duration = Duration::from_secs(60);
    let (aws, base) = simulated();
    add_firehose(&aws);
    let chain = RoleChain::new(&base, writer()).unwrap();
    chain.refresh().await.unwrap();
    let firehose = Client::new(&chain.sdk_config());
    let put = async || {
        let record = Record::builder().data(Blob::new("1")).build().unwrap();
        let put = firehose.put_record().delivery_stream_name("events");
        put.record(record).send().await
    };
    put().await.unwrap();
    for (frozen, calls) in [(30 * MINUTE, 1), (120 * MINUTE, 2), (24 * 60 * MINUTE, 3)] {
        freeze(frozen).await;
        put().await.unwrap();
        assert_eq!(aws.assumed(WRITER), calls, "after {frozen:?}");
    }

    // Frozen during a refresh, whose response never arrives.
    aws.fail(Fault::no_answer());
    freeze(120 * MINUTE).await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), put());
    given_up.await.unwrap_err();
    freeze(120 * MINUTE).await;
    aws.recover();
    put().await.unwrap();
}
