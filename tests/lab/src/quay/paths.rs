//! Where a path inside the container lies for this process: as it is in a real container, through
//! the binds under the stand-in engine. Pure.

use std::path::{Path, PathBuf};

use super::settings::Bind;

#[derive(Clone, Debug)]
pub(crate) struct Paths {
    binds: Vec<Bind>,
    root: Option<PathBuf>,
}

impl Paths {
    pub(crate) fn new(binds: Vec<Bind>, root: Option<String>) -> Self {
        Self { binds, root: root.map(PathBuf::from) }
    }

    /// The deepest bind that holds `inside` decides, as mounts do.
    pub(crate) fn outside(&self, inside: &str) -> PathBuf {
        let inside = Path::new(inside);
        self.binds
            .iter()
            .filter_map(|bind| {
                let rest = inside.strip_prefix(&bind.target).ok()?;
                Some((bind.target.len(), Path::new(&bind.source).join(rest)))
            })
            .max_by_key(|(depth, _)| *depth)
            .map_or_else(|| inside.to_owned(), |(_, outside)| outside)
    }

    /// A file in the container's /tmp.
    pub(super) fn temporary(&self, name: &str) -> PathBuf {
        self.root.as_deref().unwrap_or_else(|| Path::new("/tmp")).join(name)
    }

    /// Whether something is mounted at `inside`. In a real container there are no binds to ask and
    /// the answer is left to the disk.
    pub(super) fn is_mounted(&self, inside: &str) -> bool {
        self.root.is_none()
            || self.binds.iter().any(|bind| Path::new(inside).starts_with(&bind.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_bind_decides() {
        let bind = |source: &str, target: &str| Bind {
            source: source.into(),
            target: target.into(),
            read_only: false,
        };
        let binds = vec![bind("/lab/shared", "/var/quay-db"), bind("/lab/deep", "/var/quay-db/x")];
        let paths = Paths::new(binds, Some("/lab/tmp".into()));
        assert_eq!(paths.outside("/var/quay-db/quay.db"), Path::new("/lab/shared/quay.db"));
        assert_eq!(paths.outside("/var/quay-db/x/y"), Path::new("/lab/deep/y"));
        assert_eq!(paths.outside("/var/quay-dbx"), Path::new("/var/quay-dbx"));
        assert_eq!(paths.temporary("a.sock"), Path::new("/lab/tmp/a.sock"));
        assert!(!paths.is_mounted("/datastorage"));
    }
}
