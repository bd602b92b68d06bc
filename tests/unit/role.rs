//! The parameters of a role.

use super::*;

#[path = "../common/parameters.rs"]
mod parameters;

use parameters::PARAMETERS;

#[test]
fn the_tests_know_every_field_of_a_role_and_reports_show_those_that_are_sent() {
    // `Debug` is derived, and so names every field.
    let role = format!("{:?}", Role::default());
    let fields = role.trim_start_matches("Role { ").split(", ");
    let names = fields.map(|field| field.split(':').next().unwrap());
    let mut known: Vec<_> = PARAMETERS.map(|row| row.setter).into();
    known.extend(["arn", "allowed_role"]);
    known.sort();
    let mut fields: Vec<_> = names
        .map(|name| name.trim_end_matches('s').to_owned())
        .collect();
    fields.sort();
    assert_eq!(
        fields, known,
        "left: Role, right: tests/common/parameters.rs"
    );

    for row in PARAMETERS {
        let role = (row.set)(Role::default(), 0);
        let shown = role.parameters().into_iter();
        let shown = shown.filter(|parameter| parameter.shown.is_some());
        let shown: Vec<_> = shown
            .map(|parameter| {
                let action = parameter.action;
                assert!(action.is_none_or(|action| SessionAction::ALL.contains(&action)));
                let action = action.map(SessionAction::name);
                (parameter.field, action, parameter.is_in_cli_cache_key)
            })
            .collect();
        let expected = (row.setter, row.action, row.in_cli_cache_key);
        // The region is not sent: it selects the endpoint.
        let is_sent = row.setter != "region";
        assert_eq!(shown, if is_sent { vec![expected] } else { vec![] });
        assert_eq!(!row.sent.is_empty(), is_sent, "{}", row.setter);
    }
}

#[test]
fn every_parameter_is_checked_for_the_operations_that_take_it() {
    let role = || Role::new("arn:aws:iam::222222222222:role/R");
    for row in PARAMETERS {
        let operations = [
            (Operation::AssumeRole, true),
            (Operation::AssumeRoleWithWebIdentity, row.with_web_identity),
            (Operation::AssumeRoleWithSaml, row.with_saml),
        ];
        for (operation, takes_it) in operations {
            let check = |role: Role| role.check(&Inherited::nothing(), operation);
            let checked = check((row.set)(role(), 0)).map(drop);
            let error = checked.map_err(|violation| violation.field);
            let expected = if takes_it { Ok(()) } else { Err(row.setter) };
            assert_eq!(error, expected, "{operation:?}");
            for wrong in row.wrong {
                let violation = check(wrong(role())).unwrap_err();
                assert_eq!(violation.field, row.setter, "{operation:?}");
            }
        }
    }
}

#[test]
fn debug_shows_neither_external_id_nor_assertion_nor_tag_values() {
    let role = Role::new("arn:aws:iam::222222222222:role/R")
        .external_id("secret-id")
        .tag("team", "secret-value")
        .provided_context("arn:aws:iam::aws:contextProvider/X", "secret-assertion");
    let shown = format!("{role:?} {role:#?}");
    assert!(
        shown.contains("team") && shown.contains("** redacted **"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}
