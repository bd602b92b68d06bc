//! What IAM knows: users, roles, access keys, identity providers and MFA devices, and the sessions that STS
//! issued.

mod accounts;
mod caller;
mod directory;
mod mfa_device;
mod role_builder;
mod session;
mod user_builder;
mod validation;

pub(crate) use accounts::{Accounts, KeyOwner, OidcProvider, Role, SharedAccounts, unique_id};
pub use caller::Caller;
pub(crate) use directory::{
    Document, Entity, MfaRecord, PolicyRecord, PolicyVersion, RoleRecord, SamlRecord, UserRecord,
    path_of,
};
pub(crate) use mfa_device::MfaDevice;
pub use role_builder::RoleBuilder;
pub(crate) use session::{Session, SessionPrincipal, SessionTag, new_session_token};
pub use user_builder::UserBuilder;
pub use validation::IamError;
