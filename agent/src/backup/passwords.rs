//! A file with the one login that a program needs: for as long as it runs.
#![expect(clippy::disallowed_methods, reason = "an effect room: it removes its file")]

use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::files;
use crate::secret::Secret;

/// Of its owner alone. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct PasswordFile(PathBuf);

impl PasswordFile {
    /// A password in libpq's form.
    pub(super) fn for_libpq(directory: &Path, password: &Secret) -> Result<Self, BackupError> {
        Self::write(directory, ".pgpass", &Secret::new(line(password.expose())))
    }

    /// Writes it into a directory of this user alone.
    pub(super) fn write(directory: &Path, name: &str, text: &Secret) -> Result<Self, BackupError> {
        let path = directory.join(name);
        let _ = std::fs::remove_file(&path); // left by an agent that died
        files::write_new(&path, text.expose().as_bytes())
            .map_err(BackupError::files("write", &path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // gone with its directory
    }
}

/// For every host, port, database and user: there is only one.
fn line(password: &str) -> String {
    let password = password.replace('\\', "\\\\").replace(':', "\\:");
    format!("*:*:*:*:{password}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_and_backslashes_are_part_of_a_password() {
        assert_eq!(line(r"a:b\c"), "*:*:*:*:a\\:b\\\\c\n");
    }
}
