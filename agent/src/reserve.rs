//! Room on the state directory's file system that only the way back may use: a
//! file of real blocks, given up when the disk is full and the way back has to
//! be put on record, and made again when there is room.
#![expect(clippy::disallowed_methods, reason = "an effect room: the reserve's file is its job")]

use std::io;
use std::path::{Path, PathBuf};

use crate::{disk, whole_file};

const FILE_NAME: &str = "reserve";

/// A way back takes some dozens of records of a few KiB.
const SIZE: usize = 1024 * 1024;

/// Room that must be there before the reserve is made: never the last.
pub(crate) const ROOM: u64 = 2 * SIZE as u64;

/// How it stands with the reserve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reserve {
    /// It is there.
    Kept,
    /// It is not there, and could be.
    Missing,
    /// There is no room for it.
    NoRoom,
}

fn path(state: &Path) -> PathBuf {
    state.join(FILE_NAME)
}

/// Looks, and changes nothing.
pub(crate) fn look(state: &Path) -> Reserve {
    let length = path(state).symlink_metadata().map(|metadata| metadata.len());
    if length.is_ok_and(|length| length >= SIZE as u64) {
        return Reserve::Kept;
    }
    // A directory that is not there yet is made where its parent is.
    let free = state.ancestors().find_map(disk::free_bytes);
    if free.is_some_and(|free| free >= ROOM) { Reserve::Missing } else { Reserve::NoRoom }
}

/// Makes the reserve where it is missing and there is room; whether it is there
/// now.
pub(crate) fn renew(state: &Path) -> bool {
    match look(state) {
        Reserve::Kept => true,
        Reserve::NoRoom => false,
        Reserve::Missing => match whole_file::write(&path(state), &filling()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "Cannot make the reserve for the way back.");
                false
            }
        },
    }
}

/// Gives the reserve up; whether there was one.
pub(crate) fn release(state: &Path) -> bool {
    let released = std::fs::remove_file(path(state)).is_ok();
    if released {
        tracing::warn!("The disk is full: the reserve for the way back is given up. Make room.");
    }
    released
}

/// Does what the way back needs; on a full disk once more, in the reserve's
/// room.
pub(crate) fn with_room<T>(
    state: &Path,
    mut work: impl FnMut() -> Result<T, io::Error>,
) -> Result<T, io::Error> {
    match work() {
        Err(error) if is_full(&error) && release(state) => work(),
        done @ (Ok(_) | Err(_)) => done,
    }
}

/// Whether the disk, or the user's part of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes that no file system stores in fewer blocks.
fn filling() -> Vec<u8> {
    let mut number: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut bytes = vec![0; SIZE];
    for word in bytes.chunks_exact_mut(size_of::<u64>()) {
        // xorshift: not secret, only unlike.
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        word.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
pub(crate) mod tests;
