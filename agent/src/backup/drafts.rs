//! What is not whole yet: whose it is, by its name alone, and the end of what an
//! agent left behind that was killed. It holds half a dump, copies of a config
//! directory, and the login of a program that ran.

use std::path::Path;

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

/// Removes the drafts of this agent's own node; their names. One that cannot be
/// removed is tried again next time.
pub(crate) fn sweep(directory: &Path, owner: Owner<'_>) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut swept = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner.is_draft_of(&name) && std::fs::remove_dir_all(entry.path()).is_ok() {
            swept.push(name);
        }
    }
    swept
}
