//! AssumeRoleWithSAML: an assertion's structure, audience, times and attributes. Its signature is not
//! checked: there is no well-kept crate for XML signatures without a C library.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use roxmltree::{Document, Node};

use super::policy::Context;
use super::sts::{
    Parameters, Refusal, all_within_limits, assumed, check_duration, escaped, expiry,
    federated_role, is_role_arn, read_duration, session_policies, set_federated_keys,
    source_identity, violations,
};
use super::world::{Holder, Session, SessionTag, World, random};

const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

pub(super) fn assume_role(
    world: &mut World,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<String, Refusal> {
    let given = |name: &str| parameters.first(name).unwrap_or_default();
    let (role_arn, provider) = (given("RoleArn"), given("PrincipalArn"));
    let (duration, mut broken) = read_duration(parameters, 3600, 43_200)?;
    broken.extend(violations("RoleArn", role_arn, 20, 2048, None));
    broken.extend(violations("PrincipalArn", provider, 20, 2048, None));
    broken.extend(violations(
        "SAMLAssertion",
        given("SAMLAssertion"),
        4,
        100_000,
        None,
    ));
    all_within_limits(&broken)?;
    if !is_role_arn(role_arn) {
        return Err(Refusal::invalid("Request ARN is invalid"));
    }
    if !world.has_saml_provider(provider) {
        return Err(invalid("Specified provider doesn't exist."));
    }
    let assertion = Assertion::read(given("SAMLAssertion"), now)?;
    let policies = session_policies(
        world,
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
    let context = |action: &str| assertion.context(action);
    let role = federated_role(world, role_arn, provider, &actions, &context)?;
    if !assertion.offers(role_arn, provider) {
        let message = "Not authorized to perform sts:AssumeRoleWithSAML";
        return Err(Refusal::new(403, "AccessDenied", message));
    }
    check_duration(duration, &role, false)?;

    let mut until = expiry(now, duration);
    if let Some(end) = assertion.session_end {
        until = until.min(end);
    }
    let session = Session {
        holder: Holder::Role {
            arn: role_arn.to_owned(),
            id: role.id,
            session_name: assertion.session_name,
        },
        token: random(640),
        issued: now,
        expiry: until,
        policies,
        tags: assertion.tags,
        source_identity: assertion.source_identity,
        mfa: None,
    };
    let subject = format!(
        "    <Subject>{}</Subject>\n    <Issuer>{}</Issuer>\n    <Audience>{}</Audience>\n",
        escaped(&assertion.subject),
        escaped(&assertion.issuer),
        escaped(&assertion.recipient)
    );
    let identity = source_identity(&session);
    Ok(assumed(&session) + &subject + &world.issue(session) + &identity)
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "InvalidIdentityToken", message)
}

/// What an assertion says, once its audience and times are found good.
struct Assertion {
    issuer: String,
    subject: String,
    /// Where the identity provider posts it: `SAML:aud`.
    recipient: String,
    /// Pairs of role and provider ARN, in either order.
    roles: Vec<String>,
    session_name: String,
    session_end: Option<SystemTime>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
}

impl Assertion {
    fn read(base64: &str, now: SystemTime) -> Result<Self, Refusal> {
        let unread = || invalid("Invalid base64 SAMLResponse");
        let xml = aws_smithy_types::base64::decode(base64).map_err(|_| unread())?;
        let xml = String::from_utf8(xml).map_err(|_| unread())?;
        let document = Document::parse(&xml).map_err(|_| unread())?;
        let assertion = child(document.root(), "Assertion").ok_or_else(unread)?;
        let text = |name: &str| -> Option<String> {
            Some(child(assertion, name)?.text()?.trim().to_owned())
        };
        let time = |name: &str, attribute: &str| -> Option<SystemTime> {
            let time = child(assertion, name)?.attribute(attribute)?;
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
            return Err(invalid("Response does not contain the required audience."));
        }
        if time("Conditions", "NotOnOrAfter").is_none_or(|end| end <= now) {
            // STS's text for this case is not known for sure.
            return Err(Refusal::new(
                400,
                "ExpiredTokenException",
                "Token must be redeemed within 5 minutes of issuance",
            ));
        }
        let attribute = |name: &str| values(assertion, name);
        let session_name = attribute("RoleSessionName")
            .into_iter()
            .next()
            .ok_or_else(|| invalid("RoleSessionName is required in AuthnResponse"))?;
        let names = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        let is_name = |name: &str| (2..=64).contains(&name.len()) && name.chars().all(names);
        if !is_name(&session_name) {
            return Err(invalid(
                "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
            ));
        }
        let source_identity = attribute("SourceIdentity").into_iter().next();
        if source_identity
            .as_deref()
            .is_some_and(|identity| !is_name(identity))
        {
            return Err(invalid(
                "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\"",
            ));
        }
        let transitive = attribute("TransitiveTagKeys");
        let tags = tags(assertion, &transitive);
        Ok(Self {
            issuer: text("Issuer").unwrap_or_default(),
            subject: text("NameID").unwrap_or_default(),
            recipient: child(assertion, "SubjectConfirmationData")
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

    fn offers(&self, role: &str, provider: &str) -> bool {
        self.roles.iter().any(|pair| {
            let parts: Vec<&str> = pair.split(',').map(str::trim).collect();
            parts == [role, provider] || parts == [provider, role]
        })
    }

    fn context(&self, action: &str) -> Context {
        let mut context = Context::default();
        context.set("saml:aud", &*self.recipient);
        context.set("saml:iss", &*self.issuer);
        context.set("saml:sub", &*self.subject);
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

/// The first element of this name, at any depth, whatever its namespace.
fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.descendants().find(|node| node.has_tag_name_of(name))
}

trait LocalName {
    fn has_tag_name_of(&self, name: &str) -> bool;
}

impl LocalName for Node<'_, '_> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn attributes<'a>(assertion: Node<'a, 'a>) -> impl Iterator<Item = (&'a str, Vec<String>)> {
    let attributes = assertion
        .descendants()
        .filter(|node| node.has_tag_name_of("Attribute"));
    attributes.filter_map(|attribute| {
        let name = attribute.attribute("Name")?.strip_prefix(ATTRIBUTES)?;
        let values = attribute
            .children()
            .filter(|node| node.has_tag_name_of("AttributeValue"));
        let values = values.filter_map(|value| Some(value.text()?.trim().to_owned()));
        Some((name, values.collect()))
    })
}

fn values(assertion: Node<'_, '_>, name: &str) -> Vec<String> {
    let mut found = attributes(assertion).filter(|(attribute, _)| *attribute == name);
    found.next().map(|(_, values)| values).unwrap_or_default()
}

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
