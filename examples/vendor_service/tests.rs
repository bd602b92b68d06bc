//! Tests of the service without sockets, with the simulator's clock.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body, Bytes, HttpBody};
use axum::http::Request;
use clap::Parser;
use hyper::body::Frame;
use serde_json::Value;
use sts_simulator::Fault;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::firehose::{MAX_BYTES, MAX_RECORD_BYTES};
use crate::local::{HUB_ARN, Local};
use crate::options::Options;
use crate::queue::Queue;
use crate::routes::router;
use crate::service::Service;
use crate::{customers, figures};

const MIB: usize = 1024 * 1024;

struct Test {
    local: Local,
    service: Arc<Service>,
    router: Router,
}

/// Creates a service with five customers, of which the last three are meant to fail.
fn test(arguments: &[&str]) -> Test {
    let arguments = ["vendor_service", "--local"].iter().chain(arguments);
    let options = Options::parse_from(arguments);
    let local = Local::start(HUB_ARN, 5, Duration::from_millis(20)).unwrap();
    let figures = figures::recorder().unwrap().handle();
    let service = Service::new(&options, &local.base, &local.rows(), figures).unwrap();
    let service = Arc::new(service);
    let router = router(service.clone());
    Test {
        local,
        service,
        router,
    }
}

impl Test {
    /// Sends a request for a customer, who is numbered from 1.
    fn post(&self, customer: u32, body: impl Into<Body>) -> JoinHandle<Answer> {
        let path = format!("/customers/customer-{customer:05}/records");
        let request = Request::post(path).body(body.into()).unwrap();
        tokio::spawn(answer(self.router.clone(), request))
    }

    async fn put(&self, customer: u32, body: impl Into<Body>) -> Answer {
        self.post(customer, body).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).unwrap();
        answer(self.router.clone(), request).await
    }

    /// Waits until the size of the queue is in this range.
    async fn queued(&self, kib: std::ops::Range<u32>) {
        while !kib.contains(&self.service.queue.used_kib()) {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: bool,
    body: Value,
}

impl Answer {
    fn error(&self) -> (u16, &str) {
        (self.status, self.body["error"].as_str().unwrap_or_default())
    }

    fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }
}

async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let retry_after = response.headers().contains_key("retry-after");
    let body = body::to_bytes(response.into_body(), MIB).await.unwrap();
    Answer {
        status,
        retry_after,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// Returns a body of about this size, with records of 900 KiB.
fn big(bytes: usize) -> String {
    format!("\"{}\"\n", "x".repeat(900 * 1024)).repeat(bytes / 1024 / 900)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_for_a_customer_at_once_make_one_assume_role() {
    let test = test(&[]);
    let posts: Vec<_> = (0..1000).map(|i| test.post(1, i.to_string())).collect();
    for post in posts {
        assert_eq!(post.await.unwrap().status, 200);
    }
    assert_eq!(test.local.aws.assumed(&test.local.customers[0].role_arn), 1);
    assert_eq!(test.local.aws.requests(), 2, "the hub, and the customer");
    assert_eq!(test.local.check([]).records, 1000);
    assert_eq!(test.service.queue.used_kib(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_customer_whose_role_was_deleted_and_created_again_gets_a_new_session() {
    let test = test(&[]);
    let role_arn = &test.local.customers[0].role_arn;
    assert_eq!(test.put(1, "1").await.status, 200);
    test.local
        .aws
        .clock()
        .advance(Duration::from_secs(600))
        .await;

    // The sessions of a role end when it is deleted, even if it is created again.
    test.local.aws.delete_role(role_arn);
    let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"}}}"#;
    let may_put = r#"{"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "firehose:PutRecordBatch", "Resource": "*"}}"#;
    test.local
        .aws
        .role(role_arn)
        .trust(trust)
        .policy(may_put)
        .create()
        .unwrap();
    assert_eq!(test.put(1, "2").await.status, 200);
    assert_eq!(test.local.aws.assumed(role_arn), 2);
    assert_eq!(test.local.check([]).records, 2);
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_fails_is_told_why_and_disturbs_no_other() {
    let test = test(&[]);
    let posts: Vec<_> = (0..10)
        .flat_map(|_| 1..=5)
        .map(|customer| (customer, test.post(customer, "{}\n\n1")))
        .collect();
    let mut answers = BTreeMap::new();
    for (customer, post) in posts {
        answers.insert(customer, post.await.unwrap());
    }
    for customer in [1, 2] {
        assert_eq!(answers[&customer].body["records"], 2, "{answers:?}");
    }
    assert_eq!(test.local.check([]).records, 40);
    for (customer, error, reason) in [
        (
            3,
            "AccessDenied",
            "is not authorized to perform: sts:AssumeRole",
        ),
        (4, "ResourceNotFoundException", "Firehose no-such-stream"),
        (
            5,
            "invalid arn",
            "must not be a role of account 111111111111",
        ),
    ] {
        let answer = &answers[&customer];
        assert_eq!(answer.error(), (424, error));
        assert!(answer.reason().contains(reason), "{answer:?}");
        assert_eq!(answer.body["lines"], Value::from(vec![1, 3]));
        assert!(!answer.retry_after);
    }
    let unknown = test.put(6, "1").await;
    assert_eq!(unknown.error(), (404, "UnknownCustomer"));
    let shown = format!("{answers:?}{unknown:?}");
    let rows: Value = serde_json::from_slice(&test.local.rows()).unwrap();
    for row in rows.as_array().unwrap() {
        let external_id = row["external_id"].as_str().unwrap();
        assert!(!shown.contains(external_id), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_sts_is_not_seen_by_a_customer_with_a_session() {
    let test = test(&[]);
    assert_eq!(test.put(1, "1").await.status, 200);
    test.local.aws.fail(Fault::service_unavailable());
    let asked = test.local.aws.requests();
    for _ in 0..58 {
        test.local
            .aws
            .clock()
            .advance(Duration::from_secs(60))
            .await;
        assert_eq!(test.put(1, "1").await.status, 200);
    }
    let asked = test.local.aws.requests() - asked;
    assert!(asked > 1, "its session was due for a refresh");
    let cold = test.put(2, "1").await;
    assert_eq!(cold.error(), (503, "ServiceUnavailable"));
    assert!(cold.retry_after, "{cold:?}");

    test.local.aws.recover();
    // The time after which the response told the client to retry.
    let second = Duration::from_secs(1);
    test.local.aws.clock().advance(second).await;
    let recovered = test.put(2, "1").await;
    assert_eq!(recovered.status, 200, "{recovered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_requests_before_their_bodies_are_read() {
    let test = test(&["--queue-mib", "8"]);
    for customer in [1, 2] {
        test.put(customer, "1").await;
    }
    test.local.aws.set_latency(Duration::from_secs(5));
    let slow: Vec<_> = [1, 2]
        .map(|customer| test.post(customer, big(4 * MIB)))
        .into();
    test.queued(7000..8192).await;

    let own = test.put(1, Body::new(Never)).await;
    assert_eq!(own.error(), (429, "TooManyRecords"));
    let others = test.put(3, Body::new(Never)).await;
    assert_eq!(others.error(), (503, "QueueFull"));
    assert!(own.retry_after && others.retry_after);

    for post in slow {
        assert_eq!(post.await.unwrap().status, 200);
    }
    assert_eq!(test.service.queue.used_kib(), 0);
    assert_eq!(test.put(1, big(4 * MIB)).await.status, 200);
}

/// A body without a length that never arrives.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_gives_its_place_back() {
    let test = test(&[]);
    let answer = test.put(1, Body::new(Never)).await;
    assert_eq!(answer.error(), (503, "TimedOut"));
    assert_eq!(test.service.queue.used_kib(), 0);
}

#[tokio::test(start_paused = true)]
async fn bodies_out_of_limits_are_refused_by_line() {
    let test = test(&[]);
    // A record of exactly this many bytes, including its quotes and line feed.
    let record = |bytes: usize| format!("\"{}\"\n", "x".repeat(bytes - 3));
    let most = record(MAX_RECORD_BYTES);
    let full = most.repeat(4) + &record(MAX_BYTES - 4 * MAX_RECORD_BYTES);
    for body in [
        "1".to_owned(),
        "1\r\n\n 2".to_owned(),
        "1\n".repeat(500),
        most.clone(),
        full.clone(),
    ] {
        let answer = test.put(1, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for (body, status, why) in [
        (String::new(), 400, "no records"),
        ("\n \r\n".to_owned(), 400, "no records"),
        (
            "1\n\n{\"a\":\n1}".to_owned(),
            400,
            "line 3: must be a JSON value: EOF",
        ),
        (
            "[".repeat(200),
            400,
            "line 1: must be a JSON value: recursion limit",
        ),
        ("1\n".repeat(501), 413, "501 records"),
        (
            "1\n".to_owned() + &record(MAX_RECORD_BYTES + 1),
            413,
            "line 2: over 1,000 KiB",
        ),
        // The line feed that the service adds exceeds the limit.
        (
            most[..most.len() - 1].to_owned() + " ",
            413,
            "line 1: over 1,000 KiB",
        ),
        (full.clone() + "1", 413, "over 500 records or 4 MiB"),
        (
            full[..full.len() - 1].to_owned() + " ",
            413,
            "4194305 bytes",
        ),
    ] {
        let answer = test.put(1, body).await;
        assert_eq!(answer.error(), (status, "InvalidRecords"), "{why}");
        assert!(answer.reason().contains(why), "{answer:?}");
    }
    let bytes = test.put(1, b"\"\xff\"".to_vec()).await;
    assert_eq!(bytes.status, 400, "not UTF-8: {bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_firehose_does_not_take_is_sent_again_alone() {
    let test = test(&[]);
    // The stream rejects every hundredth record that it receives.
    let records: String = (0..450).map(|i| format!("{i}\n")).collect();
    let answer = test.put(1, records.clone()).await;
    assert_eq!(answer.body["records"], 450, "{answer:?}");
    assert_eq!(test.local.check([]).records, 450);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_takes_no_other_along() {
    let test = test(&[]);
    let posts: Vec<_> = (0..20).map(|i| test.post(1, i.to_string())).collect();
    test.queued(20..21).await;
    for post in posts.iter().step_by(2) {
        post.abort();
    }
    for post in posts.into_iter().skip(1).step_by(2) {
        assert_eq!(post.await.unwrap().status, 200);
    }
    assert_eq!(test.service.queue.used_kib(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_and_is_not_there_is_an_error_in_json_like_any_other() {
    let test = test(&[]);
    for (method, path, error) in [
        (
            "POST",
            "/customers/%ff%fe/records",
            (404, "UnknownCustomer"),
        ),
        ("POST", "/customers//records", (404, "UnknownCustomer")),
        ("POST", "/customers/customer-00001", (404, "UnknownPath")),
        ("GET", "/", (404, "UnknownPath")),
        (
            "PUT",
            "/customers/customer-00001/records",
            (405, "UnknownMethod"),
        ),
        ("POST", "/metrics", (405, "UnknownMethod")),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from("1")).unwrap();
        let answer = answer(test.router.clone(), request).await;
        assert_eq!(answer.error(), error, "{method} {path}");
    }
}

#[test]
fn a_path_that_no_role_can_have_is_the_operators_mistake() {
    let options = Options::parse_from(["vendor_service", "--local", "--role-path", "vendor"]);
    let local = Local::start(HUB_ARN, 1, Duration::ZERO).unwrap();
    let figures = figures::recorder().unwrap().handle();
    let service = Service::new(&options, &local.base, &local.rows(), figures);
    let error = service.err().unwrap().to_string();
    assert!(
        error.starts_with("--role-path: ") && error.contains("beginning and ending with /"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_service_is_ready_while_its_hub_is() {
    let test = test(&[]);
    let ready = test.get("/healthz").await;
    assert_eq!(
        (ready.status, &ready.body["health"]),
        (200, &"ready".into())
    );
    test.put(1, "1").await;
    let ready = test.get("/healthz").await;
    assert_eq!(
        (&ready.body["customers"], &ready.body["chains"]),
        (&5.into(), &1.into())
    );

    let other = self::test(&[]);
    other
        .local
        .aws
        .fail(Fault::error(403, "AccessDenied", "no").role(HUB_ARN));
    let answer = other.put(1, "1").await;
    assert_eq!(answer.error(), (503, "NoCredentials"));
    assert!(
        !answer.reason().contains("arn:"),
        "no customer's business: {answer:?}"
    );
    let failing = other.get("/healthz").await;
    assert_eq!(failing.status, 503, "{failing:?}");
    assert!(
        failing.body["health"]
            .as_str()
            .unwrap()
            .contains("AccessDenied")
    );
}

#[test]
fn a_file_of_customers_with_mistakes_is_refused_with_their_rows() {
    let queue = Queue::new(8);
    let read = |rows: &str| match customers::read(rows.as_bytes(), &Arc::default(), &queue) {
        Ok(customers) => panic!("{} customers", customers.len()),
        Err(error) => error.to_string(),
    };
    let acme = r#"{"name": "acme", "role_arn": "a", "external_id": "never-shown", "stream": "s", "region": "r"}"#;
    let elsewhere = acme
        .replace("acme", "cedar")
        .replace("\"r\"", "\"example.com/\"");
    let error = read(&format!(
        r#"[{acme}, 7, {{"name": "birch", "external_id": "never-shown"}}, {acme}, {elsewhere}]"#
    ));
    for mistake in [
        "row 2: name is missing",
        "birch: role_arn is missing or not a string",
        "acme: another row has the same name",
        "cedar: region must be the stream's region",
    ] {
        assert!(error.contains(mistake), "{error}");
    }
    assert!(!error.contains("never-shown"), "{error}");
    assert!(read("{}").contains("must be a JSON array"));
    let many = format!("[{}1]", "1, ".repeat(99));
    assert!(read(&many).ends_with("and 90 more rows"));
}
