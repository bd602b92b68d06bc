//! Each parameter of a role is sent as it was set, by the operations that accept it.

use aws_role_chain::{Error, Role, RoleChain, SamlAssertion, WebIdentityToken};
use aws_types::SdkConfig;
use sts_simulator::Call;

use crate::common::parameters::PARAMETERS;
use crate::common::*;

type Start = fn(&SdkConfig, Role) -> Result<RoleChain, Error>;

fn with_web_identity(base: &SdkConfig, role: Role) -> Result<RoleChain, Error> {
    let token = || async { Ok::<_, std::io::Error>("a token".to_owned()) };
    RoleChain::from_web_identity(base, role, WebIdentityToken::from_provider(token))
}

fn with_saml(base: &SdkConfig, role: Role) -> Result<RoleChain, Error> {
    let assertion = || async { Ok::<_, std::io::Error>("assertion".to_owned()) };
    let provider = "arn:aws:iam::222222222222:saml-provider/Company";
    RoleChain::from_saml(
        base,
        role,
        provider,
        SamlAssertion::from_provider(assertion),
    )
}

/// Returns the first call for a role, whether or not STS accepts it.
async fn call(start: Start, role: Role) -> Result<Call, Error> {
    let (aws, base) = aws();
    let chain = start(&base, role)?;
    let _ = chain.refresh().await;
    Ok(aws.calls().into_iter().next().unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_parameter_reaches_sts_in_the_operations_that_take_it_and_is_rejected_in_others() {
    for parameter in PARAMETERS {
        let starts: [(Start, &str, bool); 3] = [
            (RoleChain::new, "AssumeRole", true),
            (
                with_web_identity,
                "AssumeRoleWithWebIdentity",
                parameter.with_web_identity,
            ),
            (with_saml, "AssumeRoleWithSAML", parameter.with_saml),
        ];
        let setter = parameter.setter;
        for (start, operation, takes_it) in starts {
            let role = (parameter.set)(Role::new(HUB), 0);
            match call(start, role).await {
                Ok(call) => {
                    assert!(takes_it, "{operation} {setter}");
                    assert_eq!(call.action, operation);
                    for (name, value) in parameter.sent {
                        let sent = call.parameter(name);
                        assert_eq!(sent, Some(*value), "{operation} {setter}");
                    }
                    let region = call
                        .region
                        .or_else(|| call.host.split('.').nth(1).map(str::to_owned));
                    let expected = if setter == "region" {
                        "eu-west-2"
                    } else {
                        "eu-west-1"
                    };
                    assert_eq!(region.as_deref(), Some(expected), "{operation} {setter}");
                }
                Err(error) => {
                    assert!(!takes_it, "{operation} {setter}: {error}");
                    assert_eq!(error.field(), Some(setter), "{error}");
                    assert!(error.to_string().contains(operation), "{error}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_was_not_set() {
    for parameter in PARAMETERS {
        for start in [RoleChain::new, with_web_identity] {
            let call = call(start, Role::new(HUB)).await.unwrap();
            let has_default = ["RoleSessionName"];
            for (name, _) in parameter.sent {
                let is_sent = call.parameter(name).is_some();
                assert_eq!(is_sent, has_default.contains(name), "{name}");
            }
        }
    }
}

#[test]
fn a_value_that_breaks_a_rule_is_an_error_before_any_call() {
    let (aws, base) = aws();
    for parameter in PARAMETERS {
        for wrong in parameter.wrong {
            let error = RoleChain::new(&base, wrong(Role::new(HUB))).unwrap_err();
            assert_eq!(error.field(), Some(parameter.setter), "{error}");
        }
    }
    assert_eq!(aws.requests(), 0);
}
