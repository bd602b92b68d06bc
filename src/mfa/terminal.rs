//! [`TerminalPrompt`]: asks a person at the controlling terminal.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{MfaRequest, ProvideMfaCode};
use crate::error::BoxError;

#[cfg(windows)]
const TERMINAL: (&str, &str) = ("CONIN$", "CONOUT$");
#[cfg(not(windows))]
const TERMINAL: (&str, &str) = ("/dev/tty", "/dev/tty");

/// A prompt on the controlling terminal, never on stdin or stdout, which belong to the program: a command
/// whose output is piped can still ask. Where there is no terminal, it fails at once.
///
/// A code that STS does not accept is asked for again, twice, with STS's message. The question stays when
/// the caller that caused it gives up, as a client with the SDK's own identity cache does after some 20
/// seconds: the next caller gets the answer. Call [`RoleChain::refresh`](crate::RoleChain::refresh) before
/// the first call to choose when to ask.
///
/// # Examples
///
/// ```
/// use aws_role_chain::{Role, TerminalPrompt};
///
/// let role = Role::new("arn:aws:iam::222222222222:role/Operator")
///     .mfa("arn:aws:iam::111111111111:mfa/ada", TerminalPrompt::new());
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TerminalPrompt;

impl TerminalPrompt {
    /// Creates the prompt. The terminal is opened when a code is needed.
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
            let _lock = PROMPT.lock().await;
            let answer = ask(&request)?;
            Ok(answer.await??)
        })
    }
}

static PROMPT: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
static READER: Mutex<Reader> = Mutex::new(Reader {
    is_reading: false,
    answer: None,
});

/// The one thread that reads the terminal. Reading cannot be interrupted: when the asking task is gone, the
/// line answers the next question.
struct Reader {
    is_reading: bool,
    answer: Option<oneshot::Sender<io::Result<String>>>,
}

fn reader() -> MutexGuard<'static, Reader> {
    READER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask(request: &MfaRequest) -> io::Result<oneshot::Receiver<io::Result<String>>> {
    let (reads, writes) = TERMINAL;
    // Both are opened before the question is asked: a question that nothing reads must not appear.
    let input = open(reads, OpenOptions::new().read(true))?;
    let mut output = open(writes, OpenOptions::new().write(true))?;
    write!(output, "{request}: ")?;
    output.flush()?;

    let (sender, answer) = oneshot::channel();
    let mut reader = reader();
    reader.answer = Some(sender);
    if !reader.is_reading {
        // Not one of the runtime's threads, which would keep the program from ending while nobody types.
        std::thread::Builder::new()
            .name("mfa-prompt".to_owned())
            .spawn(move || read_line(input))?;
        reader.is_reading = true;
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
    reader.is_reading = false;
    if let Some(sender) = reader.answer.take() {
        // The asking task may be gone.
        let _ = sender.send(line);
    }
}

fn open(path: &str, options: &OpenOptions) -> io::Result<File> {
    options.open(path).map_err(|error| {
        let text = format!("there is no terminal to ask for the MFA code on ({path}: {error})");
        io::Error::new(error.kind(), text)
    })
}
