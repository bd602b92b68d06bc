//! Two tables: the first line of every error, and how every error of the SDK is classified.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::BehaviorVersion;
use aws_sdk_sts::error::DisplayErrorContext;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::{Full, Limited};
use hyper::body::Bytes;

use super::Operation::*;
use super::*;
use crate::{Role, RoleChain};

const ROLE: &str = "arn:aws:iam::222222222222:role/Hub";

/// Every place where a load or a diagnosis can fail: the operation, whether a role is assumed, the hop, the length of
/// the chain, and the start of the first line.
const PLACES: [(Operation, bool, usize, usize, &str); 12] = [
    (LoadSource, false, 0, 0, "loading the source credentials"),
    (LoadSource, false, 0, 2, "loading the source credentials"),
    (
        AssumeRole,
        true,
        1,
        1,
        "assuming arn:aws:iam::222222222222:role/Hub (hop 1 of 1)",
    ),
    (
        AssumeRole,
        true,
        1,
        2,
        "assuming arn:aws:iam::222222222222:role/Hub (hop 1 of 2)",
    ),
    (
        AssumeRole,
        true,
        2,
        2,
        "assuming arn:aws:iam::222222222222:role/Hub (hop 2 of 2)",
    ),
    (
        AssumeRoleWithWebIdentity,
        true,
        1,
        2,
        "assuming arn:aws:iam::222222222222:role/Hub (hop 1 of 2)",
    ),
    (
        AssumeRoleWithSaml,
        true,
        1,
        2,
        "assuming arn:aws:iam::222222222222:role/Hub (hop 1 of 2)",
    ),
    (
        GetSessionToken,
        false,
        1,
        1,
        "getting a session token (hop 1 of 1)",
    ),
    (
        GetSessionToken,
        false,
        1,
        2,
        "getting a session token (hop 1 of 2)",
    ),
    (
        GetCallerIdentity,
        false,
        0,
        2,
        "calling GetCallerIdentity with the source credentials",
    ),
    (
        GetCallerIdentity,
        true,
        1,
        2,
        "calling GetCallerIdentity with the credentials of hop 1 of 2",
    ),
    (
        GetCallerIdentity,
        true,
        2,
        2,
        "calling GetCallerIdentity with the credentials of hop 2 of 2",
    ),
];

impl Operation {
    /// Returns every operation, for tables that must contain all. A new one does not compile until it is listed here.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let next = |operation: &Self| {
            Some(match operation {
                CheckBase => LoadProfile,
                LoadProfile => WritePolicies,
                WritePolicies => WriteDocument,
                WriteDocument => LoadSource,
                LoadSource => AssumeRole,
                AssumeRole => AssumeRoleWithWebIdentity,
                AssumeRoleWithWebIdentity => AssumeRoleWithSaml,
                AssumeRoleWithSaml => GetSessionToken,
                GetSessionToken => GetCallerIdentity,
                GetCallerIdentity => return None,
            })
        };
        std::iter::successors(Some(CheckBase), next)
    }

    /// Whether the operation calls STS.
    pub(crate) fn is_call(self) -> bool {
        !matches!(
            self,
            CheckBase | LoadProfile | WritePolicies | WriteDocument | LoadSource
        )
    }

    /// Whether a hop loads credentials with the operation.
    pub(crate) fn is_load(self) -> bool {
        self == LoadSource || self.is_call() && self != GetCallerIdentity
    }
}

#[test]
fn the_tables_have_every_operation_and_so_has_the_documentation() {
    let front_page = include_str!("../../src/lib.rs");
    let (_, labels) = front_page.split_once("//! `operation` is ").unwrap();
    let (labels, _) = labels.split_once("`outcome`").unwrap();
    for operation in Operation::all().filter(|operation| operation.is_call() || operation.is_load())
    {
        let mut places = PLACES.iter().map(|(of_place, ..)| *of_place);
        assert!(
            places.any(|of_place| of_place == operation),
            "PLACES has no row for {operation:?}"
        );
        let is_label = labels.contains(&format!("`{}`", operation.name()));
        assert_eq!(
            is_label,
            operation.is_load(),
            "{operation:?} in the labels that src/lib.rs lists: {labels}"
        );
    }
}

#[test]
fn the_first_line_of_every_failed_load_names_operation_role_and_hop_and_says_why() {
    let refused = |message: Option<&str>, request_id: Option<&str>| {
        ErrorKind::Refused(Refusal {
            code: "AccessDenied".to_owned(),
            message: message.map(str::to_owned),
            request_id: request_id.map(str::to_owned),
            meaning: Meaning::Denied,
        })
    };
    let calls: Vec<Operation> = Operation::all()
        .filter(|operation| operation.is_call())
        .collect();
    let loads: Vec<Operation> = Operation::all()
        .filter(|operation| operation.is_load())
        .collect();
    type Make<'a> = &'a dyn Fn() -> ErrorKind;
    let cases: [(&[Operation], Make, Option<&str>, &str); 19] = [
        (
            &calls,
            &|| refused(Some("not today "), Some("5e3d")),
            None,
            ": AccessDenied: not today (request id 5e3d)",
        ),
        (
            &calls,
            &|| refused(Some("not today"), None),
            None,
            ": AccessDenied: not today",
        ),
        (
            &calls,
            &|| refused(None, Some("5e3d")),
            None,
            ": AccessDenied (request id 5e3d)",
        ),
        (&calls, &|| refused(None, None), None, ": AccessDenied"),
        (
            &calls,
            &|| ErrorKind::NoAnswer {
                what: "STS could not be called in region eu-west-1: reset".to_owned(),
            },
            None,
            ": STS could not be called in region eu-west-1: reset",
        ),
        (
            &calls,
            &|| ErrorKind::NotSent {
                destination: "in region eu-west-1".to_owned(),
            },
            None,
            ": the SDK could not build the request to STS in region eu-west-1",
        ),
        (
            &calls,
            &|| ErrorKind::Unusable {
                what: "STS returned no credentials".to_owned(),
            },
            None,
            ": STS returned no credentials",
        ),
        (
            &loads,
            &|| {
                let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                ErrorKind::already_expired(at(1), at(2))
            },
            None,
            ": the returned credentials expired at 1970-01-01T00:00:01Z; this machine's clock shows \
             1970-01-01T00:00:02Z",
        ),
        (
            &[GetSessionToken],
            &|| ErrorKind::TemporarySource {
                access_key_id: "ASIAEXAMPLE".to_owned(),
            },
            None,
            ": requires an IAM user's long-term keys, but the source returned temporary credentials \
             (ASIAEXAMPLE)",
        ),
        (
            &[AssumeRole, GetSessionToken],
            &|| ErrorKind::NoMfaCode {
                serial: "GAHT12345678".to_owned(),
            },
            Some("no terminal"),
            ": no MFA code for GAHT12345678: no terminal",
        ),
        (
            &[AssumeRoleWithWebIdentity],
            &|| ErrorKind::NoToken,
            Some("no such file"),
            ": no web identity token: no such file",
        ),
        (
            &[AssumeRoleWithSaml],
            &|| ErrorKind::NoToken,
            Some("signed\n   out"),
            ": no SAML assertion: signed out",
        ),
        (
            &[AssumeRole, AssumeRoleWithSaml, GetSessionToken],
            &|| ErrorKind::InteractionRequired,
            None,
            ": needs input from a person, but no caller is waiting",
        ),
        (
            &calls,
            &|| ErrorKind::QueueTimedOut {
                after: Duration::from_secs(120),
            },
            None,
            ": timed out after 120 s in the queue of calls to STS",
        ),
        (
            &loads,
            &|| ErrorKind::Panicked,
            None,
            ": a provider of credentials, codes or tokens, or the HTTP client, panicked while loading",
        ),
        (
            &loads,
            &|| ErrorKind::ReentrantLoad,
            None,
            ": a provider of credentials, codes or tokens requests credentials from a chain that is \
             waiting for it: use other credentials there",
        ),
        (
            &loads,
            &|| ErrorKind::NoRuntime,
            None,
            ": credentials are loaded in a tokio task, but no runtime is running: call from within \
             a tokio runtime",
        ),
        (
            &loads,
            &|| ErrorKind::TooShort {
                left: Duration::from_millis(59_999),
                required: Duration::from_secs(900),
                cause: None,
            },
            None,
            ": the credentials stay valid for 59 s, but 900 s are required",
        ),
        (
            &[LoadSource, GetSessionToken],
            &|| ErrorKind::Source(SourceFailure::Provider),
            Some("IMDS is away"),
            " failed: IMDS is away",
        ),
    ];
    for (operations, kind, cause, end) in cases {
        for (operation, has_role, hop, chain_len, begin) in PLACES {
            if operations.contains(&operation) {
                let error = failed(operation, has_role, hop, kind(), cause);
                assert_reads(&error.with_chain_len(chain_len), &format!("{begin}{end}"));
            }
        }
    }
}

#[test]
fn the_first_line_of_a_failed_source_names_the_role_that_it_was_needed_for() {
    let two_minutes = Duration::from_secs(120);
    let cases = [
        (
            SourceFailure::NotLoaded,
            Some("no keys"),
            " failed: no keys",
        ),
        (SourceFailure::NotLoaded, None, " failed"),
        (
            SourceFailure::InvalidConfiguration,
            Some("bad file"),
            " failed: bad file",
        ),
        (SourceFailure::Unhandled, Some("what?"), " failed: what?"),
        (
            SourceFailure::TimedOut(two_minutes),
            None,
            " timed out after 120 s",
        ),
    ];
    for (failure, cause, end) in cases {
        for (operation, hop, begin) in [
            (LoadSource, 0, "loading the source credentials"),
            (
                AssumeRole,
                1,
                "loading the source credentials for arn:aws:iam::222222222222:role/Hub (hop 1 of 2)",
            ),
        ] {
            let has_role = operation == AssumeRole;
            let error = failed(operation, has_role, hop, ErrorKind::Source(failure), cause);
            assert_reads(&error.with_chain_len(2), &format!("{begin}{end}"));
        }
    }
}

#[test]
fn the_first_line_of_an_invalid_value_names_field_rule_and_value() {
    let rule = "must be 900 to 43200 whole seconds";
    let violation = |value| Violation::new("duration", rule, value);
    let long = "x".repeat(101);
    let hidden = ": duration: must be 900 to 43200 whole seconds";
    let shown = ": duration: must be 900 to 43200 whole seconds, but the value is \"60 s\"";
    for (operation, subject) in [
        (CheckBase, "base config"),
        (LoadProfile, "profile"),
        (WritePolicies, "request for policies"),
        (WriteDocument, "request for a policy document"),
    ] {
        let error = violation(None).into_error(operation);
        assert_reads(&error, &format!("invalid {subject}{hidden}"));
        let error = violation(Some("60 s")).into_error(operation);
        assert_reads(&error, &format!("invalid {subject}{shown}"));
    }
    for operation in [AssumeRole, AssumeRoleWithWebIdentity, AssumeRoleWithSaml] {
        for hop in [1, 2] {
            let error = violation(Some("60 s")).into_hop_error(operation, Some(ROLE), hop);
            let begin = format!("invalid role {ROLE} (hop {hop} of {hop})");
            assert_reads(&error, &format!("{begin}{shown}"));
        }
    }
    let error = violation(None).into_hop_error(GetSessionToken, None, 1);
    let begin = "invalid session token request (hop 1 of 1)";
    assert_reads(&error, &format!("{begin}{hidden}"));

    // A malformed ARN is escaped to stay on one line. A long value is shortened.
    let error = violation(None).into_hop_error(AssumeRole, Some("two\nlines"), 1);
    let begin = r"invalid role two\nlines (hop 1 of 1)";
    assert_reads(&error, &format!("{begin}{hidden}"));
    let error = violation(Some(&long)).into_error(CheckBase);
    let end = format!(", but the value is \"{}…\"", "x".repeat(100));
    assert_reads(&error, &format!("invalid base config{hidden}{end}"));

    let in_profile = violation(Some("60 s"))
        .of_part("session's")
        .in_profile("profile app in /home/ada/.aws/config");
    let begin = "invalid profile app in /home/ada/.aws/config: duration: the session's must";
    let end = " be 900 to 43200 whole seconds, but the value is \"60 s\"";
    assert_reads(
        &in_profile.into_error(LoadProfile),
        &format!("{begin}{end}"),
    );
}

#[test]
fn the_causes_are_said_once_and_the_advice_of_an_inner_chain_is_not_among_them() {
    #[derive(Debug)]
    struct Repeats(Error);
    impl fmt::Display for Repeats {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "the provider failed: {}", self.0.first_line())
        }
    }
    impl StdError for Repeats {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }
    let inner = || -> Error {
        let what = "STS did not answer in time in region eu-west-1".to_owned();
        let step = Step {
            operation: AssumeRole,
            role_arn: Some(ROLE.into()),
            hop: 1,
        };
        ErrorInner {
            advice: vec!["check the network".to_owned()],
            ..step.failed(ErrorKind::NoAnswer { what })
        }
        .into()
    };
    let line =
        format!("assuming {ROLE} (hop 1 of 1): STS did not answer in time in region eu-west-1");
    assert_eq!(
        inner().to_string(),
        format!("{line}\n  - check the network")
    );
    let causes: [(BoxError, String); 2] = [
        (Box::new(inner()), line.clone()),
        (
            Box::new(Repeats(inner())),
            format!("the provider failed: {line}"),
        ),
    ];
    for (cause, said) in causes {
        let outer: Error = ErrorInner {
            source: Some(cause),
            ..Step::from(LoadSource).failed(ErrorKind::Source(SourceFailure::Provider))
        }
        .into();
        let expected = format!("loading the source credentials failed: {said}");
        assert_reads(&outer, &expected);
        assert_eq!(outer.advice(), ["check the network"]);
        assert!(outer.is_transient());
    }
}

fn failed(
    operation: Operation,
    has_role: bool,
    hop: usize,
    kind: ErrorKind,
    cause: Option<&str>,
) -> Error {
    let step = Step {
        operation,
        role_arn: has_role.then(|| ROLE.into()),
        hop,
    };
    ErrorInner {
        source: cause.map(BoxError::from),
        ..step.failed(kind)
    }
    .into()
}

/// Asserts that the error consists of this line, with no advice.
#[track_caller]
fn assert_reads(error: &Error, line: &str) {
    assert_eq!(error.to_string(), line);
    assert_eq!(
        format!("{error:?}"),
        format!("aws_role_chain::Error({line})")
    );
}

/// Returns a body that fails before its end.
fn broken_off() -> Limited<Full<Bytes>> {
    Limited::new(Full::new(Bytes::from("<AssumeRoleResponse>")), 1)
}

/// What an HTTP client does with a call.
#[derive(Clone, Copy, Debug)]
enum Http {
    TimesOut,
    FailsToConnect,
    RejectsTheRequest,
    FailsOtherwise,
    NeverAnswers,
    Answers(u16, &'static str),
    BreaksOff,
}

impl HttpClient for Http {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(*self)
    }
}

impl HttpConnector for Http {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let why = || BoxError::from("the cause");
        let answer = |status: u16, body| {
            let status = status.try_into().unwrap();
            let mut answer = HttpResponse::new(status, body);
            answer.headers_mut().insert("x-amzn-requestid", "r-1");
            Ok(answer)
        };
        HttpConnectorFuture::ready(match self {
            Self::TimesOut => Err(ConnectorError::timeout(why())),
            Self::FailsToConnect => Err(ConnectorError::io(why())),
            Self::RejectsTheRequest => Err(ConnectorError::user(why())),
            Self::FailsOtherwise => Err(ConnectorError::other(why(), None)),
            Self::NeverAnswers => return HttpConnectorFuture::new(std::future::pending()),
            Self::Answers(status, body) => answer(*status, SdkBody::from(*body)),
            Self::BreaksOff => answer(200, SdkBody::from_body_1_x(broken_off())),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn every_error_of_the_sdk_has_a_kind_and_the_kind_decides_what_the_sdk_is_told() {
    const TIMED_OUT: &str = ": STS did not answer in time in region eu-west-1";
    const NOT_CALLED: &str = ": STS could not be called in region eu-west-1: the cause";
    const NOT_STS: &str = ": the server that answered in region eu-west-1 is not STS";
    const UNREADABLE: &str = ": STS's response could not be read in region eu-west-1";
    const UNSENDABLE: &str = ": STS returned credentials that contain control characters";
    let denied = answer_of("AccessDenied", "no");
    let policy = answer_of("MalformedPolicyDocument", "no");
    let expired = answer_of("ExpiredToken", "no");
    let unknown = answer_of("InvalidClientTokenId", "no");
    let throttled = answer_of("Throttling", "no");
    let down = answer_of("InternalFailure", "no");
    // STS quotes values of the request.
    let lines = answer_of("ValidationError", "1 error:\n\n  '{\r\n}'&#x1b;[31m");
    let no_expiry = session_of("ASIAEXAMPLE", "token").replace("Expiration>", "Expiry>");
    let key_with_line_break = session_of("ASIAEXAMPLE\n", "token");
    let token_with_line_break = session_of("ASIAEXAMPLE", "to&#13;ken");
    // Read to its end, a response without one would fill the memory.
    let too_long = session_of("ASIAEXAMPLE", "token").to_owned() + &" ".repeat(1 << 20);
    // What the HTTP client does, the error's kind, whether it is transient, the kind of CredentialsError, and the end
    // of the first line.
    let cases = [
        // SdkError::TimeoutError
        (
            Http::NeverAnswers,
            "NoAnswer",
            true,
            "ProviderError",
            TIMED_OUT,
        ),
        // SdkError::DispatchFailure
        (Http::TimesOut, "NoAnswer", true, "ProviderError", TIMED_OUT),
        (
            Http::FailsToConnect,
            "NoAnswer",
            true,
            "ProviderError",
            NOT_CALLED,
        ),
        (
            Http::RejectsTheRequest,
            "NoAnswer",
            true,
            "ProviderError",
            NOT_CALLED,
        ),
        (
            Http::FailsOtherwise,
            "NoAnswer",
            true,
            "ProviderError",
            NOT_CALLED,
        ),
        // SdkError::ResponseError
        (
            Http::BreaksOff,
            "NoAnswer",
            true,
            "ProviderError",
            UNREADABLE,
        ),
        (
            Http::Answers(200, too_long.leak()),
            "NoAnswer",
            true,
            "ProviderError",
            UNREADABLE,
        ),
        // A response with credentials that are incomplete or cannot be sent
        (
            Http::Answers(200, no_expiry.leak()),
            "Unusable",
            true,
            "Unhandled",
            ": STS returned incomplete credentials",
        ),
        (
            Http::Answers(200, key_with_line_break),
            "Unusable",
            true,
            "Unhandled",
            UNSENDABLE,
        ),
        (
            Http::Answers(200, token_with_line_break),
            "Unusable",
            true,
            "Unhandled",
            UNSENDABLE,
        ),
        // SdkError::ServiceError with a response that is not from STS
        (
            Http::Answers(200, "Welcome"),
            "Unusable",
            true,
            "Unhandled",
            NOT_STS,
        ),
        (
            Http::Answers(200, ""),
            "Unusable",
            true,
            "Unhandled",
            NOT_STS,
        ),
        // SdkError::ServiceError
        (
            Http::Answers(403, denied),
            "Refused",
            false,
            "ProviderError",
            ": AccessDenied: no (request id r-1)",
        ),
        (
            Http::Answers(400, policy),
            "Refused",
            false,
            "InvalidConfiguration",
            ": MalformedPolicyDocument: no (request id r-1)",
        ),
        (
            Http::Answers(400, lines),
            "Refused",
            false,
            "ProviderError",
            ": ValidationError: 1 error: '{ }' [31m (request id r-1)",
        ),
        (
            Http::Answers(403, expired),
            "Refused",
            true,
            "ProviderError",
            ": ExpiredToken: no (request id r-1)",
        ),
        (
            Http::Answers(403, unknown),
            "Refused",
            false,
            "ProviderError",
            ": InvalidClientTokenId: no (request id r-1)",
        ),
        (
            Http::Answers(400, throttled),
            "Refused",
            true,
            "ProviderError",
            ": Throttling: no (request id r-1)",
        ),
        (
            Http::Answers(500, down),
            "Refused",
            true,
            "ProviderError",
            ": InternalFailure: no (request id r-1)",
        ),
        (
            Http::Answers(503, ""),
            "Refused",
            true,
            "ProviderError",
            ": HTTP 503 (request id r-1)",
        ),
        (
            Http::Answers(429, "slow"),
            "Refused",
            true,
            "ProviderError",
            ": HTTP 429 (request id r-1)",
        ),
        (
            Http::Answers(404, "<html>"),
            "Refused",
            false,
            "ProviderError",
            ": HTTP 404 (request id r-1)",
        ),
    ];
    for (http, kind, is_transient, told, end) in cases {
        let error = failure_of(http).await;
        assert_eq!(kind_of(&error), kind, "{http:?}: {error}");
        assert_eq!(error.is_transient(), is_transient, "{http:?}: {error}");
        let line = error.first_line().to_string();
        assert_eq!(
            line,
            format!("assuming {ROLE} (hop 1 of 1){end}"),
            "{http:?}"
        );
        // The SDK's error is not kept, because it may quote the request.
        assert!(error.source().is_none(), "{http:?}");
        let sdk_error = CredentialsError::from(error);
        assert_eq!(credentials_error_of(&sdk_error), told, "{http:?}");
        let text = DisplayErrorContext(&sdk_error).to_string();
        assert!(text.contains(&line), "{http:?}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_without_a_code_of_stss_gets_advice_that_says_where_it_came_from() {
    for status in [302, 403, 503] {
        let error = failure_of(Http::Answers(status, "<html>")).await;
        let [advice] = error.advice() else {
            panic!("{error}");
        };
        let whence = "another server may have answered in region eu-west-1";
        assert!(advice.ends_with(whence), "{status}: {advice}");
    }
    let error = failure_of(Http::Answers(503, answer_of("ServiceUnavailable", "no"))).await;
    assert!(error.advice().is_empty(), "{error}");
}

/// Returns the error of a chain whose calls to STS fail like this.
async fn failure_of(http: Http) -> Error {
    let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .http_client(SharedHttpClient::new(http))
        .build();
    let chain = RoleChain::new(&config, Role::new(ROLE)).unwrap();
    chain.refresh().await.unwrap_err()
}

/// Returns an error response of STS with this code.
fn answer_of(code: &str, message: &str) -> &'static str {
    let answer = format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r-1</RequestId></ErrorResponse>"
    );
    answer.leak()
}

/// Returns STS's response with a session.
fn session_of(access_key_id: &str, token: &str) -> &'static str {
    let answer = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{access_key_id}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>{token}</SessionToken>\
         <Expiration>9999-12-31T23:59:59Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    answer.leak()
}

fn kind_of(error: &Error) -> &'static str {
    match &error.inner.kind {
        ErrorKind::Invalid(_) => "Invalid",
        ErrorKind::Source(_) => "Source",
        ErrorKind::TemporarySource { .. } => "TemporarySource",
        ErrorKind::NoMfaCode { .. } => "NoMfaCode",
        ErrorKind::NoToken => "NoToken",
        ErrorKind::InteractionRequired => "InteractionRequired",
        ErrorKind::Refused(_) => "Refused",
        ErrorKind::NoAnswer { .. } => "NoAnswer",
        ErrorKind::QueueTimedOut { .. } => "QueueTimedOut",
        ErrorKind::TooShort { .. } => "TooShort",
        ErrorKind::NotSent { .. } => "NotSent",
        ErrorKind::Unusable { .. } => "Unusable",
        ErrorKind::Panicked => "Panicked",
        ErrorKind::ReentrantLoad => "ReentrantLoad",
        ErrorKind::NoRuntime => "NoRuntime",
    }
}

fn credentials_error_of(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "CredentialsNotLoaded",
        CredentialsError::ProviderTimedOut(_) => "ProviderTimedOut",
        CredentialsError::InvalidConfiguration(_) => "InvalidConfiguration",
        CredentialsError::ProviderError(_) => "ProviderError",
        CredentialsError::Unhandled(_) => "Unhandled",
        _ => "another",
    }
}
