//! Chains from profiles: what is sent to STS, and the errors of invalid profiles.

use std::path::PathBuf;

use crate::common::*;
use aws_role_chain::{Error, ProfileLoader, Role, RoleChain, SessionTokenRequest};
use aws_types::SdkConfig;
use aws_types::region::Region;
use sts_simulator::{Call, Simulator};

/// The accounts of [`aws`], and profile files for chains through them.
struct World {
    aws: Simulator,
    base: SdkConfig,
    folder: PathBuf,
    serial: String,
}

impl World {
    /// In the files, `{keys}` stands for the two lines of the user's key pair, and `{serial}` for its MFA device.
    fn new(name: &str, config: &str, credentials: &str) -> Self {
        let aws = Simulator::new();
        let serial = new_device(&format!("profile-{name}"));
        let keys = user_with_device(&aws, &serial);
        for (role, trusted) in [
            (HUB, USER),
            (MIDDLE, "222222222222"),
            (TENANT, "222222222222"),
        ] {
            let role = aws.role(role).trust(trusts(trusted)).policy(allow("sts:*"));
            role.max_session_duration(2 * HOUR).create().unwrap();
        }
        let pair = format!(
            "aws_access_key_id = {}\naws_secret_access_key = {}\n",
            keys.access_key_id(),
            keys.secret_access_key()
        );
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("profile-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let config = config.replace("{keys}", &pair).replace("{serial}", &serial);
        std::fs::write(folder.join("config"), config).unwrap();
        let credentials = credentials.replace("{keys}", &pair);
        std::fs::write(folder.join("credentials"), credentials).unwrap();
        // The base config's credentials are not valid: only those of the profiles are.
        let nobody = aws_credential_types::Credentials::new("AKIANOBODY", "x", None, None, "test");
        let base = aws.sdk_config(nobody);
        Self {
            aws,
            base,
            folder,
            serial,
        }
    }

    fn profile(&self, name: &str) -> ProfileLoader {
        ProfileLoader::new(name)
            .base(&self.base)
            .config_file(self.folder.join("config"))
            .credentials_file(self.folder.join("credentials"))
    }

    /// Loads a profile's chain, and returns the calls that it makes.
    async fn calls_of(&self, loader: ProfileLoader) -> Vec<Call> {
        let before = self.aws.requests();
        loader.load().await.unwrap().refresh().await.unwrap();
        self.aws.calls().split_off(before)
    }

    async fn refused(&self, name: &str) -> Error {
        let refused = self.profile(name).load().await;
        assert_eq!(self.aws.requests(), 0);
        refused.unwrap_err()
    }
}

#[tokio::test(start_paused = true)]
async fn every_key_of_a_role_reaches_sts() {
    let world = World::new(
        "keys",
        &format!(
            "[profile app]\n\
             role_arn = {HUB}\n\
             source_profile = b\n\
             external_id = {EXTERNAL_ID}\n\
             role_session_name = orders\n\
             duration_seconds = 7200\n\
             session_tags = team=payments, cost = 42\n\
             transitive_session_tags = team\n\
             source_identity = ada\n"
        ),
        "[b]\n{keys}",
    );
    let calls = world.calls_of(world.profile("app")).await;
    let sent = |name| calls[0].parameter(name);
    for (name, value) in [
        ("RoleArn", HUB),
        ("ExternalId", EXTERNAL_ID),
        ("RoleSessionName", "orders"),
        ("DurationSeconds", "7200"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "payments"),
        ("Tags.member.2.Key", "cost"),
        ("Tags.member.2.Value", "42"),
        ("TransitiveTagKeys.member.1", "team"),
        ("SourceIdentity", "ada"),
    ] {
        assert_eq!(sent(name), Some(value), "{name}");
    }
    assert_eq!(sent("Tags.member.3.Key"), None);
    assert_eq!(sent("TransitiveTagKeys.member.2"), None);
    assert_eq!(calls.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_role_is_assumed_in_the_region_of_its_profile() {
    let world = World::new(
        "regions",
        &format!(
            "[profile app]\nrole_arn = {TENANT}\nsource_profile = middle\nregion = us-east-2\n\
             [profile middle]\nrole_arn = {MIDDLE}\nsource_profile = hub\nregion = ap-south-1\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\n\
             [profile plain]\nrole_arn = {HUB}\nsource_profile = b\n"
        ),
        "[b]\n{keys}",
    );
    let calls = world.calls_of(world.profile("app")).await;
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            let (role, region) = (call.role_arn.as_deref(), call.region.as_deref());
            (role.unwrap(), region.unwrap())
        })
        .collect();
    let expected = [
        (HUB, "ap-south-1"), // says nothing itself
        (MIDDLE, "ap-south-1"),
        (TENANT, "us-east-2"),
    ];
    assert_eq!(seen, expected);
    assert!(
        calls
            .iter()
            .all(|call| call.host
                == format!("sts.{}.amazonaws.com", call.region.as_deref().unwrap()))
    );

    let region = |chain: RoleChain| chain.sdk_config().region().map(Region::to_string);
    let app = world.profile("app").load().await.unwrap();
    assert_eq!(region(app), Some("us-east-2".to_owned()));
    let plain = world.profile("plain").load().await.unwrap();
    assert_eq!(region(plain), Some("eu-west-1".to_owned()), "the base's");
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_of_a_profile_also_applies_to_source_profiles_without_one() {
    let world = World::new(
        "endpoints",
        &format!(
            "[profile app]\nrole_arn = {TENANT}\nsource_profile = middle\nendpoint_url = https://app.example\n\
             [profile middle]\nrole_arn = {MIDDLE}\nsource_profile = hub\nservices = own\nregion = us-east-2\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\n\
             [services own]\nsts =\n  endpoint_url = https://own.example\n\
             [profile fips]\nrole_arn = {HUB}\nsource_profile = b\nuse_fips_endpoint = true\nregion = us-east-2\n"
        ),
        "[b]\n{keys}",
    );
    let calls = world.calls_of(world.profile("app")).await;
    let hosts: Vec<_> = calls.iter().map(|call| &*call.host).collect();
    assert_eq!(hosts, ["own.example", "own.example", "app.example"]);
    let calls = world.calls_of(world.profile("fips")).await;
    assert_eq!(calls[0].host, "sts-fips.us-east-2.amazonaws.com");
}

#[tokio::test(start_paused = true)]
async fn settings_missing_from_a_profile_come_from_the_base_config() {
    let mut world = World::new(
        "overlay",
        &format!(
            "[profile s3]\nrole_arn = {HUB}\nsource_profile = b\nservices = s3-only\n\
             [services s3-only]\ns3 =\n  endpoint_url = https://s3.example\n\
             [profile dual]\nrole_arn = {HUB}\nsource_profile = b\nuse_dualstack_endpoint = true\n\
             [profile app]\nrole_arn = {TENANT}\nsource_profile = hub\nservices = sts-too\n\
             [services sts-too]\nsts =\n  endpoint_url = https://own.example\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\nuse_fips_endpoint = false\n"
        ),
        "[b]\n{keys}",
    );
    let base = world.base.to_builder();
    world.base = base.request_min_compression_size_bytes(77).build();
    let chain = world.profile("dual").load().await.unwrap();
    let config = chain.sdk_config();
    assert_eq!(config.use_dual_stack(), Some(true));
    assert_eq!(config.request_min_compression_size_bytes(), Some(77));
    let calls = world.calls_of(world.profile("app")).await;
    let hosts: Vec<_> = calls.iter().map(|call| &*call.host).collect();
    assert_eq!(hosts, ["own.example", "own.example"]);

    let base = world.base.to_builder().endpoint_url("https://base.example");
    world.base = base.build();
    let calls = world.calls_of(world.profile("s3")).await;
    assert_eq!(calls[0].host, "base.example");
}

#[tokio::test(start_paused = true)]
async fn a_services_section_that_does_not_exist_is_an_error_and_not_a_call_to_aws() {
    let world = World::new(
        "services",
        &format!(
            "[profile app]\nrole_arn = {HUB}\nsource_profile = b\nservices = locl\n\
             [services local]\nsts =\n  endpoint_url = http://localhost:4566\n\
             [profile spaced]\nrole_arn = {HUB}\nsource_profile = b\nservices = spaced\n\
             [ services\tspaced ] # a comment\nsts =\n  endpoint_url = https://own.example\n\
             [profile indented]\nrole_arn = {HUB}\nsource_profile = b\nservices = indented\noutput = json\n\
             \x20 [services indented]\n  sts =\n  endpoint_url = https://own.example\n\
             [profile tenant]\nrole_arn = {TENANT}\nsource_profile = app\n"
        ),
        "[b]\n{keys}",
    );
    for profile in ["app", "tenant"] {
        let error = world.profile(profile).load().await.unwrap_err();
        assert_eq!(error.field(), Some("services"), "{error}");
        let expected = "the section [services locl] does not exist";
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("config"), "{error}");
    }
    // aws-config reads an indented line as part of the value above it.
    assert_eq!(world.refused("indented").await.field(), Some("services"));
    let calls = world.calls_of(world.profile("spaced")).await;
    assert_eq!(calls[0].host, "own.example");
}

#[tokio::test(start_paused = true)]
async fn the_instance_metadata_endpoint_comes_from_the_profile() {
    let world = World::new(
        "imds",
        &format!(
            "[profile app]\nrole_arn = {HUB}\ncredential_source = Ec2InstanceMetadata\n\
             ec2_metadata_service_endpoint = http://metadata.example\n\
             [profile mode]\nrole_arn = {HUB}\ncredential_source = Ec2InstanceMetadata\n\
             ec2_metadata_service_endpoint_mode = IPv5\n"
        ),
        "",
    );
    assert_eq!(
        world.refused("mode").await.field(),
        Some("ec2_metadata_service_endpoint_mode")
    );
    let chain = world.profile("app").load().await.unwrap();
    // No instance metadata is available here; only the host that was called matters.
    assert!(chain.refresh().await.unwrap_err().is_source_failure());
    assert_eq!(world.aws.calls()[0].host, "metadata.example");
}

#[cfg(unix)]
#[tokio::test]
async fn the_credential_process_of_a_source_profile_is_read_from_the_same_files() {
    let world = World::new("process", "", "");
    let keys = world.aws.user("arn:aws:iam::111111111111:user/process");
    let keys = keys.policy(allow("sts:*")).create().unwrap();
    let printed = format!(
        r#"{{"Version": 1, "AccessKeyId": "{}", "SecretAccessKey": "{}"}}"#,
        keys.access_key_id(),
        keys.secret_access_key()
    );
    let file = world.folder.join("keys.json");
    std::fs::write(&file, printed).unwrap();
    let config = format!(
        "[profile app]\nrole_arn = {MIDDLE}\nsource_profile = b\n\
         [profile b]\ncredential_process = cat {}\n",
        file.display()
    );
    std::fs::write(world.folder.join("config"), config).unwrap();
    let middle = world.aws.role(MIDDLE).trust(trusts("111111111111"));
    middle.create().unwrap();
    let calls = world.calls_of(world.profile("app")).await;
    assert_eq!(
        calls[0].access_key_id.as_deref(),
        Some(keys.access_key_id())
    );
}

#[tokio::test(start_paused = true)]
async fn one_code_serves_all_roles_that_name_the_same_device() {
    let world = World::new(
        "several",
        &format!(
            "[profile app]\nrole_arn = {TENANT}\nsource_profile = hub\nmfa_serial = {{serial}}\nregion = ap-east-1\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\nmfa_serial = {{serial}}\nregion = us-east-2\n"
        ),
        "[b]\n{keys}",
    );
    let totp = totp();
    let calls = world.calls_of(world.profile("app").mfa(totp)).await;
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            let region = call.region.as_deref().unwrap();
            (&*call.action, region, call.parameter("SerialNumber"))
        })
        .collect();
    let expected = [
        ("GetSessionToken", "us-east-2", Some(&*world.serial)),
        ("AssumeRole", "us-east-2", None),
        ("AssumeRole", "ap-east-1", None),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn a_device_named_only_by_the_first_role_is_sent_with_its_call() {
    let world = World::new(
        "first",
        &format!(
            "[profile app]\nrole_arn = {TENANT}\nsource_profile = hub\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\nmfa_serial = {{serial}}\nduration_seconds = 7200\n"
        ),
        "[b]\n{keys}",
    );
    let totp = totp();
    let calls = world.calls_of(world.profile("app").mfa(totp)).await;
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].parameter("SerialNumber"), Some(&*world.serial));
    assert_eq!(calls[0].duration_seconds.as_deref(), Some("7200"));

    let error = world.profile("app").load().await.unwrap_err();
    assert_eq!(error.field(), Some("mfa_serial"));
    let text = error.to_string();
    assert!(text.contains("profile hub in "), "{text}");
    assert!(text.contains(".mfa(TerminalPrompt::new())"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn roles_chain_on_from_a_profile() {
    let world = World::new(
        "further",
        &format!("[profile app]\nrole_arn = {HUB}\nsource_profile = app\n{{keys}}"),
        "",
    );
    let hub = world.profile("app").load().await.unwrap();
    let tenant = hub.assume(Role::new(TENANT)).unwrap();
    tenant.refresh().await.unwrap();
    assert_eq!(world.aws.requests(), 2);
    // The base config's own credentials are not used: they are invalid.
    let other = RoleChain::from_session_token(&world.base, SessionTokenRequest::new()).unwrap();
    assert!(other.refresh().await.is_err());
}

#[tokio::test]
async fn an_invalid_profile_is_named_with_its_file_and_key() {
    let world = World::new(
        "wrong",
        &format!(
            "[profile lost]\nrole_arn = {HUB}\nsource_profile = nowhere\n\
             [profile half]\nrole_arn = {HUB}\nsource_profile = pair\n\
             [profile role]\nrole_arn = arn:aws:iam::1:role/R\nsource_profile = keys\n\
             [profile seconds]\nrole_arn = {HUB}\nsource_profile = keys\nduration_seconds = 1h\n\
             [profile short]\nrole_arn = {HUB}\nsource_profile = keys\nduration_seconds = 60\n\
             [profile name]\nrole_arn = {HUB}\nsource_profile = keys\nrole_session_name = a b\n\
             [profile chained]\nrole_arn = {TENANT}\nsource_profile = long\nduration_seconds = 7200\n\
             [profile long]\nrole_arn = {HUB}\nsource_profile = keys\nduration_seconds = 7200\n\
             [profile id]\nrole_arn = {HUB}\nsource_profile = keys\nexternal_id = secret id\n\
             [profile tags]\nrole_arn = {HUB}\nsource_profile = keys\nsession_tags = team\n\
             [profile transitive]\nrole_arn = {HUB}\nsource_profile = keys\ntransitive_session_tags = team\n"
        ),
        "[pair]\naws_access_key_id = AKIA\n[keys]\n{keys}",
    );
    let (config, credentials) = (
        world.folder.join("config"),
        world.folder.join("credentials"),
    );
    let config = config.display().to_string();
    let cases = [
        ("lost", "lost", "source_profile", "which does not exist in"),
        (
            "role",
            "role",
            "role_arn",
            "must contain the 12-digit account ID, but the value is",
        ),
        (
            "seconds",
            "seconds",
            "duration_seconds",
            r#"but the value is "1h""#,
        ),
        (
            "short",
            "short",
            "duration_seconds",
            "must be 900 to 43200 whole seconds",
        ),
        (
            "name",
            "name",
            "role_session_name",
            "must contain only ASCII letters",
        ),
        (
            "chained",
            "chained",
            "duration_seconds",
            "must be at most 3600 s",
        ),
        ("id", "id", "external_id", "must contain only ASCII letters"),
        ("tags", "tags", "session_tags", r#""team" has no ="#),
        (
            "transitive",
            "transitive",
            "transitive_session_tags",
            "is not one of the session_tags",
        ),
    ];
    for (name, at, key, says) in cases {
        let error = world.refused(name).await;
        let text = error.to_string();
        assert!(
            error.is_invalid() && error.field() == Some(key),
            "{name}: {text}"
        );
        let begin = format!("invalid profile {at} in {config}: {key}: ");
        assert!(
            text.starts_with(&begin) && text.contains(says),
            "{name}: {text}"
        );
        assert!(!text.contains("secret id"), "{text}");
    }
    let text = world.refused("half").await.to_string();
    let credentials = credentials.display();
    let begin = format!("invalid profile pair in {credentials}: aws_secret_access_key: is missing");
    assert!(text.starts_with(&begin), "{text}");
    let text = world.refused("unknown").await.to_string();
    let expected = format!(
        "invalid profile unknown: profile: the profile does not exist in {config} or {credentials}"
    );
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn a_missing_profile_says_why_it_was_not_found() {
    let spaced = format!("[profile with space]\nrole_arn = {HUB}\n");
    let bare = format!("[app]\nrole_arn = {HUB}\n");
    let bare_source = format!("[profile app]\nrole_arn = {HUB}\nsource_profile = b\n[b]\n");
    let cases: [(&str, &[u8], &str, &str); 6] = [
        (
            "app",
            bare.as_bytes(),
            "",
            "in {config} must be [profile app]",
        ),
        (
            "app",
            bare_source.as_bytes(),
            "",
            "in {config} must be [profile b]",
        ),
        (
            "app",
            b"",
            "[profile app]\n",
            "in {credentials} must be [app]",
        ),
        (
            "app",
            b"# \xff\n[profile app]\n",
            "",
            "{config} cannot be read: stream did not contain valid UTF-8",
        ),
        (
            "with space",
            spaced.as_bytes(),
            "",
            "profile names may contain only ASCII letters, digits and _-/.%@:+",
        ),
        ("app", b"[profile other]\n", "", "or {credentials}"),
    ];
    for (i, (name, config, credentials, why)) in cases.into_iter().enumerate() {
        let world = World::new(&format!("why-{i}"), "", credentials);
        let path = |file| world.folder.join(file).display().to_string();
        std::fs::write(path("config"), config).unwrap();
        let text = world.refused(name).await.to_string();
        let why = why.replace("{config}", &path("config"));
        let why = why.replace("{credentials}", &path("credentials"));
        assert!(text.ends_with(&why), "{name}: {text}");
    }
}

#[tokio::test]
async fn settings_that_aws_config_panics_over_or_ignores_are_errors() {
    for (i, (key, value, rule)) in [
        ("max_attempts", "0", "must be a whole number of at least 1"),
        (
            "max_attempts",
            "three",
            "must be a whole number of at least 1",
        ),
        ("retry_mode", "legacy", "must be standard or adaptive"),
        ("use_fips_endpoint", "yes", "must be true or false"),
        ("use_dualstack_endpoint", "1", "must be true or false"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("retries-{i}");
        let role = format!("role_arn = {HUB}\nsource_profile = b\nregion = eu-west-1\n");
        let profiles = format!(
            "[profile app]\n{role}{key} = {value}\n[profile above]\nrole_arn = {TENANT}\nsource_profile = below\n\
             [profile below]\n{role}endpoint_url = https://sts.example.com\n{key} = {value}\n[profile b]\n{{keys}}"
        );
        let world = World::new(&name, &profiles, "");
        let config = world.folder.join("config");
        let own = ProfileLoader::new("app")
            .config_file(&config)
            .credentials_file(world.folder.join("credentials"));
        for (profile, loader) in [("app", own), ("below", world.profile("above"))] {
            let text = loader.load().await.unwrap_err().to_string();
            let expected = format!(
                "invalid profile {profile} in {}: {key}: {rule}, but the value is {value:?}",
                config.display()
            );
            assert_eq!(text, expected);
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_are_named() {
    let missing = ProfileLoader::new("app")
        .config_file("/nowhere/config")
        .load();
    let error = missing.await.unwrap_err();
    assert!(error.is_invalid());
    assert!(with_causes(&error).contains("/nowhere/config"), "{error}");

    let world = World::new("broken", "[profile app\nrole_arn = x\n", "");
    let error = world.refused("app").await;
    let text = with_causes(&error);
    let at = format!("{} on line 1", world.folder.join("config").display());
    assert!(text.contains(&at), "{text}");
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(with_causes).unwrap_or_default();
    format!("{error}: {cause}")
}
