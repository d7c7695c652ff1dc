//! How large the storage is, and what a copy of it would be: a look that takes
//! moments, however large it is.
#![expect(clippy::disallowed_methods, reason = "an effect room: it looks at directories")]

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use quaymaster_proto::storage::{HookFooting, StorageFooting, StoragePlace, StorageSize};
use rustix::fs::{Mode, OFlags};

use super::error::StorageError;
use super::{copy, hook, place, tree};
use crate::backup::BackupConfig;
use crate::engine::Mount;
use crate::quay::settings::Settings;

/// So long its files are counted: some hundred thousand where the disk is quick.
const LIMIT: Duration = Duration::from_secs(2);

/// Where the storage lies; where this agent is to back up, how large it is too.
pub(crate) async fn look(
    config: Option<&BackupConfig>,
    settings: &Settings,
    mounts: &[Mount],
) -> StorageFooting {
    let mut locations =
        place::told(settings, mounts, config.map(|config| config.directory.as_path()));
    let Some(config) = config else {
        return StorageFooting { locations, hook: HookFooting::Unnamed };
    };
    let backups = config.directory.clone();
    let measured = tokio::task::spawn_blocking(move || {
        for location in &mut locations {
            if let StoragePlace::Local { directory, size } = &mut location.place {
                match measure(Path::new(directory), &backups) {
                    Ok(measured) => *size = Some(measured),
                    Err(error) => {
                        let problem = quaymaster_proto::in_a_line(&error);
                        let path = std::mem::take(directory);
                        location.place = StoragePlace::Unseen { path, problem };
                    }
                }
            }
        }
        locations
    });
    let locations = measured.await.unwrap_or_default();
    StorageFooting { locations, hook: hook::look(config.storage_hook.as_deref()) }
}

fn measure(directory: &Path, backups: &Path) -> Result<StorageSize, StorageError> {
    let begun = Instant::now();
    let in_time = &mut || match begun.elapsed() {
        elapsed if elapsed < LIMIT => Ok(()),
        _ => Err(StorageError::CalledOff),
    };
    is_apart(directory, backups)?;
    let reflinks = shares_bytes(directory, backups)?;
    match tree::count(directory, in_time) {
        Ok(tree::Tally { files, bytes, .. }) => {
            Ok(StorageSize { bytes, files, is_counted: true, reflinks })
        }
        Err(StorageError::CalledOff) => {
            let (bytes, files) = at_most(directory)?;
            Ok(StorageSize { bytes, files, is_counted: false, reflinks })
        }
        Err(error) => Err(error),
    }
}

/// Bytes and files of its whole file system.
fn at_most(directory: &Path) -> Result<(u64, u64), StorageError> {
    let all = rustix::fs::statvfs(directory)
        .map_err(|error| StorageError::unread(directory)(error.into()))?;
    let blocks = all.f_blocks.saturating_sub(all.f_bfree);
    Ok((blocks.saturating_mul(all.f_frsize), all.f_files.saturating_sub(all.f_ffree)))
}

/// Refuses backups that lie in the storage by whatever name: the copy would
/// hold itself.
pub(super) fn is_apart(directory: &Path, backups: &Path) -> Result<(), StorageError> {
    let real = |path: &Path| path.canonicalize().map_err(StorageError::unread(path));
    if real(backups)?.starts_with(real(directory)?) {
        return Err(StorageError::Inside { directory: directory.to_owned() });
    }
    Ok(())
}

/// Whether a file of the storage would share its bytes with a copy among the
/// backups: tried on a file without a name, of which nothing stays. A file that
/// cannot be opened is told: no copy would have it.
pub(super) fn shares_bytes(directory: &Path, backups: &Path) -> Result<bool, StorageError> {
    let Some(first) = tree::first_file(directory) else { return Ok(false) };
    let file = File::open(&first).map_err(StorageError::unread(&first))?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(nameless) = rustix::fs::open(backups, flags, Mode::RUSR | Mode::WUSR) else {
        return Ok(false);
    };
    Ok(copy::share(&nameless.into(), &file).is_ok_and(|shared| shared))
}
