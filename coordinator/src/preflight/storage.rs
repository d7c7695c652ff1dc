//! The storage beside the database: whether anything is kept of it, and whether
//! what cluster.yaml wants can be done. Nothing is chosen for an operator: to
//! copy terabytes in the dark, or to keep nothing of them, is theirs to say.

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use quaymaster_proto::storage::{HookFooting, StorageLocation, StoragePlace};
use serde::Serialize;

use super::Code;
use crate::cluster::StorageBackup;
use crate::plan::situation::Situation;

/// What stands against what is done about the storage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum StorageFinding {
    /// Nobody said what is to be kept of it.
    #[error(
        "nothing is kept of the storage ({}) in this window; {}",
        .locations.join(", "),
        newest_backup(*.newest)
    )]
    NotBackedUp {
        /// Each, in words.
        locations: Vec<String>,
        /// When the newest backup ended that any agent knows of.
        newest: Option<Timestamp>,
    },
    /// It is to be copied, and lies in no directory.
    #[error("{node} is to copy the storage, and location `{location}` is kept by {driver}")]
    NotLocal {
        /// Which.
        node: NodeName,
        /// As config.yaml calls it.
        location: String,
        /// Quay's name of it.
        driver: String,
    },
    /// It is to be copied, and the node does not see it.
    #[error("{node} is to copy the storage, and does not see it: {problem}")]
    NotSeen {
        /// Which.
        node: NodeName,
        /// Why.
        problem: String,
    },
    /// A program is to be run, and there is none.
    #[error("{node} is to run the storage's hook, and {problem}")]
    HookMissing {
        /// Which.
        node: NodeName,
        /// Why.
        problem: String,
    },
}

fn newest_backup(newest: Option<Timestamp>) -> String {
    match newest {
        Some(newest) => format!("the newest backup known is of {newest:.0}"),
        None => "no agent knows of a backup".to_owned(),
    }
}

impl StorageFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NotBackedUp { .. } => Code::StorageNotBackedUp,
            Self::NotLocal { .. } => Code::StorageNotLocal,
            Self::NotSeen { .. } => Code::StorageNotSeen,
            Self::HookMissing { .. } => Code::StorageHookMissing,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NotBackedUp { .. } => None,
            Self::NotLocal { node, .. }
            | Self::NotSeen { node, .. }
            | Self::HookMissing { node, .. } => Some(node),
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::NotBackedUp { .. } => {
                "say in cluster.yaml what is to be kept: backup: { storage: copy }, or hook; or \
                 where it is: plan --waive storage-not-backed-up --because WORDS"
                    .to_owned()
            }
            Self::NotLocal { .. } => {
                "let backup.storage in cluster.yaml be `hook`, or leave it out and waive \
                 storage-not-backed-up"
                    .to_owned()
            }
            Self::NotSeen { .. } => {
                "name a node that has the storage mounted under backup.node in cluster.yaml"
                    .to_owned()
            }
            Self::HookMissing { node, .. } => format!(
                "name a program under backup.storage_hook in agent.yaml on {node} and restart its \
                 agent"
            ),
        }
    }
}

pub(super) fn kept(situation: &Situation<'_>) -> Vec<StorageFinding> {
    // The words that waive a backup waive all of it; an agent that did not
    // answer is a finding of its own.
    let Some(storage) = situation.storage().filter(|_| situation.waived_backup.is_none()) else {
        return Vec::new();
    };
    let node = &situation.cluster.backup;
    match situation.cluster.storage {
        None if storage.locations.is_empty() => Vec::new(),
        None => {
            let locations = storage.locations.iter().map(in_words).collect();
            vec![StorageFinding::NotBackedUp { locations, newest: situation.newest_backup() }]
        }
        Some(StorageBackup::Copy) if storage.locations.is_empty() => {
            let problem = "config.yaml names no storage".to_owned();
            vec![StorageFinding::NotSeen { node: node.clone(), problem }]
        }
        Some(StorageBackup::Copy) => {
            storage.locations.iter().filter_map(|location| not_copied(node, location)).collect()
        }
        Some(StorageBackup::Hook) => {
            let problem = match &storage.hook {
                HookFooting::Ready => return Vec::new(),
                HookFooting::Unnamed => "its agent.yaml names none".to_owned(),
                HookFooting::Unusable { problem } => problem.clone(),
            };
            vec![StorageFinding::HookMissing { node: node.clone(), problem }]
        }
    }
}

fn not_copied(node: &NodeName, location: &StorageLocation) -> Option<StorageFinding> {
    let node = node.clone();
    match &location.place {
        StoragePlace::Local { .. } => None,
        StoragePlace::Unseen { path: _, problem } => {
            Some(StorageFinding::NotSeen { node, problem: problem.clone() })
        }
        StoragePlace::Elsewhere { driver } => {
            let (location, driver) = (location.name.clone(), driver.clone());
            Some(StorageFinding::NotLocal { node, location, driver })
        }
    }
}

fn in_words(location: &StorageLocation) -> String {
    match &location.place {
        StoragePlace::Local { directory, size: _ } => directory.clone(),
        StoragePlace::Unseen { path, problem: _ } if path.is_empty() => location.name.clone(),
        StoragePlace::Unseen { path, problem: _ } => path.clone(),
        StoragePlace::Elsewhere { driver } => format!("{} by {driver}", location.name),
    }
}

/// The room that a copy takes beside the dump.
pub(super) fn copied_bytes(situation: &Situation<'_>) -> u64 {
    if situation.cluster.storage != Some(StorageBackup::Copy) {
        return 0;
    }
    let sizes = situation.local_storage().filter_map(|(_, size)| size);
    sizes.filter(|size| !size.reflinks).map(|size| size.bytes).sum()
}
