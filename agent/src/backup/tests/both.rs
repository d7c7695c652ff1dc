//! What holds for a real PostgreSQL and a real MariaDB alike.

use super::*;

/// One of the two.
enum On {
    Postgres(Server),
    Mariadb(mariadb::Server),
}

impl On {
    async fn postgres() -> Self {
        Self::Postgres(Server::start().await)
    }

    async fn mariadb() -> Self {
        Self::Mariadb(mariadb::Server::start().await)
    }

    async fn another(&self) -> Self {
        match self {
            Self::Postgres(_) => Self::postgres().await,
            Self::Mariadb(_) => Self::mariadb().await,
        }
    }

    fn rig(&self) -> Rig {
        match self {
            Self::Postgres(server) => Rig::new(&server.uri()),
            Self::Mariadb(server) => server.rig(),
        }
    }

    async fn execute(&self, statements: &str) {
        match self {
            Self::Postgres(server) => server.execute(statements).await,
            Self::Mariadb(server) => server.execute(statements).await,
        }
    }

    async fn tags(&self) -> String {
        match self {
            Self::Postgres(server) => server.one("SELECT count(*)::text FROM repositorytag").await,
            Self::Mariadb(server) => {
                server.one("SELECT cast(count(*) AS char) FROM repositorytag").await
            }
        }
    }

    /// The program that restores, as it is called.
    fn restorer(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "pg_restore",
            Self::Mariadb(_) => "mariadb",
        }
    }

    /// As it is on this host.
    fn real(&self, name: &str) -> String {
        match self {
            Self::Postgres(server) => server.program(name).display().to_string(),
            Self::Mariadb(_) => format!("/usr/bin/{name}"),
        }
    }

    /// Has the rig use programs of its own place, which do what the real ones do.
    fn own_programs(&self, rig: &mut Rig) {
        let exec = |name: &str| format!("exec {} \"$@\"", self.real(name));
        match self {
            Self::Postgres(_) => {
                rig.config.pg_dump = DumpProgram::At(rig.fake_program("pg_dump", &exec("pg_dump")));
            }
            Self::Mariadb(_) => {
                let dump = rig.fake_program("mariadb-dump", &exec("mariadb-dump"));
                rig.config.mysqldump = DumpProgram::At(dump);
            }
        }
        rig.fake_program(self.restorer(), &exec(self.restorer()));
    }

    /// Puts half of the dump into the database, and fails.
    fn breaks_off(&self) -> String {
        let real = self.real(self.restorer());
        match self {
            Self::Postgres(_) => format!(
                "case \"$*\" in *--dbname*) {real} --section=pre-data \"$@\"; exit 1;; esac\n\
                 exec {real} \"$@\""
            ),
            Self::Mariadb(_) => format!(
                "case \"$*\" in *--version*|*--execute*) exec {real} \"$@\";; esac\n\
                 head -n 40 | {real} --force \"$@\"; exit 1"
            ),
        }
    }

    /// The largest file of a backup's dump.
    fn file(&self, backup: &Backup) -> PathBuf {
        let directory = Path::new(&backup.directory);
        match self {
            Self::Mariadb(_) => directory.join("quay.sql"),
            Self::Postgres(_) => {
                let files = directory.join("dump").read_dir().unwrap().map(|file| file.unwrap());
                files.max_by_key(|file| file.metadata().unwrap().len()).unwrap().path()
            }
        }
    }
}

/// Also when it is gone, or of no use, only when the restore has begun.
async fn a_restorer_that_is_gone_is_told_before_anything_is_emptied(on: On) {
    let mut rig = on.rig();
    on.own_programs(&mut rig);
    let backup = rig.back_up().await.unwrap().backup;
    assert_eq!(rig.check(&backup).await.unwrap(), backup);
    let restorer = rig.directory.path().join(on.restorer());
    std::fs::remove_file(&restorer).unwrap();
    for said in [rig.check(&backup).await.unwrap_err(), rig.restore(&backup).await.unwrap_err()] {
        assert!(
            said.contains(on.restorer()) && said.contains("to restore what it dumps"),
            "{said}"
        );
    }
    assert_eq!(on.tags().await, "40");

    // It is there, but cannot log in.
    let real = on.real(on.restorer());
    let cannot = format!("[ \"$1\" = --version ] && exec {real} \"$@\"; exit 1");
    rig.fake_program(on.restorer(), &cannot);
    rig.restore(&backup).await.unwrap_err();
    assert_eq!(on.tags().await, "40");
}

#[tokio::test]
async fn a_pg_restore_that_is_gone_is_told_before_anything_is_emptied() {
    a_restorer_that_is_gone_is_told_before_anything_is_emptied(On::postgres().await).await;
}

#[tokio::test]
async fn a_client_of_mariadb_that_is_gone_is_told_before_anything_is_emptied() {
    a_restorer_that_is_gone_is_told_before_anything_is_emptied(On::mariadb().await).await;
}

async fn a_restore_that_broke_off_is_ended_by_asking_again(on: On) {
    let mut rig = on.rig();
    on.own_programs(&mut rig);
    let backup = rig.back_up().await.unwrap().backup;
    rig.fake_program(on.restorer(), &on.breaks_off());
    rig.restore(&backup).await.unwrap_err();
    on.own_programs(&mut rig);
    on.execute("CREATE TABLE half_way (id BIGINT PRIMARY KEY)").await;
    assert_eq!(rig.restore(&backup).await.unwrap(), backup.rows);
    assert_eq!(on.tags().await, "40");
    assert_eq!(rig.names(), [rig.run.to_string()], "no login is left");
}

#[tokio::test]
async fn a_restore_into_postgres_that_broke_off_is_ended_by_asking_again() {
    a_restore_that_broke_off_is_ended_by_asking_again(On::postgres().await).await;
}

#[tokio::test]
async fn a_restore_into_mariadb_that_broke_off_is_ended_by_asking_again() {
    a_restore_that_broke_off_is_ended_by_asking_again(On::mariadb().await).await;
}

/// By the look that is taken while everything serves, and by a restore.
async fn a_dump_that_was_spoiled_on_the_disk_is_found(on: On) {
    let rig = on.rig();
    let backup = rig.back_up().await.unwrap().backup;
    let file = on.file(&backup);
    let sound = std::fs::read(&file).unwrap();
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    let spoiled: [(&str, &[u8]); 4] = [
        ("is truncated", &sound[..sound.len() - 1]),
        ("is truncated", b""),
        ("is corrupted", &flipped),
        ("is corrupted", &[&sound[..], b"x"].concat()),
    ];
    let spoils = async |how: &str| {
        for said in [rig.check(&backup).await, rig.restore(&backup).await.map(|_| backup.clone())] {
            let said = said.unwrap_err();
            assert!(said.contains(how), "{how}: {said}");
        }
    };
    for (how, bytes) in spoiled {
        std::fs::write(&file, bytes).unwrap();
        spoils(how).await;
    }
    std::fs::remove_file(&file).unwrap();
    spoils("is missing").await;
    std::fs::write(&file, &sound).unwrap();

    // Another server's.
    let other = on.another().await;
    let mut there = other.rig();
    there.config.directory.clone_from(&rig.config.directory);
    let ordered = Backup { identity: there.identity().await, ..backup.clone() };
    let restored = there.restore(&ordered).await.map(|_| backup.clone());
    for said in [there.check(&ordered).await, restored] {
        let said = said.unwrap_err();
        assert!(said.starts_with("the backup is not sound: it is of database "), "{said}");
    }
    // What it was made of is not this server's, whatever the order says.
    let said = there.check(&backup).await.unwrap_err();
    assert!(said.starts_with("this node reaches database "), "{said}");
    assert_eq!(rig.restore(&backup).await.unwrap(), backup.rows);
}

#[tokio::test]
async fn a_dump_of_postgres_that_was_spoiled_on_the_disk_is_found() {
    a_dump_that_was_spoiled_on_the_disk_is_found(On::postgres().await).await;
}

#[tokio::test]
async fn a_dump_of_mariadb_that_was_spoiled_on_the_disk_is_found() {
    a_dump_that_was_spoiled_on_the_disk_is_found(On::mariadb().await).await;
}
