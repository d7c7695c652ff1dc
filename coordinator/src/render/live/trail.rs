//! The trail of a run: its steps in few legs, what each took and where it is,
//! with the point of no return as a mark between them.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::Component;

use super::screen::Live;
use crate::plan::{Gate, Plan, Stage, Step, Verb, What};
use crate::render::figures::{clock, number, time, took};
use crate::render::text::{LABEL, cut, padded, width};
use crate::render::words::{self, evidence, waiting};
use crate::render::{Style, Tone};
use crate::report::between;
use crate::run::{ActState, GateState, Next, RunState, next};

/// How wide the words beside a step may be.
const DETAIL: usize = 32;

/// What took less is not worth a figure.
const SHORTEST: Duration = Duration::from_millis(5);

/// Steps that a person takes for one.
pub(super) struct Leg<'a> {
    pub(super) title: String,
    steps: Vec<&'a Step>,
    pub(super) stands: Stands,
}

/// Where a leg stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Stands {
    Done { took: Option<Duration> },
    Now { since: Option<Timestamp> },
    Held,
    Todo,
}

/// The steps ahead of a run and behind it: on the way back, those.
fn way<'a>(plan: &'a Plan, state: &RunState) -> &'a [Step] {
    state.way(plan)
}

/// What makes steps one leg.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Pull,
    Stage,
    StopBeside,
    Stop,
    Return,
    Alone(What),
}

fn kind(step: &Step) -> Kind {
    let is_quay = step.component == Component::Quay;
    match step.what {
        What::Act(Verb::Pull) => Kind::Pull,
        What::Act(Verb::StageContainer | Verb::StageConfig) => Kind::Stage,
        What::Act(Verb::Stop) if step.stage == Stage::Serving => Kind::StopBeside,
        What::Act(Verb::Stop) => Kind::Stop,
        What::Act(_) | What::Gate(_) if !is_quay => Kind::Return,
        what @ (What::Act(_) | What::Gate(_)) => Kind::Alone(what),
    }
}

/// Every leg, in order.
pub(super) fn legs<'a>(plan: &'a Plan, state: &RunState) -> Vec<Leg<'a>> {
    let groups = way(plan, state).chunk_by(|one, other| kind(one) == kind(other));
    groups
        .map(|group| {
            let steps: Vec<&Step> = group.iter().collect();
            Leg { title: title(&steps), stands: stands(plan, state, &steps), steps }
        })
        .collect()
}

fn title(steps: &[&Step]) -> String {
    let mut components: Vec<Component> = steps.iter().map(|step| step.component).collect();
    components.dedup();
    let of = || {
        let mut seen: Vec<&str> = Vec::new();
        for component in &components {
            if !seen.contains(&component.as_str()) {
                seen.push(component.as_str());
            }
        }
        seen.join("+")
    };
    match steps.first().map(|step| kind(step)) {
        Some(Kind::Pull) => "pull".to_owned(),
        Some(Kind::Stage) => "stage".to_owned(),
        Some(Kind::Stop) if components == [Component::Quay] => "stop".to_owned(),
        Some(Kind::StopBeside | Kind::Stop) => format!("stop {}", of()),
        Some(Kind::Return) => format!("return {}", of()),
        Some(Kind::Alone(What::Act(Verb::PutConfig))) => "config".to_owned(),
        Some(Kind::Alone(what)) => words::what(what).to_owned(),
        None => String::new(),
    }
}

fn stands(plan: &Plan, state: &RunState, steps: &[&Step]) -> Stands {
    let is_here = |of: &Step| steps.iter().any(|step| step.number == of.number);
    let is_past = |of: &Step| steps.iter().all(|step| step.number < of.number);
    let begun = || steps.iter().filter_map(|step| span(state, step).0).min();
    match next(plan, state) {
        Next::Ask { step, .. } | Next::Look { step, .. } if is_here(step) => {
            Stands::Now { since: begun() }
        }
        Next::Failed { step, .. } | Next::Closed { step, .. } if is_here(step) => Stands::Held,
        Next::Ask { step, .. }
        | Next::Look { step, .. }
        | Next::Failed { step, .. }
        | Next::Closed { step, .. }
            if !is_past(step) =>
        {
            Stands::Todo
        }
        Next::Ask { .. }
        | Next::Look { .. }
        | Next::Failed { .. }
        | Next::Closed { .. }
        | Next::Done => {
            let ended = steps.iter().filter_map(|step| span(state, step).1).max();
            let took = begun().zip(ended).map(|(begun, ended)| between(begun, ended));
            Stands::Done { took }
        }
    }
}

/// When a step was begun and when it ended, as far as it did.
fn span(state: &RunState, step: &Step) -> (Option<Timestamp>, Option<Timestamp>) {
    match (step.what, state.gates.get(&step.number)) {
        (What::Gate(_), Some(GateState::Passed { since, at, .. })) => (Some(*since), Some(*at)),
        (What::Gate(_), Some(GateState::Waiting { since, .. })) => (Some(*since), None),
        (What::Gate(_), Some(GateState::Closed { at, .. })) => (Some(*at), Some(*at)),
        (What::Gate(_), None) => (None, None),
        (What::Act(_), _) => {
            let acts = || step.nodes.iter().map(|node| state.act_state(step.number, node));
            let begun = acts().filter_map(|act| match act {
                ActState::InFlight { since } | ActState::Done { since, .. } => Some(*since),
                ActState::Failed { at, .. } => Some(*at),
                ActState::Pending => None,
            });
            let ended = acts().filter_map(|act| match act {
                ActState::Done { at, .. } | ActState::Failed { at, .. } => Some(*at),
                ActState::Pending | ActState::InFlight { .. } => None,
            });
            (begun.min(), ended.max())
        }
    }
}

impl Leg<'_> {
    fn mark(&self, style: Style) -> (&'static str, Option<Tone>) {
        match (self.stands, style.unicode) {
            (Stands::Done { .. }, true) => ("✓", Some(Tone::Good)),
            (Stands::Done { .. }, false) => ("ok", Some(Tone::Good)),
            (Stands::Now { .. }, true) => ("▸", Some(Tone::Heading)),
            (Stands::Now { .. }, false) => (">", Some(Tone::Heading)),
            (Stands::Held, true) => ("✗", Some(Tone::Bad)),
            (Stands::Held, false) => ("!!", Some(Tone::Bad)),
            (Stands::Todo, true) => ("·", Some(Tone::Faint)),
            (Stands::Todo, false) => ("-", Some(Tone::Faint)),
        }
    }

    fn time(&self, now: Timestamp) -> String {
        match self.stands {
            Stands::Done { took: Some(length) } if length < SHORTEST => String::new(),
            Stands::Done { took: Some(length) } => took(length),
            Stands::Now { since: Some(since) } => clock(between(since, now)),
            Stands::Held => "HELD".to_owned(),
            Stands::Done { took: None } | Stands::Now { since: None } | Stands::Todo => {
                String::new()
            }
        }
    }

    /// `✓ stop 10.4 s`
    fn item(&self, now: Timestamp, style: Style) -> String {
        let (mark, tone) = self.mark(style);
        let words = format!("{mark} {} {}", self.title, self.time(now));
        match (self.stands, tone) {
            // The mark alone: what is done is read, not looked for.
            (Stands::Done { .. }, Some(tone)) => {
                words.trim_end().replacen(mark, &style.paint(tone, mark), 1)
            }
            (_, Some(tone)) => style.paint(tone, words.trim_end()),
            (_, None) => words.trim_end().to_owned(),
        }
    }

    /// `serving`, `dark`: which row it stands in.
    fn label(&self) -> &'static str {
        let first = self.steps.first();
        match first.map(|step| (step.stage, step.what)) {
            Some((Stage::Serving, _)) | None => "serving",
            Some((Stage::Dark, _)) => "dark",
            Some((Stage::Beyond, _)) if kind_is_return(first) => "serving",
            Some((Stage::Beyond, _)) => "dark",
            Some((Stage::Back | Stage::Rollback, _)) => "back",
        }
    }

    fn is_beyond(&self) -> bool {
        self.steps.first().is_some_and(|step| step.stage == Stage::Beyond)
    }

    /// Who did it, or why a gate opened.
    fn detail(&self, state: &RunState) -> String {
        let Some(last) = self.steps.last() else { return String::new() };
        if let What::Gate(_) = last.what
            && let [step] = self.steps.as_slice()
        {
            return match state.gates.get(&step.number) {
                Some(GateState::Passed { evidence: why, .. }) => clause(&evidence(why)),
                Some(GateState::Waiting { on, .. }) if self.stands != Stands::Todo => {
                    clause(&waiting(on))
                }
                Some(GateState::Waiting { .. } | GateState::Closed { .. }) | None => String::new(),
            };
        }
        let nodes = self.steps.iter().flat_map(|step| &step.nodes);
        let nodes: std::collections::BTreeSet<_> = nodes.collect();
        let all = match nodes.first() {
            Some(one) if nodes.len() == 1 => one.to_string(),
            Some(_) | None => number(nodes.len(), "node"),
        };
        match self.stands {
            Stands::Todo => all,
            Stands::Done { .. } => match slowest(state, &self.steps) {
                Some((node, _)) if nodes.len() > 1 => format!("{all}, slowest {node}"),
                Some(_) | None => all,
            },
            Stands::Now { .. } | Stands::Held => {
                let of: usize = self.steps.iter().map(|step| step.nodes.len()).sum();
                let is_done = |step: &Step, node| {
                    matches!(state.act_state(step.number, node), ActState::Done { .. })
                };
                let done: usize = self
                    .steps
                    .iter()
                    .map(|step| step.nodes.iter().filter(|node| is_done(step, node)).count())
                    .sum();
                format!("{done} of {of} done")
            }
        }
    }
}

/// As far as the first comma.
fn clause(words: &str) -> String {
    let end = words.find([',', ';', '(', ':']).unwrap_or(words.len());
    words[..end].trim_end().to_owned()
}

fn kind_is_return(step: Option<&&Step>) -> bool {
    step.is_some_and(|step| match step.what {
        What::Act(Verb::Promote) | What::Gate(Gate::Verified) => true,
        What::Act(_) | What::Gate(_) => step.component != Component::Quay,
    })
}

fn slowest(state: &RunState, steps: &[&Step]) -> Option<(String, Duration)> {
    let acts = steps.iter().flat_map(|step| step.nodes.iter().map(move |node| (step, node)));
    acts.filter_map(|(step, node)| match state.act_state(step.number, node) {
        ActState::Done { since, at, .. } => Some((node.to_string(), between(*since, *at))),
        ActState::Pending | ActState::InFlight { .. } | ActState::Failed { .. } => None,
    })
    .max_by_key(|(_, took)| *took)
}

/// A step a line, with who did it and why gates opened.
pub(super) fn tall(live: &Live<'_>, columns: usize, style: Style) -> Vec<String> {
    let (plan, state) = (live.plan.plan(), live.state);
    let legs = legs(plan, state);
    let titles = legs.iter().map(|leg| width(&leg.title)).max().unwrap_or_default();
    let mut lines = Vec::new();
    let mut before: Option<&Leg<'_>> = None;
    for leg in &legs {
        if leg.is_beyond() && !before.is_some_and(Leg::is_beyond) {
            lines.push(point_of_no_return(live, columns, style));
            before = None;
        }
        let label = leg.label();
        let label = if before.is_some_and(|leg| leg.label() == label) { "" } else { label };
        before = Some(leg);
        let (mark, tone) = leg.mark(style);
        let (mark, title) = (padded(mark, 2), padded(&leg.title, titles));
        let detail = cut(&leg.detail(state), DETAIL, style);
        let rest = format!("{:>7}  {detail}", leg.time(live.now));
        let tone = tone.filter(|_| leg.stands != Stands::Todo).unwrap_or(Tone::Faint);
        let line = match leg.stands {
            Stands::Done { .. } => format!("{} {title} {rest}", style.paint(tone, &mark)),
            Stands::Now { .. } | Stands::Held | Stands::Todo => {
                style.paint(tone, format!("{mark} {title} {rest}").trim_end())
            }
        };
        lines.push(format!("{label:<LABEL$} {line}").trim_end().to_owned());
    }
    lines
}

/// The same in as few lines as it takes.
pub(super) fn dense(live: &Live<'_>, columns: usize, style: Style) -> Vec<String> {
    let legs = legs(live.plan.plan(), live.state);
    let mut lines = Vec::new();
    for rows in legs.chunk_by(|one, other| one.is_beyond() == other.is_beyond()) {
        if rows.first().is_some_and(Leg::is_beyond) {
            lines.push(point_of_no_return(live, columns, style));
        }
        for row in rows.chunk_by(|one, other| one.label() == other.label()) {
            let label = row.first().map(Leg::label).unwrap_or_default();
            let items: Vec<String> = row.iter().map(|leg| leg.item(live.now, style)).collect();
            lines.extend(items_in_lines(label, &items, columns));
        }
    }
    lines
}

fn items_in_lines(label: &str, items: &[String], columns: usize) -> Vec<String> {
    const GAP: &str = "   ";
    let mut lines = Vec::new();
    let mut line = format!("{label:<LABEL$} ");
    let empty = width(&line);
    for item in items {
        let is_first = width(&line) == empty;
        if !is_first && width(&line) + GAP.len() + width(item) > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(empty)));
        } else if !is_first {
            line.push_str(GAP);
        }
        line.push_str(item);
    }
    lines.push(line);
    lines
}

/// The mark, and what it means now.
fn point_of_no_return(live: &Live<'_>, columns: usize, style: Style) -> String {
    let (plan, state) = (live.plan.plan(), live.state);
    let begun = plan
        .first_step(What::Act(Verb::StartMigrating))
        .filter(|step| state.has_begun(step.number))
        .map(|step| span(state, step).0);
    let (words, tone) = match begun {
        None => {
            (" point of no return: from here only a restore leads back ".to_owned(), Tone::Careful)
        }
        Some(None) => {
            (" point of no return, crossed: only a restore leads back ".to_owned(), Tone::Bad)
        }
        Some(Some(at)) => (format!(" point of no return, crossed at {} ", time(at)), Tone::Bad),
    };
    let line = style.line();
    let missing = columns.saturating_sub(width(&words) + LABEL + 1);
    let text = format!("{}{words}{}", line.repeat(LABEL + 1), line.repeat(missing));
    style.paint(tone, &text)
}

/// What the run does next, in words; empty at the end.
pub(super) fn ahead(live: &Live<'_>) -> String {
    const SHOWN: usize = 4;
    let mut legs = legs(live.plan.plan(), live.state);
    legs.retain(|leg| leg.stands == Stands::Todo);
    let titles: Vec<&str> = legs.iter().map(|leg| leg.title.as_str()).collect();
    let mut words = titles.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = titles.len().checked_sub(SHOWN) {
        words.push_str(&format!(" and {more} more"));
    }
    if legs.iter().any(|leg| leg.has(What::Gate(Gate::Approval))) {
        words.push_str("; you are asked before the outage");
    }
    words
}

impl Leg<'_> {
    fn has(&self, what: What) -> bool {
        self.steps.iter().any(|step| step.what == what)
    }
}
