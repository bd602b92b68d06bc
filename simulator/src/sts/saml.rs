//! AssumeRoleWithSAML: the structure, audience, times and attributes of an assertion. Its signature is not
//! checked, because there is no well-kept crate for XML signatures without a C library.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use roxmltree::{Document, Node};

use super::constraints::{NAME, Violations, is_role_arn};
use super::role_session::{
    check_duration, expiry, federated_role, respond, session_policies, set_federated_keys,
};
use crate::arn;
use crate::iam::{Accounts, Arrival, Session, SessionPrincipal, SessionTag, new_session_token};
use crate::policy::Context;
use crate::protocol::{Element, ErrorResponse, Parameters};

/// How the names of the attributes begin that AWS reads.
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

pub(super) fn assume_role(
    accounts: &mut Accounts,
    parameters: &Parameters,
    arrival: &Arrival,
) -> Result<Vec<Element>, ErrorResponse> {
    let now = arrival.now;
    let given = |name: &str| parameters.first(name).unwrap_or_default();
    let (role_arn, provider) = (given("RoleArn"), given("PrincipalArn"));
    let mut violations = Violations::default();
    let duration = violations.read_duration(parameters, 3600, 43_200)?;
    violations.check_text("RoleArn", role_arn, 20..=2048, None);
    violations.check_text("PrincipalArn", provider, 20..=2048, None);
    let assertion = given("SAMLAssertion");
    violations.check_text("SAMLAssertion", assertion, 4..=100_000, None);
    violations.reject()?;
    if !is_role_arn(role_arn) {
        return Err(ErrorResponse::validation("Request ARN is invalid"));
    }
    if !accounts.has_saml_provider(provider) {
        return Err(ErrorResponse::invalid_identity_token(
            "Specified provider doesn't exist.",
        ));
    }
    let assertion = Assertion::read(assertion, now)?;
    let policies = session_policies(
        accounts,
        parameters.first("Policy"),
        &parameters.list("PolicyArns.member"),
    )?;

    let mut actions = vec!["sts:AssumeRoleWithSAML"];
    if !assertion.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if assertion.source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    let context = |action: &str| assertion.context(provider, action);
    let role = federated_role(accounts, role_arn, provider, &actions, arrival, &context)?;
    if !assertion.offers(role_arn, provider) {
        let message = "Not authorized to perform sts:AssumeRoleWithSAML";
        return Err(ErrorResponse::access_denied(message));
    }
    check_duration(duration, &role, false)?;

    let mut until = expiry(now, duration);
    if let Some(end) = assertion.session_end {
        until = until.min(end);
    }
    let federation = assertion.subject_keys();
    let session = Session {
        principal: SessionPrincipal::Role {
            arn: role_arn.to_owned(),
            id: role.id,
            session_name: assertion.session_name,
        },
        token: new_session_token(),
        issued: now,
        expiry: until,
        policies,
        tags: assertion.tags,
        source_identity: assertion.source_identity,
        federation,
        mfa: None,
    };
    let subject = vec![
        Element::text("Subject", assertion.subject),
        Element::text("Issuer", assertion.issuer),
        Element::text("Audience", assertion.recipient),
    ];
    Ok(respond(accounts, session, subject))
}

/// An assertion whose audience and times are valid.
struct Assertion {
    issuer: String,
    subject: String,
    /// The format of the subject, which is a URN.
    subject_format: Option<String>,
    /// The URL that the identity provider posts it to: `SAML:aud`.
    recipient: String,
    /// The roles that the user may assume: the ARNs of role and provider, in either order.
    roles: Vec<String>,
    session_name: String,
    session_end: Option<SystemTime>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Assertion {
    fn read(base64: &str, now: SystemTime) -> Result<Self, ErrorResponse> {
        let malformed = || ErrorResponse::invalid_identity_token("Invalid base64 SAMLResponse");
        let xml = aws_smithy_types::base64::decode(base64).map_err(|_| malformed())?;
        let xml = String::from_utf8(xml).map_err(|_| malformed())?;
        let document = Document::parse(&xml).map_err(|_| malformed())?;
        let assertion = descendant(document.root(), "Assertion").ok_or_else(malformed)?;
        let text = |name: &str| -> Option<String> {
            Some(descendant(assertion, name)?.text()?.trim().to_owned())
        };
        let time = |name: &str, attribute: &str| -> Option<SystemTime> {
            let time = descendant(assertion, name)?.attribute(attribute)?;
            let time = DateTime::from_str(time, Format::DateTime).ok()?;
            SystemTime::try_from(time).ok()
        };

        let audience = text("Audience").unwrap_or_default();
        if ![
            "urn:amazon:webservices",
            "https://signin.aws.amazon.com/saml",
        ]
        .contains(&audience.as_str())
        {
            return Err(ErrorResponse::invalid_identity_token(
                "Response does not contain the required audience.",
            ));
        }
        if time("Conditions", "NotOnOrAfter").is_none_or(|end| end <= now) {
            // The message for this case is not recorded from AWS.
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
        let transitive = attribute("TransitiveTagKeys");
        let tags = tags(assertion, &transitive);
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
            session_end: time("AuthnStatement", "SessionNotOnOrAfter"),
            tags,
            source_identity,
        })
    }

    /// Whether the identity provider lets the user assume a role.
    fn offers(&self, role: &str, provider: &str) -> bool {
        self.roles.iter().any(|pair| {
            let parts: Vec<&str> = pair.split(',').map(str::trim).collect();
            parts == [role, provider] || parts == [provider, role]
        })
    }

    /// Returns the condition keys that the session keeps.
    fn subject_keys(&self) -> Context {
        let mut context = Context::default();
        context.set("saml:sub", &*self.subject);
        if let Some(format) = &self.subject_format {
            // Of these two, AWS shows the last part only.
            let short = format.strip_prefix("urn:oasis:names:tc:SAML:2.0:nameid-format:");
            let short = short.filter(|name| matches!(*name, "persistent" | "transient"));
            context.set("saml:sub_type", short.unwrap_or(format));
        }
        context
    }

    /// Returns the condition keys of a request with this assertion.
    fn context(&self, provider: &str, action: &str) -> Context {
        let mut context = self.subject_keys();
        context.set("saml:aud", &*self.recipient);
        context.set("saml:iss", &*self.issuer);
        let (account, name) = (arn::account_of(provider), arn::name_of(provider));
        context.set("saml:doc", format!("{account}/{name}"));
        set_federated_keys(
            &mut context,
            action,
            &self.session_name,
            &self.tags,
            self.source_identity.as_deref(),
        );
        context
    }
}

/// Returns the first element with this local name, at any depth.
fn descendant<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.descendants().find(|node| is_named(node, name))
}

/// Whether a node is an element with this name, in whatever namespace.
fn is_named(node: &Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// Returns the attributes that AWS reads, with their values.
fn attributes<'a>(assertion: Node<'a, 'a>) -> impl Iterator<Item = (&'a str, Vec<String>)> {
    let attributes = assertion
        .descendants()
        .filter(|node| is_named(node, "Attribute"));
    attributes.filter_map(|attribute| {
        let name = attribute.attribute("Name")?.strip_prefix(ATTRIBUTES)?;
        let values = attribute
            .children()
            .filter(|node| is_named(node, "AttributeValue"));
        let values = values.filter_map(|value| Some(value.text()?.trim().to_owned()));
        Some((name, values.collect()))
    })
}

/// Returns the values of the attribute with this name.
fn values(assertion: Node<'_, '_>, name: &str) -> Vec<String> {
    let mut found = attributes(assertion).filter(|(attribute, _)| *attribute == name);
    found.next().map(|(_, values)| values).unwrap_or_default()
}

/// Returns the session tags in an assertion.
fn tags(assertion: Node<'_, '_>, transitive: &[String]) -> Vec<SessionTag> {
    let tags = attributes(assertion).filter_map(|(name, values)| {
        let key = name.strip_prefix("PrincipalTag:")?.to_owned();
        Some(SessionTag {
            value: values.into_iter().next().unwrap_or_default(),
            transitive: transitive.contains(&key),
            key,
        })
    });
    tags.collect()
}
