//! Code that the benches share.

// Each bench uses a part of it.
#![allow(dead_code, unused_imports)]

mod fake_sts;
mod in_memory_sts;
mod latencies;
mod providers;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

pub use fake_sts::{
    CERTIFICATE, FakeSts, InProcessHttp, StsBehavior, StsSettings, config, error_document,
    session_document,
};
pub use in_memory_sts::{InMemorySts, Quota, paused};
pub use latencies::{Latencies, format_duration, timed};
pub use providers::{
    CachedAssumeRole, CachedProfile, Chain, HUB, NestedAssumeRole, Provider, ReqsignSigner,
    SdkIdentityCache, Tenants, nested_tenant, tenants_with_separate_chains, tenants_without_hub,
};

/// Creates a table that is printed as Markdown.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    table
}
