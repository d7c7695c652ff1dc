//! The dark gate: no Quay lives on any node, and the database shows no session
//! that nobody can name.

use std::time::Duration;

use quaymaster_proto::database::{DatabaseLook, Session};
use quaymaster_proto::node::{ComponentFacts, ConfigFacts, NodeFacts};
use quaymaster_proto::{Component, ContainerId, FileDigest, Floor, NodeName};

use crate::gates::{Judgement, SETTLE, living, unanswered};
use crate::plan::Plan;
use crate::run::{Evidence, GateFailure, Ran, WaitingOn, ran};

/// The one kind of database that keeps no list of its sessions.
const WITHOUT_SESSIONS: &str = "sqlite";

/// How long a file server's other clients may show a file as it was: NFS keeps
/// a directory for up to a minute (acdirmax, nfs(5)).
const SHARE: Duration = Duration::from_secs(90);

/// One node, looked at from both sides; a text says why there is no answer.
#[derive(Clone, PartialEq, Debug)]
pub struct DarkLook {
    /// Which.
    pub node: NodeName,
    /// The container that will migrate: on the first node, and at the gate
    /// right before its start.
    pub migrating: Option<ContainerId>,
    /// At that gate: what its config.yaml has to be. One node may have edited
    /// it for others, and each sees for itself that this has reached it.
    pub config: Option<FileDigest>,
    /// The floor that it has to have.
    pub floor: Option<Floor>,
    /// Its containers.
    pub facts: Result<NodeFacts, String>,
    /// The database as it reaches it.
    pub database: Result<DatabaseLook, String>,
}

/// What of the run's own may be at the database at a look: a process that ended
/// left it to a node, which goes on with it. Its sessions are not told apart from
/// others' on every server, and the gate behind it looks at all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Own {
    /// Nothing.
    Nothing,
    /// A backup.
    BackUp,
    /// A restore: meanwhile the database may hold nothing, or half.
    Restore,
}

/// Judges one round of looks at every node of the plan. `revisions` are those
/// at which the database may be; none = at any.
pub fn judge(
    plan: &Plan,
    looks: &[DarkLook],
    revisions: &[String],
    own: Own,
    waited: Duration,
) -> Judgement {
    match looks.iter().find_map(beginning) {
        Some(Beginning::Began(own)) => return judge_begun(plan, looks, own, waited),
        // Whether it has migrated decides what the database should show.
        Some(Beginning::Unknown) => return unanswered(silent(looks), waited),
        Some(Beginning::NotYet) | None => {}
    }
    if let Some(problem) = looks.iter().find_map(|look| wrong_database(plan, look, revisions)) {
        return Judgement::Fail(GateFailure::Database { problem });
    }
    if let Some(judgement) = judge_alive(alive(looks, None), waited) {
        return judgement;
    }
    let foreign = match own {
        Own::Nothing => foreign(plan, looks),
        Own::BackUp | Own::Restore => Vec::new(),
    };
    if !foreign.is_empty() && waited >= SETTLE {
        return Judgement::Fail(GateFailure::ForeignSessions { sessions: foreign });
    }
    if !foreign.is_empty() {
        return Judgement::Wait(WaitingOn::Sessions { sessions: foreign });
    }
    let silent = match own {
        Own::Nothing | Own::BackUp => silent(looks),
        Own::Restore => without_facts(looks),
    };
    if !silent.is_empty() {
        return unanswered(silent, waited);
    }
    if let Some(judgement) = judge_configs(looks, waited) {
        return judgement;
    }
    let nodes: Vec<NodeName> =
        looks.iter().filter(|look| has_no_floor(look)).map(|look| look.node.clone()).collect();
    if !nodes.is_empty() {
        return Judgement::Fail(GateFailure::NoFloor { nodes });
    }
    let sessions = match own {
        Own::Nothing => expected(plan, looks),
        Own::BackUp | Own::Restore => sessions(plan, looks).map(|all| all.cloned().collect()),
    };
    if sessions.is_none() && plan.database.kind != WITHOUT_SESSIONS && own != Own::Restore {
        let why = format!("it has read no list of the sessions of {}", plan.database.shown_as);
        return unanswered(vec![(plan.first.clone(), why)], waited);
    }
    Judgement::Pass(Evidence::Dark { sessions, ran: ran(looks) })
}

/// Judges the same for the backup, where the gate stands behind it: `before` is
/// what had run when it was begun. A Quay that ran since, and was stopped, left
/// no trace but its start.
pub fn judge_backup(judgement: Judgement, before: Option<&[Ran]>) -> Judgement {
    let Judgement::Pass(Evidence::Dark { ran, .. }) = &judgement else { return judgement };
    let since = match before {
        Some(before) => ran::since(before, ran),
        None => vec!["what had run before it is not on record".to_owned()],
    };
    if since.is_empty() {
        return judgement;
    }
    Judgement::Fail(GateFailure::StaleBackup { since })
}

/// Every Quay that has ever run.
fn ran(looks: &[DarkLook]) -> Vec<Ran> {
    let mut ran = Vec::new();
    for DarkLook { node, facts, .. } in looks {
        let components = living::QUAYS.iter();
        let of = |component: &Component| facts.as_ref().ok()?.component(*component);
        let containers = components.filter_map(of).flat_map(ComponentFacts::containers);
        let states = containers.map(|container| &container.state);
        ran.extend(states.filter(|state| state.ever_started()).map(|state| Ran {
            node: node.clone(),
            container: state.id.clone(),
            started_at: state.started_at,
        }));
    }
    ran
}

/// What is known of the migrating start.
enum Beginning<'a> {
    Began(&'a ContainerId),
    NotYet,
    Unknown,
}

fn beginning(look: &DarkLook) -> Option<Beginning<'_>> {
    let id = look.migrating.as_ref()?;
    let Ok(facts) = &look.facts else { return Some(Beginning::Unknown) };
    let mut containers =
        facts.component(Component::Quay).into_iter().flat_map(|of| of.containers());
    let began = containers.any(|found| found.state.id == *id && found.state.ever_started());
    Some(if began { Beginning::Began(id) } else { Beginning::NotYet })
}

/// The start was made before, by a process that could not write it down or has
/// ended since. Its own sessions and revisions are its business.
fn judge_begun(plan: &Plan, looks: &[DarkLook], own: &ContainerId, waited: Duration) -> Judgement {
    if let Some(problem) = looks.iter().find_map(|look| other_database(plan, look)) {
        return Judgement::Fail(GateFailure::Database { problem });
    }
    if let Some(judgement) = judge_alive(alive(looks, Some(own)), waited) {
        return judgement;
    }
    // A migration may keep the database from answering.
    let silent = without_facts(looks);
    if !silent.is_empty() {
        return unanswered(silent, waited);
    }
    Judgement::Pass(Evidence::Begun)
}

fn judge_alive(alive: Vec<(NodeName, String)>, waited: Duration) -> Option<Judgement> {
    if alive.is_empty() {
        return None;
    }
    if waited >= SETTLE {
        let containers = alive.into_iter().map(|(_, words)| words).collect();
        return Some(Judgement::Fail(GateFailure::Alive { containers }));
    }
    let mut nodes: Vec<NodeName> = alive.into_iter().map(|(node, _)| node).collect();
    nodes.dedup();
    Some(Judgement::Wait(WaitingOn::Containers { nodes }))
}

/// Before the migrating start every Quay that is to follow has the config.yaml
/// it needs: past it, a node without would be down until somebody mends it.
fn judge_configs(looks: &[DarkLook], waited: Duration) -> Option<Judgement> {
    let nodes: Vec<(NodeName, String)> = looks.iter().filter_map(other_config).collect();
    if nodes.is_empty() {
        return None;
    }
    Some(if waited >= SHARE {
        Judgement::Fail(GateFailure::Config { nodes })
    } else {
        Judgement::Wait(WaitingOn::Config { nodes })
    })
}

/// What a node has in place of the config.yaml that it has to have.
fn other_config(look: &DarkLook) -> Option<(NodeName, String)> {
    let (wanted, facts) = (look.config.as_ref()?, look.facts.as_ref().ok()?);
    let found = match &facts.config {
        ConfigFacts::Readable(config) if config.sha256 == *wanted => return None,
        ConfigFacts::Readable(config) => config.sha256.short().to_owned(),
        ConfigFacts::Unusable { problem, .. } => problem.clone(),
    };
    Some((look.node.clone(), format!("{found} instead of {}", wanted.short())))
}

/// Whether an old Quay that came up on the node would not be stopped. A floor
/// that only the ledger knows stops none, and lets none start either.
fn has_no_floor(look: &DarkLook) -> bool {
    let is_missed = |facts: &NodeFacts| {
        look.floor.is_none() || facts.floor != look.floor || !facts.floor_problem.is_empty()
    };
    look.facts.as_ref().is_ok_and(is_missed)
}

fn other_database(plan: &Plan, look: &DarkLook) -> Option<String> {
    let (node, seen, wanted) = (&look.node, look.database.as_ref().ok()?, &plan.database);
    (seen.identity != wanted.identity).then(|| {
        format!("{node} reaches another database: {} instead of {}", seen.shown_as, wanted.shown_as)
    })
}

fn wrong_database(plan: &Plan, look: &DarkLook, revisions: &[String]) -> Option<String> {
    if let Some(problem) = other_database(plan, look) {
        return Some(problem);
    }
    let (node, seen, wanted) = (&look.node, look.database.as_ref().ok()?, &plan.database);
    if seen.in_recovery {
        return Some(format!("{node} reaches a standby of {}", wanted.shown_as));
    }
    (!revisions.is_empty() && !revisions.contains(&seen.revision)).then(|| {
        format!(
            "{} is at revision {} instead of {}",
            wanted.shown_as,
            revision_in_words(&seen.revision),
            revisions.join(" or ")
        )
    })
}

/// An empty table is what a migration leaves that was killed in its first
/// revision (quay-observed 4).
fn revision_in_words(revision: &str) -> &str {
    if revision.is_empty() { "none" } else { revision }
}

/// Every living Quay but `own`, with its node.
fn alive(looks: &[DarkLook], own: Option<&ContainerId>) -> Vec<(NodeName, String)> {
    let mut alive = Vec::new();
    for look in looks {
        if let Ok(facts) = &look.facts {
            let strangers = living::strangers(&look.node, facts, living::ALL, own);
            alive.extend(strangers.into_iter().map(|words| (look.node.clone(), words)));
        }
    }
    alive
}

/// The list of sessions as the first node's agent reads it, or that of another
/// one where the first was given up; agents left out.
/// `None` = this database has no list.
fn sessions<'a>(
    plan: &Plan,
    looks: &'a [DarkLook],
) -> Option<impl Iterator<Item = &'a Session> + use<'a>> {
    let first = looks.iter().find(|look| look.node == plan.first);
    let look = first.or_else(|| looks.first())?;
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

fn without_facts(looks: &[DarkLook]) -> Vec<(NodeName, String)> {
    let silent = looks.iter().filter_map(|look| Some((&look.node, look.facts.as_ref().err()?)));
    silent.map(|(node, why)| (node.clone(), why.clone())).collect()
}
