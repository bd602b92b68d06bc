//! GetSessionToken: a session of a user, with or without MFA.

use super::constraints::Reader;
use super::environment::Environment;
use super::mfa;
use super::role_session::{credentials_element, new_session};
use crate::iam::{Accounts, Caller, Session, SessionPrincipal};
use crate::protocol::{Element, ErrorResponse, Parameters};

/// The limit for a root user's sessions, in seconds. A longer duration is shortened and not an error.
pub(super) const ROOT_LIMIT: i64 = 3600;

pub(super) fn answer(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    if caller.session().is_some() {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(ErrorResponse::access_denied(message));
    }
    let mut reader = Reader::new(parameters);
    let mut duration = reader.duration(43_200, 129_600)?;
    let mfa = mfa::read(&mut reader);
    reader.finish()?;
    environment.check_region(accounts, caller.account(), None)?;
    if caller.is_root() {
        duration = duration.min(ROOT_LIMIT);
    }
    let has_mfa = mfa.check(accounts, caller, environment.now)?;
    let principal = SessionPrincipal::User {
        arn: caller.arn().to_owned(),
        id: caller.principal_id().to_owned(),
    };
    let session = Session {
        mfa: has_mfa.then_some(environment.now),
        ..new_session(principal, environment, duration)
    };
    Ok(vec![credentials_element(&accounts.issue(session))])
}
