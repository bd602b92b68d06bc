//! The policies of users, roles and groups: inline policies, attached policies and the permissions boundary.

use super::call::{Answer, Call, Kind, is_policy_arn, limit_exceeded, no_such_entity};
use super::managed_policies::find;
use super::render::{attached, document};
use crate::iam::check_inline_policies_length;
use crate::protocol::{Element, ErrorResponse};

/// The maximum number of managed policies attached to a user, role or group.
const MAX_ATTACHED: usize = 10;

impl Kind {
    /// Returns the maximum total length of all inline policies, in characters without white space.
    fn max_inline(self) -> usize {
        match self {
            Self::User => 2048,
            Self::Role => 10_240,
            Self::Group => 5120,
        }
    }
}

pub(super) fn put(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let policy_name = call.name("PolicyName", 128)?;
    let text = call.required("PolicyDocument")?;
    let entity = call.authorized(kind)?;
    let arn = entity.arn.clone();
    let others = entity
        .inline
        .iter()
        .filter(|(name, _)| *name != policy_name);
    let mut texts: Vec<String> = others.map(|(_, document)| document.text.clone()).collect();
    texts.push(text.to_owned());
    check_inline_policies_length(&arn, kind.word(), &texts, kind.max_inline())?;
    let document = call.read(&format!("{policy_name} of {arn}"), text)?;
    let entity = call.authorized(kind)?;
    entity.inline.insert(policy_name.to_owned(), document);
    call.apply(kind, name);
    Ok(None)
}

pub(super) fn get(call: &mut Call<'_>, kind: Kind) -> Answer {
    let policy_name = call.name("PolicyName", 128)?;
    let entity = call.authorized(kind)?;
    let policy = entity.inline.get(policy_name);
    let policy = policy.ok_or_else(|| no_such_policy(kind, policy_name))?;
    Ok(Some(vec![
        Element::text(kind.parameter(), entity.name()),
        Element::text("PolicyName", policy_name),
        document("PolicyDocument", &policy.text),
    ]))
}

pub(super) fn delete(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let policy_name = call.name("PolicyName", 128)?;
    let removed = call.authorized(kind)?.inline.remove(policy_name);
    removed.ok_or_else(|| no_such_policy(kind, policy_name))?;
    call.apply(kind, name);
    Ok(None)
}

fn no_such_policy(kind: Kind, name: &str) -> ErrorResponse {
    let kind = kind.word();
    no_such_entity(format!(
        "The {kind} policy with name {name} cannot be found."
    ))
}

pub(super) fn list(call: &mut Call<'_>, kind: Kind) -> Answer {
    let names = call.authorized(kind)?.inline.keys();
    let names = names.map(|name| Element::text("member", &**name)).collect();
    call.page("PolicyNames", names)
}

pub(super) fn attach(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let policy = call.required("PolicyArn")?;
    call.authorized(kind)?;
    check_attachable(call, policy)?;
    let attached = &mut call.authorized(kind)?.attached;
    if !attached.iter().any(|arn| arn == policy) {
        if attached.len() == MAX_ATTACHED {
            let kind = kind.element();
            return Err(limit_exceeded(format!(
                "Cannot exceed quota for PoliciesPer{kind}: {MAX_ATTACHED}"
            )));
        }
        attached.push(policy.to_owned());
    }
    call.apply(kind, name);
    Ok(None)
}

/// Checks that a managed policy exists in the caller's account, or as an AWS managed policy.
fn check_attachable(call: &mut Call<'_>, arn: &str) -> Result<(), ErrorResponse> {
    if !is_policy_arn(arn) {
        return Err(ErrorResponse::validation(format!(
            "ARN {arn} is not valid."
        )));
    }
    find(call, arn)
        .map(drop)
        .map_err(|_| no_such_entity(format!("Policy {arn} does not exist or is not attachable.")))
}

pub(super) fn detach(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let policy = call.required("PolicyArn")?;
    let attached = &mut call.authorized(kind)?.attached;
    let before = attached.len();
    attached.retain(|arn| arn != policy);
    if attached.len() == before {
        return Err(no_such_entity(format!("Policy {policy} was not found.")));
    }
    call.apply(kind, name);
    Ok(None)
}

pub(super) fn list_attached(call: &mut Call<'_>, kind: Kind) -> Answer {
    let attached = attached(call.authorized(kind)?);
    call.page("AttachedPolicies", attached)
}

/// Returns the parameter `PermissionsBoundary`, which must be an existing managed policy.
pub(super) fn boundary(call: &mut Call<'_>) -> Result<Option<String>, ErrorResponse> {
    let Some(arn) = call.optional("PermissionsBoundary") else {
        return Ok(None);
    };
    check_attachable(call, arn)?;
    Ok(Some(arn.to_owned()))
}

pub(super) fn put_boundary(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    call.required("PermissionsBoundary")?;
    call.authorized(kind)?;
    let boundary = boundary(call)?;
    call.authorized(kind)?.boundary = boundary;
    call.apply(kind, name);
    Ok(None)
}

pub(super) fn delete_boundary(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let entity = call.authorized(kind)?;
    if entity.boundary.take().is_none() {
        let kind = kind.word();
        return Err(no_such_entity(format!(
            "The {kind} with name {name} does not have a permissions boundary."
        )));
    }
    call.apply(kind, name);
    Ok(None)
}
