//! A run on a stage: a fleet that obeys, a journal that can break off, and
//! processes that take it in hand one after the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use quaymaster_proto::{Component, Epoch, Mode};
use tokio::sync::mpsc::unbounded_channel;
use ulid::Ulid;

use super::*;
use crate::nodes::fake::FakeFleet;
use crate::plan::{Gate, Window};
use crate::survey::{ClusterFacts, fixture};
use crate::verifier::fake::FakeRegistry;

/// A journal in memory that can break off.
#[derive(Clone, Debug, Default)]
pub(super) struct Notebook {
    pub(super) events: Arc<Mutex<Vec<Event>>>,
    pub(super) inbox: Arc<Mutex<Vec<Event>>>,
    /// How many events each append held.
    pub(super) sizes: Arc<Mutex<Vec<usize>>>,
    /// So many appends are left; then the process is as good as dead.
    pub(super) left: Arc<Mutex<Option<Death>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    pub(super) appends: usize,
    /// Whether the last one still reaches the disk.
    pub(super) keeps_last: bool,
}

impl Notebook {
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// How many appends come before the one that holds this event.
    pub(super) fn appends(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        let sizes = self.sizes.lock().unwrap().clone();
        let events = self.events();
        let at = events.iter().position(is_it).unwrap();
        // The start and the epoch are written before anyone drives.
        let mut seen = 0;
        sizes
            .iter()
            .take_while(|size| {
                seen += **size;
                seen <= at
            })
            .count()
            - 2
    }

    /// The file is an earlier copy, by so many records.
    pub(super) fn lose(&self, records: usize) {
        let mut events = self.events.lock().unwrap();
        let kept = events.len() - records;
        events.truncate(kept);
    }

    pub(super) fn die(&self, death: Option<Death>) {
        *self.left.lock().unwrap() = death;
    }
}

impl Book for Notebook {
    async fn append(&mut self, _: RunId, events: &[Event]) -> Result<(), JournalError> {
        let mut left = self.left.lock().unwrap();
        match left.as_mut() {
            Some(Death { appends: 0, keeps_last }) => {
                if *keeps_last {
                    self.events.lock().unwrap().extend_from_slice(events);
                    *keeps_last = false;
                }
                return Err(JournalError::InUse { path: "dead".into() });
            }
            Some(death) => death.appends -= 1,
            None => {}
        }
        self.events.lock().unwrap().extend_from_slice(events);
        self.sizes.lock().unwrap().push(events.len());
        Ok(())
    }

    async fn collect(&mut self, run: RunId) -> Result<Vec<Event>, JournalError> {
        let words: Vec<Event> = self.inbox.lock().unwrap().drain(..).collect();
        if !words.is_empty() {
            self.append(run, &words).await?;
        }
        Ok(words)
    }
}

pub(super) struct Stage {
    pub(super) fleet: FakeFleet,
    pub(super) plan: Arc<CheckedPlan>,
    pub(super) book: Notebook,
    pub(super) registry: Arc<FakeRegistry>,
    /// Whoever drives: user@host.
    pub(super) by: &'static str,
    /// Whether that one may take another's leases.
    pub(super) takes_over: bool,
}

pub(super) fn first_window(mode: Mode) -> Window {
    let of = if mode == Mode::Background { 2 } else { 1 };
    fixture::window(1, of, ("2.9.5", Mode::Absent), ("3.0.5", mode))
}

pub(super) fn second_window() -> Window {
    fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete))
}

impl Stage {
    pub(super) fn new(nodes: u8, window: &Window) -> Self {
        Self::with(nodes, window, &[])
    }

    /// With containers beside the Quays.
    pub(super) fn with(nodes: u8, window: &Window, companions: &[(&str, Component)]) -> Self {
        let cluster = fixture::cluster(nodes);
        let mut facts: ClusterFacts = match window.from.mode {
            Mode::Absent => fixture::on_2_9_5(&cluster),
            Mode::Background | Mode::Complete | Mode::Other => fixture::on_background(&cluster),
        };
        for (node, component) in companions {
            fixture::add_companion(&mut facts, node, *component);
        }
        let plan = fixture::plan(&cluster, &facts, window);
        let fleet = FakeFleet::new(&facts, &plan);
        let plan = Arc::new(plan.check().unwrap());
        let (book, registry) = (Notebook::default(), Arc::default());
        Self { fleet, plan, book, registry, by: "alice@host", takes_over: false }
    }

    /// Another machine with a copy of the journal.
    pub(super) fn copied(&self) -> Self {
        self.with_events(self.book.events())
    }

    /// Another machine with this journal.
    pub(super) fn with_events(&self, events: Vec<Event>) -> Self {
        let book = Notebook { events: Arc::new(Mutex::new(events)), ..Notebook::default() };
        let (plan, registry) = (Arc::clone(&self.plan), Arc::clone(&self.registry));
        let (fleet, by) = (self.fleet.clone(), self.by);
        Self { fleet, plan, book, registry, by, takes_over: false }
    }

    /// A process takes the run in hand; the first one begins it.
    pub(super) async fn runner(&self, approves: bool) -> Runner<FakeFleet, Notebook> {
        let at = self.fleet.now();
        let mut book = self.book.clone();
        if book.events().is_empty() {
            let run = RunId::new(Ulid::from_parts(1_700_000_000_000, 1));
            let (plan, cluster) = (self.plan.digest().clone(), self.plan.plan().cluster.clone());
            let waivers = Vec::new();
            let mut events = vec![Event::Started { run, plan, cluster, waivers, at }];
            if approves {
                events.push(approval(Gate::Approval, at));
            }
            book.append(run, &events).await.unwrap();
        }
        let state = RunState::replay(&book.events()).unwrap();
        let epoch = state.epoch.map_or(Epoch::FIRST, Epoch::next);
        let mut runner = self.process(state, book);
        runner.note(Event::Driven { epoch, by: self.by.to_owned(), at }).await.unwrap();
        runner
    }

    /// A process that finds the run as it is, also where it has ended.
    pub(super) fn late(&self) -> Runner<FakeFleet, Notebook> {
        self.process(self.state(), self.book.clone())
    }

    fn process(&self, state: RunState, book: Notebook) -> Runner<FakeFleet, Notebook> {
        let fleet = self.fleet.clone();
        Runner::new(Parts {
            nodes: Arc::new(fleet.clone()),
            plan: Arc::clone(&self.plan),
            state,
            book,
            clock: Clock::of(move || fleet.now()),
            key: SurveyKey::new([1; 32]),
            progress: unbounded_channel().0,
            claimant: self.claimant(),
            verifier: Arc::clone(&self.registry) as Arc<dyn Verifies>,
        })
    }

    /// What the window found is back, on every node that was stopped.
    pub(super) fn assert_as_before(&self) {
        let tally = self.fleet.tally();
        assert_eq!(tally.violations, Vec::<String>::new());
        assert_eq!(tally.started, Vec::<NodeName>::new());
        assert!(self.state().went_back());
        self.fleet.assert_as_found();
    }

    fn claimant(&self) -> Claimant {
        // Every process has another one.
        let number = self.book.events().len() as u128;
        Claimant { process: Ulid(number), over: BTreeSet::new(), takes_over: self.takes_over }
    }

    pub(super) fn state(&self) -> RunState {
        RunState::replay(&self.book.events()).unwrap()
    }

    pub(super) fn has_crossed(&self) -> bool {
        self.state().has_crossed(self.plan.plan())
    }

    pub(super) fn assert_well_done(&self) {
        let tally = self.fleet.tally();
        let nodes = self.plan.plan().nodes.len();
        assert_eq!(tally.violations, Vec::<String>::new());
        assert_eq!(tally.migrating_starts, 1);
        assert_eq!(tally.started.len(), nodes);
        assert_eq!(tally.started[0], self.plan.plan().first);
        assert_eq!(tally.promoted.len(), nodes);
        assert!(self.state().finished_at.is_some());
    }
}

pub(super) fn approval(gate: Gate, at: Timestamp) -> Event {
    let because = Some("a test".to_owned());
    Event::Approved { gate, by: "bob@host".to_owned(), because, at }
}
