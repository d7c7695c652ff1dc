//! What is not whole yet: whose it is, by its name alone, and the end of what an
//! agent left behind that was killed. It holds half a dump, copies of a config
//! directory, and the login of a program that ran.

use std::path::{Path, PathBuf};

use quaymaster_proto::{ClusterName, NodeName, RunId};

/// What a directory that is not whole yet is called at its end.
const DRAFT: &str = ".draft";

/// Whose agent: nodes may share one directory of backups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) cluster: &'a ClusterName,
    pub(crate) node: &'a NodeName,
}

impl Owner<'_> {
    /// A draft's name; none of its parts holds a dot.
    pub(super) fn draft(self, run: RunId, what: &str) -> String {
        format!("{run}.{}.{}.{what}{DRAFT}", self.cluster, self.node)
    }

    fn is_draft_of(self, name: &str) -> bool {
        let Some(name) = name.strip_suffix(DRAFT) else { return false };
        let parts: Vec<&str> = name.split('.').collect();
        matches!(parts.as_slice(), [_, cluster, node, _]
            if *cluster == self.cluster.as_str() && *node == self.node.as_str())
    }
}

/// The drafts of this agent's own node.
pub(crate) fn left(directory: &Path, owner: Owner<'_>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| owner.is_draft_of(&name.to_string_lossy()))
    };
    entries.flatten().map(|entry| entry.path()).filter(is_ours).collect()
}

/// Removes drafts, which may hold a million files; those that it has removed.
/// One that cannot be is tried again next time.
pub(crate) fn sweep(drafts: Vec<PathBuf>) -> Vec<PathBuf> {
    drafts.into_iter().filter(|path| std::fs::remove_dir_all(path).is_ok()).collect()
}
