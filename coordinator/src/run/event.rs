//! What may happen in a run. Events are what the journal keeps: they are
//! facts, in the past tense, and carry everything that later steps need.

mod gate;

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::backup::Backup;
use quaymaster_proto::{
    ActOutcome, ClusterName, Epoch, ImageId, NodeName, PlanDigest, Reason, RunId, StepNumber,
};
use serde::{Deserialize, Serialize};

use crate::plan::Gate;
use crate::preflight::Waiver;
use crate::run::turn::{Cause, Crossing};
use crate::verify::Sampling;

pub use gate::{Evidence, GateFailure, WaitingOn, Word};

/// One thing that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", deny_unknown_fields)]
pub enum Event {
    /// A run of a plan began. Always the first.
    Started {
        /// The run.
        run: RunId,
        /// Its plan.
        plan: PlanDigest,
        /// The plan's cluster.
        cluster: ClusterName,
        /// What preflight found and the plan does not count, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waivers: Vec<Waiver>,
        /// When.
        at: Timestamp,
    },
    /// A process took the run in hand.
    Driven {
        /// Higher than every one before.
        epoch: Epoch,
        /// Who: user@host.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A node is about to be asked.
    Intended {
        /// The step.
        step: StepNumber,
        /// The node.
        node: NodeName,
        /// When.
        at: Timestamp,
    },
    /// A node did it, or found it done.
    Settled {
        /// The step.
        step: StepNumber,
        /// The node.
        node: NodeName,
        /// What came of it.
        settlement: Settlement,
        /// When.
        at: Timestamp,
    },
    /// A node did not do it.
    Failed {
        /// The step.
        step: StepNumber,
        /// The node.
        node: NodeName,
        /// Why.
        problem: Problem,
        /// When.
        at: Timestamp,
    },
    /// A gate was looked at and is not open; recorded when the reason's kind
    /// changes, not at every look.
    Waiting {
        /// The step.
        step: StepNumber,
        /// What for.
        on: WaitingOn,
        /// When.
        at: Timestamp,
    },
    /// A gate opened.
    Passed {
        /// The step.
        step: StepNumber,
        /// Why.
        evidence: Evidence,
        /// When this process began to look.
        since: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// A gate will not open by itself.
    Closed {
        /// The step.
        step: StepNumber,
        /// Why.
        failure: GateFailure,
        /// When.
        at: Timestamp,
    },
    /// A person agreed to a gate, or waived it.
    Approved {
        /// Which.
        gate: Gate,
        /// Who: user@host.
        by: String,
        /// In words; needed to waive.
        because: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A node is left behind at a gate past the point of no return; the others
    /// go on without it.
    LeftBehind {
        /// The gate.
        step: StepNumber,
        /// The node.
        node: NodeName,
        /// Why.
        failure: GateFailure,
        /// When.
        at: Timestamp,
    },
    /// From here on the run goes back to what its window found.
    TurnedBack {
        /// Why.
        because: Cause,
        /// How it stands with the point of no return.
        crossing: Crossing,
        /// When.
        at: Timestamp,
    },
    /// A person ordered another attempt of a node's part, with a container of
    /// its own.
    Retried {
        /// The node.
        node: NodeName,
        /// Which attempt it is; 2 is the first of these.
        attempt: u32,
        /// The steps that begin anew for it.
        steps: Vec<StepNumber>,
        /// Whether everything before it is proven to have applied nothing.
        #[serde(default)]
        is_clean: bool,
        /// Who: user@host.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person gave the first node's part to another one, after the migration
    /// had reached its target.
    HandedOver {
        /// To whom.
        to: NodeName,
        /// Who: user@host.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person gave a node up: nothing is asked of it any more, and the run ends
    /// without it.
    LeftOut {
        /// The node.
        node: NodeName,
        /// Who: user@host.
        by: String,
        /// In words: how its Quay is kept from the database.
        because: String,
        /// When.
        at: Timestamp,
    },
    /// What the registry held right before the first stop, for the verification
    /// at the end.
    Sampled {
        /// Tags and images, or why there are none.
        sampling: Sampling,
        /// When.
        at: Timestamp,
    },
    /// The tags were counted after a window into complete mode, which passes
    /// over a tag that it cannot map (quay-facts 3.3).
    TagsCounted {
        /// What came of it.
        count: TagsLeft,
        /// When.
        at: Timestamp,
    },
    /// Every step is done.
    Finished {
        /// When.
        at: Timestamp,
    },
    /// The window's own state is restored.
    WentBack {
        /// When.
        at: Timestamp,
    },
    /// A person ordered a rollback, past the point of no return or after the end:
    /// a process took the run in hand for it.
    RollbackOrdered {
        /// Its first step: until another one is begun it can be called off.
        check: StepNumber,
        /// Higher than every one before.
        epoch: Epoch,
        /// Who: user@host.
        by: String,
        /// In words.
        because: String,
        /// Nodes that are not to be had, and how their Quay is kept from the
        /// database. Whoever was left out before and answers takes part again.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        without: BTreeMap<NodeName, String>,
        /// When.
        at: Timestamp,
    },
    /// The rollback is not to be: nothing was stopped, and the run is where it
    /// was before.
    RollbackCalledOff {
        /// Why.
        because: String,
        /// When.
        at: Timestamp,
    },
    /// What the window found serves, on the database of its backup.
    RolledBack {
        /// When.
        at: Timestamp,
    },
}

impl Event {
    /// When it happened, on the coordinator's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Started { at, .. }
            | Self::Driven { at, .. }
            | Self::Intended { at, .. }
            | Self::Settled { at, .. }
            | Self::Failed { at, .. }
            | Self::Waiting { at, .. }
            | Self::Passed { at, .. }
            | Self::Closed { at, .. }
            | Self::Approved { at, .. }
            | Self::LeftBehind { at, .. }
            | Self::TurnedBack { at, .. }
            | Self::Retried { at, .. }
            | Self::HandedOver { at, .. }
            | Self::LeftOut { at, .. }
            | Self::Sampled { at, .. }
            | Self::TagsCounted { at, .. }
            | Self::RollbackOrdered { at, .. }
            | Self::RollbackCalledOff { at, .. }
            | Self::Finished { at }
            | Self::RolledBack { at }
            | Self::WentBack { at } => *at,
        }
    }
}

/// Tags that no Quay in complete mode serves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagsLeft {
    /// So many.
    Counted {
        /// Visible tags of the old model.
        visible: i64,
        /// Of these, the lost ones.
        unmapped: i64,
        /// Some of them, by name.
        names: Vec<String>,
    },
    /// Nobody could count them.
    Unknown {
        /// Why.
        problem: String,
    },
}

/// What came of an act.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// An order was met.
    Met(ActOutcome),
    /// An image is on the node.
    Pulled {
        /// Its id there.
        image: ImageId,
    },
    /// The database is backed up, and the backup was read back.
    BackedUp {
        /// What and where.
        backup: Backup,
    },
    /// The database holds what the backup holds.
    Restored {
        /// In the tables that were counted.
        rows: u64,
    },
}

/// Why a node did not do what was asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// Its agent refused.
    Refused {
        /// The kind.
        reason: Reason,
        /// What was tried, on what, why it failed.
        message: String,
        /// What to do; may be empty.
        remedy: String,
    },
    /// Its agent did not answer.
    Unreachable {
        /// As far as it is known.
        detail: String,
    },
    /// Its agent answered something that makes no sense.
    Nonsense {
        /// What.
        detail: String,
    },
    /// It did what it was asked, and did not pass the gate that followed.
    AtGate {
        /// Why.
        failure: Box<GateFailure>,
    },
}
