//! How two nodes' values are compared without being sent.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The key of one survey: the same for all nodes, used once.
#[derive(Clone, PartialEq, Eq)]
pub struct SurveyKey([u8; 32]);

impl SurveyKey {
    /// Wraps 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for SurveyKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SurveyKey(..)")
    }
}

/// HMAC-SHA256 over a name, a zero byte and a value. Short values cannot be
/// guessed from it without the survey's key, nor compared across surveys.
pub fn keyed_digest(survey_key: &SurveyKey, name: &str, value: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&survey_key.0).expect("HMAC takes keys of any length");
    mac.update(name.as_bytes());
    mac.update(&[0]);
    mac.update(value);
    mac.finalize().into_bytes().into()
}
