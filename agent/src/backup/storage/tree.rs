//! Directories of files, walked one directory at a time: a registry has a
//! million blobs, and no list of them is ever held.
#![expect(clippy::disallowed_methods, reason = "an effect room: it walks directories")]

use std::fs::{DirBuilder, File};
use std::io;
use std::ops::AddAssign;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::error::StorageError;

/// Files that were walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Of those that were copied: how many share their bytes.
    pub(super) reflinked: u64,
}

impl Tally {
    pub(super) fn in_words(self) -> String {
        format!("{} files of {} bytes", self.files, self.bytes)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { files, bytes, reflinked } = other;
        self.files += files;
        self.bytes += bytes;
        self.reflinked += reflinked;
    }
}

/// What is met on the way, by its path below the root.
pub(super) enum Met<'a> {
    /// Comes before whatever is in it.
    Directory(&'a Path),
    /// With its size.
    File(&'a Path, u64),
    /// A link, which is not followed.
    Link(&'a Path),
}

/// Walks everything below a directory, itself first; in order within each.
/// Sockets and the like hold nothing.
pub(super) fn walk(
    root: &Path,
    meet: &mut dyn FnMut(Met<'_>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    // The root may be a link of its owner's.
    let root = root.canonicalize().map_err(StorageError::unread(root))?;
    let mut left = vec![PathBuf::new()];
    while let Some(inner) = left.pop() {
        meet(Met::Directory(&inner))?;
        let path = root.join(&inner);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(StorageError::unread(&path))? {
            names.push(entry.map_err(StorageError::unread(&path))?.file_name());
        }
        names.sort();
        for name in names {
            let below = inner.join(name);
            let path = root.join(&below);
            let about = path.symlink_metadata().map_err(StorageError::unread(&path))?;
            if about.is_dir() {
                left.push(below);
            } else if about.is_file() {
                meet(Met::File(&below, about.len()))?;
            } else if about.is_symlink() {
                stays_within(&root, path)?;
                meet(Met::Link(&below))?;
            }
        }
    }
    Ok(())
}

/// Refuses a link out of the storage: behind it blobs may lie that nobody would
/// copy. One that leads nowhere holds nothing.
fn stays_within(root: &Path, link: PathBuf) -> Result<(), StorageError> {
    match link.canonicalize() {
        Ok(target) if !target.starts_with(root) => Err(StorageError::Linked { link, target }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Counts everything below a directory, as long as `go_on` allows.
pub(super) fn count(
    root: &Path,
    go_on: &mut dyn FnMut() -> Result<(), StorageError>,
) -> Result<Tally, StorageError> {
    let mut tally = Tally::default();
    walk(root, &mut |met| {
        if let Met::File(_, bytes) = met {
            tally += Tally { files: 1, bytes, reflinked: 0 };
        }
        go_on()
    })?;
    Ok(tally)
}

/// The first file below a directory that holds anything.
pub(super) fn first_file(root: &Path) -> Option<PathBuf> {
    let mut found = None;
    let stopped = walk(root, &mut |met| match met {
        Met::File(below, 1..) => {
            found = Some(root.join(below));
            Err(StorageError::CalledOff)
        }
        Met::Directory(_) | Met::File(..) | Met::Link(_) => Ok(()),
    });
    stopped.err().and(found)
}

/// Makes a directory for this user alone, unless it is there.
pub(super) fn make(path: &Path) -> Result<(), StorageError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StorageError::unwritten(path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Everything of its file system is on the disk when this returns: one call for
/// a million files.
pub(super) fn sync(path: &Path) -> Result<(), StorageError> {
    let synced = File::open(path).and_then(|file| rustix::fs::syncfs(file).map_err(Into::into));
    synced.map_err(StorageError::unwritten(path))
}
