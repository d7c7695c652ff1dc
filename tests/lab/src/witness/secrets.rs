//! Invariant 10: secrets are in no log, journal, plan, error or report. Pure: the caller brings the
//! secrets and the texts.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Violation;

/// A value that must not be seen anywhere, with a name to speak of it.
#[derive(Clone)]
pub struct Secret {
    pub name: String,
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({})", self.name)
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SecretFound {
    /// The file, or whatever else names the text.
    pub place: String,
    /// The secret's name, never its value.
    pub secret: String,
}

/// Looks for every secret, as it is and in base64, in texts given as (place, bytes).
pub fn find_secrets<'a>(
    secrets: &[Secret],
    texts: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Vec<SecretFound> {
    let needles: Vec<(&str, [Vec<u8>; 2])> = secrets
        .iter()
        .filter(|secret| !secret.value.is_empty())
        .map(|Secret { name, value }| {
            let encoded = STANDARD.encode(value).trim_end_matches('=').to_owned();
            // The last digit hangs on what follows the secret.
            let whole = encoded.len() - encoded.len().min(1);
            let encoded = encoded.as_bytes()[..whole].to_vec();
            (name.as_str(), [value.clone().into_bytes(), encoded])
        })
        .collect();
    let mut found = Vec::new();
    for (place, text) in texts {
        for (name, forms) in &needles {
            if forms.iter().any(|form| contains(text, form)) {
                found.push(SecretFound { place: place.to_owned(), secret: (*name).to_owned() });
            }
        }
    }
    found
}

fn contains(text: &[u8], form: &[u8]) -> bool {
    !form.is_empty() && text.windows(form.len()).any(|window| window == form)
}

pub(super) fn violations(found: &[SecretFound]) -> Vec<Violation> {
    found
        .iter()
        .map(|SecretFound { place, secret }| Violation {
            invariant: 10,
            at: None,
            nodes: Vec::new(),
            evidence: format!("the secret `{secret}` stands in {place}"),
        })
        .collect()
}
