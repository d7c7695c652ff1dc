//! Blobs, uploads and manifests as files of the storage that all nodes share.
#![expect(clippy::disallowed_methods, reason = "an effect room: the storage")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A directory of the storage. Every name below comes from `path`.
#[derive(Clone, Debug)]
pub(in crate::quay) struct Store(PathBuf);

/// A manifest as it was pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

impl Store {
    pub(in crate::quay) fn at(storage: &Path) -> Self {
        Self(storage.join("registry"))
    }

    fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.0.join(kind).join(name.trim_start_matches("sha256:"))
    }

    pub(super) fn blob(&self, digest: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.path("blobs", digest))
    }

    pub(super) fn has_blob(&self, digest: &str) -> bool {
        self.path("blobs", digest).is_file()
    }

    /// What an upload holds so far; `None` = there is no such upload.
    pub(super) fn upload(&self, id: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.path("uploads", id))
    }

    pub(super) fn write_upload(&self, id: &str, bytes: &[u8]) -> io::Result<()> {
        write(&self.path("uploads", id), bytes)
    }

    /// Makes a blob of an upload, if its bytes have the digest.
    pub(super) fn finish_upload(&self, id: &str, bytes: &[u8], digest: &str) -> io::Result<bool> {
        if format!("sha256:{:x}", Sha256::digest(bytes)) != digest {
            return Ok(false);
        }
        write(&self.path("blobs", digest), bytes)?;
        fs::remove_file(self.path("uploads", id))?;
        Ok(true)
    }

    pub(super) fn manifest(&self, digest: &str) -> io::Result<Option<Kept>> {
        let Some(bytes) = read(&self.path("manifests", digest))? else { return Ok(None) };
        let media_type = fs::read_to_string(self.path("types", digest))?;
        Ok(Some(Kept { media_type, bytes }))
    }

    pub(super) fn keep_manifest(&self, digest: &str, kept: &Kept) -> io::Result<()> {
        write(&self.path("types", digest), kept.media_type.as_bytes())?;
        write(&self.path("manifests", digest), &kept.bytes)
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole, or not at all: other nodes read it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension(format!("tmp-{}", std::process::id()));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}
