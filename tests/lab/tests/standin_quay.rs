//! The stand-in Quay as a process, on SQLite: what the real one does when it is treated well, and
//! what it leaves behind when it is not.
#![expect(clippy::disallowed_methods, reason = "a test of processes: files, waits and bounds")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use quaymaster_lab::quay::{DatabaseState, inspect, seed};
use quaymaster_lab::record::{MigrationResult, QuayEvent, QuayRecord, Seen, read_directory};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// No wait in these tests is longer than a broken stand-in.
const BOUND: Duration = Duration::from_secs(30);

/// A cluster of nothing but a database and one config directory a node.
struct Lab {
    dir: TempDir,
}

/// One container: what outlives a process of it is its directory.
struct Container {
    name: String,
    release: &'static str,
    port: u16,
}

impl Lab {
    async fn new(tags: u32) -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(lab.path("shared/storage")).unwrap();
        seed(&lab.uri(), tags).await.unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn uri(&self) -> String {
        format!("sqlite:///{}", self.path("shared/quay.db").display())
    }

    async fn state(&self) -> DatabaseState {
        inspect(&self.uri()).await.unwrap()
    }

    fn container(name: &str, release: &'static str) -> Container {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Container { name: name.to_owned(), release, port: free.local_addr().unwrap().port() }
    }

    fn start(&self, container: &Container, config: &str) -> Child {
        self.start_with(container, config, &[])
    }

    /// `config` is what stands beside DB_URI in config.yaml.
    fn start_with(&self, container: &Container, config: &str, settings: &[(&str, &str)]) -> Child {
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

    fn log(&self, container: &Container) -> String {
        std::fs::read_to_string(self.path(&format!("{}.log", container.name))).unwrap()
    }

    fn events(&self, container: &Container) -> Vec<QuayEvent> {
        read_directory(&self.path("witness"))
            .unwrap()
            .into_iter()
            .filter_map(|record| match record.seen {
                Seen::Quay(QuayRecord { node, event, .. }) => {
                    (node == container.name).then_some(event)
                }
                Seen::Engine(_) | Seen::Probe(_) | Seen::Config(_) => None,
            })
            .collect()
    }

    /// Waits until the container has seen an event, and gives all that it has seen.
    async fn until(
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

    async fn until_healthy(&self, container: &Container) -> Vec<QuayEvent> {
        self.until(container, |event| *event == QuayEvent::Healthy).await
    }
}

impl Container {
    async fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).await.unwrap()
    }

    async fn try_get(&self, path: &str) -> Result<(u16, String), reqwest::Error> {
        // reqwest wants a TLS provider even for plain HTTP; a second installation is no harm.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let response = client.get(url).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    async fn until_progress_is_full(&self) {
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

async fn exit_code(child: &mut Child) -> Option<i32> {
    tokio::time::timeout(BOUND, child.wait()).await.expect("it ends").unwrap().code()
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

const SET_UP: &str = "SETUP_COMPLETE: true\n";
const BACKGROUND: &str = "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: background\n";
const COMPLETE: &str = "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: complete\n";

#[tokio::test]
async fn without_a_mode_3_0_5_is_refused_and_nothing_is_changed() {
    let lab = Lab::new(10).await;
    for (name, config, last_line) in [
        ("missing", SET_UP, "Exception: Configuration flag `V3_UPGRADE_MODE` must be set."),
        ("bad", "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: bogus\n", "Exception: Invalid value"),
    ] {
        let container = Lab::container(name, "3.0.5");
        let mut quay = lab.start(&container, config);
        assert_eq!(exit_code(&mut quay).await, Some(255));
        let log = lab.log(&container);
        assert!(log.lines().last().unwrap().starts_with(last_line), "{log}");
        assert!(matches!(
            lab.events(&container)[..],
            [QuayEvent::Started { .. }, QuayEvent::Refused { exit_code: 255, .. }]
        ));
    }
    assert_eq!(lab.state().await.revision.as_deref(), Some("5b7503aada1b"));
}

#[tokio::test]
async fn in_background_it_migrates_serves_and_backfills() {
    let lab = Lab::new(300).await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, BACKGROUND);
    let events = lab.until_healthy(&container).await;
    let applied =
        events.iter().filter(|event| matches!(event, QuayEvent::RevisionApplied { .. })).count();
    assert_eq!(applied, 18);
    assert_eq!(container.get("/health/instance").await.0, 200);
    assert_eq!(container.get("/health/endtoend").await.0, 200);
    container.until_progress_is_full().await;
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("481623ba00ba"));
    assert_eq!((state.visible_tags, state.unmapped_tags), (300, 0));
    assert_eq!(state.damage, [""; 0]);
    let log = lab.log(&container);
    assert!(log.contains("Running upgrade 5b7503aada1b -> 1783530bee68"), "{log}");
    assert!(!log.contains("planted-secret"));
}

#[tokio::test]
async fn in_complete_it_maps_every_tag_before_it_listens_and_hears_no_sigterm() {
    let lab = Lab::new(300).await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, COMPLETE);
    let events = lab.until_healthy(&container).await;
    let ended =
        events.iter().position(|event| matches!(event, QuayEvent::MigrationEnded { .. })).unwrap();
    let listening =
        events.iter().position(|event| matches!(event, QuayEvent::Listening { .. })).unwrap();
    assert!(ended < listening, "{events:?}");
    assert_eq!(lab.state().await.unmapped_tags, 0);
    assert_eq!(container.get("/upgradeprogress/").await.0, 404);
    send(&quay, Signal::TERM);
    assert_eq!(container.get("/health/instance").await.0, 200);
    send(&quay, Signal::KILL);
    assert_eq!(exit_code(&mut quay).await, None);
}

#[tokio::test]
async fn a_container_that_has_run_never_gets_healthy_again() {
    let lab = Lab::new(1).await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, COMPLETE);
    lab.until_healthy(&container).await;
    quay.kill().await.unwrap();
    let _again = lab.start(&container, COMPLETE);
    let since = Instant::now();
    loop {
        if let Ok((status, body)) = container.try_get("/health/instance").await
            && body.contains("\"registry_gunicorn\":true")
        {
            assert!(body.contains("\"jwtproxy\":false"), "{body}");
            assert_eq!(status, 503);
            break;
        }
        assert!(since.elapsed() < BOUND, "{}", lab.log(&container));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn killed_half_way_the_database_is_wedged_for_good() {
    let lab = Lab::new(10).await;
    let first = Lab::container("first", "3.0.5");
    let mut quay = lab.start_with(&first, BACKGROUND, &[("STANDIN_REVISION_SECONDS", "1")]);
    lab.until(&first, |event| matches!(event, QuayEvent::MigrationBegun { .. })).await;
    let since = Instant::now();
    while lab.state().await.damage.is_empty() {
        assert!(since.elapsed() < BOUND, "no revision was ever half-way");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    quay.kill().await.unwrap();
    for name in ["second", "third"] {
        let container = Lab::container(name, "3.0.5");
        let mut again = lab.start(&container, BACKGROUND);
        assert_eq!(exit_code(&mut again).await, Some(255));
        let events = lab.events(&container);
        assert!(events.iter().any(|event| matches!(event, QuayEvent::Damaged { .. })));
        assert!(lab.log(&container).contains("already exists"), "{}", lab.log(&container));
    }
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("5b7503aada1b"));
    assert!(!state.damage.is_empty());
}

#[tokio::test]
async fn two_at_once_leave_damage_and_one_of_them_dies() {
    let lab = Lab::new(10).await;
    let slow = [("STANDIN_REVISION_SECONDS", "0.2")];
    let (first, second) = (Lab::container("first", "3.0.5"), Lab::container("second", "3.0.5"));
    let mut one = lab.start_with(&first, COMPLETE, &slow);
    lab.until(&first, |event| matches!(event, QuayEvent::MigrationBegun { .. })).await;
    let mut other = lab.start_with(&second, COMPLETE, &slow);
    let dead = tokio::select! {
        code = exit_code(&mut one) => (code, &first),
        code = exit_code(&mut other) => (code, &second),
    };
    assert_eq!(dead.0, Some(255));
    let events = lab.events(dead.1);
    assert!(events.iter().any(|event| matches!(
        event,
        QuayEvent::MigrationEnded { result: MigrationResult::Failed, .. }
    )));
    let survivor = if dead.1.name == first.name { &second } else { &first };
    lab.until_healthy(survivor).await;
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("b918abdbee43"));
    assert!(!state.damage.is_empty(), "what the dead one had done already stays");
}

#[tokio::test]
async fn the_offline_backfill_may_be_killed_and_run_again() {
    let lab = Lab::new(400).await;
    let first = Lab::container("first", "3.0.5");
    let mut quay = lab.start_with(&first, COMPLETE, &[("STANDIN_OFFLINE_RATE", "100")]);
    lab.until(
        &first,
        |event| matches!(event, QuayEvent::BackfillMoved { mapped, .. } if *mapped > 0),
    )
    .await;
    quay.kill().await.unwrap();
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("481623ba00ba"));
    assert!(state.unmapped_tags > 0);
    let second = Lab::container("second", "3.0.5");
    let _again = lab.start(&second, COMPLETE);
    lab.until_healthy(&second).await;
    let state = lab.state().await;
    assert_eq!((state.revision.as_deref(), state.unmapped_tags), (Some("b918abdbee43"), 0));
    assert_eq!(state.damage, [""; 0]);
}

#[tokio::test]
async fn without_setup_complete_every_old_tag_is_lost() {
    let lab = Lab::new(10).await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, "V3_UPGRADE_MODE: background\n");
    assert_eq!(exit_code(&mut quay).await, Some(255));
    let state = lab.state().await;
    assert_eq!((state.revision.as_deref(), state.unmapped_tags), (Some("b918abdbee43"), 10));
    assert!(!state.damage.is_empty());
}

#[tokio::test]
async fn the_old_release_serves_stops_when_told_and_refuses_a_newer_database() {
    let lab = Lab::new(10).await;
    let old = Lab::container("old", "2.9.5");
    let mut quay = lab.start(&old, SET_UP);
    lab.until_healthy(&old).await;
    assert_eq!(old.get("/health/instance").await.0, 200);
    assert_eq!(old.get("/upgradeprogress/").await.0, 404);
    assert!(old.get("/").await.1.contains("Quay v2.9.5"));
    send(&quay, Signal::TERM);
    assert_eq!(exit_code(&mut quay).await, Some(0));
    assert!(matches!(lab.events(&old).last(), Some(QuayEvent::EndedBySignal { .. })));

    let new = Lab::container("new", "3.0.5");
    let _quay = lab.start(&new, BACKGROUND);
    lab.until_healthy(&new).await;
    let late = Lab::container("late", "2.9.5");
    let mut quay = lab.start(&late, SET_UP);
    assert_eq!(exit_code(&mut quay).await, Some(255));
    let log = lab.log(&late);
    assert!(log.contains("Can't locate revision identified by '481623ba00ba'"), "{log}");
}
