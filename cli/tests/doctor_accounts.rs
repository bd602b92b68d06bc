//! `doctor --accounts`: who refused, by exports of the accounts, without a call.

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
    home.run(&[&start, arguments].concat())
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
        "Every role can be assumed, by these exports.",
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
                "refused: sts:AssumeRole",
                "does not name the caller",
                "hop 2 of 2",
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
            &["because there is no such role."],
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
        for secret in ["wrong", "c0ffee", "never-shown"] {
            assert!(
                !said.out.contains(secret) && !said.err.contains(secret),
                "{secret}"
            );
        }
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
            "--caller arn:aws:iam::111111111111:user/nobody: the exports have no such user"
        ),
        "{}",
        said.err
    );
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
}
