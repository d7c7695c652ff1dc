//! Why a run waits or holds, since when, what ends it, what can still be
//! undone, and what to type next.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::figures::{duration, time};
use super::registry::{registry, undo};
use super::text::{labelled, names, next_lines};
use super::words::step_title;
use super::{JSON_VERSION, Style, Tone};
use crate::plan::{CheckedPlan, Stage, Step};
use crate::report::between;
use crate::run::{Direction, Next, RunState, next, rollback};

mod by_hand;
mod held;
mod migration;
mod verified;
mod waits;

use by_hand::Hands;
use held::{closed, failed};
use waits::{asked, looked};

/// A run at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a> {
    /// Its plan.
    pub plan: &'a CheckedPlan,
    /// What happened.
    pub state: &'a RunState,
    /// The time.
    pub now: Timestamp,
    /// How a command begins: `quaymaster`, with what finds this cluster.
    pub program: &'a str,
}

/// Every answer.
pub(super) struct Answers {
    pub(super) stands: String,
    pub(super) registry: String,
    pub(super) why: Vec<String>,
    /// The last lines of the log that a person reads first.
    pub(super) log: Vec<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) ends: Vec<String>,
    /// What a person may do in an agent's place.
    pub(super) hands: Vec<Hands>,
    pub(super) undo: String,
    pub(super) next: String,
}

/// The screen.
pub fn explain(explained: &Explained<'_>, style: Style) -> String {
    let Explained { plan, state, now, program: _ } = *explained;
    let window = &plan.plan().window;
    let answers = answers(explained);
    let title = format!(
        "Window {} of {}   {} {} {}   plan {}",
        window.number,
        window.of,
        window.from,
        style.arrow(),
        window.to,
        plan.digest().short()
    );
    let mut out = style.paint(Tone::Heading, &title) + "\n";
    out.push_str(&labelled("run", &state.run.to_string()));
    out.push_str(&labelled("stands", &answers.stands));
    out.push_str(&labelled("registry", &answers.registry));
    out.push_str(&several("why", &answers.why));
    out.push_str(&several("log", &answers.log));
    if let Some(since) = answers.since {
        let words = format!("{}, for {}", time(since), duration(between(since, now)));
        out.push_str(&labelled("since", &words));
    }
    out.push_str(&several("ends", &answers.ends));
    out.push_str(&by_hand::lines(&answers.hands));
    out.push_str(&labelled("undo", &answers.undo));
    out.push_str(&next_lines(explained.program, &[answers.next]));
    out
}

fn several(label: &str, lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        out.push_str(&labelled(if index == 0 { label } else { "" }, line));
    }
    out
}

/// The same where no run is unfinished.
pub fn explain_nothing(program: &str) -> String {
    "nothing waits: no run of this cluster is unfinished\n".to_owned()
        + &next_lines(program, &[format!("{program} status")])
}

/// The same for programs.
pub fn explain_json(explained: &Explained<'_>) -> Value {
    let Answers { stands, registry, why, log, since, ends, hands, undo, next } = answers(explained);
    json!({
        "version": JSON_VERSION,
        "explain": {
            "run": explained.state.run,
            "plan": explained.plan.digest(),
            "stands": stands,
            "registry": registry,
            "why": why,
            "log": log,
            "since": since,
            "ends": ends,
            "by_hand": hands,
            "undo": undo,
            "next": next,
        },
    })
}

/// `step 7 of 14, dark gate`
pub(super) fn where_it_stands(explained: &Explained<'_>) -> String {
    let plan = explained.plan.plan();
    let place = |step: &Step| match step.stage {
        Stage::Back => format!("on the way back, {}", step_title(step)),
        Stage::Rollback => format!("rolling back, {}", step_title(step)),
        Stage::Serving | Stage::Dark | Stage::Beyond => {
            format!("step {} of {}, {}", step.number, plan.steps.len(), step_title(step))
        }
    };
    match next(plan, explained.state) {
        Next::Ask { step, nodes } => format!("{}, on {}", place(step), names(&nodes)),
        Next::Look { step, .. } => place(step),
        Next::Failed { step, .. } | Next::Closed { step, .. } => match step.stage {
            Stage::Back | Stage::Rollback => format!("HELD {}", place(step)),
            Stage::Serving | Stage::Dark | Stage::Beyond => format!("HELD at {}", place(step)),
        },
        Next::Done if explained.state.direction == Direction::There => {
            "every step is done".to_owned()
        }
        Next::Done if explained.state.is_rollback() => {
            format!("rolled back to {}", plan.window.from)
        }
        Next::Done => format!("put back to {}", plan.window.from),
    }
}

/// Past the point of no return, where there is a backup.
fn undo_on_command(explained: &Explained<'_>) -> Option<String> {
    let (plan, state) = (explained.plan.plan(), explained.state);
    rollback::backup(plan, state).ok().filter(|_| !state.is_rollback())?;
    Some("nothing by itself; on command `rollback`, to this window's backup".to_owned())
}

pub(super) fn answers(explained: &Explained<'_>) -> Answers {
    let plan = explained.plan.plan();
    let state = explained.state;
    let base = Answers {
        stands: where_it_stands(explained),
        registry: registry(plan, state, explained.now),
        why: Vec::new(),
        log: Vec::new(),
        since: None,
        ends: Vec::new(),
        hands: Vec::new(),
        undo: undo_on_command(explained).unwrap_or_else(|| undo(plan, state)),
        next: format!("{} resume", explained.program),
    };
    match next(plan, state) {
        Next::Ask { step, nodes } => asked(base, explained, step, &nodes),
        Next::Look { step, .. } => looked(base, explained, step),
        Next::Failed { step, failures } => failed(base, explained, step, &failures),
        Next::Closed { step, failure } => closed(base, explained, step, &failure),
        Next::Done => Answers {
            why: vec!["it does not wait: every step is done".to_owned()],
            next: format!("{} status", explained.program),
            ..base
        },
    }
}
