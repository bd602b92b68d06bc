//! `doctor --accounts`: which policy denies a chain, according to exports of the accounts, without a call.

mod common;

use common::Home;
use common::example::Said;

const ACCOUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/tests/accounts");
const ORDERS: &str = "arn:aws:iam::111111111111:user/services/orders";
const HUB: &str = "arn:aws:iam::111111111111:role/Hub";
const WRITER: &str = "arn:aws:iam::222222222222:role/data/FirehoseWriter";

/// Runs `doctor` in this home; a call to AWS would fail.
fn doctor(home: &Home, caller: &str, arguments: &[&str]) -> Said {
    let start = ["doctor", "--accounts", ACCOUNTS, "--caller", caller];
    let mut program = home.program(&[&start, arguments].concat());
    let output = program.env("AWS_REGION", "eu-west-1").output();
    output.unwrap().into()
}

fn home(test: &str) -> Home {
    Home::new(test, "[profile orders]\nregion = eu-west-1\n")
}

#[test]
fn a_chain_that_works_is_told_with_the_statements_that_allow_it() {
    let home = home("accounts-ok");
    let said = doctor(
        &home,
        ORDERS,
        &["--role-arn", WRITER, "--external-id", "c0ffee"],
    );
    assert!(said.ok, "{}{}", said.out, said.err);
    for part in [
        "allowed: sts:AssumeRole\n",
        r#"AssumeWriters"#,
        r#"statement 1 "Writers" (Allow)"#,
        "Every role can be assumed, according to the exports.",
        "Not known from the exports:",
    ] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert!(
        !said.out.contains("c0ffee"),
        "external IDs are secrets: {}",
        said.out
    );
}

#[test]
fn a_refusal_names_the_policy_and_the_condition_or_what_is_missing() {
    let home = home("accounts-refused");
    for (caller, arguments, parts) in [
        (
            ORDERS,
            &["--role-arn", WRITER, "--external-id", "wrong"][..],
            &[
                r#"statement 1 "Orders" (Allow) does not apply:"#,
                "StringEquals sts:ExternalId",
            ][..],
        ),
        (
            ORDERS,
            &[
                "--role-arn",
                HUB,
                "--role-arn",
                WRITER,
                "--external-id",
                "c0ffee",
            ],
            &[
                "allowed: sts:AssumeRole",
                "denied: sts:AssumeRole",
                "does not name the caller",
                "Denied at hop 2 of 2, according to the exports.",
            ],
        ),
        (
            ORDERS,
            &["--role-arn", HUB, "--region", "us-east-1"],
            &["a statement denies it", "OnlyIreland (p-regions12)"],
        ),
        (
            HUB,
            &["--role-arn", "arn:aws:iam::222222222222:role/data/None"],
            &[
                "because there is no such role.",
                "The export of account 222222222222 has no role with this path and name",
            ],
        ),
        (
            HUB,
            &["--role-arn", "arn:aws:iam::333333333333:role/Other"],
            &[
                "because there is no such role.",
                "There is no export of account 333333333333; the exports are of the accounts 111111111111, 222222222222.",
            ],
        ),
        (
            ORDERS,
            &[
                "--role-arn",
                WRITER,
                "--external-id",
                "c0ffee",
                "--duration",
                "7201",
            ],
            &["MaxSessionDuration"],
        ),
    ] {
        let said = doctor(&home, caller, arguments);
        assert!(!said.ok, "{}", said.out);
        for part in parts {
            assert!(
                said.out.contains(part),
                "{arguments:?}: {part} in {}",
                said.out
            );
        }
        // Advice is printed only if the cause is not known from the policies.
        let has_advice = said.out.contains("\n  - ");
        assert_eq!(
            has_advice,
            said.out.contains("ValidationError"),
            "{}",
            said.out
        );
        for secret in ["wrong", "c0ffee", "never-shown"] {
            assert!(
                !said.out.contains(secret) && !said.err.contains(secret),
                "{secret}"
            );
        }
    }
}

#[test]
fn what_is_not_known_of_others_is_counted_and_no_more() {
    let home = home("accounts-left-out");
    let said = doctor(&home, ORDERS, &["--role-arn", HUB]);
    assert!(said.ok, "{}{}", said.out, said.err);
    let (_, not_known) = said
        .out
        .split_once("\nNot known from the exports:\n")
        .unwrap();
    assert!(
        not_known.contains("account 111111111111: MaxSessionDuration"),
        "{not_known}"
    );
    assert!(
        not_known.contains("(3 more, of users and roles that are not in the chain)"),
        "{not_known}"
    );
    for of_others in ["role/data", "access keys"] {
        assert!(!not_known.contains(of_others), "{of_others} in {not_known}");
    }
    let said = doctor(&home, ORDERS, &["--role-arn", WRITER]);
    let (_, not_known) = said
        .out
        .split_once("\nNot known from the exports:\n")
        .unwrap();
    assert!(not_known.contains("firehose2099:NewKey"), "{not_known}");
}

#[test]
fn the_region_is_that_of_the_environment_or_one_of_the_partition_of_the_caller() {
    let home = home("accounts-regions");
    let start = ["doctor", "--accounts", ACCOUNTS, "--caller", ORDERS];
    let mut program = home.program(&[&start[..], &["--role-arn", HUB]].concat());
    let said: Said = program
        .env("AWS_REGION", "us-east-1")
        .output()
        .unwrap()
        .into();
    assert!(!said.ok && said.out.contains("OnlyIreland"), "{}", said.out);

    for partition in ["aws-cn", "aws-us-gov"] {
        let of_partition = |arn: &str| arn.replace("arn:aws:", &format!("arn:{partition}:"));
        let (caller, role) = (of_partition(ORDERS), of_partition(HUB));
        let trust = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "{caller}"}}}}}}"#
        );
        std::fs::create_dir_all(home.path().join(partition)).unwrap();
        let export = format!(
            r#"{{"UserDetailList": [{{"Arn": "{caller}", "UserId": "AIDAORDERSORDERSORDER"}}],
                "RoleDetailList": [{{"Arn": "{role}", "RoleId": "AROAHUBHUBHUBHUBHUBHU",
                    "AssumeRolePolicyDocument": {trust}}}],
                "GroupDetailList": [], "Policies": []}}"#
        );
        home.write(&format!("{partition}/account.json"), &export);
        let folder = home.path().join(partition);
        let start = ["doctor", "--accounts", folder.to_str().unwrap()];
        let said = home.run(&[&start[..], &["--caller", &caller, "--role-arn", &role]].concat());
        assert!(said.ok, "{}{}", said.out, said.err);
    }
}

#[test]
fn that_the_person_has_the_mfa_device_is_taken_for_granted() {
    let home = home("accounts-mfa");
    let serial = "arn:aws:iam::111111111111:mfa/orders";
    let said = doctor(
        &home,
        ORDERS,
        &[
            "--role-arn",
            WRITER,
            "--external-id",
            "c0ffee",
            "--mfa",
            serial,
        ],
    );
    assert!(said.ok, "{}{}", said.out, said.err);
}

#[test]
fn what_is_wrong_with_the_options_is_said() {
    let home = home("accounts-options");
    let said = doctor(
        &home,
        "arn:aws:iam::111111111111:user/nobody",
        &["--role-arn", WRITER],
    );
    assert!(!said.ok);
    assert!(
        said.err.contains(
            "--caller arn:aws:iam::111111111111:user/nobody: the exports contain no such user"
        ),
        "{}",
        said.err
    );
    for (caller, reason) in [
        ("orders", "must be the ARN of a user or role: arn:aws:iam::"),
        (
            "arn:aws:sts::111111111111:assumed-role/Hub/session",
            "is a session: use the ARN of its role, arn:aws:iam::111111111111:role/Hub, including the path",
        ),
    ] {
        let said = doctor(&home, caller, &["--role-arn", WRITER]);
        assert!(!said.ok && said.err.contains(reason), "{}", said.err);
    }
    let said = doctor(&home, ORDERS, &["--profile", "orders"]);
    assert!(said.err.contains("cannot be used with"), "{}", said.err);
    let said = home.run(&[
        "doctor",
        "--accounts",
        "/none/such",
        "--caller",
        ORDERS,
        "--role-arn",
        WRITER,
    ]);
    assert!(
        said.err.contains("/none/such: No such file"),
        "{}",
        said.err
    );
    let said = home.run(&["doctor", "--accounts", ACCOUNTS, "--role-arn", WRITER]);
    assert!(said.err.contains("--caller <ARN>"), "{}", said.err);
    // The usage offers no profile, because --accounts cannot be used with one.
    let said = doctor(&home, ORDERS, &[]);
    let usage = "\n       role-chain doctor --accounts <DIR> --caller <ARN> --role-arn <ARN>\n";
    assert!(said.err.contains(usage), "{}", said.err);
}
