//! AssumeRoleWithSAML: structure, signature, audience, times and attributes of an assertion.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_smithy_types::date_time::Format;
use aws_smithy_types::{DateTime, base64};
use roxmltree::{Document, Node};

use super::constraints::{ARN, NAME, POLICY, Reader, SAML_ASSERTION, is_role_arn};
use super::environment::Environment;
use super::federation::FederatedRequest;
use super::role_session::{SessionPolicies, session_tags};
#[cfg(feature = "saml-signatures")]
use super::saml_signature;
use crate::arn;
use crate::iam::{Accounts, SamlProvider, SessionTag};
use crate::policy::Context;
use crate::protocol::{Element, ErrorResponse, Parameters};

/// The prefix of the attributes that AWS reads.
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

/// The prefix of the formats of a subject that SAML 2.0 defines.
const FORMATS: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:";

pub(super) fn assume_role(
    accounts: &mut Accounts,
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Vec<Element>, ErrorResponse> {
    let mut reader = Reader::new(parameters);
    let role_arn = reader.required("RoleArn", &ARN);
    let provider_arn = reader.required("PrincipalArn", &ARN);
    let assertion = reader.required("SAMLAssertion", &SAML_ASSERTION);
    let policy = reader.optional("Policy", &POLICY);
    let duration = reader.duration(3600, 43_200)?;
    let policy_arns = reader.policy_arns();
    reader.finish()?;
    if !is_role_arn(role_arn) {
        return Err(ErrorResponse::validation("Request ARN is invalid"));
    }
    let account = arn::account_of(role_arn);
    environment.check_region(accounts, account, None)?;
    let provider = accounts.saml_providers.get(provider_arn).ok_or_else(|| {
        ErrorResponse::invalid_identity_token("Specified provider doesn't exist.")
    })?;
    let audiences = audiences(arn::partition_of(role_arn));
    let assertion = Assertion::read(assertion, provider, audiences, environment.now)?;
    let policies = SessionPolicies::read(accounts, policy, policy_arns, account)?;

    let mut about_user = vec![
        Element::text("NameQualifier", assertion.name_qualifier(provider_arn)),
        Element::text("Subject", &*assertion.subject),
        Element::text("Issuer", &*assertion.issuer),
        Element::text("Audience", &*assertion.recipient),
    ];
    about_user.extend(assertion.subject_format.as_ref().map(|format| {
        let short = format.strip_prefix(FORMATS);
        Element::text("SubjectType", short.unwrap_or(format))
    }));
    let request = FederatedRequest {
        action: "sts:AssumeRoleWithSAML",
        role_arn,
        is_role_offered: assertion.offers(role_arn, provider_arn),
        duration,
        policies,
        provider: provider_arn,
        keys: assertion.keys(provider_arn),
        session_keys: assertion.subject_keys(provider_arn),
        session_name: assertion.session_name,
        session_end: assertion.session_end,
        tags: assertion.tags,
        source_identity: assertion.source_identity,
    };
    request.assume_role(accounts, environment, about_user)
}

/// An assertion whose signature, audience and times are valid.
struct Assertion {
    issuer: String,
    subject: String,
    /// The format of the subject, a URN.
    subject_format: Option<String>,
    /// The URL that the identity provider posts the assertion to: the condition key `SAML:aud`.
    recipient: String,
    /// The roles that the user may assume, as pairs of role and provider ARN in either order.
    roles: Vec<String>,
    session_name: String,
    /// The time at which the session ends at the latest.
    session_end: Option<SystemTime>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Assertion {
    fn read(
        assertion: &str,
        provider: &SamlProvider,
        audiences: [&str; 2],
        now: SystemTime,
    ) -> Result<Self, ErrorResponse> {
        let invalid = |message: &str| ErrorResponse::invalid_identity_token(message);
        let malformed = || invalid("Invalid base64 SAMLResponse");
        let xml = base64::decode(assertion).map_err(|_| malformed())?;
        let xml = String::from_utf8(xml).map_err(|_| malformed())?;
        let document = Document::parse(&xml).map_err(|_| malformed())?;
        let assertion = descendant(document.root(), "Assertion").ok_or_else(malformed)?;
        let text = |name| -> Option<String> { Some(text_of(descendant(assertion, name)?)) };
        match provider {
            SamlProvider::Unsigned => {}
            #[cfg(feature = "saml-signatures")]
            SamlProvider::Signed(metadata) => {
                if text("Issuer").as_deref() != Some(&metadata.entity_id) {
                    return Err(invalid("Issuer not present in specified provider"));
                }
                if !saml_signature::is_valid(&xml, assertion, &metadata.certificates) {
                    return Err(invalid("Response signature invalid"));
                }
            }
        }
        let time = |name, attribute: &str| -> Option<SystemTime> {
            let time = descendant(assertion, name)?.attribute(attribute)?;
            let time = DateTime::from_str(time, Format::DateTime).ok()?;
            SystemTime::try_from(time).ok()
        };

        let is_aws = |audience: Node<'_, '_>| {
            let audience = text_of(audience);
            audiences.contains(&audience.as_str())
        };
        if !elements(assertion, "Audience").any(is_aws) {
            return Err(ErrorResponse::invalid_identity_token(
                "Response does not contain the required audience.",
            ));
        }
        // AWS's messages for these two cases are not recorded.
        let end = time("Conditions", "NotOnOrAfter")
            .ok_or_else(|| invalid("Response does not contain a valid NotOnOrAfter condition."))?;
        if end <= now {
            return Err(ErrorResponse::new(
                400,
                "ExpiredTokenException",
                "Token must be redeemed within 5 minutes of issuance",
            ));
        }
        let attribute = |name: &str| values(assertion, name);
        let session_name = attribute("RoleSessionName")
            .into_iter()
            .next()
            .ok_or_else(|| {
                ErrorResponse::invalid_identity_token(
                    "RoleSessionName is required in AuthnResponse",
                )
            })?;
        let is_name = |name: &str| (2..=64).contains(&name.len()) && NAME.contains_all(name);
        if !is_name(&session_name) {
            return Err(ErrorResponse::invalid_identity_token(
                "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
            ));
        }
        let source_identity = attribute("SourceIdentity").into_iter().next();
        if source_identity
            .as_deref()
            .is_some_and(|identity| !is_name(identity))
        {
            return Err(ErrorResponse::invalid_identity_token(
                "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\"",
            ));
        }
        let longest = attribute("SessionDuration").first().and_then(|text| {
            let seconds = text.parse().ok();
            let seconds = seconds.filter(|seconds| (900..=43_200).contains(seconds))?;
            Some(now + Duration::from_secs(seconds))
        });
        let end = time("AuthnStatement", "SessionNotOnOrAfter");
        let tags: Vec<_> = attributes(assertion).filter_map(tag).collect();
        let nothing = Parameters::default();
        let mut reader = Reader::new(&nothing);
        reader.check_tags(&tags);
        reader.finish()?;
        let tags = session_tags(tags, &attribute("TransitiveTagKeys"), &[])?;
        Ok(Self {
            issuer: text("Issuer").unwrap_or_default(),
            subject: text("NameID").unwrap_or_default(),
            subject_format: descendant(assertion, "NameID")
                .and_then(|name| name.attribute("Format"))
                .map(str::to_owned),
            recipient: descendant(assertion, "SubjectConfirmationData")
                .and_then(|data| data.attribute("Recipient"))
                .unwrap_or_default()
                .to_owned(),
            roles: attribute("Role"),
            session_name,
            session_end: end.into_iter().chain(longest).min(),
            tags,
            source_identity,
        })
    }

    /// Whether the identity provider allows the user to assume a role.
    fn offers(&self, role: &str, provider: &str) -> bool {
        self.roles.iter().any(|pair| {
            let parts: Vec<&str> = pair.split(',').map(str::trim).collect();
            parts == [role, provider] || parts == [provider, role]
        })
    }

    /// Returns a hash that, together with the subject, identifies the user.
    fn name_qualifier(&self, provider: &str) -> String {
        let text = format!("{}{}", self.issuer, doc(provider));
        base64::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
    }

    /// Returns the condition keys that the session keeps.
    fn subject_keys(&self, provider: &str) -> Context {
        let mut context = Context::default();
        context.set("saml:namequalifier", self.name_qualifier(provider));
        context.set("saml:sub", &*self.subject);
        if let Some(format) = &self.subject_format {
            // The key has only the last part of these two formats.
            let short = format.strip_prefix(FORMATS);
            let short = short.filter(|name| matches!(*name, "persistent" | "transient"));
            context.set("saml:sub_type", short.unwrap_or(format));
        }
        context
    }

    /// Returns the condition keys of a request with this assertion.
    fn keys(&self, provider: &str) -> Context {
        let mut context = self.subject_keys(provider);
        context.set("saml:aud", &*self.recipient);
        context.set("saml:iss", &*self.issuer);
        context.set("saml:doc", doc(provider));
        context
    }
}

/// Returns the account and the name of an identity provider.
fn doc(provider: &str) -> String {
    format!("{}/{}", arn::account_of(provider), arn::name_of(provider))
}

/// Returns the audiences that identify AWS in a partition.
fn audiences(partition: &str) -> [&'static str; 2] {
    match partition {
        "aws-cn" => [
            "urn:amazon:webservices:cn-north-1",
            "https://signin.amazonaws.cn/saml",
        ],
        "aws-us-gov" => [
            "urn:amazon:webservices:govcloud",
            "https://signin.amazonaws-us-gov.com/saml",
        ],
        _ => [
            "urn:amazon:webservices",
            "https://signin.aws.amazon.com/saml",
        ],
    }
}

/// Returns the first element with this local name, at any depth.
fn descendant<'a>(node: Node<'a, 'a>, name: &'a str) -> Option<Node<'a, 'a>> {
    elements(node, name).next()
}

/// Returns the elements with this local name, at any depth, except those inside a signature: a signature does not cover
/// itself, so anybody can add elements to it.
fn elements<'a>(node: Node<'a, 'a>, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    let is_in_signature = |node: &Node<'a, 'a>| node.ancestors().any(|n| is_named(&n, "Signature"));
    node.descendants()
        .filter(move |node| is_named(node, name) && !is_in_signature(node))
}

/// Returns the text in a node, joined across comments, which signatures ignore.
fn text_of(node: Node<'_, '_>) -> String {
    let texts = node.descendants().filter(Node::is_text);
    let text: String = texts.filter_map(|text| text.text()).collect();
    text.trim().to_owned()
}

/// Whether a node is an element with this local name, in any namespace.
fn is_named(node: &Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// Returns the attributes that AWS reads, with their values.
fn attributes<'a>(assertion: Node<'a, 'a>) -> impl Iterator<Item = (&'a str, Vec<String>)> {
    elements(assertion, "Attribute").filter_map(|attribute| {
        let name = attribute.attribute("Name")?.strip_prefix(ATTRIBUTES)?;
        let values = attribute
            .children()
            .filter(|node| is_named(node, "AttributeValue"));
        let values = values.filter(|value| value.descendants().any(|node| node.is_text()));
        let values = values.map(text_of);
        Some((name, values.collect()))
    })
}

/// Returns the values of the attribute with this name.
fn values(assertion: Node<'_, '_>, name: &str) -> Vec<String> {
    let mut found = attributes(assertion).filter(|(attribute, _)| *attribute == name);
    found.next().map(|(_, values)| values).unwrap_or_default()
}

/// Returns the key and value of an attribute if it is a session tag.
fn tag((name, values): (&str, Vec<String>)) -> Option<(String, String)> {
    let key = name.strip_prefix("PrincipalTag:")?.to_owned();
    Some((key, values.into_iter().next().unwrap_or_default()))
}
