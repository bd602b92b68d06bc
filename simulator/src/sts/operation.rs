//! Finds the operation of a request, authenticates the caller, and returns the response.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use super::environment::Environment;
use super::{
    access_key_info, assume_role, get_federation_token, get_session_token, get_web_identity_token,
    saml, web_identity,
};
use crate::iam::{Accounts, Caller};
use crate::protocol::{Element, ErrorResponse, Format, Parameters, refuse_before_routing, success};
use crate::signature::authenticate;

const VERSION: &str = "2011-06-15";

/// The operations that STS has and the simulator does not.
const NOT_SIMULATED: [&str; 3] = [
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetDelegatedAccessToken",
];

/// Answers a request to STS.
pub(crate) fn answer(
    accounts: &mut Accounts,
    request: &HttpRequest,
    parameters: &Parameters,
    environment: &Environment,
) -> HttpResponse {
    if let Some(response) = refuse_before_routing(request, parameters) {
        return response;
    }
    let action = parameters.first("Action").unwrap_or_default();
    let format = Format::accepted_by(request);
    match result(accounts, request, action, parameters, environment) {
        Ok(result) => success(action, result, format),
        Err(error) => error.into_response(format),
    }
}

fn result(
    accounts: &mut Accounts,
    request: &HttpRequest,
    action: &str,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    let version = parameters.first("Version");
    let caller = |accounts: &Accounts| authenticate(accounts, request, environment.now);
    match action {
        _ if version != Some(VERSION) => Err(unknown(action, version)),
        "AssumeRole" => {
            let caller = caller(accounts)?;
            assume_role::assume_role(accounts, &caller, parameters, environment)
        }
        // These requests are unsigned: the token or the assertion authenticates the caller.
        "AssumeRoleWithWebIdentity" => web_identity::assume_role(accounts, parameters, environment),
        "AssumeRoleWithSAML" => saml::assume_role(accounts, parameters, environment),
        "GetAccessKeyInfo" => {
            let caller = caller(accounts)?;
            access_key_info::answer(accounts, &caller, parameters)
        }
        "GetCallerIdentity" => Ok(get_caller_identity(&caller(accounts)?)),
        "GetFederationToken" => {
            let caller = caller(accounts)?;
            get_federation_token::answer(accounts, &caller, parameters, environment)
        }
        "GetSessionToken" => {
            let caller = caller(accounts)?;
            get_session_token::answer(accounts, &caller, parameters, environment)
        }
        // The global endpoint does not support it.
        "GetWebIdentityToken" if !environment.is_global_endpoint() => {
            let caller = caller(accounts)?;
            get_web_identity_token::answer(accounts, &caller, parameters, environment)
        }
        action if NOT_SIMULATED.contains(&action) => {
            let message = format!("the simulator does not support the STS operation {action}");
            Err(ErrorResponse::new(501, "NotSimulated", message))
        }
        _ => Err(unknown(action, version)),
    }
}

fn unknown(action: &str, version: Option<&str>) -> ErrorResponse {
    let version = version.unwrap_or("NO_VERSION_SPECIFIED");
    let message = format!("Could not find operation {action} for version {version}");
    ErrorResponse::new(400, "InvalidAction", message)
}

fn get_caller_identity(caller: &Caller) -> Vec<Element> {
    vec![
        Element::text("Arn", caller.arn()),
        Element::text("UserId", caller.user_id()),
        Element::text("Account", caller.account()),
    ]
}
