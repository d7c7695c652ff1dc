//! One start of Quay: configuration, refusals, migration, listeners, and the slow way to healthy.
//! Nothing listens before the migration is through (quay-facts 1.3).
#![expect(clippy::disallowed_methods, reason = "an effect room: a start reads files and waits")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::answers::Phase;
use super::backfill;
use super::config::QuayConfig;
use super::database::{Database, DatabaseError};
use super::log;
use super::migration::{Migration, chain};
use super::paths::Paths;
use super::registry::Store;
use super::release::{FULL_BACKFILL, Release};
use super::schema;
use super::serve::{self, Serving, SharedPhase};
use super::settings::{Settings, Timing, published};
use super::witnessed::Witnessed;
use crate::record::QuayEvent;

const CONFIG: &str = "/conf/stack/config.yaml";
const STORAGE: &str = "/datastorage";
/// What a container that has run leaves in its /tmp, and trips over (quay-observed 6).
const JWTPROXY_SOCKET: &str = "jwtproxy_secscan.sock";

/// The init scripts before and after the migration (quay-facts 2.1).
const SCRIPTS_BEFORE: [&str; 5] = [
    "02_get_kube_certs.sh",
    "certs_create.sh",
    "certs_install.sh",
    "copy_config_files.sh",
    "nginx_conf_create.sh",
];
const MIGRATION_SCRIPT: &str = "runmigration.sh";
const SCRIPTS_AFTER: [&str; 2] = ["supervisord_conf_create.sh", "zz_boot.sh"];

/// Where in the time of a start things happen, as parts of it; observed at 4, 10.7, 55, 58 and
/// 60.5 s of a container (quay-observed 3 and 6).
const MIGRATES_AT: f64 = 0.07;
const LISTENS_AT: f64 = 0.18;
const WEB_AT: f64 = 0.91;
const VERBS_AT: f64 = 0.95;
/// How often a Quay that is up asks itself whether its database lets it be healthy.
const SELF_CHECK: Duration = Duration::from_millis(100);

/// The start has failed; the container exits with 255.
#[derive(Debug)]
pub(super) struct Failed;

pub(super) struct Start {
    pub(super) settings: Settings,
    pub(super) paths: Paths,
    pub(super) witnessed: Witnessed,
    pub(super) phase: SharedPhase,
}

impl Start {
    /// Ends only by failing: a start that succeeds serves until the process is ended.
    pub(super) async fn run(self) -> Result<std::convert::Infallible, Failed> {
        let timing = self.settings.timing;
        let (config, database) = self.read().await?;
        self.scripts(&SCRIPTS_BEFORE);
        sleep(timing.start.mul_f64(MIGRATES_AT)).await;
        self.scripts(&[MIGRATION_SCRIPT]);
        let database = self.migrate(&config, database).await?;
        self.scripts(&SCRIPTS_AFTER);
        self.boot(&config, &database).await?;
        sleep(timing.start.mul_f64(LISTENS_AT - MIGRATES_AT)).await;
        self.serve(config, database).await
    }

    /// Reads the configuration and looks at the database, and writes down the start.
    async fn read(&self) -> Result<(QuayConfig, Result<Database, DatabaseError>), Failed> {
        let bytes = fs::read(self.paths.outside(CONFIG)).ok();
        let config_sha256 = bytes.as_deref().map(|bytes| format!("{:x}", Sha256::digest(bytes)));
        let yaml = bytes.as_deref().map(String::from_utf8_lossy);
        let parsed = QuayConfig::parse(yaml.as_deref(), self.settings.override_config.as_deref());
        let config = match parsed {
            Ok(config) => config,
            Err(error) => {
                let (mode, revision) = (None, None);
                self.witnessed.saw(QuayEvent::Started { mode, config_sha256, revision });
                return Err(self.refuse(&chain(&error)));
            }
        };
        let database = self.database(&config).await;
        let revision = match &database {
            Ok(database) => database.revision().await.ok().flatten(),
            Err(_) => None,
        };
        let mode = config.mode.clone();
        self.witnessed.saw(QuayEvent::Started { mode, config_sha256, revision });
        Ok((config, database))
    }

    async fn database(&self, config: &QuayConfig) -> Result<Database, DatabaseError> {
        // Without a config.yaml Quay takes a SQLite file of its own, and then never boots.
        let uri = config.database_uri.as_deref().unwrap_or("sqlite:////nonexistent/quay.db");
        let uri = uri.parse().map_err(DatabaseError::Uri)?;
        Database::connect(&uri, &self.paths).await
    }

    async fn migrate(
        &self,
        config: &QuayConfig,
        database: Result<Database, DatabaseError>,
    ) -> Result<Database, Failed> {
        let release = self.settings.release;
        let target = release.target(config).map_err(|refusal| self.refuse(&refusal.to_string()))?;
        let looked = match database {
            Ok(database) => database.revision().await.map(|found| (database, found)),
            Err(error) => Err(error),
        };
        let (database, found) = looked.map_err(|error| {
            self.refuse(&format!("sqlalchemy.exc.OperationalError: {}", chain(&error)))
        })?;
        let steps = release
            .steps(found.as_deref(), target)
            .map_err(|refusal| self.refuse(&refusal.to_string()))?;
        let migration = Migration {
            database: &database,
            witnessed: &self.witnessed,
            timing: self.settings.timing,
            moves_data: config.setup_complete,
        };
        match migration.run(&steps).await {
            Ok(()) => Ok(database),
            Err(error) => {
                log::traceback(&format!("sqlalchemy.exc.ProgrammingError: {}", chain(&error)));
                Err(Failed)
            }
        }
    }

    /// boot.py: what it refuses is refused after the database has been changed (quay-facts 2.3).
    async fn boot(&self, config: &QuayConfig, database: &Database) -> Result<(), Failed> {
        if !config.setup_complete {
            let left = database.integer(schema::UNMAPPED_TAGS).await.unwrap_or(0);
            if left > 0 {
                self.witnessed.damaged(format!(
                    "{FULL_BACKFILL} was stamped without SETUP_COMPLETE: {left} tags are lost"
                ));
            }
            return Err(self.refuse(
                "Exception: Your configuration bundle is either not mounted or setup has not been completed",
            ));
        }
        match database.integer(schema::USERS).await {
            Ok(0) => Err(self.refuse(
                "peewee.IntegrityError: null value in column \"account_id\" of relation \"logentry3\"",
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(self.refuse(&chain(&error))),
        }
    }

    async fn serve(
        self,
        config: QuayConfig,
        database: Database,
    ) -> Result<std::convert::Infallible, Failed> {
        let timing = self.settings.timing;
        let release = self.settings.release;
        let addresses = self.addresses();
        let listeners = serve::listen(&addresses)
            .await
            .map_err(|error| self.refuse(&format!("nginx: [emerg] bind() failed: {error}")))?;
        let jwtproxy = self.is_first_run();
        log::out(
            "INFO success: gunicorn-web entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)",
        );
        if !jwtproxy {
            log::out(
                "jwtproxy stderr | Failed to start reverse proxy: listen unix /tmp/jwtproxy_secscan.sock: bind: address already in use",
            );
            log::out(
                "INFO gave up: jwtproxy entered FATAL state, too many start retries too quickly",
            );
        }
        let store = Store::at(&self.paths.outside(STORAGE));
        let storage = self.paths.is_mounted(STORAGE) && self.paths.outside(STORAGE).is_dir();
        let works = release == Release::V3_0_5
            && config.mode.as_deref() == Some("background")
            && !config.is_read_only;
        let model = model_line(release, &config);
        let phase = self.phase.clone();
        let serving = Serving {
            release,
            config,
            database: database.clone(),
            phase,
            jwtproxy,
            storage,
            store,
        };
        serve::serve(listeners, serving);
        let addresses = addresses.iter().map(SocketAddr::to_string).collect();
        self.witnessed.saw(QuayEvent::Listening { addresses });
        self.rise(timing).await;
        log::quay("data.registry_model", model);
        if works {
            tokio::spawn(backfill::work(database.clone(), self.witnessed.clone(), timing));
        }
        if jwtproxy {
            while database.answers().await.is_err() {
                sleep(SELF_CHECK).await;
            }
            self.witnessed.saw(QuayEvent::Healthy);
        }
        std::future::pending().await
    }

    /// 502, then 503 with less and less missing, then 200 (quay-observed 2).
    async fn rise(&self, Timing { start, .. }: Timing) {
        let mut passed = LISTENS_AT;
        for (at, phase) in [(WEB_AT, Phase::WebUp), (VERBS_AT, Phase::VerbsUp), (1.0, Phase::Up)] {
            sleep(start.mul_f64(at - passed)).await;
            passed = at;
            self.phase.set(phase);
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        published(self.settings.ports.as_deref(), self.settings.release.http_port())
    }

    /// Whether this is the first time that the container gets as far as its proxy. The socket stays
    /// behind for as long as the container does.
    fn is_first_run(&self) -> bool {
        let socket = self.paths.temporary(JWTPROXY_SOCKET);
        if socket.exists() {
            return false;
        }
        if let Some(directory) = socket.parent() {
            let _there_already = fs::create_dir_all(directory);
        }
        fs::write(&socket, "").is_ok()
    }

    fn scripts(&self, names: &[&str]) {
        match self.settings.release {
            Release::V2_9_5 => {}
            Release::V3_0_5 => {
                for name in names {
                    log::out(&format!("Running init script '/quay-registry/conf/init/{name}'"));
                }
            }
        }
    }

    fn refuse(&self, reason: &str) -> Failed {
        log::traceback(reason);
        self.witnessed.refused(reason);
        Failed
    }
}

fn model_line(release: Release, config: &QuayConfig) -> &'static str {
    match (release, config.mode.as_deref()) {
        (Release::V2_9_5, _) => "Old registry model is enabled",
        (Release::V3_0_5, Some("complete")) => "Full V2_2 + OCI model is enabled",
        (Release::V3_0_5, _) => "Split registry model: OCI 0 proportion and whitelist []",
    }
}
