//! `saml --local`: a simulated SAML provider, and a role that trusts it.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_role_chain::{Role, RoleChain, SamlAssertion};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::{DateTimeFormatError, Format};
use sts_simulator::Simulator;

const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/Developer";
const PROVIDER_ARN: &str = "arn:aws:iam::222222222222:saml-provider/Company";

pub fn start() -> Result<RoleChain, Box<dyn Error>> {
    let aws = Simulator::new();
    aws.saml_provider_without_signatures(PROVIDER_ARN);
    aws.role(ROLE_ARN)
        .trust(format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
                "Action": "sts:AssumeRoleWithSAML", "Principal": {{"Federated": "{PROVIDER_ARN}"}},
                "Condition": {{"StringEquals": {{
                    "SAML:aud": "https://signin.aws.amazon.com/saml"}}}}}}}}"#
        ))
        .create()?;
    let user = aws.user("arn:aws:iam::222222222222:user/nobody").create()?;
    let mut base = aws.sdk_config(user).into_builder();
    base.set_credentials_provider(None);
    let assertion = SamlAssertion::from_provider(|| async { assertion() });
    Ok(RoleChain::from_saml(
        &base.build(),
        Role::new(ROLE_ARN),
        PROVIDER_ARN,
        assertion,
    )?)
}

fn assertion() -> Result<String, DateTimeFormatError> {
    let until = DateTime::from(SystemTime::now() + Duration::from_secs(300));
    let until = DateTime::from_secs(until.secs()).fmt(Format::DateTime)?;
    let attribute = |name: &str, value: &str| {
        format!(
            r#"<Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}">
                <AttributeValue>{value}</AttributeValue></Attribute>"#
        )
    };
    let role = attribute("Role", &format!("{ROLE_ARN},{PROVIDER_ARN}"));
    let name = attribute("RoleSessionName", "ada@example.com");
    Ok(aws_smithy_types::base64::encode(format!(
        r#"<Response><Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion">
            <Issuer>https://idp.example.com</Issuer>
            <Subject><NameID>ada</NameID><SubjectConfirmation>
                <SubjectConfirmationData Recipient="https://signin.aws.amazon.com/saml"/>
            </SubjectConfirmation></Subject>
            <Conditions NotOnOrAfter="{until}"><AudienceRestriction>
                <Audience>urn:amazon:webservices</Audience></AudienceRestriction></Conditions>
            <AttributeStatement>{role}{name}</AttributeStatement></Assertion></Response>"#
    )))
}
