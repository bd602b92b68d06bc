//! Says who it is, after coming in by a SAML assertion.
//!
//! ```text
//! cargo run --example saml -- --role-arn arn:aws:iam::111111111111:role/Developer \
//!     --principal-arn arn:aws:iam::111111111111:saml-provider/Company --sign-in ./company-login
//! ```
//!
//! `--sign-in` is a program that signs in with the company's identity provider and prints the assertion in
//! base64, as the provider posts it. It is run whenever a fresh one is needed. `--local` runs it all
//! without AWS, on the simulator `sts-simulator`.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use aws_config::BehaviorVersion;
use aws_role_chain::{Role, RoleChain, SamlAssertion};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser;

/// Say who a SAML assertion makes you to AWS.
#[derive(Parser)]
struct Options {
    /// Role that trusts the SAML provider
    #[arg(long, required_unless_present = "local")]
    role_arn: Option<String>,

    /// The SAML provider in the role's account
    #[arg(long, required_unless_present = "local")]
    principal_arn: Option<String>,

    /// Program that signs in and prints the assertion in base64
    #[arg(long, value_name = "PROGRAM", required_unless_present = "local")]
    sign_in: Option<PathBuf>,

    /// AWS region, instead of the environment's
    #[arg(long, conflicts_with = "local")]
    region: Option<String>,

    /// Run on the built-in simulator, without AWS
    #[arg(long, conflicts_with_all = ["role_arn", "principal_arn", "sign_in"])]
    local: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let chain = match (
        &options.role_arn,
        &options.principal_arn,
        options.sign_in.clone(),
    ) {
        (Some(role), Some(principal), Some(program)) => {
            let assertion = SamlAssertion::from_provider(move || sign_in(program.clone()));
            let base = base_config(options).await;
            RoleChain::from_saml(&base, Role::new(role), principal, assertion)?
        }
        // clap asks for all three, or for --local.
        _ => local::start()?,
    };
    // What went wrong, with what to check, rather than the client's words for it.
    chain.refresh().await?;

    let me = aws_sdk_sts::Client::new(&chain.sdk_config())
        .get_caller_identity()
        .send()
        .await?;
    println!("{}", me.arn().unwrap_or_default());
    for hop in chain.status() {
        println!("{hop}");
    }
    Ok(())
}

/// The program may ask on its terminal; what it prints is the assertion.
async fn sign_in(program: PathBuf) -> io::Result<String> {
    let named = |why: String| io::Error::other(format!("{}: {why}", program.display()));
    let running = tokio::process::Command::new(&program)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| named(error.to_string()))?;
    let ran = running.wait_with_output().await?;
    if !ran.status.success() {
        return Err(named(ran.status.to_string()));
    }
    String::from_utf8(ran.stdout).map_err(|_| named("what it printed is not base64".to_owned()))
}

/// No credentials: the assertion takes their place.
async fn base_config(options: &Options) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).no_credentials();
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader.load().await
}

mod local {
    use std::time::{Duration, SystemTime};

    use aws_smithy_types::DateTime;
    use aws_smithy_types::date_time::{DateTimeFormatError, Format};
    use sts_simulator::Simulator;

    use super::*;

    const ROLE_ARN: &str = "arn:aws:iam::222222222222:role/Developer";
    const PROVIDER: &str = "arn:aws:iam::222222222222:saml-provider/Company";

    /// A role that trusts an identity provider, whose assertions are made here.
    pub fn start() -> Result<RoleChain, Box<dyn Error>> {
        let aws = Simulator::new();
        aws.saml_provider(PROVIDER);
        aws.role(ROLE_ARN)
            .trust(format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
                    "Action": "sts:AssumeRoleWithSAML", "Principal": {{"Federated": "{PROVIDER}"}},
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
            PROVIDER,
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
        let role = attribute("Role", &format!("{ROLE_ARN},{PROVIDER}"));
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
}
