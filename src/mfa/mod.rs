//! MFA codes: [`ProvideMfaCode`] provides them, and [`Mfa::with_code`] ensures that none is sent twice.

pub(crate) mod terminal;
pub(crate) mod totp;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SharedTimeSource;

use crate::error::{BoxError, Error, ErrorInner, ErrorKind, Meaning, Step};
use crate::sync::lock;

/// The number of codes that a load asks for before it returns STS's rejection.
const MAX_ATTEMPTS: usize = 3;

/// A provider of MFA codes: a person, a device or a program. See [`Role::mfa`](crate::Role::mfa).
///
/// Any closure `Fn(MfaRequest)` that returns a future is a provider, and is assumed to ask a person. To ask a person at
/// a terminal, use [`TerminalPrompt`](crate::TerminalPrompt). To compute codes from a secret on this machine, use
/// `Totp` (feature `totp`).
///
/// A provider that calls AWS itself must use other credentials than the chain's. The chain's credentials are waiting
/// for the code, so asking for them is an error.
///
/// # Examples
///
/// A closure whose future owns what it needs:
///
/// ```no_run
/// # #[derive(Clone)]
/// # struct Vault;
/// # impl Vault {
/// #     async fn code(&self, serial: &str) -> Result<String, std::io::Error> { unimplemented!() }
/// # }
/// # fn example(vault: Vault) {
/// use aws_role_chain::{MfaRequest, Role};
///
/// let role = Role::new("arn:aws:iam::222222222222:role/Operator").mfa(
///     "arn:aws:iam::111111111111:mfa/ada",
///     move |request: MfaRequest| {
///         let vault = vault.clone();
///         async move { vault.code(&request.serial).await }
///     },
/// );
/// # }
/// ```
pub trait ProvideMfaCode: Send + Sync {
    /// Returns the device's current code: six digits. White space is ignored, because apps show `123 456`.
    ///
    /// # Errors
    ///
    /// Any error. It becomes the source of the chain's [`Error`](crate::Error).
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>>;

    /// Returns whether the provider asks a person. If it does, a chain asks only while a caller waits for credentials,
    /// and does not refresh on its own. If not, the provider times out after two minutes. Default: `true`.
    fn is_interactive(&self) -> bool {
        true
    }
}

impl<F, Fut, E> ProvideMfaCode for F
where
    F: Fn(MfaRequest) -> Fut + Send + Sync,
    Fut: Future<Output = Result<String, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        let code = self(request);
        Box::pin(async { code.await.map_err(Into::into) })
    }
}

/// A request for a code. Its `Display` is a question for a person.
///
/// # Examples
///
/// A test of a provider creates its own requests:
///
/// ```
/// use aws_role_chain::{MfaReason, MfaRequest};
///
/// let mut request = MfaRequest::new("arn:aws:iam::111111111111:mfa/ada");
/// assert_eq!(request.to_string(), "MFA code for arn:aws:iam::111111111111:mfa/ada");
/// request.reason = MfaReason::AlreadyUsed;
/// assert!(request.to_string().starts_with("That code was already used"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MfaRequest {
    /// The serial number of the device, or the ARN of a virtual device.
    pub serial: String,
    /// The role to assume; `None` for a session token.
    pub role_arn: Option<String>,
    /// The role's position in the chain, from 1.
    pub hop: usize,
    /// The reason why a code is needed.
    pub reason: MfaReason,
    // Those of the base config, for providers that wait for the next code.
    time: SharedTimeSource,
    sleep: SharedAsyncSleep,
}

impl MfaRequest {
    /// Creates a request for a device's first code at hop 1, with the system clock. For tests of providers.
    pub fn new(serial: impl Into<String>) -> Self {
        Self {
            serial: serial.into(),
            role_arn: None,
            hop: 1,
            reason: MfaReason::First,
            time: SharedTimeSource::default(),
            sleep: SharedAsyncSleep::new(TokioSleep::new()),
        }
    }
}

impl fmt::Display for MfaRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            MfaReason::First => {}
            MfaReason::Renewal => f.write_str("The credentials must be renewed. ")?,
            MfaReason::Refused(message) => write!(f, "{} ", message.trim())?,
            MfaReason::AlreadyUsed => {
                f.write_str("That code was already used; wait for the next one. ")?;
            }
        }
        write!(f, "MFA code for {}", self.serial)?;
        match &self.role_arn {
            Some(role) => write!(f, ", to assume {role}"),
            None => Ok(()),
        }
    }
}

/// The reason why a code is needed; see [`MfaRequest::reason`].
///
/// # Examples
///
/// ```
/// use aws_role_chain::MfaReason;
///
/// fn needs_the_next_code(reason: &MfaReason) -> bool {
///     matches!(reason, MfaReason::Refused(_) | MfaReason::AlreadyUsed)
/// }
/// # assert!(needs_the_next_code(&MfaReason::AlreadyUsed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MfaReason {
    /// No credentials are cached yet.
    First,
    /// The cached credentials expire or have expired, or a caller asked for new ones.
    Renewal,
    /// The previous code was rejected with this message: STS's, or this crate's if the code was not six digits.
    Refused(String),
    /// The previous code was sent already, by any chain of this program. A code can be used only once.
    AlreadyUsed,
}

/// An MFA device and the provider of its codes.
#[derive(Clone)]
pub(crate) struct Mfa {
    pub(crate) serial: String,
    pub(crate) codes: Arc<dyn ProvideMfaCode>,
}

impl Mfa {
    /// The device, and the address of the provider, because another provider may ask another person.
    fn key(&self) -> (&str, *const ()) {
        (&self.serial, Arc::as_ptr(&self.codes).cast())
    }
}

impl PartialEq for Mfa {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Mfa {}

impl Hash for Mfa {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for Mfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mfa").field(&self.serial).finish()
    }
}

/// The load that codes are needed for.
pub(crate) struct CodeContext<'a> {
    pub(crate) step: Step,
    pub(crate) is_renewal: bool,
    /// The timeout of a provider that asks no person. A provider that asks a person has no time limit.
    pub(crate) timeout: Duration,
    pub(crate) time: &'a SharedTimeSource,
    pub(crate) sleep: &'a SharedAsyncSleep,
}

impl Mfa {
    pub(crate) fn new(serial: String, codes: impl ProvideMfaCode + 'static) -> Self {
        Self {
            serial,
            codes: Arc::new(codes),
        }
    }

    /// Calls `send` with a code that was not sent before, and again with another code if STS rejects it. Codes of one
    /// device are sent one at a time.
    pub(crate) async fn with_code<T, Fut>(
        &self,
        context: CodeContext<'_>,
        send: impl Fn(String) -> Fut,
    ) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        loop {
            let device = Device::of(&self.serial, context.time.now());
            let acquisitions = device.acquisitions.load(Ordering::Relaxed);
            let timeout = context.sleep.sleep(MAX_LOCK_HOLD);
            if let Ok(_lock) = Timeout::new(device.lock.lock(), timeout).await {
                device.acquisitions.fetch_add(1, Ordering::Relaxed);
                return self.send_codes(&device, context, send).await;
            }
            // In a long queue, others acquire the lock meanwhile. If none did, the task that holds it is no longer
            // polled.
            if device.acquisitions.load(Ordering::Relaxed) == acquisitions {
                device.replace(&self.serial);
            }
        }
    }

    async fn send_codes<T, Fut>(
        &self,
        device: &Device,
        context: CodeContext<'_>,
        send: impl Fn(String) -> Fut,
    ) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut reason = if context.is_renewal {
            MfaReason::Renewal
        } else {
            MfaReason::First
        };
        // STS's rejection of an earlier code is more informative than an error about a repeated code.
        let mut refused = None;
        let mut unusable = "";
        for _ in 0..MAX_ATTEMPTS {
            let code = self.ask(reason, &context).await;
            let code = code.map_err(|error| self.no_code(error, &context))?;
            let code: String = code.split_whitespace().collect();
            reason = if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
                unusable = "the code is not six digits";
                MfaReason::Refused("A code has six digits.".to_owned())
            } else if !device.mark_sent(&code, context.time.now()) {
                unusable = "the code was already used";
                MfaReason::AlreadyUsed
            } else {
                match send(code).await {
                    Err(error) if error.meaning() == Some(Meaning::WrongMfaCode) => {
                        let message = error.message().unwrap_or_default().to_owned();
                        refused = Some(error);
                        MfaReason::Refused(message)
                    }
                    result => return result,
                }
            };
        }
        Err(refused.unwrap_or_else(|| self.no_code(unusable.into(), &context)))
    }

    async fn ask(&self, reason: MfaReason, context: &CodeContext<'_>) -> Result<String, BoxError> {
        let code = self.codes.provide_mfa_code(MfaRequest {
            serial: self.serial.clone(),
            role_arn: context.step.role_arn.as_deref().map(str::to_owned),
            hop: context.step.hop,
            reason,
            time: context.time.clone(),
            sleep: context.sleep.clone(),
        });
        if self.codes.is_interactive() {
            return code.await;
        }
        let timeout = context.sleep.sleep(context.timeout);
        let seconds = context.timeout.as_secs();
        let late = |_| format!("the provider timed out after {seconds} s");
        Timeout::new(code, timeout).await.map_err(late)?
    }

    fn no_code(&self, source: BoxError, context: &CodeContext<'_>) -> Error {
        let kind = ErrorKind::NoMfaCode {
            serial: self.serial.clone(),
        };
        ErrorInner {
            source: Some(source),
            ..context.step.clone().failed(kind)
        }
        .into()
    }
}

/// How long a task may hold a device's lock before it is considered abandoned: its runtime may have stopped polling it.
const MAX_LOCK_HOLD: Duration = Duration::from_secs(10 * 60);

/// How long a sent code is stored: far longer than STS accepts it.
const USED_CODE_TTL: Duration = Duration::from_secs(10 * 60);

/// The devices that this process uses.
static DEVICES: LazyLock<Mutex<HashMap<String, Arc<Device>>>> = LazyLock::new(Default::default);

#[derive(Default)]
struct Device {
    /// Held from the request for a code until STS answers.
    lock: tokio::sync::Mutex<()>,
    /// How many times the lock was acquired.
    acquisitions: AtomicU64,
    sent: Arc<Mutex<Vec<(String, SystemTime)>>>,
}

impl Device {
    fn of(serial: &str, now: SystemTime) -> Arc<Self> {
        let mut devices = lock(&DEVICES);
        if !devices.contains_key(serial) {
            devices.retain(|_, device| Arc::strong_count(device) > 1 || device.has_sent(now));
        }
        devices.entry(serial.to_owned()).or_default().clone()
    }

    /// Replaces this device with one that has the same sent codes and a free lock.
    fn replace(self: &Arc<Self>, serial: &str) {
        let mut devices = lock(&DEVICES);
        let current = devices.get(serial);
        if current.is_some_and(|current| Arc::ptr_eq(current, self)) {
            let next = Self {
                sent: self.sent.clone(),
                ..Self::default()
            };
            devices.insert(serial.to_owned(), Arc::new(next));
        }
    }

    /// Records that a code is sent; returns `false` if it was sent before.
    fn mark_sent(&self, code: &str, now: SystemTime) -> bool {
        let mut sent = lock(&self.sent);
        sent.retain(|(_, at)| now < *at + USED_CODE_TTL);
        let is_new = sent.iter().all(|(earlier, _)| earlier != code);
        if is_new {
            sent.push((code.to_owned(), now));
        }
        is_new
    }

    fn has_sent(&self, now: SystemTime) -> bool {
        let sent = lock(&self.sent);
        sent.iter().any(|(_, at)| now < *at + USED_CODE_TTL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_devices_does_not_grow_for_ever() {
        // The map is shared with the other tests of this process.
        let known = |serial: &str| DEVICES.lock().unwrap().contains_key(serial);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let serial = |i: u64| format!("arn:aws:iam::111111111111:mfa/many-{i}");
        let in_use = Device::of("in use", at(0));
        for i in 0..1000 {
            let device = Device::of(&serial(i), at(i));
            // Every tenth device sends a code.
            assert!(i % 10 != 0 || device.mark_sent("123456", at(i)));
        }
        let ttl = USED_CODE_TTL.as_secs();
        for i in 0..1000 {
            let is_newest = i == 999;
            let has_sent = i % 10 == 0 && i + ttl > 999;
            assert_eq!(known(&serial(i)), is_newest || has_sent, "{i}");
        }
        Device::of("another", at(1000 + ttl));
        assert!((0..1000).all(|i| !known(&serial(i))));
        assert!(known("in use") && known("another"));

        // A device drops old codes when it sends a new one.
        for i in 0..1000 {
            in_use.mark_sent(&format!("{i:06}"), at(2000 + 30 * i));
        }
        assert_eq!(
            in_use.sent.lock().unwrap().len(),
            USED_CODE_TTL.as_secs() as usize / 30
        );
    }
}
