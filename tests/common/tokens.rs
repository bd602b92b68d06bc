//! OpenID Connect tokens and SAML assertions of identity providers.

use std::time::UNIX_EPOCH;

use aws_smithy_async::time::TimeSource;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::Value;
use sts_simulator::Simulator;

use super::HUB;

pub const SAML_PROVIDER: &str = "arn:aws:iam::222222222222:saml-provider/Company";

/// Signs a token with these claims and the key in `tests/keys`. It is valid for ten minutes, unless the claims specify
/// otherwise.
pub fn web_identity_token(aws: &Simulator, mut claims: Value) -> String {
    let now = aws.clock().now().duration_since(UNIX_EPOCH).unwrap();
    for (claim, time) in [("iat", now.as_secs()), ("exp", now.as_secs() + 600)] {
        if claims[claim].is_null() {
            claims[claim] = time.into();
        }
    }
    let key = include_bytes!("../keys/oidc-private.pem");
    let key = jsonwebtoken::EncodingKey::from_ec_pem(key).unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

/// The parts of an assertion that the tests change.
#[derive(Clone)]
pub struct Claims {
    pub audience: &'static str,
    pub recipient: &'static str,
    pub session_name: &'static str,
    pub role: &'static str,
    pub good_for: i64,
    pub more: &'static str,
}

/// The claims of an assertion that is valid for the hub.
pub const GOOD: Claims = Claims {
    audience: "urn:amazon:webservices",
    recipient: "https://signin.aws.amazon.com/saml",
    session_name: "ada@example.com",
    role: HUB,
    good_for: 300,
    more: "",
};

/// Creates an assertion, in base64.
pub fn assertion(aws: &Simulator, claims: &Claims) -> String {
    let until = DateTime::from_secs(DateTime::from(aws.clock().now()).secs() + claims.good_for);
    let until = until.fmt(Format::DateTime).unwrap();
    let Claims {
        audience,
        recipient,
        session_name,
        role,
        more,
        ..
    } = claims;
    let attribute = |name: &str, value: &str| {
        format!(
            r#"<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}"><saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>"#
        )
    };
    let attributes = attribute("Role", &format!("{role},{SAML_PROVIDER}"))
        + &attribute("RoleSessionName", session_name)
        + more;
    let xml = format!(
        r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">
          <saml:Assertion><saml:Issuer>https://idp.example.com</saml:Issuer>
            <saml:Subject><saml:NameID>ada</saml:NameID><saml:SubjectConfirmation>
              <saml:SubjectConfirmationData Recipient="{recipient}"/></saml:SubjectConfirmation></saml:Subject>
            <saml:Conditions NotOnOrAfter="{until}"><saml:AudienceRestriction>
              <saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>
            <saml:AuthnStatement/>
            <saml:AttributeStatement>{attributes}</saml:AttributeStatement>
          </saml:Assertion></samlp:Response>"#
    );
    aws_smithy_types::base64::encode(xml)
}
