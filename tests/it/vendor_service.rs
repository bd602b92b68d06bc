//! The example `vendor_service` as a process: its table, its metrics, and how it ends. Its responses are tested next to
//! its code, without sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::common::example::{Said, example};
use crate::common::pypi::program_of;

fn local(arguments: &[&str]) -> Said {
    let mut program = example("vendor_service");
    program
        .arg("--local")
        .args(arguments)
        .output()
        .unwrap()
        .into()
}

/// Returns the numbers in a line of the table or below it.
fn numbers(said: &Said, line: &str) -> Vec<usize> {
    let found = said.out.lines().find_map(|it| it.strip_prefix(line));
    let rest = found.unwrap_or_else(|| panic!("{line:?}: {said:?}"));
    let words = rest.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_load_prints_a_table_with_the_refusals_by_customer() {
    let said = local(&["--local-customers", "20", "--requests", "400"]);
    assert!(said.ok, "{said:?}");
    let [requests, accepted, refused, later, no_answer, sts_calls, ..] = numbers(&said, "all")[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!((requests, later, no_answer), (400, 0, 0), "{said:?}");
    assert_eq!(accepted + refused, 400);
    assert!(accepted > 300 && refused > 10, "{said:?}");
    // One call for the hub and each customer, and a few more for the customer that STS denies.
    assert!((20..40).contains(&sts_calls), "{said:?}");
    assert_eq!(
        numbers(&said, "records accepted: "),
        [accepted, accepted, 0, 0]
    );
    let by_customer = ["00018", "00019", "00020"]
        .map(|customer| numbers(&said, &format!("  customer-{customer}  "))[0]);
    assert_eq!(by_customer.iter().sum::<usize>(), refused);
    for line in said.out.lines() {
        assert!(line.len() <= 80, "{line:?}");
    }
}

#[test]
fn the_readmes_command_shows_that_customers_with_a_session_do_not_see_an_outage() {
    let readme = include_str!("../../README.md").lines();
    let command = readme
        .filter_map(|line| {
            line.strip_prefix(
                "cargo run --example vendor_service --features metrics,pool -- --local",
            )
        })
        .next()
        .unwrap();
    let said = local(&command.split_whitespace().collect::<Vec<_>>());
    assert!(said.ok, "{said:?}");
    let [with_session, requests, not_served] =
        numbers(&said, "outage: customers with a session: ")[..]
    else {
        panic!("{said:?}");
    };
    assert!(with_session > 20 && requests > 100, "{said:?}");
    assert_eq!(not_served, 0, "{said:?}");
    // STS was in fact unavailable: other customers were told to retry later.
    assert!(numbers(&said, "outage ")[3] > 0, "{said:?}");
    let [_, accepted, ..] = numbers(&said, "total")[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        numbers(&said, "records accepted: "),
        [accepted, accepted, 0, 0]
    );
}

/// A running service that uses the simulator.
struct Running {
    program: Child,
    address: String,
}

impl Running {
    /// Starts it without a load.
    fn start(arguments: &[&str]) -> Self {
        Self::local(&[&["--requests", "0"], arguments].concat())
    }

    fn local(arguments: &[&str]) -> Self {
        let mut program = example("vendor_service")
            .arg("--local")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // Reads byte by byte, because the rest is read after the program has ended.
        let out = program.stdout.as_mut().unwrap();
        BufReader::with_capacity(1, out)
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening: http://");
        let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { program, address }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask(&self.address, method, path, body)
    }

    /// Waits until the queue has this size.
    fn queued(&self, kib: u64) {
        loop {
            let (_, health) = self.ask("GET", "/healthz", "");
            let health: Value = serde_json::from_str(&health).unwrap();
            if health["queue_kib"] == kib {
                return;
            }
        }
    }

    fn terminate(&self) {
        let pid = self.program.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn end(self) -> Said {
        self.program.wait_with_output().unwrap().into()
    }
}

/// Returns the status and body. The status is 0 if the connection was closed without a response.
fn ask(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status.unwrap_or_default(), body.unwrap_or_default())
}

#[test]
fn a_prometheus_parser_reads_the_metrics() {
    let Some(python) = program_of("python", &[("prometheus_client", "0.26.0")]) else {
        return;
    };
    let service = Running::start(&[]);
    for customer in ["00001", "00002", "00098"] {
        service.ask(
            "POST",
            &format!("/customers/customer-{customer}/records"),
            "{}\n{}",
        );
    }
    service.ask("POST", "/customers/nobody\"\n/records", "{}");
    let (status, text) = service.ask("GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        !text.contains("customer-0") && !text.contains("arn:"),
        "{text}"
    );

    let parse = "import sys, json
from prometheus_client.parser import text_string_to_metric_families as parse
print(json.dumps([[f.name, f.type, s.name, s.labels, s.value]
                  for f in parse(sys.stdin.read()) for s in f.samples]))";
    let mut parser = Command::new(python)
        .args(["-c", parse])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let parsed = parser.wait_with_output().unwrap();
    assert!(parsed.status.success(), "{text}");
    let samples: Vec<Value> = serde_json::from_slice(&parsed.stdout).unwrap();
    let value = |kind: &str, name: &str, labels: Value| {
        let found = samples
            .iter()
            .find(|sample| sample[1] == *kind && sample[2] == *name && sample[3] == labels);
        found.unwrap_or_else(|| panic!("{name} {labels}: {text}"))[4]
            .as_f64()
            .unwrap()
    };
    let labels = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    for (name, of, expected) in [
        ("vendor_service_requests_total", r#"{"status": "200"}"#, 2.0),
        ("vendor_service_requests_total", r#"{"status": "424"}"#, 1.0),
        ("vendor_service_records_total", r#"{"result": "put"}"#, 4.0),
        (
            "vendor_service_records_total",
            r#"{"result": "refused"}"#,
            2.0,
        ),
        (
            "aws_role_chain_loads_total",
            r#"{"operation": "AssumeRole", "outcome": "success"}"#,
            3.0,
        ),
        (
            "aws_role_chain_loads_total",
            r#"{"operation": "AssumeRole", "outcome": "refused"}"#,
            1.0,
        ),
        (
            "aws_role_chain_pool_gets_total",
            r#"{"result": "miss"}"#,
            3.0,
        ),
    ] {
        assert_eq!(value("counter", name, labels(of)), expected, "{text}");
    }
    let took = "vendor_service_request_duration_seconds_bucket";
    assert_eq!(value("histogram", took, labels(r#"{"le": "+Inf"}"#)), 3.0);
    assert_eq!(
        value("gauge", "aws_role_chain_pool_chains", labels("{}")),
        3.0
    );
    assert_eq!(
        value("gauge", "vendor_service_queue_kib", labels("{}")),
        0.0
    );
    let of_hub = "vendor_service_hub_seconds_until_expiry";
    let left = value("gauge", of_hub, labels("{}"));
    assert!((0.0..=3600.0).contains(&left), "{left}");
    service.terminate();
    assert!(service.end().ok);
}

#[test]
fn requests_in_flight_at_sigterm_are_answered_and_their_records_are_on_the_streams() {
    let service = Running::start(&["--latency-ms", "2000"]);
    let posts: Vec<_> = (0..20)
        .map(|i| {
            let address = service.address.clone();
            let path = format!("/customers/customer-{:05}/records", 1 + i % 7);
            thread::spawn(move || ask(&address, "POST", &path, "{\"a\": 1}\n{\"a\": 2}\n"))
        })
        .collect();
    service.queued(20);
    service.terminate();
    for post in posts {
        let (status, body) = post.join().unwrap();
        assert_eq!((status, body.trim()), (200, r#"{"records":2}"#));
    }
    let said = service.end();
    assert!(said.ok, "{said:?}");
    assert_eq!(said.out, "records on the streams: 40\n");
}

#[test]
fn a_load_that_is_interrupted_says_what_it_has_seen_and_its_end_is_no_outage() {
    let service = Running::local(&["--outage", "--requests", "1000000"]);
    loop {
        let (_, health) = service.ask("GET", "/healthz", "");
        let health: Value = serde_json::from_str(&health).unwrap();
        // The load has just begun, so the outage has not.
        if health["chains"].as_u64() > Some(20) {
            break;
        }
    }
    service.terminate();
    let ended = service.program.wait_with_output().unwrap();
    let code = ended.status.code();
    let said = Said::from(ended);
    assert_eq!(code, Some(130), "{said:?}");
    let [_, accepted, ..] = numbers(&said, "before")[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        numbers(&said, "records accepted: "),
        [accepted, accepted, 0, 0]
    );
    assert!(!said.out.contains("outage"), "{said:?}");
}

#[test]
fn what_takes_too_long_after_sigterm_is_cut_off_and_said() {
    let service = Running::start(&["--latency-ms", "600000", "--shutdown-seconds", "1"]);
    let address = service.address.clone();
    let post =
        thread::spawn(move || ask(&address, "POST", "/customers/customer-00001/records", "1"));
    service.queued(1);
    service.terminate();
    assert_eq!(post.join().unwrap().0, 0, "it was not accepted");
    let said = service.end();
    assert!(
        !said.ok && said.err.contains("cut off: requests with 1 KiB"),
        "{said:?}"
    );
}
