//! The file with the registries' logins, read anew for each pull: people
//! change it.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads one file")]

use std::io;
use std::path::Path;

pub(super) fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}
