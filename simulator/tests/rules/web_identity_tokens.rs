//! GetWebIdentityToken: who gets a token, and what it contains.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use sts_simulator::AccountBuilder;

use super::*;

const AUDIENCE: (&str, &str) = ("Audience.member.1", "https://api.example.com");
const SELF: &str = "arn:aws:sts::222222222222:self";
const SESSION: &str = "arn:aws:sts::222222222222:assumed-role/Writer/session";

fn get_token<'a>(more: &[(&'a str, &'a str)]) -> Pairs<'a> {
    let mut parameters = vec![
        ("Action", "GetWebIdentityToken"),
        AUDIENCE,
        ("SigningAlgorithm", "ES384"),
    ];
    for (name, value) in more {
        parameters.retain(|(other, _)| other != name);
        parameters.push((name, value));
    }
    parameters
}

/// Returns the claims of a token whose signature is valid.
fn verified(token: &str, keys: &str) -> Value {
    let keys: JwkSet = serde_json::from_str(keys).unwrap();
    let header = decode_header(token).unwrap();
    let key = keys.find(header.kid.as_deref().unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.validate_aud = false;
    // The simulator's clock is paused.
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(key).unwrap();
    decode::<Value>(token, &key, &validation).unwrap().claims
}

#[tokio::test(start_paused = true)]
async fn a_token_says_who_the_caller_is_and_its_signature_is_valid() {
    let (aws, keys) = accounts();
    let issuer = aws
        .enable_outbound_web_identity_federation("222222222222")
        .unwrap();
    let organization = aws.account("222222222222").organization("o-a1b2c3d4e5");
    let organization = organization.organization_path("o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/");
    organization.create().unwrap();
    let role = aws.role(ROLE).trust(trusts(USER)).policy(allow("*"));
    role.tag("team", "red")
        .tag("stage", "test")
        .create()
        .unwrap();
    let session = assume(
        ROLE,
        &[
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "blue"),
            ("SourceIdentity", "ada"),
        ],
    );
    let session = call(&aws, &keys, &session).await;
    let original_end = session.element("Expiration").to_owned();
    let session = session.credentials();

    let several = [
        ("Audience.member.2", "https://two.example.com"),
        ("SigningAlgorithm", "RS256"),
        ("DurationSeconds", "900"),
        ("Tags.member.1.Key", "job"),
        ("Tags.member.1.Value", "42"),
    ];
    let mut ids = Vec::new();
    for (more, algorithm, audience, duration, request_tags) in [
        (
            &[][..],
            Algorithm::ES384,
            json!("https://api.example.com"),
            300,
            None,
        ),
        (
            &several,
            Algorithm::RS256,
            json!(["https://api.example.com", "https://two.example.com"]),
            900,
            Some(json!({"job": "42"})),
        ),
    ] {
        let reply = call(&aws, &session, &get_token(more)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let token = reply.element("WebIdentityToken");
        assert_eq!(decode_header(token).unwrap().alg, algorithm);
        let mut claims = verified(token, &aws.web_identity_token_keys("222222222222").unwrap());
        let issued = claims["iat"].as_u64().unwrap();
        let end = aws_smithy_types::DateTime::from_secs((issued + duration) as i64);
        let end = end.fmt(aws_smithy_types::date_time::Format::DateTime);
        assert_eq!(reply.element("Expiration"), end.unwrap());
        ids.push(claims["jti"].take());
        let mut of_aws = json!({
            "aws_account": "222222222222",
            "source_region": "eu-west-1",
            "principal_id": ROLE,
            "org_id": "o-a1b2c3d4e5",
            "ou_path": ["o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"],
            "original_session_exp": original_end,
            "source_identity": "ada",
            // The session's tag replaces the role's, regardless of case.
            "principal_tags": {"Team": "blue", "stage": "test"},
        });
        if let Some(tags) = request_tags {
            of_aws["request_tags"] = tags;
        }
        let expected = json!({
            "iss": issuer, "sub": ROLE, "aud": audience, "iat": issued, "exp": issued + duration,
            "jti": null, "https://sts.amazonaws.com/": of_aws,
        });
        assert_eq!(claims, expected);
    }
    assert_ne!(ids[0], ids[1]);

    // A user has none of these claims.
    aws.enable_outbound_web_identity_federation("111111111111")
        .unwrap();
    let reply = call(&aws, &keys, &get_token(&[])).await;
    let keys = aws.web_identity_token_keys("111111111111").unwrap();
    let claims = verified(reply.element("WebIdentityToken"), &keys);
    assert_eq!(claims["sub"], USER);
    let of_aws =
        json!({"aws_account": "111111111111", "source_region": "eu-west-1", "principal_id": USER});
    assert_eq!(claims["https://sts.amazonaws.com/"], of_aws);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_have_a_token_gets_none() {
    let (aws, keys) = accounts();
    let session = call(&aws, &keys, &assume(ROLE, &[("DurationSeconds", "900")])).await;
    let session = session.credentials();
    let disabled = "The outbound web identity federation feature is not enabled for this account.";
    let code = "OutboundWebIdentityFederationDisabledException";
    let reply = call(&aws, &session, &get_token(&[])).await;
    assert_refused("not enabled", &reply, 403, code, disabled);
    aws.enable_outbound_web_identity_federation("222222222222")
        .unwrap();
    assert!(aws.enable_outbound_web_identity_federation("12").is_err());
    assert_eq!(aws.web_identity_token_keys("111111111111"), None);

    let long = "x".repeat(1001);
    let eleven: Vec<String> = (1..=11).map(|n| format!("Audience.member.{n}")).collect();
    let eleven: Vec<(&str, &str)> = eleven.iter().map(|name| (name.as_str(), "a")).collect();
    let with = |more: &[(&'static str, &'static str)]| get_token(more);
    let without = |name: &str| {
        let mut parameters = get_token(&[]);
        parameters.retain(|(other, _)| *other != name);
        parameters
    };
    for (row, parameters, message) in [
        (
            "no audience",
            without("Audience.member.1"),
            violation("null", "audience", "not be null"),
        ),
        (
            "an empty audience",
            with(&[("Audience.member.1", "")]),
            violation(
                "''",
                "audience.1.member",
                "have length greater than or equal to 1",
            ),
        ),
        (
            "a long audience",
            get_token(&[("Audience.member.1", &long)]),
            violation(
                &format!("'{long}'"),
                "audience.1.member",
                "have length less than or equal to 1000",
            ),
        ),
        (
            "eleven audiences",
            get_token(&eleven),
            violation("'[…]'", "audience", "have length less than or equal to 10"),
        ),
        (
            "no algorithm",
            without("SigningAlgorithm"),
            violation("null", "signingAlgorithm", "not be null"),
        ),
        (
            "another algorithm",
            with(&[("SigningAlgorithm", "HS256")]),
            violation(
                "'HS256'",
                "signingAlgorithm",
                "satisfy enum value set: [RS256, ES384]",
            ),
        ),
        (
            "a short time",
            with(&[("DurationSeconds", "59")]),
            violation(
                "'59'",
                "durationSeconds",
                "have value greater than or equal to 60",
            ),
        ),
        (
            "a long time",
            with(&[("DurationSeconds", "3601")]),
            violation(
                "'3601'",
                "durationSeconds",
                "have value less than or equal to 3600",
            ),
        ),
    ] {
        let reply = call(&aws, &session, &parameters).await;
        let (status, code, found) = reply.error();
        assert_eq!(
            (status, &*code, found),
            (400, "ValidationError", message),
            "{row}"
        );
    }

    // The token must not outlive the session.
    let reply = call(&aws, &session, &get_token(&[("DurationSeconds", "900")])).await;
    assert_eq!(reply.status, 200);
    aws.clock().advance(MINUTE).await;
    let reply = call(&aws, &session, &get_token(&[("DurationSeconds", "900")])).await;
    assert_eq!(reply.error().1, "SessionDurationEscalationException");

    // The global endpoint does not support the operation.
    let signer = Signer {
        region: "us-east-1",
        ..Signer::new(&aws, &session)
    };
    let request = post("https://sts.amazonaws.com/", form(&get_token(&[])));
    let reply = send(&aws, signer.sign(request)).await;
    assert_eq!(reply.error().1, "InvalidAction");
}

#[tokio::test]
async fn policies_limit_audience_duration_algorithm_and_tags_of_a_token() {
    let statement = |action: &str, more: &str| {
        format!(r#"{{"Effect": "Allow", "Action": "sts:{action}", "Resource": "{SELF}"{more}}}"#)
    };
    let condition = |condition: &str| format!(r#", "Condition": {condition}"#);
    let plain = statement("GetWebIdentityToken", "");
    let tags = [("Tags.member.1.Key", "job"), ("Tags.member.1.Value", "42")];
    let audience = condition(
        r#"{"ForAllValues:StringEquals": {"sts:IdentityTokenAudience": "https://api.example.com"}}"#,
    );
    let short = condition(r#"{"NumericLessThanEquals": {"sts:DurationSeconds": 300}}"#);
    let es384 = condition(r#"{"StringEquals": {"sts:SigningAlgorithm": "ES384"}}"#);
    let job = condition(
        r#"{"StringEquals": {"aws:RequestTag/job": "42"}, "ForAllValues:StringEquals": {"aws:TagKeys": "job"}}"#,
    );
    let other = ("Audience.member.2", "https://two.example.com");
    for (statements, more, refused) in [
        (vec![], &[][..], Some("sts:GetWebIdentityToken")),
        (vec![plain.clone()], &[], None),
        (
            vec![plain.clone()],
            &tags,
            Some("sts:TagGetWebIdentityToken"),
        ),
        (
            vec![plain.clone(), statement("TagGetWebIdentityToken", &job)],
            &tags,
            None,
        ),
        (
            vec![plain.clone(), statement("TagGetWebIdentityToken", &job)],
            &[("Tags.member.1.Key", "job"), ("Tags.member.1.Value", "43")],
            Some("sts:TagGetWebIdentityToken"),
        ),
        (vec![statement("GetWebIdentityToken", &audience)], &[], None),
        (
            vec![statement("GetWebIdentityToken", &audience)],
            &[other],
            Some("sts:GetWebIdentityToken"),
        ),
        (vec![statement("GetWebIdentityToken", &short)], &[], None),
        (
            vec![statement("GetWebIdentityToken", &short)],
            &[("DurationSeconds", "301")],
            Some("sts:GetWebIdentityToken"),
        ),
        (vec![statement("GetWebIdentityToken", &es384)], &[], None),
        (
            vec![statement("GetWebIdentityToken", &es384)],
            &[("SigningAlgorithm", "RS256")],
            Some("sts:GetWebIdentityToken"),
        ),
    ] {
        let (aws, _) = accounts();
        aws.enable_outbound_web_identity_federation("222222222222")
            .unwrap();
        let role = aws.role(ROLE).trust(trusts(USER));
        let role = if statements.is_empty() {
            role
        } else {
            role.policy(format!(
                r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
                statements.join(",")
            ))
        };
        role.create().unwrap();
        let session = aws.role_session(ROLE, "session").unwrap();
        let reply = call(&aws, &session, &get_token(more)).await;
        match refused {
            None => assert_eq!(reply.status, 200, "{statements:?}: {}", reply.body),
            Some(action) => {
                let message = denied(SESSION, action, SELF);
                assert_refused(&statements.join(","), &reply, 403, "AccessDenied", &message);
            }
        }
    }
    // A service control policy can deny the operation, too.
    let (aws, keys) = accounts();
    aws.enable_outbound_web_identity_federation("111111111111")
        .unwrap();
    let deny = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "sts:GetWebIdentityToken", "Resource": "*"}}"#;
    let policies = [AccountBuilder::FULL_AWS_ACCESS, deny];
    aws.account("111111111111")
        .service_control_policies(policies)
        .create()
        .unwrap();
    let reply = call(&aws, &keys, &get_token(&[])).await;
    assert_eq!(reply.error().1, "AccessDenied");
}
