//! SAML identity providers.

use super::call::{Answer, Call, already_exists, no_such_entity, violation};
use super::render::date;
use crate::arn;
use crate::iam::SamlRecord;
use crate::protocol::{Element, ErrorResponse};

pub(super) fn create_saml(call: &mut Call<'_>) -> Answer {
    let name = call.name("Name", 128)?;
    let arn = call.arn(&format!("saml-provider/{name}"));
    call.authorize(&arn)?;
    let metadata = metadata(call)?;
    if call.accounts.has_saml_provider(&arn) {
        return Err(already_exists(format!(
            "SAMLProvider {name} already exists."
        )));
    }
    let record = SamlRecord {
        metadata,
        created: call.now,
    };
    call.accounts
        .directory
        .saml_providers
        .insert(arn.clone(), record);
    call.accounts.add_saml_provider(arn.clone());
    Ok(Some(vec![Element::text("SAMLProviderArn", arn)]))
}

fn metadata(call: &Call<'_>) -> Result<String, ErrorResponse> {
    let text = call.required("SAMLMetadataDocument")?;
    let length = text.chars().count();
    if !(1000..=10_000_000).contains(&length) {
        let rule = "Member must have length between 1000 and 10000000";
        return Err(violation("of this length", "SAMLMetadataDocument", rule));
    }
    Ok(text.to_owned())
}

/// Returns the ARN in the request, if there is such a provider and the caller may call the operation on it.
fn authorized(call: &Call<'_>) -> Result<String, ErrorResponse> {
    let arn = call.required("SAMLProviderArn")?;
    call.authorize(arn)?;
    if arn::account_of(arn) == call.account && call.accounts.has_saml_provider(arn) {
        return Ok(arn.to_owned());
    }
    Err(no_such_entity(format!(
        "SAMLProvider {arn} does not exist."
    )))
}

pub(super) fn get_saml(call: &mut Call<'_>) -> Answer {
    let arn = authorized(call)?;
    let mut elements = Vec::new();
    if let Some(record) = call.accounts.directory.saml_providers.get(&arn) {
        elements.push(Element::text("SAMLMetadataDocument", &*record.metadata));
        elements.push(date("CreateDate", record.created));
    }
    Ok(Some(elements))
}

pub(super) fn update_saml(call: &mut Call<'_>) -> Answer {
    let arn = authorized(call)?;
    let record = SamlRecord {
        metadata: metadata(call)?,
        created: call.now,
    };
    call.accounts
        .directory
        .saml_providers
        .insert(arn.clone(), record);
    Ok(Some(vec![Element::text("SAMLProviderArn", arn)]))
}

pub(super) fn delete_saml(call: &mut Call<'_>) -> Answer {
    let arn = authorized(call)?;
    call.accounts.directory.saml_providers.remove(&arn);
    call.accounts.remove_saml_provider(&arn);
    Ok(None)
}

pub(super) fn list_saml(call: &mut Call<'_>) -> Answer {
    call.authorize(&call.arn("saml-provider/*"))?;
    let mut arns: Vec<&str> = call.accounts.saml_providers_of(call.account).collect();
    arns.sort_unstable();
    let listed = arns
        .into_iter()
        .map(|arn| Element::parent("member", vec![Element::text("Arn", arn)]))
        .collect();
    Ok(Some(vec![Element::parent("SAMLProviderList", listed)]))
}
