//! A run while it goes on. On a terminal a picture that is drawn in place;
//! elsewhere one line for each change.
#![expect(clippy::disallowed_methods, reason = "an effect room: it shows how time goes by")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use quaymaster_proto::{NodeName, StepNumber};

use crate::catalogue::Catalogue;
use crate::commands::talk::{self, Stream};
use crate::commands::terminal::{self, Terminal};
use crate::commands::unfinished::is_dark;
use crate::plan::{CheckedPlan, Verb, What};
use crate::render::{self, Live, Pull, Size, Style};
use crate::run::{Event, GateState, RunState, WaitingOn};
use crate::runner::Progress;

/// What a live view knows.
pub(super) struct View {
    plan: Arc<CheckedPlan>,
    catalogue: Catalogue,
    program: String,
    state: RunState,
    pulls: BTreeMap<NodeName, Pull>,
    retries: BTreeMap<NodeName, String>,
    /// Since when the database is at the revision at which it is.
    moved_at: Option<Timestamp>,
    /// The person was told what Ctrl-C means.
    warned: bool,
    /// The clock of the run, as its last event told it.
    last_event: (Timestamp, Instant),
    terminal: Option<Terminal>,
}

impl View {
    pub(super) fn new(plan: Arc<CheckedPlan>, state: RunState, program: String) -> Self {
        Self {
            plan,
            catalogue: Catalogue::built_in(),
            program,
            last_event: (state.last_at, Instant::now()),
            state,
            pulls: BTreeMap::new(),
            retries: BTreeMap::new(),
            moved_at: None,
            warned: false,
            terminal: Terminal::begin(Stream::Err),
        }
    }

    pub(super) fn plan(&self) -> Arc<CheckedPlan> {
        Arc::clone(&self.plan)
    }

    /// Takes in what happened.
    pub(super) fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Happened(event) => {
                if let Some(node) = node_of(&event) {
                    self.pulls.remove(node);
                    self.retries.remove(node);
                }
                self.fold(&event);
                self.last_event = (event.at(), Instant::now());
                if self.terminal.is_none()
                    && let Some(line) = render::event_line(self.plan.plan(), &event, talk::style())
                {
                    talk::say(&line);
                }
            }
            // A look that was not worth a record still moves the picture.
            Progress::Looked { step, on, at } => self.fold(&Event::Waiting { step, on, at }),
            Progress::Retrying { step: _, node, problem } => {
                let is_new = self.retries.get(&node) != Some(&problem);
                if self.terminal.is_none() && is_new {
                    talk::say(&format!("{node} is asked again: {problem}"));
                }
                self.retries.insert(node, problem);
            }
            Progress::Pulling { step, node, done_bytes, total_bytes, note } => {
                let is_new = !note.is_empty()
                    && self.pulls.get(&node).is_none_or(|known| known.note != note);
                if self.terminal.is_none() && is_new {
                    let step = self.plan.plan().step(step).map(|step| step.what);
                    let does = match step {
                        Some(What::Act(Verb::BackUp)) => "backs up",
                        Some(What::Act(Verb::CheckBackup)) => "reads its backup back",
                        Some(What::Act(Verb::Restore)) => "restores",
                        Some(What::Act(_) | What::Gate(_)) | None => "pulls",
                    };
                    talk::say(&format!("{node} {does}: {note}"));
                }
                self.pulls.insert(node, Pull { done_bytes, total_bytes, note });
            }
        }
    }

    /// The runner folded it already: it cannot be illegal here.
    fn fold(&mut self, event: &Event) {
        if let Event::Waiting { step, on, at } = event
            && let Some(revision) = revision(on)
            && self.revision(*step) != Some(revision)
        {
            self.moved_at = Some(*at);
        }
        let _ = self.state.apply(event);
    }

    fn revision(&self, step: StepNumber) -> Option<&str> {
        match self.state.gates.get(&step) {
            Some(GateState::Waiting { on, since: _ }) => revision(on),
            Some(GateState::Passed { .. } | GateState::Closed { .. }) | None => None,
        }
    }

    /// Whether an interrupt ends the process. In the dark the first one only
    /// says what that would mean.
    pub(super) fn is_interrupted(&mut self) -> bool {
        if self.warned || !is_dark(&self.plan, &self.state) {
            return true;
        }
        self.warned = true;
        if self.terminal.is_none() {
            let registry = render::registry(self.plan.plan(), &self.state, self.now());
            let program = &self.program;
            talk::say(&format!(
                "the registry {registry}, and the run goes on; ending this process leaves it so.\n\
                 Press Ctrl-C again to end the process all the same; to go on then: \
                 {program} resume"
            ));
        }
        false
    }

    pub(super) fn draw(&self) {
        if let Some(terminal) = &self.terminal {
            // What is typed is not for this run.
            terminal.typed();
            let size = terminal.size();
            terminal.draw(&self.lines(size, terminal.style()), size);
        }
    }

    pub(super) fn suspend(&mut self) {
        match self.terminal.take() {
            Some(terminal) => self.terminal = terminal.suspended(),
            None => terminal::stop(),
        }
    }

    /// Leaves the last picture as plain text.
    pub(super) fn close(&mut self) {
        let Some(terminal) = self.terminal.take() else { return };
        let (size, style) = (Size { rows: None, ..terminal.size() }, terminal.style());
        drop(terminal);
        talk::say(self.lines(size, style).join("\n").trim_end());
        talk::say("");
    }

    fn now(&self) -> Timestamp {
        let (at, seen) = self.last_event;
        at + jiff::SignedDuration::try_from(seen.elapsed()).unwrap_or_default()
    }

    fn lines(&self, size: Size, style: Style) -> Vec<String> {
        let Self { plan, catalogue, program, state, pulls, retries, moved_at, warned, .. } = self;
        let (moved_at, warned, now) = (*moved_at, *warned, self.now());
        let live = Live { plan, state, catalogue, pulls, retries, moved_at, warned, now, program };
        render::live(&live, size, style)
    }
}

/// The revision that a wait tells of.
fn revision(on: &WaitingOn) -> Option<&str> {
    match on {
        WaitingOn::Migration { revision, target: _ } => Some(revision),
        WaitingOn::Backfill { .. }
        | WaitingOn::Approval
        | WaitingOn::Containers { .. }
        | WaitingOn::Config { .. }
        | WaitingOn::Sessions { .. }
        | WaitingOn::Health { .. }
        | WaitingOn::Lasting { .. }
        | WaitingOn::Verification { .. }
        | WaitingOn::Answer { .. } => None,
    }
}

/// The node that an event is about.
fn node_of(event: &Event) -> Option<&NodeName> {
    match event {
        Event::Intended { node, .. }
        | Event::Settled { node, .. }
        | Event::Failed { node, .. }
        | Event::LeftBehind { node, .. }
        | Event::Retried { node, .. }
        | Event::LeftOut { node, .. } => Some(node),
        Event::Started { .. }
        | Event::Driven { .. }
        | Event::Waiting { .. }
        | Event::Passed { .. }
        | Event::Closed { .. }
        | Event::Approved { .. }
        | Event::TurnedBack { .. }
        | Event::HandedOver { .. }
        | Event::Sampled { .. }
        | Event::TagsCounted { .. }
        | Event::RollbackOrdered { .. }
        | Event::RollbackCalledOff { .. }
        | Event::RolledBack { .. }
        | Event::Finished { .. }
        | Event::WentBack { .. } => None,
    }
}
