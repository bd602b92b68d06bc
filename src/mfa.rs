//! MFA codes: who gives them, and that none is sent twice.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;
use tokio::sync::Mutex;

use crate::error::Kind;
use crate::sts::{self, Failure};

pub use terminal::TerminalPrompt;
#[cfg(feature = "totp")]
pub use totp::{Totp, TotpError};

/// How often one load asks for a code before STS's refusal is the answer.
const ATTEMPTS: usize = 3;

/// Any error of a code provider's; it is the [`source`](std::error::Error::source) of the
/// [`Error`](crate::Error) that callers get.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Gives MFA codes: a person, a device, a program; see [`Role::mfa`](crate::Role::mfa).
///
/// A closure is one, which counts as a person: any `Fn(MfaRequest)` that returns a future. What the
/// future needs it takes along:
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
///
/// For a person at a terminal there is [`TerminalPrompt`], for a secret on this machine `Totp` (feature
/// `totp`).
pub trait ProvideMfaCode: Send + Sync {
    /// The device's code of the moment: six digits. White space around them does not matter.
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>>;

    /// Whether a person is asked. Then a chain asks only while somebody waits for credentials, and
    /// never refreshes them by itself. Default: yes.
    fn is_interactive(&self) -> bool {
        true
    }
}

impl<F, Answer, E> ProvideMfaCode for F
where
    F: Fn(MfaRequest) -> Answer + Send + Sync,
    Answer: Future<Output = Result<String, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn provide_mfa_code(
        &self,
        request: MfaRequest,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        let answer = self(request);
        Box::pin(async { answer.await.map_err(Into::into) })
    }
}

/// What a code is asked for. `Display` is a line for a person.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MfaRequest {
    /// The device's serial number, or a virtual one's ARN.
    pub serial: String,
    /// The role to be assumed; `None` for a session token.
    pub role_arn: Option<String>,
    /// Its place in the chain, from 1.
    pub hop: usize,
    /// Why a code is asked for.
    pub reason: MfaReason,
    // Only `Totp` looks at it.
    #[cfg_attr(not(feature = "totp"), allow(dead_code))]
    clock: Clock,
}

/// The base config's time, for providers that wait for the next code.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) time: SharedTimeSource,
    pub(crate) sleep: Option<SharedAsyncSleep>,
}

/// Why a code is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MfaReason {
    /// There are no credentials yet.
    First,
    /// Those in hand expire, or were asked to be renewed.
    Renewal,
    /// The last code was refused, with this message: STS's, or this crate's where it was no code.
    Refused(String),
    /// The last code has been sent before, by any chain of this program, and a code is good once.
    AlreadyUsed,
}

impl fmt::Display for MfaRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            MfaReason::First => {}
            MfaReason::Renewal => f.write_str("The credentials expire. ")?,
            MfaReason::Refused(message) => write!(f, "{} ", message.trim())?,
            MfaReason::AlreadyUsed => {
                f.write_str("That code was used already; wait for the next one. ")?;
            }
        }
        write!(f, "MFA code of {}", self.serial)?;
        match &self.role_arn {
            Some(role) => write!(f, ", to assume {role}"),
            None => Ok(()),
        }
    }
}

/// A device, and who gives its codes.
#[derive(Clone)]
pub(crate) struct Mfa {
    pub(crate) serial: String,
    pub(crate) codes: Arc<dyn ProvideMfaCode>,
}

/// Every device that this process has used. Whoever uses one holds its turn, from asking for a code to
/// STS's answer: codes are sent one at a time.
static DEVICES: LazyLock<std::sync::Mutex<HashMap<String, Arc<Device>>>> =
    LazyLock::new(Default::default);

/// How long somebody may hold a device's turn. After that they are taken for gone: their task may be on a
/// runtime that is driven no more.
const LONGEST_TURN: Duration = Duration::from_secs(10 * 60);

/// How long a code is remembered: far longer than STS takes it.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

#[derive(Default)]
struct Device {
    turn: Mutex<()>,
    /// Turns begun.
    turns: AtomicU64,
    sent: Arc<std::sync::Mutex<Vec<(String, SystemTime)>>>,
}

impl Device {
    fn of(serial: &str) -> Arc<Self> {
        let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        devices.entry(serial.to_owned()).or_default().clone()
    }

    /// Takes another in the place of this one, with the codes that were sent.
    fn replace(self: &Arc<Self>, serial: &str) {
        let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        if devices
            .get(serial)
            .is_some_and(|current| Arc::ptr_eq(current, self))
        {
            let next = Self {
                sent: self.sent.clone(),
                ..Self::default()
            };
            devices.insert(serial.to_owned(), Arc::new(next));
        }
    }

    /// Whether the code is new; then it counts as sent.
    fn sends(&self, code: &str, now: SystemTime) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: SystemTime| now < at + REMEMBERED;
        sent.retain(|(_, at)| is_recent(*at));
        let new = sent.iter().all(|(earlier, _)| earlier != code);
        if new {
            sent.push((code.to_owned(), now));
        }
        new
    }
}

impl Mfa {
    pub(crate) fn new(serial: String, codes: impl ProvideMfaCode + 'static) -> Self {
        Self {
            serial,
            codes: Arc::new(codes),
        }
    }

    /// Sends a code that was not sent before, and another when STS refuses it.
    pub(crate) async fn with_code<T, Answer>(
        &self,
        role_arn: Option<&str>,
        hop: usize,
        renewal: bool,
        clock: Clock,
        send: impl Fn(String) -> Answer,
    ) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, Failure>>,
    {
        loop {
            let device = Device::of(&self.serial);
            let turns = device.turns.load(Ordering::Relaxed);
            let turn = match &clock.sleep {
                Some(sleep) => Timeout::new(device.turn.lock(), sleep.sleep(LONGEST_TURN)).await,
                None => Ok(device.turn.lock().await),
            };
            match turn {
                Ok(_turn) => {
                    device.turns.fetch_add(1, Ordering::Relaxed);
                    return self
                        .take_turn(&device, role_arn, hop, renewal, &clock, send)
                        .await;
                }
                // A long queue moves; one that does not has somebody at its head who is gone.
                Err(_) if device.turns.load(Ordering::Relaxed) == turns => {
                    device.replace(&self.serial);
                }
                Err(_) => {}
            }
        }
    }

    async fn take_turn<T, Answer>(
        &self,
        device: &Device,
        role_arn: Option<&str>,
        hop: usize,
        renewal: bool,
        clock: &Clock,
        send: impl Fn(String) -> Answer,
    ) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, Failure>>,
    {
        let mut reason = if renewal {
            MfaReason::Renewal
        } else {
            MfaReason::First
        };
        let mut asked = 0;
        // What STS said of an earlier code tells more than that the same came again.
        let mut refused = None;
        loop {
            asked += 1;
            let request = MfaRequest {
                serial: self.serial.clone(),
                role_arn: role_arn.map(str::to_owned),
                hop,
                reason,
                clock: clock.clone(),
            };
            let code = self.codes.provide_mfa_code(request).await;
            let code = code.map_err(|error| self.no_code(Some(error)))?;
            let code = code.trim();
            if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
                if asked == ATTEMPTS {
                    let why = "what was given is not six digits";
                    return Err(refused.unwrap_or_else(|| self.no_code(Some(why.into()))));
                }
                reason = MfaReason::Refused("A code has six digits.".to_owned());
                continue;
            }
            if !device.sends(code, clock.time.now()) {
                if asked == ATTEMPTS {
                    let why = "the code given was used already";
                    return Err(refused.unwrap_or_else(|| self.no_code(Some(why.into()))));
                }
                reason = MfaReason::AlreadyUsed;
                continue;
            }
            match send(code.to_owned()).await {
                Err(failure) if sts::is_wrong_code(&failure) && asked < ATTEMPTS => {
                    reason = MfaReason::Refused(failure.message().unwrap_or_default().to_owned());
                    refused = Some(failure);
                }
                answer => return answer,
            }
        }
    }

    fn no_code(&self, source: Option<BoxError>) -> Failure {
        Failure {
            kind: Kind::NoMfaCode {
                serial: self.serial.clone(),
            },
            source,
        }
    }
}

mod terminal {
    //! A person at the controlling terminal.

    use std::fs::{File, OpenOptions};
    use std::io::{self, BufRead, BufReader, Write};

    use tokio::sync::oneshot;

    use super::*;

    #[cfg(windows)]
    const TERMINAL: (&str, &str) = ("CONIN$", "CONOUT$");
    #[cfg(not(windows))]
    const TERMINAL: (&str, &str) = ("/dev/tty", "/dev/tty");

    /// Asks on the controlling terminal, never on stdin or stdout, which belong to the program: a
    /// command whose output is piped can still ask. Where there is no terminal it fails at once.
    ///
    /// A code that STS refuses is asked for again, twice, with STS's message. The question goes on
    /// when the caller that caused it gives up, as a client with the SDK's own identity cache does
    /// after some 20 seconds: the next caller gets the answer. [`RoleChain::refresh`](crate::RoleChain::refresh) before the first
    /// call asks when it suits.
    #[derive(Clone, Copy, Debug, Default)]
    #[non_exhaustive]
    pub struct TerminalPrompt;

    impl TerminalPrompt {
        /// The terminal is opened when a code is needed.
        pub fn new() -> Self {
            Self
        }
    }

    impl ProvideMfaCode for TerminalPrompt {
        fn provide_mfa_code(
            &self,
            request: MfaRequest,
        ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
            Box::pin(async move {
                // One question at a time, whatever the device.
                let _turn = ASKING.lock().await;
                let answer = ask(&request)?;
                Ok(answer.await??)
            })
        }
    }

    static ASKING: Mutex<()> = Mutex::const_new(());
    static READER: std::sync::Mutex<Reader> = std::sync::Mutex::new(Reader {
        reads: false,
        answers: None,
    });

    /// The one thread that reads the terminal. Reading cannot be broken off: when whoever asked is gone,
    /// the line is for whoever asks next.
    struct Reader {
        reads: bool,
        answers: Option<oneshot::Sender<io::Result<String>>>,
    }

    fn reader() -> std::sync::MutexGuard<'static, Reader> {
        READER.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(request: &MfaRequest) -> io::Result<oneshot::Receiver<io::Result<String>>> {
        let (reads, writes) = TERMINAL;
        // Both, before the question is asked: it must not stand there with nobody listening.
        let input = open(reads, OpenOptions::new().read(true))?;
        let mut output = open(writes, OpenOptions::new().write(true))?;
        write!(output, "{request}: ")?;
        output.flush()?;

        let (answers, answer) = oneshot::channel();
        let mut reader = reader();
        reader.answers = Some(answers);
        if !reader.reads {
            // Not one of the runtime's threads, which would keep a program that is done from ending
            // while nobody types.
            std::thread::Builder::new()
                .name("mfa-prompt".to_owned())
                .spawn(move || read_line(input))?;
            reader.reads = true;
        }
        Ok(answer)
    }

    fn read_line(input: File) {
        let mut line = String::new();
        let line = match BufReader::new(input).read_line(&mut line) {
            Ok(0) => {
                let text = "the terminal was closed before an MFA code was given";
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
            }
            read => read.map(|_| line),
        };
        let mut reader = reader();
        reader.reads = false;
        if let Some(answers) = reader.answers.take() {
            // Whoever asked may be gone.
            let _ = answers.send(line);
        }
    }

    fn open(path: &str, options: &OpenOptions) -> io::Result<File> {
        options.open(path).map_err(|error| {
            let text = format!("there is no terminal to ask for the MFA code on ({path}: {error})");
            io::Error::new(error.kind(), text)
        })
    }
}

#[cfg(feature = "totp")]
mod totp {
    //! Codes from the secret of a virtual device.

    use std::time::UNIX_EPOCH;

    use super::*;

    /// Codes made on this machine from the secret of a virtual MFA device (RFC 6238 with SHA-1, six
    /// digits and 30 seconds, as AWS has it), for programs that nobody sits at.
    ///
    /// A code is good once: if the one of the moment was sent already, by any chain of this program,
    /// or STS refuses it, the next 30-second step is awaited, on the base config's clock. Roles that
    /// need a code each thus wait for one another;
    /// [a session token](crate::RoleChain::from_session_token) needs one code for all.
    ///
    /// Whoever has the secret has the second factor: it is wiped from memory when dropped, and
    /// never shown.
    #[derive(Clone)]
    pub struct Totp(Arc<totp_rs::Totp>);

    /// Why a secret was not taken. Says nothing of the secret.
    #[derive(Clone, Debug)]
    pub struct TotpError(String);

    impl fmt::Display for TotpError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "no TOTP secret: {}", self.0)
        }
    }

    impl std::error::Error for TotpError {}

    impl Totp {
        /// From the secret that AWS shows as base32 text when a virtual device is made. Spaces,
        /// dashes and case do not matter.
        ///
        /// # Errors
        ///
        /// Text that is not base32, or less than 10 bytes of it.
        pub fn from_secret(base32: &str) -> Result<Self, TotpError> {
            // Never grows, so that nothing is left behind where it was.
            let mut signs = zeroize::Zeroizing::new(String::with_capacity(base32.len()));
            let kept = base32
                .chars()
                .filter(|c| !c.is_whitespace() && !"-=".contains(*c));
            signs.extend(kept.map(|c| c.to_ascii_uppercase()));
            let secret = totp_rs::Secret::try_from_base32(&*signs).map_err(|_| {
                TotpError("it must be base32: letters and the digits 2 to 7".into())
            })?;
            if secret.as_bytes().len() < 10 {
                return Err(TotpError(
                    "it must have at least 16 base32 characters".into(),
                ));
            }
            // AWS's are longer than the RFC asks for, but other makers' may be shorter.
            let totp = totp_rs::Builder::new()
                .with_secret(secret)
                .build_noncompliant();
            Ok(Self(Arc::new(totp)))
        }

        /// From an `otpauth://totp/…` URL, as QR codes have it.
        ///
        /// # Errors
        ///
        /// A URL of another kind, or one whose codes are not AWS's: SHA-1, six digits, 30 seconds.
        pub fn from_url(url: &str) -> Result<Self, TotpError> {
            let totp = totp_rs::Totp::from_url_unchecked(url).map_err(|_| {
                TotpError("it must be an otpauth://totp/ URL with a base32 secret".into())
            })?;
            let aws_s = totp.digits() == 6
                && totp.step() == 30
                && totp.algorithm() == totp_rs::Algorithm::SHA1;
            if !aws_s {
                return Err(TotpError(
                    "AWS's codes have six digits, 30 seconds and SHA-1".into(),
                ));
            }
            Ok(Self(Arc::new(totp)))
        }

        /// The code at a moment.
        pub(crate) fn code_at(&self, time: SystemTime) -> String {
            self.0.generate(seconds(time)).to_string()
        }
    }

    impl fmt::Debug for Totp {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Totp").field(&"** redacted **").finish()
        }
    }

    impl ProvideMfaCode for Totp {
        fn provide_mfa_code(
            &self,
            request: MfaRequest,
        ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
            Box::pin(async move {
                let Clock { time, sleep } = &request.clock;
                let now = time.now();
                if let MfaReason::Refused(_) | MfaReason::AlreadyUsed = request.reason {
                    let next = UNIX_EPOCH + Duration::from_secs(self.0.next_step(seconds(now)));
                    let wait = next.duration_since(now).unwrap_or_default();
                    let sleep = sleep.as_ref().ok_or(
                        "the code of the moment was used, and the base config has no sleep to wait \
                         for the next one with",
                    )?;
                    sleep.sleep(wait).await;
                    return Ok(self.code_at(next));
                }
                Ok(self.code_at(now))
            })
        }

        fn is_interactive(&self) -> bool {
            false
        }
    }

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    }
}

#[cfg(all(test, feature = "totp"))]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::Totp;

    /// RFC 6238's secret, `12345678901234567890`.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_the_last_six_digits_of_rfc_6238_s_test_vectors() {
        let totp = Totp::from_secret(SECRET).unwrap();
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(totp.code_at(UNIX_EPOCH + Duration::from_secs(time)), code);
        }
    }

    #[test]
    fn a_secret_is_taken_as_people_have_it_and_never_shown() {
        let at = UNIX_EPOCH + Duration::from_secs(59);
        let url = format!("otpauth://totp/AWS:ada@111111111111?secret={SECRET}&issuer=AWS");
        let spaced = "gezd gnbv gy3t qojq-gezd gnbv gy3t qojq====";
        for totp in [Totp::from_secret(spaced), Totp::from_url(&url)] {
            let totp = totp.unwrap();
            assert_eq!(totp.code_at(at), "287082");
            assert_eq!(format!("{totp:?}"), "Totp(\"** redacted **\")");
        }
        for wrong in ["", "GEZDGNB1", "GEZDGNBVGY3T", "ключ"] {
            let error = Totp::from_secret(wrong).unwrap_err();
            assert!(wrong.is_empty() || !format!("{error} {error:?}").contains(wrong));
        }
        for wrong in [
            "https://example.com",
            "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            "otpauth://totp/x",
            &format!("{url}&digits=8"),
            &format!("{url}&period=60"),
            &format!("{url}&algorithm=SHA256"),
        ] {
            let error = Totp::from_url(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET));
        }
    }
}
