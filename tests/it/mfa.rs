//! MFA: codes from a person and from a secret, rejected codes, and that no code is sent twice.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::common::log::Log;
use crate::common::*;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{
    Error, MfaReason, MfaRequest, ProvideMfaCode, Role, RoleChain, SessionTokenRequest, Totp,
};
use aws_smithy_async::rt::sleep::AsyncSleep;
use aws_smithy_async::time::TimeSource;
use aws_types::SdkConfig;
use sts_simulator::{Fault, Simulator};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tracing_subscriber::filter::LevelFilter;

const SECOND: Duration = Duration::from_secs(1);

/// The user's accounts and MFA device. Each test has a device of its own, because a code is sent only once
/// per process.
struct World {
    aws: Simulator,
    base: SdkConfig,
    serial: String,
}

impl World {
    fn new(device: &str) -> Self {
        let aws = Simulator::new();
        let serial = new_device(device);
        let keys = user_with_device(&aws, &serial);
        let with_mfa = trusts("111111111111").replace(
            r#""Principal""#,
            r#""Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}, "Principal""#,
        );
        aws.role(HUB)
            .trust(with_mfa)
            .policy(allow("sts:*"))
            .create()
            .unwrap();
        aws.role(TENANT)
            .trust(trusts("222222222222"))
            .create()
            .unwrap();
        let base = aws.sdk_config(keys);
        Self { aws, base, serial }
    }

    fn hub(&self, codes: impl ProvideMfaCode + 'static) -> RoleChain {
        RoleChain::new(&self.base, Role::new(HUB).mfa(&*self.serial, codes)).unwrap()
    }

    fn session(&self, codes: impl ProvideMfaCode + 'static) -> RoleChain {
        let request = SessionTokenRequest::new().mfa(&*self.serial, codes);
        RoleChain::from_session_token(&self.base, request).unwrap()
    }

    fn totp(&self) -> Totp {
        totp()
    }

    /// The codes that were sent to STS.
    fn codes(&self) -> Vec<String> {
        let calls = self.aws.calls();
        let codes = calls.iter().filter_map(|call| call.parameter("TokenCode"));
        codes.map(str::to_owned).collect()
    }
}

/// Answers with the code that the device shows, and records the requests.
#[derive(Clone)]
struct Person {
    aws: Simulator,
    requests: Arc<Mutex<Vec<MfaRequest>>>,
}

impl Person {
    fn of(world: &World) -> Self {
        Self {
            aws: world.aws.clone(),
            requests: Arc::default(),
        }
    }

    fn reasons(&self) -> Vec<MfaReason> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| request.reason.clone())
            .collect()
    }

    fn codes(&self) -> impl ProvideMfaCode + 'static {
        let this = self.clone();
        move |request: MfaRequest| {
            let code = this.aws.mfa_code(&request.serial).unwrap();
            this.requests.lock().unwrap().push(request);
            async move { Ok::<_, Error>(code) }
        }
    }
}

/// Provides these codes in order, and records the reasons.
fn codes_in_order(codes: &[&str]) -> (impl ProvideMfaCode + 'static, Arc<Mutex<Vec<MfaReason>>>) {
    let left = Mutex::new(
        codes
            .iter()
            .rev()
            .map(|code| (*code).to_owned())
            .collect::<Vec<_>>(),
    );
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = reasons.clone();
    let provider = move |request: MfaRequest| {
        seen.lock().unwrap().push(request.reason);
        let code = left.lock().unwrap().pop().ok_or("no more codes");
        async move { code }
    };
    (provider, reasons)
}

/// A provider with a bug: `is_interactive` sometimes panics.
struct Unsteady<P> {
    codes: P,
    panics: Arc<AtomicBool>,
}

impl<P: ProvideMfaCode> ProvideMfaCode for Unsteady<P> {
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> Pin<
        Box<
            dyn Future<Output = Result<String, Box<dyn std::error::Error + Send + Sync>>>
                + Send
                + '_,
        >,
    > {
        self.codes.provide_mfa_code(request)
    }

    fn is_interactive(&self) -> bool {
        assert!(
            !self.panics.load(Ordering::Relaxed),
            "the provider's own bug"
        );
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_when_asked_about_itself_spoils_nothing_for_the_next_call() {
    let world = World::new("unsteady");
    let panics = Arc::new(AtomicBool::new(false));
    let chain = world.hub(Unsteady {
        codes: Person::of(&world).codes(),
        panics: panics.clone(),
    });
    let mut keys = Vec::new();
    // With nothing cached, when a refresh is due, in the last minute, and after expiry.
    for minutes in [0, 55, 59, 80] {
        panics.store(true, Ordering::Relaxed);
        world.aws.clock().advance(minutes * 60 * SECOND).await;
        for _ in 0..2 {
            let chain = chain.clone();
            let call = tokio::spawn(async move { chain.provide_credentials().await });
            assert!(call.await.unwrap_err().is_panic(), "after {minutes} min");
        }
        panics.store(false, Ordering::Relaxed);
        chain.refresh().await.unwrap();
        let credentials = chain.provide_credentials().await.unwrap();
        keys.push(credentials.access_key_id().to_owned());
    }
    keys.dedup();
    assert_eq!(keys.len(), 4);
    assert_eq!(world.codes().len(), 4);
}

#[tokio::test]
async fn a_role_behind_mfa_is_assumed_with_a_code_and_not_without() {
    let world = World::new("plain");
    let person = Person::of(&world);
    world.hub(person.codes()).refresh().await.unwrap();

    let request = person.requests.lock().unwrap()[0].clone();
    assert_eq!(
        (&*request.serial, request.role_arn.as_deref(), request.hop),
        (&*world.serial, Some(HUB), 1)
    );
    assert_eq!(request.reason, MfaReason::First);
    let question = request.to_string();
    assert_eq!(
        question,
        format!("MFA code for {}, to assume {HUB}", world.serial)
    );

    let without = RoleChain::new(&world.base, Role::new(HUB)).unwrap();
    let error = without.refresh().await.unwrap_err();
    assert!(
        error.is_access_denied()
            && !error.is_mfa_failure()
            && error.to_string().contains("no MFA code was sent"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_code_is_requested_again_with_the_message_of_sts_three_times_in_all() {
    let world = World::new("wrong");
    let (codes, reasons) = codes_in_order(&["000000", "000001", "000002", "000003"]);
    let hub = world.hub(codes);

    let error = hub.refresh().await.unwrap_err();

    assert!(error.is_mfa_failure());
    let message = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
    let refused = MfaReason::Refused(message.to_owned());
    assert_eq!(
        *reasons.lock().unwrap(),
        [MfaReason::First, refused.clone(), refused]
    );
    assert_eq!(world.codes(), ["000000", "000001", "000002"]);
    assert_eq!(error.message(), Some(message));
    assert!(
        error.to_string().contains("a code is valid once"),
        "{error}"
    );
    for code in world.codes() {
        assert!(!format!("{error} {error:?}").contains(&code));
    }
    // The failure is cached: the next caller does not trigger another prompt.
    hub.provide_credentials().await.unwrap_err();
    assert_eq!(reasons.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn malformed_and_used_codes_are_not_sent() {
    let world = World::new("unsent");
    let good = world.aws.mfa_code(&world.serial).unwrap();
    world
        .hub(codes_in_order(&[&good]).0)
        .refresh()
        .await
        .unwrap();

    for codes in [["12345", &good, "abcdef"], ["12345", &good, &good]] {
        // The fourth is never asked for.
        let (codes, reasons) = codes_in_order(&[codes[0], codes[1], codes[2], "123456"]);
        let error = world.hub(codes).refresh().await.unwrap_err();

        assert_eq!(world.codes(), [&*good], "nothing more was sent");
        let reasons = reasons.lock().unwrap();
        assert!(matches!(&reasons[1], MfaReason::Refused(why) if why == "A code has six digits."));
        assert_eq!(reasons[2..], [MfaReason::AlreadyUsed]);
        assert!(
            error
                .to_string()
                .contains("no MFA code for arn:aws:iam::111111111111:mfa/unsent"),
            "{error}"
        );
        assert!(error.is_mfa_failure());
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_may_be_given_as_apps_show_it() {
    let world = World::new("spaced");
    let good = world.aws.mfa_code(&world.serial).unwrap();
    let (first, last) = good.split_at(3);
    let shown = format!(" {first}\u{a0}{last}\r\n");
    let (codes, _) = codes_in_order(&[&shown]);
    world.hub(codes).refresh().await.unwrap();
    assert_eq!(world.codes(), [&*good]);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_not_sent_twice_even_with_others_in_between() {
    let world = World::new("between");
    let (codes, reasons) = codes_in_order(&["111111", "222222", "111111"]);
    let error = world.hub(codes).refresh().await.unwrap_err();
    assert_eq!(world.codes(), ["111111", "222222"]);
    assert!(error.is_access_denied(), "what STS said of them: {error}");
    assert_eq!(reasons.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_tenant_prompts_a_person_once() {
    let world = World::new("tenant");
    let person = Person::of(&world);
    let hub = world.hub(person.codes());
    world
        .aws
        .fail(Fault::error(403, "InvalidClientTokenId", "invalid").role(TENANT));
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    for _ in 0..5 {
        tenant.provide_credentials().await.unwrap_err();
        world.aws.clock().advance(10 * SECOND).await;
    }
    assert_eq!(person.reasons(), [MfaReason::First]);
}

#[tokio::test(start_paused = true)]
async fn a_recreated_role_does_not_prompt_in_the_background_but_for_the_next_caller() {
    let world = World::new("again");
    let person = Person::of(&world);
    let hub = world.hub(person.codes());
    world
        .aws
        .role(MIDDLE)
        .trust(trusts("222222222222"))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    let tenant = hub
        .assume(Role::new(MIDDLE))
        .unwrap()
        .assume(Role::new(TENANT))
        .unwrap();
    tenant.provide_credentials().await.unwrap();
    world.aws.clock().advance(30 * MINUTE).await;
    for role in [HUB, MIDDLE] {
        world.aws.delete_role(role);
        world
            .aws
            .role(role)
            .trust(trusts("*"))
            .policy(allow("sts:*"))
            .create()
            .unwrap();
    }
    world.aws.clock().advance(29 * MINUTE).await;
    assert_eq!(person.reasons().len(), 1, "nobody waited");
    tenant.refresh().await.unwrap();
    assert_eq!(person.reasons().len(), 2);
}

#[test]
fn a_load_whose_runtime_is_no_longer_polled_does_not_hold_its_device_for_ever() {
    let paused = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let first = paused();
    let (world, stuck) = first.block_on(async {
        let world = World::new("undriven");
        let stuck = world.hub(world.totp());
        world.aws.fail(Fault::no_answer());
        let mut call = Box::pin(stuck.provide_credentials());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        settle().await;
        world.aws.recover();
        drop(call);
        (world, stuck)
    });
    paused().block_on(async {
        world.hub(world.totp()).provide_credentials().await.unwrap();
        stuck.provide_credentials().await.unwrap();
    });
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_for_a_device_does_not_ask_two_people_at_once() {
    let world = World::new("queue");
    let asked = Arc::new(AtomicUsize::new(0));
    let mut loads = JoinSet::new();
    for _ in 0..3 {
        let (aws, asked) = (world.aws.clone(), asked.clone());
        let hub = world.hub(move |request: MfaRequest| {
            let (aws, asked) = (aws.clone(), asked.clone());
            async move {
                assert_eq!(asked.fetch_add(1, Ordering::Relaxed), 0);
                // The third waits for longer than one load may hold the device.
                aws.clock().sleep(6 * MINUTE).await;
                asked.fetch_sub(1, Ordering::Relaxed);
                aws.mfa_code(&request.serial).ok_or("no device")
            }
        });
        loads.spawn(async move { hub.refresh().await });
    }
    for loaded in loads.join_all().await {
        loaded.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_code_is_in_a_log_or_an_error_even_if_sts_repeats_it() {
    let (log, _guard) = Log::at(LevelFilter::TRACE);
    let world = World::new("logged");
    world.hub(world.totp()).refresh().await.unwrap();
    world.session(world.totp()).refresh().await.unwrap();
    let (codes, _) = codes_in_order(&["424242"]);
    world.aws.fail(Fault::error(
        400,
        "ValidationError",
        "Value '424242' at 'tokenCode' is wrong",
    ));
    let error = world.hub(codes).refresh().await.unwrap_err();
    assert!(error.message().unwrap().contains("****"), "{error}");
    let logged = log.text();
    assert!(logged.contains("loaded credentials"));
    for code in world.codes() {
        assert!(!logged.contains(&code) && !format!("{error} {error:?}").contains(&code));
    }
}

#[tokio::test]
async fn an_error_of_the_code_provider_reaches_the_caller() {
    let world = World::new("fails");
    let hub = world.hub(codes_in_order(&[]).0);
    let error = hub.refresh().await.unwrap_err();
    assert!(!error.is_transient() && error.code().is_none());
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "no more codes"
    );
    assert_eq!(world.aws.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn totp_waits_for_the_next_step_rather_than_send_a_code_twice() {
    let world = World::new("steps");
    let first = world.hub(world.totp());
    let second = world.hub(world.totp());
    first.refresh().await.unwrap();
    let start = world.aws.clock().elapsed();
    second.refresh().await.unwrap();
    first.refresh().await.unwrap();

    let waited = world.aws.clock().elapsed() - start;
    assert!(waited > 30 * SECOND && waited <= 60 * SECOND, "{waited:?}");
    let mut codes = world.codes();
    assert_eq!(codes.len(), 3);
    codes.dedup();
    assert_eq!(codes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_chains_with_one_device_send_no_code_twice() {
    let world = World::new("hundred");
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let chain = world.hub(world.totp());
        callers.spawn(async move { chain.refresh().await });
    }
    for result in callers.join_all().await {
        result.unwrap();
    }
    let codes = world.codes();
    assert_eq!(codes.len(), 100);
    // STS refuses a code that it has accepted before, so all codes were different.
    let took = world.aws.clock().elapsed();
    assert!(
        took >= 98 * 30 * SECOND && took <= 100 * 30 * SECOND,
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_chain_with_totp_refreshes_itself() {
    let world = World::new("self");
    let tenant = world.hub(world.totp()).assume(Role::new(TENANT)).unwrap();
    tenant.provide_credentials().await.unwrap();
    world.aws.set_latency(Duration::from_millis(50));
    for _ in 0..24 * 60 {
        let before = world.aws.clock().elapsed();
        tenant.provide_credentials().await.unwrap();
        assert_eq!(world.aws.clock().elapsed(), before, "a caller waited");
        world.aws.clock().advance(MINUTE).await;
    }
    assert!(
        (27..=33).contains(&world.codes().len()),
        "{}",
        world.codes().len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_person_is_prompted_only_while_a_caller_waits_and_as_late_as_possible() {
    let world = World::new("late");
    let person = Person::of(&world);
    let hub = world.hub(person.codes());
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    tenant.provide_credentials().await.unwrap();
    assert_eq!(person.reasons(), [MfaReason::First]);

    // The tenant is renewed with the hub's credentials while these are valid; nobody is prompted.
    for _ in 0..58 {
        tenant.provide_credentials().await.unwrap();
        hub.provide_credentials().await.unwrap();
        world.aws.clock().advance(MINUTE).await;
    }
    assert_eq!(person.reasons().len(), 1);
    assert_eq!(world.aws.assumed(TENANT), 2);
    // An unused chain prompts nobody.
    world.aws.clock().advance(24 * HOUR).await;
    assert_eq!(person.reasons().len(), 1);
    assert_eq!(world.aws.assumed(HUB), 1);

    tenant.provide_credentials().await.unwrap();
    assert_eq!(person.reasons(), [MfaReason::First, MfaReason::Renewal]);
}

#[tokio::test(start_paused = true)]
async fn in_the_last_minute_a_caller_triggers_the_prompt() {
    let world = World::new("minute");
    let person = Person::of(&world);
    let hub = world.hub(person.codes());
    let first = hub.provide_credentials().await.unwrap();
    let status = &hub.status()[0];
    assert_eq!(status.next_refresh, Some(status.expiry.unwrap() - MINUTE));
    world.aws.clock().advance(HOUR - 30 * SECOND).await;
    let second = hub.provide_credentials().await.unwrap();
    assert_ne!(first, second);
    assert_eq!(person.reasons(), [MfaReason::First, MfaReason::Renewal]);
}

#[tokio::test(start_paused = true)]
async fn with_unexpired_credentials_nobody_waits_long_for_a_person() {
    let world = World::new("away");
    let (person, away) = (Person::of(&world), Arc::new(AtomicUsize::new(0)));
    let (first, prompts) = (person.codes(), away.clone());
    let hub = world.hub(AnswersOnce { first, prompts });
    let cached = hub.provide_credentials().await.unwrap();
    world.aws.clock().advance(HOUR - 30 * SECOND).await;
    for _ in 0..3 {
        let before = world.aws.clock().elapsed();
        assert_eq!(hub.provide_credentials().await.unwrap(), cached);
        assert!(world.aws.clock().elapsed() - before <= 5 * SECOND);
    }
    assert_eq!(
        away.load(Ordering::Relaxed),
        2,
        "prompted once for the renewal"
    );
}

/// Answers only the first request.
struct AnswersOnce<P> {
    first: P,
    prompts: Arc<AtomicUsize>,
}

impl<P: ProvideMfaCode> ProvideMfaCode for AnswersOnce<P> {
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<String, aws_role_chain::BoxError>> + Send + '_>>
    {
        match self.prompts.fetch_add(1, Ordering::Relaxed) {
            0 => self.first.provide_mfa_code(request),
            _ => Box::pin(std::future::pending()),
        }
    }
}

/// While the machine is suspended, only the clock advances.
#[tokio::test(start_paused = true)]
async fn a_person_whose_machine_was_suspended_is_not_asked_twice() {
    #[derive(Clone, Debug)]
    struct Suspended(Arc<AtomicUsize>, sts_simulator::Clock);
    impl TimeSource for Suspended {
        fn now(&self) -> SystemTime {
            self.1.now() + MINUTE * self.0.load(Ordering::Relaxed) as u32
        }
    }
    // The machine is suspended this many seconds after the prompt appeared.
    for seconds in [10, 50, 59, 62, 66, 70] {
        let mut world = World::new(&format!("suspended-{seconds}"));
        let minutes = Arc::new(AtomicUsize::new(0));
        let clock = Suspended(minutes.clone(), world.aws.clock());
        world.base = world.base.to_builder().time_source(clock).build();
        let asked = Arc::new(AtomicUsize::new(0));
        let answers = Arc::new(Semaphore::new(0));
        let (aws, count, typed) = (world.aws.clone(), asked.clone(), answers.clone());
        let hub = world.hub(move |request: MfaRequest| {
            count.fetch_add(1, Ordering::Relaxed);
            let (aws, typed) = (aws.clone(), typed.clone());
            async move {
                typed.acquire().await.unwrap().forget();
                Ok::<_, Error>(aws.mfa_code(&request.serial).unwrap())
            }
        });
        let call = async {
            world.aws.clock().advance(seconds * SECOND).await;
            minutes.store(2, Ordering::Relaxed);
            world.aws.clock().advance(2 * MINUTE).await;
            answers.add_permits(100);
        };
        // Another caller joins between two heartbeats of the load.
        let late = async {
            world.aws.clock().advance(7 * SECOND).await;
            hub.refresh().await
        };
        let (first, late, ()) = tokio::join!(hub.refresh(), late, call);
        first.and(late).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1, "after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_entered_after_the_sdk_timed_out_serves_the_next_call() {
    let world = World::new("slow");
    let (entered, prompts) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (waits, counts, aws) = (entered.clone(), prompts.clone(), world.aws.clone());
    let hub = world.hub(move |request: MfaRequest| {
        let (waits, counts, aws) = (waits.clone(), counts.clone(), aws.clone());
        async move {
            counts.fetch_add(1, Ordering::Relaxed);
            waits.notified().await;
            aws.mfa_code(&request.serial).ok_or("no such device")
        }
    });
    // The SDK's default identity cache gives a provider about twenty seconds.
    let provider = SharedCredentialsProvider::new(hub);
    let config = world
        .base
        .to_builder()
        .credentials_provider(provider)
        .build();
    let client = aws_sdk_sts::Client::new(&config);

    let started = world.aws.clock().elapsed();
    client.get_caller_identity().send().await.unwrap_err();
    let timed_out = world.aws.clock().elapsed() - started;
    assert!(timed_out < 40 * SECOND, "{timed_out:?}");
    world.aws.clock().advance(40 * SECOND - timed_out).await;
    entered.notify_one();
    let me = client.get_caller_identity().send().await.unwrap();

    assert!(me.arn().unwrap().contains(":assumed-role/Hub/"), "{me:?}");
    assert_eq!(prompts.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_not_sent_again_when_sts_is_unavailable() {
    let world = World::new("once");
    let person = Person::of(&world);
    let hub = world.hub(person.codes());
    world.aws.fail(Fault::service_unavailable());
    assert!(hub.refresh().await.unwrap_err().is_transient());
    assert_eq!(world.codes().len(), 1, "the SDK does not retry it");
    world.aws.recover();
    world.aws.clock().advance(30 * SECOND).await;
    hub.provide_credentials().await.unwrap();
    assert_eq!(person.reasons(), [MfaReason::First, MfaReason::First]);
}

#[tokio::test(start_paused = true)]
async fn one_code_of_a_session_token_serves_every_role_behind_it() {
    let world = World::new("session");
    let person = Person::of(&world);
    let me = world.session(person.codes());
    let roles: Vec<RoleChain> = (0..20)
        .map(|i| {
            let arn = format!("arn:aws:iam::222222222222:role/R{i}");
            let with_mfa = trusts("111111111111").replace(
                r#""Principal""#,
                r#""Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"},
                    "NumericLessThan": {"aws:MultiFactorAuthAge": "43200"}}, "Principal""#,
            );
            world.aws.role(&arn).trust(with_mfa).create().unwrap();
            me.assume(Role::new(arn)).unwrap()
        })
        .collect();
    for role in &roles {
        role.provide_credentials().await.unwrap();
    }
    assert_eq!(world.codes().len(), 1);
    assert_eq!(me.role_arn(), None);
    let request = person.requests.lock().unwrap()[0].to_string();
    assert_eq!(request, format!("MFA code for {}", world.serial));
    // One code is enough for eleven hours, during which the roles are renewed.
    for _ in 0..11 * 60 {
        roles[0].provide_credentials().await.unwrap();
        world.aws.clock().advance(MINUTE).await;
    }
    assert_eq!(world.codes().len(), 1);
    assert_eq!(
        me.status()[0].to_string().split(':').next(),
        Some("session token")
    );

    let error = me.assume(Role::new(HUB).duration(2 * HOUR)).unwrap_err();
    assert_eq!(error.field(), Some("duration"), "{error}");
}

#[tokio::test]
async fn a_session_token_needs_long_term_keys_and_says_so_before_the_call() {
    let world = World::new("long-term");
    let session = world.hub(Person::of(&world).codes());
    let requests = world.aws.requests();
    let source = SharedCredentialsProvider::new(session.provide_credentials().await.unwrap());
    let base = world.base.to_builder().credentials_provider(source).build();
    let me = RoleChain::from_session_token(&base, SessionTokenRequest::new()).unwrap();

    let error = me.refresh().await.unwrap_err();

    assert_eq!(world.aws.requests(), requests + 1, "only the role's own");
    let text = error.to_string();
    assert!(
        text.starts_with(
            "getting a session token (hop 1 of 1): requires an IAM user's long-term keys"
        ),
        "{text}"
    );
    assert!(text.contains("ASIA") && !error.is_transient(), "{text}");
}

#[tokio::test]
async fn invalid_requests_are_refused_before_any_prompt() {
    let world = World::new("rules");
    let nobody = || codes_in_order(&[]).0;
    let hub = world.hub(nobody());
    let later = hub
        .assume(Role::new(TENANT).mfa(&*world.serial, nobody()))
        .unwrap_err();
    assert_eq!(later.field(), Some("mfa"));
    assert!(
        later.to_string().contains("first hop only")
            && later.to_string().contains("from_session_token")
    );
    for (serial, rule) in [
        ("short", "9 to 256 characters"),
        (
            "arn:aws:iam::111111111111:user/ada",
            "the device's serial number or ARN",
        ),
        ("arn:aws:iam::111111111111:u2f/user/ada/key-1", "passkey"),
        ("GAHT 12345678", "character 5 is not allowed"),
    ] {
        let role = Role::new(HUB).mfa(serial, nobody());
        let session = SessionTokenRequest::new().mfa(serial, nobody());
        for chain in [
            RoleChain::new(&world.base, role),
            RoleChain::from_session_token(&world.base, session),
        ] {
            let error = chain.unwrap_err();
            assert_eq!(error.field(), Some("mfa"));
            assert!(
                error.to_string().contains(rule) && error.to_string().contains(serial),
                "{error}"
            );
        }
    }
    let nowhere = SessionTokenRequest::new().region("eu west");
    let error = RoleChain::from_session_token(&world.base, nowhere).unwrap_err();
    assert_eq!((error.field(), error.hop()), (Some("region"), Some(1)));
    for (seconds, good) in [(899, false), (900, true), (129_600, true), (129_601, false)] {
        let request = SessionTokenRequest::new().duration(seconds * SECOND);
        let made = RoleChain::from_session_token(&world.base, request);
        assert_eq!(made.is_ok(), good, "{seconds}");
        if let Err(error) = made {
            assert!(
                error
                    .to_string()
                    .contains("duration: must be 900 to 129600 whole seconds"),
                "{error}"
            );
        }
    }
    let shown = format!(
        "{:?} {:?}",
        Role::new(HUB).mfa("GAHT12345678", nobody()),
        SessionTokenRequest::new()
    );
    assert!(shown.contains("GAHT12345678"));
}

#[tokio::test]
async fn a_device_of_another_user_is_refused_with_advice() {
    let world = World::new("others");
    let other = world
        .aws
        .user("arn:aws:iam::111111111111:user/other")
        .policy(allow("sts:*"));
    let base = world.aws.sdk_config(other.create().unwrap());
    let role = Role::new(HUB).mfa(&*world.serial, codes_in_order(&["123456"]).0);
    let error = RoleChain::new(&base, role)
        .unwrap()
        .refresh()
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        Some(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
        )
    );
    assert!(
        error
            .to_string()
            .contains("the device must belong to the user"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn mfa_context_reaches_role_sessions_only_where_the_simulator_passes_it_on() {
    for travels in [false, true] {
        let world = World::new(if travels { "travels" } else { "stays" });
        world.aws.set_mfa_context_inherited(travels);
        let with_mfa = trusts("222222222222").replace(
            r#""Principal""#,
            r#""Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}, "Principal""#,
        );
        world.aws.role(TENANT).trust(with_mfa).create().unwrap();
        let hub = world.session(world.totp()).assume(Role::new(HUB)).unwrap();
        hub.refresh().await.unwrap();
        let tenant = hub.assume(Role::new(TENANT)).unwrap();
        assert_eq!(tenant.refresh().await.is_ok(), travels);
    }
}
