//! AssumeRoleWithWebIdentity: tokens of the OpenID Connect providers that a test holds the keys of.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::Value;

use super::policy::Context;
use super::sts::{
    Parameters, Refusal, all_within_limits, assumed, check_duration, escaped, expiry,
    federated_role, is_role_arn, read_duration, session_policies, set_federated_keys,
    source_identity, violations,
};
use super::world::{Holder, OidcProvider, Session, SessionTag, World, account_of, random};

pub(super) fn assume_role(
    world: &mut World,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<String, Refusal> {
    let given = |name: &str| parameters.first(name).unwrap_or_default();
    let (role_arn, name) = (given("RoleArn"), given("RoleSessionName"));
    let token = given("WebIdentityToken");
    let names = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let (duration, mut broken) = read_duration(parameters, 3600, 43_200)?;
    broken.extend(violations("RoleArn", role_arn, 20, 2048, None));
    broken.extend(violations(
        "RoleSessionName",
        name,
        2,
        64,
        Some((r"[\w+=,.@-]*", &names)),
    ));
    broken.extend(violations("WebIdentityToken", token, 4, 20_000, None));
    all_within_limits(&broken)?;
    if !is_role_arn(role_arn) {
        return Err(Refusal::invalid("Request ARN is invalid"));
    }

    let claims = Claims::read(world, token, &account_of(role_arn), now)?;
    let policies = session_policies(
        world,
        parameters.first("Policy"),
        &parameters.list("PolicyArns.member"),
    )?;
    let mut actions = vec!["sts:AssumeRoleWithWebIdentity"];
    if !claims.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if let Some(identity) = &claims.source_identity {
        actions.push("sts:SetSourceIdentity");
        let broken = violations(
            "SourceIdentity",
            identity,
            2,
            256,
            Some((r"[\w+=,.@-]*", &names)),
        );
        all_within_limits(&broken)?;
    }
    let context = |action: &str| claims.context(name, action);
    let role = federated_role(world, role_arn, &claims.provider, &actions, &context)?;
    check_duration(duration, &role, false)?;

    let session = Session {
        holder: Holder::Role {
            arn: role_arn.to_owned(),
            id: role.id,
            session_name: name.to_owned(),
        },
        token: random(640),
        issued: now,
        expiry: expiry(now, duration),
        policies,
        tags: claims.tags,
        source_identity: claims.source_identity,
        mfa: None,
    };
    let subject = format!(
        "    <SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>\n    \
         <Provider>{}</Provider>\n    <Audience>{}</Audience>\n",
        escaped(&claims.subject),
        escaped(&claims.provider),
        escaped(&claims.audience)
    );
    let identity = source_identity(&session);
    Ok(assumed(&session) + &subject + &world.issue(session) + &identity)
}

/// What a token says, once its signature, audience and time are found good.
struct Claims {
    /// The ARN of its issuer's provider.
    provider: String,
    /// The issuer without its scheme, as condition keys begin.
    issuer: String,
    subject: String,
    audience: String,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Claims {
    fn read(world: &World, token: &str, account: &str, now: SystemTime) -> Result<Self, Refusal> {
        let invalid = |message: &str| Refusal::new(400, "InvalidIdentityToken", message);
        // Read first without the key, which is the issuer's.
        let unread = || invalid("The ID Token provided is not a valid JWT.");
        let header = decode_header(token).map_err(|_| unread())?;
        let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token)
            .map_err(|_| unread())?
            .claims;
        let issuer = claims["iss"].as_str().unwrap_or_default().to_owned();
        let host = issuer.strip_prefix("https://").unwrap_or(&issuer);
        let arn = format!("arn:aws:iam::{account}:oidc-provider/{host}");
        let provider: &OidcProvider = world.oidc_provider(&arn).ok_or_else(|| {
            invalid(&format!(
                "No OpenIDConnect provider found in your account for {issuer}"
            ))
        })?;
        let audiences: Vec<&str> = match &claims["aud"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let known = |audience: &&&str| provider.client_ids.iter().any(|id| id == **audience);
        let audience = audiences
            .iter()
            .find(known)
            .ok_or_else(|| invalid("Incorrect token audience"))?;
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match claims["exp"].as_u64() {
            None => return Err(unread()),
            Some(expiration) if expiration <= at => {
                let message = format!(
                    "Token expired: current date/time {at} must be before the expiration date/time \
                     {expiration}"
                );
                return Err(Refusal::new(400, "ExpiredTokenException", message));
            }
            Some(_) => {}
        }
        // Audience and time are checked above, on the simulator's clock.
        let mut validation = Validation::new(provider.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let signed = header.alg == provider.algorithm
            && decode::<Value>(token, &provider.key, &validation).is_ok();
        if !signed {
            return Err(invalid("Token signature is invalid"));
        }
        Ok(Self {
            subject: claims["sub"].as_str().unwrap_or_default().to_owned(),
            audience: (*audience).to_owned(),
            tags: read_tags(&claims["https://aws.amazon.com/tags"]),
            source_identity: claims["https://aws.amazon.com/source_identity"]
                .as_str()
                .map(str::to_owned),
            issuer: host.to_owned(),
            provider: arn,
        })
    }

    fn context(&self, session_name: &str, action: &str) -> Context {
        let mut context = Context::default();
        context.set(&format!("{}:sub", self.issuer), &*self.subject);
        context.set(&format!("{}:aud", self.issuer), &*self.audience);
        context.set("aws:FederatedProvider", &*self.provider);
        set_federated_keys(
            &mut context,
            action,
            session_name,
            &self.tags,
            self.source_identity.as_deref(),
        );
        context
    }
}

/// `{"principal_tags": {"team": ["payments"]}, "transitive_tag_keys": ["team"]}`.
fn read_tags(claim: &Value) -> Vec<SessionTag> {
    let transitive = claim["transitive_tag_keys"].as_array();
    let is_transitive =
        |key: &str| transitive.is_some_and(|keys| keys.iter().any(|transitive| transitive == key));
    let tags = claim["principal_tags"].as_object().into_iter().flatten();
    tags.map(|(key, values)| SessionTag {
        transitive: is_transitive(key),
        value: values[0].as_str().unwrap_or_default().to_owned(),
        key: key.clone(),
    })
    .collect()
}
