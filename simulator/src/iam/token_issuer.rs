//! [`TokenIssuer`]: an account's issuer of OpenID Connect tokens, with which its users and roles prove their identity
//! to services outside AWS ("outbound identity federation").

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use aws_smithy_types::base64;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;
use uuid::Uuid;

/// The algorithms of GetWebIdentityToken, with the IDs of their keys.
const ALGORITHMS: [(Algorithm, &str); 2] =
    [(Algorithm::RS256, "RSA_0"), (Algorithm::ES384, "EC384_0")];

pub(crate) struct TokenIssuer {
    /// `https://<uuid>.tokens.sts.global.api.aws`.
    pub(crate) url: String,
    pub(crate) is_enabled: bool,
    /// The keys for [`ALGORITHMS`], in that order.
    keys: [EncodingKey; 2],
}

impl TokenIssuer {
    /// Creates an issuer with new keys; `None` if the keys cannot be generated.
    pub(crate) fn new() -> Option<Self> {
        let rsa = AsDer::<Pkcs8V1Der<'_>>::as_der(&KeyPair::generate(KeySize::Rsa2048).ok()?);
        let ec =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new());
        let keys = [
            EncodingKey::from_rsa_pem(pem(rsa.ok()?.as_ref()).as_bytes()).ok()?,
            EncodingKey::from_ec_pem(pem(ec.ok()?.as_ref()).as_bytes()).ok()?,
        ];
        Some(Self {
            url: format!("https://{}.tokens.sts.global.api.aws", Uuid::new_v4()),
            is_enabled: true,
            keys,
        })
    }

    /// Returns a signed token with these claims; `None` if the issuer does not support `algorithm`.
    pub(crate) fn sign(&self, algorithm: Algorithm, claims: &Value) -> Option<String> {
        let mut keys = ALGORITHMS.iter().zip(&self.keys);
        let ((_, id), key) = keys.find(|((of_key, _), _)| *of_key == algorithm)?;
        let mut header = Header::new(algorithm);
        header.kid = Some((*id).to_owned());
        jsonwebtoken::encode(&header, claims, key).ok()
    }

    /// Returns the JSON Web Key Set that the issuer publishes.
    pub(crate) fn key_set(&self) -> Option<String> {
        let keys = ALGORITHMS.iter().zip(&self.keys);
        let keys = keys.map(|((algorithm, id), key)| {
            let mut key = Jwk::from_encoding_key(key, *algorithm).ok()?;
            key.common.key_id = Some((*id).to_owned());
            Some(key)
        });
        let keys = keys.collect::<Option<_>>()?;
        serde_json::to_string(&JwkSet { keys }).ok()
    }
}

/// Returns a private key in PEM form.
fn pem(pkcs8: &[u8]) -> String {
    let key = base64::encode(pkcs8);
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")
}
