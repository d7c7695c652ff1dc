//! What happens in a run, in words: each reason as a fragment that can stand
//! after a node or a step.

use quaymaster_proto::database::Session;
use quaymaster_proto::{Component, NodeName};

use super::account::{faults, just_now, told};
use super::figures::{bytes, count, duration, fraction, number};
use super::text::names;
use crate::plan::{Gate, Step, Verb, What};
use crate::run::{Evidence, GateFailure, Problem, Settlement, TagsLeft, WaitingOn};

/// A step's name: `stop`, `dark gate`, `stop clair`, `clair gate`.
pub fn step_title(step: &Step) -> String {
    match (step.component, step.what) {
        (Component::Quay, of) => what(of).to_owned(),
        (component, What::Act(Verb::StageContainer)) => format!("stage {component}"),
        (component, of @ What::Act(_)) => format!("{} {component}", what(of)),
        (component, What::Gate(_)) => format!("{component} gate"),
    }
}

/// Tags that complete mode has lost; `None` = it has lost none.
pub(super) fn tags_left(left: &TagsLeft) -> Option<String> {
    match left {
        TagsLeft::Counted { unmapped: 0, .. } => None,
        TagsLeft::Counted { visible, unmapped, names } => {
            let more = usize::try_from(*unmapped).unwrap_or(0) > names.len();
            let named = match (names.is_empty(), more) {
                (true, _) => String::new(),
                (false, false) => format!(": {}", names.join(", ")),
                (false, true) => format!(": {} and others", names.join(", ")),
            };
            Some(format!(
                "{} of {} are LOST, no Quay in complete mode serves them{named}",
                count(*unmapped),
                count(*visible)
            ))
        }
        TagsLeft::Unknown { problem } => {
            Some(format!("nobody could count whether some are lost: {problem}"))
        }
    }
}

pub(super) fn what(what: What) -> &'static str {
    match what {
        What::Act(Verb::Pull) => "pull",
        What::Act(Verb::StageContainer) => "stage container",
        What::Act(Verb::StageConfig) => "stage config",
        What::Act(Verb::Stop) => "stop",
        What::Act(Verb::BackUp) => "backup",
        What::Act(Verb::PutConfig) => "put config",
        What::Act(Verb::StartMigrating) => "migrate",
        What::Act(Verb::Start) => "start",
        What::Act(Verb::Promote) => "promote",
        What::Act(Verb::SetFloor) => "floor",
        What::Act(Verb::RemoveStaged) => "remove staged",
        What::Act(Verb::RemoveStagedConfig) => "remove staged config",
        What::Act(Verb::RestoreConfig) => "restore config",
        What::Act(Verb::LowerFloor) => "lower floor",
        What::Act(Verb::Recreate) => "recreate",
        What::Act(Verb::CheckBackup) => "check backup",
        What::Act(Verb::TakeDown) => "take down",
        What::Act(Verb::Restore) => "restore",
        What::Gate(Gate::Backfill) => "backfill gate",
        What::Gate(Gate::Approval) => "approval",
        What::Gate(Gate::Unchanged) => "no-change gate",
        What::Gate(Gate::Dark) => "dark gate",
        What::Gate(Gate::FirstNode) => "first-node gate",
        What::Gate(Gate::Healthy) => "health gate",
        What::Gate(Gate::Verified) => "verification",
    }
}

/// What a gate waits for.
pub fn waiting(on: &WaitingOn) -> String {
    match on {
        WaitingOn::Backfill { progress, tags_remaining, total_tags, good_samples, problem } => {
            let mut words = match progress {
                Some(progress) => format!(
                    "the backfill: {} done, {} of {} tags left",
                    fraction(*progress),
                    count(*tags_remaining),
                    count(*total_tags)
                ),
                None => "the backfill: no count yet".to_owned(),
            };
            if *good_samples > 0 {
                words.push_str(&format!(", {} good in a row", number_of_samples(*good_samples)));
            }
            if !problem.is_empty() {
                words.push_str(&format!(" ({problem})"));
            }
            words
        }
        WaitingOn::Approval => "a person to agree to cross the point of no return".to_owned(),
        WaitingOn::Containers { nodes } => {
            format!("containers that still live on {}", names(nodes))
        }
        WaitingOn::Config { nodes } => {
            format!("the edited config.yaml to be seen by {}", reasons(nodes))
        }
        WaitingOn::Sessions { sessions } => {
            format!("database sessions to end: {}", sessions_in_words(sessions))
        }
        WaitingOn::Migration { revision, target } if revision.is_empty() => {
            format!("the migration: no revision can be read yet, target {target}")
        }
        WaitingOn::Migration { revision, target } => {
            format!("the migration: at {revision}, target {target}")
        }
        WaitingOn::Health { nodes } => format!("health of {}", reasons(nodes)),
        WaitingOn::Lasting { needed } => format!("health to last for {}", duration(*needed)),
        WaitingOn::Answer { nodes } => format!("an answer of {}", reasons(nodes)),
        WaitingOn::Verification { places } => just_now(places),
    }
}

/// The same where its nodes are told elsewhere, or are too many.
pub(super) fn waiting_briefly(on: &WaitingOn) -> String {
    const FEW: usize = 1;
    match on {
        WaitingOn::Health { nodes } if nodes.len() > FEW => {
            format!("health of {}", number(nodes.len(), "node"))
        }
        WaitingOn::Answer { nodes } if nodes.len() > FEW => {
            format!("an answer of {}", number(nodes.len(), "node"))
        }
        WaitingOn::Config { nodes } if nodes.len() > FEW => {
            format!("the edited config.yaml to be seen by {}", number(nodes.len(), "node"))
        }
        WaitingOn::Backfill { .. }
        | WaitingOn::Approval
        | WaitingOn::Config { .. }
        | WaitingOn::Containers { .. }
        | WaitingOn::Sessions { .. }
        | WaitingOn::Migration { .. }
        | WaitingOn::Health { .. }
        | WaitingOn::Lasting { .. }
        | WaitingOn::Answer { .. }
        | WaitingOn::Verification { .. } => waiting(on),
    }
}

fn number_of_samples(samples: u32) -> String {
    number(usize::try_from(samples).unwrap_or(usize::MAX), "sample")
}

/// Why a gate will not open by itself.
pub fn failure(failure: &GateFailure) -> String {
    match failure {
        GateFailure::Drifted { changes } => {
            format!("the cluster changed after the survey: {}", changes.join("; "))
        }
        GateFailure::Alive { containers } => {
            format!("a Quay lives that should not: {}", containers.join("; "))
        }
        GateFailure::Config { nodes } => {
            format!("the edited config.yaml is not on every node: {}", reasons(nodes))
        }
        GateFailure::NoFloor { nodes } => format!(
            "an old Quay that came up there would not be stopped, for the floor is missing: {}",
            names(nodes)
        ),
        GateFailure::StaleBackup { since } => {
            format!("the backup may lack what was written since it was begun: {}", since.join("; "))
        }
        GateFailure::Database { problem } => format!("the database: {problem}"),
        GateFailure::ForeignSessions { sessions } => format!(
            "{} on the database that nobody named: {}",
            number(sessions.len(), "session"),
            sessions_in_words(sessions)
        ),
        GateFailure::Exited { node, exit_code, revision, log } => {
            let revision = match revision {
                Some(revision) => format!("the database is at {revision}"),
                None => "the database's revision cannot be read".to_owned(),
            };
            let begun = match log.as_ref().and_then(|log| log.revision.as_deref()) {
                Some(begun) => format!("; its log began revision {begun} last"),
                None => String::new(),
            };
            format!("{node}: the container ended with exit code {exit_code}; {revision}{begun}")
        }
        GateFailure::Gone { node } => format!("{node}: the container is not there any more"),
        GateFailure::Restarted { node } => {
            format!("{node}: somebody restarted the container while it was watched")
        }
        GateFailure::WrongMode { node, mode } => {
            format!("{node}: its Quay runs in mode {mode}, which is not the planned one")
        }
        GateFailure::TooLong { limit, on } => {
            format!(
                "longer than {}, waiting for {}; nothing was killed",
                duration(*limit),
                waiting(on)
            )
        }
        GateFailure::NotVerified { account } => {
            format!("the registry serves, and is NOT verified: {}", faults(account).join("; "))
        }
    }
}

/// Why a gate opened.
pub fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Backfill { progress, tags_remaining, total_tags } => format!(
            "{} done, {} of {} tags left",
            fraction(*progress),
            count(*tags_remaining),
            count(*total_tags)
        ),
        Evidence::Person { by, because: Some(because) } => format!("{by}: {because}"),
        Evidence::Person { by, because: None } => format!("{by} agreed"),
        Evidence::Unchanged => "nothing changed since the survey".to_owned(),
        Evidence::Dark { sessions: None, ran: _ } => {
            "no Quay runs; this database has no list of sessions".to_owned()
        }
        Evidence::Dark { sessions: Some(sessions), ran: _ } if sessions.is_empty() => {
            "no Quay runs, and the database has no session but the agents'".to_owned()
        }
        Evidence::Dark { sessions: Some(sessions), ran: _ } => {
            format!("no Quay runs; expected to stay: {}", sessions_in_words(sessions))
        }
        Evidence::Begun => "the migrating Quay has been started; no other one runs".to_owned(),
        Evidence::FirstNode { revision, mode: Some(mode), healthy_at: _ } => {
            format!("at {revision}, in mode {mode}, healthy")
        }
        Evidence::FirstNode { revision, mode: None, healthy_at: _ } => {
            format!("at {revision}, healthy")
        }
        Evidence::Healthy { healthy_at } => format!("{} healthy", number(healthy_at.len(), "node")),
        Evidence::Verified { account, waived } => told(account, waived.as_ref()),
    }
}

/// Why a node did not do what it was asked.
pub fn problem(problem: &Problem) -> String {
    match problem {
        Problem::Refused { reason: _, message, remedy: _ } => message.clone(),
        Problem::Unreachable { detail } => format!("does not answer: {detail}"),
        Problem::Nonsense { detail } => format!("its answer makes no sense: {detail}"),
        Problem::AtGate { failure: why } => match why.as_ref() {
            // Its database is not asked for: another one has migrated it.
            GateFailure::Exited { node, exit_code, revision: None, log: _ } => {
                format!("{node}: the container ended with exit code {exit_code}")
            }
            other @ (GateFailure::Exited { .. }
            | GateFailure::Gone { .. }
            | GateFailure::Restarted { .. }
            | GateFailure::WrongMode { .. }
            | GateFailure::TooLong { .. }
            | GateFailure::Drifted { .. }
            | GateFailure::Alive { .. }
            | GateFailure::Config { .. }
            | GateFailure::NoFloor { .. }
            | GateFailure::StaleBackup { .. }
            | GateFailure::Database { .. }
            | GateFailure::ForeignSessions { .. }
            | GateFailure::NotVerified { .. }) => failure(other),
        },
    }
}

/// What to do about it; may be empty.
pub(super) fn remedy(problem: &Problem, node: &NodeName) -> String {
    match problem {
        Problem::Refused { reason: _, message: _, remedy } => remedy.clone(),
        Problem::Unreachable { detail: _ } => {
            format!(
                "look whether {node} is up, and at its agent: systemctl status quaymaster-agent"
            )
        }
        Problem::Nonsense { detail: _ } => {
            format!("compare the agent's version on {node} with this program's")
        }
        // What a gate asks for depends on the gate.
        Problem::AtGate { failure: _ } => String::new(),
    }
}

pub(super) fn settlement(settlement: &Settlement) -> String {
    match settlement {
        Settlement::Met(outcome) => {
            use quaymaster_proto::How;
            let how = match outcome.how {
                How::Changed => "done",
                How::Already => "was so already",
            };
            match &outcome.container {
                Some(container) => format!("{how}, container {}", container.id.short()),
                None => how.to_owned(),
            }
        }
        Settlement::Pulled { image } => format!("done, image {}", image.short()),
        Settlement::BackedUp { backup } => format!("verified, {}", bytes(backup.bytes)),
        Settlement::Restored { rows } => {
            format!("done, {} rows", count(i64::try_from(*rows).unwrap_or(i64::MAX)))
        }
    }
}

/// `psql of quay from 10.0.0.9 (pid 4711)`
fn sessions_in_words(sessions: &[Session]) -> String {
    let one = |session: &Session| {
        let Session { pid, user, application, address, since: _ } = session;
        let application = if application.is_empty() { "unnamed" } else { application };
        let address = if address.is_empty() { "the server itself" } else { address };
        format!("{application} of {user} from {address} (pid {pid})")
    };
    sessions.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn reasons(nodes: &[(NodeName, String)]) -> String {
    let one = |(node, why): &(NodeName, String)| {
        if why.is_empty() { node.to_string() } else { format!("{node} ({why})") }
    };
    nodes.iter().map(one).collect::<Vec<_>>().join(", ")
}
