//! Whoever plans and drives a window: plans it as the program does, and takes
//! the run in hand again when a process has ended.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quaymaster::catalogue::Catalogue;
use quaymaster::cluster::Cluster as ClusterFile;
use quaymaster::guards::Guard;
use quaymaster::journal::store::JournalError;
use quaymaster::nodes::{Looks as _, SurveyKey, asking};
use quaymaster::plan::request::{Request, Wanted, wanted};
use quaymaster::plan::situation::Situation;
use quaymaster::plan::{CheckedPlan, Gate, Verb, What, build};
use quaymaster::preflight;
use quaymaster::run::rebuild::{Kept, rebuild};
use quaymaster::run::{Event, Evidence, RunState, Settlement, next, order};
use quaymaster::runner::{Book, Claimant, Clock, Ended, Parts, Patience, RunError, Runner};
use quaymaster::survey::Reader;
use quaymaster_proto::{Epoch, Lease, Mode, NodeName, RunId};
use quaymaster_simulation::life::Life;
use quaymaster_simulation::world::{Cause, IMAGES};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use crate::cluster::{Cluster, Kind};
use crate::fleet::{Fleet, number};

/// How a hold begins that comes from leases.
pub(crate) const UNCLAIMED: &str = "leases are not to be had: ";

/// How long a process stays with a run that only waits.
const LONGEST: Duration = Duration::from_secs(150);

/// Longer than any window.
const FOR_EVER: Duration = Duration::from_secs(7200);

/// A journal, which outlives the processes that write it.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Event>>>);

impl Journal {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn state(&self) -> RunState {
        RunState::replay(&self.events()).unwrap()
    }

    /// As it is now.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.events())))
    }

    /// An earlier copy takes its place.
    pub(crate) fn restore(&self, length: usize) {
        self.0.lock().unwrap().truncate(length.max(1));
    }
}

/// When a process dies at its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fuse {
    /// So many appends later.
    pub(crate) appends: usize,
    /// Whether the last one is still written.
    pub(crate) writes: bool,
}

/// One process's hold on the journal.
pub(crate) struct Pen {
    journal: Journal,
    life: Life,
    fuse: Option<Fuse>,
    plan: Arc<CheckedPlan>,
    pub(crate) is_full: Arc<Mutex<bool>>,
    pub(crate) appends: Arc<Mutex<usize>>,
    visitor: Arc<Mutex<Option<Visitor>>>,
    cluster: Arc<Cluster>,
}

/// Somebody who is on the database from right before the migrating start on,
/// so that the window goes back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    /// What had happened when they came.
    pub(crate) since: Option<Moment>,
}

/// How far a window has come.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) appends: usize,
    pub(crate) orders: usize,
    /// Points that each node's agent has passed.
    pub(crate) points: Vec<u64>,
}

impl Book for Pen {
    async fn append(&mut self, _: RunId, events: &[Event]) -> Result<(), JournalError> {
        let dead = || JournalError::InUse { path: "dead".into() };
        if !self.life.lasts() {
            return Err(dead());
        }
        if *self.is_full.lock().unwrap() {
            return Err(JournalError::Disk {
                what: "write to",
                path: "journal.db".into(),
                source: std::io::Error::other("no space left on device"),
            });
        }
        let last = match &mut self.fuse {
            Some(fuse) if fuse.appends == 0 => Some(fuse.writes),
            Some(fuse) => {
                fuse.appends -= 1;
                None
            }
            None => None,
        };
        if last != Some(false) {
            self.journal.0.lock().unwrap().extend_from_slice(events);
            *self.appends.lock().unwrap() += 1;
            for event in events {
                self.cluster.world.note(format!("journal: {}", brief(event)));
                self.compare(event);
                self.let_in(event);
                if matches!(event, Event::Retried { node, .. } if *node == self.plan.plan().first) {
                    self.cluster.world.state().witness.retries += 1;
                }
            }
        }
        if last.is_some() {
            self.cluster.world.note("the coordinator dies");
            self.life.end();
            return Err(dead());
        }
        Ok(())
    }

    async fn collect(&mut self, _: RunId) -> Result<Vec<Event>, JournalError> {
        Ok(Vec::new())
    }
}

impl Pen {
    /// Behind the last gate before the migrating start the visitor comes.
    fn let_in(&self, event: &Event) {
        let Event::Passed { step, evidence: Evidence::Dark { .. }, .. } = event else { return };
        let put = self.plan.plan().first_step(What::Act(Verb::PutConfig));
        if put.is_none_or(|put| *step < put.number) {
            return;
        }
        if let Some(visitor) = self.visitor.lock().unwrap().as_mut() {
            let moment = Moment {
                appends: *self.appends.lock().unwrap(),
                orders: self.cluster.network.lock().unwrap().orders.len(),
                points: self.cluster.points(),
            };
            visitor.since.get_or_insert(moment);
            self.cluster.world.visit(FOR_EVER);
        }
    }

    /// Whatever the journal says happened did happen.
    fn compare(&self, event: &Event) {
        let Event::Settled { step, node, settlement: Settlement::Met(outcome), at: _ } = event
        else {
            return;
        };
        let Some(container) = &outcome.container else { return };
        let plan = self.plan.plan();
        let step = plan.steps.iter().chain(&plan.back).find(|known| known.number == *step);
        let Some(What::Act(verb)) = step.map(|step| step.what) else { return };
        let millis = self.cluster.world.millis();
        let mut state = self.cluster.world.state();
        let Some(stored) = state.stored(number(node), &container.id) else { return };
        let since = stored.process.as_ref().map(|process| (process.cause, process.since));
        let did_happen = match verb {
            Verb::Stop => since.is_none_or(|(cause, _)| cause == Cause::Foreign),
            Verb::StartMigrating | Verb::Start => stored.runs > 0,
            Verb::Promote => stored.state.name == "quay",
            Verb::Pull
            | Verb::BackUp
            | Verb::StageContainer
            | Verb::StageConfig
            | Verb::SetFloor
            | Verb::PutConfig
            | Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::Recreate => true,
        };
        if !did_happen {
            let words = format!("{node}: the journal says that {verb:?} is done");
            state.witness.blame(millis, 9, &words);
        }
    }
}

fn brief(event: &Event) -> String {
    let text = format!("{event:?}");
    let end = text.find(" at: ").unwrap_or(text.len()).min(120);
    text.chars().take(end).collect()
}

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

/// What somebody else may have changed about a window's end.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Excuses {
    /// A container may have been started a second time, and never becomes well.
    pub(crate) is_spoiled: bool,
    /// A lease may not have been given back; the journal knows that the run is
    /// over, and whoever comes next takes it.
    pub(crate) may_keep_lease: bool,
    /// The database lost a revision, and nobody looked at it once more.
    pub(crate) has_lost_revision: bool,
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

impl Operator {
    /// Surveys, checks and plans, as `quaymaster plan` does.
    pub(crate) async fn plan(cluster: Arc<Cluster>, seed: u64) -> Self {
        let fleet = Fleet {
            cluster: Arc::clone(&cluster),
            life: Life::default(),
            who: "alice@host".to_owned(),
            process: 0,
        };
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
        let first_mode = match cluster.kind {
            Kind::Synchronous | Kind::Second => Some(Mode::Complete),
            Kind::First => Some(Mode::Background),
        };
        let request = Request { to: "3.0.5".to_owned(), first_mode };
        let Ok(Wanted::Window(window)) = wanted(&catalogue, &from, &request) else {
            panic!("no window from {from}");
        };
        let about = asking::About { cluster: &file, catalogue: &catalogue, window: &window };
        let answers = asking::answers(&fleet, &about, &facts).await;
        let situation = Situation {
            cluster: &file,
            catalogue: &catalogue,
            facts: &facts,
            window: &window,
            answers: &answers,
            waived_backup: None,
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
        if state.finished_at.is_some() {
            return if state.direction.is_there() { Outcome::Done } else { Outcome::Back };
        }
        let epoch = state.epoch.map_or(Epoch::FIRST, Epoch::next);
        world.note(format!("{who} takes the run in hand, epoch {epoch}"));
        let mut runner = self.runner(who, journal, (fuse, life.clone(), takes_over));
        let driven = Event::Driven { epoch, by: who.to_owned(), at };
        if let Err(error) = runner.note(driven).await {
            return ended(error, &life);
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
            Ok(Ended::Done) => {
                assert_eq!(*runner.state(), journal.state(), "the journal tells another state");
                Outcome::Done
            }
            Ok(Ended::Back { because: _ }) => {
                assert_eq!(*runner.state(), journal.state(), "the journal tells another state");
                Outcome::Back
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
        if !journal.events().is_empty() {
            return;
        }
        let at = self.cluster.world.clock_of_coordinator();
        let (plan, cluster) = (self.plan.digest().clone(), self.plan.plan().cluster.clone());
        let because = None;
        let approved = Event::Approved { gate: Gate::Approval, by: who.to_owned(), because, at };
        let mut events = journal.0.lock().unwrap();
        let waivers = self.plan.plan().waivers.clone();
        events.push(Event::Started { run, plan, cluster, waivers, at });
        events.push(approved);
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
        });
        runner.do_without(self.without);
        runner
    }

    /// As `resume --from-nodes` does: what the nodes know takes the place of the
    /// journal.
    pub(crate) async fn rebuild(&self) {
        let fleet = self.fleet("alice@host", Life::default(), 0);
        let mut nodes = std::collections::BTreeMap::new();
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
        *self.journal.0.lock().unwrap() = events;
    }

    /// The run of somebody else.
    pub(crate) fn rival(&self) -> RunId {
        RunId::new(Ulid::from_parts(1_700_000_000_000, u128::from(self.seed) | 1 << 35))
    }

    /// Waits until the nodes are asked for something, so long at most.
    pub(crate) async fn has_begun(&self, longest: Duration) {
        let begun = Instant::now();
        let begins = |event: &Event| matches!(event, Event::Intended { .. });
        while !self.journal.0.lock().unwrap().iter().any(begins) && begun.elapsed() < longest {
            sleep(Duration::from_millis(4)).await;
        }
    }

    /// Waits until config files change, so long at most.
    pub(crate) async fn is_about_to_cross(&self, longest: Duration) {
        let put = self.plan.plan().first_step(What::Act(Verb::PutConfig));
        let put = put.map(|step| step.number);
        let begins = |event: &Event| matches!(event, Event::Intended { step, node: _, at: _ } if Some(*step) == put);
        let begun = Instant::now();
        while !self.journal.0.lock().unwrap().iter().any(begins) && begun.elapsed() < longest {
            sleep(Duration::from_millis(4)).await;
        }
    }

    /// One more process than there were.
    fn processes(&self) -> u128 {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        *count
    }

    /// What is not as it should be at the end of a window, or of its way back.
    pub(crate) async fn unfinished(&self, outcome: &Outcome, excuses: Excuses) -> Vec<String> {
        let mut wrong = self.unfinished_agents(outcome, excuses).await;
        let mut state = self.cluster.world.state();
        let is_back = *outcome == Outcome::Back;
        let (image, mode) = match (is_back, self.cluster.kind) {
            (false, kind) => (IMAGES[1], Some(kind.mode())),
            (true, Kind::Second) => (IMAGES[1], Some("background")),
            (true, Kind::Synchronous | Kind::First) => (IMAGES[0], None),
        };
        let wanted = if is_back { state.witness.texts.first() } else { state.witness.texts.last() };
        let text = wanted.cloned().unwrap_or_default();
        for host in &mut state.hosts {
            let quay = host.containers.values().find(|stored| stored.state.name == "quay");
            let is_there = quay.is_some_and(|stored| {
                (stored.is_well() || excuses.is_spoiled)
                    && stored.state.image.as_str() == image
                    && stored.state.restart_policy == quaymaster_proto::RestartPolicy::Always
                    && stored.process.as_ref().is_some_and(|it| it.mode.as_deref() == mode)
            });
            if !is_there {
                wrong.push(format!("{}: no well Quay as it should be", host.name));
            }
            // Of an attempt that failed and was begun anew a person may want to see more.
            let left = host.containers.values().filter(|stored| {
                let is_spent = stored.runs > 0 && stored.process.is_none();
                stored.state.name.contains("-next") && !is_spent
            });
            let left =
                left.map(|stored| format!("{}: {} is left over", host.name, stored.state.name));
            wrong.extend(left);
            if std::fs::read_to_string(&host.config).ok().as_ref() != Some(&text) {
                wrong.push(format!("{}: config.yaml is not as it should be", host.name));
            }
            for beside in beside(&host.config) {
                wrong.push(format!("{}: {beside} is left over", host.name));
            }
        }
        let database = &state.database;
        let revision = if is_back {
            self.plan.plan().database.revision.as_str()
        } else {
            state.witness.target
        };
        if database.revision != revision && !excuses.has_lost_revision {
            wrong.push(format!("the database is at {}, not {revision}", database.revision));
        }
        wrong
            .extend(database.damage.iter().map(|words| format!("the database is ruined: {words}")));
        wrong
    }

    /// The same of what agents keep: floors and leases.
    async fn unfinished_agents(&self, outcome: &Outcome, excuses: Excuses) -> Vec<String> {
        let fleet = self.fleet("alice@host", Life::default(), 0);
        let (plan, run) = (self.plan.plan(), self.journal.state());
        let mut wrong = Vec::new();
        for node in &plan.nodes {
            let facts = match fleet.describe(&node.name, &SurveyKey::new([3; 32])).await {
                Ok(facts) => facts,
                Err(error) => {
                    wrong.push(format!("{}: its agent says nothing: {error}", node.name));
                    continue;
                }
            };
            let floor = match outcome {
                Outcome::Done => order::floor(plan, &run, &node.name),
                Outcome::Back | Outcome::Holds(_) | Outcome::Died => node.floor.clone(),
            };
            // With everything that an agent knows its floor may be lost.
            let has_lost = self.cluster.world.state().hosts[number(&node.name)].has_lost_ledger;
            if facts.floor != floor && !(has_lost && facts.floor.is_none()) {
                wrong.push(format!("{}: its floor is {:?}, not {floor:?}", node.name, facts.floor));
            }
            let is_left = |lease: &Lease| excuses.may_keep_lease && lease.run == self.run;
            if let Some(lease) = facts.lease.filter(|lease| !is_left(lease)) {
                wrong.push(format!("{}: its lease was not given back: {lease:?}", node.name));
            }
        }
        wrong
    }

    fn fleet(&self, who: &str, life: Life, process: u128) -> Fleet {
        Fleet { cluster: Arc::clone(&self.cluster), life, who: who.to_owned(), process }
    }
}

/// What lies beside a config.yaml and is not kept on purpose.
fn beside(config: &Path) -> Vec<String> {
    let directory = config.parent().unwrap_or(config);
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "config.yaml" && !name.contains(".quaymaster-kept-")).collect()
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
