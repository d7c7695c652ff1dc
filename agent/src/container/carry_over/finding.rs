//! What becomes of one part of a container, and why.

use quaymaster_proto::RestartPolicy;
use quaymaster_proto::preview::{SpecFinding, SpecVerdict};

/// What becomes of one part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The part: `port 80/tcp`, `volume /tmp`.
    pub subject: String,
    /// What becomes of it, and why.
    pub reason: Reason,
}

/// Why a part becomes what it becomes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// Carried over as it is.
    #[error("as it is")]
    AsItIs,
    /// The new Quay listens elsewhere inside; the host's side stays.
    #[error("becomes {to} inside; where the host publishes it stays")]
    PortMoves {
        /// `8080/tcp`.
        to: String,
    },
    /// `no` until the container is healthy.
    #[error("`no` until the container is healthy, then `{policy}` again")]
    RestartPolicyWaits {
        /// The owner's.
        policy: RestartPolicy,
    },
    /// A volume without a name at a path for passing things.
    #[error("a fresh one: nothing that lasts belongs there")]
    FreshVolume,
    /// The next image looks for it at another path.
    #[error("mounted at {at} too, where the next image looks for it")]
    MountedTwice {
        /// Inside the next container.
        at: String,
    },
    /// What the next image looks for elsewhere is only a part of it.
    #[error(
        "holds {from}, which the next image looks for at {to}: create the container anew with a \
         mount of its own at {from}"
    )]
    HoldsMovedPath {
        /// Inside the container that runs now.
        from: String,
        /// Inside the next one.
        to: String,
    },
    /// Data would be left behind in a volume without a name.
    #[error(
        "its data lies in a volume without a name, which no other container gets: create the \
         container anew with a directory or a named volume there"
    )]
    DataInAnonymousVolume,
    /// A mount that does not say what it mounts.
    #[error("cannot be understood: create the container anew with --volume")]
    UnknownMount,
    /// Mounts of another container.
    #[error("takes over another container's mounts: create the container anew with its own")]
    TakesVolumesFrom,
    /// The host's network.
    #[error(
        "uses the host's network, where the next release would listen on other ports: create the \
         container anew with published ports"
    )]
    UsesHostNetwork,
    /// Another container's network.
    #[error("uses another container's network: create the container anew with its own")]
    SharesNetwork,
    /// Made without one.
    #[error("is switched off for this container: create the container anew with one")]
    HasNoNetwork,
    /// Several networks, and no telling which of them the mode means.
    #[error(
        "is several, and the engine does not tell which is the first one: start the container, or \
         create it anew with the network's name"
    )]
    FirstNetworkUnknown,
    /// Links.
    #[error("links to another container: use a network of the engine instead")]
    HasLinks,
    /// Removed by the engine as soon as it stops: there would be no way back.
    #[error("would be gone as soon as it stops: create the container anew without --rm")]
    RemovesItself,
    /// A setting of an engine newer than this agent.
    #[error(
        "is not known to this agent, which would lose it: update the agent, or create the container \
         anew without it"
    )]
    NotUnderstood,
    /// A setting that this engine hides.
    #[error(
        "is not shown by this engine, so that nobody can tell what would be lost: run the container \
         on Docker, or replace it by hand"
    )]
    NotShown,
    /// A namespace of another container.
    #[error("is shared with container `{container}`: create the container anew with its own")]
    SharesNamespace {
        /// The other one.
        container: String,
    },
    /// Another port on the host at every creation.
    #[error(
        "is published where the engine chooses, which would be elsewhere: create the container \
         anew with a port of the host's"
    )]
    PortOfEnginesChoice,
    /// Two of its ports would become one.
    #[error("becomes {to} inside, which is published already: publish one of them")]
    PortsCollide {
        /// `8080/tcp`.
        to: String,
    },
}

impl Reason {
    /// Which of the four this is.
    pub fn verdict(&self) -> SpecVerdict {
        match self {
            Self::AsItIs => SpecVerdict::Carried,
            Self::PortMoves { .. }
            | Self::RestartPolicyWaits { .. }
            | Self::MountedTwice { .. } => SpecVerdict::Changed,
            Self::FreshVolume => SpecVerdict::Dropped,
            Self::DataInAnonymousVolume
            | Self::HoldsMovedPath { .. }
            | Self::UnknownMount
            | Self::TakesVolumesFrom
            | Self::UsesHostNetwork
            | Self::SharesNetwork
            | Self::HasNoNetwork
            | Self::HasLinks
            | Self::FirstNetworkUnknown
            | Self::RemovesItself
            | Self::NotUnderstood
            | Self::NotShown
            | Self::SharesNamespace { .. }
            | Self::PortOfEnginesChoice
            | Self::PortsCollide { .. } => SpecVerdict::Refused,
        }
    }

    /// Whether it stands against the next container.
    pub fn is_refusal(&self) -> bool {
        self.verdict() == SpecVerdict::Refused
    }
}

impl Finding {
    pub(super) fn new(subject: impl Into<String>, reason: Reason) -> Self {
        Self { subject: subject.into(), reason }
    }

    pub(super) fn carried(subject: String) -> Self {
        Self { subject, reason: Reason::AsItIs }
    }
}

impl From<Finding> for SpecFinding {
    fn from(finding: Finding) -> Self {
        let Finding { subject, reason } = finding;
        Self { verdict: reason.verdict(), subject, reason: reason.to_string() }
    }
}
