//! A run while it goes on. On a terminal a few lines that are drawn afresh;
//! elsewhere one line for each change.
#![expect(clippy::disallowed_methods, reason = "an effect room: it shows how time goes by")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use quaymaster_proto::NodeName;

use crate::commands::talk;
use crate::commands::unfinished::is_dark;
use crate::plan::CheckedPlan;
use crate::render::{self, Style};
use crate::run::RunState;
use crate::runner::Progress;

mod screen;

use screen::{Pull, Screen};

/// What a live view knows.
pub(super) struct View {
    plan: Arc<CheckedPlan>,
    state: RunState,
    pulls: BTreeMap<NodeName, Pull>,
    retries: BTreeMap<NodeName, String>,
    /// The clock of the run, as its last event told it.
    last_event: (Timestamp, Instant),
    drawing: Option<Drawing>,
}

impl View {
    pub(super) fn new(plan: Arc<CheckedPlan>, state: RunState) -> Self {
        let drawing = talk::can_be_redrawn().then(Drawing::begin);
        let last_event = (state.last_at, Instant::now());
        let (pulls, retries) = (BTreeMap::new(), BTreeMap::new());
        Self { plan, state, pulls, retries, last_event, drawing }
    }

    pub(super) fn plan(&self) -> Arc<CheckedPlan> {
        Arc::clone(&self.plan)
    }

    pub(super) fn is_dark(&self, plan: &CheckedPlan) -> bool {
        is_dark(plan, &self.state)
    }

    /// Whether the registry serves, in words.
    pub(super) fn registry(&self) -> String {
        render::registry(self.plan.plan(), &self.state, self.screen().now)
    }

    /// Takes in what happened.
    pub(super) fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Happened(event) => {
                if let Some(node) = screen::node_of(&event) {
                    self.pulls.remove(node);
                    self.retries.remove(node);
                }
                // The runner folded it already: it cannot be illegal here.
                let _ = self.state.apply(&event);
                self.last_event = (event.at(), Instant::now());
                if self.drawing.is_none()
                    && let Some(line) = render::event_line(self.plan.plan(), &event, talk::style())
                {
                    talk::say(&line);
                }
            }
            Progress::Looked { step, on, at: _ } => self.see_wait(step, on),
            Progress::Retrying { step: _, node, problem } => {
                let is_new = self.retries.get(&node) != Some(&problem);
                if self.drawing.is_none() && is_new {
                    talk::say(&format!("{node} is asked again: {problem}"));
                }
                self.retries.insert(node, problem);
            }
            Progress::Pulling { step: _, node, done_bytes, total_bytes, note } => {
                let is_new = !note.is_empty()
                    && self.pulls.get(&node).is_none_or(|known| known.note != note);
                if self.drawing.is_none() && is_new {
                    talk::say(&format!("{node} pulls: {note}"));
                }
                self.pulls.insert(node, Pull { done_bytes, total_bytes, note });
            }
        }
    }

    /// A look that was not worth a record still moves the screen.
    fn see_wait(&mut self, step: quaymaster_proto::StepNumber, on: crate::run::WaitingOn) {
        let at = self.state.last_at;
        let _ = self.state.apply(&crate::run::Event::Waiting { step, on, at });
    }

    /// Something for the person, between the lines.
    pub(super) fn note(&mut self, text: &str) {
        match &self.drawing {
            Some(drawing) => drawing.bar.println(text),
            None => talk::say(text),
        }
    }

    pub(super) fn draw(&self) {
        if let Some(drawing) = &self.drawing {
            drawing.draw(&self.screen().lines(drawing.style));
        }
    }

    /// Leaves the last picture as plain text.
    pub(super) fn close(&mut self) {
        let Some(drawing) = self.drawing.take() else { return };
        let lines = self.screen().lines(drawing.style);
        drawing.bar.finish_and_clear();
        talk::say(lines.join("\n").trim_end());
        talk::say("");
    }

    fn screen(&self) -> Screen<'_> {
        let (at, seen) = self.last_event;
        let since = jiff::SignedDuration::try_from(seen.elapsed()).unwrap_or_default();
        let Self { plan, state, pulls, retries, last_event: _, drawing: _ } = self;
        Screen { plan, state, pulls, retries, now: at + since }
    }
}

/// Lines at the bottom of a terminal.
struct Drawing {
    bar: ProgressBar,
    style: Style,
}

impl Drawing {
    fn begin() -> Self {
        let style = ProgressStyle::with_template("{msg}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20))
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar, style: talk::drawn_style() }
    }

    fn draw(&self, lines: &[String]) {
        self.bar.set_message(lines.join("\n"));
    }
}
