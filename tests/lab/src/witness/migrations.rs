//! Invariants 2 and 11: who migrates, how often, undisturbed, and who else is at the database
//! meanwhile. Pure.

use jiff::Timestamp;

use super::history::{History, Migration, Run, is_same};
use super::windows::{Segment, segments};
use super::{LabFacts, Violation};
use crate::record::{EngineAction, Session};

pub(super) fn violations(history: &History, facts: &LabFacts) -> Vec<Violation> {
    let mut found = Vec::new();
    let migrating: Vec<(&Run, &Migration)> =
        history.runs.iter().filter_map(|run| Some((run, run.migration.as_ref()?))).collect();
    for (index, (run, migration)) in migrating.iter().enumerate() {
        found.extend(at_once(run, migration, &migrating[..index]));
        found.extend(strangers(run, migration, &facts.named_sessions));
    }
    for segment in segments(&history.runs) {
        found.extend(more_than_once(&segment, &facts.ordered_retries));
        found.extend(cut_short(history, &segment));
    }
    for run in &history.runs {
        found.extend(disturbed(history, run));
    }
    found
}

/// 2: two processes migrate at the same time.
fn at_once(run: &Run, migration: &Migration, earlier: &[(&Run, &Migration)]) -> Option<Violation> {
    let (other, _) = earlier.iter().find(|(other, theirs)| {
        let over = theirs.ended.map(|(at, _)| at).or(other.ended);
        over.is_none_or(|over| migration.begun < over)
    })?;
    Some(Violation {
        invariant: 2,
        at: Some(migration.begun),
        nodes: vec![other.node.clone(), run.node.clone()],
        evidence: format!(
            "the Quay on {} began to migrate to {} while the one on {} was migrating",
            run.node, migration.target, other.node
        ),
    })
}

/// 2: the migrating start of a window happened more than once, or one container was started again.
fn more_than_once(segment: &Segment<'_>, ordered: &[String]) -> Vec<Violation> {
    let is_ordered = |run: &Run| ordered.iter().any(|id| is_same(id, &run.container_id));
    let mut found = Vec::new();
    for (index, run) in segment.runs.iter().enumerate() {
        let earlier = &segment.runs[..index];
        // One that has been healthy may come back with its host: it has nothing left to migrate.
        let same = earlier.iter().find(|other| {
            other.migration.is_some()
                && other.healthy.is_none()
                && is_same(&other.container_id, &run.container_id)
        });
        let first = earlier.iter().find(|other| other.migration.is_some());
        let evidence = match (same, first, &run.migration) {
            (Some(_), _, _) => format!(
                "the container that migrated on {} was started again, though the migrating \
                 start happens at most once",
                run.node
            ),
            (None, Some(first), Some(migration)) if !is_ordered(run) => format!(
                "a second Quay, on {}, migrated from {} to {} after the one on {}",
                run.node,
                migration.from.as_deref().unwrap_or("nothing"),
                migration.target,
                first.node
            ),
            (None, _, _) => continue,
        };
        found.push(Violation {
            invariant: 2,
            at: Some(run.started),
            nodes: vec![run.node.clone()],
            evidence,
        });
    }
    found
}

/// 2: something stopped, killed, renamed or removed the migrating container before its end was
/// proven.
fn disturbed(history: &History, run: &Run) -> Option<Violation> {
    let migration = run.migration.as_ref()?;
    let proven = migration.ended.map(|(at, _)| at);
    let act = first_act(history, run, proven);
    // Without an engine to say so: it is gone, and never wrote that its migration had ended.
    let lost_power = || history.power_lost(&run.node, run.started);
    let vanished =
        run.ended.filter(|_| proven.is_none()).filter(|ended| lost_power() != Some(*ended));
    let vanished = vanished.map(|at| (at, "vanished"));
    let (at, what): (Timestamp, &str) = act.or(vanished)?;
    if history.is_rolled_back(run, at) {
        return None;
    }
    Some(Violation {
        invariant: 2,
        at: Some(at),
        nodes: vec![run.node.clone()],
        evidence: format!(
            "the container on {} {what} while it migrated to {}",
            run.node, migration.target
        ),
    })
}

/// 2: the migrating start of a window was ended before it got as far as the database.
fn cut_short(history: &History, segment: &Segment<'_>) -> Option<Violation> {
    let run = segment.runs.first().filter(|_| segment.is_forward)?;
    if run.migration.is_some() || run.healthy.is_some() {
        return None;
    }
    let (at, what) = first_act(history, run, None).filter(|_| run.refused.is_none())?;
    if history.is_rolled_back(run, at) {
        return None;
    }
    Some(Violation {
        invariant: 2,
        at: Some(at),
        nodes: vec![run.node.clone()],
        evidence: format!(
            "the container on {} {what} after its migrating start and before its end was proven",
            run.node
        ),
    })
}

/// The first thing that was done to a run's container before `proven`.
fn first_act(
    history: &History,
    run: &Run,
    proven: Option<Timestamp>,
) -> Option<(Timestamp, &'static str)> {
    history.events_of(run).find_map(|(at, event)| {
        let what = match event.action {
            EngineAction::Kill | EngineAction::Stop => "was told to stop",
            EngineAction::Rename => "was renamed",
            EngineAction::Destroy => "was removed",
            EngineAction::Die if event.exit_code == Some(137) => "was killed",
            EngineAction::Die | EngineAction::Create | EngineAction::Start => return None,
        };
        let is_before_end = proven.is_none_or(|proven| *at < proven);
        (*at >= run.started && is_before_end).then_some((*at, what))
    })
}

/// 11: sessions at the database that the run cannot name.
fn strangers(run: &Run, migration: &Migration, named: &[String]) -> Option<Violation> {
    let is_named = |session: &&Session| {
        let address = session.address.as_deref();
        named.iter().any(|name| {
            let rest = session.application.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || Some(name.as_str()) == address
        })
    };
    let strangers: Vec<String> = migration
        .sessions
        .iter()
        .filter(|session| !is_named(session))
        .map(|Session { pid, user, application, address }| {
            let address = address.as_deref().unwrap_or("the local socket");
            format!("`{application}` of {user} from {address} (pid {pid})")
        })
        .collect();
    if strangers.is_empty() {
        return None;
    }
    Some(Violation {
        invariant: 11,
        at: Some(migration.begun),
        nodes: vec![run.node.clone()],
        evidence: format!(
            "when {} began to migrate, the database had sessions that nobody named: {}",
            run.node,
            strangers.join("; ")
        ),
    })
}
