//! Recipes for `aws-role-chain`, to copy. `README.md` shows each recipe and explains its limits.

pub mod object_store;
pub mod opendal;
pub mod presigned_url;
pub mod session_name;
pub mod signed_request;
