//! Running a database server as its own user where the lab runs as root, which servers refuse.
#![expect(clippy::disallowed_methods, reason = "an effect room: disk and programs are its job")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// The user to run as: `None` for the lab's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunAs(Option<(u32, u32)>);

impl RunAs {
    /// `None` where there is no such user, and one is needed.
    pub(crate) fn decide(user: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return Some(Self(None));
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        find_user(&passwd, user).map(|ids| Self(Some(ids)))
    }

    /// `setpriv` replaces itself by the program, so that the process id stays.
    pub(crate) fn wrap(
        self,
        program: PathBuf,
        arguments: Vec<OsString>,
    ) -> (PathBuf, Vec<OsString>) {
        let Self(Some((user, group))) = self else { return (program, arguments) };
        let mut all: Vec<OsString> = vec![
            format!("--reuid={user}").into(),
            format!("--regid={group}").into(),
            "--clear-groups".into(),
        ];
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(capability) = passing_through(&status) {
            all.push(format!("--inh-caps=+{capability}").into());
            all.push(format!("--ambient-caps=+{capability}").into());
        }
        all.extend(["--".into(), program.into()]);
        all.extend(arguments);
        ("setpriv".into(), all)
    }

    pub(crate) fn give(self, path: &Path) -> io::Result<()> {
        match self.0 {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// The capability that lets the server reach its directory below others that are root's alone, as
/// temporary directories are: the smaller one where this process has it.
fn passing_through(status: &str) -> Option<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    [(2, "dac_read_search"), (1, "dac_override")]
        .into_iter()
        .find(|(bit, _)| effective & (1 << bit) != 0)
        .map(|(_, name)| name)
}

/// User and group id of a line of /etc/passwd.
fn find_user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_capability_is_taken_where_there_is_a_choice() {
        assert_eq!(passing_through("CapEff:\t000001fffeffffff\n"), Some("dac_read_search"));
        assert_eq!(passing_through("CapEff:\t00000000a80425fb\n"), Some("dac_override"));
        assert_eq!(passing_through("CapEff:\t0000000000000000\n"), None);
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "postgresql:x:7:8::/:/bin/sh\npostgres:x:101:103::/:/bin/sh\n";
        assert_eq!(find_user(passwd, "postgres"), Some((101, 103)));
        assert_eq!(find_user(passwd, "quay"), None);
    }
}
