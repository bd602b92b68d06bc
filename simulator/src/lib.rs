//! An STS simulator: an HTTP client for the AWS SDK that answers as STS does.
//!
//! Nothing of the code under test is replaced: requests are really serialised, signed and parsed.
//! The simulator looks up who signed, checks the signature, the session token and its expiry,
//! evaluates the role's trust policy and the caller's own, and answers with STS's codes and texts.
//! Accounts are there once a user or role is made in them.
//!
//! ```
//! use sts_simulator::Simulator;
//! use aws_role_chain::{Role, RoleChain};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let aws = Simulator::new();
//! let role = "arn:aws:iam::222222222222:role/FirehoseWriter";
//! let keys = aws
//!     .user("arn:aws:iam::111111111111:user/orders")
//!     .policy(format!(
//!         r#"{{"Version": "2012-10-17", "Statement": {{
//!             "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "{role}"}}}}"#
//!     ))
//!     .create()?;
//! aws.role(role)
//!     .trust(
//!         r#"{"Version": "2012-10-17", "Statement": {
//!             "Effect": "Allow", "Action": "sts:AssumeRole",
//!             "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
//!             "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee"}}}}"#,
//!     )
//!     .create()?;
//!
//! let base = aws.sdk_config(keys);
//! let wrong = RoleChain::new(&base, Role::new(role).external_id("tea"))?;
//! assert!(wrong.refresh().await.unwrap_err().is_access_denied());
//!
//! let chain = RoleChain::new(&base, Role::new(role).external_id("c0ffee"))?;
//! chain.refresh().await?;
//! assert_eq!(aws.assumed(role), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//!
//! The config of [`sdk_config`](Simulator::sdk_config) has the simulator's [`Clock`]. Under tokio's paused
//! time (`#[tokio::test(start_paused = true)]`, tokio's feature `test-util`) an hour passes at once:
//!
//! ```
//! # use sts_simulator::{Fault, Simulator};
//! # use aws_role_chain::{Role, RoleChain};
//! # use aws_credential_types::provider::ProvideCredentials;
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let aws = Simulator::new();
//! # let role = "arn:aws:iam::111111111111:role/Local";
//! # let keys = aws.user("arn:aws:iam::111111111111:user/orders").policy(r#"{"Statement": {
//! #     "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#).create()?;
//! # aws.role(role).create()?;
//! # let chain = RoleChain::new(&aws.sdk_config(keys), Role::new(role))?;
//! chain.provide_credentials().await?;
//! aws.clock().advance(Duration::from_secs(59 * 60)).await;
//! assert_eq!(aws.assumed(role), 2); // refreshed in its window
//!
//! aws.fail(Fault::service_unavailable());
//! aws.clock().advance(Duration::from_secs(40 * 60)).await;
//! chain.provide_credentials().await?; // nobody notices
//! # Ok(())
//! # }
//! ```
//!
//! # What it knows
//!
//! AssumeRole, AssumeRoleWithWebIdentity, AssumeRoleWithSAML, GetSessionToken and GetCallerIdentity:
//! signatures, clock skew, session tokens, expiry; the parameters' limits; trust, identity and session policies within
//! and across accounts; external IDs, session tags with inheritance, source identity; MFA devices
//! whose codes are good once; OpenID Connect tokens; MaxSessionDuration and the one-hour limit of
//! role chaining (for any temporary credentials); role deletion. Other services are
//! [plugged in](Simulator::service). Not: the signatures of SAML assertions, permissions boundaries,
//! organisations' policies, the packed size of policies and tags.

mod clock;
mod mfa_device;
mod policy;
mod saml;
mod signature;
mod sts;
mod web_identity;
mod world;

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
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::sync::watch;

pub use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
pub use clock::Clock;
pub use world::{Caller, IamError, RoleBuilder, UserBuilder};

use signature::{Signed, authenticate};
use world::{OidcProvider, World};

/// What a plugged-in service does with a request whose signature holds.
type Handler = Arc<dyn Fn(&Caller, &HttpRequest) -> HttpResponse + Send + Sync>;

/// STS, as many accounts as you like, and whatever services you plug in; see the
/// [module](self). Clones are the same simulator.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    /// Wakes the requests that a [`Fault::NoAnswer`] holds.
    changed: watch::Sender<()>,
}

struct State {
    world: World,
    services: HashMap<String, Handler>,
    latency: Duration,
    /// By role ARN; the empty one for all requests.
    faults: HashMap<String, Fault>,
    calls: Vec<Call>,
    in_flight: usize,
    most_in_flight: usize,
}

/// What goes wrong; see [`Simulator::fail`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// STS answers with this error.
    Error {
        /// HTTP status.
        status: u16,
        /// Code, such as `Throttling`.
        code: String,
        /// Message.
        message: String,
    },
    /// The request is received, and not answered until the fault is over.
    NoAnswer,
    /// The connection is closed without an answer.
    ConnectionClosed,
}

impl Fault {
    /// 503 `ServiceUnavailable`.
    pub fn service_unavailable() -> Self {
        Self::error(503, "ServiceUnavailable", "Service is unavailable")
    }

    /// 400 `Throttling`.
    pub fn throttling() -> Self {
        Self::error(400, "Throttling", "Rate exceeded")
    }

    /// Any error of STS's.
    pub fn error(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error {
            status,
            code: code.into(),
            message: message.into(),
        }
    }
}

/// One request that STS received.
#[derive(Clone)]
#[non_exhaustive]
pub struct Call {
    /// `AssumeRole`, `GetCallerIdentity`, …
    pub action: String,
    /// AssumeRole's `RoleArn`.
    pub role_arn: Option<String>,
    /// AssumeRole's `RoleSessionName`.
    pub session_name: Option<String>,
    /// AssumeRole's `DurationSeconds`, if sent.
    pub duration_seconds: Option<String>,
    /// The host it was sent to, such as `sts.eu-west-1.amazonaws.com`.
    pub host: String,
    /// The region of the signature.
    pub region: Option<String>,
    /// The access key id that signed.
    pub access_key_id: Option<String>,
    /// How long after the simulator's start it arrived.
    pub at: Duration,
    parameters: sts::Parameters,
}

impl Call {
    /// A parameter by the name it has on the wire: `ExternalId`, `Tags.member.1.Key`, ….
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.first(name)
    }
}

/// Of a URL.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority.split('/').next().unwrap_or_default()
}

// The other parameters may be secrets.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.action)
            .field("role_arn", &self.role_arn)
            .field("session_name", &self.session_name)
            .field("duration_seconds", &self.duration_seconds)
            .field("host", &self.host)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// No users, no roles, no faults, no latency; the clock starts now.
    pub fn new() -> Self {
        let state = State {
            world: World::default(),
            services: HashMap::new(),
            latency: Duration::ZERO,
            faults: HashMap::new(),
            calls: Vec::new(),
            in_flight: 0,
            most_in_flight: 0,
        };
        Self(Arc::new(Inner {
            clock: Clock::new(),
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
        }))
    }

    /// A config whose requests come here, signed with `credentials`, on the simulator's clock;
    /// region `eu-west-1`. Change what you need with `into_builder()`.
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

    /// The simulator's clock.
    pub fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    /// An IAM user with an access key, `arn:<partition>:iam::<account>:user/<path><name>`.
    pub fn user(&self, arn: impl Into<String>) -> UserBuilder {
        UserBuilder::new(self.clone(), arn.into())
    }

    /// An IAM role, `arn:<partition>:iam::<account>:role/<path><name>`. A role that is there already
    /// is changed and stays the same role.
    pub fn role(&self, arn: impl Into<String>) -> RoleBuilder {
        RoleBuilder::new(self.clone(), arn.into())
    }

    /// Deletes a role, and with it all its sessions; a role made again under the same ARN is another.
    pub fn delete_role(&self, arn: &str) {
        self.state().world.delete_role(arn);
    }

    /// The code that an MFA device shows now; none for an unknown serial number.
    pub fn mfa_code(&self, serial: &str) -> Option<String> {
        self.state().world.code(serial, self.0.clock.now())
    }

    /// Whether role sessions made with the credentials of an MFA-proved session token count as
    /// proved themselves. AWS's guide says that they do not, users report that they do. Default: no.
    pub fn set_mfa_travels(&self, travels: bool) {
        self.state().world.mfa_travels = travels;
    }

    /// An OpenID Connect identity provider, `arn:aws:iam::<account>:oidc-provider/<issuer>`, whose
    /// tokens the holder of the private key signs with ES256.
    ///
    /// # Errors
    ///
    /// What is no public key in PEM form.
    pub fn oidc_provider(
        &self,
        arn: impl Into<String>,
        client_ids: &[&str],
        public_key_pem: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let provider = OidcProvider {
            client_ids: client_ids.iter().map(|id| (*id).to_owned()).collect(),
            key: jsonwebtoken::DecodingKey::from_ec_pem(public_key_pem.as_bytes())?,
            algorithm: jsonwebtoken::Algorithm::ES256,
        };
        self.state().world.add_oidc_provider(arn.into(), provider);
        Ok(())
    }

    /// A SAML identity provider, `arn:<partition>:iam::<account>:saml-provider/<name>`. Assertions' signatures
    /// are not checked; their audience, times and attributes are.
    pub fn saml_provider(&self, arn: impl Into<String>) {
        self.state().world.add_saml_provider(arn.into());
    }

    /// Answers the requests signed for `name` (`firehose`, `s3`, …) with `handler`, once the
    /// caller's signature and session are found good.
    pub fn service(
        &self,
        name: impl Into<String>,
        handler: impl Fn(&Caller, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) {
        self.state().services.insert(name.into(), Arc::new(handler));
    }

    /// Every answer takes this long from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// STS fails so until it [recovers](Self::recover).
    pub fn fail(&self, fault: Fault) {
        self.fail_role("", fault);
    }

    /// STS fails so, for AssumeRole of one role, until it [recovers](Self::recover).
    pub fn fail_role(&self, role_arn: &str, fault: Fault) {
        self.state().faults.insert(role_arn.to_owned(), fault);
        self.0.changed.send_replace(());
    }

    /// Ends all faults; requests that were held are answered.
    pub fn recover(&self) {
        self.state().faults.clear();
        self.0.changed.send_replace(());
    }

    /// The requests that STS has received, whatever became of them.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many requests STS has received.
    pub fn requests(&self) -> usize {
        self.state().calls.len()
    }

    /// How many of them were AssumeRole of this role.
    pub fn assumed(&self, role_arn: &str) -> usize {
        let state = self.state();
        let of_role = state
            .calls
            .iter()
            .filter(|call| call.role_arn.as_deref() == Some(role_arn));
        of_role.count()
    }

    /// How many requests were under way at once, at the most.
    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let signed = Signed::read(&request);
        let service = signed
            .as_ref()
            .map_or("sts", |signed| signed.service.as_str());
        if service != "sts" {
            let latency = self.state().latency;
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            return Ok(self.serve(service, &request));
        }
        let parameters = sts::Parameters::read(&request);
        let role_arn = parameters.first("RoleArn").map(str::to_owned);
        let latency = {
            let mut state = self.state();
            state.calls.push(Call {
                action: parameters.first("Action").unwrap_or_default().to_owned(),
                role_arn: role_arn.clone(),
                session_name: parameters.first("RoleSessionName").map(str::to_owned),
                duration_seconds: parameters.first("DurationSeconds").map(str::to_owned),
                host: host(request.uri()).to_owned(),
                region: signed.as_ref().map(|signed| signed.region.clone()),
                access_key_id: signed.as_ref().map(|signed| signed.access_key_id.clone()),
                at: self.0.clock.elapsed(),
                parameters: parameters.clone(),
            });
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            state.latency
        };
        let _in_flight = InFlight(self);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let mut changed = self.0.changed.subscribe();
        loop {
            let fault = {
                let state = self.state();
                let of_role = role_arn.as_ref().and_then(|arn| state.faults.get(arn));
                of_role.or_else(|| state.faults.get("")).cloned()
            };
            match fault {
                None => break,
                Some(Fault::Error {
                    status,
                    code,
                    message,
                }) => return Ok(sts::Refusal::new(status, &code, message).into_response()),
                Some(Fault::ConnectionClosed) => {
                    return Err(ConnectorError::io("connection closed".into()));
                }
                // The sender is ours, so the channel is open.
                Some(Fault::NoAnswer) => drop(changed.changed().await),
            }
        }
        let now = self.0.clock.now();
        Ok(sts::answer(
            &mut self.state().world,
            &request,
            &parameters,
            now,
        ))
    }

    fn serve(&self, service: &str, request: &HttpRequest) -> HttpResponse {
        let now = self.0.clock.now();
        let (caller, handler) = {
            let state = self.state();
            let caller = authenticate(&state.world, request, now);
            (caller, state.services.get(service).cloned())
        };
        match (caller, handler) {
            (Err(refusal), _) => refusal.into_json_response(),
            (Ok(_), None) => {
                let message = format!("no service {service:?} is plugged into this simulator");
                sts::Refusal::new(404, "UnknownService", message).into_json_response()
            }
            // No lock is held: a handler may use the simulator.
            (Ok(caller), Some(handler)) => handler(&caller, request),
        }
    }
}

/// A caller that gives up takes its request out of the count.
struct InFlight<'a>(&'a Simulator);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
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
            // The SDK corrects its signatures by it.
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

/// As AWS prints times, to the second.
fn timestamp(time: std::time::SystemTime) -> String {
    DateTime::from_secs(DateTime::from(time).secs())
        .fmt(Format::DateTime)
        .unwrap_or_else(|_| format!("{time:?}"))
}
