//! The operations of STS: their limits, who may call them, and what they answer.
//!
//! Codes and messages are those of AWS, recorded from real answers where there were any.

mod assume_role;
mod constraints;
mod get_session_token;
mod mfa;
mod operation;
mod role_session;
mod saml;
mod web_identity;

pub(crate) use operation::answer;
