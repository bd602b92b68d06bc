//! GetAccessKeyInfo: the account of an access key.

use super::constraints::{ACCESS_KEY_ID, Reader};
use crate::arn;
use crate::iam::{Accounts, Caller};
use crate::policy::{Outcome, PolicyKind, no_policy_allows};
use crate::protocol::{Element, ErrorResponse, Parameters};

const ACTION: &str = "sts:GetAccessKeyInfo";

pub(super) fn answer(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
) -> Result<Vec<Element>, ErrorResponse> {
    let mut reader = Reader::new(parameters);
    let id = reader.required("AccessKeyId", &ACCESS_KEY_ID);
    reader.finish()?;
    let decision = accounts.decide(caller, ACTION, "*", &caller.context());
    let is_barred = caller.is_barred_from(ACTION);
    if decision != Outcome::Allowed || is_barred {
        let reason = match accounts.latest_decision() {
            Some(refusal) if !is_barred => refusal.refusal_clause(),
            _ => no_policy_allows(PolicyKind::Identity, ACTION),
        };
        let user = caller.arn();
        let message = format!("User: {user} is not authorized to perform: {ACTION} {reason}");
        return Err(ErrorResponse::access_denied(message));
    }
    // AWS reads the account from the ID of any key, deleted or not. The simulator's IDs do not have it.
    let key = accounts.key(id).ok_or_else(|| {
        let message = format!("{id} is not an access key ID that this simulator issued");
        ErrorResponse::validation(message)
    })?;
    let account = arn::account_of(key.owner.principal_arn());
    Ok(vec![Element::text("Account", account)])
}
