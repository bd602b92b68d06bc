//! Users and roles: create, get, update, delete, list and tag. Also lists groups.

use super::call::{Answer, Call, Kind, already_exists, delete_conflict, no_such_entity, violation};
use super::policies::boundary;
use super::render::tags;
use crate::iam::{Entity, RoleRecord, UserRecord, check_tags, is_same_tag_key};
use crate::protocol::{Element, ErrorResponse};

pub(super) fn create_user(call: &mut Call<'_>) -> Answer {
    let name = call.name("UserName", 64)?;
    let arn = call.arn(&format!("user{}{name}", call.path()?));
    call.authorize_creation(&arn, "TagUser")?;
    if call.entity(Kind::User, name).is_some() {
        return Err(already_exists(format!(
            "User with name {name} already exists."
        )));
    }
    let mut user = UserRecord::new(&arn, call.accounts.new_id(&arn, "AIDA"), call.now);
    user.entity.tags = call.tags()?;
    user.entity.boundary = boundary(call)?;
    let description = call.describe(Kind::User, &user.entity, true);
    call.accounts
        .directory
        .users
        .insert(call.account, name, user);
    call.apply(Kind::User, name);
    Ok(Some(vec![Element::parent("User", description)]))
}

pub(super) fn create_role(call: &mut Call<'_>) -> Answer {
    let name = call.name("RoleName", 64)?;
    let arn = call.arn(&format!("role{}{name}", call.path()?));
    call.authorize_creation(&arn, "TagRole")?;
    let trust_policy = call.required("AssumeRolePolicyDocument")?;
    if call.entity(Kind::Role, name).is_some() {
        return Err(already_exists(format!(
            "Role with name {name} already exists."
        )));
    }
    let mut role = RoleRecord::new(&arn, call.accounts.new_id(&arn, "AROA"), call.now);
    role.description = call.optional("Description").map(str::to_owned);
    if let Some(duration) = max_session_duration(call)? {
        role.max_session_duration = duration;
    }
    role.entity.tags = call.tags()?;
    role.entity.boundary = boundary(call)?;
    call.accounts.set_role(role, trust_policy.to_owned())?;
    get_authorized(call, Kind::Role, name)
}

pub(super) fn update_trust_policy(call: &mut Call<'_>) -> Answer {
    let trust_policy = call.required("PolicyDocument")?;
    call.authorized(Kind::Role)?;
    let role = role(call)?.clone();
    call.accounts.set_role(role, trust_policy.to_owned())?;
    Ok(None)
}

pub(super) fn update_role(call: &mut Call<'_>) -> Answer {
    call.authorized(Kind::Role)?;
    let duration = max_session_duration(call)?;
    let description = call.optional("Description").map(str::to_owned);
    let role = role(call)?;
    if let Some(duration) = duration {
        role.max_session_duration = duration;
    }
    if description.is_some() {
        role.description = description;
    }
    let name = call.name_of(Kind::Role)?;
    call.apply(Kind::Role, name);
    if call.action == "UpdateRoleDescription" {
        return get_authorized(call, Kind::Role, name);
    }
    Ok(Some(Vec::new()))
}

/// Returns the role that the request names.
fn role<'c>(call: &'c mut Call<'_>) -> Result<&'c mut RoleRecord, ErrorResponse> {
    let name = call.name_of(Kind::Role)?;
    let role = call.accounts.directory.roles.get_mut(call.account, name);
    role.ok_or_else(|| no_such_entity(format!("The role with name {name} cannot be found.")))
}

fn max_session_duration(call: &Call<'_>) -> Result<Option<i64>, ErrorResponse> {
    let Some(text) = call.optional("MaxSessionDuration") else {
        return Ok(None);
    };
    let rule = match text.parse::<i64>() {
        Ok(duration @ 3600..=43_200) => return Ok(Some(duration)),
        Ok(duration) if duration < 3600 => "Member must have value greater than or equal to 3600",
        _ => "Member must have value less than or equal to 43200",
    };
    Err(violation(&format!("'{text}'"), "MaxSessionDuration", rule))
}

pub(super) fn get(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = match kind {
        Kind::User => call.user_name()?,
        _ => call.name_of(kind)?,
    };
    call.authorized_named(kind, name)?;
    get_authorized(call, kind, name)
}

/// Describes an existing entity.
fn get_authorized(call: &Call<'_>, kind: Kind, name: &str) -> Answer {
    let described = call
        .entity(kind, name)
        .map(|entity| call.describe(kind, entity, true));
    Ok(described.map(|elements| vec![Element::parent(kind.element(), elements)]))
}

pub(super) fn list(call: &mut Call<'_>, kind: Kind) -> Answer {
    let prefix = call.optional("PathPrefix").unwrap_or("/");
    call.authorize(&call.arn(&format!("{}{prefix}", kind.word())))?;
    let listed = call
        .entities(kind)
        .into_iter()
        .filter(|entity| entity.path().starts_with(prefix))
        .map(|entity| Element::parent("member", call.describe(kind, entity, false)))
        .collect();
    let name = match kind {
        Kind::User => "Users",
        Kind::Role => "Roles",
        Kind::Group => "Groups",
    };
    call.page(name, listed)
}

pub(super) fn update_user(call: &mut Call<'_>) -> Answer {
    let name = call.name_of(Kind::User)?;
    let user = call.authorized(Kind::User)?.clone();
    let new_name = match call.optional("NewUserName") {
        Some(_) => call.name("NewUserName", 64)?,
        None => user.name(),
    };
    let path = call.path_in("NewPath")?.unwrap_or(user.path());
    // The caller needs the permission for the old and the new ARN.
    let arn = call.arn(&format!("user{path}{new_name}"));
    call.authorize_tagged(&arn, &user.tags)?;
    if !new_name.eq_ignore_ascii_case(name) && call.entity(Kind::User, new_name).is_some() {
        return Err(already_exists(format!(
            "User with name {new_name} already exists."
        )));
    }
    let Some(mut user) = call.accounts.directory.users.remove(call.account, name) else {
        return Ok(None);
    };
    let old = std::mem::replace(&mut user.entity.arn, arn.clone());
    call.accounts
        .directory
        .users
        .insert(call.account, new_name, user);
    call.accounts.rename_user(&old, &arn);
    call.apply(Kind::User, new_name);
    Ok(None)
}

pub(super) fn delete_user(call: &mut Call<'_>) -> Answer {
    let name = call.name_of(Kind::User)?;
    let entity = call.authorized(Kind::User)?.clone();
    check_no_policies(&entity)?;
    let is_in_group = call
        .accounts
        .directory
        .users
        .get(call.account, name)
        .is_some_and(|user| !user.groups.is_empty());
    if is_in_group {
        return Err(delete_conflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    if call.accounts.user_keys(&entity.arn).next().is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must delete access keys first.",
        ));
    }
    if call.accounts.mfa_devices_of(&entity.arn).next().is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must delete MFA device first.",
        ));
    }
    call.accounts.delete_user(&entity.arn);
    Ok(None)
}

pub(super) fn delete_role(call: &mut Call<'_>) -> Answer {
    let entity = call.authorized(Kind::Role)?.clone();
    check_no_policies(&entity)?;
    call.accounts.delete_role(&entity.arn);
    Ok(None)
}

/// Fails if an entity that is to be deleted still has policies.
pub(super) fn check_no_policies(entity: &Entity) -> Result<(), ErrorResponse> {
    if !entity.attached.is_empty() {
        return Err(delete_conflict(
            "Cannot delete entity, must detach all policies first.",
        ));
    }
    if !entity.inline.is_empty() {
        return Err(delete_conflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    Ok(())
}

pub(super) fn tag(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let added = call.tags()?;
    let entity = call.authorized(kind)?;
    let mut tags = entity.tags.clone();
    for (key, value) in added {
        // Keys are case-insensitive, and keep the case in which they were last written.
        tags.retain(|(other, _)| !is_same_tag_key(other, &key));
        tags.push((key, value));
    }
    check_tags(&entity.arn, &tags)?;
    entity.tags = tags;
    call.apply(kind, name);
    Ok(None)
}

pub(super) fn untag(call: &mut Call<'_>, kind: Kind) -> Answer {
    let name = call.name_of(kind)?;
    let keys = call.parameters.list("TagKeys.member");
    let entity = call.authorized(kind)?;
    entity
        .tags
        .retain(|(key, _)| !keys.iter().any(|removed| is_same_tag_key(removed, key)));
    call.apply(kind, name);
    Ok(None)
}

pub(super) fn list_tags(call: &mut Call<'_>, kind: Kind) -> Answer {
    let listed = tags(&call.authorized(kind)?.tags);
    call.page("Tags", listed)
}
