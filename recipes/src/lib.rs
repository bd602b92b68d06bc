//! Recipes for `aws-role-chain`, to copy. `README.md` shows each with what to know about it.

pub mod object_store;
pub mod opendal;
pub mod presigned_url;
pub mod session_name;
pub mod signed_request;
