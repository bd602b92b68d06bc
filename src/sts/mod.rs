//! [`Sts`], the only place that calls STS. It takes a checked request and the credentials to sign it, and returns a
//! session, or a classified error with advice.

mod advice;
mod caller_identity;
mod endpoint;
mod failure;
mod limiter;
mod secrets;

use std::error::Error as StdError;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Builder, IdentityCache};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

use crate::error::{Error, ErrorInner, ErrorKind, Meaning, Violation};
use crate::metrics::Metric;
use crate::request::limits::seconds;
use crate::request::{
    Checked, ProvidedContext, RequestSummary, Role, Secret, SessionTokenRequest, Tag,
};
use crate::session::{Session, is_sendable};

pub(crate) use advice::{DenyingPolicy, caller_arn, denying_policy, is_federated_user};
use endpoint::check_endpoint_url;
use failure::{FailedCall, ThrottlingIsNotRetried};
use limiter::{
    AcquireError, MAX_RETRIES, Permit, QUEUE_TIMEOUT, Queued, RegionLimiter, RegionLimiters,
    backoff,
};
use secrets::Secrets;

/// The timeouts if the base config sets none. STS answers in well under a second, and a load that hangs makes all its
/// callers wait.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// The timeout of a call whatever timeouts the base config sets, because a load must end.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The STS client of all chains built on one base config. Hops, tenants and regions share its connections.
pub(crate) struct Sts {
    config: SdkConfig,
    sleep: SharedAsyncSleep,
    /// Created on first use, because creating a client may load the machine's root certificates.
    client: OnceLock<Client>,
    limiters: RegionLimiters,
}

/// How a call is made.
pub(crate) struct CallOptions {
    /// A code from the request's MFA device.
    pub(crate) mfa_code: Option<String>,
    /// Whether the call must not be retried.
    pub(crate) no_retries: bool,
    /// Whether a caller waits for the call.
    pub(crate) has_waiter: bool,
}

impl CallOptions {
    /// Whether the call is made only once, even if it fails. An MFA code is valid for one call, and must not be sent
    /// again.
    fn is_single(&self) -> bool {
        self.no_retries || self.mfa_code.is_some()
    }

    /// The serial of the MFA device, if there is a code: STS rejects a serial without a code.
    fn mfa_serial(&self, summary: &RequestSummary<'_>) -> Option<String> {
        let of_code = self.mfa_code.as_ref().and(summary.mfa_serial);
        of_code.map(str::to_owned)
    }
}

impl Sts {
    pub(crate) fn new(config: SdkConfig, sleep: SharedAsyncSleep) -> Result<Self, Violation> {
        check_endpoint_url(&config)?;
        Ok(Self {
            config,
            sleep,
            client: OnceLock::new(),
            limiters: RegionLimiters::default(),
        })
    }

    pub(crate) fn limit_calls(&self, per_second: NonZeroU32) {
        let ceiling = &self.limiters.ceiling;
        ceiling.store(per_second.get(), Ordering::Relaxed);
    }

    /// Assumes a role, with `duration_seconds` instead of the request's duration.
    pub(crate) async fn assume_role(
        &self,
        request: &Checked<Role>,
        summary: &RequestSummary<'_>,
        duration_seconds: Option<i32>,
        options: &CallOptions,
        signer: &Credentials,
    ) -> Result<Session, Error> {
        let Role {
            arn,
            external_id,
            policy,
            policy_arns,
            tags,
            source_identity,
            provided_contexts,
            // Passed as arguments, read through methods of the request, or not sent.
            session_name: _,
            duration: _,
            mfa: _,
            region: _,
            allowed_roles: _,
        } = &**request;
        let external_id = external_id.as_ref().map(|Secret(id)| id);
        let transitive = tags.iter().filter(|tag| tag.transitive);
        let call = self
            .client()
            .assume_role()
            .role_arn(&**arn)
            .role_session_name(request.checked_session_name())
            .set_external_id(external_id.cloned())
            .set_duration_seconds(duration_seconds)
            .set_policy(policy.clone())
            .set_policy_arns(non_empty(policy_arns.iter().map(policy_arn)))
            .set_tags(non_empty(tags.iter().filter_map(tag)))
            .set_transitive_tag_keys(non_empty(transitive.map(|tag| tag.key.clone())))
            .set_source_identity(source_identity.clone())
            .set_provided_contexts(non_empty(provided_contexts.iter().map(provided_context)))
            .set_serial_number(options.mfa_serial(summary))
            .set_token_code(options.mfa_code.clone());
        let call = |config| call.clone().customize().config_override(config).send();
        let assertions = provided_contexts
            .iter()
            .map(|context| &*context.assertion.0);
        let secrets = assertions
            .chain(external_id.map(|id| &**id))
            .chain(options.mfa_code.as_deref());
        let answer = self
            .send(summary, Some(signer), secrets, options, call)
            .await?;
        role_session(summary, answer.credentials, answer.assumed_role_user)
    }

    /// Gets a session token for the IAM user whose keys sign the call.
    pub(crate) async fn get_session_token(
        &self,
        request: &Checked<SessionTokenRequest>,
        summary: &RequestSummary<'_>,
        options: &CallOptions,
        signer: &Credentials,
    ) -> Result<Session, Error> {
        let call = self
            .client()
            .get_session_token()
            .set_duration_seconds(request.duration.map(seconds))
            .set_serial_number(options.mfa_serial(summary))
            .set_token_code(options.mfa_code.clone());
        let call = |config| call.clone().customize().config_override(config).send();
        let secret = options.mfa_code.as_deref();
        let answer = self
            .send(summary, Some(signer), secret, options, call)
            .await?;
        let account = signer.account_id().map(|id| id.as_str());
        session(answer.credentials, account, None).map_err(|what| unusable(summary, what))
    }

    /// Assumes a role with a web identity token, which authenticates the call: it is not signed.
    pub(crate) async fn assume_role_with_web_identity(
        &self,
        request: &Checked<Role>,
        summary: &RequestSummary<'_>,
        options: &CallOptions,
        token: &str,
    ) -> Result<Session, Error> {
        let call = self
            .client()
            .assume_role_with_web_identity()
            .role_arn(&*request.arn)
            .role_session_name(request.checked_session_name())
            .web_identity_token(token)
            .set_duration_seconds(request.duration.map(seconds))
            .set_policy(request.policy.clone())
            .set_policy_arns(non_empty(request.policy_arns.iter().map(policy_arn)));
        let call = |config| call.clone().customize().config_override(config).send();
        let answer = self.send(summary, None, [token], options, call).await?;
        role_session(summary, answer.credentials, answer.assumed_role_user)
    }

    /// Assumes a role with a SAML assertion, which authenticates the call: it is not signed.
    pub(crate) async fn assume_role_with_saml(
        &self,
        request: &Checked<Role>,
        summary: &RequestSummary<'_>,
        options: &CallOptions,
        provider_arn: &str,
        assertion: &str,
    ) -> Result<Session, Error> {
        let call = self
            .client()
            .assume_role_with_saml()
            .role_arn(&*request.arn)
            .principal_arn(provider_arn)
            .saml_assertion(assertion)
            .set_duration_seconds(request.duration.map(seconds))
            .set_policy(request.policy.clone())
            .set_policy_arns(non_empty(request.policy_arns.iter().map(policy_arn)));
        let call = |config| call.clone().customize().config_override(config).send();
        let answer = self.send(summary, None, [assertion], options, call).await?;
        role_session(summary, answer.credentials, answer.assumed_role_user)
    }

    /// Makes a call once the region's limiter permits it. A call that STS throttles queues again after a back-off. No
    /// error contains one of the `secrets`.
    async fn send<'a, T, E, Fut>(
        &self,
        summary: &RequestSummary<'_>,
        signer: Option<&'a Credentials>,
        secrets: impl IntoIterator<Item = &'a str>,
        options: &CallOptions,
        call: impl Fn(Builder) -> Fut,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        Fut: Future<Output = Result<T, SdkError<E>>>,
    {
        let of_signer = signer.into_iter().flat_map(|signer| {
            let token = signer.session_token().into_iter();
            token.chain([signer.secret_access_key()])
        });
        let words = advice::words().chain(failure::codes());
        let words = words.chain([summary.role_arn()]);
        let failed = FailedCall {
            operation: summary.operation,
            destination: endpoint::destination(&self.config, &summary.region),
            secrets: Secrets::new(secrets.into_iter().chain(of_signer), words),
        };
        let region = &*summary.region;
        let queued = Queued {
            ceiling: &self.limiters.ceiling,
            has_waiter: options.has_waiter,
            deadline: Instant::now() + QUEUE_TIMEOUT,
            sleep: &self.sleep,
        };
        let mut throttled = (0, None);
        let mut was_skewed = false;
        loop {
            let limiter = self.limiters.get(region);
            let permit = match permit(&limiter, region, queued, options).await {
                Ok(permit) => permit,
                Err(AcquireError::Stuck) => {
                    self.limiters.replace(region, &limiter);
                    continue;
                }
                Err(AcquireError::TimedOut) => {
                    let (_, last) = throttled;
                    let kind = ErrorKind::QueueTimedOut {
                        after: QUEUE_TIMEOUT,
                    };
                    let late = || summary.step().failed(kind).into();
                    return Err(last.unwrap_or_else(late));
                }
            };
            let timeout = self.sleep.sleep(CALL_TIMEOUT);
            let config = Self::config_override::<E>(region, signer, options);
            let call = call(config.interceptor(failed.secrets.clone()));
            let Ok(result) = Timeout::new(without_sdk_trace(call), timeout).await else {
                let what = "STS did not answer in time".to_owned();
                return Err(summary.step().failed(ErrorKind::NoAnswer { what }).into());
            };
            let error = match result {
                Ok(answer) => return Ok(answer),
                Err(sdk_error) => self.error(summary, signer, &failed, &sdk_error),
            };
            match error.meaning() {
                // The SDK does not retry the call itself if its correction of a skewed clock is out of date.
                Some(Meaning::ClockSkew) if !was_skewed && options.mfa_code.is_none() => {
                    was_skewed = true;
                }
                Some(Meaning::Throttled) => {
                    Metric::CallThrottled { region }.record();
                    if let Some(permit) = permit {
                        permit.throttled();
                    }
                    let (times, _) = throttled;
                    let is_late = Instant::now() >= queued.deadline || times >= MAX_RETRIES;
                    if options.is_single() || !self.retries() || is_late {
                        return Err(error);
                    }
                    throttled = (times + 1, Some(error));
                    self.sleep.sleep(backoff(times, fastrand::f64())).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Creates the error of a failed call, with advice.
    fn error(
        &self,
        summary: &RequestSummary<'_>,
        signer: Option<&Credentials>,
        failed: &FailedCall,
        sdk_error: &SdkError<impl ProvideErrorMetadata>,
    ) -> Error {
        let kind = failed.classify(sdk_error);
        let advice = match &kind {
            ErrorKind::Refused(_) if sdk_error.code().is_none() => {
                vec![advice::no_code(&failed.destination)]
            }
            ErrorKind::Refused(refusal) => advice::advice(refusal, summary, signer),
            ErrorKind::NoAnswer { what } => {
                let has_own_endpoint = endpoint::endpoint_url(&self.config).is_some();
                advice::no_connection(what, summary, &self.config, has_own_endpoint)
            }
            _ => Vec::new(),
        };
        ErrorInner {
            advice,
            ..summary.step().failed(kind)
        }
        .into()
    }

    /// Whether the base config allows retries.
    fn retries(&self) -> bool {
        let retries = self.config.retry_config();
        retries.is_none_or(|retries| retries.max_attempts() > 1)
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let mut config = Builder::from(&self.config)
                .identity_cache(IdentityCache::no_cache())
                .sleep_impl(self.sleep.clone())
                .timeout_config(self.timeouts());
            config.set_credentials_provider(None);
            if self.config.behavior_version().is_none() {
                config = config.behavior_version(BehaviorVersion::latest());
            }
            Client::from_conf(config.build())
        })
    }

    fn timeouts(&self) -> TimeoutConfig {
        let defaults = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let configured = self.config.timeout_config().cloned();
        let mut timeouts = configured.unwrap_or_else(|| defaults.clone());
        timeouts.take_defaults_from(&defaults);
        timeouts
    }

    /// The config overrides of one call, whose error type is `E`.
    fn config_override<E>(
        region: &str,
        signer: Option<&Credentials>,
        options: &CallOptions,
    ) -> Builder
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        // The credentials are already loaded, so there is nothing to cache.
        let mut config = Builder::new()
            .identity_cache(IdentityCache::no_cache())
            .retry_classifier(ThrottlingIsNotRetried::<E>(PhantomData))
            .region(Region::new(region.to_owned()));
        if let Some(signer) = signer {
            config = config.credentials_provider(signer.clone());
        }
        if options.is_single() {
            config = config.retry_config(RetryConfig::disabled());
        }
        config
    }
}

/// Waits until the limiter permits the call. A call with an MFA code is not limited: the code would expire meanwhile,
/// and such calls are never many.
async fn permit<'a>(
    limiter: &'a RegionLimiter,
    region: &str,
    queued: Queued<'_>,
    options: &CallOptions,
) -> Result<Option<Permit<'a>>, AcquireError> {
    if options.mfa_code.is_some() {
        return Ok(None);
    }
    let queued_at = Instant::now();
    let permit = limiter.acquire(queued).await;
    let wait = queued_at.elapsed();
    Metric::CallWaited { region, wait }.record();
    permit.map(Some)
}

/// Suppresses the SDK's log of a call if TRACE is enabled: at that level the SDK logs responses held in memory, and
/// errors that quote the request. This crate logs each load itself.
async fn without_sdk_trace<F: Future>(call: F) -> F::Output {
    // Without a subscriber there is nothing to suppress, and setting any subscriber, even this one, would turn off
    // tracing's fallback to the `log` crate for the whole program. In that fallback, `Secrets` hides request bodies.
    let is_traced =
        tracing::dispatcher::has_been_set() && LevelFilter::current() == LevelFilter::TRACE;
    if is_traced {
        call.with_subscriber(NoSubscriber::new()).await
    } else {
        call.await
    }
}

fn policy_arn(arn: &String) -> types::PolicyDescriptorType {
    types::PolicyDescriptorType::builder().arn(arn).build()
}

fn tag(tag: &Tag) -> Option<types::Tag> {
    // Key and value are all that the SDK's builder requires, so it never fails.
    types::Tag::builder()
        .key(&tag.key)
        .value(&tag.value)
        .build()
        .ok()
}

fn provided_context(context: &ProvidedContext) -> types::ProvidedContext {
    types::ProvidedContext::builder()
        .provider_arn(&context.provider_arn)
        .context_assertion(&context.assertion.0)
        .build()
}

fn non_empty<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}

/// Reads the response of an operation that assumes a role.
fn role_session(
    summary: &RequestSummary<'_>,
    credentials: Option<types::Credentials>,
    user: Option<types::AssumedRoleUser>,
) -> Result<Session, Error> {
    let arn = user.map(|user| user.arn);
    session(credentials, Some(summary.account()), arn).map_err(|what| unusable(summary, what))
}

/// Reads the credentials of a response. The error says what is missing from it.
fn session(
    credentials: Option<types::Credentials>,
    account: Option<&str>,
    arn: Option<String>,
) -> Result<Session, &'static str> {
    let credentials = credentials.ok_or("STS returned no credentials")?;
    // In place of what is missing, the SDK returns empty texts and the start of 1970.
    if credentials.access_key_id.is_empty()
        || credentials.secret_access_key.is_empty()
        || credentials.session_token.is_empty()
        || credentials.expiration.secs() == 0
    {
        return Err("STS returned incomplete credentials");
    }
    let expiry = SystemTime::try_from(credentials.expiration)
        .map_err(|_| "STS returned an invalid expiry")?;
    let session = Session::new(
        credentials.access_key_id,
        credentials.secret_access_key,
        credentials.session_token,
        expiry,
        account,
        arn.map(Arc::from),
    );
    if !is_sendable(&session.credentials) {
        return Err("STS returned credentials that contain control characters");
    }
    Ok(session)
}

fn unusable(summary: &RequestSummary<'_>, what: &str) -> Error {
    let what = what.to_owned();
    summary.step().failed(ErrorKind::Unusable { what }).into()
}
