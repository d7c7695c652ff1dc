//! The file with the registries' logins, read anew for each question: people
//! change it. One that others than the agent may read is not used.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads one file")]

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::credentials::{self, CredentialsError, Login};

/// Nobody keeps more logins.
const LONGEST: u64 = 1024 * 1024;

/// Why the logins in a file are not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginsError {
    /// It cannot be read.
    #[error("cannot read registry logins in `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be read by others as well.
    #[error("registry logins in `{}` are not used: {exposed}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// By whom.
        exposed: Exposed,
    },
    /// It is no such file.
    #[error("cannot use registry logins in `{}`", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CredentialsError,
    },
}

impl LoginsError {
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Unreadable { path, source: _ } => format!(
                "let the agent's user read `{}`, as its owner or in its group, or name another file \
                 under registries.credentials in agent.yaml",
                path.display()
            ),
            Self::Exposed { path, exposed: Exposed::ToAll { .. } } => format!(
                "chmod o= {}, and renew the logins that were open; the agent reads it as its \
                 owner or in its group",
                path.display()
            ),
            Self::Exposed { path, exposed: Exposed::ToGroup { .. } } => format!(
                "chmod g= {}, or give it to the agent's group; and renew the logins that were open",
                path.display()
            ),
            Self::Content { path, source } => source.remedy(path),
        }
    }
}

/// Who else may look into a file, or change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Exposed {
    /// Everybody.
    #[error("everybody on this machine may {what} it (mode {mode:04o})")]
    ToAll {
        /// Read or change.
        what: &'static str,
        /// Its permission bits.
        mode: u32,
    },
    /// A group.
    #[error("group {group}, which the agent is not in, may {what} it (mode {mode:04o})")]
    ToGroup {
        /// Its id.
        group: u32,
        /// Read or change.
        what: &'static str,
        /// Its permission bits.
        mode: u32,
    },
}

/// The login that a file holds for `repository`.
pub(crate) fn login(path: &Path, repository: &str) -> Result<Option<Login>, LoginsError> {
    let json = read(path)?;
    credentials::login(&json, repository)
        .map_err(|source| LoginsError::Content { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, LoginsError> {
    let unreadable = |source| LoginsError::Unreadable { path: path.to_owned(), source };
    // Before it is opened: a pipe would not let go of whoever opens it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(unreadable(source));
    }
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let groups = own_groups().map_err(unreadable)?;
    if let Some(exposed) = exposed(about.mode(), about.gid(), &groups) {
        return Err(LoginsError::Exposed { path: path.to_owned(), exposed });
    }
    let mut json = String::new();
    file.take(LONGEST).read_to_string(&mut json).map_err(unreadable)?;
    Ok(json)
}

/// The groups that this process is in.
fn own_groups() -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> =
        rustix::process::getgroups()?.into_iter().map(|group| group.as_raw()).collect();
    groups.push(rustix::process::getegid().as_raw());
    Ok(groups)
}

/// Whether a file with this mode and group is open to others. A group of the
/// agent's own is how a site shares the file with it.
fn exposed(mode: u32, group: u32, own: &[u32]) -> Option<Exposed> {
    let mode = mode & 0o7777;
    let may = |bits: u32| match mode >> bits & 0o6 {
        0 => None,
        0o2 => Some("change"),
        0o4 => Some("read"),
        _ => Some("read and change"),
    };
    if let Some(what) = may(0) {
        return Some(Exposed::ToAll { what, mode });
    }
    let what = may(3)?;
    (!own.contains(&group)).then_some(Exposed::ToGroup { group, what, mode })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_open_to_all_to_a_foreign_group_or_to_nobody_else() {
        let own = [0, 994];
        for closed in [0o100_600, 0o100_400, 0o100_611] {
            assert_eq!(exposed(closed, 7, &own), None, "{closed:o}");
        }
        assert_eq!(exposed(0o100_640, 994, &own), None);
        assert_eq!(exposed(0o100_660, 994, &own), None);
        let said = |mode, group| exposed(mode, group, &own).unwrap().to_string();
        assert_eq!(said(0o100_644, 0), "everybody on this machine may read it (mode 0644)");
        assert_eq!(said(0o100_602, 0), "everybody on this machine may change it (mode 0602)");
        assert_eq!(
            said(0o100_640, 7),
            "group 7, which the agent is not in, may read it (mode 0640)"
        );
        assert_eq!(
            said(0o100_660, 7),
            "group 7, which the agent is not in, may read and change it (mode 0660)"
        );
    }

    #[test]
    fn only_a_closed_regular_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        let missing = login(&path, "quay.io/redhat/quay").unwrap_err();
        assert!(matches!(missing, LoginsError::Unreadable { .. }), "{missing}");
        let folder = login(directory.path(), "quay.io/redhat/quay").unwrap_err();
        assert!(
            quaymaster_proto::in_a_line(&folder).ends_with("it is not a regular file"),
            "{folder}"
        );

        std::fs::write(&path, r#"{"auths": {"quay.io": {"auth": "cm9ib3Q6dG9rZW4="}}}"#).unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            login(&path, "quay.io/redhat/quay")
        };
        let open = mode(0o644).unwrap_err();
        assert!(matches!(open, LoginsError::Exposed { .. }), "{open}");
        assert!(open.remedy().contains("chmod o= "), "{}", open.remedy());
        assert_eq!(mode(0o600).unwrap().unwrap().user, "robot");
    }
}
