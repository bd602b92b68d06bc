//! GetSessionToken: a user's session, with or without MFA.

use std::time::SystemTime;

use super::constraints::Violations;
use super::mfa;
use super::role_session::{credentials_element, expiry};
use crate::iam::{Accounts, Caller, Session, SessionPrincipal, new_session_token};
use crate::protocol::{Element, ErrorResponse, Parameters};

pub(super) fn answer(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<Vec<Element>, ErrorResponse> {
    if caller.session().is_some() {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(ErrorResponse::access_denied(message));
    }
    let mut violations = Violations::default();
    let duration = violations.read_duration(parameters, 43_200, 129_600)?;
    violations.reject()?;
    let has_mfa = mfa::check(accounts, caller, parameters, now)?;
    let session = Session {
        principal: SessionPrincipal::User {
            arn: caller.arn().to_owned(),
        },
        token: new_session_token(),
        issued: now,
        expiry: expiry(now, duration),
        policies: Vec::new(),
        tags: Vec::new(),
        source_identity: None,
        federation: Default::default(),
        mfa: has_mfa.then_some(now),
    };
    Ok(vec![credentials_element(&accounts.issue(session))])
}
