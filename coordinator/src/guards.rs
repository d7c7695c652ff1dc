//! The gates that no run passes unseen. All of them are on in every program
//! there is; only a simulation, which shows what each is there for, can take
//! one away.

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// No Quay lives when config.yaml changes, nor when the first one starts.
    DarkGate,
    /// No Quay ran behind the backup when the first one starts.
    FreshBackup,
    /// The first one is at the target and well before another one starts.
    FirstNodeGate,
    /// Each process claims leases under an epoch that nobody had before.
    FreshEpoch,
}

/// Those that are on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards {
    #[cfg(feature = "simulation")]
    removed: Option<Guard>,
}

impl Guards {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self {
            #[cfg(feature = "simulation")]
            removed: None,
        }
    }

    /// All but one.
    #[cfg(feature = "simulation")]
    pub(crate) fn without(removed: Option<Guard>) -> Self {
        Self { removed }
    }

    /// Whether this one is on.
    #[cfg(feature = "simulation")]
    pub(crate) fn has(self, guard: Guard) -> bool {
        self.removed != Some(guard)
    }

    /// Whether this one is on: it is.
    #[cfg(not(feature = "simulation"))]
    pub(crate) fn has(self, _: Guard) -> bool {
        true
    }
}
