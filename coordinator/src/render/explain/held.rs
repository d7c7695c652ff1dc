//! What a run is held by, and every way on from there.

use jiff::Timestamp;
use quaymaster_proto::{Component, Mode, NodeName};

use super::migration::{Came, by_revision, ended, hand_over, log_by_hand};
use super::verified::not_verified;
use super::{Answers, Explained, by_hand};
use crate::plan::{Gate, Stage, Step, Verb, What};
use crate::render::words::{failure, problem, remedy};
use crate::run::next::leaves_behind;
use crate::run::{ActState, Direction, GateFailure, GateState, Problem};

/// Where a hold stands to the point of no return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Zone {
    /// What fails again leads back by itself.
    Before,
    /// Only forward.
    Beyond,
    /// On the way back.
    Back,
}

impl Zone {
    fn of(explained: &Explained<'_>) -> Self {
        let (plan, state) = (explained.plan.plan(), explained.state);
        match state.direction {
            Direction::Back { .. } | Direction::Rollback { .. } => Self::Back,
            Direction::There if state.has_crossed(plan) => Self::Beyond,
            Direction::There => Self::Before,
        }
    }
}

pub(super) fn failed(
    base: Answers,
    explained: &Explained<'_>,
    step: &Step,
    failures: &[(NodeName, Problem)],
) -> Answers {
    let state = explained.state;
    let since = |node: &NodeName| -> Option<Timestamp> {
        match state.act_state(step.number, node) {
            ActState::Failed { at, problem: _ } => Some(*at),
            ActState::Pending | ActState::InFlight { .. } | ActState::Done { .. } => None,
        }
    };
    let mut ends = Vec::new();
    for (node, why) in failures {
        let words = match why {
            Problem::AtGate { failure } => at_gate(explained, step, node, failure),
            Problem::Refused { .. } | Problem::Unreachable { .. } | Problem::Nonsense { .. } => {
                remedy(why, node)
            }
        };
        if !words.is_empty() {
            ends.push(format!("{node}: {words}"));
        }
    }
    ends.extend(on_from(explained, step, failures));
    let log = failures.iter().find_map(|(_, why)| match why {
        Problem::AtGate { failure } => Some(log_of(failure)),
        Problem::Refused { .. } | Problem::Unreachable { .. } | Problem::Nonsense { .. } => None,
    });
    // Where an agent answers, nobody has to do its part.
    let is_there = |why: &Problem| matches!(why, Problem::AtGate { .. });
    let nodes = failures.iter().filter(|(_, why)| !is_there(why)).map(|(node, _)| node);
    let words = |(node, why): &(NodeName, Problem)| match why {
        Problem::AtGate { .. } => problem(why),
        Problem::Refused { .. } | Problem::Unreachable { .. } | Problem::Nonsense { .. } => {
            format!("{node}: {}", problem(why))
        }
    };
    let is_moved = failures.iter().any(|(_, why)| is_database(why));
    Answers {
        why: failures.iter().map(words).collect(),
        undo: if is_moved { undo_where_it_moved(explained, base.undo) } else { base.undo },
        log: log.unwrap_or_default(),
        since: failures.iter().filter_map(|(node, _)| since(node)).min(),
        ends,
        hands: nodes.filter_map(|node| by_hand::hands(explained, step, node)).collect(),
        next: next_of(explained, step, failures).unwrap_or(base.next),
        ..base
    }
}

/// What is so for the run, whichever node it is.
fn on_from(
    explained: &Explained<'_>,
    step: &Step,
    failures: &[(NodeName, Problem)],
) -> Vec<String> {
    let program = explained.program;
    let resume = format!("{program} resume");
    let plan = explained.plan.plan();
    match Zone::of(explained) {
        Zone::Before if failures.iter().all(|(_, why)| is_database(why)) => Vec::new(),
        Zone::Before => vec![
            format!("then {resume}: what fails again leads back by itself"),
            format!("or back to {} now: {program} abort", plan.window.from),
        ],
        Zone::Beyond if step.what == What::Act(Verb::StartMigrating) => {
            let first = &plan.first;
            let mut ways = vec![format!(
                "nothing is started before {first} has said what became of its start: {resume} \
                 asks, and never starts it twice"
            )];
            ways.extend(hand_over(explained).map(|way| {
                format!(
                    "if {first} is gone for good and the database is at {}: {way}. Below that only \
                     a restore of the database leads on",
                    plan.database.target
                )
            }));
            ways
        }
        Zone::Back | Zone::Beyond => {
            let is_gate = |(_, why): &(_, Problem)| matches!(why, Problem::AtGate { .. });
            if failures.iter().all(is_gate) {
                return Vec::new();
            }
            let mut ways = vec![format!("then {resume}; what is done already is found done")];
            if !explained.state.is_rollback() || leaves_behind(plan, step) {
                ways.extend(without(explained, failures));
            }
            ways
        }
    }
}

/// The way on where a node does not come back.
fn without(explained: &Explained<'_>, failures: &[(NodeName, Problem)]) -> Option<String> {
    let (plan, state, program) = (explained.plan.plan(), explained.state, explained.program);
    let is_needed = |node: &NodeName| {
        state.direction.is_there() && state.handed_over.as_ref().unwrap_or(&plan.first) == node
    };
    let gone = failures
        .iter()
        .find(|(node, why)| matches!(why, Problem::Unreachable { .. }) && !is_needed(node));
    let (node, _) = gone?;
    Some(format!(
        "if {node} is gone for good: {program} resume --without {node} --because \"how its Quay is \
         kept from the database\""
    ))
}

fn is_database(why: &Problem) -> bool {
    matches!(why, Problem::AtGate { failure } if matches!(**failure, GateFailure::Database { .. }))
}

/// What can be undone where the database is not what the window found.
fn undo_where_it_moved(explained: &Explained<'_>, undo: String) -> String {
    if Zone::of(explained) != Zone::Before {
        return undo;
    }
    "nothing by itself: the database is not what the window found, so no old Quay is started on \
     it; the old containers and files are kept"
        .to_owned()
}

/// The command that leads on, where it is not `resume` alone.
fn next_of(
    explained: &Explained<'_>,
    step: &Step,
    failures: &[(NodeName, Problem)],
) -> Option<String> {
    let fresh = |(node, why): &(NodeName, Problem)| match why {
        Problem::AtGate { failure } if step.component == Component::Quay && is_end(failure) => {
            Some(format!("{} resume --retry {node}", explained.program))
        }
        Problem::AtGate { .. }
        | Problem::Refused { .. }
        | Problem::Unreachable { .. }
        | Problem::Nonsense { .. } => None,
    };
    // One node's part at a time, and only where no other has to answer first.
    let mut all = failures.iter().map(fresh);
    let first = all.next()??;
    all.all(|other| other.is_some()).then_some(first)
}

/// Whether only a fresh container leads on.
fn is_end(failure: &GateFailure) -> bool {
    match failure {
        GateFailure::Exited { .. } | GateFailure::Gone { .. } | GateFailure::Restarted { .. } => {
            true
        }
        GateFailure::WrongMode { .. }
        | GateFailure::TooLong { .. }
        | GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::NotVerified { .. } => false,
    }
}

/// What a node needs that was left behind at a gate of health.
fn at_gate(
    explained: &Explained<'_>,
    step: &Step,
    node: &NodeName,
    failure: &GateFailure,
) -> String {
    if step.component != Component::Quay {
        return companion(step.component, failure);
    }
    let again = format!("{} resume --retry {node}", explained.program);
    let log = log_by_hand(explained, node);
    match failure {
        GateFailure::Exited { .. } => {
            format!(
                "read its log ({log}), mend what it says; then, with a fresh container: {again}"
            )
        }
        GateFailure::Gone { .. } => {
            format!("find out who removed it; then, with a fresh container: {again}")
        }
        GateFailure::Restarted { .. } => format!(
            "a Quay that was started again does not become healthy: find out who restarted it, \
             stop it by hand; then, with a fresh container: {again}"
        ),
        GateFailure::WrongMode { .. } => format!(
            "look at V3_UPGRADE_MODE in config.yaml and in QUAY_OVERRIDE_CONFIG; stop it by hand; \
             then, with a fresh container: {again}"
        ),
        GateFailure::TooLong { .. } => format!(
            "look at the node, and at its log ({log}); once it is healthy, resume looks again. Where it \
             stays sick: stop it by hand, then: {again}"
        ),
        GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::NotVerified { .. } => way_out(failure).to_owned(),
    }
}

/// What stands beside the Quays is looked after by hand: nothing migrates in it.
fn companion(component: Component, failure: &GateFailure) -> String {
    match failure {
        GateFailure::Exited { .. } => format!(
            "read the {component}'s log and mend what it says; start that container by hand with \
             docker start, then resume. The registry serves meanwhile"
        ),
        GateFailure::Gone { .. } => format!(
            "find out who removed the {component}. The registry serves: this run cannot end, but \
             a new plan can take its place; create the container anew, then plan again"
        ),
        GateFailure::Restarted { .. } => format!(
            "find out who restarted the {component}; nothing migrates in it, and the registry \
             serves. Once it is healthy, resume"
        ),
        GateFailure::TooLong { .. }
        | GateFailure::WrongMode { .. }
        | GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::NotVerified { .. } => way_out(failure).to_owned(),
    }
}

pub(super) fn closed(
    base: Answers,
    explained: &Explained<'_>,
    step: &Step,
    why: &GateFailure,
) -> Answers {
    let state = explained.state;
    let since = match state.gates.get(&step.number) {
        Some(GateState::Closed { at, failure: _ }) => Some(*at),
        Some(GateState::Waiting { .. } | GateState::Passed { .. }) | None => None,
    };
    if let GateFailure::NotVerified { account } = why {
        return not_verified(Answers { since, ..base }, explained, account);
    }
    let mut undo = base.undo.clone();
    let (ends, next) = match first_node(explained, step, why) {
        Some(ways) => ways,
        None => elsewhere(explained, step, why),
    };
    if let GateFailure::Database { .. } = why
        && step.stage == Stage::Dark
    {
        undo = undo_where_it_moved(explained, undo);
    }
    if let GateFailure::Exited { revision, log, .. } = why
        && Zone::of(explained) == Zone::Beyond
        && Came::of(explained.plan.plan(), revision.as_deref(), log.as_ref()) == Came::Nowhere
    {
        undo = format!("all of it, on command: nothing was applied; {} abort", explained.program);
    }
    let why_words = vec![failure(why)];
    Answers { why: why_words, log: log_of(why), since, ends, next, undo, ..base }
}

/// The gate of the node that migrates.
fn first_node(
    explained: &Explained<'_>,
    step: &Step,
    why: &GateFailure,
) -> Option<(Vec<String>, String)> {
    if step.what != What::Gate(Gate::FirstNode) {
        return None;
    }
    let (plan, program) = (explained.plan.plan(), explained.program);
    let status = format!("{program} status");
    match why {
        GateFailure::Exited { node, revision, log, exit_code: _ } => {
            Some(ended(explained, node, Came::of(plan, revision.as_deref(), log.as_ref())))
        }
        GateFailure::Gone { node } => {
            let who = "find out who removed the container".to_owned();
            Some((vec![who, by_revision(explained, node)], status))
        }
        GateFailure::Restarted { node } => {
            let who = "find out who restarted it: a second start may have migrated a second time, \
                       and a Quay that was started again does not become healthy. Nothing is done \
                       to it while it lives: wait for its end, or stop it by hand, but only where \
                       the database is at the target"
                .to_owned();
            Some((vec![who, by_revision(explained, node)], status))
        }
        GateFailure::WrongMode { node, .. } => {
            let look = format!(
                "look at V3_UPGRADE_MODE in config.yaml and in QUAY_OVERRIDE_CONFIG on {node}. It \
                 serves, so its migration is over: it can be stopped by hand"
            );
            Some((vec![look, by_revision(explained, node)], status))
        }
        GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::TooLong { .. }
        | GateFailure::NotVerified { .. } => None,
    }
}

/// Every other gate.
fn elsewhere(explained: &Explained<'_>, step: &Step, why: &GateFailure) -> (Vec<String>, String) {
    let (state, program) = (explained.state, explained.program);
    let resume = format!("{program} resume");
    if let GateFailure::Drifted { .. } = why {
        let (ends, next) = if state.begun.is_empty() {
            ("a new plan, from what is there now".to_owned(), plan_again(explained))
        } else {
            let plan = plan_again(explained);
            (format!("{resume} takes back what was staged; then a new plan: {plan}"), resume)
        };
        return (vec![ends], next);
    }
    let node = match why {
        GateFailure::Exited { node, .. }
        | GateFailure::Gone { node }
        | GateFailure::Restarted { node }
        | GateFailure::WrongMode { node, .. } => Some(node),
        GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::TooLong { .. }
        | GateFailure::NotVerified { .. } => None,
    };
    let mut ends = vec![match node {
        Some(node) => at_gate(explained, step, node, why),
        None => way_out(why).to_owned(),
    }];
    if Zone::of(explained) == Zone::Before {
        ends.push(format!(
            "{resume} looks again; where it is still so, the run goes back by itself"
        ));
    }
    (ends, resume)
}

/// What opens a gate that has closed, on whichever node.
fn way_out(why: &GateFailure) -> &'static str {
    match why {
        GateFailure::Drifted { .. } => "a new plan, from what is there now",
        GateFailure::Alive { .. } => {
            "stop what lives, and keep its restart policy from reviving it; then resume"
        }
        GateFailure::Config { .. } => {
            "find out why these nodes see another file (a share that is not mounted, or one that \
             is a copy); put the edited file there as well, then resume"
        }
        GateFailure::NoFloor { .. } => {
            "look at these nodes' agents and their state directories; resume sets the floor again"
        }
        GateFailure::StaleBackup { .. } => {
            "find out who starts the old Quay, and keep it from being started; then resume, which \
             has the database backed up anew"
        }
        GateFailure::Database { .. } => {
            "find out which database each node reaches, and in which state it is, before anything \
             is started; then resume"
        }
        GateFailure::ForeignSessions { .. } => {
            "end these sessions and stop what opens them again, then resume. This plan cannot be \
             told to expect them; database.expected_sessions of cluster.yaml counts from the next \
             plan on"
        }
        GateFailure::Exited { .. } | GateFailure::Gone { .. } | GateFailure::Restarted { .. } => {
            "read the container's log, and mend what it says; then resume"
        }
        GateFailure::WrongMode { .. } => {
            "look at V3_UPGRADE_MODE in config.yaml and in QUAY_OVERRIDE_CONFIG on that node"
        }
        GateFailure::TooLong { .. } => {
            "look at the node and its log; once it goes on, resume looks again"
        }
        GateFailure::NotVerified { .. } => "mend what was found; resume verifies again",
    }
}

fn log_of(why: &GateFailure) -> Vec<String> {
    match why {
        GateFailure::Exited { log: Some(log), .. } => log.lines.clone(),
        GateFailure::Exited { log: None, .. }
        | GateFailure::Gone { .. }
        | GateFailure::Restarted { .. }
        | GateFailure::WrongMode { .. }
        | GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::TooLong { .. }
        | GateFailure::NotVerified { .. } => Vec::new(),
    }
}

/// The command that plans the same window from what is there now.
fn plan_again(explained: &Explained<'_>) -> String {
    let window = &explained.plan.plan().window;
    let mode = match (window.number, window.to.mode) {
        (1, Mode::Background) => " --mode background",
        (1, Mode::Complete) => " --mode synchronous",
        // Half-way there is only one way on.
        (_, Mode::Absent | Mode::Background | Mode::Complete | Mode::Other) => "",
    };
    format!("{} plan --to {}{mode}", explained.program, window.to.release)
}
