//! OpenID Connect and SAML identity providers.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};

/// An OpenID Connect identity provider.
pub(crate) struct OidcProvider {
    pub(crate) client_ids: Vec<String>,
    keys: Vec<OidcKey>,
}

/// A public key that verifies tokens.
pub(crate) struct OidcKey {
    /// The key's ID in a key set; `None` for a provider with a single key.
    id: Option<String>,
    pub(crate) key: DecodingKey,
    algorithms: &'static [Algorithm],
}

const RSA: &[Algorithm] = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

impl OidcProvider {
    /// Reads the keys: a JSON Web Key Set, or a public key in PEM form.
    pub(crate) fn new(client_ids: &[&str], keys: &str) -> Result<Self, String> {
        let keys = if keys.trim_start().starts_with('{') {
            from_key_set(keys)?
        } else {
            vec![from_pem(keys)?]
        };
        Ok(Self {
            client_ids: client_ids.iter().map(|id| (*id).to_owned()).collect(),
            keys,
        })
    }

    /// Creates a provider without keys, which cannot verify any token: the simulator does not fetch keys from the
    /// issuer.
    pub(crate) fn without_keys(client_ids: Vec<String>) -> Self {
        Self {
            client_ids,
            keys: Vec::new(),
        }
    }

    /// Returns the key that verifies a token with this header.
    pub(crate) fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&OidcKey> {
        self.keys.iter().find(|key| {
            let is_meant = key.id.is_none() || key.id.as_deref() == id;
            is_meant && key.algorithms.contains(&algorithm)
        })
    }
}

fn from_key_set(json: &str) -> Result<Vec<OidcKey>, String> {
    let set: JwkSet =
        serde_json::from_str(json).map_err(|error| format!("JSON Web Key Set: {error}"))?;
    let keys: Result<Vec<_>, _> = set.keys.iter().map(from_jwk).collect();
    match keys {
        Ok(keys) if keys.is_empty() => Err("JSON Web Key Set: it has no keys".to_owned()),
        keys => keys,
    }
}

fn from_jwk(jwk: &Jwk) -> Result<OidcKey, String> {
    let id = jwk.common.key_id.clone();
    let name = id.clone().unwrap_or_default();
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return Err(format!("key {name:?}: the curve must be P-256 or P-384")),
        },
        _ => return Err(format!("key {name:?}: the type must be RSA or EC")),
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {name:?}: {error}"))?;
    Ok(OidcKey {
        id,
        key,
        algorithms,
    })
}

fn from_pem(pem: &str) -> Result<OidcKey, String> {
    let read = if let Some(algorithms) = algorithms_of_curve(pem) {
        DecodingKey::from_ec_pem(pem.as_bytes()).map(|key| (key, algorithms))
    } else {
        DecodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (key, RSA))
    };
    let (key, algorithms) = read.map_err(|error| {
        format!("it must be an RSA, P-256 or P-384 public key in PEM form, or a JSON Web Key Set: {error}")
    })?;
    Ok(OidcKey {
        id: None,
        key,
        algorithms,
    })
}

/// Returns the algorithms for an elliptic-curve key, by the curve's object identifier in the key.
fn algorithms_of_curve(pem: &str) -> Option<&'static [Algorithm]> {
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let base64: String = lines.flat_map(str::split_whitespace).collect();
    let der = aws_smithy_types::base64::decode(base64).ok()?;
    let has = |id: &[u8]| der.windows(id.len()).any(|window| window == id);
    if has(P256) {
        Some(&[Algorithm::ES256])
    } else if has(P384) {
        Some(&[Algorithm::ES384])
    } else {
        None
    }
}

/// A SAML identity provider.
pub(crate) enum SamlProvider {
    /// The signatures of its assertions are not checked.
    Unsigned,
    #[cfg(feature = "saml-signatures")]
    Signed(SamlMetadata),
}

/// What IAM reads from the metadata document of a SAML identity provider.
#[cfg(feature = "saml-signatures")]
pub(crate) struct SamlMetadata {
    /// The `Issuer` of its assertions.
    pub(crate) entity_id: String,
    /// The certificates that verify its assertions, in DER.
    pub(crate) certificates: Vec<Vec<u8>>,
}

#[cfg(feature = "saml-signatures")]
impl SamlMetadata {
    /// Reads a metadata document.
    pub(crate) fn read(xml: &str) -> Result<Self, String> {
        let document = roxmltree::Document::parse(xml).map_err(|error| error.to_string())?;
        let named = |name: &'static str| {
            let nodes = document.descendants();
            nodes.filter(move |node| node.is_element() && node.tag_name().name() == name)
        };
        let entity = named("EntityDescriptor").next();
        let entity_id = entity
            .and_then(|entity| entity.attribute("entityID"))
            .ok_or("it has no EntityDescriptor with an entityID")?;
        let certificates = named("X509Certificate")
            .filter(|certificate| {
                let around = || certificate.ancestors();
                around().any(|node| node.tag_name().name() == "IDPSSODescriptor")
                    && !around().any(|node| node.attribute("use") == Some("encryption"))
            })
            .filter_map(|certificate| certificate.text())
            .map(|text| {
                let base64: String = text.split_whitespace().collect();
                aws_smithy_types::base64::decode(base64)
                    .map_err(|_| "an X509Certificate is not base64".to_owned())
            })
            .collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err("its IDPSSODescriptor has no X509Certificate for signing".to_owned());
        }
        for der in &certificates {
            bergshamra_keys::loader::load_x509_cert_der(der)
                .map_err(|error| format!("an X509Certificate is not valid: {error}"))?;
        }
        Ok(Self {
            entity_id: entity_id.to_owned(),
            certificates,
        })
    }
}
