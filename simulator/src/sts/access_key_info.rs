//! GetAccessKeyInfo: the account of an access key.

use super::constraints::{ACCESS_KEY_ID, Reader};
use crate::arn;
use crate::iam::{Accounts, Caller};
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
    decision.map_err(|reason| {
        let user = caller.arn();
        let message = format!("User: {user} is not authorized to perform: {ACTION} {reason}");
        ErrorResponse::access_denied(message)
    })?;
    // AWS decodes the account from the ID of any key, even a deleted one. The simulator's IDs do not contain it.
    let key = accounts.key(id).ok_or_else(|| {
        let message = format!("{id} is not an access key ID that this simulator issued");
        ErrorResponse::validation(message)
    })?;
    let account = arn::account_of(key.owner.principal_arn());
    Ok(vec![Element::text("Account", account)])
}
