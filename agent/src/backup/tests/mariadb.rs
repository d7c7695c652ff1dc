//! Dumps of a real MariaDB by its own programs, and what is wrong with those
//! that lie.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions as _, Row as _};

use super::*;

/// As much of a registry as is counted, with what dumps are hard to read for.
const REGISTRY: &str = "\
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL); \
    INSERT INTO alembic_version VALUES ('5b7503aada1b'); \
    CREATE TABLE `user` (id BIGINT PRIMARY KEY, username VARCHAR(255)) CHARACTER SET utf8mb4; \
    INSERT INTO `user` VALUES (1, 'o''ne\\\\\n),(2,'), (2, 'zwei; -- ü'); \
    CREATE TABLE repository (id BIGINT PRIMARY KEY, name VARCHAR(255), of BIGINT, \
        FOREIGN KEY (of) REFERENCES `user` (id)); \
    INSERT INTO repository VALUES (1, 'first', 2); \
    CREATE TABLE repositorytag (id BIGINT PRIMARY KEY, name TEXT, raw LONGBLOB); \
    INSERT INTO repositorytag WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n \
        WHERE i < 40) SELECT i, 'tag', x'0027225c0aff' FROM n; \
    CREATE TABLE logentry (id BIGINT PRIMARY KEY); INSERT INTO logentry VALUES (1)";

/// The password has everything that files of options are hard to write for.
const PASSWORD: &str = r#"hun#ter2"' \ x"#;
const PASSWORD_IN_URI: &str = "hun%23ter2%22%27%20%5C%20x";

/// It ends with this value.
pub(super) struct Server {
    _directory: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// With a registry in a database `quay` of a user `quay`, who may do nothing
    /// else but see all sessions.
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let users = directory.path().join("users.sql");
        let password = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
        let text = format!(
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root');\nFLUSH PRIVILEGES;\n\
             CREATE DATABASE quay CHARACTER SET utf8mb4;\n\
             CREATE USER quay@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON quay.* TO quay@'%';\nGRANT PROCESS ON *.* TO quay@'%';\n"
        );
        std::fs::write(&users, text).unwrap();
        // The server refuses root.
        let owner = rustix::process::geteuid()
            .is_root()
            .then(|| std::fs::metadata("/var/lib/mysql").expect("Debian's mariadb-server"))
            .map(|owner| (owner.uid(), owner.gid()));
        if let Some((user, group)) = owner {
            for path in [directory.path(), &users] {
                chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let as_owner = |program: &str| {
            let mut command = Command::new(program);
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            let data = directory.path().join("data").display().to_string();
            command.args(["--no-defaults", "--skip-name-resolve", &format!("--datadir={data}")]);
            command.current_dir(directory.path()).env("TMPDIR", directory.path());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut install = as_owner("/usr/bin/mariadb-install-db");
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        assert!(install.status().unwrap().success(), "mariadb-install-db");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = as_owner("/usr/sbin/mariadbd");
        server.arg(format!("--init-file={}", users.display()));
        server.arg(format!("--socket={}", directory.path().join("socket").display()));
        server.args([&format!("--port={port}"), "--bind-address=127.0.0.1"]);
        server.args(["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"]);
        let child = server.spawn().unwrap();
        let server = Self { _directory: directory, child, port };
        while server.options().connect().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.execute(REGISTRY).await;
        server
    }

    fn options(&self) -> MySqlConnectOptions {
        MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("quay")
            .password(PASSWORD)
            .database("quay")
            .ssl_mode(MySqlSslMode::Disabled)
    }

    pub(super) fn rig(&self) -> Rig {
        let port = self.port;
        Rig::new(&format!("mysql+pymysql://quay:{PASSWORD_IN_URI}@127.0.0.1:{port}/quay"))
    }

    async fn connect(&self) -> MySqlConnection {
        self.options().connect().await.unwrap()
    }

    pub(super) async fn execute(&self, statements: &str) {
        let mut connection = self.connect().await;
        let statements = sqlx::AssertSqlSafe(statements.to_owned());
        connection.execute(sqlx::raw_sql(statements)).await.unwrap();
        connection.close().await.unwrap();
    }

    /// One text.
    pub(super) async fn one(&self, query: &str) -> String {
        let mut connection = self.connect().await;
        let query = sqlx::AssertSqlSafe(query.to_owned());
        let row = connection.fetch_one(sqlx::raw_sql(query)).await.unwrap();
        connection.close().await.unwrap();
        row.try_get_unchecked::<String, _>(0).unwrap()
    }
}

impl Rig {
    /// A program that dumps, and what it does to the dump.
    fn fake_mysqldump(&mut self, script: &str) {
        let path = self.fake_program("mariadb-dump", script);
        self.config.mysqldump = DumpProgram::At(path);
    }
}

#[tokio::test]
async fn a_mariadb_that_was_migrated_comes_back_with_every_row() {
    let server = Server::start().await;
    let mut rig = server.rig();
    let made = rig.back_up().await.unwrap();
    let backup = made.backup;
    assert!(!made.was_there);
    assert_eq!((backup.revision.as_str(), backup.rows), ("5b7503aada1b", 1 + 2 + 1 + 40));
    assert_eq!(rig.names(), [rig.run.to_string()]);

    // The login is in no file of it.
    let kept = files::verify(Path::new(&backup.directory)).await.unwrap().0.files;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["quay.sql"]);
    let dump = std::fs::read_to_string(Path::new(&backup.directory).join("quay.sql")).unwrap();
    assert!(!dump.contains("ter2"), "{dump}");

    // As it is: found. After a change: made anew, and only that one is kept.
    assert!(rig.back_up().await.unwrap().was_there);
    server.execute("INSERT INTO `user` VALUES (4, 'later')").await;
    let again = rig.back_up().await.unwrap();
    assert!(!again.was_there);
    assert_eq!((rig.names().len(), again.backup.rows), (1, backup.rows + 1));
    let wanted = "SELECT md5(group_concat(username, hex(raw) ORDER BY t.id, u.id)) \
                  FROM `user` u JOIN repositorytag t";
    let before = server.one(wanted).await;

    // What a migration does, half of it.
    server
        .execute(
            "UPDATE alembic_version SET version_num = 'c00a1f15968b'; \
             CREATE TABLE tagtorepositorytag (id BIGINT PRIMARY KEY, of BIGINT, \
                 FOREIGN KEY (of) REFERENCES repositorytag (id)); \
             CREATE VIEW lately AS SELECT * FROM repositorytag; DELETE FROM repositorytag; \
             ALTER TABLE repository DROP COLUMN name",
        )
        .await;
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    assert_eq!(server.one(wanted).await, before);
    assert_eq!(server.one("SELECT name FROM repository").await, "first");
    let left = "SELECT group_concat(table_name ORDER BY table_name) FROM information_schema.tables \
                WHERE table_schema = database()";
    let all = "alembic_version,logentry,repository,repositorytag,user";
    assert_eq!(server.one(left).await, all);
    // Once more, over what the first left.
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);

    // Somebody is on it; a dump whose agent is gone is such a one.
    let stranger = server.connect().await;
    let said = rig.restore(&again.backup).await.unwrap_err();
    assert!(said.starts_with("somebody is on the database: one of quay at 127.0.0.1;"), "{said}");
    // One that cluster.yaml names may stay.
    rig.expected = vec!["127.0.0.1".to_owned()];
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    // But not hold what has to be emptied.
    let mut stranger = stranger;
    for statement in ["START TRANSACTION", "SELECT * FROM repository"] {
        stranger.execute(sqlx::raw_sql(statement)).await.unwrap();
    }
    let said = rig.restore(&again.backup).await.unwrap_err();
    let held = "cannot empty the database: for 1 s a session held a lock on what has to be \
                dropped; on it is one of quay at 127.0.0.1; end";
    assert!(said.starts_with(held), "{said}");
    stranger.close().await.unwrap();
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
}

#[tokio::test]
async fn a_dump_that_does_not_hold_what_the_database_holds_is_refused() {
    let server = Server::start().await;
    let mut rig = server.rig();
    let mut said = Vec::new();
    let cases = [
        ("truncated", "sed -i '$d' \"$file\""),
        ("cut off in a row", "truncate -s -2000 \"$file\""),
        ("empty", ": >\"$file\""),
        ("a table left out", "sed -i '/^CREATE TABLE `logentry`/,/;$/d' \"$file\""),
        ("a row left out", "sed -i \"s/^(17,'tag',.*//\" \"$file\""),
        ("another revision", "sed -i s/5b7503aada1b/c00a1f15968b/ \"$file\""),
        ("nothing at all", "rm \"$file\""),
    ];
    for (what, how) in cases {
        rig.fake_mysqldump(&format!(
            "[ \"$1\" = --version ] && exec /usr/bin/mariadb-dump --version\n\
             for word; do case $word in --result-file=*) file=${{word#*=}};; esac; done\n\
             /usr/bin/mariadb-dump \"$@\" && {how}"
        ));
        said.push(format!("{what}: {}", rig.back_up().await.unwrap_err()));
        assert_eq!(rig.names(), [""; 0], "nothing is left of it");
    }
    // What a program says is told, and never the login that it was given.
    rig.fake_mysqldump(
        "[ \"$1\" = --version ] && exec /usr/bin/mariadb-dump --version\n\
         printf '%s\\n' \"No space left on device $(sed -n s/^password=//p \"${1#*=}\")\" >&2\n\
         printf '%s\\n' 'hun#ter2\"'\\'' \\ x' >&2; exit 2",
    );
    said.push(format!("a full disk: {}", rig.back_up().await.unwrap_err()));
    let place = rig.directory.path().display().to_string();
    let said = said.join("\n").replace(&place, "[dir]");
    assert!(!said.contains("ter2"), "{said}");
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn a_mysqldump_that_does_not_serve_is_named() {
    let server = Server::start().await;
    let mut rig = server.rig();
    let mut said = Vec::new();
    let cases = [
        "mysqldump  Ver 8.0.36 for Linux",
        "mysqldump  Ver 10.14 Distrib 5.5.68-MariaDB, for Linux",
    ];
    for version in cases {
        rig.fake_mysqldump(&format!("echo '{version}'"));
        said.push(rig.back_up().await.unwrap_err());
    }
    rig.config.mysqldump = DumpProgram::At("/nonexistent/mysqldump".into());
    said.push(rig.back_up().await.unwrap_err());
    let version = server.one("SELECT regexp_substr(version(), '^[0-9.]+')").await;
    let place = rig.directory.path().display().to_string();
    insta::assert_snapshot!(
        said.join("\n").replace(&place, "[dir]").replace(&version, "[version]")
    );
}
