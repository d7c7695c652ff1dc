//! A PostgreSQL server of the lab's own: made with initdb under the lab's directory, run as the
//! user `postgres` where the lab runs as root (the server refuses root).
#![expect(clippy::disallowed_methods, reason = "an effect room: disk and programs are its job")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection, Executor};

use crate::check::LAB_SESSION;
use crate::cluster::process::{Job, ProcessId, start_detached};
use crate::cluster::wait::until;
use crate::database_server::{Kind, ServerError};
use crate::run_as::RunAs;

static KIND: Kind =
    Kind { name: "PostgreSQL", place: VERSIONS, package: "postgresql", user: "postgres" };
/// How long the server may take to take its first session.
const START: Duration = Duration::from_secs(30);
/// The lab's own role; Quay's is `quay`, which owns the database `quay`.
const SUPERUSER: &str = "lab";
/// Where Debian and its kin put the servers, one directory a major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// What to make.
#[derive(Debug)]
pub struct Server<'a> {
    /// Holds everything of the server; made by `start`.
    pub dir: &'a Path,
    pub port: u16,
    /// Listened on beside 127.0.0.1, with the network that may come in: the lab's Docker network.
    pub further: Option<(&'a str, &'a str)>,
    pub superuser_password: &'a str,
    pub quay_password: &'a str,
}

impl Server<'_> {
    /// The database as Quay's config.yaml names it, reached over `host`.
    pub fn quay_uri(&self, host: &str) -> String {
        format!("postgresql://quay:{}@{host}:{}/quay", self.quay_password, self.port)
    }

    /// The same database as the lab's own role sees it.
    pub fn superuser_uri(&self) -> String {
        format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{}/quay", self.superuser_password, self.port)
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    /// Makes the data directory and starts the server, detached.
    pub fn start(&self, detacher: &Path) -> Result<ProcessId, ServerError> {
        let programs = newest_programs()?;
        let run_as = KIND.run_as()?;
        let data = self.dir.join("data");
        let password = self.write_password(run_as)?;
        self.initdb(&programs, &data, &password, run_as)?;
        let files = |source| ServerError::Files { kind: &KIND, dir: self.dir.to_owned(), source };
        fs::write(data.join("pg_hba.conf"), self.admission()).map_err(files)?;
        self.run(detacher, &programs, run_as)
    }

    /// Copies the server at `primary` and starts the copy as its standby, detached. Both have the
    /// same passwords.
    pub fn start_standby(&self, detacher: &Path, primary: u16) -> Result<ProcessId, ServerError> {
        let programs = newest_programs()?;
        let run_as = KIND.run_as()?;
        self.write_password(run_as)?;
        let address = format!("host=127.0.0.1 port={primary} user={SUPERUSER}");
        let arguments: Vec<OsString> = ["-R", "-c", "fast", "-X", "stream", "-d", &address, "-D"]
            .into_iter()
            .map(OsString::from)
            .chain([self.dir.join("data").into()])
            .collect();
        let (program, arguments) = run_as.wrap(programs.join("pg_basebackup"), arguments);
        let mut copy = Command::new(program);
        copy.args(arguments).env("PGPASSWORD", self.superuser_password);
        KIND.run("pg_basebackup", self.dir, copy)?;
        self.run(detacher, &programs, run_as)
    }

    fn run(
        &self,
        detacher: &Path,
        programs: &Path,
        run_as: RunAs,
    ) -> Result<ProcessId, ServerError> {
        let data = self.dir.join("data");
        let addresses = match self.further {
            Some((address, _)) => format!("127.0.0.1,{address}"),
            None => "127.0.0.1".to_owned(),
        };
        let settings = [
            format!("listen_addresses={addresses}"),
            format!("port={}", self.port),
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            "fsync=off".to_owned(),
        ];
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.into()];
        arguments.extend(settings.into_iter().flat_map(|one| ["-c".into(), one.into()]));
        let (program, arguments) = run_as.wrap(programs.join("postgres"), arguments);
        let job = Job { program, arguments, environment: Vec::new(), log: self.log() };
        start_detached(detacher, job).map_err(|source| ServerError::Start { kind: &KIND, source })
    }

    /// Waits for the server and makes Quay's role and database.
    pub async fn prepare(&self, process: ProcessId) -> Result<(), ServerError> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(SUPERUSER)
            .password(self.superuser_password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
            .application_name(LAB_SESSION);
        let mut connection = until("PostgreSQL's first session", START, async || {
            if !process.is_running() {
                return Err("the server has ended".to_owned());
            }
            PgConnection::connect_with(&options).await.map_err(|error| error.to_string())
        })
        .await
        .map_err(|source| ServerError::Silent { kind: &KIND, log: self.log(), source })?;
        // The password is 32 hex digits of the lab's own making: nothing in it needs quoting.
        let role = format!("CREATE ROLE quay LOGIN PASSWORD '{}'", self.quay_password);
        let failed = |source| ServerError::Database { kind: &KIND, source };
        connection.execute(sqlx::AssertSqlSafe(role)).await.map_err(failed)?;
        connection.execute("CREATE DATABASE quay OWNER quay").await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        // As every Quay's database has it (quay-facts 3.4).
        let options = options.database("quay");
        let mut quays = PgConnection::connect_with(&options).await.map_err(failed)?;
        quays.execute("CREATE EXTENSION pg_trgm").await.map_err(failed)?;
        quays.close().await.map_err(failed)
    }

    fn write_password(&self, run_as: RunAs) -> Result<PathBuf, ServerError> {
        let password = format!("{}\n", self.superuser_password);
        KIND.write_secret(self.dir, "superuser", &password, run_as)
    }

    fn initdb(
        &self,
        programs: &Path,
        data: &Path,
        password: &Path,
        run_as: RunAs,
    ) -> Result<(), ServerError> {
        let arguments: Vec<OsString> = [
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
            "--auth=scram-sha-256",
            "--username",
            SUPERUSER,
            "--pwfile",
        ]
        .map(OsString::from)
        .into_iter()
        .chain([password.into(), "-D".into(), data.into()])
        .collect();
        let (program, arguments) = run_as.wrap(programs.join("initdb"), arguments);
        let mut initdb = Command::new(program);
        initdb.args(arguments);
        KIND.run("initdb", self.dir, initdb)
    }

    /// Who may come in: everybody with a password, from this machine under any of its addresses and
    /// from the lab's network.
    fn admission(&self) -> String {
        let further = self.further.map_or_else(String::new, |(_, network)| {
            format!("host all all {network} scram-sha-256\n")
        });
        format!(
            "host all all 127.0.0.0/8 scram-sha-256\nhost all all samehost scram-sha-256\n\
             host replication {SUPERUSER} 127.0.0.0/8 scram-sha-256\n{further}"
        )
    }
}

fn newest_programs() -> Result<PathBuf, ServerError> {
    let listing = fs::read_dir(VERSIONS).map_err(|_| ServerError::NotInstalled { kind: &KIND })?;
    listing
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
            let programs = path.join("bin");
            programs.join("initdb").is_file().then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
        .ok_or(ServerError::NotInstalled { kind: &KIND })
}
