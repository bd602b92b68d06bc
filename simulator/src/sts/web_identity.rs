//! AssumeRoleWithWebIdentity: tokens from OpenID Connect providers, which the test signs.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::Value;

use super::constraints::{
    ARN, POLICY, PROVIDER_ID, Reader, SESSION_NAME, SOURCE_IDENTITY, WEB_IDENTITY_TOKEN,
    is_role_arn,
};
use super::environment::Environment;
use super::federation::FederatedRequest;
use super::role_session::{SessionPolicies, session_tags};
use crate::arn;
use crate::iam::{Accounts, SessionTag};
use crate::policy::{Context, keys};
use crate::protocol::{Element, ErrorResponse, Parameters};

pub(super) fn assume_role(
    accounts: &mut Accounts,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    let mut reader = Reader::new(parameters);
    let role_arn = reader.required("RoleArn", &ARN);
    let name = reader.required("RoleSessionName", &SESSION_NAME);
    let token = reader.required("WebIdentityToken", &WEB_IDENTITY_TOKEN);
    reader.optional("ProviderId", &PROVIDER_ID);
    let policy = reader.optional("Policy", &POLICY);
    let duration = reader.duration(3600, 43_200)?;
    let policy_arns = reader.policy_arns();
    reader.finish()?;
    if !is_role_arn(role_arn) {
        return Err(ErrorResponse::validation("Request ARN is invalid"));
    }
    let account = arn::account_of(role_arn);
    environment.check_region(accounts, account, None)?;

    let claims = Claims::read(accounts, token, role_arn, environment.now)?;
    let policies = SessionPolicies::read(accounts, policy, policy_arns, account)?;
    let (keys, session_keys) = (claims.keys(), claims.session_keys());
    let request = FederatedRequest {
        action: "sts:AssumeRoleWithWebIdentity",
        role_arn,
        is_role_offered: true,
        duration,
        policies,
        provider: &claims.provider,
        session_name: name.to_owned(),
        session_end: None,
        tags: claims.tags,
        source_identity: claims.source_identity,
        keys,
        session_keys,
    };
    let about_user = vec![
        Element::text("SubjectFromWebIdentityToken", claims.subject),
        Element::text("Provider", &*claims.provider),
        Element::text("Audience", claims.audience),
    ];
    request.assume_role(accounts, environment, about_user)
}

/// The claims of a token whose signature, audience and expiry are valid.
struct Claims {
    /// The ARN of the identity provider.
    provider: String,
    /// The issuer without its scheme: the prefix of the condition keys.
    issuer: String,
    subject: String,
    audience: String,
    /// Other claims that are condition keys, with their values.
    others: Vec<(&'static str, Vec<String>)>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Claims {
    fn read(
        accounts: &Accounts,
        token: &str,
        role_arn: &str,
        now: SystemTime,
    ) -> Result<Self, ErrorResponse> {
        let invalid = |message: &str| ErrorResponse::invalid_identity_token(message);
        let malformed = || invalid("The ID Token provided is not a valid JWT.");
        // The claims are read before the signature is verified, because the issuer determines the key.
        let header = decode_header(token).map_err(|_| malformed())?;
        let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token)
            .map_err(|_| malformed())?
            .claims;
        let issuer = claims["iss"].as_str().unwrap_or_default().to_owned();
        let host = issuer.strip_prefix("https://").unwrap_or(&issuer);
        let (partition, account) = (arn::partition_of(role_arn), arn::account_of(role_arn));
        let arn = format!("arn:{partition}:iam::{account}:oidc-provider/{host}");
        let provider = accounts.oidc_providers.get(&arn).ok_or_else(|| {
            invalid(&format!(
                "No OpenIDConnect provider found in your account for {issuer}"
            ))
        })?;
        // If the token has an authorized party (`azp`), it is compared instead of the audience: AWS rejects Microsoft's
        // version 2 tokens for that reason, and IAM's documentation of `accounts.google.com:aud` says so.
        let audiences: Vec<&str> = match (&claims["azp"], &claims["aud"]) {
            (Value::String(party), _) => vec![party],
            (_, Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            (_, one) => one.as_str().into_iter().collect(),
        };
        let is_known = |audience: &&&str| provider.client_ids.iter().any(|id| id == **audience);
        let audience = audiences
            .iter()
            .find(is_known)
            .ok_or_else(|| invalid("Incorrect token audience"))?;
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = |name: &str| match &claims[name] {
            Value::Null => Ok(None),
            value => value.as_u64().map(Some).ok_or_else(malformed),
        };
        let (issued, expiration) = (time("iat")?, time("exp")?.ok_or_else(malformed)?);
        if expiration <= at {
            let message = format!(
                "Token expired: current date/time {at} must be before the expiration date/time \
                 {expiration}"
            );
            return Err(ErrorResponse::new(400, "ExpiredTokenException", message));
        }
        if accounts.settings.unconfirmed_rules
            && (issued.is_none() || time("nbf")?.is_some_and(|start| start > at))
        {
            return Err(malformed());
        }
        let key = provider.key(header.kid.as_deref(), header.alg).ok_or_else(|| {
            invalid(
                "Couldn't retrieve verification key from your identity provider,  please reference \
                 AssumeRoleWithWebIdentity documentation for requirements",
            )
        })?;
        // Audience and times are checked above, the times by the simulator's clock.
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        decode::<Value>(token, &key.key, &validation)
            .map_err(|_| invalid("Token signature is invalid"))?;

        let source_identity = claims["https://aws.amazon.com/source_identity"].as_str();
        let (tags, transitive_keys) = read_tags(&claims);
        // No response of AWS for claims that violate these rules is recorded.
        let nothing = Parameters::default();
        let mut reader = Reader::new(&nothing);
        reader.check_tags(&tags);
        if let Some(identity) = source_identity {
            reader.check("SourceIdentity", identity, &SOURCE_IDENTITY);
        }
        reader.finish()?;
        Ok(Self {
            subject: claims["sub"].as_str().unwrap_or_default().to_owned(),
            audience: (*audience).to_owned(),
            others: other_claims(&claims, host),
            tags: session_tags(tags, &transitive_keys, &[])?,
            source_identity: source_identity.map(str::to_owned),
            issuer: host.to_owned(),
            provider: arn,
        })
    }

    /// Returns the condition keys that the session keeps. Keys of the token are kept only if AWS knows the issuer. The
    /// IAM guide gives an ARN as the value of `aws:FederatedProvider`; AWS's responses show the issuer.
    fn session_keys(&self) -> Context {
        let is_kept = matches!(
            self.issuer.as_str(),
            "accounts.google.com"
                | "cognito-identity.amazonaws.com"
                | "graph.facebook.com"
                | "www.amazon.com"
        );
        let mut context = if is_kept {
            self.token_keys()
        } else {
            Context::default()
        };
        context.set("aws:FederatedProvider", &*self.issuer);
        context
    }

    /// Returns the condition keys with the claims of the token.
    fn token_keys(&self) -> Context {
        let mut context = Context::default();
        let name = |claim: &str| format!("{}:{claim}", self.issuer);
        for (claim, values) in &self.others {
            context.set_all(&name(claim), values.clone());
        }
        context.set(&name("sub"), &*self.subject);
        context.set(&name("aud"), &*self.audience);
        context
    }

    /// Returns the condition keys of a request with this token.
    fn keys(&self) -> Context {
        let mut context = self.token_keys();
        context.set("aws:FederatedProvider", &*self.issuer);
        context
    }
}

/// Returns the values of the claims that are condition keys, other than `sub` and `aud`.
fn other_claims(claims: &Value, issuer: &str) -> Vec<(&'static str, Vec<String>)> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let names = keys::CLAIMS.iter().chain(keys::claims_of(issuer));
    let names = names.filter(|name| !matches!(**name, "sub" | "aud"));
    names
        // `oaud` is the audience that the token was requested for.
        .map(
            |name| match &claims[if *name == "oaud" { "aud" } else { name }] {
                Value::Array(all) => (*name, all.iter().filter_map(text).collect()),
                one => (*name, text(one).into_iter().collect()),
            },
        )
        .collect()
}

/// Reads the session tags and the keys of the transitive ones. They are in one claim, `"https://aws.amazon.com/tags":
/// {"principal_tags": {"team": ["payments"]}, "transitive_tag_keys": ["team"]}`, or in one claim for each tag,
/// `"https://aws.amazon.com/tags/principal_tags/team": "payments"`.
fn read_tags(claims: &Value) -> (Vec<(String, String)>, Vec<String>) {
    const TAGS: &str = "https://aws.amazon.com/tags";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let first = |values: &Value| match values {
        Value::Array(values) => values.first().map(text).unwrap_or_default(),
        one => text(one),
    };
    let nested = claims[TAGS]["principal_tags"].as_object();
    let nested = nested.into_iter().flatten();
    let nested = nested.map(|(key, values)| (key.clone(), first(values)));
    let flat = claims.as_object().into_iter().flatten();
    let flat = flat.filter_map(|(name, values)| {
        let key = name.strip_prefix(TAGS)?.strip_prefix("/principal_tags/")?;
        Some((key.to_owned(), first(values)))
    });
    let keys = [
        &claims[TAGS]["transitive_tag_keys"],
        &claims[format!("{TAGS}/transitive_tag_keys")],
    ];
    let keys = keys.into_iter().filter_map(Value::as_array).flatten();
    (nested.chain(flat).collect(), keys.map(text).collect())
}
