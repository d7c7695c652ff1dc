//! config.yaml on the node's disk: read, staged beside itself, put in place.
//!
//! At every instant the file is byte for byte the old or the new one: new
//! bytes wait in a sibling with the same owner, mode, ACL and label, and one
//! rename makes them the file. The sibling itself gets its name only when it
//! has all of these. So does the kept copy of the old file, which lies beside
//! it too: elsewhere its ACL or label might mean nothing.
#![expect(clippy::disallowed_methods, reason = "an effect room: the file is its job")]

mod attributes;
mod identity;
mod mounts;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use quaymaster_proto::{FileDigest, RunId};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::reserve;

/// No config.yaml comes near this, in bytes.
const LONGEST: u64 = 8 * 1024 * 1024;

/// Why a file operation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    /// The disk said no.
    #[error("cannot {verb} `{}`", path.display())]
    Disk {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, a device, a socket.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Longer than any config.yaml.
    #[error("`{}` has {size} bytes, more than a config.yaml may have", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// In bytes.
        size: u64,
    },
    /// Owner, ACL or label cannot be kept.
    #[error("cannot give `{}` the {what} of config.yaml", path.display())]
    Attribute {
        /// Which one.
        what: String,
        /// The sibling.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was written is not what is there.
    #[error("`{}` does not hold what was written to it", path.display())]
    Unfaithful {
        /// The path.
        path: PathBuf,
    },
}

impl ConfigFileError {
    fn disk(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { verb, path, source }
    }

    fn is_of_full_disk(&self) -> bool {
        match self {
            Self::Disk { source, .. } | Self::Attribute { source, .. } => reserve::is_full(source),
            Self::NotAFile { .. } | Self::TooLong { .. } | Self::Unfaithful { .. } => false,
        }
    }

    /// The error with its cause, in one line.
    pub(crate) fn in_one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// A config.yaml as it was read.
pub(crate) struct ConfigFile {
    /// The file behind any symlink.
    pub(crate) path: PathBuf,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// sha256 of the bytes.
    pub(crate) digest: FileDigest,
    /// User id.
    pub(crate) owner: u32,
    /// Group id.
    pub(crate) group: u32,
    /// Permission bits.
    pub(crate) permissions: u32,
    /// When the file, or its name, was changed last.
    pub(crate) since: Timestamp,
    place: mounts::Place,
}

impl std::fmt::Debug for ConfigFile {
    /// Without the bytes, which hold passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// Reads the file that `path` names, through symlinks; a loop is refused
    /// by the system.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let real = path.canonicalize().map_err(ConfigFileError::disk("find", path))?;
        let file = open(&real, OFlags::empty()).map_err(ConfigFileError::disk("open", &real))?;
        Self::read_open(file, real)
    }

    /// Reads a file that the agent wrote beside this one, and nothing else by
    /// its name.
    fn read_own(path: &Path) -> Result<Self, ConfigFileError> {
        let file = open_itself(path).map_err(ConfigFileError::disk("open", path))?;
        Self::read_open(file, path.to_owned())
    }

    fn read_open(file: File, path: PathBuf) -> Result<Self, ConfigFileError> {
        let metadata = file.metadata().map_err(ConfigFileError::disk("look at", &path))?;
        if !metadata.is_file() {
            return Err(ConfigFileError::NotAFile { path });
        }
        let bytes = bytes_of(&file, &path)?;
        Ok(Self {
            digest: digest(&bytes),
            bytes,
            owner: metadata.uid(),
            group: metadata.gid(),
            permissions: metadata.mode() & 0o7777,
            since: changed(&metadata),
            place: identity::place(&path, &file, &metadata),
            path,
        })
    }

    /// The directory of the file.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// Where the next bytes of a run wait.
    pub(crate) fn sibling(&self, run: RunId) -> PathBuf {
        self.beside(&run.short())
    }

    fn beside(&self, end: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.quaymaster-{end}"))
    }

    /// The same on two nodes exactly if they share the file, whatever they
    /// call it; another one after each rename.
    pub(crate) fn identity(&self) -> String {
        identity::of(&self.place)
    }

    /// Writes the next bytes into the sibling.
    pub(crate) fn stage(&self, run: RunId, next: &[u8]) -> Result<(), ConfigFileError> {
        self.write_beside(&self.sibling(run), next)
    }

    /// Writes a file beside this one; on disk, with this one's owner, mode and
    /// attributes, when this returns. Until then it has a name that is never
    /// put in place. One handle does it all: another file that gets this name
    /// meanwhile is given nothing.
    fn write_beside(&self, path: &Path, bytes: &[u8]) -> Result<(), ConfigFileError> {
        let mut unfinished = path.to_owned().into_os_string();
        unfinished.push("-unfinished");
        let unfinished = PathBuf::from(unfinished);
        let finished = self.write_whole(&unfinished, bytes).and_then(|()| {
            std::fs::rename(&unfinished, path)
                .map_err(ConfigFileError::disk("give its final name to", &unfinished))
        });
        finished.inspect_err(|_| {
            let _ = std::fs::remove_file(&unfinished); // may not be there
        })?;
        sync_directory(self.directory())
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), ConfigFileError> {
        let mut file = write_anew(path, bytes)?;
        attributes::copy(self, &file, path)?;
        file.sync_all().map_err(ConfigFileError::disk("sync", path))?;
        file.rewind().map_err(ConfigFileError::disk("read", path))?;
        if bytes_of(&file, path)? != bytes {
            return Err(ConfigFileError::Unfaithful { path: path.to_owned() });
        }
        Ok(())
    }

    /// Makes a sibling without a byte in it, dressed as the file is, and takes
    /// it away again: whether this process could replace the file at all.
    pub(crate) fn try_sibling(&self) -> Result<(), ConfigFileError> {
        let path = self.beside("check");
        let file = write_anew(&path, b"")?;
        let dressed = attributes::copy(self, &file, &path);
        let removed = std::fs::remove_file(&path).map_err(ConfigFileError::disk("remove", &path));
        dressed.and(removed)
    }

    /// Whether the sibling has the file's owner, mode and attributes, as they
    /// are now.
    pub(crate) fn is_dressed(&self, run: RunId) -> Result<bool, ConfigFileError> {
        attributes::are_on(self, &self.sibling(run))
    }

    /// The digest of the bytes that wait in the sibling; `None` = none wait.
    pub(crate) fn staged(&self, run: RunId) -> Result<Option<FileDigest>, ConfigFileError> {
        let path = self.sibling(run);
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A link would be renamed over the file as a link.
            Ok(metadata) if !metadata.is_file() => Err(ConfigFileError::NotAFile { path }),
            Ok(_) | Err(_) => Ok(Some(Self::read_own(&path)?.digest)),
        }
    }

    /// Makes the sibling the file, with what the file has beside its bytes now:
    /// it may have got another owner since the staging. The way back is looked
    /// for first: somebody may have cleaned up.
    pub(crate) fn put(&self, run: RunId) -> Result<(), ConfigFileError> {
        self.keep()?;
        let staged = self.sibling(run);
        if !self.is_dressed(run)? {
            self.stage(run, &Self::read_own(&staged)?.bytes)?;
        }
        std::fs::rename(&staged, &self.path)
            .map_err(ConfigFileError::disk("rename into place", &staged))?;
        sync_directory(self.directory())
    }

    /// Removes the sibling.
    pub(crate) fn unstage(&self, run: RunId) -> Result<(), ConfigFileError> {
        let staged = self.sibling(run);
        std::fs::remove_file(&staged).map_err(ConfigFileError::disk("remove", &staged))?;
        sync_directory(self.directory())
    }

    /// Makes the kept bytes with this digest the file, with what the file has
    /// beside its bytes now. They stay kept. A full disk does not stand against
    /// it.
    pub(crate) fn restore(&self, digest: &FileDigest) -> Result<(), ConfigFileError> {
        let kept = Self::read_own(&self.kept_path(digest))?;
        if kept.digest != *digest {
            return Err(ConfigFileError::Unfaithful { path: kept.path });
        }
        let waiting = self.beside("restored");
        match self.write_beside(&waiting, &kept.bytes) {
            Err(error) if error.is_of_full_disk() => self.link_beside(&waiting, &kept)?,
            written @ (Ok(()) | Err(_)) => written?,
        }
        std::fs::rename(&waiting, &self.path)
            .map_err(ConfigFileError::disk("rename into place", &waiting))?;
        let _ = std::fs::remove_file(&waiting); // left only where both were one file already
        sync_directory(self.directory())
    }

    /// Gives the kept file itself another name, which takes no room, and what
    /// the file has beside its bytes now.
    fn link_beside(&self, path: &Path, kept: &Self) -> Result<(), ConfigFileError> {
        if !attributes::are_on(self, &kept.path)? {
            let file =
                open_itself(&kept.path).map_err(ConfigFileError::disk("open", &kept.path))?;
            attributes::copy(self, &file, &kept.path)?;
        }
        remove_if_there(path)?;
        std::fs::hard_link(&kept.path, path)
            .map_err(ConfigFileError::disk("make another name of", &kept.path))
    }

    /// Makes sure that a rename that was seen is on disk too.
    pub(crate) fn settle(&self) -> Result<(), ConfigFileError> {
        sync_directory(self.directory())
    }

    /// Where the file with this digest is kept.
    pub(crate) fn kept_path(&self, digest: &FileDigest) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.quaymaster-kept-{digest}"))
    }

    /// Keeps a copy of the file beside it, named by its digest: whole and with
    /// all that the file has beside its bytes, or not there.
    pub(crate) fn keep(&self) -> Result<(), ConfigFileError> {
        let path = self.kept_path(&self.digest);
        let is_file = path.symlink_metadata().is_ok_and(|seen| seen.is_file());
        if is_file
            && Self::read_own(&path).is_ok_and(|kept| kept.digest == self.digest)
            && attributes::are_on(self, &path)?
        {
            return Ok(());
        }
        self.write_beside(&path, &self.bytes)
    }
}

/// Whether something is mounted right at `path`: it cannot be replaced then.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    identity::is_mount_point(path)
}

/// sha256 of bytes.
pub(crate) fn digest(bytes: &[u8]) -> FileDigest {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("sha256 in hex is a file digest")
}

/// Opens for reading without waiting for anybody, as a pipe would, whose other
/// end nobody may ever open.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = (flags | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens what has this very name; a link is refused by the system.
fn open_itself(path: &Path) -> io::Result<File> {
    open(path, OFlags::NOFOLLOW)
}

/// A time that nobody can say is later than any.
fn changed(metadata: &Metadata) -> Timestamp {
    let nanoseconds = i32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Timestamp::new(metadata.ctime(), nanoseconds).unwrap_or(Timestamp::MAX)
}

/// The bytes from where the handle stands; a file that grows meanwhile ends
/// the reading.
fn bytes_of(file: &File, path: &Path) -> Result<Vec<u8>, ConfigFileError> {
    let mut bytes = Vec::new();
    let read = file.take(LONGEST + 1).read_to_end(&mut bytes);
    let read = read.map_err(ConfigFileError::disk("read", path))? as u64;
    if read > LONGEST {
        let size = file.metadata().map_or(read, |metadata| metadata.len().max(read));
        return Err(ConfigFileError::TooLong { path: path.to_owned(), size });
    }
    Ok(bytes)
}

/// Writes a file that nobody else reads yet; what was there is replaced.
fn write_anew(path: &Path, bytes: &[u8]) -> Result<File, ConfigFileError> {
    remove_if_there(path)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(ConfigFileError::disk("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(ConfigFileError::disk("write", path))?;
    Ok(file)
}

fn remove_if_there(path: &Path) -> Result<(), ConfigFileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ConfigFileError::disk("replace", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_directory(path: &Path) -> Result<(), ConfigFileError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(ConfigFileError::disk("sync", path))
}

#[cfg(test)]
mod tests;
