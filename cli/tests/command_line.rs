//! The program as users and shells see it: errors, exit codes, closed pipes, full disks, Ctrl-C.

mod common;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use common::example::Said;
use common::{HUB, Home, WRITER};

/// Profiles whose calls to STS go to `endpoint`.
fn profiles(endpoint: &str) -> String {
    format!(
        "[profile b]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = never-shown\n\
         region = eu-west-1\nendpoint_url = {endpoint}\n\
         [profile region-only]\nregion = eu-west-1\nendpoint_url = {endpoint}\n\
         [profile hub]\nrole_arn = {HUB}\nsource_profile = b\nregion = eu-west-1\n"
    )
}

fn home(test: &str) -> Home {
    Home::new(test, &profiles("http://127.0.0.1:9"))
}

fn code(program: &mut Command) -> (Option<i32>, Said) {
    let output = program.output().unwrap();
    (output.status.code(), output.into())
}

#[test]
fn wrong_values_are_errors_that_say_what_to_change() {
    let home = home("values");
    let role = ["whoami", "--profile", "b", "--role-arn"];
    let with = |more: &[&'static str]| [&role[..], &[HUB], more].concat();
    for (arguments, exit_code, why) in [
        (
            with(&["--duration", "abc"]),
            2,
            "must be a whole number of seconds",
        ),
        (
            with(&["--duration", "1h"]),
            2,
            "must be a whole number of seconds",
        ),
        (
            with(&["--duration", "1"]),
            1,
            "must be 900 to 43200 whole seconds",
        ),
        (
            with(&["--tag", "nokey"]),
            2,
            "'--tag <KEY=VALUE>': must be KEY=VALUE",
        ),
        (with(&["--transitive-tag", "=x"]), 2, "must be KEY=VALUE"),
        (
            vec!["whoami", "--profile", "hub", "--region", "e"],
            1,
            "--profile hub: invalid setting: region: must have 2 to 63 characters",
        ),
        (
            with(&["--endpoint-url", "localhost:4566"]),
            2,
            "must be a URL with a scheme",
        ),
        (with(&["--region", "Ireland"]), 2, "must be a region code"),
        (
            with(&["--external-id", ""]),
            2,
            "'--external-id <ID>': must not be empty",
        ),
        (
            vec!["whoami", "--role-arn", HUB, "--cli-cache"],
            2,
            "<--profile <NAME>|--source-profile <NAME>>",
        ),
        (with(&["--session-name", "a b"]), 1, "session_name"),
        (with(&["--mfa", ""]), 2, "must not be empty"),
        (
            with(&["--cli-cache"]),
            1,
            "--cli-cache shares the sessions of a profile's roles: use a --profile that has a role_arn",
        ),
        (
            [&role[..], &[""]].concat(),
            2,
            "'--role-arn <ARN>': must not be empty",
        ),
        ([&role[..], &["Hub"]].concat(), 1, "must be a role's ARN"),
        (
            vec!["whoami", "--profile", ""],
            2,
            "'--profile <NAME>': must not be empty",
        ),
        (
            vec!["whoami", "--profile", "b"],
            1,
            "--profile b: there is no role to assume",
        ),
        (
            vec!["whoami", "--role-arn", HUB],
            1,
            "no AWS region is configured: set one with --region",
        ),
        (
            vec!["whoami", "--profile", "region-only", "--role-arn", HUB],
            1,
            "--profile region-only: the profile has no credentials",
        ),
        (vec!["whoami"], 2, "<--profile <NAME>|--role-arn <ARN>>"),
        (vec!["whoami", "--source-profile", "b"], 2, "--role-arn"),
        (
            vec!["whoami", "--external-id", "x", "--role-arn", HUB],
            2,
            "--external-id must follow the --role-arn that it applies to",
        ),
        (
            vec!["whoami", "--external-id", "x", "--profile", "hub"],
            2,
            "--external-id must follow the --role-arn that it applies to",
        ),
        (
            vec!["man", "nothing"],
            1,
            "there is no command nothing: use one of credential-process, ",
        ),
    ] {
        let (code, said) = code(&mut home.program(&arguments));
        assert_eq!(code, Some(exit_code), "{arguments:?} {said:?}");
        assert!(
            said.out.is_empty() && said.err.starts_with("error: "),
            "{arguments:?} {said:?}"
        );
        assert!(said.err.contains(why), "{arguments:?} {said:?}");
    }
}

#[test]
fn wrong_environment_variables_are_errors_that_name_them() {
    let home = home("variables");
    let profile = &["whoami", "--profile", "hub"][..];
    let role = &["whoami", "--profile", "b", "--role-arn", HUB][..];
    let default = &["whoami", "--region", "eu-west-1", "--role-arn", HUB][..];
    let process = &[
        "credential-process",
        "--region",
        "eu-west-1",
        "--role-arn",
        HUB,
    ][..];
    let everywhere = [profile, role, default, process];
    for (variable, value, commands, why) in [
        (
            "AWS_MAX_ATTEMPTS",
            "0",
            &everywhere[..],
            "must be a whole number of at least 1, but the value is \"0\"",
        ),
        (
            "AWS_RETRY_MODE",
            "legacy",
            &everywhere[..],
            "must be standard or adaptive, but the value is \"legacy\"",
        ),
        (
            "AWS_USE_FIPS_ENDPOINT",
            "yes",
            &everywhere[..],
            "must be true or false, but the value is \"yes\"",
        ),
        (
            "AWS_REGION",
            "",
            &everywhere[..1],
            "--profile hub: invalid environment: AWS_REGION: must have 2 to 63 characters",
        ),
        (
            "AWS_DEFAULT_REGION",
            "x y",
            &everywhere[..1],
            "invalid environment: AWS_DEFAULT_REGION: must contain only lower-case letters",
        ),
        (
            "AWS_ENDPOINT_URL_STS",
            "localhost",
            &everywhere[..1],
            "invalid environment: AWS_ENDPOINT_URL_STS: must be a URL",
        ),
        (
            "AWS_CONFIG_FILE",
            "/nowhere/config",
            &everywhere[..2],
            "; /nowhere/config cannot be read: ",
        ),
        (
            "AWS_CONFIG_FILE",
            "",
            &everywhere[..1],
            "cannot be read: AWS_CONFIG_FILE is empty",
        ),
    ] {
        for arguments in commands {
            let (code, said) = code(home.program(arguments).env(variable, value));
            let all = format!("{variable}={value} {arguments:?} {said:?}");
            assert_eq!(code, Some(1), "{all}");
            assert!(
                said.err.starts_with("error: ") && said.err.contains(why),
                "{all}"
            );
            let is_named = said.err.contains(variable) || variable == "AWS_CONFIG_FILE";
            assert!(is_named, "{all}");
        }
    }
    let said: Said = home
        .program(role)
        .env("AWS_REGION", "x y")
        .output()
        .unwrap()
        .into();
    assert!(
        said.err.ends_with(
            "but the value is \"x y\"
"
        ),
        "{said:?}"
    );
    assert!(
        !said.err.contains("no AWS region is configured"),
        "{said:?}"
    );
    let setup = ["setup-iam", "--role-arn", HUB, "--caller", common::USER];
    let mut setup = home.program(&[&setup[..], &["--role-profile", "b"]].concat());
    let said = Said::from(setup.env("AWS_REGION", "x y").output().unwrap());
    let why = "error: --role-profile b: invalid base config: region: ";
    assert!(
        said.err.starts_with(why) && said.err.ends_with("but the value is \"x y\"\n"),
        "{said:?}"
    );
    let (code, said) = code(home.program(profile).env_remove("HOME"));
    assert_eq!(code, Some(1), "{said:?}");
    if cfg!(unix) {
        assert!(
            said.err
                .contains("~/.aws/config cannot be read: HOME is not set"),
            "{said:?}"
        );
    }
}

#[test]
fn an_error_says_nothing_twice_and_no_secret() {
    let home = home("errors");
    let external_id = ["--external-id", "not-to-be-shown"];
    for profile in ["hub", "b", "region-only"] {
        let mut arguments = vec!["export", "--profile", profile];
        if profile != "hub" {
            arguments.extend(["--role-arn", WRITER]);
            arguments.extend(external_id);
        }
        let (code, said) = code(&mut home.program(&arguments));
        assert_eq!(code, Some(1), "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
        for secret in ["never-shown", "not-to-be-shown"] {
            assert!(!said.err.contains(secret), "{said:?}");
        }
        let headline = said.err.lines().next().unwrap();
        let parts: Vec<_> = headline.split(": ").collect();
        for (i, part) in parts.iter().enumerate() {
            assert!(!parts[i + 1..].contains(part), "{part:?} twice: {headline}");
        }
    }
}

#[test]
fn an_answer_of_another_server_is_said_to_be_one() {
    for status in ["200 OK", "302 Found", "403 Forbidden"] {
        let endpoint = another_server(status);
        let home = Home::new("other", &profiles(&endpoint));
        let role = ["--profile", "b", "--role-arn", HUB];
        let whose = match status {
            "200 OK" => {
                format!("the server that answered at {endpoint} (region eu-west-1) is not STS")
            }
            _ => format!("server may have answered at {endpoint} (region eu-west-1)"),
        };
        for command in ["whoami", "doctor"] {
            let said = home.run(&[&[command][..], &role].concat());
            // Lines of the report are wrapped.
            let text = [said.out, said.err].concat();
            let text: Vec<_> = text.split_whitespace().collect();
            assert!(text.join(" ").contains(&whose), "{command}: {text:?}");
        }
        let setup = ["setup-iam", "--role-arn", HUB, "--caller", common::USER];
        let said = home.run(&[&setup[..], &["--role-profile", "b"]].concat());
        let expected = format!(
            "error: --role-profile b: looking up its identity (GetCallerIdentity): HTTP {} without an AWS \
             error code: a proxy, a gateway or another server may have answered\n",
            &status[..3]
        );
        assert!(!said.ok && said.err == expected, "{said:?}");
    }
}

#[test]
fn setup_iam_calls_the_partition_of_the_role_where_no_region_is_given() {
    use std::io::{Read, Write};
    let sts = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", sts.local_addr().unwrap());
    let keys = "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = never-shown\n";
    let home = Home::new(
        "partition",
        &format!("[profile b]\n{keys}endpoint_url = {endpoint}\n"),
    );
    let program = |partition: &str| {
        let arns =
            [HUB, common::USER].map(|arn| arn.replace("arn:aws:", &format!("arn:{partition}:")));
        let setup = ["setup-iam", "--role-arn", &arns[0], "--caller", &arns[1]];
        home.program(&[&setup[..], &["--role-profile", "b"]].concat())
    };
    for (partition, region) in [
        ("aws", "us-east-1"),
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
    ] {
        let mut program = program(partition);
        let mut program = program.stderr(Stdio::null()).spawn().unwrap();
        let (mut asks, _) = sts.accept().unwrap();
        let mut request = [0; 16 * 1024];
        let read = asks.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        asks.write_all(answer).unwrap();
        assert!(!program.wait().unwrap().success());
        let scope = format!("/{region}/sts/aws4_request");
        assert!(request.contains(&scope), "{partition}: {request}");
    }
    let said = Said::from(program("aws-iso").output().unwrap());
    let why = "error: --role-profile b: invalid base config: region: ";
    assert!(!said.ok && said.err.starts_with(why), "{said:?}");
}

#[test]
fn a_proxy_that_cannot_be_used_is_what_to_check_and_not_the_region() {
    let keys = "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = never-shown\n";
    let home = Home::new("proxy", &format!("[profile b]\n{keys}region = eu-west-1\n"));
    let forbids = another_server("403 Forbidden");
    for proxy in [&*forbids, "http://127.0.0.1:9", "http://proxy.invalid:3128"] {
        let mut program = home.program(&["whoami", "--profile", "b", "--role-arn", HUB]);
        for variable in ["https_proxy", "no_proxy", "NO_PROXY"] {
            program.env_remove(variable);
        }
        let (code, said) = code(program.env("HTTPS_PROXY", proxy));
        assert_eq!(code, Some(1), "{said:?}");
        let advice: Vec<_> = said.err.lines().skip(1).collect();
        assert!(
            advice.len() == 1 && advice[0].contains("HTTPS_PROXY"),
            "{proxy}: {said:?}"
        );
    }
}

/// Starts a server that answers every request with this status and an HTML page. Returns its URL.
fn another_server(status: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = [0; 16 * 1024];
            let _ = client.read(&mut request);
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\
                 Connection: close\r\n\r\n<html>Sign in</html>"
            );
            let _ = client.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_sign_in_that_has_ended_is_an_error_that_says_how_to_sign_in() {
    let home = Home::new(
        "sign-in",
        "[profile sso]\nsso_session = s\nsso_account_id = 111111111111\nsso_role_name = r\n\
         region = eu-west-1\n[sso-session s]\nsso_start_url = https://x.awsapps.com/start\n\
         sso_region = eu-west-1\n\
         [profile login]\nlogin_session = arn:aws:iam::111111111111:user/orders\nregion = eu-west-1\n",
    );
    // The file's name is the SHA-256 of the session. Its contents are incomplete.
    let cache = ".aws/login/cache";
    std::fs::create_dir_all(home.path().join(cache)).unwrap();
    let name = "d3d1052de393959d9aa083c51be24a6b8e145339df0fca0f426a964e4e43b120";
    home.write(&format!("{cache}/{name}.json"), "{}");
    for (profile, how) in [("sso", "aws sso login, with"), ("login", "aws login, with")] {
        for command in ["whoami", "doctor"] {
            let said = home.run(&[command, "--profile", profile, "--role-arn", HUB]);
            let how = format!("\n  - sign in again: {how} the profile of the source credentials\n");
            assert!(
                !said.ok && [&*said.out, &*said.err].concat().contains(&how),
                "{said:?}"
            );
        }
    }
}

#[test]
fn one_of_two_keys_in_the_environment_is_an_error_and_not_passed_over() {
    let home = Home::new(
        "half",
        "[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = never-shown\n\
         region = eu-west-1\nendpoint_url = http://127.0.0.1:9\n",
    );
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    for (set, other) in [(id, secret), (secret, id)] {
        for command in ["whoami", "credential-process"] {
            let mut program = home.program(&[command, "--role-arn", HUB, "--region", "eu-west-1"]);
            let (code, said) = code(program.env(set, "not-to-be-shown").env(other, ""));
            assert_eq!(code, Some(1), "{said:?}");
            assert_eq!(
                said.err,
                format!("error: {set} is set, but {other} is not\n")
            );
        }
        // The credentials of a named profile are used regardless of the environment.
        let mut named = home.program(&["whoami", "--profile", "default", "--role-arn", HUB]);
        let (_, said) = code(named.env(set, "x"));
        assert!(said.err.contains("STS could not be called"), "{said:?}");
    }
    // The SDK also accepts another name of the secret key.
    let mut both = home.program(&["whoami", "--role-arn", HUB]);
    both.env(id, "AKIAEXAMPLE")
        .env("SECRET_ACCESS_KEY", "never-shown");
    let (_, said) = code(&mut both);
    assert!(said.err.contains("STS could not be called"), "{said:?}");
}

/// Asserts that no command prints the external ID if the endpoint has no scheme. The SDK's error quotes the whole
/// request.
fn assert_no_external_id(home: &Home, arguments: &[&str], variable: Option<&str>) {
    for command in ["doctor", "export", "whoami", "credential-process"] {
        for verbose in [&[][..], &["-v"]] {
            let role = ["--role-arn", HUB, "--external-id", "not-to-be-shown"];
            let mut program = home.program(&[&[command], arguments, &role, verbose].concat());
            program.envs(variable.map(|name| (name, "localhost:4567")));
            let (code, said) = code(&mut program);
            assert_ne!(code, Some(0), "{said:?}");
            let all = format!("{}{}", said.out, said.err);
            assert!(!all.contains("not-to-be-shown"), "{command}: {all}");
        }
    }
}

#[test]
fn an_endpoint_option_without_a_scheme_shows_no_external_id() {
    let home = Home::new("endpoint-option", &profiles("http://127.0.0.1:9"));
    let endpoint = ["--profile", "b", "--endpoint-url", "localhost:4567"];
    assert_no_external_id(&home, &endpoint, None);
}

#[test]
fn an_endpoint_without_a_scheme_in_a_profile_shows_no_external_id() {
    let home = Home::new("endpoint-profile", &profiles("localhost:4567"));
    assert_no_external_id(&home, &["--profile", "b"], None);
}

#[test]
fn an_endpoint_without_a_scheme_in_the_environment_shows_no_external_id() {
    let home = Home::new("endpoint-environment", &profiles("http://127.0.0.1:9"));
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"] {
        assert_no_external_id(&home, &["--profile", "b"], Some(variable));
    }
}

#[test]
fn warnings_of_the_library_go_to_stderr() {
    let home = home("warnings");
    let identity = "i".repeat(65);
    let policies = ["policies", "--role-arn", HUB, "--caller", common::USER];
    let said = home.run(&[&policies[..], &["--source-identity", &identity]].concat());
    assert!(said.ok, "{said:?}");
    assert!(
        said.err
            .contains("WARN the source identity is longer than 64 characters"),
        "{said:?}"
    );
    assert!(!said.out.contains("WARN"), "{said:?}");
}

#[test]
fn credential_process_logs_nothing_unless_it_is_verbose() {
    let home = home("quiet");
    let identity = "i".repeat(65);
    let process = ["credential-process", "--profile", "b", "--role-arn", HUB];
    let process = [&process[..], &["--source-identity", &identity]].concat();
    let said = home.run(&process);
    assert!(!said.ok && said.err.starts_with("error: "), "{said:?}");
    assert_eq!(said.err.matches("WARN").count(), 0, "{said:?}");
    for verbose in ["-v", "--verbose"] {
        let said = home.run(&[&process[..], &[verbose]].concat());
        assert!(
            said.err
                .contains("WARN the source identity is longer than 64"),
            "{said:?}"
        );
        assert!(said.err.contains("DEBUG"), "{said:?}");
    }
}

#[test]
fn credential_process_reads_no_profile_that_is_not_named_and_says_so() {
    let home = home("unnamed");
    let arguments = [
        "credential-process",
        "--role-arn",
        HUB,
        "--region",
        "eu-west-1",
    ];
    let said = Said::from(
        home.program(&arguments)
            .env("AWS_PROFILE", "b")
            .output()
            .unwrap(),
    );
    assert!(!said.ok && said.out.is_empty(), "{said:?}");
    let why = "credential-process does not read AWS_PROFILE or the default profile: name a profile with --profile";
    assert!(said.err.contains(why), "{said:?}");
}

#[cfg(unix)]
#[test]
fn a_credential_process_that_leads_back_to_its_profile_ends() {
    let role = format!("role_arn = {HUB}\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:9\n");
    let program = common::PROGRAM;
    let process = format!("credential_process = \"{program}\" credential-process --profile");
    let config = format!(
        "[profile loop]\n{role}source_profile = back\n[profile back]\n{process} loop\n\
         [profile third]\n{role}source_profile = second\n[profile second]\n{process} first\n\
         [profile first]\n{role}source_profile = failing\n[profile failing]\ncredential_process = false\n"
    );
    let home = Home::new("process-loop", &config);
    let loops = "credential-process has called itself 4 times";
    for command in ["credential-process", "whoami"] {
        let (code, said) = code(&mut home.program(&[command, "--profile", "loop"]));
        assert_eq!(code, Some(1), "{said:?}");
        assert!(said.out.is_empty() && said.err.contains(loops), "{said:?}");
        // Nested processes that end are no loop.
        let said = home.run(&[command, "--profile", "third"]);
        assert!(!said.err.contains(loops), "{said:?}");
        let innermost = "external process exited with code exit status: 1. Stderr";
        assert_eq!(said.err.matches(innermost).count(), 2, "{said:?}");
    }
}

#[test]
fn help_fits_80_columns_and_has_the_exit_codes() {
    let home = home("help");
    let commands = [
        "credential-process",
        "export",
        "doctor",
        "whoami",
        "policies",
        "setup-iam",
        "completions",
        "man",
    ];
    let program = home.run(&["--help"]);
    for command in commands {
        assert!(
            program.out.contains(&format!("\n  {command} ")),
            "{program:?}"
        );
        let said = home.run(&[command, "--help"]);
        assert!(said.ok && said.err.is_empty(), "{said:?}");
        assert!(said.out.contains("\nExit codes: 0 success; "), "{said:?}");
        for line in said.out.lines().filter(|line| !line.starts_with("Usage: ")) {
            assert!(line.chars().count() <= 80, "{command}: {line:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bash_completes_the_options_and_values_of_each_command() {
    let home = home("bash");
    home.write("completions", &home.run(&["completions", "bash"]).out);
    // Bash calls the function with the program, the word to complete and the word before it.
    let completes = r#"source completions
        [[ $(complete -p role-chain) =~ -F\ ([^ ]+) ]]
        COMP_WORDS=(role-chain "$@") COMP_CWORD=$#
        "${BASH_REMATCH[1]}" role-chain "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
        echo "${COMPREPLY[*]}""#;
    for (words, completed) in [
        (&["setup"][..], "setup-iam"),
        (&["whoami", "--prof"], "--profile"),
        (&["setup-iam", "--try"], "--try-profile"),
        (&["credential-process", "--cli"], "--cli-cache"),
        (&["export", "--shell", ""], "sh powershell"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", completes, "bash"]).args(words);
        let said = Said::from(bash.current_dir(home.path()).output().unwrap());
        assert_eq!(said.out.trim(), completed, "{words:?} {said:?}");
    }
}

#[test]
fn completions_and_man_pages_come_from_the_same_definitions() {
    let home = home("generated");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = home.run(&["completions", shell]);
        assert!(
            said.ok && said.out.contains("credential-process"),
            "{said:?}"
        );
        assert!(said.out.contains("transitive-tag"), "{said:?}");
    }
    let said = home.run(&["man"]);
    assert!(
        said.ok && said.out.contains("credential\\-process"),
        "{said:?}"
    );
    let said = home.run(&["man", "doctor"]);
    assert!(said.ok && said.out.contains("transitive\\-tag"), "{said:?}");
    assert!(said.out.contains(".TH role-chain-doctor 1"), "{said:?}");
}

/// Commands that print something without a call.
const PRINTS: [&[&str]; 4] = [
    &["--help"],
    &["completions", "bash"],
    &["man"],
    &["policies", "--role-arn", HUB, "--caller", common::USER],
];

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let home = home("pipe");
    for arguments in PRINTS {
        let (reads, writes) = std::io::pipe().unwrap();
        drop(reads);
        let (code, said) = code(home.program(arguments).stdout(writes));
        assert_eq!(code, Some(0), "{arguments:?} {said:?}");
        assert!(said.err.is_empty(), "{arguments:?} {said:?}");
    }
    // The exit code of `doctor` is its result, whether or not the report is read.
    let (reads, writes) = std::io::pipe().unwrap();
    drop(reads);
    let mut doctor = home.program(&["doctor", "--profile", "hub"]);
    let (code, said) = code(doctor.stdout(writes));
    assert!(code == Some(1) && said.err.is_empty(), "{said:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let home = home("full");
    for arguments in PRINTS {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let (code, said) = code(home.program(arguments).stdout(full.unwrap()));
        assert_eq!(code, Some(1), "{arguments:?} {said:?}");
        let why = "error: writing to stdout: No space left on device";
        assert!(said.err.starts_with(why), "{arguments:?} {said:?}");
    }
}

/// Sends the signal that a terminal sends for Ctrl-C.
#[cfg(unix)]
#[test]
fn an_interrupt_gives_exit_code_130() {
    let sts = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", sts.local_addr().unwrap());
    let home = Home::new("interrupt", &profiles(&endpoint));
    for command in ["credential-process", "whoami", "doctor"] {
        let program = home
            .program(&[command, "--profile", "b", "--role-arn", HUB])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program now waits for a response that it does not get.
        let asks = sts.accept().unwrap();
        let pid = program.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
        let output = program.wait_with_output().unwrap();
        drop(asks);
        assert_eq!(output.status.code(), Some(130), "{command}");
        let said = Said::from(output);
        assert!(
            said.out.is_empty() && said.err == "\ninterrupted\n",
            "{said:?}"
        );
    }
}

/// `script` runs the program on a new terminal, and copies its own stdin to it.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_it_while_it_asks_for_an_mfa_code() {
    use std::io::{Read, Write};
    let home = home("mfa");
    let command = format!(
        "{} credential-process --profile b --role-arn {HUB} --mfa GAHT12345678",
        common::PROGRAM
    );
    let mut terminal = common::example::without_settings("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shows = terminal.stdout.take().unwrap();
    let mut shown = String::new();
    let mut byte = [0];
    while !shown.contains("MFA code for GAHT12345678") || !shown.ends_with(": ") {
        assert_eq!(shows.read(&mut byte).unwrap(), 1, "{shown}");
        shown.push(char::from(byte[0]));
    }
    let mut types = terminal.stdin.take().unwrap();
    types.write_all(b"\x03").unwrap();
    shows.read_to_string(&mut shown).unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(130), "{shown}");
    drop(types);
    assert!(!shown.contains("AccessKeyId"), "{shown}");
}
