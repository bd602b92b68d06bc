use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_role_chain::RoleChain;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sts_simulator::HttpResponse;

use crate::ministack::REGION;
use crate::world::{BUCKET, WRITER, World, found, serve, simulated, writer};

fn store(chain: RoleChain, endpoint: &str) -> AmazonS3 {
    let s3 = AmazonS3Builder::new()
        .with_region(REGION)
        .with_bucket_name(BUCKET)
        .with_endpoint(endpoint)
        .with_allow_http(true);
    recipes::object_store::store(chain, s3).unwrap()
}

#[tokio::test]
async fn objects_are_written_listed_and_read_in_another_account() {
    let Some(world) = World::new().await else {
        return;
    };
    let store = store(world.writer(), &world.server.url());
    let small = Path::from("reports/größe 1.txt");
    store.put(&small, "one".into()).await.unwrap();

    let large = Path::from("reports/large");
    let parts = vec![7; 11 << 20];
    let upload = store.put_multipart(&large).await.unwrap();
    let mut upload = WriteMultipart::new(upload);
    upload.write(&parts);
    upload.finish().await.unwrap();

    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    let read = store.get(&small).await.unwrap().bytes().await.unwrap();
    assert_eq!(&*read, b"one");
    let read = store.get(&large).await.unwrap().bytes().await.unwrap();
    assert!(*read == *parts);
}

#[tokio::test]
async fn a_signed_url_is_good_once_the_session_lasts_as_long() {
    const VALID_FOR: Duration = Duration::from_secs(1800);
    let Some(world) = World::new().await else {
        return;
    };
    let chain = world.writer();
    let store = store(chain.clone(), &world.server.url());
    let path = Path::from("report");
    store.put(&path, "one".into()).await.unwrap();
    chain.credentials_valid_for(VALID_FOR).await.unwrap();
    let url = store.signed_url(reqwest::Method::GET, &path, VALID_FOR);
    let answer = reqwest::get(url.await.unwrap()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "one");
}

#[tokio::test]
async fn a_refused_role_is_the_chains_error_in_object_stores_with_what_to_check() {
    let Some(world) = World::new().await else {
        return;
    };
    let store = store(world.refused(), &world.server.url());
    let error = store.get(&Path::from("report")).await.unwrap_err();
    assert!(found(&error).is_access_denied(), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(WRITER) && text.contains("external ID"),
        "{text}"
    );
}

#[tokio::test]
async fn requests_share_a_session_and_go_on_with_the_next_one() {
    let (aws, base) = simulated();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let signed_by = keys.clone();
    aws.service("s3", move |_, request| {
        let authorization = request.headers().get("authorization").unwrap();
        let key = authorization.split(['=', '/']).nth(1).unwrap();
        signed_by.lock().unwrap().push(key.to_owned());
        let mut answer = HttpResponse::new(200.try_into().unwrap(), "".into());
        answer.headers_mut().insert("etag", "\"1\"");
        answer
    });
    let chain = RoleChain::new(&base, writer().duration(Duration::from_secs(900))).unwrap();
    let store = store(chain, &serve(&aws).await);
    let put = async || {
        store
            .put(&Path::from("report"), "one".into())
            .await
            .unwrap()
    };
    for _ in 0..20 {
        put().await;
    }
    assert_eq!(aws.assumed(WRITER), 1);

    // object_store signs with the machine's clock, from which the simulator's may differ by up to 15 minutes.
    tokio::time::pause();
    aws.clock().advance(Duration::from_secs(14 * 60 + 30)).await;
    tokio::time::resume();
    put().await;
    assert_eq!(aws.assumed(WRITER), 2);
    let keys = keys.lock().unwrap();
    assert_eq!(keys.len(), 21);
    assert!(keys[..20].iter().all(|key| *key == keys[0]));
    assert_ne!(keys[20], keys[0]);
}

#[test]
fn without_a_tokio_runtime_the_error_says_so() {
    let (_aws, base) = simulated();
    let chain = RoleChain::new(&base, writer()).unwrap();
    let store = store(chain, "http://127.0.0.1:9");
    let path = Path::from("report");
    let mut call = pin!(store.get(&path));
    let Poll::Ready(Err(error)) = call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("there is nothing to wait for");
    };
    assert!(
        found(&error).to_string().contains("tokio runtime"),
        "{error}"
    );
}
