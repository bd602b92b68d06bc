//! The accounts of the tests: a user in one account, a hub role in a second, tenants in a third.

pub mod contracts;
pub mod documents;
pub mod example;
pub mod log;
pub mod ministack;
pub mod parameters;
pub mod pypi;
pub mod starts;
pub mod tokens;

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_role_chain::{Role, RoleChain};
use aws_types::SdkConfig;
pub use documents::{EXTERNAL_ID, allow, trusts, trusts_with_external_id};
use sts_simulator::Simulator;

pub const USER: &str = "arn:aws:iam::111111111111:user/orders";
pub const HUB: &str = "arn:aws:iam::222222222222:role/Hub";
pub const MIDDLE: &str = "arn:aws:iam::222222222222:role/Middle";
pub const TENANT: &str = "arn:aws:iam::333333333333:role/FirehoseWriter";

pub const HOUR: Duration = Duration::from_secs(3600);

pub const MINUTE: Duration = Duration::from_secs(60);

/// Creates the simulator and the user's config. The user may assume the hub role, the hub role the middle and the
/// tenant role, and the middle role the tenant role.
pub fn aws() -> (Simulator, SdkConfig) {
    let aws = Simulator::new();
    let keys = user(&aws);
    let role = |arn: &str, trust: String| {
        aws.role(arn)
            .trust(trust)
            .policy(allow("sts:*"))
            .create()
            .unwrap();
    };
    role(HUB, trusts(USER));
    role(MIDDLE, trusts("222222222222"));
    role(TENANT, trusts("222222222222"));
    let base = aws.sdk_config(keys);
    (aws, base)
}

/// Returns the serial of a new MFA device of the user. A device's code is sent only once per process, and all tests run
/// in one process, so no two tests may share a device. Panics if the name has been used before.
pub fn new_device(name: &str) -> String {
    static NAMES: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap();
    let is_new = names.get_or_insert_default().insert(name.to_owned());
    drop(names);
    assert!(is_new, "another test has a device with the name {name}");
    format!("arn:aws:iam::111111111111:mfa/{name}")
}

/// The secret of a virtual MFA device.
pub const MFA_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Generates the codes of the device with [`MFA_SECRET`].
pub fn totp() -> aws_role_chain::Totp {
    aws_role_chain::Totp::from_secret(MFA_SECRET).unwrap()
}

/// Creates the user with a device that has [`MFA_SECRET`].
pub fn user_with_device(aws: &Simulator, serial: &str) -> Credentials {
    let user = aws.user(USER).policy(allow("sts:*"));
    user.mfa_device(serial, MFA_SECRET).create().unwrap()
}

pub fn user(aws: &Simulator) -> Credentials {
    aws.user(USER).policy(allow("sts:*")).create().unwrap()
}

/// Replaces the source credentials of a base config.
pub fn with_source(base: &SdkConfig, source: impl ProvideCredentials + 'static) -> SdkConfig {
    let source = SharedCredentialsProvider::new(source);
    base.to_builder().credentials_provider(source).build()
}

/// Creates `count` roles that trust the hub, and returns their chains.
pub fn tenants_of(aws: &Simulator, hub: &RoleChain, count: usize) -> Vec<RoleChain> {
    let tenant = |i| {
        let arn = format!("arn:aws:iam::333333333333:role/Tenant{i}");
        aws.role(&arn)
            .trust(trusts("222222222222"))
            .create()
            .unwrap();
        hub.assume(Role::new(arn)).unwrap()
    };
    (0..count).map(tenant).collect()
}

/// Creates the chain user → hub → tenant.
pub fn two_hops(base: &SdkConfig) -> RoleChain {
    let hub = RoleChain::new(base, Role::new(HUB)).unwrap();
    hub.assume(Role::new(TENANT)).unwrap()
}

/// Lets every task run until it waits for something, without advancing the clock.
pub async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
