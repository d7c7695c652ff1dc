//! The ledger as the rest of the agent meets it.

use std::io;
use std::path::{Path, PathBuf};

use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{ContainerId, Floor, Lease, Refusal, RestartPolicy};

use super::{Ledger, LedgerError};

/// The ledger: there, or the reason why no act is accepted.
#[derive(Debug)]
pub(crate) enum LedgerSlot {
    /// Open.
    Open(Box<Ledger>),
    /// Damaged, too new, or out of reach.
    Closed {
        /// Where it is.
        state: PathBuf,
        /// Why.
        error: LedgerError,
    },
}

impl LedgerSlot {
    /// Opens the ledger; a failure is kept for whoever wants to act.
    pub(crate) fn open(state: &Path) -> Self {
        match Ledger::open(state) {
            Ok(ledger) => Self::Open(Box::new(ledger)),
            Err(error) => Self::Closed { state: state.to_owned(), error },
        }
    }

    /// The ledger, or the refusal of every act. What the disk refused before
    /// is tried again: its lock or its space may be free now.
    pub(crate) fn get(&mut self) -> Result<&mut Ledger, Refusal> {
        if let Self::Open(ledger) = self
            && ledger.is_torn
        {
            // Opened anew, it cuts the half line off; closed first, for its
            // own lock is in the way.
            let (path, state) = (ledger.path.clone(), ledger.path.with_file_name(""));
            let source = io::Error::other("the last record was written in half");
            *self = Self::Closed { state, error: LedgerError::Disk { verb: "mend", path, source } };
        }
        if let Self::Closed { state, error: LedgerError::Disk { .. } } = self {
            *self = Self::open(&state.clone());
        }
        match self {
            Self::Open(ledger) => Ok(ledger),
            Self::Closed { state: _, error } => Err(error.refusal()),
        }
    }

    /// Why no act is accepted, where none is.
    pub(crate) fn problem(&self) -> Option<&LedgerError> {
        match self {
            Self::Open(_) => None,
            Self::Closed { state: _, error } => Some(error),
        }
    }

    /// The last act accepted; `None` also for a ledger that cannot be read.
    pub(crate) fn head(&self) -> Option<LedgerHead> {
        match self {
            Self::Open(ledger) => ledger.index.head(),
            Self::Closed { .. } => None,
        }
    }

    /// Who drives; `None` also for a ledger that cannot be read, for then nobody
    /// does.
    pub(crate) fn lease(&self) -> Option<Lease> {
        match self {
            Self::Open(ledger) => ledger.index.lease().cloned(),
            Self::Closed { .. } => None,
        }
    }

    /// The floor that was set last; `None` also for a ledger that cannot be
    /// read, which knows of none.
    pub(crate) fn floor(&self) -> Option<Floor> {
        match self {
            Self::Open(ledger) => ledger.index.floor().cloned(),
            Self::Closed { .. } => None,
        }
    }

    /// Whether `container` was asked to migrate and its end is not on record.
    pub(crate) fn may_be_migrating(&self, container: &ContainerId) -> bool {
        match self {
            Self::Open(ledger) => ledger.index.may_be_migrating(container),
            // An unreadable ledger proves nothing.
            Self::Closed { .. } => true,
        }
    }

    /// Whether the ledger knows that `container` was started with nothing to
    /// migrate.
    pub(crate) fn was_started_plainly(&self, container: &ContainerId) -> bool {
        match self {
            Self::Open(ledger) => ledger.index.was_started_plainly(container),
            Self::Closed { .. } => false,
        }
    }

    /// The restart policy that its owner had given to a container that this
    /// agent stopped; `None` also where the ledger does not know.
    pub(crate) fn owner_policy(&self, container: &ContainerId) -> Option<RestartPolicy> {
        match self {
            Self::Open(ledger) => ledger.index.owner_policy(container),
            Self::Closed { .. } => None,
        }
    }
}
