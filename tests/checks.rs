//! What is refused before any call, and how the error says it: field, rule, value.

mod common;

use std::sync::Arc;
use std::time::Duration;

use aws_role_chain::{AllowedRoles, Error, Role, RoleChain};
use aws_types::SdkConfig;
use common::*;
use sts_simulator::Simulator;

fn add(role: Role) -> Result<RoleChain, Error> {
    let (_, base) = aws();
    RoleChain::new(&base, role)
}

/// Adds a role that must be refused.
#[track_caller]
fn refused(role: Role) -> Error {
    let (aws, base) = aws();
    let error = RoleChain::new(&base, role).unwrap_err();
    assert!(error.is_invalid(), "{error}");
    assert!(!error.is_transient());
    assert_eq!((error.hop(), error.chain_len()), (Some(1), 1));
    assert_eq!(aws.requests(), 0);
    error
}

#[track_caller]
fn assert_says(error: &Error, field: &str, parts: &[&str]) {
    assert_eq!(error.field(), Some(field), "{error}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn role() -> Role {
    Role::new(HUB)
}

#[test]
fn a_role_arn_of_any_partition_path_and_name_is_taken() {
    let name_of_64 = "n".repeat(64);
    let long_path = "p".repeat(510);
    for arn in [
        HUB.to_owned(),
        "arn:aws-cn:iam::222222222222:role/R".to_owned(),
        "arn:aws-us-gov:iam::222222222222:role/a/b/c/R".to_owned(),
        "arn:aws-iso-b:iam::222222222222:role/service-role/x=y,z@w.v+u-t_s".to_owned(),
        format!("arn:aws:iam::222222222222:role/{name_of_64}"),
        format!("arn:aws:iam::222222222222:role/{long_path}/R"),
    ] {
        add(Role::new(&*arn)).unwrap_or_else(|error| panic!("{arn}: {error}"));
    }
}

#[test]
fn what_is_not_a_role_s_arn_is_refused_with_what_it_should_be() {
    let shape = "arn:<partition>:iam::<12-digit account id>:role/<path><name>";
    let long_name = format!("arn:aws:iam::222222222222:role/{}", "n".repeat(65));
    let long_path = format!("arn:aws:iam::222222222222:role/{}/R", "p".repeat(511));
    for (arn, rule) in [
        ("", shape),
        ("FirehoseWriter", shape),
        ("arn:aws:iam::1:role", "20 to 2048"),
        ("arn:aws:s3:::some-bucket-of-mine", shape),
        ("arn:aws:iam::222222222222:user/orders", shape),
        ("arn:aws:iam:eu-west-1:222222222222:role/R", shape),
        ("arn:aws:iam::222222222222:role/", "role name"),
        ("arn:aws:iam::222222222222:role/a/", "role name"),
        ("arn:aws:iam::22222222222:role/Writer", "12 digits"),
        ("arn:aws:iam::my-account:role/Writer", "12 digits"),
        (
            "arn:aws:sts::222222222222:assumed-role/R/session",
            "not that of one of its sessions",
        ),
        ("arn:aws:iam::222222222222:role/Wri ter", "role name"),
        ("arn:aws:iam::222222222222:role/a b/Writer", "path"),
        ("arn:AWS:iam::222222222222:role/Writer", shape),
        ("arn::iam::222222222222:role/FirehoseWriter", shape),
        (&long_name, "1 to 64"),
        (&long_path, "512"),
    ] {
        assert_says(&refused(Role::new(arn)), "arn", &[rule]);
    }
    let two_lines = refused(Role::new("arn:aws:iam::222222222222:role/Writer\n"));
    assert_eq!(two_lines.to_string().lines().count(), 1);
    let endless = "x".repeat(10_000);
    let error = refused(Role::new(endless));
    assert!(error.to_string().len() < 1000, "the value is cut short");
}

#[test]
fn a_role_that_no_trust_policy_can_open_is_refused() {
    let linked =
        "arn:aws:iam::222222222222:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
    assert_says(
        &refused(Role::new(linked)),
        "arn",
        &["only its service assumes"],
    );
    let china = add(Role::new("arn:aws-cn:iam::222222222222:role/Hub")).unwrap();
    china
        .assume(Role::new("arn:aws-cn:iam::333333333333:role/R"))
        .unwrap();
    let error = china.assume(Role::new(TENANT)).unwrap_err();
    assert_says(
        &error,
        "arn",
        &["must be of the partition aws-cn", "(hop 2 of 2)"],
    );
}

#[test]
fn a_session_name_has_2_to_64_characters_of_stss() {
    let of_64 = "s".repeat(64);
    for good in ["ab", "a_+=,.@-Z9", &of_64] {
        add(role().session_name(good)).unwrap();
    }
    let of_65 = "s".repeat(65);
    for (bad, rule) in [
        ("", "2 to 64 characters, not 0"),
        ("a", "2 to 64 characters, not 1"),
        (&of_65, "2 to 64 characters, not 65"),
        ("a/b", "character 2 is another"),
        ("naïve", "ASCII letters, digits and _+=,.@-"),
        ("a b", "character 2 is another"),
    ] {
        assert_says(
            &refused(role().session_name(bad)),
            "session_name",
            &[rule, bad],
        );
    }
}

#[test]
fn an_external_id_is_checked_and_never_shown() {
    let longest = "e".repeat(1224);
    for good in ["ab", "aZ9_+=,.@:/-", &longest] {
        add(role().external_id(good)).unwrap();
    }
    let too_long = "e".repeat(1225);
    for (bad, rule) in [
        ("", "2 to 1224 characters, not 0"),
        ("s", "2 to 1224 characters, not 1"),
        (&too_long, "2 to 1224 characters, not 1225"),
        ("se cret", "character 3 is another"),
        ("secrèt", "ASCII letters, digits and _+=,.@:/-"),
    ] {
        let error = refused(role().external_id(bad));
        assert_says(&error, "external_id", &[rule]);
        assert!(!format!("{error}{error:?}").contains("crèt"));
        assert!(!format!("{error}{error:?}").contains("se cret"));
    }
}

#[test]
fn a_duration_is_900_to_43200_whole_seconds() {
    for good in [900, 3600, 3601, 43_200] {
        add(role().duration(Duration::from_secs(good))).unwrap();
    }
    for (bad, value) in [
        (Duration::ZERO, "0 s"),
        (Duration::from_secs(899), "899 s"),
        (Duration::from_secs(43_201), "43201 s"),
        (Duration::from_millis(1_000_500), "1000.5 s"),
        (Duration::MAX, "18446744073709552000 s"),
    ] {
        let rule = "must be 900 to 43200 whole seconds";
        assert_says(&refused(role().duration(bad)), "duration", &[rule, value]);
    }
}

#[test]
fn from_the_second_hop_on_a_duration_is_at_most_an_hour() {
    let hub = add(role().duration(12 * HOUR)).unwrap();
    hub.assume(Role::new(TENANT).duration(HOUR)).unwrap();
    let error = hub
        .assume(Role::new(TENANT).duration(HOUR + Duration::from_secs(1)))
        .unwrap_err();
    assert_says(
        &error,
        "duration",
        &["3600 s", "role chaining", "hop 2 of 2", TENANT],
    );
}

#[test]
fn a_session_policy_is_a_json_object_of_2048_characters_at_most() {
    let of_size = |size: usize| {
        let frame = r#"{"Statement": ""}"#;
        format!(r#"{{"Statement": "{}"}}"#, "x".repeat(size - frame.len()))
    };
    add(role().policy(allow("s3:GetObject"))).unwrap();
    add(role().policy(of_size(2048))).unwrap();
    assert_says(
        &refused(role().policy(of_size(2049))),
        "policy",
        &["2048 characters", "not 2049"],
    );

    let arn = "arn:aws:iam::222222222222:policy/ReadOnly";
    add(role().policy(of_size(2048 - arn.len())).policy_arn(arn)).unwrap();
    let together = refused(role().policy(of_size(2049 - arn.len())).policy_arn(arn));
    let only_arns = (0..10).fold(role(), |role, i| {
        role.policy_arn(format!("{arn}{}{i}", "x".repeat(200)))
    });
    assert_says(&refused(only_arns), "policy", &["2048 characters"]);
    assert_says(
        &together,
        "policy",
        &["together with the policy ARNs", "not 2049"],
    );

    for (bad, why) in [
        ("", "it is empty"),
        ("[]", "it is an array"),
        ("\"s3:*\"", "it is a single value"),
        ("{\"Statement\": }", "must be a JSON object"),
        ("{\"Statement\": []", "it ends too early"),
        ("{\"Sid\": \"\\x\"}", "must be a JSON object"),
        ("{} {}", "something after it"),
        ("{\"Sid\": \"ĸ\"}", "up to U+00FF (character 10"),
    ] {
        assert_says(&refused(role().policy(bad)), "policy", &[why]);
    }
}

#[test]
fn managed_session_policies_are_at_most_10_of_the_account_s_or_aws_s() {
    let arn = |i: usize| format!("arn:aws:iam::222222222222:policy/P{i}");
    let ten = (0..10).fold(role(), |role, i| role.policy_arn(arn(i)));
    add(ten.clone()).unwrap();
    assert_says(
        &refused(ten.policy_arn(arn(10))),
        "policy_arn",
        &["at most 10", "not 11"],
    );
    add(role().policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess")).unwrap();

    let shape = "must be a managed policy's ARN";
    for (bad, rule) in [
        ("ReadOnlyAccess", shape),
        ("arn:aws:iam::222222222222:role/NoPolicy", shape),
        ("arn:aws:iam::222222222222:policy/", shape),
        (
            "arn:aws:iam::333333333333:policy/Foreign",
            "role's own account (222222222222) or AWS's",
        ),
    ] {
        assert_says(&refused(role().policy_arn(bad)), "policy_arn", &[rule, bad]);
    }
}

#[test]
fn session_tags_keep_to_stss_limits() {
    let fifty = (0..50).fold(role(), |role, i| role.tag(format!("key{i}"), "value"));
    add(fifty.clone()).unwrap();
    assert_says(
        &refused(fifty.tag("one", "more")),
        "tag",
        &["at most 50", "not 51"],
    );

    add(role().tag("Größe / cm", "")).unwrap();
    add(role().tag("k".repeat(128), "v".repeat(256))).unwrap();
    for (key, value, field, rule) in [
        ("", "v", "tag", "key must have 1 to 128 characters, not 0"),
        (
            &*"k".repeat(129),
            "v",
            "tag",
            "key must have 1 to 128 characters, not 129",
        ),
        (
            "k",
            &*"v".repeat(257),
            "tag",
            "value must have 0 to 256 characters, not 257",
        ),
        ("a;b", "v", "tag", "character 2 is another"),
        ("k", "a\nb", "tag", "character 2 is another"),
        ("aws:team", "v", "tag", "must not begin with aws:"),
        ("AWS:team", "v", "tag", "must not begin with aws:"),
    ] {
        assert_says(&refused(role().tag(key, value)), field, &[rule]);
        assert_says(&refused(role().transitive_tag(key, value)), field, &[rule]);
    }
    let twice = refused(role().tag("Team", "a").transitive_tag("team", "b"));
    assert_says(&twice, "tag", &["once", "\"team\""]);
}

#[test]
fn an_inherited_transitive_tag_is_not_set_again_however_far_down() {
    let hub = add(role().transitive_tag("Team", "a").tag("Cost", "1")).unwrap();
    let middle = hub.assume(Role::new(MIDDLE).tag("Cost", "2")).unwrap();
    for key in ["Team", "TEAM"] {
        for tenant in [
            Role::new(TENANT).tag(key, "a"),
            Role::new(TENANT).transitive_tag(key, "b"),
        ] {
            let error = middle.assume(tenant).unwrap_err();
            assert_says(&error, "tag", &["earlier hop", key, "hop 3 of 3"]);
        }
    }
    middle.assume(Role::new(TENANT).tag("Cost", "3")).unwrap();
}

#[test]
fn a_source_identity_is_well_formed_and_never_changed_down_the_chain() {
    let of_256 = "i".repeat(256);
    for good in ["ab", "Diego.Ramirez@example.com", &of_256] {
        add(role().source_identity(good)).unwrap();
    }
    let of_257 = "i".repeat(257);
    for (bad, rule) in [
        ("a", "2 to 256 characters, not 1"),
        (&of_257, "2 to 256 characters, not 257"),
        ("aws:ada", "character 4 is another"),
        ("a b", "character 2 is another"),
    ] {
        assert_says(
            &refused(role().source_identity(bad)),
            "source_identity",
            &[rule],
        );
    }
    let hub = add(role().source_identity("ada")).unwrap();
    let middle = hub.assume(Role::new(MIDDLE)).unwrap();
    middle
        .assume(Role::new(TENANT).source_identity("ada"))
        .unwrap();
    let error = middle
        .assume(Role::new(TENANT).source_identity("bob"))
        .unwrap_err();
    assert_says(
        &error,
        "source_identity",
        &["must stay \"ada\"", "\"bob\"", "hop 3 of 3"],
    );
}

#[test]
fn context_assertions_are_at_most_5_and_never_shown() {
    let provider = "arn:aws:iam::aws:contextProvider/IdentityCenter";
    let five = (0..5).fold(role(), |role, _| {
        role.provided_context(provider, "assertion")
    });
    assert!(!format!("{five:?}").contains("assertion\""));
    add(five.clone()).unwrap();
    let six = five.provided_context(provider, "assertion");
    assert_says(&refused(six), "provided_context", &["at most 5", "not 6"]);
    let secret = "s".repeat(2049);
    for (arn, assertion, rule) in [
        ("IdentityCenter", "assertion", "the provider must be an ARN"),
        (provider, "abc", "4 to 2048 characters"),
        (provider, &*secret, "4 to 2048 characters"),
    ] {
        let error = refused(role().provided_context(arn, assertion));
        assert_says(&error, "provided_context", &[rule]);
        assert!(!error.to_string().contains("sss"));
    }
}

#[test]
fn a_region_is_a_host_name_s_part() {
    add(role().region("eu-central-2")).unwrap();
    for bad in ["", "eu-west-1.evil.example", "EU-WEST-1", "eu west"] {
        assert_says(&refused(role().region(bad)), "region", &[bad]);
    }
}

#[test]
fn a_base_config_needs_credentials_and_a_region() {
    let nothing = SdkConfig::builder().build();
    let error = RoleChain::new(&nothing, role()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid base config: credentials_provider: must be set, as aws_config::load_defaults does: its credentials assume the first role"
    );
    assert_eq!(
        (error.field(), error.hop()),
        (Some("credentials_provider"), None)
    );

    let (_, base) = aws();
    for wrong in ["", "not a region!"] {
        let region = aws_types::region::Region::new(wrong);
        let base = base.to_builder().region(region).build();
        let error = RoleChain::new(&base, role()).unwrap_err();
        assert_says(&error, "region", &["invalid base config", wrong]);
    }
    let mut no_region = base.into_builder();
    no_region.set_region(None);
    let no_region = no_region.build();
    let error = RoleChain::new(&no_region, role()).unwrap_err();
    assert_says(&error, "region", &["invalid base config"]);
    RoleChain::new(&no_region, role().region("eu-west-1")).unwrap();
}

#[tokio::test]
async fn a_role_s_own_region_is_the_one_called() {
    let (aws, base) = aws();
    let hub = RoleChain::new(&base, role()).unwrap();
    let tenant = hub.assume(Role::new(TENANT).region("us-west-2")).unwrap();
    tenant.refresh().await.unwrap();
    let regions: Vec<_> = aws
        .calls()
        .into_iter()
        .map(|call| call.region.unwrap())
        .collect();
    assert_eq!(regions, ["eu-west-1", "us-west-2"]);
}

#[tokio::test]
async fn a_session_is_named_after_the_role_the_hop_before_or_the_program() {
    let (aws, base) = aws();
    let names = || -> Vec<String> {
        let calls = aws.calls().into_iter();
        calls.map(|call| call.session_name.unwrap()).collect()
    };
    let hub = RoleChain::new(&base, role()).unwrap();
    hub.refresh().await.unwrap();
    hub.refresh().await.unwrap();
    let program = format!("-{}", std::process::id());
    assert!(
        names()[0].starts_with("checks-") && names()[0].ends_with(&program),
        "{names:?}",
        names = names()
    );
    assert_eq!(names()[0], names()[1], "the same at each refresh");

    let hub = RoleChain::new(&base, role().session_name("orders")).unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    let named = hub
        .assume(Role::new(TENANT).session_name("refunds"))
        .unwrap();
    tenant.refresh().await.unwrap();
    named.refresh().await.unwrap();
    assert_eq!(names()[2..], ["orders", "orders", "refunds"]);
}

#[tokio::test]
async fn credentials_carry_expiry_account_and_who_provided_them() {
    use aws_credential_types::provider::ProvideCredentials;
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    let credentials = tenant.provide_credentials().await.unwrap();
    assert_eq!(credentials.account_id().unwrap().as_str(), "333333333333");
    assert_eq!(credentials.expiry(), tenant.status()[1].expiry);
    assert!(format!("{credentials:?}").contains("RoleChain"));
    assert_eq!(tenant.role_arn(), Some(TENANT));

    let status = tenant.status();
    assert_eq!(status.len(), 2);
    assert_eq!(status[0].role_arn.as_deref(), Some(HUB));
    let session = status[1].session_arn.as_deref().unwrap();
    assert!(session.starts_with("arn:aws:sts::333333333333:assumed-role/FirehoseWriter/checks-"));
    assert_eq!(
        status[1].access_key_id.as_deref(),
        Some(credentials.access_key_id())
    );
    let line = status[1].to_string();
    assert!(
        line.contains("until 20") && line.contains("next refresh at 20"),
        "{line}"
    );
    drop(aws);
}

#[tokio::test]
async fn a_base_built_by_hand_without_version_retries_or_sleep_works() {
    let aws = Simulator::new();
    let keys = user(&aws);
    aws.role(HUB).trust(trusts(USER)).create().unwrap();
    let bare = SdkConfig::builder()
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(keys))
        .http_client(aws.clone())
        .region(aws_types::region::Region::new("eu-west-1"))
        .build();
    RoleChain::new(&bare, role())
        .unwrap()
        .refresh()
        .await
        .unwrap();
}

#[test]
fn a_role_from_somebody_else_is_taken_only_where_it_is_allowed() {
    let of = AllowedRoles::new;
    let vendors = "arn:aws:iam::222222222222:role/vendor/Writer";
    let (a, b) = ("222222222222", "333333333333");
    let good = [
        (vendors, of().allow_accounts([a])),
        (vendors, of().allow_accounts([b]).allow_accounts([a])),
        (vendors, of().allow_names(["Reader", "Writer"])),
        (vendors, of().allow_paths(["/", "/vendor/"])),
        (HUB, of().allow_paths(["/"])),
        (vendors, of().deny_accounts([b])),
        (
            vendors,
            of().allow_accounts([a, b])
                .deny_accounts([b])
                .allow_names(["Writer"])
                .allow_paths(["/vendor/"]),
        ),
    ];
    for (arn, allowed) in good {
        let said = format!("{allowed:?}");
        add(Role::new(arn).allowed_roles(allowed))
            .unwrap_or_else(|error| panic!("{said}: {error}"));
    }
    let bad = [
        (
            of().allow_accounts([b]),
            "must have the account 333333333333",
        ),
        (
            of().allow_accounts([b, "444444444444"]),
            "one of the 2 accounts",
        ),
        (of().deny_accounts([b, a]), "not be a role of account 2222"),
        (of().allow_names(["writer"]), "must have the name writer"),
        (
            of().allow_names(["Write", "Writer2"]),
            "one of Write, Writer2",
        ),
        (of().allow_paths(["/"]), "must have the path /"),
        (of().allow_paths(["/vendor/x/"]), "path /vendor/x/"),
        (of().allow_paths(["/ven/"]), "path /ven/"),
        (of().allow_paths(["/Vendor/"]), "path /Vendor/"),
        (
            of().allow_accounts([a]).allow_names(["R"]),
            "must have the name R",
        ),
    ];
    for (allowed, rule) in bad {
        let error = refused(Role::new(vendors).allowed_roles(allowed));
        assert_says(&error, "arn", &[rule, vendors]);
    }
    let several =
        refused(Role::new(vendors).allowed_roles(of().allow_accounts([b, "444444444444"])));
    assert!(
        !several.to_string().contains(b),
        "customers do not read of each other: {several}"
    );
    // A path's end is a slash: its name does not continue.
    let beside = Role::new("arn:aws:iam::222222222222:role/vendor2/Writer");
    refused(beside.allowed_roles(of().allow_paths(["/vendor/"])));
}

#[test]
fn where_an_external_id_is_required_a_role_without_one_is_refused() {
    let allowed = Arc::new(AllowedRoles::new().require_external_id());
    let role = || role().allowed_roles(allowed.clone());
    add(role().external_id(EXTERNAL_ID)).unwrap();
    assert_says(&refused(role()), "external_id", &["must be set"]);
}

#[test]
fn what_allows_nothing_or_everything_is_refused() {
    let of = AllowedRoles::new;
    let none: [&str; 0] = [];
    let long = "p".repeat(512);
    for (allowed, rule) in [
        (of(), "so it allows any role"),
        (of().allow_accounts(none), "12 digits, and at least one"),
        (of().deny_accounts(none), "12 digits, and at least one"),
        (of().allow_names(none), "and at least one"),
        (of().allow_paths(none), "and at least one"),
        (of().allow_accounts(["22222222222"]), "12 digits"),
        (of().allow_accounts(["*"]), "12 digits"),
        (
            of().allow_accounts(["arn:aws:iam::222222222222:root"]),
            "12 digits",
        ),
        (of().deny_accounts(["2222 2222 2222"]), "12 digits"),
        (of().allow_names(["Writer*"]), "\"Writer*\""),
        (of().allow_names([""]), "1 to 64"),
        (
            of().allow_names(["vendor/Writer"]),
            "role names as they are",
        ),
        (of().allow_paths(["vendor"]), "beginning and ending with /"),
        (of().allow_paths(["/vendor"]), "beginning and ending with /"),
        (of().allow_paths(["//"]), "beginning and ending with /"),
        (of().allow_paths(["/vendor/*/"]), "paths as they are"),
        (of().allow_paths([format!("/{long}/")]), "512"),
        (
            of().allow_accounts(["222222222222"])
                .deny_accounts(["222222222222"]),
            "must allow an account",
        ),
    ] {
        assert_says(
            &refused(role().allowed_roles(allowed)),
            "allowed_roles",
            &[rule],
        );
    }
}
