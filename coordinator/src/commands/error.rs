//! Why a command did not do what was asked.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use quaymaster_proto::{Lease, NodeName, PlanDigest};

use crate::cluster::ClusterFileError;
use crate::exit::Exit;
use crate::journal::store::JournalError;
use crate::nodes::CallError;
use crate::nodes::grpc::TlsError;
use crate::plan::Advice;
use crate::plan::build::BuildError;
use crate::plan::drift::Drift;
use crate::plan::file::PlanFileError;
use crate::plan::request::RequestRefusal;
use crate::preflight::Findings;
use crate::preflight::waiver::NotWaived;
use crate::run::IllegalEvent;
use crate::runner::{RunError, Unclaimed};
use crate::survey::Silence;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The process cannot even begin.
    #[error("cannot start the asynchronous runtime")]
    Runtime {
        /// Why.
        source: io::Error,
    },
    /// The cluster file cannot be read.
    #[error("cannot read the cluster file `{}`", path.display())]
    ReadCluster {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cluster file is wrong.
    #[error("cannot use `{}`", path.display())]
    Cluster {
        /// Which.
        path: PathBuf,
        /// Every mistake.
        source: ClusterFileError,
    },
    /// The operator's certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nodes do not answer.
    #[error("nodes do not answer")]
    Silent {
        /// Each, with why.
        silent: BTreeMap<NodeName, Silence>,
    },
    /// The request means no window.
    #[error("{refusal}")]
    Request {
        /// Why.
        refusal: RequestRefusal,
        /// Which way to choose, where that is the question.
        advice: Option<Box<Advice>>,
    },
    /// Preflight refuses.
    #[error("preflight refuses the window")]
    Refused {
        /// What it found.
        findings: Findings,
    },
    /// What was asked to be waived is not.
    #[error("what was asked to be waived is not")]
    NotWaived {
        /// Each, with why.
        refused: Vec<NotWaived>,
    },
    /// Waivers and reasons do not pair.
    #[error("{codes} --waive have {reasons} --because")]
    Reasons {
        /// How many are waived.
        codes: usize,
        /// How many reasons there are.
        reasons: usize,
    },
    /// No plan could be made of what preflight allowed.
    #[error("cannot make a plan")]
    Build(#[from] BuildError),
    /// The plan that was made is not sound.
    #[error("the plan that was made is not sound: {flaws}")]
    Unsound {
        /// Each flaw.
        flaws: String,
    },
    /// A file of the state directory cannot be read or written.
    #[error("cannot {what} `{}`", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such plan.
    #[error("cannot read plan `{}`", path.display())]
    ReadPlan {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not the plan that may be run.
    #[error("cannot use plan `{}`", path.display())]
    PlanFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: PlanFileError,
    },
    /// A run's plan is not in the state directory any more.
    #[error("cannot use the plan {} of run {run}", digest.short())]
    PlanOfRun {
        /// Which run.
        run: String,
        /// Of its plan.
        digest: PlanDigest,
        /// Where the plan belongs.
        path: PathBuf,
        /// Why.
        source: Box<Self>,
    },
    /// The cluster is not as the plan saw it.
    #[error("plan {plan} is stale")]
    Stale {
        /// The first 12 digits of its digest.
        plan: String,
        /// What changed.
        drifts: Vec<Drift>,
    },
    /// cluster.yaml does not name the nodes of the run's plan any more.
    #[error("cluster.yaml has other nodes than plan {plan} of run {run}")]
    OtherNodes {
        /// Which run.
        run: String,
        /// The first 12 digits of its plan's digest.
        plan: String,
        /// Each difference.
        #[source]
        differences: crate::plan::members::Differences,
    },
    /// Nobody agreed to cross the point of no return.
    #[error("plan {plan} crosses a point of no return, and nobody agreed to that")]
    NeedsApproval {
        /// The first 12 digits of its digest.
        plan: String,
    },
    /// Nobody agreed to begin what can be undone.
    #[error("nobody agreed to begin plan {plan}")]
    NeedsYes {
        /// The first 12 digits of its digest.
        plan: String,
    },
    /// `--accept-irreversible` names another plan.
    #[error("--accept-irreversible names plan {accepted}, and this is plan {plan}")]
    OtherPlanAccepted {
        /// What was accepted.
        accepted: String,
        /// The first 12 digits of this plan's digest.
        plan: String,
    },
    /// Nobody agreed to the loss of what was written since the backup.
    #[error("the rollback loses what was written since the backup, and nobody can be asked")]
    NeedsDataLoss {
        /// The first 12 digits of the backup's digest.
        backup: String,
    },
    /// `--accept-data-loss` names another backup.
    #[error("--accept-data-loss names backup {accepted}, and this run's is {backup}")]
    OtherBackupAccepted {
        /// What was accepted.
        accepted: String,
        /// The first 12 digits of the backup's digest.
        backup: String,
    },
    /// A person was asked and said no.
    #[error("stopped: {what}")]
    Declined {
        /// What was not agreed to.
        what: &'static str,
    },
    /// A run has to be finished before another one begins.
    #[error("run {run} has begun its outage and is not finished")]
    Unfinished {
        /// Which.
        run: String,
    },
    /// Another process or person drives.
    #[error("run {} is driven by {} since {}, as {node} says", lease.run, lease.holder, crate::render::moment(lease.since))]
    LeaseHeld {
        /// Who said so.
        node: NodeName,
        /// The lease.
        lease: Box<Lease>,
    },
    /// Leases were not to be had.
    #[error("the nodes cannot be driven: {}", unclaimed(nodes))]
    Unclaimed {
        /// Each, with why.
        nodes: Vec<(NodeName, Unclaimed)>,
        /// How the process ends.
        exit: Exit,
        /// How the next command begins.
        program: String,
        /// Whether the registry serves.
        registry: String,
    },
    /// Another process took over.
    #[error("{node} does not obey this process any more: it was taken over, or its ledger is lost")]
    LeaseLost {
        /// Who said so.
        node: NodeName,
        /// Whether the registry serves.
        registry: String,
    },
    /// An agent did not answer.
    #[error(transparent)]
    Call(CallError),
    /// What a person ordered cannot be.
    #[error("cannot {what}: {why}")]
    Impossible {
        /// What was ordered.
        what: &'static str,
        /// Why not.
        why: String,
        /// How the run stands.
        stands: Stands,
    },
    /// A rollback was ordered by a process that has ended before it began.
    #[error("{by} ordered a rollback of run {run}, and nothing was stopped for it yet")]
    RollbackNotBegun {
        /// Which run.
        run: String,
        /// Who ordered it: user@host.
        by: String,
    },
    /// There is no run that could be meant.
    #[error("there is no unfinished run of cluster `{cluster}`")]
    NothingUnfinished {
        /// Which cluster.
        cluster: String,
    },
    /// The last run has ended, and none came after it.
    #[error(
        "run {run} has ended: {} at {}",
        if *went_back { "what its window found is back" } else { "its window was done" },
        crate::render::moment(*at)
    )]
    RunEnded {
        /// Which.
        run: String,
        /// When.
        at: jiff::Timestamp,
        /// Whether it ended where its window began.
        went_back: bool,
    },
    /// The run has no such gate.
    #[error("the unfinished run of plan {plan} has no backfill gate")]
    NoSuchGate {
        /// The first 12 digits of its plan's digest.
        plan: String,
    },
    /// No verification of this run has found a fault.
    #[error("the run's verification has found nothing to waive")]
    NothingToWaive,
    /// A node was not healed.
    #[error(transparent)]
    Heal(#[from] HealError),
    /// Nothing could be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal's events do not follow one another.
    #[error("the journal of run {run} cannot be followed")]
    Replay {
        /// Which run.
        run: String,
        /// Why.
        source: IllegalEvent,
    },
    /// The loop cannot go on.
    #[error("the run cannot go on")]
    Run {
        /// Why.
        source: RunError,
        /// Whether the point of no return is behind it.
        has_crossed: bool,
    },
    /// Signals cannot be listened to.
    #[error("cannot listen for signals")]
    Signals {
        /// Why.
        source: io::Error,
    },
}

mod heal;
mod journal;
mod stands;
mod told;
mod verify;

pub use heal::HealError;
pub use stands::Stands;
pub use verify::VerifyError;

fn unclaimed(nodes: &[(NodeName, Unclaimed)]) -> String {
    let each = |(node, why): &(NodeName, _)| format!("{node}: {}", crate::render::unclaimed(why));
    nodes.iter().map(each).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
