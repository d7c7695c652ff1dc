//! A cluster of nothing but a database and one config directory a node, and stand-ins run on it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use quaymaster_lab::quay::{DatabaseState, inspect, seed};
use quaymaster_lab::record::{QuayEvent, QuayRecord, Seen, read_directory};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// No wait in these tests is longer than a broken stand-in.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A cluster of nothing but a database and one config directory a node.
pub(crate) struct Lab {
    dir: TempDir,
}

/// One container: what outlives a process of it is its directory.
pub(crate) struct Container {
    pub(crate) name: String,
    release: &'static str,
    port: u16,
}

impl Lab {
    pub(crate) async fn new(tags: u32) -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(lab.path("shared/storage")).unwrap();
        seed(&lab.uri(), tags).await.unwrap();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn uri(&self) -> String {
        format!("sqlite:///{}", self.path("shared/quay.db").display())
    }

    /// Changes the database behind everybody's back.
    pub(crate) async fn execute(&self, statement: &str) {
        let mut connection = SqliteConnection::connect(&self.uri()).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    }

    pub(crate) async fn state(&self) -> DatabaseState {
        inspect(&self.uri()).await.unwrap()
    }

    pub(crate) fn container(name: &str, release: &'static str) -> Container {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Container { name: name.to_owned(), release, port: free.local_addr().unwrap().port() }
    }

    pub(crate) fn start(&self, container: &Container, config: &str) -> Child {
        self.start_with(container, config, &[])
    }

    /// `config` is what stands beside DB_URI in config.yaml.
    pub(crate) fn start_with(
        &self,
        container: &Container,
        config: &str,
        settings: &[(&str, &str)],
    ) -> Child {
        let Container { name, release, port } = container;
        let (configs, root) = (self.path(&format!("{name}/config")), self.path(name));
        std::fs::create_dir_all(&configs).unwrap();
        let yaml = format!("DB_URI: sqlite:////var/quay-db/quay.db\n{config}");
        std::fs::write(configs.join("config.yaml"), yaml).unwrap();
        let bind = |source: &Path, target: &str| {
            format!(r#"{{"source":"{}","target":"{target}"}}"#, source.display())
        };
        let binds = [
            bind(&configs, "/conf/stack"),
            bind(&self.path("shared"), "/var/quay-db"),
            bind(&self.path("shared/storage"), "/datastorage"),
            bind(&self.path("witness"), "/witness"),
        ];
        let inside = if *release == "2.9.5" { 80 } else { 8080 };
        let ports = format!(
            r#"[{{"container_port":{inside},"host_address":"127.0.0.1","host_port":{port}}}]"#
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_quaymaster-lab-quay"));
        command
            .env_clear()
            .envs([
                ("LAB_NODE", name.as_str()),
                ("LAB_SECRET", "planted-secret"),
                ("STANDIN_RELEASE", release),
                ("STANDIN_START_SECONDS", "0.4"),
                ("STANDIN_REVISION_SECONDS", "0.02"),
                ("STANDIN_STAGGER_SECONDS", "0"),
                ("STANDIN_BACKFILL_RATE", "1000"),
                ("STANDIN_OFFLINE_RATE", "1000"),
                ("STANDIN_STOP_SECONDS", "0.1"),
            ])
            .env("STANDIN_CONTAINER_ID", format!("{name}-id"))
            .env("STANDIN_ROOT", root)
            .env("STANDIN_BINDS", format!("[{}]", binds.join(",")))
            .env("STANDIN_PORTS", ports)
            .envs(settings.iter().copied());
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.path(&format!("{name}.log")))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub(crate) fn log(&self, container: &Container) -> String {
        std::fs::read_to_string(self.path(&format!("{}.log", container.name))).unwrap()
    }

    pub(crate) fn events(&self, container: &Container) -> Vec<QuayEvent> {
        read_directory(&self.path("witness"))
            .unwrap()
            .into_iter()
            .filter_map(|record| match record.seen {
                Seen::Quay(QuayRecord { node, event, .. }) => {
                    (node == container.name).then_some(event)
                }
                Seen::Engine(_) | Seen::Probe(_) | Seen::Config(_) | Seen::Lab(_) => None,
            })
            .collect()
    }

    /// Waits until the container has seen an event, and gives all that it has seen.
    pub(crate) async fn until(
        &self,
        container: &Container,
        wanted: impl Fn(&QuayEvent) -> bool,
    ) -> Vec<QuayEvent> {
        let since = Instant::now();
        loop {
            let events = self.events(container);
            if events.iter().any(&wanted) {
                return events;
            }
            assert!(since.elapsed() < BOUND, "{events:?}\n{}", self.log(container));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_healthy(&self, container: &Container) -> Vec<QuayEvent> {
        self.until(container, |event| *event == QuayEvent::Healthy).await
    }
}

impl Container {
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).await.unwrap()
    }

    pub(crate) async fn try_get(&self, path: &str) -> Result<(u16, String), reqwest::Error> {
        let response = Self::client().get(format!("{}{path}", self.base())).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A port on which nobody listens.
    pub(crate) fn unused_port() -> u16 {
        Lab::container("nobody", "3.0.5").port
    }

    /// Follows no redirect, as nobody does who asks this Quay and no other.
    pub(crate) fn client() -> reqwest::Client {
        // reqwest wants a TLS provider even for plain HTTP; a second installation is no harm.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let redirects = reqwest::redirect::Policy::none();
        reqwest::Client::builder().no_proxy().redirect(redirects).build().unwrap()
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until all of Quay answers, well or not.
    pub(crate) async fn until_registry_serves(&self) {
        let since = Instant::now();
        loop {
            if let Ok((_, body)) = self.try_get("/health/instance").await
                && body.contains("\"registry_gunicorn\":true")
            {
                return;
            }
            assert!(since.elapsed() < BOUND, "`{}` does not serve", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_progress_is_full(&self) {
        let since = Instant::now();
        loop {
            let (status, body) = self.get("/upgradeprogress/").await;
            assert_eq!(status, 200);
            if body.starts_with("{\"progress\":1.0,") {
                return;
            }
            assert!(since.elapsed() < BOUND, "{body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) async fn exit_code(child: &mut Child) -> Option<i32> {
    tokio::time::timeout(BOUND, child.wait()).await.expect("it ends").unwrap().code()
}

pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

pub(crate) const SET_UP: &str = "SETUP_COMPLETE: true\n";
pub(crate) const BACKGROUND: &str = "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: background\n";
pub(crate) const COMPLETE: &str = "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: complete\n";
