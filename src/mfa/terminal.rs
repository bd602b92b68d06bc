//! [`TerminalPrompt`]: asks a person at the controlling terminal.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::{MfaRequest, ProvideMfaCode};
use crate::error::BoxError;
use crate::sync::lock;

#[cfg(windows)]
const TERMINAL: (&str, &str) = ("CONIN$", "CONOUT$");
#[cfg(not(windows))]
const TERMINAL: (&str, &str) = ("/dev/tty", "/dev/tty");

/// A prompt on the controlling terminal, for a program that a person runs. It does not use stdin and stdout, so it also
/// works in a program whose output is piped. If there is no terminal, it fails at once.
///
/// If STS rejects a code, the prompt shows STS's message and asks again, at most twice. The question remains when the
/// caller that caused it gives up, as a client with the SDK's own identity cache does after about 20 seconds, and the
/// next caller gets the answer. To choose when to ask, call [`RoleChain::refresh`](crate::RoleChain::refresh) before
/// the first call.
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
            let (reads, writes) = TERMINAL;
            // Both are opened first, so that a question that nothing can answer is not shown.
            let input = open(reads, OpenOptions::new().read(true))?;
            let output = open(writes, OpenOptions::new().write(true))?;
            let answer = READER.ask(format!("{request}: "), input, output)?;
            Ok(answer.await??)
        })
    }
}

static READER: Reader = Reader(Mutex::new(Questions {
    is_reading: false,
    open: VecDeque::new(),
}));

/// The thread that reads the terminal. A read cannot be interrupted: if the task that asked is gone, the line that is
/// read answers the next question. A task that no longer polls for its answer does not block other questions.
struct Reader(Mutex<Questions>);

struct Questions {
    is_reading: bool,
    /// Shown one at a time, whatever the device. The first is on the terminal.
    open: VecDeque<Question>,
}

struct Question {
    text: String,
    answer: oneshot::Sender<io::Result<String>>,
}

impl Reader {
    fn ask(
        &'static self,
        text: String,
        input: File,
        mut output: File,
    ) -> io::Result<oneshot::Receiver<io::Result<String>>> {
        let (answer, receiver) = oneshot::channel();
        let thread_output = output.try_clone()?;
        let mut questions = self.questions();
        if !questions.is_reading {
            // Not a blocking task: the runtime would wait for it, and so for input, before the program can end.
            std::thread::Builder::new()
                .name("mfa-prompt".to_owned())
                .spawn(move || self.read_lines(input, thread_output))?;
            questions.is_reading = true;
        }
        let is_first = questions.open.is_empty();
        questions.open.push_back(Question {
            text: text.clone(),
            answer,
        });
        drop(questions);
        if is_first {
            show(&text, &mut output)?;
        }
        Ok(receiver)
    }

    fn read_lines(&self, input: File, mut output: File) {
        let mut input = BufReader::new(input);
        loop {
            let mut line = Vec::new();
            let line = match input.read_until(b'\n', &mut line) {
                Ok(0) => {
                    let text = "the terminal was closed before an MFA code was entered";
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
                }
                read => read.map(|_| String::from_utf8_lossy(&line).into_owned()),
            };
            let mut questions = self.questions();
            if let Some(question) = questions.open.pop_front() {
                // The task that asked may be gone since the check in `questions`.
                let _ = question.answer.send(line);
            }
            let Some(next) = questions.open.front() else {
                questions.is_reading = false;
                return;
            };
            let text = next.text.clone();
            drop(questions);
            // If writing to the terminal fails, so does the next read, and that error is reported.
            let _ = show(&text, &mut output);
        }
    }

    /// Locks the questions, after removing those whose task is gone.
    fn questions(&self) -> MutexGuard<'_, Questions> {
        let mut questions = lock(&self.0);
        let open = &mut questions.open;
        open.retain(|question| !question.answer.is_closed());
        questions
    }
}

fn show(text: &str, output: &mut File) -> io::Result<()> {
    write!(output, "{text}")?;
    output.flush()
}

fn open(path: &str, options: &OpenOptions) -> io::Result<File> {
    options.open(path).map_err(|error| {
        let text = format!("no terminal is available to ask for the MFA code ({path}: {error})");
        io::Error::new(error.kind(), text)
    })
}

#[cfg(all(test, unix))]
#[path = "../../tests/unit/terminal.rs"]
mod tests;
