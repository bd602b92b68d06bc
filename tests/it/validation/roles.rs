//! Rules for a single role.

use std::time::Duration;

use super::*;

#[test]
fn role_arns_of_any_partition_path_and_name_are_accepted() {
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
fn a_malformed_role_arn_is_refused_and_the_error_shows_the_expected_form() {
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
        (
            "arn:aws:iam::22222222222:role/Writer",
            "12-digit account ID",
        ),
        (
            "arn:aws:iam::my-account-1:role/Writer",
            "12-digit account ID",
        ),
        (
            "arn:aws:sts::222222222222:assumed-role/R/session",
            "not that of one of its sessions",
        ),
        ("arn:aws:iam::222222222222:role/Wri ter", "role name"),
        ("arn:aws:iam::222222222222:role/a b/Writer", "path"),
        ("arn:aws:iam::222222222222:role//Writer", shape),
        ("arn:aws:iam::222222222222:role/Writer:1", "role name"),
        ("arn:aWS:iam::222222222222:role/Writer", shape),
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
fn a_session_name_must_have_2_to_64_accepted_characters() {
    let of_64 = "s".repeat(64);
    for good in ["ab", "a_+=,.@-Z9", &of_64] {
        add(role().session_name(good)).unwrap();
    }
    let of_65 = "s".repeat(65);
    for (bad, rule) in [
        ("", "2 to 64 characters, not 0"),
        ("a", "2 to 64 characters, not 1"),
        (&of_65, "2 to 64 characters, not 65"),
        ("a/b", "character 2 is not allowed"),
        ("naïve", "ASCII letters, digits and _+=,.@-"),
        ("a b", "character 2 is not allowed"),
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
        ("se cret", "character 3 is not allowed"),
        ("secrèt", "ASCII letters, digits and _+=,.@:/-"),
    ] {
        let error = refused(role().external_id(bad));
        assert_says(&error, "external_id", &[rule]);
        assert!(!format!("{error}{error:?}").contains("crèt"));
        assert!(!format!("{error}{error:?}").contains("se cret"));
    }
}

#[test]
fn a_duration_must_be_900_to_43200_whole_seconds() {
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
fn a_session_policy_must_be_a_json_object_of_2048_characters_at_most() {
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
        ("{\"Statement\": []", "it is incomplete"),
        ("{\"Sid\": \"\\x\"}", "must be a JSON object"),
        ("{} {}", "followed by something else"),
        ("{\"Sid\": \"ĸ\"}", "up to U+00FF (character 10"),
        ("\u{feff}{}", "byte order mark"),
    ] {
        assert_says(&refused(role().policy(bad)), "policy", &[why]);
    }
}

#[test]
fn at_most_10_managed_session_policies_of_the_role_account_or_of_aws_are_accepted() {
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
        ("arn:aws:iam::222222222222:policy/Read Only", shape),
        ("arn:aws:iam:eu-west-1:222222222222:policy/P", shape),
        (
            "arn:aws:iam::333333333333:policy/Foreign",
            "role's account (222222222222) or of AWS",
        ),
        (
            "arn:aws-cn:iam::aws:policy/ReadOnlyAccess",
            "in partition aws, like the role",
        ),
    ] {
        assert_says(&refused(role().policy_arn(bad)), "policy_arn", &[rule, bad]);
    }
}

#[test]
fn session_tags_must_keep_to_the_limits_of_sts() {
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
        ("a;b", "v", "tag", "character 2 is not allowed"),
        ("k", "a\nb", "tag", "character 2 is not allowed"),
        ("aws:team", "v", "tag", "must not begin with aws:"),
        ("AWS:team", "v", "tag", "key must not begin with aws:"),
    ] {
        assert_says(&refused(role().tag(key, value)), field, &[rule]);
        assert_says(&refused(role().transitive_tag(key, value)), field, &[rule]);
    }
    let twice = refused(role().tag("Team", "a").transitive_tag("team", "b"));
    assert_says(&twice, "tag", &["must not repeat \"Team\"", "\"team\""]);
}

#[test]
fn at_most_5_context_assertions_are_accepted_and_none_is_shown() {
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
        ("arn:aws:iam::aws:x", "assertion", "20 to 2048 characters"),
        ("IdentityCenterProvider", "assertion", "must be an ARN"),
        (provider, "abc", "4 to 2048 characters"),
        (provider, &*secret, "4 to 2048 characters"),
    ] {
        let error = refused(role().provided_context(arn, assertion));
        assert_says(&error, "provided_context", &[rule]);
        assert!(!error.to_string().contains("sss"));
    }
}

#[test]
fn a_region_must_be_a_valid_part_of_a_host_name() {
    add(role().region("eu-central-2")).unwrap();
    for bad in ["", "eu-west-1.evil.example", "EU-WEST-1", "eu west"] {
        assert_says(&refused(role().region(bad)), "region", &[bad]);
    }
}
