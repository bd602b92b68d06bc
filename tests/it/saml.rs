//! Chains that start with a SAML assertion.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::tokens::{Claims, GOOD, SAML_PROVIDER as PROVIDER, assertion};
use crate::common::*;
use aws_credential_types::provider::ProvideCredentials;
use aws_role_chain::{Error, Role, RoleChain, SamlAssertion};
use aws_smithy_async::time::TimeSource;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_types::SdkConfig;
use sts_simulator::Simulator;

struct World {
    aws: Simulator,
    base: SdkConfig,
}

impl World {
    fn new() -> Self {
        let aws = Simulator::new();
        aws.saml_provider_without_signatures(PROVIDER);
        aws.role(HUB)
            .trust(trust("sts:AssumeRoleWithSAML"))
            .policy(allow("sts:*"))
            .create()
            .unwrap();
        aws.role(TENANT)
            .trust(trusts("222222222222"))
            .create()
            .unwrap();
        let mut base = aws.sdk_config(user(&aws)).into_builder();
        base.set_credentials_provider(None);
        Self {
            base: base.build(),
            aws,
        }
    }

    fn chain(&self, assertion: SamlAssertion) -> RoleChain {
        RoleChain::from_saml(&self.base, Role::new(HUB), PROVIDER, assertion).unwrap()
    }

    /// Returns assertions that are created at each call of their provider, and the number of these calls.
    fn assertions(&self, claims: Claims) -> (SamlAssertion, Arc<AtomicUsize>) {
        let (aws, calls) = (self.aws.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        let assertion = SamlAssertion::from_provider(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let assertion = assertion(&aws, &claims);
            async { Ok::<_, Error>(assertion) }
        });
        (assertion, calls)
    }

    async fn refused(&self, claims: Claims) -> Error {
        self.chain(self.assertions(claims).0)
            .refresh()
            .await
            .unwrap_err()
    }
}

fn trust(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}",
            "Principal": {{"Federated": "{PROVIDER}"}},
            "Condition": {{"StringEquals": {{"SAML:aud": "https://signin.aws.amazon.com/saml"}}}}}}}}"#
    )
}

#[tokio::test]
async fn an_assertion_replaces_credentials_and_names_the_session() {
    let world = World::new();
    let me = world.chain(world.assertions(GOOD).0);
    let tenant = me.assume(Role::new(TENANT)).unwrap();
    let credentials = tenant.provide_credentials().await.unwrap();
    assert_eq!(credentials.account_id().unwrap().as_str(), "333333333333");
    let session = me.status()[0].session_arn.clone().unwrap();
    assert_eq!(
        session,
        "arn:aws:sts::222222222222:assumed-role/Hub/ada@example.com"
    );
    assert_eq!(world.aws.calls()[0].access_key_id, None, "nobody signs");
}

#[tokio::test(start_paused = true)]
async fn an_interactive_sign_in_happens_only_while_a_caller_waits() {
    let world = World::new();
    let (assertion, calls) = world.assertions(GOOD);
    let me = world.chain(assertion);
    me.provide_credentials().await.unwrap();
    world.aws.clock().advance(24 * HOUR).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    me.provide_credentials().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2, "a fresh assertion");
}

#[tokio::test(start_paused = true)]
async fn a_non_interactive_assertion_is_renewed_in_the_background() {
    let world = World::new();
    let (assertion, calls) = world.assertions(GOOD);
    let me = world.chain(assertion.non_interactive());
    me.provide_credentials().await.unwrap();
    world.aws.clock().advance(HOUR - MINUTE).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_assertion_can_shorten_the_session() {
    let world = World::new();
    let end = DateTime::from_secs(DateTime::from(world.aws.clock().now()).secs() + 1200);
    let plain = assertion(&world.aws, &GOOD);
    let xml = String::from_utf8(aws_smithy_types::base64::decode(plain).unwrap()).unwrap();
    let statement = format!(
        r#"<saml:AuthnStatement SessionNotOnOrAfter="{}"/>"#,
        end.fmt(Format::DateTime).unwrap()
    );
    let shorter =
        aws_smithy_types::base64::encode(xml.replace("<saml:AuthnStatement/>", &statement));
    let me = world.chain(SamlAssertion::from_provider(move || {
        let assertion = shorter.clone();
        async { Ok::<_, Error>(assertion) }
    }));
    me.refresh().await.unwrap();
    let left = me.status()[0]
        .expiry
        .unwrap()
        .duration_since(world.aws.clock().now())
        .unwrap();
    assert!(left <= Duration::from_secs(1200), "{left:?}");
}

#[tokio::test]
async fn the_principal_must_be_a_saml_provider() {
    let world = World::new();
    for wrong in [
        "",
        "Company",
        "arn:aws:iam::222222222222:oidc-provider/x",
        "arn:aws:iam::2:saml-provider/Company",
        "arn:aws:iam:eu-west-1:222222222222:saml-provider/Company",
        "arn:aws:iam::222222222222:saml-provider/",
        "arn:aws:iam::222222222222:saml-provider/Company/Other",
        "arn:aws:iam::222222222222:saml-provider/*",
        &format!(
            "arn:aws:iam::222222222222:saml-provider/{}",
            "x".repeat(2048)
        ),
        "arn:aws:iam::222222222222:saml-provider/Company\n",
    ] {
        let (assertion, _) = world.assertions(GOOD);
        let error =
            RoleChain::from_saml(&world.base, Role::new(HUB), wrong, assertion).unwrap_err();
        assert_eq!(error.field(), Some("principal_arn"), "{error}");
    }
    assert_eq!(world.aws.requests(), 0);
}

#[tokio::test]
async fn a_refusal_keeps_the_message_of_sts_and_adds_advice() {
    let world = World::new();
    let denied = "Not authorized to perform sts:AssumeRoleWithSAML";
    let cases = [
        (
            Claims {
                role: TENANT,
                ..GOOD
            },
            "AccessDenied",
            denied,
            "Role attribute",
        ),
        (
            Claims {
                recipient: "https://elsewhere",
                ..GOOD
            },
            "AccessDenied",
            denied,
            "SAML:aud",
        ),
        (
            Claims {
                audience: "urn:other",
                ..GOOD
            },
            "InvalidIdentityToken",
            "Response does not contain the required audience.",
            "audience",
        ),
        (
            Claims {
                session_name: "a b",
                ..GOOD
            },
            "InvalidIdentityToken",
            "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
            "send this attribute in this form",
        ),
        (
            Claims {
                more: r#"<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/PrincipalTag:team"><saml:AttributeValue>x</saml:AttributeValue></saml:Attribute>"#,
                ..GOOD
            },
            "AccessDenied",
            denied,
            "sts:TagSession",
        ),
    ];
    for (claims, code, message, advice) in cases {
        let error = world.refused(claims).await;
        assert_eq!((error.code(), error.message()), (Some(code), Some(message)));
        assert!(error.advice().join("\n").contains(advice), "{error}");
    }
    let old = world
        .refused(Claims {
            good_for: -1,
            ..GOOD
        })
        .await;
    assert_eq!(old.code(), Some("ExpiredTokenException"));
    assert!(old.to_string().contains("sign in again"), "{old}");

    let unknown = "arn:aws:iam::222222222222:saml-provider/Unknown";
    let (assertion, _) = world.assertions(GOOD);
    let chain = RoleChain::from_saml(&world.base, Role::new(HUB), unknown, assertion).unwrap();
    let error = chain.refresh().await.unwrap_err();
    assert_eq!(error.message(), Some("Specified provider doesn't exist."));
}

#[tokio::test]
async fn conditions_on_tags_and_their_keys_are_evaluated() {
    let world = World::new();
    let tagged = r#"<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/PrincipalTag:team"><saml:AttributeValue>x</saml:AttributeValue></saml:Attribute><saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/TransitiveTagKeys"><saml:AttributeValue>team</saml:AttributeValue></saml:Attribute>"#;
    for (key, allowed) in [("team", true), ("cost", false)] {
        let statement = format!(
            r#"{{"Effect": "Allow", "Principal": {{"Federated": "{PROVIDER}"}}, "Action": "sts:TagSession",
                "Condition": {{"ForAllValues:StringEquals": {{
                    "aws:TagKeys": ["{key}"], "sts:TransitiveTagKeys": ["{key}"]}}}}}}"#
        );
        let first = format!(r#""Statement": [{statement}, "#);
        let both = trust("sts:AssumeRoleWithSAML").replace(r#""Statement": "#, &first);
        let both = format!("{}]}}", both.strip_suffix('}').unwrap());
        world.aws.role(HUB).trust(both).create().unwrap();
        let claims = Claims {
            more: tagged,
            ..GOOD
        };
        let (assertion, _) = world.assertions(claims);
        assert_eq!(
            world.chain(assertion).refresh().await.is_ok(),
            allowed,
            "{key}"
        );
    }
}

#[tokio::test]
async fn an_expired_assertion_is_requested_once_more_and_a_failed_sign_in_reaches_the_caller() {
    let world = World::new();
    let old = Claims {
        good_for: -1,
        ..GOOD
    };
    let (assertion, calls) = world.assertions(old.clone());
    world
        .chain(assertion.non_interactive())
        .refresh()
        .await
        .unwrap_err();
    assert_eq!(
        (calls.load(Ordering::Relaxed), world.aws.requests()),
        (2, 2)
    );

    // A person is prompted once per load, and not again while the failure is cached.
    let (assertion, calls) = world.assertions(old);
    let me = world.chain(assertion);
    me.provide_credentials().await.unwrap_err();
    me.provide_credentials().await.unwrap_err();
    assert_eq!(
        (calls.load(Ordering::Relaxed), world.aws.requests()),
        (1, 3)
    );

    let fails =
        SamlAssertion::from_provider(|| async { Err::<String, _>("the browser was closed") });
    let error = world.chain(fails).refresh().await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("(hop 1 of 1): no SAML assertion: the browser was closed"),
        "{error}"
    );
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "the browser was closed"
    );
}
