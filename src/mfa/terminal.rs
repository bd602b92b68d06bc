//! [`TerminalPrompt`]: asks a person at the controlling terminal.

use std::collections::VecDeque;
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
        let mut questions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
mod tests {
    use std::io::{PipeReader, PipeWriter, Read};
    use std::os::fd::OwnedFd;

    use super::*;

    /// A terminal, with a pipe for the input and one for the output.
    struct Terminal {
        reader: &'static Reader,
        typed: (PipeReader, PipeWriter),
        shown: (PipeReader, PipeWriter),
    }

    impl Terminal {
        fn new() -> Self {
            let questions = Questions {
                is_reading: false,
                open: VecDeque::new(),
            };
            Self {
                reader: Box::leak(Box::new(Reader(Mutex::new(questions)))),
                typed: io::pipe().unwrap(),
                shown: io::pipe().unwrap(),
            }
        }

        fn ask(&self, text: &str) -> oneshot::Receiver<io::Result<String>> {
            let input = OwnedFd::from(self.typed.0.try_clone().unwrap());
            let output = OwnedFd::from(self.shown.1.try_clone().unwrap());
            let text = text.to_owned();
            self.reader.ask(text, input.into(), output.into()).unwrap()
        }

        fn type_in(&mut self, line: &[u8]) {
            self.typed.1.write_all(line).unwrap();
        }

        /// Asserts what the terminal shows next.
        fn shows(&mut self, text: &str) {
            let mut shown = vec![0; text.len()];
            self.shown.0.read_exact(&mut shown).unwrap();
            assert_eq!(String::from_utf8(shown).unwrap(), text);
        }
    }

    #[test]
    fn questions_are_asked_one_at_a_time_also_where_a_task_does_not_take_its_answer() {
        let mut terminal = Terminal::new();
        // The task exists, but is no longer polled.
        let _undriven = terminal.ask("first? ");
        let second = terminal.ask("second? ");
        let third = terminal.ask("third? ");
        terminal.shows("first? ");
        terminal.type_in(b"111111\n");
        terminal.shows("second? ");
        terminal.type_in(b"222222\n");
        terminal.shows("third? ");
        terminal.type_in(b"333333\n");
        assert_eq!(second.blocking_recv().unwrap().unwrap(), "222222\n");
        assert_eq!(third.blocking_recv().unwrap().unwrap(), "333333\n");
    }

    #[test]
    fn a_line_answers_the_next_question_where_the_task_that_asked_is_gone() {
        let mut terminal = Terminal::new();
        drop(terminal.ask("first? "));
        let second = terminal.ask("second? ");
        terminal.shows("first? second? ");
        terminal.type_in(b"222222\n");
        assert_eq!(second.blocking_recv().unwrap().unwrap(), "222222\n");
    }

    #[test]
    fn what_is_no_text_is_an_answer_too_and_is_asked_for_again_as_any_that_is_no_code() {
        let mut terminal = Terminal::new();
        let question = terminal.ask("first? ");
        terminal.type_in(b"12345\xe9\n");
        let answer = question.blocking_recv().unwrap().unwrap();
        assert_eq!(answer, "12345\u{fffd}\n");
    }

    #[test]
    fn a_terminal_that_is_closed_fails_every_question() {
        let terminal = Terminal::new();
        let questions = ["first? ", "second? "].map(|text| terminal.ask(text));
        drop(terminal.typed.1);
        for question in questions {
            let error = question.blocking_recv().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains("was closed before"), "{error}");
        }
    }
}
