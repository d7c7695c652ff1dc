//! Room that is kept for the journal: a full disk must not keep a run from
//! writing down its way back.
#![expect(clippy::disallowed_methods, reason = "an effect room: it makes and removes the file")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Enough for a run of a hundred nodes there and back.
pub(crate) const SIZE: u64 = 1024 * 1024;

/// The file that keeps the room.
#[derive(Debug)]
pub(crate) struct Reserve {
    directory: PathBuf,
}

impl Reserve {
    pub(crate) fn of(state: &Path) -> Self {
        Self { directory: state.to_owned() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("journal.reserve")
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.path().metadata().is_ok_and(|found| found.len() >= SIZE)
    }

    /// Makes it where it is not, and there is room for it and as much again.
    /// Without it a run goes on: it is a precaution.
    pub(crate) fn keep(&self) {
        if self.is_kept() || self.available().is_none_or(|free| free < 2 * SIZE) {
            return;
        }
        if self.make().is_err() {
            self.release();
        }
    }

    fn make(&self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(self.path())?;
        if fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_err() {
            fill(&file)?;
        }
        file.sync_all()
    }

    /// Gives the room away; whether there was any.
    pub(crate) fn release(&self) -> bool {
        std::fs::remove_file(self.path()).is_ok()
    }

    /// Whether the disk is so full that a write may have failed for it.
    pub(crate) fn is_needed(&self) -> bool {
        self.available().is_some_and(|free| free < SIZE)
    }

    fn available(&self) -> Option<u64> {
        let found = statvfs(&self.directory).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// Where blocks cannot be asked for, they are written.
fn fill(mut file: &File) -> io::Result<()> {
    let block = [0_u8; 64 * 1024];
    for _ in 0..SIZE / 65_536 {
        file.write_all(&block)?;
    }
    Ok(())
}
