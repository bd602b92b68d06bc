//! What IAM knows: users, roles, access keys, identity providers and MFA devices, and the sessions that STS
//! issued.

mod accounts;
mod caller;
mod delayed;
mod identity_providers;
mod mfa_device;
mod role_builder;
mod session;
mod settings;
mod user_builder;
mod validation;

pub(crate) use accounts::{Accounts, KeyOwner, Role, SharedAccounts};
pub use caller::Caller;
#[cfg(feature = "saml-signatures")]
pub(crate) use identity_providers::SamlMetadata;
pub(crate) use identity_providers::{OidcProvider, SamlProvider};
pub(crate) use mfa_device::MfaDevice;
pub use role_builder::RoleBuilder;
pub(crate) use session::{Session, SessionPrincipal, SessionTag, new_session_token};
pub use user_builder::UserBuilder;
pub use validation::IamError;
