//! The key of this agent's spec digests: made once, kept in its state
//! directory, never sent. A lost key makes plans stale, nothing worse.
#![expect(clippy::disallowed_methods, reason = "an effect room: the key's file is its job")]

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::container::spec::SpecKey;
use crate::whole_file;

const FILE_NAME: &str = "spec.key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{}`; the agent's state directory must be its own and writable", path.display())]
pub(crate) struct SpecKeyError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The key in `state`, made where it is absent.
pub(crate) fn load_or_make(state: &Path) -> Result<SpecKey, SpecKeyError> {
    let path = state.join(FILE_NAME);
    let failed = |verb| {
        let path = path.clone();
        move |source| SpecKeyError { verb, path, source }
    };
    match File::open(&path) {
        Ok(file) => return bytes_of(file).map(SpecKey::new).map_err(failed("read")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("open")(error)),
    }
    std::fs::create_dir_all(state).map_err(failed("make the directory of"))?;
    let bytes = File::open("/dev/urandom").and_then(bytes_of).map_err(failed("draw a key for"))?;
    // Whole: half a key would be another key.
    whole_file::write(&path, &bytes).map_err(failed("write"))?;
    Ok(SpecKey::new(bytes))
}

/// Whether the key in `state`, where there is one, can be used.
pub(crate) fn look(state: &Path) -> Result<(), SpecKeyError> {
    let path = state.join(FILE_NAME);
    match File::open(&path).and_then(bytes_of) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SpecKeyError { verb: "read", path, source }),
    }
}

fn bytes_of(mut file: File) -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        let first = load_or_make(&state.path().join("agent")).unwrap();
        let again = load_or_make(&state.path().join("agent")).unwrap();
        assert!(first == again, "another start, the same key");
        let mode = state.path().join("agent/spec.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = load_or_make(&state.path().join("other")).unwrap();
        assert!(first != other, "another agent, another key");
    }

    #[test]
    fn half_a_key_is_no_key() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join(FILE_NAME), "short").unwrap();
        let error = load_or_make(state.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `"), "{error}");
    }
}
