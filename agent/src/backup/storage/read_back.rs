//! Reads the copy of a directory back, and lists every file with its digest.
//!
//! A blob's name says what it holds (`sha256/ab/ab12…`), so that its copy is
//! compared with that; any other file is compared with its original. What shares
//! its bytes with its original is the same by the file system's word: it is
//! counted, and read only where its name does not say its digest.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads files")]

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Watch;
use super::error::StorageError;
use super::tree::{self, Met};

/// Where Quay puts what is named by its digest.
const NAMED: &str = "sha256";

/// Every file with its digest, while it is written.
pub(super) struct Listing {
    path: PathBuf,
    file: BufWriter<File>,
    read: Read,
}

/// What was read back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Read {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Whose original does not hold what its name says.
    pub(super) misnamed: u64,
}

impl Read {
    pub(super) fn in_words(self) -> String {
        let Self { files, bytes, misnamed: _ } = self;
        tree::Tally { files, bytes, reflinked: 0 }.in_words()
    }
}

impl Listing {
    pub(super) fn begin(path: &Path) -> Result<Self, StorageError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = BufWriter::new(file.map_err(StorageError::unwritten(path))?);
        Ok(Self { path: path.to_owned(), file, read: Read::default() })
    }

    /// As `sha256sum -c` reads it.
    fn add(&mut self, digest: &str, below: &str, path: &Path) -> Result<(), StorageError> {
        let name = [below.as_bytes(), b"/", path.as_os_str().as_bytes()].concat();
        let is_odd = |byte: &u8| matches!(*byte, b'\\' | b'\n' | b'\r');
        let mut line = Vec::with_capacity(name.len() + 68);
        if name.iter().any(is_odd) {
            line.push(b'\\');
        }
        line.extend_from_slice(digest.as_bytes());
        line.extend_from_slice(b"  ");
        for byte in name {
            match byte {
                b'\\' => line.extend_from_slice(b"\\\\"),
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                plain => line.push(plain),
            }
        }
        line.push(b'\n');
        self.file.write_all(&line).map_err(StorageError::unwritten(&self.path))
    }

    pub(super) fn finish(self) -> Result<Read, StorageError> {
        let Self { path, file, read } = self;
        let file = file.into_inner().map_err(|error| error.into_error());
        let synced = file.and_then(|file| file.sync_all());
        synced.map_err(StorageError::unwritten(&path)).map(|()| read)
    }
}

/// A directory that was copied.
pub(super) struct Pair<'a> {
    pub(super) from: &'a Path,
    pub(super) copy: &'a Path,
    /// As the listing calls the copy.
    pub(super) below: &'a str,
    pub(super) is_shared: bool,
}

/// Reads a copy back.
pub(super) fn read_back(
    pair: &Pair<'_>,
    listing: &mut Listing,
    watch: &Watch,
) -> Result<(), StorageError> {
    let Pair { from, copy, below, is_shared } = *pair;
    tree::walk(copy, &mut |met| {
        watch.go_on()?;
        let Met::File(path, bytes) = met else { return Ok(()) };
        let copied = copy.join(path);
        let is_like = |found: &str| match digest(&from.join(path), watch)? == found {
            true => Ok(()),
            false => Err(StorageError::Differs { path: copied.clone() }),
        };
        let found = match (named(path), is_shared) {
            (Some(name), true) => name.to_owned(),
            (Some(name), false) => {
                let found = digest(&copied, watch)?;
                if found != name {
                    // It may have been so long before.
                    is_like(&found)?;
                    listing.read.misnamed += 1;
                }
                found
            }
            (None, true) => digest(&copied, watch)?,
            (None, false) => {
                let found = digest(&copied, watch)?;
                is_like(&found)?;
                found
            }
        };
        listing.read.files += 1;
        listing.read.bytes += bytes;
        listing.add(&found, below, path)
    })
}

/// The digest in a blob's name: `sha256/ab/ab12…`, wherever that begins.
fn named(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = name.len() == 64 && name.bytes().all(is_hex);
    let directory = path.parent()?;
    let is_its = directory.file_name()?.to_str()? == name.get(..2)?;
    let is_blob = directory.parent()?.file_name()? == NAMED;
    (is_digest && is_its && is_blob).then_some(name)
}

/// sha256 of a file, in hex.
pub(super) fn digest(path: &Path, watch: &Watch) -> Result<String, StorageError> {
    let mut file = File::open(path).map_err(StorageError::unread(path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        watch.go_on()?;
        match file.read(&mut buffer).map_err(StorageError::unread(path))? {
            0 => break,
            count => {
                digest.update(&buffer[..count]);
                watch.add(count as u64);
            }
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
