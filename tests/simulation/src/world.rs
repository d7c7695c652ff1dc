//! Hosts, containers, config files and the database, and everything that can
//! befall them.
#![expect(clippy::disallowed_methods, reason = "it keeps tokio's time and lays out files")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quaymaster_agent::container::ContainerSpec;
use quaymaster_proto::{ContainerId, ContainerState, ContainerStatus, Floor};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::database::Database;
use crate::quay;
use crate::witness::Witness;

mod config;
mod release;
mod state;

pub use config::{mode_in, sha256};
pub use release::{DIGEST, IMAGES, REPOSITORY, Release, digest, release_of};
pub(crate) use state::published;
pub use state::{Cause, Host, Phase, Process, State, Stored};

/// How long a dead client's sessions stay.
const LINGER: Duration = Duration::from_millis(800);

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

impl World {
    /// A cluster that serves.
    pub fn new(setting: Setting<'_>) -> Self {
        let Setting { nodes, base, found, revision, mapped, shares_config, chance } = setting;
        let hosts = (1..=nodes).map(|number| {
            let own = if shares_config { 1 } else { number };
            let directory = base.join(format!("config-{own}"));
            std::fs::create_dir_all(&directory).expect("a directory for config.yaml");
            let config = directory.join("config.yaml");
            std::fs::write(&config, config::text(found.1)).expect("config.yaml");
            Host { has_image: found.0 == Release::New, ..Host::new(number, config) }
        });
        let hosts: Vec<Host> = hosts.collect();
        let text = config::text(found.1);
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
            let spec = release::spec(&world.state().hosts[node], found.0);
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
        let files: Vec<_> = paths.iter().map(|path| config::identity(path)).collect();
        if files == state.files {
            return;
        }
        state.files = files;
        let texts = paths.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let texts: Vec<String> = texts.collect();
        let millis = self.millis();
        Witness::see_configs(&mut state, millis, &texts);
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
