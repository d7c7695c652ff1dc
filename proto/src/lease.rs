//! The lease: which process drives which run, as an agent keeps it; and what
//! an agent's ledger tells of a run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::act::ActOutcome;
use crate::id::{Epoch, PlanDigest, RunId, StepNumber};
use crate::invalid::{InvalidField, each, parsed, required, within, within_if_any};
use crate::job::JobReport;
use crate::name::ClusterName;
use crate::node::LedgerHead;
use crate::refusal::Refusal;
use crate::wire;

/// Who drives a node. An act is accepted only from this run in this epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// The process of the run: higher than every one before.
    pub epoch: Epoch,
    /// For people: who, from where.
    pub holder: String,
    /// Since when, on the node's clock.
    pub since: Timestamp,
    /// Tells two processes apart that claim the same epoch.
    pub process: Ulid,
    /// The run's plan.
    pub plan: PlanDigest,
}

impl Lease {
    /// Whether it is of this process of this run.
    pub fn is_of(&self, run: RunId, epoch: Epoch) -> bool {
        (self.run, self.epoch) == (run, epoch)
    }
}

/// Ask for an agent's lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimLease {
    /// The plan's cluster.
    pub cluster: ClusterName,
    /// The run.
    pub run: RunId,
    /// Higher than any epoch that the agent knows of this run.
    pub epoch: Epoch,
    /// For people.
    pub holder: String,
    /// The process: the same claim asked twice is granted once.
    pub process: Ulid,
    /// The run's plan.
    pub plan: PlanDigest,
    /// That plan's file, byte for byte.
    pub plan_bytes: Vec<u8>,
    /// The lease that was seen; another one is not overruled.
    pub seen: Option<Lease>,
}

/// What an agent answers to a claim that it grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// The furthest that the run had come on this node.
    pub ledger: Option<LedgerHead>,
    /// What became of the act that was in flight, or came last.
    pub last: Option<LedgerEntry>,
}

/// Give a lease back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseLease {
    /// The plan's cluster.
    pub cluster: ClusterName,
    /// The run that holds it.
    pub run: RunId,
    /// The epoch that holds it.
    pub epoch: Epoch,
}

/// What an agent keeps of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunLedger {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: PlanDigest,
    /// That plan's file, byte for byte.
    pub plan_bytes: Vec<u8>,
    /// The highest ever claimed.
    pub epoch: Epoch,
    /// Every step that was begun on this node, in the order of their numbers.
    pub entries: Vec<LedgerEntry>,
}

/// One step of a run on one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerEntry {
    /// Which.
    pub step: StepNumber,
    /// In which epoch it was asked for last.
    pub epoch: Epoch,
    /// The latest record's time, on the node's clock.
    pub at: Timestamp,
    /// How it ended; `None` = it was begun, and its end is not on record.
    pub end: Option<LedgerEnd>,
}

/// How a step ended on a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LedgerEnd {
    /// The order was met.
    Met(ActOutcome),
    /// The job ended.
    Job(JobReport),
    /// It was not met.
    Refused(Refusal),
}

fn ulid(path: &str, text: &str) -> Result<Ulid, InvalidField> {
    Ulid::from_string(text).map_err(|_| InvalidField::because(path, format!("no ULID: `{text}`")))
}

impl TryFrom<wire::Lease> for Lease {
    type Error = InvalidField;

    fn try_from(message: wire::Lease) -> Result<Self, InvalidField> {
        let wire::Lease { run, epoch, holder, since, process, plan_digest } = message;
        Ok(Self {
            run: parsed("run", &run)?,
            epoch: required("epoch", Epoch::new(epoch))?,
            holder,
            since: parsed("since", &since)?,
            process: ulid("process", &process)?,
            plan: parsed("plan_digest", &plan_digest)?,
        })
    }
}

impl From<Lease> for wire::Lease {
    fn from(lease: Lease) -> Self {
        let Lease { run, epoch, holder, since, process, plan } = lease;
        Self {
            run: run.to_string(),
            epoch: epoch.get(),
            holder,
            since: since.to_string(),
            process: process.to_string(),
            plan_digest: plan.into(),
        }
    }
}

impl TryFrom<wire::ClaimLeaseRequest> for ClaimLease {
    type Error = InvalidField;

    fn try_from(message: wire::ClaimLeaseRequest) -> Result<Self, InvalidField> {
        let wire::ClaimLeaseRequest {
            cluster,
            run,
            epoch,
            holder,
            process,
            plan_digest,
            plan,
            seen,
        } = message;
        Ok(Self {
            cluster: parsed("cluster", &cluster)?,
            run: parsed("run", &run)?,
            epoch: required("epoch", Epoch::new(epoch))?,
            holder,
            process: ulid("process", &process)?,
            plan: parsed("plan_digest", &plan_digest)?,
            plan_bytes: plan,
            seen: within_if_any("seen", seen)?,
        })
    }
}

impl From<ClaimLease> for wire::ClaimLeaseRequest {
    fn from(claim: ClaimLease) -> Self {
        let ClaimLease { cluster, run, epoch, holder, process, plan, plan_bytes, seen } = claim;
        Self {
            cluster: cluster.into(),
            run: run.to_string(),
            epoch: epoch.get(),
            holder,
            process: process.to_string(),
            plan_digest: plan.into(),
            plan: plan_bytes,
            seen: seen.map(Into::into),
        }
    }
}

impl TryFrom<wire::ClaimLeaseReply> for Claimed {
    type Error = InvalidField;

    fn try_from(message: wire::ClaimLeaseReply) -> Result<Self, InvalidField> {
        let wire::ClaimLeaseReply { lease, ledger, last } = message;
        Ok(Self {
            lease: within("lease", lease)?,
            ledger: within_if_any("ledger", ledger)?,
            last: within_if_any("last", last)?,
        })
    }
}

impl From<Claimed> for wire::ClaimLeaseReply {
    fn from(claimed: Claimed) -> Self {
        let Claimed { lease, ledger, last } = claimed;
        Self {
            lease: Some(lease.into()),
            ledger: ledger.map(Into::into),
            last: last.map(Into::into),
        }
    }
}

impl TryFrom<wire::ReleaseLeaseRequest> for ReleaseLease {
    type Error = InvalidField;

    fn try_from(message: wire::ReleaseLeaseRequest) -> Result<Self, InvalidField> {
        let wire::ReleaseLeaseRequest { cluster, run, epoch } = message;
        Ok(Self {
            cluster: parsed("cluster", &cluster)?,
            run: parsed("run", &run)?,
            epoch: required("epoch", Epoch::new(epoch))?,
        })
    }
}

impl From<ReleaseLease> for wire::ReleaseLeaseRequest {
    fn from(release: ReleaseLease) -> Self {
        let ReleaseLease { cluster, run, epoch } = release;
        Self { cluster: cluster.into(), run: run.to_string(), epoch: epoch.get() }
    }
}

impl TryFrom<wire::ReadLedgerReply> for RunLedger {
    type Error = InvalidField;

    fn try_from(message: wire::ReadLedgerReply) -> Result<Self, InvalidField> {
        let wire::ReadLedgerReply { run, plan_digest, plan, epoch, entries } = message;
        Ok(Self {
            run: parsed("run", &run)?,
            plan: parsed("plan_digest", &plan_digest)?,
            plan_bytes: plan,
            epoch: required("epoch", Epoch::new(epoch))?,
            entries: each("entries", entries)?,
        })
    }
}

impl From<RunLedger> for wire::ReadLedgerReply {
    fn from(ledger: RunLedger) -> Self {
        let RunLedger { run, plan, plan_bytes, epoch, entries } = ledger;
        Self {
            run: run.to_string(),
            plan_digest: plan.into(),
            plan: plan_bytes,
            epoch: epoch.get(),
            entries: entries.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::LedgerEntry> for LedgerEntry {
    type Error = InvalidField;

    fn try_from(message: wire::LedgerEntry) -> Result<Self, InvalidField> {
        use wire::ledger_entry::End;
        let wire::LedgerEntry { step, epoch, at, end } = message;
        let end = match end {
            None => None,
            Some(End::Met(reply)) => {
                Some(LedgerEnd::Met(reply.try_into().map_err(|e: InvalidField| e.within("met"))?))
            }
            Some(End::Job(report)) => {
                Some(LedgerEnd::Job(report.try_into().map_err(|e: InvalidField| e.within("job"))?))
            }
            Some(End::Refused(refusal)) => {
                Some(LedgerEnd::Refused(required("refused.reason", Refusal::from_wire(refusal))?))
            }
        };
        Ok(Self {
            step: required("step", StepNumber::new(step))?,
            epoch: required("epoch", Epoch::new(epoch))?,
            at: parsed("at", &at)?,
            end,
        })
    }
}

impl From<LedgerEntry> for wire::LedgerEntry {
    fn from(entry: LedgerEntry) -> Self {
        use wire::ledger_entry::End;
        let LedgerEntry { step, epoch, at, end } = entry;
        let end = end.map(|end| match end {
            LedgerEnd::Met(outcome) => End::Met(outcome.into()),
            LedgerEnd::Job(report) => End::Job(report.into()),
            LedgerEnd::Refused(refusal) => End::Refused(refusal.into()),
        });
        Self { step: step.get(), epoch: epoch.get(), at: at.to_string(), end }
    }
}
