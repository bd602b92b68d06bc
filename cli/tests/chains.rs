//! The options that describe chains, which all commands share, and the commands that use them, against ministack.

mod common;

use std::process::Command;

use aws_credential_types::Credentials;
use common::example::Said;
use common::ministack::{Ministack, REGION};
use common::{EXTERNAL_ID, HUB, Home, USER, WRITER, allow, trusts, trusts_with_external_id};

const WRITER_SESSION: &str = "arn:aws:sts::222222222222:assumed-role/FirehoseWriter/me";

/// Account B's user `orders` (profile `b`), who may assume C's role `Hub`, which may assume A's role `FirehoseWriter`
/// with an external ID; and the user `stranger`, who may assume no role.
struct World {
    server: Ministack,
    home: Home,
    stranger: Credentials,
}

impl World {
    async fn new(test: &str) -> Option<Self> {
        let server = Ministack::start()?;
        let orders = server
            .make_user("111111111111", "orders", &allow("sts:*"))
            .await;
        let stranger = server
            .make_user("111111111111", "stranger", &allow("s3:*"))
            .await;
        let hub_trust = trusts(USER);
        server
            .make_role("333333333333", "Hub", &hub_trust, &allow("sts:*"))
            .await;
        let trust = trusts_with_external_id("333333333333");
        server
            .make_role(
                "222222222222",
                "FirehoseWriter",
                &trust,
                &allow("firehose:*"),
            )
            .await;
        let config = format!(
            "[profile b]\nregion = {REGION}\nendpoint_url = {url}\n\
             aws_access_key_id = {id}\naws_secret_access_key = {secret}\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\nrole_session_name = me\n\
             region = {REGION}\nendpoint_url = {url}\n\
             [profile writer]\nrole_arn = {WRITER}\nsource_profile = hub\nexternal_id = {EXTERNAL_ID}\n\
             role_session_name = me\nregion = {REGION}\nendpoint_url = {url}\n",
            url = server.url(),
            id = orders.access_key_id(),
            secret = orders.secret_access_key()
        );
        let home = Home::new(test, &config);
        Some(Self {
            server,
            home,
            stranger,
        })
    }

    /// Returns the command with the stranger's keys and the name of a missing profile in the environment.
    fn with_other_credentials(&self, arguments: &[&str]) -> Command {
        let mut program = self.home.program(arguments);
        program
            .env("AWS_ACCESS_KEY_ID", self.stranger.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", self.stranger.secret_access_key())
            .env("AWS_PROFILE", "nobody");
        program
    }
}

fn run(program: &mut Command) -> Said {
    program.output().unwrap().into()
}

const HUB_THEN_WRITER: [&str; 8] = [
    "--role-arn",
    HUB,
    "--session-name",
    "me",
    "--role-arn",
    WRITER,
    "--external-id",
    EXTERNAL_ID,
];

#[tokio::test]
async fn whoami_says_the_arn_the_account_and_the_expiry_of_any_chain() {
    let Some(world) = World::new("whoami").await else {
        return;
    };
    let hub = "arn:aws:sts::333333333333:assumed-role/Hub/me";
    for (arguments, arn) in [
        // The chain of a profile.
        (&["--profile", "writer"][..], WRITER_SESSION),
        // Roles, assumed with the keys of a profile.
        (&[&["--profile", "b"], &HUB_THEN_WRITER[..4]].concat(), hub),
        (
            &[&["--source-profile", "b"], &HUB_THEN_WRITER[..4]].concat(),
            hub,
        ),
        (
            &[&["--profile", "b"], &HUB_THEN_WRITER[..]].concat(),
            WRITER_SESSION,
        ),
        // A role, assumed from the chain of a profile.
        (
            &[
                &[
                    "--profile",
                    "hub",
                    "--role-arn",
                    WRITER,
                    "--session-name",
                    "me",
                ],
                &HUB_THEN_WRITER[6..],
            ]
            .concat(),
            WRITER_SESSION,
        ),
    ] {
        // The environment's credentials affect none of them.
        let arguments = [&["whoami"], arguments].concat();
        for said in [
            world.home.run(&arguments),
            run(&mut world.with_other_credentials(&arguments)),
        ] {
            assert!(said.ok, "{arguments:?} {said:?}");
            let account = arn.split(':').nth(4).unwrap();
            let shown = format!("arn      {arn}\naccount  {account}\nexpires  20");
            assert!(said.out.starts_with(&shown), "{arguments:?} {said:?}");
            assert!(said.out.ends_with("Z\n"), "{said:?}");
        }
    }
}

#[tokio::test]
async fn without_a_profile_the_environment_provides_the_credentials() {
    let Some(world) = World::new("environment").await else {
        return;
    };
    let url = world.server.url();
    for command in ["whoami", "export", "credential-process"] {
        let arguments = [
            command,
            "--role-arn",
            HUB,
            "--region",
            REGION,
            "--endpoint-url",
            &url,
        ];
        let mut program = world.with_other_credentials(&arguments);
        program.env_remove("AWS_PROFILE");
        let said = run(&mut program);
        assert!(!said.ok && said.err.contains("user/stranger"), "{said:?}");
    }
}

#[tokio::test]
async fn a_verbose_command_logs_each_role_and_no_secret() {
    let Some(world) = World::new("verbose").await else {
        return;
    };
    let said = world.home.run(&["-v", "export", "--profile", "writer"]);
    assert!(said.ok && !said.out.contains("DEBUG"), "{said:?}");
    for role in [HUB, WRITER] {
        let line = format!("DEBUG loaded credentials operation=\"AssumeRole\" role=\"{role}\"");
        assert!(said.err.contains(&line), "{said:?}");
    }
    let secrets = said.out.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        let is_secret = matches!(name, "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN");
        is_secret.then(|| value.trim_matches('\''))
    });
    let secrets: Vec<_> = secrets.chain([EXTERNAL_ID]).collect();
    assert_eq!(secrets.len(), 3, "{said:?}");
    for secret in secrets {
        assert!(!said.err.contains(secret), "{said:?}");
    }
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_an_error_by_name_in_every_command() {
    let Some(world) = World::new("missing").await else {
        return;
    };
    for (option, more) in [
        ("--profile", &[][..]),
        ("--profile", &["--role-arn", HUB]),
        ("--source-profile", &["--role-arn", HUB]),
    ] {
        for command in [
            "credential-process",
            "export",
            "doctor",
            "whoami",
            "policies",
        ] {
            let mut arguments = [&[command, option, "nobody"], more].concat();
            if command == "policies" {
                arguments.extend(["--caller", USER]);
            }
            let said = run(&mut world.with_other_credentials(&arguments));
            let start = format!("error: {option} nobody: invalid profile nobody: ");
            assert!(said.err.starts_with(&start), "{arguments:?} {said:?}");
            let why = "the profile does not exist in ";
            assert!(said.err.contains(why), "{arguments:?} {said:?}");
            assert!(!said.ok && said.out.is_empty(), "{arguments:?} {said:?}");
        }
    }
}

#[tokio::test]
async fn region_and_endpoint_of_the_command_line_come_before_all_others() {
    let Some(world) = World::new("overrides").await else {
        return;
    };
    let proxy = common::proxy::Proxy::to(world.server.port());
    for arguments in [
        &["--profile", "writer"][..],
        &["--profile", "b", "--role-arn", HUB],
    ] {
        let before = proxy.seen("/eu-west-3/sts/aws4_request");
        let mut program = world.home.program(&[&["whoami"], arguments].concat());
        program
            .args(["--region", "eu-west-3", "--endpoint-url", &proxy.url()])
            .env("AWS_REGION", "eu-west-2")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            .env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
            .env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        let said = run(&mut program);
        assert!(said.ok, "{said:?}");
        let roles = if arguments.len() == 2 { 2 } else { 1 };
        let calls = proxy.seen("/eu-west-3/sts/aws4_request") - before;
        assert_eq!(calls, roles + 1, "the roles and GetCallerIdentity");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn credentials_that_cannot_be_written_are_an_error() {
    let Some(world) = World::new("full").await else {
        return;
    };
    for command in ["credential-process", "export", "whoami", "doctor"] {
        let arguments = [command, "--profile", "hub"];
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let said = run(world.home.program(&arguments).stdout(full.unwrap()));
        let why = "error: writing to stdout: No space left on device";
        assert!(!said.ok && said.err.starts_with(why), "{said:?}");
        let (reads, writes) = std::io::pipe().unwrap();
        drop(reads);
        let said = run(world.home.program(&arguments).stdout(writes));
        assert!(said.ok && said.err.is_empty(), "{said:?}");
    }
}

#[tokio::test]
async fn doctor_succeeds_only_if_every_role_can_be_assumed() {
    let Some(world) = World::new("doctor").await else {
        return;
    };
    for arguments in [
        &["doctor", "--profile", "writer"][..],
        &[&["doctor", "--profile", "b"], &HUB_THEN_WRITER[..]].concat(),
    ] {
        let well = world.home.run(arguments);
        assert!(well.ok && well.out.contains("\nsuccess: "), "{well:?}");
        assert!(
            well.out.ends_with(&format!("{WRITER_SESSION}\n")),
            "{well:?}"
        );
    }
    let refused = world
        .home
        .run(&[&["doctor", "--profile", "b"], &HUB_THEN_WRITER[..6]].concat());
    assert!(!refused.ok && refused.err.is_empty(), "{refused:?}");
    for part in [
        "hop 2 of 2: AssumeRole arn:aws:iam::222222222222:role/FirehoseWriter",
        "  caller           arn:aws:sts::333333333333:assumed-role/Hub/me",
        "  - no external ID was sent",
        "\nTrust policy of arn:aws:iam::222222222222:role/FirehoseWriter:\n{\n",
        "\nPermission policy of arn:aws:iam::333333333333:role/Hub:\n{\n",
    ] {
        assert!(refused.out.contains(part), "{part:?} {}", refused.out);
    }
}

#[tokio::test]
async fn the_policies_that_doctor_prints_cure_what_it_found() {
    let Some(world) = World::new("cure").await else {
        return;
    };
    let server = &world.server;
    let nobody = trusts_with_external_id("444444444444");
    server
        .make_role("333333333333", "Reader", &nobody, &allow("s3:*"))
        .await;
    let reader = "arn:aws:iam::333333333333:role/Reader";
    let doctor = [
        "doctor",
        "--profile",
        "b",
        "--role-arn",
        reader,
        "--external-id",
        EXTERNAL_ID,
    ];
    let refused = world.home.run(&doctor);
    assert!(
        !refused.ok && refused.out.contains("AccessDenied"),
        "{refused:?}"
    );
    assert!(
        refused
            .out
            .contains(&format!("  identity         {USER}\n")),
        "{refused:?}"
    );

    let (_, below) = refused.out.split_once("\nTrust policy of ").unwrap();
    let json = &below[below.find('{').unwrap()..];
    let mut documents = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
    let trust = documents.next().unwrap().unwrap().to_string();
    let update = server.iam("333333333333").await.update_assume_role_policy();
    let update = update.role_name("Reader").policy_document(trust);
    update.send().await.unwrap();
    let well = world.home.run(&doctor);
    assert!(well.ok && well.out.contains("\nsuccess: "), "{well:?}");
}

#[tokio::test]
async fn an_option_belongs_to_the_role_before_it() {
    let Some(world) = World::new("options").await else {
        return;
    };
    let hub = [
        "--role-arn",
        HUB,
        "--transitive-tag",
        "team=a",
        "--tag",
        "b=c=d",
    ];
    let writer = [
        "--role-arn",
        WRITER,
        "--duration",
        "1000",
        "--external-id",
        EXTERNAL_ID,
    ];
    let more = ["--source-identity", "ada", "--duration", "900"];
    let said = world
        .home
        .run(&[&["doctor", "--profile", "b"][..], &hub, &more, &writer].concat());
    let (hub, writer) = said.out.split_once("hop 2 of 2").expect(&said.out);
    for part in [
        "b, team (transitive)",
        "source identity  ada\n",
        "requested 900 s",
    ] {
        assert!(hub.contains(part), "{part:?} {hub}");
    }
    assert!(!hub.contains("1000"), "{hub}");
    assert!(!writer.contains("b, team"), "{writer}");
}

#[test]
fn doctor_walks_the_chain_of_a_profile_and_keeps_its_secrets() {
    let home = Home::new(
        "walk",
        &format!(
            "[profile writer]\nrole_arn = {WRITER}\nsource_profile = hub\nregion = eu-west-1\n\
             endpoint_url = http://127.0.0.1:9\n\
             [profile hub]\nrole_arn = {HUB}\nsource_profile = b\n\
             [profile b]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = never-shown\n"
        ),
    );
    let said = home.run(&["doctor", "--profile", "writer"]);
    assert!(!said.ok && !said.out.contains("never-shown"), "{said:?}");
    for part in [
        "  access key       AKIAEXAMPLE\n",
        &format!("hop 1 of 2: AssumeRole {HUB}\n  not tried\n"),
        &format!("hop 2 of 2: AssumeRole {WRITER}\n  not tried\n"),
        "calling GetCallerIdentity with the source credentials: STS could not be called\nat ",
    ] {
        assert!(said.out.contains(part), "{part:?} {}", said.out);
    }
}

#[test]
fn policies_are_those_of_the_chain_and_its_principal_without_a_call() {
    // Any call would fail at once, and with it the command.
    let home = Home::new(
        "policies",
        &format!(
            "[profile writer]\nrole_arn = {WRITER}\nsource_profile = b\nexternal_id = c0ffee\n\
             endpoint_url = http://127.0.0.1:9\n\
             [profile pod]\nrole_arn = {HUB}\nweb_identity_token_file = /nonexistent\n\
             [profile b]\nsso_start_url = https://example.com/start\n"
        ),
    );
    let provider = "arn:aws:iam::333333333333:saml-provider/Company";
    let hub = ["--role-arn", HUB];
    let both = [
        "--role-arn",
        HUB,
        "--role-arn",
        WRITER,
        "--external-id",
        "c0ffee",
    ];
    let issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABCD";
    for (chain, principal, parts) in [
        (
            &["--profile", "writer"][..],
            &["--caller", USER][..],
            &["\"sts:ExternalId\": \"c0ffee\"", USER][..],
        ),
        (
            &["--profile", "b", "--role-arn", HUB],
            &["--caller", USER],
            &[
                USER,
                "Trust policy of arn:aws:iam::333333333333:role/Hub:\n{",
            ],
        ),
        (
            &both,
            &["--caller", USER, "--exact"],
            &[
                "\"AWS\": \"arn:aws:iam::111111111111:user/orders\"",
                "c0ffee",
            ],
        ),
        (
            &hub,
            &["--eks", issuer, "ns", "orders"],
            &[
                "system:serviceaccount:ns:orders",
                "needs no permission policy",
            ],
        ),
        (
            &["--profile", "pod"],
            &["--eks", issuer, "ns", "orders"],
            &["system:serviceaccount:ns:orders"],
        ),
        (
            &both,
            &["--github", "me/app", "ref:refs/heads/main"],
            &[
                "repo:me/app:ref:refs/heads/main",
                "Permission policy of arn:aws:iam::333333333333:role/Hub",
            ],
        ),
        (
            &hub,
            &["--web-identity", "https://id.example.com", "aud", "sub"],
            &["id.example.com:sub"],
        ),
        (
            &hub,
            &["--saml", provider],
            &["sts:AssumeRoleWithSAML", provider],
        ),
    ] {
        let arguments = [&["policies"], chain, principal].concat();
        let said = home.run(&arguments);
        assert!(said.ok && said.err.is_empty(), "{arguments:?} {said:?}");
        for part in parts {
            assert!(said.out.contains(part), "{part:?} {}", said.out);
        }
    }
    for (arguments, why) in [
        (&["--profile", "writer"][..], "--caller <ARN>"),
        (
            &["--profile", "writer", "--saml", provider],
            "this chain starts with its credentials",
        ),
        (
            &["--role-arn", HUB, "--caller", "me"],
            "must be the ARN of a user or role",
        ),
        (
            &[
                "--role-arn",
                HUB,
                "--mfa",
                "GAHT12345678",
                "--github",
                "me/app",
                "x",
            ],
            "--mfa requires a user's credentials: it cannot be used with a token or an assertion",
        ),
    ] {
        let said = home.run(&[&["policies"], arguments].concat());
        assert!(
            !said.ok && said.out.is_empty() && said.err.contains(why),
            "{arguments:?} {said:?}"
        );
    }
}
