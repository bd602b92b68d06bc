//! Requests to STS: the builders that users fill in, and the checked requests that a chain holds.
//!
//! [`Role`] and [`SessionTokenRequest`] are checked once, against [`limits`] and what earlier hops pass on
//! ([`Inherited`]). A checked request breaks no rule that can be checked without a call.

mod allowlist;
mod checked;
pub(crate) mod limits;
pub(crate) mod names;
mod parameter;
mod role;
mod rules;
mod session_token;
mod summary;
mod token;

pub use allowlist::AllowedRoles;
pub use role::Role;
pub use session_token::SessionTokenRequest;
pub use token::{SamlAssertion, WebIdentityToken};

pub(crate) use checked::Checked;
pub(crate) use parameter::{Parameter, ProvidedContext, Secret, SessionAction, Tag};
pub(crate) use rules::{Inherited, check_saml_provider};
pub(crate) use summary::{CallerKind, RequestSummary};
