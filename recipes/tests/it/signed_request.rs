use aws_role_chain::RoleChain;
use recipes::signed_request::sign_request;
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Method, Request, StatusCode, Url};
use sts_simulator::{HttpResponse, Simulator};

use crate::world::{World, found, serve, simulated, writer};

const REGION: &str = "eu-west-1";

/// Adds an API that returns the caller's ARN.
fn add_api(aws: &Simulator) {
    aws.service("execute-api", |caller, _| {
        let arn = caller.arn().to_owned();
        HttpResponse::new(200.try_into().unwrap(), arn.into())
    });
}

fn request(method: Method, url: &str, body: Option<&'static str>) -> Request {
    let mut request = Request::new(method, url.parse::<Url>().unwrap());
    *request.body_mut() = body.map(Body::from);
    request
}

#[tokio::test]
async fn signed_requests_are_accepted_whatever_is_in_them() {
    let (aws, base) = simulated();
    add_api(&aws);
    let url = serve(&aws).await;
    let chain = RoleChain::new(&base, writer().session_name("orders")).unwrap();
    let client = Client::new();
    let cases = [
        (Method::GET, "/", None),
        (
            Method::GET,
            "/prod/orders/größe 1?b=2&a=1&a=0&empty=&x=%2F+y",
            None,
        ),
        (Method::GET, "/prod//a/../b/%2F%20c", None),
        (Method::POST, "/prod/orders", Some(r#"{"größe": 1}"#)),
        (Method::DELETE, "/prod/orders/1", Some("")),
    ];
    for (method, path, body) in cases {
        let mut request = request(method, &format!("{url}{path}"), body);
        let header = "a  b".parse().unwrap();
        request.headers_mut().insert("x-request", header);
        sign_request(&mut request, &chain, REGION, "execute-api")
            .await
            .unwrap();
        assert!(request.headers()["x-amz-security-token"].is_sensitive());
        let answer = client.execute(request).await.unwrap();
        let caller = answer.text().await.unwrap();
        let session = "arn:aws:sts::222222222222:assumed-role/Writer/orders";
        assert_eq!(caller, session, "{path}");
    }
    assert_eq!(aws.requests(), 1, "one session for all");
}

#[tokio::test]
async fn what_is_changed_after_signing_is_refused_and_a_request_may_be_signed_again() {
    let (aws, base) = simulated();
    add_api(&aws);
    let url = serve(&aws).await;
    let chain = RoleChain::new(&base, writer()).unwrap();
    let mut request = request(Method::POST, &format!("{url}/orders"), Some("1 piece"));
    // The simulator passes unsigned requests to STS, which redirects requests that it does not know.
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let sent = async |request: &Request| {
        let request = request.try_clone().unwrap();
        client.execute(request).await.unwrap().status() == StatusCode::OK
    };
    assert!(!sent(&request).await);
    let sign = async |request: &mut Request| {
        let signed = sign_request(request, &chain, REGION, "execute-api").await;
        signed.unwrap();
    };
    sign(&mut request).await;
    assert!(sent(&request).await);

    *request.body_mut() = Some(Body::from("9 pieces"));
    assert!(!sent(&request).await);
    // A request can also be signed again with another session.
    chain.refresh().await.unwrap();
    sign(&mut request).await;
    assert!(sent(&request).await);
}

#[tokio::test]
async fn a_server_that_others_wrote_accepts_the_signature() {
    let Some(world) = World::new().await else {
        return;
    };
    let call = "Action=GetCallerIdentity&Version=2011-06-15";
    let mut request = request(Method::POST, &world.server.url(), Some(call));
    let form = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert("content-type", form);
    sign_request(&mut request, &world.writer(), "us-east-1", "sts")
        .await
        .unwrap();
    let changed = request.try_clone().unwrap();
    let client = Client::new();
    let answer = client.execute(request).await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.contains(":assumed-role/Writer/"), "{text}");

    let mut request = changed;
    request.url_mut().set_query(Some("a=b"));
    let answer = client.execute(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_refused_role_and_a_body_without_a_hash_are_errors() {
    let (_aws, base) = simulated();
    let refused = RoleChain::new(&base, writer().external_id("another")).unwrap();
    let mut get = request(Method::GET, "http://127.0.0.1:9/", None);
    let error = sign_request(&mut get, &refused, REGION, "execute-api");
    assert!(found(&*error.await.unwrap_err()).is_access_denied());

    let chain = RoleChain::new(&base, writer()).unwrap();
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("1 piece")]);
    *get.body_mut() = Some(Body::wrap_stream(stream));
    let error = sign_request(&mut get, &chain, REGION, "execute-api");
    let text = error.await.unwrap_err().to_string();
    assert!(text.contains("a stream"), "{text}");
    assert!(get.headers().is_empty());
}
