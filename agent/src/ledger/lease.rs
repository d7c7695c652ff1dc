//! Who drives: the lease that a ledger's records add up to, and which claims it
//! admits. Pure.

use quaymaster_proto::{Epoch, Lease, Reason, Refusal, RunId};

/// The lease that was granted last, and whether it still stands.
#[derive(Clone, Default, Debug)]
pub(super) struct LastLease {
    last: Option<Lease>,
    is_released: bool,
}

impl LastLease {
    pub(super) fn grant(&mut self, lease: Lease) {
        (self.last, self.is_released) = (Some(lease), false);
    }

    pub(super) fn release(&mut self, run: RunId, epoch: Epoch) {
        self.is_released |= self.last.as_ref().is_some_and(|last| last.is_of(run, epoch));
    }

    /// The lease that stands.
    pub(super) fn current(&self) -> Option<&Lease> {
        self.last.as_ref().filter(|_| !self.is_released)
    }

    /// The last one, whether or not it stands.
    pub(super) fn last(&self) -> Option<&Lease> {
        self.last.as_ref()
    }

    /// Whether this process had the lease last and gave it back.
    pub(super) fn is_released(&self, run: RunId, epoch: Epoch) -> bool {
        self.is_released && self.last.as_ref().is_some_and(|last| last.is_of(run, epoch))
    }

    /// Refuses everybody but the process of the run that holds the lease.
    pub(super) fn admit(&self, run: RunId, epoch: Epoch) -> Result<&Lease, Refusal> {
        let asked = format!("epoch {epoch} of run {run} does not drive this node");
        match (self.current(), &self.last) {
            (Some(lease), _) if lease.is_of(run, epoch) => Ok(lease),
            (Some(lease), _) => Err(Refusal::new(
                Reason::Lease,
                format!("{asked}: {} does", in_words(lease)),
            )
            .with_remedy(
                "see who that is; take over only what nobody drives any more, by its own command",
            )),
            (None, Some(last)) => Err(Refusal::new(
                Reason::Lease,
                format!("{asked}: nobody does; the last was {}", in_words(last)),
            )
            .with_remedy("claim the lease first: a coordinator does so before it acts")),
            (None, None) => Err(Refusal::new(
                Reason::Lease,
                format!("{asked}: nobody does, and this agent knows of no lease ever"),
            )
            .with_remedy(
                "claim the lease first: a coordinator does so before it acts; if this node was \
                 driven before, its ledger was lost: look at the node before you go on",
            )),
        }
    }

    /// Refuses a claim of somebody who saw another lease than the one that
    /// stands.
    pub(super) fn admit_seen(&self, seen: Option<&Lease>) -> Result<(), Refusal> {
        let who = |lease: &Lease| (lease.run, lease.epoch, lease.process);
        let current = self.current();
        if current.map(who) == seen.map(who) {
            return Ok(());
        }
        let now = current.map_or_else(|| "nobody drives it".to_owned(), in_words);
        let before = seen.map_or_else(|| "nobody".to_owned(), in_words);
        Err(Refusal::new(
            Reason::Lease,
            format!("the lease of this node is not as it was seen: now {now}; seen was {before}"),
        )
        .with_remedy("look again who drives it, and decide anew"))
    }
}

/// A lease as people name it.
pub(crate) fn in_words(lease: &Lease) -> String {
    let Lease { run, epoch, holder, since, process: _, plan: _ } = lease;
    format!("epoch {epoch} of run {run} ({holder}), since {since}")
}
