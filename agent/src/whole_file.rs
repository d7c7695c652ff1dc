//! Files of the state directory that are there whole or not at all, for their
//! owner alone: written under another name, synced, renamed, synced.
#![expect(clippy::disallowed_methods, reason = "an effect room: files are its job")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Writes a file whole; on disk when this returns. Where it fails, nothing is
/// left that would take room.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut next = path.to_owned().into_os_string();
    next.push(".next");
    let next = PathBuf::from(next);
    write_out(&next, bytes).and_then(|()| std::fs::rename(&next, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&next); // may not be there
    })?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn write_out(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The bytes of a file that may be absent.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"a longer text").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"short");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
    }
}
