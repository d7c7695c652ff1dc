//! The floor's file: what may not run on this node any more.
//!
//! It has a file of its own, so that a damaged ledger does not lose it, and is
//! read whenever it matters: the file is the truth, and mended it counts at
//! once. A floor that cannot be read lets no Quay be started; nor does one
//! whose file is gone, where the ledger knows of it.

use std::io;
use std::path::{Path, PathBuf};

use quaymaster_proto::{Below, Floor, Reason, Refusal};
use serde::{Deserialize, Serialize};

use crate::{reserve, whole_file};

/// The only version that this agent writes and reads.
const VERSION: u32 = 1;

const FILE_NAME: &str = "floor.json";

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorFile {
    version: u32,
    floor: Option<Floor>,
}

/// Why nobody knows the floor.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FloorError {
    /// The disk said no.
    #[error("cannot {verb} floor `{}`", path.display())]
    Disk {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no floor.
    #[error("floor `{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file is gone, and nobody took the floor back.
    #[error("floor `{}` is gone, yet by the ledger it is {}", path.display(), in_words(Some(floor)))]
    Lost {
        /// The file.
        path: PathBuf,
        /// What it held.
        floor: Box<Floor>,
    },
    /// Another agent wrote it.
    #[error("floor `{}` has version {version}, this agent reads {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        version: u32,
    },
}

impl FloorError {
    /// What is known of the floor all the same.
    pub(crate) fn last_known(self) -> Option<Floor> {
        match self {
            Self::Lost { path: _, floor } => Some(*floor),
            Self::Disk { .. } | Self::Damaged { .. } | Self::Version { .. } => None,
        }
    }

    /// What to do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "see that the state directory is readable, writable and has space",
            Self::Damaged { .. } => {
                "no Quay is started here meanwhile; put the file back from a backup of the state \
                 directory, or move it aside once you know that nothing old can start here, and \
                 have the floor set again"
            }
            Self::Lost { .. } => {
                "no Quay is started here meanwhile; put the file back from a backup of the state \
                 directory, or have the floor set again: a new plan goes on from what the ledger \
                 has"
            }
            Self::Version { .. } => "run the agent version that wrote it",
        }
    }
}

impl From<FloorError> for Refusal {
    fn from(error: FloorError) -> Self {
        Self::new(Reason::Floor, quaymaster_proto::in_a_line(&error)).with_remedy(error.remedy())
    }
}

/// The floor's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum OnDisk {
    /// There is none.
    Absent,
    /// It holds this; `None` = the floor was taken back.
    Holds(Option<Floor>),
}

/// The floor of this node; `None` = none was ever set, or it was taken back.
/// `recorded` is what the ledger knows of it: taken back, it leaves a file too,
/// so one that is not there was lost.
pub(crate) fn read(state: &Path, recorded: Option<Floor>) -> Result<Option<Floor>, FloorError> {
    match (look(state)?, recorded) {
        (OnDisk::Holds(floor), _) => Ok(floor),
        (OnDisk::Absent, None) => Ok(None),
        (OnDisk::Absent, Some(floor)) => {
            Err(FloorError::Lost { path: state.join(FILE_NAME), floor: Box::new(floor) })
        }
    }
}

/// What the file in `state` holds.
pub(crate) fn look(state: &Path) -> Result<OnDisk, FloorError> {
    /// Read before anything else.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let path = state.join(FILE_NAME);
    let bytes = match whole_file::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(OnDisk::Absent),
        Err(source) => return Err(FloorError::Disk { verb: "read", path, source }),
    };
    let damaged = |source| FloorError::Damaged { path: path.clone(), source };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version != VERSION {
        return Err(FloorError::Version { path, version });
    }
    let FloorFile { version: _, floor } = serde_json::from_slice(&bytes).map_err(damaged)?;
    Ok(OnDisk::Holds(floor))
}

/// A floor as people name it.
pub(crate) fn in_words(floor: Option<&Floor>) -> String {
    let Some(Floor { generation, below }) = floor else { return "none".to_owned() };
    let below: Vec<String> = below.iter().map(Below::to_string).collect();
    format!("{generation} (below it: {})", below.join(", "))
}

/// Makes this the floor; on disk when this returns.
pub(crate) fn write(state: &Path, floor: Option<&Floor>) -> Result<(), FloorError> {
    put(state, floor, whole_file::write)
}

/// The same on the way back, for which there is a reserve on a full disk.
pub(crate) fn take_back(state: &Path, floor: Option<&Floor>) -> Result<(), FloorError> {
    put(state, floor, |path, bytes| reserve::with_room(state, || whole_file::write(path, bytes)))
}

fn put(
    state: &Path,
    floor: Option<&Floor>,
    write: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
) -> Result<(), FloorError> {
    let path = state.join(FILE_NAME);
    let bytes = serde_json::to_vec(&FloorFile { version: VERSION, floor: floor.cloned() });
    let bytes = bytes.map_err(|source| FloorError::Damaged { path: path.clone(), source })?;
    write(&path, &bytes).map_err(|source| FloorError::Disk { verb: "write", path, source })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests damage files")]
mod tests {
    use quaymaster_proto::{Generation, Mode};

    use super::*;

    #[test]
    fn a_floor_is_kept_and_neither_a_lost_nor_a_damaged_one_is_not_taken_for_none() {
        let state = tempfile::tempdir().unwrap();
        let read = |recorded| read(state.path(), recorded);
        assert_eq!(read(None).unwrap(), None);
        let image = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().unwrap();
        let floor = Floor {
            generation: Generation { image: image("3"), mode: Mode::Complete },
            below: vec![Below { image: image("2"), mode: None }],
        };
        let lost = Refusal::from(read(Some(floor.clone())).unwrap_err());
        assert!(lost.message.contains("is gone, yet by the ledger"), "{lost}");
        write(state.path(), Some(&floor)).unwrap();
        assert_eq!(read(None).unwrap(), Some(floor.clone()));
        take_back(state.path(), None).unwrap();
        assert_eq!(read(Some(floor)).unwrap(), None);
        for (text, said) in
            [("{", "is damaged"), ("{\"version\":2}", "has version 2"), ("", "is damaged")]
        {
            std::fs::write(state.path().join(FILE_NAME), text).unwrap();
            let refusal = Refusal::from(read(None).unwrap_err());
            assert_eq!(refusal.reason, Reason::Floor);
            assert!(refusal.message.contains(said), "{refusal}");
        }
    }
}
