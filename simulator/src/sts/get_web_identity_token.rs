//! GetWebIdentityToken: a token with which the caller proves its identity to services outside AWS.

use std::time::UNIX_EPOCH;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::constraints::{AUDIENCE, Reader, SIGNING_ALGORITHM};
use super::environment::Environment;
use super::role_session::{denied, expiry, session_tags, set_tag_keys};
use crate::clock::timestamp;
use crate::iam::{Accounts, Caller};
use crate::protocol::{Element, ErrorResponse, Parameters};

/// The claim that contains AWS's own claims.
const AWS_CLAIMS: &str = "https://sts.amazonaws.com/";

pub(super) fn answer(
    accounts: &mut Accounts,
    caller: &Caller,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    let mut reader = Reader::new(parameters);
    let audiences = reader.required_list("Audience", 10, &AUDIENCE);
    let algorithm = reader.required("SigningAlgorithm", &SIGNING_ALGORITHM);
    let duration = reader.duration_within(300, 60..=3600)?;
    let tags = reader.tags();
    reader.finish()?;
    let signs_with = match algorithm {
        "RS256" => Algorithm::RS256,
        "ES384" => Algorithm::ES384,
        // No response of AWS in this case is recorded.
        other => {
            return Err(ErrorResponse::validation(format!(
                "1 validation error detected: Value '{other}' at 'signingAlgorithm' failed to satisfy \
                 constraint: Member must satisfy enum value set: [RS256, ES384]"
            )));
        }
    };
    let tags = session_tags(tags, &[], &[])?;
    environment.check_region(accounts, caller.account(), None)?;

    let resource = format!("arn:{}:sts::{}:self", caller.partition(), caller.account());
    let mut actions = vec!["sts:GetWebIdentityToken"];
    if !tags.is_empty() {
        actions.push("sts:TagGetWebIdentityToken");
    }
    for action in actions {
        let mut context = caller.context();
        context.set_all("sts:IdentityTokenAudience", audiences.clone());
        context.set("sts:SigningAlgorithm", algorithm);
        context.set("sts:DurationSeconds", duration.to_string());
        set_tag_keys(&mut context, &tags);
        let decision = accounts.decide(caller, action, &resource, &context);
        decision.map_err(|_| denied(caller, action, &resource))?;
    }

    let end = expiry(environment, duration);
    if caller.session().is_some_and(|session| end > session.expiry) {
        let message = "The requested token duration would extend the session beyond its original expiration \
                       time.";
        let code = "SessionDurationEscalationException";
        return Err(ErrorResponse::new(403, code, message));
    }
    let issuer = accounts.token_issuer(caller.account());
    let Some(issuer) = issuer.filter(|issuer| issuer.is_enabled) else {
        return Err(ErrorResponse::new(
            403,
            "OutboundWebIdentityFederationDisabledException",
            "The outbound web identity federation feature is not enabled for this account.",
        ));
    };
    let seconds = |time: std::time::SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    };
    let request_tags: Map<String, Value> = tags
        .into_iter()
        .map(|tag| (tag.key, tag.value.into()))
        .collect();
    let audience = match <[String; 1]>::try_from(audiences) {
        Ok([one]) => one.into(),
        Err(several) => Value::from(several),
    };
    let claims = json!({
        "iss": issuer.url,
        "sub": caller.principal_arn(),
        "aud": audience,
        "iat": seconds(environment.now),
        "exp": seconds(end),
        "jti": Uuid::new_v4().to_string(),
        AWS_CLAIMS: aws_claims(accounts, caller, environment, request_tags),
    });
    let token = issuer
        .sign(signs_with, &claims)
        .ok_or_else(|| ErrorResponse::new(500, "InternalFailure", "the token cannot be signed"))?;
    Ok(vec![
        Element::text("WebIdentityToken", token),
        Element::time("Expiration", end),
    ])
}

/// Returns AWS's own claims. Those that do not apply to the caller are omitted.
fn aws_claims(
    accounts: &Accounts,
    caller: &Caller,
    environment: &Environment,
    request_tags: Map<String, Value>,
) -> Value {
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("aws_account", caller.account().into());
    set("source_region", environment.region().into());
    set("principal_id", caller.principal_arn().into());
    if let Some((organization, paths)) = accounts.organization_of(caller.account()) {
        set("org_id", organization.into());
        set("ou_path", paths.into());
    }
    if let Some(session) = caller.session() {
        set("original_session_exp", timestamp(session.expiry).into());
        if let Some(identity) = &session.source_identity {
            set("source_identity", identity.as_str().into());
        }
    }
    let principal_tags: Map<String, Value> = caller
        .tags()
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    for (name, tags) in [
        ("principal_tags", principal_tags),
        ("request_tags", request_tags),
    ] {
        if !tags.is_empty() {
            set(name, tags.into());
        }
    }
    claims.into()
}
