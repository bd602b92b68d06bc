use std::time::{Duration, Instant};

use aws_role_chain::{Role, RoleChain};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use recipes::presigned_url::presigned_get;
use reqwest::StatusCode;

use crate::documents::{allow, trusts};
use crate::world::{A, BUCKET, World, found, simulated, writer};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn anybody_may_read_the_object_until_the_url_expires() {
    let Some(world) = World::new().await else {
        return;
    };
    let chain = world.writer();
    let config = Builder::from(&chain.sdk_config()).force_path_style(true);
    let s3 = Client::from_conf(config.build());
    let put = s3.put_object().bucket(BUCKET).key("größe 1");
    put.body(b"one".to_vec().into()).send().await.unwrap();

    let url = presigned_get(&chain, &s3, BUCKET, "größe 1", 30 * MINUTE);
    let url = url.await.unwrap();
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "one");
    let other = url.replace("%201", "%202");
    let answer = reqwest::get(&other).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);

    let url = presigned_get(&chain, &s3, BUCKET, "größe 1", Duration::from_secs(1));
    let url = url.await.unwrap();
    let deadline = Instant::now() + MINUTE;
    loop {
        let answer = reqwest::get(&url).await.unwrap();
        if answer.status() == StatusCode::FORBIDDEN {
            let text = answer.text().await.unwrap();
            assert!(text.contains("expired"), "{text}");
            break;
        }
        assert!(Instant::now() < deadline, "the URL does not expire");
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_is_signed_with_a_session_that_lasts_as_long() {
    let (aws, base) = simulated();
    let chain = RoleChain::new(&base, writer()).unwrap();
    let s3 = Client::new(&chain.sdk_config());
    let signed_by = async || {
        let url = presigned_get(&chain, &s3, BUCKET, "report", 30 * MINUTE);
        let url = url.await.unwrap();
        assert!(url.contains("X-Amz-Security-Token="), "{url}");
        let (_, credential) = url.split_once("X-Amz-Credential=").unwrap();
        credential.split_once('%').unwrap().0.to_owned()
    };
    let first = signed_by().await;
    aws.clock().advance(29 * MINUTE).await;
    assert_eq!(signed_by().await, first);
    aws.clock().advance(2 * MINUTE).await;
    assert_ne!(signed_by().await, first);
}

#[tokio::test(start_paused = true)]
async fn behind_another_role_no_url_lasts_longer_than_an_hour() {
    let (aws, base) = simulated();
    let hub = "arn:aws:iam::222222222222:role/Hub";
    let role = aws.role(hub).trust(trusts(A));
    role.max_session_duration(12 * 60 * MINUTE)
        .policy(allow("s3:*"))
        .create()
        .unwrap();
    let direct = writer().duration(12 * 60 * MINUTE);
    aws.role(crate::world::WRITER)
        .max_session_duration(12 * 60 * MINUTE)
        .trust(crate::documents::trusts_with_external_id(crate::world::B))
        .policy(allow("*"))
        .create()
        .unwrap();
    let direct = RoleChain::new(&base, direct).unwrap();
    let chained = direct.assume(Role::new(hub)).unwrap();
    let presigned = async |chain: &RoleChain| {
        let s3 = Client::new(&chain.sdk_config());
        presigned_get(chain, &s3, BUCKET, "report", 6 * 60 * MINUTE).await
    };
    presigned(&direct).await.unwrap();
    let error = presigned(&chained).await.unwrap_err();
    let text = found(&*error).to_string();
    assert!(text.contains("21600 s are required"), "{text}");
}
