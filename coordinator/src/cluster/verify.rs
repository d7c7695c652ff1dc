//! `verify`: as whom and where a verification pushes and pulls.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::fields::Fields;
use super::mistake::{Mistake, Trouble};

/// As whom and where a verification pushes and pulls. Everything may be left out; what cannot be
/// checked then is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifySettings {
    /// A Docker `config.json` with the login of a robot. `None` = nobody logs in.
    pub credentials: Option<PathBuf>,
    /// Where it pushes: a repository of its own.
    pub repository: String,
    /// The name by which clients know the registry. `None` = the nodes alone are asked.
    pub public: Option<PublicName>,
    /// Who stands behind the registry's certificate (PEM). `None` = whom this machine trusts.
    pub ca: Option<PathBuf>,
    /// Repositories whose tags and images are compared before and after.
    pub samples: Vec<String>,
}

impl Default for VerifySettings {
    fn default() -> Self {
        let repository = "quaymaster/verify".to_owned();
        Self { credentials: None, repository, public: None, ca: None, samples: Vec::new() }
    }
}

/// `http(s)://host[:port]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicName {
    scheme: String,
    authority: String,
}

/// A text that is no such name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not a registry such as `https://registry.example.com`")]
pub struct InvalidPublicName {
    text: String,
}

impl PublicName {
    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host, and port where it was given.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Without its port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => &self.authority,
        }
    }
}

impl fmt::Display for PublicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.authority)
    }
}

impl FromStr for PublicName {
    type Err = InvalidPublicName;

    fn from_str(text: &str) -> Result<Self, InvalidPublicName> {
        let invalid = || InvalidPublicName { text: text.to_owned() };
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        let is_good = matches!(scheme, "http" | "https")
            && !authority.is_empty()
            && authority.bytes().all(is_fit);
        if !is_good {
            return Err(invalid());
        }
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_ascii_lowercase() })
    }
}

pub(super) fn read(file: &mut Fields, base: &Path, mistakes: &mut Vec<Mistake>) -> VerifySettings {
    let default = VerifySettings::default();
    let Some(mut verify) = file.section_if_any("verify", mistakes) else { return default };
    let mut path = |key| verify.text_if_any(key, mistakes).map(|path| base.join(path));
    let (credentials, ca) = (path("credentials"), path("ca"));
    let repository = verify.text_if_any("repository", mistakes).unwrap_or(default.repository);
    let public = verify.parsed_if_any("public", mistakes);
    let samples = verify.texts("samples", mistakes);
    let named = samples.iter().enumerate().map(|(at, name)| (format!("samples[{at}]"), name));
    for (key, name) in named.chain([("repository".to_owned(), &repository)]) {
        if !is_repository(name) {
            let reason = format!("`{name}` is not a repository such as `organization/name`");
            mistakes.push(Mistake::new(verify.at(&key), Trouble::Syntax { reason }));
        }
    }
    verify.finish(mistakes);
    VerifySettings { credentials, repository, public, ca, samples }
}

/// Before 3.6 Quay knows no names of more than two parts (quay-facts 8.2).
fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
            })
    };
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() == 2 && parts.into_iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::super::Cluster;
    use super::*;

    fn parse(verify: &str) -> Result<VerifySettings, String> {
        let text = format!(
            "version: 1\ncluster: prod\ntls: {{ ca: a, certificate: b, key: c }}\n\
             nodes:\n  - {{ name: quay-1, address: 10.0.0.11 }}\n{verify}"
        );
        let cluster = Cluster::parse(&text, Path::new("/etc/quaymaster"));
        cluster.map(|cluster| cluster.verify).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_may_be_left_out() {
        assert_eq!(parse(""), Ok(VerifySettings::default()));
        let all = parse(
            "verify: { credentials: robot.json, repository: ops/verify, ca: registry.crt, \
             public: 'https://Registry.example.com:8443/', samples: [org/app] }",
        )
        .unwrap();
        assert_eq!(all.credentials.as_deref(), Some(Path::new("/etc/quaymaster/robot.json")));
        assert_eq!(all.repository, "ops/verify");
        let public = all.public.unwrap();
        assert_eq!(public.to_string(), "https://registry.example.com:8443");
        assert_eq!((public.scheme(), public.host()), ("https", "registry.example.com"));
        assert_eq!(all.samples, ["org/app"]);
    }

    #[test]
    fn mistakes_are_told_by_path() {
        let told = parse(
            "verify: { repository: alone, public: registry, samples: [A/b], password: sesame }",
        );
        insta::assert_snapshot!(told.unwrap_err(), @r"
        the cluster file has 4 mistakes
          verify.public: `registry` is not a registry such as `https://registry.example.com`
          verify.samples[0]: `A/b` is not a repository such as `organization/name`
          verify.repository: `alone` is not a repository such as `organization/name`
          verify.password: unknown key; known here: credentials, ca, repository, public, samples
        ");
    }
}
