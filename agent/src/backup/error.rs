//! Why a backup or a restore was not made, in words with what to do.

use std::io;
use std::path::PathBuf;

use super::storage::StorageError;
use crate::engine::EngineError;
use crate::quay::database::LookError;

/// The program that dumps PostgreSQL.
pub(super) const POSTGRES: &str = "pg_dump";

/// What to do about a full disk.
const ROOM: &str = "make room there, or set backup.directory in agent.yaml to another disk";

/// How MySQL's and MariaDB's programs say ENOSPC and EDQUOT.
const FULL: [&str; 4] = ["errno 28", "Errcode: 28", "errno 122", "Errcode: 122"];

/// Why a backup or a restore was not made. No text in here holds a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The directory is of no use.
    #[error("cannot {verb} `{}`", path.display())]
    Files {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A dump may not fit.
    #[error("`{}` has {} free, and the backup may take {}", directory.display(), megabytes(*free), megabytes(*needed))]
    NoRoom {
        /// Where backups are put.
        directory: PathBuf,
        /// In bytes.
        free: u64,
        /// In bytes.
        needed: u64,
    },
    /// There is no such program at all.
    #[error("this host has no {program} for {server}")]
    NoProgram {
        /// Which.
        program: &'static str,
        /// The server and its version.
        server: String,
    },
    /// All that are there are older than the server.
    #[error("{program} {found} of this host is older than the server, which is {server}")]
    TooOld {
        /// Which.
        program: &'static str,
        /// The server and its version.
        server: String,
        /// Each version.
        found: String,
    },
    /// All that are there are MySQL's for MariaDB, or the other way round.
    #[error("{found} of this host does not serve the server, which is {server}")]
    OtherKind {
        /// The server and its version.
        server: String,
        /// Each version.
        found: String,
    },
    /// The program that would restore what another one dumped is not there.
    #[error("no {wanted} of its kind that runs lies beside `{}` to restore what it dumps", dump.display())]
    NoRestorer {
        /// What dumps.
        dump: PathBuf,
        /// What it is called.
        wanted: String,
    },
    /// A program failed.
    #[error("`{program}` failed ({status}): {said}")]
    Program {
        /// Which.
        program: String,
        /// As the system says it.
        status: String,
        /// Its last words.
        said: String,
    },
    /// A program could not be run.
    #[error("cannot run `{}`", program.display())]
    Run {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program of an image could not be run.
    #[error("cannot run {program}")]
    Container {
        /// Which.
        program: String,
        /// Why.
        source: EngineError,
    },
    /// The database cannot be looked into.
    #[error(transparent)]
    Look(#[from] LookError),
    /// It is a standby.
    #[error("{shown_as} is a standby")]
    Standby {
        /// Which.
        shown_as: String,
    },
    /// It is not the plan's.
    #[error("this node reaches database {found}, not {wanted}")]
    OtherDatabase {
        /// The plan's.
        wanted: String,
        /// This node's.
        found: String,
    },
    /// It is not where the plan found it.
    #[error("{shown_as} is at revision `{found}`, not at {}", .wanted.join(" or "))]
    Revision {
        /// Which database.
        shown_as: String,
        /// Where it is.
        found: String,
        /// Where it should be.
        wanted: Vec<String>,
    },
    /// Somebody wrote into it.
    #[error("somebody changed the database meanwhile: `{table}` had {before}, and has {after}")]
    Changed {
        /// Which table.
        table: String,
        /// Before.
        before: String,
        /// After.
        after: String,
    },
    /// Somebody is on it.
    #[error("somebody is on the database: {}", .sessions.join(", "))]
    InUse {
        /// Each.
        sessions: Vec<String>,
    },
    /// Nobody is on it but whom somebody expects, and one of those holds a lock.
    #[error(
        "cannot empty the database: for {seconds} s a session held a lock on what has to be \
         dropped; on it {}",
        on_it(sessions)
    )]
    Locked {
        /// How long it was waited.
        seconds: u32,
        /// Each session but the agents'.
        sessions: Vec<String>,
    },
    /// The kept backup is not the one that was ordered.
    #[error("the backup in `{directory}` is not the one that was ordered")]
    OtherBackup {
        /// Where.
        directory: String,
    },
    /// A file beside config.yaml cannot be copied.
    #[error("cannot keep a copy of `{}`", path.display())]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory of config.yaml is not one of configuration alone.
    #[error(
        "cannot keep a copy of `{}`: it holds more than {files} files or {}",
        directory.display(),
        megabytes(*bytes)
    )]
    TooMuch {
        /// Which.
        directory: PathBuf,
        /// At most.
        files: usize,
        /// At most.
        bytes: u64,
    },
    /// Nothing was kept of the storage.
    #[error("the storage is not backed up")]
    Storage(#[from] StorageError),
    /// A dump that was just made is not whole.
    #[error("the dump that was just made is not sound")]
    Dump(#[source] Unsound),
    /// A backup is not whole.
    #[error("the backup is not sound")]
    Unsound(#[from] Unsound),
}

/// Why a backup is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    /// It has no manifest.
    #[error("`{}` cannot be read", path.display())]
    NoManifest {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its manifest is none.
    #[error("`{}` is not the manifest of a backup", path.display())]
    BadManifest {
        /// Which file.
        path: PathBuf,
    },
    /// A file is not there.
    #[error("its file `{file}` is missing")]
    Missing {
        /// Which.
        file: String,
    },
    /// A file was cut off.
    #[error("its file `{file}` is truncated: {found} bytes of {kept}")]
    Truncated {
        /// Which.
        file: String,
        /// In the manifest.
        kept: u64,
        /// On the disk.
        found: u64,
    },
    /// A file is another one.
    #[error("its file `{file}` is corrupted: its sha256 is another one")]
    Corrupted {
        /// Which.
        file: String,
    },
    /// A file should not be there.
    #[error("a file `{file}` is among its own that its manifest does not name")]
    Stranger {
        /// Which.
        file: String,
    },
    /// A dump does not say that it came to its end.
    #[error("its file `{file}` is truncated: it does not end as a whole dump does")]
    NoTrailer {
        /// Which.
        file: String,
    },
    /// A dump's words make no sense.
    #[error("the rows of table `{table}` in the dump cannot be read")]
    Unreadable {
        /// Which.
        table: String,
    },
    /// A dump does not make what the database has.
    #[error("table `{table}` is not in the dump")]
    NoTable {
        /// Which.
        table: String,
    },
    /// It holds nothing.
    #[error("it is empty: it holds no row")]
    Empty,
    /// It is of another database.
    #[error("it is of database {found}, not of {wanted}")]
    Foreign {
        /// In the manifest.
        found: String,
        /// The one in question.
        wanted: String,
    },
    /// It does not hold what the database held.
    #[error("table `{table}`: {live} in the database, {dump} in the dump")]
    Rows {
        /// Which.
        table: String,
        /// In the database.
        live: String,
        /// In the dump.
        dump: String,
    },
    /// Its revision is another one.
    #[error("the dump is at revision `{dump}`, the database at `{live}`")]
    Revision {
        /// In the database.
        live: String,
        /// In the dump.
        dump: String,
    },
}

impl BackupError {
    /// Of a program that was run.
    pub(super) fn files(
        verb: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { verb, path, source }
    }

    /// Of a dump that nobody has kept yet.
    pub(super) fn just_made(self) -> Self {
        if let Self::Unsound(unsound) = self { Self::Dump(unsound) } else { self }
    }

    /// Why, and what to do, in one line.
    pub(crate) fn in_words(&self) -> String {
        let what = quaymaster_proto::in_a_line(self);
        match self.remedy() {
            "" => what,
            remedy => format!("{what}; {remedy}"),
        }
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Files { source, .. } => of_files(source.kind()),
            Self::NoRoom { .. } => ROOM,
            Self::NoProgram { program, .. } | Self::TooOld { program, .. }
                if *program == POSTGRES =>
            {
                "install the client programs of the server's major version on this node (Debian: \
                 postgresql-client-N; Red Hat: postgresqlN), or name a newer one in \
                 backup.pg_dump of agent.yaml"
            }
            Self::NoProgram { .. } | Self::TooOld { .. } | Self::OtherKind { .. } => {
                "install the client programs of the server's own kind and version on this node \
                 (MariaDB: mariadb-client or mariadb; MySQL: mysql-community-client or mysql), or \
                 name them in backup.mysqldump of agent.yaml"
            }
            Self::NoRestorer { .. } => {
                "install the whole package of client programs on this node again, or name in \
                 backup.pg_dump or backup.mysqldump of agent.yaml one that has it beside it"
            }
            Self::Program { said, .. } if said.contains("No space left on device") => ROOM,
            // MariaDB's and MySQL's programs say the system's number alone.
            Self::Program { said, .. } if FULL.iter().any(|full| said.contains(full)) => {
                "that is a full disk: make room there, or set backup.directory in agent.yaml to \
                 another disk"
            }
            Self::Program { .. } => "see the server's log too",
            Self::Run { .. } => {
                "let the agent's user run it, or name another in backup.pg_dump or \
                                 backup.mysqldump"
            }
            Self::Container { .. } => {
                "see the engine, and the image in backup.pg_dump of agent.yaml"
            }
            Self::Look(_) => "",
            Self::Storage(error) => error.remedy(),
            Self::Standby { .. } => "let DB_URI lead to the primary",
            Self::OtherDatabase { .. } | Self::Revision { .. } => {
                "let DB_URI of every node lead to the one database, and plan again"
            }
            Self::Changed { .. } => {
                "end whatever writes into it: every Quay of the cluster, its mirrors, scripts"
            }
            Self::InUse { .. } => {
                "end these sessions first (a dump of an agent that is gone calls itself \
                 quaymaster-backup)"
            }
            Self::Locked { .. } => {
                "end the session that holds it (one that idles in a transaction, most often), then \
                 resume: the restore is begun anew"
            }
            Self::OtherBackup { .. } => "see who changed it",
            Self::Unread { .. } => {
                "let the agent's user read it, as its unit does, or take it out of config.yaml's \
                 directory"
            }
            Self::TooMuch { .. } => "move out of it what is no configuration of Quay's",
            Self::Dump(_) => {
                "nothing of it is kept; see the program that made it and the disk, then plan again"
            }
            Self::Unsound(_) => "do not restore it; see the disk that holds it",
        }
    }
}

fn of_files(kind: io::ErrorKind) -> &'static str {
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return ROOM;
    }
    if kind == io::ErrorKind::NotFound {
        return "make backup.directory of agent.yaml: install -d -o quaymaster -g quaymaster \
                -m 0700";
    }
    "let the agent's user write in backup.directory of agent.yaml; its unit names it in \
     ReadWritePaths="
}

fn on_it(sessions: &[String]) -> String {
    match sessions {
        [] => "is nobody else now".to_owned(),
        [one] => format!("is {one}"),
        several => format!("are {}", several.join(", ")),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
