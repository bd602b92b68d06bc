//! Finds the operation of a request, authenticates the caller, and answers.

use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use super::{assume_role, get_session_token, saml, web_identity};
use crate::iam::{Accounts, Arrival, Caller};
use crate::protocol::{Element, ErrorResponse, Parameters, success};
use crate::signature::authenticate;

/// Answers a request to STS.
pub(crate) fn answer(
    accounts: &mut Accounts,
    request: &HttpRequest,
    parameters: &Parameters,
    now: SystemTime,
) -> HttpResponse {
    let action = parameters.first("Action").unwrap_or_default();
    let version = parameters.first("Version");
    let result = match (action, version) {
        ("AssumeRole", Some("2011-06-15")) => authenticate(accounts, request, now)
            .and_then(|caller| assume_role::assume_role(accounts, &caller, parameters, now)),
        // Unsigned: the token or the assertion authenticates the caller.
        ("AssumeRoleWithWebIdentity", Some("2011-06-15")) => {
            web_identity::assume_role(accounts, parameters, &Arrival::of(request, None, now))
        }
        ("AssumeRoleWithSAML", Some("2011-06-15")) => {
            saml::assume_role(accounts, parameters, &Arrival::of(request, None, now))
        }
        ("GetSessionToken", Some("2011-06-15")) => authenticate(accounts, request, now)
            .and_then(|caller| get_session_token::answer(accounts, &caller, parameters, now)),
        ("GetCallerIdentity", Some("2011-06-15")) => {
            authenticate(accounts, request, now).map(|caller| get_caller_identity(&caller))
        }
        _ => {
            let version = version.unwrap_or("NO_VERSION_SPECIFIED");
            let message = format!("Could not find operation {action} for version {version}");
            Err(ErrorResponse::new(400, "InvalidAction", message))
        }
    };
    match result {
        Ok(result) => success(action, &result),
        Err(error) => error.into_response(),
    }
}

fn get_caller_identity(caller: &Caller) -> Vec<Element> {
    vec![
        Element::text("Arn", caller.arn()),
        Element::text("UserId", caller.user_id()),
        Element::text("Account", caller.account()),
    ]
}
