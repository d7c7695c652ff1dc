#![expect(clippy::disallowed_methods, reason = "tests write and spoil files")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::time::Duration;

use quaymaster_proto::FileDigest;
use quaymaster_proto::act::ExpectedDatabase;
use quaymaster_proto::storage::StorageOrder;
use sqlx::{Connection as _, Executor as _};

use super::*;

mod both;
mod container;
mod mariadb;
mod server;
mod storage;

use self::server::Server;

/// An agent's view of a database, and where it puts backups.
struct Rig {
    directory: tempfile::TempDir,
    config: BackupConfig,
    settings: Settings,
    mounts: Vec<Mount>,
    run: RunId,
    dump: HostDump,
    notes: Mutex<Vec<String>>,
    expected: Vec<String>,
    is_restored: bool,
}

/// Over what had run.
fn ran(digit: char) -> FileDigest {
    String::from(digit).repeat(64).parse().unwrap()
}

impl Rig {
    fn new(uri: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let backups = directory.path().join("backups");
        files::make(&backups).unwrap();
        let root = Mount { source: "/".to_owned(), destination: "/".to_owned() };
        Self {
            config: BackupConfig {
                directory: backups,
                pg_dump: DumpProgram::Auto,
                mysqldump: DumpProgram::Auto,
                storage_hook: None,
            },
            settings: Settings::read(format!("DB_URI: '{uri}'\n").as_bytes()).unwrap(),
            mounts: vec![root],
            run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            dump: HostDump::default(),
            notes: Mutex::default(),
            expected: Vec::new(),
            is_restored: false,
            directory,
        }
    }

    /// Of a registry in a file.
    async fn on_sqlite() -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("quay.db");
        let mut rig = Self::new(&format!("sqlite:///{}", path.display()));
        let kept = rig.directory.path().join("quay.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        connection.execute(sqlx::raw_sql(server::REGISTRY)).await.unwrap();
        connection.close().await.unwrap();
        std::fs::rename(&path, &kept).unwrap();
        let uri = format!("DB_URI: 'sqlite:///{}'\n", kept.display());
        rig.settings = Settings::read(uri.as_bytes()).unwrap();
        rig
    }

    fn subject<'a>(
        &'a self,
        cluster: &'a ClusterName,
        node: &'a NodeName,
        progress: &'a (dyn Fn(u64, &str) + Send + Sync),
    ) -> Subject<'a> {
        Subject {
            config: &self.config,
            cluster,
            node,
            run: self.run,
            settings: &self.settings,
            mounts: &self.mounts,
            application: "quaymaster-agent/prod/quay-1",
            is_restored: self.is_restored,
            progress,
        }
    }

    async fn identity(&self) -> DatabaseIdentity {
        let asked = Asked::default();
        database::look(&self.settings, &self.mounts, "test", asked).await.unwrap().identity
    }

    async fn back_up(&self) -> Result<BackedUp, String> {
        self.back_up_over(ran('0')).await
    }

    async fn back_up_over(&self, ran: FileDigest) -> Result<BackedUp, String> {
        self.back_up_with(StorageOrder::Leave, ran).await
    }

    async fn back_up_with(
        &self,
        storage: StorageOrder,
        ran: FileDigest,
    ) -> Result<BackedUp, String> {
        let database = ExpectedDatabase {
            identity: self.identity().await,
            revisions: vec!["5b7503aada1b".to_owned()],
        };
        let (cluster, node) = ("prod".parse().unwrap(), "quay-1".parse().unwrap());
        let progress = |_: u64, note: &str| self.notes.lock().unwrap().push(note.to_owned());
        let subject = self.subject(&cluster, &node, &progress);
        let made = self.dump.back_up(subject, &BackUp { database, ran, storage }).await;
        made.map_err(|error| error.in_words())
    }

    async fn restore(&self, backup: &Backup) -> Result<u64, String> {
        let Backup { identity, manifest, .. } = backup.clone();
        let expected_sessions = self.expected.clone();
        let order = Restore { identity, manifest, expected_sessions };
        let (cluster, node) = ("prod".parse().unwrap(), "quay-1".parse().unwrap());
        let subject = self.subject(&cluster, &node, &|_, _| {});
        self.dump.restore(subject, &order).await.map_err(|error| error.in_words())
    }

    async fn check(&self, backup: &Backup) -> Result<Backup, String> {
        let Backup { identity, manifest, .. } = backup.clone();
        let (cluster, node) = ("prod".parse().unwrap(), "quay-1".parse().unwrap());
        let subject = self.subject(&cluster, &node, &|_, _| {});
        let checked = self.dump.check(subject, &CheckBackup { identity, manifest }).await;
        checked.map_err(|error| error.in_words())
    }

    /// What lies in the directory of backups.
    fn names(&self) -> Vec<String> {
        let names = self.config.directory.read_dir().unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn fake_pg_dump(&mut self, script: &str) {
        self.config.pg_dump = DumpProgram::At(self.fake_program("pg_dump", script));
    }

    /// A program of this host.
    fn fake_program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

#[tokio::test]
async fn a_database_that_was_migrated_comes_back_with_every_row() {
    let server = Server::start().await;
    let mut rig = Rig::new(&server.uri());
    let made = rig.back_up().await.unwrap();
    assert!(!made.was_there);
    let backup = made.backup;
    assert_eq!((backup.revision.as_str(), backup.rows), ("5b7503aada1b", 1 + 2 + 1 + 40));
    assert_eq!(rig.names(), [rig.run.to_string()]);
    let (found, problem, newest) = look_at_directory(&rig.config.directory);
    assert!(found.is_some() && problem.is_empty() && newest == Some(backup.ended));

    // The password is in no file of it.
    for name in files::verify(Path::new(&backup.directory)).await.unwrap().0.files.keys() {
        let bytes = std::fs::read(Path::new(&backup.directory).join(name)).unwrap();
        assert!(!bytes.windows(7).any(|seen| seen == b"hunter2"), "{name}");
    }

    // As it is: found. After a change: made anew, and only that one is kept.
    assert!(rig.back_up().await.unwrap().was_there);
    server.execute("INSERT INTO \"user\" VALUES (3, 'late'); DELETE FROM \"user\" WHERE id = 3; INSERT INTO \"user\" VALUES (4, 'later')").await;
    let again = rig.back_up().await.unwrap();
    assert!(!again.was_there);
    assert_eq!((rig.names().len(), again.backup.rows), (1, backup.rows + 1));

    // What a migration does, half of it.
    server
        .execute(
            "UPDATE alembic_version SET version_num = 'c00a1f15968b'; \
             CREATE TABLE tagtorepositorytag (id BIGINT PRIMARY KEY); \
             CREATE VIEW lately AS SELECT * FROM repositorytag; \
             CREATE TYPE mood AS ENUM ('good'); DELETE FROM repositorytag; \
             ALTER TABLE repository DROP COLUMN name",
        )
        .await;
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    let names = server.one("SELECT string_agg(name, ',' ORDER BY id) FROM repository").await;
    assert_eq!(names, "first");
    let left = server.one("SELECT to_regclass('tagtorepositorytag')::text").await;
    assert_eq!(left, "");
    // Once more, over what the first left.
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    // By an agent that has done it before: only where something is missing.
    rig.is_restored = true;
    server.execute("UPDATE repository SET name = 'other'").await;
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    assert_eq!(server.one("SELECT min(name) FROM repository").await, "other");
    server.execute("DELETE FROM \"user\"").await;
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    assert_eq!(server.one("SELECT min(name) FROM repository").await, "first");
    rig.is_restored = false;
    // Another backup than the one that was ordered.
    let said = rig.restore(&backup).await.unwrap_err();
    assert!(said.contains("is not the one that was ordered"), "{said}");

    // Somebody is on it.
    let stranger = server.connect("psql").await;
    let said = rig.restore(&again.backup).await.unwrap_err();
    assert!(said.starts_with("somebody is on the database: `psql` of quay"), "{said}");
    // One that cluster.yaml names may stay.
    rig.expected = vec!["psql".to_owned()];
    assert_eq!(rig.restore(&again.backup).await.unwrap(), again.backup.rows);
    // But not hold what has to be emptied.
    let mut stranger = stranger;
    let reads = sqlx::raw_sql("BEGIN; SELECT * FROM repository");
    stranger.execute(reads).await.unwrap();
    let said = rig.restore(&again.backup).await.unwrap_err();
    let held = "cannot empty the database: for 1 s a session held a lock on what has to be \
                dropped; on it is `psql` of quay; end";
    assert!(said.starts_with(held), "{said}");
    assert_eq!(server.one("SELECT count(*)::text FROM repository").await, "1");
    drop(stranger);

    let wrong = rig.settings.database().unwrap();
    assert!(wrong.shown_as().ends_with("/quay"));
}

#[tokio::test]
async fn a_pg_dump_that_does_not_serve_is_named() {
    let server = Server::start().await;
    let mut rig = Rig::new(&server.uri());
    rig.fake_pg_dump("echo 'pg_dump (PostgreSQL) 9.1.24'");
    let said = rig.back_up().await.unwrap_err();
    assert!(said.starts_with("pg_dump 9.1.24 ("), "{said}");
    assert!(said.contains("of this host is older than the server, which is PostgreSQL"), "{said}");
    assert!(said.contains("postgresql-client-N"), "{said}");

    rig.config.pg_dump = DumpProgram::At("/nonexistent/pg_dump".into());
    let said = rig.back_up().await.unwrap_err();
    assert!(said.starts_with("this host has no pg_dump for PostgreSQL"), "{said}");

    // What it says is told, and never the password that it was given.
    let old = server.version();
    rig.fake_pg_dump(&format!(
        "[ \"$1\" = --version ] && {{ echo 'pg_dump (PostgreSQL) {old}'; exit; }}\n\
         echo \"No space left on device $(cat $PGPASSFILE)\" >&2; exit 1"
    ));
    let said = rig.back_up().await.unwrap_err();
    assert!(said.contains("No space left on device *:*:*:*:***; make room there"), "{said}");
    assert_eq!(rig.names(), [""; 0], "nothing is left of it");
}

#[tokio::test]
async fn a_dump_ends_with_whoever_waits_for_it() {
    let server = Server::start().await;
    let mut rig = Rig::new(&server.uri());
    let (version, pids) = (server.version(), rig.directory.path().join("pids"));
    rig.fake_pg_dump(&format!(
        "[ \"$1\" = --version ] && {{ echo 'pg_dump (PostgreSQL) {version}'; exit; }}\n\
         sleep 1000 & echo $! > {0}.part; mv {0}.part {0}; wait",
        pids.display()
    ));
    let begun = async {
        while !pids.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = rig.back_up() => panic!("{ended:?}"),
        () = begun => {}
    }
    let worker = format!("/proc/{}", std::fs::read_to_string(&pids).unwrap().trim());
    while is_alive(Path::new(&worker)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.names(), [""; 0], "nothing is left of it");
}

/// An ended process that nobody has waited for is none.
fn is_alive(process: &Path) -> bool {
    let about = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    !about.is_empty() && !about.contains(") Z ")
}

#[tokio::test]
async fn a_backup_that_was_spoiled_is_found_by_what_is_wrong_with_it() {
    let rig = Rig::on_sqlite().await;
    let backup = rig.back_up().await.unwrap().backup;
    let file = Path::new(&backup.directory).join("quay.db");
    let manifest = Path::new(&backup.directory).join("manifest.json");
    let (sound, text) = (std::fs::read(&file).unwrap(), std::fs::read(&manifest).unwrap());
    let mut said = Vec::new();
    let mut spoil = async |what: &str, bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let words = rig.restore(&backup).await.unwrap_err();
        said.push(format!("{what}: {words}"));
    };
    spoil("truncated", Some(&sound[..sound.len() / 2])).await;
    spoil("empty", Some(b"")).await;
    let mut other = sound.clone();
    other[5000] ^= 1;
    spoil("corrupted", Some(&other)).await;
    spoil("missing", None).await;
    std::fs::write(&file, &sound).unwrap();

    let foreign = String::from_utf8(text.clone()).unwrap().replace("\"sqlite:/", "\"sqlite:/x/");
    let spoiled: [(&str, &[u8]); 3] =
        [("foreign", foreign.as_bytes()), ("no JSON", b"{"), ("cut short", &text[..200])];
    for (what, bytes) in spoiled {
        std::fs::write(&manifest, bytes).unwrap();
        said.push(format!("{what}: {}", rig.restore(&backup).await.unwrap_err()));
    }
    std::fs::remove_file(&manifest).unwrap();
    said.push(format!("none: {}", rig.restore(&backup).await.unwrap_err()));

    // None of that is taken for a backup when one is asked for again.
    let again = rig.back_up().await.unwrap();
    assert!(!again.was_there);
    assert_eq!(rig.restore(&again.backup).await.unwrap(), backup.rows);
    let place = rig.directory.path().display().to_string();
    insta::assert_snapshot!(said.join("\n").replace(&place, "[dir]"));
}

#[tokio::test]
async fn a_directory_that_is_of_no_use_is_told_before_anything_is_dumped() {
    let mut rig = Rig::on_sqlite().await;
    let mut said = Vec::new();
    for place in ["missing", "quay.db"] {
        rig.config.directory = rig.directory.path().join(place);
        said.push(rig.back_up().await.unwrap_err());
        said.push(look_at_directory(&rig.config.directory).1);
    }
    let needed = quaymaster_proto::backup::needed_bytes("sqlite", u64::MAX);
    said.push(files::has_room(rig.directory.path(), needed).unwrap_err().to_string());
    let place = rig.directory.path().display().to_string();
    let said = said.join("\n").replace(&place, "[dir]");
    let free = without_numbers(&said);
    insta::assert_snapshot!(free);
}

/// Free bytes differ from host to host.
fn without_numbers(said: &str) -> String {
    let words: Vec<&str> = said.split(' ').collect();
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    words
        .into_iter()
        .map(|word| if is_number(word) { "[n]" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn a_backup_is_made_anew_where_something_has_run_since() {
    let rig = Rig::on_sqlite().await;
    let first = rig.back_up().await.unwrap();
    assert!(!first.was_there);
    assert!(rig.back_up().await.unwrap().was_there);
    // Every count is as it was.
    let anew = rig.back_up_over(ran('1')).await.unwrap();
    assert!(!anew.was_there);
    assert!(anew.backup.begun >= first.backup.ended);
    assert_eq!(rig.names(), [rig.run.to_string()]);
    assert!(!rig.back_up().await.unwrap().was_there, "of the first one nothing is left");
}

#[tokio::test]
async fn another_database_or_revision_is_not_backed_up() {
    let rig = Rig::on_sqlite().await;
    let (cluster, node) = ("prod".parse().unwrap(), "quay-1".parse().unwrap());
    let ask = async |identity: DatabaseIdentity, revision: &str| {
        let subject = rig.subject(&cluster, &node, &|_, _| {});
        let database = ExpectedDatabase { identity, revisions: vec![revision.to_owned()] };
        rig.dump
            .back_up(subject, &BackUp { database, ran: ran('0'), storage: StorageOrder::Leave })
            .await
            .unwrap_err()
            .to_string()
    };
    let said = ask(DatabaseIdentity::new("postgresql:1/2").unwrap(), "5b7503aada1b").await;
    assert!(said.contains("not postgresql:1/2"), "{said}");
    let said = ask(rig.identity().await, "c00a1f15968b").await;
    assert!(said.ends_with("is at revision `5b7503aada1b`, not at c00a1f15968b"), "{said}");
}
