//! What to do about an error, how things stand, and how the process ends.

use std::path::Path;

use quaymaster_proto::{NodeName, PlanDigest};

use super::{CommandError, HealError, Stands, heal, journal};
use crate::exit::Exit;
use crate::journal::store::JournalError;
use crate::plan::Advice;
use crate::plan::request::RequestRefusal;
use crate::render::Complaint;
use crate::runner::{RunError, Unclaimed};

pub(super) const UNCHANGED: &str = "nothing was changed";

impl CommandError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Run { source: _, has_crossed: true }
            | Self::Impossible { stands: Stands::Beyond { .. }, .. } => Exit::FailedBeyond,
            Self::LeaseHeld { .. } | Self::LeaseLost { .. } => Exit::LeaseHeld,
            Self::Unclaimed { exit, .. } => *exit,
            Self::Call(_) => Exit::Unreachable,
            Self::Impossible { stands: Stands::Elsewhere, .. } | Self::RollbackNotBegun { .. } => {
                Exit::Refused
            }
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
            | Self::NeedsDataLoss { .. }
            | Self::OtherBackupAccepted { .. }
            | Self::Declined { .. }
            | Self::NothingUnfinished { .. }
            | Self::RunEnded { .. }
            | Self::NoSuchGate { .. }
            | Self::NothingToWaive
            | Self::Journal(JournalError::OtherCluster { .. })
            | Self::Reasons { .. }
            | Self::Request { .. } => Exit::Usage,
            Self::Silent { .. } => Exit::Unreachable,
            Self::Refused { .. } | Self::NotWaived { .. } | Self::Unfinished { .. } => {
                Exit::Refused
            }
            Self::Heal(error) => error.exit(),
            Self::Verify(error) => error.exit(),
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
        if let Self::NotWaived { refused } = self {
            return Complaint::of_waivers(refused);
        }
        if let Self::Stale { plan, drifts } = self {
            let next = format!("look at what changed, then: {program} plan");
            return Complaint::of_drift(plan, drifts, next);
        }
        if let Self::Heal(HealError::Against { node, against }) = self {
            return heal::of_against(node, against);
        }
        let standing = self.standing_of_run().unwrap_or_else(|| self.standing().to_owned());
        Complaint { standing, ..Complaint::of_error(self, self.next(program)) }
    }

    /// The same where it depends on what the process had done.
    fn standing_of_run(&self) -> Option<String> {
        if let Self::Unclaimed { registry, .. } = self {
            return Some(format!("what was claimed is given back; the registry {registry}"));
        }
        if let Self::LeaseLost { node: _, registry } = self {
            return Some(format!(
                "this process does nothing more; what it had begun was settled before the other \
                 one took over; the registry {registry}"
            ));
        }
        None
    }

    /// What is so now, where a reader may wonder.
    fn standing(&self) -> &'static str {
        match self {
            Self::NeedsApproval { .. }
            | Self::NeedsYes { .. }
            | Self::OtherPlanAccepted { .. }
            | Self::NeedsDataLoss { .. }
            | Self::OtherBackupAccepted { .. }
            | Self::PlanFile { .. }
            | Self::LeaseHeld { .. }
            | Self::Impossible { .. }
            | Self::RollbackNotBegun { .. }
            | Self::Reasons { .. }
            | Self::Request { .. } => UNCHANGED,
            Self::Heal(error) => error.standing(),
            // What can be undone may have been done by then.
            Self::Declined { .. } | Self::OtherNodes { .. } => "the registry is as it was",
            Self::Run { .. } => "what was done is done, and found done when the run is resumed",
            Self::Unclaimed { .. }
            | Self::LeaseLost { .. }
            | Self::Runtime { .. }
            | Self::ReadCluster { .. }
            | Self::Cluster { .. }
            | Self::Tls(_)
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::NotWaived { .. }
            | Self::Build(_)
            | Self::Unsound { .. }
            | Self::File { .. }
            | Self::ReadPlan { .. }
            | Self::PlanOfRun { .. }
            | Self::Stale { .. }
            | Self::Unfinished { .. }
            | Self::NothingUnfinished { .. }
            | Self::RunEnded { .. }
            | Self::NoSuchGate { .. }
            | Self::NothingToWaive
            | Self::Call(_)
            | Self::Verify(_)
            | Self::Replay { .. }
            | Self::Signals { .. } => "",
            Self::Journal(error) => journal::standing(error),
        }
    }

    fn next(&self, program: &str) -> String {
        match self {
            Self::ReadCluster { .. } => {
                "name the cluster file: --cluster FILE, or QUAYMASTER_CLUSTER".to_owned()
            }
            Self::Request { refusal, advice } => request_next(refusal, advice.as_deref()),
            Self::Reasons { .. } => REASONS.to_owned(),
            Self::ReadPlan { .. } => {
                "give the .json file that quaymaster plan wrote, or its digest".to_owned()
            }
            Self::PlanFile { path: _, source } => source.remedy().to_owned(),
            Self::PlanOfRun { digest, path, .. } => lost_plan_next(digest, path, program),
            Self::NeedsApproval { plan } | Self::OtherPlanAccepted { accepted: _, plan } => {
                accept_next("the plan", "--accept-irreversible", plan)
            }
            Self::NeedsDataLoss { backup } | Self::OtherBackupAccepted { accepted: _, backup } => {
                accept_next("what it says is lost", "--accept-data-loss", backup)
            }
            Self::NeedsYes { plan } => needs_yes_next(plan),
            Self::Unfinished { .. } => {
                format!("finish it first: {program} resume; or take it back: {program} abort")
            }
            Self::LeaseHeld { .. } => TAKE_OVER.to_owned(),
            Self::Unclaimed { nodes, exit: _, program, registry: _ } => {
                unclaimed_next(nodes, program)
            }
            Self::LeaseLost { .. } => {
                format!("see who drives now: {program} status; if nobody does: {program} resume")
            }
            Self::Impossible { stands, .. } => impossible_next(*stands, program),
            Self::RollbackNotBegun { .. } => order_again(program),
            Self::Call(error) => error.remedy().to_owned(),
            Self::OtherNodes { .. } => {
                format!("put the nodes back into cluster.yaml, or plan anew: {program} plan")
            }
            Self::NothingUnfinished { .. } | Self::RunEnded { .. } => {
                format!("see what runs: {program} status")
            }
            Self::NoSuchGate { .. } => format!("see what it waits for: {program} explain"),
            Self::Heal(error) => error.next(program),
            Self::Verify(error) => error.next(program),
            Self::Journal(error) => journal::next(error, program),
            Self::Run { source: RunError::Journal(error), has_crossed: _ } => {
                format!("{}; then: {program} resume", journal::next(error, program))
            }
            Self::Run { .. } | Self::NothingToWaive => stands_next(program),
            Self::Runtime { .. }
            | Self::Cluster { .. }
            | Self::Tls(_)
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::NotWaived { .. }
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

fn request_next(refusal: &RequestRefusal, advice: Option<&Advice>) -> String {
    match advice {
        None => refusal.remedy(),
        Some(advice) => {
            format!("{}; advised is {}", refusal.remedy(), crate::render::advice(advice))
        }
    }
}

fn accept_next(what: &str, flag: &str, digest: &str) -> String {
    format!("read {what}, then add: {flag} {digest}")
}

fn stands_next(program: &str) -> String {
    format!("see where it stands: {program} explain")
}

fn needs_yes_next(plan: &str) -> String {
    format!("read the plan, then add --yes, or agree to all: --accept-irreversible {plan}")
}

fn impossible_next(stands: Stands, program: &str) -> String {
    match stands {
        Stands::Elsewhere => format!("see where it stands: {program} explain"),
        Stands::Beyond { has_backup: true } => format!(
            "the ways forward from here: {program} explain. The only way back is the window's \
             backup: {program} rollback"
        ),
        Stands::Beyond { has_backup: false } => format!(
            "the ways forward from here: {program} explain. No backup of this window leads back"
        ),
    }
}

fn order_again(program: &str) -> String {
    format!(
        "look again at what it loses, and order it: {program} rollback --because WORDS; or call \
         it off: {program} abort"
    )
}

const REASONS: &str = "give one --because for all of them, or one for each, in their order";

fn lost_plan_next(digest: &PlanDigest, path: &Path, program: &str) -> String {
    format!(
        "put plan {} back as `{}`: quaymaster plan wrote it, and every copy of it will do; then: \
         {program} explain. The nodes keep one too: {program} resume --from-nodes",
        digest.short(),
        path.display()
    )
}

fn unclaimed_next(nodes: &[(NodeName, Unclaimed)], program: &str) -> String {
    let is_behind = |(_, why): &(_, Unclaimed)| matches!(why, Unclaimed::Behind { .. });
    let is_elsewhere = |(_, why): &(_, Unclaimed)| matches!(why, Unclaimed::Elsewhere(_));
    if nodes.iter().any(is_elsewhere) {
        return format!(
            "see that whoever drives is gone; then let the nodes say what was done: {program} \
             resume --from-nodes --take-over"
        );
    }
    if nodes.iter().any(is_behind) {
        return format!("let the nodes say what was done: {program} resume --from-nodes");
    }
    let held = nodes.iter().find_map(|(_, why)| match why {
        Unclaimed::Held(lease) => Some(lease),
        Unclaimed::Elsewhere(_) | Unclaimed::Behind { .. } | Unclaimed::Refused(_) => None,
    });
    match held {
        Some(_) => TAKE_OVER.to_owned(),
        None => format!("look at these nodes' agents: {program} status"),
    }
}
