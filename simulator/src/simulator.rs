//! [`Simulator`]: the HTTP client that receives the requests, and the methods with which a test sets it up.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::sync::watch;

use crate::arn;
use crate::call::Call;
use crate::clock::Clock;
use crate::endpoint::host_of;
use crate::fault::{Effect, Fault, Faults, Latency, Target, truncated_body};
#[cfg(feature = "saml-signatures")]
use crate::iam::SamlMetadata;
use crate::iam::{
    AccountBuilder, Accounts, Caller, IamError, MfaDevice, OidcProvider, RoleBuilder, SamlProvider,
    SharedAccounts, UserBuilder, check_arn_format,
};
use crate::policy::{Explanation, keys};
use crate::protocol::{ErrorResponse, Format as AnswerFormat, Parameters};
use crate::routing;
use crate::signature::{Authorization, authenticate};
use crate::sts::Environment;
use crate::{iam_api, sts};

/// A simulator of STS, of IAM with any number of accounts, and of the services that a test adds.
///
/// It is an [`HttpClient`] of the SDK: it answers the requests of the config that [`sdk_config`](Self::sdk_config)
/// returns. Clones are handles to the same simulator.
///
/// # Examples
///
/// ```
/// use sts_simulator::Simulator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = Simulator::new();
/// let keys = aws.user("arn:aws:iam::111111111111:user/orders").create()?;
/// // By default, a role trusts its own account, so the user's policies decide.
/// aws.role("arn:aws:iam::111111111111:role/Reader").create()?;
///
/// let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys));
/// let refused = sts
///     .assume_role()
///     .role_arn("arn:aws:iam::111111111111:role/Reader")
///     .role_session_name("orders")
///     .send()
///     .await
///     .unwrap_err()
///     .into_service_error();
/// assert_eq!(refused.meta().code(), Some("AccessDenied"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    clock: Clock,
    accounts: SharedAccounts,
    state: Mutex<State>,
    /// Wakes the requests that [`Fault::no_answer`] holds when the faults change.
    faults_changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// By the service name in the signature's scope.
    services: HashMap<String, Handler>,
    latency: Latency,
    faults: Faults,
    calls: VecDeque<Call>,
    /// The number of calls that were dropped because of `call_limit`.
    forgotten_calls: usize,
    /// The latest [`MAX_REFUSALS`].
    refusals: VecDeque<Explanation>,
    /// How many calls are kept; `None` keeps all.
    call_limit: Option<usize>,
    in_flight: usize,
    most_in_flight: usize,
}

/// The handler of a service, called once the caller is authenticated.
type Handler = Arc<dyn Fn(&Caller, &HttpRequest) -> HttpResponse + Send + Sync>;

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Creates a simulator without users, roles, faults or latency. Its clock starts at the current time.
    pub fn new() -> Self {
        let clock = Clock::new();
        Self(Arc::new(Inner {
            accounts: SharedAccounts::new(clock.clone()),
            clock,
            state: Mutex::default(),
            faults_changed: watch::Sender::new(()),
        }))
    }

    /// Returns a config whose requests are signed with `credentials` and answered by the simulator, with the
    /// simulator's clock and the region `eu-west-1`. Change other settings with
    /// [`into_builder`](SdkConfig::into_builder).
    pub fn sdk_config(&self, credentials: Credentials) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.clone())
            .region(Region::from_static("eu-west-1"))
            .time_source(SharedTimeSource::new(self.clock()))
            .sleep_impl(SharedAsyncSleep::new(self.clock()))
            .build()
    }

    /// Returns the simulator's clock.
    pub fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    /// Returns a builder for an IAM user with an access key; `arn` is
    /// `arn:<partition>:iam::<account>:user/<path><name>`. If the user exists, it remains the same user with new
    /// settings: policies that are not given again are removed.
    pub fn user(&self, arn: impl Into<String>) -> UserBuilder {
        UserBuilder::new(self.0.accounts.clone(), arn.into(), self.0.clock.now())
    }

    /// Returns a builder for an IAM role; `arn` is `arn:<partition>:iam::<account>:role/<path><name>`. If the role
    /// exists, it remains the same role with new settings: everything that is not given again, including the trust
    /// policy, is reset to its default.
    pub fn role(&self, arn: impl Into<String>) -> RoleBuilder {
        RoleBuilder::new(self.0.accounts.clone(), arn.into(), self.0.clock.now())
    }

    /// Deletes a role, which invalidates its sessions. A role that is created later under the same ARN is a different
    /// role.
    pub fn delete_role(&self, arn: &str) {
        self.0.accounts.lock().delete_role(arn);
    }

    /// Returns a builder for the settings of an account, by its ID: its organization in AWS Organizations and the
    /// policies of that organization. Accounts do not need it to have users and roles.
    pub fn account(&self, id: impl Into<String>) -> AccountBuilder {
        AccountBuilder::new(self.0.accounts.clone(), id.into())
    }

    /// Sets a condition key of all requests that describes how they arrive: `aws:SourceIp`, `aws:SourceVpce`,
    /// `aws:UserAgent`, `aws:SecureTransport`, …. Without values, requests do not have the key. By default,
    /// `aws:SourceIp` is 203.0.113.10 or, over HTTP, the client's address; `aws:SecureTransport` is `true`;
    /// `aws:ViaAWSService` is `false`; `aws:UserAgent` and `aws:Referer` are those of the request; and requests have no
    /// other such key.
    ///
    /// # Errors
    ///
    /// Fails if the simulator sets the key itself (`aws:CurrentTime`, `aws:RequestedRegion`, …), or if the key
    /// describes callers, accounts or operations.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = sts_simulator::Simulator::new();
    /// aws.set_request_key("aws:SourceIp", ["198.51.100.7"])?;
    /// assert!(aws.set_request_key("aws:username", ["ada"]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_request_key<T: Into<String>>(
        &self,
        key: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), IamError> {
        if keys::source(key) != Some(keys::Source::Request) {
            let rule =
                "is not a condition key that describes how requests arrive, such as aws:SourceIp";
            return Err(IamError::validation(format!("{key:?}"), rule));
        }
        let values = values.into_iter().map(Into::into).collect();
        self.0.accounts.lock().set_request_key(key, values);
        Ok(())
    }

    /// Adds a condition key that the simulator does not know, such as a new key of a service, so that policies with it
    /// are accepted. A request has the key only if the test [sets it](crate::AccessRequest::key).
    pub fn add_condition_key(&self, key: &str) {
        self.0.accounts.lock().add_condition_key(key);
    }

    /// Returns the code that an MFA device shows now; `None` if no device has this serial number.
    pub fn mfa_code(&self, serial: &str) -> Option<String> {
        let [_, code] = self.mfa_codes(serial)?;
        Some(code)
    }

    /// Returns the previous and the current code of an MFA device.
    pub(crate) fn mfa_codes(&self, serial: &str) -> Option<[String; 2]> {
        let now = self.0.clock.now();
        let before = now.checked_sub(Duration::from_secs(30)).unwrap_or(now);
        let accounts = self.0.accounts.lock();
        let codes = |device: &MfaDevice| [device.code_at(before), device.code_at(now)];
        if let Some(device) = accounts.mfa_devices.get(serial) {
            return Some(codes(device));
        }
        // A device that IAM's API created and that no user has enabled yet.
        let record = accounts.directory.mfa_devices.get(serial)?;
        Some(codes(&MfaDevice::from_secret("", &record.seed)?))
    }

    /// Sets whether a role session inherits the MFA context of the session that assumed the role. According to the IAM
    /// guide, it does not; some users report that it does. Default: `false`.
    pub fn set_mfa_context_inherited(&self, inherited: bool) {
        self.0.accounts.lock().settings.mfa_context_inherited = inherited;
    }

    /// Sets whether to apply rules that AWS probably has, but for which there is neither documentation nor a recorded
    /// response: that an OpenID Connect token must have the claim `iat`, and that its `nbf` must not be in the future.
    /// Default: `false`.
    pub fn set_unconfirmed_rules(&self, applied: bool) {
        self.0.accounts.lock().settings.unconfirmed_rules = applied;
    }

    /// Sets the maximum packed size of a session's policies and tags, in bytes. AWS publishes neither the limit nor the
    /// format. Default: 460, an estimate that is within a quarter of the percentages that AWS is known to have
    /// returned, and mostly closer. Set a lower limit to make sure that a program stays clear of AWS's limit.
    pub fn set_packed_size_limit(&self, bytes: usize) {
        self.0.accounts.lock().settings.packed_size_limit = Some(bytes);
    }

    /// Sets whether STS is active in a region for an account. It must be active there in the account of the role or
    /// user of a new session; in opt-in regions, also in the caller's account. Default: active.
    pub fn set_region_enabled(&self, account_id: &str, region: &str, enabled: bool) {
        let place = (account_id.to_owned(), region.to_owned());
        let disabled = &mut self.0.accounts.lock().settings.disabled_regions;
        if enabled {
            disabled.remove(&place);
        } else {
            disabled.insert(place);
        }
    }

    /// Sets how long it takes until STS sees changes of users and roles that are made after this call. Until then, STS
    /// answers as before the change: IAM is eventually consistent. Default: no delay.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::{Duration, SystemTime};
    ///
    /// let aws = sts_simulator::Simulator::new();
    /// let keys = aws.user("arn:aws:iam::111111111111:user/orders").create()?;
    /// let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys));
    /// let role = "arn:aws:iam::111111111111:role/Reader";
    /// let assume = || sts.assume_role().role_arn(role).role_session_name("orders").send();
    ///
    /// aws.set_iam_delay(Duration::from_secs(10));
    /// let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    ///     "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111111111111:user/orders"}}}"#;
    /// aws.role(role).trust(trust).create()?;
    /// assert!(assume().await.is_err(), "not yet");
    /// aws.clock().advance(Duration::from_secs(10)).await;
    /// assert!(assume().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_iam_delay(&self, delay: Duration) {
        self.0.accounts.lock().settings.iam_delay = delay;
    }

    /// Creates an access key of the root user of an account, who may do everything except assume roles; `arn` is
    /// `arn:<partition>:iam::<account>:root`.
    ///
    /// # Errors
    ///
    /// Fails if the ARN is not that of a root user.
    pub fn root_user(&self, arn: impl Into<String>) -> Result<Credentials, IamError> {
        let now = self.0.clock.now();
        self.0.accounts.lock().create_root_user(arn.into(), now)
    }

    /// Lets the root user of an account sign with a well-known key: the access key ID is the account ID, and the secret
    /// access key is `test`, as in other local servers. Use it if a program in another language sets accounts up with
    /// IAM's API. An account that is still empty is in the partition `aws`.
    ///
    /// # Errors
    ///
    /// Fails if `account_id` is not 12 digits.
    pub fn root_user_with_known_key(&self, account_id: &str) -> Result<Credentials, IamError> {
        let now = self.0.clock.now();
        let mut accounts = self.0.accounts.lock();
        accounts.create_known_root_user(account_id, now)
    }

    /// Creates another access key of an existing user, such as one that was [imported](Self::import).
    ///
    /// # Errors
    ///
    /// Fails if the user does not exist.
    pub fn access_key(&self, user_arn: &str) -> Result<Credentials, IamError> {
        let now = self.0.clock.now();
        let mut accounts = self.0.accounts.lock();
        accounts.check_user(user_arn)?;
        Ok(accounts.create_access_key(user_arn, now))
    }

    /// Returns credentials for a one-hour session of an existing role, without a call of AssumeRole: the credentials of
    /// a program that runs with the role, as on ECS or Lambda.
    ///
    /// # Errors
    ///
    /// Fails if the role does not exist, or if the session name is not one that AssumeRole accepts.
    pub fn role_session(
        &self,
        role_arn: &str,
        session_name: &str,
    ) -> Result<Credentials, IamError> {
        if !(2..=64).contains(&session_name.len())
            || !session_name.chars().all(arn::is_name_character)
        {
            let rule = "a session name must consist of 2 to 64 letters, digits and _+=,.@-";
            return Err(IamError::validation(format!("{session_name:?}"), rule));
        }
        let now = self.0.clock.now();
        let mut accounts = self.0.accounts.lock();
        let credentials = accounts.issue_role_session(role_arn, session_name, now);
        credentials.ok_or_else(|| IamError::no_such_entity(role_arn, "there is no such role"))
    }

    /// Adds a virtual MFA device to an existing user; see [`UserBuilder::mfa_device`].
    ///
    /// # Errors
    ///
    /// Fails if the user does not exist, or the secret is not base32 text of at least 16 characters.
    pub fn mfa_device(&self, user_arn: &str, serial: &str, secret: &str) -> Result<(), IamError> {
        let mut accounts = self.0.accounts.lock();
        accounts.add_user_mfa_device(user_arn, serial, secret)
    }

    /// Sets whether an access key is active. STS rejects an inactive key like one that does not exist.
    ///
    /// # Errors
    ///
    /// Fails if there is no access key with this ID.
    pub fn set_access_key_active(&self, access_key_id: &str, active: bool) -> Result<(), IamError> {
        let exists = self.0.accounts.lock().set_key_active(access_key_id, active);
        exists
            .then_some(())
            .ok_or_else(|| no_access_key(access_key_id))
    }

    /// Deletes an access key.
    ///
    /// # Errors
    ///
    /// Fails if there is no access key with this ID.
    pub fn delete_access_key(&self, access_key_id: &str) -> Result<(), IamError> {
        let existed = self.0.accounts.lock().delete_key(access_key_id);
        existed
            .then_some(())
            .ok_or_else(|| no_access_key(access_key_id))
    }

    /// Creates an OpenID Connect identity provider, `arn:<partition>:iam::<account>:oidc-provider/<issuer>`.
    /// `client_ids` are the audiences that it accepts; if a token has an authorized party (`azp`), that is compared
    /// instead of the audience. Roles may also trust Google, Amazon, Facebook and Cognito by domain (`"Federated":
    /// "accounts.google.com"`): add a provider for that issuer with the test's key. `keys` verify the tokens: a public
    /// key in PEM form, or a JSON Web Key Set such as providers publish. An RSA key verifies RS256, RS384 and RS512; an
    /// elliptic-curve key verifies ES256 or ES384.
    ///
    /// # Errors
    ///
    /// Fails if the ARN is not an OpenID Connect provider's, the keys cannot be read, or the account is in another
    /// partition.
    pub fn oidc_provider(
        &self,
        arn: impl Into<String>,
        client_ids: &[&str],
        keys: &str,
    ) -> Result<(), IamError> {
        let arn = arn.into();
        check_arn_format(&arn, "oidc-provider", "<issuer>")?;
        let provider = OidcProvider::new(client_ids, keys)
            .map_err(|error| IamError::validation(&*arn, error))?;
        let mut accounts = self.0.accounts.lock();
        accounts.check_partition(&arn)?;
        accounts.oidc_providers.insert(arn, provider);
        Ok(())
    }

    /// Creates a SAML identity provider, `arn:<partition>:iam::<account>:saml-provider/<name>`, from its metadata
    /// document, which contains the entity ID and the certificates that sign its assertions.
    ///
    /// # Errors
    ///
    /// Fails if the ARN is not a SAML provider's, the document has no entity ID or no certificate for signing, or the
    /// account is in another partition.
    #[cfg(feature = "saml-signatures")]
    pub fn saml_provider(&self, arn: impl Into<String>, metadata: &str) -> Result<(), IamError> {
        let arn = arn.into();
        check_arn_format(&arn, "saml-provider", "<name>")?;
        let metadata = SamlMetadata::read(metadata)
            .map_err(|error| IamError::validation(&*arn, format!("metadata document: {error}")))?;
        let provider = SamlProvider::Signed(metadata);
        let mut accounts = self.0.accounts.lock();
        accounts.check_partition(&arn)?;
        accounts.saml_providers.insert(arn, provider);
        Ok(())
    }

    /// Creates a SAML identity provider, `arn:<partition>:iam::<account>:saml-provider/<name>`, whose assertions are
    /// accepted without a signature, unlike at AWS. Their audience, times and attributes are checked. With the feature
    /// `saml-signatures`, there is also `saml_provider`.
    pub fn saml_provider_without_signatures(&self, arn: impl Into<String>) {
        let mut accounts = self.0.accounts.lock();
        accounts
            .saml_providers
            .insert(arn.into(), SamlProvider::Unsigned);
    }

    /// Enables outbound identity federation for an account, so that its users and roles may call GetWebIdentityToken.
    /// Returns the URL of the account's issuer, `https://….tokens.sts.global.api.aws`, which is in the tokens. Default:
    /// disabled.
    ///
    /// # Errors
    ///
    /// Fails if `account_id` is not 12 digits.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = sts_simulator::Simulator::new();
    /// let issuer = aws.enable_outbound_web_identity_federation("111111111111")?;
    /// let keys = aws
    ///     .user("arn:aws:iam::111111111111:user/orders")
    ///     .policy(r#"{"Statement": {"Effect": "Allow", "Action": "sts:GetWebIdentityToken", "Resource": "*"}}"#)
    ///     .create()?;
    /// let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys));
    /// let call = sts.get_web_identity_token().audience("https://api.example.com");
    /// let answer = call.signing_algorithm("ES384").send().await?;
    ///
    /// // The verifier of the token gets the keys from the test, not from the issuer's URL.
    /// let key_set = aws.web_identity_token_keys("111111111111");
    /// # assert!(issuer.starts_with("https://") && key_set.is_some());
    /// # assert_eq!(answer.web_identity_token().unwrap().split('.').count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enable_outbound_web_identity_federation(
        &self,
        account_id: &str,
    ) -> Result<String, IamError> {
        if !arn::is_account_id(account_id) {
            let rule = "an account ID must be 12 digits";
            return Err(IamError::validation(format!("{account_id:?}"), rule));
        }
        self.0.accounts.lock().enable_token_issuer(account_id)
    }

    /// Returns the JSON Web Key Set that verifies an account's tokens from GetWebIdentityToken; `None` if [outbound
    /// identity federation](Self::enable_outbound_web_identity_federation) was never enabled.
    pub fn web_identity_token_keys(&self, account_id: &str) -> Option<String> {
        self.0.accounts.lock().token_issuer(account_id)?.key_set()
    }

    /// Makes a context assertion valid for `ProvidedContexts` of AssumeRole; all others are rejected. The provider of
    /// IAM Identity Center is `arn:aws:iam::aws:contextProvider/IdentityCenter`.
    pub fn context_assertion(&self, provider_arn: impl Into<String>, assertion: impl Into<String>) {
        let assertions = &mut self.0.accounts.lock().context_assertions;
        assertions.insert((provider_arn.into(), assertion.into()));
    }

    /// Adds a service: `handler` answers the requests that are signed for `name` (`firehose`, `s3`, …), once the
    /// signature and the session of the caller have been found valid. See [`Caller`] for an example.
    /// [`Firehose`](crate::Firehose) and [`S3`](crate::S3) are ready-made services. STS and IAM are always available; a
    /// service with the name `iam` replaces IAM.
    pub fn service(
        &self,
        name: impl Into<String>,
        handler: impl Fn(&Caller, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) {
        self.state().services.insert(name.into(), Arc::new(handler));
    }

    /// Sets how long each response takes, of STS and of other services. Default: no time.
    pub fn set_latency(&self, latency: impl Into<Latency>) {
        self.state().latency = latency.into();
    }

    /// Makes calls of STS fail until [`recover`](Self::recover): all calls, or those that the fault is limited to.
    /// Faults that were added earlier remain; see [`Fault`] for which fault applies to a request.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.add(fault, self.0.clock.elapsed());
        self.0.faults_changed.send_replace(());
    }

    /// Ends all faults. Requests that a fault holds are answered.
    pub fn recover(&self) {
        self.state().faults.clear();
        self.0.faults_changed.send_replace(());
    }

    /// Returns the requests that STS has received, in order and whatever their outcome.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.iter().cloned().collect()
    }

    /// Returns which requests policies denied, and why, in order: calls of STS and IAM, and requests to the
    /// [services](Self::service) that call [`Caller::may`] or
    /// [`AccessRequest::is_allowed`](crate::AccessRequest::is_allowed). The latest 1,000 are kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use sts_simulator::{Firehose, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = Simulator::new();
    /// Firehose::plug_into(&aws);
    /// let keys = aws
    ///     .user("arn:aws:iam::111111111111:user/orders")
    ///     .policy(
    ///         r#"{"Version": "2012-10-17", "Statement": {
    ///             "Effect": "Allow", "Action": "firehose:*", "Resource": "*"}}"#,
    ///     )
    ///     .permissions_boundary(
    ///         r#"{"Version": "2012-10-17", "Statement": {
    ///             "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#,
    ///     )
    ///     .create()?;
    /// let firehose = aws_sdk_firehose::Client::new(&aws.sdk_config(keys));
    /// assert!(firehose.list_delivery_streams().send().await.is_err());
    ///
    /// let refusals = aws.refusals();
    /// assert_eq!(
    ///     refusals[0].to_string(),
    ///     "\
    /// denied: firehose:ListDeliveryStreams
    ///   by arn:aws:iam::111111111111:user/orders
    ///   on *
    /// because no permissions boundary allows it:
    ///   permissions boundary of arn:aws:iam::111111111111:user/orders
    ///     statement 1 (Allow) is about other actions:
    ///       Action: s3:*
    /// "
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn refusals(&self) -> Vec<Explanation> {
        self.state().refusals.iter().cloned().collect()
    }

    /// Returns the number of requests that STS has received.
    pub fn requests(&self) -> usize {
        let state = self.state();
        state.forgotten_calls + state.calls.len()
    }

    /// Returns the number of requests to assume this role that STS has received, whatever their outcome.
    pub fn assumed(&self, role_arn: &str) -> usize {
        let state = self.state();
        let calls = state.calls.iter();
        calls
            .filter(|call| call.role_arn.as_deref() == Some(role_arn))
            .count()
    }

    /// Returns the highest number of requests to STS that were in flight at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    /// Keeps only the latest calls from now on, so that a long-running simulator does not grow.
    #[cfg(feature = "server")]
    pub(crate) fn limit_calls(&self, limit: usize) {
        self.state().call_limit = Some(limit);
    }

    pub(crate) fn shared_accounts(&self) -> SharedAccounts {
        self.0.accounts.clone()
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let authorization = Authorization::read(&request);
        match self.service_of(&request, authorization.as_ref()) {
            Some(service) => {
                self.wait(self.latency()).await;
                Ok(self.answer_service(&service, &request))
            }
            None => self.answer_sts(&request, authorization.as_ref()).await,
        }
    }

    /// Returns the name of the service that a request is for; `None` means STS.
    pub(crate) fn service_of(
        &self,
        request: &HttpRequest,
        authorization: Option<&Authorization>,
    ) -> Option<String> {
        let plugged_in = || self.state().services.keys().cloned().collect();
        routing::service_of(request, authorization, plugged_in)
    }

    async fn answer_sts(
        &self,
        request: &HttpRequest,
        authorization: Option<&Authorization>,
    ) -> Result<HttpResponse, ConnectorError> {
        let parameters = Parameters::read(request);
        let parameter = |name: &str| parameters.first(name).map(str::to_owned);
        let call = Call {
            action: parameter("Action").unwrap_or_default(),
            role_arn: parameter("RoleArn"),
            session_name: parameter("RoleSessionName"),
            duration_seconds: parameter("DurationSeconds"),
            host: host_of(request.uri()).to_owned(),
            region: authorization.map(|authorization| authorization.region.clone()),
            access_key_id: authorization.map(|authorization| authorization.access_key_id.clone()),
            at: self.0.clock.elapsed(),
            parameters: parameters.clone(),
            decisions: Vec::new(),
        };
        let account = call.access_key_id.as_deref().and_then(|id| {
            let accounts = self.0.accounts.lock();
            let owner = &accounts.key(id)?.owner;
            Some(arn::account_of(owner.principal_arn()).to_owned())
        });
        let target = Target {
            operation: &call.action,
            role_arn: call.role_arn.as_deref(),
            account: account.as_deref(),
            region: call.region.as_deref().unwrap_or_default(),
        };
        let in_flight = InFlight::start(self, call.clone());
        self.wait(self.latency()).await;
        let delay = self
            .state()
            .faults
            .delay_of(&target, self.0.clock.elapsed());
        self.wait(delay).await;
        let effect = self.effect_on(&target).await;

        let mut now = self.0.clock.now();
        match &effect {
            Some(Effect::Error {
                status,
                code,
                message,
            }) => {
                let format = AnswerFormat::accepted_by(request);
                return Ok(ErrorResponse::new(*status, code, message).into_response(format));
            }
            Some(Effect::ConnectionClosed) => {
                return Err(ConnectorError::io("connection closed".into()));
            }
            Some(Effect::ConnectionReset) => {
                let error = io::Error::from(io::ErrorKind::ConnectionReset);
                return Err(ConnectorError::io(error.into()));
            }
            Some(Effect::ClockAhead(by)) => now = now.checked_add(*by).unwrap_or(now),
            Some(Effect::ClockBehind(by)) => now = now.checked_sub(*by).unwrap_or(now),
            _ => {}
        }
        let issues_expired = effect == Some(Effect::ExpiredCredentials);
        let environment = Environment::new(request, now, issues_expired);
        let mut accounts = self.0.accounts.lock();
        let mut response = sts::answer(&mut accounts, request, &parameters, &environment);
        let decisions = accounts.take_decisions();
        drop(accounts);
        let refused = decisions.iter().filter(|it| !it.is_allowed()).cloned();
        self.keep_refusals(refused.collect(), &mut response);
        in_flight.decided(decisions);
        set_date(&mut response, now);
        match effect {
            Some(Effect::Truncated) => {
                let body = response.body().bytes().unwrap_or_default();
                let (length, half) = (body.len(), &body[..body.len() / 2]);
                *response.body_mut() = truncated_body(half);
                let headers = response.headers_mut();
                headers.insert("content-length", length.to_string());
            }
            Some(Effect::Garbage) => {
                *response.body_mut() = "<html><body>Service Temporarily Moved<hr>".into();
            }
            _ => {}
        }
        Ok(response)
    }

    /// Returns the effect of the faults on a request, after any fault that holds it has ended.
    async fn effect_on(&self, request: &Target<'_>) -> Option<Effect> {
        // Subscribes before reading the faults, so that no change in between is missed.
        let mut faults_changed = self.0.faults_changed.subscribe();
        let mut held = None;
        loop {
            let now = self.0.clock.elapsed();
            let hit = self.state().faults.hit(request, now, held)?;
            if hit.effect != Effect::NoAnswer {
                return Some(hit.effect);
            }
            held = Some(hit.id);
            // Fails only if the sender was dropped, but the simulator owns it.
            let changed = faults_changed.changed();
            match hit.end {
                Some(end) => drop(tokio::time::timeout(end.saturating_sub(now), changed).await),
                None => drop(changed.await),
            }
        }
    }

    fn latency(&self) -> Duration {
        self.state().latency.sample()
    }

    async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    fn answer_service(&self, name: &str, request: &HttpRequest) -> HttpResponse {
        let now = self.0.clock.now();
        let caller = authenticate(&self.0.accounts.lock(), request, now);
        let service = self.state().services.get(name).cloned();
        let mut response = match (&caller, service) {
            (caller, None) if name == "iam" => {
                iam_api::answer(&self.0.accounts, caller.as_ref(), request, now)
            }
            (Err(error), _) => error.clone().into_service_response(name, request),
            (Ok(_), None) => {
                let message = format!(
                    "the simulator has no service {name:?}; add it with Simulator::service"
                );
                ErrorResponse::new(404, "UnknownService", message)
                    .into_service_response(name, request)
            }
            // Called without a lock, because the service may use the simulator.
            (Ok(caller), Some(service)) => {
                let response = service(caller, request);
                match caller.undecided() {
                    None => response,
                    Some(reason) => {
                        let error = ErrorResponse::new(400, "Undecided", reason);
                        error.into_service_response(name, request)
                    }
                }
            }
        };
        if let Ok(caller) = caller {
            self.keep_refusals(caller.take_refusals(), &mut response);
        }
        response
    }

    /// Stores denials, and adds the latest reason to the response for the server's log.
    fn keep_refusals(&self, refusals: Vec<Explanation>, response: &mut HttpResponse) {
        if let Some(latest) = refusals.last() {
            response.add_extension(RefusalCause(latest.cause().into()));
        }
        let mut state = self.state();
        state.refusals.extend(refusals);
        let excess = state.refusals.len().saturating_sub(MAX_REFUSALS);
        state.refusals.drain(..excess);
    }
}

/// How many denials are kept.
const MAX_REFUSALS: usize = 1000;

/// Why a request was denied: an extension of its response, for the server's log.
#[derive(Clone, Debug)]
pub(crate) struct RefusalCause(Arc<str>);

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn no_access_key(id: &str) -> IamError {
    IamError::no_such_entity(id, "there is no access key with this ID")
}

/// A request in flight. Dropped when the request is answered or its caller gives up.
struct InFlight<'a> {
    simulator: &'a Simulator,
    /// The number of calls before this one.
    number: usize,
}

impl<'a> InFlight<'a> {
    /// Records the call and counts it.
    fn start(simulator: &'a Simulator, call: Call) -> Self {
        let mut state = simulator.state();
        let number = state.forgotten_calls + state.calls.len();
        state.calls.push_back(call);
        if state
            .call_limit
            .is_some_and(|limit| state.calls.len() > limit)
        {
            state.calls.pop_front();
            state.forgotten_calls += 1;
        }
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        Self { simulator, number }
    }

    /// Adds the decisions on the call to its record.
    fn decided(&self, decisions: Vec<Explanation>) {
        let mut state = self.simulator.state();
        let place = self.number.checked_sub(state.forgotten_calls);
        if let Some(call) = place.and_then(|place| state.calls.get_mut(place)) {
            call.decisions = decisions;
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.simulator.state().in_flight -= 1;
    }
}

impl HttpClient for Simulator {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Simulator {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let mut response = this.answer(request).await?;
            if response.headers().get("date").is_none() {
                set_date(&mut response, this.0.clock.now());
            }
            Ok(response)
        })
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

/// Sets the header `Date`, by which the SDK corrects the clock skew of its signatures.
fn set_date(response: &mut HttpResponse, now: SystemTime) {
    if let Ok(date) = DateTime::from(now).fmt(Format::HttpDate) {
        response.headers_mut().insert("date", date);
    }
}
