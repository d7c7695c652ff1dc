//! Who drives this node: claims, releases, and what is on record of a run.

use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease, RunLedger};
use quaymaster_proto::{Act, ClusterName, Lease, Reason, Refusal, RunId};

use crate::engine::Engine;
use crate::guards::Guard;
use crate::node::Node;
use crate::plans;

/// No holder's name is longer, in bytes.
const LONGEST_HOLDER: usize = 200;

impl<E: Engine> Node<E> {
    /// Refuses what is meant for another cluster.
    pub(crate) fn of_this_cluster(&self, cluster: &ClusterName) -> Result<(), Refusal> {
        if *cluster == self.config.cluster {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::WrongCluster,
            format!("the plan is for `{cluster}`, this agent is of `{}`", self.config.cluster),
        )
        .with_remedy("plan for this cluster"))
    }

    /// Refuses a process that does not drive this node.
    pub(crate) fn still_drives(&self, act: &Act) -> Result<(), Refusal> {
        let admitted = self.ledger().get()?.index().admit_process(act);
        self.unless_off(Guard::Lease, admitted, ())
    }

    /// What a check of leases comes to: nothing, where that guard is off.
    pub(crate) fn unless_off<T>(
        &self,
        guard: Guard,
        checked: Result<T, Refusal>,
        otherwise: T,
    ) -> Result<T, Refusal> {
        match checked {
            Err(refusal) if refusal.reason == Reason::Lease && !self.guards.has(guard) => {
                Ok(otherwise)
            }
            checked => checked,
        }
    }

    /// Grants a claim, or says why not. The plan is kept before the grant is on
    /// record: who may act has left what any machine needs to go on.
    pub(crate) fn claim(&self, claim: &ClaimLease) -> Result<Claimed, Refusal> {
        self.of_this_cluster(&claim.cluster)?;
        named(&claim.holder)?;
        let mut slot = self.ledger();
        let ledger = slot.get()?;
        if ledger.admit_claim(claim)?.is_none() {
            plans::keep(&self.config.state, &claim.plan, &claim.plan_bytes)?;
        }
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Begins)?;
        let lease = ledger.claim(claim)?;
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Ended)?;
        let index = ledger.index();
        Ok(Claimed { lease, ledger: index.head_of(claim.run), last: index.last_of(claim.run) })
    }

    /// Takes a lease back, or says why not.
    pub(crate) fn release(&self, release: &ReleaseLease) -> Result<(), Refusal> {
        let ReleaseLease { cluster, run, epoch } = release;
        self.of_this_cluster(cluster)?;
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Begins)?;
        self.ledger().get()?.release(*run, *epoch)
    }

    /// Who drives; `None` = nobody.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.ledger().lease()
    }

    /// What is on record of a run; `None` = the one that drives, or drove last.
    pub(crate) fn read_ledger(&self, run: Option<RunId>) -> Result<RunLedger, Refusal> {
        let found = self.ledger().get()?.index().run(run)?;
        let plan_bytes = plans::read(&self.config.state, &found.plan)?;
        Ok(RunLedger { plan_bytes, ..found })
    }
}

/// A holder is shown to people, in a line of its own.
fn named(holder: &str) -> Result<(), Refusal> {
    let is_a_name = !holder.trim().is_empty()
        && holder.len() <= LONGEST_HOLDER
        && !holder.chars().any(char::is_control);
    if is_a_name {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::Invalid,
        format!("a holder is named in one line of up to {LONGEST_HOLDER} bytes"),
    ))
}

/// A claim for tests, of a process of its own for each epoch.
#[cfg(test)]
pub(crate) fn claiming(act: &Act, seen: Option<Lease>) -> ClaimLease {
    let Act { cluster, run, epoch, step: _, plan } = act.clone();
    ClaimLease {
        cluster,
        run,
        epoch,
        holder: format!("operator {epoch}"),
        process: ulid::Ulid::from(u128::from(epoch.get())),
        plan,
        plan_bytes: b"{}".to_vec(),
        seen,
    }
}
