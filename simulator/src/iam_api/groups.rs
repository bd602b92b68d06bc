//! Groups and their members.

use super::call::{Answer, Call, Kind, already_exists, delete_conflict, no_such_entity};
use super::entities::check_no_policies;
use crate::iam::{Entity, UserRecord, unique_id};
use crate::protocol::{Element, ErrorResponse};

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let name = call.name_of(Kind::Group)?;
    let arn = call.arn(&format!("group{}{name}", call.path()?));
    call.authorize(&arn)?;
    if call.entity(Kind::Group, name).is_some() {
        return Err(already_exists(format!(
            "Group with name {name} already exists."
        )));
    }
    let group = Entity::new(arn, unique_id("AGPA", 17), call.now);
    let description = call.describe(Kind::Group, &group, true);
    call.accounts
        .directory
        .groups
        .insert(call.account, name, group);
    Ok(Some(vec![Element::parent("Group", description)]))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let group = call.authorized(Kind::Group)?.clone();
    let members = members(call, group.name())
        .map(|user| Element::parent("member", call.describe(Kind::User, &user.entity, false)))
        .collect();
    let page = call.page("Users", members)?;
    let group = Element::parent("Group", call.describe(Kind::Group, &group, true));
    Ok(page.map(|page| std::iter::once(group).chain(page).collect()))
}

/// Returns the users in a group.
fn members<'c>(call: &'c Call<'_>, group: &'c str) -> impl Iterator<Item = &'c UserRecord> {
    let users = call.accounts.directory.users.of(call.account);
    users.filter(move |user| user.groups.iter().any(|g| g.eq_ignore_ascii_case(group)))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let group = call.authorized(Kind::Group)?.clone();
    check_no_policies(&group)?;
    if members(call, group.name()).next().is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    call.accounts
        .directory
        .groups
        .remove(call.account, group.name());
    Ok(None)
}

pub(super) fn add_user(call: &mut Call<'_>) -> Answer {
    let group = call.authorized(Kind::Group)?.name().to_owned();
    let groups = &mut user(call)?.groups;
    if !groups.iter().any(|of| of.eq_ignore_ascii_case(&group)) {
        groups.push(group);
    }
    let name = call.name_of(Kind::User)?;
    call.apply(Kind::User, name);
    Ok(None)
}

pub(super) fn remove_user(call: &mut Call<'_>) -> Answer {
    let group = call.authorized(Kind::Group)?.name().to_owned();
    let groups = &mut user(call)?.groups;
    groups.retain(|of| !of.eq_ignore_ascii_case(&group));
    let name = call.name_of(Kind::User)?;
    call.apply(Kind::User, name);
    Ok(None)
}

/// Returns the user that the request names.
fn user<'c>(call: &'c mut Call<'_>) -> Result<&'c mut UserRecord, ErrorResponse> {
    let name = call.name_of(Kind::User)?;
    let user = call.accounts.directory.users.get_mut(call.account, name);
    user.ok_or_else(|| no_such_entity(format!("The user with name {name} cannot be found.")))
}

pub(super) fn list_for_user(call: &mut Call<'_>) -> Answer {
    call.authorized(Kind::User)?;
    let names = user(call)?.groups.clone();
    let groups = names
        .iter()
        .filter_map(|name| call.entity(Kind::Group, name))
        .map(|group| Element::parent("member", call.describe(Kind::Group, group, false)))
        .collect();
    call.page("Groups", groups)
}
