//! Rules that depend on the base config and on earlier hops.

use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;

use super::*;

#[test]
fn service_linked_roles_and_roles_of_another_partition_are_refused() {
    let linked =
        "arn:aws:iam::222222222222:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
    assert_says(
        &refused(Role::new(linked)),
        "arn",
        &["only its service can assume"],
    );
    let china = add(Role::new("arn:aws-cn:iam::222222222222:role/Hub")).unwrap();
    china
        .assume(Role::new("arn:aws-cn:iam::333333333333:role/R"))
        .unwrap();
    let error = china.assume(Role::new(TENANT)).unwrap_err();
    assert_says(
        &error,
        "arn",
        &["must be in partition aws-cn", "(hop 2 of 2)"],
    );
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
fn an_inherited_transitive_tag_cannot_be_set_again_at_any_later_hop() {
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
fn a_source_identity_must_be_well_formed_and_cannot_change_at_a_later_hop() {
    let of_256 = "i".repeat(256);
    for good in ["ab", "Diego.Ramirez@example.com", &of_256] {
        add(role().source_identity(good)).unwrap();
    }
    let of_257 = "i".repeat(257);
    for (bad, rule) in [
        ("a", "2 to 256 characters, not 1"),
        (&of_257, "2 to 256 characters, not 257"),
        ("aws:ada", "character 4 is not allowed"),
        ("a b", "character 2 is not allowed"),
    ] {
        assert_says(
            &refused(role().source_identity(bad)),
            "source_identity",
            &[rule],
        );
    }
    // STS accepts more characters than AWS documents.
    for length in [64, 65] {
        let (log, _guard) = log::Log::at(LevelFilter::WARN);
        add(role().source_identity("i".repeat(length))).unwrap();
        let is_warned = log.text().contains("longer than 64 characters");
        assert_eq!(is_warned, length > 64, "{}", log.text());
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
        &["must be \"ada\"", "\"bob\"", "hop 3 of 3"],
    );
}

#[test]
fn a_base_config_needs_credentials_and_a_region() {
    let nothing = SdkConfig::builder().build();
    let error = RoleChain::new(&nothing, role()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid base config: credentials_provider: must be set, for example by \
         aws_config::load_defaults: its credentials assume the first role"
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
