//! The only place that calls STS: the caller's credentials and a checked request in, a session or
//! a classified failure out.

use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Builder, IdentityCache};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::types::{PolicyDescriptorType, ProvidedContext, Tag};
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::sync::Semaphore;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

use crate::cell::Session;
use crate::error::{Kind, Refusal};
use crate::role::Request;
use crate::start::SessionToken;

/// The name the credentials carry, in logs and in the SDK's own messages.
const PROVIDER_NAME: &str = "RoleChain";

/// Calls under way at once to one region, of all the chains that share a base: a thousand tenants used at once
/// need a thousand calls, not a thousand sockets.
const CONCURRENT_CALLS: usize = 32;

/// Calls begun within a second, however fast STS answers: it allows an account 600 in a region, and others
/// of the account call it, too.
const CALLS_A_SECOND: usize = 500;
const SECOND: Duration = Duration::from_secs(1);

/// Where the base config sets no timeouts: STS answers in well under a second, and a load that
/// hangs would hang all its waiters.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a call waits for one of those places.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// One STS client for all the chains built on one base: hops, tenants and regions share its
/// connections.
pub(crate) struct Sts {
    config: SdkConfig,
    time: SharedTimeSource,
    sleep: Option<SharedAsyncSleep>,
    // Not made until it is needed: a client may load the machine's root certificates.
    client: OnceLock<Client>,
    /// By region: one that hangs must not hold up the others.
    calls: Mutex<HashMap<Option<Region>, Arc<Calls>>>,
}

/// The places for calls to one region.
struct Calls {
    places: Semaphore,
    /// When the last so many began, or will, the oldest first.
    begun: Mutex<VecDeque<SystemTime>>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            places: Semaphore::new(CONCURRENT_CALLS),
            begun: Mutex::default(),
        }
    }
}

impl Calls {
    /// How long a call must wait before it begins.
    fn rest(&self, now: SystemTime) -> Duration {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = match begun.len() < CALLS_A_SECOND {
            true => None,
            false => begun.pop_front(),
        };
        // One that began later than now is from before the clock was set back.
        let passed = oldest.and_then(|oldest| now.duration_since(oldest).ok());
        let rest = SECOND.saturating_sub(passed.unwrap_or(SECOND));
        begun.push_back(now + rest);
        rest
    }
}

/// Why there is no session.
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// STS's message, if it answered with one.
    pub(crate) fn message(&self) -> Option<&str> {
        match &self.kind {
            Kind::Refused(refusal) => refusal.message.as_deref(),
            _ => None,
        }
    }

    /// STS repeats a value that breaks a rule: a secret must not come back in its message.
    fn without<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        if let Kind::Refused(refusal) = &mut self.kind
            && let Some(message) = &mut refusal.message
        {
            for secret in secrets {
                *message = message.replace(secret, "** redacted **");
            }
        }
        self
    }

    fn is(&self, code: &str) -> bool {
        matches!(&self.kind, Kind::Refused(refusal) if refusal.code == code)
    }

    fn says(&self, part: &str) -> bool {
        self.message().is_some_and(|message| message.contains(part))
    }
}

impl Sts {
    pub(crate) fn new(config: SdkConfig, sleep: Option<SharedAsyncSleep>) -> Self {
        Self {
            time: config.time_source().unwrap_or_default(),
            config,
            sleep,
            client: OnceLock::new(),
            calls: Mutex::default(),
        }
    }

    /// Assumes a role, with `duration_seconds` instead of the request's.
    pub(crate) async fn assume_role(
        &self,
        request: &Request,
        duration_seconds: Option<i32>,
        mfa: Option<(&str, &str)>,
        caller: Credentials,
    ) -> Result<Session, Failure> {
        let call = self
            .client()
            .assume_role()
            .role_arn(&*request.role_arn)
            .role_session_name(&*request.session_name)
            .set_external_id(request.external_id.clone())
            .set_duration_seconds(duration_seconds)
            .set_policy(request.policy.clone())
            .set_policy_arns(policy_arns(request))
            .set_tags(tags(request))
            .set_transitive_tag_keys(transitive_tag_keys(request))
            .set_source_identity(request.source_identity.clone())
            .set_provided_contexts(provided_contexts(request))
            .set_serial_number(mfa.map(|(serial, _)| serial.to_owned()))
            .set_token_code(mfa.map(|(_, code)| code.to_owned()))
            .customize()
            .config_override(this_call(
                request.region.as_ref(),
                Some(caller),
                mfa.is_some(),
            ))
            .send();
        let contexts = request.provided_contexts.iter();
        let contexts = contexts.map(|(_, assertion)| &**assertion);
        let code = mfa.map(|(_, code)| code);
        let secrets = request
            .external_id
            .as_deref()
            .into_iter()
            .chain(contexts)
            .chain(code);
        let answer = self.send(request.region.as_ref(), secrets, call).await?;
        let arn = answer.assumed_role_user.map(|user| user.arn);
        session(answer.credentials, Some(&request.account), arn)
    }

    /// Gets a session token for the user whose keys sign.
    pub(crate) async fn get_session_token(
        &self,
        request: &SessionToken,
        mfa: Option<(&str, &str)>,
        caller: Credentials,
    ) -> Result<Session, Failure> {
        let account = caller.account_id().map(|id| id.as_str().to_owned());
        let call = self
            .client()
            .get_session_token()
            .set_duration_seconds(request.duration_seconds)
            .set_serial_number(mfa.map(|(serial, _)| serial.to_owned()))
            .set_token_code(mfa.map(|(_, code)| code.to_owned()))
            .customize()
            .config_override(this_call(
                request.region.as_ref(),
                Some(caller),
                mfa.is_some(),
            ))
            .send();
        let code = mfa.map(|(_, code)| code);
        let answer = self.send(request.region.as_ref(), code, call).await?;
        session(answer.credentials, account.as_deref(), None)
    }

    /// Assumes a role with a token in place of a signature.
    pub(crate) async fn assume_role_with_web_identity(
        &self,
        request: &Request,
        token: String,
    ) -> Result<Session, Failure> {
        let call = self
            .client()
            .assume_role_with_web_identity()
            .role_arn(&*request.role_arn)
            .role_session_name(&*request.session_name)
            .web_identity_token(&*token)
            .set_duration_seconds(request.duration_seconds)
            .set_policy(request.policy.clone())
            .set_policy_arns(policy_arns(request))
            .customize()
            .config_override(this_call(request.region.as_ref(), None, false))
            .send();
        let answer = self.send(request.region.as_ref(), [&*token], call).await?;
        let arn = answer.assumed_role_user.map(|user| user.arn);
        session(answer.credentials, Some(&request.account), arn)
    }

    /// Assumes a role with a SAML assertion in place of a signature.
    pub(crate) async fn assume_role_with_saml(
        &self,
        request: &Request,
        principal_arn: &str,
        assertion: String,
    ) -> Result<Session, Failure> {
        let call = self
            .client()
            .assume_role_with_saml()
            .role_arn(&*request.role_arn)
            .principal_arn(principal_arn)
            .saml_assertion(&*assertion)
            .set_duration_seconds(request.duration_seconds)
            .set_policy(request.policy.clone())
            .set_policy_arns(policy_arns(request))
            .customize()
            .config_override(this_call(request.region.as_ref(), None, false))
            .send();
        let answer = self
            .send(request.region.as_ref(), [&*assertion], call)
            .await?;
        let arn = answer.assumed_role_user.map(|user| user.arn);
        session(answer.credentials, Some(&request.account), arn)
    }

    /// Who signs, and in which account.
    #[cfg(feature = "policy")]
    pub(crate) async fn get_caller_identity(
        &self,
        region: Option<&Region>,
        caller: Credentials,
    ) -> Result<(String, String), Failure> {
        let call = self
            .client()
            .get_caller_identity()
            .customize()
            .config_override(this_call(region, Some(caller), false))
            .send();
        let answer = self.send(region, [], call).await?;
        answer.arn.zip(answer.account).ok_or_else(|| Failure {
            kind: Kind::Unusable {
                what: "STS answered without an ARN".to_owned(),
            },
            source: None,
        })
    }

    /// Makes the call in its turn. None of its `secrets` comes back in a failure.
    async fn send<'a, T, E: ProvideErrorMetadata + StdError + Send + Sync + 'static>(
        &self,
        region: Option<&Region>,
        secrets: impl IntoIterator<Item = &'a str>,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Failure> {
        let calls = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let calls = calls.entry(region.or(self.config.region()).cloned());
            calls.or_default().clone()
        };
        // Never closed, so it always gives a permit.
        let permit = calls.places.acquire();
        let _permit = match &self.sleep {
            Some(sleep) => Timeout::new(permit, sleep.sleep(QUEUE_TIMEOUT))
                .await
                .map_err(|_| Failure {
                    kind: Kind::NoAnswer {
                        what: "too many calls to STS were waiting",
                    },
                    source: None,
                })?,
            None => permit.await,
        };
        if let Some(sleep) = &self.sleep {
            let rest = calls.rest(self.time.now());
            if !rest.is_zero() {
                sleep.sleep(rest).await;
            }
        }
        let answer = unlogged(call).await;
        answer.map_err(|error| failure(error).without(secrets))
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let mut config = Builder::from(&self.config).identity_cache(IdentityCache::no_cache());
            config.set_credentials_provider(None);
            if self.config.behavior_version().is_none() {
                config = config.behavior_version(BehaviorVersion::latest());
            }
            let config = match &self.sleep {
                Some(sleep) => config
                    .sleep_impl(sleep.clone())
                    .timeout_config(self.timeouts()),
                // A client without a sleep can neither wait for a retry nor for a timeout.
                None => config
                    .retry_config(RetryConfig::disabled())
                    .timeout_config(TimeoutConfig::disabled()),
            };
            Client::from_conf(config.build())
        })
    }

    fn timeouts(&self) -> TimeoutConfig {
        let defaults = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        match self.config.timeout_config() {
            Some(configured) => {
                let mut timeouts = configured.clone();
                timeouts.take_defaults_from(&defaults);
                timeouts
            }
            None => defaults,
        }
    }
}

/// What is different for one call.
fn this_call(region: Option<&Region>, caller: Option<Credentials>, with_code: bool) -> Builder {
    // The credentials are in hand: nothing to cache.
    let mut this_call = Builder::new().identity_cache(IdentityCache::no_cache());
    if let Some(caller) = caller {
        this_call = this_call.credentials_provider(caller);
    }
    if let Some(region) = region {
        this_call = this_call.region(region.clone());
    }
    if with_code {
        // A code is good once: the SDK must not send it again by itself.
        this_call = this_call.retry_config(RetryConfig::disabled());
    }
    this_call
}

/// Whether STS says that temporary credentials cannot get a session this long. Only a hint: AWS
/// may change the wording, and then the refusal reaches the caller with advice.
pub(crate) fn is_chaining_limit(failure: &Failure) -> bool {
    failure.is("ValidationError") && failure.says("role chaining")
}

/// Whether STS says that the MFA code is wrong, or was used before.
pub(crate) fn is_wrong_code(failure: &Failure) -> bool {
    failure.is("AccessDenied") && failure.says("invalid MFA one time pass code")
}

/// Whether STS could not get the identity provider's keys, and the SDK does not try again by itself,
/// as it does for `IDPCommunicationError`.
pub(crate) fn lacks_verification_key(failure: &Failure) -> bool {
    matches!(&failure.kind, Kind::Refused(refusal) if refusal.lacks_verification_key())
}

/// Whether STS says that the web identity token, or the assertion, has expired.
pub(crate) fn is_expired_token(failure: &Failure) -> bool {
    failure.is("ExpiredTokenException")
}

/// Whether STS says that the credentials that signed the call are no good.
pub(crate) fn is_bad_caller(failure: &Failure) -> bool {
    failure.is("ExpiredToken") || failure.is("InvalidClientTokenId")
}

/// At TRACE the SDK logs whole requests, session tokens and external IDs with them. This crate logs
/// its own account of each call, so at that level the SDK's is left out.
async fn unlogged<F: Future>(call: F) -> F::Output {
    // Without a subscriber there is nothing to leave out, and setting one, even this, would turn
    // off tracing's fall-back to the `log` crate for the whole program.
    let logged =
        tracing::dispatcher::has_been_set() && LevelFilter::current() == LevelFilter::TRACE;
    if logged {
        call.with_subscriber(NoSubscriber::new()).await
    } else {
        call.await
    }
}

fn policy_arns(request: &Request) -> Option<Vec<PolicyDescriptorType>> {
    let arns = request.policy_arns.iter();
    let arns: Vec<_> = arns
        .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
        .collect();
    (!arns.is_empty()).then_some(arns)
}

fn tags(request: &Request) -> Option<Vec<Tag>> {
    let tags = request.tags.iter();
    let tags: Vec<_> = tags
        // Key and value are all that a tag needs, so each can be built.
        .filter_map(|tag| Tag::builder().key(&tag.key).value(&tag.value).build().ok())
        .collect();
    (!tags.is_empty()).then_some(tags)
}

fn provided_contexts(request: &Request) -> Option<Vec<ProvidedContext>> {
    let contexts = request.provided_contexts.iter();
    let contexts: Vec<_> = contexts
        .map(|(provider_arn, assertion)| {
            let context = ProvidedContext::builder().provider_arn(provider_arn);
            context.context_assertion(assertion).build()
        })
        .collect();
    (!contexts.is_empty()).then_some(contexts)
}

fn transitive_tag_keys(request: &Request) -> Option<Vec<String>> {
    let transitive = request.tags.iter().filter(|tag| tag.transitive);
    let keys: Vec<_> = transitive.map(|tag| tag.key.clone()).collect();
    (!keys.is_empty()).then_some(keys)
}

fn session(
    given: Option<aws_sdk_sts::types::Credentials>,
    account: Option<&str>,
    arn: Option<String>,
) -> Result<Session, Failure> {
    let unusable = |what: &str| Failure {
        kind: Kind::Unusable {
            what: what.to_owned(),
        },
        source: None,
    };
    let given = given.ok_or_else(|| unusable("STS answered without credentials"))?;
    if given.access_key_id.is_empty()
        || given.secret_access_key.is_empty()
        || given.session_token.is_empty()
    {
        return Err(unusable("STS answered with incomplete credentials"));
    }
    let expiry = SystemTime::try_from(given.expiration)
        .map_err(|_| unusable("STS answered with an expiry that is no time"))?;
    Ok(session_of(
        given.access_key_id,
        given.secret_access_key,
        given.session_token,
        expiry,
        account,
        arn.map(Arc::from),
    ))
}

pub(crate) fn session_of(
    access_key_id: impl Into<String>,
    secret_access_key: impl Into<String>,
    session_token: impl Into<String>,
    expiry: SystemTime,
    account: Option<&str>,
    arn: Option<Arc<str>>,
) -> Session {
    let mut credentials = Credentials::builder()
        .access_key_id(access_key_id)
        .secret_access_key(secret_access_key)
        .session_token(session_token)
        .expiry(expiry)
        .provider_name(PROVIDER_NAME);
    credentials.set_account_id(account.map(Into::into));
    Session {
        credentials: credentials.build(),
        expiry,
        arn,
        kept: false,
    }
}

fn failure<E>(error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = match &error {
        // Another server's, such as the login page of a network.
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => Kind::Unusable {
            what: "what answered does not speak STS".to_owned(),
        },
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let said = answer.err();
            let refusal = Refusal {
                code: said
                    .code()
                    .map_or_else(|| format!("HTTP {status}"), str::to_owned),
                message: said.message().map(str::to_owned),
                request_id: said.meta().request_id().map(str::to_owned),
                status,
            };
            // All that the SDK's error says is in there.
            return Failure {
                kind: Kind::Refused(refusal),
                source: None,
            };
        }
        SdkError::TimeoutError(_) => Kind::NoAnswer {
            what: "STS did not answer in time",
        },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::NoAnswer {
            what: "STS did not answer in time",
        },
        SdkError::DispatchFailure(_) => Kind::NoAnswer {
            what: "STS could not be called",
        },
        SdkError::ResponseError(_) => Kind::NoAnswer {
            what: "STS's answer could not be read",
        },
        _ => Kind::NotSent,
    };
    Failure {
        kind,
        source: error.into_source().ok(),
    }
}
