//! Hosts, containers, config files and the database, and everything that can
//! befall them.
#![expect(clippy::disallowed_methods, reason = "it keeps tokio's time and lays out files")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quaymaster_agent::container::ContainerSpec;
use quaymaster_agent::container::spec::{NetworkSpec, ProcessSpec, StorageSpec};
use quaymaster_proto::{
    ContainerId, ContainerState, ContainerStatus, Floor, ImageDigest, ImageId, RestartPolicy,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::backup::Kept;
use crate::chance::Chance;
use crate::database::Database;
use crate::quay;
use crate::witness::Witness;

/// The old release's image, and the new one's.
pub const IMAGES: [&str; 2] = [
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];
/// Under which digest the registry has the new one.
pub const DIGEST: &str = "sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
/// The new one's name there.
pub const REPOSITORY: &str = "quay.io/redhat/quay";
/// How long a dead client's sessions stay.
const LINGER: Duration = Duration::from_millis(800);

/// A release of Quay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Release {
    /// 2.9.5.
    Old,
    /// 3.0.5.
    New,
}

/// Who started a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The product: an agent.
    Agent,
    /// The engine, by the container's policy.
    Policy,
    /// Somebody else.
    Foreign,
}

/// How far a Quay has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Before and in its migration.
    Starting,
    /// It listens.
    Listening,
    /// It is well.
    Well,
}

/// A Quay at work.
#[derive(Debug)]
pub struct Process {
    /// Of all that ever were.
    pub number: u64,
    /// Whoever started it.
    pub cause: Cause,
    /// Since when, in milliseconds.
    pub since: u64,
    /// What it read from config.yaml.
    pub mode: Option<String>,
    /// How far it has come.
    pub phase: Phase,
    /// Since when it is well, in milliseconds.
    pub well_since: Option<u64>,
    /// Whether it has anything to migrate left.
    pub migrates: bool,
    task: Option<AbortHandle>,
}

/// A container.
#[derive(Debug)]
pub struct Stored {
    /// As it was created.
    pub spec: ContainerSpec,
    /// As its engine shows it.
    pub state: ContainerState,
    /// In seconds; later ones are higher.
    pub created: i64,
    /// Somebody asked for its end.
    pub is_stopped: bool,
    /// How often it ran.
    pub runs: u32,
    /// What it has said.
    pub log: Vec<String>,
    /// Its Quay, while it runs.
    pub process: Option<Process>,
    /// Something happened to it.
    pub changed: watch::Sender<u64>,
}

/// A host.
#[derive(Debug)]
pub struct Host {
    /// `quay-1` and so on.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Whether its engine answers.
    pub is_up: bool,
    /// Its containers.
    pub containers: BTreeMap<ContainerId, Stored>,
    /// Whether it has the new image.
    pub has_image: bool,
    /// How far its clock is ahead, in milliseconds.
    pub ahead: i64,
    /// Its config.yaml.
    pub config: PathBuf,
    /// Whether its agent once lost everything that it knew.
    pub has_lost_ledger: bool,
    /// Whether its agent's disk is full.
    pub is_full: bool,
    /// After so many points its agent dies.
    pub fuse: Option<u64>,
    /// Points that its agents have passed.
    pub points: u64,
    /// An agent died, or its host did: one more.
    pub deaths: watch::Sender<u64>,
    /// When a container of it started last.
    pub starts: watch::Sender<Option<Timestamp>>,
    /// Since when its agent is there, in milliseconds.
    pub agent_since: Option<u64>,
    /// Its floor, and since when.
    pub floor: Option<(u64, Floor)>,
    /// So often the host was started again.
    pub boots: u64,
    /// The process that claimed the node last.
    pub driver: Option<u128>,
}

/// All of it.
#[derive(Debug)]
pub struct State {
    /// By their numbers.
    pub hosts: Vec<Host>,
    /// The one database.
    pub database: Database,
    /// Dumps of it.
    pub backups: Vec<Kept>,
    /// Who sees it all.
    pub witness: Witness,
    /// What happened, in order.
    pub trace: Vec<String>,
    /// How far the coordinator's clock is ahead, in milliseconds.
    pub coordinator_ahead: i64,
    /// Of whatever happens by chance in the world.
    pub chance: Chance,
    numbers: u64,
    /// The config files that the witness has read.
    files: Vec<Option<(u64, i64, i64)>>,
}

/// The world; clones are the same one.
#[derive(Clone, Debug)]
pub struct World {
    state: Arc<Mutex<State>>,
    begun: Instant,
}

/// What a world is made of.
#[derive(Debug)]
pub struct Setting<'a> {
    /// So many hosts.
    pub nodes: usize,
    /// Where their files lie.
    pub base: &'a Path,
    /// What runs: its release and mode.
    pub found: (Release, Option<&'static str>),
    /// Where the database stands.
    pub revision: &'static str,
    /// Tags in the new tables.
    pub mapped: i64,
    /// All nodes read one config.yaml.
    pub shares_config: bool,
    /// Of everything by chance.
    pub chance: Chance,
}

/// config.yaml as its owner wrote it.
fn config_text(mode: Option<&str>) -> String {
    let mode = mode.map(|mode| format!("V3_UPGRADE_MODE: {mode}  # as documented\n"));
    format!(
        "# Edited by hand, with care.\nDB_URI: postgresql://quay:secret@db.example.com:5432/quay\n\
         SECRET_KEY: '12345'\n{}SERVER_HOSTNAME: quay.example.com\nSETUP_COMPLETE: true\n",
        mode.unwrap_or_default()
    )
}

/// What config.yaml says of the mode.
pub fn mode_in(config: &str) -> Option<&str> {
    let line = config.lines().find_map(|line| line.strip_prefix("V3_UPGRADE_MODE:"))?;
    line.split('#').next().map(str::trim)
}

impl World {
    /// A cluster that serves.
    pub fn new(setting: Setting<'_>) -> Self {
        let Setting { nodes, base, found, revision, mapped, shares_config, chance } = setting;
        let hosts = (1..=nodes).map(|number| {
            let own = if shares_config { 1 } else { number };
            let directory = base.join(format!("config-{own}"));
            std::fs::create_dir_all(&directory).expect("a directory for config.yaml");
            let config = directory.join("config.yaml");
            std::fs::write(&config, config_text(found.1)).expect("config.yaml");
            Host { has_image: found.0 == Release::New, ..host(number, config) }
        });
        let hosts: Vec<Host> = hosts.collect();
        let text = config_text(found.1);
        let state = State {
            witness: Witness::new(hosts.len(), &text, revision),
            hosts,
            database: Database::at(revision, mapped),
            backups: Vec::new(),
            trace: Vec::new(),
            coordinator_ahead: 0,
            chance,
            numbers: 0,
            files: Vec::new(),
        };
        let world = Self { state: Arc::new(Mutex::new(state)), begun: Instant::now() };
        for node in 0..nodes {
            let spec = world.first_spec(node, found.0);
            let id = world.create(node, "quay", spec).expect("the name is free");
            world.start(node, &id, Cause::Foreign).expect("it starts");
        }
        world
    }

    /// The state; never kept over an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the beginning.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time, where no clock is wrong.
    pub fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-22T02:00:00Z".parse().expect("a time");
        start + SignedDuration::from_millis(i64::try_from(self.millis()).unwrap_or(i64::MAX))
    }

    /// A node's clock.
    pub fn clock_of(&self, node: usize) -> Timestamp {
        let ahead = self.state().hosts[node].ahead;
        self.now() + SignedDuration::from_millis(ahead)
    }

    /// The clock of the machine that drives a run.
    pub fn clock_of_coordinator(&self) -> Timestamp {
        let ahead = self.state().coordinator_ahead;
        self.now() + SignedDuration::from_millis(ahead)
    }

    /// One more line of the trace.
    pub fn note(&self, line: impl Into<String>) {
        let millis = self.millis();
        let line = line.into();
        self.state().trace.push(format!("{:>4}.{:03} {line}", millis / 1000, millis % 1000));
    }

    /// What must not be and is, in words.
    pub fn violations(&self) -> Vec<String> {
        self.look_at_configs();
        self.state().witness.violations.clone()
    }

    /// The witness looks at every config.yaml.
    pub fn look_at_configs(&self) {
        let mut state = self.state();
        let paths: Vec<PathBuf> = state.hosts.iter().map(|host| host.config.clone()).collect();
        // A file that was put in place is another one.
        let files: Vec<_> = paths.iter().map(|path| identity(path)).collect();
        if files == state.files {
            return;
        }
        state.files = files;
        let texts = paths.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let texts: Vec<String> = texts.collect();
        let millis = self.millis();
        Witness::see_configs(&mut state, millis, &texts);
    }

    fn first_spec(&self, node: usize, release: Release) -> ContainerSpec {
        let state = self.state();
        let host = &state.hosts[node];
        let directory = host.config.parent().unwrap_or(&host.config).display().to_string();
        let (inside, image) = match release {
            Release::Old => ([80, 443], IMAGES[0]),
            Release::New => ([8080, 8443], IMAGES[1]),
        };
        let ports = inside.into_iter().zip([80, 443]).map(|(inside, outside): (u16, u16)| {
            let port = format!("{inside}/tcp").parse().expect("a port");
            let (address, port_text) = (host.address.clone(), outside.to_string());
            let host = quaymaster_agent::container::spec::HostPort { address, port: port_text };
            (port, vec![host])
        });
        ContainerSpec {
            image: image.parse().expect("an image's id"),
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            process: ProcessSpec::default(),
            hostname: None,
            domainname: None,
            storage: StorageSpec {
                binds: vec![format!("{directory}:/conf/stack")],
                mounts: Vec::new(),
                anonymous_volumes: Default::default(),
                volumes_from: Vec::new(),
            },
            network: NetworkSpec {
                mode: "default".to_owned(),
                ports: ports.collect(),
                ..NetworkSpec::default()
            },
            restart_policy: RestartPolicy::Always,
            auto_remove: false,
            options: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Creates a container; `None` = the name is taken.
    pub fn create(&self, node: usize, name: &str, spec: ContainerSpec) -> Option<ContainerId> {
        let mut state = self.state();
        if state.hosts[node].containers.values().any(|stored| stored.state.name == name) {
            return None;
        }
        state.numbers += 1;
        let id: ContainerId = format!("{:064x}", 0xc000_0000_u64 + state.numbers)
            .chars()
            .rev()
            .collect::<String>()
            .parse()
            .expect("an id");
        let stored = Stored {
            state: ContainerState {
                id: id.clone(),
                name: name.to_owned(),
                status: ContainerStatus::Created,
                started_at: None,
                finished_at: None,
                exit_code: 0,
                restart_count: 0,
                restart_policy: spec.restart_policy,
                image: spec.image.clone(),
            },
            created: i64::try_from(state.numbers).unwrap_or(i64::MAX),
            spec,
            is_stopped: false,
            runs: 0,
            log: Vec::new(),
            process: None,
            changed: watch::Sender::new(0),
        };
        state.hosts[node].containers.insert(id.clone(), stored);
        Some(id)
    }

    /// Starts a container; the error is what its engine says.
    pub fn start(&self, node: usize, id: &ContainerId, cause: Cause) -> Result<(), &'static str> {
        let (now, millis) = (self.clock_of(node), self.millis());
        self.look_at_configs();
        let mut state = self.state();
        let ports = published(state.stored(node, id).ok_or("no such container")?);
        if state.stored(node, id).is_some_and(|stored| stored.process.is_some()) {
            return Ok(());
        }
        let clashes = state.hosts[node].containers.values().any(|other| {
            other.process.is_some() && published(other).iter().any(|port| ports.contains(port))
        });
        if clashes {
            return Err("port is already allocated");
        }
        state.numbers += 1;
        let number = state.numbers;
        let host = &state.hosts[node];
        let text = std::fs::read_to_string(&host.config).unwrap_or_default();
        let mode = mode_in(&text).map(str::to_owned);
        let name = host.name.clone();
        let stored = state.stored(node, id).ok_or("no such container")?;
        stored.runs += 1;
        stored.is_stopped = false;
        stored.state.status = ContainerStatus::Running;
        stored.state.started_at = Some(now);
        stored.state.exit_code = 0;
        stored.process = Some(Process {
            number,
            cause,
            since: millis,
            mode,
            phase: Phase::Starting,
            well_since: None,
            migrates: false,
            task: None,
        });
        stored.changed.send_modify(|changes| *changes += 1);
        let label = stored.state.name.clone();
        Witness::see_start(&mut state, millis, node, id);
        drop(state);
        self.note(format!("{name}: {label} starts ({cause:?})"));
        self.tell_start(node);
        let task = tokio::spawn(quay::live(self.clone(), node, id.clone(), number));
        if let Some(process) = self.state().process(node, id, number) {
            process.task = Some(task.abort_handle());
        }
        Ok(())
    }

    /// Whoever listens hears that something started.
    pub(crate) fn tell_start(&self, node: usize) {
        let now = self.clock_of(node);
        self.state().hosts[node].starts.send_replace(Some(now));
    }

    /// The witness looks whether anything lives that a floor forbids.
    pub fn look_at_floors(&self) {
        let millis = self.millis();
        Witness::see_floors(&mut self.state(), millis);
    }

    /// An agent was given a floor, or had its floor taken back.
    pub fn see_floor(&self, node: usize, floor: Option<&Floor>) {
        let millis = self.millis();
        Witness::see_floor(&mut self.state(), millis, node, floor);
    }

    /// A Quay ends by itself, or is ended by somebody.
    pub fn end(&self, node: usize, id: &ContainerId, exit_code: i64, by: Cause) {
        let (now, millis) = (self.clock_of(node), self.millis());
        let mut state = self.state();
        let name = state.hosts[node].name.clone();
        let Some(stored) = state.stored(node, id) else { return };
        let Some(process) = stored.process.take() else { return };
        stored.state.status = ContainerStatus::Exited;
        stored.state.exit_code = exit_code;
        stored.state.finished_at = Some(now);
        stored.changed.send_modify(|changes| *changes += 1);
        let label = stored.state.name.clone();
        Witness::see_end(&mut state, millis, &process);
        if state.database.kill(process.number) {
            Witness::see_damage(&mut state, millis, [process.cause, by]);
        }
        drop(state);
        self.note(format!("{name}: {label} ends with {exit_code}"));
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LINGER).await;
            world.state().database.forget(process.number);
        });
        // Last, for it may be the very task that this is.
        if let Some(task) = process.task {
            task.abort();
        }
    }
}

/// Which file lies there, and since when.
fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    let file = path.metadata().ok()?;
    Some((file.ino(), file.ctime(), file.ctime_nsec()))
}

/// Which release an image is of.
pub fn release_of(image: &ImageId) -> Release {
    if image.as_str() == IMAGES[0] { Release::Old } else { Release::New }
}

/// The new image's digest in the registry.
pub fn digest() -> ImageDigest {
    DIGEST.parse().expect("a digest")
}

/// Where a container's ports are on its host.
pub(crate) fn published(stored: &Stored) -> Vec<String> {
    let hosts = stored.spec.network.ports.values().flatten();
    hosts.map(|host| format!("{}:{}", host.address, host.port)).collect()
}

/// A config's digest.
pub fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

impl State {
    /// A container.
    pub fn stored(&mut self, node: usize, id: &ContainerId) -> Option<&mut Stored> {
        self.hosts[node].containers.get_mut(id)
    }

    /// A Quay at work, if it is still that one.
    pub fn process(&mut self, node: usize, id: &ContainerId, number: u64) -> Option<&mut Process> {
        self.stored(node, id)?.process.as_mut().filter(|process| process.number == number)
    }

    /// Who started a Quay; one that is gone was somebody else's.
    pub(crate) fn cause_of(&self, number: u64) -> Cause {
        let found = self.quays().find(|(_, _, process)| process.number == number);
        found.map_or(Cause::Foreign, |(_, _, process)| process.cause)
    }

    /// Every Quay at work.
    pub fn quays(&self) -> impl Iterator<Item = (usize, &Stored, &Process)> {
        let hosts = self.hosts.iter().enumerate();
        hosts.flat_map(|(node, host)| {
            let all = host.containers.values();
            all.filter_map(move |stored| Some((node, stored, stored.process.as_ref()?)))
        })
    }
}

fn host(number: usize, config: PathBuf) -> Host {
    Host {
        name: format!("quay-{number}"),
        address: format!("10.0.0.{}", 10 + number),
        is_up: true,
        containers: BTreeMap::new(),
        has_image: false,
        ahead: 0,
        config,
        has_lost_ledger: false,
        is_full: false,
        fuse: None,
        points: 0,
        deaths: watch::Sender::new(0),
        starts: watch::Sender::new(None),
        agent_since: None,
        floor: None,
        boots: 0,
        driver: None,
    }
}
