//! Managed policies and their versions, including a few AWS managed policies.

use super::call::{
    Answer, Call, Kind, already_exists, delete_conflict, limit_exceeded, no_such_entity,
};
use super::render::{date, document, tags};
use crate::arn;
use crate::iam::{
    AWS_POLICIES, Document, Entity, PolicyRecord, PolicyVersion, check_managed_policy_length,
};
use crate::protocol::{Element, ErrorResponse};

const MAX_VERSIONS: usize = 5;

/// Returns a managed policy of the caller's account, or an AWS managed policy.
pub(super) fn find<'c>(
    call: &'c mut Call<'_>,
    arn: &str,
) -> Result<&'c mut PolicyRecord, ErrorResponse> {
    let missing = || no_such_entity(format!("Policy {arn} was not found."));
    let account = arn::account_of(arn);
    call.accounts.add_aws_policy(arn);
    if account == "aws" && !call.accounts.directory.policies.contains_key(arn) {
        return Err(no_such_entity(format!(
            "Policy {arn} was not found: of the AWS managed policies, the simulator knows only {}, and those in \
             imported accounts.",
            AWS_POLICIES.map(|(name, _)| name).join(", ")
        )));
    }
    if account != "aws" && account != call.account {
        return Err(missing());
    }
    let policies = &mut call.accounts.directory.policies;
    policies.get_mut(arn).ok_or_else(missing)
}

/// Returns the policy that the request names, if the caller may perform the operation on it.
fn authorized<'c>(call: &'c mut Call<'_>) -> Result<&'c mut PolicyRecord, ErrorResponse> {
    let arn = call.required("PolicyArn")?;
    let tags = call.accounts.directory.policies.get(arn);
    let tags = tags.map(|policy| policy.tags.clone()).unwrap_or_default();
    call.authorize_tagged(arn, &tags)?;
    find(call, arn)
}

/// Reads the parameter `PolicyDocument`.
fn document_of(call: &Call<'_>, arn: &str) -> Result<Document, ErrorResponse> {
    let text = call.required("PolicyDocument")?;
    check_managed_policy_length("", text)?;
    call.read(arn, text)
}

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let name = call.name("PolicyName", 128)?;
    let arn = call.arn(&format!("policy{}{name}", call.path()?));
    call.authorize_creation(&arn, "TagPolicy")?;
    let document = document_of(call, &arn)?;
    if own(call).any(|policy| arn::name_of(&policy.arn).eq_ignore_ascii_case(name)) {
        return Err(already_exists(format!(
            "A policy called {name} already exists. Duplicate names are not allowed."
        )));
    }
    let mut policy = PolicyRecord::new(&arn, document, call.now);
    policy.description = call.optional("Description").map(str::to_owned);
    policy.tags = call.tags()?;
    let description = call.describe_policy(&policy, true);
    call.accounts.set_managed_policy(policy);
    Ok(Some(vec![Element::parent("Policy", description)]))
}

/// Returns the managed policies of the caller's account.
fn own<'c>(call: &'c Call<'_>) -> impl Iterator<Item = &'c PolicyRecord> {
    let policies = call.accounts.directory.policies.values();
    policies.filter(|policy| arn::account_of(&policy.arn) == call.account)
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let policy = authorized(call)?.clone();
    let description = call.describe_policy(&policy, true);
    Ok(Some(vec![Element::parent("Policy", description)]))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let policy = authorized(call)?.clone();
    if policy.versions.len() > 1 {
        return Err(delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the \
             policy's versions. The default version is deleted with the policy.",
        ));
    }
    let uses = |entity: &Entity| {
        entity.attached.contains(&policy.arn) || entity.boundary.as_ref() == Some(&policy.arn)
    };
    if call.accounts.directory.entities(call.account).any(uses) {
        return Err(delete_conflict(
            "Cannot delete a policy attached to entities.",
        ));
    }
    call.accounts.directory.policies.remove(&policy.arn);
    Ok(None)
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    call.authorize(&call.arn("policy/*"))?;
    let prefix = call.optional("PathPrefix").unwrap_or("/");
    let only_attached = call.optional("OnlyAttached") == Some("true");
    let scope = call.optional("Scope").unwrap_or("All");
    let attached = |policy: &PolicyRecord| {
        let mut entities = call.accounts.directory.entities(call.account);
        entities.any(|entity| entity.attached.contains(&policy.arn))
    };
    let is_listed = |policy: &&PolicyRecord| {
        let account = arn::account_of(&policy.arn);
        let in_scope =
            account == call.account && scope != "AWS" || account == "aws" && scope != "Local";
        in_scope
            && crate::iam::path_of(&policy.arn).starts_with(prefix)
            && (!only_attached || attached(policy))
    };
    let policies = call.accounts.directory.policies.values();
    let listed = policies
        .filter(is_listed)
        .map(|policy| Element::parent("member", call.describe_policy(policy, false)))
        .collect();
    call.page("Policies", listed)
}

pub(super) fn list_entities(call: &mut Call<'_>) -> Answer {
    let arn = authorized(call)?.arn.clone();
    let list = |kind: Kind, id: &'static str| {
        let attached = call
            .entities(kind)
            .into_iter()
            .filter(|e| e.attached.contains(&arn));
        let members = attached.map(|entity| {
            Element::parent(
                "member",
                vec![
                    Element::text(kind.parameter(), entity.name()),
                    Element::text(id, &*entity.id),
                ],
            )
        });
        members.collect()
    };
    Ok(Some(vec![
        Element::parent("PolicyGroups", list(Kind::Group, "GroupId")),
        Element::parent("PolicyUsers", list(Kind::User, "UserId")),
        Element::parent("PolicyRoles", list(Kind::Role, "RoleId")),
        Element::text("IsTruncated", "false"),
    ]))
}

pub(super) fn create_version(call: &mut Call<'_>) -> Answer {
    let document = document_of(call, call.required("PolicyArn")?)?;
    let (now, is_default) = (call.now, call.optional("SetAsDefault") == Some("true"));
    let policy = authorized(call)?;
    if policy.versions.len() == MAX_VERSIONS {
        return Err(limit_exceeded(format!(
            "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you \
             must delete an existing version."
        )));
    }
    // The numbers of deleted versions are not reused.
    policy.latest_version += 1;
    let number = policy.latest_version;
    let version = PolicyVersion {
        document,
        created: now,
    };
    policy.versions.insert(number, version);
    policy.updated = now;
    if is_default {
        policy.default_version = number;
    }
    let created = describe_version(policy, number, false);
    apply_everywhere(call);
    Ok(Some(vec![Element::parent("PolicyVersion", created)]))
}

pub(super) fn get_version(call: &mut Call<'_>) -> Answer {
    let number = version_number(call)?;
    let policy = authorized(call)?;
    check_version(policy, number)?;
    let version = describe_version(policy, number, true);
    Ok(Some(vec![Element::parent("PolicyVersion", version)]))
}

pub(super) fn delete_version(call: &mut Call<'_>) -> Answer {
    let number = version_number(call)?;
    let policy = authorized(call)?;
    check_version(policy, number)?;
    if policy.default_version == number {
        return Err(delete_conflict(
            "Cannot delete the default version of a policy.",
        ));
    }
    policy.versions.remove(&number);
    Ok(None)
}

pub(super) fn list_versions(call: &mut Call<'_>) -> Answer {
    let policy = authorized(call)?;
    let versions = policy.versions.keys().rev();
    let listed = versions
        .map(|number| Element::parent("member", describe_version(policy, *number, false)))
        .collect();
    call.page("Versions", listed)
}

pub(super) fn set_default_version(call: &mut Call<'_>) -> Answer {
    let (number, now) = (version_number(call)?, call.now);
    let policy = authorized(call)?;
    check_version(policy, number)?;
    policy.default_version = number;
    policy.updated = now;
    apply_everywhere(call);
    Ok(None)
}

/// Applies a change of a managed policy to all entities of the account.
fn apply_everywhere(call: &mut Call<'_>) {
    call.accounts.apply_account(call.account);
}

/// Reads the parameter `VersionId`, such as `v2`; returns 0 if it is not a valid version ID.
fn version_number(call: &Call<'_>) -> Result<u32, ErrorResponse> {
    let id = call.required("VersionId")?;
    let number = id.strip_prefix('v').and_then(|number| number.parse().ok());
    Ok(number.unwrap_or(0))
}

fn check_version(policy: &PolicyRecord, number: u32) -> Result<(), ErrorResponse> {
    if policy.versions.contains_key(&number) {
        return Ok(());
    }
    Err(no_such_entity(format!(
        "Policy {} version v{number} does not exist or is not attachable.",
        policy.arn
    )))
}

pub(super) fn describe_version(
    policy: &PolicyRecord,
    number: u32,
    with_document: bool,
) -> Vec<Element> {
    let is_default = policy.default_version == number;
    let mut elements = Vec::new();
    if let Some(version) = policy.versions.get(&number) {
        if with_document {
            elements.push(document("Document", &version.document.text));
        }
        elements.push(Element::text("VersionId", format!("v{number}")));
        elements.push(Element::text("IsDefaultVersion", is_default.to_string()));
        elements.push(date("CreateDate", version.created));
    }
    elements
}

pub(super) fn list_tags(call: &mut Call<'_>) -> Answer {
    let listed = tags(&authorized(call)?.tags);
    call.page("Tags", listed)
}
