//! Identity providers: OpenID Connect and SAML.

use super::call::{Answer, Call, already_exists, no_such_entity, violation};
use super::render::date;
use crate::arn;
use crate::iam::{OidcProvider, SamlProvider, SamlRecord};
use crate::protocol::{Element, ErrorResponse};

pub(super) fn create_saml(call: &mut Call<'_>) -> Answer {
    let name = call.name("Name", 128)?;
    let arn = call.arn(&format!("saml-provider/{name}"));
    call.authorize(&arn)?;
    let metadata = metadata(call)?;
    if call.accounts.saml_providers.contains_key(&arn) {
        return Err(already_exists(format!(
            "SAMLProvider {name} already exists."
        )));
    }
    put_saml(call, arn, metadata)
}

/// Creates or replaces a provider.
fn put_saml(call: &mut Call<'_>, arn: String, metadata: String) -> Answer {
    let provider = provider(&metadata)?;
    let record = SamlRecord {
        metadata,
        created: call.now,
    };
    let records = &mut call.accounts.directory.saml_providers;
    records.insert(arn.clone(), record);
    call.accounts.saml_providers.insert(arn.clone(), provider);
    Ok(Some(vec![Element::text("SAMLProviderArn", arn)]))
}

/// Reads the certificates that sign a provider's assertions from its metadata.
#[cfg(feature = "saml-signatures")]
fn provider(metadata: &str) -> Result<SamlProvider, ErrorResponse> {
    crate::iam::SamlMetadata::read(metadata)
        .map(SamlProvider::Signed)
        .map_err(|error| ErrorResponse::new(400, "InvalidInput", error))
}

/// Fails, because without signatures any assertion would be accepted.
#[cfg(not(feature = "saml-signatures"))]
fn provider(_: &str) -> Result<SamlProvider, ErrorResponse> {
    let message = "this simulator is built without the feature saml-signatures";
    Err(ErrorResponse::new(501, "NotImplemented", message))
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

/// Returns the ARN in the request, if the provider exists and the caller may perform the operation on it.
fn authorized(call: &Call<'_>) -> Result<String, ErrorResponse> {
    let arn = call.required("SAMLProviderArn")?;
    call.authorize(arn)?;
    if arn::account_of(arn) == call.account && call.accounts.saml_providers.contains_key(arn) {
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
    let metadata = metadata(call)?;
    put_saml(call, arn, metadata)
}

pub(super) fn delete_saml(call: &mut Call<'_>) -> Answer {
    let arn = authorized(call)?;
    call.accounts.directory.saml_providers.remove(&arn);
    call.accounts.saml_providers.remove(&arn);
    Ok(None)
}

pub(super) fn list_saml(call: &mut Call<'_>) -> Answer {
    call.authorize(&call.arn("saml-provider/*"))?;
    let arns = call.accounts.saml_providers.keys();
    Ok(Some(vec![list(call, "SAMLProviderList", arns)]))
}

/// Returns the list of those of these ARNs that are in the caller's account, sorted.
fn list<'a>(
    call: &Call<'_>,
    name: &'static str,
    arns: impl Iterator<Item = &'a String>,
) -> Element {
    let own = arns.map(String::as_str);
    let mut arns: Vec<&str> = own
        .filter(|arn| arn::account_of(arn) == call.account)
        .collect();
    arns.sort_unstable();
    let members = arns
        .into_iter()
        .map(|arn| Element::parent("member", vec![Element::text("Arn", arn)]));
    Element::parent(name, members.collect())
}

pub(super) fn create_oidc(call: &mut Call<'_>) -> Answer {
    let url = call.required("Url")?;
    let issuer = url.strip_prefix("https://").filter(|host| !host.is_empty());
    let issuer =
        issuer.ok_or_else(|| ErrorResponse::validation("Invalid Open ID Connect Provider URL"))?;
    let arn = call.arn(&format!("oidc-provider/{issuer}"));
    call.authorize(&arn)?;
    if call.accounts.oidc_providers.contains_key(&arn) {
        return Err(already_exists(format!(
            "Provider with url {url} already exists."
        )));
    }
    let client_ids = call.parameters.list("ClientIDList.member");
    let provider = OidcProvider::without_keys(client_ids);
    call.accounts.oidc_providers.insert(arn.clone(), provider);
    Ok(Some(vec![Element::text("OpenIDConnectProviderArn", arn)]))
}

/// Returns the provider that the request names, if the caller may perform the operation on it.
fn authorized_oidc<'c>(call: &'c mut Call<'_>) -> Result<&'c mut OidcProvider, ErrorResponse> {
    let arn = call.required("OpenIDConnectProviderArn")?;
    call.authorize(arn)?;
    let account = call.account;
    let provider = call.accounts.oidc_providers.get_mut(arn);
    let provider = provider.filter(|_| arn::account_of(arn) == account);
    provider
        .ok_or_else(|| no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}")))
}

pub(super) fn get_oidc(call: &mut Call<'_>) -> Answer {
    let client_ids = authorized_oidc(call)?.client_ids.clone();
    let client_ids = client_ids.into_iter().map(|id| Element::text("member", id));
    let arn = call.required("OpenIDConnectProviderArn")?;
    let (_, url) = arn.split_once("oidc-provider/").unwrap_or_default();
    Ok(Some(vec![
        Element::text("Url", url),
        Element::parent("ClientIDList", client_ids.collect()),
    ]))
}

pub(super) fn delete_oidc(call: &mut Call<'_>) -> Answer {
    authorized_oidc(call)?;
    let arn = call.required("OpenIDConnectProviderArn")?;
    call.accounts.oidc_providers.remove(arn);
    Ok(None)
}

pub(super) fn list_oidc(call: &mut Call<'_>) -> Answer {
    call.authorize(&call.arn("oidc-provider/*"))?;
    let arns = call.accounts.oidc_providers.keys();
    Ok(Some(vec![list(call, "OpenIDConnectProviderList", arns)]))
}

pub(super) fn add_client_id(call: &mut Call<'_>) -> Answer {
    let id = call.required("ClientID")?;
    let client_ids = &mut authorized_oidc(call)?.client_ids;
    if !client_ids.iter().any(|known| known == id) {
        client_ids.push(id.to_owned());
    }
    Ok(None)
}

pub(super) fn remove_client_id(call: &mut Call<'_>) -> Answer {
    let id = call.required("ClientID")?;
    authorized_oidc(call)?
        .client_ids
        .retain(|known| known != id);
    Ok(None)
}
