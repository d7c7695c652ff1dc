//! The agents of a simulated cluster: one process a node, started again
//! whenever it or its host has died.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use quaymaster_agent::simulation::{self, Guard, Parts, QuayAnswer, SimulatedAgent, Writing};
use quaymaster_proto::RunId;
use quaymaster_proto::backup::{BackUp, Backup, CheckBackup, Restore};
use quaymaster_proto::database::DatabaseLook;
use quaymaster_simulation::chance::Chance;
use quaymaster_simulation::database::TAGS;
use quaymaster_simulation::engine::AgentEngine;
use quaymaster_simulation::life::Life;
use quaymaster_simulation::world::{Release, Setting, World};
use tokio::time::sleep;

/// Of one question to a Quay.
const HTTP: Duration = Duration::from_millis(2);
/// Of one look at the database.
const LOOK: Duration = Duration::from_millis(3);
/// Until a process that died is there again.
const RESTART: Duration = Duration::from_millis(500);

pub(crate) type Agent = SimulatedAgent<AgentEngine>;

/// What a window begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// 2.9.5 to 3.0.5 in complete mode.
    Synchronous,
    /// 2.9.5 to 3.0.5 in background mode.
    First,
    /// 3.0.5 from background to complete mode.
    Second,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Synchronous, Self::First, Self::Second];

    pub(crate) fn mode(self) -> &'static str {
        match self {
            Self::Synchronous | Self::Second => "complete",
            Self::First => "background",
        }
    }
}

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) kind: Kind,
    pub(crate) nodes: usize,
    pub(crate) network: Mutex<Network>,
    base: PathBuf,
    without: Option<Guard>,
    slots: Mutex<Vec<Slot>>,
}

/// What an agent's disk loses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    /// The floor stays.
    Ledger,
    /// The ledger knows of one.
    Floor,
    /// Nothing is known any more.
    Everything,
}

/// What the network does to messages.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) chance: Chance,
    /// Once in so many messages one is lost, late or repeated; `None` = never.
    pub(crate) trouble: Option<u64>,
    /// What befalls one order.
    pub(crate) ordeal: Option<(Chosen, Ordeal)>,
    /// Each order so far: its node, and the points of its agent from its
    /// beginning to its end.
    pub(crate) orders: Vec<(usize, u64, u64)>,
}

/// Which order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chosen {
    /// By its place among all.
    Place(usize),
    /// The first of its kind.
    Verb(&'static str),
}

/// What befalls one order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ordeal {
    /// It comes once more, so long after.
    ComesTwice(Duration),
    /// Its sender dies, and it comes so long after.
    OutlivesSender(Duration),
}

#[derive(Clone)]
struct Slot {
    agent: Option<Arc<Agent>>,
    life: Life,
}

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) kind: Kind,
    pub(crate) nodes: usize,
    pub(crate) shares_config: bool,
    /// How many of a hundred tags the second window finds in the new tables.
    pub(crate) mapped: i64,
    pub(crate) seed: u64,
    pub(crate) without: Option<Guard>,
}

impl Cluster {
    /// A cluster that has served for a while, and its directory.
    pub(crate) async fn new(made: Made) -> (Arc<Self>, tempfile::TempDir) {
        let Made { kind, nodes, shares_config, mapped, seed, without } = made;
        let directory = directory();
        let mut chance = Chance::new(seed);
        let (found, revision) = match kind {
            Kind::Synchronous | Kind::First => {
                ((Release::Old, None), quaymaster_simulation::database::OLD)
            }
            Kind::Second => {
                ((Release::New, Some("background")), quaymaster_simulation::database::BACKGROUND)
            }
        };
        let base = directory.path().to_owned();
        let world = World::new(Setting {
            nodes,
            base: &base,
            found,
            revision,
            mapped: if kind == Kind::Second { TAGS * mapped / 100 } else { 0 },
            shares_config,
            chance: chance.split(),
        });
        let network = Mutex::new(Network {
            chance: chance.split(),
            trouble: None,
            ordeal: None,
            orders: Vec::new(),
        });
        let slot = Slot { agent: None, life: Life::default() };
        let slots = Mutex::new(vec![slot; nodes]);
        let cluster = Self { world, kind, nodes, network, base, without, slots };
        let cluster = Arc::new(cluster);
        for node in 0..nodes {
            cluster.start_agent(node).await;
            tokio::spawn(Arc::clone(&cluster).watch_over(node));
        }
        let world = cluster.world.clone();
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(250)).await;
                world.look_at_floors();
            }
        });
        sleep(Duration::from_secs(10)).await;
        (cluster, directory)
    }

    pub(crate) fn agent(&self, node: usize) -> Option<Arc<Agent>> {
        self.slots.lock().unwrap()[node].agent.clone()
    }

    /// How many points each node's agents have passed.
    pub(crate) fn points(&self) -> Vec<u64> {
        self.world.state().hosts.iter().map(|host| host.points).collect()
    }

    /// Ends an agent's process.
    pub(crate) fn kill_agent(&self, node: usize) {
        self.world.note(format!("quay-{}: its agent is killed", node + 1));
        self.world.state().hosts[node].deaths.send_modify(|deaths| *deaths += 1);
    }

    /// Something that its agent keeps is gone.
    pub(crate) fn lose(&self, node: usize, lost: Lost) {
        self.world.note(format!("quay-{}: lost: {lost:?}", node + 1));
        let state = self.base.join(format!("state-{}", node + 1));
        if lost != Lost::Floor {
            // Its agent holds the ledger open, and has read it.
            self.kill_agent(node);
            self.slots.lock().unwrap()[node].life.end();
        }
        if lost != Lost::Ledger {
            // What was promised stays promised; nobody knows it any more.
            let millis = self.world.millis();
            let mut state = self.world.state();
            let host = &mut state.hosts[node];
            host.forgotten = host.floor.as_ref().map(|_| millis);
        }
        let _ = match lost {
            Lost::Ledger => std::fs::remove_file(state.join("ledger.jsonl")),
            Lost::Floor => std::fs::remove_file(state.join("floor.json")),
            Lost::Everything => std::fs::remove_dir_all(state),
        };
    }

    async fn start_agent(&self, node: usize) {
        let life = Life::default();
        let engine = AgentEngine { world: self.world.clone(), node, life: life.clone() };
        let name = format!("quay-{}", node + 1);
        let state = self.base.join(format!("state-{}", node + 1));
        std::fs::create_dir_all(&state).unwrap();
        let config = self.world.state().hosts[node].config.display().to_string();
        let yaml = format!(
            "version: 1\ncluster: prod\nnode: {name}\nlisten: 10.0.0.{}:9643\n\
             tls: {{ ca: ca.crt, certificate: agent.crt, key: agent.key }}\n\
             engine: unix:///run/docker.sock\nstate: {}\n\
             backup: {{ directory: /backups }}\ncomponents:\n  quay:\n    \
             container: quay\n    config: {config}\n    \
             repositories: [quay.io/coreos/quay, quay.io/redhat/quay]\n",
            11 + node,
            state.display()
        );
        let around = Around { world: self.world.clone(), node, engine: engine.clone() };
        let parts = Parts {
            yaml: &yaml,
            base: &self.base,
            engine,
            world: Arc::new(around),
            without: self.without,
        };
        let agent = SimulatedAgent::start(parts).await.unwrap();
        self.world.state().hosts[node].agent_since = Some(self.world.millis());
        self.slots.lock().unwrap()[node] = Slot { agent: Some(Arc::new(agent)), life };
    }

    async fn watch_over(self: Arc<Self>, node: usize) {
        let mut deaths = self.world.state().hosts[node].deaths.subscribe();
        while deaths.changed().await.is_ok() {
            {
                let mut slots = self.slots.lock().unwrap();
                slots[node].life.end();
                slots[node].agent = None;
            }
            self.world.state().hosts[node].agent_since = None;
            sleep(RESTART).await;
            while !self.world.state().hosts[node].is_up {
                sleep(RESTART).await;
            }
            deaths.mark_unchanged();
            self.world.note(format!("quay-{}: its agent starts", node + 1));
            self.start_agent(node).await;
        }
    }
}

/// On a disk of memory, where there is one.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The world around one agent.
struct Around {
    world: World,
    node: usize,
    engine: AgentEngine,
}

impl simulation::World for Around {
    fn get(&self, address: String, path: String) -> BoxFuture<'static, QuayAnswer> {
        let world = self.world.clone();
        async move {
            sleep(HTTP).await;
            world.answer(&address, &path)
        }
        .boxed()
    }

    fn put_manifest_list(&self, address: String) -> BoxFuture<'static, QuayAnswer> {
        self.get(address, "manifest-list".to_owned())
    }

    fn look_at_database(
        &self,
        _: String,
        sessions: bool,
        counts: bool,
    ) -> BoxFuture<'static, Result<DatabaseLook, String>> {
        let (world, node) = (self.world.clone(), self.node);
        async move {
            sleep(LOOK).await;
            world.look_at_database(node, sessions, counts)
        }
        .boxed()
    }

    fn back_up(
        &self,
        run: RunId,
        order: BackUp,
    ) -> BoxFuture<'static, Result<(Backup, bool), String>> {
        self.world.clone().back_up(self.engine.clone(), run, order).boxed()
    }

    fn check_backup(
        &self,
        run: RunId,
        order: CheckBackup,
    ) -> BoxFuture<'static, Result<Backup, String>> {
        self.world.clone().check_backup(run, order).boxed()
    }

    fn restore(&self, run: RunId, order: Restore) -> BoxFuture<'static, Result<u64, String>> {
        self.world.clone().restore(self.engine.clone(), run, order).boxed()
    }

    fn now(&self) -> Timestamp {
        self.world.clock_of(self.node)
    }

    fn writes(&self, writing: Writing) -> bool {
        self.world.look_at_configs();
        if writing == Writing::Begins && self.world.state().hosts[self.node].is_full {
            return false;
        }
        self.engine.point()
    }
}
