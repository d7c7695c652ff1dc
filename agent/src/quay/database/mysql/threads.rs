//! Who is on a MySQL or MariaDB server. Pure.

use quaymaster_proto::database::{AGENT_APPLICATION, Session};

use super::server::Server;

/// Threads of the server's own.
const SERVERS_OWN: [&str; 2] = ["system user", "event_scheduler"];

/// A client that has not said who it is; most are gone the next moment.
const NOT_YET_IN: &str = "unauthenticated user";

/// One line of the server's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Thread {
    pub(super) id: i64,
    pub(super) user: String,
    /// `host:port`; `localhost` for the unix socket.
    pub(super) host: String,
    /// Empty = none chosen.
    pub(super) schema: String,
    pub(super) command: String,
    pub(super) is_agent: bool,
}

impl Thread {
    /// Whether it brings another server's changes into this one: a replica,
    /// also one that takes writes. InnoDB's own helpers are daemons, and
    /// Galera's appliers sleep.
    pub(super) fn replicates(&self) -> bool {
        self.user == "system user" && !matches!(self.command.as_str(), "Daemon" | "Sleep")
    }

    fn is_client(&self) -> bool {
        !SERVERS_OWN.contains(&self.user.as_str()) && self.user != NOT_YET_IN
    }

    /// A session without a schema of its own can reach any: of Quay's user it
    /// counts.
    fn is_on(&self, server: &Server) -> bool {
        self.schema.eq_ignore_ascii_case(&server.schema)
            || (self.schema.is_empty() && self.user == server.user)
    }
}

/// The client sessions on this database. Their beginning is not listed.
pub(super) fn sessions(server: &Server, threads: &[Thread]) -> Vec<Session> {
    let on_it = |thread: &&Thread| {
        thread.id != server.session && thread.is_client() && thread.is_on(server)
    };
    let session =
        |Thread { id, user, host, is_agent, .. }: &Thread| session(*id, user, host, *is_agent);
    threads.iter().filter(on_it).map(session).collect()
}

/// One session; `host` as the server's list has it.
pub(in crate::quay::database) fn session(
    pid: i64,
    user: &str,
    host: &str,
    is_agent: bool,
) -> Session {
    Session {
        pid,
        user: user.to_owned(),
        application: if is_agent { AGENT_APPLICATION.to_owned() } else { String::new() },
        address: address(host).to_owned(),
        since: None,
    }
}

/// Without the port, which names nobody.
fn address(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((address, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => address,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: i64, user: &str, schema: &str, command: &str) -> Thread {
        Thread {
            id,
            user: user.to_owned(),
            host: "10.0.0.9:51234".to_owned(),
            schema: schema.to_owned(),
            command: command.to_owned(),
            is_agent: false,
        }
    }

    fn server() -> Server {
        Server {
            schema: "quay".to_owned(),
            user: "quay".to_owned(),
            session: 1,
            ..Server::default()
        }
    }

    #[test]
    fn sessions_on_this_database_are_told_from_the_servers_own_threads() {
        let mut agent = thread(3, "quay", "quay", "Query");
        agent.is_agent = true;
        let threads = [
            thread(1, "quay", "quay", "Query"),
            thread(2, "quay", "quay", "Sleep"),
            agent,
            thread(4, "root", "quay", "Sleep"),
            thread(5, "root", "other", "Sleep"),
            thread(6, "root", "", "Sleep"),
            thread(7, "quay", "", "Sleep"),
            thread(8, "event_scheduler", "", "Daemon"),
            thread(9, "unauthenticated user", "", "Connect"),
            thread(10, "system user", "quay", "Slave_SQL"),
            thread(11, "repl", "", "Binlog Dump"),
        ];
        let found = sessions(&server(), &threads);
        let ids: Vec<i64> = found.iter().map(|session| session.pid).collect();
        assert_eq!(ids, [2, 3, 4, 7]);
        assert_eq!(found[0].address, "10.0.0.9");
        let agents: Vec<bool> = found.iter().map(Session::is_agent).collect();
        assert_eq!(agents, [false, true, false, false]);
    }

    #[test]
    fn a_replica_is_known_by_its_threads() {
        for command in ["Slave_IO", "Slave_SQL", "Connect", "Query"] {
            assert!(thread(1, "system user", "", command).replicates(), "{command}");
        }
        assert!(!thread(1, "system user", "", "Daemon").replicates());
        assert!(!thread(1, "repl", "", "Binlog Dump").replicates());
    }

    #[test]
    fn an_address_is_shown_without_its_port() {
        let cases = [
            ("10.0.0.1:41", "10.0.0.1"),
            ("localhost", "localhost"),
            ("fd00::9:41", "fd00::9"),
            ("db.example.com:x", "db.example.com:x"),
        ];
        for (host, shown) in cases {
            assert_eq!(address(host), shown, "{host}");
        }
    }
}
