//! Which roles an allow-list permits, and which allow-lists are rejected.

use std::sync::Arc;

use aws_role_chain::{AllowedRoles, Role};

use super::*;

#[test]
fn a_role_is_accepted_only_if_the_allow_list_permits_it() {
    let of = AllowedRoles::new;
    let vendors = "arn:aws:iam::222222222222:role/vendor/Writer";
    let (a, b) = ("222222222222", "333333333333");
    let good = [
        (vendors, of().allow_accounts([a])),
        (vendors, of().allow_accounts([b]).allow_accounts([a])),
        (vendors, of().allow_names(["Reader", "Writer"])),
        (vendors, of().allow_paths(["/v/", "/vendor/"])),
        (HUB, of().allow_paths(["/"])),
        (vendors, of().deny_accounts([b])),
        (
            vendors,
            of().allow_accounts([a, b])
                .deny_accounts([b])
                .allow_names(["Writer"])
                .allow_paths(["/vendor/"]),
        ),
    ];
    for (arn, allowed) in good {
        let said = format!("{allowed:?}");
        add(Role::new(arn).allowed_roles(allowed))
            .unwrap_or_else(|error| panic!("{said}: {error}"));
    }
    let bad = [
        (
            of().allow_accounts([b]),
            "must have the account 333333333333",
        ),
        (
            of().allow_accounts([b, "444444444444"]),
            "one of the 2 allowed accounts",
        ),
        (of().deny_accounts([b, a]), "not be a role of account 2222"),
        (of().allow_names(["writer"]), "must have the name writer"),
        (
            of().allow_names(["Write", "Writer2"]),
            "one of the allowed names: Write, Writer2",
        ),
        (of().allow_paths(["/"]), "must have the path /"),
        (of().allow_paths(["/vendor/x/"]), "path /vendor/x/"),
        (of().allow_paths(["/ven/"]), "path /ven/"),
        (of().allow_paths(["/Vendor/"]), "path /Vendor/"),
        (
            of().allow_accounts([a]).allow_names(["R"]),
            "must have the name R",
        ),
    ];
    for (allowed, rule) in bad {
        let error = refused(Role::new(vendors).allowed_roles(allowed));
        assert_says(&error, "arn", &[rule, vendors]);
    }
    let several =
        refused(Role::new(vendors).allowed_roles(of().allow_accounts([b, "444444444444"])));
    assert!(
        !several.to_string().contains(b),
        "customers do not read of each other: {several}"
    );
    // Paths end with a slash, so that one is not a prefix of another name.
    let beside = Role::new("arn:aws:iam::222222222222:role/vendor2/Writer");
    refused(beside.allowed_roles(of().allow_paths(["/vendor/"])));
}

#[test]
fn a_role_without_a_required_external_id_is_refused() {
    let allowed = Arc::new(AllowedRoles::new().require_external_id());
    let role = || role().allowed_roles(allowed.clone());
    add(role().external_id(EXTERNAL_ID)).unwrap();
    assert_says(&refused(role()), "external_id", &["must be set"]);
}

#[test]
fn an_allow_list_that_permits_everything_or_nothing_is_refused() {
    let of = AllowedRoles::new;
    let none: [&str; 0] = [];
    let long = "p".repeat(512);
    for (allowed, rule) in [
        (of(), "it currently allows any role"),
        (
            of().allow_accounts(none),
            "12-digit account IDs; the list is empty",
        ),
        (
            of().deny_accounts(none),
            "12-digit account IDs; the list is empty",
        ),
        (of().allow_names(none), "the list is empty"),
        (of().allow_paths(none), "the list is empty"),
        (of().allow_accounts(["22222222222"]), "12-digit account IDs"),
        (of().allow_accounts(["*"]), "12-digit account IDs"),
        (
            of().allow_accounts(["arn:aws:iam::222222222222:root"]),
            "12-digit account IDs",
        ),
        (
            of().deny_accounts(["2222 2222 2222"]),
            "12-digit account IDs",
        ),
        (of().allow_names(["Writer*"]), "\"Writer*\""),
        (of().allow_names([""]), "1 to 64"),
        (of().allow_names(["vendor/Writer"]), "complete role names"),
        (of().allow_paths(["vendor/"]), "beginning and ending with /"),
        (of().allow_paths(["/vendor"]), "beginning and ending with /"),
        (of().allow_paths(["//"]), "beginning and ending with /"),
        (of().allow_paths(["/vendor/*/"]), "complete paths"),
        (of().allow_paths(["/ven dor/"]), "complete paths"),
        (of().allow_paths([format!("/{long}/")]), "512"),
        (
            of().allow_accounts(["222222222222"])
                .deny_accounts(["222222222222"]),
            "must allow an account",
        ),
    ] {
        assert_says(
            &refused(role().allowed_roles(allowed)),
            "allowed_roles",
            &[rule],
        );
    }
}
