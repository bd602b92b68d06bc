//! The XML signature of a SAML response.

use bergshamra_dsig::verify::verify_all;
use bergshamra_dsig::{DsigContext, VerifyResult};
use bergshamra_keys::KeysManager;
use bergshamra_keys::loader::load_x509_cert_der;
use roxmltree::Node;

/// Whether a signature by one of the certificates (in DER) covers the assertion: the assertion itself, the response
/// around it, or the whole document. Signatures of other elements do not count. If IDs are not unique, no signature is
/// valid.
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
    // Use only the provider's keys, not those that the signature contains.
    let context = DsigContext::new(keys);
    let results = verify_all(&context, xml).unwrap_or_default();
    results.iter().any(|result| {
        result.all_reference_digests_verified()
            && matches!(result, VerifyResult::Valid { references, .. }
                if references.iter().any(|reference| covering.contains(&reference.uri)))
    })
}
