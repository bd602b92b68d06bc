use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_role_chain::{Error, Health, RoleChain};
use opendal::Operator;
use opendal::services::S3;
use recipes::opendal::RoleChainCredentials;
use reqsign_aws_v4::RequestSigner;
use reqsign_core::{Context, ProvideCredential, Signer};

use crate::ministack::REGION;
use crate::world::{BUCKET, World, found, simulated};

fn operator(chain: RoleChain, endpoint: &str) -> Operator {
    let s3 = S3::default()
        .bucket(BUCKET)
        .region(REGION)
        .endpoint(endpoint);
    recipes::opendal::operator(chain, s3).unwrap()
}

#[tokio::test]
async fn objects_are_written_listed_and_read_in_another_account() {
    let Some(world) = World::new().await else {
        return;
    };
    let operator = operator(world.writer(), &world.server.url());
    operator.write("reports/größe 1.txt", "one").await.unwrap();
    let parts = vec![7_u8; 11 << 20];
    let large = operator.write_with("reports/large", parts.clone());
    large.chunk(5 << 20).await.unwrap();

    let listed = operator.list("reports/").await.unwrap();
    assert_eq!(listed.len(), 2);
    let read = operator.read("reports/größe 1.txt").await.unwrap();
    assert_eq!(read.to_vec(), b"one");
    assert!(operator.read("reports/large").await.unwrap().to_vec() == parts);
}

#[tokio::test]
async fn a_presigned_url_is_good_and_one_that_outlives_the_session_is_an_error() {
    let Some(world) = World::new().await else {
        return;
    };
    let operator = operator(world.writer(), &world.server.url());
    operator.write("report", "one").await.unwrap();
    let half = Duration::from_secs(1800);
    let url = operator.presign_read("report", half).await.unwrap();
    let answer = reqwest::get(url.uri().to_string()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "one");
    operator.presign_read("report", 4 * half).await.unwrap_err();
}

#[tokio::test]
async fn opendal_loses_the_reason_of_a_refusal_and_the_chain_has_it() {
    let Some(world) = World::new().await else {
        return;
    };
    let chain = world.refused();
    let operator = operator(chain.clone(), &world.server.url());
    let error = operator.read("report").await.unwrap_err();
    assert!(Error::find(&error).is_none(), "{error:?}");
    let Health::Failing(error) = chain.health() else {
        panic!("{}", chain.health());
    };
    assert!(error.is_access_denied());
    // If reqsign calls the provider directly, its error keeps the reason.
    let (credentials, context) = (RoleChainCredentials(chain), Context::new());
    let error = credentials.provide_credential(&context).await.unwrap_err();
    assert!(found(&error).is_access_denied());
}

/// Provides numbered credentials: the first are valid for 100 s, all others for an hour.
#[derive(Debug, Default)]
struct Numbered(AtomicUsize);

impl ProvideCredentials for Numbered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let lifetime = Duration::from_secs(if number == 1 { 100 } else { 3600 });
        let expiry = SystemTime::now() + lifetime;
        let credentials = Credentials::new(format!("KEY{number}"), "s", None, Some(expiry), "test");
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

#[tokio::test]
async fn reqsign_asks_again_two_minutes_before_expiry_and_not_before() {
    let (_aws, base) = simulated();
    let source = SharedCredentialsProvider::new(Numbered::default());
    let base = base.to_builder().credentials_provider(source).build();
    let chain = RoleChain::from_source(&base).unwrap();
    let credentials = RoleChainCredentials(chain.clone());
    let signer = Signer::new(
        Context::new(),
        credentials,
        RequestSigner::new("s3", REGION),
    );
    let signed_by = async || {
        let request = http::Request::get("http://127.0.0.1/report").body(());
        let (mut head, ()) = request.unwrap().into_parts();
        signer.sign(&mut head, None).await.unwrap();
        let authorization = head.headers["authorization"].to_str().unwrap().to_owned();
        authorization.split(['=', '/']).nth(1).unwrap().to_owned()
    };
    assert_eq!(signed_by().await, "KEY1");
    chain.refresh().await.unwrap();
    let second = signed_by().await;
    assert_ne!(second, "KEY1");
    chain.refresh().await.unwrap();
    assert_eq!(signed_by().await, second, "reqsign's own cache");
}
