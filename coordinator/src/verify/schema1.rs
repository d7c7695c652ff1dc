//! A signed schema 1 manifest, as Docker pushes it to a registry of the old model: the signature of
//! a key that is made on the fly, as Docker's own was for most. Pure but for the key.
//!
//! Quay checks the signature (QN image/docker/schema1.py); its digest is that of what is signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::image::{Blob, CREATED, Document, Image, PLATFORMS, layer};
use super::{digest, hex};
use crate::registry::media_type::SIGNED_SCHEMA_1;

/// The key of one verification.
pub struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Key").finish_non_exhaustive()
    }
}

/// Random numbers or the curve do not work on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no key can be made on this machine")]
pub struct NoKey;

/// The DER form of a P-256 public key, up to the point itself.
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl Key {
    /// A fresh one.
    pub fn make() -> Result<Self, NoKey> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| NoKey)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair =
            EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).map_err(|_| NoKey)?;
        Ok(Self { pair, random })
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>, NoKey> {
        let signature = self.pair.sign(&self.random, text.as_bytes());
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| NoKey)
    }

    fn jwk(&self) -> Value {
        // 0x04, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
        json!({
            "crv": "P-256",
            "kid": fingerprint(point),
            "kty": "EC",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// Twelve random digits: what makes the images of one verification its own.
pub fn nonce() -> Result<String, NoKey> {
    let mut bytes = [0; 6];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoKey)?;
    Ok(hex(&bytes))
}

/// As libtrust names a key: 30 bytes of its digest in base 32, in groups of four.
fn fingerprint(point: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::new().chain_update(SPKI).chain_update(point).finalize();
    let groups = digest[..30].chunks(5).map(|five| {
        let bits = five.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let letter =
            |at: u32| char::from(ALPHABET[usize::from((bits >> (35 - 5 * at)) as u8 & 31)]);
        let eight: String = (0..8).map(letter).collect();
        format!("{}:{}", &eight[..4], &eight[4..])
    });
    groups.collect::<Vec<_>>().join(":")
}

/// An image of one layer under a tag of a repository.
pub fn image(nonce: &str, repository: &str, tag: &str, key: &Key) -> Result<Image, NoKey> {
    let layer = layer(nonce, PLATFORMS[0]);
    let id = hex(&Sha256::digest(format!("{nonce} {}", layer.digest)));
    let v1 = json!({
        "architecture": "amd64",
        "created": CREATED,
        "config": { "Cmd": ["/quaymaster-verify"] },
        "container_config": { "Cmd": ["/quaymaster-verify"] },
        "id": id,
        "os": "linux",
    });
    let payload = json!({
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{ "blobSum": layer.digest }],
        "history": [{ "v1Compatibility": v1.to_string() }],
    })
    .to_string();
    let signed = sign(&payload, key)?;
    let manifest =
        Document { media_type: SIGNED_SCHEMA_1, digest: digest(payload.as_bytes()), bytes: signed };
    Ok(Image { manifest, blobs: vec![Blob { ..layer }] })
}

/// Puts the signature into the JSON, before its last brace.
fn sign(payload: &str, key: &Key) -> Result<Vec<u8>, NoKey> {
    let head = payload.strip_suffix('}').ok_or(NoKey)?;
    let protected = json!({
        "formatLength": head.len(),
        "formatTail": URL_SAFE_NO_PAD.encode("}"),
        "time": CREATED,
    });
    let protected = URL_SAFE_NO_PAD.encode(protected.to_string());
    let signature = key.sign(&format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload)))?;
    let signatures = json!([{
        "header": { "jwk": key.jwk(), "alg": "ES256" },
        "signature": URL_SAFE_NO_PAD.encode(signature),
        "protected": protected,
    }]);
    Ok(format!("{head},\"signatures\":{signatures}}}").into_bytes())
}

#[derive(Deserialize)]
struct Signed {
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

/// What is signed, out of a signed manifest; `None` = it carries no signature that says.
pub fn payload(signed: &[u8]) -> Option<Vec<u8>> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let Signed { signatures } = serde_json::from_slice(signed).ok()?;
    let protected = decode(&signatures.first()?.protected)?;
    let Protected { format_length, format_tail } = serde_json::from_slice(&protected).ok()?;
    let mut payload = signed.get(..format_length)?.to_vec();
    payload.extend(decode(&format_tail)?);
    Some(payload)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_signature_holds_over_what_is_signed() {
        let key = Key::make().unwrap();
        let Image { manifest, .. } = image("n", "a/b", "t", &key).unwrap();
        let payload = payload(&manifest.bytes).unwrap();
        assert_eq!(digest(&payload), manifest.digest);
        let read: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        let of = &read["signatures"][0];
        let signature = URL_SAFE_NO_PAD.decode(of["signature"].as_str().unwrap()).unwrap();
        let text =
            format!("{}.{}", of["protected"].as_str().unwrap(), URL_SAFE_NO_PAD.encode(&payload));
        let point = key.pair.public_key().as_ref();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(text.as_bytes(), &signature)
            .unwrap();
        let kid = of["header"]["jwk"]["kid"].as_str().unwrap();
        assert_eq!(kid.len(), 59);
    }

    /// What skopeo pushed to a real Quay, and its digest there (quay-observed,
    /// pull-migrated-t1).
    #[test]
    fn the_digest_of_a_recorded_manifest_is_that_of_its_payload() {
        let recorded = include_bytes!("schema1/recorded.json");
        let expected = "sha256:12f2a70f6f1f8817b5c47e3f6cb1d5d4b5c8fca4f5c7a9dc5e58ae44bb455110";
        assert_eq!(digest(&payload(recorded).unwrap()), expected);
    }
}
