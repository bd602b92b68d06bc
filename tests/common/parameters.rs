//! A table of all parameters of a role. The unit tests of `src/request/role.rs` check that it has each field of `Role`.

#![allow(dead_code)] // Each of the two test binaries that include it reads only some of the fields.

use std::time::Duration;

use aws_role_chain::{MfaRequest, Role};

pub struct Parameter {
    pub setter: &'static str,
    /// Sets one of two values, 0 or 1.
    pub set: fn(Role, usize) -> Role,
    /// The names and values that STS receives for value 0.
    pub sent: &'static [(&'static str, &'static str)],
    /// Set invalid values, such as one that is too short, too long, or contains an invalid character. The exact limits
    /// are tested in `tests/it/validation`.
    pub wrong: &'static [fn(Role) -> Role],
    /// Whether AssumeRoleWithWebIdentity and AssumeRoleWithSAML accept the parameter.
    pub with_web_identity: bool,
    pub with_saml: bool,
    /// Whether the key of the AWS CLI's cache contains it, so that sessions may be shared with the AWS CLI.
    pub in_cli_cache_key: bool,
    /// The action that STS authorizes for it in addition to AssumeRole.
    pub action: Option<&'static str>,
}

const CONTEXTS: &str = "arn:aws:iam::aws:contextProvider/IdentityCenter";
const DEVICES: [&str; 2] = [
    "arn:aws:iam::111111111111:mfa/parameters-0",
    "arn:aws:iam::111111111111:mfa/parameters-1",
];

pub const PARAMETERS: [Parameter; 10] = [
    Parameter {
        setter: "session_name",
        set: |role, i| role.session_name(format!("name-{i}")),
        sent: &[("RoleSessionName", "name-0")],
        wrong: &[
            |role| role.session_name("a"),
            |role| role.session_name("a".repeat(65)),
            |role| role.session_name("a name"),
        ],
        with_web_identity: true,
        with_saml: false,
        in_cli_cache_key: true,
        action: None,
    },
    Parameter {
        setter: "external_id",
        set: |role, i| role.external_id(format!("id-{i}")),
        sent: &[("ExternalId", "id-0")],
        wrong: &[
            |role| role.external_id("a"),
            |role| role.external_id("a".repeat(1225)),
            |role| role.external_id("an id"),
        ],
        with_web_identity: false,
        with_saml: false,
        in_cli_cache_key: true,
        action: None,
    },
    Parameter {
        setter: "duration",
        set: |role, i| role.duration(Duration::from_secs(900 + i as u64)),
        sent: &[("DurationSeconds", "900")],
        wrong: &[
            |role| role.duration(Duration::from_secs(899)),
            |role| role.duration(Duration::from_secs(43_201)),
            |role| role.duration(Duration::from_millis(900_500)),
        ],
        with_web_identity: true,
        with_saml: true,
        in_cli_cache_key: true,
        action: None,
    },
    Parameter {
        setter: "policy",
        set: |role, i| role.policy(format!(r#"{{"Statement":[],"Id":"{i}"}}"#)),
        sent: &[("Policy", r#"{"Statement":[],"Id":"0"}"#)],
        wrong: &[
            |role| role.policy(""),
            |role| role.policy(format!("{{}}{}", " ".repeat(2047))),
            |role| role.policy("{"),
        ],
        with_web_identity: true,
        with_saml: true,
        in_cli_cache_key: false,
        action: None,
    },
    Parameter {
        setter: "policy_arn",
        set: |role, i| {
            let arn = |name| format!("arn:aws:iam::aws:policy/{name}{i}");
            role.policy_arn(arn("A")).policy_arn(arn("B"))
        },
        sent: &[
            ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/A0"),
            ("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/B0"),
        ],
        wrong: &[|role| role.policy_arn("arn:aws:iam::444444444444:policy/A")],
        with_web_identity: true,
        with_saml: true,
        in_cli_cache_key: false,
        action: None,
    },
    Parameter {
        setter: "tag",
        set: |role, i| {
            role.tag("team", format!("value-{i}"))
                .transitive_tag("cost", "42")
        },
        sent: &[
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "value-0"),
            ("Tags.member.2.Key", "cost"),
            ("Tags.member.2.Value", "42"),
            ("TransitiveTagKeys.member.1", "cost"),
        ],
        wrong: &[
            |role| role.tag("", "value"),
            |role| role.tag("team", "v".repeat(257)),
            |role| role.tag("aws:team", "value"),
        ],
        with_web_identity: false,
        with_saml: false,
        in_cli_cache_key: false,
        action: Some("TagSession"),
    },
    Parameter {
        setter: "source_identity",
        set: |role, i| role.source_identity(format!("user-{i}")),
        sent: &[("SourceIdentity", "user-0")],
        wrong: &[
            |role| role.source_identity("a"),
            |role| role.source_identity("a".repeat(257)),
            |role| role.source_identity("a user"),
        ],
        with_web_identity: false,
        with_saml: false,
        in_cli_cache_key: false,
        action: Some("SetSourceIdentity"),
    },
    Parameter {
        setter: "provided_context",
        set: |role, i| role.provided_context(CONTEXTS, format!("assertion-{i}")),
        sent: &[
            ("ProvidedContexts.member.1.ProviderArn", CONTEXTS),
            ("ProvidedContexts.member.1.ContextAssertion", "assertion-0"),
        ],
        wrong: &[
            |role| role.provided_context("IdentityCenter", "assertion"),
            |role| role.provided_context(CONTEXTS, "abc"),
            |role| role.provided_context(CONTEXTS, "a".repeat(2049)),
        ],
        with_web_identity: false,
        with_saml: false,
        in_cli_cache_key: false,
        action: Some("SetContext"),
    },
    Parameter {
        setter: "mfa",
        set: |role, i| role.mfa(DEVICES[i], code),
        sent: &[("SerialNumber", DEVICES[0]), ("TokenCode", "123456")],
        wrong: &[
            |role| role.mfa("12345678", code),
            |role| role.mfa("1".repeat(257), code),
            |role| role.mfa("arn:aws:iam::111111111111:u2f/key", code),
        ],
        with_web_identity: false,
        with_saml: false,
        in_cli_cache_key: true,
        action: None,
    },
    Parameter {
        setter: "region",
        set: |role, i| role.region(format!("eu-west-{}", 2 + i)),
        sent: &[],
        wrong: &[|role| role.region(""), |role| role.region("eu west")],
        with_web_identity: true,
        with_saml: true,
        in_cli_cache_key: false,
        action: None,
    },
];

async fn code(request: MfaRequest) -> Result<String, std::io::Error> {
    match request.reason {
        aws_role_chain::MfaReason::First => Ok("123456".to_owned()),
        _ => Err(std::io::Error::other("there is one code only")),
    }
}
