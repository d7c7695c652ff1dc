//! The live picture of a run, as lines. Pure: state in, text out.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::NodeName;

use crate::plan::{CheckedPlan, Plan, Step, Verb, What};
use crate::render::{self, Explained, Style};
use crate::report::between;
use crate::run::{ActState, Event, GateState, Next, RunState, WaitingOn, next};

/// How far a pull is, in bytes; a total of 0 = not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pull {
    pub(super) done_bytes: u64,
    pub(super) total_bytes: u64,
    /// What it waits for or tries again.
    pub(super) note: String,
}

/// Everything that a picture shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen<'a> {
    pub(super) plan: &'a CheckedPlan,
    pub(super) state: &'a RunState,
    pub(super) pulls: &'a BTreeMap<NodeName, Pull>,
    /// Nodes that do not answer, and why.
    pub(super) retries: &'a BTreeMap<NodeName, String>,
    pub(super) now: Timestamp,
}

/// How wide the bar of a backfill is, in columns.
const BAR: usize = 24;
/// How wide a line of steps may be, in columns.
const WIDTH: usize = 80;
/// How many nodes are shown one by one.
const NODES: usize = 12;

impl Screen<'_> {
    pub(super) fn lines(&self, style: Style) -> Vec<String> {
        let plan = self.plan.plan();
        let mut lines = vec![self.head(style)];
        lines.extend(self.steps(plan, style));
        match next(plan, self.state) {
            Next::Ask { step, .. } | Next::Failed { step, .. } => {
                lines.push(String::new());
                lines.extend(self.nodes(step));
            }
            Next::Look { step } | Next::Closed { step, .. } => {
                lines.push(String::new());
                lines.extend(self.gate(step, style));
            }
            Next::Done => return lines,
        }
        lines.push(String::new());
        lines.extend(self.dark());
        lines.push(format!("undo     {}", self.undo()));
        lines
    }

    fn head(&self, style: Style) -> String {
        let plan = self.plan.plan();
        let window = &plan.window;
        let arrow = if style.unicode { "→" } else { "->" };
        format!(
            "Window {} of {}   {} {arrow} {}   plan {}",
            window.number,
            window.of,
            window.from,
            window.to,
            self.plan.digest().short()
        )
    }

    fn dark(&self) -> Option<String> {
        let dark = render::duration(self.dark_for()?);
        let about = render::duration(self.plan.plan().forecast.outage);
        Some(format!("dark     {dark} of about {about}"))
    }

    /// Since the first stop was asked; `None` = it serves.
    fn dark_for(&self) -> Option<Duration> {
        let plan = self.plan.plan();
        let stop = plan.first_step(What::Act(Verb::Stop))?;
        let asked =
            stop.nodes.iter().filter_map(|node| match self.state.act_state(stop.number, node) {
                ActState::InFlight { since } | ActState::Done { since, .. } => Some(*since),
                ActState::Failed { at, .. } => Some(*at),
                ActState::Pending => None,
            });
        let begun = asked.min()?;
        self.state.finished_at.is_none().then(|| between(begun, self.now))
    }

    /// Every step up to the present one: done ones with what they took.
    fn steps(&self, plan: &Plan, style: Style) -> Vec<String> {
        let (done, present) = if style.unicode { ("✓", "▸") } else { ("ok", ">") };
        let mut lines = Vec::new();
        let mut line = String::new();
        for step in &plan.steps {
            let title = render::step_title(step);
            let took = self.took(step);
            let words = match took {
                Some(took) => format!("{done} {title} {}", render::duration(took)),
                None => format!("{present} {title}"),
            };
            if !line.is_empty() && line.chars().count() + words.chars().count() + 3 > WIDTH {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push_str("   ");
            }
            line.push_str(&words);
            if took.is_none() {
                break;
            }
        }
        lines.push(line);
        lines
    }

    /// How long a step took; `None` = it is not done.
    fn took(&self, step: &Step) -> Option<Duration> {
        match step.what {
            What::Gate(_) => match self.state.gates.get(&step.number)? {
                GateState::Passed { evidence: _, since, at } => Some(between(*since, *at)),
                GateState::Waiting { .. } | GateState::Closed { .. } => None,
            },
            What::Act(_) => {
                let mut longest = Duration::ZERO;
                for node in &step.nodes {
                    match self.state.act_state(step.number, node) {
                        ActState::Done { settlement: _, since, at } => {
                            longest = longest.max(between(*since, *at));
                        }
                        ActState::Pending | ActState::InFlight { .. } | ActState::Failed { .. } => {
                            return None;
                        }
                    }
                }
                Some(longest)
            }
        }
    }

    /// Those that are not done first; of many only the first few.
    fn nodes(&self, step: &Step) -> Vec<String> {
        let is_done = |node: &&NodeName| {
            matches!(self.state.act_state(step.number, node), ActState::Done { .. })
        };
        let (done, others): (Vec<&NodeName>, Vec<&NodeName>) = step.nodes.iter().partition(is_done);
        let done_count = done.len();
        let in_order: Vec<&NodeName> = if step.nodes.len() <= NODES {
            step.nodes.iter().collect()
        } else {
            others.into_iter().chain(done).collect()
        };
        let mut lines: Vec<String> =
            in_order.iter().take(NODES).map(|node| self.node(step, node)).collect();
        if in_order.len() > NODES {
            let left = in_order.len() - NODES;
            lines.push(format!("and {left} more nodes; {done_count} of all are done"));
        }
        lines
    }

    fn node(&self, step: &Step, node: &NodeName) -> String {
        let words = match self.state.act_state(step.number, node) {
            ActState::Pending => "waits its turn".to_owned(),
            ActState::InFlight { since } => {
                let mut words = render::duration(between(*since, self.now));
                if step.what == What::Act(Verb::Pull)
                    && let Some(Pull { done_bytes, total_bytes, note }) = self.pulls.get(node)
                {
                    if *total_bytes > 0 {
                        let percent = done_bytes.saturating_mul(100) / total_bytes;
                        let total = total_bytes / 1_000_000;
                        words.push_str(&format!("   {percent} % of {total} MB"));
                    }
                    if !note.is_empty() {
                        words.push_str(&format!("   {note}"));
                    }
                }
                if let Some(problem) = self.retries.get(node) {
                    words.push_str(&format!("   asked again: {problem}"));
                }
                words
            }
            ActState::Done { settlement: _, since, at } => {
                format!("done in {}", render::duration(between(*since, *at)))
            }
            ActState::Failed { problem, at: _ } => format!("FAILED: {}", render::problem(problem)),
        };
        format!("{node}   {} {words}", render::step_title(step))
    }

    fn gate(&self, step: &Step, style: Style) -> Vec<String> {
        match self.state.gates.get(&step.number) {
            Some(GateState::Waiting { on, since }) => {
                let waited = render::duration(between(*since, self.now));
                let mut lines = vec![format!("waits for {}   {waited}", render::waiting(on))];
                lines.extend(render::progress_line(on, BAR, style));
                if let WaitingOn::Health { nodes } = on {
                    lines.extend(nodes.iter().map(|(node, why)| format!("{node}   {why}")));
                }
                lines
            }
            Some(GateState::Closed { failure, at: _ }) => {
                vec![format!("CLOSED: {}", render::failure(failure))]
            }
            Some(GateState::Passed { .. }) | None => vec!["looking".to_owned()],
        }
    }

    fn undo(&self) -> String {
        let Self { plan, state, pulls: _, retries: _, now } = *self;
        let explained = Explained { plan, state, now, program: "quaymaster" };
        let json = render::explain_json(&explained);
        json["explain"]["undo"].as_str().unwrap_or_default().to_owned()
    }
}

/// The node that an event is about.
pub(super) fn node_of(event: &Event) -> Option<&NodeName> {
    match event {
        Event::Intended { node, .. } | Event::Settled { node, .. } | Event::Failed { node, .. } => {
            Some(node)
        }
        Event::Started { .. }
        | Event::Driven { .. }
        | Event::Waiting { .. }
        | Event::Passed { .. }
        | Event::Closed { .. }
        | Event::Approved { .. }
        | Event::Finished { .. } => None,
    }
}

#[cfg(test)]
mod tests;
