//! Copies a directory of the storage: by shared bytes where the file system has
//! them, by every byte elsewhere.
#![expect(clippy::disallowed_methods, reason = "an effect room: it copies files")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::io::Errno;

use super::error::StorageError;
use super::read_back::digest;
use super::tree::{self, Met, Tally};
use super::{Watch, tree::walk};

/// Between two words of how far it has come, in bytes.
const PIECE: u64 = 8 * 1024 * 1024;

/// Copies everything below `from` to below `into`. Owners and modes stay behind:
/// the copy is for the agent's user alone.
pub(super) fn copy(
    from: &Path,
    into: &Path,
    reflinks: bool,
    watch: &Watch,
) -> Result<Tally, StorageError> {
    let mut tally = Tally::default();
    walk(from, &mut |met| {
        watch.go_on()?;
        match met {
            Met::Directory(below) => tree::make(&into.join(below)),
            Met::File(below, _) => {
                tally += copy_file(&from.join(below), &into.join(below), reflinks, watch)?;
                Ok(())
            }
            Met::Link(below) => {
                let (link, path) = (from.join(below), into.join(below));
                let target = std::fs::read_link(&link).map_err(StorageError::unread(&link))?;
                std::os::unix::fs::symlink(target, &path).map_err(StorageError::unwritten(&path))
            }
        }
    })?;
    Ok(tally)
}

fn copy_file(
    from: &Path,
    into: &Path,
    reflinks: bool,
    watch: &Watch,
) -> Result<Tally, StorageError> {
    let source = File::open(from).map_err(StorageError::unread(from))?;
    let copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(into);
    let mut copy = copy.map_err(StorageError::unwritten(into))?;
    let is_shared = reflinks && share(&copy, &source).map_err(StorageError::unwritten(into))?;
    let mut bytes = source.metadata().map_err(StorageError::unread(from))?.len();
    if is_shared {
        watch.add(bytes);
    } else {
        bytes = copy_bytes(&source, &mut copy, watch, from, into)?;
        // What shares its bytes is not read back: this one does not, and is.
        if reflinks && digest(from, watch)? != digest(into, watch)? {
            return Err(StorageError::Differs { path: into.to_owned() });
        }
    }
    let copied = copy.metadata().map_err(StorageError::unwritten(into))?.len();
    if copied != bytes {
        return Err(StorageError::Differs { path: into.to_owned() });
    }
    Ok(Tally { files: 1, bytes, reflinked: u64::from(is_shared) })
}

/// Lets a file share its bytes with another one; `false` = these two cannot.
pub(super) fn share(copy: &File, source: &File) -> io::Result<bool> {
    match rustix::fs::ioctl_ficlone(copy, source) {
        Ok(()) => Ok(true),
        // Another file system, or one that cannot; what is mounted twice counts
        // as two before Linux 5.18.
        Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// In the kernel, where it can.
fn copy_bytes(
    source: &File,
    copy: &mut File,
    watch: &Watch,
    from: &Path,
    into: &Path,
) -> Result<u64, StorageError> {
    let mut all = 0;
    loop {
        watch.go_on()?;
        let copied = io::copy(&mut source.take(PIECE), copy).map_err(|source| {
            StorageError::Uncopied { from: from.to_owned(), into: into.to_owned(), source }
        })?;
        if copied == 0 {
            return Ok(all);
        }
        all += copied;
        watch.add(copied);
    }
}
