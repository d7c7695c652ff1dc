//! The dark gate: no Quay lives on any node, and the database shows no session
//! that nobody can name.

use std::time::Duration;

use quaymaster_proto::database::{DatabaseLook, Session};
use quaymaster_proto::node::NodeFacts;
use quaymaster_proto::{Component, NodeName};

use crate::gates::{Judgement, SETTLE, unanswered};
use crate::plan::Plan;
use crate::run::{Evidence, GateFailure, WaitingOn};

/// One node, looked at from both sides; a text says why there is no answer.
#[derive(Clone, PartialEq, Debug)]
pub struct DarkLook {
    /// Which.
    pub node: NodeName,
    /// Its containers.
    pub facts: Result<NodeFacts, String>,
    /// The database as it reaches it.
    pub database: Result<DatabaseLook, String>,
}

/// Judges one round of looks at every node of the plan.
pub fn judge(plan: &Plan, looks: &[DarkLook], waited: Duration) -> Judgement {
    if let Some(problem) = looks.iter().find_map(|look| wrong_database(plan, look)) {
        return Judgement::Fail(GateFailure::Database { problem });
    }
    let alive = alive(looks);
    let foreign = foreign(plan, looks);
    let settled = waited >= SETTLE;
    if !alive.is_empty() && settled {
        let containers = alive.into_iter().map(|(_, words)| words).collect();
        return Judgement::Fail(GateFailure::Alive { containers });
    }
    if !alive.is_empty() {
        let mut nodes: Vec<NodeName> = alive.into_iter().map(|(node, _)| node).collect();
        nodes.dedup();
        return Judgement::Wait(WaitingOn::Containers { nodes });
    }
    if !foreign.is_empty() && settled {
        return Judgement::Fail(GateFailure::ForeignSessions { sessions: foreign });
    }
    if !foreign.is_empty() {
        return Judgement::Wait(WaitingOn::Sessions { sessions: foreign });
    }
    let silent = silent(looks);
    if !silent.is_empty() {
        return unanswered(silent, waited);
    }
    Judgement::Pass(Evidence::Dark { sessions: expected(plan, looks) })
}

fn wrong_database(plan: &Plan, look: &DarkLook) -> Option<String> {
    let node = &look.node;
    let seen = look.database.as_ref().ok()?;
    let wanted = &plan.database;
    if seen.identity != wanted.identity {
        return Some(format!(
            "{node} reaches another database: {} instead of {}",
            seen.shown_as, wanted.shown_as
        ));
    }
    if seen.in_recovery {
        return Some(format!("{node} reaches a standby of {}", wanted.shown_as));
    }
    (seen.revision != wanted.revision).then(|| {
        format!(
            "{} is at revision {} instead of {}",
            wanted.shown_as,
            revision_in_words(&seen.revision),
            wanted.revision
        )
    })
}

/// An empty table is what a migration leaves that was killed in its first
/// revision (quay-observed 4).
fn revision_in_words(revision: &str) -> &str {
    if revision.is_empty() { "none" } else { revision }
}

/// Every living container that runs a Quay image, in words.
fn alive(looks: &[DarkLook]) -> Vec<(NodeName, String)> {
    let mut alive = Vec::new();
    for look in looks {
        let Ok(facts) = &look.facts else { continue };
        for component in [Component::Quay, Component::Mirror] {
            let containers = facts.component(component).into_iter().flat_map(|of| of.containers());
            for container in containers {
                let state = &container.state;
                if state.status.is_alive() {
                    let words = format!(
                        "{}: container {} ({}) is {}",
                        look.node,
                        state.name,
                        state.id.short(),
                        state.status
                    );
                    alive.push((look.node.clone(), words));
                }
            }
        }
    }
    alive
}

/// The list of sessions as the first node's agent reads it, agents left out;
/// `None` = this database has no list.
fn sessions<'a>(
    plan: &Plan,
    looks: &'a [DarkLook],
) -> Option<impl Iterator<Item = &'a Session> + use<'a>> {
    let look = looks.iter().find(|look| look.node == plan.first)?;
    let sessions = look.database.as_ref().ok()?.sessions.as_ref()?;
    Some(sessions.iter().filter(|session| !session.is_agent()))
}

fn is_expected(plan: &Plan, session: &Session) -> bool {
    session.is_among(&plan.timings.expected_sessions)
}

fn foreign(plan: &Plan, looks: &[DarkLook]) -> Vec<Session> {
    sessions(plan, looks)
        .into_iter()
        .flatten()
        .filter(|session| !is_expected(plan, session))
        .cloned()
        .collect()
}

fn expected(plan: &Plan, looks: &[DarkLook]) -> Option<Vec<Session>> {
    Some(sessions(plan, looks)?.filter(|session| is_expected(plan, session)).cloned().collect())
}

fn silent(looks: &[DarkLook]) -> Vec<(NodeName, String)> {
    looks
        .iter()
        .filter_map(|look| {
            let why = look.facts.as_ref().err().or_else(|| look.database.as_ref().err())?;
            Some((look.node.clone(), why.clone()))
        })
        .collect()
}
