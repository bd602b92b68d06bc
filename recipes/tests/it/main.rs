//! Tests of the recipes, with ministack and the simulator.

// For the modules that are shared with other packages.
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
