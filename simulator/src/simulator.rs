//! [`Simulator`]: the HTTP client that receives the requests, and the methods by which a test sets it up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

use crate::call::Call;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::iam::{
    AccountBuilder, Caller, IamError, OidcProvider, RoleBuilder, SharedAccounts, UserBuilder,
};
use crate::policy::{Explanation, keys};
use crate::protocol::{ErrorResponse, Parameters};
use crate::service::{Handler, Service};
use crate::signature::{Authorization, authenticate};
use crate::{iam_api, sts};

/// STS, IAM with any number of accounts, and the services that a test adds.
///
/// It is an [`HttpClient`] of the SDK: [`sdk_config`](Self::sdk_config) returns a config whose requests it
/// answers. Clones are handles of the same simulator.
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
/// // Without another trust policy, a role trusts its own account, and the user's policies decide.
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
    /// Wakes the requests that a [`Fault::NoAnswer`] holds, when the faults change.
    faults_changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// By the name in the signature's scope.
    services: HashMap<String, Arc<dyn Service>>,
    latency: Duration,
    /// The fault of all requests.
    fault: Option<Fault>,
    /// The faults of single roles, by ARN.
    role_faults: HashMap<String, Fault>,
    calls: Vec<Call>,
    in_flight: usize,
    most_in_flight: usize,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Creates a simulator without users, roles, faults or latency. Its clock starts at the present time.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            clock: Clock::new(),
            accounts: SharedAccounts::default(),
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
    /// `arn:<partition>:iam::<account>:user/<path><name>`. An existing user is changed and stays the same user.
    pub fn user(&self, arn: impl Into<String>) -> UserBuilder {
        UserBuilder::new(self.0.accounts.clone(), arn.into(), self.0.clock.now())
    }

    /// Returns a builder for an IAM role; `arn` is `arn:<partition>:iam::<account>:role/<path><name>`. An
    /// existing role is changed and stays the same role.
    pub fn role(&self, arn: impl Into<String>) -> RoleBuilder {
        RoleBuilder::new(self.0.accounts.clone(), arn.into(), self.0.clock.now())
    }

    /// Lets the root user of an account sign: the access key ID is the account's ID, and the secret access key
    /// is `test`, as other local servers have it. The root user may do everything in the account but assume
    /// roles. Use it where a test sets accounts up with IAM's API.
    ///
    /// # Errors
    ///
    /// Fails if `account` is not an account ID.
    pub fn root_user(&self, account: &str) -> Result<Credentials, IamError> {
        self.0
            .accounts
            .lock()
            .add_root_user(account, self.0.clock.now())
    }

    /// Deletes a role, which invalidates its sessions. A role that is created later under the same ARN is
    /// another role.
    pub fn delete_role(&self, arn: &str) {
        self.0.accounts.lock().delete_role(arn);
    }

    /// Returns a builder for what is known of an account, by its ID: its organization in AWS Organizations, with the
    /// policies that come with it. An account needs none to have users and roles.
    pub fn account(&self, id: impl Into<String>) -> AccountBuilder {
        AccountBuilder::new(self.0.accounts.clone(), id.into())
    }

    /// Sets a condition key of all requests that tells how they arrive: `aws:SourceIp`, `aws:SourceVpce`,
    /// `aws:UserAgent`, `aws:SecureTransport`, …. Without values, requests do not have it. What requests have
    /// otherwise: `aws:SourceIp` is 203.0.113.10, `aws:SecureTransport` is `true`, `aws:ViaAWSService` is `false`,
    /// `aws:UserAgent` and `aws:Referer` are those of the request, and there are none of the others.
    ///
    /// # Errors
    ///
    /// Fails if the simulator sets the key itself (`aws:CurrentTime`, `aws:RequestedRegion`, …), or it is a key of
    /// callers, accounts or operations.
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
                "is not a condition key that tells how requests arrive, such as aws:SourceIp";
            return Err(IamError::validation(format!("{key:?}"), rule));
        }
        let values = values.into_iter().map(Into::into).collect();
        self.0.accounts.lock().set_request_key(key, values);
        Ok(())
    }

    /// Adds a condition key that the simulator does not know, such as a new one of a service, so that policies with
    /// it are not refused. Requests have it only if the test [says so](crate::AccessRequest::key).
    pub fn add_condition_key(&self, key: &str) {
        self.0.accounts.lock().add_condition_key(key);
    }

    /// Returns the code that an MFA device shows now; `None` if no device has this serial number.
    pub fn mfa_code(&self, serial: &str) -> Option<String> {
        let accounts = self.0.accounts.lock();
        Some(accounts.mfa_device(serial)?.code_at(self.0.clock.now()))
    }

    /// Sets whether a role session has the MFA context of the session that assumed the role. The IAM guide says
    /// that it does not; some users report that it does. Default: `false`.
    pub fn set_mfa_context_inherited(&self, inherited: bool) {
        self.0.accounts.lock().mfa_context_inherited = inherited;
    }

    /// Creates an OpenID Connect identity provider, `arn:aws:iam::<account>:oidc-provider/<issuer>`, for tokens
    /// that are signed with ES256. `client_ids` are the audiences it accepts.
    ///
    /// # Errors
    ///
    /// Fails if `public_key_pem` is not an elliptic-curve public key in PEM form.
    pub fn oidc_provider(
        &self,
        arn: impl Into<String>,
        client_ids: &[&str],
        public_key_pem: &str,
    ) -> Result<(), IamError> {
        let arn = arn.into();
        let key = jsonwebtoken::DecodingKey::from_ec_pem(public_key_pem.as_bytes())
            .map_err(|error| IamError::validation(&*arn, format!("public key: {error}")))?;
        let provider = OidcProvider {
            client_ids: client_ids.iter().map(|id| (*id).to_owned()).collect(),
            key,
            algorithm: jsonwebtoken::Algorithm::ES256,
        };
        self.0.accounts.lock().add_oidc_provider(arn, provider);
        Ok(())
    }

    /// Creates a SAML identity provider, `arn:<partition>:iam::<account>:saml-provider/<name>`. The audience,
    /// times and attributes of its assertions are checked; their signatures are not.
    pub fn saml_provider(&self, arn: impl Into<String>) {
        self.0.accounts.lock().add_saml_provider(arn.into());
    }

    /// Adds a service: `handler` answers the requests that are signed for `name` (`firehose`, `s3`, …), once
    /// the signature and the session of the caller are found valid. See [`Caller`] for an example.
    pub fn service(
        &self,
        name: impl Into<String>,
        handler: impl Fn(&Caller, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) {
        self.plug_in(name, Handler(handler));
    }

    /// Adds a service, for the requests that are signed for `name`. [`Firehose`](crate::Firehose) and
    /// [`S3`](crate::S3) are such services.
    pub fn plug_in(&self, name: impl Into<String>, service: impl Service + 'static) {
        self.state().services.insert(name.into(), Arc::new(service));
    }

    /// Sets how long each answer takes. Default: no time.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Makes every call of STS fail until [`recover`](Self::recover).
    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
        self.0.faults_changed.send_replace(());
    }

    /// Makes every call of STS that assumes this role fail until [`recover`](Self::recover). A role's own fault
    /// takes precedence over that of [`fail`](Self::fail).
    pub fn fail_role(&self, role_arn: &str, fault: Fault) {
        let mut state = self.state();
        state.role_faults.insert(role_arn.to_owned(), fault);
        drop(state);
        self.0.faults_changed.send_replace(());
    }

    /// Ends all faults. Requests that were held are answered.
    pub fn recover(&self) {
        let mut state = self.state();
        state.fault = None;
        state.role_faults.clear();
        drop(state);
        self.0.faults_changed.send_replace(());
    }

    /// Returns the requests that STS has received, in order, whatever their outcome.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Returns the number of requests that STS has received.
    pub fn requests(&self) -> usize {
        self.state().calls.len()
    }

    /// Returns the number of requests that STS has received to assume this role, whatever their outcome.
    pub fn assumed(&self, role_arn: &str) -> usize {
        let state = self.state();
        let calls = state.calls.iter();
        calls
            .filter(|call| call.role_arn.as_deref() == Some(role_arn))
            .count()
    }

    /// Returns the greatest number of requests to STS that were in flight at once.
    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let authorization = Authorization::read(&request);
        match &authorization {
            Some(authorization) if authorization.service != "sts" => {
                self.wait_for_latency().await;
                Ok(self.answer_service(&authorization.service, &request))
            }
            // Without a signature: AssumeRoleWithWebIdentity and AssumeRoleWithSAML.
            _ => self.answer_sts(&request, authorization.as_ref()).await,
        }
    }

    async fn answer_sts(
        &self,
        request: &HttpRequest,
        authorization: Option<&Authorization>,
    ) -> Result<HttpResponse, ConnectorError> {
        let parameters = Parameters::read(request);
        let parameter = |name: &str| parameters.first(name).map(str::to_owned);
        let role_arn = parameter("RoleArn");
        let call = Call {
            action: parameter("Action").unwrap_or_default(),
            role_arn: role_arn.clone(),
            session_name: parameter("RoleSessionName"),
            duration_seconds: parameter("DurationSeconds"),
            host: host(request.uri()).to_owned(),
            region: authorization.map(|authorization| authorization.region.clone()),
            access_key_id: authorization.map(|authorization| authorization.access_key_id.clone()),
            at: self.0.clock.elapsed(),
            parameters: parameters.clone(),
            decisions: Vec::new(),
        };
        let in_flight = InFlight::start(self, call);
        self.wait_for_latency().await;
        // Subscribed before the fault is read, so that no change in between is missed.
        let mut faults_changed = self.0.faults_changed.subscribe();
        while let Some(fault) = self.fault(role_arn.as_deref()) {
            match fault {
                Fault::Error {
                    status,
                    code,
                    message,
                } => return Ok(ErrorResponse::new(status, code, message).into_response()),
                Fault::ConnectionClosed => {
                    return Err(ConnectorError::io("connection closed".into()));
                }
                // An error would mean that the sender is gone, but the simulator owns it.
                Fault::NoAnswer => drop(faults_changed.changed().await),
            }
        }
        let mut accounts = self.0.accounts.lock();
        let now = self.0.clock.now();
        let response = sts::answer(&mut accounts, request, &parameters, now);
        let decisions = accounts.take_decisions();
        drop(accounts);
        in_flight.decided(decisions);
        Ok(response)
    }

    fn fault(&self, role_arn: Option<&str>) -> Option<Fault> {
        let state = self.state();
        let of_role = role_arn.and_then(|arn| state.role_faults.get(arn));
        of_role.or(state.fault.as_ref()).cloned()
    }

    async fn wait_for_latency(&self) {
        let latency = self.state().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    fn answer_service(&self, name: &str, request: &HttpRequest) -> HttpResponse {
        let now = self.0.clock.now();
        let caller = authenticate(&self.0.accounts.lock(), request, now);
        let service = self.state().services.get(name).cloned();
        match (caller, service) {
            (caller, None) if name == "iam" => {
                iam_api::answer(&self.0.accounts, caller, request, now)
            }
            (Err(error), None) => error.into_json_response(),
            (Ok(_), None) => {
                let message = format!("no service {name:?} is plugged into this simulator");
                ErrorResponse::new(404, "UnknownService", message).into_json_response()
            }
            // No lock is held here, because the service may use the simulator.
            (Ok(caller), Some(service)) => {
                let response = service.answer(&caller, request);
                match caller.undecided() {
                    None => response,
                    Some(reason) => {
                        let error = ErrorResponse::new(400, "Undecided", reason);
                        service.refuse(&error.into())
                    }
                }
            }
            (Err(error), Some(service)) => service.refuse(&error.into()),
        }
    }
}

/// A request in flight. Dropped when it is answered, or when its caller gives up.
struct InFlight<'a> {
    simulator: &'a Simulator,
    /// The place of the call in `State::calls`.
    place: usize,
}

impl<'a> InFlight<'a> {
    /// Records the call and counts it.
    fn start(simulator: &'a Simulator, call: Call) -> Self {
        let mut state = simulator.state();
        let place = state.calls.len();
        state.calls.push(call);
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        Self { simulator, place }
    }

    /// Records what was decided on the call.
    fn decided(&self, decisions: Vec<Explanation>) {
        self.simulator.state().calls[self.place].decisions = decisions;
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
            // The SDK corrects the clock skew of its signatures by this header.
            let now = DateTime::from(this.0.clock.now());
            if let Ok(date) = now.fmt(Format::HttpDate) {
                response.headers_mut().insert("date", date);
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

/// Returns the host in a URL, with its port.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority.split('/').next().unwrap_or_default()
}
