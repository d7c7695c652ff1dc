//! Quay's `DB_URI` (an SQLAlchemy URL), taken apart. Pure.

use std::fmt;
use std::str::FromStr;

use super::percent;

/// The kinds of database that a lab knows.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUri {
    /// An absolute path, as the one who wrote the URI sees it.
    Sqlite {
        path: String,
    },
    Postgres(ServerUri),
    Mysql(ServerUri),
}

/// A database behind a server.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUri {
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDatabaseUri {
    #[error(
        "DB_URI has a scheme that the lab does not know; use `sqlite:////`, `postgresql://` or `mysql://`"
    )]
    Scheme,
    #[error("DB_URI has no absolute path; write `sqlite:////` and the path without its first `/`")]
    RelativePath,
    #[error("DB_URI names no user, host or database; write `postgresql://user:password@host/name`")]
    Incomplete,
    #[error("DB_URI has a port that is not a number")]
    Port,
    #[error("DB_URI has a `%` that does not stand before two hex digits of UTF-8")]
    Escape,
}

// The password stays out of every log and error.
impl fmt::Debug for DatabaseUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(formatter, "sqlite:///{path}"),
            Self::Postgres(server) => write!(formatter, "postgresql://{server:?}"),
            Self::Mysql(server) => write!(formatter, "mysql://{server:?}"),
        }
    }
}

impl fmt::Debug for ServerUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, password: _, host, port, name } = self;
        write!(formatter, "{user}@{host}:{port}/{name}")
    }
}

impl FromStr for DatabaseUri {
    type Err = InvalidDatabaseUri;

    fn from_str(uri: &str) -> Result<Self, InvalidDatabaseUri> {
        if let Some(path) = uri.strip_prefix("sqlite:///") {
            return match path.starts_with('/') {
                true => Ok(Self::Sqlite { path: path.to_owned() }),
                false => Err(InvalidDatabaseUri::RelativePath),
            };
        }
        let (scheme, rest) = uri.split_once("://").ok_or(InvalidDatabaseUri::Scheme)?;
        let dialect = scheme.split('+').next().unwrap_or(scheme);
        match dialect {
            "postgresql" | "postgres" => ServerUri::parse(rest, 5432).map(Self::Postgres),
            "mysql" => ServerUri::parse(rest, 3306).map(Self::Mysql),
            _ => Err(InvalidDatabaseUri::Scheme),
        }
    }
}

impl ServerUri {
    fn parse(rest: &str, usual_port: u16) -> Result<Self, InvalidDatabaseUri> {
        let rest = rest.split('?').next().unwrap_or(rest);
        // The last `@`: a password that was written unescaped may hold one.
        let (credentials, place) = rest.rsplit_once('@').ok_or(InvalidDatabaseUri::Incomplete)?;
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (server, name) = place.split_once('/').ok_or(InvalidDatabaseUri::Incomplete)?;
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| InvalidDatabaseUri::Port)?),
            None => (server, usual_port),
        };
        if user.is_empty() || host.is_empty() || name.is_empty() {
            return Err(InvalidDatabaseUri::Incomplete);
        }
        Ok(Self {
            user: unescape(user)?,
            password: unescape(password)?,
            host: host.to_owned(),
            port,
            name: unescape(name)?,
        })
    }
}

fn unescape(text: &str) -> Result<String, InvalidDatabaseUri> {
    percent::decoded(text).ok_or(InvalidDatabaseUri::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_taken_apart_and_the_password_is_not_shown() {
        let uri: DatabaseUri = "sqlite:////var/quay-db/quay.db".parse().unwrap();
        assert_eq!(uri, DatabaseUri::Sqlite { path: "/var/quay-db/quay.db".into() });
        let server = || ServerUri {
            user: "qu@y".into(),
            password: "p/w:".into(),
            host: "10.0.0.1".into(),
            port: 5433,
            name: "quay".into(),
        };
        let uri: DatabaseUri = "postgresql://qu%40y:p%2Fw%3A@10.0.0.1:5433/quay".parse().unwrap();
        assert_eq!(uri, DatabaseUri::Postgres(server()));
        assert_eq!(format!("{uri:?}"), "postgresql://qu@y@10.0.0.1:5433/quay");
        let uri: DatabaseUri = "mysql+pymysql://qu%40y:p%2Fw%3A@10.0.0.1/quay".parse().unwrap();
        assert_eq!(uri, DatabaseUri::Mysql(ServerUri { port: 3306, ..server() }));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (uri, expected) in [
            ("oracle://a:b@c/d", InvalidDatabaseUri::Scheme),
            ("sqlite:///quay.db", InvalidDatabaseUri::RelativePath),
            ("postgresql://c/d", InvalidDatabaseUri::Incomplete),
            ("postgresql://a:b@c:x/d", InvalidDatabaseUri::Port),
            ("postgresql://a:%zz@c/d", InvalidDatabaseUri::Escape),
        ] {
            assert_eq!(uri.parse::<DatabaseUri>(), Err(expected), "{uri}");
        }
    }
}
