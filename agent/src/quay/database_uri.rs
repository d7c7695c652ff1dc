//! `DB_URI`: where a Quay's database is, read as Quay's own library reads it.
//!
//! Nothing here prints a user's password, nor any part of an address that
//! could not be read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// Where a database is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseUri {
    /// Behind a server.
    Server(ServerUri),
    /// In a file.
    Sqlite {
        /// As Quay sees it: inside its container, and relative to Quay's own
        /// directory unless absolute.
        path: PathBuf,
    },
}

/// A database on a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerUri {
    /// Which software.
    pub kind: ServerKind,
    /// A name or an address, without the brackets of IPv6; empty = the
    /// client's default.
    pub host: String,
    /// As given, or the software's usual one.
    pub port: u16,
    /// Of the database.
    pub name: String,
    /// The role to log in with; `None` = the client's default.
    pub user: Option<String>,
    /// That role's.
    pub password: Option<Secret>,
}

/// Database servers that Quay works with (quay-facts 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerKind {
    /// With psycopg2.
    Postgresql,
    /// And MariaDB, with PyMySQL.
    Mysql,
}

/// Why a text is no database address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDatabaseUri {
    /// No scheme at all.
    #[error("it does not begin with a scheme such as `postgresql://`")]
    NoScheme,
    /// A scheme that Quay does not take.
    #[error("its scheme `{0}` is none that Quay takes: postgresql, mysql or sqlite")]
    UnknownScheme(String),
    /// A server without a database.
    #[error("it names no database after its host")]
    NoName,
    /// SQLite without a file.
    #[error("it names no file")]
    NoFile,
    /// A port that is none.
    #[error("its port is not a number from 1 to 65535")]
    BadPort,
    /// Percent escapes that are not UTF-8.
    #[error("its percent escapes are not UTF-8")]
    BadEscape,
}

impl DatabaseUri {
    /// `postgresql`, `mysql` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Server(server) => server.kind.as_str(),
            Self::Sqlite { path: _ } => "sqlite",
        }
    }

    /// `host:port/name` or the file, for people: without user and password.
    pub fn shown_as(&self) -> String {
        match self {
            Self::Server(ServerUri { kind: _, host, port, name, user: _, password: _ }) => {
                if host.contains(':') {
                    format!("[{host}]:{port}/{name}")
                } else {
                    format!("{host}:{port}/{name}")
                }
            }
            Self::Sqlite { path } => path.display().to_string(),
        }
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path } => Some(path),
            Self::Server(_) => None,
        }
    }
}

impl ServerKind {
    /// As in a scheme.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
        }
    }

    fn usual_port(self) -> u16 {
        match self {
            Self::Postgresql => 5432,
            Self::Mysql => 3306,
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for DatabaseUri {
    type Err = InvalidDatabaseUri;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidDatabaseUri::NoScheme)?;
        match scheme {
            "postgresql" | "postgresql+psycopg2" => server(ServerKind::Postgresql, rest),
            "mysql" | "mysql+pymysql" => server(ServerKind::Mysql, rest),
            "sqlite" => sqlite(rest),
            // A text that merely holds `://` further on may hold a password
            // before it.
            _ if is_scheme(scheme) => Err(InvalidDatabaseUri::UnknownScheme(scheme.to_owned())),
            _ => Err(InvalidDatabaseUri::NoScheme),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

/// `user:password@host:port/name?options`. As in Quay's library, a password
/// runs up to the last `@`, whatever it holds.
fn server(kind: ServerKind, rest: &str) -> Result<DatabaseUri, InvalidDatabaseUri> {
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) if !login.split(':').next().unwrap_or("").contains('/') => {
            (Some(login), place)
        }
        Some(_) | None => (None, rest),
    };
    let (user, password) = match login {
        None => (None, None),
        Some(login) => match login.split_once(':') {
            None => (Some(decoded(login)?), None),
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
        },
    };
    let (place, name) = place.split_once('/').ok_or(InvalidDatabaseUri::NoName)?;
    let name = name.split('?').next().unwrap_or("");
    if name.is_empty() {
        return Err(InvalidDatabaseUri::NoName);
    }
    let (host, port) = host_and_port(place)?;
    Ok(DatabaseUri::Server(ServerUri {
        kind,
        host: decoded(host)?,
        port: port.unwrap_or_else(|| kind.usual_port()),
        name: decoded(name)?,
        user: user.filter(|user| !user.is_empty()),
        password: password.map(Secret::new),
    }))
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), InvalidDatabaseUri> {
    let bracketed = place.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, "")) => (host, ""),
        Some((host, rest)) => (host, rest.strip_prefix(':').ok_or(InvalidDatabaseUri::BadPort)?),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(InvalidDatabaseUri::BadPort),
        Ok(port) => Ok((host, Some(port))),
    }
}

/// `/relative` or `//absolute`: what follows the empty host's slash.
fn sqlite(rest: &str) -> Result<DatabaseUri, InvalidDatabaseUri> {
    let path = rest.strip_prefix('/').ok_or(InvalidDatabaseUri::NoFile)?;
    let path = path.split('?').next().unwrap_or("");
    if path.is_empty() || path == ":memory:" {
        return Err(InvalidDatabaseUri::NoFile);
    }
    Ok(DatabaseUri::Sqlite { path: PathBuf::from(path) })
}

fn decoded(text: &str) -> Result<String, InvalidDatabaseUri> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| InvalidDatabaseUri::BadEscape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> DatabaseUri {
        text.parse().unwrap()
    }

    fn login(text: &str) -> (Option<String>, Option<String>) {
        match parsed(text) {
            DatabaseUri::Server(ServerUri { user, password, .. }) => {
                (user, password.map(|secret| secret.expose().to_owned()))
            }
            DatabaseUri::Sqlite { .. } => (None, None),
        }
    }

    #[test]
    fn a_server_is_shown_without_its_login() {
        let cases = [
            ("postgresql://quay:hunter2@db.example.com/quay", "db.example.com:5432/quay"),
            ("postgresql+psycopg2://quay@10.0.0.9:5433/q", "10.0.0.9:5433/q"),
            ("postgresql://quay:x@[fd00::9]:5433/q", "[fd00::9]:5433/q"),
            ("postgresql://quay:x@[fd00::9]/q", "[fd00::9]:5432/q"),
            ("mysql+pymysql://root:x@db/quay?charset=utf8", "db:3306/quay"),
            ("postgresql:///quay", ":5432/quay"),
            ("sqlite:////var/quay-db/quay.db", "/var/quay-db/quay.db"),
            ("sqlite:///test/data/test.db", "test/data/test.db"),
        ];
        for (text, shown) in cases {
            assert_eq!(parsed(text).shown_as(), shown, "{text}");
            assert!(!format!("{:?}", parsed(text)).contains("hunter2"));
        }
    }

    #[test]
    fn a_login_is_decoded_and_may_hold_anything() {
        let some = |user: &str, password: &str| (Some(user.to_owned()), Some(password.to_owned()));
        assert_eq!(login("postgresql://quay:p%40s%2Fs%25@h/q"), some("quay", "p@s/s%"));
        assert_eq!(login("postgresql://quay:a:b@c/d@h/q"), some("quay", "a:b@c/d"));
        assert_eq!(login("postgresql://q%20uay:@h/q"), some("q uay", ""));
        assert_eq!(login("mysql+pymysql://qu%40y:p%40s%2Bs+@h/q"), some("qu@y", "p@s+s+"));
        assert_eq!(login("postgresql://h/q"), (None, None));
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let cases = [
            ("hunter2", "it does not begin with a scheme such as `postgresql://`"),
            ("a hunter2://x", "it does not begin with a scheme such as `postgresql://`"),
            (
                "oracle://u:hunter2@h/q",
                "its scheme `oracle` is none that Quay takes: postgresql, mysql or sqlite",
            ),
            ("postgresql://u:hunter2@h", "it names no database after its host"),
            ("postgresql://u:hunter2@h/", "it names no database after its host"),
            ("postgresql://u:hunter2@h:0/q", "its port is not a number from 1 to 65535"),
            ("postgresql://u:hunter2@h:x/q", "its port is not a number from 1 to 65535"),
            ("postgresql://u:%ffhunter2@h/q", "its percent escapes are not UTF-8"),
            ("sqlite://", "it names no file"),
            ("sqlite:///:memory:", "it names no file"),
        ];
        for (text, said) in cases {
            assert_eq!(text.parse::<DatabaseUri>().unwrap_err().to_string(), said, "{text}");
        }
    }
}
