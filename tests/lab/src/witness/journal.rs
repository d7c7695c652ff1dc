//! Invariant 9: whatever the journal says happened did happen, by the engines' events. Pure.

use jiff::{SignedDuration, Timestamp};

use super::Violation;
use super::history::{History, is_same};
use crate::record::EngineAction;

/// One outcome out of a journal, in plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalClaim {
    pub node: String,
    pub container_id: String,
    pub what: Occurrence,
    /// When the journal took the outcome.
    pub at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occurrence {
    Created,
    Started,
    /// Its process ended.
    Stopped,
    Renamed,
    Removed,
}

/// How far an engine's clock and the journal's may be apart.
const CLOCKS: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn violations(history: &History, claims: &[JournalClaim]) -> Vec<Violation> {
    claims.iter().filter_map(|claim| untrue(history, claim)).collect()
}

fn untrue(history: &History, claim: &JournalClaim) -> Option<Violation> {
    let JournalClaim { node, container_id, what, at } = claim;
    let (action, word) = match what {
        Occurrence::Created => (EngineAction::Create, "created"),
        Occurrence::Started => (EngineAction::Start, "started"),
        Occurrence::Stopped => (EngineAction::Die, "stopped"),
        Occurrence::Renamed => (EngineAction::Rename, "renamed"),
        Occurrence::Removed => (EngineAction::Destroy, "removed"),
    };
    let has_happened = history.events.iter().any(|(then, event)| {
        event.action == action
            && is_same(&event.container_id, container_id)
            && event.node == *node
            && *then <= *at + CLOCKS
    });
    let has_lost_power = || {
        let since =
            history.events.iter().find(|(_, event)| is_same(&event.container_id, container_id));
        since
            .and_then(|(since, _)| history.power_lost(node, *since))
            .is_some_and(|lost| lost <= *at + CLOCKS)
    };
    if has_happened || (*what == Occurrence::Stopped && has_lost_power()) {
        return None;
    }
    let short: String = container_id.chars().take(12).collect();
    Some(Violation {
        invariant: 9,
        at: Some(*at),
        nodes: vec![node.clone()],
        evidence: format!(
            "the journal says that container {short} on {node} was {word}; its engine showed no \
             such event by then"
        ),
    })
}
