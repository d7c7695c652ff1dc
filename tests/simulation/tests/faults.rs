//! What befalls a cluster while its window runs, by chance.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quaymaster::guards::Guard as Gate;
use quaymaster_agent::simulation::Guard;
use quaymaster_simulation::chance::Chance;
use quaymaster_simulation::world::{Cause, Stored};
use tokio::time::sleep;

use crate::cluster::{Chosen, Cluster, Lost, Ordeal};

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Once in so many messages one is lost, late or repeated.
    Network(u64),
    /// The coordinator dies at its so many-th write, which still reaches the
    /// disk or does not.
    CoordinatorDies { appends: usize, writes: bool },
    /// The coordinator is killed after so long.
    CoordinatorKilled,
    /// An order outlives it, or comes twice.
    Order(&'static str, Ordeal),
    /// The operator gives up and orders the way back.
    Abort,
    /// Its disk is full for a while.
    JournalFull,
    /// After it died an earlier copy of its journal takes the journal's place.
    JournalRestored,
    /// Somebody takes the run in hand elsewhere, with a copy of the journal.
    SecondCoordinator,
    /// Somebody applies the same plan elsewhere, and may order that leases are
    /// taken over.
    Rival { takes_over: bool },
    /// An agent dies at its so many-th point from then on.
    AgentDies(usize, u64),
    /// An agent is killed.
    AgentKilled(usize),
    /// Its disk is full for a while.
    AgentFull(usize),
    /// Something that it keeps is lost.
    Lost(usize, Lost),
    /// A host is started again.
    Reboot(usize),
    /// An engine is.
    EngineRestart(usize),
    /// A clock jumps, by so many milliseconds.
    Clock(usize, i64),
    /// That of the machine that drives the run does.
    OwnClock(i64),
    /// Somebody, or cron, starts a container that does not run.
    ForeignStart(usize),
    /// Somebody starts an old Quay, right when the database is backed up and the
    /// node's agent is away.
    BehindBackup(usize),
    /// Somebody goes on by hand once it is dark: the new config, the well-known
    /// name, and the first one's start.
    ByHand,
    /// Somebody is on the database for a while.
    ForeignClient,
    /// The database's standby takes over, without its last revision.
    FailOver,
}

impl Fault {
    /// Whether a person may be needed where this has happened.
    pub(crate) fn may_hold(self) -> bool {
        match self {
            Self::Lost(..)
            | Self::BehindBackup(_)
            | Self::Reboot(_)
            | Self::EngineRestart(_)
            | Self::ForeignStart(_)
            | Self::ByHand
            | Self::Rival { takes_over: true }
            | Self::FailOver => true,
            Self::Network(_)
            | Self::CoordinatorDies { .. }
            | Self::CoordinatorKilled
            | Self::Order(..)
            | Self::Abort
            | Self::JournalFull
            | Self::JournalRestored
            | Self::SecondCoordinator
            | Self::Rival { takes_over: false }
            | Self::AgentDies(..)
            | Self::AgentKilled(_)
            | Self::AgentFull(_)
            | Self::Clock(..)
            | Self::OwnClock(_)
            | Self::ForeignClient => false,
        }
    }

    /// Whether a Quay that was well may not be any more: one that is started a
    /// second time never becomes well.
    pub(crate) fn may_spoil(self) -> bool {
        match self {
            Self::Reboot(_)
            | Self::EngineRestart(_)
            | Self::ForeignStart(_)
            | Self::BehindBackup(_)
            | Self::ByHand => true,
            Self::Network(_)
            | Self::CoordinatorDies { .. }
            | Self::CoordinatorKilled
            | Self::Order(..)
            | Self::Abort
            | Self::JournalFull
            | Self::JournalRestored
            | Self::SecondCoordinator
            | Self::Rival { .. }
            | Self::AgentDies(..)
            | Self::AgentKilled(_)
            | Self::AgentFull(_)
            | Self::Lost(..)
            | Self::Clock(..)
            | Self::OwnClock(_)
            | Self::ForeignClient
            | Self::FailOver => false,
        }
    }

    /// Whether a process may end, or a node not answer, right when a lease is
    /// given back.
    pub(crate) fn may_keep_lease(self) -> bool {
        match self {
            Self::Network(_)
            | Self::CoordinatorDies { .. }
            | Self::CoordinatorKilled
            | Self::Order(..)
            | Self::JournalRestored
            | Self::SecondCoordinator
            | Self::Rival { .. }
            | Self::AgentDies(..)
            | Self::AgentKilled(_)
            | Self::AgentFull(_)
            | Self::BehindBackup(_)
            | Self::Reboot(_) => true,
            Self::Abort
            | Self::JournalFull
            | Self::Lost(..)
            | Self::EngineRestart(_)
            | Self::Clock(..)
            | Self::OwnClock(_)
            | Self::ForeignStart(_)
            | Self::ByHand
            | Self::ForeignClient
            | Self::FailOver => false,
        }
    }

    pub(crate) fn by_chance(chance: &mut Chance, nodes: usize) -> Self {
        let node = usize::try_from(chance.below(nodes as u64)).unwrap();
        match chance.below(26) {
            0 | 1 => Self::Network(4 + chance.below(40)),
            2 | 3 => Self::CoordinatorDies {
                appends: usize::try_from(chance.below(45)).unwrap(),
                writes: chance.once_in(2),
            },
            4 => Self::CoordinatorKilled,
            5 => Self::JournalFull,
            6 => Self::JournalRestored,
            7 if chance.once_in(2) => Self::Rival { takes_over: chance.once_in(3) },
            7 => Self::SecondCoordinator,
            8 | 9 => Self::AgentDies(node, 1 + chance.below(300)),
            10 => Self::AgentKilled(node),
            11 => Self::AgentFull(node),
            12 => {
                let lost = [Lost::Everything, Lost::Ledger, Lost::Floor];
                Self::Lost(node, lost[chance.below(3) as usize])
            }
            21 if chance.once_in(2) => Self::BehindBackup(node),
            // What a dump meets as well.
            23 => Self::ForeignClient,
            24 => Self::AgentFull(node),
            25 => Self::AgentDies(node, 1 + chance.below(300)),
            13 => Self::Reboot(node),
            14 => Self::EngineRestart(node),
            15 if chance.once_in(3) => Self::OwnClock(jump(chance)),
            15 => Self::Clock(node, jump(chance)),
            20 if chance.once_in(3) => Self::ByHand,
            16 if chance.once_in(3) => Self::FailOver,
            16 => Self::ForeignClient,
            19 => Self::Abort,
            17 | 18 | 22 => {
                Self::Order(VERBS[chance.below(VERBS.len() as u64) as usize], ordeal(chance))
            }
            _ => Self::ForeignStart(node),
        }
    }
}

/// Every kind of order.
const VERBS: [&str; 15] = [
    "pull-image",
    "stage-container",
    "stage-config",
    "ensure-stopped",
    "put-config",
    "start-migrating",
    "ensure-running",
    "promote",
    "set-floor",
    "back-up",
    // On the way back.
    "restore-config",
    "lower-floor",
    "recreate",
    "remove-staged",
    "remove-staged-config",
];

/// An hour at most, to either side.
fn jump(chance: &mut Chance) -> i64 {
    i64::try_from(chance.below(7_200_000)).unwrap() - 3_600_000
}

fn ordeal(chance: &mut Chance) -> Ordeal {
    let after = chance.millis(1, 12_000);
    if chance.once_in(2) { Ordeal::ComesTwice(after) } else { Ordeal::OutlivesSender(after) }
}

/// A guard that is off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Removed {
    OfAgent(Guard),
    OfCoordinator(Gate),
}

/// What shows best what a guard is there for.
pub(crate) fn against(removed: Removed, chance: &mut Chance, nodes: usize) -> Vec<Fault> {
    let node = usize::try_from(chance.below(nodes as u64)).unwrap();
    let guard = match removed {
        Removed::OfAgent(guard) => guard,
        Removed::OfCoordinator(Gate::DarkGate) => {
            let (appends, writes) = (usize::try_from(12 + chance.below(16)).unwrap(), true);
            return vec![Fault::ForeignStart(node), Fault::CoordinatorDies { appends, writes }];
        }
        Removed::OfCoordinator(Gate::FreshBackup) => return vec![Fault::BehindBackup(node)],
        Removed::OfCoordinator(Gate::FirstNodeGate) => return vec![Fault::CoordinatorKilled],
        Removed::OfCoordinator(Gate::FreshEpoch) => {
            return vec![Fault::SecondCoordinator, Fault::Abort];
        }
    };
    match guard {
        Guard::Lease => {
            // It comes when the run has gone back already.
            let verb = VERBS[usize::try_from(1 + chance.below(4)).unwrap()];
            let late = Ordeal::OutlivesSender(chance.millis(1500, 9000));
            vec![Fault::Order(verb, late), Fault::Abort]
        }
        Guard::Floor => {
            let (appends, writes) = (usize::try_from(12 + chance.below(16)).unwrap(), true);
            vec![Fault::ForeignStart(node), Fault::CoordinatorDies { appends, writes }]
        }
        Guard::AtMostOnce => {
            let twice = Ordeal::ComesTwice(chance.millis(3000, 9000));
            vec![Fault::Order("start-migrating", twice), Fault::EngineRestart(0)]
        }
        Guard::OwnDatabase => vec![Fault::FailOver],
        Guard::PolicyBeforeStop => vec![Fault::EngineRestart(node)],
        Guard::IdsNotNames => {
            // In the second window: right when all of them are down.
            vec![Fault::ByHand, Fault::CoordinatorDies { appends: 11, writes: false }]
        }
        Guard::SiblingUntilDark => {
            let late = Ordeal::OutlivesSender(chance.millis(2000, 12_000));
            vec![Fault::Order("put-config", late), Fault::ForeignStart(0)]
        }
    }
}

/// A fault that waits for its moment, and not for a time; whether it is one.
async fn on_cue(
    cluster: &Arc<Cluster>,
    fault: Fault,
    after: Duration,
    chance: &mut Chance,
) -> bool {
    let world = &cluster.world;
    if fault == Fault::ByHand {
        until(|| world.is_dark()).await;
        sleep(after / 10).await;
        if world.is_dark() {
            world.go_on_by_hand(0);
        }
        return true;
    }
    if let Fault::BehindBackup(node) = fault {
        until(|| world.is_backed_up()).await;
        sleep(chance.millis(0, 900)).await;
        cluster.kill_agent(node);
        foreign_start(cluster, node, chance, |stored| stored.runs > 0);
        return true;
    }
    false
}

/// A fault that befalls the world, after so long.
pub(crate) async fn befall(
    cluster: Arc<Cluster>,
    fault: Fault,
    after: Duration,
    mut chance: Chance,
) {
    if let Fault::Order(verb, ordeal) = fault {
        cluster.network.lock().unwrap().ordeal = Some((Chosen::Verb(verb), ordeal));
        return;
    }
    if on_cue(&cluster, fault, after, &mut chance).await {
        return;
    }
    let world = &cluster.world;
    sleep(after).await;
    let length = chance.millis(200, 9000);
    match fault {
        Fault::Network(times) => {
            cluster.network.lock().unwrap().trouble = Some(times);
        }
        Fault::AgentDies(node, points) => {
            let mut state = world.state();
            let host = &mut state.hosts[node];
            host.fuse = Some(host.points + points);
        }
        Fault::AgentKilled(node) => cluster.kill_agent(node),
        Fault::AgentFull(node) => fill_its_disk(&cluster, node, length).await,
        Fault::Lost(node, lost) => cluster.lose(node, lost),
        Fault::Reboot(node) => world.reboot(node).await,
        Fault::EngineRestart(node) => world.restart_engine(node).await,
        Fault::OwnClock(by) => {
            wait_for_health(&cluster, &mut chance).await;
            world.note(format!("the coordinator's clock jumps by {by} ms"));
            world.state().coordinator_ahead += by;
        }
        Fault::Clock(node, by) => {
            wait_for_health(&cluster, &mut chance).await;
            world.note(format!("quay-{}: its clock jumps by {by} ms", node + 1));
            world.state().hosts[node].ahead += by;
        }
        Fault::ForeignStart(node) => start_by_chance(&cluster, node, &mut chance).await,
        Fault::ForeignClient => world.visit(length),
        Fault::FailOver => fail_over(&cluster, &mut chance).await,
        // These befall the coordinator, or have befallen.
        Fault::ByHand
        | Fault::BehindBackup(_)
        | Fault::CoordinatorDies { .. }
        | Fault::CoordinatorKilled
        | Fault::Order(..)
        | Fault::Abort
        | Fault::JournalFull
        | Fault::JournalRestored
        | Fault::SecondCoordinator
        | Fault::Rival { .. } => {}
    }
}

/// When it hurts most: the first one is there, the others are not.
async fn fail_over(cluster: &Cluster, chance: &mut Chance) {
    let is_there = || {
        let state = cluster.world.state();
        state.database.revision == state.witness.target
    };
    until(is_there).await;
    sleep(chance.millis(0, 1500)).await;
    cluster.world.fail_over();
}

/// When it hurts most, half of the time: the first one has just become well.
async fn wait_for_health(cluster: &Cluster, chance: &mut Chance) {
    let is_well = || {
        let state = cluster.world.state();
        let is_there = state.database.revision == state.witness.target;
        is_there && state.quays().any(|(_, stored, _)| stored.is_well())
    };
    if chance.once_in(2) {
        until(is_well).await;
        sleep(chance.millis(0, 500)).await;
    }
}

/// When it hurts most, half of the time: somebody has just stopped it.
async fn start_by_chance(cluster: &Cluster, node: usize, chance: &mut Chance) {
    let is_busy = || {
        let state = cluster.world.state();
        state.hosts[node].containers.values().any(|it| it.process.is_some())
    };
    if chance.once_in(2) {
        until(|| !is_busy()).await;
    }
    for _ in 0..=chance.below(3) {
        foreign_start(cluster, node, chance, |_| true);
        sleep(chance.millis(1000, 6000)).await;
    }
}

async fn fill_its_disk(cluster: &Cluster, node: usize, length: Duration) {
    cluster.world.note(format!("quay-{}: its agent's disk is full", node + 1));
    cluster.world.state().hosts[node].is_full = true;
    sleep(length).await;
    cluster.world.state().hosts[node].is_full = false;
}

/// Waits for it, a minute at most.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn foreign_start(
    cluster: &Cluster,
    node: usize,
    chance: &mut Chance,
    is_one: impl Fn(&Stored) -> bool,
) {
    let resting: Vec<_> = {
        let state = cluster.world.state();
        if !state.hosts[node].is_up {
            return;
        }
        let all = state.hosts[node].containers.iter();
        let resting = all.filter(|(_, stored)| stored.process.is_none() && is_one(stored));
        resting.map(|(id, _)| id.clone()).collect()
    };
    if !resting.is_empty() {
        let which = usize::try_from(chance.below(resting.len() as u64)).unwrap();
        let _ = cluster.world.start(node, &resting[which], Cause::Foreign);
    }
}

/// Those of one window, in the order of their kinds.
pub(crate) fn several(chance: &mut Chance, nodes: usize) -> Vec<Fault> {
    let count = 1 + chance.below(4);
    let mut faults = Vec::new();
    let mut kinds = BTreeSet::new();
    for _ in 0..count {
        let fault = Fault::by_chance(chance, nodes);
        let kind = format!("{fault:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
        if kinds.insert(kind) {
            faults.push(fault);
        }
    }
    faults
}
