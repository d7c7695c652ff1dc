//! Which MySQL or MariaDB this is. Pure.

use std::time::Duration;

use super::super::LookError;

/// What tells one server from another, and what it may not be.
pub(super) const VARIABLES: [&str; 2] = [
    "SHOW GLOBAL VARIABLES WHERE variable_name IN ('version', 'server_uuid', 'server_uid', \
     'hostname', 'port', 'server_id', 'read_only', 'super_read_only', 'innodb_read_only', \
     'group_replication_group_name')",
    "SHOW GLOBAL STATUS WHERE variable_name = 'wsrep_cluster_size'",
];

/// A server as it describes itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Server {
    pub(super) schema: String,
    /// `user@host` as the server admits it.
    pub(super) account: String,
    /// The user alone, as the list of sessions has it.
    pub(super) user: String,
    /// The number of this session.
    pub(super) session: i64,
    pub(super) version: String,
    pub(super) uuid: String,
    pub(super) uid: String,
    pub(super) host: String,
    pub(super) port: String,
    pub(super) id: String,
    pub(super) is_read_only: bool,
    pub(super) group: String,
    pub(super) galera_size: u32,
}

impl Server {
    pub(super) fn learn(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "version" => self.version = value,
            "server_uuid" => self.uuid = value,
            "server_uid" => self.uid = value,
            "hostname" => self.host = value,
            "port" => self.port = value,
            "server_id" => self.id = value,
            "read_only" | "super_read_only" | "innodb_read_only" => {
                // Newer servers know more than two answers; one of them is no.
                self.is_read_only |= !matches!(value.to_ascii_uppercase().as_str(), "OFF" | "0");
            }
            "group_replication_group_name" => self.group = value,
            "wsrep_cluster_size" => self.galera_size = value.parse().unwrap_or(0),
            _ => {}
        }
    }

    /// The same text from every node, and another for another database.
    ///
    /// MySQL from 5.6 on makes a UUID for every data directory, so that a
    /// replica has its own; a directory that was copied with its `auto.cnf` has
    /// not. MariaDB makes none: its `server_uid` (10.5.26, 10.6.19, 10.11.9 and
    /// later) comes from a network card's address and the port, which
    /// containers on two hosts may share, so host name, port and `server_id`,
    /// which differs between servers that replicate, stand beside it.
    pub(super) fn identity(&self) -> String {
        let Self { schema, uuid, uid, host, port, id, .. } = self;
        if self.is_mariadb() || uuid.is_empty() {
            format!("mariadb:{uid}:{host}:{port}:{id}/{schema}")
        } else {
            format!("mysql:{uuid}/{schema}")
        }
    }

    fn is_mariadb(&self) -> bool {
        self.version.to_ascii_lowercase().contains("mariadb")
    }

    /// `user@host`, quoted for a GRANT.
    pub(super) fn account_in_sql(&self) -> String {
        match self.account.rsplit_once('@') {
            Some((user, host)) => format!("'{user}'@'{host}'"),
            None => format!("'{}'", self.account),
        }
    }

    /// Sessions on another member of a group write into the same database, and
    /// no list of this one shows them.
    pub(super) fn refuse_group(&self) -> Result<(), LookError> {
        if self.galera_size > 1 {
            let group = format!("a Galera cluster of {} servers", self.galera_size);
            return Err(LookError::OneOfMany { group });
        }
        if !self.group.is_empty() {
            let group = format!("the replication group {}", self.group);
            return Err(LookError::OneOfMany { group });
        }
        Ok(())
    }

    /// A SELECT that the server ends by itself after `limit`. It would go on
    /// after its client has gone. Neither way outlasts the statement.
    pub(super) fn limited(&self, select: &str, limit: Duration) -> String {
        if self.is_mariadb() {
            return format!("SET STATEMENT max_statement_time={} FOR {select}", limit.as_secs());
        }
        let hint = format!("SELECT /*+ MAX_EXECUTION_TIME({}) */", limit.as_millis());
        select.replacen("SELECT", &hint, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(variables: &[(&str, &str)]) -> Server {
        let mut server = Server {
            schema: "quay".to_owned(),
            account: "quay@10.0.%".to_owned(),
            ..Server::default()
        };
        for (name, value) in variables {
            server.learn(name, (*value).to_owned());
        }
        server
    }

    const MYSQL: [(&str, &str); 4] =
        [("version", "5.7.44"), ("server_uuid", "3e11fa47"), ("hostname", "a"), ("port", "3306")];
    const MARIADB: [(&str, &str); 5] = [
        ("version", "10.11.19-MariaDB-0+deb12u1"),
        ("server_uid", "zWZcWDFw8z97"),
        ("hostname", "db-1"),
        ("port", "3306"),
        ("server_id", "1"),
    ];

    #[test]
    fn another_server_or_schema_is_another_database() {
        assert_eq!(server(&MYSQL).identity(), "mysql:3e11fa47/quay");
        assert_eq!(server(&MARIADB).identity(), "mariadb:zWZcWDFw8z97:db-1:3306:1/quay");
        for (name, value) in [("server_uid", "x"), ("hostname", "x"), ("server_id", "2")] {
            let other = server(&[&MARIADB[..], &[(name, value)]].concat());
            assert_ne!(other.identity(), server(&MARIADB).identity(), "{name}");
        }
        // A MySQL behind another name is the same one.
        let renamed = server(&[&MYSQL[..], &[("hostname", "b")]].concat());
        assert_eq!(renamed.identity(), server(&MYSQL).identity());
    }

    #[test]
    fn a_server_that_takes_no_writes_is_no_primary() {
        for name in ["read_only", "super_read_only", "innodb_read_only"] {
            assert!(!server(&[(name, "OFF")]).is_read_only, "{name}");
            assert!(server(&[(name, "ON")]).is_read_only, "{name}");
            assert!(server(&[(name, "NO_LOCK")]).is_read_only, "{name}");
        }
        assert!(server(&[("read_only", "ON"), ("super_read_only", "OFF")]).is_read_only);
    }

    #[test]
    fn one_of_many_servers_is_refused_by_name() {
        let said = |variables: &[(&str, &str)]| {
            server(variables).refuse_group().err().map(|error| error.to_string())
        };
        assert_eq!(said(&[("wsrep_cluster_size", "0")]), None);
        assert_eq!(said(&[("wsrep_cluster_size", "1")]), None);
        let three = said(&[("wsrep_cluster_size", "3")]).unwrap();
        assert!(three.contains("a Galera cluster of 3 servers"), "{three}");
        let group = said(&[("group_replication_group_name", "aaaa")]).unwrap();
        assert!(group.contains("the replication group aaaa"), "{group}");
    }

    #[test]
    fn every_statement_has_its_servers_own_limit() {
        let limit = Duration::from_secs(5);
        assert_eq!(
            server(&MYSQL).limited("SELECT a FROM (SELECT 1)", limit),
            "SELECT /*+ MAX_EXECUTION_TIME(5000) */ a FROM (SELECT 1)"
        );
        assert_eq!(
            server(&MARIADB).limited("SELECT 1", limit),
            "SET STATEMENT max_statement_time=5 FOR SELECT 1"
        );
        assert_eq!(server(&MYSQL).account_in_sql(), "'quay'@'10.0.%'");
    }
}
