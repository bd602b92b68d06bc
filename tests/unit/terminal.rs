//! The prompt on the terminal: one question at a time, and what becomes of lines that nobody waits for any more.

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

    let later = terminal.ask("later? ");
    terminal.shows("later? ");
    terminal.type_in(b"444444\n");
    assert_eq!(later.blocking_recv().unwrap().unwrap(), "444444\n");
    // The thread ends with the last question, and has shown each question once.
    drop(terminal.shown.1);
    assert_eq!(io::read_to_string(terminal.shown.0).unwrap(), "");
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
