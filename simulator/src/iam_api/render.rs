//! IAM's XML descriptions of users, roles, groups and policies.

use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::call::{Call, Kind};
use crate::arn;
use crate::clock::timestamp;
use crate::iam::{Entity, PolicyRecord, path_of};
use crate::protocol::Element;

/// The characters to percent-encode: all except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns a policy as in IAM's responses: percent-encoded.
pub(super) fn document(name: &'static str, text: &str) -> Element {
    Element::text(name, utf8_percent_encode(text, RESERVED).to_string())
}

pub(super) fn date(name: &'static str, time: SystemTime) -> Element {
    Element::text(name, timestamp(time))
}

pub(super) fn tags(tags: &[(String, String)]) -> Vec<Element> {
    tags.iter()
        .map(|(key, value)| {
            Element::parent(
                "member",
                vec![
                    Element::text("Key", &**key),
                    Element::text("Value", &**value),
                ],
            )
        })
        .collect()
}

/// Returns the elements for the managed policies that are attached to an entity.
pub(super) fn attached(entity: &Entity) -> Vec<Element> {
    let policy = |arn: &String| {
        Element::parent(
            "member",
            vec![
                Element::text("PolicyName", arn::name_of(arn)),
                Element::text("PolicyArn", &**arn),
            ],
        )
    };
    entity.attached.iter().map(policy).collect()
}

/// Returns the elements that all entities have: names, ID and date.
pub(super) fn identify(kind: Kind, entity: &Entity) -> Vec<Element> {
    let (name, id) = match kind {
        Kind::User => ("UserName", "UserId"),
        Kind::Role => ("RoleName", "RoleId"),
        Kind::Group => ("GroupName", "GroupId"),
    };
    vec![
        Element::text("Path", entity.path()),
        Element::text(name, entity.name()),
        Element::text(id, &*entity.id),
        Element::text("Arn", &*entity.arn),
        date("CreateDate", entity.created),
    ]
}

/// Returns the elements for the boundary and the tags of an entity, if it has any.
pub(super) fn limits_and_tags(entity: &Entity) -> Vec<Element> {
    let boundary = entity.boundary.as_ref().map(|arn| {
        Element::parent(
            "PermissionsBoundary",
            vec![
                Element::text("PermissionsBoundaryType", "Policy"),
                Element::text("PermissionsBoundaryArn", &**arn),
            ],
        )
    });
    let mut elements: Vec<Element> = boundary.into_iter().collect();
    if !entity.tags.is_empty() {
        elements.push(Element::parent("Tags", tags(&entity.tags)));
    }
    elements
}

impl Call<'_> {
    /// Returns the description of an entity. Lists omit tags and boundary.
    pub(super) fn describe(&self, kind: Kind, entity: &Entity, in_full: bool) -> Vec<Element> {
        let mut elements = identify(kind, entity);
        let roles = &self.accounts.directory.roles;
        let role = (kind == Kind::Role).then(|| roles.get(self.account, entity.name()));
        if let Some(role) = role.flatten() {
            elements.push(document("AssumeRolePolicyDocument", &role.trust_policy));
            if let Some(description) = &role.description {
                elements.push(Element::text("Description", &**description));
            }
            let duration = role.max_session_duration.to_string();
            elements.push(Element::text("MaxSessionDuration", duration));
        }
        if in_full {
            elements.extend(limits_and_tags(entity));
        }
        elements
    }

    pub(super) fn describe_policy(&self, policy: &PolicyRecord, in_full: bool) -> Vec<Element> {
        let directory = &self.accounts.directory;
        let entities: Vec<&Entity> = directory.entities(self.account).collect();
        let attached = entities.iter().filter(|e| e.attached.contains(&policy.arn));
        let bounded = entities
            .iter()
            .filter(|e| e.boundary.as_ref() == Some(&policy.arn));
        let mut elements = vec![
            Element::text("PolicyName", arn::name_of(&policy.arn)),
            Element::text("PolicyId", &*policy.id),
            Element::text("Arn", &*policy.arn),
            Element::text("Path", path_of(&policy.arn)),
            Element::text("DefaultVersionId", format!("v{}", policy.default_version)),
            Element::text("AttachmentCount", attached.count().to_string()),
            Element::text("PermissionsBoundaryUsageCount", bounded.count().to_string()),
            Element::text("IsAttachable", "true"),
            date("CreateDate", policy.created),
            date("UpdateDate", policy.updated),
        ];
        if let Some(description) = policy.description.as_ref().filter(|_| in_full) {
            elements.push(Element::text("Description", &**description));
        }
        if in_full && !policy.tags.is_empty() {
            elements.push(Element::parent("Tags", tags(&policy.tags)));
        }
        elements
    }
}
