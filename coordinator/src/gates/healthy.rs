//! The gate of what was started last, the other Quays or a companion: each of
//! them is healthy, and stays so.

use std::time::Duration;

use quaymaster_proto::{Component, NodeName};

use crate::gates::health::Course;
use crate::gates::{Judgement, unanswered, wait_up_to};
use crate::plan::{Plan, Stage, Step};
use crate::run::{Evidence, GateFailure, WaitingOn};

/// Neither a builder nor Clair has anything to do before it says how it is; the
/// registry serves meanwhile, so a person may as well look.
const COMPANION: Duration = Duration::from_mins(10);

/// Several times the slowest start of a Quay that has nothing to migrate. One
/// that is not well by then is left behind, so that the others get their names
/// and restart policies; nothing is done to it.
const QUAY: Duration = Duration::from_mins(15);

/// Judges what is known of these nodes. Their agents have themselves read the
/// target revision before they started anything.
pub fn judge(plan: &Plan, step: &Step, courses: &[Course], waited: Duration) -> Judgement {
    let (component, window) = (step.component, &plan.window);
    let wanted = match step.stage {
        Stage::Back | Stage::Rollback => window.from.mode,
        Stage::Serving | Stage::Dark | Stage::Beyond => window.to.mode,
    };
    if let Some(failure) = courses.iter().find_map(|course| course.failure(wanted)) {
        return Judgement::Fail(failure);
    }
    let limit = limit(plan, component);
    let silent = named(courses, |course| course.silence().map(str::to_owned));
    if !silent.is_empty() {
        let longest = courses.iter().map(|course| course.silent_for(waited)).max();
        return unanswered(silent, longest.unwrap_or_default());
    }
    let sick = named(courses, |course| match course.healthy_since() {
        Some(_) => None,
        None => Some(course.reason()),
    });
    if !sick.is_empty() {
        return wait_up_to(limit, waited, WaitingOn::Health { nodes: sick });
    }
    let needed = plan.timings.healthy_for;
    if courses.iter().any(|course| course.left(needed) != Some(Duration::ZERO)) {
        return wait_up_to(limit, waited, WaitingOn::Lasting { needed });
    }
    let healthy_at = courses
        .iter()
        .filter_map(|course| Some((course.node().clone(), course.healthy_since()?)))
        .collect();
    Judgement::Pass(Evidence::Healthy { healthy_at })
}

fn limit(plan: &Plan, component: Component) -> Duration {
    let own = if component.migrates() { QUAY } else { COMPANION };
    plan.timings.first_node_limit.min(own)
}

/// Whose failure it is, where it is not everybody's.
pub fn of_nodes(failure: &GateFailure) -> Vec<NodeName> {
    let named = |nodes: &[(NodeName, String)]| nodes.iter().map(|(node, _)| node.clone()).collect();
    match failure {
        GateFailure::Exited { node, .. }
        | GateFailure::Gone { node }
        | GateFailure::Restarted { node }
        | GateFailure::WrongMode { node, .. } => vec![node.clone()],
        GateFailure::TooLong { limit: _, on } => match on.as_ref() {
            WaitingOn::Health { nodes } | WaitingOn::Answer { nodes } => named(nodes),
            WaitingOn::Backfill { .. }
            | WaitingOn::Approval
            | WaitingOn::Containers { .. }
            | WaitingOn::Config { .. }
            | WaitingOn::Sessions { .. }
            | WaitingOn::Migration { .. }
            | WaitingOn::Lasting { .. }
            | WaitingOn::Verification { .. } => Vec::new(),
        },
        GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::NotVerified { .. } => Vec::new(),
    }
}

fn named(courses: &[Course], what: impl Fn(&Course) -> Option<String>) -> Vec<(NodeName, String)> {
    courses.iter().filter_map(|course| Some((course.node().clone(), what(course)?))).collect()
}
