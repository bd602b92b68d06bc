//! GetAccountAuthorizationDetails: all users, groups, roles and managed policies of an account, in the format that
//! [`Simulator::import`](crate::Simulator::import) reads.

use super::call::{Answer, Call, Kind, violation};
use super::managed_policies::describe_version;
use super::render::{attached, document, identify, limits_and_tags};
use crate::arn;
use crate::iam::{Entity, PolicyRecord};
use crate::protocol::Element;

/// The values of `Filter`.
const FILTERS: [&str; 5] = [
    "User",
    "Role",
    "Group",
    "LocalManagedPolicy",
    "AWSManagedPolicy",
];

/// The lists in the response, in order.
#[derive(Clone, Copy)]
enum List {
    Users,
    Groups,
    Roles,
    Policies,
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    call.authorize("*")?;
    let filters = call.parameters.list("Filter.member");
    if let Some(unknown) = filters.iter().find(|f| !FILTERS.contains(&f.as_str())) {
        let rule = "Member must satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]";
        return Err(violation(&format!("'{unknown}'"), "Filter", rule));
    }
    let is_wanted = |filter: &str| filters.is_empty() || filters.iter().any(|f| f == filter);
    let directory = &call.accounts.directory;

    let mut items = Vec::new();
    if is_wanted("User") {
        items.extend(directory.users.of(call.account).map(|user| {
            let groups = user.groups.iter().map(|name| Element::text("member", name));
            let mut elements = entity(Kind::User, &user.entity, "UserPolicyList");
            elements.push(Element::parent("GroupList", groups.collect()));
            (List::Users, elements)
        }));
    }
    if is_wanted("Group") {
        let groups = directory.groups.of(call.account);
        items.extend(
            groups.map(|group| (List::Groups, entity(Kind::Group, group, "GroupPolicyList"))),
        );
    }
    if is_wanted("Role") {
        items.extend(directory.roles.of(call.account).map(|role| {
            let mut elements = entity(Kind::Role, &role.entity, "RolePolicyList");
            elements.push(document("AssumeRolePolicyDocument", &role.trust_policy));
            elements.push(Element::parent("InstanceProfileList", Vec::new()));
            (List::Roles, elements)
        }));
    }
    // AWS managed policies are included only if they are in use.
    let is_used = |policy: &PolicyRecord| {
        let mut entities = directory.entities(call.account);
        entities.any(|entity| {
            entity.attached.contains(&policy.arn) || entity.boundary.as_ref() == Some(&policy.arn)
        })
    };
    let policies = directory.policies.values().filter(|policy| {
        let account = arn::account_of(&policy.arn);
        account == call.account && is_wanted("LocalManagedPolicy")
            || account == "aws" && is_wanted("AWSManagedPolicy") && is_used(policy)
    });
    items.extend(policies.map(|policy| {
        let versions = policy.versions.keys().rev();
        let versions = versions
            .map(|number| Element::parent("member", describe_version(policy, *number, true)));
        let mut elements = call.describe_policy(policy, false);
        elements.push(Element::parent("PolicyVersionList", versions.collect()));
        (List::Policies, elements)
    }));

    let (page, end) = call.cut(items)?;
    let mut lists = [const { Vec::new() }; 4];
    for (list, elements) in page {
        lists[list as usize].push(Element::parent("member", elements));
    }
    let names = [
        "UserDetailList",
        "GroupDetailList",
        "RoleDetailList",
        "Policies",
    ];
    let lists = names.into_iter().zip(lists);
    let lists = lists.map(|(name, members)| Element::parent(name, members));
    Ok(Some(lists.chain(end).collect()))
}

/// Returns the elements that all entities have; `inline` is the name of the list of inline policies.
fn entity(kind: Kind, entity: &Entity, inline: &'static str) -> Vec<Element> {
    let policies = entity.inline.iter().map(|(name, policy)| {
        Element::parent(
            "member",
            vec![
                Element::text("PolicyName", name),
                document("PolicyDocument", &policy.text),
            ],
        )
    });
    let mut elements = identify(kind, entity);
    elements.push(Element::parent(inline, policies.collect()));
    elements.push(Element::parent("AttachedManagedPolicies", attached(entity)));
    elements.extend(limits_and_tags(entity));
    elements
}
