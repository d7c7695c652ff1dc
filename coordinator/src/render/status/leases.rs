//! Who holds the nodes' leases, whether this machine knows that run, and how to
//! go on.

use std::collections::BTreeMap;

use quaymaster_proto::{Epoch, Lease, RunId};
use serde_json::{Value, json};

use super::StatusView;
use crate::render::figures::moment;
use crate::render::text::names;

/// What this machine's journal says of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InJournal {
    /// It has not ended; the latest process that it knows.
    Unfinished {
        /// `None` = nobody has taken it in hand yet.
        epoch: Option<Epoch>,
    },
    /// It has ended.
    Ended,
}

/// Every run of a journal.
pub type KnownRuns = BTreeMap<RunId, InJournal>;

/// How a lease stands to this machine's journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// The journal has the run, as far as it has come.
    Known,
    /// A later process than any that the journal knows took the run in hand.
    Ahead,
    /// The run has ended: whoever needs the node next takes the lease.
    LeftOver,
    /// The journal has no such run.
    Unknown,
    /// The journal cannot be read.
    Unread,
}

impl Standing {
    fn of(view: &StatusView<'_>, lease: &Lease) -> Self {
        match view.known.get(&lease.run) {
            _ if view.unread.is_some() => Self::Unread,
            None => Self::Unknown,
            Some(InJournal::Ended) => Self::LeftOver,
            Some(InJournal::Unfinished { epoch }) if *epoch < Some(lease.epoch) => Self::Ahead,
            Some(InJournal::Unfinished { epoch: _ }) => Self::Known,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Known => "this machine's journal knows the run",
            Self::Ahead => "the run has gone on elsewhere: this machine's journal is behind it",
            Self::LeftOver => "that run has ended: whoever needs the node next takes it",
            Self::Unknown => "this machine's journal does not know the run",
            Self::Unread => "whether the journal here knows the run cannot be read",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Ahead => "behind",
            Self::LeftOver => "ended",
            Self::Unknown => "unknown",
            Self::Unread => "unread",
        }
    }

    /// Whether only the nodes can say how the run stands.
    fn needs_nodes(self) -> bool {
        match self {
            Self::Ahead | Self::Unknown | Self::Unread => true,
            Self::Known | Self::LeftOver => false,
        }
    }
}

/// One line where all nodes say the same, else one for each group.
pub(super) fn words(view: &StatusView<'_>) -> Vec<String> {
    let groups = view.survey.facts.leases();
    let is_going = view.run.is_some_and(|seen| seen.state.finished_at.is_none());
    let mut lines: Vec<String> = match groups.as_slice() {
        [] => vec!["not known: no node answers".to_owned()],
        [all] if all.what.is_none() && is_going => {
            vec!["no lease: no process drives the run".to_owned()]
        }
        [all] if all.what.is_none() => vec!["no lease: nothing is running".to_owned()],
        groups => groups
            .iter()
            .map(|group| {
                let holder = group.what.map_or_else(|| "no lease".to_owned(), held);
                if groups.len() == 1 {
                    holder
                } else {
                    format!("{}: {holder}", names(&group.nodes))
                }
            })
            .collect(),
    };
    let standings = groups.iter().filter_map(|group| Some(Standing::of(view, group.what?)));
    let standings: Vec<Standing> = standings.collect();
    // Where only the nodes know how it stands, nothing else is worth a word.
    let told =
        standings.iter().find(|standing| standing.needs_nodes()).or_else(|| standings.first());
    lines.extend(told.map(|standing| standing.words().to_owned()));
    lines
}

/// `alice@admin-1, for run 01J..., epoch 3, since ...`
fn held(lease: &Lease) -> String {
    let Lease { run, epoch, holder, since, process: _, plan: _ } = lease;
    format!("{holder}, for run {run}, epoch {epoch}, since {}", moment(*since))
}

/// What to type where a run is driven that only the nodes know; `None` = there
/// is none.
pub(super) fn next(view: &StatusView<'_>) -> Option<Vec<String>> {
    let groups = view.survey.facts.leases();
    let mut leases = groups.iter().filter_map(|group| group.what);
    let lease = leases.find(|lease| Standing::of(view, lease).needs_nodes())?;
    Some(vec![
        format!("if {} is gone for good:", lease.holder),
        format!("{} resume --from-nodes --take-over", view.program),
    ])
}

/// The same for programs.
pub(super) fn json(view: &StatusView<'_>) -> Value {
    let groups = view.survey.facts.leases();
    let group = |nodes: &[_], lease: Option<&Lease>| {
        let journal = lease.map(|lease| Standing::of(view, lease).name());
        json!({ "nodes": nodes, "lease": lease, "journal": journal })
    };
    groups.iter().map(|alike| group(&alike.nodes, alike.what)).collect()
}
