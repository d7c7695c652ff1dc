//! Tokens: what one allows, and whether one is ours. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What Quay signs with lies in the database that all nodes share; here it is a word.
const SIGNED_WITH: &str = "the lab's registry";

/// Out of `Authorization: Basic`.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::quay) struct Login {
    pub(in crate::quay) user: String,
    pub(in crate::quay) password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    pub(in crate::quay) fn of(authorization: &str) -> Option<Self> {
        let pair = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

/// `repository:namespace/name:push,pull`
pub(super) fn scope(text: &str) -> Option<(String, Vec<String>)> {
    let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
    Some((name.to_owned(), actions.split(',').map(str::to_owned).collect()))
}

/// A token that allows so much on one repository.
pub(super) fn issue(service: &str, user: &str, repository: Option<(&str, &[String])>) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let access: Vec<Value> = repository
        .iter()
        .map(|(name, actions)| json!({ "type": "repository", "name": name, "actions": actions }))
        .collect();
    let header = encode(&json!({ "typ": "JWT", "alg": "RS256" }));
    let claims = encode(&json!({ "aud": service, "sub": user, "access": access }));
    let signed = format!("{header}.{claims}");
    format!("{signed}.{}", signature(&signed))
}

fn signature(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{SIGNED_WITH} {text}")))
}

/// What a token of ours allows on a repository; `None` = it is none of ours.
pub(super) fn allows(authorization: &str, repository: &str) -> Option<Vec<String>> {
    let (signed, found) = authorization.strip_prefix("Bearer ")?.rsplit_once('.')?;
    if signature(signed) != found {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let access = claims["access"].as_array()?;
    let of = |claim: &&Value| claim["name"] == repository;
    let actions = access.iter().filter(of).flat_map(|claim| claim["actions"].as_array()).flatten();
    Some(actions.filter_map(|action| action.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_ours_says_what_it_allows() {
        let actions = ["push".to_owned()];
        let token = issue("quay", "lab+robot", Some(("a/b", &actions)));
        assert_eq!(allows(&format!("Bearer {token}"), "a/b").unwrap(), ["push"]);
        assert_eq!(allows(&format!("Bearer {token}"), "a/c").unwrap(), [""; 0]);
        assert_eq!(allows(&format!("Bearer {token}x"), "a/b"), None);
        assert_eq!(scope("repository:a/b:push,pull").unwrap().1, ["push", "pull"]);
    }
}
