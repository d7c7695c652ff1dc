//! A lab without agents: what it makes, what it sees, and that it ends without a trace.
#![expect(clippy::disallowed_methods, reason = "a test of processes and files")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use quaymaster_lab::check::check;
use quaymaster_lab::cluster::binaries::Binaries;
use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::cluster::{Agents, Lab, UpError, UpOptions, Why};
use quaymaster_lab::images::Pace;
use quaymaster_lab::record::{Seen, read_directory};

/// Generous: a loaded machine is no failure.
const BOUND: Duration = Duration::from_secs(30);

/// A directory whose lab ends with the test, also where the test panics.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn lab(&self) -> PathBuf {
        self.0.path().join("lab")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let down = Command::new(binaries().lab).args(["down", "--dir"]).arg(self.lab()).output();
        // A test that has ended its lab itself leaves nothing to do; one that made none, no lab.
        drop(down);
    }
}

fn binaries() -> Binaries {
    Binaries {
        lab: env!("CARGO_BIN_EXE_quaymaster-lab").into(),
        quay: env!("CARGO_BIN_EXE_quaymaster-lab-quay").into(),
        agent: "/bin/false".into(),
        coordinator: "/bin/false".into(),
    }
}

fn options(place: &Place, nodes: u8) -> UpOptions {
    let mut options = UpOptions::new(place.lab(), nodes, 50, binaries());
    options.agents = Agents::LeftOut;
    options.pace = Pace { start_seconds: 0.1, stop_seconds: 0.05, ..options.pace };
    options
}

fn quiet(_: &str) {}

async fn up(place: &Place, nodes: u8) -> Lab {
    Lab::up(options(place, nodes), &quiet).await.unwrap()
}

/// Whether nothing of the lab listens any more.
fn is_silent(lab: &Lab) -> bool {
    lab.nodes().iter().all(|node| TcpListener::bind(node.http()).is_ok())
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_is_what_it_says_and_ends_without_a_trace() {
    let place = Place::new();
    let lab = up(&place, 2).await;
    let layout = lab.layout().clone();
    let mut made: Vec<String> = fs::read_dir(layout.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    made.sort();
    assert_eq!(
        made.join(" "),
        "ca.crt cluster.yaml engine lab.json nodes observed operator.crt operator.key reader.crt \
         reader.key robot.json shared state witness"
    );
    for path in [layout.lab_file(), layout.dir().join("operator.key"), layout.robot_file()] {
        assert_eq!(mode(path), 0o600);
    }
    assert_eq!(mode(layout.pki("quay-1").join("agent.key")), 0o600);
    let configs = ["quay-1", "quay-2"].map(|node| fs::read(layout.config_file(node)).unwrap());
    assert_eq!(configs[0], configs[1]);
    let verdict = check(&lab).await.unwrap();
    assert_eq!(verdict.violations, []);
    let database = verdict.observed.database.unwrap();
    assert_eq!((database.visible_tags, database.mapped_tags), (50, 0));

    Lab::open(layout.dir()).unwrap().down(&quiet).await.unwrap();
    assert!(is_silent(&lab));
    assert!(lab.file().processes.iter().all(|process| !process.id.is_running()));
    assert_eq!(check(&lab).await.unwrap().violations, []);
    // Ending what has ended is no failure.
    lab.down(&quiet).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn quays_whose_engine_was_killed_end_with_the_lab() {
    let place = Place::new();
    let lab = up(&place, 1).await;
    lab.kill(Role::Engine, Some("quay-1")).await.unwrap();
    assert!(!is_silent(&lab), "a crash of the engine leaves its containers running");
    Lab::open(lab.layout().dir()).unwrap().down(&quiet).await.unwrap();
    assert!(is_silent(&lab));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_takes_everything_down_and_says_where_to_look() {
    let place = Place::new();
    let mut options = options(&place, 1);
    options.agents = Agents::Started;
    let UpError { why, .. } = Lab::up(options, &quiet).await.unwrap_err();
    assert!(matches!(why, Why::Ended { role: Role::Agent, .. }), "{why}");
    assert!(why.to_string().contains("agent.log"), "{why}");
    let lab = Lab::open(&place.lab()).unwrap();
    assert!(is_silent(&lab));
    assert!(lab.file().processes.iter().all(|process| !process.id.is_running()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_something_in_it_is_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir(place.lab()).unwrap();
    fs::write(place.lab().join("precious"), "mine").unwrap();
    let error = Lab::up(options(&place, 1), &quiet).await.unwrap_err();
    assert!(error.why.to_string().contains("files"), "{}", error.why);
    assert_eq!(fs::read_dir(place.lab()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_log_and_a_half_written_config_are_found() {
    let place = Place::new();
    let lab = up(&place, 1).await;
    let secret = &lab.file().secrets[0];
    fs::write(lab.layout().agent_log("quay-1"), format!("key is {}\n", secret.value)).unwrap();
    let config = lab.layout().config_file("quay-1");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, &text[..text.len() / 2]).unwrap();
    until("the observer to see the torn file", BOUND, async || {
        let records =
            read_directory(&lab.layout().observed()).map_err(|error| error.to_string())?;
        let is_seen = records
            .iter()
            .any(|record| matches!(&record.seen, Seen::Config(config) if !config.rest_is_original));
        if is_seen { Ok(()) } else { Err("not seen".to_owned()) }
    })
    .await
    .unwrap();
    let verdict = check(&lab).await.unwrap();
    let mut broken: Vec<u8> = verdict.violations.iter().map(|one| one.invariant).collect();
    broken.dedup();
    broken.sort_unstable();
    assert_eq!(broken, [5, 10]);
    let text = serde_json::to_string(&verdict).unwrap();
    assert!(!text.contains(&secret.value), "the verdict itself must not tell the secret");
    lab.down(&quiet).await.unwrap();
}
