//! The examples, run with the simulator as a user would run them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::example::{Said, built, example, put_records};

/// Runs `put_records --local` with `input` on stdin, in a folder of its own.
fn run(name: &str, arguments: &[&str], input: Option<&[u8]>) -> (Said, PathBuf) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("put-records-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut program = put_records()
        .arg("--local")
        .args(arguments)
        .args(input.map(|_| "-"))
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = program.stdin.take().unwrap();
    // The program may stop before it has read everything.
    let _ = stdin.write_all(input.unwrap_or_default());
    drop(stdin);
    (program.wait_with_output().unwrap().into(), folder)
}

#[test]
fn the_sample_goes_through_with_one_retry() {
    let (said, folder) = run("sample", &[], None);
    assert!(said.ok, "{said:?}");
    let sample = include_str!("../../examples/put_records/records.ndjson");
    let kept = format!(
        "the simulated stream has 200 records, {} bytes (it rejects",
        sample.len()
    );
    assert!(said.out.starts_with(&kept), "{said:?}");
    assert!(
        said.out
            .contains("\nrecords: 200, batches: 1, retries: 1, failures: 0, seconds: ")
    );
    assert!(
        said.out
            .contains("caller: arn:aws:sts::222222222222:assumed-role/FirehoseWriter/put_records-")
    );
    assert_eq!(said.err, "");
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "no file is left behind"
    );
}

#[test]
fn roles_given_as_via_are_assumed_first() {
    let (said, _) = run("via", &["--via", HUB, "--session-name", "me"], None);
    assert!(
        said.ok && said.out.ends_with("FirehoseWriter/me\n"),
        "{said:?}"
    );
}

#[test]
fn a_refused_role_says_what_to_check_and_reads_nothing() {
    let (said, folder) = run("refused", &["--external-id", "wrong"], Some(b"one\n"));
    assert!(!said.ok && said.out.is_empty(), "{said:?}");
    assert!(
        said.err.contains("(hop 1 of 1): AccessDenied: User: "),
        "{said:?}"
    );
    assert!(
        said.err.contains("the external ID must exactly match"),
        "{said:?}"
    );
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn batches_hold_500_records_and_4_mib() {
    let lines: String = (0..1201).map(|i| format!("{i}\n")).collect();
    let (said, _) = run("many", &[], Some(lines.as_bytes()));
    assert!(
        said.ok && said.out.contains("records: 1201, batches: 3, "),
        "{said:?}"
    );

    let big = [vec![b'x'; 1000 * 1024 - 1], b"\n".to_vec()].concat();
    let (said, _) = run("big", &[], Some(&big.repeat(9)));
    assert!(
        said.ok && said.out.contains("records: 9, batches: 3, "),
        "4 MiB hold four: {said:?}"
    );
}

#[test]
fn a_record_over_1000_kib_is_refused_by_line_number_and_kept() {
    let long = [vec![b'x'; 1000 * 1024], b"\n".to_vec()].concat();
    let very_long = vec![b'y'; 3_000_000];
    let input = [b"one\n\n", &*long, b"two\r\n", &*very_long].concat();
    let (said, folder) = run("long", &[], Some(&input));
    assert!(!said.ok, "{said:?}");
    assert!(
        said.err.contains("line 3: over 1,000 KiB") && said.err.contains("line 5: over"),
        "{said:?}"
    );
    assert!(
        said.out
            .contains("records: 2, batches: 2, retries: 0, failures: 2,"),
        "{said:?}"
    );
    let kept = std::fs::read(folder.join("put_records.dead-letter")).unwrap();
    assert_eq!(kept, [&*long, &*very_long, b"\n"].concat());
}

#[test]
fn records_read_before_one_that_cannot_be_kept_are_sent() {
    let long = [vec![b'x'; 1000 * 1024], b"\n".to_vec()].concat();
    let input = [b"one\ntwo\nthree\n", &*long, b"four\n"].concat();
    let (said, _) = run("unkept", &["--dead-letter", "no/such/folder"], Some(&input));
    assert!(
        !said.ok
            && said
                .out
                .contains("records: 4, batches: 2, retries: 0, failures: 1,"),
        "{said:?}"
    );
    assert!(
        said.err
            .contains("line 4 was neither sent nor saved: dead-letter file no/such/folder")
    );
    assert!(!said.err.contains("appended to"), "{said:?}");
}

#[test]
fn a_stream_that_refuses_is_named_when_it_does_so_and_not_at_the_end_of_the_input() {
    let records: String = (0..500).map(|i| format!("{i}\n")).collect();
    let long = [vec![b'x'; 1000 * 1024], b"\n".to_vec()].concat();
    let input = [records.as_bytes(), &long].concat();
    let (said, _) = run("gone", &["--stream", "no-such-stream"], Some(&input));
    assert!(!said.ok, "{said:?}");
    let place = |text| said.err.find(text).unwrap_or_else(|| panic!("{said:?}"));
    let (refused, later) = (
        place("error: ResourceNotFoundException"),
        place("line 501: over 1,000 KiB"),
    );
    assert!(refused < later, "{said:?}");
    let times = said.err.matches("ResourceNotFoundException").count();
    assert_eq!(times, 1, "{said:?}");
}

#[test]
fn the_dead_letter_file_cannot_be_the_input_too() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("put-records-same-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("put_records.dead-letter"), "one\n").unwrap();
    let output = put_records()
        .args(["--local", "./put_records.dead-letter"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = Said::from(output);
    assert!(
        !said.ok && said.err.contains("is also the dead-letter file"),
        "{said:?}"
    );
    let piped = put_records()
        .args(["--local", "-"])
        .current_dir(&folder)
        .stdin(std::fs::File::open(folder.join("put_records.dead-letter")).unwrap())
        .output()
        .unwrap();
    let said = Said::from(piped);
    assert!(
        !said.ok && said.err.contains("is also the dead-letter file"),
        "{said:?}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_dead_letter_file_that_cannot_be_written_is_named() {
    let long = vec![b'x'; 1000 * 1024 + 1];
    let (said, _) = run("nowhere", &["--dead-letter", "no/such/folder"], Some(&long));
    assert!(
        !said.ok && said.err.contains("dead-letter file no/such/folder"),
        "{said:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_record_that_the_disk_has_no_room_for_spoils_no_other() {
    let input: String = (1..=5).map(|i| i.to_string().repeat(400) + "\n").collect();
    let (_, folder) = run("full", &[], Some(b""));
    std::fs::write(folder.join("input"), &input).unwrap();
    let kept = |limit: &str, before: &str| {
        std::fs::write(folder.join("kept"), before).unwrap();
        // The limit is one block per file: a write across it is cut off, and the next one fails.
        let script = format!("trap '' XFSZ; {limit} exec \"$0\" \"$@\"");
        let said = Command::new("sh")
            .args(["-c", &script])
            .arg(built("put_records"))
            .args(["--local", "--stream", "no-such-stream"])
            .args(["--dead-letter", "kept", "input"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = Said::from(said);
        assert!(!said.ok, "{said:?}");
        (
            said.err,
            std::fs::read_to_string(folder.join("kept")).unwrap(),
        )
    };
    let (said, whole) = kept("ulimit -f 1;", "");
    let lines = whole.lines().count();
    assert!(
        (1..5).contains(&lines) && whole == input[..401 * lines],
        "{whole}"
    );
    let not_kept = said.matches("was neither sent nor saved").count();
    assert_eq!(not_kept, 5 - lines, "{said}");

    // The file of a run that was killed during a write.
    let (_, after_half) = kept("", "half");
    assert_eq!(after_half, format!("half\n{input}"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_last_line_needs_no_line_feed_and_a_missing_file_is_named() {
    let (said, _) = run("last", &[], Some(b"one\ntwo"));
    assert!(
        said.ok && said.out.contains("2 records, 8 bytes"),
        "{said:?}"
    );
    let (said, _) = run("missing", &["no-such-file"], None);
    assert!(!said.ok && said.err.contains("no-such-file: "), "{said:?}");
}

/// Creates an empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs `tenants --local` in a folder.
fn tenants(folder: &PathBuf, arguments: &[&str]) -> Said {
    let mut program = example("tenants");
    program.arg("--local").args(arguments).current_dir(folder);
    program.output().unwrap().into()
}

#[test]
fn a_customer_that_fails_stops_no_other_and_no_external_id_is_shown() {
    let folder = folder("tenants");
    let said = tenants(&folder, &[]);
    assert!(!said.ok && said.err.is_empty(), "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    for (line, (customer, put, failed, result)) in [
        ("acme", 200, 0, "ok"),
        ("birch", 0, 200, "AccessDenied"),
        ("cedar", 0, 200, "invalid arn"),
        ("dune", 0, 200, "ResourceNotFoundException"),
        ("elm", 200, 0, "ok"),
        ("fir", 0, 200, "invalid arn"),
        ("total", 400, 800, "2 of 6 ok"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = lines[1 + line];
        let counts = format!("{customer:8}  {put:8}  {failed:8}  ");
        assert!(line.starts_with(&counts), "{counts:?} {line:?}");
        assert!(
            line.ends_with(&format!("  {result}")),
            "{result:?} {line:?}"
        );
        assert!(line.len() <= 80, "{line:?}");
    }
    for (customer, why) in [
        ("birch: ", "(hop 2 of 2): AccessDenied: "),
        ("cedar: ", "arn: must not be a role of account 1111"),
        (
            "dune: ",
            "ResourceNotFoundException: Firehose no-such-stream ",
        ),
        ("fir: ", "arn: must be a role's ARN"),
    ] {
        let line = lines.iter().find(|line| line.starts_with(customer));
        assert!(line.is_some_and(|line| line.contains(why)), "{said:?}");
    }
    let [.., kept, unread, "", local, meant] = &lines[..] else {
        panic!("{said:?}");
    };
    assert_eq!(*kept, "  in ./dune.dead-letter: 200");
    assert_eq!(
        *unread,
        "  only in the sample records: 600, of 3 customer(s)"
    );
    assert_eq!(*meant, "birch, cedar, dune and fir are meant to fail");
    assert!(local.contains("requests for the hub: 1,"), "{local}");
    // Records that could not be put are in the file; if the role could not be assumed, none were read.
    let sample = include_str!("../../examples/put_records/records.ndjson");
    let kept = std::fs::read_to_string(folder.join("dune.dead-letter")).unwrap();
    assert_eq!(kept, sample);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    let customers = include_str!("../../examples/tenants/customers.json");
    let ids = customers
        .lines()
        .filter_map(|line| line.split_once("\"external_id\": \""));
    let ids: Vec<_> = ids.map(|(_, id)| id.trim_end_matches("\",")).collect();
    assert_eq!(ids.len(), 6);
    for id in ids.into_iter().chain(["birch-wrote-another"]) {
        assert!(!said.out.contains(id), "{id} is shown");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_concurrency_is_limited_and_success_exits_with_zero() {
    let folder = folder("tenants-at-once");
    let sample = include_str!("../../examples/tenants/customers.json");
    let sample: Vec<serde_json::Value> = serde_json::from_str(sample).unwrap();
    let names = |i: usize| format!("customer-{i}");
    let (acme, elm) = (&sample[0], &sample[4]);
    let customers = (0..12).map(|i| {
        let mut customer = [acme, elm][i % 2].clone();
        customer["name"] = names(i).into();
        customer
    });
    let customers = serde_json::Value::from_iter(customers).to_string();
    std::fs::write(folder.join("customers.json"), customers).unwrap();
    std::fs::write(folder.join("records.ndjson"), "one\n\ntwo").unwrap();
    let arguments = ["--customers", "customers.json", "records.ndjson"];
    for (at_once, seen) in [
        ("1", "most concurrent requests: 1\n"),
        ("3", "most concurrent requests: 3\n"),
    ] {
        let said = tenants(
            &folder,
            &[&["--concurrency", at_once], &arguments[..]].concat(),
        );
        assert!(said.ok, "{said:?}");
        for i in 0..12 {
            let line = said.out.lines().nth(1 + i).unwrap();
            let counts = format!("{:11}  {:8}  {:8}  ", names(i), 2, 0);
            assert!(line.starts_with(&counts), "{counts:?} {line:?}");
        }
        assert!(said.out.contains("requests for the hub: 1,"), "{said:?}");
        assert!(said.out.contains(seen), "{said:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_summary_fits_a_terminal_however_long_the_names_are() {
    let folder = folder("tenants-names");
    let sample = include_str!("../../examples/tenants/customers.json");
    let mut customers: Vec<serde_json::Value> = serde_json::from_str(sample).unwrap();
    let name = |i: usize| format!("customer-{i}-{}", "of-a-long-name".repeat(6));
    for (i, customer) in customers.iter_mut().enumerate() {
        customer["name"] = name(i).into();
    }
    let customers = serde_json::Value::from_iter(customers).to_string();
    std::fs::write(folder.join("customers.json"), customers).unwrap();
    let said = tenants(&folder, &["--customers", "customers.json"]);
    let (table, _) = said.out.split_once("\n\n").unwrap();
    for line in table.lines() {
        assert!(line.len() <= 80 && line.trim_end() == line, "{line:?}");
    }
    let mut names = table
        .lines()
        .map(|line| line.get(..24).unwrap_or(line).trim());
    let names: String = names.by_ref().collect();
    for i in 0..6 {
        assert!(names.contains(&name(i)), "{table}");
    }
    let dune = table.lines().find(|line| line.contains("customer-3-"));
    let counts = "       0       200  ";
    assert!(dune.unwrap().contains(counts), "{table}");
    assert!(
        dune.unwrap().ends_with("  ResourceNotFoundException"),
        "{table}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_incomplete_customer_row_is_reported_as_a_failure() {
    let folder = folder("tenants-rows");
    std::fs::write(
        folder.join("customers.json"),
        r#"[{"name": "acme", "external_id": "never-shown"}, 7, {"name": "../up", "external_id": "never-shown"},
            {"name": "x\ny", "external_id": "never-shown"}, {"name": "Acme", "external_id": "never-shown"}]"#,
    )
    .unwrap();
    let said = tenants(&folder, &["--customers", "customers.json"]);
    assert!(!said.ok, "{said:?}");
    for why in [
        "role_arn is missing or not a string",
        "row 2",
        "name is missing",
        "name may contain only",
        "\nrow 4 ",
        "the name is the same as that of row 1",
    ] {
        assert!(said.out.contains(why), "{why:?} {said:?}");
    }
    assert!(!said.out.contains("never-shown"), "{said:?}");
    assert!(!said.out.contains("x\ny"), "{said:?}");
    std::fs::write(folder.join("customers.json"), "{}").unwrap();
    let said = tenants(&folder, &["--customers", "customers.json"]);
    assert!(!said.ok, "{said:?}");
    assert!(
        said.err.contains("customers.json: must be a JSON array"),
        "{said:?}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn an_interrupt_prints_the_summary_with_the_customers_not_served() {
    // This STS never answers.
    let sts = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder("tenants-interrupt");
    let sample = include_str!("../../examples/tenants/customers.json");
    std::fs::write(folder.join("customers.json"), sample).unwrap();
    // Enough for several batches.
    std::fs::write(folder.join("records.ndjson"), "one\n".repeat(1200)).unwrap();
    let program = example("tenants")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .args([
            "--hub-arn",
            HUB,
            "--region",
            "eu-west-1",
            "--concurrency",
            "1",
        ])
        .arg(format!(
            "--endpoint-url=http://{}",
            sts.local_addr().unwrap()
        ))
        .args(["--customers", "customers.json", "records.ndjson"])
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let connection = sts.accept().unwrap();
    let pid = program.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.unwrap().success());
    // The first customer's role is still being assumed.
    let said = Said::from(program.wait_with_output().unwrap());
    drop((connection, sts));
    assert!(!said.ok, "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines.len() > 7, "{said:?}");
    for line in &lines[1..7] {
        let counts = line[..28].ends_with("         0      1200");
        assert!(counts && line.ends_with("  interrupted"), "{line:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

const HUB: &str = "arn:aws:iam::333333333333:role/Hub";
#[test]
fn the_web_identity_and_saml_examples_print_their_caller() {
    for (name, session) in [
        ("web_identity", "assumed-role/Pod/web_identity-"),
        ("saml", "assumed-role/Developer/ada@example.com"),
    ] {
        let said = Said::from(Command::new(built(name)).arg("--local").output().unwrap());
        assert!(said.ok && said.out.contains(session), "{said:?}");
        assert!(said.out.contains(": valid until 20"), "{said:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_stderr_of_a_sign_in_program_reaches_the_user() {
    use std::os::unix::fs::PermissionsExt;
    let program = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("sign-in-{}", std::process::id()));
    std::fs::write(
        &program,
        "#!/bin/sh\necho 'the account is locked' >&2\nexit 3\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new(built("saml"))
        .args([
            "--role-arn",
            "arn:aws:iam::222222222222:role/Developer",
            "--region",
            "eu-west-1",
        ])
        .args([
            "--principal-arn",
            "arn:aws:iam::222222222222:saml-provider/Company",
        ])
        .arg("--sign-in")
        .arg(&program)
        .output();
    let said = Said::from(output.unwrap());
    assert!(
        !said.ok && said.err.contains("the account is locked"),
        "{said:?}"
    );
    assert!(
        said.err.contains("no SAML assertion") && said.err.contains("exit status: 3"),
        "{said:?}"
    );
    std::fs::remove_file(program).unwrap();
}

/// `script` runs a program in a terminal of its own, and types what it reads from stdin.
#[cfg(target_os = "linux")]
mod terminal {
    use std::io::Read;
    use std::process::{Child, ChildStdin, ChildStdout};

    use super::*;

    struct Terminal {
        program: Child,
        types: ChildStdin,
        shows: ChildStdout,
        shown: String,
    }

    impl Terminal {
        fn run(arguments: &str) -> Self {
            let command = format!("{} --local {arguments}", built("mfa").display());
            let mut program = Command::new("script")
                .args(["--quiet", "--return", "--command", &command, "/dev/null"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            Self {
                types: program.stdin.take().unwrap(),
                shows: program.stdout.take().unwrap(),
                program,
                shown: String::new(),
            }
        }

        /// Reads until `text` is shown; returns what was shown before it.
        fn read_until(&mut self, text: &str) -> String {
            let mut byte = [0];
            loop {
                if let Some(at) = self.shown.find(text) {
                    let before = self.shown[..at].to_owned();
                    self.shown.drain(..at + text.len());
                    return before;
                }
                let read = self.shows.read(&mut byte).unwrap();
                assert_eq!(read, 1, "{text:?} is not shown: {}", self.shown);
                self.shown.push(char::from(byte[0]));
            }
        }

        fn type_line(&mut self, line: &str) {
            writeln!(self.types, "{line}").unwrap();
        }

        fn finish(self) -> bool {
            self.exit_code() == Some(0)
        }

        fn exit_code(mut self) -> Option<i32> {
            self.shows.read_to_string(&mut self.shown).unwrap();
            self.program.wait().unwrap().code()
        }
    }

    #[test]
    fn the_terminal_prompt_repeats_until_the_code_is_right() {
        let mut terminal = Terminal::run("");
        terminal.read_until("code of the simulated MFA device: ");
        let code = terminal.read_until("\r\n");
        let question = "MFA code for arn:aws:iam::111111111111:mfa/ada, to assume arn:aws:iam::222222222222:role/Reader: ";
        assert_eq!(terminal.read_until(question), "");
        terminal.type_line("12345");
        terminal.read_until("A code has six digits. MFA code for");
        terminal.read_until(": ");
        terminal.type_line(if code == "000000" { "000001" } else { "000000" });
        let refused =
            "MultiFactorAuthentication failed with invalid MFA one time pass code. MFA code for";
        terminal.read_until(refused);
        terminal.read_until(": ");
        terminal.type_line(&code);
        terminal.read_until("19496  2026/11/orders.ndjson");
        assert!(terminal.finish());
    }

    #[test]
    fn ctrl_c_at_the_prompt_ends_with_130() {
        let mut terminal = Terminal::run("");
        terminal.read_until("to assume arn:aws:iam::222222222222:role/Reader: ");
        terminal.types.write_all(b"\x03").unwrap();
        assert_eq!(terminal.exit_code(), Some(130));
    }

    #[test]
    fn the_prompt_for_a_session_token_names_no_role() {
        let mut terminal = Terminal::run("--session-token");
        terminal.read_until("code of the simulated MFA device: ");
        let code = terminal.read_until("\r\n");
        terminal.read_until("MFA code for arn:aws:iam::111111111111:mfa/ada: ");
        terminal.type_line(&code);
        terminal.read_until("2026/11/refunds.ndjson");
        assert!(terminal.finish());
    }

    #[test]
    fn the_prompt_uses_neither_stdin_nor_stdout() {
        let command = format!(
            "{} --local < /dev/null | cat > /dev/null",
            built("mfa").display()
        );
        let mut program = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (types, shows) = (
            program.stdin.take().unwrap(),
            program.stdout.take().unwrap(),
        );
        let mut terminal = Terminal {
            types,
            shows,
            program,
            shown: String::new(),
        };
        terminal.read_until("to assume arn:aws:iam::222222222222:role/Reader: ");
        for _ in 0..3 {
            terminal.type_line("x");
        }
        terminal.read_until("no MFA code for");
        terminal.finish();
    }

    #[test]
    fn without_a_terminal_the_prompt_fails_at_once() {
        let output = Command::new("setsid")
            .arg("--wait")
            .arg(built("mfa"))
            .arg("--local")
            .output();
        let said = Said::from(output.unwrap());
        assert!(
            !said.ok
                && said
                    .err
                    .contains("no terminal is available to ask for the MFA code"),
            "{said:?}"
        );
    }
}
