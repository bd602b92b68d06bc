//! SDK clients that use a chain: their identity cache, and the renewal of sessions that a service rejects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_role_chain::{Error, Role, RoleChain};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_smithy_async::rt::sleep::AsyncSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use sts_simulator::{Fault, Simulator};

use crate::common::*;

fn answer(status: u16, json: &str) -> HttpResponse {
    let status = StatusCode::try_from(status).unwrap();
    HttpResponse::new(status, SdkBody::from(json))
}

/// Adds a Firehose service that accepts every valid session.
fn with_firehose(aws: &Simulator) {
    aws.service("firehose", |_, _| {
        answer(200, r#"{"RecordId":"1","Encrypted":false}"#)
    });
}

/// Adds a Firehose service that rejects every session, and returns the number of its calls.
fn with_firehose_that_rejects_sessions(aws: &Simulator) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    aws.service("firehose", move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer(
            400,
            r#"{"__type":"ExpiredTokenException","message":"expired"}"#,
        )
    });
    calls
}

async fn put(client: &aws_sdk_firehose::Client) -> Result<(), String> {
    let record = Record::builder().data(Blob::new("record")).build().unwrap();
    let call = client
        .put_record()
        .delivery_stream_name("events")
        .record(record);
    call.send()
        .await
        .map(drop)
        .map_err(|error| format!("{error:?}"))
}

fn recreate_hub(aws: &Simulator) {
    aws.delete_role(HUB);
    aws.role(HUB)
        .trust(trusts(USER))
        .policy(allow("*"))
        .create()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_for_an_outage_after_expiry_has_the_services_error_and_health_the_reason()
{
    let (aws, base) = aws();
    with_firehose(&aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let client = aws_sdk_firehose::Client::new(&chain.sdk_config());
    put(&client).await.unwrap();

    aws.fail(Fault::service_unavailable());
    aws.clock().advance(2 * HOUR).await;
    let record = Record::builder().data(Blob::new("record")).build().unwrap();
    let call = client.put_record().delivery_stream_name("events");
    let error = call.record(record).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("ExpiredToken"), "{error:?}");
    assert!(Error::find(&error).is_none(), "{error:?}");
    let health = chain.health();
    assert!(health.error().unwrap().is_transient(), "{health}");
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_a_refresh_with_its_next_call() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let client = aws_sdk_sts::Client::new(&chain.sdk_config());
    let key_of = |calls: Vec<sts_simulator::Call>| {
        let call = calls
            .into_iter()
            .rev()
            .find(|call| call.action == "GetCallerIdentity");
        call.unwrap().access_key_id
    };
    client.get_caller_identity().send().await.unwrap();
    let first = key_of(aws.calls());
    client.get_caller_identity().send().await.unwrap();
    assert_eq!(key_of(aws.calls()), first);
    chain.refresh().await.unwrap();
    client.get_caller_identity().send().await.unwrap();
    assert_ne!(key_of(aws.calls()), first);
    assert_eq!(aws.assumed(HUB), 2);
}

/// A provider that counts its calls.
#[derive(Debug, Clone)]
struct Counted(Credentials, Arc<AtomicUsize>);

impl ProvideCredentials for Counted {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.1.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::ready(Ok(self.0.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn another_provider_of_a_client_or_an_operation_is_cached_as_the_sdk_does_it() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let keys = aws
        .user("arn:aws:iam::111111111111:user/other")
        .create()
        .unwrap();
    let other = SharedCredentialsProvider::new(Counted(keys, calls.clone()));
    let client = aws_sdk_sts::Client::new(&chain.sdk_config());
    for _ in 0..3 {
        let own = client.get_caller_identity().send().await.unwrap();
        assert!(own.arn.unwrap().contains(":assumed-role/Hub/"));
        let config = aws_sdk_sts::config::Config::builder().credentials_provider(other.clone());
        let call = client
            .get_caller_identity()
            .customize()
            .config_override(config);
        let theirs = call.send().await.unwrap();
        assert_eq!(theirs.arn.unwrap(), "arn:aws:iam::111111111111:user/other");
    }
    // The SDK creates a cache for each override that has a provider.
    assert_eq!(calls.swap(0, Ordering::Relaxed), 3);
    let config = chain
        .sdk_config()
        .into_builder()
        .credentials_provider(other)
        .build();
    let client = aws_sdk_sts::Client::new(&config);
    for _ in 0..3 {
        client.get_caller_identity().send().await.unwrap();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1, "cached");
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_the_error_of_the_chain() {
    let (aws, base) = aws();
    with_firehose(&aws);
    aws.fail(Fault::error(403, "AccessDenied", "no").role(HUB));
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let client = aws_sdk_firehose::Client::new(&chain.sdk_config());
    let call = client.list_delivery_streams().send().await.unwrap_err();
    let error = Error::find(&call).expect("it is among the sources");
    assert!(error.is_access_denied());
    assert!(format!("{call:?}").contains("AccessDenied: no"), "{call:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_killed_is_renewed_and_the_call_succeeds() {
    let (aws, base) = aws();
    with_firehose(&aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let renewing = aws_sdk_firehose::config::Builder::from(&chain.sdk_config())
        .interceptor(chain.session_renewal())
        .retry_classifier(chain.session_renewal())
        .build();
    let renewing = aws_sdk_firehose::Client::from_conf(renewing);
    let plain = aws_sdk_firehose::Client::new(&chain.sdk_config());
    put(&renewing).await.unwrap();
    aws.clock().advance(2 * MINUTE).await;
    put(&renewing).await.unwrap();
    put(&renewing).await.unwrap();
    assert_eq!(aws.assumed(HUB), 1, "no answer rejected the session");
    recreate_hub(&aws);

    let error = put(&plain).await.unwrap_err();
    assert!(error.contains("UnrecognizedClientException"), "{error}");
    assert_eq!(aws.assumed(HUB), 1);
    put(&renewing).await.unwrap();
    assert_eq!(aws.assumed(HUB), 2, "one AssumeRole");
    put(&plain).await.unwrap();
    assert_eq!(aws.assumed(HUB), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_rejects_a_fresh_session_too_is_not_retried() {
    let (aws, base) = aws();
    let calls = with_firehose_that_rejects_sessions(&aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let config = aws_sdk_firehose::config::Builder::from(&chain.sdk_config())
        .interceptor(chain.session_renewal())
        .retry_classifier(chain.session_renewal())
        .build();
    let client = aws_sdk_firehose::Client::from_conf(config);
    chain.refresh().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;

    let error = put(&client).await.unwrap_err();
    assert!(error.contains("ExpiredTokenException"), "{error}");
    assert_eq!((aws.assumed(HUB), calls.load(Ordering::Relaxed)), (2, 2));
    for _ in 0..10 {
        put(&client).await.unwrap_err();
    }
    assert_eq!(aws.assumed(HUB), 2, "no loop");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_others_credentials_sign_is_not_retried_for_the_chain() {
    let (aws, base) = aws();
    let calls = with_firehose_that_rejects_sessions(&aws);
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    chain.refresh().await.unwrap();
    aws.clock().advance(2 * MINUTE).await;
    let config = aws_sdk_firehose::config::Builder::from(&chain.sdk_config())
        .interceptor(chain.session_renewal())
        .retry_classifier(chain.session_renewal())
        .credentials_provider(user(&aws))
        .build();
    let client = aws_sdk_firehose::Client::from_conf(config);
    let error = put(&client).await.unwrap_err();
    assert!(error.contains("ExpiredTokenException"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(aws.assumed(HUB), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clients_own_cache_may_give_up_before_a_person_answers_and_the_load_goes_on() {
    let (aws, base) = aws();
    let device = new_device("forgotten-at-home");
    let keys = user_with_device(&aws, &device);
    let base = base
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    let codes = || {
        let aws = aws.clone();
        move |request: aws_role_chain::MfaRequest| {
            let aws = aws.clone();
            async move {
                aws.clock().sleep(MINUTE).await;
                aws.mfa_code(&request.serial).ok_or("no device")
            }
        }
    };
    let chain = || RoleChain::new(&base, Role::new(HUB).mfa(&*device, codes())).unwrap();

    let patient = aws_sdk_sts::Client::new(&chain().sdk_config());
    patient.get_caller_identity().send().await.unwrap();

    let provider = SharedCredentialsProvider::new(chain());
    let config = base.to_builder().credentials_provider(provider).build();
    let impatient = aws_sdk_sts::Client::new(&config);
    let error = impatient.get_caller_identity().send().await.unwrap_err();
    assert!(format!("{error:?}").contains("TimedOut"), "{error:?}");
    aws.clock().sleep(MINUTE).await;
    impatient.get_caller_identity().send().await.unwrap();
    assert_eq!(aws.assumed(HUB), 2);
}
