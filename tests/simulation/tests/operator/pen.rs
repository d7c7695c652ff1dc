//! The journal, and what a process writes into it: it may die there, and whatever it says happened
//! is held against the world.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use quaymaster::journal::store::JournalError;
use quaymaster::plan::{CheckedPlan, Verb, What};
use quaymaster::run::{Event, Evidence, RunState, Settlement, order};
use quaymaster::runner::Book;
use quaymaster_proto::{Component, RunId};
use quaymaster_simulation::life::Life;
use quaymaster_simulation::world::Cause;

use crate::cluster::Cluster;
use crate::fleet::number;

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

    /// Another one takes its place.
    pub(crate) fn replace(&self, events: Vec<Event>) {
        *self.0.lock().unwrap() = events;
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
    pub(super) journal: Journal,
    pub(super) life: Life,
    pub(super) fuse: Option<Fuse>,
    pub(super) plan: Arc<CheckedPlan>,
    pub(crate) is_full: Arc<Mutex<bool>>,
    pub(crate) appends: Arc<Mutex<usize>>,
    pub(super) visitor: Arc<Mutex<Option<Visitor>>>,
    pub(super) cluster: Arc<Cluster>,
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
                self.tell_intent(event);
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

    /// The point of no return: from here on the witness holds the run to it.
    fn tell_intent(&self, event: &Event) {
        let Event::Intended { step, .. } = event else { return };
        let plan = self.plan.plan();
        if plan.point_of_no_return() != Some(*step) {
            return;
        }
        let state = self.journal.state();
        let staged = order::staged(plan, &state, &plan.first, Component::Quay);
        if let Some(container) = staged {
            let millis = self.cluster.world.millis();
            self.cluster.world.state().witness.see_intent(millis, state.run, container);
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
        let Some(What::Act(verb)) = plan.step(*step).map(|step| step.what) else { return };
        let millis = self.cluster.world.millis();
        let mut state = self.cluster.world.state();
        let Some(stored) = state.stored(number(node), &container.id) else { return };
        let since = stored.process.as_ref().map(|process| (process.cause, process.since));
        let did_happen = match verb {
            Verb::Stop | Verb::TakeDown => since.is_none_or(|(cause, _)| cause == Cause::Foreign),
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
            | Verb::CheckBackup
            | Verb::Restore
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
