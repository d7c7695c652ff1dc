//! The directory of backups: drafts, whole backups, and what their files are.
#![expect(clippy::disallowed_methods, reason = "an effect room: files are its job")]

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use quaymaster_proto::RunId;
use quaymaster_proto::backup::Backup;
use quaymaster_proto::storage::KeptStorage;
use sha2::{Digest as _, Sha256};

use super::drafts::{self, Owner};
use super::error::{BackupError, Unsound};
use super::manifest::{KeptFile, Live, Manifest, Origin, VERSION};
use super::storage::COPY;
use crate::disk;

/// Written last: what has none is no backup.
const MANIFEST: &str = "manifest.json";

/// Where the backup of a run lies.
pub(super) fn directory_of(directory: &Path, run: RunId) -> PathBuf {
    directory.join(run.to_string())
}

/// Free bytes, why nothing can be written there (empty = it can), and when the
/// newest whole backup ended.
pub(crate) fn look_at_directory(directory: &Path) -> (Option<u64>, String, Option<Timestamp>) {
    let problem = match can_be_written(directory) {
        Ok(()) => String::new(),
        Err(error) => error.in_words(),
    };
    (disk::free_bytes(directory), problem, newest(directory))
}

/// Asks the system, and leaves nothing behind.
pub(crate) fn can_be_written(directory: &Path) -> Result<(), BackupError> {
    let failed = |verb| BackupError::files(verb, directory);
    let about = directory.metadata().map_err(failed("look at"))?;
    if !about.is_dir() {
        return Err(failed("use the directory")(io::ErrorKind::NotADirectory.into()));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let flags = rustix::fs::AtFlags::EACCESS;
    rustix::fs::accessat(rustix::fs::CWD, directory, access, flags)
        .map_err(|error| failed("write in")(error.into()))
}

/// Runs' ids sort by time, so the newest of a name is the newest.
fn newest(directory: &Path) -> Option<Timestamp> {
    let names = std::fs::read_dir(directory).ok()?.flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut runs: Vec<RunId> = names.filter_map(|name| name.parse().ok()).collect();
    runs.sort();
    let manifests = runs.into_iter().rev().map(|run| read(&directory_of(directory, run)));
    manifests.flatten().map(|(manifest, _)| manifest.ended).next()
}

/// Refuses a directory where a dump may not fit.
pub(super) fn has_room(directory: &Path, needed: u64) -> Result<(), BackupError> {
    can_be_written(directory)?;
    match disk::free_bytes(directory) {
        Some(free) if free < needed => {
            Err(BackupError::NoRoom { directory: directory.to_owned(), free, needed })
        }
        Some(_) | None => Ok(()),
    }
}

/// A backup that is not whole yet. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    whole: PathBuf,
    /// What is in the way of the whole one: a draft by its name, so that whoever
    /// sweeps sees it.
    old: PathBuf,
}

impl Draft {
    /// An empty directory of a name of its own: a dump whose agent died may
    /// still write into an older one. Those are removed.
    pub(super) fn begin(
        directory: &Path,
        owner: Owner<'_>,
        run: RunId,
    ) -> Result<Self, BackupError> {
        drafts::sweep(drafts::left(directory, owner));
        let whole = directory_of(directory, run);
        let path = directory.join(owner.draft(run, &format!("{:016x}", fresh())));
        let old = directory.join(owner.draft(run, "old"));
        make(&path)?;
        Ok(Self { path, whole, old })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Of all files so far.
    pub(super) fn bytes(&self) -> u64 {
        names(&self.path).map_or(0, |names| {
            let sizes = names.iter().filter_map(|name| self.path.join(name).metadata().ok());
            sizes.map(|about| about.len()).sum()
        })
    }

    /// Everything on the disk, then the manifest, then the name of the run.
    pub(super) async fn finish(
        self,
        origin: Origin,
        (live, storage): (Live, Option<KeptStorage>),
        begun: Timestamp,
    ) -> Result<Backup, BackupError> {
        let path = self.path.clone();
        let files = aside(move || digests(&path, true)).await?;
        let ended = Timestamp::now();
        let manifest = Manifest { version: VERSION, origin, live, begun, ended, files, storage };
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other);
        let path = self.path.join(MANIFEST);
        text.and_then(|text| write_new(&path, &text))
            .map_err(BackupError::files("write", &path))?;
        self.take_its_place()?;
        read(&self.whole).map(|(_, backup)| backup).map_err(BackupError::from)
    }

    fn take_its_place(&self) -> Result<(), BackupError> {
        let old = &self.old;
        let failed = |verb| BackupError::files(verb, &self.whole);
        if self.whole.exists() {
            std::fs::rename(&self.whole, old).map_err(failed("move aside"))?;
        }
        std::fs::rename(&self.path, &self.whole).map_err(failed("put in place"))?;
        if let Some(parent) = self.whole.parent() {
            File::open(parent).and_then(|all| all.sync_all()).map_err(failed("sync"))?;
        }
        let _ = std::fs::remove_dir_all(old); // most often there is none
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path); // renamed, where it is whole
    }
}

/// A number that nobody had before.
fn fresh() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Makes a directory for this user alone.
pub(super) fn make(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(BackupError::files("make", path))
}

/// Writes a file of this user alone that must not be there yet, and syncs it.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file of a backup, to be read.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The manifest of a backup, and what it comes to.
pub(super) fn read(directory: &Path) -> Result<(Manifest, Backup), Unsound> {
    let path = directory.join(MANIFEST);
    let text = std::fs::read(&path)
        .map_err(|source| Unsound::NoManifest { path: path.clone(), source })?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|_| Unsound::BadManifest { path: path.clone() })?;
    if manifest.version != VERSION {
        return Err(Unsound::BadManifest { path });
    }
    let digest = hex(&Sha256::digest(&text));
    let backup = Backup {
        directory: directory.display().to_string(),
        manifest: digest.parse().map_err(|_| Unsound::BadManifest { path })?,
        identity: manifest.live.identity.clone(),
        revision: manifest.live.revision.clone(),
        bytes: manifest.bytes(),
        rows: manifest.live.rows.values().sum(),
        begun: manifest.begun,
        ended: manifest.ended,
        storage: manifest.storage.clone(),
    };
    Ok((manifest, backup))
}

/// Compares every file with its manifest.
pub(super) async fn verify(directory: &Path) -> Result<(Manifest, Backup), BackupError> {
    let (manifest, backup) = read(directory)?;
    let path = directory.to_owned();
    let mut found = aside(move || digests(&path, false)).await?;
    found.remove(MANIFEST);
    manifest.has_files(&found)?;
    Ok((manifest, backup))
}

/// Every file below a directory with its size and digest; synced where that is
/// asked for, and for this user alone.
fn digests(directory: &Path, sync: bool) -> Result<BTreeMap<String, KeptFile>, BackupError> {
    let names = names(directory).map_err(BackupError::files("list", directory))?;
    let digest = |name: String| {
        let path = directory.join(&name);
        let kept = digest_of(&path, sync).map_err(BackupError::files("read", &path))?;
        Ok((name, kept))
    };
    names.into_iter().map(digest).collect()
}

pub(super) fn digest_of(path: &Path, sync: bool) -> io::Result<KeptFile> {
    let mut file = File::open(path)?;
    if sync {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.sync_all()?;
    }
    let mut digest = Sha256::new();
    let (mut bytes, mut buffer) = (0, vec![0; 256 * 1024]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        bytes += count as u64;
    }
    let sha256 = hex(&digest.finalize()).parse().map_err(io::Error::other)?;
    Ok(KeptFile { bytes, sha256 })
}

/// Of every file below a directory, at most one directory deep; those of the
/// storage have a list of their own, which is among them.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == COPY {
            continue;
        }
        // One of a program out of an image, left by an agent that died: whoever
        // opened it would wait for ever.
        if entry.file_type()?.is_fifo() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            for inner in std::fs::read_dir(entry.path())? {
                names.push(format!("{name}/{}", inner?.file_name().to_string_lossy()));
            }
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Work that blocks, on a thread that it may block.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(BackupError::files("read", "a backup")(io::Error::other(error))),
    }
}
