//! MySQL and MariaDB: dumped and restored by the host's own programs.
//!
//! The login goes to them in an option file of its own, which is gone when they
//! end, never on a command line or in an environment, and no option file of the
//! host's is read. TLS is as Quay's own settings have it.
//!
//! Neither program can say whose session its own is: no lock is taken in it, as
//! agents take theirs. A dump that outlives its agent is a nameless session of
//! Quay's user, which no dark gate passes.

mod empty;
mod lexer;
mod options;
mod script;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use quaymaster_proto::mysql_version::MysqlKind;
use sqlx::mysql::MySqlConnectOptions;

use self::empty::NotEmpty;
use self::options::Tls;
use self::script::{Broken, Dumped, Script};
use super::child::Job;
use super::error::{BackupError, Unsound};
use super::files::{self, Draft};
use super::key_tables::KEY_TABLES;
use super::manifest::{Counted, Live, Manifest, Rows};
use super::passwords::PasswordFile;
use super::programs::{self, MysqlProgram};
use super::{Subject, free};
use crate::quay::database::{self, LookError};
use crate::quay::database_uri::{DatabaseUri, ServerUri};
use crate::secret::Secret;

/// The dump, in a backup's directory: plain, so that a person can read it and
/// any client take it.
const DUMP: &str = "quay.sql";

/// One moment of all tables, row by row; what their own clients take back.
///
/// - no tablespaces: to list them takes a further privilege, and Quay has none
/// - no locks: to restore them takes one too, and nobody else is there
/// - no events: Quay has none, and a restore leaves them alone
const HOW: [&str; 10] = [
    "--single-transaction",
    "--quick",
    "--hex-blob",
    "--routines",
    "--triggers",
    "--no-tablespaces",
    "--skip-add-locks",
    "--comments",
    "--default-character-set=utf8mb4",
    LARGEST_ROW,
];

/// MySQL's programs alone: an older server has no such statistics, and what its
/// replicas have seen is not for another one. Before 8.0 they know only one.
const HOW_MYSQL: [&str; 2] = ["--loose-column-statistics=0", "--loose-set-gtid-purged=OFF"];

/// As large as either side takes.
const LARGEST_ROW: &str = "--max-allowed-packet=1G";

/// A database behind a server, and what this host has for it.
pub(super) struct Source {
    server: ServerUri,
    session: MySqlConnectOptions,
    tls: Tls,
    programs: Vec<MysqlProgram>,
}

impl Source {
    pub(super) fn new(
        server: ServerUri,
        subject: &Subject<'_>,
        programs: Vec<MysqlProgram>,
    ) -> Result<Self, BackupError> {
        let Subject { settings, mounts, .. } = subject;
        let arguments = settings.connection_arguments();
        let session = database::mysql_options(&server, &arguments, mounts)?;
        let on_host = |path: &Option<String>| {
            let path = path.as_ref().map(|path| database::host_path(mounts, Path::new(path)));
            path.transpose()
        };
        let tls = Tls {
            kind: arguments.mysql_tls,
            ca: on_host(&arguments.ssl_root_certificate)?,
            certificate: on_host(&arguments.ssl_certificate)?,
            key: on_host(&arguments.ssl_key)?,
        };
        Ok(Self { server, session, tls, programs })
    }

    /// For people.
    pub(super) fn shown_as(&self) -> String {
        DatabaseUri::Server(self.server.clone()).shown_as()
    }

    /// For the manifest.
    pub(super) fn tool(&self) -> String {
        let all = self.programs.iter().map(|program| program.version.to_string());
        format!("mysqldump, of {}", all.collect::<Vec<_>>().join(", "))
    }

    /// Rows of the key tables, every table's name, and the database's size.
    pub(super) async fn count(&self) -> Result<Counted, BackupError> {
        let found = database::mysql_contents(&self.session, KEY_TABLES).await;
        let found = found.map_err(|error| self.clean(error))?;
        let database::Contents { tables, rows, size_bytes } = found;
        Ok(Counted { rows, size_bytes, schema: String::new(), tables })
    }

    pub(super) async fn dump(
        &self,
        draft: &Draft,
        live: &Live,
        progress: &(dyn Fn(u64, &str) + Send + Sync),
    ) -> Result<(), BackupError> {
        let program = programs::choose_mysql(&live.server_version, &self.programs)?;
        // Gone before the files are counted.
        let login = self.login(draft.path(), program.version.kind)?;
        let mut arguments = vec![defaults(&login)];
        arguments.extend(HOW.map(OsString::from));
        if program.version.kind == MysqlKind::Mysql {
            arguments.extend(HOW_MYSQL.map(OsString::from));
        }
        let mut file = OsString::from("--result-file=");
        file.push(draft.path().join(DUMP));
        arguments.extend([file, OsString::from(&self.server.name)]);
        self.job(&program.dump, arguments).run(|| progress(draft.bytes(), "")).await
    }

    /// Every byte of the dump, as its client would read it.
    pub(super) async fn read_back(
        &self,
        directory: &Path,
        live: &Live,
    ) -> Result<Rows, BackupError> {
        let path = directory.join(DUMP);
        let Dumped { tables, rows, revision } = files::aside(move || read(&path)).await?;
        if let Some(table) = live.tables.difference(&tables).next() {
            return Err(Unsound::NoTable { table: table.clone() }.into());
        }
        if revision != live.revision {
            let live = live.revision.clone();
            return Err(Unsound::Revision { live, dump: revision }.into());
        }
        Ok(rows)
    }

    /// The program that restores it.
    pub(super) async fn restorer(&self, manifest: &Manifest) -> Result<PathBuf, BackupError> {
        let program = programs::choose_mysql(&manifest.live.server_version, &self.programs)?;
        program.client().await
    }

    /// Empties the database, and fills it from a dump.
    pub(super) async fn restore(
        &self,
        scratch: &Draft,
        directory: &Path,
        manifest: &Manifest,
    ) -> Result<(), BackupError> {
        let program = programs::choose_mysql(&manifest.live.server_version, &self.programs)?;
        let path = directory.join(DUMP);
        let dump = files::open(&path).map_err(BackupError::files("read", &path))?;
        let login = self.login(scratch.path(), program.version.kind)?;
        let client = program.client().await?;
        let arguments = || {
            let set = "--default-character-set=utf8mb4".into();
            vec![defaults(&login), set, LARGEST_ROW.into(), OsString::from(&self.server.name)]
        };
        // It may fail to log in where the agent does not: that is no time for an empty database.
        let mut nothing = arguments();
        nothing.push("--execute=DO 0".into());
        self.job(&client, nothing).run(|| {}).await?;
        match empty::empty(&self.session).await {
            Ok(()) => {}
            Err(NotEmpty::Locked) => return Err(free::locked(self.ground().await)),
            Err(NotEmpty::Failed(error)) => return Err(self.clean(error)),
        }
        self.job(&client, arguments()).fed(dump).run(|| {}).await
    }

    /// Which database this is and who is on it, whatever state it is in.
    pub(super) async fn ground(&self) -> Result<database::Ground, BackupError> {
        database::mysql_ground(&self.session).await.map_err(|error| self.clean(error))
    }

    fn job<'a>(&'a self, program: &'a Path, arguments: Vec<OsString>) -> Job<'a> {
        let environment =
            vec![("LC_ALL", OsString::from("C")), ("PATH", OsString::from("/usr/bin:/bin"))];
        let password = self.server.password.as_ref();
        let written = password.map(|password| Secret::new(options::quoted(password.expose())));
        let secrets = written.into_iter().chain(password.cloned()).collect();
        Job { program, arguments, environment, secrets, input: None, within: None }
    }

    fn login(&self, directory: &Path, kind: MysqlKind) -> Result<PasswordFile, BackupError> {
        PasswordFile::write(directory, ".my.cnf", &options::file(&self.server, &self.tls, kind))
    }

    fn clean(&self, error: LookError) -> BackupError {
        let password = self.server.password.as_ref().map(Secret::expose);
        error.without(password.unwrap_or_default()).into()
    }
}

/// It has to come first, and keeps the host's own option files out.
fn defaults(login: &PasswordFile) -> OsString {
    let mut argument = OsString::from("--defaults-file=");
    argument.push(login.path());
    argument
}

fn read(path: &PathBuf) -> Result<Dumped, BackupError> {
    let failed = || BackupError::files("read", path);
    if !path.exists() {
        return Err(Unsound::Missing { file: DUMP.to_owned() }.into());
    }
    let mut file = files::open(path).map_err(failed())?;
    let (mut script, mut buffer) = (Script::default(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer).map_err(failed())? {
            0 => break,
            count => script.read(&buffer[..count]),
        }
    }
    script.end().map_err(|broken| match broken {
        Broken::NoTrailer => Unsound::NoTrailer { file: DUMP.to_owned() }.into(),
        Broken::Rows { table } => Unsound::Unreadable { table }.into(),
    })
}
