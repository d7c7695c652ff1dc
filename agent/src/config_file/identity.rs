//! Asks the kernel what `mounts` needs to know.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::mounts::{self, Place};

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Where an open file lies.
pub(super) fn place(path: &Path, file: &File, metadata: &std::fs::Metadata) -> Place {
    let seen = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    let seen = seen.ok().filter(|seen| seen.stx_mask & StatxFlags::MNT_ID.bits() != 0);
    Place {
        path: path.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
        mount: seen.map(|seen| seen.stx_mnt_id),
    }
}

/// The file's identity among all hosts.
pub(super) fn of(place: &Place) -> String {
    mounts::identity(place, &mountinfo(), &kernel())
}

/// Whether something is mounted right at this path, for this process.
pub(super) fn is_mount_point(path: &Path) -> bool {
    mounts::is_mount_point(path, &mountinfo())
}

fn mountinfo() -> String {
    let bytes = std::fs::read(MOUNTINFO).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text of this running kernel alone. Its boot id; where a hardened unit
/// hides that, the machine's id, which clones may share, with the host's name,
/// which they may not.
fn kernel() -> String {
    let line = |path| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    line("/proc/sys/kernel/random/boot_id").unwrap_or_else(|_| {
        let machine = line("/etc/machine-id").unwrap_or_default();
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{machine}@{name}")
    })
}
