//! `backup`: who backs up, and what is done about the storage.

use quaymaster_proto::NodeName;

use super::ListedNode;
use super::fields::Fields;
use super::mistake::{Mistake, Trouble};
use super::nodes::listed;

/// What a backup in the dark does about the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageBackup {
    /// Copies it into the backup, from directories of the node that backs up.
    Copy,
    /// Runs the program that the agent.yaml of that node names.
    Hook,
}

/// Each is `None` where it is left out, or a mistake was noted.
pub(super) fn read(
    file: &mut Fields,
    nodes: Option<&[ListedNode]>,
    mistakes: &mut Vec<Mistake>,
) -> (Option<NodeName>, Option<StorageBackup>) {
    let Some(mut backup) = file.section_if_any("backup", mistakes) else { return (None, None) };
    let node = backup.text_if_any("node", mistakes);
    let node = node.and_then(|text| listed(backup.at("node"), &text, nodes, mistakes));
    let storage = match backup.text_if_any("storage", mistakes).as_deref() {
        None => None,
        Some("copy") => Some(StorageBackup::Copy),
        Some("hook") => Some(StorageBackup::Hook),
        Some(other) => {
            let (found, expected) = (other.to_owned(), "`copy` or `hook`");
            mistakes
                .push(Mistake::new(backup.at("storage"), Trouble::NoSuchWord { found, expected }));
            None
        }
    };
    backup.finish(mistakes);
    (node, storage)
}
