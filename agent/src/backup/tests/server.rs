//! A PostgreSQL server of Debian's for one test.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

/// As much of a registry as is counted.
pub(super) const REGISTRY: &str = "\
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL); \
    INSERT INTO alembic_version VALUES ('5b7503aada1b'); \
    CREATE TABLE \"user\" (id BIGINT PRIMARY KEY, username VARCHAR(255)); \
    INSERT INTO \"user\" VALUES (1, 'one'), (2, 'two'); \
    CREATE TABLE repository (id BIGINT PRIMARY KEY, name VARCHAR(255)); \
    INSERT INTO repository VALUES (1, 'first'); \
    CREATE TABLE repositorytag (id BIGINT PRIMARY KEY, name TEXT); \
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) \
        INSERT INTO repositorytag SELECT i, 'tag' FROM n; \
    CREATE TABLE logentry (id BIGINT PRIMARY KEY); INSERT INTO logentry VALUES (1)";

/// It ends with this value.
pub(super) struct Server {
    directory: tempfile::TempDir,
    child: Child,
    port: u16,
    programs: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// With a registry in a database `quay` of a role `quay`.
    pub(super) async fn start() -> Self {
        let programs = newest();
        let directory = tempfile::tempdir().unwrap();
        // The server refuses root.
        let owner = rustix::process::geteuid()
            .is_root()
            .then(|| std::fs::metadata("/var/lib/postgresql").expect("Debian's postgresql"));
        let owner = owner.map(|owner| (owner.uid(), owner.gid()));
        let (data, password) = (directory.path().join("data"), directory.path().join("password"));
        std::fs::write(&password, "hunter2").unwrap();
        if let Some((user, group)) = owner {
            for path in [directory.path(), &password] {
                chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let as_owner = |program: &str| {
            let mut command = Command::new(programs.join(program));
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut initdb = as_owner("initdb");
        initdb.args(["-U", "quay", "-A", "scram-sha-256", "--no-sync", "--locale=C"]);
        initdb.arg("--pwfile").arg(&password).arg("-D").arg(&data);
        assert!(initdb.status().unwrap().success(), "initdb");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = as_owner("postgres");
        postgres.arg("-D").arg(&data).args(["-c", &format!("port={port}"), "-c", "fsync=off"]);
        postgres.args(["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]);
        let child = postgres.spawn().unwrap();
        let server = Self { directory, child, port, programs };
        let mut first = loop {
            match server.options("postgres").database("postgres").connect().await {
                Ok(connection) => break connection,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        first.execute("CREATE DATABASE quay").await.unwrap();
        first.close().await.unwrap();
        server.execute(REGISTRY).await;
        server
    }

    pub(super) fn uri(&self) -> String {
        format!("postgresql://quay:hunter2@127.0.0.1:{}/quay", self.port)
    }

    /// Where they are.
    pub(super) fn programs(&self) -> PathBuf {
        self.programs.clone()
    }

    /// Of its programs.
    pub(super) fn version(&self) -> String {
        assert!(self.directory.path().exists());
        let said = Command::new(self.programs.join("postgres")).arg("--version").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        said.split_whitespace().nth(2).unwrap().to_owned()
    }

    /// One of its programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    pub(super) async fn connect(&self, application: &str) -> PgConnection {
        self.options(application).connect().await.unwrap()
    }

    pub(super) async fn execute(&self, statements: &str) {
        let mut connection = self.connect("quaymaster-agent").await;
        let statements = sqlx::AssertSqlSafe(statements.to_owned());
        connection.execute(sqlx::raw_sql(statements)).await.unwrap();
        connection.close().await.unwrap();
    }

    /// One text; empty for none.
    pub(super) async fn one(&self, query: &str) -> String {
        let mut connection = self.connect("quaymaster-agent").await;
        let query = sqlx::AssertSqlSafe(query.to_owned());
        let found: Option<String> =
            sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        found.unwrap_or_default()
    }

    fn options(&self, application: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("quay")
            .password("hunter2")
            .database("quay")
            .application_name(application)
    }
}

fn newest() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's postgresql");
    let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path().join("bin")).collect();
    all.retain(|programs| programs.join("postgres").exists());
    all.sort();
    all.pop().expect("Debian's postgresql")
}
