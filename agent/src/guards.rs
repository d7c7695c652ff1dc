//! The checks that stand between an order and the world. All of them are on in
//! every agent there is; only a simulation, which shows what each is there for,
//! can take one away.

/// One check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// Run and epoch of an act equal the lease.
    Lease,
    /// The migrating start happens at most once for a container.
    AtMostOnce,
    /// What the floor forbids is not started, and is stopped on sight.
    Floor,
    /// Every start reads identity and revision through its own node's config.
    OwnDatabase,
    /// Restart policy `no` comes before the stop.
    PolicyBeforeStop,
    /// A stop names its container by id, whatever has its name by now.
    IdsNotNames,
    /// New config bytes lie beside the file until no Quay of the node lives.
    SiblingUntilDark,
}

/// The checks that are on.
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
