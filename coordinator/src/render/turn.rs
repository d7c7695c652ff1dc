//! The words of the way back, of leases that are not to be had, and of what a
//! person may order past the point of no return.

use quaymaster_proto::NodeName;

use super::explain::Explained;
use super::figures::{moment, time};
use super::report::left_out;
use super::text::{labelled, names, next_lines};
use super::words::{failure, problem, step_title};
use super::{Style, Tone, account};
use crate::plan::Plan;
use crate::report;
use crate::run::{Cause, Crossing, Direction, Event};
use crate::runner::Unclaimed;

/// Why a run goes back, in one line.
pub fn cause(plan: &Plan, because: &Cause) -> String {
    let title = |step| plan.step(step).map_or_else(|| "a step".to_owned(), step_title);
    match because {
        Cause::Failed { step, failures } => {
            let each = |(node, why): &(NodeName, _)| format!("{node}: {}", problem(why));
            let each: Vec<String> = failures.iter().map(each).collect();
            format!("{} failed on {}", title(*step), each.join("; "))
        }
        Cause::Closed { step, failure: why } => format!("{}: {}", title(*step), failure(why)),
        Cause::Person { by, because: Some(words) } => format!("{by} ordered it: {words}"),
        Cause::Person { by, because: None } => format!("{by} ordered it"),
    }
}

/// What a person reads of a turn in a run: a title and what happened; `None` =
/// it is no turn.
pub(super) fn event(plan: &Plan, event: &Event) -> Option<(&'static str, String)> {
    match event {
        Event::TurnedBack { because, .. } => {
            Some(("turn", format!("BACK to {}: {}", plan.window.from, cause(plan, because))))
        }
        Event::Retried { node, attempt, by, .. } => {
            let words = format!("{node}: {by} orders attempt {attempt}, with a fresh container");
            Some(("retry", words))
        }
        Event::HandedOver { to, by, .. } => {
            Some(("hand-over", format!("{by} gives the first node's part to {to}")))
        }
        Event::LeftOut { node, by, because, .. } => {
            Some(("left out", format!("{node}: {by} gives it up: {because}")))
        }
        Event::RollbackOrdered { by, because, .. } => {
            let from = &plan.window.from;
            let words =
                format!("BACK to {from} by this window's backup: {by} ordered it: {because}");
            Some(("rollback", words))
        }
        Event::RollbackCalledOff { because, .. } => {
            Some(("rollback", format!("called off, nothing was stopped: {because}")))
        }
        Event::RolledBack { .. } => {
            Some(("end", format!("{} serves, on the database of its backup", plan.window.from)))
        }
        Event::WentBack { .. } => Some(("end", format!("{} serves as before", plan.window.from))),
        Event::Started { .. }
        | Event::Driven { .. }
        | Event::Intended { .. }
        | Event::Settled { .. }
        | Event::Failed { .. }
        | Event::LeftBehind { .. }
        | Event::Waiting { .. }
        | Event::Passed { .. }
        | Event::Closed { .. }
        | Event::Approved { .. }
        | Event::Sampled { .. }
        | Event::TagsCounted { .. }
        | Event::Finished { .. } => None,
    }
}

/// What is known of the point of no return.
pub(super) fn crossing(crossing: Crossing) -> &'static str {
    match crossing {
        Crossing::NotIntended => "the point of no return was not reached",
        Crossing::NeverStarted => {
            "the migrating start is proven never to have happened: its container is removed, and \
             its engine says that it never started"
        }
        Crossing::NothingApplied => {
            "the migrating container has ended and applied nothing: its whole log shows no \
             migration, and the database is at the revision that the plan found"
        }
    }
}

/// The screen of a run that ended where its window began.
pub fn put_back(explained: &Explained<'_>, style: Style) -> String {
    let Explained { plan, state, now: _, program } = *explained;
    let digest = plan.digest().short();
    let plan = plan.plan();
    let window = &plan.window;
    let how = if state.is_rollback() { "rolled back" } else { "put back" };
    let title = format!(
        "Window {} of {} {how}   {} serves as before   plan {digest}",
        window.number, window.of, window.from
    );
    let mut out = style.paint(Tone::Heading, &title) + "\n";
    out.push_str(&labelled("run", &state.run.to_string()));
    if let Direction::Back { because, crossing: known, since } = &state.direction {
        out.push_str(&labelled("why", &cause(plan, because)));
        out.push_str(&labelled("turned", &format!("{}; {}", time(*since), crossing(*known))));
    }
    if let Direction::Rollback { by, because, since, .. } = &state.direction {
        out.push_str(&labelled("why", &format!("{by} ordered it: {because}")));
        out.push_str(&labelled("ordered", &time(*since)));
    }
    if let Some(backup) = state.backup(plan).filter(|_| state.is_rollback()) {
        let lost = format!("everything that was written since {}", moment(backup.ended));
        out.push_str(&labelled("lost", &lost));
    }
    let all = plan.nodes.iter().map(|node| &node.name);
    let all: Vec<&NodeName> = all.filter(|node| !state.left_out.contains_key(*node)).collect();
    out.push_str(&labelled(
        "now",
        &format!("{} on {}; no lease, no floor of this window", window.from, names(&all)),
    ));
    out.push_str(&account::labelled_lines(report::verified(state, state.way(plan)).as_ref()));
    for (node, because) in &state.left_out {
        out.push_str(&labelled("left out", &left_out(node, because)));
    }
    out.push_str(&labelled("kept", "containers that ran in this window, with their logs"));
    let first = match state.is_rollback() {
        true => format!("see what was wrong with {}", window.to),
        false => "mend what it says above".to_owned(),
    };
    let next = format!("{first}, then {program} plan --to {}", window.to.release);
    out.push_str(&next_lines(program, &[next]));
    out
}

/// Why a node's lease was not to be had.
pub fn unclaimed(why: &Unclaimed) -> String {
    match why {
        Unclaimed::Held(lease) => format!(
            "{} holds it for run {} (epoch {}) since {}",
            lease.holder,
            lease.run,
            lease.epoch,
            time(lease.since)
        ),
        Unclaimed::Elsewhere(lease) => format!(
            "this very run is driven by {} since {}, in an epoch that this journal does not know: \
             it is an earlier copy, or another machine took over",
            lease.holder,
            time(lease.since)
        ),
        Unclaimed::Behind { step, known } => {
            let known = known.map_or_else(|| "no step of it".to_owned(), |step| format!("{step}"));
            format!(
                "it has come to step {step} of this run, and the journal here knows {known}: the \
                 journal is an earlier copy"
            )
        }
        Unclaimed::Refused(why) => problem(why),
    }
}
