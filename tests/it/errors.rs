//! The texts of errors: their content, without repetition, and without secrets, as in logs.

use std::error::Error as StdError;

use crate::common::log::Log;
use crate::common::*;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_role_chain::{Error, MfaRequest, Role, RoleChain, SessionTokenRequest};
use aws_sdk_sts::error::DisplayErrorContext;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use sts_simulator::{Fault, Simulator};
use tracing_subscriber::filter::LevelFilter;

async fn refusal(chain: &RoleChain) -> Error {
    chain.refresh().await.unwrap_err()
}

#[track_caller]
fn assert_advises(error: &Error, parts: &[&str]) {
    let advice = error.advice().join("\n");
    for part in parts {
        assert!(advice.contains(part), "{part:?} is not advised:\n{error}");
    }
}

#[tokio::test]
async fn a_refusal_names_hop_role_code_request_id_and_what_to_check() {
    let (aws, base) = aws();
    aws.role(TENANT)
        .trust(trusts_with_external_id("222222222222"))
        .create()
        .unwrap();
    let hub = RoleChain::new(&base, Role::new(HUB).session_name("orders")).unwrap();
    let tenant = hub
        .assume(Role::new(TENANT).external_id("wrong-one"))
        .unwrap();

    let error = refusal(&tenant).await;

    assert!(error.is_access_denied() && !error.is_transient() && !error.is_source_failure());
    assert_eq!(error.code(), Some("AccessDenied"));
    assert_eq!(error.role_arn(), Some(TENANT));
    assert_eq!((error.hop(), error.chain_len()), (Some(2), 2));
    assert!(error.source().is_none(), "all of it is in the text");
    let text = error.to_string();
    let first = text.lines().next().unwrap();
    let id = error.request_id().unwrap();
    assert_eq!(
        first,
        format!(
            "assuming {TENANT} (hop 2 of 2): AccessDenied: User: \
             arn:aws:sts::222222222222:assumed-role/Hub/orders is not authorized to perform: \
             sts:AssumeRole on resource: {TENANT} (request id {id})"
        )
    );
    assert_eq!(text.lines().count(), 1 + error.advice().len());
    assert_advises(
        &error,
        &[
            "assumed-role/Hub/orders the intended caller",
            "role arn:aws:iam::222222222222:role/Hub (or its account; not the session's ARN)",
            "the external ID must exactly match",
            "must allow sts:AssumeRole on arn:aws:iam::333333333333:role/FirehoseWriter",
            "in account 333333333333",
        ],
    );
    let no_id = refusal(&hub.assume(Role::new(TENANT)).unwrap()).await;
    assert_advises(&no_id, &["no external ID was sent"]);
}

#[tokio::test]
async fn a_refusal_at_an_earlier_hop_names_that_hop_and_the_length_of_the_chain_in_use() {
    let (aws, base) = aws();
    aws.role(HUB)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();

    let error = refusal(&tenant).await;
    assert_eq!(
        (error.role_arn(), error.hop(), error.chain_len()),
        (Some(HUB), Some(1), 2)
    );
    let error = refusal(&hub).await;
    assert_eq!(
        (error.role_arn(), error.hop(), error.chain_len()),
        (Some(HUB), Some(1), 1)
    );
}

#[tokio::test]
async fn the_refused_action_decides_the_advice() {
    let (aws, base) = aws();
    let only_assume = |principal: &str| {
        trusts(principal).replace(r#", "sts:TagSession", "sts:SetSourceIdentity""#, "")
    };
    aws.role(TENANT)
        .trust(only_assume("222222222222"))
        .create()
        .unwrap();
    let chain =
        |hub: Role, tenant: Role| RoleChain::new(&base, hub).unwrap().assume(tenant).unwrap();

    let tagged = chain(Role::new(HUB), Role::new(TENANT).tag("team", "x"));
    assert_advises(
        &refusal(&tagged).await,
        &["must allow sts:TagSession", "in a separate statement"],
    );
    let inherits = chain(
        Role::new(HUB).transitive_tag("team", "x"),
        Role::new(TENANT),
    );
    assert_advises(
        &refusal(&inherits).await,
        &["sts:TagSession", "passes no tags itself", "inherits"],
    );
    let provider = "arn:aws:iam::aws:contextProvider/IdentityCenter";
    aws.context_assertion(provider, "assertion");
    let context = chain(
        Role::new(HUB),
        Role::new(TENANT).provided_context(provider, "assertion"),
    );
    assert_advises(
        &refusal(&context).await,
        &["must allow sts:SetContext", "RequestContextProviders"],
    );
    let identity = chain(Role::new(HUB).source_identity("ada"), Role::new(TENANT));
    assert_advises(
        &refusal(&identity).await,
        &["sts:SetSourceIdentity", "inherited here"],
    );
}

#[tokio::test]
async fn whatever_denies_a_call_is_among_the_things_to_check() {
    let trust = |action: &str, condition: &str| {
        format!(
            r#"{{"Effect": "Allow", "Principal": {{"AWS": "{USER}"}}, "Action": [{action}], "Condition": {{{condition}}}}}"#
        )
    };
    let assume = trust(r#""sts:AssumeRole""#, "");
    let with = |action: &str, condition: &str| assume.clone() + ", " + &trust(action, condition);
    let tag = r#""StringEquals": {"aws:RequestTag/team": "payments"}"#;
    let identity = r#""StringEquals": {"sts:SourceIdentity": "ada"}"#;
    let mfa = r#""Bool": {"aws:MultiFactorAuthPresent": "true"}"#;
    let deny = r#"{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:*"}"#;
    let role = || Role::new(HUB);
    for (trust, role, part) in [
        (
            with(r#""sts:TagSession""#, tag),
            role().tag("team", "refunds"),
            "aws:RequestTag",
        ),
        (
            with(
                r#""sts:TagSession""#,
                r#""Null": {"sts:TransitiveTagKeys": "true"}"#,
            ),
            role().transitive_tag("team", "payments"),
            "sts:TransitiveTagKeys",
        ),
        (trust(r#""sts:AssumeRole""#, tag), role(), "aws:RequestTag"),
        (
            with(r#""sts:SetSourceIdentity""#, identity),
            role().source_identity("bob"),
            "sts:SourceIdentity",
        ),
        (
            trust(r#""sts:AssumeRole""#, identity),
            role(),
            "sts:SourceIdentity",
        ),
        (
            trust(r#""sts:AssumeRole", "sts:TagSession""#, mfa),
            role().tag("team", "payments"),
            "no MFA code was sent",
        ),
        (
            format!("{assume}, {deny}"),
            role(),
            "a Deny in any of these policies",
        ),
        (
            assume.clone(),
            Role::new(HUB.replace("Hub", "teams/Hub")),
            "exactly this path and name",
        ),
    ] {
        let (aws, base) = aws();
        let trust = format!(r#"{{"Version": "2012-10-17", "Statement": [{trust}]}}"#);
        aws.role(HUB).trust(trust).create().unwrap();
        let error = refusal(&RoleChain::new(&base, role).unwrap()).await;
        assert_advises(&error, &[part]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_of_mfa_may_be_too_old() {
    let aws = Simulator::new();
    let serial = new_device("too-old");
    let base = aws.sdk_config(user_with_device(&aws, &serial));
    let trust = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {{"AWS": "{USER}"}},
            "Condition": {{"NumericLessThan": {{"aws:MultiFactorAuthAge": "3600"}}}}}}}}"#
    );
    aws.role(HUB).trust(trust).create().unwrap();
    let code = aws.mfa_code(&serial).unwrap();
    let codes = move |_: MfaRequest| std::future::ready(Ok::<_, Error>(code.clone()));
    let request = SessionTokenRequest::new().mfa(serial, codes);
    let session = RoleChain::from_session_token(&base, request).unwrap();
    let hub = session.assume(Role::new(HUB)).unwrap();
    hub.refresh().await.unwrap();

    aws.clock().advance(HOUR).await;
    let error = refusal(&hub).await;
    assert_advises(&error, &["aws:MultiFactorAuthAge"]);
    let advice = error.advice().join("\n");
    assert!(!advice.contains("only if it was obtained"), "{advice}");

    let named = " with an explicit deny in an identity-based policy";
    let message = format!("User: {USER} is not authorized to perform: sts:AssumeRole{named}");
    aws.fail(Fault::error(403, "AccessDenied", message));
    let advice = refusal(&hub).await.advice().join("\n");
    assert!(!advice.contains("without MFA"), "{advice}");
}

#[tokio::test]
async fn the_advice_on_a_later_hop_names_the_previous_role_as_the_chain_does() {
    let (aws, base) = aws();
    let hub = HUB.replace("Hub", "teams/Hub2");
    aws.role(&*hub).trust(trusts(USER)).create().unwrap();
    let hub_chain = RoleChain::new(&base, Role::new(&*hub)).unwrap();
    let error = refusal(&hub_chain.assume(Role::new(TENANT)).unwrap()).await;
    let advice = error.advice().join("\n");
    assert_advises(
        &error,
        &[
            "check the previous role",
            &format!("must allow sts:AssumeRole to role {hub} (or its account"),
        ],
    );
    assert!(!advice.contains("source credentials"), "{advice}");
}

#[tokio::test]
async fn an_opt_in_region_may_be_disabled_in_the_account_of_the_caller() {
    let (aws, base) = aws();
    aws.set_region_enabled("111111111111", "me-south-1", false);
    let chain = RoleChain::new(&base, Role::new(HUB).region("me-south-1")).unwrap();
    let error = refusal(&chain).await;
    assert!(error.message().unwrap().contains("account:111111111111"));
    assert_advises(&error, &["in opt-in regions, the caller's"]);
}

#[tokio::test(start_paused = true)]
async fn each_error_code_of_sts_has_its_own_advice() {
    let (aws, base) = aws();
    let cases = [
        (
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            vec!["--role-name Hub --max-session-duration 7200"],
        ),
        (
            "ValidationError",
            "The source identity is already set for this assume role session",
            vec!["cannot be changed"],
        ),
        (
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            vec!["Pod Identity"],
        ),
        (
            "PackedPolicyTooLarge",
            "Packed policy consumes 157% of allotted space, please use smaller policy.",
            vec![
                "shorten the session policy",
                "fewer or shorter session tags",
            ],
        ),
        (
            "MalformedPolicyDocument",
            "This policy contains invalid Json",
            vec!["no Principal"],
        ),
        (
            "RegionDisabledException",
            "STS is not activated in this region for account:222222222222. Your account administrator can activate STS in this region using the IAM Console.",
            vec!["eu-west-1", "the role's account 222222222222"],
        ),
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            vec!["AKIA", "clock"],
        ),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            vec!["AKIA", "deleted", "eu-west-1"],
        ),
        (
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region. ",
            vec!["region eu-west-1"],
        ),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            vec!["secret access key belongs to AKIA"],
        ),
        (
            "AccessDenied",
            "Roles may not be assumed by root accounts.",
            vec!["use an IAM user or a role"],
        ),
        (
            "AccessDenied",
            "User: arn:aws:iam::111111111111:user/orders is not authorized to perform: sts:AssumeRole on resource: x because no session policy allows the sts:AssumeRole action",
            vec!["AWS's message names the policy: the session policy of the caller's own session"],
        ),
        (
            "Throttling",
            "Rate exceeded",
            vec!["600 requests per second"],
        ),
    ];
    let chain = RoleChain::new(&base, Role::new(HUB).duration(2 * HOUR)).unwrap();
    for (code, message, parts) in cases {
        aws.fail(Fault::error(
            if code == "AccessDenied" { 403 } else { 400 },
            code,
            message,
        ));
        let error = refusal(&chain).await;
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.message(), Some(message));
        assert_advises(&error, &parts);
        assert_eq!(
            error.is_transient(),
            ["ExpiredToken", "Throttling"].contains(&code),
            "{code}"
        );
    }
}

#[tokio::test]
async fn the_advice_on_a_too_long_duration_of_a_chained_role_names_both_limits() {
    let (aws, base) = aws();
    let session = RoleChain::new(&base, Role::new(HUB))
        .unwrap()
        .provide_credentials()
        .await
        .unwrap();
    let on_instance = with_source(&base, session);
    // STS checks the role's own limit first, so its message does not mention role chaining.
    let chain = RoleChain::new(&on_instance, Role::new(TENANT).duration(2 * HOUR)).unwrap();
    let error = refusal(&chain).await;
    assert!(
        error.message().unwrap().contains("MaxSessionDuration"),
        "{error}"
    );
    assert_advises(
        &error,
        &[
            "request 3600 s or less",
            "role chaining",
            "regardless of the role's own limit",
        ],
    );
    assert!(
        !error.to_string().contains("update-role"),
        "that would not help: {error}"
    );
    assert_eq!(aws.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_chain_used_as_a_source_keeps_its_code_and_advice() {
    let (aws, base) = aws();
    aws.role(HUB)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
    let tenant = RoleChain::new(&hub.sdk_config(), Role::new(TENANT)).unwrap();

    let error = refusal(&tenant).await;
    assert!(
        error.is_source_failure() && error.is_access_denied() && !error.is_transient(),
        "{error}"
    );
    assert_advises(
        &error,
        &["the trust policy of arn:aws:iam::222222222222:role/Hub"],
    );

    aws.fail(Fault::service_unavailable());
    aws.clock().advance(MINUTE).await;
    let error = refusal(&tenant).await;
    assert!(error.is_transient() && !error.is_access_denied(), "{error}");
}

#[tokio::test]
async fn debug_is_the_first_line_because_unwrap_and_main_print_it() {
    let (aws, base) = aws();
    aws.role(TENANT)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    let error = refusal(&two_hops(&base)).await;
    let first = error.to_string().lines().next().unwrap().to_owned();
    assert_eq!(
        format!("{error:?}"),
        format!("aws_role_chain::Error({first})")
    );
}

#[tokio::test]
async fn an_external_id_in_a_message_of_sts_is_masked() {
    let (aws, base) = aws();
    let message = format!("Value '{EXTERNAL_ID}' at 'externalId' failed to satisfy constraint");
    aws.fail(Fault::error(400, "ValidationError", message));
    let chain = RoleChain::new(&base, Role::new(HUB).external_id(EXTERNAL_ID)).unwrap();
    let error = refusal(&chain).await;
    assert!(!format!("{error} {error:?} {:?}", error.message()).contains(EXTERNAL_ID));
    assert!(error.message().unwrap().contains("at 'externalId'"));
}

#[tokio::test]
async fn an_external_id_is_masked_however_the_answer_writes_it() {
    let (aws, base) = aws();
    let role = Role::new(HUB).external_id("acme/prod:1");
    let chain = RoleChain::new(&base, role).unwrap();
    for written in [
        "acme/prod:1",
        "acme%2Fprod%3A1",
        "acme%2fprod:1",
        "acme&#x2F;prod&#58;1",
        "acme&amp;#47;prod:1",
    ] {
        let message = format!("Value '{written}' at 'externalId' failed to satisfy constraint");
        aws.fail(Fault::error(400, "ValidationError", message));
        let error = refusal(&chain).await;
        let stars = error.message().unwrap().trim_matches(|c| c != '*');
        assert!(stars.len() >= 11, "{error}");
        assert!(stars.chars().all(|c| c == '*'), "{error}");
        aws.recover();
    }
}

#[tokio::test]
async fn an_external_id_that_looks_like_a_word_of_sts_changes_nothing_in_its_answer() {
    for id in [
        "de",
        "es",
        "en",
        "tt",
        "Code",
        "Error",
        "sts",
        "role",
        "amp",
        "invalid",
        "AccessDenied",
        // The role's account, which the error shows anyway.
        "222222222222",
    ] {
        let (aws, base) = aws();
        let chain = RoleChain::new(&base, Role::new(HUB).external_id(id)).unwrap();
        let message =
            format!("User: {USER} is not authorized to perform: sts:AssumeRole on resource: {HUB}");
        aws.fail(Fault::error(403, "AccessDenied", &*message));
        let error = refusal(&chain).await;
        assert!(error.is_access_denied(), "{id}: {error}");
        assert_eq!(error.message(), Some(&*message), "{id}");
        assert_advises(&error, &["the external ID must exactly match"]);

        aws.recover();
        aws.fail(Fault::throttling().times(1));
        chain.refresh().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_of_another_server_than_sts_is_reported_as_such() {
    let (aws, base) = aws();
    let chain = RoleChain::new(&base, Role::new(HUB)).unwrap();
    aws.fail(Fault::error(
        200,
        "Welcome",
        "please log in to this network",
    ));
    let error = refusal(&chain).await;
    assert!(error.to_string().contains("is not STS"), "{error}");
    // The SDK's own error may quote the request or the response.
    assert!(error.is_transient() && error.source().is_none());
}

/// A resolver that resolves no host name.
#[derive(Clone, Debug)]
struct NoSuchHost;

impl ResolveDns for NoSuchHost {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::ready(Err(ResolveDnsError::new(format!("no such host: {name}"))))
    }
}

#[tokio::test]
async fn a_region_whose_sts_does_not_resolve_gets_advice_and_an_endpoint_of_ones_own_does_not() {
    let (aws, base) = aws();
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .build_with_resolver(NoSuchHost);
    let base = base.into_builder().http_client(http_client).build();
    let with = |fips: bool, dual_stack: bool| {
        base.to_builder()
            .use_fips(fips)
            .use_dual_stack(dual_stack)
            .build()
    };
    let role = || Role::new(HUB).region("eu-west-9");
    let (may_not_exist, fips, dual_stack) = (
        "region eu-west-9 may not exist",
        "no FIPS endpoint in region eu-west-9",
        "no dual-stack endpoint in region eu-west-9",
    );
    for (config, expected) in [
        (with(false, false), vec![may_not_exist]),
        (with(true, false), vec![may_not_exist, fips]),
        (with(true, true), vec![may_not_exist, fips, dual_stack]),
    ] {
        let error = refusal(&RoleChain::new(&config, role()).unwrap()).await;
        let host = "in region eu-west-9: ";
        assert!(
            error.to_string().contains(host) && error.to_string().contains("no such host: sts"),
            "{error}"
        );
        assert!(error.is_transient(), "DNS may be away: {error}");
        assert_advises(&error, &expected);
        assert_advises(&error, &["this machine's DNS"]);
        assert_eq!(error.advice().len(), expected.len() + 1, "{error}");
    }

    let own = base.to_builder().endpoint_url("https://sts.example.com");
    let error = refusal(&RoleChain::new(&own.build(), role()).unwrap()).await;
    assert!(
        error.to_string().contains("no such host: sts.example.com"),
        "{error}"
    );
    assert!(error.advice().is_empty(), "{error}");

    // A broken connection does not indicate a wrong region.
    aws.fail(Fault::connection_closed());
    let away = base.into_builder().http_client(aws).build();
    let error = refusal(&RoleChain::new(&away, role()).unwrap()).await;
    assert!(error.advice().is_empty(), "{error}");
}

#[derive(Debug)]
struct Fails(fn() -> CredentialsError);

impl ProvideCredentials for Fails {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn a_failure_of_the_source_differs_from_one_of_sts_and_keeps_its_kind() {
    let (aws, base) = aws();
    type Fail = fn() -> CredentialsError;
    type Kind = fn(&CredentialsError) -> bool;
    let cases: [(Fail, Kind, bool); 5] = [
        (
            || CredentialsError::not_loaded("no keys"),
            |e| matches!(e, CredentialsError::CredentialsNotLoaded(_)),
            false,
        ),
        (
            || CredentialsError::invalid_configuration("bad file"),
            |e| matches!(e, CredentialsError::InvalidConfiguration(_)),
            false,
        ),
        (
            || CredentialsError::provider_error("IMDS is away"),
            |e| matches!(e, CredentialsError::ProviderError(_)),
            true,
        ),
        (
            || CredentialsError::provider_timed_out(HOUR),
            |e| matches!(e, CredentialsError::ProviderError(_)),
            true,
        ),
        (
            || CredentialsError::unhandled("what?"),
            |e| matches!(e, CredentialsError::Unhandled(_)),
            true,
        ),
    ];
    for (fails, is_kind, transient) in cases {
        let chain = RoleChain::new(&with_source(&base, Fails(fails)), Role::new(HUB)).unwrap();
        let error = refusal(&chain).await;
        assert!(error.is_source_failure() && error.code().is_none());
        assert_eq!(error.is_transient(), transient, "{error:?}");
        assert_eq!(error.hop(), Some(1));
        let begin = format!("loading the source credentials for {HUB} (hop 1 of 1) failed: ");
        assert!(error.to_string().starts_with(&begin), "{error}");
        assert!(error.source().unwrap().is::<CredentialsError>());
        assert!(is_kind(&CredentialsError::from(error.clone())), "{error:?}");
    }
    assert_eq!(aws.requests(), 0);
}

#[tokio::test]
async fn the_error_of_an_sdk_client_shows_everything_once() {
    let (aws, base) = aws();
    aws.role(TENANT)
        .trust(trusts("444444444444"))
        .create()
        .unwrap();
    let tenant = two_hops(&base);
    for config in [
        tenant.sdk_config(),
        base.to_builder()
            .credentials_provider(SharedCredentialsProvider::new(tenant.clone()))
            .build(),
    ] {
        let client = aws_sdk_sts::Client::new(&config);
        let error = client.get_caller_identity().send().await.unwrap_err();
        let text = DisplayErrorContext(&error).to_string();
        for once in [
            "hop 2 of 2)",
            "not authorized to perform",
            "request id",
            "no external ID was sent",
        ] {
            // After all sources, the SDK prints the error's `Debug`, which repeats the first line.
            let times = if once == "no external ID was sent" {
                1
            } else {
                2
            };
            assert_eq!(text.matches(once).count(), times, "{once:?} in {text}");
        }
        let ours = Error::find(&error).expect("ours is among the sources");
        assert!(ours.is_access_denied());
    }

    aws.fail(Fault::connection_closed());
    let client = aws_sdk_sts::Client::new(&two_hops(&base).sdk_config());
    let error = client.get_caller_identity().send().await.unwrap_err();
    let text = DisplayErrorContext(&error).to_string();
    for once in ["STS could not be called", "connection closed", "hop 1 of 2"] {
        assert_eq!(text.matches(once).count(), 2, "{once:?} in {text}");
    }
    let debug = format!("{error:?}");
    assert!(
        debug.contains("(hop 1 of 2): STS could not be called in region eu-west-1: "),
        "{debug}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_any_debug_display_or_trace_log_of_a_full_run() {
    let (log, _guard) = Log::at(LevelFilter::TRACE);

    let aws = Simulator::new();
    let keys = user(&aws);
    aws.role(HUB)
        .trust(trusts_with_external_id(USER))
        .policy(allow("sts:*"))
        .create()
        .unwrap();
    aws.role(TENANT)
        .trust(trusts("222222222222"))
        .create()
        .unwrap();
    let base = aws.sdk_config(keys.clone());
    let right = Role::new(HUB).external_id(EXTERNAL_ID);
    let hub = RoleChain::new(&base, right.clone()).unwrap();
    let tenant = hub
        .assume(Role::new(TENANT).external_id("another-secret-id"))
        .unwrap();
    let wrong = RoleChain::new(&base, Role::new(HUB).external_id("wrong-secret-id")).unwrap();
    let away = RoleChain::new(
        &with_source(&base, Fails(|| CredentialsError::provider_error("away"))),
        right.clone(),
    )
    .unwrap();
    let mut shown = String::new();
    let mut secrets = vec![
        EXTERNAL_ID.to_owned(),
        "another-secret-id".to_owned(),
        "wrong-secret-id".to_owned(),
    ];
    let mut keep = |credentials: &Credentials| {
        secrets.push(credentials.secret_access_key().to_owned());
        secrets.extend(credentials.session_token().map(str::to_owned));
    };
    keep(&keys);

    // The run has successes, a denial, a failing source, an outage and a recovery.
    keep(&hub.provide_credentials().await.unwrap());
    keep(&tenant.provide_credentials().await.unwrap());
    for chain in [&wrong, &away] {
        let error = chain.provide_credentials().await.unwrap_err();
        shown += &format!("{error} {error:?} {}", DisplayErrorContext(&error));
        let error = refusal(chain).await;
        shown += &format!("{error} {error:?} {:?}", error.advice());
    }
    aws.fail(Fault::no_answer());
    aws.clock().advance(HOUR + MINUTE).await;
    keep(&tenant.provide_credentials().await.unwrap());
    aws.fail(Fault::error(
        400,
        "ExpiredToken",
        "The security token included in the request is expired",
    ));
    let error = refusal(&tenant).await;
    shown += &format!("{error} {error:?} {:?}", tenant.status());
    aws.recover();
    aws.clock().advance(MINUTE).await;
    for chain in [&tenant, &hub] {
        keep(&chain.provide_credentials().await.unwrap());
        shown += &format!("{chain:?} {:?}", chain.sdk_config());
        for hop in chain.status() {
            shown += &format!("{hop} {hop:?}");
        }
    }
    shown += &format!(
        "{right:?} {aws:?} {:?}",
        Role::new(HUB)
            .external_id("se cret")
            .external_id(EXTERNAL_ID)
    );

    let logged = log.text();
    assert!(
        logged.contains("loaded credentials"),
        "our own events are in the log"
    );
    assert!(logged.contains("refresh failed"), "{logged}");
    assert!(secrets.len() > 10, "{}", secrets.len());
    for secret in &secrets {
        assert!(!shown.contains(secret.as_str()), "{secret} is shown");
        if let Some(at) = logged.find(secret.as_str()) {
            let line = logged[..at].lines().last().unwrap_or_default();
            panic!("{secret} is logged: {line}");
        }
    }
}
