//! Whoever plans and drives a window: plans it as the program does, and takes
//! the run in hand again when a process has ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quaymaster::catalogue::Catalogue;
use quaymaster::cluster::Cluster as ClusterFile;
use quaymaster::guards::Guard;
use quaymaster::measured::Measured;
use quaymaster::nodes::{Looks as _, SurveyKey, asking};
use quaymaster::plan::request::{Request, Wanted, wanted};
use quaymaster::plan::situation::Situation;
use quaymaster::plan::{CheckedPlan, Gate, ReleaseInMode, Verb, What, Window, build};
use quaymaster::preflight;
use quaymaster::run::rebuild::{Kept, rebuild};
use quaymaster::run::{Event, RunState, next};
use quaymaster::runner::{Claimant, Clock, Ended, Parts, Patience, RollbackWish, RunError, Runner};
use quaymaster::survey::Reader;
use quaymaster_proto::{Epoch, Mode, NodeName, RunId, StepNumber};
use quaymaster_simulation::life::Life;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use crate::cluster::{Cluster, Kind};
use crate::fleet::Fleet;
use crate::registry::Registry;

mod ending;
mod pen;

pub(crate) use ending::Excuses;
pub(crate) use pen::{Fuse, Journal, Moment, Pen, Visitor};

/// How a hold begins that comes from leases.
pub(crate) const UNCLAIMED: &str = "leases are not to be had: ";

/// How long a process stays with a run that only waits.
const LONGEST: Duration = Duration::from_secs(150);

/// One process of the coordinator.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) fuse: Option<Fuse>,
    pub(crate) life: Life,
    /// What a person orders besides.
    pub(crate) ordered: Option<Ordered>,
    /// Whether another's leases are taken.
    pub(crate) takes_over: bool,
    /// Which run begins where the journal has none; `None` = the operator's.
    pub(crate) run: Option<RunId>,
}

/// What only a person orders.
#[derive(Clone, Debug)]
pub(crate) enum Ordered {
    Abort,
    Retry(NodeName),
    HandOver(NodeName),
}

/// How a window came to its end.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    /// Every node is where it should be.
    Done,
    /// Every node is where it was.
    Back,
    /// It stands still, and says why.
    Holds(String),
    /// The process died.
    Died,
}

impl Outcome {
    /// Whether nothing is left to do.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Done | Self::Back => true,
            Self::Holds(_) | Self::Died => false,
        }
    }
}

/// A planned window in the hands of an operator.
pub(crate) struct Operator {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) plan: Arc<CheckedPlan>,
    pub(crate) journal: Journal,
    pub(crate) appends: Arc<Mutex<usize>>,
    pub(crate) is_full: Arc<Mutex<bool>>,
    /// Whoever keeps the window from its migration.
    pub(crate) visitor: Arc<Mutex<Option<Visitor>>>,
    /// Whether a window that is done is rolled back.
    pub(crate) rolls_back: Arc<Mutex<bool>>,
    /// The gate that is off.
    pub(crate) without: Option<Guard>,
    run: RunId,
    seed: u64,
    count: Mutex<u128>,
}

fn cluster_file(nodes: usize) -> ClusterFile {
    let listed = (1..=nodes).map(|number| {
        format!("  - {{ name: quay-{number}, address: 10.0.0.{}:9643 }}\n", 10 + number)
    });
    let text = format!(
        "version: 1\ncluster: prod\n\
         tls: {{ ca: ca.crt, certificate: operator.crt, key: operator.key }}\nnodes:\n{}\
         timings:\n  stop_grace: {{ quay: 2s }}\n  healthy_for: 500ms\n  first_node_limit: 60s\n  \
         backfill: {{ threshold: 0.9, samples: 2, poll: 1s }}\n",
        listed.collect::<String>()
    );
    ClusterFile::parse(&text, Path::new("/etc/quaymaster")).unwrap()
}

/// The window that such a cluster is to go through.
fn window(catalogue: &Catalogue, from: &ReleaseInMode, kind: Kind) -> Window {
    let first_mode = match kind {
        Kind::Synchronous | Kind::Second => Some(Mode::Complete),
        Kind::First => Some(Mode::Background),
    };
    let request = Request { to: "3.0.5".to_owned(), first_mode };
    let Ok(Wanted::Window(window)) = wanted(catalogue, from, &request) else {
        panic!("no window from {from}");
    };
    window
}

impl Operator {
    /// Surveys, checks and plans, as `quaymaster plan` does.
    pub(crate) async fn plan(cluster: Arc<Cluster>, seed: u64) -> Self {
        let (life, who) = (Life::default(), "alice@host".to_owned());
        let fleet = Fleet { cluster: Arc::clone(&cluster), life, who, process: 0 };
        let file = cluster_file(cluster.nodes);
        let catalogue = Catalogue::built_in();
        let reader = Reader { catalogue: &catalogue, mirrors: &file.mirrors };
        let addresses: Vec<_> =
            file.nodes.iter().map(|node| (node.name.clone(), node.address.clone())).collect();
        let key = SurveyKey::new([3; 32]);
        let request = asking::Request {
            cluster: &file.name,
            nodes: &addresses,
            key: &key,
            counts: asking::Counts::Once,
        };
        let mut survey = asking::survey(&fleet, &request, || cluster.world.now()).await;
        asking::look_up_images(&fleet, reader, &mut survey).await;
        let facts = survey.complete().unwrap();
        let of_cluster = preflight::of_cluster(reader, &facts);
        let from = preflight::common_generation(reader, &facts)
            .unwrap_or_else(|| panic!("no common generation: {of_cluster:?}"));
        let window = window(&catalogue, &from, cluster.kind);
        let about = asking::About { cluster: &file, catalogue: &catalogue, window: &window };
        let answers = asking::answers(&fleet, &about, &facts).await;
        let situation = Situation {
            cluster: &file,
            catalogue: &catalogue,
            facts: &facts,
            window: &window,
            answers: &answers,
            waived_backup: None,
            measured: &Measured::default(),
        };
        let findings = of_cluster.and(preflight::of_window(&situation));
        assert!(findings.allow(), "{findings:?}");
        let plan = build::build(&situation, &findings).unwrap().check().unwrap();
        expect(&cluster, &plan);
        Self {
            cluster,
            plan: Arc::new(plan),
            journal: Journal::default(),
            appends: Arc::default(),
            is_full: Arc::default(),
            visitor: Arc::default(),
            rolls_back: Arc::default(),
            without: None,
            count: Mutex::new(0),
            run: RunId::new(Ulid::from_parts(1_700_000_000_000, seed.into())),
            seed,
        }
    }

    /// One process takes the run in hand, and stays with it.
    pub(crate) async fn drive(&self, fuse: Option<Fuse>) -> Outcome {
        self.drive_as("alice@host", &self.journal, Process { fuse, ..Process::default() }).await
    }

    /// The same by somebody, with some journal.
    pub(crate) async fn drive_as(
        &self,
        who: &str,
        journal: &Journal,
        Process { fuse, life, ordered, takes_over, run }: Process,
    ) -> Outcome {
        let world = &self.cluster.world;
        let at = world.clock_of_coordinator();
        self.begin(who, journal, run.unwrap_or(self.run));
        let state = journal.state();
        // One that was ordered and not begun is ordered anew.
        let is_open = state.direction.is_there() || state.can_be_called_off();
        let rolls_back = *self.rolls_back.lock().unwrap() && is_open;
        if state.finished_at.is_some() && !rolls_back {
            return if state.direction.is_there() { Outcome::Done } else { Outcome::Back };
        }
        let epoch = state.epoch.map_or(Epoch::FIRST, Epoch::next);
        world.note(format!("{who} takes the run in hand, epoch {epoch}"));
        let mut runner = self.runner(who, journal, (fuse, life.clone(), takes_over));
        let begun = if rolls_back {
            self.order_rollback(&mut runner, who, &life).await
        } else {
            let driven = Event::Driven { epoch, by: who.to_owned(), at };
            runner.note(driven).await.map_err(|error| ended(error, &life))
        };
        if let Err(outcome) = begun {
            return outcome;
        }
        if let Some(ordered) = ordered
            && let Err(outcome) = self.obey(&mut runner, ordered, &life).await
        {
            return outcome;
        }
        let driven = tokio::select! {
            biased;
            () = life.ended() => return Outcome::Died,
            () = sleep(LONGEST) => None,
            driven = runner.drive(Patience::Stay) => Some(driven),
        };
        let Some(driven) = driven else {
            life.end();
            let gates = runner.state().gates.values().last().cloned();
            let next = format!("{:?}", next(self.plan.plan(), runner.state()));
            return Outcome::Holds(format!("still at {next:.60}: {gates:?}"));
        };
        match driven {
            Ok(ended @ (Ended::Done | Ended::Back { because: _ } | Ended::RolledBack)) => {
                assert_eq!(*runner.state(), journal.state(), "the journal tells another state");
                if ended == Ended::Done { Outcome::Done } else { Outcome::Back }
            }
            Ok(Ended::Unclaimed { nodes }) => Outcome::Holds(format!("{UNCLAIMED}{nodes:?}")),
            Ok(Ended::LeaseLost { node }) => {
                Outcome::Holds(format!("another process drives {node}"))
            }
            Ok(Ended::Waiting { step, on }) => {
                Outcome::Holds(format!("step {}: waits on {on:?}", step.number))
            }
            Ok(Ended::Failed { step, failures }) => {
                Outcome::Holds(format!("step {}: {failures:?}", step.number))
            }
            Ok(Ended::Closed { step, failure }) => {
                Outcome::Holds(format!("step {}: {failure:?}", step.number))
            }
            Err(error) => ended(error, &life),
        }
    }

    /// Takes a window back that is done; `Err` = it is declined, or not to be
    /// written down.
    async fn order_rollback(
        &self,
        runner: &mut Runner<Fleet, Pen>,
        who: &str,
        life: &Life,
    ) -> Result<(), Outcome> {
        let (by, because) = (who.to_owned(), "it is slow".to_owned());
        let wish = RollbackWish { by, because, without: BTreeMap::new() };
        match runner.roll_back(self.plan.plan(), wish).await {
            Ok(Err(declined)) => Err(Outcome::Holds(format!("{declined:?}"))),
            Ok(Ok(())) => Ok(()),
            Err(error) => Err(ended(error, life)),
        }
    }

    /// What a person orders, or why that cannot be.
    async fn obey(
        &self,
        runner: &mut Runner<Fleet, Pen>,
        ordered: Ordered,
        life: &Life,
    ) -> Result<(), Outcome> {
        self.cluster.world.note(format!("a person orders {ordered:?}"));
        let plan = self.plan.plan();
        let heard = match &ordered {
            Ordered::Abort => runner.abort(plan, None).await,
            Ordered::Retry(node) => runner.retry(plan, node).await,
            Ordered::HandOver(node) => runner.hand_over(plan, node).await,
        };
        match heard {
            Ok(Ok(())) => Ok(()),
            Ok(Err(declined)) => Err(Outcome::Holds(format!("{ordered:?}: {declined:?}"))),
            Err(error) => Err(ended(error, life)),
        }
    }

    /// As `apply` does, with the plan agreed to.
    fn begin(&self, who: &str, journal: &Journal, run: RunId) {
        let mut events = journal.events();
        // A copy may be older than the word that was given: it is asked for again.
        if events.len() > 1 {
            return;
        }
        let at = self.cluster.world.clock_of_coordinator();
        if events.is_empty() {
            let (plan, cluster) = (self.plan.digest().clone(), self.plan.plan().cluster.clone());
            let waivers = self.plan.plan().waivers.clone();
            events.push(Event::Started { run, plan, cluster, waivers, at });
        }
        let (gate, by) = (Gate::Approval, who.to_owned());
        events.push(Event::Approved { gate, by, because: None, at });
        journal.replace(events);
    }

    fn runner(
        &self,
        who: &str,
        journal: &Journal,
        (fuse, life, takes_over): (Option<Fuse>, Life, bool),
    ) -> Runner<Fleet, Pen> {
        let world = &self.cluster.world;
        let process = self.processes();
        let fleet = self.fleet(who, life.clone(), process);
        // Where processes are not told apart, all of them are the same one.
        let process = if self.without == Some(Guard::FreshEpoch) { 0 } else { process };
        let book = Pen {
            journal: journal.clone(),
            life,
            fuse,
            plan: Arc::clone(&self.plan),
            is_full: Arc::clone(&self.is_full),
            appends: Arc::clone(&self.appends),
            visitor: Arc::clone(&self.visitor),
            cluster: Arc::clone(&self.cluster),
        };
        let clock = world.clone();
        let mut runner = Runner::new(Parts {
            nodes: Arc::new(fleet),
            plan: Arc::clone(&self.plan),
            state: journal.state(),
            book,
            clock: Clock::of(move || clock.clock_of_coordinator()),
            key: SurveyKey::new([3; 32]),
            progress: unbounded_channel().0,
            claimant: Claimant {
                process: Ulid::from_parts(0, process),
                over: Default::default(),
                takes_over,
            },
            verifier: Arc::new(Registry(world.clone())),
        });
        runner.do_without(self.without);
        runner
    }

    /// As `resume --from-nodes` does: what the nodes know takes the place of the
    /// journal.
    pub(crate) async fn rebuild(&self) {
        let fleet = self.fleet("alice@host", Life::default(), 0);
        let mut nodes = BTreeMap::new();
        let mut epoch = Epoch::FIRST;
        for node in self.plan.plan().nodes.iter().map(|node| &node.name) {
            match fleet.read_ledger(node, Some(self.run)).await {
                Ok(ledger) => {
                    epoch = epoch.max(ledger.epoch);
                    nodes.insert(node.clone(), ledger.entries);
                }
                // It alone knows whether the migration was started.
                Err(_) if *node == self.plan.plan().first => return,
                Err(_) => {}
            }
        }
        self.cluster.world.note("the journal is made anew from the nodes");
        let plan = CheckedPlan::clone(&self.plan);
        let kept = Kept { run: self.run, plan, epoch, nodes };
        let at = self.cluster.world.clock_of_coordinator();
        let mut events = rebuild(&kept, at);
        if RunState::replay(&events).unwrap().finished_at.is_none() {
            let (gate, by, because) = (Gate::Approval, "alice@host".to_owned(), None);
            events.push(Event::Approved { gate, by, because, at });
        }
        self.journal.replace(events);
    }

    /// The run of somebody else.
    pub(crate) fn rival(&self) -> RunId {
        RunId::new(Ulid::from_parts(1_700_000_000_000, u128::from(self.seed) | 1 << 35))
    }

    /// Waits until the nodes are asked for something, so long at most.
    pub(crate) async fn has_begun(&self, longest: Duration) {
        self.wait_for(longest, |_| true).await;
    }

    /// Waits until config files change, so long at most.
    pub(crate) async fn is_about_to_cross(&self, longest: Duration) {
        let put = self.plan.plan().first_step(What::Act(Verb::PutConfig));
        let put = put.map(|step| step.number);
        self.wait_for(longest, |step| Some(step) == put).await;
    }

    /// Waits until a step is intended, so long at most.
    async fn wait_for(&self, longest: Duration, is_it: impl Fn(StepNumber) -> bool) {
        let is_it = |event: &Event| matches!(event, Event::Intended { step, .. } if is_it(*step));
        let begun = Instant::now();
        while !self.journal.events().iter().any(is_it) && begun.elapsed() < longest {
            sleep(Duration::from_millis(4)).await;
        }
    }

    /// One more process than there were.
    fn processes(&self) -> u128 {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        *count
    }

    fn fleet(&self, who: &str, life: Life, process: u128) -> Fleet {
        Fleet { cluster: Arc::clone(&self.cluster), life, who: who.to_owned(), process }
    }
}

fn ended(error: RunError, life: &Life) -> Outcome {
    if !life.lasts() {
        return Outcome::Died;
    }
    match error {
        RunError::Journal(error) => Outcome::Holds(format!("journal: {error}")),
        other @ (RunError::Illegal(_)
        | RunError::NoGate { .. }
        | RunError::OtherPlan { .. }
        | RunError::NoTask(_)) => panic!("the run is in disorder: {other}"),
    }
}

/// The witness learns what config.yaml is to be.
fn expect(cluster: &Cluster, plan: &CheckedPlan) {
    let mut state = cluster.world.state();
    let before = state.witness.texts[0].clone();
    let after = match cluster.kind {
        Kind::Second => before.replace("V3_UPGRADE_MODE: background", "V3_UPGRADE_MODE: complete"),
        Kind::Synchronous | Kind::First => {
            format!("{before}V3_UPGRADE_MODE: {}\n", cluster.kind.mode())
        }
    };
    let digest = quaymaster_simulation::world::sha256(&after);
    assert_eq!(plan.plan().nodes[0].config.to.as_str(), digest, "another edit than foreseen");
    state.witness.expect(after);
}
