//! The XML signature of a SAML response.

use bergshamra_dsig::verify::verify_all;
use bergshamra_dsig::{DsigContext, VerifyResult};
use bergshamra_keys::KeysManager;
use bergshamra_keys::loader::load_x509_cert_der;
use roxmltree::Node;

/// Whether a signature by one of the certificates, which are in DER, covers the assertion: by itself, with the
/// response around it, or with the whole document. Signatures of anything else, which may be in the document, do
/// not count. IDs are unique, or no signature is valid.
pub(super) fn is_valid(xml: &str, assertion: Node<'_, '_>, certificates: &[Vec<u8>]) -> bool {
    let covering: Vec<String> = [assertion, assertion.document().root_element()]
        .iter()
        .filter_map(|element| element.attribute("ID"))
        .map(|id| format!("#{id}"))
        .chain([String::new()])
        .collect();
    let mut keys = KeysManager::new();
    keys.add_keys(
        certificates
            .iter()
            .filter_map(|der| load_x509_cert_der(der).ok()),
    );
    // With the keys of the provider only, not those that the signature brings along.
    let context = DsigContext::new(keys);
    let results = verify_all(&context, xml).unwrap_or_default();
    results.iter().any(|result| {
        result.all_reference_digests_verified()
            && matches!(result, VerifyResult::Valid { references, .. }
                if references.iter().any(|reference| covering.contains(&reference.uri)))
    })
}
