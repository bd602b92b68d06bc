//! The operations of STS: their limits, who may call them, and what they answer.
//!
//! Codes and messages are those of AWS, recorded from real answers where there were any.

mod access_key_info;
mod assume_role;
mod constraints;
mod get_federation_token;
mod get_session_token;
mod get_web_identity_token;
mod mfa;
mod operation;
mod packed_size;
mod role_session;
mod saml;
#[cfg(feature = "saml-signatures")]
mod saml_signature;
mod scene;
mod web_identity;

pub(crate) use operation::answer;
pub(crate) use scene::Scene;
