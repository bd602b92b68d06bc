//! GetFederationToken: a session of a federated user, limited to what both the caller's policies and the session
//! policies allow.

use super::constraints::{FEDERATED_USER_NAME, POLICY, Reader};
use super::environment::Environment;
use super::get_session_token::ROOT_LIMIT;
use super::role_session::{
    SessionPolicies, credentials_element, denied, new_session, session_tags, set_tag_keys,
};
use crate::arn;
use crate::iam::{Accounts, Caller, Session, SessionPrincipal};
use crate::protocol::{Element, ErrorResponse, Parameters};

pub(super) fn answer(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    if caller.session().is_some() {
        let message = "Cannot call GetFederationToken with session credentials";
        return Err(ErrorResponse::access_denied(message));
    }
    let mut reader = Reader::new(parameters);
    let name = reader.required("Name", &FEDERATED_USER_NAME);
    let policy = reader.optional("Policy", &POLICY);
    let mut duration = reader.duration(43_200, 129_600)?;
    let policy_arns = reader.policy_arns();
    let tags = reader.tags();
    reader.finish()?;
    environment.check_region(accounts, caller.account(), None)?;
    if caller.is_root() {
        duration = duration.min(ROOT_LIMIT);
    }
    // Tags cannot be transitive, because a federated user cannot assume roles.
    let tags = session_tags(tags, &[], &[])?;
    let account = arn::account_of(caller.arn());
    let policies = SessionPolicies::read(accounts, policy, policy_arns, account)?;

    let principal = SessionPrincipal::FederatedUser {
        user_arn: caller.arn().to_owned(),
        user_id: caller.principal_id().to_owned(),
        name: name.to_owned(),
    };
    let session = new_session(principal, environment, duration);
    let (federated_arn, federated_id) = (session.arn(), session.user_id());
    let mut actions = vec!["sts:GetFederationToken"];
    if !tags.is_empty() {
        actions.push("sts:TagSession");
    }
    for action in actions {
        let mut context = caller.context();
        set_tag_keys(&mut context, &tags);
        let decision = accounts.decide(caller, action, &federated_arn, &context);
        decision.map_err(|_| denied(caller, action, &federated_arn))?;
    }
    let packed_size = policies.packed_size(accounts, &tags)?;
    let session = Session {
        policies: policies.documents,
        tags,
        ..session
    };
    Ok(vec![
        credentials_element(&accounts.issue(session)),
        Element::parent(
            "FederatedUser",
            vec![
                Element::text("FederatedUserId", federated_id),
                Element::text("Arn", federated_arn),
            ],
        ),
        // Unlike the operations that assume a role, this one returns a packed size even if nothing was packed.
        Element::number("PackedPolicySize", packed_size.unwrap_or_default()),
    ])
}
