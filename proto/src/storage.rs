//! Quay's storage: where it lies, what a backup does about it, and what came
//! of that. Of its settings only the names of drivers and the directories of
//! this host are told, never a secret.

use serde::{Deserialize, Serialize};

use crate::invalid::{InvalidField, each};
use crate::wire;

/// What a backup does about the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageOrder {
    /// Nothing.
    #[default]
    Leave,
    /// Copies it: all of it has to lie in directories of the host.
    Copy,
    /// Runs the program that agent.yaml names.
    Hook,
}

/// Quay's storage as a node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageFooting {
    /// Each location that config.yaml names.
    pub locations: Vec<StorageLocation>,
    /// The program that agent.yaml names for it.
    pub hook: HookFooting,
}

/// The program that backs the storage up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookFooting {
    /// agent.yaml names none.
    #[default]
    Unnamed,
    /// It is there.
    Ready,
    /// It cannot be run.
    Unusable {
        /// Why.
        problem: String,
    },
}

/// One location of the storage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageLocation {
    /// As config.yaml calls it.
    pub name: String,
    /// Where it lies.
    pub place: StoragePlace,
}

/// Where a location of the storage lies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoragePlace {
    /// In a directory of the host.
    Local {
        /// Which.
        directory: String,
        /// `None` = it was not measured: this agent is not to back up.
        size: Option<StorageSize>,
    },
    /// In a directory that this host does not show.
    Unseen {
        /// Inside the container.
        path: String,
        /// Why not.
        problem: String,
    },
    /// Elsewhere: an object store.
    Elsewhere {
        /// Quay's name of what speaks to it, such as `RadosGWStorage`.
        driver: String,
    },
}

/// What a copy of a directory would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSize {
    /// Of all its files.
    pub bytes: u64,
    /// How many.
    pub files: u64,
    /// Otherwise there are too many for a look: it is what its whole file system
    /// holds.
    pub is_counted: bool,
    /// Backups lie on the same file system, and it shares a file's bytes with
    /// its copy.
    pub reflinks: bool,
}

/// What was kept of the storage, with a backup of the database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptStorage {
    /// A copy that was read back.
    Copied {
        /// Its directories on the host.
        from: Vec<String>,
        /// How many.
        files: u64,
        /// Of all of them.
        bytes: u64,
        /// How many of them share their bytes with the original.
        reflinked: u64,
        /// How many do not hold what their names say, in the storage itself.
        misnamed: u64,
        /// How long it took, reading it back included.
        millis: u64,
    },
    /// Whatever the program made.
    Hooked {
        /// What it calls that: the last line that it printed.
        said: String,
        /// How long it took.
        millis: u64,
    },
}

impl KeptStorage {
    /// How long it took, in milliseconds.
    pub fn millis(&self) -> u64 {
        match self {
            Self::Copied { millis, .. } | Self::Hooked { millis, .. } => *millis,
        }
    }
}

impl StorageOrder {
    pub(crate) fn from_wire(path: &str, number: i32) -> Result<Self, InvalidField> {
        match wire::StorageOrder::try_from(number) {
            // A coordinator that knows nothing of it wants nothing of it.
            Ok(wire::StorageOrder::Unspecified | wire::StorageOrder::Leave) => Ok(Self::Leave),
            Ok(wire::StorageOrder::Copy) => Ok(Self::Copy),
            Ok(wire::StorageOrder::Hook) => Ok(Self::Hook),
            Err(_) => Err(InvalidField::because(path, format!("unknown order {number}"))),
        }
    }

    pub(crate) fn to_wire(self) -> i32 {
        let order = match self {
            Self::Leave => wire::StorageOrder::Leave,
            Self::Copy => wire::StorageOrder::Copy,
            Self::Hook => wire::StorageOrder::Hook,
        };
        order as i32
    }
}

impl TryFrom<wire::StorageFooting> for StorageFooting {
    type Error = InvalidField;

    fn try_from(message: wire::StorageFooting) -> Result<Self, InvalidField> {
        let wire::StorageFooting { locations, hook_problem } = message;
        let hook = match hook_problem {
            None => HookFooting::Unnamed,
            Some(problem) if problem.is_empty() => HookFooting::Ready,
            Some(problem) => HookFooting::Unusable { problem },
        };
        Ok(Self { locations: each("locations", locations)?, hook })
    }
}

impl From<StorageFooting> for wire::StorageFooting {
    fn from(footing: StorageFooting) -> Self {
        let StorageFooting { locations, hook } = footing;
        let hook_problem = match hook {
            HookFooting::Unnamed => None,
            HookFooting::Ready => Some(String::new()),
            HookFooting::Unusable { problem } => Some(problem),
        };
        Self { locations: locations.into_iter().map(Into::into).collect(), hook_problem }
    }
}

impl TryFrom<wire::StorageLocation> for StorageLocation {
    type Error = InvalidField;

    fn try_from(message: wire::StorageLocation) -> Result<Self, InvalidField> {
        use wire::storage_location::Place;
        let wire::StorageLocation { name, place } = message;
        let place = match place.ok_or_else(|| InvalidField::missing("place"))? {
            Place::Local(wire::LocalStorage { directory, size }) => {
                StoragePlace::Local { directory, size: size.map(Into::into) }
            }
            Place::Unseen(wire::UnseenStorage { path, problem }) => {
                StoragePlace::Unseen { path, problem }
            }
            Place::Driver(driver) => StoragePlace::Elsewhere { driver },
        };
        Ok(Self { name, place })
    }
}

impl From<StorageLocation> for wire::StorageLocation {
    fn from(location: StorageLocation) -> Self {
        use wire::storage_location::Place;
        let StorageLocation { name, place } = location;
        let place = match place {
            StoragePlace::Local { directory, size } => {
                Place::Local(wire::LocalStorage { directory, size: size.map(Into::into) })
            }
            StoragePlace::Unseen { path, problem } => {
                Place::Unseen(wire::UnseenStorage { path, problem })
            }
            StoragePlace::Elsewhere { driver } => Place::Driver(driver),
        };
        Self { name, place: Some(place) }
    }
}

impl From<wire::StorageSize> for StorageSize {
    fn from(message: wire::StorageSize) -> Self {
        let wire::StorageSize { bytes, files, is_counted, reflinks } = message;
        Self { bytes, files, is_counted, reflinks }
    }
}

impl From<StorageSize> for wire::StorageSize {
    fn from(size: StorageSize) -> Self {
        let StorageSize { bytes, files, is_counted, reflinks } = size;
        Self { bytes, files, is_counted, reflinks }
    }
}

impl TryFrom<wire::KeptStorage> for KeptStorage {
    type Error = InvalidField;

    fn try_from(message: wire::KeptStorage) -> Result<Self, InvalidField> {
        use wire::kept_storage::What;
        let wire::KeptStorage { what, millis } = message;
        Ok(match what.ok_or_else(|| InvalidField::missing("what"))? {
            What::Copied(copied) => {
                let wire::CopiedStorage { from, files, bytes, reflinked, misnamed } = copied;
                Self::Copied { from, files, bytes, reflinked, misnamed, millis }
            }
            What::HookSaid(said) => Self::Hooked { said, millis },
        })
    }
}

impl From<KeptStorage> for wire::KeptStorage {
    fn from(kept: KeptStorage) -> Self {
        use wire::kept_storage::What;
        match kept {
            KeptStorage::Copied { from, files, bytes, reflinked, misnamed, millis } => {
                let copied = wire::CopiedStorage { from, files, bytes, reflinked, misnamed };
                Self { what: Some(What::Copied(copied)), millis }
            }
            KeptStorage::Hooked { said, millis } => {
                Self { what: Some(What::HookSaid(said)), millis }
            }
        }
    }
}
