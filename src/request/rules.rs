//! The rules for the parameters of requests, which the builders share, and what a role inherits from earlier hops. The
//! numbers are in [`limits`](super::limits).

use std::time::Duration;

use aws_smithy_json::deserialize::{Token, json_token_iter};

use super::limits::*;
use super::parameter::{ProvidedContext, Tag};
use crate::arn::{Arn, is_account_id};
use crate::error::Violation;
use crate::mfa::Mfa;

/// What a role inherits from earlier hops: the input of rules that only a chain can check.
pub(crate) struct Inherited<'a> {
    /// The new role's position in the chain, from 1.
    pub(crate) hop: usize,
    pub(crate) session_name: Option<&'a str>,
    /// The partition of the previous role.
    pub(crate) partition: Option<&'a str>,
    pub(crate) source_identity: Option<&'a str>,
    pub(crate) transitive_keys: Vec<&'a str>,
}

impl Inherited<'_> {
    /// What the first role of a chain inherits.
    pub(crate) fn nothing() -> Self {
        Self {
            hop: 1,
            session_name: None,
            partition: None,
            source_identity: None,
            transitive_keys: Vec::new(),
        }
    }
}

/// Checks the shape of a role's ARN.
pub(super) fn check_role_arn(text: &str) -> Result<Arn<'_>, Violation> {
    let violation = |rule: &str| Violation::new("arn", rule, Some(text));
    const SHAPE: &str =
        "must be a role's ARN, arn:<partition>:iam::<12-digit account id>:role/<path><name>";
    if !ARN_LENGTH.contains(&text.chars().count()) {
        let rule = format!("{SHAPE}, of {} characters", span(&ARN_LENGTH));
        return Err(violation(&rule));
    }
    let arn = Arn::parse(text).ok_or_else(|| violation(SHAPE))?;
    if arn.assumed_role().is_some() {
        return Err(violation(
            "must be the role's ARN (arn:…:iam::…:role/<path><name>), not that of one of its sessions",
        ));
    }
    let (path, name) = arn.role().ok_or_else(|| violation(SHAPE))?;
    if !is_account_id(arn.account) {
        return Err(violation("must contain the 12-digit account ID"));
    }
    if path.starts_with("//") {
        return Err(violation(SHAPE));
    }
    if !is_role_name(name) {
        return Err(violation(
            "must end in a role name of 1 to 64 ASCII letters, digits and _+=,.@-",
        ));
    }
    if path.len() > MAX_PATH_LENGTH || !path.chars().all(|c| c.is_ascii_graphic()) {
        let rule = format!(
            "must have a role path of at most {MAX_PATH_LENGTH} printable ASCII characters"
        );
        return Err(violation(&rule));
    }
    Ok(arn)
}

/// Rejects roles that can never be assumed: service-linked roles, other partitions.
pub(super) fn check_assumable(
    arn: Arn<'_>,
    text: &str,
    inherited: &Inherited<'_>,
) -> Result<(), Violation> {
    let violation = |rule: &str| Err(Violation::new("arn", rule, Some(text)));
    let (path, _) = arn.role().unwrap_or_default();
    if path.starts_with("/aws-service-role/") {
        return violation("must not be a service-linked role, which only its service can assume");
    }
    match inherited.partition {
        Some(partition) if partition != arn.partition => violation(&format!(
            "must be in partition {partition}, like the previous role: credentials are not valid in \
             other partitions"
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_role_duration(
    duration: Duration,
    inherited: &Inherited<'_>,
) -> Result<(), Violation> {
    check_duration(duration, ROLE_DURATION)?;
    if inherited.hop > 1 && duration > CHAINED_LIMIT {
        let rule = format!(
            "must be at most {} s for a role that another role assumes (role chaining), regardless \
             of the role's MaxSessionDuration",
            CHAINED_LIMIT.as_secs()
        );
        let value = format!("{} s", duration.as_secs_f64());
        return Err(Violation::new("duration", rule, Some(&value)));
    }
    Ok(())
}

pub(super) fn check_policies(
    policy: Option<&str>,
    policy_arns: &[String],
    role: Arn<'_>,
) -> Result<(), Violation> {
    check_count(
        "policy_arn",
        policy_arns,
        MAX_POLICY_ARNS,
        "managed policies",
    )?;
    for arn in policy_arns {
        check_policy_arn(arn, role)?;
    }
    if let Some(policy) = policy {
        check_policy(policy)?;
    }
    let length = policy.unwrap_or_default().chars().count()
        + policy_arns.iter().map(String::len).sum::<usize>();
    if length > POLICIES_LENGTH {
        let rule = format!(
            "must have at most {POLICIES_LENGTH} characters together with the policy ARNs, not {length}"
        );
        return Err(Violation::new("policy", rule, None));
    }
    Ok(())
}

fn check_policy(policy: &str) -> Result<(), Violation> {
    if policy.starts_with('\u{feff}') {
        let rule = "must not begin with a byte order mark, which some editors write: remove it";
        return Err(Violation::new("policy", rule, None));
    }
    let is_accepted = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if let Some(at) = policy.chars().position(|c| !is_accepted(c)) {
        let rule = format!(
            "must contain only characters up to U+00FF (character {} is not allowed; write it as \
             \\u….)",
            at + 1
        );
        return Err(Violation::new("policy", rule, Some(policy)));
    }
    check_json_object(policy).map_err(|reason| {
        let rule = format!("must be a JSON object: {reason}");
        Violation::new("policy", rule, Some(policy))
    })
}

fn check_json_object(json: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut is_complete = false;
    for token in json_token_iter(json.as_bytes()) {
        let token = token.map_err(|error| error.to_string())?;
        if is_complete {
            return Err("it is followed by something else".to_owned());
        }
        match token {
            Token::StartArray { .. } if depth == 0 => return Err("it is an array".to_owned()),
            Token::StartObject { .. } | Token::StartArray { .. } => depth += 1,
            Token::EndObject { .. } | Token::EndArray { .. } => depth -= 1,
            _ if depth == 0 => return Err("it is a single value".to_owned()),
            // The tokenizer does not validate escapes; unescaping does.
            Token::ObjectKey { key: text, .. } | Token::ValueString { value: text, .. } => {
                text.to_unescaped().map_err(|error| error.to_string())?;
            }
            _ => {}
        }
        is_complete = depth == 0;
    }
    match (is_complete, depth) {
        (true, _) => Ok(()),
        (false, 0) => Err("it is empty".to_owned()),
        (false, _) => Err("it is incomplete".to_owned()),
    }
}

fn check_policy_arn(text: &str, role: Arn<'_>) -> Result<(), Violation> {
    let violation = |rule: &str| Err(Violation::new("policy_arn", rule, Some(text)));
    let is_policy = |arn: &Arn<'_>| {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
        arn.iam("policy/").is_some_and(is_name)
    };
    let Some(arn) = Arn::parse(text).filter(is_policy) else {
        return violation(
            "must be a managed policy's ARN, arn:<partition>:iam::<account id or aws>:policy/<path><name>",
        );
    };
    let Arn {
        partition, account, ..
    } = role;
    if arn.partition != partition {
        return violation(&format!("must be in partition {partition}, like the role"));
    }
    if arn.account == account || arn.account == "aws" {
        return Ok(());
    }
    violation(&format!(
        "must be a policy of the role's account ({account}) or of AWS"
    ))
}

pub(super) fn check_tags(tags: &[Tag], inherited: &Inherited<'_>) -> Result<(), Violation> {
    check_count("tag", tags, MAX_TAGS, "session tags")?;
    let is_same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    for (i, Tag { key, value, .. }) in tags.iter().enumerate() {
        let shown = Redaction::ShowValue;
        check_chars("tag", key, TAG_KEY_LENGTH, TAG, shown)
            .map_err(|violation| violation.of_part("key"))?;
        check_chars("tag", value, TAG_VALUE_LENGTH, TAG, shown)
            .map_err(|violation| violation.of_part("value"))?;
        let violation = |rule: &str| Err(Violation::new("tag", rule, Some(key)).of_part("key"));
        let prefix = key.get(..4).unwrap_or_default();
        if prefix.eq_ignore_ascii_case("aws:") {
            return violation("must not begin with aws:, which is reserved for AWS");
        }
        if let Some(earlier) = tags[..i].iter().find(|earlier| is_same(&earlier.key, key)) {
            return violation(&format!(
                "must not repeat {:?} (tag keys are case-insensitive)",
                earlier.key
            ));
        }
        if inherited
            .transitive_keys
            .iter()
            .any(|inherited| is_same(inherited, key))
        {
            return violation(
                "must not be set again: an earlier hop set it as a transitive tag, which later \
                 hops inherit and cannot change",
            );
        }
    }
    Ok(())
}

pub(super) fn check_source_identity(
    identity: Option<&str>,
    inherited: &Inherited<'_>,
) -> Result<(), Violation> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let (field, shown) = ("source_identity", Redaction::ShowValue);
    check_chars(field, identity, SOURCE_IDENTITY_LENGTH, NAME, shown)?;
    match inherited.source_identity {
        Some(earlier) if earlier != identity => {
            let rule = format!(
                "must be {earlier:?}, which an earlier hop set: STS does not allow changing it"
            );
            return Err(Violation::new(field, rule, Some(identity)));
        }
        _ => {}
    }
    if identity.chars().count() > DOCUMENTED_SOURCE_IDENTITY_LENGTH {
        tracing::warn!(
            target: "aws_role_chain",
            identity,
            "the source identity is longer than {DOCUMENTED_SOURCE_IDENTITY_LENGTH} characters: STS \
             currently accepts up to {}, but AWS documents {DOCUMENTED_SOURCE_IDENTITY_LENGTH}",
            SOURCE_IDENTITY_LENGTH.end()
        );
    }
    Ok(())
}

pub(super) fn check_provided_contexts(contexts: &[ProvidedContext]) -> Result<(), Violation> {
    let field = "provided_context";
    check_count(field, contexts, MAX_CONTEXTS, "context assertions")?;
    for ProvidedContext {
        provider_arn,
        assertion,
    } in contexts
    {
        let is_arn = Arn::parse(provider_arn).is_some();
        if !is_arn || !ARN_LENGTH.contains(&provider_arn.chars().count()) {
            let length = span(&ARN_LENGTH);
            let rule = format!("the provider must be an ARN of {length} characters");
            return Err(Violation::new(field, rule, Some(provider_arn)));
        }
        if !CONTEXT_ASSERTION_LENGTH.contains(&assertion.0.chars().count()) {
            let length = span(&CONTEXT_ASSERTION_LENGTH);
            let rule = format!("the assertion must have {length} characters");
            return Err(Violation::new(field, rule, None));
        }
    }
    Ok(())
}

/// Checks a device's serial number.
pub(super) fn check_mfa(mfa: &Mfa) -> Result<(), Violation> {
    let serial = &mfa.serial;
    check_chars("mfa", serial, SERIAL_LENGTH, SERIAL, Redaction::ShowValue)?;
    let violation = |rule| Err(Violation::new("mfa", rule, Some(serial)));
    let Some(arn) = Arn::parse(serial) else {
        return Ok(());
    };
    if arn.resource.starts_with("u2f/") {
        return violation(
            "must be a device that generates codes: passkeys and security keys cannot be used here",
        );
    }
    if !arn.resource.starts_with("mfa/") {
        return violation(
            "must be the device's serial number or ARN, arn:<partition>:iam::<account>:mfa/<name>",
        );
    }
    Ok(())
}

/// Checks the ARN of the SAML provider that issues an assertion.
pub(crate) fn check_saml_provider(text: &str) -> Result<(), Violation> {
    let is_provider = |arn: &Arn<'_>| {
        let (is_accepted, _) = NAME;
        let is_name = |name: &str| !name.is_empty() && name.chars().all(is_accepted);
        is_account_id(arn.account) && arn.iam("saml-provider/").is_some_and(is_name)
    };
    if Arn::parse(text).is_some_and(|arn| is_provider(&arn))
        && ARN_LENGTH.contains(&text.chars().count())
    {
        return Ok(());
    }
    Err(Violation::new(
        "principal_arn",
        "must be the SAML provider's ARN, arn:<partition>:iam::<account>:saml-provider/<name>",
        Some(text),
    ))
}
