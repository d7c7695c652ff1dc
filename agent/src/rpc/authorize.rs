//! Who may call what: one table from method to role. Pure.

use std::fmt;

use jiff::Timestamp;
use quaymaster_proto::{ClusterName, Peer, Reason, Refusal, Role};

use super::tls::Caller;

/// Every method of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Describe,
    Preview,
    ResolveImage,
    Health,
    FollowHealth,
    SampleBackfill,
    LookAtDatabase,
    FollowLog,
    GetJob,
    ReadLedger,
    ClaimLease,
    ReleaseLease,
    StageContainer,
    StageConfig,
    EnsureStopped,
    PutConfig,
    StartMigrating,
    EnsureRunning,
    Promote,
    SetFloor,
    RemoveStaged,
    RemoveStagedConfig,
    RestoreConfig,
    LowerFloor,
    Recreate,
    TakeDown,
    PullImage,
    BackUp,
    CheckBackup,
    Restore,
    CancelJob,
}

impl Method {
    /// The least role that may call it.
    fn needs(self) -> Role {
        match self {
            Self::Describe
            | Self::Preview
            | Self::ResolveImage
            | Self::Health
            | Self::FollowHealth
            | Self::SampleBackfill
            | Self::LookAtDatabase
            | Self::FollowLog
            | Self::GetJob
            | Self::ReadLedger => Role::Reader,
            Self::ClaimLease
            | Self::ReleaseLease
            | Self::StageContainer
            | Self::StageConfig
            | Self::EnsureStopped
            | Self::PutConfig
            | Self::StartMigrating
            | Self::EnsureRunning
            | Self::Promote
            | Self::SetFloor
            | Self::RemoveStaged
            | Self::RemoveStagedConfig
            | Self::RestoreConfig
            | Self::LowerFloor
            | Self::Recreate
            | Self::TakeDown
            | Self::PullImage
            | Self::BackUp
            | Self::CheckBackup
            | Self::Restore
            | Self::CancelJob => Role::Operator,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// Who was let in.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// For the ledger and the log.
    pub(crate) who: String,
    /// What they may.
    pub(crate) role: Role,
}

impl Admitted {
    /// Whether nodes' settings may be compared: whoever chooses the key of
    /// their digests can guess at a short password in peace.
    pub(crate) fn may_compare_settings(&self) -> bool {
        self.role >= Role::Operator
    }
}

/// Lets `caller` call `method` on an agent of `cluster`, and says who it is.
pub(crate) fn authorize(
    caller: &Caller,
    method: Method,
    cluster: &ClusterName,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    let (peer, not_after) = caller.name.as_ref().map_err(|invalid| {
        Refusal::new(Reason::Role, format!("cannot tell who is calling: {invalid}"))
            .with_remedy("use a certificate that names a person of this cluster")
    })?;
    // The handshake looked at this too, but connections outlive certificates.
    if *not_after < now {
        return Err(Refusal::new(
            Reason::Role,
            format!("the certificate of `{peer}` has ended on {not_after}"),
        )
        .with_remedy("renew the certificate and connect again"));
    }
    if peer.cluster() != cluster {
        return Err(Refusal::new(
            Reason::WrongCluster,
            format!("`{peer}` is of another cluster; this agent is of `{cluster}`"),
        )
        .with_remedy(format!("use a certificate of cluster `{cluster}`")));
    }
    let role = match peer {
        Peer::Person { role, .. } => *role,
        Peer::Agent { .. } => {
            return Err(Refusal::new(
                Reason::Role,
                format!("`{peer}` is an agent; agents may not call agents"),
            )
            .with_remedy("use the certificate of a person"));
        }
    };
    let needed = method.needs();
    if role < needed {
        return Err(Refusal::new(
            Reason::Role,
            format!("`{peer}` may not call {method}: it needs the role {needed}"),
        )
        .with_remedy(format!("use a certificate with the role {needed}")));
    }
    Ok(Admitted { who: peer.to_string(), role })
}
