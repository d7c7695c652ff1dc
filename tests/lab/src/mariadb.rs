//! A MariaDB server of the lab's own: made under the lab's directory, run as the user `mysql` where
//! the lab runs as root.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{Connection, Executor};

use crate::cluster::process::{Job, ProcessId, start_detached};
use crate::cluster::wait::until;
use crate::database_server::{Kind, ServerError};
use crate::run_as::RunAs;

static KIND: Kind =
    Kind { name: "MariaDB", place: SERVER, package: "mariadb-server", user: "mysql" };
/// How long the server may take to take its first session.
const START: Duration = Duration::from_secs(30);
/// The lab's own user; Quay's is `quay`, which has the database `quay`.
const SUPERUSER: &str = "lab";
const INSTALL: &str = "/usr/bin/mariadb-install-db";
const SERVER: &str = "/usr/sbin/mariadbd";

/// What to make.
#[derive(Debug)]
pub struct Server<'a> {
    /// Holds everything of the server; made by `start`.
    pub dir: &'a Path,
    pub port: u16,
    /// Listened on beside 127.0.0.1: the gateway of the lab's Docker network.
    pub further: Option<&'a str>,
    pub superuser_password: &'a str,
    pub quay_password: &'a str,
}

impl Server<'_> {
    /// The database as Quay's config.yaml names it, reached over `host`.
    pub fn quay_uri(&self, host: &str) -> String {
        format!("mysql+pymysql://quay:{}@{host}:{}/quay", self.quay_password, self.port)
    }

    /// The same database as the lab's own user sees it.
    pub fn superuser_uri(&self) -> String {
        format!("mysql://{SUPERUSER}:{}@127.0.0.1:{}/quay", self.superuser_password, self.port)
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("mariadb.log")
    }

    /// Makes the data directory and starts the server, detached.
    pub fn start(&self, detacher: &Path) -> Result<ProcessId, ServerError> {
        self.start_as(detacher, &[])
    }

    /// The same with further settings, such as `--server-id=2`.
    pub fn start_as(&self, detacher: &Path, further: &[&str]) -> Result<ProcessId, ServerError> {
        if ![INSTALL, SERVER].iter().all(|program| Path::new(program).is_file()) {
            return Err(ServerError::NotInstalled { kind: &KIND });
        }
        let run_as = KIND.run_as()?;
        let data = self.dir.join("data");
        // Statements that the server executes when it starts.
        let users = KIND.write_secret(self.dir, "users.sql", &self.users(), run_as)?;
        self.install(&data, run_as)?;
        let addresses = match self.further {
            Some(address) => format!("127.0.0.1,{address}"),
            None => "127.0.0.1".to_owned(),
        };
        let mut arguments: Vec<OsString> = vec!["--no-defaults".into()];
        let settings = [
            format!("--datadir={}", data.display()),
            format!("--init-file={}", users.display()),
            format!("--socket={}", self.dir.join("socket").display()),
            format!("--pid-file={}", self.dir.join("pid").display()),
            format!("--bind-address={addresses}"),
            format!("--port={}", self.port),
        ];
        arguments.extend(settings.map(OsString::from));
        arguments.extend(SMALL.iter().chain(further).map(OsString::from));
        let (program, arguments) = run_as.wrap(SERVER.into(), arguments);
        let job = Job { program, arguments, environment: Vec::new(), log: self.log() };
        start_detached(detacher, job).map_err(|source| ServerError::Start { kind: &KIND, source })
    }

    /// Waits for the server and makes Quay's database.
    pub async fn prepare(&self, process: ProcessId) -> Result<(), ServerError> {
        let options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username(SUPERUSER)
            .password(self.superuser_password)
            .ssl_mode(MySqlSslMode::Disabled);
        let mut connection = until("MariaDB's first session", START, async || {
            if !process.is_running() {
                return Err("the server has ended".to_owned());
            }
            MySqlConnection::connect_with(&options).await.map_err(|error| error.to_string())
        })
        .await
        .map_err(|source| ServerError::Silent { kind: &KIND, log: self.log(), source })?;
        let failed = |source| ServerError::Database { kind: &KIND, source };
        let made = "CREATE DATABASE IF NOT EXISTS quay CHARACTER SET utf8mb4";
        connection.execute(made).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    /// Nobody without a password. Quay's user may see everybody's sessions, as README asks.
    fn users(&self) -> String {
        let Self { superuser_password, quay_password, .. } = self;
        // The passwords are 32 hex digits of the lab's own making: nothing in them needs quoting.
        format!(
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root');\n\
             FLUSH PRIVILEGES;\n\
             CREATE OR REPLACE USER {SUPERUSER}@'%' IDENTIFIED BY '{superuser_password}';\n\
             GRANT ALL ON *.* TO {SUPERUSER}@'%' WITH GRANT OPTION;\n\
             CREATE OR REPLACE USER quay@'%' IDENTIFIED BY '{quay_password}';\n\
             GRANT ALL ON quay.* TO quay@'%';\n\
             GRANT PROCESS ON *.* TO quay@'%';\n"
        )
    }

    fn install(&self, data: &Path, run_as: RunAs) -> Result<(), ServerError> {
        let arguments: Vec<OsString> = [
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-name-resolve",
            "--skip-test-db",
        ]
        .map(OsString::from)
        .into_iter()
        .chain([format!("--datadir={}", data.display()).into()])
        .collect();
        let (program, arguments) = run_as.wrap(INSTALL.into(), arguments);
        let mut install = Command::new(program);
        install.args(arguments);
        KIND.run("mariadb-install-db", self.dir, install)
    }
}

/// A lab's server keeps little and syncs nothing.
const SMALL: [&str; 7] = [
    "--skip-name-resolve",
    "--max-connections=300",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
    "--performance-schema=OFF",
];
