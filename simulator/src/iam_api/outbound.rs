//! Outbound identity federation: enables and disables GetWebIdentityToken for an account.

use super::call::{Answer, Call};
use crate::protocol::{Element, ErrorResponse};

pub(super) fn enable(call: &mut Call<'_>) -> Answer {
    call.authorize("*")?;
    let issuer = call.accounts.token_issuer(call.account);
    if issuer.is_some_and(|issuer| issuer.is_enabled) {
        let message = "Outbound web identity federation is already enabled for your account.";
        return Err(ErrorResponse::new(409, "FeatureEnabled", message));
    }
    let url = call.accounts.enable_token_issuer(call.account)?;
    Ok(Some(vec![Element::text("IssuerIdentifier", url)]))
}

pub(super) fn disable(call: &mut Call<'_>) -> Answer {
    call.authorize("*")?;
    if call.accounts.disable_token_issuer(call.account) {
        Ok(None)
    } else {
        Err(disabled())
    }
}

pub(super) fn info(call: &mut Call<'_>) -> Answer {
    call.authorize("*")?;
    let issuer = call.accounts.token_issuer(call.account);
    let issuer = issuer
        .filter(|issuer| issuer.is_enabled)
        .ok_or_else(disabled)?;
    Ok(Some(vec![
        Element::text("IssuerIdentifier", &*issuer.url),
        Element::text("JwtVendingEnabled", "true"),
    ]))
}

fn disabled() -> ErrorResponse {
    let message = "Outbound web identity federation is not enabled for your account.";
    ErrorResponse::new(404, "FeatureDisabled", message)
}
