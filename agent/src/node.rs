//! The node: what every look and every act shares.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use quaymaster_proto::{Act, Component, Floor, Reason, Refusal};

use crate::config::{AgentConfig, ComponentConfig};
use crate::container::spec::SpecKey;
use crate::disk;
use crate::engine::Engine;
use crate::fence::Fence;
use crate::floor::{self, FloorError};
use crate::guards::{Guard, Guards};
use crate::ledger::{Admission, Event, LedgerSlot, Work};
use crate::standing::Board;
use crate::starters::files::Starters;
use crate::surroundings::Surroundings;

mod containers;
mod view;

pub(crate) use view::QuayView;

/// Everything that looks and acts share.
#[derive(Debug)]
pub(crate) struct Node<E> {
    /// agent.yaml.
    pub(crate) config: AgentConfig,
    /// The container engine.
    pub(crate) engine: E,
    /// Everything else that it asks.
    pub(crate) surroundings: Surroundings,
    /// What stands between an order and the world.
    pub(crate) guards: Guards,
    /// Of its spec digests.
    pub(crate) spec_key: SpecKey,
    /// What it is at, for people.
    pub(crate) board: Board,
    /// Who else starts containers here.
    pub(crate) starters: Starters,
    /// What stood against the floor.
    pub(crate) fence: Fence,
    certificate_end: Mutex<Timestamp>,
    ledger: Mutex<LedgerSlot>,
}

/// What the agent keeps in its state directory, and what it looks at on the
/// host.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Orders and what became of them.
    pub(crate) ledger: LedgerSlot,
    /// Of its spec digests.
    pub(crate) spec_key: SpecKey,
    /// Who else starts containers here.
    pub(crate) starters: Starters,
}

#[cfg(test)]
impl Kept {
    /// With a key that every test knows, on a host without any files.
    pub(crate) fn in_tests(ledger: LedgerSlot) -> Self {
        let starters = Starters::under("/nonexistent");
        Self { ledger, spec_key: Self::spec_key_in_tests(), starters }
    }

    pub(crate) fn spec_key_in_tests() -> SpecKey {
        SpecKey::new([7; 32])
    }
}

impl<E: Engine> Node<E> {
    pub(crate) fn new(
        config: AgentConfig,
        engine: E,
        surroundings: Surroundings,
        certificate_end: Timestamp,
        kept: Kept,
    ) -> Self {
        let Kept { ledger, spec_key, starters } = kept;
        let (certificate_end, ledger) = (Mutex::new(certificate_end), Mutex::new(ledger));
        let (board, fence) = (Board::default(), Fence::default());
        let guards = Guards::all();
        Self {
            config,
            engine,
            surroundings,
            guards,
            spec_key,
            board,
            starters,
            fence,
            certificate_end,
            ledger,
        }
    }

    /// End of this agent's certificate.
    pub(crate) fn certificate_end(&self) -> Timestamp {
        *self.certificate_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new certificate.
    pub(crate) fn set_certificate_end(&self, end: Timestamp) {
        *self.certificate_end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// The ledger; never held across an await.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, LedgerSlot> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an order in, or says why not.
    pub(crate) fn admit(&self, act: &Act, work: &Work) -> Result<Admission, Refusal> {
        self.of_this_cluster(&act.cluster)?;
        let admission = self.ledger().get()?.index().admit(act, work);
        let admission = self.unless_off(Guard::Lease, admission, Admission::New)?;
        self.board.begins(act, work);
        Ok(admission)
    }

    /// Puts on record what became of an order.
    pub(crate) fn record(&self, act: &Act, work: &Work, event: Event) -> Result<(), Refusal> {
        self.board.ends(act, work, &event);
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Begins)?;
        let written = self.ledger().get()?.append(act, work, event);
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Ended)?;
        written.map_err(|error| error.refusal())
    }

    /// What may not run on this node any more.
    pub(crate) fn floor(&self) -> Result<Option<Floor>, FloorError> {
        let recorded = self.ledger().floor();
        floor::read(&self.config.state, recorded)
    }

    /// The part of agent.yaml about a component.
    pub(crate) fn component(&self, component: Component) -> Result<&ComponentConfig, Refusal> {
        self.config.components.get(&component).ok_or_else(|| {
            Refusal::new(
                Reason::NoComponent,
                format!("agent.yaml of node `{}` has no component `{component}`", self.config.node),
            )
            .with_remedy("add the component to agent.yaml, or take it out of the plan")
        })
    }

    /// Free bytes where the engine keeps its data, which it writes as root.
    pub(crate) fn free_bytes_engine(&self) -> Option<u64> {
        disk::free_bytes_of_root(self.engine.data_root()?)
    }
}
