//! Faults: what they do to a request, and which requests they apply to.

mod raw;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::time::TimeSource;
use sts_simulator::{Fault, Latency, Simulator};

use raw::*;

const USER: &str = "arn:aws:iam::111111111111:user/orders";
const ROLE: &str = "arn:aws:iam::111111111111:role/Writer";
const OTHER: &str = "arn:aws:iam::111111111111:role/Other";
const SECOND: Duration = Duration::from_secs(1);
const ME: [(&str, &str); 1] = [("Action", "GetCallerIdentity")];

fn accounts() -> (Simulator, Credentials) {
    let aws = Simulator::new();
    let keys = aws.user(USER).create().unwrap();
    let trust = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {{"AWS": "{USER}"}}}}}}"#
    );
    for role in [ROLE, OTHER] {
        aws.role(role).trust(&*trust).create().unwrap();
    }
    (aws, keys)
}

fn assume(role: &str) -> [(&'static str, &str); 3] {
    [
        ("Action", "AssumeRole"),
        ("RoleArn", role),
        ("RoleSessionName", "session"),
    ]
}

#[tokio::test]
async fn a_fault_is_limited_to_a_role_an_operation_and_a_number_of_times() {
    let (aws, keys) = accounts();
    aws.fail(Fault::throttling().role(ROLE));
    aws.fail(
        Fault::service_unavailable()
            .operation("GetCallerIdentity")
            .times(2),
    );
    let status = async |parameters: &[(&str, &str)]| call(&aws, &keys, parameters).await.status;
    for (parameters, expected) in [
        (&assume(ROLE)[..], 400),
        (&assume(OTHER), 200),
        (&ME, 503),
        (&ME, 503),
        (&ME, 200),
        (&assume(ROLE), 400),
    ] {
        assert_eq!(status(parameters).await, expected, "{parameters:?}");
    }
    let reply = call(&aws, &keys, &assume(ROLE)).await;
    assert_refused("throttled", &reply, 400, "Throttling", "Rate exceeded");
    aws.recover();
    assert_eq!(status(&assume(ROLE)).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fault_begins_and_ends_by_the_clock() {
    let (aws, keys) = accounts();
    aws.fail(
        Fault::connection_closed()
            .after(10 * SECOND)
            .lasting(5 * SECOND),
    );
    let works = async || {
        let request = Signer::new(&aws, &keys).sign(post(STS, form(&ME)));
        try_send(&aws, request).await.is_ok()
    };
    for (advance, expected) in [(0, true), (9, true), (1, false), (4, false), (1, true)] {
        aws.clock().advance(advance * SECOND).await;
        assert_eq!(works().await, expected, "at {:?}", aws.clock().elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_is_an_error_of_its_own_kind() {
    let (aws, keys) = accounts();
    for (fault, is_reset) in [
        (Fault::connection_closed(), false),
        (Fault::connection_reset(), true),
    ] {
        aws.recover();
        aws.fail(fault);
        let request = Signer::new(&aws, &keys).sign(post(STS, form(&ME)));
        let error = try_send(&aws, request).await.unwrap_err();
        assert!(error.is_io());
        let source = std::error::Error::source(&error).unwrap();
        let io = source.downcast_ref::<std::io::Error>();
        let kind = io.map(std::io::Error::kind);
        assert_eq!(kind == Some(std::io::ErrorKind::ConnectionReset), is_reset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_held_until_the_fault_ends() {
    let (aws, keys) = accounts();
    let request = || Signer::new(&aws, &keys).sign(post(STS, form(&ME)));

    // The fault ends by itself.
    aws.fail(Fault::no_answer().lasting(7 * SECOND));
    assert_eq!(send(&aws, request()).await.status, 200);
    assert_eq!(aws.clock().elapsed(), 7 * SECOND);

    // The test ends the fault, or adds a newer one, which takes precedence.
    for (end, status) in [
        ((|aws| aws.recover()) as fn(&Simulator), 200),
        (|aws| aws.fail(Fault::service_unavailable()), 503),
    ] {
        aws.recover();
        aws.fail(Fault::no_answer().times(1));
        let held = tokio::spawn({
            let (aws, request) = (aws.clone(), request());
            async move { send(&aws, request).await.status }
        });
        aws.clock().advance(SECOND).await;
        assert!(!held.is_finished());
        assert_eq!(send(&aws, request()).await.status, 200, "only the first");
        end(&aws);
        assert_eq!(held.await.unwrap(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn each_account_and_region_has_a_bucket_that_refills() {
    let (aws, keys) = accounts();
    let others = aws
        .user("arn:aws:iam::222222222222:user/other")
        .create()
        .unwrap();
    aws.fail(Fault::throttled(10, 20));
    let passed = async |keys: &Credentials, region: &'static str, calls: usize| {
        let mut passed = 0;
        for _ in 0..calls {
            let signer = Signer {
                region,
                ..Signer::new(&aws, keys)
            };
            let request = post(&format!("https://sts.{region}.amazonaws.com/"), form(&ME));
            passed += usize::from(send(&aws, signer.sign(request)).await.status == 200);
        }
        passed
    };
    assert_eq!(passed(&keys, "eu-west-1", 50).await, 20, "the burst");
    assert_eq!(passed(&keys, "us-east-2", 50).await, 20, "another region");
    assert_eq!(
        passed(&others, "eu-west-1", 50).await,
        20,
        "another account"
    );
    aws.clock().advance(SECOND).await;
    assert_eq!(passed(&keys, "eu-west-1", 50).await, 10, "a second later");
    aws.clock().advance(3600 * SECOND).await;
    assert_eq!(
        passed(&keys, "eu-west-1", 50).await,
        20,
        "no more than the burst"
    );
}

#[tokio::test]
async fn broken_answers_are_those_of_requests_that_were_carried_out() {
    let (aws, keys) = accounts();
    aws.fail(Fault::truncated().times(1));
    let reply = call(&aws, &keys, &assume(ROLE)).await;
    assert_eq!(reply.status, 200);
    let length: usize = reply.header("content-length").unwrap().parse().unwrap();
    let mut body = aws_smithy_types::byte_stream::ByteStream::new(reply.response.into_body());
    let half = body.next().await.unwrap().unwrap();
    assert_eq!(half.len(), length / 2);
    assert!(half.starts_with(b"<AssumeRoleResponse"));
    body.next().await.unwrap().unwrap_err();
    aws.fail(Fault::garbage().times(1));
    let reply = call(&aws, &keys, &assume(ROLE)).await;
    assert!(
        roxmltree::Document::parse(&reply.body).is_err(),
        "{}",
        reply.body
    );

    // The same faults through the SDK.
    let retries = aws_sdk_sts::config::retry::RetryConfig::disabled();
    let config = aws
        .sdk_config(keys)
        .into_builder()
        .retry_config(retries)
        .build();
    let sts = aws_sdk_sts::Client::new(&config);
    for fault in [Fault::truncated(), Fault::garbage()] {
        aws.fail(fault);
        let output = sts
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session")
            .send()
            .await;
        assert!(output.is_err(), "{output:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_have_expired_when_they_arrive() {
    let (aws, keys) = accounts();
    aws.fail(Fault::expired_credentials());
    let dead = call(&aws, &keys, &assume(ROLE)).await;
    let expiry = aws_smithy_types::DateTime::from_str(
        dead.element("Expiration"),
        aws_smithy_types::date_time::Format::DateTime,
    );
    assert!(expiry.unwrap() < aws.clock().now().into());
    aws.recover();
    let reply = call(&aws, &dead.credentials(), &ME).await;
    let message = "The security token included in the request is expired";
    assert_refused("expired", &reply, 403, "ExpiredToken", message);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_in_the_date_in_the_check_of_signatures_and_in_new_sessions() {
    let (aws, keys) = accounts();
    let true_date = call(&aws, &keys, &ME)
        .await
        .header("date")
        .unwrap()
        .to_owned();
    let (few, many) = (10 * 60 * SECOND, 20 * 60 * SECOND);
    for (fault, text) in [
        (Fault::clock_ahead(many), "Signature expired: … - 15 min.)"),
        (
            Fault::clock_behind(many),
            "Signature not yet current: … + 15 min.)",
        ),
    ] {
        aws.fail(fault);
        let reply = call(&aws, &keys, &ME).await;
        assert_refused("a wrong clock", &reply, 403, "SignatureDoesNotMatch", text);
        assert_ne!(reply.header("date"), Some(&*true_date));
        aws.recover();
    }
    aws.fail(Fault::clock_behind(few));
    let session = call(&aws, &keys, &assume(ROLE)).await;
    aws.recover();
    aws.clock().advance(51 * 60 * SECOND).await;
    let reply = call(&aws, &session.credentials(), &ME).await;
    assert_eq!(reply.element("Code"), "ExpiredToken", "ten minutes early");

    // The SDK corrects its clock skew by the response's header `Date` and retries.
    let config = aws.sdk_config(keys);
    let sts = aws_sdk_sts::Client::new(&config);
    aws.fail(Fault::clock_ahead(many));
    sts.get_caller_identity().send().await.unwrap();
    // A clock skew that overflows the time.
    for fault in [
        Fault::clock_ahead(Duration::MAX),
        Fault::clock_behind(Duration::MAX),
    ] {
        aws.fail(fault);
        let sts = aws_sdk_sts::Client::new(&config);
        sts.get_caller_identity().send().await.unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_is_centuries_off_breaks_nothing() {
    let (aws, keys) = accounts();
    let serial = "arn:aws:iam::111111111111:mfa/orders";
    let device = aws
        .user(USER)
        .mfa_device(serial, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    device.create().unwrap();
    let mfa = [
        ("Action", "GetSessionToken"),
        ("SerialNumber", serial),
        ("TokenCode", "123456"),
    ];
    for years in [1, 57, 1000, 9000, 1_000_000, 290_000_000_000] {
        let by = Duration::from_secs(years * 31_557_600);
        for fault in [Fault::clock_ahead(by), Fault::clock_behind(by)] {
            aws.fail(fault.clone());
            for parameters in [&assume(ROLE)[..], &mfa, &ME] {
                // Signed with a clock that is off, too, if a signature can express the year.
                let signer = Signer::new(&aws, &keys);
                for time in [
                    Some(signer.time),
                    signer.time.checked_add(by),
                    signer.time.checked_sub(by),
                ] {
                    let is_written = |time: &std::time::SystemTime| {
                        let seconds = aws_smithy_types::DateTime::from(*time).secs();
                        (0..250_000_000_000).contains(&seconds)
                    };
                    let Some(time) = time.filter(is_written) else {
                        continue;
                    };
                    let signer = Signer {
                        time,
                        ..signer.clone()
                    };
                    let reply = send(&aws, signer.sign(post(STS, form(parameters)))).await;
                    assert!(
                        [200, 403].contains(&reply.status),
                        "{fault:?}: {}",
                        reply.body
                    );
                }
            }
            aws.recover();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn latency_and_delays_pass_on_the_clock() {
    let (aws, keys) = accounts();
    let took = async |parameters: &[(&str, &str)]| {
        let start = aws.clock().elapsed();
        call(&aws, &keys, parameters).await;
        aws.clock().elapsed() - start
    };
    let ms = Duration::from_millis;
    aws.set_latency(ms(20));
    aws.fail(Fault::delay(ms(100)).role(ROLE));
    aws.fail(Fault::delay(ms(1000)).times(1));
    assert_eq!(took(&assume(ROLE)).await, ms(1120));
    assert_eq!(took(&assume(ROLE)).await, ms(120));
    assert_eq!(took(&ME).await, ms(20));
    aws.recover();
    assert_eq!(took(&assume(ROLE)).await, ms(20), "the latency is no fault");
    aws.set_latency(Latency::between(ms(30), ms(50)));
    for _ in 0..20 {
        let took = took(&ME).await;
        assert!((ms(30)..=ms(51)).contains(&took), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_users_and_roles_are_seen_later() {
    let (aws, keys) = accounts();
    let role = "arn:aws:iam::222222222222:role/New";
    let trust = |principal: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {{"AWS": "{principal}"}}}}}}"#
        )
    };
    let allow = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}"#;
    let status = async |role: &str| call(&aws, &keys, &assume(role)).await.status;
    aws.set_iam_delay(10 * SECOND);
    aws.role(role).trust(trust(USER)).create().unwrap();
    aws.user(USER).policy(allow).create().unwrap();
    assert_eq!(status(role).await, 403);
    aws.clock().advance(9 * SECOND).await;
    assert_eq!(status(role).await, 403);
    aws.clock().advance(SECOND).await;
    assert_eq!(status(role).await, 200);

    // A role that trusts a newly created principal, and a deletion.
    let new_user = aws
        .user("arn:aws:iam::333333333333:user/new")
        .policy(allow)
        .create()
        .unwrap();
    aws.role(OTHER)
        .trust(trust("arn:aws:iam::333333333333:user/new"))
        .create()
        .unwrap();
    aws.delete_role(role);
    assert_eq!(status(role).await, 200, "not deleted yet");
    assert_eq!(status(OTHER).await, 200, "still trusts the user");
    assert_eq!(
        call(&aws, &new_user, &ME).await.element("Code"),
        "InvalidClientTokenId"
    );
    aws.clock().advance(10 * SECOND).await;
    assert_eq!(status(role).await, 403);
    assert_eq!(status(OTHER).await, 403);
    assert_eq!(call(&aws, &new_user, &assume(OTHER)).await.status, 200);
}
