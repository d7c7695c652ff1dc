//! The backup of a window, as a plan has it.

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use quaymaster_proto::storage::StorageOrder;
use serde::{Deserialize, Serialize};

/// What leads back past the point of no return.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum PlannedBackup {
    /// A backup that is taken in the dark and read back.
    Taken {
        /// By this node's agent.
        node: NodeName,
        /// Into this directory on it.
        directory: String,
        /// What is kept of the storage with it.
        #[serde(default, skip_serializing_if = "PlannedStorage::is_left")]
        storage: PlannedStorage,
    },
    /// Nothing of this window.
    Waived {
        /// In an operator's words.
        because: String,
        /// When the newest backup ended that any agent knows of.
        newest: Option<Timestamp>,
    },
}

impl PlannedBackup {
    /// Who backs up.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Taken { node, .. } => Some(node),
            Self::Waived { .. } => None,
        }
    }

    /// What is kept of the storage.
    pub fn storage(&self) -> &PlannedStorage {
        match self {
            Self::Taken { storage, .. } => storage,
            Self::Waived { .. } => &PlannedStorage::Left,
        }
    }
}

/// What is kept of the storage, beside the database.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum PlannedStorage {
    /// Nothing: config.yaml names none, or that was waived.
    #[default]
    Left,
    /// A copy.
    Copied {
        /// Of these directories on the node.
        from: Vec<String>,
    },
    /// Whatever the operator's program on the node makes.
    Hooked,
}

impl PlannedStorage {
    fn is_left(&self) -> bool {
        *self == Self::Left
    }

    /// What the node's agent is told.
    pub fn order(&self) -> StorageOrder {
        match self {
            Self::Left => StorageOrder::Leave,
            Self::Copied { .. } => StorageOrder::Copy,
            Self::Hooked => StorageOrder::Hook,
        }
    }
}
