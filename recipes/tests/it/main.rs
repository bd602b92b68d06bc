//! The recipes, against ministack and the simulator.

// Of the modules that other packages share.
#![allow(dead_code)]

#[path = "../../../tests/common/documents.rs"]
mod documents;
mod lambda;
#[path = "../../../tests/common/ministack.rs"]
mod ministack;
mod object_store;
mod opendal;
mod presigned_url;
#[path = "../../../tests/common/pypi.rs"]
mod pypi;
mod readme;
mod session_name;
mod signed_request;
mod world;
