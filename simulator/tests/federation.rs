//! The rules of AssumeRoleWithWebIdentity and AssumeRoleWithSAML.

mod raw;

use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_async::time::TimeSource;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sts_simulator::Simulator;

use raw::*;

const ROLE: &str = "arn:aws:iam::222222222222:role/Hub";
const OIDC: &str = "arn:aws:iam::222222222222:oidc-provider/token.example.com";
const SAML: &str = "arn:aws:iam::222222222222:saml-provider/Company";
const SAML_IDP: &str = "https://idp.example.com/metadata";

fn key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")),
        Algorithm::ES384 => EncodingKey::from_ec_pem(include_bytes!("keys/p384.pem")),
        _ => EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")),
    }
    .unwrap()
}

fn trust(provider: &str, actions: &str, condition: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": {actions},
            "Principal": {{"Federated": "{provider}"}}, "Condition": {condition}}}}}"#
    )
}

fn web_identity() -> Simulator {
    let aws = Simulator::new();
    let key = include_str!("keys/p256-public.pem");
    aws.oidc_provider(OIDC, &["sts.amazonaws.com", "other"], key)
        .unwrap();
    let condition = r#"{"StringEquals": {"token.example.com:sub": "ada"}}"#;
    let actions = r#"["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]"#;
    aws.role(ROLE)
        .trust(trust(OIDC, actions, condition))
        .create()
        .unwrap();
    aws
}

/// Signs a token that is valid for ten minutes, with these claims changed; `null` removes a claim.
fn token(aws: &Simulator, changed: Value) -> String {
    let mut claims =
        json!({"iss": "https://token.example.com", "aud": "sts.amazonaws.com", "sub": "ada"});
    let now = aws
        .clock()
        .now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    (claims["iat"], claims["exp"]) = (now.into(), (now + 600).into());
    for (name, value) in changed.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    jsonwebtoken::encode(
        &Header::new(Algorithm::ES256),
        &claims,
        &key(Algorithm::ES256),
    )
    .unwrap()
}

async fn with_token(aws: &Simulator, token: &str) -> Reply {
    let parameters = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "session"),
        ("WebIdentityToken", token),
    ];
    call_unsigned(aws, &parameters).await
}

#[tokio::test]
async fn claims_of_a_web_identity_token() {
    let aws = web_identity();
    let now = aws
        .clock()
        .now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let tags = |tags: Value, transitive: Value| json!({"https://aws.amazon.com/tags": {"principal_tags": tags, "transitive_tag_keys": transitive}});
    let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!(["v"]))).collect();
    let no_jwt = "The ID Token provided is not a valid JWT.";
    let denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    let expired = format!(
        "Token expired: current date/time {now} must be before the expiration date/time {now}"
    );
    // The next second may begin before the request arrives.
    let expired_next = expired.replacen(&now.to_string(), &(now + 1).to_string(), 1);
    for (row, claims, status, code, message) in [
        (
            "expired",
            json!({"exp": now}),
            400,
            "ExpiredTokenException",
            "Token expired: current date/time …",
        ),
        (
            "no expiry",
            json!({"exp": null}),
            400,
            "InvalidIdentityToken",
            no_jwt,
        ),
        (
            "expiry as text",
            json!({"exp": (now + 600).to_string()}),
            400,
            "InvalidIdentityToken",
            no_jwt,
        ),
        (
            "expiry as a fraction",
            json!({"exp": now as f64 + 600.5}),
            400,
            "InvalidIdentityToken",
            no_jwt,
        ),
        (
            "time of issue as text",
            json!({"iat": now.to_string()}),
            400,
            "InvalidIdentityToken",
            no_jwt,
        ),
        (
            "time of issue as a fraction",
            json!({"iat": now as f64 + 0.5}),
            400,
            "InvalidIdentityToken",
            no_jwt,
        ),
        (
            "no provider",
            json!({"iss": "https://elsewhere.example.com"}),
            400,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://elsewhere.example.com",
        ),
        (
            "wrong audience",
            json!({"aud": "nobody"}),
            400,
            "InvalidIdentityToken",
            "Incorrect token audience",
        ),
        (
            "not trusted: sub condition",
            json!({"sub": "bob"}),
            403,
            "AccessDenied",
            denied,
        ),
        (
            "51 tags",
            tags(Value::Object(many), json!([])),
            400,
            "ValidationError",
            "…at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50",
        ),
        (
            "aws: tag prefix",
            tags(json!({"aws:x": ["v"]}), json!([])),
            400,
            "InvalidParameterValue",
            "aws: prefixed tag key names are not allowed for external use.",
        ),
        (
            "tag value too long",
            tags(json!({"Team": ["v".repeat(257)]}), json!([])),
            400,
            "ValidationError",
            "…Member must have length less than or equal to 256",
        ),
        (
            "duplicate tag keys",
            tags(json!({"Team": ["a"], "team": ["b"]}), json!([])),
            400,
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        (
            "transitive key not in tags",
            tags(json!({"Team": ["a"]}), json!(["Cost"])),
            400,
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.",
        ),
        (
            "tags too large when packed",
            tags(
                (0..9)
                    .map(|n| (format!("T{n}"), json!(["v".repeat(250)])))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                json!([]),
            ),
            400,
            "PackedPolicyTooLarge",
            "Packed size of session tags consumes 498% of allotted space.",
        ),
        (
            "source identity with a colon",
            json!({"https://aws.amazon.com/source_identity": "aws:x"}),
            400,
            "ValidationError",
            "1 validation error detected: Value 'aws:x' at 'sourceIdentity'…",
        ),
    ] {
        let reply = with_token(&aws, &token(&aws, claims)).await;
        assert_refused(row, &reply, status, code, message);
        if row == "expired" {
            let text = reply.error().2;
            assert!([&expired, &expired_next].contains(&&text), "{text}");
        }
    }
    for (row, claims) in [
        ("several audiences", json!({"aud": ["nobody", "other"]})),
        (
            "tags and source identity",
            json!({
                "https://aws.amazon.com/tags": {"principal_tags": {"Team": ["a"]}, "transitive_tag_keys": ["Team"]},
                "https://aws.amazon.com/source_identity": "ada",
            }),
        ),
        (
            "no time of issue: not known to be refused",
            json!({"iat": null}),
        ),
        (
            "not valid yet: not known to be refused",
            json!({"nbf": now + 3600}),
        ),
    ] {
        let reply = with_token(&aws, &token(&aws, claims)).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
    }
    aws.set_unconfirmed_rules(true);
    for claims in [json!({"iat": null}), json!({"nbf": now + 3600})] {
        let reply = with_token(&aws, &token(&aws, claims)).await;
        assert_refused(
            "unconfirmed rules",
            &reply,
            400,
            "InvalidIdentityToken",
            no_jwt,
        );
    }
    assert_eq!(
        with_token(&aws, &token(&aws, json!({"nbf": now - 1})))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn parameters_of_the_operations_with_a_token() {
    let aws = web_identity();
    aws.saml_provider_without_signatures(SAML);
    let token = token(&aws, json!({}));
    let long = "x".repeat(20_001);
    let web = |more: &[(&'static str, &'static str)], token: &str| -> Vec<(String, String)> {
        let mut all = vec![
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "session"),
            ("WebIdentityToken", token),
        ];
        for (name, value) in more {
            all.retain(|(other, _)| other != name);
            all.push((name, value));
        }
        all.retain(|(_, value)| *value != "-");
        all.into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let null = |member: &str| {
        format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        )
    };
    for (row, parameters, code, message) in [
        ("RoleArn missing", web(&[("RoleArn", "-")], &token), "ValidationError", null("roleArn")),
        ("RoleSessionName missing", web(&[("RoleSessionName", "-")], &token), "ValidationError", null("roleSessionName")),
        ("WebIdentityToken missing", web(&[("WebIdentityToken", "-")], &token), "ValidationError", null("webIdentityToken")),
        ("WebIdentityToken too short", web(&[], "abc"), "ValidationError", "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4".to_owned()),
        ("WebIdentityToken too long", web(&[], &long), "ValidationError", "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must have length less than or equal to 20000".to_owned()),
        ("RoleArn malformed", web(&[("RoleArn", "arn:aws:acm:eu-west-1:222222222222:certificate/x")], &token), "ValidationError", "Request ARN is invalid".to_owned()),
        ("no JWT", web(&[], "not.a.jwt"), "InvalidIdentityToken", "The ID Token provided is not a valid JWT.".to_owned()),
        ("ProviderId too short", web(&[("ProviderId", "x")], &token), "ValidationError", "…at 'providerId' failed to satisfy constraint: Member must have length greater than or equal to 4".to_owned()),
        ("over MaxSessionDuration", web(&[("DurationSeconds", "3601")], &token), "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".to_owned()),
        ("SAML: RoleArn, PrincipalArn, SAMLAssertion missing", vec![("Action".to_owned(), "AssumeRoleWithSAML".to_owned())], "ValidationError", "3 validation errors detected: Value null at 'roleArn'…".to_owned()),
    ] {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_refused(row, &call_unsigned(&aws, &parameters).await, 400, code, &message);
    }
    let role = aws
        .role(ROLE)
        .trust(trust(OIDC, r#""sts:AssumeRoleWithWebIdentity""#, "{}"));
    role.max_session_duration(std::time::Duration::from_secs(43_200))
        .create()
        .unwrap();
    let parameters = web(&[("DurationSeconds", "43200")], &token);
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let reply = call_unsigned(&aws, &parameters).await;
    assert_eq!(reply.status, 200, "not chaining: {}", reply.body);
    let chained = [
        ("Action", "AssumeRole"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "session"),
        ("DurationSeconds", "7200"),
    ];
    let trust = r#"{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}}"#;
    let role = aws.role(ROLE).trust(trust);
    role.max_session_duration(std::time::Duration::from_secs(43_200))
        .create()
        .unwrap();
    let reply = call(&aws, &reply.credentials(), &chained).await;
    let limit = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    assert_refused(
        "a WebIdentity session calling AssumeRole",
        &reply,
        400,
        "ValidationError",
        limit,
    );
}

#[tokio::test]
async fn a_provider_is_in_the_partition_of_the_role() {
    let aws = web_identity();
    // An account belongs to one partition.
    let of_china = |arn: &str| {
        arn.replace("arn:aws:", "arn:aws-cn:")
            .replace("222222222222", "444444444444")
    };
    let (role, provider) = (of_china(ROLE), of_china(OIDC));
    let key = include_str!("keys/p256-public.pem");
    aws.oidc_provider(&*provider, &["sts.amazonaws.com"], key)
        .unwrap();
    let trust = trust(&provider, r#""sts:AssumeRoleWithWebIdentity""#, "{}");
    aws.role(&*role).trust(trust).create().unwrap();
    let token = token(&aws, json!({}));
    let parameters = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleArn", &*role),
        ("RoleSessionName", "session"),
        ("WebIdentityToken", &*token),
    ];
    let reply = call_unsigned(&aws, &parameters).await;
    assert_eq!(reply.element("Provider"), provider, "{}", reply.body);
}

#[tokio::test]
async fn keys_of_an_openid_connect_provider() {
    let aws = web_identity();
    let claims = || {
        let now = aws
            .clock()
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        json!({"iss": "https://token.example.com", "aud": "other", "sub": "ada", "iat": now, "exp": now + 60})
    };
    let sign = |algorithm, kid: Option<&str>| {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(algorithm)
        };
        jsonwebtoken::encode(&header, &claims(), &key(algorithm)).unwrap()
    };
    let no_key = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";
    let rsa = include_str!("keys/rsa-public.pem");
    let key_set = include_str!("keys/jwks.json");
    for (row, keys, algorithm, kid, accepted) in [
        (
            "RS256, as GitHub and EKS sign",
            rsa,
            Algorithm::RS256,
            None,
            true,
        ),
        ("RS384", rsa, Algorithm::RS384, None, true),
        ("RS512", rsa, Algorithm::RS512, None, true),
        (
            "a key ID, but one key",
            rsa,
            Algorithm::RS256,
            Some("x"),
            true,
        ),
        ("PS256", rsa, Algorithm::PS256, None, false),
        (
            "ES256 with a key of RSA",
            rsa,
            Algorithm::ES256,
            None,
            false,
        ),
        (
            "ES384",
            include_str!("keys/p384-public.pem"),
            Algorithm::ES384,
            None,
            true,
        ),
        (
            "a key of RSA in a set",
            key_set,
            Algorithm::RS256,
            Some("rsa-1"),
            true,
        ),
        (
            "a key of an elliptic curve in a set",
            key_set,
            Algorithm::ES384,
            Some("ec-1"),
            true,
        ),
        (
            "key not found",
            key_set,
            Algorithm::RS256,
            Some("rsa-2"),
            false,
        ),
        (
            "no key ID, but a set",
            key_set,
            Algorithm::RS256,
            None,
            false,
        ),
        (
            "the ID of a key of another kind",
            key_set,
            Algorithm::RS256,
            Some("ec-1"),
            false,
        ),
    ] {
        aws.oidc_provider(OIDC, &["other"], keys).unwrap();
        let reply = with_token(&aws, &sign(algorithm, kid)).await;
        if accepted {
            assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        } else {
            assert_refused(row, &reply, 400, "InvalidIdentityToken", no_key);
        }
    }
    // Signed with another key of the same type.
    aws.oidc_provider(OIDC, &["other"], include_str!("keys/p256-other-public.pem"))
        .unwrap();
    let reply = with_token(&aws, &sign(Algorithm::ES256, None)).await;
    assert_refused(
        "another key",
        &reply,
        400,
        "InvalidIdentityToken",
        "Token signature is invalid",
    );
    let mut changed = token(&aws, json!({}));
    changed.pop();
    aws.oidc_provider(
        OIDC,
        &["sts.amazonaws.com"],
        include_str!("keys/p256-public.pem"),
    )
    .unwrap();
    let reply = with_token(&aws, &changed).await;
    assert_refused(
        "changed signature",
        &reply,
        400,
        "InvalidIdentityToken",
        "Token signature is invalid",
    );

    for (row, keys, reason) in [
        (
            "no key",
            "",
            "it must be an RSA, P-256 or P-384 public key in PEM form, or a JSON Web Key Set",
        ),
        (
            "a curve that STS does not take",
            include_str!("keys/p521-public.pem"),
            "it must be an RSA, P-256 or P-384 public key in PEM form",
        ),
        ("no key set", "{}", "JSON Web Key Set: missing field `keys`"),
        (
            "an empty key set",
            r#"{"keys": []}"#,
            "JSON Web Key Set: it has no keys",
        ),
        (
            "a key that is not public",
            r#"{"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}"#,
            "key \"k\": the type must be RSA or EC",
        ),
    ] {
        let error = aws.oidc_provider(OIDC, &[], keys).unwrap_err().to_string();
        assert!(error.contains(reason), "{row}: {error}");
        assert!(!error.contains("c2VjcmV0"), "{row}: {error}");
    }
}

/// Returns an unsigned assertion with a modification.
fn assertion(change: impl FnOnce(String) -> String) -> String {
    let attribute = |name: &str, value: &str| {
        format!(
            r#"<Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}"><AttributeValue>{value}</AttributeValue></Attribute>"#
        )
    };
    let xml = format!(
        r#"<Response><Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"><Issuer>{SAML_IDP}</Issuer>
            <Subject><NameID>ada</NameID><SubjectConfirmation>
            <SubjectConfirmationData Recipient="https://signin.aws.amazon.com/saml"/></SubjectConfirmation></Subject>
            <Conditions NotOnOrAfter="2100-01-01T00:00:00Z"><AudienceRestriction>
            <Audience>urn:amazon:webservices</Audience></AudienceRestriction></Conditions>
            <AttributeStatement>{}{}</AttributeStatement></Assertion></Response>"#,
        attribute("Role", &format!("{ROLE},{SAML}")),
        attribute("RoleSessionName", "ada@example.com"),
    );
    aws_smithy_types::base64::encode(change(xml))
}

async fn with_assertion(aws: &Simulator, assertion: &str) -> Reply {
    let parameters = [
        ("Action", "AssumeRoleWithSAML"),
        ("RoleArn", ROLE),
        ("PrincipalArn", SAML),
        ("SAMLAssertion", assertion),
    ];
    call_unsigned(aws, &parameters).await
}

fn saml(provider: impl FnOnce(&Simulator)) -> Simulator {
    let aws = Simulator::new();
    provider(&aws);
    let condition = r#"{"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}"#;
    let actions = r#"["sts:AssumeRoleWithSAML", "sts:TagSession"]"#;
    aws.role(ROLE)
        .trust(trust(SAML, actions, condition))
        .create()
        .unwrap();
    aws
}

#[tokio::test]
async fn attributes_of_a_saml_assertion() {
    let aws = saml(|aws| aws.saml_provider_without_signatures(SAML));
    let reply = with_assertion(&aws, &assertion(|xml| xml)).await;
    assert_eq!(reply.element("Subject"), "ada", "{}", reply.body);
    let replaced = |from: &str, to: &str| {
        assertion(|xml| {
            assert!(xml.contains(from));
            xml.replace(from, to)
        })
    };
    let with_attribute = |name: &str, values: &[String]| {
        let values: String = values
            .iter()
            .map(|value| format!("<AttributeValue>{value}</AttributeValue>"))
            .collect();
        format!(
            r#"<Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}">{values}</Attribute></AttributeStatement>"#
        )
    };
    let end = "</AttributeStatement>";
    let tagged =
        |name: &str, value: &str| replaced(end, &with_attribute(name, &[value.to_owned()]));
    let two = with_attribute("PrincipalTag:Team", &["a".to_owned()]).replace(end, "")
        + &with_attribute("PrincipalTag:team", &["b".to_owned()]);
    let many: String = (0..51)
        .map(|n| with_attribute(&format!("PrincipalTag:k{n}"), &["v".to_owned()]).replace(end, ""))
        .collect();
    let denied = "Not authorized to perform sts:AssumeRoleWithSAML";
    let old = "2026-01-01T00:00:00Z";
    for (row, assertion, status, code, message) in [
        (
            "no base64",
            "%%%%".to_owned(),
            400,
            "InvalidIdentityToken",
            "Invalid base64 SAMLResponse",
        ),
        (
            "no XML",
            aws_smithy_types::base64::encode("not xml"),
            400,
            "InvalidIdentityToken",
            "Invalid base64 SAMLResponse",
        ),
        (
            "a document type with entities",
            assertion(|xml| format!("<!DOCTYPE r [<!ENTITY a \"b\">]>{xml}")),
            400,
            "InvalidIdentityToken",
            "Invalid base64 SAMLResponse",
        ),
        (
            "audience",
            replaced("urn:amazon:webservices", "urn:other"),
            400,
            "InvalidIdentityToken",
            "Response does not contain the required audience.",
        ),
        (
            "expired",
            replaced("2100-01-01T00:00:00Z", old),
            400,
            "ExpiredTokenException",
            "Token must be redeemed within 5 minutes of issuance",
        ),
        (
            "no NotOnOrAfter",
            replaced(r#" NotOnOrAfter="2100-01-01T00:00:00Z""#, ""),
            400,
            "InvalidIdentityToken",
            "Response does not contain a valid NotOnOrAfter condition.",
        ),
        (
            "NotOnOrAfter is no time",
            replaced("2100-01-01T00:00:00Z", "tomorrow"),
            400,
            "InvalidIdentityToken",
            "Response does not contain a valid NotOnOrAfter condition.",
        ),
        (
            "RoleSessionName missing",
            replaced("Attributes/RoleSessionName", "Attributes/Name"),
            400,
            "InvalidIdentityToken",
            "RoleSessionName is required in AuthnResponse",
        ),
        (
            "RoleSessionName of other characters",
            replaced("ada@example.com", "a b"),
            400,
            "InvalidIdentityToken",
            "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
        ),
        (
            "source identity",
            tagged("SourceIdentity", "aws:x"),
            400,
            "InvalidIdentityToken",
            "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\"",
        ),
        (
            "SetSourceIdentity not trusted",
            tagged("SourceIdentity", "ada"),
            403,
            "AccessDenied",
            denied,
        ),
        (
            "recipient not trusted",
            replaced("https://signin.aws.amazon.com/saml", "https://elsewhere"),
            403,
            "AccessDenied",
            denied,
        ),
        (
            "another role",
            replaced(ROLE, "arn:aws:iam::222222222222:role/Other"),
            403,
            "AccessDenied",
            denied,
        ),
        (
            "aws: tag prefix",
            tagged("PrincipalTag:aws:x", "v"),
            400,
            "InvalidParameterValue",
            "aws: prefixed tag key names are not allowed for external use.",
        ),
        (
            "tag value too long",
            tagged("PrincipalTag:Team", &"v".repeat(257)),
            400,
            "ValidationError",
            "…Member must have length less than or equal to 256",
        ),
        (
            "duplicate tag keys",
            replaced(end, &two),
            400,
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        (
            "51 tags",
            replaced(end, &(many + end)),
            400,
            "ValidationError",
            "…at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50",
        ),
    ] {
        assert_refused(
            row,
            &with_assertion(&aws, &assertion).await,
            status,
            code,
            message,
        );
    }
    assert_eq!(
        with_assertion(&aws, &tagged("PrincipalTag:Team", "payments"))
            .await
            .status,
        200
    );
    let parameters = [
        ("Action", "AssumeRoleWithSAML"),
        ("RoleArn", ROLE),
        (
            "PrincipalArn",
            "arn:aws:iam::222222222222:saml-provider/Unknown",
        ),
        ("SAMLAssertion", "c2FtbA=="),
    ];
    let reply = call_unsigned(&aws, &parameters).await;
    assert_refused(
        "provider unknown",
        &reply,
        400,
        "InvalidIdentityToken",
        "Specified provider doesn't exist.",
    );
}

/// "If it is present in an AssumeRoleWithSAML API call, it can be used to shorten the duration of the session" (IAM
/// guide, on `SessionDuration`). `SessionNotOnOrAfter` ends the session, too.
#[tokio::test(start_paused = true)]
async fn a_saml_assertion_may_shorten_the_session_but_not_extend_it() {
    let aws = saml(|aws| aws.saml_provider_without_signatures(SAML));
    let now = aws.clock().now();
    let until = |seconds: u64| {
        let at = aws_smithy_types::DateTime::from(now + Duration::from_secs(seconds));
        let at = aws_smithy_types::DateTime::from_secs(at.secs());
        at.fmt(aws_smithy_types::date_time::Format::DateTime)
            .unwrap()
    };
    for (duration, not_on_or_after, seconds) in [
        (None, None, 3600),
        (Some("1800"), None, 1800),
        (Some("7200"), None, 3600),
        (None, Some(1200), 1200),
        (None, Some(7200), 3600),
        (Some("1800"), Some(1200), 1200),
        (Some("1200"), Some(1800), 1200),
    ] {
        let assertion = assertion(|mut xml| {
            if let Some(duration) = duration {
                let attribute = format!(
                    r#"<AttributeStatement><Attribute Name="https://aws.amazon.com/SAML/Attributes/SessionDuration"><AttributeValue>{duration}</AttributeValue></Attribute>"#
                );
                xml = xml.replace("<AttributeStatement>", &attribute);
            }
            if let Some(seconds) = not_on_or_after {
                let end = until(seconds);
                let statement =
                    format!(r#"<AuthnStatement SessionNotOnOrAfter="{end}"/></Assertion>"#);
                xml = xml.replace("</Assertion>", &statement);
            }
            xml
        });
        let reply = with_assertion(&aws, &assertion).await;
        let row = (duration, not_on_or_after);
        assert_eq!(
            reply.element("Expiration"),
            until(seconds),
            "{row:?}: {}",
            reply.body
        );
    }
}

/// The API reference defines `NameQualifier` and `SubjectType`; the IAM guide lists `saml:namequalifier` among the keys
/// that a session keeps.
#[tokio::test]
async fn a_saml_user_is_identified_by_subject_and_name_qualifier() {
    const HASH: &str = "ZvozyvmsiHveFG9sKLSqKtn+bLg="; // base64(sha1("<issuer>222222222222/Company"))
    let aws = Simulator::new();
    aws.saml_provider_without_signatures(SAML);
    let condition = format!(r#"{{"StringEquals": {{"saml:namequalifier": "{HASH}"}}}}"#);
    aws.role(ROLE)
        .trust(trust(SAML, r#""sts:AssumeRoleWithSAML""#, &condition))
        .create()
        .unwrap();
    let next = "arn:aws:iam::222222222222:role/Next";
    let by_everybody = trust("", r#""sts:AssumeRole""#, &condition)
        .replace(r#"{"Federated": ""}"#, r#"{"AWS": "*"}"#);
    aws.role(next).trust(by_everybody).create().unwrap();
    for (format, subject_type) in [
        (
            "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            "persistent",
        ),
        (
            "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos",
            "kerberos",
        ),
        (
            "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
            "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
        ),
    ] {
        let named = format!(r#"<NameID Format="{format}">"#);
        let assertion = assertion(|xml| xml.replace("<NameID>", &named));
        let reply = with_assertion(&aws, &assertion).await;
        assert_eq!(reply.element("NameQualifier"), HASH, "{}", reply.body);
        assert_eq!(reply.element("SubjectType"), subject_type);
        let parameters = [
            ("Action", "AssumeRole"),
            ("RoleArn", next),
            ("RoleSessionName", "next"),
        ];
        let reply = call(&aws, &reply.credentials(), &parameters).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

/// The files were signed by another implementation: see `saml/make.py`.
#[cfg(feature = "saml-signatures")]
#[tokio::test]
async fn the_signature_of_a_saml_assertion() {
    let metadata = include_str!("saml/metadata.xml");
    let aws = saml(|aws| aws.saml_provider(SAML, metadata).unwrap());
    let of_assertion = include_str!("saml/signed-assertion.b64").trim();
    let of_response = include_str!("saml/signed-response.b64").trim();
    let xml = |base64: &str| {
        String::from_utf8(aws_smithy_types::base64::decode(base64).unwrap()).unwrap()
    };
    let base64 = |xml: String| aws_smithy_types::base64::encode(xml);
    for (row, signed) in [
        ("the assertion is signed", of_assertion),
        ("the response is signed", of_response),
    ] {
        let reply = with_assertion(&aws, signed).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
    }

    let signed = xml(of_assertion);
    let part = |from: &str, to: &str| {
        let start = signed.find(from).unwrap();
        let end = signed.find(to).unwrap() + to.len();
        signed[start..end].to_owned()
    };
    let signature = part("<ds:Signature ", "</ds:Signature>");
    let whole = part("<saml:Assertion ", "</saml:Assertion>");
    let without = signed.replace(&signature, "");
    // The forged assertion comes first, and the signed one is kept elsewhere in the document ("signature wrapping").
    let forged = whole
        .replace(&signature, "")
        .replace("_assertion", "_forged")
        .replace("<saml:NameID>ada", "<saml:NameID>eve");
    let beside = signed.replace(&whole, &format!("{forged}{whole}"));
    let inside = signed.replace(
        &whole,
        &forged.replace("</saml:Assertion>", &format!("{whole}</saml:Assertion>")),
    );
    let same_id = signed.replace(
        &whole,
        &format!("{}{whole}", forged.replace("_forged", "_assertion")),
    );
    let logout = xml(include_str!("saml/signed-logout.b64").trim());
    let beside_logout = without.replace("<saml:Assertion ", &format!("{logout}<saml:Assertion "));
    for (row, response) in [
        ("not signed", base64(without.clone())),
        ("something else is signed", base64(beside_logout)),
        ("an unsigned one of our own", assertion(|xml| xml)),
        (
            "signed by another key, which it brings along",
            include_str!("saml/signed-by-another.b64").trim().to_owned(),
        ),
        (
            "a changed attribute",
            base64(signed.replace("ada@example.com", "eve@example.com")),
        ),
        (
            "a changed attribute of a signed response",
            base64(xml(of_response).replace("ada@example.com", "eve@example.com")),
        ),
        (
            "a changed signature",
            base64(signed.replace("<ds:SignatureValue>", "<ds:SignatureValue>AAAA")),
        ),
        ("another assertion beside the signed one", base64(beside)),
        ("another assertion around the signed one", base64(inside)),
        ("another assertion with the same ID", base64(same_id)),
        (
            "an empty signature",
            base64(signed.replace(
                &signature,
                r#"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>"#,
            )),
        ),
    ] {
        let reply = with_assertion(&aws, &response).await;
        assert_refused(
            row,
            &reply,
            400,
            "InvalidIdentityToken",
            "Response signature invalid",
        );
    }
    let reply = with_assertion(&aws, &base64(signed.replace(SAML_IDP, "https://elsewhere"))).await;
    assert_refused(
        "another issuer",
        &reply,
        400,
        "InvalidIdentityToken",
        "Issuer not present in specified provider",
    );

    for (row, metadata, reason) in [
        ("no XML", "company".to_owned(), "metadata document: "),
        (
            "no entity",
            "<a/>".to_owned(),
            "it has no EntityDescriptor with an entityID",
        ),
        (
            "no certificate",
            metadata.replace("X509Certificate", "X509Data"),
            "its IDPSSODescriptor has no X509Certificate for signing",
        ),
        (
            "a certificate for encryption",
            metadata.replace("\"signing\"", "\"encryption\""),
            "its IDPSSODescriptor has no X509Certificate for signing",
        ),
        (
            "no base64",
            metadata.replace("<X509Certificate>", "<X509Certificate>%"),
            "an X509Certificate is not base64",
        ),
        (
            "no certificate in the base64",
            metadata.replace("<X509Certificate>M", "<X509Certificate>N"),
            "an X509Certificate is not valid",
        ),
    ] {
        let error = aws.saml_provider(SAML, &metadata).unwrap_err().to_string();
        assert!(error.contains(reason), "{row}: {error}");
    }
}

/// Returns the response for a token of an issuer and a role that trusts this principal under this condition.
async fn is_trusted(issuer: &str, principal: &str, condition: &str, claims: Value) -> Reply {
    let aws = Simulator::new();
    let host = issuer.trim_start_matches("https://");
    let provider = format!("arn:aws:iam::222222222222:oidc-provider/{host}");
    let key = include_str!("keys/p256-public.pem");
    aws.oidc_provider(&provider, &["sts.amazonaws.com", "app"], key)
        .unwrap();
    let actions = r#"["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]"#;
    let trust = trust(
        &principal.replace("<provider>", &provider),
        actions,
        condition,
    );
    aws.role(ROLE).trust(trust).create().unwrap();
    let mut claims = claims;
    claims["iss"] = issuer.into();
    with_token(&aws, &token(&aws, claims)).await
}

#[tokio::test]
async fn the_authorized_party_of_a_token_is_its_audience() {
    let is = |key: &str, value: &str| {
        format!(r#"{{"StringEquals": {{"token.example.com:{key}": "{value}"}}}}"#)
    };
    let issuer = "https://token.example.com";
    for (row, condition, claims) in [
        ("aud", is("aud", "app"), json!({"aud": "app"})),
        (
            "azp",
            is("aud", "app"),
            json!({"aud": "elsewhere", "azp": "app"}),
        ),
        (
            "both are client IDs",
            is("aud", "app"),
            json!({"aud": "sts.amazonaws.com", "azp": "app"}),
        ),
        (
            "several audiences",
            is("aud", "app"),
            json!({"aud": ["sts.amazonaws.com", "elsewhere"], "azp": "app"}),
        ),
    ] {
        let reply = is_trusted(issuer, "<provider>", &condition, claims).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        assert_eq!(reply.element("Audience"), "app", "{row}");
    }
    let reply = is_trusted(
        issuer,
        "<provider>",
        "{}",
        json!({"aud": "sts.amazonaws.com", "azp": "elsewhere"}),
    )
    .await;
    assert_refused(
        "an authorized party that is no client ID",
        &reply,
        400,
        "InvalidIdentityToken",
        "Incorrect token audience",
    );
    let condition = is("aud", "sts.amazonaws.com");
    let claims = json!({"aud": "sts.amazonaws.com", "azp": "app"});
    let reply = is_trusted(issuer, "<provider>", &condition, claims).await;
    assert_eq!(reply.status, 403, "{}", reply.body);
}

#[tokio::test]
async fn roles_may_trust_google_by_its_domain_and_ask_for_the_original_audience() {
    let condition = r#"{"StringEquals": {"accounts.google.com:aud": "app",
        "accounts.google.com:oaud": "orders", "accounts.google.com:sub": "ada"}}"#;
    let claims = json!({"aud": "orders", "azp": "app"});
    for issuer in ["https://accounts.google.com", "accounts.google.com"] {
        for principal in ["accounts.google.com", "<provider>"] {
            let reply = is_trusted(issuer, principal, condition, claims.clone()).await;
            assert_eq!(reply.status, 200, "{issuer} {principal}: {}", reply.body);
        }
    }
    for (row, claims) in [
        ("another audience", json!({"aud": "other", "azp": "app"})),
        (
            "another app",
            json!({"aud": "orders", "azp": "sts.amazonaws.com"}),
        ),
    ] {
        let issuer = "https://accounts.google.com";
        let reply = is_trusted(issuer, "accounts.google.com", condition, claims).await;
        assert_eq!(reply.status, 403, "{row}: {}", reply.body);
    }
    let without_azp = r#"{"StringEquals": {"accounts.google.com:aud": "app", "accounts.google.com:oaud": "app"}}"#;
    let issuer = "https://accounts.google.com";
    let reply = is_trusted(
        issuer,
        "accounts.google.com",
        without_azp,
        json!({"aud": "app"}),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let other = "https://token.example.com";
    let reply = is_trusted(other, "accounts.google.com", "{}", json!({})).await;
    assert_eq!(reply.status, 403, "another issuer: {}", reply.body);
}

#[tokio::test]
async fn session_tags_may_be_claims_of_their_own() {
    let condition = r#"{"StringEquals": {"aws:RequestTag/Team": "payments"},
        "ForAllValues:StringEquals": {"sts:TransitiveTagKeys": ["Team"]},
        "Null": {"sts:TransitiveTagKeys": "false"}}"#;
    for (row, claims) in [
        (
            "in one claim",
            json!({"https://aws.amazon.com/tags":
                {"principal_tags": {"Team": ["payments"]}, "transitive_tag_keys": ["Team"]}}),
        ),
        (
            "in one claim, as text",
            json!({"https://aws.amazon.com/tags":
                {"principal_tags": {"Team": "payments"}, "transitive_tag_keys": ["Team"]}}),
        ),
        (
            "a claim for each",
            json!({
                "https://aws.amazon.com/tags/principal_tags/Team": "payments",
                "https://aws.amazon.com/tags/transitive_tag_keys": ["Team"],
            }),
        ),
        (
            "a claim for each, as lists",
            json!({
                "https://aws.amazon.com/tags/principal_tags/Team": ["payments"],
                "https://aws.amazon.com/tags/transitive_tag_keys": ["Team"],
            }),
        ),
    ] {
        let reply = is_trusted("https://token.example.com", "<provider>", condition, claims).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_provider_keeps_the_slash_at_the_end_of_its_url() {
    let aws = Simulator::new();
    let root = aws.root_user("arn:aws:iam::222222222222:root").unwrap();
    let signer = Signer {
        service: "iam",
        region: "us-east-1",
        ..Signer::new(&aws, &root)
    };
    let query = "Action=CreateOpenIDConnectProvider&Version=2010-05-08&ClientIDList.member.1=app";
    let url = format!("https://iam.amazonaws.com/?{query}&Url=https://tenant.example.com/");
    let reply = send(&aws, signer.sign(request("GET", &url, &[], ""))).await;
    assert_eq!(
        reply.element("OpenIDConnectProviderArn"),
        "arn:aws:iam::222222222222:oidc-provider/tenant.example.com/",
        "{}",
        reply.body
    );
    let condition = r#"{"StringEquals": {"tenant.example.com/:aud": "app"}}"#;
    let claims = json!({"aud": "app"});
    let reply = is_trusted(
        "https://tenant.example.com/",
        "<provider>",
        condition,
        claims,
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

/// Parts that a signature does not cover have no effect: comments, which are removed before the digest is computed, and
/// the signature itself.
#[cfg(feature = "saml-signatures")]
#[tokio::test]
async fn what_a_saml_signature_does_not_cover_changes_nothing() {
    let metadata = include_str!("saml/metadata.xml");
    let aws = saml(|aws| aws.saml_provider(SAML, metadata).unwrap());
    let decode = |base64: &str| {
        let xml = aws_smithy_types::base64::decode(base64.trim()).unwrap();
        String::from_utf8(xml).unwrap()
    };
    let of_assertion = decode(include_str!("saml/signed-assertion.b64"));
    let of_response = decode(include_str!("saml/signed-response.b64"));
    let start = of_response.find("<saml:Assertion ").unwrap();
    let end = of_response.find("</saml:Assertion>").unwrap() + "</saml:Assertion>".len();
    let forged = of_response[start..end]
        .replace("ada", "eve")
        .replace("_assertion", "_forged");
    let attribute = r#"<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/RoleSessionName"><saml:AttributeValue>eve@example.com</saml:AttributeValue></saml:Attribute>"#;
    let in_signature = |xml: &str, added: &str| {
        let end = "</ds:Signature>";
        assert!(xml.contains(end));
        xml.replace(end, &format!("<ds:Object>{added}</ds:Object>{end}"))
    };
    for (row, xml) in [
        (
            "a comment in the name",
            of_assertion.replace("<saml:NameID>ada", "<saml:NameID>a<!-- -->da"),
        ),
        (
            "a comment in an attribute",
            of_assertion.replace("ada@example.com", "ada<!---->@example.com"),
        ),
        (
            "an attribute in the signature",
            in_signature(&of_assertion, attribute),
        ),
        (
            "a subject in the signature",
            in_signature(&of_assertion, "<saml:NameID>eve</saml:NameID>"),
        ),
        (
            "an assertion in the signature",
            in_signature(&of_response, &forged),
        ),
    ] {
        assert!(![&of_assertion, &of_response].contains(&&xml), "{row}");
        let reply = with_assertion(&aws, &aws_smithy_types::base64::encode(xml)).await;
        assert_eq!(reply.status, 200, "{row}: {}", reply.body);
        assert_eq!(reply.element("Subject"), "ada", "{row}");
        assert_eq!(
            reply.element("Arn"),
            "arn:aws:sts::222222222222:assumed-role/Hub/ada@example.com",
            "{row}"
        );
    }
}

#[tokio::test]
async fn one_of_several_audiences_of_a_saml_assertion_is_enough() {
    let aws = saml(|aws| aws.saml_provider_without_signatures(SAML));
    let with = |audiences: &str| {
        assertion(|xml| xml.replace("<Audience>urn:amazon:webservices</Audience>", audiences))
    };
    for (audiences, status) in [
        (
            "<Audience>urn:other</Audience><Audience>urn:amazon:webservices</Audience>",
            200,
        ),
        (
            "<Audience>https://signin.aws.amazon.com/saml</Audience>",
            200,
        ),
        ("<Audience>urn:amazon:webservices:govcloud</Audience>", 400),
        ("<Audience>urn:other</Audience>", 400),
        ("", 400),
    ] {
        let reply = with_assertion(&aws, &with(audiences)).await;
        assert_eq!(reply.status, status, "{audiences}: {}", reply.body);
    }
    // GovCloud has its own audience.
    let (role, provider) = (
        ROLE.replace("arn:aws:", "arn:aws-us-gov:"),
        SAML.replace("arn:aws:", "arn:aws-us-gov:"),
    );
    let aws = Simulator::new();
    aws.saml_provider_without_signatures(&*provider);
    aws.role(&*role)
        .trust(trust(&provider, r#""sts:AssumeRoleWithSAML""#, "{}"))
        .create()
        .unwrap();
    for (audience, status) in [
        ("urn:amazon:webservices:govcloud", 200),
        ("urn:amazon:webservices", 400),
    ] {
        let assertion = assertion(|xml| {
            let xml = xml.replace("urn:amazon:webservices", audience);
            xml.replace("arn:aws:", "arn:aws-us-gov:")
        });
        let parameters = [
            ("Action", "AssumeRoleWithSAML"),
            ("RoleArn", &*role),
            ("PrincipalArn", &*provider),
            ("SAMLAssertion", &*assertion),
        ];
        let url = "https://sts.us-gov-west-1.amazonaws.com/";
        let reply = send(&aws, post(url, form(&parameters))).await;
        assert_eq!(reply.status, status, "{audience}: {}", reply.body);
    }
}

/// An IPv6 socket reports IPv4 clients as `::ffff:127.0.0.1`, which policies do not use.
#[cfg(feature = "server")]
#[tokio::test]
async fn a_client_with_ipv4_has_its_address_on_a_socket_of_ipv6_too() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let aws = web_identity();
    let condition = r#"{"IpAddress": {"aws:SourceIp": "127.0.0.1"}}"#;
    let trust = trust(OIDC, r#""sts:AssumeRoleWithWebIdentity""#, condition);
    aws.role(ROLE).trust(trust).create().unwrap();
    let Ok(server) = sts_simulator::Server::new(&aws).listen("[::]:0").await else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let token = token(&aws, json!({}));
    let body = form(&[
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "session"),
        ("WebIdentityToken", &token),
    ]);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let address = ("127.0.0.1", server.address().port());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
