//! The operations of STS: their limits, who may call them, and their responses.
//!
//! Codes and messages are AWS's, taken from recorded responses where there are any.

mod access_key_info;
mod assume_role;
mod constraints;
mod environment;
mod federation;
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
mod web_identity;

pub(crate) use environment::Environment;
pub(crate) use operation::answer;
