//! The only place that calls STS: the caller's credentials and a checked request in, a session or
//! a classified failure out.

use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Builder, IdentityCache};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_types::SdkConfig;
use tokio::sync::Semaphore;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

use crate::cell::Session;
use crate::error::{Kind, Refusal};
use crate::role::Request;

/// The name the credentials carry, in logs and in the SDK's own messages.
const PROVIDER_NAME: &str = "RoleChain";

/// Calls under way at once, of all the chains that share a base: a thousand tenants used at once
/// need a thousand calls, not a thousand sockets, and STS allows an account 600 requests a second.
const CONCURRENT_CALLS: usize = 32;

/// Where the base config sets no timeouts: STS answers in well under a second, and a load that
/// hangs would hang all its waiters.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// One STS client for all the chains built on one base: hops, tenants and regions share its
/// connections.
pub(crate) struct Sts {
    config: SdkConfig,
    sleep: Option<SharedAsyncSleep>,
    // Not made until it is needed: a client may load the machine's root certificates.
    client: OnceLock<Client>,
    calls: Semaphore,
}

/// Why there is no session.
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Sts {
    pub(crate) fn new(config: SdkConfig, sleep: Option<SharedAsyncSleep>) -> Self {
        Self {
            config,
            sleep,
            client: OnceLock::new(),
            calls: Semaphore::new(CONCURRENT_CALLS),
        }
    }

    /// Assumes a role, with `duration_seconds` instead of the request's.
    pub(crate) async fn assume_role(
        &self,
        request: &Request,
        duration_seconds: Option<i32>,
        caller: Credentials,
    ) -> Result<Session, Failure> {
        let mut this_call = Builder::new()
            .credentials_provider(caller)
            // The credentials are in hand: nothing to cache.
            .identity_cache(IdentityCache::no_cache());
        if let Some(region) = &request.region {
            this_call = this_call.region(region.clone());
        }

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
            .customize()
            .config_override(this_call)
            .send();

        // Never closed, so it always gives a permit.
        let _permit = self.calls.acquire().await.ok();
        let answer = unlogged(call).await;
        match answer {
            Ok(output) => session(output, &request.account),
            Err(error) => Err(failure(error)),
        }
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

/// Whether STS says that temporary credentials cannot get a session this long. Only a hint: AWS
/// may change the wording, and then the refusal reaches the caller with advice.
pub(crate) fn is_chaining_limit(failure: &Failure) -> bool {
    let Kind::Refused(refusal) = &failure.kind else {
        return false;
    };
    let message = refusal.message.as_deref().unwrap_or_default();
    refusal.code == "ValidationError" && message.contains("role chaining")
}

/// Whether STS says that the credentials that signed the call are no good.
pub(crate) fn is_bad_caller(failure: &Failure) -> bool {
    match &failure.kind {
        Kind::Refused(refusal) => {
            matches!(
                refusal.code.as_str(),
                "ExpiredToken" | "InvalidClientTokenId"
            )
        }
        _ => false,
    }
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

fn transitive_tag_keys(request: &Request) -> Option<Vec<String>> {
    let transitive = request.tags.iter().filter(|tag| tag.transitive);
    let keys: Vec<_> = transitive.map(|tag| tag.key.clone()).collect();
    (!keys.is_empty()).then_some(keys)
}

fn session(output: AssumeRoleOutput, account: &str) -> Result<Session, Failure> {
    let unusable = |what: &str| Failure {
        kind: Kind::Unusable {
            what: what.to_owned(),
        },
        source: None,
    };
    let Some(given) = output.credentials else {
        return Err(unusable("STS answered without credentials"));
    };
    let expiry = SystemTime::try_from(given.expiration)
        .map_err(|_| unusable("STS answered with an expiry that is no time"))?;
    let credentials = Credentials::builder()
        .access_key_id(given.access_key_id)
        .secret_access_key(given.secret_access_key)
        .session_token(given.session_token)
        .expiry(expiry)
        .account_id(account)
        .provider_name(PROVIDER_NAME)
        .build();
    Ok(Session {
        credentials,
        expiry,
        arn: output.assumed_role_user.map(|user| Arc::from(user.arn)),
    })
}

fn failure(error: SdkError<AssumeRoleError>) -> Failure {
    let kind = match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let said = answer.err();
            let refusal = Refusal {
                code: said
                    .code()
                    .map_or_else(|| format!("HTTP {status}"), str::to_owned),
                message: said.message().map(str::to_owned),
                request_id: said.request_id().map(str::to_owned),
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
        _ => Kind::NoAnswer {
            what: "the call to STS could not be made",
        },
    };
    Failure {
        kind,
        source: error.into_source().ok(),
    }
}
