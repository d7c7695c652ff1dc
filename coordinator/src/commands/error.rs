//! Why a command did not do what was asked, what to do about it, and how the
//! process ends.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use quaymaster_proto::{Lease, NodeName, PlanDigest};

use crate::cluster::ClusterFileError;
use crate::exit::Exit;
use crate::journal::store::JournalError;
use crate::nodes::CallError;
use crate::nodes::grpc::TlsError;
use crate::plan::build::BuildError;
use crate::plan::drift::Drift;
use crate::plan::file::PlanFileError;
use crate::plan::request::RequestRefusal;
use crate::preflight::Findings;
use crate::render::Complaint;
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
    #[error(transparent)]
    Request(RequestRefusal),
    /// Preflight refuses.
    #[error("preflight refuses the window")]
    Refused {
        /// What it found.
        findings: Findings,
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
    /// Nobody agreed to run outside the lab.
    #[error("cluster `{cluster}` is no lab, and nobody agreed to run there")]
    NotALab {
        /// Which.
        cluster: String,
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
    },
    /// Another process took over.
    #[error("{node} does not obey this process any more: it was taken over, or its ledger is lost")]
    LeaseLost {
        /// Who said so.
        node: NodeName,
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
        /// Whether the point of no return is behind the run.
        has_crossed: bool,
    },
    /// There is no run that could be meant.
    #[error("there is no unfinished run of cluster `{cluster}`")]
    NothingUnfinished {
        /// Which cluster.
        cluster: String,
    },
    /// The run has no such gate.
    #[error("the unfinished run of plan {plan} has no backfill gate")]
    NoSuchGate {
        /// The first 12 digits of its plan's digest.
        plan: String,
    },
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

const UNCHANGED: &str = "nothing was changed";

impl CommandError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Run { source: _, has_crossed: true }
            | Self::Impossible { has_crossed: true, .. } => Exit::FailedBeyond,
            Self::LeaseHeld { .. } | Self::LeaseLost { .. } => Exit::LeaseHeld,
            Self::Unclaimed { exit, .. } => *exit,
            Self::Call(_) => Exit::Unreachable,
            Self::Impossible { has_crossed: false, .. } => Exit::Refused,
            Self::Runtime { .. }
            | Self::Build(_)
            | Self::Unsound { .. }
            | Self::File { .. }
            | Self::PlanOfRun { .. }
            | Self::Replay { .. }
            | Self::Run { source: _, has_crossed: false }
            | Self::Signals { .. } => Exit::Failed,
            Self::ReadCluster { .. }
            | Self::Cluster { .. }
            | Self::Tls(_)
            | Self::ReadPlan { .. }
            | Self::PlanFile { .. }
            | Self::NeedsApproval { .. }
            | Self::NeedsYes { .. }
            | Self::OtherPlanAccepted { .. }
            | Self::NotALab { .. }
            | Self::Declined { .. }
            | Self::NothingUnfinished { .. }
            | Self::NoSuchGate { .. }
            | Self::Request(_) => Exit::Usage,
            Self::Silent { .. } => Exit::Unreachable,
            Self::Refused { .. } | Self::Unfinished { .. } => Exit::Refused,
            Self::Stale { .. } | Self::OtherNodes { .. } => Exit::Stale,
            Self::Journal(JournalError::InUse { .. }) => Exit::LeaseHeld,
            Self::Journal(_) => Exit::Failed,
        }
    }

    /// The error as a person or a program is told it. `program` is how the next
    /// command begins.
    pub fn complaint(&self, program: &str) -> Complaint {
        if let Self::Silent { silent } = self {
            return Complaint::of_silence(silent);
        }
        if let Self::Refused { findings } = self {
            return Complaint::of_findings(findings);
        }
        if let Self::Stale { plan, drifts } = self {
            let next = format!("look at what changed, then: {program} plan");
            return Complaint::of_drift(plan, drifts, next);
        }
        let standing = self.standing().to_owned();
        Complaint { standing, ..Complaint::of_error(self, self.next(program)) }
    }

    /// What is so now, where a reader may wonder.
    fn standing(&self) -> &'static str {
        match self {
            Self::NeedsApproval { .. }
            | Self::NeedsYes { .. }
            | Self::OtherPlanAccepted { .. }
            | Self::NotALab { .. }
            | Self::PlanFile { .. }
            | Self::LeaseHeld { .. }
            | Self::Impossible { .. }
            | Self::Request(_) => UNCHANGED,
            Self::Unclaimed { .. } => "nothing was changed; what was claimed is given back",
            Self::LeaseLost { .. } => {
                "this process does nothing more; what it had begun was settled before the other \
                 one took over"
            }
            // What can be undone may have been done by then.
            Self::Declined { .. } | Self::OtherNodes { .. } => "the registry is as it was",
            Self::Run { .. } => "what was done is done, and found done when the run is resumed",
            Self::Runtime { .. }
            | Self::ReadCluster { .. }
            | Self::Cluster { .. }
            | Self::Tls(_)
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::Build(_)
            | Self::Unsound { .. }
            | Self::File { .. }
            | Self::ReadPlan { .. }
            | Self::PlanOfRun { .. }
            | Self::Stale { .. }
            | Self::Unfinished { .. }
            | Self::NothingUnfinished { .. }
            | Self::NoSuchGate { .. }
            | Self::Call(_)
            | Self::Journal(_)
            | Self::Replay { .. }
            | Self::Signals { .. } => "",
        }
    }

    fn next(&self, program: &str) -> String {
        match self {
            Self::ReadCluster { .. } => {
                "name the cluster file: --cluster FILE, or QUAYMASTER_CLUSTER".to_owned()
            }
            Self::Request(refusal) => refusal.remedy(),
            Self::ReadPlan { .. } => {
                "give the .json file that quaymaster plan wrote, or its digest".to_owned()
            }
            Self::PlanFile { path: _, source } => source.remedy().to_owned(),
            Self::PlanOfRun { digest, path, .. } => lost_plan_next(digest, path, program),
            Self::NeedsApproval { plan } | Self::OtherPlanAccepted { accepted: _, plan } => {
                format!("read the plan, then add: --accept-irreversible {plan}")
            }
            Self::NeedsYes { plan } => format!(
                "read the plan, then add --yes, or agree to all of it: \
                 --accept-irreversible {plan}"
            ),
            Self::NotALab { .. } => "without a backup in the window and a rollback this is for \
                labs; to run it all the same, add: --accept-not-for-production"
                .to_owned(),
            Self::Unfinished { .. } => {
                format!("finish it first: {program} resume; or take it back: {program} abort")
            }
            Self::LeaseHeld { .. } => TAKE_OVER.to_owned(),
            Self::Unclaimed { nodes, exit: _, program } => unclaimed_next(nodes, program),
            Self::LeaseLost { .. } => {
                format!("see who drives now: {program} status; if nobody does: {program} resume")
            }
            Self::Impossible { has_crossed, .. } => impossible_next(*has_crossed, program),
            Self::Call(error) => error.remedy().to_owned(),
            Self::OtherNodes { .. } => {
                format!("put the nodes back into cluster.yaml, or plan anew: {program} plan")
            }
            Self::NothingUnfinished { .. } => format!("see what runs: {program} status"),
            Self::NoSuchGate { .. } => format!("see what it waits for: {program} explain"),
            Self::Journal(error) => journal_next(error, program),
            Self::Run { source: RunError::Journal(error), has_crossed: _ } => {
                format!("{}; then: {program} resume", journal_next(error, program))
            }
            Self::Run { .. } => format!("see where it stands: {program} explain"),
            Self::Runtime { .. }
            | Self::Cluster { .. }
            | Self::Tls(_)
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::Build(_)
            | Self::Unsound { .. }
            | Self::File { .. }
            | Self::Stale { .. }
            | Self::Declined { .. }
            | Self::Replay { .. }
            | Self::Signals { .. } => String::new(),
        }
    }
}

const TAKE_OVER: &str = "see that whoever drives is gone, then add: --take-over";

fn impossible_next(has_crossed: bool, program: &str) -> String {
    if has_crossed {
        format!(
            "the ways forward from here: {program} explain. A restore of the database is the only \
             way back"
        )
    } else {
        format!("see where it stands: {program} explain")
    }
}

fn lost_plan_next(digest: &PlanDigest, path: &Path, program: &str) -> String {
    format!(
        "put plan {} back as `{}`: quaymaster plan wrote it, and every copy of it will do; then: \
         {program} explain. The nodes keep one too: {program} resume --from-nodes",
        digest.short(),
        path.display()
    )
}

fn unclaimed(nodes: &[(NodeName, Unclaimed)]) -> String {
    let each = |(node, why): &(NodeName, _)| format!("{node}: {}", crate::render::unclaimed(why));
    nodes.iter().map(each).collect::<Vec<_>>().join("; ")
}

fn unclaimed_next(nodes: &[(NodeName, Unclaimed)], program: &str) -> String {
    let is_behind = |(_, why): &(_, Unclaimed)| matches!(why, Unclaimed::Behind { .. });
    if nodes.iter().any(is_behind) {
        return format!("let the nodes say what was done: {program} resume --from-nodes");
    }
    let held = nodes.iter().find_map(|(_, why)| match why {
        Unclaimed::Held(lease) => Some(lease),
        Unclaimed::Behind { .. } | Unclaimed::Refused(_) => None,
    });
    match held {
        Some(_) => TAKE_OVER.to_owned(),
        None => format!("look at these nodes' agents: {program} status"),
    }
}

fn journal_next(error: &JournalError, program: &str) -> String {
    match error {
        JournalError::InUse { .. } => {
            format!("another process drives this cluster; see what it does: {program} explain")
        }
        JournalError::Absent { .. } => "nothing was ever run with this state directory".to_owned(),
        JournalError::Damaged { .. } => {
            format!("keep the file, and ask the nodes, which know what was done: {program} status")
        }
        JournalError::Disk { .. } | JournalError::Sqlite { .. } | JournalError::Event { .. } => {
            "look at the state directory: its owner, its space".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
