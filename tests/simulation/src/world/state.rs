//! Everything that there is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use quaymaster_agent::container::ContainerSpec;
use quaymaster_proto::{ContainerId, ContainerState, Floor};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::backup::Kept;
use crate::chance::Chance;
use crate::database::Database;
use crate::witness::Witness;

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
    pub(super) task: Option<AbortHandle>,
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
    /// The floor that its agent promised, and since when.
    pub floor: Option<(u64, Floor)>,
    /// When the agent lost it, in milliseconds, and was given none since.
    pub forgotten: Option<u64>,
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
    pub(super) numbers: u64,
    /// The config files that the witness has read.
    pub(super) files: Vec<Option<(u64, i64, i64)>>,
}

/// Where a container's ports are on its host.
pub(crate) fn published(stored: &Stored) -> Vec<String> {
    let hosts = stored.spec.network.ports.values().flatten();
    hosts.map(|host| format!("{}:{}", host.address, host.port)).collect()
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

impl Host {
    /// One that nothing runs on yet.
    pub(super) fn new(number: usize, config: PathBuf) -> Self {
        Self {
            name: format!("quay-{number}"),
            address: format!("10.0.0.{}", 10 + number),
            is_up: true,
            containers: BTreeMap::new(),
            has_image: false,
            ahead: 0,
            config,
            is_full: false,
            fuse: None,
            points: 0,
            deaths: watch::Sender::new(0),
            starts: watch::Sender::new(None),
            agent_since: None,
            floor: None,
            forgotten: None,
            boots: 0,
            driver: None,
        }
    }
}
