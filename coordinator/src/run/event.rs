//! What may happen in a run. Events are what the journal keeps: they are
//! facts, in the past tense, and carry everything that later steps need.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::backup::Backup;
use quaymaster_proto::database::Session;
use quaymaster_proto::{
    ActOutcome, ClusterName, Epoch, ImageId, Mode, NodeName, PlanDigest, Reason, RunId, StepNumber,
};
use serde::{Deserialize, Serialize};

use crate::plan::Gate;
use crate::preflight::Waiver;
use crate::run::log::LogTail;
use crate::run::ran::Ran;
use crate::run::turn::{Cause, Crossing};
use crate::verify::{Account, Check, Sampling};

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

/// What a gate waits for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitingOn {
    /// More tags.
    Backfill {
        /// A fraction, as Quay says it; `None` = no count could be had.
        progress: Option<f64>,
        /// What is left; may be negative.
        tags_remaining: i64,
        /// Of so many.
        total_tags: i64,
        /// Samples in a row at or above the threshold.
        good_samples: u32,
        /// In words, when there was no count.
        problem: String,
    },
    /// A person.
    Approval,
    /// Quay containers that still live.
    Containers {
        /// On these nodes.
        nodes: Vec<NodeName>,
    },
    /// The edited config.yaml, where not every node sees it yet.
    Config {
        /// Each, with what it has.
        nodes: Vec<(NodeName, String)>,
    },
    /// Sessions that should be gone.
    Sessions {
        /// Each.
        sessions: Vec<Session>,
    },
    /// The first node's migration.
    Migration {
        /// What the database shows.
        revision: String,
        /// Where it goes.
        target: String,
    },
    /// Nodes that are not healthy yet.
    Health {
        /// Each, with why.
        nodes: Vec<(NodeName, String)>,
    },
    /// Health has to last.
    Lasting {
        /// So long in all.
        #[serde(with = "crate::duration_text")]
        needed: Duration,
    },
    /// Nodes that do not answer.
    Answer {
        /// Each, with why.
        nodes: Vec<(NodeName, String)>,
    },
    /// The checks of a registry's client.
    Verification {
        /// What is checked just now, by place: a node, or the public name.
        places: Vec<(String, Check)>,
    },
}

/// Why a gate opened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Enough tags are mapped.
    Backfill {
        /// A fraction, as Quay says it.
        progress: f64,
        /// What the second window has to do.
        tags_remaining: i64,
        /// Of so many.
        total_tags: i64,
    },
    /// A person agreed, or waived the gate.
    Person {
        /// Who.
        by: String,
        /// In words.
        because: Option<String>,
    },
    /// The fresh survey is as the plan saw it.
    Unchanged,
    /// Nothing runs.
    Dark {
        /// Sessions that were expected to stay; `None` = this database has no
        /// list, so the gate rests on the nodes alone.
        sessions: Option<Vec<Session>>,
        /// Every Quay that had run by then.
        #[serde(default)]
        ran: Vec<Ran>,
    },
    /// The migrating container has been started already, as its engine says,
    /// and no other Quay runs: there is nothing left to be dark for, and the
    /// start is asked for only to hear what became of it.
    Begun,
    /// The first node is at the target and healthy.
    FirstNode {
        /// The target.
        revision: String,
        /// The mode that the running Quay shows.
        mode: Option<Mode>,
        /// Its node's clock.
        healthy_at: Timestamp,
    },
    /// The others are healthy.
    Healthy {
        /// Each node's own clock.
        healthy_at: Vec<(NodeName, Timestamp)>,
    },
    /// A client found the registry to do what it has to, or what it found does
    /// not hold the run.
    Verified {
        /// What it found.
        account: Account,
        /// Who lets the run end with the faults among it, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waived: Option<Word>,
    },
}

/// What a person said, for the record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Who: user@host.
    pub by: String,
    /// In words.
    pub because: Option<String>,
}

/// Why a gate will not open by itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateFailure {
    /// Something changed after the survey.
    Drifted {
        /// Each, in words.
        changes: Vec<String>,
    },
    /// A Quay lives that should not.
    Alive {
        /// Node and container, in words.
        containers: Vec<String>,
    },
    /// Nodes whose config.yaml is not the edited one.
    Config {
        /// Each, with what it has.
        nodes: Vec<(NodeName, String)>,
    },
    /// Nodes that have not written down what may not run there any more.
    NoFloor {
        /// Each.
        nodes: Vec<NodeName>,
    },
    /// A Quay ran behind the backup, which lacks what it may have written.
    StaleBackup {
        /// Each, in words.
        since: Vec<String>,
    },
    /// The database is another one, or not where it should be.
    Database {
        /// In words.
        problem: String,
    },
    /// Sessions that the run cannot name.
    ForeignSessions {
        /// Each.
        sessions: Vec<Session>,
    },
    /// A container ended instead of becoming healthy.
    Exited {
        /// On which node.
        node: NodeName,
        /// With what.
        exit_code: i64,
        /// What the database shows, where it can be read.
        revision: Option<String>,
        /// What its log says last, where it can be read.
        #[serde(default)]
        log: Option<LogTail>,
    },
    /// The container is not there any more.
    Gone {
        /// On which node.
        node: NodeName,
    },
    /// A container was restarted by someone.
    Restarted {
        /// On which node.
        node: NodeName,
    },
    /// A Quay runs in another mode than planned.
    WrongMode {
        /// On which node.
        node: NodeName,
        /// What it shows.
        mode: Mode,
    },
    /// Longer than allowed. Nothing is killed.
    TooLong {
        /// The limit.
        #[serde(with = "crate::duration_text")]
        limit: Duration,
        /// What was waited for.
        on: Box<WaitingOn>,
    },
    /// A client found that the registry does not do what it has to.
    NotVerified {
        /// What it found.
        account: Account,
    },
}
