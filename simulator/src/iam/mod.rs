//! The state of IAM: users, roles, access keys, identity providers, MFA devices, and the sessions that STS issued.

mod access_request;
mod account;
mod accounts;
mod apply;
mod arrival;
mod aws_policies;
mod caller;
mod delayed;
mod directory;
mod identity_providers;
mod mfa_device;
mod organization;
mod permissions;
mod principal;
mod role_builder;
mod session;
mod settings;
mod token_issuer;
mod unique_id;
mod user_builder;
mod validation;

pub use access_request::AccessRequest;
pub(crate) use account::Account;
pub(crate) use accounts::{Accounts, SharedAccounts};
pub(crate) use arrival::Arrival;
#[cfg(feature = "server")]
pub(crate) use arrival::ClientAddress;
pub(crate) use aws_policies::AWS_POLICIES;
pub use caller::Caller;
pub(crate) use directory::{
    Document, Entity, MfaRecord, PolicyRecord, PolicyVersion, RoleRecord, SamlRecord, UserRecord,
    path_of,
};
#[cfg(feature = "saml-signatures")]
pub(crate) use identity_providers::SamlMetadata;
pub(crate) use identity_providers::{OidcProvider, SamlProvider};
pub(crate) use mfa_device::MfaDevice;
pub use organization::AccountBuilder;
pub(crate) use principal::Role;
pub use role_builder::RoleBuilder;
pub(crate) use session::{Session, SessionPrincipal, SessionTag};
pub(crate) use unique_id::unique_id;
pub use user_builder::UserBuilder;
pub use validation::IamError;
pub(crate) use validation::{
    check_arn_format, check_inline_policies_length, check_managed_policy_length, check_tags,
    is_same_tag_key,
};
