//! config.yaml: its text, and which file it is.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// config.yaml as its owner wrote it.
pub(super) fn text(mode: Option<&str>) -> String {
    let mode = mode.map(|mode| format!("V3_UPGRADE_MODE: {mode}  # as documented\n"));
    format!(
        "# Edited by hand, with care.\nDB_URI: postgresql://quay:secret@db.example.com:5432/quay\n\
         SECRET_KEY: '12345'\n{}SERVER_HOSTNAME: quay.example.com\nSETUP_COMPLETE: true\n",
        mode.unwrap_or_default()
    )
}

/// What config.yaml says of the mode.
pub fn mode_in(config: &str) -> Option<&str> {
    let line = config.lines().find_map(|line| line.strip_prefix("V3_UPGRADE_MODE:"))?;
    line.split('#').next().map(str::trim)
}

/// Which file lies there, and since when.
pub(super) fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    let file = path.metadata().ok()?;
    Some((file.ino(), file.ctime(), file.ctime_nsec()))
}

/// A config's digest.
pub fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}
