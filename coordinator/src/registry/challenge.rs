//! What a registry says of its logins, and what a token allows. Pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Of a `WWW-Authenticate: Bearer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Where a client would fetch its token. It is built from the registry's settings, and so leads
    /// to the load balancer (quay-facts 8.2).
    pub realm: String,
    /// Whom the token is for: `SERVER_HOSTNAME`.
    pub service: String,
}

impl Challenge {
    /// Out of the header's value; `None` = another kind of login.
    pub fn parse(header: &str) -> Option<Self> {
        let fields = header.strip_prefix("Bearer ")?;
        let field = |name: &str| {
            let at = fields.split(',').map(str::trim).find_map(|field| {
                field.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')
            })?;
            Some(at.to_owned())
        };
        Some(Self { realm: field("realm")?, service: field("service").unwrap_or_default() })
    }

    /// The host and port of the realm.
    pub fn realm_authority(&self) -> Option<&str> {
        let (_, rest) = self.realm.split_once("://")?;
        rest.split('/').next()
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    access: Vec<Claim>,
}

#[derive(Deserialize)]
struct Claim {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    actions: Vec<String>,
}

/// What a token allows on `repository`: Quay gives less than was asked for without a word
/// (quay-facts 8.2). `None` = the token is no JWT, and does not say.
pub fn granted(token: &str, repository: &str) -> Option<BTreeSet<String>> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let Claims { access } = serde_json::from_slice(&claims).ok()?;
    let of_repository =
        access.into_iter().filter(|claim| claim.kind == "repository" && claim.name == repository);
    Some(of_repository.flat_map(|claim| claim.actions).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_challenge_is_understood() {
        let header = "Bearer realm=\"http://localhost:8080/v2/auth\",service=\"localhost:8080\"";
        let challenge = Challenge::parse(header).unwrap();
        assert_eq!(challenge.service, "localhost:8080");
        assert_eq!(challenge.realm_authority(), Some("localhost:8080"));
        assert_eq!(Challenge::parse("Basic realm=\"lab\""), None);
    }

    #[test]
    fn a_token_says_what_it_allows() {
        let claims = r#"{"aud":"x","access":[{"type":"repository","name":"a/b","actions":["pull"]},
            {"type":"repository","name":"a/c","actions":["push","pull"]}]}"#;
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(granted(&token, "a/b"), Some(["pull".to_owned()].into()));
        assert_eq!(granted(&token, "a/d"), Some([].into()));
        assert_eq!(granted("opaque", "a/b"), None);
        assert_eq!(granted("e30.e30.x", "a/b"), Some([].into()));
    }
}
