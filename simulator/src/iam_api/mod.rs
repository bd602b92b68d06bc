//! IAM's own API, version 2010-05-08, as far as test suites need it to set accounts up: users, access keys, groups,
//! roles, inline and managed policies, permissions boundaries, tags, MFA devices, identity providers and outbound
//! federation. Other operations are rejected by name.

mod access_keys;
mod account_details;
mod call;
mod entities;
mod groups;
mod managed_policies;
mod mfa_devices;
mod outbound;
mod policies;
mod providers;
mod render;

use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use crate::iam::{Caller, SharedAccounts};
use crate::protocol::{ErrorResponse, Format, Parameters, query_success};
use call::{Answer, Call, Kind};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const VERSION: &str = "2010-05-08";

/// Answers a request that is signed for IAM.
pub(crate) fn answer(
    accounts: &SharedAccounts,
    caller: Result<&Caller, &ErrorResponse>,
    request: &HttpRequest,
    now: SystemTime,
) -> HttpResponse {
    let parameters = Parameters::read(request);
    let action = parameters.first("Action").unwrap_or_default();
    let answer = caller.map_err(Clone::clone).and_then(|caller| {
        let mut accounts = accounts.lock();
        let mut call = Call::new(&mut accounts, caller, action, &parameters, now)?;
        perform(&mut call)
    });
    match answer {
        Ok(answer) => query_success(NAMESPACE, action, answer),
        Err(error) => error.into_query_response(NAMESPACE, Format::Xml),
    }
}

fn perform(call: &mut Call<'_>) -> Answer {
    let version = call.optional("Version").unwrap_or("NO_VERSION_SPECIFIED");
    let unknown = || {
        let action = call.action;
        ErrorResponse::new(
            400,
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        )
    };
    if version != VERSION {
        return Err(unknown());
    }
    match call.action {
        "GetAccountAuthorizationDetails" => account_details::get(call),

        "CreateUser" => entities::create_user(call),
        "GetUser" => entities::get(call, Kind::User),
        "UpdateUser" => entities::update_user(call),
        "DeleteUser" => entities::delete_user(call),
        "ListUsers" => entities::list(call, Kind::User),

        "CreateRole" => entities::create_role(call),
        "GetRole" => entities::get(call, Kind::Role),
        "UpdateRole" | "UpdateRoleDescription" => entities::update_role(call),
        "UpdateAssumeRolePolicy" => entities::update_trust_policy(call),
        "DeleteRole" => entities::delete_role(call),
        "ListRoles" => entities::list(call, Kind::Role),

        "CreateGroup" => groups::create(call),
        "GetGroup" => groups::get(call),
        "DeleteGroup" => groups::delete(call),
        "ListGroups" => entities::list(call, Kind::Group),
        "AddUserToGroup" => groups::add_user(call),
        "RemoveUserFromGroup" => groups::remove_user(call),
        "ListGroupsForUser" => groups::list_for_user(call),

        "PutUserPolicy" => policies::put(call, Kind::User),
        "PutRolePolicy" => policies::put(call, Kind::Role),
        "PutGroupPolicy" => policies::put(call, Kind::Group),
        "GetUserPolicy" => policies::get(call, Kind::User),
        "GetRolePolicy" => policies::get(call, Kind::Role),
        "GetGroupPolicy" => policies::get(call, Kind::Group),
        "DeleteUserPolicy" => policies::delete(call, Kind::User),
        "DeleteRolePolicy" => policies::delete(call, Kind::Role),
        "DeleteGroupPolicy" => policies::delete(call, Kind::Group),
        "ListUserPolicies" => policies::list(call, Kind::User),
        "ListRolePolicies" => policies::list(call, Kind::Role),
        "ListGroupPolicies" => policies::list(call, Kind::Group),
        "AttachUserPolicy" => policies::attach(call, Kind::User),
        "AttachRolePolicy" => policies::attach(call, Kind::Role),
        "AttachGroupPolicy" => policies::attach(call, Kind::Group),
        "DetachUserPolicy" => policies::detach(call, Kind::User),
        "DetachRolePolicy" => policies::detach(call, Kind::Role),
        "DetachGroupPolicy" => policies::detach(call, Kind::Group),
        "ListAttachedUserPolicies" => policies::list_attached(call, Kind::User),
        "ListAttachedRolePolicies" => policies::list_attached(call, Kind::Role),
        "ListAttachedGroupPolicies" => policies::list_attached(call, Kind::Group),
        "PutUserPermissionsBoundary" => policies::put_boundary(call, Kind::User),
        "PutRolePermissionsBoundary" => policies::put_boundary(call, Kind::Role),
        "DeleteUserPermissionsBoundary" => policies::delete_boundary(call, Kind::User),
        "DeleteRolePermissionsBoundary" => policies::delete_boundary(call, Kind::Role),

        "TagUser" => entities::tag(call, Kind::User),
        "TagRole" => entities::tag(call, Kind::Role),
        "UntagUser" => entities::untag(call, Kind::User),
        "UntagRole" => entities::untag(call, Kind::Role),
        "ListUserTags" => entities::list_tags(call, Kind::User),
        "ListRoleTags" => entities::list_tags(call, Kind::Role),

        "CreatePolicy" => managed_policies::create(call),
        "GetPolicy" => managed_policies::get(call),
        "DeletePolicy" => managed_policies::delete(call),
        "ListPolicies" => managed_policies::list(call),
        "ListEntitiesForPolicy" => managed_policies::list_entities(call),
        "CreatePolicyVersion" => managed_policies::create_version(call),
        "GetPolicyVersion" => managed_policies::get_version(call),
        "DeletePolicyVersion" => managed_policies::delete_version(call),
        "ListPolicyTags" => managed_policies::list_tags(call),
        "ListPolicyVersions" => managed_policies::list_versions(call),
        "SetDefaultPolicyVersion" => managed_policies::set_default_version(call),

        "CreateAccessKey" => access_keys::create(call),
        "UpdateAccessKey" => access_keys::update(call),
        "DeleteAccessKey" => access_keys::delete(call),
        "ListAccessKeys" => access_keys::list(call),

        "CreateVirtualMFADevice" => mfa_devices::create(call),
        "EnableMFADevice" => mfa_devices::enable(call),
        "DeactivateMFADevice" => mfa_devices::deactivate(call),
        "DeleteVirtualMFADevice" => mfa_devices::delete(call),
        "ListMFADevices" => mfa_devices::list(call),
        "ListVirtualMFADevices" => mfa_devices::list_virtual(call),

        "CreateSAMLProvider" => providers::create_saml(call),
        "GetSAMLProvider" => providers::get_saml(call),
        "UpdateSAMLProvider" => providers::update_saml(call),
        "DeleteSAMLProvider" => providers::delete_saml(call),
        "ListSAMLProviders" => providers::list_saml(call),
        "CreateOpenIDConnectProvider" => providers::create_oidc(call),
        "GetOpenIDConnectProvider" => providers::get_oidc(call),
        "DeleteOpenIDConnectProvider" => providers::delete_oidc(call),
        "ListOpenIDConnectProviders" => providers::list_oidc(call),
        "AddClientIDToOpenIDConnectProvider" => providers::add_client_id(call),
        "RemoveClientIDFromOpenIDConnectProvider" => providers::remove_client_id(call),

        "EnableOutboundWebIdentityFederation" => outbound::enable(call),
        "DisableOutboundWebIdentityFederation" => outbound::disable(call),
        "GetOutboundWebIdentityFederationInfo" => outbound::info(call),

        "" => Err(unknown()),
        // The error names the operation, which IAM has but the simulator does not.
        other => Err(ErrorResponse::new(
            501,
            "NotImplemented",
            format!("the simulator's IAM does not support {other}"),
        )),
    }
}
