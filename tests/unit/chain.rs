//! The starts of a chain.

use aws_types::region::Region;

use super::*;

#[allow(dead_code, reason = "tests/it uses the rest")]
#[path = "../common/contracts.rs"]
mod contracts;
#[path = "../common/starts.rs"]
mod starts;

/// Returns the list of starts that the tests share, and a chain of the source alone.
fn starts() -> Vec<RoleChain> {
    let base = SdkConfig::builder()
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .build();
    let sent = starts::Sent {
        role_arn: "arn:aws:iam::111111111111:role/Hub",
        external_id: "external-id",
        context_assertion: "assertion",
        mfa_code: "123456",
        web_identity_token: "token",
        saml_assertion: "assertion",
    };
    let device = |i| format!("arn:aws:iam::111111111111:mfa/ada-{i}");
    let mut starts = starts::starts(&base, &base, sent, device);
    starts.push(RoleChain::from_source(&base).unwrap());
    starts
}

#[test]
fn the_tests_know_every_operation_that_a_chain_starts_with() {
    let listed = starts();
    for operation in Operation::all().filter(|operation| operation.is_load()) {
        let mut listed = listed.iter().map(|start| start.hop().operation());
        assert!(
            listed.any(|start| start == operation),
            "tests/common/starts.rs has no start with {operation:?}"
        );
    }
}

#[test]
fn the_tests_know_what_each_start_promises_that_assumes_no_role() {
    let own = starts().into_iter().filter(|start| {
        let operation = start.hop().operation();
        start.role_arn().is_none() && operation != Operation::LoadSource
    });
    for start in own {
        let name = start.hop().operation().name();
        let mut rows = contracts::CONTRACTS.iter();
        assert!(
            rows.any(|row| row.operation == name),
            "tests/common/contracts.rs has no row for {name}"
        );
    }
}

#[test]
fn roles_are_assumed_from_those_starts_whose_credentials_sts_lets_assume_one() {
    for start in starts() {
        let may_assume = match start.hop().operation() {
            Operation::LoadSource
            | Operation::AssumeRole
            | Operation::AssumeRoleWithWebIdentity
            | Operation::AssumeRoleWithSaml
            | Operation::GetSessionToken => true,
            operation @ (Operation::CheckBase
            | Operation::LoadProfile
            | Operation::WritePolicies
            | Operation::WriteDocument
            | Operation::GetCallerIdentity) => unreachable!("{operation:?} starts no chain"),
        };
        let role = || Role::new("arn:aws:iam::222222222222:role/Writer");
        assert_eq!(start.assume(role()).is_ok(), may_assume, "{start:?}");
        #[cfg(feature = "pool")]
        {
            let pool = crate::ChainPool::new(start);
            assert_eq!(pool.get(role()).is_ok(), may_assume, "{pool:?}");
        }
    }
}

#[test]
fn the_role_of_a_web_identity_is_read_from_the_environment() {
    let base = SdkConfig::builder()
        .region(Region::new("eu-west-1"))
        .build();
    let arn = "arn:aws:iam::111111111111:role/Pod";
    let with = |names: &'static [&'static str]| {
        RoleChain::from_web_identity_vars(&base, move |name| {
            if !names.contains(&name) {
                return Err(VarError::NotPresent);
            }
            Ok(if name == "AWS_ROLE_ARN" {
                arn.to_owned()
            } else {
                "token-or-name".to_owned()
            })
        })
    };
    const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    let chain = with(&[FILE, "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"]).unwrap();
    assert_eq!(chain.role_arn(), Some(arn));
    let request = chain.hop().request().unwrap();
    assert_eq!(request.checked_session_name(), "token-or-name");
    with(&[FILE, "AWS_ROLE_ARN"]).unwrap();
    for (given, missing) in [(&[FILE][..], "AWS_ROLE_ARN"), (&["AWS_ROLE_ARN"][..], FILE)] {
        let error = with(given).unwrap_err();
        assert_eq!(error.field(), Some(missing), "{error}");
        assert!(
            error.to_string().contains("environment variable not found"),
            "{error}"
        );
    }
}

#[test]
fn a_variable_of_a_web_identity_that_is_not_unicode_is_named() {
    let base = SdkConfig::builder()
        .region(Region::new("eu-west-1"))
        .build();
    for wrong in [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
    ] {
        let chain = RoleChain::from_web_identity_vars(&base, |name| {
            if name == wrong {
                return Err(VarError::NotUnicode("no text".into()));
            }
            Ok("arn:aws:iam::111111111111:role/Pod".to_owned())
        });
        let error = chain.unwrap_err();
        assert_eq!(error.field(), Some(wrong), "{error}");
    }
}
