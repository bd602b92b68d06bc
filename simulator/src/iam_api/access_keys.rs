//! The access keys of users.

use super::call::{Answer, Call, limit_exceeded, no_such_entity, violation};
use super::render::date;
use crate::arn;
use crate::protocol::{Element, ErrorResponse};

const MAX_KEYS: usize = 2;

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let user = call.authorized_user()?.arn.clone();
    if call.accounts.user_keys(&user).count() == MAX_KEYS {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}"
        )));
    }
    let key = call.accounts.create_access_key(&user, call.now);
    Ok(Some(vec![Element::parent(
        "AccessKey",
        vec![
            Element::text("UserName", arn::name_of(&user)),
            Element::text("AccessKeyId", key.access_key_id()),
            Element::text("Status", "Active"),
            Element::text("SecretAccessKey", key.secret_access_key()),
            date("CreateDate", call.now),
        ],
    )]))
}

/// Returns the access key ID in the request, if the key belongs to the user.
fn key_of<'a>(call: &Call<'a>, user: &str) -> Result<&'a str, ErrorResponse> {
    let id = call.required("AccessKeyId")?;
    if call.accounts.user_keys(user).any(|(own, _)| own == id) {
        return Ok(id);
    }
    Err(no_such_entity(format!(
        "The Access Key with id {id} cannot be found."
    )))
}

pub(super) fn update(call: &mut Call<'_>) -> Answer {
    let user = call.authorized_user()?.arn.clone();
    let id = key_of(call, &user)?;
    let is_active = match call.required("Status")? {
        "Active" => true,
        "Inactive" => false,
        other => {
            let rule = "Member must satisfy enum value set: [Active, Inactive, Expired]";
            return Err(violation(&format!("'{other}'"), "Status", rule));
        }
    };
    call.accounts.set_key_active(id, is_active);
    Ok(None)
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let user = call.authorized_user()?.arn.clone();
    let id = key_of(call, &user)?;
    call.accounts.delete_key(id);
    Ok(None)
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let user = call.authorized_user()?.arn.clone();
    let mut keys: Vec<_> = call.accounts.user_keys(&user).collect();
    keys.sort_by_key(|(id, key)| (key.created, *id));
    let listed = keys
        .into_iter()
        .map(|(id, key)| {
            let status = if key.is_active { "Active" } else { "Inactive" };
            Element::parent(
                "member",
                vec![
                    Element::text("UserName", arn::name_of(&user)),
                    Element::text("AccessKeyId", id),
                    Element::text("Status", status),
                    date("CreateDate", key.created),
                ],
            )
        })
        .collect();
    call.page("AccessKeyMetadata", listed)
}
