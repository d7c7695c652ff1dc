//! How much room there is.

use std::path::Path;

/// Free bytes for the agent's user where `path` lies; `None` = cannot be seen.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let answer = rustix::fs::statvfs(path).ok()?;
    answer.f_bavail.checked_mul(answer.f_frsize)
}

/// Free bytes for root where `path` lies: those that a file system keeps back
/// for root too. `None` = cannot be seen.
pub(crate) fn free_bytes_of_root(path: &Path) -> Option<u64> {
    let answer = rustix::fs::statvfs(path).ok()?;
    answer.f_bfree.checked_mul(answer.f_frsize)
}
