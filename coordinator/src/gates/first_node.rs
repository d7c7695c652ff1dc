//! The first node's gate: it migrated, on the right database, and stays
//! healthy. A container that takes long is never killed: the window holds.

use std::time::Duration;

use quaymaster_proto::database::DatabaseLook;

use crate::gates::health::Course;
use crate::gates::{Judgement, wait_up_to};
use crate::plan::Plan;
use crate::run::{Evidence, GateFailure, WaitingOn};

/// Judges what is known of the first node. `database` is the latest look that
/// it could take; a migration may keep it from one.
pub fn judge(
    plan: &Plan,
    course: &Course,
    database: Option<&DatabaseLook>,
    waited: Duration,
) -> Judgement {
    let wanted = &plan.database;
    if let Some(failure) = course.failure(plan.window.to.mode) {
        return Judgement::Fail(with_revision(failure, database));
    }
    if let Some(seen) = database
        && seen.identity != wanted.identity
    {
        let problem = format!(
            "{} reaches another database: {} instead of {}",
            course.node(),
            seen.shown_as,
            wanted.shown_as
        );
        return Judgement::Fail(GateFailure::Database { problem });
    }
    let limit = plan.timings.first_node_limit;
    if let Some(why) = course.silence() {
        let nodes = vec![(course.node().clone(), why.to_owned())];
        return wait_up_to(limit, waited, WaitingOn::Answer { nodes });
    }
    // Empty before the first look: what was wanted is not what is there.
    let revision = database.map(|seen| seen.revision.clone()).unwrap_or_default();
    if !database.is_some_and(|seen| has_arrived(plan, seen)) {
        let on = WaitingOn::Migration { revision, target: wanted.target.clone() };
        return wait_up_to(limit, waited, on);
    }
    let needed = plan.timings.healthy_for;
    match (course.left(needed), course.healthy_since()) {
        (Some(Duration::ZERO), Some(healthy_at)) => {
            Judgement::Pass(Evidence::FirstNode { revision, mode: course.mode(), healthy_at })
        }
        (Some(_), _) => wait_up_to(limit, waited, WaitingOn::Lasting { needed }),
        (None, _) => {
            let nodes = vec![(course.node().clone(), course.reason())];
            wait_up_to(limit, waited, WaitingOn::Health { nodes })
        }
    }
}

/// Whether the migration is through, on a server that can be written to.
pub fn has_arrived(plan: &Plan, seen: &DatabaseLook) -> bool {
    seen.revision == plan.database.target && !seen.in_recovery
}

/// The revision tells a person whether anything was applied.
fn with_revision(failure: GateFailure, database: Option<&DatabaseLook>) -> GateFailure {
    match failure {
        GateFailure::Exited { node, exit_code, revision: _, log } => {
            let revision = database.map(|seen| seen.revision.clone());
            GateFailure::Exited { node, exit_code, revision, log }
        }
        other @ (GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::Gone { .. }
        | GateFailure::Restarted { .. }
        | GateFailure::WrongMode { .. }
        | GateFailure::TooLong { .. }
        | GateFailure::NotVerified { .. }) => other,
    }
}
