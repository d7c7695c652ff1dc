//! Sites that take their images from a mirror: what the world calls
//! `quay.io/redhat/quay` is called otherwise there.

use std::collections::BTreeMap;

use super::fields::{Fields, text};
use super::mistake::{Mistake, Trouble};

/// Which registry is mirrored where, both as the beginning of a repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mirrors(BTreeMap<String, String>);

impl Mirrors {
    /// The name at this site of a repository that the catalogue names.
    pub fn mirrored(&self, repository: &str) -> String {
        replaced(repository, self.0.iter()).unwrap_or_else(|| repository.to_owned())
    }

    /// The catalogue's name of a reference that this site uses.
    pub fn unmirrored(&self, reference: &str) -> String {
        let backwards = self.0.iter().map(|(registry, mirror)| (mirror, registry));
        replaced(reference, backwards).unwrap_or_else(|| reference.to_owned())
    }
}

/// `text` with the longest fitting beginning replaced.
fn replaced<'a>(
    text: &str,
    pairs: impl Iterator<Item = (&'a String, &'a String)>,
) -> Option<String> {
    let (rest, new) = pairs
        .filter_map(|(old, new)| {
            let rest = text.strip_prefix(old.as_str())?;
            // `quay.io` is not the beginning of `quay.io.example.com`.
            (rest.is_empty() || rest.starts_with('/')).then_some((rest, new))
        })
        .min_by_key(|(rest, _)| rest.len())?;
    Some(format!("{new}{rest}"))
}

pub(super) fn read(file: &mut Fields, mistakes: &mut Vec<Mistake>) -> Mirrors {
    let Some(section) = file.section_if_any("mirrors", mistakes) else {
        return Mirrors::default();
    };
    let mut mirrors: BTreeMap<String, String> = BTreeMap::new();
    for (registry, value) in section.rest() {
        let path = format!("mirrors.{registry}");
        let Some(prefix) = text(path.clone(), value, mistakes) else { continue };
        if !is_prefix(&registry) || !is_prefix(&prefix) {
            let reason = format!(
                "`{registry}: {prefix}` is not a registry and the repository that mirrors it"
            );
            mistakes.push(Mistake::new(path, Trouble::Syntax { reason }));
            continue;
        }
        if let Some((other, _)) = mirrors.iter().find(|(_, taken)| **taken == prefix) {
            let other = other.clone();
            mistakes.push(Mistake::new(path, Trouble::SameMirror { prefix, other }));
            continue;
        }
        mirrors.insert(registry, prefix);
    }
    Mirrors(mirrors)
}

/// A registry or a repository without scheme, tag, digest or a last `/`.
fn is_prefix(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:/[]".contains(&byte);
    !text.is_empty()
        && text.bytes().all(is_allowed)
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//")
}
